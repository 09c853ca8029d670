// Calibration: distributions of test statistics against SciPy's numbers, latent values, and reports by hand.

#include "tests/calibration.hpp"

#include <numbers>
#include <pushforward/bijectors/affine.hpp>
#include <pushforward/bijectors/exp.hpp>
#include <pushforward/distributions/uniform.hpp>
#include <pushforward/error.hpp>
#include <pushforward/latents.hpp>
#include <pushforward/registry.hpp>
#include <pushforward/training/baseline.hpp>

#include "src/diagnostics/statistics.hpp"
#include "tests/catch.hpp"

using namespace calibration_tests;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("Kolmogorov's distribution", "[calibration]") {
  // scipy.stats.kstwo.sf(d, n), SciPy 1.17.1
  struct Row {
    Index n;
    double d, p, tolerance;
  };
  for (const Row& row :
       {Row{10, 0.15811388300841897, 0.931694519567, 3e-3}, Row{10, 0.25298221281347033, 0.469225821724, 3e-3},
        Row{10, 0.31622776601683794, 0.218283853863, 3e-3}, Row{10, 0.43006976178289957, 0.0339012742755, 3e-3},
        Row{10, 0.56920997883030822, 0.00136501667221, 3e-3}, Row{50, 0.070710678118654752, 0.948794487516, 3e-4},
        Row{50, 0.11313708498984761, 0.50813138222, 3e-4}, Row{50, 0.19233304448274094, 0.0428642342369, 3e-4},
        Row{50, 0.2545584412271571, 0.0024140909588, 3e-4}, Row{1000, 0.015811388300841896, 0.960561614475, 2.5e-5},
        Row{1000, 0.025298221281347035, 0.535690965756, 2.5e-5},
        Row{1000, 0.043006976178289961, 0.0480530330138, 2.5e-5},
        Row{1000, 0.05692099788303083, 0.00294376508012, 2.5e-5},
        Row{20000, 0.0035355339059327377, 0.96319073987, 2e-6}, Row{20000, 0.0070710678118654753, 0.268739394345, 2e-6},
        Row{20000, 0.012727922061357855, 0.00304121009595, 2e-6}}) {
    INFO(row.n << ", " << row.d);
    CHECK(std::abs(detail::kolmogorov_survival(row.n, row.d) - row.p) < row.tolerance);
  }
  CHECK(detail::kolmogorov_survival(20000, 0.018384776310850236) == Approx(2.65258470152e-06).epsilon(1e-3));
  CHECK(detail::kolmogorov_survival(50, 0) == 1);
  CHECK(detail::kolmogorov_survival(50, 1) == 0);
}

TEST_CASE("the distribution of Anderson and Darling's statistic", "[calibration]") {
  // P(sum_j X_j^2 / (j (j + 1)) > a) by Imhof's integral with scipy.integrate.quad
  const std::vector<std::pair<double, double>> limit = {
      {0.2, 0.9904125474},    {0.5, 0.7468143735}, {0.775, 0.4994108638},  {1.2, 0.2675348842}, {1.933, 0.09999462321},
      {2.492, 0.05002218637}, {3, 0.02736478834},  {3.878, 0.01000140989}, {5, 0.002874421306}, {7, 0.0003301668018}};
  for (const auto& [a, p] : limit) {
    INFO(a);
    CHECK(std::abs(detail::anderson_darling_survival(1'000'000, a) - p) < 2e-5);
  }
  CHECK(detail::anderson_darling_survival(100, 8.5) == Approx(6.702236016e-05).epsilon(0.05));
  CHECK(detail::anderson_darling_survival(100, 12) == Approx(1.71028909e-06).epsilon(0.05));

  // scipy.stats.kstest(x, 'uniform'); goodness_of_fit(uniform, x, statistic='ad') with 99,999 draws
  const UniformityTest test = detail::test_uniformity({0.41, 0.02, 0.13, 0.4, 0.11, 0.55, 0.97, 0.83});
  CHECK(test.ks == Approx(0.245).epsilon(1e-12));
  CHECK(test.ks_p == Approx(0.6373482169661984).margin(4e-3));
  CHECK(test.ad == Approx(0.6355549244761018).epsilon(1e-12));
  CHECK(test.ad_p == Approx(0.61063).margin(0.005));
  CHECK(test.p() == 1);

  // Of 8 uniform numbers, simulated: what the limit lacks.
  const Index samples = 40000;
  Matrix<double> u(8, samples);
  Engine(3).next_call().uniform<double>(0, 8, samples, u.data(), 8);
  for (const double level : {0.5, 0.05}) {
    double ks = 0, ad = 0;
    for (Index s = 0; s < samples; ++s) {
      const UniformityTest t = detail::test_uniformity({u.col(s).begin(), u.col(s).end()});
      ks += t.ks_p < level;
      ad += t.ad_p < level;
    }
    const double error = std::sqrt(level * (1 - level) / static_cast<double>(samples));
    CHECK(std::abs(ks / static_cast<double>(samples) - level) < 4 * error + 5e-4);
    CHECK(std::abs(ad / static_cast<double>(samples) - level) < 4 * error);
  }
}

