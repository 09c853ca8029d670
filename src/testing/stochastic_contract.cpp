#include <Eigen/LU>
#include <limits>
#include <optional>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <pushforward/distributions/uniform.hpp>
#include <pushforward/error.hpp>
#include <pushforward/io/model.hpp>
#include <pushforward/testing/stochastic_contract.hpp>

#include "src/testing/common.hpp"

namespace pushforward::testing {

using namespace detail;

namespace {

/// With fewer of them nothing can be said: a spread takes two numbers, quantiles of 20 % five.
void check_counts(const char* where, const StochasticContract& c) {
  const auto at_least = [&](const char* name, Index value, Index least) {
    if (value < least)
      throw DomainError(std::string(where) + ": StochasticContract::" + name + " must be at least " +
                        std::to_string(least) + ", got " + std::to_string(value));
  };
  at_least("rows", c.rows, 1);
  at_least("draws", c.draws, 2);
  at_least("repeats", c.repeats, 2);
  at_least("samples", c.samples, 5);
}

template <class M>
M repeated(const M& m, Index times) {
  return m.replicate(times, 1);
}

/// Where nothing can be drawn, the error names the part that asks.
template <class Call>
void names_what_draws(Report& report, Call call, const std::string& where) {
  const std::string says = ": draws random numbers";
  try {
    call();
    report.fail(where, " without an engine: nothing was thrown");
  } catch (const Error& e) {
    const std::string what = e.what();
    const std::size_t at = what.find(says);
    report.that(at != std::string::npos && at > 0, where, " without an engine: '", says, "' is missing in: ", what);
    report.that(what.substr(0, at) != "Pass", where, " without an engine: the part that draws is not named: ", what);
  }
}

template <Scalar T>
class StochasticCheck {
 public:
  StochasticCheck(const Poly<Distribution<T>>& distribution, const StochasticContract& contract)
      : poly_(distribution), d_(*poly_), contract_(contract), dim_(d_.dim()), context_dim_(d_.context_dim()) {}

  std::vector<Failure> run() {
    const std::vector<Tensor<T>> before = snapshot<T>(d_);
    bool ready = false;
    report_.run("what draws mean", [&] {
      check_listing<T>(report_, d_, contract_.tensors);
      kind_ = d_.estimates();
      report_.that(kind_ != Estimate::exact,
                   "estimates() is exact; a class that draws says what it estimates (do_estimates), one that does not "
                   "is for check_distribution");
      ready = kind_ != Estimate::exact;
    });
    if (!ready) return report_.take();
    ready = false;
    report_.run("points", [&] {
      points();
      ready = true;
    });
    if (!ready) return report_.take();
    report_.run("named tensors", [&] { named_tensors(); });
    report_.run("no engine", [&] { no_engine(); });
    report_.run("random numbers", [&] { random_numbers(); });
    report_.run("standard error", [&] { coverage(); });
    report_.run("samples and density", [&] { mass(); });
    report_.run("sample and log_prob", [&] { sample_and_log_prob(); });
    if constexpr (std::same_as<T, double>) report_.run("gradients", [&] { gradients(); });
    report_.run("rows that are not finite", [&] { not_finite(); });
    report_.run("copies", [&] { copies(); });
    report_.run("rebuilt", [&] { rebuilt(); });
    report_.run("files", [&] { files(); });
    report_.run("const calls", [&] { report_.that(unchanged<T>(d_, before), "a const call changed a listed tensor"); });
    return report_.take();
  }

 private:
  static constexpr double inf = std::numeric_limits<double>::infinity();

  Matrix<T> contexts(Index rows) const { return context_dim_ > 0 ? Matrix<T>(context_.topRows(rows)) : Matrix<T>(); }
  LogProbEstimate<T> estimate(const Distribution<T>& d, const Matrix<T>& y, const Matrix<T>& context, Index draws,
                           std::uint64_t seed, Run run = {}) const {
    Engine engine(seed);
    return d.log_prob(y, engine, draws, context, run);
  }
  void same(const LogProbEstimate<T>& a, const LogProbEstimate<T>& b, const std::string& where) {
    const Index value = first_difference(a.value, b.value);
    report_.that(value < 0, where, ": other bits in the estimate of row ", value);
    const Index error = first_difference(a.standard_error, b.standard_error);
    report_.that(error < 0, where, ": other bits in the standard error of row ", error);
  }

