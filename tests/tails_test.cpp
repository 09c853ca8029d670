// cdf, survival, their logarithms and quantiles of whole matrices.

#include <pushforward/bijectors/chain.hpp>
#include <pushforward/bijectors/exp.hpp>
#include <pushforward/bijectors/scale.hpp>
#include <pushforward/bijectors/shift.hpp>
#include <pushforward/distributions/mixture.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/student_t.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>

#include <boost/math/distributions/normal.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "tests/catch.hpp"
#include "tests/distributions.hpp"

using namespace pushforward;
using distribution_tests::check_near;
using distribution_tests::inf;
using distribution_tests::nan_value;

namespace {

double normal_cdf(double z) { return boost::math::cdf(boost::math::normal(), z); }
/// Each from the smaller of the two tails.
double log_normal_cdf(double z) { return z > 0 ? std::log1p(-normal_cdf(-z)) : std::log(normal_cdf(z)); }
double normal_quantile(double p) { return boost::math::quantile(boost::math::normal(), p); }

/// y = exp(scale_c x) for standard normal x: log-normal, in falling columns of 1/x.
const std::vector<double> scales{0.5, -2, 1.5};
TransformedDistribution<double> mixed_directions() {
  return {Normal<double>(3), Chain<double>(Scale<double>(scales), Exp<double>(3))};
}

/// Counts the rows that it maps.
class Counted final : public Bijector<double> {
 public:
  Counted(Index dim, Index* rows) : Bijector<double>("Counted", dim), rows_(rows) {}

 private:
  Mapped<double> do_forward(Pass<double>& pass, Var<double> x) const override {
    *rows_ += pass.rows();
    return {x + 1.0, {}};
  }
  Mapped<double> do_inverse(Pass<double>& pass, Var<double> y) const override {
    *rows_ += pass.rows();
    return {y - 1.0, {}};
  }
  bool do_is_elementwise() const override { return true; }
  std::vector<bool> do_is_increasing() const override {
    return std::vector<bool>(static_cast<std::size_t>(this->dim()), true);
  }
  void do_fields(Fields<double>& f) override { f.type("counted"); }

  Index* rows_;
};

}  // namespace

TEST_CASE("tails of columns that rise and fall", "[tails]") {
  const TransformedDistribution<double> d = mixed_directions();
  const Index n = 600;  // more than a tile
  Matrix<double> y(n, 3);
  for (Index i = 0; i < n; ++i)
    for (Index c = 0; c < 3; ++c)
      y(i, c) = std::exp(-30 + 0.1 * static_cast<double>(i) + 0.01 * static_cast<double>(c));
  const Matrix<double> cdf = d.cdf(y), survival = d.survival(y);
  const Matrix<double> log_cdf = d.log_cdf(y), log_survival = d.log_survival(y);
  for (Index i = 0; i < n; ++i)
    for (Index c = 0; c < 3; ++c) {
      const double s = scales[static_cast<std::size_t>(c)], z = std::log(y(i, c)) / std::abs(s);
      INFO("row " << i << ", column " << c);
      check_near(cdf(i, c), normal_cdf(z), 1e-11, 1e-300);
      check_near(survival(i, c), normal_cdf(-z), 1e-11, 1e-300);
      if (z > -37) check_near(log_cdf(i, c), log_normal_cdf(z), 1e-11, 1e-300);
      if (z < 37) check_near(log_survival(i, c), log_normal_cdf(-z), 1e-11, 1e-300);
      CHECK(std::isfinite(log_cdf(i, c)));
      CHECK(std::isfinite(log_survival(i, c)));
    }
  Matrix<double> p(3, 3);
  p << 1e-200, 0.3, 0.999, 0.5, 1e-12, 1e-300, 0.25, 0.75, 0.1;
  const Matrix<double> quantile = d.quantile(p), complement = d.quantile_complement(p);
  for (Index i = 0; i < 3; ++i)
    for (Index c = 0; c < 3; ++c) {
      const double s = std::abs(scales[static_cast<std::size_t>(c)]), x = s * normal_quantile(p(i, c));
      check_near(quantile(i, c), std::exp(x), 1e-11);
      check_near(complement(i, c), std::exp(-x), 1e-11);
    }
}

