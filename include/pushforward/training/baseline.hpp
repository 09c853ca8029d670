#pragma once

#include <functional>
#include <optional>

#include <pushforward/distributions/multivariate_normal_tril.hpp>

namespace pushforward {

/// The Gaussian that a model is compared with: that of maximum likelihood with full covariance; with context, that of
/// the columns for a given context, which the Gaussian of both together implies (a linear regression).
///
/// log_prob(y, c) = log N((y, c); joint) - log N(c; marginal)
///
/// `FitReport::gaussian_baseline` and the command line tool's comparison are its means.
/// @par Shapes  y: (N, dim), c: (N, context_dim), one row for each.
/// @par Cost    of fit O(N D^2 + D^3), of log_prob O(N D^2), D = dim + context_dim.
class GaussianBaseline {
 public:
  /// Calls its argument with each row, dim values and then those of its context, and the row's weight; the same each
  /// time.
  using ForEachRow = std::function<void(const std::function<void(const double* row, double weight)>&)>;

  /// `weights`: one for each row; none: all 1.
  /// @throws ShapeError   if sizes do not fit.
  /// @throws DomainError  as MultivariateNormalTriL::fit, with the column of the data or of the context.
  static GaussianBaseline fit(MatrixView<const double> data, MatrixView<const double> context = {},
                              VectorView<const double> weights = {});
  /// Of rows that need not lie in memory.
  static GaussianBaseline fit(Index dim, Index context_dim, const ForEachRow& rows);

  Index dim() const { return dim_; }
  Index context_dim() const { return joint_.dim() - dim_; }
  /// One value for each row, in nats.
  /// @throws ShapeError  if sizes do not fit.
  [[gnu::always_inline]] Eigen::VectorXd log_prob(MatrixView<const double> data,
                                                  MatrixView<const double> context = {}) const {
    Eigen::VectorXd result(data.rows());
    log_prob_into(data, result, context);
    return result;
  }
  void log_prob_into(MatrixView<const double> data, VectorView<double> out,
                     MatrixView<const double> context = {}) const;

 private:
  GaussianBaseline(Index dim, MultivariateNormalTriL<double> joint) : dim_(dim), joint_(std::move(joint)) {}

  Index dim_;
  MultivariateNormalTriL<double> joint_;
  std::optional<MultivariateNormalTriL<double>> marginal_;  // of the context
};

}  // namespace pushforward
