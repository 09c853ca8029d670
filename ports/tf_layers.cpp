#include <pushforward/error.hpp>
#include <pushforward/ports/tf_layers.hpp>

namespace pushforward::batch_norm::tf_layers {

template <Scalar T>
const BatchNormLayer<T>* VariableStore<T>::find(std::string_view name) const {
  for (const auto& [own, layer] : layers_)
    if (own == name) return &layer;
  return nullptr;
}

template <Scalar T>
bool VariableStore<T>::has(std::string_view name) const {
  return find(name) != nullptr;
}

template <Scalar T>
const BatchNormLayer<T>& VariableStore<T>::layer(std::string_view name) const {
  if (const BatchNormLayer<T>* found = find(name)) return *found;
  std::string known;
  for (const auto& [own, layer] : layers_) known.append(known.empty() ? "" : ", ").append(own);
  throw DomainError("VariableStore: no layer '" + std::string(name) + "', there are: " + known);
}
template <Scalar T>
BatchNormLayer<T>& VariableStore<T>::layer(std::string_view name) {
  return const_cast<BatchNormLayer<T>&>(std::as_const(*this).layer(name));
}

namespace {

template <Scalar T>
std::vector<std::string> names(const Component<T>& store, bool trainable_only) {
  std::vector<std::string> result;
  for (const ConstSlot<T>& slot : list_state(store)) {
    if (trainable_only && (slot.kind != StateKind::parameter || !slot.attributes.trainable)) continue;
    std::string name = slot.path;
    name[name.rfind('.')] = '/';
    result.push_back(std::move(name));
  }
  return result;
}

}  // namespace

template <Scalar T>
std::vector<std::string> VariableStore<T>::global_variables() const {
  return names(*this, false);
}
template <Scalar T>
std::vector<std::string> VariableStore<T>::trainable_variables() const {
  return names(*this, true);
}

template <Scalar T>
void VariableStore<T>::run_updates() {
  auto updated = layers_;
  for (const auto& [name, step] : pending_)
    for (auto& [own, layer] : updated)
      if (own == name) layer.commit(step);
  for (std::size_t i = 0; i < layers_.size(); ++i) layers_[i].second = std::move(updated[i].second);
  pending_.clear();
}

template <Scalar T>
double VariableStore<T>::regularization_loss() const {
  double loss = 0;
  for (const auto& [name, layer] : layers_) loss += layer.regularization_loss();
  return loss;
}

template <Scalar T>
void VariableStore<T>::do_fields(Fields<T>& f) {
  f.type("batch_norm_variable_store");
  for (auto& [name, layer] : layers_) f.part(name, layer);
}

template <Scalar T>
typename BatchNormLayer<T>::Step batch_normalization(const Input<T>& inputs, VariableStore<T>& store,
                                                     BatchNormLayerOptions options, bool training, Reuse reuse) {
  const BatchNormLayerOptions usual;
  std::string name = options.name;
  if (reuse == Reuse::no && name == usual.name)
    for (int i = 1; store.has(name); ++i) name = usual.name + "_" + std::to_string(i);
  const bool exists = store.has(name);
  if (exists && reuse == Reuse::no)
    throw DomainError("Variable " + name +
                      "/gamma already exists, disallowed. Did you mean to set reuse=True or reuse=tf.AUTO_REUSE in "
                      "VarScope? (Reuse::yes, Reuse::either)");
  if (!exists && reuse == Reuse::yes)
    throw DomainError("Variable " + name +
                      "/gamma does not exist, or was not created with tf.get_variable(). Did you mean to set "
                      "reuse=tf.AUTO_REUSE in VarScope? (Reuse::either)");
  if (!exists) {
    BatchNormLayer<T> layer(std::move(options));
    std::vector<Index> shape = inputs.shape();
    // Another call may have another number of rows.
    if (!shape.empty() && resolve_axes(layer.options().axis, inputs.rank()).front() != 0) shape[0] = -1;
    layer.build(std::move(shape));
    store.layers_.emplace_back(name, std::move(layer));
  }
  const BatchNormLayer<T>& layer = store.layer(name);
  if (!training) {
    typename BatchNormLayer<T>::Step step;
    step.inference = true;
    step.output = layer(inputs);
    return step;
  }
  typename BatchNormLayer<T>::Step step = layer.train(inputs);
  if (!step.inference && layer.options().trainable) {
    typename BatchNormLayer<T>::Step waiting;  // without what the averages do not need
    waiting.mean = step.mean;
    waiting.variance = step.variance;
    waiting.count = step.count;
    store.pending_.emplace_back(name, std::move(waiting));
  }
  return step;
}

template class VariableStore<float>;
template class VariableStore<double>;
template typename BatchNormLayer<float>::Step batch_normalization<float>(const Input<float>&, VariableStore<float>&,
                                                                         BatchNormLayerOptions, bool, Reuse);
template typename BatchNormLayer<double>::Step batch_normalization<double>(const Input<double>&, VariableStore<double>&,
                                                                           BatchNormLayerOptions, bool, Reuse);

}  // namespace pushforward::batch_norm::tf_layers
