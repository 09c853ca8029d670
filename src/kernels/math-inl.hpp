// Elementary functions on vectors; included once per instruction set, after kernels/dispatch.hpp.
//
// Every function takes one vector and works lane by lane, so a value's result depends on nothing but the value. All
// multiply-adds are written as such (the sources are compiled with -ffp-contract=off), so full vectors and tails agree.
// Bounds in ulp are over the whole range, denormal results included, with or without fma;
// tests/kernels_functions_test.cpp asserts them.

#include <hwy/highway.h>

#include <cstdint>
#include <cstring>
#include <limits>

#if defined(PUSHFORWARD_KERNELS_MATH_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef PUSHFORWARD_KERNELS_MATH_INL_HPP
#undef PUSHFORWARD_KERNELS_MATH_INL_HPP
#else
#define PUSHFORWARD_KERNELS_MATH_INL_HPP
#endif

HWY_BEFORE_NAMESPACE();
namespace pushforward::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class T>
using Vec = hn::Vec<hn::ScalableTag<T>>;

template <class T>
struct Real;

template <>
struct Real<float> {
  using Unsigned = std::uint32_t;
  static constexpr int mantissa_bits = 23;
  static constexpr int bias = 127;
  static constexpr float round_magic = 12582912.0f;   // 1.5 * 2^23: adding it rounds to an integer in the low bits
  static constexpr float integer_magic = 8388608.0f;  // 2^23: its low bits count in ones
  static constexpr Unsigned sqrt_half_bits = 0x3f3504f3;
  static constexpr float min_normal = std::numeric_limits<float>::min();
  static constexpr float denormal_scale = 33554432.0f;  // 2^25
  static constexpr float denormal_exponent = 25.0f;

  static constexpr float log2_e = 1.44269504088896340736f;
  // ln 2 in two parts, the first with so few bits that its product with an exponent is exact.
  static constexpr float ln2_hi = 0.693145751953125f;
  static constexpr float ln2_lo = 1.428606765330187045e-06f;
  static constexpr float exp_overflow = 89.0f;
  static constexpr float exp_underflow = -104.5f;
  static constexpr float exp_normal_floor = -86.5f;
  static constexpr float expm1_floor = -18.0f;  // below, exp(x) - 1 rounds to -1
  static constexpr float expm1_ceiling = 89.0f;
  static constexpr float tanh_saturation = 20.0f;  // of 2 |x|
  static constexpr float log1p_no_carry = 1.0e9f;  // above, 1 + x rounds by less than matters
  static constexpr float erf_saturation = 4.0f;    // above, 1 - erfc rounds to 1
  static constexpr float erfc_underflow = 10.2f;

  // exp(r) = 1 + r + r^2 P(r) for |r| <= ln(2) / 2, Chebyshev fit, absolute error 2e-10.
  static constexpr float exp_poly[] = {5.0e-01f,       1.6666667e-01f, 4.1666467e-02f,
                                       8.3333105e-03f, 1.393365e-03f,  1.9890991e-04f};
  // log(1 + f) = f - f^2/2 + s (f^2/2 + R(s^2)), s = f / (2 + f): the series of FreeBSD's msun.
  static constexpr float log_poly[] = {0xaaaaaa.0p-24f, 0xccce13.0p-25f, 0x91e9ee.0p-25f, 0xf89e26.0p-26f};
  // erf(t) = t + t Q(t^2) for t <= 1, absolute error 1e-9.
  static constexpr float erf_poly[] = {1.2837917e-01f, -3.7612626e-01f, 1.1283594e-01f, -2.6854208e-02f,
                                       5.189078e-03f,  -8.0167735e-04f, 7.875546e-05f};
  // (t + center) exp(t^2) erfc(t) in (t - center) / (t + center) for t >= 1, relative error 3e-9.
  static constexpr float erfc_center = 3.0f;
  static constexpr float erfc_poly[] = {1.0740069e+00f,  -8.833944e-01f,  5.902285e-01f, -3.1046948e-01f, 1.195253e-01f,
                                        -2.6797023e-02f, -1.2013239e-03f, 2.878378e-03f, -5.364083e-04f};

