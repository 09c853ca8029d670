// Transformers, whose parameters a conditioner computes, and networks.
#include <pushforward/bijectors/affine_transformer.hpp>
#include <pushforward/bijectors/composed_transformer.hpp>
#include <pushforward/bijectors/linear_rational_transformer.hpp>
#include <pushforward/bijectors/modulus_transformer.hpp>
#include <pushforward/bijectors/numerical_inverse.hpp>
#include <pushforward/bijectors/rational_quadratic_transformer.hpp>
#include <pushforward/bijectors/scaled_affine_transformer.hpp>
#include <pushforward/nn/constant.hpp>
#include <pushforward/nn/made.hpp>
#include <pushforward/nn/mlp.hpp>
#include <pushforward/nn/residual_network.hpp>

#include "objects.hpp"

namespace binding {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr Named<pf::Initialisation> initialisations[] = {
    {"paper", pf::Initialisation::paper}, {"he", pf::Initialisation::he}, {"glorot", pf::Initialisation::glorot}};

template <class Object>
void base(nb::class_<Object>& c) {
  c.def_prop_ro("name", [](const Object& b) { return b.visit([](const auto& o) { return o->name(); }); });
  c.def_prop_ro("dtype", [](const Object& b) { return nb::module_::import_("numpy").attr("dtype")(b.dtype().name()); });
  c.def("__copy__", [](nb::object self) { return self; });
  c.def("__deepcopy__", [](nb::object self, const nb::object&) { return self; }, "memo"_a);
  c.def("__repr__", [](const Object& b) { return b.visit([](const auto& o) { return tree_text(*o); }); });
}

/// A class whose constructor takes one number.
template <template <pf::Scalar> class C>
void bounded_transformer(nb::module_& m, const char* name, const char* doc, double bound) {
  declare<C, Transformer>(m, name, doc)
      .def(
          "__init__",
          [](Of<C<double>, Transformer>* self, double b, const DtypeLike& dtype) {
            construct(self, Dtype(dtype), [b]<pf::Scalar T>(std::type_identity<T>) { return C<T>(b); });
          },
          nb::kw_only(), "bound"_a = bound, "dtype"_a = nb::none());
}

void bind_transformers(nb::module_& m) {
  nb::class_<Transformer> c(m, "Transformer", docs::Transformer);
  base(c);
  c.def_prop_ro(
      "multiplier", [](const Transformer& t) { return t.visit([](const auto& o) { return o->multiplier(); }); },
      "Raw parameters for each element.");

  declare<pf::AffineTransformer, Transformer>(m, "AffineTransformer", docs::AffineTransformer)
      .def(
          "__init__",
          [](Of<pf::AffineTransformer<double>, Transformer>* self, double bound, double tail, const DtypeLike& dtype) {
            construct(self, Dtype(dtype),
                      [&]<pf::Scalar T>(std::type_identity<T>) { return pf::AffineTransformer<T>(bound, tail); });
          },
          nb::kw_only(), "bound"_a = pf::AffineTransformer<double>::default_bound, "tail"_a = infinity,
          "dtype"_a = nb::none());
  bounded_transformer<pf::AdditiveTransformer>(m, "AdditiveTransformer", docs::AdditiveTransformer, infinity);
  bounded_transformer<pf::ModulusTransformer>(m, "ModulusTransformer", docs::ModulusTransformer,
                                              pf::ModulusTransformer<double>::default_bound);
  constexpr pf::ScaledAffineOptions usual;
  declare<pf::ScaledAffineTransformer, Transformer>(m, "ScaledAffineTransformer", docs::ScaledAffineTransformer)
      .def(
          "__init__",
          [](Of<pf::ScaledAffineTransformer<double>, Transformer>* self, const std::string& map, double offset,
             double floor, double limit, double low, double high, const DtypeLike& dtype) {
            constexpr Named<pf::ScaleMap> maps[] = {{"exp", pf::ScaleMap::exp},
                                                    {"softplus", pf::ScaleMap::softplus},
                                                    {"sigmoid", pf::ScaleMap::sigmoid},
                                                    {"soft_clip", pf::ScaleMap::soft_clip},
                                                    {"tanh", pf::ScaleMap::tanh},
                                                    {"atan", pf::ScaleMap::atan}};
            const pf::ScaledAffineOptions o{choose("map", map, maps), offset, floor, limit, low, high};
            construct(self, Dtype(dtype),
                      [&]<pf::Scalar T>(std::type_identity<T>) { return pf::ScaledAffineTransformer<T>(o); });
          },
          nb::kw_only(), "map"_a = "exp", "offset"_a = usual.offset, "floor"_a = usual.floor, "limit"_a = usual.limit,
          "low"_a = usual.low, "high"_a = usual.high, "dtype"_a = nb::none());
  declare<pf::RationalQuadraticTransformer, Transformer>(m, "RationalQuadraticTransformer",
                                                         docs::RationalQuadraticTransformer)
      .def(
          "__init__",
          [](Of<pf::RationalQuadraticTransformer<double>, Transformer>* self,
             const std::optional<pf::RationalQuadraticOptions>& options, const DtypeLike& dtype) {
            construct(self, Dtype(dtype), [&]<pf::Scalar T>(std::type_identity<T>) {
              return pf::RationalQuadraticTransformer<T>(options.value_or(pf::RationalQuadraticOptions()));
            });
          },
          "options"_a = nb::none(), nb::kw_only(), "dtype"_a = nb::none());
  constexpr pf::LinearRationalOptions linear;
  declare<pf::LinearRationalTransformer, Transformer>(m, "LinearRationalTransformer", docs::LinearRationalTransformer)
      .def(
          "__init__",
          [](Of<pf::LinearRationalTransformer<double>, Transformer>* self, pf::Index bins, double low, double high,
             double min_bin_width, double min_bin_height, double min_derivative, double min_lambda, double end_slope,
             const DtypeLike& dtype) {
            const pf::LinearRationalOptions o{bins,           low,        high,     min_bin_width, min_bin_height,
                                              min_derivative, min_lambda, end_slope};
            construct(self, Dtype(dtype),
                      [&]<pf::Scalar T>(std::type_identity<T>) { return pf::LinearRationalTransformer<T>(o); });
          },
          nb::kw_only(), "bins"_a = linear.bins, "low"_a = linear.low, "high"_a = linear.high,
          "min_bin_width"_a = linear.min_bin_width, "min_bin_height"_a = linear.min_bin_height,
          "min_derivative"_a = linear.min_derivative, "min_lambda"_a = linear.min_lambda,
          "end_slope"_a = linear.end_slope, "dtype"_a = nb::none());
  declare<pf::ComposedTransformer, Transformer>(m, "ComposedTransformer", docs::ComposedTransformer)
      .def(
          "__init__",
          [](Of<pf::ComposedTransformer<double>, Transformer>* self, const std::vector<const Transformer*>& parts) {
            Dtype dtype;
            for (const Transformer* t : parts) dtype.agree(t->dtype(), "ComposedTransformer", "a part");
            construct(self, dtype, [&]<pf::Scalar T>(std::type_identity<T>) {
              std::vector<pf::Poly<pf::Transformer<T>>> list;
              for (const Transformer* t : parts) list.push_back(t->as<T>());
              return pf::ComposedTransformer<T>(std::move(list));
            });
          },
          "parts"_a);
  declare<pf::InvertedTransformer, Transformer>(m, "InvertedTransformer", docs::InvertedTransformer)
      .def(
          "__init__",
          [](Of<pf::InvertedTransformer<double>, Transformer>* self, const Transformer& t) {
            construct(self, t.dtype(),
                      [&]<pf::Scalar T>(std::type_identity<T>) { return pf::InvertedTransformer<T>(t.as<T>()); });
          },
          "transformer"_a);
  declare<pf::NumericalInverse, Transformer>(m, "NumericalInverse", docs::NumericalInverse)
      .def(
          "__init__",
          [](Of<pf::NumericalInverse<double>, Transformer>* self, const Transformer& t, const std::string& solved) {
            constexpr Named<pf::Solved> choices[] = {{"forward", pf::Solved::forward},
                                                     {"inverse", pf::Solved::inverse}};
            const pf::Solved s = choose("solved", solved, choices);
            construct(self, t.dtype(),
                      [&]<pf::Scalar T>(std::type_identity<T>) { return pf::NumericalInverse<T>(t.as<T>(), s); });
          },
          "transformer"_a, nb::kw_only(), "solved"_a = "forward");
}

}  // namespace

