#include <pushforward/bijectors/correlation_cholesky.hpp>

#include <string>

#include <pushforward/error.hpp>

#include "bijectors/clamp.hpp"
#include "bijectors/matrix_columns.hpp"
#include "bijectors/surface.hpp"

namespace pushforward {

using namespace detail;

namespace {

Index checked_size(Index n) {
  if (n < 2) throw ShapeError("CorrelationCholesky: expected n of at least 2, got " + std::to_string(n));
  return n;
}

}  // namespace

template <Scalar T>
CorrelationCholesky<T>::CorrelationCholesky(Index n)
    : Bijector<T>("CorrelationCholesky", checked_size(n) * (n - 1) / 2, std::vector<Index>{n * n}), n_(n) {}

template <Scalar T>
Mapped<T> CorrelationCholesky<T>::do_forward(Pass<T>& pass, Var<T> x) const {
  auto* parts = pass.tape().template scratch<Var<T>>(3 * n_);
  Index count = 0;
  const auto zeros = [&](Index cols) {
    if (cols > 0) parts[count++] = filled(pass.tape(), cols, T(0));
  };
  parts[count++] = filled(pass.tape(), 1, T(1));
  zeros(n_ - 1);
  Column<T> log_det;
  for (Index i = 1; i < n_; ++i) {
    const Var<T> row = columns(x, i * (i - 1) / 2, i);
    const Column<T> log_size = 0.5 * log1p(row_sum_of_squares(row));  // -log L_ii
    const Var<T> diagonal = clamp_positive(exp(to_matrix(-log_size)));
    parts[count++] = row * repeated(diagonal, i);
    parts[count++] = diagonal;
    zeros(n_ - 1 - i);
    log_det = log_det - static_cast<double>(i + 2) * log_size;
  }
  return {concatenate(std::span<const Var<T>>(parts, static_cast<std::size_t>(count))), log_det};
}

template <Scalar T>
Mapped<T> CorrelationCholesky<T>::do_inverse(Pass<T>& pass, Var<T> y) const {
  restrict_to_lower(pass, y, n_);
  auto* parts = pass.tape().template scratch<Var<T>>(n_);
  Column<T> log_det;
  for (Index i = 0; i < n_; ++i) {
    restrict_to_one(pass, row_sum_of_squares(columns(y, i * n_, i + 1)));
    const Var<T> diagonal = pass.restrict_to(columns(y, i * n_ + i, 1), positive);
    if (i == 0) continue;
    parts[i - 1] = columns(y, i * n_, i) / repeated(diagonal, i);
    log_det = log_det - static_cast<double>(i + 2) * row_sum(log(diagonal));
  }
  return {concatenate(std::span<const Var<T>>(parts, static_cast<std::size_t>(n_ - 1))), log_det};
}

template <Scalar T>
Space CorrelationCholesky<T>::do_codomain() const {
  return Space::correlation(n_);
}

template <Scalar T>
void CorrelationCholesky<T>::do_fields(Fields<T>& f) {
  f.type("correlation_cholesky");
  f.constant("n", n_, 2, Index{1} << 10);
  if (f.restoring()) this->set_shape(n_ * (n_ - 1) / 2, {n_ * n_});
}

template class CorrelationCholesky<float>;
template class CorrelationCholesky<double>;

}  // namespace pushforward
