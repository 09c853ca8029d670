#pragma once

// What log densities are summed from: functions of learned rows, in double throughout, as normalisers and terms of
// opposite sign may be large.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>

#include "src/ops/common.hpp"

namespace pushforward::detail {

/// `value`, the same in every row: a function of the shared matrix x; derivative(i) is its derivative in element i.
template <Scalar T, class Derivative>
Column<T> column_of_shared(Var<T> x, double value, Derivative derivative) {
  Tape<T>& tape = x.tape();
  const Column<T> y = tape.column(x.wants_gradient());
  fill_column(y, value);
  // Each element is written by the thread that owns it in all other reductions.
  if (y.node()->wanted)
    tape.on_reduce(0, shared_size(x), shared_size(x), [x, y, derivative](Index begin, Index end) {
      if (!Tape<T>::has_gradient(y)) return;
      const double g = kernel<double>().sum(y.node()->gradient, y.node()->tape->rows());
      for (Index i = begin; i < end; ++i) x.node()->gradient[i] += static_cast<T>(g * derivative(i));
    });
  return y;
}

/// sum_c log density(x_c; p_c, q_c) for a density of two shared rows p and q. Density(p, q) has value(x) and the
/// derivatives in_x(x), in_p(x), in_q(x).
template <class Density, Scalar T>
Column<T> row_sum_of_density(Var<T> x, Var<T> p, Var<T> q) {
  const auto density = [p, q](Index c) {
    return Density(static_cast<double>(p.values()[c]), static_cast<double>(q.values()[c]));
  };
  Tape<T>& tape = x.tape();
  const Column<T> y = tape.column(x.wants_gradient() || p.wants_gradient() || q.wants_gradient());
  const Index n = tape.padded_rows();
  double* out = address(y);
  std::fill_n(out, n, 0.0);
  for (Index c = 0; c < x.cols(); ++c) {
    const Density f = density(c);
    const T* in = tape.value(x, c);  // what densities there are nobody can know
    for (Index i = 0; i < n; ++i) out[i] += f.value(static_cast<double>(in[i]));
  }
  if (x.wants_gradient())
    record(y, [x, y, density, n] {
      Tape<T>& tape = x.tape();
      const double* g = tape.gradient(y);
      for (Index c = 0; c < x.cols(); ++c) {
        const Density f = density(c);
        const T* in = address(x, c);
        T* gx = tape.gradient(x, c);
        for (Index i = 0; i < n; ++i) gx[i] += static_cast<T>(g[i] * f.in_x(static_cast<double>(in[i])));
      }
    });
  if (p.wants_gradient() || q.wants_gradient())
    tape.on_reduce(0, x.cols(), x.cols(), [x, p, q, y, density](Index begin, Index end) {
      if (!Tape<T>::has_gradient(y)) return;
      const double* g = y.node()->gradient;
      for (Index c = begin; c < end; ++c) {
        const Density f = density(c);
        const T* in = full_column(x, c);
        double in_p = 0, in_q = 0;
        for (Index i = 0; i < x.tape().rows(); ++i) {
          in_p += g[i] * f.in_p(static_cast<double>(in[i]));
          in_q += g[i] * f.in_q(static_cast<double>(in[i]));
        }
        if (p.wants_gradient()) p.node()->gradient[c] += static_cast<T>(in_p);
        if (q.wants_gradient()) q.node()->gradient[c] += static_cast<T>(in_q);
      }
    });
  return y;
}

/// sum_j log softmax(logits_c)[y_j] with c = columns[j], for categories y and shared logits (columns, categories). NaN
/// in y is NaN in the sum; y has no gradient.
template <Scalar T>
Column<T> row_sum_of_log_probabilities(Var<T> y, Var<T> logits, std::span<const std::int64_t> columns) {
  Tape<T>& tape = y.tape();
  const Index n = tape.padded_rows(), count = logits.cols(), used = y.cols();
  auto* kept = tape.template scratch<std::int64_t>(used);  // the caller's span need not live until backward
  std::copy(columns.begin(), columns.end(), kept);
  auto* log_totals = tape.template scratch<double>(used);
  const Column<T> sum = tape.column(logits.wants_gradient());
  double* out = address(sum);
  std::fill_n(out, n, 0.0);
  for (Index j = 0; j < used; ++j) {
    const T* row = logits.values() + kept[j] * count;
    const double top = static_cast<double>(*std::max_element(row, row + count));
    double total = 0;
    for (Index k = 0; k < count; ++k) total += std::exp(static_cast<double>(row[k]) - top);
    log_totals[j] = top + std::log(total);
    const T* v = tape.value(y, j);  // no step for it
    for (Index i = 0; i < n; ++i)
      out[i] += std::isnan(v[i]) ? static_cast<double>(v[i])
                                 : static_cast<double>(row[static_cast<Index>(v[i])]) - log_totals[j];
  }
  if (logits.wants_gradient())
    tape.on_reduce(0, shared_size(logits), shared_size(logits), [=](Index begin, Index end) {
      if (!Tape<T>::has_gradient(sum)) return;
      const Index rows = y.tape().rows(), count = logits.cols();
      const double* g = sum.node()->gradient;
      const double whole = kernel<double>().sum(g, rows);
      for (Index j = 0; j < y.cols(); ++j) {
        const Index base = kept[j] * count, first = std::max(begin, base), last = std::min(end, base + count);
        if (first >= last) continue;
        double* own = y.tape().template scratch<double>(last - first);
        for (Index e = first; e < last; ++e)
          own[e - first] = -whole * std::exp(static_cast<double>(logits.values()[e]) - log_totals[j]);
        const T* v = full_column(y, j);
        for (Index i = 0; i < rows; ++i) {
          if (std::isnan(v[i])) continue;
          const Index e = base + static_cast<Index>(v[i]);
          if (e >= first && e < last) own[e - first] += g[i];
        }
        for (Index e = first; e < last; ++e) logits.node()->gradient[e] += static_cast<T>(own[e - first]);
      }
    });
  return sum;
}

/// out = a | b, a & b or a & ~b for marks of the rows of this thread.
template <Scalar T>
void combine_marks(const Tape<T>& tape, Operation operation, std::uint8_t* out, const std::uint8_t* a,
                   const std::uint8_t* b) {
  for (Index i = 0; i < tape.padded_rows(); ++i)
    out[i] = operation == Operation::marks_or    ? a[i] | b[i]
             : operation == Operation::marks_and ? a[i] & b[i]
                                                 : a[i] & static_cast<std::uint8_t>(~b[i]);
  note(tape, operation, std::tuple(out), std::tuple(a, b));
}
template <Scalar T>
void copy_marks(const Tape<T>& tape, std::uint8_t* out, const std::uint8_t* marks) {
  std::copy_n(marks, tape.padded_rows(), out);
  note(tape, Operation::copy, std::tuple(out), std::tuple(marks));
}
template <Scalar T>
void fill_marks(const Tape<T>& tape, std::uint8_t* out, std::uint8_t value) {
  std::fill_n(out, tape.padded_rows(), value);
  note(tape, Operation::fill, std::tuple(out), std::tuple(), {static_cast<double>(value)});
}

/// x with `value`, and no gradient, in the rows of this thread that `mask`, kept by the caller, marks.
template <Scalar T>
Column<T> replace_rows(Tape<T>& tape, Column<T> x, const std::uint8_t* mask, double value) {
  const Column<T> y = tape.column(wanted(x));
  const Index n = tape.padded_rows();
  double* out = address(y);
  for (Index i = 0; i < n; ++i) out[i] = mask[i] ? value : x.is_zero() ? 0.0 : address(x)[i];
  if (x.is_zero()) note(tape, Operation::replace_rows, std::tuple(y), std::tuple(mask), {value});
  else note(tape, Operation::replace_rows, std::tuple(y), std::tuple(x, mask), {value});
  record(y, [x, y, mask, n] {
    Tape<T>& tape = *x.node()->tape;
    const double* g = tape.gradient(y);
    double* gx = tape.gradient(x);
    for (Index i = 0; i < n; ++i) gx[i] += mask[i] ? 0.0 : g[i];
  });
  return y;
}

}  // namespace pushforward::detail
