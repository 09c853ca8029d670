// fit_best: the choice, what it depends on, and what it says.

#include <algorithm>
#include <cmath>
#include <pushforward/distributions/multivariate_normal_diag.hpp>
#include <pushforward/distributions/mixture.hpp>
#include <pushforward/distributions/multivariate_normal_tril.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/student_t.hpp>
#include <pushforward/distributions/uniform.hpp>
#include <pushforward/execution.hpp>
#include <pushforward/training/fit_best.hpp>
#include <pushforward/training/split.hpp>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "tests/training.hpp"
#include "src/training/heavy_tails.hpp"

using namespace pushforward;
using namespace training_tests;
using Catch::Matchers::ContainsSubstring;

namespace {

/// A ring of radius 2.
Matrix<double> ring(Index rows, std::uint64_t seed) {
  Engine engine(seed);
  const Matrix<double> z = MultivariateNormalDiag<double>::standard(2).sample(rows, engine);
  Matrix<double> y(rows, 2);
  for (Index i = 0; i < rows; ++i) {
    const double angle = 3.14159265 * std::erf(z(i, 0) / std::sqrt(2.0)), radius = 2 + 0.1 * z(i, 1);
    y.row(i) << radius * std::cos(angle), radius * std::sin(angle);
  }
  return y;
}

Candidate<double> small(const std::string& preset, Index layers, Index hidden) {
  return {preset + " " + std::to_string(layers), [=](const CandidateTask<double>& task) -> Poly<Distribution<double>> {
            return flow_preset(preset).build<double>(
                task.dim, {.layers = layers, .hidden = hidden, .context_dim = task.context_dim, .seed = task.seed});
          }};
}

/// The flow inside a model of fit_best whose columns are not rounded.
const TransformedDistribution<double>& flow_of(const Distribution<double>& model) {
  return dynamic_cast<const TransformedDistribution<double>&>(model);
}

/// A category in order, a count and a normal number that depends on the first, and the mean of their log-likelihood.
Matrix<double> mixed_rows(Index rows, std::uint64_t seed, double& truth) {
  Engine engine(seed);
  const Matrix<double> u = Uniform<double>(2).sample(rows, engine), z = Normal<double>(1).sample(rows, engine);
  const double p[5] = {0.1, 0.2, 0.4, 0.2, 0.1};
  Matrix<double> y(rows, 3);
  truth = 0;
  for (Index i = 0; i < rows; ++i) {
    double below = p[0];
    int a = 0;
    while (u(i, 0) > below && a < 4) below += p[++a];
    // The distribution function of a Poisson variable of mean 3, inverted.
    double mass = std::exp(-3.0), sum = mass;
    int count = 0;
    while (u(i, 1) > sum) sum += mass *= 3.0 / ++count;
    y.row(i) << a, count, z(i, 0) + 0.5 * a;
    truth += std::log(p[a]) + count * std::log(3.0) - 3 - std::lgamma(count + 1.0) - 0.5 * z(i, 0) * z(i, 0) -
             0.5 * std::log(2 * 3.14159265358979);
  }
  truth /= static_cast<double>(rows);
  return y;
}

Candidate<double> gaussian() {
  return {"gaussian",
          [](const CandidateTask<double>& task) -> Poly<Distribution<double>> {
            return MultivariateNormalDiag<double>::standard(task.dim);
          },
          false};
}

}  // namespace

TEST_CASE("fit_best gives the same choice and bits for any number of threads") {
  for (const Index rows : {300, 2500}) {  // folds, and one split
    const Matrix<double> y = ring(rows, 1);
    FitBestOptions<double> options{
        .candidates = {gaussian(), small("maf", 1, 8), small("maf", 2, 8), small("nsf_ar", 1, 8)}, .steps = 1500};
    options.fit.seed = 4;
    const Best<double> one = fit_best(MatrixView<const double>(y), options);
    Execution execution({.threads = 3});
    options.fit.execution = execution;
    const Best<double> three = fit_best(MatrixView<const double>(y), options);
    REQUIRE(one.candidates.size() == 4);
    CHECK(one.folds == (rows < 2000 ? 5 : 1));
    for (std::size_t i = 0; i < 4; ++i) {
      CHECK(one.candidates[i].name == three.candidates[i].name);
      CHECK(one.candidates[i].validation.mean == three.candidates[i].validation.mean);
      if (i > 0) CHECK(one.candidates[i - 1].validation.mean >= one.candidates[i].validation.mean);
    }
    CHECK(same_bits(values<double>(*one.model), values<double>(*three.model)));
    CHECK(one.candidates.front().name != "gaussian");
    CHECK(one.candidates.front().behind.mean == 0);
    CHECK(one.candidates.back().behind.mean > 0);
    CHECK_THAT(one.reason, ContainsSubstring(one.candidates.front().name + " describes"));
    CHECK_THAT(to_text(one.candidates), ContainsSubstring("behind the best"));
    Index steps = 0;
    for (const CandidateReport& c : one.candidates) steps += c.steps;
    CHECK(steps > 700);
    CHECK(steps < 3000);
  }
}

