// The functional forms of batch normalisation: TensorFlow's primitives and Aesara's functions, against closed forms,
// central differences and the systems' own numbers.

#include <algorithm>
#include <cmath>
#include <map>
#include <pushforward/ports/aesara.hpp>
#include <pushforward/ports/tf_nn.hpp>
#include <pushforward/error.hpp>
#include <pushforward/random.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/catch.hpp"
#include "tests/oracle.hpp"

using namespace pushforward;
namespace bn = pushforward::batch_norm;
namespace tf_nn = pushforward::batch_norm::tf_nn;
namespace aesara = pushforward::batch_norm::aesara;
using Catch::Matchers::ContainsSubstring;

namespace {

using Shape = std::vector<Index>;
template <Scalar T>
using Tensors = std::vector<Tensor<T>>;

std::string text(const Shape& shape) {
  std::string s;
  for (const Index n : shape) s += (s.empty() ? "" : " x ") + std::to_string(n);
  return "(" + s + ")";
}

/// Multiples of 1/64, which both scalars hold. Positive ones are at least 0.5.
Tensor<double> numbers(const Shape& shape, std::uint64_t seed, bool positive = false) {
  Tensor<double> t(shape);
  if (t.size() > 0) Engine(seed).next_call().normal(0, t.size(), 1, t.data(), t.size());
  for (double& v : t.values()) v = std::round(64 * (positive ? std::abs(v) + 0.5 : v)) / 64;
  return t;
}

template <Scalar T, Scalar U>
Tensor<T> cast(const Tensor<U>& t) {
  Tensor<T> result(t.shape());
  std::transform(t.data(), t.data() + t.size(), result.data(), [](U v) { return static_cast<T>(v); });
  return result;
}
template <Scalar T, Scalar U>
Tensors<T> cast(const Tensors<U>& ts) {
  Tensors<T> result;
  for (const Tensor<U>& t : ts) result.push_back(cast<T>(t));
  return result;
}

void check_close(const Tensor<double>& got, const Tensor<double>& expected, double tolerance) {
  REQUIRE(got.shape() == expected.shape());
  for (Index i = 0; i < got.size(); ++i) CHECK(got[i] == Approx(expected[i]).epsilon(tolerance).margin(tolerance));
}

Shape with_ones(const Shape& shape, const std::vector<Index>& axes) {
  Shape result = shape;
  for (const Index axis : axes) result[static_cast<std::size_t>(axis)] = 1;
  return result;
}
Shape without(const Shape& shape, const std::vector<Index>& axes) {
  Shape result;
  for (const Index axis : bn::other_axes(axes, static_cast<Index>(shape.size())))
    result.push_back(shape[static_cast<std::size_t>(axis)]);
  return result;
}
/// The index, in row-major order of the kept axes, of element i.
std::size_t channel_of(Index i, const Shape& shape, const std::vector<Index>& axes) {
  Index channel = 0, step = 1;
  for (std::size_t a = shape.size(); a-- > 0;) {
    const Index at = i % shape[a];
    i /= shape[a];
    if (std::find(axes.begin(), axes.end(), static_cast<Index>(a)) != axes.end()) continue;
    channel += at * step;
    step *= shape[a];
  }
  return static_cast<std::size_t>(channel);
}

/// A function of tensors with its backward pass: gradients by central differences of a sum of all outputs with random
/// weights; both passes in float against double.
template <class F>
void check_function(const F& f, const Tensors<double>& inputs) {
  const Tensors<double> outputs = f(inputs);
  Tensors<double> weights;
  for (const Tensor<double>& out : outputs) weights.push_back(numbers(out.shape(), 90 + weights.size()));
  const Tensors<double> gradients = f.backward(inputs, weights);
  REQUIRE(gradients.size() == inputs.size());
  const auto loss = [&](const Tensors<double>& at) {
    const Tensors<double> y = f(at);
    double sum = 0;
    for (std::size_t k = 0; k < y.size(); ++k)
      for (Index i = 0; i < y[k].size(); ++i) sum += weights[k][i] * y[k][i];
    return sum;
  };
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    INFO("input " << k);
    REQUIRE(gradients[k].shape() == inputs[k].shape());
    for (Index i = 0; i < inputs[k].size(); ++i) {
      const double h = 1e-5;
      Tensors<double> up = inputs, down = inputs;
      up[k][i] += h;
      down[k][i] -= h;
      CHECK(gradients[k][i] == Approx((loss(up) - loss(down)) / (2 * h)).epsilon(1e-6).margin(1e-6));
    }
  }
  const Tensors<float> narrow = cast<float>(inputs);
  const Tensors<float> float_outputs = f(narrow), float_gradients = f.backward(narrow, cast<float>(weights));
  for (std::size_t k = 0; k < outputs.size(); ++k) check_close(cast<double>(float_outputs[k]), outputs[k], 1e-5);
  for (std::size_t k = 0; k < inputs.size(); ++k) check_close(cast<double>(float_gradients[k]), gradients[k], 1e-5);
}

struct Case {
  Shape shape;
  std::vector<Index> axes;
};
const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {{6, 3}, {0}},
      {{5, 2, 3}, {0}},
      {{5, 2, 3}, {0, 2}},
      {{4, 3, 2, 2}, {0, 2, 3}},
      {{3, 2, 2, 3}, {0, 1, 2}},
      {{2, 3, 2, 1, 2}, {0, 3}},
      {{3, 2, 2, 1, 2}, {0, 2, 3, 4}},
      {{4, 3}, {0, 1}},
  };
  return all;
}
std::string text(const Case& c) { return text(c.shape) + " over " + text(c.axes); }

// ------------------------------------------------------------------------------------------------- tf.nn as functions

/// Inputs x, mean, variance and, where they are there, offset and scale.
struct TfNormalization {
  bool offset = true, scale = true;
  double epsilon = 0.1;
  template <Scalar T>
  struct Optional {
    TensorView<const T> offset, scale;
  };
  template <Scalar T>
  Optional<T> optional(const Tensors<T>& in) const {
    Optional<T> o;
    if (offset) o.offset = in[3].view();
    if (scale) o.scale = in[offset ? 4 : 3].view();
    return o;
  }
  template <Scalar T>
  Tensors<T> operator()(const Tensors<T>& in) const {
    const Optional<T> o = optional(in);
    return {tf_nn::batch_normalization(in[0].view(), in[1].view(), in[2].view(), o.offset, o.scale, epsilon)};
  }
  template <Scalar T>
  Tensors<T> backward(const Tensors<T>& in, const Tensors<T>& dy) const {
    const Optional<T> o = optional(in);
    const tf_nn::Gradients<T> g = tf_nn::batch_normalization_backward(in[0].view(), in[1].view(), in[2].view(),
                                                                      o.offset, o.scale, epsilon, dy[0].view());
    Tensors<T> result{g.x, g.mean, g.variance};
    if (offset) result.push_back(g.offset);
    if (scale) result.push_back(g.scale);
    CHECK((offset || g.offset.size() == 0));
    CHECK((scale || g.scale.size() == 0));
    return result;
  }
};

struct TfMoments {
  std::vector<Index> axes;
  bool keepdims;
  template <Scalar T>
  Tensors<T> operator()(const Tensors<T>& in) const {
    const tf_nn::Moments<T> m = tf_nn::moments(in[0].view(), axes, keepdims);
    return {m.mean, m.variance};
  }
  template <Scalar T>
  Tensors<T> backward(const Tensors<T>& in, const Tensors<T>& d) const {
    return {tf_nn::moments_backward(in[0].view(), axes, d[0].view(), d[1].view())};
  }
};

/// Inputs x and weights.
struct TfWeightedMoments {
  std::vector<Index> axes;
  template <Scalar T>
  Tensors<T> operator()(const Tensors<T>& in) const {
    const tf_nn::Moments<T> m = tf_nn::weighted_moments(in[0].view(), axes, in[1].view());
    return {m.mean, m.variance};
  }
  template <Scalar T>
  Tensors<T> backward(const Tensors<T>& in, const Tensors<T>& d) const {
    const tf_nn::WeightedGradients<T> g =
        tf_nn::weighted_moments_backward(in[0].view(), axes, in[1].view(), d[0].view(), d[1].view());
    return {g.x, g.frequency_weights};
  }
};

// ------------------------------------------------------------------------------------------------ Aesara as functions

struct AesaraTrain {
  aesara::Axes axes;
  double epsilon = 0.1;
  template <Scalar T>
  Tensors<T> operator()(const Tensors<T>& in) const {
    const aesara::Trained<T> t =
        aesara::batch_normalization_train(in[0].view(), in[1].view(), in[2].view(), {.axes = axes, .epsilon = epsilon});
    CHECK_FALSE(t.running_mean);
    CHECK_FALSE(t.running_var);
    return {t.out, t.mean, t.invstd};
  }
  template <Scalar T>
  Tensors<T> backward(const Tensors<T>& in, const Tensors<T>& d) const {
    const Tensors<T> out = (*this)(in);
    const aesara::TrainGradients<T> g = aesara::batch_normalization_train_backward(
        in[0].view(), in[1].view(), out[1].view(), out[2].view(), {d[0].view(), d[1].view(), d[2].view()}, axes);
    return {g.x, g.gamma, g.beta};
  }
};

