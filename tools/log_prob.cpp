#include <algorithm>
#include <span>

#include "tools/interrupt.hpp"
#include "tools/progress.hpp"
#include "tools/scores.hpp"

namespace tool {

namespace {

struct Settings {
  std::string model, data, out, array;
  std::vector<std::string> columns;
  TextSettings text;
  std::uint64_t seed = 0;
  int threads = 0;
  bool strict = false;
  bool resume = false;
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
      return fmt::format("column '{}': {}", printable(chunk.names[static_cast<std::size_t>(c)]),
                         outside_text(value, ranges[k]));
  }
  return "outside the training range";
}

void count_outside(const LoadedModel& model, const pf::Table& chunk, Index row, std::vector<Index>& by_column) {
  const auto dim = static_cast<std::size_t>(model.dim());
  for (std::size_t c = 0; c < by_column.size(); ++c) {
    const auto& ranges = c < dim ? model.info.data_range : model.info.context_range;
    if (ranges.empty()) continue;
    const auto& range = ranges[c < dim ? c : c - dim];
    const double value = chunk.values(row, static_cast<Index>(c));
    by_column[c] += !(value >= range.low && value <= range.high);
  }
}

/// Why a row has no density: the column that is off its grid or outside the support.
std::string describe_zero(const pf::Space& support, const pf::Table& chunk, Index row) {
  Index c = 0;
  for (const pf::Space::Block& block : support.blocks())
    for (std::size_t k = 0; k < block.bounds.size(); ++k, ++c) {
      const double value = chunk.values(row, c);
      const std::string column = fmt::format("column '{}': {:.9g}", printable(chunk.names[static_cast<std::size_t>(c)]), value);
      if (!block.grids.empty() && !block.grids[k].contains(value))
        return fmt::format("{} is none of the numbers {:g} + {:g} k that the model knows", column, block.grids[k].origin,
                           block.grids[k].step);
      if (!(value >= block.bounds[k].low && value <= block.bounds[k].high))
        return fmt::format("{} lies outside the support [{:.9g}, {:.9g}]", column, block.bounds[k].low,
                           block.bounds[k].high);
    }
  return {};
}

/// Rows of a density above 0 with a value that is no number of its grid: the model found the grid in its own rows, and
/// gives the value the mass of the cell around it (`Quantized`).
class BetweenNumbers {
 public:
  explicit BetweenNumbers(const pf::Space& support) {
    Index c = 0;
    for (const pf::Space::Block& block : support.blocks())
      for (std::size_t k = 0; k < block.bounds.size(); ++k, ++c)
        if (!block.grids.empty()) columns_.push_back({c, block.grids[k]});
  }

  void add(const DataReader& reader, const pf::Table& chunk, Index row) {
    const auto off = std::find_if(columns_.begin(), columns_.end(), [&](const pf::GridColumn& r) {
      return !r.grid.contains(chunk.values(row, r.column));
    });
    if (off == columns_.end() || count_++ > 0) return;
    const auto& [column, grid, found] = *off;
    first_ = fmt::format("{}: column '{}': {:.9g} between numbers {:g} + {:g} k", reader.where(chunk, row),
                         printable(chunk.names[static_cast<std::size_t>(column)]), chunk.values(row, column), grid.origin, grid.step);
  }
  Index count() const { return count_; }
  const std::string& first() const { return first_; }

