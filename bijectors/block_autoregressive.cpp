#include <pushforward/bijectors/block_autoregressive.hpp>

#include <cmath>
#include <limits>
#include <span>
#include <string>

#include <pushforward/bijectors/numerical_inverse.hpp>

#include "bijectors/conditioner.hpp"
#include "nn/initialise.hpp"
#include "src/core/checks.hpp"
#include "src/core/column_order.hpp"
#include "src/core/number_text.hpp"
#include "src/ops/common.hpp"
#include "src/ops/linear_groups.hpp"

namespace pushforward {

using namespace detail;

namespace {

constexpr double bound_of_gate = 5;

template <Scalar T>
Dual<T> leaky_tanh(Dual<T> h, double slope) {
  const T s = static_cast<T>(slope);
  return {tanh(h.value) + s * h.value, h.tangent * (activation_derivative(Activation::tanh, h.value) + s)};
}

}  // namespace

template <Scalar T>
BlockAutoregressive<T>::BlockAutoregressive(Index dim, BlockAutoregressiveOptions options)
    : Bijector<T>("BlockAutoregressive", dim, options.context_dim), options_(options) {
  arrange();
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    Layer& layer = layers_[l];
    const std::string name = "layer" + std::to_string(l);
    Tensor<T> none({layer.diagonal.extent(0)});
    // As the layer of a column's network with all its inputs would start.
    initialise(layer.lower, layer.bias, dim * layer.inputs, dim * layer.outputs, Initialisation::paper, options.seed,
               name);
    initialise(layer.diagonal, none, 1, layer.diagonal.extent(0), Initialisation::paper, options.seed,
               name + ".diagonal");
    const bool small = l + 1 == layers_.size() && options.line;
    const double scale = (small ? options.final_scale : 1) / static_cast<double>(layer.inputs);
    for (T& d : layer.diagonal.values()) d = static_cast<T>(std::log(scale * (1 + 0.5 * static_cast<double>(d))));
    if (!small) continue;
    for (T& w : layer.lower.values()) w *= static_cast<T>(options.final_scale);
    for (T& b : layer.bias.values()) b = T(0);
  }
  if (options.context_dim > 0)
    context_ = Dense<T>(options.context_dim, dim * options.block, Initialisation::paper, options.seed, "context");
  if (options.line) gate_ = Tensor<T>({dim});
}

template <Scalar T>
void BlockAutoregressive<T>::arrange() {
  const BlockAutoregressiveOptions& o = options_;
  const auto refuse = [](const std::string& expected, Index got) {
    throw ShapeError("BlockAutoregressive: expected " + expected + ", got " + std::to_string(got));
  };
  if (o.layers < 1 || o.layers > 64) refuse("1 to 64 hidden layers", o.layers);
  if (o.block < 1 || o.block > 1024) refuse("blocks of 1 to 1024 units", o.block);
  if (!(o.slope > 0 && o.slope <= 1))
    throw DomainError("BlockAutoregressive: slope must lie in (0, 1], got " + number_text(o.slope));
  check_bound("BlockAutoregressive", "input_bound", o.input_bound);
  if (!o.line && std::isfinite(o.input_bound))
    throw DomainError("BlockAutoregressive: without a line the map ends where the network's input does; leave "
                      "input_bound infinite");
  const Index dim = this->dim();
  layers_.clear();
  for (Index l = 0; l <= o.layers; ++l) {
    Layer layer{l == 0 ? 1 : o.block, l == o.layers ? 1 : o.block, {}, {}, {}, {}, {}, {}, {}};
    const Index rows = dim * layer.outputs;
    layer.diagonal = Tensor<T>({rows, layer.inputs});
    layer.lower = Tensor<T>({rows, dim * layer.inputs});
    layer.bias = Tensor<T>({rows});
    for (Index r = 0; r < rows; ++r) {
      layer.prefix.push_back(r / layer.outputs * layer.inputs);
      layer.offset.push_back(r * dim * layer.inputs);
      layer.diagonal_prefix.push_back(layer.inputs);
      layer.diagonal_offset.push_back(r * layer.inputs);
    }
    layers_.push_back(std::move(layer));
  }
}