/// Inputs x, dy, gamma, mean, invstd, all independent.
struct AesaraTrainGrad {
  aesara::Axes axes;
  template <Scalar T>
  Tensors<T> operator()(const Tensors<T>& in) const {
    const aesara::TrainGradients<T> g = aesara::batch_normalization_train_grad(in[0].view(), in[1].view(), in[2].view(),
                                                                               in[3].view(), in[4].view(), axes);
    return {g.x, g.gamma, g.beta};
  }
  template <Scalar T>
  Tensors<T> backward(const Tensors<T>& in, const Tensors<T>& d) const {
    const aesara::TrainGradGradients<T> g =
        aesara::batch_normalization_train_grad_backward(in[0].view(), in[1].view(), in[2].view(), in[3].view(),
                                                        in[4].view(), {d[0].view(), d[1].view(), d[2].view()}, axes);
    return {g.x, g.dy, g.gamma, g.mean, g.invstd};
  }
};

struct AesaraTest {
  aesara::Axes axes;
  double epsilon = 0.1;
  template <Scalar T>
  Tensors<T> operator()(const Tensors<T>& in) const {
    return {aesara::batch_normalization_test(in[0].view(), in[1].view(), in[2].view(), in[3].view(), in[4].view(), axes,
                                             epsilon)};
  }
  template <Scalar T>
  Tensors<T> backward(const Tensors<T>& in, const Tensors<T>& d) const {
    const aesara::TestGradients<T> g = aesara::batch_normalization_test_backward(
        in[0].view(), in[1].view(), in[2].view(), in[3].view(), in[4].view(), d[0].view(), axes, epsilon);
    return {g.x, g.gamma, g.beta, g.mean, g.var};
  }
};

struct AesaraElementwise {
  aesara::Mode mode;
  template <Scalar T>
  Tensors<T> operator()(const Tensors<T>& in) const {
    return {
        aesara::batch_normalization(in[0].view(), in[1].view(), in[2].view(), in[3].view(), in[4].view(), mode).out};
  }
  template <Scalar T>
  Tensors<T> backward(const Tensors<T>& in, const Tensors<T>& d) const {
    const aesara::Normalized<T> forward =
        aesara::batch_normalization(in[0].view(), in[1].view(), in[2].view(), in[3].view(), in[4].view(), mode);
    CHECK(forward.standardized.has_value() == (mode == aesara::Mode::high_mem));
    const aesara::NormalizedGradients<T> g = aesara::batch_normalization_backward(
        in[0].view(), in[1].view(), in[2].view(), in[3].view(), in[4].view(), forward, d[0].view());
    return {g.x, g.gamma, g.beta, g.mean, g.std};
  }
};

}  // namespace

// ----------------------------------------------------------------------------------------------------------- tf.nn

TEST_CASE("tf.nn.batch_normalization: closed form and gradients for every layout of the parameters", "[tf_nn]") {
  struct Layout {
    Shape shape, mean, variance, offset, scale;
  };
  const std::vector<Layout> layouts = {
      {{6, 3}, {3}, {3}, {3}, {3}},
      {{6, 3}, {1, 3}, {3}, {1, 3}, {1}},                             // both layouts at once
      {{4, 2, 3}, {1, 2, 1}, {1, 2, 1}, {1, 2, 1}, {1, 2, 1}},        // channels in the middle
      {{3, 2, 2, 2}, {2}, {1, 1, 1, 2}, {1, 2, 1, 1}, {1, 1, 1, 1}},  // each varies along other axes
      {{2, 2, 2, 1, 2}, {1, 2, 1, 1, 2}, {1, 2, 1, 1, 2}, {2}, {2, 1, 1, 1, 1}},
      {{3, 2}, {}, {}, {}, {}},            // numbers
      {{3, 2}, {3, 2}, {3, 2}, {2}, {2}},  // one for each element
  };
  for (const Layout& l : layouts) {
    const Tensors<double> all = {numbers(l.shape, 1), numbers(l.mean, 2), numbers(l.variance, 3, true),
                                 numbers(l.offset, 4), numbers(l.scale, 5)};
    INFO(text(l.shape) << ", mean " << text(l.mean));
    check_function(TfNormalization{}, all);
    check_function(TfNormalization{true, false}, {all[0], all[1], all[2], all[3]});
    check_function(TfNormalization{false, true}, {all[0], all[1], all[2], all[4]});
    check_function(TfNormalization{false, false}, {all[0], all[1], all[2]});

    const auto value = [&](std::size_t which, Index i) {  // of the parameter, for element i
      Index at = 0, step = 1;
      Shape own = all[which].shape();
      while (own.size() < l.shape.size()) own.insert(own.begin(), 1);
      for (std::size_t a = own.size(); a-- > 0; i /= l.shape[a]) {
        if (own[a] > 1) at += i % l.shape[a] * step;
        step *= own[a];
      }
      return all[which][at];
    };
    const Tensors<double> y = TfNormalization{}(all), bare = TfNormalization{false, false}(Tensors<double>(all));
    for (Index i = 0; i < all[0].size(); ++i) {
      const double unit = (all[0][i] - value(1, i)) / std::sqrt(value(2, i) + 0.1);
      CHECK(y[0][i] == Approx(unit * value(4, i) + value(3, i)).margin(1e-13));
      CHECK(bare[0][i] == Approx(unit).margin(1e-13));
    }
  }
}

TEST_CASE("tf.nn.moments: plain loops, both layouts, gradients", "[tf_nn]") {
  for (const Case& c : cases())
    for (const bool keepdims : {true, false}) {
      INFO(text(c));
      const Tensor<double> x = numbers(c.shape, 1);
      const tf_nn::Moments<double> m = tf_nn::moments(x.view(), c.axes, keepdims);
      const Shape shape = keepdims ? with_ones(c.shape, c.axes) : without(c.shape, c.axes);
      REQUIRE(m.mean.shape() == shape);
      const double count = static_cast<double>(x.size()) / static_cast<double>(m.mean.size());
      std::vector<double> mean(static_cast<std::size_t>(m.mean.size())), variance(mean.size());
      for (Index i = 0; i < x.size(); ++i) mean[channel_of(i, c.shape, c.axes)] += x[i] / count;
      for (Index i = 0; i < x.size(); ++i) {
        const std::size_t k = channel_of(i, c.shape, c.axes);
        variance[k] += (x[i] - mean[k]) * (x[i] - mean[k]) / count;
      }
      for (std::size_t k = 0; k < mean.size(); ++k) {
        CHECK(m.mean.values()[k] == Approx(mean[k]).margin(1e-14));
        CHECK(m.variance.values()[k] == Approx(variance[k]).margin(1e-14));
      }
      check_function(TfMoments{c.axes, keepdims}, {x});

      // One adjoint, in the other layout.
      const Tensor<double> d = numbers(keepdims ? without(c.shape, c.axes) : with_ones(c.shape, c.axes), 2);
      const Tensor<double> none(m.mean.shape()), same = tf_nn::moments_backward(x.view(), c.axes, {}, d.view());
      Tensor<double> reshaped(m.mean.shape());
      std::copy_n(d.data(), d.size(), reshaped.data());
      check_close(same, tf_nn::moments_backward(x.view(), c.axes, none.view(), std::as_const(reshaped).view()), 1e-14);
    }
  const Tensor<double> x = numbers({4, 3}, 1);
  CHECK(tf_nn::moments(x.view(), {-2}).mean == tf_nn::moments(x.view(), {0}).mean);
  CHECK(tf_nn::moments(x.view(), {}).mean == x);  // an average of one value each
}

TEST_CASE("tf.nn: the training recipe has the gradient of batch normalisation", "[tf_nn]") {
  for (const Case& c : cases()) {
    INFO(text(c));
    const Shape full = with_ones(c.shape, c.axes);
    const Tensor<double> x = numbers(c.shape, 1), gamma = numbers(full, 2, true), beta = numbers(full, 3),
                         dy = numbers(c.shape, 4);
    const tf_nn::Moments<double> m = tf_nn::moments(x.view(), c.axes, true);
    const tf_nn::Gradients<double> g = tf_nn::batch_normalization_backward(x.view(), m.mean.view(), m.variance.view(),
                                                                           beta.view(), gamma.view(), 0.01, dy.view());
    const Tensor<double> through = tf_nn::moments_backward(x.view(), c.axes, g.mean.view(), g.variance.view());
    Tensor<double> dx = g.x;
    for (Index i = 0; i < dx.size(); ++i) dx[i] += through[i];

    const aesara::TrainOptions<double> options{.axes = c.axes, .epsilon = 0.01};
    const aesara::Trained<double> t = aesara::batch_normalization_train(x.view(), gamma.view(), beta.view(), options);
    check_close(tf_nn::batch_normalization(x.view(), m.mean.view(), m.variance.view(), beta.view(), gamma.view(), 0.01),
                t.out, 1e-13);
    const aesara::TrainGradients<double> expected = aesara::batch_normalization_train_backward(
        x.view(), gamma.view(), t.mean.view(), t.invstd.view(), {dy.view()}, c.axes);
    check_close(dx, expected.x, 1e-12);
    check_close(g.scale, expected.gamma, 1e-12);
    check_close(g.offset, expected.beta, 1e-12);
  }
}

