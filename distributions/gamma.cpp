#include <pushforward/distributions/gamma.hpp>

#include "distributions/draws.hpp"
#include "distributions/parameters.hpp"
#include "src/core/number_text.hpp"
#include "src/numerics/special_functions.hpp"
#include "src/ops/density.hpp"

namespace pushforward {

using namespace detail;

namespace {

// The log density as a function of y, log concentration and log rate. For a large concentration its terms would cancel
// near the mean: there it is Loader's saddle-point form (2000).
class LogDensity {
 public:
  LogDensity(double log_concentration, double log_rate)
      : a_(std::exp(log_concentration)),
        a_minus_1_(std::expm1(log_concentration)),
        rate_(std::exp(log_rate)),
        log_rate_(log_rate),
        log_a_(log_concentration),
        constant_(a_ * log_rate - log_gamma(a_)),
        near_constant_(a_ > large ? 0.5 * (log_concentration - log_2_pi) - stirling_error(a_) : 0),
        digamma_rest_(digamma_minus_log(a_)) {}
  double value(double y) const {
    if (y == 0) return a_minus_1_ == 0 ? log_rate_ : -a_minus_1_ * infinity;
    if (const double d = beyond_mean(y); a_ > large && near(d)) return near_constant_ - std::log(y) - deviance(a_, d);
    return a_minus_1_ * std::log(y) - rate_ * y + constant_;
  }
  double in_x(double y) const { return (a_minus_1_ == 0 ? 0 : a_minus_1_ / y) - rate_; }
  double in_p(double y) const {
    const double d = beyond_mean(y), log_ratio = near(d) ? std::log1p(d / a_) : std::log(y) + log_rate_ - log_a_;
    return a_ * (log_ratio - digamma_rest_);
  }
  double in_q(double y) const { return -beyond_mean(y); }

 private:
  static constexpr double large = 30;
  // In units of 1 / rate.
  double beyond_mean(double y) const { return std::fma(rate_, y, -a_); }
  bool near(double d) const { return std::abs(d) < 0.5 * a_; }

