// Quantized: masses of cells by other means, what lies on a grid, draws, training, refusals.

#include <cmath>
#include <limits>
#include <map>
#include <numbers>
#include <pushforward/bijectors/column_supports.hpp>
#include <pushforward/distributions/multivariate_normal_tril.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/quantized.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <pushforward/distributions/uniform.hpp>
#include <pushforward/flows/builders.hpp>
#include <pushforward/io/model.hpp>
#include <pushforward/training/baseline.hpp>
#include <pushforward/training/fit.hpp>

#include "tests/catch.hpp"
#include "tests/temporary_folder.hpp"
#include "tests/training.hpp"

using namespace pushforward;
using namespace training_tests;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

/// Of the standard normal distribution between two points, by the C library.
double normal_mass(double low, double high) {
  return 0.5 * (std::erfc(-high / std::numbers::sqrt2) - std::erfc(-low / std::numbers::sqrt2));
}

Matrix<double> column(std::initializer_list<double> values) {
  Matrix<double> m(static_cast<Index>(values.size()), 1);
  Index i = 0;
  for (const double v : values) m(i++, 0) = v;
  return m;
}

}  // namespace

TEST_CASE("the mass of a cell of one column is a difference of the cumulative distribution", "[quantized]") {
  const Normal<double> inner({0.3}, {1.7});
  const Grid grid{0.25, 0.5};
  const Matrix<double> y = column({-4.75, -0.25, 0.25, 0.75, 6.25});
  const auto error = [&](Index points) {
    const Eigen::VectorXd log_prob = Quantized<double>(inner, {{0, grid}}, points).log_prob(y);
    double worst = 0;
    for (Index i = 0; i < y.rows(); ++i) {
      const double low = (y(i, 0) - 0.25 - 0.3) / 1.7, high = (y(i, 0) + 0.25 - 0.3) / 1.7;
      worst = std::max(worst, std::abs(log_prob[i] - std::log(normal_mass(low, high))));
    }
    return worst;
  };
  CHECK(error(1) < 0.05);
  CHECK(error(31) < 5e-5);
  CHECK(error(62) < error(31) / 3.9);  // of the second order
  CHECK(error(62) > 0);
}

TEST_CASE("the mass of a cell of two columns, given a third, is an integral", "[quantized]") {
  Matrix<double> tril(3, 3);
  tril << 0.8, 0, 0, 0.5, 0.6, 0, -0.3, 0.4, 1.1;
  const MultivariateNormalTriL<double> inner({0.2, -0.1, 0.4}, tril);
  const std::vector<GridColumn> rounded{{0, {}}, {2, {0.5, 2}}};
  Matrix<double> y(2, 3);
  y << 1, 0.37, -1.5, 0, -0.6, 0.5;
  const Eigen::VectorXd log_prob = Quantized<double>(inner, rounded).log_prob(y),
                        finer = Quantized<double>(inner, rounded, 1021).log_prob(y);
  constexpr Index n = 200;
  for (Index r = 0; r < y.rows(); ++r) {
    Matrix<double> nodes(n * n, 3);
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < n; ++j)
        nodes.row(i * n + j) << y(r, 0) + (i + 0.5) / n - 0.5, y(r, 1), y(r, 2) + 2 * ((j + 0.5) / n - 0.5);
    const double mass = std::log(inner.prob(nodes).sum() * 2 / n / n);
    CHECK(std::abs(log_prob[r] - mass) < 2e-2);
    CHECK(std::abs(finer[r] - mass) < 2e-4);
  }
}

TEST_CASE("masses of all cells add up to one", "[quantized]") {
  const Quantized<double> normal(Normal<double>({0.3}, {0.4}), {{0, {}}});
  CHECK(std::abs(normal.prob(column({-6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6})).sum() - 1) < 1e-12);
  const Quantized<double> uniform(Uniform<double>({-0.5}, {3.5}), {{0, {}}});
  const Matrix<double> all = column({-1, 0, 1, 2, 3, 4});
  const Eigen::VectorXd prob = uniform.prob(all);
  CHECK(prob[0] == 0);
  CHECK(prob[5] == 0);
  for (Index i = 1; i < 5; ++i) CHECK(std::abs(prob[i] - 0.25) < 1e-15);
  CHECK(uniform.support().to_text() == "integers{0, 3}");
}

