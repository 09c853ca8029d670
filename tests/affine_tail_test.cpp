// The tails of affine transformers: the kernel of every instruction set against the formula in higher precision, and
// what they promise.

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include <pushforward/bijectors/affine_transformer.hpp>
#include <pushforward/bijectors/coupling.hpp>
#include <pushforward/bijectors/elementwise.hpp>
#include <pushforward/bijectors/masked_autoregressive.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <pushforward/io/model.hpp>
#include <pushforward/nn/constant.hpp>

#include "tests/catch.hpp"
#include "tests/kernels.hpp"

using namespace pushforward;
using kernel_tests::Buffer;
using kernel_tests::infinity;
using kernel_tests::LongDouble;
using kernel_tests::nan_value;

namespace {

struct Point {
  LongDouble value, log_slope;
};

/// The map as the header of AffineTransformer has it, by the integral of its slope.
Point exact(LongDouble x, LongDouble s, LongDouble knot) {
  const LongDouble scale = std::exp(s), size = std::abs(x);
  if (!(s < 0) || size <= knot) return {scale * x, s};
  const LongDouble e = size - knot, part = std::min<LongDouble>(e, 1);
  // scale on [0, knot], on the next unit up to the last slope (a trapezium), that beyond.
  const LongDouble last = scale + (1 - scale) * (1 - std::pow(scale, 4));
  const LongDouble slope = scale + (last - scale) * part;
  const LongDouble y = scale * knot + part * (scale + slope) / 2 + (e - part) * last;
  return {std::copysign(y, x), std::log(slope)};
}

/// Some of every kind, the ends of each piece among them.
template <class T>
void arguments(Buffer<T>& x, Buffer<T>& s, T knot, std::uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::uniform_real_distribution<double> uniform(-1, 1);
  for (Index i = 0; i < x.size(); ++i) {
    const double u = uniform(engine);
    x[i] = static_cast<T>(i % 4 == 0 ? 1e3 * u : i % 4 == 1 ? 1e9 * u : (static_cast<double>(knot) + 2) * u);
    s[i] = static_cast<T>(i % 5 == 0 ? 1e-3 * uniform(engine) : 6 * uniform(engine));
  }
  x[0] = knot, x[1] = -knot, x[2] = knot + 1, x[3] = std::nextafter(knot, T(100)), x[4] = 0;
  s[0] = s[1] = s[2] = s[3] = s[4] = T(-3);
  s[5] = 0;
}

/// y = x + raw + the context.
class PlusContext final : public Transformer<double> {
 public:
  PlusContext() : Transformer<double>("PlusContext", 1) {}

 private:
  Elements do_forward(Pass<double>& pass, Var<double> x, std::span<const Var<double>> p) const override {
    return {x + p[0] + across(pass, x), {}};
  }
  Elements do_inverse(Pass<double>& pass, Var<double> y, std::span<const Var<double>> p) const override {
    return {y - p[0] - across(pass, y), {}};
  }
  /// The context in each column of x.
  static Var<double> across(Pass<double>& pass, Var<double> x) {
    return concatenate<double>(std::vector<Var<double>>(static_cast<std::size_t>(x.cols()), pass.context()));
  }
  double do_log_scale_bound() const override { return 0; }
  void do_fields(Fields<double>& f) override { f.type("plus_context"); }
};

}  // namespace

