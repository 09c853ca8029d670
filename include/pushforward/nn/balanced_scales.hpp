#pragma once

#include <pushforward/nn/network.hpp>

namespace pushforward {

/// A network for affine couplings that keep volumes: of shifts and raw of another network, the shifts and the log scales
/// limit tanh(raw) less their mean over the columns, so that log|det| is 0. With `AffineTransformer(inf)`.
///
/// @par Shapes      as the network within, whose outputs are the shifts of all columns, then their raws.
/// @par Parameters  those of the network, under "net".
/// @throws ShapeError   if the network has an odd number of outputs or none.
/// @throws DomainError  unless limit is positive and finite.
/// @source Sorrenson et al. 2020 (GIN); FrEIA's `GINCouplingBlock`, whose limit is 2.
template <Scalar T>
class BalancedScales final : public Network<T> {
 public:
  explicit BalancedScales(Poly<Network<T>> net, double limit = 2);
  explicit BalancedScales(Blank) : Network<T>("BalancedScales") {}

  const Network<T>& net() const { return *net_; }

 private:
  Var<T> do_evaluate(Pass<T>& pass, Var<T> x) const override;
  Dual<T> do_tangent(Pass<T>& pass, Dual<T> x) const override;
  void do_fields(Fields<T>& f) override;
  void do_restored() override;
  /// s less its mean in each row.
  Var<T> balanced(Var<T> s) const;

  Poly<Network<T>> net_;
  double limit_ = 2;
};

extern template class BalancedScales<float>;
extern template class BalancedScales<double>;

}  // namespace pushforward