  // erfinv(x) / x - 1 in w = -log(1 - x^2) for |x| up to erfinv_center, erfinv(x) / r - 1 in r = sqrt(-log(1 - |x|))
  // beyond: rational functions that interpolate at Chebyshev nodes, made with 45 digits; absolute errors 2e-9, 3e-9.
  static constexpr float erfinv_center = 0.92987f;  // w = 2
  static constexpr float erfinv_center_num[] = {-1.1377308e-01f, 2.3019427e-01f, 1.3090369e-02f, 2.299514e-03f};
  static constexpr float erfinv_center_den[] = {1.0f, 1.5992278e-02f, 1.9060664e-02f, -2.210605e-04f};
  static constexpr float erfinv_tail_num[] = {-9.3616325e-01f, -6.3222724e-01f, -1.2910564e-02f, 2.4642306e-04f};
  static constexpr float erfinv_tail_den[] = {1.0f, 1.193796e+00f, 1.7731203e+00f, 3.85447e-01f};
};

template <>
struct Real<double> {
  using Unsigned = std::uint64_t;
  static constexpr int mantissa_bits = 52;
  static constexpr int bias = 1023;
  static constexpr double round_magic = 6755399441055744.0;    // 1.5 * 2^52
  static constexpr double integer_magic = 4503599627370496.0;  // 2^52
  static constexpr Unsigned sqrt_half_bits = 0x3fe6a09e667f3bcd;
  static constexpr double min_normal = std::numeric_limits<double>::min();
  static constexpr double denormal_scale = 18014398509481984.0;  // 2^54
  static constexpr double denormal_exponent = 54.0;

  static constexpr double log2_e = 1.44269504088896340736;
  static constexpr double ln2_hi = 6.93147180369123816490e-01;
  static constexpr double ln2_lo = 1.90821492927058770002e-10;
  static constexpr double exp_overflow = 710.0;
  static constexpr double exp_underflow = -746.0;
  static constexpr double exp_normal_floor = -707.0;
  static constexpr double expm1_floor = -38.0;
  static constexpr double expm1_ceiling = 710.0;
  static constexpr double tanh_saturation = 40.0;
  static constexpr double log1p_no_carry = 1.0e18;
  static constexpr double erf_saturation = 6.0;
  static constexpr double erfc_underflow = 27.5;

  // Absolute error 2e-19.
  static constexpr double exp_poly[] = {0.5,
                                        0.1666666666666667,
                                        0.04166666666666667,
                                        0.008333333333326136,
                                        0.0013888888888883748,
                                        0.00019841269874820627,
                                        2.4801587325547743e-05,
                                        2.7557255400206422e-06,
                                        2.75572736431103e-07,
                                        2.5105217004720745e-08,
                                        2.0914686968086876e-09};
  static constexpr double log_poly[] = {6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01,
                                        2.222219843214978396e-01, 1.818357216161805012e-01, 1.531383769920937332e-01,
                                        1.479819860511658591e-01};
  // Absolute error 7e-18.
  static constexpr double erf_poly[] = {0.12837916709551256,     -0.37612638903183543,   0.11283791670944997,
                                        -0.026866170643236143,   0.00522397760710251,    -0.0008548325974698299,
                                        0.00012055294883501286,  -1.492473648590296e-05, 1.6447419370488171e-06,
                                        -1.6208442020927564e-07, 1.3719880012236024e-08, -7.795547647493875e-10};
  // Relative error 8e-18.
  static constexpr double erfc_center = 4.0;
  static constexpr double erfc_poly[] = {
      1.095995661000491,      -0.9765487290808817,    0.773208702265239,      -0.5408538313132645,
      0.3308515878778817,     -0.17401093723859967,   0.07638151491268048,    -0.02637005336821735,
      0.006112055614810625,   -0.0002809585461876483, -0.0004550524395453215, 0.00017681064954221934,
      -3.635740496941033e-06, -1.885190578386836e-05, 4.6933712255459915e-06, 1.4019418696486185e-06,
      -8.370519585927545e-07, -4.523656657730788e-08, 1.0437191709610442e-07, -1.6488030992942014e-08};

