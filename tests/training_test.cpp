// Training: the optimiser and the schedules against torch, batches, weights, bits, early stopping, interruption.

#include <sys/wait.h>
#include <unistd.h>

#include <Eigen/LU>
#include <atomic>
#include <cmath>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numbers>
#include <pushforward/bijectors/act_norm.hpp>
#include <pushforward/bijectors/affine.hpp>
#include <pushforward/bijectors/batch_normalization.hpp>
#include <pushforward/bijectors/chain.hpp>
#include <pushforward/bijectors/column_supports.hpp>
#include <pushforward/bijectors/exp.hpp>
#include <pushforward/bijectors/standardize.hpp>
#include <pushforward/flows/builders.hpp>
#include <pushforward/distributions/multivariate_normal_diag.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/standardized_context.hpp>
#include <pushforward/registry.hpp>
#include <pushforward/training/calibrate.hpp>
#include <pushforward/training/fit.hpp>
#include <pushforward/training/prepare.hpp>
#include <random>
#include <sstream>
#include <thread>

#include "tests/catch.hpp"
#include "tests/oracle.hpp"
#include "src/training/population.hpp"
#include "src/training/rows.hpp"
#include "src/training/step.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;

namespace {

using Flow = TransformedDistribution<double>;

/// Correlated rows of different location and scale.
template <class T = double>
Matrix<T> make_data(Index rows, Index dim, std::uint64_t seed = 1) {
  Engine engine(seed);
  Matrix<double> z(rows, dim);
  engine.next_call().normal(0, rows, dim, z.data(), rows);
  for (Index c = 1; c < dim; ++c) z.col(c) += 0.6 * z.col(c - 1).array().square().matrix();
  for (Index c = 0; c < dim; ++c) {
    const double k = static_cast<double>(c);
    z.col(c) = z.col(c).array() * (0.5 + k) + (3.0 - k);
  }
  return z.template cast<T>();
}

Flow affine_flow(Index dim) { return Flow(Normal<double>(dim), Affine<double>(dim)); }

/// Autoregressive, with batch normalisation, ActNorm and dropout: everything that has state or noise.
template <class T = double>
TransformedDistribution<T> rich_flow(Index dim, Index context = 0) {
  return maf<T>(dim, {.layers = 3,
                      .hidden = 16,
                      .blocks = 1,
                      .dropout = 0.1,
                      .context_dim = context,
                      .batch_norm = true,
                      .act_norm = true,
                      .seed = 4});
}

template <class T>
std::vector<T> values(const Component<T>& tree) {
  std::vector<T> result;
  for (const ConstSlot<T>& slot : list_state(tree))
    result.insert(result.end(), slot.tensor->values().begin(), slot.tensor->values().end());
  return result;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

struct TemporaryFolder {
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "pushforward-training-XXXXXX").string();
    if (!::mkdtemp(name.data())) throw std::runtime_error("no temporary folder");
    path = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

}  // namespace

// ------------------------------------------------------------------------------------------------ optimiser, schedules

TEST_CASE("Adam and AdamW take torch's steps") {
  const auto j = oracle::read("torch_adam");
  const Eigen::MatrixXd gradients = oracle::matrix(j["gradients"]);
  for (const std::string name : {"adam", "adam_weight_decay", "adamw", "adamw_weight_decay"}) {
    INFO(name);
    Affine<double> holder(5);  // its shift is the parameter
    std::vector<Slot<double>> slots = list_state(static_cast<Component<double>&>(holder));
    slots.resize(1);
    slots[0].attributes.decay = true;
    const Eigen::VectorXd start = oracle::vector(j["weights"]["start"]);
    std::copy(start.begin(), start.end(), slots[0].tensor->data());
    Adam<double> adam(slots, {.decoupled_decay = name.starts_with("adamw")});
    const std::vector<const Tensor<double>*> chosen{slots[0].tensor};
    Gradients<double> g(chosen);
    const Eigen::MatrixXd expected = oracle::matrix(j["outputs"][name]["parameters"]);
    for (Eigen::Index step = 0; step < gradients.rows(); ++step) {
      for (Index i = 0; i < 5; ++i) g.find(slots[0].tensor)[i] = gradients(step, i);
      adam.step(g, {.rate = 0.01, .weight_decay = name.ends_with("weight_decay") ? 0.1 : 0.0});
      for (Index i = 0; i < 5; ++i)
        CHECK((*slots[0].tensor)[i] == Approx(expected(step, i)).epsilon(1e-12).margin(1e-14));
    }
    const Eigen::VectorXd m = oracle::vector(j["outputs"][name]["first_moment"]);
    const Eigen::VectorXd v = oracle::vector(j["outputs"][name]["second_moment"]);
    for (Index i = 0; i < 5; ++i) {
      CHECK(adam.first_moment()[i] == Approx(m[i]).epsilon(1e-12));
      CHECK(adam.second_moment()[i] == Approx(v[i]).epsilon(1e-12));
    }
  }
}

TEST_CASE("weight decay leaves alone the parameters that are marked so, and parts of an update add up") {
  for (const int parts : {1, 2, 3, 8}) {
    Affine<double> a(200);
    std::vector<Slot<double>> slots = list_state(static_cast<Component<double>&>(a));
    slots[0].attributes.decay = true;
    const std::vector<const Tensor<double>*> chosen{slots[0].tensor, slots[1].tensor};
    Gradients<double> g(chosen);
    for (Index i = 0; i < 200; ++i) (*slots[0].tensor)[i] = (*slots[1].tensor)[i] = 1.0;
    Adam<double> adam(slots);
    adam.advance();
    for (int p = 0; p < parts; ++p) adam.update(g, {.rate = 0.1, .weight_decay = 0.5}, p, parts);
    for (Index i = 0; i < 200; ++i) {
      CHECK((*slots[0].tensor)[i] == Approx(0.95));
      CHECK((*slots[1].tensor)[i] == 1.0);
    }
  }
}

TEST_CASE("clipping scales as torch does") {
  const auto j = oracle::read("torch_clip_gradient_norm")["outputs"];
  const double norm = oracle::number(j["clipped"]["total_norm"]);
  CHECK(0.4999 * clipping_scale(norm, 1.0) ==
        Approx(oracle::number(j["clipped"]["gradients"]["a"][0][0])).epsilon(1e-12));
  CHECK(clipping_scale(norm, 100.0) == 1.0);
  CHECK(clipping_scale(norm, 0.0) == 1.0);
}

TEST_CASE("schedules follow torch's") {
  const auto j = oracle::read("torch_schedules");
  for (const auto& [name, c] : j["outputs"]["cosine"].items()) {
    INFO(name);
    const LearningRate rate(CosineSchedule{oracle::number(c["settings"]["eta_min"])},
                            oracle::number(c["settings"]["lr"]), c["settings"]["T_max"].get<Index>());
    for (std::size_t t = 0; t < c["lr"].size(); ++t)
      CHECK(rate.at(static_cast<Index>(t)) == Approx(oracle::number(c["lr"][t])).epsilon(1e-12).margin(1e-15));
  }
  for (const auto& [name, p] : j["outputs"]["plateau"].items()) {
    INFO(name);
    const auto& s = p["settings"];
    LearningRate rate(PlateauSchedule{.factor = oracle::number(s["factor"]),
                                      .patience = s["patience"].get<Index>(),
                                      .threshold = oracle::number(s["threshold"]),
                                      .relative = s["threshold_mode"] == "rel",
                                      .cooldown = s["cooldown"].get<Index>(),
                                      .floor = oracle::number(s["min_lr"])},
                      oracle::number(s["lr"]), 0);
    for (std::size_t i = 0; i < j["losses"].size(); ++i) {
      rate.report(oracle::number(j["losses"][i]));
      CHECK(rate.at(5) == Approx(oracle::number(p["lr_after"][i])).epsilon(1e-12));
    }
  }
  const LearningRate warm(CosineSchedule{}, 1.0, 14, 4);
  CHECK(warm.at(0) == 0.25);
  CHECK(warm.at(3) == 1.0);
  CHECK(warm.at(4) == 1.0);
  CHECK(warm.at(9) == Approx(0.5));
  CHECK_THROWS_AS(LearningRate(ConstantSchedule{}, -1.0, 3), DomainError);
  CHECK_THROWS_AS(LearningRate(PlateauSchedule{.factor = 1.5}, 0.1, 3), DomainError);
}

TEST_CASE("a last batch below half size joins the one before") {
  using detail::batch_bounds;
  CHECK(batch_bounds(0, 10) == std::vector<Index>{0});
  CHECK(batch_bounds(1, 10) == std::vector<Index>{0, 1});
  CHECK(batch_bounds(10, 10) == std::vector<Index>{0, 10});
  CHECK(batch_bounds(14, 10) == std::vector<Index>{0, 14});
  CHECK(batch_bounds(15, 10) == std::vector<Index>{0, 10, 15});
  CHECK(batch_bounds(30, 10) == std::vector<Index>{0, 10, 20, 30});
  CHECK(batch_bounds(34, 10) == std::vector<Index>{0, 10, 20, 34});
  CHECK(batch_bounds(3, 1) == std::vector<Index>{0, 1, 2, 3});
}

// ------------------------------------------------------------------------------------------------------------- fitting

TEST_CASE("an affine flow recovers mean and standard deviation") {
  const Matrix<double> y = make_data(2000, 2);
  Flow flow = affine_flow(2);
  const FitReport report = fit(flow, y,
                               {.epochs = 150,
                                .batch_size = 500,
                                .learning_rate = 0.05,
                                .schedule = CosineSchedule{},
                                .validation_fraction = 0});
  const Eigen::RowVectorXd mean = y.colwise().mean();
  const Eigen::RowVectorXd deviation = ((y.rowwise() - mean).array().square().colwise().mean()).sqrt();
  for (Index c = 0; c < 2; ++c) {
    CHECK(flow.mean()[c] == Approx(mean[c]).margin(0.01 * deviation[c]));
    CHECK(flow.stddev()[c] == Approx(deviation[c]).epsilon(0.01));
  }
  CHECK(report.stop_reason == StopReason::completed);
  CHECK(report.steps == 150 * 4);
  CHECK(report.best_epoch == -1);
  CHECK(report.train_rows == 2000);
  CHECK(report.train_loss.size() == 150);
  CHECK(report.train_loss.back() < report.train_loss.front());
  CHECK(std::isnan(report.validation.mean));
  CHECK(report.train.mean == Approx(flow.log_prob(y).mean()).epsilon(1e-12));
  // The columns depend on each other, so the Gaussian with covariance is as good or better.
  CHECK(report.gaussian_baseline >= report.train.mean);
  CHECK(report.bits_per_dimension == Approx(-report.train.mean / (2 * std::numbers::ln2)));
  CHECK_FALSE(to_text(report).empty());
}

TEST_CASE("the Gaussian for comparison is the maximum-likelihood one") {
  const Matrix<double> y = make_data(500, 3);
  Flow flow = affine_flow(3);
  const FitReport report = fit(flow, y, {.epochs = 0, .validation_fraction = 0});
  const Eigen::RowVectorXd mean = y.colwise().mean();
  const Eigen::MatrixXd centred = y.rowwise() - mean, covariance = centred.transpose() * centred / 500.0;
  // sum of squares in units of the covariance is N D.
  const double expected = -0.5 * (3 + 3 * std::log(2 * std::numbers::pi) + std::log(covariance.determinant()));
  CHECK(report.gaussian_baseline == Approx(expected).epsilon(1e-10));
}

TEST_CASE("float follows double") {
  const Matrix<double> y = make_data(400, 2);
  Flow flow = affine_flow(2);
  TransformedDistribution<float> flow_f(Normal<float>(2), Affine<float>(2));
  fit(flow, y, {.epochs = 3, .batch_size = 100, .validation_fraction = 0.25});
  const Matrix<float> yf = y.cast<float>();
  fit(flow_f, yf, {.epochs = 3, .batch_size = 100, .validation_fraction = 0.25});
  const std::vector<double> a = values<double>(flow);
  const std::vector<float> b = values<float>(flow_f);
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(static_cast<double>(b[i]) == Approx(a[i]).margin(1e-4));
}

namespace {

/// Loss and gradients of one step over all rows.
struct FullBatch {
  double loss;
  std::vector<double> gradients;
};
FullBatch full_batch(Flow flow, const Matrix<double>& y, const std::vector<double>& weights, int threads) {
  Execution execution({.threads = threads});
  const FitOptions<double> options{.weights = weights, .validation_fraction = 0};
  const detail::FitRows<double> rows("test", flow.dim(), 0, y, options);
  const detail::RowSource<double> source = rows.train_source(rows.train().data());
  detail::Stepper<double> stepper(flow, Adam<double>(), execution);
  const detail::StepOutcome outcome = stepper.step(
      static_cast<Index>(rows.train().size()), {1e-3, 0, 0}, [](Tape<double>&, Index) { return Pass<double>::Settings{}; },
      [&](Pass<double>& pass, Index) {
        const Column<double> loss = -flow.log_prob(pass, source.load_data(pass.tape(), 0));
        return rows.weighted() ? multiply(loss, source.load_weights(pass.tape(), 0)) : loss;
      });
  CHECK(outcome.applied);
  return {outcome.loss, {stepper.gradients().values().begin(), stepper.gradients().values().end()}};
}

}  // namespace

TEST_CASE("integer weights are repeated rows") {
  const Matrix<double> y = make_data(37, 3);
  std::vector<double> weights(37);
  std::vector<Index> repeated;
  for (Index i = 0; i < 37; ++i) {
    weights[static_cast<std::size_t>(i)] = static_cast<double>(i % 4);
    for (Index k = 0; k < i % 4; ++k) repeated.push_back(i);
  }
  Matrix<double> long_y(static_cast<Index>(repeated.size()), 3);
  for (std::size_t i = 0; i < repeated.size(); ++i) long_y.row(static_cast<Index>(i)) = y.row(repeated[i]);
  const Flow flow = maf<double>(3, {.layers = 2, .hidden = 8, .blocks = 1, .seed = 2});
  const FullBatch a = full_batch(flow, y, weights, 1), b = full_batch(flow, long_y, {}, 1);
  CHECK(a.loss == Approx(b.loss).epsilon(1e-12));
  REQUIRE(a.gradients.size() == b.gradients.size());
  for (std::size_t i = 0; i < a.gradients.size(); ++i)
    CHECK(std::abs(a.gradients[i] - b.gradients[i]) < 1e-10 * (1 + std::abs(b.gradients[i])));
}

TEST_CASE("gradients of the whole batch agree with central differences") {
  const Matrix<double> y = make_data(20, 2);
  Flow flow = maf<double>(2, {.layers = 2, .hidden = 4, .blocks = 1, .seed = 2});
  const FullBatch exact = full_batch(flow, y, {}, 2);
  Index offset = 0;
  double largest = 0;
  for (const Slot<double>& slot : list_state(static_cast<Component<double>&>(flow))) {
    if (slot.kind != StateKind::parameter || !slot.attributes.trainable) continue;
    for (Index i = 0; i < slot.tensor->size(); ++i) {
      const double h = 1e-6, old = (*slot.tensor)[i];
      (*slot.tensor)[i] = old + h;
      const double up = -flow.log_prob(y).mean();
      (*slot.tensor)[i] = old - h;
      const double down = -flow.log_prob(y).mean();
      (*slot.tensor)[i] = old;
      CHECK(exact.gradients[static_cast<std::size_t>(offset + i)] == Approx((up - down) / (2 * h)).margin(2e-7));
      largest = std::max(largest, std::abs(up - down) / (2 * h));
    }
    offset += (slot.tensor->size() + 15) / 16 * 16;
  }
  CHECK(largest > 0.1);
}

TEMPLATE_TEST_CASE("any number of threads gives the same bits", "", float, double) {
  using T = TestType;
  const Matrix<T> y = make_data<T>(233, 3), context = make_data<T>(233, 2, 9);
  std::vector<double> weights(233);
  for (std::size_t i = 0; i < 233; ++i) weights[i] = 0.5 + static_cast<double>(i % 3);
  std::vector<T> first;
  FitReport first_report;
  const FlowOptions splines{.layers = 2,
                            .hidden = 16,
                            .blocks = 1,
                            .residual = true,
                            .dropout = 0.1,
                            .context_dim = 2,
                            .mixing = Mixing::lu_linear,
                            .batch_norm = true};
  TransformedDistribution<T> start = rich_flow<T>(3, 2);
  SECTION("maf") {}
  SECTION("nsf") { start = nsf<T>(3, splines); }
  SECTION("nsf_ar") { start = nsf_ar<T>(3, splines); }
  for (const int threads : {1, 2, 3, 8}) {
    INFO(threads);
    Execution execution({.threads = threads});
    TransformedDistribution<T> flow = start;
    const FitReport report = fit(flow, y,
                                 {.epochs = 3,
                                  .batch_size = 50,
                                  .learning_rate = 0.01,
                                  .weight_decay = 1e-3,
                                  .context = context,
                                  .weights = weights,
                                  .validation_fraction = 0.2,
                                  .dequantize = true,
                                  .seed = 5,
                                  .execution = execution});
    CHECK(report.skipped_steps == 0);
    if (first.empty()) {
      first = values<T>(flow);
      first_report = report;
      CHECK(first_report.train_loss.back() < first_report.train_loss.front());
    }
    CHECK(same_bits(values<T>(flow), first));
    CHECK(report.train_loss == first_report.train_loss);
    CHECK(report.validation_loss == first_report.validation_loss);
    CHECK(report.train.mean == first_report.train.mean);
  }
}

TEST_CASE("another seed, another order") {
  const Matrix<double> y = make_data(100, 2);
  Flow a = affine_flow(2), b = affine_flow(2), c = affine_flow(2);
  fit(a, y, {.epochs = 2, .batch_size = 20, .seed = 1});
  fit(b, y, {.epochs = 2, .batch_size = 20, .seed = 1});
  fit(c, y, {.epochs = 2, .batch_size = 20, .seed = 2});
  CHECK(same_bits(values<double>(a), values<double>(b)));
  CHECK_FALSE(same_bits(values<double>(a), values<double>(c)));
}

TEST_CASE("storage order and strides of the data do not matter") {
  const Matrix<double> y = make_data(100, 3);
  const Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> by_rows = y;
  Flow a = affine_flow(3), b = affine_flow(3);
  fit(a, y, {.epochs = 2, .batch_size = 20});
  fit(b, by_rows, {.epochs = 2, .batch_size = 20});
  CHECK(same_bits(values<double>(a), values<double>(b)));
}

namespace {

/// Minus log_prob, and NaN in the steps that `poison` names; for one thread.
Loss<double> poisoned(std::function<bool(Index)> poison) {
  const auto step = std::make_shared<Index>(0);
  return [poison = std::move(poison), step](Pass<double>& pass, const Distribution<double>& flow, Var<double> y) {
    const Column<double> loss = -flow.log_prob(pass, y);
    if (!pass.recording() || !poison((*step)++)) return loss;
    return multiply(loss, constant_column(pass.tape(), std::numeric_limits<double>::quiet_NaN()));
  };
}

}  // namespace

TEST_CASE("a step that is not finite changes nothing and is counted") {
  const Matrix<double> y = make_data(100, 2);
  Flow flow = rich_flow(2);
  {
    // All but the start of ActNorm.
    FitReport report = fit(flow, y, {.epochs = 0, .validation_fraction = 0});
    CHECK(report.steps == 0);
  }
  const std::vector<double> before = values<double>(flow);
  FitReport report = fit(flow, y,
                         {.epochs = 5,
                          .batch_size = 20,
                          .validation_fraction = 0,
                          .statistics = EvaluationStatistics::running,
                          .max_consecutive_skips = 7,
                          .loss = poisoned([](Index) { return true; })});
  CHECK(same_bits(values<double>(flow), before));
  CHECK(report.skipped_steps == 7);
  CHECK(report.steps == 7);
  CHECK(report.stop_reason == StopReason::non_finite);
  CHECK_THAT(report.stop_text, ContainsSubstring("not finite"));

  // Poison in between: as if the step had not been, Adam's count included.
  Flow a = affine_flow(2), b = affine_flow(2);
  const FitOptions<double> options{.epochs = 1, .batch_size = 100, .validation_fraction = 0};
  fit(a, y, options);
  FitOptions<double> twice = options;
  twice.epochs = 2;
  twice.loss = poisoned([](Index step) { return step == 0; });
  report = fit(b, y, twice);
  CHECK(report.skipped_steps == 1);
  const std::vector<double> va = values<double>(a), vb = values<double>(b);
  for (std::size_t i = 0; i < va.size(); ++i) CHECK(vb[i] == Approx(va[i]).epsilon(1e-10));  // another order of rows
  CHECK_THAT(to_text(report), ContainsSubstring("warning: 1 of 2 steps"));
}

TEST_CASE("early stopping restores the best parameters") {
  // Few rows and many parameters: training overfits.
  const Matrix<double> y = make_data(60, 2), validation = make_data(500, 2, 77);
  Flow flow = maf<double>(2, {.layers = 3, .hidden = 32, .blocks = 1, .seed = 3});
  const FitReport report =
      fit(flow, y, {.epochs = 400, .batch_size = 20, .learning_rate = 0.01, .validation = validation, .patience = 10});
  REQUIRE(report.stop_reason == StopReason::early_stopping);
  const auto best = std::min_element(report.validation_loss.begin(), report.validation_loss.end());
  CHECK(report.best_epoch == best - report.validation_loss.begin());
  CHECK(static_cast<Index>(report.validation_loss.size()) == report.best_epoch + 11);
  CHECK(-flow.log_prob(validation).mean() == Approx(*best).epsilon(1e-12));
  CHECK(report.validation.mean == Approx(-*best).epsilon(1e-12));
  CHECK(report.validation_rows == 500);
  CHECK(report.train_rows == 60);
}

TEST_CASE("the validation split is disjoint, and weights of zero leave rows out") {
  const Matrix<double> y = make_data(100, 2);
  std::vector<double> weights(100, 1.0);
  weights[7] = weights[8] = 0;
  const FitOptions<double> options{.weights = weights, .validation_fraction = 0.25, .seed = 3};
  const detail::FitRows<double> rows("test", 2, 0, y, options);
  CHECK(rows.validation_count() == 24);
  CHECK(rows.train().size() == 74);
  std::vector<int> seen(100, 0);
  for (const std::int64_t row : rows.train()) ++seen[static_cast<std::size_t>(row)];
  for (Index i = 0; i < 24; ++i) ++seen[static_cast<std::size_t>(rows.validation_source().row(i))];
  for (std::size_t i = 0; i < 100; ++i) CHECK(seen[i] == (i == 7 || i == 8 ? 0 : 1));
}

TEST_CASE("cancelling, progress and callback") {
  const Matrix<double> y = make_data(300, 2);
  std::ostringstream lines;
  Index calls = 0;
  Flow flow = affine_flow(2);
  FitReport report = fit(flow, y,
                         {.epochs = 50,
                          .batch_size = 30,
                          .callback =
                              [&](const Progress& p) {
                                CHECK(p.epoch == ++calls);
                                CHECK(p.epochs == 50);
                                CHECK(std::isfinite(p.validation_loss));
                                CHECK(p.seconds_left >= 0);
                                return p.epoch < 3;
                              },
                          .progress = &lines});
  CHECK(calls == 3);
  CHECK(report.stop_reason == StopReason::cancelled);
  CHECK(report.train_loss.size() == 3);
  CHECK_THAT(lines.str(), ContainsSubstring("epoch 3/50  loss "));

  // From another thread, in the middle of an epoch that would take for ever.
  std::stop_source source;
  const auto slow = [](Pass<double>& pass, const Distribution<double>& f, Var<double> v) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return -f.log_prob(pass, v);
  };
  std::chrono::steady_clock::time_point asked;
  std::jthread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    asked = std::chrono::steady_clock::now();
    source.request_stop();
  });
  report =
      fit(flow, y,
          {.epochs = 100000, .batch_size = 10, .validation_fraction = 0, .loss = slow, .cancel = source.get_token()});
  const auto now = std::chrono::steady_clock::now();
  CHECK(report.stop_reason == StopReason::cancelled);
  CHECK(now - asked < std::chrono::milliseconds(1000));  // mostly 1 ms; the machine may be busy
}

