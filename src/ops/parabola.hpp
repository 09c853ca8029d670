#pragma once

#include <cmath>

namespace pushforward::detail {

/// A bin of an increasing spline whose slope is a straight line: where it begins, its width, the slopes at its ends.
template <class S>
struct Parabola {
  S x, width, y, left, right;
};
template <class S>
struct ParabolaImage {
  S value, log_derivative;
};

/// The spline of `in`, or its inverse where `root` says so.
template <class S>
ParabolaImage<S> image_of(const Parabola<S>& p, bool root, const S& in) {
  using std::log;
  using std::sqrt;
  S t;
  if (root) {
    // left t + (right - left) t^2 / 2 = q in the form in which nothing cancels.
    const S q = (in - p.y) / p.width;
    t = 2.0 * q / (p.left + sqrt(p.left * p.left + 2.0 * (p.right - p.left) * q));
  } else {
    t = (in - p.x) / p.width;
  }
  const S slope = p.left + t * (p.right - p.left), log_slope = log(slope);
  if (root) return {S(p.x + p.width * t), S(-log_slope)};
  return {S(p.y + p.width * t * (0.5 * (p.left + slope))), log_slope};
}

}  // namespace pushforward::detail
