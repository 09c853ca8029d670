#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <pushforward/batch_norm/core.hpp>
#include <pushforward/fields.hpp>
#include <pushforward/pass.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace pushforward {

/// Reads or changes a variable's values, in row-major order, in double for both scalars.
using ValuesFunction = std::function<void(std::span<const Index> shape, std::span<double> values)>;

/// Start values of a variable. They are made once, by `build`; a file holds the values and not where they came from.
struct Initializer {
  enum class Kind { constant, normal, uniform, function };
  Kind kind = Kind::constant;
  double a = 0;  ///< the constant, the mean, or the lower end
  double b = 0;  ///< the standard deviation, or the upper end
  std::uint64_t seed = 0;
  ValuesFunction function = {};  ///< fills zeros

  static Initializer zeros() { return {}; }
  static Initializer ones() { return constant(1); }
  static Initializer constant(double value) { return {Kind::constant, value, 0, 0}; }
  static Initializer normal(double mean, double stddev, std::uint64_t seed) {
    return {Kind::normal, mean, stddev, seed};
  }
  static Initializer uniform(double low, double high, std::uint64_t seed) { return {Kind::uniform, low, high, seed}; }
  /// @throws DomainError  if the function is empty; so do the other two.
  static Initializer custom(ValuesFunction fill);
};

/// Penalty l1 sum |w| + l2 sum w^2 that training adds to the loss, and one of your own.
///
/// No file holds a function, and neither does `cast`: what is loaded knows its name. It evaluates as before, and
/// throws NotImplemented where training asks for the function: then make the model by code, with its functions, and
/// take the values over with `copy_state(loaded, model)`. The same is true of Constraint.
struct Regularizer {
  /// The penalty of the values of a variable; writes its derivative by each of them. It must depend on nothing else:
  /// every thread of a training step calls it.
  using Function = std::function<double(std::span<const double> values, std::span<double> gradient)>;
  double l1 = 0;
  double l2 = 0;
  std::string name = {};  ///< of the function, in files and errors
  Function function = {};
  static Regularizer custom(std::string name, Function function);
  bool has_function() const { return function || !name.empty(); }
  explicit operator bool() const { return l1 != 0 || l2 != 0 || has_function(); }
};

/// Projection after an update of the parameters.
struct Constraint {
  enum class Kind {
    none,
    non_negative,     ///< max(w, 0)
    max_norm,         ///< w scaled to Euclidean norm `value` where it is longer; norms are along the first axis
    relu_plus_floor,  ///< max(w, 0) + value, value = 1e-6 in TFP. Not idempotent: each update adds `value`.
    function,         ///< one of your own; in files only its name, see Regularizer
  };
  Kind kind = Kind::none;
  double value = 0;
  std::string name = {};
  ValuesFunction function = {};
  static Constraint custom(std::string name, ValuesFunction project);
};

/// How gamma comes from the variable that is learned.
enum class GammaMap {
  identity,    ///< gamma itself, of any sign (Keras)
  exp,         ///< exp(log_gamma): positive, no floor (flows)
  softplus,    ///< log(1 + exp(raw_gamma)) + epsilon, started so that gamma = 1 (nflows)
  relu_floor,  ///< max(raw_gamma, 0) + 1e-6 in the formula (pyro)
};

/// Details in which the two implementations of one Keras layer differ. Here they go with the name and not with rank,
/// axis or scalar.
enum class Fusion {
  unfused,  ///< the biased variance goes into the moving variance
  fused,    ///< Bessel's m / (m - 1) goes into the moving variance; epsilon is at least 1.001e-5, as cuDNN's
  fused_without_floor,  ///< the same with any epsilon (TensorFlow 2.21 on CPU)
};

/// What `trainable = false` means for the training call.
enum class NotTrainable {
  v1,        ///< gamma and beta stay as they are, and nothing is averaged; batch statistics are used as before
  v1_eager,  ///< the same, but the averages of renorm move, as in TensorFlow's eager mode; `v1` is its graph mode
  v2,        ///< the layer acts as in inference and nothing is averaged
};

