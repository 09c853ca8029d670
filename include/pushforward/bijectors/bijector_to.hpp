#pragma once

#include <pushforward/bijector.hpp>
#include <pushforward/poly.hpp>

namespace pushforward {

/// The usual map from the real line in as many numbers as a point of the space takes onto the space, block by block:
///
///     box                ColumnSupports            sphere             UnitVector
///     circle             ColumnSupports            lower_triangular   FillScaleTriL
///     simplex            IsometricLogRatio         positive_definite  FillScaleTriL, CholeskyOuterProduct
///     ordered            Ascending                 correlation        CorrelationCholesky
///     zero_sum           ZeroSum                   ball, l1_ball      UnitBall, L1Ball
///
/// So `TransformedDistribution(flow, bijector_to<double>(space))` is a flow on it, if that of the flow has
/// `space.dimensions()` columns. The one of a circle leaves out the point where its ends meet; flows of angles alone,
/// without that seam, are `ncsf`.
///
/// @throws NotImplemented  for grids, which no differentiable map reaches, and for parts of spaces that are not known.
/// @throws ShapeError      for a space without columns.
/// @source torch's and numpyro's `biject_to`.
template <Scalar T>
Poly<Bijector<T>> bijector_to(const Space& space);

/// The same, with the ends of each circle turned (CircularShift, not trained) to where few of the rows are: into the widest
/// gap of that hundredth of them which takes the longest arc.
/// @throws ShapeError  also for rows of another number of columns.
template <Scalar T>
Poly<Bijector<T>> bijector_to(const Space& space, MatrixView<const T> rows);

}  // namespace pushforward
