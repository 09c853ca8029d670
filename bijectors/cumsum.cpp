#include <pushforward/bijectors/cumsum.hpp>

#include "bijectors/running_sum.hpp"

namespace pushforward {

template <Scalar T>
Mapped<T> Cumsum<T>::do_forward(Pass<T>&, Var<T> x) const {
  return {detail::running_sum(x), {}};
}

template <Scalar T>
Mapped<T> Cumsum<T>::do_inverse(Pass<T>&, Var<T> y) const {
  const Index n = this->dim();
  if (n == 1) return {y, {}};
  return {concatenate<T>({columns(y, 0, 1), columns(y, 1, n - 1) - columns(y, 0, n - 1)}), {}};
}

template <Scalar T>
void Cumsum<T>::do_fields(Fields<T>& f) {
  f.type("cumsum");
  this->dim_field(f);
}

template class Cumsum<float>;
template class Cumsum<double>;

}  // namespace pushforward
