#include <pushforward/bijectors/softmax_centered.hpp>

#include <algorithm>

#include "bijectors/clamp.hpp"
#include "bijectors/surface.hpp"

namespace pushforward {

using namespace detail;

namespace {

/// The largest value of each row, as a constant.
template <Scalar T>
Var<T> largest(Var<T> x) {
  Tape<T>& tape = x.tape();
  const Var<T> top = filled(tape, 1, T(0));
  T* t = tape.value(top, 0);
  std::copy_n(tape.value(x, 0), tape.padded_rows(), t);
  for (Index c = 1; c < x.cols(); ++c) {
    const T* v = tape.value(x, c);
    for (Index i = 0; i < tape.padded_rows(); ++i) t[i] = std::max(t[i], v[i]);
  }
  return top;
}

}  // namespace

template <Scalar T>
SoftmaxCentered<T>::SoftmaxCentered(Index base_dim)
    : Bijector<T>("SoftmaxCentered", base_dim, std::vector<Index>{base_dim + 1}) {}

template <Scalar T>
Mapped<T> SoftmaxCentered<T>::do_forward(Pass<T>& pass, Var<T> x) const {
  const Var<T> logits = concatenate<T>({x, filled(pass.tape(), 1, T(0))});
  // Neither values nor gradients depend on what is taken out.
  const Var<T> below = logits - repeated(largest(logits), this->dim());
  const Column<T> log_sum = log1p(scale_shift(row_sum(exp(below)), 1.0, -1.0));
  const Var<T> y = exp(below - repeated(to_matrix(log_sum), this->dim()));
  return {clamp_positive(y), row_sum(below) - log_sum * static_cast<double>(this->dim())};
}

template <Scalar T>
Mapped<T> SoftmaxCentered<T>::do_inverse(Pass<T>& pass, Var<T> y) const {
  const Index n = this->base_dim();
  const Var<T> log_y = log(restrict_to_simplex(pass, y));
  return {columns(log_y, 0, n) - repeated(columns(log_y, n, 1), n), -row_sum(log_y)};
}

template <Scalar T>
Space SoftmaxCentered<T>::do_codomain() const {
  return Space::simplex(this->dim());
}

template <Scalar T>
void SoftmaxCentered<T>::do_fields(Fields<T>& f) {
  f.type("softmax_centered");
  Index n = this->base_dim();
  f.constant("base_dim", n, 1, Index{1} << 20);
  if (f.restoring()) this->set_shape(n, {n + 1});
}

template class SoftmaxCentered<float>;
template class SoftmaxCentered<double>;

}  // namespace pushforward
