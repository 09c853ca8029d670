// The kernels of every instruction set that this machine has: accuracy against long double, bits independent of
// position, blocking and neighbours, and nothing read or written that is masked.

#include "src/kernels/kernels.hpp"

#include <algorithm>
#include <bit>
#include <boost/math/special_functions/erf.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <numeric>
#include <pushforward/error.hpp>
#include <random>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tests/catch.hpp"
#include "src/kernels/dispatch.hpp"

namespace {

using pushforward::Index;
using namespace pushforward::kernels;
using LongDouble = long double;

template <class T>
constexpr T infinity = std::numeric_limits<T>::infinity();
template <class T>
constexpr T nan_value = std::numeric_limits<T>::quiet_NaN();

/// 64-byte aligned values without slack, so that the address sanitizer sees every step outside.
template <class T>
class Buffer {
 public:
  explicit Buffer(Index size, T value = T(0)) : size_(size) {
    data_ = static_cast<T*>(::operator new (static_cast<std::size_t>(size) * sizeof(T), std::align_val_t{64}));
    std::fill(data_, data_ + size, value);
  }
  Buffer(const Buffer& other) : Buffer(other.size_) { std::copy(other.begin(), other.end(), data_); }
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { ::operator delete (data_, std::align_val_t{64}); }

  T* get() { return data_; }
  const T* get() const { return data_; }
  T& operator[](Index i) { return data_[i]; }
  const T& operator[](Index i) const { return data_[i]; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }
  Index size() const { return size_; }
  bool same_bits(const Buffer& other) const {
    return size_ == other.size_ && std::memcmp(data_, other.data_, static_cast<std::size_t>(size_) * sizeof(T)) == 0;
  }

