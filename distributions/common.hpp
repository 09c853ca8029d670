#pragma once

// What the sources of the distributions share: checks of parameters, a few fused operations in double, and special
// functions that stay accurate where the difference of two large logarithms would not.

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include <boost/math/policies/policy.hpp>
#include <boost/math/special_functions/beta.hpp>
#include <boost/math/special_functions/digamma.hpp>
#include <boost/math/special_functions/gamma.hpp>
#include <boost/random/exponential_distribution.hpp>
#include <boost/random/gamma_distribution.hpp>

#include <pushforward/distribution.hpp>
#include <pushforward/error.hpp>

#include "src/ops/common.hpp"

namespace pushforward::detail {

inline constexpr double infinity = std::numeric_limits<double>::infinity();
inline constexpr double pi = 3.14159265358979323846;
inline constexpr double log_pi = 1.14472988584940017414;
inline constexpr double log_2 = 0.69314718055994530942;
inline constexpr double log_2_pi = 1.83787706640934548356;

// -------------------------------------------------------------------------------------------------------- checks

inline void check_sizes(const std::string& name, const char* a, Index a_size, const char* b, Index b_size) {
  if (a_size != b_size)
    throw ShapeError(name + ": " + a + " has " + std::to_string(a_size) + " values but " + b + " has " +
                     std::to_string(b_size));
}

template <class T>
void check_finite(const std::string& name, const char* what, VectorView<const T> values) {
  for (Index i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]))
      throw DomainError(name + ": " + what + " must be finite, got " + std::to_string(values[i]) + " at index " +
                        std::to_string(i));
}

template <class T>
void check_positive(const std::string& name, const char* what, VectorView<const T> values) {
  for (Index i = 0; i < values.size(); ++i)
    if (!(values[i] > 0) || !std::isfinite(values[i]))
      throw DomainError(name + ": " + what + " must be positive and finite, got " + std::to_string(values[i]) +
                        " at index " + std::to_string(i));
}

/// Values that must be finite, as a parameter.
template <class T>
Tensor<T> finite_tensor(const std::string& name, const char* what, VectorView<const T> values) {
  check_finite(name, what, values);
  Tensor<T> result({values.size()});
  for (Index i = 0; i < values.size(); ++i) result[i] = values[i];
  return result;
}

/// Logarithms of values that must be positive, as a parameter.
template <class T>
Tensor<T> log_tensor(const std::string& name, const char* what, VectorView<const T> values) {
  check_positive(name, what, values);
  Tensor<T> result({values.size()});
  for (Index i = 0; i < values.size(); ++i) result[i] = static_cast<T>(std::log(static_cast<double>(values[i])));
  return result;
}

template <class T>
bool is_zero(const Tensor<T>& tensor) {
  return std::all_of(tensor.values().begin(), tensor.values().end(), [](T v) { return v == T(0); });
}

template <class T>
double at(const Tensor<T>& tensor, Index i) {
  return static_cast<double>(tensor[i]);
}
template <class T>
double exp_at(const Tensor<T>& tensor, Index i) {
  return std::exp(at(tensor, i));
}

// ------------------------------------------------------------------------------------------------ tape operations

/// `value`, the same in every row, computed from shared matrices; each that is learned gets its part of the gradient
/// by `reduce_to`.
template <Scalar T>
Column<T> shared_value(Tape<T>& tape, double value, bool wanted) {
  const Column<T> c = tape.column(wanted);
  std::fill_n(tape.value(c), tape.padded_rows(), value);
  return c;
}

/// derivative(i) is the derivative of `c`, made by shared_value, in element i of the shared matrix `x`.
template <Scalar T, class Derivative>
void reduce_to(Column<T> c, Var<T> x, Derivative derivative) {
  if (!c.node()->wanted || !x.wants_gradient()) return;
  // Each element is written by the thread that owns it in all other reductions.
  c.node()->tape->on_reduce(0, shared_size(x), shared_size(x), [c, x, derivative](Index begin, Index end) {
    if (!Tape<T>::has_gradient(c)) return;
    const double g = kernel<double>().sum(c.node()->gradient, c.node()->tape->rows());
    for (Index i = begin; i < end; ++i) x.node()->gradient[i] += static_cast<T>(g * derivative(i));
  });
}

