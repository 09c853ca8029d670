// Conditionals and marginals of any columns: against closed forms, quadrature and sums.

#include <Eigen/LU>
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numbers>
#include <pushforward/bijectors/column_supports.hpp>
#include <pushforward/bijectors/softmax_centered.hpp>
#include <pushforward/distributions/beta.hpp>
#include <pushforward/distributions/mixture.hpp>
#include <pushforward/distributions/multivariate_normal_tril.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/quantized.hpp>
#include <pushforward/distributions/standardized_context.hpp>
#include <pushforward/distributions/student_t.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <pushforward/distributions/uniform.hpp>
#include <pushforward/flows/builders.hpp>
#include <pushforward/inference/conditioning.hpp>
#include <pushforward/testing/gradient_check.hpp>

#include "tests/catch.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

Eigen::MatrixXd factor() {
  Eigen::MatrixXd l(4, 4);
  l << 1.5, 0, 0, 0, -0.8, 0.6, 0, 0, 0.4, 1.1, 2, 0, 0.3, -0.2, 0.9, 0.5;
  return l;
}
const Eigen::VectorXd centre = (Eigen::VectorXd(4) << 1, -2, 0.5, 3).finished();

/// Of N(mean, covariance) at a.
double normal_log_density(const Eigen::VectorXd& a, const Eigen::VectorXd& mean, const Eigen::MatrixXd& covariance) {
  const Eigen::VectorXd off = a - mean;
  return -0.5 * (off.dot(covariance.inverse() * off) + std::log(covariance.determinant()) +
                 static_cast<double>(a.size()) * std::log(2 * std::numbers::pi));
}

/// Far from a Gaussian: five places, three of them narrow.
Mixture<double> five_places() {
  std::vector<Poly<Distribution<double>>> parts;
  for (int k = 0; k < 5; ++k) {
    Eigen::VectorXd at(2);
    at << 6 * std::cos(1.3 * k), 6 * std::sin(1.3 * k);
    Eigen::MatrixXd scale(2, 2);
    scale << (k % 2 ? 0.1 : 1.0), 0, 0.3, (k % 2 ? 1.0 : 0.2);
    parts.push_back(MultivariateNormalTriL<double>(at, scale));
  }
  return Mixture<double>(std::move(parts), std::vector<double>{0, 0.5, -0.5, 1, 0});
}

/// log p(y_c = a) of a model of two columns, by the trapezoidal rule over the other one.
double by_quadrature(const Distribution<double>& model, Index c, double a, double low, double high) {
  constexpr Index n = 40001;
  Matrix<double> rows(n, 2);
  for (Index i = 0; i < n; ++i) {
    rows(i, c) = a;
    rows(i, 1 - c) = low + (high - low) * static_cast<double>(i) / (n - 1);
  }
  return std::log(model.prob(rows).sum() * (high - low) / (n - 1));
}

Matrix<double> one(double v) { return Matrix<double>::Constant(1, 1, v); }

}  // namespace

TEST_CASE("any columns of a normal distribution, against its closed form", "[conditioning]") {
  const MultivariateNormalTriL<double> model(centre, factor());
  const Eigen::MatrixXd covariance = factor() * factor().transpose();
  const Eigen::VectorXd deviation = covariance.diagonal().cwiseSqrt();
  for (const std::vector<Index>& given :
       {std::vector<Index>{0}, {2}, {3, 0}, {1, 2}, {3, 1, 0}, {0, 1, 2}})
    for (const double far : {0.0, 3.0}) {
      INFO(given.size() << " columns from " << given[0] << ", " << far << " standard deviations out");
      std::vector<Index> rest;
      for (Index c = 0; c < 4; ++c)
        if (std::find(given.begin(), given.end(), c) == given.end()) rest.push_back(c);
      const Eigen::VectorXd a = centre(given) + far * deviation(given);
      const Eigen::MatrixXd aa = covariance(given, given), ba = covariance(rest, given);
      const Eigen::VectorXd mean = centre(rest) + ba * aa.inverse() * (a - centre(given));
      const Eigen::MatrixXd spread = covariance(rest, rest) - ba * aa.inverse() * ba.transpose();
      const double exact = normal_log_density(a, centre(given), aa);

      const ConditionalDraws<double> drawn = sample_given(model, given, a, 4000, {.seed = 3});
      CHECK(drawn.standard_error < 0.03);
      CHECK(std::abs(drawn.log_prob - exact) < 4 * drawn.standard_error);
      CHECK(drawn.effective_sample_size > 4000);
      Matrix<double> own(4000, static_cast<Index>(rest.size()));
      for (std::size_t k = 0; k < rest.size(); ++k) own.col(static_cast<Index>(k)) = drawn.rows.col(rest[k]);
      for (std::size_t k = 0; k < given.size(); ++k) {
        CHECK(drawn.rows.col(given[k]).minCoeff() == a[static_cast<Index>(k)]);
        CHECK(drawn.rows.col(given[k]).maxCoeff() == a[static_cast<Index>(k)]);
      }
      const Eigen::VectorXd found = own.colwise().mean().transpose();
      const Eigen::MatrixXd centred = own.rowwise() - found.transpose();
      const Eigen::MatrixXd found_spread = centred.transpose() * centred / 4000;
      // 4,000 rows, each worth about half an independent one at least.
      CHECK(((found - mean).array().abs() / spread.diagonal().array().sqrt()).maxCoeff() < 4.5 / std::sqrt(2000));
      CHECK(((found_spread - spread).diagonal().array().abs() / spread.diagonal().array()).maxCoeff() <
            4.5 * std::sqrt(2.0 / 2000));

      const Matrix<double> row = a.transpose();
      const LogProbEstimate<double> marginal = marginal_log_prob(model, given, row, {.seed = 5});
      CHECK(std::abs(marginal.value[0] - exact) < 4 * marginal.standard_error[0]);
      CHECK(marginal.standard_error[0] < 0.03);
    }
}