 private:
  std::vector<pf::GridColumn> columns_;
  Index count_ = 0;
  std::string first_;
};

/// `holes`: rows that miss a value.
void print_likelihood(std::FILE* to, const LogLikelihood& likelihood, Index holes) {
  if (holes > 0) fmt::print(to, "rows that miss a value        {}: their log_prob is nan\n", grouped(holes));
  const std::string mean = with_error(likelihood.inside.mean(), likelihood.inside.standard_error());
  if (likelihood.zero == 0)
    fmt::print(to, "mean log-likelihood           {} nats\n", mean);
  else
    fmt::print(to, "mean log-likelihood           -inf ({} of density 0; the others: {} nats)\n",
               counted(likelihood.zero, "row"), mean);
}

/// Some columns alone: what the model says of them with the others integrated out, row by row, with an error.
void run_marginal(const Settings& s, const LoadedModel& model, const std::vector<std::string>& names) {
  if (s.strict) throw UsageError("--strict: excludes --columns");
  if (extension(s.out) == ".npy") throw UsageError("--columns: writes two columns; take a CSV file for --out");
  if (model.context_dim() > 0)
    throw UsageError(fmt::format("--columns: {} is conditional on {}, and what is integrated out depends on it; score "
                                 "all columns",
                                 s.model, joined(model.context_columns)));
  const std::vector<Index> columns = columns_named(names, model);
  pf::TableOptions how = table_options(s.text, s.array);
  how.missing = pf::CsvOptions::Missing::as_nan;
  DataReader reader = DataReader::for_columns(s.data, names, how);
  pf::Execution execution({.threads = thread_count(s.threads)});
  std::optional<pf::CsvWriter> writer;
  if (!s.out.empty()) writer.emplace(s.out, std::vector<std::string>{"log_prob", "standard_error"});
  LogLikelihood likelihood;
  Index holes = 0, rough = 0;
  pf::Table chunk;
  ProgressLine line;
  // Rows take a while each.
  while (reader.next(chunk, 16)) {
    const pf::LogProbEstimate<double> scores = pf::marginal_log_prob(*model.distribution, columns, chunk.values,
                                                                     {.seed = s.seed, .execution = execution});
    pf::Matrix<double> out(scores.value.size(), 2);
    for (Index i = 0; i < scores.value.size(); ++i) {
      out(i, 0) = scores.value[i];
      out(i, 1) = scores.standard_error[i];
      rough += scores.standard_error[i] > 0.1;
      if (std::isnan(scores.value[i])) ++holes;
      else likelihood.add(scores.value[i]);
    }
    if (writer) writer->write(out);
    line.show_rows(likelihood.inside.count() + likelihood.zero + holes);
  }
  line.clear();
  if (writer) writer->commit();
  if (rough > 0)
    fmt::print(stderr, "pushforward: warning: {} a standard error above 0.1: the model hardly draws such values\n",
               rough == 1 ? "1 row has" : grouped(rough) + " rows have");
  const Index count = likelihood.inside.count() + likelihood.zero + holes;
  if (s.json) {
    Json json{{"rows", count},
              {"columns", names},
              {"mean_log_likelihood", likelihood.mean()},
              {"standard_error", likelihood.zero > 0 ? Json() : Json(likelihood.inside.standard_error())},
              {"rows_of_density_zero", likelihood.zero},
              {"rows_that_miss_a_value", holes}};
    if (!s.out.empty()) json["out"] = s.out;
    print_json(json);
    return;
  }
  std::FILE* to = s.out == "-" ? stderr : stdout;
  fmt::print(to, "rows                          {}\n", grouped(count));
  fmt::print(to, "density of                    {}, the other columns integrated out\n", joined(names));
  print_likelihood(to, likelihood, holes);
  if (!s.out.empty() && s.out != "-") fmt::print(to, "wrote                         {}\n", s.out);
}

/// The scores of a run that may be stopped and go on, beside its output, until that is whole.
std::string unfinished(const std::string& out) { return out + ".unfinished"; }

/// Scores of a chunk, where an earlier run has left them. Some are computed again all the same, the first and the last
/// among them: they must be of this model and of these rows.
class Known {
 public:
  Known(const Settings& s, const Scores& scores) : out_(s.out), scores_(scores) {}

  /// False: they are not known, or to be computed again and compared.
  bool take(Eigen::VectorXd& values) {
    const Index first = scores_.count(), end = first + values.size();
    if (end > scores_.known()) return false;
    scores_.stored().read(first, std::span(values.data(), static_cast<std::size_t>(values.size())));
    // (One chunk of 32, and so a hundredth of the time that the first run took.)
    return chunk_++ % 32 != 0 && end + values.size() <= scores_.known();
  }
  void compare(const Eigen::VectorXd& values) const {
    const Index first = scores_.count(), n = std::clamp<Index>(scores_.known() - first, 0, values.size());
    std::vector<double> before(static_cast<std::size_t>(n));
    scores_.stored().read(first, before);
    for (Index i = 0; i < n; ++i)
      if (const double was = before[static_cast<std::size_t>(i)];
          was != values[i] && !(std::isnan(was) && std::isnan(values[i])) &&
          !(std::abs(was - values[i]) <= 1e-9 * (1 + std::abs(was))))
        throw pf::IoError(fmt::format("{}: holds scores of another model or of other rows: row {} has {:.9g} there, and "
                                      "{:.9g} now; remove it to begin again",
                                      unfinished(out_), first + i + 1, was, values[i]));
  }

