#include <pushforward/bijectors/stick_breaking.hpp>

#include <cmath>

#include "bijectors/clamp.hpp"
#include "bijectors/running_sum.hpp"
#include "bijectors/surface.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
StickBreaking<T>::StickBreaking(Index base_dim)
    : Bijector<T>("StickBreaking", base_dim, std::vector<Index>{base_dim + 1}) {
  do_restored();
}

template <Scalar T>
void StickBreaking<T>::do_restored() {
  offset_ = Tensor<T>({this->base_dim()});
  for (Index k = 0; k < offset_.size(); ++k)
    offset_[k] = static_cast<T>(std::log(static_cast<double>(offset_.size() - k)));
}

// In logarithms: of what is left before each part, and of the share that the part takes.
template <Scalar T>
Mapped<T> StickBreaking<T>::do_forward(Pass<T>& pass, Var<T> x) const {
  const Var<T> u = x - pass.parameter(offset_), nothing = filled(pass.tape(), 1, T(0));
  const Var<T> left = concatenate<T>({nothing, running_sum(-softplus(u))});
  const Var<T> log_y = left + concatenate<T>({-softplus(-u), nothing});
  return {clamp_positive(exp(log_y)), row_sum(log_y)};
}

template <Scalar T>
Mapped<T> StickBreaking<T>::do_inverse(Pass<T>& pass, Var<T> y) const {
  const Index n = this->base_dim();
  const Var<T> inside = restrict_to_simplex(pass, y), log_y = log(inside);
  const Var<T> log_rest = log(running_sum(columns(inside, 1, n), true));
  return {columns(log_y, 0, n) - log_rest + pass.parameter(offset_), -row_sum(log_y)};
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