  // Absolute errors 4e-19, 2e-18.
  static constexpr double erfinv_center = 0.95807;  // w = 2.5
  static constexpr double erfinv_center_num[] = {-0.11377307454724199,  0.22298158268356003,   0.024599981361824275,
                                                 0.009220718028634691,  0.0007883732059050238, 0.00010149607148253202,
                                                 4.990928143779392e-06, 1.9566893477516533e-07};
  static constexpr double erfinv_center_den[] = {1.0,
                                                 0.07938683108492545,
                                                 0.04718331162613038,
                                                 0.0027090691375351145,
                                                 0.0006300651392535967,
                                                 1.9725922851559106e-05,
                                                 1.8937416360769498e-06,
                                                 4.156462421314197e-09};
  static constexpr double erfinv_tail_num[] = {-0.9971388510642366,   -1.2138834459734522,     -1.9716674576229547,
                                               -1.0675881676635042,   -0.14474391027779554,    -0.029010164448626075,
                                               -0.004388555740703232, -0.00014524551508144165, -2.6101395911446384e-07,
                                               9.056632580321561e-10};
  static constexpr double erfinv_tail_den[] = {1.0,
                                               2.0730044054882826,
                                               3.927627766956436,
                                               3.793028977813643,
                                               3.1135760971246014,
                                               0.8872859264176445,
                                               0.12089944533423203,
                                               0.025102973414405906,
                                               0.002462465638015532,
                                               5.409789281701621e-05};
};

/// Polynomial with coefficients in ascending order, Horner's rule, unrolled.
template <class T, std::size_t N, std::size_t I = 0>
HWY_INLINE Vec<T> horner(Vec<T> x, const T (&c)[N]) {
  const hn::ScalableTag<T> d;
  if constexpr (I + 1 == N) {
    return hn::Set(d, c[I]);
  } else {
    return hn::MulAdd(horner<T, N, I + 1>(x, c), x, hn::Set(d, c[I]));
  }
}

/// The same in x^2, from coefficient I on: every second one.
template <class T, std::size_t N, std::size_t I>
HWY_INLINE Vec<T> horner_by_two(Vec<T> x2, const T (&c)[N]) {
  const hn::ScalableTag<T> d;
  if constexpr (I + 2 >= N) {
    return hn::Set(d, c[I]);
  } else {
    return hn::MulAdd(horner_by_two<T, N, I + 2>(x2, c), x2, hn::Set(d, c[I]));
  }
}

/// Long polynomials as two interleaved chains, so that half of the latency remains.
template <class T, std::size_t N>
HWY_INLINE Vec<T> polynomial(Vec<T> x, const T (&c)[N]) {
  if constexpr (N < 5) {
    return horner(x, c);
  } else {
    const Vec<T> x2 = hn::Mul(x, x);
    return hn::MulAdd(horner_by_two<T, N, 1>(x2, c), x, horner_by_two<T, N, 0>(x2, c));
  }
}

// Comparisons are false for NaN, so these clamps keep it (Min and Max need not).
template <class T>
HWY_INLINE Vec<T> at_most(Vec<T> x, T bound) {
  const Vec<T> b = hn::Set(hn::ScalableTag<T>(), bound);
  return hn::IfThenElse(hn::Gt(x, b), b, x);
}
template <class T>
HWY_INLINE Vec<T> at_least(Vec<T> x, T bound) {
  const Vec<T> b = hn::Set(hn::ScalableTag<T>(), bound);
  return hn::IfThenElse(hn::Lt(x, b), b, x);
}

/// 2^q for integral q in the normal exponent range, without a conversion to integers (for double those are slow
/// before AVX-512): the sum's low bits are the biased exponent.
template <class T>
HWY_INLINE Vec<T> power_of_two(Vec<T> q) {
  const hn::ScalableTag<T> d;
  const hn::ScalableTag<typename Real<T>::Unsigned> du;
  const Vec<T> biased = hn::Add(q, hn::Set(d, Real<T>::round_magic + T(Real<T>::bias)));
  return hn::BitCast(d, hn::ShiftLeft<Real<T>::mantissa_bits>(hn::BitCast(du, biased)));
}

/// v 2^q for q in twice the exponent range: overflows to infinity, and denormal results round once.
template <class T>
HWY_INLINE Vec<T> scale_by_power(Vec<T> v, Vec<T> q) {
  const hn::ScalableTag<T> d;
  const Vec<T> magic = hn::Set(d, Real<T>::round_magic);
  const Vec<T> half = hn::Sub(hn::MulAdd(q, hn::Set(d, T(0.5)), magic), magic);
  return hn::Mul(hn::Mul(v, power_of_two<T>(half)), power_of_two<T>(hn::Sub(q, half)));
}

