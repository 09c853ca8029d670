#pragma once

namespace pushforward::kernels {

/// Puts a part's mean and sum of squared deviations to those of what came before it, in the order of the calls.
/// `before` is the weight of the latter (0 for the first part), `share` the part's weight over that of both.
/// @source Chan, Golub & LeVeque 1979, eq. 2.1
inline void merge_moments(double before, double share, double part_mean, double part_m2, double& mean, double& m2) {
  const double delta = part_mean - mean;
  // The first part is taken as it is: a mean that starts from 0 would cost bits.
  mean = before == 0 ? part_mean : mean + delta * share;
  m2 = before == 0 ? part_m2 : m2 + part_m2 + delta * delta * (before * share);
}

}  // namespace pushforward::kernels
