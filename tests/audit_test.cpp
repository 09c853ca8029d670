// audit(): right maps pass, each kind of error is named with its row. bijector_to(): every space.

#include <cmath>
#include <limits>
#include <pushforward/bijectors/affine.hpp>
#include <pushforward/bijectors/bijector_to.hpp>
#include <pushforward/bijectors/chain.hpp>
#include <pushforward/bijectors/exp.hpp>
#include <pushforward/bijectors/lu_linear.hpp>
#include <pushforward/bijectors/masked_autoregressive.hpp>
#include <pushforward/bijectors/unit_vector.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <pushforward/distributions/uniform.hpp>
#include <pushforward/registry.hpp>
#include <pushforward/testing/audit.hpp>
#include <pushforward/testing/gradient_check.hpp>
#include <string>

#include "tests/catch.hpp"

using namespace pushforward;
using testing::Audit;
using testing::audit;
using testing::AuditEntry;
using Catch::Matchers::ContainsSubstring;

namespace {

enum class Bug { none, log_det, log_det_of_far_rows, inverse, falls, later_column, outside, gradient };

/// y = exp(a) x, column by column, with one error.
class Buggy final : public Bijector<double> {
 public:
  explicit Buggy(Bug bug) : Bijector<double>("Buggy", 2), a_({2}), bug_(bug) {
    a_[0] = 0.3;
    a_[1] = -0.2;
  }

 private:
  Mapped<double> do_forward(Pass<double>& pass, Var<double> x) const override {
    const Var<double> a = pass.parameter(a_);
    Var<double> y = x * exp(a);
    if (bug_ == Bug::inverse) y = y + 0.01;
    if (bug_ == Bug::falls) y = -y;
    if (bug_ == Bug::later_column) {
      const Var<double> second = columns(y, 1, 1);
      y = concatenate<double>({columns(y, 0, 1) + 0.1 * second, second});
    }
    return {y, row_sum(a)};
  }
  Mapped<double> do_inverse(Pass<double>& pass, Var<double> y) const override {
    const Var<double> a = bug_ == Bug::gradient ? detach(pass.parameter(a_)) : pass.parameter(a_);
    if (bug_ == Bug::falls) y = -y;
    if (bug_ == Bug::later_column) {
      const Var<double> second = columns(y, 1, 1);
      y = concatenate<double>({columns(y, 0, 1) - 0.1 * second, second});
    }
    const Var<double> x = y / exp(a);
    Column<double> log_det = -row_sum(a);
    if (bug_ == Bug::log_det) log_det = log_det + row_sum(a) * 2.0;
    if (bug_ == Bug::log_det_of_far_rows)
      log_det = log_det + row_sum(activation(Activation::relu, abs(columns(y, 0, 1)) - 4.0));
    return {x, log_det};
  }
  std::vector<std::int64_t> do_triangular_order() const override { return {0, 1}; }
  Space do_domain() const override {
    return bug_ == Bug::outside ? Space::box({{-1, 1}, {-100, 100}}) : Space::real(2);
  }
  void do_fields(Fields<double>& f) override {
    f.type("buggy");
    f.parameter("a", a_, {2});
  }

  Tensor<double> a_;
  Bug bug_;
};

Matrix<double> rows() {
  Engine engine(1);
  Matrix<double> y = Normal<double>(2).sample(100, engine);
  y(17, 0) = 6;
  return y;
}

const AuditEntry& entry(const Audit& a, const std::string& check) {
  for (const AuditEntry& e : a.entries)
    if (e.check == check) return e;
  throw std::runtime_error("no check " + check);
}

Audit of(Bug bug) { return audit(Buggy(bug), rows()); }

}  // namespace

TEST_CASE("A right map passes every check", "[audit]") {
  const Audit a = of(Bug::none);
  INFO(a.to_text());
  CHECK(a.passed());
  for (const AuditEntry& e : a.entries) CHECK(e.made());
  CHECK(a.entries.size() == 9);
}

