// The bijector BatchNormalization: which statistics, gradients, edges, threads, errors, options.

#include <cmath>
#include <pushforward/bijectors/act_norm.hpp>
#include <pushforward/bijectors/batch_normalization.hpp>
#include <pushforward/bijectors/chain.hpp>
#include <pushforward/bijectors/invert.hpp>
#include <pushforward/bijectors/permute.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <pushforward/error.hpp>
#include <utility>
#include <vector>

#include "tests/catch.hpp"
#include "tests/bijectors.hpp"
#include "src/core/evaluate.hpp"

using namespace pushforward;
using namespace bijector_tests;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("batch normalisation agrees with Keras' formulas by hand") {
  Matrix<double> y(3, 2), x(3, 2), up(3, 2), dx(3, 2);
  y << 1, 2, 3, 7, 5, 9;
  x << -2.349030593, -0.879327030, 0.1, -0.030168243, 2.549030593, 0.309495272;
  up << 1, .5, 2, -1, -1, 3;
  dx << -0.815884510, 0.100139104, 1.632687062, -0.350545644, -0.816802552, 0.250406541;
  BatchNormalization<double> bn(2, {.epsilon = 1e-3, .momentum = 0.99});
  set<double>(bn, "log_gamma", std::vector<double>{std::log(2.0), std::log(0.5)});
  set<double>(bn, "beta", std::vector<double>{0.1, -0.2});

  const auto r = record<double>(bn, false, y, up, Matrix<double>::Zero(3, 1), Statistics::minibatch);
  check_close(r.value, x, 1e-9);
  check_close(r.log_det, std::vector<double>(3, -1.5704019050), 1e-10);
  check_close(r.gradient, dx, 1e-8);
  // The gradient in log_gamma is gamma times that in gamma.
  check_close(r.parameters[0], std::vector<double>{2 * -2.449030593, 0.5 * 2.037981089}, 1e-9);
  check_close(r.parameters[1], std::vector<double>{2, 2.5}, 1e-14);
  CHECK(r.proposals.values.size() == 2);
  CHECK(bn.moving_mean()[0] == 0);
  commit<double>(bn, r.proposals);
  check_close(bn.moving_mean().values(), std::vector<double>{.03, .06}, 1e-14);
  check_close(bn.moving_variance().values(), std::vector<double>{1.0166666667, 1.0766666667}, 1e-10);

  BatchNormalization<double> quick(2, {.epsilon = 1e-3});
  const Matrix<double> no_log_det = Matrix<double>::Zero(3, 1);
  commit<double>(quick, record<double>(quick, false, y, up, no_log_det, Statistics::minibatch).proposals);
  check_close(quick.moving_mean().values(), std::vector<double>{.3, .6}, 1e-14);
}

namespace {

template <Scalar T>
BatchNormalization<T> some_batch_normalization(Index dim) {
  BatchNormalization<T> bn(dim);
  for (Index c = 0; c < dim; ++c) {
    tensor<T>(bn, "log_gamma")[c] = static_cast<T>(0.4 * std::sin(double(c) + 1));
    tensor<T>(bn, "beta")[c] = static_cast<T>(0.7 * std::cos(double(c)));
    tensor<T>(bn, "moving_mean")[c] = static_cast<T>(0.3 * double(c) - 0.2);
    tensor<T>(bn, "moving_variance")[c] = static_cast<T>(0.6 + 0.5 * double(c));
  }
  return bn;
}

}  // namespace

TEST_CASE("gradients of batch normalisation over the whole batch") {
  BatchNormalization<double> bn = some_batch_normalization<double>(3);
  const Matrix<double> y = some_rows<double>(7, 3, 1.5, 2);
  check_gradients(bn, false, y, Statistics::minibatch);
  check_gradients(bn, false, y, Statistics::running);
  check_gradients(bn, true, y, Statistics::running);
  for (const bool center : {true, false}) {
    BatchNormalization<double> partial(3, {.center = center, .scale = !center});
    CHECK(list_state<double>(static_cast<const Component<double>&>(partial)).size() == 3);
    CHECK(count_parameters<double>(partial) == 3);
    check_gradients(partial, false, y, Statistics::minibatch);
    check_gradients(partial, false, y, Statistics::running);
    check_gradients(partial, true, y, Statistics::running);
  }
  const BatchNormalization<double> bare(3, {.center = false, .scale = false});
  CHECK(count_parameters<double>(bare) == 0);
  CHECK(bare.inverse(y).log_det[0] == Approx(-1.5 * std::log(1 + 1e-5)));
  check_close(bare.forward(bare.inverse(y).value).value, y, 1e-15);
}