/// Batch renormalisation (Ioffe 2017): the training pass is x = gamma [(y - mean) / deviation r + d] + beta with
/// r = deviation / renorm_deviation and d = (mean - renorm_mean) / renorm_deviation, constants for the gradient.
struct Renorm {
  enum class Generation {
    first,  ///< TensorFlow 1.2 to 1.12: averages with weights, so that the first step is plain batch normalisation
    later,  ///< since: averages that start from the moving statistics
  };
  Generation generation = Generation::later;
  double momentum = 0.99;
  // Clipping: r to [rmin, rmax], rmin finite and <= rmax, d to [-dmax, dmax]. Absent, or rmax or dmax infinite: not
  // clipped there.
  std::optional<double> rmin = {}, rmax = {}, dmax = {};
  /// Steps over which the clipping opens linearly from r = 1, d = 0 to the bounds above: begin at `open_from`, rmax
  /// reached at `open_rmax`, dmax at `open_dmax`. All 0: no schedule. (Paper: 5000, 40000 with rmax 3, 25000 with
  /// dmax 5.) With a schedule rmin is 1 / rmax, so that rmax must be at least 1; rmax and dmax are finite then.
  Index open_from = 0, open_rmax = 0, open_dmax = 0;
};

/// Groups of a batch that are normalised on their own (ghost batches), for training on tensors.
enum class VirtualBatches {
  strided,     ///< as TensorFlow: row i belongs to group i mod (batch / size)
  contiguous,  ///< rows [k size, (k + 1) size)
};

struct BatchNormLayerOptions {
  std::vector<Index> axis = {-1};  ///< kept axes; negative ones count from the end
  double momentum = 0.99;          ///< of the old value
  double epsilon = 1e-3;           ///< may be 0: then a call needs variances above 0
  bool center = true;
  bool scale = true;
  Initializer beta_initializer = Initializer::zeros();
  Initializer gamma_initializer = Initializer::ones();  ///< of gamma, whatever the map
  Initializer moving_mean_initializer = Initializer::zeros();
  Initializer moving_variance_initializer = Initializer::ones();
  Regularizer beta_regularizer = {};
  Regularizer gamma_regularizer = {};
  Constraint beta_constraint = {};
  Constraint gamma_constraint = {};
  std::optional<Renorm> renorm = {};
  Fusion fusion = Fusion::unfused;
  bool trainable = true;
  NotTrainable not_trainable = NotTrainable::v1;
  std::optional<Index> virtual_batch_size = {};
  VirtualBatches virtual_batches = VirtualBatches::strided;
  /// Training only: (scale, shift) per channel between normalisation and gamma, from the input's shape. No file holds
  /// it.
  std::function<std::pair<std::vector<double>, std::vector<double>>(std::span<const Index> shape)> adjustment = {};
  GammaMap gamma_map = GammaMap::identity;
  /// The variance that a training call normalises by: with Bessel's correction where true (nflows, pyro, normflows).
  bool bessel = false;
  /// The variance that goes into the moving variance: with Bessel's correction where true. `fused` implies it.
  bool bessel_in_moving_variance = false;
  std::string name = "batch_normalization";
};

/// The four conventions of the field for momentum and variance, translated into this library's terms (momentum of the
/// OLD value). `value` is the constant under the system's own name.
///
///     "keras", "tensorflow"  momentum on the old value; biased everywhere
///     "keras_fused"          momentum on the old value; Bessel's variance into the average
///     "aesara", "torch"      factor on the new value; biased to normalise, Bessel's variance into the average
///     "nflows", "pyro"       momentum on the new value; Bessel's variance for both
/// @throws DomainError  naming the known ones, or if value is not in [0, 1].
BatchNormLayerOptions batch_norm_convention(std::string_view system, double value, BatchNormLayerOptions base = {});

