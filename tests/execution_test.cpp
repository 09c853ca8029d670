// An Execution where it cannot work says so instead of waiting for ever, and how many threads repeated work is worth.

#include <pthread.h>
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

TEST_CASE("A thread that the system refuses is named, and the Execution lives on", "[execution]") {
  Execution execution({.threads = 3});
  const Normal<double> normal({0, 1}, {1, 2});
  const Matrix<double> y = some_rows(2000);
  // No machine has room for such a stack.
  pthread_attr_t usual, huge;
  REQUIRE(pthread_getattr_default_np(&usual) == 0);
  REQUIRE(pthread_getattr_default_np(&huge) == 0);
  REQUIRE(pthread_attr_setstacksize(&huge, std::size_t{1} << 47) == 0);
  REQUIRE(pthread_setattr_default_np(&huge) == 0);
  std::string said;
  try {
    execution.run([](int) {});
  } catch (const Error& error) {
    said = error.what();
  }
  REQUIRE(pthread_setattr_default_np(&usual) == 0);
  CHECK_THAT(said, ContainsSubstring("the system refuses thread 2 of 3") && ContainsSubstring("ask for fewer"));
  CHECK(normal.log_prob(y, execution) == normal.log_prob(y));
  std::atomic<int> came = 0;
  execution.run([&](int) { ++came; });
  CHECK(came == 3);
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

TEST_CASE("Others come when they can, and work goes on where they do not", "[execution]") {
  CHECK(Execution({.threads = 1}).others_come());
  Execution execution({.threads = 3});
  // Whatever the answers are, what is asked for next is done by all, once.
  for (int i = 0; i < 100; ++i) {
    execution.others_come();
    std::atomic<int> called{0};
    if (i % 2 == 0) {
      execution.run([&](int) {
        ++called;
        execution.group().barrier();
      });
      CHECK(called == 3);
    } else {
      execution.deal(7, [&](int, Index) { ++called; });
      CHECK(called == 7);
    }
  }
  // Threads that have just done work still look for more, unless they lose their processor then.
  do execution.run([&](int) { execution.group().barrier(); });
  while (!execution.others_come());
  CHECK_THROWS_WITH(execution.run([&](int) { execution.others_come(); }), ContainsSubstring("from inside work"));
  execution.others_come();  // and may still be asked when it ends
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
        help.took_alone(one);
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
  CHECK(help.untried());
  CHECK(total(help, 4, 8e-3, 2) == Approx(4 * one));  // too short to find out
  CHECK_FALSE(help.in_between(0.9 * one));
  CHECK(help.in_between(1.1 * one));
  CHECK(total(help, 1001, 0.0, 2) == Approx(501 * one));
  CHECK_FALSE(help.in_between(1.1 * one));
  // Two time slices for a helper that lost its processor: one call in 256.
  CHECK(total(help, 6400, 8e-3, 3) < 1.06 * 6400 * one);
  // Help that comes too late for any task is as good as none.
  CHECK(total(help, 640, 0.0, 4) == Approx(640 * one));
  // Quiet again: half the pause after each call that paid.
  CHECK(total(help, 10000, 0.0, 2) < 1.1 * 5000 * one);
  CHECK(help.at_once());
}

namespace {

/// A machine on which a run takes `one` second on one thread and `all` on all; `come` when they are asked.
struct Machine {
  double one, all;
  bool come;
};

/// What `runs` runs did, with log-normal noise of mean 1.
struct Paced {
  double seconds = 0;
  int on_all = 0;
  int in_vain = 0;  ///< askings
};

Paced paced(Pace& pace, int runs, const Machine& machine, double spread, std::uint64_t seed) {
  std::vector<double> noise(static_cast<std::size_t>(runs));
  Engine(seed).next_call().normal(0, runs, 1, noise.data(), runs);
  Paced did;
  for (const double z : noise) {
    if (pace.asks() && !machine.come) {
      did.seconds += Pace::prompt;
      ++did.in_vain;
      pace.put_off(Pace::prompt);
    }
    did.on_all += pace.threads() != 1;
    const double mean = pace.threads() == 1 ? machine.one : machine.all;
    const double seconds = mean * std::exp(spread * z - 0.5 * spread * spread);
    did.seconds += seconds;
    pace.took(seconds);
  }
  return did;
}

Machine quiet(double one) { return {one, 0.55 * one, true}; }

}  // namespace

TEST_CASE("Pace: all threads where they pay, one where they do not", "[execution]") {
  for (const double one : {1e-4, 1e-3, 1e-2, 0.3})
    for (const double spread : {0.0, 0.5}) {
      INFO(one << " s, spread " << spread);
      Pace pays(2);
      CHECK(pays.threads() == 1);
      CHECK(paced(pays, 4000, quiet(one), spread, 1).seconds < 1.05 * 4000 * 0.55 * one + 0.45 * Pace::first_wait);
      CHECK(pays.threads() == 2);
      // Where they wait for each other, and where each barrier costs a time slice although they came.
      for (const double factor : {1.3, 2.3, 50.0, 500.0}) {
        INFO("factor " << factor);
        Pace waits(4);
        CHECK(paced(waits, 8000, {one, factor * one, true}, spread, 2).seconds < 1.1 * 8000 * one);
      }
    }
}

TEST_CASE("Pace: a short fit finds out within a few steps", "[execution]") {
  // Quiet: when the first wait is over, but for a trial of one thread now and then.
  for (const double one : {1e-4, 1e-3, 5e-3, 0.1}) {
    INFO(one << " s");
    Pace pace(2);
    CHECK(paced(pace, 2000, quiet(one), 0, 1).on_all >= 1960 - std::round(Pace::first_wait / one));
  }
  // Busy from the start: never on all, whatever a barrier would cost, and askings are at most a tenth of the time.
  for (const double one : {1e-5, 1e-4, 1e-3, 1e-2})
    for (const int runs : {20, 200, 2000, 20000}) {
      INFO(one << " s, " << runs << " runs");
      Pace pace(2);
      const Paced did = paced(pace, runs, {one, 0.1, false}, 0, 2);
      CHECK(did.on_all == 0);
      CHECK(did.seconds < 1.1 * runs * one);
      CHECK(did.in_vain < 10 + runs * one / (2000 * Pace::prompt));
    }
  // Steps that are smaller than their barriers never ask.
  Pace tiny(2);
  CHECK(paced(tiny, 20000, quiet(2e-5), 0, 2).on_all == 0);
  // Shorter work never asks.
  Pace brief(2);
  CHECK(paced(brief, 990, quiet(1e-4), 0, 1).on_all == 0);
  // Each asking costs a time slice: still a tenth of the time.
  Pace dear(2);
  double seconds = 0, asking = 0;
  for (; seconds < 1; seconds += 1e-4) {
    if (dear.asks()) {
      asking += 8e-3;
      dear.put_off(8e-3);
    }
    dear.took(1e-4);
  }
  CHECK(asking > 8e-3);
  CHECK(asking < 0.1 * seconds);
  // They came, but were gone at the first barrier: one run, and none for some time.
  Pace pace(2);
  CHECK(paced(pace, 1000, {2e-4, 0.03, true}, 0, 3).on_all == 1);
}

TEST_CASE("Pace: a trial waits for a scheduler that begins with two threads on one processor", "[execution]") {
  for (const double one : {2e-4, 1e-3, 3e-3}) {
    INFO(one << " s");
    Pace pace(2);
    double together = 0;  // seconds for which both were at work
    int parted = 0;
    for (int i = 0; i < 1000; ++i) {
      const bool all = pace.threads() == 2;
      const double seconds = all && together > 0.015 ? 0.55 * one : 1.05 * one;
      parted += all && together > 0.015;
      together += all ? seconds : 0;
      pace.took(seconds);
    }
    CHECK(parted > 380);
    // Where it never parts them, they are not tried for long.
    Pace never(2);
    CHECK(paced(never, 8000, {one, 1.1 * one, true}, 0, 1).seconds < 1.03 * 8000 * one);
  }
}

TEST_CASE("Pace follows a machine that becomes busy, and quiet again", "[execution]") {
  const double one = 1e-3;
  Pace pace(2);
  paced(pace, 2000, quiet(one), 0.3, 3);
  CHECK(pace.threads() == 2);
  SECTION("the others come") {
    CHECK(paced(pace, 4000, {1.4 * one, 3.0 * one, true}, 0.3, 4).seconds < 1.1 * 4000 * 1.4 * one);
    CHECK(paced(pace, 30000, quiet(one), 0.3, 5).seconds < 1.2 * 30000 * 0.55 * one);
  }
  SECTION("the others do not come") {
    CHECK(paced(pace, 1000, {1.4 * one, 30 * one, false}, 0.3, 4).on_all <= 2);
    // Asked again every half second.
    paced(pace, 600, quiet(one), 0.3, 5);
    CHECK(pace.threads() == 2);
  }
  SECTION("a single slow run") {
    pace.took(30 * one);
    CHECK(paced(pace, 1000, quiet(one), 0, 5).on_all >= 870);
  }
}

TEST_CASE("Pace of all always is all", "[execution]") {
  Pace pace(3, true);
  const Paced did = paced(pace, 1000, {1e-4, 0.1, false}, 0.3, 1);
  CHECK(did.on_all == 1000);
  CHECK(did.in_vain == 0);
}

TEST_CASE("Help that does not come when it is asked first is asked again after one work", "[execution]") {
  Help help;
  CHECK_FALSE(help.at_once());
  help.took_alone(0.021);
  CHECK(help.at_once());
  CHECK(help.untried());
  help.late();
  CHECK_FALSE(help.untried());
  CHECK_FALSE(help.at_once());
  CHECK(help.at_once());
  help.took(2.1e-3, 4, 2e-3, 2);
  CHECK(help.at_once());
}

TEST_CASE("Pace of one thread is one", "[execution]") {
  Pace pace(1);
  for (int i = 0; i < 100; ++i) {
    CHECK(pace.threads() == 1);
    pace.took(1e-3);
  }
}

TEST_CASE("A fit has the same bits whatever number of threads each step takes", "[execution]") {
  // Where it is free to choose, enough steps to try both.
  const Matrix<double> y = some_rows(64);
  const auto fitted = [&](int threads, bool all_always, Index epochs) {
    Execution execution({.threads = threads, .all_always = all_always});
    Normal<double> flow(2);
    FitOptions<double> options{.epochs = epochs, .batch_size = 32, .validation_fraction = 0};
    options.execution = execution;
    const FitReport report = fit(flow, y, options);
    return std::pair(report.train_loss, flow.log_prob(y));
  };
  for (const bool all_always : {false, true}) {
    const Index epochs = all_always ? 10 : 600;
    const auto one = fitted(1, all_always, epochs);
    for (const int threads : {2, 3}) {
      const auto many = fitted(threads, all_always, epochs);
      CHECK(many.first == one.first);
      CHECK(many.second == one.second);
    }
  }
}
