#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <numeric>
#include <optional>
#include <pushforward/diagnostics/calibration_report.hpp>
#include <pushforward/error.hpp>
#include <pushforward/latents.hpp>
#include <pushforward/training/baseline.hpp>
#include <utility>

#include "src/diagnostics/statistics.hpp"
#include "src/numerics/constants.hpp"
#include "src/numerics/special_functions.hpp"
#include "src/training/weighted_mean.hpp"

namespace pushforward {

using namespace detail;

namespace {

constexpr const char* where = "calibration_report";
constexpr Index rows_at_a_time = 65536, values_at_a_time = Index{1} << 22, most_draws = 10'000, most_classified = 5000,
                least_rows = 20, most_baseline_columns = 1000;
constexpr std::size_t most_pairs = 496;  // all of 32 columns

/// Distribution functions from below and from above.
struct BothTails {
  Matrix<double> cdf, survival;
};

/// What is asked of a model, in double; a context has one row for each of the rows, or no column.
struct Calls {
  Index dim = 0, context_dim = 0;
  Space support;
  std::function<Matrix<double>(const Matrix<double>& context, Index rows)> draw;
  std::function<Eigen::VectorXd(const Matrix<double>& y, const Matrix<double>& context)> log_prob;
  /// Of the latent values; or why there are none.
  std::function<std::optional<BothTails>(const Matrix<double>& y, const Matrix<double>& context, std::string& why)>
      latents;
};

/// Data and options in double, not yet checked.
struct Settings {
  Matrix<double> data, context, baseline_data, baseline_context;
  Index draws, most_rows, worst;
  double level;
  std::vector<double> coverage;
  std::vector<std::string> columns;
  std::uint64_t seed;

  void check() const {
    if (data.rows() < least_rows)
      throw DomainError(fmt::format("{}: expected at least {} rows, got {}", where, least_rows, data.rows()));
    if (draws < 0 || draws > most_draws)
      throw DomainError(fmt::format("{}: draws must be from 0 to {}, got {}", where, most_draws, draws));
    if (most_rows < least_rows)
      throw DomainError(fmt::format("{}: most_rows must be at least {}, got {}", where, least_rows, most_rows));
    if (worst < 0) throw DomainError(fmt::format("{}: worst must be at least 0, got {}", where, worst));
    if (!(level > 0 && level < 1))
      throw DomainError(fmt::format("{}: level must lie between 0 and 1, got {}", where, level));
    for (const double share : coverage)
      if (!(share > 0 && share < 1))
        throw DomainError(fmt::format("{}: levels of coverage must lie between 0 and 1, got {}", where, share));
  }
};

/// `cols` finite columns of `rows` rows, for which one may stand.
Matrix<double> checked(Matrix<double> m, const char* what, Index cols, Index rows) {
  if (m.cols() != cols)
    throw ShapeError(fmt::format("{}: expected {} columns of {}, got {}", where, cols, what, m.cols()));
  if (cols == 0) return Matrix<double>(rows, 0);
  if (m.rows() == 1 && rows > 1) m = m.replicate(rows, 1).eval();
  if (m.rows() != rows)
    throw ShapeError(fmt::format("{}: expected {} rows of {}, or one, got {}", where, rows, what, m.rows()));
  for (Index c = 0; c < cols; ++c)
    for (Index i = 0; i < rows; ++i)
      if (!std::isfinite(m(i, c)))
        throw DomainError(fmt::format("{}: {} row {}, column {} is not finite", where, what, i, c));
  return m;
}

Matrix<double> rows_of(const Matrix<double>& m, const std::vector<Index>& rows) {
  return m(rows, Eigen::seqN(0, m.cols()));
}

/// Each row `times` times, one after the other.
Matrix<double> repeated(const Matrix<double>& m, Index times) {
  Matrix<double> out(m.rows() * times, m.cols());
  for (Index i = 0; i < out.rows(); ++i) out.row(i) = m.row(i / times);
  return out;
}

Matrix<double> beside(const Matrix<double>& a, const Matrix<double>& b) {
  Matrix<double> both(a.rows(), a.cols() + b.cols());
  both << a, b;
  return both;
}

double quantile_of(std::vector<double> v, double p) {
  const double at = p * static_cast<double>(v.size() - 1), share = at - std::floor(at);
  const auto low = v.begin() + static_cast<std::ptrdiff_t>(at);
  std::nth_element(v.begin(), low, v.end());
  if (share == 0 || std::isinf(*low)) return *low;
  return *low + share * (*std::min_element(low + 1, v.end()) - *low);
}

MeanLogLikelihood mean_of(const std::vector<double>& v) {
  return weighted_mean(
      static_cast<Index>(v.size()), [&](Index i) { return v[static_cast<std::size_t>(i)]; }, [](Index) { return 1.0; });
}

/// Ranks of statistics of a row among those of its draws, ties settled at random.
class Ranks {
 public:
  Ranks(Index statistics, Index rows, Index draws) : values_(static_cast<std::size_t>(statistics)), draws_(draws) {
    for (Uniforms& u : values_) u.values.reserve(static_cast<std::size_t>(rows));
  }
  /// `of_draw(k)` for each of the row's draws; v is uniform.
  template <class F>
  void add(Index statistic, double of_row, F of_draw, double v) {
    Index below = 0, equal = 0;
    for (Index k = 0; k < draws_; ++k) {
      const double s = of_draw(k);
      below += s < of_row;
      equal += s == of_row;
    }
    values_[static_cast<std::size_t>(statistic)].values.push_back(
        (static_cast<double>(below) + v * static_cast<double>(1 + equal)) / static_cast<double>(draws_ + 1));
  }
  Uniforms take(Index statistic) {
    Uniforms u = std::move(values_[static_cast<std::size_t>(statistic)]);
    u.test = test_uniformity(u.values);
    return u;
  }

