// Elementwise bijectors: closed forms, edges of the ranges, gradients.

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <pushforward/bijectors/act_norm.hpp>
#include <pushforward/bijectors/batch_normalization.hpp>
#include <pushforward/bijectors/exp.hpp>
#include <pushforward/bijectors/identity.hpp>
#include <pushforward/bijectors/log.hpp>
#include <pushforward/bijectors/lu_linear.hpp>
#include <pushforward/bijectors/permute.hpp>
#include <pushforward/bijectors/scale.hpp>
#include <pushforward/bijectors/shift.hpp>
#include <pushforward/bijectors/sigmoid.hpp>
#include <pushforward/bijectors/softplus.hpp>
#include <pushforward/bijectors/tanh.hpp>
#include <pushforward/error.hpp>
#include <vector>

#include "tests/catch.hpp"
#include "tests/again.hpp"
#include "tests/bijectors.hpp"

using namespace pushforward;
using namespace bijector_tests;
using Catch::Matchers::ContainsSubstring;

namespace {

long double exact_softplus(long double x) { return std::max(x, 0.0L) + std::log1p(std::exp(-std::abs(x))); }

}  // namespace

// ------------------------------------------------------------------------------------------------ simplest members

TEST_CASE("identity and shift") {
  const Matrix<double> x = some_rows<double>(5, 3);
  const Identity<double> identity(3);
  CHECK(identity.forward(x).value == x);
  CHECK(identity.inverse(x).log_det == Eigen::VectorXd::Zero(5));
  CHECK(identity.is_increasing() == std::vector<bool>(3, true));
  CHECK(identity.log_scale_bound() == 0);

  const Shift<double> shift(std::vector<double>{1, -2, 0.5});
  const auto forward = shift.forward(x);
  CHECK(forward.value(4, 1) == x(4, 1) - 2);
  CHECK(forward.log_det == Eigen::VectorXd::Zero(5));
  check_close(shift.inverse(forward.value).value, x, 1e-15);
  CHECK_THROWS_AS(Identity<double>(0), ShapeError);
  CHECK_THROWS_AS(Shift<float>(std::vector<float>{}), ShapeError);
}

TEST_CASE("scale keeps the sign of each column") {
  const std::vector<double> values{2, -0.5, 1};
  Scale<double> scale(values);
  const Matrix<double> x = some_rows<double>(4, 3);
  const auto forward = scale.forward(x);
  for (Index i = 0; i < 4; ++i)
    for (Index c = 0; c < 3; ++c)
      CHECK(forward.value(i, c) == Approx(values[static_cast<std::size_t>(c)] * x(i, c)).epsilon(1e-14));
  CHECK(forward.log_det[2] == Approx(std::log(2.0) + std::log(0.5)).margin(1e-14));
  CHECK(scale.is_increasing() == std::vector<bool>{true, false, true});
  CHECK(scale.log_scale_bound() == 30);
  const auto inverse = scale.inverse(forward.value);
  check_close(inverse.value, x, 1e-14);
  check_close(inverse.log_det, Eigen::VectorXd(-forward.log_det), 1e-14);
  check_gradients(scale, true, x, Statistics::running);
  check_gradients(scale, false, x, Statistics::running);

  const Scale<double> copy = made_again<Scale<double>>(scale.describe());
  CHECK(copy.describe() == scale.describe());
  CHECK(copy.sign() == scale.sign());
  CHECK_THROWS_WITH(Scale<double>(std::vector<double>{1, 0}), ContainsSubstring("column 1"));
  CHECK_THROWS_AS(Scale<double>(std::vector<double>{1e5}), DomainError);
  CHECK_NOTHROW(Scale<double>(std::vector<double>{1e5}, 20));
  CHECK_THROWS_AS(Scale<double>(2, 0.0), DomainError);
  Description bad = scale.describe();
  bad.constants["sign"] = std::vector<std::int64_t>{1, 0, 1};
  CHECK_THROWS_WITH(made_again<Scale<double>>(bad), ContainsSubstring("sign"));
  bad.constants["sign"] = std::vector<std::int64_t>{1, 1};
  CHECK_THROWS_AS(made_again<Scale<double>>(bad), IoError);
}

