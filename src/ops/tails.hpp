#pragma once

#include <pushforward/ops.hpp>

namespace pushforward::detail {

template <Scalar T>
struct ScaledResult {
  Var<T> value;
  Var<T> log_derivative;
};
/// y = exp(s) x, or its inverse where `root` says so, whose slope beyond |x| = knot goes to about 1 within one unit of
/// x where it is smaller (AffineTransformer); batches of the same size.
template <Scalar T>
ScaledResult<T> scale_with_tails(bool root, T knot, Var<T> x, Var<T> s);

}  // namespace pushforward::detail
