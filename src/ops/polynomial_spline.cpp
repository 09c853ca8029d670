#include "src/ops/polynomial_spline.hpp"

#include <Eigen/Core>
#include <unsupported/Eigen/AutoDiff>

#include "src/ops/element_map.hpp"
#include "src/ops/parabola.hpp"

namespace pushforward::detail {

namespace {

constexpr Index max_bins = PolynomialSplineShape::max_bins;

/// What one element's parameters mean.
struct Knots {
  double share[max_bins];  ///< the softmax
  double width[max_bins];
  double raw_slope[max_bins + 1], slope[max_bins + 1];  ///< at the knots, before and after the area was made 1
  double area, end_rest;
  Index bin;
  Parabola<double> at;  ///< in units of the interval
  double right, top;  ///< where it ends
};

struct Map : PolynomialSplineShape {
  bool inside(double in) const { return in >= low && in <= high; }

  /// The slope at knot j is that of the raw number first_slope() + j.
  Index first_slope() const { return free_ends ? bins : bins - 1; }

  void find(bool root, double u, const double* raw, Knots& k) const {
    const auto count = static_cast<std::size_t>(bins);
    softmax({raw, count}, k.share);
    const double each = 1 / static_cast<double>(bins);
    if (degree == 2) set_slopes(raw, k);
    double x = 0, y = 0;
    for (Index j = 0; j < bins; ++j) {
      const bool last = j + 1 == bins;
      double width = each, rise, left, right;
      if (degree == 1) {
        rise = min_height + (1 - static_cast<double>(bins) * min_height) * k.share[j];
        left = right = rise * static_cast<double>(bins);
      } else {
        width = k.width[j], left = k.slope[j], right = k.slope[j + 1];
        rise = width * 0.5 * (left + right);
      }
      const double next_x = last ? 1 : x + width, next_y = last ? 1 : y + rise;
      if (j == 0 || u >= (root ? y : x)) {
        k.bin = j;
        k.at = {x, width, y, left, right};
        k.right = next_x, k.top = next_y;
      }
      x = next_x, y = next_y;
    }
  }

  void set_slopes(const double* raw, Knots& k) const {
    const double* w = k.width;
    double* s = k.raw_slope;
    for (Index j = 0; j < bins; ++j)
      k.width[j] = min_width + (1 - static_cast<double>(bins) * min_width) * k.share[j];
    for (Index j = free_ends ? 0 : 1; j < (free_ends ? bins + 1 : bins); ++j)
      s[j] = softplus_of(raw[first_slope() + j]) + 1e-3;
    if (!free_ends) {
      // Such that the area is what stands at the ends.
      double inner = 0.5 * (w[0] * s[1] + w[bins - 1] * s[bins - 1]);
      for (Index j = 1; j + 1 < bins; ++j) inner += 0.5 * w[j] * (s[j] + s[j + 1]);
      k.end_rest = 1 - 0.5 * (w[0] + w[bins - 1]);
      s[0] = s[bins] = inner / k.end_rest;
    }
    k.area = 0;
    for (Index j = 0; j < bins; ++j) k.area += 0.5 * w[j] * (s[j] + s[j + 1]);
    for (Index j = 0; j <= bins; ++j) k.slope[j] = min_height + (1 - min_height) * s[j] / k.area;
    if (!free_ends) k.slope[0] = k.slope[bins] = 1;
  }

  ElementImage image(bool root, double in, const double* raw) const {
    const double range = high - low, u = (in - low) / range;
    Knots k;
    find(root, u, raw, k);
    const auto [value, log_derivative] = image_of(k.at, root, u);
    // Rounding does not lead out of the bin.
    const double kept = std::clamp(value, root ? k.at.x : k.at.y, root ? k.right : k.top);
    return {kept == 1 ? high : std::clamp(low + range * kept, low, high), log_derivative};
  }