TEST_CASE("laws of counts, ranks and scores", "[calibration]") {
  // scipy.stats.binom and betabinom: pmf, two tails, ppf of 0.025 and 0.975
  const auto check = [](const std::vector<double>& law, Index k, double pmf, double p, Index low, Index high) {
    CHECK(law[static_cast<std::size_t>(k)] == Approx(pmf).epsilon(1e-8));
    CHECK(detail::two_sided(law, k) == Approx(p).epsilon(1e-6));
    CHECK(detail::quantile(law, 0.025) == low);
    CHECK(detail::quantile(law, 0.975) == high);
  };
  check(detail::binomial_law(40, 0.2), 3, 0.020519957184929605, 0.05692418891948915, 3, 13);
  check(detail::binomial_law(5000, 0.01), 70, 0.0013190512812958995, 0.008310094807267398, 37, 64);
  check(detail::beta_binomial_law(40, 20, 80), 3, 0.03360552253926508, 0.10477107393806427, 3, 14);
  check(detail::beta_binomial_law(5000, 2000, 198001), 70, 0.0014303112723206225, 0.009209151851186315, 37, 64);
  // scipy.stats.mannwhitneyu(a, b, method='asymptotic', use_continuity=False)
  const detail::RankSum sum = detail::rank_sum({1, 2, 2, 5, 7, 7.5}, {2, 3, 4, 4, 7});
  CHECK(sum.auc == Approx(0.48333333333333334).epsilon(1e-12));
  CHECK(sum.standard_error == Approx(0.18006732747570392).epsilon(1e-9));
  // scipy.stats.norm.ppf and isf
  CHECK(detail::normal_score(0.3, 0.7) == Approx(-0.5244005127080409).epsilon(1e-12));
  CHECK(detail::normal_score(1e-12, 1) == Approx(-7.034483825301131).epsilon(1e-12));
  CHECK(detail::normal_score(1, 1e-12) == Approx(7.034483825301131).epsilon(1e-12));
  using Pairs = std::vector<std::pair<Index, Index>>;
  CHECK(detail::column_pairs(3, 9) == Pairs{{0, 1}, {1, 2}, {0, 2}});
  CHECK(detail::column_pairs(4, 4) == Pairs{{0, 1}, {1, 2}, {2, 3}, {0, 2}});
}

TEST_CASE("classifiers see a shift, a product and a ring", "[calibration]") {
  const Matrix<double> draws = normals(4000, 2, 1);
  Matrix<double> data = normals(4000, 2, 2);
  for (const TwoSampleTest& t : detail::classify(data, draws)) {
    INFO(t.classifier);
    CHECK(t.rows == 2000);
    CHECK(t.p > 0.001);
    CHECK(t.auc == Approx(0.5).margin(4 * t.auc_error));
    CHECK(t.auc_error == Approx(std::sqrt(4001.0 / (12 * 2000.0 * 2000.0))).epsilon(1e-2));
    CHECK(t.accuracy == Approx(0.5).margin(0.04));
  }
  // Of two normal distributions whose means are 1 apart no classifier has more than Phi(1 / sqrt 2) = 0.7602.
  Matrix<double> shifted = data;
  shifted.col(1).array() += 1;
  for (const TwoSampleTest& t : detail::classify(shifted, draws)) {
    INFO(t.classifier);
    CHECK(t.auc > 0.73);
    CHECK(t.auc < 0.785);
    CHECK(t.accuracy == Approx(0.6915).margin(0.03));  // Phi(1/2)
    CHECK(t.p < 1e-20);
  }
  Matrix<double> correlated = data;
  correlated.col(1) = 0.6 * data.col(0) + 0.8 * data.col(1);
  for (const TwoSampleTest& t : detail::classify(correlated, draws)) CHECK(t.p < 1e-8);
  // A ring of the same mean square: no shift, no product.
  Matrix<double> ring = data;
  for (Index i = 0; i < ring.rows(); ++i) ring.row(i) *= std::sqrt(2.0) / ring.row(i).norm();
  CHECK(detail::classify(ring, draws)[1].auc > 0.7);
}

