#include <pushforward/bijectors/affine_transformer.hpp>

#include "src/core/checks.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
AffineTransformer<T>::AffineTransformer(double bound) : Transformer<T>("AffineTransformer", 2), bound_(bound) {
  check_positive("AffineTransformer", "bound", bound);
}

template <Scalar T>
typename AffineTransformer<T>::Elements AffineTransformer<T>::do_forward(Pass<T>&, Var<T> x,
                                                                         std::span<const Var<T>> params) const {
  const Var<T> s = soft_bound(params[1], static_cast<T>(bound_));
  return {x * exp(s) + params[0], s};
}

template <Scalar T>
typename AffineTransformer<T>::Elements AffineTransformer<T>::do_inverse(Pass<T>&, Var<T> y,
                                                                         std::span<const Var<T>> params) const {
  const Var<T> minus_s = soft_bound(params[1] * T(-1), static_cast<T>(bound_));
  return {(y - params[0]) * exp(minus_s), minus_s};
}

template <Scalar T>
void AffineTransformer<T>::do_fields(Fields<T>& f) {
  f.type("affine_transformer");
  f.constant("bound", bound_);
}

template <Scalar T>
void AffineTransformer<T>::do_restored() {
  check_positive("AffineTransformer", "bound", bound_);
}

template class AffineTransformer<float>;
template class AffineTransformer<double>;
template class AdditiveTransformer<float>;
template class AdditiveTransformer<double>;

}  // namespace pushforward
