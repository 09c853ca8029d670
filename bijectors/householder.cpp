#include <pushforward/bijectors/householder.hpp>

#include <limits>
#include <string>

#include <pushforward/error.hpp>

#include "src/ops/matrix.hpp"

namespace pushforward {

using namespace detail;

namespace {

Index checked_count(Index count) {
  if (count < 1) throw ShapeError("Householder: expected at least one reflection, got " + std::to_string(count));
  return count;
}

}  // namespace

template <Scalar T>
Householder<T>::Householder(Index dim, Index count)
    : Bijector<T>("Householder", dim), count_(checked_count(count)), vectors_({count, dim}) {
  for (Index k = 0; k < count; ++k) vectors_(k, k / 2 % dim) = T(1);
}

template <Scalar T>
Var<T> Householder<T>::reflected(Pass<T>& pass, Var<T> v, bool forward) const {
  const Var<T> vectors = pass.parameter(vectors_);
  for (Index k = 0; k < count_; ++k) {
    const Var<T> row = shared_columns(vectors, (forward ? k : count_ - 1 - k) * this->dim(), this->dim());
    // A vector of zeros has no direction, and its norm must not divide.
    const Var<T> square_norm = matmul(row, transpose(row)) + std::numeric_limits<T>::min();
    const Var<T> along = linear(v, row, Var<T>());
    v = v - linear(along, transpose((T(2) * row) / square_norm), Var<T>());
  }
  return v;
}

template <Scalar T>
void Householder<T>::do_fields(Fields<T>& f) {
  f.type("householder");
  this->dim_field(f);
  f.constant("count", count_, 1, Index{1} << 20);
  f.parameter("vectors", vectors_, {count_, this->dim()}, {.decay = false});
}

template class Householder<float>;
template class Householder<double>;

}  // namespace pushforward
