#pragma once

#include <cmath>

namespace pushforward::detail {

/// The raw number whose softplus is `size` > 0.
inline double inverse_softplus(double size) { return size > 30 ? size : std::log(std::expm1(size)); }

}  // namespace pushforward::detail