  // Points are samples, where the class has them: there the density matters.
  void points() {
    chart_ = Chart(d_.support());
    const Index n = std::max<Index>(contract_.rows, 2);
    context_ = convert<T>(normals(context_dim_ > 0 ? n : 0, context_dim_, contract_.seed + 2));
    Engine engine(contract_.seed);
    try {
      y_ = context_dim_ > 0 ? d_.sample_each(context_, engine) : d_.sample(n, engine);
      draws_samples_ = true;
    } catch (const NotImplemented&) {
      y_ = draw_points<T>(chart_, n, contract_.seed);
    }
  }

  void named_tensors() {
    for (const auto mode : {Tape<T>::Mode::evaluate, Tape<T>::Mode::record})
      check_asked<T>(report_, d_, y_, context_, mode, Statistics::running, "log_prob",
                     [&](Pass<T>& pass, Var<T> y) { (void)d_.log_prob(pass, y); });
    check_asked_by_samples<T>(report_, d_, context_);
  }

  void no_engine() {
    names_what_draws(report_, [&] { (void)d_.log_prob(y_, context_); }, "log_prob");
    names_what_draws(report_, [&] { (void)d_.log_prob_and_gradient(y_, context_); }, "log_prob_and_gradient");
  }

  void random_numbers() {
    // More than one tile.
    const Index times = 2 * pushforward::detail::tile_rows / y_.rows() + 1;
    const Matrix<T> y = repeated(y_, times), context = context_dim_ > 0 ? repeated(context_, times) : Matrix<T>();
    Engine engine(contract_.seed);
    const LogProbEstimate<T> first = d_.log_prob(y, engine, 3, context);
    report_.that(engine.call() == 1, "an estimate used ", engine.call(), " calls of the engine");
    same(estimate(d_, y, context, 3, contract_.seed), first, "the same engine again");
    for (const int threads : {1, 2, 3}) {
      Execution execution({.threads = threads});
      same(estimate(d_, y, context, 3, contract_.seed, execution), first, text(threads, " threads"));
    }
    const LogProbEstimate<T> few = estimate(d_, y_, context_, 3, contract_.seed);
    same(few, {first.value.head(y_.rows()), first.standard_error.head(y_.rows())}, "the first rows alone");
    report_.that(first_difference(estimate(d_, y, context, 3, contract_.seed + 1).value, first.value) >= 0,
                 "another seed gives the same numbers: nothing is drawn from the engine");
    report_.that(first_difference(d_.log_prob(y, engine, 3, context).value, first.value) >= 0,
                 "the next call of the engine gives the same numbers");
    report_.that(first.value.array().isFinite().all() || !draws_samples_ || kind_ == Estimate::density,
                 "log_prob of a sample is not finite");
  }

  void coverage() {
    const Index n = y_.rows(), repeats = contract_.repeats;
    const Matrix<T> context = context_dim_ > 0 ? repeated(context_, repeats) : Matrix<T>();
    const LogProbEstimate<T> all =
        estimate(d_, repeated(y_, repeats), context, contract_.draws, contract_.seed + 3);
    for (Index i = 0; i < n; ++i) {
      Eigen::ArrayXd value(repeats), error(repeats);
      for (Index k = 0; k < repeats; ++k) {
        value[k] = all.value[k * n + i];
        error[k] = all.standard_error[k * n + i];
      }
      if (!value.isFinite().all() || !error.isFinite().all()) {
        report_.fail("row ", i, ": ", contract_.draws, " draws give a value or standard error that is not finite");
        continue;
      }
      // What is unbiased is averaged.
      const double top = value.maxCoeff(), count = static_cast<double>(repeats);
      const bool of_density = kind_ == Estimate::density;
      const Eigen::ArrayXd unbiased = of_density ? Eigen::ArrayXd((value - top).exp()) : value;
      const double mean = unbiased.mean();
      const double spread = std::sqrt((unbiased - mean).square().sum() / (count - 1) / count);
      const double pooled = of_density ? top + std::log(mean) : mean;
      const double pooled_error = of_density ? spread / mean : spread;
      double truth = pooled;
      if (contract_.log_prob) {
        const Eigen::VectorXd y = row_of(y_, i), c = context_dim_ > 0 ? row_of(context_, i) : Eigen::VectorXd();
        truth = contract_.log_prob(VectorView<const double>(y.data(), y.size()),
                                   VectorView<const double>(c.data(), c.size()));
        report_.near(pooled, truth, 4 * pooled_error + rounding(truth), "row ", i, ", mean of all draws");
      }
      double covered = 0, square = 0;
      for (Index k = 0; k < repeats; ++k) {
        const double distance = std::abs(value[k] - truth) - rounding(truth);
        covered += distance <= 1.959963984540054 * error[k];
        // Means of few draws of a skewed number are far out too often; beyond three errors it does not matter how far.
        const double units = distance <= 0 ? 0 : std::min(distance / error[k], 3.0);
        square += units * units / count;
      }
      // Four binomial standard deviations, and what means of few draws lack to be normal.
      report_.near(covered / count, 0.95, 4 * std::sqrt(0.95 * 0.05 / count) + 0.015, "row ", i,
                   ": share of estimates within 1.96 standard errors of ", truth);
      if (error.maxCoeff() > rounding(truth))
        report_.near(square, 1, 4 * std::sqrt(2 / count) + 0.1, "row ", i,
                     ": mean square of (estimate - truth) / standard error");
    }
  }
  static double rounding(double v) {
    return 64 * static_cast<double>(std::numeric_limits<T>::epsilon()) * (1 + std::abs(v));
  }

