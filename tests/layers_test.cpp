// Maps of several columns and transformers with networks of their own: definitions and other libraries' numbers
// (tests/oracles/layer_oracles.py), round trips from start to extreme parameters, one-pass sampling, refusals.

#include <algorithm>
#include <cmath>
#include <numbers>
#include <pushforward/bijectors/affine_transformer.hpp>
#include <pushforward/bijectors/bernstein_transformer.hpp>
#include <pushforward/bijectors/block_autoregressive.hpp>
#include <pushforward/bijectors/chain.hpp>
#include <pushforward/bijectors/circular_shift.hpp>
#include <pushforward/bijectors/coupling.hpp>
#include <pushforward/bijectors/discrete_transform.hpp>
#include <pushforward/bijectors/elementwise.hpp>
#include <pushforward/bijectors/gaussianization_transformer.hpp>
#include <pushforward/bijectors/graph_autoregressive.hpp>
#include <pushforward/bijectors/identity_tails_transformer.hpp>
#include <pushforward/bijectors/invert.hpp>
#include <pushforward/bijectors/isometric_log_ratio.hpp>
#include <pushforward/bijectors/l1_ball.hpp>
#include <pushforward/bijectors/logistic_mixture_transformer.hpp>
#include <pushforward/bijectors/low_rank_linear.hpp>
#include <pushforward/bijectors/masked_autoregressive.hpp>
#include <pushforward/bijectors/matrix_exponential.hpp>
#include <pushforward/bijectors/moebius_transformer.hpp>
#include <pushforward/bijectors/monotone_network_transformer.hpp>
#include <pushforward/bijectors/non_compact_projection_transformer.hpp>
#include <pushforward/bijectors/numerical_inverse.hpp>
#include <pushforward/bijectors/partial_correlations.hpp>
#include <pushforward/bijectors/planar.hpp>
#include <pushforward/bijectors/polynomial_spline_transformer.hpp>
#include <pushforward/bijectors/rational_quadratic_spline.hpp>
#include <pushforward/bijectors/rational_quadratic_transformer.hpp>
#include <pushforward/bijectors/rotation.hpp>
#include <pushforward/bijectors/sos_polynomial_transformer.hpp>
#include <pushforward/bijectors/sylvester.hpp>
#include <pushforward/bijectors/umnn_transformer.hpp>
#include <pushforward/bijectors/unit_ball.hpp>
#include <pushforward/bijectors/zero_sum.hpp>
#include <pushforward/distributions/embedded_context.hpp>
#include <pushforward/distributions/gamma.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <pushforward/distributions/uniform.hpp>
#include <pushforward/nn/balanced_scales.hpp>
#include <pushforward/nn/constant.hpp>
#include <pushforward/nn/mlp.hpp>
#include <pushforward/testing/audit.hpp>
#include <pushforward/testing/gradient_check.hpp>
#include <pushforward/training/fit.hpp>
#include <vector>

#include "tests/catch.hpp"
#include "tests/oracle.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;

