// The distributions: numbers computed elsewhere, and quadrature.

#include <boost/math/distributions.hpp>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <pushforward/distributions/beta.hpp>
#include <pushforward/distributions/cauchy.hpp>
#include <pushforward/distributions/gamma.hpp>
#include <pushforward/distributions/laplace.hpp>
#include <pushforward/distributions/logistic.hpp>
#include <pushforward/distributions/mixture.hpp>
#include <pushforward/distributions/multivariate_normal_diag.hpp>
#include <pushforward/distributions/multivariate_normal_tril.hpp>
#include <pushforward/distributions/multivariate_student_t.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/student_t.hpp>
#include <pushforward/distributions/uniform.hpp>
#include <pushforward/error.hpp>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "tests/distributions.hpp"

using namespace pushforward;
using namespace distribution_tests;
using nlohmann::json;

namespace {

json oracle(const std::string& name) {
  std::ifstream in(std::string(PUSHFORWARD_TEST_DATA) + "/oracles/distribution_" + name + ".json");
  REQUIRE(in.good());
  return json::parse(in);
}

double number(const json& v) {
  if (v.is_string()) return v == "inf" ? inf : v == "-inf" ? -inf : nan_value;
  return v.get<double>();
}

template <class T>
std::vector<T> vector_of(const json& values) {
  std::vector<T> result;
  for (const json& v : values) result.push_back(static_cast<T>(number(v)));
  return result;
}

// Rows; a list of numbers is one column.
template <class T>
Matrix<T> matrix_of(const json& rows) {
  const bool flat = !rows.at(0).is_array();
  Matrix<T> m(static_cast<Index>(rows.size()), flat ? 1 : static_cast<Index>(rows.at(0).size()));
  for (Index i = 0; i < m.rows(); ++i)
    for (Index j = 0; j < m.cols(); ++j) {
      const json& row = rows.at(static_cast<std::size_t>(i));
      m(i, j) = static_cast<T>(number(flat ? row : row.at(static_cast<std::size_t>(j))));
    }
  return m;
}

template <class M>
void check_all_near(const M& got, const json& expected, double relative, double absolute = 0) {
  REQUIRE(static_cast<std::size_t>(got.size()) == expected.size());
  for (Index i = 0; i < got.size(); ++i) {
    INFO("element " << i);
    check_near(static_cast<double>(got.data()[i]), number(expected.at(static_cast<std::size_t>(i))), relative,
               absolute);
  }
}

template <class T>
T value_of(const json& p, const char* name) {
  return static_cast<T>(p.at(name).get<double>());
}

// The distribution that a set of oracle parameters names; the families of one column are repeated `columns` times.
template <class T>
Any<T> make(const std::string& family, const json& p, Index columns = 1) {
  const auto column = [&](const char* name) {
    return std::vector<T>(static_cast<std::size_t>(columns), value_of<T>(p, name));
  };
  if (family == "uniform") return Uniform<T>(column("low"), column("high"));
  if (family == "gamma") return Gamma<T>(column("concentration"), column("rate"));
  if (family == "beta") return Beta<T>(column("concentration1"), column("concentration0"));
  if (family == "student_t") return StudentT<T>(column("df"), column("loc"), column("scale"));
  if (family == "normal") return Normal<T>(column("loc"), column("scale"));
  if (family == "logistic") return Logistic<T>(column("loc"), column("scale"));
  if (family == "laplace") return Laplace<T>(column("loc"), column("scale"));
  if (family == "cauchy") return Cauchy<T>(column("loc"), column("scale"));
  const std::vector<T> loc = vector_of<T>(p.at("loc"));
  if (family == "multivariate_normal_diag") return MultivariateNormalDiag<T>(loc, vector_of<T>(p.at("scale_diag")));
  const Matrix<T> scale = matrix_of<T>(p.at("scale_tril"));
  if (family == "multivariate_student_t") return MultivariateStudentT<T>(p.at("df").get<double>(), loc, scale);
  REQUIRE(family == "multivariate_normal_tril");
  return MultivariateNormalTriL<T>(loc, scale);
}

const std::vector<std::string> elementwise{"normal", "uniform", "logistic", "laplace",
                                           "student_t", "cauchy", "gamma", "beta"};

}  // namespace

