// Bounds that the scalar type does not hold: beyond its largest number or that of its exponential, and below its
// smallest.

#include <cmath>
#include <limits>
#include <pushforward/bijectors/act_norm.hpp>
#include <pushforward/bijectors/affine.hpp>
#include <pushforward/bijectors/affine_transformer.hpp>
#include <pushforward/bijectors/coupling.hpp>
#include <pushforward/bijectors/elementwise.hpp>
#include <pushforward/bijectors/masked_autoregressive.hpp>
#include <pushforward/bijectors/scale.hpp>
#include <pushforward/flows/builders.hpp>
#include <pushforward/io/model.hpp>
#include <pushforward/testing/bijector_contract.hpp>
#include <pushforward/testing/gradient_check.hpp>
#include <span>

#include "tests/catch.hpp"

using namespace pushforward;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double tiny[] = {1e-50, 1e-310, 5e-324};
constexpr double huge[] = {30, 89, 1e3, 1e30, 1e300, infinity};

template <Scalar T>
Matrix<T> rows() {
  Matrix<T> x(6, 1);
  x << T(0), T(-0.0), T(1e-3), T(-2), T(30), T(-1e4);
  return x;
}

/// There and back, whatever the learned log scale: numbers of T, or infinite where the answer is beyond them, never NaN.
template <Scalar T, class Map>
void never_nan(const Map& make, double bound) {
  for (const T raw : {T(0), T(1e-20), T(-3), T(3), T(-500), T(500), T(-1e6), T(1e6)}) {
    INFO("bound " << bound << ", raw " << raw);
    const Poly<Bijector<T>> map = make(bound, raw);
    for (const bool forward : {true, false}) {
      const MappedRows<T> out = forward ? map->forward(rows<T>()) : map->inverse(rows<T>());
      CHECK_FALSE(out.value.array().isNaN().any());
      CHECK(out.log_det.allFinite());
      CHECK((out.log_det.array().abs() <= map->log_scale_bound()).all());
      // Where it is a number.
      const double s = bound > 1e100 ? double(raw) : bound * std::tanh(double(raw) / bound), sign = forward ? 1 : -1;
      if (std::isfinite(bound) && bound < 80) {
        CHECK(sign * out.log_det[0] == Approx(s).epsilon(1e-5).margin(1e-30));
        CHECK(out.value(2, 0) == Approx(1e-3 * std::exp(sign * s)).epsilon(1e-4));
      } else if (std::abs(raw) < 10) {
        CHECK(sign * out.log_det[0] == Approx(s).epsilon(1e-5).margin(1e-30));
      }
    }
  }
}

template <Scalar T>
Elementwise<T> affine(double bound, double tail, T raw) {
  Elementwise<T> map(AffineTransformer<T>(bound, tail), 1);
  map.raw()[1] = raw;
  return map;
}

}  // namespace

TEMPLATE_TEST_CASE("A scale bound of any size makes no NaN", "[bounds]", float, double) {
  using T = TestType;
  const auto transformer = [](double bound, T raw) -> Poly<Bijector<T>> { return affine<T>(bound, infinity, raw); };
  const auto plain = [](double bound, T raw) -> Poly<Bijector<T>> { return Affine<T>({T(0)}, {raw}, bound); };
  const auto scale = [](double bound, T raw) -> Poly<Bijector<T>> {
    Scale<T> map(1, bound);
    (*list_state<T>(static_cast<Component<T>&>(map)).front().tensor)[0] = raw;
    return map;
  };
  const auto norm = [](double bound, T raw) -> Poly<Bijector<T>> {
    ActNorm<T> map(1, bound);
    for (const Slot<T>& slot : list_state<T>(static_cast<Component<T>&>(map)))
      if (slot.path == "log_scale") (*slot.tensor)[0] = raw;
    return map;
  };
  for (const auto& bounds : {std::span<const double>(tiny), std::span<const double>(huge)})
    for (const double bound : bounds) {
      never_nan<T>(transformer, bound);
      never_nan<T>(plain, bound);
      never_nan<T>(scale, bound);
      never_nan<T>(norm, bound);
    }
}

TEMPLATE_TEST_CASE("Tails of any size make no NaN", "[bounds]", float, double) {
  using T = TestType;
  for (const double tail : {5e-324, 1e-50, 1.0, 1e30, 1e300, infinity})
    for (const double bound : {1e-50, 5.0, 1e3, infinity})
      for (const T raw : {T(0), T(-3), T(3), T(-1e6), T(1e6)}) {
        INFO("tail " << tail << ", bound " << bound << ", raw " << raw);
        const Elementwise<T> map = affine<T>(bound, tail, raw);
        for (const MappedRows<T>& out : {map.forward(rows<T>()), map.inverse(rows<T>())}) {
          CHECK_FALSE(out.value.array().isNaN().any());
          CHECK(out.log_det.allFinite());
          CHECK(out.value(0, 0) == 0);
        }
      }
  // A tail that is 0 in T: the slope rises at once.
  const Elementwise<T> small = affine<T>(5, 1e-50, T(-1)), unit = affine<T>(5, 1e-3, T(-1));
  CHECK(small.forward(rows<T>()).value(4, 0) == Approx(unit.forward(rows<T>()).value(4, 0)).epsilon(1e-3));
}

