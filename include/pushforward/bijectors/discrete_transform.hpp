#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

/// Orthonormal bases with a name.
enum class DiscreteBasis {
  cosine,   ///< type II: row k has sqrt(2 / n) cos(pi (j + 1/2) k / n), and 1 / sqrt(n) for k = 0
  fourier,  ///< 1 / sqrt(n); then sqrt(2 / n) cos and -sin(2 pi j k / n) for k = 1, 2, ...; for even n (-1)^j / sqrt(n)
  haar,     ///< means and differences (a +- b) / sqrt(2) of neighbours, of the means again, ...: n a power of 2
};

/// y = B x for each row x as a column vector: the coefficients of x in an orthonormal basis, a fixed rotation (or
/// reflection). For columns that stand in an order, such as times or frequencies.
///
/// log_det = 0
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none.
/// @par Cost        O(N dim^2).
/// @throws ShapeError  unless 1 <= dim <= 256, or if it is no power of 2 for `haar`.
/// @source Ahmed, Natarajan and Rao 1974; Haar 1910; TFP's `DiscreteCosineTransform`, numpyro's
///         `RealFastFourierTransform` in real numbers, FrEIA's `HaarDownsampling` over all levels of one row.
template <Scalar T>
class DiscreteTransform final : public Bijector<T> {
 public:
  explicit DiscreteTransform(Index dim, DiscreteBasis basis = DiscreteBasis::cosine);
  explicit DiscreteTransform(Blank) : Bijector<T>("DiscreteTransform") {}

  /// B, (dim, dim).
  const Tensor<T>& matrix() const { return matrix_; }

 private:
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override;
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override;
  bool do_is_constant_jacobian() const override { return true; }
  double do_log_scale_bound() const override { return 0; }
  void do_fields(Fields<T>& f) override;
  void do_restored() override;

  DiscreteBasis basis_ = DiscreteBasis::cosine;
  Tensor<T> matrix_;
};

extern template class DiscreteTransform<float>;
extern template class DiscreteTransform<double>;

}  // namespace pushforward
