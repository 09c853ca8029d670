// Batch normalisation without state: moments, maps and gradients of tensors of any rank, axes and strides, against
// plain loops and central differences; accuracy in float.

#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <pushforward/batch_norm/core.hpp>
#include <pushforward/error.hpp>
#include <pushforward/random.hpp>
#include <pushforward/tensor.hpp>
#include <string>
#include <vector>

#include "tests/catch.hpp"

using namespace pushforward;
namespace bn = pushforward::batch_norm;
using Catch::Matchers::ContainsSubstring;

namespace {

std::vector<double> numbers(Index n, std::uint64_t seed, bool positive = false) {
  std::vector<double> v(static_cast<std::size_t>(n));
  if (n > 0) Engine(seed).next_call().normal(0, n, 1, v.data(), n);
  if (positive)
    for (double& x : v) x = std::abs(x) + 0.3;
  return v;
}

/// A tensor whose memory order of axes is `order` (last fastest), with `gap` unused values between neighbours.
template <Scalar T>
struct Strided {
  Strided(std::vector<Index> shape, std::vector<Index> order, Index gap) {
    std::vector<Index> strides(shape.size());
    Index step = gap;
    for (std::size_t i = order.size(); i-- > 0;) {
      strides[static_cast<std::size_t>(order[i])] = step;
      step *= shape[static_cast<std::size_t>(order[i])];
    }
    memory.assign(static_cast<std::size_t>(step) + 1, std::numeric_limits<T>::quiet_NaN());
    view = TensorView<T>(memory.data(), shape, strides);
  }
  TensorView<const T> read() const { return {view.data(), view.shape(), view.strides()}; }
  std::vector<T> memory;
  TensorView<T> view;
};

/// f(index, channel, element) over all elements in row-major order.
template <class T, class F>
void for_each(const TensorView<T>& x, const std::vector<Index>& kept, F f) {
  std::vector<Index> at(x.shape().size(), 0);
  for (Index i = 0; i < x.size(); ++i) {
    Index offset = 0, channel = 0;
    for (std::size_t a = 0; a < at.size(); ++a) offset += at[a] * x.strides()[a];
    for (const Index a : kept)
      channel = channel * x.shape()[static_cast<std::size_t>(a)] + at[static_cast<std::size_t>(a)];
    f(static_cast<std::size_t>(i), static_cast<std::size_t>(channel), x.data()[offset]);
    for (std::size_t a = at.size(); a-- > 0;) {
      if (++at[a] < x.shape()[a]) break;
      at[a] = 0;
    }
  }
}
template <Scalar T>
void assign(const TensorView<T>& x, const std::vector<double>& values) {
  for_each(x, {}, [&](std::size_t i, std::size_t, T& v) { v = static_cast<T>(values[i]); });
}

struct Case {
  std::vector<Index> shape, kept, order, other_order;
  Index gap;
};
std::vector<Case> cases() {
  return {
      {{7, 4}, {1}, {0, 1}, {0, 1}, 1},                    // rows of channels
      {{300, 37}, {1}, {0, 1}, {0, 1}, 1},                 // more than one tile, more than whole vectors
      {{3, 600}, {1}, {0, 1}, {0, 1}, 1},                  // more than one piece
      {{300, 3}, {1}, {1, 0}, {1, 0}, 1},                  // column-major
      {{6, 5}, {1}, {0, 1}, {1, 0}, 1},                    // input and output in different orders
      {{5, 3, 4}, {1}, {0, 1, 2}, {0, 1, 2}, 1},           // channels in the middle
      {{5, 3, 4}, {0}, {0, 1, 2}, {2, 1, 0}, 1},           // channels first
      {{4, 3, 5, 2}, {3}, {0, 1, 2, 3}, {0, 1, 2, 3}, 1},  // NHWC
      {{4, 3, 5, 2}, {1}, {0, 1, 2, 3}, {0, 1, 2, 3}, 3},  // NCHW, not contiguous
      {{4, 3, 5, 2}, {1, 3}, {0, 1, 2, 3}, {0, 3, 1, 2}, 1},
      {{4, 3, 5, 2}, {2, 3}, {3, 2, 1, 0}, {3, 2, 1, 0}, 1},  // neighbours in memory, not in number
      {{3, 2, 2, 3, 2}, {4}, {0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}, 2},
      {{3, 2, 2, 3, 2}, {1, 4}, {0, 1, 2, 3, 4}, {4, 3, 2, 1, 0}, 1},
      {{40}, {}, {0}, {0}, 1},              // one channel
      {{9, 4}, {0, 1}, {0, 1}, {0, 1}, 1},  // nothing to average over
      {{1, 4}, {1}, {0, 1}, {0, 1}, 1},
      {{1100, 3}, {1}, {0, 1}, {0, 1}, 1},  // few channels: rows are taken together, and some are left over
      {{8, 130, 7}, {2}, {0, 1, 2}, {0, 1, 2}, 1},
      {{9, 5, 3, 2}, {1}, {0, 1, 2, 3}, {0, 1, 2, 3}, 1},  // short runs of each channel
  };
}

std::string text(const Case& c) {
  std::string s = "shape";
  for (const Index n : c.shape) s.append(" ").append(std::to_string(n));
  s += ", kept";
  for (const Index n : c.kept) s.append(" ").append(std::to_string(n));
  return s;
}

struct Problem {
  explicit Problem(const Case& c)
      : size(bn::count_along(c.shape, bn::other_axes({}, static_cast<Index>(c.shape.size())))),
        channels(bn::count_along(c.shape, c.kept)),
        x(numbers(size, 1)),
        gamma(numbers(channels, 2, true)),
        beta(numbers(channels, 3)),
        mean(numbers(channels, 4)),
        variance(numbers(channels, 5, true)) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = 2 * x[i] + 0.25 * static_cast<double>(i % 7);
  }
  Index size, channels;
  std::vector<double> x, gamma, beta, mean, variance;
};

}  // namespace

