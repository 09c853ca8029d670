#pragma once

#include <cstdint>
#include <vector>

#include <pushforward/bijector.hpp>

namespace pushforward {

/// Elementwise scaling, y = sign * exp(s) * x with s = bound * tanh(log_scale / bound).
///
/// log_det = sum_d s_d
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  log_scale: (dim), unconstrained, initially 0: the identity. |s| never exceeds `bound` (default 10),
///                  nor 87 in float and 708 in double, so |scale| lies in [exp(-bound), exp(bound)]. The sign of each
///                  column is a constant: a scale that could pass through 0 in training would not stay invertible. No
///                  weight decay.
/// @par Numerics    The scale given to the constructor comes back to a few roundings, as exp(s).
/// @par Cost        O(N dim).
/// @source Papamakarios et al. 2021, eq. 31, without the shift.
template <Scalar T>
class Scale final : public ElementwiseBijector<T> {
 public:
  static constexpr double default_bound = 10;

  /// The identity. @throws DomainError  if bound is not positive; infinity is none.
  explicit Scale(Index dim, double bound = default_bound);
  /// Starts from the given scales, which may be negative.
  /// @throws DomainError  if a value is 0, not finite, or beyond what `bound` allows.
  explicit Scale(VectorView<const T> values, double bound = default_bound);
  /// Braces are values, as with std::vector: Scale<double>{2} doubles one column, Scale<double>(2) has two columns.
  explicit Scale(std::initializer_list<T> values, double bound = default_bound)
      : Scale(VectorView<const T>(values), bound) {}

  const Tensor<T>& log_scale() const { return log_scale_; }
  /// +1 or -1 for each column.
  const std::vector<std::int64_t>& sign() const { return sign_; }

 private:
  using Elements = typename ElementwiseBijector<T>::Elements;
  Elements do_forward_elements(Pass<T>& pass, Var<T> x) const override;
  Elements do_inverse_elements(Pass<T>& pass, Var<T> y) const override;
  bool do_is_constant_jacobian() const override { return true; }
  std::vector<bool> do_is_increasing() const override;
  double do_log_scale_bound() const override;
  void do_fields(Fields<T>& f) override;
  void do_restored() override;
  Var<T> bounded(Pass<T>& pass) const;
  Var<T> factor(Pass<T>& pass, Var<T> log_factor) const;

  Tensor<T> log_scale_;
  std::vector<std::int64_t> sign_;
  double bound_;
};

extern template class Scale<float>;
extern template class Scale<double>;

}  // namespace pushforward
