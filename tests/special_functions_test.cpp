// Special functions against numbers made in high precision (tests/oracles/special_function_oracles.py), and inverses
// against their functions.

#include <cmath>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "src/numerics/special_functions.hpp"
#include "tests/catch.hpp"
#include "tests/oracle.hpp"

using namespace pushforward;
using namespace pushforward::detail;

namespace {

using Arguments = std::vector<double>;

struct Case {
  std::string name;
  std::function<double(const Arguments&)> f;
};

Index whole(double v) { return static_cast<Index>(v); }

const std::vector<Case> cases = {
    {"log_gamma", [](const Arguments& a) { return log_gamma(a[0]); }},
    {"digamma", [](const Arguments& a) { return digamma(a[0]); }},
    {"log_beta", [](const Arguments& a) { return log_beta(a[0], a[1]); }},
    {"erfc_inv", [](const Arguments& a) { return erfc_inv(a[0]); }},
    {"log_gamma_ratio", [](const Arguments& a) { return log_gamma_ratio(a[0], whole(a[1])); }},
    {"digamma_difference", [](const Arguments& a) { return digamma_difference(a[0], whole(a[1])); }},
    {"gamma_p", [](const Arguments& a) { return gamma_p(a[0], a[1]); }},
    {"gamma_q", [](const Arguments& a) { return gamma_q(a[0], a[1]); }},
    {"ibeta", [](const Arguments& a) { return ibeta(a[0], a[1], a[2]); }},
    {"ibetac", [](const Arguments& a) { return ibetac(a[0], a[1], a[2]); }},
    {"student_t_cdf", [](const Arguments& a) { return student_t_cdf(a[0], a[1]); }},
    {"log_tiny_gamma_p", [](const Arguments& a) { return log_tiny_gamma_p(a[0], a[1]); }},
    {"log_tiny_gamma_q", [](const Arguments& a) { return log_tiny_gamma_q(a[0], a[1]); }},
    {"log_tiny_ibeta",
     [](const Arguments& a) {
       const double x = a[2];
       return log_tiny_ibeta(a[0], a[1], x, 1 - x, std::log(x), std::log1p(-x), log_beta(a[0], a[1]));
     }},
};

}  // namespace

TEST_CASE("special functions agree with numbers made in high precision", "[numerics]") {
  const oracle::Json functions = oracle::read("special_functions").at("functions");
  CHECK(functions.size() == cases.size());
  for (const Case& c : cases) {
    const oracle::Json& numbers = functions.at(c.name);
    REQUIRE(numbers.at("arguments").size() >= 2);
    for (std::size_t i = 0; i < numbers.at("arguments").size(); ++i) {
      const Arguments arguments = numbers.at("arguments")[i].get<Arguments>();
      const double expected = oracle::number(numbers.at("values")[i]), got = c.f(arguments);
      INFO(c.name << " of " << numbers.at("arguments")[i].dump() << ": " << got << ", expected " << expected);
      CHECK(std::abs(got - expected) <= 2e-13 * std::abs(expected));
    }
  }
}

TEST_CASE("inverses lead back to the probability", "[numerics]") {
  for (const double p : {1e-12, 0.3, 0.5, 0.9}) {
    INFO(p);
    const auto same = [p](double got) { CHECK(std::abs(got - p) <= 1e-12 * p); };
    same(gamma_p(2.5, gamma_p_inv(2.5, p)));
    same(gamma_q(2.5, gamma_q_inv(2.5, p)));
    same(ibeta(2, 5, ibeta_inv(2, 5, p)));
    same(ibetac(2, 5, ibetac_inv(2, 5, p)));
    same(student_t_cdf(4, student_t_quantile(4, p)));
  }
}

TEST_CASE("what is not finite is no error", "[numerics]") {
  CHECK(log_gamma(1e307) == infinity);
  CHECK(std::isnan(log_gamma(0)));
  CHECK(std::isnan(digamma(-1)));
  CHECK(erfc_inv(0) == infinity);
  CHECK(std::isnan(gamma_p_inv(2, -0.5)));
  CHECK(student_t_quantile(4, 0) == -infinity);
}

TEST_CASE("the logarithm of a probability is accurate at both ends", "[numerics]") {
  CHECK(log_probability(1e-300, 1) == std::log(1e-300));
  CHECK(log_probability(1, 1e-20) == -1e-20);
  CHECK(log_probability(0, 1) == -infinity);
  CHECK(log_probability(1, 0) == 0);
}
