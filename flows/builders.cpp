#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <optional>
#include <pushforward/bijectors/act_norm.hpp>
#include <pushforward/bijectors/batch_normalization.hpp>
#include <pushforward/bijectors/bernstein_transformer.hpp>
#include <pushforward/bijectors/block_autoregressive.hpp>
#include <pushforward/bijectors/chain.hpp>
#include <pushforward/bijectors/circular_shift.hpp>
#include <pushforward/bijectors/composed_transformer.hpp>
#include <pushforward/bijectors/coupling.hpp>
#include <pushforward/bijectors/elementwise.hpp>
#include <pushforward/bijectors/gaussianization_transformer.hpp>
#include <pushforward/bijectors/invert.hpp>
#include <pushforward/bijectors/lu_linear.hpp>
#include <pushforward/bijectors/masked_autoregressive.hpp>
#include <pushforward/bijectors/modulus_transformer.hpp>
#include <pushforward/bijectors/monotone_network_transformer.hpp>
#include <pushforward/bijectors/numerical_inverse.hpp>
#include <pushforward/bijectors/permute.hpp>
#include <pushforward/bijectors/rotation.hpp>
#include <pushforward/bijectors/sos_polynomial_transformer.hpp>
#include <pushforward/bijectors/umnn_transformer.hpp>
#include <pushforward/bijectors/identity_tails_transformer.hpp>
#include <pushforward/flows/builders.hpp>
#include <pushforward/distributions/logistic.hpp>
#include <pushforward/distributions/multivariate_normal_diag.hpp>
#include <pushforward/distributions/student_t.hpp>
#include <pushforward/distributions/uniform.hpp>
#include <pushforward/nn/constant.hpp>
#include <pushforward/nn/mlp.hpp>
#include <pushforward/nn/periodic_features.hpp>
#include <pushforward/nn/residual_network.hpp>
#include <string>

#include "src/core/rounded.hpp"

