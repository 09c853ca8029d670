#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

/// Translation, y = x + shift.
///
/// log_det = 0
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  shift: (dim), unbounded, initially 0: the identity. No weight decay.
/// @par Cost        O(N dim).
/// @throws ShapeError  if dim < 1.
/// @source Papamakarios et al. 2021, eq. 31, without the scale.
template <Scalar T>
class Shift final : public ElementwiseBijector<T> {
 public:
  /// The identity.
  explicit Shift(Index dim);
  explicit Shift(VectorView<const T> values);
  /// Braces are values, as with std::vector: Shift<double>{2} moves one column by 2, Shift<double>(2) has two columns.
  explicit Shift(std::initializer_list<T> values) : Shift(VectorView<const T>(values)) {}

  const Tensor<T>& shift() const { return shift_; }

 private:
  using Elements = typename ElementwiseBijector<T>::Elements;
  Elements do_forward_elements(Pass<T>& pass, Var<T> x) const override;
  Elements do_inverse_elements(Pass<T>& pass, Var<T> y) const override;
  bool do_is_constant_jacobian() const override { return true; }
  double do_log_scale_bound() const override { return 0; }
  void do_fields(Fields<T>& f) override;

  Tensor<T> shift_;
};

extern template class Shift<float>;
extern template class Shift<double>;

}  // namespace pushforward