TEST_CASE("no row need come twice", "[conditioning]") {
  const MultivariateNormalTriL<double> model(centre, factor());
  const ConditionalDraws<double> drawn = sample_given(model, {1}, std::vector<double>{-3}, 20000);
  std::map<double, int> times;
  for (Index i = 0; i < 20000; ++i) ++times[drawn.rows(i, 0)];
  CHECK(times.size() == 20000);
}

TEST_CASE("models of several places, and flows, against quadrature", "[conditioning]") {
  const Mixture<double> places = five_places();
  for (const Index c : {0, 1})
    for (const double a : {-6.0, -2.5, 0.0, 1.6, 6.2}) {
      INFO("column " << c << " = " << a);
      const double exact = by_quadrature(places, c, a, -15, 15);
      const LogProbEstimate<double> found = marginal_log_prob(places, {c}, one(a), {.proposals = 20000, .seed = 1});
      CHECK(std::abs(found.value[0] - exact) < 4 * found.standard_error[0]);
      CHECK(found.standard_error[0] < 0.05);
    }
  for (const std::uint64_t seed : {1u, 2u}) {
    TransformedDistribution<double> flow = nsf_ar<double>(2, {.layers = 2, .hidden = 16});
    testing::perturb(flow, seed);
    for (const Index c : {0, 1})
      for (const double a : {-1.0, 0.4, 2.0}) {
        INFO("flow " << seed << ", column " << c << " = " << a);
        const double exact = by_quadrature(flow, c, a, -60, 60);
        const LogProbEstimate<double> found = marginal_log_prob(flow, {c}, one(a), {.proposals = 20000, .seed = 1});
        CHECK(std::abs(found.value[0] - exact) < 4 * found.standard_error[0]);
        CHECK(found.standard_error[0] < 0.05);
      }
  }
}

TEST_CASE("both places that a given value leaves", "[conditioning]") {
  Eigen::VectorXd low(2), high(2);
  low << 0, -8;
  high << 0, 8;
  const Eigen::MatrixXd scale = Eigen::MatrixXd::Identity(2, 2);
  const Mixture<double> model({MultivariateNormalTriL<double>(low, scale), MultivariateNormalTriL<double>(high, scale)},
                              std::vector<double>{std::log(0.2), std::log(0.8)});
  const ConditionalDraws<double> drawn = sample_given(model, {0}, std::vector<double>{0.5}, 5000);
  const auto above = static_cast<double>((drawn.rows.col(1).array() > 0).count());
  CHECK(std::abs(above / 5000 - 0.8) < 4 * std::sqrt(0.16 / 2500));
}

