// Engines and calls: known answers, pinned bits, independence, and what is refused.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <pushforward/error.hpp>
#include <pushforward/random.hpp>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/catch.hpp"
#include "tests/draws.hpp"
#include "src/kernels/kernels.hpp"

using namespace pushforward;
using namespace random_tests;
using Catch::Matchers::ContainsSubstring;

namespace {

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