// ------------------------------------------------------------------------------------------------------ latent values

TEST_CASE("latent values are what the maps start from", "[calibration]") {
  const Flow flow = shaken(maf<double>(3, {.layers = 2, .hidden = 8}));
  const Matrix<double> x = normals(50, 3, 4), y = flow.bijector().forward(x).value;
  Matrix<double> got(50, 3);
  REQUIRE(latent_base(flow));
  latent_into(flow, y, got);
  CHECK((got - x).norm() < 1e-8);
  CHECK(latent_base(flow)->cdf(Matrix<double>::Zero(1, 3).eval())(0, 0) == 0.5);

  // Below another map, and behind a context that is standardised: as the inner flow has them.
  const Flow inner = shaken(maf<double>(2, {.layers = 2, .hidden = 8, .context_dim = 1}));
  const Eigen::VectorXd shift = Eigen::VectorXd::Constant(1, 2.0), scale = Eigen::VectorXd::Constant(1, 4.0);
  const Flow outer(Model(StandardizedContext<double>(Model(inner), shift, scale)), Affine<double>(2));
  const Matrix<double> c = normals(50, 1, 6), z = normals(50, 2, 7);
  const Matrix<double> raw = (4 * c.array() + 2).matrix();
  const Matrix<double> rows = inner.bijector().forward(z, c).value;
  Matrix<double> back(50, 2), threads(50, 2);
  latent_into(outer, outer.bijector().forward(rows).value, back, raw);
  CHECK((back - z).norm() < 1e-8);
  CHECK_THROWS_AS(latent_into(outer, rows, back, raw.topRows(3)), ShapeError);
  CHECK_THROWS_AS(latent_into(outer, rows, got, raw), ShapeError);

  // L z = y - loc
  const MultivariateNormalTriL<double> g = gaussian(3, 0.5);
  const Matrix<double> w = (z.leftCols(1) * Matrix<double>::Ones(1, 3) + normals(50, 3, 9));
  const Matrix<double> image = (w * g.scale_tril().transpose()).rowwise() + g.mean().transpose();
  latent_into(g, image, got);
  CHECK((got - w).norm() < 1e-10);
  CHECK(latent_base(g)->dim() == 3);
  CHECK((latent_base(g)->stddev() - Eigen::VectorXd::Ones(3)).norm() == 0);

  // What is no image is its own; cells have none.
  const Uniform<double> uniform({0, 1}, {1, 3});
  CHECK(latent_base(uniform) == &uniform);
  const Quantized<double> cells(Model(Normal<double>(2)), {{0, {0, 1}}});
  CHECK(latent_base(cells) == nullptr);
  CHECK_THROWS_WITH(latent_into(cells, rows, back), ContainsSubstring("do not determine latent values"));
  // Outside, and not known.
  const TransformedDistribution<double> positive(Normal<double>(1), Exp<double>(1));
  Matrix<double> some(3, 1), latents(3, 1);
  some << -1, std::numbers::e, NAN;
  latent_into(positive, some, latents);
  CHECK(std::isnan(latents(0, 0)));
  CHECK(latents(1, 0) == Approx(1).epsilon(1e-12));
  CHECK(std::isnan(latents(2, 0)));
}

// ------------------------------------------------------------------------------------------------------------- reports

