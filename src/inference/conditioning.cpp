#include <pushforward/inference/conditioning.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>

#include <Eigen/Cholesky>
#include <fmt/format.h>

#include <pushforward/bijectors/column_supports.hpp>
#include <pushforward/bijectors/standardize.hpp>
#include <pushforward/distributions/mixture.hpp>
#include <pushforward/distributions/multivariate_normal_tril.hpp>
#include <pushforward/distributions/multivariate_student_t.hpp>
#include <pushforward/training/gaussian_mixture.hpp>

#include "src/core/evaluate.hpp"
#include "src/core/number_text.hpp"

namespace pushforward {

namespace {

using namespace detail;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double df = 5;           // of the proposals: heavier tails than those of most conditionals
constexpr double heavy_df = 3;     // of those that do not look at what is given
constexpr double defensive = 0.1;  // share of the proposals that comes from what was known before
constexpr int rounds = 5;          // of adaptation
constexpr Index chunk = 65536;

/// Sums of weights and their squares, from logarithms; NaN where one of them is.
class Weights {
 public:
  void add(double log_weight) {
    ++count_;
    if (log_weight == -infinity) return;
    if (!(log_weight <= largest_)) {
      const double scale = std::exp(largest_ - log_weight);
      sum_ *= scale;
      squares_ *= scale * scale;
      largest_ = log_weight;
    }
    const double weight = std::exp(log_weight - largest_);
    sum_ += weight;
    squares_ += weight * weight;
  }
  Index count() const { return count_; }
  double log_mean() const { return largest_ + std::log(sum_ / static_cast<double>(count_)); }
  /// 0 where all weights are.
  double effective() const { return sum_ > 0 ? sum_ * sum_ / squares_ : std::isnan(sum_) ? nan : 0; }
  double standard_error() const {
    if (sum_ == 0) return 0;
    return std::sqrt(std::max(0.0, 1 / effective() - 1 / static_cast<double>(count_)));
  }
  double largest() const { return largest_; }
  /// In units of the largest.
  double sum() const { return sum_; }

 private:
  Index count_ = 0;
  double largest_ = -infinity, sum_ = 0, squares_ = 0;
};

Mixture<double> mixture_of(std::vector<Poly<Distribution<double>>> parts, const std::vector<double>& log_weights) {
  return Mixture<double>(std::move(parts), VectorView<const double>(log_weights));
}

/// A Gaussian mixture as one of Student t with the same scales, and `before` for a tenth of the draws.
Mixture<double> with_heavy_tails(const Mixture<double>& normals, Mixture<double> before) {
  std::vector<Poly<Distribution<double>>> parts;
  std::vector<double> log_weights;
  const Eigen::VectorXd weights = normals.weights();
  for (Index k = 0; k < normals.components(); ++k) {
    if (weights[k] < 1e-9) continue;
    const auto& normal = static_cast<const MultivariateNormalTriL<double>&>(normals.component(k));
    const Eigen::VectorXd mean = normal.mean();
    const Eigen::MatrixXd factor = normal.scale_tril();
    parts.push_back(MultivariateStudentT<double>(df, mean, factor));
    log_weights.push_back(std::log((1 - defensive) * weights[k]));
  }
  parts.push_back(std::move(before));
  log_weights.push_back(std::log(defensive));
  return mixture_of(std::move(parts), log_weights);
}

/// A model with a part of its columns to be given. Coordinates z are the columns on the real line, at scales near 1.
template <Scalar T>
class Conditioning {
 public:
  Conditioning(std::string where, const Distribution<T>& model, const std::vector<Index>& columns,
               const ConditioningOptions<T>& options)
      : where_(std::move(where)), model_(model), options_(options), given_(columns) {
    const Index dim = model.dim();
    std::vector<bool> is_given(static_cast<std::size_t>(dim));
    for (const Index c : columns) {
      if (c < 0 || c >= dim)
        throw DomainError(fmt::format("{}: column {} is none of the {} of the model", where_, c, dim));
      if (is_given[static_cast<std::size_t>(c)])
        throw DomainError(fmt::format("{}: column {} is named twice", where_, c));
      is_given[static_cast<std::size_t>(c)] = true;
    }
    for (Index c = 0; c < dim; ++c)
      if (!is_given[static_cast<std::size_t>(c)]) free_.push_back(c);
    check_context(where_, "context", options.context, 1, model.context_dim());
    if (options.proposals < 1000)
      throw DomainError(fmt::format("{}: proposals must be at least 1000, got {}", where_, options.proposals));
    if (options.components < 1)
      throw DomainError(fmt::format("{}: components must be at least 1, got {}", where_, options.components));
    if (!free_.empty()) separate_columns(model.support());
  }