void bind_networks(nb::module_& m) {
  bind_transformers(m);
  nb::class_<Network> c(m, "Network", docs::Network);
  base(c);
  c.def_prop_ro("inputs", [](const Network& n) { return n.visit([](const auto& o) { return o->inputs(); }); });
  c.def_prop_ro("outputs", [](const Network& n) { return n.visit([](const auto& o) { return o->outputs(); }); });
  c.def_prop_ro("context_dim",
                [](const Network& n) { return n.visit([](const auto& o) { return o->context_dim(); }); });

  declare<pf::Mlp, Network>(m, "Mlp", docs::Mlp)
      .def(
          "__init__",
          [](Of<pf::Mlp<double>, Network>* self, pf::Index inputs, pf::Index outputs, std::vector<pf::Index> hidden,
             const std::string& activation, double dropout, pf::Index context_dim, bool batch_norm,
             const std::string& initialisation, double final_scale, std::uint64_t seed, const DtypeLike& dtype) {
            const pf::MlpOptions o{std::move(hidden), pf::activation_from(activation),
                                   dropout,           context_dim,
                                   batch_norm,        choose("initialisation", initialisation, initialisations),
                                   final_scale,       seed};
            construct(self, Dtype(dtype),
                      [&]<pf::Scalar T>(std::type_identity<T>) { return pf::Mlp<T>(inputs, outputs, o); });
          },
          "inputs"_a, "outputs"_a, nb::kw_only(), "hidden"_a = std::vector<pf::Index>{64, 64}, "activation"_a = "relu",
          "dropout"_a = 0.0, "context_dim"_a = 0, "batch_norm"_a = false, "initialisation"_a = "paper",
          "final_scale"_a = 0.01, "seed"_a = 0, "dtype"_a = nb::none());
  declare<pf::ResidualNetwork, Network>(m, "ResidualNetwork", docs::ResidualNetwork)
      .def(
          "__init__",
          [](Of<pf::ResidualNetwork<double>, Network>* self, pf::Index inputs, pf::Index outputs, pf::Index hidden,
             pf::Index blocks, const std::string& activation, double dropout, pf::Index context_dim, bool batch_norm,
             const std::string& initialisation, double final_scale, std::uint64_t seed, const DtypeLike& dtype) {
            const pf::ResidualNetworkOptions o{hidden,
                                               blocks,
                                               pf::activation_from(activation),
                                               dropout,
                                               context_dim,
                                               batch_norm,
                                               choose("initialisation", initialisation, initialisations),
                                               final_scale,
                                               seed};
            construct(self, Dtype(dtype),
                      [&]<pf::Scalar T>(std::type_identity<T>) { return pf::ResidualNetwork<T>(inputs, outputs, o); });
          },
          "inputs"_a, "outputs"_a, nb::kw_only(), "hidden"_a = 64, "blocks"_a = 2, "activation"_a = "relu",
          "dropout"_a = 0.0, "context_dim"_a = 0, "batch_norm"_a = false, "initialisation"_a = "paper",
          "final_scale"_a = 0.01, "seed"_a = 0, "dtype"_a = nb::none());
  declare<pf::Made, Network>(m, "Made", docs::Made)
      .def(
          "__init__",
          [](Of<pf::Made<double>, Network>* self, pf::Index dim, pf::Index multiplier, pf::Index hidden,
             pf::Index blocks, bool residual, const std::string& activation, double dropout, pf::Index context_dim,
             const std::string& context_form, bool pre_activation, std::vector<pf::Index> widths, bool random_degrees,
             const std::string& initialisation, double final_scale, std::uint64_t seed, const DtypeLike& dtype) {
            constexpr Named<pf::ContextForm> forms[] = {{"activated", pf::ContextForm::activated},
                                                        {"linear", pf::ContextForm::linear},
                                                        {"gated", pf::ContextForm::gated},
                                                        {"every_layer", pf::ContextForm::every_layer}};
            // As many layers as widths, which need not be counted twice.
            if (!widths.empty()) blocks = static_cast<pf::Index>(widths.size()) - 1;
            const pf::MadeOptions o{hidden,
                                    blocks,
                                    residual,
                                    pf::activation_from(activation),
                                    dropout,
                                    context_dim,
                                    choose("context_form", context_form, forms),
                                    pre_activation,
                                    std::move(widths),
                                    random_degrees,
                                    choose("initialisation", initialisation, initialisations),
                                    final_scale,
                                    seed};
            construct(self, Dtype(dtype),
                      [&]<pf::Scalar T>(std::type_identity<T>) { return pf::Made<T>(dim, multiplier, o); });
          },
          "dim"_a, "multiplier"_a, nb::kw_only(), "hidden"_a = 64, "blocks"_a = 2, "residual"_a = true,
          "activation"_a = "relu", "dropout"_a = 0.0, "context_dim"_a = 0, "context_form"_a = "activated",
          "pre_activation"_a = true, "widths"_a = std::vector<pf::Index>(), "random_degrees"_a = false,
          "initialisation"_a = "paper", "final_scale"_a = 0.01, "seed"_a = 0, "dtype"_a = nb::none());
  declare<pf::Constant, Network>(m, "Constant", docs::Constant)
      .def(
          "__init__",
          [](Of<pf::Constant<double>, Network>* self, pf::Index inputs, pf::Index outputs, const DtypeLike& dtype) {
            construct(self, Dtype(dtype),
                      [&]<pf::Scalar T>(std::type_identity<T>) { return pf::Constant<T>(inputs, outputs); });
          },
          "inputs"_a, "outputs"_a, nb::kw_only(), "dtype"_a = nb::none());
}

}  // namespace binding