 private:
  const std::string& out_;
  const Scores& scores_;
  Index chunk_ = 0;
};

void run(const Settings& s) {
  if (s.resume && (s.out.empty() || s.out == "-"))
    throw UsageError("--resume: what is to go on needs a file for its scores: give --out");
  if (s.json && s.out == "-") throw UsageError("--json: standard output is taken by --out -");
  const bool npy = extension(s.out) == ".npy";
  refuse_unwritten(s.out);
  refuse_overwriting({{"the model", s.model}, {"the data", s.data}}, {{"--out", s.out}, {"the file of --resume", s.resume ? unfinished(s.out) : ""}});
  const LoadedModel model = load_model(s.model);
  if (const std::vector<std::string> columns = split_lists(s.columns); !columns.empty()) {
    if (s.resume) throw UsageError("--resume: excludes --columns");
    return run_marginal(s, model, columns);
  }
  const bool range_known = !model.info.data_range.empty();
  if (s.strict && !range_known) throw pf::IoError(s.model + ": has no training ranges, which --strict needs");
  // What is not known of a row says nothing of the others.
  pf::TableOptions how = table_options(s.text, s.array);
  how.missing = pf::CsvOptions::Missing::as_nan;
  DataReader reader = DataReader::for_model(s.data, model, how);
  std::optional<Interrupt> interrupt;
  if (s.resume) interrupt.emplace();
  pf::Execution execution({.threads = thread_count(s.threads)});

  std::optional<pf::CsvWriter> writer;
  if (!s.out.empty() && !npy) writer.emplace(s.out, std::vector<std::string>{"log_prob"});
  // Whether the array can be written is known before it is computed.
  if (npy) static_cast<void>(pf::NpyWriter(s.out, 0));
  Scores scores = s.resume ? Scores(unfinished(s.out)) : Scores();
  Known known(s, scores);
  LogLikelihood likelihood;
  Index outside = 0, holes = 0;
  std::vector<Index> outside_by_column(static_cast<std::size_t>(model.dim() + model.context_dim()));
  const pf::Space support = model.distribution->support();
  BetweenNumbers between(support);
  std::string first_zero;
  pf::Table chunk;
  Eigen::VectorXd values;
  ProgressLine line;
  while (reader.next(chunk, chunk_rows)) {
    const auto y = chunk.values.leftCols(model.dim());
    const pf::MatrixView<const double> context = model.context_of(chunk);
    const std::vector<Index> rows = pf::rows_outside_training_range(model.info, y, context);
    outside += static_cast<Index>(rows.size());
    for (const Index row : rows) count_outside(model, chunk, row, outside_by_column);
    if (s.strict && !rows.empty())
      throw pf::DomainError(reader.where(chunk, rows.front()) + ": " + describe_outside(model, chunk, rows.front()));
    values.resize(y.rows());
    if (!known.take(values)) {
      model.distribution->log_prob_into(y, values, context, execution);
      known.compare(values);
    }
    for (Index i = 0; i < values.size(); ++i) {
      if (std::isnan(values[i]) && chunk.values.row(i).hasNaN()) {
        ++holes;
        scores.add(values[i], chunk.lines[static_cast<std::size_t>(i)]);
        continue;
      }
      likelihood.add(values[i]);
      scores.add(values[i], chunk.lines[static_cast<std::size_t>(i)]);
      if (values[i] != -std::numeric_limits<double>::infinity()) {
        between.add(reader, chunk, i);
        continue;
      }
      if (!first_zero.empty()) continue;
      const std::string why = describe_zero(support, chunk, i);
      first_zero = reader.where(chunk, i) + (why.empty() ? "" : ": " + why);
    }
    scores.flush();
    if (writer) writer->write(values);
    line.show_rows(scores.count());
    if (interrupt && interrupt->token().stop_requested()) {
      line.clear();
      throw Interrupted(fmt::format("stopped after {}; {} has their scores, and the same command goes on from there",
                                    counted(std::max(scores.count(), scores.known()), "row"), unfinished(s.out)));
    }
  }
  line.clear();
  if (scores.known() > scores.count())
    throw pf::IoError(fmt::format("{}: holds the scores of {}, and there are {}; remove it to begin again",
                                  unfinished(s.out), counted(scores.known(), "row"), grouped(scores.count())));
  if (writer) writer->commit();
  if (npy) {
    pf::NpyWriter array(s.out, scores.count());
    scores.each_piece([&](std::span<const double> piece) {
      array.write(pf::MatrixView<const double>(piece.data(), static_cast<Index>(piece.size()), 1));
    });
    array.commit();
  }
  if (s.resume) std::filesystem::remove(unfinished(s.out));

  const Index count = likelihood.inside.count() + likelihood.zero + holes;
  if (s.json) {
    Json json{{"rows", count},
              {"mean_log_likelihood", likelihood.mean()},
              {"standard_error", likelihood.zero > 0 ? Json() : Json(likelihood.inside.standard_error())},
              {"rows_of_density_zero", likelihood.zero},
              {"rows_that_miss_a_value", holes},
              {"rows_between_numbers", between.count()}};
    if (between.count() > 0) json["first_row_between_numbers"] = between.first();
    if (likelihood.zero > 0) {
      json["first_row_of_density_zero"] = first_zero;
      json["mean_of_other_rows"] = likelihood.inside.mean();
      json["standard_error_of_other_rows"] = likelihood.inside.standard_error();
    }
    json.update(to_json(scores, reader));
    json["rows_outside_training_range"] = range_known ? Json(outside) : Json();
    for (std::size_t c = 0; c < outside_by_column.size(); ++c)
      if (outside_by_column[c] > 0) json["outside_by_column"][reader.names()[c]] = outside_by_column[c];
    if (!s.out.empty()) json["out"] = s.out;
    print_json(json);
    return;
  }
  // The numbers may be on standard output: then the summary goes to standard error.
  std::FILE* to = s.out == "-" ? stderr : stdout;
  fmt::print(to, "rows                          {}\n", grouped(count));
  print_likelihood(to, likelihood, holes);
  if (!first_zero.empty()) fmt::print(to, "first row of density 0        {}\n", first_zero);
  if (between.count() > 0)
    fmt::print(to, "rows between numbers          {}: they have the mass of a cell around them; the first is {}\n",
               grouped(between.count()), between.first());
  fmt::print(to, "of all rows                   {}\n", quantiles_text(scores));
  if (const std::string far = far_text(scores, reader); !far.empty()) fmt::print(to, "far from the others           {}\n", far);
  fmt::print(to, "rows outside training range   {}\n",
             range_known ? outside == 0 ? "0" : fmt::format("{} ({:.3g} %)", grouped(outside),
                                                            100.0 * static_cast<double>(outside) /
                                                                static_cast<double>(count))
                         : "unknown: the model has no training ranges");
  // Of wide tables the ten columns that most rows are outside of.
  std::vector<std::size_t> columns;
  for (std::size_t c = 0; c < outside_by_column.size(); ++c)
    if (outside_by_column[c] > 0) columns.push_back(c);
  std::stable_sort(columns.begin(), columns.end(),
                   [&](std::size_t a, std::size_t b) { return outside_by_column[a] > outside_by_column[b]; });
  const std::size_t shown = std::min<std::size_t>(columns.size(), 10);
  for (const std::size_t c : std::span(columns).first(shown))
    fmt::print(to, "  of these in                 '{}': {}\n", printable(reader.names()[c]), grouped(outside_by_column[c]));
  if (shown < columns.size())
    fmt::print(to, "  and in                      {}\n",
               counted(static_cast<Index>(columns.size() - shown), "other column"));
  if (!s.out.empty() && s.out != "-") fmt::print(to, "wrote                         {}\n", s.out);
}

}  // namespace

