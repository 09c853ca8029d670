// Mixtures of different supports: densities, quantiles, gradients.

#include <cmath>
#include <limits>
#include <pushforward/bijectors/chain.hpp>
#include <pushforward/bijectors/exp.hpp>
#include <pushforward/bijectors/shift.hpp>
#include <pushforward/distributions/beta.hpp>
#include <pushforward/distributions/gamma.hpp>
#include <pushforward/distributions/laplace.hpp>
#include <pushforward/distributions/mixture.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/uniform.hpp>
#include <utility>
#include <vector>

#include "tests/catch.hpp"
#include "tests/distributions.hpp"

using namespace pushforward;
using namespace distribution_tests;

TEMPLATE_TEST_CASE("mixtures of different supports", "[distributions]", float, double) {
  using T = TestType;
  using V = std::vector<T>;
  const Mixture<T> d({Uniform<T>(V{-1}, V{1}), Gamma<T>(V{2}, V{1}), Beta<T>(V{2}, V{2})}, V{0, 1, T(-1)});
  const Eigen::VectorXd w = d.weights();
  Matrix<T> y(4, 1);
  y << T(-0.5), T(0.5), T(3), T(-2);
  const LogProbAndGradient<T> got = d.log_prob_and_gradient(y);
  const double tolerance = sizeof(T) == 4 ? 1e-6 : 1e-14;
  check_near(got.log_prob[0], std::log(w[0] / 2), tolerance);
  check_near(got.log_prob[1], std::log(w[0] / 2 + w[1] * 0.5 * std::exp(-0.5) + w[2] * 1.5), tolerance, tolerance);
  check_near(got.log_prob[2], std::log(w[1] * 3) - 3, tolerance);
  CHECK(got.log_prob[3] == -inf);
  CHECK(got.gradient(0, 0) == 0);
  check_near(static_cast<double>(got.gradient(2, 0)), 1.0 / 3 - 1, 10 * tolerance);
  CHECK(got.gradient(3, 0) == 0);
  CHECK(d.support() == Space::box(1, {-1, inf}));
  // A mixture of mixtures, and one component alone.
  const Mixture<T> nested({d, Uniform<T>(V{-3}, V{-1})}, V{0, 0});
  check_near(nested.log_prob(y)[2], got.log_prob[2] + std::log(0.5), tolerance);
  check_near(nested.log_prob(y)[3], std::log(0.25), tolerance);
  const Mixture<T> single(std::vector<Any<T>>{d});
  CHECK(single.log_prob(y) == got.log_prob);
  // A weight that underflows.
  const Mixture<T> lone({Normal<T>(1), Normal<T>(V{5}, V{1})}, V{0, T(-2000)});
  CHECK(lone.log_prob(y) == Normal<T>(1).log_prob(y));
  check_near(lone.mean()[0], 0, 0, 1e-300);

  // cdf, quantile
  for (const double p : {1e-9, 0.01, 0.3, 0.8, 0.999999}) {
    const Matrix<double> m = Matrix<double>::Constant(1, 1, p);
    const std::vector<double> loc{4}, scale{0.5};
    const Mixture<double> precise({Normal<double>(1), Laplace<double>(loc, scale)});
    check_near(precise.cdf(precise.quantile(m))(0, 0), p, 1e-12);
    check_near(precise.survival(precise.quantile_complement(m))(0, 0), p, 1e-12);
    check_near(precise.log_cdf(precise.quantile(m))(0, 0), std::log(p), 1e-11, 1e-15);
  }
  CHECK(d.quantile(one(0))(0, 0) == -1);
  CHECK(d.quantile(one(1))(0, 0) == inf);
}

TEST_CASE("gradients pass through a mixture with rows outside of some components", "[distributions]") {
  using V = std::vector<double>;
  const Uniform<double> box(V{-1, -1}, V{1, 1});
  Mixture<double> d({box, Gamma<double>(V{2, 3}, V{1, 2}), Normal<double>(V{0, 1}, V{2, 2})}, V{0, 1, -1});
  Engine engine(6);
  const Matrix<double> y = d.sample(50, engine);
  std::vector<Slot<double>> slots = list_state(static_cast<Component<double>&>(d));
  std::vector<const Tensor<double>*> tensors;
  for (const auto& slot : slots) tensors.push_back(slot.tensor);
  Gradients<double> gradients(tensors);
  recorded_sum(d, y, &gradients);
  for (Slot<double>& slot : slots)
    for (Index i = 0; i < slot.tensor->size(); ++i) {
      INFO(slot.path << " " << i);
      const double kept = (*slot.tensor)[i], step = 1e-5;
      (*slot.tensor)[i] = kept + step;
      const double high = recorded_sum(d, y, nullptr);
      (*slot.tensor)[i] = kept - step;
      const double low = recorded_sum(d, y, nullptr);
      (*slot.tensor)[i] = kept;
      check_near(gradients.find(slot.tensor)[i], (high - low) / (2 * step), 1e-6, 1e-5);
    }
}

TEST_CASE("A component or a part that is not there is refused by name", "[mixture]") {
  using Catch::Matchers::ContainsSubstring;
  Mixture<double> mixture({Normal<double>(2), Normal<double>(2)});
  for (const Index k : {Index{-1}, Index{2}, std::numeric_limits<Index>::max()}) {
    INFO(k);
    CHECK_THROWS_AS(mixture.component(k), DomainError);
    CHECK_THROWS_WITH(std::as_const(mixture).component(k),
                      ContainsSubstring("Mixture: there is no component " + std::to_string(k) + "; there are 2"));
  }
  Chain<double> chain(Exp<double>(2), Shift<double>({1, 2}));
  for (const Index i : {Index{-1}, Index{2}, std::numeric_limits<Index>::min()}) {
    INFO(i);
    const auto text = ContainsSubstring("Chain(Exp, Shift): there is no part " + std::to_string(i) + "; there are 2");
    CHECK_THROWS_AS(chain.part(i), DomainError);
    CHECK_THROWS_WITH(chain.part(i), text);
    CHECK_THROWS_WITH(std::as_const(chain).part(i), text);
    CHECK_THROWS_WITH(chain.copy_part(i), text);
  }
  CHECK(chain.part(1).name() == "Shift");
}
