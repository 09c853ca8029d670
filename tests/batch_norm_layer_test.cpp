// The batch normalisation layer and its relatives against numbers that the real systems gave (tests/data/oracles), in
// double and float: every case of every feature and mode, refusals included; a feature without enough cases fails.

#include <cmath>
#include <functional>
#include <map>
#include <pushforward/batch_norm/layer.hpp>
#include <pushforward/ports/tf_layers.hpp>
#include <pushforward/bijectors/batch_normalization.hpp>
#include <pushforward/error.hpp>
#include <pushforward/registry.hpp>
#include <set>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "tests/oracle.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;
using oracle::Json;

namespace {

std::vector<double> numbers(const Json& j) {
  std::vector<double> values;
  for (const Json& v : j) values.push_back(oracle::number(v));
  return values;
}
std::vector<Index> shape_of(const Json& c) { return c.at("shape").get<std::vector<Index>>(); }

template <Scalar T>
Tensor<T> tensor(const Json& flat, const std::vector<Index>& shape) {
  Tensor<T> t(shape);
  const std::vector<double> values = numbers(flat);
  REQUIRE(static_cast<Index>(values.size()) == t.size());
  std::transform(values.begin(), values.end(), t.data(), [](double v) { return static_cast<T>(v); });
  return t;
}

/// In float relative to the largest value: sums of what cancels have the error of their terms.
template <Scalar T, class Values>
void check(const std::string& what, const Values& got, const Json& expected_json) {
  const std::vector<double> expected = numbers(expected_json);
  INFO(what);
  REQUIRE(got.size() == expected.size());
  double scale = 1;
  for (const double v : expected) scale = std::max(scale, std::abs(v));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    INFO("value " << i << ": " << got[i] << ", expected " << expected[i]);
    CHECK(std::abs(static_cast<double>(got[i]) - expected[i]) <= (sizeof(T) == 4 ? 1e-5 : 1e-10) * scale);
  }
}
template <Scalar T>
void check(const std::string& what, const Tensor<T>& got, const Json& expected) {
  check<T>(what, got.values(), expected);
}

/// Every feature and mode has cases of at least three shapes, and no unknown ones.
void check_coverage(const Json& cases, const std::set<std::string>& features, const std::set<std::string>& modes,
                    const std::set<std::pair<std::string, std::string>>& not_there = {}) {
  std::map<std::pair<std::string, std::string>, std::set<std::vector<Index>>> shapes;
  for (const Json& c : cases)
    if (c.at("mode") != "refusal") shapes[{c.at("feature"), c.at("mode")}].insert(shape_of(c));
  for (const auto& [cell, found] : shapes) {
    INFO(cell.first << ", " << cell.second);
    CHECK(features.count(cell.first) == 1);
    CHECK(modes.count(cell.second) == 1);
  }
  for (const std::string& feature : features)
    for (const std::string& mode : modes) {
      if (not_there.count({feature, mode})) continue;
      INFO(feature << ", " << mode);
      CHECK((shapes[{feature, mode}].size() >= 3));
    }
}

// --------------------------------------------------------------------------------------------------------------- Keras

Constraint constraint_from(const Json& j) {
  if (j == "NonNeg") return {Constraint::Kind::non_negative, 0};
  if (j == "relu_plus_1e-6") return {Constraint::Kind::relu_plus_floor, 1e-6};
  return {Constraint::Kind::max_norm, j.at("MaxNorm").at("max_value")};
}

