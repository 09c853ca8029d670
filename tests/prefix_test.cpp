// Densities of the first columns, and draws of the others given those.

#include <algorithm>
#include <cmath>
#include <limits>
#include <pushforward/bijectors/affine.hpp>
#include <pushforward/bijectors/chain.hpp>
#include <pushforward/bijectors/column_supports.hpp>
#include <pushforward/bijectors/coupling.hpp>
#include <pushforward/bijectors/exp.hpp>
#include <pushforward/bijectors/masked_autoregressive.hpp>
#include <pushforward/bijectors/permute.hpp>
#include <pushforward/distributions/cauchy.hpp>
#include <pushforward/distributions/laplace.hpp>
#include <pushforward/distributions/logistic.hpp>
#include <pushforward/distributions/multivariate_normal_diag.hpp>
#include <pushforward/distributions/multivariate_normal_tril.hpp>
#include <pushforward/flows/builders.hpp>
#include <utility>
#include <vector>

#include "tests/catch.hpp"
#include "tests/shake.hpp"

using namespace pushforward;
using flow_tests::shake;

namespace {

/// log of the integral of exp(f) over [-reach, reach], by the trapezoidal rule.
double log_integral(const Eigen::VectorXd& f, double step) {
  const double largest = f.maxCoeff();
  return largest + std::log((f.array() - largest).exp().sum() * step);
}

/// Prefix densities against quadrature over the next column, draws given a prefix against the conditional cdf.
void check_prefixes(const TransformedDistribution<double>& flow, const std::vector<std::int64_t>& order) {
  const Index dim = flow.dim(), points = 24001;
  const double reach = 60, step = 2 * reach / static_cast<double>(points - 1);
  CHECK(flow.triangular_order() == order);
  Engine engine(4);
  const Eigen::MatrixXd y = flow.sample(5, engine)(Eigen::seqN(0, 5), order);
  Eigen::MatrixXd natural(5, dim);
  for (Index c = 0; c < dim; ++c) natural.col(order[static_cast<std::size_t>(c)]) = y.col(c);
  const Eigen::VectorXd whole = flow.prefix_log_prob(y), expected = flow.log_prob(natural);
  for (Index i = 0; i < 5; ++i) CHECK(whole[i] == Approx(expected[i]).epsilon(1e-12));
  for (Index k = 1; k < dim; ++k) {
    const Eigen::VectorXd prefix = flow.prefix_log_prob(y.leftCols(k));
    for (Index i = 0; i < 5; ++i) {
      Eigen::MatrixXd line = y.row(i).leftCols(k + 1).replicate(points, 1);
      line.col(k) = Eigen::VectorXd::LinSpaced(points, -reach, reach);
      INFO("prefix of " << k << ", row " << i);
      CHECK(prefix[i] == Approx(log_integral(flow.prefix_log_prob(line), step)).margin(2e-6));
    }
  }
  // Kolmogorov-Smirnov of the second column given the first.
  const Index n = 4000;
  const Eigen::MatrixXd given = Eigen::MatrixXd::Constant(n, 1, y(0, 0));
  const Eigen::MatrixXd drawn = flow.sample_given_prefix(given, engine);
  CHECK(drawn.col(order[0]) == given.col(0));
  Eigen::MatrixXd line = y.row(0).leftCols(2).replicate(points, 1);
  line.col(1) = Eigen::VectorXd::LinSpaced(points, -reach, reach);
  const Eigen::ArrayXd density = (flow.prefix_log_prob(line).array() - flow.prefix_log_prob(y.leftCols(1))[0]).exp();
  Eigen::VectorXd x = drawn.col(order[1]);
  std::sort(x.begin(), x.end());
  double cdf = 0, distance = 0;
  Index at = 0;
  for (Index i = 0; i < n; ++i) {
    for (; at + 1 < points && line(at + 1, 1) < x[i]; ++at) cdf += 0.5 * (density[at] + density[at + 1]) * step;
    const double p = cdf + density[at] * (x[i] - line(at, 1));
    distance = std::max({distance, p - static_cast<double>(i) / n, static_cast<double>(i + 1) / n - p});
  }
  CHECK(distance * std::sqrt(static_cast<double>(n)) < 2.225);
}

}  // namespace

TEST_CASE("prefix densities and draws given a prefix are exact") {
  const FlowOptions options{.layers = 2, .hidden = 12, .mixing = Mixing::none, .seed = 6};
  FlowOptions norms = options;
  norms.residual = norms.batch_norm = true;
  SECTION("maf, batch norm") {
    TransformedDistribution<double> flow = maf<double>(3, norms);
    shake(flow, 0.2);
    check_prefixes(flow, {0, 1, 2});
  }
  SECTION("nsf_ar") {
    TransformedDistribution<double> flow = nsf_ar<double>(3, options);
    shake(flow, 0.2);
    check_prefixes(flow, {0, 1, 2});
  }
  SECTION("iaf, one layer") {
    FlowOptions one = options;
    one.layers = 1;
    TransformedDistribution<double> flow = iaf<double>(2, one);
    shake(flow, 0.2);
    check_prefixes(flow, {0, 1});
  }
  SECTION("an order, a flow as the base, another family") {
    using Parts = std::vector<Poly<Bijector<double>>>;
    Parts parts;
    parts.push_back(Affine<double>(3));
    parts.push_back(
        MaskedAutoregressive<double>(Made<double>(3, 2, {.hidden = 9}), AffineTransformer<double>(), {2, 0, 1}));
    const TransformedDistribution<double> inner(Logistic<double>(3), Chain<double>(std::move(parts)));
    TransformedDistribution<double> flow(inner, Affine<double>(3));
    shake(flow, 0.2);
    check_prefixes(flow, {2, 0, 1});
  }
  SECTION("with a context, in float, outside the support") {
    FlowOptions conditional = options;
    conditional.context_dim = 2;
    TransformedDistribution<float> flow(maf<float>(2, conditional), Exp<float>(2));
    shake(flow, 0.2);
    const Eigen::MatrixXf prefix{{1.5f}, {-1.0f}, {NAN}}, context = Eigen::MatrixXf::Constant(3, 2, 0.5f);
    const Eigen::VectorXd p = flow.prefix_log_prob(prefix, context);
    CHECK(std::isfinite(p[0]));
    CHECK(p[1] == -std::numeric_limits<double>::infinity());
    CHECK(std::isnan(p[2]));
    Engine engine(1);
    const Eigen::MatrixXf drawn = flow.sample_given_prefix(prefix, engine, context);
    CHECK(drawn(0, 0) == 1.5f);
    CHECK(drawn(0, 1) > 0);
    CHECK(std::isnan(drawn(1, 1)));
    CHECK(std::isnan(drawn(2, 0)));
  }
}

