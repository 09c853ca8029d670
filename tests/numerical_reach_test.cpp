// What a map of a user does not reach, solved for, is outside: never the last number of the scalar type.

#include <boost/math/distributions/normal.hpp>
#include <cmath>
#include <functional>
#include <limits>
#include <pushforward/bijectors/elementwise.hpp>
#include <pushforward/bijectors/numerical_inverse.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>

#include "tests/catch.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

/// A map that a user wrote, in one direction, with the intervals that he says it has.
template <Scalar T>
class Own final : public Transformer<T> {
 public:
  using Elements = typename Transformer<T>::Elements;
  Own(std::function<Elements(Var<T>)> map, Interval domain, Interval codomain)
      : Transformer<T>("Own", 0), map_(std::move(map)), domain_(domain), codomain_(codomain) {}

 private:
  Elements do_forward(Pass<T>&, Var<T> x, std::span<const Var<T>>) const override { return map_(x); }
  Elements do_inverse(Pass<T>&, Var<T>, std::span<const Var<T>>) const override {
    throw NotImplemented("Own::inverse");
  }
  Interval do_domain() const override { return domain_; }
  Interval do_codomain() const override { return codomain_; }
  double do_log_scale_bound() const override { return inf; }
  void do_fields(Fields<T>& f) override { f.type("own"); }

  std::function<Elements(Var<T>)> map_;
  Interval domain_, codomain_;
};

template <Scalar T>
Elementwise<T> solved(std::function<MappedElements<T>(Var<T>)> map, Interval domain, Interval codomain) {
  return Elementwise<T>(NumericalInverse<T>(Own<T>(std::move(map), domain, codomain), Solved::inverse), 1);
}

/// 0.8 x / (1 + |x|), which reaches (-0.8, 0.8) and is said to reach (-1, 1).
template <Scalar T>
Elementwise<T> softsign() {
  return solved<T>(
      [](Var<T> x) {
        return MappedElements<T>{T(0.8) * (x / (T(1) + abs(x))), T(std::log(0.8)) - T(2) * log1p(abs(x))};
      },
      real_line, {-1, 1});
}

template <Scalar T>
Matrix<T> column(const std::vector<double>& values) {
  Matrix<T> x(static_cast<Index>(values.size()), 1);
  for (Index i = 0; i < x.rows(); ++i) x(i, 0) = static_cast<T>(values[static_cast<std::size_t>(i)]);
  return x;
}

template <Scalar T>
void check_outside(const Elementwise<T>& map, double inside, const std::vector<double>& beyond) {
  for (const double y : beyond) {
    INFO(static_cast<T>(y));
    const Matrix<T> rows = column<T>({inside, y, inside});
    CHECK_THROWS_WITH(map.inverse(rows), ContainsSubstring("row 1 lies outside the codomain"));
  }
}

}  // namespace

TEMPLATE_TEST_CASE("Beyond the reach of a map that levels off there is no root", "[numerical_reach]", double, float) {
  using T = TestType;
  const Elementwise<T> map = softsign<T>();
  const double next = std::nextafter(T(0.8), T(1));
  check_outside(map, 0.5, {next, 0.8000001, 0.8001, 0.805, 0.81, 0.9, 0.99, -next, -0.8000001, -0.805, -0.9});
  // Up to there it is x = y / (0.8 - |y|).
  const std::vector<double> reached{-0.79, -0.5, 0, 1e-3, 0.5, 0.7, 0.79, 0.799};
  const MappedRows<T> x = map.inverse(column<T>(reached));
  const double epsilon = std::numeric_limits<T>::epsilon(), w = static_cast<double>(T(0.8));
  for (Index i = 0; i < x.value.rows(); ++i) {
    const double y = static_cast<double>(static_cast<T>(reached[static_cast<std::size_t>(i)])), left = w - std::abs(y);
    INFO(y);
    CHECK(static_cast<double>(x.value(i, 0)) == Approx(y / left).epsilon(8 * epsilon / left).margin(0));
    CHECK(x.log_det[i] == Approx(std::log(w) - 2 * std::log(left)).epsilon(8 * epsilon / left));
  }
}

TEMPLATE_TEST_CASE("A density is zero beyond the reach of its map", "[numerical_reach]", double, float) {
  using T = TestType;
  const TransformedDistribution<T> d(Normal<T>(1), softsign<T>());
  const Eigen::VectorXd log_prob = d.log_prob(column<T>({0.5, 0.8001, -0.803, 0.805, 0.9, -0.25}));
  for (const Index i : {1, 2, 3, 4}) CHECK(log_prob[i] == -inf);
  const boost::math::normal normal;
  for (const auto& [i, y] : {std::pair<Index, double>{0, 0.5}, {5, -0.25}}) {
    const double left = 0.8 - std::abs(y);
    CHECK(log_prob[i] == Approx(std::log(boost::math::pdf(normal, y / left) * 0.8 / (left * left))).epsilon(1e-5));
  }
}

