// Maps onto simplex, sphere and ordered vectors: other people's numbers, closed forms, edges, what may follow on them,
// and that the contract sees a space that is declared wrongly.

#include <Eigen/LU>
#include <cmath>
#include <limits>
#include <numbers>
#include <pushforward/bijectors/ascending.hpp>
#include <pushforward/bijectors/chain.hpp>
#include <pushforward/bijectors/exp.hpp>
#include <pushforward/bijectors/invert.hpp>
#include <pushforward/bijectors/log.hpp>
#include <pushforward/bijectors/sigmoid.hpp>
#include <pushforward/bijectors/softmax_centered.hpp>
#include <pushforward/bijectors/stick_breaking.hpp>
#include <pushforward/bijectors/unit_vector.hpp>
#include <pushforward/distributions/categorical.hpp>
#include <pushforward/distributions/cauchy.hpp>
#include <pushforward/distributions/logistic.hpp>
#include <pushforward/distributions/multivariate_student_t.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <pushforward/testing/bijector_contract.hpp>
#include <pushforward/testing/distribution_contract.hpp>

#include "tests/catch.hpp"
#include "tests/oracle.hpp"

using namespace pushforward;
using namespace pushforward::testing;
using Catch::Matchers::ContainsSubstring;
using Eigen::MatrixXd;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

MatrixXd row(std::initializer_list<double> values) {
  MatrixXd m(1, static_cast<Index>(values.size()));
  std::copy(values.begin(), values.end(), m.data());
  return m;
}

void check_close(const MatrixXd& got, const MatrixXd& expected) {
  REQUIRE(got.rows() == expected.rows());
  REQUIRE(got.cols() == expected.cols());
  for (Index i = 0; i < got.rows(); ++i)
    for (Index c = 0; c < got.cols(); ++c) {
      INFO("row " << i << ", column " << c << ": " << got(i, c) << ", expected " << expected(i, c));
      CHECK(std::abs(got(i, c) - expected(i, c)) <= 1e-12 * (1 + std::abs(expected(i, c))));
    }
}

template <template <class> class Map>
void check_oracle(const std::string& name) {
  const oracle::Json file = oracle::read("surface_" + name);
  REQUIRE(file["cases"].size() == 3);
  for (const oracle::Json& c : file["cases"]) {
    const MatrixXd x = oracle::matrix(c["x"]), y = oracle::matrix(c["forward_y"]);
    const Map<double> map(x.cols());
    const MappedRows<double> there = map.forward(x), back = map.inverse(y);
    check_close(there.value, y);
    check_close(there.log_det, oracle::vector(c["forward_log_det"]));
    check_close(back.value, oracle::matrix(c["inverse_x"]));
    check_close(back.log_det, oracle::vector(c["inverse_log_det"]));
  }
}

}  // namespace

TEST_CASE("Maps onto surfaces have the numbers of their definitions", "[surfaces]") {
  check_oracle<StickBreaking>("stick_breaking");
  check_oracle<SoftmaxCentered>("softmax_centered");
  check_oracle<UnitVector>("unit_vector");
  check_oracle<Ascending>("ascending");
}

// ------------------------------------------------------------------------------------------------------ closed forms

TEST_CASE("Uniform densities on simplex and sphere", "[surfaces]") {
  Engine engine(3);
  const TransformedDistribution<double> sticks(Logistic<double>(1), StickBreaking<double>(1));
  const TransformedDistribution<double> softmax(Logistic<double>(1), SoftmaxCentered<double>(1));
  const TransformedDistribution<double> circle(Cauchy<double>(1), UnitVector<double>(1));
  const MatrixXd half = MatrixXd::Identity(2, 2) / std::numbers::sqrt2;
  const TransformedDistribution<double> sphere(MultivariateStudentT<double>(2, Eigen::Vector2d(0, 0), half),
                                               UnitVector<double>(2));
  const auto check = [&](const Distribution<double>& d, double expected) {
    const Eigen::VectorXd log_prob = d.log_prob(d.sample(50, engine));
    for (Index i = 0; i < 50; ++i) CHECK(log_prob[i] == Approx(expected).margin(1e-12));
  };
  check(sticks, 0);
  check(softmax, 0);
  check(circle, -std::log(2 * std::numbers::pi));
  check(sphere, -std::log(4 * std::numbers::pi));
}

