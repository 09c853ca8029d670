#include <pushforward/nn/residual_network.hpp>

#include "nn/initialise.hpp"

namespace pushforward {

template <Scalar T>
ResidualNetwork<T>::ResidualNetwork(Index inputs, Index outputs, ResidualNetworkOptions options)
    : Network<T>("ResidualNetwork", inputs, outputs, options.context_dim), options_(options) {
  check_options();
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
void ResidualNetwork<T>::do_fields(Fields<T>& f) {
  f.type("residual_network");
  this->size_fields(f);
  f.constant("hidden", options_.hidden, 1, 1 << 20);
  f.constant("blocks", options_.blocks, 0, 10000);
  f.constant("activation", options_.activation, activation_choices());
  f.constant("dropout", options_.dropout);
  f.optional("batch_norm", options_.batch_norm, false);
  const Index hidden = options_.hidden, context_dim = this->context_dim();
  if (f.restoring()) {
    options_.context_dim = context_dim;
    check_options();
  }
  f.block("initial", [&] { initial_.fields(f, this->inputs() + context_dim, hidden); });
  for (std::size_t i = 0; i < static_cast<std::size_t>(options_.blocks); ++i) {
    if (f.restoring()) blocks_.emplace_back();  // one after another, as the file has them
    f.block("block" + std::to_string(i), [&] {
      Block& block = blocks_[i];
      f.block("linear0", [&] { block.linear0.fields(f, hidden, hidden); });
      f.block("linear1", [&] { block.linear1.fields(f, hidden, hidden); });
      if (context_dim > 0) f.block("context", [&] { block.context.fields(f, context_dim, hidden); });
      if (f.restoring() && options_.batch_norm) block.norms.assign(2, hidden_batch_norm<T>(hidden));
      for (std::size_t k = 0; k < block.norms.size(); ++k) f.tensors_of("norm" + std::to_string(k), block.norms[k]);
    });
  }
  f.block("final", [&] { final_.fields(f, hidden, this->outputs()); });
}

template <Scalar T>
void ResidualNetwork<T>::check_options() const {
  check_dropout("ResidualNetwork", options_.dropout);
  if (options_.hidden < 1 || options_.hidden > (1 << 20) || options_.blocks < 0)
    throw ShapeError("ResidualNetwork: expected 1 to 2^20 hidden units and at least 0 blocks, got " +
                     std::to_string(options_.hidden) + " and " + std::to_string(options_.blocks));
}

template class ResidualNetwork<float>;
template class ResidualNetwork<double>;

}  // namespace pushforward
