#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <variant>

#include <pushforward/arena.hpp>
#include <pushforward/tape.hpp>

namespace pushforward {

struct ExecutionOptions {
  /// 1 to 1024; the calling thread is one of them.
  int threads = 1;
  /// Each step of a training is done by all threads. Otherwise it is done by as many as pay, which is found out on the
  /// way: one to begin with, and one where other programs hold the processors. The results have the same bits.
  bool all_always = false;
};

/// A pool of threads, which start when first needed, and the memory they work in, kept warm between calls. Results
/// never depend on it: any number of threads gives the same bits. One call at a time uses it; a second one waits. Calls
/// from inside work that runs on it (in a loss of a `fit` on the same Execution) and calls in a child process after a
/// fork throw Error: they would wait for ever. So would a call that comes back to it from a thread that its work has
/// started and waits for, or by way of a second Execution: those it cannot tell from a stranger's call, which may wait.
class Execution {
 public:
  /// @throws DomainError  if threads is not in 1..1024.
  explicit Execution(ExecutionOptions options = {});
  ~Execution();
  Execution(const Execution&) = delete;
  Execution& operator=(const Execution&) = delete;

  int threads() const;
  bool all_always() const;

  /// Calls work(thread) once for each thread, at the same time; returns when all have. If calls throw, the others
  /// are released from barriers and what the lowest threw is thrown on. Error where the system refuses a thread.
  void run(const std::function<void(int thread)>& work);
  /// Calls task(thread, i) once for each i in 0..tasks-1, in that order on whichever thread is free; returns when all
  /// have returned. Where the other threads' help has cost more than it saved (other programs have the processors),
  /// some calls go by before it is asked for at once again; longer ones ask later. If tasks throw, no further one
  /// begins, and the exception of the lowest is thrown on.
  void deal(Index tasks, const std::function<void(int thread, Index task)>& task);
  /// The same with the calling thread alone: work(0), while `group` has one member. No other thread is woken.
  void run_on_one(const std::function<void(int thread)>& work);
  /// Whether the other threads come at once when they are asked, which takes 0.2 ms at most. Where other programs hold
  /// the processors they do not: there each barrier of `run` may cost a time slice.
  bool others_come();
  /// The group of the threads that are at work, for use within `run`.
  Group& group();
  /// Memory that all threads use with cursors of their own, and memory of one thread.
  Arena& common();
  Arena& batch(int thread);
  Arena& local(int thread);

 private:
  template <class Work>
  void call(const Work& work);
  struct State;
  std::unique_ptr<State> state_;
};

/// Memory for calls from one thread, kept warm between them.
struct Workspace {
  Arena batch;
  Arena local;
};

/// Where a call runs: on the threads of an Execution, or on the calling thread in the memory of a Workspace; absent: on
/// the calling thread in memory of its own.
class Run {
 public:
  Run() = default;
  Run(Execution& execution) : execution_(&execution) {}  // NOLINT: implicit by design
  Run(Workspace& workspace) : workspace_(&workspace) {}  // NOLINT: implicit by design
  /// With packed weights of the model that is called, of its scalar type.
  template <Scalar T>
  Run(Workspace& workspace, const PackedWeights<T>& packed) : workspace_(&workspace), packed_(&packed) {}
  Execution* execution() const { return execution_; }
  Workspace* workspace() const { return workspace_; }
  template <Scalar T>
  const PackedWeights<T>* packed() const {
    const auto* packed = std::get_if<const PackedWeights<T>*>(&packed_);
    return packed ? *packed : nullptr;
  }

 private:
  Execution* execution_ = nullptr;
  Workspace* workspace_ = nullptr;
  std::variant<std::monostate, const PackedWeights<float>*, const PackedWeights<double>*> packed_;
};

/// What says where a call runs: Execution&, Workspace& or Run. Without a context it follows on the data directly:
/// `log_prob(y, execution)` is `log_prob(y, {}, execution)`.
template <class P>
concept Place = std::convertible_to<P, Run>;

}  // namespace pushforward
