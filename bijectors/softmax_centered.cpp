#include <pushforward/bijectors/softmax_centered.hpp>

#include "bijectors/softmax.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
SoftmaxCentered<T>::SoftmaxCentered(Index base_dim)
    : Bijector<T>("SoftmaxCentered", base_dim, std::vector<Index>{base_dim + 1}) {}

template <Scalar T>
Mapped<T> SoftmaxCentered<T>::do_forward(Pass<T>& pass, Var<T> x) const {
  return softmax_with_log_sum(concatenate<T>({x, filled(pass.tape(), 1, T(0))}));
}

template <Scalar T>
Mapped<T> SoftmaxCentered<T>::do_inverse(Pass<T>& pass, Var<T> y) const {
  const Index n = this->base_dim();
  const Var<T> log_y = log(restrict_to_simplex(pass, y));
  return {columns(log_y, 0, n) - repeated(columns(log_y, n, 1), n), -row_sum(log_y)};
}

template <Scalar T>
Space SoftmaxCentered<T>::do_codomain() const {
  return Space::simplex(this->dim());
}

template <Scalar T>
void SoftmaxCentered<T>::do_fields(Fields<T>& f) {
  f.type("softmax_centered");
  Index n = this->base_dim();
  f.constant("base_dim", n, 1, Index{1} << 20);
  if (f.restoring()) this->set_shape(n, {n + 1});
}

template class SoftmaxCentered<float>;
template class SoftmaxCentered<double>;

}  // namespace pushforward
