#pragma once

// Small models of what is more than one object of the catalogue: builders, options, whole flows, with values away from
// their start. They are tested in files beside the catalogue; what the reader of docs/model_file.md is to read stands
// here.

#include <cmath>
#include <limits>
#include <pushforward/classes.hpp>
#include <pushforward/flows/builders.hpp>
#include <pushforward/random.hpp>
#include <pushforward/registry.hpp>
#include <string>
#include <utility>
#include <vector>

namespace models {

using namespace pushforward;

/// Every learned value moved by a normal number; statistics and scales made positive numbers near 1.
template <Scalar T>
void shake(Component<T>& tree, double size = 0.2, std::uint64_t seed = 7) {
  Engine engine(seed);
  for (const Slot<T>& slot : list_state(tree)) {
    const Index n = slot.tensor->size();
    if (n == 0) continue;
    std::vector<double> noise(static_cast<std::size_t>(n));
    engine.next_call().normal(0, n, 1, noise.data(), n);
    for (Index i = 0; i < n; ++i) {
      const double z = size * noise[static_cast<std::size_t>(i)];
      T& value = (*slot.tensor)[i];
      if (slot.path.ends_with("initialized"))
        value = T(1);
      else if (slot.path.ends_with("moving_variance") ||
               (slot.path.ends_with("scale") && slot.kind == StateKind::state))
        value = static_cast<T>(std::exp(z));
      else
        value += static_cast<T>(z);
    }
  }
}

template <Scalar T>
struct Named {
  std::string name;
  Poly<Distribution<T>> distribution;
};

template <Scalar T>
std::vector<Named<T>> all() {
  constexpr Index dim = 3, context = 2;
  constexpr double infinity = std::numeric_limits<double>::infinity();
  std::vector<Named<T>> list;
  const auto add = [&](std::string name, Poly<Distribution<T>> distribution) {
    shake(*distribution);
    list.push_back({std::move(name), std::move(distribution)});
  };
  const auto map = [&](const std::string& name, Poly<Bijector<T>> bijector) {
    add(name, TransformedDistribution<T>(MultivariateNormalDiag<T>(dim), std::move(bijector)));
  };
  const auto on_gamma = [&](const std::string& name, Poly<Bijector<T>> bijector) {
    add(name, TransformedDistribution<T>(Gamma<T>(dim), std::move(bijector)));
  };
  const Eigen::Vector3d low(-1, 0, 2), high(1, 5, 3);
  using Vector = Eigen::Matrix<T, Eigen::Dynamic, 1>;

  map("act_norm", ActNorm<T>(dim));
  map("affine", Affine<T>(dim));
  map("affine_without_bound", Affine<T>({T(1), T(2), T(3)}, {T(0.5), T(900), T(10)}, infinity));
  map("ascending", Ascending<T>(dim));
  map("batch_normalization", BatchNormalization<T>(dim));
  for (const auto& [name, gamma_map] :
       {std::pair("softplus", GammaMap::softplus), std::pair("identity", GammaMap::identity),
        std::pair("relu_floor", GammaMap::relu_floor)})
    map(std::string("batch_normalization_") + name, BatchNormalization<T>(dim, {.gamma_map = gamma_map}));
  map("batch_normalization_no_gamma", BatchNormalization<T>(dim, {.scale = false}));
  map("batch_normalization_no_beta", BatchNormalization<T>(dim, {.center = false}));
  map("batch_normalization_fixed", BatchNormalization<T>(dim, {.center = false, .scale = false}));
  map("batch_normalization_ghosts",
      BatchNormalization<T>(dim, {.ghost_rows = 16, .renorm = Renorm{.rmin = 0.5, .rmax = 2, .dmax = 1}}));
  map("batch_normalization_fused", BatchNormalization<T>({dim}, BatchNormLayer<T>(batch_norm_convention(
                                                                    "keras_fused", 0.9, {.epsilon = 1e-6}))));
  for (const auto& [name, axes] :
       {std::pair("channels", std::vector<Index>{2}), std::pair("each", std::vector<Index>{1, 2})})
    add(std::string("batch_normalization_event_") + name,
        TransformedDistribution<T>(
            Normal<T>(6), BatchNormalization<T>({2, dim}, BatchNormLayer<T>({.axis = axes,
                                                                             .gamma_initializer =
                                                                                 Initializer::constant(-2)}))));
  map("chain", Chain<T>(Affine<T>(dim), Exp<T>(dim)));
  map("blocks", Blocks<T>(Exp<T>(1), LULinear<T>(2)));
  map("blocks_simplex", Blocks<T>(SoftmaxCentered<T>(2), Shift<T>(1)));
  add("product", Product<T>(Gamma<T>(1), StudentT<T>(2)));
  add("product_context",
      Product<T>(Normal<T>(1), TransformedDistribution<T>(Normal<T>(2), Elementwise<T>(AffineTransformer<T>(2), 2,
                                                                                       Mlp<T>(context, 4, {.hidden = {5}})))));
  map("exp", Exp<T>(dim));
  map("identity", Identity<T>(dim));
  map("lu_linear", LULinear<T>(dim));
  map("fill_scale_tril", FillScaleTriL<T>(2));
  map("positive_definite", Chain<T>(FillScaleTriL<T>(2), CholeskyOuterProduct<T>(2)));
  map("correlation_cholesky", CorrelationCholesky<T>(3));
  map("householder", Householder<T>(dim, 3));
  map("planar", Planar<T>(dim, 4));
  map("planar_inverted", Invert<T>(Planar<T>(dim, 4, 0)));
  map("radial", Radial<T>(dim));
  map("triangular_linear", TriangularLinear<T>(dim));
  map("invert_lu_linear", Invert<T>(LULinear<T>(dim)));
  map("permute", Permute<T>(std::vector<std::int64_t>{2, 0, 1}));
  map("scale", Scale<T>(Vector(low.cast<T>().array() * T(0.7) - T(0.5))));
  map("shift", Shift<T>(dim));
  map("sigmoid", Sigmoid<T>(low, high));
  map("softmax_centered", SoftmaxCentered<T>(dim));
  map("softplus", Softplus<T>(dim));
  map("standardize", Standardize<T>(low, high));
  map("stick_breaking", StickBreaking<T>(dim));
  map("tanh", Tanh<T>(dim));
  map("unit_vector", UnitVector<T>(dim));
  map("whiten", Whiten<T>((Eigen::Matrix3d() << 0.5, 0, 0, -0.8, 2, 0, 0.5, 1.5, 1.25).finished()));
  map("column_supports", ColumnSupports<T>({Interval{}, Interval{0.5, infinity}, Interval{-2, 3}}));
  map("softsign", Softsign<T>(dim));
  map("cauchy_cdf", CauchyCDF<T>(dim));
  map("elu", Elu<T>(dim));
  map("expm1", Expm1<T>(dim));
  map("gumbel_cdf", GumbelCDF<T>(dim));
  map("leaky_relu", LeakyRelu<T>(dim, 0.3));
  map("leaky_tanh", LeakyTanh<T>(dim, 1.2));
  map("log_tanh", LogTanh<T>(dim, 0.8));
  map("normal_cdf", NormalCDF<T>(dim));
  map("sinh", Sinh<T>(dim));
  map("soft_clip", SoftClip<T>(dim, {-1, 2, 0.3}));
  on_gamma("power", Power<T>(dim, -0.5));
  on_gamma("power_transform", Invert<T>(PowerTransform<T>(dim, 0.7)));
  map("logistic_mixture", Elementwise<T>(NumericalInverse<T>(LogisticMixtureTransformer<T>(4)), dim));
  map("gaussianization", Elementwise<T>(NumericalInverse<T>(GaussianizationTransformer<T>(4)), dim));
  map("bernstein", Elementwise<T>(NumericalInverse<T>(BernsteinTransformer<T>(5)), dim));
  map("sos_polynomial", Elementwise<T>(NumericalInverse<T>(SosPolynomialTransformer<T>(3, 2, 6, 0.2)), dim));
  map("umnn", Elementwise<T>(
                  UmnnTransformer<T>({.signals = 2, .hidden = {5, 4}, .bins = 6, .bound = 2, .final_scale = 1}), dim));
  map("identity_tails",
      Elementwise<T>(IdentityTailsTransformer<T>(NumericalInverse<T>(SosPolynomialTransformer<T>(2, 2, 6, 0.2)), 0.8), dim));
  map("monotone_network",
      MaskedAutoregressive<T>(dim, NumericalInverse<T>(MonotoneNetworkTransformer<T>({.signals = 2, .hidden = {6, 5}})),
                              MadeOptions{.hidden = 6}));
  map("block_autoregressive",
      BlockAutoregressive<T>(dim, {.block = 4, .input_bound = 1.5, .context_dim = context}));
  map("block_autoregressive_alone", BlockAutoregressive<T>(dim, {.layers = 1, .block = 3, .line = false}));
  map("lines", Elementwise<T>(PolynomialSplineTransformer<T>({.degree = 1, .bins = 4}), dim));
  map("parabolas", Elementwise<T>(PolynomialSplineTransformer<T>({.bins = 4}), dim));
  map("low_rank_linear", LowRankLinear<T>(dim, 2, 3));
  map("matrix_exponential", MatrixExponential<T>(dim));
  map("cumsum", Cumsum<T>(dim));
  map("moyal_cdf", MoyalCDF<T>(dim));
  map("elementwise_half_lines",
      // Far out distribution functions are next to 1, and roundings there are much on the next line.
      Chain<T>(Elementwise<T>(ComposedTransformer<T>({ExpTransformer<T>(), FrechetTransformer<T>(),
                                                      InvertedTransformer<T>(GompertzTransformer<T>()),
                                                      GeneralizedParetoTransformer<T>(),
                                                      InvertedTransformer<T>(MoyalCDFTransformer<T>())}),
                              dim),
               Affine<T>({T(0), T(0), T(0)}, {T(4), T(4), T(4)}, infinity)));
  map("rotation", Rotation<T>(dim));
  map("sylvester", Sylvester<T>(dim, 2, 5));
  map("isometric_log_ratio", IsometricLogRatio<T>(dim));
  map("zero_sum", ZeroSum<T>(dim));
  map("unit_ball", UnitBall<T>(dim));
  map("l1_ball", L1Ball<T>(dim));
  map("partial_correlations", PartialCorrelations<T>(3));
  map("coupling_of_balanced_scales",
      Coupling<T>({1, 0, 0}, BalancedScales<T>(Mlp<T>(1, 4, {.hidden = {6}, .context_dim = context})),
                  AffineTransformer<T>(std::numeric_limits<double>::infinity())));
  map("discrete_cosine", DiscreteTransform<T>(dim));
  map("discrete_fourier", DiscreteTransform<T>(dim, DiscreteBasis::fourier));
  add("discrete_haar", TransformedDistribution<T>(Normal<T>(4), DiscreteTransform<T>(4, DiscreteBasis::haar)));
  map("yeo_johnson", Elementwise<T>(YeoJohnsonTransformer<T>(), dim));
  map("sinh_arcsinh", Elementwise<T>(SinhArcsinhTransformer<T>(), dim));
  map("two_sided_tail", Elementwise<T>(TwoSidedTailTransformer<T>(), dim));
  map("lambert_w", Elementwise<T>(LambertWTransformer<T>(), dim));
  map("elementwise_line_maps",
      Elementwise<T>(ComposedTransformer<T>({SinhTransformer<T>(), LeakyTanhTransformer<T>(), LogTanhTransformer<T>(),
                                             LeakyReluTransformer<T>(0.3), Expm1Transformer<T>(),
                                             InvertedTransformer<T>(EluTransformer<T>()), SoftClipTransformer<T>()}),
                     dim));
  map("elementwise_unit",
      Elementwise<T>(ComposedTransformer<T>({NormalCDFTransformer<T>(), KumaraswamyTransformer<T>(),
                                             BetaStretchTransformer<T>(), InvertedTransformer<T>(GumbelCDFTransformer<T>())}),
                     dim));
  map("elementwise_cauchy",
      Elementwise<T>(
          ComposedTransformer<T>({CauchyCDFTransformer<T>(), InvertedTransformer<T>(NormalCDFTransformer<T>())}), dim));
  map("elementwise_positive",
      Elementwise<T>(ComposedTransformer<T>({ExpTransformer<T>(), PowerTransformer<T>(0.5), WeibullTransformer<T>()}), dim));
  map("elementwise_powers",
      Elementwise<T>(ComposedTransformer<T>({SoftplusTransformer<T>(), PowerTransformer<T>(2),
                                             InvertedTransformer<T>(PowerTransformTransformer<T>(0.6))}),
                     dim));
  map("elementwise_given",
      Elementwise<T>(AffineTransformer<T>(2), dim, VectorView<const T>(std::vector<T>(6, T(0.4)))));
  map("coupling_interval",
      Coupling<T>({0, 1, 0}, ComposedTransformer<T>({AffineTransformer<T>(1), TanhTransformer<T>()}),
                  MlpOptions{.hidden = {5}, .activation = Activation::tanh}));
  map("modulus", Elementwise<T>(ModulusTransformer<T>(), dim));
  for (const auto& [name, options] : std::initializer_list<std::pair<std::string, ScaledAffineOptions>>{
           {"exp", {.offset = 0.5, .low = -0.4, .high = 0.6}},
           {"softplus", {.map = ScaleMap::softplus, .offset = 0.5, .floor = 0.001}},
           {"sigmoid", {.map = ScaleMap::sigmoid, .offset = 2, .floor = 0.001}},
           {"sigmoid_alone", {.map = ScaleMap::sigmoid, .offset = 2}},
           {"soft_clip", {.map = ScaleMap::soft_clip, .limit = 6.9}},
           {"tanh", {.map = ScaleMap::tanh, .limit = 1.5}},
           {"atan", {.map = ScaleMap::atan, .limit = 1.5}}})
    map("scaled_" + name,
        Elementwise<T>(InvertedTransformer<T>(ScaledAffineTransformer<T>(options)), dim));
  map("lu_linear_signs", LULinear<T>(dim, 0, {-1, 1, -1}));
  map("spline_free", RationalQuadraticSpline<T>(dim, {.bins = 4, .tails = SplineTails::free}));
  map("spline_linear", RationalQuadraticSpline<T>(dim, {.bins = 4, .low = -1, .high = 1, .tails = SplineTails::linear}));
  map("spline_end_slope", RationalQuadraticSpline<T>(dim, {.bins = 4, .end_slope = 0.9}));
  map("made_widths",
      MaskedAutoregressive<T>(Made<T>(dim, 2, {.blocks = 2,
                                               .residual = false,
                                               .context_dim = context,
                                               .context_form = ContextForm::linear,
                                               .widths = {5, 1, 4}})));
  map("made_residual_linear",
      MaskedAutoregressive<T>(Made<T>(dim, 2, {.hidden = 6,
                                               .activation = Activation::tanh,
                                               .context_dim = context,
                                               .context_form = ContextForm::linear,
                                               .pre_activation = false})));
  map("made_gated", MaskedAutoregressive<T>(Made<T>(
                        dim, 2, {.hidden = 6, .context_dim = context, .context_form = ContextForm::gated})));
  map("made_every_layer",
      MaskedAutoregressive<T>(Made<T>(dim, 2, {.blocks = 2,
                                               .residual = false,
                                               .context_dim = context,
                                               .context_form = ContextForm::every_layer,
                                               .widths = {5, 1, 4}})));
  map("elementwise_linear_rational",
      Elementwise<T>(LinearRationalTransformer<T>({.bins = 5, .end_slope = 0.999}), dim));
  map("elementwise_composed",
      Elementwise<T>(
          ComposedTransformer<T>({RationalQuadraticTransformer<T>({.bins = 4}), AffineTransformer<T>(2)}), dim));
  map("coupling_inverted", Coupling<T>({1, 0, 1}, InvertedTransformer<T>(AffineTransformer<T>(2)),
                                       MlpOptions{.hidden = {5}}));
  map("elementwise_solved", Elementwise<T>(NumericalInverse<T>(RationalQuadraticTransformer<T>({.bins = 4})), dim));
  map("elementwise_fixed_maps",
      Elementwise<T>(ComposedTransformer<T>({AffineTransformer<T>(2), ExpTransformer<T>(), LogTransformer<T>(),
                                             SoftplusTransformer<T>(), InvertedTransformer<T>(ExpTransformer<T>()),
                                             TanhTransformer<T>(), InvertedTransformer<T>(SoftsignTransformer<T>())}),
                     dim));
  map("elementwise_context",
      Elementwise<T>(RationalQuadraticTransformer<T>({.bins = 4}), dim, Mlp<T>(context, 33, {.hidden = {5}})));
  map("elementwise_context_bounded",
      Elementwise<T>(AffineTransformer<T>(std::numeric_limits<double>::infinity(), 0.5), dim,
                     Mlp<T>(context, 6, {.hidden = {5}}), 1.5));
  on_gamma("log", Log<T>(dim));
  on_gamma("made_positive",
           MaskedAutoregressive<T>(dim, ComposedTransformer<T>({InvertedTransformer<T>(SoftplusTransformer<T>()),
                                                                AffineTransformer<T>(1), SoftplusTransformer<T>()}),
                                   MadeOptions{.hidden = 6}));
  on_gamma("invert_softplus", Invert<T>(Softplus<T>(dim)));

  RationalQuadraticOptions circle{.bins = 5, .low = -4, .high = 4, .tails = SplineTails::circular};
  const RationalQuadraticOptions zuko{.bins = 6, .low = -5, .high = 5, .parameters = SplineParameters::zuko};
  map("spline_nflows", RationalQuadraticSpline<T>(dim));
  map("spline_zuko", RationalQuadraticSpline<T>(dim, zuko));
  map("invert_spline", Invert<T>(RationalQuadraticSpline<T>(dim, {.bins = 4, .max_derivative = 1.5})));
  add("spline_bounded",
      TransformedDistribution<T>(
          Uniform<T>(Vector(Vector::Constant(dim, T(-2))), Vector(Vector::Constant(dim, T(7)))),
          RationalQuadraticSpline<T>(dim, {.bins = 5, .low = -2, .high = 7, .tails = SplineTails::bounded})));
  add("coupling_circular",
      TransformedDistribution<T>(
          Uniform<T>(Vector(Vector::Constant(dim, T(-4))), Vector(Vector::Constant(dim, T(4)))),
          Coupling<T>({1, 0, 1}, Mlp<T>(2, 15, {.hidden = {6}}), RationalQuadraticTransformer<T>(circle))));
  const Uniform<T> angles(Vector(Vector::Constant(dim, T(-4))), Vector(Vector::Constant(dim, T(4))));
  const auto on_circle = [&](const std::string& name, Poly<Bijector<T>> bijector) {
    add(name, TransformedDistribution<T>(angles, std::move(bijector)));
  };
  on_circle("coupling_of_angles",
            Coupling<T>({1, 0, 1}, PeriodicFeatures<T>(Mlp<T>(4, 15, {.hidden = {6}, .context_dim = context}), -4, 4),
                        RationalQuadraticTransformer<T>(circle)));
  // Of a density that is not everywhere the same.
  on_circle("circular_shift", Chain<T>(Elementwise<T>(NonCompactProjectionTransformer<T>(-4, 4), dim),
                                       CircularShift<T>(dim, -4, 4)));
  on_circle("moebius", Elementwise<T>(NumericalInverse<T>(MoebiusTransformer<T>(3, -4, 4)), dim));
  on_circle("projection", Elementwise<T>(NonCompactProjectionTransformer<T>(-4, 4), dim));
  on_circle("parabolas_bounded",
            Elementwise<T>(PolynomialSplineTransformer<T>(
                               {.bins = 4, .low = -4, .high = 4, .tails = SplineTails::bounded}),
                           dim));
  map("made_zuko", MaskedAutoregressive<T>(Made<T>(dim, 17, {.hidden = 7}), RationalQuadraticTransformer<T>(zuko)));

  map("graph", GraphAutoregressive<T>({{2}, {}, {1}}, AffineTransformer<T>(3), {.hidden = {5, 4}}));
  map("graph_context_bounded",
      GraphAutoregressive<T>({{}, {2, 0}, {0}}, RationalQuadraticTransformer<T>({.bins = 3}),
                             {.hidden = {6}, .context_dim = context}, 1.5));

  map("coupling_mlp", Coupling<T>({1, 0, 1}, Mlp<T>(2, 2, {.hidden = {5, 4}}), AffineTransformer<T>()));
  map("coupling_residual_context",
      Coupling<T>({0, 1, 0}, ResidualNetwork<T>(1, 2, {.hidden = 6, .blocks = 2, .context_dim = context}),
                  AdditiveTransformer<T>()));
  map("coupling_additive_bounded",
      Coupling<T>({1, 0, 1}, Mlp<T>(2, 1, {.hidden = {5}}), AdditiveTransformer<T>(0.5)));
  map("coupling_bounded",
      Coupling<T>({0, 1, 0}, ResidualNetwork<T>(1, 4, {.hidden = 6, .blocks = 2, .context_dim = context}),
                  InvertedTransformer<T>(AffineTransformer<T>(2, 0.5)), 1.5));
  map("made_bounded",
      MaskedAutoregressive<T>(Made<T>(dim, 2, {.hidden = 6, .blocks = 2, .context_dim = context}),
                              AffineTransformer<T>(3, 0.5), {2, 0, 1}, 1.5));
  map("made_order",
      MaskedAutoregressive<T>(Made<T>(dim, 2, {.hidden = 7, .blocks = 1, .residual = false, .random_degrees = true}),
                              AffineTransformer<T>(2), {2, 0, 1}));
  map("made_additive", MaskedAutoregressive<T>(Made<T>(dim, 1, {.hidden = 5, .blocks = 0, .residual = false}),
                                               AdditiveTransformer<T>()));
  map("made_residual_context",
      MaskedAutoregressive<T>(Made<T>(dim, 2, {.hidden = 6, .blocks = 2, .context_dim = context}),
                              AffineTransformer<T>()));
  for (const Activation a :
       {Activation::identity, Activation::relu, Activation::leaky_relu, Activation::elu, Activation::gelu,
        Activation::silu, Activation::tanh, Activation::sigmoid, Activation::softplus})
    map("activation_" + activation_name(a),
        Coupling<T>({1, 1, 0}, Mlp<T>(2, 2, {.hidden = {6}, .activation = a, .context_dim = context}),
                    AffineTransformer<T>()));

  add("beta", Beta<T>(dim));
  add("categorical", Categorical<T>(dim, 4));
  add("cauchy", Cauchy<T>(dim));
  add("gamma", Gamma<T>(dim));
  add("laplace", Laplace<T>(dim));
  add("logistic", Logistic<T>(dim));
  add("multivariate_normal_diag", MultivariateNormalDiag<T>(dim));
  add("multivariate_normal_tril", MultivariateNormalTriL<T>(dim));
  add("multivariate_student_t", MultivariateStudentT<T>(dim));
  add("normal", Normal<T>(dim));
  add("student_t", StudentT<T>(dim));
  add("uniform", Uniform<T>(Vector(low.cast<T>()), Vector(high.cast<T>())));
  add("mixture",
      Mixture<T>(std::vector<Poly<Distribution<T>>>{Normal<T>(dim), MultivariateNormalTriL<T>(dim),
                                                    TransformedDistribution<T>(Normal<T>(dim), Shift<T>(dim))}));

  add("mixture_supports", Mixture<T>(std::vector<Poly<Distribution<T>>>{Gamma<T>(1), Normal<T>(1), Beta<T>(1)}));

  const FlowOptions small{.layers = 3, .hidden = 8, .blocks = 1, .seed = 5};
  const auto with = [&](auto change) {
    FlowOptions options = small;
    change(options);
    return options;
  };
  add("maf", maf<T>(dim, small));
  add("maf_residual_lu", maf<T>(dim, with([](FlowOptions& o) {
                                  o.residual = true;
                                  o.mixing = Mixing::lu_linear;
                                })));
  add("real_nvp_conditioner_norms", real_nvp<T>(dim, with([](FlowOptions& o) { o.conditioner_batch_norm = true; })));
  add("real_nvp_residual_conditioner_norms",
      real_nvp<T>(dim, with([](FlowOptions& o) { o.residual = o.conditioner_batch_norm = true; })));
  add("maf_norms", maf<T>(dim, with([](FlowOptions& o) { o.batch_norm = o.act_norm = true; })));
  add("maf_context", maf<T>(dim, with([](FlowOptions& o) { o.context_dim = context; })));
  add("maf_residual_context", maf<T>(dim, with([](FlowOptions& o) {
                                       o.context_dim = context;
                                       o.residual = true;
                                     })));
  add("maf_one_column", maf<T>(1, small));
  add("nsf", nsf<T>(dim, with([](FlowOptions& o) { o.residual = true, o.mixing = Mixing::lu_linear; })));
  add("nsf_context", nsf<T>(dim, with([](FlowOptions& o) { o.context_dim = context; })));
  add("nsf_ar", nsf_ar<T>(dim, with([](FlowOptions& o) { o.residual = true, o.mixing = Mixing::lu_linear; })));
  add("iaf", iaf<T>(dim, small));
  add("iaf_residual_context", iaf<T>(dim, with([](FlowOptions& o) {
                                       o.context_dim = context;
                                       o.residual = true;
                                     })));
  add("real_nvp", real_nvp<T>(dim, with([](FlowOptions& o) { o.mixing = Mixing::none; })));
  add("real_nvp_residual_context", real_nvp<T>(dim, with([](FlowOptions& o) {
                                                 o.context_dim = context;
                                                 o.residual = true;
                                                 o.mixing = Mixing::none;
                                               })));
  add("nice", nice<T>(dim, with([](FlowOptions& o) { o.mixing = Mixing::random_permutation; })));
  add("quantized", Quantized<T>(maf<T>(dim, with([](FlowOptions& o) { o.context_dim = context; })),
                                {{0, {}}, {2, {-0.25, 0.5}}}, 5));
  add("quantized_bounded",
      Quantized<T>(TransformedDistribution<T>(
                       Normal<T>(dim),
                       Chain<T>(LULinear<T>(dim),
                                ColumnSupports<T>({Interval{-0.5, infinity}, Interval{}, Interval{-1, 3}}))),
                   {{0, {0.25, 1}}, {2, {-0.75, 0.5}}}, 4));
  add("embedded_context", EmbeddedContext<T>(maf<T>(dim, with([](FlowOptions& o) { o.context_dim = 3; })),
                                             Mlp<T>(context, 3, {.hidden = {5}})));
  add("prepared", TransformedDistribution<T>(
                      StandardizedContext<T>(maf<T>(dim, with([](FlowOptions& o) { o.context_dim = context; })),
                                             Eigen::Vector2d(1, -1), Eigen::Vector2d(2, 3)),
                      Chain<T>(Standardize<T>(low, high),
                               ColumnSupports<T>({Interval{}, Interval{0, infinity}, Interval{-2, 3}}))));
  return list;
}

}  // namespace models
