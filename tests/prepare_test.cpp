// Standardising, supports of columns, and what prepare makes of them.

#include <algorithm>
#include <cmath>
#include <limits>
#include <pushforward/bijectors/column_supports.hpp>
#include <pushforward/bijectors/standardize.hpp>
#include <pushforward/distributions/beta.hpp>
#include <pushforward/distributions/gamma.hpp>
#include <pushforward/distributions/standardized_context.hpp>
#include <pushforward/flows/builders.hpp>
#include <pushforward/training/fit.hpp>
#include <pushforward/training/prepare.hpp>
#include <vector>

#include "tests/again.hpp"
#include "tests/catch.hpp"
#include "tests/training.hpp"
#include "src/training/rows.hpp"

using namespace pushforward;
using namespace training_tests;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("standardising: mean and deviation, median and quartiles, weights, outliers") {
  Matrix<double> y = make_data(1001, 2);
  const auto plain = Standardize<double>::of(y);
  const Matrix<double> x = plain.inverse(y).value;
  for (Index c = 0; c < 2; ++c) {
    CHECK(x.col(c).mean() == Approx(0).margin(1e-12));
    CHECK(x.col(c).array().square().mean() == Approx(1).epsilon(1e-12));
  }
  CHECK(plain.inverse(y).log_det[0] == Approx(-std::log(plain.scale()[0] * plain.scale()[1])));
  CHECK((plain.forward(x).value - y).norm() < 1e-10);

  const auto robust = Standardize<double>::of(y, Standardization::median_iqr);
  std::vector<double> column(y.col(1).begin(), y.col(1).end());
  std::sort(column.begin(), column.end());
  CHECK(robust.shift()[1] == Approx(column[500]).epsilon(1e-12));
  CHECK(robust.scale()[1] == Approx((column[750] - column[250]) / 1.3489795003921634).epsilon(1e-12));
  // One value in a hundred far away.
  Matrix<double> wild = y;
  for (Index i = 0; i < 1001; i += 100) wild(i, 1) = 1e12;
  const auto unmoved = Standardize<double>::of(wild, Standardization::median_iqr);
  CHECK(unmoved.shift()[1] == Approx(robust.shift()[1]).margin(0.1));
  CHECK(unmoved.scale()[1] == Approx(robust.scale()[1]).epsilon(0.1));

  // Integer weights are repeated rows.
  std::vector<double> weights(1001);
  Matrix<double> repeated(3 * 1001, 2);
  Index n = 0;
  for (Index i = 0; i < 1001; ++i) {
    weights[static_cast<std::size_t>(i)] = static_cast<double>(i % 3);
    for (Index k = 0; k < i % 3; ++k) repeated.row(n++) = y.row(i);
  }
  const Matrix<double> rows = repeated.topRows(n);
  const auto weighted = Standardize<double>::of(y, Standardization::mean_std, weights);
  const auto direct = Standardize<double>::of(rows);
  CHECK(weighted.shift()[0] == Approx(direct.shift()[0]).epsilon(1e-12));
  CHECK(weighted.scale()[1] == Approx(direct.scale()[1]).epsilon(1e-12));

  const auto constant = Standardize<double>::of(Matrix<double>(Matrix<double>::Constant(10, 1, 0.1)));
  CHECK(constant.scale()[0] == 1);
  CHECK_THROWS_AS(Standardize<double>::of(Matrix<double>(0, 2)), DomainError);
  CHECK_THROWS_AS(Standardize<double>(std::vector<double>{0.0}, std::vector<double>{0.0}), DomainError);
}