TEST_CASE("SoftmaxCentered counts in the first columns, the surface is larger", "[surfaces]") {
  for (const Index n : {1, 2, 4}) {
    const SoftmaxCentered<double> map(n);
    const MatrixXd x = MatrixXd::Constant(1, n, 0.3);
    MatrixXd jacobian(n + 1, n);
    for (Index k = 0; k < n; ++k) {
      MatrixXd above = x, below = x;
      above(0, k) += 1e-5;
      below(0, k) -= 1e-5;
      jacobian.col(k) = (map.forward(above).value - map.forward(below).value).transpose() / 2e-5;
    }
    const double surface = 0.5 * std::log((jacobian.transpose() * jacobian).determinant());
    CHECK(map.forward(x).log_det[0] + 0.5 * std::log(static_cast<double>(n + 1)) == Approx(surface).epsilon(1e-7));
  }
}

// ------------------------------------------------------------------------------------------------------------- edges

TEST_CASE("Parts of a simplex may be as small as numbers are", "[surfaces]") {
  const auto check = [](const Bijector<double>& map) {
    const MatrixXd x = row({-2000, 800, -40});
    const MappedRows<double> there = map.forward(x);
    CHECK(there.value.minCoeff() > 0);
    CHECK(there.value.sum() == Approx(1).epsilon(1e-12));
    CHECK(std::isfinite(there.log_det[0]));
    CHECK_NOTHROW(map.inverse(there.value));
    for (const MatrixXd& y : {row({0, 0.5, 0.25, 0.25}), row({1, 0, 0, 0}), row({-0.25, 0.75, 0.25, 0.25}),
                              row({0.2, 0.2, 0.2, 0.2}), row({inf, 0.1, 0.2, 0.3})})
      CHECK_THROWS_WITH(map.inverse(y), ContainsSubstring("row 0 lies outside the codomain"));
    // As other programs write them, with six digits.
    CHECK_NOTHROW(map.inverse(row({0.333333, 0.333333, 0.333334, 1e-7})));
    CHECK_THROWS_AS(map.inverse(row({0.333, 0.333, 0.333, 1e-7})), DomainError);
    const MappedRows<double> broken = map.inverse(row({not_a_number, 0, 2, 5}));
    CHECK(broken.value.array().isNaN().all());
    CHECK(std::isnan(broken.log_det[0]));
  };
  check(StickBreaking<double>(3));
  check(SoftmaxCentered<double>(3));
  CHECK(StickBreaking<double>(3).forward(row({0, 0, 0})).value.isApprox(row({0.25, 0.25, 0.25, 0.25}), 1e-15));
  const SoftmaxCentered<float> narrow(3);
  const Matrix<float> large = row({1e5, -1e5, 99999}).cast<float>();
  CHECK(narrow.forward(large).value.sum() == Approx(1).epsilon(1e-6));
}

TEST_CASE("The pole of the sphere is outside, what is next to it is not", "[surfaces]") {
  const UnitVector<double> map(2);
  CHECK_THROWS_WITH(map.inverse(row({0, 0, 1})), "UnitVector::inverse: row 0 lies outside the codomain of the map");
  CHECK_THROWS_AS(map.inverse(row({0.5, 0.5, 0.5})), DomainError);
  CHECK_THROWS_AS(map.inverse(row({0, 0, 0})), DomainError);
  CHECK(map.inverse(row({0, 0, -1})).value == row({0, 0}));
  // The last column is 1 to all digits, and the others still say where the point comes from.
  const MatrixXd x = row({3e9, -4e9});
  const MappedRows<double> there = map.forward(x);
  CHECK(there.value(0, 2) == 1);
  CHECK(map.inverse(there.value).value.isApprox(x, 1e-13));
  CHECK(there.log_det[0] == Approx(2 * (std::log(2.0) - std::log1p(25e18))).epsilon(1e-14));
  const MappedRows<double> broken = map.inverse(row({not_a_number, 5, 1}));
  CHECK(broken.value.array().isNaN().all());
  CHECK(std::isnan(broken.log_det[0]));
}

TEST_CASE("Ascending numbers stay apart", "[surfaces]") {
  const Ascending<double> map(4);
  const MappedRows<double> there = map.forward(row({1e10, -800, -800, 3}));
  CHECK(there.value(0, 1) == std::nextafter(1e10, inf));
  CHECK(there.value(0, 2) == std::nextafter(there.value(0, 1), inf));
  CHECK(there.log_det[0] == -1597);
  CHECK_NOTHROW(map.inverse(there.value));
  CHECK_THROWS_WITH(map.inverse(row({1, 2, 2, 3})), "Ascending::inverse: row 0 lies outside the codomain of the map");
  CHECK_THROWS_AS(map.inverse(row({1, 3, 2, 4})), DomainError);
  CHECK(map.inverse(row({-1, not_a_number, 2, 1})).value.array().isNaN().all());
  const Ascending<double> one(1);
  CHECK(one.forward(row({3})).value == row({3}));
  CHECK(one.is_constant_jacobian());
  CHECK_FALSE(map.is_constant_log_det());
  CHECK_THROWS_AS(Ascending<double>(0), ShapeError);
  CHECK_THROWS_AS(StickBreaking<double>(0), ShapeError);
}

