// The bijector BatchNormalization: the numbers of TFP, nflows, pyro and normflows.

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <pushforward/bijectors/batch_normalization.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/catch.hpp"
#include "tests/bijectors.hpp"

using namespace pushforward;
using namespace bijector_tests;

TEST_CASE("batch normalisation agrees with TensorFlow Probability") {
  for (const std::string name : {"tfp_batch_norm_2d", "tfp_batch_norm_2d_other_constants"}) {
    INFO(name);
    const auto o = oracle(name);
    const auto& w = o["weights"];
    const Matrix<double> y = matrix(o["y"]), x = matrix(o["x"]), up = matrix(o["upstream_x"]);
    const Index rows = y.rows(), dim = y.cols();
    BatchNormalization<double> bn(dim,
                                  {.epsilon = o["settings"]["epsilon"], .momentum = o["settings"]["momentum_of_old"]});
    const std::vector<double> gamma = numbers(w["gamma"]);
    set<double>(bn, "log_gamma", mapped(gamma, [](double g) { return std::log(g); }));
    set<double>(bn, "beta", numbers(w["beta"]));
    bn.set_population(numbers(w["moving_mean"]), numbers(w["moving_variance"]));
    check_close(bn.gamma().values(), gamma, 1e-15);
    // One scalar log_det there: all of its upstream gradient goes to one row here.
    Matrix<double> up_log_det = Matrix<double>::Zero(rows, 1);
    up_log_det(0, 0) = o["settings"]["upstream_log_det"];
    const Matrix<double> none = Matrix<double>::Zero(rows, dim), no_log_det = Matrix<double>::Zero(rows, 1);
    const auto times_gamma = [&](std::vector<double> g) {
      for (std::size_t c = 0; c < g.size(); ++c) g[c] *= gamma[c];
      return g;
    };
    for (const bool training : {true, false}) {
      const auto& out = o["outputs"][training ? "training" : "inference"];
      const Statistics statistics = training ? Statistics::minibatch : Statistics::running;
      const auto r = record<double>(bn, false, y, up, no_log_det, statistics);
      check_close(r.value, matrix(out["inverse_x"]), 1e-12);
      check_close(r.log_det, std::vector<double>(static_cast<std::size_t>(rows), out["inverse_log_det"]), 1e-12);
      check_close(r.gradient, matrix(out["gradient_y_of_x"]), 1e-11);
      check_close(r.parameters[0], times_gamma(numbers(out["gradient_gamma_of_x"])), 1e-12);
      check_close(r.parameters[1], numbers(out["gradient_beta_of_x"]), 1e-12);
      const auto d = record<double>(bn, false, y, none, up_log_det, statistics);
      check_close(d.gradient, matrix(out["gradient_y_of_log_det"]), 1e-12);
      check_close(d.parameters[0], times_gamma(numbers(out["gradient_gamma_of_log_det"])), 1e-12);
      // Always the moving statistics, and never an update.
      const auto f = record<double>(bn, true, x, none, no_log_det, statistics);
      check_close(f.value, matrix(out["forward_y"]), 1e-12);
      check_close(f.log_det, std::vector<double>(static_cast<std::size_t>(rows), out["forward_log_det"]), 1e-12);
      CHECK(f.proposals.values.empty());
      CHECK(r.proposals.values.size() == (training ? 2u : 0u));
      if (!training) continue;
      BatchNormalization<double> updated = bn;
      commit<double>(updated, record<double>(updated, false, y, up, no_log_det, statistics).proposals);
      check_close(updated.moving_mean().values(), numbers(out["moving_mean_after_in_double"]), 1e-13);
      check_close(updated.moving_variance().values(), numbers(out["moving_variance_after_in_double"]), 1e-13);
    }
  }
}

TEST_CASE("batch normalisation with running statistics agrees with nflows 0.14") {
  const auto o = oracle("nflows_batch_norm_running");
  BatchNormalization<double> bn(4);
  CHECK(bn.batchnorm().options().epsilon == 1e-5);
  set<double>(bn, "log_gamma", mapped(numbers(o["outputs"]["gamma"]), [](double g) { return std::log(g); }));
  set<double>(bn, "beta", numbers(o["weights"]["bias"]));
  bn.set_population(numbers(o["weights"]["running_mean"]), numbers(o["weights"]["running_var"]));
  const auto inverse = bn.inverse(matrix(o["y"]));
  check_close(inverse.value, matrix(o["outputs"]["inverse_x"]), 1e-12);
  check_close(inverse.log_det, numbers(o["outputs"]["inverse_log_det"]), 1e-12);
  const auto forward = bn.forward(matrix(o["x"]));
  check_close(forward.value, matrix(o["outputs"]["forward_y"]), 1e-12);
  check_close(forward.log_det, numbers(o["outputs"]["forward_log_det"]), 1e-12);
}

