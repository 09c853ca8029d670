// The forms that weights of other libraries need: scale maps, signs of a linear map, slopes at the ends of a spline.

#include <array>
#include <cmath>
#include <limits>
#include <pushforward/bijectors/elementwise.hpp>
#include <pushforward/bijectors/linear_rational_transformer.hpp>
#include <pushforward/bijectors/lu_linear.hpp>
#include <pushforward/bijectors/rational_quadratic_spline.hpp>
#include <pushforward/bijectors/scaled_affine_transformer.hpp>
#include <pushforward/nn/made.hpp>
#include <vector>

#include "tests/catch.hpp"
#include "tests/bijectors.hpp"

using namespace pushforward;
using namespace bijector_tests;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr std::array raws{-30.0, -2.5, -0.25, 0.0, 0.5, 4.0, 40.0};

struct Case {
  const char* name;
  ScaledAffineOptions options;
  std::array<double, 7> log_scale;  ///< by mpmath, 50 digits
};
const Case cases[] = {
    {"exp", {}, {-30, -2.5, -0.25, 0, 0.5, 4, 40}},
    {"exp, cut off", {.low = -2, .high = 3}, {-2, -2, -0.25, 0, 0.5, 3, 3}},
    {"softplus",
     {.map = ScaleMap::softplus, .floor = 1e-3},
     {-6.9077552788885608, -2.5271079164099819, -0.55001800953050074, -0.36507126522542074, -0.025238852967876469,
      1.3910704195529972, 3.6889044538014415}},
    {"sigmoid",
     {.map = ScaleMap::sigmoid, .offset = 2, .floor = 1e-3},
     {-6.907755278290697, -0.97143176458963777, -0.15905106482869221, -0.12579331976544305, -0.077808234325899667,
      -0.0014737085318121169, 0.00099950033308353259}},
    {"sigmoid without a floor",
     {.map = ScaleMap::sigmoid, .offset = 2},
     {-28.000000000000691, -0.97407698418010668, -0.16022415043808723, -0.1269280110429725, -0.078889734292549623,
      -0.0024756851377304495, -5.7495222642935598e-19}},
    {"soft_clip",
     {.map = ScaleMap::soft_clip, .limit = 6.9077552789821371},
     {-5.614881121948831, -1.8356544877434128, -0.24126821223079203, 0, 0.46625158491543051, 2.5331537432976725,
      5.8905016775145333}},
    {"tanh",
     {.map = ScaleMap::tanh, .limit = 1.5},
     {-1.5, -1.3966644130013665, -0.24771061938694403, 0, 0.48226910629745152, 1.4855857413385214, 1.5}},
    {"atan",
     {.map = ScaleMap::atan, .limit = 1.5},
     {-1.4696139046530977, -1.151575832327937, -0.24451238420885592, 0, 0.46060832223095069, 1.2762159706919132,
      1.4772070631613292}},
};

/// Each row of x through the map with the same parameters for its one column.
template <Scalar T>
Elementwise<T> map_with(const ScaledAffineOptions& options, double shift, double raw) {
  const std::vector<T> values{static_cast<T>(shift), static_cast<T>(raw)};
  return Elementwise<T>(ScaledAffineTransformer<T>(options), 1, VectorView<const T>(values));
}

}  // namespace

TEMPLATE_TEST_CASE("Log scales are those of the formulas", "[scalar]", double, float) {
  using T = TestType;
  const double digits = sizeof(T) == 8 ? 1e-14 : 2e-6;
  Matrix<T> x(1, 1);
  x(0, 0) = T(0.75);
  for (const Case& c : cases)
    for (std::size_t i = 0; i < raws.size(); ++i) {
      INFO(c.name << ", raw " << raws[i]);
      const Elementwise<T> map = map_with<T>(c.options, -0.5, raws[i]);
      const double s = c.log_scale[i], y = 0.75 * std::exp(s) - 0.5;
      const auto forward = map.forward(x);
      CHECK(forward.log_det[0] == Approx(s).epsilon(digits).margin(digits));
      CHECK(static_cast<double>(forward.value(0, 0)) == Approx(y).epsilon(40 * digits).margin(digits));
      const auto inverse = map.inverse(forward.value);
      CHECK(inverse.log_det[0] == -forward.log_det[0]);
    }
}