namespace {

Matrix<double> normal_rows(Index n, Index cols, std::uint64_t seed, double scale = 1) {
  Engine engine(seed);
  return scale * Normal<double>(cols).sample(n, engine);
}

double largest(const Eigen::MatrixXd& m) { return m.size() == 0 ? 0 : m.cwiseAbs().maxCoeff(); }

std::vector<Index> sizes(const oracle::Json& list) {
  std::vector<Index> result;
  for (const oracle::Json& v : list) result.push_back(v.get<Index>());
  return result;
}

Poly<Bijector<double>> on_line(Poly<Transformer<double>> map) { return Elementwise<double>(std::move(map), 1); }

Poly<Bijector<double>> made_from(const std::string& name, const oracle::Json& k) {
  const auto number = [&](const char* what) { return k[what].get<Index>(); };
  if (name == "Sylvester") return Sylvester<double>(number("dim"), number("rank"), 0, 0);
  if (name == "LowRankLinear") return LowRankLinear<double>(number("dim"), number("rank"));
  if (name == "MatrixExponential") return MatrixExponential<double>(number("dim"));
  if (name == "Rotation") return Rotation<double>(number("dim"));
  if (name == "DiscreteTransform")
    return DiscreteTransform<double>(number("dim"),
                                     k["basis"] == "cosine" ? DiscreteBasis::cosine : DiscreteBasis::fourier);
  if (name == "IsometricLogRatio") return IsometricLogRatio<double>(number("n"));
  if (name == "ZeroSum") return ZeroSum<double>(number("n"));
  if (name == "UnitBall") return UnitBall<double>(number("dim"));
  if (name == "L1Ball") return L1Ball<double>(number("dim"));
  if (name == "PartialCorrelations") return PartialCorrelations<double>(number("n"));
  if (name == "CircularShift") return CircularShift<double>(1, k["low"].get<double>(), k["high"].get<double>());
  if (name == "Moebius")
    return on_line(NumericalInverse<double>(
        MoebiusTransformer<double>(number("components"), k["low"].get<double>(), k["high"].get<double>())));
  if (name == "NonCompactProjection") return on_line(NonCompactProjectionTransformer<double>());
  if (name == "Umnn")
    return on_line(UmnnTransformer<double>({.signals = number("signals"),
                                            .hidden = sizes(k["hidden"]),
                                            .bins = number("bins"),
                                            .bound = k["bound"].get<double>()}));
  if (name == "MonotoneNetwork")
    return on_line(NumericalInverse<double>(
        MonotoneNetworkTransformer<double>({.signals = number("signals"), .hidden = sizes(k["hidden"])})));
  if (name == "BlockAutoregressive")
    return BlockAutoregressive<double>(number("dim"), {.layers = number("layers"),
                                                       .block = number("block"),
                                                       .line = k["line"].get<bool>(),
                                                       .context_dim = static_cast<Index>(k["context"].size())});
  // As good as without a floor, which nflows does not have for lines.
  const bool lines = k["degree"] == 1;
  return on_line(PolynomialSplineTransformer<double>({.degree = number("degree"),
                                                      .bins = number("bins"),
                                                      .low = 0,
                                                      .high = 1,
                                                      .tails = SplineTails::bounded,
                                                      .min_bin_height = lines ? 2e-13 : 1e-3}));
}

/// The maps that are solved for, with parameters away from their start.
std::vector<Poly<Bijector<double>>> solved(double size) {
  std::vector<Poly<Bijector<double>>> maps{
      Sylvester<double>(4, 3, 2), BlockAutoregressive<double>(3, {.block = 5, .seed = 3}),
      BlockAutoregressive<double>(2, {.layers = 1, .block = 4, .slope = 0.1, .line = false, .seed = 3}),
      Elementwise<double>(UmnnTransformer<double>({.signals = 3, .hidden = {8, 8}}), 1),
      Elementwise<double>(
          NumericalInverse<double>(MonotoneNetworkTransformer<double>({.signals = 3, .hidden = {8, 8}})), 1)};
  for (Poly<Bijector<double>>& map : maps) testing::perturb<double>(*map, 5, size);
  return maps;
}

}  // namespace

TEST_CASE("Layers: definitions and other libraries' numbers, and the way back", "[layers]") {
  const oracle::Json file = oracle::read("layers");
  REQUIRE(file["cases"].size() == 26);
  for (std::size_t i = 0; i < file["cases"].size(); ++i) {
    const oracle::Json& c = file["cases"][i];
    const std::string name = c["class"];
    CAPTURE(i, name);
    Poly<Bijector<double>> map = made_from(name, c["constants"]);
    for (const auto& [path, values] : c["tensors"].items()) {
      const Eigen::MatrixXd dense = oracle::matrix(values);
      oracle::set(*map, path, dense);
    }
    const Matrix<double> in = oracle::matrix(c["in"]), out = oracle::matrix(c["out"]);
    const Eigen::VectorXd log_det = oracle::vector(c["log_det"]);
    const Matrix<double> context = map->context_dim() > 0 ? Matrix<double>(oracle::matrix(c["constants"]["context"]))
                                                          : Matrix<double>();
    const bool forward = c["forward"];
    const auto there = forward ? map->forward(in, context) : map->inverse(in, context);
    CHECK(largest(there.value - out) < 1e-11 * (1 + largest(out)));
    CHECK(largest(there.log_det - log_det) < 1e-11 * (1 + largest(log_det)));
    const auto back = forward ? map->inverse(out, context) : map->forward(out, context);
    CHECK(largest(back.value - in) < 1e-9 * (1 + largest(in)));
    CHECK(largest(back.log_det + log_det) < 1e-8 * (1 + largest(log_det)));
  }
}