/// x = q ln 2 + r with integral q and |r| <= ln(2) / 2; returns exp(r) - 1.
template <class T>
HWY_INLINE Vec<T> reduced_expm1(Vec<T> x, Vec<T>& q) {
  const hn::ScalableTag<T> d;
  using C = Real<T>;
  const Vec<T> magic = hn::Set(d, C::round_magic);
  q = hn::Sub(hn::MulAdd(x, hn::Set(d, C::log2_e), magic), magic);
  Vec<T> r = hn::NegMulAdd(q, hn::Set(d, C::ln2_hi), x);
  r = hn::NegMulAdd(q, hn::Set(d, C::ln2_lo), r);
  return hn::MulAdd(polynomial(r, C::exp_poly), hn::Mul(r, r), r);
}

/// exp(x) for x below exp_overflow (or NaN).
template <class T>
HWY_INLINE Vec<T> exp_bounded_above(Vec<T> x) {
  const hn::ScalableTag<T> d;
  Vec<T> q;
  const Vec<T> p = reduced_expm1<T>(at_least<T>(x, Real<T>::exp_underflow), q);
  return scale_by_power<T>(hn::Add(p, hn::Set(d, T(1))), q);
}

/// exp(x) for x <= 0 (or NaN) where results that are not normal numbers may be 0: 1.2 ulp.
template <class T>
HWY_INLINE Vec<T> exp_or_zero(Vec<T> x) {
  const hn::ScalableTag<T> d;
  const Vec<T> floor = hn::Set(d, Real<T>::exp_normal_floor);
  Vec<T> q;
  const Vec<T> p = reduced_expm1<T>(hn::IfThenElse(hn::Lt(x, floor), floor, x), q);
  const Vec<T> scale = power_of_two<T>(q);
  return hn::IfThenZeroElse(hn::Lt(x, floor), hn::MulAdd(p, scale, scale));
}

/// 1.2 ulp.
template <class T>
HWY_INLINE Vec<T> exp(Vec<T> x) {
  return exp_bounded_above<T>(at_most<T>(x, Real<T>::exp_overflow));
}

/// 2.2 ulp.
template <class T>
HWY_INLINE Vec<T> expm1(Vec<T> x) {
  const hn::ScalableTag<T> d;
  const Vec<T> one = hn::Set(d, T(1));
  Vec<T> q;
  const Vec<T> p = reduced_expm1<T>(at_least<T>(at_most<T>(x, Real<T>::expm1_ceiling), Real<T>::expm1_floor), q);
  // 2^q (p + 1 - 2^-q); from q = 100 on the last term is below half an ulp.
  const Vec<T> inverse = power_of_two<T>(hn::Neg(at_most<T>(q, T(100))));
  // The sign is the argument's, that of a zero too.
  return hn::CopySign(scale_by_power<T>(hn::Add(p, hn::Sub(one, inverse)), q), x);
}

/// 3 ulp.
template <class T>
HWY_INLINE Vec<T> tanh(Vec<T> x) {
  const hn::ScalableTag<T> d;
  const Vec<T> two_x = at_most<T>(hn::Mul(hn::Abs(x), hn::Set(d, T(2))), Real<T>::tanh_saturation);
  Vec<T> q;
  const Vec<T> p = reduced_expm1<T>(two_x, q);
  const Vec<T> scale = power_of_two<T>(q);
  const Vec<T> e = hn::MulAdd(p, scale, hn::Sub(scale, hn::Set(d, T(1))));  // expm1(2 |x|)
  return hn::CopySign(hn::Div(e, hn::Add(e, hn::Set(d, T(2)))), x);
}

/// 2.5 ulp, relative in the left tail too.
template <class T>
HWY_INLINE Vec<T> sigmoid(Vec<T> x) {
  const hn::ScalableTag<T> d;
  const Vec<T> one = hn::Set(d, T(1));
  const Vec<T> e = exp_bounded_above<T>(hn::Neg(hn::Abs(x)));
  return hn::Div(hn::IfThenElse(hn::Lt(x, hn::Zero(d)), e, one), hn::Add(one, e));
}

