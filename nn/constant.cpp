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

template class Constant<float>;
template class Constant<double>;

}  // namespace pushforward