BatchNormLayerOptions options_from(const Json& o, const std::string& feature) {
  BatchNormLayerOptions options;
  for (const auto& [name, value] : o.items()) {
    const auto regularizer = [&] { return Regularizer{value.value("l1", 0.0), value.value("l2", 0.0)}; };
    if (name == "axis")
      options.axis = value.get<std::vector<Index>>();
    else if (name == "momentum")
      options.momentum = value;
    else if (name == "epsilon")
      options.epsilon = value;
    else if (name == "center")
      options.center = value;
    else if (name == "scale")
      options.scale = value;
    else if (name == "gamma_initializer")
      options.gamma_initializer = Initializer::constant(value);
    else if (name == "beta_initializer")
      options.beta_initializer = Initializer::constant(value);
    else if (name == "moving_mean_initializer")
      options.moving_mean_initializer = Initializer::constant(value);
    else if (name == "moving_variance_initializer")
      options.moving_variance_initializer = Initializer::constant(value);
    else if (name == "gamma_regularizer")
      options.gamma_regularizer = regularizer();
    else if (name == "beta_regularizer")
      options.beta_regularizer = regularizer();
    else if (name == "gamma_constraint")
      options.gamma_constraint = constraint_from(value);
    else if (name == "beta_constraint")
      options.beta_constraint = constraint_from(value);
    else if (name == "renorm") {
      if (!options.renorm) options.renorm.emplace();
    } else if (name == "renorm_momentum") {
      if (!options.renorm) options.renorm.emplace();
      options.renorm->momentum = value;
    } else if (name == "renorm_clipping") {
      if (!options.renorm) options.renorm.emplace();
      if (value.contains("rmin")) options.renorm->rmin = value.at("rmin");
      if (value.contains("rmax")) options.renorm->rmax = value.at("rmax");
      if (value.contains("dmax")) options.renorm->dmax = value.at("dmax");
    } else if (name == "fused")
      options.fusion = feature == "fused_small_epsilon" ? Fusion::fused_without_floor : Fusion::fused;
    else if (name == "trainable")
      options.trainable = value;
    else if (name == "virtual_batch_size")
      options.virtual_batch_size = value;
    else if (name == "adjustment") {
      const std::vector<double> scale = numbers(value.at("scale")), bias = numbers(value.at("bias"));
      options.adjustment = [scale, bias](std::span<const Index>) { return std::pair(scale, bias); };
    } else if (name == "name")
      options.name = value;
    else if (name != "dtype" && name != "reuse")
      FAIL("unknown option " << name);
  }
  if (feature == "trainable_false_v2") options.not_trainable = NotTrainable::v2;
  if (feature == "renorm_first_generation") options.renorm->generation = Renorm::Generation::first;
  return options;
}

template <Scalar T>
void set_state(BatchNormLayer<T>& layer, const Json& state) {
  for (const auto& [name, value] : state.items()) {
    Tensor<T>& variable = layer.variable(name);
    variable = tensor<T>(value.is_array() ? value : Json::array({value}), variable.shape());
  }
}

template <Scalar T>
void run_keras(const Json& c) {
  const std::vector<Index> shape = shape_of(c);
  const std::string feature = c.at("feature");
  BatchNormLayer<T> layer(shape, options_from(c.at("options"), feature));
  if (c.contains("state")) set_state(layer, c.at("state"));
  const BatchNormLayer<T> before = layer;
  const bool training = c.at("mode") == "training";
  const Json& outputs = c.at("outputs");
  const Tensor<T> dy = tensor<T>(c.at("dy"), shape);
  Tensor<T> dx(shape), y;
  batch_norm::Gradients gradients;
  for (const Json& x_json : c.at("x")) {
    const Tensor<T> x = tensor<T>(x_json, shape);
    if (training) {
      const auto step = layer.train(x.view());
      y = step.output;
      gradients = layer.backward(x.view(), step, dy.view(), dx.view());
      layer.commit(step);
    } else {
      y = layer(x.view());
      gradients = layer.inference_backward(x.view(), dy.view(), dx.view());
    }
  }
  check<T>("y", y, outputs.at("y"));
  check<T>("dx", dx, outputs.at("dx"));
  if (outputs.contains("dgamma")) check<T>("dgamma", gradients.gamma, outputs.at("dgamma"));
  if (outputs.contains("dbeta")) check<T>("dbeta", gradients.beta, outputs.at("dbeta"));
  int variables = 0;
  for (const char* name : {"moving_mean", "moving_variance", "moving_stddev", "renorm_mean", "renorm_stddev",
                           "renorm_mean_weight", "renorm_stddev_weight"})
    if (outputs.contains(name)) {
      ++variables;
      const Json& expected = outputs.at(name);
      check<T>(name, layer.variable(name), expected.is_array() ? expected : Json::array({expected}));
    }
  CHECK(variables >= 2);
  if (outputs.contains("losses")) {
    CHECK(before.regularization_loss() == Approx(oracle::number(outputs.at("losses"))).epsilon(1e-6));
    const batch_norm::Gradients r = before.regularization_gradients();
    if (outputs.contains("regularizer_dgamma")) check<T>("penalty of gamma", r.gamma, outputs.at("regularizer_dgamma"));
    if (outputs.contains("regularizer_dbeta")) check<T>("penalty of beta", r.beta, outputs.at("regularizer_dbeta"));
  }
  if (outputs.contains("gamma_after_constraint")) {
    layer.apply_constraints();
    check<T>("constrained gamma", layer.gamma_variable(), outputs.at("gamma_after_constraint"));
    if (outputs.contains("beta_after_constraint"))
      check<T>("constrained beta", layer.beta_variable(), outputs.at("beta_after_constraint"));
  }
}

}  // namespace

