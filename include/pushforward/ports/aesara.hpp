#pragma once

#include <optional>
#include <pushforward/batch_norm/core.hpp>
#include <pushforward/ports/input.hpp>
#include <pushforward/tensor.hpp>
#include <string_view>

/// Aesara's (Theano's) functional batch normalisation: no state, the caller keeps the running averages.
///
///     const auto spatial = aesara::Axes::spatial();
///     aesara::TrainOptions<float> options{.axes = spatial, .running_mean = mean.view(), .running_var = var.view()};
///     auto t = aesara::batch_normalization_train(x, gamma, beta, options);
///     mean = *t.running_mean;
///     var = *t.running_var;
///     y = aesara::batch_normalization_test(x, gamma, beta, mean, var, spatial);
///
/// @par Arguments Tensors, views and Eigen matrices, const or not; what is returned is a Tensor of x's scalar.
/// @par Shapes    gamma, beta and all statistics of _train and _test have x's rank with extent 1 along the averaged
///                axes, or do without those axes. What is returned for them has gamma's layout.
/// @par Numerics  Sums in double (batch_norm/core.hpp), results in T.
/// @throws ShapeError, DomainError  with Aesara's texts.
/// @source Aesara 2.9, tensor/nnet/batchnorm.py.
namespace pushforward::batch_norm::aesara {

/// The axes that are averaged over.
class Axes {
 public:
  static Axes per_activation() { return Axes(Kind::per_activation, {}); }  ///< axis 0
  static Axes spatial() { return Axes(Kind::spatial, {}); }                ///< all but axis 1
  /// These; from 0, negative ones are refused.
  Axes(std::vector<Index> axes) : Axes(Kind::list, std::move(axes)) {}                     // NOLINT: implicit
  Axes(std::initializer_list<Index> axes) : Axes(Kind::list, std::vector<Index>(axes)) {}  // NOLINT: implicit
  /// "per-activation" or "spatial".
  /// @throws DomainError  "invalid axes: ..."
  explicit Axes(std::string_view name);

  /// Sorted, for a tensor of this rank.
  /// @throws DomainError  "there should be at least one normalization axis", "axes should be less than ndim (<N), but
  ///                      (...) given", "Duplicate axis".
  std::vector<Index> resolve(Index rank) const;

