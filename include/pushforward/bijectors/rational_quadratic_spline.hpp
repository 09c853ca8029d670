#pragma once

#include <pushforward/bijectors/elementwise.hpp>
#include <pushforward/bijectors/rational_quadratic_transformer.hpp>

namespace pushforward {

/// A monotone rational-quadratic spline for each column, whatever the others are: `inverse` (data to base) evaluates
/// it, `forward` solves for the root.
///
/// log_det = sum over the columns of log of the slope, see RationalQuadraticTransformer for formula, numerics and
/// errors.
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  raw: (multiplier * dim), parameter p of column d at p * dim + d; initially 0. No weight decay.
/// @par Cost        O(N dim bins).
/// @throws ShapeError   if dim < 1.
/// @throws DomainError  if an option is out of its range.
/// @source Durkan et al. 2019.
template <Scalar T>
class RationalQuadraticSpline final : public Elementwise<T> {
 public:
  explicit RationalQuadraticSpline(Index dim, RationalQuadraticOptions options = {})
      : Elementwise<T>("RationalQuadraticSpline", RationalQuadraticTransformer<T>(options), dim) {}

 private:
  void do_fields(Fields<T>& f) override { this->named_fields(f, "rational_quadratic_spline", "spline"); }
};

extern template class RationalQuadraticSpline<float>;
extern template class RationalQuadraticSpline<double>;

}  // namespace pushforward
