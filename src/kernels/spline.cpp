// Monotone rational-quadratic splines: one pass per vector of rows, in which the knots are summed and the bin is
// selected by masks; no branch, no search, no gather.

#include "src/kernels/dispatch.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "src/kernels/spline.cpp"
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

/// Raw parameter of the derivative at knot j, or null where it is `end_slope`.
template <class T>
HWY_INLINE const T* derivative_parameter(const Spline<T>& s, const T* const* raw, Index j) {
  switch (s.tails) {
    case Tails::identity:
      return j == 0 || j == s.bins ? nullptr : raw[2 * s.bins + j - 1];
    case Tails::circular:
      return raw[2 * s.bins + (j == s.bins ? 0 : j)];
    default:
      return raw[2 * s.bins + j];
  }
}

/// The logits of the softmax from raw widths or heights, and their derivative.
template <class T, bool soft>
HWY_INLINE Vec<T> logit(const Spline<T>& s, Vec<T> raw) {
  if constexpr (!soft) return hn::Mul(raw, set(s.scale));
  return hn::Div(raw, hn::MulAdd(hn::Abs(raw), set(T(2) / s.log_range), set(T(1))));
}
template <class T, bool soft>
HWY_INLINE Vec<T> logit_slope(const Spline<T>& s, Vec<T> raw) {
  if constexpr (!soft) return set(s.scale);
  const Vec<T> r = hn::Div(set(T(1)), hn::MulAdd(hn::Abs(raw), set(T(2) / s.log_range), set(T(1))));
  return hn::Mul(r, r);
}

/// The derivative at a knot.
template <class T, bool soft>
HWY_INLINE Vec<T> knot_derivative(const Spline<T>& s, Vec<T> raw) {
  if constexpr (soft) return exp<T>(hn::Div(raw, hn::MulAdd(hn::Abs(raw), set(T(1) / s.log_range), set(T(1)))));
  return at_most<T>(hn::Add(set(s.min_derivative), softplus<T>(raw)), s.max_derivative);
}
template <class T, bool soft>
HWY_INLINE Vec<T> knot_derivative_slope(const Spline<T>& s, Vec<T> raw, Vec<T> derivative) {
  if constexpr (soft) {
    const Vec<T> r = hn::Div(set(T(1)), hn::MulAdd(hn::Abs(raw), set(T(1) / s.log_range), set(T(1))));
    return hn::Mul(derivative, hn::Mul(r, r));
  }
  return hn::IfThenElseZero(hn::Lt(derivative, set(s.max_derivative)), sigmoid<T>(raw));
}

/// exp of the logits less their largest, one vector after the other in `e`; returns 1 / their sum.
template <class T, bool soft>
HWY_INLINE Vec<T> softmax_terms(const Spline<T>& s, const T* const* raw, Index i, T* e) {
  const hn::ScalableTag<T> d;
  constexpr Index lanes = HWY_LANES(T);
  Vec<T> sum = hn::Zero(d);
  if constexpr (soft) {  // the logits are bounded
    for (Index k = 0; k < s.bins; ++k) {
      const Vec<T> term = exp<T>(logit<T, soft>(s, hn::LoadU(d, raw[k] + i)));
      hn::Store(term, d, e + k * lanes);
      sum = hn::Add(sum, term);
    }
  } else {
    Vec<T> largest = hn::LoadU(d, raw[0] + i);
    for (Index k = 1; k < s.bins; ++k) {
      const Vec<T> r = hn::LoadU(d, raw[k] + i);
      largest = hn::IfThenElse(hn::Gt(r, largest), r, largest);
    }
    for (Index k = 0; k < s.bins; ++k) {
      const Vec<T> difference = hn::Sub(hn::LoadU(d, raw[k] + i), largest);
      const Vec<T> term = exp_or_zero<T>(hn::Mul(difference, set(s.scale)));
      hn::Store(term, d, e + k * lanes);
      sum = hn::Add(sum, term);
    }
  }
  return hn::Div(set(T(1)), sum);
}

/// The bin of each row, and what its shape depends on.
template <class T>
struct Bin {
  Vec<T> index, x, y, right, top, w, h, d0, d1;
  Vec<T> raw0, raw1;                          // of the derivatives
  Vec<T> term_w, term_h, before_w, before_h;  // of the two softmaxes: this bin's term, the sum of those before it
  Vec<T> rate_w, rate_h;                      // 1 / sum of the terms
};

