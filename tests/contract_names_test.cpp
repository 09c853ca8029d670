// The contracts see a tensor that do_fields does not name, also where it has the value that its constructor gives it:
// then copies, files and rebuilt objects all agree, but nothing trains it, and nothing would save it if something did.

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <pushforward/bijectors/affine_transformer.hpp>
#include <pushforward/bijectors/coupling.hpp>
#include <pushforward/bijectors/elementwise.hpp>
#include <pushforward/testing/bijector_contract.hpp>
#include <pushforward/testing/distribution_contract.hpp>
#include <pushforward/testing/stochastic_contract.hpp>
#include <string>
#include <vector>

#include "tests/catch.hpp"

using namespace pushforward;
using namespace pushforward::testing;

namespace {

enum Forgotten : Index { nothing, shift, counter, samples_alone };

/// y = x exp(a) + b; counts the batches that it sees.
template <Scalar T>
class Map final : public ElementwiseBijector<T> {
 public:
  explicit Map(Index dim, Index forgotten = nothing)
      : ElementwiseBijector<T>("Map", dim), forgotten_(forgotten), a_({dim}), b_({dim}), count_({1}) {}

 private:
  using Elements = typename ElementwiseBijector<T>::Elements;
  Elements do_forward_elements(Pass<T>& pass, Var<T> x) const override {
    count(pass);
    const Var<T> a = pass.parameter(a_);
    return {x * exp(a) + pass.parameter(b_), x * T(0) + a};
  }
  Elements do_inverse_elements(Pass<T>& pass, Var<T> y) const override {
    count(pass);
    const Var<T> a = pass.parameter(a_);
    return {(y - pass.parameter(b_)) * exp(-a), y * T(0) - a};
  }
  void count(Pass<T>& pass) const {
    const double next = static_cast<double>(count_[0]) + 1;
    if (pass.statistics() == Statistics::minibatch) pass.propose(count_, {&next, 1});
  }
  void do_fields(Fields<T>& f) override {
    f.type("map");
    this->dim_field(f);
    f.constant("forgotten", forgotten_, 0, 10);
    f.parameter("a", a_, {this->dim()});
    if (forgotten_ != shift) f.parameter("b", b_, {this->dim()});
    if (forgotten_ != counter) f.state("count", count_, {1});
  }

  Index forgotten_;
  Tensor<T> a_, b_, count_;
};

/// Normal with deviation 1 about a mean that starts at 3.
template <Scalar T>
class Bell final : public Distribution<T> {
 public:
  explicit Bell(Index dim, Index forgotten = nothing)
      : Distribution<T>("Bell", dim), forgotten_(forgotten), mean_({dim}, T(3)), drawn_({dim}, T(3)) {}

 private:
  Column<T> do_log_prob(Pass<T>& pass, Var<T> y) const override {
    const double constant = -0.5 * static_cast<double>(this->dim()) * std::log(2 * std::numbers::pi);
    return row_sum(square(y - pass.parameter(mean_)) * T(-0.5)) + constant_column(pass.tape(), constant);
  }
  Var<T> do_sample(Pass<T>& pass) const override {
    return pass.normal(this->dim()) + pass.parameter(forgotten_ == samples_alone ? drawn_ : mean_);
  }
  void do_fields(Fields<T>& f) override {
    f.type("bell");
    this->dim_field(f);
    f.constant("forgotten", forgotten_, 0, 10);
    if (forgotten_ != shift) f.parameter("mean", mean_, {this->dim()});
  }

  Index forgotten_;
  Tensor<T> mean_, drawn_;
};

/// W x + b.
template <Scalar T>
class Line final : public Network<T> {
 public:
  Line(Index inputs, Index outputs, Index forgotten = nothing)
      : Network<T>("Line", inputs, outputs, 0),
        forgotten_(forgotten),
        weight_({outputs, inputs}, T(1)),
        bias_({outputs}) {}
  explicit Line(Blank) : Line(1, 1) {}

 private:
  Var<T> do_evaluate(Pass<T>& pass, Var<T> x) const override {
    return linear(x, pass.parameter(weight_), pass.parameter(bias_));
  }
  void do_fields(Fields<T>& f) override {
    f.type("line");
    this->size_fields(f, false);
    f.constant("forgotten", forgotten_, 0, 10);
    f.parameter("weight", weight_, {this->outputs(), this->inputs()});
    if (forgotten_ != shift) f.parameter("bias", bias_, {this->outputs()});
  }

  Index forgotten_;
  Tensor<T> weight_, bias_;
};

/// y = exp(s) x + b with s = p + 0.7, softly bound, and a b of its own.
template <Scalar T>
class Moved final : public Transformer<T> {
 public:
  explicit Moved(Index forgotten = nothing) : Transformer<T>("Moved", 1), forgotten_(forgotten), b_({1}) {}

 private:
  using Elements = typename Transformer<T>::Elements;
  using Params = std::span<const Var<T>>;
  Elements do_forward(Pass<T>& pass, Var<T> x, Params p) const override {
    const Var<T> s = soft_bound(p[0] + T(0.7), T(2));
    return {x * exp(s) + pass.parameter(b_), s + x * T(0)};
  }
  Elements do_inverse(Pass<T>& pass, Var<T> y, Params p) const override {
    const Var<T> s = soft_bound(p[0] + T(0.7), T(2));
    return {(y - pass.parameter(b_)) * exp(-s), -s + y * T(0)};
  }
  double do_log_scale_bound() const override { return 2; }
  void do_fields(Fields<T>& f) override {
    f.type("moved");
    f.constant("forgotten", forgotten_, 0, 10);
    if (forgotten_ != shift) f.parameter("b", b_, {1});
  }

