#include <algorithm>
#include <cmath>

#include "src/ops/common.hpp"

namespace pushforward {

using namespace detail;

namespace {

/// reduce(values of all rows, number of rows) in every row; weight(x_i, y) is the derivative of the result y in x_i.
/// Each thread computes the whole sum, so that all have the same bits without exchanging it.
template <Scalar T, class Reduce, class Weight>
Column<T> over_batch(Column<T> x, Reduce reduce, Weight weight) {
  Tape<T>& tape = *x.node()->tape;
  const Column<T> y = tape.column(x.node()->wanted);
  tape.barrier();
  std::fill_n(tape.value(y), tape.padded_rows(), reduce(x.node()->value, tape.rows()));
  if (y.node()->wanted)
    tape.on_backward([x, y, weight] {
      if (!Tape<T>::has_gradient(y)) return;
      Tape<T>& tape = *x.node()->tape;
      tape.barrier();  // every thread has its rows of the gradient
      const double g = kernel<double>().sum(y.node()->gradient, tape.rows());
      const double *px = tape.value(x), *py = tape.value(y);
      double* gx = tape.gradient(x);
      for (Index i = 0; i < tape.local_rows(); ++i) gx[i] += g * weight(px[i], py[i]);
    });
  return y;
}

}  // namespace

template <Scalar T>
Column<T> batch_sum(Column<T> x) {
  if (x.is_zero()) return x;
  return over_batch(x, kernel<double>().sum, [](double, double) { return 1.0; });
}

template <Scalar T>
Column<T> batch_log_sum_exp(Column<T> x) {
  if (x.is_zero()) throw ShapeError("batch_log_sum_exp: a zero column knows no batch; use constant_column");
  return over_batch(
      x,
      [](const double* values, Index rows) {
        const double top = rows == 0 ? -std::numeric_limits<double>::infinity() : *std::max_element(values, values + rows);
        if (std::isinf(top)) return top;
        double sum = 0;
        for (Index i = 0; i < rows; ++i) sum += std::exp(values[i] - top);
        return top + std::log(sum);
      },
      [](double v, double total) { return std::isinf(total) ? 0.0 : std::exp(v - total); });
}

template Column<float> batch_sum(Column<float>);
template Column<double> batch_sum(Column<double>);
template Column<float> batch_log_sum_exp(Column<float>);
template Column<double> batch_log_sum_exp(Column<double>);

}  // namespace pushforward
