// Monotone rational-quadratic splines: other libraries' numbers and gradients, tails, knots, random parameters.

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <pushforward/bijectors/coupling.hpp>
#include <pushforward/bijectors/rational_quadratic_spline.hpp>
#include <pushforward/error.hpp>
#include <pushforward/nn/constant.hpp>
#include <pushforward/random.hpp>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "src/kernels/kernels.hpp"
#include "tests/oracle.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

template <class T>
kernels::Spline<T> spline_of(Index bins, double low, double high, kernels::Tails tails, double slope = 0) {
  return {.bins = bins,
          .low = static_cast<T>(low),
          .high = static_cast<T>(high),
          .first = static_cast<T>(low),
          .last = static_cast<T>(high),
          .tails = tails,
          .scale = 1,
          .min_width = static_cast<T>(slope > 0 ? 0 : 1e-3),
          .min_height = static_cast<T>(slope > 0 ? 0 : 1e-3),
          .min_derivative = static_cast<T>(1e-3),
          .max_derivative = static_cast<T>(1e18),
          .log_range = static_cast<T>(slope > 0 ? -std::log(slope) : 0)};
}

template <class T>
Index parameters(const kernels::Spline<T>& s) {
  return 2 * s.bins + (s.tails == kernels::Tails::identity   ? s.bins - 1
                       : s.tails == kernels::Tails::circular ? s.bins
                                                             : s.bins + 1);
}

/// Aligned columns of a padded batch, and calls of one instruction set's kernels on them.
template <class T>
struct Batch {
  Batch(const kernels::Table<T>& table, const kernels::Spline<T>& spline, Index rows)
      : table(table), spline(spline), n((rows + 15) / 16 * 16) {
    const Index count = parameters(spline);
    memory = Tensor<T>({2 * count + 6, n});
    T* next = memory.data();
    for (std::vector<T*>* columns : {&raw, &g_raw})
      for (Index p = 0; p < count; ++p, next += n) columns->push_back(next);
    for (T** column : {&in, &out, &log_derivative, &g_out, &g_log, &g_in}) *column = next, next += n;
  }
  void map(bool root) { table.spline(spline, root, in, raw.data(), out, log_derivative, n); }
  void backward(bool root) {
    std::fill_n(g_in, n, T(0));
    for (T* g : g_raw) std::fill_n(g, n, T(0));
    table.spline_backward(spline, root, in, out, raw.data(), g_out, g_log, g_in, g_raw.data(), n);
  }

  const kernels::Table<T>& table;
  kernels::Spline<T> spline;
  Index n;
  Tensor<T> memory;
  std::vector<T*> raw, g_raw;
  T *in, *out, *log_derivative, *g_out, *g_log, *g_in;
};

template <class T>
void run_oracle(const kernels::Table<T>& table, const oracle::Json& c) {
  const std::string system = c.at("system");
  const auto& o = c.at("options");
  kernels::Spline<T> s = spline_of<T>(c.at("bins"), c.at("low"), c.at("high"),
                                      system == "normflows_circular" ? kernels::Tails::circular
                                      : system == "nflows_bounded"   ? kernels::Tails::bounded
                                                                     : kernels::Tails::identity,
                                      system == "zuko" ? o.value("slope", 1e-3) : 0);
  if (o.contains("min_bin_width")) s.min_width = o.at("min_bin_width");
  if (o.contains("min_bin_height")) s.min_height = o.at("min_bin_height");
  if (o.contains("min_derivative")) s.min_derivative = o.at("min_derivative");
  if (o.contains("raw_scale")) s.scale = o.at("raw_scale");
  const Eigen::VectorXd x = oracle::vector(c.at("x"));
  const Eigen::MatrixXd raw = oracle::matrix(c.at("raw"));
  Batch<T> batch(table, s, x.size());
  REQUIRE(raw.cols() == static_cast<Index>(batch.raw.size()));
  for (Index i = 0; i < x.size(); ++i) {
    batch.in[i] = static_cast<T>(x[i]);
    for (Index p = 0; p < raw.cols(); ++p) batch.raw[static_cast<std::size_t>(p)][i] = static_cast<T>(raw(i, p));
  }
  // Gradients of float near a knot are those of the other bin, and small slopes magnify roundings.
  const double tolerance = sizeof(T) == 8 ? 1e-10 : 2e-4;
  const auto near = [&](const char* what, Index row, double got, double expected) {
    INFO(what << " in row " << row);
    CHECK(std::abs(got - expected) <= tolerance * (1 + std::abs(expected)));
  };
  for (const bool root : {false, true}) {
    INFO((root ? "solve" : "evaluate"));
    const auto& expected = c.at(root ? "solve" : "evaluate");
    const Eigen::VectorXd value = oracle::vector(expected.at("value")),
                          log = oracle::vector(expected.at("log_derivative"));
    const Eigen::VectorXd g_value = oracle::vector(expected.at("g_value")),
                          g_log = oracle::vector(expected.at("g_log"));
    const Eigen::VectorXd gx = oracle::vector(expected.at("gx"));
    const Eigen::MatrixXd graw = oracle::matrix(expected.at("graw"));
    batch.map(root);
    for (Index i = 0; i < x.size(); ++i) {
      near("value", i, batch.out[i], value[i]);
      near("log derivative", i, batch.log_derivative[i], log[i]);
      batch.g_out[i] = static_cast<T>(g_value[i]);
      batch.g_log[i] = static_cast<T>(g_log[i]);
    }
    batch.backward(root);
    double scale = 1;
    for (Index i = 0; i < x.size(); ++i) scale = std::max(scale, std::abs(gx[i]));
    for (Index i = 0; i < x.size(); ++i) {
      near("dx", i, static_cast<double>(batch.g_in[i]) / scale, gx[i] / scale);
      for (Index p = 0; p < graw.cols(); ++p)
        near("draw", i, static_cast<double>(batch.g_raw[static_cast<std::size_t>(p)][i]) / scale, graw(i, p) / scale);
    }
  }
}

}  // namespace

