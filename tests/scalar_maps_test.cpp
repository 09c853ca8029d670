// Scalar maps composed, inverted, solved, with learned numbers of their own, and the maps that are made of them.

#include <cmath>
#include <limits>
#include <pushforward/bijectors/affine_transformer.hpp>
#include <pushforward/bijectors/composed_transformer.hpp>
#include <pushforward/bijectors/coupling.hpp>
#include <pushforward/bijectors/elementwise.hpp>
#include <pushforward/bijectors/masked_autoregressive.hpp>
#include <pushforward/bijectors/modulus_transformer.hpp>
#include <pushforward/bijectors/numerical_inverse.hpp>
#include <pushforward/bijectors/rational_quadratic_spline.hpp>
#include <pushforward/bijectors/softsign.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <pushforward/io/model.hpp>
#include <pushforward/testing/bijector_contract.hpp>
#include <pushforward/training/fit.hpp>
#include <vector>

#include "tests/catch.hpp"

using namespace pushforward;
using namespace pushforward::testing;

namespace {

template <Scalar T>
using Params = std::span<const Var<T>>;

/// x = sinh(y exp(s) + m) on the data side, with no sampling direction: what a solver is for.
template <Scalar T>
class OneWay final : public Transformer<T> {
 public:
  OneWay() : Transformer<T>("OneWay", 2) {}

 private:
  using Elements = typename Transformer<T>::Elements;
  Elements do_forward(Pass<T>&, Var<T>, Params<T>) const override {
    throw NotImplemented("OneWay::forward: has no closed form");
  }
  Elements do_inverse(Pass<T>&, Var<T> y, Params<T> p) const override {
    const Var<T> s = soft_bound(p[1], T(2)), u = y * exp(s) + p[0];
    // x + x^3 / 3 of u: log derivative log(1 + u^2) + s.
    return {u + u * square(u) * T(1.0 / 3), log1p(square(u)) + s};
  }
  double do_log_scale_bound() const override { return std::numeric_limits<double>::infinity(); }
  void do_fields(Fields<T>& f) override { f.type("one_way"); }
};

/// tanh: leads to (-1, 1) alone, though it says the real line.
template <Scalar T>
class Short final : public Transformer<T> {
 public:
  Short() : Transformer<T>("Short", 1) {}

 private:
  using Elements = typename Transformer<T>::Elements;
  Elements do_forward(Pass<T>&, Var<T>, Params<T>) const override { throw NotImplemented("Short::forward: none"); }
  Elements do_inverse(Pass<T>&, Var<T> y, Params<T> p) const override {
    const Var<T> u = y + p[0], x = tanh(u);
    return {x, (u + softplus(u * T(-2)) - T(std::log(2.0))) * T(-2)};
  }
  double do_log_scale_bound() const override { return std::numeric_limits<double>::infinity(); }
  void do_fields(Fields<T>& f) override { f.type("short"); }
};

/// y = exp(b(w)) x + shift with a learned number w of its own, softly bound by 3.
template <Scalar T>
class Weighted final : public Transformer<T> {
 public:
  Weighted() : Transformer<T>("Weighted", 1), w_({1}) {}

 private:
  using Elements = typename Transformer<T>::Elements;
  Elements do_forward(Pass<T>& pass, Var<T> x, Params<T> p) const override {
    const Var<T> w = soft_bound(pass.parameter(w_), T(3));
    return {x * exp(w) + p[0], x * T(0) + w};
  }
  Elements do_inverse(Pass<T>& pass, Var<T> y, Params<T> p) const override {
    const Var<T> w = soft_bound(pass.parameter(w_), T(3));
    return {(y - p[0]) * exp(-w), y * T(0) - w};
  }
  double do_log_scale_bound() const override { return 3; }
  void do_fields(Fields<T>& f) override {
    f.type("weighted");
    f.parameter("w", w_, {1});
  }
  Tensor<T> w_;
};

Registry registry() {
  return Registry::standard().add<OneWay>("one_way").add<Short>("short").add<Weighted>("weighted");
}

template <Scalar T>
void keeps_the_contract(Poly<Bijector<T>> map) {
  // Three maps on top of each other multiply what float rounds off: keep their slopes moderate.
  perturb<T>(*map, 7, 0.2);
  const std::vector<Failure> failures = check_bijector<T>(map, {.registry = registry()});
  INFO(report(failures));
  CHECK(failures.empty());
}

const MlpOptions small_net{.hidden = {6}, .activation = Activation::tanh, .final_scale = 1, .seed = 3};
const MadeOptions small_made{.hidden = 7, .activation = Activation::tanh, .final_scale = 1, .seed = 5};

}  // namespace