TEST_CASE("fit_best of Gaussian rows is no worse than the Gaussian, and of others far better") {
  const Matrix<double> y = correlated_normal(2500, 2), test = correlated_normal(4000, 3);
  const Best<double> plain = fit_best(MatrixView<const double>(y), {.steps = 800});
  CHECK_FALSE(plain.heavy_tails);
  const double fitted = MultivariateNormalTriL<double>::fit(y).log_prob(test).mean();
  CHECK(plain.model->log_prob(test).mean() > fitted - 0.02);

  const Matrix<double> round = ring(2500, 4), round_test = ring(4000, 5);
  const Best<double> best = fit_best(MatrixView<const double>(round), {.steps = 1500});
  // The truth: a density of 1 / (2 pi) over the angle, a normal radius, over the radius.
  double truth = 0;
  for (Index i = 0; i < round_test.rows(); ++i) {
    const double r = round_test.row(i).norm(), z = (r - 2) / 0.1;
    truth += -0.5 * z * z - std::log(0.1) - 1.5 * std::log(2 * 3.14159265358979) - std::log(r);
  }
  truth /= 4000;
  INFO(to_text(best.candidates) << "truth " << truth);
  CHECK(best.model->log_prob(round_test).mean() > truth - 0.35);
  CHECK(best.model->log_prob(round_test).mean() < truth + 0.05);
  const double round_fitted = MultivariateNormalTriL<double>::fit(round).log_prob(round_test).mean();
  CHECK(best.model->log_prob(round_test).mean() > round_fitted + 0.5);
}

TEST_CASE("fit_best sees heavy tails and takes a base that has them") {
  const auto draw = [](std::uint64_t seed) {
    Engine engine(seed);
    Matrix<double> y = StudentT<double>(2, 3).sample(5000, engine);
    y.col(1) = 10 + 3 * y.col(1).array();
    return y;
  };
  const Matrix<double> y = draw(6), test = draw(7);
  const Best<double> best = fit_best(MatrixView<const double>(y), {.steps = 2000});
  CHECK(best.heavy_tails);
  Matrix<double> standard = test;
  standard.col(1) = (test.col(1).array() - 10) / 3;
  const double truth = StudentT<double>(2, 3).log_prob(standard).mean() - std::log(3.0);
  INFO(to_text(best.candidates) << "truth " << truth);
  CHECK(best.model->log_prob(test).mean() > truth - 0.1);
  CHECK_THAT(best.reason, ContainsSubstring("Student"));

  // A base that is named is the one of every flow.
  for (const Base base : {Base::normal, Base::student_t}) {
    FitBestOptions<double> named{.candidates = default_candidates<double>(600, 2), .steps = 60, .base = base};
    std::erase_if(named.candidates, [](const auto& c) { return c.name != "maf, small"; });
    const Matrix<double> few = base == Base::normal ? y.topRows(600) : correlated_normal(600, 8);
    const Best<double> own = fit_best(MatrixView<const double>(few), named);
    CHECK(own.heavy_tails == (base == Base::student_t));
    CHECK((to_text<double>(*own.model).find("student_t") != std::string::npos) == (base == Base::student_t));
    CHECK(own.reason.find("Student") == std::string::npos);
  }
  CHECK_THROWS_WITH(fit_best(MatrixView<const double>(y), {.steps = 60, .base = Base::logistic}),
                    ContainsSubstring("base must be normal or student_t"));
}

