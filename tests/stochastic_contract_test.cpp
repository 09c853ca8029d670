// The contract of densities that draw: what holds passes, and each wrong class is found by the check that is for it.

#include <atomic>
#include <boost/math/distributions/normal.hpp>
#include <cmath>
#include <pushforward/bijectors/affine.hpp>
#include <pushforward/bijectors/chain.hpp>
#include <pushforward/bijectors/sigmoid.hpp>
#include <pushforward/distributions/mixture.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <pushforward/testing/bijector_contract.hpp>
#include <pushforward/testing/stochastic_contract.hpp>
#include <string>
#include <vector>

#include "tests/catch.hpp"

using namespace pushforward;
using namespace pushforward::testing;

namespace {

enum Wrong : Index { none, silent, biased, still, counted, detached, unused, moved, heavy, unnamed, shifted };

std::atomic<int> calls{0};  // of the wrong class that counts them

/// y = s exp(a) x, whose log|det| is estimated by random directions: sum_d a_d v_d^2 + dim log s.
template <Scalar T>
class Hutchinson final : public Bijector<T> {
 public:
  explicit Hutchinson(Index dim, Wrong wrong = none, double s = 1.5)
      : Bijector<T>("Hutchinson", dim), wrong_(wrong), s_(s), a_({dim}), spare_({dim}) {}

 private:
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override {
    const Var<T> a = pass.parameter(a_);
    return {noisy(pass, x) * exp(a) * static_cast<T>(s_), trace(pass, a)};
  }
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override {
    const Var<T> a = pass.parameter(a_);
    return {noisy(pass, y) * exp(-a) * static_cast<T>(1 / s_), -trace(pass, a)};
  }
  Var<T> noisy(Pass<T>& pass, Var<T> x) const {
    return wrong_ == moved ? x + pass.normal(this->dim()) * T(0.01) : x;
  }
  Column<T> trace(Pass<T>& pass, Var<T> a) const {
    const Column<T> scale = constant_column(pass.tape(), static_cast<double>(this->dim()) * std::log(s_));
    if (wrong_ == still) return row_sum(a) + scale;
    const Var<T> v = pass.normal(this->dim());
    const Var<T> slopes = wrong_ == detached ? a * T(2) - detach(a) : wrong_ == biased ? a * T(2) : a;
    Column<T> sum = row_sum(v * v * slopes) + scale;
    if (wrong_ == heavy) sum = sum + row_sum(exp(pass.normal(1) * T(4)));
    if (wrong_ == counted) sum = sum + constant_column(pass.tape(), 1e-3 * (++calls % 7));
    return sum;
  }
  Estimate do_estimates() const override { return wrong_ == silent ? Estimate::exact : Estimate::log_density; }
  void do_fields(Fields<T>& f) override {
    f.type("hutchinson");
    this->dim_field(f);
    f.constant("wrong", wrong_, 0, 20);
    if (wrong_ != unnamed) f.constant("s", s_);
    f.parameter("a", a_, {this->dim()});
    if (wrong_ == unused) f.parameter("spare", spare_, {this->dim()});
  }

  Index wrong_;
  double s_;
  Tensor<T> a_, spare_;
};

/// y = x + s u + b c with normal u, which is drawn, and the context c: the density of y is the mean of that of
/// x = y - s u - b c.
template <Scalar T>
class Blur final : public Bijector<T> {
 public:
  Blur(Index dim, Index context_dim, Wrong wrong = none)
      : Bijector<T>("Blur", dim, context_dim), wrong_(wrong), context_(context_dim), s_({dim}), b_({dim, 1}) {
    std::fill(s_.values().begin(), s_.values().end(), T(0.5));
    std::fill(b_.values().begin(), b_.values().end(), T(0.25));
  }
  explicit Blur(Blank) : Bijector<T>("Blur") {}

 private:
  Var<T> move(Pass<T>& pass) const {
    const Var<T> u = pass.parameter(s_) * pass.normal(this->dim());
    return context_ == 0 ? u : u + linear(pass.context(), pass.parameter(b_), Var<T>());
  }
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override { return {x + move(pass), {}}; }
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override {
    return {y - move(pass), constant_column(pass.tape(), wrong_ == shifted ? 0.25 : 0.0)};
  }
  Estimate do_estimates() const override { return wrong_ == moved ? Estimate::log_density : Estimate::density; }
  void do_fields(Fields<T>& f) override {
    f.type("blur");
    Index dim = this->dim();
    f.constant("dim", dim, 1, 100);
    f.constant("context", context_, 0, 1);
    f.constant("wrong", wrong_, 0, 20);
    f.parameter("s", s_, {dim});
    if (context_ > 0) f.parameter("b", b_, {dim, 1});
    if (f.restoring()) this->set_shape(dim, {dim}, context_);
  }

