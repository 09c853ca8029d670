#include "src/numerics/special_functions.hpp"

#include <algorithm>
#include <utility>

#include <boost/math/distributions/students_t.hpp>
#include <boost/math/policies/policy.hpp>
#include <boost/math/special_functions/beta.hpp>
#include <boost/math/special_functions/digamma.hpp>
#include <boost/math/special_functions/erf.hpp>
#include <boost/math/special_functions/gamma.hpp>
#include <boost/math/special_functions/lambert_w.hpp>
#include <boost/math/special_functions/log1p.hpp>

namespace pushforward::detail {

namespace {

namespace policies = boost::math::policies;
using Quiet = policies::policy<policies::domain_error<policies::ignore_error>,
                               policies::pole_error<policies::ignore_error>,
                               policies::overflow_error<policies::ignore_error>,
                               policies::evaluation_error<policies::ignore_error>>;
// Without long double on the way: five to fifteen times faster, to within roundings of the arguments. Not so the
// incomplete beta function, which then has six digits where one parameter is small.
using Quick = policies::normalise<Quiet, policies::promote_double<false>>::type;
template <class Policy>
using StudentT = boost::math::students_t_distribution<double, Policy>;

// b_0 + a_1 / (b_1 + a_2 / (b_2 + ...)) by Lentz's method; next(n) gives the pair (a_n, b_n), a_0 is not read.
template <class Next>
double continued_fraction(Next next) {
  double f = next(0).second, c = f, d = 0;
  for (int n = 1; n < 1000000; ++n) {
    const auto [a, b] = next(n);
    d = 1 / (b + a * d);
    c = b + a / c;
    f *= c * d;
    if (std::abs(c * d - 1) < 1e-15) break;
  }
  return f;
}

}  // namespace

double log_gamma(double x) { return boost::math::lgamma(x, Quiet()); }
double digamma(double x) { return boost::math::digamma(x, Quiet()); }
double log_beta(double a, double b) {
  const double n = a + b, small = std::min(a, b) / n;
  if (n < 100) return log_gamma(a) + log_gamma(b) - log_gamma(n);
  return log_beta_rest(a, b) + std::min(a, b) * std::log(small) + std::max(a, b) * std::log1p(-small);
}
double erfc_inv(double x) { return boost::math::erfc_inv(x, Quiet()); }

double lambert_w0(double x) {
  return x <= std::numeric_limits<double>::max() ? boost::math::lambert_w0(x, Quiet()) : x;  // infinite, or NaN
}

namespace {

// Phi(x) = phi(x) / |x| (1 + rest) for x < -37, where erfc runs out of numbers: the asymptotic series.
constexpr double series_end = -37;
double tail_rest(double x) {
  const double r = 1 / (x * x);
  return r * (-1 + r * (3 + r * (-15 + r * (105 - 945 * r))));
}

}  // namespace

double log_normal_cdf(double x) {
  if (x > 0) return std::log1p(-0.5 * std::erfc(x * sqrt_half));
  if (x > series_end) return std::log(0.5 * std::erfc(-x * sqrt_half));
  return -0.5 * x * x - std::log(-x) - 0.5 * log_2_pi + std::log1p(tail_rest(x));
}

double log_normal_cdf_slope(double x, double log_cdf) {
  return x < series_end ? -x / (1 + tail_rest(x)) : std::exp(-0.5 * x * x - 0.5 * log_2_pi - log_cdf);
}

double log_normal_hazard_slope(double x, double log_hazard) {
  const double rest = tail_rest(x);
  return x < series_end ? -x * rest / (1 + rest) : -x - std::exp(log_hazard);
}

double normal_quantile_of_log(double log_p) {
  constexpr double sqrt_2 = 1 / sqrt_half;
  if (log_p > -log_2) return sqrt_2 * erfc_inv(-2 * std::expm1(log_p));
  if (log_p > -690) return -sqrt_2 * erfc_inv(2 * std::exp(log_p));
  if (!(log_p >= -std::numeric_limits<double>::max())) return log_p;  // -infinity, or NaN
  // Newton's steps from the first terms of the series: the function is nearly a parabola there.
  double x = -std::sqrt(-2 * log_p - log_2_pi - std::log(-2 * log_p));
  for (int k = 0; k < 4; ++k) {
    const double value = log_normal_cdf(x);
    x -= (value - log_p) / log_normal_cdf_slope(x, value);
  }
  return x;
}

double log_gamma_ratio(double x, Index halves) {
  double sum = 0;
  for (; halves >= 2; halves -= 2, x += 1) sum += std::log(x);
  return halves == 0 ? sum : sum - std::log(boost::math::tgamma_delta_ratio(x, 0.5, Quiet()));
}

double digamma_difference(double x, Index halves) {
  double sum = 0;
  for (; halves >= 2; halves -= 2, x += 1) sum += 1 / x;
  if (halves == 0) return sum;
  if (x < 100) return sum + digamma(x + 0.5) - digamma(x);
  const double r = 1 / (x * x);
  return sum + 0.5 / x + r * (1.0 / 8 + r * (-1.0 / 64 + r / 128));
}

double stirling_error(double x) {
  if (x < 15) return log_gamma(x + 1) - (x + 0.5) * std::log(x) + x - 0.5 * log_2_pi;
  const double r = 1 / (x * x);
  return (1.0 / 12 + r * (-1.0 / 360 + r * (1.0 / 1260 + r * (-1.0 / 1680 + r / 1188)))) / x;
}

double digamma_minus_log(double x) {
  if (x < 15) return digamma(x) - std::log(x);
  const double r = 1 / (x * x);
  return -0.5 / x + r * (-1.0 / 12 + r * (1.0 / 120 + r * (-1.0 / 252 + r * (1.0 / 240 - r / 132))));
}

double log_beta_rest(double a, double b) {
  const double n = a + b;
  return stirling_error(a) + stirling_error(b) - stirling_error(n) +
         0.5 * (log_2_pi + std::log(n) - std::log(a) - std::log(b));
}

double deviance(double a, double d) {
  const double e = d / a;
  return -a * (std::abs(e) < 0.1 ? boost::math::log1pmx(e, Quick()) : std::log1p(e) - e);
}

namespace {

// Boost's series and fractions stop too early for a concentration above some 3e10, and say nothing.
constexpr double large_concentration = 1e8;

// P and Q(a, x) for a large concentration: Temme 1979, with eta^2 / 2 = x / a - 1 - log(x / a) and
//   Q = erfc(eta sqrt(a / 2)) / 2 + exp(-a eta^2 / 2) (1 / (x / a - 1) - 1 / eta + O(1 / a)) / sqrt(2 pi a).
class LargeGamma {
 public:
  LargeGamma(double a, double x)
      : a_(a),
        x_(x),
        e_((x - a) / a),
        half_square_(e_ < -0.5 ? e_ - std::log(x / a) : deviance(1, e_)),
        exponent_(a * half_square_),
        t_(std::sqrt(exponent_)) {
    const double eta = std::copysign(std::sqrt(2 * half_square_), e_);
    // DLMF 8.12.11
    const double c = std::abs(eta) > 0.1
                         ? 1 / e_ - 1 / eta
                         : -1.0 / 3 + eta * (1.0 / 12 + eta * (-2.0 / 135 + eta * (1.0 / 864 + eta * (1.0 / 2835 +
                               eta * (-139.0 / 777600 + eta / 25515)))));
    rest_ = c / std::sqrt(2 * pi * a);
  }
  double p() const {
    const double tail = 0.5 * std::erfc(t_), rest = rest_ * std::exp(-exponent_);
    return e_ <= 0 ? tail - rest : 1 - tail - rest;
  }
  double q() const {
    const double tail = 0.5 * std::erfc(t_), rest = rest_ * std::exp(-exponent_);
    return e_ >= 0 ? tail + rest : 1 - tail + rest;
  }
  double log_p() const { return e_ <= 0 ? std::log(0.5 * scaled_erfc() - rest_) - exponent_ : std::log(p()); }
  double log_q() const { return e_ >= 0 ? std::log(0.5 * scaled_erfc() + rest_) - exponent_ : std::log(q()); }
  double log_density() const {
    return 0.5 * (std::log(a_) - log_2_pi) - std::log(x_) - exponent_ - stirling_error(a_);
  }