 private:
  T* data_;
  Index size_;
};

template <class T>
Buffer<T> random_values(Index size, std::mt19937_64& engine, double low = -1, double high = 1) {
  std::uniform_real_distribution<double> uniform(low, high);
  Buffer<T> values(size);
  for (Index i = 0; i < size; ++i) values[i] = static_cast<T>(uniform(engine));
  return values;
}

// ------------------------------------------------------------------------------------------------ selection

TEST_CASE("kernels: tables by name", "[kernels]") {
  const auto tables = available_tables<float>();
  REQUIRE(!tables.empty());
  REQUIRE(tables.size() == available_tables<double>().size());
  CHECK(&table_named<float>("") == tables.front());
  std::string names;
  for (const auto* t : tables) {
    std::string lower = t->instruction_set;
    for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    CHECK(&table_named<float>(t->instruction_set) == t);
    CHECK(&table_named<float>(lower) == t);
    if (lower == "avx3") CHECK(&table_named<float>("AVX512") == t);
    names += (names.empty() ? "" : ", ") + std::string(t->instruction_set);
  }
  CHECK_THROWS_AS(table_named<double>("AVX9"), pushforward::DomainError);
  CHECK_THROWS_WITH(table_named<double>("AVX9"),
                    Catch::Matchers::ContainsSubstring(names) && Catch::Matchers::ContainsSubstring("\"AVX9\""));
}

TEST_CASE("kernels: the choice that other users of Highway share is left alone", "[kernels]") {
  const float x = 1;
  float y = 0;
  table<float>().exp(&x, &y, 1);
  CHECK_FALSE(hwy::GetChosenTarget().IsInitialized());  // nobody else uses it in this program
}

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

// ------------------------------------------------------------------------------------------------ arithmetic

TEMPLATE_TEST_CASE("kernels: arithmetic over columns", "[kernels]", float, double) {
  using T = TestType;
  std::mt19937_64 engine(3);
  const LongDouble eps = std::numeric_limits<T>::epsilon();
  for (const Index n : {0, 1, 15, 16, 37, 160}) {
    const Buffer<T> a = random_values<T>(n, engine, 0.5, 2), b = random_values<T>(n, engine, 0.5, 2);
    const Buffer<T> start = random_values<T>(n, engine, 0.5, 2);
    for (const Table<T>* t : available_tables<T>()) {
      CAPTURE(t->instruction_set, n);
      const auto check = [&](auto call, auto exact, LongDouble bound) {
        Buffer<T> y(start);
        call(y.get());
        LongDouble worst = 0;
        for (Index i = 0; i < n; ++i) worst = std::max(worst, std::abs(y[i] - exact(i)));
        CHECK(static_cast<double>(worst) <= static_cast<double>(bound * eps));
      };
      using L = LongDouble;
      check([&](T* y) { t->add(a.get(), b.get(), y, n); }, [&](Index i) { return L(a[i]) + b[i]; }, 1);
      check([&](T* y) { t->subtract(a.get(), b.get(), y, n); }, [&](Index i) { return L(a[i]) - b[i]; }, 1);
      check([&](T* y) { t->multiply(a.get(), b.get(), y, n); }, [&](Index i) { return L(a[i]) * b[i]; }, 2);
      check([&](T* y) { t->divide(a.get(), b.get(), y, n); }, [&](Index i) { return L(a[i]) / b[i]; }, 2);
      check([&](T* y) { t->scale_shift(a.get(), T(3), T(-1), y, n); }, [&](Index i) { return L(a[i]) * 3 - 1; }, 5);
      check([&](T* y) { t->accumulate(a.get(), y, n); }, [&](Index i) { return L(start[i]) + a[i]; }, 2);
      check([&](T* y) { t->axpy(T(3), a.get(), y, n); }, [&](Index i) { return L(start[i]) + L(a[i]) * 3; }, 8);
      check([&](T* y) { t->multiply_accumulate(a.get(), b.get(), y, n); },
            [&](Index i) { return L(start[i]) + L(a[i]) * b[i]; }, 6);

      check([&](T* y) { t->divide_backward(a.get(), b.get(), b.get(), y, nullptr, n); },
            [&](Index i) { return L(start[i]) + L(b[i]) / b[i]; }, 2);
      check([&](T* y) { t->divide_backward(a.get(), b.get(), a.get(), nullptr, y, n); },
            [&](Index i) { return L(start[i]) - L(a[i]) * a[i] / (L(b[i]) * b[i]); }, 32);

      Buffer<double> column(n, 0.25);
      t->accumulate_column(a.get(), column.get(), n);
      for (Index i = 0; i < n; ++i) CHECK(column[i] == 0.25 + static_cast<double>(a[i]));
      const double values[] = {1e-3, -infinity<double>, 1e300, nan_value<double>};
      for (Index i = 0; i < n; ++i) column[i] = values[i % 4];
      Buffer<T> gx(n, T(0.5));
      t->spread_column(column.get(), gx.get(), n);
      for (Index i = 0; i < n; ++i) {
        const T expected = T(0.5) + static_cast<T>(column[i]);
        CHECK((gx[i] == expected || (std::isnan(gx[i]) && std::isnan(expected))));
      }
    }
  }
}

TEMPLATE_TEST_CASE("kernels: one Adam step", "[kernels]", float, double) {
  using T = TestType;
  using L = LongDouble;
  std::mt19937_64 engine(5);
  for (const Index n : {1, 16, 45}) {
    const Buffer<T> p0 = random_values<T>(n, engine), m0 = random_values<T>(n, engine, -0.1, 0.1),
                    v0 = random_values<T>(n, engine, 0, 0.1), g = random_values<T>(n, engine);
    for (const Table<T>* t : available_tables<T>()) {
      CAPTURE(t->instruction_set, n);
      Buffer<T> p(p0), m(m0), v(v0);
      const T scale = T(0.5), rate = T(0.01), b1 = T(0.9), b2 = T(0.999), c1 = T(0.1), c2 = T(0.001), eps = T(1e-8),
              decay = T(0.02);
      t->adam(p.get(), m.get(), v.get(), g.get(), n, scale, rate, b1, b2, c1, c2, eps, decay);
      for (Index i = 0; i < n; ++i) {
        const L gi = L(g[i]) * scale;
        const L mi = L(b1) * m0[i] + (1 - L(b1)) * gi;
        const L vi = L(b2) * v0[i] + L(T(1) - b2) * gi * gi;
        const L pi = p0[i] - rate * ((mi / c1) / (std::sqrt(vi / c2) + eps) + L(decay) * p0[i]);
        const double tolerance = 8 * std::numeric_limits<T>::epsilon();
        CHECK(std::abs(static_cast<double>(m[i] - mi)) <= tolerance);
        CHECK(std::abs(static_cast<double>(v[i] - vi)) <= tolerance);
        CHECK(std::abs(static_cast<double>(p[i] - pi)) <= tolerance);
      }
    }
  }
}

// ------------------------------------------------------------------------------------------------ reductions

TEMPLATE_TEST_CASE("kernels: sums and scalar products, the same bits everywhere", "[kernels]", float, double) {
  using T = TestType;
  std::mt19937_64 engine(13);
  for (const Index n : {0, 1, 7, 16, 17, 100, 1000, 4099}) {
    const Buffer<T> x = random_values<T>(n, engine, -1, 3), y = random_values<T>(n, engine);
    double lane_sum[row_block] = {}, lane_dot[row_block] = {};
    LongDouble exact_sum = 0, exact_dot = 0;
    for (Index i = 0; i < n; ++i) {
      const volatile double product = static_cast<double>(x[i]) * static_cast<double>(y[i]);  // rounded on its own
      lane_sum[i % row_block] += static_cast<double>(x[i]);
      lane_dot[i % row_block] += product;
      exact_sum += x[i];
      exact_dot += LongDouble(x[i]) * y[i];
    }
    const double sum = std::accumulate(lane_sum + 1, lane_sum + row_block, lane_sum[0]);
    const double dot = std::accumulate(lane_dot + 1, lane_dot + row_block, lane_dot[0]);
    for (const Table<T>* t : available_tables<T>()) {
      CAPTURE(t->instruction_set, n);
      CHECK(t->sum(x.get(), n) == sum);
      CHECK(t->dot(x.get(), y.get(), n) == dot);
    }
    CHECK(std::abs(static_cast<double>(sum - exact_sum)) <= 1e-12 * static_cast<double>(n));
    CHECK(std::abs(static_cast<double>(dot - exact_dot)) <= 1e-12 * static_cast<double>(n));
  }
}

struct ExactMoments {
  LongDouble weight = 0, mean = 0, m2 = 0;
};

template <class T>
ExactMoments exact_moments(const Buffer<T>& x, const Buffer<T>* w) {
  ExactMoments e;
  for (Index i = 0; i < x.size(); ++i) {
    const LongDouble wi = w ? LongDouble((*w)[i]) : 1;
    e.weight += wi;
    e.mean += wi * x[i];
  }
  if (e.weight > 0) e.mean /= e.weight;
  for (Index i = 0; i < x.size(); ++i) {
    e.m2 += (w ? LongDouble((*w)[i]) : 1) * (x[i] - e.mean) * (x[i] - e.mean);
  }
  return e;
}

TEMPLATE_TEST_CASE("kernels: moments", "[kernels]", float, double) {
  using T = TestType;
  std::mt19937_64 engine(17);
  std::normal_distribution<double> normal;
  for (const Table<T>* t : available_tables<T>()) {
    CAPTURE(t->instruction_set);
    const Moments none = t->moments(nullptr, nullptr, 0);
    CHECK(none.mean == 0);
    CHECK(none.m2 == 0);
    const T value = T(0.1), weight = T(0.3);
    const Moments one = t->moments(&value, &weight, 1);
    CHECK(one.mean == static_cast<double>(value));
    CHECK(one.m2 == 0);
    for (const double mean : {0.0, 1.0, 1e4, -1e6}) {
      for (const Index n : {2, 16, 127, 128, 129, 1000, 20000}) {
        CAPTURE(mean, n);
        Buffer<T> x(n);
        for (Index i = 0; i < n; ++i) x[i] = static_cast<T>(mean + normal(engine));
        Buffer<T> w = random_values<T>(n, engine, 0, 2);
        for (Index i = 0; i < n; i += 3) w[i] = 0;
        for (const bool weighted : {false, true}) {
          const Buffer<T>* weights = weighted ? &w : nullptr;
          const ExactMoments exact = exact_moments(x, weights);
          const Moments m = t->moments(x.get(), weighted ? w.get() : nullptr, n);
          CHECK(std::abs(m.mean - static_cast<double>(exact.mean)) <= 1e-14 * (1 + std::abs(mean)));
          const double m2 = static_cast<double>(exact.m2);
          // A single row with weight has none, up to the rounding of the exact mean.
          CHECK(std::abs(m.m2 - m2) <= (1e-12 + 1e-15 * std::abs(mean)) * m2 + 1e-30 * (1 + mean * mean));
          const Moments first = available_tables<T>().front()->moments(x.get(), weighted ? w.get() : nullptr, n);
          CHECK(m.mean == first.mean);
          CHECK(m.m2 == first.m2);
        }
        Buffer<T> constant(n, static_cast<T>(mean + 0.1));
        for (const T* weights : {static_cast<const T*>(nullptr), static_cast<const T*>(w.get())}) {
          const Moments c = t->moments(constant.get(), weights, n);
          CHECK(c.mean == static_cast<double>(constant[0]));
          CHECK(c.m2 == 0);
        }
        std::fill(w.get(), w.get() + n, T(0));
        const Moments weightless = t->moments(x.get(), w.get(), n);
        CHECK(weightless.mean == 0);
        CHECK(weightless.m2 == 0);
      }
    }
    // A value that is not finite shows.
    Buffer<T> x = random_values<T>(300, engine);
    x[170] = nan_value<T>;
    CHECK(std::isnan(t->moments(x.get(), nullptr, 300).m2));
    x[170] = infinity<T>;
    CHECK_FALSE(std::isfinite(t->moments(x.get(), nullptr, 300).m2));
  }
}

// ------------------------------------------------------------------------------------------------ linear maps

enum class Shape { dense, ascending, descending, ragged, blocks };

template <class T>
struct Problem {
  Index rows, inputs, outputs, ld;
  std::vector<Index> prefix, offset;
  Buffer<T> w, x, y, bias;