TEST_CASE("penalties, constraints and frozen parameters") {
  struct Shift final : public ElementwiseBijector<double> {
    explicit Shift(Attributes<double> a) : ElementwiseBijector<double>("Shift", 1), attributes(std::move(a)) {}
    Elements do_forward_elements(Pass<double>& p, Var<double> x) const override { return {x + p.parameter(value), {}}; }
    Elements do_inverse_elements(Pass<double>& p, Var<double> y) const override { return {y - p.parameter(value), {}}; }
    void do_visit(Visitor<double>& v) const override { v.parameter("value", value, attributes); }
    Description do_describe() const override { return {.type = "shift_of_the_test", .constants = {}, .children = {}}; }
    Tensor<double> value{{1}};
    Attributes<double> attributes;
  };
  Matrix<double> y = make_data(200, 1);
  y.array() += 5 - y.mean();
  const auto fitted = [&](Attributes<double> attributes) {
    Flow flow(Normal<double>(1), Shift(std::move(attributes)));
    fit(flow, y,
        {.epochs = 300,
         .batch_size = 200,
         .learning_rate = 0.1,
         .schedule = CosineSchedule{},
         .validation_fraction = 0,
         .loss = [](Pass<double>& pass, const Distribution<double>& f, Var<double> v) {
           const auto& t = static_cast<const Flow&>(f);
           const Var<double> x = t.bijector().inverse(pass, v).value;
           return row_sum(square(x)) * 0.5;
         }});
    return static_cast<const Shift&>(flow.bijector()).value[0];
  };
  CHECK(fitted({}) == Approx(5).margin(1e-3));
  // (5 - s)^2 / 2 + s^2 / 2 is least at s = 2.5.
  CHECK(fitted({.regularizer = [](Var<double> s) { return row_sum(square(s)) * 0.5; }}) == Approx(2.5).margin(1e-3));
  CHECK(fitted({.constraint = [](Tensor<double>& t) { t[0] = std::min(t[0], 1.0); }}) == 1.0);
  CHECK(fitted({.trainable = false}) == 0.0);
}

