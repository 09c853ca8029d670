#include <pushforward/bijectors/leaky_tanh.hpp>

#include "bijectors/bounded_tanh.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
LeakyTanhMap<T>::LeakyTanhMap(double bound) : bound_(bound) {
  restored();
}

template <Scalar T>
MappedElements<T> LeakyTanhMap<T>::forward(Var<T> x) const {
  const BoundedTanh<T> tanh_(bound_);
  const Var<T> inside = tanh_.inside(x);
  return {tanh(inside) + tanh_.slope * (x - inside), tanh_.log_slope(inside)};
}

template <Scalar T>
MappedElements<T> LeakyTanhMap<T>::inverse(Var<T> y) const {
  const BoundedTanh<T> tanh_(bound_);
  const Var<T> inside = tanh_.image_inside(y);
  const MappedElements<T> back = TanhMap<T>::inverse(inside);
  return {back.value + (y - inside) / tanh_.slope, back.log_derivative};
}

template <Scalar T>
void LeakyTanhMap<T>::fields(Fields<T>& f) {
  f.constant("bound", bound_);
}

template <Scalar T>
void LeakyTanhMap<T>::restored() {
  BoundedTanh<T>::check("LeakyTanh", bound_);
}

template struct LeakyTanhMap<float>;
template struct LeakyTanhMap<double>;

}  // namespace pushforward