  static Index weight_count(const std::vector<Index>& prefix, Index inputs, bool packed) {
    return packed ? std::accumulate(prefix.begin(), prefix.end(), Index{0})
                  : inputs * static_cast<Index>(prefix.size());
  }
  static std::vector<Index> make_prefix(Index inputs, Index outputs, Shape shape, std::mt19937_64& engine) {
    std::vector<Index> prefix(static_cast<std::size_t>(outputs), inputs);
    std::uniform_int_distribution<Index> any(0, inputs);
    if (shape != Shape::dense) {
      for (Index& p : prefix) p = any(engine);
    }
    if (shape == Shape::ascending) std::sort(prefix.begin(), prefix.end());
    if (shape == Shape::descending) std::sort(prefix.rbegin(), prefix.rend());
    if (shape == Shape::blocks) {
      for (Index o = 0; o < outputs; ++o) prefix[static_cast<std::size_t>(o)] = inputs * (o * 5 / outputs) / 4;
    }
    return prefix;
  }

  /// `packed`: the rows of weights follow each other without gaps, as a masked network stores them.
  Problem(Index n, Index k, Index o, Shape shape, bool packed, std::mt19937_64& engine)
      : rows(n),
        inputs(k),
        outputs(o),
        ld(n + 16),
        prefix(make_prefix(k, o, shape, engine)),
        w(random_values<T>(weight_count(prefix, k, packed), engine)),
        x(random_values<T>(ld * k, engine)),
        y(random_values<T>(ld * o, engine)),
        bias(random_values<T>(o, engine)) {
    Index at = 0;
    for (Index j = 0; j < o; ++j) {
      offset.push_back(packed ? at : j * k);
      at += prefix[static_cast<std::size_t>(j)];
    }
  }
  Staircase<T> staircase() const { return {w.get(), prefix.data(), offset.data()}; }
  Index reach(Index o) const { return prefix[static_cast<std::size_t>(o)]; }
  T weight(Index o, Index k) const { return w[offset[static_cast<std::size_t>(o)] + k]; }
  Index most() const { return *std::max_element(prefix.begin(), prefix.end()); }
};

/// Runs `body(table, problem, scratch)` for every instruction set over shapes that hit each kind of edge.
template <class T, class Body>
void for_problems(Body body) {
  std::mt19937_64 engine(23);
  struct Size {
    Index rows, inputs, outputs;
  };
  const Size sizes[] = {{16, 1, 1},  {16, 5, 6},     {32, 6, 13},    {48, 17, 7},  {64, 64, 26},
                        {80, 33, 1}, {112, 130, 40}, {16, 140, 150}, {144, 3, 31}, {16, 270, 31}};
  for (const Size& size : sizes) {
    for (const Shape shape : {Shape::dense, Shape::ascending, Shape::descending, Shape::ragged, Shape::blocks}) {
      const bool packed = shape == Shape::ascending || shape == Shape::ragged;
      const Problem<T> problem(size.rows, size.inputs, size.outputs, shape, packed, engine);
      for (const Table<T>* t : available_tables<T>()) {
        CAPTURE(t->instruction_set, size.rows, size.inputs, size.outputs, static_cast<int>(shape));
        Buffer<T> scratch(t->scratch_size(size.inputs), nan_value<T>);
        body(*t, problem, scratch.get());
      }
    }
  }
}

template <class T>
constexpr LongDouble unit = std::numeric_limits<T>::epsilon() / 2;

TEMPLATE_TEST_CASE("kernels: linear", "[kernels]", float, double) {
  using T = TestType;
  for_problems<T>([](const Table<T>& t, const Problem<T>& p, T* scratch) {
    const Staircase<T> w = p.staircase();
    for (const int mode : {0, 1, 2}) {  // bias, none, accumulate
      Buffer<T> y(p.y);
      const T* bias = mode == 0 ? p.bias.get() : nullptr;
      t.linear(p.rows, p.x.get(), p.ld, w, 0, p.outputs, bias, mode == 2, y.get(), p.ld, scratch);
      LongDouble worst = 0;
      for (Index o = 0; o < p.outputs; ++o) {
        for (Index i = 0; i < p.rows; ++i) {
          LongDouble sum = mode == 0 ? p.bias[o] : mode == 1 ? T(0) : p.y[i + o * p.ld];
          LongDouble size = std::abs(sum);
          for (Index k = 0; k < p.reach(o); ++k) {
            const LongDouble term = LongDouble(p.x[i + k * p.ld]) * p.weight(o, k);
            sum += term;
            size += std::abs(term);
          }
          const LongDouble error = std::abs(y[i + o * p.ld] - sum);
          worst = std::max(worst, error / (size * LongDouble(p.reach(o) + 2) * unit<T> + LongDouble(1e-300)));
        }
      }
      CHECK(static_cast<double>(worst) <= 1);
      bool untouched = true;
      for (Index o = 0; o < p.outputs; ++o) {
        for (Index i = p.rows; i < p.ld; ++i) untouched = untouched && y[i + o * p.ld] == p.y[i + o * p.ld];
      }
      CHECK(untouched);

      // Block of rows by block of rows, and the outputs in two pieces: the same bits.
      Buffer<T> again(p.y);
      const Index middle = p.outputs / 3;
      for (Index i = 0; i < p.rows; i += row_block) {
        t.linear(row_block, p.x.get() + i, p.ld, w, middle, p.outputs, bias, mode == 2, again.get() + i, p.ld, scratch);
        t.linear(row_block, p.x.get() + i, p.ld, w, 0, middle, bias, mode == 2, again.get() + i, p.ld, scratch);
      }
      CHECK(again.same_bits(y));
    }
    // What an output does not read cannot reach it.
    const Index masked = p.inputs / 2;
    Buffer<T> x(p.x), clean(p.y), y(p.y);
    for (Index i = 0; i < p.ld; ++i) x[i + masked * p.ld] = i % 2 ? nan_value<T> : infinity<T>;
    t.linear(p.rows, p.x.get(), p.ld, w, 0, p.outputs, p.bias.get(), false, clean.get(), p.ld, scratch);
    t.linear(p.rows, x.get(), p.ld, w, 0, p.outputs, p.bias.get(), false, y.get(), p.ld, scratch);
    bool as_expected = true;
    for (Index o = 0; o < p.outputs; ++o) {
      for (Index i = 0; i < p.rows; ++i) {
        const T value = y[i + o * p.ld];
        as_expected = as_expected && (p.reach(o) > masked ? !std::isfinite(value) : value == clean[i + o * p.ld]);
      }
    }
    CHECK(as_expected);
  });
}

TEMPLATE_TEST_CASE("kernels: linear_backward_input", "[kernels]", float, double) {
  using T = TestType;
  for_problems<T>([](const Table<T>& t, const Problem<T>& p, T* scratch) {
    const Staircase<T> w = p.staircase();
    Buffer<T> gx(p.x);
    t.linear_backward_input(p.rows, p.y.get(), p.ld, w, 0, p.outputs, p.inputs, gx.get(), p.ld, scratch);
    LongDouble worst = 0;
    for (Index k = 0; k < p.inputs; ++k) {
      for (Index i = 0; i < p.rows; ++i) {
        LongDouble sum = p.x[i + k * p.ld];
        LongDouble size = std::abs(sum);
        for (Index o = 0; o < p.outputs; ++o) {
          if (k >= p.reach(o)) continue;
          const LongDouble term = LongDouble(p.y[i + o * p.ld]) * p.weight(o, k);
          sum += term;
          size += std::abs(term);
        }
        const LongDouble error = std::abs(gx[i + k * p.ld] - sum);
        worst = std::max(worst, error / (size * LongDouble(p.outputs + 2) * unit<T>));
      }
    }
    CHECK(static_cast<double>(worst) <= 1);
    bool untouched = true;
    for (Index k = 0; k < p.inputs; ++k) {
      for (Index i = p.rows; i < p.ld; ++i) untouched = untouched && gx[i + k * p.ld] == p.x[i + k * p.ld];
    }
    CHECK(untouched);

    // Block of rows by block of rows; the outputs in two pieces, in order, continue the same chains.
    Buffer<T> again(p.x);
    const Index middle = p.outputs / 3;
    for (Index i = 0; i < p.rows; i += row_block) {
      for (const auto& [b, e] : {std::pair{Index{0}, middle}, std::pair{middle, p.outputs}}) {
        t.linear_backward_input(row_block, p.y.get() + i, p.ld, w, b, e, p.inputs, again.get() + i, p.ld, scratch);
      }
    }
    CHECK(again.same_bits(gx));

    const Index bad = p.outputs / 2;
    Buffer<T> gy(p.y), dirty(p.x);
    for (Index i = 0; i < p.ld; ++i) gy[i + bad * p.ld] = i % 2 ? nan_value<T> : infinity<T>;
    t.linear_backward_input(p.rows, gy.get(), p.ld, w, 0, p.outputs, p.inputs, dirty.get(), p.ld, scratch);
    bool as_expected = true;
    for (Index k = 0; k < p.inputs; ++k) {
      for (Index i = 0; i < p.rows; ++i) {
        const T value = dirty[i + k * p.ld];
        as_expected = as_expected && (k < p.reach(bad) ? !std::isfinite(value) : value == gx[i + k * p.ld]);
      }
    }
    CHECK(as_expected);
  });
}

TEMPLATE_TEST_CASE("kernels: linear_backward_weight", "[kernels]", float, double) {
  using T = TestType;
  for_problems<T>([](const Table<T>& t, const Problem<T>& p, T* scratch) {
    for (const Index n : {p.rows, p.rows - 1, p.rows - 11, Index{0}}) {
      CAPTURE(n);
      // Nothing from row n on may be used.
      Buffer<T> x(p.x), gy(p.y);
      for (Index k = 0; k < p.inputs; ++k) std::fill(x.get() + n + k * p.ld, x.get() + (k + 1) * p.ld, nan_value<T>);
      for (Index o = 0; o < p.outputs; ++o) std::fill(gy.get() + n + o * p.ld, gy.get() + (o + 1) * p.ld, nan_value<T>);
      Buffer<T> gw(p.w), gbias(p.bias);
      t.linear_backward_weight(n, gy.get(), p.ld, x.get(), p.ld, p.prefix.data(), p.offset.data(), 0, p.outputs,
                               gw.get(), gbias.get(), scratch);
      LongDouble worst = 0, worst_bias = 0;
      for (Index o = 0; o < p.outputs; ++o) {
        const Index at = p.offset[static_cast<std::size_t>(o)];
        for (Index k = 0; k < p.reach(o); ++k) {
          LongDouble sum = p.w[at + k];
          LongDouble size = std::abs(sum);
          for (Index i = 0; i < n; ++i) {
            const LongDouble term = LongDouble(p.x[i + k * p.ld]) * p.y[i + o * p.ld];
            sum += term;
            size += std::abs(term);
          }
          worst = std::max(worst, std::abs(gw[at + k] - sum) / (size * LongDouble(n + 2) * unit<T>));
        }
        LongDouble sum = p.bias[o];
        LongDouble size = std::abs(sum);
        for (Index i = 0; i < n; ++i) {
          sum += p.y[i + o * p.ld];
          size += std::abs(p.y[i + o * p.ld]);
        }
        // Summed in double, rounded once to T.
        const LongDouble tolerance = unit<T> * std::abs(sum) + unit<double> * size * LongDouble(row_block + n);
        worst_bias = std::max(worst_bias, std::abs(gbias[o] - sum) / tolerance);
      }
      CHECK(static_cast<double>(worst) <= 1);
      CHECK(static_cast<double>(worst_bias) <= 1);
      if (gw.size() == p.inputs * p.outputs) {
        bool untouched = true;
        for (Index o = 0; o < p.outputs; ++o) {
          for (Index k = p.reach(o); k < p.inputs; ++k) {
            untouched = untouched && gw[k + o * p.inputs] == p.w[k + o * p.inputs];
          }
        }
        CHECK(untouched);
      }

      // The outputs in two pieces: the same bits; the rows in two pieces, in order, continue the same chains.
      Buffer<T> pieces(p.w), pieces_bias(p.bias), by_rows(p.w);
      const Index middle = p.outputs / 3, half = n / 2;
      for (const auto& [b, e] : {std::pair{middle, p.outputs}, std::pair{Index{0}, middle}}) {
        t.linear_backward_weight(n, gy.get(), p.ld, x.get(), p.ld, p.prefix.data(), p.offset.data(), b, e, pieces.get(),
                                 pieces_bias.get(), scratch);
        for (const auto& [i0, i1] : {std::pair{Index{0}, half}, std::pair{half, n}}) {
          t.linear_backward_weight(i1 - i0, gy.get() + i0, p.ld, x.get() + i0, p.ld, p.prefix.data(), p.offset.data(),
                                   b, e, by_rows.get(), nullptr, scratch);
        }
      }
      CHECK(pieces.same_bits(gw));
      CHECK(pieces_bias.same_bits(gbias));
      CHECK(by_rows.same_bits(gw));
    }
    // What a weight's row does not read cannot reach it.
    const Index masked = p.inputs / 2;
    Buffer<T> x(p.x), clean(p.w), gw(p.w);
    for (Index i = 0; i < p.ld; ++i) x[i + masked * p.ld] = nan_value<T>;
    for (const auto& [from, to] : {std::pair{&p.x, &clean}, std::pair{static_cast<const Buffer<T>*>(&x), &gw}}) {
      t.linear_backward_weight(p.rows, p.y.get(), p.ld, from->get(), p.ld, p.prefix.data(), p.offset.data(), 0,
                               p.outputs, to->get(), nullptr, scratch);
    }
    bool as_expected = true;
    for (Index o = 0; o < p.outputs; ++o) {
      for (Index k = 0; k < p.reach(o); ++k) {
        const Index at = p.offset[static_cast<std::size_t>(o)] + k;
        as_expected = as_expected && (k == masked ? std::isnan(gw[at]) : gw[at] == clean[at]);
      }
    }
    CHECK(as_expected);
    // Nor can what belongs to the row before it, wherever that ends.
    for (Index infinite = 0; infinite < std::min(p.outputs, Index{12}); ++infinite) {
      Buffer<T> gy(p.y), other(p.w);
      for (Index i = 0; i < p.ld; ++i) gy[i + infinite * p.ld] = std::numeric_limits<T>::infinity();
      t.linear_backward_weight(p.rows, gy.get(), p.ld, p.x.get(), p.ld, p.prefix.data(), p.offset.data(), 0, p.outputs,
                               other.get(), nullptr, scratch);
      bool apart = true;
      for (Index o = 0; o < p.outputs; ++o) {
        for (Index k = 0; k < p.reach(o); ++k) {
          const Index at = p.offset[static_cast<std::size_t>(o)] + k;
          apart = apart && (o == infinite ? !std::isfinite(other[at]) : other[at] == clean[at]);
        }
      }
      CHECK(apart);
    }
  });
}

}  // namespace
