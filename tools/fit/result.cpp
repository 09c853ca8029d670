#include "tools/fit/result.hpp"

#include <algorithm>

namespace tool::fitting {

namespace {

/// "'quality', 'age' (steps of 1), 'price' (0.25)"
std::string grids_text(const Input& in) {
  std::string text;
  double step = 0;
  for (const pf::GridColumn& r : in.rounded) {
    if (step != 0 && r.grid.step != step) text += fmt::format(" (steps of {:g})", step);
    step = r.grid.step;
    text += fmt::format("{}'{}'", text.empty() ? "" : ", ", in.columns[static_cast<std::size_t>(r.column)]);
  }
  return text + fmt::format(" (steps of {:g})", step);
}

const char* stop_name(pf::StopReason reason) {
  switch (reason) {
    case pf::StopReason::completed:
      return "completed";
    case pf::StopReason::early_stopping:
      return "early_stopping";
    case pf::StopReason::cancelled:
      return "cancelled";
    case pf::StopReason::non_finite:
      return "non_finite";
  }
  return "";
}

}  // namespace

const pf::MeanLogLikelihood& gain_of(const Input& in, const Result& r) {
  return in.validation.size() > 0 ? r.validation.gain : r.train.gain;
}

void print_text(const Settings& s, const Input& in, const Result& r) {
  fmt::print("data         {}: {}", s.data, counted(in.train.size() + in.validation.size(), "row"));
  if (in.validation.size() > 0)
    fmt::print(" ({} to train, {} to validate)", grouped(in.train.size()), grouped(in.validation.size()));
  fmt::print(", {}", counted(static_cast<Index>(in.columns.size()), "column"));
  if (!in.context_columns.empty()) fmt::print(" given {}", joined(in.context_columns));
  fmt::print("\nmodel        {}: {}, {}\n", s.model, counted(r.parameters, "parameter"),
             r.precision);
  if (is_flow(s) && !races(s)) {
    const auto epochs = static_cast<Index>(r.report.train_loss.size());
    fmt::print("training     {} in {}", counted(epochs, "epoch"), duration(r.report.seconds));
    if (r.report.best_epoch >= 0) fmt::print(", the best was number {}", r.report.best_epoch + 1);
    if (r.report.stop_reason != pf::StopReason::completed) fmt::print("; {}", r.report.stop_text);
    if (r.report.skipped_steps > 0)
      fmt::print("\nskipped      {} of {} with a loss or gradient that is not finite", grouped(r.report.skipped_steps),
                 counted(r.report.steps, "step"));
    fmt::print("\n");
  }
  if (!in.rounded.empty())
    fmt::print("on grids     {}; scores are logs of the masses of cells{}\n", grids_text(in),
               log_cell(in) == 0 ? "" : fmt::format(", their mean densities are {:.4f} above", -log_cell(in)));
  if (races(s)) {
    fmt::print("\n{}\nchosen       {}\n", pf::to_text(r.candidates), r.reason);
  }
  // A table of candidates tells of rows that they have not seen.
  const bool compare = is_flow(s) && !races(s) && r.no_gaussian.empty();
  struct Line {
    const char* name;
    std::string model, baseline;
  };
  const auto line = [](const char* name, const Judgement& j) {
    return Line{name, with_error(j.model.mean, j.model.standard_error),
                with_error(j.gaussian.mean, j.gaussian.standard_error)};
  };
  std::vector<Line> lines{{"", "mean log-likelihood",
                           in.context_columns.empty() ? "Gaussian, same rows" : "linear Gaussian, same rows"}};
  // Of the race all rows are here, those that chose the model too: its table says what they are worth.
  lines.push_back(line(races(s) ? "all rows" : "train", r.train));
  if (in.validation.size() > 0) lines.push_back(line("validation", r.validation));
  std::size_t width = 22;
  for (const Line& l : lines) width = std::max(width, l.model.size());  // in bytes, of which "±" has two
  fmt::print("\n");
  for (const Line& l : lines)
    fmt::print("  {:<10} {:<{}}{}\n", l.name, l.model, compare ? width + 2 : 0, compare ? l.baseline : "");
  const pf::MeanLogLikelihood& gain = gain_of(in, r);
  // Rows that train a model say nothing of its gain, and a handful of others next to nothing.
  if (compare && in.validation.size() >= few_validation_rows)
    fmt::print("  {:<10} {} nats per row\n", "gain", with_error(gain.mean, gain.standard_error));
  fmt::print("\n  of {} rows: {}\n", in.validation.size() > 0 ? "validation" : "these", quantiles_text(r.scores));
  if (const std::string far = far_text(r.scores, *in.reader); !far.empty()) fmt::print("  {}\n", far);
  fmt::print("\nwrote {}\n", s.out);
}

void print_json(const Settings& s, const Input& in, const Result& r, const std::vector<std::string>& warnings) {
  Json json{{"data", s.data},
            {"rows", in.train.size() + in.validation.size()},
            {"train_rows", in.train.size()},
            {"validation_rows", in.validation.size()},
            {"columns", in.columns},
            {"context_columns", in.context_columns},
            {"model", s.model},
            {"parameters", r.parameters},
            {"train_log_likelihood", to_json(r.train.model)},
            {"validation_log_likelihood", to_json(r.validation.model)},
            {"gaussian_train_log_likelihood", to_json(r.train.gaussian)},
            {"gaussian_validation_log_likelihood", to_json(r.validation.gaussian)},
            {"gain_over_gaussian", to_json(gain_of(in, r))}};
  json["scores"] = to_json(r.scores, *in.reader);
  for (const pf::GridColumn& r : in.rounded)
    json["grids"].push_back({{"column", in.columns[static_cast<std::size_t>(r.column)]},
                             {"origin", r.grid.origin},
                             {"step", r.grid.step}});
  if (races(s)) {
    json["chosen"] = r.candidates.front().name;
    json["reason"] = r.reason;
    for (const pf::CandidateReport& c : r.candidates)
      json["candidates"].push_back({{"name", c.name},
                                    {"validation_log_likelihood", to_json(c.validation)},
                                    {"behind", to_json(c.behind)},
                                    {"steps", c.steps},
                                    {"parameters", c.parameters},
                                    {"seconds", c.seconds},
                                    {"problem", c.problem}});
  }
  if (is_flow(s)) {
    json["epochs"] = r.report.train_loss.size();
    json["best_epoch"] = r.report.best_epoch >= 0 ? Json(r.report.best_epoch + 1) : Json();
    json["stop_reason"] = stop_name(r.report.stop_reason);
    json["steps"] = r.report.steps;
    json["skipped_steps"] = r.report.skipped_steps;
    json["seconds"] = r.report.seconds;
    json["train_loss"] = r.report.train_loss;
    json["validation_loss"] = r.report.validation_loss;
  }
  json["interrupted"] = !r.interrupted.empty();
  json["warnings"] = warnings;
  json["out"] = s.out;
  tool::print_json(json);
}

}  // namespace tool::fitting