TEMPLATE_TEST_CASE("Scaling with tails follows its formula in both directions", "[affine_tail]", double, float) {
  using T = TestType;
  const Index n = 4096;
  const double epsilon = static_cast<double>(std::numeric_limits<T>::epsilon());
  for (const T knot : {T(3), T(0.5), infinity<T>}) {
    Buffer<T> x(n), s(n);
    arguments(x, s, std::isinf(knot) ? T(3) : knot, 7);
    for (const kernels::Table<T>* table : kernels::available_tables<T>()) {
      INFO(table->instruction_set << ", knot " << knot);
      Buffer<T> y(n), log_slope(n), back(n), back_log(n);
      table->scale_with_tails(false, knot, x.get(), s.get(), y.get(), log_slope.get(), n);
      table->scale_with_tails(true, knot, y.get(), s.get(), back.get(), back_log.get(), n);
      double value_error = 0, log_error = 0, way_back = 0, back_log_error = 0;
      for (Index i = 0; i < n; ++i) {
        const Point p = exact(x[i], s[i], knot);
        const double size = static_cast<double>(std::abs(p.value)) + 1e-30;
        value_error = std::max(value_error, std::abs(static_cast<double>(y[i] - p.value)) / size);
        log_error = std::max(log_error, std::abs(static_cast<double>(log_slope[i] - p.log_slope)));
        // y is rounded, which the way back enlarges by 1 / slope at most in its absolute error.
        const double slope = std::exp(static_cast<double>(p.log_slope));
        const double allowed = std::abs(static_cast<double>(x[i])) + size / slope + 1e-30;
        way_back = std::max(way_back, std::abs(static_cast<double>(back[i]) - static_cast<double>(x[i])) / allowed);
        // The log slope of where the way back ended, by the formula.
        const Point q = exact(back[i], s[i], knot);
        back_log_error = std::max(back_log_error, std::abs(static_cast<double>(back_log[i] + q.log_slope)) /
                                                      (1 + std::exp(-static_cast<double>(q.log_slope))));
      }
      CHECK(value_error < 8 * epsilon);
      CHECK(log_error < 8 * epsilon * 6);
      CHECK(way_back < 8 * epsilon);
      CHECK(back_log_error < 16 * epsilon);
    }
  }
}

TEMPLATE_TEST_CASE("Gradients of scaling with tails agree with differences of the formula", "[affine_tail]", double,
                   float) {
  using T = TestType;
  const Index n = 512;
  const T knot = T(2);
  Buffer<T> x(n), s(n);
  arguments(x, s, knot, 11);
  for (Index i = 0; i < n; ++i) x[i] = std::clamp(x[i], T(-50), T(50));
  const auto derivative = [](auto f, LongDouble at) { return (f(at + 1e-8L) - f(at - 1e-8L)) / 2e-8L; };
  for (const kernels::Table<T>* table : kernels::available_tables<T>())
    for (const bool root : {false, true}) {
      INFO(table->instruction_set << ", root " << root);
      Buffer<T> in(x), out(n), log_slope(n);
      if (root) table->scale_with_tails(false, knot, x.get(), s.get(), in.get(), log_slope.get(), n);
      table->scale_with_tails(root, knot, in.get(), s.get(), out.get(), log_slope.get(), n);
      for (const auto& [of_value, of_log] : {std::pair(1.0, 0.0), std::pair(0.0, 1.0), std::pair(0.7, -1.3)}) {
        const Buffer<T> g_out(n, static_cast<T>(of_value)), g_log(n, static_cast<T>(of_log));
        Buffer<T> g_in(n, T(5)), g_s(n, T(-5));  // added to
        table->scale_with_tails_backward(root, knot, in.get(), s.get(), out.get(),
                                         of_value != 0 ? g_out.get() : nullptr, of_log != 0 ? g_log.get() : nullptr,
                                         g_in.get(), g_s.get(), n);
        Index looked_at = 0;
        for (Index i = 0; i < n; ++i) {
          const LongDouble at = out[i], si = s[i], xi = root ? at : LongDouble(x[i]);
          const LongDouble distance = std::abs(xi) - knot;
          if (std::abs(distance) < 1e-3L || std::abs(distance - 1) < 1e-3L) continue;  // kinks, in x alone
          ++looked_at;
          const LongDouble slope = std::exp(exact(xi, si, knot).log_slope);
          const LongDouble y_s = derivative([&](LongDouble v) { return exact(xi, v, knot).value; }, si);
          const LongDouble l_x = derivative([&](LongDouble v) { return exact(v, si, knot).log_slope; }, xi);
          const LongDouble l_s = derivative([&](LongDouble v) { return exact(xi, v, knot).log_slope; }, si);
          const LongDouble a = of_value, b = of_log;
          const LongDouble want_in = root ? (a - b * l_x) / slope : a * slope + b * l_x;
          const LongDouble want_s = root ? -want_in * y_s - b * l_s : a * y_s + b * l_s;
          const double size = 1 + std::abs(static_cast<double>(xi)) + static_cast<double>(1 / slope);
          const double tolerance = (std::is_same_v<T, float> ? 3e-5 : 1e-8) * size;
          REQUIRE(std::abs(static_cast<double>(g_in[i] - 5 - want_in)) < tolerance);
          REQUIRE(std::abs(static_cast<double>(g_s[i] + 5 - want_s)) < tolerance * size);
        }
        CHECK(looked_at > n / 2);
      }
    }
}

