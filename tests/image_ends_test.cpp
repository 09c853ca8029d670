// Where spaces end under maps: of supports that are not known, and under maps that draw.

#include <cmath>
#include <limits>
#include <pushforward/bijectors/chain.hpp>
#include <pushforward/bijectors/exp.hpp>
#include <pushforward/bijectors/invert.hpp>
#include <pushforward/bijectors/log.hpp>
#include <pushforward/bijectors/scale.hpp>
#include <pushforward/bijectors/shift.hpp>
#include <pushforward/bijectors/sigmoid.hpp>
#include <pushforward/distributions/mixture.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <pushforward/distributions/uniform.hpp>
#include <pushforward/training/fit.hpp>

#include "tests/catch.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

/// On (0, 1) and (2, 3).
template <Scalar T>
Mixture<T> gap() {
  return Mixture<T>(std::vector<Poly<Distribution<T>>>{Uniform<T>({0}, {1}), Uniform<T>({2}, {3})});
}

/// Its quantiles of 0 and 1, by both calls.
template <Scalar T>
void check_ends(const Distribution<T>& d, double low, double high) {
  INFO(d.support().to_text());
  CHECK_FALSE(d.support().is_known());
  Matrix<double> p(3, 1);
  p << 0, 1, 0.5;
  const Matrix<double> q = d.quantile(p), complement = d.quantile_complement(p);
  const double epsilon = 4 * static_cast<double>(std::numeric_limits<T>::epsilon());
  CHECK(q(0, 0) == Approx(low).epsilon(epsilon));
  CHECK(q(1, 0) == Approx(high).epsilon(epsilon));
  CHECK(complement(0, 0) == q(1, 0));
  CHECK(complement(1, 0) == q(0, 0));
  CHECK((q(2, 0) > low && q(2, 0) < high));
}

/// y = exp(a) x + s u with normal u, which is drawn.
class Noisy final : public ElementwiseBijector<double> {
 public:
  explicit Noisy(Index dim) : ElementwiseBijector<double>("Noisy", dim), a_({dim}) {}

 private:
  Elements do_forward_elements(Pass<double>& pass, Var<double> x) const override {
    const Var<double> a = pass.parameter(a_);
    return {x * exp(a) + 0.1 * pass.normal(this->dim()), a};
  }
  Elements do_inverse_elements(Pass<double>& pass, Var<double> y) const override {
    const Var<double> a = pass.parameter(a_);
    return {(y - 0.1 * pass.normal(this->dim())) * exp(-a), -a};
  }
  Estimate do_estimates() const override { return Estimate::density; }
  void do_fields(Fields<double>& f) override {
    f.type("noisy");
    this->dim_field(f);
    f.parameter("a", a_, {this->dim()});
  }

  Tensor<double> a_;
};

}  // namespace

TEMPLATE_TEST_CASE("The quantiles of 0 and 1 over a support with gaps are the images of the base's", "[image_ends]",
                   double, float) {
  using T = TestType;
  using Transformed = TransformedDistribution<T>;
  const double e3 = std::exp(3.0);
  check_ends<T>(Transformed(gap<T>(), Exp<T>(1)), 1, e3);
  check_ends<T>(Transformed(gap<T>(), Scale<T>({2})), 0, 6);
  // Maps that decrease, and turn twice.
  check_ends<T>(Transformed(gap<T>(), Scale<T>({-2})), -6, 0);
  check_ends<T>(Transformed(gap<T>(), Chain<T>(Scale<T>({-1}), Exp<T>(1))), 1 / e3, 1);
  check_ends<T>(Transformed(gap<T>(), Chain<T>(Scale<T>({-1}), Exp<T>(1), Scale<T>({-2}))), -2, -2 / e3);
  // An end where the map has its own: the limit.
  check_ends<T>(Transformed(gap<T>(), Log<T>(1)), -inf, std::log(3.0));
  check_ends<T>(Transformed(gap<T>(), Chain<T>(Log<T>(1), Scale<T>({-1}))), -std::log(3.0), inf);
  // An end that is infinite.
  const Mixture<T> line(std::vector<Poly<Distribution<T>>>{
      Uniform<T>({0}, {1}), Transformed(Normal<T>(1), Chain<T>(Exp<T>(1), Shift<T>({2})))});
  check_ends<T>(Transformed(line, Exp<T>(1)), 1, inf);
  check_ends<T>(Transformed(line, Chain<T>(Scale<T>({-1}), Exp<T>(1))), 0, 1);
  check_ends<T>(Transformed(line, Sigmoid<T>(1)), 0.5, 1);
  // One around another.
  check_ends<T>(Transformed(Transformed(gap<T>(), Exp<T>(1)), Shift<T>({1})), 2, e3 + 1);
  const Invert<T> falling(Chain<T>(Log<T>(1), Scale<T>({-1})));
  check_ends<T>(Transformed(Transformed(gap<T>(), Scale<T>({-1})), falling), 1, e3);
}

