// What flows say of rows far from everything that they were fitted to, beside the full-covariance Gaussian of the same
// training rows: every builder with its own defaults, and `fit_best`, the default of the command line tool, on every
// table, ten folds as in `rnade`. Columns on grids, which `fit_best` models as masses, count by mass over size of the cell.
// Two questions:
//   - the test rows: by how much does the worst of them fall below the Gaussian? (bound: 50 nats)
//   - the mean moved by 10, 100 and 1e6 standard deviations in random directions: how far is the flow's log density
//     above 16 times the Gaussian's, less 200 nats, as if the row were four times as far away? (bound: 0)
//
//   far_rows <folder of data sets> [threads] [part of a table's name] [builder] [folds]
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "benchmarks/held_out.hpp"

namespace pf = pushforward;
using namespace held_out;

namespace {

constexpr std::array distances{10.0, 100.0, 1e6};

struct Outcome {
  double sum = 0, gaussian_sum = 0;  // of test rows
  Index rows = 0, low = 0;           // low: more than 50 nats below the Gaussian
  double worst = 1e300;              // test row less Gaussian
  std::array<double, distances.size()> margin{1e300, 1e300, 1e300};
  Index outside = 0;  // far rows below the bound, or not a number
  double seconds = 0;
};

struct Table {
  const char* file;
  Index columns;   // data columns, behind the fold if there is one
  bool fold;       // the first column says the fold; else row i is in fold i mod 10
  double grid;     // > 0: whole numbers 0..grid-1, of which (x + U[0, 1)) / grid is modelled
};

/// Log densities of rows by a model that was fitted to a part of the table.
using Density = std::function<Eigen::VectorXd(const Eigen::MatrixXd&)>;

struct Fitted {
  Density density;
  double seconds = 0;
};

/// What is fitted to each split of each table.
struct Contender {
  std::string name;
  std::function<Fitted(const Split&, pf::Execution&)> fit;
};

template <pf::Scalar T>
Density density_of(pf::Poly<pf::Distribution<T>> model, double log_cells, pf::Execution& execution) {
  return [model = std::move(model), log_cells, &execution](const Eigen::MatrixXd& rows) {
    return Eigen::VectorXd(model->log_prob(pf::Matrix<T>(rows.cast<T>()), execution).array() - log_cells);
  };
}

/// `build` with a seed and the defaults of `fit`.
template <pf::Scalar T, class Build>
Contender flow(std::string name, const Build& build) {
  return {std::move(name), [build](const Split& split, pf::Execution& execution) {
            const pf::Matrix<T> train = split.train.cast<T>(), validation = split.validation.cast<T>();
            pf::TransformedDistribution<T> model = build(train.cols());
            pf::FitOptions<T> options{.seed = 1, .execution = execution};
            options.validation = validation;
            const double seconds = pf::fit(model, train, options).seconds;
            return Fitted{density_of<T>(std::move(model), 0, execution), seconds};
          }};
}

template <pf::Scalar T>
Fitted fit_default(const Split& split, const std::vector<pf::GridColumn>& grids, pf::Execution& execution) {
  const pf::Matrix<T> train = split.train.cast<T>(), validation = split.validation.cast<T>();
  pf::FitBestOptions<T> options;
  options.rounded = grids;
  options.fit.seed = 1;
  options.fit.execution = execution;
  options.fit.validation = validation;
  pf::Best<T> best = pf::fit_best<T>(train, options);
  double log_cells = 0, seconds = 0;
  for (const pf::GridColumn& column : best.rounded) log_cells += std::log(column.grid.step);
  for (const pf::CandidateReport& candidate : best.candidates) seconds += candidate.seconds;
  return {density_of<T>(std::move(best.model), log_cells, execution), seconds};
}

/// In float, unless it cannot tell the numbers of a grid apart.
Fitted fit_default(const Split& split, pf::Execution& execution) {
  const std::vector<pf::GridColumn> grids = pf::find_grids<double>(split.train);
  const bool fine = std::ranges::any_of(grids, [](const pf::GridColumn& column) { return column.grid.step < 1e-3; });
  return fine ? fit_default<double>(split, grids, execution) : fit_default<float>(split, grids, execution);
}

std::vector<Contender> contenders() {
  std::vector<Contender> all{
      {"auto", [](const Split& split, pf::Execution& execution) { return fit_default(split, execution); }}};
  for (const pf::FlowPreset& preset : pf::flow_presets())
    all.push_back(flow<float>(std::string(preset.name),
                              [&preset](Index dim) { return preset.build<float>(dim, {.seed = 1}); }));
  all.push_back(flow<double>("maf, double", [](Index dim) { return pf::maf<double>(dim, {.seed = 1}); }));
  all.push_back(flow<float>("gf", [](Index dim) { return pf::gf<float>(dim, {.seed = 1}); }));
  all.push_back(flow<float>("bnaf", [](Index dim) { return pf::bnaf<float>(dim, {.seed = 1}); }));
  return all;
}

void score(const Fitted& fitted, const Split& split, const pf::GaussianBaseline& gaussian,
           const Eigen::MatrixXd& directions, Outcome& outcome) {
  outcome.seconds += fitted.seconds;
  const Eigen::VectorXd test = fitted.density(split.test), baseline = gaussian.log_prob(split.test);
  outcome.rows += test.size();
  outcome.sum += test.sum();
  outcome.gaussian_sum += baseline.sum();
  for (Index i = 0; i < test.size(); ++i) {
    const double difference = test[i] - baseline[i];
    outcome.worst = std::min(outcome.worst, difference);
    outcome.low += !(difference >= -50);
  }
  for (std::size_t k = 0; k < distances.size(); ++k) {
    const Eigen::MatrixXd far = distances[k] * directions;
    const Eigen::VectorXd density = fitted.density(far), bound = 16 * gaussian.log_prob(far).array() - 200;
    for (Index i = 0; i < far.rows(); ++i) {
      outcome.margin[k] = std::min(outcome.margin[k], density[i] - bound[i]);
      outcome.outside += !(density[i] >= bound[i]);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::filesystem::path folder =
      held_out::folder("far_rows", argc > 1 ? argv[1] : "../shared/data/density", "magic.csv");
  const int threads = argc > 2 ? std::atoi(argv[2]) : 2;
  const std::string table_part = argc > 3 ? argv[3] : "", builder = argc > 4 ? argv[4] : "";
  const int folds = argc > 5 ? std::atoi(argv[5]) : 10;

  pf::Execution execution({.threads = threads});
  Index failures = 0;
  std::printf("%-14s %-12s %9s %9s %10s %5s   least margin at %g, %g, %g deviations %6s %8s\n", "table", "builder",
              "test", "Gaussian", "worst", "< -50", distances[0], distances[1], distances[2], "below", "seconds");
  for (const Table& t : {Table{"ccpp.csv", 5, true, 0}, {"digits8x8.csv", 64, false, 17}, {"htru2.csv", 8, true, 0},
                         {"magic.csv", 10, true, 0}, {"parkinsons15.csv", 15, true, 0}, {"power_26days.csv", 6, true, 0},
                         {"protein.csv", 9, true, 0}, {"wind12.csv", 12, true, 0}, {"wine_white.csv", 11, true, 0}}) {
    if (std::string(t.file).find(table_part) == std::string::npos) continue;
    const pf::Table table = pf::read_csv((folder / t.file).string());
    Eigen::MatrixXd values = table.values.middleCols(t.fold ? 1 : 0, t.columns);
    if (t.grid > 0) {
      pf::Engine engine(1);
      values = (values + pf::Uniform<double>(t.columns).sample(values.rows(), engine)) / t.grid;
    }
    pf::Engine engine(2);
    const Eigen::MatrixXd directions =
        pf::MultivariateNormalDiag<double>::standard(t.columns).sample(256, engine).rowwise().normalized();
    for (const Contender& each : contenders()) {
      if (!builder.empty() && each.name != builder) continue;
      Outcome outcome;
      for (int test = 0; test < folds; ++test) {
        std::vector<Index> rows[3];
        for (Index i = 0; i < values.rows(); ++i) {
          const Index fold = t.fold ? static_cast<Index>(table.values(i, 0)) : i % 10;
          rows[fold == test ? 2 : fold == (test + 1) % 10 ? 1 : 0].push_back(i);
        }
        const auto columns = Eigen::seqN(0, values.cols());
        Split split{values(rows[0], columns), values(rows[1], columns), values(rows[2], columns)};
        standardize(split);
        const auto gaussian = pf::GaussianBaseline::fit(split.train);
        score(each.fit(split, execution), split, gaussian, directions, outcome);
      }
      const auto n = static_cast<double>(outcome.rows);
      std::printf("%-14s %-12s %9.3f %9.3f %10.1f %5td   %10.3g %10.3g %10.3g %17td %8.0f\n", t.file, each.name.c_str(),
                  outcome.sum / n, outcome.gaussian_sum / n, outcome.worst, outcome.low, outcome.margin[0],
                  outcome.margin[1], outcome.margin[2], outcome.outside, outcome.seconds);
      std::fflush(stdout);
      failures += outcome.low + outcome.outside;
    }
  }
  std::printf("%td rows below their bounds\n", failures);
  return failures == 0 ? 0 : 1;
}
