#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include <pushforward/bijector.hpp>
#include <pushforward/dual.hpp>
#include <pushforward/nn/dense.hpp>

namespace pushforward {

struct BlockAutoregressiveOptions {
  Index layers = 2;       ///< hidden layers, 1 to 64
  Index block = 8;        ///< hidden units of each column in a layer
  double slope = 0.01;    ///< in (0, 1]: the activation is tanh(h) + slope h
  /// A line of its own for each column besides the network, such that the map starts near the identity.
  bool line = true;
  /// With a line: the network sees b tanh(y / b) in place of y, so that far out the line alone counts, and its context
  /// likewise; infinity: as they are.
  double input_bound = std::numeric_limits<double>::infinity();
  Index context_dim = 0;  ///< context columns, which the first layer reads
  double final_scale = 0.01;  ///< with a line: of the last layer's diagonal weights at the start
  std::uint64_t seed = 0;     ///< of the initial weights
};

/// Block neural autoregressive flow: a network whose layers have `block` units for each column, and whose weights form
/// blocks: those of a column with itself positive, those with columns before it of any sign, those with later ones
/// none. So x_i increases in y_i and depends on the columns up to i. With f the network,
///   x_i = [exp(g_i) y_i +] f_i(y_1, ..., y_i).
///
/// A layer: h_i = exp(D_i) a_i + sum_(j<i) L_ij a_j + b_i, a = tanh(h) + slope h after all layers but the last.
/// log_det of `inverse` = sum_i log([exp(g_i) +] the product of the diagonal blocks and the slopes of the activation).
///
/// `inverse` (density) is two evaluations of the network, of values and of slopes; `forward` (sampling) goes column by
/// column, but computes each hidden unit once and solves for one number in a network of one column's units
/// (NumericalInverse), with the gradients of the implicit function.
///
/// @par Shapes      x, y: (N, dim); context: (N, context_dim).
/// @par Parameters  "layer<l>.diagonal" (dim outputs, inputs), the logarithms D, "layer<l>.lower" (dim outputs,
///                  dim inputs), of which what lies left of the diagonal blocks counts, "layer<l>.bias"; inputs and
///                  outputs of a column are `block`, or 1 at the ends. "gate" (dim) with a line, initially 0,
///                  g = 5 tanh(gate / 5). "context.weight" (dim block, context_dim) and "context.bias".
/// @par Numerics    slopes are sums of positive products: nothing cancels, and the activation's slope keeps them above 0.
/// @par Cost        O(N dim^2 block^2) in each layer and direction; `forward` besides some 10 evaluations of block^2
///                  for each column.
/// @throws ShapeError   if a size is out of its range.
/// @throws DomainError  if slope or input_bound is.
/// @source De Cao et al. 2019, eq. 6 to 13; the activation and the form without a line as in flowjax; pyro's
///         `BlockAutoregressive` has tanh alone, which does not reach every x.
template <Scalar T>
class BlockAutoregressive final : public Bijector<T> {
 public:
  explicit BlockAutoregressive(Index dim, BlockAutoregressiveOptions options = {});
  explicit BlockAutoregressive(Blank) : Bijector<T>("BlockAutoregressive") {}

 private:
  struct Layer {
    Index inputs, outputs;  ///< of each column
    Tensor<T> diagonal, lower, bias;
    std::vector<Index> prefix, offset;                  ///< of `lower`
    std::vector<Index> diagonal_prefix, diagonal_offset;  ///< of `diagonal`, row by row
  };
  class Step;
  using Elements = MappedElements<T>;
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override { return summed(forward_elements(pass, x)); }
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override { return summed(inverse_elements(pass, y)); }
  static Mapped<T> summed(const Elements& e) { return {e.value, row_sum(e.log_derivative)}; }
  Elements forward_elements(Pass<T>& pass, Var<T> x) const;
  Elements inverse_elements(Pass<T>& pass, Var<T> y) const;
  /// What the network sees of columns of y, and its slope.
  Dual<T> seen(Pass<T>& pass, Var<T> y) const;
  Var<T> of_context(Pass<T>& pass) const;
  std::vector<std::int64_t> do_triangular_order() const override;
  Var<T> do_log_derivative(bool forward, Pass<T>& pass, Var<T> in) const override {
    return (forward ? forward_elements(pass, in) : inverse_elements(pass, in)).log_derivative;
  }
  void do_fields(Fields<T>& f) override;
  void do_restored() override;
  void arrange();

  BlockAutoregressiveOptions options_;
  std::vector<Layer> layers_;
  Dense<T> context_;
  Tensor<T> gate_;
};

extern template class BlockAutoregressive<float>;
extern template class BlockAutoregressive<double>;

}  // namespace pushforward
