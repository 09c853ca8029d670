#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <pushforward/io/table.hpp>
#include <utility>
#include <vector>

namespace pushforward {

namespace {

constexpr Index kMostCodes = 4;
constexpr Index kMostSampled = 4096;
constexpr std::size_t kFewest = 10;  // other values, and different ones where most are equal: fewer say nothing
constexpr Index kSeveral = 3;
constexpr double kSeveralApart = 20, kFewApart = 1e4;  // spreads

// The values of a column that are no NaN and none of the codes.
template <Scalar T>
class Others {
 public:
  Others(MatrixView<const T> values, Index column) : values_(values), column_(column) {}

  void leave_out(double code) { codes_.push_back(code); }
  template <class Use>
  void each(Index step, const Use& use) const {
    for (Index i = 0; i < values_.rows(); i += step) {
      const auto v = static_cast<double>(values_(i, column_));
      if (!std::isnan(v) && std::find(codes_.begin(), codes_.end(), v) == codes_.end()) use(v);
    }
  }
  // Interquartile range without `code`; the standard deviation where that is 0.
  double spread(double code) const {
    std::vector<double> sample;
    each((values_.rows() + kMostSampled - 1) / kMostSampled, [&](double v) {
      if (v != code) sample.push_back(v);
    });
    if (sample.size() < kFewest) return std::numeric_limits<double>::infinity();
    const auto quantile = [&](double q) {
      const auto at = sample.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(sample.size() - 1));
      std::nth_element(sample.begin(), at, sample.end());
      return *at;
    };
    const double range = quantile(0.75) - quantile(0.25);
    if (range > 0) return range;
    // Counts that are mostly equal.
    std::sort(sample.begin(), sample.end());
    std::vector<double> different;
    std::unique_copy(sample.begin(), sample.end(), std::back_inserter(different));
    if (different.size() < kFewest) return std::numeric_limits<double>::infinity();
    double mean = 0, square = 0;
    for (const double v : sample) mean += v / static_cast<double>(sample.size());
    for (const double v : sample) square += (v - mean) * (v - mean) / static_cast<double>(sample.size());
    // (so that a code is farther away than all of these from one another)
    return std::max(std::sqrt(square), (sample.back() - sample.front()) / kSeveralApart);
  }

 private:
  MatrixView<const T> values_;
  Index column_;
  std::vector<double> codes_;
};

// The outermost of numbers, how often it comes, and the next one; +1: the greatest, -1: the least.
struct End {
  double side;
  double value = -std::numeric_limits<double>::infinity(), next = value;
  Index rows = 0;

  void add(double v) {
    v *= side;
    if (v == value) {
      ++rows;
    } else if (v > value) {
      next = std::exchange(value, v);
      rows = 1;
    } else if (v > next) {
      next = v;
    }
  }
};

template <Scalar T>
std::vector<MissingCode> find(MatrixView<const T> values) {
  std::vector<MissingCode> found;
  for (Index column = 0; column < values.cols(); ++column) {
    Others<T> others(values, column);
    for (Index codes = 0; codes < kMostCodes; ++codes) {
      End least{.side = -1}, greatest{.side = 1};
      others.each(1, [&](double v) {
        least.add(v);
        greatest.add(v);
      });
      MissingCode code{.column = column};
      for (const End& end : {least, greatest}) {
        if (!std::isfinite(end.next) || !std::isfinite(end.value)) continue;
        const double value = end.side * end.value;
        const double spreads = (end.value - end.next) / others.spread(value);
        if (spreads > (end.rows >= kSeveral ? kSeveralApart : kFewApart) && spreads > code.spreads)
          code = {column, value, end.rows, spreads};
      }
      if (code.rows == 0) break;
      found.push_back(code);
      others.leave_out(code.value);
    }
  }
  return found;
}

}  // namespace

std::vector<MissingCode> find_missing_codes(MatrixView<const double> values) { return find(values); }
std::vector<MissingCode> find_missing_codes(MatrixView<const float> values) { return find(values); }

}  // namespace pushforward