namespace pushforward {

// ------------------------------------------------------------------------------------------------------------ presets

namespace {

const FlowPreset presets[] = {
    // The paper's 5 layers with reversed order between, and two hidden layers. Its 512 units are for sets of 10^6 rows;
    // 64 are what the scores on magic and htru2 were made with (benchmarks/SCORES.md). With tails from 2 on, single
    // rows of power_26days score 80 nats below a Gaussian; closer ones cost no mean more than 0.1 nats.
    {"maf", 5, 64, 1, false, Activation::relu, Mixing::reverse, Base::normal,
     5, 1.5, false, true, &maf<float>, &maf<double>},
    // As maf, which it is turned round.
    {"iaf", 5, 64, 1, false, Activation::relu, Mixing::reverse, Base::normal,
     5, 1.5, false, true, &iaf<float>, &iaf<double>},
    // A coupling changes half of the columns, so twice the layers of maf, and alternating masks need no mixing. Tanh
    // networks are smooth, which heavy tails ask for. Twice the layers throw a row twice as often: closer tails.
    {"real_nvp", 10, 64, 1, false, Activation::tanh, Mixing::none, Base::normal,
     5, 1, false, true, &real_nvp<float>, &real_nvp<double>},
    // The paper's 4 couplings of 5 hidden layers. Shifts are all that its layers have, so they grow steep: closer bounds,
    // and one on the shifts themselves, keep them in reach of the data (benchmarks/SCORES.md says what others gave).
    {"nice", 4, 64, 4, false, Activation::relu, Mixing::none, Base::logistic,
     3, 0.5, false, true, &nice<float>, &nice<double>},
    // Residual networks and LU linear maps as in the paper and its code. Its 10 layers of 256 units (2.7 million
    // parameters) are for sets of 10^6 rows; 5 of 64 are what the scores were made with.
    {"nsf", 5, 64, 2, true, Activation::relu, Mixing::lu_linear, Base::normal,
     5, 3, true, false, &nsf<float>, &nsf<double>},
    {"nsf_ar", 5, 64, 2, true, Activation::relu, Mixing::lu_linear, Base::normal,
     5, 3, true, false, &nsf_ar<float>, &nsf_ar<double>},
    // zuko's 3 layers, two hidden layers of 64 units and reversed order; tanh networks and tails as in the flows above.
    {"sospf", 3, 64, 1, false, Activation::tanh, Mixing::reverse, Base::normal,
     5, 1.5, false, false, &sospf<float>, &sospf<double>},
    {"bpf", 3, 64, 1, false, Activation::tanh, Mixing::reverse, Base::normal,
     5, 1.5, false, false, &bpf<float>, &bpf<double>},
    {"naf", 3, 64, 1, false, Activation::tanh, Mixing::reverse, Base::normal,
     5, 1.5, false, false, &naf<float>, &naf<double>},
    {"unaf", 3, 64, 1, false, Activation::tanh, Mixing::reverse, Base::normal,
     5, 1.5, false, false, &unaf<float>, &unaf<double>},
};

}  // namespace

FlowOptions FlowPreset::complete(FlowOptions o) const {
  o.layers = o.layers.value_or(layers);
  o.hidden = o.hidden.value_or(hidden);
  o.residual = o.residual.value_or(residual);
  // Blocks of two layers are counted otherwise than layers: a preset's number is for its own kind.
  o.blocks = o.blocks.value_or(*o.residual == residual ? blocks : *o.residual ? 2 : 1);
  o.activation = o.activation.value_or(activation);
  o.mixing = o.mixing.value_or(mixing);
  o.base = o.base.value_or(base);
  o.input_bound = o.input_bound.value_or(input_bound);
  o.tail = o.tail.value_or(tail);
  return o;
}

std::span<const FlowPreset> flow_presets() { return presets; }

const FlowPreset& flow_preset(std::string_view name) {
  std::string names;
  for (const FlowPreset& preset : presets) {
    if (preset.name == name) return preset;
    names += (names.empty() ? "" : ", ") + std::string(preset.name);
  }
  throw DomainError("flow_preset: no flow is called '" + std::string(name) + "'; there are " + names);
}

// ------------------------------------------------------------------------------------------------------------ parts

namespace {

/// Each part gets a seed of its own, so that no two networks of a flow start alike.
std::uint64_t part_seed(const FlowOptions& options, Index layer) {
  return options.seed * 1000003u + static_cast<std::uint64_t>(layer);
}

template <Scalar T>
Poly<Bijector<T>> autoregressive(Index dim, Poly<Transformer<T>> transformer, const FlowOptions& options, Index layer) {
  if (options.conditioner_batch_norm)
    throw NotImplemented(
        "autoregressive flows: batch norm inside a MADE is not there; conditioner_batch_norm is for coupling flows");
  Made<T> net(dim, transformer->multiplier(),
              {.hidden = *options.hidden,
               .blocks = *options.blocks,
               .residual = *options.residual,
               .activation = *options.activation,
               .dropout = options.dropout,
               .context_dim = options.context_dim,
               .seed = part_seed(options, layer)});
  return MaskedAutoregressive<T>(std::move(net), std::move(transformer), {}, *options.input_bound);
}

template <Scalar T>
Poly<Network<T>> conditioner(Index inputs, Index outputs, const FlowOptions& options, Index layer) {
  if (*options.residual)
    return ResidualNetwork<T>(inputs, outputs,
                              {.hidden = *options.hidden,
                               .blocks = *options.blocks,
                               .activation = *options.activation,
                               .dropout = options.dropout,
                               .context_dim = options.context_dim,
                               .batch_norm = options.conditioner_batch_norm,
                               .seed = part_seed(options, layer)});
  return Mlp<T>(inputs, outputs,
                {.hidden = std::vector<Index>(static_cast<std::size_t>(*options.blocks) + 1, *options.hidden),
                 .activation = *options.activation,
                 .dropout = options.dropout,
                 .context_dim = options.context_dim,
                 .batch_norm = options.conditioner_batch_norm,
                 .seed = part_seed(options, layer)});
}

template <Scalar T>
Poly<Bijector<T>> coupling(std::vector<std::int64_t> mask, Poly<Transformer<T>> transformer, const FlowOptions& options,
                           Index layer) {
  // A column alone depends on the context, in every layer; without one there is nothing that it could depend on.
  if (mask.size() == 1 && options.context_dim > 0) {
    FlowOptions of_context = options;
    of_context.context_dim = 0;
    Poly<Network<T>> net = conditioner<T>(options.context_dim, transformer->multiplier(), of_context, layer);
    return Elementwise<T>(std::move(transformer), 1, std::move(net), *options.input_bound);
  }
  if (mask.size() < 2)
    throw ShapeError("couplings need at least 2 columns, got " + std::to_string(mask.size()) + "; take nsf_ar or maf");
  Index unchanged = 0;
  for (const std::int64_t m : mask) unchanged += m != 0;
  const Index changed = static_cast<Index>(mask.size()) - unchanged;
  Poly<Network<T>> net = conditioner<T>(unchanged, transformer->multiplier() * changed, options, layer);
  return Coupling<T>(std::move(mask), std::move(net), std::move(transformer), *options.input_bound);
}

template <Scalar T>
RationalQuadraticTransformer<T> spline(const FlowOptions& options) {
  RationalQuadraticOptions o = options.spline;
  if (o.parameters == SplineParameters::nflows) o.raw_scale /= std::sqrt(static_cast<double>(*options.hidden));
  return RationalQuadraticTransformer<T>(o);
}

/// Appends what stands between layers, seen from the data side.
template <Scalar T>
void mix(std::vector<Poly<Bijector<T>>>& parts, Index dim, const FlowOptions& options, Index number) {
  switch (*options.mixing) {
    case Mixing::none:
      break;
    case Mixing::reverse:
      parts.push_back(Permute<T>::reverse(dim));
      break;
    case Mixing::random_permutation:
      parts.push_back(Permute<T>::random(dim, part_seed(options, number)));
      break;
    case Mixing::lu_linear:
      // Turned round: the density direction is the product, the sampling direction the triangular solves.
      parts.push_back(Permute<T>::random(dim, part_seed(options, number)));
      parts.push_back(Invert<T>(LULinear<T>(dim)));
      break;
  }
}

template <Scalar T>
Poly<Distribution<T>> base_of(Index dim, const FlowOptions& options) {
  const std::vector<T> loc(static_cast<std::size_t>(dim), T(0));
  switch (*options.base) {
    case Base::student_t:
      return StudentT<T>(dim);
    case Base::logistic:
      return Logistic<T>(loc, std::vector<T>(loc.size(), static_cast<T>(std::sqrt(3.0) * std::numbers::inv_pi)));
    case Base::normal:
      break;
  }
  return MultivariateNormalDiag<T>::standard(dim);
}

/// Layers from the data side to the base, which is how the papers count them; a Chain is written base first.
/// `mixed_ends`: what stands between layers stands at both ends too.
template <Scalar T>
TransformedDistribution<T> assemble(const char* name, Index dim, const FlowOptions& options,
                                    const std::function<Poly<Bijector<T>>(Index layer)>& make_layer,
                                    std::vector<Poly<Bijector<T>>> base_side = {}, bool mixed_ends = false) {
  if (dim < 1) throw ShapeError(std::string(name) + ": dim must be at least 1, got " + std::to_string(dim));
  if (*options.layers < 1)
    throw ShapeError(std::string(name) + ": expected at least one layer, got " + std::to_string(*options.layers));
  std::vector<Poly<Bijector<T>>> parts;  // data side first
  if (mixed_ends) mix<T>(parts, dim, options, -1);
  for (Index i = 0; i < *options.layers; ++i) {
    if (options.act_norm) parts.push_back(ActNorm<T>(dim));
    parts.push_back(make_layer(i));
    if (i + 1 == *options.layers) break;
    if (options.batch_norm) parts.push_back(BatchNormalization<T>(dim, options.batch_norm_options));
    mix<T>(parts, dim, options, i);
  }
  if (mixed_ends) mix<T>(parts, dim, options, *options.layers);
  for (Poly<Bijector<T>>& part : base_side) parts.push_back(std::move(part));
  std::vector<Poly<Bijector<T>>> base_first;
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) base_first.push_back(std::move(*part));
  return TransformedDistribution<T>(base_of<T>(dim, options), Chain<T>(std::move(base_first)));
}

}  // namespace