 private:
  std::vector<Uniforms> values_;
  Index draws_;
};

class Check {
 public:
  Check(const Calls& model, Settings settings) : model_(model), s_(std::move(settings)) {
    s_.check();
    const Index rows = s_.data.rows(), others = s_.baseline_data.rows();
    data_ = checked(std::move(s_.data), "data", model.dim, rows);
    context_ = checked(std::move(s_.context), "context", model.context_dim, rows);
    if (others == 0) return;
    s_.baseline_data = checked(std::move(s_.baseline_data), "baseline_data", model.dim, others);
    s_.baseline_context = checked(std::move(s_.baseline_context), "baseline_context", model.context_dim, others);
  }

  CalibrationReport run() {
    r_.rows = data_.rows();
    r_.level = s_.level;
    scores();
    baseline();
    choose();
    prepare();
    ranks();
    latents();
    two_sample();
    conclude();
    return std::move(r_);
  }

 private:
  std::string column(Index c) const {
    const auto i = static_cast<std::size_t>(c);
    const char* kind = c < model_.dim ? "column" : "context column";
    if (i < s_.columns.size()) return fmt::format("{} '{}'", kind, s_.columns[i]);
    return fmt::format("{} {}", kind, c < model_.dim ? c : c - model_.dim);
  }

  Matrix<double> draw(const Matrix<double>& context, Index rows) const {
    Matrix<double> y = model_.draw(context, rows);
    if (y.hasNaN()) throw DomainError(fmt::format("{}: draws of the model hold NaN", where));
    return y;
  }

  void scores() {
    for (Index begin = 0; begin < data_.rows(); begin += rows_at_a_time) {
      const Index count = std::min(rows_at_a_time, data_.rows() - begin);
      const Eigen::VectorXd values = model_.log_prob(data_.middleRows(begin, count), context_.middleRows(begin, count));
      log_prob_.insert(log_prob_.end(), values.begin(), values.end());
    }
    std::vector<double> inside;
    for (std::size_t i = 0; i < log_prob_.size(); ++i) {
      if (std::isnan(log_prob_[i])) throw DomainError(fmt::format("{}: log_prob of data row {} is NaN", where, i));
      if (log_prob_[i] == -infinity)
        ++r_.density_zero;
      else
        inside.push_back(log_prob_[i]);
    }
    r_.score = mean_of(inside);
    r_.quantile_01 = quantile_of(log_prob_, 0.01);
    r_.median = quantile_of(log_prob_, 0.5);
    r_.quantile_99 = quantile_of(log_prob_, 0.99);
  }