/// log(2^k (1 + f) + c 2^k) for f in [sqrt(1/2) - 1, sqrt(2) - 1], c small.
template <class T>
HWY_INLINE Vec<T> log_of_parts(Vec<T> k, Vec<T> f, Vec<T> c) {
  const hn::ScalableTag<T> d;
  using C = Real<T>;
  const Vec<T> s = hn::Div(f, hn::Add(f, hn::Set(d, T(2))));
  const Vec<T> z = hn::Mul(s, s);
  const Vec<T> r = hn::Mul(z, polynomial(z, C::log_poly));
  const Vec<T> half_square = hn::Mul(hn::Mul(f, f), hn::Set(d, T(0.5)));
  const Vec<T> low = hn::MulAdd(s, hn::Add(half_square, r), hn::MulAdd(k, hn::Set(d, C::ln2_lo), c));
  return hn::MulAdd(k, hn::Set(d, C::ln2_hi), hn::Sub(f, hn::Sub(half_square, low)));
}

/// x = 2^k m with m in [sqrt(1/2), sqrt(2)), for normal x > 0.
template <class T>
HWY_INLINE Vec<T> split_exponent(Vec<T> x, Vec<T>& k) {
  const hn::ScalableTag<T> d;
  using C = Real<T>;
  using U = typename C::Unsigned;
  const hn::ScalableTag<U> du;
  constexpr U one_bits = U(C::bias) << C::mantissa_bits;
  constexpr U mantissa_mask = (U(1) << C::mantissa_bits) - 1;
  const auto bits = hn::Add(hn::BitCast(du, x), hn::Set(du, one_bits - C::sqrt_half_bits));
  const auto exponent = hn::ShiftRight<C::mantissa_bits>(bits);
  const Vec<T> magic = hn::Set(d, C::integer_magic);
  k = hn::Sub(hn::BitCast(d, hn::Or(exponent, hn::BitCast(du, magic))), hn::Set(d, C::integer_magic + T(C::bias)));
  return hn::BitCast(d, hn::Add(hn::And(bits, hn::Set(du, mantissa_mask)), hn::Set(du, C::sqrt_half_bits)));
}

/// 1 ulp.
template <class T>
HWY_INLINE Vec<T> log(Vec<T> x) {
  const hn::ScalableTag<T> d;
  using C = Real<T>;
  constexpr T infinity = std::numeric_limits<T>::infinity();
  const auto denormal = hn::Lt(x, hn::Set(d, C::min_normal));
  Vec<T> k;
  const Vec<T> m = split_exponent<T>(hn::IfThenElse(denormal, hn::Mul(x, hn::Set(d, C::denormal_scale)), x), k);
  k = hn::Sub(k, hn::IfThenElseZero(denormal, hn::Set(d, C::denormal_exponent)));
  Vec<T> y = log_of_parts<T>(k, hn::Sub(m, hn::Set(d, T(1))), hn::Zero(d));
  y = hn::IfThenElse(hn::Lt(x, hn::Set(d, infinity)), y, x);
  const Vec<T> at_zero_or_below =
      hn::IfThenElse(hn::Eq(x, hn::Zero(d)), hn::Set(d, -infinity), hn::Set(d, std::numeric_limits<T>::quiet_NaN()));
  return hn::IfThenElse(hn::Gt(x, hn::Zero(d)), y, at_zero_or_below);
}

/// log(1 + x) for finite x > -1.
template <class T>
HWY_INLINE Vec<T> log1p_finite(Vec<T> x) {
  const hn::ScalableTag<T> d;
  const Vec<T> one = hn::Set(d, T(1));
  const Vec<T> u = hn::Add(one, x);
  Vec<T> k;
  const Vec<T> m = split_exponent<T>(u, k);
  // What 1 + x lost in rounding, relative to u; 1 / m = 2 - m is close enough for a term below half an ulp.
  const Vec<T> lost = hn::IfThenElse(hn::Gt(x, one), hn::Sub(one, hn::Sub(u, x)), hn::Sub(x, hn::Sub(u, one)));
  const Vec<T> f = hn::Sub(m, one);
  const Vec<T> c = hn::Mul(hn::Mul(lost, power_of_two<T>(hn::Neg(k))), hn::Sub(one, f));
  const auto whole = hn::Eq(k, hn::Zero(d));  // then x is f itself, before any rounding
  const auto no_carry = hn::Gt(x, hn::Set(d, Real<T>::log1p_no_carry));
  return log_of_parts<T>(k, hn::IfThenElse(whole, x, f), hn::IfThenZeroElse(hn::Or(whole, no_carry), c));
}

