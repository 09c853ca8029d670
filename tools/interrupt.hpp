#pragma once

#include <csignal>
#include <ctime>
#include <stop_token>
#include <thread>
#include <unistd.h>

namespace tool {

/// Turns the first interrupt (Ctrl-C, or a request to terminate) into a stop at the next step; the second one ends the
/// program at once. Made before any other thread, so that all of them leave the signals to this one.
class Interrupt {
 public:
  Interrupt() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals_, &before_);
    watcher_ = std::jthread([this](std::stop_token done) {
      while (!done.stop_requested()) {
        const timespec wait{0, 50'000'000};
        if (sigtimedwait(&signals_, nullptr, &wait) < 0) continue;
        if (stop_.stop_requested()) _exit(130);
        stop_.request_stop();
      }
    });
  }
  ~Interrupt() {
    watcher_.request_stop();
    watcher_.join();
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;
  std::stop_token token() const { return stop_.get_token(); }

 private:
  sigset_t signals_{}, before_{};
  std::stop_source stop_;
  std::jthread watcher_;
};

}  // namespace tool
