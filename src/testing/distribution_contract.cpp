#include <algorithm>
#include <limits>
#include <numbers>
#include <optional>
#include <pushforward/error.hpp>
#include <pushforward/testing/distribution_contract.hpp>

#include "src/testing/common.hpp"

namespace pushforward::testing {

using namespace detail;

namespace {

/// Mean over values and its standard error.
struct Average {
  double mean;
  double error;
};
Average average(const Eigen::ArrayXd& values) {
  const double n = static_cast<double>(values.size()), mean = values.mean();
  return {mean, std::sqrt((values - mean).square().sum() / (n - 1) / n)};
}

/// Nodes and weights of the double exponential rule for an interval, by the trapezoidal rule in t:
/// y = centre + scale sinh(pi/2 sinh t), low + scale exp(pi/2 sinh t), or low + (high - low) / (1 + exp(-pi sinh t)).
/// Takahasi and Mori 1974. Good for singular ends and for tails as heavy as 1/y^2.
struct Rule {
  std::vector<double> nodes, weights;
};
Rule double_exponential(Interval range, double centre, double scale, Index count) {
  Rule rule;
  const double half_pi = std::numbers::pi / 2, reach = 4.5, h = 2 * reach / static_cast<double>(count);
  for (Index k = 0; k <= count; ++k) {
    const double t = -reach + h * static_cast<double>(k), s = half_pi * std::sinh(t), ds = half_pi * std::cosh(t);
    double y, dy;
    if (std::isinf(range.low) && std::isinf(range.high)) {
      y = centre + scale * std::sinh(s);
      dy = scale * std::cosh(s) * ds;
    } else if (std::isinf(range.high)) {
      y = range.low + scale * std::exp(s);
      dy = scale * std::exp(s) * ds;
    } else if (std::isinf(range.low)) {
      y = range.high - scale * std::exp(s);
      dy = scale * std::exp(s) * ds;
    } else {
      const double width = range.high - range.low, e = std::exp(-2 * std::abs(s));
      y = s < 0 ? range.low + width * e / (1 + e) : range.high - width * e / (1 + e);
      dy = width * 2 * e / ((1 + e) * (1 + e)) * ds;
    }
    rule.nodes.push_back(y);
    rule.weights.push_back(dy * h);
  }
  return rule;
}

template <Scalar T>
class DistributionCheck {
 public:
  DistributionCheck(const Poly<Distribution<T>>& distribution, const DistributionContract& contract)
      : poly_(distribution), d_(*poly_), contract_(contract), dim_(d_.dim()), context_dim_(d_.context_dim()) {}

  std::vector<Failure> run() {
    const std::vector<Tensor<T>> before = snapshot<T>(d_);
    report_.run("properties", [&] { properties(); });
    bool drawn = false;
    report_.run("samples", [&] {
      points();
      samples_in_support();
      drawn = true;
    });
    if (!drawn) return report_.take();
    report_.run("named tensors", [&] { named_tensors(); });
    report_.run("support", [&] { support(); });
    report_.run("sample and log_prob", [&] { sample_and_log_prob(); });
    report_.run("order of samples", [&] { sample_prefixes(); });
    report_.run("integral", [&] { integral(); });
    report_.run("importance weights", [&] { importance(); });
    report_.run("moments", [&] { moments(); });
    report_.run("mode", [&] { mode(); });
    report_.run("entropy", [&] { entropy(); });
    report_.run("divergence", [&] { divergence(); });
    report_.run("cdf", [&] { tails(); });
    report_.run("gradient calls", [&] { gradient_calls(); });
    if constexpr (std::same_as<T, double>) {
      report_.run("gradients", [&] { gradients(); });
      report_.run("gradients of samples", [&] { sample_gradients(); });
    } else {
      report_.run("float against double", [&] { precisions(); });
    }
    report_.run("rows alone and in another order", [&] { rows_alone(); });
    report_.run("no rows", [&] { no_rows(); });
    report_.run("wrong sizes", [&] { wrong_sizes(); });
    report_.run("rows that are not finite", [&] { not_finite(); });
    report_.run("outside of the support", [&] { outside(); });
    report_.run("layouts", [&] { layouts(); });
    report_.run("threads", [&] { threads(); });
    report_.run("copies", [&] { copies(); });
    report_.run("rebuilt", [&] { rebuilt(); });
    if (context_dim_ > 0) report_.run("context", [&] { context_matters(); });
    report_.run("const calls", [&] { report_.that(unchanged<T>(d_, before), "a const call changed a listed tensor"); });
    return report_.take();
  }

 private:
  static constexpr double inf = std::numeric_limits<double>::infinity();
  static constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  static constexpr bool wide = std::same_as<T, double>;
  static double eps() { return static_cast<double>(std::numeric_limits<T>::epsilon()); }

  Matrix<T> contexts(Index rows) const { return context_dim_ > 0 ? Matrix<T>(context_.topRows(rows)) : Matrix<T>(); }
  Matrix<T> one_context() const { return contexts(1); }
  void same(const Eigen::VectorXd& a, const Eigen::VectorXd& b, const std::string& where) {
    const Index row = first_difference(a, b);
    report_.that(row < 0, where, ": other bits in row ", row);
  }
  void same(const Matrix<T>& a, const Matrix<T>& b, const std::string& where) {
    const Index row = first_difference(a, b);
    report_.that(row < 0, where, ": other bits in row ", row);
  }

  /// The value of a call, or nothing if it throws NotImplemented with the name of the class.
  template <class Call>
  auto maybe(Call call, const char* what) -> std::optional<std::decay_t<decltype(call())>> {
    try {
      return call();
    } catch (const NotImplemented& e) {
      report_.that(std::string(e.what()).size() > 10, what, ": NotImplemented without a reason");
      return std::nullopt;
    }
  }

  void named_tensors() {
    for (const auto mode : {Tape<T>::Mode::evaluate, Tape<T>::Mode::record})
      for (const Statistics statistics : {Statistics::running, Statistics::minibatch})
        check_asked<T>(report_, d_, y_.topRows(17), contexts(17), mode, statistics, "log_prob",
                       [&](Pass<T>& pass, Var<T> y) { (void)d_.log_prob(pass, y); });
    check_asked_by_samples<T>(report_, d_, contexts(17));
  }

  void properties() {
    check_listing<T>(report_, d_, contract_.tensors);
    Index size = 1;
    for (const Index extent : d_.event_shape()) size *= extent;
    report_.that(size == dim_ && dim_ >= 1, "event_shape does not multiply to dim ", dim_);
    report_.that(d_.support().columns() == dim_, "support has ", d_.support().columns(), " columns");
    const Space support = d_.support();
    for (const Space::Block& block : support.blocks())
      for (const Interval& i : block.bounds)
        report_.that(block.kind != Space::Kind::box || i.low < i.high, "support is empty");
  }

