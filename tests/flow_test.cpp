// Whole flows: against other libraries, density against samples, and the same bits for any number of threads.

#include <algorithm>
#include <boost/math/distributions/logistic.hpp>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>
#include <pushforward/bijectors/affine.hpp>
#include <pushforward/bijectors/batch_normalization.hpp>
#include <pushforward/bijectors/chain.hpp>
#include <pushforward/bijectors/coupling.hpp>
#include <pushforward/bijectors/masked_autoregressive.hpp>
#include <pushforward/bijectors/permute.hpp>
#include <pushforward/distributions/logistic.hpp>
#include <pushforward/distributions/multivariate_normal_diag.hpp>
#include <pushforward/distributions/student_t.hpp>
#include <pushforward/flows/builders.hpp>
#include <pushforward/nn/mlp.hpp>
#include <pushforward/nn/residual_network.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tests/catch.hpp"
#include "tests/oracle.hpp"
#include "tests/shake.hpp"

using namespace pushforward;
using flow_tests::shake;

namespace {

/// nflows' scalar maps: x = scale(u) y + shift. A user's transformer: no gradient code.
class NflowsTransformer final : public Transformer<double> {
 public:
  enum class Scale { softplus, sigmoid };
  explicit NflowsTransformer(Scale scale) : Transformer<double>("NflowsTransformer", 2), scale_(scale) {}

 private:
  Var<double> scale(Var<double> u) const { return (scale_ == Scale::softplus ? softplus(u) : sigmoid(u + 2.0)) + 1e-3; }
  Elements do_forward(Pass<double>&, Var<double> x, std::span<const Var<double>> p) const override {
    const Var<double> s = scale(p[1]);
    return {(x - p[0]) / s, -log(s)};
  }
  Elements do_inverse(Pass<double>&, Var<double> y, std::span<const Var<double>> p) const override {
    const Var<double> s = scale(p[1]);
    return {s * y + p[0], log(s)};
  }
  double do_log_scale_bound() const override { return std::numeric_limits<double>::infinity(); }
  void do_fields(Fields<double>& f) override { f.type("nflows"); }

