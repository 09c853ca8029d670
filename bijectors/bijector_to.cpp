#include <pushforward/bijectors/bijector_to.hpp>

#include <cmath>
#include <vector>

#include <pushforward/bijectors/ascending.hpp>
#include <pushforward/bijectors/blocks.hpp>
#include <pushforward/bijectors/chain.hpp>
#include <pushforward/bijectors/cholesky_outer_product.hpp>
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

}  // namespace

template <Scalar T>
Poly<Bijector<T>> bijector_to(const Space& space) {
  if (space.columns() == 0) throw ShapeError("bijector_to: the space has no columns");
  std::vector<Poly<Bijector<T>>> parts;
  for (const Space::Block& block : space.blocks()) parts.push_back(onto<T>(block, space));
  if (parts.size() == 1) return std::move(parts.front());
  return Blocks<T>(std::move(parts));
}

template Poly<Bijector<float>> bijector_to(const Space&);
template Poly<Bijector<double>> bijector_to(const Space&);

}  // namespace pushforward