  // Points are samples: inside the support, and where the density matters.
  void points() {
    chart_ = Chart(d_.support());
    by_columns_ = d_.support().is_box() || !d_.support().is_known();
    support_ = d_.support().bounds();
    const Index n = std::max<Index>(contract_.rows, 40);
    context_ = convert<T>(normals(context_dim_ > 0 ? n : 0, context_dim_, contract_.seed + 2));
    Engine engine(contract_.seed);
    y_ = context_dim_ > 0 ? d_.sample_each(context_, engine) : d_.sample(n, engine);
    report_.that(engine.call() == 1, "sampling used ", engine.call(), " calls of the engine");
    Engine more(contract_.seed + 1);
    drawn_ = d_.sample_and_log_prob(contract_.samples, more, one_context());
    coordinates_.resize(contract_.samples, chart_.dimensions());
    Eigen::VectorXd u(chart_.dimensions());
    for (Index i = 0; i < contract_.samples; ++i) {
      chart_.coordinates(row_of(drawn_.samples, i).data(), u.data());
      coordinates_.row(i) = u;
    }
  }

  void samples_in_support() {
    for (Index i = 0; i < drawn_.samples.rows(); ++i)
      if (!contains(chart_.space(), drawn_.samples, i))
        report_.fail("sample ", i, " is (", drawn_.samples.row(i), "), not in ", chart_.space().to_text());
    for (Index c = 0; by_columns_ && c < dim_; ++c) {
      const Interval r = support_[static_cast<std::size_t>(c)];
      for (Index i = 0; i < drawn_.samples.rows(); ++i) {
        const double v = static_cast<double>(drawn_.samples(i, c));
        if (!(v > r.low && v < r.high))
          report_.fail("sample ", i, ", column ", c, " is ", v, ", not inside (", r.low, ", ", r.high, ")");
      }
    }
    report_.that(drawn_.log_prob.array().isFinite().all(), "log_prob of a sample is not finite");
  }

  // The support is no larger than where the density is positive.
  void support() {
    if (!chart_.space().is_known()) return;
    const Matrix<T> y = draw_points<T>(chart_, 100, contract_.seed + 9);
    const Eigen::VectorXd log_prob = d_.log_prob(y, one_context());
    for (Index i = 0; i < y.rows(); ++i)
      report_.that(std::isfinite(log_prob[i]), "log_prob at (", y.row(i), ") of ", chart_.space().to_text(), " is ",
                   log_prob[i]);
  }

  void sample_and_log_prob() {
    const Eigen::VectorXd again = d_.log_prob(drawn_.samples, one_context());
    const double tolerance = wide ? 1e-8 : 2e-3;
    for (Index i = 0; i < again.size(); ++i)
      report_.near(drawn_.log_prob[i], again[i], tolerance * (1 + std::abs(again[i])),
                   "sample_and_log_prob against log_prob of the sample, row ", i);
    const Eigen::VectorXd prob = d_.prob(drawn_.samples.topRows(9), one_context());
    for (Index i = 0; i < prob.size(); ++i)
      report_.near(prob[i], std::exp(again[i]), 1e-12 * std::exp(again[i]), "prob against exp(log_prob), row ", i);
  }

  void sample_prefixes() {
    Engine a(contract_.seed), b(contract_.seed), c(contract_.seed), e(contract_.seed);
    const Matrix<T> context = one_context();
    const Matrix<T> all = d_.sample(300, a, context);
    same(d_.sample(17, b, context), all.topRows(17), "the first 17 samples");
    same(d_.sample_and_log_prob(300, c, context).samples, all, "samples with log_prob");
    if (context_dim_ > 0) {
      const Matrix<T> repeated = context.replicate(300, 1);
      same(d_.sample_each(repeated, e), all, "sample_each with equal contexts");
    }
    const Matrix<T> next = d_.sample(300, a, context);
    report_.that(first_difference(next, all) >= 0, "the next call draws the same samples");
    Engine other(contract_.seed + 99);
    report_.that(first_difference(d_.sample(300, other, context), all) >= 0, "another seed draws the same samples");
    // A column alone may be the same everywhere, as the first one of a correlation matrix.
    report_.that(((all.rowwise() - all.row(0)).array() != T(0)).any(), "all samples are equal");
  }

  // ---- the density as a density

  double quantile_of_samples(Index column, double p) const {
    std::vector<T> values(drawn_.samples.col(column).begin(), drawn_.samples.col(column).end());
    const auto at = values.begin() + static_cast<std::ptrdiff_t>(p * static_cast<double>(values.size() - 1));
    std::nth_element(values.begin(), at, values.end());
    return static_cast<double>(*at);
  }

  double quantile_of_coordinates(Index k, double p) const {
    std::vector<double> values(coordinates_.col(k).begin(), coordinates_.col(k).end());
    const auto at = values.begin() + static_cast<std::ptrdiff_t>(p * static_cast<double>(values.size() - 1));
    std::nth_element(values.begin(), at, values.end());
    return *at;
  }

  /// Of a coordinate of the support.
  Rule rule(Index k, Index count) const {
    const Interval r = chart_.intervals()[static_cast<std::size_t>(k)];
    const double low = quantile_of_coordinates(k, 0.25), middle = quantile_of_coordinates(k, 0.5),
                 high = quantile_of_coordinates(k, 0.75);
    if (chart_.is_whole(k)) {
      const double least = coordinates_.col(k).minCoeff(), most = coordinates_.col(k).maxCoeff();
      const double width = 20 + most - least;
      Rule all;
      for (double v = std::max(r.low, least - width); v <= std::min(r.high, most + width); ++v) {
        all.nodes.push_back(v);
        all.weights.push_back(1);
      }
      return all;
    }
    const double scale = std::isinf(r.low) == std::isinf(r.high) ? (high - low) / 2
                         : std::isinf(r.high)                    ? middle - r.low
                                                                 : r.high - middle;
    Rule rule = double_exponential(r, middle, scale, count);
    // Nodes that rounding has moved out of the support, or beyond the range of T, carry no mass.
    Rule kept;
    for (std::size_t k = 0; k < rule.nodes.size(); ++k) {
      const T y = static_cast<T>(rule.nodes[k]);
      if (!std::isfinite(y) || !(static_cast<double>(y) > r.low && static_cast<double>(y) < r.high)) continue;
      kept.nodes.push_back(rule.nodes[k]);
      kept.weights.push_back(rule.weights[k]);
    }
    return kept;
  }

