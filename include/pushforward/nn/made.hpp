#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include <pushforward/nn/dense.hpp>
#include <pushforward/nn/network.hpp>

namespace pushforward {

/// A linear layer whose output unit sees only inputs of degree up to its own (or below its own), with units kept
/// sorted by degree: so each output reads a prefix of the inputs, and no weight beyond it exists in memory.
/// Files hold the dense matrix (outputs, inputs) in the original order of units, zeros where nothing is connected.
template <Scalar T>
class MaskedDense {
 public:
  MaskedDense() = default;
  /// Degrees in the original order of units. `strict`: an output sees inputs of lower degree only.
  MaskedDense(std::vector<std::int64_t> input_degrees, std::vector<std::int64_t> output_degrees, bool strict,
              Initialisation start, std::uint64_t seed, std::string_view stream);

  /// All outputs, in sorted order; x in sorted order.
  Var<T> operator()(Pass<T>& pass, Var<T> x) const;
  Dual<T> operator()(Pass<T>& pass, Dual<T> x) const;
  /// Outputs [begin, begin + y.cols()) in sorted order, into y; x holds at least the inputs that they read.
  void into(Pass<T>& pass, Var<T> y, Var<T> x, Index begin) const;
  /// The same with the outputs in another order, while evaluating: `layout` and `bias` list them in it.
  void into(Pass<T>& pass, Var<T> y, Var<T> x, const LinearLayout& layout, Var<T> bias, Index begin) const;
  /// Of a layer between units of these degrees.
  void fields(Fields<T>& f, const std::vector<std::int64_t>& input_degrees,
              const std::vector<std::int64_t>& output_degrees, bool strict);
  /// Scales the weights by `factor`, and sets the bias to 0.
  void shrink(T factor);
  void scale_start(T factor);

  Index outputs() const { return static_cast<Index>(prefix_.size()); }
  /// Number of inputs that sorted output `o` reads.
  Index prefix(Index o) const { return prefix_[static_cast<std::size_t>(o)]; }
  LinearLayout layout() const { return {prefix_, offset_}; }
  const Tensor<T>& bias() const { return bias_; }

 private:
  void arrange(std::vector<std::int64_t> input_degrees, const std::vector<std::int64_t>& output_degrees, bool strict);

  class WeightForm final : public StoredForm<T> {
   public:
    std::vector<Index> shape() const override;
    Tensor<T> to_file(const Tensor<T>& packed) const override;
    void from_file(const Tensor<T>& dense, Tensor<T>& packed) const override;
    std::vector<Index> rows, cols;  ///< original index of each sorted output and input
    std::vector<Index> prefix, offset;
  };
  class BiasForm final : public StoredForm<T> {
   public:
    std::vector<Index> shape() const override;
    Tensor<T> to_file(const Tensor<T>& packed) const override;
    void from_file(const Tensor<T>& dense, Tensor<T>& packed) const override;
    std::vector<Index> rows;
  };

  std::vector<Index> prefix_;
  std::vector<Index> offset_;
  Tensor<T> weight_;  // packed, rows of prefix_[o] values
  Tensor<T> bias_;
  WeightForm weight_form_;
  BiasForm bias_form_;
};

/// How a context enters the hidden layers of a masked network.
enum class ContextForm {
  activated,  ///< h = A x + a(C context), and residual blocks have a term of their own: nflows
  linear,     ///< h = A x + C context, beside the inputs: zuko, flowjax
  gated,      ///< that, and what a residual block adds is multiplied by sigmoid(B context): normflows
  /// W h + B context in every layer, the last one too, each with a B of its own: TensorFlow Probability. In the plain
  /// form alone.
  every_layer,
};

struct MadeOptions {
  Index hidden = 64;  ///< units of every hidden layer
  /// Residual: blocks of two masked layers. Plain: masked layers after the first one.
  Index blocks = 2;
  bool residual = true;
  Activation activation = Activation::relu;
  double dropout = 0;     ///< probability in [0, 1), in training passes only
  Index context_dim = 0;  ///< context columns; every unit may depend on them
  ContextForm context_form = ContextForm::activated;
  /// Residual blocks apply the activation to what they read. Without: h += W1 a(W0 h), zuko's form.
  bool pre_activation = true;
  /// Units of each hidden layer, blocks + 1 of them, instead of `hidden`; not in the residual form.
  std::vector<Index> widths = {};
  /// Hidden degrees drawn at random instead of cycling through 1..dim-1.
  bool random_degrees = false;
  Initialisation initialisation = Initialisation::paper;
  /// The last layer starts with weights this much smaller and bias 0, so that a flow starts near the identity; 1: as
  /// the other layers.
  double final_scale = 0.01;
  std::uint64_t seed = 0;  ///< of the initial weights and random degrees
};

/// Masked autoencoder: `multiplier` outputs for each of dim inputs, those for input d depending on inputs before d
/// only.
///
/// h = A x + a(C context), [a(h) if plain]; a residual block: h += W1 dropout(a(W0 a(h) + B context)); a plain
/// layer: h = dropout(a(W h)); outputs = F h. Output p of input d stands in column p * dim + d. In the linear context
/// form h = A x + C context and no block reads the context, in the gated form it is a gate of each block, h += (W1
/// dropout(a(W0 a(h)))) * sigmoid(B context); without pre-activation blocks have W0 h in place of W0 a(h). Plain layers
/// that read the context, every_layer: h = dropout(a(W h + B context)), outputs = F h + G context.
///
/// @par Shapes      x: (N, dim); result: (N, multiplier * dim); context: (N, context_dim).
/// @par Parameters  "initial", "context", "block<i>.linear0|linear1|context" or "layer<i>", "final", in every_layer
///                  "layer<i>.context" and "final.context"; weights dense (outputs, inputs) in files, in the original
///                  order of units.
/// @throws ShapeError  widths or context_form `every_layer` in the residual form, or another number of widths.
/// @par Cost        about half of the dense products: only blocks on and below the diagonal exist.
/// @source Germain et al. 2015, eq. 8-11; residual form Durkan et al. 2019.
template <Scalar T>
class Made final : public Network<T> {
 public:
  Made(Index dim, Index multiplier, MadeOptions options = {});
  explicit Made(Blank) : Network<T>("Made") {}

