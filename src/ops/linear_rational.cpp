#include "src/ops/linear_rational.hpp"

#include <algorithm>
#include <cmath>

#include <Eigen/Core>
#include <unsupported/Eigen/AutoDiff>

#include "src/ops/element_map.hpp"

namespace pushforward::detail {

namespace {

/// One bin: where it begins, its size, the slopes at its ends and the part of it at which its two pieces meet. The
/// weight of the left end is 1.
template <class S>
struct Bin {
  S x, width, y, height, slope0, slope1, lambda;
};
template <class S>
struct Image {
  S value, log_derivative;
};

/// The map of `in`, which lies in the bin; distances are taken from the nearer end, where they keep their digits.
template <class S>
Image<S> image(const Bin<S>& b, bool root, const S& in) {
  using std::log;
  using std::sqrt;
  const S& l = b.lambda;
  const S rest = 1.0 - l, weight1 = sqrt(b.slope0 / b.slope1), sum = rest + l * weight1;
  const S weight = (l * b.slope0 + rest * weight1 * b.slope1) * b.width / b.height;  // where the pieces meet
  const S rise = b.height * l * weight1 / sum, fall = b.height * rest / sum;         // from there to the ends
  S p, q;                                                                            // of the width, from either end
  bool left;
  if (root) {
    const S up = in - b.y, down = b.height - up;
    left = up <= rise;
    if (left) {
      p = l * up / (up + weight * (rise - up));
      q = 1.0 - p;
    } else {
      q = rest * weight1 * down / (weight1 * down + weight * (fall - down));
      p = 1.0 - q;
    }
  } else {
    p = (in - b.x) / b.width;
    q = 1.0 - p;
    left = p <= l;
  }
  S value, log_slope;
  if (left) {
    const S below = (l - p) + weight * p;
    value = root ? S(b.x + b.width * p) : S(b.y + weight * rise * p / below);
    log_slope = log(l * weight * rise / b.width) - 2.0 * log(below);
  } else {
    const S below = weight * q + weight1 * (rest - q);
    value = root ? S(b.x + b.width * (1.0 - q)) : S(b.y + b.height - weight * fall * q / below);
    log_slope = log(rest * weight * weight1 * fall / b.width) - 2.0 * log(below);
  }
  return {value, root ? S(-log_slope) : log_slope};
}

/// What one element's parameters mean.
struct Knots {
  double width_share[LinearRationalShape::max_bins], height_share[LinearRationalShape::max_bins];  // the softmaxes
  Index bin;
  Bin<double> at;
  double right, top;  ///< where it ends
};

/// `raw`: all parameters of the element; `in` lies in the interval, or is NaN.
void find(const LinearRationalShape& s, bool root, double in, const double* raw, Knots& knots) {
  const auto count = static_cast<std::size_t>(s.bins);
  softmax({raw, count}, knots.width_share);
  softmax({raw + s.bins, count}, knots.height_share);
  const double range = s.high - s.low, bins = static_cast<double>(s.bins);
  double x = s.low, y = s.low;
  for (Index k = 0; k < s.bins; ++k) {
    const double width = range * (s.min_width + (1 - bins * s.min_width) * knots.width_share[k]);
    const double height = range * (s.min_height + (1 - bins * s.min_height) * knots.height_share[k]);
    const bool last = k + 1 == s.bins;
    const double right = last ? s.high : x + width, top = last ? s.high : y + height;
    if (k == 0 || in >= (root ? y : x)) {
      knots.bin = k;
      knots.at.x = x, knots.at.width = right - x, knots.right = right;
      knots.at.y = y, knots.at.height = top - y, knots.top = top;
    }
    x = right, y = top;
  }
  const auto slope = [&](Index knot) {
    if (knot == 0 || knot == s.bins) return s.end_slope;
    return std::min(s.min_derivative + softplus_of(raw[2 * s.bins + knot - 1]), LinearRationalShape::largest_slope);
  };
  knots.at.slope0 = slope(knots.bin);
  knots.at.slope1 = slope(knots.bin + 1);
  knots.at.lambda = s.min_lambda + (1 - 2 * s.min_lambda) * sigmoid_of(raw[3 * s.bins - 1 + knots.bin]);
}

using Partials = Eigen::Matrix<double, 8, 1>;
using Jet = Eigen::AutoDiffScalar<Partials>;

struct Map : LinearRationalShape {
  bool inside(double in) const { return in >= low && in <= high; }

  ElementImage image(bool root, double in, const double* raw) const {
    Knots knots;
    find(*this, root, in, raw, knots);
    const Image<double> out = detail::image(knots.at, root, in);
    // Rounding does not lead out of the bin.
    const Bin<double>& b = knots.at;
    return {std::clamp(out.value, root ? b.x : b.y, root ? knots.right : knots.top), out.log_derivative};
  }

  void accumulate(bool root, double in, const double* raw, double g_value, double g_log, double& g_in,
                  double* g_raw) const {
    Knots knots;
    find(*this, root, in, raw, knots);
    const Bin<double>& b = knots.at;
    const auto jet = [](double value, int i) { return Jet(value, 8, i); };
    const Bin<Jet> bin{jet(b.x, 1),      jet(b.width, 2),  jet(b.y, 3),     jet(b.height, 4),
                       jet(b.slope0, 5), jet(b.slope1, 6), jet(b.lambda, 7)};
    const Image<Jet> y = detail::image(bin, root, jet(in, 0));
    const Partials g = g_value * y.value.derivatives() + g_log * y.log_derivative.derivatives();
    g_in += g[0];
    const Index k = knots.bin;
    const auto count = static_cast<std::size_t>(bins);
    // A knot is the sum of the sizes before it.
    const auto sizes = [&](Index first, const double* share, double minimum, double g_knot, double g_size) {
      double g_sizes[max_bins];
      for (Index j = 0; j < bins; ++j) g_sizes[j] = j < k ? g_knot : j == k ? g_size : 0;
      const double free = (high - low) * (1 - static_cast<double>(bins) * minimum);
      accumulate_softmax({share, count}, g_sizes, free, g_raw + first);
    };
    sizes(0, knots.width_share, min_width, g[1], g[2]);
    sizes(bins, knots.height_share, min_height, g[3], g[4]);
    const auto slope = [&](Index knot, double g_slope, double value) {
      if (knot == 0 || knot == bins || !(value < largest_slope)) return;
      const Index p = 2 * bins + knot - 1;
      g_raw[p] += g_slope * sigmoid_of(raw[p]);
    };
    slope(k, g[5], b.slope0);
    slope(k + 1, g[6], b.slope1);
    const Index p = 3 * bins - 1 + k;
    const double part = sigmoid_of(raw[p]);
    g_raw[p] += g[7] * (1 - 2 * min_lambda) * part * (1 - part);
  }
};

}  // namespace

template <Scalar T>
MappedElements<T> apply_linear_rational(const LinearRationalShape& shape, bool root, Var<T> x,
                                        std::span<const Var<T>> params) {
  return map_elements(Map{shape}, root, x, params);
}

template MappedElements<float> apply_linear_rational(const LinearRationalShape&, bool, Var<float>,
                                                     std::span<const Var<float>>);
template MappedElements<double> apply_linear_rational(const LinearRationalShape&, bool, Var<double>,
                                                      std::span<const Var<double>>);

}  // namespace pushforward::detail