TEST_CASE("Keras: every feature, training and inference", "[batch_norm_layer]") {
  const Json file = oracle::read("batch_norm_keras");
  check_coverage(file.at("cases"),
                 {"axis_last",
                  "axis_first",
                  "axis_negative",
                  "axis_several",
                  "no_center",
                  "no_scale",
                  "no_center_no_scale",
                  "momentum_epsilon",
                  "initializers",
                  "regularizers",
                  "constraints",
                  "renorm",
                  "fused",
                  "renorm_virtual_batch",
                  "fused_small_epsilon",
                  "renorm_first_generation",
                  "virtual_batch",
                  "adjustment",
                  "trainable_false_v1",
                  "trainable_false_v2"},
                 {"training", "inference"}, {{"fused_small_epsilon", "inference"}});
  int number = 0;
  for (const Json& c : file.at("cases")) {
    ++number;
    if (c.at("mode") == "refusal") continue;
    INFO("case " << number << ": " << c.at("feature") << ", " << c.at("mode") << ", shape " << c.at("shape")
                 << ", options " << c.at("options"));
    run_keras<double>(c);
    run_keras<float>(c);
  }
}

TEST_CASE("Keras: what it refuses, and what cannot be written here", "[batch_norm_layer]") {
  // The words that both have; empty: the compiler refuses it, or it is a named policy here.
  const std::map<std::string, std::string> words{
      {"axis_type", ""},
      {"axis_range", "Invalid axis"},
      {"axis_duplicate", "Duplicate axis"},
      {"virtual_batch_not_positive", "must be a positive integer that divides the true batch size"},
      {"virtual_batch_axis_0", "the batch dimension must be 0 and thus axis cannot include 0"},
      {"virtual_batch_adjustment", "adjustment cannot be specified"},
      {"virtual_batch_not_divisor", "must be a positive integer that divides the true batch size"},
      {"renorm_clipping_unknown_key", ""},
      {"fused_renorm", "Passing both `fused=True` and `renorm=True` is not supported"},
      {"fused_virtual_batch", "Passing `fused=True` is not supported when `virtual_batch_size` is specified."},
      {"fused_adjustment", "Passing `fused=True` is not supported when `adjustment` is specified."},
      {"fused_rank", ""},
      {"fused_axis", ""},
      {"fused_dtype", ""}};
  std::set<std::string> seen;
  const Json file = oracle::read("batch_norm_keras");
  for (const Json& c : file.at("cases")) {
    if (c.at("mode") != "refusal") continue;
    const std::string feature = c.at("feature");
    INFO(feature << ", options " << c.at("options"));
    REQUIRE(words.count(feature) == 1);
    seen.insert(feature);
    if (words.at(feature).empty()) continue;
    const std::vector<Index> shape = shape_of(c);
    CHECK_THROWS_WITH(
        [&] {
          const BatchNormLayer<double> layer(shape, options_from(c.at("options"), feature));
          static_cast<void>(layer.train(Tensor<double>(shape).view()));
        }(),
        ContainsSubstring(words.at(feature)));
  }
  CHECK(seen.size() == words.size());

  CHECK_THROWS_WITH(BatchNormLayer<double>({.momentum = 1.5}), ContainsSubstring("momentum must lie in [0, 1]"));
  CHECK_THROWS_WITH(BatchNormLayer<double>({.epsilon = -1}), ContainsSubstring("epsilon must be finite"));
  CHECK_THROWS_WITH(BatchNormLayer<double>({.axis = {}}), ContainsSubstring("at least one axis"));
  BatchNormLayer<double> layer;
  CHECK_THROWS_WITH(layer.train(Tensor<double>({2, 3}).view()), ContainsSubstring("not built"));
  CHECK_THROWS_WITH(layer.build({}), ContainsSubstring("Input has undefined rank."));
  CHECK_THROWS_WITH(layer.build({4, -1}),
                    ContainsSubstring("Input has undefined `axis` dimension. Received input with shape (4, -1)"));
  CHECK_FALSE(layer.is_built());
  layer.build({-1, 3});
  CHECK_THROWS_WITH(layer.build({-1, 3}), ContainsSubstring("built already"));
  CHECK_THROWS_WITH(layer(Tensor<double>({2, 4}).view()),
                    ContainsSubstring("built for inputs like (-1, 3), got (2, 4)"));
  CHECK_THROWS_WITH(layer.variable("renorm_mean"),
                    ContainsSubstring("no variable 'renorm_mean', there are: gamma, beta"));
}

