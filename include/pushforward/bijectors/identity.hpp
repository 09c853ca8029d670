#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

/// The map that does nothing, y = x.
///
/// log_det = 0
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none.
/// @par Cost        none: the values are not copied on a tape.
/// @throws ShapeError  if dim < 1.
template <Scalar T>
class Identity final : public ElementwiseBijector<T> {
 public:
  explicit Identity(Index dim);

 private:
  using Elements = typename ElementwiseBijector<T>::Elements;
  Elements do_forward_elements(Pass<T>& pass, Var<T> x) const override;
  Elements do_inverse_elements(Pass<T>& pass, Var<T> y) const override;
  bool do_is_constant_jacobian() const override { return true; }
  double do_log_scale_bound() const override { return 0; }
  void do_fields(Fields<T>& f) override;
};

extern template class Identity<float>;
extern template class Identity<double>;

}  // namespace pushforward
