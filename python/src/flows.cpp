// The builders of flows.
#include <nanobind/stl/variant.h>

#include <numbers>

#include <pushforward/flows/builders.hpp>
#include <pushforward/nn/dense.hpp>

#include "options.hpp"

namespace binding {

namespace {

constexpr Named<pf::Mixing> mixings[] = {{"none", pf::Mixing::none},
                                         {"reverse", pf::Mixing::reverse},
                                         {"random_permutation", pf::Mixing::random_permutation},
                                         {"lu_linear", pf::Mixing::lu_linear}};

using Count = std::optional<pf::Index>;

/// Builders with options of their own.
void bind_others(nb::module_& m) {
  const auto of = [](const DtypeLike& dtype, auto single, auto twice) {
    return Dtype(dtype).is_single() ? wrap(Distribution::of<float>(single())) : wrap(Distribution::of<double>(twice()));
  };
  m.def(
      "gf",
      [of](pf::Index dim, pf::Index layers, pf::Index components, pf::Index context_dim, pf::Index hidden,
           double scale_bound, double tail, double input_bound, const std::string& base, std::uint64_t seed,
           const DtypeLike& dtype) {
        const pf::GaussianizationFlowOptions o{layers, components,  context_dim, hidden, scale_bound, tail,
                                               input_bound, choose("base", base, bases), seed};
        return of(dtype, [&] { return pf::gf<float>(dim, o); }, [&] { return pf::gf<double>(dim, o); });
      },
      "dim"_a, nb::kw_only(), "layers"_a = 6, "components"_a = 8, "context_dim"_a = 0, "hidden"_a = 64,
      "scale_bound"_a = 5.0, "tail"_a = 1.5, "input_bound"_a = 5.0, "base"_a = "normal", "seed"_a = 0,
      "dtype"_a = nb::none(), nb::rv_policy::move, docs::gf);
  m.def(
      "bnaf",
      [of](pf::Index dim, pf::Index layers, pf::Index hidden_layers, pf::Index block, pf::Index context_dim,
           double input_bound, const std::string& base, std::uint64_t seed, const DtypeLike& dtype) {
        const pf::BlockFlowOptions o{layers,      hidden_layers, block, context_dim,
                                     input_bound, choose("base", base, bases), seed};
        return of(dtype, [&] { return pf::bnaf<float>(dim, o); }, [&] { return pf::bnaf<double>(dim, o); });
      },
      "dim"_a, nb::kw_only(), "layers"_a = 1, "hidden_layers"_a = 2, "block"_a = 8, "context_dim"_a = 0,
      "input_bound"_a = 5.0, "base"_a = "normal", "seed"_a = 0, "dtype"_a = nb::none(), nb::rv_policy::move,
      docs::bnaf);
  m.def(
      "ncsf",
      [of](pf::Index dim, pf::Index layers, pf::Index hidden, pf::Index bins, double low, double high,
           pf::Index context_dim, const std::string& activation, std::uint64_t seed, const DtypeLike& dtype) {
        const pf::CircularFlowOptions o{layers, hidden,      bins, low, high, context_dim,
                                        pf::activation_from(activation), seed};
        return of(dtype, [&] { return pf::ncsf<float>(dim, o); }, [&] { return pf::ncsf<double>(dim, o); });
      },
      "dim"_a, nb::kw_only(), "layers"_a = 6, "hidden"_a = 64, "bins"_a = 8, "low"_a = -std::numbers::pi,
      "high"_a = std::numbers::pi, "context_dim"_a = 0, "activation"_a = "silu", "seed"_a = 0,
      "dtype"_a = nb::none(), nb::rv_policy::move, docs::ncsf);
}

}  // namespace

void bind_flows(nb::module_& m) {
  bind_others(m);
  for (const pf::FlowPreset& preset : pf::flow_presets()) {
    const char* doc = "";
    for (const auto& [name, text] : {std::pair{"maf", docs::maf},
                                     {"iaf", docs::iaf},
                                     {"real_nvp", docs::real_nvp},
                                     {"nice", docs::nice},
                                     {"nsf", docs::nsf},
                                     {"nsf_ar", docs::nsf_ar},
                                     {"sospf", docs::sospf},
                                     {"bpf", docs::bpf},
                                     {"naf", docs::naf},
                                     {"unaf", docs::unaf}})
      if (preset.name == name) doc = text;
    const std::string text = std::string(doc) + "\n\n" + docs::FlowOptions;
    m.def(
        std::string(preset.name).c_str(),
        [&preset](pf::Index dim, Count layers, Count hidden, Count blocks, std::optional<bool> residual,
                  const std::optional<std::string>& activation, double dropout, pf::Index context_dim,
                  const std::optional<std::string>& mixing, const std::optional<std::string>& base, bool batch_norm,
                  const std::optional<pf::BatchNormalizationOptions>& batch_norm_options, bool conditioner_batch_norm,
                  bool act_norm, double scale_bound, double shift_bound, std::optional<double> tail,
                  std::optional<double> input_bound, const std::optional<pf::RationalQuadraticOptions>& spline,
                  bool spline_unchanged, std::uint64_t seed, const DtypeLike& dtype) {
          pf::FlowOptions o;
          o.layers = layers;
          o.hidden = hidden;
          o.blocks = blocks;
          o.residual = residual;
          if (activation) o.activation = pf::activation_from(*activation);
          o.dropout = dropout;
          o.context_dim = context_dim;
          if (mixing) o.mixing = choose("mixing", *mixing, mixings);
          if (base) o.base = choose("base", *base, bases);
          o.batch_norm = batch_norm;
          if (batch_norm_options) o.batch_norm_options = *batch_norm_options;
          o.conditioner_batch_norm = conditioner_batch_norm;
          o.act_norm = act_norm;
          o.scale_bound = scale_bound;
          o.shift_bound = shift_bound;
          o.tail = tail;
          o.input_bound = input_bound;
          if (spline) o.spline = *spline;
          o.spline_unchanged = spline_unchanged;
          o.seed = seed;
          return Dtype(dtype).is_single() ? wrap(Distribution::of<float>(preset.build<float>(dim, o)))
                                          : wrap(Distribution::of<double>(preset.build<double>(dim, o)));
        },
        "dim"_a, nb::kw_only(), "layers"_a = nb::none(), "hidden"_a = nb::none(), "blocks"_a = nb::none(),
        "residual"_a = nb::none(), "activation"_a = nb::none(), "dropout"_a = 0.0, "context_dim"_a = 0,
        "mixing"_a = nb::none(), "base"_a = nb::none(), "batch_norm"_a = false, "batch_norm_options"_a = nb::none(),
        "conditioner_batch_norm"_a = false, "act_norm"_a = false, "scale_bound"_a = 5.0, "shift_bound"_a = 3.0,
        "tail"_a = nb::none(), "input_bound"_a = nb::none(), "spline"_a = nb::none(), "spline_unchanged"_a = true,
        "seed"_a = 0, "dtype"_a = nb::none(), nb::rv_policy::move, text.c_str());
  }
}

}  // namespace binding
