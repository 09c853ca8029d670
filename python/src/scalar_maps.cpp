// Scalar maps without learned parameters, as bijectors and as transformers, and those whose shape a conditioner
// computes.
#include <pushforward/bijectors/bernstein_transformer.hpp>
#include <pushforward/bijectors/beta_stretch_transformer.hpp>
#include <pushforward/bijectors/cauchy_cdf.hpp>
#include <pushforward/bijectors/elu.hpp>
#include <pushforward/bijectors/exp.hpp>
#include <pushforward/bijectors/expm1.hpp>
#include <pushforward/bijectors/frechet_transformer.hpp>
#include <pushforward/bijectors/gaussianization_transformer.hpp>
#include <pushforward/bijectors/generalized_pareto_transformer.hpp>
#include <pushforward/bijectors/gompertz_transformer.hpp>
#include <pushforward/bijectors/gumbel_cdf.hpp>
#include <pushforward/bijectors/kumaraswamy_transformer.hpp>
#include <pushforward/bijectors/lambert_w_transformer.hpp>
#include <pushforward/bijectors/leaky_relu.hpp>
#include <pushforward/bijectors/leaky_tanh.hpp>
#include <pushforward/bijectors/log.hpp>
#include <pushforward/bijectors/log_tanh.hpp>
#include <pushforward/bijectors/logistic_mixture_transformer.hpp>
#include <pushforward/bijectors/moyal_cdf.hpp>
#include <pushforward/bijectors/normal_cdf.hpp>
#include <pushforward/bijectors/power.hpp>
#include <pushforward/bijectors/power_transform.hpp>
#include <pushforward/bijectors/sinh.hpp>
#include <pushforward/bijectors/sinh_arcsinh_transformer.hpp>
#include <pushforward/bijectors/soft_clip.hpp>
#include <pushforward/bijectors/softplus.hpp>
#include <pushforward/bijectors/sos_polynomial_transformer.hpp>
#include <pushforward/bijectors/softsign.hpp>
#include <pushforward/bijectors/tanh.hpp>
#include <pushforward/bijectors/two_sided_tail_transformer.hpp>
#include <pushforward/bijectors/weibull_transformer.hpp>
#include <pushforward/bijectors/yeo_johnson_transformer.hpp>

#include "objects.hpp"

