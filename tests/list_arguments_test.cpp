// Vectors written as lists, scalar types that follow from the parts, calls without a context.

#include <cmath>
#include <concepts>
#include <pushforward/pushforward.hpp>
#include <type_traits>
#include <vector>

#include "tests/catch.hpp"

using namespace pushforward;

namespace {

/// Both were made of the same numbers: names, constants and tensors.
template <Scalar T>
void check_same(const Component<T>& a, const Component<T>& b) {
  INFO(a.name());
  CHECK(a.describe() == b.describe());
  const auto left = list_state(a), right = list_state(b);
  REQUIRE(left.size() == right.size());
  CHECK_FALSE(left.empty());
  for (std::size_t i = 0; i < left.size(); ++i) CHECK((*left[i].tensor == *right[i].tensor));
}

template <Scalar T>
Eigen::Matrix<T, Eigen::Dynamic, 1> vector(std::initializer_list<T> list) {
  Eigen::Matrix<T, Eigen::Dynamic, 1> v(static_cast<Index>(list.size()));
  std::copy(list.begin(), list.end(), v.data());
  return v;
}

}  // namespace

TEMPLATE_TEST_CASE("Distributions take lists, of whole numbers too", "[lists]", float, double) {
  using T = TestType;
  const auto a = vector<T>({2, 1}), b = vector<T>({3, 4});
  check_same<T>(Normal<T>({2, 1}, {3, 4}), Normal<T>(a, b));
  check_same<T>(Laplace<T>({2, 1}, {3, 4}), Laplace<T>(a, b));
  check_same<T>(Logistic<T>({2, 1}, {3, 4}), Logistic<T>(a, b));
  check_same<T>(Cauchy<T>({2, 1}, {3, 4}), Cauchy<T>(a, b));
  check_same<T>(StudentT<T>({5, 6}, {2, 1}, {3, 4}), StudentT<T>(vector<T>({5, 6}), a, b));
  check_same<T>(Gamma<T>({2, 1}, {3, 4}), Gamma<T>(a, b));
  check_same<T>(Beta<T>({2, 1}, {3, 4}), Beta<T>(a, b));
  check_same<T>(MultivariateNormalDiag<T>({2, 1}, {3, 4}), MultivariateNormalDiag<T>(a, b));
  const Matrix<T> scale{{2, 0}, {1, 3}};
  check_same<T>(MultivariateNormalTriL<T>({2, 1}, scale), MultivariateNormalTriL<T>(a, scale));
  check_same<T>(MultivariateStudentT<T>(5, {2, 1}, scale), MultivariateStudentT<T>(5, a, scale));
  check_same<T>(Mixture<T>({Normal<T>(2), Normal<T>(2)}, {0, 1}),
                Mixture<T>({Normal<T>(2), Normal<T>(2)}, vector<T>({0, 1})));
  // The bounds of Uniform are constants.
  CHECK(Uniform<T>({2, 1}, {3, 4}).describe() == Uniform<T>(a, b).describe());
  const auto conditional = [](auto shift, auto stretch) {
    return StandardizedContext<T>(
        TransformedDistribution<T>(Normal<T>(2), Coupling<T>({1, 0}, Mlp<T>(1, 2, {.context_dim = 2}))), shift,
        stretch);
  };
  check_same<T>(StandardizedContext<T>(TransformedDistribution<T>(
                                           Normal<T>(2), Coupling<T>({1, 0}, Mlp<T>(1, 2, {.context_dim = 2}))),
                                       {2, 1}, {3, 4}),
                conditional(vector<double>({2, 1}), vector<double>({3, 4})));
  // One column.
  check_same<T>(Normal<T>({2}, {3}), Normal<T>(vector<T>({2}), vector<T>({3})));
}

TEMPLATE_TEST_CASE("Bijectors take lists, and a list of one is no dimension", "[lists]", float, double) {
  using T = TestType;
  const auto a = vector<T>({2, 1}), b = vector<T>({T(0.5), T(0.25)});
  const auto low = vector<double>({2, 1}), high = vector<double>({3, 4});
  check_same<T>(Shift<T>({2, 1}), Shift<T>(a));
  check_same<T>(Scale<T>({2, 1}), Scale<T>(a));
  check_same<T>(Scale<T>({2, 1}, 3.0), Scale<T>(a, 3.0));
  check_same<T>(Affine<T>({2, 1}, {0.5, 0.25}), Affine<T>(a, b));
  check_same<T>(Standardize<T>({2, 1}, {3, 4}), Standardize<T>(low, high));
  CHECK(Sigmoid<T>({2, 1}, {3, 4}).describe() == Sigmoid<T>(low, high).describe());

  check_same<T>(Shift<T>({2}), Shift<T>(vector<T>({2})));
  check_same<T>(Scale<T>({2}), Scale<T>(vector<T>({2})));
  check_same<T>(Affine<T>({1}, {2}), Affine<T>(vector<T>({1}), vector<T>({2})));
  check_same<T>(Standardize<T>({1}, {2}), Standardize<T>(vector<double>({1}), vector<double>({2})));
  CHECK(Sigmoid<T>({1}, {2}).describe() == Sigmoid<T>(vector<double>({1}), vector<double>({2})).describe());
  // Braces are values, parentheses a dimension.
  CHECK(Shift<T>{3}.dim() == 1);
  CHECK(Shift<T>(3).dim() == 3);
  CHECK(Scale<T>{2, 3, 4}.dim() == 3);
  CHECK(Scale<T>(2).dim() == 2);
}