TEST_CASE("fit rejects what it cannot use") {
  Matrix<double> y = make_data(20, 2);
  Flow flow = affine_flow(2);
  CHECK_THROWS_AS(fit(flow, Matrix<double>(20, 3)), ShapeError);
  CHECK_THROWS_AS(fit(flow, Matrix<double>(0, 2)), DomainError);
  CHECK_THROWS_AS(fit(flow, y, {.context = y}), ShapeError);
  CHECK_THROWS_AS(fit(flow, y, {.batch_size = 0}), DomainError);
  CHECK_THROWS_AS(fit(flow, y, {.epochs = -1}), DomainError);
  CHECK_THROWS_AS(fit(flow, y, {.learning_rate = 0}), DomainError);
  CHECK_THROWS_AS(fit(flow, y, {.resume = true}), DomainError);
  const std::vector<double> short_weights(3, 1.0), zero(20, 0.0);
  std::vector<double> negative(20, 1.0);
  negative[4] = -1;
  CHECK_THROWS_AS(fit(flow, y, {.weights = short_weights}), ShapeError);
  CHECK_THROWS_WITH(fit(flow, y, {.weights = zero}), ContainsSubstring("all weights are zero"));
  CHECK_THROWS_WITH(fit(flow, y, {.weights = negative}), ContainsSubstring("row 4"));
  CHECK_NOTHROW(
      fit(flow, y, {.epochs = 1, .weights = negative, .allow_negative_weights = true, .validation_fraction = 0}));
  y(3, 1) = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_WITH(fit(flow, y), ContainsSubstring("row 3, column 1"));
  y(3, 1) = std::numeric_limits<double>::infinity();
  CHECK_THROWS_WITH(fit(flow, y), ContainsSubstring("row 3, column 1"));

  Flow positive_flow(Normal<double>(1), Exp<double>(1));
  Matrix<double> z = Matrix<double>::Ones(5, 1);
  z(2, 0) = -1;
  CHECK_THROWS_WITH(fit(positive_flow, z), ContainsSubstring("row 2, column 0"));
  z(2, 0) = 0;
  CHECK_THROWS_WITH(fit(positive_flow, z, {.validation_fraction = 0}), ContainsSubstring("row 2"));
}

