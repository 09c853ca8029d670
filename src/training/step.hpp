#pragma once

// One training step by all threads of an Execution, each on its range of rows; the same bits for any number of them.
//
// A batch may be split into shards of rows, which are passed one after another and whose sums are added in one binary
// tree, fixed by their number: ((0 + 1) + (2 + 3)) + 4 for five.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <pushforward/distribution.hpp>
#include <pushforward/execution.hpp>
#include <pushforward/poly.hpp>
#include <pushforward/training/optimizer.hpp>
#include <pushforward/reducer.hpp>

#include "src/core/constrain.hpp"
#include "src/core/pace.hpp"
#include "src/core/proposals.hpp"
#include "src/kernels/kernels.hpp"
#include "src/training/coupled_columns.hpp"

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
  bool applied = false;      // false: loss or gradient was not finite, or a row outside; nothing has changed
  Index outside = -1;        // the first row that was marked as outside the support
  std::string broken = {};   // a parameter that the optimiser gave a value that is not finite
  std::exception_ptr refused = {};  // why the proposals of a step that is good otherwise cannot be taken
};

/// The parameters and state of a tree, with gradients and the optimiser's state.
template <Scalar T>
class Stepper {
 public:
  Stepper(Component<T>& tree, Poly<Optimizer<T>> optimizer, Execution& execution, Index shards = 1,
          Reducer* reducer = nullptr, std::string where = "fit")
      : where_(std::move(where)),
        execution_(execution),
        pace_(execution.threads(), execution.all_always()),
        slots_(list_state(tree)),
        optimizer_(std::move(optimizer)),
        shards_(shards),
        reducer_(reducer) {
    optimizer_->start(trainable(slots_));
    std::vector<const Tensor<T>*> chosen;
    for (const Slot<T>& slot : optimizer_->parameters()) chosen.push_back(slot.tensor);
    gradients_ = Gradients<T>(chosen);
    for (Index digits = shards_ - 1; digits > 0; digits /= 2) waiting_.emplace_back(std::vector<Index>{size()});
    partial_.resize(static_cast<std::size_t>((size() + norm_block - 1) / norm_block));
    for (const Slot<T>& slot : slots_)
      if (slot.kind == StateKind::parameter && slot.attributes.regularizer) regularized_.push_back(&slot);
    for (const Slot<T>& slot : optimizer_->parameters())
      if (slot.attributes.constraint) constrained_.push_back(&slot);
    if (!constrained_.empty()) before_.resize(static_cast<std::size_t>(size()));
  }
  Stepper(const Stepper&) = delete;
  Stepper& operator=(const Stepper&) = delete;

  struct Settings {
    double rate;
    double weight_decay;
    double clip_norm;
  };

  /// A loss over the batch in two halves: `columns(pass, first)` of the tape's rows, and what couples them.
  struct Coupled {
    std::function<std::vector<Column<T>>(Pass<T>&, Index first)> columns;
    BatchCoupling<T> coupling;
  };

  /// One step over a batch of `rows`. `pass_settings(tape, first)` gives what the pass needs, `loss(pass, first)` one
  /// loss per row, for the rows of the batch from `first` on that are the tape's; each is called by every thread.
  /// @throws DomainError  if the step is good but for what its passes proposed, or what a constraint made of it, naming
  /// the tensor; the tree is as it was. (The optimiser has moved on: no step follows.)
  template <class MakeSettings, class RowLoss>
  StepOutcome step(Index rows, const Settings& settings, const MakeSettings& pass_settings, const RowLoss& loss,
                   const Coupled& coupled = {}) {
    const bool searches = optimizer_->searches();
    keep_parameters();
    StepOutcome outcome = evaluate(rows, searches ? nullptr : &settings, pass_settings, loss, coupled);
    if (outcome.refused) std::rethrow_exception(outcome.refused);
    if (!outcome.applied) return outcome;
    if (searches) {
      const auto again = [&] { return evaluate(rows, nullptr, pass_settings, loss, coupled); };
      Elsewhere<decltype(again)> trials(gradients_, again);
      optimizer_->search(trials, outcome.loss, {settings.rate, settings.weight_decay, 1.0});
    }
    try {
      for (const Slot<T>* slot : constrained_)
        constrain(*slot->tensor, slot->attributes.constraint,
                  [&] { return where_ + ": the constraint of '" + slot->path + "'"; });
    } catch (...) {
      put_parameters_back();
      throw;
    }
    commit_proposals();
    outcome.broken = broken_parameter();
    return outcome;
  }