/// tf.compat.v1.keras.layers.BatchNormalization for tensors of any rank, with its variables; without a mode: the call
/// says whether it trains, and new averages are values that the caller commits.
///
///     training:   y = gamma [(x - mean(x)) / sqrt(var(x) + epsilon) r + d] + beta      (r = 1, d = 0 without renorm)
///     inference:  y = gamma (x - moving_mean) / sqrt(moving_variance + epsilon) + beta
///     averages:   new = momentum old + (1 - momentum) value
///
///     BatchNormLayer<float> layer({.axis = {1}});
///     layer.build({-1, 64, 28, 28});
///     auto step = layer.train(x);        // nothing in `layer` has changed
///     auto g = layer.backward(x, step, dy, dx);
///     layer.commit(step);                // now the averages have
///     Tensor<float> y = layer(x);        // inference
///
/// @par Parameters  beta, and gamma under the name of what is stored: "gamma", "log_gamma" (GammaMap::exp) or
///                  "raw_gamma". State: moving_mean, moving_variance, and those of renorm. With several axes each has
///                  the input's rank with 1 along what is averaged over.
/// @par Numerics    All statistics in double (see batch_norm/core.hpp), variables in T. An empty batch updates nothing.
///                  An average in float stands still once its step, (1 - momentum) times the distance from the batch's
///                  value, is below half the spacing of floats there: it ends up to 2^-24 |value| / (1 - momentum)
///                  off, as TensorFlow's. At momentum 0.99 that is 0.05 standard deviations at mean / deviation = 1e4
///                  and 3 at 1e6. The way out: a layer in double, `set_population` or `calibrate` (rounded once), or
///                  data from which a constant was subtracted.
/// @throws DomainError, ShapeError  with Keras' texts where Keras has one; DomainError naming the channel if epsilon
///                                  is 0 and a variance is not above 0.
/// @source Ioffe & Szegedy 2015; Ioffe 2017; TensorFlow 1.15 and tf_keras 2.
template <Scalar T>
class BatchNormLayer final : public Component<T> {
 public:
  using Options = BatchNormLayerOptions;

  explicit BatchNormLayer(Options options = {});
  /// Built for inputs of this shape; unknown extents are -1, those along the kept axes must be known.
  BatchNormLayer(std::vector<Index> input_shape, Options options);
  explicit BatchNormLayer(const Description& d);
  /// How many channels a layer with these constants has, before it is made.
  static Index channels_of(const Description& d);

  /// Makes the variables. A layer is built once; a call of an unbuilt one throws.
  void build(std::vector<Index> input_shape);
  bool is_built() const { return channels_ > 0; }

  const Options& options() const { return options_; }
  const std::vector<Index>& input_shape() const { return input_shape_; }
  /// Resolved and sorted.
  const std::vector<Index>& kept_axes() const { return kept_; }
  Index channels() const { return channels_; }
  double epsilon() const;  ///< with the floor of the fused kernel
  /// moving_variance + epsilon: the square of what inference divides by.
  /// @throws DomainError  if it is not positive, naming the channel.
  double inference_variance(Index channel) const;

  std::vector<double> gamma() const;  ///< per channel, computed for the call; 1 without scale
  std::vector<double> beta() const;   ///< 0 without center
  const Tensor<T>& gamma_variable() const { return gamma_; }
  const Tensor<T>& beta_variable() const { return beta_; }
  const Tensor<T>& moving_mean() const { return moving_mean_; }
  const Tensor<T>& moving_variance() const { return moving_variance_; }
  /// Any variable by name: "gamma" (or its stored form), "beta", "moving_mean", "renorm_mean", ...
  /// @throws DomainError  naming those that there are.
  Tensor<T>& variable(std::string_view name);
  const Tensor<T>& variable(std::string_view name) const;

  // ---- tensors
  Tensor<T> operator()(const TensorView<const T>& x) const;
  void inference_into(const TensorView<const T>& x, const TensorView<T>& out) const;

  /// What a training call gave besides its output.
  struct Step {
    Tensor<T> output;
    bool inference = false;              ///< NotTrainable::v2: the call acted as in inference
    batch_norm::Moments moments;         ///< of each group, group by group in memory order of the view used
    std::vector<double> r, d;            ///< per channel, adjustment not included; empty without renorm
    std::vector<double> scale, shift;    ///< per channel, of the adjustment; empty without
    std::vector<double> mean, variance;  ///< per channel: averages over the groups
    double count = 0;                    ///< values averaged per channel
  };
  Step train(const TensorView<const T>& x) const;
  /// Gradients of a loss whose adjoint of the step's output is `dy`: dx is written, those of the stored gamma and beta
  /// are returned (penalties not included).
  batch_norm::Gradients backward(const TensorView<const T>& x, const Step& step, const TensorView<const T>& dy,
                                 const TensorView<T>& dx) const;
  batch_norm::Gradients inference_backward(const TensorView<const T>& x, const TensorView<const T>& dy,
                                           const TensorView<T>& dx) const;
  /// Averages the step's statistics into the moving ones. Several steps may be pending; they count in the order of the
  /// commits.
  /// @throws DomainError  naming the channel, if what would be stored is not finite; nothing has changed then.
  void commit(const Step& step);