/// `in` lies inside; `by_height`: it is a y.
template <class T, bool soft, bool by_height>
HWY_INLINE Bin<T> find_bin(const Spline<T>& s, Vec<T> in, const T* const* raw, Index i, T* ew, T* eh) {
  const hn::ScalableTag<T> d;
  constexpr Index lanes = HWY_LANES(T);
  Bin<T> b;
  b.rate_w = softmax_terms<T, soft>(s, raw, i, ew);
  b.rate_h = softmax_terms<T, soft>(s, raw + s.bins, i, eh);
  const T range = s.high - s.low, free_w = T(1) - T(s.bins) * s.min_width, free_h = T(1) - T(s.bins) * s.min_height;
  const Vec<T> step_w = hn::Mul(b.rate_w, set(range * free_w)), step_h = hn::Mul(b.rate_h, set(range * free_h));
  const auto load_raw = [&](Index j) HWY_ATTR {
    const T* parameter = derivative_parameter(s, raw, j);
    return parameter ? hn::LoadU(d, parameter + i) : hn::Zero(d);
  };
  Vec<T> sum_w = hn::Zero(d), sum_h = hn::Zero(d), left = set(s.low), bottom = left;
  Vec<T> raw_right = load_raw(0);
  b.index = b.before_w = b.before_h = hn::Zero(d);
  b.x = b.y = b.right = b.top = left;
  for (Index k = 0; k < s.bins; ++k) {
    const Vec<T> term_w = hn::Load(d, ew + k * lanes), term_h = hn::Load(d, eh + k * lanes);
    const auto reached = k == 0 ? hn::Eq(b.index, b.index) : hn::Ge(in, by_height ? bottom : left);
    const Vec<T> raw_left = raw_right;
    raw_right = load_raw(k + 1);
    b.index = hn::IfThenElse(reached, set(T(k)), b.index);
    b.x = hn::IfThenElse(reached, left, b.x);
    b.y = hn::IfThenElse(reached, bottom, b.y);
    b.raw0 = k == 0 ? raw_left : hn::IfThenElse(reached, raw_left, b.raw0);
    b.raw1 = k == 0 ? raw_right : hn::IfThenElse(reached, raw_right, b.raw1);
    b.term_w = k == 0 ? term_w : hn::IfThenElse(reached, term_w, b.term_w);
    b.term_h = k == 0 ? term_h : hn::IfThenElse(reached, term_h, b.term_h);
    b.before_w = hn::IfThenElse(reached, sum_w, b.before_w);
    b.before_h = hn::IfThenElse(reached, sum_h, b.before_h);
    sum_w = hn::Add(sum_w, term_w);
    sum_h = hn::Add(sum_h, term_h);
    if (k + 1 < s.bins) {
      left = hn::MulAdd(sum_w, step_w, set(s.low + range * (T(k + 1) * s.min_width)));
      bottom = hn::MulAdd(sum_h, step_h, set(s.low + range * (T(k + 1) * s.min_height)));
    } else {
      left = bottom = set(s.high);
    }
    // As differences of the knots themselves, so that a bin ends where the next one begins.
    b.right = hn::IfThenElse(reached, left, b.right);
    b.top = hn::IfThenElse(reached, bottom, b.top);
  }
  b.w = hn::Sub(b.right, b.x);
  b.h = hn::Sub(b.top, b.y);
  b.d0 = knot_derivative<T, soft>(s, b.raw0);
  b.d1 = knot_derivative<T, soft>(s, b.raw1);
  if (s.tails == Tails::identity) {
    b.d0 = hn::IfThenElse(hn::Eq(b.index, hn::Zero(d)), set(s.end_slope), b.d0);
    b.d1 = hn::IfThenElse(hn::Eq(b.index, set(T(s.bins - 1))), set(s.end_slope), b.d1);
  }
  return b;
}

/// The spline at t = (x - x_k) / w in a bin; s the mean slope h / w.
template <class T>
struct At {
  Vec<T> t, q, s, excess, numerator, denominator, slope_numerator;  // excess = d0 + d1 - 2 s

  HWY_INLINE At(const Bin<T>& b, Vec<T> position) : t(position) {
    const Vec<T> rest = hn::Sub(set(T(1)), t);
    s = hn::Div(b.h, b.w);
    q = hn::Mul(t, rest);
    excess = hn::NegMulAdd(set(T(2)), s, hn::Add(b.d0, b.d1));
    numerator = hn::MulAdd(hn::Mul(s, t), t, hn::Mul(b.d0, q));
    denominator = hn::MulAdd(excess, q, s);
    const Vec<T> middle = hn::Mul(hn::Add(s, s), q);
    slope_numerator = hn::MulAdd(hn::Mul(b.d1, t), t, hn::MulAdd(hn::Mul(b.d0, rest), rest, middle));
  }
  HWY_INLINE Vec<T> slope() const {
    const Vec<T> ratio = hn::Div(s, denominator);
    return hn::Mul(hn::Mul(ratio, ratio), slope_numerator);
  }
};