  Index wrong_ = none, context_ = 0;
  Tensor<T> s_, b_;
};

StochasticContract contract() {
  StochasticContract c;
  c.registry.add<Hutchinson>("hutchinson");
  c.registry.add<Blur>("blur");
  return c;
}

template <template <class> class B, Scalar T>
Poly<Bijector<T>> perturbed(B<T> map) {
  perturb(map, 3);
  return map;
}

/// Some failure is of this check and has this text.
void check_found(const std::vector<Failure>& failures, const std::string& check, const std::string& text) {
  bool found = false;
  for (const Failure& f : failures)
    found = found || (f.check.find(check) != std::string::npos && f.detail.find(text) != std::string::npos);
  INFO(check << ": " << text << "\nfound were\n" << report(failures));
  CHECK(found);
}

}  // namespace

TEMPLATE_TEST_CASE("stochastic classes that keep their promises", "[stochastic]", float, double) {
  using T = TestType;
  StochasticContract c = contract();
  c.tensors = {"a"};
  CHECK(report(check_stochastic_bijector<T>(perturbed(Hutchinson<T>(3)), c)) == "");
  c.tensors = {"s"};
  CHECK(report(check_stochastic_bijector<T>(perturbed(Blur<T>(2, 0)), c)) == "");
  c.tensors = {"s", "b"};
  CHECK(report(check_stochastic_bijector<T>(perturbed(Blur<T>(2, 1)), c)) == "");
  c.tensors.clear();
  CHECK(report(check_stochastic_bijector<T>(perturbed(Chain<T>(Affine<T>(2), Hutchinson<T>(2), Sigmoid<T>(2))), c)) == "");
  const TransformedDistribution<T> d(Normal<T>(2), perturbed(Blur<T>(2, 0)));
  CHECK(report(check_stochastic_distribution<T>(
            Mixture<T>(std::vector<Poly<Distribution<T>>>{d, Normal<T>(2)}), c)) == "");
}

TEST_CASE("a truth from elsewhere is held against the draws", "[stochastic]") {
  StochasticContract c = contract();
  c.log_prob = [](VectorView<const double> y, VectorView<const double> context) {
    double sum = 0;
    const boost::math::normal wide(0, std::sqrt(1.25));
    for (Index i = 0; i < y.size(); ++i) sum += std::log(boost::math::pdf(wide, y[i] - 0.25 * context[0]));
    return sum;
  };
  const auto flow = [](Wrong wrong) {
    return TransformedDistribution<double>(Normal<double>(2), Blur<double>(2, 1, wrong));
  };
  CHECK(report(check_stochastic_distribution<double>(flow(none), c)) == "");
  check_found(check_stochastic_distribution<double>(flow(shifted), c), "standard error", "mean of all draws");
}

TEST_CASE("each wrong class is found", "[stochastic]") {
  const StochasticContract c = contract();
  const auto found = [&](Wrong wrong, double s = 1.5) {
    return check_stochastic_bijector<double>(perturbed(Hutchinson<double>(3, wrong, s)), c);
  };
  check_found(found(silent), "what draws mean", "do_estimates");
  check_found(found(biased), "log_det", "numerical Jacobian");
  check_found(found(biased), "samples and density", "integral of the density");
  check_found(found(still), "no engine", "nothing was thrown");
  check_found(found(still), "random numbers", "nothing is drawn");
  check_found(found(counted), "random numbers", "the same engine gives other bits");
  check_found(found(counted), "random numbers", "the same engine again: other bits");
  check_found(found(detached), "gradient", "");
  check_found(found(unused), "gradients", "'bijector.spare' is listed but has no influence");
  check_found(found(moved), "log_det", "values depend on the draws");
  check_found(found(heavy), "standard error", "");
  check_found(found(unnamed, 2.5), "rebuilt", "other bits");
  check_found(found(unnamed, 2.5), "files", "");
  const auto blurred = [&](Wrong wrong) {
    return check_stochastic_bijector<double>(perturbed(Blur<double>(2, 0, wrong)), c);
  };
  check_found(blurred(shifted), "samples and density", "integral of the density");
  check_found(blurred(moved), "log_det", "Estimate::density");
  // The contracts of each other's classes.
  check_found(check_stochastic_distribution<double>(Normal<double>(2), c), "what draws mean", "check_distribution");
}