  void integral() {
    const Index dimensions = chart_.dimensions();
    if (dimensions > 2) return;
    const Index count = dimensions == 1 ? 20000 : 400;
    const Rule first = rule(0, count), second = dimensions == 2 ? rule(1, count) : Rule{{0.0}, {1.0}};
    // The rule with every node, and with every other one: their difference shows where the density jumps.
    double sum = 0, coarse = 0;
    const Index n = static_cast<Index>(first.nodes.size());
    Matrix<T> y(n, dim_);
    Eigen::VectorXd row(dim_), element(n);
    for (std::size_t k = 0; k < second.nodes.size(); ++k) {
      for (Index i = 0; i < n; ++i) {
        const double u[2] = {first.nodes[static_cast<std::size_t>(i)], second.nodes[k]};
        element[i] = chart_.row(u, row.data());
        y.row(i) = row.transpose().template cast<T>();
      }
      const Eigen::VectorXd prob = d_.prob(y, one_context());
      for (Index i = 0; i < n; ++i) {
        const double term = prob[i] * element[i] * first.weights[static_cast<std::size_t>(i)] * second.weights[k];
        report_.that(!std::isnan(term), "log_prob inside the support is NaN at ", y(i, 0));
        if (!std::isfinite(term)) continue;
        sum += term;
        if (i % 2 == 0 && (dimensions == 1 || k % 2 == 0)) coarse += term * (dimensions == 1 ? 2 : 4);
      }
    }
    const double stated = dimensions == 2 && !chart_.counts() ? 1e-3 : wide ? 1e-6 : 1e-4;
    const double jumps = chart_.counts() ? 0 : 4 * std::abs(sum - coarse);
    report_.near(sum, 1, std::min(1e-2, std::max(stated, jumps)),
                 "integral of the density over its support");
  }

  // The mass that samples give to a box, by weights: the mean of uniform(y) / p(y) over samples y of p is 1.
  void importance() {
    Eigen::ArrayXd weight = (-drawn_.log_prob.array()).exp();
    for (Index k = 0; k < chart_.dimensions(); ++k) {
      const double low = quantile_of_coordinates(k, 0.25), high = quantile_of_coordinates(k, 0.75);
      const double size = chart_.is_whole(k) ? high - low + 1 : high - low;
      for (Index i = 0; i < weight.size(); ++i) {
        const double v = coordinates_(i, k);
        weight[i] *= v >= low && v <= high ? 1 / size : 0;
      }
    }
    Eigen::VectorXd u(chart_.dimensions()), row(dim_);
    for (Index i = 0; !by_columns_ && i < weight.size(); ++i) {
      if (weight[i] == 0) continue;
      u = coordinates_.row(i);
      weight[i] /= chart_.row(u.data(), row.data());
    }
    const Average a = average(weight);
    report_.that(a.error > 0 && a.error < 0.2, "too few samples in the box: standard error ", a.error);
    report_.near(a.mean, 1, 4 * a.error, "mean importance weight");
  }

  void moments() {
    const auto mean = maybe([&] { return d_.mean(); }, "mean");
    const auto variance = maybe([&] { return d_.variance(); }, "variance");
    const auto stddev = maybe([&] { return d_.stddev(); }, "stddev");
    const auto covariance = maybe([&] { return d_.covariance(); }, "covariance");
    const Matrix<double> s = convert<double>(drawn_.samples);
    if (mean) {
      report_.that(mean->size() == dim_, "mean has ", mean->size(), " values");
      for (Index c = 0; c < dim_; ++c) {
        const Average a = average(s.col(c).array());
        report_.near((*mean)[c], a.mean, 5 * a.error, "mean of column ", c, " against samples");
      }
    }
    report_.that(variance.has_value() == stddev.has_value(), "variance and stddev: one is known and the other is not");
    report_.that(!variance || covariance, "variance is known but covariance is not");
    if (!variance) return;
    // Where no mean is stated, squares are taken from that of the samples, which is nearer than their spread.
    const Eigen::RowVectorXd centre = mean ? Eigen::RowVectorXd(*mean) : Eigen::RowVectorXd(s.colwise().mean());
    for (Index c = 0; c < dim_; ++c) {
      report_.near((*stddev)[c] * (*stddev)[c], (*variance)[c], 1e-12 * (*variance)[c], "stddev of column ", c);
      if (!std::isfinite((*variance)[c])) continue;
      const Average a = average((s.col(c).array() - centre[c]).square());
      report_.near((*variance)[c], a.mean, 5 * a.error, "variance of column ", c, " against samples");
    }
    if (!covariance) return;
    report_.that(covariance->rows() == dim_ && covariance->cols() == dim_, "covariance has the wrong shape");
    for (Index r = 0; r < dim_; ++r)
      for (Index c = 0; c < dim_; ++c) {
        if (r == c)
          report_.near((*covariance)(c, c), (*variance)[c], 1e-12 * (*variance)[c], "diagonal of the covariance, ", c);
        if (!std::isfinite((*covariance)(r, c))) continue;
        const Average a = average((s.col(r).array() - centre[r]) * (s.col(c).array() - centre[c]));
        report_.near((*covariance)(r, c), a.mean, 5 * a.error, "covariance of columns ", r, " and ", c,
                     " against samples");
      }
  }

  void mode() {
    const auto mode = maybe([&] { return d_.mode(); }, "mode");
    if (!mode) return;
    report_.that(mode->size() == dim_, "mode has ", mode->size(), " values");
    const Matrix<T> at = convert<T>(Matrix<double>(mode->transpose()));
    const double top = d_.log_prob(at)[0];
    report_.that(std::isfinite(top), "log_prob at the mode is ", top);
    report_.that(drawn_.log_prob.maxCoeff() <= top + 16 * eps() * (1 + std::abs(top)), "a sample has log_prob ",
                 drawn_.log_prob.maxCoeff(), ", but the mode ", top);
    for (Index c = 0; (by_columns_ || chart_.counts()) && c < dim_; ++c)
      for (const double step : {-1e-2, 1e-2}) {
        Matrix<T> beside = at;
        const double size = chart_.counts() ? 100 : quantile_of_samples(c, 0.75) - quantile_of_samples(c, 0.25);
        beside(0, c) += static_cast<T>(step * size);
        report_.that(d_.log_prob(beside)[0] < top, "log_prob does not fall from the mode along column ", c);
      }
  }

  void entropy() {
    const auto value = maybe([&] { return d_.entropy(); }, "entropy");
    if (!value) return;
    const Average a = average(-drawn_.log_prob.array());
    report_.near(*value, a.mean, 5 * a.error + (wide ? 1e-11 : 1e-5) * (1 + std::abs(a.mean)),
                 "entropy against samples");
  }

