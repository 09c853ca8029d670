// Several processes that fit one model: the bits are those of one process with as many shards.

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <pushforward/bijectors/affine.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/error.hpp>
#include <pushforward/flows/builders.hpp>
#include <pushforward/training/fit.hpp>
#include <pushforward/training/lbfgs.hpp>
#include <pushforward/training/sgd.hpp>

#include "tests/catch.hpp"
#include "tests/training.hpp"

using namespace pushforward;
using namespace training_tests;
using Catch::Matchers::ContainsSubstring;

namespace {

/// Rank 0 has a socket to each of the others, and adds.
class Sockets final : public Reducer {
 public:
  Sockets(int rank, int size, std::vector<int> sockets) : rank_(rank), size_(size), sockets_(std::move(sockets)) {}
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void sum(std::span<float> values) override { sum_of(values); }
  void sum(std::span<double> values) override { sum_of(values); }
  void broadcast(std::span<float> values) override { broadcast_of(values); }
  void broadcast(std::span<double> values) override { broadcast_of(values); }

  template <class V>
  void send(int to, std::span<const V> values) {
    const char* at = reinterpret_cast<const char*>(values.data());
    for (std::size_t left = values.size_bytes(); left > 0;) {
      const ssize_t n = ::write(sockets_.at(static_cast<std::size_t>(to)), at, left);
      if (n <= 0) throw Error("Sockets: the other end is gone");
      at += n;
      left -= static_cast<std::size_t>(n);
    }
  }
  template <class V>
  void receive(int from, std::span<V> values) {
    char* at = reinterpret_cast<char*>(values.data());
    for (std::size_t left = values.size_bytes(); left > 0;) {
      const ssize_t n = ::read(sockets_.at(static_cast<std::size_t>(from)), at, left);
      if (n <= 0) throw Error("Sockets: the other end is gone");
      at += n;
      left -= static_cast<std::size_t>(n);
    }
  }

 private:
  template <class V>
  void sum_of(std::span<V> values) {
    if (rank_ > 0) {
      send<V>(0, values);
      receive<V>(0, values);
      return;
    }
    std::vector<std::vector<V>> all{{values.begin(), values.end()}};
    for (int r = 1; r < size_; ++r) {
      all.emplace_back(values.size());
      receive<V>(r, all.back());
    }
    for (std::size_t step = 1; step < all.size(); step *= 2)
      for (std::size_t i = 0; i + step < all.size(); i += 2 * step)
        for (std::size_t k = 0; k < values.size(); ++k) all[i][k] += all[i + step][k];
    std::copy(all[0].begin(), all[0].end(), values.begin());
    broadcast_of(values);
  }
  template <class V>
  void broadcast_of(std::span<V> values) {
    if (rank_ > 0) return receive<V>(0, values);
    for (int r = 1; r < size_; ++r) send<V>(r, values);
  }

  int rank_, size_;
  std::vector<int> sockets_;
};

Matrix<double> correlated_rows() {
  Matrix<double> z(230, 3);
  Engine(1).next_call().normal(0, 230, 3, z.data(), 230);
  for (Index c = 1; c < 3; ++c) z.col(c) += 0.6 * z.col(c - 1).array().square().matrix();
  return z;
}

/// With batch norm, ActNorm and dropout; every rank but the first starts from other weights, which do not count.
Flow start(int rank) {
  return maf<double>(3, {.layers = 2,
                         .hidden = 12,
                         .dropout = 0.1,
                         .batch_norm = true,
                         .act_norm = true,
                         .seed = static_cast<std::uint64_t>(4 + rank)});
}

FitOptions<double> a_run() {
  return {.epochs = 3, .batch_size = 64, .shards = 4, .learning_rate = 0.01, .validation_fraction = 0.2, .seed = 2};
}

struct Outcome {
  std::vector<double> values;
  FitReport report;
};

/// Runs `size` processes, this one as rank 0; all must end with the same values.
template <class Change>
Outcome run(int size, int threads, const Change& change) {
  std::vector<int> sockets(1, -1);
  std::vector<pid_t> children;
  const auto fitted = [&](Sockets& reducer) {
    Flow flow = start(reducer.rank());
    FitOptions<double> options = a_run();
    Execution execution({.threads = threads, .all_always = true});
    options.reducer = &reducer;
    options.execution = execution;
    change(options, reducer.rank());
    FitReport report = fit(flow, correlated_rows(), options);
    return Outcome{values(flow), std::move(report)};
  };
  for (int r = 1; r < size; ++r) {
    int pair[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    const pid_t pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      for (std::size_t i = 1; i < sockets.size(); ++i) ::close(sockets[i]);
      ::close(pair[0]);
      try {
        Sockets reducer(r, size, {pair[1]});
        const Outcome outcome = fitted(reducer);
        reducer.send<double>(0, outcome.values);
        ::_exit(0);
      } catch (...) {
        ::_exit(1);
      }
    }
    ::close(pair[1]);
    sockets.push_back(pair[0]);
    children.push_back(pid);
  }
  Sockets reducer(0, size, sockets);
  Outcome own = fitted(reducer);
  for (int r = 1; r < size; ++r) {
    std::vector<double> other(own.values.size());
    reducer.receive<double>(r, other);
    CHECK(std::memcmp(other.data(), own.values.data(), other.size() * sizeof(double)) == 0);
    ::close(sockets[static_cast<std::size_t>(r)]);
  }
  for (const pid_t pid : children) {
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  }
  return own;
}

}  // namespace

