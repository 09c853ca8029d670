// Spaces, and what maps make of them.

#include <cmath>
#include <limits>
#include <pushforward/bijectors/affine.hpp>
#include <pushforward/bijectors/chain.hpp>
#include <pushforward/bijectors/exp.hpp>
#include <pushforward/bijectors/invert.hpp>
#include <pushforward/bijectors/log.hpp>
#include <pushforward/bijectors/lu_linear.hpp>
#include <pushforward/bijectors/permute.hpp>
#include <pushforward/bijectors/scale.hpp>
#include <pushforward/bijectors/shift.hpp>
#include <pushforward/bijectors/sigmoid.hpp>
#include <pushforward/bijectors/softplus.hpp>
#include <pushforward/distributions/beta.hpp>
#include <pushforward/distributions/gamma.hpp>
#include <pushforward/distributions/mixture.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <pushforward/distributions/uniform.hpp>
#include <pushforward/registry.hpp>

#include "tests/catch.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

std::vector<double> values(double v, Index n = 1) { return std::vector<double>(static_cast<std::size_t>(n), v); }
Eigen::MatrixXd one(double v) { return Eigen::MatrixXd::Constant(1, 1, v); }

TransformedDistribution<double> normal_by(Poly<Bijector<double>> map) {
  const Index dim = map->base_dim();
  return TransformedDistribution<double>(Normal<double>(dim), std::move(map));
}

}  // namespace

// ----------------------------------------------------------------------------------------------------------- spaces

TEST_CASE("Spaces are products of blocks", "[space]") {
  const Space s = Space::real(2) * Space::box(1, {0, inf}) * Space::simplex(3) * Space::real(1);
  CHECK(s.columns() == 7);
  CHECK(s.dimensions() == 6);
  CHECK(s.blocks().size() == 3);
  CHECK(s.to_text() == "real^2 x (0, inf) x simplex(3) x real");
  CHECK(s[2] == Interval{0, inf});
  CHECK(s[4] == Interval{0, 1});
  CHECK_FALSE(s.is_box());
  CHECK(Space::real(1) * Space::real(2) == Space::real(3));
  CHECK(Space().columns() == 0);
  CHECK(Space().to_text() == "nothing");
  CHECK_THROWS_AS(s[7], ShapeError);
  CHECK_THROWS_AS(s[-1], ShapeError);
}

TEST_CASE("Each kind of space has its dimensions and its text", "[space]") {
  struct Case {
    Space space;
    Index columns, dimensions;
    const char* text;
  };
  for (const Case& c : {Case{Space::box(2, {-1, 3}), 2, 2, "(-1, 3)^2"}, {Space::circle(1, {0, 6.25}), 1, 1, "circle[0, 6.25)"},
                        {Space::categories(1, 5), 1, 1, "integers{0, 4}"}, {Space::integers({{0, inf}}), 1, 1, "integers{0, inf}"},
                        {Space::simplex(4), 4, 3, "simplex(4)"}, {Space::ordered(3), 3, 3, "ordered(3)"},
                        {Space::sphere(3), 3, 2, "sphere(3)"}, {Space::zero_sum(3), 3, 2, "zero_sum(3)"},
                        {Space::ball(3), 3, 3, "ball(3)"}, {Space::l1_ball(2), 2, 2, "l1_ball(2)"}, {Space::lower_triangular(3), 9, 6, "lower_triangular(3 x 3)"},
                        {Space::positive_definite(2), 4, 3, "positive_definite(2 x 2)"},
                        {Space::correlation(3), 9, 3, "correlation(3 x 3)"},
                        {Space::unknown({{0, 1}}), 1, 1, "not known, within (0, 1)"}}) {
    INFO(c.text);
    CHECK(c.space.columns() == c.columns);
    CHECK(c.space.dimensions() == c.dimensions);
    CHECK(c.space.to_text() == c.text);
    CHECK(c.space.bounds().size() == static_cast<std::size_t>(c.columns));
    CHECK(c.space.holds(c.space));
    CHECK(c.space.meets(c.space));
    CHECK(c.space.is_known() == (c.text[0] != 'n'));
  }
}

