// No density explodes: every builder with its defaults, and what fit_best chooses, says of far rows at least what a Gaussian
// of the same rows says of ones four times as far away, less 200 nats; and of no test row 50 nats less than it.

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <pushforward/distributions/multivariate_normal_diag.hpp>
#include <pushforward/distributions/multivariate_normal_tril.hpp>
#include <pushforward/flows/builders.hpp>
#include <pushforward/io/csv.hpp>
#include <pushforward/training/fit_best.hpp>
#include <pushforward/training/prepare.hpp>

#include "tests/catch.hpp"

using namespace pushforward;

namespace {

struct Rows {
  Eigen::MatrixXd train, test;
};

/// A banana whose width grows by 50 along it, and a column that is 0 nine times in ten.
Rows narrow_and_wide() {
  Engine engine(3);
  Eigen::MatrixXd z = MultivariateNormalDiag<double>::standard(4).sample(1600, engine), y(1600, 3);
  for (Index i = 0; i < z.rows(); ++i) {
    y(i, 0) = 2 * z(i, 0);
    y(i, 1) = z(i, 0) * z(i, 0) + 0.02 * std::exp(1.3 * z(i, 0)) * z(i, 1);
    y(i, 2) = z(i, 2) > 1.28 ? 3 + z(i, 3) : 0.001 * z(i, 3);
  }
  return {y.topRows(1200), y.bottomRows(400)};
}

Rows power_plant() {
  const Table table = read_csv(PUSHFORWARD_SAMPLE_DATA "/power_plant.csv");
  return {table.values.topRows(1500), table.values.middleRows(1500, 1500)};
}

/// How many of the rows fall below the bounds.
struct Below {
  Index test = 0, far = 0;
};
Below below(const Distribution<float>& flow, const Rows& rows) {
  const auto gaussian = MultivariateNormalTriL<double>::fit(rows.train);
  const Eigen::RowVectorXd mean = rows.train.colwise().mean();
  const Eigen::RowVectorXd deviation =
      (rows.train.rowwise() - mean).array().square().colwise().mean().sqrt();
  const auto score = [&](const Eigen::MatrixXd& y) { return flow.log_prob(Matrix<float>(y.cast<float>())); };
  Below count;
  const Eigen::VectorXd test = score(rows.test), baseline = gaussian.log_prob(rows.test);
  for (Index i = 0; i < test.size(); ++i) count.test += !(test[i] >= baseline[i] - 50);
  Engine engine(5);
  const Eigen::MatrixXd directions =
      MultivariateNormalDiag<double>::standard(mean.size()).sample(128, engine).rowwise().normalized();
  for (const double distance : {10.0, 100.0, 1e6}) {
    const Eigen::MatrixXd far =
        (distance * (directions.array().rowwise() * deviation.array())).matrix().rowwise() + mean;
    const Eigen::VectorXd density = score(far), there = gaussian.log_prob(far);
    for (Index i = 0; i < far.rows(); ++i) count.far += !(density[i] >= 16 * there[i] - 200);
  }
  return count;
}

TransformedDistribution<float> fitted(TransformedDistribution<float> flow, const Rows& rows) {
  const Matrix<float> data = rows.train.cast<float>();
  return prepare_and_fit(std::move(flow), data, {}, {.epochs = 25, .learning_rate = 2e-3}).model;
}

/// One for which flows without bounds explode, and a real one.
std::vector<std::pair<std::string, Rows>> tables() {
  return {{"narrow and wide", narrow_and_wide()}, {"power plant", power_plant()}};
}

}  // namespace

TEST_CASE("No builder's density explodes far from the data", "[far_rows]") {
  for (const auto& [name, rows] : tables()) {
    const Index columns = rows.train.cols();
    std::vector<std::pair<std::string, TransformedDistribution<float>>> flows{
        {"gf", gf<float>(columns, {.seed = 1})}, {"bnaf", bnaf<float>(columns, {.seed = 1})}};
    for (const FlowPreset& preset : flow_presets())
      flows.emplace_back(std::string(preset.name), preset.build<float>(columns, {.seed = 1}));
    for (const auto& [builder, flow] : flows) {
      INFO(name << ", " << builder);
      const Below count = below(fitted(flow, rows), rows);
      CHECK(count.test == 0);
      CHECK(count.far == 0);
    }
  }
}

TEST_CASE("The density that fit_best chooses does not explode", "[far_rows]") {
  // Clusters that mixtures win, for they are hundreds of their deviations apart; the column of 0 and 1 is a density
  // for nobody.
  Engine engine(4);
  Eigen::MatrixXd clusters = MultivariateNormalDiag<double>::standard(2).sample(1600, engine);
  for (Index i = 0; i < clusters.rows(); ++i) clusters(i, i % 2) += i % 4 < 2 ? 300 : -300;
  const Rows plant = power_plant();
  std::vector<std::pair<std::string, Rows>> each{
      {"narrow and wide", narrow_and_wide()},
      {"power plant", {plant.train.rightCols(5), plant.test.rightCols(5)}},
      {"clusters", {clusters.topRows(1200), clusters.bottomRows(400)}}};
  for (const auto& [name, rows] : each) {
    INFO(name);
    FitBestOptions<float> options{.steps = 2000, .rounded = std::vector<GridColumn>{}};
    options.fit.seed = 1;
    const Best<float> best = fit_best<float>(Matrix<float>(rows.train.cast<float>()), options);
    CHECK((name != "clusters" || best.candidates.front().name == "mixture"));
    const Below count = below(*best.model, rows);
    CHECK(count.test == 0);
    CHECK(count.far == 0);
  }
}

TEST_CASE("Without bounds it does", "[far_rows]") {
  constexpr double none = std::numeric_limits<double>::infinity();
  const Rows rows = narrow_and_wide();
  for (const char* name : {"maf", "iaf", "real_nvp"})
    CHECK(below(fitted(flow_preset(name).build<float>(
                           3, {.activation = Activation::relu, .tail = none, .input_bound = none, .seed = 1}),
                       rows),
                rows)
              .far > 0);
}

TEST_CASE("Context far from all that was seen leaves a density that does not explode", "[far_rows]") {
  // The last column is context of the others.
  const Rows all = power_plant();
  const auto columns = [](const Eigen::MatrixXd& m) { return Matrix<float>(m.leftCols(4).cast<float>()); };
  const Matrix<float> y = columns(all.train), context = all.train.rightCols(1).cast<float>();
  const double scale = static_cast<double>(context.array().square().mean());
  for (const char* name : {"maf", "nsf"}) {
    INFO(name);
    const auto [model, report] = prepare_and_fit(flow_preset(name).build<float>(4, {.context_dim = 1, .seed = 1}), y, {},
                                                 {.epochs = 15, .context = context});
    const Eigen::VectorXd near = model.log_prob(y, context);
    for (const double factor : {1e2, 1e6}) {
      const Matrix<float> far = Matrix<float>::Constant(y.rows(), 1, static_cast<float>(factor * std::sqrt(scale)));
      CHECK(model.log_prob(y, far).minCoeff() > near.minCoeff() - 400);
    }
  }
}