// -------------------------------------------------------------------------------------------------------- oracles

TEST_CASE("elementwise families agree with numbers made in high precision", "[distributions]") {
  for (const std::string& family : elementwise) {
    const json file = oracle(family);
    for (const json& c : file.at("cases")) {
      INFO(family << " " << c.at("parameters").dump());
      const Any<double> d = make<double>(family, c.at("parameters"));
      const Matrix<double> y = matrix_of<double>(c.at("points"));
      check_all_near(d->log_prob(y), c.at("log_prob"), 1e-13, 1e-13);
      // A scale that went through its logarithm is an ulp off, which tails magnify.
      check_all_near(d->cdf(y), c.at("cdf"), 1e-11, 1e-320);
      check_all_near(d->survival(y), c.at("survival"), 1e-11, 1e-320);
      check_all_near(d->log_cdf(y), c.at("log_cdf"), 1e-11);
      check_all_near(d->log_survival(y), c.at("log_survival"), 1e-11);
      const Matrix<double> p = matrix_of<double>(file.at("settings").at("probabilities"));
      check_all_near(d->quantile(p), c.at("quantile"), 2e-12, 1e-14);
      check_all_near(d->quantile_complement(p), c.at("quantile_complement"), 2e-12, 1e-14);

      check_near(d->entropy(), number(c.at("entropy")), 1e-12, 1e-13);
      const auto moment = [&](const char* name, auto get) {
        if (c.at(name).is_null())
          CHECK_THROWS_AS(get(), NotImplemented);
        else
          check_near(get()[0], number(c.at(name)), 1e-13, 1e-14);
      };
      moment("mean", [&] { return d->mean(); });
      moment("variance", [&] { return d->variance(); });
      moment("stddev", [&] { return d->stddev(); });
      moment("mode", [&] { return d->mode(); });
      if (c.contains("outside")) {
        const json& out = c.at("outside");
        const Matrix<double> z = matrix_of<double>(out.at("points"));
        check_all_near(d->log_prob(z), out.at("log_prob"), 0);
        check_all_near(d->cdf(z), out.at("cdf"), 0);
        check_all_near(d->survival(z), out.at("survival"), 0);
      }
    }
    for (const json& c : file.at("kl")) {
      INFO(family << " " << c.dump());
      const Any<double> p = make<double>(family, c.at("p")), q = make<double>(family, c.at("q"));
      Engine engine(7);
      const KlDivergence kl = kl_divergence(*p, *q, engine, 40000);
      const double expected = number(c.at("kl_divergence"));
      CHECK(kl.exact == (family != "logistic" && family != "student_t"));
      if (kl.exact) {
        check_near(kl.value, expected, 1e-12, 1e-14);
        CHECK(kl.standard_error == 0);
      } else {
        CHECK(std::abs(kl.value - expected) < 5 * kl.standard_error);
        CHECK_THROWS_AS(kl_divergence(*p, *q), NotImplemented);
      }
    }
  }
}

TEST_CASE("multivariate families agree with numbers made in high precision", "[distributions]") {
  for (const std::string family : {"multivariate_normal_diag", "multivariate_normal_tril", "multivariate_student_t"}) {
    const json file = oracle(family);
    for (const json& c : file.at("cases")) {
      INFO(family << " " << c.at("parameters").dump());
      const Any<double> d = make<double>(family, c.at("parameters"));
      check_all_near(d->log_prob(matrix_of<double>(c.at("points"))), c.at("log_prob"), 1e-12);
      check_near(d->entropy(), number(c.at("entropy")), 1e-13);
      check_all_near(d->mean(), c.at("mean"), 1e-13);
      check_all_near(d->mode(), c.at("mode"), 1e-13);
      if (c.at("covariance").is_null()) {
        CHECK_THROWS_AS(d->covariance(), NotImplemented);
        continue;
      }
      check_all_near(d->variance(), c.at("variance"), 1e-13);
      check_all_near(d->stddev(), c.at("stddev"), 1e-13);
      const Matrix<double> expected = matrix_of<double>(c.at("covariance"));
      CHECK((d->covariance() - expected).cwiseAbs().maxCoeff() <= 1e-13 * expected.cwiseAbs().maxCoeff());
    }
    if (file.contains("kl"))
      for (const json& c : file.at("kl"))
        check_near(kl_divergence(*make<double>(family, c.at("p")), *make<double>(family, c.at("q"))),
                   number(c.at("kl_divergence")), 1e-12);
  }
}

