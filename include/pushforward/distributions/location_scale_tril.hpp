#pragma once

#include <pushforward/distribution.hpp>

namespace pushforward {

/// What multivariate families with a location and a lower triangular scale have in common: y = loc + L z.
///
/// @par Parameters  loc: (dim), initially 0; lower: (dim, dim), its entries below the diagonal are those of L, the
///                  others are 0; log_diagonal: (dim), initially 0: the diagonal of L is
///                  exp(log_diagonal). All unconstrained.
template <Scalar T>
class LocationScaleTriL : public Distribution<T> {
 public:
  const Tensor<T>& loc() const { return loc_; }
  const Tensor<T>& lower() const { return lower_; }
  const Tensor<T>& log_diagonal() const { return log_diagonal_; }
  /// L, (dim, dim).
  [[gnu::always_inline]] Eigen::MatrixXd scale_tril() const {
    const Index dim = this->dim();
    Eigen::MatrixXd scale(dim, dim);
    scale_tril_into(scale);
    return scale;
  }

 protected:
  LocationScaleTriL(std::string name, Index dim);
  LocationScaleTriL(std::string name, VectorView<const T> loc, MatrixView<const T> scale_tril);

  /// L^-1 (y - loc)
  Var<T> whiten(Pass<T>& pass, Var<T> y) const;
  /// loc + L z
  Var<T> colour(Pass<T>& pass, Var<T> z) const;
  /// log det L, in every row.
  Column<T> log_det_scale(Pass<T>& pass) const;
  double log_det_scale() const;

  /// The mean, and the Cholesky factor of the covariance.
  bool do_propose_start(Pass<T>& pass, Var<T> y, const double* weights) const override;
  void do_fields(Fields<T>& f) override;
  void do_mean(VectorView<double> mean) const override;
  void do_variance(VectorView<double> variance) const override;
  void do_covariance(MatrixView<double> covariance) const override;
  void do_mode(VectorView<double> mode) const override;

 private:
  void scale_tril_into(MatrixView<double> out) const;
  /// The variance of z, equal in all directions.
  virtual double do_standard_variance() const = 0;

  Tensor<T> loc_;
  Tensor<T> lower_;
  Tensor<T> log_diagonal_;
};

extern template class LocationScaleTriL<float>;
extern template class LocationScaleTriL<double>;

}  // namespace pushforward
