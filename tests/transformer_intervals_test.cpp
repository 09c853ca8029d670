// Scalar maps from one interval to another, and the maps that are made of them.

#include <cmath>
#include <limits>
#include <numbers>
#include <pushforward/bijectors/affine_transformer.hpp>
#include <pushforward/bijectors/chain.hpp>
#include <pushforward/bijectors/composed_transformer.hpp>
#include <pushforward/bijectors/coupling.hpp>
#include <pushforward/bijectors/elementwise.hpp>
#include <pushforward/bijectors/log.hpp>
#include <pushforward/bijectors/masked_autoregressive.hpp>
#include <pushforward/bijectors/numerical_inverse.hpp>
#include <pushforward/bijectors/rational_quadratic_transformer.hpp>
#include <pushforward/bijectors/softplus.hpp>
#include <pushforward/bijectors/softsign.hpp>
#include <pushforward/bijectors/tanh.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>

#include "tests/catch.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// y = -log(2 - x), from below 2, with no inverse of its own.
class Below final : public Transformer<double> {
 public:
  Below() : Transformer<double>("Below", 0) {}

 private:
  using Params = std::span<const Var<double>>;
  Elements do_forward(Pass<double>& pass, Var<double> x, Params) const override {
    const Var<double> y = -log(2.0 - pass.restrict_to(x, do_domain()));
    return {y, y};
  }
  Elements do_inverse(Pass<double>&, Var<double>, Params) const override { throw NotImplemented("Below::inverse"); }
  Interval do_domain() const override { return {-infinity, 2}; }
  Interval do_codomain() const override { return real_line; }
  double do_log_scale_bound() const override { return infinity; }
  void do_fields(Fields<double>& f) override { f.type("below"); }
};

template <Scalar T>
void same_rows(const MappedRows<T>& a, const MappedRows<T>& b) {
  CHECK(a.value == b.value);
  CHECK(a.log_det == b.log_det);
}

template <Scalar T>
void serves_both_ways(const Bijector<T>& bijector, Poly<Transformer<T>> transformer) {
  const Elementwise<T> elementwise(std::move(transformer), 3);
  CHECK(elementwise.domain() == bijector.domain());
  CHECK(elementwise.codomain() == bijector.codomain());
  CHECK(list_state<T>(static_cast<const Component<T>&>(elementwise)).empty());
  // Within (0, 1), which all of them take both ways.
  const Matrix<T> x = (Matrix<T>::Random(40, 3).array() * T(0.49) + T(0.5)).matrix();
  same_rows(elementwise.forward(x), bijector.forward(x));
  same_rows(elementwise.inverse(x), bijector.inverse(x));
}

}  // namespace

TEMPLATE_TEST_CASE("A fixed map is the same as bijector and as transformer", "[scalar]", double, float) {
  using T = TestType;
  serves_both_ways<T>(Exp<T>(3), ExpTransformer<T>());
  serves_both_ways<T>(Log<T>(3), LogTransformer<T>());
  serves_both_ways<T>(Softplus<T>(3), SoftplusTransformer<T>());
  serves_both_ways<T>(Tanh<T>(3), TanhTransformer<T>());
  serves_both_ways<T>(Softsign<T>(3), SoftsignTransformer<T>());
}

TEST_CASE("Intervals of transformers go through compositions, inverses and solvers", "[scalar]") {
  const ComposedTransformer<double> onto({AffineTransformer<double>(), SoftplusTransformer<double>()});
  CHECK(onto.domain() == real_line);
  CHECK(onto.codomain() == positive);
  CHECK(onto.multiplier() == 2);
  const InvertedTransformer<double> back(onto);
  CHECK(back.domain() == positive);
  CHECK(back.codomain() == real_line);
  const ComposedTransformer<double> between({back, TanhTransformer<double>()});
  CHECK(between.domain() == positive);
  CHECK(between.codomain() == Interval{-1, 1});
  const NumericalInverse<double> solved(between);
  CHECK(solved.domain() == positive);
  CHECK(solved.codomain() == Interval{-1, 1});
  const RationalQuadraticTransformer<double> spline({.low = -1, .high = 1, .tails = SplineTails::bounded});
  CHECK(ComposedTransformer<double>({between, spline}).codomain() == Interval{-1, 1});
}

TEST_CASE("Transformers that do not fit each other are named with their intervals", "[scalar]") {
  using Composed = ComposedTransformer<double>;
  CHECK_THROWS_WITH(Composed({SoftplusTransformer<double>(), AffineTransformer<double>()}),
                    ContainsSubstring("SoftplusTransformer leads to (0, inf) but AffineTransformer starts from real"));
  CHECK_THROWS_WITH(Composed({AffineTransformer<double>(), InvertedTransformer<double>(TanhTransformer<double>())}),
                    ContainsSubstring("AffineTransformer leads to real but InvertedTransformer starts from (-1, 1)"));
  CHECK_THROWS_AS(Composed({ExpTransformer<double>(), ExpTransformer<double>()}), DomainError);
}

