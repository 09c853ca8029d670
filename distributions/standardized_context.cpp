#include <pushforward/distributions/standardized_context.hpp>

#include <string>

#include <pushforward/bijectors/standardize.hpp>

namespace pushforward {

template <Scalar T>
StandardizedContext<T>::StandardizedContext(Poly<Distribution<T>> inner, VectorView<const double> shift,
                                            VectorView<const double> scale)
    : Wrapper<Distribution<T>>("StandardizedContext", std::move(inner)) {
  if (this->context_dim() == 0)
    throw ShapeError("StandardizedContext: " + this->inner().name() + " takes no context");
  if (shift.size() != this->context_dim())
    throw ShapeError("StandardizedContext: expected a shift of " + std::to_string(this->context_dim()) +
                     " values, got " + std::to_string(shift.size()));
  const Standardize<T> checked(shift, scale);
  shift_ = checked.shift();
  scale_ = checked.scale();
}

template <Scalar T>
Var<T> StandardizedContext<T>::do_context(Pass<T>& pass) const {
  return (pass.context() - pass.parameter(shift_)) / pass.parameter(scale_);
}

template <Scalar T>
void StandardizedContext<T>::do_fields(Fields<T>& f) {
  f.type("standardized_context");
  Wrapper<Distribution<T>>::do_fields(f);
  Index context_dim = this->inner().context_dim();
  f.constant("context_dim", context_dim, context_dim, context_dim);
  f.state("shift", shift_, {context_dim});
  f.state("scale", scale_, {context_dim}, {.positive = true});
}

template class StandardizedContext<float>;
template class StandardizedContext<double>;

}  // namespace pushforward