  void divergence() {
    if (context_dim_ > 0) return;
    Poly<Distribution<T>> other = poly_;
    perturb<T>(*other, contract_.seed + 50, 0.15);
    const auto self = maybe([&] { return kl_divergence(d_, d_); }, "kl_divergence");
    Engine engine(contract_.seed + 8);
    const KlDivergence estimate = kl_divergence(d_, *other, engine, 2000);
    report_.that(estimate.exact == self.has_value(),
                 "kl_divergence with an engine and without disagree about a closed form");
    report_.that(estimate.exact == (estimate.standard_error == 0) || list_state<T>(d_).empty(),
                 "standard error of kl_divergence");
    if (!self) return;
    report_.near(*self, 0, 64 * eps(), "kl_divergence of the distribution with itself");
    const double exact = kl_divergence<T>(d_, *other);
    const Average a = average(drawn_.log_prob.array() - other->log_prob(drawn_.samples).array());
    report_.near(exact, a.mean, 5 * a.error + 64 * eps(), "kl_divergence to a disturbed copy against samples");
    report_.that(exact > 0 || list_state<T>(d_).empty(), "kl_divergence to another distribution is ", exact);
  }

  // ---- cdf and its relatives

  Matrix<T> row_with(Index column, T value) const {
    Matrix<T> row = y_.topRows(1);
    row(0, column) = value;
    return row;
  }

  void tails() {
    const Matrix<T> few = y_.topRows(40);
    const auto cdf = maybe([&] { return d_.cdf(few); }, "cdf");
    const auto survival = maybe([&] { return d_.survival(few); }, "survival");
    const auto log_cdf = maybe([&] { return d_.log_cdf(few); }, "log_cdf");
    const auto log_survival = maybe([&] { return d_.log_survival(few); }, "log_survival");
    const Matrix<double> half = Matrix<double>::Constant(1, dim_, 0.5);
    const auto median = maybe([&] { return d_.quantile(half); }, "quantile");
    const auto median_above = maybe([&] { return d_.quantile_complement(half); }, "quantile_complement");
    const bool known = cdf.has_value();
    report_.that(
        survival.has_value() == known && log_cdf.has_value() == known && log_survival.has_value() == known &&
            median.has_value() == known && median_above.has_value() == known,
        "of cdf, survival, log_cdf, log_survival, quantile, quantile_complement some are known and others not");
    if (!known || !median || !log_survival) return;
    const double fine = wide ? 1e-9 : 1e-5;
    for (Index c = 0; c < dim_; ++c) {
      for (Index i = 0; i < few.rows(); ++i) {
        report_.near((*cdf)(i, c) + (*survival)(i, c), 1, 1e-12, "cdf + survival at ", few(i, c));
        report_.near(std::exp((*log_cdf)(i, c)), (*cdf)(i, c), 1e-9 * (*cdf)(i, c), "exp(log_cdf) at ", few(i, c));
        report_.near(std::exp((*log_survival)(i, c)), (*survival)(i, c), 1e-9 * (*survival)(i, c),
                     "exp(log_survival) at ", few(i, c));
      }
      quantiles(c, fine);
      at_bounds(c);
      kolmogorov(c);
    }
    for (const double p : {-0.1, 1.1}) {
      const Matrix<double> wrong = Matrix<double>::Constant(1, dim_, p);
      report_.template throws<DomainError>([&] { (void)d_.quantile(wrong); }, text("quantile of ", p), {"[0, 1]"});
      report_.template throws<DomainError>([&] { (void)d_.quantile_complement(wrong); },
                                           text("quantile_complement of ", p), {"[0, 1]"});
    }
    report_.template throws<ShapeError>([&] { (void)d_.cdf(Matrix<T>(Matrix<T>::Constant(3, dim_ + 1, T(0.5)))); },
                                        "cdf of a wrong width", {text("(3, ", dim_ + 1, ")")});
    report_.template throws<ShapeError>(
        [&] { (void)d_.quantile(Matrix<double>(Matrix<double>::Constant(3, dim_ + 1, 0.5))); },
        "quantile of a wrong width", {text("(3, ", dim_ + 1, ")")});
    // Probabilities are the jumps of the cdf, and the density of one column is its slope.
    if (dim_ == 1 && chart_.counts())
      for (Index i = 0; i < few.rows(); ++i)
        report_.near((*cdf)(i, 0) - d_.cdf(row_with(0, few(i, 0) - T(0.5)))(0, 0), d_.prob(few.row(i).eval())[0], fine,
                     "jump of the cdf against prob at ", few(i, 0));
    if (dim_ == 1 && !chart_.counts())
      for (Index i = 0; i < few.rows(); ++i) {
        const double v = static_cast<double>(few(i, 0)),
                     iqr = quantile_of_samples(0, 0.75) - quantile_of_samples(0, 0.25);
        const Interval r = support_[0];
        const double prob = d_.prob(few.row(i).eval())[0], tolerance = (wide ? 1e-6 : 2e-2) * (prob + 0.01 / iqr);
        double slope = 0;
        for (const double factor : {1.0, 0.125}) {  // the smaller step where the density bends within the larger one
          const double step = factor * std::cbrt(eps()) * std::min({iqr, v - r.low, r.high - v});
          const T above = static_cast<T>(v + step), below = static_cast<T>(v - step);
          slope = (d_.cdf(row_with(0, above))(0, 0) - d_.cdf(row_with(0, below))(0, 0)) /
                  (static_cast<double>(above) - static_cast<double>(below));
          if (std::abs(slope - prob) <= tolerance) break;
        }
        report_.near(slope, prob, tolerance, "slope of the cdf against prob at ", v);
      }
  }

  void quantiles(Index c, double fine) {
    const T top = std::numeric_limits<T>::max();
    for (const double p : {1e-300, 1e-30, 1e-12, 1e-4, 0.03, 0.5, 0.9, 0.999})
      for (const bool complement : {false, true}) {
        Matrix<double> probability = Matrix<double>::Constant(1, dim_, 0.5);
        probability(0, c) = p;
        const double y = (complement ? d_.quantile_complement(probability) : d_.quantile(probability))(0, c);
        report_.that(std::isfinite(y), complement ? "quantile_complement" : "quantile", " of ", p, " is ", y);
        const T at = static_cast<T>(y);
        if (!std::isfinite(at)) continue;
        // Rounding y moves the probability: p lies between those of y's neighbours.
        const auto value = [&](T v, bool logarithm) {
          const Matrix<T> row = row_with(c, v);
          return (complement ? (logarithm ? d_.log_survival(row) : d_.survival(row))
                             : (logarithm ? d_.log_cdf(row) : d_.cdf(row)))(0, c);
        };
        T before = at, after = at;
        for (int k = 0; k < 3; ++k) {
          before = std::nextafter(before, complement ? top : -top);
          after = std::nextafter(after, complement ? -top : top);
        }
        const char* name = complement ? "survival(quantile_complement(p))" : "cdf(quantile(p))";
        const double slack =
            fine * (1 - std::log(p));  // of rounding on the way: far out, the logarithm is what is accurate
        report_.that(value(before, false) * (1 - slack) <= p && p <= value(after, false) * (1 + slack), name,
                     " for p = ", p, ", column ", c, ": lies in [", value(before, false), ", ", value(after, false),
                     "]");
        report_.that(value(before, true) - slack <= std::log(p) && std::log(p) <= value(after, true) + slack, "log of ",
                     name, " for p = ", p, ", column ", c, ": lies in [", value(before, true), ", ", value(after, true),
                     "]");
      }
  }

