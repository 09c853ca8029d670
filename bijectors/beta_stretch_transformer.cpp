#include <pushforward/bijectors/beta_stretch_transformer.hpp>

#include "bijectors/clamp.hpp"
#include "bijectors/shape_bound.hpp"

namespace pushforward {

using namespace detail;

namespace {

/// The inverse is the same with 1 / a.
template <Scalar T>
MappedElements<T> stretched(Var<T> x, Var<T> log_a) {
  const Var<T> up = log(x), down = log1p(-x), z = exp(log_a) * (up - down);
  return {clamp_to_unit(sigmoid(z)), log_a - (softplus(z) + softplus(-z)) - (up + down)};
}

}  // namespace

template <Scalar T>
BetaStretchTransformer<T>::BetaStretchTransformer(double bound)
    : Transformer<T>("BetaStretchTransformer", 1), bound_(bound) {
  do_restored();
}

template <Scalar T>
auto BetaStretchTransformer<T>::do_forward(Pass<T>& pass, Var<T> x, Params params) const -> Elements {
  return stretched(pass.restrict_to(x, this->domain()), soft_bound(params[0], bound_));
}

template <Scalar T>
auto BetaStretchTransformer<T>::do_inverse(Pass<T>& pass, Var<T> y, Params params) const -> Elements {
  return stretched(pass.restrict_to(y, this->domain()), -soft_bound(params[0], bound_));
}

template <Scalar T>
void BetaStretchTransformer<T>::do_fields(Fields<T>& f) {
  f.type("beta_stretch_transformer");
  f.constant("bound", bound_);
}

template <Scalar T>
void BetaStretchTransformer<T>::do_restored() {
  check_shape_bound("BetaStretchTransformer", bound_);
}

template class BetaStretchTransformer<float>;
template class BetaStretchTransformer<double>;

}  // namespace pushforward
