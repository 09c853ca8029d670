// Maps side by side and independent distributions side by side: sums, spaces, prefixes, tails, refusals.

#include <cmath>
#include <pushforward/bijectors/affine.hpp>
#include <pushforward/bijectors/blocks.hpp>
#include <pushforward/bijectors/chain.hpp>
#include <pushforward/bijectors/elementwise.hpp>
#include <pushforward/bijectors/affine_transformer.hpp>
#include <pushforward/bijectors/exp.hpp>
#include <pushforward/bijectors/lu_linear.hpp>
#include <pushforward/bijectors/permute.hpp>
#include <pushforward/bijectors/sigmoid.hpp>
#include <pushforward/bijectors/softmax_centered.hpp>
#include <pushforward/distributions/gamma.hpp>
#include <pushforward/distributions/multivariate_normal_tril.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/product.hpp>
#include <pushforward/distributions/student_t.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <pushforward/distributions/uniform.hpp>
#include <pushforward/evaluator.hpp>
#include <pushforward/flows/builders.hpp>
#include <pushforward/nn/mlp.hpp>
#include <pushforward/testing/gradient_check.hpp>
#include <pushforward/training/fit.hpp>
#include <vector>

#include "tests/catch.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;

namespace {

Matrix<double> normal_rows(Index n, Index cols, std::uint64_t seed) {
  Engine engine(seed);
  return Normal<double>(cols).sample(n, engine);
}

Matrix<double> beside(const Matrix<double>& a, const Matrix<double>& b) {
  Matrix<double> m(a.rows(), a.cols() + b.cols());
  m << a, b;
  return m;
}

MultivariateNormalTriL<double> correlated() {
  Matrix<double> factor = Matrix<double>::Zero(2, 2);
  factor << 1.5, 0, -0.7, 0.4;
  return {std::vector<double>{1, -2}, factor};
}

}  // namespace

TEST_CASE("Blocks: each part has its own columns, in both directions", "[blocks]") {
  LULinear<double> lu(2);
  pushforward::testing::perturb<double>(lu, 3, 0.4);
  const Exp<double> exp(1);
  const SoftmaxCentered<double> simplex(2);
  const Blocks blocks(lu, exp, simplex);
  CHECK(blocks.base_dim() == 5);
  CHECK(blocks.dim() == 6);
  CHECK(blocks.name() == "Blocks(LULinear, Exp, SoftmaxCentered)");
  CHECK(blocks.domain().to_text() == "real^5");
  CHECK(blocks.codomain().to_text() == "real^2 x (0, inf) x simplex(3)");
  CHECK_FALSE(blocks.is_elementwise());

  const Matrix<double> x = normal_rows(40, 5, 1);
  const MappedRows<double> y = blocks.forward(x), a = lu.forward(Matrix<double>(x.leftCols(2))),
                           b = exp.forward(Matrix<double>(x.col(2))),
                           c = simplex.forward(Matrix<double>(x.rightCols(2)));
  CHECK(y.value == beside(beside(a.value, b.value), c.value));
  CHECK((y.log_det - a.log_det - b.log_det - c.log_det).cwiseAbs().maxCoeff() < 1e-13);
  const MappedRows<double> back = blocks.inverse(y.value);
  CHECK((back.value - x).cwiseAbs().maxCoeff() < 1e-12);
  CHECK((back.log_det + y.log_det).cwiseAbs().maxCoeff() < 1e-12);

  Matrix<double> bad = y.value;
  bad(7, 2) = -1;
  CHECK_THROWS_WITH(blocks.inverse(bad), ContainsSubstring("row 7"));
}