TEMPLATE_TEST_CASE("Splines agree with nflows, normflows and zuko, gradients too", "[spline][nflows]", float, double) {
  std::size_t cases = 0;
  for (const char* name : {"splines_0", "splines_1", "splines_2"}) {
    const oracle::Json file = oracle::read(name);
    for (const oracle::Json& c : file.at("cases")) {
      for (const kernels::Table<TestType>* table : kernels::available_tables<TestType>()) {
        INFO(c.at("system") << ", " << c.at("bins") << " bins, " << table->instruction_set);
        run_oracle(*table, c);
      }
      ++cases;
    }
  }
  CHECK(cases == 8);
}

TEMPLATE_TEST_CASE("RationalQuadraticSpline agrees with nflows, normflows and zuko in both directions", "[spline]",
                   float, double) {
  using T = TestType;
  const double tolerance = sizeof(T) == 8 ? 1e-10 : 2e-4;
  for (const char* name : {"splines_0", "splines_1", "splines_2"}) {
    const oracle::Json file = oracle::read(name);
    for (const oracle::Json& c : file.at("cases")) {
      const std::string system = c.at("system");
      const auto& o = c.at("options");
      INFO(system << ", " << c.at("bins") << " bins");
      RationalQuadraticOptions options{.bins = c.at("bins"), .low = c.at("low"), .high = c.at("high")};
      if (system == "nflows_bounded") options.tails = SplineTails::bounded;
      if (system == "normflows_circular") options.tails = SplineTails::circular;
      if (system == "zuko") options.parameters = SplineParameters::zuko;
      options.min_bin_width = o.value("min_bin_width", options.min_bin_width);
      options.min_bin_height = o.value("min_bin_height", options.min_bin_height);
      options.min_derivative = o.value("min_derivative", options.min_derivative);
      options.raw_scale = o.value("raw_scale", options.raw_scale);
      options.slope = o.value("slope", options.slope);
      // One row, with a column for each of their points.
      const Eigen::VectorXd points = oracle::vector(c.at("x"));
      const Eigen::MatrixXd raw = oracle::matrix(c.at("raw"));
      const Index dim = points.size();
      RationalQuadraticSpline<T> spline(dim, options);
      REQUIRE(spline.raw().size() == raw.size());
      for (Index p = 0; p < raw.cols(); ++p)
        for (Index d = 0; d < dim; ++d) spline.raw()[p * dim + d] = static_cast<T>(raw(d, p));
      const Matrix<T> row = points.transpose().template cast<T>();
      for (const bool forward : {false, true}) {
        INFO((forward ? "forward" : "inverse"));
        const auto got = forward ? spline.forward(row) : spline.inverse(row);
        const auto& expected = c.at(forward ? "solve" : "evaluate");
        const Eigen::VectorXd value = oracle::vector(expected.at("value"));
        for (Index d = 0; d < dim; ++d)
          CHECK(std::abs(static_cast<double>(got.value(0, d)) - value[d]) <= tolerance * (1 + std::abs(value[d])));
        const double log_det = oracle::vector(expected.at("log_derivative")).sum();
        CHECK(std::abs(got.log_det[0] - log_det) <= tolerance * static_cast<double>(dim) * (1 + std::abs(log_det)));
      }
    }
  }
}

