#include "tools/scores.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>

namespace tool {

namespace {

constexpr std::size_t most_shown = 10;

/// Keeps the first `most_shown` by `before`.
template <class Before>
void keep(std::vector<std::pair<Index, double>>& rows, Index line, double value, Before before) {
  if (rows.size() == most_shown && !before(value, rows.back().second)) return;
  const auto place = std::find_if(rows.begin(), rows.end(), [&](const auto& row) { return before(value, row.second); });
  rows.insert(place, {line, value});
  if (rows.size() > most_shown) rows.pop_back();
}

/// Bits in the order of the numbers.
std::uint64_t key_of(double v) {
  const auto bits = std::bit_cast<std::uint64_t>(v);
  return (bits >> 63) != 0 ? ~bits : bits | std::uint64_t{1} << 63;
}
double of_key(std::uint64_t key) {
  return std::bit_cast<double>((key >> 63) != 0 ? key ^ std::uint64_t{1} << 63 : ~key);
}

template <class Use>
void each(const Scores& scores, const Use& use) {
  scores.each_piece([&](std::span<const double> piece) {
    for (const double v : piece) use(v);
  });
}

/// The value at `rank`, from 0, of those that `takes`: 16 bits in each of four passes, without a copy of them.
template <class Takes>
double at_rank(const Scores& scores, std::uint64_t rank, const Takes& takes) {
  std::uint64_t known = 0;
  std::vector<std::uint64_t> counts(std::size_t{1} << 16);
  for (int shift = 48; shift >= 0; shift -= 16) {
    std::fill(counts.begin(), counts.end(), 0);
    each(scores, [&](double v) {
      const std::uint64_t key = key_of(v);
      if (takes(v) && (shift == 48 || key >> (shift + 16) == known)) ++counts[key >> shift & 0xffff];
    });
    std::uint64_t digits = 0;
    while (rank >= counts[digits]) rank -= counts[digits++];
    known = known << 16 | digits;
  }
  return of_key(known);
}

}  // namespace

NumberStore::NumberStore(const std::string& path) : name_(path) {
  file_.reset(std::fopen(path.c_str(), "r+b"));
  if (!file_ && errno == ENOENT) file_.reset(std::fopen(path.c_str(), "w+bx"));
  if (!file_ || std::fseek(file_.get(), 0, SEEK_END) != 0) fail("open");
  const long size = std::ftell(file_.get());
  if (size < 0) fail("read");
  // A number that was not written whole is written again.
  count_ = static_cast<Index>(size) / static_cast<Index>(sizeof(double));
}

void NumberStore::fail(const char* action) const {
  throw pf::IoError(fmt::format("{}: cannot {}: {}", name_.value_or("temporary file"), action, std::strerror(errno)));
}

bool NumberStore::put(Index first, std::span<const double> values) {
  return std::fseek(file_.get(), first * static_cast<long>(sizeof(double)), SEEK_SET) == 0 &&
         std::fwrite(values.data(), sizeof(double), values.size(), file_.get()) == values.size() &&
         std::fflush(file_.get()) == 0;
}

void NumberStore::append(std::span<const double> values) {
  constexpr std::size_t most_held = 1 << 20;
  if (!file_ && may_have_file_ && held_.size() + values.size() > most_held) {
    file_.reset(std::tmpfile());
    if (file_ && put(0, held_)) held_ = {};
    else give_file_up();
  }
  if (file_ && !put(count_, values)) {
    if (name_) fail("write");
    held_.resize(static_cast<std::size_t>(count_));
    read(0, held_);
    give_file_up();
  }
  if (!file_) held_.insert(held_.end(), values.begin(), values.end());
  count_ += static_cast<Index>(values.size());
}

/// What is worth a model is not lost for want of a temporary file: memory has it.
void NumberStore::give_file_up() {
  file_.reset();
  may_have_file_ = false;
}

void NumberStore::read(Index first, std::span<double> values) const {
  if (!file_) {
    std::copy_n(held_.begin() + first, values.size(), values.begin());
    return;
  }
  if (std::fseek(file_.get(), first * static_cast<long>(sizeof(double)), SEEK_SET) != 0 ||
      std::fread(values.data(), sizeof(double), values.size(), file_.get()) != values.size())
    fail("read");
}

void NumberStore::each_piece(const std::function<void(std::span<const double>)>& use) const {
  std::vector<double> piece(static_cast<std::size_t>(std::min(count_, chunk_rows)));
  for (Index first = 0; first < count_; first += chunk_rows) {
    const auto size = static_cast<std::size_t>(std::min(count_ - first, chunk_rows));
    read(first, std::span(piece).first(size));
    use(std::span<const double>(piece).first(size));
  }
}

void Scores::add(double value, Index line) {
  if (count_++ >= known_) {
    fresh_.push_back(value);
    if (fresh_.size() == static_cast<std::size_t>(chunk_rows)) flush();
  }
  if (!std::isfinite(value)) return;
  keep(lowest_, line, value, [](double a, double b) { return a < b; });
  keep(highest_, line, value, [](double a, double b) { return a > b; });
}

void Scores::flush() {
  stored_.append(fresh_);
  fresh_.clear();
}

double Scores::quantile(double p) const {
  const auto takes = [](double v) { return !std::isnan(v); };
  std::uint64_t n = 0;
  each(*this, [&](double v) { n += takes(v); });
  if (n == 0) return std::numeric_limits<double>::quiet_NaN();
  const double at = p * static_cast<double>(n - 1), share = at - std::floor(at);
  const auto rank = static_cast<std::uint64_t>(at);
  const double low = at_rank(*this, rank, takes);
  if (share == 0 || rank + 1 == n || std::isinf(low)) return low;
  return low + share * (at_rank(*this, rank + 1, takes) - low);
}

Scores::Far Scores::far() const {
  const auto takes = [](double v) { return std::isfinite(v); };
  std::uint64_t n = 0;
  each(*this, [&](double v) { n += takes(v); });
  const std::uint64_t most = n / 100;
  Far far;
  // A hundredth at each end, sorted; the others in their order.
  RunningMean inner;
  std::vector<double> below, above;
  if (most > 0) {
    const double low = at_rank(*this, most - 1, takes), high = at_rank(*this, n - most, takes);
    each(*this, [&](double v) {
      if (takes(v) && v < low) below.push_back(v);
      if (takes(v) && v > high) above.push_back(v);
    });
    below.resize(most, low);
    above.resize(most, high);
    std::sort(below.begin(), below.end());
    std::sort(above.begin(), above.end(), std::greater<>());
    std::uint64_t lows = most, highs = most;  // equal ones go to the ends first
    for (const double v : below) lows -= v < low;
    for (const double v : above) highs -= v > high;
    each(*this, [&](double v) {
      if (!takes(v) || v < low || v > high) return;
      if (v == low && lows > 0) --lows;
      else if (v == high && highs > 0) --highs;
      else inner.add(v);
    });
  } else {
    each(*this, [&](double v) {
      if (takes(v)) inner.add(v);
    });
  }
  // From the inner rows outwards: where one is far from all before it, so is what lies beyond it.
  const auto is_far = [&](double x) {
    const double deviation = inner.standard_error() * std::sqrt(static_cast<double>(inner.count()));
    return std::abs(x - inner.mean()) > 20 * deviation && deviation > 0;
  };
  while (!below.empty() && !is_far(below.back())) {
    inner.add(below.back());
    below.pop_back();
  }
  while (!above.empty() && !is_far(above.back())) {
    inner.add(above.back());
    above.pop_back();
  }
  const std::size_t low = below.size(), high = above.size();
  far.count = static_cast<Index>(low + high);
  far.mean = inner.mean();
  far.standard_error = inner.standard_error();
  for (std::size_t i = 0; i < std::min(low, lowest_.size()); ++i) far.rows.push_back(lowest_[i]);
  for (std::size_t i = 0; i < std::min(high, highest_.size()); ++i) far.rows.push_back(highest_[i]);
  std::stable_sort(far.rows.begin(), far.rows.end(), [&](const auto& a, const auto& b) {
    return std::abs(a.second - far.mean) > std::abs(b.second - far.mean);
  });
  if (far.rows.size() > most_shown) far.rows.resize(most_shown);
  return far;
}

std::string quantiles_text(const Scores& scores) {
  return fmt::format("median {:.5g}, 1 % quantile {:.5g}", scores.quantile(0.5), scores.quantile(0.01));
}

std::string far_text(const Scores& scores, const DataReader& reader) {
  const Scores::Far far = scores.far();
  if (far.count == 0) return {};
  std::string lines;
  for (const auto& [line, value] : far.rows)
    lines += fmt::format("{}{} ({:.3g})", lines.empty() ? "" : ", ", reader.place(line), value);
  if (far.count > static_cast<Index>(far.rows.size())) lines += ", ...";
  return fmt::format("{} {} the mean: {}; the others: {}", counted(far.count, "row"), far.count == 1 ? "carries" : "carry",
                     lines, with_error(far.mean, far.standard_error));
}

Json to_json(const Scores& scores, const DataReader& reader) {
  const Scores::Far far = scores.far();
  Json json{{"median", scores.quantile(0.5)}, {"quantile_0.01", scores.quantile(0.01)}, {"far_rows", far.count}};
  if (far.count > 0) {
    json["mean_without_far_rows"] = far.mean;
    json["standard_error_without_far_rows"] = far.standard_error;
    for (const auto& [line, value] : far.rows)
      json["farthest"].push_back({{"line", line}, {"place", reader.place(line)}, {"log_likelihood", value}});
  }
  return json;
}

}  // namespace tool
