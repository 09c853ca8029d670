#include <cmath>
#include <pushforward/bijectors/batch_normalization.hpp>
#include <string>
#include <utility>
#include <vector>

#include "src/core/number_text.hpp"

namespace pushforward {

namespace {

BatchNormLayerOptions layer_options(const BatchNormalizationOptions& options) {
  BatchNormLayerOptions o;
  o.momentum = options.momentum;
  o.epsilon = options.epsilon;
  o.center = options.center;
  o.scale = options.scale;
  o.gamma_map = options.gamma_map;
  if (options.ghost_rows != 0) o.virtual_batch_size = options.ghost_rows;
  o.virtual_batches = VirtualBatches::contiguous;
  o.renorm = options.renorm;
  return o;
}

template <Scalar T>
BatchNormLayer<T> built(std::vector<Index> event_shape, BatchNormLayer<T> layer) {
  if (!layer.is_built()) {
    event_shape.insert(event_shape.begin(), -1);
    layer.build(std::move(event_shape));
  }
  return layer;
}

template <Scalar T>
void refuse_what_no_flow_has(const BatchNormLayer<T>& layer) {
  const BatchNormLayerOptions& o = layer.options();
  const auto refuse = [](const std::string& text) {
    throw DomainError("BatchNormalization: `BatchNormalization` Bijector does not support " + text);
  };
  if (o.renorm)
    refuse(
        "renormalization, but `batchnorm_layer.renorm` is `True`; BatchNormalizationOptions::renorm does, with its "
        "log_det");
  if (o.virtual_batch_size)
    refuse("virtual batch sizes, but `batchnorm_layer.virtual_batch_size` is " + std::to_string(*o.virtual_batch_size) +
           "; BatchNormalizationOptions::ghost_rows does");
  if (o.adjustment) refuse("a layer with an adjustment");
}

template <Scalar T>
void check_fits(const std::vector<Index>& event_shape, const BatchNormLayer<T>& layer) {
  const std::vector<Index>& shape = layer.input_shape();
  if (!std::equal(shape.begin() + 1, shape.end(), event_shape.begin(), event_shape.end()))
    throw ShapeError("BatchNormalization: the layer is built for inputs of another shape than (rows, event...)");
  Index expected = static_cast<Index>(shape.size() - layer.kept_axes().size());
  if (expected < 1) throw DomainError("BatchNormalization: axis 0 is the rows and cannot be kept");
  for (const Index axis : layer.kept_axes())
    if (axis != expected++)
      throw DomainError("BatchNormalization: the kept axes must be the trailing ones of the event, got axis " +
                        std::to_string(axis) + " of " + std::to_string(shape.size() - 1));
}

}  // namespace

template <Scalar T>
BatchNormalization<T>::BatchNormalization(Any, std::vector<Index> event_shape, BatchNormLayer<T> layer)
    : Bijector<T>("BatchNormalization", event_shape), layer_(built(std::move(event_shape), std::move(layer))) {
  check_fits(this->event_shape(), layer_);
}

template <Scalar T>
BatchNormalization<T>::BatchNormalization(Index dim, Options options)
    : BatchNormalization(Any(), {dim}, BatchNormLayer<T>(layer_options(options))) {}

template <Scalar T>
BatchNormalization<T>::BatchNormalization(std::vector<Index> event_shape, BatchNormLayer<T> layer)
    : BatchNormalization(Any(), std::move(event_shape), std::move(layer)) {
  refuse_what_no_flow_has(layer_);
}

namespace {

std::vector<Index> event_shape_of(const std::vector<Index>& input_shape) {
  if (input_shape.size() < 2) throw IoError("BatchNormalization: the input shape needs rows and an event");
  return {input_shape.begin() + 1, input_shape.end()};
}

}  // namespace

template <Scalar T>
void BatchNormalization<T>::set_batchnorm(BatchNormLayer<T> layer) {
  layer = built(this->event_shape(), std::move(layer));
  refuse_what_no_flow_has(layer);
  check_fits(this->event_shape(), layer);
  layer_ = std::move(layer);
}

template <Scalar T>
Mapped<T> BatchNormalization<T>::do_forward(Pass<T>& pass, Var<T> x) const {
  const auto result = layer_.denormalize(pass, x);
  return {result.value, result.log_det};
}

template <Scalar T>
Mapped<T> BatchNormalization<T>::do_inverse(Pass<T>& pass, Var<T> y) const {
  const auto result = layer_.normalize(pass, y);
  return {result.value, result.log_det};
}

template <Scalar T>
Var<T> BatchNormalization<T>::do_log_derivative(bool forward, Pass<T>& pass, Var<T>) const {
  const std::vector<double> gamma = layer_.gamma();
  const Var<T> row = pass.tape().shared(1, this->dim(), false);
  for (Index c = 0; c < this->dim(); ++c) {
    const Index channel = c % layer_.channels();
    const double inverse = std::log(std::abs(gamma[static_cast<std::size_t>(channel)])) -
                           0.5 * std::log(layer_.inference_variance(channel));
    row.node()->value[c] = static_cast<T>(forward ? -inverse : inverse);
  }
  return row;
}

template <Scalar T>
Standardize<T> BatchNormalization<T>::frozen() const {
  std::vector<double> shift, scale;
  const std::vector<double> gamma = layer_.gamma(), beta = layer_.beta();
  for (Index c = 0; c < this->dim(); ++c) {
    const Index channel = c % layer_.channels();
    const std::size_t k = static_cast<std::size_t>(channel);
    if (!(gamma[k] > 0))
      throw DomainError("BatchNormalization::frozen: gamma must be positive, got " + detail::number_text(gamma[k]) +
                        " in channel " + std::to_string(channel));
    scale.push_back(std::sqrt(layer_.inference_variance(channel)) / gamma[k]);
    shift.push_back(static_cast<double>(moving_mean()[channel]) - beta[k] * scale.back());
  }
  return Standardize<T>(shift, scale);
}

template <Scalar T>
Tensor<T> BatchNormalization<T>::gamma() const {
  const std::vector<double> gamma = layer_.gamma();
  Tensor<T> result({layer_.channels()});
  std::transform(gamma.begin(), gamma.end(), result.data(), [](double g) { return static_cast<T>(g); });
  return result;
}

template <Scalar T>
void BatchNormalization<T>::do_fields(Fields<T>& f) {
  f.type("batch_normalization");
  // The layer knows what of its many options is worth a line.
  Description own;
  if (f.describing()) layer_.describe_into(own);
  f.constants(own);
  if (f.restoring()) {
    f.expect_values("moving_mean", BatchNormLayer<T>::channels_of(own));
    BatchNormLayer<T> layer(own);
    std::vector<Index> shape = event_shape_of(layer.input_shape());
    *this = BatchNormalization(Any(), std::move(shape), std::move(layer));
  }
  f.tensors_of("", layer_);
}

template class BatchNormalization<float>;
template class BatchNormalization<double>;

}  // namespace pushforward
