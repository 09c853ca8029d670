// Stochastic densities: maps that draw random numbers where densities are computed.

#include <pushforward/bijectors/batch_normalization.hpp>
#include <pushforward/bijectors/chain.hpp>
#include <pushforward/bijectors/invert.hpp>
#include <pushforward/distributions/mixture.hpp>
#include <pushforward/distributions/multivariate_normal_diag.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <pushforward/distributions/uniform.hpp>
#include <pushforward/training/calibrate.hpp>
#include <pushforward/training/fit.hpp>

#include <boost/math/distributions/normal.hpp>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "tests/catch.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;

namespace {

double normal_cdf(double z) { return boost::math::cdf(boost::math::normal(), z); }

/// y = exp(a) x in each column, whose log|det|, sum_d a_d, is estimated by random directions: sum_d a_d v_d^2.
class Hutchinson final : public Bijector<double> {
 public:
  explicit Hutchinson(std::vector<double> a)
      : Bijector<double>("Hutchinson", static_cast<Index>(a.size())), a_({static_cast<Index>(a.size())}) {
    std::copy(a.begin(), a.end(), a_.data());
  }
  const Tensor<double>& a() const { return a_; }

 private:
  Mapped<double> do_forward(Pass<double>& pass, Var<double> x) const override {
    const Var<double> a = pass.parameter(a_);
    return {x * exp(a), trace(pass, a)};
  }
  Mapped<double> do_inverse(Pass<double>& pass, Var<double> y) const override {
    const Var<double> a = pass.parameter(a_);
    return {y * exp(-a), -trace(pass, a)};
  }
  Column<double> trace(Pass<double>& pass, Var<double> a) const {
    const Var<double> v = pass.normal(this->dim());
    return row_sum(v * v * a);
  }
  Estimate do_estimates() const override { return Estimate::log_density; }
  void do_fields(Fields<double>& f) override {
    f.type("hutchinson");
    f.parameter("a", a_, {this->dim()});
  }

  Tensor<double> a_;
};

/// y = x + s u with normal u, which is drawn: the density of y is the mean of that of x = y - s u.
class Blur final : public Bijector<double> {
 public:
  Blur(Index dim, double s, bool says = true) : Bijector<double>("Blur", dim), s_(s), says_(says) {}

 private:
  Mapped<double> do_forward(Pass<double>& pass, Var<double> x) const override {
    return {x + s_ * pass.normal(this->dim()), {}};
  }
  Mapped<double> do_inverse(Pass<double>& pass, Var<double> y) const override {
    return {y - s_ * pass.normal(this->dim()), {}};
  }
  Estimate do_estimates() const override { return says_ ? Estimate::density : Estimate::exact; }
  void do_fields(Fields<double>& f) override {
    f.type("blur");
    f.constant("s", s_);
    f.constant("says", says_);
  }

  double s_;
  bool says_;
};

/// The truth lies within 1.96 standard errors for 95 % of the seeds, within 3.3 binomial standard deviations.
void check_coverage(const Distribution<double>& d, const Matrix<double>& y, const Eigen::VectorXd& truth, Index draws) {
  const int seeds = 1000;
  Eigen::VectorXi covered = Eigen::VectorXi::Zero(y.rows());
  for (int seed = 0; seed < seeds; ++seed) {
    Engine engine(static_cast<std::uint64_t>(seed));
    const LogProbEstimate<double> e = d.log_prob(y, engine, draws);
    for (Index i = 0; i < y.rows(); ++i)
      if (std::abs(e.value[i] - truth[i]) <= 1.959963984540054 * e.standard_error[i]) ++covered[i];
  }
  for (Index i = 0; i < y.rows(); ++i) {
    INFO(d.name() << ", row " << i << ": " << covered[i] << " of " << seeds);
    CHECK(std::abs(covered[i] - 950) <= 3.3 * std::sqrt(seeds * 0.95 * 0.05));
  }
}

}  // namespace

TEST_CASE("the standard error of a stochastic log|det| covers the truth", "[noise]") {
  const std::vector<double> a{0.7, -0.3, 1.1};
  const TransformedDistribution<double> d(MultivariateNormalDiag<double>(3), Hutchinson(a));
  CHECK(d.estimates() == Estimate::log_density);
  const Matrix<double> y{{0, 0, 0}, {1, -2, 3}};
  Eigen::VectorXd truth(2);
  for (Index i = 0; i < 2; ++i) {
    truth[i] = 0;
    for (Index c = 0; c < 3; ++c) {
      const double s = std::exp(a[static_cast<std::size_t>(c)]);
      truth[i] += std::log(boost::math::pdf(boost::math::normal(0, s), y(i, c)));
    }
  }
  check_coverage(d, y, truth, 256);
  const TransformedDistribution<double> inverted(MultivariateNormalDiag<double>(3),
                                                 Invert<double>(Hutchinson({-0.7, 0.3, -1.1})));
  CHECK(inverted.estimates() == Estimate::log_density);
  check_coverage(inverted, y, truth, 256);
}

