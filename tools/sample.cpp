#include <algorithm>
#include <optional>

#include "tools/progress.hpp"
#include "tools/tool.hpp"

namespace tool {

namespace {

struct Settings {
  std::string model, out = "-", context_file, array;
  std::vector<std::string> context, given;
  Index count = -1;
  std::uint64_t seed = 0;
  int threads = 0;
  bool json = false;
};

/// The values of "c1=3.5,c2=1" for columns with these names, where they are given. `what`: "context column".
std::vector<std::optional<double>> parse_values(const char* option, const char* what,
                                                const std::vector<std::string>& items,
                                                const std::vector<std::string>& names) {
  std::vector<std::optional<double>> values(names.size());
  for (const std::string& item : items) {
    const std::size_t equals = item.rfind('=');
    const auto value = equals == item.npos ? std::nullopt : to_number(std::string_view(item).substr(equals + 1));
    if (!value || !std::isfinite(*value))
      throw UsageError(fmt::format("{}: expected name=number, got '{}'", option, item));
    const auto found = std::find(names.begin(), names.end(), item.substr(0, equals));
    if (found == names.end())
      throw UsageError(fmt::format("{}: the model has no {} '{}'; it has {}", option, what, item.substr(0, equals),
                                   names.empty() ? "none" : joined(names)));
    std::optional<double>& own = values[static_cast<std::size_t>(found - names.begin())];
    if (own && *own != *value)
      throw UsageError(fmt::format("{}: '{}' is given two different values; leave one of them", option, *found));
    own = value;
  }
  return values;
}

pf::Matrix<double> parse_context(const std::vector<std::string>& items, const LoadedModel& model) {
  const std::vector<std::optional<double>> values =
      parse_values("--context", "context column", items, model.context_columns);
  pf::Matrix<double> row(1, model.context_dim());
  for (std::size_t c = 0; c < values.size(); ++c) {
    if (!values[c]) throw UsageError(fmt::format("--context: no value for '{}'", model.context_columns[c]));
    row(0, static_cast<Index>(c)) = *values[c];
  }
  return row;
}

/// Draws follow values far away as they would near ones.
void warn_of_far_contexts(const LoadedModel& model, const pf::Matrix<double>& contexts) {
  for (std::size_t c = 0; c < model.info.context_range.size(); ++c) {
    const pf::ModelInfo::Range& range = model.info.context_range[c];
    Index outside = 0;
    double first = 0;
    for (Index i = 0; i < contexts.rows(); ++i)
      if (const double v = contexts(i, static_cast<Index>(c)); !(v >= range.low && v <= range.high) && outside++ == 0)
        first = v;
    if (outside > 0)
      fmt::print(stderr, "pushforward: warning: context '{}': {}{}\n", printable(model.context_columns[c]),
                 outside_text(first, range),
                 contexts.rows() > 1 ? fmt::format(" ({} of {} do)", grouped(outside), counted(contexts.rows(), "row")) : "");
  }
}

std::vector<std::string> output_names(const Settings& s, const LoadedModel& model) {
  std::vector<std::string> names = model.columns;
  names.insert(names.end(), model.context_columns.begin(), model.context_columns.end());
  if (s.out == "-")
    for (std::string& name : names) name = printable(name);
  return names;
}

/// Rows with some columns as given, the others drawn from what the model then says of them.
void run_given(const Settings& s, const LoadedModel& model, const pf::Matrix<double>& contexts) {
  if (contexts.rows() > 1)
    throw UsageError("--given: takes one context for all rows; give --context, or a --context-file of one row");
  if (s.count < 0) throw UsageError("-n is required");
  if (s.count > 10'000'000) throw UsageError("--given: -n must be at most 10,000,000: the rows are chosen together");
  const std::vector<std::optional<double>> given =
      parse_values("--given", "column", split_lists(s.given), model.columns);
  std::vector<Index> columns;
  std::vector<double> values;
  for (std::size_t c = 0; c < given.size(); ++c) {
    if (!given[c]) continue;
    columns.push_back(static_cast<Index>(c));
    values.push_back(*given[c]);
    if (model.info.data_range.empty()) continue;
    const pf::ModelInfo::Range& range = model.info.data_range[c];
    if (!(*given[c] >= range.low && *given[c] <= range.high))
      fmt::print(stderr, "pushforward: warning: '{}': {}\n", printable(model.columns[c]),
                 outside_text(*given[c], range));
  }
  if (columns.size() == given.size())
    throw UsageError("--given: all columns are given; leave out those that are to be drawn");
  const std::vector<std::string> names = output_names(s, model);
  RowWriter writer(s.out, names, s.count);
  pf::Execution execution({.threads = thread_count(s.threads)});
  const pf::ConditionalDraws<double> drawn =
      pf::sample_given(*model.distribution, columns, values, s.count,
                       {.context = contexts, .seed = s.seed, .execution = execution});
  pf::Matrix<double> rows(s.count, static_cast<Index>(names.size()));
  rows.leftCols(model.dim()) = drawn.rows;
  for (Index c = 0; c < model.context_dim(); ++c) rows.col(model.dim() + c).setConstant(contexts(0, c));
  writer.write(rows);
  writer.commit();
  if (drawn.effective_sample_size < std::max(100.0, 0.5 * static_cast<double>(s.count)))
    fmt::print(stderr, "pushforward: warning: --given: the rows are worth {:.0f} independent ones: the model hardly "
                       "draws such values, and rows are repeated\n",
               drawn.effective_sample_size);
  if (s.json)
    print_json({{"samples", s.count},
                {"columns", names},
                {"seed", s.seed},
                {"out", s.out},
                {"log_prob_of_given", drawn.log_prob},
                {"standard_error", drawn.standard_error},
                {"proposals", drawn.proposals},
                {"effective_sample_size", drawn.effective_sample_size}});
  else if (s.out != "-")
    fmt::print("wrote {} of {} to {}, chosen from {} proposals worth {}; log density of what is given {}\n",
               counted(s.count, "sample"), joined(model.columns), s.out, grouped(drawn.proposals),
               grouped(static_cast<Index>(drawn.effective_sample_size)),
               with_error(drawn.log_prob, drawn.standard_error));
}

void run(const Settings& s) {
  if (s.json && s.out == "-") throw UsageError("--json: standard output is taken by --out -");
  const std::vector<std::string> context = split_lists(s.context);
  if (!context.empty() && !s.context_file.empty()) throw UsageError("--context: excludes --context-file");
  if (!s.array.empty() && s.context_file.empty()) throw UsageError("--array: goes with --context-file");
  refuse_overwriting({{"the model", s.model}, {"--context-file", s.context_file}}, {{"--out", s.out}});
  const LoadedModel model = load_model(s.model);
  const bool conditional = model.context_dim() > 0;
  const bool has_context = !context.empty() || !s.context_file.empty();
  if (conditional && !has_context)
    throw UsageError(fmt::format("{}: is conditional on {}; give --context or --context-file", s.model,
                                 joined(model.context_columns)));
  if (!conditional && has_context)
    throw UsageError(fmt::format("{}: takes no context; leave out --context and --context-file", s.model));

  pf::Matrix<double> contexts;
  if (!context.empty()) contexts = parse_context(context, model);
  if (!s.context_file.empty()) contexts = DataReader::for_context(s.context_file, model, {.array = s.array}).rest().values;
  warn_of_far_contexts(model, contexts);
  if (!s.given.empty()) return run_given(s, model, contexts);
  const bool each = contexts.rows() > 1;
  const Index per_context = s.count >= 0 ? s.count : 1;
  if (s.count < 0 && !each) throw UsageError("-n is required");
  const Index total = each ? contexts.rows() * per_context : per_context;

  const std::vector<std::string> names = output_names(s, model);
  RowWriter writer(s.out, names, total);
  pf::Engine engine(s.seed);
  pf::Execution execution({.threads = thread_count(s.threads)});
  pf::Matrix<double> rows;
  ProgressLine line;
  for (Index begin = 0; begin < total; begin += chunk_rows) {
    const Index n = std::min(chunk_rows, total - begin);
    rows.resize(n, static_cast<Index>(names.size()));
    if (conditional) {
      // Every context has `per_context` rows, one after the other.
      for (Index i = 0; i < n; ++i)
        rows.row(i).tail(model.context_dim()) = contexts.row(each ? (begin + i) / per_context : 0);
      rows.leftCols(model.dim()) =
          model.distribution->sample_each(rows.rightCols(model.context_dim()), engine, execution);
    } else {
      model.distribution->sample_into(rows, engine, {}, execution);
    }
    writer.write(rows);
    line.show_rows(begin + n, total);
  }
  line.clear();
  writer.commit();
  if (s.json)
    print_json({{"samples", total}, {"columns", names}, {"seed", s.seed}, {"out", s.out}});
  else if (s.out != "-")
    fmt::print("wrote {} of {} to {}\n", counted(total, "sample"), joined(model.columns), s.out);
}

}  // namespace

void add_sample(CLI::App& app) {
  auto s = std::make_shared<Settings>();
  CLI::App* sub = app.add_subcommand("sample", "Draw rows from a model.");
  sub->add_option("model", s->model, "Model file")->required()->check(file_name())->option_text("MODEL");
  sub->add_option("-n,--number", s->count, "Rows to draw; with several contexts: for each of them (default 1)")
      ->transform(whole_number(0, 1'000'000'000'000))
      ->option_text("N");
  sub->add_option("-o,--out", s->out, "CSV or .npy file; -: CSV on standard output")
      ->check(file_name())
      ->option_text("FILE (-)");
  sub->add_option("--seed", s->seed, "Of the random numbers; the same seed gives the same rows")
      ->transform(seed_number())
      ->option_text("N (0)");
  add_list(*sub, "--context", s->context, "Values of the context columns: c1=3.5,c2=1")->option_text("A=X,B=Y,...");
  sub->add_option("--context-file", s->context_file, "Data file with the context columns")
      ->check(file_name())
      ->option_text("FILE");
  add_list(*sub, "--given", s->given, "Values of some columns; the others are drawn given these, from many proposals")
      ->option_text("A=X,B=Y,...");
  sub->add_option("--array", s->array, "Array of a .npz context file")->option_text("NAME");
  sub->add_option("--threads", s->threads, "Threads (default: all); the rows do not depend on it")
      ->transform(whole_number(1, 1024))
      ->option_text("N");
  sub->add_flag("--json", s->json, "Print the result as JSON");
  sub->footer("Rows are drawn 65,536 at a time: a smaller -n gives the first rows of a larger one.\n"
              "Context columns follow the drawn ones in the output, so that 'log-prob' reads it.");
  sub->callback([s, sub] {
    refuse_repeated(*sub);
    run(*s);
  });
}

}  // namespace tool