TEST_CASE("A space holds what lies in it and has the same measure", "[space]") {
  CHECK(Space::real(2).holds(Space::box({{0, 1}, {2, inf}})));
  CHECK_FALSE(Space::box(2, {0, inf}).holds(Space::real(2)));
  CHECK(Space::real(3).holds(Space::ordered(3)));
  CHECK_FALSE(Space::ordered(3).holds(Space::real(3)));
  CHECK(Space::real(1).holds(Space::circle(1, {0, 1})));
  CHECK(Space::circle(1, {0, 1}).holds(Space::box(1, {0, 1})));
  CHECK_FALSE(Space::circle(1, {0, 1}).holds(Space::real(1)));
  CHECK_FALSE(Space::real(1).holds(Space::categories(1, 3)));
  CHECK(Space::categories(2, 5).holds(Space::categories(2, 4)));
  CHECK_FALSE(Space::real(3).holds(Space::simplex(3)));
  CHECK_FALSE(Space::real(3).holds(Space::sphere(3)));
  CHECK_FALSE(Space::simplex(3).holds(Space::sphere(3)));
  CHECK_FALSE((Space::simplex(2) * Space::simplex(2)).holds(Space::simplex(4)));
  CHECK_FALSE((Space::real(1) * Space::simplex(2)).holds(Space::simplex(2) * Space::real(1)));
  CHECK((Space::real(1) * Space::simplex(2)).holds(Space::box(1, {0, 1}) * Space::simplex(2)));
  CHECK(Space::real(1).holds(Space::unknown(1)));
  CHECK_FALSE(Space::real(2).holds(Space::real(3)));
}

TEST_CASE("Spaces meet where they have points in common", "[space]") {
  CHECK(Space::real(1).meets(Space::box(1, {0, 1})));
  CHECK(Space::box(1, {0, 1}).meets(Space::box(1, {0.5, 2})));
  CHECK_FALSE(Space::box(1, {0, 1}).meets(Space::box(1, {1, 2})));
  CHECK_FALSE(Space::real(1).meets(Space::categories(1, 2)));
  CHECK(Space::categories(1, 3).meets(Space::integers({{2, inf}})));
  CHECK_FALSE(Space::real(3).meets(Space::simplex(3)));
}

TEST_CASE("A space says which rows lie in it", "[space]") {
  const auto in = [](const Space& s, std::vector<double> row) { return s.contains(row); };
  CHECK(in(Space::simplex(3), {0.2, 0.3, 0.5}));
  CHECK_FALSE(in(Space::simplex(3), {0.2, 0.3, 0.6}));
  CHECK_FALSE(in(Space::simplex(3), {-0.2, 0.7, 0.5}));
  CHECK(in(Space::ball(3), {0.5, -0.5, 0.5}));
  CHECK_FALSE(in(Space::l1_ball(3), {0.5, -0.5, 0.5}));
  CHECK(Space::l1_ball(2).misfit(Eigen::RowVectorXd(Eigen::RowVector2d(0.5, -0.75)), "the codomain") ==
        "columns 0 to 1, whose sizes add up to 1.25, lie outside the codomain l1_ball(2)");
  CHECK((Space::real(3).holds(Space::ball(3)) && Space::box(2, {-1, 1}).holds(Space::l1_ball(2))));
  CHECK_FALSE((Space::ball(2).holds(Space::box(2, {-0.1, 0.1})) || Space::ball(2).holds(Space::l1_ball(2))));
  CHECK(in(Space::zero_sum(3), {2e9, -3e9, 1e9}));
  CHECK_FALSE(in(Space::zero_sum(3), {0.2, -0.3, 0.2}));
  CHECK(Space::zero_sum(3).misfit(Eigen::RowVectorXd(Eigen::RowVector3d(1, 2, -2.5))) ==
        "columns 0 to 2, whose sum is 0.5, lie outside zero_sum(3)");
  CHECK(in(Space::sphere(2), {0.6, -0.8}));
  CHECK_FALSE(in(Space::sphere(2), {0.6, 0.7}));
  CHECK(in(Space::ordered(3), {-1, 0, 7}));
  CHECK_FALSE(in(Space::ordered(3), {-1, 7, 0}));
  CHECK(in(Space::categories(1, 3), {2}));
  CHECK_FALSE(in(Space::categories(1, 3), {1.5}));
  CHECK_FALSE(in(Space::categories(1, 3), {3}));
  CHECK(in(Space::positive_definite(2), {2, 1, 1, 2}));
  CHECK_FALSE(in(Space::positive_definite(2), {1, 2, 2, 1}));
  CHECK_FALSE(in(Space::positive_definite(2), {2, 1, 0, 2}));
  CHECK(in(Space::lower_triangular(2), {2, 0, -5, 1}));
  CHECK_FALSE(in(Space::lower_triangular(2), {2, 1, -5, 1}));
  CHECK(in(Space::correlation(2), {1, 0, 0.6, 0.8}));
  CHECK_FALSE(in(Space::correlation(2), {1, 0, 0.6, 0.7}));
  CHECK_FALSE(in(Space::real(1), {std::numeric_limits<double>::quiet_NaN()}));
  CHECK_THROWS_AS(in(Space::real(1), {1, 2}), ShapeError);
}

