#include <pushforward/bijectors/shift.hpp>

namespace pushforward {

template <Scalar T>
Shift<T>::Shift(Index dim) : ElementwiseBijector<T>("Shift", dim), shift_({dim}) {}

template <Scalar T>
Shift<T>::Shift(VectorView<const T> values) : Shift(values.size()) {
  for (Index i = 0; i < values.size(); ++i) shift_[i] = values[i];
}

template <Scalar T>
typename Shift<T>::Elements Shift<T>::do_forward_elements(Pass<T>& pass, Var<T> x) const {
  return {x + pass.parameter(shift_), {}};
}

template <Scalar T>
typename Shift<T>::Elements Shift<T>::do_inverse_elements(Pass<T>& pass, Var<T> y) const {
  return {y - pass.parameter(shift_), {}};
}

template <Scalar T>
void Shift<T>::do_fields(Fields<T>& f) {
  f.type("shift");
  this->dim_field(f);
  f.parameter("shift", shift_, {this->dim()}, {.decay = false});
}

template class Shift<float>;
template class Shift<double>;

}  // namespace pushforward
