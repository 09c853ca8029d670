#include <pushforward/bijectors/sos_polynomial_transformer.hpp>

#include <cmath>
#include <string>

#include "src/core/checks.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
SosPolynomialTransformer<T>::SosPolynomialTransformer(Index degree, Index polynomials, double scale, double slope)
    : Transformer<T>("SosPolynomialTransformer", polynomials * (degree + 1) + 1),
      degree_(degree),
      polynomials_(polynomials),
      scale_(scale),
      slope_(slope) {
  do_restored();
}

template <Scalar T>
auto SosPolynomialTransformer<T>::do_forward(Pass<T>&, Var<T>, Params) const -> Elements {
  throw NotImplemented("SosPolynomialTransformer::forward: has no closed form; put it into a NumericalInverse");
}

template <Scalar T>
auto SosPolynomialTransformer<T>::do_inverse(Pass<T>& pass, Var<T> y, Params params) const -> Elements {
  const Index highest = 2 * degree_;
  // Coefficients of the mean of the squares.
  auto* c = pass.tape().template scratch<Var<T>>(highest + 1);
  for (Index j = 0; j <= highest; ++j) c[j] = Var<T>();
  const auto add = [&](Index j, Var<T> term) { c[j] = c[j] ? c[j] + term : term; };
  const T weight = T(1) / static_cast<T>(polynomials_);
  for (Index p = 0; p < polynomials_; ++p) {
    const auto a = [&](Index i) {
      const Var<T> raw = params[static_cast<std::size_t>(p * (degree_ + 1) + i)];
      return i == 0 ? raw + T(1) : raw;
    };
    for (Index i = 0; i <= degree_; ++i) {
      add(2 * i, weight * square(a(i)));
      for (Index j = i + 1; j <= degree_; ++j) add(i + j, (T(2) * weight) * (a(i) * a(j)));
    }
  }
  const Var<T> u = y / static_cast<T>(scale_);
  Var<T> density = c[highest], integral = c[highest] / static_cast<T>(highest + 1);
  for (Index j = highest - 1; j >= 0; --j) {
    density = density * u + c[j];
    integral = integral * u + c[j] / static_cast<T>(j + 1);
  }
  const T slope = static_cast<T>(slope_);
  return {y * (integral + slope) + params[static_cast<std::size_t>(polynomials_ * (degree_ + 1))],
          log(density + slope)};
}

template <Scalar T>
void SosPolynomialTransformer<T>::do_fields(Fields<T>& f) {
  f.type("sos_polynomial_transformer");
  f.constant("degree", degree_, 1, 64);
  f.constant("polynomials", polynomials_, 1, 1024);
  f.constant("scale", scale_);
  f.constant("slope", slope_);
}

template <Scalar T>
void SosPolynomialTransformer<T>::do_restored() {
  if (degree_ < 1 || polynomials_ < 1)
    throw ShapeError("SosPolynomialTransformer: degree and polynomials must be at least 1, got " +
                     std::to_string(degree_) + " and " + std::to_string(polynomials_));
  check_positive("SosPolynomialTransformer", "scale", scale_);
  check_positive("SosPolynomialTransformer", "slope", slope_);
  this->set_multiplier(polynomials_ * (degree_ + 1) + 1);
}

template class SosPolynomialTransformer<float>;
template class SosPolynomialTransformer<double>;

}  // namespace pushforward
