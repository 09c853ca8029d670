#include <pushforward/bijectors/correlation_cholesky.hpp>

#include "bijectors/correlation_rows.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
CorrelationCholesky<T>::CorrelationCholesky(Index n)
    : Bijector<T>("CorrelationCholesky", checked_rows("CorrelationCholesky", n) * (n - 1) / 2,
                  std::vector<Index>{n * n}),
      n_(n) {}

template <Scalar T>
Mapped<T> CorrelationCholesky<T>::do_forward(Pass<T>& pass, Var<T> x) const {
  return correlation_factors<T>(pass, x, n_, [](Var<T> row) {
    const Index i = row.cols();
    const Column<T> log_size = 0.5 * log1p(row_sum_of_squares(row));  // -log L_ii
    const Var<T> diagonal = clamp_positive(exp(to_matrix(-log_size)));
    return CorrelationRow<T>{row * repeated(diagonal, i), diagonal, -static_cast<double>(i + 2) * log_size};
  });
}

template <Scalar T>
Mapped<T> CorrelationCholesky<T>::do_inverse(Pass<T>& pass, Var<T> y) const {
  return from_correlation_factors<T>(pass, y, n_, [](Var<T> row, Var<T> diagonal) {
    const Index i = row.cols();
    return Mapped<T>{row / repeated(diagonal, i), -static_cast<double>(i + 2) * row_sum(log(diagonal))};
  });
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