  void at_bounds(Index c) {
    const Interval r = support_[static_cast<std::size_t>(c)];
    for (const double p : {0.0, 1.0}) {
      const Matrix<double> probability = Matrix<double>::Constant(1, dim_, p);
      report_.that(d_.quantile(probability)(0, c) == (p == 0 ? r.low : r.high), "quantile(", p, ") is ",
                   d_.quantile(probability)(0, c));
      report_.that(d_.quantile_complement(probability)(0, c) == (p == 1 ? r.low : r.high), "quantile_complement(", p,
                   ") is ", d_.quantile_complement(probability)(0, c));
    }
    const auto check = [&](double v, double p) {
      const Matrix<T> row = row_with(c, static_cast<T>(v));
      report_.that(d_.cdf(row)(0, c) == p && d_.survival(row)(0, c) == 1 - p && d_.log_cdf(row)(0, c) == std::log(p) &&
                       d_.log_survival(row)(0, c) == std::log(1 - p),
                   "cdf, survival, log_cdf, log_survival at ", v, " in column ", c, " are ", d_.cdf(row)(0, c), ", ",
                   d_.survival(row)(0, c), ", ", d_.log_cdf(row)(0, c), ", ", d_.log_survival(row)(0, c));
    };
    check(-inf, 0);
    check(inf, 1);
    if (std::isfinite(r.low)) check(r.low - 1, 0);
    if (std::isfinite(r.high)) check(r.high + 1, 1);
    report_.that(std::isnan(d_.cdf(row_with(c, std::numeric_limits<T>::quiet_NaN()))(0, c)), "cdf of NaN is not NaN");
  }

  // Kolmogorov and Smirnov; 2.2 is passed by one in 8000.
  void kolmogorov(Index c) {
    const Index n = std::min<Index>(drawn_.samples.rows(), 5000);
    std::vector<double> p(static_cast<std::size_t>(n));
    const Matrix<double> cdf = d_.cdf(Matrix<T>(drawn_.samples.topRows(n)));
    for (Index i = 0; i < n; ++i) p[static_cast<std::size_t>(i)] = cdf(i, c);
    std::sort(p.begin(), p.end());
    double distance = 0;
    for (Index i = 0; i < n; ++i) {
      const double v = p[static_cast<std::size_t>(i)], count = static_cast<double>(n);
      if (chart_.counts()) {
        // Of equal numbers the last one has all of them below it.
        const bool last = i + 1 == n || p[static_cast<std::size_t>(i) + 1] > v;
        if (last) distance = std::max(distance, std::abs(static_cast<double>(i + 1) / count - v));
        continue;
      }
      distance = std::max({distance, v - static_cast<double>(i) / count, static_cast<double>(i + 1) / count - v});
    }
    report_.that(distance * std::sqrt(static_cast<double>(n)) < 2.2, "samples of column ", c,
                 " do not follow the cdf: sqrt(n) D = ", distance * std::sqrt(static_cast<double>(n)));
  }

  // ---- gradients

  Matrix<T> some_rows(const Matrix<T>& m, Index rows) const { return m.topRows(std::min(rows, m.rows())); }

  void gradient_calls() {
    const Matrix<T> y = some_rows(y_, 33), context = contexts(33);
    const LogProbAndGradient<T> g = d_.log_prob_and_gradient(y, context);
    const Eigen::VectorXd log_prob = d_.log_prob(y, context);
    for (Index i = 0; i < y.rows(); ++i)
      report_.near(g.log_prob[i], log_prob[i], 8 * eps() * (1 + std::abs(log_prob[i])),
                   "log_prob_and_gradient against log_prob, row ", i);
    report_.that(g.context_gradient.cols() == context_dim_, "context_gradient has ", g.context_gradient.cols(),
                 " columns");
    if constexpr (wide) {
      const auto differences = [&](const Matrix<T>& m, const Matrix<T>& gradient, bool of_context) {
        for (Index c = 0; c < m.cols(); ++c) {
          Eigen::VectorXd expected(m.rows()), tolerance(m.rows());
          for (const double factor : {1.0, 0.125}) {
            Matrix<T> above = m, below = m;
            for (Index i = 0; i < m.rows(); ++i) {
              const Interval r = of_context ? Interval{} : support_[static_cast<std::size_t>(c)];
              const double h = factor * std::cbrt(eps()) *
                               std::min({std::max(1.0, std::abs(m(i, c))), m(i, c) - r.low, r.high - m(i, c)});
              above(i, c) += h;
              below(i, c) -= h;
            }
            const Eigen::VectorXd up = of_context ? d_.log_prob(y, above) : d_.log_prob(above, context);
            const Eigen::VectorXd down = of_context ? d_.log_prob(y, below) : d_.log_prob(below, context);
            for (Index i = 0; i < m.rows(); ++i) {
              if (factor < 1 && std::abs(gradient(i, c) - expected[i]) <= tolerance[i]) continue;
              const double width = above(i, c) - below(i, c);
              expected[i] = (up[i] - down[i]) / width;
              tolerance[i] = 1e-6 * (std::abs(expected[i]) + 0.01) + 32 * eps() * (4 + std::abs(up[i])) / width;
            }
          }
          for (Index i = 0; i < m.rows(); ++i)
            report_.near(gradient(i, c), expected[i], tolerance[i], "gradient of log_prob in ",
                         of_context ? "context" : "y", ", row ", i, ", column ", c);
        }
      };
      if (by_columns_)
        differences(y, g.gradient, false);
      else
        differences_along(y, g.gradient, context);
      if (context_dim_ > 0) differences(context, g.context_gradient, true);
    }
  }

  // Off a surface there is no density, so that only what the gradient says along it can be right or wrong.
  void differences_along(const Matrix<T>& y, const Matrix<T>& gradient, const Matrix<T>& context) {
    std::vector<std::vector<Chart::Direction>> directions;
    for (Index i = 0; i < y.rows(); ++i) directions.push_back(chart_.directions(row_of(y, i)));
    for (std::size_t k = 0; k < directions[0].size(); ++k) {
      Matrix<T> above = y, below = y;
      Eigen::VectorXd h(y.rows());
      for (Index i = 0; i < y.rows(); ++i) {
        const Chart::Direction& d = directions[static_cast<std::size_t>(i)][k];
        h[i] = std::cbrt(eps()) * d.reach;
        above.row(i) += (h[i] * d.along).transpose().template cast<T>();
        below.row(i) -= (h[i] * d.along).transpose().template cast<T>();
      }
      const Eigen::VectorXd up = d_.log_prob(above, context), down = d_.log_prob(below, context);
      for (Index i = 0; i < y.rows(); ++i) {
        const double expected = (up[i] - down[i]) / (2 * h[i]);
        const double got = row_of(gradient, i).dot(directions[static_cast<std::size_t>(i)][k].along);
        report_.near(got, expected, 1e-6 * (std::abs(expected) + 0.01) + 32 * eps() * (4 + std::abs(up[i])) / h[i],
                     "gradient of log_prob in y, row ", i, ", direction ", k);
      }
    }
  }

