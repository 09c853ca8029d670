#include "tools/scores.hpp"

#include <algorithm>
#include <cmath>

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

}  // namespace

void Scores::add(double value, Index line) {
  values_.push_back(value);
  if (!std::isfinite(value)) return;
  keep(lowest_, line, value, [](double a, double b) { return a < b; });
  keep(highest_, line, value, [](double a, double b) { return a > b; });
}

double Scores::quantile(double p) const {
  std::vector<double> v;
  std::copy_if(values_.begin(), values_.end(), std::back_inserter(v), [](double x) { return !std::isnan(x); });
  if (v.empty()) return std::numeric_limits<double>::quiet_NaN();
  const double at = p * static_cast<double>(v.size() - 1);
  const auto low = v.begin() + static_cast<std::ptrdiff_t>(at);
  std::nth_element(v.begin(), low, v.end());
  const double share = at - std::floor(at);
  if (share == 0 || low + 1 == v.end() || std::isinf(*low)) return *low;
  return *low + share * (*std::min_element(low + 1, v.end()) - *low);
}

Scores::Far Scores::far() const {
  std::vector<double> v;
  std::copy_if(values_.begin(), values_.end(), std::back_inserter(v), [](double x) { return std::isfinite(x); });
  std::sort(v.begin(), v.end());
  const std::size_t n = v.size(), most = n / 100;
  Far far;
  // From the inner rows outwards: where one is far from all before it, so is what lies beyond it.
  RunningMean inner;
  for (std::size_t i = most; i < n - most; ++i) inner.add(v[i]);
  std::size_t low = most, high = n - most;
  const auto is_far = [&](double x) {
    const double deviation = inner.standard_error() * std::sqrt(static_cast<double>(inner.count()));
    return std::abs(x - inner.mean()) > 20 * deviation && deviation > 0;
  };
  while (low > 0 && !is_far(v[low - 1])) inner.add(v[--low]);
  while (high < n && !is_far(v[high])) inner.add(v[high++]);
  far.count = static_cast<Index>(low + n - high);
  far.mean = inner.mean();
  far.standard_error = inner.standard_error();
  for (std::size_t i = 0; i < std::min(low, lowest_.size()); ++i) far.rows.push_back(lowest_[i]);
  for (std::size_t i = 0; i < std::min(n - high, highest_.size()); ++i) far.rows.push_back(highest_[i]);
  std::stable_sort(far.rows.begin(), far.rows.end(), [&](const auto& a, const auto& b) {
    return std::abs(a.second - far.mean) > std::abs(b.second - far.mean);
  });
  if (far.rows.size() > most_shown) far.rows.resize(most_shown);
  return far;
}

std::string quantiles_text(const Scores& scores) {
  return fmt::format("median {:.5g}, 1 % quantile {:.5g}", scores.quantile(0.5), scores.quantile(0.01));
}

std::string far_text(const Scores& scores) {
  const Scores::Far far = scores.far();
  if (far.count == 0) return {};
  std::string lines;
  for (const auto& [line, value] : far.rows)
    lines += fmt::format("{}line {} ({:.3g})", lines.empty() ? "" : ", ", line, value);
  if (far.count > static_cast<Index>(far.rows.size())) lines += ", ...";
  return fmt::format("{} {} the mean: {}; the others: {}", counted(far.count, "row"), far.count == 1 ? "carries" : "carry",
                     lines, with_error(far.mean, far.standard_error));
}

Json to_json(const Scores& scores) {
  const Scores::Far far = scores.far();
  Json json{{"median", scores.quantile(0.5)}, {"quantile_0.01", scores.quantile(0.01)}, {"far_rows", far.count}};
  if (far.count > 0) {
    json["mean_without_far_rows"] = far.mean;
    json["standard_error_without_far_rows"] = far.standard_error;
    for (const auto& [line, value] : far.rows) json["farthest"].push_back({{"line", line}, {"log_likelihood", value}});
  }
  return json;
}

}  // namespace tool