  Scale scale_;
};

/// Rows 2i (scale) and 2i + 1 (shift) of nflows' last layer in our order: all shifts, then all scales.
Eigen::MatrixXd by_parameter(const Eigen::MatrixXd& interleaved) {
  const Eigen::Index n = interleaved.rows() / 2;
  Eigen::MatrixXd out(interleaved.rows(), interleaved.cols());
  for (Eigen::Index i = 0; i < n; ++i) {
    out.row(i) = interleaved.row(2 * i + 1);
    out.row(n + i) = interleaved.row(2 * i);
  }
  return out;
}

Eigen::MatrixXd column(const oracle::Json& j) { return oracle::vector(j); }

/// Sets the masked network under `ours` from the weights under `theirs`.
void set_made(Component<double>& tree, const std::string& ours, const oracle::Json& weights, const std::string& theirs,
              bool residual, int blocks, bool context) {
  const auto copy = [&](const std::string& to, const std::string& from) {
    oracle::set(tree, ours + to + ".weight", oracle::matrix(weights.at(theirs + from + ".weight")));
    oracle::set(tree, ours + to + ".bias", column(weights.at(theirs + from + ".bias")));
  };
  copy("initial", "initial_layer");
  if (context) copy("context", "context_layer");
  for (int b = 0; b < blocks; ++b) {
    const std::string i = std::to_string(b);
    if (residual) {
      copy("block" + i + ".linear0", "blocks." + i + ".linear_layers.0");
      copy("block" + i + ".linear1", "blocks." + i + ".linear_layers.1");
      if (context) copy("block" + i + ".context", "blocks." + i + ".context_layer");
    } else {
      copy("layer" + i, "blocks." + i + ".linear");
    }
  }
  oracle::set(tree, ours + "final.weight", by_parameter(oracle::matrix(weights.at(theirs + "final_layer.weight"))));
  oracle::set(tree, ours + "final.bias", by_parameter(column(weights.at(theirs + "final_layer.bias"))));
}

void set_residual(Component<double>& tree, const std::string& ours, const oracle::Json& weights,
                  const std::string& theirs, int blocks, bool context) {
  const auto copy = [&](const std::string& to, const std::string& from) {
    oracle::set(tree, ours + to + ".weight", oracle::matrix(weights.at(theirs + from + ".weight")));
    oracle::set(tree, ours + to + ".bias", column(weights.at(theirs + from + ".bias")));
  };
  copy("initial", "initial_layer");
  for (int b = 0; b < blocks; ++b) {
    const std::string i = std::to_string(b);
    copy("block" + i + ".linear0", "blocks." + i + ".linear_layers.0");
    copy("block" + i + ".linear1", "blocks." + i + ".linear_layers.1");
    if (context) copy("block" + i + ".context", "blocks." + i + ".context_layer");
  }
  copy("final", "final_layer");
}

void check_near(const Eigen::MatrixXd& got, const Eigen::MatrixXd& expected, double tolerance = 1e-10) {
  REQUIRE(got.rows() == expected.rows());
  REQUIRE(got.cols() == expected.cols());
  for (Eigen::Index i = 0; i < got.rows(); ++i)
    for (Eigen::Index k = 0; k < got.cols(); ++k) {
      INFO("row " << i << ", column " << k << ": got " << got(i, k) << ", expected " << expected(i, k));
      CHECK(std::abs(got(i, k) - expected(i, k)) <= tolerance * (1 + std::abs(expected(i, k))));
    }
}

/// Both directions of a bijector against an oracle's outputs.
void check_directions(const Bijector<double>& bijector, const oracle::Json& j, const Eigen::MatrixXd& context) {
  const oracle::Json& out = j.at("outputs");
  const auto inverse = bijector.inverse(oracle::matrix(j.at("y")), context);
  check_near(inverse.value, oracle::matrix(out.at("inverse_x")));
  check_near(inverse.log_det, column(out.at("inverse_log_det")));
  const auto forward = bijector.forward(oracle::matrix(j.at("x")), context);
  check_near(forward.value, oracle::matrix(out.at("forward_y")));
  check_near(forward.log_det, column(out.at("forward_log_det")));
}

}  // namespace

TEST_CASE("MaskedAutoregressive agrees with nflows") {
  for (const std::string kind : {"residual", "feedforward"})
    for (const std::string activation : {"relu", "tanh"})
      for (const bool context : {false, true}) {
        const std::string name = "nflows_made_" + kind + "_" + activation + (context ? "_context" : "");
        DYNAMIC_SECTION(name) {
          const oracle::Json j = oracle::read(name);
          const bool residual = kind == "residual";
          MaskedAutoregressive<double> maf(Made<double>(5, 2,
                                                        {.hidden = 12,
                                                         .blocks = 2,
                                                         .residual = residual,
                                                         .activation = activation_from(activation),
                                                         .context_dim = context ? 3 : 0}),
                                           NflowsTransformer(NflowsTransformer::Scale::softplus));
          set_made(maf, "net.", j.at("weights"), "", residual, 2, context);
          check_directions(maf, j, context ? oracle::matrix(j.at("context")) : Eigen::MatrixXd());
        }
      }
}