TEMPLATE_TEST_CASE("column supports: round trip, log_det, bounds", "", float, double) {
  using T = TestType;
  const double inf = std::numeric_limits<double>::infinity();
  const ColumnSupports<T> map({real_line, {2, inf}, {3, inf}, {-inf, -1}, {-2, 5}, real_line, unit_interval});
  Matrix<T> x = make_data<T>(50, 7);
  x = x.cwiseMax(T(-8)).cwiseMin(T(8));
  const auto [y, log_det] = map.forward(x);
  const std::vector<Interval> supports = map.codomain().bounds();
  for (Index c = 0; c < 7; ++c)
    for (Index i = 0; i < 50; ++i) {
      const double v = static_cast<double>(y(i, c));
      CHECK((v > supports[static_cast<std::size_t>(c)].low && v < supports[static_cast<std::size_t>(c)].high));
    }
  const auto back = map.inverse(y);
  const double tolerance = sizeof(T) == 4 ? 2e-2 : 1e-9;
  CHECK(static_cast<double>((back.value - x).cwiseAbs().maxCoeff()) < tolerance);
  CHECK((back.log_det + log_det).cwiseAbs().maxCoeff() < tolerance);
  if constexpr (sizeof(T) == 8) {
    const T h = T(1e-6);
    const Matrix<T> up = map.forward(Matrix<T>(x.array() + h)).value;
    const Matrix<T> down = map.forward(Matrix<T>(x.array() - h)).value;
    const Eigen::VectorXd numeric = ((up - down) / (2 * h)).array().log().rowwise().sum();
    CHECK((numeric - log_det).cwiseAbs().maxCoeff() < 1e-5);
    CHECK(log_det.cwiseAbs().minCoeff() > 0.1);
  }
  // Far out the result stays inside.
  const auto far = map.forward(Matrix<T>(Matrix<T>::Constant(1, 7, T(-300))));
  CHECK(far.value(0, 1) > T(2));
  CHECK(far.value(0, 4) > T(-2));
  CHECK(map.forward(Matrix<T>(Matrix<T>::Constant(1, 7, T(300)))).value(0, 3) < T(-1));
  Matrix<T> edge = y.topRows(1);
  edge(0, 1) = 2;
  CHECK_THROWS_AS(map.inverse(edge), DomainError);
  const ColumnSupports<T> again = made_again<ColumnSupports<T>>(map.describe());
  CHECK(again.supports() == map.supports());
  CHECK((again.forward(x).value - y).norm() == T(0));
  CHECK_THROWS_AS(ColumnSupports<T>({Interval{1, 1}}), DomainError);
}

TEST_CASE("prepare_and_fit puts standardiser and supports into the model, from the training rows alone") {
  const Index n = 600;
  Matrix<double> y = make_data(n, 3);
  y.col(0) += 2 * y.col(1);
  y.col(1) = (y.col(1) / 2).array().exp() * 100;
  y.col(2) = 7 + 2 / (1 + (-y.col(2) / 10).array().exp());
  const Matrix<double> context = 50 * make_data(n, 1, 5).array() + 1000;
  FitOptions<double> options{.epochs = 0, .batch_size = 64, .learning_rate = 5e-3, .context = context, .seed = 2};
  auto model = prepare_and_fit(
      rich_flow(3, 1), y, {.whiten = true, .support = Space::box({real_line, positive, {7, 9}})}, options).model;
  // The flow sees standardised training rows: check through the model's own parts.
  const detail::FitRows<double> rows("test", Space::real(3), 1, y, options);
  Matrix<double> train(static_cast<Index>(rows.train().size()), 3), train_context(train.rows(), 1);
  for (Index i = 0; i < train.rows(); ++i) {
    train.row(i) = y.row(static_cast<Index>(rows.train()[static_cast<std::size_t>(i)]));
    train_context.row(i) = context.row(static_cast<Index>(rows.train()[static_cast<std::size_t>(i)]));
  }
  const auto plain = prepare_and_fit(
      rich_flow(3, 1), y, {.support = Space::box({real_line, positive, {7, 9}})}, options).model;
  const Matrix<double> standardised = plain.bijector().inverse(train).value, x = model.bijector().inverse(train).value;
  for (Index c = 0; c < 3; ++c) {
    CHECK(standardised.col(c).mean() == Approx(0).margin(1e-10));
    CHECK(standardised.col(c).array().square().mean() == Approx(1).epsilon(1e-10));
    CHECK(x.col(c).mean() == Approx(0).margin(1e-10));
  }
  const double n_train = static_cast<double>(train.rows());
  CHECK(std::abs(standardised.col(0).dot(standardised.col(1))) > 0.5 * n_train);
  const Eigen::MatrixXd covariance = x.transpose() * x / n_train;
  CHECK((covariance - Eigen::MatrixXd::Identity(3, 3)).cwiseAbs().maxCoeff() < 0.03);
  const auto& base = static_cast<const StandardizedContext<double>&>(model.base());
  CHECK(base.shift()[0] == Approx(train_context.mean()).epsilon(1e-12));

  // log_prob of the model is that of the raw data.
  const Matrix<double> standard_context = (context.array() - base.shift()[0]) / base.scale()[0];
  const auto [z, log_det] = model.bijector().inverse(y);
  const Eigen::VectorXd expected = base.inner().log_prob(z, standard_context) + log_det;
  CHECK((model.log_prob(y, context) - expected).cwiseAbs().maxCoeff() < 1e-10);

  options.epochs = 30;
  const FitReport report = fit(model, y, options);
  CHECK(report.validation_loss.back() < report.validation_loss.front());
  CHECK(report.stop_reason != StopReason::non_finite);
  const Poly<Distribution<double>> again = cast<double>(model);  // through the description and the registry
  CHECK((again->log_prob(y, context) - model.log_prob(y, context)).cwiseAbs().maxCoeff() == 0);
  Engine engine(1);
  const Matrix<double> samples = model.sample_each(context, engine);
  CHECK(samples.col(1).minCoeff() > 0);
  CHECK(samples.col(2).minCoeff() > 7);
  CHECK(samples.col(2).maxCoeff() < 9);

  Matrix<double> bad = y;
  bad(5, 1) = 0;
  CHECK_THROWS_WITH(prepare_and_fit(rich_flow(3, 1), bad, {.support = Space::box({real_line, positive, real_line})},
                            {.context = context, .validation_fraction = 0}),
                    ContainsSubstring("row 5, column 1"));
  CHECK_THROWS_AS(prepare_and_fit(rich_flow(3, 1), y, {.support = Space::box({positive})}, options), ShapeError);
}

