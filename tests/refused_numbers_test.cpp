// Numbers in error texts have the digits that tell what was wrong, NaN has no sign, and what is wrong has a name.

#include <cmath>
#include <limits>
#include <pushforward/bijectors/coupling.hpp>
#include <pushforward/bijectors/rational_quadratic_transformer.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/flows/builders.hpp>
#include <pushforward/nn/network.hpp>
#include <pushforward/training/prepare.hpp>
#include <pushforward/training/schedule.hpp>

#include "src/core/number_text.hpp"
#include "tests/catch.hpp"
#include "tests/temporary_folder.hpp"
#include "tests/training.hpp"

using namespace pushforward;
using namespace training_tests;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("numbers in texts are as long as they need to be") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(detail::number_text(-1e-9) == "-1e-09");
  CHECK(detail::number_text(0.1f) == "0.1");
  CHECK(detail::number_text(Index{-1}) == "-1");
  CHECK(detail::number_text(std::copysign(nan, -1.0)) == "nan");
  CHECK(detail::number_text(-std::numeric_limits<double>::infinity()) == "-inf");
}

TEST_CASE("a value outside of its bounds is named so that one sees that it is") {
  Matrix<double> y(30, 1);
  for (Index i = 0; i < 30; ++i) y(i, 0) = (static_cast<double>(i) + 0.5) / 30;
  y(4, 0) = -1e-9;
  const auto run = [&] {
    return prepare_and_fit(affine_flow(1), y, {.support = Space::box({{0, 1}})}, {.epochs = 1});
  };
  CHECK_THROWS_WITH(run(), ContainsSubstring("-1e-09 does not lie strictly between 0 and 1"));
  CHECK_THROWS_WITH(RationalQuadraticTransformer<double>({.bins = 0}), ContainsSubstring("bins, got 0") &&
                                                                           !ContainsSubstring("0.0"));
  CHECK_THROWS_WITH(Normal<double>(std::vector<double>{0, std::copysign(NAN, -1.0)}, std::vector<double>{1, 1}),
                    ContainsSubstring("got nan at index 1"));
  CHECK_THROWS_WITH(LearningRate({}, 1e-3, 10, -1), ContainsSubstring("got -1") && !ContainsSubstring("-1."));
}

// ------------------------------------------------------------------------------------------------- of a user's own

namespace {

class Bare final : public Optimizer<double> {
 public:
  explicit Bare(bool searches = false) : searches_(searches) {}
  bool searches() const override { return searches_; }

 private:
  Description do_describe() const override {
    return {.type = "bare", .constants = {{"beta", 0.9}}, .children = {}};
  }
  void do_start() override {}
  std::vector<State> do_state() override { return {}; }
  bool searches_;
};

/// Says that it has two outputs and gives as many as it has inputs.
template <Scalar T>
class Narrow final : public Network<T> {
 public:
  Narrow() : Network<T>("Narrow", 1, 2, 0) {}
  explicit Narrow(Blank) : Narrow() {}

 private:
  Var<T> do_evaluate(Pass<T>&, Var<T> x) const override { return x; }
  void do_fields(Fields<T>& f) override {
    f.type("narrow");
    this->size_fields(f, false);
  }
};

}  // namespace

TEST_CASE("an optimiser without a hook says that it has none") {
  Flow flow = affine_flow(2);
  CHECK_THROWS_WITH(fit(flow, make_data(40, 2), {.epochs = 1, .optimizer = Bare()}),
                    "bare: neither hook is overridden; a class of one's own overrides do_update, or searches() and "
                    "do_search");
  CHECK_THROWS_WITH(fit(flow, make_data(40, 2), {.epochs = 1, .optimizer = Bare(true)}),
                    "bare: searches() is true, but do_search is not overridden");
}

TEST_CASE("the text about another optimiser is a list without a loose comma") {
  const TemporaryFolder folder;
  const Matrix<double> y = make_data(50, 2);
  FitOptions<double> options{.epochs = 1, .checkpoint = folder.path / "c", .resume = true};
  Flow flow = affine_flow(2);
  fit(flow, y, options);
  options.optimizer = Bare();
  CHECK_THROWS_WITH(fit(flow, y, options), ContainsSubstring("and is bare(beta=0.9) here") &&
                                               ContainsSubstring("optimizer was adam(beta1=0.9,"));
}

TEST_CASE("a network that gives another number of columns than it said is named") {
  const Coupling<double> coupling({1, 0}, Narrow<double>(), AffineTransformer<double>());
  const Matrix<double> y = make_data(5, 2);
  CHECK_THROWS_AS(coupling.forward(y), ShapeError);
  CHECK_THROWS_WITH(coupling.forward(y), ContainsSubstring("Narrow: expected 2 outputs from do_evaluate, got 1"));
}