template <Scalar T>
TransformedDistribution<T> maf(Index dim, FlowOptions options) {
  options = flow_preset("maf").complete(options);
  return assemble<T>("maf", dim, options, [&](Index i) {
    return autoregressive<T>(dim, AffineTransformer<T>(options.scale_bound, *options.tail), options, i);
  });
}

template <Scalar T>
TransformedDistribution<T> iaf(Index dim, FlowOptions options) {
  options = flow_preset("iaf").complete(options);
  return assemble<T>("iaf", dim, options, [&](Index i) -> Poly<Bijector<T>> {
    // Turned round twice, so that the transformer's tails keep the density's direction.
    return Invert<T>(autoregressive<T>(
        dim, InvertedTransformer<T>(AffineTransformer<T>(options.scale_bound, *options.tail)), options, i));
  });
}

template <Scalar T>
TransformedDistribution<T> real_nvp(Index dim, FlowOptions options) {
  options = flow_preset("real_nvp").complete(options);
  return assemble<T>("real_nvp", dim, options, [&](Index i) {
    return coupling<T>(Coupling<T>::alternating_mask(dim, i % 2 == 1),
                       AffineTransformer<T>(options.scale_bound, *options.tail), options, i);
  });
}

template <Scalar T>
TransformedDistribution<T> nice(Index dim, FlowOptions options) {
  options = flow_preset("nice").complete(options);
  // Bounded shifts cannot follow columns that are strongly correlated far out, nor tails heavier than those of the
  // paper's logistic prior; a linear map and a power of the modulus can.
  std::vector<Poly<Bijector<T>>> base_side;  // data side first
  base_side.push_back(Elementwise<T>(AffineTransformer<T>(options.scale_bound, *options.tail), dim));
  base_side.push_back(Invert<T>(LULinear<T>(dim)));
  base_side.push_back(Elementwise<T>(ModulusTransformer<T>(), dim));
  return assemble<T>(
      "nice", dim, options,
      [&](Index i) {
        return coupling<T>(Coupling<T>::half_mask(dim, i % 2 == 1), AdditiveTransformer<T>(options.shift_bound), options, i);
      },
      std::move(base_side));
}

