// The functions and activations of every instruction set that this machine has: accuracy against long double, special
// values, and bits independent of position and neighbours.

#include <algorithm>
#include <bit>
#include <boost/math/special_functions/erf.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "tests/catch.hpp"
#include "tests/kernels.hpp"
#include "src/kernels/dispatch.hpp"
#include "src/kernels/kernels.hpp"

using namespace kernel_tests;

namespace {

// ------------------------------------------------------------------------------------------------ functions

/// |y - exact| in units of the last place of T at `exact`; denormals have the spacing of the smallest one, infinity
/// stands where the next power of two would be.
template <class T>
double ulp_error(T y, LongDouble exact) {
  if (std::isnan(exact) || std::isnan(y)) return std::isnan(exact) && std::isnan(y) ? 0 : 1e9;
  using Limits = std::numeric_limits<T>;
  const LongDouble top = std::ldexp(LongDouble(1), Limits::max_exponent);
  const LongDouble e = std::clamp(exact, -top, top);
  const LongDouble v = std::isinf(y) ? std::copysign(top, LongDouble(y)) : LongDouble(y);
  if (e == 0) return static_cast<double>(std::abs(v) / LongDouble(Limits::denorm_min()));
  const int exponent = std::clamp(std::ilogb(e), Limits::min_exponent - 1, Limits::max_exponent - 1);
  return static_cast<double>(std::abs(v - e) / std::ldexp(LongDouble(1), exponent - Limits::digits + 1));
}

/// What the results of T are held against.
template <class T>
using Wide = std::conditional_t<std::is_same_v<T, float>, double, LongDouble>;

template <class R>
R exact_sigmoid(R x) {
  const R e = std::exp(-std::abs(x));
  return (x < 0 ? e : R(1)) / (1 + e);
}
template <class R>
R exact_softplus(R x) {
  return (x > 0 ? x : R(0)) + std::log1p(std::exp(-std::abs(x)));
}
template <class R>
R exact_erfinv(R x) {
  using namespace boost::math::policies;
  if (!(std::abs(x) < 1)) return std::abs(x) == 1 ? x * infinity<R> : nan_value<R>;
  if (std::abs(x) < R(1e-30L)) return x * R(0.886226925452758013649083741671L);  // Boost's series starts from x^2
  return boost::math::erf_inv(x, policy<promote_double<false>>());
}

/// log(exp(t^2) erfc(t)) for t above 6, by the continued fraction.
template <class R>
R log_normal_tail(R t) {
  R fraction = 0;
  for (int k = 60; k > 0; --k) fraction = (R(k) / 2) / (t + fraction);
  return -std::log((t + fraction) * std::sqrt(std::numbers::pi_v<R>));
}
template <class R>
R exact_log_ndtr(R x) {
  const R t = x / std::sqrt(R(2));
  if (x > 0) return std::log1p(-std::erfc(t) / 2);
  return t > -20 ? std::log(std::erfc(-t) / 2) : -x * x / 2 + log_normal_tail(-t) - std::numbers::ln2_v<R>;
}
template <class R>
R exact_log_normal_hazard(R x) {
  const R t = x / std::sqrt(R(2)), half_log = std::log(2 * std::numbers::pi_v<R>) / 2;
  return t > -1 ? -x * x / 2 - half_log - exact_log_ndtr(x)
                : std::numbers::ln2_v<R> - half_log - (t < -6 ? log_normal_tail(-t) : std::log(std::erfc(-t)) + t * t);
}

template <class T>
struct Function {
  const char* name;
  void (*Table<T>::*kernel)(const T*, T*, Index);
  Wide<T> (*exact)(Wide<T>);
  double bound;  ///< ulp
};

template <class T>
std::vector<Function<T>> functions() {
  using L = Wide<T>;
  using K = Table<T>;
  // The bounds hold with and without fma.
  return {{"exp", &K::exp, [](L x) { return std::exp(x); }, 1.2},
          {"log", &K::log, [](L x) { return std::log(x); }, 1},
          {"log1p", &K::log1p, [](L x) { return std::log1p(x); }, 1.2},
          {"expm1", &K::expm1, [](L x) { return std::expm1(x); }, 2.2},
          {"tanh", &K::tanh, [](L x) { return std::tanh(x); }, 3},
          {"sigmoid", &K::sigmoid, exact_sigmoid<L>, 2.5},
          {"softplus", &K::softplus, exact_softplus<L>, 2},
          {"erf", &K::erf, [](L x) { return std::erf(x); }, 1.75},
          {"erfinv", &K::erfinv, exact_erfinv<L>, 3},
          {"log_ndtr", &K::log_ndtr, exact_log_ndtr<L>, 8},  // 1 - erf, next to its end
          {"sqrt", &K::sqrt, [](L x) { return std::sqrt(x); }, 0.5}};
}

/// Random mantissas at every exponent, both signs; dense uniform points where the functions bend; distances of every
/// magnitude from 1 and -1.
template <class T>
Buffer<T> sweep(Index count) {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  constexpr int mantissa_bits = std::numeric_limits<T>::digits - 1;
  constexpr int exponents = 2 * std::numeric_limits<T>::max_exponent - 1;
  std::mt19937_64 engine(7);
  const double widths[] = {1e-3, 0.5, 1.5, 4, 20, 110, 760};
  Buffer<T> x(count);
  for (Index i = 0; i < count; ++i) {
    const std::uint64_t bits = engine();
    if (i % 2 == 0) {
      const Bits mantissa = static_cast<Bits>(bits) & ((Bits(1) << mantissa_bits) - 1);
      const Bits exponent = static_cast<Bits>(i / 2 % exponents) << mantissa_bits;
      x[i] = std::bit_cast<T>(static_cast<Bits>(mantissa | exponent));
      if (bits >> 63) x[i] = -x[i];
    } else {
      const double width = widths[i / 2 % 7];
      x[i] = static_cast<T>(std::uniform_real_distribution<double>(-width, width)(engine));
      if (i % 5 == 0) x[i] = std::ldexp(T(1) + std::abs(x[i]) / T(width), -(i / 10 % (mantissa_bits + 2)));
      if (i % 5 == 0) x[i] = std::copysign(T(1) - std::copysign(x[i], T(bits & 2) - T(1)), T(bits & 4) - T(1));
    }
  }
  return x;
}

/// Every instruction set's results for x against the bound.
template <class T>
void check_accuracy(const Function<T>& f, const Buffer<T>& x, Buffer<T>& y) {
  std::vector<Wide<T>> exact;
  exact.reserve(static_cast<std::size_t>(x.size()));
  for (const T v : x) exact.push_back(f.exact(Wide<T>(v)));
  for (const Table<T>* t : available_tables<T>()) {
    (t->*f.kernel)(x.get(), y.get(), x.size());
    double worst = 0;
    Index where = 0;
    for (Index i = 0; i < x.size(); ++i) {
      const double error = ulp_error(y[i], LongDouble(exact[static_cast<std::size_t>(i)]));
      if (error > worst) {
        worst = error;
        where = i;
      }
    }
    CAPTURE(f.name, t->instruction_set, x[where], y[where]);
    CHECK(worst <= f.bound);
  }
}

TEMPLATE_TEST_CASE("kernels: accuracy of the functions", "[kernels]", float, double) {
  using T = TestType;
  const Buffer<T> x = sweep<T>(1000003);
  Buffer<T> y(x.size());
  for (const Function<T>& f : functions<T>()) check_accuracy(f, x, y);
}

// Where it is 0 its error is one of its terms, which are of the order of 1.
TEMPLATE_TEST_CASE("kernels: log(phi / Phi)", "[kernels]", float, double) {
  using T = TestType;
  using L = Wide<T>;
  const Buffer<T> x = sweep<T>(100'000);
  Buffer<T> y(x.size());
  for (const Table<T>* t : available_tables<T>()) {
    t->log_normal_hazard(x.get(), y.get(), x.size());
    double worst = 0;
    for (Index i = 0; i < x.size(); ++i) {
      const L exact = exact_log_normal_hazard(L(x[i]));
      if (!(std::abs(exact) < L(std::numeric_limits<T>::max()))) {
        worst = std::max(worst, L(y[i]) == exact || std::isnan(exact) == std::isnan(y[i]) ? 0.0 : 1e9);
        continue;
      }
      worst = std::max(worst, static_cast<double>(std::abs(L(y[i]) - exact) / (1 + std::abs(exact))));
    }
    INFO(t->instruction_set);
    CHECK(worst < 5 * static_cast<double>(std::numeric_limits<T>::epsilon()));
  }
}

/// Every `stride`-th of all floats: denormals, infinities and NaN among them.
void check_all_floats(std::uint64_t stride) {
  constexpr Index block = 1 << 16;
  constexpr std::uint64_t end = std::uint64_t{1} << 32;
  Buffer<float> x(block), y(block);
  for (std::uint64_t bits = 0; bits < end;) {
    for (Index i = 0; i < block; ++i, bits += stride) x[i] = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
    for (const Function<float>& f : functions<float>()) check_accuracy(f, x, y);
  }
}
TEST_CASE("kernels: accuracy of the functions over all floats", "[kernels]") { check_all_floats(2039); }
TEST_CASE("kernels: accuracy of the functions at every 31st float", "[.slow]") { check_all_floats(31); }

TEMPLATE_TEST_CASE("kernels: special values of the functions", "[kernels]", float, double) {
  using T = TestType;
  constexpr T inf = infinity<T>;
  constexpr T tiny = std::numeric_limits<T>::denorm_min();
  constexpr T big = std::numeric_limits<T>::max();
  for (const Table<T>* t : available_tables<T>()) {
    CAPTURE(t->instruction_set);
    const auto at = [](auto kernel, T x) {
      T y = T(-7);
      kernel(&x, &y, 1);
      return y;
    };
    for (const Function<T>& f : functions<T>()) {
      CAPTURE(f.name);
      CHECK(std::isnan(at(t->*f.kernel, nan_value<T>)));
    }
    CHECK(at(t->exp, inf) == inf);
    CHECK(at(t->exp, big) == inf);
    CHECK(at(t->exp, -inf) == 0);
    CHECK(at(t->exp, -big) == 0);
    CHECK(at(t->exp, T(0)) == 1);
    CHECK(at(t->exp, -tiny) == 1);
    CHECK(at(t->log, inf) == inf);
    CHECK(at(t->log, T(0)) == -inf);
    CHECK(at(t->log, T(-0.0)) == -inf);
    CHECK(std::isnan(at(t->log, -tiny)));
    CHECK(std::isnan(at(t->log, -inf)));
    CHECK(at(t->log, T(1)) == 0);
    CHECK(at(t->log1p, inf) == inf);
    CHECK(at(t->log1p, T(-1)) == -inf);
    CHECK(std::isnan(at(t->log1p, T(-1.5))));
    CHECK(std::isnan(at(t->log1p, -inf)));
    CHECK(at(t->log1p, tiny) == tiny);
    CHECK(std::signbit(at(t->log1p, T(-0.0))));
    CHECK(at(t->expm1, inf) == inf);
    CHECK(at(t->expm1, -inf) == -1);
    CHECK(at(t->expm1, -tiny) == -tiny);
    CHECK(std::signbit(at(t->expm1, T(-0.0))));
    CHECK(at(t->tanh, inf) == 1);
    CHECK(at(t->tanh, -inf) == -1);
    CHECK(at(t->tanh, big) == 1);
    CHECK(at(t->tanh, tiny) == tiny);
    CHECK(std::signbit(at(t->tanh, T(-0.0))));
    CHECK(at(t->sigmoid, inf) == 1);
    CHECK(at(t->sigmoid, -inf) == 0);
    CHECK(at(t->sigmoid, T(0)) == T(0.5));
    CHECK(at(t->softplus, inf) == inf);
    CHECK(at(t->softplus, -inf) == 0);
    CHECK(at(t->softplus, big) == big);
    CHECK(at(t->erf, inf) == 1);
    CHECK(at(t->erf, -inf) == -1);
    CHECK(std::signbit(at(t->erf, T(-0.0))));
    CHECK(at(t->erf, T(0)) == 0);
    CHECK(at(t->erfinv, T(1)) == inf);
    CHECK(at(t->erfinv, T(-1)) == -inf);
    CHECK(std::isnan(at(t->erfinv, std::nextafter(T(1), inf))));
    CHECK(std::isnan(at(t->erfinv, std::nextafter(T(-1), -inf))));
    CHECK(std::isnan(at(t->erfinv, inf)));
    CHECK(std::isnan(at(t->erfinv, -inf)));
    CHECK(std::isfinite(at(t->erfinv, std::nextafter(T(1), T(0)))));
    CHECK(at(t->erfinv, T(0)) == 0);
    CHECK(std::signbit(at(t->erfinv, T(-0.0))));
    CHECK(at(t->erfinv, tiny) == tiny);
  }
}

TEMPLATE_TEST_CASE("kernels: a value's result depends on the value alone", "[kernels]", float, double) {
  using T = TestType;
  const Buffer<T> x = sweep<T>(333);
  for (const Table<T>* t : available_tables<T>()) {
    for (const Function<T>& f : functions<T>()) {
      CAPTURE(t->instruction_set, f.name);
      Buffer<T> whole(x.size()), single(x.size());
      (t->*f.kernel)(x.get(), whole.get(), x.size());
      for (Index i = 0; i < x.size(); ++i) (t->*f.kernel)(x.get() + i, single.get() + i, 1);
      Buffer<T> in_place(x);
      (t->*f.kernel)(in_place.get(), in_place.get(), x.size());
      for (Index i = 0; i < x.size(); ++i) {
        const bool same = whole[i] == single[i] && whole[i] == in_place[i];
        if (!same && !std::isnan(x[i])) CHECK((std::isnan(whole[i]) && std::isnan(single[i])));
      }
    }
  }
}

/// Instruction sets with the same arithmetic (fma or not) agree to the bit.
TEMPLATE_TEST_CASE("kernels: instruction sets of one kind agree", "[kernels]", float, double) {
  using T = TestType;
  const auto has_fma = [](const Table<T>& t) {
    return std::string(t.instruction_set).rfind("AVX", 0) == 0 || t.instruction_set == std::string("NEON");
  };
  const Buffer<T> x = sweep<T>(20011);
  for (const Table<T>* a : available_tables<T>()) {
    for (const Table<T>* b : available_tables<T>()) {
      if (a == b || has_fma(*a) != has_fma(*b)) continue;
      for (const Function<T>& f : functions<T>()) {
        CAPTURE(a->instruction_set, b->instruction_set, f.name);
        Buffer<T> ya(x.size()), yb(x.size());
        (a->*f.kernel)(x.get(), ya.get(), x.size());
        (b->*f.kernel)(x.get(), yb.get(), x.size());
        Index different = 0;
        for (Index i = 0; i < x.size(); ++i) different += ya[i] != yb[i] && !(std::isnan(ya[i]) && std::isnan(yb[i]));
        CHECK(different == 0);
      }
    }
  }
}

// ------------------------------------------------------------------------------------------------ activations

struct ExactActivation {
  const char* name;
  Activation a;
  LongDouble (*value)(LongDouble);
  LongDouble (*derivative)(LongDouble);
};

std::vector<ExactActivation> exact_activations() {
  using L = LongDouble;
  const auto phi = [](L x) { return std::exp(-x * x / 2) * 0.398942280401432677939946059934L; };
  static const auto density = phi;
  static const auto cdf = [](L x) { return std::erfc(-x * 0.707106781186547524400844362105L) / 2; };
  return {
      {"identity", Activation::identity, [](L x) { return x; }, [](L) { return L(1); }},
      {"relu", Activation::relu, [](L x) { return x > 0 ? x : L(0); }, [](L x) { return L(x > 0); }},
      {"leaky_relu", Activation::leaky_relu, [](L x) { return x > 0 ? x : x * 0.01L; },
       [](L x) { return x > 0 ? L(1) : 0.01L; }},
      {"elu", Activation::elu, [](L x) { return x > 0 ? x : std::expm1(x); },
       [](L x) { return x > 0 ? L(1) : std::exp(x); }},
      {"gelu", Activation::gelu, [](L x) { return x * cdf(x); }, [](L x) { return cdf(x) + x * density(x); }},
      {"silu", Activation::silu, [](L x) { return x * exact_sigmoid(x); },
       [](L x) { return exact_sigmoid(x) * (1 + x * exact_sigmoid(-x)); }},
      {"tanh", Activation::tanh, [](L x) { return std::tanh(x); }, [](L x) { return 1 - std::tanh(x) * std::tanh(x); }},
      {"sigmoid", Activation::sigmoid, exact_sigmoid<L>, [](L x) { return exact_sigmoid(x) * exact_sigmoid(-x); }},
      {"softplus", Activation::softplus, exact_softplus<L>, exact_sigmoid<L>}};
}

TEMPLATE_TEST_CASE("kernels: activations and their derivatives", "[kernels]", float, double) {
  using T = TestType;
  const LongDouble eps = std::numeric_limits<T>::epsilon();
  std::mt19937_64 engine(11);
  constexpr Index n = 5003;
  Buffer<T> x = random_values<T>(n, engine, -12, 12);
  for (Index i = 0; i < 1000; ++i) x[i] /= T(10);
  x[0] = 0;
  const Buffer<T> gy = random_values<T>(n, engine);
  const Buffer<T> start = random_values<T>(n, engine);
  for (const Table<T>* t : available_tables<T>()) {
    for (const ExactActivation& e : exact_activations()) {
      CAPTURE(t->instruction_set, e.name);
      Buffer<T> y(n), gx(start);
      t->activation(e.a, x.get(), y.get(), n);
      t->activation_backward(e.a, x.get(), y.get(), gy.get(), gx.get(), n);
      LongDouble worst_value = 0, worst_gradient = 0;
      for (Index i = 0; i < n; ++i) {
        const LongDouble v = e.value(x[i]);
        // Relative, in the left tails too; GELU's exp(-x^2 / 2) there multiplies the rounding of x^2.
        const LongDouble slack = e.a == Activation::gelu ? 4 + LongDouble(x[i]) * x[i] : 4;
        worst_value = std::max(worst_value, std::abs(y[i] - v) / (std::abs(v) * slack + LongDouble(1e-300)));
        const LongDouble g = LongDouble(start[i]) + LongDouble(gy[i]) * e.derivative(x[i]);
        worst_gradient = std::max(worst_gradient, std::abs(gx[i] - g));
      }
      CHECK(static_cast<double>(worst_value / eps) <= 1);
      CHECK(static_cast<double>(worst_gradient / eps) <= 4);
      if (derivative_follows_from_value(e.a)) {
        Buffer<T> from_x(n), in_place(gy);
        std::fill_n(from_x.get(), n, T(0));
        t->activation_backward(e.a, x.get(), y.get(), gy.get(), from_x.get(), n);
        t->activation_backward_in_place(e.a, y.get(), in_place.get(), n);
        CHECK(in_place.same_bits(from_x));
      }
      // Limits, and what an inactive unit does with a gradient that is not finite.
      const T ends[] = {infinity<T>, -infinity<T>, nan_value<T>, std::numeric_limits<T>::max(),
                        std::numeric_limits<T>::lowest()};
      T out[5], one[5] = {1, 1, 1, 1, 1}, into[5] = {};
      t->activation(e.a, ends, out, 5);
      t->activation_backward(e.a, ends, out, one, into, 5);
      const bool bounded = e.a == Activation::tanh || e.a == Activation::sigmoid;
      CHECK(out[0] == (bounded ? T(1) : infinity<T>));
      CHECK(out[3] == (bounded ? T(1) : ends[3]));
      CHECK(into[0] == (bounded ? T(0) : T(1)));
      CHECK(into[3] == into[0]);
      const T left_slope = e.a == Activation::identity ? T(1) : e.a == Activation::leaky_relu ? T(0.01) : T(0);
      if (left_slope == 0) {
        CHECK(out[1] == (e.a == Activation::elu || e.a == Activation::tanh ? T(-1) : T(0)));
        CHECK(out[4] == out[1]);
      }
      CHECK(into[1] == left_slope);
      CHECK(into[4] == left_slope);
      CHECK(std::isnan(out[2]));
    }
    const T x0[] = {0, -1}, bad[] = {infinity<T>, nan_value<T>};
    T y0[2], g0[2] = {};
    t->activation(Activation::relu, x0, y0, 2);
    t->activation_backward(Activation::relu, x0, y0, bad, g0, 2);
    CHECK(g0[0] == 0);
    CHECK(g0[1] == 0);
  }
}

}  // namespace