  /// All columns are given.
  bool is_complete() const { return free_.empty(); }
  /// Why the column cannot have this value; empty if it can. Whether there is a density on a bound, or between the
  /// numbers of a grid, is for the model to say.
  std::string misfit(Index column, T value) const {
    const Column& c = columns_[static_cast<std::size_t>(column)];
    const auto v = static_cast<double>(value);
    if (std::isfinite(v) && v >= c.bounds.low && v <= c.bounds.high) return {};
    return fmt::format("lies outside the support {}{}, {}{}", c.grid ? '[' : '(', number_text(c.bounds.low),
                       number_text(c.bounds.high), c.grid ? ']' : ')');
  }

  /// Fits the mixture of all columns that conditionals start from.
  void look_at_model() {
    std::vector<Interval> lines;
    for (const Column& c : columns_) lines.push_back(c.line());
    all_lines_.emplace(lines);
    for (const Index c : given_) lines[static_cast<std::size_t>(c)] = real_line;
    free_lines_.emplace(lines);
    Matrix<T> y(options_.proposals, model_.dim());
    Engine engine = Engine(options_.seed).stream("model");
    model_.sample_into(y, engine, options_.context, options_.execution);
    Matrix<double> inside(y.rows(), y.cols());
    Index count = 0;
    for (Index i = 0; i < y.rows(); ++i) {
      bool fits = true;
      for (Index c = 0; c < y.cols(); ++c) {
        const auto v = static_cast<double>(y(i, c));
        const Interval line = columns_[static_cast<std::size_t>(c)].line();
        fits = fits && std::isfinite(v) && v > line.low && v < line.high;
        inside(count, c) = v;
      }
      count += fits;
    }
    const Index dim = model_.dim(), fewest = 20 * (dim + 1);
    Matrix<double> z = all_lines_->inverse(MatrixView<const double>(inside).middle_rows(0, count)).value;
    Index kept = 0;
    if (count >= fewest) {
      const Standardize<double> standard = Standardize<double>::of(z, Standardization::median_iqr);
      z = standard.inverse(z).value;
      // Rows far out say little of the others, and would have components for themselves.
      for (Index i = 0; i < count; ++i)
        if (z.row(i).cwiseAbs().maxCoeff() < 20) z.row(kept++) = z.row(i);
      for (Index c = 0; c < dim; ++c) {
        columns_[static_cast<std::size_t>(c)].shift = standard.shift()[c];
        columns_[static_cast<std::size_t>(c)].scale = standard.scale()[c];
      }
    }
    if (kept < fewest)
      throw DomainError(fmt::format("{}: of {} draws of the model only {} are numbers inside the support, near the "
                                    "others: too few to learn from",
                                    where_, y.rows(), kept));
    const auto components = std::clamp<Index>(kept / (10 * (dim + 1)), 1, options_.components);
    mixture_.emplace(
        fit_gaussian_mixture<double>(MatrixView<const double>(z).middle_rows(0, kept), components, em()));
  }

  /// Draws b from q; calls f(rows, log_weights) with complete rows of the model.
  template <class F>
  void draw(const Mixture<double>& q, VectorView<const T> values, Index n, Engine& engine, const F& f) {
    const auto free = static_cast<Index>(free_.size());
    for (Index begin = 0; begin < n; begin += chunk) {
      const Index count = std::min(chunk, n - begin);
      const Matrix<double> z = q.sample(count, engine, options_.execution);
      Eigen::VectorXd log_weights = -q.log_prob(z, options_.execution);
      Matrix<double> x = Matrix<double>::Zero(count, model_.dim());
      double log_scale = 0;
      for (Index k = 0; k < free; ++k) {
        const Index c = free_[static_cast<std::size_t>(k)];
        const Column& column = columns_[static_cast<std::size_t>(c)];
        x.col(c) = (z.col(k) * column.scale).array() + column.shift;
        log_scale += std::log(column.scale);
        if (column.grid) log_scale -= std::log(column.grid->step);
      }
      const MappedRows<double> y = free_lines_->forward(x, options_.execution);
      Matrix<T> rows(count, model_.dim());
      for (Index i = 0; i < values.size(); ++i) rows.col(given_[static_cast<std::size_t>(i)]).setConstant(values[i]);
      for (const Index c : free_) {
        const std::optional<Grid>& grid = columns_[static_cast<std::size_t>(c)].grid;
        for (Index i = 0; i < count; ++i)
          rows(i, c) = static_cast<T>(grid ? grid->number(grid->nearest(y.value(i, c))) : y.value(i, c));
      }
      Eigen::VectorXd log_prob(count);
      model_.log_prob_into(rows, log_prob, options_.context, options_.execution);
      for (Index i = 0; i < count; ++i)
        log_weights[i] = log_prob[i] == -infinity ? -infinity : log_weights[i] + log_prob[i] + y.log_det[i] + log_scale;
      f(rows, z, log_weights);
    }
  }

