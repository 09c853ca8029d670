#pragma once

#include <new>
#include <span>

#include <pushforward/pass.hpp>

#include "src/ops/common.hpp"

namespace pushforward::detail {

/// Column c is the sum of the columns 0 .. c of x; from the other end: c .. last.
template <Scalar T>
Var<T> running_sum(Var<T> x, bool from_the_end = false) {
  const Index n = x.cols();
  Var<T>* sums = x.tape().template scratch<Var<T>>(n);
  for (Index k = 0; k < n; ++k) {
    const Index c = from_the_end ? n - 1 - k : k;
    const Var<T> own = columns(x, c, 1);
    new (sums + c) Var<T>(k == 0 ? own : sums[from_the_end ? c + 1 : c - 1] + own);
  }
  return concatenate<T>(std::span<const Var<T>>(sums, static_cast<std::size_t>(n)));
}

/// Column c is the sum of the columns before c, 0 for the first one.
template <Scalar T>
Var<T> sums_before(Pass<T>& pass, Var<T> x) {
  const Var<T> nothing = filled(pass.tape(), 1, T(0));
  return x.cols() == 1 ? nothing : concatenate<T>({nothing, running_sum(columns(x, 0, x.cols() - 1))});
}

}  // namespace pushforward::detail