  void accumulate(bool root, double in, const double* raw, double g_value, double g_log, double& g_in,
                  double* g_raw) const {
    using Partials = Eigen::Matrix<double, 6, 1>;
    using Jet = Eigen::AutoDiffScalar<Partials>;
    const double range = high - low, u = (in - low) / range;
    Knots k;
    find(root, u, raw, k);
    const auto jet = [](double value, int i) { return Jet(value, 6, i); };
    const Parabola<Jet> piece{jet(k.at.x, 1), jet(k.at.width, 2), jet(k.at.y, 3), jet(k.at.left, 4), jet(k.at.right, 5)};
    const ParabolaImage<Jet> y = image_of(piece, root, jet(u, 0));
    const Partials g = (g_value * range) * y.value.derivatives() + g_log * y.log_derivative.derivatives();
    g_in += g[0] / range;
    const auto count = static_cast<std::size_t>(bins);
    const double free = 1 - static_cast<double>(bins) * (degree == 1 ? min_height : min_width);
    double g_width[max_bins] = {}, g_slope[max_bins + 1] = {};
    if (degree == 1) {
      double* g_rise = g_width;
      for (Index j = 0; j < k.bin; ++j) g_rise[j] += g[3];
      g_rise[k.bin] += static_cast<double>(bins) * (g[4] + g[5]);
      accumulate_softmax({k.share, count}, g_rise, free, g_raw);
      return;
    }
    const double *w = k.width, *v = k.slope, *s = k.raw_slope;
    for (Index j = 0; j < k.bin; ++j) {
      g_width[j] += g[1] + g[3] * 0.5 * (v[j] + v[j + 1]);
      g_slope[j] += g[3] * 0.5 * w[j];
      g_slope[j + 1] += g[3] * 0.5 * w[j];
    }
    g_width[k.bin] += g[2];
    g_slope[k.bin] += g[4];
    g_slope[k.bin + 1] += g[5];
    // Through v = min_height + (1 - min_height) s / area.
    if (!free_ends) g_slope[0] = g_slope[bins] = 0;
    double g_area = 0;
    for (Index j = 0; j <= bins; ++j) {
      g_slope[j] *= (1 - min_height) / k.area;
      g_area -= g_slope[j] * s[j] / k.area;
    }
    for (Index j = 0; j < bins; ++j) {
      g_width[j] += g_area * 0.5 * (s[j] + s[j + 1]);
      g_slope[j] += g_area * 0.5 * w[j];
      g_slope[j + 1] += g_area * 0.5 * w[j];
    }
    if (!free_ends) {
      const double g_inner = (g_slope[0] + g_slope[bins]) / k.end_rest, g_rest = -g_inner * s[0];
      g_slope[1] += g_inner * 0.5 * w[0];
      g_slope[bins - 1] += g_inner * 0.5 * w[bins - 1];
      g_width[0] += g_inner * 0.5 * s[1] - 0.5 * g_rest;
      g_width[bins - 1] += g_inner * 0.5 * s[bins - 1] - 0.5 * g_rest;
      for (Index j = 1; j + 1 < bins; ++j) {
        g_width[j] += g_inner * 0.5 * (s[j] + s[j + 1]);
        g_slope[j] += g_inner * 0.5 * w[j];
        g_slope[j + 1] += g_inner * 0.5 * w[j];
      }
    }
    for (Index j = free_ends ? 0 : 1; j < (free_ends ? bins + 1 : bins); ++j)
      g_raw[first_slope() + j] += g_slope[j] * sigmoid_of(raw[first_slope() + j]);
    accumulate_softmax({k.share, count}, g_width, free, g_raw);
  }
};

}  // namespace

template <Scalar T>
MappedElements<T> apply_polynomial_spline(const PolynomialSplineShape& shape, bool root, Var<T> x,
                                          std::span<const Var<T>> params) {
  return map_elements(Map{shape}, root, x, params);
}

template MappedElements<float> apply_polynomial_spline(const PolynomialSplineShape&, bool, Var<float>,
                                                       std::span<const Var<float>>);
template MappedElements<double> apply_polynomial_spline(const PolynomialSplineShape&, bool, Var<double>,
                                                        std::span<const Var<double>>);

}  // namespace pushforward::detail
