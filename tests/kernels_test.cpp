// The kernels of every instruction set that this machine has: selection, arithmetic over columns and reductions, the
// same bits for every position, and nothing read or written that is masked.

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <pushforward/error.hpp>
#include <random>
#include <string>

#include "tests/catch.hpp"
#include "tests/kernels.hpp"
#include "src/kernels/dispatch.hpp"
#include "src/kernels/kernels.hpp"

using namespace kernel_tests;

namespace {

TEST_CASE("kernels: tables by name", "[kernels]") {
  const auto tables = available_tables<float>();
  REQUIRE(!tables.empty());
  REQUIRE(tables.size() == available_tables<double>().size());
  CHECK(&table_named<float>("") == tables.front());
  std::string names;
  for (const auto* t : tables) {
    std::string lower = t->instruction_set;
    for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    CHECK(&table_named<float>(t->instruction_set) == t);
    CHECK(&table_named<float>(lower) == t);
    if (lower == "avx3") CHECK(&table_named<float>("AVX512") == t);
    names += (names.empty() ? "" : ", ") + std::string(t->instruction_set);
  }
  CHECK_THROWS_AS(table_named<double>("AVX9"), pushforward::DomainError);
  CHECK_THROWS_WITH(table_named<double>("AVX9"),
                    Catch::Matchers::ContainsSubstring(names) && Catch::Matchers::ContainsSubstring("\"AVX9\""));
}

TEST_CASE("kernels: the choice that other users of Highway share is left alone", "[kernels]") {
  const float x = 1;
  float y = 0;
  table<float>().exp(&x, &y, 1);
  CHECK_FALSE(hwy::GetChosenTarget().IsInitialized());  // nobody else uses it in this program
}

// ------------------------------------------------------------------------------------------------ arithmetic

TEMPLATE_TEST_CASE("kernels: arithmetic over columns", "[kernels]", float, double) {
  using T = TestType;
  std::mt19937_64 engine(3);
  const LongDouble eps = std::numeric_limits<T>::epsilon();
  for (const Index n : {0, 1, 15, 16, 37, 160}) {
    const Buffer<T> a = random_values<T>(n, engine, 0.5, 2), b = random_values<T>(n, engine, 0.5, 2);
    const Buffer<T> start = random_values<T>(n, engine, 0.5, 2);
    for (const Table<T>* t : available_tables<T>()) {
      CAPTURE(t->instruction_set, n);
      const auto check = [&](auto call, auto exact, LongDouble bound) {
        Buffer<T> y(start);
        call(y.get());
        LongDouble worst = 0;
        for (Index i = 0; i < n; ++i) worst = std::max(worst, std::abs(y[i] - exact(i)));
        CHECK(static_cast<double>(worst) <= static_cast<double>(bound * eps));
      };
      using L = LongDouble;
      check([&](T* y) { t->add(a.get(), b.get(), y, n); }, [&](Index i) { return L(a[i]) + b[i]; }, 1);
      check([&](T* y) { t->subtract(a.get(), b.get(), y, n); }, [&](Index i) { return L(a[i]) - b[i]; }, 1);
      check([&](T* y) { t->multiply(a.get(), b.get(), y, n); }, [&](Index i) { return L(a[i]) * b[i]; }, 2);
      check([&](T* y) { t->divide(a.get(), b.get(), y, n); }, [&](Index i) { return L(a[i]) / b[i]; }, 2);
      check([&](T* y) { t->scale_shift(a.get(), T(3), T(-1), y, n); }, [&](Index i) { return L(a[i]) * 3 - 1; }, 5);
      check([&](T* y) { t->accumulate(a.get(), y, n); }, [&](Index i) { return L(start[i]) + a[i]; }, 2);
      check([&](T* y) { t->axpy(T(3), a.get(), y, n); }, [&](Index i) { return L(start[i]) + L(a[i]) * 3; }, 8);
      check([&](T* y) { t->multiply_accumulate(a.get(), b.get(), y, n); },
            [&](Index i) { return L(start[i]) + L(a[i]) * b[i]; }, 6);

      check([&](T* y) { t->divide_backward(a.get(), b.get(), b.get(), y, nullptr, n); },
            [&](Index i) { return L(start[i]) + L(b[i]) / b[i]; }, 2);
      check([&](T* y) { t->divide_backward(a.get(), b.get(), a.get(), nullptr, y, n); },
            [&](Index i) { return L(start[i]) - L(a[i]) * a[i] / (L(b[i]) * b[i]); }, 32);

      Buffer<double> column(n, 0.25);
      t->accumulate_column(a.get(), column.get(), n);
      for (Index i = 0; i < n; ++i) CHECK(column[i] == 0.25 + static_cast<double>(a[i]));
      const double values[] = {1e-3, -infinity<double>, 1e300, nan_value<double>};
      for (Index i = 0; i < n; ++i) column[i] = values[i % 4];
      Buffer<T> gx(n, T(0.5));
      t->spread_column(column.get(), gx.get(), n);
      for (Index i = 0; i < n; ++i) {
        const T expected = T(0.5) + static_cast<T>(column[i]);
        CHECK((gx[i] == expected || (std::isnan(gx[i]) && std::isnan(expected))));
      }
    }
  }
}

TEMPLATE_TEST_CASE("kernels: one Adam step", "[kernels]", float, double) {
  using T = TestType;
  using L = LongDouble;
  std::mt19937_64 engine(5);
  for (const Index n : {1, 16, 45}) {
    const Buffer<T> p0 = random_values<T>(n, engine), m0 = random_values<T>(n, engine, -0.1, 0.1),
                    v0 = random_values<T>(n, engine, 0, 0.1), g = random_values<T>(n, engine);
    for (const Table<T>* t : available_tables<T>()) {
      CAPTURE(t->instruction_set, n);
      Buffer<T> p(p0), m(m0), v(v0);
      const T scale = T(0.5), rate = T(0.01), b1 = T(0.9), b2 = T(0.999), c1 = T(0.1), c2 = T(0.001), eps = T(1e-8),
              decay = T(0.02);
      t->adam(p.get(), m.get(), v.get(), g.get(), n, scale, rate, b1, b2, c1, c2, eps, decay);
      for (Index i = 0; i < n; ++i) {
        const L gi = L(g[i]) * scale;
        const L mi = L(b1) * m0[i] + (1 - L(b1)) * gi;
        const L vi = L(b2) * v0[i] + L(T(1) - b2) * gi * gi;
        const L pi = p0[i] - rate * ((mi / c1) / (std::sqrt(vi / c2) + eps) + L(decay) * p0[i]);
        const double tolerance = 8 * std::numeric_limits<T>::epsilon();
        CHECK(std::abs(static_cast<double>(m[i] - mi)) <= tolerance);
        CHECK(std::abs(static_cast<double>(v[i] - vi)) <= tolerance);
        CHECK(std::abs(static_cast<double>(p[i] - pi)) <= tolerance);
      }
    }
  }
}

// ------------------------------------------------------------------------------------------------ reductions

TEMPLATE_TEST_CASE("kernels: sums and scalar products, the same bits everywhere", "[kernels]", float, double) {
  using T = TestType;
  std::mt19937_64 engine(13);
  for (const Index n : {0, 1, 7, 16, 17, 100, 1000, 4099}) {
    const Buffer<T> x = random_values<T>(n, engine, -1, 3), y = random_values<T>(n, engine);
    double lane_sum[row_block] = {}, lane_dot[row_block] = {};
    LongDouble exact_sum = 0, exact_dot = 0;
    for (Index i = 0; i < n; ++i) {
      const volatile double product = static_cast<double>(x[i]) * static_cast<double>(y[i]);  // rounded on its own
      lane_sum[i % row_block] += static_cast<double>(x[i]);
      lane_dot[i % row_block] += product;
      exact_sum += x[i];
      exact_dot += LongDouble(x[i]) * y[i];
    }
    const double sum = std::accumulate(lane_sum + 1, lane_sum + row_block, lane_sum[0]);
    const double dot = std::accumulate(lane_dot + 1, lane_dot + row_block, lane_dot[0]);
    for (const Table<T>* t : available_tables<T>()) {
      CAPTURE(t->instruction_set, n);
      CHECK(t->sum(x.get(), n) == sum);
      CHECK(t->dot(x.get(), y.get(), n) == dot);
    }
    CHECK(std::abs(static_cast<double>(sum - exact_sum)) <= 1e-12 * static_cast<double>(n));
    CHECK(std::abs(static_cast<double>(dot - exact_dot)) <= 1e-12 * static_cast<double>(n));
  }
}

struct ExactMoments {
  LongDouble weight = 0, mean = 0, m2 = 0;
};

template <class T>
ExactMoments exact_moments(const Buffer<T>& x, const Buffer<T>* w) {
  ExactMoments e;
  for (Index i = 0; i < x.size(); ++i) {
    const LongDouble wi = w ? LongDouble((*w)[i]) : 1;
    e.weight += wi;
    e.mean += wi * x[i];
  }
  if (e.weight > 0) e.mean /= e.weight;
  for (Index i = 0; i < x.size(); ++i) {
    e.m2 += (w ? LongDouble((*w)[i]) : 1) * (x[i] - e.mean) * (x[i] - e.mean);
  }
  return e;
}

TEMPLATE_TEST_CASE("kernels: moments", "[kernels]", float, double) {
  using T = TestType;
  std::mt19937_64 engine(17);
  std::normal_distribution<double> normal;
  for (const Table<T>* t : available_tables<T>()) {
    CAPTURE(t->instruction_set);
    const Moments none = t->moments(nullptr, nullptr, 0);
    CHECK(none.mean == 0);
    CHECK(none.m2 == 0);
    const T value = T(0.1), weight = T(0.3);
    const Moments one = t->moments(&value, &weight, 1);
    CHECK(one.mean == static_cast<double>(value));
    CHECK(one.m2 == 0);
    for (const double mean : {0.0, 1.0, 1e4, -1e6}) {
      for (const Index n : {2, 16, 127, 128, 129, 1000, 20000}) {
        CAPTURE(mean, n);
        Buffer<T> x(n);
        for (Index i = 0; i < n; ++i) x[i] = static_cast<T>(mean + normal(engine));
        Buffer<T> w = random_values<T>(n, engine, 0, 2);
        for (Index i = 0; i < n; i += 3) w[i] = 0;
        for (const bool weighted : {false, true}) {
          const Buffer<T>* weights = weighted ? &w : nullptr;
          const ExactMoments exact = exact_moments(x, weights);
          const Moments m = t->moments(x.get(), weighted ? w.get() : nullptr, n);
          CHECK(std::abs(m.mean - static_cast<double>(exact.mean)) <= 1e-14 * (1 + std::abs(mean)));
          const double m2 = static_cast<double>(exact.m2);
          // A single row with weight has none, up to the rounding of the exact mean.
          CHECK(std::abs(m.m2 - m2) <= (1e-12 + 1e-15 * std::abs(mean)) * m2 + 1e-30 * (1 + mean * mean));
          const Moments first = available_tables<T>().front()->moments(x.get(), weighted ? w.get() : nullptr, n);
          CHECK(m.mean == first.mean);
          CHECK(m.m2 == first.m2);
        }
        Buffer<T> constant(n, static_cast<T>(mean + 0.1));
        for (const T* weights : {static_cast<const T*>(nullptr), static_cast<const T*>(w.get())}) {
          const Moments c = t->moments(constant.get(), weights, n);
          CHECK(c.mean == static_cast<double>(constant[0]));
          CHECK(c.m2 == 0);
        }
        std::fill(w.get(), w.get() + n, T(0));
        const Moments weightless = t->moments(x.get(), w.get(), n);
        CHECK(weightless.mean == 0);
        CHECK(weightless.m2 == 0);
      }
    }
    // A value that is not finite shows.
    Buffer<T> x = random_values<T>(300, engine);
    x[170] = nan_value<T>;
    CHECK(std::isnan(t->moments(x.get(), nullptr, 300).m2));
    x[170] = infinity<T>;
    CHECK_FALSE(std::isfinite(t->moments(x.get(), nullptr, 300).m2));
  }
}

}  // namespace
