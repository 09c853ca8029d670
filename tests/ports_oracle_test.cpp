// The functional forms of batch normalisation: the numbers of TensorFlow and Aesara themselves.

#include <map>
#include <pushforward/error.hpp>
#include <pushforward/ports/aesara.hpp>
#include <pushforward/ports/tf_nn.hpp>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/catch.hpp"
#include "tests/oracle.hpp"
#include "tests/ports.hpp"

using namespace pushforward;
namespace tf_nn = pushforward::batch_norm::tf_nn;
namespace aesara = pushforward::batch_norm::aesara;
using namespace port_tests;
using Catch::Matchers::ContainsSubstring;

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
