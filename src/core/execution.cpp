#include <pushforward/execution.hpp>

#include <atomic>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <hwy/cache_control.h>

#include <pushforward/error.hpp>

namespace pushforward {

namespace {

/// Waits until `value` is no longer `old`. Ranges of rows take about equally long and steps follow each other closely,
/// while a processor that went to sleep takes longer to wake than most waits last: so look for some hundred
/// microseconds first, and only then sleep. To yield instead of looking would keep two threads on one processor, where
/// the first wake of a run may have put them: the scheduler parts them when one sleeps.
template <class V>
void wait_while(const std::atomic<V>& value, V old) {
  for (int look = 0; look < 5000; ++look) {
    if (value.load(std::memory_order_acquire) != old) return;
    hwy::Pause();
  }
  value.wait(old, std::memory_order_acquire);
}

/// Barrier that a failing member can break, so that the others do not wait for ever.
class ThreadGroup final : public Group {
 public:
  explicit ThreadGroup(int size) : size_(size) {}
  int size() const override { return size_; }

  void barrier() override {
    if (size_ == 1) return;
    const unsigned generation = generation_.load(std::memory_order_acquire);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
      arrived_.store(0, std::memory_order_relaxed);
      generation_.fetch_add(1, std::memory_order_acq_rel);
      generation_.notify_all();
    } else {
      wait_while(generation_, generation);
    }
    if (broken_.load(std::memory_order_acquire)) throw Broken();
  }

  /// Thrown out of a barrier in the members that did not fail themselves.
  struct Broken : Error {
    Broken() : Error("Group: another thread of the group failed") {}
  };

  void abandon() {
    broken_.store(true, std::memory_order_release);
    generation_.fetch_add(1, std::memory_order_acq_rel);
    generation_.notify_all();
  }
  void reset() {
    broken_ = false;
    arrived_ = 0;
  }

 private:
  const int size_;
  std::atomic<int> arrived_{0};
  std::atomic<unsigned> generation_{0};
  std::atomic<bool> broken_{false};
};

}  // namespace

struct Execution::State {
  explicit State(int n) : group(n), memory(static_cast<std::size_t>(n)), errors(static_cast<std::size_t>(n)) {}

  struct ThreadMemory {
    Arena batch;
    Arena local;
  };

  void work_loop(int thread) {
    for (unsigned seen = 0;; ++seen) {
      wait_while(round, seen);
      if (stop) return;
      call(*current, thread);
      if (running.fetch_sub(1, std::memory_order_acq_rel) == 1) running.notify_one();
    }
  }
  void start() {
    round.fetch_add(1, std::memory_order_acq_rel);
    round.notify_all();
  }

  void call(const std::function<void(int)>& task, int thread) {
    try {
      task(thread);
    } catch (...) {
      errors[static_cast<std::size_t>(thread)] = std::current_exception();
      group.abandon();
    }
  }

  ThreadGroup group;
  Arena common;
  std::vector<ThreadMemory> memory;
  std::vector<std::exception_ptr> errors;
  std::mutex callers;  // one call at a time
  // Written while no worker is at work, and published by `round`.
  const std::function<void(int)>* current = nullptr;
  bool stop = false;
  std::atomic<unsigned> round{0};
  std::atomic<int> running{0};
  std::vector<std::thread> workers;
};

Execution::Execution(ExecutionOptions options) {
  if (options.threads < 1 || options.threads > 1024)
    throw DomainError("Execution: threads must be in 1..1024, got " + std::to_string(options.threads));
  state_ = std::make_unique<State>(options.threads);
  for (int t = 1; t < options.threads; ++t) state_->workers.emplace_back([s = state_.get(), t] { s->work_loop(t); });
}

Execution::~Execution() {
  state_->stop = true;
  state_->start();
  for (std::thread& worker : state_->workers) worker.join();
}

int Execution::threads() const { return state_->group.size(); }
Group& Execution::group() { return state_->group; }
Arena& Execution::common() { return state_->common; }
Arena& Execution::batch(int thread) { return state_->memory[static_cast<std::size_t>(thread)].batch; }
Arena& Execution::local(int thread) { return state_->memory[static_cast<std::size_t>(thread)].local; }

void Execution::run(const std::function<void(int)>& work) {
  State& s = *state_;
  const std::lock_guard one_caller(s.callers);
  for (std::exception_ptr& error : s.errors) error = nullptr;
  s.group.reset();
  s.current = &work;
  s.running.store(threads() - 1, std::memory_order_relaxed);
  s.start();
  s.call(work, 0);
  for (int left; (left = s.running.load(std::memory_order_acquire)) != 0;) wait_while(s.running, left);
  // The cause goes before its consequences.
  std::exception_ptr first;
  for (const std::exception_ptr& error : s.errors) {
    if (!error) continue;
    try {
      std::rethrow_exception(error);
    } catch (const ThreadGroup::Broken&) {
    } catch (...) {
      std::rethrow_exception(error);
    }
    if (!first) first = error;
  }
  if (first) std::rethrow_exception(first);
}

}  // namespace pushforward