TEMPLATE_TEST_CASE("A row scaled with tails does not depend on its neighbours, and NaN and infinity stay",
                   "[affine_tail]", double, float) {
  using T = TestType;
  const Index n = 64;
  for (const kernels::Table<T>* table : kernels::available_tables<T>())
    for (const bool root : {false, true}) {
      Buffer<T> x(n), s(n), y(n), log_slope(n), alone(n), alone_log(n);
      arguments(x, s, T(3), 3);
      table->scale_with_tails(root, T(3), x.get(), s.get(), y.get(), log_slope.get(), n);
      for (Index i = 0; i < n; ++i) {
        const Buffer<T> same_x(n, x[i]), same_s(n, s[i]);
        table->scale_with_tails(root, T(3), same_x.get(), same_s.get(), alone.get(), alone_log.get(), n);
        REQUIRE(alone[0] == y[i]);
        REQUIRE(alone_log[n - 1] == log_slope[i]);
      }
      for (const T scale : {T(-2), T(2)}) {
        Buffer<T> odd(n, T(1)), scales(n, scale);
        odd[0] = nan_value<T>, odd[1] = infinity<T>, odd[2] = -infinity<T>, odd[3] = std::numeric_limits<T>::max() / 16;
        table->scale_with_tails(root, T(3), odd.get(), scales.get(), y.get(), log_slope.get(), n);
        CHECK(std::isnan(y[0]));
        CHECK(y[1] == infinity<T>);
        CHECK(y[2] == -infinity<T>);
        CHECK(std::isfinite(y[3]));
        CHECK(std::isfinite(log_slope[1]));
      }
    }
}

TEMPLATE_TEST_CASE("Within its tail an affine transformer has the bits of one without", "[affine_tail]", double,
                   float) {
  using T = TestType;
  const auto map = [](double tail) {
    Elementwise<T> map(AffineTransformer<T>(5, tail), 2);
    for (const Slot<T>& slot : list_state(map))
      for (Index i = 0; i < slot.tensor->size(); ++i) (*slot.tensor)[i] = static_cast<T>(0.3 * double(i) - 0.8);
    return map;
  };
  const Elementwise<T> plain = map(AffineTransformer<T>::no_tail), with_tail = map(4);
  Matrix<T> x(9, 2);
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = static_cast<T>(0.41 * double(i) - 3.6);
  CHECK(plain.forward(x).value == with_tail.forward(x).value);
  CHECK(plain.forward(x).log_det == with_tail.forward(x).log_det);
  const Matrix<T> y = plain.forward(x).value;
  CHECK(plain.inverse(y).value == with_tail.inverse(y).value);
  CHECK(plain.inverse(y).log_det == with_tail.inverse(y).log_det);
  x.array() *= T(3);
  CHECK(plain.forward(x).value != with_tail.forward(x).value);
}

TEST_CASE("Whatever a network says, a tail throws no point out by much more than itself", "[affine_tail]") {
  // Shift 1 and the smallest scale, exp(-5).
  Constant<double> says(1, 2);
  list_state(says).front().tensor->values()[0] = 1;
  for (const double raw : {-0.1, -0.3, -0.7, -2.0}) {  // the last slope is least at s = log 0.8
    list_state(says).front().tensor->values()[1] = raw;
    const Coupling<double> gentle({1, 0}, says, AffineTransformer<double>(5, 3));
    Eigen::MatrixXd row(1, 2);
    row << 0.2, 1e6;
    CHECK(gentle.inverse(row).value(0, 1) < 3.55 + 1.09 * (1e6 - 1));
  }
  list_state(says).front().tensor->values()[1] = -1000;
  const Coupling<double> map({1, 0}, says, AffineTransformer<double>(5, 3));
  const Coupling<double> without({1, 0}, says, AffineTransformer<double>(5));
  for (const double y : {-1e6, -40.0, 1.5, 12.0, 1e3, 1e6}) {
    Eigen::MatrixXd row(1, 2);
    row << 0.2, y;
    const double x = map.inverse(row).value(0, 1);
    CHECK(std::abs(x) < 3.55 + 1.09 * std::abs(y - 1));
    CHECK(without.inverse(row).value(0, 1) == Approx(std::exp(5.0) * (y - 1)));
  }
}