  void gradients() {
    if constexpr (wide) {
      Poly<Distribution<double>> copy = poly_;
      const std::vector<NamedTensor> tensors = parameters<double>(*copy);
      GradientCheck options;
      options.seed = contract_.seed;
      std::vector<double> largest;
      report_.add(check_gradient_on(chart_, [&](Pass<double>& pass, Var<double> y) { return copy->log_prob(pass, y); },
                                 some_rows(y_, 17), contexts(17), tensors, options, &largest));
      for (std::size_t p = 0; p < tensors.size(); ++p)
        report_.that(largest[p] > 0 || tensors[p].tensor->size() == 0, "parameter '", tensors[p].name,
                     "' is listed but has no influence");
    }
  }

  void sample_gradients() {
    if constexpr (wide) {
      Poly<Distribution<double>> copy = poly_;
      const std::vector<NamedTensor> tensors = parameters<double>(*copy);
      const Matrix<double> nothing(17, 0);
      GradientCheck options;
      options.seed = contract_.seed;
      const RowFunction f = [&](Pass<double>& pass, Var<double>) {
        const Drawn<double> drawn = copy->sample_and_log_prob(pass);
        return random_projection(pass, drawn.value, contract_.seed) + drawn.log_prob;
      };
      if (d_.is_reparameterized())
        report_.add(check_gradient(f, nothing, contexts(17), tensors, options));
      else
        report_.template throws<NotImplemented>(
            [&] { (void)check_gradient(f, nothing, contexts(17), tensors, options); },
            "recording samples that are not differentiable", {"sample"});
    }
  }

  void precisions() {
    if constexpr (!wide) {
      const Poly<Distribution<double>> exact = cast<double>(d_, contract_.registry);
      const Matrix<float> y = some_rows(y_, 17), context = contexts(17);
      compare_precisions(
          report_,
          [&](Pass<float>& p, Var<float> v) { return random_projection(p, d_.log_prob(p, v), contract_.seed); },
          [&](Pass<double>& p, Var<double> v) { return random_projection(p, exact->log_prob(p, v), contract_.seed); },
          d_, *exact, y, context, "log_prob");
      const Eigen::VectorXd narrow = d_.log_prob(y_, context_);
      const Eigen::VectorXd full = exact->log_prob(convert<double>(y_), convert<double>(context_));
      for (Index i = 0; i < narrow.size(); ++i)
        report_.near(narrow[i], full[i], 1e-3 * (1 + std::abs(full[i])), "log_prob in float and double, row ", i);
    }
  }

  // ---- rows, sizes, layouts, threads

  void rows_alone() {
    const Eigen::VectorXd all = d_.log_prob(y_, context_);
    const std::vector<Index> order = shuffled(y_.rows());
    same(d_.log_prob(reordered(y_, order), context_dim_ > 0 ? reordered(context_, order) : Matrix<T>()),
         reordered(all, order), "rows in another order");
    const LogProbAndGradient<T> gradient = d_.log_prob_and_gradient(y_, context_);
    for (const Index i : {Index(0), Index(1), Index(16), y_.rows() / 2, y_.rows() - 1}) {
      const Matrix<T> row = y_.middleRows(i, 1),
                      context = context_dim_ > 0 ? Matrix<T>(context_.middleRows(i, 1)) : Matrix<T>();
      same(d_.log_prob(row, context), all.segment(i, 1), text("row ", i, " alone"));
      same(d_.log_prob_and_gradient(row, context).gradient, gradient.gradient.middleRows(i, 1),
           text("gradient of row ", i, " alone"));
    }
  }

  void no_rows() {
    const Matrix<T> none(0, dim_), context(0, context_dim_);
    report_.that(d_.log_prob(none, context).size() == 0, "log_prob of no rows");
    const LogProbAndGradient<T> g = d_.log_prob_and_gradient(none, context);
    report_.that(g.log_prob.size() == 0 && g.gradient.rows() == 0 && g.gradient.cols() == dim_, "gradient of no rows");
    Engine engine(1);
    const Matrix<T> drawn = d_.sample(0, engine, one_context());
    report_.that(drawn.rows() == 0 && drawn.cols() == dim_, "no samples");
    if (context_dim_ > 0) report_.that(d_.sample_each(context, engine).rows() == 0, "no samples for no contexts");
  }

  void wrong_sizes() {
    const auto shape = [](Index rows, Index cols) { return text("(", rows, ", ", cols, ")"); };
    const Matrix<T> y = some_rows(y_, 5), context = contexts(5);
    Engine engine(1);
    for (const Index wrong : {dim_ + 1, dim_ - 1}) {
      const Matrix<T> bad = Matrix<T>::Constant(5, wrong, T(0.5));
      const std::vector<std::string> parts{d_.name(), text("(N, ", dim_, ")"), shape(5, wrong)};
      report_.template throws<ShapeError>([&] { (void)d_.log_prob(bad, context); }, "log_prob of a wrong width", parts);
      report_.template throws<ShapeError>([&] { (void)d_.log_prob_and_gradient(bad, context); },
                                          "log_prob_and_gradient of a wrong width", parts);
      Matrix<T> out(5, wrong);
      report_.template throws<ShapeError>([&] { d_.sample_into(out, engine, one_context()); },
                                          "sample_into a wrong width", parts);
    }
    const Matrix<T> wide_context = Matrix<T>::Zero(5, context_dim_ + 1);
    report_.template throws<ShapeError>([&] { (void)d_.log_prob(y, wide_context); }, "log_prob with a wrong context",
                                        {d_.name(), shape(5, context_dim_ + 1)});
    report_.template throws<ShapeError>([&] { (void)d_.sample_each(wide_context, engine); },
                                        "sample_each with a wrong context", {d_.name(), shape(5, context_dim_ + 1)});
    Eigen::VectorXd shorter(4);
    report_.template throws<ShapeError>([&] { d_.log_prob_into(y, shorter, context); },
                                        "log_prob_into a vector that is too short", {d_.name(), "5", "4"});
    if (context_dim_ > 0) {
      report_.template throws<ShapeError>([&] { (void)d_.log_prob(y); }, "log_prob without context",
                                          {d_.name(), shape(5, context_dim_)});
      report_.template throws<ShapeError>([&] { (void)d_.sample(5, engine); }, "sample without context", {d_.name()});
      report_.template throws<ShapeError>([&] { (void)d_.sample(5, engine, context); }, "sample with many contexts",
                                          {d_.name(), "sample_each"});
    }
  }