  /// The Gaussian's log_prob of every row, or nothing.
  void baseline() {
    const Index width = model_.dim + context_.cols();
    std::vector<double> values;
    const auto score_rows = [&](const GaussianBaseline& gaussian, Index first, Index step) {
      std::vector<Index> rows;
      for (Index i = first; i < data_.rows(); i += step) rows.push_back(i);
      const Eigen::VectorXd v = gaussian.log_prob(rows_of(data_, rows), rows_of(context_, rows));
      for (std::size_t i = 0; i < rows.size(); ++i)
        values[static_cast<std::size_t>(rows[i])] = v[static_cast<Index>(i)];
    };
    try {
      if (width > most_baseline_columns) throw DomainError(fmt::format("{} columns are too many", width));
      if (model_.support.dimensions() < model_.dim) throw DomainError("a Gaussian has no density on a surface");
      values.resize(log_prob_.size());
      if (s_.baseline_data.rows() > 0) {
        score_rows(GaussianBaseline::fit(s_.baseline_data, s_.baseline_context), 0, 1);
        r_.baseline_text = fmt::format("fitted to {} other rows", s_.baseline_data.rows());
      } else {
        constexpr Index parts = 5;
        for (Index part = 0; part < parts; ++part) {
          std::vector<double> row(static_cast<std::size_t>(width));
          score_rows(GaussianBaseline::fit(model_.dim, context_.cols(),
                                           [&](const auto& f) {
                                             for (Index i = 0; i < data_.rows(); ++i) {
                                               if (i % parts == part) continue;
                                               for (Index c = 0; c < width; ++c)
                                                 row[static_cast<std::size_t>(c)] =
                                                     c < model_.dim ? data_(i, c) : context_(i, c - model_.dim);
                                               f(row.data(), 1.0);
                                             }
                                           }),
                     part, parts);
        }
        r_.baseline_text = "each fifth of the rows scored by the Gaussian of the others";
      }
    } catch (const DomainError& error) {
      r_.baseline_text = std::string("none: ") + error.what();
      return;
    }
    // Where the model gives masses of cells, the Gaussian's are its density times their size.
    double log_cell = 0;
    for (const Space::Block& block : model_.support.blocks())
      for (const Grid& grid : block.grids) log_cell += std::log(grid.step);
    for (double& v : values) v += log_cell;
    if (log_cell != 0) r_.baseline_text += ", its density times the size of a cell";
    std::vector<double> gain;
    for (std::size_t i = 0; i < values.size(); ++i)
      if (log_prob_[i] != -infinity) gain.push_back(log_prob_[i] - values[i]);
    r_.baseline = mean_of(values);
    r_.gain = mean_of(gain);
    baseline_ = std::move(values);
  }