TEST_CASE("The shift of an additive transformer stays within its bound", "[affine_tail]") {
  Constant<double> says(1, 1);
  const auto shift = [&](double raw, double bound) {
    list_state(says).front().tensor->values()[0] = raw;
    Eigen::MatrixXd row(1, 2);
    row << 0.2, 1.5;
    return Coupling<double>({1, 0}, says, AdditiveTransformer<double>(bound)).forward(row).value(0, 1) - 1.5;
  };
  CHECK(shift(1e6, 4) == Approx(4));
  CHECK(shift(-3, 4) == Approx(4 * std::tanh(-0.75)));
  CHECK(shift(1e6, std::numeric_limits<double>::infinity()) == 1e6);
}

TEST_CASE("A conditioner with a bound sees columns and context softly bounded", "[affine_tail]") {
  const MlpOptions net{.hidden = {7}, .context_dim = 1, .final_scale = 1, .seed = 5};
  const Mlp<double> mlp(1, 2, net);
  const Coupling<double> bounded({1, 0}, mlp, AffineTransformer<double>(), 4), plain({1, 0}, mlp);
  Made<double> made(2, 2, {.hidden = 6, .context_dim = 1, .final_scale = 1, .seed = 5});
  const MaskedAutoregressive<double> bounded_made(made, AffineTransformer<double>(), {}, 4), plain_made(made);
  const auto soft = [](double v) { return 4 * std::tanh(v / 4); };
  for (const double far : {-1e9, -3.0, 0.5, 70.0}) {
    Eigen::MatrixXd row(1, 2), seen(1, 2), context(1, 1), seen_context(1, 1);
    row << far, 0.3;
    seen << soft(far), 0.3;
    context << 2 * far;
    seen_context << soft(2 * far);
    const auto got = bounded.inverse(row, context), want = plain.inverse(seen, seen_context);
    CHECK(got.value(0, 0) == far);
    CHECK(got.value(0, 1) == Approx(want.value(0, 1)).epsilon(1e-14));
    CHECK(got.log_det[0] == Approx(want.log_det[0]).epsilon(1e-14));
    // The second column of an autoregressive map sees the first, which sees the context alone.
    const auto got_made = bounded_made.inverse(row, context);
    CHECK(got_made.value(0, 1) == Approx(plain_made.inverse(seen, seen_context).value(0, 1)).epsilon(1e-14));
    CHECK(bounded_made.forward(got_made.value, context).value(0, 0) == Approx(far).epsilon(1e-12));
    CHECK(bounded_made.forward(got_made.value, context).value(0, 1) == Approx(0.3).epsilon(1e-12));
  }
}

TEST_CASE("The transformer of a conditioner with a bound sees the context as it is", "[affine_tail]") {
  const MlpOptions net{.hidden = {7}, .context_dim = 1, .final_scale = 1, .seed = 5};
  const MadeOptions made{.hidden = 6, .context_dim = 1, .final_scale = 1, .seed = 5};
  const Coupling<double> coupling({1, 0}, PlusContext(), net, 2), plain_coupling({1, 0}, AdditiveTransformer<double>(), net, 2);
  const MaskedAutoregressive<double> maf(2, PlusContext(), made, {}, 2), plain_maf(2, AdditiveTransformer<double>(), made, {}, 2);
  const Mlp<double> mlp(1, 2, {.hidden = {7}, .final_scale = 1, .seed = 5});
  const Elementwise<double> own(PlusContext(), 2, mlp, 2), plain_own(AdditiveTransformer<double>(), 2, mlp, 2);
  Eigen::MatrixXd x(3, 2), context(3, 1);
  x << 0.2, -1, 3, 0.5, -0.4, 0.9;
  context << 100, -0.3, 7;
  const auto added = [&](const Bijector<double>& with, const Bijector<double>& without) {
    return (with.forward(x, context).value - without.forward(x, context).value).eval();
  };
  const Eigen::VectorXd c = context.col(0);
  CHECK(added(coupling, plain_coupling).col(0).isZero());
  CHECK(added(coupling, plain_coupling).col(1).isApprox(c, 1e-14));
  CHECK(added(own, plain_own).col(0).isApprox(c, 1e-14));
  CHECK(added(own, plain_own).col(1).isApprox(c, 1e-14));
  CHECK(added(maf, plain_maf).col(0).isApprox(c, 1e-14));
  for (const Bijector<double>* map : {static_cast<const Bijector<double>*>(&coupling), static_cast<const Bijector<double>*>(&maf),
                                      static_cast<const Bijector<double>*>(&own)})
    CHECK(map->inverse(map->forward(x, context).value, context).value.isApprox(x, 1e-12));
}

