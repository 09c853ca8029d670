#pragma once

// Runs that are killed at random moments and resumed.

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>
#include <vector>

#include "tests/catch.hpp"
#include "tests/temporary_folder.hpp"
#include "tests/training.hpp"

namespace training_tests {

struct Kills {
  int delivered = 0;
  int runs = 0;
  int inside_a_write = 0;  ///< of a checkpoint
};

/// A child that goes on with the run of that folder. It gives its final parameters in a file, and leaves.
template <class Run>
[[noreturn]] void run_and_leave(const std::filesystem::path& folder, const Run& run) {
  try {
    const std::vector<double> v = run(folder / "checkpoint");
    std::ofstream out(folder / "result", std::ios::binary);
    out.write(reinterpret_cast<const char*>(v.data()), static_cast<std::streamsize>(v.size() * sizeof(double)));
    out.close();
    ::_exit(out ? 0 : 1);
  } catch (...) {
    ::_exit(1);
  }
}

/// Kills runs at random moments until `kills` have met a living child; compares the end of every run.
/// `run(checkpoint)` trains with a checkpoint after every step, goes on where that file stands, and gives the final
/// parameters; without a file, an empty path, it is not interrupted.
template <class Run>
Kills kill_and_resume(const Run& run, int kills) {
  const auto start = std::chrono::steady_clock::now();
  const std::vector<double> expected = run(std::filesystem::path());
  // Only when the kill happens depends on the clock, never the outcome.
  std::mt19937 random(1);
  const double span =
      std::max(4e-3, 2 * std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  Kills result;
  while (result.delivered < kills) {
    const TemporaryFolder folder;
    for (int attempt = 0;; ++attempt) {
      REQUIRE(attempt < 10000);
      const pid_t pid = ::fork();
      REQUIRE(pid >= 0);
      if (pid == 0) run_and_leave(folder.path, run);
      if (result.delivered < kills) {
        // Longer waits after each kill of the run, so that it ends even where a start takes long.
        const double wait = std::uniform_real_distribution<double>(0, span * (1 + 0.2 * attempt))(random);
        std::this_thread::sleep_for(std::chrono::duration<double>(wait));
        ::kill(pid, SIGKILL);
      }
      int status = 0;
      REQUIRE(::waitpid(pid, &status, 0) == pid);
      if (WIFSIGNALED(status)) {
        REQUIRE(WTERMSIG(status) == SIGKILL);
        ++result.delivered;
        continue;
      }
      REQUIRE(WIFEXITED(status));
      REQUIRE(WEXITSTATUS(status) == 0);
      break;
    }
    std::vector<double> got(expected.size());
    std::ifstream in(folder / "result", std::ios::binary);
    in.read(reinterpret_cast<char*>(got.data()), static_cast<std::streamsize>(got.size() * sizeof(double)));
    REQUIRE(in.gcount() == static_cast<std::streamsize>(got.size() * sizeof(double)));
    CHECK(same_bits(got, expected));
    ++result.runs;
    // A killed write leaves its temporary file behind.
    for (const auto& entry : std::filesystem::directory_iterator(folder.path))
      result.inside_a_write += entry.path().extension() == ".tmp";
  }
  CHECK(result.delivered >= kills);
  return result;
}

}  // namespace training_tests
