// What a solver reaches: all numbers of the scalar type, both signs alike, and one search inside another.

#include <cmath>
#include <limits>
#include <pushforward/bijectors/affine_transformer.hpp>
#include <pushforward/bijectors/chain.hpp>
#include <pushforward/bijectors/composed_transformer.hpp>
#include <pushforward/bijectors/elementwise.hpp>
#include <pushforward/bijectors/exp.hpp>
#include <pushforward/bijectors/log.hpp>
#include <pushforward/bijectors/numerical_inverse.hpp>
#include <pushforward/bijectors/shift.hpp>
#include <pushforward/bijectors/softplus.hpp>
#include <pushforward/bijectors/softsign.hpp>
#include <pushforward/bijectors/tanh.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <pushforward/io/model.hpp>
#include <pushforward/testing/bijector_contract.hpp>
#include <pushforward/testing/gradient_check.hpp>

#include "tests/catch.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;

namespace {

template <Scalar T>
using Parts = std::vector<Poly<Transformer<T>>>;

template <Scalar T>
Matrix<T> column(std::initializer_list<double> values) {
  Matrix<T> x(static_cast<Index>(values.size()), 1);
  Index i = 0;
  for (const double v : values) x(i++, 0) = static_cast<T>(v);
  return x;
}

/// logit on (0, 1), of which only this direction is there.
template <Scalar T>
class Logit final : public Transformer<T> {
 public:
  Logit() : Transformer<T>("Logit", 0) {}

 private:
  using Elements = typename Transformer<T>::Elements;
  Elements do_forward(Pass<T>& pass, Var<T> x, std::span<const Var<T>>) const override {
    x = pass.restrict_to(x, do_domain());
    const Var<T> a = log(x), b = log1p(-x);
    return {a - b, -(a + b)};
  }
  Elements do_inverse(Pass<T>&, Var<T>, std::span<const Var<T>>) const override { throw NotImplemented("Logit::inverse"); }
  Interval do_domain() const override { return {0, 1}; }
  Interval do_codomain() const override { return real_line; }
  double do_log_scale_bound() const override { return std::numeric_limits<double>::infinity(); }
  void do_fields(Fields<T>& f) override { f.type("logit"); }
};

/// x + x^3, which overflows to NaN where its two terms are subtracted once too often.
template <Scalar T>
class Cubic final : public Transformer<T> {
 public:
  Cubic() : Transformer<T>("Cubic", 0) {}

 private:
  using Elements = typename Transformer<T>::Elements;
  Elements do_forward(Pass<T>&, Var<T> x, std::span<const Var<T>>) const override {
    const Var<T> cube = x * square(x);
    return {(x + cube) + (cube - cube), log1p(T(3) * square(x))};
  }
  Elements do_inverse(Pass<T>&, Var<T>, std::span<const Var<T>>) const override { throw NotImplemented("Cubic::inverse"); }
  double do_log_scale_bound() const override { return std::numeric_limits<double>::infinity(); }
  void do_fields(Fields<T>& f) override { f.type("cubic"); }
};

/// exp as the root of log.
template <Scalar T>
Elementwise<T> solved_exp() {
  return Elementwise<T>(NumericalInverse<T>(ExpTransformer<T>()), 1);
}

}  // namespace

TEMPLATE_TEST_CASE("exp is solved for up to the largest number and down to the smallest", "[numerical_inverse]", double,
                   float) {
  using T = TestType;
  const double top = std::log(static_cast<double>(std::numeric_limits<T>::max()));
  const double bottom = std::log(static_cast<double>(std::numeric_limits<T>::min()));
  const Matrix<T> y = column<T>({-1e-6, 0, 40, 44, 46, 80, 0.7 * top, top - 1e-3, -44, -46, 0.7 * bottom, bottom + 0.1});
  const MappedRows<T> x = solved_exp<T>().forward(y);
  const double epsilon = static_cast<double>(std::numeric_limits<T>::epsilon());
  for (Index i = 0; i < y.rows(); ++i) {
    INFO(y(i, 0));
    const double exact = static_cast<double>(y(i, 0)), tolerance = 4 * epsilon * (4 + std::abs(exact));
    CHECK(static_cast<double>(x.value(i, 0)) == Approx(std::exp(exact)).epsilon(tolerance).margin(0));
    CHECK(x.log_det[i] == Approx(exact).epsilon(4 * epsilon).margin(4 * epsilon));
  }
  // Samples of a wide log-normal: none is NaN where exp is a number of T.
  Engine engine(3);
  const TransformedDistribution<T> d(Normal<T>({T(0)}, {static_cast<T>(top / 6)}), solved_exp<T>());
  CHECK(d.sample(2000, engine).allFinite());
  // Beyond: no number.
  for (const double beyond : {top + 0.01, 2 * top, 1e30})
    CHECK_THROWS_WITH(solved_exp<T>().forward(column<T>({1, beyond})), ContainsSubstring("row 1 lies outside the domain"));
}