/// 1.2 ulp.
template <class T>
HWY_INLINE Vec<T> log1p(Vec<T> x) {
  const hn::ScalableTag<T> d;
  constexpr T infinity = std::numeric_limits<T>::infinity();
  const Vec<T> minus_one = hn::Set(d, T(-1));
  const Vec<T> y = hn::IfThenElse(hn::Lt(x, hn::Set(d, infinity)), hn::CopySign(log1p_finite<T>(x), x), x);
  const Vec<T> at_end_or_below =
      hn::IfThenElse(hn::Eq(x, minus_one), hn::Set(d, -infinity), hn::Set(d, std::numeric_limits<T>::quiet_NaN()));
  return hn::IfThenElse(hn::Gt(x, minus_one), y, at_end_or_below);
}

/// 2 ulp, relative in the left tail too.
template <class T>
HWY_INLINE Vec<T> softplus(Vec<T> x) {
  const hn::ScalableTag<T> d;
  const Vec<T> e = exp_bounded_above<T>(hn::Neg(hn::Abs(x)));
  // log(1 + e) for 0 <= e <= 1: above sqrt(2) - 1, 1 + e = 2 (1 + (e - 1) / 2).
  const Vec<T> one = hn::Set(d, T(1));
  const auto upper = hn::Gt(e, hn::Set(d, T(0.41421356237309504880)));
  const Vec<T> f = hn::IfThenElse(upper, hn::Mul(hn::Sub(e, one), hn::Set(d, T(0.5))), e);
  const Vec<T> log1p_e = log_of_parts<T>(hn::IfThenElseZero(upper, one), f, hn::Zero(d));
  return hn::Add(hn::IfThenElseZero(hn::Gt(x, hn::Zero(d)), x), log1p_e);
}

/// erf(t) for 0 <= t <= 1, t2 = t^2.
template <class T>
HWY_INLINE Vec<T> erf_small(Vec<T> t, Vec<T> t2) {
  return hn::MulAdd(polynomial(t2, Real<T>::erf_poly), t, t);
}

/// exp(t^2) erfc(t) for 1 <= t <= erfc_underflow.
template <class T>
HWY_INLINE Vec<T> scaled_erfc(Vec<T> t) {
  const hn::ScalableTag<T> d;
  const Vec<T> center = hn::Set(d, Real<T>::erfc_center);
  const Vec<T> u = hn::Div(hn::Set(d, T(1)), hn::Add(t, center));
  return hn::Mul(u, polynomial(hn::Mul(hn::Sub(t, center), u), Real<T>::erfc_poly));
}

/// 1.75 ulp.
template <class T>
HWY_INLINE Vec<T> erf(Vec<T> x) {
  const hn::ScalableTag<T> d;
  const Vec<T> one = hn::Set(d, T(1));
  const Vec<T> t = at_most<T>(hn::Abs(x), Real<T>::erf_saturation);
  const Vec<T> t2 = hn::Mul(t, t);
  Vec<T> q;
  const Vec<T> p = reduced_expm1<T>(hn::Neg(t2), q);
  const Vec<T> gauss = hn::Mul(hn::Add(p, one), power_of_two<T>(q));
  const Vec<T> large = hn::NegMulAdd(gauss, scaled_erfc<T>(t), one);
  return hn::CopySign(hn::IfThenElse(hn::Lt(t, one), erf_small<T>(t, t2), large), x);
}