TEST_CASE("The bound on a spline's slope is the published one", "[spline]") {
  const auto bound = [](const RationalQuadraticOptions& options) {
    return RationalQuadraticTransformer<double>(options).log_scale_bound();
  };
  // Bins of at least 0.05 and at most 0.85 of the interval, heights of 0.02 to 0.94: s0 = 0.02 / 0.85 is below m = 0.1.
  CHECK_THAT(
      bound({.bins = 4, .min_bin_width = 0.05, .min_bin_height = 0.02, .min_derivative = 0.1, .max_derivative = 10}),
      Catch::Matchers::WithinRel(-std::log(std::pow(0.02 / 0.85, 3) / 100), 1e-12));
  // The steepest slope decides: s1 = 0.6 / 0.4.
  CHECK_THAT(
      bound({.bins = 2, .min_bin_width = 0.4, .min_bin_height = 0.4, .min_derivative = 0.9, .max_derivative = 1.1}),
      Catch::Matchers::WithinRel(std::log(6), 1e-12));
  // Sizes of 1 / 21 to 1 / 1.2.
  CHECK_THAT(bound({.bins = 3, .parameters = SplineParameters::zuko, .slope = 0.1}),
             Catch::Matchers::WithinRel(-std::log(std::pow(1.2 / 21, 3) / 100), 1e-12));
  // A small slope at a knot: s0 = 0.4 / 0.6 is above m.
  CHECK_THAT(
      bound({.bins = 2, .min_bin_width = 0.4, .min_bin_height = 0.4, .min_derivative = 0.01, .max_derivative = 2}),
      Catch::Matchers::WithinRel(-std::log(0.01 * std::pow(2.0 / 3, 2) / 4), 1e-12));
}

TEMPLATE_TEST_CASE("Tails are the identity exactly, in values and gradients", "[spline]", float, double) {
  for (const double slope : {0.0, 1e-3}) {
    Batch<TestType> b(kernels::table<TestType>(), spline_of<TestType>(8, -3, 3, kernels::Tails::identity, slope), 16);
    Engine(7).next_call().normal(0, b.n, 1, b.raw[3], b.n);
    const TestType big = std::numeric_limits<TestType>::max(), inf = std::numeric_limits<TestType>::infinity();
    const TestType above = std::nextafter(TestType(3), inf);
    const std::vector<TestType> x{above, -above, 4, -5, 1e10f, -1e30f, big, -big, inf, -inf};
    std::copy(x.begin(), x.end(), b.in);
    std::fill_n(b.in + x.size(), b.n - static_cast<Index>(x.size()), std::numeric_limits<TestType>::quiet_NaN());
    std::fill_n(b.g_out, b.n, TestType(0.375));
    std::fill_n(b.g_log, b.n, TestType(2));
    for (const bool root : {false, true}) {
      b.map(root);
      b.backward(root);
      for (Index i = 0; i < static_cast<Index>(x.size()); ++i) {
        CHECK(b.out[i] == b.in[i]);
        CHECK(b.log_derivative[i] == 0);
        CHECK(b.g_in[i] == TestType(0.375));
        for (const TestType* g : b.g_raw) CHECK(g[i] == 0);
      }
      CHECK(std::isnan(b.out[b.n - 1]));
      CHECK(std::isnan(b.log_derivative[b.n - 1]));
    }
  }
}

