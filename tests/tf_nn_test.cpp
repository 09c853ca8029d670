// TensorFlow's primitives of batch normalisation against closed forms and central differences.

#include <algorithm>
#include <cmath>
#include <pushforward/error.hpp>
#include <pushforward/ports/aesara.hpp>
#include <pushforward/ports/tf_nn.hpp>
#include <vector>

#include "tests/catch.hpp"
#include "tests/ports.hpp"

using namespace pushforward;
namespace tf_nn = pushforward::batch_norm::tf_nn;
namespace aesara = pushforward::batch_norm::aesara;
using namespace port_tests;
using Catch::Matchers::ContainsSubstring;

namespace {

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

}  // namespace

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
