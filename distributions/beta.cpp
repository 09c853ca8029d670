#include <pushforward/distributions/beta.hpp>

#include <cmath>
#include <limits>

#include "distributions/draws.hpp"
#include "distributions/parameters.hpp"
#include "src/core/number_text.hpp"
#include "src/numerics/special_functions.hpp"
#include "src/ops/density.hpp"

namespace pushforward {

using namespace detail;

namespace {

// The log density as a function of y and the logarithms of the two concentrations. For large ones its terms would
// cancel near the mean: there it is Loader's saddle-point form (2000).
class LogDensity {
 public:
  LogDensity(double log_a, double log_b)
      : a_(std::exp(log_a)),
        b_(std::exp(log_b)),
        a_minus_1_(std::expm1(log_a)),
        b_minus_1_(std::expm1(log_b)),
        constant_(-log_beta(a_, b_)),
        near_constant_(a_ + b_ > large ? -log_beta_rest(a_, b_) : 0),
        digamma_rest_(digamma_minus_log(a_ + b_)),
        constant_in_a_(digamma_rest_ - digamma_minus_log(a_)),
        constant_in_b_(digamma_rest_ - digamma_minus_log(b_)) {}
  double value(double y) const {
    if (y == 0) return a_minus_1_ == 0 ? std::log(b_) : -a_minus_1_ * infinity;
    if (y == 1) return b_minus_1_ == 0 ? std::log(a_) : -b_minus_1_ * infinity;
    if (const double d = beyond_mean(y); a_ + b_ > large && near(d, a_) && near(d, b_))
      return near_constant_ - std::log(y) - std::log1p(-y) - deviance(a_, d) - deviance(b_, -d);
    return a_minus_1_ * std::log(y) + b_minus_1_ * std::log1p(-y) + constant_;
  }
  double in_x(double y) const {
    return (a_minus_1_ == 0 ? 0 : a_minus_1_ / y) - (b_minus_1_ == 0 ? 0 : b_minus_1_ / (1 - y));
  }
  double in_p(double y) const {
    const double d = beyond_mean(y);
    return a_ * ((near(d, a_) ? std::log1p(d / a_) : std::log(y) - std::log(a_ / (a_ + b_))) + constant_in_a_);
  }
  double in_q(double y) const {
    const double d = -beyond_mean(y);
    return b_ * ((near(d, b_) ? std::log1p(d / b_) : std::log1p(-y) - std::log(b_ / (a_ + b_))) + constant_in_b_);
  }

 private:
  static constexpr double large = 100;
  // (a + b) y - a = b y - a (1 - y), to the last place.
  double beyond_mean(double y) const {
    const double low = a_ * (1 - y), error = std::fma(-a_, 1 - y, low);
    return std::fma(b_, y, -low) + error;
  }

  static bool near(double d, double of) { return std::abs(d) < 0.5 * of; }

