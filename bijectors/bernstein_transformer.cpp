#include <pushforward/bijectors/bernstein_transformer.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "src/core/checks.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
BernsteinTransformer<T>::BernsteinTransformer(Index degree, double bound)
    : Transformer<T>("BernsteinTransformer", degree + 1), degree_(degree), bound_(bound) {
  do_restored();
}

template <Scalar T>
auto BernsteinTransformer<T>::do_forward(Pass<T>&, Var<T>, Params) const -> Elements {
  throw NotImplemented("BernsteinTransformer::forward: has no closed form; put it into a NumericalInverse");
}

template <Scalar T>
auto BernsteinTransformer<T>::do_inverse(Pass<T>& pass, Var<T> y, Params params) const -> Elements {
  const Index order = degree_ + 2;
  const T width = static_cast<T>(2 * bound_);
  const Var<T> place = (y + static_cast<T>(bound_)) / width, u = clip(place, T(0), T(1)), v = T(1) - u;
  auto* powers = pass.tape().template scratch<Var<T>>(2 * (order + 1));  // of u, then of v, from the first on
  powers[1] = u;
  powers[order + 2] = v;
  for (Index i = 2; i <= order; ++i) {
    powers[i] = powers[i - 1] * u;
    powers[order + 1 + i] = powers[order + i] * v;
  }
  // C(n, i) u^i v^(n - i)
  const auto basis = [&](Index n, Index i) {
    const T count =
        static_cast<T>(std::round(std::exp(std::lgamma(n + 1.0) - std::lgamma(i + 1.0) - std::lgamma(n - i + 1.0))));
    if (i == 0) return powers[order + 1 + n] * count;
    return i == n ? powers[i] * count : powers[i] * powers[order + 1 + n - i] * count;
  };
  const T shift = static_cast<T>(std::numbers::ln2 * static_cast<double>(degree_ + 1) / 2);
  Var<T> theta = params[0] - shift, value = theta * basis(order, 0), slope;
  for (Index i = 1; i <= order; ++i) {
    const Var<T> step = softplus(params[static_cast<std::size_t>(std::min(std::max<Index>(i - 1, 1), degree_))]);
    theta = theta + step;
    value = value + theta * basis(order, i);
    const Var<T> term = step * basis(order - 1, i - 1);
    slope = slope ? slope + term : term;
  }
  slope = slope * static_cast<T>(order);
  return {value + slope * (place - u), log(slope / width)};
}

template <Scalar T>
void BernsteinTransformer<T>::do_fields(Fields<T>& f) {
  f.type("bernstein_transformer");
  f.constant("degree", degree_, 2, 256);
  f.constant("bound", bound_);
}

template <Scalar T>
void BernsteinTransformer<T>::do_restored() {
  if (degree_ < 2 || degree_ > 256)
    throw ShapeError("BernsteinTransformer: degree must lie in [2, 256], got " + std::to_string(degree_));
  check_positive("BernsteinTransformer", "bound", bound_);
  this->set_multiplier(degree_ + 1);
}

template class BernsteinTransformer<float>;
template class BernsteinTransformer<double>;

}  // namespace pushforward
