#include <algorithm>
#include <fstream>
#include <map>
#include <numeric>

#include "src/io/file.hpp"
#include "tools/check_page.hpp"

namespace tool {

namespace {

struct Settings {
  std::string model, data, out, array, train, log;
  std::vector<std::string> columns;
  TextSettings text;
  Index draws = 0, most_rows = 0;
  std::uint64_t seed = 0;
  double level = pf::CalibrationOptions<double>().level;
  int threads = 0;
  bool strict = false, json = false;
};

constexpr std::size_t usual_columns = 6, most_columns = 8;

/// Columns of the corner plot.
std::vector<Index> shown_columns(const Settings& s, const LoadedModel& model) {
  std::vector<Index> shown;
  for (const std::string& name : split_lists(s.columns)) {
    const auto found = std::find(model.columns.begin(), model.columns.end(), name);
    if (found == model.columns.end())
      throw UsageError(fmt::format("--columns: the model has no column '{}'; it has {}", name, joined(model.columns)));
    shown.push_back(found - model.columns.begin());
  }
  if (shown.size() > most_columns)
    throw UsageError(fmt::format("--columns: at most {} columns fit into the picture", most_columns));
  if (shown.empty()) {
    shown.resize(std::min(model.columns.size(), usual_columns));
    std::iota(shown.begin(), shown.end(), Index{0});
  }
  return shown;
}

/// One JSON object for each epoch, with train_loss and, where there is one, validation_loss. Of a race, whose lines
/// name candidates, the one that was fitted last of all, or that had the lowest validation loss.
LearningCurve read_log(const std::string& path) {
  if (path.empty()) return {};
  std::ifstream in(path);
  if (!in) throw pf::IoError(path + ": cannot be opened");
  std::map<std::string, LearningCurve> curves;
  std::string line, last;
  for (Index number = 1; std::getline(in, line); ++number) {
    const Json json = Json::parse(line, nullptr, false);
    if (!json.is_object())
      throw pf::IoError(
          fmt::format("{}:{}: expected a JSON object, the log of a fit has one for each epoch", path, number));
    if (json.find("train_loss") == json.end()) continue;  // of another kind
    const auto loss = [&](const char* name) {
      const auto at = json.find(name);
      return at != json.end() && at->is_number() ? at->get<double>() : std::numeric_limits<double>::quiet_NaN();
    };
    const std::string candidate = json.value("candidate", Json("")).is_string() ? json.value("candidate", "") : "";
    if (json.value("stage", Json()) == Json("last")) last = candidate;
    LearningCurve& curve = curves[candidate];
    curve.file = path;
    curve.candidate = candidate;
    curve.train.push_back(loss("train_loss"));
    curve.validation.push_back(loss("validation_loss"));
  }
  if (curves.empty()) throw pf::IoError(path + ": no line has a train_loss");
  if (!last.empty()) return curves[last];
  const auto lowest = [](const auto& entry) {
    double least = std::numeric_limits<double>::infinity();
    for (const double v : entry.second.validation) least = std::min(least, std::isnan(v) ? least : v);
    return least;
  };
  return std::min_element(curves.begin(), curves.end(),
                          [&](const auto& a, const auto& b) { return lowest(a) < lowest(b); })
      ->second;
}

Json to_json(const Settings& s, const pf::CalibrationReport& r, const std::vector<std::string>& columns,
             const std::vector<Index>& lines, const DataReader& reader) {
  const auto test = [](const pf::UniformityTest& t) {
    return Json{{"ks", t.ks}, {"ks_p", t.ks_p}, {"ad", t.ad}, {"ad_p", t.ad_p}};
  };
  Json json{{"passed", r.passed},
            {"verdict", r.verdict},
            {"level", r.level},
            {"rows", r.rows},
            {"rows_left_out", reader.dropped_rows()},
            {"tested_rows", r.tested},
            {"draws", r.draws},
            {"seed", s.seed},
            {"log_likelihood", tool::to_json(r.score)},
            {"rows_of_density_zero", r.density_zero},
            {"quantile_0.01", r.quantile_01},
            {"median", r.median},
            {"quantile_0.99", r.quantile_99},
            {"gaussian", tool::to_json(r.baseline)},
            {"gaussian_fitted_to", r.baseline_text},
            {"gain", tool::to_json(r.gain)}};
  for (const pf::CalibrationFinding& f : r.findings)
    json["findings"].push_back({{"group", f.name},
                                {"found", f.found},
                                {"text", f.text},
                                {"tests", f.tests},
                                {"p", f.p},
                                {"corrected_p", f.holm_p}});
  for (std::size_t c = 0; c < columns.size(); ++c) {
    json["columns"].push_back({{"column", columns[c]}});
    json["columns"].back().update(test(r.columns[c].test));
  }
  for (const pf::Uniforms& u : r.latents) json["latents"].push_back(test(u.test));
  if (r.latents.empty())
    json["no_latents"] = r.latents_text;
  else
    json["latent_radius"] = test(r.radius_uniforms.test);
  json["density_ranks"] = test(r.density.test);
  for (const pf::Coverage& c : r.coverage)
    json["coverage"].push_back({{"level", c.level}, {"share", c.share}, {"low", c.low}, {"high", c.high}, {"p", c.p}});
  for (const pf::TwoSampleTest& t : r.two_sample)
    json["two_sample"].push_back({{"classifier", t.classifier},
                                  {"rows", t.rows},
                                  {"accuracy", t.accuracy},
                                  {"auc", t.auc},
                                  {"auc_error", t.auc_error},
                                  {"p", t.p}});
  for (std::size_t k = 0; k < r.worst_rows.size(); ++k)
    json["worst_rows"].push_back(
        {{"line", lines[static_cast<std::size_t>(r.worst_rows[k])]},
         {"place", reader.place(lines[static_cast<std::size_t>(r.worst_rows[k])])},
         {"log_likelihood", r.worst_log_prob[k]}});
  if (!s.out.empty()) json["out"] = s.out;
  return json;
}

void print_text(std::FILE* to, const Settings& s, const pf::CalibrationReport& r, const std::vector<Index>& lines,
                const DataReader& reader) {
  const Index dropped = reader.dropped_rows();
  fmt::print(to, "{}\n\n", r.verdict);
  fmt::print(to, "rows                  {}{}\n", grouped(r.rows),
             dropped > 0 ? fmt::format(" ({} more miss a value)", grouped(dropped)) : "");
  fmt::print(to, "tested                {}, with {} for each\n", r.tested == r.rows ? "all" : grouped(r.tested),
             counted(r.draws, "draw"));
  fmt::print(
      to, "mean log-likelihood   {}{} nats\n",
      r.density_zero > 0 ? fmt::format("-inf ({} of density 0); the others: ", counted(r.density_zero, "row")) : "",
      with_error(r.score.mean, r.score.standard_error));
  if (std::isfinite(r.baseline.mean))
    fmt::print(to, "Gaussian              {}; gain over it {}\n",
               with_error(r.baseline.mean, r.baseline.standard_error), with_error(r.gain.mean, r.gain.standard_error));
  fmt::print(to, "                      ({})\n", r.baseline_text);
  fmt::print(to, "of all rows           median {:.5g}, 1 % quantile {:.5g}\n", r.median, r.quantile_01);

  fmt::print(to, "\n  {:<17} {:>5}  {:>11}  {}\n", "group", "tests", "corrected p", "");
  for (const pf::CalibrationFinding& f : r.findings)
    fmt::print(to, "  {:<17} {:>5}  {:>11}  {}\n", f.name, grouped(f.tests), p_text(f.holm_p),
               f.found ? f.text : "nothing found");
  if (r.latents.empty()) fmt::print(to, "  no latent values: {}\n", r.latents_text);

  fmt::print(to, "\n  {:>6}  {:>11}  {}\n", "region", "rows inside", "of a right model 95 % lie in");
  for (const pf::Coverage& c : r.coverage)
    fmt::print(to, "  {:>4.4g} %  {:>9.2f} %  {:.2f} to {:.2f} %\n", 100 * c.level, 100 * c.share, 100 * c.low,
               100 * c.high);
  std::string worst;
  for (std::size_t k = 0; k < r.worst_rows.size(); ++k)
    worst += fmt::format("{}{} ({:.4g})", k == 0 ? "" : ", ", reader.place(lines[static_cast<std::size_t>(r.worst_rows[k])]),
                         r.worst_log_prob[k]);
  fmt::print(to, "\nworst rows   {}\n", worst);
  if (!s.out.empty() && s.out != "-") fmt::print(to, "wrote {}\n", s.out);
}

void run(const Settings& s) {
  if (s.json && s.out == "-") throw UsageError("--json: standard output is taken by --out -");
  refuse_overwriting({{"the model", s.model}, {"the data", s.data}, {"--train", s.train}, {"--log", s.log}},
                     {{"--out", s.out}});
  const LoadedModel model = load_model(s.model);
  CheckPage page;
  page.model = std::filesystem::path(s.model).filename().string();
  page.data = s.data == "-" ? "standard input" : std::filesystem::path(s.data).filename().string();
  page.columns = model.columns;
  page.names = model.columns;
  page.names.insert(page.names.end(), model.context_columns.begin(), model.context_columns.end());
  page.shown = shown_columns(s, model);
  page.curve = read_log(s.log);
  // What cannot be written is told before the work.
  std::optional<pf::detail::AtomicFile> out;
  if (!s.out.empty())
    out.emplace(s.out == "-" ? pf::detail::AtomicFile::standard_output() : pf::detail::AtomicFile(s.out));
  pf::TableOptions how = table_options(s.text, s.array);
  how.missing = pf::CsvOptions::Missing::drop;
  DataReader reader = DataReader::for_model(s.data, model, how);
  pf::Table table = reader.rest();
  pf::Table train;
  if (!s.train.empty()) train = DataReader::for_model(s.train, model, how).rest();
  pf::Execution execution({.threads = thread_count(s.threads)});
  pf::CalibrationOptions<double> options{.columns = page.names, .seed = s.seed, .execution = execution};
  options.context = model.context_of(table);
  if (!s.train.empty()) {
    options.baseline_data = pf::MatrixView<const double>(train.values.leftCols(model.dim()));
    options.baseline_context = model.context_of(train);
  }
  options.draws = s.draws;
  options.level = s.level;
  if (s.most_rows > 0) options.most_rows = s.most_rows;
  const auto y = table.values.leftCols(model.dim());
  const pf::CalibrationReport report = [&] {
    try {
      return pf::calibration_report(*model.distribution, y, options);
    } catch (const pf::DomainError& error) {
      throw pf::DomainError(fmt::format("{}: {}", s.data, error.what()));
    }
  }();

  if (out) {
    // Of many rows a part is drawn, from all of the file.
    constexpr Index most_drawn = 20'000;
    const Index n = std::min(report.rows, most_drawn);
    page.rows.resize(n, model.dim());
    Eigen::MatrixXd context(n, model.context_dim());
    for (Index i = 0; i < n; ++i) {
      page.rows.row(i) = table.values.row(i * report.rows / n).head(model.dim());
      context.row(i) = table.values.row(i * report.rows / n).tail(model.context_dim());
    }
    pf::Engine engine = pf::Engine(s.seed).stream("picture");
    page.draws = model.context_dim() > 0 ? Eigen::MatrixXd(model.distribution->sample_each(context, engine, execution))
                                         : Eigen::MatrixXd(model.distribution->sample(n, engine, execution));
    page.facts.push_back(fmt::format("seed {}", s.seed));
    if (reader.dropped_rows() > 0)
      page.facts.push_back(fmt::format("{} that miss a value are left out", counted(reader.dropped_rows(), "row")));
    for (const Index row : report.worst_rows)
      page.places.push_back(reader.place(table.lines[static_cast<std::size_t>(row)]));
    page.report = &report;
    page.worst.resize(static_cast<Index>(report.worst_rows.size()), model.dim());
    for (std::size_t k = 0; k < report.worst_rows.size(); ++k)
      page.worst.row(static_cast<Index>(k)) = table.values.row(report.worst_rows[k]).head(model.dim());
    const std::string html = to_html(page);
    out->write(html.data(), html.size());
    out->commit();
  }
  if (s.json)
    print_json(to_json(s, report, model.columns, table.lines, reader));
  else
    print_text(s.out == "-" ? stderr : stdout, s, report, table.lines, reader);
  if (s.strict && !report.passed) throw pf::Error(s.model + ": " + report.verdict);
}

}  // namespace

void add_check(CLI::App& app) {
  auto s = std::make_shared<Settings>();
  CLI::App* sub =
      app.add_subcommand("check", "Test whether rows are what a model draws: a verdict, and a page with pictures.");
  sub->add_option("model", s->model, "Model file")->required()->check(file_name())->option_text("MODEL");
  sub->add_option("data", s->data, "Data file with rows that the model was not fitted to; -: CSV from standard input")
      ->required()
      ->check(file_name())
      ->option_text("FILE");
  sub->add_option("-o,--out", s->out, "HTML file to write, which needs nothing else; -: on standard output")
      ->check(file_name())
      ->option_text("FILE");
  sub->add_option("--train", s->train, "Rows that the model was fitted to, for the Gaussian to compare with")
      ->check(file_name())
      ->option_text("FILE");
  sub->add_option("--log", s->log, "Log of the fit, for the page's learning curves")
      ->check(file_name())
      ->option_text("FILE");
  add_list(*sub, "--columns", s->columns, "Columns of the corner plot, a,b,c (default: the first 6)")
      ->option_text("A,B,...");
  sub->add_option("--samples", s->draws, "Draws of the model for each row (default: 200,000 in all, from 19 to 99)")
      ->transform(whole_number(1, 10'000))
      ->option_text("N");
  sub->add_option("--rows", s->most_rows, "Rows to test; of more a random choice, and all are scored")
      ->transform(whole_number(20, 100'000'000))
      ->option_text("N (20,000)");
  sub->add_option("--level", s->level, "Share of right models that may fail")
      ->check(number("between 0 and 1", 0, 1, true, true))
      ->option_text(fmt::format("P ({})", s->level));
  sub->add_option("--seed", s->seed, "Of draws and choices; the same seed gives the same page")
      ->transform(seed_number())
      ->option_text("N (0)");
  sub->add_option("--array", s->array, "Array of a .npz file")->option_text("NAME");
  add_text_options(*sub, s->text, "Text");
  sub->add_option("--threads", s->threads, "Threads (default: all); the result does not depend on it")
      ->transform(whole_number(1, 1024))
      ->option_text("N");
  sub->add_flag("--strict", s->strict, "A model that does not pass is an error");
  sub->add_flag("--json", s->json, "Print the result as JSON");
  sub->footer(
      "Each row is ranked among draws of the model, column by column and by its density. Rows that miss a value are "
      "left\n"
      "out. A model that passes may have faults that so many rows do not show.");
  sub->callback([s, sub] {
    refuse_repeated(*sub);
    run(*s);
  });
}

}  // namespace tool
