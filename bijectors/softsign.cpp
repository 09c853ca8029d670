#include <pushforward/bijectors/softsign.hpp>

#include <cmath>

namespace pushforward {

template <Scalar T>
auto Softsign<T>::do_forward_elements(Pass<T>&, Var<T> x) const -> Elements {
  const Var<T> size = abs(x);
  return {clamp(x / (size + T(1)), std::nextafter(T(-1), T(0)), std::nextafter(T(1), T(0))), T(-2) * log1p(size)};
}

template <Scalar T>
auto Softsign<T>::do_inverse_elements(Pass<T>& pass, Var<T> y) const -> Elements {
  const Var<T> inside = pass.restrict_to(y, -1, 1, T(0)), rest = T(1) - abs(inside);
  return {inside / rest, T(-2) * log(rest)};
}

template class Softsign<float>;
template class Softsign<double>;

}  // namespace pushforward
