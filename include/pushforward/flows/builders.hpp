#pragma once

#include <cstdint>
#include <numbers>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

#include <pushforward/bijectors/batch_normalization.hpp>
#include <pushforward/bijectors/rational_quadratic_transformer.hpp>
#include <pushforward/nn/dense.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>

namespace pushforward {

/// What stands between the layers of a flow. With `none` all layers of `maf` and `nsf_ar` keep one fixed order of the
/// columns: the flow has a `triangular_order()`, so prefix densities and exact draws given a prefix.
enum class Mixing { none, reverse, random_permutation, lu_linear };

/// Independent columns that a flow starts from, all of location 0: a normal distribution of variance 1; Student's t of
/// scale 1, whose degrees of freedom are learned for each column; a logistic one of variance 1. Where the data has heavy
/// tails, a normal base leaves them to the layers, which far out are affine.
enum class Base { normal, student_t, logistic };

/// Options that all builders share.
///
/// No density explodes: a conditioner sees its input softly bounded, scales are bounded, and beyond `tail` base units
/// an affine transformer's slope towards the base is 1.09 at most, as a spline's is 1 beyond its interval. So far from
/// the data every flow is an affine map of its base, and log densities fall there as a Gaussian's do. The bounds are in
/// standardised units: give columns of location 0 and scale 1, as `prepare_and_fit` does. What learned linear maps
/// (Mixing::lu_linear) and normalisation layers stretch the data by, they stretch far rows by too.
///
/// What is not given is the builder's own, from the table `flow_presets()`; naming one option leaves the others alone:
/// `nsf<double>(4, {.layers = 10})` is `nsf<double>(4)` with ten layers.
struct FlowOptions {
  std::optional<Index> layers = {};
  std::optional<Index> hidden = {};  ///< units of every hidden layer of a conditioner
  /// With `residual`, blocks of two layers; without, hidden layers after the first one. Where `residual` is named and
  /// is not the builder's own: 2 blocks, or 1 layer.
  std::optional<Index> blocks = {};
  std::optional<bool> residual = {};
  std::optional<Activation> activation = {};
  double dropout = 0;      ///< in the conditioners, in training passes only
  Index context_dim = 0;   ///< columns of context, 0: unconditional
  std::optional<Mixing> mixing = {};
  std::optional<Base> base = {};
  bool batch_norm = false;  ///< a BatchNormalization after each layer but the last (data side)
  BatchNormalizationOptions batch_norm_options = {};  ///< of those: ghost batches, renormalisation, map of gamma
  bool conditioner_batch_norm = false;  ///< batch norm of the hidden units of coupling networks; not inside a MADE
  bool act_norm = false;    ///< an ActNorm before each layer (data side)
  double scale_bound = 5;   ///< |log scale| of an affine transformer stays below it
  double shift_bound = 3;   ///< nice: |shift| of a coupling stays below it
  /// Beyond this many base units an affine transformer hardly throws points out further; infinity: it may.
  std::optional<double> tail = {};
  /// Conditioners see columns and context softly bounded by it, in units of the data; infinity: as they are.
  std::optional<double> input_bound = {};
  /// Of spline flows. raw_scale is multiplied by 1 / sqrt(hidden) with the parameters of nflows, as in the paper.
  RationalQuadraticOptions spline = {};
  bool spline_unchanged = true;  ///< nsf: columns that a coupling leaves as they are go through splines of their own
  std::uint64_t seed = 0;   ///< of initial weights and random permutations
};

/// What a builder takes where its options say nothing.
struct FlowPreset {
  std::string_view name;  ///< of the builder: "nsf"
  Index layers;
  Index hidden;
  Index blocks;
  bool residual;
  Activation activation;
  Mixing mixing;
  Base base;
  double input_bound;
  double tail;
  bool splines;  ///< `FlowOptions::spline` matters
  bool affine;   ///< layers are affine maps of each column alone, so of one column no more than its base
  TransformedDistribution<float> (*build_float)(Index dim, FlowOptions options);
  TransformedDistribution<double> (*build_double)(Index dim, FlowOptions options);