TEST_CASE("NaN, ends and what lies beyond them stay in their place", "[tails]") {
  const TransformedDistribution<double> d = mixed_directions();
  Matrix<double> y(3, 3);
  y << 0, nan_value, inf, 1, -3, nan_value, -inf, 1, 1;
  const double left = 0, right = 1, middle = 0.5;
  Matrix<double> expected(3, 3);
  expected << left, nan_value, right, middle, left, nan_value, left, middle, middle;
  const auto check = [&](const Matrix<double>& got, auto of) {
    for (Index i = 0; i < 3; ++i)
      for (Index c = 0; c < 3; ++c) {
        INFO("row " << i << ", column " << c);
        if (std::isnan(expected(i, c)))
          CHECK(std::isnan(got(i, c)));
        else
          CHECK(got(i, c) == of(expected(i, c)));
      }
  };
  check(d.cdf(y), [](double p) { return p; });
  check(d.survival(y), [](double p) { return 1 - p; });
  check(d.log_cdf(y), [](double p) { return std::log(p); });
  check(d.log_survival(y), [](double p) { return std::log(1 - p); });
  Matrix<double> p(1, 3);
  p << nan_value, 0, 1;
  const Matrix<double> low = d.quantile(p), high = d.quantile_complement(p);
  CHECK(std::isnan(low(0, 0)));
  CHECK(low(0, 1) == 0);
  CHECK(low(0, 2) == inf);
  CHECK(high(0, 1) == inf);
  CHECK(high(0, 2) == 0);
  CHECK(d.cdf(Matrix<double>(0, 3)).rows() == 0);
  p(0, 2) = 1.5;
  CHECK_THROWS_WITH(d.quantile(p), Catch::Matchers::ContainsSubstring("row 0, column 2"));
  Matrix<double> narrow(3, 2);
  CHECK_THROWS_AS(d.tail_into(Distribution<double>::Tail::cdf, y, narrow), ShapeError);
}

TEST_CASE("tails and quantiles of a mixture of transformed columns", "[tails]") {
  const std::vector<double> loc{-1, 2}, scale{0.5, 2}, logits{std::log(0.3), std::log(0.7)};
  const TransformedDistribution<double> rising(Normal<double>(2), Shift<double>({3, -1}));
  const Mixture<double> d({Normal<double>(loc, scale), rising}, logits);
  const auto cdf = [&](double v, std::size_t c) {
    return 0.3 * normal_cdf((v - loc[c]) / scale[c]) + 0.7 * normal_cdf(v - (c == 0 ? 3 : -1));
  };
  Matrix<double> y(400, 2);
  for (Index i = 0; i < y.rows(); ++i) {
    const double step = 0.05 * static_cast<double>(i);
    y.row(i) << -8 + step, 12 - step;
  }
  const Matrix<double> p = d.cdf(y), log_p = d.log_cdf(y), log_q = d.log_survival(y);
  for (Index i = 0; i < y.rows(); ++i)
    for (Index c = 0; c < 2; ++c) {
      const double expected = cdf(y(i, c), static_cast<std::size_t>(c));
      check_near(p(i, c), expected, 1e-12);
      check_near(log_p(i, c), std::log(expected), 1e-11, 1e-13);
      if (expected < 0.5) check_near(log_q(i, c), std::log1p(-expected), 1e-11, 1e-13);
    }
  const Matrix<double> back = d.quantile(p);
  for (Index i = 0; i < y.rows(); ++i)
    for (Index c = 0; c < 2; ++c)
      if (p(i, c) > 1e-10 && p(i, c) < 0.999) check_near(back(i, c), y(i, c), 1e-9, 1e-9);
}

TEST_CASE("each row is mapped once for all its columns", "[tails]") {
  Index rows = 0;
  const Index dim = 8, n = 1000;
  const TransformedDistribution<double> d(Normal<double>(dim), Counted(dim, &rows));
  const Matrix<double> y = Matrix<double>::Constant(n, dim, 0.3), p = Matrix<double>::Constant(n, dim, 0.3);
  const auto mapped = [&](auto call) {
    rows = 0;
    static_cast<void>(call());
    return rows;
  };
  CHECK(mapped([&] { return d.log_prob(y); }) == n);
  const Index tolerance = 4;  // rows that say where the ends of the support lie
  CHECK(mapped([&] { return d.cdf(y); }) <= n + tolerance);
  CHECK(mapped([&] { return d.log_survival(y); }) <= n + tolerance);
  CHECK(mapped([&] { return d.quantile(p); }) <= n + tolerance);
  CHECK(d.cdf(y)(7, 3) == Normal<double>(dim).cdf(Matrix<double>(y.array() - 1))(7, 3));
}

TEST_CASE("tails in float are those of the value that float holds", "[tails]") {
  const std::vector<float> df{3}, loc{0.1f}, scale{0.7f};
  const TransformedDistribution<float> d(StudentT<float>(df, loc, scale), Exp<float>(1));
  const Eigen::MatrixXf y{{0.4f}, {NAN}, {0.0f}, {7.0f}};
  const Matrix<double> p = d.cdf(y), q = d.survival(y);
  CHECK(p(0, 0) + q(0, 0) == Approx(1).epsilon(1e-12));
  CHECK(std::isnan(p(1, 0)));
  CHECK(p(2, 0) == 0);
  CHECK(d.quantile(Matrix<double>(p.bottomRows(1)))(0, 0) == Approx(7).epsilon(1e-5));
}