TEST_CASE("descriptions make the same object again") {
  const auto same = [](const auto& b) {
    using B = std::remove_cvref_t<decltype(b)>;
    CHECK(made_again<B>(b.describe()).describe() == b.describe());
    return b.describe().type;
  };
  CHECK(same(Identity<float>(2)) == "identity");
  CHECK(same(Shift<float>(2)) == "shift");
  CHECK(same(Scale<float>(2)) == "scale");
  CHECK(same(Exp<float>(2)) == "exp");
  CHECK(same(Log<float>(2)) == "log");
  CHECK(same(Softplus<float>(2)) == "softplus");
  CHECK(same(Sigmoid<float>(2, -0.1, 0.7)) == "sigmoid");
  CHECK(same(Tanh<float>(2)) == "tanh");
  CHECK(same(Permute<float>({2, 0, 1})) == "permute");
  CHECK(same(LULinear<float>(2)) == "lu_linear");
  CHECK(same(ActNorm<float>(2, 5, 1e-3)) == "act_norm");
  CHECK(same(BatchNormalization<float>(2, {.epsilon = 1e-3, .momentum = 0.5, .center = false, .scale = false})) ==
        "batch_normalization");
}

// --------------------------------------------------------------------------------------------- elementwise functions

TEMPLATE_TEST_CASE("exp and log over the whole range", "", float, double) {
  using T = TestType;
  const Exp<T> exp(1);
  const Log<T> log(1);
  constexpr T tiny = std::numeric_limits<T>::denorm_min(), smallest = std::numeric_limits<T>::min();
  for (const T y : {tiny, smallest / 4, smallest, T(1e-30), T(1), T(7), std::numeric_limits<T>::max()}) {
    INFO("y = " << y);
    const auto inverse = exp.inverse(one(y));
    CHECK(ulps(inverse.value(0, 0), std::log(static_cast<long double>(y))) <= 4);
    CHECK(inverse.log_det[0] == -static_cast<double>(inverse.value(0, 0)));
    CHECK(log.forward(one(y)).value == inverse.value);
    CHECK(log.forward(one(y)).log_det == inverse.log_det);
  }
  // Underflow stops inside the codomain, overflow does not.
  const T deep = exp.forward(one(T(-1e4))).value(0, 0);
  CHECK(deep == tiny);
  CHECK(exp.forward(one(T(-1e4))).log_det[0] == -1e4);
  CHECK_NOTHROW(exp.inverse(one(deep)));
  CHECK(exp.forward(one(T(1e4))).value(0, 0) == std::numeric_limits<T>::infinity());
  CHECK(log.inverse(one(T(-1e4))).value(0, 0) == tiny);

  for (const T y : {T(0), T(-0.0), T(-1), std::numeric_limits<T>::infinity()}) {
    CHECK_THROWS_AS(exp.inverse(one(y)), DomainError);
    CHECK_THROWS_AS(log.forward(one(y)), DomainError);
  }
  CHECK(std::isnan(exp.inverse(one(std::numeric_limits<T>::quiet_NaN())).value(0, 0)));
  CHECK(exp.codomain()[0] == Interval{0, std::numeric_limits<double>::infinity()});
  CHECK(log.domain()[0] == exp.codomain()[0]);
  CHECK(log.codomain()[0] == Interval{});
}

