#include <pushforward/bijectors/planar.hpp>

#include <cmath>
#include <limits>

#include <pushforward/random.hpp>

#include "bijectors/inverse_softplus.hpp"
#include "bijectors/tanh_step.hpp"
#include "src/core/number_text.hpp"
#include "src/ops/matrix.hpp"

namespace pushforward {

using namespace detail;

/// w as the weight of a map to one number, u' as that of one from it, and a.
template <Scalar T>
struct Planar<T>::Ridge {
  Var<T> w, u, a;

  Ridge(Pass<T>& pass, const Planar& map) : w(pass.parameter(map.w_)) {
    const Var<T> raw = pass.parameter(map.u_), across = transpose(w);
    const Var<T> product = matmul(raw, across);
    a = softplus(product) + static_cast<T>(map.floor_ - 1);
    u = transpose(raw + w * ((a - product) / (matmul(w, across) + std::numeric_limits<T>::min())));
  }
};

template <Scalar T>
Planar<T>::Planar(Blank) : Bijector<T>("Planar"), along_(solved_tanh_step<T>()) {}

template <Scalar T>
Planar<T>::Planar(Index dim, std::uint64_t seed, double floor)
    : Bijector<T>("Planar", dim), floor_(floor), w_({dim}), u_({dim}), b_({1}), along_(solved_tanh_step<T>()) {
  do_restored();
  Engine engine(seed);
  engine.next_call().normal(0, 1, dim, w_.data(), 1);
  double square_norm = 0;
  for (Index i = 0; i < dim; ++i) {
    w_[i] /= static_cast<T>(std::sqrt(static_cast<double>(dim)));
    square_norm += static_cast<double>(w_[i]) * static_cast<double>(w_[i]);
  }
  // softplus(w . u) = 1 - floor
  const double product = inverse_softplus(1 - floor);
  for (Index i = 0; i < dim; ++i) u_[i] = static_cast<T>(product / square_norm * static_cast<double>(w_[i]));
}

template <Scalar T>
Mapped<T> Planar<T>::do_forward(Pass<T>& pass, Var<T> x) const {
  const Ridge ridge(pass, *this);
  const Var<T> z = linear(x, ridge.w, pass.parameter(b_));
  const Var<T> slope = activation_derivative(Activation::tanh, z);
  return {x + linear(tanh(z), ridge.u, Var<T>()), row_sum(log1p(ridge.a * slope))};
}

template <Scalar T>
Mapped<T> Planar<T>::do_inverse(Pass<T>& pass, Var<T> y) const {
  const Ridge ridge(pass, *this);
  const Var<T> a = spread(pass.tape(), ridge.a);
  const MappedElements<T> z = along_->inverse(pass, linear(y, ridge.w, pass.parameter(b_)), std::span(&a, 1));
  return {y - linear(tanh(z.value), ridge.u, Var<T>()), row_sum(z.log_derivative)};
}

template <Scalar T>
void Planar<T>::do_fields(Fields<T>& f) {
  f.type("planar");
  this->dim_field(f);
  f.optional("floor", floor_, default_floor);
  f.parameter("w", w_, {this->dim()}, {.decay = false});
  f.parameter("u", u_, {this->dim()}, {.decay = false});
  f.parameter("b", b_, {1}, {.decay = false});
}

template <Scalar T>
void Planar<T>::do_restored() {
  if (!(floor_ >= 0 && floor_ < 1)) throw DomainError("Planar: floor must lie in [0, 1), got " + number_text(floor_));
}

template class Planar<float>;
template class Planar<double>;

}  // namespace pushforward
