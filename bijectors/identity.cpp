#include <pushforward/bijectors/identity.hpp>

namespace pushforward {

template <Scalar T>
Identity<T>::Identity(Index dim) : ElementwiseBijector<T>("Identity", dim) {}

template <Scalar T>
Identity<T>::Identity(const Description& d) : Identity(d.integer("dim", 1, 1 << 20)) {}

template <Scalar T>
typename Identity<T>::Elements Identity<T>::do_forward_elements(Pass<T>&, Var<T> x) const {
  return {x, {}};
}

template <Scalar T>
typename Identity<T>::Elements Identity<T>::do_inverse_elements(Pass<T>&, Var<T> y) const {
  return {y, {}};
}

template <Scalar T>
Description Identity<T>::do_describe() const {
  return {.type = "identity", .constants = {{"dim", this->dim()}}, .children = {}};
}

template class Identity<float>;
template class Identity<double>;

}  // namespace pushforward
