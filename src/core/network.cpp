#include <pushforward/nn/network.hpp>

#include <pushforward/error.hpp>

namespace pushforward {

template <Scalar T>
Network<T>::Network(std::string name, Index inputs, Index outputs, Index context_dim)
    : Component<T>(std::move(name)) {
  set_sizes(inputs, outputs, context_dim);
}

template <Scalar T>
void Network<T>::size_fields(Fields<T>& f, bool context) {
  Index inputs = inputs_, outputs = outputs_, context_dim = context_dim_;
  f.constant("inputs", inputs, 0, 1 << 20);
  f.constant("outputs", outputs, 1, 1 << 24);
  if (context) f.constant("context_dim", context_dim, 0, 1 << 20);
  if (f.restoring()) set_sizes(inputs, outputs, context_dim);
}

template <Scalar T>
void Network<T>::set_sizes(Index inputs, Index outputs, Index context_dim) {
  inputs_ = inputs;
  outputs_ = outputs;
  context_dim_ = context_dim;
  if (inputs < 0 || outputs < 1 || context_dim < 0 || inputs + context_dim < 1)
    throw ShapeError(this->name() + ": expected at least one input or context column and one output, got " +
                     std::to_string(inputs) + ", " + std::to_string(context_dim) + " and " + std::to_string(outputs));
}

template <Scalar T>
void Network<T>::check_shapes(Pass<T>& pass, Var<T> x) const {
  if (x.cols() != inputs_)
    throw ShapeError(this->name() + ": expected " + std::to_string(inputs_) + " inputs, got " +
                     std::to_string(x.cols()));
  if (context_dim_ > 0 && (!pass.has_context() || pass.context().cols() != context_dim_))
    throw ShapeError(this->name() + ": expected a context of " + std::to_string(context_dim_) + " columns, got " +
                     std::to_string(pass.has_context() ? pass.context().cols() : 0));
}

namespace {

template <Scalar T>
void check_outputs(const Network<T>& network, const char* hook, Var<T> y) {
  if (y.cols() != network.outputs())
    throw ShapeError(network.name() + ": expected " + std::to_string(network.outputs()) + " outputs from " + hook +
                     ", got " + std::to_string(y.cols()));
}

}  // namespace

template <Scalar T>
Var<T> Network<T>::operator()(Pass<T>& pass, Var<T> x) const {
  check_shapes(pass, x);
  const typename Pass<T>::Part part(pass, this->name());
  const Var<T> y = do_evaluate(pass, x);
  check_outputs(*this, "do_evaluate", y);
  return y;
}

template <Scalar T>
Dual<T> Network<T>::tangent(Pass<T>& pass, Var<T> x, Var<T> v) const {
  check_shapes(pass, x);
  if (v.is_shared() || v.cols() != inputs_)
    throw ShapeError(this->name() + "::tangent: expected a direction of " + std::to_string(inputs_) +
                     " columns for each row, got " + std::to_string(v.cols()) +
                     (v.is_shared() ? " shared by all rows (see spread)" : ""));
  const typename Pass<T>::Part part(pass, this->name());
  const Dual<T> dual = do_tangent(pass, {x, v});
  check_outputs(*this, "do_tangent", dual.value);
  check_outputs(*this, "do_tangent", dual.tangent);
  return dual;
}

template <Scalar T>
Dual<T> Network<T>::do_tangent(Pass<T>&, Dual<T>) const {
  throw NotImplemented(this->name() + "::tangent: this network has no tangent; override do_tangent");
}

template class Network<float>;
template class Network<double>;

}  // namespace pushforward