  /// The first parameter whose gradient in the last step has a value that is not finite; empty if there is none.
  std::string worst_parameter() const {
    for (const Slot<T>& slot : optimizer_->parameters()) {
      const T* g = gradients_.find(slot.tensor);
      for (Index i = 0; i < slot.tensor->size(); ++i)
        if (!std::isfinite(g[i])) return slot.path;
    }
    return {};
  }

  /// While it lives, the parameters have the values that the optimiser would keep; then those of its steps again.
  class Result {
   public:
    explicit Result(Optimizer<T>& optimizer) : optimizer_(optimizer) {
      if (!optimizer.has_result()) return;
      for (const Slot<T>& slot : optimizer.parameters()) values_.push_back(*slot.tensor);
      optimizer.put_result();
    }
    ~Result() {
      for (std::size_t i = 0; i < values_.size(); ++i)
        std::copy(values_[i].values().begin(), values_[i].values().end(), optimizer_.parameters()[i].tensor->data());
    }
    Result(const Result&) = delete;
    Result& operator=(const Result&) = delete;

   private:
    Optimizer<T>& optimizer_;
    std::vector<Tensor<T>> values_;
  };

  const std::vector<Slot<T>>& slots() const { return slots_; }
  Optimizer<T>& optimizer() { return *optimizer_; }
  Gradients<T>& gradients() { return gradients_; }

 private:
  static constexpr Index norm_block = 4096;

  std::string broken_parameter() const {
    const auto finite = [](T v) { return std::isfinite(v); };
    for (const Slot<T>& slot : optimizer_->parameters()) {
      const std::span<const T> values = std::as_const(*slot.tensor).values();
      // A sum is much faster, and finite but for values that are not or are near the largest.
      if (!std::isfinite(kernels::table<T>().sum(values.data(), static_cast<Index>(values.size()))) &&
          !std::all_of(values.begin(), values.end(), finite))
        return slot.path;
    }
    return {};
  }
  static std::vector<Slot<T>> trainable(const std::vector<Slot<T>>& slots) {
    std::vector<Slot<T>> result;
    for (const Slot<T>& slot : slots)
      if (slot.kind == StateKind::parameter && slot.attributes.trainable && slot.tensor->size() > 0)
        result.push_back(slot);
    return result;
  }
  Index size() { return static_cast<Index>(gradients_.values().size()); }

  /// Where a constraint may refuse a step.
  void keep_parameters() {
    if (constrained_.empty()) return;
    T* to = before_.data();
    for (const Slot<T>& slot : optimizer_->parameters())
      to = std::copy(slot.tensor->values().begin(), slot.tensor->values().end(), to);
  }
  void put_parameters_back() {
    const T* from = before_.data();
    for (const Slot<T>& slot : optimizer_->parameters()) {
      std::copy_n(from, slot.tensor->size(), slot.tensor->data());
      from += slot.tensor->size();
    }
  }