TEST_CASE("one row and fewer rows than a batch") {
  Flow flow = affine_flow(2);
  CHECK_NOTHROW(fit(flow, make_data(1, 2), {.epochs = 2}));
  CHECK_NOTHROW(fit(flow, make_data(17, 2), {.epochs = 2, .batch_size = 256}));
}

// --------------------------------------------------------------------------------------------------- repeated values

TEST_CASE("repeated values are reported, and dequantised on request") {
  Matrix<double> y = make_data(400, 3);
  y.col(1) = (y.col(1).array() * 2).round() / 4;  // steps of 0.25
  Flow flow = affine_flow(3);
  FitReport report = fit(flow, y, {.epochs = 1});
  REQUIRE(report.warnings.size() >= 1);
  CHECK_THAT(report.warnings[0],
             ContainsSubstring("column 1") && ContainsSubstring("0.25") && ContainsSubstring("dequantize"));
  CHECK(report.repeated_values[0].share == 0);
  CHECK(report.repeated_values[1].share > 0.8);
  CHECK(report.repeated_values[1].smallest_step == 0.25);
  report = fit(flow, y, {.epochs = 1, .dequantize = true});
  for (const std::string& warning : report.warnings) CHECK_THAT(warning, !ContainsSubstring("repeated"));

  // Noise in one column only, within a step, another one in each epoch, the same for the same seed.
  const FitOptions<double> options{.validation_fraction = 0, .dequantize = true, .seed = 8};
  const detail::FitRows<double> rows("test", 3, 0, y, options);
  REQUIRE(rows.dequantized());
  const auto load = [&](Index epoch) {
    const RandomCall noise = rows.train_noise(epoch);
    detail::RowSource<double> source = rows.train_source(rows.train().data());
    source.noise = &noise;
    Arena batch, local;
    Tape<double> tape(Tape<double>::Mode::evaluate, {batch, local}, 400);
    const Var<double> v = source.load_data(tape, 0);
    Matrix<double> out(400, 3);
    for (Index c = 0; c < 3; ++c)
      for (Index i = 0; i < 400; ++i) out(i, c) = tape.value(v, c)[i];
    return out;
  };
  const Matrix<double> a = load(0), b = load(1);
  CHECK(a == load(0));
  CHECK(a.col(0) == y.col(0));
  CHECK(a.col(2) == y.col(2));
  CHECK((a.col(1) - y.col(1)).minCoeff() >= 0);
  CHECK((a.col(1) - y.col(1)).maxCoeff() <= 0.25);
  CHECK((a.col(1) - y.col(1)).mean() == Approx(0.125).margin(0.02));
  CHECK(a.col(1) != b.col(1));

  // A continuous float variable repeats numbers too, which means nothing.
  Engine engine(3);
  Matrix<float> u(200000, 1);
  engine.next_call().uniform(0, 200000, 1, u.data(), 200000);
  const detail::FitRows<float> fine("test", 1, 0, u, {});
  CHECK(fine.warnings().empty());
  const detail::FitRows<double> constant("test", 1, 0, Matrix<double>(Matrix<double>::Constant(50, 1, 2.0)), {});
  REQUIRE(constant.warnings().size() == 1);
  CHECK_THAT(constant.warnings()[0], ContainsSubstring("one value only"));
}