TEST_CASE("Layers that are solved for: round trips from the start to extreme parameters", "[layers]") {
  for (const double size : {0.0, 0.5, 2.0})
    for (const Poly<Bijector<double>>& map : solved(size)) {
      CAPTURE(size, map->name());
      for (const double scale : {1.0, 30.0, 1e6}) {
        CAPTURE(scale);
        const Matrix<double> y = normal_rows(500, map->dim(), 8, scale);
        const MappedRows<double> x = map->inverse(y);
        const MappedRows<double> back = map->forward(x.value);
        for (Index i = 0; i < y.rows(); ++i) {
          // A rounding of x is worth as much more in y as the map is flat.
          const double stretch = std::exp(std::max(0.0, x.log_det[i] < 0 ? -x.log_det[i] : 0.0));
          REQUIRE(largest(back.value.row(i) - y.row(i)) < 1e-12 * (1 + largest(y.row(i))) * (1 + stretch) * 100);
        }
      }
    }
}

TEST_CASE("Layers that start near the identity", "[layers]") {
  const Matrix<double> y = normal_rows(50, 4, 3);
  const auto near = [&](const Bijector<double>& map, double far) {
    CAPTURE(map.name());
    const MappedRows<double> x = map.inverse(y.leftCols(map.dim()));
    CHECK(largest(x.value - y.leftCols(map.dim())) < far);
    CHECK(largest(x.log_det) < far);
  };
  near(Sylvester<double>(4, 2), 1e-12);
  near(LowRankLinear<double>(4, 2), 1e-12);
  near(MatrixExponential<double>(4), 1e-14);
  near(Rotation<double>(4), 1e-14);
  near(BlockAutoregressive<double>(4), 0.2);
  near(Elementwise<double>(PolynomialSplineTransformer<double>(), 4), 1e-12);
  near(Elementwise<double>(UmnnTransformer<double>(), 4), 0.05);
  near(Elementwise<double>(NumericalInverse<double>(MonotoneNetworkTransformer<double>()), 4), 0.3);
}

TEST_CASE("Circles: no seam, and nothing leaves them", "[layers]") {
  const double pi = std::numbers::pi;
  std::vector<Poly<Transformer<double>>> maps{NumericalInverse<double>(MoebiusTransformer<double>(5)),
                                              NonCompactProjectionTransformer<double>(),
                                              RationalQuadraticTransformer<double>(
                                                  {.low = -pi, .high = pi, .tails = SplineTails::circular})};
  for (const Poly<Transformer<double>>& map : maps) {
    Elementwise<double> layer(map, 2);
    CAPTURE(layer.name());
    testing::perturb<double>(layer, 9, 0.3);
    const Poly<Bijector<double>> moved = Chain<double>(layer, CircularShift<double>(2), layer);
    const TransformedDistribution<double> torus(Uniform<double>({-pi, -pi}, {pi, pi}), moved);
    Matrix<double> seam(2, 2);
    seam << -pi, 0.4, pi, 0.4;
    const Eigen::VectorXd ends = torus.log_prob(seam);
    CHECK(std::isfinite(ends[0]));
    CHECK(std::abs(ends[0] - ends[1]) < 1e-10);
    Engine engine(4);
    const Matrix<double> draws = torus.sample(200000, engine);
    CHECK(draws.minCoeff() >= -pi);
    CHECK(draws.maxCoeff() <= pi);
    CHECK(torus.log_prob(draws).allFinite());
    // The density of a torus, by the rectangle rule, which is exact for smooth periodic functions.
    const Index n = 400;
    Matrix<double> grid(n * n, 2);
    for (Index i = 0; i < n * n; ++i) {
      grid(i, 0) = -pi + 2 * pi * static_cast<double>(i / n) / static_cast<double>(n);
      grid(i, 1) = -pi + 2 * pi * static_cast<double>(i % n) / static_cast<double>(n);
    }
    const double cell = 4 * pi * pi / static_cast<double>(n * n);
    CHECK(std::abs(torus.log_prob(grid).array().exp().sum() * cell - 1) < 1e-3);
  }
}

