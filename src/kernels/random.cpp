// Random words of the counter-based generator, and draws from them.
//
// A word k has B random bits, B = 32 in float and 52 in double; u = (k + 1/2) / 2^B. Every draw is lane by lane: no
// branch, no table, only integer operations, selections, and + - * / sqrt of IEEE arithmetic, each rounded on its own:
// there is no multiply-add here, so the bits are the same for every instruction set, and golden values pin them.
// The polynomials interpolate at Chebyshev nodes, computed with 50 digits.

#include "src/kernels/dispatch.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "src/kernels/random.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "src/kernels/math-inl.hpp"
#include "src/kernels/philox.hpp"

HWY_BEFORE_NAMESPACE();
namespace pushforward::kernels {
namespace HWY_NAMESPACE {
namespace {  // names such as `fill` occur in several sources

// ----------------------------------------------------------------------------------------------------------- words

using Tag64 = hn::ScalableTag<std::uint64_t>;
using Vec64 = hn::Vec<Tag64>;

/// A word of each counter in each lane; what is in the upper halves does not count.
struct Blocks {
  Vec64 x0, x1, x2, x3;
};

HWY_INLINE Vec64 philox_product(Vec64 x, std::uint32_t multiplier) {
#if HWY_TARGET == HWY_SCALAR  // one lane of either size
  const hn::ScalableTag<std::uint32_t> d32;
#else
  const hn::Repartition<std::uint32_t, Tag64> d32;
#endif
  return hn::MulEven(hn::BitCast(d32, x), hn::Set(d32, multiplier));
}

template <std::uint32_t round = 0>
HWY_INLINE Blocks philox_lanes(Blocks x, std::uint32_t k0, std::uint32_t k1) {
  if constexpr (round == philox_rounds) {
    return x;
  } else {
    const Tag64 d;
    const Vec64 p0 = philox_product(x.x0, philox_multiplier[0]), p1 = philox_product(x.x2, philox_multiplier[1]);
    const Vec64 key0 = hn::Set(d, k0), key1 = hn::Set(d, k1);
    const Blocks next{hn::Xor(hn::ShiftRight<32>(p1), hn::Xor(x.x1, key0)), p1,
                      hn::Xor(hn::ShiftRight<32>(p0), hn::Xor(x.x3, key1)), p0};
    return philox_lanes<round + 1>(next, k0 + philox_weyl[0], k1 + philox_weyl[1]);
  }
}

/// Of rows row, row + step, row + 2 step, ...
HWY_INLINE Blocks blocks(const RandomSource& source, std::uint32_t block, std::uint64_t row, int log2_step) {
  const Tag64 d;
  const Vec64 rows = hn::Add(hn::Set(d, row), hn::ShiftLeftSame(hn::Iota(d, 0), log2_step));
  return philox_lanes({hn::Set(d, block), rows, hn::ShiftRight<32>(rows), hn::Set(d, source.call)},
                      static_cast<std::uint32_t>(source.key), static_cast<std::uint32_t>(source.key >> 32));
}

HWY_INLINE void store_words(Vec64 even, Vec64 odd, std::uint32_t* to) {
  const hn::ScalableTag<std::uint32_t> d;
  hn::StoreU(hn::OddEven(hn::BitCast(d, hn::ShiftLeft<32>(odd)), hn::BitCast(d, even)), d, to);
}

void random_words(const RandomSource& source, std::uint32_t block, std::uint64_t row, Index n, std::uint32_t* words) {
  constexpr Index lanes = HWY_LANES(std::uint32_t);
  constexpr bool pairs = lanes > HWY_LANES(std::uint64_t);
  for (Index i = 0; i < n; i += lanes) {
    const std::uint64_t first = row + static_cast<std::uint64_t>(i);
    const Blocks even = blocks(source, block, first, pairs ? 1 : 0);
    const Blocks odd = pairs ? blocks(source, block, first + 1, 1) : even;
    store_words(even.x0, odd.x0, words + i);
    store_words(even.x1, odd.x1, words + n + i);
    store_words(even.x2, odd.x2, words + 2 * n + i);
    store_words(even.x3, odd.x3, words + 3 * n + i);
  }
}

HWY_INLINE void store_words(Vec64 upper, Vec64 lower, std::uint64_t* to) {
  const Tag64 d;
  const Vec64 mask = hn::Set(d, 0xffffffffu);
  hn::StoreU(hn::Or(hn::ShiftLeft<20>(hn::And(upper, mask)), hn::ShiftRight<12>(hn::And(lower, mask))), d, to);
}

void random_words(const RandomSource& source, std::uint32_t block, std::uint64_t row, Index n, std::uint64_t* words) {
  constexpr Index lanes = HWY_LANES(std::uint64_t);
  for (Index i = 0; i < n; i += lanes) {
    const std::uint64_t first = row + static_cast<std::uint64_t>(i);
    const Blocks upper = blocks(source, block, first, 0);
    const Blocks lower = blocks(source, block + RandomSource::low_words, first, 0);
    store_words(upper.x0, lower.x0, words + i);
    store_words(upper.x1, lower.x1, words + n + i);
    store_words(upper.x2, lower.x2, words + 2 * n + i);
    store_words(upper.x3, lower.x3, words + 3 * n + i);
  }
}

// ----------------------------------------------------------------------------------------------------------- draws

template <class T>
using WordVec = hn::Vec<hn::ScalableTag<RandomWord<T>>>;

template <class T>
struct Draws;

template <>
struct Draws<float> {
  static constexpr int bits = 32;
  static constexpr float ln2_high = 0x1.62e4p-1f, ln2_low = 0x1.7f7d1cp-20f;
  // log((1 + s) / (1 - s)) = 2s + s z P(z), z = s^2 <= 0.0295, |error| < 2^-31 s
  static constexpr float log[] = {0x1.555556p-1f, 0x1.9999ecp-2f, 0x1.245c4p-2f, 0x1.ddcf72p-3f};
  // sin x = x + x z P(z), cos x = 1 - z/2 + z^2 Q(z), z = x^2, |x| <= pi/4; relative errors 2^-26 and 2^-30
  static constexpr float sin[] = {-0x1.555552p-3f, 0x1.110c28p-7f, -0x1.9ac9bp-13f};
  static constexpr float cos[] = {0x1.555554p-5f, -0x1.6c12d2p-10f, 0x1.9bd89cp-16f};
  // x - centre, both < 2^31
  static HWY_INLINE Vec<float> difference(WordVec<float> x, std::uint32_t centre) {
    const hn::ScalableTag<std::int32_t> di;
    const hn::ScalableTag<std::uint32_t> du;
    return hn::ConvertTo(hn::ScalableTag<float>(), hn::BitCast(di, hn::Sub(x, hn::Set(du, centre))));
  }
};

template <>
struct Draws<double> {
  static constexpr int bits = 52;
  static constexpr double ln2_high = 0x1.62e42p-1, ln2_low = 0x1.fdf473de6af28p-22;
  // as above: |error| < 2^-57 s; 2^-55 and 2^-59
  static constexpr double log[] = {0x1.5555555555558p-1, 0x1.99999999952d7p-2, 0x1.2492492df281ap-2,
                                   0x1.c71c62e3f11e6p-3, 0x1.7462b51cb66b1p-3, 0x1.39fe51a7c18f9p-3,
                                   0x1.2b5900de53b32p-3};
  static constexpr double sin[] = {-0x1.5555555555555p-3, 0x1.1111111110bb2p-7,   -0x1.a01a019e83aaep-13,
                                   0x1.71de37968a100p-19, -0x1.ae600b02b6262p-26, 0x1.5e0b19f8b1451p-33};
  static constexpr double cos[] = {0x1.5555555555555p-5,   -0x1.6c16c16c16967p-10, 0x1.a01a019f4eb01p-16,
                                   -0x1.27e4fa17da09ep-22, 0x1.1eeb68e93b64cp-29,  -0x1.907da367a37cbp-37};
  // x, centre < 2^52: exact, and without a conversion of 64-bit integers, which SSE2 and AVX2 lack
  static HWY_INLINE Vec<double> difference(WordVec<double> x, std::uint64_t centre) {
    const hn::ScalableTag<double> d;
    const Tag64 du;
    constexpr std::uint64_t magic = 0x4330000000000000u;  // 2^52
    return hn::Sub(hn::BitCast(d, hn::Or(x, hn::Set(du, magic))), hn::BitCast(d, hn::Set(du, magic | centre)));
  }
};

template <class T>
HWY_INLINE Vec<T> constant(T x) {
  return hn::Set(hn::ScalableTag<T>(), x);
}
template <class T>
HWY_INLINE WordVec<T> word(RandomWord<T> x) {
  return hn::Set(hn::ScalableTag<RandomWord<T>>(), x);
}
template <class T>
constexpr T two_to(int n) {
  return n < 0 ? T(1) / two_to<T>(-n) : n == 0 ? T(1) : T(2) * two_to<T>(n - 1);
}

/// Horner's rule, product and sum rounded each.
template <class T, std::size_t n, std::size_t i = 0>
HWY_INLINE Vec<T> rounded_polynomial(const T (&c)[n], Vec<T> z) {
  static_assert(i < n);
  if constexpr (i + 1 == n) {
    return constant<T>(c[i]);
  } else {
    return hn::Add(constant<T>(c[i]), hn::Mul(z, rounded_polynomial<T, n, i + 1>(c, z)));
  }
}

/// log x for normal x, given also 1 - x, which is what counts where x is near 1.
template <class T>
HWY_INLINE Vec<T> log_of(Vec<T> x, Vec<T> complement) {
  const hn::ScalableTag<T> d;
  const hn::ScalableTag<RandomWord<T>> du;
  using R = Real<T>;
  using C = Draws<T>;
  constexpr auto bias = static_cast<RandomWord<T>>(R::bias);
  constexpr RandomWord<T> one = bias << R::mantissa_bits;
  const auto shifted = hn::Add(hn::BitCast(du, x), word<T>(one - R::sqrt_half_bits));
  const auto exponent = hn::ShiftRight<R::mantissa_bits>(shifted);
  const auto mantissa = hn::And(shifted, word<T>((RandomWord<T>{1} << R::mantissa_bits) - 1));
  const Vec<T> m = hn::BitCast(d, hn::Add(mantissa, word<T>(R::sqrt_half_bits)));  // in [sqrt(1/2), sqrt(2))
  const Vec<T> e = C::difference(exponent, bias);
  const auto near_one = hn::RebindMask(d, hn::Eq(exponent, word<T>(bias)));
  const Vec<T> f = hn::IfThenElse(near_one, hn::Neg(complement), hn::Sub(m, constant<T>(1)));
  const Vec<T> s = hn::Div(f, hn::Add(constant<T>(2), f));
  const Vec<T> z = hn::Mul(s, s);
  const Vec<T> half = hn::Mul(hn::Mul(constant<T>(T(0.5)), f), f);
  const Vec<T> r = hn::Mul(z, rounded_polynomial(C::log, z));
  const Vec<T> low = hn::Add(hn::Mul(s, hn::Add(half, r)), hn::Mul(e, constant<T>(C::ln2_low)));
  return hn::Sub(hn::Mul(e, constant<T>(C::ln2_high)), hn::Sub(hn::Sub(half, low), f));
}

template <class T>
struct SinCos {
  Vec<T> sin, cos;
};

template <class T>
HWY_INLINE SinCos<T> sin_cos_of(Vec<T> x) {  // |x| <= pi/4
  const Vec<T> z = hn::Mul(x, x);
  return {hn::Add(x, hn::Mul(hn::Mul(x, z), rounded_polynomial(Draws<T>::sin, z))),
          hn::Sub(constant<T>(1), hn::Sub(hn::Mul(constant<T>(T(0.5)), z),
                                          hn::Mul(hn::Mul(z, z), rounded_polynomial(Draws<T>::cos, z))))};
}

/// u from the nearer end of the unit interval.
template <class T>
struct UniformDraw {
  static constexpr int bits = Draws<T>::bits;
  hn::Mask<hn::ScalableTag<T>> upper;  // u > 1/2
  Vec<T> twice_tail;                   // 2 min(u, 1 - u), in (0, 1]
  Vec<T> centre;                       // 1 - twice_tail

