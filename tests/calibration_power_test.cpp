// Right models pass and wrong ones are found, over many seeds.

#include "tests/calibration.hpp"
#include "tests/catch.hpp"

using namespace calibration_tests;

TEST_CASE("right models pass, wrong ones are found", "[calibration]") {
  Execution execution({.threads = 2});
  for (const Case& c : right_models()) {
    INFO(c.name);
    CHECK(count_found(c, 1000, 10, execution) <= 1);
  }
  for (const Case& c : wrong_models()) {
    INFO(c.name);
    CHECK(count_found(c, 5000, 3, execution) == 3);
  }
}

TEST_CASE("100 seeds: at most 5 false alarms, at least 95 found", "[.slow]") {
  Execution execution({.threads = 2});
  for (const Case& c : right_models()) {
    const Index found = count_found(c, 5000, 100, execution);
    WARN(c.name << ": a right model, found wrong with " << found << " of 100 seeds");
    CHECK(found <= 5);
  }
  for (const Case& c : wrong_models()) {
    const Index found = count_found(c, 5000, 100, execution);
    WARN(c.name << ": found with " << found << " of 100 seeds");
    CHECK(found >= 95);
  }
}