TEST_CASE("The ends of an interval are numbers of the scalar", "[layers]") {
  const double pi = std::numbers::pi, rounded = static_cast<double>(std::numbers::pi_v<float>);
  REQUIRE(pi != rounded);
  for (const SplineTails tails : {SplineTails::bounded, SplineTails::circular})
    CHECK(RationalQuadraticTransformer<float>({.low = -pi, .high = pi, .tails = tails}).domain().high >= rounded);
  CHECK(RationalQuadraticTransformer<float>({.low = -pi, .high = pi, .tails = SplineTails::bounded}).domain() ==
        Interval{-rounded, rounded});
  CHECK(PolynomialSplineTransformer<float>({.low = -pi, .high = pi, .tails = SplineTails::bounded}).domain() ==
        Interval{-rounded, rounded});
  CHECK(CircularShift<float>(2).domain()[0] == Interval{-rounded, rounded});
  CHECK(CircularShift<double>(2).domain()[0] == Interval{-pi, pi});
}

TEST_CASE("Couplings with balanced scales keep volumes", "[layers]") {
  constexpr double none = std::numeric_limits<double>::infinity();
  Coupling<double> map({1, 0, 0, 0, 1}, BalancedScales<double>(Mlp<double>(2, 6, {.hidden = {8}})),
                       AffineTransformer<double>(none));
  testing::perturb<double>(map, 3, 2);
  const Matrix<double> x = normal_rows(50, 5, 4, 3);
  const MappedRows<double> y = map.forward(x);
  CHECK(largest(y.value - x) > 1);
  CHECK(largest(y.log_det) < 1e-14);
  CHECK(largest(map.inverse(y.value).value - x) < 1e-12);
  CHECK_THROWS_WITH(BalancedScales<double>(Mlp<double>(2, 5)), ContainsSubstring("two outputs for each column, got 5"));
  CHECK_THROWS_WITH(BalancedScales<double>(Mlp<double>(2, 4), 0), ContainsSubstring("limit must be positive"));
}

TEST_CASE("Balls are not left, however far the rows are", "[layers]") {
  const auto check = [](const auto& map, auto scalar) {
    using T = decltype(scalar);
    CAPTURE(map.name(), sizeof(T));
    for (const double size : {1e-3, 1.0, 30.0, 1e4, 1e8}) {
      const Matrix<T> x = normal_rows(2000, map.dim(), 6, size).template cast<T>();
      const MappedRows<T> y = map.forward(x);
      CHECK(y.value.allFinite());
      CHECK_NOTHROW(map.inverse(y.value));
      CHECK(std::isfinite(map.inverse(y.value).log_det.sum()));
    }
  };
  check(UnitBall<double>(7), double());
  check(UnitBall<float>(7), float());
  check(L1Ball<double>(7), double());
  check(L1Ball<float>(7), float());
}

TEST_CASE("Low rank: invertible whatever its matrices are", "[layers]") {
  for (const double size : {1.0, 1e3, 1e6}) {
    LowRankLinear<double> map(6, 3, 2);
    testing::perturb<double>(map, 3, size);
    oracle::set(map, "raw_diagonal", Eigen::RowVectorXd::Zero(6));
    const Matrix<double> x = normal_rows(20, 6, 2);
    const MappedRows<double> y = map.forward(x);
    CAPTURE(size);
    REQUIRE(y.log_det.allFinite());
    CHECK(largest(map.inverse(y.value).value - x) < 1e-7);
  }
}

