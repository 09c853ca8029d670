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
  /// From the rows of `data`, with weights if given: knots at quantiles of each column, which `inverse` takes to those of
  /// a standard normal variable, bins that hold as many rows each. So what a flow on the base side sees has normal columns
  /// as far as the interval reaches: data should be standardised, or the interval theirs. Slopes at knots are weighted
  /// harmonic means of those of the bins beside them, at an end that of the bin. Sizes and slopes are kept within the
  /// options' bounds, so that repeated values, or a column of one value, do not make any bin vanish. It is a start: `fit`
  /// goes on from it.
  /// @throws ShapeError   if the number of weights differs from the number of rows.
  /// @throws DomainError  if there are no rows, a value or weight is not finite, the weights do not sum to more than 0 or
  ///                      one is negative; for circular tails and other parameters than nflows'.
  /// @source Slopes: Fritsch and Butland 1984, eq. 2.
  static RationalQuadraticSpline of(MatrixView<const T> data, RationalQuadraticOptions options = {},
                                    VectorView<const double> weights = {});

 private:
  void do_fields(Fields<T>& f) override { this->named_fields(f, "rational_quadratic_spline", "spline"); }
};

extern template class RationalQuadraticSpline<float>;
extern template class RationalQuadraticSpline<double>;

}  // namespace pushforward
