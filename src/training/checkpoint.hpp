#pragma once

// Everything that a run needs to continue as if it had not stopped.

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <pushforward/component.hpp>
#include <pushforward/training/optimizer.hpp>
#include <pushforward/training/schedule.hpp>

#include "src/training/early_stopping.hpp"

namespace pushforward::detail {

/// Where a run stands between two steps. Random numbers are pure functions of the seed, the epoch and the step, so the
/// counters are the state of all streams.
template <Scalar T>
struct RunState {
  Index epoch = 0;
  Index batch = 0;  // batches of the epoch that are done
  Index step = 0;
  Index skipped = 0;
  Index consecutive_skips = 0;
  double loss_sum = 0;   // of this epoch's rows
  double loss_rows = 0;
  EarlyStopping stopping;
  double seconds = 0;
  LearningRate::State rate;
  std::vector<double> train_loss, validation_loss, learning_rate;
  /// All tensors of the flow, to return to: those of the best validation; where there is none yet, those of the start,
  /// or of an epoch that began well.
  std::vector<Tensor<T>> kept;
  std::string start;  // checksum of the state tensors that the run was given; empty: not known
};

/// Of the state tensors, by their values in `values`, one for each slot, or as they stand.
template <Scalar T>
std::string state_checksum(const std::vector<Slot<T>>& slots, const std::vector<Tensor<T>>& values = {});

/// What must be the same for a run to be continued, by name; and the tree of the model, to say where it differs.
using Fingerprint = std::map<std::string, std::string>;
inline constexpr const char* model_tree = "model tree";

template <Scalar T>
void save_checkpoint(const std::filesystem::path& path, const std::vector<Slot<T>>& slots,
                     Optimizer<T>& optimizer, const RunState<T>& state, const Fingerprint& fingerprint);
/// @throws IoError  if the file is damaged or the fingerprint differs; then nothing has changed.
template <Scalar T>
void load_checkpoint(const std::filesystem::path& path, const std::vector<Slot<T>>& slots,
                     Optimizer<T>& optimizer, RunState<T>& state, const Fingerprint& fingerprint);

}  // namespace pushforward::detail