  double a_, b_, a_minus_1_, b_minus_1_, constant_, near_constant_, digamma_rest_, constant_in_a_, constant_in_b_;
};

}  // namespace

template <Scalar T>
Beta<T>::Beta(Index dim) : Distribution<T>("Beta", dim), log_concentration1_({dim}), log_concentration0_({dim}) {}
template <Scalar T>
Beta<T>::Beta(VectorView<const T> concentration1, VectorView<const T> concentration0)
    : Distribution<T>("Beta", concentration1.size()) {
  check_sizes("Beta", "concentration1", concentration1.size(), "concentration0", concentration0.size());
  log_concentration1_ = log_tensor("Beta", "concentration1", concentration1);
  log_concentration0_ = log_tensor("Beta", "concentration0", concentration0);
}
template <Scalar T>
Column<T> Beta<T>::do_log_prob(Pass<T>& pass, Var<T> y) const {
  // The ends themselves have the limits of the density.
  const Var<T> x = pass.restrict_to(y, 0.0, 1.0, T(0.5), true);
  return row_sum_of_density<LogDensity>(x, pass.parameter(log_concentration1_), pass.parameter(log_concentration0_));
}

template <Scalar T>
Var<T> Beta<T>::do_sample(Pass<T>& pass) const {
  check_not_recording(pass, this->name());
  const Index dim = this->dim();
  return pass.draw_each(dim, [this, dim, next = Index(0)](auto& generator) mutable {
    const Index c = next;
    next = (next + 1) % dim;
    // X / (X + Y) by logarithms: small concentrations would give 0 / 0.
    const double log_x = draw_log_gamma(generator, exp_at(log_concentration1_, c));
    const double log_y = draw_log_gamma(generator, exp_at(log_concentration0_, c));
    return clamp_to<T>(1 / (1 + std::exp(log_y - log_x)), std::numeric_limits<T>::min(), std::nextafter(T(1), T(0)));
  });
}

template <Scalar T>
Space Beta<T>::do_support() const {
  return Space::box(this->dim(), {0, 1});
}

template <Scalar T>
void Beta<T>::do_mean(VectorView<double> mean) const {
  for (Index c = 0; c < this->dim(); ++c)
    mean[c] = 1 / (1 + std::exp(at(log_concentration0_, c) - at(log_concentration1_, c)));
}
template <Scalar T>
void Beta<T>::do_variance(VectorView<double> variance) const {
  for (Index c = 0; c < this->dim(); ++c) {
    const double a = exp_at(log_concentration1_, c), b = exp_at(log_concentration0_, c), sum = a + b;
    variance[c] = (a / sum) * (b / sum) / (sum + 1);
  }
}
template <Scalar T>
void Beta<T>::do_mode(VectorView<double> mode) const {
  for (Index c = 0; c < this->dim(); ++c) {
    const double a = std::expm1(at(log_concentration1_, c)), b = std::expm1(at(log_concentration0_, c));
    if (a <= 0 || b <= 0)
      throw this->not_implemented("mode", "unique inside (0, 1) only if both concentrations exceed 1, and column " +
                                              std::to_string(c) + " has " + detail::number_text(a + 1) + " and " +
                                              detail::number_text(b + 1));
    mode[c] = a / (a + b);
  }
}
template <Scalar T>
double Beta<T>::do_entropy() const {
  double sum = 0;
  for (Index c = 0; c < this->dim(); ++c) {
    const double a = exp_at(log_concentration1_, c), b = exp_at(log_concentration0_, c);
    sum += log_beta_rest(a, b) + std::log(a) + std::log(b) - 2 * std::log(a + b) - (a - 1) * digamma_minus_log(a) -
           (b - 1) * digamma_minus_log(b) + (a + b - 2) * digamma_minus_log(a + b);
  }
  return sum;
}

template <Scalar T>
std::optional<double> Beta<T>::do_kl_divergence(const Distribution<T>& other) const {
  const auto* q = dynamic_cast<const Beta*>(&other);
  if (!q) return std::nullopt;
  double sum = 0;
  for (Index c = 0; c < this->dim(); ++c) {
    const double a = exp_at(log_concentration1_, c), b = exp_at(log_concentration0_, c);
    const double other_a = exp_at(q->log_concentration1_, c), other_b = exp_at(q->log_concentration0_, c);
    const double n = a + b, other_n = other_a + other_b;
    sum += deviance(other_a, a / n * other_n - other_a) + deviance(other_b, b / n * other_n - other_b) +
           log_beta_rest(other_a, other_b) - log_beta_rest(a, b) + (a - other_a) * digamma_minus_log(a) +
           (b - other_b) * digamma_minus_log(b) - (n - other_n) * digamma_minus_log(n);
  }
  return sum;
}

template <Scalar T>
void Beta<T>::do_tails(Tail tail, MatrixView<const T> y, MatrixView<double> out) const {
  by_columns(y, out, [&](Index column) {
    const double a = exp_at(log_concentration1_, column), b = exp_at(log_concentration0_, column);
    return [=](double y) -> double {
      const bool below = y <= 0, beyond = y >= 1;
      // One of the two alone where that is what is asked for.
      const double p = below || tail == Tail::survival ? 0 : beyond ? 1 : ibeta(a, b, y);
      const double q = below ? 1 : beyond || tail == Tail::cdf ? 0 : ibetac(a, b, y);
      if (tail == Tail::log_cdf && p < tiny_probability && !below)
        return log_tiny_ibeta(a, b, y, 1 - y, std::log(y), std::log1p(-y), log_beta(a, b));
      if (tail == Tail::log_survival && q < tiny_probability && !beyond)
        return log_tiny_ibeta(b, a, 1 - y, y, std::log1p(-y), std::log(y), log_beta(a, b));
      return tail_of(tail, p, q);
    };
  });
}

namespace {

/// Quantile near 0, from I_x(a, b) = x^a / (a B(a, b)) [1 + a (1 - b) / (a + 1) x + O(x^2)]: where Boost's root finder
/// gives up. NaN where x is not small enough for two terms.
double lower_end_quantile(double a, double b, double p) {
  const double x = std::exp((std::log(p) + std::log(a) + log_beta(a, b)) / a);
  const double correction = (b - 1) / (a + 1) * x;
  return std::abs(correction) < 1e-7 && x < 1e-7 ? x * (1 + correction) : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

template <Scalar T>
void Beta<T>::do_quantiles(bool complement, MatrixView<const double> p, MatrixView<double> out) const {
  by_columns(p, out, [&](Index column) {
    const double a = exp_at(log_concentration1_, column), b = exp_at(log_concentration0_, column);
    return [=](double p) -> double {
      if (p == 0 || p == 1) return (p == 0) == complement ? 1 : 0;
      const double end = complement ? lower_end_quantile(b, a, p) : lower_end_quantile(a, b, p);
      if (!std::isnan(end)) return complement ? 1 - end : end;
      return complement ? ibetac_inv(a, b, p) : ibeta_inv(a, b, p);
    };
  });
}

template <Scalar T>
void Beta<T>::do_fields(Fields<T>& f) {
  f.type("beta");
  this->dim_field(f);
  f.parameter("log_concentration1", log_concentration1_, {this->dim()}, {.decay = false});
  f.parameter("log_concentration0", log_concentration0_, {this->dim()}, {.decay = false});
}

template class Beta<float>;
template class Beta<double>;

}  // namespace pushforward