TEST_CASE("Weights of groups of columns learn the same bits for any number of threads", "[layers]") {
  const Matrix<double> y = normal_rows(1500, 3, 6);
  const auto fitted = [&](Poly<Bijector<double>> map, int threads) {
    Execution execution({.threads = threads, .all_always = true});
    TransformedDistribution<double> flow(Normal<double>(3), std::move(map));
    fit(flow, y, {.epochs = 1, .batch_size = 500, .seed = 3, .execution = execution});
    std::vector<double> values;
    for (const Slot<double>& slot : list_state<double>(flow))
      values.insert(values.end(), slot.tensor->values().begin(), slot.tensor->values().end());
    return values;
  };
  for (const Poly<Bijector<double>>& map :
       {Poly<Bijector<double>>(BlockAutoregressive<double>(3, {.block = 5})),
        Poly<Bijector<double>>(Invert<double>(BlockAutoregressive<double>(3, {.block = 5}))),
        Poly<Bijector<double>>(Elementwise<double>(UmnnTransformer<double>({.signals = 2, .hidden = {6}}), 3))}) {
    CAPTURE(map->name());
    const std::vector<double> one = fitted(map, 1);
    CHECK(fitted(map, 2) == one);
    CHECK(fitted(map, 3) == one);
  }
}

TEST_CASE("A rotation keeps lengths, whatever its matrix is", "[layers]") {
  Rotation<double> map(5);
  testing::perturb<double>(map, 3, 30);
  const Matrix<double> x = normal_rows(20, 5, 2);
  CHECK(largest(map.forward(x).value.rowwise().norm() - x.rowwise().norm()) < 1e-11);
}

TEST_CASE("An embedding learns with its flow: of twenty columns of context one direction counts", "[layers]") {
  const Index n = 3000;
  const Matrix<double> context = normal_rows(n, 20, 6), noise = normal_rows(n, 1, 7, 0.1);
  const Eigen::VectorXd direction = normal_rows(20, 1, 8, 0.3);
  const Matrix<double> y = Matrix<double>((context * direction).array().sin().matrix() + noise);
  const auto flow = [] {
    return TransformedDistribution<double>(
        Normal<double>(1), Elementwise<double>(AffineTransformer<double>(5), 1, Mlp<double>(1, 2, {.hidden = {16}})));
  };
  EmbeddedContext<double> model(flow(), Mlp<double>(20, 1, {.hidden = {}, .final_scale = 1}));
  fit(model, y, {.epochs = 40, .batch_size = 100, .learning_rate = 5e-3, .context = context, .seed = 2});
  // The noise alone has 0.88 nats; without a context the columns spread by about 0.7.
  CHECK(model.log_prob(y, context).mean() > 0.6);
}

