// Elementwise and linear bijectors and the normalisation layers: numbers from elsewhere, edges of the ranges, and the
// rules of which statistics a call uses.

#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <numbers>
#include <pushforward/bijectors/act_norm.hpp>
#include <pushforward/bijectors/batch_normalization.hpp>
#include <pushforward/bijectors/chain.hpp>
#include <pushforward/bijectors/exp.hpp>
#include <pushforward/bijectors/identity.hpp>
#include <pushforward/bijectors/invert.hpp>
#include <pushforward/bijectors/log.hpp>
#include <pushforward/bijectors/lu_linear.hpp>
#include <pushforward/bijectors/permute.hpp>
#include <pushforward/bijectors/scale.hpp>
#include <pushforward/bijectors/shift.hpp>
#include <pushforward/bijectors/sigmoid.hpp>
#include <pushforward/bijectors/softplus.hpp>
#include <pushforward/bijectors/tanh.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/error.hpp>
#include <pushforward/execution.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <set>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "src/core/evaluate.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;

namespace {

// ------------------------------------------------------------------------------------------------- small helpers

nlohmann::json oracle(const std::string& name) {
  std::ifstream in(std::string(PUSHFORWARD_TEST_DATA) + "/oracles/" + name + ".json");
  REQUIRE(in.good());
  return nlohmann::json::parse(in);
}

Matrix<double> matrix(const nlohmann::json& rows) {
  Matrix<double> m(static_cast<Index>(rows.size()), static_cast<Index>(rows.at(0).size()));
  for (Index i = 0; i < m.rows(); ++i)
    for (Index j = 0; j < m.cols(); ++j) m(i, j) = rows.at(static_cast<std::size_t>(i)).at(static_cast<std::size_t>(j));
  return m;
}

std::vector<double> numbers(const nlohmann::json& values) { return values.get<std::vector<double>>(); }

template <class A, class B>
void check_close(const A& a, const B& b, double tolerance) {
  REQUIRE(static_cast<Index>(a.size()) == static_cast<Index>(b.size()));
  for (Index i = 0; i < static_cast<Index>(a.size()); ++i) {
    INFO("element " << i << ": " << a.data()[i] << " and " << b.data()[i]);
    CHECK(std::abs(static_cast<double>(a.data()[i]) - static_cast<double>(b.data()[i])) <=
          tolerance * (1 + std::abs(static_cast<double>(b.data()[i]))));
  }
}

template <Scalar T>
Tensor<T>& tensor(Component<T>& component, const std::string& path) {
  for (const Slot<T>& slot : list_state(component))
    if (slot.path == path) return *slot.tensor;
  throw Error("no tensor " + path);
}

template <Scalar T, class Values>
void set(Component<T>& component, const std::string& path, const Values& values) {
  Tensor<T>& t = tensor(component, path);
  REQUIRE(t.size() == static_cast<Index>(values.size()));
  for (Index i = 0; i < t.size(); ++i) t[i] = static_cast<T>(values.data()[i]);
}

template <class F>
std::vector<double> mapped(std::vector<double> values, F f) {
  for (double& v : values) v = f(v);
  return values;
}

// Fixed numbers without a pattern.
template <Scalar T>
Matrix<T> some_rows(Index rows, Index cols, double scale = 1, double shift = 0) {
  Matrix<T> m(rows, cols);
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < cols; ++j)
      m(i, j) = static_cast<T>(shift + scale * (std::sin(1.3 * double(i * i + 1) + 2.1 * double(j)) +
                                                0.5 * std::cos(0.7 * double(i) * double(j + 1))));
  return m;
}

// The result of a recorded pass, and the gradients of sum(upstream * value) + sum(upstream_log_det * log_det).
template <Scalar T>
struct Recorded {
  Matrix<T> value;
  Eigen::VectorXd log_det;
  double loss = 0;
  Matrix<T> gradient;
  std::vector<std::vector<T>> parameters;
  Proposals<T> proposals;
  CapturedStatistics<T> captured;
};

template <Scalar T>
Recorded<T> record(const Bijector<T>& bijector, bool forward, const Matrix<T>& in, const Matrix<T>& upstream,
                   const Matrix<T>& upstream_log_det, Statistics statistics = Statistics::running, int threads = 1,
                   const CapturedStatistics<T>* captured = nullptr) {
  Recorded<T> r;
  const Index rows = in.rows(), dim = in.cols();
  r.value = r.gradient = Matrix<T>::Zero(rows, dim);
  r.log_det = Eigen::VectorXd::Zero(rows);
  std::vector<const Tensor<T>*> parameters;
  for (const ConstSlot<T>& slot : list_state<T>(static_cast<const Component<T>&>(bijector)))
    if (slot.kind == StateKind::parameter) parameters.push_back(slot.tensor);
  Gradients<T> gradients(parameters);
  Execution execution({.threads = threads});
  Eigen::VectorXd losses = Eigen::VectorXd::Zero(rows);
  const std::vector<double> seed(static_cast<std::size_t>(rows), 1.0);
  execution.run([&](int thread) {
    const Index blocks = (rows + 15) / 16;
    const Index begin = std::min(rows, blocks * thread / threads * 16);
    const Index end = std::min(rows, blocks * (thread + 1) / threads * 16);
    Tape<T> tape(Tape<T>::Mode::record, {execution.common(), execution.local(thread)}, rows, begin, end,
                 &execution.group(), thread);
    tape.set_gradients(&gradients);
    Pass<T> pass(tape,
                 {.statistics = statistics, .captured = captured, .proposals = &r.proposals, .capture = &r.captured});
    const Var<T> x = detail::load<T>(tape, in, true);
    const Mapped<T> m = forward ? bijector.forward(pass, x) : bijector.inverse(pass, x);
    const Column<T> loss = row_sum(m.value * detail::load<T>(tape, upstream, false)) +
                           multiply(m.log_det, row_sum(detail::load<T>(tape, upstream_log_det, false)));
    detail::store<T>(tape, m.value, r.value);
    for (Index i = 0; i < end - begin; ++i) {
      r.log_det[begin + i] = m.log_det.is_zero() ? 0 : m.log_det.values()[i];
      losses[begin + i] = loss.values()[i];
    }
    tape.backward(loss, seed.data());
    for (Index c = 0; c < dim; ++c)
      for (Index i = 0; i < end - begin; ++i) r.gradient(begin + i, c) = tape.gradient(x, c)[i];
  });
  r.loss = losses.sum();
  for (const Tensor<T>* p : parameters) r.parameters.emplace_back(gradients.find(p), gradients.find(p) + p->size());
  return r;
}

