#pragma once

#include <pushforward/nn/network.hpp>
#include <pushforward/wrapper.hpp>

namespace pushforward {

/// A distribution whose context goes through a network first: inner(y | net(context)). Both learn together: the
/// network finds the few numbers that the flow needs of a context of many columns (images, curves, repeated
/// observations).
///
/// @par Shapes      context: (N, net.inputs()); net.outputs() is what `inner` takes.
/// @par Parameters  those of `inner`, and of the network under "net".
/// @throws ShapeError  if the sizes do not fit, if `inner` takes no context, or if the network takes one of its own.
/// @source the embedding networks of nflows' `Flow(embedding_net)` and sbi.
template <Scalar T>
class EmbeddedContext final : public Wrapper<Distribution<T>> {
 public:
  EmbeddedContext(Poly<Distribution<T>> inner, Poly<Network<T>> net);
  explicit EmbeddedContext(Blank) : Wrapper<Distribution<T>>("EmbeddedContext") {}

  const Network<T>& net() const { return *net_; }

 private:
  Var<T> do_context(Pass<T>& pass) const override { return (*net_)(pass, pass.context()); }
  void do_fields(Fields<T>& f) override;
  void do_restored() override;
  void check();

  Poly<Network<T>> net_;
};

extern template class EmbeddedContext<float>;
extern template class EmbeddedContext<double>;

}  // namespace pushforward