TEMPLATE_TEST_CASE("Any transformer serves elementwise, in couplings and in autoregressive maps", "[scalar]", double,
                   float) {
  using T = TestType;
  const Poly<Transformer<T>> composed = ComposedTransformer<T>(
      {AffineTransformer<T>(2), Weighted<T>(), RationalQuadraticTransformer<T>({.bins = 3})});
  const Poly<Transformer<T>> inverted = InvertedTransformer<T>(composed);
  const Poly<Transformer<T>> solved = NumericalInverse<T>(OneWay<T>());
  for (const Poly<Transformer<T>>& t : {composed, inverted, solved}) {
    INFO(t->name());
    keeps_the_contract<T>(Elementwise<T>(t, 3));
    keeps_the_contract<T>(Coupling<T>({0, 1, 0}, t, small_net));
    keeps_the_contract<T>(MaskedAutoregressive<T>(3, t, small_made, {2, 0, 1}));
  }
}

TEST_CASE("Elementwise with splines is RationalQuadraticSpline", "[scalar]") {
  RationalQuadraticSpline<double> spline(2, {.bins = 5});
  Elementwise<double> same(RationalQuadraticTransformer<double>({.bins = 5}), 2);
  perturb<double>(spline, 3);
  same.raw() = spline.raw();
  const Matrix<double> x = Matrix<double>::Random(50, 2) * 4;
  CHECK(same.forward(x).value == spline.forward(x).value);
  CHECK(same.forward(x).log_det == spline.forward(x).log_det);
  CHECK(same.inverse(x).value == spline.inverse(x).value);
}

TEST_CASE("A solved direction agrees with the closed one, at all magnitudes", "[scalar]") {
  const AffineTransformer<double> affine(5);
  Elementwise<double> closed(affine, 1), solved(NumericalInverse<double>(affine), 1);
  closed.raw()[0] = solved.raw()[0] = -0.4;
  closed.raw()[1] = solved.raw()[1] = 1.7;
  Matrix<double> x(13, 1);
  x << 0, 1e-300, -1e-12, 0.1, -1, 3, -50, 1e3, -1e6, 1e9, -1e12, 1e50, -1e100;
  const MappedRows<double> expected = closed.forward(x), got = solved.forward(x);
  for (Index i = 0; i < x.rows(); ++i) {
    INFO(x(i, 0));
    CHECK(got.value(i, 0) == Approx(expected.value(i, 0)).epsilon(1e-13).margin(1e-300));
    CHECK(got.log_det[i] == Approx(expected.log_det[i]).epsilon(1e-13));
  }
  CHECK(solved.inverse(x).value == closed.inverse(x).value);
}

TEST_CASE("The root of x + x^3 / 3 is Cardano's", "[scalar]") {
  Elementwise<double> map(NumericalInverse<double>(OneWay<double>()), 1);
  for (const double x : {-1e9, -12.0, -0.3, 0.0, 1e-9, 2.5, 4e4}) {
    // y^3 + 3 y - 3 x = 0, the sum of cube roots without cancellation.
    const double half = 1.5 * std::abs(x), big = std::cbrt(half + std::sqrt(half * half + 1));
    const double y = std::copysign(big - 1 / big, x);
    INFO(x);
    // The difference cancels for small x, where y = x to first order.
    const Matrix<double> at = Matrix<double>::Constant(1, 1, x);
    CHECK(map.forward(at).value(0, 0) == Approx(y).epsilon(1e-12).margin(1e-15));
  }
}

