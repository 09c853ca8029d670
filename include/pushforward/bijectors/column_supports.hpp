#pragma once

#include <limits>
#include <optional>
#include <vector>

#include <pushforward/bijector.hpp>
#include <pushforward/bijectors/sigmoid.hpp>

namespace pushforward {

/// From the real line in every column to the support of the column:
///
///     (-inf, inf)  y = x
///     (low, inf)   y = low + log(1 + exp(x))
///     (-inf, high) y = high - log(1 + exp(-x))
///     (low, high)  y = low + (high - low) / (1 + exp(-x))
///
/// log_det: the sum of those of the columns; each increases.
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none; the bounds are constants.
/// @par Numerics    As Softplus and Sigmoid.
/// @par Errors      In `inverse`, values on or beyond a bound lie outside the codomain.
/// @par Cost        O(N dim).
/// @throws ShapeError   if there are no columns.
/// @throws DomainError  if a bound is NaN or low is not below high.
template <Scalar T>
class ColumnSupports final : public ElementwiseBijector<T> {
 public:
  explicit ColumnSupports(std::vector<Interval> supports);
  explicit ColumnSupports(Blank) : ElementwiseBijector<T>("ColumnSupports") {}

  const std::vector<Interval>& supports() const { return supports_; }

 private:
  using Elements = typename ElementwiseBijector<T>::Elements;
  enum class Kind { real, above, below, between };
  /// Neighbouring columns of one kind.
  struct Range {
    Kind kind;
    Index begin;
    Index count;
    Tensor<T> bound;  // of `above` and `below`
    std::vector<double> low, high;
    std::vector<T> inside;  // a point of the support
    std::optional<Sigmoid<T>> sigmoid;
  };
  static Kind kind(const Interval& support);
  Elements map(bool forward, Pass<T>& pass, Var<T> in) const;
  Elements map_range(bool forward, const Range& range, Pass<T>& pass, Var<T> in) const;
  Elements do_forward_elements(Pass<T>& pass, Var<T> x) const override { return map(true, pass, x); }
  Elements do_inverse_elements(Pass<T>& pass, Var<T> y) const override { return map(false, pass, y); }
  bool do_is_constant_jacobian() const override;
  Space do_codomain() const override { return Space::box(supports_); }
  void do_fields(Fields<T>& f) override;

  std::vector<Interval> supports_;
  std::vector<Range> ranges_;
};

extern template class ColumnSupports<float>;
extern template class ColumnSupports<double>;

}  // namespace pushforward
