#include <pushforward/distributions/student_t.hpp>

#include <boost/random/normal_distribution.hpp>

#include "distributions/draws.hpp"
#include "distributions/parameters.hpp"
#include "src/core/number_text.hpp"
#include "src/numerics/special_functions.hpp"
#include "src/ops/density.hpp"

namespace pushforward {

using namespace detail;

namespace {

constexpr double far = 1e100;

// log of the cdf at z, far below 0: log of I_x(df / 2, 1 / 2) / 2 with x = df / (df + z^2).
double log_far_tail(double z, double df) {
  const double log_ratio = 2 * std::log(-z) - std::log(df);
  const double log_x = log_ratio > 700 ? -log_ratio : -std::log1p(std::exp(log_ratio)), log_y = log_x + log_ratio;
  return log_tiny_ibeta(0.5 * df, 0.5, std::exp(log_x), std::exp(log_y), log_x, log_y,
                        0.5 * log_pi - log_gamma_ratio(0.5 * df, 1)) -
         log_2;
}

}  // namespace

template <Scalar T>
StudentT<T>::StudentT(Index dim, double df) : LocationScale<T>("StudentT", dim) {
  check_positive("StudentT", "df", VectorView<const double>(&df, 1));
  log_df_ = Tensor<T>({dim}, static_cast<T>(std::log(df)));
}
template <Scalar T>
StudentT<T>::StudentT(VectorView<const T> df, VectorView<const T> loc, VectorView<const T> scale)
    : LocationScale<T>("StudentT", loc, scale) {
  check_sizes("StudentT", "df", df.size(), "loc", loc.size());
  log_df_ = log_tensor("StudentT", "df", df);
}
template <Scalar T>
double StudentT<T>::df_at(Index column) const {
  return exp_at(log_df_, column);
}

template <Scalar T>
Column<T> StudentT<T>::do_standard_log_prob(Pass<T>& pass, Var<T> z) const {
  const Var<T> log_df = pass.parameter(log_df_);
  double constant = 0;
  for (Index c = 0; c < this->dim(); ++c)
    constant += log_gamma_ratio(0.5 * df_at(c), 1) - 0.5 * (at(log_df_, c) + log_pi);
  const Column<T> normalizer = column_of_shared(log_df, constant, [log_df](Index c) {
    const double half = 0.5 * std::exp(static_cast<double>(log_df.values()[c]));
    return half * digamma_difference(half, 1) - 0.5;
  });
  const Var<T> logs = log1p_square(z * exp(T(-0.5) * log_df));
  return normalizer - row_sum(logs * scale_shift(exp(log_df), T(0.5), T(0.5)));
}

template <Scalar T>
Var<T> StudentT<T>::do_standard_sample(Pass<T>& pass) const {
  check_not_recording(pass, this->name());
  constexpr T largest = std::numeric_limits<T>::max();
  const Index dim = this->dim();
  return pass.draw_each(dim, [this, dim, next = Index(0)](auto& generator) mutable {
    const Index c = next;
    next = (next + 1) % dim;
    const double z = boost::random::normal_distribution<double>()(generator);
    return clamp_to<T>(z * draw_student_factor(generator, df_at(c)), -largest, largest);
  });
}

template <Scalar T>
void StudentT<T>::do_mean(VectorView<double> mean) const {
  for (Index c = 0; c < this->dim(); ++c)
    if (df_at(c) <= 1)
      throw this->not_implemented("mean", "undefined for df <= 1, and column " + std::to_string(c) + " has df " +
                                              detail::number_text(df_at(c)));
  LocationScale<T>::do_mean(mean);
}
template <Scalar T>
double StudentT<T>::do_standard_variance(Index column) const {
  const double df = df_at(column);
  if (df <= 1)
    throw this->not_implemented("variance", "undefined for df <= 1, and column " + std::to_string(column) +
                                                " has df " + detail::number_text(df));
  return df <= 2 ? infinity : df / (df - 2);
}
template <Scalar T>
double StudentT<T>::do_standard_entropy(Index column) const {
  const double half = 0.5 * df_at(column);
  return (half + 0.5) * digamma_difference(half, 1) + 0.5 * (at(log_df_, column) + log_pi) - log_gamma_ratio(half, 1);
}
template <Scalar T>
double StudentT<T>::do_standard_cdf(double z, Index column) const {
  if (std::isinf(z)) return z < 0 ? 0 : 1;
  const double df = df_at(column);
  // The square of z is not to overflow.
  if (std::abs(z) > far) return z < 0 ? std::exp(log_far_tail(z, df)) : -std::expm1(log_far_tail(-z, df));
  return student_t_cdf(df, z);
}
template <Scalar T>
double StudentT<T>::do_standard_log_cdf(double z, Index column) const {
  const double p = do_standard_cdf(z, column);
  if (z < 0 && !std::isinf(z) && (p < tiny_probability || z < -far)) return log_far_tail(z, df_at(column));
  return log_probability(p, do_standard_cdf(-z, column));
}
template <Scalar T>
double StudentT<T>::do_standard_quantile(double p, Index column) const {
  return student_t_quantile(df_at(column), p);
}

template <Scalar T>
void StudentT<T>::do_fields(Fields<T>& f) {
  this->family_fields(f, "student_t");
  f.parameter("log_df", log_df_, {this->dim()}, {.decay = false});
}

template class StudentT<float>;
template class StudentT<double>;

}  // namespace pushforward
