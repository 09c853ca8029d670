#pragma once

#include <pushforward/nn/network.hpp>

namespace pushforward {

/// A network whose outputs are learned numbers, the same for every input: Coupling with it moves columns by a map of
/// their own, which depends on no other.
///
/// @par Shapes      x: (N, inputs), not read; result: (N, outputs).
/// @par Parameters  "value", (outputs), initially 0.
/// @par Cost        O(N outputs).
template <Scalar T>
class Constant final : public Network<T> {
 public:
  Constant(Index inputs, Index outputs) : Network<T>("Constant", inputs, outputs, 0), value_({outputs}) {}
  explicit Constant(Blank) : Network<T>("Constant") {}

 private:
  Var<T> do_evaluate(Pass<T>& pass, Var<T> x) const override;
  Dual<T> do_tangent(Pass<T>& pass, Dual<T> x) const override;
  void do_fields(Fields<T>& f) override;

  Tensor<T> value_;
};

extern template class Constant<float>;
extern template class Constant<double>;

}  // namespace pushforward