TEMPLATE_TEST_CASE("softplus over the whole range", "", float, double) {
  using T = TestType;
  const Softplus<T> softplus(1);
  for (const T x : {T(-80), T(-40), T(-1), T(0), T(0.3), T(40), T(1e4)}) {
    INFO("x = " << x);
    const auto forward = softplus.forward(one(x));
    CHECK(ulps(forward.value(0, 0), exact_softplus(x)) <= 4);
    CHECK(forward.log_det[0] == near<T>(-exact_softplus(-static_cast<long double>(x))).margin(0));
    const auto inverse = softplus.inverse(forward.value);
    CHECK(static_cast<double>(inverse.value(0, 0)) == near<T>(x));
    CHECK(inverse.log_det[0] == near<T>(-forward.log_det[0]));
  }
  // For tiny y the inverse is log y, denormals included.
  for (const T y : {T(1e-30), std::numeric_limits<T>::min() / 8, std::numeric_limits<T>::denorm_min()}) {
    INFO("y = " << y);
    const auto inverse = softplus.inverse(one(y));
    CHECK(ulps(inverse.value(0, 0), std::log(static_cast<long double>(y))) <= 4);
    CHECK(inverse.log_det[0] == Approx(-std::log(static_cast<double>(y))).epsilon(1e-6));
  }
  const T deep = softplus.forward(one(T(-1e4))).value(0, 0);
  CHECK(deep == std::numeric_limits<T>::denorm_min());
  CHECK(softplus.forward(one(T(-1e4))).log_det[0] == -1e4);
  CHECK_THROWS_AS(softplus.inverse(one(T(0))), DomainError);
  CHECK_THROWS_AS(softplus.inverse(one(T(-1e-30))), DomainError);
}

TEMPLATE_TEST_CASE("sigmoid stays strictly inside its bounds", "", float, double) {
  using T = TestType;
  struct Bounds {
    double low;
    double high;
  };
  for (const auto& [low, high] : {Bounds{0, 1}, {-1, 0}, {0.1, 0.2}, {-3, 1e6}, {1e6, 1e6 + 2}}) {
    const Sigmoid<T> sigmoid(1, low, high);
    const auto [l, h] = sigmoid.codomain()[0];
    constexpr double slack = static_cast<double>(std::numeric_limits<T>::epsilon());  // three logs may cancel
    for (const T x :
         {T(0), T(1e-3), T(-2), T(2), T(-17), T(17), T(-40), T(40), T(-1e4), T(1e4), std::numeric_limits<T>::max()}) {
      INFO("low " << low << " high " << high << " x " << x);
      const auto forward = sigmoid.forward(one(x));
      const T y = forward.value(0, 0);
      CHECK(static_cast<double>(y) > l);
      CHECK(static_cast<double>(y) < h);
      const long double e = x;
      const long double log_width = std::log(static_cast<long double>(h) - l);
      CHECK(forward.log_det[0] == near<T>(log_width - exact_softplus(e) - exact_softplus(-e)));
      const auto inverse = sigmoid.inverse(one(y));
      const long double above = std::log(static_cast<long double>(y) - l);
      const long double below = std::log(h - static_cast<long double>(y));
      CHECK(static_cast<double>(inverse.value(0, 0)) == near<T>(above - below));
      CHECK(inverse.log_det[0] == near<T>(log_width - above - below).margin(1e2 * slack));
    }
    CHECK_THROWS_AS(sigmoid.inverse(one(static_cast<T>(low))), DomainError);
    CHECK_THROWS_AS(sigmoid.inverse(one(static_cast<T>(high))), DomainError);
    CHECK_NOTHROW(sigmoid.inverse(one(std::nextafter(static_cast<T>(low), static_cast<T>(high)))));
    CHECK_NOTHROW(sigmoid.inverse(one(std::nextafter(static_cast<T>(high), static_cast<T>(low)))));
  }
  // Measured from the nearer bound: next to an upper bound of 0 nothing is lost.
  const Sigmoid<T> below(1, -1, 0);
  CHECK(ulps(below.forward(one(T(30))).value(0, 0), -1 / (1 + std::exp(30.0L))) <= 6);
  CHECK(static_cast<double>(below.inverse(below.forward(one(T(30))).value).value(0, 0)) == Approx(30).epsilon(1e-6));
}

