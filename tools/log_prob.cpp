#include <iostream>

#include "tools/tool.hpp"

namespace tool {

namespace {

struct Settings {
  std::string model, data, out, array;
  int threads = 0;
  bool strict = false;
  bool json = false;
};

/// Names what lies outside: column, value, range.
std::string describe_outside(const LoadedModel& model, const pf::Table& chunk, Index row) {
  const Index dim = model.dim();
  for (Index c = 0; c < chunk.values.cols(); ++c) {
    const auto& ranges = c < dim ? model.info.data_range : model.info.context_range;
    const auto k = static_cast<std::size_t>(c < dim ? c : c - dim);
    if (ranges.empty()) continue;
    const double value = chunk.values(row, c);
    if (!(value >= ranges[k].low && value <= ranges[k].high))
      return fmt::format("column '{}': {:.9g} lies outside the training range [{:.9g}, {:.9g}]",
                         chunk.names[static_cast<std::size_t>(c)], value, ranges[k].low, ranges[k].high);
  }
  return "outside the training range";
}

void run(const Settings& s) {
  if (s.json && s.out == "-") throw UsageError("--json: standard output is taken by --out -");
  const bool npy = extension(s.out) == ".npy";
  if (extension(s.out) == ".npz") throw UsageError("--out: archives are not written; take .npy or .csv");
  refuse_overwriting({{"the model", s.model}, {"the data", s.data}}, {{"--out", s.out}});
  const LoadedModel model = load_model(s.model);
  const bool range_known = !model.info.data_range.empty();
  if (s.strict && !range_known) throw pf::IoError(s.model + ": has no training ranges, which --strict needs");
  DataReader reader = DataReader::for_model(s.data, model, s.array);
  pf::Execution execution({.threads = thread_count(s.threads)});

  std::optional<pf::CsvWriter> writer;
  if (!s.out.empty() && !npy) writer.emplace(s.out, std::vector<std::string>{"log_prob"});
  std::vector<double> all;  // a .npy file begins with the number of rows, so they are kept
  LogLikelihood likelihood;
  Index outside = 0;
  pf::Table chunk;
  Eigen::VectorXd values;
  while (reader.next(chunk, chunk_rows)) {
    const auto y = chunk.values.leftCols(model.dim());
    const pf::MatrixView<const double> context =
        model.context_dim() > 0 ? pf::MatrixView<const double>(chunk.values.rightCols(model.context_dim()))
                                : pf::MatrixView<const double>();
    const std::vector<Index> rows = pf::rows_outside_training_range(model.info, y, context);
    outside += static_cast<Index>(rows.size());
    if (s.strict && !rows.empty())
      throw pf::DomainError(reader.where(chunk, rows.front()) + ": " + describe_outside(model, chunk, rows.front()));
    values.resize(y.rows());
    model.distribution->log_prob_into(y, values, context, execution);
    for (const double value : values) likelihood.add(value);
    if (writer) writer->write(values);
    if (npy) all.insert(all.end(), values.begin(), values.end());
  }
  if (writer) writer->commit();
  if (npy) pf::write_npy_vector(s.out, all);

  const Index count = likelihood.inside.count() + likelihood.zero;
  if (s.json) {
    Json json{{"rows", count},
              {"mean_log_likelihood", likelihood.mean()},
              {"standard_error", likelihood.zero > 0 ? Json() : Json(likelihood.inside.standard_error())},
              {"rows_of_density_zero", likelihood.zero}};
    if (likelihood.zero > 0) {
      json["mean_of_other_rows"] = likelihood.inside.mean();
      json["standard_error_of_other_rows"] = likelihood.inside.standard_error();
    }
    json["rows_outside_training_range"] = range_known ? Json(outside) : Json();
    if (!s.out.empty()) json["out"] = s.out;
    print_json(json);
    return;
  }
  // The numbers may be on standard output: then the summary goes to standard error.
  std::FILE* to = s.out == "-" ? stderr : stdout;
  fmt::print(to, "rows                          {}\n", grouped(count));
  const std::string mean = with_error(likelihood.inside.mean(), likelihood.inside.standard_error());
  if (likelihood.zero == 0)
    fmt::print(to, "mean log-likelihood           {} nats\n", mean);
  else
    fmt::print(to, "mean log-likelihood           -inf ({} of density 0; the others: {} nats)\n",
               counted(likelihood.zero, "row"), mean);
  fmt::print(to, "rows outside training range   {}\n",
             range_known ? outside == 0 ? "0" : fmt::format("{} ({:.2g} %)", grouped(outside),
                                                            100.0 * static_cast<double>(outside) /
                                                                static_cast<double>(count))
                         : "unknown: the model has no training ranges");
  if (!s.out.empty() && s.out != "-") fmt::print(to, "wrote                         {}\n", s.out);
}

}  // namespace

void add_log_prob(CLI::App& app) {
  auto s = std::make_shared<Settings>();
  CLI::App* sub = app.add_subcommand("log-prob", "Score rows: the log density of each, in nats.");
  sub->add_option("model", s->model, "Model file")->required()->check(file_name())->option_text("MODEL");
  sub->add_option("data", s->data, "Data file; -: CSV from standard input")
      ->required()
      ->check(file_name())
      ->option_text("FILE");
  sub->add_option("-o,--out", s->out, "CSV or .npy file with one value for each row; -: CSV on standard output")
      ->check(file_name())
      ->option_text("FILE");
  sub->add_option("--array", s->array, "Array of a .npz file")->option_text("NAME");
  sub->add_option("--threads", s->threads, "Threads (default: all); the values do not depend on it")
      ->transform(whole_number(1, 1024))
      ->option_text("N");
  sub->add_flag("--strict", s->strict, "Rows outside the training range are errors");
  sub->add_flag("--json", s->json, "Print the result as JSON");
  sub->footer("CSV is read and written in pieces: memory does not grow with the file.");
  sub->callback([s, sub] {
    refuse_repeated(*sub);
    run(*s);
  });
}

}  // namespace tool
