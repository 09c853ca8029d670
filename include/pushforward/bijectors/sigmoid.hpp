#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

/// y = low + (high - low) / (1 + exp(-x)), from the real line to an open interval for each column.
///
/// log_det = sum_d [log(high_d - low_d) - softplus(x_d) - softplus(-x_d)]
///
/// @par Shapes      x, y: (N, dim); low, high: one number for all columns or (dim).
/// @par Parameters  none; the bounds are constants, rounded to T.
/// @par Numerics    `forward` measures from the nearer bound, and stops at the first number of T inside it: y lies
///                  strictly between low and high for every x. The log_det stays finite and exact for every x, also
///                  where y has stopped. `inverse` is log(y - low) - log(high - y), accurate next to both bounds.
/// @par Errors      In `inverse`, y <= low and y >= high lie outside the codomain.
/// @par Cost        O(N dim), a sigmoid and two softplus, or two logs, for each value.
/// @throws ShapeError   if dim < 1 or the bounds have different sizes.
/// @throws DomainError  if a bound is not finite, or no number of T lies between low and high.
template <Scalar T>
class Sigmoid final : public ElementwiseBijector<T> {
 public:
  explicit Sigmoid(Index dim, double low = 0, double high = 1);
  Sigmoid(VectorView<const double> low, VectorView<const double> high);
  Sigmoid(std::initializer_list<double> low, std::initializer_list<double> high)
      : Sigmoid(VectorView<const double>(low), VectorView<const double>(high)) {}

 private:
  using Elements = typename ElementwiseBijector<T>::Elements;
  Elements do_forward_elements(Pass<T>& pass, Var<T> x) const override;
  Elements do_inverse_elements(Pass<T>& pass, Var<T> y) const override;
  Space do_codomain() const override;
  void do_fields(Fields<T>& f) override;
  void do_restored() override;

  std::vector<double> low_;  // numbers of T
  std::vector<double> high_;
  std::vector<T> middle_;
  Tensor<T> low_row_;
  Tensor<T> high_row_;
  Tensor<T> width_;
  Tensor<T> log_width_;
  Tensor<T> first_;  // the numbers of T next to the bounds
  Tensor<T> last_;
};

extern template class Sigmoid<float>;
extern template class Sigmoid<double>;

}  // namespace pushforward
