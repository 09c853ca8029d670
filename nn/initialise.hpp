#pragma once

#include <cstdint>
#include <string_view>

#include <pushforward/batch_norm/layer.hpp>
#include <pushforward/nn/dense.hpp>
#include <pushforward/tensor.hpp>

namespace pushforward {

/// Fills weights and bias of a layer with the given fan-in from a named stream of the seed.
template <Scalar T>
void initialise(Tensor<T>& weight, Tensor<T>& bias, Index inputs, Index outputs, Initialisation start,
                std::uint64_t seed, std::string_view stream);

/// Of hidden units.
template <Scalar T>
BatchNormLayer<T> hidden_batch_norm(Index units) {
  BatchNormLayerOptions options;
  options.momentum = 0.9;
  return BatchNormLayer<T>({-1, units}, std::move(options));
}

template <Scalar T>
Var<T> normalized(const BatchNormLayer<T>& layer, Pass<T>& pass, Var<T> x) {
  return layer.normalize(pass, x).value;
}
template <Scalar T>
Dual<T> normalized(const BatchNormLayer<T>& layer, Pass<T>& pass, Dual<T> x) {
  return {layer.normalize(pass, x.value).value, layer.normalize_tangent(pass, x.tangent)};
}

/// @throws DomainError  if a dropout rate is not in [0, 1).
void check_dropout(const char* where, double rate);

}  // namespace pushforward