TEMPLATE_TEST_CASE("Moments, normalize and denormalize of any shape, axes and strides", "[batch_norm]", float, double) {
  using T = TestType;
  const double tolerance = sizeof(T) == 4 ? 2e-5 : 1e-12;
  for (const Case& c : cases()) {
    INFO(text(c));
    const Problem p(c);
    Strided<T> x(c.shape, c.order, c.gap), out(c.shape, c.other_order, c.gap), back(c.shape, c.order, 1);
    assign(x.view, p.x);
    // By plain loops, from the values as they are in T.
    const std::size_t channels = static_cast<std::size_t>(p.channels);
    std::vector<double> mean(channels), variance(channels), count(channels);
    for_each(x.view, c.kept, [&](std::size_t, std::size_t k, T v) { mean[k] += static_cast<double>(v), ++count[k]; });
    for (std::size_t k = 0; k < channels; ++k) mean[k] /= count[k];
    for_each(x.view, c.kept, [&](std::size_t, std::size_t k, T v) {
      variance[k] += (static_cast<double>(v) - mean[k]) * (static_cast<double>(v) - mean[k]) / count[k];
    });
    const bn::Moments m = bn::moments<T>(x.read(), c.kept);
    REQUIRE(m.mean.size() == channels);
    CHECK(m.count == static_cast<Index>(count[0]));
    for (std::size_t k = 0; k < channels; ++k) {
      CHECK(m.mean[k] == Approx(mean[k]).margin(1e-12));
      CHECK(m.variance[k] == Approx(variance[k]).margin(1e-12));
    }
    const bn::Affine by{p.mean, p.variance, p.gamma, p.beta, 1e-3};
    bn::normalize<T>(x.read(), c.kept, by, out.view);
    bn::denormalize<T>(out.read(), c.kept, by, back.view);
    std::vector<double> values(p.x.size());
    for_each(x.view, c.kept, [&](std::size_t i, std::size_t k, T v) {
      values[i] = p.gamma[k] * (static_cast<double>(v) - p.mean[k]) / std::sqrt(p.variance[k] + 1e-3) + p.beta[k];
    });
    for_each(out.view, c.kept, [&](std::size_t i, std::size_t, T v) {
      CHECK(static_cast<double>(v) == Approx(values[i]).epsilon(tolerance).margin(tolerance));
    });
    for_each(back.view, c.kept, [&](std::size_t i, std::size_t, T v) {
      CHECK(static_cast<double>(v) == Approx(p.x[i]).epsilon(tolerance).margin(10 * tolerance));
    });
  }
}