 private:
  // exp(t^2) erfc(t), t >= 0.
  double scaled_erfc() const {
    if (t_ < 20) return std::exp(exponent_) * std::erfc(t_);
    const double r = -0.5 / exponent_;
    double term = 1, sum = 1;
    for (int k = 1; k < 8; ++k) sum += term *= (2 * k - 1) * r;
    return sum / (t_ * std::sqrt(pi));
  }

  double a_, x_, e_, half_square_, exponent_, t_, rest_;
};

// Where the smaller of both is `target`: Newton's method in logarithms, from Wilson and Hilferty's cube, which is off by
// a small part of a standard deviation.
double large_gamma_inv(double a, double target, bool upper) {
  const double s = -std::sqrt(2.0) * erfc_inv(2 * target) * (upper ? -1 : 1);
  const double cube = 1 - 1 / (9 * a) + s / (3 * std::sqrt(a));
  double x = a * cube * cube * cube;
  for (int i = 0; i < 4; ++i) {
    const LargeGamma at(a, x);
    const double log_value = upper ? at.log_q() : at.log_p();
    x += (upper ? 1 : -1) * (log_value - std::log(target)) * std::exp(log_value - at.log_density());
  }
  return x;
}

}  // namespace

double gamma_p(double a, double x) {
  return a > large_concentration ? LargeGamma(a, x).p() : boost::math::gamma_p(a, x, Quick());
}
double gamma_q(double a, double x) {
  return a > large_concentration ? LargeGamma(a, x).q() : boost::math::gamma_q(a, x, Quick());
}
double gamma_p_inv(double a, double p) {
  if (a > large_concentration) return p <= 0.5 ? large_gamma_inv(a, p, false) : large_gamma_inv(a, 1 - p, true);
  return p > 1e-30 ? boost::math::gamma_p_inv(a, p, Quick()) : boost::math::gamma_p_inv(a, p, Quiet());
}
double gamma_q_inv(double a, double q) {
  if (a > large_concentration) return q <= 0.5 ? large_gamma_inv(a, q, true) : large_gamma_inv(a, 1 - q, false);
  return q > 1e-30 ? boost::math::gamma_q_inv(a, q, Quick()) : boost::math::gamma_q_inv(a, q, Quiet());
}
double ibeta(double a, double b, double x) { return boost::math::ibeta(a, b, x, Quiet()); }
double ibetac(double a, double b, double x) { return boost::math::ibetac(a, b, x, Quiet()); }
double ibeta_inv(double a, double b, double p) { return boost::math::ibeta_inv(a, b, p, Quiet()); }
double ibetac_inv(double a, double b, double q) { return boost::math::ibetac_inv(a, b, q, Quiet()); }

double student_t_cdf(double df, double z) {
  // Two terms of the series about the median, where Boost's result has few digits of the difference from 1/2.
  if (z * z * (1 + 1 / df) < 1e-8) {
    const double density = std::exp(log_gamma_ratio(0.5 * df, 1) - 0.5 * (std::log(df) + log_pi));
    return 0.5 + density * z * (1 - (1 + 1 / df) * z * z / 6);
  }
  return boost::math::cdf(StudentT<Quick>(df), z);
}
// Near the median the result is small, with few degrees of freedom and in the far tails it is huge: there long double
// keeps its digits, or its range.
double student_t_quantile(double df, double p) {
  const double side = std::min(p, 1 - p);
  return df >= 1 && side > 1e-12 && side < 0.4 ? boost::math::quantile(StudentT<Quick>(df), p)
                                               : boost::math::quantile(StudentT<Quiet>(df), p);
}

double log_tiny_gamma_p(double a, double x) {
  if (a > large_concentration) return LargeGamma(a, x).log_p();
  double term = 1, sum = 1;
  for (int i = 1; i < 1000000 && term > 1e-17 * sum; ++i) sum += term *= x / (a + i);
  return a * std::log(x) - x - log_gamma(a + 1) + std::log(sum);
}

// Abramowitz and Stegun 6.5.31 with the odd and even terms joined.
double log_tiny_gamma_q(double a, double x) {
  if (a > large_concentration) return LargeGamma(a, x).log_q();
  const double f = continued_fraction([=](double n) { return std::pair(n * (a - n), x + 1 - a + 2 * n); });
  return a * std::log(x) - x - log_gamma(a) - std::log(f);
}

// DiDonato and Morris, ACM TOMS 18, 1992, eq. 9.
double log_tiny_ibeta(double a, double b, double x, double y, double log_x, double log_y, double log_beta) {
  const double f = continued_fraction([=](double m) {
    // Both terms with it are 0 for m = 0.
    const double denominator = m == 0 ? 1 : a + 2 * m - 1;
    return std::pair((a + m - 1) / denominator * (a + b + m - 1) / denominator * m * (b - m) * x * x,
                     m + m * (b - m) * x / denominator +
                         (a + m) / (a + 2 * m + 1) * (a * y - b * x + 1 + m * (2 - x)));
  });
  return a * log_x + b * log_y - log_beta - std::log(f);
}

}  // namespace pushforward::detail
