#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

/// From the real vectors of n columns to the simplex in n + 1: the softmax with a last logit of 0.
///
/// y_k = exp(x_k) / S, y_(n+1) = 1 / S, S = 1 + sum_k exp(x_k); x_k = log y_k - log y_(n+1)
///
/// log_det = sum_(i=1..n+1) log y_i = sum_k x_k - (n + 1) log S
///
/// @par Measure     Lebesgue in the first n columns of the simplex, as everywhere here. TFP's SoftmaxCentered counts
///                  the surface of the simplex instead: its log_det is larger by log(n + 1) / 2, the same in every row.
/// @par Shapes      x: (N, n); y: (N, n + 1).
/// @par Parameters  none.
/// @par Numerics    The largest logit is taken out first, so no finite x overflows. Parts that are too small to be told
///                  from 0 stop at the smallest positive number of T, and the log_det stays exact. `inverse` takes rows
///                  whose sum is 1 to within 1e-6 (float: 1e-4), and has the gradient of the formula above in all n + 1
///                  columns.
/// @par Errors      In `inverse`, rows with a part that is not positive, or with another sum, lie outside the codomain.
/// @par Cost        O(N n), two exps, or a log, for each value.
/// @source Aitchison 1986, section 4.2 (additive log-ratio); TFP SoftmaxCentered.
/// @throws ShapeError  if base_dim < 1.
template <Scalar T>
class SoftmaxCentered final : public Bijector<T> {
 public:
  explicit SoftmaxCentered(Index base_dim);

 private:
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override;
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override;
  Space do_codomain() const override;
  void do_fields(Fields<T>& f) override;
};

extern template class SoftmaxCentered<float>;
extern template class SoftmaxCentered<double>;

}  // namespace pushforward
