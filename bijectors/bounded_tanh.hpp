#pragma once

#include <cmath>
#include <numbers>
#include <string>

#include <pushforward/bijectors/tanh.hpp>
#include <pushforward/error.hpp>

#include "bijectors/hyperbolic.hpp"
#include "src/core/number_text.hpp"

namespace pushforward::detail {

/// tanh between -bound and bound, which others continue beyond: what they share.
template <Scalar T>
struct BoundedTanh {
  T bound, edge;  ///< edge: tanh(bound)
  T slope;        ///< there

  explicit BoundedTanh(double c)
      : bound(static_cast<T>(c)),
        edge(static_cast<T>(std::tanh(c))),
        slope(static_cast<T>(1 / std::pow(std::cosh(c), 2))) {}
  /// @throws DomainError  beyond 8 the numbers next to tanh(bound) are too few, in float, to go back from.
  static void check(const char* where, double c) {
    if (!(c > 0 && c <= 8))
      throw DomainError(std::string(where) + ": bound must lie above 0 and be at most 8, got " + number_text(c));
  }
  /// x moved between -bound and bound, and what that leaves.
  Var<T> inside(Var<T> x) const { return clip(x, -bound, bound); }
  static Var<T> log_slope(Var<T> inside) { return T(-2) * log_cosh(inside); }
  Var<T> image_inside(Var<T> y) const { return clip(y, -edge, edge); }
};

}  // namespace pushforward::detail
