#include <pushforward/nn/mlp.hpp>

#include "nn/initialise.hpp"
#include "src/core/number_text.hpp"

namespace pushforward {

void check_dropout(const char* where, double rate) {
  if (!(rate >= 0 && rate < 1))
    throw DomainError(std::string(where) + ": dropout must lie in [0, 1), got " + detail::number_text(rate));
}

template <Scalar T>
Mlp<T>::Mlp(Index inputs, Index outputs, MlpOptions options)
    : Network<T>("Mlp", inputs, outputs, options.context_dim), options_(std::move(options)) {
  check_options();
  Index width = inputs + options_.context_dim;
  for (const Index units : options_.hidden) {
    layers_.emplace_back(width, units, options_.initialisation, options_.seed, "layer" + std::to_string(layers_.size()));
    if (options_.batch_norm) norms_.push_back(hidden_batch_norm<T>(units));
    width = units;
  }
  layers_.emplace_back(width, outputs, options_.initialisation, options_.seed,
                       "layer" + std::to_string(layers_.size()));
  if (options_.final_scale != 1) layers_.back().shrink(static_cast<T>(options_.final_scale));
}

template <Scalar T>
template <class V>
V Mlp<T>::compute(Pass<T>& pass, V x) const {
  V h = this->context_dim() == 0 ? x : beside(x, pass.context());
  for (std::size_t i = 0; i + 1 < layers_.size(); ++i) {
    h = layers_[i](pass, h);
    if (options_.batch_norm) h = normalized(norms_[i], pass, h);
    h = pass.dropout(activation_in_place(options_.activation, h), options_.dropout);
  }
  return layers_.back()(pass, h);
}

template <Scalar T>
void Mlp<T>::do_fields(Fields<T>& f) {
  f.type("mlp");
  this->size_fields(f);
  std::vector<std::int64_t> hidden(options_.hidden.begin(), options_.hidden.end());
  f.constant("hidden", hidden);
  f.constant("activation", options_.activation, activation_choices());
  f.constant("dropout", options_.dropout);
  f.optional("batch_norm", options_.batch_norm, false);
  if (f.restoring()) {
    options_.hidden.assign(hidden.begin(), hidden.end());
    options_.context_dim = this->context_dim();
    check_options();
  }
  Index width = this->inputs() + this->context_dim();
  for (std::size_t i = 0; i <= options_.hidden.size(); ++i) {
    if (f.restoring()) layers_.emplace_back();  // one after another, as the file has them
    const Index units = i < options_.hidden.size() ? options_.hidden[i] : this->outputs();
    f.block("layer" + std::to_string(i), [&] { layers_[i].fields(f, width, units); });
    width = units;
  }
  if (f.restoring() && options_.batch_norm)
    for (const Index units : options_.hidden) norms_.push_back(hidden_batch_norm<T>(units));
  for (std::size_t i = 0; i < norms_.size(); ++i) f.tensors_of("norm" + std::to_string(i), norms_[i]);
}

template <Scalar T>
void Mlp<T>::check_options() const {
  check_dropout("Mlp", options_.dropout);
  for (const Index units : options_.hidden)
    if (units < 1 || units > (1 << 20))
      throw ShapeError("Mlp: hidden layers need 1 to 2^20 units, got " + std::to_string(units));
}

template class Mlp<float>;
template class Mlp<double>;

}  // namespace pushforward
