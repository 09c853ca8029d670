#include <pushforward/bijectors/affine.hpp>

#include "bijectors/log_scale.hpp"
#include "src/core/checks.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
Affine<T>::Affine(std::string name, Index dim, double bound)
    : ElementwiseBijector<T>(std::move(name), dim), shift_({dim}), log_scale_({dim}), bound_(bound) {
  Affine::do_restored();
}

template <Scalar T>
Affine<T>::Affine(Index dim, double bound) : Affine("Affine", dim, bound) {}

template <Scalar T>
Affine<T>::Affine(VectorView<const T> shift, VectorView<const T> log_scale, double bound)
    : Affine(shift.size(), bound) {
  if (log_scale.size() != shift.size())
    throw ShapeError("Affine: shift has " + std::to_string(shift.size()) + " values but log_scale has " +
                     std::to_string(log_scale.size()));
  for (Index i = 0; i < shift.size(); ++i) {
    shift_[i] = shift[i];
    log_scale_[i] = log_scale[i];
  }
}

template <Scalar T>
auto Affine<T>::values(Pass<T>& pass, Var<T>) const -> Values {
  return {pass.parameter(shift_), pass.parameter(log_scale_)};
}

template <Scalar T>
auto Affine<T>::do_forward_elements(Pass<T>& pass, Var<T> x) const -> Elements {
  const Values values = this->values(pass);
  const Var<T> s = bounded_log_scale(values.log_scale, bound_);
  return {x * exp(s) + values.shift, s};
}

template <Scalar T>
auto Affine<T>::do_inverse_elements(Pass<T>& pass, Var<T> y) const -> Elements {
  const Values values = this->values(pass, y);
  const Var<T> s = bounded_log_scale(values.log_scale, bound_);
  return {(y - values.shift) * exp(-s), -s};
}

template <Scalar T>
double Affine<T>::do_log_scale_bound() const {
  return largest_log_scale<T>(bound_) * static_cast<double>(this->dim());
}

template <Scalar T>
void Affine<T>::do_fields(Fields<T>& f) {
  f.type("affine");
  affine_fields(f);
}

template <Scalar T>
void Affine<T>::affine_fields(Fields<T>& f) {
  this->dim_field(f);
  f.constant("bound", bound_);
  f.parameter("shift", shift_, {this->dim()}, {.decay = false});
  f.parameter("log_scale", log_scale_, {this->dim()}, {.decay = false});
}

template <Scalar T>
void Affine<T>::do_restored() {
  check_bound(this->name().c_str(), "bound", bound_);
}

template class Affine<float>;
template class Affine<double>;

}  // namespace pushforward