TEST_CASE("Gradients through a solved direction are those of the implicit function", "[scalar]") {
  MaskedAutoregressive<double> map(3, NumericalInverse<double>(OneWay<double>()), small_made);
  perturb<double>(map, 9);
  std::vector<NamedTensor> tensors;
  for (const Slot<double>& slot : list_state<double>(static_cast<Component<double>&>(map)))
    tensors.push_back({slot.path, slot.tensor});
  CHECK(tensors.size() >= 6);
  const auto f = [&](Pass<double>& pass, Var<double> x) {
    const Mapped<double> y = map.forward(pass, x);
    return random_projection(pass, y.value, 5) + random_projection(pass, y.log_det, 6);
  };
  const Matrix<double> x = Matrix<double>::Random(17, 3) * 2;
  const std::vector<Failure> failures = check_gradient(f, x, {}, tensors, {.tolerance = 1e-6});
  INFO(report(failures));
  CHECK(failures.empty());
}

TEST_CASE("A value that the map does not reach is an error that names its row", "[scalar]") {
  const Elementwise<double> map(NumericalInverse<double>(Short<double>()), 2);
  Matrix<double> x(3, 2);
  x << 0.5, -0.5, 0.9, 1.5, 0, 0;
  CHECK_THROWS_WITH(map.forward(x), Catch::Matchers::ContainsSubstring("row 1 lies outside the domain"));
  const Matrix<double> good = x.topRows(1);
  CHECK(map.forward(good).value(0, 0) == Approx(std::atanh(0.5)).epsilon(1e-14));
  // As a density's inverse: -inf for that row alone.
  const TransformedDistribution<double> d(
      Normal<double>(2), Elementwise<double>(InvertedTransformer<double>(NumericalInverse<double>(Short<double>())), 2));
  const Eigen::VectorXd log_prob = d.log_prob(x);
  CHECK(std::isfinite(log_prob[0]));
  CHECK(log_prob[1] == -std::numeric_limits<double>::infinity());
  CHECK(std::isfinite(log_prob[2]));
}

TEST_CASE("A transformer's own learned numbers train, count, save and cast", "[scalar]") {
  TransformedDistribution<double> flow(Normal<double>(2), Coupling<double>({1, 0}, Weighted<double>(), small_net));
  const auto value = [](const Component<double>& c) {
    for (const ConstSlot<double>& slot : list_state(c))
      if (slot.path == "bijector.transformer.w") return (*slot.tensor)[0];
    return std::numeric_limits<double>::quiet_NaN();
  };
  CHECK(value(flow) == 0);
  const Index with = count_parameters(flow);
  const TransformedDistribution<double> without(Normal<double>(2),
                                                Coupling<double>({1, 0}, AdditiveTransformer<double>(), small_net));
  CHECK(with == count_parameters(without) + 1);
  Matrix<double> y = Matrix<double>::Random(300, 2);
  y.col(1) *= 5;
  fit(flow, y, {.epochs = 20, .learning_rate = 0.01});
  CHECK(value(flow) > 0.1);
  const auto loaded = load<double>(serialize(flow), "memory", registry());
  CHECK(value(*loaded.distribution) == value(flow));
  CHECK(loaded.distribution->log_prob(y) == flow.log_prob(y));
  CHECK(cast<float>(flow, registry())->log_prob(y.cast<float>().eval()).mean() ==
        Approx(flow.log_prob(y).mean()).epsilon(1e-4));
}

