#include <pushforward/distributions/logistic.hpp>

namespace pushforward {

template <Scalar T>
Column<T> Logistic<T>::do_standard_log_prob(Pass<T>&, Var<T> z) const {
  // Even in z, so that no two terms cancel.
  const Var<T> a = abs(z);
  return -row_sum(a + T(2) * softplus(-a));
}

template class Logistic<float>;
template class Logistic<double>;

}  // namespace pushforward