TEST_CASE("grids: numbers at even distances, as far as rounding leaves them", "[space]") {
  const Space tenths = Space::grid({{-0.25, inf}}, {{0.05, 0.1}});
  CHECK(tenths.to_text() == "grid{-0.25, inf; 0.05 + 0.1 k}");
  CHECK(tenths.dimensions() == 1);
  CHECK(tenths.contains(std::vector<double>{0.05 + 3 * 0.1}));
  CHECK(tenths.contains(std::vector<double>{-0.2503}));
  CHECK_FALSE(tenths.contains(std::vector<double>{-0.35}));
  CHECK(tenths.misfit(std::vector<double>{0.1}) == "column 0: 0.1, not 0.05 + 0.1 k, lies outside [-0.25, inf]");
  // Whole numbers are exact.
  CHECK_FALSE(Space::integers({{0, 3}}).contains(std::vector<double>{2.001}));
  CHECK((Space::integers({{0, 3}}) * Space::grid({{0, 1}}, {{0, 0.5}})).to_text() == "integers{0, 3} x grid{0, 1; 0 + 0.5 k}");
  CHECK(Space::integers({{0, 3}}) == Space::grid({{0, 3}}, {{}}));
  // A finer grid holds a coarser one, where their numbers meet.
  const Space halves = Space::grid({{-inf, inf}}, {{0, 0.5}});
  CHECK(halves.holds(Space::integers({{0, 3}})));
  CHECK_FALSE(Space::integers({{-inf, inf}}).holds(halves));
  CHECK_FALSE(halves.holds(Space::grid({{0.25, 4.25}}, {{0.25, 1}})));
  CHECK(halves.meets(Space::integers({{2, 3}})));
  CHECK_FALSE(halves.meets(tenths));
  CHECK_FALSE(halves.meets(Space::real(1)));
}

TEST_CASE("Spaces that cannot be are refused", "[space]") {
  CHECK_THROWS_WITH(Space::grid({{0, 1}}, {{0.5, 1}}), ContainsSubstring("numbers 0.5 + 1 k in order, got 0 and 1"));
  CHECK_THROWS_AS(Space::grid({{0, 1}}, {{0, 0}}), DomainError);
  CHECK_THROWS_AS(Space::grid({{0, 1}}, {}), ShapeError);
  CHECK_THROWS_WITH(Space::box(1, {2, 1}), ContainsSubstring("(2, 1) is empty"));
  CHECK_THROWS_AS(Space::circle(1, {0, inf}), DomainError);
  CHECK_THROWS_AS(Space::integers({{0.5, 2}}), DomainError);
  CHECK_THROWS_AS(Space::categories(1, 0), DomainError);
  CHECK_THROWS_AS(Space::simplex(1), ShapeError);
  CHECK_THROWS_AS(Space::zero_sum(1), ShapeError);
  CHECK_THROWS_AS(Space::sphere(1), ShapeError);
  CHECK_THROWS_AS(Space::real(-1), ShapeError);
}

