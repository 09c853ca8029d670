#include <pushforward/bijectors/identity.hpp>

namespace pushforward {

template <Scalar T>
Identity<T>::Identity(Index dim) : ElementwiseBijector<T>("Identity", dim) {}

template <Scalar T>
typename Identity<T>::Elements Identity<T>::do_forward_elements(Pass<T>&, Var<T> x) const {
  return {x, {}};
}

template <Scalar T>
typename Identity<T>::Elements Identity<T>::do_inverse_elements(Pass<T>&, Var<T> y) const {
  return {y, {}};
}

template <Scalar T>
void Identity<T>::do_fields(Fields<T>& f) {
  f.type("identity");
  this->dim_field(f);
}

template class Identity<float>;
template class Identity<double>;

}  // namespace pushforward
