#include <algorithm>
#include <cmath>

#include <pushforward/packed_weights.hpp>

#include "src/ops/common.hpp"

namespace pushforward {

using namespace detail;

namespace {

template <class T>
kernels::Staircase<T> staircase(Var<T> weight, const LinearLayout& layout) {
  return {weight.node()->value, layout.prefix.data(), layout.offset.data()};
}

template <class T>
T* workspace(Tape<T>& tape, Index inputs) {
  const Index count = kernel<T>().scratch_size(std::max<Index>(inputs, 1));
  return static_cast<T*>(tape.workspace(static_cast<std::size_t>(count) * sizeof(T)));
}

template <class T>
LinearLayout dense_layout(Tape<T>& tape, Index outputs, Index inputs) {
  auto* prefix = tape.template scratch<Index>(outputs);
  auto* offset = tape.template scratch<Index>(outputs);
  std::fill_n(prefix, outputs, inputs);
  for (Index o = 0; o < outputs; ++o) offset[o] = o * inputs;
  return {{prefix, static_cast<std::size_t>(outputs)}, {offset, static_cast<std::size_t>(outputs)}};
}

// The weights and biases of the outputs of y alone.
template <class T>
void note_linear(Var<T> y, Var<T> x, Var<T> weight, Var<T> bias, const LinearLayout& layout, Index begin) {
  Trace* trace = y.tape().trace();
  if (!trace) [[likely]] return;
  const Operand output = operand(y);
  Operand inputs[3] = {operand(x), operand(weight), {}};
  if (bias) inputs[2] = operand(shared_row(bias.node()->value + begin, y.cols()));
  const auto from = static_cast<std::size_t>(begin), count = static_cast<std::size_t>(y.cols());
  trace->note({.operation = Operation::linear,
               .outputs = {&output, 1},
               .inputs = {inputs, bias ? std::size_t{3} : std::size_t{2}},
               .prefix = layout.prefix.subspan(from, count),
               .offset = layout.offset.subspan(from, count)});
}

}  // namespace

template <Scalar T>
Var<T> linear(Var<T> x, Var<T> weight, Var<T> bias) {
  if (weight.cols() != x.cols()) shape_error("linear", weight.cols(), x.cols());
  return linear(x, weight, bias, dense_layout(x.tape(), weight.node()->rows, weight.cols()));
}

template <Scalar T>
Var<T> linear(Var<T> x, Var<T> weight, Var<T> bias, const LinearLayout& layout) {
  const bool wanted = x.wants_gradient() || weight.wants_gradient() || (bias && bias.wants_gradient());
  const Var<T> y = x.tape().matrix(static_cast<Index>(layout.prefix.size()), wanted);
  linear_into(y, x, weight, bias, layout, 0);
  return y;
}

template <Scalar T>
void linear_into(Var<T> y, Var<T> x, Var<T> weight, Var<T> bias, const LinearLayout& layout, Index begin) {
  Tape<T>& tape = x.tape();
  const Index outputs = y.cols();
  const Index ld = tape.leading_dimension();
  const Index inputs = x.cols();
  if (tape.packed() && tape.rows() <= PackedWeights<T>::max_rows && !tape.recording() && begin == 0) {
    if (const T* packed = tape.packed()->find(weight.node()->value)) {
      kernel<T>().linear_packed(tape.rows(), address(x, 0), ld, packed, inputs, outputs,
                                bias ? bias.node()->value : nullptr, address(y, 0), ld);
      note_linear(y, x, weight, bias, layout, begin);
      return;
    }
  }
  // Kernels index outputs absolutely; `y` holds only those from `begin` on.
  kernel<T>().linear(tape.padded_rows(), address(x, 0), ld, staircase(weight, layout), begin, begin + outputs,
                     bias ? bias.node()->value : nullptr, false, address(y, 0) - begin * ld, ld,
                     workspace(tape, inputs));
  note_linear(y, x, weight, bias, layout, begin);
  if (!y.wants_gradient()) return;
  const LinearLayout kept = layout;
  if (x.wants_gradient())
    record(y, [=] {
      Tape<T>& tape = y.tape();
      kernel<T>().linear_backward_input(tape.padded_rows(), tape.gradient(y, 0) - begin * ld, ld,
                                        staircase(weight, kept), begin, begin + outputs, inputs, tape.gradient(x, 0),
                                        ld, workspace(tape, inputs));
    });
  if (weight.wants_gradient() || (bias && bias.wants_gradient()))
    tape.on_reduce(begin, begin + outputs, static_cast<Index>(kept.prefix.size()), [=](Index b, Index e) {
      if (!Tape<T>::has_gradient(y)) return;
      T* gw = weight.wants_gradient() ? weight.node()->gradient : nullptr;
      T* gb = bias && bias.wants_gradient() ? bias.node()->gradient : nullptr;
      const T* gy = full_gradient(y, 0) - begin * ld;
      if (gw)
        kernel<T>().linear_backward_weight(y.tape().rows(), gy, ld, full_column(x, 0), ld, kept.prefix.data(),
                                           kept.offset.data(), b, e, gw, gb, workspace(y.tape(), inputs));
      else
        for (Index o = b; o < e; ++o) gb[o] += static_cast<T>(kernel<T>().sum(gy + o * ld, y.tape().rows()));
    }, kept.offset.data());
}

// ---------------------------------------------------------------------------------------------------- triangular

namespace {

// The columns that column `o` reads besides its own.
struct Range {
  Index begin;
  Index end;
};
inline Range others(Index o, Index dim, bool lower) { return lower ? Range{0, o} : Range{o + 1, dim}; }

template <class T>
T diagonal_entry(Var<T> diagonal, Index o) {
  return diagonal ? diagonal.node()->value[o] : T(1);
}

// Adds the gradients of matrix and diagonal for y = (diagonal + M) x when `gy` is the adjoint of y and `factor` is
// +1, or for x = (diagonal + M)^-1 y when `gy` is the adjoint of y and `factor` is -1.
template <Scalar T>
void reduce_triangular(Var<T> x, Var<T> m, Var<T> diagonal, bool lower, const T* gy, T factor, Index begin,
                       Index end) {
  const Index dim = x.cols(), rows = x.tape().rows(), ld = x.node()->ld;
  for (Index o = begin; o < end; ++o) {
    const Range r = others(o, dim, lower);
    if (m.wants_gradient())
      for (Index k = r.begin; k < r.end; ++k)
        m.node()->gradient[o * dim + k] +=
            factor * static_cast<T>(kernel<T>().dot(gy + o * ld, full_column(x, k), rows));
    if (diagonal && diagonal.wants_gradient())
      diagonal.node()->gradient[o] += factor * static_cast<T>(kernel<T>().dot(gy + o * ld, full_column(x, o), rows));
  }
}

template <Scalar T>
void note_triangular(Operation operation, Var<T> y, Var<T> x, Var<T> m, Var<T> diagonal, bool lower) {
  if (diagonal)
    note(y.tape(), operation, std::tuple(y), std::tuple(x, m, diagonal), {lower ? 1.0 : 0.0});
  else
    note(y.tape(), operation, std::tuple(y), std::tuple(x, m), {lower ? 1.0 : 0.0});
}

template <Scalar T>
void check_triangular(const char* name, Var<T> x, Var<T> m, Var<T> diagonal) {
  if (m.cols() != x.cols() || m.node()->rows != x.cols()) shape_error(name, m.cols(), x.cols());
  if (diagonal && shared_size(diagonal) != x.cols()) shape_error(name, shared_size(diagonal), x.cols());
}

}  // namespace

template <Scalar T>
Var<T> triangular_multiply(Var<T> x, Var<T> m, Var<T> diagonal, bool lower) {
  check_triangular("triangular_multiply", x, m, diagonal);
  Tape<T>& tape = x.tape();
  const Index dim = x.cols(), n = tape.padded_rows();
  const bool wants_matrix = m.wants_gradient() || (diagonal && diagonal.wants_gradient());
  const Var<T> y = tape.matrix(dim, x.wants_gradient() || wants_matrix);
  for (Index o = 0; o < dim; ++o) {
    kernel<T>().scale_shift(address(x, o), diagonal_entry(diagonal, o), T(0), address(y, o), n);
    const Range r = others(o, dim, lower);
    for (Index k = r.begin; k < r.end; ++k)
      kernel<T>().axpy(m.node()->value[o * dim + k], address(x, k), address(y, o), n);
  }
  note_triangular(Operation::triangular_multiply, y, x, m, diagonal, lower);
  if (x.wants_gradient())
    record(y, [=] {
      Tape<T>& tape = y.tape();
      for (Index o = 0; o < dim; ++o) {
        kernel<T>().axpy(diagonal_entry(diagonal, o), tape.gradient(y, o), tape.gradient(x, o), n);
        const Range r = others(o, dim, lower);
        for (Index k = r.begin; k < r.end; ++k)
          kernel<T>().axpy(m.node()->value[o * dim + k], tape.gradient(y, o), tape.gradient(x, k), n);
      }
    });
  if (y.wants_gradient() && wants_matrix)
    tape.on_reduce(0, dim, dim, [=](Index begin, Index end) {
      if (Tape<T>::has_gradient(y))
        reduce_triangular(x, m, diagonal, lower, full_gradient(y, 0), T(1), begin, end);
    });
  return y;
}

template <Scalar T>
Var<T> triangular_solve(Var<T> y, Var<T> m, Var<T> diagonal, bool lower) {
  check_triangular("triangular_solve", y, m, diagonal);
  Tape<T>& tape = y.tape();
  const Index dim = y.cols(), n = tape.padded_rows();
  const bool wants_matrix = m.wants_gradient() || (diagonal && diagonal.wants_gradient());
  const Var<T> x = tape.matrix(dim, y.wants_gradient() || wants_matrix);
  for (Index i = 0; i < dim; ++i) {
    const Index o = lower ? i : dim - 1 - i;
    std::copy_n(address(y, o), n, address(x, o));
    const Range r = others(o, dim, lower);
    for (Index k = r.begin; k < r.end; ++k)
      kernel<T>().axpy(-m.node()->value[o * dim + k], address(x, k), address(x, o), n);
    if (diagonal) {
      T* out = address(x, o);
      const T d = diagonal_entry(diagonal, o);
      for (Index j = 0; j < n; ++j) out[j] /= d;
    }
  }
  note_triangular(Operation::triangular_solve, x, y, m, diagonal, lower);
  if (!x.wants_gradient()) return x;
  // Adjoint of y: h = A^-T g, solved in place of a copy of g in the opposite order; dA = -h x^T.
  T* adjoint = tape.template common<T>(dim * tape.leading_dimension());
  const Index ld = tape.leading_dimension();
  record(x, [=] {
    Tape<T>& tape = x.tape();
    T* h = adjoint + tape.begin();
    for (Index o = 0; o < dim; ++o) std::copy_n(tape.gradient(x, o), n, h + o * ld);
    for (Index i = 0; i < dim; ++i) {
      const Index o = lower ? dim - 1 - i : i;
      if (diagonal) {
        const T d = diagonal_entry(diagonal, o);
        for (Index j = 0; j < n; ++j) h[o * ld + j] /= d;
      }
      const Range r = others(o, dim, lower);
      for (Index k = r.begin; k < r.end; ++k)
        kernel<T>().axpy(-m.node()->value[o * dim + k], h + o * ld, h + k * ld, n);
      if (y.wants_gradient()) kernel<T>().accumulate(h + o * ld, tape.gradient(y, o), n);
    }
  });
  if (wants_matrix)
    tape.on_reduce(0, dim, dim, [=](Index begin, Index end) {
      if (Tape<T>::has_gradient(x)) reduce_triangular(x, m, diagonal, lower, adjoint, T(-1), begin, end);
    });
  return x;
}

#define PUSHFORWARD_INSTANTIATE(T)                                                                  \
  template Var<T> linear(Var<T>, Var<T>, Var<T>);                                                   \
  template Var<T> linear(Var<T>, Var<T>, Var<T>, const LinearLayout&);                              \
  template void linear_into(Var<T>, Var<T>, Var<T>, Var<T>, const LinearLayout&, Index);            \
  template Var<T> triangular_multiply(Var<T>, Var<T>, Var<T>, bool);                                \
  template Var<T> triangular_solve(Var<T>, Var<T>, Var<T>, bool);
PUSHFORWARD_INSTANTIATE(float)
PUSHFORWARD_INSTANTIATE(double)
#undef PUSHFORWARD_INSTANTIATE

}  // namespace pushforward