TEST_CASE("Population statistics of batch normalisation take lists", "[lists]") {
  BatchNormalization<double> norm(2), same(2);
  norm.set_population({1, 2}, {3, 4});
  same.set_population(vector<double>({1, 2}), vector<double>({3, 4}));
  check_same<double>(norm, same);
}

// -------------------------------------------------------------------------------------------------- scalar types

namespace {

/// A user's classes, which are no templates.
class Doubled final : public ElementwiseBijector<double> {
 public:
  Doubled() : ElementwiseBijector<double>("Doubled", 2) {}

 private:
  Elements do_forward_elements(Pass<double>&, Var<double> x) const override { return {x * 2.0, constant(x, 1)}; }
  Elements do_inverse_elements(Pass<double>&, Var<double> y) const override { return {y * 0.5, constant(y, -1)}; }
  static Var<double> constant(Var<double> x, double sign) { return x * 0.0 + sign * std::log(2.0); }
  void do_fields(Fields<double>& f) override { f.type("doubled"); }
};

}  // namespace

TEST_CASE("The scalar type follows from the parts", "[lists]") {
  TransformedDistribution flow(Normal<double>(2), Exp<double>(2));
  STATIC_REQUIRE(std::same_as<decltype(flow), TransformedDistribution<double>>);
  TransformedDistribution single(Normal<float>(2), Chain(Exp<float>(2), Shift<float>({1, 2})));
  STATIC_REQUIRE(std::same_as<decltype(single), TransformedDistribution<float>>);
  TransformedDistribution own(MultivariateNormalDiag<double>(2), Chain(Doubled(), Exp<double>(2)));
  STATIC_REQUIRE(std::same_as<decltype(own), TransformedDistribution<double>>);
  TransformedDistribution owned(flow.copy_base(), Doubled());
  STATIC_REQUIRE(std::same_as<decltype(owned), TransformedDistribution<double>>);
  TransformedDistribution nested(flow, flow.copy_bijector());
  STATIC_REQUIRE(std::same_as<decltype(nested), TransformedDistribution<double>>);
  TransformedDistribution copy(flow);
  STATIC_REQUIRE(std::same_as<decltype(copy), TransformedDistribution<double>>);
  CHECK(copy.describe() == flow.describe());

  Chain chain(Exp<float>(2), Shift<float>(2));
  STATIC_REQUIRE(std::same_as<decltype(chain), Chain<float>>);
  Invert inverse(Doubled{});
  STATIC_REQUIRE(std::same_as<decltype(inverse), Invert<double>>);
  Invert of_owner(flow.copy_bijector());
  STATIC_REQUIRE(std::same_as<decltype(of_owner), Invert<double>>);
  Mixture mixture({Normal<double>({0}, {1}), Normal<double>({1}, {2}), Normal<double>({2}, {3})});
  STATIC_REQUIRE(std::same_as<decltype(mixture), Mixture<double>>);
  CHECK(mixture.components() == 3);
  CHECK(mixture.component(1).mean()[0] == 1);
  Mixture weighted({StudentT<float>(2), StudentT<float>(2)}, {0, 1});
  STATIC_REQUIRE(std::same_as<decltype(weighted), Mixture<float>>);
  CHECK(weighted.weights()[1] == Approx(1 / (1 + std::exp(-1.0))));
  Mixture from_eigen({Normal<double>(2), Normal<double>(2)}, vector<double>({0, 1}));
  STATIC_REQUIRE(std::same_as<decltype(from_eigen), Mixture<double>>);
  Mixture of_owners(std::vector<Poly<Distribution<float>>>{Normal<float>(2), StudentT<float>(2)});
  STATIC_REQUIRE(std::same_as<decltype(of_owners), Mixture<float>>);
  // Components of several classes, of the class that is named.
  const Mixture<double> several({Normal<double>(2), StudentT<double>(2), flow});
  CHECK(several.component(1).name() == "StudentT");
  STATIC_REQUIRE(std::same_as<ScalarOf<Poly<Bijector<float>>>, float>);

  // log p(y) = log N(log y) - log y
  const Matrix<double> y = Matrix<double>::Constant(1, 2, 2.0);
  const double log_2 = std::log(2.0), half_log_2_pi = 0.91893853320467274;
  CHECK(flow.log_prob(y)[0] == Approx(2 * (-0.5 * log_2 * log_2 - half_log_2_pi - log_2)));
  CHECK(owned.log_prob(y)[0] == Approx(2 * (-0.5 - half_log_2_pi - log_2)));
}

// --------------------------------------------------------------------------------------- where a call runs

