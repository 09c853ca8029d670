#include <pushforward/nn/dense.hpp>

#include <array>
#include <cmath>
#include <utility>

#include <pushforward/error.hpp>
#include <pushforward/random.hpp>

#include "nn/initialise.hpp"

namespace pushforward {

namespace {

constexpr std::array<Choice<Activation>, 9> activation_names{{
    {Activation::identity, "identity"},
    {Activation::relu, "relu"},
    {Activation::leaky_relu, "leaky_relu"},
    {Activation::elu, "elu"},
    {Activation::gelu, "gelu"},
    {Activation::silu, "silu"},
    {Activation::tanh, "tanh"},
    {Activation::sigmoid, "sigmoid"},
    {Activation::softplus, "softplus"},
}};

}  // namespace

std::span<const Choice<Activation>> activation_choices() { return activation_names; }

std::string activation_name(Activation a) {
  for (const auto& [value, name] : activation_names)
    if (value == a) return std::string(name);
  throw DomainError("activation_name: unknown activation");
}

Activation activation_from(std::string_view name) {
  std::string known;
  for (const auto& [value, own] : activation_names) {
    if (own == name) return value;
    known += (known.empty() ? "" : ", ") + std::string(own);
  }
  throw DomainError("unknown activation '" + std::string(name) + "', known are " + known);
}

template <Scalar T>
void initialise(Tensor<T>& weight, Tensor<T>& bias, Index inputs, Index outputs, Initialisation start,
                std::uint64_t seed, std::string_view stream) {
  const RandomCall draws = Engine(seed).stream(stream).next_call();
  const auto fill = [&](Tensor<T>& tensor, double limit, Index first_column, bool normal) {
    std::vector<double> values(static_cast<std::size_t>(tensor.size()));
    const Index n = tensor.size();
    if (n == 0) return;
    if (normal)
      draws.normal(0, n, 1, values.data(), n, first_column);
    else
      draws.uniform(0, n, 1, values.data(), n, first_column);
    for (Index i = 0; i < n; ++i) {
      const double u = values[static_cast<std::size_t>(i)];
      tensor[i] = static_cast<T>(normal ? limit * u : limit * (2 * u - 1));
    }
  };
  const double in = static_cast<double>(std::max<Index>(inputs, 1)), out = static_cast<double>(outputs);
  switch (start) {
    case Initialisation::paper:
      fill(weight, 1 / std::sqrt(in), 0, false);
      fill(bias, 1 / std::sqrt(in), 1, false);
      break;
    case Initialisation::he:
      fill(weight, std::sqrt(2 / in), 0, true);
      break;
    case Initialisation::glorot:
      fill(weight, std::sqrt(6 / (in + out)), 0, false);
      break;
  }
}

template void initialise(Tensor<float>&, Tensor<float>&, Index, Index, Initialisation, std::uint64_t,
                         std::string_view);
template void initialise(Tensor<double>&, Tensor<double>&, Index, Index, Initialisation, std::uint64_t,
                         std::string_view);

template <Scalar T>
Dense<T>::Dense(Index inputs, Index outputs, Initialisation start, std::uint64_t seed, std::string_view stream)
    : weight_({outputs, inputs}), bias_({outputs}) {
  initialise(weight_, bias_, inputs, outputs, start, seed, stream);
}

template <Scalar T>
void Dense<T>::shrink(T factor) {
  for (T& w : weight_.values()) w *= factor;
  for (T& b : bias_.values()) b = 0;
}

template class Dense<float>;
template class Dense<double>;

}  // namespace pushforward