  // The integral over the box from the 20 % to the 80 % quantile of each coordinate.
  void mass() {
    if (!draws_samples_) return;
    const Index n = contract_.samples, k = chart_.dimensions();
    Engine engine(contract_.seed + 4);
    const Matrix<T> one = contexts(1), drawn = d_.sample(n, engine, one);
    Eigen::MatrixXd at(n, k);
    Eigen::VectorXd u(k), row(dim_);
    for (Index i = 0; i < n; ++i) {
      if (!contains(chart_.space(), drawn, i))
        report_.fail("sample ", i, " is (", drawn.row(i), "), not in ", chart_.space().to_text());
      chart_.coordinates(row_of(drawn, i).data(), u.data());
      at.row(i) = u;
    }
    Eigen::ArrayXd low(k), size(k);
    for (Index c = 0; c < k; ++c) {
      std::vector<double> sorted(at.col(c).begin(), at.col(c).end());
      std::sort(sorted.begin(), sorted.end());
      low[c] = sorted[static_cast<std::size_t>(n / 5)];
      size[c] = sorted[static_cast<std::size_t>(n - 1 - n / 5)] - low[c] + (chart_.is_whole(c) ? 1 : 0);
    }
    double inside = 0;
    for (Index i = 0; i < n; ++i) {
      bool in = true;
      for (Index c = 0; c < k; ++c) in = in && at(i, c) >= low[c] && at(i, c) < low[c] + size[c];
      inside += in;
    }
    const double share = inside / static_cast<double>(n);
    const Index nodes = std::max<Index>(n / 10, 200), draws = std::max<Index>(contract_.draws / 16, 2);
    Matrix<T> y(nodes, dim_);
    Eigen::ArrayXd measure(nodes);
    Matrix<double> uniform(nodes, k);
    Engine(contract_.seed + 5).next_call().uniform(0, nodes, k, uniform.data(), nodes);
    for (Index i = 0; i < nodes; ++i) {
      for (Index c = 0; c < k; ++c) {
        u[c] = low[c] + size[c] * uniform(i, c);
        if (chart_.is_whole(c)) u[c] = std::floor(u[c]);
      }
      measure[i] = chart_.row(u.data(), row.data()) * size.prod();
      y.row(i) = row.transpose().template cast<T>();
    }
    const LogProbEstimate<T> e = estimate(d_, y, one, draws, contract_.seed + 6);
    // exp of the mean of log densities is too large by half their variance, in the mean.
    const Eigen::ArrayXd variance = e.standard_error.array().square();
    Eigen::ArrayXd log_density = e.value.array();
    if (kind_ == Estimate::log_density) log_density -= variance / 2;
    const Eigen::ArrayXd mass = log_density.exp() * measure;
    const double m = mass.mean(), count = static_cast<double>(nodes);
    const double error = std::sqrt((mass - m).square().sum() / (count - 1) / count +
                                   share * (1 - share) / static_cast<double>(n));
    const double skew = kind_ == Estimate::density ? 0 : (mass * variance.square()).mean();
    report_.near(m, share, 4.5 * error + skew,
                 "integral of the density over a box, against the share of samples in it");
  }