TEST_CASE("a report of rows that are known", "[calibration]") {
  Matrix<double> y = normals(3000, 2, 3);
  y(17, 0) = 9;
  const Normal<double> model(2);
  const CalibrationReport r = calibration_report(model, y, {.worst = 3, .columns = {"a", "b"}});
  CHECK(r.rows == 3000);
  CHECK(r.tested == 3000);
  CHECK(r.draws == 66);
  const Eigen::VectorXd log_prob = (-0.5 * y.rowwise().squaredNorm()).array() - std::log(2 * std::numbers::pi);
  CHECK(r.score.mean == Approx(log_prob.mean()).epsilon(1e-12));
  const double deviation = std::sqrt((log_prob.array() - log_prob.mean()).square().sum() / 2999);
  CHECK(r.score.standard_error == Approx(deviation / std::sqrt(3000.0)).epsilon(1e-9));
  CHECK(r.worst_rows.size() == 3);
  CHECK(r.worst_rows[0] == 17);
  CHECK(r.worst_log_prob[0] == Approx(log_prob[17]).epsilon(1e-12));
  std::vector<double> sorted(log_prob.begin(), log_prob.end());
  std::sort(sorted.begin(), sorted.end());
  CHECK(r.median == Approx((sorted[1499] + sorted[1500]) / 2).epsilon(1e-12));
  CHECK(r.quantile_01 == Approx(sorted[29] + 0.99 * (sorted[30] - sorted[29])).epsilon(1e-12));

  // Latent values are the columns; |z|^2 of two is exponential.
  REQUIRE(r.latents.size() == 2);
  CHECK(r.latents[1].values[5] == Approx(0.5 * std::erfc(-y(5, 1) / std::numbers::sqrt2)).epsilon(1e-12));
  CHECK(r.radius[5] == Approx(y.row(5).norm()).epsilon(1e-9));
  CHECK(r.radius_uniforms.values[5] == Approx(-std::expm1(-0.5 * y.row(5).squaredNorm())).epsilon(1e-9));
  // Ranks among 66 draws estimate the same, and densities fall with the radius.
  double worst = 0, mean = 0;
  for (std::size_t i = 0; i < 3000; ++i) {
    worst = std::max(worst, std::abs(r.columns[1].values[i] - r.latents[1].values[i]));
    mean += (r.density.values[i] - (1 - r.radius_uniforms.values[i])) / 3000;
  }
  CHECK(worst < 5 * 0.5 / std::sqrt(66.0) + 1.0 / 67);
  CHECK(std::abs(mean) < 4 * 0.5 / std::sqrt(66.0 * 3000));
  REQUIRE(r.coverage.size() == 6);
  for (const Coverage& c : r.coverage) {
    // The region of probability p has radius^2 below -2 log(1 - p).
    double inside = 0;
    for (Index i = 0; i < 3000; ++i) inside += y.row(i).squaredNorm() < -2 * std::log1p(-c.level);
    CHECK(c.share == Approx(inside / 3000).margin(0.01));
    CHECK(c.low < c.level);
    CHECK(c.high > c.level);
    CHECK(c.high - c.low == Approx(4 * std::sqrt(c.level * (1 - c.level) / 3000)).epsilon(0.25));
  }
  REQUIRE(r.pairs.size() == 1);
  CHECK(std::abs(r.pairs[0].in_data) < 0.08);
  CHECK(r.findings.size() == 7);

  // The baseline: by parts, or of other rows.
  CHECK_THAT(r.baseline_text, ContainsSubstring("each fifth"));
  CHECK(r.baseline.mean == Approx(r.score.mean).margin(0.02));
  CHECK(r.gain.mean == Approx(r.score.mean - r.baseline.mean).margin(1e-9));
  const Matrix<double> other = normals(400, 2, 8);
  const CalibrationReport with = calibration_report(model, y, {.baseline_data = other});
  CHECK(with.baseline.mean == Approx(GaussianBaseline::fit(other).log_prob(y).mean()).epsilon(1e-12));
  CHECK_THAT(with.baseline_text, ContainsSubstring("400 other rows"));
}

TEST_CASE("reports say what is wrong", "[calibration]") {
  const Matrix<double> y = normals(2000, 2, 3);
  Matrix<double> wide = y;
  wide.col(1) *= 1.5;
  CalibrationReport r = calibration_report(Normal<double>(2), wide, {.columns = {"a", "b"}});
  CHECK_FALSE(r.passed);
  CHECK_THAT(r.verdict, ContainsSubstring("The rows are not what the model draws"));
  const auto text_of = [&](const std::string& name) {
    for (const CalibrationFinding& f : r.findings)
      if (f.name == name) return f.text;
    return std::string();
  };
  CHECK(text_of("columns") == "column 'b': its values are spread wider than the model's");
  CHECK_THAT(text_of("density ranks"), ContainsSubstring("too sure"));
  CHECK_THAT(text_of("latent radius"), ContainsSubstring("further out"));

  r = calibration_report(Normal<double>({0, -0.3}, {1, 1}), y);
  CHECK(text_of("columns") == "column 1: its values lie higher than the model's");

  r = calibration_report(Uniform<double>({-2, -9}, {2, 9}), y);
  CHECK(r.density_zero > 0);
  CHECK(r.findings[0].name == "support");
  CHECK_FALSE(r.passed);
  CHECK(std::isfinite(r.score.mean));

  // Holm's rule: the k-th smallest of n times n - k + 1, never falling.
  double before = 0;
  r = calibration_report(Normal<double>(2), y);
  CHECK(r.passed);
  CHECK_THAT(r.verdict, ContainsSubstring("Nothing speaks against the model"));
  for (std::size_t i = 0; i < r.findings.size(); ++i) {
    CHECK(r.findings[i].holm_p >= before);
    CHECK(r.findings[i].holm_p >= std::min(1.0, r.findings[i].p * static_cast<double>(r.findings.size() - i)));
    before = r.findings[i].holm_p;
  }
}