TEST_CASE("mixtures agree with numbers made in high precision", "[distributions]") {
  const json file = oracle("mixture");
  for (const json& c : file.at("cases")) {
    std::vector<Any<double>> parts;
    for (const json& p : c.at("parameters").at("components"))
      parts.push_back(make<double>(c.at("component_family").get<std::string>(), p));
    std::vector<double> logits = vector_of<double>(c.at("parameters").at("probabilities"));
    for (double& v : logits) v = std::log(v) + 3;  // any constant may be added
    const Mixture<double> d(parts, logits);
    check_all_near(d.log_prob(matrix_of<double>(c.at("points"))), c.at("log_prob"), 1e-12);
    check_all_near(d.weights(), c.at("parameters").at("probabilities"), 1e-14);
    check_all_near(d.mean(), c.at("mean"), 1e-13, 1e-14);
    check_all_near(d.variance(), c.at("variance"), 1e-13);
    const Matrix<double> expected = matrix_of<double>(c.at("covariance"));
    CHECK((d.covariance() - expected).cwiseAbs().maxCoeff() <= 1e-13 * expected.cwiseAbs().maxCoeff());
    CHECK_THROWS_AS(d.mode(), NotImplemented);
    CHECK_THROWS_AS(d.entropy(), NotImplemented);
  }
}

TEST_CASE("log densities agree with Boost.Math", "[distributions]") {
  const auto compare = [](const Distribution<double>& d, const auto& reference, double low, double high,
                          double tolerance = 1e-12) {
    Matrix<double> y(200, 1);
    for (Index i = 0; i < y.rows(); ++i) y(i, 0) = low + (high - low) * (static_cast<double>(i) + 0.5) / 200;
    const Eigen::VectorXd got = d.log_prob(y);
    for (Index i = 0; i < y.rows(); ++i) {
      INFO(d.name() << " at " << y(i, 0));
      check_near(got[i], std::log(boost::math::pdf(reference, y(i, 0))), tolerance, tolerance);
    }
  };
  using V = std::vector<double>;
  compare(Normal<double>(V{0.3}, V{1.7}), boost::math::normal(0.3, 1.7), -20, 20);
  compare(Uniform<double>(V{-0.3}, V{1.7}), boost::math::uniform(-0.3, 1.7), -0.3, 1.7);
  compare(Logistic<double>(V{0.3}, V{1.7}), boost::math::logistic(0.3, 1.7), -20, 20);
  compare(Laplace<double>(V{0.3}, V{1.7}), boost::math::laplace(0.3, 1.7), -20, 20);
  compare(Cauchy<double>(V{0.3}, V{1.7}), boost::math::cauchy(0.3, 1.7), -200, 200);
  compare(StudentT<double>(1, 0.4), boost::math::students_t(0.4), -20, 20);
  compare(StudentT<double>(1, 4e4), boost::math::students_t(4e4), -10, 10);
  compare(Gamma<double>(V{0.4}, V{2.0}), boost::math::gamma_distribution<>(0.4, 0.5), 0, 20);
  compare(Gamma<double>(V{1e4}, V{2.0}), boost::math::gamma_distribution<>(1e4, 0.5), 4500, 5500, 1e-10);
  compare(Beta<double>(V{0.4}, V{2.5}), boost::math::beta_distribution<>(0.4, 2.5), 0, 1);
}