void add_log_prob(CLI::App& app) {
  auto s = std::make_shared<Settings>();
  CLI::App* sub = app.add_subcommand("log-prob", "Score rows: the log density of each, in nats.");
  sub->add_option("model", s->model, "Model file")->required()->check(file_name())->option_text("MODEL");
  sub->add_option("data", s->data, "Data file, or a folder of files; -: CSV from standard input")
      ->required()
      ->check(file_name())
      ->option_text("FILE");
  sub->add_option("-o,--out", s->out, "CSV or .npy file with one value for each row; -: CSV on standard output")
      ->check(file_name())
      ->option_text("FILE (-; none with --json)");
  add_list(*sub, "--columns", s->columns, "Score these alone: the others are integrated out, by importance sampling")
      ->option_text("A,B,...");
  sub->add_option("--seed", s->seed, "Of that sampling")->transform(seed_number())->option_text("N (0)");
  sub->add_option("--array", s->array, "Array of a .npz file")->option_text("NAME");
  add_text_options(*sub, s->text, "Text");
  sub->add_option("--threads", s->threads, "Threads (default: all); the values do not depend on it")
      ->transform(whole_number(1, 1024))
      ->option_text("N");
  sub->add_flag("--strict", s->strict, "Rows outside the training range are errors");
  sub->add_flag("--resume", s->resume,
                "Keep scores in FILE.unfinished until all are there, and go on where an earlier run was stopped");
  sub->add_flag("--json", s->json, "Print the result as JSON");
  sub->footer("Where the values go to standard output, the summary goes to standard error.\n"
              "Text and .npy are read and written in pieces: memory does not grow with the rows.");
  sub->callback([s, sub] {
    refuse_repeated(*sub);
    if (s->out.empty() && !s->json) s->out = "-";
    run(*s);
  });
}

}  // namespace tool
