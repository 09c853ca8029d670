#include <pushforward/bijectors/modulus_transformer.hpp>

#include <cmath>

#include <fmt/format.h>

namespace pushforward {

namespace {

/// sign(x) [(1 + |x|)^power - 1]; each side on its own keeps the digits of small x.
template <Scalar T>
Var<T> power_of_modulus(Var<T> x, Var<T> power) {
  const auto side = [&](Var<T> positive) { return expm1(log1p(positive) * power); };
  return side(activation(Activation::relu, x)) - side(activation(Activation::relu, -x));
}

/// log p: raw 0 gives little more than 0.
template <Scalar T>
Var<T> log_power(Var<T> raw, double bound) {
  return sigmoid(raw - T(2)) * static_cast<T>(bound);
}

}  // namespace

template <Scalar T>
ModulusTransformer<T>::ModulusTransformer(double bound) : Transformer<T>("ModulusTransformer", 1), bound_(bound) {
  do_restored();
}

// x = ((1 + p |y|)^(1 / p) - 1) sign(y) turns round y = ((1 + |x|)^p - 1) / p sign(x).
template <Scalar T>
auto ModulusTransformer<T>::do_forward(Pass<T>&, Var<T> x, std::span<const Var<T>> params) const -> Elements {
  const Var<T> s = log_power(params[0], bound_), p = exp(s);
  return {power_of_modulus(x, p) / p, expm1(s) * log1p(abs(x))};
}

template <Scalar T>
auto ModulusTransformer<T>::do_inverse(Pass<T>&, Var<T> y, std::span<const Var<T>> params) const -> Elements {
  const Var<T> s = log_power(params[0], bound_), scaled = y * exp(s);
  return {power_of_modulus(scaled, exp(-s)), expm1(-s) * log1p(abs(scaled))};
}

template <Scalar T>
void ModulusTransformer<T>::do_fields(Fields<T>& f) {
  f.type("modulus_transformer");
  f.constant("bound", bound_);
}

template <Scalar T>
void ModulusTransformer<T>::do_restored() {
  if (!(bound_ > 0) || !std::isfinite(bound_))
    throw DomainError(fmt::format("ModulusTransformer: bound must be positive and finite, got {:g}", bound_));
}

template class ModulusTransformer<float>;
template class ModulusTransformer<double>;

}  // namespace pushforward
