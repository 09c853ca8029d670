#include <pushforward/nn/residual_network.hpp>

#include "nn/initialise.hpp"

namespace pushforward {

namespace {

ResidualNetworkOptions options_from(const Description& d) {
  ResidualNetworkOptions options;
  options.hidden = d.integer("hidden", 1, 1 << 20);
  options.blocks = d.integer("blocks", 0, 10000);
  options.activation = activation_from(d.text("activation"));
  options.dropout = d.number("dropout");
  options.context_dim = d.integer("context_dim", 0, 1 << 20);
  options.batch_norm = d.has("batch_norm") && d.flag("batch_norm");
  return options;
}

}  // namespace

template <Scalar T>
ResidualNetwork<T>::ResidualNetwork(Index inputs, Index outputs, ResidualNetworkOptions options)
    : Network<T>("ResidualNetwork", inputs, outputs, options.context_dim), options_(options) {
  check_dropout("ResidualNetwork", options.dropout);
  if (options.hidden < 1 || options.hidden > (1 << 20) || options.blocks < 0)
    throw ShapeError("ResidualNetwork: expected 1 to 2^20 hidden units and at least 0 blocks, got " +
                     std::to_string(options.hidden) + " and " + std::to_string(options.blocks));
  const auto layer = [&](Index in, Index out, const std::string& name) {
    return Dense<T>(in, out, options.initialisation, options.seed, name);
  };
  initial_ = layer(inputs + options.context_dim, options.hidden, "initial");
  for (Index i = 0; i < options.blocks; ++i) {
    const std::string name = "block" + std::to_string(i);
    Block block{layer(options.hidden, options.hidden, name + ".linear0"),
                layer(options.hidden, options.hidden, name + ".linear1"), Dense<T>(), {}};
    for (int k = 0; options.batch_norm && k < 2; ++k) block.norms.push_back(hidden_batch_norm<T>(options.hidden));
    // As published: uniform in +-1e-3 where `paper` gives +-1/sqrt(hidden).
    block.linear1.shrink(static_cast<T>(1e-3 * std::sqrt(static_cast<double>(options.hidden))));
    if (options.context_dim > 0) block.context = layer(options.context_dim, options.hidden, name + ".context");
    blocks_.push_back(std::move(block));
  }
  final_ = layer(options.hidden, outputs, "final");
  if (options.final_scale != 1) final_.shrink(static_cast<T>(options.final_scale));
}

template <Scalar T>
ResidualNetwork<T>::ResidualNetwork(const Description& d)
    : ResidualNetwork(d.integer("inputs", 0, 1 << 20), d.integer("outputs", 1, 1 << 24), options_from(d)) {}

template <Scalar T>
template <class V>
V ResidualNetwork<T>::compute(Pass<T>& pass, V x) const {
  V h = initial_(pass, this->context_dim() == 0 ? x : beside(x, pass.context()));
  for (const Block& block : blocks_) {
    const auto norm = [&](V in, std::size_t k) {
      return options_.batch_norm ? normalized(block.norms[k], pass, in) : in;
    };
    V t = block.linear0(pass, activation(options_.activation, norm(h, 0)));
    t = activation_in_place(options_.activation, norm(t, 1));
    t = block.linear1(pass, pass.dropout(t, options_.dropout));
    if (this->context_dim() > 0) t = t * sigmoid(block.context(pass, pass.context()));
    h = h + t;
  }
  return final_(pass, h);
}

template <Scalar T>
void ResidualNetwork<T>::Block::visit(Visitor<T>& v) const {
  v.child("linear0", linear0);
  v.child("linear1", linear1);
  if (context.outputs() > 0) v.child("context", context);
  for (std::size_t k = 0; k < norms.size(); ++k) v.child("norm" + std::to_string(k), norms[k]);
}

template <Scalar T>
void ResidualNetwork<T>::do_visit(Visitor<T>& v) const {
  v.child("initial", initial_);
  for (std::size_t i = 0; i < blocks_.size(); ++i) v.child("block" + std::to_string(i), blocks_[i]);
  v.child("final", final_);
}

template <Scalar T>
Description ResidualNetwork<T>::do_describe() const {
  Description d{.type = "residual_network",
          .constants = {{"inputs", this->inputs()},
                        {"outputs", this->outputs()},
                        {"hidden", options_.hidden},
                        {"blocks", options_.blocks},
                        {"activation", activation_name(options_.activation)},
                        {"dropout", options_.dropout},
                        {"context_dim", this->context_dim()}},
          .children = {}};
  if (options_.batch_norm) d.constants["batch_norm"] = true;
  return d;
}

template class ResidualNetwork<float>;
template class ResidualNetwork<double>;

}  // namespace pushforward
