#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <pushforward/fields.hpp>
#include <pushforward/ops.hpp>
#include <pushforward/pass.hpp>

namespace pushforward {

/// "relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid", "softplus", "identity".
std::string activation_name(Activation a);
/// @throws DomainError  naming the known ones.
Activation activation_from(std::string_view name);
/// Every activation with its name.
std::span<const Choice<Activation>> activation_choices();

/// How weights start. `paper`: uniform in +-1/sqrt(inputs), weights and bias, as in the reference implementations of
/// MAF, NSF and PyTorch's linear layers; `he`: normal with variance 2/inputs, bias 0; `glorot`: uniform in
/// +-sqrt(6/(inputs+outputs)), bias 0.
enum class Initialisation { paper, he, glorot };

/// y = x W^T + b, a building block of networks.
template <Scalar T>
class Dense {
 public:
  Dense() = default;
  /// Starts from the stream of that name, so that layers of one network differ.
  Dense(Index inputs, Index outputs, Initialisation start, std::uint64_t seed, std::string_view stream);

  Var<T> operator()(Pass<T>& pass, Var<T> x) const {
    return linear(x, pass.parameter(weight_), pass.parameter(bias_));
  }
  Dual<T> operator()(Pass<T>& pass, Dual<T> x) const {
    return {(*this)(pass, x.value), linear(x.tangent, pass.parameter(weight_), Var<T>())};
  }
  /// Of a layer with these sizes.
  void fields(Fields<T>& f, Index inputs, Index outputs) {
    f.parameter("weight", weight_, {outputs, inputs}, {.dense = true});
    f.parameter("bias", bias_, {outputs}, {.decay = false});
  }
  /// Scales the weight by `factor`, sets the bias to 0.
  void shrink(T factor);
  Index inputs() const { return weight_.rank() == 2 ? weight_.extent(1) : 0; }
  /// 0 for a default-made layer, which does not exist in its network.
  Index outputs() const { return weight_.extent(0); }

 private:
  Tensor<T> weight_;  // (outputs, inputs)
  Tensor<T> bias_;    // (outputs)
};

extern template class Dense<float>;
extern template class Dense<double>;

}  // namespace pushforward