  /// Where the mass is, given these.
  Mixture<double> proposal(VectorView<const T> values, Engine& engine) {
    Mixture<double> q = conditional(values);
    const Index n = options_.proposals;
    const auto free = static_cast<Index>(free_.size());
    for (int round = 0; round < rounds; ++round) {
      Weights weights;
      Matrix<double> points(n, free);
      Eigen::VectorXd log_weights(n);
      Index begin = 0;
      draw(q, values, n, engine, [&](const Matrix<T>&, const Matrix<double>& z, const Eigen::VectorXd& of_rows) {
        points.middleRows(begin, z.rows()) = z;
        log_weights.segment(begin, z.rows()) = of_rows;
        for (Index i = 0; i < z.rows(); ++i) weights.add(of_rows[i]);
        begin += z.rows();
      });
      const double effective = weights.effective();
      if (std::isnan(effective) || effective > 0.4 * static_cast<double>(n)) break;
      // Too few to tell a shape by: others, from the same place.
      if (effective < 2 * static_cast<double>(free + 1)) continue;
      const Eigen::VectorXd shares =
          ((log_weights.array() - weights.largest()).exp() * (effective / weights.sum())).matrix();
      const auto components =
          std::clamp<Index>(static_cast<Index>(effective) / (10 * (free + 1)), 1, options_.components);
      Mixture<double> fitted = fit_gaussian_mixture<double>(points, components, em(), shares);
      q = with_heavy_tails(fitted, std::move(q));
    }
    return q;
  }

 private:
  struct Column {
    Interval bounds;
    std::optional<Grid> grid;
    double shift = 0, scale = 1;
    /// What is mapped to the real line; numbers of a grid stay as they are.
    Interval line() const { return grid ? real_line : bounds; }
  };

  /// What each column may be by itself.
  void separate_columns(const Space& support) {
    Index first = 0;
    for (const Space::Block& block : support.blocks()) {
      if (block.dimensions() < block.columns)
        throw NotImplemented(fmt::format("{}: columns {} to {} of the model lie together in one surface, {}: there is "
                                         "no density of some of them",
                                         where_, first, first + block.columns - 1, support.to_text()));
      for (std::size_t k = 0; k < block.bounds.size(); ++k)
        columns_.push_back({block.bounds[k], block.grids.empty() ? std::nullopt : std::optional(block.grids[k])});
      first += block.columns;
    }
  }

  GaussianMixtureOptions em() const { return {.iterations = 50, .tolerance = 1e-3, .seed = options_.seed}; }

