#pragma once

#include <cstdint>

namespace pushforward {

/// Functions between the layers of a network; kernels, operations and files mean the same ones.
enum class Activation : std::uint8_t { identity, relu, leaky_relu, elu, gelu, silu, tanh, sigmoid, softplus };

}  // namespace pushforward