// ----------------------------------------------------------------------------------------------------------- spaces

TEST_CASE("What follows on a surface must start there", "[surfaces]") {
  const StickBreaking<double> sticks(3);
  CHECK(sticks.domain() == Space::real(3));
  CHECK(sticks.codomain() == Space::simplex(4));
  CHECK_THROWS_WITH(Chain<double>(sticks, Log<double>(4)),
                    "Chain: part 1 (Log) maps from (0, inf)^4 but part 0 (StickBreaking) leads to simplex(4)");
  CHECK_THROWS_WITH(Chain<double>(sticks, Invert<double>(UnitVector<double>(3))),
                    "Chain: part 1 (Invert(UnitVector)) maps from sphere(4) but part 0 (StickBreaking) leads to "
                    "simplex(4)");
  CHECK_THROWS_WITH((Chain<double>(sticks, Exp<double>(3))), ContainsSubstring("has dim 3 but"));
  CHECK_NOTHROW(Chain<double>(sticks, Invert<double>(SoftmaxCentered<double>(3))));
  CHECK_THROWS_WITH(TransformedDistribution<double>(Categorical<double>(3, 4), sticks),
                    "TransformedDistribution: base Categorical lives on integers{0, 3} x integers{0, 3} x "
                    "integers{0, 3} but bijector StickBreaking maps from real^3");
}

TEST_CASE("A part of a surface keeps its measure", "[surfaces]") {
  const Sigmoid<double> sigmoid(3);
  const Chain<double> part(sigmoid, StickBreaking<double>(3));
  CHECK(part.codomain().to_text() == "not known, within simplex(4)");
  CHECK_FALSE(part.codomain().is_known());
  CHECK(part.codomain().dimensions() == 3);
  CHECK(Space::simplex(4).holds(part.codomain()));
  CHECK_THROWS_WITH(Chain<double>(sigmoid, StickBreaking<double>(3), Log<double>(4)),
                    "Chain: part 2 (Log) maps from (0, inf)^4 but part 1 (StickBreaking) leads to not known, within "
                    "simplex(4)");
  CHECK_NOTHROW(Chain<double>(sigmoid, StickBreaking<double>(3), Invert<double>(SoftmaxCentered<double>(3))));
  const Chain<double> ordered(Ascending<double>(3), Exp<double>(3));
  CHECK(ordered.codomain().to_text() == "not known, within (0, inf)^3");
  CHECK(Space::part_of(Space::box(1, {0, 1}) * Space::simplex(2)).to_text() ==
        "not known, within (0, 1) x not known, within simplex(2)");
}

// ----------------------------------------------------------------------- the contracts see what is declared wrongly

namespace {

enum class Wrong { none, box, reals, ordered, larger, smaller };

Space declared(Wrong wrong, const Space& right) {
  const Index columns = right.columns();
  switch (wrong) {
    case Wrong::none: break;
    case Wrong::box: return Space::box(right.bounds());
    case Wrong::reals: return Space::real(columns);
    case Wrong::ordered: return Space::ordered(columns);
    case Wrong::larger: return Space::categories(columns, 4);
    case Wrong::smaller: return Space::categories(columns, 2);
  }
  return right;
}

/// Another bijector, with a codomain of its own and something added to log_det.
template <Scalar T>
class Misdeclared final : public Bijector<T> {
 public:
  Misdeclared(Poly<Bijector<T>> inner, Wrong wrong, double constant = 0)
      : Bijector<T>("Misdeclared", inner->base_dim(), inner->event_shape()),
        inner_(std::move(inner)),
        wrong_(static_cast<Index>(wrong)),
        constant_(constant) {}
  explicit Misdeclared(Blank) : Bijector<T>("Misdeclared") {}

 private:
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override {
    const Mapped<T> mapped = inner_->forward(pass, x);
    return {mapped.value, mapped.log_det + constant_column(pass.tape(), constant_)};
  }
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override {
    const Mapped<T> mapped = inner_->inverse(pass, y);
    return {mapped.value, mapped.log_det + constant_column(pass.tape(), -constant_)};
  }
  Space do_codomain() const override { return declared(static_cast<Wrong>(wrong_), inner_->codomain()); }
  void do_fields(Fields<T>& f) override {
    f.type("misdeclared");
    f.constant("wrong", wrong_, 0, 10);
    f.constant("constant", constant_);
    f.part("inner", inner_);
  }
  void do_restored() override { this->set_shape(inner_->base_dim(), inner_->event_shape()); }