TEMPLATE_TEST_CASE("batch normalisation: each call says which statistics", "", float, double) {
  using T = TestType;
  const double tolerance = sizeof(T) == 4 ? 1e-6 : 1e-14;
  const BatchNormalization<T> bn = some_batch_normalization<T>(3);
  const Matrix<T> y = some_rows<T>(50, 3, 2, -4);

  // The minibatch map and its captured statistics: an exact round trip in both orders, the log_dets opposite.
  const auto [x, log_det, statistics] = bn.inverse(y, Statistics::minibatch);
  CHECK(statistics.layers.size() == 1);
  const BatchStatistics::Moments& moments = statistics.layers.at("moving_mean");
  for (Index c = 0; c < 3; ++c) {
    const Eigen::VectorXd column = y.col(c).template cast<double>();
    const double mean = column.mean();
    CHECK(moments.mean[static_cast<std::size_t>(c)] == Approx(mean).epsilon(1e-6));
    CHECK(moments.variance[static_cast<std::size_t>(c)] ==
          Approx((column.array() - mean).square().mean()).epsilon(1e-6));
  }
  const auto back = bn.forward(x, statistics);
  check_close(back.value, y, tolerance);
  check_close(back.log_det, Eigen::VectorXd(-log_det), 1e-6);
  const auto again = bn.inverse(y, statistics);
  check_close(again.value, x, tolerance);
  // With captured statistics rows are independent, so it is their batch no longer.
  CHECK(bn.inverse(Matrix<T>(y.topRows(2)), statistics).value == again.value.topRows(2));

  // Running statistics are another map; `forward` uses them unless told otherwise.
  const auto running = bn.inverse(y);
  CHECK((running.value - x).cwiseAbs().maxCoeff() > T(0.1));
  check_close(bn.forward(running.value).value, y, tolerance);
  CHECK(bn.forward(x, Statistics::minibatch).value == bn.forward(x).value);
  CHECK(bn.forward(x, Statistics::minibatch).statistics.layers.empty());
  // Nothing of all this changed the object.
  CHECK(bn.moving_mean() == some_batch_normalization<T>(3).moving_mean());
  CHECK(bn.moving_variance() == some_batch_normalization<T>(3).moving_variance());

  // Invert swaps the directions.
  const Invert<T> inverted{Poly<Bijector<T>>(bn)};
  const auto swapped = inverted.forward(y, Statistics::minibatch);
  CHECK(swapped.value == x);
  check_close(inverted.inverse(x, swapped.statistics).value, y, tolerance);
  CHECK(inverted.inverse(x, Statistics::minibatch).statistics.layers.empty());
}

TEST_CASE("captured statistics go before those of the minibatch") {
  const Matrix<double> y = some_rows<double>(20, 3, 2, -4), other = some_rows<double>(20, 3, 5, 1);
  const Matrix<double> ones = Matrix<double>::Ones(20, 1);
  const BatchNormalization<double> bn = some_batch_normalization<double>(3);
  const ActNorm<double> act_norm(3);
  for (const Bijector<double>* b : std::initializer_list<const Bijector<double>*>{&bn, &act_norm}) {
    INFO(b->name());
    const auto first = record<double>(*b, false, y, y, ones, Statistics::minibatch);
    CHECK(first.captured.layers.size() == 1);
    const auto held = record<double>(*b, false, other, y, ones, Statistics::minibatch, 1, &first.captured);
    const auto running = record<double>(*b, false, other, y, ones, Statistics::running, 1, &first.captured);
    CHECK(held.value == running.value);
    CHECK(held.log_det[0] == Approx(first.log_det[0]).epsilon(1e-12));
    CHECK(held.proposals.values.empty());
    CHECK(held.captured.layers.empty());
  }
}

TEST_CASE("the log_det of batch normalisation is that of the map with its statistics held") {
  const BatchNormalization<double> bn = some_batch_normalization<double>(3);
  const Matrix<double> y = some_rows<double>(20, 3, 2, -4);
  const auto batch = bn.inverse(y, Statistics::minibatch);
  double log_det = 0;
  const double h = 1e-4;
  for (Index c = 0; c < 3; ++c) {
    Matrix<double> up = y, down = y;
    up.col(c).array() += h;
    down.col(c).array() -= h;
    const Matrix<double> difference = bn.inverse(up, batch.statistics).value - bn.inverse(down, batch.statistics).value;
    log_det += std::log(difference(0, c) / (2 * h));
  }
  CHECK(std::abs(log_det) > 0.1);
  CHECK(batch.log_det[0] == Approx(log_det).epsilon(1e-9));
  CHECK(batch.log_det[19] == batch.log_det[0]);
  CHECK(bn.inverse(y, Statistics::population).log_det == batch.log_det);
}

