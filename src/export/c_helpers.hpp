#pragma once

// The functions of generated C, each in the form that the kernels compute. In the texts `real` is the scalar type and @
// the prefix of names; numbers and functions of <math.h> are those of double and get their suffix for float.

#include <string_view>

namespace pushforward::detail {

struct CHelper {
  std::string_view name;
  bool in_double;  ///< its numbers and functions are those of double for float models too
  std::string_view text;
};

/// Those that stand earlier may be called by those that stand later.
inline constexpr CHelper c_helpers[] = {
    {"dense", false, R"(
/* y = b + W x: the weights of eight outputs for x[0], then those for x[1], ...; then of four, and one by one. */
static inline void @dense(real *y, const real *x, int inputs, const real *w, const real *b, int outputs) {
  int o = 0, k;
  for (; o + 8 <= outputs; o += 8) {
    real a0 = b[o], a1 = b[o + 1], a2 = b[o + 2], a3 = b[o + 3];
    real a4 = b[o + 4], a5 = b[o + 5], a6 = b[o + 6], a7 = b[o + 7];
    for (k = 0; k < inputs; ++k, w += 8) {
      const real t = x[k];
      a0 += w[0] * t; a1 += w[1] * t; a2 += w[2] * t; a3 += w[3] * t;
      a4 += w[4] * t; a5 += w[5] * t; a6 += w[6] * t; a7 += w[7] * t;
    }
    y[o] = a0; y[o + 1] = a1; y[o + 2] = a2; y[o + 3] = a3;
    y[o + 4] = a4; y[o + 5] = a5; y[o + 6] = a6; y[o + 7] = a7;
  }
  for (; o + 4 <= outputs; o += 4) {
    real a0 = b[o], a1 = b[o + 1], a2 = b[o + 2], a3 = b[o + 3];
    for (k = 0; k < inputs; ++k, w += 4) {
      const real t = x[k];
      a0 += w[0] * t; a1 += w[1] * t; a2 += w[2] * t; a3 += w[3] * t;
    }
    y[o] = a0; y[o + 1] = a1; y[o + 2] = a2; y[o + 3] = a3;
  }
  for (; o < outputs; ++o) {
    real a = b[o];
    for (k = 0; k < inputs; ++k) a += *w++ * x[k];
    y[o] = a;
  }
}
)"},
    {"triangular", false, R"(
/* y_o = x_o + sum of M(o, k) x_k over k < o, or k > o; with d, d_o x_o in the place of x_o. */
static inline void @triangular(real *y, const real *x, const real *m, const real *d, int dim, int lower) {
  int o, k;
  for (o = 0; o < dim; ++o) {
    real a = d ? x[o] * d[o] : x[o];
    for (k = lower ? 0 : o + 1; k < (lower ? o : dim); ++k) a += m[o * dim + k] * x[k];
    y[o] = a;
  }
}
)"},
    {"triangular_inverse", false, R"(
/* The x of which the triangular map makes y. */
static inline void @triangular_inverse(real *x, const real *y, const real *m, const real *d, int dim, int lower) {
  int i, k;
  for (i = 0; i < dim; ++i) {
    const int o = lower ? i : dim - 1 - i;
    real a = y[o];
    for (k = lower ? 0 : o + 1; k < (lower ? o : dim); ++k) a -= m[o * dim + k] * x[k];
    x[o] = d ? a / d[o] : a;
  }
}
)"},
    {"softplus", false, R"(
static inline real @softplus(real x) {
  return (x > 0.0 ? x : 0.0) + log1p(exp(-fabs(x)));
}
)"},
    {"sigmoid", false, R"(
static inline real @sigmoid(real x) {
  const real e = exp(-fabs(x));
  return (x < 0.0 ? e : 1.0) / (1.0 + e);
}
)"},
    {"relu", false, R"(
static inline real @relu(real x) {
  return x <= 0.0 ? 0.0 : x;
}
)"},
    {"leaky_relu", false, R"(
static inline real @leaky_relu(real x) {
  return x <= 0.0 ? 0.01 * x : x;
}
)"},
    {"elu", false, R"(
static inline real @elu(real x) {
  return x <= 0.0 ? expm1(x) : x;
}
)"},
    {"gelu", false, R"(
static inline real @gelu(real x) {
  const real p = 0.5 * erfc(-0.70710678118654752440 * x);
  return p == 0.0 ? 0.0 : x * p;
}
)"},
    {"silu", false, R"(
static inline real @silu(real x) {
  const real p = @sigmoid(x);
  return p == 0.0 ? 0.0 : x * p;
}
)"},
    {"logistic_slope", false, R"(
static inline real @logistic_slope(real x) {
  const real e = exp(-fabs(x));
  return e / ((1.0 + e) * (1.0 + e));
}
)"},
    {"relu_slope", false, R"(
static inline real @relu_slope(real x) {
  return x <= 0.0 ? 0.0 : x > 0.0 ? 1.0 : x;
}
)"},
    {"leaky_relu_slope", false, R"(
static inline real @leaky_relu_slope(real x) {
  return x <= 0.0 ? 0.01 : x > 0.0 ? 1.0 : x;
}
)"},
    {"elu_slope", false, R"(
static inline real @elu_slope(real x) {
  return x > 0.0 ? 1.0 : exp(x);
}
)"},
    {"gelu_slope", false, R"(
static inline real @gelu_slope(real x) {
  const real t = x > 40.0 ? 40.0 : x < -40.0 ? -40.0 : x;
  return 0.5 * erfc(-0.70710678118654752440 * x) + t * 0.39894228040143267794 * exp(-0.5 * t * t);
}
)"},
    {"silu_slope", false, R"(
static inline real @silu_slope(real x) {
  const real t = x > 1000.0 ? 1000.0 : x < -1000.0 ? -1000.0 : x;
  return @sigmoid(x) + t * @logistic_slope(x);
}
)"},
    {"clamp", false, R"(
static inline real @clamp(real x, real low, real high) {
  return x < low ? low : x > high ? high : x;
}
)"},
    {"log1p_square", false, R"(
static inline real @log1p_square(real x) {
  return fabs(x) > 1e18 ? 2.0 * log(fabs(x)) : log1p(x * x);
}
)"},
    {"sigmoid_between", false, R"(
static inline real @sigmoid_between(real x, real low, real high, real width, real first, real last) {
  const real s = @sigmoid(-fabs(x));
  return @clamp(x > 0.0 ? high - width * s : low + width * s, first, last);
}
)"},
    {"normal_point", true, R"(
/* The normal quantile of p: q = p - 1/2, r = min(p, 1 - p). Wichura 1988, algorithm AS 241. */
static inline double @normal_point(double q, double r) {
  double x;
  if (fabs(q) <= 0.425) {
    r = 0.180625 - q * q;
    return q * (((((((2509.0809287301226727 * r + 33430.575583588128105) * r + 67265.770927008700853) * r +
        45921.953931549871457) * r + 13731.693765509461125) * r + 1971.5909503065514427) * r +
        133.14166789178437745) * r + 3.387132872796366608) / (((((((5226.495278852854561 * r +
        28729.085735721942674) * r + 39307.89580009271061) * r + 21213.794301586595867) * r +
        5394.1960214247511077) * r + 687.1870074920579083) * r + 42.313330701600911252) * r + 1.0);
  }
  r = sqrt(-log(r));
  if (r <= 5.0) {
    r -= 1.6;
    x = (((((((7.7454501427834140764e-4 * r + 0.0227238449892691845833) * r + 0.24178072517745061177) * r +
        1.27045825245236838258) * r + 3.64784832476320460504) * r + 5.7694972214606914055) * r +
        4.6303378461565452959) * r + 1.42343711074968357734) / (((((((1.05075007164441684324e-9 * r +
        5.475938084995344946e-4) * r + 0.0151986665636164571966) * r + 0.14810397642748007459) * r +
        0.68976733498510000455) * r + 1.6763848301838038494) * r + 2.05319162663775882187) * r + 1.0);
  } else {
    r -= 5.0;
    x = (((((((2.01033439929228813265e-7 * r + 2.71155556874348757815e-5) * r + 0.0012426609473880784386) * r +
        0.026532189526576123093) * r + 0.29656057182850489123) * r + 1.7848265399172913358) * r +
        5.4637849111641143699) * r + 6.6579046435011037772) / (((((((2.04426310338993978564e-15 * r +
        1.4215117583164458887e-7) * r + 1.8463183175100546818e-5) * r + 7.868691311456132591e-4) * r +
        0.0148753612908506148525) * r + 0.13692988092273580531) * r + 0.59983220655588793769) * r + 1.0);
  }
  return q < 0.0 ? -x : x;
}
)"},
    {"erfinv", true, R"(
static inline real @erfinv(real x) {
  if (fabs(x) >= 1.0) return fabs(x) > 1.0 ? (real)NAN : x * (real)INFINITY;
  return (real)(@normal_point(0.5 * (double)x, 0.5 - 0.5 * fabs((double)x)) * 0.70710678118654752440);
}
)"},
    {"normal", true, R"(
static inline real @normal(double u) {
  return (real)@normal_point(u - 0.5, u < 0.5 ? u : 1.0 - u);
}
)"},
    {"log_normal_cdf", true, R"(
/* The logarithm of the normal distribution function; below -37 by its asymptotic series. */
static inline double @log_normal_cdf(double x) {
  const double r = 1.0 / (x * x);
  if (x > 0.0) return log1p(-0.5 * erfc(x * 0.70710678118654752440));
  if (x > -37.0) return log(0.5 * erfc(-x * 0.70710678118654752440));
  return -0.5 * x * x - log(-x) - 0.91893853320467274178 +
      log1p(r * (-1.0 + r * (3.0 + r * (-15.0 + r * (105.0 - 945.0 * r)))));
}
)"},
    {"log_ndtr", true, R"(
static inline real @log_ndtr(real x) {
  return (real)@log_normal_cdf((double)x);
}
)"},
    {"ndtri_exp", true, R"(
static inline real @ndtri_exp(real v) {
  const double l = (double)v;
  double x, p, f;
  int k;
  if (l > 0.0) return (real)NAN;
  if (l > -0.69314718055994530942) {
    p = -expm1(l);
    return p == 0.0 ? (real)INFINITY : (real)-@normal_point(p - 0.5, p);
  }
  if (l > -690.0) {
    p = exp(l);
    return (real)@normal_point(p - 0.5, p);
  }
  if (!(l >= -1.7976931348623157e308)) return (real)l;
  x = -sqrt(-2.0 * l - 1.83787706640934548356 - log(-2.0 * l));
  for (k = 0; k < 4; ++k) {
    const double r = 1.0 / (x * x);
    f = @log_normal_cdf(x);
    x += (f - l) * (1.0 + r * (-1.0 + r * (3.0 + r * (-15.0 + r * (105.0 - 945.0 * r))))) / x;
  }
  return (real)x;
}
)"},
    {"lambert_w", true, R"(
/* w exp(w) = x, by Halley's steps. */
static inline real @lambert_w(real v) {
  const double x = (double)v;
  double w = log1p(x), e, f, d;
  int k;
  if (!(x >= 0.0)) return (real)NAN;
  if (x > 1.7976931348623157e308) return v;
  w *= 1.0 - log1p(w) / (2.0 + w);
  for (k = 0; k < 20; ++k) {
    e = w > 1.0 ? x * exp(-w) : 0.0; /* w exp(w) - x over exp(w) or, below 1, itself */
    f = w > 1.0 ? w - e : w * exp(w) - x;
    d = w > 1.0 ? f / (w + 1.0 - 0.5 * (w + 2.0) * f / (w + 1.0))
                : f / (exp(w) * (w + 1.0) - 0.5 * (w + 2.0) * f / (w + 1.0));
    w -= d;
    if (fabs(d) <= 1e-15 * w) break;
  }
  return (real)w;
}
)"},
    {"uniform", true, R"(
static inline real @uniform(double u) {
  return (real)u;
}
)"},
    {"logistic", true, R"(
static inline real @logistic(double u) {
  return (real)(log(u) - log1p(-u));
}
)"},
    {"laplace", true, R"(
static inline real @laplace(double u) {
  return (real)(u < 0.5 ? log(2.0 * u) : -log(2.0 * (1.0 - u)));
}
)"},
    {"cauchy", true, R"(
static inline real @cauchy(double u) {
  return (real)(fabs(u - 0.5) < 0.25 ? tan(3.14159265358979323846 * (u - 0.5))
      : u < 0.5 ? -1.0 / tan(3.14159265358979323846 * u) : 1.0 / tan(3.14159265358979323846 * (1.0 - u)));
}
)"},
    {"exponential", true, R"(
static inline real @exponential(double u) {
  return (real)-log(u);
}
)"},
    {"choose", true, R"(
/* The interval of u, of intervals of these weights one after the other. */
static inline int @choose(real u, const double *weights, int count) {
  double rest = (double)u;
  int k = 0, j;
  for (j = 0; j < count; ++j) {
    if (weights[j] == 0.0) continue;
    k = j;
    if (rest < weights[j]) break;
    rest -= weights[j];
  }
  return k;
}
)"},
    {"scale_with_tails", false, R"(
/* y = exp(s) x, whose slope goes to about 1 beyond |x| = knot where it is smaller; returns the log of the slope. */
static inline real @scale_with_tails(real knot, real x, real s, real *y) {
  const real scale = exp(s), size = fabs(x);
  if (s < 0.0 && size > knot) {
    const real more = (1.0 - scale) * (1.0 - scale * scale * (scale * scale)), e = size - knot;
    const real part = e < 1.0 ? e : 1.0, rise = e < 1.0 ? 0.5 * (e * e) : e - 0.5;
    *y = copysign(scale * size + more * rise, x);
    return log(more * part + scale);
  }
  *y = x * scale;
  return s;
}
)"},
    {"scale_with_tails_inverse", false, R"(
/* Its inverse. */
static inline real @scale_with_tails_inverse(real knot, real y, real s, real *x) {
  const real factor = exp(-s), scale = 1.0 / factor, size = fabs(y), limit = scale * knot;
  if (s < 0.0 && size > limit) {
    const real more = (1.0 - scale) * (1.0 - scale * scale * (scale * scale)), u = size - limit;
    const real end = 0.5 * more + scale, within = u < end ? u : end;
    const real bent = (within + within) / (scale + sqrt((more + more) * within + scale * scale));
    const real e = bent + (u - within) / (scale + more);
    *x = copysign(knot + e, y);
    return -log(more * (e < 1.0 ? e : 1.0) + scale);
  }
  *x = y * factor;
  return -s;
}
)"},
    {"between", true, R"(
static inline double @between(double x, double low, double high) {
  return x < low ? low : x > high ? high : x;
}
)"},
    // In double for float models too: sums of knots and the difference from them are what costs digits.
    {"find_bin", true, R"(
struct @spline_family {
  int bins, tails; /* identity, circular, bounded, straight lines */
  real low, high, first, last, scale, min_width, min_height, min_derivative, max_derivative, log_range, end_slope;
};
struct @spline_bin {
  double x, y, right, top, d0, d1;
};

/* The bin of a rational-quadratic spline that holds `in`, an x or a y; raw numbers lie `stride` apart. */
static inline struct @spline_bin @find_bin(const struct @spline_family *s, double in, const real *raw, int stride,
                                           int by_y) {
  double e[128], rate[2], sum[2] = {0.0, 0.0}, step[2], at[2], next[2];
  const int bins = s->bins, soft = s->log_range > 0;
  const double low = s->low, high = s->high, least[2] = {s->min_width, s->min_height};
  struct @spline_bin b;
  int i, k, index = 0;
  for (i = 0; i < 2; ++i) {
    const real *r = raw + i * bins * stride;
    double largest = r[0], total = 0.0;
    for (k = 1; k < bins; ++k)
      if (r[k * stride] > largest) largest = r[k * stride];
    for (k = 0; k < bins; ++k) {
      const double v = r[k * stride];
      const double term = soft ? exp(v / (fabs(v) * (2.0 / s->log_range) + 1.0)) : exp((v - largest) * s->scale);
      e[i * bins + k] = term;
      total += term;
    }
    rate[i] = 1.0 / total;
    step[i] = rate[i] * ((high - low) * (1.0 - bins * least[i]));
    at[i] = low;
  }
  b.x = b.y = b.right = b.top = low;
  for (k = 0; k < bins; ++k) {
    const int reached = k == 0 || in >= at[by_y];
    for (i = 0; i < 2; ++i) {
      sum[i] += e[i * bins + k];
      next[i] = k + 1 == bins ? high : sum[i] * step[i] + (low + (high - low) * ((k + 1) * least[i]));
    }
    if (reached) {
      index = k;
      b.x = at[0];
      b.y = at[1];
      b.right = next[0];
      b.top = next[1];
    }
    at[0] = next[0];
    at[1] = next[1];
  }
  b.d0 = b.d1 = s->end_slope;
  for (i = 0; i < 2; ++i) {
    const int knot = index + i;
    double d;
    if (s->tails == 0 && (knot == 0 || knot == bins)) continue;
    d = raw[(2 * bins + (s->tails == 0 ? knot - 1 : s->tails == 1 && knot == bins ? 0 : knot)) * stride];
    if (soft) {
      d = exp(d / (fabs(d) * (1.0 / s->log_range) + 1.0));
    } else {
      d = s->min_derivative + ((d > 0.0 ? d : 0.0) + log1p(exp(-fabs(d))));
      if (d > s->max_derivative) d = s->max_derivative;
    }
    if (i) b.d1 = d;
    else b.d0 = d;
  }
  return b;
}

/* y_k + h (s t^2 + d0 t (1 - t)) / (s + (d0 + d1 - 2 s) t (1 - t)) at t = (x - x_k) / w, s = h / w. */
static inline double @spline_slope(const struct @spline_bin *b, double t, double *rise) {
  const double rest = 1.0 - t, h = b->top - b->y, s = h / (b->right - b->x), q = t * rest;
  const double numerator = s * t * t + b->d0 * q, denominator = (b->d0 + b->d1 - 2.0 * s) * q + s;
  const double ratio = s / denominator;
  *rise = h * (numerator / denominator);
  return ratio * ratio * (b->d1 * t * t + (b->d0 * rest * rest + (s + s) * q));
}
)"},
    {"spline", true, R"(
/* The spline at x; returns the log of its slope. */
static inline real @spline(const struct @spline_family *s, real x, const real *raw, int stride, real *y) {
  const double inside = @between(x, s->low, s->high);
  const struct @spline_bin b = @find_bin(s, inside, raw, stride, 0);
  double rise, slope;
  slope = @spline_slope(&b, @between((inside - b.x) / (b.right - b.x), 0.0, 1.0), &rise);
  if (s->tails != 3 && !(x >= s->low && x <= s->high)) {
    *y = x;
    return x == x ? 0 : x;
  }
  *y = (real)(@between(@between(b.y + rise, b.y, b.top), s->first, s->last) + slope * (x - inside));
  return (real)log(slope);
}
)"},
    {"spline_inverse", true, R"(
/* Its inverse at y; returns the log of the slope of the inverse. */
static inline real @spline_inverse(const struct @spline_family *s, real y, const real *raw, int stride, real *x) {
  const double inside = @between(y, s->low, s->high);
  const struct @spline_bin b = @find_bin(s, inside, raw, stride, 1);
  const double w = b.right - b.x, h = b.top - b.y, mean = h / w, u = (inside - b.y) / h, v = (b.top - inside) / h;
  const double two_su = (mean + mean) * u, tilt = b.d0 * v - b.d1 * u, p = tilt + two_su;
  const double sum = fabs(p) + sqrt(tilt * tilt + two_su * v * (mean + mean));
  const double t = @between(p > 0.0 ? two_su / sum : sum / (2.0 * (mean - p)), 0.0, 1.0);
  double rise, slope;
  slope = @spline_slope(&b, t, &rise);
  if (s->tails != 3 && !(y >= s->low && y <= s->high)) {
    *x = y;
    return y == y ? 0 : y;
  }
  *x = (real)(@between(@between(t * w + b.x, b.x, b.right), s->first, s->last) + (y - inside) / slope);
  return (real)log(1.0 / slope);
}
)"},
};

}  // namespace pushforward::detail