// Central differences of the same sum, in the input and in every parameter, against the recorded gradients.
void check_gradients(Bijector<double>& bijector, bool forward, const Matrix<double>& in, Statistics statistics) {
  const Matrix<double> upstream = some_rows<double>(in.rows(), in.cols(), 0.8, 0.3);
  const Matrix<double> upstream_log_det = some_rows<double>(in.rows(), 1, 1.1, -0.4);
  const auto loss = [&](const Matrix<double>& at) {
    return record<double>(bijector, forward, at, upstream, upstream_log_det, statistics).loss;
  };
  const Recorded<double> r = record<double>(bijector, forward, in, upstream, upstream_log_det, statistics);
  const double h = 1e-5;
  Matrix<double> at = in;
  for (Index i = 0; i < in.size(); ++i) {
    at.data()[i] = in.data()[i] + h;
    const double up = loss(at);
    at.data()[i] = in.data()[i] - h;
    const double down = loss(at);
    at.data()[i] = in.data()[i];
    INFO("input " << i);
    CHECK(r.gradient.data()[i] == Approx((up - down) / (2 * h)).epsilon(1e-6).margin(1e-7));
  }
  std::size_t p = 0;
  for (const Slot<double>& slot : list_state<double>(static_cast<Component<double>&>(bijector))) {
    if (slot.kind != StateKind::parameter) continue;
    for (Index i = 0; i < slot.tensor->size(); ++i) {
      const double kept = (*slot.tensor)[i];
      (*slot.tensor)[i] = kept + h;
      const double up = loss(in);
      (*slot.tensor)[i] = kept - h;
      const double down = loss(in);
      (*slot.tensor)[i] = kept;
      INFO(slot.path << " " << i);
      CHECK(r.parameters[p][static_cast<std::size_t>(i)] == Approx((up - down) / (2 * h)).epsilon(1e-6).margin(1e-7));
    }
    ++p;
  }
}

template <Scalar T>
Matrix<T> one(T value) {
  return Matrix<T>::Constant(1, 1, value);
}

// Distance in units of the last place of `b`.
template <Scalar T>
double ulps(T a, long double b) {
  const T rounded = static_cast<T>(b);
  const T step = std::nextafter(std::abs(rounded), std::numeric_limits<T>::infinity()) - std::abs(rounded);
  return static_cast<double>(std::abs(static_cast<long double>(a) - b) / static_cast<long double>(step));
}

// Equal to a few roundings in T.
template <Scalar T>
Approx near(long double value) {
  constexpr double tolerance = 8 * static_cast<double>(std::numeric_limits<T>::epsilon());
  return Approx(static_cast<double>(value)).epsilon(tolerance).margin(tolerance);
}

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

  Scale<double> copy(scale.describe());
  CHECK(copy.describe() == scale.describe());
  CHECK(copy.sign() == scale.sign());
  CHECK_THROWS_WITH(Scale<double>(std::vector<double>{1, 0}), ContainsSubstring("column 1"));
  CHECK_THROWS_AS(Scale<double>(std::vector<double>{1e5}), DomainError);
  CHECK_NOTHROW(Scale<double>(std::vector<double>{1e5}, 20));
  CHECK_THROWS_AS(Scale<double>(2, 0.0), DomainError);
  Description bad = scale.describe();
  bad.constants["sign"] = std::vector<std::int64_t>{1, 0, 1};
  CHECK_THROWS_WITH(Scale<double>(bad), ContainsSubstring("sign"));
  bad.constants["sign"] = std::vector<std::int64_t>{1, 1};
  CHECK_THROWS_AS(Scale<double>(bad), IoError);
}

