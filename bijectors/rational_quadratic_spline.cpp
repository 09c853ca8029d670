#include <pushforward/bijectors/rational_quadratic_spline.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "src/core/number_text.hpp"
#include "src/numerics/special_functions.hpp"

namespace pushforward {

namespace {

double normal_quantile(double p) {
  return p <= 0.5 ? detail::normal_quantile_of_log(std::log(p)) : -detail::normal_quantile_of_log(std::log1p(-p));
}

/// Values in rising order, and the part of all rows that lies below each, half of its own row counted.
class Quantiles {
 public:
  Quantiles(std::vector<std::pair<double, double>> weighted) : values_(std::move(weighted)) {
    std::sort(values_.begin(), values_.end());
    double below = 0;
    for (auto& [value, weight] : values_) {
      const double own = weight;
      weight = below + 0.5 * own;
      below += own;
    }
    for (auto& [value, part] : values_) part /= below;
  }
  /// Between two values on a straight line.
  double operator()(double p) const {
    const auto after = std::partition_point(values_.begin(), values_.end(), [&](const auto& v) { return v.second < p; });
    if (after == values_.begin()) return values_.front().first;
    if (after == values_.end()) return values_.back().first;
    const auto& [low, from] = *(after - 1);
    const auto& [high, to] = *after;
    return low + (high - low) * ((p - from) / (to - from));
  }

 private:
  std::vector<std::pair<double, double>> values_;
};

/// Of the bins between knots, as parts of the interval and none too small for `minimum`.
std::vector<double> sizes(const std::vector<double>& knots, double minimum) {
  const std::size_t bins = knots.size() - 1;
  const double count = static_cast<double>(bins), range = knots.back() - knots.front();
  const double floor = minimum + 0.01 * (1 / count - minimum);
  std::vector<double> parts(bins);
  double above = 0;
  for (std::size_t k = 0; k < bins; ++k) above += parts[k] = std::max((knots[k + 1] - knots[k]) / range - floor, 0.0);
  for (double& part : parts) part = floor + (1 - count * floor) * part / above;
  return parts;
}

}  // namespace

template <Scalar T>
RationalQuadraticSpline<T> RationalQuadraticSpline<T>::of(MatrixView<const T> data, RationalQuadraticOptions options,
                                                          VectorView<const double> weights) {
  const std::string where = "RationalQuadraticSpline::of: ";
  if (options.parameters != SplineParameters::nflows || options.tails == SplineTails::circular)
    throw DomainError(where + "is for the parameters of nflows, and not for circular tails");
  if (data.rows() == 0) throw DomainError(where + "there are no rows");
  if (!weights.empty() && weights.size() != data.rows())
    throw ShapeError(where + "expected " + std::to_string(data.rows()) + " weights, got " + std::to_string(weights.size()));
  double total = 0;
  for (Index i = 0; i < weights.size(); ++i) {
    const double w = weights[i];
    if (!(w >= 0) || !std::isfinite(w)) throw DomainError(where + "a weight is " + detail::number_text(w));
    total += w;
  }
  if (!weights.empty() && !(total > 0)) throw DomainError(where + "the weights must sum to a positive number");

  RationalQuadraticSpline spline(data.cols(), options);
  const auto bins = static_cast<std::size_t>(options.bins);
  for (Index c = 0; c < data.cols(); ++c) {
    std::vector<std::pair<double, double>> values;
    for (Index i = 0; i < data.rows(); ++i) {
      const auto v = static_cast<double>(data(i, c));
      if (!std::isfinite(v))
        throw DomainError(where + "row " + std::to_string(i) + ", column " + std::to_string(c) + " is " +
                          detail::number_text(v));
      if (weights.empty() || weights[i] > 0) values.emplace_back(v, weights.empty() ? 1 : weights[i]);
    }
    const Quantiles quantile(std::move(values));
    std::vector<double> from{options.low}, to{options.low};
    for (std::size_t k = 1; k < bins; ++k) {
      const double p = static_cast<double>(k) / static_cast<double>(bins);
      from.push_back(std::clamp(quantile(p), options.low, options.high));
      to.push_back(std::clamp(normal_quantile(p), options.low, options.high));
    }
    from.push_back(options.high), to.push_back(options.high);
    const std::vector<double> width = sizes(from, options.min_bin_width), height = sizes(to, options.min_bin_height);

    std::vector<double> raw;
    const auto add_sizes = [&](const std::vector<double>& parts, double minimum) {
      for (const double part : parts)
        raw.push_back(std::log((part - minimum) / (1 - static_cast<double>(bins) * minimum)) / options.raw_scale);
    };
    add_sizes(width, options.min_bin_width);
    add_sizes(height, options.min_bin_height);
    const auto rise = [&](std::size_t k) { return height[k] / width[k]; };
    const auto add_slope = [&](double slope) {
      const double v = std::clamp(slope, 1.01 * options.min_derivative, options.max_derivative) - options.min_derivative;
      raw.push_back(v + std::log(-std::expm1(-v)));  // the inverse of softplus
    };
    const bool ends = options.tails != SplineTails::identity;
    if (ends) add_slope(rise(0));
    for (std::size_t k = 1; k < bins; ++k) {
      const double a = width[k - 1], b = width[k];
      add_slope(3 * (a + b) / ((2 * b + a) / rise(k - 1) + (b + 2 * a) / rise(k)));
    }
    if (ends) add_slope(rise(bins - 1));
    for (std::size_t p = 0; p < raw.size(); ++p)
      spline.raw()[static_cast<Index>(p) * data.cols() + c] = static_cast<T>(raw[p]);
  }
  return spline;
}

template class RationalQuadraticSpline<float>;
template class RationalQuadraticSpline<double>;

}  // namespace pushforward