  /// The options with everything given.
  FlowOptions complete(FlowOptions options) const;
  template <Scalar T>
  TransformedDistribution<T> build(Index dim, const FlowOptions& options = {}) const {
    if constexpr (std::is_same_v<T, float>) return build_float(dim, options);
    else return build_double(dim, options);
  }
};
/// The one table of builders, which the command line tool reads too. flows/builders.cpp says the reason of each line.
std::span<const FlowPreset> flow_presets();
/// The line of that name.
/// @throws DomainError  if there is none, naming all.
const FlowPreset& flow_preset(std::string_view name);

/// Masked autoregressive flow: `layers` of MaskedAutoregressive with affine transformers, `mixing` between them. Fast density; sampling costs about as much.
/// @source Papamakarios et al. 2017: 5 or 10 layers, 1 or 2 hidden layers, reversed order and batch norm between.
template <Scalar T>
TransformedDistribution<T> maf(Index dim, FlowOptions options = {});

/// Inverse autoregressive flow: the same layers turned round. Sampling and the density of samples in one network pass
/// per layer, the density of other points element by element.
/// @source Kingma et al. 2016.
template <Scalar T>
TransformedDistribution<T> iaf(Index dim, FlowOptions options = {});

/// Affine coupling flow with alternating masks; both directions fast. A column alone depends on the context, which these
/// flows, `nice` and `nsf` too, must have then.
/// @source Dinh et al. 2017 (RealNVP).
template <Scalar T>
TransformedDistribution<T> real_nvp(Index dim, FlowOptions options = {});

/// Additive coupling flow with half masks and, at the base, a learned diagonal scaling (and shift), an LU linear map and
/// columns, logistic ones by default, whose tails are learned (ModulusTransformer).
/// @source Dinh et al. 2015 (NICE): 4 couplings, 5 hidden layers, logistic prior. The linear map and the tails are not
///   theirs: bounded shifts alone cannot follow columns that are strongly correlated far out, nor heavy tails.
template <Scalar T>
TransformedDistribution<T> nice(Index dim, FlowOptions options = {});

/// Neural spline flow of couplings: `mixing` at both ends and between the layers; a coupling is a rational-quadratic
/// spline of every other column by a residual network of the rest, which goes through splines of its own then.
/// @source Durkan et al. 2019, RQ-NSF (C), and the authors' code.
template <Scalar T>
TransformedDistribution<T> nsf(Index dim, FlowOptions options = {});

/// Neural spline flow of autoregressive layers (residual MADE), `mixing` at both ends and between. Fast density;
/// sampling costs about as much.
/// @source Durkan et al. 2019, RQ-NSF (AR), and the authors' code.
template <Scalar T>
TransformedDistribution<T> nsf_ar(Index dim, FlowOptions options = {});

// Autoregressive flows like `maf`, whose layers reshape each column besides: what the affine map gives goes through one of
// these on [-5, 5], which it maps onto itself (IdentityTailsTransformer).

/// Sums of squares of polynomials.
/// @source Jaini et al. 2019; zuko's `SOSPF`: degree 4, 3 polynomials.
template <Scalar T>
TransformedDistribution<T> sospf(Index dim, FlowOptions options = {});

/// Bernstein polynomials.
/// @source Sick et al. 2021; zuko's `BPF`: degree 16.
template <Scalar T>
TransformedDistribution<T> bpf(Index dim, FlowOptions options = {});

/// Neural autoregressive flow: a network that increases.
/// @source Huang et al. 2018; zuko's `NAF`: 16 signals.
template <Scalar T>
TransformedDistribution<T> naf(Index dim, FlowOptions options = {});

/// Unconstrained neural autoregressive flow: the integral of a positive network.
/// @source Wehenkel and Louppe 2019; zuko's `UNAF`: 16 signals.
template <Scalar T>
TransformedDistribution<T> unaf(Index dim, FlowOptions options = {});

struct GaussianizationFlowOptions {
  Index layers = 6;
  Index components = 8;    ///< normal distributions of a column in a layer
  Index context_dim = 0;   ///< columns of context, from which a network computes a layer's shapes
  Index hidden = 64;       ///< units of its two hidden layers
  double scale_bound = 5;  ///< |log scale| of the affine map of each column stays below it
  double tail = 1.5;       ///< as FlowOptions::tail
  double input_bound = 5;  ///< as FlowOptions::input_bound, of the context
  Base base = Base::normal;
  std::uint64_t seed = 0;
};

/// Gaussianization flow: rotations, and between them a map of each column by itself, mixtures of normal distributions
/// taken to one inside [-5, 5]. No network without a context; both directions fast.
/// @source Meng et al. 2020; zuko's `GF`.
template <Scalar T>
TransformedDistribution<T> gf(Index dim, GaussianizationFlowOptions options = {});

struct BlockFlowOptions {
  Index layers = 1;         ///< maps, with reversed order of the columns between
  Index hidden_layers = 2;  ///< of each
  Index block = 8;          ///< hidden units of each column in a layer
  Index context_dim = 0;
  double input_bound = 5;   ///< as FlowOptions::input_bound
  Base base = Base::normal;
  std::uint64_t seed = 0;
};

/// Block neural autoregressive flow. Fast density; sampling solves for one column after the other.
/// @source De Cao et al. 2019; flowjax' `block_neural_autoregressive_flow`.
template <Scalar T>
TransformedDistribution<T> bnaf(Index dim, BlockFlowOptions options = {});

struct CircularFlowOptions {
  Index layers = 6;
  Index hidden = 64;      ///< units of the two hidden layers of a coupling's network
  Index bins = 8;         ///< of the splines
  double low = -std::numbers::pi, high = std::numbers::pi;  ///< the period of every column
  Index context_dim = 0;  ///< which the networks see as it is: standardise it
  Activation activation = Activation::silu;
  std::uint64_t seed = 0;
};

/// Neural circular spline flow, of angles: couplings whose circular splines depend on sines and cosines of the other
/// columns, with a learned shift before each, from a uniform distribution on the torus. The density has no seam.
/// @source Rezende et al. 2020, section 2.1.2 and 2.1.4; zuko's `NCSF` has autoregressive layers that see the angles
///   themselves.
template <Scalar T>
TransformedDistribution<T> ncsf(Index dim, CircularFlowOptions options = {});

}  // namespace pushforward
