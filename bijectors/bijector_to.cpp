#include <pushforward/bijectors/bijector_to.hpp>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <pushforward/bijectors/ascending.hpp>
#include <pushforward/bijectors/blocks.hpp>
#include <pushforward/bijectors/chain.hpp>
#include <pushforward/bijectors/cholesky_outer_product.hpp>
#include <pushforward/bijectors/circular_shift.hpp>
#include <pushforward/bijectors/column_supports.hpp>
#include <pushforward/bijectors/correlation_cholesky.hpp>
#include <pushforward/bijectors/fill_scale_tril.hpp>
#include <pushforward/bijectors/isometric_log_ratio.hpp>
#include <pushforward/bijectors/l1_ball.hpp>
#include <pushforward/bijectors/unit_ball.hpp>
#include <pushforward/bijectors/unit_vector.hpp>
#include <pushforward/bijectors/zero_sum.hpp>
#include <pushforward/error.hpp>

namespace pushforward {

namespace {

template <Scalar T>
Poly<Bijector<T>> onto(const Space::Block& block, const Space& whole) {
  using Kind = Space::Kind;
  const auto side = static_cast<Index>(std::lround(std::sqrt(static_cast<double>(block.columns))));
  if (block.partial)
    throw NotImplemented("bijector_to: a part of a space that is not known has no map of its own, in " +
                         whole.to_text());
  switch (block.kind) {
    case Kind::box:
    case Kind::circle:
      return ColumnSupports<T>(block.bounds);
    case Kind::simplex:
      return IsometricLogRatio<T>(block.columns - 1);
    case Kind::ball:
      return UnitBall<T>(block.columns);
    case Kind::l1_ball:
      return L1Ball<T>(block.columns);
    case Kind::zero_sum:
      return ZeroSum<T>(block.columns - 1);
    case Kind::ordered:
      return Ascending<T>(block.columns);
    case Kind::sphere:
      return UnitVector<T>(block.columns - 1);
    case Kind::lower_triangular:
      return FillScaleTriL<T>(side);
    case Kind::positive_definite:
      return Chain<T>(FillScaleTriL<T>(side), CholeskyOuterProduct<T>(side));
    case Kind::correlation:
      return CorrelationCholesky<T>(side);
    case Kind::grid:
      throw NotImplemented("bijector_to: no differentiable map reaches a grid, in " + whole.to_text() +
                           "; fit its columns dequantised");
    case Kind::unknown:
      break;
  }
  throw NotImplemented("bijector_to: what columns may be is not known, in " + whole.to_text());
}

template <Scalar T>
Poly<Bijector<T>> together(std::vector<Poly<Bijector<T>>> parts) {
  if (parts.empty()) throw ShapeError("bijector_to: the space has no columns");
  if (parts.size() == 1) return std::move(parts.front());
  return Blocks<T>(std::move(parts));
}

/// Of a circle: the middle of the widest gap in that arc of a hundredth of the rows which is the widest.
template <Scalar T>
double seam(MatrixView<const T> rows, Index column, Interval period) {
  const double length = period.high - period.low;
  std::vector<double> angles;
  for (Index i = 0; i < rows.rows(); ++i)
    if (const auto v = static_cast<double>(rows(i, column)); v >= period.low && v <= period.high) angles.push_back(v);
  const std::size_t n = angles.size();
  if (n == 0) return period.low;
  std::sort(angles.begin(), angles.end());
  for (std::size_t i = 0; i < n; ++i) angles.push_back(angles[i] + length);
  const std::size_t step = n / 100 + 1;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < n; ++i)
    if (angles[i + step] - angles[i] > angles[begin + step] - angles[begin]) begin = i;
  std::size_t gap = begin;
  for (std::size_t i = begin; i < begin + step; ++i)
    if (angles[i + 1] - angles[i] > angles[gap + 1] - angles[gap]) gap = i;
  const double middle = 0.5 * (angles[gap] + angles[gap + 1]);
  return middle < period.high ? middle : middle - length;
}

}  // namespace

template <Scalar T>
Poly<Bijector<T>> bijector_to(const Space& space) {
  std::vector<Poly<Bijector<T>>> parts;
  for (const Space::Block& block : space.blocks()) parts.push_back(onto<T>(block, space));
  return together(std::move(parts));
}

template <Scalar T>
Poly<Bijector<T>> bijector_to(const Space& space, MatrixView<const T> rows) {
  if (rows.cols() != space.columns())
    throw ShapeError("bijector_to: expected rows of " + std::to_string(space.columns()) + " columns, got " +
                     std::to_string(rows.cols()));
  std::vector<Poly<Bijector<T>>> parts;
  Index first = 0;
  for (const Space::Block& block : space.blocks()) {
    const bool circle = block.kind == Space::Kind::circle;
    if (!circle) parts.push_back(onto<T>(block, space));
    for (Index c = 0; circle && c < block.columns; ++c) {
      const Interval& period = block.bounds[static_cast<std::size_t>(c)];
      const std::vector<T> shift{static_cast<T>(seam(rows, first + c, period) - period.low)};
      CircularShift<T> turn(VectorView<const T>(shift), period.low, period.high, false);
      // In its own rounding of the ends.
      ColumnSupports<T> line({turn.domain()[0]});
      parts.push_back(Chain<T>(std::move(line), std::move(turn)));
    }
    first += block.columns;
  }
  return together(std::move(parts));
}

template Poly<Bijector<float>> bijector_to(const Space&, MatrixView<const float>);
template Poly<Bijector<double>> bijector_to(const Space&, MatrixView<const double>);
template Poly<Bijector<float>> bijector_to(const Space&);
template Poly<Bijector<double>> bijector_to(const Space&);

}  // namespace pushforward
