// Which columns lie on grids, and where their cells end.

#include <cmath>
#include <limits>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/training/grids.hpp>
#include <vector>

#include "tests/catch.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

/// Normal numbers of deviation 10, rounded to origin + step k.
Matrix<double> rounded(double origin, double step, Index rows = 3000) {
  Engine engine(3);
  const Matrix<double> x = Normal<double>({0.0}, {10.0}).sample(rows, engine);
  return (((x.array() - origin) / step).round() * step + origin).matrix();
}

std::vector<GridColumn> found(const Matrix<double>& data) { return find_grids<double>(data); }

}  // namespace

TEST_CASE("steps and origins of grids are found", "[grids]") {
  for (const auto& [origin, step] : std::vector<std::pair<double, double>>{
           {0, 1}, {0, 0.125}, {0, 0.25}, {0, 5}, {0.5, 1}, {0.25, 0.5}, {0, 1.0 / 3}, {1e6, 0.125}}) {
    INFO(origin << " + k " << step);
    const std::vector<GridColumn> grids = found(rounded(origin, step));
    REQUIRE(grids.size() == 1);
    CHECK(grids[0].column == 0);
    CHECK(grids[0].found == (grids[0].grid != Grid{}));
    CHECK(std::abs(grids[0].grid.step - step) < 1e-12 * step);
    CHECK(grids[0].grid.contains(origin));
    CHECK(grids[0].grid.contains(origin + 7 * step));
    CHECK_FALSE(grids[0].grid.contains(origin + 0.5 * step));
  }
  CHECK(found(rounded(0, 0.2))[0].grid == Grid{0, 0.2});
  CHECK(found(rounded(0, 1))[0].grid == Grid{});
}

TEST_CASE("of columns that are asked for the steps may be as fine as they like", "[grids]") {
  Matrix<double> y(300, 2);
  y.col(0) = rounded(0, 0.004, 300);
  y.col(1) = y.col(0);
  CHECK(found(y).empty());
  const std::vector<GridColumn> grids = find_grids<double>(y, {1});
  REQUIRE(grids.size() == 1);
  CHECK(grids[0].column == 1);
  CHECK(grids[0].grid == Grid{0, 0.004});
  Engine engine(1);
  CHECK(find_grids<double>(Normal<double>(1).sample(300, engine), {0}).empty());
}

TEST_CASE("numbers of float lie on the grid that was written", "[grids]") {
  const Matrix<float> y = (rounded(0, 0.2).array() + 900).cast<float>();
  const std::vector<GridColumn> grids = find_grids<float>(y);
  REQUIRE(grids.size() == 1);
  CHECK(grids[0].grid == Grid{0, 0.2});
}

TEST_CASE("what is no grid", "[grids]") {
  Engine engine(5);
  Matrix<double> y(3000, 5);
  y.col(0) = Normal<double>(1).sample(3000, engine);
  y.col(1) = y.col(0).array().max(0.0);           // an atom
  y.col(2).setConstant(3);                        // one value
  y.col(3) = y.col(0).unaryExpr([](double v) { return std::exp(std::round(3 * v)); });  // repeated, at uneven distances
  y.col(4) = (y.col(0) * 1e6).array().round();    // whole, and hardly repeated
  CHECK(found(y).empty());
  CHECK(found(Matrix<double>(0, 2)).empty());
  // One value off the grid is enough.
  Matrix<double> off = rounded(0, 1);
  off(2999, 0) = 0.4142135;
  CHECK(found(off).empty());
}

TEST_CASE("a continuous variable with its digits is none, but what clusters on a fine grid is", "[grids]") {
  CHECK(found(rounded(0, 0.01)).empty());
  CHECK(repeated_values<double>(rounded(0, 0.01))[0].share > 0.1);
  // A few hundred of its numbers, again and again.
  Matrix<double> y(5000, 1);
  for (Index i = 0; i < y.rows(); ++i) y(i, 0) = 0.01 * static_cast<double>((i % 300) * (i % 300) % 7919);
  const std::vector<GridColumn> grids = found(y);
  REQUIRE(grids.size() == 1);
  CHECK(grids[0].grid == Grid{0, 0.01});
}

