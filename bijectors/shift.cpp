#include <pushforward/bijectors/shift.hpp>

namespace pushforward {

template <Scalar T>
Shift<T>::Shift(Index dim) : ElementwiseBijector<T>("Shift", dim), shift_({dim}) {}

template <Scalar T>
Shift<T>::Shift(VectorView<const T> values) : Shift(values.size()) {
  for (Index i = 0; i < values.size(); ++i) shift_[i] = values[i];
}

template <Scalar T>
Shift<T>::Shift(const Description& d) : Shift(d.integer("dim", 1, 1 << 20)) {}

template <Scalar T>
typename Shift<T>::Elements Shift<T>::do_forward_elements(Pass<T>& pass, Var<T> x) const {
  return {x + pass.parameter(shift_), {}};
}

template <Scalar T>
typename Shift<T>::Elements Shift<T>::do_inverse_elements(Pass<T>& pass, Var<T> y) const {
  return {y - pass.parameter(shift_), {}};
}

template <Scalar T>
void Shift<T>::do_visit(Visitor<T>& v) const {
  v.parameter("shift", shift_, {.decay = false});
}

template <Scalar T>
Description Shift<T>::do_describe() const {
  return {.type = "shift", .constants = {{"dim", this->dim()}}, .children = {}};
}

template class Shift<float>;
template class Shift<double>;

}  // namespace pushforward