// ---------------------------------------------------------------------------------------------------------- calibrate

TEST_CASE("calibrate gives each layer the moments of its input over all rows") {
  const Matrix<double> y = make_data(5000, 2);
  const Affine<double> between(Eigen::Vector2d(1, 2), Eigen::Vector2d(0.5, -0.25));
  Flow flow(Normal<double>(2), Chain<double>(BatchNormalization<double>(2), between, BatchNormalization<double>(2)));
  calibrate(flow, y);
  const auto& chain = static_cast<const Chain<double>&>(flow.bijector());
  const auto& outer = static_cast<const BatchNormalization<double>&>(chain.part(2));
  const auto& inner = static_cast<const BatchNormalization<double>&>(chain.part(0));
  const auto check = [](const BatchNormalization<double>& bn, const Matrix<double>& in) {
    for (Index c = 0; c < 2; ++c) {
      const double mean = in.col(c).mean();
      CHECK(bn.moving_mean()[c] == Approx(mean).epsilon(1e-12).margin(1e-12));
      CHECK(bn.moving_variance()[c] == Approx((in.col(c).array() - mean).square().mean()).epsilon(1e-12));
    }
  };
  check(outer, y);
  check(inner, chain.part(1).inverse(outer.inverse(y).value).value);

  // Threads do not matter.
  Flow again = flow;
  Execution execution({.threads = 3});
  calibrate(again, y, {}, execution);
  CHECK(same_bits(values<double>(again), values<double>(flow)));

  Flow not_started(Normal<double>(2), Chain<double>(BatchNormalization<double>(2), ActNorm<double>(2)));
  CHECK_THROWS_WITH(calibrate(not_started, y), ContainsSubstring("initialized"));
  CHECK_THROWS_AS(calibrate(flow, Matrix<double>(0, 2)), DomainError);
}

TEST_CASE("calibrate in tiles agrees with all rows at once") {
  // A wide parameter makes the evaluation of all rows together too expensive.
  struct Wide final : public ElementwiseBijector<double> {
    Wide() : ElementwiseBijector<double>("Wide", 2) {}
    Elements do_forward_elements(Pass<double>&, Var<double> x) const override { return {x, {}}; }
    Elements do_inverse_elements(Pass<double>&, Var<double> y) const override { return {y, {}}; }
    void do_visit(Visitor<double>& v) const override { v.state("wide", wide); }
    Description do_describe() const override { return {.type = "wide", .constants = {}, .children = {}}; }
    Tensor<double> wide{{1, 1000}};
  };
  const Matrix<double> y = make_data(10000, 2);
  const auto chain = [](auto last) {
    return Flow(Normal<double>(2), Chain<double>(BatchNormalization<double>(2),
                                                 Affine<double>(Eigen::Vector2d(1, 2), Eigen::Vector2d(3, -3)),
                                                 BatchNormalization<double>(2), std::move(last)));
  };
  Flow whole = chain(Affine<double>(2)), tiled = chain(Wide());
  calibrate(whole, y);
  calibrate(tiled, y);
  Execution execution({.threads = 2});
  Flow threads = chain(Wide());
  calibrate(threads, y, {}, execution);
  CHECK(same_bits(values<double>(threads), values<double>(tiled)));
  const auto statistic = [](const Flow& flow, const std::string& path) {
    for (const ConstSlot<double>& slot : list_state<double>(static_cast<const Component<double>&>(flow)))
      if (slot.path == path) return *slot.tensor;
    throw std::runtime_error("no tensor " + path);
  };
  for (const std::string part : {"0", "2"})
    for (const std::string name : {"moving_mean", "moving_variance"}) {
      const Tensor<double> a = statistic(whole, "bijector." + part + "." + name);
      const Tensor<double> b = statistic(tiled, "bijector." + part + "." + name);
      for (Index c = 0; c < 2; ++c) CHECK(b[c] == Approx(a[c]).epsilon(1e-12).margin(1e-12));
    }
}

