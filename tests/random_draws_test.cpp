// Draws: accuracy from end to end of the word, and goodness of fit.

#include <algorithm>
#include <array>
#include <boost/math/distributions/cauchy.hpp>
#include <boost/math/distributions/exponential.hpp>
#include <boost/math/distributions/laplace.hpp>
#include <boost/math/distributions/logistic.hpp>
#include <boost/math/distributions/normal.hpp>
#include <cmath>
#include <pushforward/random.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tests/catch.hpp"
#include "tests/draws.hpp"
#include "src/kernels/kernels.hpp"

using namespace pushforward;
using namespace random_tests;

namespace {

// Of single words.
template <class T>
T draw_of(kernels::Draw kind, kernels::RandomWord<T> word) {
  const kernels::RandomWord<T> words[kernels::row_block] = {word};
  T values[kernels::row_block];
  kernels::table<T>().draw(kind, words, values, kernels::row_block);
  return values[0];
}

template <class T>
std::pair<T, T> normals_of(kernels::RandomWord<T> radius, kernels::RandomWord<T> angle) {
  const kernels::RandomWord<T> radii[kernels::row_block] = {radius}, angles[kernels::row_block] = {angle};
  T first[kernels::row_block], second[kernels::row_block];
  kernels::table<T>().normal_draws(radii, angles, first, second, kernels::row_block);
  return {first[0], second[0]};
}

template <class T>
double cdf_of(const std::string& transform, T value) {
  const auto x = static_cast<double>(value);
  namespace bm = boost::math;
  if (transform == "normal") return bm::cdf(bm::normal(), x);
  if (transform == "logistic") return bm::cdf(bm::logistic(), x);
  if (transform == "laplace") return bm::cdf(bm::laplace(), x);
  if (transform == "cauchy") return bm::cdf(bm::cauchy(), x);
  if (transform == "exponential") return bm::cdf(bm::exponential(), x);
  return x;
}

// Sup-norm distance of the empirical from the true distribution function, times sqrt(n).
template <class T>
double kolmogorov_smirnov(const std::string& transform, std::vector<T> x) {
  std::sort(x.begin(), x.end());
  const auto n = static_cast<double>(x.size());
  double distance = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double f = cdf_of(transform, x[i]);
    distance = std::max({distance, f - static_cast<double>(i) / n, static_cast<double>(i + 1) / n - f});
  }
  return distance * std::sqrt(n);
}

}  // namespace