/// 3 ulp, up to the last numbers before 1; infinite at -1 and 1, NaN beyond.
/// In the variables of M. Giles (Approximating the erfinv function, 2012) near zero and of M. Wichura (Algorithm AS
/// 241, 1988) near 1, which resolve the approach to 1 as well as the format does: 1 - |x| is exact there.
template <class T>
HWY_INLINE Vec<T> erfinv(Vec<T> x) {
  const hn::ScalableTag<T> d;
  using C = Real<T>;
  const Vec<T> one = hn::Set(d, T(1));
  const Vec<T> a = hn::Abs(x);
  const auto tail = hn::Gt(a, hn::Set(d, C::erfinv_center));
  const Vec<T> rest = hn::Sub(one, a);
  Vec<T> k;
  const Vec<T> m = split_exponent<T>(hn::IfThenElse(tail, rest, hn::Mul(rest, hn::Add(one, a))), k);
  const Vec<T> w = hn::Neg(log_of_parts<T>(k, hn::Sub(m, one), hn::Zero(d)));
  const Vec<T> r = hn::Sqrt(w);
  const Vec<T> num = hn::IfThenElse(tail, polynomial(r, C::erfinv_tail_num), polynomial(w, C::erfinv_center_num));
  const Vec<T> den = hn::IfThenElse(tail, polynomial(r, C::erfinv_tail_den), polynomial(w, C::erfinv_center_den));
  const Vec<T> base = hn::IfThenElse(tail, r, a);
  const Vec<T> y = hn::MulAdd(hn::Div(num, den), base, base);
  const Vec<T> at_end_or_beyond = hn::IfThenElse(hn::Eq(a, one), hn::Set(d, std::numeric_limits<T>::infinity()),
                                                 hn::Set(d, std::numeric_limits<T>::quiet_NaN()));
  return hn::CopySign(hn::IfThenElse(hn::Lt(a, one), y, at_end_or_beyond), x);
}

/// Phi(x), the normal distribution function, accurate in relative terms in the left tail too; `gauss` is set to
/// exp(-x^2 / 2).
template <class T>
HWY_INLINE Vec<T> normal_cdf(Vec<T> x, Vec<T>& gauss) {
  const hn::ScalableTag<T> d;
  const Vec<T> one = hn::Set(d, T(1));
  const Vec<T> half = hn::Set(d, T(0.5));
  const Vec<T> t = at_most<T>(hn::Mul(hn::Abs(x), hn::Set(d, T(0.70710678118654752440))), Real<T>::erfc_underflow);
  const Vec<T> t2 = hn::Mul(t, t);
  gauss = exp_bounded_above<T>(hn::Neg(t2));
  const Vec<T> tail = hn::Mul(hn::Mul(half, scaled_erfc<T>(t)), gauss);
  const Vec<T> center = hn::MulAdd(half, hn::CopySign(erf_small<T>(t, t2), x), half);
  const Vec<T> outside = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), tail, hn::Sub(one, tail));
  return hn::IfThenElse(hn::Lt(t, one), center, outside);
}

/// a b - product, which is a b rounded: what rounding has taken, with fma or without.
template <class T>
HWY_INLINE Vec<T> lost_in_product(Vec<T> a, Vec<T> b, Vec<T> product) {
  const hn::ScalableTag<T> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  // Half of the bits, so that products of halves are exact.
  constexpr auto upper = static_cast<typename Real<T>::Unsigned>(~typename Real<T>::Unsigned{0}
                                                                 << (Real<T>::mantissa_bits + 2) / 2);
  const Vec<T> mask = hn::BitCast(d, hn::Set(du, upper)), a1 = hn::And(a, mask), b1 = hn::And(b, mask);
  const Vec<T> a0 = hn::Sub(a, a1), b0 = hn::Sub(b, b1);
  const Vec<T> first = hn::Sub(hn::Mul(a1, b1), product), middle = hn::Add(hn::Mul(a1, b0), hn::Mul(a0, b1));
  return hn::Add(hn::Add(first, middle), hn::Mul(a0, b0));
}

