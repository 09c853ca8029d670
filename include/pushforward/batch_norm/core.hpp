#pragma once

#include <pushforward/views.hpp>
#include <span>
#include <vector>

/// Batch normalisation without state: what the layer, the bijector and the functional forms stand on.
///
/// A tensor of any rank is split by its *kept* axes: each position along them is a channel (numbered with the last kept
/// axis fastest), and everything else is averaged over. Data is used where it lies: any strides, no copy. Quantities
/// per channel are double for both scalars.
///
///     out = gamma (x - mean) / sqrt(variance + epsilon) + beta
///
/// @par Numerics  Moments are sums of deviations from a value of the tile, in double, and tiles are merged in a fixed
///                order (Chan et al. 1979): in float at mean / std = 1e4 the variance is right to 1e-6. The mean is
///                subtracted before scaling, and what its rounding to T left out after it.
/// @par Cost      Forward reads x twice and writes once; backward reads x and the adjoint twice and writes once.
namespace pushforward::batch_norm {

/// Kept axes: negative ones count from the end. Sorted, each in [0, rank).
/// @throws DomainError  "Invalid axis" if out of range, "Duplicate axis" if one occurs twice.
std::vector<Index> resolve_axes(std::span<const Index> axes, Index rank);
/// The axes that are not in `axes` (resolved ones).
std::vector<Index> other_axes(std::span<const Index> axes, Index rank);
/// Product of the extents along `axes`.
Index count_along(std::span<const Index> shape, std::span<const Index> axes);

/// Mean and biased variance (1/count) of each channel.
struct Moments {
  std::vector<double> mean;
  std::vector<double> variance;
  Index count = 0;  ///< values averaged per channel
};
/// An empty average gives mean 0 and variance 0 with count 0.
template <Scalar T>
Moments moments(const TensorView<const T>& x, std::span<const Index> kept);

/// What to normalise by. Empty spans stand for gamma = 1, beta = 0.
struct Affine {
  std::span<const double> mean;
  std::span<const double> variance;
  std::span<const double> gamma;
  std::span<const double> beta;
  double epsilon = 0;
  double correction = 0;  ///< training_backward: 1 where `variance` has Bessel's correction
};
/// out = gamma (x - mean) / sqrt(variance + epsilon) + beta; out may be x.
/// @throws ShapeError   if shapes or sizes differ.
/// @throws DomainError  if a variance plus epsilon is not positive.
template <Scalar T>
void normalize(const TensorView<const T>& x, std::span<const Index> kept, const Affine& by, const TensorView<T>& out);
/// Its inverse: out = (x - beta) sqrt(variance + epsilon) / gamma + mean.
template <Scalar T>
void denormalize(const TensorView<const T>& x, std::span<const Index> kept, const Affine& by, const TensorView<T>& out);

/// sum over channels of log |gamma| - log(variance + epsilon) / 2: the log|det| of `normalize` for one value per
/// channel. A tensor with several positions per channel and event has it that many times.
double log_det(const Affine& by);

/// The training pass: moments of x itself, then `normalize` with the biased variance.
template <Scalar T>
Moments training_forward(const TensorView<const T>& x, std::span<const Index> kept, std::span<const double> gamma,
                         std::span<const double> beta, double epsilon, const TensorView<T>& out);

/// Adjoints of what a pass gave; empty or 0 where nothing depends on it.
template <Scalar T>
struct Adjoints {
  TensorView<const T> out = {};           ///< d loss / d out
  double log_det = 0;                ///< of log_det, summed over all that it was added to
  std::span<const double> mean = {};      ///< of the batch's mean, per channel
  std::span<const double> variance = {};  ///< of the batch's biased variance, per channel
  std::span<const double> invstd = {};    ///< of 1 / sqrt(variance + epsilon), per channel
};
/// Gradients of a pass.
struct Gradients {
  std::vector<double> gamma;
  std::vector<double> beta;
  std::vector<double> mean;      ///< inference only
  std::vector<double> variance;  ///< inference only
};
/// Through the batch's statistics too. With G = d loss / d out, a the adjoint of log_det, s = gamma / sqrt(v +
/// epsilon):
///
///     dx = s [G - mean(G) - (x - mean) sum G (x - mean) / (m (v + epsilon))] - a (x - mean) / (m (v + epsilon)) + ...
///     dgamma = sum G (x - mean) / sqrt(v + epsilon) + a / gamma,      dbeta = sum G
///
/// `by` holds the moments that `training_forward` returned. A dx without data is not written.
/// @source Ioffe & Szegedy 2015, section 3; for the log_det Papamakarios et al. 2017, eq. 22.
template <Scalar T>
Gradients training_backward(const TensorView<const T>& x, std::span<const Index> kept, const Affine& by,
                            const Adjoints<T>& adjoints, const TensorView<T>& dx);
/// For given statistics: dx = s G, and gradients of gamma, beta, mean and variance.
template <Scalar T>
Gradients inference_backward(const TensorView<const T>& x, std::span<const Index> kept, const Affine& by,
                             const Adjoints<T>& adjoints, const TensorView<T>& dx);

/// The general map and its adjoint, per channel, that all of the above are made of.
/// out = (x - mean) scale + shift.
template <Scalar T>
void map_channels(const TensorView<const T>& x, std::span<const Index> kept, std::span<const double> mean,
                  std::span<const double> scale, std::span<const double> shift, const TensorView<T>& out);
/// sums of g and of g (x - mean), per channel.
struct ChannelProducts {
  std::vector<double> g;
  std::vector<double> gd;
};
template <Scalar T>
ChannelProducts channel_products(const TensorView<const T>& g, const TensorView<const T>& x,
                                 std::span<const Index> kept, std::span<const double> mean);
/// out = (g - mean_g) a + (x - mean) b + c.
struct ChannelAdjoint {
  std::span<const double> mean, mean_g, a, b, c;
};
template <Scalar T>
void map_adjoint(const TensorView<const T>& g, const TensorView<const T>& x, std::span<const Index> kept,
                 const ChannelAdjoint& by, const TensorView<T>& out);

}  // namespace pushforward::batch_norm