  double a_, a_minus_1_, rate_, log_rate_, log_a_, constant_, near_constant_, digamma_rest_;
};

}  // namespace

template <Scalar T>
Gamma<T>::Gamma(Index dim) : Distribution<T>("Gamma", dim), log_concentration_({dim}), log_rate_({dim}) {}
template <Scalar T>
Gamma<T>::Gamma(VectorView<const T> concentration, VectorView<const T> rate)
    : Distribution<T>("Gamma", concentration.size()) {
  check_sizes("Gamma", "concentration", concentration.size(), "rate", rate.size());
  log_concentration_ = log_tensor("Gamma", "concentration", concentration);
  log_rate_ = log_tensor("Gamma", "rate", rate);
}
template <Scalar T>
Column<T> Gamma<T>::do_log_prob(Pass<T>& pass, Var<T> y) const {
  // The end itself has the limit of the density.
  const Var<T> x = pass.restrict_to(y, 0.0, std::numeric_limits<T>::max(), T(1), true);
  return row_sum_of_density<LogDensity>(x, pass.parameter(log_concentration_), pass.parameter(log_rate_));
}

template <Scalar T>
Var<T> Gamma<T>::do_sample(Pass<T>& pass) const {
  check_not_recording(pass, this->name());
  const Index dim = this->dim();
  return pass.draw_each(dim, [this, dim, next = Index(0)](auto& generator) mutable {
    const Index c = next;
    next = (next + 1) % dim;
    return clamp_to<T>(std::exp(draw_log_gamma(generator, exp_at(log_concentration_, c)) - at(log_rate_, c)),
                       std::numeric_limits<T>::min(), std::numeric_limits<T>::max());
  });
}

template <Scalar T>
Space Gamma<T>::do_support() const {
  return Space::box(this->dim(), {0, infinity});
}

template <Scalar T>
void Gamma<T>::do_mean(VectorView<double> mean) const {
  for (Index c = 0; c < this->dim(); ++c) mean[c] = std::exp(at(log_concentration_, c) - at(log_rate_, c));
}
template <Scalar T>
void Gamma<T>::do_variance(VectorView<double> variance) const {
  for (Index c = 0; c < this->dim(); ++c) variance[c] = std::exp(at(log_concentration_, c) - 2 * at(log_rate_, c));
}
template <Scalar T>
void Gamma<T>::do_mode(VectorView<double> mode) const {
  for (Index c = 0; c < this->dim(); ++c) {
    if (log_concentration_[c] <= 0)
      throw this->not_implemented("mode", "inside the support only for a concentration above 1, and column " +
                                              std::to_string(c) + " has " +
                                              detail::number_text(exp_at(log_concentration_, c)));
    mode[c] = std::expm1(at(log_concentration_, c)) / exp_at(log_rate_, c);
  }
}
template <Scalar T>
double Gamma<T>::do_entropy() const {
  double sum = 0;
  for (Index c = 0; c < this->dim(); ++c) {
    const double a = exp_at(log_concentration_, c);
    sum += 0.5 * (at(log_concentration_, c) + log_2_pi) - at(log_rate_, c) + stirling_error(a) +
           (1 - a) * digamma_minus_log(a);
  }
  return sum;
}

template <Scalar T>
std::optional<double> Gamma<T>::do_kl_divergence(const Distribution<T>& other) const {
  const auto* q = dynamic_cast<const Gamma*>(&other);
  if (!q) return std::nullopt;
  double sum = 0;
  for (Index c = 0; c < this->dim(); ++c) {
    const double a = exp_at(log_concentration_, c), b = exp_at(q->log_concentration_, c);
    const double log_ratio = at(q->log_rate_, c) - at(log_rate_, c);
    sum += deviance(b, a * std::exp(log_ratio) - b) + (a - b) * digamma_minus_log(a) + stirling_error(b) -
           stirling_error(a) - 0.5 * (at(q->log_concentration_, c) - at(log_concentration_, c));
  }
  return sum;
}

template <Scalar T>
void Gamma<T>::do_tails(Tail tail, MatrixView<const T> y, MatrixView<double> out) const {
  by_columns(y, out, [&](Index column) {
    const double a = exp_at(log_concentration_, column), rate = exp_at(log_rate_, column);
    return [=](double y) -> double {
      const double x = y * rate;
      const bool below = x <= 0, beyond = std::isinf(x) && x > 0;
      // One of the two alone where that is what is asked for.
      const double p = below || tail == Tail::survival ? 0 : beyond ? 1 : gamma_p(a, x);
      const double q = below ? 1 : beyond || tail == Tail::cdf ? 0 : gamma_q(a, x);
      if (tail == Tail::log_cdf && p < tiny_probability && !below) return log_tiny_gamma_p(a, x);
      if (tail == Tail::log_survival && q < tiny_probability && !beyond) return log_tiny_gamma_q(a, x);
      return tail_of(tail, p, q);
    };
  });
}

template <Scalar T>
void Gamma<T>::do_quantiles(bool complement, MatrixView<const double> p, MatrixView<double> out) const {
  by_columns(p, out, [&](Index column) {
    const double a = exp_at(log_concentration_, column), rate = exp_at(log_rate_, column);
    return [=](double p) -> double {
      if (p == 0 || p == 1) return (p == 0) == complement ? infinity : 0;
      return (complement ? gamma_q_inv(a, p) : gamma_p_inv(a, p)) / rate;
    };
  });
}

template <Scalar T>
void Gamma<T>::do_fields(Fields<T>& f) {
  f.type("gamma");
  this->dim_field(f);
  f.parameter("log_concentration", log_concentration_, {this->dim()}, {.decay = false});
  f.parameter("log_rate", log_rate_, {this->dim()}, {.decay = false});
}

template class Gamma<float>;
template class Gamma<double>;

}  // namespace pushforward
