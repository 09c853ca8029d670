#include <pushforward/bijectors/moebius_transformer.hpp>

#include <cmath>
#include <string>

#include "src/core/circle.hpp"
#include "bijectors/log_sum_exp.hpp"

namespace pushforward {

using namespace detail;

namespace {

constexpr double largest_radius = 0.99;

}  // namespace

template <Scalar T>
MoebiusTransformer<T>::MoebiusTransformer(Index components, double low, double high)
    : Transformer<T>("MoebiusTransformer", 3 * components), components_(components), low_(low), high_(high) {
  do_restored();
}

template <Scalar T>
auto MoebiusTransformer<T>::do_forward(Pass<T>&, Var<T>, Params) const -> Elements {
  throw NotImplemented("MoebiusTransformer::forward: has no closed form; put it into a NumericalInverse");
}

// With a = w . z and b = w x z the angle of 1 - w / z is atan(b / (1 - a)): 1 - a is positive, so no branch is needed.
template <Scalar T>
auto MoebiusTransformer<T>::do_inverse(Pass<T>& pass, Var<T> y, Params params) const -> Elements {
  const auto count = static_cast<std::size_t>(components_);
  const T per_angle = static_cast<T>((high_ - low_) / (2 * std::numbers::pi));
  const Var<T> inside = pass.restrict_to(y, do_domain());
  const Var<T> theta = (inside - static_cast<T>(low_)) / per_angle;
  const Var<T> cosine = cos(theta), sine = sin(theta);
  Var<T> total, moved, slope;
  for (std::size_t k = 0; k < count; ++k) total = log_add_exp(total, params[k]);
  for (std::size_t k = 0; k < count; ++k) {
    const Var<T> u = params[count + k], v = params[2 * count + k];
    const Var<T> length = sqrt(square(u) + square(v) + T(1)) / static_cast<T>(largest_radius);
    const Var<T> w_x = u / length, w_y = v / length;
    const Var<T> rest = T(1) - (w_x * cosine + w_y * sine), across = w_x * sine - w_y * cosine;
    const Var<T> p = exp(params[k] - total);
    const Var<T> turned = T(2) * (atan(across / rest) + atan(w_y / (T(1) - w_x)));
    const Var<T> own = (T(1) - (square(w_x) + square(w_y))) / (square(rest) + square(across));
    moved = moved ? moved + p * turned : p * turned;
    slope = slope ? slope + p * own : p * own;
  }
  return {clamp(inside + per_angle * moved, static_cast<T>(low_), static_cast<T>(high_)), log(slope)};
}

template <Scalar T>
double MoebiusTransformer<T>::do_log_scale_bound() const {
  return std::log((1 + largest_radius) / (1 - largest_radius));
}

template <Scalar T>
Interval MoebiusTransformer<T>::do_domain() const {
  return with_ends<T>(low_, high_);
}

template <Scalar T>
void MoebiusTransformer<T>::do_fields(Fields<T>& f) {
  f.type("moebius_transformer");
  f.constant("components", components_, 1, Index{1} << 16);
  f.constant("low", low_);
  f.constant("high", high_);
}

template <Scalar T>
void MoebiusTransformer<T>::do_restored() {
  if (components_ < 1)
    throw ShapeError("MoebiusTransformer: expected at least one component, got " + std::to_string(components_));
  check_period<T>("MoebiusTransformer", low_, high_);
  round_period<T>(low_, high_);
  this->set_multiplier(3 * components_);
}

template class MoebiusTransformer<float>;
template class MoebiusTransformer<double>;

}  // namespace pushforward
