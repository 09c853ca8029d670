#pragma once

// What the batch normalisation of matrices on a tape and of tensors have in common, channel by channel:
//
//   out = gamma ((x - mean) / s r + d) + beta,   s^2 = v = variance + epsilon,   log_det = log(gamma r) - log(v) / 2
//   dx  = a (g - mean(g)) + b (x - mean) + c,    a = gamma r / s,                 g the adjoint of out
//
// The kernels have both forms; `adjoint_slope` gives b. dgamma = sum g ((x - mean) / s r + d), dbeta = sum g.

#include <cmath>
#include <pushforward/views.hpp>

namespace pushforward::detail {

/// m / (m - 1): a variance of m values times this is unbiased. 1 where it is not wanted, and for one value.
inline double bessel(bool wanted, double m) { return wanted && m > 1 ? m / (m - 1) : 1.0; }

/// A mean as T has it, and what that leaves out.
template <Scalar T>
struct SplitMean {
  explicit SplitMean(double mean)
      : rounded(static_cast<T>(mean)),
        rest(std::isfinite(mean) ? static_cast<T>(mean - static_cast<double>(rounded)) : T(0)) {}
  T rounded, rest;
};

/// b = (2 dvariance - (a sum g (x - mean) + dlog_det) / v - dinvstd / s^3) / m: the adjoint of the variance, that given
/// and that through s, times d variance / d x = 2 (x - mean) / m; with Bessel's correction m - 1 stands for m.
/// Ioffe & Szegedy 2015, section 3; for log_det Papamakarios et al. 2017, eq. 22.
inline double adjoint_slope(double a_gd, double dlog_det, double v, double m, double dvariance = 0,
                            double dinvstd_by_cube = 0) {
  return (2 * dvariance - (a_gd + dlog_det) / v - dinvstd_by_cube) / m;
}

}  // namespace pushforward::detail
