// Special functions against numbers made in high precision (tests/oracles/special_function_oracles.py), and inverses
// against their functions.

#include <cmath>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <pushforward/distributions/beta.hpp>
#include <pushforward/distributions/gamma.hpp>

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
  double absolute = 0;  // besides the relative error: where the value passes 0, or rounded arguments limit it
};

/// The log density of one row of one column.
double one(const Distribution<double>& d, double y) { return d.log_prob(MatrixView<const double>(&y, 1, 1))[0]; }

Index whole(double v) { return static_cast<Index>(v); }

const std::vector<Case> cases = {
    {"log_gamma", [](const Arguments& a) { return log_gamma(a[0]); }},
    {"digamma", [](const Arguments& a) { return digamma(a[0]); }},
    {"log_beta", [](const Arguments& a) { return log_beta(a[0], a[1]); }},
    {"erfc_inv", [](const Arguments& a) { return erfc_inv(a[0]); }},
    {"log_gamma_ratio", [](const Arguments& a) { return log_gamma_ratio(a[0], whole(a[1])); }},
    {"digamma_difference", [](const Arguments& a) { return digamma_difference(a[0], whole(a[1])); }},
    {"stirling_error", [](const Arguments& a) { return stirling_error(a[0]); }},
    {"digamma_minus_log", [](const Arguments& a) { return digamma_minus_log(a[0]); }},
    {"deviance", [](const Arguments& a) { return deviance(a[0], a[1]); }},
    {"gamma_log_prob", [](const Arguments& a) { return one(Gamma<double>({a[0]}, {a[1]}), a[2]); }, 1e-12},
    {"beta_log_prob", [](const Arguments& a) { return one(Beta<double>({a[0]}, {a[1]}), a[2]); }, 1e-12},
    {"gamma_entropy", [](const Arguments& a) { return Gamma<double>({a[0]}, {a[1]}).entropy(); }, 1e-12},
    {"beta_entropy", [](const Arguments& a) { return Beta<double>({a[0]}, {a[1]}).entropy(); }, 1e-12},
    {"gamma_kl",
     [](const Arguments& a) {
       return *Gamma<double>({a[0]}, {a[1]}).exact_kl_divergence(Gamma<double>({a[2]}, {a[3]}));
     },
     1e-9},
    {"beta_kl",
     [](const Arguments& a) { return *Beta<double>({a[0]}, {a[1]}).exact_kl_divergence(Beta<double>({a[2]}, {a[3]})); },
     1e-9},
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
      CHECK(std::abs(got - expected) <= 2e-13 * std::abs(expected) + c.absolute);
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
    // (as far as arguments with 16 digits can tell)
    for (const double a : {0.9e8, 1.1e8, 1e12}) {
      const double off = 1e-12 + 1e-15 * std::sqrt(a);
      CHECK(std::abs(gamma_p(a, gamma_p_inv(a, p)) - p) <= off * p);
      CHECK(std::abs(gamma_q(a, gamma_q_inv(a, p)) - p) <= off * p);
    }
  }
}

TEST_CASE("the median of a large concentration lies between its neighbours, and both sides join", "[numerics]") {
  for (const double a : {0.5e8, 2e8, 1e11, 1e15, 1e200, 1e300}) {
    INFO(a);
    CHECK(std::abs((gamma_p_inv(a, 0.5) - a) / std::sqrt(a)) <= 1e-6 + 1 / std::sqrt(a));
    for (const double u : {-3.0, -0.1, 0.0, 0.1, 3.0})
      CHECK(std::abs(gamma_p(a, a + u * std::sqrt(a)) + gamma_q(a, a + u * std::sqrt(a)) - 1) < 1e-14);
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
