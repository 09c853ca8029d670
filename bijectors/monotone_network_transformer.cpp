#include <pushforward/bijectors/monotone_network_transformer.hpp>

#include <cmath>
#include <string>

#include <pushforward/dual.hpp>

#include "bijectors/inverse_softplus.hpp"
#include "src/core/checks.hpp"
#include "src/ops/common.hpp"

namespace pushforward {

using namespace detail;

namespace {

/// The activation of a layer of `units` units, of value and tangent.
template <Scalar T>
Dual<T> two_way(Dual<T> h, Index units) {
  const Index elements = h.value.cols() / units, cut = units / 2 * elements, rest = h.value.cols() - cut;
  const Var<T> first = columns(h.value, 0, cut), second = -columns(h.value, cut, rest);
  const Var<T> slope = concatenate<T>(
      {activation_derivative(Activation::elu, first), activation_derivative(Activation::elu, second)});
  return {concatenate<T>({activation(Activation::elu, first), -activation(Activation::elu, second)}),
          h.tangent * slope};
}

}  // namespace

// A raw weight starts at about 1 over the number of inputs.
template <Scalar T>
MonotoneNetworkTransformer<T>::MonotoneNetworkTransformer(MonotoneNetworkOptions options)
    : Transformer<T>("MonotoneNetworkTransformer", options.signals + 2),
      options_(std::move(options)),
      network_(this->name(), options_.signals, options_.hidden, options_.seed) {
  do_restored();
  network_.for_each_weight([&](Tensor<T>& weight, bool last) {
    const double inputs = static_cast<double>(weight.extent(1)), scale = (last ? options_.final_scale : 1) / inputs;
    // Even numbers in +-1 / sqrt(inputs) to such in (0.5, 1.5).
    for (T& w : weight.values())
      w = static_cast<T>(inverse_softplus(scale * (1 + 0.5 * static_cast<double>(w) * std::sqrt(inputs))));
  });
}

template <Scalar T>
auto MonotoneNetworkTransformer<T>::do_forward(Pass<T>&, Var<T>, Params) const -> Elements {
  throw NotImplemented("MonotoneNetworkTransformer::forward: has no closed form; put it into a NumericalInverse");
}

template <Scalar T>
auto MonotoneNetworkTransformer<T>::do_inverse(Pass<T>& pass, Var<T> y, Params params) const -> Elements {
  const auto count = static_cast<std::size_t>(network_.signals());
  const Var<T> argument = softplus(pass.parameter(network_.argument()));
  Dual<T> h{network_.of_signals(pass, params.first(count)) + network_.of_argument(y, argument),
            network_.of_argument(filled(pass.tape(), y.cols(), T(1)), argument)};
  for (Index i = 1; i <= network_.layers(); ++i) {
    const Var<T> weight = softplus(pass.parameter(network_.weight(i)));
    h = two_way(h, weight.cols());
    h = {network_.layer(pass, i, h.value, weight), network_.layer(pass, i, h.tangent, weight, false)};
  }
  const Var<T> slope = exp(soft_bound(params[count], options_.bound));
  return {slope * y + h.value + params[count + 1], log(slope + h.tangent)};
}

template <Scalar T>
void MonotoneNetworkTransformer<T>::do_fields(Fields<T>& f) {
  f.type("monotone_network_transformer");
  network_.constants(this->name(), f);
  f.constant("bound", options_.bound);
  network_.tensors(f);
}

template <Scalar T>
void MonotoneNetworkTransformer<T>::do_restored() {
  check_shape_bound("MonotoneNetworkTransformer", options_.bound);
  this->set_multiplier(network_.signals() + 2);
}

template class MonotoneNetworkTransformer<float>;
template class MonotoneNetworkTransformer<double>;

}  // namespace pushforward
