#include <pushforward/bijectors/stick_breaking.hpp>

#include <algorithm>
#include <cmath>

#include "bijectors/clamp.hpp"
#include "bijectors/running_sum.hpp"
#include "bijectors/surface.hpp"
#include "src/ops/common.hpp"

namespace pushforward {

using namespace detail;

namespace {

/// log(n + 1 - k), k = 1 .. n
template <Scalar T>
Var<T> offset(Pass<T>& pass, Index n) {
  const Var<T> row = pass.tape().shared(1, n, false);
  T* values = row.node()->value;
  std::fill_n(values, whole_blocks(n), T(0));
  for (Index k = 0; k < n; ++k) values[k] = static_cast<T>(std::log(static_cast<double>(n - k)));
  return row;
}

}  // namespace

template <Scalar T>
StickBreaking<T>::StickBreaking(Index base_dim)
    : Bijector<T>("StickBreaking", base_dim, std::vector<Index>{base_dim + 1}) {}

// In logarithms: of what is left before each part, and of the share that the part takes.
template <Scalar T>
Mapped<T> StickBreaking<T>::do_forward(Pass<T>& pass, Var<T> x) const {
  const Var<T> u = x - offset(pass, this->base_dim()), nothing = filled(pass.tape(), 1, T(0));
  const Var<T> left = concatenate<T>({nothing, running_sum(-softplus(u))});
  const Var<T> log_y = left + concatenate<T>({-softplus(-u), nothing});
  return {clamp_positive(exp(log_y)), row_sum(log_y)};
}

template <Scalar T>
Mapped<T> StickBreaking<T>::do_inverse(Pass<T>& pass, Var<T> y) const {
  const Index n = this->base_dim();
  const Var<T> inside = restrict_to_simplex(pass, y), log_y = log(inside);
  const Var<T> log_rest = log(running_sum(columns(inside, 1, n), true));
  return {columns(log_y, 0, n) - log_rest + offset(pass, n), -row_sum(log_y)};
}

template <Scalar T>
Space StickBreaking<T>::do_codomain() const {
  return Space::simplex(this->dim());
}

template <Scalar T>
void StickBreaking<T>::do_fields(Fields<T>& f) {
  f.type("stick_breaking");
  Index n = this->base_dim();
  f.constant("base_dim", n, 1, Index{1} << 20);
  if (f.restoring()) this->set_shape(n, {n + 1});
}

template class StickBreaking<float>;
template class StickBreaking<double>;

}  // namespace pushforward
