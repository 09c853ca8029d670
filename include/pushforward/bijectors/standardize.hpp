#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

/// How location and scale of a column are measured.
enum class Standardization {
  none,
  mean_std,   ///< mean and standard deviation (1/N)
  median_iqr  ///< median and interquartile range / 1.349, the standard deviation of a normal: outliers do not matter
};

/// y = scale x + shift for each column, with constants that are computed from data: the base side is standardised.
///
/// log_det = sum_d log(scale_d)
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none. State: shift, scale: (dim), which training leaves alone.
/// @par Cost        O(N dim).
template <Scalar T>
class Standardize final : public ElementwiseBijector<T> {
 public:
  /// The identity.
  explicit Standardize(Index dim);
  /// @throws ShapeError   if the sizes differ.
  /// @throws DomainError  if a shift is not finite or a scale not positive and finite.
  Standardize(VectorView<const double> shift, VectorView<const double> scale);
  /// From the rows of `data`, with weights if given. A column whose values are all equal gets scale 1; one whose
  /// quartiles are equal gets its scale from the 5 % and 95 % quantiles, then from the standard deviation.
  /// @throws ShapeError   if the number of weights differs from the number of rows.
  /// @throws DomainError  if there are no rows, a value is not finite, or the weights do not sum to more than 0.
  static Standardize of(MatrixView<const T> data, Standardization how = Standardization::mean_std,
                        VectorView<const double> weights = {});

  const Tensor<T>& shift() const { return shift_; }
  const Tensor<T>& scale() const { return scale_; }

 private:
  using Elements = typename ElementwiseBijector<T>::Elements;
  Elements do_forward_elements(Pass<T>& pass, Var<T> x) const override;
  Elements do_inverse_elements(Pass<T>& pass, Var<T> y) const override;
  bool do_is_constant_jacobian() const override { return true; }
  void do_fields(Fields<T>& f) override;

  Tensor<T> shift_;
  Tensor<T> scale_;
};

extern template class Standardize<float>;
extern template class Standardize<double>;

}  // namespace pushforward
