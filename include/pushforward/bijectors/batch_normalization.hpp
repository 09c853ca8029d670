#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

struct BatchNormalizationOptions {
  double epsilon = 1e-5;   ///< added to the variance
  double momentum = 0.9;   ///< of the old value: moving = momentum * moving + (1 - momentum) * batch
  bool center = true;      ///< learn beta
  bool scale = true;       ///< learn gamma
};

/// Batch normalisation as a flow layer: the base side is the normalised one.
///
///     inverse:  x = gamma (y - mean) / sqrt(variance + epsilon) + beta
///     forward:  y = (x - beta) sqrt(variance + epsilon) / gamma + mean,        gamma = exp(log_gamma)
///
/// log_det of `inverse` = sum_d [log_gamma_d - log(variance_d + epsilon) / 2]; of `forward`, its negative.
///
/// Which mean and variance, is said by the call and never by a mode of the object:
///   - Statistics::running (the default, both directions): the moving statistics. A fixed affine map, and a density.
///   - Statistics::minibatch, `inverse`: mean and biased variance (1/N) of this batch, with gradients through both;
///     the pass captures them, and proposes new moving statistics (with the biased variance), which take effect when
///     the caller commits. The rows depend on each other, so this map is no density: it is for training.
///   - Captured statistics, both directions: those of an earlier call, so that `forward` undoes a minibatch `inverse`.
/// `forward` uses running or captured statistics and never proposes anything; `Invert` swaps the two directions.
///
///     const auto [x, log_det, statistics] = bn.inverse(y, Statistics::minibatch);
///     const auto again = bn.forward(x, statistics);  // y
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  log_gamma, beta: (dim), unbounded, initially 0, without weight decay; absent where the options say.
///                  State: moving_mean (dim), initially 0; moving_variance (dim), initially 1.
/// @par Numerics    Batch moments are shifted sums merged in double. The mean is subtracted before scaling, in T and in
///                  what the rounding of the mean to T left out. A batch of one row has variance 0: x = beta. An empty
///                  batch proposes nothing. is_constant_jacobian() speaks of the map with fixed statistics.
/// @par Cost        O(N dim).
/// @throws ShapeError   if dim < 1.
/// @throws DomainError  if epsilon is not positive and finite, or momentum does not lie in [0, 1].
/// @source Dinh et al. 2017, section 3.7; Papamakarios et al. 2017, eq. 19-22.
template <Scalar T>
class BatchNormalization final : public Bijector<T> {
 public:
  using Options = BatchNormalizationOptions;

  explicit BatchNormalization(Index dim, Options options = {});
  explicit BatchNormalization(const Description& d);

  const Options& options() const { return options_; }
  /// exp(log_gamma), computed for the call.
  Tensor<T> gamma() const;
  const Tensor<T>& log_gamma() const { return log_gamma_; }
  const Tensor<T>& beta() const { return beta_; }
  const Tensor<T>& moving_mean() const { return moving_mean_; }
  const Tensor<T>& moving_variance() const { return moving_variance_; }

  /// Replaces the moving statistics, for example by those of a whole data set.
  /// @throws ShapeError   if a size differs from dim.
  /// @throws DomainError  if a value is not finite or a variance negative.
  void set_population(VectorView<const double> mean, VectorView<const double> variance);

 private:
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override;
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override;
  bool do_is_constant_jacobian() const override { return true; }
  void do_visit(Visitor<T>& v) const override;
  Description do_describe() const override;

  // The fixed map for given or moving statistics.
  struct Frozen {
    Var<T> mean;
    Var<T> rest;       // of the mean, beyond its rounding to T; default-made where there is none
    Var<T> deviation;  // sqrt(variance + epsilon)
    double log_deviation;  // its log, summed over the columns
  };
  Frozen frozen(Pass<T>& pass) const;
  Var<T> log_gamma(Pass<T>& pass) const { return options_.scale ? pass.parameter(log_gamma_) : Var<T>(); }
  Var<T> beta(Pass<T>& pass) const { return options_.center ? pass.parameter(beta_) : Var<T>(); }
  Mapped<T> normalize_batch(Pass<T>& pass, Var<T> y) const;

  Tensor<T> log_gamma_;
  Tensor<T> beta_;
  Tensor<T> moving_mean_;
  Tensor<T> moving_variance_;
  Options options_;
};

extern template class BatchNormalization<float>;
extern template class BatchNormalization<double>;

}  // namespace pushforward