// ------------------------------------------------------------------------- batch normalisation of events, as TFP has
// it

namespace {

template <Scalar T>
void run_tfp(const nlohmann::json& c) {
  const std::vector<Index> shape = c.at("shape").get<std::vector<Index>>();
  const Index rows = shape[0];
  const std::vector<Index> event(shape.begin() + 1, shape.end());
  BatchNormLayerOptions options;
  const auto& o = c.at("options");
  if (o.contains("axis")) options.axis = o.at("axis").get<std::vector<Index>>();
  options.momentum = o.value("momentum", options.momentum);
  options.epsilon = o.value("epsilon", options.epsilon);
  options.center = o.value("center", true);
  BatchNormLayer<T> layer(options);
  std::vector<Index> built = event;
  built.insert(built.begin(), -1);
  layer.build(built);
  for (const auto& [name, value] : c.at("state").items()) {
    const std::vector<double> values = numbers(value);
    Tensor<T>& variable = layer.variable(name);
    REQUIRE(static_cast<Index>(values.size()) == variable.size());
    std::transform(values.begin(), values.end(), variable.data(), [](double v) { return static_cast<T>(v); });
  }
  BatchNormalization<T> bn(event, layer);
  const Index dim = bn.dim();
  CHECK(bn.forward_min_event_ndims() == static_cast<int>(options.axis.size()));
  const auto rows_of = [&](const nlohmann::json& flat) {
    const std::vector<double> values = numbers(flat);
    Matrix<T> m(rows, dim);
    for (Index i = 0; i < rows; ++i)
      for (Index k = 0; k < dim; ++k) m(i, k) = static_cast<T>(values[static_cast<std::size_t>(i * dim + k)]);
    return m;
  };
  const auto near = [&](const Matrix<T>& got, const Matrix<T>& expected) {
    const double scale = 1 + static_cast<double>(expected.cwiseAbs().maxCoeff());
    CHECK(static_cast<double>((got - expected).cwiseAbs().maxCoeff()) <= (sizeof(T) == 4 ? 1e-5 : 1e-10) * scale);
  };
  const auto near_values = [&](const std::vector<T>& got, const nlohmann::json& expected) {
    const std::vector<double> values = numbers(expected);
    REQUIRE(got.size() == values.size());
    for (std::size_t i = 0; i < got.size(); ++i)
      CHECK(static_cast<double>(got[i]) ==
            Approx(values[i]).epsilon(sizeof(T) == 4 ? 2e-5 : 1e-10).margin(sizeof(T) == 4 ? 3e-5 : 1e-10));
  };
  const auto& out = c.at("outputs");
  const Statistics statistics = c.at("mode") == "training" ? Statistics::minibatch : Statistics::running;
  const Matrix<T> y = rows_of(c.at("x")[0]), x = rows_of(c.at("base_x")), up = rows_of(c.at("dy"));
  Matrix<T> one_log_det = Matrix<T>::Zero(rows, 1);
  const Matrix<T> nothing = Matrix<T>::Zero(rows, dim), no_log_det = Matrix<T>::Zero(rows, 1);
  one_log_det(0, 0) = static_cast<T>(c.at("upstream_log_det").get<double>());

  const auto r = record<T>(bn, false, y, up, no_log_det, statistics);
  near(r.value, rows_of(out.at("inverse")));
  for (Index i = 0; i < rows; ++i)
    CHECK(r.log_det[i] ==
          Approx(out.at("inverse_log_det_jacobian").get<double>()).epsilon(sizeof(T) == 4 ? 1e-5 : 1e-10).margin(1e-6));
  near(r.gradient, rows_of(out.at("inverse_dx")));
  near_values(r.parameters[0], out.at("inverse_dgamma"));
  if (options.center) near_values(r.parameters[1], out.at("inverse_dbeta"));
  const auto d = record<T>(bn, false, y, nothing, one_log_det, statistics);
  near(d.gradient, rows_of(out.at("ildj_dx")));
  near_values(d.parameters[0], out.at("ildj_dgamma"));
  const auto f = record<T>(bn, true, x, nothing, no_log_det, statistics);
  near(f.value, rows_of(out.at("forward")));
  CHECK(f.log_det[0] ==
        Approx(out.at("forward_log_det_jacobian").get<double>()).epsilon(sizeof(T) == 4 ? 1e-5 : 1e-10).margin(1e-6));
  CHECK(f.proposals.values.empty());
  commit<T>(bn, r.proposals);
  for (const char* name : {"moving_mean", "moving_variance"}) {
    const auto values = bn.batchnorm().variable(name).values();
    near_values(std::vector<T>(values.begin(), values.end()), out.at(name));
  }
}

}  // namespace