TEST_CASE("sigmoid with bounds for each column") {
  const Sigmoid<double> sigmoid(std::vector<double>{0, -2}, std::vector<double>{1, 6});
  Matrix<double> x(1, 2);
  x << 0.7, -1.2;
  const auto forward = sigmoid.forward(x);
  CHECK(forward.value(0, 0) == Approx(1 / (1 + std::exp(-0.7))).epsilon(1e-15));
  CHECK(forward.value(0, 1) == Approx(-2 + 8 / (1 + std::exp(1.2))).epsilon(1e-15));
  CHECK(sigmoid.codomain()[1] == Interval{-2, 6});
  Sigmoid<double> copy = sigmoid;
  check_gradients(copy, true, some_rows<double>(5, 2, 2), Statistics::running);
  check_gradients(copy, false, sigmoid.forward(some_rows<double>(5, 2)).value, Statistics::running);

  const std::vector<double> two{0, 1}, three{1, 2, 3};
  CHECK_THROWS_AS(Sigmoid<double>(two, three), ShapeError);
  CHECK_THROWS_WITH(Sigmoid<double>(2, 1, 1), ContainsSubstring("low < high"));
  CHECK_THROWS_AS(Sigmoid<double>(2, 0, std::numeric_limits<double>::infinity()), DomainError);
  CHECK_THROWS_AS(Sigmoid<double>(2, std::nan(""), 1), DomainError);
  CHECK_THROWS_AS(Sigmoid<float>(1, 1.0, 1.0 + 1e-9), DomainError);  // no float between
  CHECK_THROWS_AS(Sigmoid<double>(0), ShapeError);
}

TEMPLATE_TEST_CASE("tanh stays strictly inside (-1, 1)", "", float, double) {
  using T = TestType;
  const Tanh<T> tanh(1);
  for (const T x : {T(0), T(-0.0), T(1e-6), T(-0.4), T(3), T(-9), T(40), T(-40), T(1e4), T(-1e4)}) {
    INFO("x = " << x);
    const auto forward = tanh.forward(one(x));
    CHECK(std::abs(forward.value(0, 0)) < T(1));
    const long double a = std::abs(static_cast<long double>(x));
    const long double log_det = 2 * (std::numbers::ln2_v<long double> - a - std::log1p(std::exp(-2 * a)));
    CHECK(forward.log_det[0] == near<T>(log_det));
    const auto inverse = tanh.inverse(forward.value);
    CHECK(ulps(inverse.value(0, 0), std::atanh(static_cast<long double>(forward.value(0, 0)))) <= 4);
  }
  for (const T y : {T(1e-30), std::nextafter(T(1), T(0)), std::nextafter(T(-1), T(0))}) {
    INFO("y = " << y);
    const auto inverse = tanh.inverse(one(y));
    const long double e = y;
    CHECK(ulps(inverse.value(0, 0), std::atanh(e)) <= 4);
    CHECK(inverse.log_det[0] == near<T>(-std::log1p(e) - std::log1p(-e)));
  }
  CHECK_THROWS_AS(tanh.inverse(one(T(1))), DomainError);
  CHECK_THROWS_AS(tanh.inverse(one(T(-1.5))), DomainError);
}

TEST_CASE("gradients of the elementwise functions, where they saturate too") {
  Matrix<double> x(6, 1);
  x << -3, -0.2, 0, 0.5, 2.5, 6;
  Tanh<double> tanh(1);
  Exp<double> exp(1);
  Log<double> log(1);
  Softplus<double> softplus(1);
  Sigmoid<double> sigmoid(1);
  for (Bijector<double>* b : std::initializer_list<Bijector<double>*>{&tanh, &exp, &softplus, &sigmoid}) {
    INFO(b->name());
    check_gradients(*b, true, x, Statistics::running);
    check_gradients(*b, false, b->forward(Matrix<double>(x / 3)).value, Statistics::running);
  }
  check_gradients(log, true, exp.forward(x).value, Statistics::running);
  check_gradients(log, false, x, Statistics::running);

  // Far out the value has stopped; the gradient of the log_det goes on.
  Matrix<double> far(2, 1);
  far << -1e4, 1e4;
  const Matrix<double> ones = Matrix<double>::Ones(2, 1);
  for (const Bijector<double>* b : std::initializer_list<const Bijector<double>*>{&tanh, &sigmoid}) {
    const auto r = record<double>(*b, true, far, ones, ones);
    const double slope = b == &tanh ? 2 : 1;
    CHECK(r.gradient(0, 0) == slope);
    CHECK(r.gradient(1, 0) == -slope);
  }
}
