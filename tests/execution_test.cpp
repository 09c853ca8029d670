// An Execution where it cannot work says so instead of waiting for ever, and how many threads repeated work is worth.

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <pushforward/pushforward.hpp>
#include <string>
#include <vector>

#include "src/core/pace.hpp"
#include "tests/catch.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;
using pushforward::detail::Help;
using pushforward::detail::Pace;

namespace {

/// What `f` says of itself in a child process: exit status and text. A child that hangs is ended by an alarm, and its
/// status is none that `f` could give.
struct Said {
  int status = -1;
  std::string text;
};
template <class F>
Said in_child(F f) {
  int channel[2];
  REQUIRE(pipe(channel) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    alarm(30);
    std::string text;
    int status = 0;
    try {
      text = f();
    } catch (const Error& error) {
      status = 7;
      text = error.what();
    }
    const bool written = write(channel[1], text.data(), text.size()) == static_cast<ssize_t>(text.size());
    _exit(written ? status : 9);
  }
  close(channel[1]);
  Said said;
  char buffer[4096];
  for (ssize_t got; (got = read(channel[0], buffer, sizeof buffer)) > 0;)
    said.text.append(buffer, static_cast<std::size_t>(got));
  close(channel[0]);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  if (WIFEXITED(status)) said.status = WEXITSTATUS(status);
  return said;
}

Matrix<double> some_rows(Index rows) {
  Engine engine(3);
  return Normal<double>(2).sample(rows, engine);
}

}  // namespace

TEST_CASE("An Execution made before a fork is refused in the child", "[execution][fork]") {
  const Normal<double> normal({0, 1}, {1, 2});
  const Matrix<double> y = some_rows(2000);
  for (const int threads : {1, 3}) {
    INFO(threads << " threads");
    Execution execution({.threads = threads});
    const Eigen::VectorXd before = normal.log_prob(y, execution);
    const Said said = in_child([&] {
      static_cast<void>(normal.log_prob(y, execution));
      return std::string("no error");
    });
    CHECK(said.status == 7);
    CHECK_THAT(said.text, ContainsSubstring("made before a fork"));
    // One of the child's own works, and the parent's does as before.
    const Said own = in_child([&] {
      Execution fresh({.threads = threads});
      return std::string(normal.log_prob(y, fresh) == before ? "same" : "different");
    });
    CHECK(own.status == 0);
    CHECK(own.text == "same");
    CHECK(normal.log_prob(y, execution) == before);
  }
}

TEST_CASE("An Execution made before a fork can be destroyed in the child", "[execution]") {
  auto execution = std::make_unique<Execution>(ExecutionOptions{.threads = 3});
  const Said said = in_child([&] {
    execution.reset();
    return std::string("gone");
  });
  CHECK(said.status == 0);
  CHECK(said.text == "gone");
}

TEST_CASE("An Execution is refused inside work that runs on it", "[execution]") {
  const Said said = in_child([] {
    std::string text;
    for (const int threads : {1, 2, 3}) {
      Execution execution({.threads = threads}), other;
      const Normal<double> normal(2);
      const Matrix<double> y = some_rows(40);
      std::atomic<int> refused{0}, fine{0};
      execution.run([&](int) {
        try {
          static_cast<void>(normal.log_prob(y, execution));
        } catch (const Error& error) {
          if (std::string(error.what()).find("from inside work that runs on it") != std::string::npos) ++refused;
        }
        // Without it, or on another one, the same call is well.
        static_cast<void>(normal.log_prob(y));
        static_cast<void>(normal.log_prob(y, other));
        ++fine;
      });
      text += refused == threads && fine == threads ? "ok " : "wrong ";
      // And it still works.
      std::atomic<int> calls{0};
      execution.run([&](int) { ++calls; });
      text += calls == threads ? "ok " : "wrong ";
    }
    return text;
  });
  CHECK(said.status == 0);
  CHECK(said.text == "ok ok ok ok ok ok ");
}