TEST_CASE("Layers: empty batches, maps of gamma, conventions, descriptions", "[batch_norm_layer]") {
  BatchNormLayer<double> layer({-1, 2}, {});
  const BatchNormLayer<double> before = layer;
  const auto step = layer.train(Tensor<double>({0, 2}).view());
  CHECK(step.output.size() == 0);
  layer.commit(step);
  CHECK(layer.moving_mean() == before.moving_mean());
  CHECK(layer.moving_variance() == before.moving_variance());

  // Two pending steps count in the order of the commits.
  Tensor<double> a({2, 2}), b({2, 2});
  for (Index i = 0; i < 4; ++i) a[i] = static_cast<double>(i), b[i] = 10 - static_cast<double>(i * i);
  const auto first = layer.train(a.view()), second = layer.train(b.view());
  CHECK(layer.moving_mean()[0] == 0);
  layer.commit(first);
  layer.commit(second);
  CHECK(layer.moving_mean()[0] == Approx((0.01 * 1) * 0.99 + 0.01 * 8).epsilon(1e-12));

  for (const GammaMap map : {GammaMap::identity, GammaMap::exp, GammaMap::softplus, GammaMap::relu_floor}) {
    BatchNormLayerOptions options;
    options.gamma_map = map;
    options.gamma_initializer = Initializer::constant(1.75);
    BatchNormLayer<double> mapped({-1, 2}, options);
    for (const double g : mapped.gamma()) CHECK(g == Approx(1.75).epsilon(1e-12));
    // The gradient of what is stored, by differences.
    const std::string name = map == GammaMap::identity ? "gamma" : map == GammaMap::exp ? "log_gamma" : "raw_gamma";
    Tensor<double> dy({2, 2}), dx({2, 2});
    for (Index i = 0; i < 4; ++i) dy[i] = 0.3 * static_cast<double>(i) - 0.7;
    const auto g = mapped.backward(b.view(), mapped.train(b.view()), dy.view(), dx.view());
    const auto loss = [&](double h) {
      BatchNormLayer<double> moved = mapped;
      moved.variable(name)[1] += h;
      const Tensor<double> y = moved.train(b.view()).output;
      double sum = 0;
      for (Index i = 0; i < 4; ++i) sum += dy[i] * y[i];
      return sum;
    };
    CHECK(g.gamma[1] == Approx((loss(1e-5) - loss(-1e-5)) / 2e-5).epsilon(1e-7));
  }

  CHECK(batch_norm_convention("keras", 0.99).momentum == 0.99);
  CHECK(batch_norm_convention("aesara", 0.1).momentum == Approx(0.9));
  CHECK(batch_norm_convention("aesara", 0.1).bessel_in_moving_variance);
  CHECK_FALSE(batch_norm_convention("aesara", 0.1).bessel);
  CHECK(batch_norm_convention("nflows", 0.1).bessel);
  CHECK(batch_norm_convention("keras_fused", 0.9).fusion == Fusion::fused);
  CHECK_THROWS_WITH(batch_norm_convention("caffe", 0.9), ContainsSubstring("unknown system 'caffe', known are keras"));
  CHECK_THROWS_WITH(batch_norm_convention("keras", 2), ContainsSubstring("[0, 1], got 2"));

  // What a description holds makes the same layer again.
  BatchNormLayerOptions rich;
  rich.axis = {-1, 1};
  rich.gamma_map = GammaMap::softplus;
  rich.gamma_regularizer = {0.1, 0.2};
  rich.beta_constraint = {Constraint::Kind::max_norm, 2};
  rich.renorm = Renorm{.momentum = 0.8, .rmax = 3, .dmax = 5, .open_from = 1, .open_rmax = 4, .open_dmax = 3};
  rich.virtual_batch_size = 2;
  rich.bessel = true;
  const BatchNormLayer<double> original({-1, 2, 3, 2}, rich);
  const BatchNormLayer<double> again(original.describe());
  CHECK(again.describe() == original.describe());
  Tensor<double> x({4, 2, 3, 2});
  for (Index i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<double>(i));
  CHECK(again.train(x.view()).output == original.train(x.view()).output);
  rich = {};
  rich.adjustment = [](std::span<const Index>) { return std::pair<std::vector<double>, std::vector<double>>(); };
  CHECK_THROWS_WITH(BatchNormLayer<double>({-1, 2}, rich).describe(), ContainsSubstring("no file can hold"));
}