TEST_CASE("batch normalisation of one row, of none, and of a constant column") {
  BatchNormalization<double> bn = some_batch_normalization<double>(3);
  const Matrix<double> y = some_rows<double>(1, 3, 2, -4);
  const auto batch = bn.inverse(y, Statistics::minibatch);
  double sum = 0;
  for (Index c = 0; c < 3; ++c) {
    CHECK(batch.value(0, c) == bn.beta()[c]);
    sum += bn.batchnorm().variable("log_gamma")[c] - 0.5 * std::log(1e-5);
  }
  CHECK(batch.log_det[0] == Approx(sum));
  check_close(bn.forward(batch.value, batch.statistics).value, y, 1e-15);

  const auto empty = record<double>(bn, false, Matrix<double>(0, 3), Matrix<double>(0, 3), Matrix<double>(0, 1),
                                    Statistics::minibatch);
  CHECK(empty.proposals.values.empty());
  CHECK(bn.inverse(Matrix<double>(0, 3)).value.rows() == 0);
  const auto flat = bn.inverse(Matrix<double>(Matrix<double>::Constant(6, 3, 1e4)), Statistics::minibatch);
  CHECK(flat.value(5, 2) == bn.beta()[2]);
}

TEST_CASE("batch normalisation in float far from zero") {
  // mean / std = 1e4: what remains is what rounding the data to float left.
  const Matrix<float> y = some_rows<float>(500, 2, 1, 1e4);
  const Matrix<double> exact = y.cast<double>();
  BatchNormalization<float> bn(2);
  BatchNormalization<double> reference(2);
  const auto batch = bn.inverse(y, Statistics::minibatch);
  check_close(batch.value, reference.inverse(exact, Statistics::minibatch).value, 2e-6);
  check_close(bn.forward(batch.value, batch.statistics).value, y, 1e-7);
  check_close(bn.inverse(y, batch.statistics).value, batch.value, 1e-6);
  // What rounds the mean to float is not lost on the way back: no column is off by more than a part of that, 5e-4.
  for (const double beyond : {2.5e-4, -2.5e-4, 4e-4, -4e-4}) {
    Matrix<float> pair(2, 2);
    pair.row(0).setConstant(1e4f - 64);
    pair.row(1).setConstant(1e4f + 64 + static_cast<float>(std::round(beyond / 4.8828125e-4) * 9.765625e-4));
    const auto there = bn.inverse(pair, Statistics::minibatch);
    const Matrix<float> back = bn.forward(there.value, there.statistics).value;
    CHECK(std::abs((back - pair).cast<double>().mean()) < 2e-4);
  }
}

TEST_CASE("batch normalisation gives the same bits for any number of threads") {
  const BatchNormalization<float> bn = some_batch_normalization<float>(20);
  const Matrix<float> y = some_rows<float>(133, 20, 2, 1), up = some_rows<float>(133, 20);
  const Matrix<float> up_log_det = some_rows<float>(133, 1);
  const auto alone = record<float>(bn, false, y, up, up_log_det, Statistics::minibatch);
  for (const int threads : {2, 3}) {
    const auto together = record<float>(bn, false, y, up, up_log_det, Statistics::minibatch, threads);
    CHECK(alone.value == together.value);
    CHECK(alone.log_det == together.log_det);
    CHECK(alone.gradient == together.gradient);
    CHECK(alone.parameters == together.parameters);
    CHECK(alone.proposals.values == together.proposals.values);
  }
}