  /// Sum of the penalties of gamma and beta, and their gradients (of the stored variables).
  double regularization_loss() const;
  batch_norm::Gradients regularization_gradients() const;
  /// Applies the constraints; training does so after each update.
  /// @throws DomainError  naming variable and constraint, if one makes a value that is not finite; nothing has changed
  ///                      then.
  void apply_constraints();

  // ---- on a tape: a batch of flattened inputs, (N, product of the other extents); axis 0 is the batch
  /// The map and sum over the columns of log |derivative| (0 elements: default-made), under the pass's statistics.
  struct Normalized {
    Var<T> value;
    Column<T> log_det;
  };
  Normalized normalize(Pass<T>& pass, Var<T> x) const;
  /// The derivative of that map in the direction v, where it is a fixed one: running or captured statistics.
  /// @throws NotImplemented  under statistics of the batch, where a row's value depends on the others.
  Var<T> normalize_tangent(Pass<T>& pass, Var<T> v) const;
  /// The inverse for running or captured statistics.
  Normalized denormalize(Pass<T>& pass, Var<T> x) const;

  /// Replaces the moving statistics by those of a population.
  void set_population(VectorView<const double> mean, VectorView<const double> variance);

  void do_fields(Fields<T>& f) override;
  /// The options and the built shape as constants, for a component that owns the layer.
  void describe_into(Description& d) const;

 private:
  using Variable = Tensor<T> BatchNormLayer::*;
  struct Frozen {
    std::vector<double> mean, deviation;
  };
  Frozen frozen() const;
  // The fixed map per column of a flattened input.
  struct FrozenRows {
    Var<T> mean;
    Var<T> rest;  // of the mean, beyond its rounding to T; default-made where there is none
    Var<T> deviation;
    double log_deviation = 0;  // its log, summed over the columns
  };
  FrozenRows frozen_rows(Pass<T>& pass, Index cols, const BatchStatistics::Moments* captured) const;
  bool acts_as_inference() const;
  /// value if it is positive, or NaN.
  double positive(double value, std::size_t channel, const char* of) const;
  void check_built(const char* call) const;
  void check_input(const char* call, std::span<const Index> shape) const;
  double gamma_of(double stored) const;
  double gamma_slope(double stored) const;
  const char* gamma_name() const;
  struct Corrections {
    std::vector<double> r, d;
  };
  Corrections corrections(std::span<const double> mean, std::span<const double> variance) const;
  /// emit(variable, new values) for each average; `memory` holds three times the channels, and at least three.
  template <class Emit>
  void updates(const double* mean, const double* variance, double count, double* memory, Emit emit) const;
  TensorView<const T> grouped(const TensorView<const T>& x, std::vector<Index>& kept) const;
  std::vector<std::pair<const char*, Variable>> variables() const;
  const char* variable_name(Variable variable) const;
  /// gamma per column of a flattened input, and log |gamma|; default-made without scale.
  std::pair<Var<T>, Var<T>> gamma_on(Pass<T>& pass) const;

  Options options_;
  std::vector<Index> input_shape_;
  std::vector<Index> kept_;
  Index channels_ = 0;
  std::vector<Index> channel_of_column_;  // on a tape; empty where each column is a channel
  Tensor<T> gamma_, beta_, moving_mean_, moving_variance_;
  Tensor<T> renorm_mean_, renorm_stddev_, renorm_mean_weight_, renorm_stddev_weight_, moving_stddev_, renorm_step_;
};

extern template class BatchNormLayer<float>;
extern template class BatchNormLayer<double>;

}  // namespace pushforward