TEST_CASE("Spaces of couplings and autoregressive maps follow from their transformer", "[scalar]") {
  const MlpOptions net{.hidden = {4}, .seed = 2};
  const Poly<Transformer<double>> onto =
      ComposedTransformer<double>({AffineTransformer<double>(), SoftplusTransformer<double>()});
  const Coupling<double> coupling({1, 0, 1}, onto, net);
  CHECK(coupling.domain() == Space::real(3));
  CHECK(coupling.codomain() == Space::real(1) * Space::box(1, positive) * Space::real(1));
  const Coupling<double> back({0, 1}, InvertedTransformer<double>(onto), net);
  CHECK(back.domain() == Space::box(1, positive) * Space::real(1));
  CHECK(back.codomain() == Space::real(2));
  const MaskedAutoregressive<double> maf(2, onto, {.hidden = 6, .seed = 3}, {1, 0});
  CHECK(maf.domain() == Space::real(2));
  CHECK(maf.codomain() == Space::box(2, positive));
  // What follows may rely on it, and what does not fit is refused.
  CHECK(Chain<double>(maf, Log<double>(2), Tanh<double>(2)).codomain() == Space::box(2, {-1, 1}));
  const TransformedDistribution<double> d(Normal<double>(2), maf);
  CHECK(d.support() == Space::box(2, positive));
  CHECK_THROWS_WITH(TransformedDistribution<double>(Normal<double>(2), back), ContainsSubstring("Coupling"));
  const Matrix<double> outside = Matrix<double>::Constant(1, 2, -0.5);
  CHECK_THROWS_WITH(back.forward(outside), ContainsSubstring("row 0 lies outside the domain"));
  CHECK(d.log_prob(outside)[0] == -infinity);
}

TEST_CASE("Normal numbers through exp are log-normal", "[scalar]") {
  Elementwise<double> map(ComposedTransformer<double>({AffineTransformer<double>(), ExpTransformer<double>()}), 2);
  map.raw() = Tensor<double>::of({0.3, -1, 0.5, -0.7});
  const TransformedDistribution<double> d(Normal<double>(2), map);
  CHECK(d.support() == Space::box(2, positive));
  Matrix<double> y(3, 2);
  y << 1e-3, 2, 40, 0.5, 1, 1;
  const Eigen::VectorXd log_prob = d.log_prob(y);
  for (Index i = 0; i < y.rows(); ++i) {
    double expected = 0;
    for (Index c = 0; c < 2; ++c) {
      const double mu = map.raw()[c], s = 5 * std::tanh(map.raw()[2 + c] / 5);
      const double u = (std::log(y(i, c)) - mu) / std::exp(s);
      expected += -0.5 * u * u - 0.5 * std::log(2 * std::numbers::pi) - s - std::log(y(i, c));
    }
    CHECK(log_prob[i] == Approx(expected).epsilon(1e-14));
  }
  y(1, 0) = -1;
  CHECK(d.log_prob(y)[1] == -infinity);
  CHECK(std::isfinite(d.log_prob(y)[0]));
  CHECK_THROWS_WITH(map.inverse(y), ContainsSubstring("row 1 lies outside the codomain"));
}

TEST_CASE("A solver finds roots of all magnitudes on a half-line", "[scalar]") {
  // Of log: exp, of which only log is asked; and of log with the line turned round.
  const Elementwise<double> solved(NumericalInverse<double>(LogTransformer<double>(), Solved::inverse), 1);
  CHECK(solved.domain() == Space::box(1, positive));
  CHECK(solved.codomain() == Space::real(1));
  Matrix<double> y(7, 1);
  y << -700, -100, -1, 0, 1e-12, 3, 709;
  const MappedRows<double> x = solved.inverse(y);
  for (Index i = 0; i < y.rows(); ++i) {
    INFO(y(i, 0));
    CHECK(x.value(i, 0) == Approx(std::exp(y(i, 0))).epsilon(1e-13).margin(0));
    CHECK(x.log_det[i] == Approx(y(i, 0)).epsilon(1e-13).margin(1e-15));
  }
  // Beyond the numbers of double: an error.
  CHECK_THROWS_AS(solved.inverse(Matrix<double>(Matrix<double>::Constant(1, 1, 710))), DomainError);
  const Elementwise<double> below(NumericalInverse<double>(Below(), Solved::inverse), 1);
  Matrix<double> w(4, 1);
  w << -100, -1, 0.5, 20;
  const MappedRows<double> under = below.inverse(w);
  for (Index i = 0; i < w.rows(); ++i) {
    CHECK(under.value(i, 0) == Approx(2 - std::exp(-w(i, 0))).epsilon(1e-13));
    CHECK(under.log_det[i] == Approx(-w(i, 0)).epsilon(1e-7));  // 2 - x has few digits next to 2
  }
  // The last number before the end of an interval stands for all y beyond its own: an error, not its density.
  const Elementwise<double> steep(
      NumericalInverse<double>(InvertedTransformer<double>(TanhTransformer<double>()), Solved::inverse), 1);
  const MappedRows<double> ten = steep.inverse(Matrix<double>(Matrix<double>::Constant(1, 1, 10)));
  CHECK(ten.value(0, 0) == Approx(std::tanh(10.0)).epsilon(1e-15));
  CHECK(ten.log_det[0] == Approx(-2 * std::log(std::cosh(10.0))).epsilon(1e-6));
  CHECK_THROWS_WITH(steep.inverse(Matrix<double>(Matrix<double>::Constant(1, 1, 30))),
                    ContainsSubstring("row 0 lies outside the codomain"));
  // tanh is not asked forward, but atanh for each value of (-1, 1).
  const Elementwise<double> tanh(NumericalInverse<double>(TanhTransformer<double>()), 1);
  Matrix<double> z(4, 1);
  z << -4, -1e-3, 0.2, 2;
  for (Index i = 0; i < z.rows(); ++i)
    CHECK(tanh.forward(z).value(i, 0) == Approx(std::tanh(z(i, 0))).epsilon(1e-13));
}