TEST_CASE("heavy tails are told by column, with their degrees of freedom, and light ones are not") {
  Engine engine(16);
  const std::vector<double> df{1, 1.5, 3, 8, 1e6}, loc{0, 5, -2, 0, 9}, scale{1, 10, 0.1, 1, 3};
  Matrix<double> y = StudentT<double>(df, loc, scale).sample(20000, engine);
  const detail::Tails tails = detail::tails_of<double>(y, {});
  const std::vector<double>& found = tails.df;
  CHECK(tails.heavy);
  REQUIRE(found.size() == 5);
  CHECK(found[0] == 1);
  CHECK(found[1] == 1.5);
  CHECK(found[2] == 3);
  CHECK((found[3] == 8 || found[3] == 30));  // the gain over a normal is near the least that counts
  CHECK(found[4] == 30);
  const Matrix<double> light = y.rightCols(1), few = y.topRows(19);
  CHECK_FALSE(detail::tails_of<double>(light, {}).heavy);
  CHECK_FALSE(detail::tails_of<double>(few, {}).heavy);
  CHECK(detail::tails_of<double>(few, {}).df == std::vector<double>(5, 30.0));
  // Rows of weight 0 do not count: only the middle of the first column is left.
  std::vector<double> weights(20000, 1.0);
  for (Index i = 0; i < 20000; ++i)
    if (std::abs(y(i, 0)) > 1) weights[static_cast<std::size_t>(i)] = 0;
  const Matrix<double> first = y.leftCols(1);
  CHECK(detail::tails_of<double>(first, {}).heavy);
  CHECK_FALSE(detail::tails_of<double>(first, weights).heavy);
}

TEST_CASE("the winner of folds is fitted to all rows; rows of weight 0 are as if they were not there") {
  const Matrix<double> y = correlated_normal(120, 8);
  const Best<double> all = fit_best(MatrixView<const double>(y), {.candidates = {gaussian()}});
  CHECK(all.folds == 5);
  CHECK(all.candidates[0].validation.mean < all.model->log_prob(y).mean());
  // All of them: none is set aside for validation.
  CHECK(flow_of(*all.model).bijector().inverse(y).value.colwise().mean().cwiseAbs().maxCoeff() < 1e-12);
  Matrix<double> more(240, 3);
  std::vector<double> weights(240, 0.0);
  for (Index i = 0; i < 120; ++i) {
    more.row(2 * i) = y.row(i);
    more.row(2 * i + 1).setConstant(1e6);
    weights[static_cast<std::size_t>(2 * i)] = 2;
  }
  FitBestOptions<double> options{.candidates = {gaussian()}};
  options.fit.weights = weights;
  const Best<double> weighted = fit_best(MatrixView<const double>(more), options);
  CHECK(weighted.candidates[0].validation.mean == Approx(all.candidates[0].validation.mean).epsilon(1e-12));
  CHECK((weighted.model->log_prob(y) - all.model->log_prob(y)).cwiseAbs().maxCoeff() < 1e-9);
}

TEST_CASE("the reports of fit_best say what the validation rows give, with standard errors") {
  const Matrix<double> y = correlated_normal(200, 14), test = correlated_normal(100, 15);
  const Candidate<double> wide{"wide",
                               [](const CandidateTask<double>& task) -> Poly<Distribution<double>> {
                                 const std::vector<double> loc(3, 0.0), scale(3, task.data.rows() == 200 ? 1.5 : 1.0);
                                 return MultivariateNormalDiag<double>(loc, scale);
                               },
                               false};
  FitBestOptions<double> options{.candidates = {wide, gaussian()}};
  std::vector<double> weights;
  for (Index i = 0; i < 100; ++i) weights.push_back(1 + static_cast<double>(i % 4));
  options.fit.validation = test;
  options.fit.validation_weights = weights;
  const Best<double> best = fit_best(MatrixView<const double>(y), options);
  CHECK(best.folds == 1);
  REQUIRE(best.candidates[0].name == "gaussian");
  const Eigen::VectorXd own = best.model->log_prob(test);
  // With sum_i w_i = W: error = sqrt(n / (n - 1) sum_i w_i^2 (v_i - mean)^2) / W.
  const auto check = [&](const MeanLogLikelihood& m, const Eigen::VectorXd& v) {
    const Eigen::VectorXd w = Eigen::Map<const Eigen::VectorXd>(weights.data(), 100);
    const double mean = v.dot(w) / w.sum();
    const double error = std::sqrt(100.0 / 99 * (w.array() * (v.array() - mean)).square().sum()) / w.sum();
    CHECK(m.mean == Approx(mean).epsilon(1e-12));
    CHECK(m.standard_error == Approx(error).epsilon(1e-12));
  };
  check(best.candidates[0].validation, own);
  const Matrix<double> x = flow_of(*best.model).bijector().inverse(test).value;
  const Eigen::VectorXd behind =
      3 * std::log(1.5) - 0.5 * (1 - 1 / (1.5 * 1.5)) * x.rowwise().squaredNorm().array();
  check(best.candidates[1].behind, behind);
  for (const CandidateReport& c : best.candidates) CHECK(c.seconds >= 0);
}

