#pragma once

#include <pushforward/ops.hpp>

namespace pushforward {

/// A batch matrix and its derivative along a direction: a map f of rows takes (x, v) to (f(x), J v), J the Jacobian
/// of f at the row. Both parts are made of operations, so reverse mode through `tangent` gives second-order terms.
///
/// A network whose formula is written once for any V in {Var<T>, Dual<T>} has both its value and its tangent: linear
/// layers, activations, `Pass::dropout` and the sums and products below take either.
template <Scalar T>
struct Dual {
  Var<T> value;
  Var<T> tangent;
};

/// (a(x), a'(x) v).
template <Scalar T>
Dual<T> activation(Activation a, Dual<T> x) {
  if (a == Activation::identity) return x;
  return {activation(a, x.value), x.tangent * activation_derivative(a, x.value)};
}
/// Not in place: the derivative reads x.
template <Scalar T>
Dual<T> activation_in_place(Activation a, Dual<T> x) {
  return activation(a, x);
}

template <Scalar T>
Dual<T> operator+(Dual<T> a, Dual<T> b) {
  return {a.value + b.value, a.tangent + b.tangent};
}
/// b is held fixed.
template <Scalar T>
Dual<T> operator+(Dual<T> a, Var<T> b) {
  return {a.value + b, a.tangent};
}
template <Scalar T>
Dual<T> operator*(Dual<T> a, Var<T> b) {
  return {a.value * b, a.tangent * b};
}

/// A batch matrix of zeros: the tangent of what is held fixed.
template <Scalar T>
Var<T> zeros(Tape<T>& tape, Index cols) {
  const Var<T> y = tape.matrix(cols, false);
  for (Index c = 0; c < cols; ++c) std::fill_n(tape.value(y, c), tape.padded_rows(), T(0));
  return y;
}

/// x beside columns that are held fixed.
template <Scalar T>
Var<T> beside(Var<T> x, Var<T> fixed) {
  return concatenate<T>({x, fixed});
}
template <Scalar T>
Dual<T> beside(Dual<T> x, Var<T> fixed) {
  return {concatenate<T>({x.value, fixed}), concatenate<T>({x.tangent, zeros(fixed.tape(), fixed.cols())})};
}

}  // namespace pushforward