  /// Of the mixture of all columns, with heavier tails, and a tenth for the columns as they are without what is given.
  Mixture<double> conditional(VectorView<const T> values) const {
    const auto given = static_cast<Index>(given_.size());
    const auto line = [&](Index c) { return columns_[static_cast<std::size_t>(c)].line(); };
    Matrix<double> y(1, model_.dim());
    for (Index c = 0; c < model_.dim(); ++c) y(0, c) = line(c).inside();
    for (Index i = 0; i < given; ++i) {
      const Index c = given_[static_cast<std::size_t>(i)];
      if (const auto v = static_cast<double>(values[i]); v > line(c).low && v < line(c).high) y(0, c) = v;
    }
    const Matrix<double> x = all_lines_->inverse(y).value;
    // A bound is nowhere on the real line: about as far out as draws come.
    constexpr double far = 6;
    Eigen::VectorXd a(given);
    for (Index i = 0; i < given; ++i) {
      const Index c = given_[static_cast<std::size_t>(i)];
      const Column& column = columns_[static_cast<std::size_t>(c)];
      const auto v = static_cast<double>(values[i]);
      a[i] = v <= line(c).low ? -far : v >= line(c).high ? far : (x(0, c) - column.shift) / column.scale;
    }

    std::vector<Poly<Distribution<double>>> parts;
    std::vector<double> log_weights, log_shares;
    const Eigen::VectorXd weights = mixture_->weights();
    const auto covariance_of = [&](const Eigen::MatrixXd& all, const std::vector<Index>& rows,
                                   const std::vector<Index>& cols) -> Eigen::MatrixXd { return all(rows, cols); };
    for (Index k = 0; k < mixture_->components(); ++k) {
      const auto& normal = static_cast<const MultivariateNormalTriL<double>&>(mixture_->component(k));
      const Eigen::VectorXd mean = normal.mean();
      const Eigen::MatrixXd factor = normal.scale_tril();
      Eigen::MatrixXd covariance = factor * factor.transpose();
      // A draw between the numbers of a grid stands for the whole cell.
      for (Index c = 0; c < model_.dim(); ++c) {
        const Column& column = columns_[static_cast<std::size_t>(c)];
        if (column.grid) covariance(c, c) += std::pow(column.grid->step / column.scale, 2) / 12;
      }
      const Eigen::LLT<Eigen::MatrixXd> of_given(covariance_of(covariance, given_, given_));
      const Eigen::VectorXd off = a - mean(given_);
      const Eigen::MatrixXd cross = covariance_of(covariance, free_, given_);
      const Eigen::VectorXd centre = mean(free_) + cross * of_given.solve(off);
      const Eigen::MatrixXd own = covariance_of(covariance, free_, free_);
      const Eigen::MatrixXd rest = own - cross * of_given.solve(cross.transpose());
      const Eigen::VectorXd z = of_given.matrixL().solve(off);
      log_shares.push_back(std::log(weights[k]) - 0.5 * z.squaredNorm() -
                           Eigen::VectorXd(of_given.matrixLLT().diagonal()).array().log().sum());
      add(parts, df, centre, rest);
      add(parts, heavy_df, mean(free_), own);
    }
    const double top = *std::max_element(log_shares.begin(), log_shares.end());
    double sum = 0;
    for (const double share : log_shares) sum += std::exp(share - top);
    for (std::size_t k = 0; k < log_shares.size(); ++k) {
      log_weights.push_back(std::max(log_shares[k] - top - std::log(sum), -40.0) + std::log(1 - defensive));
      log_weights.push_back(std::log(std::max(weights[static_cast<Index>(k)], 1e-12)) + std::log(defensive));
    }
    return mixture_of(std::move(parts), log_weights);
  }

  static void add(std::vector<Poly<Distribution<double>>>& parts, double tails, const Eigen::VectorXd& mean,
                  Eigen::MatrixXd covariance) {
    // What rounding leaves of a column that follows from those given.
    covariance.diagonal().array() += 1e-10 * (1 + covariance.diagonal().array().abs());
    const Eigen::MatrixXd factor = Eigen::MatrixXd(covariance.llt().matrixL());
    parts.push_back(MultivariateStudentT<double>(tails, mean, factor));
  }