TEST_CASE("tf.nn.weighted_moments", "[tf_nn]") {
  for (const Case& c : cases())
    for (const Shape& weights_shape : {c.shape, with_ones(c.shape, c.axes), Shape{c.shape.back()}, Shape{}}) {
      INFO(text(c) << ", weights " << text(weights_shape));
      const Tensor<double> x = numbers(c.shape, 1), w = numbers(weights_shape, 2, true);
      const Tensor<double> ones(c.shape, 1);
      check_function(TfWeightedMoments{c.axes}, {x, w});
      const auto weight = [&](Index i) {  // these shapes are prefixes with 1s or suffixes
        if (weights_shape == c.shape) return w[i];
        if (weights_shape.size() == c.shape.size()) return w[static_cast<Index>(channel_of(i, c.shape, c.axes))];
        return w[i % w.size()];
      };
      for (const bool keepdims : {true, false}) {
        const tf_nn::Moments<double> m = tf_nn::weighted_moments(x.view(), c.axes, w.view(), keepdims);
        REQUIRE(m.mean.shape() == (keepdims ? with_ones(c.shape, c.axes) : without(c.shape, c.axes)));
        REQUIRE(m.variance.shape() == m.mean.shape());
        std::vector<double> total(static_cast<std::size_t>(m.mean.size())), mean(total), variance(total);
        for (Index i = 0; i < x.size(); ++i) {
          total[channel_of(i, c.shape, c.axes)] += weight(i);
          mean[channel_of(i, c.shape, c.axes)] += weight(i) * x[i];
        }
        for (Index i = 0; i < x.size(); ++i) {
          const std::size_t k = channel_of(i, c.shape, c.axes);
          variance[k] += weight(i) * std::pow(x[i] - mean[k] / total[k], 2) / total[k];
        }
        for (std::size_t k = 0; k < mean.size(); ++k) {
          CHECK(m.mean.values()[k] == Approx(mean[k] / total[k]).margin(1e-13));
          CHECK(m.variance.values()[k] == Approx(variance[k]).margin(1e-13));
        }
        const Tensor<float> xf = cast<float>(x), wf = cast<float>(w);
        const tf_nn::Moments<float> mf = tf_nn::weighted_moments(xf.view(), c.axes, wf.view(), keepdims);
        check_close(cast<double>(mf.mean), m.mean, 1e-5);
        check_close(cast<double>(mf.variance), m.variance, 1e-5);
        const tf_nn::Moments<double> plain = tf_nn::moments(x.view(), c.axes, keepdims),
                                     same = tf_nn::weighted_moments(x.view(), c.axes, ones.view(), keepdims);
        check_close(same.mean, plain.mean, 1e-13);
        check_close(same.variance, plain.variance, 1e-13);
      }
    }
  // A column whose weights are all 0 has no moments; its neighbour has.
  const Tensor<double> x = numbers({3, 2}, 1);
  Tensor<double> w({2}, 0);
  w[1] = 1;
  const tf_nn::Moments<double> m = tf_nn::weighted_moments(x.view(), {0}, std::as_const(w).view());
  CHECK(std::isnan(m.mean[0]));
  CHECK(m.mean[1] == Approx((x(0, 1) + x(1, 1) + x(2, 1)) / 3));
}

TEST_CASE("tf.nn.sufficient_statistics and normalize_moments", "[tf_nn]") {
  for (const Case& c : cases())
    for (const bool keepdims : {true, false})
      for (const bool shifted : {true, false}) {
        INFO(text(c) << (shifted ? ", shifted" : ""));
        const Tensor<double> x = numbers(c.shape, 1), shift = numbers(with_ones(c.shape, c.axes), 2);
        const tf_nn::SufficientStatistics s = tf_nn::sufficient_statistics(
            x.view(), c.axes, shifted ? shift.view() : TensorView<const double>(), keepdims);
        const tf_nn::Moments<double> m = tf_nn::moments(x.view(), c.axes, keepdims);
        REQUIRE(s.sum.shape() == m.mean.shape());
        CHECK(s.count == Approx(static_cast<double>(x.size()) / static_cast<double>(m.mean.size())));
        CHECK(s.shift.has_value() == shifted);
        std::vector<double> sum(static_cast<std::size_t>(s.sum.size())), squares(sum);
        for (Index i = 0; i < x.size(); ++i) {
          const std::size_t k = channel_of(i, c.shape, c.axes);
          const double d = x[i] - (shifted ? shift.values()[k] : 0.0);
          sum[k] += d;
          squares[k] += d * d;
        }
        for (std::size_t k = 0; k < sum.size(); ++k) {
          CHECK(s.sum.values()[k] == Approx(sum[k]).margin(1e-12));
          CHECK(s.sum_of_squares.values()[k] == Approx(squares[k]).margin(1e-12));
          if (shifted) CHECK(s.shift->values()[k] == shift.values()[k]);
        }
        const tf_nn::Moments<double> back = tf_nn::normalize_moments<double>(s);
        check_close(back.mean, m.mean, 1e-13);
        check_close(back.variance, m.variance, 1e-13);
        const Tensor<float> xf = cast<float>(x), shift_f = cast<float>(shift);
        const tf_nn::Moments<float> narrow = tf_nn::normalize_moments<float>(tf_nn::sufficient_statistics(
            xf.view(), c.axes, shifted ? shift_f.view() : TensorView<const float>(), keepdims));
        check_close(cast<double>(narrow.mean), m.mean, 1e-6);
        check_close(cast<double>(narrow.variance), m.variance, 1e-6);
      }
  // Statistics of parts add up.
  const Tensor<double> x = numbers({6, 2}, 1);
  tf_nn::SufficientStatistics a = tf_nn::sufficient_statistics(TensorView<const double>(x.data(), {2, 2}), {0});
  const tf_nn::SufficientStatistics b =
      tf_nn::sufficient_statistics(TensorView<const double>(x.data() + 4, {4, 2}), {0});
  a.count += b.count;
  for (Index c = 0; c < 2; ++c) a.sum[c] += b.sum[c], a.sum_of_squares[c] += b.sum_of_squares[c];
  check_close(tf_nn::normalize_moments<double>(a).variance, tf_nn::moments(x.view(), {0}).variance, 1e-14);
}

TEST_CASE("tf.nn: views with any strides are read where they lie", "[tf_nn]") {
  const Tensor<double> stored = numbers({2, 4, 3}, 1);  // of x transposed: x is (3, 4, 2)
  const TensorView<const double> x(stored.data(), {3, 4, 2}, {1, 3, 12});
  Tensor<double> dense({3, 4, 2});
  for (Index i = 0; i < 3; ++i)
    for (Index j = 0; j < 4; ++j)
      for (Index k = 0; k < 2; ++k) dense[(i * 4 + j) * 2 + k] = stored[(k * 4 + j) * 3 + i];
  const TensorView<const double> same = std::as_const(dense).view();
  const Tensor<double> mean = numbers({4, 1}, 2), variance = numbers({1, 4, 1}, 3, true),
                       w = numbers({3, 4, 1}, 4, true);
  const Tensor<double> y = tf_nn::batch_normalization(x, mean.view(), variance.view(), {}, mean.view(), 0.1);
  CHECK(y == tf_nn::batch_normalization(same, mean.view(), variance.view(), {}, mean.view(), 0.1));
  check_close(tf_nn::moments(x, {0, 2}).variance, tf_nn::moments(same, {0, 2}).variance, 1e-14);
  check_close(tf_nn::weighted_moments(x, {0, 2}, w.view()).variance,
              tf_nn::weighted_moments(same, {0, 2}, w.view()).variance, 1e-14);
  Tensor<double> out = dense;  // in place
  tf_nn::batch_normalization_into(same, mean.view(), variance.view(), {}, mean.view(), 0.1, dense.view());
  CHECK(dense == y);
  CHECK(out != y);
  // Nothing to normalise.
  const Tensor<double> empty({0, 3}), three({3}, 1);
  CHECK(tf_nn::batch_normalization(empty.view(), three.view(), three.view(), {}, {}, 0.1).shape() == Shape{0, 3});
  CHECK(tf_nn::moments(empty.view(), {0}).mean.shape() == Shape{3});
}