/// Sum over the columns of x^2, in double: finite for every float.
template <Scalar T>
Column<T> row_sum_of_squares(Var<T> x) {
  Tape<T>& tape = x.tape();
  const Column<T> y = tape.column(x.wants_gradient());
  const Index n = tape.padded_rows();
  double* out = tape.value(y);
  std::fill_n(out, n, 0.0);
  for (Index c = 0; c < x.cols(); ++c) {
    const T* in = tape.value(x, c);
    for (Index i = 0; i < n; ++i) out[i] += static_cast<double>(in[i]) * static_cast<double>(in[i]);
  }
  if (y.node()->wanted)
    tape.on_backward([x, y, n] {
      if (!Tape<T>::has_gradient(y)) return;
      Tape<T>& tape = x.tape();
      const double* g = tape.gradient(y);
      for (Index c = 0; c < x.cols(); ++c) {
        const T* in = tape.value(x, c);
        T* gx = tape.gradient(x, c);
        for (Index i = 0; i < n; ++i) gx[i] += static_cast<T>(2.0 * g[i] * static_cast<double>(in[i]));
      }
    });
  return y;
}

/// log(1 + x^2) elementwise, also where x^2 overflows.
template <Scalar T>
Var<T> log1p_square(Var<T> x) {
  // Beyond the limit 1 + x^2 rounds to x^2.
  constexpr T limit = sizeof(T) == 4 ? T(1e9) : T(1e18);
  Tape<T>& tape = x.tape();
  const Var<T> y = tape.matrix(x.cols(), x.wants_gradient());
  const Index n = tape.padded_rows();
  for (Index c = 0; c < x.cols(); ++c) {
    const T* in = tape.value(x, c);
    T* out = tape.value(y, c);
    for (Index i = 0; i < n; ++i) out[i] = in[i] * in[i];
    kernel<T>().log1p(out, out, n);
    for (Index i = 0; i < n; ++i)
      if (std::abs(in[i]) > limit) out[i] = T(2) * std::log(std::abs(in[i]));
  }
  record(y, [x, y, n] {
    Tape<T>& tape = x.tape();
    for (Index c = 0; c < x.cols(); ++c) {
      const T *in = tape.value(x, c), *g = tape.gradient(y, c);
      T* gx = tape.gradient(x, c);
      for (Index i = 0; i < n; ++i)
        gx[i] += g[i] * (std::abs(in[i]) > limit ? T(2) / in[i] : T(2) * in[i] / (T(1) + in[i] * in[i]));
    }
  });
  return y;
}

/// sum_c log density(x_c; p_c, q_c) for a density of two learned rows p and q, in double throughout: normalisers and
/// terms of opposite sign may be large. Density(p, q) has value(x) and the derivatives in_x(x), in_p(x), in_q(x).
template <class Density, Scalar T>
Column<T> row_sum_of_density(Var<T> x, Var<T> p, Var<T> q) {
  const auto density = [p, q](Index c) {
    return Density(static_cast<double>(p.values()[c]), static_cast<double>(q.values()[c]));
  };
  Tape<T>& tape = x.tape();
  const Column<T> y = tape.column(x.wants_gradient() || p.wants_gradient() || q.wants_gradient());
  const Index n = tape.padded_rows();
  double* out = tape.value(y);
  std::fill_n(out, n, 0.0);
  for (Index c = 0; c < x.cols(); ++c) {
    const Density f = density(c);
    const T* in = tape.value(x, c);
    for (Index i = 0; i < n; ++i) out[i] += f.value(static_cast<double>(in[i]));
  }
  if (!y.node()->wanted) return y;
  if (x.wants_gradient())
    tape.on_backward([x, y, density, n] {
      if (!Tape<T>::has_gradient(y)) return;
      Tape<T>& tape = x.tape();
      const double* g = tape.gradient(y);
      for (Index c = 0; c < x.cols(); ++c) {
        const Density f = density(c);
        const T* in = tape.value(x, c);
        T* gx = tape.gradient(x, c);
        for (Index i = 0; i < n; ++i) gx[i] += static_cast<T>(g[i] * f.in_x(static_cast<double>(in[i])));
      }
    });
  if (p.wants_gradient() || q.wants_gradient())
    tape.on_reduce(0, x.cols(), x.cols(), [x, p, q, y, density](Index begin, Index end) {
      if (!Tape<T>::has_gradient(y)) return;
      const double* g = y.node()->gradient;
      for (Index c = begin; c < end; ++c) {
        const Density f = density(c);
        const T* in = full_column(x, c);
        double in_p = 0, in_q = 0;
        for (Index i = 0; i < x.tape().rows(); ++i) {
          in_p += g[i] * f.in_p(static_cast<double>(in[i]));
          in_q += g[i] * f.in_q(static_cast<double>(in[i]));
        }
        if (p.wants_gradient()) p.node()->gradient[c] += static_cast<T>(in_p);
        if (q.wants_gradient()) q.node()->gradient[c] += static_cast<T>(in_q);
      }
    });
  return y;
}

