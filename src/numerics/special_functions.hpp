#pragma once

// Special functions in double: those of Boost.Math, and what stays accurate where the difference of two large
// logarithms or the logarithm of a probability would not. Nothing throws: what overflows is infinite, what is
// undefined, poles included, NaN.

#include <cmath>

#include <pushforward/views.hpp>

#include "src/numerics/constants.hpp"

namespace pushforward::detail {

// A result that is not used is not computed.
[[gnu::const]] double log_gamma(double x);
[[gnu::const]] double digamma(double x);
[[gnu::const]] double log_beta(double a, double b);
double erfc_inv(double x);

/// W(x) with W exp(W) = x >= 0.
double lambert_w0(double x);

// ---- the normal distribution function Phi, by its logarithm
double log_normal_cdf(double x);
/// d log Phi(x) / dx = phi(x) / Phi(x), from log Phi(x).
double log_normal_cdf_slope(double x, double log_cdf);
/// Derivative of log(phi(x) / Phi(x)) in x, from that: in the left tail nearly 1 / x, as no difference of squares.
double log_normal_hazard_slope(double x, double log_hazard);
/// x with log Phi(x) = log_p; NaN for log_p > 0.
double normal_quantile_of_log(double log_p);

/// log Gamma(x + halves / 2) - log Gamma(x) without the difference of two large numbers.
double log_gamma_ratio(double x, Index halves);
/// Its derivative in x.
double digamma_difference(double x, Index halves);

// ---- what Stirling's formula leaves: sums of large log-gammas whose digits would cancel are sums of these
/// log Gamma(x + 1) - (x + 1/2) log x + x - log(2 pi) / 2.
double stirling_error(double x);
/// digamma(x) - log x.
double digamma_minus_log(double x);
/// log B(a, b) - a log(a / n) - b log(b / n), n = a + b.
double log_beta_rest(double a, double b);
/// a log(a / x) + x - a for x = a + d, accurate near x = a too (Loader 2000, there bd0).
double deviance(double a, double d);

// ---- regularised incomplete functions, their complements and inverses, with the names that Boost.Math gives them
double gamma_p(double a, double x);
double gamma_q(double a, double x);
double gamma_p_inv(double a, double p);
double gamma_q_inv(double a, double q);
double ibeta(double a, double b, double x);
double ibetac(double a, double b, double x);
double ibeta_inv(double a, double b, double p);
double ibetac_inv(double a, double b, double q);

double student_t_cdf(double df, double z);
double student_t_quantile(double df, double p);

// ---- logarithms of probabilities

/// log(p) where p and q = 1 - p are both known accurately.
inline double log_probability(double p, double q) { return p < 0.5 ? std::log(p) : std::log1p(-q); }

/// Below this a probability may have lost digits, so its logarithm comes from a series of its own: the functions below.
inline constexpr double tiny_probability = 1e-290;

double log_tiny_gamma_p(double a, double x);
double log_tiny_gamma_q(double a, double x);
/// log of ibeta(a, b, x), x + y = 1.
double log_tiny_ibeta(double a, double b, double x, double y, double log_x, double log_y, double log_beta);

}  // namespace pushforward::detail