TEST_CASE("Layers: refusals name what was wrong", "[layers]") {
  CHECK_THROWS_WITH(Sylvester<double>(3, 4), ContainsSubstring("Sylvester: expected a rank from 1 to the 3 columns, got 4"));
  CHECK_THROWS_WITH(Sylvester<double>(3, 2, 0, 1), ContainsSubstring("floor must lie in [0, 1), got 1"));
  CHECK_THROWS_WITH(LowRankLinear<double>(3, 0), ContainsSubstring("LowRankLinear: expected a rank from 1 to the 3"));
  CHECK_THROWS_WITH(DiscreteTransform<double>(6, DiscreteBasis::haar), ContainsSubstring("needs a power of 2 columns, got 6"));
  CHECK_THROWS_WITH(CircularShift<double>(2, 1, 1), ContainsSubstring("CircularShift: expected finite low < high, got 1 and 1"));
  CHECK_THROWS_WITH(MoebiusTransformer<double>(0), ContainsSubstring("expected at least one component, got 0"));
  CHECK_THROWS_WITH(PolynomialSplineTransformer<double>({.degree = 3}), ContainsSubstring("expected degree 1 or 2, got 3"));
  CHECK_THROWS_WITH(PolynomialSplineTransformer<double>({.tails = SplineTails::circular}),
                    ContainsSubstring("tails may be identity or bounded"));
  CHECK_THROWS_WITH(PolynomialSplineTransformer<double>({.low = 0, .high = 1, .min_bin_height = 1e-14}),
                    ContainsSubstring("expected min_bin_height above 1e-13 and below 1 / bins, got 1e-14"));
  CHECK_THROWS_WITH(PolynomialSplineTransformer<double>({.bins = 4, .min_bin_width = 0.25}),
                    ContainsSubstring("expected min_bin_width above"));
  CHECK_THROWS_WITH(UmnnTransformer<double>({.hidden = {}}), ContainsSubstring("UmnnTransformer: expected at least one hidden layer"));
  CHECK_THROWS_WITH(UmnnTransformer<double>({.bins = 3}), ContainsSubstring("expected an even number of bins from 2 to 256, got 3"));
  CHECK_THROWS_WITH(MonotoneNetworkTransformer<double>({.signals = 0}), ContainsSubstring("expected at least one signal, got 0"));
  CHECK_THROWS_WITH(MonotoneNetworkTransformer<double>({.hidden = {1}}), ContainsSubstring("hidden layers need 2 to 4096 units, got 1"));
  CHECK_THROWS_WITH(BlockAutoregressive<double>(2, {.slope = 0}), ContainsSubstring("slope must lie in (0, 1], got 0"));
  CHECK_THROWS_WITH(BlockAutoregressive<double>(2, {.block = 0}), ContainsSubstring("expected blocks of 1 to 1024 units, got 0"));
  const TransformedDistribution<double> flow(
      Normal<double>(1), Elementwise<double>(AffineTransformer<double>(5), 1, Mlp<double>(2, 2)));
  CHECK_THROWS_WITH(EmbeddedContext<double>(flow, Mlp<double>(5, 3)),
                    ContainsSubstring("takes a context of 2 columns, but the network gives 3"));
  CHECK_THROWS_WITH(EmbeddedContext<double>(Normal<double>(1), Mlp<double>(5, 3)), ContainsSubstring("takes no context"));
}

TEST_CASE("Lines whose rises round to nothing keep their slopes", "[spline]") {
  // log p = raw - log sum exp(raw); nflows has no smallest rise.
  const PolynomialSplineOptions options{.degree = 1, .bins = 3, .tails = SplineTails::bounded, .min_bin_height = 1e-300};
  const std::vector<double> raw = {0, -200, 1};
  const Elementwise<double> lines(PolynomialSplineTransformer<double>(options), 1, VectorView<const double>(raw));
  const double log_sum = std::log(1 + std::exp(-200.0) + std::exp(1.0));
  std::size_t bin = 0;
  for (const double y : {-2.0, 0.5, 2.5}) {
    const MappedRows<double> x = lines.inverse(Matrix<double>(Matrix<double>::Constant(1, 1, y)));
    CHECK(std::abs(x.log_det[0] - (std::log(3) + raw[bin++] - log_sum)) < 1e-13);
    CHECK(std::abs(x.value(0, 0)) < 3);
  }
}

TEST_CASE("A graph says which columns depend on which", "[layers]") {
  const GraphAutoregressive<double>::Graph parents{{3}, {}, {0, 1}, {1}};
  GraphAutoregressive<double> map(parents, RationalQuadraticTransformer<double>({.bins = 3}), {.hidden = {6}, .final_scale = 1});
  testing::perturb<double>(map, 5);
  CHECK(map.triangular_order() == std::vector<std::int64_t>{1, 3, 0, 2});
  CHECK(map.parents() == parents);
  Engine engine(2);
  const Matrix<double> y = Normal<double>(4).sample(50, engine), x = map.inverse(y).value;
  CHECK((map.forward(x).value - y).cwiseAbs().maxCoeff() < 1e-12);
  for (Index c = 0; c < 4; ++c) {
    Matrix<double> moved = y;
    moved.col(c).array() += 0.1;
    const Matrix<double> change = map.inverse(moved).value - x;
    for (Index i = 0; i < 4; ++i) {
      const auto& own = parents[static_cast<std::size_t>(i)];
      const bool sees = i == c || std::find(own.begin(), own.end(), c) != own.end();
      CHECK((change.col(i).cwiseAbs().maxCoeff() > 0) == sees);
    }
  }
  CHECK(testing::audit(map, y).passed());

  using Graph = GraphAutoregressive<double>::Graph;
  const auto refused = [](Graph graph, const char* text) {
    CHECK_THROWS_WITH(GraphAutoregressive<double>(std::move(graph)), ContainsSubstring(text));
  };
  refused({{}, {2}}, "column 1 has the parent 2, and there are 2 columns");
  refused({{1}, {-1}}, "column 1 has the parent -1");
  refused({{}, {0, 0}}, "column 1 has the parent 0 twice");
  refused({{0}}, "in a circle, 0 -> 0");
  refused({{}, {3, 0}, {1}, {2}}, "in a circle, 1 -> 2 -> 3 -> 1");
  CHECK_THROWS_WITH(GraphAutoregressive<double>({{}, {0}}, {Constant<double>(1, 2), Mlp<double>(2, 2)}),
                    ContainsSubstring("column 1 needs a network of 1 inputs and 2 outputs, got one of 2 and 2"));
  CHECK_THROWS_WITH(GraphAutoregressive<double>({{}, {0}}, {Constant<double>(1, 2)}), ContainsSubstring("1 networks for 2 columns"));
  CHECK_THROWS_WITH(GraphAutoregressive<double>({{}, {0}}, {Mlp<double>(0, 2, {.context_dim = 2}), Mlp<double>(1, 2, {.context_dim = 3})}),
                    ContainsSubstring("networks take contexts of 2 and of 3 columns"));
}