template <Scalar T>
Dual<T> BlockAutoregressive<T>::seen(Pass<T>& pass, Var<T> y) const {
  if (std::isinf(options_.input_bound)) return {y, filled(pass.tape(), y.cols(), T(1))};
  const T bound = static_cast<T>(options_.input_bound);
  return {soft_bound(y, options_.input_bound), activation_derivative(Activation::tanh, y / bound)};
}

template <Scalar T>
Var<T> BlockAutoregressive<T>::of_context(Pass<T>& pass) const {
  return context_(pass, bounded(pass, pass.context(), options_.input_bound, Seen::context));
}

template <Scalar T>
auto BlockAutoregressive<T>::inverse_elements(Pass<T>& pass, Var<T> y) const -> Elements {
  const Index dim = this->dim();
  pass.show_bounded(y, options_.input_bound, false);
  Dual<T> h = seen(pass, y);
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const Layer& layer = layers_[l];
    if (l > 0) h = leaky_tanh(h, options_.slope);
    const Var<T> weight = exp(pass.parameter(layer.diagonal));
    const Var<T> before = linear(h.value, pass.parameter(layer.lower), pass.parameter(layer.bias),
                                 LinearLayout{layer.prefix, layer.offset});
    h = {before + linear_blocks(h.value, dim, weight), linear_blocks(h.tangent, dim, weight)};
    if (l == 0 && this->context_dim() > 0) h.value = h.value + of_context(pass);
  }
  if (!options_.line) return {h.value, log(h.tangent)};
  const Var<T> gate = exp(soft_bound(pass.parameter(gate_), bound_of_gate));
  return {h.value + y * gate, log(h.tangent + gate)};
}

/// x_i as a function of y_i, when what the columns before it give each layer is known.
template <Scalar T>
class BlockAutoregressive<T>::Step final : public Transformer<T> {
 public:
  Step(const BlockAutoregressive& map, Index column, std::span<const Var<T>> weights, std::span<const Var<T>> before,
       Var<T> gate)
      : Transformer<T>("BlockAutoregressive", 0),
        map_(map),
        column_(column),
        weights_(weights),
        before_(before),
        gate_(gate) {}

  /// Layer l of this column's own units.
  Var<T> layer(std::size_t l, Var<T> h, bool with_others) const {
    const Layer& layer = map_.layers_[l];
    const auto from = static_cast<std::size_t>(column_ * layer.outputs), count = static_cast<std::size_t>(layer.outputs);
    const LinearLayout own{std::span(layer.diagonal_prefix).subspan(from, count),
                           std::span(layer.diagonal_offset).subspan(from, count)};
    const Var<T> of_own = linear(h, weights_[l], Var<T>(), own);
    return with_others ? of_own + before_[l] : of_own;
  }

 private:
  using Params = std::span<const Var<T>>;
  Elements do_forward(Pass<T>&, Var<T>, Params) const override {
    throw NotImplemented("BlockAutoregressive: a column's step is solved for");
  }
  Elements do_inverse(Pass<T>& pass, Var<T> y, Params) const override {
    Dual<T> h = map_.seen(pass, y);
    for (std::size_t l = 0; l < weights_.size(); ++l) {
      if (l > 0) h = leaky_tanh(h, map_.options_.slope);
      h = {layer(l, h.value, true), layer(l, h.tangent, false)};
    }
    if (!gate_) return {h.value, log(h.tangent)};
    return {h.value + y * gate_, log(h.tangent + gate_)};
  }
  double do_log_scale_bound() const override { return std::numeric_limits<double>::infinity(); }
  void do_fields(Fields<T>& f) override { f.type("block_autoregressive_step"); }

  const BlockAutoregressive& map_;
  Index column_;
  std::span<const Var<T>> weights_, before_;
  Var<T> gate_;
};