TEST_CASE("any number of processes and threads gives the bits of one with as many shards") {
  Flow flow = start(0);
  const FitReport report = fit(flow, correlated_rows(), a_run());
  const std::vector<double> expected = values(flow);
  for (const int size : {1, 2, 4})
    for (const int threads : {1, 2}) {
      INFO(size << " processes, " << threads << " threads");
      const Outcome outcome = run(size, threads, [](FitOptions<double>&, int) {});
      CHECK(std::memcmp(outcome.values.data(), expected.data(), expected.size() * sizeof(double)) == 0);
      CHECK(outcome.report.train_loss == report.train_loss);
      CHECK(outcome.report.validation_loss == report.validation_loss);
    }
}

TEST_CASE("a loss that couples the rows of all processes") {
  const Objective<double> coupled{
      .columns = [](auto& pass, const auto& flow, auto y) { return std::vector{flow.log_prob(pass, y)}; },
      .coupling = [](auto columns) { return -batch_log_sum_exp(columns[0]) + batch_sum(columns[0]) * -0.01; }};
  FitOptions<double> options = a_run();
  options.objective = coupled;
  Flow flow = start(0);
  const FitReport report = fit(flow, correlated_rows(), options);
  CHECK(report.train_loss.back() < report.train_loss.front());
  for (const int size : {2, 4}) {
    const Outcome outcome = run(size, 2, [&](FitOptions<double>& o, int) { o.objective = coupled; });
    CHECK(same_bits(outcome.values, values(flow)));
    CHECK(outcome.report.train_loss == report.train_loss);
    CHECK(outcome.report.validation_loss == report.validation_loss);
  }
}

TEST_CASE("synchronised statistics: processes with one shard each train as one with the whole batch") {
  std::vector<double> weights(230);
  for (std::size_t i = 0; i < 230; ++i) weights[i] = 0.5 + static_cast<double>(i % 3);
  for (const bool weighted : {false, true}) {
    const auto settings = [&](FitOptions<double>& o) {
      o.optimizer = Sgd<double>();
      o.statistics = EvaluationStatistics::running;
      if (weighted) o.weights = weights;
      o.weighted_statistics = weighted;
    };
    FitOptions<double> options = a_run();
    settings(options);
    options.shards = 1;
    Flow flow = start(0);
    const FitReport report = fit(flow, correlated_rows(), options);
    const std::vector<double> expected = values(flow);
    for (const int size : {2, 4}) {
      std::vector<double> first;
      for (const int threads : {1, 2}) {
        INFO(size << " processes, " << threads << " threads, weighted " << weighted);
        const auto synchronized = [&](bool yes, bool checkpointing) {
          return run(size, threads, [&](FitOptions<double>& o, int) {
            settings(o);
            o.shards = size;
            o.synchronized_statistics = yes;
            o.gradient_checkpointing = checkpointing;
          });
        };
        const Outcome outcome = synchronized(true, false);
        if (first.empty()) first = outcome.values;
        CHECK(same_bits(outcome.values, first));
        CHECK(same_bits(synchronized(true, true).values, first));
        double apart = 0;
        for (std::size_t i = 0; i < expected.size(); ++i) {
          CHECK(outcome.values[i] == Approx(expected[i]).epsilon(1e-9).margin(1e-11));
          apart = std::max(apart, std::abs(outcome.values[i] - expected[i]));
        }
        for (std::size_t e = 0; e < report.train_loss.size(); ++e) {
          CHECK(outcome.report.train_loss[e] == Approx(report.train_loss[e]).epsilon(1e-11));
          CHECK(outcome.report.validation_loss[e] == Approx(report.validation_loss[e]).epsilon(1e-11));
        }
        const Outcome without = synchronized(false, false);
        double own = 0;
        for (std::size_t i = 0; i < expected.size(); ++i)
          own = std::max(own, std::abs(without.values[i] - expected[i]));
        CHECK(own > 1e6 * apart);
        CHECK(own > 1e-4);
      }
    }
  }
}