namespace {

/// Everything that a pass gives, weighted: sum w out + a log_det + wm mean + wv variance + wi invstd.
double weighted(bool training, const Case& c, const Problem& p, const std::vector<double>& dy,
                const std::vector<double>& wm, const std::vector<double>& wv, const std::vector<double>& wi, double a) {
  const double epsilon = 0.1;
  Strided<double> x(c.shape, c.order, c.gap), out(c.shape, c.other_order, c.gap);
  assign(x.view, p.x);
  std::vector<double> mean = p.mean, variance = p.variance;
  if (training) {
    const bn::Moments m = bn::training_forward<double>(x.read(), c.kept, p.gamma, p.beta, epsilon, out.view);
    mean = m.mean;
    variance = m.variance;
  } else {
    bn::normalize<double>(x.read(), c.kept, {mean, variance, p.gamma, p.beta, epsilon}, out.view);
  }
  double sum = a * bn::log_det({mean, variance, p.gamma, p.beta, epsilon});
  for_each(out.view, c.kept, [&](std::size_t i, std::size_t, double v) { sum += dy[i] * v; });
  for (std::size_t k = 0; k < mean.size(); ++k)
    sum += wm[k] * mean[k] + wv[k] * variance[k] + wi[k] / std::sqrt(variance[k] + epsilon);
  return sum;
}

}  // namespace

TEST_CASE("Gradients of training and inference with weights on everything at once", "[batch_norm]") {
  for (const bool training : {true, false})
    for (const Case& c : cases()) {
      INFO(text(c) << (training ? ", training" : ", inference"));
      Problem p(c);
      const Index every = 1 + p.size / 250;  // differences of so many values
      const std::vector<double> dy = numbers(p.size, 6), wm = numbers(p.channels, 7), wv = numbers(p.channels, 8),
                                wi = numbers(p.channels, 9);
      const double a = 0.7, epsilon = 0.1;
      Strided<double> x(c.shape, c.order, c.gap), g(c.shape, c.other_order, 1), dx(c.shape, c.other_order, c.gap);
      assign(x.view, p.x);
      assign(g.view, dy);
      bn::Affine by{p.mean, p.variance, p.gamma, p.beta, epsilon};
      const bn::Moments m = bn::moments<double>(x.read(), c.kept);
      if (training) by.mean = m.mean, by.variance = m.variance;
      const bn::Adjoints<double> adjoints{g.read(), a, wm, wv, wi};
      const bn::Gradients got = training ? bn::training_backward<double>(x.read(), c.kept, by, adjoints, dx.view)
                                         : bn::inference_backward<double>(x.read(), c.kept, by, adjoints, dx.view);
      const auto difference = [&](double& value) {
        const double h = 1e-5, old = value;
        value = old + h;
        const double up = weighted(training, c, p, dy, wm, wv, wi, a);
        value = old - h;
        const double down = weighted(training, c, p, dy, wm, wv, wi, a);
        value = old;
        return (up - down) / (2 * h);
      };
      const auto check = [&](double value, double expected) {
        CHECK(value == Approx(expected).epsilon(1e-6).margin(1e-6));
      };
      for_each(dx.view, c.kept, [&](std::size_t i, std::size_t, double v) {
        if (static_cast<Index>(i) % every == 0) check(v, difference(p.x[i]));
      });
      for (std::size_t k = 0; k < std::min<std::size_t>(p.gamma.size(), 50); ++k) {
        check(got.gamma[k], difference(p.gamma[k]));
        check(got.beta[k], difference(p.beta[k]));
        if (training) continue;
        check(got.mean[k], difference(p.mean[k]));
        check(got.variance[k], difference(p.variance[k]));
      }
    }
}

