// Aesara's functions of batch normalisation against closed forms, plain loops and central differences.

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