TEST_CASE("A schedule opens the clipping of renormalisation", "[batch_norm_layer]") {
  BatchNormLayerOptions options;
  options.renorm = Renorm{.rmax = 3, .dmax = 5, .open_from = 2, .open_rmax = 6, .open_dmax = 4};
  BatchNormLayer<double> layer({-1, 1}, options);
  Tensor<double> x({4, 1});
  for (Index i = 0; i < 4; ++i) x[i] = 1000 * static_cast<double>(i * i);  // far from the averages: both bounds hold
  for (int step = 0; step < 9; ++step) {
    const auto s = layer.train(x.view());
    const double r = 1 + 2 * std::min(1.0, std::max(0.0, (step - 2) / 4.0)),
                 d = 5 * std::min(1.0, std::max(0.0, (step - 2) / 2.0));
    INFO("step " << step);
    CHECK(s.r[0] == Approx(r));
    CHECK(s.d[0] == Approx(d).margin(1e-12));
    layer.commit(s);
  }
}

// ------------------------------------------------------------------------------------------------------ tf.layers

namespace {

namespace tf_layers = batch_norm::tf_layers;

template <Scalar T>
void run_tf_layers(const Json& c) {
  const std::vector<Index> shape = shape_of(c);
  BatchNormLayerOptions options = options_from(c.at("options"), c.at("feature"));
  if (!c.at("options").contains("name")) options.name = "bn";
  const bool training = c.at("mode") == "training", reuse = c.at("feature") == "reuse";
  const Json& outputs = c.at("outputs");
  tf_layers::VariableStore<T> store;
  const auto call = [&](const Tensor<T>& x, bool train, tf_layers::Reuse how) {
    return tf_layers::batch_normalization<T>(x.view(), store, options, train, how);
  };
  call(tensor<T>(c.at("x")[0], shape), false, tf_layers::Reuse::no);  // makes the variables
  if (c.contains("state")) set_state(store.layer(options.name), c.at("state"));
  Tensor<T> y, dx(shape);
  const Tensor<T> dy = tensor<T>(c.at("dy"), shape);
  batch_norm::Gradients gradients;
  std::size_t updates = 0;
  for (const Json& x_json : c.at("x")) {
    const Tensor<T> x = tensor<T>(x_json, shape);
    const std::size_t before = store.pending_updates();
    const auto step = call(x, training, tf_layers::Reuse::yes);
    updates += store.pending_updates() - before;
    if (reuse && y.size() == 0) check<T>("y of the first call", step.output, outputs.at("y_of_first_call"));
    y = step.output;
    const BatchNormLayer<T>& layer = store.layer(options.name);
    gradients = training ? layer.backward(x.view(), step, dy.view(), dx.view())
                         : layer.inference_backward(x.view(), dy.view(), dx.view());
    if (!reuse && c.at("update_ops_run") == true) store.run_updates();
  }
  if (reuse && c.at("update_ops_run") == true) store.run_updates();
  check<T>("y", y, outputs.at("y"));
  check<T>("dx", dx, outputs.at("dx"));
  if (outputs.contains("dgamma")) check<T>("dgamma", gradients.gamma, outputs.at("dgamma"));
  if (outputs.contains("dbeta")) check<T>("dbeta", gradients.beta, outputs.at("dbeta"));
  for (const char* name : {"moving_mean", "moving_variance", "moving_stddev", "renorm_mean", "renorm_stddev"})
    if (outputs.contains(name)) check<T>(name, store.layer(options.name).variable(name), outputs.at(name));
  const auto names = [&](const char* collection) {
    std::vector<std::string> all = outputs.at(collection).get<std::vector<std::string>>();
    for (std::string& name : all) name.resize(name.rfind(':'));  // "bn/gamma:0"
    return all;
  };
  if (outputs.contains("trainable_variables")) {
    CHECK(store.trainable_variables() == names("trainable_variables"));
    CHECK(store.global_variables() == names("global_variables"));
    CHECK((updates > 0) == (outputs.at("update_ops") > 0));
  }
}

}  // namespace