TEST_CASE("Each error is found by its check, with its row", "[audit]") {
  const auto fails = [](Bug bug, const std::string& check) {
    const Audit a = of(bug);
    INFO(check << '\n' << a.to_text());
    CHECK_FALSE(a.passed());
    CHECK_FALSE(entry(a, check).passed());
    CHECK(entry(a, check).row >= 0);
    CHECK_THAT(a.to_text(), ContainsSubstring("FAILED") && ContainsSubstring("in row "));
    return entry(a, check);
  };
  fails(Bug::log_det, "log|det| of both directions");
  fails(Bug::log_det, "log|det| against differences");
  fails(Bug::inverse, "round trip, from the data");
  fails(Bug::falls, "derivatives of the wrong sign");
  fails(Bug::later_column, "derivatives by later columns");
  fails(Bug::gradient, "gradients against differences");
  CHECK_THAT(fails(Bug::gradient, "gradients against differences").note, ContainsSubstring("a"));
  // One row of a hundred.
  const AuditEntry far = fails(Bug::log_det_of_far_rows, "log|det| against differences");
  CHECK(far.row == 17);
  CHECK(far.worst > 0.5);
  const AuditEntry outside = fails(Bug::outside, "rows outside of the domain");
  CHECK_THAT(outside.note, ContainsSubstring("column 0") && ContainsSubstring("[-1, 1]"));
}

TEST_CASE("What cannot be checked says why", "[audit]") {
  Engine engine(3);
  const TransformedDistribution<double> sphere(Normal<double>(2), UnitVector<double>(2));
  const Audit on_sphere = audit(UnitVector<double>(2), Matrix<double>(sphere.sample(20, engine)));
  INFO(on_sphere.to_text());
  CHECK(on_sphere.passed());
  CHECK_FALSE(entry(on_sphere, "log|det| against differences").made());
  CHECK_THAT(on_sphere.to_text(), ContainsSubstring("not made: the map leads onto a surface"));
  const Matrix<float> y = rows().cast<float>();
  const Audit single = audit(Affine<float>(2), y);
  CHECK(single.passed());
  CHECK_THAT(single.to_text(), ContainsSubstring("differences in float say nothing"));
  const Audit wide = audit(Buggy(Bug::log_det), rows(), {}, {.most_columns = 1});
  CHECK_THAT(wide.to_text(), ContainsSubstring("it has 2 columns, and options say 1 at most"));
  CHECK_THROWS_WITH(audit(Affine<double>(2), Matrix<double>(0, 2)), ContainsSubstring("there are no rows"));
  CHECK_THROWS_AS(audit(Exp<double>(2), rows()), DomainError);
}

TEST_CASE("Maps with context, and maps that mix columns", "[audit]") {
  Engine engine(4);
  MaskedAutoregressive<double> flow(Made<double>(2, 2, {.hidden = 8, .activation = Activation::tanh, .context_dim = 3}));
  testing::perturb<double>(flow, 2);
  const Matrix<double> context = Normal<double>(3).sample(100, engine);
  const Audit a = audit(flow, rows(), context);
  INFO(a.to_text());
  CHECK(a.passed());
  CHECK(entry(a, "derivatives by later columns").made());
  LULinear<double> mixing(2);
  testing::perturb<double>(mixing, 2);
  const Audit b = audit(mixing, rows());
  CHECK(b.passed());
  for (const AuditEntry& e : b.entries) CHECK_FALSE(e.check == "derivatives by later columns");
}