namespace {

/// The inner knots as a plain loop finds them: within rounding of those of the kernel.
template <class T>
std::vector<double> knots(const kernels::Spline<T>& s, const std::vector<T*>& raw, Index row) {
  std::vector<double> e;
  double largest = -infinity, total = 0, before = 0;
  for (Index k = 0; k < s.bins; ++k) {
    double u = static_cast<double>(raw[static_cast<std::size_t>(k)][row]);
    u = s.log_range > 0 ? u / (1 + std::abs(2 * u / static_cast<double>(s.log_range)))
                        : u * static_cast<double>(s.scale);
    e.push_back(u);
    largest = std::max(largest, u);
  }
  for (double& u : e) total += u = std::exp(u - largest);
  std::vector<double> result;
  const double low = static_cast<double>(s.low), range = static_cast<double>(s.high) - low,
               minimum = static_cast<double>(s.min_width);
  for (Index k = 1; k < s.bins; ++k) {
    before += e[static_cast<std::size_t>(k - 1)];
    result.push_back(low + range * (static_cast<double>(k) * minimum +
                                    (1 - static_cast<double>(s.bins) * minimum) * before / total));
  }
  return result;
}

/// Random parameters of random size, half of the points within eight ulp of a knot: nothing is NaN, values stay in
/// their interval, neighbours keep their order, and the round trip is as good as the slope allows.
template <class T>
void run_random(Index points, double slope, kernels::Tails tails, std::uint64_t seed) {
  const T epsilon = std::numeric_limits<T>::epsilon();
  Batch<T> b(kernels::table<T>(), spline_of<T>(8, -3, 3, tails, slope), 4096), next(b.table, b.spline, b.n);
  Engine engine(seed);
  const std::vector<double> sizes{0.1, 1, 3, 10, 100, 1e4, 1e15, 1e37};
  Index failures = 0;
  double worst_trip = 0, worst_order = 0;
  const auto check = [&](bool right) { failures += !right; };
  constexpr double bound = 64;
  const auto trip = [&](Index i, T log_slope) {
    const double off = std::abs(static_cast<double>(next.out[i]) - static_cast<double>(b.in[i]));
    return off / (3 * static_cast<double>(epsilon) * (1 + std::exp(-static_cast<double>(log_slope))));
  };
  for (Index done = 0; done < points; done += b.n) {
    const double size = sizes[static_cast<std::size_t>(done / b.n) % sizes.size()];
    std::vector<double> noise(static_cast<std::size_t>(b.n));
    for (std::size_t p = 0; p < b.raw.size(); ++p) {
      engine.next_call().normal(0, b.n, 1, noise.data(), b.n);
      for (Index i = 0; i < b.n; ++i) {
        const double v = std::clamp(size * noise[static_cast<std::size_t>(i)], -3e38, 3e38);
        b.raw[p][i] = next.raw[p][i] = static_cast<T>(v);
      }
    }
    engine.next_call().uniform(0, b.n, 1, noise.data(), b.n, 0);
    for (Index i = 0; i < b.n; ++i) {
      const double u = noise[static_cast<std::size_t>(i)];
      b.in[i] = static_cast<T>(-3 + 6 * u);
      if (i % 2 == 0) {
        const std::vector<double> at = knots(b.spline, b.raw, i);
        b.in[i] = static_cast<T>(at[static_cast<std::size_t>(u * 7)]);
        const int ulps = static_cast<int>(u * 7e4) % 17 - 8;
        for (int k = 0; k < std::abs(ulps); ++k)
          b.in[i] = std::nextafter(b.in[i], ulps < 0 ? b.spline.low : b.spline.high);
      }
      next.in[i] = std::nextafter(b.in[i], b.spline.high);
      b.g_out[i] = T(0.5);
      b.g_log[i] = T(-0.25);
    }
    b.map(false);
    next.map(false);
    for (Index i = 0; i < b.n; ++i) {
      check(std::isfinite(b.out[i]) && std::isfinite(b.log_derivative[i]));
      check(b.out[i] >= b.spline.low && b.out[i] <= b.spline.high);
      // Neighbours: not below by more than the rounding of the value.
      worst_order = std::max(worst_order, static_cast<double>((b.out[i] - next.out[i]) / (3 * epsilon)));
    }
    b.backward(false);
    for (Index i = 0; i < b.n; ++i) {
      if (size > 100) break;
      check(std::isfinite(b.g_in[i]));
      for (const T* g : b.g_raw) check(std::isfinite(g[i]));
    }
    // Back: through the value that was just computed.
    std::copy_n(b.out, b.n, next.in);
    next.map(true);
    std::vector<Index> far;
    for (Index i = 0; i < b.n; ++i) {
      check(std::isfinite(next.out[i]) && std::isfinite(next.log_derivative[i]));
      if (trip(i, std::min(b.log_derivative[i], -next.log_derivative[i])) > bound) far.push_back(i);
    }
    // A flat piece may lie between the two: then its slope counts.
    for (const Index i : far) {
      Batch<T> between(b.table, b.spline, 1024);
      for (Index k = 0; k < between.n; ++k) {
        for (std::size_t p = 0; p < b.raw.size(); ++p) between.raw[p][k] = b.raw[p][i];
        between.in[k] = b.in[i] + (next.out[i] - b.in[i]) * static_cast<T>(k) / static_cast<T>(between.n - 1);
      }
      between.map(false);
      worst_trip =
          std::max(worst_trip, trip(i, *std::min_element(between.log_derivative, between.log_derivative + between.n)));
    }
  }
  CAPTURE(slope, static_cast<int>(tails));
  CHECK(failures == 0);
  CHECK(worst_order <= 4);
  CHECK(worst_trip <= bound);
}

Index random_points(Index usual) {
  const char* n = std::getenv("PUSHFORWARD_SPLINE_POINTS");
  return n ? std::atoll(n) : usual;
}

}  // namespace

TEMPLATE_TEST_CASE("Splines hold for random parameters, on knots and beside them", "[spline]", float, double) {
  const Index points = random_points(400'000);
  std::uint64_t seed = 11;
  for (const double slope : {0.0, 1e-3})
    for (const kernels::Tails tails : {kernels::Tails::identity, kernels::Tails::circular, kernels::Tails::bounded})
      run_random<TestType>(points / 6, slope, tails, seed++);
}
