#include <pushforward/bijectors/partial_correlations.hpp>

#include <string>

#include <pushforward/error.hpp>

#include "bijectors/clamp.hpp"
#include "bijectors/hyperbolic.hpp"
#include "bijectors/matrix_columns.hpp"
#include "bijectors/running_sum.hpp"
#include "bijectors/surface.hpp"

namespace pushforward {

using namespace detail;

namespace {

Index checked_size(Index n) {
  if (n < 2) throw ShapeError("PartialCorrelations: expected n of at least 2, got " + std::to_string(n));
  return n;
}

}  // namespace

template <Scalar T>
PartialCorrelations<T>::PartialCorrelations(Index n)
    : Bijector<T>("PartialCorrelations", checked_size(n) * (n - 1) / 2, std::vector<Index>{n * n}), n_(n) {}

template <Scalar T>
Mapped<T> PartialCorrelations<T>::do_forward(Pass<T>& pass, Var<T> x) const {
  auto* parts = pass.tape().template scratch<Var<T>>(3 * n_);
  Index count = 0;
  const auto zeros = [&](Index cols) {
    if (cols > 0) parts[count++] = filled(pass.tape(), cols, T(0));
  };
  parts[count++] = filled(pass.tape(), 1, T(1));
  zeros(n_ - 1);
  Column<T> log_det;
  for (Index i = 1; i < n_; ++i) {
    const Var<T> row = columns(x, i * (i - 1) / 2, i), log_sech = -log_cosh(row);
    const Var<T> log_left = sums_before(pass, log_sech);
    parts[count++] = tanh(row) * exp(log_left);
    parts[count++] = clamp_positive(exp(to_matrix(row_sum(log_sech))));
    zeros(n_ - 1 - i);
    log_det = log_det + row_sum(log_left + T(2) * log_sech);
  }
  return {concatenate(std::span<const Var<T>>(parts, static_cast<std::size_t>(count))), log_det};
}

template <Scalar T>
Mapped<T> PartialCorrelations<T>::do_inverse(Pass<T>& pass, Var<T> y) const {
  restrict_to_lower(pass, y, n_);
  auto* parts = pass.tape().template scratch<Var<T>>(n_);
  Column<T> log_det;
  for (Index i = 0; i < n_; ++i) {
    restrict_to_one(pass, row_sum_of_squares(columns(y, i * n_, i + 1)));
    const Var<T> diagonal = pass.restrict_to(columns(y, i * n_ + i, 1), positive);
    if (i == 0) continue;
    // What is left of the length 1 from each entry on, and what the one before it had.
    const Var<T> row = columns(y, i * n_, i);
    const Var<T> squares = running_sum(concatenate<T>({row * row, diagonal * diagonal}), true);
    const Var<T> log_left = T(0.5) * log(columns(squares, 0, i)), log_after = T(0.5) * log(columns(squares, 1, i));
    parts[i - 1] = sign(row) * (log(exp(log_left) + abs(row)) - log_after);
    log_det = log_det + row_sum(log_left - T(2) * log_after);
  }
  return {concatenate(std::span<const Var<T>>(parts, static_cast<std::size_t>(n_ - 1))), log_det};
}

template <Scalar T>
void PartialCorrelations<T>::do_fields(Fields<T>& f) {
  f.type("partial_correlations");
  f.constant("n", n_, 2, Index{1} << 10);
  if (f.restoring()) this->set_shape(n_ * (n_ - 1) / 2, {n_ * n_});
}

template class PartialCorrelations<float>;
template class PartialCorrelations<double>;

}  // namespace pushforward
