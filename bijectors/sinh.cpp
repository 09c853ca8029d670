#include <pushforward/bijectors/sinh.hpp>

#include "bijectors/hyperbolic.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
MappedElements<T> SinhMap<T>::forward(Var<T> x) {
  return {detail::sinh(x), log_cosh(x)};
}

template <Scalar T>
MappedElements<T> SinhMap<T>::inverse(Var<T> y) {
  return {asinh(y), T(-0.5) * log1p_square(y)};
}

template struct SinhMap<float>;
template struct SinhMap<double>;

}  // namespace pushforward
