#pragma once

// Every bijector and distribution, one line each: the contracts run on all of them. A line gives a name, an object, and
// the paths of its tensors as files name them.

#include <pushforward/classes.hpp>
#include <pushforward/testing/gradient_check.hpp>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "tests/catalogue_maps.hpp"

namespace catalogue {

using namespace pushforward;

/// prefix + a, prefix + b, ...
inline Paths under(const std::string& prefix, const Paths& paths) {
  Paths result;
  for (const std::string& p : paths) result.push_back(prefix + p);
  return result;
}
/// weight and bias of each layer.
inline Paths layers(const Paths& names) {
  Paths result;
  for (const std::string& n : names) result = result + Paths{n + ".weight", n + ".bias"};
  return result;
}

inline const Paths affine{"shift", "log_scale"};
inline const Paths block_layer{"diagonal", "lower", "bias"};
inline const Paths lu{"lower", "upper", "raw_diagonal", "bias"};

// Smooth activations, as differences at a kink say nothing; no shrunk last layer, as zero weights hide errors.
inline MlpOptions mlp(Index context = 0) {
  return {.hidden = {6, 5}, .activation = Activation::tanh, .context_dim = context, .final_scale = 1, .seed = 3};
}
inline ResidualNetworkOptions residual(Index context = 0) {
  return {
      .hidden = 6, .blocks = 2, .activation = Activation::silu, .context_dim = context, .final_scale = 1, .seed = 4};
}
inline MadeOptions made(bool residual, Index context = 0) {
  return {.hidden = 7,
          .blocks = 2,
          .residual = residual,
          .activation = Activation::tanh,
          .context_dim = context,
          .final_scale = 1,
          .seed = 5};
}

/// The forms of other libraries.
inline MadeOptions other_made(MadeOptions options) {
  options.residual = options.widths.empty();
  options.activation = Activation::tanh;
  options.context_form = ContextForm::linear;
  options.pre_activation = false;
  options.final_scale = 1;
  options.seed = 5;
  return options;
}

inline MadeOptions gated_made(Index context) {
  MadeOptions options = made(true, context);
  options.context_form = ContextForm::gated;
  return options;
}

inline MadeOptions everywhere_made(Index context) {
  MadeOptions options = other_made({.context_dim = context, .widths = {7, 2, 5}});
  options.context_form = ContextForm::every_layer;
  return options;
}

template <Scalar T>
std::vector<Entry<Bijector<T>>> bijectors() {
  const std::vector<T> shift = numbers<T>({0.3, -1.2, 2.0}), log_scale = numbers<T>({0.4, -0.7, 0.9});
  const std::vector<T> six(6, T(0.4));
  const VectorView<const T> given(six);
  const std::vector<T> scale = numbers<T>({1.7, -0.4, 2.5});
  const std::vector<double> low{-1, 0, 2}, high{1, 3, 2.5}, loc{0.5, -2, 10}, width{0.3, 2, 4};
  Eigen::MatrixXd factor(3, 3);
  factor << 0.3, 0, 0, -0.8, 2, 0, 0.5, 1.5, 4;
  const std::vector<std::int64_t> mask{1, 0, 1}, middle{0, 1, 0}, last_only{0, 0, 1}, order{2, 0, 1};
  const auto moved = [](auto map) {
    testing::perturb<T>(map, 3, 0.8);
    return map;
  };
  std::vector<Entry<Bijector<T>>> list{
      {"ActNorm", ActNorm<T>(3), {"shift", "log_scale", "initialized"}},
      {"Affine", Affine<T>(shift, log_scale), affine},
      {"Affine, tight bound", Affine<T>(shift, log_scale, 1.5), affine},
      {"Ascending", Ascending<T>(4), {}},
      {"Ascending, one column", Ascending<T>(1), {}},
      {"BatchNormalization", BatchNormalization<T>(3), {"log_gamma", "beta", "moving_mean", "moving_variance"}},
      {"BatchNormalization, events of rank 2, gamma itself",
       BatchNormalization<T>({2, 3}, BatchNormLayer<T>({.axis = {2}, .gamma_initializer = Initializer::constant(2)})),
       {"gamma", "beta", "moving_mean", "moving_variance"}},
      {"BatchNormalization, no gamma",
       BatchNormalization<T>(3, {.scale = false}),
       {"beta", "moving_mean", "moving_variance"}},
      {"BatchNormalization, no beta",
       BatchNormalization<T>(3, {.epsilon = 0.1, .center = false}),
       {"log_gamma", "moving_mean", "moving_variance"}},
      {"BlockAutoregressive",
       BlockAutoregressive<T>(3, {.layers = 2, .block = 3, .input_bound = 2, .final_scale = 1, .seed = 4}),
       under("layer0.", block_layer) + under("layer1.", block_layer) + under("layer2.", block_layer) + Paths{"gate"}},
      {"BlockAutoregressive, by the network alone, context",
       BlockAutoregressive<T>(2, {.layers = 1, .block = 4, .slope = 0.1, .line = false, .context_dim = 2, .seed = 6}),
       under("layer0.", block_layer) + under("layer1.", block_layer) + layers({"context"})},
      {"Blocks", Blocks<T>(Affine<T>(shift, log_scale), Exp<T>(1), LULinear<T>(3)),
       under("0.", affine) + under("2.", lu)},
      {"Blocks of elementwise maps", Blocks<T>(Scale<T>(scale), Softplus<T>(1), Identity<T>(2)), {"0.log_scale"}},
      {"Blocks of an autoregressive map and others",
       Blocks<T>(Shift<T>(shift), MaskedAutoregressive<T>(Made<T>(3, 2, made(false)), AffineTransformer<T>(1))),
       {}},
      {"Blocks of a simplex and an interval", Blocks<T>(SoftmaxCentered<T>(2), Sigmoid<T>(2)), {}},
      {"Blocks given a context",
       Blocks<T>(Exp<T>(1), Coupling<T>(middle, ResidualNetwork<T>(1, 4, residual(2)), AffineTransformer<T>(2))),
       under("1.net.", layers({"initial", "block0.linear0", "block0.linear1", "block0.context", "block1.linear0",
                               "block1.linear1", "block1.context", "final"}))},
      {"Chain", Chain<T>(Affine<T>(shift, log_scale), LULinear<T>(3), Sigmoid<T>(3)),
       under("0.", affine) + under("1.", lu)},
      {"Chain of elementwise maps",
       Chain<T>(Scale<T>(scale), Softplus<T>(3), Log<T>(3), Shift<T>(shift)),
       {"0.log_scale", "3.shift"}},
      {"Chain onto positive definite matrices", Chain<T>(FillScaleTriL<T>(2), CholeskyOuterProduct<T>(2)), {}},
      {"Chain onto a simplex", Chain<T>(LULinear<T>(3), SoftmaxCentered<T>(3)), under("0.", lu)},
      {"Chain from a simplex to a sphere",
       Chain<T>(Invert<T>(StickBreaking<T>(2)), LULinear<T>(2), UnitVector<T>(2)),
       under("1.", lu)},
      {"CircularShift", CircularShift<T>(VectorView<const T>(shift)), {"shift"}},
      {"CircularShift, another period", CircularShift<T>(2, 1, 3), {"shift"}},
      {"ColumnSupports",
       ColumnSupports<T>({real_line,
                          positive,
                          {-2, 1},
                          {-std::numeric_limits<double>::infinity(), 3},
                          {4, std::numeric_limits<double>::infinity()}}),
       {}},
      {"CholeskyOuterProduct", CholeskyOuterProduct<T>(2), {}},
      {"CholeskyOuterProduct, one row", CholeskyOuterProduct<T>(1), {}},
      {"CorrelationCholesky", CorrelationCholesky<T>(3), {}},
      {"CorrelationCholesky, two rows", CorrelationCholesky<T>(2), {}},
      {"Coupling", Coupling<T>(middle, Mlp<T>(1, 4, mlp())), under("net.", layers({"layer0", "layer1", "layer2"}))},
      {"Coupling, batch norm in the network",
       Coupling<T>(middle, Mlp<T>(1, 4, {.hidden = {5}, .activation = Activation::tanh, .batch_norm = true})),
       under("net.",
             layers({"layer0", "layer1"}) +
                 std::vector<std::string>{"norm0.gamma", "norm0.beta", "norm0.moving_mean", "norm0.moving_variance"})},
      {"Coupling, batch norm in the residual network",
       Coupling<T>(middle, ResidualNetwork<T>(
                               1, 4, {.hidden = 5, .blocks = 1, .activation = Activation::tanh, .batch_norm = true})),
       under("net.",
             layers({"initial", "block0.linear0", "block0.linear1"}) +
                 std::vector<std::string>{"block0.norm0.gamma", "block0.norm0.beta", "block0.norm0.moving_mean",
                                          "block0.norm0.moving_variance", "block0.norm1.gamma", "block0.norm1.beta",
                                          "block0.norm1.moving_mean", "block0.norm1.moving_variance"} +
                 layers({"final"}))},
      {"Coupling, residual, context",
       Coupling<T>(middle, ResidualNetwork<T>(1, 4, residual(2)), AffineTransformer<T>(2)),
       under("net.", layers({"initial", "block0.linear0", "block0.linear1", "block0.context", "block1.linear0",
                             "block1.linear1", "block1.context", "final"}))},
      {"Coupling, bounded input and tails",
       Coupling<T>(middle, ResidualNetwork<T>(1, 4, residual(2)), AffineTransformer<T>(2, 0.7), 1.5),
       under("net.", layers({"initial", "block0.linear0", "block0.linear1", "block0.context", "block1.linear0",
                             "block1.linear1", "block1.context", "final"}))},
      {"Coupling, additive", Coupling<T>(last_only, Mlp<T>(1, 2, mlp()), AdditiveTransformer<T>()),
       under("net.", layers({"layer0", "layer1", "layer2"}))},
      {"Coupling, splines", Coupling<T>(middle, Mlp<T>(1, 22, mlp()), RationalQuadraticTransformer<T>({.bins = 4})),
       under("net.", layers({"layer0", "layer1", "layer2"}))},
      {"Coupling, bounded splines",
       Coupling<T>(last_only, Mlp<T>(1, 20, mlp()),
                   RationalQuadraticTransformer<T>({.bins = 3, .low = 0, .high = 1, .tails = SplineTails::bounded})),
       {}},
      {"Coupling, a spline of its own",
       Coupling<T>(last_only, Constant<T>(1, 16), RationalQuadraticTransformer<T>({.bins = 3})),
       {"net.value"}},
      {"Coupling, onto an interval",
       Coupling<T>(middle, ComposedTransformer<T>({AffineTransformer<T>(1), TanhTransformer<T>()}), mlp()),
       under("net.", layers({"layer0", "layer1", "layer2"}))},
      {"Coupling, composed and solved",
       Coupling<T>(middle,
                   NumericalInverse<T>(ComposedTransformer<T>({AffineTransformer<T>(2), InvertedTransformer<T>(
                       RationalQuadraticTransformer<T>({.bins = 3}))})),
                   mlp()),
       under("net.", layers({"layer0", "layer1", "layer2"}))},
      {"Elementwise",
       Elementwise<T>(ComposedTransformer<T>({RationalQuadraticTransformer<T>({.bins = 4}), AffineTransformer<T>(2)}), 3),
       {"raw"}},
      {"Elementwise, bounded and solved",
       Elementwise<T>(NumericalInverse<T>(RationalQuadraticTransformer<T>(
                          {.bins = 4, .low = 0, .high = 2, .tails = SplineTails::bounded}), Solved::inverse), 2),
       {"raw"}},
      {"Elementwise, onto the positive numbers",
       Elementwise<T>(ComposedTransformer<T>({AffineTransformer<T>(1), SoftplusTransformer<T>()}), 3),
       {"raw"}},
      {"Coupling, mixtures of logistics",
       Coupling<T>(last_only, Mlp<T>(1, 16, mlp()), NumericalInverse<T>(LogisticMixtureTransformer<T>(2))),
       {}},
      {"Coupling of angles",
       Coupling<T>({1, 0}, PeriodicFeatures<T>(Mlp<T>(2, 15, mlp()), -1, 2),
                   RationalQuadraticTransformer<T>({.bins = 5, .low = -1, .high = 2, .tails = SplineTails::circular})),
       under("net.net.", layers({"layer0", "layer1", "layer2"}))},
      {"Coupling, scaled, soft clip on the side of the data",
       Coupling<T>(last_only, Mlp<T>(1, 4, mlp()),
                   InvertedTransformer<T>(ScaledAffineTransformer<T>({.map = ScaleMap::soft_clip, .limit = 6.9}))),
       {}},
      {"Coupling, linear-rational splines",
       Coupling<T>(last_only, Mlp<T>(1, 22, mlp()), LinearRationalTransformer<T>({.bins = 3, .end_slope = 0.9})),
       {}},
      {"Elementwise, additive", Elementwise<T>(AdditiveTransformer<T>(), 3), {"raw"}},
      {"Elementwise, given",
       Elementwise<T>(AffineTransformer<T>(2), 3, given), {"raw"}},
      {"Elementwise, by the context",
       Elementwise<T>(RationalQuadraticTransformer<T>({.bins = 3}), 2, Mlp<T>(3, 16, mlp())),
       under("net.", layers({"layer0", "layer1", "layer2"}))},
      {"Elementwise, by the bounded context, no bound of the scales",
       Elementwise<T>(AffineTransformer<T>(std::numeric_limits<double>::infinity(), 0.7), 2, Mlp<T>(3, 4, mlp()), 1.5),
       under("net.", layers({"layer0", "layer1", "layer2"}))},
      {"Elementwise, from an interval, solved",
       Elementwise<T>(
           NumericalInverse<T>(
               ComposedTransformer<T>({InvertedTransformer<T>(SoftsignTransformer<T>()), AffineTransformer<T>(1)}),
               Solved::inverse),
           2),
       {"raw"}},
      {"Elementwise, between positive numbers",
       Elementwise<T>(
           ComposedTransformer<T>({LogTransformer<T>(), AffineTransformer<T>(1), ExpTransformer<T>()}), 2),
       {"raw"}},
      {"Cumsum", Cumsum<T>(4), {}},
      {"DiscreteTransform", DiscreteTransform<T>(5), {}},
      {"DiscreteTransform, Fourier's basis", DiscreteTransform<T>(4, DiscreteBasis::fourier), {}},
      {"DiscreteTransform, Haar's basis", DiscreteTransform<T>(4, DiscreteBasis::haar), {}},
      {"IsometricLogRatio", IsometricLogRatio<T>(3), {}},
      {"L1Ball", L1Ball<T>(3), {}},
      {"L1Ball, one column", L1Ball<T>(1), {}},
      {"UnitBall", UnitBall<T>(3), {}},
      {"PartialCorrelations", PartialCorrelations<T>(3), {}},
      {"ZeroSum", ZeroSum<T>(3), {}},
      {"Invert of ZeroSum", Invert<T>(ZeroSum<T>(2)), {}},
      {"Coupling, volumes stay, and Affine",
       Chain<T>(Coupling<T>({1, 0, 0}, BalancedScales<T>(Mlp<T>(1, 4, mlp()), 1.5),
                            AffineTransformer<T>(std::numeric_limits<double>::infinity())),
                Affine<T>(shift, log_scale)),
       under("0.net.net.", layers({"layer0", "layer1", "layer2"})) + under("1.", affine)},
      {"LowRankLinear", moved(LowRankLinear<T>(3, 2, 4)), {"raw_diagonal", "u", "v", "bias"}},
      {"MatrixExponential", moved(MatrixExponential<T>(3)), {"a"}},
      {"Rotation", moved(Rotation<T>(3)), {"a"}},
      {"Sylvester", moved(Sylvester<T>(3, 2, 6)), {"vectors", "r", "s", "raw_p", "raw_s", "b"}},
      {"Planar", moved(Planar<T>(3, 5)), {"w", "u", "b"}},
      {"Radial", moved(Radial<T>(3)), {"centre", "raw_alpha", "raw_beta"}},
      {"Radial, one column", moved(Radial<T>(1)), {"centre", "raw_alpha", "raw_beta"}},
      {"TriangularLinear", TriangularLinear<T>(3), {"lower", "raw_diagonal", "bias"}},
      {"FillScaleTriL", FillScaleTriL<T>(3), {}},
      {"FillScaleTriL, one row", FillScaleTriL<T>(1), {}},
      {"Householder", Householder<T>(3, 3), {"vectors"}},
      {"Identity", Identity<T>(3), {}},
      {"Invert", Invert<T>(Affine<T>(shift, log_scale)), under("bijector.", affine)},
      {"GraphAutoregressive",
       GraphAutoregressive<T>({{2}, {}, {1}}, AffineTransformer<T>(3), mlp()),
       under("0.", layers({"layer0", "layer1", "layer2"})) + Paths{"1.value"} +
           under("2.", layers({"layer0", "layer1", "layer2"}))},
      {"GraphAutoregressive, splines of context and bounded parents",
       GraphAutoregressive<T>({{}, {0}, {1, 0}}, RationalQuadraticTransformer<T>({.bins = 3}), mlp(2), 1.5),
       under("0.", layers({"layer0", "layer1", "layer2"})) + under("1.", layers({"layer0", "layer1", "layer2"})) +
           under("2.", layers({"layer0", "layer1", "layer2"}))},
      {"Invert of Coupling", Invert<T>(Coupling<T>(mask, Mlp<T>(2, 2, mlp(1)))),
       under("bijector.net.", layers({"layer0", "layer1", "layer2"}))},
      {"Invert of Exp", Invert<T>(Exp<T>(2)), {}},
      {"Invert of Ascending", Invert<T>(Ascending<T>(3)), {}},
      {"Invert of UnitVector", Invert<T>(UnitVector<T>(2)), {}},
      {"LULinear", LULinear<T>(3), lu},
      {"LULinear, signs", LULinear<T>(3, 0.1, {1, -1, -1}), lu},
      {"MaskedAutoregressive", MaskedAutoregressive<T>(Made<T>(3, 2, made(false))),
       under("net.", layers({"initial", "layer0", "layer1", "final"}))},
      {"MaskedAutoregressive, residual, order, context",
       MaskedAutoregressive<T>(Made<T>(3, 2, made(true, 2)), AffineTransformer<T>(3), order),
       under("net.", layers({"initial", "context", "block0.linear0", "block0.linear1", "block0.context",
                             "block1.linear0", "block1.linear1", "block1.context", "final"}))},
      {"MaskedAutoregressive, bounded input and tails",
       MaskedAutoregressive<T>(Made<T>(3, 2, made(true, 2)), AffineTransformer<T>(3, 0.7), order, 1.5),
       under("net.", layers({"initial", "context", "block0.linear0", "block0.linear1", "block0.context",
                             "block1.linear0", "block1.linear1", "block1.context", "final"}))},
      {"MaskedAutoregressive, one column", MaskedAutoregressive<T>(Made<T>(1, 2, made(true, 1))), {}},
      {"MaskedAutoregressive, additive",
       MaskedAutoregressive<T>(Made<T>(3, 1, made(true)), AdditiveTransformer<T>()),
       {}},
      {"MaskedAutoregressive, additive and bounded",
       MaskedAutoregressive<T>(Made<T>(3, 1, made(true)), AdditiveTransformer<T>(0.5)),
       {}},
      {"MaskedAutoregressive, between positive numbers",
       MaskedAutoregressive<T>(3,
                               ComposedTransformer<T>({InvertedTransformer<T>(SoftplusTransformer<T>()),
                                                       AffineTransformer<T>(1), SoftplusTransformer<T>()}),
                               made(true)),
       {}},
      {"MaskedAutoregressive, splines",
       MaskedAutoregressive<T>(Made<T>(3, 11, made(true)), RationalQuadraticTransformer<T>({.bins = 4})),
       under("net.",
             layers({"initial", "block0.linear0", "block0.linear1", "block1.linear0", "block1.linear1", "final"}))},
      {"MaskedAutoregressive, splines, context",
       MaskedAutoregressive<T>(Made<T>(3, 8, made(false, 2)),
                               RationalQuadraticTransformer<T>({.bins = 3, .parameters = SplineParameters::zuko})),
       {}},
      {"MaskedAutoregressive, linear context, layers of different widths",
       MaskedAutoregressive<T>(Made<T>(4, 2, other_made({.context_dim = 2, .widths = {7, 2, 5}}))),
       under("net.", layers({"initial", "context", "layer0", "layer1", "final"}))},
      {"MaskedAutoregressive, linear context, residual without pre-activation",
       MaskedAutoregressive<T>(Made<T>(3, 2, other_made({.hidden = 7, .residual = true, .context_dim = 2}))),
       under("net.", layers({"initial", "context", "block0.linear0", "block0.linear1", "block1.linear0",
                             "block1.linear1", "final"}))},
      {"MaskedAutoregressive, gated context",
       MaskedAutoregressive<T>(Made<T>(3, 2, gated_made(2))),
       under("net.", layers({"initial", "context", "block0.linear0", "block0.linear1", "block0.context",
                             "block1.linear0", "block1.linear1", "block1.context", "final"}))},
      {"MaskedAutoregressive, context in every layer",
       MaskedAutoregressive<T>(Made<T>(4, 2, everywhere_made(2))),
       under("net.", layers({"initial", "context", "layer0", "layer0.context", "layer1", "layer1.context", "final",
                             "final.context"}))},
      {"Permute", Permute<T>({2, 0, 3, 1}), {}},
      {"RationalQuadraticSpline", RationalQuadraticSpline<T>(3), {"raw"}},
      {"RationalQuadraticSpline, zuko",
       RationalQuadraticSpline<T>(2, {.bins = 3, .low = -2, .high = 4, .parameters = SplineParameters::zuko}),
       {"raw"}},
      {"RationalQuadraticSpline, slopes of their own at the ends",
       RationalQuadraticSpline<T>(2, {.bins = 4, .low = -2, .high = 2, .tails = SplineTails::free}),
       {"raw"}},
      {"RationalQuadraticSpline, straight tails",
       RationalQuadraticSpline<T>(2, {.bins = 4, .low = -1, .high = 1, .tails = SplineTails::linear}),
       {"raw"}},
      {"RationalQuadraticSpline, straight tails of zuko's form",
       RationalQuadraticSpline<T>(
           2, {.bins = 4, .low = -1, .high = 1, .tails = SplineTails::linear, .parameters = SplineParameters::zuko}),
       {"raw"}},
      {"RationalQuadraticSpline, end slope",
       RationalQuadraticSpline<T>(2, {.bins = 4, .low = -2, .high = 2, .end_slope = 0.9}),
       {"raw"}},
      {"RationalQuadraticSpline, circular",
       RationalQuadraticSpline<T>(2, {.bins = 5, .low = -1, .high = 2, .tails = SplineTails::circular}),
       {"raw"}},
      {"RationalQuadraticSpline, bounded",
       RationalQuadraticSpline<T>(2, {.bins = 5, .low = -1, .high = 2, .tails = SplineTails::bounded}),
       {"raw"}},
      {"Scale", Scale<T>(scale), {"log_scale"}},
      {"Shift", Shift<T>(shift), {"shift"}},
      {"Sigmoid", Sigmoid<T>(low, high), {}},
      {"SoftmaxCentered", SoftmaxCentered<T>(3), {}},
      {"Standardize", Standardize<T>(loc, width), {"shift", "scale"}},
      {"StickBreaking", StickBreaking<T>(3), {}},
      {"UnitVector", UnitVector<T>(3), {}},
      {"Whiten", Whiten<T>(factor), {"lower", "diagonal"}},
  };
  for (Entry<Bijector<T>>& e : scalar_maps<T>()) list.push_back(std::move(e));
  return list;
}

template <Scalar T>
std::vector<Entry<Distribution<T>>> distributions() {
  const std::vector<T> loc = numbers<T>({0.5, -2}), scale = numbers<T>({0.7, 1.9}), loc3 = numbers<T>({0.5, -2, 3});
  const std::vector<T> a = numbers<T>({2.5, 4}), b = numbers<T>({3, 1.5}), df = numbers<T>({9, 14});
  const std::vector<T> one = numbers<T>({0.5}), wide = numbers<T>({2});
  const std::vector<double> context_shift{0.5, -1}, context_scale{0.5, 2};
  Matrix<T> tril = Matrix<T>::Zero(3, 3), tril2 = Matrix<T>::Zero(2, 2);
  Matrix<T> logits(2, 3);
  logits << T(0.3), T(-1), T(0.6), T(1), T(0.2), T(-0.5);
  tril << T(1.2), T(0), T(0), T(-0.5), T(0.6), T(0), T(0.3), T(0.8), T(2);
  tril2 << T(1.2), T(0), T(-0.5), T(0.6);
  const Paths normal{"loc", "log_scale"}, triangular{"loc", "lower", "log_diagonal"};
  using Parts = std::vector<Poly<Distribution<T>>>;
  const auto flow = [](Poly<Distribution<T>> base, Poly<Bijector<T>> map) {
    return TransformedDistribution<T>(std::move(base), std::move(map));
  };
  return {
      {"Beta", Beta<T>(a, b), {"log_concentration1", "log_concentration0"}},
      {"Beta, one column", Beta<T>(wide, wide), {}},
      {"Categorical", Categorical<T>{MatrixView<const T>(logits)}, {"logits"}},
      {"Categorical, one column", Categorical<T>(1, 5), {"logits"}},
      {"Cauchy", Cauchy<T>(loc, scale), normal},
      {"Cauchy, one column", Cauchy<T>(one, wide), normal},
      {"EmbeddedContext",
       EmbeddedContext<T>(flow(Normal<T>(3), Coupling<T>({1, 0, 1}, Mlp<T>(2, 2, mlp(2)))), Mlp<T>(4, 2, mlp())),
       under("inner.base.", normal) + under("inner.bijector.net.", layers({"layer0", "layer1", "layer2"})) +
           under("net.", layers({"layer0", "layer1", "layer2"}))},
      {"Gamma", Gamma<T>(a, b), {"log_concentration", "log_rate"}},
      {"Gamma, one column", Gamma<T>(wide, one), {}},
      {"Laplace", Laplace<T>(loc, scale), normal},
      {"Laplace, one column", Laplace<T>(one, wide), normal},
      {"Logistic", Logistic<T>(loc, scale), normal},
      {"Logistic, one column", Logistic<T>(one, wide), normal},
      {"Mixture",
       Mixture<T>(Parts{Normal<T>(loc, scale), MultivariateNormalTriL<T>(loc, tril2), Laplace<T>(scale, a)},
                  numbers<T>({0.2, -0.5, 0.4})),
       Paths{"logits"} + under("0.", normal) + under("1.", triangular) + under("2.", normal)},
      {"Mixture, one column", Mixture<T>(Parts{Normal<T>(one, wide), Cauchy<T>(wide, one), StudentT<T>(1)}),
       Paths{"logits"} + under("0.", normal) + under("1.", normal) + under("2.", {"loc", "log_scale", "log_df"})},
      {"Mixture, different supports", Mixture<T>(Parts{Gamma<T>(1), Normal<T>(one, wide), Beta<T>(1)}), {}},
      {"MultivariateNormalDiag", MultivariateNormalDiag<T>(loc, scale), normal},
      {"MultivariateNormalTriL", MultivariateNormalTriL<T>(loc3, tril), triangular},
      {"MultivariateNormalTriL, two columns", MultivariateNormalTriL<T>(loc, tril2), triangular},
      {"MultivariateStudentT", MultivariateStudentT<T>(12, loc3, tril), triangular + Paths{"log_df"}},
      {"MultivariateStudentT, two columns", MultivariateStudentT<T>(12, loc, tril2), triangular + Paths{"log_df"}},
      {"Normal", Normal<T>(loc, scale), normal},
      {"Normal, one column", Normal<T>(one, wide), normal},
      {"Product", Product<T>(Normal<T>(loc, scale), Gamma<T>(wide, one)),
       under("0.", normal) + under("1.", {"log_concentration", "log_rate"})},
      {"Product of columns that depend on each other and others",
       Product<T>(MultivariateNormalTriL<T>(loc, tril2), Uniform<T>(numbers<T>({-1}), numbers<T>({0.5}))),
       under("0.", triangular)},
      {"Product of flows", Product<T>(flow(Normal<T>(one, wide), Exp<T>(1)), flow(Normal<T>(loc, scale), LULinear<T>(2))),
       under("0.base.", normal) + under("1.base.", normal) + under("1.bijector.", lu)},
      {"Product on a simplex and a line",
       Product<T>(flow(Normal<T>(one, wide), SoftmaxCentered<T>(1)), Laplace<T>(one, wide)),
       {}},
      {"Product given a context",
       Product<T>(Normal<T>(one, wide),
                  flow(Normal<T>(loc, scale), Elementwise<T>(AffineTransformer<T>(1), 2, Mlp<T>(3, 4, mlp())))),
       {}},
      {"Quantized",
       Quantized<T>(flow(Normal<T>(3), Chain<T>(LULinear<T>(3), ColumnSupports<T>({Interval{-0.5}, {}, {-1, 3}}))),
                    {{0, {}}, {2, {-0.75, 0.5}}}, 5),
       under("inner.base.", normal) + under("inner.bijector.0.", lu)},
      {"Quantized, one column", Quantized<T>(Normal<T>(one, wide), {{0, {0.25, 0.5}}}), under("inner.", normal)},
      {"Quantized, two columns", Quantized<T>(MultivariateNormalTriL<T>(loc, tril2), {{0, {0, 1}}, {1, {0, 0.5}}}, 31),
       under("inner.", triangular)},
      {"Quantized, one of two columns", Quantized<T>(MultivariateNormalTriL<T>(loc, tril2), {{1, {0, 0.25}}}, 4),
       under("inner.", triangular)},
      {"StandardizedContext",
       StandardizedContext<T>(flow(Normal<T>(3), Coupling<T>({1, 0, 1}, Mlp<T>(2, 2, mlp(2)))), context_shift,
                              context_scale),
       under("inner.base.", normal) + under("inner.bijector.net.", layers({"layer0", "layer1", "layer2"})) +
           Paths{"shift", "scale"}},
      {"StudentT", StudentT<T>(df, loc, scale), {"loc", "log_scale", "log_df"}},
      {"StudentT, one column", StudentT<T>(wide, one, wide), {"loc", "log_scale", "log_df"}},
      {"TransformedDistribution, affine", flow(MultivariateNormalTriL<T>(loc3, tril), LULinear<T>(3)),
       under("base.", triangular) + under("bijector.", lu)},
      {"TransformedDistribution, elementwise",
       flow(Normal<T>(loc, scale), Chain<T>(Scale<T>(numbers<T>({0.5, -0.6})), Sigmoid<T>(2))),
       under("base.", normal) + Paths{"bijector.0.log_scale"}},
      {"TransformedDistribution, one column",
       flow(Logistic<T>(one, wide), Chain<T>(Scale<T>(numbers<T>({-0.3})), Softplus<T>(1))),
       under("base.", normal) + Paths{"bijector.0.log_scale"}},
      {"TransformedDistribution, elementwise by the context",
       flow(Normal<T>(2), Elementwise<T>(AffineTransformer<T>(2), 2, Mlp<T>(1, 4, mlp()))),
       under("base.", normal) + under("bijector.net.", layers({"layer0", "layer1", "layer2"}))},
      {"TransformedDistribution, flow",
       flow(Normal<T>(2), Chain<T>(MaskedAutoregressive<T>(Made<T>(2, 2, made(true))), Permute<T>({1, 0}),
                                   Coupling<T>({1, 0}, Mlp<T>(1, 2, mlp())))),
       {}},
      {"TransformedDistribution, context",
       flow(Normal<T>(3), Chain<T>(Coupling<T>({1, 0, 1}, ResidualNetwork<T>(2, 2, residual(2))),
                                   MaskedAutoregressive<T>(Made<T>(3, 2, made(false, 2))))),
       {}},
      {"TransformedDistribution, on a simplex",
       flow(Normal<T>(loc, scale), StickBreaking<T>(2)),
       under("base.", normal)},
      {"TransformedDistribution, on a simplex by softmax",
       flow(MultivariateNormalTriL<T>(loc, tril2), SoftmaxCentered<T>(2)),
       under("base.", triangular)},
      {"TransformedDistribution, on lower triangular matrices",
       flow(Normal<T>(loc3, numbers<T>({0.4, 0.3, 0.5})), FillScaleTriL<T>(2)),
       under("base.", normal)},
      {"TransformedDistribution, on lower triangular matrices of one row",
       flow(Normal<T>(one, wide), FillScaleTriL<T>(1)),
       under("base.", normal)},
      {"TransformedDistribution, on positive definite matrices",
       flow(Normal<T>(loc3, numbers<T>({0.4, 0.3, 0.5})), Chain<T>(FillScaleTriL<T>(2), CholeskyOuterProduct<T>(2))),
       under("base.", normal)},
      {"TransformedDistribution, on correlations", flow(Normal<T>(one, wide), CorrelationCholesky<T>(2)), under("base.", normal)},
      {"TransformedDistribution, on correlations of three",
       flow(Normal<T>(loc3, numbers<T>({0.4, 0.3, 0.5})), CorrelationCholesky<T>(3)),
       under("base.", normal)},
      {"TransformedDistribution, on a circle", flow(Normal<T>(one, wide), UnitVector<T>(1)), under("base.", normal)},
      {"TransformedDistribution, on a sphere", flow(Normal<T>(scale, a), UnitVector<T>(2)), under("base.", normal)},
      {"TransformedDistribution, on a sphere in four columns",
       flow(Normal<T>(3), UnitVector<T>(3)),
       under("base.", normal)},
      {"TransformedDistribution, ordered", flow(Normal<T>(loc, scale), Ascending<T>(2)), under("base.", normal)},
      {"Uniform", Uniform<T>(numbers<T>({-1, 2}), numbers<T>({0.5, 7})), {}},
      {"Uniform, one column", Uniform<T>(numbers<T>({-3}), numbers<T>({-1})), {}},
  };
}

}  // namespace catalogue