TEST_CASE("batch normalisation: TFP's numbers for events of any rank, training and inference") {
  const auto file = oracle("batch_norm_tfp");
  std::map<std::pair<std::string, std::string>, std::set<std::vector<Index>>> shapes;
  int refusals = 0;
  for (const auto& c : file.at("cases")) {
    INFO(c.at("feature") << ", " << c.at("mode") << ", shape " << c.at("shape") << ", options " << c.at("options"));
    if (c.at("mode") == "refusal") {
      ++refusals;
      continue;
    }
    shapes[{c.at("feature"), c.at("mode")}].insert(c.at("shape").get<std::vector<Index>>());
    run_tfp<double>(c);
    run_tfp<float>(c);
  }
  CHECK(shapes.size() == 8);
  for (const auto& [cell, found] : shapes) CHECK(found.size() >= 3);
  CHECK(refusals == 5);
}

namespace {

/// nflows, pyro and normflows: (system's name of a variable, ours).
struct TorchFlow {
  std::string system;
  GammaMap gamma_map;
  double momentum, epsilon;
  std::vector<std::pair<std::string, std::string>> names;
};

template <Scalar T>
void run_torch_flow(const TorchFlow& flow, const nlohmann::json& c) {
  const std::vector<Index> shape = c.at("shape").get<std::vector<Index>>();
  const Index rows = shape[0];
  const std::vector<Index> event(shape.begin() + 1, shape.end());
  const auto& o = c.at("options");
  const bool parameters = !flow.names.empty();
  BatchNormLayerOptions options;
  for (const char* name : {"eps", "epsilon"})
    if (o.contains(name)) options.epsilon = o.at(name);
  if (!o.contains("eps") && !o.contains("epsilon")) options.epsilon = flow.epsilon;
  options = batch_norm_convention(parameters ? flow.system : "nflows", o.value("momentum", flow.momentum), options);
  options.gamma_map = flow.gamma_map;
  options.center = options.scale = parameters;
  options.axis.clear();  // every entry by itself
  for (std::size_t axis = 1; axis < shape.size(); ++axis) options.axis.push_back(static_cast<Index>(axis));
  std::vector<Index> built = event;
  built.insert(built.begin(), -1);
  BatchNormLayer<T> layer(built, options);
  for (const auto& [theirs, ours] : flow.names) {
    const std::vector<double> values = numbers(c.at("state").at(theirs));
    std::transform(values.begin(), values.end(), layer.variable(ours).data(),
                   [](double v) { return static_cast<T>(v); });
  }
  BatchNormalization<T> bn(event, layer);
  const auto near = [&](const char* what, auto&& got, const nlohmann::json& expected_json) {
    INFO(what);
    const std::vector<double> expected = numbers(expected_json);
    double scale = 1;
    for (const double v : expected) scale = std::max(scale, std::abs(v));
    for (std::size_t i = 0; i < expected.size(); ++i) {
      INFO("value " << i);
      CHECK(std::abs(static_cast<double>(got(i)) - expected[i]) <= (sizeof(T) == 4 ? 1e-5 : 1e-10) * scale);
    }
  };
  const auto rows_of = [&](const nlohmann::json& flat) {
    const std::vector<double> values = numbers(flat);
    Matrix<T> m(rows, bn.dim());
    for (Index i = 0; i < rows; ++i)
      for (Index k = 0; k < bn.dim(); ++k) m(i, k) = static_cast<T>(values[static_cast<std::size_t>(i * bn.dim() + k)]);
    return m;
  };
  const auto at = [&](const Matrix<T>& m) {
    return [&m](std::size_t i) { return m(static_cast<Index>(i) / m.cols(), static_cast<Index>(i) % m.cols()); };
  };
  const auto& out = c.at("outputs");
  const bool training = c.at("mode") == "training";
  const Statistics statistics = training ? Statistics::minibatch : Statistics::running;
  const Matrix<T> y = rows_of(c.at("x")[0]), nothing = Matrix<T>::Zero(rows, bn.dim());
  const auto r = record<T>(bn, false, y, rows_of(c.at("dy")), Matrix<T>::Zero(rows, 1), statistics);
  near("x", at(r.value), out.at("x"));
  near("dx", at(r.gradient), out.at("dx"));
  const auto parameter = [&](std::size_t k) { return [&r, k](std::size_t i) { return r.parameters[k][i]; }; };
  if (flow.system == "nflows") {
    near("dunconstrained_weight", parameter(0), out.at("dunconstrained_weight"));
    near("dbias", parameter(1), out.at("dbias"));
  } else if (flow.system == "pyro") {
    near("dgamma", parameter(0), out.at("dgamma"));
    near("dbeta", parameter(1), out.at("dbeta"));
    double sum = 0;
    for (const double v : numbers(out.at("log_abs_det_jacobian"))) sum -= v;
    CHECK(r.log_det[0] == Approx(sum).epsilon(sizeof(T) == 4 ? 2e-6 : 1e-10));
  }
  if (out.contains("log_det")) {
    near(
        "log_det", [&](std::size_t i) { return r.log_det[static_cast<Index>(i)]; }, out.at("log_det"));
    Matrix<T> up(rows, 1);
    const std::vector<double> given = numbers(c.at("upstream_log_det"));
    for (Index i = 0; i < rows; ++i) up(i, 0) = static_cast<T>(given[static_cast<std::size_t>(i)]);
    const auto d = record<T>(bn, false, y, nothing, up, statistics);
    near("log_det_dx", at(d.gradient), out.at("log_det_dx"));
  }
  for (const char* name : {"inverse_y", "forward_y"})
    if (out.contains(name)) near(name, at(bn.forward(rows_of(c.at("base_x"))).value), out.at(name));
  if (training) commit<T>(bn, r.proposals);
  for (const auto& [theirs, ours] : flow.names)
    if (out.contains(theirs))
      near(
          theirs.c_str(), [&](std::size_t i) { return bn.batchnorm().variable(ours)[static_cast<Index>(i)]; },
          out.at(theirs));
}

}  // namespace

