// Rows that do not lie in a space: which columns, and why; the same words in fit and in maps.

#include <cmath>
#include <limits>
#include <pushforward/bijectors/ascending.hpp>
#include <pushforward/bijectors/chain.hpp>
#include <pushforward/bijectors/exp.hpp>
#include <pushforward/bijectors/invert.hpp>
#include <pushforward/bijectors/log.hpp>
#include <pushforward/bijectors/sigmoid.hpp>
#include <pushforward/bijectors/softmax_centered.hpp>
#include <pushforward/bijectors/stick_breaking.hpp>
#include <pushforward/bijectors/unit_vector.hpp>
#include <pushforward/distributions/categorical.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <pushforward/error.hpp>
#include <pushforward/space.hpp>
#include <pushforward/training/fit.hpp>
#include <type_traits>

#include "tests/catch.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::EndsWith;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

std::string misfit(const Space& space, std::vector<double> row) {
  CHECK(space.contains(row) == space.misfit(row).empty());
  return space.misfit(row, "the support");
}

template <Scalar T = double>
TransformedDistribution<T> on(Poly<Bijector<std::type_identity_t<T>>> map) {
  const Index dim = map->base_dim();
  return TransformedDistribution<T>(Normal<T>(dim), std::move(map));
}

/// `y` with a row of it changed.
Matrix<double> with(Matrix<double> y, Index i, std::vector<double> row) {
  y.row(i) = Eigen::Map<const Eigen::RowVectorXd>(row.data(), static_cast<Index>(row.size()));
  return y;
}

}  // namespace

TEST_CASE("a space says which columns do not lie in it", "[misfit]") {
  CHECK(misfit(Space::real(1) * Space::box(1, {0, 1}), {9, 1.5}) == "column 1: 1.5 lies outside the support [0, 1]");
  CHECK(misfit(Space::box(1, {0, inf}), {-1}) == "column 0: -1 lies outside the support [0, inf]");
  CHECK(misfit(Space::real(2), {0, inf}) == "column 1: inf, no finite number, lies outside the support [-inf, inf]");
  CHECK(misfit(Space::box(1, {0, inf}), {inf}) == "column 0: inf, no finite number, lies outside the support [0, inf]");
  CHECK(misfit(Space::ordered(2), {-inf, 0}) == "column 0: -inf, no finite number, lies outside the support [-inf, inf]");
  CHECK(misfit(Space::integers({{0, inf}}), {inf}) == "column 0: inf, no finite number, lies outside the support [0, inf]");
  CHECK(misfit(Space::real(1), {-NAN}) == "column 0: nan lies outside the support [-inf, inf]");
  CHECK(misfit(Space::real(1), {NAN}) == "column 0: nan lies outside the support [-inf, inf]");
  CHECK(misfit(Space::categories(2, 5), {1, 1.5}) == "column 1: 1.5, no whole number, lies outside the support [0, 4]");
  CHECK(misfit(Space::categories(2, 5), {5, 1}) == "column 0: 5 lies outside the support [0, 4]");
  const Space mixed = Space::real(1) * Space::simplex(3);
  CHECK(misfit(mixed, {9, 0.25, 0.25, 0.5}) == "");
  CHECK(misfit(mixed, {9, 0.25, 0.5, 0.5}) ==
        "columns 1 to 3, whose sum is 1.25, lie outside the support simplex(3)");
  CHECK(misfit(mixed, {9, 0.5, -0.5, 1}) == "column 2: -0.5 lies outside the support [0, 1]");
  CHECK(misfit(Space::sphere(2), {0.5, 0.5}) ==
        "columns 0 to 1, whose squares add up to 0.5, lie outside the support sphere(2)");
  CHECK(misfit(Space::ordered(3), {-1, 7, 0}) ==
        "columns 0 to 2, where 0 follows 7, lie outside the support ordered(3)");
  CHECK(misfit(Space::positive_definite(2), {2, 1, 0, 2}) ==
        "columns 0 to 3, which are not symmetric at (1, 0), lie outside the support positive_definite(2 x 2)");
  CHECK(misfit(Space::positive_definite(2), {1, 2, 2, 1}) ==
        "columns 0 to 3, which are not positive definite, lie outside the support positive_definite(2 x 2)");
  CHECK(misfit(Space::correlation(2), {1, 0, 0.5, 0.5}) ==
        "columns 0 to 3, whose squares in row 1 of the matrix add up to 0.5, lie outside the support "
        "correlation(2 x 2)");
  CHECK(misfit(Space::lower_triangular(2), {2, 1, -5, 1}) == "column 1: 1 lies outside the support [0, 0]");
  CHECK(Space::box(1, {0, 1}).misfit(std::vector<double>{2}) == "column 0: 2 lies outside [0, 1]");
  // Bounds are exact, what makes a surface is not.
  CHECK_FALSE(Space::box(1, {0, 1}).contains(std::vector<double>{1 + 1e-12}));
  CHECK(Space::simplex(2).contains(std::vector<double>{0.5, 0.5 + 1e-12}));
  CHECK_FALSE(Space::simplex(2).contains(std::vector<double>{0.5, 0.5 + 1e-8}));
  CHECK(Space::simplex(2).contains(std::vector<double>{0.5, 0.5 + 1e-8}, 1e-6));
}

