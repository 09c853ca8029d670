#include <pushforward/nn/constant.hpp>

namespace pushforward {

template <Scalar T>
Var<T> Constant<T>::do_evaluate(Pass<T>& pass, Var<T>) const {
  return spread(pass.tape(), pass.parameter(value_));
}

template <Scalar T>
Dual<T> Constant<T>::do_tangent(Pass<T>& pass, Dual<T> x) const {
  return {do_evaluate(pass, x.value), zeros(pass.tape(), this->outputs())};
}

template <Scalar T>
void Constant<T>::do_fields(Fields<T>& f) {
  f.type("constant");
  this->size_fields(f, false);
  f.parameter("value", value_, {this->outputs()}, {.decay = false});
}

template class Constant<float>;
template class Constant<double>;

}  // namespace pushforward
