#pragma once

#include <span>

#include <pushforward/ops.hpp>

#include "src/kernels/kernels.hpp"

namespace pushforward::detail {

template <Scalar T>
struct SplineResult {
  Var<T> value;
  Var<T> log_derivative;
};
/// The rational-quadratic spline of each element of x, or its inverse where `root` says so, as one operation: element
/// (i, c) by the raw numbers params[k](i, c), k < params.size(), that the kernel takes for spline.bins bins.
template <Scalar T>
SplineResult<T> apply_spline(const kernels::Spline<T>& spline, bool root, Var<T> x, std::span<const Var<T>> params);

}  // namespace pushforward::detail
