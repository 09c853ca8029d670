#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

/// Elementwise affine map, y = exp(s) x + shift with s = bound * tanh(log_scale / bound).
///
/// log_det = sum_d s_d
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  shift, log_scale: (dim), unconstrained, initially 0: the identity. |s| never exceeds `bound`
///                  (default 10), nor 87 in float and 708 in double, so a scale lies in [exp(-bound), exp(bound)].
/// @par Cost        O(N dim).
/// @source Papamakarios et al. 2021, eq. 31.
template <Scalar T>
class Affine : public ElementwiseBijector<T> {
 public:
  static constexpr double default_bound = 10;

  /// The identity. @throws DomainError  if bound is not positive; infinity is none.
  explicit Affine(Index dim, double bound = default_bound);
  /// With the given values of the parameters (log_scale before the bound is applied).
  /// @throws ShapeError  if the sizes differ.
  Affine(VectorView<const T> shift, VectorView<const T> log_scale, double bound = default_bound);
  Affine(std::initializer_list<T> shift, std::initializer_list<T> log_scale, double bound = default_bound)
      : Affine(VectorView<const T>(shift), VectorView<const T>(log_scale), bound) {}

  const Tensor<T>& shift() const { return shift_; }
  const Tensor<T>& log_scale() const { return log_scale_; }

 protected:
  struct Values {
    Var<T> shift;
    Var<T> log_scale;
  };
  /// For maps that are this with values of their own in some passes.
  Affine(std::string name, Index dim, double bound);
  double bound() const { return bound_; }
  void affine_fields(Fields<T>& f);
  void do_restored() override;
  /// What the pass uses; `y` is given in inverse.
  virtual Values values(Pass<T>& pass, Var<T> y = {}) const;

 private:
  using Elements = typename ElementwiseBijector<T>::Elements;
  Elements do_forward_elements(Pass<T>& pass, Var<T> x) const override;
  Elements do_inverse_elements(Pass<T>& pass, Var<T> y) const override;
  bool do_is_constant_jacobian() const override { return true; }
  double do_log_scale_bound() const override;
  void do_fields(Fields<T>& f) override;

  Tensor<T> shift_;
  Tensor<T> log_scale_;
  double bound_;
};

extern template class Affine<float>;
extern template class Affine<double>;

}  // namespace pushforward