TEMPLATE_TEST_CASE("A spline of data takes their quantiles to normal ones", "[layers]", double, float) {
  using T = TestType;
  Engine engine(3);
  Matrix<T> y(4000, 3);
  y.leftCols(1) = Gamma<T>({T(2)}, {T(1)}).sample(4000, engine).array() - T(2);
  y.col(1) = Normal<T>(1).sample(4000, engine);
  for (Index i = 0; i < y.rows(); ++i) y(i, 1) += i % 2 == 0 ? T(2) : T(-2);  // two heaps
  y.col(2).setConstant(T(0.5));                                            // one value
  const RationalQuadraticOptions options{.bins = 16, .low = -6, .high = 6};
  const auto spline = RationalQuadraticSpline<T>::of(y, options);
  const Matrix<T> x = spline.inverse(y).value;
  const Normal<double> normal(1);
  for (Index c = 0; c < 2; ++c) {
    std::vector<double> sorted(x.col(c).begin(), x.col(c).end());
    std::sort(sorted.begin(), sorted.end());
    double distance = 0;
    for (std::size_t i = 0; i < sorted.size(); ++i)
      distance = std::max(distance, std::abs(normal.cdf(Matrix<double>{{sorted[i]}})(0, 0) -
                                             (static_cast<double>(i) + 0.5) / static_cast<double>(sorted.size())));
    CHECK(distance < 0.03);  // within a bin rows are not normal
  }
  CHECK((spline.forward(x).value - y).cwiseAbs().maxCoeff() < static_cast<T>(sizeof(T) == 8 ? 1e-10 : 1e-4));
  CHECK(spline.raw().values().size() == 3 * 47);
  CHECK(count_parameters(spline) == 3 * 47);  // it is a start
  // Rows that weigh nothing are as if they were not there; equal weights as if there were none.
  std::vector<double> weights(4000, 2.0);
  CHECK((RationalQuadraticSpline<T>::of(y, options, weights).inverse(y).value - x).norm() == T(0));
  for (std::size_t i = 0; i < weights.size(); i += 2) weights[i] = 0;
  Matrix<T> half(2000, 3);
  for (Index i = 0; i < 2000; ++i) half.row(i) = y.row(2 * i + 1);
  CHECK((RationalQuadraticSpline<T>::of(y, options, weights).inverse(y).value -
         RationalQuadraticSpline<T>::of(half, options).inverse(y).value).norm() == T(0));
  // A knot of a right one: two bins, the quantile in the middle.
  const Matrix<T> few{{T(-1)}, {T(1)}, {T(2)}};
  const auto two = RationalQuadraticSpline<T>::of(few, {.bins = 2, .tails = SplineTails::linear});
  CHECK(std::abs(static_cast<double>(two.inverse(Matrix<T>{{T(1)}}).value(0, 0))) < 1e-6);

  CHECK_THROWS_WITH(RationalQuadraticSpline<T>::of(Matrix<T>(0, 2)), ContainsSubstring("there are no rows"));
  CHECK_THROWS_WITH(RationalQuadraticSpline<T>::of(Matrix<T>{{T(0), T(NAN)}}), ContainsSubstring("row 0, column 1 is nan"));
  CHECK_THROWS_WITH(RationalQuadraticSpline<T>::of(few, {}, std::vector<double>{1, -1, 1}), ContainsSubstring("a weight is -1"));
  CHECK_THROWS_WITH(RationalQuadraticSpline<T>::of(few, {}, std::vector<double>{0, 0, 0}), ContainsSubstring("sum to a positive number"));
  CHECK_THROWS_AS(RationalQuadraticSpline<T>::of(few, {}, std::vector<double>{1}), ShapeError);
  CHECK_THROWS_WITH(RationalQuadraticSpline<T>::of(few, {.tails = SplineTails::circular}), ContainsSubstring("not for circular tails"));
}