  std::string where_;
  const Distribution<T>& model_;
  ConditioningOptions<T> options_;
  std::vector<Index> given_, free_;
  std::vector<Column> columns_;
  std::optional<ColumnSupports<double>> all_lines_, free_lines_;  // the second leaves what is given as it is
  std::optional<Mixture<double>> mixture_;
};

}  // namespace

Index detail::checked_rows(Index n) {
  if (n < 0) throw DomainError(fmt::format("sample_given: the number of rows must be at least 0, got {}", n));
  return n;
}

template <Scalar T>
void detail::marginal_log_prob_into(const Distribution<T>& model, const std::vector<Index>& columns,
                                    MatrixView<const T> values, VectorView<double> log_prob,
                                    VectorView<double> standard_error, const ConditioningOptions<T>& options) {
  const std::string where = "marginal_log_prob(" + model.name() + ")";
  const auto count = static_cast<Index>(columns.size());
  if (values.cols() != count)
    throw ShapeError(fmt::format("{}: expected values of {} columns, got {}", where, count, values.cols()));
  Conditioning<T> conditioning(where, model, columns, options);
  if (conditioning.is_complete()) {
    Matrix<T> rows(values.rows(), count);
    for (Index k = 0; k < count; ++k)
      for (Index i = 0; i < values.rows(); ++i) rows(i, columns[static_cast<std::size_t>(k)]) = values(i, k);
    model.log_prob_into(rows, log_prob, options.context, options.execution);
    for (Index i = 0; i < values.rows(); ++i) standard_error[i] = 0;
    return;
  }
  conditioning.look_at_model();
  std::vector<T> row(columns.size());
  for (Index i = 0; i < values.rows(); ++i) {
    bool is_number = true, inside = true;
    for (Index k = 0; k < count; ++k) {
      row[static_cast<std::size_t>(k)] = values(i, k);
      is_number = is_number && !std::isnan(values(i, k));
      inside = inside && conditioning.misfit(columns[static_cast<std::size_t>(k)], values(i, k)).empty();
    }
    log_prob[i] = is_number ? -infinity : nan;
    standard_error[i] = is_number ? 0 : nan;
    if (!is_number || !inside) continue;
    Engine engine = Engine(options.seed).stream(fmt::format("row {}", i));
    const Mixture<double> q = conditioning.proposal(VectorView<const T>(row), engine);
    Weights weights;
    conditioning.draw(q, VectorView<const T>(row), options.proposals, engine,
                      [&](const Matrix<T>&, const Matrix<double>&, const Eigen::VectorXd& of_rows) {
                        for (Index j = 0; j < of_rows.size(); ++j) weights.add(of_rows[j]);
                      });
    log_prob[i] = weights.log_mean();
    standard_error[i] = weights.standard_error();
  }
}

template <Scalar T>
ConditionalDraws<T, MatrixView<T>> detail::sample_given_into(const Distribution<T>& model,
                                                             const std::vector<Index>& columns,
                                                             VectorView<const T> values, MatrixView<T> rows,
                                                             const ConditioningOptions<T>& options) {
  const std::string where = "sample_given(" + model.name() + ")";
  const Index n = rows.rows(), dim = model.dim();
  if (values.size() != static_cast<Index>(columns.size()))
    throw ShapeError(fmt::format("{}: expected {} values, got {}", where, columns.size(), values.size()));
  Conditioning<T> conditioning(where, model, columns, options);
  if (conditioning.is_complete())
    throw DomainError(where + ": all columns are given: there is nothing to draw");
  for (std::size_t k = 0; k < columns.size(); ++k)
    if (const std::string why = conditioning.misfit(columns[k], values[static_cast<Index>(k)]); !why.empty())
      throw DomainError(fmt::format("{}: column {}: {} {}", where, columns[k],
                                    number_text(values[static_cast<Index>(k)]), why));
  conditioning.look_at_model();
  Engine engine = Engine(options.seed).stream("row 0");
  const Mixture<double> q = conditioning.proposal(values, engine);

  Weights weights;
  std::vector<double> log_weights;
  std::vector<T> drawn;  // row by row
  constexpr Index numbers = Index{1} << 27;  // a gigabyte of doubles
  const Index most = std::max(options.proposals, std::min(options.proposals + 100 * n, numbers / dim));
  Index next = options.proposals;
  while (true) {
    conditioning.draw(q, values, next, engine,
                      [&](const Matrix<T>& complete, const Matrix<double>&, const Eigen::VectorXd& of_rows) {
                        for (Index i = 0; i < of_rows.size(); ++i) {
                          weights.add(of_rows[i]);
                          log_weights.push_back(of_rows[i]);
                          for (Index c = 0; c < dim; ++c) drawn.push_back(complete(i, c));
                        }
                      });
    // With this much weight no row is taken twice.
    if (static_cast<double>(n) <= weights.sum() || weights.count() >= most) break;
    next = std::min({most - weights.count(), std::max(weights.count(), options.proposals), 16 * chunk});
  }
  if (std::isnan(weights.sum())) throw Error(where + ": the model's log_prob is NaN at one of its proposals");
  if (!(weights.sum() > 0))
    throw DomainError(fmt::format("{}: none of {} proposals met any density of the model at the given values", where,
                                  weights.count()));

  double u = 0;
  engine.next_call().uniform(0, 1, 1, &u, 1);
  Index at = 0;
  double passed = std::exp(log_weights[0] - weights.largest());
  for (Index i = 0; i < n; ++i) {
    const double wanted = (static_cast<double>(i) + u) / static_cast<double>(n) * weights.sum();
    while (passed < wanted && at + 1 < weights.count())
      passed += std::exp(log_weights[static_cast<std::size_t>(++at)] - weights.largest());
    for (Index c = 0; c < dim; ++c) rows(i, c) = drawn[static_cast<std::size_t>(at * dim + c)];
  }
  return {rows, weights.log_mean(), weights.standard_error(), weights.count(), weights.effective()};
}

#define PUSHFORWARD_INSTANTIATE(T)                                                                                   \
  template void detail::marginal_log_prob_into(const Distribution<T>&, const std::vector<Index>&,                    \
                                               MatrixView<const T>, VectorView<double>, VectorView<double>,          \
                                               const ConditioningOptions<T>&);                                       \
  template ConditionalDraws<T, MatrixView<T>> detail::sample_given_into(const Distribution<T>&,                      \
                                                                        const std::vector<Index>&,                   \
                                                                        VectorView<const T>, MatrixView<T>,          \
                                                                        const ConditioningOptions<T>&);
PUSHFORWARD_INSTANTIATE(float)
PUSHFORWARD_INSTANTIATE(double)
#undef PUSHFORWARD_INSTANTIATE

}  // namespace pushforward
