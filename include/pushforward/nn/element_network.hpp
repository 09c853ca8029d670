#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <pushforward/fields.hpp>
#include <pushforward/pass.hpp>

namespace pushforward {

/// The layers of a network from one argument and some signals to one number, which transformers run on each element of
/// a row by itself, with the same weights: a building block. Hidden unit h of element e stands in column
/// h elements + e.
///
/// @par Parameters  "argument" (H, 1), "signals" (H, signals), "bias" (H); then, for i = 1, 2, ..., "layer<i>.weight" and
///                  "layer<i>.bias".
template <Scalar T>
class ElementNetwork {
 public:
  ElementNetwork() = default;
  /// Every layer as Initialisation::paper has it, from streams of the seed; the last bias 0.
  /// @throws ShapeError  naming `where`, unless there are signals and hidden layers of 2 to 4096 units.
  ElementNetwork(const std::string& where, Index signals, std::vector<Index> hidden, std::uint64_t seed);

  Index signals() const { return signals_; }
  /// Layers after the first one; the last of them gives the number.
  Index layers() const { return static_cast<Index>(weights_.size()); }
  /// The argument's way: the weights that meet it, and those of layer 1, 2, ...
  const Tensor<T>& argument() const { return argument_; }
  const Tensor<T>& weight(Index layer) const { return weights_[static_cast<std::size_t>(layer - 1)]; }
  /// f(weight, whether it is the last one) for each of these.
  template <class F>
  void for_each_weight(F f) {
    f(argument_, false);
    for (std::size_t i = 0; i < weights_.size(); ++i) f(weights_[i], i + 1 == weights_.size());
  }

  /// What the signals, a matrix of all elements for each, and the bias give the first layer.
  Var<T> of_signals(Pass<T>& pass, std::span<const Var<T>> signals) const;
  /// What the argument adds to it; `weight` is argument() or made of it. Without bias.
  Var<T> of_argument(Var<T> argument, Var<T> weight) const;
  /// The same for an argument of 1, shared by all rows.
  Var<T> of_one(Pass<T>& pass, Index elements) const;
  /// Layer 1, 2, ... with `weight`, weight(layer) or made of it; without the bias for tangents.
  Var<T> layer(Pass<T>& pass, Index layer, Var<T> h, Var<T> weight, bool with_bias = true) const;

  /// Constants "signals" and "hidden", and what follows from them, which is refused as the constructor does.
  void constants(const std::string& where, Fields<T>& f);
  void tensors(Fields<T>& f);

 private:
  void resize(const std::string& where);

  Index signals_ = 0;
  std::vector<Index> hidden_;
  Tensor<T> argument_, signals_weight_, bias_;
  std::vector<Tensor<T>> weights_, biases_;  // after the first layer
};

extern template class ElementNetwork<float>;
extern template class ElementNetwork<double>;

}  // namespace pushforward
