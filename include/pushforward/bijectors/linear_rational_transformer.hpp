#pragma once

#include <pushforward/transformer.hpp>

namespace pushforward {

struct LinearRationalOptions {
  Index bins = 8;             ///< 2 to 64
  double low = -3, high = 3;  ///< the interval
  double min_bin_width = 1e-3, min_bin_height = 1e-3;  ///< as parts of the interval
  double min_derivative = 1e-3;                        ///< of the slope at a knot
  double min_lambda = 0.025;                           ///< of the part at which a bin is divided; in (0, 0.5)
  double end_slope = 1;  ///< at both ends, at least min_derivative; other than 1 (pyro: 1 - min_derivative) the density jumps there
};

/// Monotone linear-rational splines, the identity outside the interval: the inverse (data to base) evaluates the spline.
///
/// A bin from (x_k, y_k) of width w and height h, with slopes d0, d1 at its knots and lambda between 0 and 1, has two
/// pieces. With p = (x - x_k) / w, v = sqrt(d0 / d1), y_m = y_k + h lambda v / (1 - lambda + lambda v) and
/// u = [lambda d0 + (1 - lambda) v d1] w / h:
///
///     p <= lambda:  y = [y_k (lambda - p) + u y_m p] / [(lambda - p) + u p]
///     p > lambda:   y = [u y_m (1 - p) + v (y_k + h) (p - lambda)] / [u (1 - p) + v (p - lambda)]
///
/// @par Shapes      bins widths, bins heights, slopes at the bins - 1 inner knots, bins lambdas. Sizes are
///                  minimum + (1 - bins minimum) softmax(raw), slopes minimum + softplus(raw), lambda is
///                  minimum + (1 - 2 minimum) sigmoid(raw).
/// @par Numerics    Both directions in closed form without a square root of the data, computed in double for both
///                  scalars, from the nearer end of a bin. Slopes at knots above 1e18 are cut off.
/// @par Cost        2 bins exponentials and some 10 of other kinds for each value, one after the other: several times
///                  that of RationalQuadraticTransformer, which is the better choice for models that are fitted here.
/// @throws DomainError  if an option is out of its range.
/// @source Dolatabadi et al. 2020, algorithm 1; the parametrisation of pyro 1.9 (`spline(order="linear")`).
template <Scalar T>
class LinearRationalTransformer final : public Transformer<T> {
 public:
  explicit LinearRationalTransformer(LinearRationalOptions options = {});

  const LinearRationalOptions& options() const { return options_; }

 private:
  using Elements = typename Transformer<T>::Elements;
  Elements do_forward(Pass<T>& pass, Var<T> x, std::span<const Var<T>> params) const override;
  Elements do_inverse(Pass<T>& pass, Var<T> y, std::span<const Var<T>> params) const override;
  double do_log_scale_bound() const override;
  void do_fields(Fields<T>& f) override;
  void do_restored() override;
  Elements apply(bool root, Var<T> x, std::span<const Var<T>> params) const;

  LinearRationalOptions options_;
};

extern template class LinearRationalTransformer<float>;
extern template class LinearRationalTransformer<double>;

}  // namespace pushforward