template <Scalar T>
TransformedDistribution<T> nsf(Index dim, FlowOptions options) {
  options = flow_preset("nsf").complete(options);
  return assemble<T>(
      "nsf", dim, options,
      [&](Index i) -> Poly<Bijector<T>> {
        const std::vector<std::int64_t> mask = Coupling<T>::alternating_mask(dim, i % 2 == 1);
        Poly<Bijector<T>> layer = coupling<T>(mask, spline<T>(options), options, i);
        const Index unchanged = std::count_if(mask.begin(), mask.end(), [](std::int64_t m) { return m != 0; });
        if (!options.spline_unchanged || unchanged == 0 || dim == 1) return layer;
        RationalQuadraticTransformer<T> own(options.spline);
        Constant<T> raw(dim - unchanged, own.multiplier() * unchanged);
        Coupling<T> rest(Coupling<T>::alternating_mask(dim, i % 2 == 0), std::move(raw), std::move(own));
        std::vector<Poly<Bijector<T>>> both;  // base side first
        both.push_back(std::move(rest));
        both.push_back(std::move(layer));
        return Chain<T>(std::move(both));
      },
      {}, true);
}

template <Scalar T>
TransformedDistribution<T> nsf_ar(Index dim, FlowOptions options) {
  options = flow_preset("nsf_ar").complete(options);
  return assemble<T>(
      "nsf_ar", dim, options, [&](Index i) { return autoregressive<T>(dim, spline<T>(options), options, i); }, {},
      true);
}