TEMPLATE_TEST_CASE("The end of an interval is no root either", "[numerical_reach]", double, float) {
  using T = TestType;
  const auto line = [](double low, double slope) {
    return [=](Var<T> x) { return MappedElements<T>{x * T(slope) + T(low), log(x * T(0) + T(slope))}; };
  };
  // It is said to reach (0, 1) from (0, 1).
  check_outside(solved<T>(line(0, 0.8), unit_interval, unit_interval), 0.5, {0.80001, 0.805, 0.81, 0.99});
  check_outside(solved<T>(line(0.2, 0.8), unit_interval, unit_interval), 0.5, {1e-6, 0.19, 0.195, 0.19999});
  const Elementwise<T> whole = solved<T>(line(0, 1), unit_interval, unit_interval);
  const T last = std::nextafter(T(1), T(0));
  CHECK(whole.inverse(column<T>({static_cast<double>(last)})).value(0, 0) == last);
  // From one end: x / (1 + x).
  const auto half = [](double low, double slope) {
    return [=](Var<T> x) {
      return MappedElements<T>{T(slope) * (x / (T(1) + x)) + T(low), T(std::log(slope)) - T(2) * log1p(x)};
    };
  };
  check_outside(solved<T>(half(0, 0.8), positive, unit_interval), 0.5, {0.8001, 0.805, 0.9});
  check_outside(solved<T>(half(0.2, 0.6), positive, unit_interval), 0.5, {1e-6, 0.195, 0.19999, 0.8001, 0.805, 0.9});
  // And where y has one end alone.
  check_outside(solved<T>(half(0.2, 0.6), positive, positive), 0.5, {0.195, 0.8001, 0.805, 0.9, 1e10});
}

TEMPLATE_TEST_CASE("Between two ends a root nearer to one than any number is that next to it", "[numerical_reach]",
                   double, float) {
  using T = TestType;
  // 1 - (1 - x)^(1/8) and x^(1/8), of which the inverses, 1 - (1 - y)^8 and y^8, soon are 1 and 0 in T.
  const Elementwise<T> up = solved<T>(
      [](Var<T> x) {
        const Var<T> log_left = log1p(-x);
        return MappedElements<T>{-expm1(T(0.125) * log_left), T(-0.875) * log_left + T(std::log(0.125))};
      },
      unit_interval, unit_interval);
  const Elementwise<T> down = solved<T>(
      [](Var<T> x) {
        const Var<T> log_x = log(x);
        return MappedElements<T>{exp(T(0.125) * log_x), T(-0.875) * log_x + T(std::log(0.125))};
      },
      unit_interval, unit_interval);
  const T last = std::nextafter(T(1), T(0)), first = std::numeric_limits<T>::denorm_min();
  const double epsilon = std::numeric_limits<T>::epsilon();
  for (const double left : {1e-7, 1e-5, 1e-3}) {
    INFO(left);
    CHECK(up.inverse(column<T>({1 - left})).value(0, 0) == last);
  }
  const auto at = [](const Elementwise<T>& map, double y) {
    return static_cast<double>(map.inverse(column<T>({y})).value(0, 0));
  };
  for (const double y : {0.2, 0.5, 0.7}) CHECK(at(up, y) == Approx(1 - std::pow(1 - y, 8)).epsilon(16 * epsilon));
  for (const double y : {sizeof(T) == 8 ? 1e-60 : 1e-7, sizeof(T) == 8 ? 1e-300 : 1e-30})
    CHECK(down.inverse(column<T>({y})).value(0, 0) == first);
  for (const double y : {0.01, 0.5, 0.7}) CHECK(at(down, y) == Approx(std::pow(y, 8)).epsilon(64 * epsilon));
}

TEMPLATE_TEST_CASE("What a map overflows to is no root either", "[numerical_reach]", double, float) {
  using T = TestType;
  // 0.8 x^2 / (1 + x^2), to infinity over infinity from the root of the largest number on.
  const Elementwise<T> map = solved<T>(
      [](Var<T> x) {
        return MappedElements<T>{T(0.8) * (square(x) / (T(1) + square(x))),
                                 log(T(1.6) * x) - T(2) * log1p(square(x))};
      },
      positive, unit_interval);
  check_outside(map, 0.5, {0.8001, 0.805, 0.81, 0.9});
  CHECK(static_cast<double>(map.inverse(column<T>({0.4})).value(0, 0)) == Approx(1).epsilon(1e-5));
}

TEMPLATE_TEST_CASE("A map that decreases has no bracket, however small its numbers", "[numerical_reach]", double,
                   float) {
  using T = TestType;
  const double scale = sizeof(T) == 8 ? 1e-8 : 1e-3;
  const Elementwise<T> map = solved<T>(
      [scale](Var<T> x) {
        return MappedElements<T>{-T(scale) * (x / (T(1) + abs(x))), T(std::log(scale)) - T(2) * log1p(abs(x))};
      },
      real_line, {-1, 1});
  check_outside(map, 0, {0.5 * scale, 0.9 * scale, 2 * scale, -0.5 * scale, -2 * scale});
}
