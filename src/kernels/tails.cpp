// Scaling that far from 0 hardly shrinks: one pass for value and log derivative, without branches on single rows.

#include "src/kernels/dispatch.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "src/kernels/tails.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "src/kernels/math-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace pushforward::kernels {
namespace HWY_NAMESPACE {
namespace {  // names such as `fill` occur in several sources

template <class T>
HWY_INLINE Vec<T> set(T x) {
  return hn::Set(hn::ScalableTag<T>(), x);
}

/// How much slope a row whose scale is below 1 wins far out, and the derivative with respect to s = log scale.
template <class T>
HWY_INLINE Vec<T> lift(Vec<T> scale) {
  const Vec<T> one = set(T(1)), square = hn::Mul(scale, scale);
  return hn::Mul(hn::Sub(one, scale), hn::NegMulAdd(square, square, one));
}
template <class T>
HWY_INLINE Vec<T> lift_slope(Vec<T> scale) {
  const Vec<T> one = set(T(1)), square = hn::Mul(scale, scale), fourth = hn::Mul(square, square);
  return hn::Neg(hn::MulAdd(scale, hn::Sub(one, fourth), hn::Mul(hn::Mul(set(T(4)), fourth), hn::Sub(one, scale))));
}

/// At x = knot + e, e >= 0.
template <class T>
struct Tail {
  Vec<T> part;  // min(e, 1): how much of the lift the slope has
  Vec<T> rise;  // its integral from the knot on