  void sample_and_log_prob() {
    if (!draws_samples_) return;
    const Matrix<T> one = contexts(1);
    Engine a(contract_.seed + 7), b(contract_.seed + 7);
    if (kind_ == Estimate::density) {
      report_.template throws<NotImplemented>([&] { (void)d_.sample_and_log_prob(3, a, one); }, "sample_and_log_prob",
                                              {d_.name()});
      return;
    }
    const Index n = 2000;
    const SamplesAndLogProb<T> drawn = d_.sample_and_log_prob(n, a, one);
    report_.that(first_difference(drawn.samples, d_.sample(n, b, one)) < 0,
                 "sample_and_log_prob gives other samples than sample with the same engine");
    const LogProbEstimate<T> e = estimate(d_, drawn.samples, one, contract_.draws, contract_.seed + 8);
    const Eigen::ArrayXd difference = drawn.log_prob.array() - e.value.array();
    const double mean = difference.mean(), count = static_cast<double>(n);
    const double error = std::sqrt((difference - mean).square().sum() / (count - 1) / count);
    report_.near(mean, 0, 4.5 * error + rounding(e.value.cwiseAbs().mean()),
                 "mean of sample_and_log_prob less log_prob of the same samples");
  }

  void gradients() {
    if constexpr (std::same_as<T, double>) {
      Poly<Distribution<double>> copy = poly_;
      const std::vector<NamedTensor> tensors = parameters<double>(*copy);
      GradientCheck options;
      options.seed = contract_.seed;
      std::vector<double> largest;
      report_.add(check_gradient_on(
          chart_, [&](Pass<double>& pass, Var<double> y) { return copy->log_prob(pass, y); }, y_, context_, tensors,
          options, &largest));
      for (std::size_t p = 0; p < tensors.size(); ++p)
        report_.that(largest[p] > 0 || tensors[p].tensor->size() == 0, "parameter '", tensors[p].name,
                     "' is listed but has no influence");
    }
  }

  void not_finite() {
    const LogProbEstimate<T> good = estimate(d_, y_, context_, 4, contract_.seed);
    for (Index c = 0; c < dim_; ++c) {
      Matrix<T> broken = y_;
      broken(1, c) = std::numeric_limits<T>::quiet_NaN();
      LogProbEstimate<T> got = estimate(d_, broken, context_, 4, contract_.seed);
      report_.that(std::isnan(got.value[1]) && std::isnan(got.standard_error[1]), "NaN in column ", c,
                   ": log_prob is ", got.value[1], " with standard error ", got.standard_error[1]);
      got.value[1] = good.value[1];
      got.standard_error[1] = good.standard_error[1];
      same(got, good, text("NaN in column ", c, ", the other rows"));
    }
  }

  // ---- objects

  void same_object(const Distribution<T>& other, const std::string& where) {
    report_.that(other.estimates() == kind_, where, ": estimates() differs");
    same(estimate(other, y_, context_, 4, contract_.seed), estimate(d_, y_, context_, 4, contract_.seed), where);
    if (!draws_samples_) return;
    Engine a(contract_.seed), b(contract_.seed);
    report_.that(first_difference(other.sample(50, a, contexts(1)), d_.sample(50, b, contexts(1))) < 0, where,
                 ": other samples");
  }

  void copies() {
    Poly<Distribution<T>> copy = poly_;
    same_object(*copy, "copy");
    const LogProbEstimate<T> expected = estimate(d_, y_, context_, 4, contract_.seed);
    const std::vector<Slot<T>> slots = list_state<T>(*copy);
    for (const Slot<T>& slot : slots)
      for (T& v : slot.tensor->values()) v = v * T(1.25) + T(0.25);
    same(estimate(d_, y_, context_, 4, contract_.seed), expected, "the original after its copy was changed");
    if (!slots.empty())
      report_.that(first_difference(estimate(*copy, y_, context_, 4, contract_.seed).value, expected.value) >= 0,
                   "changing the tensors of a copy does not change its log_prob");
  }

  void rebuilt() {
    const Description description = d_.describe();
    Poly<Distribution<T>> again = contract_.registry.template distribution<T>(description);
    copy_state<T, T>(d_, *again);
    same_object(*again, "rebuilt from describe() and state");
    report_.that(again->describe() == description, "describe() of the rebuilt object differs");
  }

  void files() {
    const std::vector<std::byte> file = serialize(d_);
    same_object(*load<T>(std::span<const std::byte>(file), "file", contract_.registry).distribution,
                "written and read again");
  }

