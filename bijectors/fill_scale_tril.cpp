#include <pushforward/bijectors/fill_scale_tril.hpp>

#include <limits>

#include "bijectors/clamp.hpp"
#include "bijectors/matrix_columns.hpp"
#include "src/ops/common.hpp"

namespace pushforward {

using namespace detail;

namespace {

/// Where x has the diagonal.
ColumnList diagonal_places(Index n) {
  ColumnList list;
  for (Index i = 0; i < n; ++i) list.push_back(i * (i + 1) / 2 + i);
  return list;
}

}  // namespace

template <Scalar T>
FillScaleTriL<T>::FillScaleTriL(Index n)
    : Bijector<T>("FillScaleTriL", n * (n + 1) / 2, std::vector<Index>{n * n}), n_(n) {}

template <Scalar T>
Mapped<T> FillScaleTriL<T>::do_forward(Pass<T>& pass, Var<T> x) const {
  const Var<T> raw = gather_columns<T>(x, diagonal_places(n_));
  // x, the diagonal, and a zero
  const Var<T> all = concatenate<T>({x, clamp_positive(softplus(raw)), filled(pass.tape(), 1, T(0))});
  ColumnList from;
  for (Index i = 0; i < n_; ++i)
    for (Index j = 0; j < n_; ++j) from.push_back(j < i ? i * (i + 1) / 2 + j : j == i ? x.cols() + i : x.cols() + n_);
  return {gather_columns<T>(all, from), row_sum(-softplus(-raw))};
}

template <Scalar T>
Mapped<T> FillScaleTriL<T>::do_inverse(Pass<T>& pass, Var<T> y) const {
  restrict_to_lower(pass, y, n_);
  const Var<T> diagonal = pass.restrict_to(gather_columns<T>(y, diagonal_columns(n_)), positive);
  const Var<T> log_slope = log(-expm1(-diagonal));
  const Var<T> all = concatenate<T>({y, diagonal + log_slope});
  ColumnList from;
  for (Index i = 0; i < n_; ++i)
    for (Index j = 0; j <= i; ++j) from.push_back(j < i ? i * n_ + j : n_ * n_ + i);
  return {gather_columns<T>(all, from), row_sum(-log_slope)};
}

template <Scalar T>
Space FillScaleTriL<T>::do_codomain() const {
  return Space::lower_triangular(n_);
}

template <Scalar T>
void FillScaleTriL<T>::do_fields(Fields<T>& f) {
  f.type("fill_scale_tril");
  f.constant("n", n_, 1, Index{1} << 10);
  if (f.restoring()) this->set_shape(n_ * (n_ + 1) / 2, {n_ * n_});
}

template class FillScaleTriL<float>;
template class FillScaleTriL<double>;

}  // namespace pushforward
