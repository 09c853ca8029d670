// Scalar maps against numbers from their definitions: tests/oracles/scalar_map_oracles.py; what their constants may be;
// edges.

#include <cmath>
#include <limits>
#include <map>
#include <pushforward/bijectors/beta_stretch_transformer.hpp>
#include <pushforward/bijectors/cauchy_cdf.hpp>
#include <pushforward/bijectors/elementwise.hpp>
#include <pushforward/bijectors/elu.hpp>
#include <pushforward/bijectors/expm1.hpp>
#include <pushforward/bijectors/gumbel_cdf.hpp>
#include <pushforward/bijectors/invert.hpp>
#include <pushforward/bijectors/kumaraswamy_transformer.hpp>
#include <pushforward/bijectors/lambert_w_transformer.hpp>
#include <pushforward/bijectors/leaky_relu.hpp>
#include <pushforward/bijectors/leaky_tanh.hpp>
#include <pushforward/bijectors/log_tanh.hpp>
#include <pushforward/bijectors/normal_cdf.hpp>
#include <pushforward/bijectors/power.hpp>
#include <pushforward/bijectors/power_transform.hpp>
#include <pushforward/bijectors/sinh.hpp>
#include <pushforward/bijectors/sinh_arcsinh_transformer.hpp>
#include <pushforward/bijectors/soft_clip.hpp>
#include <pushforward/bijectors/two_sided_tail_transformer.hpp>
#include <pushforward/bijectors/weibull_transformer.hpp>
#include <pushforward/bijectors/yeo_johnson_transformer.hpp>
#include <string>
#include <vector>

#include "tests/again.hpp"
#include "tests/catch.hpp"
#include "tests/oracle.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

Poly<Bijector<double>> made_from(const oracle::Json& c) {
  using T = double;
  const std::string name = c["class"];
  const auto constant = [&](const char* key) { return c["constants"][key].get<double>(); };
  if (name == "Expm1") return Expm1<T>(1);
  if (name == "Sinh") return Sinh<T>(1);
  if (name == "NormalCDF") return NormalCDF<T>(1);
  if (name == "GumbelCDF") return GumbelCDF<T>(1);
  if (name == "CauchyCDF") return CauchyCDF<T>(1);
  if (name == "Elu") return Elu<T>(1);
  if (name == "LeakyRelu") return LeakyRelu<T>(1, constant("slope"));
  if (name == "LeakyTanh") return LeakyTanh<T>(1, constant("bound"));
  if (name == "LogTanh") return LogTanh<T>(1, constant("bound"));
  if (name == "SoftClip") return SoftClip<T>(1, {constant("low"), constant("high"), constant("hinge")});
  if (name == "Power") return Power<T>(1, constant("power"));
  if (name == "PowerTransform") return PowerTransform<T>(1, constant("power"));
  const std::map<std::string, Poly<Transformer<T>>> transformers{
      {"YeoJohnsonTransformer", YeoJohnsonTransformer<T>()},
      {"SinhArcsinhTransformer", SinhArcsinhTransformer<T>()},
      {"TwoSidedTailTransformer", TwoSidedTailTransformer<T>()},
      {"LambertWTransformer", LambertWTransformer<T>()},
      {"KumaraswamyTransformer", KumaraswamyTransformer<T>()},
      {"BetaStretchTransformer", BetaStretchTransformer<T>()},
      {"WeibullTransformer", WeibullTransformer<T>()}};
  const std::vector<double> raw = c["raw"];
  return Elementwise<T>(transformers.at(name), 1, VectorView<const T>(raw));
}

/// Relative; of log derivatives to 1 + their size.
void check_close(const char* what, double point, double got, double want, double floor) {
  const double error = std::abs(got - want) / (floor + std::abs(want));
  INFO(what << " at " << point << ": " << got << " instead of " << want);
  CHECK((error <= 4e-13 || got == want));
}

double value_at(const Bijector<double>& map, double x) {
  return map.forward(Matrix<double>(Matrix<double>::Constant(1, 1, x))).value(0, 0);
}

}  // namespace

TEST_CASE("Scalar maps agree with their definitions at 60 digits, in both directions", "[scalar]") {
  const oracle::Json file = oracle::read("scalar_maps");
  REQUIRE(file["cases"].size() >= 40);
  for (const oracle::Json& c : file["cases"]) {
    INFO(c["class"] << ' ' << c["constants"] << ' ' << c["raw"]);
    const Poly<Bijector<double>> map = made_from(c);
    const Eigen::MatrixXd x = oracle::vector(c["x"]), y = oracle::vector(c["inverse_y"]);
    const MappedRows<double> there = map->forward(x), back = map->inverse(y);
    REQUIRE(x.rows() > 4);
    REQUIRE(y.rows() > 4);
    // A value next to 0 that is the difference of larger numbers has their digits.
    const std::string name = c["class"];
    const double forward_floor = name == "SoftClip" ? 0.1 : 0;
    const double floor = name == "SoftClip" || name == "SinhArcsinhTransformer" || name == "GumbelCDF" ? 0.1 : 0;
    for (Index i = 0; i < x.rows(); ++i) {
      check_close("forward", x(i, 0), there.value(i, 0), oracle::vector(c["y"])[i], forward_floor);
      check_close("log derivative", x(i, 0), there.log_det[i], oracle::vector(c["log_derivative"])[i], 1);
    }
    for (Index i = 0; i < y.rows(); ++i) {
      check_close("inverse", y(i, 0), back.value(i, 0), oracle::vector(c["inverse_x"])[i], floor);
      check_close("log derivative of the inverse", y(i, 0), back.log_det[i],
                  oracle::vector(c["inverse_log_derivative"])[i], 1);
    }
  }
}

