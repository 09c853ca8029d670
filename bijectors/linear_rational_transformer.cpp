#include <pushforward/bijectors/linear_rational_transformer.hpp>

#include <algorithm>
#include <cmath>
#include <string>

#include "src/core/number_text.hpp"
#include "src/ops/linear_rational.hpp"

namespace pushforward {

using namespace detail;

namespace {

constexpr Index most_bins = LinearRationalShape::max_bins;
constexpr double largest_slope = LinearRationalShape::largest_slope;

Index checked_parameter_count(const LinearRationalOptions& o) {
  const auto refuse = [](const std::string& expected, auto got) {
    throw DomainError("LinearRationalTransformer: expected " + expected + ", got " + number_text(got));
  };
  if (o.bins < 2 || o.bins > most_bins) refuse("2 to " + std::to_string(most_bins) + " bins", o.bins);
  if (!std::isfinite(o.low) || !std::isfinite(o.high) || !(o.low < o.high))
    refuse("finite low < high, the latter " + number_text(o.high), o.low);
  // Knots must stay apart after rounding.
  const double spacing = 1e-13 * std::max(std::abs(o.low), std::abs(o.high)) / (o.high - o.low);
  for (const double minimum : {o.min_bin_width, o.min_bin_height})
    if (!(minimum > spacing && minimum * static_cast<double>(o.bins) < 1))
      refuse("min_bin_width and min_bin_height above " + number_text(spacing) + " and below 1 / bins", minimum);
  if (!(o.min_derivative > 0 && o.min_derivative < 1)) refuse("min_derivative in (0, 1)", o.min_derivative);
  if (!(o.min_lambda > 0 && o.min_lambda < 0.5)) refuse("min_lambda in (0, 0.5)", o.min_lambda);
  if (!(o.end_slope >= o.min_derivative && o.end_slope <= largest_slope))
    refuse("end_slope in [" + number_text(o.min_derivative) + ", 1e18]", o.end_slope);
  return 4 * o.bins - 1;
}

}  // namespace

template <Scalar T>
LinearRationalTransformer<T>::LinearRationalTransformer(LinearRationalOptions options)
    : Transformer<T>("LinearRationalTransformer", checked_parameter_count(options)), options_(options) {}

template <Scalar T>
auto LinearRationalTransformer<T>::apply(bool root, Var<T> x, std::span<const Var<T>> params) const -> Elements {
  const LinearRationalOptions& o = options_;
  const LinearRationalShape shape{.bins = o.bins,
                                  .low = o.low,
                                  .high = o.high,
                                  .min_width = o.min_bin_width,
                                  .min_height = o.min_bin_height,
                                  .min_derivative = o.min_derivative,
                                  .min_lambda = o.min_lambda,
                                  .end_slope = o.end_slope};
  return apply_linear_rational(shape, root, x, params);
}

template <Scalar T>
auto LinearRationalTransformer<T>::do_forward(Pass<T>&, Var<T> x, std::span<const Var<T>> params) const -> Elements {
  return apply(true, x, params);
}

template <Scalar T>
auto LinearRationalTransformer<T>::do_inverse(Pass<T>&, Var<T> y, std::span<const Var<T>> params) const -> Elements {
  return apply(false, y, params);
}

// Within a piece the slope rises or falls from that of its knot to that where the pieces meet, s^2 times a mean of 1
// and v^-1 turned over, over one of d0 and sqrt(d0 d1): v lies in [sqrt(m / M), sqrt(M / m)].
template <Scalar T>
double LinearRationalTransformer<T>::do_log_scale_bound() const {
  const LinearRationalOptions& o = options_;
  const double others = static_cast<double>(o.bins - 1);
  const double log_s0 = std::log(o.min_bin_height / (1 - others * o.min_bin_width));
  const double log_s1 = std::log((1 - others * o.min_bin_height) / o.min_bin_width);
  const double log_m = std::log(o.min_derivative), log_M = std::log(largest_slope), log_v = (log_M - log_m) / 2;
  const double least = std::min(log_m, 2 * log_s0 - log_v - log_M);
  const double largest = std::max(log_M, 2 * log_s1 + log_v - log_m);
  return std::max(-least, largest);
}

template <Scalar T>
void LinearRationalTransformer<T>::do_fields(Fields<T>& f) {
  f.type("linear_rational_transformer");
  f.constant("bins", options_.bins, 2, most_bins);
  f.constant("low", options_.low);
  f.constant("high", options_.high);
  f.constant("min_bin_width", options_.min_bin_width);
  f.constant("min_bin_height", options_.min_bin_height);
  f.constant("min_derivative", options_.min_derivative);
  f.constant("min_lambda", options_.min_lambda);
  f.constant("end_slope", options_.end_slope);
}

template <Scalar T>
void LinearRationalTransformer<T>::do_restored() {
  this->set_multiplier(checked_parameter_count(options_));
}

template class LinearRationalTransformer<float>;
template class LinearRationalTransformer<double>;

}  // namespace pushforward