TEST_CASE("Coupling agrees with nflows") {
  struct Case {
    const char* name;
    bool residual, context, additive;
  };
  for (const Case& c : {Case{"nflows_coupling_affine_residual", true, false, false},
                        Case{"nflows_coupling_affine_residual_context", true, true, false},
                        Case{"nflows_coupling_affine_mlp", false, false, false},
                        Case{"nflows_coupling_affine_mlp_context", false, true, false},
                        Case{"nflows_coupling_additive_residual", true, false, true},
                        Case{"nflows_coupling_additive_mlp_context", false, true, true}})
    DYNAMIC_SECTION(c.name) {
      const oracle::Json j = oracle::read(c.name);
      const oracle::Json& settings = j.at("settings");
      std::vector<std::int64_t> mask(5, 0);
      for (const auto& i : settings.at("identity_features")) mask[i.get<std::size_t>()] = 1;
      const Index unchanged = static_cast<Index>(settings.at("identity_features").size());
      const Index outputs = (c.additive ? 1 : 2) * (5 - unchanged);
      const Index context = settings.at("context_features").get<Index>();
      const Activation a = activation_from(settings.at("activation").get<std::string>());
      const oracle::Json& weights = j.at("weights");
      std::vector<Index> hidden;
      for (int layer = 0; !c.residual && weights.contains("layer" + std::to_string(layer + 1) + ".weight"); ++layer)
        hidden.push_back(static_cast<Index>(weights.at("layer" + std::to_string(layer) + ".bias").size()));
      Poly<Network<double>> net =
          c.residual ? Poly<Network<double>>(ResidualNetwork<double>(
                           unchanged, outputs, {.hidden = 10, .blocks = 2, .activation = a, .context_dim = context}))
                     : Poly<Network<double>>(Mlp<double>(unchanged, outputs,
                                                         {.hidden = hidden, .activation = a, .context_dim = context}));
      Poly<Transformer<double>> transformer =
          c.additive ? Poly<Transformer<double>>(AdditiveTransformer<double>())
                     : Poly<Transformer<double>>(NflowsTransformer(NflowsTransformer::Scale::sigmoid));
      Coupling<double> coupling(mask, std::move(net), std::move(transformer));
      if (c.residual)
        set_residual(coupling, "net.", weights, "", 2, c.context);
      else
        for (std::size_t layer = 0; layer <= hidden.size(); ++layer) {
          const std::string at = "layer" + std::to_string(layer);
          oracle::set(coupling, "net." + at + ".weight", oracle::matrix(weights.at(at + ".weight")));
          oracle::set(coupling, "net." + at + ".bias", column(weights.at(at + ".bias")));
        }
      if (c.additive) {  // nflows adds in the density direction, where we subtract
        const std::string last = c.residual ? "final" : "layer" + std::to_string(hidden.size());
        const std::string theirs = c.residual ? "final_layer" : last;
        oracle::set(coupling, "net." + last + ".weight", -oracle::matrix(weights.at(theirs + ".weight")));
        oracle::set(coupling, "net." + last + ".bias", -column(weights.at(theirs + ".bias")));
      }
      check_directions(coupling, j, c.context ? oracle::matrix(j.at("context")) : Eigen::MatrixXd());
    }
}

TEST_CASE("a RealNVP agrees with nflows") {
  const oracle::Json j = oracle::read("nflows_realnvp");
  std::vector<Poly<Bijector<double>>> data_first;
  for (std::size_t layer = 0; layer < 4; ++layer) {
    const oracle::Json& l = j.at("settings").at("layers")[layer];
    std::vector<std::int64_t> mask(5, 0);
    for (const auto& i : l.at("identity_features")) mask[i.get<std::size_t>()] = 1;
    const Index unchanged = static_cast<Index>(l.at("identity_features").size());
    Coupling<double> coupling(mask, ResidualNetwork<double>(unchanged, 2 * (5 - unchanged), {.hidden = 8, .blocks = 1}),
                              NflowsTransformer(NflowsTransformer::Scale::sigmoid));
    set_residual(coupling, "net.", j.at("weights"), std::to_string(layer) + ".transform_net.", 1, false);
    data_first.push_back(std::move(coupling));
  }
  std::vector<Poly<Bijector<double>>> parts(data_first.rbegin(), data_first.rend());
  const TransformedDistribution<double> flow(MultivariateNormalDiag<double>(5), Chain<double>(std::move(parts)));
  check_near(flow.log_prob(oracle::matrix(j.at("y"))), column(j.at("outputs").at("log_prob")));
  check_directions(flow.bijector(), j, {});
}

