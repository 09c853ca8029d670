#include <algorithm>
#include <cmath>

#include "src/ops/common.hpp"

namespace pushforward {

using namespace detail;

namespace {

template <class T>
void note_places(Operation operation, Var<T> y, Var<T> x, std::span<const std::int64_t> index) {
  Trace* trace = y.tape().trace();
  if (!trace) [[likely]] return;
  const Operand output = operand(y), input = operand(x);
  trace->note({operation, {&output, 1}, {&input, 1}, {}, index});
}

}  // namespace

template <Scalar T>
Var<T> columns(Var<T> x, Index begin, Index count) {
  if (x.is_shared()) return shared_columns(x, begin, count);
  if (begin < 0 || count < 0 || begin + count > x.cols()) shape_error("columns", begin + count, x.cols());
  return x.tape().columns(x, begin, count);
}

template <Scalar T>
Var<T> shared_columns(Var<T> x, Index begin, Index count) {
  if (begin < 0 || count < 0 || begin + count > shared_size(x)) shape_error("columns", begin + count, x.cols());
  const Var<T> y = x.tape().shared(1, count, x.wants_gradient());
  std::fill_n(y.node()->value, whole_blocks(count), T(0));
  std::copy_n(x.node()->value + begin, count, y.node()->value);
  record(y, [x, y, begin, count] {
    for (Index i = 0; i < count; ++i) x.node()->gradient[begin + i] += y.node()->gradient[i];
  });
  return y;
}

template <Scalar T>
Var<T> concatenate(std::span<const Var<T>> parts) {
  if (parts.empty()) throw ShapeError("concatenate: expected at least one part, got none");
  Index cols = 0;
  bool wanted = false;
  for (const Var<T>& part : parts) {
    if (part.is_shared()) throw ShapeError("concatenate: expected batch matrices, got one shared by all rows");
    cols += part.cols();
    wanted = wanted || part.wants_gradient();
  }
  Tape<T>& tape = parts[0].tape();
  const Var<T> y = tape.matrix(cols, wanted);
  Index at = 0;
  for (const Var<T>& part : parts) {
    assign(tape.columns(y, at, part.cols()), part);
    at += part.cols();
  }
  return y;
}

template <Scalar T>
std::span<const Var<T>> split_columns(Var<T> x, Index parts) {
  if (parts < 1 || x.cols() % parts != 0) shape_error("split_columns", parts, x.cols());
  const Index each = x.cols() / parts;
  Var<T>* groups = x.tape().template scratch<Var<T>>(parts);
  for (Index p = 0; p < parts; ++p) new (groups + p) Var<T>(columns(x, p * each, each));
  return {groups, static_cast<std::size_t>(parts)};
}

template <Scalar T>
void assign(Var<T> y, Var<T> x) {
  if (x.is_shared() || x.cols() != y.cols()) shape_error("assign", y.cols(), x.is_shared() ? 0 : x.cols());
  Tape<T>& tape = y.tape();
  for (Index c = 0; c < x.cols(); ++c) std::copy_n(address(x, c), tape.padded_rows(), address(y, c));
  note(tape, Operation::copy, std::tuple(y), std::tuple(x));
  if (x.wants_gradient())
    record(y, [x, y] {
      Tape<T>& tape = y.tape();
      for (Index c = 0; c < x.cols(); ++c)
        kernel<T>().accumulate(tape.gradient(y, c), tape.gradient(x, c), tape.padded_rows());
    });
}

template <Scalar T>
Var<T> gather_columns(Var<T> x, std::span<const std::int64_t> index) {
  Tape<T>& tape = x.tape();
  const Index available = x.is_shared() ? shared_size(x) : x.cols();
  for (const std::int64_t i : index)
    if (i < 0 || i >= available) shape_error("gather_columns", static_cast<Index>(i) + 1, available);
  // The caller's span need not live until backward.
  auto* kept = tape.template scratch<std::int64_t>(static_cast<Index>(index.size()));
  std::copy(index.begin(), index.end(), kept);
  if (x.is_shared()) {
    const Var<T> y = tape.shared(1, static_cast<Index>(index.size()), x.wants_gradient());
    std::fill_n(y.node()->value, whole_blocks(y.cols()), T(0));
    for (Index c = 0; c < y.cols(); ++c) y.node()->value[c] = x.node()->value[kept[c]];
    record(y, [x, y, kept] {
      for (Index c = 0; c < y.cols(); ++c) x.node()->gradient[kept[c]] += y.node()->gradient[c];
    });
    return y;
  }
  const Var<T> y = tape.matrix(static_cast<Index>(index.size()), x.wants_gradient());
  for (Index c = 0; c < y.cols(); ++c)
    std::copy_n(address(x, index[static_cast<std::size_t>(c)]), tape.padded_rows(), address(y, c));
  note_places(Operation::gather, y, x, index);
  if (y.wants_gradient()) {
    record(y, [x, y, kept] {
      Tape<T>& tape = y.tape();
      for (Index c = 0; c < y.cols(); ++c)
        kernel<T>().accumulate(tape.gradient(y, c), tape.gradient(x, kept[c]), tape.padded_rows());
    });
  }
  return y;
}

template <Scalar T>
Var<T> replace_columns(Var<T> x, Var<T> y, std::span<const std::int64_t> index) {
  Tape<T>& tape = x.tape();
  if (tape.recording()) throw NotImplemented("replace_columns: has no gradient");
  if (static_cast<Index>(index.size()) != y.cols())
    shape_error("replace_columns", static_cast<Index>(index.size()), y.cols());
  const Var<T> result = tape.matrix(x.cols(), false);
  assign(result, x);
  for (Index j = 0; j < y.cols(); ++j)
    std::copy_n(address(y, j), tape.padded_rows(), address(result, index[static_cast<std::size_t>(j)]));
  note_places(Operation::scatter, result, y, index);
  return result;
}

template <Scalar T>
Var<T> spread(Tape<T>& tape, Var<T> row) {
  if (!row.is_shared() || row.node()->rows != 1)
    throw ShapeError("spread: expected a shared row, got a matrix of " + std::to_string(row.cols()) + " columns");
  const Var<T> y = tape.matrix(row.cols(), row.wants_gradient());
  for (Index c = 0; c < y.cols(); ++c) std::fill_n(address(y, c), tape.padded_rows(), row.node()->value[c]);
  note(tape, Operation::copy, std::tuple(y), std::tuple(row));
  if (y.wants_gradient()) {
    tape.on_reduce(0, y.cols(), y.cols(), [row, y](Index begin, Index end) {
      if (!Tape<T>::has_gradient(y)) return;
      for (Index c = begin; c < end; ++c)
        row.node()->gradient[c] += static_cast<T>(kernel<T>().sum(full_gradient(y, c), y.tape().rows()));
    });
  }
  return y;
}

// ------------------------------------------------------------------------------------------------------- columns

namespace {

template <Scalar T>
void accumulate(Column<T> to, const double* g, double factor) {
  Tape<T>& tape = *to.node()->tape;
  double* gradient = tape.gradient(to);
  for (Index i = 0, n = tape.padded_rows(); i < n; ++i) gradient[i] += factor * g[i];
}

// y = f(x) row by row; derivative(x, y).
template <Scalar T, class Forward, class Derivative>
Column<T> column_function(Operation operation, std::initializer_list<double> numbers, Column<T> x, Forward forward,
                          Derivative derivative) {
  Tape<T>& tape = *x.node()->tape;
  const Column<T> y = tape.column(wanted(x));
  forward(address(x), address(y), tape.padded_rows());
  note(tape, operation, std::tuple(y), std::tuple(x), numbers);
  record(y, [x, y, derivative] {
    Tape<T>& tape = *x.node()->tape;
    const double *px = address(x), *py = address(y), *gy = tape.gradient(y);
    double* gx = tape.gradient(x);
    for (Index i = 0, n = tape.padded_rows(); i < n; ++i) gx[i] += gy[i] * derivative(px[i], py[i]);
  });
  return y;
}

}  // namespace

template <Scalar T>
Column<T> row_sum(Var<T> x) {
  Tape<T>& tape = x.tape();
  const Column<T> y = tape.column(x.wants_gradient());
  double* out = address(y);
  const Index n = tape.padded_rows();
  if (x.is_shared()) {
    double sum = 0;
    for (Index i = 0; i < shared_size(x); ++i) sum += static_cast<double>(x.node()->value[i]);
    fill_column(y, sum);
    if (y.node()->wanted)
      tape.on_shared([x, y] {
        if (!Tape<T>::has_gradient(y)) return;
        const T g = static_cast<T>(kernel<double>().sum(y.node()->gradient, y.node()->tape->rows()));
        for (Index i = 0; i < shared_size(x); ++i) x.node()->gradient[i] += g;
      });
    return y;
  }
  std::fill_n(out, n, 0.0);
  for (Index c = 0; c < x.cols(); ++c) kernel<T>().accumulate_column(address(x, c), out, n);
  note(tape, Operation::row_sum, std::tuple(y), std::tuple(x));
  record(y, [x, y] {
    Tape<T>& tape = x.tape();
    for (Index c = 0; c < x.cols(); ++c)
      kernel<T>().spread_column(tape.gradient(y), tape.gradient(x, c), tape.padded_rows());
  });
  return y;
}

template <Scalar T>
Column<T> row_sum_of_squares(Var<T> x) {
  const auto square = [](T v) { return static_cast<double>(v) * static_cast<double>(v); };
  Tape<T>& tape = x.tape();
  const Column<T> y = tape.column(x.wants_gradient());
  double* out = address(y);
  const Index n = tape.padded_rows();
  if (x.is_shared()) {
    double sum = 0;
    for (Index i = 0; i < shared_size(x); ++i) sum += square(x.node()->value[i]);
    fill_column(y, sum);
    if (y.node()->wanted)
      tape.on_shared([x, y] {
        if (!Tape<T>::has_gradient(y)) return;
        const double g = kernel<double>().sum(y.node()->gradient, y.node()->tape->rows());
        for (Index i = 0; i < shared_size(x); ++i)
          x.node()->gradient[i] += static_cast<T>(2.0 * g * static_cast<double>(x.node()->value[i]));
      });
    return y;
  }
  std::fill_n(out, n, 0.0);
  for (Index c = 0; c < x.cols(); ++c) {
    const T* in = address(x, c);
    for (Index i = 0; i < n; ++i) out[i] += square(in[i]);
  }
  note(tape, Operation::row_sum_of_squares, std::tuple(y), std::tuple(x));
  record(y, [x, y, n] {
    Tape<T>& tape = x.tape();
    const double* g = tape.gradient(y);
    for (Index c = 0; c < x.cols(); ++c) {
      const T* in = address(x, c);
      T* gx = tape.gradient(x, c);
      for (Index i = 0; i < n; ++i) gx[i] += static_cast<T>(2.0 * g[i] * static_cast<double>(in[i]));
    }
  });
  return y;
}

template <Scalar T>
Column<T> constant_column(Tape<T>& tape, double value) {
  const Column<T> y = tape.column(false);
  fill_column(y, value);
  return y;
}

template <Scalar T>
Column<T> operator+(Column<T> a, Column<T> b) {
  if (a.is_zero()) return b;
  if (b.is_zero()) return a;
  Tape<T>& tape = *a.node()->tape;
  const Column<T> y = tape.column(wanted(a) || wanted(b));
  const double *pa = address(a), *pb = address(b);
  double* py = address(y);
  for (Index i = 0, n = tape.padded_rows(); i < n; ++i) py[i] = pa[i] + pb[i];
  note(tape, Operation::add, std::tuple(y), std::tuple(a, b));
  record(y, [a, b, y] {
    const double* g = y.node()->tape->gradient(y);
    if (wanted(a)) accumulate(a, g, 1.0);
    if (wanted(b)) accumulate(b, g, 1.0);
  });
  return y;
}

template <Scalar T>
Column<T> scale_shift(Column<T> x, double scale, double shift) {
  if (x.is_zero()) {
    if (shift == 0) return x;
    throw ShapeError("scale_shift: a zero Column has no rows to shift; use constant_column");
  }
  return column_function(
      Operation::scale_shift, {scale, shift}, x,
      [scale, shift](const double* x, double* y, Index n) {
        for (Index i = 0; i < n; ++i) y[i] = scale * x[i] + shift;
      },
      [scale](double, double) { return scale; });
}

template <Scalar T>
Column<T> operator-(Column<T> a) {
  return scale_shift(a, -1.0, 0.0);
}

template <Scalar T>
Column<T> operator-(Column<T> a, Column<T> b) {
  return a + (-b);
}

template <Scalar T>
Column<T> multiply(Column<T> a, Column<T> b) {
  if (a.is_zero()) return a;
  if (b.is_zero()) return b;
  Tape<T>& tape = *a.node()->tape;
  const Column<T> y = tape.column(wanted(a) || wanted(b));
  const double *pa = address(a), *pb = address(b);
  double* py = address(y);
  for (Index i = 0, n = tape.padded_rows(); i < n; ++i) py[i] = pa[i] * pb[i];
  note(tape, Operation::multiply, std::tuple(y), std::tuple(a, b));
  record(y, [a, b, y, pa, pb] {
    Tape<T>& tape = *y.node()->tape;
    const double* g = tape.gradient(y);
    const Index n = tape.padded_rows();
    if (wanted(a)) {
      double* ga = tape.gradient(a);
      for (Index i = 0; i < n; ++i) ga[i] += g[i] * pb[i];
    }
    if (wanted(b)) {
      double* gb = tape.gradient(b);
      for (Index i = 0; i < n; ++i) gb[i] += g[i] * pa[i];
    }
  });
  return y;
}

template <Scalar T>
Column<T> exp(Column<T> x) {
  return column_function(Operation::exp, {}, x, kernel<double>().exp, [](double, double y) { return y; });
}

template <Scalar T>
Column<T> log1p(Column<T> x) {
  return column_function(Operation::log1p, {}, x, kernel<double>().log1p,
                         [](double x, double) { return 1.0 / (1.0 + x); });
}

template <Scalar T>
Column<T> log_sum_exp(std::span<const Column<T>> x) {
  if (x.empty()) throw ShapeError("log_sum_exp: expected at least one column, got none");
  Tape<T>& tape = *x[0].node()->tape;
  bool want = false;
  for (const Column<T>& c : x) want = want || wanted(c);
  const Column<T> y = tape.column(want);
  double* py = address(y);
  const Index n = tape.padded_rows();
  for (Index i = 0; i < n; ++i) {
    double top = address(x[0])[i];
    for (const Column<T>& c : x) top = address(c)[i] > top ? address(c)[i] : top;
    double sum = 0;
    for (const Column<T>& c : x) sum += std::exp(address(c)[i] - top);
    // All terms -inf: the difference above is NaN, the answer is -inf.
    py[i] = std::isinf(top) ? top : top + std::log(sum);
  }
  if (Trace* trace = tape.trace()) [[unlikely]] {
    Operand* inputs = tape.template scratch<Operand>(static_cast<Index>(x.size()));
    for (std::size_t k = 0; k < x.size(); ++k) inputs[k] = operand(x[k]);
    const Operand output = operand(y);
    trace->note({Operation::log_sum_exp, {&output, 1}, {inputs, x.size()}});
  }
  if (y.node()->wanted)
    for (const Column<T>& part : x) {
      if (!wanted(part)) continue;
      const Column<T> c = part;
      record(y, [c, y] {
        Tape<T>& tape = *y.node()->tape;
        const double *px = address(c), *py = address(y), *g = tape.gradient(y);
        double* gx = tape.gradient(c);
        for (Index i = 0, n = tape.padded_rows(); i < n; ++i)
          if (!std::isinf(py[i])) gx[i] += g[i] * std::exp(px[i] - py[i]);
      });
    }
  return y;
}

template <Scalar T>
Var<T> to_matrix(Column<T> x) {
  Tape<T>& tape = *x.node()->tape;
  const Var<T> y = tape.matrix(1, wanted(x));
  const double* px = address(x);
  T* py = address(y, 0);
  for (Index i = 0, n = tape.padded_rows(); i < n; ++i) py[i] = static_cast<T>(px[i]);
  note(tape, Operation::copy, std::tuple(y), std::tuple(x));
  record(y, [x, y] {
    Tape<T>& tape = y.tape();
    kernel<T>().accumulate_column(tape.gradient(y, 0), tape.gradient(x), tape.padded_rows());
  });
  return y;
}

#define PUSHFORWARD_INSTANTIATE(T)                                              \
  template Var<T> columns(Var<T>, Index, Index);                                \
  template Var<T> shared_columns(Var<T>, Index, Index);                         \
  template Var<T> concatenate(std::span<const Var<T>>);                         \
  template std::span<const Var<T>> split_columns(Var<T>, Index);                \
  template void assign(Var<T>, Var<T>);                                         \
  template Var<T> gather_columns(Var<T>, std::span<const std::int64_t>);        \
  template Var<T> replace_columns(Var<T>, Var<T>, std::span<const std::int64_t>); \
  template Var<T> spread(Tape<T>&, Var<T>);                                     \
  template Column<T> row_sum(Var<T>);                                           \
  template Column<T> row_sum_of_squares(Var<T>);                                \
  template Column<T> constant_column(Tape<T>&, double);                         \
  template Column<T> operator+(Column<T>, Column<T>);                           \
  template Column<T> operator-(Column<T>, Column<T>);                           \
  template Column<T> operator-(Column<T>);                                      \
  template Column<T> scale_shift(Column<T>, double, double);                    \
  template Column<T> multiply(Column<T>, Column<T>);                            \
  template Column<T> exp(Column<T>);                                            \
  template Column<T> log1p(Column<T>);                                          \
  template Column<T> log_sum_exp(std::span<const Column<T>>);                   \
  template Var<T> to_matrix(Column<T>);
PUSHFORWARD_INSTANTIATE(float)
PUSHFORWARD_INSTANTIATE(double)
#undef PUSHFORWARD_INSTANTIATE

}  // namespace pushforward
