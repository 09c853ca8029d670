#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>

#include "src/core/number_text.hpp"
#include "src/numerics/special_functions.hpp"
#include "src/ops/common.hpp"

namespace pushforward {

using namespace detail;

namespace {

// y, the result of an operation on x, noted unless both are constants.
template <Scalar T>
[[gnu::always_inline]] inline Var<T> noted(Operation operation, Var<T> x, Var<T> y,
                                           std::initializer_list<double> numbers = {}) {
  if (!y.is_shared()) note(y.tape(), operation, std::tuple(y), std::tuple(x), numbers);
  return y;
}

// y = f(x) over contiguous pieces; backward(x, y, gy, gx, n) accumulates into gx.
template <Scalar T, class Forward, class Backward>
Var<T> unary(Var<T> x, Forward forward, Backward backward, bool kernel_backward = true) {
  const Var<T> y = like(x, x.wants_gradient());
  for (Index i = 0; i < pieces(x); ++i) forward(piece(x, i), piece(y, i), piece_size(x));
  record(y, [x, y, backward, kernel_backward] {
    const Index n = kernel_backward ? piece_size(x) : exact_piece_size(x);
    for (Index i = 0; i < pieces(x); ++i)
      backward(piece(x, i), piece(y, i), gradient_piece(y, i), gradient_piece(x, i), n);
  });
  return y;
}

// The same with the derivative as a function of one x and one y.
template <Scalar T, class Forward, class Derivative>
Var<T> pointwise(Operation operation, Var<T> x, Forward forward, Derivative derivative,
                 std::initializer_list<double> numbers = {}) {
  const auto backward = [derivative](const T* x, const T* y, const T* gy, T* gx, Index n) {
    for (Index i = 0; i < n; ++i) gx[i] += gy[i] * derivative(x[i], y[i]);
  };
  return noted(operation, x, unary(x, forward, backward, false), numbers);
}

template <Scalar T, class F>
auto each(F f) {
  return [f](const T* x, T* y, Index n) {
    for (Index i = 0; i < n; ++i) y[i] = f(x[i]);
  };
}

/// What moves a value into [low, high]; NaN stays.
template <Scalar T>
auto between(const char* name, T low, T high) {
  if (!(low <= high))
    throw DomainError(std::string(name) + ": expected low <= high, got " + number_text(low) + " and " +
                      number_text(high));
  return [low, high](T v) { return v < low ? low : v > high ? high : v; };
}

}  // namespace

template <Scalar T>
Var<T> exp(Var<T> x) {
  const Var<T> y = unary(x, kernel<T>().exp, [](const T*, const T* y, const T* gy, T* gx, Index n) {
    kernel<T>().multiply_accumulate(gy, y, gx, n);
  });
  return noted(Operation::exp, x, y);
}
template <Scalar T>
Var<T> log(Var<T> x) {
  return pointwise(Operation::log, x, kernel<T>().log, [](T x, T) { return T(1) / x; });
}
template <Scalar T>
Var<T> log1p(Var<T> x) {
  return pointwise(Operation::log1p, x, kernel<T>().log1p, [](T x, T) { return T(1) / (T(1) + x); });
}
template <Scalar T>
Var<T> expm1(Var<T> x) {
  return pointwise(Operation::expm1, x, kernel<T>().expm1, [](T, T y) { return y + T(1); });
}
template <Scalar T>
Var<T> tanh(Var<T> x) {
  return activation(Activation::tanh, x);
}
template <Scalar T>
Var<T> sigmoid(Var<T> x) {
  return activation(Activation::sigmoid, x);
}
template <Scalar T>
Var<T> softplus(Var<T> x) {
  return activation(Activation::softplus, x);
}
template <Scalar T>
Var<T> erf(Var<T> x) {
  constexpr T two_over_sqrt_pi = T(1.1283791670955126);
  return pointwise(Operation::erf, x, kernel<T>().erf, [](T x, T) { return two_over_sqrt_pi * std::exp(-x * x); });
}
template <Scalar T>
Var<T> erfinv(Var<T> x) {
  constexpr T half_sqrt_pi = T(0.88622692545275801);
  return pointwise(Operation::erfinv, x, kernel<T>().erfinv, [](T, T y) { return half_sqrt_pi * std::exp(y * y); });
}
template <Scalar T>
Var<T> sqrt(Var<T> x) {
  return pointwise(Operation::sqrt, x, kernel<T>().sqrt, [](T, T y) { return T(0.5) / y; });
}
template <Scalar T>
Var<T> square(Var<T> x) {
  return pointwise(Operation::square, x, each<T>([](T v) { return v * v; }), [](T x, T) { return T(2) * x; });
}
template <Scalar T>
Var<T> abs(Var<T> x) {
  return pointwise(Operation::abs, x, each<T>([](T v) { return std::abs(v); }),
                   [](T x, T) { return T((x > 0) - (x < 0)); });
}
template <Scalar T>
Var<T> sin(Var<T> x) {
  return pointwise(Operation::sin, x, each<T>([](T v) { return std::sin(v); }), [](T x, T) { return std::cos(x); });
}
template <Scalar T>
Var<T> cos(Var<T> x) {
  return pointwise(Operation::cos, x, each<T>([](T v) { return std::cos(v); }), [](T x, T) { return -std::sin(x); });
}
template <Scalar T>
Var<T> atan(Var<T> x) {
  return pointwise(Operation::atan, x, each<T>([](T v) { return std::atan(v); }),
                   [](T x, T) { return T(1) / (T(1) + x * x); });
}
template <Scalar T>
Var<T> lgamma(Var<T> x) {
  // std::lgamma writes the global signgam.
  const auto forward = each<T>([](T v) { return T(::lgamma_r(static_cast<double>(v), std::array<int, 1>{}.data())); });
  return pointwise(Operation::lgamma, x, forward, [](T x, T) { return T(digamma(static_cast<double>(x))); });
}

template <Scalar T>
Var<T> log1p_square(Var<T> x) {
  // Beyond the limit 1 + x^2 rounds to x^2.
  constexpr T limit = sizeof(T) == 4 ? T(1e9) : T(1e18);
  const auto forward = [](const T* x, T* y, Index n) {
    for (Index i = 0; i < n; ++i) y[i] = x[i] * x[i];
    kernel<T>().log1p(y, y, n);
    for (Index i = 0; i < n; ++i)
      if (std::abs(x[i]) > limit) y[i] = T(2) * std::log(std::abs(x[i]));
  };
  return pointwise(Operation::log1p_square, x, forward,
                   [](T x, T) { return std::abs(x) > limit ? T(2) / x : T(2) * x / (T(1) + x * x); });
}

template <Scalar T>
Var<T> asinh(Var<T> x) {
  // sign(x) log1p(|x| + x^2 / (1 + sqrt(1 + x^2))); beyond the limit 1 + x^2 rounds to x^2.
  constexpr T limit = sizeof(T) == 4 ? T(1e9) : T(1e18);
  const auto forward = [](const T* x, T* y, Index n) {
    for (Index i = 0; i < n; ++i) {
      const T size = std::abs(x[i]) < limit ? std::abs(x[i]) : limit;
      y[i] = size + size * (size / (T(1) + std::sqrt(T(1) + size * size)));
    }
    kernel<T>().log1p(y, y, n);
    for (Index i = 0; i < n; ++i) {
      const T size = std::abs(x[i]);
      y[i] = size <= limit ? std::copysign(y[i], x[i]) : std::copysign(std::log(size) + std::numbers::ln2_v<T>, x[i]);
    }
  };
  const auto derivative = [](T x, T) {
    return std::abs(x) > limit ? T(1) / std::abs(x) : T(1) / std::sqrt(T(1) + x * x);
  };
  return pointwise(Operation::asinh, x, forward, derivative);
}

template <Scalar T>
Var<T> log_ndtr(Var<T> x) {
  const auto backward = [](const T* x, const T*, const T* gy, T* gx, Index n) {
    constexpr Index block = 64;
    T hazard[block];
    for (Index i = 0; i < n; i += block) {
      const Index count = std::min(block, n - i);
      kernel<T>().log_normal_hazard(x + i, hazard, count);
      kernel<T>().exp(hazard, hazard, count);
      kernel<T>().multiply_accumulate(gy + i, hazard, gx + i, count);
    }
  };
  return noted(Operation::log_ndtr, x, unary(x, kernel<T>().log_ndtr, backward, false));
}
template <Scalar T>
Var<T> ndtri_exp(Var<T> x) {
  const auto forward = each<T>([](T v) { return T(normal_quantile_of_log(static_cast<double>(v))); });
  return pointwise(Operation::ndtri_exp, x, forward, [](T x, T y) {
    return T(1 / log_normal_cdf_slope(static_cast<double>(y), static_cast<double>(x)));
  });
}
template <Scalar T>
Var<T> lambert_w(Var<T> x) {
  const auto forward = each<T>([](T v) { return T(lambert_w0(static_cast<double>(v))); });
  return pointwise(Operation::lambert_w, x, forward, [](T, T y) { return std::exp(-y) / (T(1) + y); });
}

template <Scalar T>
Var<T> clamp(Var<T> x, std::type_identity_t<T> low, std::type_identity_t<T> high) {
  const Var<T> y = unary(x, each<T>(between("clamp", low, high)),
                         [](const T*, const T*, const T* gy, T* gx, Index n) { kernel<T>().accumulate(gy, gx, n); });
  return noted(Operation::clamp, x, y, {static_cast<double>(low), static_cast<double>(high)});
}

template <Scalar T>
Var<T> clip(Var<T> x, std::type_identity_t<T> low, std::type_identity_t<T> high) {
  // A NaN gives its derivative on.
  const auto derivative = [low, high](T x, T) { return T(!(x < low) && !(x > high)); };
  return pointwise(Operation::clamp, x, each<T>(between("clip", low, high)), derivative,
                   {static_cast<double>(low), static_cast<double>(high)});
}

template <Scalar T>
Var<T> activation(Activation a, Var<T> x) {
  const Var<T> y = unary(
      x, [a](const T* x, T* y, Index n) { kernel<T>().activation(a, x, y, n); },
      [a](const T* x, const T* y, const T* gy, T* gx, Index n) {
        kernel<T>().activation_backward(a, x, y, gy, gx, n);
      });
  return noted(Operation::activation, x, y, {static_cast<double>(a)});
}

template <Scalar T>
Var<T> activation_derivative(Activation a, Var<T> x) {
  const Var<T> d = unary(
      x, [a](const T* x, T* d, Index n) { kernel<T>().activation_derivative(a, x, d, n); },
      [a](const T* x, const T*, const T* gd, T* gx, Index n) {
        kernel<T>().activation_second_backward(a, x, gd, gx, n);
      },
      false);
  return noted(Operation::activation_derivative, x, d, {static_cast<double>(a)});
}

template <Scalar T>
Var<T> activation_in_place(Activation a, Var<T> x) {
  if (a == Activation::identity) return x;
  if (!kernels::derivative_follows_from_value(a) || x.is_shared()) return activation(a, x);
  for (Index i = 0; i < pieces(x); ++i) kernel<T>().activation(a, piece(x, i), piece(x, i), piece_size(x));
  record(x, [x, a] {
    for (Index i = 0; i < pieces(x); ++i)
      kernel<T>().activation_backward_in_place(a, piece(x, i), gradient_piece(x, i), piece_size(x));
  });
  return noted(Operation::activation, x, x, {static_cast<double>(a)});
}

template <Scalar T>
Var<T> scale_shift(Var<T> x, T scale, T shift) {
  const Var<T> y = unary(
      x, [scale, shift](const T* x, T* y, Index n) { kernel<T>().scale_shift(x, scale, shift, y, n); },
      [scale](const T*, const T*, const T* gy, T* gx, Index n) { kernel<T>().axpy(scale, gy, gx, n); });
  return noted(Operation::scale_shift, x, y, {static_cast<double>(scale), static_cast<double>(shift)});
}

template <Scalar T>
Var<T> operator-(Var<T> x) {
  return scale_shift(x, T(-1), T(0));
}

template <Scalar T>
Var<T> soft_bound(Var<T> x, double bound) {
  if (!(bound > 0)) throw DomainError("soft_bound: the bound must be positive, got " + number_text(bound));
  if (bound > std::sqrt(static_cast<double>(std::numeric_limits<T>::max()))) return x;
  const T b = std::max(static_cast<T>(bound), std::numeric_limits<T>::min());
  return b * tanh(x / b);
}

// --------------------------------------------------------------------------------------------- binary arithmetic

namespace {

// The four operations: of one value each and the partial derivatives times gy, for operands that are repeated; and over
// n values by kernels, where `backward` accumulates into ga and gb, each unless null.
template <class T>
struct Add {
  static T value(T a, T b) { return a + b; }
  static T da(T, T, T gy) { return gy; }
  static T db(T, T, T gy) { return gy; }
  static constexpr auto kernel = &kernels::Table<T>::add;
  static void backward(const kernels::Table<T>& k, const T*, const T*, const T* gy, T* ga, T* gb, Index n) {
    if (ga) k.accumulate(gy, ga, n);
    if (gb) k.accumulate(gy, gb, n);
  }
};
template <class T>
struct Subtract {
  static T value(T a, T b) { return a - b; }
  static T da(T, T, T gy) { return gy; }
  static T db(T, T, T gy) { return -gy; }
  static constexpr auto kernel = &kernels::Table<T>::subtract;
  static void backward(const kernels::Table<T>& k, const T*, const T*, const T* gy, T* ga, T* gb, Index n) {
    if (ga) k.accumulate(gy, ga, n);
    if (gb) k.axpy(T(-1), gy, gb, n);
  }
};
template <class T>
struct Multiply {
  static T value(T a, T b) { return a * b; }
  static T da(T, T b, T gy) { return gy * b; }
  static T db(T a, T, T gy) { return gy * a; }
  static constexpr auto kernel = &kernels::Table<T>::multiply;
  static void backward(const kernels::Table<T>& k, const T* a, const T* b, const T* gy, T* ga, T* gb, Index n) {
    if (ga) k.multiply_accumulate(gy, b, ga, n);
    if (gb) k.multiply_accumulate(gy, a, gb, n);
  }
};
template <class T>
struct Divide {
  static T value(T a, T b) { return a / b; }
  static T da(T, T b, T gy) { return gy / b; }
  static T db(T a, T b, T gy) { return -gy * a / (b * b); }
  static constexpr auto kernel = &kernels::Table<T>::divide;
  static void backward(const kernels::Table<T>& k, const T* a, const T* b, const T* gy, T* ga, T* gb, Index n) {
    k.divide_backward(a, b, gy, ga, gb, n);
  }
};

template <Scalar T, class Op>
Var<T> same_size(Var<T> a, Var<T> b) {
  const Var<T> y = like(a, a.wants_gradient() || b.wants_gradient());
  for (Index i = 0; i < pieces(a); ++i) (kernel<T>().*Op::kernel)(piece(a, i), piece(b, i), piece(y, i), piece_size(a));
  record(y, [a, b, y] {
    for (Index i = 0; i < pieces(a); ++i)
      Op::backward(kernel<T>(), piece(a, i), piece(b, i), gradient_piece(y, i),
                   a.wants_gradient() ? gradient_piece(a, i) : nullptr,
                   b.wants_gradient() ? gradient_piece(b, i) : nullptr, exact_piece_size(a));
  });
  return y;
}

// Operands in swapped order, so that "batch op shared" serves both orders.
template <template <class> class Op, class T>
struct Swapped {
  static T value(T a, T b) { return Op<T>::value(b, a); }
  static T da(T a, T b, T gy) { return Op<T>::db(b, a, gy); }
  static T db(T a, T b, T gy) { return Op<T>::da(b, a, gy); }
};

// Sum over all rows of the batch in row order, sixteen interleaved partial sums as in the kernels.
template <class F>
double sum_rows(Index rows, F term) {
  double lanes[16] = {};
  for (Index i = 0; i < rows; ++i) lanes[i % 16] += static_cast<double>(term(i));
  double total = 0;
  for (double lane : lanes) total += lane;
  return total;
}

// A batch (or a larger shared matrix) a with a shared row or single value b.
template <Scalar T, class Op>
Var<T> broadcast(Var<T> a, Var<T> b) {
  const bool single = shared_size(b) == 1;
  const Var<T> y = like(a, a.wants_gradient() || b.wants_gradient());
  const T* pb = b.node()->value;
  // Column by column, as each has its own value of b.
  const Index count = a.is_shared() ? 1 : a.cols();
  for (Index i = 0; i < count; ++i) {
    const T* pa = piece(a, i);
    T* py = piece(y, i);
    const T vb = pb[single ? 0 : i];
    for (Index j = 0, n = column_size(a); j < n; ++j) py[j] = Op::value(pa[j], vb);
  }
  if (a.wants_gradient())
    record(y, [a, b, y, pb, single, count] {
      for (Index i = 0; i < count; ++i) {
        const T *pa = piece(a, i), *gy = gradient_piece(y, i);
        T* ga = gradient_piece(a, i);
        const T vb = pb[single ? 0 : i];
        for (Index j = 0, n = a.is_shared() ? shared_size(a) : column_size(a); j < n; ++j)
          ga[j] += Op::da(pa[j], vb, gy[j]);
      }
    });
  if (b.wants_gradient()) {
    if (a.is_shared()) {
      record(y, [a, b, y] {
        const T *pa = a.node()->value, *gy = y.node()->gradient;
        for (Index j = 0; j < shared_size(a); ++j) b.node()->gradient[0] += Op::db(pa[j], b.node()->value[0], gy[j]);
      });
    } else {
      y.tape().on_reduce(0, single ? 1 : b.cols(), single ? 1 : b.cols(), [a, b, y, single](Index begin, Index end) {
        if (!Tape<T>::has_gradient(y)) return;
        const Index rows = y.tape().rows();
        for (Index col = single ? 0 : begin; col < (single ? a.cols() : end); ++col) {
          const Index element = single ? 0 : col;
          const T *pa = full_column(a, col), *gy = full_gradient(y, col), vb = b.node()->value[element];
          b.node()->gradient[element] +=
              static_cast<T>(sum_rows(rows, [&](Index i) { return Op::db(pa[i], vb, gy[i]); }));
        }
      });
    }
  }
  return y;
}

template <Scalar T, template <class> class Op>
Var<T> computed(const char* name, Var<T> a, Var<T> b) {
  if (a.is_shared() == b.is_shared() && a.cols() == b.cols() && (!a.is_shared() || shared_size(a) == shared_size(b)))
    return same_size<T, Op<T>>(a, b);
  if (b.is_shared() && (shared_size(b) == 1 || (!a.is_shared() && shared_size(b) == a.cols())))
    return broadcast<T, Op<T>>(a, b);
  if (a.is_shared() && (shared_size(a) == 1 || (!b.is_shared() && shared_size(a) == b.cols())))
    return broadcast<T, Swapped<Op, T>>(b, a);
  shape_error(name, a.cols(), b.cols());
}

template <Scalar T, template <class> class Op>
Var<T> binary(Operation operation, const char* name, Var<T> a, Var<T> b) {
  const Var<T> y = computed<T, Op>(name, a, b);
  if (!y.is_shared()) note(y.tape(), operation, std::tuple(y), std::tuple(a, b));
  return y;
}

}  // namespace

template <Scalar T>
Var<T> operator+(Var<T> a, Var<T> b) {
  return binary<T, Add>(Operation::add, "operator+", a, b);
}
template <Scalar T>
Var<T> operator-(Var<T> a, Var<T> b) {
  return binary<T, Subtract>(Operation::subtract, "operator-", a, b);
}
template <Scalar T>
Var<T> operator*(Var<T> a, Var<T> b) {
  return binary<T, Multiply>(Operation::multiply, "operator*", a, b);
}
template <Scalar T>
Var<T> operator/(Var<T> a, Var<T> b) {
  return binary<T, Divide>(Operation::divide, "operator/", a, b);
}

#define PUSHFORWARD_INSTANTIATE(T)                \
  template Var<T> exp(Var<T>);                    \
  template Var<T> log(Var<T>);                    \
  template Var<T> log1p(Var<T>);                  \
  template Var<T> expm1(Var<T>);                  \
  template Var<T> tanh(Var<T>);                   \
  template Var<T> sigmoid(Var<T>);                \
  template Var<T> softplus(Var<T>);               \
  template Var<T> erf(Var<T>);                    \
  template Var<T> erfinv(Var<T>);                 \
  template Var<T> sqrt(Var<T>);                   \
  template Var<T> square(Var<T>);                 \
  template Var<T> abs(Var<T>);                    \
  template Var<T> sin(Var<T>);                    \
  template Var<T> cos(Var<T>);                    \
  template Var<T> atan(Var<T>);                   \
  template Var<T> asinh(Var<T>);                  \
  template Var<T> log_ndtr(Var<T>);               \
  template Var<T> ndtri_exp(Var<T>);              \
  template Var<T> lambert_w(Var<T>);              \
  template Var<T> lgamma(Var<T>);                 \
  template Var<T> log1p_square(Var<T>);           \
  template Var<T> clamp(Var<T>, T, T);            \
  template Var<T> clip(Var<T>, T, T);             \
  template Var<T> operator-(Var<T>);              \
  template Var<T> activation(Activation, Var<T>); \
  template Var<T> activation_derivative(Activation, Var<T>); \
  template Var<T> activation_in_place(Activation, Var<T>); \
  template Var<T> soft_bound(Var<T>, double);     \
  template Var<T> scale_shift(Var<T>, T, T);      \
  template Var<T> operator+(Var<T>, Var<T>);      \
  template Var<T> operator-(Var<T>, Var<T>);      \
  template Var<T> operator*(Var<T>, Var<T>);      \
  template Var<T> operator/(Var<T>, Var<T>);
PUSHFORWARD_INSTANTIATE(float)
PUSHFORWARD_INSTANTIATE(double)
#undef PUSHFORWARD_INSTANTIATE

}  // namespace pushforward