TEST_CASE("masses of cells, mixtures and large tables", "[calibration]") {
  const Quantized<double> cells(Model(Normal<double>({0.3, 2}, {2, 1})), {{0, {0, 0.5}}});
  Engine engine(5);
  const Matrix<double> y = cells.sample(1000, engine);
  const CalibrationReport r = calibration_report(cells, y, {.most_rows = 300, .seed = 4});
  CHECK(r.passed);
  CHECK(r.tested == 300);
  CHECK(r.draws == 99);
  CHECK(std::is_sorted(r.tested_rows.begin(), r.tested_rows.end()));
  CHECK(r.tested_rows.back() > 700);
  CHECK(r.latents.empty());
  CHECK_FALSE(r.latents_text.empty());
  CHECK_THAT(r.baseline_text, ContainsSubstring("the size of a cell"));
  CHECK(r.baseline.mean == Approx(r.score.mean).margin(0.03));

  const Normal<double> wide(300);
  const CalibrationReport w = calibration_report(wide, normals(100, 300, 6), {.draws = 19});
  CHECK(w.passed);
  CHECK(w.pairs.size() == 496);
  CHECK(w.columns.size() == 300);

  const Mixture<double> mixture({Model(gaussian(2, 0.5)), Model(Normal<double>(2))});
  const CalibrationReport m = calibration_report(mixture, mixture.sample(200, engine));
  CHECK(m.latents.empty());
  CHECK(m.passed);
}

TEST_CASE("the same bits for any number of threads, and other draws by another seed", "[calibration]") {
  const auto flow = shaken(maf<double>(2, {.layers = 2, .hidden = 8, .context_dim = 1}));
  const Matrix<double> c = normals(700, 1, 2);
  Engine engine(3);
  const Matrix<double> y = flow.sample_each(c, engine);
  Execution three({.threads = 3});
  const CalibrationReport a = calibration_report(flow, y, {.context = c, .seed = 9}),
                          b = calibration_report(flow, y, {.context = c, .seed = 9, .execution = three}),
                          other = calibration_report(flow, y, {.context = c, .seed = 10});
  CHECK(a.columns[1].values == b.columns[1].values);
  CHECK(a.density.values == b.density.values);
  CHECK(a.radius == b.radius);
  CHECK(a.two_sample[1].auc == b.two_sample[1].auc);
  CHECK(a.verdict == b.verdict);
  CHECK(a.columns[1].values != other.columns[1].values);
  CHECK(a.radius == other.radius);  // nothing is drawn for it

  const CalibrationReport f =
      calibration_report(*pushforward::cast<float>(flow), y.cast<float>().eval(), {.context = c.cast<float>().eval()});
  CHECK(f.passed);
  CHECK(f.score.mean == Approx(a.score.mean).epsilon(1e-4));
}

TEST_CASE("what a report refuses", "[calibration]") {
  const Normal<double> model(2);
  Matrix<double> y = normals(100, 2, 1);
  CHECK_THROWS_WITH(calibration_report(model, y.topRows(19)), ContainsSubstring("at least 20 rows, got 19"));
  CHECK_THROWS_AS(calibration_report(model, y.leftCols(1)), ShapeError);
  CHECK_THROWS_AS(calibration_report(model, y, {.context = y}), ShapeError);
  CHECK_THROWS_WITH(calibration_report(model, y, {.level = 1}), ContainsSubstring("level must lie between 0 and 1"));
  CHECK_THROWS_WITH(calibration_report(model, y, {.coverage = {0.5, 1}}), ContainsSubstring("levels of coverage"));
  CHECK_THROWS_WITH(calibration_report(model, y, {.draws = -1}),
                    ContainsSubstring("draws must be from 0 to 10000, got -1"));
  CHECK_THROWS_AS(calibration_report(model, y, {.most_rows = 5}), DomainError);
  CHECK_THROWS_AS(calibration_report(model, y, {.worst = -1}), DomainError);
  CHECK_THROWS_AS(calibration_report(model, y, {.baseline_data = y.leftCols(1)}), ShapeError);
  y(7, 1) = NAN;
  CHECK_THROWS_WITH(calibration_report(model, y), ContainsSubstring("data row 7, column 1 is not finite"));
  // A constant column has no Gaussian; the rest of the report stands.
  y.col(1).setConstant(1);
  CHECK_THAT(calibration_report(model, y).baseline_text, ContainsSubstring("none: "));
}