TEST_CASE("the number of components is chosen on rows that the mixture has not seen, also where it is fitted to all") {
  Matrix<double> y = correlated_normal(300, 13);
  for (Index i = 0; i < 300; ++i)
    if (i % 3 > 0) y(i, i % 3 - 1) += 60;
  const std::vector<Candidate<double>> all = default_candidates<double>(300, 3);
  const Best<double> best = fit_best(MatrixView<const double>(y), {.candidates = {all[1]}});
  CHECK(best.candidates[0].name == "mixture");
  CHECK(best.folds == 5);
  const auto& mixture = dynamic_cast<const Mixture<double>&>(flow_of(*best.model).base());
  CHECK(mixture.components() >= 3);
  CHECK(mixture.components() <= 5);
}

TEST_CASE("fit_best: what one candidate cannot do is its own affair; a stage that makes worse is undone") {
  const Matrix<double> y = correlated_normal(400, 9);
  const Candidate<double> broken{"broken", [](const CandidateTask<double>&) -> Poly<Distribution<double>> {
                                   throw NotImplemented("not for such rows");
                                 }};
  FitBestOptions<double> options{.candidates = {broken, gaussian(), small("maf", 1, 8)}, .steps = 50};
  options.fit.learning_rate = 10;  // steps that only harm
  const Best<double> best = fit_best(MatrixView<const double>(y), options);
  CHECK(best.candidates.front().name == "gaussian");
  CHECK(best.candidates.back().problem == "not for such rows");
  CHECK_THAT(to_text(best.candidates), ContainsSubstring("not for such rows"));
  // The flow starts near the Gaussian, and stays there.
  CHECK(best.candidates[1].behind.mean < 0.5);

  options.candidates = {broken, broken};
  CHECK_THROWS_WITH(fit_best(MatrixView<const double>(y), options),
                    ContainsSubstring("no candidate could be fitted") &&
                        ContainsSubstring("broken: not for such rows"));
  CHECK_THROWS_AS(fit_best(MatrixView<const double>(y), {.steps = -1}), DomainError);
  CHECK_THROWS_WITH(fit_best(MatrixView<const double>(y), {.steps = 10, .seconds = 3}), ContainsSubstring("not both"));
  CHECK_THROWS_WITH(fit_best(MatrixView<const double>(Matrix<double>(y.topRows(3))), {}),
                    ContainsSubstring("3 rows are too few to be judged in 2 folds"));
}

TEST_CASE("fit_best with context, for a time, and cancelled after a stage") {
  Matrix<double> y = ring(600, 10), context(600, 1);
  context = 3 * y.col(0).array() + 50;
  const Matrix<double> alone = y.col(1);
  FitBestOptions<double> options{.seconds = 1};
  options.fit.context = context;
  const Best<double> best = fit_best(MatrixView<const double>(alone), options);
  CHECK(best.model->context_dim() == 1);
  CHECK(best.candidates.size() == 4);  // without mixtures, and couplings of one column
  CHECK(best.model->log_prob(alone, context).allFinite());

  Index stages = 0;
  FitBestOptions<double> stopped{.candidates = {small("maf", 1, 8), small("maf", 2, 8), small("maf", 3, 8)},
                                 .steps = 500};
  stopped.callback = [&](const std::string& name, Index stage, Index count) {
    CHECK(name == "maf 1");
    CHECK(stage == 1);
    CHECK(count == 2);
    return ++stages > 1;
  };
  const Best<double> early = fit_best(MatrixView<const double>(y), stopped);
  CHECK(stages == 1);
  CHECK(early.candidates.front().name == "maf 1");
  CHECK_FALSE(early.complete);
  CHECK(best.complete);

  // Cancelled when the winner is fitted to all rows: what the folds judged, as if cancelled before.
  bool raced = false, goes_on = false;
  FitBestOptions<double> last{.candidates = {small("maf", 1, 8)}, .steps = 200, .folds = 2};
  last.fit.callback = [&](const Progress&) { return !raced; };
  last.callback = [&](const std::string&, Index, Index) { return raced = true, goes_on; };
  const Best<double> before = fit_best(MatrixView<const double>(y), last);
  raced = false, goes_on = true;
  const Best<double> in_the_end = fit_best(MatrixView<const double>(y), last);
  CHECK((!before.complete && !in_the_end.complete));
  CHECK(same_bits(values<double>(*in_the_end.model), values<double>(*before.model)));
}