TEST_CASE("few different whole numbers are counted in ones", "[grids]") {
  Matrix<double> few(300, 2);
  for (Index i = 0; i < 300; ++i) few.row(i) << 2 * (i % 3), 2 * (i % 20);
  const std::vector<GridColumn> grids = found(few);
  REQUIRE(grids.size() == 2);
  CHECK(grids[0].grid.step == 1);
  CHECK(grids[1].grid.step == 2);
}

TEST_CASE("cells of whole numbers end at 0 where there is a reason", "[grids]") {
  Matrix<double> y(4, 5);
  y << 0, 0, 1990, -1, 0.5, 1, 3, 2000, 2, 1, 0, 7, 2010, 5, 2, 1, 1, 2020, 0, 0.5;
  const std::vector<GridColumn> all{{0, {}}, {1, {}}, {2, {}}, {3, {}}, {4, {0, 0.5}}};
  CHECK(cell_support<double>(y, all) == Space::box({{-0.5, 1.5}, {-0.5, inf}, {}, {}, {}}));
  // Bounds that are given move to edges, once.
  const Space moved = cell_support<double>(y, all, Space::box({{}, {0, 10}, {}, {}, {0, 2}}));
  CHECK(moved[1] == Interval{-0.5, 10.5});
  CHECK(moved[4] == Interval{-0.25, 2.25});
  CHECK(cell_support<double>(y, all, moved) == moved);
  CHECK(cell_support<double>(y, {{2, {}}}).columns() == 0);
  CHECK_THROWS_AS(cell_support<double>(y, {{5, {}}}), ShapeError);
  CHECK_THROWS_AS(cell_support<double>(y, all, Space::box({{0, 1}})), ShapeError);
  // Columns that belong together have no cells; the others keep theirs.
  const Space together = Space::box({{0, 10}}) * Space::simplex(3) * Space::circle(1, {0, 2});
  CHECK(cell_support<double>(y, {{0, {}}}, together) == Space::box({{-0.5, 10.5}}) * Space::simplex(3) * Space::circle(1, {0, 2}));
  CHECK_THROWS_WITH(cell_support<double>(y, {{1, {}}}, together),
                    ContainsSubstring("cell_support: column 1 has no cells of its own in the support (0, 10) x simplex(3)"));
  CHECK_THROWS_AS(cell_support<double>(y, {{4, {}}}, together), DomainError);
}

TEST_CASE("how values repeat", "[grids]") {
  Matrix<double> y(10, 1);
  y << 4, 4, 4, 1, 2, 2, 7.5, 8, 9, 10;
  const RepeatedValues r = repeated_values<double>(y)[0];
  CHECK(r.share == 0.3);
  CHECK(r.smallest_step == 0.5);
  CHECK(r.commonest == 4);
  CHECK(r.commonest_share == 0.3);
}

TEST_CASE("repeated_values counts each column by itself", "[grids]") {
  Matrix<double> y(200, 2);
  for (Index i = 0; i < 200; ++i) y.row(i) << 0.001 * static_cast<double>(i * i), static_cast<double>(i % 4);
  const std::vector<RepeatedValues> found = repeated_values<double>(y);
  REQUIRE(found.size() == 2);
  CHECK(found[0].share == 0);
  CHECK(found[0].smallest_step == Approx(0.001).epsilon(1e-12));
  CHECK(found[1].share == 0.98);
  CHECK(found[1].commonest_share == 0.25);
  CHECK(found[1].smallest_step == 1);
}

TEST_CASE("A grid explains repeated values by neighbours, and is taken without where it is asked for", "[grids]") {
  Matrix<double> y(400, 1);
  const double far[] = {0, 17, 51, 102, 170, 221, 238, 306, 340, 408, 459, 510.5};
  for (Index i = 0; i < 400; ++i) y(i, 0) = far[i % 12];
  CHECK(find_grids<double>(y).empty());
  const std::vector<GridColumn> asked = find_grids<double>(y, {0});
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].grid.step == Approx(0.5));
}