TEMPLATE_TEST_CASE("An odd map is solved for alike on both sides, to the last numbers", "[numerical_inverse]", double,
                   float) {
  using T = TestType;
  const Elementwise<T> tanh(NumericalInverse<T>(TanhTransformer<T>()), 1), cube(NumericalInverse<T>(Cubic<T>(), Solved::inverse), 1);
  const double last = std::atanh(static_cast<double>(std::nextafter(T(1), T(0))));
  Matrix<T> y(400, 1);
  for (Index i = 0; i < y.rows(); ++i) y(i, 0) = static_cast<T>((last + 0.2) * (double(i) + 1) / 400);
  const Matrix<T> negative = -y;
  const MappedRows<T> up = tanh.forward(y), down = tanh.forward(negative);
  CHECK(up.value == -down.value);
  CHECK(up.log_det == down.log_det);
  const double epsilon = static_cast<double>(std::numeric_limits<T>::epsilon());
  for (Index i = 0; i < y.rows(); ++i)
    CHECK(static_cast<double>(up.value(i, 0)) == Approx(std::tanh(static_cast<double>(y(i, 0)))).epsilon(2 * epsilon).margin(0));
  for (const double beyond : {last + 1, 2 * last})
    for (const double sign : {-1.0, 1.0})
      CHECK_THROWS_WITH(tanh.forward(column<T>({sign * beyond})), ContainsSubstring("row 0 lies outside the domain"));
  // Its trials overflow to NaN on either side.
  const Matrix<T> z = column<T>({1e-3, 1, 2, 30, 68921000 + 410, 1e15}), minus = -z;
  const MappedRows<T> roots = cube.inverse(z), mirrored = cube.inverse(minus);
  CHECK(roots.value == -mirrored.value);
  for (Index i = 0; i < z.rows(); ++i) {
    const double x = static_cast<double>(roots.value(i, 0));
    CHECK(x + x * x * x == Approx(static_cast<double>(z(i, 0))).epsilon(8 * epsilon));
  }
  CHECK(static_cast<double>(roots.value(4, 0)) == Approx(410).epsilon(4 * epsilon));
}

TEMPLATE_TEST_CASE("Small distances from an end at 0 count between two ends too", "[numerical_inverse]", double, float) {
  using T = TestType;
  const Elementwise<T> sigmoid(NumericalInverse<T>(Logit<T>(), Solved::inverse), 1);
  const Matrix<T> y = column<T>({-80, -30, -3, 0, 2, 12});
  const MappedRows<T> x = sigmoid.inverse(y);
  const double epsilon = static_cast<double>(std::numeric_limits<T>::epsilon());
  for (Index i = 0; i < y.rows(); ++i) {
    const double v = static_cast<double>(y(i, 0));
    INFO(v);
    CHECK(static_cast<double>(x.value(i, 0)) == Approx(1 / (1 + std::exp(-v))).epsilon(epsilon * (8 + 4 * std::abs(v))).margin(0));
  }
}

TEMPLATE_TEST_CASE("What solvers are composed of keeps the contract, at the edges too", "[numerical_inverse]", double,
                   float) {
  using T = TestType;
  const auto solved = [](Parts<T> parts, Solved direction) -> Poly<Transformer<T>> {
    return NumericalInverse<T>(ComposedTransformer<T>(std::move(parts)), direction);
  };
  for (const Solved direction : {Solved::forward, Solved::inverse})
    for (const Poly<Transformer<T>>& t : {
             solved({AffineTransformer<T>(1), SoftplusTransformer<T>()}, direction),
             solved({AffineTransformer<T>(1), TanhTransformer<T>()}, direction),
             solved({AffineTransformer<T>(1), SoftsignTransformer<T>()}, direction),
             solved({AffineTransformer<T>(1), ExpTransformer<T>()}, direction),
             solved({LogTransformer<T>(), AffineTransformer<T>(1), SoftplusTransformer<T>()}, direction),
             Poly<Transformer<T>>(ComposedTransformer<T>({AffineTransformer<T>(1), NumericalInverse<T>(ExpTransformer<T>(), direction)})),
             Poly<Transformer<T>>(ComposedTransformer<T>({AffineTransformer<T>(1), NumericalInverse<T>(TanhTransformer<T>(), direction)})),
         }) {
      Poly<Bijector<T>> map = Elementwise<T>(t, 2);
      testing::perturb<T>(*map, 7, 0.2);
      const std::vector<testing::Failure> failures = testing::check_bijector<T>(map, {.large = 5});  // beyond, tanh is 1
      INFO((direction == Solved::forward ? "forward\n" : "inverse\n") << to_text(*map) << testing::report(failures));
      CHECK(failures.empty());
    }
}

