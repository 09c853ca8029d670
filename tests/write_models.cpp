// Writes the models of models.hpp with random parameters, for a reader that shares no code with the library: each in
// double, with a CSV of rows and the library's log_prob to 17 digits, and in float; write_models <folder>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iomanip>

#include <pushforward/io/model.hpp>

#include "tests/models.hpp"

using namespace pushforward;

namespace {

/// Smallest and largest value of each column.
std::vector<ModelInfo::Range> ranges(const Eigen::MatrixXd& rows) {
  std::vector<ModelInfo::Range> result;
  for (Index c = 0; c < rows.cols(); ++c) result.push_back({rows.col(c).minCoeff(), rows.col(c).maxCoeff()});
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: write_models <folder>\n");
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  std::filesystem::create_directories(folder);
  for (const models::Named<float>& m : models::all<float>())
    save(folder / (m.name + "_float.safetensors"), *m.distribution);
  constexpr Index rows = 200;
  for (const models::Named<double>& m : models::all<double>()) {
    const Distribution<double>& d = *m.distribution;

    // Half the rows from the model itself, a fifth beside them and on the ends of the support, the others from a wide
    // grid that leaves the support where it has ends.
    Engine engine(11);
    Eigen::MatrixXd context(d.context_dim() > 0 ? rows : 0, d.context_dim());
    for (Index c = 0; c < context.cols(); ++c)
      for (Index i = 0; i < context.rows(); ++i) context(i, c) = 3 * std::sin(static_cast<double>(7 * i + 3 * c));
    Eigen::MatrixXd y = d.context_dim() > 0 ? d.sample_each(context, engine) : d.sample(rows, engine);
    ModelInfo info{.data_range = ranges(y), .context_range = ranges(context), .notes = {{"name", m.name}}};
    for (Index c = 0; c < y.cols(); ++c) info.columns.push_back("y" + std::to_string(c));
    for (Index c = 0; c < context.cols(); ++c) info.context_columns.push_back("context" + std::to_string(c));
    save(folder / (m.name + ".safetensors"), d, info);

    for (Index c = 0; c < y.cols(); ++c)
      for (Index i = 0; i < rows / 2; ++i) y(rows / 2 + i, c) = 4 * std::cos(static_cast<double>(5 * i + 2 * c)) + 0.5;
    const std::vector<Interval> bounds = d.support().bounds();
    for (Index i = 0; i < rows / 20; ++i)
      for (Index k = 0; k < 4; ++k) {
        const Index at = rows / 2 + 4 * i + k, c = k % 2 == 0 ? i % y.cols() : y.cols() - 1;
        const Interval ends = bounds[static_cast<std::size_t>(c)];
        y.row(at) = y.row(i);
        const double end = i % 2 == 0 ? ends.low : ends.high;
        y(at, c) = k < 2 ? y(at, c) + 1e-3 : std::isfinite(end) ? end : 0.0;
      }
    const Eigen::VectorXd log_prob = d.log_prob(y, context);

    std::ofstream out(folder / (m.name + ".csv"));
    out << std::setprecision(17);
    for (const std::string& name : info.columns) out << name << ",";
    for (const std::string& name : info.context_columns) out << name << ",";
    out << "log_prob\n";
    for (Index i = 0; i < rows; ++i) {
      for (Index c = 0; c < y.cols(); ++c) out << y(i, c) << ",";
      for (Index c = 0; c < context.cols(); ++c) out << context(i, c) << ",";
      out << log_prob[i] << "\n";
    }
    if (!out) return 1;
  }
  return 0;
}