// ---------------------------------------------------------------------------------------------- special functions

/// Nothing throws: what overflows is infinite.
namespace policies = boost::math::policies;
using Quiet = policies::policy<policies::domain_error<policies::ignore_error>,
                               policies::pole_error<policies::ignore_error>,
                               policies::overflow_error<policies::ignore_error>,
                               policies::evaluation_error<policies::ignore_error>>;

inline double log_gamma(double x) { return boost::math::lgamma(x, Quiet()); }
inline double digamma(double x) { return boost::math::digamma(x, Quiet()); }
inline double log_beta(double a, double b) { return log_gamma(a) + log_gamma(b) - log_gamma(a + b); }

/// log Gamma(x + halves / 2) - log Gamma(x) without the difference of two large numbers.
inline double log_gamma_ratio(double x, Index halves) {
  double sum = 0;
  for (; halves >= 2; halves -= 2, x += 1) sum += std::log(x);
  return halves == 0 ? sum : sum - std::log(boost::math::tgamma_delta_ratio(x, 0.5, Quiet()));
}

/// Its derivative in x.
inline double digamma_difference(double x, Index halves) {
  double sum = 0;
  for (; halves >= 2; halves -= 2, x += 1) sum += 1 / x;
  if (halves == 0) return sum;
  if (x < 100) return sum + digamma(x + 0.5) - digamma(x);
  const double r = 1 / (x * x);
  return sum + 0.5 / x + r * (1.0 / 8 + r * (-1.0 / 64 + r / 128));
}

/// log(p) where p and q = 1 - p are both known accurately.
inline double log_probability(double p, double q) { return p < 0.5 ? std::log(p) : std::log1p(-q); }

/// Below this a probability may have lost digits, so its logarithm comes from a series of its own.
inline constexpr double tiny_probability = 1e-290;

/// b_0 + a_1 / (b_1 + a_2 / (b_2 + ...)) by Lentz's method; next(n) gives the pair (a_n, b_n), a_0 is not read.
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

/// log of the regularised incomplete beta function I_x(a, b), x + y = 1, where it is below tiny_probability.
/// DiDonato and Morris, ACM TOMS 18, 1992, eq. 9.
inline double log_tiny_ibeta(double a, double b, double x, double y, double log_x, double log_y, double log_beta) {
  const double f = continued_fraction([=](double m) {
    // Both terms with it are 0 for m = 0.
    const double denominator = m == 0 ? 1 : a + 2 * m - 1;
    return std::pair((a + m - 1) / denominator * (a + b + m - 1) / denominator * m * (b - m) * x * x,
                     m + m * (b - m) * x / denominator +
                         (a + m) / (a + 2 * m + 1) * (a * y - b * x + 1 + m * (2 - x)));
  });
  return a * log_x + b * log_y - log_beta - std::log(f);
}

// ------------------------------------------------------------------------------------------------- random numbers

/// log of a draw from Gamma(concentration, 1); small concentrations do not underflow.
template <class Generator>
double draw_log_gamma(Generator& generator, double concentration) {
  if (concentration >= 1) return std::log(boost::random::gamma_distribution<double>(concentration)(generator));
  const double larger = boost::random::gamma_distribution<double>(concentration + 1)(generator);
  return std::log(larger) - boost::random::exponential_distribution<double>()(generator) / concentration;
}

/// sqrt(df / X) with X from the chi-squared distribution with df degrees of freedom.
template <class Generator>
double draw_student_factor(Generator& generator, double df) {
  return std::exp(0.5 * (std::log(0.5 * df) - draw_log_gamma(generator, 0.5 * df)));
}

template <Scalar T>
T clamp_to(double value, T low, T high) {
  return value <= static_cast<double>(low) ? low : value >= static_cast<double>(high) ? high : static_cast<T>(value);
}

/// Draws that do not follow the parameters cannot be part of a recorded loss.
template <Scalar T>
void check_not_recording(const Pass<T>& pass, const std::string& name) {
  if (pass.recording())
    throw NotImplemented(name + "::sample: samples are not differentiable in the parameters, so none can be recorded");
}

}  // namespace pushforward::detail
