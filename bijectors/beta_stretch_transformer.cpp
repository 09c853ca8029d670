#include <pushforward/bijectors/beta_stretch_transformer.hpp>

#include "bijectors/clamp.hpp"

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
MappedElements<T> BetaStretchMap<T>::forward(Var<T> x, std::span<const Var<T>> params, double bound) {
  return stretched(x, soft_bound(params[0], bound));
}

template <Scalar T>
MappedElements<T> BetaStretchMap<T>::inverse(Var<T> y, std::span<const Var<T>> params, double bound) {
  return stretched(y, -soft_bound(params[0], bound));
}

template struct BetaStretchMap<float>;
template struct BetaStretchMap<double>;

}  // namespace pushforward
