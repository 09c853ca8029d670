#pragma once

#include <numbers>

#include <pushforward/bijector.hpp>

namespace pushforward {

/// y = x + shift on circles, moved back into [low, high) by whole periods: what makes the point at which circular
/// splines keep still another one in each layer.
///
/// log_det = 0
///
/// @par Shapes      x, y: (N, dim), angles in [low, high].
/// @par Parameters  shift (dim), initially as given, in any period; `fit` leaves it alone unless `trainable`. No weight
///                  decay.
/// @par Numerics    a value that rounding takes to `high` is `low`.
/// @par Errors      values outside [low, high] lie outside the domain.
/// @par Cost        O(N dim).
/// @throws ShapeError   if there is no column.
/// @throws DomainError  unless low < high are finite, and the shifts too.
/// @source Rezende et al. 2020, section 2.1; zuko's `CircularShiftTransform`, normflows' `PeriodicShift`.
template <Scalar T>
class CircularShift final : public Bijector<T> {
 public:
  explicit CircularShift(VectorView<const T> shift, double low = -std::numbers::pi, double high = std::numbers::pi,
                         bool trainable = true);
  /// Half a period, which takes the ends to the middle.
  explicit CircularShift(Index dim, double low = -std::numbers::pi, double high = std::numbers::pi);

  const Tensor<T>& shift() const { return shift_; }
  double low() const { return low_; }
  double high() const { return high_; }

 private:
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override;
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override;
  Var<T> restricted(Pass<T>& pass, Var<T> v) const;
  bool do_is_constant_jacobian() const override { return true; }
  double do_log_scale_bound() const override { return 0; }
  Space do_domain() const override { return Space::circle(this->dim(), {low_, high_}); }
  Space do_codomain() const override { return do_domain(); }
  void do_fields(Fields<T>& f) override;
  void do_restored() override;

  double low_ = -std::numbers::pi, high_ = std::numbers::pi;
  Tensor<T> shift_;
  bool trainable_ = true;
};

extern template class CircularShift<float>;
extern template class CircularShift<double>;

}  // namespace pushforward
