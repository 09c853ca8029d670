// Spaces at their edges: where a row just lies in, or just does not.

#include <limits>
#include <pushforward/error.hpp>
#include <pushforward/space.hpp>
#include <vector>

#include "tests/catch.hpp"

using namespace pushforward;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

bool in(const Space& space, std::vector<double> row) { return space.contains(row); }

/// 1 on the diagonal, `a` beside it: positive definite for -1/2 < a < 1.
std::vector<double> equicorrelated(double a) { return {1, a, a, a, 1, a, a, a, 1}; }

}  // namespace

TEST_CASE("Every interval has a number inside", "[space]") {
  CHECK(Interval{2, 6}.inside() == 4);
  CHECK(Interval{-7, -3}.inside() == -5);
  CHECK(Interval{3, inf}.inside() == 4);
  CHECK(Interval{-inf, 3}.inside() == 2);
  CHECK(Interval{}.inside() == 0);
}

TEST_CASE("A period is finite if its length is", "[space]") {
  CHECK_THROWS_AS(Space::circle(1, {-1e308, 1e308}), DomainError);
  CHECK_THROWS_AS(Space::circle(1, {-inf, 0}), DomainError);
  CHECK_NOTHROW(Space::circle(1, {1e308, 1.5e308}));
  CHECK_NOTHROW(Space::circle(1, {-3, 3}));
}

TEST_CASE("Corners and poles belong to their surface, and so does what rounding puts beside them", "[space]") {
  CHECK(in(Space::simplex(3), {0, 1, 0}));
  CHECK(in(Space::simplex(3), {-1e-12, 1 + 1e-12, 0}));
  CHECK_FALSE(in(Space::simplex(3), {-1e-6, 1 + 1e-6, 0}));
  CHECK(in(Space::sphere(3), {0, -1, 0}));
  CHECK(in(Space::sphere(3), {0, 0, 1 + 1e-12}));
  CHECK(in(Space::correlation(2), {1, 0, -1, 0}));
  CHECK(in(Space::positive_definite(2), {1e-3, 0, 0, 1e-3}));
  CHECK(in(Space::box(2, {0, 1}), {0, 1}));
  CHECK(in(Space::circle(1, {0, 1}), {0}));
}

TEST_CASE("A matrix is positive definite and symmetric by all its entries", "[space]") {
  const Space two = Space::positive_definite(2), three = Space::positive_definite(3);
  CHECK(in(two, {4, 1, 1, 0.3}));
  CHECK_FALSE(in(two, {4, 1, 1, 0.2}));
  CHECK(in(three, equicorrelated(-0.49)));
  CHECK_FALSE(in(three, equicorrelated(-0.51)));
  CHECK(in(three, equicorrelated(0.99)));
  CHECK_FALSE(in(three, equicorrelated(1.01)));
  for (const std::size_t entry : {1u, 2u, 3u, 5u, 6u, 7u}) {
    INFO("entry " << entry);
    std::vector<double> skew = equicorrelated(0.25);
    skew[entry] += 1e-3;
    CHECK_FALSE(in(three, skew));
  }
}

TEST_CASE("Every row of a factor of a correlation matrix has length 1", "[space]") {
  const std::vector<double> factor = {1, 0, 0, 0.6, 0.8, 0, 0.48, -0.64, 0.6};
  const Space space = Space::correlation(3);
  CHECK(in(space, factor));
  for (const std::size_t entry : {0u, 3u, 4u, 6u, 7u, 8u}) {
    INFO("entry " << entry);
    std::vector<double> longer = factor;
    longer[entry] *= 0.99;
    CHECK_FALSE(in(space, longer));
  }
}

TEST_CASE("Blocks are compared and searched where they stand", "[space]") {
  const Space s = Space::simplex(2) * Space::box(2, {0, 4}) * Space::sphere(2) * Space::box({{1, 2}});
  CHECK(s.holds(Space::simplex(2) * Space::box(2, {1, 4}) * Space::sphere(2) * Space::box({{1, 1.5}})));
  CHECK_FALSE(s.holds(Space::simplex(2) * Space::box(2, {1, 4}) * Space::sphere(2) * Space::box({{1, 2.5}})));
  CHECK_FALSE(s.holds(Space::simplex(2) * Space::box({{0, 4}, {0, 5}}) * Space::sphere(2) * Space::box({{1, 2}})));
  CHECK_FALSE(s.holds(Space::simplex(2) * Space::box(2, {0, 4}) * Space::simplex(2) * Space::box({{1, 2}})));
  CHECK_FALSE(s.meets(Space::simplex(2) * Space::box(2, {0, 4}) * Space::sphere(2) * Space::box({{2, 3}})));
  CHECK(s.meets(Space::simplex(2) * Space::box(2, {3, 9}) * Space::sphere(2) * Space::box({{0, 9}})));
  CHECK(in(s, {0.5, 0.5, 3, 4, 0.6, 0.8, 1.5}));
  CHECK_FALSE(in(s, {0.5, 0.5, 3, 4, 0.6, 0.8, 2.5}));
  CHECK_FALSE(in(s, {0.5, 0.5, 3, 5, 0.6, 0.8, 1.5}));
  CHECK_FALSE(in(s, {0.5, 0.5, 3, 4, 0.6, 0.7, 1.5}));
  CHECK(s[6] == Interval{1, 2});
  CHECK(s[3] == Interval{0, 4});
  CHECK(s.columns() == 7);
  CHECK(s.dimensions() == 5);
}
