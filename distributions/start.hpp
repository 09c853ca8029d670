#pragma once

// First values of parameters from the rows of a batch.

#include <vector>

#include <pushforward/distribution.hpp>

namespace pushforward::detail {

/// Weighted mean and covariance of the rows of a batch, all threads' rows, in row order. A spread below a thousandth of
/// that of all rows is raised to it, so that no component starts on a point.
struct StartMoments {
  std::vector<double> mean;
  std::vector<double> deviation;
  std::vector<double> covariance;  // (dim, dim)
};
/// Called by one thread, after a barrier.
template <Scalar T>
StartMoments start_moments(Var<T> y, const double* weights);

/// The cluster, in [0, count), of each row: k-means on columns scaled to one deviation, the best of 8 runs from
/// k-means++ centres. `weights` of all rows, or null. Rows beyond the first 4096 go to the nearest centre of these.
template <Scalar T>
std::vector<Index> cluster_rows(Var<T> y, const T* weights, Index count);

/// Proposes trainable parameters with normal numbers added: a tenth of each tensor's root mean square, at least 0.03.
template <Scalar T>
void propose_change(Pass<T>& pass, const Component<T>& component, Index stream);

}  // namespace pushforward::detail