  void not_finite() {
    const Index n = 40, bad = 21;
    const Matrix<T> y = some_rows(y_, n), context = contexts(n);
    const Eigen::VectorXd good = d_.log_prob(y, context);
    const LogProbAndGradient<T> gradient = d_.log_prob_and_gradient(y, context);
    const auto check = [&](const Matrix<T>& values, const Matrix<T>& contexts, double expected,
                           const std::string& where) {
      Eigen::VectorXd got = d_.log_prob(values, contexts);
      LogProbAndGradient<T> with = d_.log_prob_and_gradient(values, contexts);
      for (const double v : {got[bad], with.log_prob[bad]})
        report_.that(same_bits(v, expected), where, ": log_prob is ", v);
      for (Index c = 0; c < dim_; ++c) {
        const double g = static_cast<double>(with.gradient(bad, c));
        report_.that(std::isnan(expected) ? std::isnan(g) : g == 0, where, ": the gradient is ", g);
      }
      got[bad] = good[bad];
      with.gradient.row(bad) = gradient.gradient.row(bad);
      same(got, good, where + ", the other rows");
      same(with.gradient, gradient.gradient, where + ", gradients of the other rows");
    };
    const T quiet = std::numeric_limits<T>::quiet_NaN(), infinite = std::numeric_limits<T>::infinity();
    for (Index c = 0; c < dim_; ++c) {
      Matrix<T> broken = y;
      broken(bad, c) = quiet;
      check(broken, context, nan, text("NaN in column ", c));
      for (const T value : {infinite, -infinite}) {
        broken = y;
        broken(bad, c) = value;
        check(broken, context, -inf, text(value, " in column ", c));
        if (dim_ > 1) {
          broken(bad, (c + 1) % dim_) = quiet;
          check(broken, context, nan, text(value, " and NaN"));
        }
      }
    }
    for (Index c = 0; c < context_dim_; ++c) {
      Matrix<T> broken = context;
      broken(bad, c) = quiet;
      check(y, broken, nan, text("NaN in column ", c, " of the context"));
    }
    // Finite but far away: never NaN.
    Matrix<T> far = y;
    for (Index i = 0; i < n; ++i)
      far(i, i % dim_) = (i % 2 ? T(1) : T(-1)) * (i % 4 < 2   ? std::sqrt(std::numeric_limits<T>::max())
                                                   : i % 8 < 4 ? T(1e10)
                                                               : std::numeric_limits<T>::denorm_min());
    const Eigen::VectorXd log_prob = d_.log_prob(far, context);
    for (Index i = 0; i < n; ++i)
      report_.that(!std::isnan(log_prob[i]), "log_prob of a finite row is NaN: column ", i % dim_, " is ",
                   far(i, i % dim_));
  }

  void outside() {
    const Matrix<T> y = some_rows(y_, 20), context = contexts(20);
    const Eigen::VectorXd good = d_.log_prob(y, context);
    // Kinds that bounds alone do not make.
    for (const Eigen::VectorXd& row : chart_.outside(row_of(y, 7))) {
      Matrix<T> in = y;
      in.row(7) = row.transpose().template cast<T>();
      const LogProbAndGradient<T> g = d_.log_prob_and_gradient(in, context);
      const bool still = (g.gradient.row(7).array() == T(0)).all();
      report_.that(d_.log_prob(in, context)[7] == -inf && g.log_prob[7] == -inf && still,
                   "log_prob at (", in.row(7), "), outside of ", chart_.space().to_text(), ", is ", g.log_prob[7]);
    }
    for (Index c = 0; c < dim_; ++c)
      for (const bool low : {true, false}) {
        const Interval r = support_[static_cast<std::size_t>(c)];
        const double bound = low ? r.low : r.high;
        if (std::isinf(bound) || (!chart_.counts() && r.low == r.high)) continue;
        const T edge = static_cast<T>(bound),
                away = low ? -std::numeric_limits<T>::max() : std::numeric_limits<T>::max();
        for (const T value : {std::nextafter(edge, away), static_cast<T>(low ? bound - 0.5 : bound + 0.5), away}) {
          Matrix<T> in = y;
          in(7, c) = value;
          // A column that ends where it always is, as the first 1 of a correlation, and numbers of a grid may be off by
          // rounding.
          if (((y.col(c).array() == edge).all() || chart_.counts()) && contains(chart_.space(), in, 7)) continue;
          Eigen::VectorXd got = d_.log_prob(in, context);
          report_.that(got[7] == -inf, "log_prob at ", value, " in column ", c, " is ", got[7], ", not -inf");
          report_.that(d_.prob(in, context)[7] == 0, "prob at ", value, " in column ", c, " is not 0");
          const LogProbAndGradient<T> g = d_.log_prob_and_gradient(in, context);
          report_.that(g.log_prob[7] == -inf && (g.gradient.row(7).array() == T(0)).all(), "log_prob_and_gradient at ",
                       value, " in column ", c);
          got[7] = good[7];
          same(got, good, text("rows beside one at ", value));
          if (dim_ > 1) {
            in(7, (c + 1) % dim_) = std::numeric_limits<T>::quiet_NaN();
            report_.that(std::isnan(d_.log_prob(in, context)[7]), "NaN does not win over -inf");
          }
        }
        // Just inside: a number, and no NaN in the gradient.
        Matrix<T> in = y;
        in(7, c) = std::nextafter(edge, -away);
        const LogProbAndGradient<T> g = d_.log_prob_and_gradient(in, context);
        report_.that(!std::isnan(g.log_prob[7]) && !std::isnan(g.gradient(7, c)), "next to the bound ", bound,
                     " in column ", c, ": log_prob is ", g.log_prob[7], ", its gradient ", g.gradient(7, c));
      }
  }

  void layouts() {
    using RowMajor = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    const Index n = y_.rows();
    RowMajor in = RowMajor::Constant(n + 2, dim_ + 2, T(-12345.5));
    in.block(1, 1, n, dim_) = y_;
    const RowMajor context = context_;
    Eigen::VectorXd out = Eigen::VectorXd::Constant(n + 2, -12345.5);
    auto block = in.block(1, 1, n, dim_);
    auto segment = out.segment(1, n);
    d_.log_prob_into(block, segment, context);
    same(Eigen::VectorXd(segment), d_.log_prob(y_, context_), "log_prob_into, by rows");
    report_.that(out[0] == -12345.5 && out[n + 1] == -12345.5, "log_prob_into wrote outside of its output");
    Engine a(contract_.seed), b(contract_.seed);
    RowMajor samples = RowMajor::Constant(n + 2, dim_ + 2, T(-12345.5));
    auto target = samples.block(1, 1, n, dim_);
    d_.sample_into(target, a, one_context());
    same(Matrix<T>(target), d_.sample(n, b, one_context()), "sample_into, by rows");
    target.setConstant(T(-12345.5));
    report_.that((samples.array() == T(-12345.5)).all(), "sample_into wrote outside of its output");
  }