/// Comparisons are false for NaN, which stays.
template <class T>
HWY_INLINE Vec<T> between(Vec<T> x, Vec<T> low, Vec<T> high) {
  return hn::IfThenElse(hn::Lt(x, low), low, hn::IfThenElse(hn::Gt(x, high), high, x));
}

template <class T, bool soft, bool root>
HWY_INLINE void spline_loop(const Spline<T>& s, const T* in, const T* const* raw, T* out, T* log_derivative, Index n) {
  const hn::ScalableTag<T> d;
  constexpr Index lanes = HWY_LANES(T);
  HWY_ALIGN T ew[Spline<T>::max_bins * lanes];
  HWY_ALIGN T eh[Spline<T>::max_bins * lanes];
  const Vec<T> low = set(s.low), high = set(s.high), zero = hn::Zero(d), one = set(T(1)), two = set(T(2));
  for (Index i = 0; i < n; i += lanes) {
    const Vec<T> given = hn::LoadU(d, in + i), inside = between<T>(given, low, high);
    const Bin<T> b = find_bin<T, soft, root>(s, inside, raw, i, ew, eh);
    Vec<T> value, slope;
    if constexpr (root) {
      // With u = (y - y_k) / h and v = 1 - u: (s - p) t^2 + p t - s u = 0 for p = d0 v - d1 u + 2 s u. Its discriminant
      // is a sum of squares, and of the two forms of the root one has no cancellation.
      const Vec<T> mean = hn::Div(b.h, b.w), u = hn::Div(hn::Sub(inside, b.y), b.h);
      const Vec<T> v = hn::Div(hn::Sub(b.top, inside), b.h), two_su = hn::Mul(hn::Add(mean, mean), u);
      const Vec<T> tilt = hn::Sub(hn::Mul(b.d0, v), hn::Mul(b.d1, u)), p = hn::Add(tilt, two_su);
      const Vec<T> root_of = hn::Sqrt(hn::MulAdd(tilt, tilt, hn::Mul(hn::Mul(two_su, v), hn::Add(mean, mean))));
      const auto positive = hn::Gt(p, zero);
      const Vec<T> sum = hn::Add(hn::Abs(p), root_of);
      const Vec<T> t =
          hn::Div(hn::IfThenElse(positive, two_su, sum), hn::IfThenElse(positive, sum, hn::Mul(two, hn::Sub(mean, p))));
      const At<T> at(b, between<T>(t, zero, one));
      value = between<T>(hn::MulAdd(at.t, b.w, b.x), b.x, b.right);
      slope = hn::Div(one, at.slope());
    } else {
      const At<T> at(b, between<T>(hn::Div(hn::Sub(inside, b.x), b.w), zero, one));
      const Vec<T> rise = hn::Mul(b.h, hn::Div(at.numerator, at.denominator));
      value = between<T>(hn::Add(b.y, rise), b.y, b.top);
      slope = at.slope();
    }
    const auto in_interval = hn::And(hn::Ge(given, low), hn::Le(given, high));
    const Vec<T> tail = hn::IfThenZeroElse(hn::Eq(given, given), given);  // NaN stays
    value = between<T>(value, set(s.first), set(s.last));
    const bool lines = s.tails == Tails::linear;
    const Vec<T> beyond = lines ? hn::MulAdd(slope, hn::Sub(given, inside), value) : given;
    const auto with_slope = lines ? hn::Eq(given, given) : in_interval;
    hn::StoreU(hn::IfThenElse(in_interval, value, beyond), d, out + i);
    hn::StoreU(hn::IfThenElse(with_slope, log<T>(slope), tail), d, log_derivative + i);
  }
}