TEST_CASE("Moving averages", "[tf_nn]") {
  for (const Shape& shape : {Shape{}, Shape{3}, Shape{1, 2, 1}, Shape{2, 3, 2, 2}}) {
    Tensor<double> plain = numbers(shape, 1), debiased = plain;
    const Tensor<double> start = plain;
    tf_nn::ZeroDebias<double> state;
    std::vector<double> biased(static_cast<std::size_t>(plain.size()), 0.0),
        average(plain.values().begin(), plain.values().end());
    for (int t = 1; t <= 4; ++t) {
      const Tensor<double> value = numbers(shape, 10 + static_cast<std::uint64_t>(t));
      tf_nn::assign_biased_moving_average(plain, value.view(), 0.9);
      tf_nn::assign_moving_average(debiased, value.view(), 0.9, state);
      for (std::size_t i = 0; i < biased.size(); ++i) {
        average[i] = 0.9 * average[i] + 0.1 * value.values()[i];
        biased[i] = 0.9 * biased[i] + 0.1 * value.values()[i];
        CHECK(plain.values()[i] == Approx(average[i]).margin(1e-14));
        CHECK(debiased.values()[i] == Approx(biased[i] / (1 - std::pow(0.9, t))).margin(1e-14));
        if (t == 1) CHECK(debiased.values()[i] == Approx(value.values()[i]));
      }
      CHECK(state.step == t);
    }
  }
  // reference: updates 3 and 5 with decay 0.99
  Tensor<double> v({1}, 1);
  tf_nn::ZeroDebias<double> state;
  const Tensor<double> three({1}, 3), five({1}, 5);
  tf_nn::assign_moving_average(v, three.view(), 0.99, state);
  CHECK(v[0] == Approx(3));
  tf_nn::assign_moving_average(v, five.view(), 0.99, state);
  CHECK(v[0] == Approx(4.0050251256).epsilon(1e-10));
  tf_nn::assign_biased_moving_average(v, three.view(), 1);  // nothing new
  CHECK(v[0] == Approx(4.0050251256).epsilon(1e-10));
  tf_nn::assign_biased_moving_average(v, three.view(), 0);  // nothing old
  CHECK(v[0] == 3);
}

TEST_CASE("weighted_moving_average", "[tf_nn]") {
  struct Layout {
    Shape value, weight;
  };
  for (const Layout& l : {Layout{{3}, {}}, Layout{{2, 3}, {3}}, Layout{{2, 3, 2}, {2, 1, 1}}, Layout{{2, 2}, {2, 2}}}) {
    tf_nn::WeightedAverage<double> state;
    tf_nn::WeightedAverage<float> float_state;
    std::vector<double> top, bottom;
    for (std::uint64_t t = 0; t < 4; ++t) {
      const Tensor<double> value = numbers(l.value, 10 + t), weight = numbers(l.weight, 20 + t, true);
      const Tensor<double> got = tf_nn::weighted_moving_average(state, value.view(), 0.8, weight.view());
      top.resize(static_cast<std::size_t>(value.size()), 0.0);
      bottom.resize(top.size(), 0.0);
      for (std::size_t i = 0; i < top.size(); ++i) {
        const std::size_t n = static_cast<std::size_t>(weight.size());
        const double w = weight.values()[l.weight == Shape{2, 1, 1} ? i / 6 : i % n];
        top[i] = 0.8 * top[i] + 0.2 * w * value.values()[i];
        bottom[i] = 0.8 * bottom[i] + 0.2 * w;
        CHECK(got.values()[i] == Approx(top[i] / bottom[i]).margin(1e-13));
      }
      const Tensor<float> value_f = cast<float>(value), weight_f = cast<float>(weight);
      check_close(cast<double>(tf_nn::weighted_moving_average(float_state, value_f.view(), 0.8, weight_f.view())), got,
                  1e-5);
    }
  }
}

TEST_CASE("ExponentialMovingAverage", "[tf_nn]") {
  for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 2, 2}}) {
    tf_nn::ExponentialMovingAverage<double> ema(0.9), debiased(0.9, {}, true);
    Tensor<double> variable, zero(shape), biased(shape);
    for (std::uint64_t t = 1; t <= 3; ++t) {
      const Tensor<double> value = numbers(shape, t);
      if (t == 1) variable = value;
      ema.apply("w", value.view());
      ema.apply("loss", value.view(), tf_nn::Start::zero);
      debiased.apply("w", value.view());
      debiased.apply("loss", value.view(), tf_nn::Start::zero);
      for (Index i = 0; i < value.size(); ++i) {
        variable[i] = 0.9 * variable[i] + 0.1 * value[i];
        zero[i] = 0.9 * zero[i] + 0.1 * value[i];
        biased[i] = zero[i] / (1 - std::pow(0.9, static_cast<double>(t)));
      }
      check_close(ema.average("w"), variable, 1e-14);
      check_close(ema.average("loss"), zero, 1e-14);
      check_close(debiased.average("w"), variable, 1e-14);  // starts at the value: no bias to take away
      check_close(debiased.average("loss"), biased, 1e-14);
    }
    const tf_nn::ExponentialMovingAverage<double> copy = ema;
    ema.apply("w", std::as_const(zero).view());
    check_close(copy.average("w"), variable, 1e-14);
  }
  tf_nn::ExponentialMovingAverage<double> ema(0.9, 0);
  CHECK(ema.decay() == Approx(0.1));
  ema.set_num_updates(5);
  CHECK(ema.decay() == Approx(0.4));
  ema.set_num_updates(1000);
  CHECK(ema.decay() == 0.9);
  CHECK_THROWS_WITH(ema.average("w"), ContainsSubstring("no average of 'w'"));
  const Tensor<double> two({2}), three({3});
  ema.apply("a", two.view());
  ema.apply("b", two.view());
  CHECK_THROWS_WITH(ema.average("w"), ContainsSubstring("there are: 'a', 'b'"));
  CHECK_THROWS_AS(ema.apply("a", three.view()), ShapeError);
  CHECK_THROWS_WITH(ema.set_num_updates(-1), ContainsSubstring("num_updates must not be negative"));
  CHECK_THROWS_WITH(tf_nn::ExponentialMovingAverage<double>(1.5), ContainsSubstring("decay must be in [0, 1]"));
  CHECK_THROWS_WITH(tf_nn::ExponentialMovingAverage<double>(1, {}, true), ContainsSubstring("decay must be in [0, 1)"));
}

TEST_CASE("tf.nn: what does not fit is refused", "[tf_nn]") {
  const Tensor<double> x = numbers({4, 3}, 1), two({2}, 1), three({3}, 1), deep({1, 1, 3}, 1), none({3}, 0);
  const auto call = [&](const Tensor<double>& mean, const Tensor<double>& variance, double epsilon) {
    return tf_nn::batch_normalization(x.view(), mean.view(), variance.view(), {}, {}, epsilon);
  };
  CHECK_THROWS_AS(call(two, three, 0.1), ShapeError);
  CHECK_THROWS_WITH(call(two, three, 0.1), ContainsSubstring("mean of shape (2,) does not broadcast against (4, 3)"));
  CHECK_THROWS_WITH(call(three, deep, 0.1),
                    ContainsSubstring("variance of shape (1, 1, 3) does not broadcast against (4, 3)"));
  CHECK_THROWS_AS(call(three, none, 0), DomainError);
  CHECK_THROWS_WITH(call(three, none, 0), ContainsSubstring("variance + epsilon must be positive"));
  CHECK_THROWS_WITH(tf_nn::batch_normalization(x.view(), three.view(), {}, {}, {}, 0.1),
                    ContainsSubstring("expected 3 means and variances, got 3 and 0"));
  CHECK_THROWS_WITH(tf_nn::moments(x.view(), {2}), ContainsSubstring("Invalid axis: 2"));
  CHECK_THROWS_WITH(tf_nn::moments(x.view(), {0, -2}), ContainsSubstring("Duplicate axis: -2"));
  CHECK_THROWS_WITH(tf_nn::moments_backward(x.view(), {0}, two.view(), {}),
                    ContainsSubstring("dmean: expected shape (1, 3) or (3,), got (2,)"));
  CHECK_THROWS_WITH(tf_nn::weighted_moments(x.view(), {0}, two.view()), ContainsSubstring("weights of shape (2,)"));
  CHECK_THROWS_WITH(tf_nn::weighted_moments(x.view(), {0}, {}), ContainsSubstring("frequency_weights is missing"));
  CHECK_THROWS_WITH(tf_nn::sufficient_statistics(x.view(), {1}, three.view()),
                    ContainsSubstring("shift of shape (3,) varies along axis 1"));
  CHECK_THROWS_WITH(tf_nn::normalize_moments<double>({}), ContainsSubstring("count must be positive"));
  CHECK_THROWS_AS(tf_nn::normalize_moments<double>({1, two, three, {}}), ShapeError);
  CHECK_THROWS_AS(tf_nn::normalize_moments<double>({1, two, two, three}), ShapeError);
  Tensor<double> variable({3});
  tf_nn::ZeroDebias<double> state;
  CHECK_THROWS_AS(tf_nn::assign_biased_moving_average(variable, two.view(), 0.9), ShapeError);
  CHECK_THROWS_WITH(tf_nn::assign_biased_moving_average(variable, three.view(), -0.1), ContainsSubstring("got -0.1"));
  CHECK_THROWS_WITH(tf_nn::assign_moving_average(variable, three.view(), 1, state),
                    ContainsSubstring("decay must be in [0, 1)"));
  CHECK_THROWS_AS(tf_nn::assign_moving_average(variable, two.view(), 0.9, state), ShapeError);
  CHECK(state.step == 0);
  tf_nn::WeightedAverage<double> average;
  CHECK_THROWS_WITH(tf_nn::weighted_moving_average(average, three.view(), 0.9, two.view()),
                    ContainsSubstring("weight of shape (2,)"));
}

