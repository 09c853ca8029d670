#pragma once

#include <pushforward/distribution.hpp>

namespace pushforward {

/// An immutable snapshot of a model for scoring and sampling: small batches, many calls, any number of threads.
///
/// Each thread brings a Workspace of its own; once it is warm, a call does not touch the heap.
template <Scalar T>
class Evaluator {
 public:
  using Workspace = pushforward::Workspace;

  /// A deep copy: later changes of the model are not seen.
  explicit Evaluator(Poly<Distribution<T>> model) : model_(std::move(model)) {}

  Index dim() const { return model_->dim(); }
  Index context_dim() const { return model_->context_dim(); }
  const Distribution<T>& model() const { return *model_; }

  /// As Distribution::log_prob_into.
  void log_prob_into(MatrixView<const T> y, VectorView<double> out, Workspace& workspace,
                     MatrixView<const T> context = {}) const {
    model_->log_prob_into(y, out, context, workspace);
  }
  /// As Distribution::sample_into.
  void sample_into(MatrixView<T> out, Engine& engine, Workspace& workspace,
                   MatrixView<const T> context_row = {}) const {
    model_->sample_into(out, engine, context_row, workspace);
  }

 private:
  Poly<Distribution<T>> model_;
};

}  // namespace pushforward