TEST_CASE("of candidates that are as good as the best one the smallest is chosen") {
  const auto normal = [](const char* name, double loc, bool with_parameters) {
    return Candidate<double>{name,
                             [=](const CandidateTask<double>& task) -> Poly<Distribution<double>> {
                               if (!with_parameters) return MultivariateNormalDiag<double>::standard(task.dim);
                               std::vector<double> at(static_cast<std::size_t>(task.dim), 0), one(at.size(), 1);
                               at[0] = loc;
                               return Normal<double>(VectorView<const double>(at), VectorView<const double>(one));
                             },
                             false};
  };
  Engine engine(3);
  const Matrix<double> y = Normal<double>(2).sample(3000, engine);
  const auto choose = [&](std::vector<Candidate<double>> candidates) {
    return fit_best(MatrixView<const double>(y), {.candidates = std::move(candidates), .steps = 10});
  };
  const Best<double> same = choose({normal("four", 0, true), normal("off", 0.4, true), normal("none", 0, false)});
  CHECK(same.candidates[0].name == "none");
  CHECK(same.candidates[0].parameters == 0);
  CHECK(same.candidates[1].name == "four");
  CHECK_THAT(same.reason, Catch::Matchers::ContainsSubstring("none has fewer parameters than four, which is better by "
                                                             "0.000"));
  // What is behind by more than the error is not as good.
  const Best<double> other = choose({normal("four", 0, true), normal("small but off", 0.4, true)});
  CHECK(other.candidates[0].name == "four");
}

TEST_CASE("an ensemble is a mixture of fits with random numbers of their own") {
  const Matrix<double> test = ring(4000, 2);
  for (const Index rows : {150, 2500}) {  // folds, and one split
    const Matrix<double> y = ring(rows, 1);
    FitBestOptions<double> options{.candidates = {small("maf", 2, 8), small("nsf_ar", 1, 32)}, .steps = 1500};
    options.fit.seed = 4;
    const Best<double> one = fit_best(MatrixView<const double>(y), options);
    options.ensemble = 4;
    const Best<double> best = fit_best(MatrixView<const double>(y), options);
    CHECK(best.candidates[0].name == one.candidates[0].name);
    const auto& mixture = dynamic_cast<const Mixture<double>&>(*best.model);
    REQUIRE(mixture.components() == 4);
    // The first is what comes without the others, and these are fits as good.
    CHECK(same_bits(values<double>(mixture.component(0)), values<double>(*one.model)));
    double mean = 0;
    for (Index k = 0; k < 4; ++k) {
      CHECK(std::abs(mixture.weights()[k] - 0.25) < 1e-12);
      const double score = mixture.component(k).log_prob(test).mean();
      CHECK(score > one.model->log_prob(test).mean() - 0.6);
      mean += score / 4;
      for (Index j = 0; j < k; ++j)
        CHECK_FALSE(same_bits(values<double>(mixture.component(j)), values<double>(mixture.component(k))));
    }
    // Of few rows each has learned something else by heart.
    if (rows == 150) CHECK(best.model->log_prob(test).mean() > mean + 0.01);
    Execution execution({.threads = 3});
    options.fit.execution = execution;
    CHECK(same_bits(values<double>(*best.model), values<double>(*fit_best(MatrixView<const double>(y), options).model)));
  }
  double truth = 0;
  const Matrix<double> counts = mixed_rows(200, 1, truth);
  FitBestOptions<double> options{.candidates = {gaussian(), small("maf", 1, 4)}, .steps = 60, .ensemble = 2};
  const Best<double> best = fit_best(MatrixView<const double>(counts), options);
  const auto& quantized = dynamic_cast<const Quantized<double>&>(*best.model);
  CHECK(dynamic_cast<const Mixture<double>&>(quantized.inner()).components() == 2);
  options.ensemble = 0;
  CHECK_THROWS_AS(fit_best(MatrixView<const double>(counts), options), DomainError);
}

