#pragma once

#include <map>
#include <optional>
#include <pushforward/batch_norm/core.hpp>
#include <pushforward/ports/input.hpp>
#include <pushforward/tensor.hpp>
#include <string>

/// TensorFlow's primitives of batch normalisation (tf.nn and moving_averages): functions of tensors, for those who
/// write the switch between training and test themselves.
///
///     const auto m = tf_nn::moments(x, {0, 1, 2});  // training
///     tf_nn::assign_moving_average(moving_mean, m.mean, 0.99, mean_state);
///     y = tf_nn::batch_normalization(x, m.mean, m.variance, beta, gamma, 1e-3);
///
/// @par Arguments Tensors, views and Eigen matrices, const or not; what is returned is a Tensor of x's scalar.
/// @par Shapes    x has any rank and strides. A parameter is broadcast: aligned at the last axis, 1 or x's extent along
///                each; so it has x's rank with 1s, or rank 1 for the last axis. A default-made view is "none".
/// @par Numerics  Sums in double (batch_norm/core.hpp), results in T. A float mean has an error of 6e-8 |mean|, which
///                shifts the output by that over the standard deviation: far from zero subtract a constant first.
/// @throws ShapeError   if a shape does not broadcast or two that must be equal differ.
/// @throws DomainError  for axes as batch_norm::resolve_axes.
/// @source TensorFlow 2, python/ops/nn_impl.py and python/training/moving_averages.py.
namespace pushforward::batch_norm::tf_nn {

// --------------------------------------------------------------------------------------------------- normalisation

/// scale (x - mean) / sqrt(variance + variance_epsilon) + offset, without scale 1, without offset 0.
/// @throws DomainError  if a variance plus epsilon is not positive.
template <Scalar T>
Tensor<T> batch_normalization(const Input<T>& x, const Input<T>& mean, const Input<T>& variance, const Input<T>& offset,
                              const Input<T>& scale, double variance_epsilon);
/// Into `out`, of x's shape, which may be x.
template <Scalar T>
void batch_normalization_into(const Input<T>& x, const Input<T>& mean, const Input<T>& variance, const Input<T>& offset,
                              const Input<T>& scale, double variance_epsilon, const Output<T>& out);

/// d loss / d each argument, of its shape; empty for one that was not given.
template <Scalar T>
struct Gradients {
  Tensor<T> x, mean, variance, offset, scale;
};
/// From `dy` = d loss / d result. With r = 1 / sqrt(variance + epsilon), and sums over all that a parameter served:
///
///     dx = scale r dy,  dmean = -sum scale r dy,  dvariance = -sum scale r^3 dy (x - mean) / 2,
///     doffset = sum dy,  dscale = sum r dy (x - mean)
///
/// The gradient of training adds those through `moments` (moments_backward of dmean and dvariance) to dx.
template <Scalar T>
Gradients<T> batch_normalization_backward(const Input<T>& x, const Input<T>& mean, const Input<T>& variance,
                                          const Input<T>& offset, const Input<T>& scale, double variance_epsilon,
                                          const Input<T>& dy);

// --------------------------------------------------------------------------------------------------------- moments

/// Mean and biased variance over `axes` (negative ones count from the end).
template <Scalar T>
struct Moments {
  Tensor<T> mean, variance;
};
/// The averaged axes stay with extent 1 where keepdims, and are dropped otherwise. An empty average gives 0 and 0.
template <Scalar T>
Moments<T> moments(const Input<T>& x, const std::vector<Index>& axes, bool keepdims = false);
/// dx = (dmean + 2 (x - mean) dvariance) / m, m values per average. Adjoints with averaged axes kept or dropped;
/// none is 0.
template <Scalar T>
Tensor<T> moments_backward(const Input<T>& x, const std::vector<Index>& axes, const Input<T>& dmean,
                           const Input<T>& dvariance);

/// mean = sum w x / sum w, variance = sum w (x - mean)^2 / sum w, for weights that are broadcast against x.
/// NaN where the weights sum to 0: other averages are not affected.
template <Scalar T>
Moments<T> weighted_moments(const Input<T>& x, const std::vector<Index>& axes, const Input<T>& frequency_weights,
                            bool keepdims = false);
template <Scalar T>
struct WeightedGradients {
  Tensor<T> x, frequency_weights;
};
/// With W = sum w: dx = w (dmean + 2 (x - mean) dvariance) / W, and the weights' gradient, summed over all that a
/// weight served, ((x - mean) dmean + ((x - mean)^2 - variance) dvariance) / W.
template <Scalar T>
WeightedGradients<T> weighted_moments_backward(const Input<T>& x, const std::vector<Index>& axes,
                                               const Input<T>& frequency_weights, const Input<T>& dmean,
                                               const Input<T>& dvariance);

/// What moments are made of; sums of parts of the data are added. Double for both scalars: no bits are lost before
/// normalize_moments takes the difference.
struct SufficientStatistics {
  double count = 0;                     ///< values per sum
  Tensor<double> sum;                   ///< sum (x - shift)
  Tensor<double> sum_of_squares;        ///< sum (x - shift)^2
  std::optional<Tensor<double>> shift;  ///< as given, of the shape of the sums
};
/// @param x         of any rank
/// @param axes      that are summed over, negative ones from the end
/// @param shift     near the mean, for accuracy; broadcast against x, constant along `axes`. None: 0.
/// @param keepdims  the summed axes stay, of length 1
template <Scalar T>
SufficientStatistics sufficient_statistics(const Input<T>& x, const std::vector<Index>& axes,
                                           const Input<T>& shift = {}, bool keepdims = false);
/// mean = sum / count + shift, variance = sum_of_squares / count - (sum / count)^2.
/// @throws DomainError  if count is not positive.
template <Scalar T = double>
Moments<T> normalize_moments(const SufficientStatistics& statistics);

// ------------------------------------------------------------------------------------------------- moving averages

/// variable -= (1 - decay) (variable - value), decay in [0, 1]: TensorFlow's zero_debias = False, and its layers'
/// average.
template <Scalar T>
void assign_biased_moving_average(const Output<T>& variable, const Input<T>& value, double decay);

/// What an average without the bias of its start remembers: the average that started from 0, and its steps.
template <Scalar T>
struct ZeroDebias {
  Tensor<T> biased;  ///< empty before the first step
  Index step = 0;
};
/// TensorFlow's default, zero_debias = True: biased -= (1 - decay) (biased - value),
/// variable = biased / (1 - decay^step).
/// What the variable held before the first step does not matter. The state is the caller's: one for each variable.
/// There is no form of three arguments. In TensorFlow it is this one, whose state is hidden there; what does without is
/// another average, assign_biased_moving_average.
/// @param variable  the average, changed in place
/// @param value     the step's, of the same shape
/// @param decay     in [0, 1)
/// @param state     of this variable, changed in place
template <Scalar T>
void assign_moving_average(const Output<T>& variable, const Input<T>& value, double decay,
                           ZeroDebias<std::type_identity_t<T>>& state);

/// State of weighted_moving_average, one for each average.
template <Scalar T>
struct WeightedAverage {
  Tensor<T> numerator, denominator;  ///< averages of value times weight and of weight; empty before the first step
};
/// average(value weight) / average(weight), both started from 0. The weight is broadcast against the value; NaN where
/// all weights were 0.
template <Scalar T>
Tensor<T> weighted_moving_average(WeightedAverage<T>& state, const Input<T>& value, double decay,
                                  const Input<T>& weight);

/// Where a name's average starts.
enum class Start {
  value,  ///< at the first value: TensorFlow's for variables
  zero,   ///< at 0: TensorFlow's for other tensors
};
/// Averages of tensors by name: average = decay average + (1 - decay) value. A value: copies are independent.
///
///     tf_nn::ExponentialMovingAverage<float> ema(0.999);
///     ema.apply("w", w);  // after each step
///     const Tensor<float>& smooth = ema.average("w");
template <Scalar T>
class ExponentialMovingAverage {
 public:
  /// @param decay        in [0, 1]; in [0, 1) with zero_debias
  /// @param num_updates  steps done so far: with it the decay in use is min(decay, (1 + n) / (10 + n)), so that early
  ///                     averages follow quickly
  /// @param zero_debias  for averages that start at zero, as in assign_moving_average
  explicit ExponentialMovingAverage(double decay, std::optional<Index> num_updates = {}, bool zero_debias = false);

