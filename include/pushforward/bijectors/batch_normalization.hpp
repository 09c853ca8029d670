#pragma once

#include <optional>
#include <pushforward/batch_norm/layer.hpp>
#include <pushforward/bijector.hpp>
#include <pushforward/bijectors/standardize.hpp>

namespace pushforward {

/// As flows use it; everything that layers have is in BatchNormLayerOptions.
struct BatchNormalizationOptions {
  double epsilon = 1e-5;  ///< added to the variance; may be 0: then a call needs variances above 0
  double momentum = 0.9;  ///< of the old value: moving = momentum * moving + (1 - momentum) * batch
  bool center = true;     ///< learn beta
  bool scale = true;      ///< learn gamma
  GammaMap gamma_map = GammaMap::exp;
  /// Training passes normalise this many rows at a time, each with its own statistics; what is left over joins the
  /// last. 0: all rows of the batch.
  Index ghost_rows = 0;
  /// Training passes correct towards the moving statistics, and their log_det counts it.
  std::optional<Renorm> renorm = {};
};

/// Batch normalisation as a flow layer: the base side is the normalised one.
///
///     inverse:  x = gamma (y - mean) / sqrt(variance + epsilon) + beta
///     forward:  y = (x - beta) sqrt(variance + epsilon) / gamma + mean
///
/// log_det of `inverse` = sum over the event of [log |gamma| - log(variance + epsilon) / 2]; of `forward`, its
/// negative.
///
/// Which mean and variance, is said by the call and never by a mode of the object:
///   - Statistics::running (the default, both directions): the moving statistics. A fixed affine map, and a density.
///   - Statistics::minibatch, `inverse`: mean and variance of this batch, with gradients through both; the pass
///     captures them, and proposes new moving statistics, which take effect when the caller commits. The rows depend on
///     each other (the joint map of the batch even loses the mean and the scale), so this map is no density: it is for
///     training. What is reported as a likelihood is that of the running statistics.
///   - Captured statistics, both directions: those of an earlier call, so that `forward` undoes a minibatch `inverse`
///     (with ghost batches: those of their average).
/// `forward` uses running or captured statistics and never proposes anything; `Invert` swaps the two directions.
///
///     const auto [x, log_det, statistics] = bn.inverse(y, Statistics::minibatch);
///     const auto again = bn.forward(x, statistics);  // y
///     commit(bn, statistics);                        // the moving statistics follow: `fit` does it by itself
///
/// @par Shapes      x, y: (N, dim), an event of the layer's shape flattened with the last axis fastest. The kept axes
///                  are the trailing ones of the event; the statistics are over all other axes and the rows.
/// @par Parameters  Those of the layer: gamma as "log_gamma" (GammaMap::exp) or otherwise, beta; without weight decay.
///                  State: moving_mean, initially 0; moving_variance, initially 1; those of renorm.
/// @par Numerics    Batch moments are shifted sums merged in double. The mean is subtracted before scaling, in T and in
///                  what the rounding of the mean to T left out. A batch of one row has variance 0: x = beta. An empty
///                  batch proposes nothing.
/// @par Cost        O(N dim).
/// @throws ShapeError   if dim < 1.
/// @throws DomainError  if an option is out of range, or a layer does not make a bijector; the text says why.
/// @source Dinh et al. 2017, section 3.7; Papamakarios et al. 2017, eq. 19-22; TFP's BatchNormalization.
template <Scalar T>
class BatchNormalization final : public Bijector<T> {
 public:
  using Options = BatchNormalizationOptions;

  explicit BatchNormalization(Index dim, Options options = {});
  /// For events of any rank: a layer for inputs (rows, event...), built or not, as TFP's `batchnorm_layer`. Without one
  /// TFP makes `BatchNormLayer({.gamma_constraint = {Constraint::Kind::relu_plus_floor, 1e-6}})`.
  /// @throws DomainError  for a layer with renorm, virtual batches or an adjustment (Options has the first two for
  ///                      flows, with their log_det), and for kept axes that are not the trailing ones.
  BatchNormalization(std::vector<Index> event_shape, BatchNormLayer<T> layer);
  explicit BatchNormalization(Blank) : Bijector<T>("BatchNormalization") {}

  /// The layer, by value: a copy of it is independent. Put a changed one back with `set_batchnorm`.
  const BatchNormLayer<T>& batchnorm() const { return layer_; }
  /// @throws DomainError, ShapeError  if it does not make a bijector of this event shape; nothing has changed then.
  void set_batchnorm(BatchNormLayer<T> layer);

  using Bijector<T>::is_constant_jacobian;
  /// With running statistics the map is affine and fixed; with a batch's it depends on the rows.
  bool is_constant_jacobian(Statistics statistics) const { return statistics == Statistics::running; }
  /// The map under running statistics as an affine bijector without parameters.
  /// @throws DomainError  if a gamma is not positive.
  Standardize<T> frozen() const;

  /// Computed for the call, one per channel.
  Tensor<T> gamma() const;
  const Tensor<T>& beta() const { return layer_.beta_variable(); }
  const Tensor<T>& moving_mean() const { return layer_.moving_mean(); }
  const Tensor<T>& moving_variance() const { return layer_.moving_variance(); }

  /// Replaces the moving statistics, for example by those of a whole data set.
  /// @throws ShapeError   if a size differs from the number of channels.
  /// @throws DomainError  if a value is not finite or a variance negative.
  void set_population(VectorView<const double> mean, VectorView<const double> variance) {
    layer_.set_population(mean, variance);
  }

 private:
  struct Any {};  // a layer that need not be as TFP's
  BatchNormalization(Any, std::vector<Index> event_shape, BatchNormLayer<T> layer);

  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override;
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override;
  bool do_is_constant_jacobian() const override { return true; }
  int do_min_event_ndims() const override { return static_cast<int>(layer_.kept_axes().size()); }
  std::vector<std::int64_t> do_triangular_order() const override { return {}; }
  Var<T> do_log_derivative(bool forward, Pass<T>& pass, Var<T> in) const override;
  void do_fields(Fields<T>& f) override;

  BatchNormLayer<T> layer_;
};

extern template class BatchNormalization<float>;
extern template class BatchNormalization<double>;

}  // namespace pushforward
