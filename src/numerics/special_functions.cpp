#include "src/numerics/special_functions.hpp"

#include <algorithm>
#include <utility>

#include <boost/math/distributions/students_t.hpp>
#include <boost/math/policies/policy.hpp>
#include <boost/math/special_functions/beta.hpp>
#include <boost/math/special_functions/digamma.hpp>
#include <boost/math/special_functions/erf.hpp>
#include <boost/math/special_functions/gamma.hpp>

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
double log_beta(double a, double b) { return log_gamma(a) + log_gamma(b) - log_gamma(a + b); }
double erfc_inv(double x) { return boost::math::erfc_inv(x, Quiet()); }

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

double gamma_p(double a, double x) { return boost::math::gamma_p(a, x, Quick()); }
double gamma_q(double a, double x) { return boost::math::gamma_q(a, x, Quick()); }
double gamma_p_inv(double a, double p) {
  return p > 1e-30 ? boost::math::gamma_p_inv(a, p, Quick()) : boost::math::gamma_p_inv(a, p, Quiet());
}
double gamma_q_inv(double a, double q) {
  return q > 1e-30 ? boost::math::gamma_q_inv(a, q, Quick()) : boost::math::gamma_q_inv(a, q, Quiet());
}
double ibeta(double a, double b, double x) { return boost::math::ibeta(a, b, x, Quiet()); }
double ibetac(double a, double b, double x) { return boost::math::ibetac(a, b, x, Quiet()); }
double ibeta_inv(double a, double b, double p) { return boost::math::ibeta_inv(a, b, p, Quiet()); }
double ibetac_inv(double a, double b, double q) { return boost::math::ibetac_inv(a, b, q, Quiet()); }

double student_t_cdf(double df, double z) { return boost::math::cdf(StudentT<Quick>(df), z); }
// Near the median the result is small, with few degrees of freedom and in the far tails it is huge: there long double
// keeps its digits, or its range.
double student_t_quantile(double df, double p) {
  const double side = std::min(p, 1 - p);
  return df >= 1 && side > 1e-12 && side < 0.4 ? boost::math::quantile(StudentT<Quick>(df), p)
                                               : boost::math::quantile(StudentT<Quiet>(df), p);
}

double log_tiny_gamma_p(double a, double x) {
  double term = 1, sum = 1;
  for (int i = 1; i < 1000000 && term > 1e-17 * sum; ++i) sum += term *= x / (a + i);
  return a * std::log(x) - x - log_gamma(a + 1) + std::log(sum);
}

// Abramowitz and Stegun 6.5.31 with the odd and even terms joined.
double log_tiny_gamma_q(double a, double x) {
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