namespace {

/// Of a closed map towards the base: an affine map on the side of the data, then the shape inside [-5, 5].
template <Scalar T>
Poly<Transformer<T>> shaped(Poly<Transformer<T>> shape, double scale_bound, double tail) {
  constexpr double inside = 5;
  return ComposedTransformer<T>(
      {IdentityTailsTransformer<T>(std::move(shape), inside), AffineTransformer<T>(scale_bound, tail)});
}

template <Scalar T>
TransformedDistribution<T> shaped_maf(const char* name, Index dim, FlowOptions options,
                                      const std::function<Poly<Transformer<T>>(std::uint64_t seed)>& shape) {
  options = flow_preset(name).complete(options);
  return assemble<T>(name, dim, options, [&](Index i) {
    return autoregressive<T>(dim, shaped<T>(shape(part_seed(options, i)), options.scale_bound, *options.tail), options,
                             i);
  });
}

}  // namespace

template <Scalar T>
TransformedDistribution<T> sospf(Index dim, FlowOptions options) {
  return shaped_maf<T>("sospf", dim, options, [](std::uint64_t) -> Poly<Transformer<T>> {
    return NumericalInverse<T>(SosPolynomialTransformer<T>());
  });
}

template <Scalar T>
TransformedDistribution<T> bpf(Index dim, FlowOptions options) {
  return shaped_maf<T>("bpf", dim, options, [](std::uint64_t) -> Poly<Transformer<T>> {
    return NumericalInverse<T>(BernsteinTransformer<T>());
  });
}

template <Scalar T>
TransformedDistribution<T> naf(Index dim, FlowOptions options) {
  return shaped_maf<T>("naf", dim, options, [](std::uint64_t seed) -> Poly<Transformer<T>> {
    return NumericalInverse<T>(MonotoneNetworkTransformer<T>({.seed = seed}));
  });
}

template <Scalar T>
TransformedDistribution<T> unaf(Index dim, FlowOptions options) {
  return shaped_maf<T>("unaf", dim, options, [](std::uint64_t seed) -> Poly<Transformer<T>> {
    // Evaluated at three places and 17 knots each.
    return UmnnTransformer<T>({.hidden = {16, 16}, .bins = 16, .seed = seed});
  });
}

template <Scalar T>
TransformedDistribution<T> gf(Index dim, GaussianizationFlowOptions options) {
  const FlowOptions own{.layers = options.layers, .mixing = Mixing::none, .base = options.base, .seed = options.seed};
  return assemble<T>("gf", dim, own, [&](Index i) -> Poly<Bijector<T>> {
    Poly<Transformer<T>> map = shaped<T>(NumericalInverse<T>(GaussianizationTransformer<T>(options.components)),
                                         options.scale_bound, options.tail);
    const std::uint64_t seed = part_seed(own, i);
    std::vector<Poly<Bijector<T>>> both;  // base side first
    if (options.context_dim > 0)
      both.push_back(Elementwise<T>(map, dim,
                                    Mlp<T>(options.context_dim, map->multiplier() * dim,
                                           {.hidden = {options.hidden, options.hidden},
                                            .activation = Activation::tanh,
                                            .seed = seed}),
                                    options.input_bound));
    else
      both.push_back(Elementwise<T>(map, dim));
    both.push_back(Rotation<T>(dim, seed));
    return Chain<T>(std::move(both));
  });
}

