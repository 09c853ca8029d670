// Where spaces end under maps that draw.

#include <cmath>
#include <pushforward/bijectors/chain.hpp>
#include <pushforward/bijectors/exp.hpp>
#include <pushforward/bijectors/invert.hpp>
#include <pushforward/bijectors/scale.hpp>
#include <pushforward/bijectors/shift.hpp>
#include <pushforward/bijectors/sigmoid.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <pushforward/distributions/uniform.hpp>
#include <pushforward/training/fit.hpp>

#include "tests/catch.hpp"

using namespace pushforward;

namespace {

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