TEST_CASE("the standard error of a drawn density covers the truth", "[noise]") {
  const double s = 0.6;
  const TransformedDistribution<double> d(Normal<double>(2), Blur(2, s));
  CHECK(d.estimates() == Estimate::density);
  const Matrix<double> y{{0.1, -0.4}, {1.2, 0.9}};
  Eigen::VectorXd truth(2);
  const boost::math::normal wide(0, std::sqrt(1 + s * s));
  for (Index i = 0; i < 2; ++i) truth[i] = std::log(boost::math::pdf(wide, y(i, 0)) * boost::math::pdf(wide, y(i, 1)));
  check_coverage(d, y, truth, 512);
}

TEST_CASE("draws outside the support count as density 0", "[noise]") {
  const double s = 0.4;
  const std::vector<double> low{0}, high{1};
  const TransformedDistribution<double> d(Uniform<double>(low, high), Blur(1, s));
  const Matrix<double> y{{0.5}, {0.9}, {-0.2}};
  Eigen::VectorXd truth(3);
  for (Index i = 0; i < 3; ++i) truth[i] = std::log(normal_cdf(y(i, 0) / s) - normal_cdf((y(i, 0) - 1) / s));
  check_coverage(d, y, truth, 512);
  Engine engine(1);
  const LogProbEstimate<double> far = d.log_prob(Matrix<double>{{100.0}, {NAN}, {0.5}}, engine);
  CHECK(far.value[0] == -std::numeric_limits<double>::infinity());
  CHECK(far.standard_error[0] == 0);
  CHECK(std::isnan(far.value[1]));
  CHECK(std::isnan(far.standard_error[1]));
  CHECK(std::isfinite(far.value[2]));
  const Mixture<double> mixture(std::vector<Poly<Distribution<double>>>{d, Normal<double>(1)});
  const double normal = boost::math::pdf(boost::math::normal(), 0.5);
  check_coverage(mixture, y.topRows(1), Eigen::VectorXd::Constant(1, std::log(0.5 * std::exp(truth[0]) + 0.5 * normal)),
                 512);
}

TEST_CASE("estimates depend on the engine and the row alone", "[noise]") {
  const TransformedDistribution<double> d(Normal<double>(2),
                                          Chain<double>(Hutchinson({0.2, 0.4}), Hutchinson({-0.1, 0.3})));
  Engine engine(3);
  const Matrix<double> y = Normal<double>(2).sample(1000, engine);
  const Engine start = engine;
  const LogProbEstimate<double> one = d.log_prob(y, engine, 8);
  CHECK(engine.call() == start.call() + 1);
  Execution execution({.threads = 3});
  Engine again = start;
  const LogProbEstimate<double> threads = d.log_prob(y, again, 8, execution);
  CHECK(one.value == threads.value);
  CHECK(one.standard_error == threads.standard_error);
  again = start;
  const LogProbEstimate<double> few = d.log_prob(y.topRows(300), again, 8);
  CHECK(few.value == one.value.head(300));
  const LogProbEstimate<double> other = d.log_prob(y, again, 8);
  CHECK((other.value - one.value).cwiseAbs().minCoeff() > 0);
  CHECK_THROWS_WITH(d.log_prob(y, engine, 1), ContainsSubstring("at least 2 draws"));
  // What draws nothing needs no draws.
  const Normal<double> exact(2);
  const LogProbEstimate<double> certain = exact.log_prob(y, engine);
  CHECK(certain.value == exact.log_prob(y));
  CHECK(certain.standard_error == Eigen::VectorXd::Zero(1000));
}

TEST_CASE("what draws is named where there is nothing to draw from", "[noise]") {
  const Matrix<double> y = Matrix<double>::Zero(2, 2);
  const TransformedDistribution<double> d(Normal<double>(2), Chain<double>(Hutchinson({1, 1}), Hutchinson({1, 1})));
  CHECK_THROWS_WITH(d.log_prob(y), ContainsSubstring("Hutchinson: draws random numbers"));
  CHECK_THROWS_WITH(d.log_prob_and_gradient(y), ContainsSubstring("Hutchinson: draws"));
  CHECK_THROWS_WITH(d.bijector().inverse(y), ContainsSubstring("Hutchinson: draws"));
  // A class that does not say what its draws mean gets none.
  Engine engine(1);
  const TransformedDistribution<double> silent(Normal<double>(2), Blur(2, 1, false));
  CHECK_THROWS_WITH(silent.log_prob(y, engine), ContainsSubstring("Blur: draws") && ContainsSubstring("do_estimates"));
  // After a part is done, it is no longer named.
  Workspace memory;
  Tape<double> tape(Tape<double>::Mode::evaluate, {memory.batch, memory.local}, 2);
  Pass<double> pass(tape, {});
  CHECK_THROWS_WITH(Normal<double>(2).sample(pass), ContainsSubstring("Normal: draws"));
  CHECK_THROWS_WITH(pass.normal(1), ContainsSubstring("Pass: draws"));
}

