#include <pushforward/distributions/standardized_context.hpp>

#include <string>
#include <vector>

#include <pushforward/bijectors/standardize.hpp>

namespace pushforward {

template <Scalar T>
StandardizedContext<T>::StandardizedContext(Poly<Distribution<T>> inner, VectorView<const double> shift,
                                            VectorView<const double> scale)
    : Distribution<T>("StandardizedContext(" + inner->name() + ")", inner->event_shape(), inner->context_dim()),
      inner_(std::move(inner)) {
  if (this->context_dim() == 0)
    throw ShapeError("StandardizedContext: " + inner_->name() + " takes no context");
  if (shift.size() != this->context_dim())
    throw ShapeError("StandardizedContext: expected a shift of " + std::to_string(this->context_dim()) +
                     " values, got " + std::to_string(shift.size()));
  const Standardize<T> checked(shift, scale);
  shift_ = checked.shift();
  scale_ = checked.scale();
}

template <Scalar T>
StandardizedContext<T>::StandardizedContext(const Description& d, const Registry& registry)
    : StandardizedContext(registry.distribution<T>(d.child("inner")),
                          std::vector<double>(static_cast<std::size_t>(d.integer("context_dim", 1, 1 << 20)), 0.0),
                          std::vector<double>(static_cast<std::size_t>(d.integer("context_dim", 1, 1 << 20)), 1.0)) {}

template <Scalar T>
template <class F>
auto StandardizedContext<T>::standardized(Pass<T>& pass, F f) const {
  struct Restore {
    Pass<T>& pass;
    Var<T> old;
    ~Restore() { pass.exchange_context(old); }
  };
  const Var<T> raw = pass.context();
  const Var<T> context = (raw - pass.parameter(shift_)) / pass.parameter(scale_);
  const Restore restore{pass, pass.exchange_context(context)};
  return f();
}

template <Scalar T>
Column<T> StandardizedContext<T>::do_log_prob(Pass<T>& pass, Var<T> y) const {
  return standardized(pass, [&] { return inner_->log_prob(pass, y); });
}
template <Scalar T>
bool StandardizedContext<T>::do_propose_start(Pass<T>& pass, Var<T> y, const double* weights) const {
  return standardized(pass, [&] { return inner_->propose_start(pass, y, weights); });
}
template <Scalar T>
Var<T> StandardizedContext<T>::do_sample(Pass<T>& pass) const {
  return standardized(pass, [&] { return inner_->sample(pass); });
}
template <Scalar T>
Drawn<T> StandardizedContext<T>::do_sample_and_log_prob(Pass<T>& pass) const {
  return standardized(pass, [&] { return inner_->sample_and_log_prob(pass); });
}

template <Scalar T>
void StandardizedContext<T>::do_visit(Visitor<T>& v) const {
  v.child("inner", *inner_);
  v.state("shift", shift_);
  v.state("scale", scale_);
}

template <Scalar T>
Description StandardizedContext<T>::do_describe() const {
  return {.type = "standardized_context",
          .constants = {{"context_dim", this->context_dim()}},
          .children = {{"inner", inner_->describe()}}};
}

template class StandardizedContext<float>;
template class StandardizedContext<double>;

}  // namespace pushforward