TEST_CASE("Couplings and autoregressive maps size their own networks", "[scalar]") {
  const Coupling<double> coupling({1, 0, 0, 1}, RationalQuadraticTransformer<double>({.bins = 4}), small_net);
  CHECK(coupling.net().inputs() == 2);
  CHECK(coupling.net().outputs() == 2 * 11);
  const Coupling<double> residual({1, 0}, AffineTransformer<double>(), ResidualNetworkOptions{.hidden = 8, .context_dim = 3});
  CHECK(residual.net().name() == "ResidualNetwork");
  CHECK(residual.context_dim() == 3);
  const MaskedAutoregressive<double> maf(4, AffineTransformer<double>(), small_made);
  CHECK(maf.net().multiplier() == 2);
  CHECK_THROWS_AS(Coupling<double>({1, 1}, AffineTransformer<double>(), small_net), ShapeError);
  CHECK_THROWS_AS(ComposedTransformer<double>(std::vector<Poly<Transformer<double>>>()), ShapeError);
  CHECK_THROWS_AS(ComposedTransformer<double>({AffineTransformer<double>(), RationalQuadraticTransformer<double>(
                                                   {.low = 0, .high = 1, .tails = SplineTails::bounded})}),
                  DomainError);
}

TEST_CASE("Softsign takes 3 to 3/4 and back", "[scalar]") {
  const Softsign<double> map(1);
  Matrix<double> x(5, 1), y(5, 1);
  x << 3, -1, 0, 1e-300, -1e12;
  y << 0.75, -0.5, 0, 1e-300, -(1 - 1e-12);
  const MappedRows<double> forward = map.forward(x), inverse = map.inverse(y);
  for (Index i = 0; i < 5; ++i) {
    CHECK(forward.value(i, 0) == Approx(y(i, 0)).epsilon(1e-15).margin(0));
    CHECK(forward.log_det[i] == Approx(-2 * std::log1p(std::abs(x(i, 0)))).epsilon(1e-15).margin(0));
  }
  CHECK(inverse.value(0, 0) == 3);
  CHECK(inverse.log_det[0] == Approx(2 * std::log(4.0)).epsilon(1e-15));
  CHECK(inverse.value(1, 0) == -1);
  CHECK(map.forward(Matrix<double>(Matrix<double>::Constant(1, 1, 1e300))).value(0, 0) < 1);
}

TEST_CASE("ModulusTransformer agrees with SciPy's Yeo-Johnson on positive values, and is odd", "[scalar]") {
  // scipy.stats.yeojohnson(x, lmbda=p), SciPy 1.11
  const std::vector<double> points{1e-3, 0.3, 2, 50};
  struct Case {
    double p;
    std::vector<double> y;
  };
  for (const Case& c :
       {Case{1.7, {0.0010003499650113698, 0.3306361974593166, 3.219416376425753, 469.76093037685}},
        Case{3.0, {0.0010010003333333333, 0.399, 8.666666666666666, 44216.666666666635}}}) {
    const double bound = 1.5, share = std::log(c.p) / bound, raw = 2 + std::log(share / (1 - share));
    const Elementwise<double> map(ModulusTransformer<double>(bound), 1, {raw});
    for (std::size_t i = 0; i < points.size(); ++i)
      for (const double sign : {1.0, -1.0}) {
        INFO(c.p << ' ' << sign * points[i]);
        Matrix<double> x(1, 1), y(1, 1);
        x << sign * points[i];
        y << sign * c.y[i];
        const MappedRows<double> forward = map.forward(x), inverse = map.inverse(y);
        CHECK(forward.value(0, 0) == Approx(y(0, 0)).epsilon(1e-13));
        CHECK(inverse.value(0, 0) == Approx(x(0, 0)).epsilon(1e-13));
        const double log_derivative = (c.p - 1) * std::log1p(points[i]);
        CHECK(forward.log_det[0] == Approx(log_derivative).epsilon(1e-13));
        CHECK(inverse.log_det[0] == Approx(-log_derivative).epsilon(1e-13));
      }
  }
  Matrix<double> zero = Matrix<double>::Zero(1, 1);
  CHECK(Elementwise<double>(ModulusTransformer<double>(), 1, {0.4}).forward(zero).value(0, 0) == 0);
  CHECK_THROWS_WITH(ModulusTransformer<double>(0), Catch::Matchers::ContainsSubstring("bound must be positive and finite, got 0"));
  CHECK_THROWS_AS(ModulusTransformer<double>(std::numeric_limits<double>::infinity()), DomainError);
}
