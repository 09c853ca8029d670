#include <pushforward/bijectors/affine_transformer.hpp>

#include "bijectors/log_scale.hpp"
#include "src/core/checks.hpp"
#include "src/ops/tails.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
AffineTransformer<T>::AffineTransformer(double bound, double tail)
    : Transformer<T>("AffineTransformer", 2), bound_(bound), tail_(tail) {
  do_restored();
}

template <Scalar T>
typename AffineTransformer<T>::Elements AffineTransformer<T>::do_forward(Pass<T>&, Var<T> x,
                                                                         std::span<const Var<T>> params) const {
  const auto [scaled, log_derivative] =
      scale_with_tails(false, static_cast<T>(tail_), x, bounded_log_scale(params[1], bound_));
  return {scaled + params[0], log_derivative};
}

template <Scalar T>
typename AffineTransformer<T>::Elements AffineTransformer<T>::do_inverse(Pass<T>&, Var<T> y,
                                                                         std::span<const Var<T>> params) const {
  const auto [value, log_derivative] =
      scale_with_tails(true, static_cast<T>(tail_), y - params[0], bounded_log_scale(params[1], bound_));
  return {value, log_derivative};
}

template <Scalar T>
double AffineTransformer<T>::do_log_scale_bound() const {
  return largest_log_scale<T>(bound_);
}

template <Scalar T>
void AffineTransformer<T>::do_fields(Fields<T>& f) {
  f.type("affine_transformer");
  f.constant("bound", bound_);
  f.optional("tail", tail_, no_tail);
}

template <Scalar T>
void AffineTransformer<T>::do_restored() {
  check_bound("AffineTransformer", "bound", bound_);
  check_bound("AffineTransformer", "tail", tail_);
}

template <Scalar T>
AdditiveTransformer<T>::AdditiveTransformer(double bound) : Transformer<T>("AdditiveTransformer", 1), bound_(bound) {
  do_restored();
}

template <Scalar T>
auto AdditiveTransformer<T>::do_forward(Pass<T>&, Var<T> x, std::span<const Var<T>> params) const -> Elements {
  return {x + soft_bound(params[0], bound_), {}};
}

template <Scalar T>
auto AdditiveTransformer<T>::do_inverse(Pass<T>&, Var<T> y, std::span<const Var<T>> params) const -> Elements {
  return {y - soft_bound(params[0], bound_), {}};
}

template <Scalar T>
void AdditiveTransformer<T>::do_fields(Fields<T>& f) {
  f.type("additive_transformer");
  f.optional("bound", bound_, std::numeric_limits<double>::infinity());
}

template <Scalar T>
void AdditiveTransformer<T>::do_restored() {
  check_bound("AdditiveTransformer", "bound", bound_);
}

template class AffineTransformer<float>;
template class AffineTransformer<double>;
template class AdditiveTransformer<float>;
template class AdditiveTransformer<double>;

}  // namespace pushforward