TEST_CASE("draws of different kinds do not mix", "[noise]") {
  Engine engine(1);
  const Matrix<double> y = Matrix<double>::Zero(2, 2);
  const TransformedDistribution<double> both(Normal<double>(2), Chain<double>(Hutchinson({1, 1}), Blur(2, 1)));
  CHECK_THROWS_AS(both.log_prob(y, engine), NotImplemented);
  CHECK_THROWS_WITH(both.estimates(), ContainsSubstring("Chain(Hutchinson, Blur)::estimates"));
  const TransformedDistribution<double> one(Normal<double>(2), Hutchinson({1, 1}));
  const Mixture<double> mixture(std::vector<Poly<Distribution<double>>>{one, one});
  CHECK_THROWS_WITH(mixture.log_prob(y, engine), ContainsSubstring("Mixture::estimates"));
}

TEST_CASE("samples of stochastic maps", "[noise]") {
  Engine engine(8), again(8);
  const TransformedDistribution<double> exact(Normal<double>(2), Hutchinson({0.5, -0.5}));
  const SamplesAndLogProb<double> drawn = exact.sample_and_log_prob(4000, engine);
  CHECK((drawn.samples - exact.sample(4000, again)).cwiseAbs().maxCoeff() == 0);
  // The log|det| of each sample is drawn, around that of exp(0.5) exp(-0.5) = 1.
  const std::vector<double> loc{0, 0}, scale{std::exp(0.5), std::exp(-0.5)};
  const Eigen::VectorXd error = drawn.log_prob - Normal<double>(loc, scale).log_prob(drawn.samples);
  CHECK(std::abs(error.mean()) < 4 / std::sqrt(4000.0));  // each has variance 2 (0.5^2 + 0.5^2) = 1
  CHECK(error.cwiseAbs2().mean() == Approx(1).epsilon(0.2));
  // Of a sample that is blurred no density is known, and a prefix does not say what was blurred to it.
  TransformedDistribution<double> blurred(Normal<double>(2), Blur(2, 0.5));
  CHECK(blurred.sample(4000, engine).col(0).squaredNorm() / 4000 == Approx(1.25).epsilon(0.1));
  CHECK_THROWS_AS(blurred.sample_and_log_prob(3, engine), NotImplemented);
  CHECK_THROWS_AS(fit_reverse_kl(blurred, [](Pass<double>&, Var<double> y) { return -row_sum(y * y); },
                                 {.epochs = 1}),
                  NotImplemented);
}

TEST_CASE("a stochastic bijector of a user trains", "[noise]") {
  Engine engine(5);
  Matrix<double> data = Normal<double>(2).sample(2000, engine);
  data.col(0) *= 0.4;
  data.col(1) *= 3;
  const auto train = [&](int threads, bool checkpointing) {
    Execution execution({.threads = threads, .all_always = true});
    TransformedDistribution<double> d(MultivariateNormalDiag<double>::standard(2), Chain<double>(Hutchinson({0, 0})));
    const FitReport report = fit(d, data,
                                 {.epochs = 60,
                                  .batch_size = 200,
                                  .learning_rate = 0.02,
                                  .schedule = CosineSchedule{},
                                  .validation_fraction = 0.2,
                                  .patience = 0,
                                  .gradient_checkpointing = checkpointing,
                                  .execution = execution});
    CHECK(std::isfinite(report.validation.mean));
    return dynamic_cast<const Hutchinson&>(dynamic_cast<const Chain<double>&>(d.bijector()).part(0)).a();
  };
  const Tensor<double> a = train(1, false);
  CHECK(a[0] == Approx(std::log(0.4)).margin(0.1));
  CHECK(a[1] == Approx(std::log(3)).margin(0.1));
  CHECK(a == train(3, false));
  CHECK(a == train(1, true));
}

TEST_CASE("layers that start from data and population statistics beside a stochastic map", "[noise]") {
  Engine engine(6);
  const Matrix<double> data = Normal<double>(2).sample(300, engine);
  TransformedDistribution<double> d(Normal<double>(2), Chain<double>(BatchNormalization<double>(2), Blur(2, 0.5)));
  const FitReport report = fit(d, data, {.epochs = 2, .batch_size = 100});
  CHECK(report.skipped_steps == 0);
  CHECK(std::isfinite(report.train.mean));
  TransformedDistribution<double> again = d;
  calibrate(d, data);
  calibrate(again, data);
  CHECK(d.log_prob(data, engine, 2).value.allFinite());
  const auto& first = dynamic_cast<const Chain<double>&>(d.bijector()).part(0);
  const auto& second = dynamic_cast<const Chain<double>&>(again.bijector()).part(0);
  CHECK(*list_state(first)[2].tensor == *list_state(second)[2].tensor);
  // The blurred rows are what the layer sees: variance 1 + 0.5^2.
  CHECK((*list_state(first)[3].tensor)[0] == Approx(1.25).margin(0.25));
}