TEMPLATE_TEST_CASE("transforms are accurate from end to end of the word", "", float, double) {
  using T = TestType;
  using Word = kernels::RandomWord<T>;
  constexpr bool single = sizeof(T) == 4;
  constexpr int bits = single ? 32 : 52;
  const Word largest = single ? Word(~Word{0}) : (Word{1} << 52) - 1;
  const Word middle = largest / 2 + 1;

  std::vector<Word> words;
  for (int shift = 0; shift <= bits; ++shift)  // both ends, both sides of the middle, quarters, eighths
    for (Word offset = 0; offset < 4; ++offset) {
      const Word x = shift == bits ? Word{0} : Word{1} << shift;
      for (const Word base : {Word(x + offset), Word(x - offset), Word(middle + x + offset), Word(middle - x - offset),
                              Word(largest - x - offset), Word(middle / 2 + x), Word(middle / 2 - x)})
        words.push_back(base & largest);
    }
  RowStream stream = Engine(3).next_call().row(0);
  for (int i = 0; i < 40000; ++i) words.push_back((Word{stream()} << (bits - 32) ^ Word{stream()}) & largest);

  // Long double has 64 bits: enough for u, 1 - u and references to the last place of double.
  using Wide = long double;
  const Wide pi = 3.14159265358979323846264338327950288L;
  const Wide unit = single ? 0x1p-24L : 0x1p-53L;  // half a unit in the last place of 1
  Wide worst_exponential = 0, worst_laplace = 0, worst_logistic = 0, worst_cauchy = 0, worst_normal = 0;
  const auto relative = [&](T x, Wide reference) {
    return std::abs((static_cast<Wide>(x) - reference) / reference) / unit;
  };
  for (const Word k : words) {
    const Wide u = (static_cast<Wide>(k) + 0.5L) / (static_cast<Wide>(largest) + 1);
    const Wide v = (static_cast<Wide>(largest - k) + 0.5L) / (static_cast<Wide>(largest) + 1);
    const Wide log_u = u < 0.7L ? std::log(u) : std::log1p(-v), log_v = v < 0.7L ? std::log(v) : std::log1p(-u);

    const T x = draw_of<T>(kernels::Draw::uniform, k);
    REQUIRE(x > T(0));
    REQUIRE(x < T(1));
    REQUIRE(std::abs(static_cast<Wide>(x) - u) <= (single ? 0x1p-24L : 0.0L));
    REQUIRE(T(1) - x == draw_of<T>(kernels::Draw::uniform, largest - k));

    REQUIRE(draw_of<T>(kernels::Draw::exponential, k) > T(0));
    worst_exponential = std::max(worst_exponential, relative(draw_of<T>(kernels::Draw::exponential, k), -log_u));
    const Wide near = std::min(u, v), sign = u < v ? -1 : 1;
    const Wide centre =
        std::abs(static_cast<Wide>(k) + 0.5L - static_cast<Wide>(middle)) / static_cast<Wide>(middle);  // |2u - 1|
    const Wide laplace = -sign * (centre < 0.3L ? std::log1p(-centre) : std::log(2 * near));
    worst_laplace = std::max(worst_laplace, relative(draw_of<T>(kernels::Draw::laplace, k), laplace));
    const Wide logistic = centre < 0.3L ? sign * std::log1p(centre / near) : log_u - log_v;
    worst_logistic = std::max(worst_logistic, relative(draw_of<T>(kernels::Draw::logistic, k), logistic));
    const Wide cauchy = sign * (centre < 0.3L ? std::tan(pi / 2 * centre) : 1 / std::tan(pi * near));
    worst_cauchy = std::max(worst_cauchy, relative(draw_of<T>(kernels::Draw::cauchy, k), cauchy));

    // k as radius with a fixed angle, and as angle with a fixed radius; error against the radius
    for (const auto& [k_radius, k_angle] : {std::pair<Word, Word>{k, middle / 3}, {middle / 5, k}}) {
      const auto [first, second] = normals_of<T>(k_radius, k_angle);
      const Wide a = (static_cast<Wide>(k_radius) + 0.5L) / (static_cast<Wide>(largest) + 1);
      const Wide b = (static_cast<Wide>(largest - k_radius) + 0.5L) / (static_cast<Wide>(largest) + 1);
      const Wide radius = std::sqrt(-2 * (a < 0.7L ? std::log(a) : std::log1p(-b)));
      const Wide angle = 2 * pi * (static_cast<Wide>(k_angle) + 0.5L) / (static_cast<Wide>(largest) + 1);
      worst_normal = std::max({worst_normal, std::abs(static_cast<Wide>(first) - radius * std::cos(angle)) / radius,
                               std::abs(static_cast<Wide>(second) - radius * std::sin(angle)) / radius});
    }
    if (k < middle) {  // symmetric to the bit
      REQUIRE(draw_of<T>(kernels::Draw::laplace, k) == -draw_of<T>(kernels::Draw::laplace, largest - k));
      REQUIRE(draw_of<T>(kernels::Draw::logistic, k) == -draw_of<T>(kernels::Draw::logistic, largest - k));
      REQUIRE(draw_of<T>(kernels::Draw::cauchy, k) == -draw_of<T>(kernels::Draw::cauchy, largest - k));
    }
  }
  worst_normal /= unit;
  CAPTURE(worst_exponential, worst_laplace, worst_logistic, worst_cauchy, worst_normal);
  CHECK(worst_exponential < 4);
  CHECK(worst_laplace < 4);
  CHECK(worst_logistic < 8);
  CHECK(worst_cauchy < 6);
  CHECK(worst_normal < 4);
}

TEST_CASE("the ends of the ranges") {
  CHECK(normals_of<float>(0, 0).first == Approx(6.76371f).epsilon(1e-6));
  CHECK(draw_of<float>(kernels::Draw::exponential, 0) == Approx(22.8739f).epsilon(1e-5));
  CHECK(draw_of<float>(kernels::Draw::exponential, ~0u) == 0x1p-33f);
  CHECK(draw_of<float>(kernels::Draw::logistic, 0) == Approx(-22.8739f).epsilon(1e-5));
  CHECK(draw_of<float>(kernels::Draw::laplace, ~0u) == Approx(22.1807f).epsilon(1e-5));
  CHECK(draw_of<float>(kernels::Draw::cauchy, ~0u) == Approx(0x1p33 / 3.14159265358979323846));
  CHECK(draw_of<float>(kernels::Draw::uniform, 0) == 0x1p-24f);
  CHECK(draw_of<float>(kernels::Draw::uniform, ~0u) == 1 - 0x1p-24f);

  const std::uint64_t top = (std::uint64_t{1} << 52) - 1;
  CHECK(normals_of<double>(0, 0).first == Approx(8.571674).epsilon(1e-6));
  CHECK(draw_of<double>(kernels::Draw::exponential, 0) == Approx(36.7368).epsilon(1e-5));
  CHECK(draw_of<double>(kernels::Draw::exponential, top) == 0x1p-53);
  CHECK(draw_of<double>(kernels::Draw::logistic, top) == Approx(36.7368).epsilon(1e-5));
  CHECK(draw_of<double>(kernels::Draw::laplace, 0) == Approx(-36.0437).epsilon(1e-5));
  CHECK(draw_of<double>(kernels::Draw::cauchy, top) == Approx(0x1p53 / 3.14159265358979323846));
  CHECK(draw_of<double>(kernels::Draw::uniform, 0) == 0x1p-53);
  CHECK(draw_of<double>(kernels::Draw::uniform, top) == 1 - 0x1p-53);
}

