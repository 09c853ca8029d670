#pragma once

#include <pushforward/ops.hpp>

namespace pushforward::detail {

/// log(phi(x) / Phi(x)) of the normal density and distribution function. Exporters do not know it.
template <Scalar T>
Var<T> log_normal_hazard(Var<T> x);

}  // namespace pushforward::detail