TEST_CASE("only numbers of the grid have mass, as far as rounding leaves them", "[quantized]") {
  const Quantized<double> tenths(Normal<double>(1), {{0, {0, 0.1}}});
  const Eigen::VectorXd log_prob = tenths.log_prob(column({0.3, 0.1 + 0.2, 0.3004, 0.302, std::nan("")}));
  CHECK(log_prob[0] == log_prob[1]);
  CHECK(log_prob[0] == log_prob[2]);
  CHECK(log_prob[3] == -inf);
  CHECK(std::isnan(log_prob[4]));
  CHECK(tenths.support().to_text() == "grid{-inf, inf; 0 + 0.1 k}");
  CHECK(tenths.support().contains(std::vector<double>{0.1 + 0.2}));
  CHECK_FALSE(tenths.support().contains(std::vector<double>{0.35}));

  const Quantized<double> whole(Normal<double>(1), {{0, {}}});
  CHECK(whole.log_prob(column({1}))[0] > -3);
  CHECK(whole.log_prob(column({1.0001}))[0] == -inf);

  const Quantized<float> single(Normal<float>({900.f}, {3.f}), {{0, {0, 0.01}}});
  CHECK(std::isfinite(single.log_prob(Matrix<float>(Matrix<float>::Constant(1, 1, 900.37f)))[0]));
}

TEST_CASE("where the grid was only found, a value between its numbers has the mass around it", "[quantized]") {
  const TransformedDistribution<double> inner(Normal<double>({0.3, 5}, {1.7, 1}),
                                              ColumnSupports<double>({{-4.25, 4.25}, real_line}));
  const GridColumn known{0, {0, 0.5}}, found{0, {0, 0.5}, true};
  const Quantized<double> strict(inner, {known}, 1021), d(inner, {found, {1, {}}}, 1021), one(inner, {found}, 1021);
  Matrix<double> y(6, 2);
  y << 0.5, 5.2, 0.504, 5.2, 0.7, 5.2, -4.2, 5.2, 4.3, 5.2, std::nan(""), 5.2;
  const Eigen::VectorXd all = one.log_prob(y), numbers = strict.log_prob(y);
  CHECK(all.head(2) == numbers.head(2));
  CHECK(numbers[2] == -inf);
  // A cell that no point of the inner support reaches beyond; and the whole of it by a sum.
  constexpr Index n = 20'000;
  for (const Index r : {Index{2}, Index{3}}) {
    Matrix<double> nodes(n, 2);
    for (Index i = 0; i < n; ++i) nodes.row(i) << y(r, 0) + 0.5 * ((i + 0.5) / n - 0.5), 5.2;
    CHECK(std::abs(all[r] - std::log(inner.prob(nodes).sum() * 0.5 / n)) < 2e-3);
  }
  CHECK(all[4] == numbers[4]);
  CHECK(std::isnan(all[5]));
  // The other column is known to have whole numbers alone.
  CHECK(d.log_prob(y)[0] == -inf);
  CHECK(one.support().to_text() == strict.support().to_text());
  Engine engine(3), same(3);
  CHECK(one.sample(100, engine) == strict.sample(100, same));

  const TemporaryFolder folder;
  save(folder.path / "found", d);
  const Model<double> again = load<double>(folder.path / "found");
  const auto& rounded = dynamic_cast<const Quantized<double>&>(*again.distribution).rounded();
  CHECK(rounded[0].found);
  CHECK_FALSE(rounded[1].found);
}

TEST_CASE("cells end where the inner support does", "[quantized]") {
  const auto bounded = [](Interval support) {
    return TransformedDistribution<double>(Normal<double>(1), ColumnSupports<double>({support}));
  };
  const Quantized<double> counts(bounded({-0.5, inf}), {{0, {}}});
  CHECK(counts.support().to_text() == "integers{0, inf}");
  CHECK(counts.log_prob(column({-1}))[0] == -inf);
  Engine engine(3);
  CHECK(counts.sample(5000, engine).minCoeff() == 0);
  // The first and the last cell lie within in part.
  const Quantized<double> part(bounded({0.2, 2.9}), {{0, {}}});
  CHECK(part.support().to_text() == "integers{0, 3}");
  CHECK(std::isfinite(part.log_prob(column({3}))[0]));
  CHECK_THROWS_WITH(Quantized<double>(bounded({0.5 - 1e-10, 0.5 + 1e-10}), {{0, {}}}),
                    ContainsSubstring("no cell of the grid of column 0 meets the support (0.5, 0.5)"));
}

TEST_CASE("draws lie on the grid as often as the masses say, other columns as they were", "[quantized]") {
  Matrix<double> tril(2, 2);
  tril << 1.3, 0, 0.9, 0.7;
  const MultivariateNormalTriL<double> inner({0.4, 2}, tril);
  const Quantized<double> d(inner, {{0, {0.5, 1}}});
  Engine one(7), two(7);
  constexpr Index n = 40000;
  const Matrix<double> y = d.sample(n, one), x = inner.sample(n, two);
  CHECK(y.col(1) == x.col(1));
  CHECK((y.col(0) - x.col(0)).cwiseAbs().maxCoeff() <= 0.5);
  std::map<double, Index> counts;
  for (Index i = 0; i < n; ++i) ++counts[y(i, 0)];
  for (const auto& [value, count] : counts) {
    const double p = normal_mass((value - 0.5 - 0.4) / 1.3, (value + 0.5 - 0.4) / 1.3);
    CHECK(std::abs(static_cast<double>(count) - n * p) < 5 * std::sqrt(n * p * (1 - p)) + 1);
  }
  CHECK_FALSE(d.is_reparameterized());
}