template <class T, bool soft, bool root>
HWY_INLINE void spline_backward_loop(const Spline<T>& s, const T* in, const T* out, const T* const* raw, const T* g_out,
                                     const T* g_log, T* g_in, T* const* g_raw, Index n) {
  const hn::ScalableTag<T> d;
  constexpr Index lanes = HWY_LANES(T);
  HWY_ALIGN T ew[Spline<T>::max_bins * lanes];
  HWY_ALIGN T eh[Spline<T>::max_bins * lanes];
  const Vec<T> low = set(s.low), high = set(s.high), zero = hn::Zero(d), one = set(T(1)), two = set(T(2));
  const T range = s.high - s.low;
  for (Index i = 0; i < n; i += lanes) {
    const Vec<T> given = hn::LoadU(d, in + i), inside = between<T>(given, low, high);
    const auto in_interval = hn::And(hn::Ge(given, low), hn::Le(given, high));
    const Bin<T> b = find_bin<T, soft, root>(s, inside, raw, i, ew, eh);
    const Vec<T> x = root ? hn::LoadU(d, out + i) : inside;
    const At<T> at(b, between<T>(hn::Div(hn::Sub(x, b.x), b.w), zero, one));
    const Vec<T> upstream = g_out ? hn::LoadU(d, g_out + i) : zero;
    Vec<T> upstream_log = g_log ? hn::LoadU(d, g_log + i) : zero;

    // Derivatives of the log slope, and of y, with respect to t, s, d0 and d1.
    const Vec<T> per_n = hn::Div(one, at.slope_numerator), per_d = hn::Div(one, at.denominator);
    const Vec<T> per_w = hn::Div(one, b.w), rest = hn::Sub(one, at.t), slant = hn::Sub(rest, at.t);
    const Vec<T> slope = at.slope(), two_per_d = hn::Mul(two, per_d), fraction = hn::Mul(at.numerator, per_d);
    const Vec<T> slope_numerator_t =
        hn::Mul(two, hn::MulAdd(b.d1, at.t, hn::MulAdd(at.s, slant, hn::Neg(hn::Mul(b.d0, rest)))));
    const Vec<T> log_t = hn::Sub(hn::Mul(slope_numerator_t, per_n), hn::Mul(two_per_d, hn::Mul(at.excess, slant)));
    const Vec<T> flat = hn::NegMulAdd(two, at.q, one);
    const Vec<T> log_s =
        hn::Add(hn::Mul(hn::Mul(two, at.q), per_n), hn::Sub(hn::Div(two, at.s), hn::Mul(two_per_d, flat)));
    const Vec<T> log_d0 = hn::Sub(hn::Mul(hn::Mul(rest, rest), per_n), hn::Mul(two_per_d, at.q));
    const Vec<T> log_d1 = hn::Sub(hn::Mul(hn::Mul(at.t, at.t), per_n), hn::Mul(two_per_d, at.q));
    const Vec<T> lift = hn::Mul(b.h, per_d), lift_q = hn::Mul(lift, at.q);
    const Vec<T> y_s = hn::Mul(lift, hn::NegMulAdd(fraction, flat, hn::Mul(at.t, at.t)));
    const Vec<T> y_d0 = hn::Mul(lift_q, hn::Sub(one, fraction)), y_d1 = hn::Neg(hn::Mul(lift_q, fraction));

    const bool lines = s.tails == Tails::linear;
    const Vec<T> tail_slope = !lines ? one : root ? hn::Div(one, slope) : slope;
    // Beyond an end out = end + slope (in - end): what flows back into the slope does so as into its logarithm.
    if (lines)
      upstream_log = hn::MulAdd(hn::IfThenZeroElse(in_interval, upstream),
                                hn::Mul(hn::Sub(given, inside), tail_slope), upstream_log);

    // Of the inverse the same with what flows back through x = f^-1(y): dx/dy = 1 / f', dx/dparameter = -f_parameter /
    // f'.
    Vec<T> gy = upstream, gl = upstream_log, g_given;
    if constexpr (root) {
      gl = hn::Neg(upstream_log);
      g_given = hn::Div(hn::MulAdd(gl, hn::Mul(log_t, per_w), upstream), slope);
      gy = hn::Neg(g_given);
    }
    const Vec<T> g_t_log = hn::Mul(gl, log_t);
    // Beyond an end the place in the bin stays.
    const Vec<T> g_t = hn::IfThenElseZero(in_interval, hn::MulAdd(hn::Mul(gy, b.w), slope, g_t_log));
    if constexpr (!root) g_given = hn::Mul(g_t, per_w);
    if (g_in) {
      const Vec<T> g = hn::IfThenElse(in_interval, g_given, hn::Mul(upstream, tail_slope));
      hn::StoreU(hn::Add(hn::LoadU(d, g_in + i), g), d, g_in + i);
    }
    if (!g_raw) continue;
    const Vec<T> g_s = hn::MulAdd(gy, y_s, hn::Mul(gl, log_s));
    const auto counts = lines ? hn::Eq(given, given) : in_interval;
    const auto masked = [&](Vec<T> g) HWY_ATTR { return hn::IfThenElseZero(counts, g); };
    const Vec<T> g_x = masked(hn::Neg(hn::Mul(g_t, per_w)));
    const Vec<T> g_w = masked(hn::Neg(hn::Mul(per_w, hn::MulAdd(g_t, at.t, hn::Mul(g_s, at.s)))));
    const Vec<T> g_y = masked(gy);
    const Vec<T> g_h = masked(hn::MulAdd(gy, fraction, hn::Mul(g_s, per_w)));
    const Vec<T> g_d0 = masked(hn::MulAdd(gy, y_d0, hn::Mul(gl, log_d0)));
    const Vec<T> g_d1 = masked(hn::MulAdd(gy, y_d1, hn::Mul(gl, log_d1)));

    const auto add = [&](T* to, Vec<T> g) HWY_ATTR { hn::StoreU(hn::Add(hn::LoadU(d, to + i), g), d, to + i); };
    // Knot k is the sum of the sizes before it: size j has the gradient of the knot where j < k, of the size where j =
    // k.
    const auto sizes = [&](const T* const* parameter, T* const* gradient, const T* e, Vec<T> rate, Vec<T> term,
                           Vec<T> before, Vec<T> g_knot, Vec<T> g_size, T free) HWY_ATTR {
      const Vec<T> total = hn::Mul(rate, hn::MulAdd(g_knot, before, hn::Mul(g_size, term)));
      const Vec<T> scale = hn::Mul(rate, set(range * free));
      for (Index j = 0; j < s.bins; ++j) {
        const Vec<T> position = set(T(j));
        const Vec<T> g =
            hn::IfThenElse(hn::Lt(position, b.index), g_knot, hn::IfThenElseZero(hn::Eq(position, b.index), g_size));
        const Vec<T> slope_j = logit_slope<T, soft>(s, hn::LoadU(d, parameter[j] + i));
        const Vec<T> p = hn::Mul(hn::Load(d, e + j * lanes), scale);
        add(gradient[j], masked(hn::Mul(hn::Mul(p, slope_j), hn::Sub(g, total))));
      }
    };
    sizes(raw, g_raw, ew, b.rate_w, b.term_w, b.before_w, g_x, g_w, T(1) - T(s.bins) * s.min_width);
    sizes(raw + s.bins, g_raw + s.bins, eh, b.rate_h, b.term_h, b.before_h, g_y, g_h, T(1) - T(s.bins) * s.min_height);
    const Vec<T> g_raw0 = hn::Mul(g_d0, knot_derivative_slope<T, soft>(s, b.raw0, b.d0));
    const Vec<T> g_raw1 = hn::Mul(g_d1, knot_derivative_slope<T, soft>(s, b.raw1, b.d1));
    for (Index j = 0; j <= s.bins; ++j) {
      T* to = const_cast<T*>(derivative_parameter<T>(s, g_raw, j));
      if (!to) continue;
      const Vec<T> left = hn::IfThenElseZero(hn::Eq(b.index, set(T(j))), g_raw0);
      add(to, hn::Add(left, hn::IfThenElseZero(hn::Eq(b.index, set(T(j - 1))), g_raw1)));
    }
  }
}