TEST_CASE("bijector_to leads onto every space that has a map", "[audit]") {
  const double infinity = std::numeric_limits<double>::infinity();
  const Space spaces[] = {Space::real(3),
                          Space::box({{0, infinity}, {-2, 3}, {-infinity, 1}, {}}),
                          Space::circle(2, {-3, 3}),
                          Space::simplex(4),
                          Space::ordered(3),
                          Space::zero_sum(4),
                          Space::ball(3),
                          Space::l1_ball(3),
                          Space::sphere(3),
                          Space::lower_triangular(3),
                          Space::positive_definite(2),
                          Space::correlation(3),
                          Space::real(1) * Space::simplex(3) * Space::box({{0, 1}}) * Space::ordered(2)};
  for (const Space& space : spaces) {
    INFO(space.to_text());
    const Poly<Bijector<double>> map = bijector_to<double>(space);
    CHECK(map->base_dim() == space.dimensions());
    CHECK(map->dim() == space.columns());
    Engine engine(2);
    const Matrix<double> x = 3 * Normal<double>(map->base_dim()).sample(2000, engine), y = map->forward(x).value;
    for (Index i = 0; i < y.rows(); ++i) {
      const Eigen::VectorXd row = y.row(i);
      REQUIRE(space.contains(VectorView<const double>(row)));
    }
    const Audit a = audit(map, y);
    INFO(a.to_text());
    CHECK(entry(a, "round trip, from the data").passed());
  }
  CHECK_THROWS_WITH(bijector_to<double>(Space::integers({{0, 5}})), ContainsSubstring("no differentiable map reaches a grid"));
  CHECK_THROWS_WITH(bijector_to<double>(Space::unknown(2)), ContainsSubstring("what columns may be is not known"));
  CHECK_THROWS_WITH(bijector_to<double>(Space::part_of(Space::simplex(3))), ContainsSubstring("a part of a space"));
  CHECK_THROWS_WITH(bijector_to<double>(Space()), ContainsSubstring("no columns"));
}

TEST_CASE("bijector_to turns the ends of circles to where few rows are", "[audit]") {
  const Space space = Space::circle(1, {0, 360}) * Space::simplex(3) * Space::circle(1, {-1, 1});
  Matrix<double> rows(500, 5);
  Engine engine(3);
  const Matrix<double> u = Uniform<double>({0.0, 0.0}, {1.0, 1.0}).sample(500, engine);
  for (Index i = 0; i < 500; ++i) {
    const double angle = 350 + 300 * u(i, 0);                     // nothing between 290 and 350
    rows.row(i) << (angle < 360 ? angle : angle - 360), 0.2, 0.3, 0.5, 0.9 * (2 * u(i, 1) - 1);  // nor about 1 and -1
  }
  const Poly<Bijector<double>> map = bijector_to<double>(space, rows);
  CHECK(map->codomain() == space);
  CHECK(count_parameters(*map) == 0);
  // As far from both ends of the line as from each other.
  const Matrix<double> ends = map->forward(Matrix<double>{{-40, 0, 0, -40}, {40, 0, 0, 40}}).value;
  for (Index i = 0; i < 2; ++i) {
    CHECK((ends(i, 0) > 300 && ends(i, 0) < 340));
    CHECK(std::abs(ends(i, 4)) > 0.95);
  }
  const Matrix<double> x = map->inverse(rows).value;
  CHECK(x.array().abs().maxCoeff() < 8);
  CHECK((map->forward(x).value - rows).cwiseAbs().maxCoeff() < 1e-10);
  CHECK(audit(map, rows).passed());
  const Poly<Bijector<float>> single = bijector_to<float>(space, Matrix<float>(rows.cast<float>()));
  CHECK((single->forward(single->inverse(Matrix<float>(rows.cast<float>())).value).value.cast<double>() - rows)
            .cwiseAbs().maxCoeff() < 1e-3);
  // No rows: as they are. A wrong number of columns: refused.
  CHECK(bijector_to<double>(Space::circle(1, {0, 2}), Matrix<double>(0, 1))->forward(Matrix<double>{{0.0}}).value(0) == 1);
  CHECK_THROWS_WITH(bijector_to<double>(space, Matrix<double>(3, 2)), ContainsSubstring("expected rows of 5 columns, got 2"));
}