  Index dim() const { return this->inputs(); }
  Index multiplier() const { return this->outputs() / this->inputs(); }
  /// Of the units of every hidden layer; with `widths` of one layer after the other.
  const std::vector<std::int64_t>& hidden_degrees() const { return hidden_degrees_; }

  /// Evaluation of the network input by input, each hidden unit computed once, when its inputs are known: in all about
  /// one ordinary pass.
  class Sequence {
   public:
    /// Starts with no inputs known.
    Sequence(const Made& made, Pass<T>& pass);
    /// The outputs for input `d`, multiplier() columns; inputs before d must be known.
    std::span<const Var<T>> outputs(Index d);
    /// Makes input `d` known.
    void set_input(Index d, Var<T> x);

   private:
    void extend(Index degree);
    const Made& made_;
    Pass<T>& pass_;
    std::span<Var<T>> known_;     // what each layer reads, as far as it is known: the inputs first
    std::span<Var<T>> contexts_;  // as Rows gives them
    Var<T> outputs_;
    // Of the last layer, in the order of `together_`; the bias while evaluating.
    Var<T> output_context_;
    Var<T> bias_;
  };

 private:
  struct Block {
    MaskedDense<T> linear0;
    MaskedDense<T> linear1;
    Dense<T> context;
  };
  Made(Index dim, Index multiplier, MadeOptions options, std::vector<std::int64_t> hidden_degrees);
  Var<T> do_evaluate(Pass<T>& pass, Var<T> x) const override { return compute(pass, x); }
  Dual<T> do_tangent(Pass<T>& pass, Dual<T> x) const override { return compute(pass, x); }
  struct Rows;   // whole rows through the layers
  struct Units;  // the units of one degree, whose inputs are known
  /// V: Var<T> or Dual<T>.
  template <class V>
  V compute(Pass<T>& pass, V x) const;
  /// The last hidden values, from the inputs x: the order of the layers, for Rows and for Units.
  template <class V, class Steps>
  V hidden_values(const Steps& steps, V x) const;
  std::size_t hidden_layers() const { return 1 + blocks_.size() * (options_.residual ? 2 : 1); }
  /// Whether blocks, or layers after the first one, have a term of the context.
  bool block_contexts() const;
  bool output_context() const;
  void do_fields(Fields<T>& f) override;
  /// What follows from the degrees.
  void sort_units();
  void put_together();
  /// The degrees of the units of hidden layer `i`, in their original order.
  std::vector<std::int64_t> layer_degrees(std::size_t i) const;
  /// The units of a hidden layer by degree.
  struct Sorted {
    std::vector<std::int64_t> units;  ///< original index of each sorted unit
    std::vector<std::int64_t> degrees;
    /// Those with the given degree: [first, second) in sorted order.
    std::pair<Index, Index> range(Index degree) const;
  };
  /// Of hidden layer `i`: all layers have the same units unless `widths` says otherwise.
  const Sorted& sorted(std::size_t i) const { return sorted_[std::min(i, sorted_.size() - 1)]; }
  MadeOptions options_;
  std::vector<std::int64_t> hidden_degrees_;  // original order
  std::vector<Sorted> sorted_;
  MaskedDense<T> initial_;
  Dense<T> context_;
  std::vector<Block> blocks_;
  MaskedDense<T> final_;
  Dense<T> final_context_;
  /// The last layer's outputs for one input side by side, as Sequence needs them.
  struct Together {
    std::vector<Index> prefix, offset;
    std::vector<std::int64_t> outputs;  ///< which they are
  } together_;
};

extern template class MaskedDense<float>;
extern template class MaskedDense<double>;
extern template class Made<float>;
extern template class Made<double>;

}  // namespace pushforward