TEST_CASE("fit_best gives columns on grids the masses of cells") {
  double truth = 0;
  const Matrix<double> y = mixed_rows(4000, 1, truth), test = mixed_rows(4000, 2, truth);
  FitBestOptions<double> options{.candidates = {gaussian(), small("nsf_ar", 2, 32)}, .steps = 1500};
  options.fit.seed = 3;
  const Best<double> best = fit_best(MatrixView<const double>(y), options);
  REQUIRE(best.rounded.size() == 2);
  CHECK(best.rounded[0].column == 0);
  CHECK(best.rounded[1].column == 1);
  // Probabilities of cells times a density: no higher than the truth but by chance, and not far below it.
  CHECK(best.model->log_prob(test).mean() < truth + 0.03);
  CHECK(best.model->log_prob(test).mean() > truth - 0.15);
  CHECK(best.candidates[0].name == "nsf_ar 2");
  CHECK(best.candidates[1].behind.mean > 0.02);
  // What the table says is what the model says of the same rows.
  const RowSplit split = split_rows(4000, options.fit.validation_fraction, 3);
  const Matrix<double> judged = y(split.validation, Eigen::seqN(0, y.cols()));
  CHECK(std::abs(best.candidates[0].validation.mean - best.model->log_prob(judged).mean()) < 1e-12);
  // Whole numbers come back whole, none of them negative.
  Engine engine(5);
  const Matrix<double> drawn = best.model->sample(20000, engine);
  CHECK(drawn.leftCols(2) == drawn.leftCols(2).array().round().matrix());
  CHECK(drawn.leftCols(2).minCoeff() == 0);
  for (Index c = 0; c < 2; ++c) CHECK(std::abs(drawn.col(c).mean() - y.col(c).mean()) < 0.1);
  // As densities the same rows score what no density can promise.
  options.rounded = std::vector<GridColumn>{};
  CHECK(dynamic_cast<const TransformedDistribution<double>*>(&*fit_best(MatrixView<const double>(y), options).model));
}

TEST_CASE("fit_best refuses grids that the rows do not lie on, or that float cannot tell") {
  Matrix<double> y(40, 1);
  for (Index i = 0; i < 40; ++i) y(i, 0) = 1000 + 0.001 * static_cast<double>(i % 7);
  FitBestOptions<double> wide{.candidates = {gaussian()}, .rounded = std::vector<GridColumn>{{0, {0, 0.001}}}};
  CHECK(fit_best(MatrixView<const double>(y), wide).rounded.size() == 1);
  y(7, 0) = 1000.0005;
  CHECK_THROWS_WITH(fit_best(MatrixView<const double>(y), wide),
                    Catch::Matchers::ContainsSubstring("data row 7, column 0: 1000.0005 is none of the numbers 0 + 0.001 k"));
  const Matrix<float> narrow = y.topRows(7).replicate(6, 1).cast<float>();
  FitBestOptions<float> options;
  options.rounded = std::vector<GridColumn>{{0, {0, 0.001}}};
  CHECK_THROWS_WITH(fit_best(MatrixView<const float>(narrow), options),
                    Catch::Matchers::ContainsSubstring("or float cannot tell; take double"));
}

TEST_CASE("fit_best in folds: the winner knows the grids too") {
  double truth = 0;
  const Matrix<double> y = mixed_rows(300, 1, truth);
  FitBestOptions<double> options{.candidates = {gaussian(), small("maf", 1, 8)}, .steps = 300};
  const Best<double> best = fit_best(MatrixView<const double>(y), options);
  CHECK(best.folds == 5);
  CHECK(best.model->support().to_text() == "integers{0, inf} x integers{0, inf} x real");
  CHECK(best.model->log_prob(y).mean() > truth - 0.8);
  CHECK(best.model->log_prob(y).mean() < truth + 0.3);
}