  HWY_INLINE explicit UniformDraw(WordVec<T> k) {
    constexpr RandomWord<T> half = RandomWord<T>{1} << (bits - 1);
    const auto above = hn::TestBit(k, word<T>(half));
    const auto v = hn::And(hn::IfThenElse(above, hn::Not(k), k), word<T>(half - 1));
    upper = hn::RebindMask(hn::ScalableTag<T>(), above);
    twice_tail = scaled(v);
    centre = scaled(hn::Sub(word<T>(half - 1), v));
  }
  /// x, with its sign changed in the lower half.
  HWY_INLINE Vec<T> odd(Vec<T> x) const { return hn::IfThenElse(upper, x, hn::Neg(x)); }
  /// log u
  HWY_INLINE Vec<T> log() const {
    const Vec<T> tail = hn::Mul(constant<T>(T(0.5)), twice_tail), rest = hn::Sub(constant<T>(1), tail);
    return log_of<T>(hn::IfThenElse(upper, rest, tail), hn::IfThenElse(upper, tail, rest));
  }

 private:
  static HWY_INLINE Vec<T> scaled(WordVec<T> v) {
    return hn::Mul(hn::Add(Draws<T>::difference(v, 0), constant<T>(T(0.5))), constant<T>(two_to<T>(1 - bits)));
  }
};

template <class T>
HWY_INLINE Vec<T> draw_uniform(WordVec<T> k) {
  using R = Real<T>;
  constexpr int drop = Draws<T>::bits - R::mantissa_bits;
  if constexpr (drop > 0) k = hn::ShiftRight<drop>(k);
  return hn::Mul(hn::Add(Draws<T>::difference(k, 0), constant<T>(T(0.5))), constant<T>(two_to<T>(-R::mantissa_bits)));
}

template <class T>
HWY_INLINE Vec<T> draw_exponential(WordVec<T> k) {
  return hn::Neg(UniformDraw<T>(k).log());
}

template <class T>
HWY_INLINE Vec<T> draw_laplace(WordVec<T> k) {
  const UniformDraw<T> u(k);
  return u.odd(hn::Neg(log_of<T>(u.twice_tail, u.centre)));
}

template <class T>
HWY_INLINE Vec<T> draw_logistic(WordVec<T> k) {
  const UniformDraw<T> u(k);
  const Vec<T> tail = hn::Mul(constant<T>(T(0.5)), u.twice_tail);
  return u.odd(log_of<T>(hn::Div(hn::Sub(constant<T>(1), tail), tail), hn::Neg(hn::Div(u.centre, tail))));
}

template <class T>
HWY_INLINE Vec<T> draw_cauchy(WordVec<T> k) {
  const UniformDraw<T> u(k);
  const auto in_tail = hn::Lt(u.twice_tail, u.centre);  // |u - 1/2| > 1/4
  const Vec<T> angle = hn::IfThenElse(in_tail, u.twice_tail, u.centre);
  const SinCos<T> x = sin_cos_of<T>(hn::Mul(angle, constant<T>(T(0x1.921fb54442d18p0))));
  return u.odd(hn::Div(hn::IfThenElse(in_tail, x.cos, x.sin), hn::IfThenElse(in_tail, x.sin, x.cos)));
}

template <class T>
HWY_INLINE void draw_normals(WordVec<T> k_radius, WordVec<T> k_angle, Vec<T>& first, Vec<T>& second) {
  const hn::ScalableTag<T> d;
  const hn::ScalableTag<RandomWord<T>> du;
  constexpr int bits = Draws<T>::bits;
  const Vec<T> radius = hn::Sqrt(hn::Mul(constant<T>(-2), UniformDraw<T>(k_radius).log()));
  // The angle 2 pi (k + 1/2) / 2^B is `turns` quarter turns and the rest, at most an eighth to either side.
  constexpr RandomWord<T> quarter = RandomWord<T>{1} << (bits - 2);
  const auto shifted = hn::Add(k_angle, word<T>(quarter / 2));
  const auto turns = hn::ShiftRight<bits - 2>(shifted);
  const Vec<T> rest =
      hn::Add(Draws<T>::difference(hn::And(shifted, word<T>(quarter - 1)), quarter / 2), constant<T>(T(0.5)));
  const SinCos<T> x = sin_cos_of<T>(hn::Mul(rest, constant<T>(T(0x1.921fb54442d18p2) * two_to<T>(-bits))));
  const auto odd = hn::RebindMask(d, hn::TestBit(turns, word<T>(1)));
  constexpr int to_sign = static_cast<int>(sizeof(T)) * 8 - 2;
  const auto cos_sign = hn::ShiftLeft<to_sign>(hn::And(hn::Add(turns, word<T>(1)), word<T>(2)));
  const auto sin_sign = hn::ShiftLeft<to_sign>(hn::And(turns, word<T>(2)));
  const auto with_sign = [&](Vec<T> y, WordVec<T> sign) { return hn::BitCast(d, hn::Xor(hn::BitCast(du, y), sign)); };
  first = hn::Mul(radius, with_sign(hn::IfThenElse(odd, x.sin, x.cos), cos_sign));
  second = hn::Mul(radius, with_sign(hn::IfThenElse(odd, x.cos, x.sin), sin_sign));
}

template <class T, Vec<T> (*draw)(WordVec<T>)>
HWY_INLINE void each(const RandomWord<T>* words, T* values, Index n) {
  const hn::ScalableTag<T> d;
  const hn::ScalableTag<RandomWord<T>> du;
  for (Index i = 0; i < n; i += HWY_LANES(T)) hn::StoreU(draw(hn::LoadU(du, words + i)), d, values + i);
}

template <class T>
void draw(Draw kind, const RandomWord<T>* words, T* values, Index n) {
  switch (kind) {
    case Draw::uniform:
      return each<T, draw_uniform<T>>(words, values, n);
    case Draw::logistic:
      return each<T, draw_logistic<T>>(words, values, n);
    case Draw::laplace:
      return each<T, draw_laplace<T>>(words, values, n);
    case Draw::cauchy:
      return each<T, draw_cauchy<T>>(words, values, n);
    case Draw::exponential:
      return each<T, draw_exponential<T>>(words, values, n);
  }
}

template <class T>
void normal_draws(const RandomWord<T>* radius, const RandomWord<T>* angle, T* first, T* second, Index n) {
  const hn::ScalableTag<T> d;
  const hn::ScalableTag<RandomWord<T>> du;
  for (Index i = 0; i < n; i += HWY_LANES(T)) {
    Vec<T> a, b;
    draw_normals<T>(hn::LoadU(du, radius + i), hn::LoadU(du, angle + i), a, b);
    hn::StoreU(a, d, first + i);
    hn::StoreU(b, d, second + i);
  }
}

template <class T>
void fill(Table<T>& table) {
  table.random_words = &random_words;
  table.draw = &draw<T>;
  table.normal_draws = &normal_draws<T>;
}

}  // namespace

void fill_random_f32(Table<float>& table) { fill(table); }
void fill_random_f64(Table<double>& table) { fill(table); }

}  // namespace HWY_NAMESPACE
}  // namespace pushforward::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pushforward::kernels {
PUSHFORWARD_EXPORT_FILL(fill_random)
}  // namespace pushforward::kernels
#endif
