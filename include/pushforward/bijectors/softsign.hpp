#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

/// y = x / (1 + |x|), from the real line to (-1, 1), with tails that fall as 1 / |x|.
///
/// log_det = -2 sum_d log(1 + |x_d|)
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none.
/// @par Numerics    `forward` stops at the numbers of T next to -1 and 1. `inverse` is y / (1 - |y|).
/// @par Errors      In `inverse`, |y| >= 1 lies outside the codomain.
/// @par Cost        O(N dim), a division and a logarithm for each value.
/// @throws ShapeError  if dim < 1.
/// @source Bergstra et al. 2009; TFP's `Softsign`.
template <Scalar T>
class Softsign final : public ElementwiseBijector<T> {
 public:
  explicit Softsign(Index dim) : ElementwiseBijector<T>("Softsign", dim) {}

 private:
  using Elements = typename ElementwiseBijector<T>::Elements;
  Elements do_forward_elements(Pass<T>& pass, Var<T> x) const override;
  Elements do_inverse_elements(Pass<T>& pass, Var<T> y) const override;
  Space do_codomain() const override { return Space::box(this->dim(), {-1, 1}); }
  void do_fields(Fields<T>& f) override {
    f.type("softsign");
    this->dim_field(f);
  }
};

extern template class Softsign<float>;
extern template class Softsign<double>;

}  // namespace pushforward
