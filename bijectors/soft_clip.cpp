#include <pushforward/bijectors/soft_clip.hpp>

#include <algorithm>
#include <cmath>

#include "bijectors/clamp.hpp"
#include "bijectors/hyperbolic.hpp"
#include "src/core/number_text.hpp"

namespace pushforward {

using namespace detail;

namespace {

double softplus_of(double v) { return std::max(v, 0.0) + std::log1p(std::exp(-std::abs(v))); }

}  // namespace

template <Scalar T>
SoftClipMap<T>::SoftClipMap(double low, double high, double hinge) : low_(low), high_(high), hinge_(hinge) {
  restored();
}

// With A = W / hinge and k = W / softplus(A), in the names of the formula v = A - softplus(u), and y is
//   high - k softplus(v) = low - k log(1 + (exp(-softplus(u)) - 1) sigmoid(A)):
// the second form keeps the digits of y - low, where softplus(u) is small.
template <Scalar T>
struct SoftClipMap<T>::Constants {
  T low, high, hinge, ratio, share, k, log_slope;
  static constexpr T near = T(0.7);

  explicit Constants(const SoftClipMap& map)
      : low(static_cast<T>(map.low_)), high(static_cast<T>(map.high_)), hinge(static_cast<T>(map.hinge_)) {
    const double width = static_cast<double>(high) - static_cast<double>(low), a = width / map.hinge_;
    ratio = static_cast<T>(a);
    share = static_cast<T>(1 / (1 + std::exp(-a)));
    k = static_cast<T>(width / softplus_of(a));
    log_slope = static_cast<T>(std::log(a / softplus_of(a)));
  }
};

template <Scalar T>
MappedElements<T> SoftClipMap<T>::forward(Var<T> x) const {
  const Constants c(*this);
  const Var<T> u = (x - c.low) / c.hinge, su = softplus(u), v = c.ratio - su;
  const Var<T> from_low = c.low - c.k * log1p(c.share * expm1(-clip(su, T(0), c.near)));
  const Var<T> far = is_positive(su - c.near), y = far * (c.high - c.k * softplus(v)) + (T(1) - far) * from_low;
  return {clamp(y, std::nextafter(c.low, c.high), std::nextafter(c.high, c.low)),
          c.log_slope - (softplus(-u) + softplus(-v))};
}

template <Scalar T>
MappedElements<T> SoftClipMap<T>::inverse(Var<T> y) const {
  const Constants c(*this);
  const Var<T> above = (y - c.low) / c.k, sv = clamp_positive((c.high - y) / c.k);
  const Var<T> from_low = -log1p(expm1(-clip(above, T(0), c.near)) / c.share);
  const Var<T> far = is_positive(above - c.near), from_high = c.ratio - (sv + log(-expm1(-sv)));
  const Var<T> su = clamp_positive(far * from_high + (T(1) - far) * from_low), log_u = log(-expm1(-su));
  return {c.low + c.hinge * (su + log_u), softplus(su - c.ratio) - log_u - c.log_slope};
}

template <Scalar T>
void SoftClipMap<T>::fields(Fields<T>& f) {
  f.constant("low", low_);
  f.constant("high", high_);
  f.constant("hinge", hinge_);
}

template <Scalar T>
void SoftClipMap<T>::restored() {
  const T low = static_cast<T>(low_), high = static_cast<T>(high_);
  if (!std::isfinite(high - low) || !(std::nextafter(low, high) < high))
    throw DomainError("SoftClip: expected finite bounds with low < high, got " + number_text(low_) + " and " +
                      number_text(high_));
  if (!(hinge_ > 0) || !std::isfinite(hinge_))
    throw DomainError("SoftClip: hinge must be positive and finite, got " + number_text(hinge_));
  codomain = {static_cast<double>(low), static_cast<double>(high)};
}

template struct SoftClipMap<float>;
template struct SoftClipMap<double>;

}  // namespace pushforward