TEST_CASE("Moments in float are accurate far from zero", "[batch_norm]") {
  // mean / std = 1e4; the values as they are in float, their variance by a compensated sum in long double.
  for (const bool by_columns : {true, false}) {
    const Index n = 20000, channels = 5;
    const std::vector<double> noise = numbers(n * channels, 11);
    std::vector<float> x(noise.size());
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(1e4 + noise[i]);
    const TensorView<const float> view = by_columns ? TensorView<const float>(x.data(), {n, channels})
                                                    : TensorView<const float>(x.data(), {channels, n});
    const std::vector<Index> kept{by_columns ? 1 : 0};
    const bn::Moments m = bn::moments<float>(view, kept);
    for (Index c = 0; c < channels; ++c) {
      const auto value = [&](Index i) {
        return static_cast<long double>(x[static_cast<std::size_t>(by_columns ? i * channels + c : c * n + i)]);
      };
      long double mean = 0, variance = 0;
      for (Index i = 0; i < n; ++i) mean += value(i) / n;
      for (Index i = 0; i < n; ++i) variance += (value(i) - mean) * (value(i) - mean) / n;
      const double relative = std::abs(m.variance[static_cast<std::size_t>(c)] / static_cast<double>(variance) - 1);
      INFO("relative error " << relative);
      CHECK(relative < 1e-9);
      CHECK(m.mean[static_cast<std::size_t>(c)] == Approx(static_cast<double>(mean)).epsilon(1e-13));
    }
  }
}

TEST_CASE("Values and gradients in float are accurate far from zero", "[batch_norm]") {
  // The float values in double: what float does not hold of the mean must not be lost.
  const Index n = 300, channels = 5;
  const std::vector<double> noise = numbers(n * channels, 12), g = numbers(n * channels, 13);
  for (const bool by_columns : {true, false}) {
    const std::vector<Index> shape = by_columns ? std::vector<Index>{n, channels} : std::vector<Index>{channels, n};
    const std::vector<Index> kept{by_columns ? 1 : 0};
    const auto pass = [&]<class T>(T) {
      std::vector<T> x(noise.size()), dy(g.begin(), g.end()), y(noise.size()), dx(noise.size());
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<T>(static_cast<float>(1e4 + noise[i]));
      const TensorView<const T> in(x.data(), shape), dout(dy.data(), shape);
      const bn::Moments m = bn::training_forward<T>(in, kept, {}, {}, 1e-3, TensorView<T>(y.data(), shape));
      const bn::Affine by{m.mean, m.variance, {}, {}, 1e-3};
      bn::training_backward<T>(in, kept, by, {.out = dout}, TensorView<T>(dx.data(), shape));
      std::vector<double> both(y.begin(), y.end());
      both.insert(both.end(), dx.begin(), dx.end());
      return both;
    };
    const std::vector<double> got = pass(0.0F), exact = pass(0.0);
    double error = 0;
    for (std::size_t i = 0; i < got.size(); ++i) error = std::max(error, std::abs(got[i] - exact[i]));
    CHECK(error < 2e-6);
  }
}

