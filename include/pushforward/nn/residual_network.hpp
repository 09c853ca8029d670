#pragma once

#include <vector>

#include <pushforward/batch_norm/layer.hpp>
#include <pushforward/nn/dense.hpp>
#include <pushforward/nn/network.hpp>

namespace pushforward {

struct ResidualNetworkOptions {
  Index hidden = 64;  ///< units of every hidden layer
  Index blocks = 2;
  Activation activation = Activation::relu;
  double dropout = 0;     ///< probability in [0, 1), in training passes only
  Index context_dim = 0;  ///< context columns: beside the inputs, and as a gate of each block
  /// Batch normalisation of what goes into each activation (nflows: epsilon 1e-3, momentum 0.9 of the old value). The
  /// statistics follow the pass, whichever direction of a flow evaluates the network.
  bool batch_norm = false;
  Initialisation initialisation = Initialisation::paper;
  /// The last layer starts with weights this much smaller and bias 0, so that a flow starts near the identity; 1: as
  /// the other layers.
  double final_scale = 0.01;
  std::uint64_t seed = 0;  ///< of the initial weights
};

/// Residual network with pre-activation blocks, the conditioner of neural spline flows.
///
/// h = A [x, context]; each block: h += (W1 dropout(a(W0 a(h)))) * sigmoid(G context); result = F h.
/// Without context a block has no gate. The last layer of a block starts in +-1e-3, so a block starts near zero.
///
/// @par Shapes      x: (N, inputs); result: (N, outputs); context: (N, context_dim).
/// @par Parameters  "initial", "block<i>.linear0", "block<i>.linear1", "block<i>.context", "final", each with
///                  weight (outputs, inputs) and bias.
///                  With batch_norm "block<i>.norm0" and "block<i>.norm1" (gamma, beta, moving statistics).
/// @source Durkan et al. 2019, section 4 and appendix B; He et al. 2016.
template <Scalar T>
class ResidualNetwork final : public Network<T> {
 public:
  ResidualNetwork(Index inputs, Index outputs, ResidualNetworkOptions options = {});
  explicit ResidualNetwork(Blank) : Network<T>("ResidualNetwork") {}

 private:
  struct Block {
    Dense<T> linear0;
    Dense<T> linear1;
    Dense<T> context;
    std::vector<BatchNormLayer<T>> norms;  // of the two activations, or none
  };
  Var<T> do_evaluate(Pass<T>& pass, Var<T> x) const override { return compute(pass, x); }
  Dual<T> do_tangent(Pass<T>& pass, Dual<T> x) const override { return compute(pass, x); }
  /// V: Var<T> or Dual<T>.
  template <class V>
  V compute(Pass<T>& pass, V x) const;
  void do_fields(Fields<T>& f) override;
  void check_options() const;

  ResidualNetworkOptions options_;
  Dense<T> initial_;
  std::vector<Block> blocks_;
  Dense<T> final_;
};

extern template class ResidualNetwork<float>;
extern template class ResidualNetwork<double>;

}  // namespace pushforward
