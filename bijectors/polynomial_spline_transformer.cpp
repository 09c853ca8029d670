#include <pushforward/bijectors/polynomial_spline_transformer.hpp>

#include <algorithm>
#include <cmath>
#include <string>

#include "src/core/circle.hpp"
#include "src/ops/polynomial_spline.hpp"

namespace pushforward {

using namespace detail;

namespace {

constexpr Choice<SplineTails> tails_choices[] = {{SplineTails::identity, "identity"}, {SplineTails::bounded, "bounded"}};
constexpr Index most_bins = PolynomialSplineShape::max_bins;

PolynomialSplineShape shape_of(const PolynomialSplineOptions& o) {
  return {.degree = o.degree,
          .bins = o.bins,
          .low = o.low,
          .high = o.high,
          .min_width = o.min_bin_width,
          .min_height = o.min_bin_height,
          .free_ends = o.tails == SplineTails::bounded};
}

template <Scalar T>
Index checked_parameter_count(const PolynomialSplineOptions& o) {
  const auto refuse = [](const std::string& expected, auto got) {
    throw DomainError("PolynomialSplineTransformer: expected " + expected + ", got " + number_text(got));
  };
  if (o.degree != 1 && o.degree != 2) refuse("degree 1 or 2", o.degree);
  if (o.bins < 2 || o.bins > most_bins) refuse("2 to " + std::to_string(most_bins) + " bins", o.bins);
  check_period<T>("PolynomialSplineTransformer", o.low, o.high);
  if (o.tails != SplineTails::identity && o.tails != SplineTails::bounded)
    throw DomainError("PolynomialSplineTransformer: tails may be identity or bounded");
  // Bins must stay apart after rounding, but for the rises of lines, whose slopes are known without their knots.
  const double spacing = 1e-13 * std::max(std::abs(o.low), std::abs(o.high)) / (o.high - o.low);
  const auto check = [&](const char* name, double minimum, double above) {
    if (!(minimum > above && minimum * static_cast<double>(o.bins) < 1))
      refuse(std::string(name) + " above " + number_text(above) + " and below 1 / bins", minimum);
  };
  check("min_bin_width", o.min_bin_width, spacing);
  check("min_bin_height", o.min_bin_height, o.degree == 1 ? 1e-301 : spacing);
  return shape_of(o).parameters();
}

}  // namespace

template <Scalar T>
PolynomialSplineTransformer<T>::PolynomialSplineTransformer(PolynomialSplineOptions options)
    : Transformer<T>("PolynomialSplineTransformer", checked_parameter_count<T>(options)), options_(options) {}

template <Scalar T>
auto PolynomialSplineTransformer<T>::apply(bool root, Pass<T>& pass, Var<T> x, Params params) const -> Elements {
  const bool bounded = options_.tails == SplineTails::bounded;
  Elements result = apply_polynomial_spline(shape_of(options_), root, pass.restrict_to(x, do_domain()), params);
  const T low = static_cast<T>(options_.low), high = static_cast<T>(options_.high);
  if (bounded) result.value = clamp(result.value, std::nextafter(low, high), std::nextafter(high, low));
  return result;
}

// A knot's s counts at least for half of the smallest bin in the area, so its slope is at most 2 / min_bin_width.
template <Scalar T>
double PolynomialSplineTransformer<T>::do_log_scale_bound() const {
  const PolynomialSplineOptions& o = options_;
  const double bins = static_cast<double>(o.bins), m = o.min_bin_height;
  if (o.degree == 1) return std::max(-std::log(bins * m), std::log(bins * (1 - (bins - 1) * m)));
  return std::max(-std::log(m), std::log(m + (1 - m) * 2 / o.min_bin_width));
}

template <Scalar T>
Interval PolynomialSplineTransformer<T>::do_domain() const {
  if (options_.tails == SplineTails::identity) return {};
  return {rounded<T>(options_.low), rounded<T>(options_.high)};
}

template <Scalar T>
void PolynomialSplineTransformer<T>::do_fields(Fields<T>& f) {
  f.type("polynomial_spline_transformer");
  f.constant("degree", options_.degree, 1, 2);
  f.constant("bins", options_.bins, 2, most_bins);
  f.constant("low", options_.low);
  f.constant("high", options_.high);
  f.constant("tails", options_.tails, tails_choices);
  f.constant("min_bin_width", options_.min_bin_width);
  f.constant("min_bin_height", options_.min_bin_height);
}

template <Scalar T>
void PolynomialSplineTransformer<T>::do_restored() {
  this->set_multiplier(checked_parameter_count<T>(options_));
}

template class PolynomialSplineTransformer<float>;
template class PolynomialSplineTransformer<double>;

}  // namespace pushforward
