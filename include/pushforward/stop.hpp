#pragma once

#include <version>

#ifdef __cpp_lib_jthread
#include <stop_token>
#else
#include <atomic>
#include <memory>
#include <utility>
#endif

namespace pushforward {

#ifdef __cpp_lib_jthread

using StopToken = std::stop_token;
using StopSource = std::stop_source;

#else

/// What std::stop_token is, as far as the library asks it, for standard libraries without one (libc++ 16).
class StopToken {
 public:
  StopToken() = default;
  bool stop_requested() const noexcept { return stopped_ && stopped_->load(std::memory_order_acquire); }

 private:
  friend class StopSource;
  explicit StopToken(std::shared_ptr<const std::atomic<bool>> stopped) : stopped_(std::move(stopped)) {}
  std::shared_ptr<const std::atomic<bool>> stopped_;
};

/// What std::stop_source is, as far as the library's callers need it. From any thread.
class StopSource {
 public:
  StopToken get_token() const noexcept { return StopToken(stopped_); }
  bool stop_requested() const noexcept { return stopped_->load(std::memory_order_acquire); }
  bool request_stop() noexcept { return !stopped_->exchange(true, std::memory_order_acq_rel); }

 private:
  std::shared_ptr<std::atomic<bool>> stopped_ = std::make_shared<std::atomic<bool>>(false);
};

#endif

}  // namespace pushforward