  void choose() {
    std::vector<Index> order(log_prob_.size());
    std::iota(order.begin(), order.end(), Index{0});
    const auto worst = std::min(static_cast<std::ptrdiff_t>(s_.worst), static_cast<std::ptrdiff_t>(order.size()));
    std::partial_sort(order.begin(), order.begin() + worst, order.end(), [&](Index a, Index b) {
      const double x = log_prob_[static_cast<std::size_t>(a)], y = log_prob_[static_cast<std::size_t>(b)];
      return x < y || (x == y && a < b);
    });
    for (auto at = order.begin(); at != order.begin() + worst; ++at) {
      r_.worst_rows.push_back(*at);
      r_.worst_log_prob.push_back(log_prob_[static_cast<std::size_t>(*at)]);
      if (!baseline_.empty()) r_.worst_baseline.push_back(baseline_[static_cast<std::size_t>(*at)]);
    }

    r_.tested = std::min(r_.rows, s_.most_rows);
    if (r_.tested < r_.rows) {
      for (const std::int64_t i : permutation(Engine(s_.seed).stream("rows").next_call(), r_.rows))
        if (static_cast<Index>(r_.tested_rows.size()) < r_.tested) r_.tested_rows.push_back(static_cast<Index>(i));
      std::sort(r_.tested_rows.begin(), r_.tested_rows.end());
      data_ = rows_of(data_, r_.tested_rows);
      context_ = rows_of(context_, r_.tested_rows);
    } else {
      r_.tested_rows.resize(static_cast<std::size_t>(r_.rows));
      std::iota(r_.tested_rows.begin(), r_.tested_rows.end(), Index{0});
    }
    r_.draws = s_.draws > 0 ? s_.draws : std::clamp<Index>(200'000 / r_.tested, 19, 99);
  }

  /// One draw for each row, apart from those that ranks are counted among; and the pairs of columns.
  void prepare() {
    rows_ = beside(data_, context_);
    one_draw_ = beside(draw(context_, r_.tested), context_);
    middle_.resize(rows_.cols());
    std::vector<double> both(static_cast<std::size_t>(2 * r_.tested));
    for (Index c = 0; c < rows_.cols(); ++c) {
      std::copy_n(rows_.col(c).data(), r_.tested, both.begin());
      std::copy_n(one_draw_.col(c).data(), r_.tested, both.begin() + r_.tested);
      middle_[c] = quantile_of(both, 0.5);
    }
    for (const auto& [a, b] : column_pairs(rows_.cols(), most_pairs)) {
      if (a >= model_.dim) continue;  // both of the context
      PairCalibration& pair = r_.pairs.emplace_back();
      pair.first = a;
      pair.second = b;
    }
  }

  void ranks() {
    const Index n = r_.tested, draws = r_.draws, dim = model_.dim, pairs = static_cast<Index>(r_.pairs.size());
    Ranks ranks(dim + pairs + 1, n, draws);
    const RandomCall call = Engine(s_.seed).stream("ties").next_call();
    std::vector<std::pair<double, double>> pool;  // of all draws: log_prob, and a number that settles ties
    pool.reserve(static_cast<std::size_t>(n * draws));
    std::vector<double> own;  // numbers that settle ties of the rows
    const Index chunk = std::max<Index>(1, std::min(rows_at_a_time, values_at_a_time / rows_.cols()) / draws);
    for (Index begin = 0; begin < n; begin += chunk) {
      const Index count = std::min(chunk, n - begin);
      const Matrix<double> context = repeated(context_.middleRows(begin, count), draws);
      const Matrix<double> drawn = draw(context, count * draws), y = beside(drawn, context);
      const Eigen::VectorXd log_prob = model_.log_prob(drawn, context);
      Matrix<double> v(count, dim + pairs + 2);
      call.uniform<double>(begin, count, v.cols(), v.data(), count);
      std::vector<double> ties(static_cast<std::size_t>(count * draws));
      call.uniform<double>(begin * draws, count * draws, 1, ties.data(), count * draws, v.cols());
      for (Index i = 0; i < count; ++i) {
        const Index first = i * draws, row = begin + i;
        for (Index c = 0; c < dim; ++c)
          ranks.add(
              c, rows_(row, c), [&](Index k) { return y(first + k, c); }, v(i, c));
        for (Index p = 0; p < pairs; ++p) {
          const auto [a, b] =
              std::pair(r_.pairs[static_cast<std::size_t>(p)].first, r_.pairs[static_cast<std::size_t>(p)].second);
          const auto product = [&](double x, double z) { return (x - middle_[a]) * (z - middle_[b]); };
          ranks.add(
              dim + p, product(rows_(row, a), rows_(row, b)),
              [&](Index k) { return product(y(first + k, a), y(first + k, b)); }, v(i, dim + p));
        }
        ranks.add(
            dim + pairs, tested_log_prob(row), [&](Index k) { return log_prob[first + k]; }, v(i, dim + pairs));
        own.push_back(v(i, dim + pairs + 1));
      }
      for (Index k = 0; k < count * draws; ++k) pool.emplace_back(log_prob[k], ties[static_cast<std::size_t>(k)]);
    }
    for (Index c = 0; c < dim; ++c) r_.columns.push_back(ranks.take(c));
    for (Index p = 0; p < pairs; ++p) r_.pairs[static_cast<std::size_t>(p)].test = ranks.take(dim + p).test;
    r_.density = ranks.take(dim + pairs);
    coverage(std::move(pool), own);
  }

  double tested_log_prob(Index row) const {
    return log_prob_[static_cast<std::size_t>(r_.tested_rows[static_cast<std::size_t>(row)])];
  }

  void coverage(std::vector<std::pair<double, double>> pool, const std::vector<double>& own) {
    const Index n = r_.tested;
    const double size = static_cast<double>(pool.size()), count = static_cast<double>(n);
    for (const double level : s_.coverage) {
      Index below = 0;
      std::vector<double> law;
      if (context_.cols() > 0) {
        // Regions of each row's own density, by its rank.
        for (const double u : r_.density.values) below += u < 1 - level;
        law = binomial_law(n, 1 - level);
      } else {
        const double place = std::clamp(std::round((1 - level) * (size + 1)), 1.0, size);
        const auto at = pool.begin() + static_cast<std::ptrdiff_t>(place) - 1;
        std::nth_element(pool.begin(), at, pool.end());
        for (Index i = 0; i < n; ++i) below += std::pair(tested_log_prob(i), own[static_cast<std::size_t>(i)]) < *at;
        law = beta_binomial_law(n, place, size + 1 - place);
      }
      r_.coverage.push_back({.level = level,
                             .share = 1 - static_cast<double>(below) / count,
                             .low = 1 - static_cast<double>(quantile(law, 0.975)) / count,
                             .high = 1 - static_cast<double>(quantile(law, 0.025)) / count,
                             .p = two_sided(law, below)});
    }
  }

  void latents() {
    std::vector<Index> inside;
    for (Index i = 0; i < r_.tested; ++i)
      if (tested_log_prob(i) != -infinity) inside.push_back(i);
    const std::optional<BothTails> tails =
        inside.empty() ? std::nullopt
                       : model_.latents(rows_of(data_, inside), rows_of(context_, inside), r_.latents_text);
    if (!tails) return;
    std::vector<double> squares(inside.size(), 0.0);
    for (Index c = 0; c < tails->cdf.cols(); ++c) {
      Uniforms u;
      for (Index i = 0; i < tails->cdf.rows(); ++i) {
        const double p = tails->cdf(i, c), z = normal_score(p, tails->survival(i, c));
        u.values.push_back(p);
        squares[static_cast<std::size_t>(i)] += z * z;
      }
      u.test = test_uniformity(u.values);
      r_.latents.push_back(std::move(u));
    }
    const double dim = static_cast<double>(tails->cdf.cols());
    for (const double s : squares) {
      r_.radius.push_back(std::sqrt(s));
      r_.radius_uniforms.values.push_back(std::isinf(s) ? 1.0 : gamma_p(dim / 2, s / 2));
    }
    r_.radius_uniforms.test = test_uniformity(r_.radius_uniforms.values);
  }

  void two_sample() {
    const Index n = std::min(r_.tested, most_classified);
    Matrix<double> data = rows_.topRows(n), draws = one_draw_.topRows(n);
    to_normal_scores(data, draws);
    const auto correlation = [](const Matrix<double>& m, Index a, Index b) {
      const Eigen::VectorXd x = m.col(a).array() - m.col(a).mean(), y = m.col(b).array() - m.col(b).mean();
      return x.dot(y) / std::sqrt(x.squaredNorm() * y.squaredNorm());
    };
    for (PairCalibration& pair : r_.pairs) {
      pair.in_data = correlation(data, pair.first, pair.second);
      pair.in_draws = correlation(draws, pair.first, pair.second);
    }
    r_.two_sample = classify(data, draws);
  }

  // ------------------------------------------------------------------------------------------------- conclusions

  /// Where u lies, in words: moments of more than three standard deviations from those of uniform numbers.
  static std::string moments_text(const std::vector<double>& u, const char* low, const char* high, const char* wide,
                                  const char* narrow, const char* other) {
    const double n = static_cast<double>(u.size());
    double mean = 0, square = 0;
    for (const double v : u) mean += v / n;
    for (const double v : u) square += (v - 0.5) * (v - 0.5) / n;
    const double shift = (mean - 0.5) * std::sqrt(12 * n), spread = (square - 1.0 / 12) * std::sqrt(180 * n);
    if (std::max(std::abs(shift), std::abs(spread)) < 3) return other;
    return std::abs(shift) > std::abs(spread) ? shift < 0 ? low : high : spread > 0 ? wide : narrow;
  }

  /// A group of tests, after those of smaller p; `text` says what is the matter with the worst of them.
  template <class List, class Test, class Text>
  void group(const char* name, const List& list, Test p, Text text) {
    if (list.empty()) return;
    std::size_t worst = 0;
    for (std::size_t i = 0; i < list.size(); ++i)
      if (p(list[i]) < p(list[worst])) worst = i;
    CalibrationFinding finding;
    finding.name = name;
    finding.tests = static_cast<Index>(list.size());
    finding.p = std::min(1.0, p(list[worst]) * static_cast<double>(list.size()));
    finding.text = text(worst);
    const auto place =
        std::find_if(r_.findings.begin(), r_.findings.end(), [&](const auto& f) { return f.p > finding.p; });
    r_.findings.insert(place, std::move(finding));
  }

  void conclude() {
    const auto of_uniforms = [](const Uniforms& u) { return u.test.p(); };
    const char* other = "are distributed in another way than the model's";
    group("columns", r_.columns, of_uniforms, [&](std::size_t i) {
      return column(static_cast<Index>(i)) + ": its values " +
             moments_text(r_.columns[i].values, "lie lower than the model's", "lie higher than the model's",
                          "are spread wider than the model's", "are spread less than the model's", other);
    });
    group("latent values", r_.latents, of_uniforms, [&](std::size_t i) {
      return fmt::format("latent value {} ", i) +
             moments_text(r_.latents[i].values, "lies lower than the base", "lies higher than the base",
                          "is spread wider than the base", "is spread less than the base",
                          "is distributed in another way than the base");
    });
    if (!r_.latents.empty())
      group(
          "latent radius", std::vector<const Uniforms*>{&r_.radius_uniforms},
          [](const Uniforms* u) { return u->test.p(); },
          [&](std::size_t) {
            return std::string("rows ") +
                   moments_text(r_.radius_uniforms.values, "lie further in than the model has them",
                                "lie further out than the model has them",
                                "lie far out and far in more often than the model has them",
                                "lie far out and far in less often than the model has them", other);
          });
    group(
        "density ranks", std::vector<const Uniforms*>{&r_.density}, [](const Uniforms* u) { return u->test.p(); },
        [&](std::size_t) {
          return std::string("densities at rows ") +
                 moments_text(r_.density.values, "are lower than at draws: the model is too sure",
                              "are higher than at draws: the model is too wide",
                              "are high or low more often than at draws", "are high or low less often than at draws",
                              "are distributed in another way than at draws");
        });
    group(
        "coverage", r_.coverage, [](const Coverage& c) { return c.p; },
        [&](std::size_t i) {
          const Coverage& c = r_.coverage[i];
          return fmt::format("the region of {:g} % holds {:.4g} % of the rows", 100 * c.level, 100 * c.share);
        });
    group(
        "pairs of columns", r_.pairs, [](const PairCalibration& p) { return p.test.p(); },
        [&](std::size_t i) {
          const PairCalibration& p = r_.pairs[i];
          return fmt::format("{} and {}: their correlation is {:.3f} in the rows and {:.3f} in draws", column(p.first),
                             column(p.second), p.in_data, p.in_draws);
        });
    group(
        "two samples", r_.two_sample, [](const TwoSampleTest& t) { return t.p; },
        [&](std::size_t i) {
          const TwoSampleTest& t = r_.two_sample[i];
          return fmt::format("{} tells a row from a draw in {:.1f} % of pairs", t.classifier, 100 * t.auc);
        });

    double largest = 0;
    for (std::size_t i = 0; i < r_.findings.size(); ++i) {
      CalibrationFinding& f = r_.findings[i];
      largest = std::max(largest, std::min(1.0, f.p * static_cast<double>(r_.findings.size() - i)));
      f.holm_p = largest;
      f.found = largest < s_.level;
    }
    if (r_.density_zero > 0)
      r_.findings.insert(r_.findings.begin(), {.name = "support",
                                               .tests = 1,
                                               .p = 0,
                                               .holm_p = 0,
                                               .found = true,
                                               .text = fmt::format("{} rows have density 0", r_.density_zero)});
    const auto found = std::count_if(r_.findings.begin(), r_.findings.end(), [](const auto& f) { return f.found; });
    r_.passed = found == 0;
    const CalibrationFinding& first = r_.findings.front();
    const std::string p = first.holm_p < 1e-12 ? "below 1e-12" : fmt::format("{:.2g}", first.holm_p);
    r_.verdict = r_.passed ? fmt::format(
                                 "Nothing speaks against the model: none of {} groups of tests of {} rows finds a "
                                 "difference (smallest corrected p {}).",
                                 r_.findings.size(), r_.tested, p)
                           : fmt::format(
                                 "The rows are not what the model draws: {} of {} groups of tests find a difference. "
                                 "First, {}: {} (corrected p {}).",
                                 found, r_.findings.size(), first.name, first.text, p);
  }

  const Calls& model_;
  Matrix<double> data_, context_;  // from `choose` on: of the tested rows
  Settings s_;
  CalibrationReport r_;
  std::vector<double> log_prob_, baseline_;  // of all rows
  Matrix<double> rows_, one_draw_;           // with their context
  Eigen::VectorXd middle_;
};

template <Scalar To, Scalar From>
Matrix<To> converted(MatrixView<const From> m) {
  Matrix<To> out(m.rows(), m.cols());
  for (Index c = 0; c < m.cols(); ++c)
    for (Index i = 0; i < m.rows(); ++i) out(i, c) = static_cast<To>(m(i, c));
  return out;
}

}  // namespace

template <Scalar T>
CalibrationReport calibration_report(const Distribution<T>& model, std::type_identity_t<MatrixView<const T>> data,
                                     const std::type_identity_t<CalibrationOptions<T>>& options) {
  Settings settings{.data = converted<double, T>(data),
                    .context = converted<double, T>(options.context),
                    .baseline_data = converted<double, T>(options.baseline_data),
                    .baseline_context = converted<double, T>(options.baseline_context),
                    .draws = options.draws,
                    .most_rows = options.most_rows,
                    .worst = options.worst,
                    .level = options.level,
                    .coverage = options.coverage,
                    .columns = options.columns,
                    .seed = options.seed};
  Engine draws = Engine(options.seed).stream("draws"), estimates = Engine(options.seed).stream("estimates");
  const auto to = [](const Matrix<double>& m) { return converted<T, double>(m); };
  const auto given = [](const Matrix<T>& c) { return c.cols() > 0 ? MatrixView<const T>(c) : MatrixView<const T>(); };
  Calls calls;
  calls.dim = model.dim();
  calls.context_dim = model.context_dim();
  calls.support = model.support();
  calls.draw = [&](const Matrix<double>& context, Index rows) {
    Matrix<T> y(rows, model.dim());
    if (context.cols() > 0)
      y = model.sample_each(to(context), draws, options.execution);
    else
      model.sample_into(y, draws, {}, options.execution);
    return converted<double, T>(y);
  };
  calls.log_prob = [&](const Matrix<double>& y, const Matrix<double>& context) {
    const Matrix<T> c = to(context);
    if (model.estimates() == Estimate::exact) return model.log_prob(to(y), given(c), options.execution);
    return model.log_prob(to(y), estimates, 64, given(c), options.execution).value;
  };
  calls.latents = [&](const Matrix<double>& y, const Matrix<double>& context,
                      std::string& why) -> std::optional<BothTails> {
    const Distribution<T>* base = latent_base(model);
    if (!base) {
      why = "rows do not determine latent values";
      return std::nullopt;
    }
    const Matrix<T> c = to(context);
    Matrix<T> x(y.rows(), base->dim());
    BothTails tails{Matrix<double>(y.rows(), base->dim()), Matrix<double>(y.rows(), base->dim())};
    try {
      base->tail_into(Distribution<T>::Tail::cdf, x.topRows(0), tails.cdf.topRows(0));
      latent_into(model, to(y), x, given(c), options.execution);
      base->tail_into(Distribution<T>::Tail::cdf, x, tails.cdf);
      base->tail_into(Distribution<T>::Tail::survival, x, tails.survival);
    } catch (const NotImplemented&) {
      why = fmt::format("the base, {}, has no distribution function of its own columns", base->name());
      return std::nullopt;
    }
    return tails;
  };
  return Check(calls, std::move(settings)).run();
}

template CalibrationReport calibration_report(const Distribution<float>&, MatrixView<const float>,
                                              const CalibrationOptions<float>&);
template CalibrationReport calibration_report(const Distribution<double>&, MatrixView<const double>,
                                              const CalibrationOptions<double>&);

}  // namespace pushforward