// A million points and parameters for each: an hour under sanitizers.
TEMPLATE_TEST_CASE("A million points of maps that are solved for come back", "[.slow]", double, float) {
  using T = TestType;
  const auto one = [](Poly<Transformer<T>> t) -> Poly<Bijector<T>> { return Elementwise<T>(std::move(t), 1); };
  const auto solved = [&](Poly<Transformer<T>> t) { return one(NumericalInverse<T>(std::move(t))); };
  const std::vector<Poly<Bijector<T>>> maps{
      Planar<T>(1, 3), Sylvester<T>(1, 1, 3), BlockAutoregressive<T>(1, {.block = 5}),
      solved(MonotoneNetworkTransformer<T>({.signals = 3, .hidden = {8, 8}})),
      one(UmnnTransformer<T>({.signals = 3, .hidden = {8, 8}, .bins = 12})),
      solved(LogisticMixtureTransformer<T>(4)), solved(GaussianizationTransformer<T>(4)),
      solved(BernsteinTransformer<T>(8)), solved(SosPolynomialTransformer<T>(3, 2, 11, 1e-3)),
      one(IdentityTailsTransformer<T>(NumericalInverse<T>(BernsteinTransformer<T>(8)))),
      one(PolynomialSplineTransformer<T>())};
  const double epsilon = static_cast<double>(std::numeric_limits<T>::epsilon());
  const double wanted = sizeof(T) == 8 ? 1e-10 : 1e-5;
  for (const Poly<Bijector<T>>& start : maps) {
    double worst = 0;
    for (std::uint64_t seed = 0; seed < 1000; ++seed) {
      Poly<Bijector<T>> map = start;
      testing::perturb<T>(*map, seed, seed % 3 == 0 ? 0.1 : seed % 3 == 1 ? 0.5 : 1.5);
      Engine engine(seed);
      Matrix<T> y = Normal<T>(1).sample(1000, engine);
      // Times powers of ten up to 10^6; polynomials have their digits inside of their scale alone.
      const bool polynomial = &start == &maps[8];
      for (Index i = 0; i < y.rows(); ++i) y(i, 0) *= static_cast<T>(polynomial ? 2 : std::pow(10.0, i % 7));
      y(0, 0) = T(0);
      y(1, 0) = T(5);
      y(2, 0) = T(-5);
      const MappedRows<T> x = map->inverse(y), back = map->forward(x.value);
      for (Index i = 0; i < y.rows(); ++i) {
        const double v = static_cast<double>(y(i, 0)), u = static_cast<double>(x.value(i, 0));
        // What a rounding of x is in y, which no inverse can undo.
        const double rounding = 8 * epsilon * (1 + std::abs(u)) * std::exp(-x.log_det[i]);
        const double miss = std::abs(static_cast<double>(back.value(i, 0)) - v);
        worst = std::max(worst, (miss - rounding) / (1 + std::abs(v)));
      }
    }
    INFO(start->name() << ' ' << (&start - maps.data()));
    CHECK(worst < wanted);
  }
}