TEST_CASE("Scales stay normal numbers, and their bound is what the map can reach", "[scalar]") {
  const Matrix<double> one = Matrix<double>::Ones(1, 1);
  CHECK(map_with<double>({}, 0, 1e6).forward(one).log_det[0] == 708);
  CHECK(map_with<double>({.map = ScaleMap::softplus}, 0, -1e6).forward(one).log_det[0] == -708);
  CHECK(map_with<float>({}, 0, -1e6).forward(Matrix<float>(one.cast<float>())).log_det[0] == -87);
  const auto bound = [](const ScaledAffineOptions& o) { return ScaledAffineTransformer<double>(o).log_scale_bound(); };
  CHECK(bound({}) == 708);
  CHECK(bound({.low = -5, .high = 3}) == 5);
  CHECK(bound({.map = ScaleMap::atan, .limit = 2}) == 2);
  CHECK(bound({.map = ScaleMap::sigmoid, .floor = 1e-3}) == Approx(std::log(1000)));
  CHECK(bound({.map = ScaleMap::softplus, .floor = 1e-3}) == 708);
  CHECK(bound({.map = ScaleMap::softplus, .floor = 1e-3, .high = 2}) == Approx(std::log(1000)));
}

TEST_CASE("A scaled affine transformer refuses options that its map has not", "[scalar]") {
  const auto why = [](const ScaledAffineOptions& o) {
    try {
      ScaledAffineTransformer<double>{o};
    } catch (const DomainError& e) {
      return std::string(e.what());
    }
    return std::string("accepted");
  };
  CHECK_THAT(why({.offset = infinity}), ContainsSubstring("expected a finite offset, got inf"));
  CHECK_THAT(why({.floor = 0.1}), ContainsSubstring("no floor, which softplus and sigmoid alone have, got 0.1"));
  CHECK_THAT(why({.map = ScaleMap::softplus, .floor = -1}), ContainsSubstring("a finite floor of at least 0, got -1"));
  CHECK_THAT(why({.limit = 2}), ContainsSubstring("no limit, which soft_clip, tanh and atan alone have, got 2"));
  CHECK_THAT(why({.map = ScaleMap::tanh, .limit = 0}), ContainsSubstring("limit above 0, got 0"));
  CHECK_THAT(why({.low = 1, .high = 1}), ContainsSubstring("low below high, which is 1, got 1"));
  CHECK_THAT(why({.low = 800}), ContainsSubstring("low below 708 in this precision, got 800"));
  CHECK_THAT(why({.high = -800}), ContainsSubstring("high above -708 in this precision, got -800"));
}

TEST_CASE("LU linear with signs is the product of its factors", "[linear]") {
  LULinear<double> lu(3, 0, {1, -1, -1});
  CHECK(lu.matrix()(0, 0) == Approx(1));
  CHECK(lu.matrix()(1, 1) == Approx(-1));
  set<double>(lu, "lower", std::vector<double>{0, 0, 0, 0.5, 0, 0, -1, 2, 0});
  set<double>(lu, "upper", std::vector<double>{0, 3, -0.5, 0, 0, 1, 0, 0, 0});
  set<double>(lu, "raw_diagonal", std::vector<double>{0, 1, -2});
  set<double>(lu, "bias", std::vector<double>{0.25, 0, -4});
  const Eigen::Vector3d d(std::log(2.0), std::log1p(std::exp(1.0)), std::log1p(std::exp(-2.0)));
  const Eigen::Matrix3d lower{{1, 0, 0}, {0.5, 1, 0}, {-1, 2, 1}};
  const Eigen::Matrix3d upper{{d[0], 3, -0.5}, {0, -d[1], 1}, {0, 0, -d[2]}};
  const Eigen::Vector3d x(1.5, -2, 0.75), y = lower * upper * x + Eigen::Vector3d(0.25, 0, -4);
  const Matrix<double> row = x.transpose();
  const auto forward = lu.forward(row);
  check_close(Matrix<double>(forward.value), Matrix<double>(y.transpose()), 1e-14);
  CHECK(forward.log_det[0] == Approx(d.array().log().sum()));
  check_close(Matrix<double>(lu.inverse(forward.value).value), row, 1e-14);
  CHECK_THROWS_WITH(LULinear<double>(2, 1.0), ContainsSubstring("floor must lie in [0, 1), got 1"));
  CHECK_THROWS_WITH(LULinear<double>(2, 0.1, {1}), ContainsSubstring("expected 2 signs, got 1"));
  CHECK_THROWS_WITH(LULinear<double>(2, 0.1, {1, 0}), ContainsSubstring("a sign must be 1 or -1, got 0"));
}

