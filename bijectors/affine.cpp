#include <pushforward/bijectors/affine.hpp>

#include <cmath>

namespace pushforward {

template <Scalar T>
Affine<T>::Affine(Index dim, double bound)
    : ElementwiseBijector<T>("Affine", dim), shift_({dim}), log_scale_({dim}), bound_(bound) {
  if (!(bound > 0) || !std::isfinite(bound))
    throw DomainError("Affine: bound must be positive and finite, got " + std::to_string(bound));
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
Affine<T>::Affine(const Description& d) : Affine(d.integer("dim", 1, 1 << 20), d.number("bound")) {}

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
void Affine<T>::do_visit(Visitor<T>& v) const {
  v.parameter("shift", shift_, {.decay = false});
  v.parameter("log_scale", log_scale_, {.decay = false});
}

template <Scalar T>
Description Affine<T>::do_describe() const {
  return {.type = "affine", .constants = {{"dim", this->dim()}, {"bound", bound_}}, .children = {}};
}

template class Affine<float>;
template class Affine<double>;

}  // namespace pushforward
