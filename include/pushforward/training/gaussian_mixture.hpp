#pragma once

#include <pushforward/distributions/mixture.hpp>
#include <pushforward/stop.hpp>

namespace pushforward {

struct GaussianMixtureOptions {
  Index iterations = 200;   ///< at most
  double tolerance = 1e-4;  ///< it ends when an iteration gains less, in nats per row
  std::uint64_t seed = 0;   ///< of the rows that k-means starts from
  StopToken cancel = {};  ///< looked at before each iteration: it ends with what it has
  /// b in [0, 1), the share of one more component, the Gaussian of all rows: log p(y) >= log N(y; mu, S) + log b, also
  /// far from all rows, where tight components alone leave a density that no spread of the data explains. In the mean
  /// it costs at most -log(1 - b).
  double background = 0;
};

/// A mixture of MultivariateNormalTriL, by expectation maximisation from the start that `Mixture` documents (k-means).
///
/// r_ik = w_k N(y_i; mu_k, S_k) / sum_j w_j N(y_i; mu_j, S_j),  N_k = sum_i r_ik,  w_k = N_k / N,
/// mu_k = sum_i r_ik y_i / N_k,
/// S_k = (sum_i r_ik (y_i - mu_k)(y_i - mu_k)' + n V) / (N_k + n),  n = 2 D + 3
///
/// with V the components' mean covariance after the first step: the conjugate prior that keeps a component of few rows,
/// or of equal ones, from collapsing onto them. Of many rows it leaves no trace; one component is the fitted Gaussian.
/// @param data        (N, dim)
/// @param components  from 1 to N
/// @param options     when it ends, and where it starts
/// @param weights     of the rows, one for each; none: all 1
/// @par Cost  iterations N K D^2, in double, and N (D + K) of memory.
/// @throws ShapeError   if there are no columns or another number of weights than of rows.
/// @throws DomainError  if there are fewer components than 1 or more than rows, a value is not finite, or an option is
///                      out of its range.
/// @source Dempster et al. 1977; the prior: Fraley and Raftery 2007, section 3.2, with the scale n V, none of the mean.
template <Scalar T>
Mixture<T> fit_gaussian_mixture(std::type_identity_t<MatrixView<const T>> data, Index components,
                                const GaussianMixtureOptions& options = {}, VectorView<const double> weights = {});

}  // namespace pushforward
