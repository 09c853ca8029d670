// ActNorm: nflows' numbers, the start from a first batch, gradients, threads, edges.

#include <cmath>
#include <pushforward/bijectors/act_norm.hpp>
#include <pushforward/error.hpp>
#include <vector>

#include "tests/catch.hpp"
#include "tests/bijectors.hpp"

using namespace pushforward;
using namespace bijector_tests;

TEST_CASE("ActNorm agrees with nflows 0.14") {
  // There x = exp(log_scale) y + shift, and the start uses the unbiased variance.
  const auto o = oracle("nflows_act_norm");
  const std::vector<double> log_scale = numbers(o["weights"]["log_scale"]), shift = numbers(o["weights"]["shift"]);
  ActNorm<double> norm(4, ActNorm<double>::default_bound, 1e-300);
  std::vector<double> raw(4), start(4);
  for (std::size_t c = 0; c < 4; ++c) {
    raw[c] = 10 * std::atanh(-log_scale[c] / 10);
    start[c] = -shift[c] * std::exp(-log_scale[c]);
  }
  ActNorm<double> set_by_hand = norm;
  set<double>(set_by_hand, "log_scale", raw);
  set<double>(set_by_hand, "shift", start);
  const auto inverse = set_by_hand.inverse(matrix(o["y"]));
  check_close(inverse.value, matrix(o["outputs"]["inverse_x"]), 1e-12);
  check_close(inverse.log_det, numbers(o["outputs"]["inverse_log_det"]), 1e-12);
  const auto forward = set_by_hand.forward(matrix(o["x"]));
  check_close(forward.value, matrix(o["outputs"]["forward_y"]), 1e-12);
  check_close(forward.log_det, numbers(o["outputs"]["forward_log_det"]), 1e-12);

  const auto started = norm.inverse(matrix(o["data"]), Statistics::minibatch);
  check_close(started.value, Matrix<double>(matrix(o["outputs"]["data_inverse_x"]) * std::sqrt(9.0 / 8.0)), 1e-12);
  const auto unbiased = numbers(o["outputs"]["data_inverse_log_det"]);
  check_close(started.log_det, mapped(unbiased, [](double v) { return v + 2 * std::log(9.0 / 8.0); }), 1e-12);
}

TEMPLATE_TEST_CASE("ActNorm starts from the first training batch, when it is committed", "", float, double) {
  using T = TestType;
  ActNorm<T> norm(3);
  const Matrix<T> y = some_rows<T>(40, 3, 2.5, 30);
  const Matrix<T> up = some_rows<T>(40, 3), up_log_det = some_rows<T>(40, 1);

  // Sampling first, or a density with fixed statistics, changes nothing and proposes nothing.
  CHECK(norm.forward(y).value == y);
  CHECK(norm.inverse(y).value == y);
  CHECK(record<T>(norm, true, y, up, up_log_det, Statistics::minibatch).proposals.values.empty());
  CHECK(record<T>(norm, false, y, up, up_log_det, Statistics::running).proposals.values.empty());
  CHECK_FALSE(norm.is_initialized());

  const Recorded<T> first = record<T>(norm, false, y, up, up_log_det, Statistics::minibatch);
  CHECK_FALSE(norm.is_initialized());
  CHECK(first.proposals.values.size() == 3);
  for (Index c = 0; c < 3; ++c) {
    const Eigen::VectorXd x = first.value.col(c).template cast<double>();
    const double tolerance = sizeof(T) == 4 ? 1e-5 : 1e-12;
    CHECK(x.mean() == Approx(0).margin(tolerance));
    CHECK(x.squaredNorm() / 40 == Approx(1).margin(1e-6));
  }
  for (const auto& parameter : first.parameters)
    for (const T g : parameter) CHECK(g == 0);  // the start's values are constants

  // After the commit it is a plain affine map, and gives the bits of the first batch again.
  commit<T>(norm, first.proposals);
  CHECK(norm.is_initialized());
  const Recorded<T> second = record<T>(norm, false, y, up, up_log_det, Statistics::minibatch);
  CHECK(second.proposals.values.empty());
  CHECK(second.value == first.value);
  CHECK(second.log_det == first.log_det);
  CHECK(second.gradient == first.gradient);
  check_close(norm.forward(second.value).value, y, sizeof(T) == 4 ? 1e-6 : 1e-14);
  // The columns of another batch are not normalised.
  CHECK(std::abs(norm.inverse(Matrix<T>(y.array() + T(5))).value.mean()) > T(1));
}

TEST_CASE("ActNorm gradients, threads and edges") {
  ActNorm<double> norm(3);
  const Matrix<double> y = some_rows<double>(70, 3, 2.5, 3);
  const Matrix<double> up = some_rows<double>(70, 3), up_log_det = some_rows<double>(70, 1);
  const auto alone = record<double>(norm, false, y, up, up_log_det, Statistics::minibatch);
  const auto together = record<double>(norm, false, y, up, up_log_det, Statistics::minibatch, 3);
  CHECK(alone.value == together.value);
  CHECK(alone.gradient == together.gradient);
  CHECK(alone.proposals.values == together.proposals.values);
  commit<double>(norm, alone.proposals);
  check_gradients(norm, true, some_rows<double>(4, 3), Statistics::running);
  check_gradients(norm, false, some_rows<double>(4, 3), Statistics::minibatch);

  // The start's statistics are captured: an exact way back before anything is committed.
  const ActNorm<double> fresh(3);
  const auto captured = fresh.inverse(y, Statistics::minibatch);
  check_close(fresh.forward(captured.value, captured.statistics).value, y, 1e-14);

  // A constant column, one row, no rows.
  const auto flat = fresh.inverse(Matrix<double>(Matrix<double>::Constant(9, 3, 4.0)), Statistics::minibatch);
  CHECK(flat.value == Matrix<double>::Zero(9, 3));
  CHECK(flat.log_det[0] == Approx(-1.5 * std::log(1e-6)));
  CHECK(fresh.inverse(Matrix<double>(y.topRows(1)), Statistics::minibatch).value == Matrix<double>::Zero(1, 3));
  CHECK(fresh.inverse(Matrix<double>(0, 3), Statistics::minibatch).value.rows() == 0);
  CHECK(record<double>(fresh, false, Matrix<double>(0, 3), Matrix<double>(0, 3), Matrix<double>(0, 1),
                       Statistics::minibatch)
            .proposals.values.empty());
  // A spread beyond the bound.
  const auto wide = fresh.inverse(Matrix<double>(y * 1e9), Statistics::minibatch);
  CHECK(wide.log_det[0] == Approx(-3 * 9.9));
  CHECK_THROWS_AS(ActNorm<double>(2, -1.0), DomainError);
  CHECK_THROWS_AS(ActNorm<double>(2, 10, 0), DomainError);
}