TEST_CASE("population statistics are those of the training rows when fit ends") {
  const Matrix<double> y = make_data(500, 2);
  Flow flow(Normal<double>(2), Chain<double>(Affine<double>(2), BatchNormalization<double>(2)));
  fit(flow, y, {.epochs = 2, .batch_size = 100, .validation_fraction = 0});
  const auto& bn =
      static_cast<const BatchNormalization<double>&>(static_cast<const Chain<double>&>(flow.bijector()).part(1));
  CHECK(bn.moving_mean()[0] == Approx(y.col(0).mean()).epsilon(1e-12));
  Flow running(Normal<double>(2), Chain<double>(Affine<double>(2), BatchNormalization<double>(2)));
  fit(running, y,
      {.epochs = 2, .batch_size = 100, .validation_fraction = 0, .statistics = EvaluationStatistics::running});
  const auto& moving =
      static_cast<const BatchNormalization<double>&>(static_cast<const Chain<double>&>(running.bijector()).part(1));
  // Ten updates with momentum 0.9 from 0.
  CHECK(moving.moving_mean()[0] == Approx(y.col(0).mean() * (1 - std::pow(0.9, 10))).epsilon(0.05));
}

TEST_CASE("ActNorm starts from the data before the first step") {
  const Matrix<double> y = make_data(300, 2);
  Flow flow(Normal<double>(2), ActNorm<double>(2));
  fit(flow, y, {.epochs = 0, .validation_fraction = 0});
  const auto& norm = static_cast<const ActNorm<double>&>(flow.bijector());
  CHECK(norm.is_initialized());
  CHECK(norm.shift()[0] == Approx(y.col(0).mean()).epsilon(1e-12));
}

// --------------------------------------------------------------------------------------------------- interruption

namespace {

FitOptions<double> long_run(const std::filesystem::path& checkpoint) {
  return {.epochs = 12,
          .batch_size = 16,
          .learning_rate = 0.02,
          .schedule = PlateauSchedule{.patience = 1},
          .weight_decay = 1e-3,
          .validation_fraction = 0.3,
          .patience = 6,
          .dequantize = true,
          .seed = 6,
          .checkpoint = checkpoint,
          .checkpoint_every_steps = 1,
          .resume = true};
}
Matrix<double> long_run_data() {
  Matrix<double> y = make_data(90, 2);
  y.col(0) = (y.col(0).array() * 4).round() / 4;
  return y;
}

}  // namespace

TEST_CASE("a run that is cancelled anywhere and resumed ends with the same bits") {
  const TemporaryFolder folder;
  const Matrix<double> y = long_run_data();
  Flow uninterrupted = rich_flow(2);
  const FitReport whole = fit(uninterrupted, y, long_run(folder.path / "whole"));
  CHECK(whole.skipped_steps == 0);

  // Cancelled at every step in turn: each run does a few steps.
  Flow flow = rich_flow(2);
  FitReport report;
  Index parts = 0;
  do {
    flow = rich_flow(2);
    FitOptions<double> options = long_run(folder.path / "parts");
    options.checkpoint_every_steps = 0;
    options.checkpoint_every = 0;
    std::stop_source source;
    Index left = 3 + parts % 3;
    options.loss = [&](Pass<double>& pass, const Distribution<double>& f, Var<double> v) {
      if (pass.recording() && --left == 0) source.request_stop();
      return -f.log_prob(pass, v);
    };
    options.cancel = source.get_token();
    report = fit(flow, y, options);
    ++parts;
    REQUIRE(parts < 1000);
  } while (report.stop_reason == StopReason::cancelled);
  CHECK(parts > 5);
  CHECK(same_bits(values<double>(flow), values<double>(uninterrupted)));
  CHECK(report.train_loss == whole.train_loss);
  CHECK(report.validation_loss == whole.validation_loss);
  CHECK(report.best_epoch == whole.best_epoch);
  CHECK(report.steps == whole.steps);
  CHECK(report.train.mean == whole.train.mean);

  // Once more from the last checkpoint: nothing is left to do.
  flow = rich_flow(2);
  FitOptions<double> options = long_run(folder.path / "whole");
  const FitReport again = fit(flow, y, options);
  CHECK(again.steps == whole.steps);
  CHECK(same_bits(values<double>(flow), values<double>(uninterrupted)));
}

TEST_CASE("a checkpoint of another run is refused, naming what differs") {
  const TemporaryFolder folder;
  const std::filesystem::path file = folder.path / "c";
  const Matrix<double> y = make_data(50, 2);
  Flow flow = affine_flow(2);
  const FitOptions<double> options{.epochs = 2, .batch_size = 10, .checkpoint = file, .resume = true};
  fit(flow, y, options);
  const std::vector<double> before = values<double>(flow);
  FitOptions<double> other = options;
  other.batch_size = 20;
  CHECK_THROWS_WITH(fit(flow, y, other), ContainsSubstring("batch_size was 10 there and is 20 here"));
  other = options;
  other.seed = 1;
  CHECK_THROWS_WITH(fit(flow, y, other), ContainsSubstring("seed"));
  Matrix<double> z = y;
  z(3, 1) += 1e-9;
  CHECK_THROWS_WITH(fit(flow, z, options), ContainsSubstring("data checksum"));
  CHECK_THROWS_WITH(fit(flow, make_data(40, 2), options),
                    ContainsSubstring("training rows") || ContainsSubstring("checksum"));
  Flow different(Normal<double>(2), ActNorm<double>(2));
  CHECK_THROWS_WITH(fit(different, y, options), ContainsSubstring("model"));
  CHECK(same_bits(values<double>(flow), before));
  // A longer run continues.
  other = options;
  other.epochs = 4;
  CHECK(fit(flow, y, other).train_loss.size() == 4);
  std::ofstream(file) << "garbage";
  CHECK_THROWS_AS(fit(flow, y, options), IoError);
}

