#pragma once

#include <csignal>
#include <ctime>
#include <thread>
#include <unistd.h>

#include <pushforward/stop.hpp>

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
    watcher_ = std::thread([this] {
      while (!done_.stop_requested()) {
        const timespec wait{0, 50'000'000};
        if (sigtimedwait(&signals_, nullptr, &wait) < 0) continue;
        if (stop_.stop_requested()) _exit(130);
        stop_.request_stop();
      }
    });
  }
  ~Interrupt() {
    done_.request_stop();
    watcher_.join();
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;
  pushforward::StopToken token() const { return stop_.get_token(); }

 private:
  sigset_t signals_{}, before_{};
  pushforward::StopSource stop_, done_;
  std::thread watcher_;
};

}  // namespace tool
