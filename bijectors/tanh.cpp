#include <pushforward/bijectors/tanh.hpp>

#include <cmath>
#include <numbers>

namespace pushforward {

template <Scalar T>
Tanh<T>::Tanh(Index dim) : ElementwiseBijector<T>("Tanh", dim) {}

template <Scalar T>
typename Tanh<T>::Elements Tanh<T>::do_forward_elements(Pass<T>&, Var<T> x) const {
  const T last = std::nextafter(T(1), T(0));
  const Var<T> size = abs(x);
  return {clamp(tanh(x), -last, last),
          scale_shift(size + softplus(T(-2) * size), T(-2), T(2) * std::numbers::ln2_v<T>)};
}

template <Scalar T>
typename Tanh<T>::Elements Tanh<T>::do_inverse_elements(Pass<T>& pass, Var<T> y) const {
  const Var<T> inside = pass.restrict_to(y, -1, 1, T(0));
  const Var<T> up = log1p(inside), down = log1p(-inside);
  return {T(0.5) * (up - down), -(up + down)};
}

template <Scalar T>
Space Tanh<T>::do_codomain() const {
  return Space::box(this->dim(), {-1, 1});
}

template <Scalar T>
void Tanh<T>::do_fields(Fields<T>& f) {
  f.type("tanh");
  this->dim_field(f);
}

template class Tanh<float>;
template class Tanh<double>;

}  // namespace pushforward