TEST_CASE("Gradients of solved compositions agree with differences", "[numerical_inverse]") {
  Elementwise<double> map(NumericalInverse<double>(ComposedTransformer<double>(
                              {AffineTransformer<double>(2), SoftplusTransformer<double>(), LogTransformer<double>()})),
                          2);
  map.raw() = Tensor<double>::of({0.3, -1, 0.5, -0.7});
  const auto f = [&](Pass<double>& pass, Var<double> x) {
    const Mapped<double> y = map.forward(pass, x);
    return testing::random_projection(pass, y.value, 5) + testing::random_projection(pass, y.log_det, 6);
  };
  const Matrix<double> x = Matrix<double>::Random(17, 2) * 20;
  const std::vector<testing::NamedTensor> tensors{{"raw", &map.raw()}};
  const std::vector<testing::Failure> failures = testing::check_gradient(f, x, {}, tensors, {.tolerance = 1e-6});
  INFO(testing::report(failures));
  CHECK(failures.empty());
}

TEST_CASE("A solver around a solver costs what the inner one costs", "[numerical_inverse]") {
  // Were each to search through the one before, 72^20 evaluations.
  Poly<Transformer<double>> nested = NumericalInverse<double>(ExpTransformer<double>());
  const Elementwise<double> once(nested, 1);
  for (int depth = 0; depth < 20; ++depth)
    nested = NumericalInverse<double>(nested, depth % 2 == 0 ? Solved::inverse : Solved::forward);
  CHECK(nested->searches(true) == 1);
  CHECK(nested->searches(false) == 0);
  const Elementwise<double> deep(nested, 1);
  const Matrix<double> y = column<double>({-3, 0.5, 40});
  CHECK(deep.forward(y).value == once.forward(y).value);
  CHECK(deep.forward(y).log_det == once.forward(y).log_det);
  const Matrix<double> x = y.array().exp().matrix();
  CHECK(deep.inverse(x).value == once.inverse(x).value);
  const TransformedDistribution<double> d(Normal<double>(1), deep);
  CHECK(load<double>(serialize(d), "memory").distribution->log_prob(x) == d.log_prob(x));
}

TEST_CASE("Searches inside one another by other ways are two at most", "[numerical_inverse]") {
  using Inverse = NumericalInverse<double>;
  using Inverted = InvertedTransformer<double>;
  const auto around = [](const Poly<Transformer<double>>& t, Solved direction) {
    return Inverse(ComposedTransformer<double>({t, AffineTransformer<double>(1)}), direction);
  };
  const Poly<Transformer<double>> one = Inverse(TanhTransformer<double>(), Solved::inverse);
  const Poly<Transformer<double>> line = ComposedTransformer<double>({one, Inverted(TanhTransformer<double>())});
  const Poly<Transformer<double>> two = around(line, Solved::forward);
  CHECK(line->searches(false) == 1);
  CHECK(two->searches(true) == 2);
  CHECK(two->searches(false) == 1);
  CHECK_THROWS_WITH(around(Inverted(two), Solved::forward),
                    ContainsSubstring("ComposedTransformer is solved for already, and 3 searches inside one another"));
  CHECK_THROWS_AS(around(two, Solved::inverse), DomainError);
  // Two may, and three are found in a description too.
  const Elementwise<double> map(around(line, Solved::inverse), 1);
  CHECK(std::isfinite(map.inverse(column<double>({0.3})).value(0, 0)));
  Description d = map.describe();
  REQUIRE_NOTHROW(Registry::standard().bijector<double>(d));
  d.children[0].description.children[0].description.children[0].description = two->describe();
  CHECK_THROWS_WITH(Registry::standard().bijector<double>(d), ContainsSubstring("3 searches inside one another"));
}

// No clock decides: the square of this number of parts would be an hour, which is what ctest's limit is for.
TEST_CASE("Many parts take time in proportion to their number", "[numerical_inverse]") {
  constexpr std::size_t count = 100'000;
  const auto check = [](const Poly<Bijector<float>>& map) {
    const TransformedDistribution<float> d(Normal<float>(1), map);
    const auto loaded = load<float>(serialize(d), "memory");
    const Matrix<float> y = column<float>({0.5});
    CHECK(loaded.distribution->log_prob(y) == d.log_prob(y));
    CHECK_FALSE(to_text<float>(*loaded.distribution).empty());
  };
  check(Elementwise<float>(ComposedTransformer<float>(Parts<float>(count, AdditiveTransformer<float>())), 1));
  check(Chain<float>(std::vector<Poly<Bijector<float>>>(count, Shift<float>(1))));
}
