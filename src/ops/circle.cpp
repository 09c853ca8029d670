#include "src/ops/circle.hpp"

#include <cmath>

#include "src/ops/common.hpp"

namespace pushforward::detail {

template <Scalar T>
Var<T> wrap(Var<T> x, T low, T high) {
  Tape<T>& tape = x.tape();
  const Var<T> y = tape.matrix(x.cols(), x.wants_gradient());
  const T period = high - low;
  for (Index c = 0; c < x.cols(); ++c) {
    const T* in = tape.value(x, c);
    T* out = tape.value(y, c);
    for (Index i = 0; i < tape.padded_rows(); ++i) {
      const T v = in[i];
      if (v >= low && v < high) {
        out[i] = v;
        continue;
      }
      const T moved = v - period * std::floor((v - low) / period);
      out[i] = moved < high ? std::fmax(moved, low) : moved >= high ? low : moved;  // NaN stays
    }
  }
  record(y, [x, y] {
    Tape<T>& tape = y.tape();
    for (Index c = 0; c < x.cols(); ++c)
      kernel<T>().accumulate(tape.gradient(y, c), tape.gradient(x, c), tape.padded_rows());
  });
  return y;
}

template <Scalar T>
Var<T> atan2(Var<T> y, Var<T> x) {
  if (y.cols() != x.cols()) shape_error("atan2", y.cols(), x.cols());
  Tape<T>& tape = x.tape();
  const Var<T> angle = tape.matrix(x.cols(), x.wants_gradient() || y.wants_gradient());
  for (Index c = 0; c < x.cols(); ++c) {
    const T *py = tape.value(y, c), *px = tape.value(x, c);
    T* out = tape.value(angle, c);
    for (Index i = 0; i < tape.padded_rows(); ++i) out[i] = std::atan2(py[i], px[i]);
  }
  record(angle, [x, y, angle] {
    Tape<T>& tape = x.tape();
    for (Index c = 0; c < x.cols(); ++c) {
      const T *py = tape.value(y, c), *px = tape.value(x, c), *g = tape.gradient(angle, c);
      T* gy = y.wants_gradient() ? tape.gradient(y, c) : nullptr;
      T* gx = x.wants_gradient() ? tape.gradient(x, c) : nullptr;
      for (Index i = 0; i < tape.local_rows(); ++i) {
        const T square = px[i] * px[i] + py[i] * py[i];
        if (gy) gy[i] += g[i] * px[i] / square;
        if (gx) gx[i] -= g[i] * py[i] / square;
      }
    }
  });
  return angle;
}

template Var<float> wrap(Var<float>, float, float);
template Var<double> wrap(Var<double>, double, double);
template Var<float> atan2(Var<float>, Var<float>);
template Var<double> atan2(Var<double>, Var<double>);

}  // namespace pushforward::detail
