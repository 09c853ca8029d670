#include <pushforward/bijectors/log_tanh.hpp>

#include <limits>

#include "bijectors/bounded_tanh.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
LogTanhMap<T>::LogTanhMap(double bound) : bound_(bound) {
  restored();
}

template <Scalar T>
MappedElements<T> LogTanhMap<T>::forward(Var<T> x) const {
  const BoundedTanh<T> tanh_(bound_);
  const Var<T> inside = tanh_.inside(x);
  const Var<T> stretch = log(clip(abs(x) / tanh_.bound, T(1), std::numeric_limits<T>::infinity()));
  return {tanh(inside) + tanh_.bound * tanh_.slope * (sign(x) * stretch), tanh_.log_slope(inside) - stretch};
}

template <Scalar T>
MappedElements<T> LogTanhMap<T>::inverse(Var<T> y) const {
  const BoundedTanh<T> tanh_(bound_);
  const Var<T> inside = tanh_.image_inside(y);
  const MappedElements<T> back = TanhMap<T>::inverse(inside);
  const Var<T> stretch = abs(y - inside) / (tanh_.bound * tanh_.slope);
  return {back.value + tanh_.bound * (sign(y) * expm1(stretch)), back.log_derivative + stretch};
}

template <Scalar T>
void LogTanhMap<T>::fields(Fields<T>& f) {
  f.constant("bound", bound_);
}

template <Scalar T>
void LogTanhMap<T>::restored() {
  BoundedTanh<T>::check("LogTanh", bound_);
}

template struct LogTanhMap<float>;
template struct LogTanhMap<double>;

}  // namespace pushforward
