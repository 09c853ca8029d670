#include "src/ops/matrix.hpp"

#include <Eigen/LU>
#include <unsupported/Eigen/MatrixFunctions>

#include "src/ops/common.hpp"

namespace pushforward::detail {

namespace {

template <Scalar T>
Index rows_of(const char* call, Var<T> a) {
  if (!a.is_shared()) throw ShapeError(std::string(call) + ": expected a matrix that all rows share, got a batch");
  return a.node()->rows;
}

/// c(i, j) += sum_k a(i, k) b(k, j), with the entry (i, k) of a at a[i * ai + k * ak].
template <Scalar T>
void accumulate_product(Index n, Index inner, Index m, const T* a, Index ai, Index ak, const T* b, Index bk, Index bj,
                        T* c) {
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < m; ++j) {
      double sum = 0;
      for (Index k = 0; k < inner; ++k)
        sum += static_cast<double>(a[i * ai + k * ak]) * static_cast<double>(b[k * bk + j * bj]);
      c[i * m + j] += static_cast<T>(sum);
    }
}

using Square = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <Scalar T>
using SharedMap = Eigen::Map<Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;

template <Scalar T>
Index size_of_square(const char* call, Var<T> a) {
  const Index n = rows_of(call, a);
  if (a.cols() != n)
    throw ShapeError(std::string(call) + ": expected a square matrix, got " + std::to_string(n) + " rows of " +
                     std::to_string(a.cols()) + " columns");
  return n;
}
template <Scalar T>
Square square_of(Var<T> a, const T* values) {
  return SharedMap<T>(const_cast<T*>(values), a.node()->rows, a.cols()).template cast<double>();
}
template <Scalar T>
void add_gradient(Var<T> a, const Square& g) {
  SharedMap<T>(a.node()->gradient, a.node()->rows, a.cols()) += g.cast<T>();
}

template <Scalar T>
Var<T> zeros(Tape<T>& tape, Index rows, Index cols, bool wanted) {
  const Var<T> y = tape.shared(rows, cols, wanted);
  std::fill_n(y.node()->value, whole_blocks(rows * cols), T(0));
  return y;
}

}  // namespace

template <Scalar T>
Var<T> matmul(Var<T> a, Var<T> b) {
  const Index n = rows_of("matmul", a), inner = rows_of("matmul", b), m = b.cols();
  if (a.cols() != inner)
    throw ShapeError("matmul: " + std::to_string(a.cols()) + " columns meet " + std::to_string(inner) + " rows");
  const Var<T> y = zeros(a.tape(), n, m, a.wants_gradient() || b.wants_gradient());
  accumulate_product(n, inner, m, a.node()->value, inner, 1, b.node()->value, m, 1, y.node()->value);
  record(y, [a, b, y, n, inner, m] {
    const T* gy = y.node()->gradient;
    if (a.wants_gradient())  // gy b'
      accumulate_product(n, m, inner, gy, m, 1, b.node()->value, 1, m, a.node()->gradient);
    if (b.wants_gradient())  // a' gy
      accumulate_product(inner, n, m, a.node()->value, 1, inner, gy, m, 1, b.node()->gradient);
  });
  return y;
}

template <Scalar T>
Var<T> transpose(Var<T> a) {
  const Index n = rows_of("transpose", a), m = a.cols();
  const Var<T> y = zeros(a.tape(), m, n, a.wants_gradient());
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < m; ++j) y.node()->value[j * n + i] = a.node()->value[i * m + j];
  record(y, [a, y, n, m] {
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < m; ++j) a.node()->gradient[i * m + j] += y.node()->gradient[j * n + i];
  });
  return y;
}

template <Scalar T>
Var<T> inverse(Var<T> a) {
  const Index n = size_of_square("inverse", a);
  const Var<T> y = zeros(a.tape(), n, n, a.wants_gradient());
  SharedMap<T>(y.node()->value, n, n) = Square(square_of(a, a.node()->value).partialPivLu().inverse()).cast<T>();
  record(y, [a, y] {
    const Square inverse = square_of(y, y.node()->value);
    add_gradient(a, Square(-inverse.transpose() * square_of(y, y.node()->gradient) * inverse.transpose()));
  });
  return y;
}

template <Scalar T>
Var<T> log_abs_det(Var<T> a) {
  size_of_square("log_abs_det", a);
  const Var<T> y = zeros(a.tape(), 1, 1, a.wants_gradient());
  const Eigen::PartialPivLU<Square> lu(square_of(a, a.node()->value));
  y.node()->value[0] = static_cast<T>(lu.matrixLU().diagonal().array().abs().log().sum());
  record(y, [a, y] {
    const double g = static_cast<double>(y.node()->gradient[0]);
    add_gradient(a, Square(g * square_of(a, a.node()->value).partialPivLu().inverse().transpose()));
  });
  return y;
}

template <Scalar T>
Var<T> matrix_exponential(Var<T> a) {
  const Index n = size_of_square("matrix_exponential", a);
  const Var<T> y = zeros(a.tape(), n, n, a.wants_gradient());
  SharedMap<T>(y.node()->value, n, n) = Square(square_of(a, a.node()->value).exp()).cast<T>();
  record(y, [a, y, n] {
    // exp of [a' g; 0 a'] has in its corner the adjoint derivative at a, applied to g.
    Square block = Square::Zero(2 * n, 2 * n);
    block.topLeftCorner(n, n) = square_of(a, a.node()->value).transpose();
    block.bottomRightCorner(n, n) = block.topLeftCorner(n, n);
    block.topRightCorner(n, n) = square_of(y, y.node()->gradient);
    const Square whole = block.exp();
    add_gradient(a, Square(whole.topRightCorner(n, n)));
  });
  return y;
}

template Var<float> matmul(Var<float>, Var<float>);
template Var<double> matmul(Var<double>, Var<double>);
template Var<float> transpose(Var<float>);
template Var<double> transpose(Var<double>);
template Var<float> inverse(Var<float>);
template Var<double> inverse(Var<double>);
template Var<float> log_abs_det(Var<float>);
template Var<double> log_abs_det(Var<double>);
template Var<float> matrix_exponential(Var<float>);
template Var<double> matrix_exponential(Var<double>);

}  // namespace pushforward::detail