// ----------------------------------------------------------------------------------------------------------- images

TEST_CASE("The support of a composition is the image under all its parts", "[space]") {
  struct Case {
    const char* name;
    Poly<Bijector<double>> map;
    Interval support;
    double median;
  };
  const auto shift = [](double v) { return Shift<double>(values(v)); };
  const auto scale = [](double v) { return Scale<double>(values(v)); };
  const Exp<double> exp(1);
  const Sigmoid<double> sigmoid(1);
  const std::vector<Case> cases = {
      {"Exp", exp, {0, inf}, 1},
      {"Sigmoid", sigmoid, {0, 1}, 0.5},
      {"shifted lognormal", Chain<double>(exp, shift(1)), {1, inf}, 2},
      {"on (2, 5)", Chain<double>(sigmoid, scale(3), shift(2)), {2, 5}, 3.5},
      {"negative lognormal", Chain<double>(exp, scale(-1)), {-inf, 0}, -1},
      {"Sigmoid twice", Chain<double>(sigmoid, sigmoid), {0.5, 1 / (1 + std::exp(-1.0))}, 1 / (1 + std::exp(-0.5))},
      {"Exp twice", Chain<double>(exp, exp), {1, inf}, std::exp(1.0)},
      {"turned round", Invert<double>(Chain<double>(Log<double>(1), scale(-2))), {0, inf}, 1},
  };
  for (const Case& c : cases) {
    INFO(c.name);
    const TransformedDistribution<double> d = normal_by(c.map);
    CHECK(d.support().is_box());
    CHECK(d.support()[0].low == Approx(c.support.low).epsilon(1e-14));
    CHECK(d.support()[0].high == Approx(c.support.high).epsilon(1e-14));
    CHECK(d.quantile(one(0))(0, 0) == Approx(c.support.low).epsilon(1e-14));
    CHECK(d.quantile(one(1))(0, 0) == Approx(c.support.high).epsilon(1e-14));
    CHECK(d.quantile(one(0.5))(0, 0) == Approx(c.median).epsilon(1e-12));
    CHECK(d.cdf(one(c.median))(0, 0) == Approx(0.5).epsilon(1e-12));
    if (std::isfinite(c.support.low)) {
      const Eigen::MatrixXd below = one(c.support.low - 0.25);
      CHECK(d.log_prob(below)[0] == -inf);
      CHECK(d.cdf(below)(0, 0) == 0);
      CHECK(d.log_cdf(below)(0, 0) == -inf);
      CHECK(d.survival(below)(0, 0) == 1);
    }
    if (std::isfinite(c.support.high)) {
      const Eigen::MatrixXd above = one(c.support.high + 0.25);
      CHECK(d.log_prob(above)[0] == -inf);
      CHECK(d.cdf(above)(0, 0) == 1);
      CHECK(d.survival(above)(0, 0) == 0);
      CHECK(d.log_survival(above)(0, 0) == -inf);
    }
  }
}

TEST_CASE("Prefixes of a composition are completed inside its support", "[space]") {
  const auto shifted = normal_by(Chain<double>(Exp<double>(2), Shift<double>(values(1, 2))));
  const auto scaled = normal_by(Chain<double>(Sigmoid<double>(2), Scale<double>(values(3, 2)), Shift<double>(values(2, 2))));
  const double at_zero = -0.918938533204672742;  // of the normal density
  CHECK(shifted.prefix_log_prob(one(2))[0] == Approx(at_zero).epsilon(1e-14));
  CHECK(scaled.prefix_log_prob(one(3.5))[0] == Approx(at_zero - std::log(0.75)).epsilon(1e-14));
  Engine engine(1);
  const Eigen::MatrixXd drawn = shifted.sample_given_prefix(one(2), engine);
  CHECK(drawn(0, 0) == 2);
  CHECK(drawn(0, 1) > 1);
}