TEMPLATE_TEST_CASE("Shifts and inputs take bounds of any size", "[bounds]", float, double) {
  using T = TestType;
  for (const auto& bounds : {std::span<const double>(tiny), std::span<const double>(huge)})
    for (const double bound : bounds) {
      INFO(bound);
      Elementwise<T> shift(AdditiveTransformer<T>(bound), 1);
      for (const T raw : {T(0), T(1e-3), T(-2)}) {
        shift.raw()[0] = raw;
        const double expected = std::isinf(bound) ? double(raw) : bound * std::tanh(static_cast<double>(raw) / bound);
        CHECK(shift.forward(Matrix<T>(Matrix<T>::Zero(1, 1))).value(0, 0) == Approx(expected).epsilon(1e-6).margin(1e-30));
      }
      const Mlp<T> mlp(1, 2, {.hidden = {3}, .context_dim = 1, .final_scale = 1, .seed = 2});
      const Coupling<T> coupling({1, 0}, mlp, AffineTransformer<T>(), bound);
      const MaskedAutoregressive<T> maf(Made<T>(2, 2, {.hidden = 4, .context_dim = 1, .final_scale = 1}),
                                        AffineTransformer<T>(), {}, bound);
      Matrix<T> x(3, 2), context(3, 1);
      x << T(0), T(0.7), T(1e-3), T(-2), T(1e4), T(3);
      context << T(0), T(-0.2), T(3);
      for (const Bijector<T>* map : {static_cast<const Bijector<T>*>(&coupling), static_cast<const Bijector<T>*>(&maf)}) {
        CHECK(map->forward(x, context).value.allFinite());
        CHECK(map->inverse(x, context).value.allFinite());
      }
    }
}

TEST_CASE("Gradients under bounds of any size are right", "[bounds]") {
  using namespace pushforward::testing;
  for (const double bound : {1e3, 1e30, 1e300, infinity})
    for (const bool forward : {true, false}) {
      INFO(bound);
      Elementwise<double> map = affine<double>(bound, 3, -0.5);
      const auto f = [&](Pass<double>& pass, Var<double> in) {
        const Mapped<double> out = forward ? map.forward(pass, in) : map.inverse(pass, in);
        return random_projection(pass, out.value, 5) + random_projection(pass, out.log_det, 6);
      };
      const Matrix<double> x = Matrix<double>::Random(9, 1) * 5;
      const std::vector<NamedTensor> tensors{{"raw", &map.raw()}};
      const std::vector<Failure> failures = check_gradient(f, x, {}, tensors);
      INFO(report(failures));
      CHECK(failures.empty());
    }
}

TEST_CASE("What is no bound is refused in words", "[bounds]") {
  using Catch::Matchers::Contains;
  CHECK_THROWS_WITH(AffineTransformer<float>(0), Contains("AffineTransformer: bound must be positive, got 0; infinity"));
  CHECK_THROWS_WITH(AffineTransformer<double>(std::nan("")), Contains("bound must be positive, got nan"));
  CHECK_THROWS_WITH(AffineTransformer<double>(-infinity), Contains("bound must be positive, got -inf"));
  CHECK_THROWS_WITH(Affine<double>(2, -1), Contains("Affine: bound must be positive, got -1"));
  CHECK_THROWS_WITH(Scale<double>(2, 0), Contains("Scale: bound must be positive, got 0"));
  CHECK_THROWS_WITH(ActNorm<double>(2, -3), Contains("ActNorm: bound must be positive, got -3"));
  CHECK_THROWS_WITH(maf<double>(2, {.scale_bound = -1}), Contains("AffineTransformer: bound must be positive, got -1"));
  CHECK_THROWS_WITH(nice<double>(2, {.shift_bound = 0}), Contains("AdditiveTransformer: bound must be positive, got 0"));
  CHECK_THROWS_WITH(real_nvp<double>(2, {.input_bound = 0}), Contains("Coupling: input_bound must be positive, got 0"));
  // A scale beyond exp(708) is none of double, whatever the bound.
  CHECK_THROWS_WITH(Scale<double>({1e-320}, infinity), Contains("between exp(-708"));
}

TEST_CASE("A flow without bounds saves, loads and casts", "[bounds]") {
  const TransformedDistribution<double> flow =
      maf<double>(2, {.layers = 2, .hidden = 8, .scale_bound = infinity, .tail = infinity, .input_bound = infinity});
  Matrix<double> y(2, 2);
  y << 0.3, -1, 2, 0.1;
  const auto loaded = load<double>(serialize(flow), "memory");
  CHECK(loaded.distribution->log_prob(y) == flow.log_prob(y));
  CHECK(cast<float>(flow, Registry::standard())->log_prob(y.cast<float>().eval()).isApprox(flow.log_prob(y), 1e-5));
}
