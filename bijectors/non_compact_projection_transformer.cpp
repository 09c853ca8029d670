#include <pushforward/bijectors/non_compact_projection_transformer.hpp>

#include "src/core/circle.hpp"
#include "src/core/checks.hpp"
#include "src/ops/circle.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
NonCompactProjectionTransformer<T>::NonCompactProjectionTransformer(double low, double high, double bound)
    : Transformer<T>("NonCompactProjectionTransformer", 2), low_(low), high_(high), bound_(bound) {
  do_restored();
}

// Half of the angle is that of the vector (c, s) = (cos, sin), which goes to (a c - b s, s) and back by (c + b s, a s).
template <Scalar T>
auto NonCompactProjectionTransformer<T>::map(bool back, Pass<T>& pass, Var<T> v, Params params) const -> Elements {
  const T per_half_angle = static_cast<T>((high_ - low_) / std::numbers::pi);
  const Var<T> half = (pass.restrict_to(v, do_domain()) - static_cast<T>(low_)) / per_half_angle;
  // The sine of a half angle that was rounded beyond pi would be of the other sign.
  const Var<T> c = cos(half), s = clamp(sin(half), T(0), T(1));
  const Var<T> log_a = soft_bound(params[0], bound_), a = exp(log_a), b = params[1];
  const Var<T> along = back ? c + b * s : a * c - b * s, across = back ? a * s : s;
  const Var<T> value = per_half_angle * atan2(across, along) + static_cast<T>(low_);
  return {clamp(value, static_cast<T>(low_), static_cast<T>(high_)), log_a - log(square(along) + square(across))};
}

template <Scalar T>
Interval NonCompactProjectionTransformer<T>::do_domain() const {
  return with_ends<T>(low_, high_);
}

template <Scalar T>
void NonCompactProjectionTransformer<T>::do_fields(Fields<T>& f) {
  f.type("non_compact_projection_transformer");
  f.constant("low", low_);
  f.constant("high", high_);
  f.constant("bound", bound_);
}

template <Scalar T>
void NonCompactProjectionTransformer<T>::do_restored() {
  check_period<T>("NonCompactProjectionTransformer", low_, high_);
  round_period<T>(low_, high_);
  check_shape_bound("NonCompactProjectionTransformer", bound_);
}

template class NonCompactProjectionTransformer<float>;
template class NonCompactProjectionTransformer<double>;

}  // namespace pushforward