TEST_CASE("batch normalisation in a chain, and its errors") {
  Chain chain(some_batch_normalization<double>(2), Permute<double>({1, 0}), some_batch_normalization<double>(2));
  const Matrix<double> y = some_rows<double>(9, 2, 3, 1);
  const auto batch = chain.inverse(y, Statistics::minibatch);
  CHECK(batch.statistics.layers.size() == 2);
  CHECK(batch.statistics.layers.count("2.moving_mean") == 1);
  check_close(chain.forward(batch.value, batch.statistics).value, y, 1e-13);
  const auto r = record<double>(chain, false, y, y, Matrix<double>::Ones(9, 1), Statistics::minibatch);
  CHECK(r.proposals.values.size() == 4);
  commit<double>(chain, r.proposals);
  CHECK(tensor<double>(chain, "0.moving_mean")[0] != some_batch_normalization<double>(2).moving_mean()[0]);
  CHECK_THROWS_AS(commit<double>(static_cast<Component<double>&>(chain.part(0)), r.proposals), Error);

  BatchNormalization<double> bn(2);
  const std::vector<double> two{1, 2}, three{1, 2, 3}, negative{1, -1};
  CHECK_THROWS_AS(bn.set_population(two, three), ShapeError);
  CHECK_THROWS_WITH(bn.set_population(two, negative), ContainsSubstring("column 1"));
  CHECK(bn.moving_mean()[0] == 0);
  CHECK_THROWS_AS(BatchNormalization<double>(2, {.epsilon = -1}), DomainError);
  CHECK_THROWS_AS(BatchNormalization<double>(2, {.momentum = 1.5}), DomainError);
  CHECK_THROWS_AS(BatchNormalization<double>(0), ShapeError);
  CHECK_THROWS_AS(bn.inverse(Matrix<double>(2, 3), Statistics::minibatch), ShapeError);
}

TEST_CASE("batch normalisation: layers that make no bijector, set_batchnorm, frozen, defects that TFP has") {
  using Layer = BatchNormLayer<double>;
  BatchNormLayerOptions renorm, ghosts, first, adjusted;
  renorm.renorm = Renorm{};
  ghosts.virtual_batch_size = 2;
  first.axis = {1};
  adjusted.adjustment = [](std::span<const Index>) { return std::pair<std::vector<double>, std::vector<double>>(); };
  const auto make = [](std::vector<Index> event, BatchNormLayerOptions options) {
    return BatchNormalization<double>(std::move(event), Layer(std::move(options)));
  };
  CHECK_THROWS_WITH(make({3}, renorm), ContainsSubstring("`BatchNormalization` Bijector does not support "
                                                         "renormalization, but `batchnorm_layer.renorm` is `True`"));
  CHECK_THROWS_WITH(make({3}, ghosts), ContainsSubstring("does not support virtual batch sizes"));
  CHECK_THROWS_WITH(make({3}, adjusted), ContainsSubstring("does not support a layer with an adjustment"));
  // Defect 3: with channels that are not last TFP's log_det is wrong; here they are refused.
  CHECK_THROWS_WITH(make({3, 2}, first), ContainsSubstring("the kept axes must be the trailing ones"));
  CHECK_THROWS_WITH(BatchNormalization<double>({3}, Layer({-1, 4}, {})), ContainsSubstring("another shape"));

  BatchNormalization<double> bn = make({2, 3}, {});
  Layer layer = bn.batchnorm();
  layer.variable("gamma")[1] = 2;
  CHECK(bn.gamma()[1] == 1);  // the layer is a value
  bn.set_batchnorm(layer);
  CHECK(bn.gamma()[1] == 2);
  CHECK_THROWS_AS(bn.set_batchnorm(Layer({-1, 2, 4}, {})), ShapeError);
  CHECK_THROWS_AS(bn.set_batchnorm(Layer(renorm)), DomainError);
  CHECK(bn.gamma()[1] == 2);
  CHECK(bn.is_constant_jacobian());
  CHECK(bn.is_constant_jacobian(Statistics::running));
  CHECK_FALSE(bn.is_constant_jacobian(Statistics::minibatch));

  // The frozen map is an affine bijector of its own.
  layer.variable("moving_mean")[0] = -3;
  layer.variable("moving_variance")[2] = 4;
  layer.variable("beta")[1] = 0.7;
  bn.set_batchnorm(layer);
  const Standardize<double> affine = bn.frozen();
  const Matrix<double> y = some_rows<double>(9, 6, 2, -4);
  check_close(affine.inverse(y).value, bn.inverse(y).value, 1e-14);
  check_close(affine.forward(y).value, bn.forward(y).value, 1e-14);
  CHECK(affine.inverse(y).log_det[0] == Approx(bn.inverse(y).log_det[0]).epsilon(1e-13));

  // Defect 2: without gamma TFP's log_det fails.
  BatchNormLayerOptions no_scale;
  no_scale.scale = false;
  CHECK(std::isfinite(make({3}, no_scale).inverse(Matrix<double>(y.leftCols(3))).log_det[0]));
  // Defect 4: relu(gamma) + 1e-6 grows with each use, and a negative start gives NaN. The map exp does neither, and a
  // negative gamma has the log of its size.
  layer.variable("gamma")[1] = -2;
  bn.set_batchnorm(layer);
  CHECK(std::isfinite(bn.inverse(y).log_det[0]));
  CHECK_THROWS_WITH(bn.frozen(), ContainsSubstring("gamma must be positive, got -2"));
  CHECK(BatchNormalization<double>(2).batchnorm().options().gamma_map == GammaMap::exp);

  // Defect 1: the density of a training pass has one set of statistics, that of the batch, in both terms, and its
  // log_det has a gradient.
  const TransformedDistribution<double> flow(Normal<double>(6), bn);
  Workspace memory;
  Tape<double> tape(Tape<double>::Mode::record, {memory.batch, memory.local}, y.rows());
  Pass<double> pass(tape, {.statistics = Statistics::minibatch});
  const Column<double> log_prob = flow.log_prob(pass, detail::load<double>(tape, y, true));
  const auto batch = bn.inverse(y, Statistics::minibatch);
  const Eigen::VectorXd base = Normal<double>(6).log_prob(batch.value);
  for (Index i = 0; i < y.rows(); ++i) CHECK(log_prob.values()[i] == Approx(base[i] + batch.log_det[i]).epsilon(1e-12));
  CHECK(record<double>(bn, false, y, Matrix<double>::Zero(9, 6), Matrix<double>::Ones(9, 1), Statistics::minibatch)
            .gradient.cwiseAbs()
            .maxCoeff() > 1e-3);
  // Defect 5: what is called log_prob is the density under running statistics.
  const auto running = bn.inverse(y);
  const Eigen::VectorXd density = flow.log_prob(y);
  const Eigen::VectorXd expected = Normal<double>(6).log_prob(running.value) + running.log_det;
  check_close(density, expected, 1e-12);
}

