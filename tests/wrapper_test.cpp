// Wrappers: every hook of the bases goes on to the inner object.

#include <pushforward/bijectors/invert.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/embedded_context.hpp>
#include <pushforward/distributions/standardized_context.hpp>
#include <pushforward/flows/builders.hpp>
#include <pushforward/training/prepare.hpp>
#include <pushforward/wrapper.hpp>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "src/core/evaluate.hpp"
#include "tests/catch.hpp"
#include "tests/shake.hpp"

using namespace pushforward;

namespace {

const std::filesystem::path headers = std::filesystem::path(PUSHFORWARD_TEST_DATA) / "../../include/pushforward";

std::string text_of(const std::filesystem::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// What a header declares as virtual, so that a hook that comes later is asked for.
std::set<std::string> hooks_of(const std::string& header, const std::string& until = "") {
  std::string text = text_of(headers / header);
  if (!until.empty()) text.resize(text.find(until));
  static const std::regex hook("virtual [^;{(]*\\b(do_\\w+)\\(");
  std::set<std::string> names;
  for (std::sregex_iterator i(text.begin(), text.end(), hook), end; i != end; ++i) names.insert((*i)[1]);
  return names;
}

using Calls = std::set<std::string>;
using Results = std::map<std::string, std::vector<double>>;

/// Says which of its hooks were called, and gives values that no default gives.
class Recorder final : public Distribution<double>, private Prefixes<double> {
 public:
  explicit Recorder(Calls* calls) : Distribution<double>("Recorder", 2, 1), calls_(calls) {}

 private:
  void called(const char* hook) const { calls_->insert(hook); }
  Var<double> constant(Pass<double>& pass, double value) const {
    const Var<double> y = pass.tape().matrix(2, false);
    for (Index c = 0; c < 2; ++c)
      std::fill_n(pass.tape().value(y, c), pass.tape().padded_rows(), value + static_cast<double>(c));
    return y + row_of(pass.context());
  }
  static Var<double> row_of(Var<double> context) { return gather_columns(context, std::vector<std::int64_t>{0, 0}); }
  static void fill(VectorView<double> out, double value) {
    for (Index i = 0; i < out.size(); ++i) out[i] = value + static_cast<double>(i);
  }
  static void fill(MatrixView<double> out, double value) {
    for (Index c = 0; c < out.cols(); ++c)
      for (Index i = 0; i < out.rows(); ++i) out(i, c) = value + static_cast<double>(i) + 0.1 * static_cast<double>(c);
  }
  Column<double> do_log_prob(Pass<double>& pass, Var<double> y) const override {
    called("do_log_prob");
    return row_sum(y * 2.0 + constant(pass, 10));
  }
  Var<double> do_sample(Pass<double>& pass) const override {
    called("do_sample");
    return constant(pass, 20);
  }
  bool do_propose_start(Pass<double>&, Var<double>, const double*) const override {
    called("do_propose_start");
    return true;
  }
  Drawn<double> do_sample_and_log_prob(Pass<double>& pass) const override {
    called("do_sample_and_log_prob");
    return {constant(pass, 30), row_sum(constant(pass, 31))};
  }
  const Prefixes<double>* do_prefixes() const override {
    called("do_prefixes");
    return this;
  }
  std::vector<std::int64_t> do_triangular_order() const override {
    called("do_triangular_order");
    return {1, 0};
  }
  Column<double> do_marginal_log_prob(Pass<double>& pass, Var<double> y, std::span<const std::int64_t>) const override {
    called("do_marginal_log_prob");
    return row_sum(y) + row_sum(constant(pass, 40));
  }
  Var<double> do_sample_given(Pass<double>& pass, Var<double> y, std::span<const std::int64_t> columns) const override {
    called("do_sample_given");
    return replace_columns(constant(pass, 50), y, columns);
  }
  bool do_is_reparameterized() const override {
    called("do_is_reparameterized");
    return false;
  }
  Estimate do_estimates() const override {
    called("do_estimates");
    return Estimate::log_density;
  }
  Space do_support() const override {
    called("do_support");
    return Space::box(2, {-1000, 2000});
  }
  void do_mean(VectorView<double> out) const override {
    called("do_mean");
    fill(out, 60);
  }
  void do_variance(VectorView<double> out) const override {
    called("do_variance");
    fill(out, 70);
  }
  void do_covariance(MatrixView<double> out) const override {
    called("do_covariance");
    fill(out, 80);
  }
  void do_mode(VectorView<double> out) const override {
    called("do_mode");
    fill(out, 90);
  }
  double do_entropy() const override {
    called("do_entropy");
    return 100;
  }
  std::optional<double> do_kl_divergence(const Distribution<double>&) const override {
    called("do_kl_divergence");
    return 110;
  }
  void do_tails(Tail tail, MatrixView<const double>, MatrixView<double> out) const override {
    called("do_tails");
    fill(out, 120 + 10 * static_cast<double>(tail));
  }
  void do_quantiles(bool complement, MatrixView<const double>, MatrixView<double> out) const override {
    called("do_quantiles");
    fill(out, complement ? 160 : 170);
  }
  void do_fields(Fields<double>& f) override { f.type("recorder"); }

  Calls* calls_;
};

template <class M>
std::vector<double> numbers(const M& m) {
  std::vector<double> all;
  for (Index c = 0; c < m.cols(); ++c)
    for (Index i = 0; i < m.rows(); ++i) all.push_back(m(i, c));
  return all;
}
std::vector<double> numbers(const Space& space) {
  std::vector<double> all;
  for (const Interval& i : space.bounds()) all.insert(all.end(), {i.low, i.high});
  return all;
}
template <class L>
std::vector<double> listed(const L& list) {
  return {list.begin(), list.end()};
}

/// Every public call of a distribution.
Results walk(const Distribution<double>& d) {
  Results r;
  const Matrix<double> y{{1, 2}, {3, 4}, {5, 6}}, context{{0.5}, {-1}, {2}}, first = context.topRows(1);
  const Matrix<double> p = Matrix<double>::Constant(3, 2, 0.25);
  Engine engine(1);
  r["log_prob"] = numbers(d.log_prob(y, context));
  const LogProbAndGradient<double> g = d.log_prob_and_gradient(y, context);
  r["log_prob_and_gradient"] = numbers(g.log_prob);
  r["gradient"] = numbers(g.gradient);
  r["context_gradient"] = numbers(g.context_gradient);
  const LogProbEstimate<double> estimate = d.log_prob(y, engine, 2, context);
  r["log_prob with an engine"] = numbers(estimate.value);
  r["its error"] = numbers(estimate.standard_error);
  r["sample"] = numbers(d.sample(3, engine, first));
  r["sample_each"] = numbers(d.sample_each(context, engine));
  const SamplesAndLogProb<double> drawn = d.sample_and_log_prob(3, engine, first);
  r["sample_and_log_prob"] = numbers(drawn.samples);
  r["sample_and_log_prob, log_prob"] = numbers(drawn.log_prob);
  r["triangular_order"] = listed(d.triangular_order());
  r["prefix_log_prob"] = numbers(d.prefix_log_prob(y.leftCols(1), context));
  r["sample_given_prefix"] = numbers(d.sample_given_prefix(y.leftCols(1), engine, context));
  r["mean"] = numbers(d.mean());
  r["variance"] = numbers(d.variance());
  r["covariance"] = numbers(d.covariance());
  r["mode"] = numbers(d.mode());
  r["entropy"] = {d.entropy()};
  r["kl_divergence"] = {kl_divergence<double>(d, Normal<double>(2))};
  r["cdf"] = numbers(d.cdf(y));
  r["survival"] = numbers(d.survival(y));
  r["log_cdf"] = numbers(d.log_cdf(y));
  r["log_survival"] = numbers(d.log_survival(y));
  r["quantile"] = numbers(d.quantile(p));
  r["quantile_complement"] = numbers(d.quantile_complement(p));
  r["is_reparameterized"] = {static_cast<double>(d.is_reparameterized())};
  r["estimates"] = {static_cast<double>(d.estimates())};
  r["support"] = numbers(d.support());
  r["event_shape"] = listed(d.event_shape());
  r["context_dim"] = {static_cast<double>(d.context_dim())};
  Workspace memory;
  Tape<double> tape(Tape<double>::Mode::evaluate, {memory.batch, memory.local}, 3);
  Pass<double> pass(tape, {.context = detail::load(tape, MatrixView<const double>(context), false)});
  const std::vector<double> weights(3, 1.0);
  r["propose_start"] = {static_cast<double>(
      d.propose_start(pass, detail::load(tape, MatrixView<const double>(y), false), weights.data()))};
  return r;
}

class BijectorRecorder final : public Bijector<double> {
 public:
  explicit BijectorRecorder(Calls* calls) : Bijector<double>("BijectorRecorder", 2, {3}, 1), calls_(calls) {}

 private:
  void called(const char* hook) const { calls_->insert(hook); }
  static Var<double> columns(Var<double> x, std::vector<std::int64_t> which) { return gather_columns(x, which); }
  Mapped<double> do_forward(Pass<double>& pass, Var<double> x) const override {
    called("do_forward");
    return {columns(x, {0, 1, 0}) + columns(pass.context(), {0, 0, 0}), row_sum(x)};
  }
  Mapped<double> do_inverse(Pass<double>& pass, Var<double> y) const override {
    called("do_inverse");
    return {columns(y, {2, 1}) * 3.0 - columns(pass.context(), {0, 0}), row_sum(y * 5.0)};
  }
  int do_min_event_ndims() const override {
    called("do_min_event_ndims");
    return -7;
  }
  bool do_is_elementwise() const override {
    called("do_is_elementwise");
    return true;
  }
  bool do_is_constant_jacobian() const override {
    called("do_is_constant_jacobian");
    return true;
  }
  bool do_is_constant_log_det() const override {
    called("do_is_constant_log_det");
    return false;
  }
  std::vector<bool> do_is_increasing() const override {
    called("do_is_increasing");
    return {true, false, true};
  }
  bool do_has_forward() const override {
    called("do_has_forward");
    return false;
  }
  bool do_has_inverse() const override {
    called("do_has_inverse");
    return true;
  }
  Space do_domain() const override {
    called("do_domain");
    return Space::box(2, {-10, 20});
  }
  Space do_codomain() const override {
    called("do_codomain");
    return Space::box(3, {-30, 40});
  }
  Space do_image(bool forward, const Space& from) const override {
    called("do_image");
    return Space::box(forward ? 3 : 2, {from[0].low - 1, from[0].high + (forward ? 2 : 3)});
  }
  double do_log_scale_bound() const override {
    called("do_log_scale_bound");
    return 123;
  }
  Estimate do_estimates() const override {
    called("do_estimates");
    return Estimate::log_density;
  }
  std::vector<std::int64_t> do_triangular_order() const override {
    called("do_triangular_order");
    return {2, 0, 1};
  }
  Var<double> do_log_derivative(bool forward, Pass<double>&, Var<double> in) const override {
    called("do_log_derivative");
    return in * (forward ? 2.0 : 3.0);
  }
  void do_fields(Fields<double>& f) override { f.type("bijector_recorder"); }

  Calls* calls_;
};

/// Every public call of a bijector; `swapped`: each by the name of the call in the other direction.
Results walk(const Bijector<double>& b, bool swapped = false) {
  Results r;
  const Matrix<double> context{{0.5}, {-1}};
  const auto map = [&](bool forward, const std::string& name) {
    const Matrix<double> in = Matrix<double>::Constant(2, forward ? b.base_dim() : b.dim(), 1.5);
    const MappedRows<double> m = forward ? b.forward(in, context) : b.inverse(in, context);
    r[name] = numbers(m.value);
    r[name + ", log_det"] = numbers(m.log_det);
    Workspace memory;
    Tape<double> tape(Tape<double>::Mode::evaluate, {memory.batch, memory.local}, 2);
    Pass<double> pass(tape, {});
    const Var<double> d = b.log_derivative(forward, pass, detail::load(tape, MatrixView<const double>(in), false));
    for (Index c = 0; c < d.cols(); ++c) r[name + ", log_derivative"].push_back(tape.value(d, c)[0]);
  };
  map(true, swapped ? "inverse" : "forward");
  map(false, swapped ? "forward" : "inverse");
  const std::string forward = swapped ? "inverse" : "forward", inverse = swapped ? "forward" : "inverse";
  r[forward + "_min_event_ndims"] = {static_cast<double>(b.forward_min_event_ndims())};
  r[inverse + "_min_event_ndims"] = {static_cast<double>(b.inverse_min_event_ndims())};
  r["has_" + forward] = {static_cast<double>(b.has_forward())};
  r["has_" + inverse] = {static_cast<double>(b.has_inverse())};
  r[swapped ? "codomain" : "domain"] = numbers(b.domain());
  r[swapped ? "domain" : "codomain"] = numbers(b.codomain());
  r[swapped ? "preimage" : "image"] = numbers(b.image(b.domain()));
  r[swapped ? "image" : "preimage"] = numbers(b.preimage(b.codomain()));
  r[swapped ? "base_event_shape" : "event_shape"] = listed(b.event_shape());
  r[swapped ? "event_shape" : "base_event_shape"] = listed(b.base_event_shape());
  r["is_elementwise"] = {static_cast<double>(b.is_elementwise())};
  r["is_constant_jacobian"] = {static_cast<double>(b.is_constant_jacobian())};
  r["is_constant_log_det"] = {static_cast<double>(b.is_constant_log_det())};
  r["is_increasing"] = listed(b.is_increasing());
  r["triangular_order"] = listed(b.triangular_order());
  r["log_scale_bound"] = {b.log_scale_bound()};
  r["estimates"] = {static_cast<double>(b.estimates())};
  r["context_dim"] = {static_cast<double>(b.context_dim())};
  return r;
}

class Around final : public Wrapper<Distribution<double>> {
 public:
  explicit Around(Poly<Distribution<double>> inner) : Wrapper("Around", std::move(inner)) {}
};
class BijectorAround final : public Wrapper<Bijector<double>> {
 public:
  explicit BijectorAround(Poly<Bijector<double>> inner) : Wrapper("BijectorAround", std::move(inner)) {}
};

void check_same(const Results& got, const Results& expected) {
  REQUIRE(got.size() == expected.size());
  for (const auto& [name, values] : expected) {
    INFO(name);
    CHECK(got.at(name) == values);
  }
}

/// The identity, as an embedding.
class Itself final : public Network<double> {
 public:
  Itself() : Network<double>("Itself", 1, 1, 0) {}

 private:
  Var<double> do_evaluate(Pass<double>&, Var<double> x) const override { return x; }
  void do_fields(Fields<double>& f) override { f.type("itself"); }
};

}  // namespace

TEST_CASE("distributions around another one forward every hook", "[wrapper]") {
  Calls calls;
  const Recorder inner(&calls);
  const Results expected = walk(inner);
  const Calls hooks = hooks_of("distribution.hpp");
  CHECK(hooks.size() >= 19);
  CHECK(calls == hooks);
  const std::vector<double> shift{0}, scale{1};
  const std::vector<Poly<Distribution<double>>> wrappers{Around(inner),
                                                         StandardizedContext<double>(inner, shift, scale),
                                                         EmbeddedContext<double>(inner, Itself())};
  for (const Poly<Distribution<double>>& wrapper : wrappers) {
    INFO(wrapper->name());
    calls.clear();
    check_same(walk(*wrapper), expected);
    CHECK(calls == hooks);
    CHECK(wrapper->name().ends_with("(Recorder)"));
  }
}

TEST_CASE("bijectors around another one forward every hook", "[wrapper]") {
  Calls calls;
  const BijectorRecorder inner(&calls);
  const Calls hooks = hooks_of("bijector.hpp", "class ElementwiseBijector");
  const Results expected = walk(inner), swapped = walk(inner, true);
  CHECK(hooks.size() >= 16);
  CHECK(calls == hooks);
  calls.clear();
  check_same(walk(BijectorAround(inner)), expected);
  CHECK(calls == hooks);
  calls.clear();
  check_same(walk(Invert<double>(inner)), swapped);
  CHECK(calls == hooks);
}

TEST_CASE("no wrapper of the library is left out", "[wrapper]") {
  std::set<std::string> found;
  for (const auto& file : std::filesystem::recursive_directory_iterator(headers))
    if (file.is_regular_file() && text_of(file.path()).find(" final : public Wrapper<") != std::string::npos &&
        file.path().stem() != "wrapper")
      found.insert(file.path().stem());
  // What Quantized takes from its inner object is in quantized_test.
  CHECK(found == std::set<std::string>{"embedded_context", "invert", "quantized", "standardized_context"});
}

TEST_CASE("prefixes of a prepared conditional flow", "[wrapper][prefix]") {
  TransformedDistribution<double> flow =
      maf<double>(3, {.layers = 2, .hidden = 12, .context_dim = 2, .mixing = Mixing::none, .seed = 6});
  flow_tests::shake(flow, 0.2);
  Engine engine(2);
  Eigen::MatrixXd y = Normal<double>(3).sample(200, engine), context = Normal<double>(2).sample(200, engine);
  y = (y.array() * 3 + 5).matrix();
  context = (context.array() * 0.1 - 7).matrix();
  const TransformedDistribution<double> model =
      prepare_and_fit(flow, y, {}, {.epochs = 0, .context = context}).model;
  const auto& standardized = dynamic_cast<const StandardizedContext<double>&>(model.base());
  const Eigen::MatrixXd few = y.topRows(6), raw = context.topRows(6);
  Eigen::MatrixXd seen = raw;
  for (Index c = 0; c < 2; ++c) seen.col(c) = (raw.col(c).array() - standardized.shift()[c]) / standardized.scale()[c];
  const Eigen::MatrixXd x = model.bijector().inverse(few).value;
  const Eigen::VectorXd whole = model.prefix_log_prob(few, raw), expected = model.log_prob(few, raw);
  for (Index i = 0; i < 6; ++i) CHECK(whole[i] == Approx(expected[i]).epsilon(1e-12));
  // The map from data to the flow's side has a fixed slope for each column.
  const Eigen::MatrixXd step = model.bijector().inverse(Eigen::MatrixXd(few.array() + 1)).value - x;
  for (Index k = 1; k < 3; ++k) {
    const Eigen::VectorXd got = model.prefix_log_prob(few.leftCols(k), raw);
    const Eigen::VectorXd inner = flow.prefix_log_prob(x.leftCols(k), seen);
    for (Index i = 0; i < 6; ++i)
      CHECK(got[i] == Approx(inner[i] + step.row(i).head(k).array().log().sum()).epsilon(1e-10));
    Engine a(9), b(9);
    const Eigen::MatrixXd drawn = model.sample_given_prefix(few.leftCols(k), a, raw);
    const Eigen::MatrixXd base = flow.sample_given_prefix(x.leftCols(k), b, seen);
    CHECK((model.bijector().forward(base).value - drawn).cwiseAbs().maxCoeff() < 1e-9);
    CHECK(drawn.leftCols(k) == few.leftCols(k));
  }
}
