#include <pushforward/distributions/location_scale_tril.hpp>

#include <Eigen/Cholesky>

#include "distributions/parameters.hpp"
#include "distributions/start.hpp"
#include "src/core/number_text.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
LocationScaleTriL<T>::LocationScaleTriL(std::string name, Index dim)
    : Distribution<T>(std::move(name), dim), loc_({dim}), lower_({dim, dim}), log_diagonal_({dim}) {}

template <Scalar T>
LocationScaleTriL<T>::LocationScaleTriL(std::string name, VectorView<const T> loc, MatrixView<const T> scale_tril)
    : Distribution<T>(std::move(name), loc.size()) {
  const Index dim = loc.size();
  if (scale_tril.rows() != dim || scale_tril.cols() != dim)
    throw ShapeError(this->name() + ": loc has " + std::to_string(dim) + " values but scale_tril is (" +
                     std::to_string(scale_tril.rows()) + ", " + std::to_string(scale_tril.cols()) + ")");
  loc_ = finite_tensor(this->name(), "loc", loc);
  const VectorView<const T> diagonal(scale_tril.data(), dim, scale_tril.row_stride() + scale_tril.col_stride());
  log_diagonal_ = log_tensor(this->name(), "diagonal of scale_tril", diagonal);
  lower_ = Tensor<T>({dim, dim});
  for (Index i = 0; i < dim; ++i)
    for (Index j = i + 1; j < dim; ++j)
      if (scale_tril(i, j) != 0)
        throw DomainError(this->name() + ": scale_tril must be 0 above the diagonal, got " +
                          detail::number_text(scale_tril(i, j)) + " at (" + std::to_string(i) + ", " +
                          std::to_string(j) + "); of a covariance give its Cholesky factor");
  for (Index i = 0; i < dim; ++i)
    for (Index j = 0; j < i; ++j) {
      if (!std::isfinite(scale_tril(i, j)))
        throw DomainError(this->name() + ": scale_tril must be finite, got " + detail::number_text(scale_tril(i, j)) +
                          " at (" + std::to_string(i) + ", " + std::to_string(j) + ")");
      lower_(i, j) = scale_tril(i, j);
    }
}

template <Scalar T>
Var<T> LocationScaleTriL<T>::whiten(Pass<T>& pass, Var<T> y) const {
  return triangular_solve(y - pass.parameter(loc_), pass.parameter(lower_), exp(pass.parameter(log_diagonal_)), true);
}
template <Scalar T>
Var<T> LocationScaleTriL<T>::colour(Pass<T>& pass, Var<T> z) const {
  return triangular_multiply(z, pass.parameter(lower_), exp(pass.parameter(log_diagonal_)), true) +
         pass.parameter(loc_);
}
template <Scalar T>
Column<T> LocationScaleTriL<T>::log_det_scale(Pass<T>& pass) const {
  return row_sum(pass.parameter(log_diagonal_));
}
template <Scalar T>
double LocationScaleTriL<T>::log_det_scale() const {
  double sum = 0;
  for (const T v : log_diagonal_.values()) sum += static_cast<double>(v);
  return sum;
}

template <Scalar T>
void LocationScaleTriL<T>::scale_tril_into(MatrixView<double> out) const {
  for (Index i = 0; i < this->dim(); ++i)
    for (Index j = 0; j < this->dim(); ++j)
      out(i, j) = j < i ? static_cast<double>(lower_(i, j)) : j == i ? exp_at(log_diagonal_, i) : 0.0;
}

template <Scalar T>
void LocationScaleTriL<T>::do_mean(VectorView<double> mean) const {
  for (Index c = 0; c < this->dim(); ++c) mean[c] = at(loc_, c);
}
template <Scalar T>
void LocationScaleTriL<T>::do_mode(VectorView<double> mode) const {
  LocationScaleTriL<T>::do_mean(mode);
}
template <Scalar T>
void LocationScaleTriL<T>::do_variance(VectorView<double> variance) const {
  as_eigen(variance) = do_standard_variance() * scale_tril().rowwise().squaredNorm();
}
template <Scalar T>
void LocationScaleTriL<T>::do_covariance(MatrixView<double> covariance) const {
  const double variance = do_standard_variance();
  const Eigen::MatrixXd scale = scale_tril();
  as_eigen(covariance) = variance * (scale * scale.transpose());
}

template <Scalar T>
bool LocationScaleTriL<T>::do_propose_start(Pass<T>& pass, Var<T> y, const double* weights) const {
  Tape<T>& tape = pass.tape();
  tape.barrier();
  if (tape.rank() == 0) {
    const Index dim = this->dim();
    const StartMoments m = start_moments(y, weights);
    const Eigen::MatrixXd covariance = Eigen::Map<const Eigen::MatrixXd>(m.covariance.data(), dim, dim);
    // Fewer rows than columns: their correlations mean nothing.
    const Eigen::LLT<Eigen::MatrixXd> factor(covariance);
    Eigen::MatrixXd scale = covariance.diagonal().cwiseSqrt().asDiagonal();
    if (factor.info() == Eigen::Success &&
        (factor.matrixLLT().diagonal().array() > 1e-3 * scale.diagonal().array()).all())
      scale = factor.matrixL();
    std::vector<double> lower(static_cast<std::size_t>(dim * dim), 0.0), log_diagonal;
    for (Index i = 0; i < dim; ++i) {
      for (Index j = 0; j < i; ++j) lower[static_cast<std::size_t>(i * dim + j)] = scale(i, j);
      log_diagonal.push_back(std::log(scale(i, i)));
    }
    pass.propose(loc_, m.mean);
    pass.propose(lower_, lower);
    pass.propose(log_diagonal_, log_diagonal);
  }
  tape.barrier();
  return true;
}

template <Scalar T>
void LocationScaleTriL<T>::do_fields(Fields<T>& f) {
  this->dim_field(f);
  const Index dim = this->dim();
  f.parameter("loc", loc_, {dim}, {.decay = false});
  f.parameter("lower", lower_, {dim, dim}, {.decay = false});
  f.parameter("log_diagonal", log_diagonal_, {dim}, {.decay = false});
}

template class LocationScaleTriL<float>;
template class LocationScaleTriL<double>;

}  // namespace pushforward
