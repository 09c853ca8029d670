#include <pushforward/bijectors/affine.hpp>

#include "src/core/checks.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
Affine<T>::Affine(Index dim, double bound)
    : ElementwiseBijector<T>("Affine", dim), shift_({dim}), log_scale_({dim}), bound_(bound) {
  check_positive("Affine", "bound", bound);
}

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
typename Affine<T>::Elements Affine<T>::do_forward_elements(Pass<T>& pass, Var<T> x) const {
  const Var<T> s = soft_bound(pass.parameter(log_scale_), static_cast<T>(bound_));
  return {x * exp(s) + pass.parameter(shift_), s};
}

template <Scalar T>
typename Affine<T>::Elements Affine<T>::do_inverse_elements(Pass<T>& pass, Var<T> y) const {
  const Var<T> s = soft_bound(pass.parameter(log_scale_), static_cast<T>(bound_));
  return {(y - pass.parameter(shift_)) * exp(-s), -s};
}

template <Scalar T>
void Affine<T>::do_fields(Fields<T>& f) {
  f.type("affine");
  this->dim_field(f);
  f.constant("bound", bound_);
  f.parameter("shift", shift_, {this->dim()}, {.decay = false});
  f.parameter("log_scale", log_scale_, {this->dim()}, {.decay = false});
}

template <Scalar T>
void Affine<T>::do_restored() {
  check_positive("Affine", "bound", bound_);
}

template class Affine<float>;
template class Affine<double>;

}  // namespace pushforward
