// Writes the models of models.hpp, in double and with random parameters, and for each a CSV of rows with the library's
// log_prob to 17 digits, for a reader that shares no code with the library: write_models <folder>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iomanip>

#include <pushforward/io/model.hpp>

#include "tests/models.hpp"

using namespace pushforward;

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: write_models <folder>\n");
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  std::filesystem::create_directories(folder);
  constexpr Index rows = 200;
  for (const models::Named<double>& m : models::all<double>()) {
    const Distribution<double>& d = *m.distribution;
    save(folder / (m.name + ".safetensors"), d);

    // Half the rows from the model itself, half from a wide grid that leaves its support where it has one.
    Engine engine(11);
    Eigen::MatrixXd context(d.context_dim() > 0 ? rows : 0, d.context_dim());
    for (Index c = 0; c < context.cols(); ++c)
      for (Index i = 0; i < context.rows(); ++i) context(i, c) = 3 * std::sin(static_cast<double>(7 * i + 3 * c));
    Eigen::MatrixXd y = d.context_dim() > 0 ? d.sample_each(context, engine) : d.sample(rows, engine);
    for (Index c = 0; c < y.cols(); ++c)
      for (Index i = rows / 2; i < rows; ++i) y(i, c) = 4 * std::cos(static_cast<double>(5 * i + 2 * c)) + 0.5;
    const Eigen::VectorXd log_prob = d.log_prob(y, context);

    std::ofstream out(folder / (m.name + ".csv"));
    out << std::setprecision(17);
    for (Index c = 0; c < y.cols(); ++c) out << "y" << c << ",";
    for (Index c = 0; c < context.cols(); ++c) out << "context" << c << ",";
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