TEST_CASE("tf.layers: variables in a store, collections, pending updates", "[batch_norm_layer]") {
  const Json file = oracle::read("batch_norm_tf_layers");
  check_coverage(file.at("cases"),
                 {"defaults", "axis", "reuse", "updates_not_run", "updates_run", "trainable_collections", "renorm"},
                 {"training", "inference"});
  int number = 0;
  for (const Json& c : file.at("cases")) {
    ++number;
    if (c.at("mode") == "refusal") continue;
    INFO("case " << number << ": " << c.at("feature") << ", " << c.at("mode") << ", shape " << c.at("shape")
                 << ", options " << c.at("options"));
    run_tf_layers<double>(c);
    run_tf_layers<float>(c);
  }

  tf_layers::VariableStore<double> penalised;  // two layers of three channels with gamma 1, beta 0
  for (const char* name : {"a", "b"}) {
    BatchNormLayerOptions options;
    options.name = name;
    options.gamma_regularizer = {.l1 = 0.5, .l2 = 0.25};
    tf_layers::batch_normalization<double>(Tensor<double>({4, 3}, 1.0).view(), penalised, options);
  }
  CHECK(penalised.regularization_loss() == Approx(2 * 3 * 0.75));

  tf_layers::VariableStore<double> store;
  const Tensor<double> x({4, 3}, 1.0);
  BatchNormLayerOptions bn;
  bn.name = "bn";
  const auto call = [&](const Tensor<double>& in, tf_layers::Reuse reuse) {
    return tf_layers::batch_normalization<double>(in.view(), store, bn, true, reuse);
  };
  for (const Json& c : file.at("cases")) {
    if (c.at("mode") != "refusal") continue;
    const std::string feature = c.at("feature"), text = c.at("error");
    INFO(feature);
    if (feature == "reuse_of_unknown_name") {
      CHECK_THROWS_WITH(call(x, tf_layers::Reuse::yes), ContainsSubstring(text.substr(0, text.find(" in VarScope"))));
      call(x, tf_layers::Reuse::either);
    } else if (feature == "name_twice_without_reuse") {
      CHECK_THROWS_WITH(call(x, tf_layers::Reuse::no), ContainsSubstring(text));
    } else if (feature == "reuse_with_other_shape") {
      CHECK_THROWS_WITH(call(Tensor<double>({4, 2}), tf_layers::Reuse::yes),
                        ContainsSubstring("built for inputs like (-1, 3), got (4, 2)"));
    } else {
      FAIL("unknown refusal " << feature);
    }
  }
  // The classic mistake: the call is forgotten, and nothing is averaged.
  CHECK(store.pending_updates() == 1);
  CHECK(store.layer("bn").moving_mean()[0] == 0);
  store.run_updates();
  CHECK(store.pending_updates() == 0);
  CHECK(store.layer("bn").moving_mean()[0] == Approx(0.01));
  // Names are made unique where none was given.
  for (int i = 0; i < 2; ++i) tf_layers::batch_normalization<double>(x.view(), store);
  CHECK(store.has("batch_normalization"));
  CHECK(store.has("batch_normalization_1"));
  CHECK_THROWS_WITH(store.layer("other"), ContainsSubstring("no layer 'other', there are: bn, batch_normalization"));
}
