#pragma once

#include <nanobind/nanobind.h>

#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

#include <pushforward/stop.hpp>

namespace binding {

namespace nb = nanobind;

/// Long work that Ctrl-C ends. The work runs on a thread of its own; the caller's waits without the GIL, looks for
/// signals twenty times a second, and runs the questions that the work has for Python: so callbacks run where the
/// caller is, as matplotlib and notebooks want it.
class Caller {
 public:
  pushforward::StopToken token() const { return stop_.get_token(); }

  /// From any thread of the work, one after another: runs f with the GIL on the caller's thread. False if it raised,
  /// and once something was raised there, unless it is needed to end the work in order.
  bool ask(const std::function<bool()>& f, bool needed = false) {
    const std::lock_guard turn(turn_);
    std::unique_lock lock(mutex_);
    question_ = &f;
    needed_ = needed;
    changed_.notify_all();
    changed_.wait(lock, [&] { return question_ == nullptr; });
    return answer_;
  }

  /// What Python raised meanwhile, by a signal's handler or by a question; throws it.
  void rethrow() const {
    if (raised_) std::rethrow_exception(raised_);
  }

  /// Runs `work(*this)` to its end. GIL held. False if it threw after something was raised in Python.
  /// @throws what the work threw, if nothing was raised in Python.
  template <class Work>
  bool run(const Work& work) {
    std::exception_ptr failed;
    std::thread thread([&] {
      try {
        work(*this);
      } catch (...) {
        failed = std::current_exception();
      }
      const std::lock_guard lock(mutex_);
      done_ = true;
      changed_.notify_all();
    });
    while (!serve()) {
    }
    {
      const nb::gil_scoped_release others;
      thread.join();
    }
    if (failed && !raised_) std::rethrow_exception(failed);
    return !failed;
  }

 private:
  /// Waits for a while; true when the work is done.
  bool serve() {
    const std::function<bool()>* question = nullptr;
    bool done = false, needed = false;
    {
      const nb::gil_scoped_release others;
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, std::chrono::milliseconds(50), [&] { return done_ || question_; });
      question = question_;
      needed = needed_;
      done = done_;
    }
    bool answer = false;
    try {
      if (!raised_ && PyErr_CheckSignals() != 0) throw nb::python_error();
      answer = question && (!raised_ || needed) && (*question)();
    } catch (...) {
      if (!raised_) raised_ = std::current_exception();
      stop_.request_stop();
    }
    if (question) {
      const std::lock_guard lock(mutex_);
      answer_ = answer;
      question_ = nullptr;
      changed_.notify_all();
    }
    return done;
  }

  std::mutex turn_, mutex_;
  std::condition_variable changed_;
  const std::function<bool()>* question_ = nullptr;
  bool needed_ = false, answer_ = false, done_ = false;
  std::exception_ptr raised_;
  pushforward::StopSource stop_;
};

}  // namespace binding
