#include <pushforward/bijectors/cholesky_outer_product.hpp>

#include <cmath>
#include <limits>
#include <numbers>

#include "bijectors/matrix_columns.hpp"
#include "src/ops/common.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
CholeskyOuterProduct<T>::CholeskyOuterProduct(Index n) : Bijector<T>("CholeskyOuterProduct", n * n), n_(n) {}

template <Scalar T>
Column<T> CholeskyOuterProduct<T>::log_det(Var<T> diagonal) const {
  const Var<T> logs = log(diagonal);
  // Sum over the last i of the sums up to i, so that log L_ii counts n - i + 1 times.
  Column<T> sum;
  for (Index i = n_; i >= 1; --i) sum = sum + row_sum(columns(logs, 0, i));
  return scale_shift(sum, 1.0, static_cast<double>(n_) * std::numbers::ln2);
}

namespace {

/// Where rounding has made a matrix singular: its diagonal is raised until every pivot is some roundings of it. The
/// gradient does not mind.
template <Scalar T>
void keep_definite(Pass<T>& pass, Var<T> y, Index n) {
  auto* l = pass.tape().template scratch<double>(n * n);
  const double share = 8 * static_cast<double>(n) * static_cast<double>(std::numeric_limits<T>::epsilon());
  for (Index row = 0; row < pass.tape().padded_rows(); ++row)
    for (Index j = 0; j < n; ++j) {
      T& diagonal = pass.tape().value(y, j * n + j)[row];
      if (diagonal < std::numeric_limits<T>::min()) diagonal = std::numeric_limits<T>::min();
      const auto rest = [&](Index i) {
        double sum = static_cast<double>(pass.tape().value(y, i * n + j)[row]);
        for (Index k = 0; k < j; ++k) sum -= l[i * n + k] * l[j * n + k];
        return sum;
      };
      double pivot = rest(j);
      const double least = share * static_cast<double>(diagonal);
      if (pivot < least) {
        diagonal += static_cast<T>(least - pivot);
        pivot = least;
      }
      for (Index i = j; i < n; ++i) l[i * n + j] = (i == j ? pivot : rest(i)) / std::sqrt(pivot);
    }
}

}  // namespace

template <Scalar T>
Mapped<T> CholeskyOuterProduct<T>::do_forward(Pass<T>& pass, Var<T> x) const {
  restrict_to_lower(pass, x, n_);
  const Var<T> diagonal = pass.restrict_to(gather_columns<T>(x, diagonal_columns(n_)), positive);
  Var<T> y;
  for (Index k = 0; k < n_; ++k) {
    ColumnList of_row, of_column;
    for (Index i = 0; i < n_; ++i)
      for (Index j = 0; j < n_; ++j) {
        of_row.push_back(i * n_ + k);
        of_column.push_back(j * n_ + k);
      }
    const Var<T> product = gather_columns<T>(x, of_row) * gather_columns<T>(x, of_column);
    y = y ? y + product : product;
  }
  keep_definite(pass, y, n_);
  return {y, log_det(diagonal)};
}

template <Scalar T>
Mapped<T> CholeskyOuterProduct<T>::do_inverse(Pass<T>& pass, Var<T> y) const {
  if (n_ > 1) {
    const Var<T> above = gather_columns<T>(y, columns_above_diagonal(n_));
    ColumnList mirrored;
    for (const std::int64_t c : columns_above_diagonal(n_)) mirrored.push_back(c % n_ * n_ + c / n_);
    const Var<T> below = gather_columns<T>(y, mirrored);
    const double tolerance = surface_tolerance<T>;
    pass.restrict_to((above - below) / (abs(below) + T(1)), -tolerance, tolerance, T(0), true);
  }
  const auto count = static_cast<std::size_t>(n_ * n_);
  auto* l = pass.tape().template scratch<Var<T>>(n_ * n_);
  auto* diagonal = pass.tape().template scratch<Var<T>>(n_);
  const Var<T> zero = filled(pass.tape(), 1, T(0));
  for (std::size_t k = 0; k < count; ++k) l[k] = zero;
  for (Index j = 0; j < n_; ++j)
    for (Index i = j; i < n_; ++i) {
      Var<T> rest = columns(y, i * n_ + j, 1);
      for (Index k = 0; k < j; ++k) rest = rest - l[i * n_ + k] * l[j * n_ + k];
      l[i * n_ + j] = i == j ? sqrt(pass.restrict_to(rest, positive)) : rest / diagonal[j];
      if (i == j) diagonal[j] = l[i * n_ + j];
    }
  return {concatenate(std::span<const Var<T>>(l, count)),
          -log_det(concatenate(std::span<const Var<T>>(diagonal, static_cast<std::size_t>(n_))))};
}

template <Scalar T>
Space CholeskyOuterProduct<T>::do_domain() const {
  return Space::lower_triangular(n_);
}
template <Scalar T>
Space CholeskyOuterProduct<T>::do_codomain() const {
  return Space::positive_definite(n_);
}

template <Scalar T>
void CholeskyOuterProduct<T>::do_fields(Fields<T>& f) {
  f.type("cholesky_outer_product");
  f.constant("n", n_, 1, Index{1} << 10);
  if (f.restoring()) this->set_shape(n_ * n_, {n_ * n_});
}

template class CholeskyOuterProduct<float>;
template class CholeskyOuterProduct<double>;

}  // namespace pushforward