TEST_CASE("both directions of a map take an engine", "[stochastic]") {
  const Poly<Bijector<double>> map = perturbed(Hutchinson<double>(2));
  Engine engine(4), start(4);
  const Matrix<double> x = Normal<double>(2).sample(1000, engine);
  start = engine;
  const MappedRows<double> y = map->forward(x, engine);
  CHECK(engine.call() == start.call() + 1);
  Engine again = start;
  Execution execution({.threads = 3});
  const MappedRows<double> threads = map->forward(x, again, {}, execution);
  CHECK(threads.value == y.value);
  CHECK(threads.log_det == y.log_det);
  again = start;
  CHECK(map->forward(x.topRows(10), again).log_det == y.log_det.head(10));
  // The values are the map's, log_det is one draw around its sum.
  CHECK((map->inverse(y.value, engine).value - x).cwiseAbs().maxCoeff() < 1e-12);
  const Eigen::VectorXd back = map->inverse(y.value, engine).log_det;
  CHECK((y.log_det + back).cwiseAbs().minCoeff() > 0);
  const double expected = std::log((y.value.row(0).array() / x.row(0).array()).prod());
  CHECK(y.log_det.mean() == Approx(expected).margin(0.2));
  CHECK(back.mean() == Approx(-expected).margin(0.2));
  CHECK_THROWS_AS(map->forward(Matrix<double>(2, 3), engine), ShapeError);
  CHECK_THROWS_WITH(map->forward(x), Catch::Matchers::ContainsSubstring("forward(x, engine)"));
}

TEST_CASE("divergences from and to stochastic densities", "[stochastic]") {
  // N(0, 1) against N(0, 1.5^2 exp(2 a)), whose log density is drawn, in each of two columns.
  Hutchinson<double> map(2);
  perturb(map, 5, 0.2);
  const Tensor<double> a = *list_state<double>(std::as_const(static_cast<Component<double>&>(map)))[0].tensor;
  const TransformedDistribution<double> drawn(Normal<double>(2), map);
  const Normal<double> exact(2);
  double to = 0, from = 0;
  for (Index c = 0; c < 2; ++c) {
    const double s = 1.5 * std::exp(a[c]);
    to += std::log(s) + 0.5 / (s * s) - 0.5;
    from += -std::log(s) + 0.5 * s * s - 0.5;
  }
  Engine engine(2);
  const KlDivergence of_exact = kl_divergence<double>(exact, drawn, engine, 50000);
  CHECK_FALSE(of_exact.exact);
  CHECK(std::abs(of_exact.value - to) < 4 * of_exact.standard_error);
  const KlDivergence of_drawn = kl_divergence<double>(drawn, exact, engine, 50000);
  CHECK(std::abs(of_drawn.value - from) < 4 * of_drawn.standard_error);
  CHECK(of_exact.standard_error < 0.01);
  CHECK(of_drawn.standard_error < 0.02);
  // The mean of logarithms of drawn densities is no divergence.
  const TransformedDistribution<double> blurred(Normal<double>(2), Blur<double>(2, 0));
  CHECK_THROWS_AS(kl_divergence<double>(exact, blurred, engine, 100), NotImplemented);
  CHECK_THROWS_AS(kl_divergence<double>(blurred, exact, engine, 100), NotImplemented);
}

TEST_CASE("counts of which nothing can be said are refused by name", "[stochastic]") {
  const Poly<Bijector<double>> map = Hutchinson<double>(2);
  const Poly<Distribution<double>> distribution = TransformedDistribution<double>(Normal<double>(2), map);
  const auto refused = [&](const StochasticContract& contract, const std::string& text) {
    INFO(text);
    CHECK_THROWS_MATCHES(check_stochastic_distribution(distribution, contract), DomainError,
                         Catch::Matchers::Message("check_stochastic_distribution: StochasticContract::" + text));
    CHECK_THROWS_MATCHES(check_stochastic_bijector(map, contract), DomainError,
                         Catch::Matchers::Message("check_stochastic_bijector: StochasticContract::" + text));
  };
  refused({.rows = 0}, "rows must be at least 1, got 0");
  refused({.draws = 0}, "draws must be at least 2, got 0");
  refused({.repeats = 0}, "repeats must be at least 2, got 0");
  refused({.samples = 0}, "samples must be at least 5, got 0");
  refused({.draws = -7}, "draws must be at least 2, got -7");
  // The fewest end, with whatever they find.
  CHECK_NOTHROW(check_stochastic_distribution(distribution, {.rows = 1, .draws = 2, .repeats = 2, .samples = 5}));
  CHECK_NOTHROW(check_stochastic_bijector(map, {.rows = 1, .draws = 2, .repeats = 2, .samples = 5}));
}
