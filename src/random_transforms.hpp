#pragma once

#include <bit>
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

// From random bits to draws: the arithmetic of random.cpp for one lane.
//
// k is an integer of B random bits, B = 32 in float and 52 in double; u = (k + 1/2) / 2^B. Every function is
// lane-wise: no branch, no table, only integer operations, selections, and + - * / sqrt.
// The polynomials interpolate at Chebyshev nodes, computed with 50 digits.
//
// Compile without contraction of products and sums (-ffp-contract=off) and without -ffast-math: the golden values pin
// every bit, and vector versions must repeat the sequence of operations exactly. -fno-math-errno lets the compiler
// vectorise the square root and changes no bit.

namespace pushforward::draws {

static_assert(FLT_EVAL_METHOD == 0 || FLT_EVAL_METHOD == 16, "arithmetic with excess precision changes the draws");
static_assert(std::numeric_limits<float>::is_iec559 && std::numeric_limits<double>::is_iec559);

template <class T>
struct Real;

template <>
struct Real<float> {
  using Word = std::uint32_t;
  static constexpr int bits = 32;
  static constexpr int mantissa = 23;
  static constexpr Word one = 0x3f800000u, sqrt_half = 0x3f3504f3u;
  static constexpr float ln2_high = 0x1.62e4p-1f, ln2_low = 0x1.7f7d1cp-20f;
  // log((1 + s) / (1 - s)) = 2s + s z P(z), z = s^2 <= 0.0295, |error| < 2^-31 s
  static constexpr float log[] = {0x1.555556p-1f, 0x1.9999ecp-2f, 0x1.245c4p-2f, 0x1.ddcf72p-3f};
  // sin x = x + x z P(z), cos x = 1 - z/2 + z^2 Q(z), z = x^2, |x| <= pi/4; relative errors 2^-26 and 2^-30
  static constexpr float sin[] = {-0x1.555552p-3f, 0x1.110c28p-7f, -0x1.9ac9bp-13f};
  static constexpr float cos[] = {0x1.555554p-5f, -0x1.6c12d2p-10f, 0x1.9bd89cp-16f};
  // x < 2^31
  static float from(Word x) { return static_cast<float>(static_cast<std::int32_t>(x)); }
  // x - centre, both < 2^31
  static float difference(Word x, Word centre) { return static_cast<float>(static_cast<std::int32_t>(x - centre)); }
};

template <>
struct Real<double> {
  using Word = std::uint64_t;
  static constexpr int bits = 52;
  static constexpr int mantissa = 52;
  static constexpr Word one = 0x3ff0000000000000u, sqrt_half = 0x3fe6a09e667f3bcdu;
  static constexpr double ln2_high = 0x1.62e42p-1, ln2_low = 0x1.fdf473de6af28p-22;
  // as above: |error| < 2^-57 s; 2^-55 and 2^-59
  static constexpr double log[] = {0x1.5555555555558p-1, 0x1.99999999952d7p-2, 0x1.2492492df281ap-2,
                                   0x1.c71c62e3f11e6p-3, 0x1.7462b51cb66b1p-3, 0x1.39fe51a7c18f9p-3,
                                   0x1.2b5900de53b32p-3};
  static constexpr double sin[] = {-0x1.5555555555555p-3, 0x1.1111111110bb2p-7,   -0x1.a01a019e83aaep-13,
                                   0x1.71de37968a100p-19, -0x1.ae600b02b6262p-26, 0x1.5e0b19f8b1451p-33};
  static constexpr double cos[] = {0x1.5555555555555p-5,   -0x1.6c16c16c16967p-10, 0x1.a01a019f4eb01p-16,
                                   -0x1.27e4fa17da09ep-22, 0x1.1eeb68e93b64cp-29,  -0x1.907da367a37cbp-37};
  // x < 2^52: exact, and without a conversion of 64-bit integers, which SSE2 and AVX2 lack
  static double from(Word x) { return std::bit_cast<double>(x | 0x4330000000000000u) - 0x1p52; }
  // x, centre < 2^52
  static double difference(Word x, Word centre) {
    return std::bit_cast<double>(x | 0x4330000000000000u) - std::bit_cast<double>(centre | 0x4330000000000000u);
  }
};

// condition ? a : b with both computed: no branch, even where floating-point operations may trap.
template <class T>
inline T select(bool condition, T a, T b) {
  using Word = typename Real<T>::Word;
  const Word mask = Word{0} - static_cast<Word>(condition);
  return std::bit_cast<T>((std::bit_cast<Word>(a) & mask) | (std::bit_cast<Word>(b) & ~mask));
}

template <class T>
constexpr T power_of_two(int n) {
  return n < 0 ? T(1) / power_of_two<T>(-n) : n == 0 ? T(1) : T(2) * power_of_two<T>(n - 1);
}

// Horner's rule without a loop.
template <class T, std::size_t n, std::size_t i = 0>
inline T polynomial(const T (&c)[n], T z) {
  if constexpr (i + 1 == n)
    return c[i];
  else
    return c[i] + z * polynomial<T, n, i + 1>(c, z);
}

// log x for normal x, given also 1 - x, which is what counts where x is near 1.
template <class T>
inline T log_of(T x, T complement) {
  using R = Real<T>;
  using Word = typename R::Word;
  const Word shifted = std::bit_cast<Word>(x) + (R::one - R::sqrt_half);
  const Word exponent = shifted >> R::mantissa;
  constexpr Word bias = R::one >> R::mantissa;
  const T m = std::bit_cast<T>((shifted & ((Word{1} << R::mantissa) - 1)) + R::sqrt_half);  // in [sqrt(1/2), sqrt(2))
  const T e = R::difference(exponent, bias);
  const T f = select(exponent == bias, -complement, m - T(1));
  const T s = f / (T(2) + f);
  const T z = s * s;
  const T half = T(0.5) * f * f;
  const T r = z * polynomial(R::log, z);
  return e * R::ln2_high - ((half - (s * (half + r) + e * R::ln2_low)) - f);
}

template <class T>
struct SinCos {
  T sin, cos;
};

template <class T>
inline SinCos<T> sin_cos_of(T x) {  // |x| <= pi/4
  const T z = x * x;
  return {x + x * z * polynomial(Real<T>::sin, z), T(1) - (T(0.5) * z - z * z * polynomial(Real<T>::cos, z))};
}

// u from the nearer end of the unit interval.
template <class T>
struct Uniform {
  using R = Real<T>;
  using Word = typename R::Word;
  Word upper;    // all ones if u > 1/2, else 0
  T twice_tail;  // 2 min(u, 1 - u), in (0, 1]
  T centre;      // 1 - twice_tail
  explicit Uniform(Word k) {
    constexpr Word half = Word{1} << (R::bits - 1);
    upper = Word{0} - (k >> (R::bits - 1));
    const Word v = (k ^ upper) & (half - 1);
    twice_tail = (R::from(v) + T(0.5)) * power_of_two<T>(1 - R::bits);
    centre = (R::from(half - 1 - v) + T(0.5)) * power_of_two<T>(1 - R::bits);
  }
  // x, with its sign changed in the lower half
  T odd(T x) const {
    constexpr Word sign = Word{1} << (sizeof(Word) * 8 - 1);
    return std::bit_cast<T>(std::bit_cast<Word>(x) ^ (~upper & sign));
  }
  // log u
  T log() const {
    const T tail = T(0.5) * twice_tail, rest = T(1) - tail;
    return log_of(select(upper != 0, rest, tail), select(upper != 0, tail, rest));
  }
};

template <class T>
inline T to_uniform(typename Real<T>::Word k) {
  using R = Real<T>;
  return (R::from(k >> (R::bits - R::mantissa)) + T(0.5)) * power_of_two<T>(-R::mantissa);
}

template <class T>
inline T to_exponential(typename Real<T>::Word k) {
  return -Uniform<T>(k).log();
}

template <class T>
inline T to_laplace(typename Real<T>::Word k) {
  const Uniform<T> u(k);
  return u.odd(-log_of(u.twice_tail, u.centre));
}

template <class T>
inline T to_logistic(typename Real<T>::Word k) {
  const Uniform<T> u(k);
  const T tail = T(0.5) * u.twice_tail;
  return u.odd(log_of((T(1) - tail) / tail, -(u.centre / tail)));
}

template <class T>
inline T to_cauchy(typename Real<T>::Word k) {
  const Uniform<T> u(k);
  const bool in_tail = u.twice_tail < u.centre;  // |u - 1/2| > 1/4
  const SinCos<T> x = sin_cos_of(select(in_tail, u.twice_tail, u.centre) * T(0x1.921fb54442d18p0));
  return u.odd(select(in_tail, x.cos, x.sin) / select(in_tail, x.sin, x.cos));
}

template <class T>
inline void to_normal(typename Real<T>::Word k_radius, typename Real<T>::Word k_angle, T& first, T& second) {
  using R = Real<T>;
  using Word = typename R::Word;
  const T radius = std::sqrt(T(-2) * Uniform<T>(k_radius).log());
  // The angle 2 pi (k + 1/2) / 2^B is `turns` quarter turns and the rest, at most an eighth to either side.
  constexpr Word quarter = Word{1} << (R::bits - 2);
  const Word shifted = k_angle + quarter / 2;
  const Word turns = shifted >> (R::bits - 2);
  const T rest = R::difference(shifted & (quarter - 1), quarter / 2) + T(0.5);
  const SinCos<T> x = sin_cos_of(rest * (T(0x1.921fb54442d18p2) * power_of_two<T>(-R::bits)));
  const bool odd = (turns & 1) != 0;
  constexpr int to_sign = static_cast<int>(sizeof(Word)) * 8 - 2;
  const Word cos_sign = ((turns + 1) & 2) << to_sign, sin_sign = (turns & 2) << to_sign;
  first = radius * std::bit_cast<T>(std::bit_cast<Word>(select(odd, x.sin, x.cos)) ^ cos_sign);
  second = radius * std::bit_cast<T>(std::bit_cast<Word>(select(odd, x.cos, x.sin)) ^ sin_sign);
}

}  // namespace pushforward::draws