namespace {

TransformedDistribution<double> nflows_maf(const oracle::Json& j) {
  const oracle::Json& layers = j.at("settings").at("layers");
  const oracle::Json& weights = j.at("weights");
  std::vector<Poly<Bijector<double>>> data_first;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::string type = layers[i].at("type"), prefix = std::to_string(i) + ".";
    if (type == "permutation") {
      // nflows: x[:, j] = y[:, index[j]] towards the base; ours is written for the other direction.
      std::vector<std::int64_t> inverse(layers[i].at("index").size());
      for (std::size_t k = 0; k < inverse.size(); ++k) inverse[layers[i].at("index")[k].get<std::size_t>()] = k;
      data_first.push_back(Permute<double>(inverse));
    } else if (type == "batch_norm") {
      BatchNormalization<double> bn(5, {.epsilon = layers[i].at("epsilon").get<double>()});
      const Eigen::VectorXd u = oracle::vector(weights.at(prefix + "unconstrained_weight"));
      const double epsilon = layers[i].at("epsilon").get<double>();
      oracle::set(bn, "log_gamma", (u.array().exp().log1p() + epsilon).log().matrix());
      oracle::set(bn, "beta", column(weights.at(prefix + "bias")));
      oracle::set(bn, "moving_mean", column(weights.at(prefix + "running_mean")));
      oracle::set(bn, "moving_variance", column(weights.at(prefix + "running_var")));
      data_first.push_back(std::move(bn));
    } else {
      MaskedAutoregressive<double> maf(
          Made<double>(5, 2, {.hidden = 10, .blocks = 1, .residual = false, .activation = Activation::tanh}),
          NflowsTransformer(NflowsTransformer::Scale::softplus));
      set_made(maf, "net.", weights, prefix + "autoregressive_net.", false, 1, false);
      data_first.push_back(std::move(maf));
    }
  }
  std::vector<Poly<Bijector<double>>> parts(data_first.rbegin(), data_first.rend());
  return {MultivariateNormalDiag<double>(5), Chain<double>(std::move(parts))};
}

}  // namespace

TEST_CASE("a MAF with batch normalisation agrees with nflows") {
  const oracle::Json j = oracle::read("nflows_maf");
  const TransformedDistribution<double> flow = nflows_maf(j);
  check_near(flow.log_prob(oracle::matrix(j.at("y"))), column(j.at("outputs").at("log_prob")));
  check_directions(flow.bijector(), j, {});

  const oracle::Json gradient = oracle::read("nflows_maf_gradient");
  const auto g = flow.log_prob_and_gradient(oracle::matrix(j.at("y")));
  // Their loss is minus the mean over seven rows.
  check_near(-g.gradient / 7, oracle::matrix(gradient.at("outputs").at("running").at("gradient_y")));
}

// ------------------------------------------------------------------------------------------ density and samples