TEST_CASE("Scalar maps stay inside their intervals at the largest numbers", "[scalar]") {
  for (const double x : {-1e300, -1e4, -40.0, 40.0, 1e4, 1e300}) {
    INFO(x);
    for (const Poly<Bijector<double>>& map : std::vector<Poly<Bijector<double>>>{
             NormalCDF<double>(1), GumbelCDF<double>(1), CauchyCDF<double>(1), SoftClip<double>(1)}) {
      const double y = value_at(*map, x);
      CHECK((y > 0 && y < 1));
    }
    CHECK(value_at(Elu<double>(1), x) > -1);
    CHECK(value_at(Expm1<double>(1), x) > -1);
    CHECK(std::abs(value_at(LogTanh<double>(1), x)) < 300);
  }
  CHECK(value_at(CauchyCDF<double>(1), -1e300) == Approx(1e-300 / 3.14159265358979323846).epsilon(1e-14));
  CHECK(value_at(Invert<double>(Sinh<double>(1)), 1e300) == Approx(std::asinh(1e300)).epsilon(1e-15));
  CHECK(value_at(Sinh<double>(1), 1e-300) == 1e-300);
  CHECK(value_at(Invert<double>(Sinh<double>(1)), -1e-300) == -1e-300);
  CHECK_THROWS_WITH(value_at(Power<double>(1, 2), -1), ContainsSubstring("row 0"));
  CHECK_THROWS_WITH(value_at(PowerTransform<double>(1, 2), -0.5), ContainsSubstring("row 0"));
}

TEST_CASE("Constants of scalar maps: refusals, files, directions", "[scalar]") {
  CHECK_THROWS_WITH(LeakyRelu<double>(1, -1.0), ContainsSubstring("slope must be positive and finite, got -1"));
  CHECK_THROWS_WITH(LeakyTanh<double>(1, 9.0),
                    ContainsSubstring("LeakyTanh: bound must lie above 0 and be at most 8, got 9"));
  CHECK_THROWS_AS(LogTanh<double>(1, 0.0), DomainError);
  CHECK_THROWS_WITH(SoftClip<double>(1, {1, 1, 1}), ContainsSubstring("low < high"));
  CHECK_THROWS_WITH(SoftClip<double>(1, {0, 1, 0}), ContainsSubstring("hinge"));
  CHECK_THROWS_AS(SoftClip<double>(1, {0, infinity, 1}), DomainError);
  CHECK_THROWS_WITH(Power<double>(1, 0.0), ContainsSubstring("power must be finite and not 0"));
  CHECK_THROWS_WITH(PowerTransform<double>(1, -1.0), ContainsSubstring("positive"));
  CHECK_THROWS_WITH(PowerTransformer<double>(-2.0),
                    ContainsSubstring("PowerTransformer: the maps of a transformer increase"));
  CHECK_THROWS_WITH(YeoJohnsonTransformer<double>(0.0),
                    ContainsSubstring("bound must lie above 0 and be at most 20, got 0"));
  CHECK_THROWS_AS(KumaraswamyTransformer<double>(infinity), DomainError);
  CHECK(Power<double>(2, -1).is_increasing() == std::vector<bool>{false, false});
  CHECK(Power<double>(2, 3).is_increasing() == std::vector<bool>{true, true});

  const SoftClip<double> clip(2, {-1, 3, 0.5});
  const auto again = made_again<SoftClip<double>>(clip.describe());
  CHECK(again.describe() == clip.describe());
  CHECK(again.codomain()[1] == Interval{-1, 3});
  CHECK(PowerTransform<double>(1, 4).domain()[0] == Interval{-0.25, infinity});
  Description bad = clip.describe();
  bad.constants["hinge"] = -1.0;
  CHECK_THROWS_WITH(made_again<SoftClip<double>>(bad), ContainsSubstring("hinge"));
  bad = PowerTransformer<double>(2.0).describe();
  bad.constants["power"] = -2.0;
  CHECK_THROWS_WITH(made_again<PowerTransformer<double>>(bad), ContainsSubstring("increase"));
}