TEST_CASE("synchronised statistics take one shard for each process") {
  Flow flow = start(0);
  FitOptions<double> options = a_run();
  options.synchronized_statistics = true;
  CHECK_THROWS_WITH(fit(flow, correlated_rows(), options),
                    ContainsSubstring("shards must be 1, got 4") && ContainsSubstring("gradient_checkpointing"));
  Sockets reducer(0, 2, {});
  options.reducer = &reducer;
  CHECK_THROWS_WITH(fit(flow, correlated_rows(), options), ContainsSubstring("shards must be 2, got 4"));
}

TEST_CASE("searches, and a wish to stop of any one rank, are those of all") {
  FitOptions<double> options = a_run();
  options.batch_size = 230;
  options.optimizer = LBfgs<double>({.iterations = 3});
  Flow flow = start(0);
  fit(flow, correlated_rows(), options);
  const Outcome searched = run(2, 1, [&](FitOptions<double>& o, int) {
    o.batch_size = options.batch_size;
    o.optimizer = options.optimizer;
  });
  CHECK(searched.values == values(flow));

  const Outcome stopped = run(2, 1, [](FitOptions<double>& o, int rank) {
    if (rank == 1) o.callback = [](const Progress& p) { return p.epoch < 2; };
  });
  CHECK(stopped.report.stop_reason == StopReason::cancelled);
  CHECK(stopped.report.train_loss.size() == 2);
}

TEST_CASE("shards must be dealt evenly, a power of two to each process, and have rows in every batch") {
  const auto refused = [](int size, Index shards, Index batch_size) {
    Sockets reducer(0, size, {});
    Flow flow(Normal<double>(3), Affine<double>(3));
    FitOptions<double> options{.batch_size = batch_size, .shards = shards};
    options.reducer = &reducer;
    fit(flow, correlated_rows(), options);
  };
  CHECK_THROWS_WITH(refused(2, 3, 64), ContainsSubstring("shards must be 2 times a power of two, got 3"));
  CHECK_THROWS_WITH(refused(2, 6, 64), ContainsSubstring("shards must be 2 times a power of two, got 6"));
  CHECK_THROWS_WITH(refused(2, 1, 64), ContainsSubstring("shards must be 2 times"));
  CHECK_THROWS_WITH(refused(4, 32, 31), ContainsSubstring("a batch of") && ContainsSubstring("32 shards"));
}

TEST_CASE("a reducer without processes, or of a rank that is none of them, is refused by name") {
  const Matrix<double> y = make_data(64, 2);
  const auto refused = [&](int rank, int size) -> std::string {
    Sockets reducer(rank, size, {});
    Flow flow = affine_flow(2);
    try {
      fit(flow, y, {.epochs = 1, .shards = 2, .reducer = &reducer});
    } catch (const DomainError& error) {
      return error.what();
    }
    return "";
  };
  CHECK_THAT(refused(0, 0), ContainsSubstring("reducer->size() must be at least 1, got 0"));
  CHECK_THAT(refused(0, -2), ContainsSubstring("reducer->size() must be at least 1, got -2"));
  CHECK_THAT(refused(2, 2), ContainsSubstring("reducer->rank() must be at least 0 and below size(), 2, got 2"));
  CHECK_THAT(refused(-1, 2), ContainsSubstring("reducer->rank() must be at least 0 and below size(), 2, got -1"));
}