  Poly<Bijector<T>> inner_;
  Index wrong_ = 0;
  double constant_ = 0;
};

/// Another distribution, with a support of its own.
template <Scalar T>
class Misplaced final : public Distribution<T> {
 public:
  Misplaced(Poly<Distribution<T>> inner, Wrong wrong)
      : Distribution<T>("Misplaced", inner->dim()), inner_(std::move(inner)), wrong_(static_cast<Index>(wrong)) {}
  explicit Misplaced(Blank) : Distribution<T>("Misplaced") {}

 private:
  Column<T> do_log_prob(Pass<T>& pass, Var<T> y) const override { return inner_->log_prob(pass, y); }
  Var<T> do_sample(Pass<T>& pass) const override { return inner_->sample(pass); }
  bool do_is_reparameterized() const override { return inner_->is_reparameterized(); }
  Space do_support() const override { return declared(static_cast<Wrong>(wrong_), inner_->support()); }
  void do_fields(Fields<T>& f) override {
    f.type("misplaced");
    f.constant("wrong", wrong_, 0, 10);
    f.part("inner", inner_);
  }
  void do_restored() override { this->set_shape({inner_->dim()}); }

  Poly<Distribution<T>> inner_;
  Index wrong_ = 0;
};

std::vector<Failure> failures(Poly<Bijector<double>> inner, Wrong wrong, double constant = 0) {
  BijectorContract contract;
  contract.registry.add<Misdeclared>("misdeclared");
  return check_bijector(Misdeclared<double>(std::move(inner), wrong, constant), contract);
}
std::vector<Failure> failures(Poly<Distribution<double>> inner, Wrong wrong) {
  DistributionContract contract;
  contract.samples = 4000;
  contract.registry.add<Misplaced>("misplaced");
  return check_distribution(Misplaced<double>(std::move(inner), wrong), contract);
}
bool names(const std::vector<Failure>& failures, const std::string& check) {
  INFO(report(failures));
  return std::any_of(failures.begin(), failures.end(), [&](const Failure& f) { return f.check == check; });
}

}  // namespace

TEST_CASE("The contract sees a codomain that is none", "[surfaces]") {
  const StickBreaking<double> sticks(2);
  const UnitVector<double> sphere(2);
  const Ascending<double> ascending(3);
  using Map = Poly<Bijector<double>>;
  for (const Map& map : {Map(sticks), Map(sphere), Map(ascending)}) {
    const std::vector<Failure> none = failures(map, Wrong::none);
    INFO(report(none));
    CHECK(none.empty());
    CHECK_FALSE(failures(map, Wrong::reals).empty());
  }
  CHECK(names(failures(sticks, Wrong::box), "properties"));
  CHECK(names(failures(sphere, Wrong::ordered), "images"));
  CHECK(names(failures(Exp<double>(2), Wrong::ordered), "images"));
  CHECK_FALSE(failures(Exp<double>(2), Wrong::reals).empty());
}

TEST_CASE("The contract sees another measure on the surface", "[surfaces]") {
  CHECK(names(failures(SoftmaxCentered<double>(2), Wrong::none, 0.5 * std::log(3.0)), "Jacobian"));
  CHECK(names(failures(UnitVector<double>(2), Wrong::none, -std::log(2.0)), "Jacobian"));
}

TEST_CASE("The contract sees a support that is none", "[surfaces]") {
  MatrixXd logits(2, 3);
  logits << 0.5, -0.4, 0.1, -1, 0.3, 0.7;
  const Categorical<double> categories{MatrixView<const double>(logits)};
  const TransformedDistribution<double> simplex(Normal<double>(2), StickBreaking<double>(2));
  const TransformedDistribution<double> ordered(Normal<double>(2), Ascending<double>(2));
  using Density = Poly<Distribution<double>>;
  for (const Density& d : {Density(categories), Density(simplex), Density(ordered)}) {
    const std::vector<Failure> none = failures(d, Wrong::none);
    INFO(report(none));
    CHECK(none.empty());
    CHECK(names(failures(d, Wrong::reals), "support"));
  }
  CHECK(names(failures(categories, Wrong::larger), "support"));
  CHECK(names(failures(categories, Wrong::smaller), "samples"));
  CHECK(names(failures(simplex, Wrong::box), "support"));
  CHECK(names(failures(simplex, Wrong::ordered), "samples"));
  CHECK(names(failures(Normal<double>(2), Wrong::ordered), "samples"));
}
