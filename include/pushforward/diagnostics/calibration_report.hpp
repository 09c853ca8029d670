#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <pushforward/distribution.hpp>
#include <pushforward/training/fit.hpp>
#include <string>
#include <vector>

namespace pushforward {

/// Kolmogorov's and Anderson and Darling's tests of values that are uniform on (0, 1) if the model is right.
struct UniformityTest {
  double ks = 0;    ///< D_n, the largest distance between the two distribution functions
  double ks_p = 1;  ///< P(a right model gives at least this)
  double ad = 0;    ///< A^2, which weighs the tails more
  double ad_p = 1;
  /// Of both together, by Bonferroni.
  double p() const { return std::min(1.0, 2 * std::min(ks_p, ad_p)); }
};

/// One value for each tested row, uniform and independent of the others if the model is right, and what the tests say.
struct Uniforms {
  std::vector<double> values;
  UniformityTest test;
};

/// The products (y_a - m_a) (y_b - m_b) of two columns, m near the middle, ranked among those of the row's draws.
struct PairCalibration {
  Index first = 0, second = 0;  ///< from dim on: columns of the context
  UniformityTest test;
  /// Correlations of normal scores: of the rows, and of as many draws.
  double in_data = 0, in_draws = 0;
};

/// How many rows lie in the region of highest density that holds `level` of the model's probability.
struct Coverage {
  double level = 0;
  double share = 0;  ///< of the tested rows
  /// Where a right model's share lies in 95 of 100 cases: binomial, and wider by what the draws leave open.
  double low = 0, high = 1;
  double p = 1;
};

/// A classifier learns to tell rows from draws on one half of both; on the other a right model leaves it to chance.
struct TwoSampleTest {
  std::string classifier;
  Index rows = 0;        ///< of data on the other half, and as many draws
  double accuracy = 0;   ///< share of right answers; of a right model 1/2
  double auc = 0;        ///< probability that a row scores higher than a draw; of a right model 1/2
  double auc_error = 0;  ///< standard error for a right model
  double p = 1;          ///< one-sided
};

/// What a group of tests says.
struct CalibrationFinding {
  std::string name;    ///< "columns", "latent values", ...
  Index tests = 0;     ///< in the group
  double p = 1;        ///< the smallest, times their number
  double holm_p = 1;   ///< corrected for the number of groups too
  bool found = false;  ///< holm_p is below the level
  std::string text;    ///< what differs, in words
};

struct CalibrationReport {
  Index rows = 0;    ///< all are scored
  Index tested = 0;  ///< a random choice of them, if there are more than `most_rows`
  Index draws = 0;   ///< of the model for each tested row
  double level = 0;
  std::vector<Index> tested_rows;  ///< their numbers, rising; all lists of values below follow them

  MeanLogLikelihood score;                              ///< nats per row
  Index density_zero = 0;                               ///< rows outside the support; `score` is without them
  double quantile_01 = 0, median = 0, quantile_99 = 0;  ///< of all rows' log_prob
  /// By the GaussianBaseline, and the model's score minus it, of the same rows.
  MeanLogLikelihood baseline, gain;
  std::string baseline_text;      ///< what it was fitted to, or why there is none
  std::vector<Index> worst_rows;  ///< lowest log_prob first
  std::vector<double> worst_log_prob, worst_baseline;

  std::vector<Uniforms> columns;  ///< rank of the value among the row's draws, for each column
  /// Distribution functions of the base at the latent values (Rosenblatt's transform), for each column of the base.
  std::vector<Uniforms> latents;
  std::string latents_text;    ///< why there are none
  std::vector<double> radius;  ///< |z| of the latent values' normal scores z, chi distributed
  Uniforms radius_uniforms;    ///< chi-square distribution function of its square
  Uniforms density;            ///< rank of the row's log_prob among those of its draws: how far out it lies
  std::vector<Coverage> coverage;
  std::vector<PairCalibration> pairs;
  std::vector<TwoSampleTest> two_sample;

  std::vector<CalibrationFinding> findings;  ///< smallest p first
  bool passed = true;                        ///< nothing was found
  std::string verdict;                       ///< in words
};

template <Scalar T>
struct CalibrationOptions {
  MatrixView<const T> context = {};  ///< (N, context_dim), or one row for all
  /// Rows to fit the Gaussian baseline to: those that the model was fitted to. None: each fifth of the rows is scored
  /// by the Gaussian of the others.
  MatrixView<const T> baseline_data = {};
  MatrixView<const T> baseline_context = {};
  Index draws = 0;           ///< for each tested row; 0: 200,000 in all, from 19 to 99; 10,000 at most
  Index most_rows = 20'000;  ///< that are tested
  double level = 0.02;       ///< probability that something is found in a right model, at most
  std::vector<double> coverage = {0.5, 0.8, 0.9, 0.95, 0.99, 0.999};
  Index worst = 10;  ///< rows to name
  /// Names for the texts, of the data's columns and then the context's; empty: numbers.
  std::vector<std::string> columns = {};
  /// Of draws, ties and the choice of rows. The same seed gives the same bits for any number of threads.
  std::uint64_t seed = 0;
  Run execution = {};
};

/// Whether rows that the model was not fitted to are what it draws: scores, tests, and a verdict in words.
///
/// Of each tested row K draws of the model are made, at its context. A number s of the row (a column's value, a product
/// of two, log_prob) then has the rank
///
///     u = (#{s_k < s} + v (1 + #{s_k = s})) / (K + 1),  v uniform
///
/// which for a right model is exactly uniform on (0, 1) and independent between rows: ties are settled at random, so it
/// holds for counts and rounded numbers too. Where rows determine latent values x (`Latents`), u is the base's cdf of x
/// instead (Rosenblatt 1952), and z = Phi^-1(u) has |z|^2 ~ chi-square.
///
/// The tests come in groups, within which p-values are multiplied by the number of tests, and between which by Holm's
/// rule: that a right model is rejected has at most the probability `level`. That nothing is found does not prove the
/// model: smaller faults need more rows. Rows that the model was fitted to may seem better than they are.
///
/// Coverage regions are {y : log p(y) >= t}, t from the pooled draws (the row's own, given a context). C2ST: a linear
/// discriminant on normal scores, their squares and products, and nearest neighbours.
///
/// @par Cost  (K + 3) draws and log_prob for each tested row; memory for 32 MB of draws at a time and 16 bytes for each
///            draw. Of more than 32 columns 496 pairs are tested, neighbours first, and of more than 250 the
///            classifiers see 250.
/// @throws ShapeError   if sizes do not fit.
/// @throws DomainError  for fewer than 20 rows, values that are not finite, a log_prob that is NaN (with the row), or
///                      options out of range.
/// @source Kolmogorov: Marsaglia, Tsang, Wang 2003 and Vrbik 2018; Anderson and Darling: Marsaglia and Marsaglia 2004;
///         ranks: Talts et al. 2018; C2ST: Lopez-Paz and Oquab 2017; Holm 1979.
template <Scalar T>
CalibrationReport calibration_report(const Distribution<T>& model, std::type_identity_t<MatrixView<const T>> data,
                                     const std::type_identity_t<CalibrationOptions<T>>& options = {});

}  // namespace pushforward
