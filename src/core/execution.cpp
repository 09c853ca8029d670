#include <pushforward/execution.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <hwy/cache_control.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <pushforward/error.hpp>

#include "src/core/pace.hpp"

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

double seconds_of(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// Barrier that a failing member can break, so that the others do not wait for ever.
class ThreadGroup final : public Group {
 public:
  explicit ThreadGroup(int size) : size_(size) {}
  int size() const override { return size_; }
  /// While no work is done.
  void resize(int size) { size_ = size; }

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
  int size_;
  std::atomic<int> arrived_{0};
  std::atomic<unsigned> generation_{0};
  std::atomic<bool> broken_{false};
};

}  // namespace

struct Execution::State {
  State(int n, bool all_always)
      : all_always(all_always),
        group(n),
        memory(static_cast<std::size_t>(n)),
        errors(static_cast<std::size_t>(n)),
        ids(static_cast<std::size_t>(n)) {}

  struct ThreadMemory {
    Arena batch;
    Arena local;
  };

  void work_loop(int thread, unsigned seen) {
    ids[static_cast<std::size_t>(thread)] = std::this_thread::get_id();
    for (;; ++seen) {
      wait_while(round, seen);
      if (stop) return;
      call(*current, thread);
      if (running.fetch_sub(1, std::memory_order_acq_rel) == 1) running.notify_one();
    }
  }
  /// Whether the threads but the first have nothing to do.
  bool idle() const { return running.load(std::memory_order_acquire) == 0; }
  /// Calls work(thread) on all threads but the first, after what they were called for before. They begin to exist here:
  /// short work on one never needs them.
  void start(const std::function<void(int)>& work) {
    finish();
    while (workers.size() + 1 < memory.size()) {
      const int thread = static_cast<int>(workers.size()) + 1;
      try {
        workers.emplace_back(&State::work_loop, this, thread, round.load());
      } catch (const std::system_error& refused) {
        throw Error("Execution: the system refuses thread " + std::to_string(thread + 1) + " of " +
                    std::to_string(memory.size()) + " (" + refused.what() + "); ask for fewer");
      }
    }
    current = &work;
    running.store(static_cast<int>(workers.size()), std::memory_order_relaxed);
    next_round();
  }
  void next_round() {
    round.fetch_add(1, std::memory_order_acq_rel);
    round.notify_all();
  }
  void finish() {
    for (int left; (left = running.load(std::memory_order_acquire)) != 0;) wait_while(running, left);
  }

  /// Asks them for nothing but to come, each on a processor of its own where there are enough: some schedulers leave
  /// two threads that take turns on one for tenths of a second.
  bool others_come() {
    if (!idle()) return false;
    for (std::atomic<bool>& t : taken) t = false;
    take_processor();
    start(come);
    for (const double asked = seconds_of(CLOCK_MONOTONIC); !idle(); hwy::Pause())
      if (seconds_of(CLOCK_MONOTONIC) - asked > detail::Pace::prompt) return false;
    return true;
  }