TEST_CASE("descriptions make the same object again") {
  const auto same = [](const auto& b) {
    using B = std::remove_cvref_t<decltype(b)>;
    CHECK(B(b.describe()).describe() == b.describe());
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

// --------------------------------------------------------------------------------------------------- permutations

TEST_CASE("permute") {
  Matrix<double> x(2, 3);
  x << 1, 2, 3, 4, 5, 6;
  const Permute<double> permute({2, 0, 1});
  Matrix<double> y(2, 3);
  y << 3, 1, 2, 6, 4, 5;
  CHECK(permute.forward(x).value == y);
  CHECK(permute.inverse(y).value == x);
  CHECK(permute.forward(x).log_det == Eigen::VectorXd::Zero(2));
  CHECK(permute.is_constant_jacobian());
  CHECK(permute.log_scale_bound() == 0);
  CHECK(Permute<double>::reverse(3).permutation() == std::vector<std::int64_t>{2, 1, 0});

  const auto random = Permute<float>::random(100, 7);
  CHECK(random.permutation() == Permute<double>::random(100, 7).permutation());
  CHECK(random.permutation() != Permute<double>::random(100, 8).permutation());
  Index fixed = 0;
  for (std::size_t i = 0; i < 100; ++i) fixed += random.permutation()[i] == static_cast<std::int64_t>(i);
  CHECK(fixed < 10);
  CHECK(Permute<double>::random(1, 3).permutation() == std::vector<std::int64_t>{0});

  CHECK_THROWS_WITH(Permute<double>({0, 1, 1, 3}), ContainsSubstring("1 is repeated and 2 is missing"));
  CHECK_THROWS_WITH(Permute<double>({0, 4, 1, 3}), ContainsSubstring("4 is out of range and 2 is missing"));
  CHECK_THROWS_WITH(Permute<double>({-1, 0}), ContainsSubstring("-1 is out of range"));
  CHECK_THROWS_AS(Permute<double>(std::vector<std::int64_t>{}), ShapeError);
  CHECK_THROWS_AS(Permute<double>::reverse(0), ShapeError);
  CHECK_THROWS_AS(Permute<double>::random(-1, 1), ShapeError);
  Permute<double> copy = permute;
  check_gradients(copy, true, some_rows<double>(3, 3), Statistics::running);
  check_gradients(copy, false, some_rows<double>(3, 3), Statistics::running);
}

// ------------------------------------------------------------------------------------------------------ LU linear

TEST_CASE("LU linear starts as the identity") {
  const LULinear<double> lu(4);
  const Matrix<double> x = some_rows<double>(5, 4);
  check_close(lu.forward(x).value, x, 1e-15);
  check_close(lu.inverse(x).log_det, Eigen::VectorXd(Eigen::VectorXd::Zero(5)), 1e-14);
}

TEST_CASE("LU linear agrees with nflows 0.14") {
  // There the layer maps data to base by x = L U y + bias; here L U x + bias is `forward`.
  const auto o = oracle("nflows_lu_linear");
  LULinear<double> lu(5);
  const std::vector<double> lower = numbers(o["weights"]["lower_entries"]);
  const std::vector<double> upper = numbers(o["weights"]["upper_entries"]);
  std::size_t l = 0, u = 0;
  for (Index i = 0; i < 5; ++i)
    for (Index j = 0; j < 5; ++j) {
      // What lies on the other side is not read.
      tensor<double>(lu, "lower")(i, j) = j < i ? lower[l++] : 1e3;
      tensor<double>(lu, "upper")(i, j) = j > i ? upper[u++] : 1e3;
    }
  set<double>(lu, "raw_diagonal", numbers(o["weights"]["unconstrained_upper_diag"]));
  set<double>(lu, "bias", numbers(o["weights"]["bias"]));
  const auto forward = lu.forward(matrix(o["y"]));
  check_close(forward.value, matrix(o["outputs"]["inverse_x"]), 1e-12);
  check_close(forward.log_det, numbers(o["outputs"]["inverse_log_det"]), 1e-12);
  const auto inverse = lu.inverse(matrix(o["x"]));
  check_close(inverse.value, matrix(o["outputs"]["forward_y"]), 1e-12);
  check_close(inverse.log_det, numbers(o["outputs"]["forward_log_det"]), 1e-12);
  const Matrix<double> product = matrix(o["outputs"]["matrix"]);
  for (Index i = 0; i < 5; ++i)
    for (Index j = 0; j < 5; ++j) CHECK(lu.matrix()(i, j) == Approx(product(i, j)).margin(1e-14));
  const Matrix<double> x = some_rows<double>(3, 5);
  check_gradients(lu, true, x, Statistics::running);
  check_gradients(lu, false, x, Statistics::running);
}

TEST_CASE("LU linear keeps its diagonal away from zero") {
  LULinear<double> lu(2);
  set<double>(lu, "raw_diagonal", std::vector<double>{-1e4, 1e4});
  const auto forward = lu.forward(Matrix<double>(Matrix<double>::Ones(1, 2)));
  CHECK(forward.value(0, 0) == LULinear<double>::diagonal_floor);
  CHECK(forward.log_det[0] == Approx(std::log(1e-3) + std::log(1e4 + 1e-3)));
}

// -------------------------------------------------------------------------------------------------------- ActNorm

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

// -------------------------------------------------------------------------------------------- batch normalisation

TEST_CASE("batch normalisation agrees with Keras' formulas by hand") {
  Matrix<double> y(3, 2), x(3, 2), up(3, 2), dx(3, 2);
  y << 1, 2, 3, 7, 5, 9;
  x << -2.349030593, -0.879327030, 0.1, -0.030168243, 2.549030593, 0.309495272;
  up << 1, .5, 2, -1, -1, 3;
  dx << -0.815884510, 0.100139104, 1.632687062, -0.350545644, -0.816802552, 0.250406541;
  BatchNormalization<double> bn(2, {.epsilon = 1e-3, .momentum = 0.99});
  set<double>(bn, "log_gamma", std::vector<double>{std::log(2.0), std::log(0.5)});
  set<double>(bn, "beta", std::vector<double>{0.1, -0.2});

  const auto r = record<double>(bn, false, y, up, Matrix<double>::Zero(3, 1), Statistics::minibatch);
  check_close(r.value, x, 1e-9);
  check_close(r.log_det, std::vector<double>(3, -1.5704019050), 1e-10);
  check_close(r.gradient, dx, 1e-8);
  // The gradient in log_gamma is gamma times that in gamma.
  check_close(r.parameters[0], std::vector<double>{2 * -2.449030593, 0.5 * 2.037981089}, 1e-9);
  check_close(r.parameters[1], std::vector<double>{2, 2.5}, 1e-14);
  CHECK(r.proposals.values.size() == 2);
  CHECK(bn.moving_mean()[0] == 0);
  commit<double>(bn, r.proposals);
  check_close(bn.moving_mean().values(), std::vector<double>{.03, .06}, 1e-14);
  check_close(bn.moving_variance().values(), std::vector<double>{1.0166666667, 1.0766666667}, 1e-10);

  BatchNormalization<double> quick(2, {.epsilon = 1e-3});
  const Matrix<double> no_log_det = Matrix<double>::Zero(3, 1);
  commit<double>(quick, record<double>(quick, false, y, up, no_log_det, Statistics::minibatch).proposals);
  check_close(quick.moving_mean().values(), std::vector<double>{.3, .6}, 1e-14);
}

TEST_CASE("batch normalisation agrees with TensorFlow Probability") {
  for (const std::string name : {"tfp_batch_norm_2d", "tfp_batch_norm_2d_other_constants"}) {
    INFO(name);
    const auto o = oracle(name);
    const auto& w = o["weights"];
    const Matrix<double> y = matrix(o["y"]), x = matrix(o["x"]), up = matrix(o["upstream_x"]);
    const Index rows = y.rows(), dim = y.cols();
    BatchNormalization<double> bn(dim,
                                  {.epsilon = o["settings"]["epsilon"], .momentum = o["settings"]["momentum_of_old"]});
    const std::vector<double> gamma = numbers(w["gamma"]);
    set<double>(bn, "log_gamma", mapped(gamma, [](double g) { return std::log(g); }));
    set<double>(bn, "beta", numbers(w["beta"]));
    bn.set_population(numbers(w["moving_mean"]), numbers(w["moving_variance"]));
    check_close(bn.gamma().values(), gamma, 1e-15);
    // One scalar log_det there: all of its upstream gradient goes to one row here.
    Matrix<double> up_log_det = Matrix<double>::Zero(rows, 1);
    up_log_det(0, 0) = o["settings"]["upstream_log_det"];
    const Matrix<double> none = Matrix<double>::Zero(rows, dim), no_log_det = Matrix<double>::Zero(rows, 1);
    const auto times_gamma = [&](std::vector<double> g) {
      for (std::size_t c = 0; c < g.size(); ++c) g[c] *= gamma[c];
      return g;
    };
    for (const bool training : {true, false}) {
      const auto& out = o["outputs"][training ? "training" : "inference"];
      const Statistics statistics = training ? Statistics::minibatch : Statistics::running;
      const auto r = record<double>(bn, false, y, up, no_log_det, statistics);
      check_close(r.value, matrix(out["inverse_x"]), 1e-12);
      check_close(r.log_det, std::vector<double>(static_cast<std::size_t>(rows), out["inverse_log_det"]), 1e-12);
      check_close(r.gradient, matrix(out["gradient_y_of_x"]), 1e-11);
      check_close(r.parameters[0], times_gamma(numbers(out["gradient_gamma_of_x"])), 1e-12);
      check_close(r.parameters[1], numbers(out["gradient_beta_of_x"]), 1e-12);
      const auto d = record<double>(bn, false, y, none, up_log_det, statistics);
      check_close(d.gradient, matrix(out["gradient_y_of_log_det"]), 1e-12);
      check_close(d.parameters[0], times_gamma(numbers(out["gradient_gamma_of_log_det"])), 1e-12);
      // Always the moving statistics, and never an update.
      const auto f = record<double>(bn, true, x, none, no_log_det, statistics);
      check_close(f.value, matrix(out["forward_y"]), 1e-12);
      check_close(f.log_det, std::vector<double>(static_cast<std::size_t>(rows), out["forward_log_det"]), 1e-12);
      CHECK(f.proposals.values.empty());
      CHECK(r.proposals.values.size() == (training ? 2u : 0u));
      if (!training) continue;
      BatchNormalization<double> updated = bn;
      commit<double>(updated, record<double>(updated, false, y, up, no_log_det, statistics).proposals);
      check_close(updated.moving_mean().values(), numbers(out["moving_mean_after_in_double"]), 1e-13);
      check_close(updated.moving_variance().values(), numbers(out["moving_variance_after_in_double"]), 1e-13);
    }
  }
}

TEST_CASE("batch normalisation with running statistics agrees with nflows 0.14") {
  const auto o = oracle("nflows_batch_norm_running");
  BatchNormalization<double> bn(4);
  CHECK(bn.batchnorm().options().epsilon == 1e-5);
  set<double>(bn, "log_gamma", mapped(numbers(o["outputs"]["gamma"]), [](double g) { return std::log(g); }));
  set<double>(bn, "beta", numbers(o["weights"]["bias"]));
  bn.set_population(numbers(o["weights"]["running_mean"]), numbers(o["weights"]["running_var"]));
  const auto inverse = bn.inverse(matrix(o["y"]));
  check_close(inverse.value, matrix(o["outputs"]["inverse_x"]), 1e-12);
  check_close(inverse.log_det, numbers(o["outputs"]["inverse_log_det"]), 1e-12);
  const auto forward = bn.forward(matrix(o["x"]));
  check_close(forward.value, matrix(o["outputs"]["forward_y"]), 1e-12);
  check_close(forward.log_det, numbers(o["outputs"]["forward_log_det"]), 1e-12);
}

namespace {

template <Scalar T>
BatchNormalization<T> some_batch_normalization(Index dim) {
  BatchNormalization<T> bn(dim);
  for (Index c = 0; c < dim; ++c) {
    tensor<T>(bn, "log_gamma")[c] = static_cast<T>(0.4 * std::sin(double(c) + 1));
    tensor<T>(bn, "beta")[c] = static_cast<T>(0.7 * std::cos(double(c)));
    tensor<T>(bn, "moving_mean")[c] = static_cast<T>(0.3 * double(c) - 0.2);
    tensor<T>(bn, "moving_variance")[c] = static_cast<T>(0.6 + 0.5 * double(c));
  }
  return bn;
}

}  // namespace

TEST_CASE("gradients of batch normalisation over the whole batch") {
  BatchNormalization<double> bn = some_batch_normalization<double>(3);
  const Matrix<double> y = some_rows<double>(7, 3, 1.5, 2);
  check_gradients(bn, false, y, Statistics::minibatch);
  check_gradients(bn, false, y, Statistics::running);
  check_gradients(bn, true, y, Statistics::running);
  for (const bool center : {true, false}) {
    BatchNormalization<double> partial(3, {.center = center, .scale = !center});
    CHECK(list_state<double>(static_cast<const Component<double>&>(partial)).size() == 3);
    CHECK(count_parameters<double>(partial) == 3);
    check_gradients(partial, false, y, Statistics::minibatch);
    check_gradients(partial, false, y, Statistics::running);
    check_gradients(partial, true, y, Statistics::running);
  }
  const BatchNormalization<double> bare(3, {.center = false, .scale = false});
  CHECK(count_parameters<double>(bare) == 0);
  CHECK(bare.inverse(y).log_det[0] == Approx(-1.5 * std::log(1 + 1e-5)));
  check_close(bare.forward(bare.inverse(y).value).value, y, 1e-15);
}

TEMPLATE_TEST_CASE("batch normalisation: each call says which statistics", "", float, double) {
  using T = TestType;
  const double tolerance = sizeof(T) == 4 ? 1e-6 : 1e-14;
  const BatchNormalization<T> bn = some_batch_normalization<T>(3);
  const Matrix<T> y = some_rows<T>(50, 3, 2, -4);

  // The minibatch map and its captured statistics: an exact round trip in both orders, the log_dets opposite.
  const auto [x, log_det, statistics] = bn.inverse(y, Statistics::minibatch);
  CHECK(statistics.layers.size() == 1);
  const BatchStatistics::Moments& moments = statistics.layers.at("moving_mean");
  for (Index c = 0; c < 3; ++c) {
    const Eigen::VectorXd column = y.col(c).template cast<double>();
    const double mean = column.mean();
    CHECK(moments.mean[static_cast<std::size_t>(c)] == Approx(mean).epsilon(1e-6));
    CHECK(moments.variance[static_cast<std::size_t>(c)] ==
          Approx((column.array() - mean).square().mean()).epsilon(1e-6));
  }
  const auto back = bn.forward(x, statistics);
  check_close(back.value, y, tolerance);
  check_close(back.log_det, Eigen::VectorXd(-log_det), 1e-6);
  const auto again = bn.inverse(y, statistics);
  check_close(again.value, x, tolerance);
  // With captured statistics rows are independent, so it is their batch no longer.
  CHECK(bn.inverse(Matrix<T>(y.topRows(2)), statistics).value == again.value.topRows(2));

  // Running statistics are another map; `forward` uses them unless told otherwise.
  const auto running = bn.inverse(y);
  CHECK((running.value - x).cwiseAbs().maxCoeff() > T(0.1));
  check_close(bn.forward(running.value).value, y, tolerance);
  CHECK(bn.forward(x, Statistics::minibatch).value == bn.forward(x).value);
  CHECK(bn.forward(x, Statistics::minibatch).statistics.layers.empty());
  // Nothing of all this changed the object.
  CHECK(bn.moving_mean() == some_batch_normalization<T>(3).moving_mean());
  CHECK(bn.moving_variance() == some_batch_normalization<T>(3).moving_variance());

  // Invert swaps the directions.
  const Invert<T> inverted{Poly<Bijector<T>>(bn)};
  const auto swapped = inverted.forward(y, Statistics::minibatch);
  CHECK(swapped.value == x);
  check_close(inverted.inverse(x, swapped.statistics).value, y, tolerance);
  CHECK(inverted.inverse(x, Statistics::minibatch).statistics.layers.empty());
}

TEST_CASE("captured statistics go before those of the minibatch") {
  const Matrix<double> y = some_rows<double>(20, 3, 2, -4), other = some_rows<double>(20, 3, 5, 1);
  const Matrix<double> ones = Matrix<double>::Ones(20, 1);
  const BatchNormalization<double> bn = some_batch_normalization<double>(3);
  const ActNorm<double> act_norm(3);
  for (const Bijector<double>* b : std::initializer_list<const Bijector<double>*>{&bn, &act_norm}) {
    INFO(b->name());
    const auto first = record<double>(*b, false, y, y, ones, Statistics::minibatch);
    CHECK(first.captured.layers.size() == 1);
    const auto held = record<double>(*b, false, other, y, ones, Statistics::minibatch, 1, &first.captured);
    const auto running = record<double>(*b, false, other, y, ones, Statistics::running, 1, &first.captured);
    CHECK(held.value == running.value);
    CHECK(held.log_det[0] == Approx(first.log_det[0]).epsilon(1e-12));
    CHECK(held.proposals.values.empty());
    CHECK(held.captured.layers.empty());
  }
}

TEST_CASE("the log_det of batch normalisation is that of the map with its statistics held") {
  const BatchNormalization<double> bn = some_batch_normalization<double>(3);
  const Matrix<double> y = some_rows<double>(20, 3, 2, -4);
  const auto batch = bn.inverse(y, Statistics::minibatch);
  double log_det = 0;
  const double h = 1e-4;
  for (Index c = 0; c < 3; ++c) {
    Matrix<double> up = y, down = y;
    up.col(c).array() += h;
    down.col(c).array() -= h;
    const Matrix<double> difference = bn.inverse(up, batch.statistics).value - bn.inverse(down, batch.statistics).value;
    log_det += std::log(difference(0, c) / (2 * h));
  }
  CHECK(std::abs(log_det) > 0.1);
  CHECK(batch.log_det[0] == Approx(log_det).epsilon(1e-9));
  CHECK(batch.log_det[19] == batch.log_det[0]);
  CHECK(bn.inverse(y, Statistics::population).log_det == batch.log_det);
}

TEST_CASE("batch normalisation of one row, of none, and of a constant column") {
  BatchNormalization<double> bn = some_batch_normalization<double>(3);
  const Matrix<double> y = some_rows<double>(1, 3, 2, -4);
  const auto batch = bn.inverse(y, Statistics::minibatch);
  double sum = 0;
  for (Index c = 0; c < 3; ++c) {
    CHECK(batch.value(0, c) == bn.beta()[c]);
    sum += bn.batchnorm().variable("log_gamma")[c] - 0.5 * std::log(1e-5);
  }
  CHECK(batch.log_det[0] == Approx(sum));
  check_close(bn.forward(batch.value, batch.statistics).value, y, 1e-15);

  const auto empty = record<double>(bn, false, Matrix<double>(0, 3), Matrix<double>(0, 3), Matrix<double>(0, 1),
                                    Statistics::minibatch);
  CHECK(empty.proposals.values.empty());
  CHECK(bn.inverse(Matrix<double>(0, 3)).value.rows() == 0);
  const auto flat = bn.inverse(Matrix<double>(Matrix<double>::Constant(6, 3, 1e4)), Statistics::minibatch);
  CHECK(flat.value(5, 2) == bn.beta()[2]);
}

TEST_CASE("batch normalisation in float far from zero") {
  // mean / std = 1e4: what remains is what rounding the data to float left.
  const Matrix<float> y = some_rows<float>(500, 2, 1, 1e4);
  const Matrix<double> exact = y.cast<double>();
  BatchNormalization<float> bn(2);
  BatchNormalization<double> reference(2);
  const auto batch = bn.inverse(y, Statistics::minibatch);
  check_close(batch.value, reference.inverse(exact, Statistics::minibatch).value, 2e-6);
  check_close(bn.forward(batch.value, batch.statistics).value, y, 1e-7);
  check_close(bn.inverse(y, batch.statistics).value, batch.value, 1e-6);
  // What rounds the mean to float is not lost on the way back: no column is off by more than a part of that, 5e-4.
  for (const double beyond : {2.5e-4, -2.5e-4, 4e-4, -4e-4}) {
    Matrix<float> pair(2, 2);
    pair.row(0).setConstant(1e4f - 64);
    pair.row(1).setConstant(1e4f + 64 + static_cast<float>(std::round(beyond / 4.8828125e-4) * 9.765625e-4));
    const auto there = bn.inverse(pair, Statistics::minibatch);
    const Matrix<float> back = bn.forward(there.value, there.statistics).value;
    CHECK(std::abs((back - pair).cast<double>().mean()) < 2e-4);
  }
}

TEST_CASE("batch normalisation gives the same bits for any number of threads") {
  const BatchNormalization<float> bn = some_batch_normalization<float>(20);
  const Matrix<float> y = some_rows<float>(133, 20, 2, 1), up = some_rows<float>(133, 20);
  const Matrix<float> up_log_det = some_rows<float>(133, 1);
  const auto alone = record<float>(bn, false, y, up, up_log_det, Statistics::minibatch);
  for (const int threads : {2, 3}) {
    const auto together = record<float>(bn, false, y, up, up_log_det, Statistics::minibatch, threads);
    CHECK(alone.value == together.value);
    CHECK(alone.log_det == together.log_det);
    CHECK(alone.gradient == together.gradient);
    CHECK(alone.parameters == together.parameters);
    CHECK(alone.proposals.values == together.proposals.values);
  }
}

TEST_CASE("batch normalisation in a chain, and its errors") {
  Chain chain(some_batch_normalization<double>(2), Permute<double>({1, 0}), some_batch_normalization<double>(2));
  const Matrix<double> y = some_rows<double>(9, 2, 3, 1);
  const auto batch = chain.inverse(y, Statistics::minibatch);
  CHECK(batch.statistics.layers.size() == 2);
  CHECK(batch.statistics.layers.count("2.moving_mean") == 1);
  check_close(chain.forward(batch.value, batch.statistics).value, y, 1e-13);
  const auto r = record<double>(chain, false, y, y, Matrix<double>::Ones(9, 1), Statistics::minibatch);
  CHECK(r.proposals.values.size() == 4);
  commit<double>(chain, r.proposals);
  CHECK(tensor<double>(chain, "0.moving_mean")[0] != some_batch_normalization<double>(2).moving_mean()[0]);
  CHECK_THROWS_AS(commit<double>(static_cast<Component<double>&>(chain.part(0)), r.proposals), Error);

  BatchNormalization<double> bn(2);
  const std::vector<double> two{1, 2}, three{1, 2, 3}, negative{1, -1};
  CHECK_THROWS_AS(bn.set_population(two, three), ShapeError);
  CHECK_THROWS_WITH(bn.set_population(two, negative), ContainsSubstring("column 1"));
  CHECK(bn.moving_mean()[0] == 0);
  CHECK_THROWS_AS(BatchNormalization<double>(2, {.epsilon = 0}), DomainError);
  CHECK_THROWS_AS(BatchNormalization<double>(2, {.momentum = 1.5}), DomainError);
  CHECK_THROWS_AS(BatchNormalization<double>(0), ShapeError);
  CHECK_THROWS_AS(bn.inverse(Matrix<double>(2, 3), Statistics::minibatch), ShapeError);
}

// ------------------------------------------------------------------------- batch normalisation of events, as TFP has
// it

namespace {

template <Scalar T>
void run_tfp(const nlohmann::json& c) {
  const std::vector<Index> shape = c.at("shape").get<std::vector<Index>>();
  const Index rows = shape[0];
  const std::vector<Index> event(shape.begin() + 1, shape.end());
  BatchNormLayerOptions options;
  const auto& o = c.at("options");
  if (o.contains("axis")) options.axis = o.at("axis").get<std::vector<Index>>();
  options.momentum = o.value("momentum", options.momentum);
  options.epsilon = o.value("epsilon", options.epsilon);
  options.center = o.value("center", true);
  BatchNormLayer<T> layer(options);
  std::vector<Index> built = event;
  built.insert(built.begin(), -1);
  layer.build(built);
  for (const auto& [name, value] : c.at("state").items()) {
    const std::vector<double> values = numbers(value);
    Tensor<T>& variable = layer.variable(name);
    REQUIRE(static_cast<Index>(values.size()) == variable.size());
    std::transform(values.begin(), values.end(), variable.data(), [](double v) { return static_cast<T>(v); });
  }
  BatchNormalization<T> bn(event, layer);
  const Index dim = bn.dim();
  CHECK(bn.forward_min_event_ndims() == static_cast<int>(options.axis.size()));
  const auto rows_of = [&](const nlohmann::json& flat) {
    const std::vector<double> values = numbers(flat);
    Matrix<T> m(rows, dim);
    for (Index i = 0; i < rows; ++i)
      for (Index k = 0; k < dim; ++k) m(i, k) = static_cast<T>(values[static_cast<std::size_t>(i * dim + k)]);
    return m;
  };
  const auto near = [&](const Matrix<T>& got, const Matrix<T>& expected) {
    const double scale = 1 + static_cast<double>(expected.cwiseAbs().maxCoeff());
    CHECK(static_cast<double>((got - expected).cwiseAbs().maxCoeff()) <= (sizeof(T) == 4 ? 1e-5 : 1e-10) * scale);
  };
  const auto near_values = [&](const std::vector<T>& got, const nlohmann::json& expected) {
    const std::vector<double> values = numbers(expected);
    REQUIRE(got.size() == values.size());
    for (std::size_t i = 0; i < got.size(); ++i)
      CHECK(static_cast<double>(got[i]) ==
            Approx(values[i]).epsilon(sizeof(T) == 4 ? 2e-5 : 1e-10).margin(sizeof(T) == 4 ? 3e-5 : 1e-10));
  };
  const auto& out = c.at("outputs");
  const Statistics statistics = c.at("mode") == "training" ? Statistics::minibatch : Statistics::running;
  const Matrix<T> y = rows_of(c.at("x")[0]), x = rows_of(c.at("base_x")), up = rows_of(c.at("dy"));
  Matrix<T> one_log_det = Matrix<T>::Zero(rows, 1);
  const Matrix<T> nothing = Matrix<T>::Zero(rows, dim), no_log_det = Matrix<T>::Zero(rows, 1);
  one_log_det(0, 0) = static_cast<T>(c.at("upstream_log_det").get<double>());

  const auto r = record<T>(bn, false, y, up, no_log_det, statistics);
  near(r.value, rows_of(out.at("inverse")));
  for (Index i = 0; i < rows; ++i)
    CHECK(r.log_det[i] ==
          Approx(out.at("inverse_log_det_jacobian").get<double>()).epsilon(sizeof(T) == 4 ? 1e-5 : 1e-10).margin(1e-6));
  near(r.gradient, rows_of(out.at("inverse_dx")));
  near_values(r.parameters[0], out.at("inverse_dgamma"));
  if (options.center) near_values(r.parameters[1], out.at("inverse_dbeta"));
  const auto d = record<T>(bn, false, y, nothing, one_log_det, statistics);
  near(d.gradient, rows_of(out.at("ildj_dx")));
  near_values(d.parameters[0], out.at("ildj_dgamma"));
  const auto f = record<T>(bn, true, x, nothing, no_log_det, statistics);
  near(f.value, rows_of(out.at("forward")));
  CHECK(f.log_det[0] ==
        Approx(out.at("forward_log_det_jacobian").get<double>()).epsilon(sizeof(T) == 4 ? 1e-5 : 1e-10).margin(1e-6));
  CHECK(f.proposals.values.empty());
  commit<T>(bn, r.proposals);
  for (const char* name : {"moving_mean", "moving_variance"}) {
    const auto values = bn.batchnorm().variable(name).values();
    near_values(std::vector<T>(values.begin(), values.end()), out.at(name));
  }
}

}  // namespace

TEST_CASE("batch normalisation: TFP's numbers for events of any rank, training and inference") {
  const auto file = oracle("batch_norm_tfp");
  std::map<std::pair<std::string, std::string>, std::set<std::vector<Index>>> shapes;
  int refusals = 0;
  for (const auto& c : file.at("cases")) {
    INFO(c.at("feature") << ", " << c.at("mode") << ", shape " << c.at("shape") << ", options " << c.at("options"));
    if (c.at("mode") == "refusal") {
      ++refusals;
      continue;
    }
    shapes[{c.at("feature"), c.at("mode")}].insert(c.at("shape").get<std::vector<Index>>());
    run_tfp<double>(c);
    run_tfp<float>(c);
  }
  CHECK(shapes.size() == 8);
  for (const auto& [cell, found] : shapes) CHECK(found.size() >= 3);
  CHECK(refusals == 5);
}

TEST_CASE("batch normalisation: layers that make no bijector, set_batchnorm, frozen, defects that TFP has") {
  using Layer = BatchNormLayer<double>;
  BatchNormLayerOptions renorm, ghosts, first, adjusted;
  renorm.renorm = Renorm{};
  ghosts.virtual_batch_size = 2;
  first.axis = {1};
  adjusted.adjustment = [](std::span<const Index>) { return std::pair<std::vector<double>, std::vector<double>>(); };
  const auto make = [](std::vector<Index> event, BatchNormLayerOptions options) {
    return BatchNormalization<double>(std::move(event), Layer(std::move(options)));
  };
  CHECK_THROWS_WITH(make({3}, renorm), ContainsSubstring("`BatchNormalization` Bijector does not support "
                                                         "renormalization, but `batchnorm_layer.renorm` is `True`"));
  CHECK_THROWS_WITH(make({3}, ghosts), ContainsSubstring("does not support virtual batch sizes"));
  CHECK_THROWS_WITH(make({3}, adjusted), ContainsSubstring("does not support a layer with an adjustment"));
  // Defect 3: with channels that are not last TFP's log_det is wrong; here they are refused.
  CHECK_THROWS_WITH(make({3, 2}, first), ContainsSubstring("the kept axes must be the trailing ones"));
  CHECK_THROWS_WITH(BatchNormalization<double>({3}, Layer({-1, 4}, {})), ContainsSubstring("another shape"));

  BatchNormalization<double> bn = make({2, 3}, {});
  Layer layer = bn.batchnorm();
  layer.variable("gamma")[1] = 2;
  CHECK(bn.gamma()[1] == 1);  // the layer is a value
  bn.set_batchnorm(layer);
  CHECK(bn.gamma()[1] == 2);
  CHECK_THROWS_AS(bn.set_batchnorm(Layer({-1, 2, 4}, {})), ShapeError);
  CHECK_THROWS_AS(bn.set_batchnorm(Layer(renorm)), DomainError);
  CHECK(bn.gamma()[1] == 2);
  CHECK(bn.is_constant_jacobian());
  CHECK(bn.is_constant_jacobian(Statistics::running));
  CHECK_FALSE(bn.is_constant_jacobian(Statistics::minibatch));

  // The frozen map is an affine bijector of its own.
  layer.variable("moving_mean")[0] = -3;
  layer.variable("moving_variance")[2] = 4;
  layer.variable("beta")[1] = 0.7;
  bn.set_batchnorm(layer);
  const Standardize<double> affine = bn.frozen();
  const Matrix<double> y = some_rows<double>(9, 6, 2, -4);
  check_close(affine.inverse(y).value, bn.inverse(y).value, 1e-14);
  check_close(affine.forward(y).value, bn.forward(y).value, 1e-14);
  CHECK(affine.inverse(y).log_det[0] == Approx(bn.inverse(y).log_det[0]).epsilon(1e-13));

  // Defect 2: without gamma TFP's log_det fails.
  BatchNormLayerOptions no_scale;
  no_scale.scale = false;
  CHECK(std::isfinite(make({3}, no_scale).inverse(Matrix<double>(y.leftCols(3))).log_det[0]));
  // Defect 4: relu(gamma) + 1e-6 grows with each use, and a negative start gives NaN. The map exp does neither, and a
  // negative gamma has the log of its size.
  layer.variable("gamma")[1] = -2;
  bn.set_batchnorm(layer);
  CHECK(std::isfinite(bn.inverse(y).log_det[0]));
  CHECK_THROWS_WITH(bn.frozen(), ContainsSubstring("gamma must be positive, got -2"));
  CHECK(BatchNormalization<double>(2).batchnorm().options().gamma_map == GammaMap::exp);

  // Defect 1: the density of a training pass has one set of statistics, that of the batch, in both terms, and its
  // log_det has a gradient.
  const TransformedDistribution<double> flow(Normal<double>(6), bn);
  Workspace memory;
  Tape<double> tape(Tape<double>::Mode::record, {memory.batch, memory.local}, y.rows());
  Pass<double> pass(tape, {.statistics = Statistics::minibatch});
  const Column<double> log_prob = flow.log_prob(pass, detail::load<double>(tape, y, true));
  const auto batch = bn.inverse(y, Statistics::minibatch);
  const Eigen::VectorXd base = Normal<double>(6).log_prob(batch.value);
  for (Index i = 0; i < y.rows(); ++i) CHECK(log_prob.values()[i] == Approx(base[i] + batch.log_det[i]).epsilon(1e-12));
  CHECK(record<double>(bn, false, y, Matrix<double>::Zero(9, 6), Matrix<double>::Ones(9, 1), Statistics::minibatch)
            .gradient.cwiseAbs()
            .maxCoeff() > 1e-3);
  // Defect 5: what is called log_prob is the density under running statistics.
  const auto running = bn.inverse(y);
  const Eigen::VectorXd density = flow.log_prob(y);
  const Eigen::VectorXd expected = Normal<double>(6).log_prob(running.value) + running.log_det;
  check_close(density, expected, 1e-12);
}

TEST_CASE("batch normalisation: ghost batches and renormalisation as options of the flow's layer") {
  const Matrix<double> y = some_rows<double>(23, 3, 2, -4);
  const BatchNormalization<double> whole(3), ghosts(3, {.ghost_rows = 5});
  const auto parts = ghosts.inverse(y, Statistics::minibatch);
  const std::vector<std::pair<Index, Index>> groups{{0, 5}, {5, 5}, {10, 5}, {15, 8}};  // what is left joins the last
  for (const auto& [begin, count] : groups) {
    const auto alone = whole.inverse(Matrix<double>(y.middleRows(begin, count)), Statistics::minibatch);
    check_close(Matrix<double>(parts.value.middleRows(begin, count)), alone.value, 1e-13);
    CHECK(parts.log_det[begin] == Approx(alone.log_det[0]).epsilon(1e-13));
  }
  check_gradients(const_cast<BatchNormalization<double>&>(ghosts), false, y, Statistics::minibatch);
  // `population` takes the batch as one, and proposes nothing.
  check_close(ghosts.inverse(y, Statistics::population).value, whole.inverse(y, Statistics::minibatch).value, 1e-14);
  const Matrix<double> zero = Matrix<double>::Zero(23, 3), no_log_det = Matrix<double>::Zero(23, 1);
  CHECK(record<double>(ghosts, false, y, zero, no_log_det, Statistics::population).proposals.values.empty());

  // r and d are constants for the gradient, so differences show it only where clipping holds them.
  BatchNormalization<double> held(3, {.ghost_rows = 6, .renorm = Renorm{.rmin = 1.3, .rmax = 1.3, .dmax = 0.2}});
  held.set_population(std::vector<double>{5, 5, 5}, std::vector<double>{1, 1, 1});
  check_gradients(held, false, Matrix<double>(y.array() + 40), Statistics::minibatch);

  BatchNormalization<double> renorm(3, {.renorm = Renorm{}});
  renorm.set_population(std::vector<double>{-4, 0, 1}, std::vector<double>{4, 1, 0.25});
  // Unclipped, the training map has the values of the running one of renorm_mean and renorm_stddev.
  const auto r = renorm.inverse(y, Statistics::minibatch);
  const BatchNormalization<double> standard(3);
  BatchNormalization<double> same(3);
  same.set_population(std::vector<double>{0, 0, 0}, std::vector<double>{1 - 1e-5, 1 - 1e-5, 1 - 1e-5});
  check_close(r.value, same.inverse(y).value, 1e-12);
  CHECK(r.log_det[0] == Approx(same.inverse(y).log_det[0]).margin(1e-12));
  // What was captured undoes it.
  check_close(renorm.forward(r.value, r.statistics).value, y, 1e-12);
  const auto proposals = record<double>(renorm, false, y, zero, no_log_det, Statistics::minibatch).proposals;
  CHECK(proposals.values.size() == 5);
  commit<double>(renorm, proposals);
  CHECK(renorm.batchnorm().variable("renorm_mean")[0] == Approx(0.01 * y.col(0).mean()));
}

namespace {

/// nflows, pyro and normflows: (system's name of a variable, ours).
struct TorchFlow {
  std::string system;
  GammaMap gamma_map;
  double momentum, epsilon;
  std::vector<std::pair<std::string, std::string>> names;
};

template <Scalar T>
void run_torch_flow(const TorchFlow& flow, const nlohmann::json& c) {
  const std::vector<Index> shape = c.at("shape").get<std::vector<Index>>();
  const Index rows = shape[0];
  const std::vector<Index> event(shape.begin() + 1, shape.end());
  const auto& o = c.at("options");
  const bool parameters = !flow.names.empty();
  BatchNormLayerOptions options;
  for (const char* name : {"eps", "epsilon"})
    if (o.contains(name)) options.epsilon = o.at(name);
  if (!o.contains("eps") && !o.contains("epsilon")) options.epsilon = flow.epsilon;
  options = batch_norm_convention(parameters ? flow.system : "nflows", o.value("momentum", flow.momentum), options);
  options.gamma_map = flow.gamma_map;
  options.center = options.scale = parameters;
  options.axis.clear();  // every entry by itself
  for (std::size_t axis = 1; axis < shape.size(); ++axis) options.axis.push_back(static_cast<Index>(axis));
  std::vector<Index> built = event;
  built.insert(built.begin(), -1);
  BatchNormLayer<T> layer(built, options);
  for (const auto& [theirs, ours] : flow.names) {
    const std::vector<double> values = numbers(c.at("state").at(theirs));
    std::transform(values.begin(), values.end(), layer.variable(ours).data(),
                   [](double v) { return static_cast<T>(v); });
  }
  BatchNormalization<T> bn(event, layer);
  const auto near = [&](const char* what, auto&& got, const nlohmann::json& expected_json) {
    INFO(what);
    const std::vector<double> expected = numbers(expected_json);
    double scale = 1;
    for (const double v : expected) scale = std::max(scale, std::abs(v));
    for (std::size_t i = 0; i < expected.size(); ++i) {
      INFO("value " << i);
      CHECK(std::abs(static_cast<double>(got(i)) - expected[i]) <= (sizeof(T) == 4 ? 1e-5 : 1e-10) * scale);
    }
  };
  const auto rows_of = [&](const nlohmann::json& flat) {
    const std::vector<double> values = numbers(flat);
    Matrix<T> m(rows, bn.dim());
    for (Index i = 0; i < rows; ++i)
      for (Index k = 0; k < bn.dim(); ++k) m(i, k) = static_cast<T>(values[static_cast<std::size_t>(i * bn.dim() + k)]);
    return m;
  };
  const auto at = [&](const Matrix<T>& m) {
    return [&m](std::size_t i) { return m(static_cast<Index>(i) / m.cols(), static_cast<Index>(i) % m.cols()); };
  };
  const auto& out = c.at("outputs");
  const bool training = c.at("mode") == "training";
  const Statistics statistics = training ? Statistics::minibatch : Statistics::running;
  const Matrix<T> y = rows_of(c.at("x")[0]), nothing = Matrix<T>::Zero(rows, bn.dim());
  const auto r = record<T>(bn, false, y, rows_of(c.at("dy")), Matrix<T>::Zero(rows, 1), statistics);
  near("x", at(r.value), out.at("x"));
  near("dx", at(r.gradient), out.at("dx"));
  const auto parameter = [&](std::size_t k) { return [&r, k](std::size_t i) { return r.parameters[k][i]; }; };
  if (flow.system == "nflows") {
    near("dunconstrained_weight", parameter(0), out.at("dunconstrained_weight"));
    near("dbias", parameter(1), out.at("dbias"));
  } else if (flow.system == "pyro") {
    near("dgamma", parameter(0), out.at("dgamma"));
    near("dbeta", parameter(1), out.at("dbeta"));
    double sum = 0;
    for (const double v : numbers(out.at("log_abs_det_jacobian"))) sum -= v;
    CHECK(r.log_det[0] == Approx(sum).epsilon(sizeof(T) == 4 ? 2e-6 : 1e-10));
  }
  if (out.contains("log_det")) {
    near(
        "log_det", [&](std::size_t i) { return r.log_det[static_cast<Index>(i)]; }, out.at("log_det"));
    Matrix<T> up(rows, 1);
    const std::vector<double> given = numbers(c.at("upstream_log_det"));
    for (Index i = 0; i < rows; ++i) up(i, 0) = static_cast<T>(given[static_cast<std::size_t>(i)]);
    const auto d = record<T>(bn, false, y, nothing, up, statistics);
    near("log_det_dx", at(d.gradient), out.at("log_det_dx"));
  }
  for (const char* name : {"inverse_y", "forward_y"})
    if (out.contains(name)) near(name, at(bn.forward(rows_of(c.at("base_x"))).value), out.at(name));
  if (training) commit<T>(bn, r.proposals);
  for (const auto& [theirs, ours] : flow.names)
    if (out.contains(theirs))
      near(
          theirs.c_str(), [&](std::size_t i) { return bn.batchnorm().variable(ours)[static_cast<Index>(i)]; },
          out.at(theirs));
}

}  // namespace

TEST_CASE("batch normalisation: the numbers of nflows, pyro and normflows by their conventions") {
  const std::vector<TorchFlow> flows{{"nflows",
                                      GammaMap::softplus,
                                      0.1,
                                      1e-5,
                                      {{"unconstrained_weight", "raw_gamma"},
                                       {"bias", "beta"},
                                       {"running_mean", "moving_mean"},
                                       {"running_var", "moving_variance"}}},
                                     {"pyro",
                                      GammaMap::relu_floor,
                                      0.1,
                                      1e-5,
                                      {{"gamma", "raw_gamma"},
                                       {"beta", "beta"},
                                       {"moving_mean", "moving_mean"},
                                       {"moving_variance", "moving_variance"}}},
                                     {"normflows", GammaMap::identity, 0.1, 1e-10, {}}};
  for (const TorchFlow& flow : flows) {
    const auto file = oracle("batch_norm_" + flow.system);
    std::map<std::pair<std::string, std::string>, std::set<std::vector<Index>>> shapes;
    for (const auto& c : file.at("cases")) {
      if (c.at("mode") == "refusal") continue;
      INFO(flow.system << ": " << c.at("feature") << ", " << c.at("mode") << ", shape " << c.at("shape"));
      shapes[{c.at("feature"), c.at("mode")}].insert(c.at("shape").get<std::vector<Index>>());
      run_torch_flow<double>(flow, c);
      run_torch_flow<float>(flow, c);
    }
    CHECK(shapes.size() == (flow.system == "nflows" ? 4u : flow.system == "pyro" ? 6u : 2u));
    for (const auto& [cell, found] : shapes) CHECK(found.size() >= 3);
  }
}
