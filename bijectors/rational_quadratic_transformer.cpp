#include <algorithm>
#include <cmath>
#include <limits>
#include <pushforward/bijectors/rational_quadratic_transformer.hpp>
#include <pushforward/error.hpp>
#include <string>

#include "src/core/number_text.hpp"
#include "src/core/rounded.hpp"
#include "src/ops/spline.hpp"

namespace pushforward {

using namespace detail;

namespace {

constexpr double largest_derivative = 1e18;  // its square is a float

constexpr Choice<SplineTails> tails_choices[] = {{SplineTails::identity, "identity"},
                                                 {SplineTails::circular, "circular"},
                                                 {SplineTails::bounded, "bounded"},
                                                 {SplineTails::free, "free"},
                                                 {SplineTails::linear, "linear"}};
constexpr Choice<SplineParameters> parameters_choices[] = {{SplineParameters::nflows, "nflows"},
                                                           {SplineParameters::zuko, "zuko"}};

Index parameter_count(const RationalQuadraticOptions& o) {
  const Index knots = o.tails == SplineTails::identity   ? o.bins - 1
                      : o.tails == SplineTails::circular ? o.bins
                                                         : o.bins + 1;
  return 2 * o.bins + knots;
}

/// Smallest and largest part of the interval that a bin takes.
std::pair<double, double> size_range(const RationalQuadraticOptions& o, double minimum) {
  const double others = static_cast<double>(o.bins - 1);
  if (o.parameters == SplineParameters::nflows) return {minimum, 1 - others * minimum};
  return {1 / (1 + others / o.slope), 1 / (1 + others * o.slope)};
}

/// Smallest and largest slope at a knot.
std::pair<double, double> slope_range(const RationalQuadraticOptions& o) {
  if (o.parameters == SplineParameters::zuko) return {o.slope, 1 / o.slope};
  return {o.min_derivative, std::min(o.max_derivative, largest_derivative)};
}

/// Checks the options for scalar T.
template <Scalar T>
Index checked_parameter_count(const RationalQuadraticOptions& o) {
  const auto refuse = [](const std::string& expected, auto got) {
    throw DomainError("RationalQuadraticTransformer: expected " + expected + ", got " + detail::number_text(got));
  };
  if (o.bins < 2 || o.bins > kernels::Spline<T>::max_bins)
    refuse("2 to " + std::to_string(kernels::Spline<T>::max_bins) + " bins", o.bins);
  if (!std::isfinite(o.low) || !std::isfinite(o.high) || !(o.low < o.high))
    refuse("finite low < high, the latter " + detail::number_text(o.high), o.low);
  if (!(o.slope > 0 && o.slope < 1)) refuse("slope in (0, 1)", o.slope);
  if (!(o.min_derivative > 0 && o.min_derivative < 1)) refuse("min_derivative in (0, 1)", o.min_derivative);
  if (!(o.max_derivative > 1)) refuse("max_derivative above 1", o.max_derivative);
  const auto [least, largest] = slope_range(o);
  if (!(o.end_slope >= least && o.end_slope <= largest))
    refuse("end_slope in [" + detail::number_text(least) + ", " + detail::number_text(largest) + "]", o.end_slope);
  if (o.tails != SplineTails::identity && o.end_slope != 1) refuse("end_slope with identity tails alone", o.end_slope);
  if (!(o.raw_scale > 0 && std::isfinite(o.raw_scale))) refuse("raw_scale above 0", o.raw_scale);
  // Knots must stay apart after rounding.
  const double spacing = 64 * static_cast<double>(std::numeric_limits<T>::epsilon()) *
                         std::max(std::abs(o.low), std::abs(o.high)) / (o.high - o.low);
  for (const double minimum : {o.min_bin_width, o.min_bin_height}) {
    if (!(minimum > 0 && minimum * static_cast<double>(o.bins) < 1))
      refuse("min_bin_width and min_bin_height above 0 and below 1 / bins", minimum);
    if (size_range(o, minimum).first < spacing)
      refuse("bins of at least " + detail::number_text(spacing) + " of the interval in this precision",
             size_range(o, minimum).first);
  }
  return parameter_count(o);
}

kernels::Tails kernel_tails(SplineTails tails) {
  switch (tails) {
    case SplineTails::identity:
      return kernels::Tails::identity;
    case SplineTails::circular:
      return kernels::Tails::circular;
    case SplineTails::bounded:
    case SplineTails::free:
      return kernels::Tails::bounded;
    case SplineTails::linear:
      return kernels::Tails::linear;
  }
  throw DomainError("RationalQuadraticTransformer: no such tails");
}

template <Scalar T>
kernels::Spline<T> kernel_spline(const RationalQuadraticOptions& o) {
  const bool soft = o.parameters == SplineParameters::zuko;
  const auto number = [](double x) { return static_cast<T>(x); };
  const T low = number(o.low), high = number(o.high);
  const bool open = o.tails == SplineTails::bounded;
  return {.bins = o.bins,
          .low = low,
          .high = high,
          .first = open ? std::nextafter(low, high) : low,
          .last = open ? std::nextafter(high, low) : high,
          .tails = kernel_tails(o.tails),
          .scale = number(o.raw_scale),
          .min_width = number(soft ? 0 : o.min_bin_width),
          .min_height = number(soft ? 0 : o.min_bin_height),
          .min_derivative = number(o.min_derivative),
          .max_derivative = number(std::min(o.max_derivative, largest_derivative)),
          .log_range = number(soft ? -std::log(o.slope) : 0),
          .end_slope = number(o.end_slope)};
}

}  // namespace

template <Scalar T>
RationalQuadraticTransformer<T>::RationalQuadraticTransformer(RationalQuadraticOptions options)
    : Transformer<T>("RationalQuadraticTransformer", checked_parameter_count<T>(options)), options_(options) {}

template <Scalar T>
auto RationalQuadraticTransformer<T>::do_forward(Pass<T>& pass, Var<T> x, std::span<const Var<T>> params) const
    -> Elements {
  const Var<T> inside = pass.restrict_to(x, do_domain());
  const auto [value, log_derivative] = apply_spline(kernel_spline<T>(options_), true, inside, params);
  return {value, log_derivative};
}

template <Scalar T>
auto RationalQuadraticTransformer<T>::do_inverse(Pass<T>& pass, Var<T> y, std::span<const Var<T>> params) const
    -> Elements {
  const Var<T> inside = pass.restrict_to(y, do_domain());
  const auto [value, log_derivative] = apply_spline(kernel_spline<T>(options_), false, inside, params);
  return {value, log_derivative};
}

template <Scalar T>
double RationalQuadraticTransformer<T>::do_log_scale_bound() const {
  const auto [m, largest] = slope_range(options_);
  const auto [w_min, w_max] = size_range(options_, options_.min_bin_width);
  const auto [h_min, h_max] = size_range(options_, options_.min_bin_height);
  const double s0 = h_min / w_max, s1 = h_max / w_min;
  const double low = 2 * std::log(s0) + std::log(std::min(m, s0)) - 2 * std::log(std::max(largest, s0));
  return std::max(-low, std::log(4 * std::max(largest, s1)));
}

template <Scalar T>
Interval RationalQuadraticTransformer<T>::do_domain() const {
  const T low = static_cast<T>(options_.low), high = static_cast<T>(options_.high);
  const T infinity = std::numeric_limits<T>::infinity();
  switch (options_.tails) {
    case SplineTails::identity:
    case SplineTails::free:
    case SplineTails::linear:
      return {};
    case SplineTails::circular:  // both ends belong to it
      return {static_cast<double>(std::nextafter(low, -infinity)), static_cast<double>(std::nextafter(high, infinity))};
    default:
      return {rounded<T>(options_.low), rounded<T>(options_.high)};
  }
}

template <Scalar T>
void RationalQuadraticTransformer<T>::do_fields(Fields<T>& f) {
  f.type("rational_quadratic_transformer");
  f.constant("bins", options_.bins, 2, kernels::Spline<double>::max_bins);
  f.constant("low", options_.low);
  f.constant("high", options_.high);
  f.constant("tails", options_.tails, tails_choices);
  f.constant("parameters", options_.parameters, parameters_choices);
  f.constant("min_bin_width", options_.min_bin_width);
  f.constant("min_bin_height", options_.min_bin_height);
  f.constant("min_derivative", options_.min_derivative);
  f.optional("max_derivative", options_.max_derivative, RationalQuadraticOptions().max_derivative);
  f.constant("raw_scale", options_.raw_scale);
  f.constant("slope", options_.slope);
  f.optional("end_slope", options_.end_slope, 1.0);
}

template <Scalar T>
void RationalQuadraticTransformer<T>::do_restored() {
  this->set_multiplier(checked_parameter_count<T>(options_));
}

template class RationalQuadraticTransformer<float>;
template class RationalQuadraticTransformer<double>;

}  // namespace pushforward