TEST_CASE("bounded columns, and heavy tails", "[conditioning]") {
  const MultivariateNormalTriL<double> base(centre.head(3), factor().topLeftCorner(3, 3));
  const TransformedDistribution<double> model(base, ColumnSupports<double>({{0, 1}, {}, positive}));
  const double y = 0.3, x = std::log(y / (1 - y));
  const double exact = -0.5 * std::pow((x - 1) / 1.5, 2) - std::log(1.5) - 0.5 * std::log(2 * std::numbers::pi) -
                       std::log(y) - std::log1p(-y);
  const ConditionalDraws<double> drawn = sample_given(model, {0}, std::vector<double>{y}, 3000);
  CHECK(std::abs(drawn.log_prob - exact) < 4 * drawn.standard_error);
  CHECK(drawn.rows.col(2).minCoeff() > 0);
  CHECK_THROWS_WITH(sample_given(model, {2, 0}, std::vector<double>{1, 1.5}, 10),
                    "sample_given(TransformedDistribution(MultivariateNormalTriL, ColumnSupports)): column 0: 1.5 lies "
                    "outside the support (0, 1)");
  const LogProbEstimate<double> outside = marginal_log_prob(model, {0}, one(1));
  CHECK(outside.value[0] == -inf);
  CHECK(outside.standard_error[0] == 0);

  // Columns on their own: what is given says nothing.
  const StudentT<double> heavy(3, 1.5);
  Matrix<double> at(1, 3);
  at << 0, 4, 0;
  const double all = heavy.log_prob(at)[0];
  at(0, 1) = 0;
  const double rest = all - heavy.log_prob(at)[0] / 3 * 2;  // of the column with 4
  const LogProbEstimate<double> found = marginal_log_prob(heavy, {1}, one(4));
  CHECK(std::abs(found.value[0] - rest) < 4 * found.standard_error[0]);
  CHECK(found.standard_error[0] < 0.05);
}

TEST_CASE("a value on a bound has the density that the model gives it there", "[conditioning]") {
  const Uniform<double> square(2);
  const Matrix<double> ends = (Matrix<double>(2, 1) << 0, 1).finished();
  const LogProbEstimate<double> flat = marginal_log_prob(square, {1}, ends);
  const Matrix<double> corners = (Matrix<double>(2, 2) << 0.5, 0, 0.5, 1).finished();
  for (Index i = 0; i < 2; ++i) {
    CHECK(square.log_prob(corners)[i] == 0);
    CHECK(std::abs(flat.value[i]) < 4 * flat.standard_error[i]);
  }
  CHECK(sample_given(square, {1}, std::vector<double>{1}, 100).rows.col(1).minCoeff() == 1);

  // Beta(1, 8) at 0 is 8, and at 1 it is 0.
  const std::vector<double> one_each(2, 1.0), eight(2, 8.0);
  const Beta<double> falling(one_each, eight);
  const LogProbEstimate<double> slope = marginal_log_prob(falling, {0}, ends);
  CHECK(std::abs(slope.value[0] - std::log(8.0)) < 4 * slope.standard_error[0]);
  CHECK(slope.value[1] == -inf);
  const LogProbEstimate<double> nowhere = marginal_log_prob(falling, {0}, one(inf));
  CHECK(nowhere.value[0] == -inf);
}

TEST_CASE("columns on grids", "[conditioning]") {
  const MultivariateNormalTriL<double> base(centre.head(2), factor().topLeftCorner(2, 2));
  const Quantized<double> model(base, {{.column = 1, .grid = {.origin = 0, .step = 0.5}}});
  const double a = 2.2;
  std::map<double, double> mass;
  double all = 0;
  for (int k = -30; k < 30; ++k) {
    Matrix<double> row(1, 2);
    row << a, 0.5 * k;
    all += mass[0.5 * k] = model.prob(row)[0];
  }
  const ConditionalDraws<double> drawn = sample_given(model, {0}, std::vector<double>{a}, 4000, {.proposals = 5000});
  CHECK(std::abs(drawn.log_prob - std::log(all)) < 4 * drawn.standard_error);
  std::map<double, int> count;
  for (Index i = 0; i < 4000; ++i) ++count[drawn.rows(i, 1)];
  for (const auto& [value, times] : count) {
    INFO(value);
    const double p = mass.at(value) / all;
    CHECK(std::abs(times - 4000 * p) < 6 * std::sqrt(4000 * p) + 3);
  }
  const LogProbEstimate<double> of_grid = marginal_log_prob(model, {1}, (Matrix<double>(2, 1) << -2, -2.2).finished(),
                                                            {.proposals = 5000});
  // The cell of a normal column, by the C library.
  const double sd = std::sqrt(0.8 * 0.8 + 0.6 * 0.6);
  const double cell = 0.5 * (std::erf(0.25 / sd / std::numbers::sqrt2) - std::erf(-0.25 / sd / std::numbers::sqrt2));
  CHECK(std::abs(of_grid.value[0] - std::log(cell)) < 4 * of_grid.standard_error[0] + 1e-3);
  CHECK(of_grid.value[1] == -inf);
}