TEST_CASE("Slopes at the ends of a spline: given, and of their own", "[spline]") {
  // Of pyro the slope at both ends is 1 less the smallest; just inside the density has it, outside it is 1.
  const RationalQuadraticSpline<double> given(1, {.bins = 4, .low = -3, .high = 3, .end_slope = 0.999});
  RationalQuadraticSpline<double> own(1, {.bins = 3, .low = -1, .high = 1, .tails = SplineTails::free});
  // softplus(raw) + 1e-3 at the four knots.
  set<double>(own, "raw", std::vector<double>{0, 0, 0, 0, 0, 0, 1, 0, 0, -1});
  Matrix<double> ends(4, 1);
  ends << -3, 3, -3.0000001, 3.0000001;
  const auto of_given = given.inverse(ends);
  CHECK(of_given.log_det[0] == Approx(std::log(0.999)));
  CHECK(of_given.log_det[1] == Approx(std::log(0.999)));
  CHECK(of_given.log_det[2] == 0);
  CHECK(of_given.log_det[3] == 0);
  CHECK(Matrix<double>(of_given.value) == ends);
  ends << -1, 1, -1.0000001, 1.0000001;
  const auto of_own = own.inverse(ends);
  CHECK(of_own.log_det[0] == Approx(std::log(std::log1p(std::exp(1.0)) + 1e-3)));
  CHECK(of_own.log_det[1] == Approx(std::log(std::log1p(std::exp(-1.0)) + 1e-3)));
  CHECK(of_own.log_det[2] == 0);
  CHECK(Matrix<double>(of_own.value) == ends);
  CHECK_THROWS_WITH(RationalQuadraticSpline<double>(1, {.end_slope = 1e-4}), ContainsSubstring("end_slope in [0.001, "));
  CHECK_THROWS_WITH(RationalQuadraticSpline<double>(1, {.tails = SplineTails::free, .end_slope = 0.9}),
                    ContainsSubstring("end_slope with identity tails alone, got 0.9"));
}

TEMPLATE_TEST_CASE("Splines of pyro, linear and quadratic", "[spline]", double, float) {
  using T = TestType;
  const double digits = sizeof(T) == 8 ? 1e-14 : 4e-6;
  // Of pyro 1.9.2 in double: four bins on (-3, 3).
  const std::vector<double> raw{0.5, -1.0, 0.25, 0.75, -0.5, 0.3, 1.25, 0.1, 0.4, -1.5, 2.0, -2.0, 0.0, 1.0, 0.3};
  Matrix<double> x(12, 1), linear(12, 1), quadratic(12, 1), linear_log(12, 1), quadratic_log(12, 1);
  x << -3.5, -2.9, -2.0, -1.25, -0.4, 0.0, 0.3, 0.9, 1.7, 2.4, 2.99, 3.25;
  linear << -3.5, -2.9459233399293088, -2.8085599890323634, -2.5030931501154408, -1.0979941551314363,
      -0.7785180372897267, 0.5437820814291262, 2.30947970936712, 2.6133051228802984, 2.720045397503237, 2.99019644104902,
      3.25;
  linear_log << 0, -1.2285345300832788, -1.5250508324629257, -0.2714131289913386, -0.8754787814728768,
      0.4259147322259693, 2.0271072821888767, -0.16788216930699565, -1.7684348084685864, -1.5236038979307276,
      -0.03867872962685304, 0;
  quadratic << -3.5, -2.92120870962239, -2.6979230398401106, -2.4976860309742133, -0.8815491881598363,
      0.09814072676418983, 1.0407935177097816, 2.303802436445981, 2.611074020347829, 2.743142985048042, 2.99025059567113,
      3.25;
  quadratic_log << 0, -0.4730745286672067, -1.8977266550607377, -0.4512305282714575, 0.5031655560576413,
      1.1179530627320982, 1.117057511142171, -0.19791515761650103, -1.590746496555752, -1.5349293682070897,
      -0.04972170496419981, 0;
  const auto given = [&](Index count) { return std::vector<T>(raw.begin(), raw.begin() + count); };
  const auto agrees = [&](const Elementwise<T>& map, const Matrix<double>& value, const Matrix<double>& log_slope) {
    // Theirs maps from the base to the data, ours evaluates the spline from the data to the base.
    const auto there = map.inverse(Matrix<T>(x.cast<T>()));
    check_close(there.value, value, digits);
    check_close(there.log_det, Eigen::VectorXd(log_slope.col(0)), 20 * digits);
    const auto back = map.forward(Matrix<T>(value.cast<T>()));
    check_close(back.value, x, 20 * digits);
    check_close(back.log_det, Eigen::VectorXd(-log_slope.col(0)), 100 * digits);
  };
  const std::vector<T> all = given(15), first = given(11);
  agrees(Elementwise<T>(LinearRationalTransformer<T>({.bins = 4, .end_slope = 0.999}), 1, VectorView<const T>(all)),
         linear, linear_log);
  agrees(Elementwise<T>(RationalQuadraticTransformer<T>({.bins = 4, .end_slope = 0.999}), 1,
                        VectorView<const T>(first)),
         quadratic, quadratic_log);
}