TEST_CASE("Images are known where they can be computed", "[space]") {
  const Space quadrant = Space::box(2, {0, inf});
  CHECK(LULinear<double>(2).image(Space::real(2)) == Space::real(2));
  CHECK_FALSE(LULinear<double>(2).image(quadrant).is_known());
  CHECK(Permute<double>({1, 0}).image(Space::box({{0, 1}, {2, 3}})) == Space::box({{2, 3}, {0, 1}}));
  CHECK(Permute<double>({1, 2, 0}).preimage(Space::box({{0, 1}, {2, 3}, {4, 5}})) == Space::box({{4, 5}, {0, 1}, {2, 3}}));
  CHECK(Exp<double>(2).preimage(Space::box({{1, 2}, {-3, 1}})) == Space::box({{0, std::log(2.0)}, {-inf, 0}}));
  const Chain<double> log_of_shifted(Shift<double>(values(1, 2)), Log<double>(2));
  CHECK(log_of_shifted.domain() == Space::box(2, {-1, inf}));
  CHECK(log_of_shifted.codomain() == Space::real(2));
  const Chain<double> mixed(LULinear<double>(2), Log<double>(2));
  CHECK_FALSE(mixed.domain().is_known());
  CHECK_FALSE(mixed.codomain().is_known());
  CHECK_THROWS_WITH(Exp<double>(2).image(Space::real(3)), ContainsSubstring("expected a space of 2 columns, got real^3"));
}

TEST_CASE("The support of a mixture is that of the widest part, or not known", "[space]") {
  using Parts = std::vector<Poly<Distribution<double>>>;
  CHECK(Mixture<double>(Parts{Gamma<double>(1), Normal<double>(1), Beta<double>(1)}).support() == Space::real(1));
  const Space two = Mixture<double>(Parts{Uniform<double>(values(0), values(1)), Uniform<double>(values(2), values(3))}).support();
  CHECK_FALSE(two.is_known());
  CHECK(two[0] == Interval{0, 3});
}

// ----------------------------------------------------------------------------------------------------------- misfits

TEST_CASE("A misfit names both parts and both spaces", "[space]") {
  CHECK_THROWS_WITH(Chain<double>(Softplus<double>(2), Scale<double>(values(-1, 2)), Log<double>(2)),
                    "Chain: part 2 (Log) maps from (0, inf)^2 but part 1 (Scale) leads to (-inf, 0)^2");
  CHECK_THROWS_WITH(TransformedDistribution<double>(Normal<double>(1), Log<double>(1)),
                    "TransformedDistribution: base Normal lives on real but bijector Log maps from (0, inf)");
  CHECK_NOTHROW(TransformedDistribution<double>(Gamma<double>(1), Log<double>(1)));
  CHECK_NOTHROW(Chain<double>(Softplus<double>(2), Log<double>(2)));
}

TEST_CASE("What fits with its parameters is made again from its description", "[space]") {
  const Chain<double> chain(Sigmoid<double>(1), Shift<double>(values(5)), Invert<double>(Sigmoid<double>(values(4), values(7))));
  const Poly<Bijector<double>> again = cast<double>(static_cast<const Bijector<double>&>(chain));
  CHECK(again->describe() == chain.describe());
  CHECK(again->forward(one(0.3)).value == chain.forward(one(0.3)).value);
  CHECK(again->codomain() == chain.codomain());
}

TEST_CASE("A part of a chain comes out as a value", "[space]") {
  Chain<double> chain(Exp<double>(1), Shift<double>(values(5)));
  Poly<Bijector<double>> part = chain.copy_part(1);
  CHECK(part->describe() == chain.part(1).describe());
  CHECK(part->forward(one(1)).value(0, 0) == 6);
  for (const Slot<double>& slot : list_state(*part)) (*slot.tensor)[0] = 7;
  CHECK(part->forward(one(1)).value(0, 0) == 8);
  CHECK(chain.part(1).forward(one(1)).value(0, 0) == 6);
}
