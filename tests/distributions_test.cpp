// The distributions: numbers computed elsewhere, quadrature, goodness of fit of samples, gradients, and edges.

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include <boost/math/distributions.hpp>
#include <nlohmann/json.hpp>

#include <pushforward/bijectors/coupling.hpp>
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
#include <pushforward/distributions/standardized_context.hpp>
#include <pushforward/distributions/student_t.hpp>
#include <pushforward/distributions/uniform.hpp>
#include <pushforward/error.hpp>
#include <pushforward/nn/mlp.hpp>
#include <pushforward/registry.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>

#include "tests/catch.hpp"
#include "src/core/evaluate.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;
using nlohmann::json;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();

// ------------------------------------------------------------------------------------------------- small helpers

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

Matrix<double> one(double v) { return Matrix<double>::Constant(1, 1, v); }

void check_near(double got, double expected, double relative, double absolute = 0) {
  if (got == expected) {
    CHECK(got == expected);
    return;
  }
  INFO("got " << got << ", expected " << expected);
  CHECK(std::abs(got - expected) <= relative * std::abs(expected) + absolute);
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
using Any = Poly<Distribution<T>>;

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

// One member of each family with several columns, all parameters away from their initial values.
template <class T>
std::vector<Any<T>> catalogue() {
  const std::vector<T> loc{T(0.5), T(-1.25), T(2)}, scale{T(0.75), T(1.5), T(0.4)}, df{T(2.5), T(8), T(30)};
  const std::vector<T> low{T(-1), T(0), T(2)}, high{T(1.5), T(0.5), T(3)};
  const std::vector<T> a{T(0.7), T(1.5), T(6)}, b{T(2), T(0.8), T(3)};
  Matrix<T> l(3, 3);
  l << T(0.9), T(7), T(7), T(-0.6), T(1.3), T(7), T(0.4), T(0.8), T(0.5);
  std::vector<Any<T>> all{Normal<T>(loc, scale),
                          Uniform<T>(low, high),
                          Logistic<T>(loc, scale),
                          Laplace<T>(loc, scale),
                          StudentT<T>(df, loc, scale),
                          Cauchy<T>(loc, scale),
                          Gamma<T>(a, b),
                          Beta<T>(a, b),
                          MultivariateNormalDiag<T>(loc, scale),
                          MultivariateNormalTriL<T>(loc, l),
                          MultivariateStudentT<T>(3.5, loc, l)};
  const std::vector<T> logits{T(0.3), T(-0.5), T(1)};
  all.push_back(Mixture<T>({Normal<T>(loc, scale), Gamma<T>(a, b), Laplace<T>(a, scale)}, logits));
  return all;
}

Registry test_registry() {
  Registry r;
  r.add<Normal>("normal").add<Uniform>("uniform").add<Logistic>("logistic").add<Laplace>("laplace");
  r.add<StudentT>("student_t").add<Cauchy>("cauchy").add<Gamma>("gamma").add<Beta>("beta").add<Mixture>("mixture");
  r.add<MultivariateNormalDiag>("multivariate_normal_diag").add<MultivariateNormalTriL>("multivariate_normal_tril");
  r.add<MultivariateStudentT>("multivariate_student_t");
  return r;
}

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
    for (int i = 0; i < n; ++i)
      if (weight[i] > 0) sum += std::exp(log_prob[i] + std::log(weight[i])) * width;
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

// -------------------------------------------------------------------------------------------------------- samples

namespace {

// Kolmogorov's distance between the samples of one column and the cdf, in units of 1 / sqrt(n).
template <class T>
double ks_statistic(const Distribution<T>& d, Matrix<T> samples, Index column) {
  std::sort(samples.col(column).data(), samples.col(column).data() + samples.rows());
  const Matrix<double> cdf = d.cdf(samples);
  const double n = static_cast<double>(samples.rows());
  double largest = 0;
  for (Index i = 0; i < samples.rows(); ++i)
    largest = std::max({largest, cdf(i, column) - static_cast<double>(i) / n,
                        static_cast<double>(i + 1) / n - cdf(i, column)});
  return largest * std::sqrt(n);
}

template <class T>
void check_samples(const Distribution<T>& d, std::uint64_t seed, bool has_cdf, bool has_moments) {
  INFO(d.name() << " " << d.dtype());
  const Index n = 20000;
  Engine engine(seed);
  const Matrix<T> y = d.sample(n, engine);
  const std::vector<Interval> support = d.support().bounds();
  CHECK(y.allFinite());
  CHECK(d.log_prob(y).minCoeff() > -inf);
  for (Index c = 0; c < d.dim(); ++c) {
    CHECK(static_cast<double>(y.col(c).minCoeff()) > support[static_cast<std::size_t>(c)].low);
    CHECK(static_cast<double>(y.col(c).maxCoeff()) < support[static_cast<std::size_t>(c)].high);
    if (has_cdf) CHECK(ks_statistic(d, y, c) < 2.2);  // exceeded with probability 1e-4
  }
  if (!has_moments) return;
  const Matrix<double> x = y.template cast<double>();
  const Eigen::VectorXd mean = d.mean();
  const Eigen::MatrixXd covariance = d.covariance();
  const double root = std::sqrt(static_cast<double>(n));
  for (Index c = 0; c < d.dim(); ++c) {
    const Eigen::ArrayXd centred = x.col(c).array() - mean[c];
    CHECK(std::abs(centred.mean()) < 5 * std::sqrt(covariance(c, c)) / root);
    for (Index k = 0; k <= c; ++k) {
      const Eigen::ArrayXd product = centred * (x.col(k).array() - mean[k]);
      const double spread = std::sqrt((product - product.mean()).square().mean());
      CHECK(std::abs(product.mean() - covariance(c, k)) < 5 * spread / root);
    }
  }
}

}  // namespace

TEMPLATE_TEST_CASE("samples follow the distribution", "[distributions]", float, double) {
  using T = TestType;
  std::uint64_t seed = 11;
  for (const Any<T>& d : catalogue<T>()) {
    const bool multivariate = d->name().starts_with("Multivariate");
    bool moments = d->name() != "Cauchy";
    // The fourth moment must exist for the standard error of a variance.
    if (d->name() == "StudentT" || d->name() == "MultivariateStudentT") moments = false;
    check_samples(*d, seed++, !multivariate, moments);
  }
  using V = std::vector<T>;
  Matrix<T> l(2, 2);
  l << T(0.9), T(0), T(-0.6), T(1.3);
  check_samples(MultivariateStudentT<T>(12, V{1, -2}, l), 5, false, true);
  check_samples(StudentT<T>(V{12, 9}, V{1, -2}, V{T(0.5), 3}), 6, true, true);
  // Concentrations so small that most of the mass lies next to a bound.
  check_samples(Gamma<T>(V{T(0.05), T(0.2), 400}, V{1, 10, T(0.1)}), 7, true, true);
  check_samples(Beta<T>(V{T(0.05), T(0.1), 300}, V{T(0.05), 2, T(0.5)}), 8, false, true);
  const T next = std::nextafter(T(1000), T(2000));
  check_samples(Uniform<T>(V{1000, T(-1e-30)}, V{std::nextafter(next, T(2000)), T(1e-30)}), 9, false, false);
}

TEST_CASE("marginals of the multivariate Student t are Student t", "[distributions]") {
  Matrix<double> l(2, 2);
  l << 0.9, 0, -0.6, 1.3;
  const std::vector<double> loc{1, -2}, df{1.5, 1.5};
  Engine engine(3);
  const Matrix<double> y = MultivariateStudentT<double>(1.5, loc, l).sample(20000, engine);
  const StudentT<double> marginal(df, loc, std::vector<double>{0.9, std::sqrt(0.36 + 1.69)});
  CHECK(ks_statistic(marginal, y, 0) < 2.2);
  CHECK(ks_statistic(marginal, y, 1) < 2.2);
}

TEMPLATE_TEST_CASE("samples come with their log_prob, the same in any number", "[distributions]", float, double) {
  using T = TestType;
  for (const Any<T>& d : catalogue<T>()) {
    INFO(d->name());
    Engine a(1), b(1), c(1);
    const SamplesAndLogProb<T> drawn = d->sample_and_log_prob(700, a);
    CHECK(drawn.samples == d->sample(700, b));
    CHECK(drawn.log_prob == d->log_prob(drawn.samples));
    CHECK(drawn.samples.topRows(33) == d->sample(33, c));
    CHECK(d->sample(0, c).rows() == 0);
  }
}

// ----------------------------------------------------------------------------------------- gradients and recording

namespace {

// Sum of log_prob over the rows with the gradients of all parameters.
double recorded_sum(const Distribution<double>& d, const Matrix<double>& y, Gradients<double>* gradients) {
  Arena batch, local;
  Tape<double> tape(Tape<double>::Mode::record, {batch, local}, y.rows());
  tape.set_gradients(gradients);
  Pass<double> pass(tape, {});
  const Column<double> log_prob = d.log_prob(pass, detail::load(tape, MatrixView<const double>(y), false));
  double sum = 0;
  for (Index i = 0; i < y.rows(); ++i) sum += log_prob.values()[i];
  if (gradients) {
    const std::vector<double> ones(static_cast<std::size_t>(y.rows()), 1.0);
    tape.backward(log_prob, ones.data());
  }
  return sum;
}

}  // namespace

TEST_CASE("gradients agree with central differences", "[distributions]") {
  std::vector<Any<double>> all = catalogue<double>();
  using V = std::vector<double>;
  all.push_back(StudentT<double>(V{250, 0.3}, V{0, 0}, V{1, 1}));  // both forms of the digamma difference
  all.push_back(Normal<double>(Index{20}));                       // more columns than a block of outputs
  all.push_back(Gamma<double>(Index{20}));
  all.push_back(StudentT<double>(Index{20}));
  for (Any<double>& d : all) {
    INFO(d->name());
    Engine engine(5);
    const Matrix<double> y = d->sample(37, engine);
    const LogProbAndGradient<double> got = d->log_prob_and_gradient(y);
    CHECK(got.log_prob == d->log_prob(y));
    for (Index c = 0; c < d->dim(); ++c) {
      Matrix<double> up = y, down = y;
      const Eigen::VectorXd step = 1e-5 * y.col(c).cwiseAbs().cwiseMin(1.0);
      up.col(c) += step;
      down.col(c) -= step;
      const Eigen::VectorXd high = d->log_prob(up), low = d->log_prob(down);
      for (Index i = 0; i < y.rows(); ++i) {
        if (std::isinf(high[i]) || std::isinf(low[i])) continue;
        INFO("row " << i << ", column " << c << ", y " << y(i, c));
        const double expected = (high[i] - low[i]) / (up(i, c) - down(i, c));
        check_near(got.gradient(i, c), expected, 1e-5, 1e-5);
      }
    }

    std::vector<Slot<double>> slots = list_state(static_cast<Component<double>&>(*d));
    std::vector<const Tensor<double>*> tensors;
    for (const Slot<double>& slot : slots) tensors.push_back(slot.tensor);
    CHECK(slots.empty() == (d->name() == "Uniform"));
    Gradients<double> gradients(tensors);
    CHECK(recorded_sum(*d, y, &gradients) == recorded_sum(*d, y, nullptr));
    for (const double g : gradients.values()) CHECK(std::isfinite(g));
    for (Slot<double>& slot : slots)
      for (Index i = 0; i < slot.tensor->size(); ++i) {
        INFO(slot.path << " " << i);
        const double kept = (*slot.tensor)[i], step = 1e-5;
        (*slot.tensor)[i] = kept + step;
        const double high = recorded_sum(*d, y, nullptr);
        (*slot.tensor)[i] = kept - step;
        const double low = recorded_sum(*d, y, nullptr);
        (*slot.tensor)[i] = kept;
        check_near(gradients.find(slot.tensor)[i], (high - low) / (2 * step), 1e-6, 1e-5);
      }
  }
}

TEST_CASE("gradients have the same bits for any number of threads", "[distributions]") {
  std::vector<Any<double>> all = catalogue<double>();
  all.push_back(Mixture<double>({Normal<double>(Index{40}), StudentT<double>(Index{40}), Laplace<double>(Index{40})}));
  all.push_back(Mixture<double>({Gamma<double>(Index{40}), MultivariateStudentT<double>(Index{40})}));
  for (const Any<double>& d : all) {
    INFO(d->name());
    Engine engine(3);
    const Index rows = 100;
    const Matrix<double> y = d->sample(rows, engine);
    std::vector<const Tensor<double>*> tensors;
    for (const auto& slot : list_state(static_cast<const Component<double>&>(*d))) tensors.push_back(slot.tensor);
    const std::vector<double> ones(static_cast<std::size_t>(rows), 1.0);
    const auto gradient = [&](int threads) {
      Gradients<double> gradients(tensors);
      Execution execution({.threads = threads});
      execution.run([&](int thread) {
        // Ranges begin at multiples of sixteen rows.
        const Index share = (rows / threads + 15) / 16 * 16;
        const Index begin = std::min(rows, thread * share), end = std::min(rows, begin + share);
        Tape<double> tape(Tape<double>::Mode::record, {execution.common(), execution.local(thread)}, rows, begin,
                          thread == threads - 1 ? rows : end, &execution.group(), thread);
        tape.set_gradients(&gradients);
        Pass<double> pass(tape, {});
        tape.backward(d->log_prob(pass, detail::load(tape, MatrixView<const double>(y), false)), ones.data());
      });
      return std::vector<double>(gradients.values().begin(), gradients.values().end());
    };
    const std::vector<double> one_thread = gradient(1);
    CHECK(one_thread == gradient(2));
    CHECK(one_thread == gradient(3));
  }
}

TEST_CASE("reparameterized samples carry gradients, others refuse to be recorded", "[distributions]") {
  for (const Any<double>& d : catalogue<double>()) {
    INFO(d->name());
    Engine engine(9);
    const RandomCall call = engine.next_call();
    std::vector<const Tensor<double>*> tensors;
    for (const auto& slot : list_state(static_cast<const Component<double>&>(*d))) tensors.push_back(slot.tensor);
    Gradients<double> gradients(tensors);
    Arena batch, local;
    Tape<double> tape(Tape<double>::Mode::record, {batch, local}, 32);
    tape.set_gradients(&gradients);
    Pass<double>::Settings settings;
    settings.noise = &call;
    Pass<double> pass(tape, settings);
    if (!d->is_reparameterized()) {
      CHECK_THROWS_AS(d->sample(pass), NotImplemented);
      continue;
    }
    const Column<double> sum = row_sum(d->sample(pass));
    if (d->name() == "Uniform") continue;
    const std::vector<double> ones(32, 1.0);
    tape.backward(sum, ones.data());
    for (Index c = 0; c < 3; ++c) check_near(gradients.find(tensors[0])[c], 32, 1e-14);  // loc
  }
}

// ------------------------------------------------------------------------------------------------ scalars and edges

TEST_CASE("float agrees with double", "[distributions]") {
  const std::vector<Any<float>> floats = catalogue<float>();
  const Registry registry = test_registry();
  for (const Any<float>& f : floats) {
    INFO(f->name());
    const Any<double> d = cast<double>(*f, registry);
    Engine engine(2);
    const Matrix<float> y = f->sample(500, engine);
    const Eigen::VectorXd a = f->log_prob(y), b = d->log_prob(Matrix<double>(y.cast<double>()));
    for (Index i = 0; i < a.size(); ++i) check_near(a[i], b[i], 3e-6, 1e-5);
  }
  // Large parameters, where normalisers nearly cancel the rest.
  using F = std::vector<float>;
  Matrix<float> y(3, 1);
  y << 0.96f, 1.0f, 1.05f;
  const Eigen::VectorXd gamma = Gamma<float>(F{1e5f}, F{1e5f}).log_prob(y);
  const boost::math::gamma_distribution<double> reference(1e5, 1e-5);
  y << -3.0f, 0.5f, 6.0f;
  const Eigen::VectorXd student = StudentT<float>(1, 1e10).log_prob(y), normal = Normal<float>(1).log_prob(y);
  for (Index i = 0; i < 3; ++i) CHECK(std::abs(student[i] - normal[i]) < 1e-5);
  CHECK(std::abs(gamma[1] - std::log(boost::math::pdf(reference, 1.0))) < 0.02);  // 1e5 itself is rounded in its log
}

TEMPLATE_TEST_CASE("rows outside the support and rows with NaN", "[distributions]", float, double) {
  using T = TestType;
  const T huge = std::numeric_limits<T>::infinity(), bad = std::numeric_limits<T>::quiet_NaN();
  for (const Any<T>& d : catalogue<T>()) {
    INFO(d->name());
    Engine engine(4);
    Matrix<T> y = d->sample(6, engine);
    const Eigen::VectorXd clean = d->log_prob(y);
    y(1, 2) = bad;
    y(2, 0) = huge;
    y(3, 1) = -huge;
    y(4, 0) = bad;
    y(4, 1) = huge;
    const LogProbAndGradient<T> got = d->log_prob_and_gradient(y);
    CHECK(got.log_prob[0] == clean[0]);
    CHECK(std::isnan(got.log_prob[1]));
    CHECK(got.log_prob[2] == -inf);
    CHECK(got.log_prob[3] == -inf);
    CHECK(std::isnan(got.log_prob[4]));
    CHECK(got.log_prob[5] == clean[5]);
    CHECK(got.gradient.row(0).allFinite());
    CHECK(got.gradient.row(2) == Matrix<T>::Zero(1, 3));
  }
  using V = std::vector<T>;
  Matrix<T> y(6, 1);
  y << T(0), T(1), T(-0.5), T(1.5), T(0.5), std::nextafter(T(1), T(0));
  const auto outside = [&](const Distribution<T>& d) {
    std::string marks;
    const Eigen::VectorXd log_prob = d.log_prob(y);
    for (Index i = 0; i < y.rows(); ++i) marks += log_prob[i] == -inf ? 'x' : '.';
    return marks;
  };
  CHECK(outside(Uniform<T>(1)) == "..xx..");
  CHECK(outside(Beta<T>(V{2}, V{3})) == "xxxx..");
  CHECK(outside(Beta<T>(1)) == "xxxx..");
  CHECK(outside(Gamma<T>(1)) == "x.x...");
  CHECK(outside(Laplace<T>(1)) == "......");
  CHECK(Uniform<T>(V{-1, 2}, V{1, 5}).support() == Space::box({{-1, 1}, {2, 5}}));
  CHECK(Gamma<T>(2).support() == Space::box(2, {0, inf}));
  CHECK(Beta<T>(1).support() == Space::box(1, {0, 1}));
  CHECK(Normal<T>(1).support() == Space::real(1));
}

TEST_CASE("values of any finite size give a finite log density where it can be represented", "[distributions]") {
  Matrix<float> y(2, 1);
  y << 3e38f, -3e38f;
  CHECK(Normal<float>(1).log_prob(y).allFinite());
  CHECK(Logistic<float>(1).log_prob(y).allFinite());
  CHECK(Cauchy<float>(1).log_prob(y).allFinite());
  CHECK(StudentT<float>(1).log_prob(y).allFinite());
  CHECK(MultivariateStudentT<float>(1).log_prob(y).allFinite());
  CHECK(Cauchy<float>(1).log_prob_and_gradient(y).gradient.allFinite());
  Matrix<double> z(2, 1);
  z << 1e308, -1e308;
  CHECK(std::abs(Cauchy<double>(1).log_prob(z)[0] + 2 * std::log(1e308) + std::log(3.14159265358979)) < 1e-9);
  CHECK(StudentT<double>(1).log_prob_and_gradient(z).gradient.allFinite());
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

TEST_CASE("moments that do not exist say why", "[distributions]") {
  CHECK_THROWS_WITH(Cauchy<double>(1).mean(), ContainsSubstring("Cauchy::mean") && ContainsSubstring("undefined"));
  CHECK_THROWS_AS(Cauchy<double>(1).variance(), NotImplemented);
  CHECK_THROWS_AS(Cauchy<double>(1).covariance(), NotImplemented);
  CHECK_THROWS_WITH(StudentT<double>(2, 0.9).mean(), ContainsSubstring("df <= 1"));
  CHECK_THROWS_AS(StudentT<double>(2, 0.9).variance(), NotImplemented);
  CHECK(StudentT<double>(2, 1.9).variance() == Eigen::VectorXd::Constant(2, inf));
  CHECK(MultivariateStudentT<double>(2, 1.9).variance() == Eigen::VectorXd::Constant(2, inf));
  CHECK_THROWS_AS(MultivariateStudentT<double>(2, 0.9).mean(), NotImplemented);
  CHECK_THROWS_AS(Uniform<double>(1).mode(), NotImplemented);
  using V = std::vector<double>;
  CHECK_THROWS_WITH(Gamma<double>(V{2, 0.5}, V{1, 1}).mode(), ContainsSubstring("column 1"));
  CHECK_THROWS_AS(Beta<double>(V{1}, V{2}).mode(), NotImplemented);
}

TEMPLATE_TEST_CASE("constructors refuse what is no parameter", "[distributions]", float, double) {
  using T = TestType;
  using V = std::vector<T>;
  const T bad = std::numeric_limits<T>::quiet_NaN(), huge = std::numeric_limits<T>::infinity();
  CHECK_THROWS_WITH(Normal<T>(V{0, 0}, V{1, -2}), ContainsSubstring("Normal: scale") && ContainsSubstring("index 1"));
  CHECK_THROWS_AS(Normal<T>(V{0, 0}, V{1, 0}), DomainError);
  CHECK_THROWS_AS(Laplace<T>(V{0, bad}, V{1, 1}), DomainError);
  CHECK_THROWS_AS(Logistic<T>(V{0}, V{huge}), DomainError);
  CHECK_THROWS_AS(Cauchy<T>(V{0, 0}, V{1}), ShapeError);
  CHECK_THROWS_AS(Cauchy<T>(V{}, V{}), ShapeError);
  CHECK_THROWS_AS(Normal<T>(0), ShapeError);
  CHECK_THROWS_AS(StudentT<T>(1, 0.0), DomainError);
  CHECK_THROWS_AS(StudentT<T>(V{1, 2}, V{0}, V{1}), ShapeError);
  CHECK_THROWS_AS(Gamma<T>(V{1, 1}, V{1, bad}), DomainError);
  CHECK_THROWS_AS(Beta<T>(V{1, 1}, V{1}), ShapeError);
  CHECK_THROWS_WITH(Uniform<T>(V{0, 1}, V{1, 1}), ContainsSubstring("index 1"));
  CHECK_THROWS_AS(Uniform<T>(V{1}, V{std::nextafter(T(1), T(2))}), DomainError);
  CHECK_THROWS_AS(Uniform<T>(V{-huge}, V{0}), DomainError);
  CHECK_THROWS_AS(Uniform<T>(0), ShapeError);
  CHECK_THROWS_AS(MultivariateNormalDiag<T>(V{0, 0}, V{1}), ShapeError);
  CHECK_THROWS_WITH(MultivariateNormalDiag<T>(V{0, 0}, V{1, 0}),
                    ContainsSubstring("MultivariateNormalDiag: scale_diag"));
  Matrix<T> l = Matrix<T>::Identity(2, 2);
  CHECK_THROWS_AS(MultivariateNormalTriL<T>(V{0, 0, 0}, l), ShapeError);
  l(1, 1) = 0;
  CHECK_THROWS_AS(MultivariateNormalTriL<T>(V{0, 0}, l), DomainError);
  l << 1, bad, 0, 1;
  CHECK_NOTHROW(MultivariateNormalTriL<T>(V{0, 0}, l));  // above the diagonal
  l << 1, 0, bad, 1;
  CHECK_THROWS_AS(MultivariateStudentT<T>(3, V{0, 0}, l), DomainError);
  CHECK_THROWS_AS(MultivariateStudentT<T>(2, -1.0), DomainError);
  CHECK_THROWS_AS(Mixture<T>(std::vector<Any<T>>{}), ShapeError);
  CHECK_THROWS_AS(Mixture<T>({Normal<T>(1), Normal<T>(2)}), ShapeError);
  CHECK_THROWS_AS(Mixture<T>({Normal<T>(1), Normal<T>(1)}, V{0}), ShapeError);
  CHECK_THROWS_AS(Mixture<T>({Normal<T>(1), Normal<T>(1)}, V{0, huge}), DomainError);
}

TEMPLATE_TEST_CASE("distributions are made again from their descriptions", "[distributions]", float, double) {
  using T = TestType;
  const Registry registry = test_registry();
  for (const Any<T>& d : catalogue<T>()) {
    INFO(d->name());
    Any<T> again = registry.distribution<T>(d->describe());
    copy_state<T, T>(*d, *again);
    CHECK(again->describe() == d->describe());
    CHECK(again->name() == d->name());
    Engine a(1), b(1);
    const Matrix<T> y = d->sample(40, a);
    CHECK(y == again->sample(40, b));
    CHECK(d->log_prob(y) == again->log_prob(y));
  }
}

TEST_CASE("the standard base of flows is not trained", "[distributions]") {
  const Registry registry = test_registry();
  const Any<double> fixed = MultivariateNormalDiag<double>::standard(3), learned = MultivariateNormalDiag<double>(3);
  CHECK(count_parameters<double>(*fixed) == 0);
  CHECK(count_parameters<double>(*learned) == 6);
  CHECK(count_parameters<double>(*registry.distribution<double>(fixed->describe())) == 0);
  const Matrix<double> y = Matrix<double>::Random(5, 3);
  CHECK(fixed->log_prob(y) == Normal<double>(3).log_prob(y));
}

// ------------------------------------------------------------------------------------------------------ divergences

TEST_CASE("KL between normal families goes by mean and covariance", "[distributions]") {
  using V = std::vector<double>;
  const V loc{0.5, -1, 2}, scale{0.7, 1.2, 2}, zero{0, 0, 0};
  Matrix<double> l(3, 3);
  l << 0.9, 0, 0, -0.6, 1.3, 0, 0.4, 0.8, 0.5;
  const Matrix<double> diagonal = Eigen::Vector3d(0.7, 1.2, 2).asDiagonal();
  const std::vector<Any<double>> same{Normal<double>(loc, scale), MultivariateNormalDiag<double>(loc, scale),
                                      MultivariateNormalTriL<double>(loc, diagonal)};
  const MultivariateNormalTriL<double> other(zero, l);
  const double there = kl_divergence<double>(*same[0], other), back = kl_divergence<double>(other, *same[0]);
  CHECK(there > 0.1);
  CHECK(back > 0.1);
  for (const Any<double>& d : same) {
    check_near(kl_divergence<double>(*d, other), there, 1e-13);
    check_near(kl_divergence<double>(other, *d), back, 1e-13);
    for (const Any<double>& e : same) CHECK(std::abs(kl_divergence(*d, *e)) < 1e-14);
  }
  Engine engine(1);
  const Matrix<double> y = same[0]->sample(40000, engine);
  const Eigen::ArrayXd difference = (same[0]->log_prob(y) - other.log_prob(y)).array();
  CHECK(std::abs(difference.mean() - there) < 5 * std::sqrt((difference - difference.mean()).square().mean() / 40000));
  CHECK_THROWS_AS(kl_divergence<double>(Normal<double>(1), Laplace<double>(1)), NotImplemented);
  CHECK_THROWS_AS(kl_divergence<double>(Normal<double>(1), Normal<double>(2)), ShapeError);
  CHECK(kl_divergence<double>(Uniform<double>(V{0}, V{2}), Uniform<double>(V{0}, V{1})) == inf);
}

// -------------------------------------------------------------------------------------------------------------- fit

TEMPLATE_TEST_CASE("the multivariate normal is fitted in closed form", "[distributions]", float, double) {
  using T = TestType;
  const double tolerance = sizeof(T) == 4 ? 2e-6 : 1e-12;
  Engine engine(8);
  Matrix<T> l(3, 3);
  l << T(0.9), 0, 0, T(-0.6), T(1.3), 0, T(0.4), T(0.8), T(0.5);
  const std::vector<T> loc{100, T(-0.5), 2};
  const Matrix<T> data = MultivariateNormalTriL<T>(loc, l).sample(500, engine);
  const Matrix<double> x = data.template cast<double>();
  const Eigen::VectorXd mean = x.colwise().mean();
  const Matrix<double> centred = x.rowwise() - mean.transpose();
  const Eigen::MatrixXd covariance = centred.transpose() * centred / 500;

  const MultivariateNormalTriL<T> fitted = MultivariateNormalTriL<T>::fit(data);
  CHECK((fitted.mean() - mean).cwiseAbs().maxCoeff() < 100 * tolerance);
  CHECK((fitted.covariance() - covariance).cwiseAbs().maxCoeff() < 10 * tolerance);
  const auto ridge = MultivariateNormalTriL<T>::fit(data, {}, 0.25);
  const Eigen::MatrixXd raised = covariance + 0.25 * Eigen::MatrixXd::Identity(3, 3);
  CHECK((ridge.covariance() - raised).cwiseAbs().maxCoeff() < 10 * tolerance);

  // A weight of 2 is the row twice, a weight of 0 is no row; the storage order does not matter.
  std::vector<double> weights(500, 1.0);
  weights[3] = 2;
  weights[7] = 0;
  Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> same = data;
  same.row(7) = same.row(3);
  const auto weighted = MultivariateNormalTriL<T>::fit(data, weights), repeated = MultivariateNormalTriL<T>::fit(same);
  CHECK((weighted.mean() - repeated.mean()).cwiseAbs().maxCoeff() < 100 * tolerance);
  CHECK((weighted.covariance() - repeated.covariance()).cwiseAbs().maxCoeff() < 10 * tolerance);

  using Fit = MultivariateNormalTriL<T>;
  Matrix<T> flawed = data;
  flawed.col(1).setConstant(T(0.1));
  CHECK_THROWS_WITH(Fit::fit(flawed), ContainsSubstring("column 1 is constant"));
  CHECK_NOTHROW(Fit::fit(flawed, {}, 1e-3));
  flawed.col(1) = data.col(0) + data.col(2);
  flawed.col(0) = data.col(0).array().round();
  flawed.col(2) = data.col(2).array().round();
  flawed.col(1) = flawed.col(0) + flawed.col(2);
  CHECK_THROWS_WITH(Fit::fit(flawed), ContainsSubstring("column 2 depends linearly"));
  CHECK_THROWS_WITH(Fit::fit(data.topRows(3)), ContainsSubstring("3 rows"));
  CHECK_NOTHROW(Fit::fit(data.topRows(3), {}, 1e-3));
  CHECK_THROWS_AS(Fit::fit(data.topRows(0)), DomainError);
  CHECK_THROWS_AS(Fit::fit(data, weights, -1.0), DomainError);
  CHECK_THROWS_AS(Fit::fit(data, std::vector<double>(3, 1.0)), ShapeError);
  weights[2] = -1;
  CHECK_THROWS_WITH(Fit::fit(data, weights), ContainsSubstring("row 2"));
  flawed = data;
  flawed(4, 1) = std::numeric_limits<T>::quiet_NaN();
  CHECK_THROWS_WITH(Fit::fit(flawed), ContainsSubstring("row 4, column 1"));
}

// --------------------------------------------------------------------------------------------------------- mixtures

TEMPLATE_TEST_CASE("mixtures of different supports", "[distributions]", float, double) {
  using T = TestType;
  using V = std::vector<T>;
  const Mixture<T> d({Uniform<T>(V{-1}, V{1}), Gamma<T>(V{2}, V{1}), Beta<T>(V{2}, V{2})}, V{0, 1, T(-1)});
  const Eigen::VectorXd w = d.weights();
  Matrix<T> y(4, 1);
  y << T(-0.5), T(0.5), T(3), T(-2);
  const LogProbAndGradient<T> got = d.log_prob_and_gradient(y);
  const double tolerance = sizeof(T) == 4 ? 1e-6 : 1e-14;
  check_near(got.log_prob[0], std::log(w[0] / 2), tolerance);
  check_near(got.log_prob[1], std::log(w[0] / 2 + w[1] * 0.5 * std::exp(-0.5) + w[2] * 1.5), tolerance, tolerance);
  check_near(got.log_prob[2], std::log(w[1] * 3) - 3, tolerance);
  CHECK(got.log_prob[3] == -inf);
  CHECK(got.gradient(0, 0) == 0);
  check_near(static_cast<double>(got.gradient(2, 0)), 1.0 / 3 - 1, 10 * tolerance);
  CHECK(got.gradient(3, 0) == 0);
  CHECK(d.support() == Space::box(1, {-1, inf}));
  // A mixture of mixtures, and one component alone.
  const Mixture<T> nested({d, Uniform<T>(V{-3}, V{-1})}, V{0, 0});
  check_near(nested.log_prob(y)[2], got.log_prob[2] + std::log(0.5), tolerance);
  check_near(nested.log_prob(y)[3], std::log(0.25), tolerance);
  const Mixture<T> single(std::vector<Any<T>>{d});
  CHECK(single.log_prob(y) == got.log_prob);
  // A weight that underflows.
  const Mixture<T> lone({Normal<T>(1), Normal<T>(V{5}, V{1})}, V{0, T(-2000)});
  CHECK(lone.log_prob(y) == Normal<T>(1).log_prob(y));
  check_near(lone.mean()[0], 0, 0, 1e-300);

  // cdf, quantile
  for (const double p : {1e-9, 0.01, 0.3, 0.8, 0.999999}) {
    const Matrix<double> m = Matrix<double>::Constant(1, 1, p);
    const std::vector<double> loc{4}, scale{0.5};
    const Mixture<double> precise({Normal<double>(1), Laplace<double>(loc, scale)});
    check_near(precise.cdf(precise.quantile(m))(0, 0), p, 1e-12);
    check_near(precise.survival(precise.quantile_complement(m))(0, 0), p, 1e-12);
    check_near(precise.log_cdf(precise.quantile(m))(0, 0), std::log(p), 1e-11, 1e-15);
  }
  CHECK(d.quantile(one(0))(0, 0) == -1);
  CHECK(d.quantile(one(1))(0, 0) == inf);
}

TEST_CASE("gradients pass through a mixture with rows outside of some components", "[distributions]") {
  using V = std::vector<double>;
  const Uniform<double> box(V{-1, -1}, V{1, 1});
  Mixture<double> d({box, Gamma<double>(V{2, 3}, V{1, 2}), Normal<double>(V{0, 1}, V{2, 2})}, V{0, 1, -1});
  Engine engine(6);
  const Matrix<double> y = d.sample(50, engine);
  std::vector<Slot<double>> slots = list_state(static_cast<Component<double>&>(d));
  std::vector<const Tensor<double>*> tensors;
  for (const auto& slot : slots) tensors.push_back(slot.tensor);
  Gradients<double> gradients(tensors);
  recorded_sum(d, y, &gradients);
  for (Slot<double>& slot : slots)
    for (Index i = 0; i < slot.tensor->size(); ++i) {
      INFO(slot.path << " " << i);
      const double kept = (*slot.tensor)[i], step = 1e-5;
      (*slot.tensor)[i] = kept + step;
      const double high = recorded_sum(d, y, nullptr);
      (*slot.tensor)[i] = kept - step;
      const double low = recorded_sum(d, y, nullptr);
      (*slot.tensor)[i] = kept;
      check_near(gradients.find(slot.tensor)[i], (high - low) / (2 * step), 1e-6, 1e-5);
    }
}

TEST_CASE("a standardized context is what the inner distribution sees", "[standardized_context]") {
  const TransformedDistribution<double> inner(
      Normal<double>(2),
      Coupling<double>({1, 0}, Mlp<double>(1, 2, {.hidden = {8}, .context_dim = 2, .final_scale = 1, .seed = 4})));
  const std::vector<double> shift{3, -1}, scale{2, 0.5};
  const StandardizedContext<double> outer(Poly<Distribution<double>>(inner), shift, scale);
  Eigen::MatrixXd y(4, 2), raw(4, 2), seen(4, 2);
  y << 0.1, 0.2, -1, 0.5, 0.7, -0.3, 2, 1;
  raw << 1, 2, 3, 4, -1, 0.5, 0, 0;
  for (Eigen::Index c = 0; c < 2; ++c)
    seen.col(c) = (raw.col(c).array() - shift[static_cast<std::size_t>(c)]) / scale[static_cast<std::size_t>(c)];
  const Eigen::VectorXd expected = inner.log_prob(y, seen);
  CHECK((outer.log_prob(y, raw) - expected).cwiseAbs().maxCoeff() < 1e-13);
  CHECK((inner.log_prob(y, raw) - expected).cwiseAbs().maxCoeff() > 1e-3);  // the context matters
  Engine a(5), b(5);
  CHECK((outer.sample_each(raw, a) - inner.sample_each(seen, b)).cwiseAbs().maxCoeff() < 1e-13);
}
