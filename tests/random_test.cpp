#include <algorithm>
#include <array>
#include <boost/math/distributions/cauchy.hpp>
#include <boost/math/distributions/exponential.hpp>
#include <boost/math/distributions/laplace.hpp>
#include <boost/math/distributions/logistic.hpp>
#include <boost/math/distributions/normal.hpp>
#include <boost/random/beta_distribution.hpp>
#include <boost/random/gamma_distribution.hpp>
#include <boost/random/poisson_distribution.hpp>
#include <boost/random/student_t_distribution.hpp>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <pushforward/error.hpp>
#include <pushforward/random.hpp>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/catch.hpp"
#include "src/kernels/kernels.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;

namespace {

const std::vector<std::string> transforms = {"uniform", "normal", "logistic", "laplace", "cauchy", "exponential"};

template <class T>
void fill(const std::string& transform, const RandomCall& call, Index first_row, Index rows, Index cols, T* out,
          Index ld, Index first_column = 0) {
  if (transform == "uniform") return call.uniform(first_row, rows, cols, out, ld, first_column);
  if (transform == "normal") return call.normal(first_row, rows, cols, out, ld, first_column);
  if (transform == "logistic") return call.logistic(first_row, rows, cols, out, ld, first_column);
  if (transform == "laplace") return call.laplace(first_row, rows, cols, out, ld, first_column);
  if (transform == "cauchy") return call.cauchy(first_row, rows, cols, out, ld, first_column);
  if (transform == "exponential") return call.exponential(first_row, rows, cols, out, ld, first_column);
  FAIL("no transform " << transform);
}

template <class T>
std::vector<T> draw(const std::string& transform, const RandomCall& call, Index rows, Index cols, Index first_row = 0,
                    Index first_column = 0) {
  std::vector<T> out(static_cast<std::size_t>(rows * cols));
  fill(transform, call, first_row, rows, cols, out.data(), rows, first_column);
  return out;
}

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

std::array<std::uint32_t, 2> key_of(std::uint64_t seed) {
  return {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
}

// One line of the data file that holds draws.
struct Line {
  std::string what, type, transform;
  std::uint64_t seed, call;
  Index row, first_column;
  std::vector<double> values;
};

std::vector<Line> read_golden() {
  std::ifstream file(std::string(PUSHFORWARD_TEST_DATA) + "/random_golden.txt");
  REQUIRE(file);
  std::vector<Line> lines;
  for (std::string text; std::getline(file, text);) {
    if (text.empty() || text[0] == '#') continue;
    std::istringstream in(text);
    Line line;
    in >> line.what;
    if (line.what != "golden" && line.what != "reference") continue;
    in >> line.type >> line.transform >> line.seed >> line.call >> line.row >> line.first_column;
    REQUIRE(in);
    for (std::string number; in >> number;) line.values.push_back(std::strtod(number.c_str(), nullptr));
    REQUIRE(line.values.size() == 16);
    lines.push_back(line);
  }
  return lines;
}

template <class T>
std::vector<T> redraw(const Line& line) {
  Engine engine(line.seed, line.call);
  return draw<T>(line.transform, engine.next_call(), 1, 16, line.row, line.first_column);
}

template <class T>
void print_golden(const char* type) {
  for (const Line& line : read_golden()) {
    if (line.what != "reference" || line.type != (sizeof(T) == 4 ? "32" : "52")) continue;
    std::printf("golden %s %s %llu %llu %lld %lld", type, line.transform.c_str(),
                static_cast<unsigned long long>(line.seed), static_cast<unsigned long long>(line.call),
                static_cast<long long>(line.row), static_cast<long long>(line.first_column));
    for (const T x : redraw<T>(line)) std::printf(" %a", static_cast<double>(x));
    std::printf("\n");
  }
}

double correlation(const std::vector<double>& x, const std::vector<double>& y) {
  double sx = 0, sy = 0, sxx = 0, syy = 0, sxy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    sx += x[i];
    sy += y[i];
    sxx += x[i] * x[i];
    syy += y[i] * y[i];
    sxy += x[i] * y[i];
  }
  const auto n = static_cast<double>(x.size());
  return (sxy - sx * sy / n) / std::sqrt((sxx - sx * sx / n) * (syy - sy * sy / n));
}

// Neither x and y nor their squares are correlated.
void check_independent(const std::vector<double>& x, const std::vector<double>& y) {
  const double limit = 4.5 / std::sqrt(static_cast<double>(x.size()));
  CHECK(std::abs(correlation(x, y)) < limit);
  auto x2 = x, y2 = y;
  for (double& v : x2) v *= v;
  for (double& v : y2) v *= v;
  CHECK(std::abs(correlation(x2, y2)) < limit);
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

// ------------------------------------------------------------------------------------------------------- generator

TEST_CASE("Philox gives the known answers of Random123") {
  CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) ==
        std::array<std::uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  const std::uint32_t ones = 0xffffffff;
  CHECK(philox4x32({ones, ones, ones, ones}, {ones, ones}) ==
        std::array<std::uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        std::array<std::uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("the counter is laid out as documented") {
  const std::uint64_t seed = 0x0123456789abcdef;
  const Index row = (Index{0xab} << 32) + 77;
  const RandomCall call = Engine(seed, 9).next_call();
  const auto words = philox4x32({5, 77, 0xab, 9}, key_of(seed));
  for (Index c = 0; c < 4; ++c) CHECK(call.bits(row, 20 + c) == words[static_cast<std::size_t>(c)]);

  RowStream stream = call.row(row, 3);
  for (std::uint32_t block = 0; block < 3; ++block)
    for (const std::uint32_t word : philox4x32({4u << 29 | block, 77, 0xab | 3u << 8, 9}, key_of(seed)))
      CHECK(stream() == word);

  // uniforms: the upper bits of the word, in double 20 more from kind 1
  const auto more = philox4x32({1u << 29 | 5, 77, 0xab, 9}, key_of(seed));
  const auto u = draw<double>("uniform", call, 1, 4, row, 20);
  const auto v = draw<float>("uniform", call, 1, 4, row, 20);
  for (std::size_t c = 0; c < 4; ++c) {
    const std::uint64_t k = std::uint64_t{words[c]} << 20 | more[c] >> 12;
    CHECK(u[c] == (static_cast<double>(k) + 0.5) * 0x1p-52);
    CHECK(v[c] == (static_cast<float>(words[c] >> 9) + 0.5f) * 0x1p-23f);
  }

  // the two ends of every range
  const RandomCall last = Engine(~std::uint64_t{0}, 0xffffffff).next_call();
  CHECK(last.bits((Index{1} << 40) - 1, (Index{1} << 31) - 1) ==
        philox4x32({0x1fffffff, 0xffffffff, 0xff, 0xffffffff}, {0xffffffff, 0xffffffff})[3]);
}

TEST_CASE("calls beyond 2^32 do not repeat earlier ones") {
  const std::uint64_t wrap = std::uint64_t{1} << 32;
  Engine engine(5, wrap - 1);
  const RandomCall before = engine.next_call(), after = engine.next_call();
  CHECK(engine.call() == wrap + 1);
  const RandomCall first = Engine(5).next_call();
  CHECK(after.bits(0, 0) != first.bits(0, 0));
  CHECK(before.bits(0, 0) == Engine(5, wrap - 1).next_call().bits(0, 0));
  CHECK(after.bits(7, 9) == Engine(5, wrap).next_call().bits(7, 9));
  CHECK(after.bits(7, 9) != Engine(5, 2 * wrap).next_call().bits(7, 9));
  const auto key = philox4x32({6u << 29, 1, 0, 0}, key_of(5));
  CHECK(after.bits(0, 0) == philox4x32({0, 0, 0, 0}, {key[0], key[1]})[0]);
}

TEST_CASE("an engine continues from its seed and call") {
  Engine engine(42);
  CHECK(engine.seed() == 42);
  CHECK(engine.call() == 0);
  engine.next_call();
  engine.next_call();
  CHECK(engine.call() == 2);
  Engine restored(engine.seed(), engine.call());
  CHECK(restored == engine);
  CHECK(draw<double>("normal", restored.next_call(), 5, 3) == draw<double>("normal", engine.next_call(), 5, 3));
  CHECK(restored == engine);
  CHECK(Engine(42) != engine);
  const Engine copy = engine;
  engine.next_call();
  CHECK(copy.call() == 3);
  CHECK(engine.call() == 4);
}

TEST_CASE("named streams") {
  Engine engine(1234);
  const Engine dropout = engine.stream("dropout");
  CHECK(engine.call() == 0);
  CHECK(dropout.call() == 0);
  CHECK(dropout.seed() == 11480061722917485860u);  // by tests/oracles/philox_reference.py
  engine.next_call();
  CHECK(engine.stream("dropout") == dropout);
  std::set<std::uint64_t> seeds = {1234, 1235};
  for (const char* name : {"dropout", "shuffle", "noise", "", "a", "b", "ab", "ba"})
    for (const std::uint64_t seed : {1234, 1235}) {
      seeds.insert(Engine(seed).stream(name).seed());
      seeds.insert(Engine(seed).stream("fit").stream(name).seed());
    }
  CHECK(seeds.size() == 2 + 2 * 2 * 8);

  const Index n = 200000;
  const auto normals = [&](Engine e) { return draw<double>("normal", e.next_call(), n, 1); };
  const std::vector<std::vector<double>> all = {
      normals(Engine(1234)),    normals(Engine(1234).stream("shuffle")), normals(Engine(1234).stream("dropout")),
      normals(Engine(1234, 1)), normals(Engine(1234).stream("noise")),   normals(Engine(1235).stream("noise")),
      normals(Engine(1235))};
  for (std::size_t a = 0; a < all.size(); ++a)
    for (std::size_t b = 0; b < a; ++b) check_independent(all[a], all[b]);
}

// -------------------------------------------------------------------------------------------------- pinned numbers

TEST_CASE("draws have the pinned bits") {
  int lines = 0;
  for (const Line& line : read_golden()) {
    if (line.what != "golden") continue;
    ++lines;
    INFO(line.type << " " << line.transform << " " << line.seed << " " << line.call << " " << line.row);
    if (line.type == "float") {
      const auto x = redraw<float>(line);
      for (std::size_t i = 0; i < 16; ++i) CHECK(static_cast<double>(x[i]) == line.values[i]);
    } else {
      CHECK(redraw<double>(line) == line.values);
    }
  }
  CHECK(lines == 36);
}

TEST_CASE("draws agree with the formulas in independent arithmetic") {
  int lines = 0;
  for (const Line& line : read_golden()) {
    if (line.what != "reference") continue;
    ++lines;
    INFO(line.type << " " << line.transform << " " << line.seed << " " << line.call << " " << line.row);
    if (line.type == "32") {
      const auto x = redraw<float>(line);
      for (std::size_t i = 0; i < 16; ++i)
        CHECK(std::abs(static_cast<double>(x[i]) - line.values[i]) <= 3e-7 * std::max(1.0, std::abs(line.values[i])));
    } else {
      const auto x = redraw<double>(line);
      for (std::size_t i = 0; i < 16; ++i)
        CHECK(std::abs(x[i] - line.values[i]) <= 1e-14 * std::max(1.0, std::abs(line.values[i])));
    }
  }
  CHECK(lines == 36);
}

TEMPLATE_TEST_CASE("draws have the same bits on every instruction set", "", float, double) {
  using T = TestType;
  using Word = kernels::RandomWord<T>;
  constexpr Index n = 4096;
  const kernels::RandomSource source{0x0123456789abcdef, 9};
  const std::uint64_t row = (std::uint64_t{1} << 32) - 100;  // across a carry
  std::vector<std::vector<T>> expected;
  for (const kernels::Table<T>* t : kernels::available_tables<T>()) {
    CAPTURE(t->instruction_set);
    std::vector<Word> words(4 * n);
    t->random_words(source, 5, row, n, words.data());
    for (Index i = 0; i < n; ++i) {
      const std::uint64_t r = row + static_cast<std::uint64_t>(i);
      const auto block = [&](std::uint32_t kind) {
        return philox4x32({kind << 29 | 5, static_cast<std::uint32_t>(r), static_cast<std::uint32_t>(r >> 32), 9},
                          key_of(source.key));
      };
      const auto upper = block(0), lower = block(1);
      for (std::size_t w = 0; w < 4; ++w) {
        const Word word = sizeof(T) == 4 ? Word(upper[w]) : Word(std::uint64_t{upper[w]} << 20 | lower[w] >> 12);
        REQUIRE(words[w * n + static_cast<std::size_t>(i)] == word);
      }
    }
    for (Word i = 0; i < 16; ++i) {  // the ends of the range
      words[i] = i;
      words[16 + i] = (sizeof(T) == 4 ? Word(~Word{0}) : (Word{1} << 52) - 1) - i;
    }
    std::vector<std::vector<T>> values;
    for (const auto kind : {kernels::Draw::uniform, kernels::Draw::logistic, kernels::Draw::laplace,
                            kernels::Draw::cauchy, kernels::Draw::exponential}) {
      values.emplace_back(4 * n);
      t->draw(kind, words.data(), values.back().data(), 4 * n);
    }
    values.emplace_back(4 * n);
    t->normal_draws(words.data(), words.data() + 2 * n, values.back().data(), values.back().data() + 2 * n, 2 * n);
    if (expected.empty()) expected = values;
    CHECK(values == expected);
  }
}

// Prints the golden lines of tests/data/random_golden.txt.
TEST_CASE("print golden", "[.][golden]") {
  print_golden<float>("float");
  print_golden<double>("double");
}

// ------------------------------------------------------------------------------------------------------ transforms

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

// ------------------------------------------------------------------------------------------------------ invariance

TEMPLATE_TEST_CASE("draws do not depend on how they are asked for", "", float, double) {
  using T = TestType;
  const RandomCall call = Engine(99, 3).next_call();
  const Index rows = 71, cols = 11, first = (Index{1} << 32) - 35;  // across a carry of the row
  for (const std::string& transform : transforms) {
    INFO(transform);
    const std::vector<T> all = draw<T>(transform, call, rows, cols, first);
    for (const Index step : {1, 3, 16, 17, 64}) {  // rows in parts, with a larger leading dimension
      const Index ld = rows + step;
      std::vector<T> parts(static_cast<std::size_t>(ld * cols), T(-77));
      for (Index i = 0; i < rows; i += step)
        fill(transform, call, first + i, std::min(step, rows - i), cols, parts.data() + i, ld);
      bool same = true;
      for (Index c = 0; c < cols; ++c) {
        for (Index i = 0; i < rows; ++i)
          same = same && all[static_cast<std::size_t>(i + c * rows)] == parts[static_cast<std::size_t>(i + c * ld)];
        for (Index i = rows; i < ld; ++i) same = same && parts[static_cast<std::size_t>(i + c * ld)] == T(-77);
      }
      CHECK(same);
    }
    for (Index c = 0; c < cols; ++c)  // columns in parts
      for (Index count = 1; c + count <= cols; ++count) {
        const auto part = draw<T>(transform, call, rows, count, first, c);
        CHECK(std::equal(part.begin(), part.end(), all.begin() + c * rows));
      }
    T untouched = T(5);
    fill<T>(transform, call, 0, 0, 3, &untouched, 0);
    fill<T>(transform, call, 0, 3, 0, &untouched, 3);
    CHECK(untouched == T(5));
  }
}

TEST_CASE("rows, columns, calls, seeds and kinds are independent") {
  const Index n = 200000;
  const RandomCall call = Engine(7).next_call(), next = Engine(7, 1).next_call(), seed = Engine(8).next_call();
  for (const char* transform : {"normal", "logistic"}) {
    INFO(transform);
    const auto base = draw<double>(transform, call, n, 5);
    std::vector<std::vector<double>> columns(5);
    for (std::size_t c = 0; c < 5; ++c)
      columns[c].assign(base.begin() + static_cast<Index>(c) * n, base.begin() + static_cast<Index>(c + 1) * n);
    for (std::size_t a = 0; a < 5; ++a)
      for (std::size_t b = 0; b < a; ++b) check_independent(columns[a], columns[b]);
    check_independent(columns[0], draw<double>(transform, call, n, 1, 1));
    check_independent(columns[0], draw<double>(transform, call, n, 1, 16));
    check_independent(columns[0], draw<double>(transform, next, n, 1));
    check_independent(columns[0], draw<double>(transform, seed, n, 1));
  }
  const auto normals = draw<double>("normal", call, n, 1), other = draw<double>("normal", call, n, 1, 0, 1);
  for (Index c = 0; c < 2; ++c) {
    const auto uniforms = draw<double>("logistic", call, n, 1, 0, c);
    check_independent(normals, uniforms);
    check_independent(other, uniforms);
  }
}

TEST_CASE("row streams share no word with draws or with each other") {
  // Pairs of successive words, 64 bits: a collision by chance has probability 1e-9.
  std::set<std::uint64_t> seen;
  std::size_t count = 0;
  const auto add = [&](std::uint32_t a, std::uint32_t b) {
    seen.insert(std::uint64_t{a} << 32 | b);
    ++count;
  };
  Engine engine(11);
  for (int i = 0; i < 3; ++i) {
    const RandomCall call = engine.next_call();
    for (const Index row : {Index{0}, Index{1}, Index{255}, Index{256}, Index{1} << 32, (Index{1} << 40) - 1}) {
      for (Index c = 0; c < 256; c += 2) add(call.bits(row, c), call.bits(row, c + 1));
      for (const Index slot : {0, 1, 2, 255, 256, (1 << 24) - 1}) {
        RowStream stream = call.row(row, slot);
        for (int k = 0; k < 128; ++k) {
          const std::uint32_t a = stream();
          add(a, stream());
        }
      }
    }
  }
  CHECK(seen.size() == count);
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

// ----------------------------------------------------------------------------------------------------- row streams

static_assert(std::uniform_random_bit_generator<RowStream>);
static_assert(RowStream::min() == 0 && RowStream::max() == 0xffffffff);

TEST_CASE("Boost.Random draws from row streams") {
  const RandomCall call = Engine(21).next_call();
  const int n = 20000;
  double gamma = 0, beta = 0, student = 0, poisson = 0;
  for (Index i = 0; i < n; ++i) {
    RowStream stream = call.row(i);
    gamma += boost::random::gamma_distribution<double>(2.5, 2.0)(stream);
    beta += boost::random::beta_distribution<double>(2.0, 3.0)(stream);
    student += boost::random::student_t_distribution<double>(5.0)(stream);
    poisson += boost::random::poisson_distribution<int>(4.0)(stream);
  }
  CHECK(gamma / n == Approx(5.0).margin(4 * std::sqrt(10.0 / n)));
  CHECK(beta / n == Approx(0.4).margin(4 * std::sqrt(0.04 / n)));
  CHECK(student / n == Approx(0.0).margin(4 * std::sqrt(5.0 / 3 / n)));
  CHECK(poisson / n == Approx(4.0).margin(4 * std::sqrt(4.0 / n)));
}

TEST_CASE("a row stream skips and ends") {
  const RandomCall call = Engine(22).next_call();
  RowStream reference = call.row(5, 6);
  std::vector<std::uint32_t> all(64);
  for (auto& x : all) x = reference();
  for (const unsigned start : {0u, 1u, 4u, 7u})
    for (const unsigned skip : {0u, 1u, 3u, 4u, 5u, 8u, 13u}) {
      RowStream stream = call.row(5, 6);
      for (unsigned i = 0; i < start; ++i) stream();
      stream.discard(skip);
      for (unsigned i = start + skip; i < 32; ++i) REQUIRE(stream() == all[i]);
    }
  RowStream stream = call.row(0);
  stream.discard((std::uint64_t{1} << 31) - 1);
  CHECK_NOTHROW(stream());
  CHECK_THROWS_AS(stream(), DomainError);
  CHECK_THROWS_AS(stream(), DomainError);
  RowStream far = call.row(0);
  far();
  far.discard(~std::uint64_t{0});
  CHECK_THROWS_AS(far(), DomainError);
}

// ---------------------------------------------------------------------------------------------------- permutations

TEST_CASE("permutations") {
  Engine engine(31);
  CHECK(permutation(engine.next_call(), 0).empty());
  CHECK(permutation(engine.next_call(), 1) == std::vector<std::int64_t>{0});
  const RandomCall call = engine.next_call();
  auto large = permutation(call, 100000);
  CHECK((large == permutation(call, 100000)));
  CHECK((large != permutation(engine.next_call(), 100000)));
  std::sort(large.begin(), large.end());
  for (std::size_t i = 0; i < large.size(); ++i) REQUIRE(large[i] == static_cast<std::int64_t>(i));

  // word for word the definition, with words rejected that would favour some numbers
  RowStream stream = call.row(0);
  std::vector<std::int64_t> order(300000);
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int64_t>(i);
  int rejected = 0;
  for (std::uint64_t m = order.size(); m > 1; --m) {
    const std::uint64_t range = std::uint64_t{1} << 32;
    std::uint64_t product = stream() * m;
    for (; product % range < range % m; ++rejected) product = stream() * m;
    std::swap(order[m - 1], order[product / range]);
  }
  CHECK(rejected > 0);
  CHECK((order == permutation(call, 300000)));  // too long to print

  // all 120 orders of five, equally often: chi-square with 119 degrees of freedom
  std::array<int, 3125> counts{};
  const int n = 120000;
  for (int i = 0; i < n; ++i) {
    std::size_t code = 0;
    for (const std::int64_t x : permutation(engine.next_call(), 5)) code = code * 5 + static_cast<std::size_t>(x);
    ++counts[code];
  }
  double chi_square = 0;
  int orders = 0;
  for (const int count : counts)
    if (count > 0) {
      ++orders;
      chi_square += (count - n / 120.0) * (count - n / 120.0) / (n / 120.0);
    }
  CHECK(orders == 120);
  CHECK(chi_square < 119 + 4 * std::sqrt(2 * 119.0));
  CHECK(chi_square > 119 - 4 * std::sqrt(2 * 119.0));
}

// ---------------------------------------------------------------------------------------------------------- errors

TEST_CASE("what is out of range is refused by name") {
  const RandomCall call = Engine(1).next_call();
  const Index rows = Index{1} << 40, columns = Index{1} << 31;
  double x[8];
  CHECK_THROWS_AS(call.normal(-1, 1, 1, x, 1), DomainError);
  CHECK_THROWS_AS(call.normal(0, -1, 1, x, 1), DomainError);
  CHECK_THROWS_AS(call.normal(rows - 1, 2, 1, x, 2), DomainError);
  CHECK_NOTHROW(call.normal(rows - 1, 1, 1, x, 1));
  CHECK_THROWS_AS(call.normal(0, 1, 2, x, 1, columns - 1), DomainError);
  CHECK_NOTHROW(call.normal(0, 1, 1, x, 1, columns - 1));
  CHECK_THROWS_AS(call.normal(0, 1, 1, x, 1, -1), DomainError);
  CHECK_THROWS_AS(call.normal(0, 1, std::numeric_limits<Index>::max(), x, 1, 1), DomainError);
  CHECK_THROWS_AS(call.normal(0, 4, 2, x, 3), ShapeError);
  CHECK_NOTHROW(call.normal(0, 4, 1, x, 0));
  CHECK_THROWS_AS(call.bits(rows, 0), DomainError);
  CHECK_THROWS_AS(call.bits(0, columns), DomainError);
  CHECK_THROWS_AS(call.row(-1), DomainError);
  CHECK_THROWS_AS(call.row(0, Index{1} << 24), DomainError);
  std::int64_t one = 0;
  CHECK_THROWS_AS(permutation(call, std::span<std::int64_t>(&one, (std::size_t{1} << 30) + 1)), DomainError);
  CHECK_THROWS_WITH(call.logistic(-3, 1, 1, x, 1), ContainsSubstring("RandomCall::logistic: expected rows in"));
}