TEST_CASE("batch normalisation: ghost batches and renormalisation as options of the flow's layer") {
  const Matrix<double> y = some_rows<double>(23, 3, 2, -4);
  const BatchNormalization<double> whole(3), ghosts(3, {.ghost_rows = 5});
  const auto parts = ghosts.inverse(y, Statistics::minibatch);
  const std::vector<std::pair<Index, Index>> groups{{0, 5}, {5, 5}, {10, 5}, {15, 8}};  // what is left joins the last
  for (const auto& [begin, count] : groups) {
    const auto alone = whole.inverse(Matrix<double>(y.middleRows(begin, count)), Statistics::minibatch);
    check_close(Matrix<double>(parts.value.middleRows(begin, count)), alone.value, 1e-13);
    CHECK(parts.log_det[begin] == Approx(alone.log_det[0]).epsilon(1e-13));
  }
  check_gradients(const_cast<BatchNormalization<double>&>(ghosts), false, y, Statistics::minibatch);
  // `population` takes the batch as one, and proposes nothing.
  check_close(ghosts.inverse(y, Statistics::population).value, whole.inverse(y, Statistics::minibatch).value, 1e-14);
  const Matrix<double> zero = Matrix<double>::Zero(23, 3), no_log_det = Matrix<double>::Zero(23, 1);
  CHECK(record<double>(ghosts, false, y, zero, no_log_det, Statistics::population).proposals.values.empty());

  // r and d are constants for the gradient, so differences show it only where clipping holds them.
  BatchNormalization<double> held(3, {.ghost_rows = 6, .renorm = Renorm{.rmin = 1.3, .rmax = 1.3, .dmax = 0.2}});
  held.set_population(std::vector<double>{5, 5, 5}, std::vector<double>{1, 1, 1});
  check_gradients(held, false, Matrix<double>(y.array() + 40), Statistics::minibatch);

  BatchNormalization<double> renorm(3, {.renorm = Renorm{}});
  renorm.set_population(std::vector<double>{-4, 0, 1}, std::vector<double>{4, 1, 0.25});
  // Unclipped, the training map has the values of the running one of renorm_mean and renorm_stddev.
  const auto r = renorm.inverse(y, Statistics::minibatch);
  const BatchNormalization<double> standard(3);
  BatchNormalization<double> same(3);
  same.set_population(std::vector<double>{0, 0, 0}, std::vector<double>{1 - 1e-5, 1 - 1e-5, 1 - 1e-5});
  check_close(r.value, same.inverse(y).value, 1e-12);
  CHECK(r.log_det[0] == Approx(same.inverse(y).log_det[0]).margin(1e-12));
  // What was captured undoes it.
  check_close(renorm.forward(r.value, r.statistics).value, y, 1e-12);
  const auto proposals = record<double>(renorm, false, y, zero, no_log_det, Statistics::minibatch).proposals;
  CHECK(proposals.values.size() == 5);
  commit<double>(renorm, proposals);
  CHECK(renorm.batchnorm().variable("renorm_mean")[0] == Approx(0.01 * y.col(0).mean()));
}