  /// Loss and gradient of a batch by all threads; with `update`, the optimiser's step where both are finite.
  template <class MakeSettings, class RowLoss>
  StepOutcome evaluate(Index rows, const Settings* update, const MakeSettings& pass_settings, const RowLoss& loss,
                       const Coupled& coupled) {
    StepOutcome outcome;
    const Index shards = std::clamp<Index>(rows, 1, shards_), own_shards = shards / processes();
    const Index first_shard = reducer_ ? reducer_->rank() * own_shards : 0;
    proposals_.resize(static_cast<std::size_t>(own_shards));
    for (Proposals<T>& proposals : proposals_) proposals.clear();
    if (static_cast<Index>(seeds_.size()) != rows)
      seeds_.assign(static_cast<std::size_t>(rows), 1.0 / static_cast<double>(rows));
    const auto seconds_since = [](std::chrono::steady_clock::time_point start) {
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
    if (pace_.asks()) {
      const auto asked = std::chrono::steady_clock::now();
      if (!execution_.others_come()) pace_.put_off(seconds_since(asked));
    }
    const int threads = pace_.threads();
    Group& group = execution_.group();
    sums_.assign(static_cast<std::size_t>(own_shards), 0.0);
    columns_.start(rows);
    double coupling = 0;
    // f(pass, first, count) of the rows [first, first + count) of a shard.
    const auto pass_shard = [&](typename Tape<T>::Mode mode, int rank, Index shard, Proposals<T>* proposals,
                                const auto& f) {
      const Index first = rows * (first_shard + shard) / shards;
      const Index count = rows * (first_shard + shard + 1) / shards - first;
      const auto [begin, end] = thread_rows(count, rank, threads);
      Tape<T> tape(mode, {execution_.common(), execution_.local(rank)}, count, begin, end, &group, rank);
      tape.set_gradients(&gradients_);
      typename Pass<T>::Settings own = pass_settings(tape, first);
      own.first_row = first;
      own.proposals = proposals;
      Pass<T> pass(tape, own);
      f(pass, first, count);
    };
    const auto couple = [&](int rank) {
      for (Index shard = 0; shard < own_shards; ++shard) {
        pass_shard(Tape<T>::Mode::evaluate, rank, shard, nullptr, [&](Pass<T>& pass, Index first, Index) {
          columns_.store(pass.tape(), some_columns(pass.tape(), coupled.columns(pass, first)), first);
        });
        group.barrier();
      }
      if (reducer_) {
        if (rank == 0) reducer_->sum(columns_.values());
        group.barrier();
      }
      const auto [begin, end] = thread_rows(rows, rank, threads);
      Tape<T> tape(Tape<T>::Mode::record, {execution_.common(), execution_.local(rank)}, rows, begin, end, &group,
                   rank);
      const double value = columns_.couple(tape, coupled.coupling, seeds_.data());
      if (rank == 0) coupling = value;
    };
    const auto work = [&](int rank) {
      if (coupled.coupling) couple(rank);
      for (Index shard = 0; shard < own_shards; ++shard) {
        gradients_.set_zero(rank, threads);  // before the barrier after which they are added to
        pass_shard(Tape<T>::Mode::record, rank, shard, &proposals_[static_cast<std::size_t>(shard)],
                   [&](Pass<T>& pass, Index first, Index count) {
          Tape<T>& tape = pass.tape();
          std::vector<Column<T>> columns;
          if (coupled.coupling) columns = some_columns(tape, coupled.columns(pass, first));
          Column<T> row_loss = loss(pass, first);
          for (const Slot<T>* slot : regularized_)
            row_loss = row_loss + slot->attributes.regularizer(pass.parameter(*slot->tensor));
          if (row_loss.is_zero()) row_loss = constant_column(tape, 0.0);
          group.barrier();
          if (rank == 0) {
            // The first thread's rows start at 0, so it sees the whole shard.
            const std::uint8_t* outside = pass.outside();
            for (Index i = 0; i < count && outcome.outside < 0; ++i)
              if (outside[i]) outcome.outside = first + i;
            sums_[static_cast<std::size_t>(shard)] = kernels::table<double>().sum(row_loss.values(), count);
          }
          if (coupled.coupling) columns_.seed(tape, columns, first);
          tape.backward(row_loss, seeds_.data());
        });
        if (own_shards > 1) {
          add_to_tree(shard, shard + 1 == own_shards, rank, threads);
          group.barrier();
        }
      }
      if (rank == 0) {
        const double sum = tree_sum(sums_);
        outcome.loss = (reducer_ ? reduce(sum, outcome.outside) : sum) / static_cast<double>(rows) + coupling;
        check_proposals(outcome.refused);
        if (update) optimizer_->advance();
      }
      if (reducer_) group.barrier();

      // The norm from blocks of fixed size, added in order.
      const T* g = gradients_.values().data();
      for (Index b = rank; b < static_cast<Index>(partial_.size()); b += threads) {
        const Index first = b * norm_block;
        const Index count = std::min(norm_block, size() - first);
        partial_[static_cast<std::size_t>(b)] = kernels::table<T>().dot(g + first, g + first, count);
      }
      group.barrier();
      double square = 0;
      for (const double part : partial_) square += part;
      const double norm = std::sqrt(square);
      const bool fits = std::isfinite(norm) && std::isfinite(outcome.loss) && outcome.outside < 0;
      const bool good = fits && !outcome.refused;
      if (good && update)
        optimizer_->update(gradients_,
                           {update->rate, update->weight_decay, clipping_scale(norm, update->clip_norm)}, rank,
                           threads);
      group.barrier();
      if (rank == 0) {
        outcome.gradient_norm = norm;
        outcome.applied = good;
        if (good) std::swap(proposed_, candidate_);
        if (!fits) outcome.refused = nullptr;  // a step that is skipped anyway
      }
    };
    const auto start = std::chrono::steady_clock::now();
    if (threads == 1)
      execution_.run_on_one(std::ref(work));
    else
      execution_.run(std::ref(work));
    pace_.took(seconds_since(start));
    if (update && !outcome.applied) optimizer_->set_steps(optimizer_->steps() - 1);
    return outcome;
  }

  /// Adds the gradients of all processes. Returns the sum of the losses; the first row outside is that of any.
  double reduce(double loss, Index& outside) {
    reducer_->sum(gradients_.values());
    packet_.assign(1 + static_cast<std::size_t>(processes()), 0.0);
    packet_[0] = loss;
    packet_[1 + static_cast<std::size_t>(reducer_->rank())] = static_cast<double>(outside + 1);
    reducer_->sum(std::span<double>(packet_));
    const auto found = std::find_if(packet_.begin() + 1, packet_.end(), [](double row) { return row > 0; });
    outside = found == packet_.end() ? -1 : static_cast<Index>(*found) - 1;
    return packet_[0];
  }
  int processes() const { return reducer_ ? reducer_->size() : 1; }

  static double tree_sum(std::vector<double>& values) {
    for (std::size_t step = 1; step < values.size(); step *= 2)
      for (std::size_t i = 0; i + step < values.size(); i += 2 * step) values[i] += values[i + step];
    return values[0];
  }

  /// Adds the gradients of shard number `shard` to those before. The sums that wait for a partner stand in `waiting_`,
  /// one for each binary digit of the number of shards done; in the end all is in `gradients_`. Each thread does its
  /// part of the values.
  void add_to_tree(Index shard, bool last, int rank, int threads) {
    const auto count = static_cast<std::size_t>(size());
    const std::size_t begin = count * static_cast<std::size_t>(rank) / static_cast<std::size_t>(threads);
    const std::size_t end = count * (static_cast<std::size_t>(rank) + 1) / static_cast<std::size_t>(threads);
    T* own = gradients_.values().data();
    std::size_t level = 0;
    for (Index digits = shard; digits > 0 && (last || digits % 2 == 1); digits /= 2, ++level)
      if (digits % 2 == 1) {
        const T* earlier = waiting_[level].data();
        for (std::size_t i = begin; i < end; ++i) own[i] = earlier[i] + own[i];
      }
    if (!last) std::copy(own + begin, own + end, waiting_[level].data() + begin);
  }

  /// The batch at other values of the parameters.
  template <class Evaluate>
  class Elsewhere final : public Trials<T> {
   public:
    Elsewhere(Gradients<T>& gradients, const Evaluate& evaluate) : gradients_(gradients), evaluate_(evaluate) {}
    double evaluate() override {
      const StepOutcome outcome = evaluate_();
      return outcome.applied ? outcome.loss : std::numeric_limits<double>::infinity();
    }
    Gradients<T>& gradients() override { return gradients_; }

   private:
    Gradients<T>& gradients_;
    const Evaluate& evaluate_;
  };

  /// New values of tensors, one after the other.
  struct Proposed {
    std::vector<Tensor<T>*> tensors;
    std::vector<double> values;
  };
  /// Puts what the shards of all processes proposed, in the mean, into `candidate_`: checked, so that it can be taken
  /// or the step refused.
  void check_proposals(std::exception_ptr& refused) {
    const auto& first = proposals_[0].values;
    std::vector<double>& values = candidate_.values;
    values.clear();
    for (std::size_t k = 0; k < first.size(); ++k)
      for (std::size_t i = 0; i < first[k].second.size(); ++i) {
        sums_.clear();
        for (const Proposals<T>& of_shard : proposals_) sums_.push_back(of_shard.values.at(k).second.at(i));
        values.push_back(tree_sum(sums_));
      }
    if (reducer_ && !values.empty()) reducer_->sum(std::span<double>(values));
    const double shards = static_cast<double>(static_cast<Index>(proposals_.size()) * processes());
    for (double& v : values) v /= shards;
    candidate_.tensors.clear();
    std::span<const double> rest = values;
    try {
      for (const auto& [tensor, value] : first) {
        candidate_.tensors.push_back(proposed_slot<T>(where_, slots_, tensor, rest.first(value.size())).tensor);
        rest = rest.subspan(value.size());
      }
    } catch (const Error&) {
      refused = std::current_exception();
    }
  }
  /// Of the last evaluation that was good.
  void commit_proposals() {
    const double* value = proposed_.values.data();
    for (Tensor<T>* tensor : proposed_.tensors)
      for (T& v : tensor->values()) v = static_cast<T>(*value++);
  }

  std::string where_;  // the call, for messages
  Execution& execution_;
  Pace pace_;
  std::vector<Slot<T>> slots_;
  std::vector<const Slot<T>*> regularized_, constrained_;
  std::vector<T> before_;  // the step, all parameters; empty without constraints
  Poly<Optimizer<T>> optimizer_;
  Index shards_;
  Reducer* reducer_;
  Gradients<T> gradients_;
  std::vector<Tensor<T>> waiting_;
  std::vector<Proposals<T>> proposals_;  // of each shard
  Proposed candidate_, proposed_;
  CoupledColumns<T> columns_;
  std::vector<double> partial_;
  std::vector<double> seeds_;
  std::vector<double> sums_;    // of each shard
  std::vector<double> packet_;  // what processes add up besides gradients
};

}  // namespace pushforward::detail
