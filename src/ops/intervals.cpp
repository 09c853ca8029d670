#include "src/ops/intervals.hpp"

#include <cmath>

#include "src/ops/common.hpp"

namespace pushforward::detail {

template <Scalar T>
Var<T> replace_outside(Var<T> x, const ReplacementRange<T>& range, std::uint8_t* outside) {
  Tape<T>& tape = x.tape();
  const Index cols = x.cols(), n = tape.padded_rows(), rows = tape.local_rows();
  const bool closed = range.closed;  // a local: the marks below are bytes, which may alias anything
  const Var<T> y = tape.matrix(cols, x.wants_gradient());
  // Which elements were replaced, for the gradient.
  auto* replaced = y.wants_gradient() ? tape.template scratch<std::uint8_t>(cols * n) : nullptr;
  for (Index c = 0; c < cols; ++c) {
    const double low = range.low[c * range.stride], high = range.high[c * range.stride];
    const T substitute = range.replacement[c * range.stride];
    const T* in = address(x, c);
    T* out = address(y, c);
    for (Index i = 0; i < n; ++i) {
      const double v = static_cast<double>(in[i]);
      const bool out_of_range = closed ? (v < low || v > high) : (v <= low || v >= high);
      out[i] = out_of_range ? substitute : in[i];
      if (out_of_range && i < rows) outside[i] |= 1;
      if (replaced) replaced[c * n + i] = out_of_range;
    }
  }
  note(tape, Operation::replace_outside, std::tuple(y, outside),
       std::tuple(x, numbers_row(range.low, cols, range.stride), numbers_row(range.high, cols, range.stride),
                  shared_row(range.replacement, cols, range.stride)),
       {closed ? 1.0 : 0.0});
  record(y, [x, y, replaced, cols, n] {
    Tape<T>& tape = y.tape();
    for (Index c = 0; c < cols; ++c) {
      const T* gy = tape.gradient(y, c);
      T* gx = tape.gradient(x, c);
      for (Index i = 0; i < n; ++i) gx[i] += replaced[c * n + i] ? T(0) : gy[i];
    }
  });
  return y;
}

template <Scalar T>
Var<T> clamp_columns(Var<T> x, const T* low, const T* high) {
  Tape<T>& tape = x.tape();
  const Index n = tape.padded_rows();
  const Var<T> y = tape.matrix(x.cols(), x.wants_gradient());
  for (Index c = 0; c < x.cols(); ++c) {
    const T *in = address(x, c), from = low[c], to = high[c];
    T* out = address(y, c);
    for (Index i = 0; i < n; ++i) out[i] = in[i] < from ? from : in[i] > to ? to : in[i];
  }
  note(tape, Operation::clamp, std::tuple(y),
       std::tuple(x, shared_row(low, x.cols()), shared_row(high, x.cols())));
  record(y, [x, y, n] {
    Tape<T>& tape = y.tape();
    for (Index c = 0; c < x.cols(); ++c) kernel<T>().accumulate(tape.gradient(y, c), tape.gradient(x, c), n);
  });
  return y;
}

template <Scalar T>
Var<T> sigmoid_between(Var<T> x, const SigmoidRange<T>& range) {
  Tape<T>& tape = x.tape();
  const Index n = tape.padded_rows();
  const Var<T> y = tape.matrix(x.cols(), x.wants_gradient());
  // sigmoid(-|x|), the distance from the nearer bound in units of the width; kept for the gradient.
  T* distance = tape.template scratch<T>(y.wants_gradient() ? x.cols() * n : n);
  const Index step = y.wants_gradient() ? n : 0;
  for (Index c = 0; c < x.cols(); ++c) {
    const T low = range.low[c], high = range.high[c], width = range.width[c];
    const T first = range.first[c], last = range.last[c];
    const T* in = address(x, c);
    T *out = address(y, c), *s = distance + c * step;
    for (Index i = 0; i < n; ++i) s[i] = -std::abs(in[i]);
    kernel<T>().sigmoid(s, s, n);
    for (Index i = 0; i < n; ++i) {
      const T v = in[i] > T(0) ? high - width * s[i] : low + width * s[i];
      out[i] = v < first ? first : v > last ? last : v;
    }
  }
  note(tape, Operation::sigmoid_between, std::tuple(y),
       std::tuple(x, shared_row(range.low, x.cols()), shared_row(range.high, x.cols()),
                  shared_row(range.width, x.cols()), shared_row(range.first, x.cols()),
                  shared_row(range.last, x.cols())));
  record(y, [x, y, width = range.width, distance, n] {
    Tape<T>& tape = y.tape();
    for (Index c = 0; c < x.cols(); ++c) {
      const T *gy = tape.gradient(y, c), *s = distance + c * n;
      T* gx = tape.gradient(x, c);
      for (Index i = 0; i < n; ++i) gx[i] += gy[i] * (width[c] * s[i] * (T(1) - s[i]));
    }
  });
  return y;
}

#define PUSHFORWARD_INSTANTIATE(T)                                                          \
  template Var<T> replace_outside(Var<T>, const ReplacementRange<T>&, std::uint8_t*);       \
  template Var<T> clamp_columns(Var<T>, const T*, const T*);                                \
  template Var<T> sigmoid_between(Var<T>, const SigmoidRange<T>&);
PUSHFORWARD_INSTANTIATE(float)
PUSHFORWARD_INSTANTIATE(double)
#undef PUSHFORWARD_INSTANTIATE

}  // namespace pushforward::detail