TEST_CASE("Linear-rational splines refuse what is out of range", "[spline]") {
  const auto why = [](const LinearRationalOptions& o) {
    try {
      LinearRationalTransformer<double>{o};
    } catch (const DomainError& e) {
      return std::string(e.what());
    }
    return std::string("accepted");
  };
  CHECK_THAT(why({.bins = 1}), ContainsSubstring("expected 2 to 64 bins, got 1"));
  CHECK_THAT(why({.low = 1, .high = 1}), ContainsSubstring("finite low < high, the latter 1, got 1"));
  CHECK_THAT(why({.min_bin_height = 0.2}), ContainsSubstring("min_bin_width and min_bin_height above "));
  CHECK_THAT(why({.min_derivative = 1}), ContainsSubstring("min_derivative in (0, 1), got 1"));
  CHECK_THAT(why({.min_lambda = 0.5}), ContainsSubstring("min_lambda in (0, 0.5), got 0.5"));
  CHECK_THAT(why({.end_slope = 1e-4}), ContainsSubstring("end_slope in [0.001, 1e18], got 0.0001"));
}

TEST_CASE("The bound of a linear-rational spline holds at extreme parameters", "[spline]") {
  const LinearRationalTransformer<double> spline({.bins = 3});
  const Index count = spline.multiplier();
  double largest = 0;
  for (int seed = 0; seed < 200; ++seed) {
    std::vector<double> raw;
    for (Index i = 0; i < count; ++i) raw.push_back(40 * std::sin(1.7 * double(seed) + 2.9 * double(i * i)));
    Matrix<double> x(61, 1);
    for (Index i = 0; i < 61; ++i) x(i, 0) = double(i - 30) / 10;
    const Elementwise<double> map(spline, 1, VectorView<const double>(raw));
    const auto there = map.inverse(x);
    for (Index i = 0; i < 61; ++i) {
      REQUIRE(std::abs(there.value(i, 0)) <= 3);
      if (i > 0) REQUIRE(there.value(i, 0) >= there.value(i - 1, 0));
      largest = std::max(largest, std::abs(there.log_det[i]));
    }
  }
  CHECK(largest > 5);
  CHECK(largest <= spline.log_scale_bound());
}

TEST_CASE("Masked layers of different widths fit their blocks", "[made]") {
  const Made<double> made(4, 1, {.blocks = 2, .residual = false, .widths = {5, 1, 3}});
  CHECK(made.hidden_degrees() == std::vector<std::int64_t>{1, 2, 3, 1, 2, 1, 1, 2, 3});
  CHECK_THROWS_WITH(Made<double>(4, 1, {.blocks = 2, .residual = false, .widths = {5, 1}}),
                    ContainsSubstring("expected 3 widths, one more than blocks, got 2"));
  CHECK_THROWS_WITH(Made<double>(4, 1, {.blocks = 1, .widths = {5, 5}}),
                    ContainsSubstring("layers of different widths have no residual form"));
  CHECK_THROWS_WITH(Made<double>(4, 1, {.blocks = 1, .residual = false, .widths = {5, 0}}),
                    ContainsSubstring("expected 1 to 2^20 hidden units and at least 0 blocks, got 0 and 1"));
}

TEST_CASE("A context in every layer has no residual form", "[made]") {
  CHECK_THROWS_WITH(Made<double>(4, 1, {.context_dim = 2, .context_form = ContextForm::every_layer}),
                    ContainsSubstring("a context in every layer has no residual form"));
}
