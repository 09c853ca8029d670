// Arithmetic over contiguous values, sums into double columns, the Adam step.

#include "src/kernels/dispatch.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "src/kernels/elementwise.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "src/kernels/math-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace pushforward::kernels {
namespace HWY_NAMESPACE {
namespace {  // names such as `fill` occur in several sources

template <class T>
struct Sqrt {
  HWY_INLINE Vec<T> operator()(Vec<T> x) { return hn::Sqrt(x); }
};
template <class T>
struct Add {
  HWY_INLINE Vec<T> operator()(Vec<T> a, Vec<T> b) { return hn::Add(a, b); }
};
template <class T>
struct Subtract {
  HWY_INLINE Vec<T> operator()(Vec<T> a, Vec<T> b) { return hn::Sub(a, b); }
};
template <class T>
struct Multiply {
  HWY_INLINE Vec<T> operator()(Vec<T> a, Vec<T> b) { return hn::Mul(a, b); }
};
template <class T>
struct Divide {
  HWY_INLINE Vec<T> operator()(Vec<T> a, Vec<T> b) { return hn::Div(a, b); }
};
template <class T>
struct ScaleShift {
  Vec<T> scale, shift;
  HWY_INLINE Vec<T> operator()(Vec<T> x) { return hn::MulAdd(x, scale, shift); }
};
template <class T>
struct Axpy {
  Vec<T> a;
  HWY_INLINE Vec<T> operator()(Vec<T> x, Vec<T> y) { return hn::MulAdd(a, x, y); }
};
template <class T>
struct MultiplyAccumulate {
  HWY_INLINE Vec<T> operator()(Vec<T> a, Vec<T> b, Vec<T> y) { return hn::MulAdd(a, b, y); }
};

template <class T>
struct DivideAccumulate {
  HWY_INLINE Vec<T> operator()(Vec<T> gy, Vec<T> b, Vec<T> ga) { return hn::Add(ga, hn::Div(gy, b)); }
};
template <class T>
struct DivisorAccumulate {
  HWY_INLINE Vec<T> operator()(Vec<T> a, Vec<T> b, Vec<T> gy, Vec<T> gb) {
    return hn::Sub(gb, hn::Div(hn::Mul(gy, a), hn::Mul(b, b)));
  }
};

template <class T>
void map_sqrt(const T* x, T* y, Index n) {
  map(Sqrt<T>(), y, n, x);
}
template <class T>
void map_add(const T* a, const T* b, T* y, Index n) {
  map(Add<T>(), y, n, a, b);
}
template <class T>
void map_subtract(const T* a, const T* b, T* y, Index n) {
  map(Subtract<T>(), y, n, a, b);
}
template <class T>
void map_multiply(const T* a, const T* b, T* y, Index n) {
  map(Multiply<T>(), y, n, a, b);
}
template <class T>
void map_divide(const T* a, const T* b, T* y, Index n) {
  map(Divide<T>(), y, n, a, b);
}
template <class T>
void map_scale_shift(const T* x, T scale, T shift, T* y, Index n) {
  const hn::ScalableTag<T> d;
  map(ScaleShift<T>{hn::Set(d, scale), hn::Set(d, shift)}, y, n, x);
}
template <class T>
void map_accumulate(const T* g, T* y, Index n) {
  map(Add<T>(), y, n, static_cast<const T*>(y), g);
}
template <class T>
void map_axpy(T a, const T* x, T* y, Index n) {
  map(Axpy<T>{hn::Set(hn::ScalableTag<T>(), a)}, y, n, x, static_cast<const T*>(y));
}
template <class T>
void map_multiply_accumulate(const T* a, const T* b, T* y, Index n) {
  map(MultiplyAccumulate<T>(), y, n, a, b, static_cast<const T*>(y));
}
template <class T>
void map_divide_backward(const T* a, const T* b, const T* gy, T* ga, T* gb, Index n) {
  if (ga) map(DivideAccumulate<T>(), ga, n, gy, b, static_cast<const T*>(ga));
  if (gb) map(DivisorAccumulate<T>(), gb, n, a, b, gy, static_cast<const T*>(gb));
}

void accumulate_column_f32(const float* x, double* column, Index n) {
  const hn::ScalableTag<double> dd;
  const hn::Rebind<float, decltype(dd)> df;
  constexpr Index lanes = HWY_LANES(double);
  Index i = 0;
  for (; i + lanes <= n; i += lanes) {
    hn::StoreU(hn::Add(hn::LoadU(dd, column + i), hn::PromoteTo(dd, hn::LoadU(df, x + i))), dd, column + i);
  }
  for (; i < n; ++i) column[i] += static_cast<double>(x[i]);
}

void spread_column_f32(const double* gradient, float* gx, Index n) {
  Index i = 0;
#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128  // their DemoteTo turns infinities into the largest number
  const hn::ScalableTag<double> dd;
  const hn::Rebind<float, decltype(dd)> df;
  constexpr Index lanes = HWY_LANES(double);
  for (; i + lanes <= n; i += lanes) {
    hn::StoreU(hn::Add(hn::LoadU(df, gx + i), hn::DemoteTo(df, hn::LoadU(dd, gradient + i))), df, gx + i);
  }
#endif
  for (; i < n; ++i) gx[i] += static_cast<float>(gradient[i]);
}

void accumulate_column_f64(const double* x, double* column, Index n) { map_accumulate(x, column, n); }

template <class T>
void adam(T* p, T* m, T* v, const T* grad, Index n, T grad_scale, T rate, T b1, T b2, T c1, T c2, T eps, T decay) {
  const hn::ScalableTag<T> d;
  constexpr Index lanes = HWY_LANES(T);
  const Vec<T> beta1 = hn::Set(d, b1), rest1 = hn::Set(d, T(1) - b1);
  const Vec<T> beta2 = hn::Set(d, b2), rest2 = hn::Set(d, T(1) - b2);
  HWY_ALIGN T tail[4][HWY_LANES(T)] = {};
  for (Index i = 0; i < n; i += lanes) {
    const bool whole = i + lanes <= n;
    T* pi = p + i;
    T* mi = m + i;
    T* vi = v + i;
    const T* gi = grad + i;
    const std::size_t bytes = static_cast<std::size_t>(whole ? lanes : n - i) * sizeof(T);
    if (!whole) {
      std::memcpy(tail[0], pi, bytes);
      std::memcpy(tail[1], mi, bytes);
      std::memcpy(tail[2], vi, bytes);
      std::memcpy(tail[3], gi, bytes);
      pi = tail[0];
      mi = tail[1];
      vi = tail[2];
      gi = tail[3];
    }
    const Vec<T> g = hn::Mul(hn::LoadU(d, gi), hn::Set(d, grad_scale));
    const Vec<T> mean = hn::MulAdd(beta1, hn::LoadU(d, mi), hn::Mul(rest1, g));
    const Vec<T> square = hn::MulAdd(beta2, hn::LoadU(d, vi), hn::Mul(rest2, hn::Mul(g, g)));
    const Vec<T> root = hn::Sqrt(hn::Div(square, hn::Set(d, c2)));
    const Vec<T> step = hn::Div(hn::Div(mean, hn::Set(d, c1)), hn::Add(root, hn::Set(d, eps)));
    const Vec<T> old = hn::LoadU(d, pi);
    hn::StoreU(hn::NegMulAdd(hn::Set(d, rate), hn::MulAdd(hn::Set(d, decay), old, step), old), d, pi);
    hn::StoreU(mean, d, mi);
    hn::StoreU(square, d, vi);
    if (!whole) {
      std::memcpy(p + i, tail[0], bytes);
      std::memcpy(m + i, tail[1], bytes);
      std::memcpy(v + i, tail[2], bytes);
    }
  }
}

template <class T>
void fill(Table<T>& table) {
  table.sqrt = &map_sqrt<T>;
  table.add = &map_add<T>;
  table.subtract = &map_subtract<T>;
  table.multiply = &map_multiply<T>;
  table.divide = &map_divide<T>;
  table.scale_shift = &map_scale_shift<T>;
  table.accumulate = &map_accumulate<T>;
  table.axpy = &map_axpy<T>;
  table.multiply_accumulate = &map_multiply_accumulate<T>;
  table.divide_backward = &map_divide_backward<T>;
  table.adam = &adam<T>;
}

}  // namespace

void fill_elementwise_f32(Table<float>& table) {
  fill(table);
  table.accumulate_column = &accumulate_column_f32;
  table.spread_column = &spread_column_f32;
}
void fill_elementwise_f64(Table<double>& table) {
  fill(table);
  table.accumulate_column = &accumulate_column_f64;
  table.spread_column = &accumulate_column_f64;
}

}  // namespace HWY_NAMESPACE
}  // namespace pushforward::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pushforward::kernels {
PUSHFORWARD_EXPORT_FILL(fill_elementwise)
}  // namespace pushforward::kernels
#endif