// ----------------------------------------------------------------------------------------------------------- Aesara

TEST_CASE("Aesara: axes by name and as lists", "[aesara]") {
  using aesara::Axes;
  CHECK(Axes::per_activation().resolve(4) == Shape{0});
  CHECK(Axes::spatial().resolve(4) == Shape{0, 2, 3});
  CHECK(Axes::spatial().resolve(5) == Shape{0, 2, 3, 4});
  CHECK(Axes::spatial().resolve(2) == Shape{0});
  CHECK(Axes::spatial().resolve(1) == Shape{0});
  CHECK(Axes("per-activation").resolve(3) == Shape{0});
  CHECK(Axes("spatial").resolve(3) == Shape{0, 2});
  CHECK(Axes({2, 0}).resolve(3) == Shape{0, 2});
  CHECK_THROWS_WITH(Axes("channels"), ContainsSubstring("invalid axes: channels"));
  CHECK_THROWS_WITH(Axes(Shape{}).resolve(3), ContainsSubstring("there should be at least one normalization axis"));
  CHECK_THROWS_WITH(Axes({0, 3}).resolve(3), ContainsSubstring("axes should be less than ndim (<3), but (0, 3) given"));
  CHECK_THROWS_WITH(Axes({-1}).resolve(3), ContainsSubstring("axes should be less than ndim (<3), but (-1,) given"));
  CHECK_THROWS_WITH(Axes({0, 0}).resolve(3), ContainsSubstring("Duplicate axis: 0"));
}

TEST_CASE("Aesara: training, both layouts, against plain loops", "[aesara]") {
  for (const Case& c : cases())
    for (const bool full : {true, false}) {
      INFO(text(c) << (full ? ", full rank" : ", dropped axes"));
      const Shape shape = full ? with_ones(c.shape, c.axes) : without(c.shape, c.axes);
      const Tensor<double> x = numbers(c.shape, 1), gamma = numbers(shape, 2), beta = numbers(shape, 3),
                           old_mean = numbers(shape, 4), old_var = numbers(shape, 5, true);
      const double f = 0.3, epsilon = 1e-3;
      const aesara::Trained<double> t = aesara::batch_normalization_train(x.view(), gamma.view(), beta.view(),
                                                                          {.axes = c.axes,
                                                                           .epsilon = epsilon,
                                                                           .running_average_factor = f,
                                                                           .running_mean = old_mean.view(),
                                                                           .running_var = old_var.view()});
      const tf_nn::Moments<double> m = tf_nn::moments(x.view(), c.axes, full);  // tested against loops above
      check_close(t.mean, m.mean, 1e-14);
      REQUIRE(t.running_mean);
      REQUIRE(t.running_var);
      REQUIRE(t.running_mean->shape() == shape);
      REQUIRE(t.running_var->shape() == shape);
      REQUIRE(t.invstd.shape() == shape);
      const double count = static_cast<double>(x.size()) / static_cast<double>(gamma.size());
      for (Index k = 0; k < gamma.size(); ++k) {
        CHECK(t.invstd[k] == Approx(1 / std::sqrt(m.variance[k] + epsilon)));
        CHECK((*t.running_mean)[k] == Approx(old_mean[k] * (1 - f) + m.mean[k] * f));
        CHECK((*t.running_var)[k] == Approx(old_var[k] * (1 - f) + count / (count - 1) * m.variance[k] * f));
      }
      for (Index i = 0; i < x.size(); ++i) {
        const Index k = static_cast<Index>(channel_of(i, c.shape, c.axes));
        CHECK(t.out[i] == Approx((x[i] - m.mean[k]) * gamma[k] * t.invstd[k] + beta[k]).margin(1e-12));
      }
    }
  // The fixture that all systems share.
  Tensor<double> y({3, 2});
  const std::vector<double> values{1, 2, 3, 7, 5, 9};
  std::copy(values.begin(), values.end(), y.data());
  const Tensor<double> gamma = Tensor<double>::of({2, 0.5}), beta = Tensor<double>::of({0.1, -0.2}), zero({2}, 0),
                       one({2}, 1);
  const aesara::Trained<double> t =
      aesara::batch_normalization_train(std::as_const(y).view(), gamma.view(), beta.view(),
                                        {.epsilon = 1e-3, .running_mean = zero.view(), .running_var = one.view()});
  CHECK(t.out[0] == Approx(-2.349030593).epsilon(1e-9));
  CHECK(t.out[5] == Approx(0.309495272).epsilon(1e-8));
  CHECK((*t.running_mean)[0] == Approx(0.3));
  CHECK((*t.running_var)[0] == Approx(1.3));
  CHECK((*t.running_var)[1] == Approx(2.2));
}

TEST_CASE("Aesara: gradients of training, of its gradient, of test time", "[aesara]") {
  for (const Case& c : cases())
    for (const bool full : {true, false}) {
      INFO(text(c) << (full ? ", full rank" : ", dropped axes"));
      const Shape shape = full ? with_ones(c.shape, c.axes) : without(c.shape, c.axes);
      const Tensor<double> x = numbers(c.shape, 1), dy = numbers(c.shape, 2), gamma = numbers(shape, 3),
                           beta = numbers(shape, 4), mean = numbers(shape, 5), var = numbers(shape, 6, true);
      check_function(AesaraTrain{c.axes}, {x, gamma, beta});
      check_function(AesaraTrainGrad{c.axes}, {x, dy, gamma, mean, var});  // any positive invstd
      check_function(AesaraTest{c.axes}, {x, gamma, beta, mean, var});

      // With the statistics of x, the operation and the backward pass of `out` are one.
      const aesara::Trained<double> t =
          aesara::batch_normalization_train(x.view(), gamma.view(), beta.view(), {.axes = c.axes});
      const aesara::TrainGradients<double> a = aesara::batch_normalization_train_grad(x.view(), dy.view(), gamma.view(),
                                                                                      t.mean.view(), t.invstd.view(),
                                                                                      c.axes),
                                           b = aesara::batch_normalization_train_backward(
                                               x.view(), gamma.view(), t.mean.view(), t.invstd.view(), {dy.view()},
                                               c.axes);
      check_close(a.x, b.x, 1e-10);
      check_close(a.gamma, b.gamma, 1e-12);
      check_close(a.beta, b.beta, 1e-12);
    }
}

TEST_CASE("Aesara: an adjoint that is absent is 0", "[aesara]") {
  const Tensor<double> x = numbers({5, 3}, 1), dy = numbers({5, 3}, 2), d = numbers({3}, 3), gamma = numbers({3}, 4),
                       beta = numbers({3}, 5), zero({3}), wide({5, 3});
  const aesara::Trained<double> t = aesara::batch_normalization_train(x.view(), gamma.view(), beta.view());
  const auto backward = [&](const aesara::TrainAdjoints<double>& by) {
    return aesara::batch_normalization_train_backward(x.view(), gamma.view(), t.mean.view(), t.invstd.view(), by).x;
  };
  CHECK(backward({dy.view()}) == backward({dy.view(), zero.view(), zero.view()}));
  CHECK(backward({{}, d.view()}) == backward({wide.view(), d.view(), zero.view()}));
  CHECK(backward({{}, {}, d.view()}) == backward({wide.view(), zero.view(), d.view()}));
  const auto second = [&](const aesara::TrainGradAdjoints<double>& by) {
    return aesara::batch_normalization_train_grad_backward(x.view(), dy.view(), gamma.view(), t.mean.view(),
                                                           t.invstd.view(), by);
  };
  const auto same = [](const aesara::TrainGradGradients<double>& a, const aesara::TrainGradGradients<double>& b) {
    CHECK(a.x == b.x);
    CHECK(a.dy == b.dy);
    CHECK(a.gamma == b.gamma);
    CHECK(a.mean == b.mean);
    CHECK(a.invstd == b.invstd);
  };
  same(second({dy.view()}), second({dy.view(), zero.view(), zero.view()}));
  same(second({{}, d.view()}), second({wide.view(), d.view(), zero.view()}));
  same(second({{}, {}, d.view()}), second({wide.view(), zero.view(), d.view()}));
}

TEST_CASE("Aesara: test time against a closed form", "[aesara]") {
  for (const Case& c : cases()) {
    const Shape shape = without(c.shape, c.axes);
    const Tensor<double> x = numbers(c.shape, 1), gamma = numbers(shape, 3), beta = numbers(shape, 4),
                         mean = numbers(shape, 5), var = numbers(shape, 6, true);
    const Tensor<double> y =
        aesara::batch_normalization_test(x.view(), gamma.view(), beta.view(), mean.view(), var.view(), c.axes, 1e-3);
    for (Index i = 0; i < x.size(); ++i) {
      const Index k = static_cast<Index>(channel_of(i, c.shape, c.axes));
      CHECK(y[i] == Approx((x[i] - mean[k]) * gamma[k] / std::sqrt(var[k] + 1e-3) + beta[k]).margin(1e-13));
    }
  }
}