  Index forgotten_;
  Tensor<T> b_;
};

/// y = x + u / 2 + b with normal u, which is drawn.
template <Scalar T>
class Blurred final : public Bijector<T> {
 public:
  explicit Blurred(Index dim, Index forgotten = nothing)
      : Bijector<T>("Blurred", dim), forgotten_(forgotten), b_({dim}) {}

 private:
  Var<T> move(Pass<T>& pass) const { return pass.normal(this->dim()) * T(0.5) + pass.parameter(b_); }
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override { return {x + move(pass), {}}; }
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override { return {y - move(pass), {}}; }
  Estimate do_estimates() const override { return Estimate::density; }
  void do_fields(Fields<T>& f) override {
    f.type("blurred");
    this->dim_field(f);
    f.constant("forgotten", forgotten_, 0, 10);
    if (forgotten_ != shift) f.parameter("b", b_, {this->dim()});
  }

  Index forgotten_;
  Tensor<T> b_;
};

Registry registry() {
  return Registry::standard().add<Map>("map").add<Bell>("bell").add<Line>("line").add<Moved>("moved").add<Blurred>(
      "blurred");
}

template <Scalar T>
std::vector<Failure> check(Poly<Bijector<T>> map) {
  perturb<T>(*map, 7);
  return check_bijector<T>(map, {.registry = registry()});
}
template <Scalar T>
std::vector<Failure> check(Poly<Distribution<T>> distribution) {
  perturb<T>(*distribution, 7);
  return check_distribution<T>(distribution, {.registry = registry()});
}
std::vector<Failure> check_blurred(Index forgotten) {
  Poly<Bijector<double>> map = Blurred<double>(2, forgotten);
  perturb<double>(*map, 7);
  return check_stochastic_bijector<double>(map, {.registry = registry()});
}

void passes(const std::vector<Failure>& failures) {
  INFO(report(failures));
  CHECK(failures.empty());
}
/// Nothing else is wrong, so no other check may say so.
void fails(const std::vector<Failure>& failures, const std::string& call) {
  INFO(report(failures));
  CHECK_FALSE(failures.empty());
  for (const Failure& failure : failures) {
    CHECK(failure.check == "named tensors");
    CHECK_THAT(failure.detail, Catch::Matchers::ContainsSubstring("that do_fields does not name"));
  }
  CHECK(std::any_of(failures.begin(), failures.end(), [&](const Failure& f) { return f.detail.starts_with(call); }));
}

}  // namespace

TEMPLATE_TEST_CASE("A bijector names its tensors", "[contract]", float, double) {
  using T = TestType;
  passes(check<T>(Poly<Bijector<T>>(Map<T>(2))));
  fails(check<T>(Poly<Bijector<T>>(Map<T>(2, shift))), "forward asks for a tensor of 2 values (0, 0)");
}

TEST_CASE("A bijector names what it proposes values for", "[contract]") {
  const std::vector<Failure> failures = check<double>(Poly<Bijector<double>>(Map<double>(2, counter)));
  INFO(report(failures));
  CHECK(std::any_of(failures.begin(), failures.end(), [](const Failure& f) {
    return f.check == "named tensors" && f.detail.starts_with("forward asks for a tensor of 1 values (0)");
  }));
}

TEMPLATE_TEST_CASE("A distribution names its tensors", "[contract]", float, double) {
  using T = TestType;
  passes(check<T>(Poly<Distribution<T>>(Bell<T>(2))));
  fails(check<T>(Poly<Distribution<T>>(Bell<T>(2, shift))), "log_prob asks for a tensor of 2 values (3, 3)");
}

TEST_CASE("A distribution names the tensors of its samples", "[contract]") {
  Poly<Distribution<double>> bell = Bell<double>(2, samples_alone);
  fails(check_distribution<double>(bell, {.registry = registry()}), "sample asks for a tensor of 2 values (3, 3)");
}

TEMPLATE_TEST_CASE("A network names its tensors", "[contract]", float, double) {
  using T = TestType;
  const auto coupling = [](Index forgotten) {
    return check<T>(Poly<Bijector<T>>(Coupling<T>({1, 0, 1}, Line<T>(2, 2, forgotten), AffineTransformer<T>())));
  };
  passes(coupling(nothing));
  fails(coupling(shift), "forward asks for a tensor of 2 values (0, 0)");
}

TEMPLATE_TEST_CASE("A transformer names its tensors", "[contract]", float, double) {
  using T = TestType;
  const auto elementwise = [](Index forgotten) {
    return check<T>(Poly<Bijector<T>>(Elementwise<T>(Moved<T>(forgotten), 3)));
  };
  passes(elementwise(nothing));
  fails(elementwise(shift), "forward asks for a tensor of 1 values (0)");
}

TEST_CASE("A map that draws names its tensors", "[contract]") {
  passes(check_blurred(nothing));
  fails(check_blurred(shift), "log_prob asks for a tensor of 2 values (0, 0)");
}