namespace {

template <Scalar T>
void check_density_against_samples(TransformedDistribution<T> flow, double size) {
  shake(flow, size);
  const Index n = 100000, dim = flow.dim();
  Engine engine(2024);
  Matrix<T> context;
  if (flow.context_dim() > 0) context = Matrix<T>::Constant(1, flow.context_dim(), T(0.7));
  const SamplesAndLogProb<T> drawn = flow.sample_and_log_prob(n, engine, context);
  const Eigen::MatrixXd y = drawn.samples.template cast<double>();

  // A normalised reference well inside q: a normal at the samples' mean with half their standard deviation.
  const Eigen::RowVectorXd mean = y.colwise().mean();
  const Eigen::RowVectorXd deviation =
      0.5 * ((y.rowwise() - mean).array().square().colwise().sum() / static_cast<double>(n)).sqrt();
  const Eigen::ArrayXd log_reference =
      -0.5 * ((y.rowwise() - mean).array().rowwise() / deviation.array()).square().rowwise().sum() -
      deviation.array().log().sum() - 0.5 * static_cast<double>(dim) * std::log(2 * M_PI);
  const Eigen::ArrayXd weight = (log_reference - flow.log_prob(drawn.samples, context).array()).exp();
  const double average = weight.mean();
  const double error = std::sqrt((weight - average).square().sum()) / static_cast<double>(n);
  INFO("importance weights: mean " << average << " +- " << error);
  CHECK(error < 0.1);
  CHECK(std::abs(average - 1) < 4 * error);

  // Kolmogorov-Smirnov of each column of the base against its distribution, that of the builder or of its options.
  const auto* logistic = dynamic_cast<const Logistic<T>*>(&flow.base());
  const auto* student = dynamic_cast<const StudentT<T>*>(&flow.base());
  Eigen::MatrixXd x = flow.bijector().inverse(drawn.samples, context).value.template cast<double>();
  for (Index c = 0; c < dim; ++c) {
    std::sort(x.col(c).begin(), x.col(c).end());
    const auto located = [&](const LocationScale<T>& base, const auto& standard, double at) {
      const double loc = static_cast<double>(base.loc()[c]), scale = std::exp(static_cast<double>(base.log_scale()[c]));
      return boost::math::cdf(standard, (at - loc) / scale);
    };
    const auto cdf = [&](double at) {
      if (logistic) return located(*logistic, boost::math::logistic(), at);
      if (student)
        return located(*student, boost::math::students_t(std::exp(static_cast<double>(student->log_df()[c]))), at);
      return boost::math::cdf(boost::math::normal(), at);
    };
    double distance = 0;
    for (Index i = 0; i < n; ++i) {
      const double p = cdf(x(i, c));
      distance = std::max({distance, p - static_cast<double>(i) / n, static_cast<double>(i + 1) / n - p});
    }
    // p > 1e-4: the distance stays below 2.225 / sqrt(n).
    INFO("column " << c);
    CHECK(distance * std::sqrt(static_cast<double>(n)) < 2.225);
  }
}

template <Scalar T>
void check_builders(Index context) {
  const FlowOptions small{.layers = 3, .hidden = 16, .blocks = 1, .context_dim = context, .seed = 5};
  const auto with = [&](auto change) {
    FlowOptions options = small;
    change(options);
    return options;
  };
  SECTION("maf") { check_density_against_samples(maf<T>(3, small), 0.15); }
  SECTION("maf, residual, LU linear") {
    check_density_against_samples(maf<T>(3, with([](FlowOptions& o) {
                                           o.residual = true;
                                           o.mixing = Mixing::lu_linear;
                                         })),
                                  0.1);
  }
  SECTION("maf, batch norm, act norm") {
    check_density_against_samples(maf<T>(3, with([](FlowOptions& o) { o.batch_norm = o.act_norm = true; })), 0.15);
  }
  SECTION("iaf") { check_density_against_samples(iaf<T>(3, small), 0.15); }
  SECTION("real_nvp") {
    check_density_against_samples(real_nvp<T>(3, with([](FlowOptions& o) { o.mixing = Mixing::none; })), 0.15);
  }
  SECTION("nsf") {
    check_density_against_samples(nsf<T>(3, with([](FlowOptions& o) {
                                           o.residual = true;
                                           o.mixing = Mixing::lu_linear;
                                         })),
                                  0.15);
  }
  SECTION("nsf_ar") {
    check_density_against_samples(nsf_ar<T>(3, with([](FlowOptions& o) {
                                              o.residual = true;
                                              o.mixing = Mixing::lu_linear;
                                            })),
                                  0.15);
  }
  SECTION("nsf_ar, zuko's parameters") {
    check_density_against_samples(
        nsf_ar<T>(3, with([](FlowOptions& o) {
                    o.spline = {.bins = 5, .low = -5, .high = 5, .parameters = SplineParameters::zuko};
                  })),
        0.15);
  }
  SECTION("maf, Student t base") {
    check_density_against_samples(maf<T>(3, with([](FlowOptions& o) { o.base = Base::student_t; })), 0.15);
  }
  SECTION("nsf, logistic base") {
    check_density_against_samples(nsf<T>(3, with([](FlowOptions& o) { o.base = Base::logistic; })), 0.15);
  }
  SECTION("couplings of one column, given a context") {
    if (context > 0) {
      check_density_against_samples(real_nvp<T>(1, small), 0.15);
      check_density_against_samples(nice<T>(1, small), 0.15);
      check_density_against_samples(nsf<T>(1, small), 0.15);
    } else {
      CHECK_THROWS_AS(nsf<T>(1, small), ShapeError);
    }
  }
  SECTION("nice") {
    check_density_against_samples(nice<T>(3, with([](FlowOptions& o) { o.mixing = Mixing::random_permutation; })),
                                  0.15);
  }
}

}  // namespace