template <Scalar T>
auto BlockAutoregressive<T>::forward_elements(Pass<T>& pass, Var<T> x) const -> Elements {
  Tape<T>& tape = pass.tape();
  const Index dim = this->dim();
  const std::size_t count = layers_.size();
  const auto scratch = [&] { return tape.template scratch<Var<T>>(static_cast<Index>(count)); };
  // Exponentials of the diagonal blocks, and the inputs of each layer as far as they are known.
  Var<T>*weights = scratch(), *known = scratch(), *before = scratch();
  for (std::size_t l = 0; l < count; ++l) {
    new (&weights[l]) Var<T>(exp(pass.parameter(layers_[l].diagonal)));
    new (&known[l]) Var<T>(tape.matrix(dim * layers_[l].inputs, pass.recording()));
  }
  const Var<T> context = this->context_dim() > 0 ? of_context(pass) : Var<T>();
  const Var<T> gates = options_.line ? exp(soft_bound(pass.parameter(gate_), bound_of_gate)) : Var<T>();
  const Var<T> y = tape.matrix(dim, pass.recording()), log_derivatives = tape.matrix(dim, pass.recording());
  for (Index i = 0; i < dim; ++i) {
    for (std::size_t l = 0; l < count; ++l) {
      const Layer& layer = layers_[l];
      const Var<T> sum = tape.matrix(layer.outputs, pass.recording());
      linear_into(sum, columns(known[l], 0, std::max<Index>(i, 1) * layer.inputs), pass.parameter(layer.lower),
                  pass.parameter(layer.bias), LinearLayout{layer.prefix, layer.offset}, i * layer.outputs);
      new (&before[l])
          Var<T>(l == 0 && context ? sum + columns(context, i * layer.outputs, layer.outputs) : sum);
    }
    const Step step(*this, i, {weights, count}, {before, count}, gates ? shared_columns(gates, i, 1) : Var<T>());
    const Elements solution = NumericalInverse<T>(step).forward(pass, columns(x, i, 1), {});
    assign(columns(y, i, 1), solution.value);
    assign(columns(log_derivatives, i, 1), solution.log_derivative);
    Var<T> h = soft_bound(solution.value, options_.input_bound);
    assign(columns(known[0], i, 1), h);
    for (std::size_t l = 0; l + 1 < count && i + 1 < dim; ++l) {
      h = step.layer(l, h, true);
      h = tanh(h) + static_cast<T>(options_.slope) * h;
      assign(columns(known[l + 1], i * options_.block, options_.block), h);
    }
  }
  return {y, log_derivatives};
}

template <Scalar T>
std::vector<std::int64_t> BlockAutoregressive<T>::do_triangular_order() const {
  return standing_order(this->dim());
}

template <Scalar T>
void BlockAutoregressive<T>::do_fields(Fields<T>& f) {
  f.type("block_autoregressive");
  this->dim_field(f);
  f.constant("layers", options_.layers, 1, 64);
  f.constant("block", options_.block, 1, 1024);
  f.constant("slope", options_.slope);
  f.constant("line", options_.line);
  f.optional("input_bound", options_.input_bound, std::numeric_limits<double>::infinity());
  f.constant("context_dim", options_.context_dim, 0, Index{1} << 20);
  const Index dim = this->dim();
  if (f.restoring()) {
    f.expect("layer0.bias", {dim * options_.block});
    f.expect("layer1.lower", {dim * (options_.layers == 1 ? 1 : options_.block), dim * options_.block});
    arrange();
  }
  for (std::size_t l = 0; l < layers_.size(); ++l)
    f.block("layer" + std::to_string(l), [&] {
      Layer& layer = layers_[l];
      const Index rows = dim * layer.outputs;
      f.parameter("diagonal", layer.diagonal, {rows, layer.inputs});
      f.parameter("lower", layer.lower, {rows, dim * layer.inputs});
      f.parameter("bias", layer.bias, {rows}, {.decay = false});
    });
  if (options_.context_dim > 0)
    f.block("context", [&] { context_.fields(f, options_.context_dim, dim * options_.block); });
  if (options_.line) f.parameter("gate", gate_, {dim}, {.decay = false});
}

template <Scalar T>
void BlockAutoregressive<T>::do_restored() {
  this->set_shape(this->dim(), {this->dim()}, options_.context_dim);
}

template class BlockAutoregressive<float>;
template class BlockAutoregressive<double>;

}  // namespace pushforward