template <Scalar T>
TransformedDistribution<T> bnaf(Index dim, BlockFlowOptions options) {
  const FlowOptions own{
      .layers = options.layers, .mixing = Mixing::reverse, .base = options.base, .seed = options.seed};
  return assemble<T>("bnaf", dim, own, [&](Index i) {
    return BlockAutoregressive<T>(dim, {.layers = options.hidden_layers,
                                        .block = options.block,
                                        .input_bound = options.input_bound,
                                        .context_dim = options.context_dim,
                                        .seed = part_seed(own, i)});
  });
}

template <Scalar T>
TransformedDistribution<T> ncsf(Index dim, CircularFlowOptions options) {
  if (dim < 1 || options.layers < 1)
    throw ShapeError("ncsf: expected at least one column and one layer, got " + std::to_string(dim) + " and " +
                     std::to_string(options.layers));
  // As T has them, so that casts of the parts mean the same circle.
  options.low = detail::rounded<T>(options.low);
  options.high = detail::rounded<T>(options.high);
  const RationalQuadraticTransformer<T> spline({.bins = options.bins,
                                                .low = options.low,
                                                .high = options.high,
                                                .tails = SplineTails::circular,
                                                .parameters = SplineParameters::zuko});
  std::vector<Poly<Bijector<T>>> parts;  // base side first
  for (Index i = 0; i < options.layers; ++i) {
    const MlpOptions net{.hidden = {options.hidden, options.hidden},
                         .activation = options.activation,
                         .context_dim = dim > 1 ? options.context_dim : 0,
                         .seed = part_seed({.seed = options.seed}, i)};
    if (dim == 1 && options.context_dim > 0) {
      parts.push_back(Elementwise<T>(spline, 1, Mlp<T>(options.context_dim, spline.multiplier(), net)));
    } else if (dim == 1) {
      parts.push_back(Elementwise<T>(spline, 1));
    } else {
      std::vector<std::int64_t> mask = Coupling<T>::alternating_mask(dim, i % 2 == 1);
      const Index unchanged = std::count_if(mask.begin(), mask.end(), [](std::int64_t m) { return m != 0; });
      Mlp<T> inner(2 * unchanged, spline.multiplier() * (dim - unchanged), net);
      parts.push_back(
          Coupling<T>(std::move(mask), PeriodicFeatures<T>(std::move(inner), options.low, options.high), spline));
    }
    parts.push_back(CircularShift<T>(dim, options.low, options.high));
  }
  const std::vector<T> low(static_cast<std::size_t>(dim), static_cast<T>(options.low));
  const std::vector<T> high(low.size(), static_cast<T>(options.high));
  return TransformedDistribution<T>(Uniform<T>(low, high), Chain<T>(std::move(parts)));
}

#define PUSHFORWARD_INSTANTIATE(T)                                  \
  template TransformedDistribution<T> maf(Index, FlowOptions);      \
  template TransformedDistribution<T> iaf(Index, FlowOptions);      \
  template TransformedDistribution<T> real_nvp(Index, FlowOptions); \
  template TransformedDistribution<T> nice(Index, FlowOptions);     \
  template TransformedDistribution<T> nsf(Index, FlowOptions);      \
  template TransformedDistribution<T> nsf_ar(Index, FlowOptions);   \
  template TransformedDistribution<T> sospf(Index, FlowOptions);    \
  template TransformedDistribution<T> bpf(Index, FlowOptions);      \
  template TransformedDistribution<T> naf(Index, FlowOptions);      \
  template TransformedDistribution<T> unaf(Index, FlowOptions);     \
  template TransformedDistribution<T> gf(Index, GaussianizationFlowOptions); \
  template TransformedDistribution<T> bnaf(Index, BlockFlowOptions); \
  template TransformedDistribution<T> ncsf(Index, CircularFlowOptions);
PUSHFORWARD_INSTANTIATE(float)
PUSHFORWARD_INSTANTIATE(double)
#undef PUSHFORWARD_INSTANTIATE

}  // namespace pushforward
