#include <pushforward/bijectors/rotation.hpp>

#include <cmath>

#include <pushforward/random.hpp>

#include "src/ops/matrix.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
Rotation<T>::Rotation(Index dim) : Bijector<T>("Rotation", dim), a_({dim, dim}) {}

template <Scalar T>
Rotation<T>::Rotation(Index dim, std::uint64_t seed) : Rotation(dim) {
  Engine engine(seed);
  engine.next_call().normal(0, 1, dim * dim, a_.data(), 1);
  for (T& value : a_.values()) value /= static_cast<T>(std::sqrt(static_cast<double>(dim)));
}

template <Scalar T>
Var<T> Rotation<T>::rotated(Pass<T>& pass, Var<T> v, bool forward) const {
  const Var<T> a = pass.parameter(a_), turned = transpose(a);
  return linear(v, matrix_exponential(forward ? a - turned : turned - a), Var<T>());
}

template <Scalar T>
void Rotation<T>::do_fields(Fields<T>& f) {
  f.type("rotation");
  this->dim_field(f, Index{1} << 12);
  f.parameter("a", a_, {this->dim(), this->dim()}, {.decay = false});
}

template class Rotation<float>;
template class Rotation<double>;

}  // namespace pushforward