TEST_CASE("batch normalisation: the numbers of nflows, pyro and normflows by their conventions") {
  const std::vector<TorchFlow> flows{{"nflows",
                                      GammaMap::softplus,
                                      0.1,
                                      1e-5,
                                      {{"unconstrained_weight", "raw_gamma"},
                                       {"bias", "beta"},
                                       {"running_mean", "moving_mean"},
                                       {"running_var", "moving_variance"}}},
                                     {"pyro",
                                      GammaMap::relu_floor,
                                      0.1,
                                      1e-5,
                                      {{"gamma", "raw_gamma"},
                                       {"beta", "beta"},
                                       {"moving_mean", "moving_mean"},
                                       {"moving_variance", "moving_variance"}}},
                                     {"normflows", GammaMap::identity, 0.1, 1e-10, {}}};
  for (const TorchFlow& flow : flows) {
    const auto file = oracle("batch_norm_" + flow.system);
    std::map<std::pair<std::string, std::string>, std::set<std::vector<Index>>> shapes;
    for (const auto& c : file.at("cases")) {
      if (c.at("mode") == "refusal") continue;
      INFO(flow.system << ": " << c.at("feature") << ", " << c.at("mode") << ", shape " << c.at("shape"));
      shapes[{c.at("feature"), c.at("mode")}].insert(c.at("shape").get<std::vector<Index>>());
      run_torch_flow<double>(flow, c);
      run_torch_flow<float>(flow, c);
    }
    CHECK(shapes.size() == (flow.system == "nflows" ? 4u : flow.system == "pyro" ? 6u : 2u));
    for (const auto& [cell, found] : shapes) CHECK(found.size() >= 3);
  }
}
