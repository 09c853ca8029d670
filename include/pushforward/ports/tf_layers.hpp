#pragma once

#include <pushforward/batch_norm/layer.hpp>
#include <pushforward/ports/input.hpp>
#include <string>
#include <utility>
#include <vector>

/// tf.layers.batch_normalization: batch normalisation as a function whose variables live in a store that the caller
/// passes, with the collections and the pending updates of TensorFlow 1.
namespace pushforward::batch_norm::tf_layers {

/// May a name that exists be used again?
enum class Reuse {
  no,      ///< make the variables; an error if they exist
  yes,     ///< take those that exist; an error if they do not
  either,  ///< tf.AUTO_REUSE
};

template <Scalar T>
class VariableStore;

/// Normalises `inputs`: with their own statistics if `training` (and, if trainable, an update waits in the store then),
/// else with the moving ones. `options.name` names the variables; the default name is made unique
/// ("batch_normalization_1") unless variables are reused. Returns the output (`.output`), and what
/// `store.layer(name).backward` needs.
/// @throws DomainError  as the layer, and for a name that exists, or does not, against `reuse`.
template <Scalar T>
typename BatchNormLayer<T>::Step batch_normalization(const Input<T>& inputs, VariableStore<T>& store,
                                                     BatchNormLayerOptions options = {}, bool training = false,
                                                     Reuse reuse = Reuse::no);

/// The variables of all calls, by name, and the updates that wait.
///
/// It is a Component, so it can be listed and its tensors visited as those of a model.
template <Scalar T>
class VariableStore final : public Component<T> {
 public:
  VariableStore() : Component<T>("VariableStore") {}

  /// "bn/gamma", "bn/beta", "bn/moving_mean", ..., in the order of their making.
  std::vector<std::string> global_variables() const;
  /// Those that training changes: gamma and beta of calls with trainable = true.
  std::vector<std::string> trainable_variables() const;
  bool has(std::string_view name) const;
  /// @throws DomainError  naming the layers that there are.
  const BatchNormLayer<T>& layer(std::string_view name) const;
  BatchNormLayer<T>& layer(std::string_view name);

  /// Updates of moving averages that wait (UPDATE_OPS): one for each training call.
  std::size_t pending_updates() const { return pending_.size(); }
  /// Applies them in the order of the calls. Without this call the averages never change, and inference goes wrong
  /// quietly: the classic mistake with this interface. `fit` commits with every step.
  /// @throws DomainError  as BatchNormLayer::commit; then no average has changed and all updates still wait.
  void run_updates();
  void discard_updates() { pending_.clear(); }

  /// Sum of the penalties of all layers (REGULARIZATION_LOSSES).
  double regularization_loss() const;

 private:
  friend typename BatchNormLayer<T>::Step batch_normalization<T>(const Input<T>&, VariableStore<T>&,
                                                                 BatchNormLayerOptions, bool, Reuse);
  void do_fields(Fields<T>& f) override;
  const BatchNormLayer<T>* find(std::string_view name) const;

  std::vector<std::pair<std::string, BatchNormLayer<T>>> layers_;
  std::vector<std::pair<std::string, typename BatchNormLayer<T>::Step>> pending_;
};

extern template class VariableStore<float>;
extern template class VariableStore<double>;

}  // namespace pushforward::batch_norm::tf_layers