  void threads() {
    const Index n = 3 * pushforward::detail::tile_rows + 5;
    Engine first(contract_.seed + 3);
    const Matrix<T> context = one_context();
    const SamplesAndLogProb<T> expected = d_.sample_and_log_prob(n, first, context);
    const Eigen::VectorXd log_prob = d_.log_prob(expected.samples, context);
    const LogProbAndGradient<T> gradient = d_.log_prob_and_gradient(expected.samples, context);
    for (const int count : {1, 2, 3, 8}) {
      Execution execution({.threads = count});
      Engine engine(contract_.seed + 3);
      const SamplesAndLogProb<T> drawn = d_.sample_and_log_prob(n, engine, context, execution);
      same(drawn.samples, expected.samples, text("samples on ", count, " threads"));
      same(drawn.log_prob, expected.log_prob, text("log_prob of samples on ", count, " threads"));
      same(d_.log_prob(expected.samples, context, execution), log_prob, text("log_prob on ", count, " threads"));
      same(d_.log_prob_and_gradient(expected.samples, context, execution).gradient, gradient.gradient,
           text("gradient on ", count, " threads"));
    }
    Workspace workspace;
    for (int repeat = 0; repeat < 2; ++repeat)
      same(d_.log_prob(expected.samples, context, workspace), log_prob, "log_prob in a workspace");
    std::vector<Eigen::VectorXd> results(4);
    std::vector<Matrix<T>> samples(4);
    concurrently(4, [&](int t) {
      results[static_cast<std::size_t>(t)] = d_.log_prob(expected.samples, context);
      Engine engine(contract_.seed + 3);
      samples[static_cast<std::size_t>(t)] = d_.sample(n, engine, context);
    });
    for (std::size_t t = 0; t < results.size(); ++t) {
      same(results[t], log_prob, "four calls of log_prob at the same time");
      same(samples[t], expected.samples, "four calls of sample at the same time");
    }
  }

  // ---- objects

  void same_object(const Distribution<T>& other, const std::string& where) {
    same(other.log_prob(y_, context_), d_.log_prob(y_, context_), where + ", log_prob");
    Engine a(contract_.seed), b(contract_.seed);
    same(other.sample(50, a, one_context()), d_.sample(50, b, one_context()), where + ", samples");
  }

  void copies() {
    Poly<Distribution<T>> copy = poly_;
    same_object(*copy, "copy");
    const std::vector<Tensor<T>> before = snapshot<T>(d_);
    const Eigen::VectorXd expected = d_.log_prob(y_, context_);
    const bool has_tensors = !list_state<T>(std::as_const(*copy)).empty();
    for (const Slot<T>& slot : list_state<T>(*copy))
      for (Index i = 0; i < slot.tensor->size(); ++i)
        (*slot.tensor)[i] = (*slot.tensor)[i] * T(1.25) + T(0.25) + T(0.125) * static_cast<T>(i);
    report_.that(unchanged<T>(d_, before), "changing a copy changes the original");
    same(d_.log_prob(y_, context_), expected, "the original after its copy was changed");
    if (has_tensors)
      report_.that(first_difference(copy->log_prob(y_, context_), expected) >= 0,
                   "changing the tensors of a copy does not change its log_prob");
    copy = poly_;
    same_object(*copy, "assigned copy");
    const Poly<Distribution<T>> moved = std::move(copy);
    same_object(*moved, "moved copy");
  }

  void rebuilt() {
    const Description description = d_.describe();
    Poly<Distribution<T>> again = contract_.registry.distribution<T>(description);
    copy_state<T, T>(d_, *again);
    same_object(*again, "rebuilt from describe() and state");
    report_.that(again->describe() == description, "describe() of the rebuilt object differs");
    report_.that(again->name() == d_.name(), "the rebuilt object is called ", again->name(), ", not ", d_.name());
    report_.that(again->event_shape() == d_.event_shape() && again->context_dim() == d_.context_dim() &&
                     again->support() == d_.support() && again->is_reparameterized() == d_.is_reparameterized(),
                 "properties of the rebuilt object differ");
    const std::vector<ConstSlot<T>> own = list_state(d_), other = list_state<T>(std::as_const(*again));
    for (std::size_t i = 0; i < std::min(own.size(), other.size()); ++i)
      report_.that(own[i].kind == other[i].kind && own[i].attributes.decay == other[i].attributes.decay &&
                       own[i].attributes.trainable == other[i].attributes.trainable,
                   "attributes of '", own[i].path, "' differ in the rebuilt object");
    if constexpr (!wide) {
      const Poly<Distribution<float>> back = cast<float>(*cast<double>(d_, contract_.registry), contract_.registry);
      same_object(*back, "cast to double and back");
    } else {
      const Poly<Distribution<float>> narrow = cast<float>(d_, contract_.registry);
      const Poly<Distribution<float>> back =
          cast<float>(*cast<double>(*narrow, contract_.registry), contract_.registry);
      report_.that(snapshot<float>(*back) == snapshot<float>(*narrow),
                   "cast to float, double and float changes tensors");
    }
  }

  void context_matters() {
    const Matrix<T> other = context_.array() + T(0.5);
    report_.that(first_difference(d_.log_prob(y_, context_), d_.log_prob(y_, other)) >= 0,
                 "log_prob does not depend on the context");
    Engine a(contract_.seed), b(contract_.seed);
    report_.that(first_difference(d_.sample_each(context_, a), d_.sample_each(other, b)) >= 0,
                 "samples do not depend on the context");
    same(d_.log_prob(y_, one_context()), d_.log_prob(y_, Matrix<T>(one_context().replicate(y_.rows(), 1))),
         "one context row for all");
  }

  const Poly<Distribution<T>> poly_;
  const Distribution<T>& d_;
  const DistributionContract& contract_;
  Index dim_;
  Index context_dim_;
  Chart chart_{Space()};  // of the support
  bool by_columns_ = true;  // each has an interval of its own
  std::vector<Interval> support_;
  Eigen::MatrixXd coordinates_;  // of the samples
  Matrix<T> y_, context_;
  SamplesAndLogProb<T> drawn_;
  Report report_;
};

}  // namespace

template <Scalar T>
std::vector<Failure> check_distribution(const Poly<Distribution<T>>& distribution,
                                        const DistributionContract& contract) {
  return DistributionCheck<T>(distribution, contract).run();
}

template std::vector<Failure> check_distribution(const Poly<Distribution<float>>&, const DistributionContract&);
template std::vector<Failure> check_distribution(const Poly<Distribution<double>>&, const DistributionContract&);

}  // namespace pushforward::testing