TEST_CASE("a part of a surface does not hold all of it", "[misfit]") {
  const Space whole = Space::simplex(3), part = Space::part_of(whole);
  CHECK(whole.holds(part));
  CHECK(part.holds(part));
  CHECK_FALSE(part.holds(whole));
  CHECK(whole.meets(part));
  CHECK(part.meets(whole));
  CHECK_FALSE((Space::real(1) * part).holds(Space::real(1) * whole));
  // Of the simplex, only what SoftmaxCentered makes of positive numbers can go on to their logarithms.
  const auto simplex = on(SoftmaxCentered<double>(2));
  const Chain<double> logs(Invert<double>(SoftmaxCentered<double>(2)), Log<double>(2));
  CHECK(logs.domain() == Space::part_of(Space::simplex(3)));
  CHECK_THROWS_WITH(TransformedDistribution<double>(simplex, logs),
                    ContainsSubstring("lives on simplex(3) but bijector") &&
                        EndsWith("maps from not known, within simplex(3)"));
  CHECK_NOTHROW(TransformedDistribution<double>(
      on(Chain<double>(Exp<double>(2), SoftmaxCentered<double>(2))), logs));
}

TEST_CASE("fit names row and columns of data that lies off its support", "[misfit]") {
  Engine engine(1);
  const auto refused = [&](auto flow, const Matrix<double>& good, std::vector<double> bad, const std::string& text) {
    FitOptions<double> options{.epochs = 1};
    CHECK_NOTHROW(fit(flow, good, options));
    const Matrix<double> broken = with(good, 7, bad);
    CHECK_THROWS_WITH(fit(flow, broken, options), ContainsSubstring("): data row 7, " + text + " of the model"));
    const std::vector<double> weights = [&] {
      std::vector<double> w(static_cast<std::size_t>(good.rows()), 1.0);
      w[7] = 0;
      return w;
    }();
    FitOptions<double> without = options;
    without.weights = weights;
    CHECK_NOTHROW(fit(flow, broken, without));
    options.validation = broken;
    CHECK_THROWS_WITH(fit(flow, good, options), ContainsSubstring("): validation row 7, " + text + " of the model"));
  };
  const auto simplex = on(StickBreaking<double>(2));
  refused(simplex, simplex.sample(40, engine), {0.5, 0.25, 0.5},
          "columns 0 to 2, whose sum is 1.25, lie outside the support simplex(3)");
  const auto sphere = on(UnitVector<double>(2));
  refused(sphere, sphere.sample(40, engine), {0.5, 0.5, 0.5},
          "columns 0 to 2, whose squares add up to 0.75, lie outside the support sphere(3)");
  const auto ordered = on(Ascending<double>(3));
  refused(ordered, ordered.sample(40, engine), {0, 2, 1},
          "columns 0 to 2, where 1 follows 2, lie outside the support ordered(3)");
  const auto box = on(Sigmoid<double>(2));
  refused(box, box.sample(40, engine), {0.5, 1.5}, "column 1: 1.5 lies outside the support [0, 1]");
  // Rounding of the last digits that another program wrote, as the maps themselves allow.
  auto in_float = on<float>(StickBreaking<float>(2));
  Matrix<float> y = in_float.sample(40, engine);
  y.col(0) *= 1 + 1e-5f;
  CHECK_NOTHROW(fit(in_float, y, {.epochs = 1}));
}

TEST_CASE("maps name the columns of a row outside", "[misfit]") {
  const Matrix<double> y = with(Matrix<double>::Constant(3, 2, 0.5), 1, {0.5, 1.5});
  CHECK_THROWS_WITH(Sigmoid<double>(2).inverse(y),
                    "Sigmoid::inverse: row 1 lies outside the codomain of the map: column 1: 1.5 lies outside [0, 1]");
  const Matrix<double> third = with(Matrix<double>::Constant(3, 4, 0.25), 2, {0.25, 0.25, 0.25, 0.5});
  CHECK_THROWS_WITH(StickBreaking<double>(3).inverse(third),
                    "StickBreaking::inverse: row 2 lies outside the codomain of the map: columns 0 to 3, whose sum is "
                    "1.25, lie outside simplex(4)");
  // A value on the bound of an open interval lies in no column's way: the row alone is named.
  CHECK_THROWS_WITH(Log<double>(2).forward(with(y, 0, {0, 1})),
                    "Log::forward: row 0 lies outside the domain of the map");
}