  HWY_INLINE explicit Tail(Vec<T> e) {
    const Vec<T> one = set(T(1)), half = set(T(0.5));
    const auto inside = hn::Lt(e, one);
    part = hn::IfThenElse(inside, e, one);
    rise = hn::IfThenElse(inside, hn::Mul(half, hn::Mul(e, e)), hn::Sub(e, half));
  }
};

template <class T, bool root>
HWY_INLINE void scale_loop(T knot, const T* in, const T* s, T* out, T* log_derivative, Index n) {
  const hn::ScalableTag<T> d;
  const Vec<T> zero = hn::Zero(d), one = set(T(1)), from = set(knot);
  for (Index i = 0; i < n; i += HWY_LANES(T)) {
    const Vec<T> x = hn::LoadU(d, in + i), log_scale = hn::LoadU(d, s + i), size = hn::Abs(x);
    Vec<T> factor, scale, limit, value, log_slope;
    if constexpr (root) {
      log_slope = hn::Neg(log_scale);
      factor = exp<T>(log_slope);
      scale = hn::Div(one, factor);
      limit = hn::Mul(scale, from);
    } else {
      log_slope = log_scale;
      factor = scale = exp<T>(log_scale);
      limit = from;
    }
    value = hn::Mul(x, factor);
    const auto far = hn::And(hn::Lt(log_scale, zero), hn::Gt(size, limit));
    if (!hn::AllFalse(d, far)) {
      Vec<T> tail_value, tail_log;
      const Vec<T> more = lift<T>(scale);
      if constexpr (root) {
        // u = scale e + lift e^2 / 2 up to e = 1, in the form of the root without cancellation; a line beyond.
        const Vec<T> u = hn::Sub(size, limit), end = hn::MulAdd(set(T(0.5)), more, scale);
        const Vec<T> within = hn::IfThenElse(hn::Lt(u, end), u, end);
        const Vec<T> square = hn::MulAdd(hn::Add(more, more), within, hn::Mul(scale, scale));
        const Vec<T> bent = hn::Div(hn::Add(within, within), hn::Add(scale, hn::Sqrt(square)));
        const Vec<T> e = hn::Add(bent, hn::Div(hn::Sub(u, within), hn::Add(scale, more)));
        tail_value = hn::Add(from, e);
        tail_log = hn::Neg(log<T>(hn::MulAdd(more, Tail<T>(e).part, scale)));
      } else {
        const Tail<T> tail(hn::Sub(size, from));
        tail_value = hn::MulAdd(scale, size, hn::Mul(more, tail.rise));
        tail_log = log<T>(hn::MulAdd(more, tail.part, scale));
      }
      value = hn::IfThenElse(far, hn::CopySign(tail_value, x), value);
      log_slope = hn::IfThenElse(far, tail_log, log_slope);
    }
    hn::StoreU(value, d, out + i);
    hn::StoreU(log_slope, d, log_derivative + i);
  }
}

template <class T, bool root>
HWY_INLINE void scale_backward_loop(T knot, const T* in, const T* s, const T* out, const T* g_out, const T* g_log,
                                    T* g_in, T* g_s, Index n) {
  const hn::ScalableTag<T> d;
  const Vec<T> zero = hn::Zero(d), one = set(T(1)), from = set(knot);
  for (Index i = 0; i < n; i += HWY_LANES(T)) {
    const Vec<T> given = hn::LoadU(d, in + i), log_scale = hn::LoadU(d, s + i);
    const Vec<T> x = root ? hn::LoadU(d, out + i) : given, size = hn::Abs(x);
    const Vec<T> upstream = g_out ? hn::LoadU(d, g_out + i) : zero;
    const Vec<T> upstream_log = g_log ? hn::LoadU(d, g_log + i) : zero;
    // Near 0: value = given factor, log derivative = +-s.
    const Vec<T> factor = exp<T>(root ? hn::Neg(log_scale) : log_scale);
    const Vec<T> old_in = g_in ? hn::LoadU(d, g_in + i) : zero, old_s = g_s ? hn::LoadU(d, g_s + i) : zero;
    const Vec<T> through = hn::Mul(upstream, given);
    Vec<T> sum_in = hn::MulAdd(upstream, factor, old_in);
    Vec<T> sum_s = root ? hn::Sub(old_s, hn::MulAdd(factor, through, upstream_log))
                        : hn::MulAdd(factor, through, hn::Add(old_s, upstream_log));
    const auto far = hn::And(hn::Lt(log_scale, zero), hn::Gt(size, from));
    if (!hn::AllFalse(d, far)) {
      const Vec<T> scale = root ? hn::Div(one, factor) : factor;
      const Vec<T> e = hn::Sub(size, from), more = lift<T>(scale), more_s = lift_slope<T>(scale);
      const Tail<T> tail(e);
      const Vec<T> slope = hn::MulAdd(more, tail.part, scale);
      // Of y = scale x + lift rise and log y': with respect to x and s.
      const Vec<T> rises = hn::MulAdd(scale, size, hn::Mul(more_s, tail.rise));
      const Vec<T> y_s = hn::IfThenElse(hn::Lt(x, zero), hn::Neg(rises), rises);
      const Vec<T> bend = hn::IfThenElseZero(hn::Lt(e, one), hn::Div(more, slope));
      const Vec<T> log_x = hn::CopySign(bend, x);
      const Vec<T> log_s = hn::Div(hn::MulAdd(more_s, tail.part, scale), slope);
      Vec<T> far_given, far_scale;
      if constexpr (root) {
        // x = f^-1(y): dx/dy = 1 / f', dx/ds = -f_s / f', and the log derivative is -log f'(x).
        far_given = hn::Div(hn::NegMulAdd(upstream_log, log_x, upstream), slope);
        far_scale = hn::Neg(hn::MulAdd(far_given, y_s, hn::Mul(upstream_log, log_s)));
      } else {
        far_given = hn::MulAdd(upstream, slope, hn::Mul(upstream_log, log_x));
        far_scale = hn::MulAdd(upstream, y_s, hn::Mul(upstream_log, log_s));
      }
      sum_in = hn::IfThenElse(far, hn::Add(old_in, far_given), sum_in);
      sum_s = hn::IfThenElse(far, hn::Add(old_s, far_scale), sum_s);
    }
    if (g_in) hn::StoreU(sum_in, d, g_in + i);
    if (g_s) hn::StoreU(sum_s, d, g_s + i);
  }
}

template <class T>
void scale_with_tails(bool root, T knot, const T* in, const T* s, T* out, T* log_derivative, Index n) {
  (root ? &scale_loop<T, true> : &scale_loop<T, false>)(knot, in, s, out, log_derivative, n);
}

template <class T>
void scale_with_tails_backward(bool root, T knot, const T* in, const T* s, const T* out, const T* g_out, const T* g_log,
                               T* g_in, T* g_s, Index n) {
  (root ? &scale_backward_loop<T, true> : &scale_backward_loop<T, false>)(knot, in, s, out, g_out, g_log, g_in, g_s, n);
}

template <class T>
void fill(Table<T>& table) {
  table.scale_with_tails = &scale_with_tails<T>;
  table.scale_with_tails_backward = &scale_with_tails_backward<T>;
}

}  // namespace

void fill_tails_f32(Table<float>& table) { fill(table); }
void fill_tails_f64(Table<double>& table) { fill(table); }

}  // namespace HWY_NAMESPACE
}  // namespace pushforward::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pushforward::kernels {
PUSHFORWARD_EXPORT_FILL(fill_tails)
}  // namespace pushforward::kernels
#endif
