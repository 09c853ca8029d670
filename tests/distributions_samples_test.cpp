// Samples of the distributions: goodness of fit, and the log_prob that comes with them.

#include <algorithm>
#include <cmath>
#include <pushforward/distributions/beta.hpp>
#include <pushforward/distributions/cauchy.hpp>
#include <pushforward/distributions/gamma.hpp>
#include <pushforward/distributions/multivariate_student_t.hpp>
#include <pushforward/distributions/student_t.hpp>
#include <pushforward/distributions/uniform.hpp>
#include <vector>

#include "tests/catch.hpp"
#include "tests/distributions.hpp"

using namespace pushforward;
using namespace distribution_tests;

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
