#pragma once

#include <pushforward/ops.hpp>

namespace pushforward::detail {

// Angles of a batch. Exporters do not know these operations.

/// x moved into [low, high) by whole periods; the gradient is that of the identity.
template <Scalar T>
Var<T> wrap(Var<T> x, T low, T high);
/// The angle of (x, y) in [-pi, pi]; NaN gradients at the origin alone.
template <Scalar T>
Var<T> atan2(Var<T> y, Var<T> x);

}  // namespace pushforward::detail