TEST_CASE("noise moves rows within their cells, uniformly", "[quantized]") {
  const std::vector<GridColumn> rounded{{1, {0, 0.5}}};
  Engine engine(5);
  Matrix<double> y(20000, 2);
  y.col(0).setConstant(0.3);
  y.col(1).setConstant(1.5);
  const Matrix<double> moved = dequantized<double>(y, rounded, engine);
  CHECK(moved.col(0) == y.col(0));
  CHECK(moved.col(1).minCoeff() > 1.25);
  CHECK(moved.col(1).maxCoeff() < 1.75);
  CHECK(std::abs(moved.col(1).mean() - 1.5) < 5 * 0.5 / std::sqrt(12.0 * 20000));
  const double variance = (moved.col(1).array() - 1.5).square().mean();
  CHECK(std::abs(variance - 0.25 / 12) < 1e-3);
  CHECK_THROWS_AS(dequantized<double>(Matrix<double>(3, 1), rounded, engine), ShapeError);
}

TEST_CASE("a fit of rounded rows: noise in training, and every other number is a mass", "[quantized]") {
  // Counts of a normal distribution rounded to whole numbers; its own parameters are the best.
  const Normal<double> truth({3.3}, {0.9});
  Engine engine(11);
  Matrix<double> y = truth.sample(6000, engine).array().round();
  const Matrix<double> validation = y.bottomRows(1000);
  const Matrix<double> train = y.topRows(5000);
  Quantized<double> model(Normal<double>(1), {{0, {}}});
  const FitReport report =
      fit(model, train, {.epochs = 60, .batch_size = 100, .learning_rate = 0.02, .validation = validation, .seed = 2});
  // The bound that training climbs is highest where the variance has that of the noise in it.
  const auto& fitted = dynamic_cast<const Normal<double>&>(model.inner());
  CHECK(std::abs(fitted.mean()[0] - 3.3) < 0.1);
  CHECK(std::abs(fitted.stddev()[0] - std::sqrt(0.81 + 2.0 / 12)) < 0.05);
  const double best = report.validation_loss[static_cast<std::size_t>(report.best_epoch)];
  CHECK(std::abs(best + model.log_prob(validation).mean()) < 1e-12);
  // Noise is noise: the loss of training is another one than that of the rows in the middle of their cells.
  const Quantized<double> rounded(truth, {{0, {}}});
  CHECK(model.log_prob(validation).mean() > rounded.log_prob(validation).mean() - 0.05);
  CHECK(report.train_loss.back() > -model.log_prob(train).mean() - 0.02);
}

TEST_CASE("a flow with a context learns categories that are no numbers of its own", "[quantized]") {
  Engine engine(4);
  const Matrix<double> u = Uniform<double>(2).sample(4000, engine);
  Matrix<double> y(4000, 2), context(4000, 1);
  for (Index i = 0; i < y.rows(); ++i) {
    context(i, 0) = u(i, 0) < 0.5 ? 0 : 1;
    y(i, 0) = u(i, 1) < (context(i, 0) == 0 ? 0.2 : 0.7) ? 0 : 2;
  }
  y.col(1) = y.col(0) * 0.5 + Normal<double>(1).sample(4000, engine).col(0);
  const auto flow = nsf_ar<double>(2, {.layers = 2, .hidden = 32, .context_dim = 1});
  Quantized<double> model(TransformedDistribution<double>(flow, ColumnSupports<double>({{-0.5, 2.5}, {}})), {{0, {}}});
  fit(model, y, {.epochs = 25, .batch_size = 100, .learning_rate = 3e-3, .context = context, .seed = 1});
  Engine draws(9);
  for (const double c : {0.0, 1.0}) {
    const Matrix<double> drawn = model.sample(20000, draws, Matrix<double>(Matrix<double>::Constant(1, 1, c)));
    CHECK(std::abs((drawn.col(0).array() == 0).cast<double>().mean() - (c == 0 ? 0.2 : 0.7)) < 0.05);
    CHECK((drawn.col(0).array() == 1).cast<double>().mean() < 0.05);
  }
}