  /// The calling thread's processor; if another has taken it, the thread moves to a free one. It stays free to move.
  void take_processor() {
    cpu_set_t allowed, one;
    const int here = sched_getcpu();
    if (here < 0 || here >= CPU_SETSIZE || !taken[static_cast<std::size_t>(here)].exchange(true) ||
        pthread_getaffinity_np(pthread_self(), sizeof allowed, &allowed) != 0)
      return;
    for (int next = (here + 1) % CPU_SETSIZE; next != here; next = (next + 1) % CPU_SETSIZE) {
      if (!CPU_ISSET(next, &allowed) || taken[static_cast<std::size_t>(next)].exchange(true)) continue;
      CPU_ZERO(&one);
      CPU_SET(next, &one);
      pthread_setaffinity_np(pthread_self(), sizeof one, &one);
      pthread_setaffinity_np(pthread_self(), sizeof allowed, &allowed);
      return;
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

  /// The calling thread is at work on this, in a call that has not returned.
  bool is_at_work() const {
    const std::thread::id self = std::this_thread::get_id();
    return std::find(ids.begin(), ids.end(), self) != ids.end();
  }

  const pid_t process = getpid();
  const bool all_always;
  ThreadGroup group;
  Arena common;
  std::vector<ThreadMemory> memory;
  std::vector<std::exception_ptr> errors;
  std::vector<std::atomic<std::thread::id>> ids;  // each written by its thread; of the first, while a call is made
  std::mutex callers;  // one call at a time
  std::array<std::atomic<bool>, CPU_SETSIZE> taken{};  // processors, by those who came
  const std::function<void(int)> come = [this](int) { take_processor(); };
  // Written while no worker is at work, and published by `round`.
  const std::function<void(int)>* current = nullptr;
  bool stop = false;
  std::atomic<unsigned> round{0};
  std::atomic<int> running{0};
  detail::Help help;
  std::vector<std::thread> workers;
};

Execution::Execution(ExecutionOptions options) {
  if (options.threads < 1 || options.threads > 1024)
    throw DomainError("Execution: threads must be in 1..1024, got " + std::to_string(options.threads));
  state_ = std::make_unique<State>(options.threads, options.all_always);
}

Execution::~Execution() {
  if (state_->process != getpid()) {
    // There is nothing to join after a fork, and a std::thread cannot be told so: what the parent's threads had stays.
    static_cast<void>(state_.release());
    return;
  }
  state_->finish();
  state_->stop = true;
  state_->next_round();
  for (std::thread& worker : state_->workers) worker.join();
}

int Execution::threads() const { return static_cast<int>(state_->memory.size()); }
bool Execution::all_always() const { return state_->all_always; }
Group& Execution::group() { return state_->group; }
Arena& Execution::common() { return state_->common; }
Arena& Execution::batch(int thread) { return state_->memory[static_cast<std::size_t>(thread)].batch; }
Arena& Execution::local(int thread) { return state_->memory[static_cast<std::size_t>(thread)].local; }

template <class Work>
void Execution::call(const Work& work) {
  State& s = *state_;
  if (s.process != getpid())
    throw Error(
        "Execution: made before a fork, and its threads do not exist in the child process; make an Execution in the "
        "child");
  if (s.is_at_work())
    throw Error(
        "Execution: called from inside work that runs on it, which would wait for itself for ever; leave the Execution "
        "out of the inner call, or give it another one");
  const std::lock_guard one_caller(s.callers);
  struct Caller {
    std::atomic<std::thread::id>& id;
    explicit Caller(std::atomic<std::thread::id>& id) : id(id) { id = std::this_thread::get_id(); }
    ~Caller() { id = std::thread::id(); }
  } const caller(s.ids[0]);
  for (std::exception_ptr& error : s.errors) error = nullptr;
  s.group.reset();
  work(s);
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

void Execution::run(const std::function<void(int)>& work) {
  call([&](State& s) {
    s.start(work);
    s.call(work, 0);
    s.finish();
  });
}

void Execution::deal(Index tasks, const std::function<void(int, Index)>& task) {
  call([&](State& s) {
    std::atomic<Index> next{0};
    std::mutex failing;
    Index failed = tasks;
    std::exception_ptr error;
    const auto run_task = [&](int thread, Index i) {
      try {
        task(thread, i);
      } catch (...) {
        const std::lock_guard lock(failing);
        if (i < failed) error = std::current_exception();
        failed = std::min(failed, i);
        next = tasks;  // all tasks before this one have begun, so the lowest that fails is the same on any threads
      }
    };
    const auto run_tasks = [&](int thread) {
      for (Index i = next++; i < tasks; i = next++) run_task(thread, i);
    };
    if (threads() == 1 || tasks <= 1) {
      run_tasks(0);
    } else {
      const std::function<void(int)> others = std::ref(run_tasks);
      bool at_once = s.idle() && s.help.at_once();
      if (at_once && s.help.untried() && !s.others_come()) {
        s.help.late();
        at_once = false;
      }
      bool helped = at_once;
      Index own = 0;
      // Before the others wake, which may cost this thread its processor; and so may the question how long it had it,
      // for then the scheduler sees that its time is up.
      const double start = seconds_of(CLOCK_MONOTONIC);
      const double start_of_own = at_once ? seconds_of(CLOCK_THREAD_CPUTIME_ID) : 0;
      if (at_once) s.start(others);
      for (Index i = next++; i < tasks; i = next++) {
        run_task(0, i);
        ++own;
        if (helped || i + 1 >= tasks || !s.help.in_between(seconds_of(CLOCK_MONOTONIC) - start) || !s.idle()) continue;
        s.start(others);
        helped = true;
      }
      const double own_seconds = at_once ? seconds_of(CLOCK_THREAD_CPUTIME_ID) - start_of_own : 0;
      if (helped) s.finish();
      const double seconds = seconds_of(CLOCK_MONOTONIC) - start;
      if (at_once)
        s.help.took(seconds, tasks, own_seconds, own);
      else
        s.help.took_alone(seconds);
    }
    if (error) std::rethrow_exception(error);
  });
}

bool Execution::others_come() {
  bool come = false;
  call([&](State& s) { come = s.others_come(); });
  return come;
}

void Execution::run_on_one(const std::function<void(int)>& work) {
  call([&](State& s) {
    s.group.resize(1);
    s.call(work, 0);
    s.group.resize(threads());
  });
}

}  // namespace pushforward

#ifdef _GLIBCXX_DEBUG
const char pushforward::detail::the_library_is_not_built_with_GLIBCXX_DEBUG = 0;
#endif
