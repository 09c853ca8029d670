// Streams of random words for each row: independence, Boost.Random on top, skipping, the end.

#include <boost/random/beta_distribution.hpp>
#include <boost/random/gamma_distribution.hpp>
#include <boost/random/poisson_distribution.hpp>
#include <boost/random/student_t_distribution.hpp>
#include <cmath>
#include <cstdlib>
#include <pushforward/error.hpp>
#include <pushforward/random.hpp>
#include <random>
#include <set>
#include <vector>

#include "tests/catch.hpp"
#include "tests/draws.hpp"

using namespace pushforward;
using namespace random_tests;

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
