#pragma once

#include <pushforward/tensor.hpp>

namespace pushforward::detail {

/// The number of T next to x. Not inlined: where GCC 12 converts two neighbours to float and back at once, it leaves the
/// rounding out.
template <Scalar T>
[[gnu::noinline]] double rounded(double x) {
  return static_cast<double>(static_cast<T>(x));
}

}  // namespace pushforward::detail
