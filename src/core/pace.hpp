#pragma once

#include <algorithm>
#include <cmath>

#include <pushforward/arena.hpp>

namespace pushforward::detail {

/// How many threads work is worth that is repeated with about the same size, by the time that it took: all or one.
/// Threads that meet at barriers gain nothing where other programs hold the processors (each barrier may then cost a
/// time slice), or where the work is smaller than the waits. Results have the same bits either way.
///
///     if (pace.asks() && !(the others come at once)) pace.put_off(seconds);
///     const int threads = pace.threads();
///     ... the work on so many threads ...
///     pace.took(seconds);
///
/// It begins with one. When so much was done that a wait does not count, all are asked whether they come, and tried if
/// they do. A trial that costs next to nothing goes on for a while: a scheduler that woke two threads on one processor
/// parts them when it has seen both at work for some time. After a trial the other way is tried again when the time
/// spent is a hundred times what that cost, each time that it confirms the choice twice as long; and one thread when
/// runs on all have become slower.
class Pace {
 public:
  /// Seconds for which the others may be waited for when they are asked whether they come: longer than a sleeping
  /// processor takes to wake, shorter than a time slice.
  static constexpr double prompt = 2e-4;
  /// Seconds on one thread until the others are asked, which may cost two time slices of another program, the trial
  /// included; after each asking in vain twice as many, up to the last.
  static constexpr double first_wait = 0.1, last_wait = 0.5;

  /// With `always`, never fewer than all.
  explicit Pace(int threads, bool always = false)
      : all_(threads), settled_(always || threads == 1), on_one_(!always) {}

  /// For the next run.
  int threads() const { return on_one_ != trying_ ? 1 : all_; }
  /// The next run is the first of a trial of all threads.
  bool asks() const { return trying_ && on_one_ && runs_ == 0; }
  /// Instead of that trial: they did not come, and to ask has cost `seconds`; that may be a time slice, where the
  /// thread that wakes takes the processor of the one that asks.
  void put_off(double seconds) {
    trying_ = false;
    wait_ = std::max(std::clamp(2 * wait_, first_wait, last_wait), 10 * seconds);
  }

  void took(double seconds) {
    if (settled_) return;
    const bool first = runs_++ == 0;  // it makes its memory, and does not count unless it is far off
    if (trying_ && seconds >= (first ? 10 : 3) * usual_) {
      seconds_ += seconds;
      return judge(first ? 1 : runs_ - 1);
    }
    if (first) return;
    seconds_ += seconds;
    if (trying_) {
      // When its time is up it cannot be the better one.
      if (runs_ == trial_runs || seconds_ >= std::min((trial_runs - 1) * usual_, std::max(longest_trial, usual_)))
        judge(runs_ - 1);
      return;
    }
    usual_ = runs_ == 2 ? seconds : usual_ + (seconds - usual_) / memory;
    const bool judged = usual_then_ > 0;
    const bool due = on_one_ ? usual_ >= least && seconds_ >= wait_
                             : seconds_ >= wait_ || usual_ > slower * usual_then_;
    if (due && (!judged || runs_ > trial_runs)) {
      trying_ = true;
      start_counting();
    }
  }

 private:
  /// Seconds of a run that more threads cannot shorten: the barriers of a step take half of it where nobody is late.
  static constexpr double least = 5e-5;
  static constexpr int trial_runs = 5;          ///< the first included, which does not count
  static constexpr double longest_trial = 0.05;  ///< seconds, if that is more than one run
  static constexpr double memory = 8;            ///< runs that `usual_` remembers
  static constexpr double better = 0.95, even = 1.25, slower = 1.4;
  /// Seconds of a trial of all threads that costs next to nothing, and what it may cost.
  static constexpr double longest_even = 0.25, dearest_even = 0.02;
  static constexpr double first_share = 100, last_share = 800;

  void judge(int counted) {
    const double mean = seconds_ / counted;
    trial_ += seconds_;
    lost_ += seconds_ - counted * usual_;
    if (on_one_ && mean >= better * usual_ && mean < even * usual_ && trial_ < longest_even && lost_ < dearest_even) {
      start_counting();
      runs_ = 1;  // the memory is made
      return;
    }
    const double cost = std::max(std::abs(lost_), 0.1 * trial_);  // also of the way back
    trial_ = lost_ = 0;
    if (mean < better * usual_) {
      on_one_ = !on_one_;
      usual_ = mean;
      share_ = first_share;
      wait_ = on_one_ ? first_wait : share_ * cost;  // to ask whether the others come costs less than they did
    } else {
      share_ = std::min(2 * share_, last_share);
      wait_ = share_ * cost;
    }
    usual_then_ = usual_;
    trying_ = false;
    start_counting();
  }
  void start_counting() {
    runs_ = 0;
    seconds_ = 0;
  }

  int all_;
  bool settled_;
  bool on_one_;          ///< what is thought best
  bool trying_ = false;  ///< the other is on trial
  int runs_ = 0;         ///< since the way changed or the last trial
  double seconds_ = 0;   ///< that they took
  double usual_ = 0;     ///< seconds of a run as it is thought best, and what that was when it was last judged
  double usual_then_ = 0;
  double wait_ = first_wait;  ///< seconds until the next trial
  double share_ = first_share / 2;
  double trial_ = 0;  ///< seconds of this trial that were counted, and what they were more than on the other way
  double lost_ = 0;
};

/// Whether to ask other threads for help at once with tasks that one could do alone, by what help was worth before:
/// where other programs hold the processors, a thread that has lost its own is waited for longer than a task takes.
/// The first time they are asked when so much work was done alone that a wait does not count, whether they come. After
/// help that cost more than it saved, the next 1, 3, 7, .. 255 works begin alone, and ask when they turn out long. To
/// leave out who has not begun would not do: some schedulers part two threads of one processor only when one sleeps.
class Help {
 public:
  /// Seconds of work against which the wait for one thread does not count.
  static constexpr double long_work = 0.02;

  /// Nothing is known yet: ask first whether they come, and if not, `late`.
  bool untried() const { return untried_; }
  void late() {
    untried_ = false;
    alone_ = pause_ = std::min(2 * pause_ + 1, 255);
  }

  /// For the next work.
  bool at_once() {
    if (untried_) return seconds_ >= long_work;
    if (alone_ == 0) return true;
    --alone_;
    return false;
  }
  /// Whether to ask now with the rest of work that was done alone for `seconds`.
  bool in_between(double seconds) const { return (untried_ ? seconds_ : 0) + seconds >= long_work; }
  /// Of work that did not ask at once.
  void took_alone(double seconds) { seconds_ += seconds; }
  /// Of work that asked at once: `tasks` of about equal size took `seconds`, and the asking thread did `own` of them in
  /// `own_seconds` of processor time, so all of them would have cost it about own_seconds tasks / own.
  void took(double seconds, Index tasks, double own_seconds, Index own) {
    const bool worth = own < tasks && seconds * static_cast<double>(own) < own_seconds * static_cast<double>(tasks);
    if (!worth) return late();
    untried_ = false;
    alone_ = pause_ = pause_ / 2;
  }

 private:
  bool untried_ = true;
  double seconds_ = 0;  ///< done alone
  int pause_ = 0;
  int alone_ = 0;  ///< works still to begin alone
};

}  // namespace pushforward::detail