TEST_CASE("The cross-system fixture", "[batch_norm]") {
  // reference: three rows, gamma = (2, 0.5), beta = (0.1, -0.2), epsilon = 1e-3.
  const std::vector<double> y{1, 2, 3, 7, 5, 9}, dy{1, .5, 2, -1, -1, 3}, gamma{2, .5}, beta{.1, -.2};
  const std::vector<Index> kept{1};
  std::vector<double> x(6), dx(6);
  const TensorView<const double> in(y.data(), {3, 2});
  const bn::Moments m = bn::training_forward<double>(in, kept, gamma, beta, 1e-3, TensorView<double>(x.data(), {3, 2}));
  const bn::Affine by{m.mean, m.variance, gamma, beta, 1e-3};
  const std::vector<double> expected{-2.349030593, -0.879327030, 0.1, -0.030168243, 2.549030593, 0.309495272};
  for (std::size_t i = 0; i < 6; ++i) CHECK(x[i] == Approx(expected[i]).margin(1e-9));
  CHECK(bn::log_det(by) == Approx(-1.5704019050).epsilon(1e-10));
  const bn::Gradients g = bn::training_backward<double>(in, kept, by, {TensorView<const double>(dy.data(), {3, 2})},
                                                        TensorView<double>(dx.data(), {3, 2}));
  const std::vector<double> expected_dx{-0.815884510, 0.100139104,  1.632687062,
                                        -0.350545644, -0.816802552, 0.250406541};
  for (std::size_t i = 0; i < 6; ++i) CHECK(dx[i] == Approx(expected_dx[i]).margin(1e-9));
  CHECK(g.gamma[0] == Approx(-2.449030593).epsilon(1e-9));
  CHECK(g.gamma[1] == Approx(2.037981089).epsilon(1e-9));
  CHECK(g.beta[0] == Approx(2));
  CHECK(g.beta[1] == Approx(2.5));
}

TEST_CASE("Axes and sizes that do not fit are refused; empty tensors are not", "[batch_norm]") {
  const std::vector<Index> negative{-1, 0};
  CHECK(bn::resolve_axes(negative, 3) == std::vector<Index>{0, 2});
  CHECK_THROWS_WITH(bn::resolve_axes(std::vector<Index>{3}, 3), ContainsSubstring("Invalid axis: 3"));
  CHECK_THROWS_WITH(bn::resolve_axes(std::vector<Index>{-4}, 3), ContainsSubstring("Invalid axis: -4"));
  CHECK_THROWS_WITH(bn::resolve_axes(std::vector<Index>{1, -2}, 3), ContainsSubstring("Duplicate axis: -2"));
  CHECK(bn::other_axes(std::vector<Index>{1}, 4) == std::vector<Index>{0, 2, 3});

  const std::vector<Index> kept{1};
  std::vector<double> x(6), out(6);
  const TensorView<const double> in(x.data(), {3, 2});
  const std::vector<double> two{1, 1}, three{1, 1, 1}, zero{0, 0};
  CHECK_THROWS_WITH(bn::normalize<double>(in, kept, {two, three, {}, {}, 0.1}, TensorView<double>(out.data(), {3, 2})),
                    ContainsSubstring("expected 2 means and variances, got 2 and 3"));
  CHECK_THROWS_WITH(bn::normalize<double>(in, kept, {two, two, three, {}, 0.1}, TensorView<double>(out.data(), {3, 2})),
                    ContainsSubstring("gamma has 3 values for 2 channels"));
  CHECK_THROWS_WITH(bn::normalize<double>(in, kept, {two, two, {}, {}, 0.1}, TensorView<double>(out.data(), {2, 3})),
                    ContainsSubstring("shapes (3, 2) and (2, 3) differ"));
  CHECK_THROWS_WITH(bn::normalize<double>(in, kept, {two, zero, {}, {}, 0}, TensorView<double>(out.data(), {3, 2})),
                    ContainsSubstring("variance + epsilon must be positive"));
  CHECK_THROWS_WITH(bn::denormalize<double>(in, kept, {two, two, zero, {}, 0}, TensorView<double>(out.data(), {3, 2})),
                    ContainsSubstring("gamma is 0 in channel 0"));
  const bn::Moments m = bn::moments<double>(TensorView<const double>(x.data(), {0, 2}), kept);
  CHECK(m.count == 0);
  CHECK(m.mean == zero);
}
