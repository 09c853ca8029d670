#pragma once

#include <pushforward/bijector.hpp>
#include <pushforward/bijectors/rational_quadratic_transformer.hpp>

namespace pushforward {

/// A monotone rational-quadratic spline for each column, whatever the others are: `inverse` (data to base) evaluates
/// it, `forward` solves for the root.
///
/// log_det = sum over the columns of log of the slope, see RationalQuadraticTransformer for formula, numerics and
/// errors.
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  raw: (multiplier * dim), parameter p of column d at p * dim + d; initially 0. No weight decay.
/// @par Cost        O(N dim bins).
/// @throws ShapeError   if dim < 1.
/// @throws DomainError  if an option is out of its range.
/// @source Durkan et al. 2019.
template <Scalar T>
class RationalQuadraticSpline final : public ElementwiseBijector<T> {
 public:
  explicit RationalQuadraticSpline(Index dim, RationalQuadraticOptions options = {});

  const Tensor<T>& raw() const { return raw_; }
  Tensor<T>& raw() { return raw_; }

 private:
  using Elements = typename ElementwiseBijector<T>::Elements;
  RationalQuadraticSpline(Index dim, RationalQuadraticTransformer<T> transformer);
  Elements map(Pass<T>& pass, Var<T> in, bool forward) const;
  Elements do_forward_elements(Pass<T>& pass, Var<T> x) const override { return map(pass, x, true); }
  Elements do_inverse_elements(Pass<T>& pass, Var<T> y) const override { return map(pass, y, false); }
  Space do_domain() const override;
  Space do_codomain() const override { return do_domain(); }
  double do_log_scale_bound() const override;
  void do_fields(Fields<T>& f) override;

  RationalQuadraticTransformer<T> transformer_;
  Tensor<T> raw_;
};

extern template class RationalQuadraticSpline<float>;
extern template class RationalQuadraticSpline<double>;

}  // namespace pushforward