TEST_CASE("Without a context the place of a call follows on the data", "[lists]") {
  TransformedDistribution flow(Normal<double>({0, 1}, {1, 2}), Exp<double>(2));
  const Matrix<double> y{{1, 2}, {3, 4}, {0.5, 0.25}};
  Execution execution({.threads = 2});
  Workspace workspace;
  const Run run(workspace);
  const auto everywhere = [&](const auto& call) {
    call(execution);
    call(workspace);
    call(run);
    call(Run());
  };
  const Eigen::VectorXd expected = flow.log_prob(y, {}, execution);
  everywhere([&](auto&& where) {
    CHECK(flow.log_prob(y, where) == expected);
    CHECK(flow.prob(y, where) == flow.prob(y));
    Eigen::VectorXd out = Eigen::VectorXd::Zero(3);
    flow.log_prob_into(y, out, where);
    CHECK(out == expected);
    const auto gradient = flow.log_prob_and_gradient(y, where);
    CHECK(gradient.log_prob == expected);
    CHECK(gradient.gradient == flow.log_prob_and_gradient(y).gradient);
    Engine a(3), b(3);
    CHECK(flow.sample(5, a, where) == flow.sample(5, b));
    CHECK(flow.sample_and_log_prob(5, a, where).log_prob == flow.sample_and_log_prob(5, b).log_prob);
    Matrix<double> drawn(5, 2), same(5, 2);
    flow.sample_into(drawn, a, where);
    flow.sample_into(same, b);
    CHECK(drawn == same);
    CHECK(flow.prefix_log_prob(y.leftCols(1), where) == flow.prefix_log_prob(y.leftCols(1)));
    CHECK(flow.sample_given_prefix(y.leftCols(1), a, where) == flow.sample_given_prefix(y.leftCols(1), b));
    CHECK(flow.bijector().forward(y, where).value == flow.bijector().forward(y).value);
    CHECK(flow.bijector().inverse(y, where).value == flow.bijector().inverse(y).value);
  });
  // A context is not taken for a place, nor a place for a context.
  STATIC_REQUIRE_FALSE(Place<Matrix<double>&>);
  STATIC_REQUIRE_FALSE(Place<MatrixView<const double>>);
  STATIC_REQUIRE_FALSE(std::convertible_to<Execution&, MatrixView<const double>>);
  CHECK_THROWS_AS(flow.log_prob(y, y), ShapeError);
}

TEST_CASE("The scalar type of an elementwise map with given parameters follows from its transformer", "[lists]") {
  const Elementwise map(AffineTransformer<double>(), 2, {0.5, -1, 0.2, 0});  // whole numbers among others
  STATIC_REQUIRE(std::same_as<decltype(map), const Elementwise<double>>);
  check_same<double>(map, Elementwise<double>(AffineTransformer<double>(), 2, vector<double>({0.5, -1, 0.2, 0})));
  const Elementwise single(AdditiveTransformer<float>(), 1, {0.25});
  STATIC_REQUIRE(std::same_as<decltype(single), const Elementwise<float>>);
  CHECK(single.raw()[0] == 0.25f);
  const Elementwise zero(AdditiveTransformer<float>(), 1, {0});
  CHECK(zero.raw()[0] == 0);
  const Poly<Transformer<double>> owner = AdditiveTransformer<double>();
  const Elementwise from_owner(owner, 2, {1, 2});
  STATIC_REQUIRE(std::same_as<decltype(from_owner), const Elementwise<double>>);
  CHECK(from_owner.raw()[1] == 2);
  // A network, with a bound of its input, or a vector as before.
  const Elementwise conditional(AdditiveTransformer<double>(), 2, Mlp<double>(1, 2, {.hidden = {3}}), 4);
  STATIC_REQUIRE(std::same_as<decltype(conditional), const Elementwise<double>>);
  const Elementwise given(AdditiveTransformer<double>(), 2, std::vector<double>{1, 2});
  check_same<double>(given, from_owner);
}

TEST_CASE("A pass says whether it can draw", "[lists]") {
  Workspace memory;
  Tape<double> tape(Tape<double>::Mode::evaluate, {memory.batch, memory.local}, 4);
  const RandomCall call = Engine(1).next_call();
  Pass<double>::Settings settings;
  CHECK_FALSE(Pass<double>(tape, settings).has_noise());
  CHECK_THROWS_AS(Pass<double>(tape, settings).normal(1), Error);
  settings.noise = &call;
  Pass<double> pass(tape, settings);
  CHECK(pass.has_noise());
  CHECK(std::isfinite(pass.normal(1).values()[0]));
}

TEST_CASE("Properties by TFP's names", "[lists]") {
  const Exp<double> elementwise(2);
  CHECK(elementwise.forward_min_event_ndims() == 0);
  CHECK(elementwise.inverse_min_event_ndims() == 0);
  const Permute<double> mixing(std::vector<std::int64_t>{1, 0});
  CHECK(mixing.forward_min_event_ndims() == 1);
  CHECK(mixing.inverse_min_event_ndims() == 1);
  CHECK(Bijector<double>::validate_args());
}