namespace binding {

namespace {

/// A constant of a map by its name in Python, and what it is if nothing is said.
struct Usual {
  const char* name;
  double value;
};
template <class>
using Number = double;

/// Of a number of columns and the map's constants.
template <template <pf::Scalar> class C, class... Constants>
void bijector(nb::module_& m, const char* name, const char* doc, Constants... usual) {
  declare<C, Bijector>(m, name, doc)
      .def(
          "__init__",
          [](Of<C<double>, Bijector>* self, pf::Index n, Number<Constants>... constants, const DtypeLike& dtype) {
            construct(self, Dtype(dtype), [&]<pf::Scalar T>(std::type_identity<T>) {
              if constexpr (sizeof...(Constants) == 0)
                return C<T>(n);
              else
                return C<T>(n, {constants...});
            });
          },
          nb::arg("dim"), nb::kw_only(), (nb::arg(usual.name) = usual.value)..., "dtype"_a = nb::none());
}
template <template <pf::Scalar> class C, class... Constants>
void transformer(nb::module_& m, const char* name, const char* doc, Constants... usual) {
  declare<C, Transformer>(m, name, doc)
      .def(
          "__init__",
          [](Of<C<double>, Transformer>* self, Number<Constants>... constants, const DtypeLike& dtype) {
            construct(self, Dtype(dtype), [&]<pf::Scalar T>(std::type_identity<T>) {
              if constexpr (sizeof...(Constants) < 2)
                return C<T>(constants...);
              else
                return C<T>({constants...});
            });
          },
          nb::kw_only(), (nb::arg(usual.name) = usual.value)..., "dtype"_a = nb::none());
}

/// Mixtures of so many components.
template <template <pf::Scalar> class C>
void mixture_transformer(nb::module_& m, const char* name, const char* doc) {
  declare<C, Transformer>(m, name, doc)
      .def(
          "__init__",
          [](Of<C<double>, Transformer>* self, pf::Index components, double bound, double spread,
             const DtypeLike& dtype) {
            construct(self, Dtype(dtype),
                      [&]<pf::Scalar T>(std::type_identity<T>) { return C<T>(components, bound, spread); });
          },
          nb::kw_only(), "components"_a = 8, "bound"_a = C<double>::default_bound,
          "spread"_a = C<double>::default_spread, "dtype"_a = nb::none());
}

void bind_polynomials(nb::module_& m) {
  declare<pf::BernsteinTransformer, Transformer>(m, "BernsteinTransformer", docs::BernsteinTransformer)
      .def(
          "__init__",
          [](Of<pf::BernsteinTransformer<double>, Transformer>* self, pf::Index degree, double bound,
             const DtypeLike& dtype) {
            construct(self, Dtype(dtype),
                      [&]<pf::Scalar T>(std::type_identity<T>) { return pf::BernsteinTransformer<T>(degree, bound); });
          },
          nb::kw_only(), "degree"_a = 16, "bound"_a = 5.0, "dtype"_a = nb::none());
  declare<pf::SosPolynomialTransformer, Transformer>(m, "SosPolynomialTransformer", docs::SosPolynomialTransformer)
      .def(
          "__init__",
          [](Of<pf::SosPolynomialTransformer<double>, Transformer>* self, pf::Index degree, pf::Index polynomials,
             double scale, double slope, const DtypeLike& dtype) {
            construct(self, Dtype(dtype), [&]<pf::Scalar T>(std::type_identity<T>) {
              return pf::SosPolynomialTransformer<T>(degree, polynomials, scale, slope);
            });
          },
          nb::kw_only(), "degree"_a = 4, "polynomials"_a = 3, "scale"_a = 11.0, "slope"_a = 1e-3,
          "dtype"_a = nb::none());
}

}  // namespace

#define PUSHFORWARD_BOTH(Name, ...)                                    \
  bijector<pf::Name>(m, #Name, docs::Name __VA_OPT__(, ) __VA_ARGS__); \
  transformer<pf::Name##Transformer>(m, #Name "Transformer", docs::Name##Transformer __VA_OPT__(, ) __VA_ARGS__)

void bind_scalar_maps(nb::module_& m) {
  PUSHFORWARD_BOTH(CauchyCDF);
  PUSHFORWARD_BOTH(Elu);
  PUSHFORWARD_BOTH(Exp);
  PUSHFORWARD_BOTH(Expm1);
  PUSHFORWARD_BOTH(GumbelCDF);
  PUSHFORWARD_BOTH(LeakyRelu, Usual{"slope", 0.01});
  PUSHFORWARD_BOTH(LeakyTanh, Usual{"bound", 3});
  PUSHFORWARD_BOTH(Log);
  PUSHFORWARD_BOTH(LogTanh, Usual{"bound", 1});
  PUSHFORWARD_BOTH(MoyalCDF);
  PUSHFORWARD_BOTH(NormalCDF);
  PUSHFORWARD_BOTH(Power, Usual{"power", 1});
  PUSHFORWARD_BOTH(PowerTransform, Usual{"power", 1});
  PUSHFORWARD_BOTH(Sinh);
  PUSHFORWARD_BOTH(SoftClip, Usual{"low", 0}, Usual{"high", 1}, Usual{"hinge", 1});
  PUSHFORWARD_BOTH(Softplus);
  PUSHFORWARD_BOTH(Softsign);
  PUSHFORWARD_BOTH(Tanh);
  mixture_transformer<pf::GaussianizationTransformer>(m, "GaussianizationTransformer",
                                                      docs::GaussianizationTransformer);
  mixture_transformer<pf::LogisticMixtureTransformer>(m, "LogisticMixtureTransformer",
                                                      docs::LogisticMixtureTransformer);
  bind_polynomials(m);
  const auto bound = [](double value) { return Usual{"bound", value}; };
  transformer<pf::BetaStretchTransformer>(m, "BetaStretchTransformer", docs::BetaStretchTransformer,
                                          bound(pf::BetaStretchTransformer<double>::default_bound));
  transformer<pf::FrechetTransformer>(m, "FrechetTransformer", docs::FrechetTransformer,
                                      bound(pf::FrechetTransformer<double>::default_bound));
  transformer<pf::GeneralizedParetoTransformer>(m, "GeneralizedParetoTransformer", docs::GeneralizedParetoTransformer,
                                                bound(pf::GeneralizedParetoTransformer<double>::default_bound));
  transformer<pf::GompertzTransformer>(m, "GompertzTransformer", docs::GompertzTransformer,
                                       bound(pf::GompertzTransformer<double>::default_bound));
  transformer<pf::KumaraswamyTransformer>(m, "KumaraswamyTransformer", docs::KumaraswamyTransformer,
                                          bound(pf::KumaraswamyTransformer<double>::default_bound));
  transformer<pf::LambertWTransformer>(m, "LambertWTransformer", docs::LambertWTransformer);
  transformer<pf::SinhArcsinhTransformer>(m, "SinhArcsinhTransformer", docs::SinhArcsinhTransformer,
                                          bound(pf::SinhArcsinhTransformer<double>::default_bound));
  transformer<pf::TwoSidedTailTransformer>(m, "TwoSidedTailTransformer", docs::TwoSidedTailTransformer,
                                           bound(pf::TwoSidedTailTransformer<double>::default_bound));
  transformer<pf::WeibullTransformer>(m, "WeibullTransformer", docs::WeibullTransformer,
                                      bound(pf::WeibullTransformer<double>::default_bound));
  transformer<pf::YeoJohnsonTransformer>(m, "YeoJohnsonTransformer", docs::YeoJohnsonTransformer,
                                         bound(pf::YeoJohnsonTransformer<double>::default_bound));
}
#undef PUSHFORWARD_BOTH

}  // namespace binding
