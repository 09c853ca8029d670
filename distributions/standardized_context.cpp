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
void StandardizedContext<T>::do_fields(Fields<T>& f) {
  f.type("standardized_context");
  f.part("inner", inner_);
  Index context_dim = inner_->context_dim();
  f.constant("context_dim", context_dim, context_dim, context_dim);
  f.state("shift", shift_, {context_dim});
  f.state("scale", scale_, {context_dim});
}

template <Scalar T>
void StandardizedContext<T>::do_restored() {
  this->set_name("StandardizedContext(" + inner_->name() + ")");
  this->set_shape(inner_->event_shape(), inner_->context_dim());
}

template class StandardizedContext<float>;
template class StandardizedContext<double>;

}  // namespace pushforward