  const Poly<Distribution<T>> poly_;
  const Distribution<T>& d_;
  const StochasticContract& contract_;
  Index dim_;
  Index context_dim_;
  Estimate kind_ = Estimate::exact;
  bool draws_samples_ = false;
  Chart chart_{Space()};  // of the support
  Matrix<T> y_, context_;
  Report report_;
};

template <Scalar T>
class StochasticMapCheck {
 public:
  StochasticMapCheck(const Poly<Bijector<T>>& bijector, const StochasticContract& contract)
      : poly_(bijector), b_(*poly_), contract_(contract) {}

  std::vector<Failure> run() {
    bool ready = false;
    report_.run("what draws mean", [&] {
      check_listing<T>(report_, b_, contract_.tensors);
      ready = b_.estimates() != Estimate::exact;
      report_.that(ready,
                   "estimates() is exact; a class that draws says what it estimates (do_estimates), one that does not "
                   "is for check_bijector");
    });
    if (!ready) return report_.take();
    for (const bool forward : {true, false}) {
      if (!has(forward)) continue;
      direction_ = forward ? "forward" : "inverse";
      const Chart chart(forward ? b_.domain() : b_.codomain());
      const Matrix<T> in = draw_points<T>(chart, contract_.rows, contract_.seed);
      const Matrix<T> context =
          convert<T>(normals(b_.context_dim() > 0 ? in.rows() : 0, b_.context_dim(), contract_.seed + 2));
      report_.run("named tensors", [&] {
        check_asked<T>(report_, b_, in, context, Tape<T>::Mode::evaluate, Statistics::running, direction_,
                       [&](Pass<T>& pass, Var<T> v) { (void)(forward ? b_.forward(pass, v) : b_.inverse(pass, v)); });
      });
      report_.run("no engine", [&] {
        names_what_draws(report_, [&] { (void)(forward ? b_.forward(in, context) : b_.inverse(in, context)); },
                         direction_);
      });
      report_.run("random numbers", [&] { random_numbers(forward, in, context); });
      if (b_.estimates() == Estimate::log_density)
        report_.run("log_det", [&] { log_det(forward, chart, in, context); });
    }
    report_.run("density", [&] { density(); });
    return report_.take();
  }

 private:
  bool has(bool forward) const { return forward ? b_.has_forward() : b_.has_inverse(); }
  MappedRows<T> map(bool forward, const Matrix<T>& in, const Matrix<T>& context, std::uint64_t seed) const {
    Engine engine(seed);
    return forward ? b_.forward(in, engine, context) : b_.inverse(in, engine, context);
  }

  void random_numbers(bool forward, const Matrix<T>& in, const Matrix<T>& context) {
    const MappedRows<T> first = map(forward, in, context, contract_.seed);
    const MappedRows<T> again = map(forward, in, context, contract_.seed);
    report_.that(first_difference(first.value, again.value) < 0 && first_difference(first.log_det, again.log_det) < 0,
                 direction_, ": the same engine gives other bits");
    const MappedRows<T> other = map(forward, in, context, contract_.seed + 1);
    report_.that(first_difference(first.value, other.value) >= 0 || first_difference(first.log_det, other.log_det) >= 0,
                 direction_, ": another seed gives the same bits: nothing is drawn from the engine");
  }

