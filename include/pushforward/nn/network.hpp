#pragma once

#include <string>

#include <pushforward/component.hpp>
#include <pushforward/dual.hpp>
#include <pushforward/fields.hpp>
#include <pushforward/ops.hpp>
#include <pushforward/pass.hpp>
#include <pushforward/poly.hpp>

namespace pushforward {

/// A differentiable function of rows, (N, inputs()) to (N, outputs()), that may depend on the pass's context.
template <Scalar T>
class Network : public Component<T> {
 public:
  /// @throws ShapeError  if x does not have inputs() columns or the pass's context not context_dim().
  Var<T> operator()(Pass<T>& pass, Var<T> x) const;

  /// The value and J v, J = d value / d x of each row; parameters and context are held fixed. In operations: gradients
  /// flow through both to parameters, x, v and context, second-order terms among them.
  /// @par Numerics  the value has the bits of a call without a tangent.
  /// @par Cost      two to three evaluations, and as much more backward.
  /// @throws ShapeError      as above, and if v is not of the size of x.
  /// @throws NotImplemented  if the class has no tangent, or under batch statistics with batch normalisation inside:
  ///                         then each row sees the others.
  Dual<T> tangent(Pass<T>& pass, Var<T> x, Var<T> v) const;

  Index inputs() const { return inputs_; }
  Index outputs() const { return outputs_; }
  Index context_dim() const { return context_dim_; }

 protected:
  Network(std::string name, Index inputs, Index outputs, Index context_dim);
  /// Without sizes, to be restored.
  explicit Network(std::string name) : Component<T>(std::move(name)) {}
  /// The fields "inputs", "outputs" and, where there may be context, "context_dim".
  void size_fields(Fields<T>& f, bool context = true);
  void set_sizes(Index inputs, Index outputs, Index context_dim);

 private:
  virtual Var<T> do_evaluate(Pass<T>& pass, Var<T> x) const = 0;
  /// Value and J v; where both follow from one formula, see Dual. Without it `tangent` throws.
  virtual Dual<T> do_tangent(Pass<T>& pass, Dual<T> x) const;
  void check_shapes(Pass<T>& pass, Var<T> x) const;

  Index inputs_ = 0;
  Index outputs_ = 0;
  Index context_dim_ = 0;
};

extern template class Network<float>;
extern template class Network<double>;

}  // namespace pushforward