 private:
  enum class Kind { per_activation, spatial, list };
  Axes(Kind kind, std::vector<Index> list) : kind_(kind), list_(std::move(list)) {}
  Kind kind_;
  std::vector<Index> list_;
};

// ------------------------------------------------------------------------------------------------------- training

template <Scalar T>
struct TrainOptions {
  Axes axes = Axes::per_activation();
  double epsilon = 1e-4;                  ///< at least 1e-5 as a T: 1e-5 itself is less in float
  double running_average_factor = 0.1;    ///< of the new value, in [0, 1]
  TensorView<const T> running_mean = {};  ///< both or none
  TensorView<const T> running_var = {};
};
template <Scalar T>
struct Trained {
  Tensor<T> out, mean, invstd;
  std::optional<Tensor<T>> running_mean, running_var;  ///< the new ones, where the old ones were given
};
/// With the mean and biased variance of x over `axes`, m values each:
///
///     out = gamma (x - mean) invstd + beta,   invstd = 1 / sqrt(variance + epsilon)
///     running_mean' = (1 - f) running_mean + f mean,   running_var' = (1 - f) running_var + f m / (m - 1) variance
///
/// @throws DomainError  if running statistics are given and m < 2. (m / (m - 1) has no value there; Aesara's new
///                      variance is NaN from then on.) Without them m = 1 gives out = beta.
template <Scalar T>
Trained<T> batch_normalization_train(const Input<T>& x, const Input<T>& gamma, const Input<T>& beta,
                                     const TrainOptions<std::type_identity_t<T>>& options = {});

/// Adjoints of what training returned; none is 0.
template <Scalar T>
struct TrainAdjoints {
  TensorView<const T> out = {}, mean = {}, invstd = {};
};
template <Scalar T>
struct TrainGradients {
  Tensor<T> x, gamma, beta;
};
/// Through the statistics too, `mean` and `invstd` being those that training returned. Exact for all three outputs:
/// Aesara drops what depends on mean and invstd, so a log|det| made of its invstd has no gradient there.
template <Scalar T>
TrainGradients<T> batch_normalization_train_backward(const Input<T>& x, const Input<T>& gamma, const Input<T>& mean,
                                                     const Input<T>& invstd,
                                                     const TrainAdjoints<std::type_identity_t<T>>& adjoints,
                                                     const Axes& axes = Axes::per_activation());

/// Aesara's gradient as an operation of its own: for any mean and invstd, with d = x - mean and averages over `axes`,
///
///     c = invstd dy - invstd^3 d mean(dy d),   dx = gamma (c - mean(c)),
///     dgamma = invstd sum(dy d),               dbeta = sum(dy)
template <Scalar T>
TrainGradients<T> batch_normalization_train_grad(const Input<T>& x, const Input<T>& dy, const Input<T>& gamma,
                                                 const Input<T>& mean, const Input<T>& invstd,
                                                 const Axes& axes = Axes::per_activation());
/// Adjoints of what batch_normalization_train_grad returned; none is 0.
template <Scalar T>
struct TrainGradAdjoints {
  TensorView<const T> x = {}, gamma = {}, beta = {};
};
template <Scalar T>
struct TrainGradGradients {
  Tensor<T> x, dy, gamma, mean, invstd;
};
/// Its gradients: the second order of batch normalisation. With q = gamma (ddx - mean(ddx)), P = mean(dy d),
/// Q = mean(q d), s = invstd, and a, b the adjoints of dgamma and dbeta:
///
///     g_dy = s q - s^3 Q d + a s d + b,                g_x = a s dy - s^3 (Q dy + P q),        g_mean = -sum(g_x)
///     g_invstd = sum(q dy) - 3 s^2 m P Q + a sum(dy d),   g_gamma = sum((ddx - mean(ddx)) (s dy - s^3 P d))
template <Scalar T>
TrainGradGradients<T> batch_normalization_train_grad_backward(
    const Input<T>& x, const Input<T>& dy, const Input<T>& gamma, const Input<T>& mean, const Input<T>& invstd,
    const TrainGradAdjoints<std::type_identity_t<T>>& adjoints, const Axes& axes = Axes::per_activation());

// ------------------------------------------------------------------------------------------------------ test time

/// out = gamma (x - mean) / sqrt(var + epsilon) + beta.
template <Scalar T>
Tensor<T> batch_normalization_test(const Input<T>& x, const Input<T>& gamma, const Input<T>& beta, const Input<T>& mean,
                                   const Input<T>& var, const Axes& axes = Axes::per_activation(),
                                   double epsilon = 1e-4);
template <Scalar T>
struct TestGradients {
  Tensor<T> x, gamma, beta, mean, var;
};
/// From dy = d loss / d out, with r = 1 / sqrt(var + epsilon): dx = gamma r dy, dgamma = r sum(dy (x - mean)),
/// dbeta = sum(dy), dmean = -gamma r sum(dy), dvar = -gamma r^3 sum(dy (x - mean)) / 2.
template <Scalar T>
TestGradients<T> batch_normalization_test_backward(const Input<T>& x, const Input<T>& gamma, const Input<T>& beta,
                                                   const Input<T>& mean, const Input<T>& var, const Input<T>& dy,
                                                   const Axes& axes = Axes::per_activation(), double epsilon = 1e-4);

// ----------------------------------------------------------------------------------------- the older, element-wise

/// What the backward pass starts from.
enum class Mode {
  low_mem,   ///< the inputs: nothing is kept
  high_mem,  ///< (x - mean) / std, kept beside the output: backward reads x no more
};
/// "low_mem" or "high_mem".
/// @throws DomainError  mode must be either "low_mem", "high_mem"
Mode mode_of(std::string_view name);

template <Scalar T>
struct Normalized {
  Tensor<T> out;
  std::optional<Tensor<T>> standardized;  ///< (x - mean) / std, in high_mem
};
/// out = gamma (x - mean) / std + beta, of x's shape. The parameters are broadcast against x as in NumPy: aligned at
/// the last axis, 1 or x's extent along each. `std` is the deviation itself: there is no epsilon. Both modes give the
/// same numbers up to rounding.
/// @throws DomainError  if a std is 0.
template <Scalar T>
Normalized<T> batch_normalization(const Input<T>& x, const Input<T>& gamma, const Input<T>& beta, const Input<T>& mean,
                                  const Input<T>& std, Mode mode = Mode::low_mem);
template <Scalar T>
struct NormalizedGradients {
  Tensor<T> x, gamma, beta, mean, std;
};
/// From dy = d loss / d out and what the forward pass returned; sums over all that a parameter served:
/// dx = gamma dy / std, dgamma = sum dy (x - mean) / std, dbeta = sum dy, dmean = -sum gamma dy / std,
/// dstd = -sum gamma dy (x - mean) / std^2.
template <Scalar T>
NormalizedGradients<T> batch_normalization_backward(const Input<T>& x, const Input<T>& gamma, const Input<T>& beta,
                                                    const Input<T>& mean, const Input<T>& std,
                                                    const Normalized<std::type_identity_t<T>>& forward,
                                                    const Input<T>& dy);

// ----------------------------------------------------------------------------- the same, with T from the first
// argument

template <TensorLike X>
auto batch_normalization_train(const X& x, const Input<ElementOf<X>>& gamma, const Input<ElementOf<X>>& beta,
                               const TrainOptions<ElementOf<X>>& options = {}) {
  return batch_normalization_train<ElementOf<X>>(x, gamma, beta, options);
}
template <TensorLike X>
auto batch_normalization_train_backward(const X& x, const Input<ElementOf<X>>& gamma, const Input<ElementOf<X>>& mean,
                                        const Input<ElementOf<X>>& invstd, const TrainAdjoints<ElementOf<X>>& adjoints,
                                        const Axes& axes = Axes::per_activation()) {
  return batch_normalization_train_backward<ElementOf<X>>(x, gamma, mean, invstd, adjoints, axes);
}
template <TensorLike X>
auto batch_normalization_train_grad(const X& x, const Input<ElementOf<X>>& dy, const Input<ElementOf<X>>& gamma,
                                    const Input<ElementOf<X>>& mean, const Input<ElementOf<X>>& invstd,
                                    const Axes& axes = Axes::per_activation()) {
  return batch_normalization_train_grad<ElementOf<X>>(x, dy, gamma, mean, invstd, axes);
}
template <TensorLike X>
auto batch_normalization_train_grad_backward(const X& x, const Input<ElementOf<X>>& dy,
                                             const Input<ElementOf<X>>& gamma, const Input<ElementOf<X>>& mean,
                                             const Input<ElementOf<X>>& invstd,
                                             const TrainGradAdjoints<ElementOf<X>>& adjoints,
                                             const Axes& axes = Axes::per_activation()) {
  return batch_normalization_train_grad_backward<ElementOf<X>>(x, dy, gamma, mean, invstd, adjoints, axes);
}
template <TensorLike X>
auto batch_normalization_test(const X& x, const Input<ElementOf<X>>& gamma, const Input<ElementOf<X>>& beta,
                              const Input<ElementOf<X>>& mean, const Input<ElementOf<X>>& var,
                              const Axes& axes = Axes::per_activation(), double epsilon = 1e-4) {
  return batch_normalization_test<ElementOf<X>>(x, gamma, beta, mean, var, axes, epsilon);
}
template <TensorLike X>
auto batch_normalization_test_backward(const X& x, const Input<ElementOf<X>>& gamma, const Input<ElementOf<X>>& beta,
                                       const Input<ElementOf<X>>& mean, const Input<ElementOf<X>>& var,
                                       const Input<ElementOf<X>>& dy, const Axes& axes = Axes::per_activation(),
                                       double epsilon = 1e-4) {
  return batch_normalization_test_backward<ElementOf<X>>(x, gamma, beta, mean, var, dy, axes, epsilon);
}
template <TensorLike X>
auto batch_normalization(const X& x, const Input<ElementOf<X>>& gamma, const Input<ElementOf<X>>& beta,
                         const Input<ElementOf<X>>& mean, const Input<ElementOf<X>>& std, Mode mode = Mode::low_mem) {
  return batch_normalization<ElementOf<X>>(x, gamma, beta, mean, std, mode);
}
template <TensorLike X>
auto batch_normalization_backward(const X& x, const Input<ElementOf<X>>& gamma, const Input<ElementOf<X>>& beta,
                                  const Input<ElementOf<X>>& mean, const Input<ElementOf<X>>& std,
                                  const Normalized<ElementOf<X>>& forward, const Input<ElementOf<X>>& dy) {
  return batch_normalization_backward<ElementOf<X>>(x, gamma, beta, mean, std, forward, dy);
}

}  // namespace pushforward::batch_norm::aesara
