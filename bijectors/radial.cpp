#include <pushforward/bijectors/radial.hpp>

#include <limits>

#include "bijectors/hyperbolic.hpp"
#include "bijectors/inverse_softplus.hpp"
#include "bijectors/surface.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
Radial<T>::Radial(Index dim)
    : Bijector<T>("Radial", dim),
      centre_({dim}),
      raw_alpha_({1}, static_cast<T>(inverse_softplus(1))),
      raw_beta_({1}, static_cast<T>(inverse_softplus(1))) {}

template <Scalar T>
Var<T> Radial<T>::distance(Var<T> d) const {
  // At the centre a square root has no derivative.
  return sqrt(to_matrix(row_sum_of_squares(d)) + std::numeric_limits<T>::min());
}

template <Scalar T>
Column<T> Radial<T>::log_det(Var<T> alpha, Var<T> beta, Var<T> r) const {
  const Var<T> reach = r + alpha, h = beta / reach;
  return static_cast<double>(this->dim() - 1) * row_sum(log1p(h)) + row_sum(log1p(h * (alpha / reach)));
}

template <Scalar T>
Mapped<T> Radial<T>::do_forward(Pass<T>& pass, Var<T> x) const {
  const Var<T> alpha = softplus(pass.parameter(raw_alpha_)), beta = softplus(pass.parameter(raw_beta_)) - alpha;
  const Var<T> d = x - pass.parameter(centre_), r = distance(d);
  return {x + repeated(beta / (r + alpha), this->dim()) * d, log_det(alpha, beta, r)};
}

template <Scalar T>
Mapped<T> Radial<T>::do_inverse(Pass<T>& pass, Var<T> y) const {
  const Var<T> alpha = softplus(pass.parameter(raw_alpha_)), sum = softplus(pass.parameter(raw_beta_));  // alpha + beta
  const Var<T> centre = pass.parameter(centre_), d = y - centre, far = distance(d);
  // The root of larger size is a sum; the other one is their product, -alpha R, over it.
  const Var<T> q = far - sum, product = far * alpha;
  const Var<T> larger = T(0.5) * (abs(q) + sqrt(square(q) + T(4) * product)), right = is_positive(q);
  const Var<T> r = right * larger + (T(1) - right) * (product / larger);
  return {repeated((r + alpha) / (r + sum), this->dim()) * d + centre, -log_det(alpha, sum - alpha, r)};
}

template <Scalar T>
void Radial<T>::do_fields(Fields<T>& f) {
  f.type("radial");
  this->dim_field(f);
  f.parameter("centre", centre_, {this->dim()}, {.decay = false});
  f.parameter("raw_alpha", raw_alpha_, {1}, {.decay = false});
  f.parameter("raw_beta", raw_beta_, {1}, {.decay = false});
}

template class Radial<float>;
template class Radial<double>;

}  // namespace pushforward
