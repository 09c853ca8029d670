#pragma once

#include <cstdint>
#include <vector>

#include <pushforward/bijectors/batch_normalization.hpp>
#include <pushforward/bijectors/rational_quadratic_transformer.hpp>
#include <pushforward/nn/dense.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>

namespace pushforward {

/// What stands between the layers of a flow. With `none` all layers of `maf` and `nsf_ar` keep one fixed order of the
/// columns: the flow has a `triangular_order()`, so prefix densities and exact draws given a prefix.
enum class Mixing { none, reverse, random_permutation, lu_linear };

/// Options that all builders share; each builder's own defaults are those of its paper.
struct FlowOptions {
  Index layers = 5;
  Index hidden = 64;  ///< units of every hidden layer of a conditioner
  Index blocks = 2;   ///< residual: blocks of two layers; plain: hidden layers after the first one
  bool residual = false;
  Activation activation = Activation::relu;
  double dropout = 0;      ///< in the conditioners, in training passes only
  Index context_dim = 0;   ///< columns of context, 0: unconditional
  Mixing mixing = Mixing::reverse;
  bool batch_norm = false;  ///< a BatchNormalization after each layer but the last (data side)
  BatchNormalizationOptions batch_norm_options = {};  ///< of those: ghost batches, renormalisation, map of gamma
  bool conditioner_batch_norm = false;  ///< batch norm of the hidden units of coupling networks; not inside a MADE
  bool act_norm = false;    ///< an ActNorm before each layer (data side)
  double scale_bound = 5;   ///< |log scale| of an affine transformer stays below it
  /// Of spline flows. raw_scale is multiplied by 1 / sqrt(hidden) with the parameters of nflows, as in the paper.
  RationalQuadraticOptions spline = {};
  bool spline_unchanged = true;  ///< nsf: columns that a coupling leaves as they are go through splines of their own
  std::uint64_t seed = 0;   ///< of initial weights and random permutations
};

/// Masked autoregressive flow: `layers` of MaskedAutoregressive with affine transformers, `mixing` between them,
/// standard normal base. Fast density; sampling costs about as much.
/// @source Papamakarios et al. 2017: 5 or 10 layers, 1 or 2 hidden layers, reversed order and batch norm between.
template <Scalar T>
TransformedDistribution<T> maf(Index dim, FlowOptions options = {.layers = 5, .blocks = 1});

/// Inverse autoregressive flow: the same layers turned round. Sampling and the density of samples in one network pass
/// per layer, the density of other points element by element.
/// @source Kingma et al. 2016.
template <Scalar T>
TransformedDistribution<T> iaf(Index dim, FlowOptions options = {.layers = 5, .blocks = 1});

/// Affine coupling flow with alternating masks; both directions fast. The conditioners' tanh units keep shifts and
/// scales bounded far from the data: with relu units, points in heavy tails are thrown out further by every layer.
/// @source Dinh et al. 2017 (RealNVP).
template <Scalar T>
TransformedDistribution<T> real_nvp(Index dim, FlowOptions options = {.layers = 10,
                                                                      .blocks = 1,
                                                                      .activation = Activation::tanh,
                                                                      .mixing = Mixing::none});

/// Additive coupling flow with half masks and a learned diagonal scaling at the end.
/// @source Dinh et al. 2015 (NICE): 4 couplings, 5 hidden layers.
template <Scalar T>
TransformedDistribution<T> nice(Index dim, FlowOptions options = {.layers = 4, .blocks = 4, .mixing = Mixing::none});

/// Neural spline flow of couplings: `mixing` at both ends and between the layers; a coupling is a rational-quadratic
/// spline of every other column by a residual network of the rest, which goes through splines of its own then.
/// @source Durkan et al. 2019, RQ-NSF (C), and the authors' code.
template <Scalar T>
TransformedDistribution<T> nsf(Index dim, FlowOptions options = {.layers = 10,
                                                                 .hidden = 256,
                                                                 .residual = true,
                                                                 .mixing = Mixing::lu_linear});

/// Neural spline flow of autoregressive layers (residual MADE), `mixing` at both ends and between. Fast density;
/// sampling costs about as much.
/// @source Durkan et al. 2019, RQ-NSF (AR), and the authors' code.
template <Scalar T>
TransformedDistribution<T> nsf_ar(Index dim, FlowOptions options = {.layers = 10,
                                                                    .hidden = 256,
                                                                    .residual = true,
                                                                    .mixing = Mixing::lu_linear});

}  // namespace pushforward