TEST_CASE("prepare_and_fit takes rows of any space") {
  // Shares and an angle about the point where it begins again, both of known densities.
  const Index n = 4000;
  Engine engine(7);
  const Matrix<double> g = Gamma<double>({2.0, 3.0, 4.0}, {1.0, 1.0, 1.0}).sample(n, engine);
  const Matrix<double> turn = Beta<double>({2.0}, {2.0}).sample(n, engine);
  Matrix<double> y(n, 4);
  Eigen::VectorXd truth(n);
  for (Index i = 0; i < n; ++i) {
    y.row(i).head(3) = g.row(i) / g.row(i).sum();
    const double b = turn(i, 0), angle = b - 0.5;
    y(i, 3) = angle < 0 ? angle + 2 : angle;
    truth[i] = std::lgamma(9) - std::lgamma(2) - std::lgamma(3) - std::lgamma(4) + std::log(y(i, 0)) +
               2 * std::log(y(i, 1)) + 3 * std::log(y(i, 2)) + std::log(6 * b * (1 - b));
  }
  const Space space = Space::simplex(3) * Space::circle(1, {0, 2});
  const auto [model, report] = prepare_and_fit(nsf_ar<double>(3, {.layers = 2, .hidden = 32}), y, {.whiten = true, .support = space},
                                               {.epochs = 40, .validation_fraction = 0.2, .seed = 1});
  CHECK(model.support() == space);
  CHECK(std::isnan(report.gaussian_baseline));  // none has a density on the simplex
  const Eigen::VectorXd difference = model.log_prob(y) - truth;
  CHECK(std::abs(difference.mean()) < 0.04);
  CHECK(difference.array().abs().mean() < 0.2);
  const Matrix<double> draws = model.sample(2000, engine);
  for (Index i = 0; i < draws.rows(); ++i) {
    const Eigen::VectorXd row = draws.row(i);
    REQUIRE(space.contains(VectorView<const double>(row)));
  }

  const auto refused = [&](Index column, double value, const char* text) {
    Matrix<double> bad = y;
    bad(5, column) = value;
    CHECK_THROWS_WITH(prepare_and_fit(maf<double>(3), bad, {.support = space}, {.validation_fraction = 0}),
                      ContainsSubstring(text));
  };
  refused(0, 0, "data row 5, column 0: 0 does not lie strictly between 0 and 1");
  refused(1, y(5, 1) + 0.01, "data row 5, columns 0, 1, 2, whose sum is 1.01");
  refused(3, 2.5, "data row 5, column 3: 2.5 lies outside the support [0, 2]");
  CHECK_THROWS_WITH(prepare_and_fit(maf<double>(4), y, {.support = space}),
                    ContainsSubstring("expected a support of 4 dimensions, got 3, simplex(3) x circle[0, 2)"));
  CHECK_THROWS_AS(prepare_and_fit(maf<double>(2), y, {.support = Space::integers({{0, 5}, {0, 5}})}), ShapeError);
}

TEST_CASE("outliers do not ruin a fit with the robust standardiser") {
  Matrix<double> y = make_data(1000, 2);
  Engine engine(4);
  for (Index i = 0; i < 1000; i += 100) y(i, 0) = 1e12;
  const FitOptions<double> options{.epochs = 20, .batch_size = 100, .learning_rate = 5e-3};
  const auto [model, report] = prepare_and_fit(maf<double>(2, {.layers = 2, .hidden = 16, .blocks = 1}), y,
                                               {.standardize = Standardization::median_iqr}, options);
  CHECK(report.stop_reason != StopReason::non_finite);
  for (const double v : values<double>(model)) CHECK(std::isfinite(v));
  CHECK(std::isfinite(report.train.mean));
}