TEST_CASE("noise within cells: the same bits for any number of threads, in shards, and after interruptions", "[quantized]") {
  const TemporaryFolder folder;
  Matrix<double> y = make_data(120, 2);
  y.col(0) = (y.col(0).array() * 4).round() / 4;
  // With everything that has state or noise of its own inside.
  const Quantized<double> start(rich_flow(2), {{0, {0, 0.25}}}, 5);
  for (const Index shards : {1, 2}) {
    FitOptions<double> options{
        .epochs = 6, .batch_size = 30, .shards = shards, .learning_rate = 0.02, .validation_fraction = 0.3, .seed = 6};
    Quantized<double> whole = start;
    const FitReport report = fit(whole, y, options);
    CHECK(report.skipped_steps == 0);
    CHECK(report.train_loss.back() < report.train_loss.front());
    {
      Execution execution({.threads = 3, .all_always = true});
      FitOptions<double> many = options;
      many.execution = execution;
      Quantized<double> model = start;
      CHECK(fit(model, y, many).train_loss == report.train_loss);
      CHECK(same_bits(values<double>(model), values<double>(whole)));
    }
    options.checkpoint = folder.path / ("c" + std::to_string(shards));
    options.resume = true;
    Quantized<double> model = start;
    FitReport part;
    Index parts = 0;
    do {
      model = start;
      options.callback = [&](const Progress& progress) { return progress.epoch % 2 == 1 || progress.epoch == 6; };
      part = fit(model, y, options);
      REQUIRE(++parts < 10);
    } while (part.stop_reason == StopReason::cancelled);
    CHECK(parts > 2);
    CHECK(same_bits(values<double>(model), values<double>(whole)));
    CHECK(part.train_loss == report.train_loss);
    CHECK(part.validation_loss == report.validation_loss);
    CHECK(part.validation.mean == report.validation.mean);
  }
}

TEST_CASE("a context goes to the inner distribution", "[quantized]") {
  const auto flow = maf<double>(2, {.layers = 1, .hidden = 8, .context_dim = 1, .seed = 2});
  const Quantized<double> d(flow, {{0, {}}}, 3);
  CHECK(d.context_dim() == 1);
  Matrix<double> y(2, 2), context(2, 1), places(6, 2), contexts(6, 1);
  y << 1, 0.3, -2, 0.7;
  context << 0.4, -1;
  for (Index i = 0; i < 2; ++i)
    for (Index k = 0; k < 3; ++k) {
      places.row(3 * i + k) << y(i, 0) + (static_cast<double>(k) - 1) / 3, y(i, 1);
      contexts(3 * i + k, 0) = context(i, 0);
    }
  const Eigen::VectorXd log_prob = d.log_prob(y, context), p = flow.prob(places, contexts);
  for (Index i = 0; i < 2; ++i) CHECK(log_prob[i] == Approx(std::log(p.segment(3 * i, 3).mean())).epsilon(1e-12));
}

TEST_CASE("what Quantized refuses", "[quantized]") {
  const Normal<double> normal(2);
  CHECK_THROWS_WITH(Quantized<double>(normal, {}), ContainsSubstring("at least one rounded column"));
  CHECK_THROWS_WITH(Quantized<double>(normal, {{2, {}}}), ContainsSubstring("rising order below 2, got 2 after -1"));
  CHECK_THROWS_AS(Quantized<double>(normal, {{1, {}}, {0, {}}}), ShapeError);
  CHECK_THROWS_WITH(Quantized<double>(normal, {{0, {0, 0}}}), ContainsSubstring("a positive step, got 0 and 0"));
  CHECK_THROWS_AS(Quantized<double>(normal, {{0, {inf, 1}}}), DomainError);
  CHECK_THROWS_WITH(Quantized<double>(normal, {{0, {}}}, 0), ContainsSubstring("expected 1 to 4096 points, got 0"));
  const Quantized<double> d(normal, {{0, {}}});
  CHECK_THROWS_WITH(Quantized<double>(d, {{0, {}}}), ContainsSubstring("lives on integers{-inf, inf} x real"));
  CHECK_THROWS_AS(d.mean(), NotImplemented);
  CHECK_THROWS_AS(d.entropy(), NotImplemented);
  CHECK_THROWS_AS(d.cdf(Matrix<double>(Matrix<double>::Zero(1, 2))), NotImplemented);
  CHECK_THROWS_AS(d.triangular_order(), NotImplemented);
}

TEST_CASE("The Gaussian beside a fit of masses has the mass of a cell, not a density", "[quantized]") {
  Engine engine(8);
  Matrix<double> y = Normal<double>({1.0, -2.0}, {1.5, 0.5}).sample(400, engine);
  y.col(0) = ((y.col(0).array() / 0.25).round() * 0.25).matrix().eval();
  Quantized<double> model(Normal<double>(2), {{0, {0, 0.25}}});
  const FitReport report = fit(model, y, {.epochs = 1, .validation_fraction = 0});
  const auto normal = GaussianBaseline::fit(y);
  CHECK(report.gaussian_baseline == Approx(normal.log_prob(y).mean() + std::log(0.25)).epsilon(1e-12));
}
