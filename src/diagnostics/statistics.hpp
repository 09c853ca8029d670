#pragma once

// Distributions of test statistics where the model is right.

#include <pushforward/diagnostics/calibration_report.hpp>
#include <vector>

namespace pushforward::detail {

/// P(D_n >= d) for Kolmogorov's two-sided statistic of n values; absolute error below 6e-4 for n = 20, 2e-4 for 100,
/// 2e-5 for 1,000.
double kolmogorov_survival(Index n, double d);
/// P(A_n^2 >= a) for the statistic of Anderson and Darling; absolute error below 2e-5.
double anderson_darling_survival(Index n, double a);
UniformityTest test_uniformity(std::vector<double> u);

/// The inverse of the normal distribution function, from the smaller of p and q = 1 - p.
double normal_score(double p, double q);

/// Probabilities of 0, ..., n.
std::vector<double> binomial_law(Index n, double p);
/// Of n values, so many lie below the a-th smallest of a + b - 1 others.
std::vector<double> beta_binomial_law(Index n, double a, double b);
/// P(a count is as far out as k, to either side): twice the smaller tail.
double two_sided(const std::vector<double>& law, Index k);
/// The smallest k with P(count <= k) >= p.
Index quantile(const std::vector<double>& law, double p);

/// Probability that a score of `a` is above one of `b`, ties counted half; with the standard error for scores of one
/// distribution (Mann and Whitney).
struct RankSum {
  double auc = 0.5, standard_error = 0;
};
RankSum rank_sum(const std::vector<double>& a, const std::vector<double>& b);

/// Of two groups of rows, (N, D), row i of both at the same context; trains on even rows, judges odd ones.
std::vector<TwoSampleTest> classify(MatrixView<const double> data, MatrixView<const double> draws);

/// For each column of both, the normal scores of the ranks in both together; equal values have equal ones.
void to_normal_scores(Matrix<double>& data, Matrix<double>& draws);

/// Pairs of columns, neighbours first, at most so many.
std::vector<std::pair<Index, Index>> column_pairs(Index columns, std::size_t most);

}  // namespace pushforward::detail
