#include <algorithm>

#include "tools/scores.hpp"

namespace tool {

namespace {

struct Settings {
  std::vector<std::string> files;  // models, and last the data
  std::string array;
  TextSettings text;
  int threads = 0;
  bool json = false;
};

/// A model and what it said of the rows.
struct Judge {
  LoadedModel model;
  DataReader reader;
  LogLikelihood likelihood;
  RunningMean difference;  // of the first model's values from its own, over rows that both give a density
  Index wins = 0, zero_apart = 0;
};

void run(const Settings& s) {
  if (s.files.size() < 3)
    throw UsageError("compare: expected two models or more and a data file, got " + joined(s.files));
  const std::string& data = s.files.back();
  if (data == "-") throw UsageError("compare: the data are read once for each model: give a file");
  pf::TableOptions how = table_options(s.text, s.array);
  how.missing = pf::CsvOptions::Missing::as_nan;
  std::vector<Judge> judges;
  for (std::size_t i = 0; i + 1 < s.files.size(); ++i) {
    LoadedModel model = load_model(s.files[i]);
    DataReader reader = DataReader::for_model(data, model, how);
    judges.push_back({std::move(model), std::move(reader), {}, {}});
    std::vector<std::string> own = judges.back().model.columns, first = judges.front().model.columns;
    std::sort(own.begin(), own.end());
    std::sort(first.begin(), first.end());
    if (own != first)
      throw pf::IoError(fmt::format("{} is a density of {} and {} one of {}: such densities cannot be compared",
                                    s.files[0], joined(judges.front().model.columns), s.files[i],
                                    joined(judges.back().model.columns)));
    const auto counts = [](const LoadedModel& m) {
      Index columns = 0;
      const pf::Space support = m.distribution->support();
      for (const pf::Space::Block& block : support.blocks()) columns += block.grids.empty() ? 0 : block.columns;
      return columns;
    };
    if (counts(judges.back().model) != counts(judges.front().model))
      throw pf::IoError(fmt::format("{} gives masses in {} columns and {} in {}: a mass and a density cannot be compared",
                                    s.files[0], counts(judges.front().model), s.files[i],
                                    counts(judges.back().model)));
  }
  pf::Execution execution({.threads = thread_count(s.threads)});
  std::vector<Eigen::VectorXd> values(judges.size());
  pf::Table chunk;
  Index rows = 0, holes = 0;
  for (bool any = true; any;) {
    Index n = 0;
    for (std::size_t i = 0; i < judges.size(); ++i) {
      Judge& j = judges[i];
      any = j.reader.next(chunk, chunk_rows);
      n = any ? chunk.values.rows() : 0;
      values[i].resize(n);
      if (!any) continue;
      const auto y = chunk.values.leftCols(j.model.dim());
      const pf::MatrixView<const double> context = j.model.context_of(chunk);
      j.model.distribution->log_prob_into(y, values[i], context, execution);
    }
    for (Index r = 0; r < n; ++r) {
      if (std::any_of(values.begin(), values.end(), [&](const auto& v) { return std::isnan(v[r]); })) {
        ++holes;
        continue;
      }
      ++rows;
      double top = values[0][r];
      for (const Eigen::VectorXd& v : values) top = std::max(top, v[r]);
      for (std::size_t i = 0; i < judges.size(); ++i) {
        const double own = values[i][r], first = values[0][r];
        judges[i].likelihood.add(own);
        // A tie is nobody's.
        const auto ties = std::count_if(values.begin(), values.end(), [&](const auto& v) { return v[r] == top; });
        judges[i].wins += own == top && ties == 1;
        if (std::isinf(own) != std::isinf(first)) ++judges[i].zero_apart;
        else if (!std::isinf(own)) judges[i].difference.add(first - own);
      }
    }
  }
  if (s.json) {
    Json json{{"rows", rows}, {"rows_that_miss_a_value", holes}};
    for (std::size_t i = 0; i < judges.size(); ++i) {
      const Judge& j = judges[i];
      json["models"].push_back({{"model", s.files[i]},
                                {"mean_log_likelihood", j.likelihood.mean()},
                                {"standard_error", j.likelihood.inside.standard_error()},
                                {"rows_of_density_zero", j.likelihood.zero},
                                {"best_in_rows", j.wins},
                                {"first_minus_this", j.difference.mean()},
                                {"standard_error_of_difference", j.difference.standard_error()},
                                {"rows_of_density_zero_by_one_of_both", j.zero_apart}});
    }
    print_json(json);
    return;
  }
  fmt::print("rows   {}{}\n\n", grouped(rows), holes > 0 ? fmt::format(" ({} more miss a value)", grouped(holes)) : "");
  std::size_t width = 5;
  for (std::size_t i = 0; i < judges.size(); ++i) width = std::max(width, s.files[i].size());
  fmt::print("  {:<{}}  {:>22}  {:>12}  {}\n", "model", width, "mean log-likelihood", "best in", "the first is better by");
  for (std::size_t i = 0; i < judges.size(); ++i) {
    const Judge& j = judges[i];
    // "±" takes two bytes.
    const std::string mean = j.likelihood.zero > 0 ? fmt::format("-inf ({} of density 0)", grouped(j.likelihood.zero))
                                                   : with_error(j.likelihood.mean(), j.likelihood.inside.standard_error());
    const int pad = j.likelihood.zero > 0 ? 22 : 23;
    std::string apart = i == 0 ? "" : with_error(j.difference.mean(), j.difference.standard_error());
    if (j.zero_apart > 0) apart += fmt::format(", besides {} where one density is 0", counted(j.zero_apart, "row"));
    fmt::print("  {:<{}}  {:>{}}  {:>10.1f} %  {}\n", s.files[i], width, mean, pad,
               rows > 0 ? 100.0 * static_cast<double>(j.wins) / static_cast<double>(rows) : 0.0, apart);
  }
}

}  // namespace

void add_compare(CLI::App& app) {
  auto s = std::make_shared<Settings>();
  CLI::App* sub = app.add_subcommand("compare", "Score rows by several models: which is better, row by row, and how sure.");
  sub->add_option("files", s->files, "Models, and last the data file: a.safetensors b.safetensors data.csv")
      ->required()
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->option_text("MODEL MODEL ... FILE");
  sub->add_option("--array", s->array, "Array of a .npz file")->option_text("NAME");
  add_text_options(*sub, s->text, "Text");
  sub->add_option("--threads", s->threads, "Threads (default: all); the values do not depend on it")
      ->transform(whole_number(1, 1024))
      ->option_text("N");
  sub->add_flag("--json", s->json, "Print the result as JSON");
  sub->footer("Differences are paired: of the same rows, whose own ups and downs fall out.");
  sub->callback([s, sub] {
    refuse_repeated(*sub);
    run(*s);
  });
}

}  // namespace tool