TEST_CASE("Maps that size their own network, and a network of the context, take a bound too", "[affine_tail]") {
  const AffineTransformer<double> affine;
  const MlpOptions net{.hidden = {5}, .context_dim = 1, .final_scale = 1, .seed = 3};
  const ResidualNetworkOptions residual{.hidden = 4, .context_dim = 1, .final_scale = 1, .seed = 3};
  const MadeOptions made{.hidden = 6, .context_dim = 1, .final_scale = 1, .seed = 5};
  Eigen::MatrixXd x(3, 2), context(3, 1), soft_context(3, 1);
  x << 0.2, -1, 30, 0.5, -4, 9;
  context << 100, -0.3, 7;
  soft_context = (2 * (context.array() / 2).tanh()).matrix();
  const auto same = [&](const Bijector<double>& a, const Bijector<double>& b) {
    CHECK(a.describe() == b.describe());
    CHECK(a.inverse(x, context).value == b.inverse(x, context).value);
  };
  same(Coupling<double>({1, 0}, affine, net, 2), Coupling<double>({1, 0}, Mlp<double>(1, 2, net), affine, 2));
  same(Coupling<double>({1, 0}, affine, residual, 2),
       Coupling<double>({1, 0}, ResidualNetwork<double>(1, 2, residual), affine, 2));
  same(MaskedAutoregressive<double>(2, affine, made, {1, 0}, 2),
       MaskedAutoregressive<double>(Made<double>(2, 2, made), affine, {1, 0}, 2));
  const Mlp<double> mlp(1, 4, {.hidden = {5}, .final_scale = 1, .seed = 3});
  const Elementwise<double> bounded(affine, 2, mlp, 2), plain(affine, 2, mlp);
  CHECK(bounded.input_bound() == 2);
  CHECK(bounded.inverse(x, context).value.isApprox(plain.inverse(x, soft_context).value, 1e-14));
  CHECK(bounded.inverse(x, context).log_det.isApprox(plain.inverse(x, soft_context).log_det, 1e-14));
  // Files of maps without a bound are those of 0.1.
  CHECK(bounded.describe().number("input_bound") == 2);
  CHECK_FALSE(plain.describe().has("input_bound"));
  const TransformedDistribution<double> d(Normal<double>(2), bounded);
  CHECK(load<double>(serialize(d), "memory").distribution->log_prob(x, context) == d.log_prob(x, context));
  CHECK_THROWS_WITH(Elementwise<double>(affine, 2, mlp, -1),
                    Catch::Contains("Elementwise: input_bound must be positive, got -1; infinity is no bound"));
}

TEST_CASE("A bound beyond the numbers of float is none in float", "[affine_tail]") {
  const Mlp<float> mlp(1, 2, {.hidden = {3}, .final_scale = 1, .seed = 2});
  const Matrix<float> rows = Matrix<float>::Constant(3, 2, 0.7f);
  const Coupling<float> huge({1, 0}, mlp, AffineTransformer<float>(5, 1e300), 1e300), plain({1, 0}, mlp);
  CHECK(huge.inverse(rows).value == plain.inverse(rows).value);
  CHECK(huge.inverse(rows).log_det == plain.inverse(rows).log_det);
}

TEST_CASE("Bounds that are no bounds are refused by name", "[affine_tail]") {
  CHECK_THROWS_WITH(AffineTransformer<double>(5, 0), Catch::Contains("tail must be positive, got 0"));
  CHECK_THROWS_WITH(AffineTransformer<double>(5, std::nan("")), Catch::Contains("tail must be positive, got nan"));
  CHECK_THROWS_WITH(AdditiveTransformer<double>(-2),
                    Catch::Contains("AdditiveTransformer: bound must be positive, got -2"));
  const Mlp<double> mlp(1, 2, {.hidden = {3}});
  CHECK_THROWS_WITH(Coupling<double>({1, 0}, mlp, AffineTransformer<double>(), -1),
                    Catch::Contains("Coupling: input_bound must be positive, got -1; infinity is no bound"));
  CHECK_THROWS_WITH(MaskedAutoregressive<double>(Made<double>(2, 2), AffineTransformer<double>(), {}, 0),
                    Catch::Contains("MaskedAutoregressive: input_bound must be positive, got 0"));
}