TEST_CASE("Aesara: the element-wise form in both modes", "[aesara]") {
  struct Layout {
    Shape shape, gamma, beta, mean, std;
  };
  const std::vector<Layout> layouts = {
      {{5, 3}, {3}, {3}, {3}, {3}},
      {{4, 2, 3}, {1, 2, 1}, {1, 2, 1}, {1, 2, 1}, {1, 2, 1}},
      {{3, 2, 2, 2}, {1, 2, 1, 1}, {2}, {1, 2, 1, 1}, {1, 1, 1, 1}},
      {{2, 2, 1, 2, 2}, {1, 2, 1, 1, 1}, {1, 2, 1, 1, 1}, {1, 2, 1, 1, 1}, {2, 2, 1, 2, 2}},
  };
  for (const Layout& l : layouts) {
    INFO(text(l.shape));
    Tensors<double> in = {numbers(l.shape, 1), numbers(l.gamma, 2), numbers(l.beta, 3), numbers(l.mean, 4),
                          numbers(l.std, 5, true)};
    in[4][0] *= -1;  // no variance: the sign counts
    check_function(AesaraElementwise{aesara::Mode::low_mem}, in);
    check_function(AesaraElementwise{aesara::Mode::high_mem}, in);
    const AesaraElementwise low{aesara::mode_of("low_mem")}, high{aesara::mode_of("high_mem")};
    const Tensors<double> out = low(in), d = {numbers(l.shape, 6)};
    check_close(high(in)[0], out[0], 1e-13);
    const Tensors<double> a = low.backward(in, d), b = high.backward(in, d);
    for (std::size_t k = 0; k < a.size(); ++k) check_close(a[k], b[k], 1e-12);
    // x[0] meets the first value of each parameter.
    CHECK(out[0][0] == Approx((in[0][0] - in[3][0]) / in[4][0] * in[1][0] + in[2][0]));
  }
}

TEST_CASE("Aesara: what does not fit is refused with Aesara's texts", "[aesara]") {
  const Tensor<double> x = numbers({4, 3, 2}, 1), per_activation = numbers({3, 2}, 2, true), channel({3}, 1),
                       full({1, 3, 2}, 1), wrong({2, 2}, 1);
  const auto view = [](const Tensor<double>& t) { return t.view(); };
  const auto train = [&](const Tensor<double>& gamma, const Tensor<double>& beta,
                         const aesara::TrainOptions<double>& options = {}) {
    return aesara::batch_normalization_train(x.view(), gamma.view(), beta.view(), options);
  };
  CHECK_NOTHROW(train(per_activation, per_activation));
  CHECK_THROWS_AS(train(channel, per_activation), ShapeError);
  CHECK_THROWS_WITH(train(channel, channel),
                    ContainsSubstring("gamma and beta dimensionality must match the number of non-normalized axes, or "
                                      "have the same number of dimensions as the inputs; got 1 and 1 instead of 2"));
  CHECK_THROWS_WITH(train(full, per_activation), ContainsSubstring("got 3 and 2 instead of 3"));
  CHECK_THROWS_WITH(train(wrong, wrong), ContainsSubstring("gamma: expected shape (3, 2), got (2, 2)"));
  CHECK_THROWS_WITH(train(per_activation, wrong), ContainsSubstring("beta: expected shape (3, 2), got (2, 2)"));
  for (const bool mean : {true, false})
    CHECK_THROWS_WITH(train(per_activation, per_activation,
                            {.running_mean = mean ? view(per_activation) : TensorView<const double>(),
                             .running_var = mean ? TensorView<const double>() : view(per_activation)}),
                      ContainsSubstring("running_mean and running_var must either both be given or both be None"));
  CHECK_THROWS_WITH(
      train(per_activation, per_activation, {.running_mean = channel.view(), .running_var = per_activation.view()}),
      ContainsSubstring("running_mean must be of the same dimensionality as gamma and beta; got 1 instead "
                        "of 2"));
  CHECK_THROWS_WITH(
      train(per_activation, per_activation, {.running_mean = per_activation.view(), .running_var = full.view()}),
      ContainsSubstring("running_var must be of the same dimensionality as gamma and beta; got 3 instead "
                        "of 2"));
  CHECK_THROWS_WITH(
      train(per_activation, per_activation, {.running_mean = per_activation.view(), .running_var = wrong.view()}),
      ContainsSubstring("running_var: expected shape (3, 2)"));
  CHECK_THROWS_WITH(train(per_activation, per_activation, {.axes = Shape{}}),
                    ContainsSubstring("there should be at least one normalization axis"));
  CHECK_THROWS_WITH(train(per_activation, per_activation, {.axes = {3}}),
                    ContainsSubstring("axes should be less than ndim (<3), but (3,) given"));
  CHECK_THROWS_AS(train(per_activation, per_activation, {.epsilon = 0.9e-5}), DomainError);
  CHECK_THROWS_WITH(train(per_activation, per_activation, {.epsilon = 0.9e-5}),
                    ContainsSubstring("epsilon must be at least 1e-5, got 9e-06"));
  CHECK_THROWS_WITH(train(per_activation, per_activation, {.running_average_factor = 1.5}),
                    ContainsSubstring("running_average_factor 1.5 is not in [0, 1]"));
  // 1e-5 is enough in double, and less than 1e-5 in float.
  CHECK_NOTHROW(train(per_activation, per_activation, {.epsilon = 1e-5}));
  const Tensor<float> xf = cast<float>(x), pf = cast<float>(per_activation);
  CHECK_THROWS_WITH(aesara::batch_normalization_train(xf.view(), pf.view(), pf.view(), {.epsilon = 1e-5}),
                    ContainsSubstring("epsilon must be at least 1e-5, got 9.9"));

  // Averages over one value: out = beta, but no new running variance.
  const Tensor<double> one = numbers({1, 3, 2}, 1);
  CHECK(aesara::batch_normalization_train(one.view(), full.view(), full.view()).out == full);
  CHECK_THROWS_AS(aesara::batch_normalization_train(one.view(), full.view(), full.view(),
                                                    {.running_mean = full.view(), .running_var = full.view()}),
                  DomainError);
  CHECK_THROWS_WITH(aesara::batch_normalization_train(one.view(), full.view(), full.view(),
                                                      {.running_mean = full.view(), .running_var = full.view()}),
                    ContainsSubstring("m / (m - 1) has no value for averages over m = 1 values"));

  const auto test = [&](const Tensor<double>& gamma, const Tensor<double>& mean, const Tensor<double>& var,
                        double epsilon = 1e-4) {
    return aesara::batch_normalization_test(x.view(), gamma.view(), gamma.view(), mean.view(), var.view(),
                                            aesara::Axes::per_activation(), epsilon);
  };
  CHECK_THROWS_WITH(test(channel, channel, channel), ContainsSubstring("got 1 and 1 instead of 2"));
  CHECK_THROWS_WITH(test(per_activation, channel, full),
                    ContainsSubstring("mean and var must be of the same dimensionality as gamma and beta; got 1 and 3 "
                                      "instead of 2"));
  CHECK_THROWS_WITH(test(per_activation, per_activation, wrong), ContainsSubstring("var: expected shape (3, 2)"));
  CHECK_THROWS_WITH(test(per_activation, per_activation, per_activation, 1e-6),
                    ContainsSubstring("epsilon must be at least 1e-5, got 1e-06"));

  const Tensor<double> zero({3, 2}, 0);
  const auto grad = [&](const Tensor<double>& dy, const Tensor<double>& invstd) {
    return aesara::batch_normalization_train_grad(x.view(), dy.view(), per_activation.view(), zero.view(),
                                                  invstd.view());
  };
  CHECK_THROWS_WITH(grad(full, per_activation), ContainsSubstring("dy: expected shape (4, 3, 2), got (1, 3, 2)"));
  CHECK_THROWS_WITH(grad(x, wrong), ContainsSubstring("invstd: expected shape (3, 2)"));
  CHECK_THROWS_WITH(
      aesara::batch_normalization_train_backward(x.view(), per_activation.view(), zero.view(), zero.view(), {x.view()}),
      ContainsSubstring("invstd must be positive, got 0"));
  CHECK_THROWS_WITH(aesara::batch_normalization_train_backward(x.view(), per_activation.view(), zero.view(),
                                                               per_activation.view(), {full.view()}),
                    ContainsSubstring("the adjoint of out: expected shape (4, 3, 2)"));

  CHECK_THROWS_WITH(aesara::mode_of("mid_mem"), ContainsSubstring("mode must be either \"low_mem\", \"high_mem\""));
  CHECK_THROWS_WITH(aesara::batch_normalization(x.view(), channel.view(), full.view(), full.view(), full.view()),
                    ContainsSubstring("gamma of shape (3,) does not broadcast against (4, 3, 2)"));
  CHECK_THROWS_WITH(aesara::batch_normalization(x.view(), full.view(), full.view(), full.view(), zero.view()),
                    ContainsSubstring("std must not be 0"));
}

// ------------------------------------------------------------------------------------ the systems' own numbers