TEST_CASE("standard errors cover the truth", "[conditioning]") {
  const MultivariateNormalTriL<double> model(centre, factor());
  const double a = 2;
  const double exact = -0.5 * std::pow((a - 1) / 1.5, 2) - std::log(1.5) - 0.5 * std::log(2 * std::numbers::pi);
  int within = 0;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const LogProbEstimate<double> e = marginal_log_prob(model, {0}, one(a), {.proposals = 1000, .seed = seed});
    within += std::abs(e.value[0] - exact) < 1.96 * e.standard_error[0];
  }
  // 95 expected; fewer than 86 in 1 of 1,000 cases.
  CHECK(within >= 86);
  CHECK(within < 100);
}

TEST_CASE("a context, threads, float, and all columns", "[conditioning]") {
  Poly<Distribution<double>> flow = maf<double>(3, {.layers = 2, .hidden = 16, .context_dim = 2});
  testing::perturb(*flow, 4);
  const Matrix<double> context = (Matrix<double>(1, 2) << 0.5, -1).finished();
  Execution two({.threads = 2});
  const std::vector<double> values{0.3};
  const ConditionalDraws<double> alone = sample_given(*flow, {1}, values, 100, {.context = context});
  const ConditionalDraws<double> both = sample_given(*flow, {1}, values, 100, {.context = context, .execution = two});
  CHECK(alone.rows == both.rows);
  CHECK(alone.log_prob == both.log_prob);
  CHECK(sample_given(*flow, {1}, values, 100, {.context = context, .seed = 1}).rows != alone.rows);
  CHECK_THROWS_AS(sample_given(*flow, {1}, values, 100), ShapeError);

  Matrix<double> row(2, 3);
  row << 0.1, 0.2, 0.3, 1, std::nan(""), 0;
  const LogProbEstimate<double> whole = marginal_log_prob(*flow, {2, 0, 1}, row, {.context = context});
  Matrix<double> sorted(1, 3);
  sorted << 0.2, 0.3, 0.1;
  CHECK(whole.value[0] == flow->log_prob(sorted, context)[0]);
  CHECK(whole.standard_error[0] == 0);
  const LogProbEstimate<double> holes = marginal_log_prob(*flow, {2, 0}, row.leftCols(2), {.context = context});
  CHECK(std::isfinite(holes.value[0]));
  CHECK(std::isnan(holes.value[1]));
  CHECK(std::isnan(holes.standard_error[1]));

  const MultivariateNormalTriL<float> single(centre.cast<float>().eval(), factor().cast<float>().eval());
  const ConditionalDraws<float> drawn = sample_given(single, {0}, std::vector<float>{2}, 50);
  const double exact = -0.5 * std::pow(1 / 1.5, 2) - std::log(1.5) - 0.5 * std::log(2 * std::numbers::pi);
  CHECK(std::abs(drawn.log_prob - exact) < 4 * drawn.standard_error);
}

TEST_CASE("what cannot be conditioned on is refused", "[conditioning]") {
  const Normal<double> model(3);
  const std::vector<double> values{0, 0};
  CHECK_THROWS_WITH(sample_given(model, {0, 3}, values, 1),
                    "sample_given(Normal): column 3 is none of the 3 of the model");
  CHECK_THROWS_WITH(sample_given(model, {1, 1}, values, 1), "sample_given(Normal): column 1 is named twice");
  CHECK_THROWS_WITH(sample_given(model, {1}, values, 1), "sample_given(Normal): expected 1 values, got 2");
  CHECK_THROWS_WITH(sample_given(model, {0, 1}, values, -1),
                    "sample_given: the number of rows must be at least 0, got -1");
  CHECK_THROWS_WITH(sample_given(model, {0, 1}, values, 1, {.proposals = 10}),
                    "sample_given(Normal): proposals must be at least 1000, got 10");
  CHECK_THROWS_WITH(sample_given(model, {0, 2, 1}, std::vector<double>{0, 0, 0}, 1),
                    ContainsSubstring("there is nothing to draw"));
  const TransformedDistribution<double> simplex(Normal<double>(2), SoftmaxCentered<double>(2));
  CHECK_THROWS_WITH(sample_given(simplex, {0}, std::vector<double>{0.2}, 1), ContainsSubstring("simplex(3)"));
  CHECK_THROWS_WITH(marginal_log_prob(model, {0}, Matrix<double>(1, 2)),
                    "marginal_log_prob(Normal): expected values of 1 columns, got 2");
  CHECK(sample_given(model, {}, std::vector<double>{}, 5).log_prob == Approx(0).margin(0.05));
}