TEST_CASE("both tails of the cdf and its inverse", "[distributions]") {
  const auto log_cdf = [](const Distribution<double>& d, double v) { return d.log_cdf(one(v))(0, 0); };
  const Normal<double> normal(1);
  check_near(log_cdf(normal, -40), -804.60844201, 1e-11);
  check_near(log_cdf(normal, -1e10), -5e19, 1e-11);
  // The two forms meet.
  check_near(log_cdf(normal, -20.0000001) - log_cdf(normal, -19.9999999), -2e-7 * 20.0499, 1e-4);
  for (const std::string& family : elementwise) {
    const json parameters = oracle(family).at("cases").at(0).at("parameters");
    const Any<double> d = make<double>(family, parameters);
    INFO(family);
    CHECK(d->cdf(one(-inf))(0, 0) == 0);
    CHECK(d->cdf(one(inf))(0, 0) == 1);
    CHECK(d->survival(one(-inf))(0, 0) == 1);
    CHECK(d->survival(one(inf))(0, 0) == 0);
    CHECK(d->log_cdf(one(-inf))(0, 0) == -inf);
    CHECK(d->log_cdf(one(inf))(0, 0) == 0);
    CHECK(d->log_survival(one(-inf))(0, 0) == 0);
    CHECK(d->log_survival(one(inf))(0, 0) == -inf);
    CHECK(std::isnan(d->cdf(one(nan_value))(0, 0)));
    const Interval range = d->support()[0];
    CHECK(d->quantile(one(0))(0, 0) == range.low);
    CHECK(d->quantile(one(1))(0, 0) == range.high);
    CHECK(d->quantile_complement(one(0))(0, 0) == range.high);
    CHECK(d->quantile_complement(one(1))(0, 0) == range.low);
    CHECK(std::isnan(d->quantile(one(nan_value))(0, 0)));
    CHECK_THROWS_AS(d->quantile(one(1.5)), DomainError);
    for (const double p : {1e-200, 1e-30, 1e-3, 0.2, 0.5, 0.77, 0.999}) {
      INFO("p " << p);
      const double y = d->quantile(one(p))(0, 0), z = d->quantile_complement(one(p))(0, 0);
      // A bound is as near as it gets where no number lies between.
      if (y > range.low) check_near(d->cdf(one(y))(0, 0), p, 1e-9 * (1 - std::log(p)), std::abs(y) > 1 ? 0 : 1e-15);
      if (z < range.high && z > range.low)
        check_near(d->survival(one(z))(0, 0), p, 1e-9 * (1 - std::log(p)), 1e-12);
    }
  }
  // Where the probability itself underflows.
  using V = std::vector<double>;
  const Gamma<double> gamma(V{60.0}, V{1.0});
  check_near(log_cdf(gamma, 1e-6), 60 * std::log(1e-6) - 1e-6 - std::lgamma(61.0) + std::log1p(1e-6 / 61), 1e-13);
  check_near(gamma.log_survival(one(2000.0))(0, 0),
             59 * std::log(2000.0) - 2000 - std::lgamma(60.0) +
                 std::log1p(59.0 / 2000 * (1 + 58.0 / 2000 * (1 + 57.0 / 2000))),
             1e-8);
  const Beta<double> beta(V{60.0}, V{2.0});
  // I_x(60, 2) = x^60 (61 - 60 x)
  check_near(log_cdf(beta, 1e-6), 60 * std::log(1e-6) + std::log(61 - 60e-6), 1e-13);
  check_near(log_cdf(Beta<double>(1), 1e-300), std::log(1e-300), 1e-14);
  check_near(Beta<double>(V{2}, V{60}).log_survival(one(1 - 1e-6))(0, 0),
             60 * std::log1p(-(1 - 1e-6)) + std::log(61 - 60e-6), 1e-13);
  const StudentT<double> student(1, 200);
  check_near(log_cdf(student, -1e5) - log_cdf(student, -1e6), 200 * std::log(10.0), 1e-6);
  check_near(log_cdf(StudentT<double>(1, 1e6), -50.0), log_cdf(normal, -50.0), 2e-3);
  for (const double df : {1e10, 1e12, 1e14}) check_near(log_cdf(StudentT<double>(1, df), -40.0), -804.60844201, 1e-6);
  // The density far out is c (z^2 / df)^(-(df + 1) / 2), so the tail is c df^((df - 1) / 2) |z|^-df.
  const StudentT<double> heavy(1, 0.5);
  const double log_c = std::lgamma(0.75) - std::lgamma(0.25) - 0.5 * std::log(0.5 * 3.14159265358979324);
  check_near(log_cdf(heavy, -1e200), log_c - 0.25 * std::log(0.5) - 100 * std::log(10.0), 1e-13);
  check_near(heavy.cdf(one(-1e200))(0, 0), std::exp(log_cdf(heavy, -1e200)), 1e-12);
  check_near(heavy.cdf(one(1e200))(0, 0), 1, 1e-15);
  CHECK_THROWS_AS(MultivariateNormalDiag<double>(1).cdf(one(0)), NotImplemented);
}

