// Numbers of rows that are negative are refused by the name of the call.

#include <pushforward/distributions/normal.hpp>
#include <pushforward/tape.hpp>

#include "tests/catch.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("a negative number of samples is refused, and no random number is used") {
  const Normal<double> normal(2);
  Engine engine(1);
  CHECK_THROWS_AS(normal.sample(-1, engine), ShapeError);
  CHECK_THROWS_WITH(normal.sample(-1, engine), "Normal::sample: the number of samples must be at least 0, got -1");
  CHECK_THROWS_AS(normal.sample_and_log_prob(-7, engine), ShapeError);
  CHECK_THROWS_WITH(normal.sample_and_log_prob(-7, engine),
                    "Normal::sample_and_log_prob: the number of samples must be at least 0, got -7");
  CHECK(engine.call() == 0);
  CHECK(normal.sample(0, engine).rows() == 0);
}

TEST_CASE("a tape of a negative number of rows is refused") {
  Arena batch, local;
  CHECK_THROWS_AS(Tape<double>(Tape<double>::Mode::evaluate, {batch, local}, -3), ShapeError);
  CHECK_THROWS_WITH(Tape<double>(Tape<double>::Mode::evaluate, {batch, local}, -3), ContainsSubstring("got -3"));
}