TEST_CASE("Each column of a support with gaps has its own ends", "[image_ends]") {
  const Mixture<double> two(std::vector<Poly<Distribution<double>>>{Uniform<double>({0, 5}, {1, 6}),
                                                                    Uniform<double>({2, 8}, {3, 9})});
  const TransformedDistribution<double> d(two, Scale<double>({2, -1}));
  Matrix<double> p(2, 2);
  p << 0, 0, 1, 1;
  Matrix<double> expected(2, 2);
  expected << 0, -9, 6, -5;
  CHECK(d.quantile(p) == expected);
  CHECK(d.quantile_complement(p) == Matrix<double>(expected.colwise().reverse()));
}

TEST_CASE("Ends that rounding swallows are not known, other quantiles are", "[image_ends]") {
  const TransformedDistribution<double> d(gap<double>(), Shift<double>({1e20}));
  Matrix<double> p(1, 1);
  for (const double end : {0.0, 1.0}) {
    p << end;
    CHECK_THROWS_AS(d.quantile(p), NotImplemented);
    CHECK_THROWS_WITH(d.quantile_complement(p),
                      ContainsSubstring("where Shift takes the ends of Mixture is not known"));
  }
  p << 0.5;
  CHECK(d.quantile(p)(0, 0) == 1e20);
}

TEST_CASE("Where a map that draws takes an interval is not known", "[image_ends]") {
  // The whole line goes to the whole line.
  CHECK(Noisy(2).codomain() == Space::real(2));
  CHECK(TransformedDistribution<double>(Normal<double>(2), Noisy(2)).support() == Space::real(2));
  const Chain<double> chain(Exp<double>(2), Noisy(2));
  CHECK(chain.codomain() == Space::unknown(2));
  CHECK(Noisy(2).image(Space::box(2, unit_interval)) == Space::unknown(2));
  CHECK(Noisy(2).preimage(Space::box(2, unit_interval)) == Space::unknown(2));
  CHECK(Invert<double>(Noisy(2)).image(Space::box(2, unit_interval)) == Space::unknown(2));
  const Chain<double> between(Exp<double>(2), Noisy(2), Sigmoid<double>(2));
  CHECK(between.codomain() == Space::unknown({unit_interval, unit_interval}));
  CHECK(TransformedDistribution<double>(Uniform<double>({0, 0}, {1, 1}), Noisy(2)).support() == Space::unknown(2));
}

TEST_CASE("A density over a bounded base and a map that draws trains", "[image_ends]") {
  Engine engine(3);
  const TransformedDistribution<double> truth(Normal<double>(1), Chain<double>(Exp<double>(1), Scale<double>({3})));
  const Matrix<double> y = truth.sample(400, engine).array() + 2;
  TransformedDistribution<double> d(Normal<double>(1), Chain<double>(Exp<double>(1), Shift<double>({1}), Noisy(1)));
  Engine before(5), after(5);
  const double start = d.log_prob(y, before, 200).value.mean();
  const FitReport report = fit(d, y, {.epochs = 20, .learning_rate = 0.02});
  CHECK(std::isfinite(report.train.mean));
  CHECK(d.log_prob(y, after, 200).value.mean() > start + 0.1);
}