TEST_CASE("A loss that evaluates on the Execution of its own fit is an error that says so", "[execution]") {
  for (const int threads : {1, 2}) {
    INFO(threads << " threads");
    const Said said = in_child([&] {
      Normal<double> flow(2);
      const Matrix<double> y = some_rows(200);
      Execution execution({.threads = threads});
      FitOptions<double> options{.epochs = 2};
      options.execution = execution;
      options.loss = [&](Pass<double>& pass, const Distribution<double>& d, Var<double> rows) {
        static_cast<void>(d.log_prob(y, execution));
        return -d.log_prob(pass, rows);
      };
      static_cast<void>(fit(flow, y, options));
      return std::string("no error");
    });
    CHECK(said.status == 7);
    CHECK_THAT(said.text, ContainsSubstring("from inside work that runs on it"));
  }
}

TEST_CASE("run_on_one is the calling thread in a group of one", "[execution]") {
  Execution execution({.threads = 3});
  int calls = 0;
  execution.run_on_one([&](int thread) {
    CHECK(thread == 0);
    CHECK(execution.group().size() == 1);
    CHECK(execution.threads() == 3);
    execution.group().barrier();
    ++calls;
  });
  CHECK(calls == 1);
  CHECK_THROWS_WITH(execution.run_on_one([](int) { throw DomainError("of the work"); }), "of the work");
  std::atomic<int> all{0};
  execution.run([&](int) {
    CHECK(execution.group().size() == 3);
    execution.group().barrier();
    ++all;
  });
  CHECK(all == 3);
}

TEST_CASE("deal gives each task to one thread, between calls that all threads take part in", "[execution]") {
  for (const int threads : {1, 2, 3, 5}) {
    INFO(threads << " threads");
    Execution execution({.threads = threads});
    for (int call = 0; call < 2000; ++call) {
      const Index tasks = call % 7;
      std::vector<std::atomic<int>> dealt(static_cast<std::size_t>(tasks)), at(static_cast<std::size_t>(threads));
      std::atomic<int> twice{0};
      execution.deal(tasks, [&](int thread, Index i) {
        twice += at[static_cast<std::size_t>(thread)].fetch_add(1) != 0;
        ++dealt[static_cast<std::size_t>(i)];
        --at[static_cast<std::size_t>(thread)];
      });
      bool once = twice == 0;
      for (const std::atomic<int>& n : dealt) once = once && n == 1;
      if (!once) FAIL("call " << call);
      std::vector<std::atomic<int>> ran(static_cast<std::size_t>(threads));
      execution.run([&](int thread) {
        execution.group().barrier();
        ++ran[static_cast<std::size_t>(thread)];
      });
      for (const std::atomic<int>& n : ran)
        if (n != 1) FAIL("call " << call);
    }
  }
}

TEST_CASE("deal throws what the lowest failing task threw, and is refused inside work", "[execution]") {
  for (const int threads : {1, 2, 3}) {
    Execution execution({.threads = threads});
    for (int call = 0; call < 200; ++call) {
      std::atomic<int> begun{0};
      CHECK_THROWS_WITH(execution.deal(1000,
                                       [&](int, Index i) {
                                         ++begun;
                                         if (i >= 5) throw DomainError("task " + std::to_string(i));
                                       }),
                        "task 5");
      CHECK(begun <= 5 + threads);
    }
    CHECK_THROWS_WITH(execution.deal(3, [&](int, Index) { execution.deal(1, [](int, Index) {}); }),
                      ContainsSubstring("from inside work that runs on it"));
    std::atomic<int> calls{0};
    execution.deal(10, [&](int, Index) { ++calls; });
    CHECK(calls == 10);
  }
}

// ---------------------------------------------------------------------------------------------------------------- pace