TEST_CASE("density and samples agree, double") { check_builders<double>(0); }
TEST_CASE("density and samples agree, float") { check_builders<float>(0); }
TEST_CASE("density and samples agree, conditional, double") { check_builders<double>(2); }
TEST_CASE("density and samples agree, conditional, float") { check_builders<float>(2); }

// ---------------------------------------------------------------------------------------------------- same bits

TEMPLATE_TEST_CASE("log_prob and sample give the same bits for any threads and any split", "", float, double) {
  using T = TestType;
  const FlowOptions options{.layers = 3, .hidden = 24, .residual = true, .batch_norm = true};
  TransformedDistribution<T> flow = maf<T>(4, options);
  SECTION("maf") {}
  SECTION("nsf") { flow = nsf<T>(4, options); }
  SECTION("nsf_ar") { flow = nsf_ar<T>(4, options); }
  shake(flow, 0.15);
  Engine engine(8);
  const Matrix<T> y = flow.sample(1500, engine);
  const Eigen::VectorXd expected = flow.log_prob(y);
  for (const int threads : {1, 2, 3, 8}) {
    Execution execution({.threads = threads});
    CHECK(flow.log_prob(y, execution) == expected);
    Engine again(8);
    CHECK(flow.sample(1500, again, execution) == y);
  }
  for (const Index cut : {1, 15, 16, 17, 700}) {
    CHECK(flow.log_prob(y.topRows(cut)) == expected.head(cut));
    CHECK(flow.log_prob(y.bottomRows(1500 - cut)) == expected.tail(1500 - cut));
    Engine again(8);
    CHECK(flow.sample(cut, again) == y.topRows(cut));
  }
}

TEST_CASE("what a flow rejects, and how") {
  using Catch::Matchers::ContainsSubstring;
  const TransformedDistribution<double> flow = maf<double>(3, {.layers = 2, .hidden = 8, .context_dim = 2});
  const Eigen::MatrixXd y = Eigen::MatrixXd::Zero(4, 3), context = Eigen::MatrixXd::Zero(4, 2);
  CHECK_THROWS_AS(flow.log_prob(y), ShapeError);
  CHECK_THROWS_WITH(flow.log_prob(y), ContainsSubstring("expected a context of shape (4, 2) or (1, 2), got (0, 0)"));
  const Eigen::MatrixXd narrow = Eigen::MatrixXd::Zero(4, 2);
  CHECK_THROWS_WITH(flow.log_prob(narrow, context), ContainsSubstring("log_prob: expected (N, 3), got (4, 2)"));
  const Eigen::MatrixXd three = Eigen::MatrixXd::Zero(3, 2);
  CHECK_THROWS_WITH(flow.log_prob(y, three), ContainsSubstring("got (3, 2)"));
  Engine engine(1);
  CHECK_THROWS_WITH(flow.sample(4, engine, context), ContainsSubstring("sample_each"));
  CHECK_THROWS_AS(maf<double>(0), ShapeError);
  CHECK_THROWS_AS(maf<double>(2, {.layers = 0}), ShapeError);
  CHECK_THROWS_AS(real_nvp<double>(1), ShapeError);
  CHECK_THROWS_WITH(Chain<double>(Affine<double>(2), Affine<double>(3)),
                    ContainsSubstring("part 1 (Affine) has dim 3 but part 0 (Affine) has dim 2"));
}
