#include <pushforward/distributions/embedded_context.hpp>

#include <string>

namespace pushforward {

template <Scalar T>
EmbeddedContext<T>::EmbeddedContext(Poly<Distribution<T>> inner, Poly<Network<T>> net)
    : Wrapper<Distribution<T>>("EmbeddedContext", std::move(inner)), net_(std::move(net)) {
  check();
}

template <Scalar T>
void EmbeddedContext<T>::check() {
  const Index wanted = this->inner().context_dim();
  if (wanted == 0) throw ShapeError("EmbeddedContext: " + this->inner().name() + " takes no context");
  if (net_->outputs() != wanted)
    throw ShapeError("EmbeddedContext: " + this->inner().name() + " takes a context of " + std::to_string(wanted) +
                     " columns, but the network gives " + std::to_string(net_->outputs()));
  if (net_->context_dim() != 0 || net_->inputs() == 0)
    throw ShapeError("EmbeddedContext: the network must have inputs and no context of its own, got " +
                     std::to_string(net_->inputs()) + " inputs and a context of " +
                     std::to_string(net_->context_dim()));
  this->set_shape(this->inner().event_shape(), net_->inputs());
}

template <Scalar T>
void EmbeddedContext<T>::do_fields(Fields<T>& f) {
  f.type("embedded_context");
  Wrapper<Distribution<T>>::do_fields(f);
  f.part("net", net_);
}

template <Scalar T>
void EmbeddedContext<T>::do_restored() {
  Wrapper<Distribution<T>>::do_restored();
  check();
}

template class EmbeddedContext<float>;
template class EmbeddedContext<double>;

}  // namespace pushforward