  void set_num_updates(Index num_updates);
  /// The one in use.
  double decay() const;

  /// @throws ShapeError  if the name's earlier values had another shape.
  void apply(const std::string& name, const Input<T>& value, Start start = Start::value);
  /// @throws DomainError  naming the known ones.
  const Tensor<T>& average(const std::string& name) const;

 private:
  struct Entry {
    Tensor<T> average;
    std::optional<ZeroDebias<T>> debias;
  };
  double decay_;
  std::optional<Index> num_updates_;
  bool zero_debias_;
  std::map<std::string, Entry> entries_;
};

// ----------------------------------------------------------------------------- the same, with T from the first
// argument

template <TensorLike X>
auto batch_normalization(const X& x, const Input<ElementOf<X>>& mean, const Input<ElementOf<X>>& variance,
                         const Input<ElementOf<X>>& offset, const Input<ElementOf<X>>& scale, double variance_epsilon) {
  return batch_normalization<ElementOf<X>>(x, mean, variance, offset, scale, variance_epsilon);
}
template <TensorLike X>
void batch_normalization_into(const X& x, const Input<ElementOf<X>>& mean, const Input<ElementOf<X>>& variance,
                              const Input<ElementOf<X>>& offset, const Input<ElementOf<X>>& scale,
                              double variance_epsilon, const Output<ElementOf<X>>& out) {
  batch_normalization_into<ElementOf<X>>(x, mean, variance, offset, scale, variance_epsilon, out);
}
template <TensorLike X>
auto batch_normalization_backward(const X& x, const Input<ElementOf<X>>& mean, const Input<ElementOf<X>>& variance,
                                  const Input<ElementOf<X>>& offset, const Input<ElementOf<X>>& scale,
                                  double variance_epsilon, const Input<ElementOf<X>>& dy) {
  return batch_normalization_backward<ElementOf<X>>(x, mean, variance, offset, scale, variance_epsilon, dy);
}
template <TensorLike X>
auto moments(const X& x, const std::vector<Index>& axes, bool keepdims = false) {
  return moments<ElementOf<X>>(x, axes, keepdims);
}
template <TensorLike X>
auto moments_backward(const X& x, const std::vector<Index>& axes, const Input<ElementOf<X>>& dmean,
                      const Input<ElementOf<X>>& dvariance) {
  return moments_backward<ElementOf<X>>(x, axes, dmean, dvariance);
}
template <TensorLike X>
auto weighted_moments(const X& x, const std::vector<Index>& axes, const Input<ElementOf<X>>& frequency_weights,
                      bool keepdims = false) {
  return weighted_moments<ElementOf<X>>(x, axes, frequency_weights, keepdims);
}
template <TensorLike X>
auto weighted_moments_backward(const X& x, const std::vector<Index>& axes, const Input<ElementOf<X>>& frequency_weights,
                               const Input<ElementOf<X>>& dmean, const Input<ElementOf<X>>& dvariance) {
  return weighted_moments_backward<ElementOf<X>>(x, axes, frequency_weights, dmean, dvariance);
}
template <TensorLike X>
auto sufficient_statistics(const X& x, const std::vector<Index>& axes, const Input<ElementOf<X>>& shift = {},
                           bool keepdims = false) {
  return sufficient_statistics<ElementOf<X>>(x, axes, shift, keepdims);
}
template <TensorLike X>
void assign_biased_moving_average(X&& variable, const Input<ElementOf<X>>& value, double decay) {
  assign_biased_moving_average<ElementOf<X>>(variable, value, decay);
}
template <TensorLike X>
void assign_moving_average(X&& variable, const Input<ElementOf<X>>& value, double decay,
                           ZeroDebias<ElementOf<X>>& state) {
  assign_moving_average<ElementOf<X>>(variable, value, decay, state);
}

extern template class ExponentialMovingAverage<float>;
extern template class ExponentialMovingAverage<double>;

}  // namespace pushforward::batch_norm::tf_nn
