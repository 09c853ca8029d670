#pragma once

// Scalar maps in the catalogue: those of each column by itself, as bijectors and as transformers.

#include <limits>
#include <pushforward/classes.hpp>
#include <string>
#include <vector>

namespace catalogue {

using namespace pushforward;

using Paths = std::vector<std::string>;

template <class Base>
struct Entry {
  std::string name;
  Poly<Base> object;
  Paths tensors;
};

template <Scalar T>
std::vector<T> numbers(std::initializer_list<double> v) {
  return {v.begin(), v.end()};
}

inline Paths operator+(Paths a, const Paths& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
/// Of an ElementNetwork with that many hidden layers.
inline Paths element_network(const std::string& prefix, int hidden) {
  Paths paths{prefix + "argument", prefix + "signals", prefix + "bias"};
  for (int i = 1; i <= hidden; ++i)
    paths = paths + Paths{prefix + "layer" + std::to_string(i) + ".weight",
                          prefix + "layer" + std::to_string(i) + ".bias"};
  return paths;
}

template <Scalar T>
std::vector<Entry<Bijector<T>>> scalar_maps() {
  const std::vector<T> six(6, T(0.4)), wide_scale = numbers<T>({1.5, 2, 1.5, 0, 0.2, -0.2}),
                       slow_rate = numbers<T>({-3, -3.5, -3, -1.5, -1.8, -1.5});
  const VectorView<const T> given(six);
  return {
      {"Elementwise, modulus", Elementwise<T>(ModulusTransformer<T>(), 3), {"raw"}},
      {"Elementwise, mixture of logistics",
       Elementwise<T>(NumericalInverse<T>(LogisticMixtureTransformer<T>(3)), 2),
       {"raw"}},
      {"Elementwise, Gaussianization",
       Elementwise<T>(NumericalInverse<T>(GaussianizationTransformer<T>(3)), 2),
       {"raw"}},
      {"Elementwise, Bernstein polynomials",
       Elementwise<T>(NumericalInverse<T>(BernsteinTransformer<T>(4)), 2),
       {"raw"}},
      {"Elementwise, sums of squares",
       Elementwise<T>(NumericalInverse<T>(SosPolynomialTransformer<T>(2, 2, 5, 0.1)), 2),
       {"raw"}},
      {"Elementwise, parabolas",
       Elementwise<T>(PolynomialSplineTransformer<T>({.bins = 4, .low = -2, .high = 3}), 2),
       {"raw"}},
      {"Elementwise, parabolas of an interval",
       Elementwise<T>(
           PolynomialSplineTransformer<T>({.bins = 3, .low = -1, .high = 2, .tails = SplineTails::bounded}), 2),
       {"raw"}},
      {"Elementwise, lines of an interval",
       Elementwise<T>(
           PolynomialSplineTransformer<T>(
               {.degree = 1, .bins = 5, .low = 0, .high = 1, .tails = SplineTails::bounded}),
           2),
       {"raw"}},
      {"Elementwise, Moebius maps",
       Elementwise<T>(NumericalInverse<T>(MoebiusTransformer<T>(3, -1, 2)), 2),
       {"raw"}},
      {"Elementwise, projections of the circle", Elementwise<T>(NonCompactProjectionTransformer<T>(), 2), {"raw"}},
      {"Elementwise, integrals of networks",
       Elementwise<T>(UmnnTransformer<T>({.signals = 2, .hidden = {5, 4}, .bins = 6, .bound = 2, .final_scale = 1}), 2),
       element_network("transformer.", 2) + Paths{"raw"}},
      {"Elementwise, mixtures of logistics with lines beyond",
       Elementwise<T>(IdentityTailsTransformer<T>(NumericalInverse<T>(LogisticMixtureTransformer<T>(2)), 1.5), 2),
       {"raw"}},
      {"Elementwise, monotone networks",
       Elementwise<T>(NumericalInverse<T>(MonotoneNetworkTransformer<T>(
                          {.signals = 2, .hidden = {5, 4}, .final_scale = 1, .seed = 8})),
                      2),
       element_network("transformer.transformer.", 2) + Paths{"raw"}},
      {"Elementwise, Yeo-Johnson", Elementwise<T>(YeoJohnsonTransformer<T>(), 3), {"raw"}},
      {"Elementwise, sinh-arcsinh", Elementwise<T>(SinhArcsinhTransformer<T>(), 3), {"raw"}},
      {"Elementwise, two-sided tails", Elementwise<T>(TwoSidedTailTransformer<T>(), 3), {"raw"}},
      {"Elementwise, Lambert's W", Elementwise<T>(LambertWTransformer<T>(), 3), {"raw"}},
      {"Elementwise, Kumaraswamy", Elementwise<T>(KumaraswamyTransformer<T>(), 3), {"raw"}},
      {"Elementwise, Weibull", Elementwise<T>(WeibullTransformer<T>(), 3, wide_scale), {"raw"}},
      {"Elementwise, Frechet", Elementwise<T>(FrechetTransformer<T>(), 3, wide_scale), {"raw"}},
      {"Elementwise, generalized Pareto", Elementwise<T>(GeneralizedParetoTransformer<T>(), 3, wide_scale), {"raw"}},
      {"Elementwise, Gompertz", Elementwise<T>(GompertzTransformer<T>(), 3, slow_rate), {"raw"}},
      {"Elementwise, from Moyal's distribution function",
       Elementwise<T>(InvertedTransformer<T>(MoyalCDFTransformer<T>()), 2),
       {}},
      {"MoyalCDF", MoyalCDF<T>(3), {}},
      {"Elementwise, beta stretch", Elementwise<T>(BetaStretchTransformer<T>(), 3), {"raw"}},
      {"Elementwise, maps of the line",
       Elementwise<T>(ComposedTransformer<T>({AffineTransformer<T>(1), SinhTransformer<T>(), LeakyTanhTransformer<T>(),
                                              LeakyReluTransformer<T>(0.3)}),
                      2),
       {"raw"}},
      {"Elementwise, log-tanh", Elementwise<T>(LogTanhTransformer<T>(), 2), {}},
      {"Elementwise, Phi", Elementwise<T>(NormalCDFTransformer<T>(), 2), {}},
      {"Elementwise, from Gumbel's distribution function",
       Elementwise<T>(InvertedTransformer<T>(GumbelCDFTransformer<T>()), 2),
       {}},
      {"Elementwise, from Cauchy's distribution function",
       Elementwise<T>(InvertedTransformer<T>(CauchyCDFTransformer<T>()), 2),
       {}},
      {"Elementwise, maps of half lines",
       Elementwise<T>(ComposedTransformer<T>({EluTransformer<T>(), InvertedTransformer<T>(Expm1Transformer<T>())}), 2),
       {}},
      {"Elementwise, powers",
       Elementwise<T>(
           ComposedTransformer<T>({PowerTransformer<T>(0.5), InvertedTransformer<T>(PowerTransformTransformer<T>(2))}),
           2),
       {}},
      {"Elementwise, soft clip", Elementwise<T>(SoftClipTransformer<T>({-1, 4, 0.5}), 2), {}},
      {"Elementwise, scaled, exp",
       Elementwise<T>(ScaledAffineTransformer<T>({.low = -5, .high = 3}), 3, given),
       {"raw"}},
      {"Elementwise, scaled, softplus",
       Elementwise<T>(ScaledAffineTransformer<T>({.map = ScaleMap::softplus, .offset = 0.54, .floor = 1e-3}), 3, given),
       {"raw"}},
      {"Elementwise, scaled, sigmoid",
       Elementwise<T>(ScaledAffineTransformer<T>({.map = ScaleMap::sigmoid, .offset = 2, .floor = 1e-3}), 3, given),
       {"raw"}},
      {"Elementwise, scaled, sigmoid without a floor",
       Elementwise<T>(ScaledAffineTransformer<T>({.map = ScaleMap::sigmoid, .offset = 1}), 3, given),
       {"raw"}},
      {"Elementwise, scaled, tanh",
       Elementwise<T>(ScaledAffineTransformer<T>({.map = ScaleMap::tanh, .limit = 2}), 3, given),
       {"raw"}},
      {"Elementwise, scaled, atan",
       Elementwise<T>(ScaledAffineTransformer<T>({.map = ScaleMap::atan, .limit = 2}), 3, given),
       {"raw"}},
      {"Elementwise, linear-rational splines",
       Elementwise<T>(LinearRationalTransformer<T>({.bins = 4, .low = -2, .high = 4}), 2),
       {"raw"}},
      {"Elementwise, without parameters", Elementwise<T>(InvertedTransformer<T>(SoftplusTransformer<T>()), 2), {}},
      {"CauchyCDF", CauchyCDF<T>(3), {}},
      {"Elu", Elu<T>(3), {}},
      {"Exp", Exp<T>(3), {}},
      {"Expm1", Expm1<T>(3), {}},
      {"GumbelCDF", GumbelCDF<T>(3), {}},
      {"LeakyRelu", LeakyRelu<T>(3, 0.2), {}},
      {"LeakyTanh", LeakyTanh<T>(3), {}},
      {"LeakyTanh, narrow", LeakyTanh<T>(3, 0.5), {}},
      {"LogTanh", LogTanh<T>(3), {}},
      {"NormalCDF", NormalCDF<T>(3), {}},
      {"Power", Power<T>(3, 0.6), {}},
      {"Power, the reciprocal", Power<T>(3, -1), {}},
      {"PowerTransform", PowerTransform<T>(3, 0.6), {}},
      {"Sinh", Sinh<T>(3), {}},
      {"SoftClip", SoftClip<T>(3), {}},
      {"SoftClip, sharper", SoftClip<T>(3, {-2, 5, 0.5}), {}},
      {"Log", Log<T>(3), {}},
      {"Softplus", Softplus<T>(3), {}},
      {"Softsign", Softsign<T>(3), {}},
      {"Tanh", Tanh<T>(3), {}},
  };
}

}  // namespace catalogue
