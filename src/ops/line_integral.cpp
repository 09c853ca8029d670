#include "src/ops/line_integral.hpp"

#include <algorithm>

#include <Eigen/Core>
#include <unsupported/Eigen/AutoDiff>

#include "src/ops/element_map.hpp"
#include "src/ops/parabola.hpp"

namespace pushforward::detail {

namespace {

struct Map : LineIntegralShape {
  struct Knots {
    double slope[max_bins + 1], area[max_bins + 1];  ///< the latter from the middle
    Index left, right;                               ///< knots whose slopes `at` has
    Index start;                                     ///< the knot that it begins at
    Parabola<double> at;
  };

  bool inside(double in) const { return in == in; }
  double width() const { return (high - low) / static_cast<double>(bins); }

  void find(bool root, double in, const double* raw, Knots& k) const {
    const Index middle = bins / 2;
    for (Index j = 0; j <= bins; ++j) k.slope[j] = std::exp(raw[j]);
    k.area[middle] = 0;
    for (Index j = middle; j < bins; ++j) k.area[j + 1] = k.area[j] + 0.5 * width() * (k.slope[j] + k.slope[j + 1]);
    for (Index j = middle; j > 0; --j) k.area[j - 1] = k.area[j] - 0.5 * width() * (k.slope[j - 1] + k.slope[j]);
    const auto knot = [&](Index j) { return j == bins ? high : low + width() * static_cast<double>(j); };
    Index j = 0;  // knots that lie at or below `in`
    while (j <= bins && in >= (root ? k.area[j] : knot(j))) ++j;
    k.start = std::clamp<Index>(j - 1, 0, bins);
    k.left = k.start;
    // A line beyond the ends.
    k.right = j == 0 ? 0 : std::min(k.start + 1, bins);
    k.at = {knot(k.start), width(), k.area[k.start], k.slope[k.left], k.slope[k.right]};
  }

  ElementImage image(bool root, double in, const double* raw) const {
    Knots k;
    find(root, in, raw, k);
    const auto [value, log_derivative] = image_of(k.at, root, in);
    return {value, log_derivative};
  }

  void accumulate(bool root, double in, const double* raw, double g_value, double g_log, double& g_in,
                  double* g_raw) const {
    using Partials = Eigen::Matrix<double, 4, 1>;
    using Jet = Eigen::AutoDiffScalar<Partials>;
    Knots k;
    find(root, in, raw, k);
    const auto jet = [](double value, int i) { return Jet(value, 4, i); };
    const Parabola<Jet> piece{Jet(k.at.x), Jet(k.at.width), jet(k.at.y, 1), jet(k.at.left, 2), jet(k.at.right, 3)};
    const ParabolaImage<Jet> y = image_of(piece, root, jet(in, 0));
    const Partials g = g_value * y.value.derivatives() + g_log * y.log_derivative.derivatives();
    g_in += g[0];
    const auto add = [&](Index j, double g_slope) { g_raw[j] += g_slope * k.slope[j]; };
    add(k.left, g[2]);
    add(k.right, g[3]);
    const Index middle = bins / 2;
    const double each = 0.5 * width() * (k.start < middle ? -g[1] : g[1]);
    for (Index j = std::min(k.start, middle); j < std::max(k.start, middle); ++j) add(j, each), add(j + 1, each);
  }
};

}  // namespace

template <Scalar T>
MappedElements<T> apply_line_integral(const LineIntegralShape& shape, bool root, Var<T> x,
                                      std::span<const Var<T>> params) {
  return map_elements(Map{shape}, root, x, params);
}

template MappedElements<float> apply_line_integral(const LineIntegralShape&, bool, Var<float>,
                                                   std::span<const Var<float>>);
template MappedElements<double> apply_line_integral(const LineIntegralShape&, bool, Var<double>,
                                                    std::span<const Var<double>>);

}  // namespace pushforward::detail
