#include <pushforward/bijectors/circular_shift.hpp>

#include <cmath>
#include <string>

#include "src/core/circle.hpp"
#include "src/ops/circle.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
CircularShift<T>::CircularShift(VectorView<const T> shift, double low, double high, bool trainable)
    : Bijector<T>("CircularShift", shift.size()), low_(low), high_(high), shift_({shift.size()}), trainable_(trainable) {
  do_restored();
  for (Index i = 0; i < shift.size(); ++i) {
    shift_[i] = shift[i];
    if (!std::isfinite(shift[i]))
      throw DomainError("CircularShift: shift " + std::to_string(i) + " is " + number_text(shift[i]));
  }
}

template <Scalar T>
CircularShift<T>::CircularShift(Index dim, double low, double high)
    : Bijector<T>("CircularShift", dim), low_(low), high_(high), shift_({dim}, static_cast<T>(0.5 * (high - low))) {
  do_restored();
}

template <Scalar T>
Var<T> CircularShift<T>::restricted(Pass<T>& pass, Var<T> v) const {
  const Interval closed = with_ends<T>(low_, high_);
  return pass.restrict_to(v, closed.low, closed.high, static_cast<T>(0.5 * low_ + 0.5 * high_));
}

template <Scalar T>
Mapped<T> CircularShift<T>::do_forward(Pass<T>& pass, Var<T> x) const {
  return {wrap(restricted(pass, x) + pass.parameter(shift_), static_cast<T>(low_), static_cast<T>(high_)), {}};
}

template <Scalar T>
Mapped<T> CircularShift<T>::do_inverse(Pass<T>& pass, Var<T> y) const {
  return {wrap(restricted(pass, y) - pass.parameter(shift_), static_cast<T>(low_), static_cast<T>(high_)), {}};
}

template <Scalar T>
void CircularShift<T>::do_fields(Fields<T>& f) {
  f.type("circular_shift");
  this->dim_field(f);
  f.constant("low", low_);
  f.constant("high", high_);
  f.optional("trainable", trainable_, true);
  f.parameter("shift", shift_, {this->dim()}, {.decay = false, .trainable = trainable_});
}

template <Scalar T>
void CircularShift<T>::do_restored() {
  check_period<T>("CircularShift", low_, high_);
  round_period<T>(low_, high_);
}

template class CircularShift<float>;
template class CircularShift<double>;

}  // namespace pushforward
