#include <pushforward/nn/element_network.hpp>

#include <pushforward/error.hpp>

#include "nn/initialise.hpp"
#include "src/ops/linear_groups.hpp"

namespace pushforward {

template <Scalar T>
ElementNetwork<T>::ElementNetwork(const std::string& where, Index signals, std::vector<Index> hidden,
                                  std::uint64_t seed)
    : signals_(signals), hidden_(std::move(hidden)) {
  resize(where);
  Tensor<T> none({hidden_[0]});
  const auto start = [seed](Tensor<T>& weight, Tensor<T>& bias, const std::string& stream) {
    initialise(weight, bias, weight.extent(1), weight.extent(0), Initialisation::paper, seed, stream);
  };
  start(signals_weight_, bias_, "signals");
  start(argument_, none, "argument");
  for (std::size_t i = 0; i < weights_.size(); ++i) start(weights_[i], biases_[i], "layer" + std::to_string(i + 1));
  for (T& b : biases_.back().values()) b = T(0);
}

template <Scalar T>
void ElementNetwork<T>::resize(const std::string& where) {
  if (signals_ < 1) throw ShapeError(where + ": expected at least one signal, got " + std::to_string(signals_));
  if (hidden_.empty()) throw ShapeError(where + ": expected at least one hidden layer");
  for (const Index units : hidden_)
    if (units < 2 || units > 4096)
      throw ShapeError(where + ": hidden layers need 2 to 4096 units, got " + std::to_string(units));
  argument_ = Tensor<T>({hidden_[0], 1});
  signals_weight_ = Tensor<T>({hidden_[0], signals_});
  bias_ = Tensor<T>({hidden_[0]});
  weights_.clear();
  biases_.clear();
  for (std::size_t i = 0; i < hidden_.size(); ++i) {
    const Index outputs = i + 1 < hidden_.size() ? hidden_[i + 1] : 1;
    weights_.push_back(Tensor<T>({outputs, hidden_[i]}));
    biases_.push_back(Tensor<T>({outputs}));
  }
}

template <Scalar T>
Var<T> ElementNetwork<T>::of_signals(Pass<T>& pass, std::span<const Var<T>> signals) const {
  return detail::linear_each(concatenate(signals), signals[0].cols(), pass.parameter(signals_weight_),
                             pass.parameter(bias_));
}

template <Scalar T>
Var<T> ElementNetwork<T>::of_argument(Var<T> argument, Var<T> weight) const {
  return detail::linear_each(argument, argument.cols(), weight, Var<T>());
}

template <Scalar T>
Var<T> ElementNetwork<T>::of_one(Pass<T>& pass, Index elements) const {
  const Index count = hidden_[0] * elements;
  auto* unit = pass.tape().template scratch<std::int64_t>(count);
  for (Index c = 0; c < count; ++c) unit[c] = c / elements;
  return gather_columns(pass.parameter(argument_),
                        std::span<const std::int64_t>(unit, static_cast<std::size_t>(count)));
}

template <Scalar T>
Var<T> ElementNetwork<T>::layer(Pass<T>& pass, Index layer, Var<T> h, Var<T> weight, bool with_bias) const {
  const Var<T> bias = with_bias ? pass.parameter(biases_[static_cast<std::size_t>(layer - 1)]) : Var<T>();
  return detail::linear_each(h, h.cols() / weight.cols(), weight, bias);
}

template <Scalar T>
void ElementNetwork<T>::constants(const std::string& where, Fields<T>& f) {
  f.constant("signals", signals_, 1, Index{1} << 16);
  std::vector<std::int64_t> hidden(hidden_.begin(), hidden_.end());
  f.constant("hidden", hidden);
  if (!f.restoring()) return;
  hidden_.assign(hidden.begin(), hidden.end());
  if (!hidden_.empty() && hidden_[0] >= 2) f.expect("argument", {hidden_[0], 1});
  resize(where);
}

template <Scalar T>
void ElementNetwork<T>::tensors(Fields<T>& f) {
  f.parameter("argument", argument_, {hidden_[0], 1});
  f.parameter("signals", signals_weight_, {hidden_[0], signals_});
  f.parameter("bias", bias_, {hidden_[0]}, {.decay = false});
  for (std::size_t i = 0; i < weights_.size(); ++i)
    f.block("layer" + std::to_string(i + 1), [&] {
      const Index outputs = weights_[i].extent(0);
      f.parameter("weight", weights_[i], {outputs, hidden_[i]});
      f.parameter("bias", biases_[i], {outputs}, {.decay = false});
    });
}

template class ElementNetwork<float>;
template class ElementNetwork<double>;

}  // namespace pushforward