TEST_CASE("Blocks: spaces, orders and directions are those of the parts", "[blocks]") {
  const Blocks elementwise(Affine<double>(2), Sigmoid<double>(1));
  CHECK(elementwise.is_elementwise());
  CHECK(elementwise.is_increasing() == std::vector<bool>{true, true, true});
  CHECK(elementwise.triangular_order().empty());
  CHECK(elementwise.log_scale_bound() == std::numeric_limits<double>::infinity());
  CHECK(Blocks(Affine<double>(2), Affine<double>(1)).log_scale_bound() == Affine<double>(3).log_scale_bound());
  CHECK(Blocks(Affine<double>(2), Affine<double>(1)).is_constant_jacobian());
  CHECK_FALSE(elementwise.is_constant_jacobian());
  // The image of a part of the domain, cut where the parts meet.
  const Space image = elementwise.image(Space::box({{}, {0, 1}, {0, std::numeric_limits<double>::infinity()}}));
  CHECK(image.to_text() == "real x (0, 1) x (0.5, 1)");
  const TransformedDistribution<double> flow = maf<double>(3, {.layers = 1, .hidden = 8});
  const Blocks<double> triangular({Exp<double>(2), flow.copy_bijector()});
  CHECK(triangular.triangular_order() == std::vector<std::int64_t>{0, 1, 2, 3, 4});
  CHECK_THROWS_AS(Blocks(LULinear<double>(2), Exp<double>(1)).triangular_order(), NotImplemented);
  CHECK_THROWS_AS(Blocks<double>(std::vector<Poly<Bijector<double>>>()), ShapeError);
  const auto conditional = [](Index context) {
    return Elementwise<double>(AffineTransformer<double>(), 1, Mlp<double>(context, 2, {.hidden = {3}}));
  };
  CHECK(Blocks(Exp<double>(1), conditional(2)).context_dim() == 2);
  CHECK_THROWS_WITH(
      Blocks(conditional(2), conditional(3)),
      ContainsSubstring("Blocks: part 1 (Elementwise) takes 3 context columns but an earlier one takes 2"));
  CHECK_THROWS_WITH(triangular.part(2), ContainsSubstring("part"));
}

TEST_CASE("A slice of a space has its blocks, and of those that it cuts the bounds", "[blocks][space]") {
  const Space space = Space::real(2) * Space::simplex(3) * Space::integers({{0, 4}, {1, 9}});
  CHECK(space.slice(0, 7) == space);
  CHECK(space.slice(1, 4) == Space::real(1) * Space::simplex(3));
  CHECK(space.slice(6, 1) == Space::integers({{1, 9}}));
  CHECK(space.slice(2, 2) == Space::unknown({space[2], space[3]}));
  CHECK(space.slice(3, 0) == Space());
  CHECK_THROWS_AS(space.slice(5, 3), ShapeError);
  CHECK_THROWS_AS(space.slice(-1, 2), ShapeError);
}

TEST_CASE("Product: sums of the parts, moments in blocks", "[product]") {
  const MultivariateNormalTriL<double> normal = correlated();
  const Gamma<double> gamma(std::vector<double>{2.5}, std::vector<double>{0.5});
  const Product product(normal, gamma);
  CHECK(product.dim() == 3);
  CHECK(product.name() == "Product(MultivariateNormalTriL, Gamma)");
  CHECK(product.support().to_text() == "real^2 x (0, inf)");
  Engine engine(5);
  const Matrix<double> y = product.sample(20000, engine);
  const Eigen::VectorXd expected =
      normal.log_prob(Matrix<double>(y.leftCols(2))) + gamma.log_prob(Matrix<double>(y.col(2)));
  CHECK((product.log_prob(y) - expected).cwiseAbs().maxCoeff() < 1e-12);
  CHECK(product.entropy() == Approx(normal.entropy() + gamma.entropy()).epsilon(1e-14));
  const Eigen::MatrixXd covariance = product.covariance();
  CHECK(covariance.topLeftCorner(2, 2) == normal.covariance());
  CHECK(covariance(2, 2) == Approx(gamma.variance()[0]).epsilon(1e-14));
  CHECK((covariance(0, 2) == 0 && covariance(2, 1) == 0));
  CHECK((product.mean() - y.colwise().mean().transpose()).cwiseAbs().maxCoeff() < 0.15);
  // Of the same stream no two parts have the same numbers.
  const Product twice(Normal<double>(1), Normal<double>(1));
  const Matrix<double> z = twice.sample(2000, engine);
  CHECK(std::abs((z.col(0).array() * z.col(1).array()).mean()) < 0.1);
  CHECK(kl_divergence<double>(product, Product(Normal<double>(2), Gamma<double>(1))) ==
        Approx(kl_divergence<double>(normal, Normal<double>(2)) + kl_divergence<double>(gamma, Gamma<double>(1)))
            .epsilon(1e-13));
  CHECK_FALSE(product.exact_kl_divergence(Normal<double>(3)));
  CHECK_FALSE(product.exact_kl_divergence(Product(Normal<double>(1), Normal<double>(1), Gamma<double>(1))));
  CHECK_THROWS_AS(product.cdf(y), NotImplemented);
}

