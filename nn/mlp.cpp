#include <pushforward/nn/mlp.hpp>

#include "nn/initialise.hpp"

namespace pushforward {

void check_dropout(const char* where, double rate) {
  if (!(rate >= 0 && rate < 1))
    throw DomainError(std::string(where) + ": dropout must lie in [0, 1), got " + std::to_string(rate));
}

namespace {

MlpOptions options_from(const Description& d) {
  MlpOptions options;
  options.hidden.clear();
  for (const std::int64_t units : d.integers("hidden")) options.hidden.push_back(static_cast<Index>(units));
  options.activation = activation_from(d.text("activation"));
  options.dropout = d.number("dropout");
  options.context_dim = d.integer("context_dim", 0, 1 << 20);
  options.batch_norm = d.has("batch_norm") && d.flag("batch_norm");
  return options;
}

}  // namespace

template <Scalar T>
Mlp<T>::Mlp(Index inputs, Index outputs, MlpOptions options)
    : Network<T>("Mlp", inputs, outputs, options.context_dim), options_(std::move(options)) {
  check_dropout("Mlp", options_.dropout);
  Index width = inputs + options_.context_dim;
  for (const Index units : options_.hidden) {
    if (units < 1 || units > (1 << 20))
      throw ShapeError("Mlp: hidden layers need 1 to 2^20 units, got " + std::to_string(units));
    layers_.emplace_back(width, units, options_.initialisation, options_.seed, "layer" + std::to_string(layers_.size()));
    if (options_.batch_norm) norms_.push_back(hidden_batch_norm<T>(units));
    width = units;
  }
  layers_.emplace_back(width, outputs, options_.initialisation, options_.seed,
                       "layer" + std::to_string(layers_.size()));
  if (options_.final_scale != 1) layers_.back().shrink(static_cast<T>(options_.final_scale));
}

template <Scalar T>
Mlp<T>::Mlp(const Description& d)
    : Mlp(d.integer("inputs", 0, 1 << 20), d.integer("outputs", 1, 1 << 24), options_from(d)) {}

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
void Mlp<T>::do_visit(Visitor<T>& v) const {
  for (std::size_t i = 0; i < layers_.size(); ++i) v.child("layer" + std::to_string(i), layers_[i]);
  for (std::size_t i = 0; i < norms_.size(); ++i) v.child("norm" + std::to_string(i), norms_[i]);
}

template <Scalar T>
Description Mlp<T>::do_describe() const {
  Description d{.type = "mlp",
          .constants = {{"inputs", this->inputs()},
                        {"outputs", this->outputs()},
                        {"hidden", std::vector<std::int64_t>(options_.hidden.begin(), options_.hidden.end())},
                        {"activation", activation_name(options_.activation)},
                        {"dropout", options_.dropout},
                        {"context_dim", this->context_dim()}},
          .children = {}};
  if (options_.batch_norm) d.constants["batch_norm"] = true;
  return d;
}

template class Mlp<float>;
template class Mlp<double>;

}  // namespace pushforward
