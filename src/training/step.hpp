#pragma once

// One training step by all threads of an Execution, each on its range of rows; the same bits for any number of them.

#include <chrono>
#include <cmath>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <pushforward/distribution.hpp>
#include <pushforward/execution.hpp>
#include <pushforward/training/optimizer.hpp>

#include "src/core/pace.hpp"
#include "src/kernels/kernels.hpp"

namespace pushforward::detail {

/// Rows [begin, end) of thread `rank`: whole blocks of 16, dealt evenly.
inline std::pair<Index, Index> thread_rows(Index rows, int rank, int threads) {
  constexpr Index block = 16;
  const Index blocks = (rows + block - 1) / block;
  const auto edge = [&](Index r) { return std::min(rows, blocks * r / threads * block); };
  return {edge(rank), edge(rank + 1)};
}

struct StepOutcome {
  double loss = 0;           // mean over the rows, penalties included
  double gradient_norm = 0;  // before clipping
  bool applied = false;      // false: loss or gradient was not finite, nothing has changed
  Index outside = -1;        // the first row that was marked as outside the support
};

/// The parameters and state of a tree, with gradients and Adam's moments.
template <Scalar T>
class Stepper {
 public:
  Stepper(Component<T>& tree, AdamOptions adam, Execution& execution)
      : execution_(execution), pace_(execution.threads()), slots_(list_state(tree)), adam_(trainable(slots_), adam) {
    std::vector<const Tensor<T>*> chosen;
    for (const Slot<T>& slot : adam_.parameters()) chosen.push_back(slot.tensor);
    gradients_ = Gradients<T>(chosen);
    partial_.resize(static_cast<std::size_t>((size() + norm_block - 1) / norm_block));
    for (const Slot<T>& slot : slots_)
      if (slot.kind == StateKind::parameter && slot.attributes.regularizer) regularized_.push_back(&slot);
  }
  Stepper(const Stepper&) = delete;
  Stepper& operator=(const Stepper&) = delete;

  struct Settings {
    double rate;
    double weight_decay;
    double clip_norm;
  };

  /// One step over a batch of `rows`. `pass_settings(tape)` gives what the pass needs, `loss(pass)` one loss per row;
  /// each is called by every thread.
  template <class MakeSettings, class RowLoss>
  StepOutcome step(Index rows, const Settings& settings, const MakeSettings& pass_settings, const RowLoss& loss) {
    StepOutcome outcome;
    proposals_.clear();
    if (static_cast<Index>(seeds_.size()) != rows)
      seeds_.assign(static_cast<std::size_t>(rows), 1.0 / static_cast<double>(rows));
    const int threads = pace_.threads();
    Group& group = execution_.group();
    const auto work = [&](int rank) {
      gradients_.set_zero(rank, threads);  // before the barrier after which they are added to
      const auto [begin, end] = thread_rows(rows, rank, threads);
      Tape<T> tape(Tape<T>::Mode::record, {execution_.common(), execution_.local(rank)}, rows, begin, end, &group,
                   rank);
      tape.set_gradients(&gradients_);
      typename Pass<T>::Settings own = pass_settings(tape);
      own.proposals = &proposals_;
      Pass<T> pass(tape, own);
      Column<T> row_loss = loss(pass);
      for (const Slot<T>* slot : regularized_)
        row_loss = row_loss + slot->attributes.regularizer(pass.parameter(*slot->tensor));
      if (row_loss.is_zero()) row_loss = constant_column(tape, 0.0);
      group.barrier();
      if (rank == 0) {
        // The first thread's rows start at 0, so it sees the whole batch.
        const std::uint8_t* outside = pass.outside();
        for (Index i = 0; i < rows && outcome.outside < 0; ++i)
          if (outside[i]) outcome.outside = i;
        outcome.loss = kernels::table<double>().sum(row_loss.values(), rows) / static_cast<double>(rows);
      }
      tape.backward(row_loss, seeds_.data());

      // The norm from blocks of fixed size, added in order.
      const T* g = gradients_.values().data();
      for (Index b = rank; b < static_cast<Index>(partial_.size()); b += threads) {
        const Index first = b * norm_block;
        const Index count = std::min(norm_block, size() - first);
        partial_[static_cast<std::size_t>(b)] = kernels::table<T>().dot(g + first, g + first, count);
      }
      if (rank == 0) adam_.advance();
      group.barrier();
      double square = 0;
      for (const double part : partial_) square += part;
      const double norm = std::sqrt(square);
      const bool good = std::isfinite(norm) && std::isfinite(outcome.loss) && outcome.outside < 0;
      if (good)
        adam_.update(gradients_, {settings.rate, settings.weight_decay, clipping_scale(norm, settings.clip_norm)},
                     rank, threads);
      group.barrier();
      if (rank == 0) {
        outcome.gradient_norm = norm;
        outcome.applied = good;
      }
    };
    const auto start = std::chrono::steady_clock::now();
    if (threads == 1)
      execution_.run_on_one(std::ref(work));
    else
      execution_.run(std::ref(work));
    pace_.took(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    if (!outcome.applied) {
      adam_.set_steps(adam_.steps() - 1);
      return outcome;
    }
    for (const Slot<T>& slot : adam_.parameters())
      if (slot.attributes.constraint) slot.attributes.constraint(*slot.tensor);
    commit_proposals();
    return outcome;
  }

  /// The first parameter whose gradient in the last step has a value that is not finite; empty if there is none.
  std::string worst_parameter() const {
    for (const Slot<T>& slot : adam_.parameters()) {
      const T* g = gradients_.find(slot.tensor);
      for (Index i = 0; i < slot.tensor->size(); ++i)
        if (!std::isfinite(g[i])) return slot.path;
    }
    return {};
  }

  const std::vector<Slot<T>>& slots() const { return slots_; }
  Adam<T>& adam() { return adam_; }
  Gradients<T>& gradients() { return gradients_; }

 private:
  static constexpr Index norm_block = 4096;

  static std::vector<Slot<T>> trainable(const std::vector<Slot<T>>& slots) {
    std::vector<Slot<T>> result;
    for (const Slot<T>& slot : slots)
      if (slot.kind == StateKind::parameter && slot.attributes.trainable && slot.tensor->size() > 0)
        result.push_back(slot);
    return result;
  }
  Index size() { return static_cast<Index>(gradients_.values().size()); }

  /// As `commit`, with the tree already listed.
  void commit_proposals() {
    const auto slot_of = [&](const Tensor<T>* tensor, std::size_t values) -> const Slot<T>* {
      for (const Slot<T>& slot : slots_)
        if (slot.tensor == tensor && static_cast<std::size_t>(tensor->size()) == values) return &slot;
      return nullptr;
    };
    for (const auto& [tensor, value] : proposals_.values)
      if (!slot_of(tensor, value.size())) throw Error("fit: a proposal does not belong to a tensor of the flow");
    for (const auto& [tensor, value] : proposals_.values) {
      T* out = slot_of(tensor, value.size())->tensor->data();
      for (std::size_t i = 0; i < value.size(); ++i) out[i] = static_cast<T>(value[i]);
    }
  }

  Execution& execution_;
  Pace pace_;
  std::vector<Slot<T>> slots_;
  std::vector<const Slot<T>*> regularized_;
  Adam<T> adam_;
  Gradients<T> gradients_;
  Proposals<T> proposals_;
  std::vector<double> partial_;
  std::vector<double> seeds_;
};

}  // namespace pushforward::detail