TEST_CASE("Product: tails of columns, prefixes part after part", "[product]") {
  const StudentT<double> student(std::vector<double>{3}, std::vector<double>{0}, std::vector<double>{2});
  const Normal<double> normal(std::vector<double>{1}, std::vector<double>{2});
  const Uniform<double> uniform(std::vector<double>{-1}, std::vector<double>{4});
  const Product columns(student, uniform);
  const Matrix<double> y = (Matrix<double>(2, 2) << -3, 0, 5, 3.5).finished();
  CHECK(columns.cdf(y) == beside(student.cdf(Matrix<double>(y.col(0))), uniform.cdf(Matrix<double>(y.col(1)))));
  CHECK((columns.quantile(columns.cdf(y)) - y).cwiseAbs().maxCoeff() < 1e-12);
  CHECK(Product(normal, Normal<double>(2)).triangular_order().empty());
  CHECK_THROWS_AS(columns.triangular_order(), NotImplemented);

  TransformedDistribution<double> flow = maf<double>(2, {.layers = 1, .hidden = 8, .seed = 3});
  pushforward::testing::perturb<double>(flow, 1, 0.3);
  const Product mixed(flow, normal, flow);
  CHECK(mixed.triangular_order().size() == 5);
  Engine engine(2);
  const Matrix<double> rows = mixed.sample(50, engine);
  const Eigen::VectorXd four = flow.log_prob(Matrix<double>(rows.leftCols(2))) +
                               normal.log_prob(Matrix<double>(rows.col(2))) +
                               flow.prefix_log_prob(Matrix<double>(rows.col(3)));
  CHECK((mixed.prefix_log_prob(Matrix<double>(rows.leftCols(4))) - four).cwiseAbs().maxCoeff() < 1e-12);
  const Matrix<double> given = mixed.sample_given_prefix(Matrix<double>(rows.leftCols(3)), engine);
  CHECK(given.leftCols(3) == rows.leftCols(3));
  CHECK((given.rightCols(2) - rows.rightCols(2)).cwiseAbs().minCoeff() > 0);
  const Product no_order(Normal<double>(1), real_nvp<double>(2, {.layers = 2, .hidden = 8}));
  CHECK_THROWS_AS(no_order.triangular_order(), NotImplemented);
}

TEST_CASE("A flow over a base of different columns trains, and serves single rows", "[product]") {
  // Heavy tails in the first column, a bounded second one.
  Engine engine(9);
  const Product base(StudentT<double>(1), Normal<double>(1));
  const Blocks onto(Affine<double>({3.0}, {std::log(0.5)}), Chain(Affine<double>({0.4}, {0.3}), Sigmoid<double>(1)));
  const TransformedDistribution truth(base, onto);
  const Matrix<double> y = truth.sample(3000, engine);
  TransformedDistribution flow(Product(StudentT<double>(1), Normal<double>(1)),
                               Blocks(Affine<double>(1), Chain(Affine<double>(1), Sigmoid<double>(1))));
  const FitReport report = fit(flow, y, {.epochs = 60, .batch_size = 256, .learning_rate = 0.02, .seed = 3});
  const double expected = truth.log_prob(y).mean();
  INFO(expected << ' ' << flow.log_prob(y).mean());
  CHECK(flow.log_prob(y).mean() > expected - 0.01);
  CHECK(report.validation.mean > -std::numeric_limits<double>::infinity());
  const Evaluator<double> evaluator(flow);
  Workspace workspace;
  const Eigen::VectorXd all = flow.log_prob(y);
  Eigen::VectorXd one(1);
  for (Index i = 0; i < 20; ++i) {
    evaluator.log_prob_into(Matrix<double>(y.row(i)), one, workspace);
    CHECK(one[0] == all[i]);
  }
}