  // Draws that estimate log|det| leave the map itself alone.
  void log_det(bool forward, const Chart& chart, const Matrix<T>& in, const Matrix<T>& context) {
    const MappedRows<T> first = map(forward, in, context, contract_.seed);
    report_.that(first_difference(first.value, map(forward, in, context, contract_.seed + 1).value) < 0, direction_,
                 ": values depend on the draws, but estimates() says that log|det| alone does (Estimate::density is "
                 "for variables that are drawn)");
    if (has(!forward)) {
      const Matrix<T> back = map(!forward, first.value, context, contract_.seed).value;
      const double tolerance = 4 * std::sqrt(static_cast<double>(std::numeric_limits<T>::epsilon()));
      for (Index i = 0; i < in.rows(); ++i)
        for (Index c = 0; c < in.cols(); ++c)
          report_.near(static_cast<double>(back(i, c)), static_cast<double>(in(i, c)),
                       tolerance * (1 + std::abs(static_cast<double>(in(i, c)))), direction_, " and back, row ", i,
                       ", column ", c);
    }
    if constexpr (std::same_as<T, double>) {
      const Index draws = 4 * contract_.draws;
      const Chart target(forward ? b_.codomain() : b_.domain());
      for (Index i = 0; i < in.rows(); ++i) {
        const Matrix<T> row_context = b_.context_dim() > 0 ? Matrix<T>(context.row(i)) : Matrix<T>();
        const auto value_of = [&](const Eigen::VectorXd& row) {
          const Matrix<T> one = row.transpose();
          return row_of(map(forward, one, row_context, contract_.seed).value, 0);
        };
        const std::vector<Chart::Direction> directions = chart.directions(row_of(in, i));
        const Eigen::MatrixXd from = chart.projection(row_of(in, i)), to = target.projection(row_of(first.value, i));
        Eigen::MatrixXd jacobian(to.rows(), from.rows());
        for (std::size_t c = 0; c < directions.size(); ++c) {
          const Eigen::VectorXd step =
              std::cbrt(std::numeric_limits<double>::epsilon()) * directions[c].reach * directions[c].along;
          const Eigen::VectorXd above = row_of(in, i) + step, below = row_of(in, i) - step;
          const Index column = static_cast<Index>(c);
          jacobian.col(column) = to * (value_of(above) - value_of(below)) / from.row(column).dot(above - below);
        }
        const double expected = jacobian.partialPivLu().matrixLU().diagonal().array().abs().log().sum();
        const Eigen::ArrayXd drawn =
            map(forward, repeated(Matrix<T>(in.row(i)), draws), row_context, contract_.seed + 9).log_det.array();
        const double mean = drawn.mean(), n = static_cast<double>(draws);
        const double error = std::sqrt((drawn - mean).square().sum() / (n - 1) / n);
        report_.near(mean, expected, 4.5 * error + 1e-6 * (1 + std::abs(expected)), direction_, ", row ", i,
                     ": mean of log_det against log|det| of the numerical Jacobian");
      }
    }
  }

  void density() {
    const Space domain = b_.domain();
    if (!domain.is_box() || !has(true) || !has(false)) return;
    std::vector<double> low, high;
    for (const Interval& i : domain.bounds()) {
      low.push_back(i.low);
      high.push_back(i.high);
    }
    const bool real = domain == Space::real(b_.base_dim());
    const bool bounded = std::all_of(low.begin(), low.end(), [](double v) { return std::isfinite(v); }) &&
                         std::all_of(high.begin(), high.end(), [](double v) { return std::isfinite(v); });
    if (!real && !bounded) return;
    std::vector<T> from(low.begin(), low.end()), to(high.begin(), high.end());
    Poly<Distribution<T>> base = Normal<T>(b_.base_dim());
    if (!real) base = Uniform<T>(VectorView<const T>(from), VectorView<const T>(to));
    StochasticContract contract = contract_;
    contract.tensors.clear();
    contract.log_prob = nullptr;
    report_.add(check_stochastic_distribution<T>(
        Poly<Distribution<T>>(TransformedDistribution<T>(std::move(base), Poly<Bijector<T>>(poly_))), contract));
  }

  const Poly<Bijector<T>> poly_;
  const Bijector<T>& b_;
  const StochasticContract& contract_;
  std::string direction_;
  Report report_;
};

}  // namespace

template <Scalar T>
std::vector<Failure> check_stochastic_distribution(const Poly<Distribution<T>>& distribution,
                                                   const StochasticContract& contract) {
  check_counts("check_stochastic_distribution", contract);
  return StochasticCheck<T>(distribution, contract).run();
}

template <Scalar T>
std::vector<Failure> check_stochastic_bijector(const Poly<Bijector<T>>& bijector, const StochasticContract& contract) {
  check_counts("check_stochastic_bijector", contract);
  return StochasticMapCheck<T>(bijector, contract).run();
}

template std::vector<Failure> check_stochastic_distribution(const Poly<Distribution<float>>&,
                                                            const StochasticContract&);
template std::vector<Failure> check_stochastic_distribution(const Poly<Distribution<double>>&,
                                                            const StochasticContract&);
template std::vector<Failure> check_stochastic_bijector(const Poly<Bijector<float>>&, const StochasticContract&);
template std::vector<Failure> check_stochastic_bijector(const Poly<Bijector<double>>&, const StochasticContract&);

}  // namespace pushforward::testing