template <class T>
void spline(const Spline<T>& s, bool root, const T* in, const T* const* raw, T* out, T* log_derivative, Index n) {
  const bool soft = s.log_range > 0;
  auto loop = soft ? (root ? &spline_loop<T, true, true> : &spline_loop<T, true, false>)
                   : (root ? &spline_loop<T, false, true> : &spline_loop<T, false, false>);
  loop(s, in, raw, out, log_derivative, n);
}

template <class T>
void spline_backward(const Spline<T>& s, bool root, const T* in, const T* out, const T* const* raw, const T* g_out,
                     const T* g_log, T* g_in, T* const* g_raw, Index n) {
  const bool soft = s.log_range > 0;
  auto loop = soft ? (root ? &spline_backward_loop<T, true, true> : &spline_backward_loop<T, true, false>)
                   : (root ? &spline_backward_loop<T, false, true> : &spline_backward_loop<T, false, false>);
  loop(s, in, out, raw, g_out, g_log, g_in, g_raw, n);
}

template <class T>
void fill(Table<T>& table) {
  table.spline = &spline<T>;
  table.spline_backward = &spline_backward<T>;
}

}  // namespace

void fill_spline_f32(Table<float>& table) { fill(table); }
void fill_spline_f64(Table<double>& table) { fill(table); }

}  // namespace HWY_NAMESPACE
}  // namespace pushforward::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pushforward::kernels {
PUSHFORWARD_EXPORT_FILL(fill_spline)
}  // namespace pushforward::kernels
#endif
