#include "src/ops/linear_rational.hpp"

#include <algorithm>
#include <cmath>
#include <memory>

#include <Eigen/Core>
#include <unsupported/Eigen/AutoDiff>

#include "src/ops/common.hpp"

namespace pushforward::detail {

namespace {

double positive(double raw) { return std::max(raw, 0.0) + std::log1p(std::exp(-std::abs(raw))); }
double between_0_and_1(double raw) { return 1 / (1 + std::exp(-raw)); }

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

void softmax(const LinearRationalShape& s, const double* raw, double* shares) {
  const double largest = *std::max_element(raw, raw + s.bins);
  double sum = 0;
  for (Index k = 0; k < s.bins; ++k) sum += shares[k] = std::exp(raw[k] - largest);
  for (Index k = 0; k < s.bins; ++k) shares[k] /= sum;
}

/// `raw`: all parameters of the element; `in` lies in the interval, or is NaN.
void find(const LinearRationalShape& s, bool root, double in, const double* raw, Knots& knots) {
  softmax(s, raw, knots.width_share);
  softmax(s, raw + s.bins, knots.height_share);
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
    return std::min(s.min_derivative + positive(raw[2 * s.bins + knot - 1]), LinearRationalShape::largest_slope);
  };
  knots.at.slope0 = slope(knots.bin);
  knots.at.slope1 = slope(knots.bin + 1);
  knots.at.lambda = s.min_lambda + (1 - 2 * s.min_lambda) * between_0_and_1(raw[3 * s.bins - 1 + knots.bin]);
}

bool inside(const LinearRationalShape& s, double in) { return in >= s.low && in <= s.high; }

using Partials = Eigen::Matrix<double, 8, 1>;
using Jet = Eigen::AutoDiffScalar<Partials>;

/// Adds to the gradients of the input and of the raw parameters.
template <Scalar T>
void accumulate(const LinearRationalShape& s, bool root, double in, const double* raw, double g_value, double g_log,
                T* g_in, T* const* g_raw, Index row) {
  Knots knots;
  find(s, root, in, raw, knots);
  const Bin<double>& b = knots.at;
  const auto jet = [](double value, int i) { return Jet(value, 8, i); };
  const Bin<Jet> bin{jet(b.x, 1),      jet(b.width, 2),  jet(b.y, 3),     jet(b.height, 4),
                     jet(b.slope0, 5), jet(b.slope1, 6), jet(b.lambda, 7)};
  const Image<Jet> y = image(bin, root, jet(in, 0));
  const Partials g = g_value * y.value.derivatives() + g_log * y.log_derivative.derivatives();
  if (g_in) g_in[row] += static_cast<T>(g[0]);
  if (!g_raw) return;
  const Index k = knots.bin, bins = s.bins;
  const auto add = [&](Index p, double gradient) { g_raw[p][row] += static_cast<T>(gradient); };
  // A knot is the sum of the sizes before it.
  const auto sizes = [&](Index first, const double* share, double minimum, double g_knot, double g_size) {
    const double scale = (s.high - s.low) * (1 - static_cast<double>(bins) * minimum);
    double mean = share[k] * g_size;
    for (Index j = 0; j < k; ++j) mean += share[j] * g_knot;
    for (Index j = 0; j < bins; ++j)
      add(first + j, scale * share[j] * ((j < k ? g_knot : j == k ? g_size : 0) - mean));
  };
  sizes(0, knots.width_share, s.min_width, g[1], g[2]);
  sizes(bins, knots.height_share, s.min_height, g[3], g[4]);
  const auto slope = [&](Index knot, double g_slope, double value) {
    if (knot == 0 || knot == bins || !(value < LinearRationalShape::largest_slope)) return;
    const Index p = 2 * bins + knot - 1;
    add(p, g_slope * between_0_and_1(raw[p]));
  };
  slope(k, g[5], b.slope0);
  slope(k + 1, g[6], b.slope1);
  const Index p = 3 * bins - 1 + k;
  const double part = between_0_and_1(raw[p]);
  add(p, g[7] * (1 - 2 * s.min_lambda) * part * (1 - part));
}

}  // namespace

template <Scalar T>
LinearRationalResult<T> apply_linear_rational(const LinearRationalShape& shape, bool root, Var<T> x,
                                              std::span<const Var<T>> params) {
  Tape<T>& tape = x.tape();
  const Index count = static_cast<Index>(params.size());
  bool wanted_raw = false;
  for (const Var<T>& p : params) wanted_raw = wanted_raw || p.wants_gradient();
  const bool wanted = wanted_raw || x.wants_gradient();
  const Var<T> y = tape.matrix(x.cols(), wanted), log_derivative = tape.matrix(x.cols(), wanted);
  Var<T>* kept = tape.template scratch<Var<T>>(count);
  std::uninitialized_copy(params.begin(), params.end(), kept);
  double* raw = tape.template scratch<double>(count);
  const auto load = [kept, raw, count](const Tape<T>& tape, Index c, Index i) {
    for (Index p = 0; p < count; ++p) raw[p] = static_cast<double>(tape.value(kept[p], c)[i]);
  };
  for (Index c = 0; c < x.cols(); ++c)
    for (Index i = 0; i < tape.padded_rows(); ++i) {
      const T in = tape.value(x, c)[i];
      T& value = tape.value(y, c)[i];
      T& log_slope = tape.value(log_derivative, c)[i];
      value = in;
      log_slope = in == in ? T(0) : in;
      if (!inside(shape, static_cast<double>(in))) continue;
      load(tape, c, i);
      Knots knots;
      find(shape, root, static_cast<double>(in), raw, knots);
      const Image<double> out = image(knots.at, root, static_cast<double>(in));
      // Rounding does not lead out of the bin.
      value = static_cast<T>(std::clamp(out.value, root ? knots.at.x : knots.at.y, root ? knots.right : knots.top));
      log_slope = static_cast<T>(out.log_derivative);
    }
  if (wanted) {
    T** g_raw = wanted_raw ? tape.template scratch<T*>(count) : nullptr;
    tape.on_backward([=] {
      Tape<T>& tape = x.tape();
      const bool has_value = Tape<T>::has_gradient(y), has_log = Tape<T>::has_gradient(log_derivative);
      if (!has_value && !has_log) return;
      for (Index c = 0; c < x.cols(); ++c) {
        T* g_in = x.wants_gradient() ? tape.gradient(x, c) : nullptr;
        if (g_raw)
          for (Index p = 0; p < count; ++p) g_raw[p] = tape.gradient(kept[p], c);
        for (Index i = 0; i < tape.local_rows(); ++i) {
          const auto in = static_cast<double>(tape.value(x, c)[i]);
          const double g_value = has_value ? static_cast<double>(tape.gradient(y, c)[i]) : 0;
          if (!inside(shape, in)) {
            if (g_in) g_in[i] += static_cast<T>(g_value);
            continue;
          }
          load(tape, c, i);
          const double g_log = has_log ? static_cast<double>(tape.gradient(log_derivative, c)[i]) : 0;
          accumulate(shape, root, in, raw, g_value, g_log, g_in, g_raw, i);
        }
      }
    });
  }
  return {y, log_derivative};
}

template LinearRationalResult<float> apply_linear_rational(const LinearRationalShape&, bool, Var<float>,
                                                           std::span<const Var<float>>);
template LinearRationalResult<double> apply_linear_rational(const LinearRationalShape&, bool, Var<double>,
                                                            std::span<const Var<double>>);

}  // namespace pushforward::detail
