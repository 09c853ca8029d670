#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include <pushforward/distribution.hpp>

namespace pushforward {

template <Scalar T>
struct ConditioningOptions {
  MatrixView<const T> context = {};  ///< one row, where the model takes a context
  /// Of each estimate, 1,000 at least. The error falls with the square root; `sample_given` takes more for many rows.
  Index proposals = 10'000;
  Index components = 16;  ///< of the mixture that they come from, at most
  /// Of all draws. The same seed gives the same bits for any number of threads.
  std::uint64_t seed = 0;
  Run execution = {};
};

/// Draws of a model given the values of some columns.
template <Scalar T, class Values = Matrix<T>>
struct ConditionalDraws {
  Values rows;                       ///< (n, dim), the given columns as given
  double log_prob = 0;               ///< log density of the given values, the other columns integrated out: nats
  double standard_error = 0;         ///< of log_prob
  Index proposals = 0;               ///< that the rows were chosen from
  double effective_sample_size = 0;  ///< (sum w)^2 / sum w^2: how many independent draws they are worth
};

namespace detail {
template <Scalar T>
ConditionalDraws<T, MatrixView<T>> sample_given_into(const Distribution<T>& model, const std::vector<Index>& columns,
                                                     VectorView<const T> values, MatrixView<T> rows,
                                                     const ConditioningOptions<T>& options);
template <Scalar T>
void marginal_log_prob_into(const Distribution<T>& model, const std::vector<Index>& columns, MatrixView<const T> values,
                            VectorView<double> log_prob, VectorView<double> standard_error,
                            const ConditioningOptions<T>& options);
Index checked_rows(Index n);
}  // namespace detail

/// Log density of some columns of any model, the others integrated out, for each row of `values`: an estimate with its
/// standard error.
///
///     log p(y_A) = log mean_i w_i,  w_i = p(y_A, b_i) / q(b_i),  b_i ~ q(. | y_A)
///
/// q is a mixture of Student t densities. It starts as the conditional, given y_A, of a Gaussian mixture that is fitted
/// to draws of the model, and is fitted up to five times to its own weighted draws; a tenth always comes from what was
/// there before. Bounded columns are mapped to the real line (ColumnSupports), those on grids are drawn between their
/// numbers, and rounded.
///
/// @param columns  A: which they are; given all, log_prob is that of the model
/// @param values   (N, columns): rows outside the support have -inf, rows with NaN have NaN
/// @par Numerics  The standard error is that of the mean divided by it, sqrt(1 / ESS - 1 / proposals). As of all
///                importance sampling it is itself an estimate, and too small where no proposal came to where the mass
///                is: a small effective sample size says so most of the time.
/// @par Cost      About six times `proposals` evaluations for each row, and as many draws once. Models whose own order
///                of columns begins with these have exact values: `Distribution::prefix_log_prob`.
/// @throws ShapeError      if sizes do not fit.
/// @throws DomainError     for columns that are none of the model's or named twice, or options out of range.
/// @throws NotImplemented  naming the columns, where the support is a simplex, a sphere or of matrices: what they have
///                         in common leaves no measure for some alone.
/// @source Owen 2013, chapter 9; adaptation: Cappe et al. 2008.
template <Scalar T>
[[gnu::always_inline]] inline LogProbEstimate<T> marginal_log_prob(
    const Distribution<T>& model, const std::vector<Index>& columns, std::type_identity_t<MatrixView<const T>> values,
    const std::type_identity_t<ConditioningOptions<T>>& options = {}) {
  LogProbEstimate<T> result{Eigen::VectorXd(values.rows()), Eigen::VectorXd(values.rows())};
  detail::marginal_log_prob_into(model, columns, values, result.value, result.standard_error, options);
  return result;
}

/// n draws of all columns of any model, given the values of some, by importance sampling and systematic resampling from
/// the proposals of `marginal_log_prob`: the rows are independent but for that, and in no order. Proposals are added
/// until no row need come twice, but no more than 100 for each row, or 2^27 numbers in all; if rows repeat,
/// `effective_sample_size` is far below n.
///
/// @param columns  which are given
/// @param values   one for each of them
/// @param n        rows to draw
/// @throws ShapeError, NotImplemented  as `marginal_log_prob`.
/// @throws DomainError  as there; for a value outside the support, naming its column; where the model has no density at
///                      the given values, or none of the proposals met any.
/// @source Douc, Cappe, Moulines 2005: systematic resampling.
template <Scalar T>
[[gnu::always_inline]] inline ConditionalDraws<T> sample_given(
    const Distribution<T>& model, const std::vector<Index>& columns, std::type_identity_t<VectorView<const T>> values,
    Index n, const std::type_identity_t<ConditioningOptions<T>>& options = {}) {
  Matrix<T> rows(detail::checked_rows(n), model.dim());
  const ConditionalDraws<T, MatrixView<T>> drawn = detail::sample_given_into<T>(model, columns, values, rows, options);
  return {std::move(rows), drawn.log_prob, drawn.standard_error, drawn.proposals, drawn.effective_sample_size};
}

}  // namespace pushforward
