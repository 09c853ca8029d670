#include <pushforward/bijectors/partial_correlations.hpp>

#include "bijectors/correlation_rows.hpp"
#include "bijectors/hyperbolic.hpp"
#include "bijectors/running_sum.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
PartialCorrelations<T>::PartialCorrelations(Index n)
    : Bijector<T>("PartialCorrelations", checked_rows("PartialCorrelations", n) * (n - 1) / 2,
                  std::vector<Index>{n * n}),
      n_(n) {}

template <Scalar T>
Mapped<T> PartialCorrelations<T>::do_forward(Pass<T>& pass, Var<T> x) const {
  return correlation_factors<T>(pass, x, n_, [&](Var<T> row) {
    const Var<T> log_sech = -log_cosh(row), log_left = sums_before(pass, log_sech);
    return CorrelationRow<T>{tanh(row) * exp(log_left), clamp_positive(exp(to_matrix(row_sum(log_sech)))),
                             row_sum(log_left + T(2) * log_sech)};
  });
}

template <Scalar T>
Mapped<T> PartialCorrelations<T>::do_inverse(Pass<T>& pass, Var<T> y) const {
  return from_correlation_factors<T>(pass, y, n_, [](Var<T> row, Var<T> diagonal) {
    // What is left of the length 1 from each entry on, and what the one before it had.
    const Index i = row.cols();
    const Var<T> squares = running_sum(concatenate<T>({row * row, diagonal * diagonal}), true);
    const Var<T> log_left = T(0.5) * log(columns(squares, 0, i)), log_after = T(0.5) * log(columns(squares, 1, i));
    return Mapped<T>{sign(row) * (log(exp(log_left) + abs(row)) - log_after), row_sum(log_left - T(2) * log_after)};
  });
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