namespace {

using oracle::Json;

template <Scalar T>
Tensor<T> tensor(const Json& flat, const Shape& shape) {
  Tensor<T> t(shape);
  REQUIRE(static_cast<Index>(flat.size()) == t.size());
  for (Index i = 0; i < t.size(); ++i) t[i] = static_cast<T>(oracle::number(flat[static_cast<std::size_t>(i)]));
  return t;
}
/// One value, or a list of them.
Json list(const Json& j) { return j.is_array() ? j : Json::array({j}); }

/// The numbers of one case in T: what it gives and what the library made of it.
template <Scalar T>
struct Oracle {
  Tensor<T> operator()(const char* name, const Shape& shape) const { return tensor<T>(list(j.at(name)), shape); }
  Tensor<T> state(const char* name, const Shape& shape) const { return tensor<T>(j.at("state").at(name), shape); }
  double option(const char* name) const { return j.at("options").at(name).template get<double>(); }
  std::vector<Index> shape(const char* name = "shape") const { return j.at(name).template get<Shape>(); }

  void check(const char* name, const Tensor<T>& got) {
    INFO(name);
    const Json expected = list(j.at("outputs").at(name));
    checked.insert(name);
    REQUIRE(static_cast<Index>(expected.size()) == got.size());
    for (Index i = 0; i < got.size(); ++i)
      CHECK(static_cast<double>(got[i]) ==
            Approx(oracle::number(expected[static_cast<std::size_t>(i)])).epsilon(tolerance).margin(tolerance));
  }

  const Json& j;
  double tolerance = sizeof(T) == 4 ? 1e-5 : 1e-10;
  std::set<std::string> checked = {};  // outputs that were compared
};

/// run(oracle) for every case of the file in both scalars, refuse(case) for its refusals. Each feature has at least
/// three shapes, each output of a case is compared.
template <class Run, class Refuse>
void run_cases(const char* file, Run run, Refuse refuse) {
  const Json cases = oracle::read(file).at("cases");
  std::map<std::string, std::set<Shape>> shapes;
  for (const Json& j : cases) {
    const std::string feature = j.at("feature"), mode = j.at("mode");
    INFO(feature << ", " << mode << ", " << text(j.at("shape").get<Shape>()) << ", " << j.at("options").dump());
    if (mode == "refusal") {
      refuse(j);
      continue;
    }
    shapes[feature].insert(j.at("shape").get<Shape>());
    const auto in = [&]<Scalar T>(Oracle<T> o) {
      run(o);
      for (const auto& [name, value] : j.at("outputs").items()) {
        INFO("output " << name);
        CHECK((o.checked.count(name) == 1));
      }
    };
    in(Oracle<double>{j});
    in(Oracle<float>{j});
  }
  CHECK_FALSE(shapes.empty());
  for (const auto& [feature, different] : shapes) {
    INFO(feature);
    CHECK(different.size() >= 3);
  }
}

struct RunTfNn {
  template <Scalar T>
  void operator()(Oracle<T>& o) const {
    const std::string feature = o.j.at("feature");
    if (feature == "moments" || feature == "weighted_moments" || feature == "sufficient_statistics")
      moments(feature, o);
    else if (o.j.at("mode") == "sequence")
      sequence(feature, o);
    else if (std::set<std::string>{"full_rank_parameters", "last_axis_parameters", "no_scale", "no_offset", "neither"}
                 .count(feature))
      normalization(o);
    else
      FAIL("unknown feature");
  }

  template <Scalar T>
  void normalization(Oracle<T>& o) const {
    const Shape parameters = o.shape("parameter_shape");
    const auto state = [&](const char* name) {
      return o.j.at("state").contains(name) ? o.state(name, parameters) : Tensor<T>();
    };
    const Tensor<T> x = tensor<T>(o.j.at("x")[0], o.shape()), dy = o("dy", o.shape()), mean = state("mean"),
                    variance = state("variance"), offset = state("offset"), scale = state("scale");
    const double epsilon = o.option("variance_epsilon");
    o.check("y",
            tf_nn::batch_normalization(x.view(), mean.view(), variance.view(), offset.view(), scale.view(), epsilon));
    const tf_nn::Gradients<T> g = tf_nn::batch_normalization_backward(x.view(), mean.view(), variance.view(),
                                                                      offset.view(), scale.view(), epsilon, dy.view());
    o.check("dx", g.x);
    o.check("dmean", g.mean);
    o.check("dvariance", g.variance);
    if (offset.size()) o.check("doffset", g.offset);
    if (scale.size()) o.check("dscale", g.scale);
  }

  template <Scalar T>
  void moments(const std::string& feature, Oracle<T>& o) const {
    const std::vector<Index> axes = o.j.at("options").at("axes").template get<Shape>();
    const bool keepdims = o.j.at("options").at("keepdims");
    const Shape shape = o.j.at("outputs").at("mean_shape").template get<Shape>();
    const Tensor<T> x = tensor<T>(o.j.at("x")[0], o.shape()), dmean = o("w_mean", shape),
                    dvariance = o("w_variance", shape);
    tf_nn::Moments<T> m;
    Tensor<T> dx;
    if (feature == "weighted_moments") {
      const Tensor<T> w = o("frequency_weights", o.shape("frequency_weights_shape"));
      m = tf_nn::weighted_moments(x.view(), axes, w.view(), keepdims);
      tf_nn::WeightedGradients<T> g =
          tf_nn::weighted_moments_backward(x.view(), axes, w.view(), dmean.view(), dvariance.view());
      dx = std::move(g.x);
      o.check("dfrequency_weights", g.frequency_weights);
    } else {
      // Two functions, one map: the gradient is that of `moments`.
      dx = tf_nn::moments_backward(x.view(), axes, dmean.view(), dvariance.view());
      m = tf_nn::moments(x.view(), axes, keepdims);
    }
    if (feature == "sufficient_statistics") {
      Tensor<T> shift;
      if (o.j.at("options").contains("shift")) shift = Tensor<T>(Shape{}, static_cast<T>(o.option("shift")));
      const tf_nn::SufficientStatistics s =
          tf_nn::sufficient_statistics(x.view(), axes, std::as_const(shift).view(), keepdims);
      o.check("count", Tensor<T>(Shape{}, static_cast<T>(s.count)));
      o.check("mean_ss", cast<T>(s.sum));
      o.check("variance_ss", cast<T>(s.sum_of_squares));
      m = tf_nn::normalize_moments<T>(s);
    }
    CHECK(m.mean.shape() == shape);
    CHECK(m.variance.shape() == shape);
    o.checked.insert("mean_shape");
    o.check("mean", m.mean);
    o.check("variance", m.variance);
    o.check("dx", dx);
  }

  template <Scalar T>
  void sequence(const std::string& feature, Oracle<T>& o) const {
    const Json &options = o.j.at("options"), &steps = o.j.at("outputs").at("value_by_step");
    const double decay = o.option("decay");
    Tensor<T> variable;
    if (o.j.contains("state")) variable = o.state("variable", o.shape());
    tf_nn::ZeroDebias<T> debias;
    tf_nn::WeightedAverage<T> weighted;
    tf_nn::ExponentialMovingAverage<T> ema(decay);
    if (feature.starts_with("exponential")) ema.apply("v", std::as_const(variable).view());
    for (std::size_t k = 0; k < steps.size(); ++k) {
      const Tensor<T> value = tensor<T>(o.j.at("x")[k], o.shape());
      if (feature == "assign_moving_average") {
        if (options.at("zero_debias"))
          tf_nn::assign_moving_average(variable, value.view(), decay, debias);
        else
          tf_nn::assign_biased_moving_average(variable, value.view(), decay);
      } else if (feature == "weighted_moving_average") {
        const Tensor<T> weight = tensor<T>(o.j.at("weights")[k], o.shape());
        variable = tf_nn::weighted_moving_average(weighted, value.view(), decay, weight.view());
      } else if (feature == "exponential_moving_average" || feature == "exponential_moving_average_num_updates") {
        if (options.contains("num_updates")) ema.set_num_updates(options.at("num_updates")[k]);
        ema.apply("v", value.view());
        variable = ema.average("v");
      } else {
        FAIL("unknown feature");
      }
      const Tensor<double> expected = tensor<double>(steps[k], o.shape());
      check_close(cast<double>(variable), expected, o.tolerance);
    }
    o.check("value", variable);
    o.checked.insert("value_by_step");
    o.checked.insert("value_by_step_as_computed");  // with decay rounded to float32
  }
};

}  // namespace

TEST_CASE("TensorFlow's numbers", "[tf_nn][oracle]") {
  run_cases("batch_norm_tf_nn", RunTfNn{}, [](const Json&) { FAIL("unknown refusal"); });
}

namespace {

aesara::Axes axes_of(const Json& options) {
  if (!options.contains("axes")) return aesara::Axes::per_activation();
  const Json& axes = options.at("axes");
  if (axes.is_array()) return axes.get<Shape>();
  return aesara::Axes(std::string_view(axes.is_string() ? axes.get<std::string>() : axes.dump()));
}

struct RunAesara {
  template <Scalar T>
  void operator()(Oracle<T>& o) const {
    const std::string feature = o.j.at("feature"), mode = o.j.at("mode");
    if (feature == "batch_normalization")
      elementwise(o);
    else if (feature == "second_order")
      second_order(o);
    else if (feature == "single_example")
      single_example(o);
    else if (!std::set<std::string>{"per_activation", "spatial", "axes_tuple"}.count(feature))
      FAIL("unknown feature");
    else if (mode == "train")
      train(o);
    else if (mode == "test")
      test(o);
    else
      FAIL("unknown mode");
  }