// ----------------------------------------------------------------------------------------------------- quadrature

TEST_CASE("densities integrate to one", "[distributions]") {
  // Trapezoidal sums converge fast for integrands that fade out at both ends, so the line is mapped by
  // y = median + sinh(3 sinh t), the half line by y = exp(3 sinh t), the interval by y = 1 / (1 + exp(-3 sinh t)).
  const auto integral = [](const Distribution<double>& d) {
    const Interval range = d.support()[0];
    const int n = 40000;
    const double median = d.quantile(one(0.5))(0, 0);
    const double width = 8.0 / n;
    Matrix<double> y(n, 1);
    Eigen::VectorXd weight(n);
    for (int i = 0; i < n; ++i) {
      const double t = -4 + (i + 0.5) * width, s = 3 * std::sinh(t), ds = 3 * std::cosh(t);
      if (std::isinf(range.low)) {
        y(i, 0) = median + std::sinh(s);
        weight[i] = std::cosh(s) * ds;
      } else if (std::isinf(range.high)) {
        y(i, 0) = std::exp(s);
        weight[i] = y(i, 0) * ds;
      } else {
        const double u = 1 / (1 + std::exp(-s));
        y(i, 0) = range.low + (range.high - range.low) * u;
        weight[i] = (range.high - range.low) * u / (1 + std::exp(s)) * ds;
      }
    }
    const Eigen::VectorXd log_prob = d.log_prob(y);
    double sum = 0;
    // (Where rounding has moved a node onto an end, the density may be infinite.)
    for (int i = 0; i < n; ++i)
      if (weight[i] > 0 && y(i, 0) != range.low && y(i, 0) != range.high) sum += std::exp(log_prob[i] + std::log(weight[i])) * width;
    return sum;
  };
  for (const std::string& family : elementwise) {
    const json file = oracle(family);
    for (const json& c : file.at("cases")) {
      INFO(family << " " << c.at("parameters").dump());
      // The density of the uniform jumps at the ends; everything else is smooth inside.
      CHECK(std::abs(integral(*make<double>(family, c.at("parameters"))) - 1) < 1e-6);
    }
  }
  using V = std::vector<double>;
  const Mixture<double> two({Normal<double>(V{-1}, V{0.5}), Cauchy<double>(V{2}, V{1.5})}, V{0.2, 1});
  CHECK(std::abs(integral(two) - 1) < 1e-6);

  // Two columns.
  Matrix<double> l(2, 2);
  l << 0.8, 0, -0.5, 1.2;
  const V loc{0.4, -0.3};
  const std::vector<Any<double>> planes{MultivariateNormalDiag<double>(loc, V{0.7, 1.3}),
                                        MultivariateNormalTriL<double>(loc, l),
                                        MultivariateStudentT<double>(2.5, loc, l),
                                        StudentT<double>(V{2.5, 6}, loc, V{0.7, 1.3}),
                                        Mixture<double>({MultivariateNormalTriL<double>(loc, l), Logistic<double>(2)})};
  for (const Any<double>& d : planes) {
    INFO(d->name());
    const int n = 320;
    const double width = 8.0 / n;
    Matrix<double> y(n * n, 2);
    Eigen::VectorXd weight(n * n);
    for (int i = 0; i < n; ++i)
      for (int j = 0; j < n; ++j) {
        const double t = -4 + (i + 0.5) * width, u = -4 + (j + 0.5) * width;
        y(i * n + j, 0) = std::sinh(2 * t);
        y(i * n + j, 1) = std::sinh(2 * u);
        weight[i * n + j] = 4 * std::cosh(2 * t) * std::cosh(2 * u) * width * width;
      }
    CHECK(std::abs(d->prob(y).dot(weight) - 1) < 1e-6);
  }
}
