#pragma once

#include <functional>
#include <memory>

#include <pushforward/reducer.hpp>

#include "tools/tool.hpp"

namespace tool::fitting {

/// The processes that mpirun started together with this one, or this one alone. Where there are others, all do the same,
/// and the first alone speaks and writes.
class Ranks {
 public:
  /// @throws UsageError  if there are others and the tool was built without MPI.
  Ranks();
  ~Ranks();
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;

  /// f(); what it throws in one process is told with its number, and ends all.
  void run(const std::function<void()>& f) const;
  /// Null for one process.
  pf::Reducer* reducer() const;
  int size() const { return reducer() ? reducer()->size() : 1; }
  bool is_first() const { return !reducer() || reducer()->rank() == 0; }
  /// As many as there are processors for each process of this machine.
  int threads() const { return threads_; }

 private:
  struct Job;
  std::unique_ptr<Job> job_;
  int threads_ = 0;
};

}  // namespace tool::fitting