namespace {

/// A child that runs `fit` with a checkpoint after every step. It gives its final parameters in a file, and leaves.
[[noreturn]] void child(const std::filesystem::path& folder) {
  try {
    Flow flow = rich_flow(2);
    fit(flow, long_run_data(), long_run(folder / "checkpoint"));
    const std::vector<double> v = values<double>(flow);
    std::ofstream out(folder / "result", std::ios::binary);
    out.write(reinterpret_cast<const char*>(v.data()), static_cast<std::streamsize>(v.size() * sizeof(double)));
    out.close();
    ::_exit(0);
  } catch (...) {
    ::_exit(1);
  }
}

/// Kills runs at random moments until `kills` have met a living child; compares the end of every run.
void kill_and_resume(int kills) {
  Flow uninterrupted = rich_flow(2);
  FitOptions<double> plain = long_run({});
  plain.resume = false;
  plain.checkpoint_every_steps = 0;
  const auto start = std::chrono::steady_clock::now();
  fit(uninterrupted, long_run_data(), plain);
  const std::vector<double> expected = values<double>(uninterrupted);
  // Only when the kill happens depends on the clock, never the outcome.
  std::mt19937 random(1);
  const double span =
      std::max(4e-3, 2 * std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  int delivered = 0, runs = 0, inside_a_write = 0;
  while (delivered < kills) {
    const TemporaryFolder folder;
    for (int attempt = 0;; ++attempt) {
      REQUIRE(attempt < 10000);
      const pid_t pid = ::fork();
      REQUIRE(pid >= 0);
      if (pid == 0) child(folder.path);
      if (delivered < kills) {
        // Longer waits after each kill of the run, so that it ends even where a start takes long.
        const double wait = std::uniform_real_distribution<double>(0, span * (1 + 0.2 * attempt))(random);
        std::this_thread::sleep_for(std::chrono::duration<double>(wait));
        ::kill(pid, SIGKILL);
      }
      int status = 0;
      REQUIRE(::waitpid(pid, &status, 0) == pid);
      if (WIFSIGNALED(status)) {
        REQUIRE(WTERMSIG(status) == SIGKILL);
        ++delivered;
        continue;
      }
      REQUIRE(WIFEXITED(status));
      REQUIRE(WEXITSTATUS(status) == 0);
      break;
    }
    std::vector<double> result(expected.size());
    std::ifstream in(folder.path / "result", std::ios::binary);
    in.read(reinterpret_cast<char*>(result.data()), static_cast<std::streamsize>(result.size() * sizeof(double)));
    REQUIRE(in.gcount() == static_cast<std::streamsize>(result.size() * sizeof(double)));
    CHECK(same_bits(result, expected));
    ++runs;
    // A killed write leaves its temporary file behind.
    for (const auto& entry : std::filesystem::directory_iterator(folder.path))
      inside_a_write += entry.path().extension() == ".tmp";
  }
  if (kills >= 100)  // for the record of the slow run
    WARN(delivered << " kills in " << runs << " runs, " << inside_a_write << " of them while a checkpoint was written");
  CHECK(delivered >= kills);
}

}  // namespace

TEST_CASE("a run that is killed and resumed ends with the same bits") { kill_and_resume(10); }
TEST_CASE("a run that is killed at 100 random moments and resumed ends with the same bits", "[.slow]") {
  kill_and_resume(100);
}

// ----------------------------------------------------------------------------------------------------- reverse KL

TEST_CASE("reverse KL moves a flow onto a density that the user writes") {
  Flow flow(Normal<double>(2), Affine<double>(2));
  const Target<double> target = [](Pass<double>& pass, Var<double> y) {
    static_cast<void>(pass);
    // Mean (3, -1), standard deviations (0.5, 2), up to a constant.
    const Var<double> a = (columns(y, 0, 1) - 3.0) * 2.0, b = (columns(y, 1, 1) + 1.0) * 0.5;
    return row_sum(square(a) + square(b)) * -0.5;
  };
  const FitReport report = fit_reverse_kl(
      flow, target, {.epochs = 20, .batch_size = 200, .learning_rate = 0.05, .schedule = CosineSchedule{}});
  CHECK(flow.mean()[0] == Approx(3).margin(0.03));
  CHECK(flow.mean()[1] == Approx(-1).margin(0.1));
  CHECK(flow.stddev()[0] == Approx(0.5).epsilon(0.03));
  CHECK(flow.stddev()[1] == Approx(2).epsilon(0.03));
  CHECK(report.steps == 2000);
  // KL is 0 there, and the target's constant is known.
  CHECK(report.train_loss.back() == Approx(-std::log(2 * std::numbers::pi * 0.5 * 2)).margin(0.02));

  std::vector<double> first;
  for (const int threads : {1, 2, 3}) {
    Execution execution({.threads = threads});
    Flow again = rich_flow(2);
    fit_reverse_kl(again, target, {.epochs = 1, .batch_size = 50, .steps_per_epoch = 5, .execution = execution});
    if (first.empty()) first = values<double>(again);
    CHECK(same_bits(values<double>(again), first));
  }
}

// ------------------------------------------------------------------------------------- standardising and supports

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
  const std::vector<Interval> supports = map.codomain();
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
  const ColumnSupports<T> again(map.describe());
  CHECK(again.supports() == map.supports());
  CHECK((again.forward(x).value - y).norm() == T(0));
  CHECK_THROWS_AS(ColumnSupports<T>({Interval{1, 1}}), DomainError);
}

TEST_CASE("prepare puts standardiser and supports into the model, from the training rows alone") {
  const Index n = 600;
  Matrix<double> y = make_data(n, 3);
  y.col(1) = (y.col(1) / 2).array().exp() * 100;
  y.col(2) = 7 + 2 / (1 + (-y.col(2) / 10).array().exp());
  const Matrix<double> context = 50 * make_data(n, 1, 5).array() + 1000;
  const FitOptions<double> options{
      .epochs = 30, .batch_size = 64, .learning_rate = 5e-3, .context = context, .seed = 2};
  auto model = prepare(rich_flow(3, 1), y, {.supports = {real_line, positive, {7, 9}}}, options);
  // The flow sees standardised training rows: check through the model's own parts.
  const detail::FitRows<double> rows("test", 3, 1, y, options);
  Matrix<double> train(static_cast<Index>(rows.train().size()), 3), train_context(train.rows(), 1);
  for (Index i = 0; i < train.rows(); ++i) {
    train.row(i) = y.row(static_cast<Index>(rows.train()[static_cast<std::size_t>(i)]));
    train_context.row(i) = context.row(static_cast<Index>(rows.train()[static_cast<std::size_t>(i)]));
  }
  const Matrix<double> x = model.bijector().inverse(train).value;
  for (Index c = 0; c < 3; ++c) {
    CHECK(x.col(c).mean() == Approx(0).margin(1e-10));
    CHECK(x.col(c).array().square().mean() == Approx(1).epsilon(1e-10));
  }
  const auto& base = static_cast<const StandardizedContext<double>&>(model.base());
  CHECK(base.shift()[0] == Approx(train_context.mean()).epsilon(1e-12));

  // log_prob of the model is that of the raw data.
  const Matrix<double> standard_context = (context.array() - base.shift()[0]) / base.scale()[0];
  const auto [z, log_det] = model.bijector().inverse(y);
  const Eigen::VectorXd expected = base.inner().log_prob(z, standard_context) + log_det;
  CHECK((model.log_prob(y, context) - expected).cwiseAbs().maxCoeff() < 1e-10);

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
  CHECK_THROWS_WITH(prepare(rich_flow(3, 1), bad, {.supports = {real_line, positive, real_line}},
                            {.context = context, .validation_fraction = 0}),
                    ContainsSubstring("row 5, column 1"));
  CHECK_THROWS_AS(prepare(rich_flow(3, 1), y, {.supports = {positive}}, options), ShapeError);
}