TEST_CASE("prefixes of columns with bounds") {
  const double infinity = std::numeric_limits<double>::infinity();
  TransformedDistribution<double> inner =
      maf<double>(4, {.layers = 2, .hidden = 12, .mixing = Mixing::none, .seed = 6});
  shake(inner, 0.2);
  // The columns that a prefix leaves out are bounded on both sides, below, and above.
  const TransformedDistribution<double> flow(
      inner, ColumnSupports<double>({{-infinity, infinity}, {1, 2}, {2, infinity}, {-infinity, -3}}));
  Engine engine(3);
  const Eigen::MatrixXd x = inner.sample(5, engine);
  Eigen::MatrixXd y = x;
  Eigen::MatrixXd log_slope = Eigen::MatrixXd::Zero(5, 4);  // of y
  for (Index i = 0; i < 5; ++i) {
    y(i, 1) = 1 + 1 / (1 + std::exp(-x(i, 1)));
    log_slope(i, 1) = std::log((y(i, 1) - 1) * (2 - y(i, 1)));
    y(i, 2) = 2 + std::log1p(std::exp(x(i, 2)));
    log_slope(i, 2) = -std::log1p(std::exp(-x(i, 2)));
    y(i, 3) = -3 - std::log1p(std::exp(-x(i, 3)));
    log_slope(i, 3) = -std::log1p(std::exp(x(i, 3)));
  }
  for (Index k = 1; k <= 4; ++k) {
    const Eigen::VectorXd got = flow.prefix_log_prob(y.leftCols(k)), base = inner.prefix_log_prob(x.leftCols(k));
    const Eigen::MatrixXd drawn = k < 4 ? flow.sample_given_prefix(y.leftCols(k), engine) : y;
    for (Index i = 0; i < 5; ++i) {
      INFO("prefix of " << k << ", row " << i);
      CHECK(got[i] == Approx(base[i] - log_slope.row(i).head(k).sum()).epsilon(1e-11));
      CHECK(drawn.row(i).head(k) == y.row(i).head(k));
      CHECK((drawn(i, 1) > 1 && drawn(i, 1) < 2));
      CHECK(drawn(i, 2) > 2);
      CHECK(drawn(i, 3) < -3);
    }
  }
}

TEST_CASE("a prefix of independent columns is the distribution of those") {
  const std::vector<double> loc{0.5, -1, 2}, scale{0.5, 2, 3}, loc1{0.5}, scale1{0.5};
  const Eigen::MatrixXd y{{0.3}, {-4}, {9}};
  const auto same = [&](const Distribution<double>& three, const Distribution<double>& one) {
    INFO(three.name());
    const Eigen::VectorXd a = three.prefix_log_prob(y), b = one.log_prob(y);
    for (Index i = 0; i < 3; ++i) CHECK(a[i] == Approx(b[i]).epsilon(1e-13));
  };
  same(Normal<double>(loc, scale), Normal<double>(loc1, scale1));
  same(Laplace<double>(loc, scale), Laplace<double>(loc1, scale1));
  same(Logistic<double>(loc, scale), Logistic<double>(loc1, scale1));
  same(Cauchy<double>(loc, scale), Cauchy<double>(loc1, scale1));
  same(MultivariateNormalDiag<double>(loc, scale), Normal<double>(loc1, scale1));
}

TEST_CASE("what has no prefixes says which part it is") {
  using Catch::Matchers::ContainsSubstring;
  const Eigen::MatrixXd y = Eigen::MatrixXd::Zero(2, 1);
  CHECK_THROWS_AS(real_nvp<double>(3).prefix_log_prob(y), NotImplemented);
  CHECK_THROWS_WITH(real_nvp<double>(3).prefix_log_prob(y), ContainsSubstring("Coupling::triangular_order"));
  CHECK_THROWS_WITH(maf<double>(3).triangular_order(), ContainsSubstring("Permute::triangular_order"));
  const TransformedDistribution<double> full(MultivariateNormalTriL<double>(3), Affine<double>(3));
  CHECK_THROWS_WITH(full.triangular_order(), ContainsSubstring("MultivariateNormalTriL"));
  const TransformedDistribution<double> flow = maf<double>(3, {.layers = 2, .mixing = Mixing::none});
  CHECK_THROWS_WITH(flow.prefix_log_prob(Eigen::MatrixXd(2, 4)), ContainsSubstring("k from 1 to 3, got k = 4"));
  Engine engine(1);
  CHECK_THROWS_WITH(flow.sample_given_prefix(Eigen::MatrixXd(2, 0), engine), ContainsSubstring("got k = 0"));
}