TEST_CASE("Help is asked for where it pays, and seldom where it costs", "[execution]") {
  constexpr Index tasks = 4;
  constexpr double one = 4e-3, each = one / tasks;
  // What works of four tasks take with one helper, whose `waited` tells how long it is waited for at the end.
  const auto total = [&](Help& help, int works, double waited, Index own) {
    double sum = 0;
    for (int i = 0; i < works; ++i) {
      if (!help.at_once()) {
        sum += one;
        continue;
      }
      const double own_seconds = static_cast<double>(own) * each;
      sum += own_seconds + waited;
      help.took(own_seconds + waited, tasks, own_seconds, own);
    }
    return sum;
  };
  Help help;
  CHECK(total(help, 1000, 0.0, 2) == Approx(500 * one));
  // Two time slices for a helper that lost its processor: one call in 256.
  CHECK(total(help, 6400, 8e-3, 3) < 1.06 * 6400 * one);
  // Help that comes too late for any task is as good as none.
  CHECK(total(help, 640, 0.0, 4) == Approx(640 * one));
  // Quiet again: half the pause after each call that paid.
  CHECK(total(help, 10000, 0.0, 2) < 1.1 * 5000 * one);
  CHECK(help.at_once());
}

namespace {

/// Seconds of `runs` runs that take `one` on one thread and `all` on all, with log-normal noise of mean 1.
double total(Pace& pace, int runs, double one, double all, double spread, std::uint64_t seed) {
  std::vector<double> noise(static_cast<std::size_t>(runs));
  Engine(seed).next_call().normal(0, runs, 1, noise.data(), runs);
  double sum = 0;
  for (const double z : noise) {
    const double seconds = (pace.threads() == 1 ? one : all) * std::exp(spread * z - 0.5 * spread * spread);
    sum += seconds;
    pace.took(seconds);
  }
  return sum;
}

}  // namespace

TEST_CASE("Pace: all threads where they pay, one where they do not", "[execution]") {
  for (const double one : {1e-4, 1e-3, 1e-2, 0.3})
    for (const double spread : {0.0, 0.5}) {
      INFO(one << " s, spread " << spread);
      // Two threads on a quiet machine.
      Pace quiet(2);
      CHECK(quiet.threads() == 2);
      CHECK(total(quiet, 4000, one, 0.55 * one, spread, 1) < 1.05 * 4000 * 0.55 * one);
      CHECK(quiet.threads() == 2);
      // Where they wait for each other, and where each barrier costs a time slice.
      for (const double factor : {1.3, 2.3, 50.0}) {
        INFO("factor " << factor);
        Pace busy(4);
        CHECK(total(busy, 8000, one, factor * one, spread, 2) < 1.1 * 8000 * one);
      }
    }
}

TEST_CASE("Pace follows a machine that becomes busy, and quiet again", "[execution]") {
  const double one = 1e-3;
  Pace pace(2);
  total(pace, 2000, one, 0.55 * one, 0.3, 3);
  CHECK(pace.threads() == 2);
  CHECK(total(pace, 4000, 1.4 * one, 3.0 * one, 0.3, 4) < 1.1 * 4000 * 1.4 * one);
  CHECK(total(pace, 30000, one, 0.55 * one, 0.3, 5) < 1.2 * 30000 * 0.55 * one);
}

TEST_CASE("Pace of one thread is one", "[execution]") {
  Pace pace(1);
  for (int i = 0; i < 100; ++i) {
    CHECK(pace.threads() == 1);
    pace.took(1e-3);
  }
}

TEST_CASE("A fit has the same bits whatever number of threads each step takes", "[execution]") {
  // Enough steps for a trial of one thread among them.
  const Matrix<double> y = some_rows(64);
  const auto fitted = [&](int threads) {
    Execution execution({.threads = threads});
    Normal<double> flow(2);
    FitOptions<double> options{.epochs = 600, .batch_size = 32, .validation_fraction = 0};
    options.execution = execution;
    const FitReport report = fit(flow, y, options);
    return std::pair(report.train_loss, flow.log_prob(y));
  };
  const auto one = fitted(1);
  for (const int threads : {2, 3}) {
    const auto many = fitted(threads);
    CHECK(many.first == one.first);
    CHECK(many.second == one.second);
  }
}