TEST_CASE("outliers do not ruin a fit with the robust standardiser") {
  Matrix<double> y = make_data(1000, 2);
  Engine engine(4);
  for (Index i = 0; i < 1000; i += 100) y(i, 0) = 1e12;
  const FitOptions<double> options{.epochs = 20, .batch_size = 100, .learning_rate = 5e-3};
  auto model = prepare(maf<double>(2, {.layers = 2, .hidden = 16, .blocks = 1}), y,
                       {.standardize = Standardization::median_iqr}, options);
  const FitReport report = fit(model, y, options);
  CHECK(report.stop_reason != StopReason::non_finite);
  for (const double v : values<double>(model)) CHECK(std::isfinite(v));
  CHECK(std::isfinite(report.train.mean));
}

TEST_CASE("batch normalisation alone learns a normal: the maximum-likelihood test of the first implementation") {
  // 3000 steps of Adam on batches of N([1, 2], I): samples and moving statistics within 0.05.
  Engine engine(2017);
  const Matrix<double> noise = Normal<double>(2).sample(30000, engine);
  const Matrix<double> y = noise.rowwise() + Eigen::RowVector2d(1, 2);
  for (const GammaMap map : {GammaMap::exp, GammaMap::identity}) {
    BatchNormLayerOptions options;
    options.gamma_map = map;
    if (map == GammaMap::identity) options.gamma_constraint = {Constraint::Kind::relu_plus_floor, 1e-6};
    Flow flow(MultivariateNormalDiag<double>::standard(2),
              BatchNormalization<double>({2}, BatchNormLayer<double>(options)));
    const FitReport report = fit(flow, y,
                                 {.epochs = 10,
                                  .batch_size = 100,
                                  .learning_rate = 1e-2,
                                  .validation_fraction = 0,
                                  .statistics = EvaluationStatistics::running,
                                  .seed = 1});
    CHECK(report.steps == 3000);
    const auto& bn = static_cast<const BatchNormalization<double>&>(flow.bijector());
    const Matrix<double> samples = flow.sample(100000, engine);
    for (Index c = 0; c < 2; ++c) {
      CHECK(bn.moving_mean()[c] == Approx(c + 1.0).margin(0.05));
      CHECK(bn.moving_variance()[c] == Approx(1).margin(0.05));
      CHECK(samples.col(c).mean() == Approx(c + 1.0).margin(0.05));
      CHECK(std::sqrt((samples.col(c).array() - samples.col(c).mean()).square().mean()) == Approx(1).margin(0.05));
    }
  }
}

TEST_CASE("fit with weighted statistics: a row of weight 2 counts as two rows") {
  Engine engine(8);
  const Matrix<double> y = Normal<double>(2).sample(40, engine);
  Matrix<double> doubled(60, 2);
  doubled << y, y.topRows(20);
  std::vector<double> weights(40, 1.0);
  std::fill_n(weights.begin(), 20, 2.0);
  const auto moments = [&](const Matrix<double>& rows, std::vector<double> w) {
    Flow flow(Normal<double>(2), Chain<double>(BatchNormalization<double>(2)));
    FitOptions<double> options{.epochs = 1, .batch_size = 60, .validation_fraction = 0};
    options.weights = w;
    options.weighted_statistics = !w.empty();
    fit(flow, rows, options);
    const auto& bn =
        static_cast<const BatchNormalization<double>&>(static_cast<const Chain<double>&>(flow.bijector()).part(0));
    return std::pair(bn.moving_mean(), bn.moving_variance());
  };
  const auto weighted = moments(y, weights), repeated = moments(doubled, {});
  for (Index c = 0; c < 2; ++c) {
    CHECK(weighted.first[c] == Approx(repeated.first[c]).epsilon(1e-12));
    CHECK(weighted.second[c] == Approx(repeated.second[c]).epsilon(1e-12));
  }
  weights[0] = -1;
  FitOptions<double> options{.epochs = 1};
  options.weights = weights;
  options.allow_negative_weights = options.weighted_statistics = true;
  Flow flow(Normal<double>(2), Chain<double>(BatchNormalization<double>(2)));
  CHECK_THROWS_AS(fit(flow, y, options), DomainError);
}

TEST_CASE("builders: ghost batches, renormalisation and batch norm in conditioners train on any number of threads") {
  Engine engine(9);
  const Matrix<double> y = Normal<double>(4).sample(300, engine);
  FlowOptions options{.layers = 4, .hidden = 12, .batch_norm = true, .seed = 3};
  options.batch_norm_options.ghost_rows = 24;
  options.batch_norm_options.renorm =
      Renorm{.momentum = 0.9, .rmax = 3, .dmax = 5, .open_from = 2, .open_rmax = 10, .open_dmax = 8};
  options.conditioner_batch_norm = true;
  const auto trained = [&](int threads) {
    Execution execution({.threads = threads});
    Flow flow = real_nvp<double>(4, options);
    const double before = flow.log_prob(y).mean();
    const FitReport report = fit(flow, y, {.epochs = 8, .batch_size = 75, .seed = 5, .execution = execution});
    CHECK(report.skipped_steps == 0);
    CHECK(flow.log_prob(y).mean() > before);
    return std::pair(flow.log_prob(y), list_state(static_cast<const Component<double>&>(flow)).size());
  };
  const auto one = trained(1), three = trained(3);
  CHECK((one.first.array() == three.first.array()).all());
  CHECK(one.second > 60);
  options.conditioner_batch_norm = true;
  CHECK_THROWS_AS(maf<double>(4, options), NotImplemented);
}

TEST_CASE(
    "fit hands on the penalties and constraints of a batch normalisation layer, and what is not trainable stays") {
  Engine engine(11);
  const Matrix<double> y = (Normal<double>(2).sample(400, engine).array() * 0.3 + 2).matrix();
  const auto fitted = [&](BatchNormLayerOptions options) {
    options.gamma_map = GammaMap::identity;
    Flow flow(MultivariateNormalDiag<double>(std::vector<double>{1, -1}, std::vector<double>{1, 1}),
              BatchNormalization<double>({2}, BatchNormLayer<double>(options)));
    fit(flow, y, {.epochs = 30, .batch_size = 100, .learning_rate = 1e-2, .validation_fraction = 0, .seed = 1});
    return static_cast<const BatchNormalization<double>&>(flow.bijector());
  };
  const auto norm = [](const Tensor<double>& t) { return std::hypot(t[0], t[1]); };
  const BatchNormalization<double> free = fitted({});
  BatchNormLayerOptions bound;
  bound.gamma_regularizer = {0, 5};
  bound.beta_constraint = {Constraint::Kind::max_norm, 0.1};
  const BatchNormalization<double> held = fitted(bound);
  CHECK(norm(free.beta()) > 0.3);
  CHECK(norm(held.beta()) <= 0.1 + 1e-6);
  CHECK(norm(held.gamma()) < 0.8 * norm(free.gamma()));
  BatchNormLayerOptions still;
  still.trainable = false;
  const BatchNormalization<double> untouched = fitted(still);
  CHECK(untouched.gamma()[0] == 1);
  CHECK(untouched.beta()[0] == 0);
}
