#include <pushforward/distributions/multivariate_student_t.hpp>

#include "distributions/draws.hpp"
#include "distributions/parameters.hpp"
#include "src/core/number_text.hpp"
#include "src/numerics/special_functions.hpp"
#include "src/ops/density.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
MultivariateStudentT<T>::MultivariateStudentT(Index dim, double df)
    : LocationScaleTriL<T>("MultivariateStudentT", dim) {
  check_positive(this->name(), "df", VectorView<const double>(&df, 1));
  log_df_ = Tensor<T>({1}, static_cast<T>(std::log(df)));
}
template <Scalar T>
MultivariateStudentT<T>::MultivariateStudentT(double df, VectorView<const T> loc, MatrixView<const T> scale_tril)
    : LocationScaleTriL<T>("MultivariateStudentT", loc, scale_tril) {
  check_positive(this->name(), "df", VectorView<const double>(&df, 1));
  log_df_ = Tensor<T>({1}, static_cast<T>(std::log(df)));
}
template <Scalar T>
double MultivariateStudentT<T>::df() const {
  return exp_at(log_df_, 0);
}

template <Scalar T>
Column<T> MultivariateStudentT<T>::do_log_prob(Pass<T>& pass, Var<T> y) const {
  const Index dim = this->dim();
  const double half_dim = 0.5 * static_cast<double>(dim), half = 0.5 * df();
  const Var<T> log_df = pass.parameter(log_df_);

  const Column<T> normalizer =
      column_of_shared(log_df, log_gamma_ratio(half, dim) - half_dim * (at(log_df_, 0) + log_pi),
                       [half, half_dim, dim](Index) { return half * digamma_difference(half, dim) - half_dim; });
  const Column<T> inverse_df = column_of_shared(log_df, 0.5 / half, [half](Index) { return -0.5 / half; });
  const Column<T> power = column_of_shared(log_df, half + half_dim, [half](Index) { return half; });

  const Column<T> distance = row_sum_of_squares(this->whiten(pass, y));
  return normalizer - this->log_det_scale(pass) - multiply(power, log1p(multiply(distance, inverse_df)));
}

template <Scalar T>
Var<T> MultivariateStudentT<T>::do_sample(Pass<T>& pass) const {
  check_not_recording(pass, this->name());
  const Var<T> z = pass.normal(this->dim());
  const Var<T> factor = pass.draw_each(1, [df = df()](auto& generator) {
    return clamp_to<T>(draw_student_factor(generator, df), T(0), std::sqrt(std::numeric_limits<T>::max()));
  });
  const Var<T> scaled = pass.tape().matrix(this->dim(), false);
  for (Index c = 0; c < this->dim(); ++c) {
    const T *in = pass.tape().value(z, c), *f = pass.tape().value(factor, 0);
    T* out = pass.tape().value(scaled, c);
    for (Index i = 0; i < pass.tape().padded_rows(); ++i) out[i] = in[i] * f[i];
  }
  return this->colour(pass, scaled);
}

template <Scalar T>
void MultivariateStudentT<T>::do_mean(VectorView<double> mean) const {
  if (df() <= 1) throw this->not_implemented("mean", "undefined for df <= 1, and df is " + detail::number_text(df()));
  LocationScaleTriL<T>::do_mean(mean);
}
template <Scalar T>
void MultivariateStudentT<T>::do_variance(VectorView<double> variance) const {
  if (df() <= 1)
    throw this->not_implemented("variance", "undefined for df <= 1, and df is " + detail::number_text(df()));
  if (df() <= 2)
    as_eigen(variance).setConstant(infinity);
  else
    LocationScaleTriL<T>::do_variance(variance);
}
template <Scalar T>
double MultivariateStudentT<T>::do_standard_variance() const {
  if (df() <= 2)
    throw this->not_implemented("covariance", "does not exist for df <= 2, and df is " + detail::number_text(df()));
  return df() / (df() - 2);
}
template <Scalar T>
double MultivariateStudentT<T>::do_entropy() const {
  const double half_dim = 0.5 * static_cast<double>(this->dim()), half = 0.5 * df();
  return this->log_det_scale() + half_dim * (at(log_df_, 0) + log_pi) - log_gamma_ratio(half, this->dim()) +
         (half + half_dim) * digamma_difference(half, this->dim());
}

template <Scalar T>
void MultivariateStudentT<T>::do_fields(Fields<T>& f) {
  f.type("multivariate_student_t");
  LocationScaleTriL<T>::do_fields(f);
  f.parameter("log_df", log_df_, {1}, {.decay = false});
}

template class MultivariateStudentT<float>;
template class MultivariateStudentT<double>;

}  // namespace pushforward
