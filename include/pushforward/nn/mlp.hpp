#pragma once

#include <vector>

#include <pushforward/batch_norm/layer.hpp>
#include <pushforward/nn/dense.hpp>
#include <pushforward/nn/network.hpp>

namespace pushforward {

struct MlpOptions {
  std::vector<Index> hidden = {64, 64};  ///< units of each hidden layer
  Activation activation = Activation::relu;
  double dropout = 0;     ///< probability in [0, 1) of dropping a hidden unit, in training passes only
  Index context_dim = 0;  ///< context columns, put beside the inputs
  /// Batch normalisation of what goes into each activation (nflows: epsilon 1e-3, momentum 0.9 of the old value). The
  /// statistics follow the pass, whichever direction of a flow evaluates the network.
  bool batch_norm = false;
  Initialisation initialisation = Initialisation::paper;
  /// The last layer starts with weights this much smaller and bias 0, so that a flow starts near the identity; 1: as
  /// the other layers.
  double final_scale = 0.01;
  std::uint64_t seed = 0;  ///< of the initial weights
};

/// Multilayer perceptron: linear, activation, dropout, ..., linear.
///
/// @par Shapes      x: (N, inputs); result: (N, outputs); context: (N, context_dim).
/// @par Parameters  "layer<i>.weight" (outputs, inputs), "layer<i>.bias"; the inputs of layer0 are [x, context].
///                  With batch_norm "norm<i>.gamma", "norm<i>.beta" and moving statistics.
/// @par Cost        one matrix product per layer.
template <Scalar T>
class Mlp final : public Network<T> {
 public:
  /// @throws DomainError, ShapeError  if an option is out of its range.
  Mlp(Index inputs, Index outputs, MlpOptions options = {});
  explicit Mlp(Blank) : Network<T>("Mlp") {}

 private:
  Var<T> do_evaluate(Pass<T>& pass, Var<T> x) const override { return compute(pass, x); }
  Dual<T> do_tangent(Pass<T>& pass, Dual<T> x) const override { return compute(pass, x); }
  /// V: Var<T> or Dual<T>.
  template <class V>
  V compute(Pass<T>& pass, V x) const;
  void do_fields(Fields<T>& f) override;
  void check_options() const;

  MlpOptions options_;
  std::vector<Dense<T>> layers_;
  std::vector<BatchNormLayer<T>> norms_;  // of the hidden layers, or none
};

extern template class Mlp<float>;
extern template class Mlp<double>;

}  // namespace pushforward
