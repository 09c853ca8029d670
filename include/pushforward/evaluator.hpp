#pragma once

#include <pushforward/distribution.hpp>
#include <pushforward/packed_weights.hpp>

namespace pushforward {

/// An immutable snapshot of a model for scoring and sampling: small batches, many calls, any number of threads.
///
/// Each thread brings a Workspace of its own; once it is warm, a call does not touch the heap.
template <Scalar T>
class Evaluator {
 public:
  using Workspace = pushforward::Workspace;

  /// A deep copy: later changes of the model are not seen.
  explicit Evaluator(Poly<Distribution<T>> model) : model_(std::move(model)), packed_(dense_weights(*model_)) {}
  Evaluator(const Evaluator& other) : Evaluator(other.model_) {}
  Evaluator(Evaluator&&) = default;
  Evaluator& operator=(Evaluator other) {
    model_ = std::move(other.model_);
    packed_ = std::move(other.packed_);
    return *this;
  }

  Index dim() const { return model_->dim(); }
  Index context_dim() const { return model_->context_dim(); }
  const Distribution<T>& model() const { return *model_; }

  /// As Distribution::log_prob_into.
  void log_prob_into(MatrixView<const T> y, VectorView<double> out, Workspace& workspace,
                     MatrixView<const T> context = {}) const {
    model_->log_prob_into(y, out, context, Run(workspace, packed_));
  }
  /// As Distribution::sample_into.
  void sample_into(MatrixView<T> out, Engine& engine, Workspace& workspace,
                   MatrixView<const T> context_row = {}) const {
    model_->sample_into(out, engine, context_row, Run(workspace, packed_));
  }

 private:
  static std::vector<const Tensor<T>*> dense_weights(const Component<T>& model) {
    std::vector<const Tensor<T>*> weights;
    for (const ConstSlot<T>& slot : list_state<T>(model))
      if (slot.attributes.dense) weights.push_back(slot.tensor);
    return weights;
  }

  Poly<Distribution<T>> model_;
  PackedWeights<T> packed_;  // of model_'s tensors, which do not move with it
};

}  // namespace pushforward
