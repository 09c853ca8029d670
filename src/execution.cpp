#include <pushforward/execution.hpp>

#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <pushforward/error.hpp>

namespace pushforward {

namespace {

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
      // Ranges of rows take about equally long, and a sleeping thread takes longer to wake than most waits last: so
      // spin a while, then give way to others on a machine with more threads than processors, then sleep.
      for (int spin = 0; spin < 20000 && generation_.load(std::memory_order_acquire) == generation; ++spin)
        if (spin % 500 == 499) std::this_thread::yield();
      while (generation_.load(std::memory_order_acquire) == generation && !broken_.load(std::memory_order_acquire))
        generation_.wait(generation, std::memory_order_acquire);
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
    unsigned seen = 0;
    for (;;) {
      const std::function<void(int)>* task;
      {
        std::unique_lock lock(mutex);
        wake.wait(lock, [&] { return stop || round != seen; });
        if (stop) return;
        seen = round;
        task = current;
      }
      call(*task, thread);
      const std::lock_guard lock(mutex);
      if (--running == 0) done.notify_one();
    }
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
  std::mutex mutex;
  std::condition_variable wake, done;
  const std::function<void(int)>* current = nullptr;
  unsigned round = 0;
  int running = 0;
  bool stop = false;
  std::vector<std::thread> workers;
};

Execution::Execution(ExecutionOptions options) {
  if (options.threads < 1 || options.threads > 1024)
    throw DomainError("Execution: threads must be in 1..1024, got " + std::to_string(options.threads));
  state_ = std::make_unique<State>(options.threads);
  for (int t = 1; t < options.threads; ++t) state_->workers.emplace_back([s = state_.get(), t] { s->work_loop(t); });
}

Execution::~Execution() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stop = true;
  }
  state_->wake.notify_all();
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
  {
    const std::lock_guard lock(s.mutex);
    s.current = &work;
    s.running = threads() - 1;
    ++s.round;
  }
  s.wake.notify_all();
  s.call(work, 0);
  {
    std::unique_lock lock(s.mutex);
    s.done.wait(lock, [&] { return s.running == 0; });
  }
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