  /// What all cases have.
  template <Scalar T>
  struct Inputs {
    explicit Inputs(const Oracle<T>& o)
        : shape(o.shape("parameter_shape")),
          axes(axes_of(o.j.at("options"))),
          epsilon(o.j.at("options").value("epsilon", 1e-4)),
          x(tensor<T>(o.j.at("x")[0], o.shape())),
          dy(o("dy", o.shape())),
          gamma(o.state("gamma", shape)),
          beta(o.state("beta", shape)) {}
    const Shape shape;
    const aesara::Axes axes;
    const double epsilon;
    const Tensor<T> x, dy, gamma, beta;
  };

  template <Scalar T>
  void train(Oracle<T>& o) const {
    const Inputs<T> in(o);
    const bool running = o.j.at("state").contains("running_mean");
    Tensor<T> mean, var;
    if (running) mean = o.state("running_mean", in.shape), var = o.state("running_var", in.shape);
    const aesara::Trained<T> t = aesara::batch_normalization_train(
        in.x.view(), in.gamma.view(), in.beta.view(),
        {.axes = in.axes,
         .epsilon = in.epsilon,
         .running_average_factor = o.j.at("options").value("running_average_factor", 0.1),
         .running_mean = std::as_const(mean).view(),
         .running_var = std::as_const(var).view()});
    trained(o, in, t);
    REQUIRE(t.running_mean.has_value() == running);
    if (!running) return;
    o.check("new_running_mean", *t.running_mean);
    o.check("new_running_var", *t.running_var);
    CHECK(t.running_mean->shape() == in.shape);
  }
  template <Scalar T>
  void trained(Oracle<T>& o, const Inputs<T>& in, const aesara::Trained<T>& t) const {
    o.check("out", t.out);
    o.check("mean", t.mean);
    o.check("invstd", t.invstd);
    CHECK(t.mean.shape() == in.shape);
    CHECK(t.invstd.shape() == in.shape);
    const aesara::TrainGradients<T> g = aesara::batch_normalization_train_backward(
        in.x.view(), in.gamma.view(), t.mean.view(), t.invstd.view(), {in.dy.view()}, in.axes);
    o.check("dx", g.x);
    o.check("dgamma", g.gamma);
    o.check("dbeta", g.beta);
  }

  /// One value for each mean. Aesara's new variance is NaN; ours is refused, and all else is the same without it.
  template <Scalar T>
  void single_example(Oracle<T>& o) const {
    const Inputs<T> in(o);
    const Tensor<T> mean = o.state("running_mean", in.shape), var = o.state("running_var", in.shape);
    CHECK_THROWS_AS(
        aesara::batch_normalization_train(in.x.view(), in.gamma.view(), in.beta.view(),
                                          {.axes = in.axes, .running_mean = mean.view(), .running_var = var.view()}),
        DomainError);
    for (const Json& v : o.j.at("outputs").at("new_running_var")) CHECK(v.is_null());
    o.checked.insert("new_running_mean");
    o.checked.insert("new_running_var");
    trained(o, in, aesara::batch_normalization_train(in.x.view(), in.gamma.view(), in.beta.view(), {.axes = in.axes}));
  }

  template <Scalar T>
  void test(Oracle<T>& o) const {
    const Inputs<T> in(o);
    const Tensor<T> mean = o.state("mean", in.shape), var = o.state("var", in.shape);
    o.check("out", aesara::batch_normalization_test(in.x.view(), in.gamma.view(), in.beta.view(), mean.view(),
                                                    var.view(), in.axes, in.epsilon));
    const aesara::TestGradients<T> g = aesara::batch_normalization_test_backward(
        in.x.view(), in.gamma.view(), in.beta.view(), mean.view(), var.view(), in.dy.view(), in.axes, in.epsilon);
    o.check("dx", g.x);
    o.check("dgamma", g.gamma);
    o.check("dbeta", g.beta);
    o.check("dmean", g.mean);
    o.check("dvar", g.var);
  }

  template <Scalar T>
  void elementwise(Oracle<T>& o) const {
    const Inputs<T> in(o);
    const Tensor<T> mean = o.state("mean", in.shape), std = o.state("std", in.shape);
    const aesara::Normalized<T> y =
        aesara::batch_normalization(in.x.view(), in.gamma.view(), in.beta.view(), mean.view(), std.view(),
                                    aesara::mode_of(o.j.at("mode").template get<std::string>()));
    o.check("out", y.out);
    const aesara::NormalizedGradients<T> g = aesara::batch_normalization_backward(
        in.x.view(), in.gamma.view(), in.beta.view(), mean.view(), std.view(), y, in.dy.view());
    o.check("dx", g.x);
    o.check("dgamma", g.gamma);
    o.check("dbeta", g.beta);
    o.check("dmean", g.mean);
    o.check("dstd", g.std);
  }

  /// The gradient of the gradient; through the statistics back to x by the backward pass of training.
  template <Scalar T>
  void second_order(Oracle<T>& o) const {
    const Inputs<T> in(o);
    const Tensor<T> wx = o("wx", o.shape()), wg = o("wg", in.shape), wb = o("wb", in.shape);
    const aesara::Trained<T> t = aesara::batch_normalization_train(in.x.view(), in.gamma.view(), in.beta.view(),
                                                                   {.axes = in.axes, .epsilon = in.epsilon});
    const aesara::TrainGradients<T> first = aesara::batch_normalization_train_grad(
        in.x.view(), in.dy.view(), in.gamma.view(), t.mean.view(), t.invstd.view(), in.axes);
    o.check("dx", first.x);
    o.check("dgamma", first.gamma);
    o.check("dbeta", first.beta);
    const aesara::TrainGradGradients<T> second =
        aesara::batch_normalization_train_grad_backward(in.x.view(), in.dy.view(), in.gamma.view(), t.mean.view(),
                                                        t.invstd.view(), {wx.view(), wg.view(), wb.view()}, in.axes);
    Tensor<T> x =
        aesara::batch_normalization_train_backward(in.x.view(), in.gamma.view(), t.mean.view(), t.invstd.view(),
                                                   {{}, second.mean.view(), second.invstd.view()}, in.axes)
            .x;
    for (Index i = 0; i < x.size(); ++i) x[i] += second.x[i];
    o.check("second_x", x);
    o.check("second_x_nested", second.x);  // Aesara's own chain stops at mean and invstd
    o.check("second_dy", second.dy);
    o.check("second_gamma", second.gamma);
  }
};

/// What Aesara refuses is refused here, by a text that contains Aesara's.
template <Scalar T>
void refuse_as_aesara(const Json& j) {
  std::string expected = j.at("error");
  if (expected.ends_with(".0")) expected.resize(expected.size() - 2);  // Python's 0.0 is our 0
  INFO(expected);
  const Json& options = j.at("options");
  const auto parameter = [&](const char* name, Index rank) {  // all extents are 2; none is looked at
    if (j.contains("parameter_ranks")) rank = j.at("parameter_ranks").value(name, Index(-1));
    return rank < 0 ? Tensor<T>() : Tensor<T>(Shape(static_cast<std::size_t>(rank), 2), 1);
  };
  const Tensor<T> x(j.at("shape").get<Shape>(), 1), gamma = parameter("gamma", x.rank() - 1),
                                                    beta = parameter("beta", x.rank() - 1);
  const double epsilon = options.value("epsilon", 1e-4);
  const std::string function = j.at("function");
  if (function == "batch_normalization_train") {
    const Tensor<T> mean = parameter("running_mean", -1), var = parameter("running_var", -1);
    CHECK_THROWS_WITH(
        aesara::batch_normalization_train(
            x.view(), gamma.view(), beta.view(),
            {.axes = axes_of(options), .epsilon = epsilon, .running_mean = mean.view(), .running_var = var.view()}),
        ContainsSubstring(expected));
  } else if (function == "batch_normalization_test") {
    const auto statistic = [&](const char* name) {
      const bool given = j.contains("parameter_ranks") && j.at("parameter_ranks").contains(name);
      return given ? parameter(name, 0) : gamma;
    };
    const Tensor<T> mean = statistic("mean"), var = statistic("var");
    CHECK_THROWS_WITH(aesara::batch_normalization_test(x.view(), gamma.view(), beta.view(), mean.view(), var.view(),
                                                       axes_of(options), epsilon),
                      ContainsSubstring(expected));
  } else if (function == "batch_normalization") {
    CHECK_THROWS_WITH(aesara::mode_of(options.at("mode").get<std::string>()), ContainsSubstring(expected));
  } else {
    FAIL("unknown function");
  }
}

}  // namespace

TEST_CASE("Aesara's numbers and refusals", "[aesara][oracle]") {
  run_cases("batch_norm_aesara", RunAesara{}, [](const Json& j) {
    if (j.value("floatX", "float64") == "float32")
      refuse_as_aesara<float>(j);
    else
      refuse_as_aesara<double>(j);
  });
}