/// What log Phi(x) is made of: t = |x| / sqrt(2), and t^2 in two parts, of which the second is what the first lost in
/// rounding.
template <class T>
struct NormalTail {
  Vec<T> t2, rest;
  Vec<T> erfc;    // where `near`: t < 1
  Vec<T> scaled;  // exp(t^2) erfc(t), beyond
  hn::Mask<hn::ScalableTag<T>> near, far;  // far: beyond what is left of the gauss
};
template <class T>
HWY_INLINE NormalTail<T> normal_tail(Vec<T> x) {
  const hn::ScalableTag<T> d;
  const Vec<T> one = hn::Set(d, T(1)), half = hn::Set(d, T(0.5));
  const Vec<T> half_x = hn::Mul(half, x), t2 = hn::Mul(half_x, x);
  const Vec<T> t = hn::Mul(hn::Abs(x), hn::Set(d, T(0.70710678118654752440)));
  // Beyond the polynomial: 1 / (t sqrt(pi)) (1 - r (1 - 3 r (1 - 5 r (1 - 7 r (1 - 9 r))))), r = 1 / (2 t^2).
  const Vec<T> r = hn::Div(half, t2);
  Vec<T> series = one;
  for (const T k : {T(9), T(7), T(5), T(3), T(1)})
    series = hn::NegMulAdd(hn::Mul(hn::Set(d, k), r), series, one);
  series = hn::Div(hn::Mul(series, hn::Set(d, T(0.56418958354775628695))), t);
  const Vec<T> end = hn::Set(d, Real<T>::erfc_underflow);
  return {t2, lost_in_product<T>(half_x, x, t2), hn::Sub(one, erf_small<T>(t, t2)),
          hn::IfThenElse(hn::Gt(t, end), series, scaled_erfc<T>(hn::Min(t, end))), hn::Lt(t, one), hn::Gt(t, end)};
}

/// log Phi(x), accurate in relative terms in both tails.
template <class T>
HWY_INLINE Vec<T> log_ndtr(Vec<T> x, const NormalTail<T>& tail) {
  const hn::ScalableTag<T> d;
  const Vec<T> half = hn::Set(d, T(0.5));
  const Vec<T> left = hn::Sub(log<T>(hn::Mul(half, hn::IfThenElse(tail.near, tail.erfc, tail.scaled))),
                              hn::IfThenZeroElse(tail.near, tail.t2));
  const Vec<T> gauss = exp<T>(hn::Neg(tail.t2));
  const Vec<T> erfc = hn::IfThenZeroElse(tail.far, hn::Mul(tail.scaled, hn::NegMulAdd(gauss, tail.rest, gauss)));
  const Vec<T> right = log1p<T>(hn::Neg(hn::Mul(half, hn::IfThenElse(tail.near, tail.erfc, erfc))));
  return hn::IfThenElse(hn::Gt(x, hn::Zero(d)), right, left);
}

template <class T>
HWY_INLINE Vec<T> log_ndtr(Vec<T> x) {
  return log_ndtr<T>(x, normal_tail<T>(x));
}

/// log(phi(x) / Phi(x)), the normal density over the distribution function.
template <class T>
HWY_INLINE Vec<T> log_normal_hazard(Vec<T> x) {
  const hn::ScalableTag<T> d;
  const Vec<T> half_log_two_pi = hn::Set(d, T(0.91893853320467274178));
  const NormalTail<T> tail = normal_tail<T>(x);
  // Left of -sqrt(2) the squares cancel.
  const Vec<T> left = hn::Neg(hn::Add(half_log_two_pi, log<T>(hn::Mul(hn::Set(d, T(0.5)), tail.scaled))));
  const Vec<T> other = hn::Sub(hn::Neg(tail.t2), hn::Add(half_log_two_pi, log_ndtr<T>(x, tail)));
  return hn::IfThenElse(hn::AndNot(tail.near, hn::Lt(x, hn::Zero(d))), left, other);
}

/// y[i] = f(inputs[i]...) for i in [0, n), any n: the tail passes through the same vector code.
template <class T, class F, class... Inputs>
HWY_INLINE void map(F f, T* y, Index n, const Inputs*... inputs) {
  const hn::ScalableTag<T> d;
  constexpr Index lanes = HWY_LANES(T);
  Index i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(f(hn::LoadU(d, inputs + i)...), d, y + i);
  if (i < n) {
    const std::size_t bytes = static_cast<std::size_t>(n - i) * sizeof(T);
    struct Buffer {
      HWY_ALIGN T values[HWY_LANES(T)] = {};
      HWY_INLINE Vec<T> load(const T* from, std::size_t size) {
        std::memcpy(values, from, size);
        return hn::Load(hn::ScalableTag<T>(), values);
      }
    };
    Buffer result;
    hn::Store(f(Buffer().load(inputs + i, bytes)...), d, result.values);
    std::memcpy(y + i, result.values, bytes);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace pushforward::kernels
HWY_AFTER_NAMESPACE();

#endif  // include guard per target