TEST_CASE("float draws are the double draws, rounded") {
  const RandomCall call = Engine(17).next_call();
  for (const std::string& transform : transforms) {
    const auto x = draw<float>(transform, call, 5000, 4);
    const auto y = draw<double>(transform, call, 5000, 4);
    double worst = 0;
    for (std::size_t i = 0; i < x.size(); ++i)
      worst = std::max(worst, std::abs(static_cast<double>(x[i]) - y[i]) / std::max(1.0, std::abs(y[i])));
    INFO(transform << " " << worst);
    // the resolution of the word shows in the tails of the Cauchy
    CHECK(worst < (transform == "cauchy" ? 1e-5 : 2e-6));
  }
}

// ---------------------------------------------------------------------------------------------------- distribution

TEMPLATE_TEST_CASE("a million draws follow their distribution", "", float, double) {
  Engine engine(2024);
  for (const std::string& transform : transforms) {
    const auto x = draw<TestType>(transform, engine.next_call(), 250000, 4);
    INFO(transform);
    CHECK(kolmogorov_smirnov(transform, x) < 1.95);  // exceeded with probability 1e-3
    if (transform == "cauchy") continue;             // no moments
    const double mean = transform == "uniform" ? 0.5 : transform == "exponential" ? 1.0 : 0.0;
    const double pi = 3.14159265358979323846;
    const double variance = transform == "uniform"    ? 1.0 / 12
                            : transform == "logistic" ? pi * pi / 3
                            : transform == "laplace"  ? 2.0
                                                      : 1.0;
    const double kurtosis = transform == "uniform"       ? 1.8
                            : transform == "logistic"    ? 4.2
                            : transform == "laplace"     ? 6.0
                            : transform == "exponential" ? 9.0
                                                         : 3.0;
    double m1 = 0, m2 = 0, m4 = 0;
    for (const TestType v : x) {
      const double d = static_cast<double>(v) - mean;
      m1 += d;
      m2 += d * d;
      m4 += d * d * d * d;
    }
    const auto n = static_cast<double>(x.size());
    CHECK(std::abs(m1 / n) < 4 * std::sqrt(variance / n));
    CHECK(std::abs(m2 / n - variance) < 4 * variance * std::sqrt((kurtosis - 1) / n));
    CHECK(m4 / n / (variance * variance) == Approx(kurtosis).epsilon(0.06));
  }
}

TEST_CASE("ten million float normals reach their tails") {
  Engine engine(5);
  const boost::math::normal normal;
  const std::array<double, 4> bounds = {3.0, 4.0, 4.5, 5.0};
  std::array<double, 4> above{}, below{};
  const Index rows = 100000, cols = 10;
  std::vector<float> x(static_cast<std::size_t>(rows * cols));
  for (int i = 0; i < 10; ++i) {
    engine.next_call().normal(0, rows, cols, x.data(), rows);
    for (const float v : x)
      if (v > 3 || v < -3)
        for (std::size_t b = 0; b < bounds.size(); ++b) {
          above[b] += static_cast<double>(v) > bounds[b];
          below[b] += -static_cast<double>(v) > bounds[b];
        }
  }
  for (std::size_t b = 0; b < bounds.size(); ++b) {
    const double expected = 1e7 * boost::math::cdf(complement(normal, bounds[b]));
    INFO(bounds[b] << ": " << above[b] << " and " << below[b] << " of " << expected);
    CHECK(std::abs(above[b] - expected) < 4 * std::sqrt(expected) + 1);
    CHECK(std::abs(below[b] - expected) < 4 * std::sqrt(expected) + 1);
  }
  CHECK(above[3] + below[3] > 0);
}
