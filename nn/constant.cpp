#include <pushforward/nn/constant.hpp>

namespace pushforward {

template <Scalar T>
Var<T> Constant<T>::do_evaluate(Pass<T>& pass, Var<T>) const {
  return spread(pass.tape(), pass.parameter(value_));
}

template class Constant<float>;
template class Constant<double>;

}  // namespace pushforward
