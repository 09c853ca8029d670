#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

/// From the real vectors of n columns to the unit sphere in n + 1 columns, by stereographic projection from its pole
/// (0, ..., 0, 1), which is reached by no x.
///
/// y = (2 x, s - 1) / (s + 1), s = |x|^2; x = (y_1, ..., y_n) / d, d = 1 - y_(n+1) = |y - pole|^2 / 2
///
/// log_det = n [log 2 - log(1 + s)] = n log d
///
/// @par Measure     Surface area.
/// @par Shapes      x: (N, n); y: (N, n + 1).
/// @par Parameters  none.
/// @par Numerics    |x| beyond about 1e19 in float reaches the pole. Far points crowd there: d from the chord to the
///                  pole keeps its digits. `inverse` takes rows whose squares add up to 1 within 1e-6 (float: 1e-4),
///                  and has the gradient of the formula with the chord in all n + 1 columns.
/// @par Errors      In `inverse`, the pole and rows with another sum of squares lie outside the codomain.
/// @par Cost        O(N n).
/// @source Gemici, Rezende, Mohamed 2016, section 4; TFP UnitVector.
/// @throws ShapeError  if base_dim < 1.
template <Scalar T>
class UnitVector final : public Bijector<T> {
 public:
  explicit UnitVector(Index base_dim);

 private:
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override;
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override;
  Space do_codomain() const override;
  void do_fields(Fields<T>& f) override;
};

extern template class UnitVector<float>;
extern template class UnitVector<double>;

}  // namespace pushforward
