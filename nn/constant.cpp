#include <pushforward/nn/constant.hpp>

namespace pushforward {

template <Scalar T>
Var<T> Constant<T>::do_evaluate(Pass<T>& pass, Var<T>) const {
  return spread(pass.tape(), pass.parameter(value_));
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
