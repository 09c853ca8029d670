#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <functional>
#include <pushforward/training/fit_best.hpp>
#include <pushforward/training/prepare.hpp>
#include <pushforward/training/split.hpp>
#include <span>
#include <stop_token>
#include <thread>
#include <utility>

#include "tools/scores.hpp"

namespace tool {

namespace {

constexpr std::pair<const char*, pf::Mixing> mixings[] = {{"none", pf::Mixing::none},
                                                          {"reverse", pf::Mixing::reverse},
                                                          {"permutation", pf::Mixing::random_permutation},
                                                          {"lu", pf::Mixing::lu_linear}};
constexpr std::pair<const char*, pf::Standardization> standardizations[] = {
    {"mean_std", pf::Standardization::mean_std},
    {"median_iqr", pf::Standardization::median_iqr},
    {"none", pf::Standardization::none}};
/// In the order of the alternatives of pf::Schedule.
constexpr const char* schedules[] = {"constant", "cosine", "plateau"};

template <class Value, std::size_t N>
const char* name_of(Value value, const std::pair<const char*, Value> (&names)[N]) {
  for (const auto& [name, own] : names)
    if (own == value) return name;
  return "";
}

/// What the command line does not name is as the library has it.
struct Settings {
  std::string data, out, array, missing = "error";
  TextSettings text;
  std::string model = "auto", budget;
  std::vector<std::string> columns, drop, context;
  std::string weights;
  std::vector<std::string> bounds;
  // the flow
  Index layers = 0;
  Index bins = 0;
  double bound = 0;
  double scale_bound = 0, tail = 0, input_bound = 0;
  std::string hidden;
  Index blocks = 0;
  bool residual = false, batch_norm = false, act_norm = false;
  std::string activation, mixing;
  double dropout = pf::FlowOptions().dropout;
  std::string precision;
  std::string standardize = name_of(pf::PrepareOptions().standardize, standardizations);
  pf::FitOptions<double> training;
  std::string schedule = schedules[training.schedule.index()];
  int threads = 0;
  Index ensemble = 1;
  std::string checkpoint;
  bool json = false;
  bool dequantize = false, no_dequantize = false;
  /// Names of the options on the command line: "--layers".
  std::vector<std::string> given;

  bool has(std::string_view option) const { return std::find(given.begin(), given.end(), option) != given.end(); }
};

// ---------------------------------------------------------------------------------------------------- command line

/// "128,128": all widths are equal; the number of entries is that of hidden layers.
std::vector<Index> parse_hidden(const std::string& text) {
  std::vector<Index> widths;
  for (const std::string& item : split_list(text)) {
    const auto value = to_number(item);
    if (!value || *value < 1 || *value > 1e6 || *value != std::floor(*value))
      throw UsageError(fmt::format("--hidden: expected widths like 128,128, got '{}'", text));
    widths.push_back(static_cast<Index>(*value));
  }
  for (const Index width : widths)
    if (width != widths.front())
      throw UsageError(
          fmt::format("--hidden: the layers of a conditioner have equal widths, got '{}'; give one width as often as "
                      "there are hidden layers",
                      text));
  return widths;
}

/// "maf, iaf 5; real_nvp 10": a default of each flow that has one, for the help.
std::string by_preset(const std::function<std::string(const pf::FlowPreset&)>& value) {
  std::vector<std::pair<std::string, std::string>> groups;  // value, names
  for (const pf::FlowPreset& preset : pf::flow_presets()) {
    const std::string own = value(preset), name(preset.name);
    if (own.empty()) continue;
    const auto group = std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return g.first == own; });
    if (group == groups.end()) groups.emplace_back(own, name);
    else group->second += ", " + name;
  }
  std::vector<std::string> texts;
  for (const auto& [own, flows] : groups) texts.push_back(flows + " " + own);
  return joined(texts, "; ");
}

/// The options that the command line names; the library's table has the others.
pf::FlowOptions flow_options(const Settings& s, Index context_dim) {
  const pf::FlowPreset& preset = pf::flow_preset(s.model);
  pf::FlowOptions o;
  if (s.layers > 0) o.layers = s.layers;
  const std::vector<Index> hidden = parse_hidden(s.hidden);
  if (!hidden.empty()) o.hidden = hidden.front();
  if (s.residual) o.residual = true;
  if (s.scale_bound > 0) o.scale_bound = s.scale_bound;
  if (s.tail > 0) o.tail = s.tail;
  if (s.input_bound > 0) o.input_bound = s.input_bound;
  if (s.bins > 0) o.spline.bins = s.bins;
  if (s.bound > 0) o.spline.low = -(o.spline.high = s.bound);
  if (o.residual.value_or(preset.residual)) {
    if (hidden.size() > 1)
      throw UsageError(
          "--hidden: with --residual and spline flows give one width; --blocks is the number of blocks of two layers");
    if (s.blocks > 0) o.blocks = s.blocks;
  } else {
    if (!hidden.empty()) o.blocks = static_cast<Index>(hidden.size()) - 1;
  }
  if (!s.activation.empty()) o.activation = pf::activation_from(s.activation);
  o.dropout = s.dropout;
  o.context_dim = context_dim;
  for (const auto& [name, mixing] : mixings)
    if (s.mixing == name) o.mixing = mixing;
  o.batch_norm = s.batch_norm;
  o.act_norm = s.act_norm;
  o.seed = s.training.seed;
  return preset.complete(o);
}

pf::Interval parse_interval(const std::string& item, std::string_view range) {
  const std::size_t colon = range.find(':');
  pf::Interval interval;
  const auto bound = [&](std::string_view text, double& value) {
    if (text.empty()) return true;
    const auto number = to_number(text);
    if (number) value = *number;
    return number.has_value();
  };
  if (colon == range.npos || !bound(range.substr(0, colon), interval.low) ||
      !bound(range.substr(colon + 1), interval.high))
    throw UsageError(fmt::format("--bounds: expected column=low:high (either may be empty), got '{}'", item));
  if (!(interval.low < interval.high))
    throw UsageError(fmt::format("--bounds: the lower bound must be below the upper one, got '{}'", item));
  return interval;
}

std::vector<pf::Interval> parse_bounds(const Settings& s, const std::vector<std::string>& columns) {
  std::vector<pf::Interval> supports(columns.size());
  std::vector<bool> given(columns.size());
  for (const std::string& item : s.bounds) {
    const std::size_t equals = item.rfind('=');
    if (equals == item.npos)
      throw UsageError(fmt::format("--bounds: expected column=low:high (either may be empty), got '{}'", item));
    const pf::Interval interval = parse_interval(item, std::string_view(item).substr(equals + 1));
    const auto found = std::find(columns.begin(), columns.end(), item.substr(0, equals));
    if (found == columns.end())
      throw UsageError(
          fmt::format("--bounds: no data column '{}'; the columns are {}", item.substr(0, equals), joined(columns)));
    const auto column = static_cast<std::size_t>(found - columns.begin());
    if (given[column] && supports[column] != interval)
      throw UsageError(fmt::format("--bounds: column '{}' is given two different bounds; leave one of them", *found));
    given[column] = true;
    supports[column] = interval;
  }
  return supports;
}

bool is_flow(const Settings& s) { return s.model != "gaussian" && s.model != "auto"; }

struct Budget {
  Index steps = 0;
  double seconds = 0;
};
/// "20000" steps, "90s", "10m", "1h".
Budget parse_budget(const std::string& text) {
  if (text.empty()) return {};
  const double unit = text.back() == 's' ? 1 : text.back() == 'm' ? 60 : text.back() == 'h' ? 3600 : 0;
  const auto number = to_number(std::string_view(text).substr(0, text.size() - (unit > 0 ? 1 : 0)));
  if (!number || !(*number > 0) || *number > 1e9 || (unit == 0 && *number != std::floor(*number)))
    throw UsageError(
        fmt::format("--budget: expected a number of steps, or a time like 90s, 10m or 1h, got '{}'", text));
  return unit > 0 ? Budget{.seconds = *number * unit} : Budget{.steps = static_cast<Index>(*number)};
}

/// No option is taken that would change nothing.
void refuse_without_effect(const Settings& s) {
  const auto refuse = [&](std::string_view option, bool useless, const std::string& why) {
    if (useless && s.has(option)) throw UsageError(fmt::format("{}: {}", option, why));
  };
  const auto refuse_others = [&](std::span<const std::string_view> has_effect, const char* why) {
    for (const std::string& option : s.given)
      refuse(option,
             option.starts_with("--") &&
                 std::find(has_effect.begin(), has_effect.end(), option) == has_effect.end(),
             why);
  };
  refuse("--ensemble", s.model != "auto", "is of --model auto, which fits its choice so many times");
  refuse("--budget", s.model != "auto", "is what the candidates of --model auto share; a single model has --epochs");
  if (s.model == "auto") {
    constexpr std::string_view has_effect[] = {
        "--out",        "--columns", "--drop",    "--context", "--weights", "--bounds",      "--array",
        "--model",      "--seed",    "--threads", "--json",    "--budget",  "--standardize", "--precision",
        "--validation", "--lr",      "--clip",    "--weight-decay",         "--dequantize", "--no-dequantize",
        "--ensemble", "--missing", "--header",  "--delimiter", "--decimal", "--comment"};
    return refuse_others(has_effect, "is of one model, and --model auto tries several; name one: --model nsf_ar");
  }
  if (s.model == "gaussian") {
    refuse("--context", true, "a gaussian takes no context; choose another --model");
    constexpr std::string_view has_effect[] = {"--out",     "--columns", "--drop",      "--weights",    "--bounds",
                                               "--array",   "--model",   "--precision", "--validation", "--seed",
                                               "--threads", "--json",    "--dequantize", "--missing",    "--header",
                                               "--delimiter", "--decimal", "--comment"};
    return refuse_others(has_effect,
                         "has no effect with --model gaussian, which has no layers and is fitted in one step");
  }
  const pf::FlowPreset& preset = pf::flow_preset(s.model);
  const std::string no_splines = fmt::format("{} has no splines; goes with --model nsf and nsf_ar", s.model);
  const std::string has_splines =
      fmt::format("goes with maf, iaf, real_nvp and nice; {} is made of splines, and splines have --bound", s.model);
  const std::string between = "is for what stands between layers, and --layers is 1";
  const bool single = s.layers > 0 ? s.layers == 1 : preset.layers == 1;
  refuse("--bins", !preset.splines, no_splines);
  refuse("--bound", !preset.splines, no_splines);
  refuse("--scale-bound", preset.splines, has_splines);
  refuse("--tail", preset.splines, has_splines);
  refuse("--blocks", !s.residual && !preset.residual,
         "goes with --residual; otherwise --hidden 128,128 gives the layers");
  refuse("--batch-norm", single, between);
  refuse("--mixing", single && !preset.splines, between);
  refuse("--patience", s.training.validation_fraction == 0,
         "counts epochs without a better validation, and --validation is 0");
}

/// The file of --checkpoint, or that of --resume; empty: none.
std::string checkpoint_of(const Settings& s) {
  return s.checkpoint.empty() && s.training.resume ? s.out + ".checkpoint" : s.checkpoint;
}

/// Only a checkpoint is replaced by one: not the model of another day, nor a table.
void refuse_to_replace_by_checkpoint(const std::string& path) {
  if (!std::filesystem::is_regular_file(path)) return;
  bool known = false;
  try {
    const auto file = pf::SafetensorsFile::read(path);
    const auto format = file.metadata().find("format");
    known = format != file.metadata().end() && format->second.starts_with("pushforward checkpoint ");
  } catch (const pf::IoError&) {
    // no safetensors file at all
  }
  if (!known)
    throw UsageError(fmt::format(
        "--checkpoint: '{}' is there and is no checkpoint; it would be overwritten; take another name or remove it",
        path));
}

/// What can be said before the data is read.
void check(const Settings& s) {
  refuse_without_effect(s);
  refuse_overwriting({{"the data", s.data}},
                     {{"--out", s.out}, {s.checkpoint.empty() ? "the checkpoint" : "--checkpoint", checkpoint_of(s)}});
  if (!s.checkpoint.empty() && !s.training.resume) refuse_to_replace_by_checkpoint(s.checkpoint);
  if (s.out == "-" || extension(s.out) == ".csv")
    throw UsageError("--out: expected a file for the model (model.safetensors), got '" + s.out + "'");
  const std::string folder = std::filesystem::path(s.out).parent_path().string();
  if (access(folder.empty() ? "." : folder.c_str(), W_OK) != 0)
    throw pf::IoError(fmt::format("{}: cannot write to the folder '{}': {}", s.out, folder, std::strerror(errno)));
  if (is_flow(s)) flow_options(s, 0);
  parse_budget(s.budget);
  for (const std::string& item : s.bounds) {
    const std::size_t equals = item.rfind('=');
    parse_interval(item, equals == item.npos ? std::string_view() : std::string_view(item).substr(equals + 1));
  }
}

// ------------------------------------------------------------------------------------------------------------ data

/// Rows of one kind: to train, or to validate.
struct Rows {
  Eigen::MatrixXd data, context;
  Eigen::VectorXd weights;  // empty: none
  std::vector<Index> lines;  // of the file
  Index size() const { return data.rows(); }
};

struct Input {
  std::vector<std::string> columns, context_columns;
  Rows train, validation;
  pf::ModelInfo info;
  std::vector<pf::Interval> supports;
  bool bounded = false;
  std::vector<pf::GridColumn> rounded;
  std::vector<std::string> notes;  ///< of the reader
};

/// Of all columns on grids: log of the size of a cell.
double log_cell(const Input& in) {
  double sum = 0;
  for (const pf::GridColumn& r : in.rounded) sum += std::log(r.grid.step);
  return sum;
}

Rows take(const Eigen::MatrixXd& values, const std::vector<Index>& lines, const std::vector<std::int64_t>& rows,
          Index dim, Index context_dim, bool weighted) {
  Rows r;
  for (const std::int64_t row : rows) r.lines.push_back(lines[static_cast<std::size_t>(row)]);
  r.data = values.leftCols(dim)(rows, Eigen::all);
  r.context = values.middleCols(dim, context_dim)(rows, Eigen::all);
  if (weighted) r.weights = values.col(dim + context_dim)(rows);
  return r;
}

Input read_input(const Settings& s) {
  Input in;
  in.context_columns = split_lists(s.context);
  // With a choice of columns, context and weights are read besides.
  pf::TableOptions choice = table_options(s.text, s.array);
  choice.columns = split_lists(s.columns);
  choice.drop = split_lists(s.drop);
  if (s.missing == "drop") choice.missing = pf::CsvOptions::Missing::drop;
  if (!choice.columns.empty()) {
    choice.columns.insert(choice.columns.end(), in.context_columns.begin(), in.context_columns.end());
    if (!s.weights.empty()) choice.columns.push_back(s.weights);
  }
  DataReader reader(s.data, choice);
  const std::vector<std::string>& names = reader.names();
  std::vector<Index> order, special;
  const auto position = [&](const std::string& name, const char* option) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end())
      throw pf::IoError(
          fmt::format("{}: no column '{}' for {}; the columns are {}", s.data, name, option, joined(names)));
    const auto index = static_cast<Index>(found - names.begin());
    if (std::find(special.begin(), special.end(), index) != special.end())
      throw UsageError(fmt::format("{}: column '{}' is named twice", option, name));
    special.push_back(index);
    return index;
  };
  for (const std::string& name : in.context_columns) position(name, "--context");
  if (!s.weights.empty()) position(s.weights, "--weights");
  for (std::size_t i = 0; i < names.size(); ++i)
    if (std::find(special.begin(), special.end(), static_cast<Index>(i)) == special.end()) {
      order.push_back(static_cast<Index>(i));
      in.columns.push_back(names[i]);
    }
  if (in.columns.empty()) throw UsageError("no data column is left besides those of --context and --weights");
  in.supports = parse_bounds(s, in.columns);
  order.insert(order.end(), special.begin(), special.end());

  pf::Table table = reader.rest();
  in.notes = reader.notes();
  if (reader.dropped_rows() > 0)
    in.notes.push_back(fmt::format("{} left out, which {} a value", counted(reader.dropped_rows(), "row"),
                                   reader.dropped_rows() == 1 ? "misses" : "miss"));
  const Eigen::MatrixXd values = table.values(Eigen::all, order);
  const auto dim = static_cast<Index>(in.columns.size());
  const auto context_dim = static_cast<Index>(in.context_columns.size());
  const Index n = values.rows();
  const Eigen::MatrixXd data = values.leftCols(dim);
  if (s.dequantize || (s.model == "auto" && !s.no_dequantize)) {
    in.rounded = pf::find_grids<double>(data);
    const std::vector<pf::Interval> cells = pf::cell_supports<double>(data, in.rounded, in.supports);
    if (!cells.empty()) in.supports = cells;
  }
  for (Index c = 0; c < dim; ++c) {
    const pf::Interval& support = in.supports[static_cast<std::size_t>(c)];
    in.bounded = in.bounded || support != pf::real_line;
    for (Index i = 0; i < n; ++i)
      if (!(values(i, c) > support.low && values(i, c) < support.high))
        throw pf::DomainError(fmt::format(
            "{}: column '{}': {:.9g} does not lie inside its bounds ({:.9g}, {:.9g}); "
            "widen --bounds or remove the row",
            reader.where(table, i), in.columns[static_cast<std::size_t>(c)], values(i, c), support.low, support.high));
  }
  if (!s.weights.empty())
    for (Index i = 0; i < n; ++i)
      if (values(i, dim + context_dim) < 0)
        throw pf::DomainError(fmt::format("{}: column '{}': weights must not be negative, got {:.9g}",
                                          reader.where(table, i), s.weights, values(i, dim + context_dim)));
  in.info.columns = in.columns;
  in.info.context_columns = in.context_columns;
  for (Index c = 0; c < dim + context_dim; ++c)
    (c < dim ? in.info.data_range : in.info.context_range)
        .push_back({values.col(c).minCoeff(), values.col(c).maxCoeff()});

  // The baseline is judged by the very same rows.
  Eigen::VectorXd weights;
  if (!s.weights.empty()) weights = values.col(dim + context_dim);
  // fit_best deals the rows itself.
  const double validation = s.model == "auto" ? 0 : s.training.validation_fraction;
  const pf::RowSplit split = pf::split_rows(n, validation, s.training.seed, weights);
  if (split.train.size() < 2)
    throw pf::DomainError(fmt::format("{}: {}{} to train on; at least 2 are needed", s.data,
                                      counted(static_cast<Index>(split.train.size()), "row"),
                                      s.weights.empty() ? "" : " with a weight above 0"));
  in.train = take(values, table.lines, split.train, dim, context_dim, !s.weights.empty());
  in.validation = take(values, table.lines, split.validation, dim, context_dim, !s.weights.empty());
  return in;
}

// ---------------------------------------------------------------------------------------------------- while it runs

/// Turns the first interrupt (Ctrl-C, or a request to terminate) into a stop at the next step; the second one ends the
/// program at once. Made before any other thread, so that all of them leave the signals to this one.
class Interrupt {
 public:
  Interrupt() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals_, &before_);
    watcher_ = std::jthread([this](std::stop_token done) {
      while (!done.stop_requested()) {
        const timespec wait{0, 50'000'000};
        if (sigtimedwait(&signals_, nullptr, &wait) < 0) continue;
        if (stop_.stop_requested()) _exit(130);
        stop_.request_stop();
      }
    });
  }
  ~Interrupt() {
    watcher_.request_stop();
    watcher_.join();
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;
  std::stop_token token() const { return stop_.get_token(); }

 private:
  sigset_t signals_{}, before_{};
  std::stop_source stop_;
  std::jthread watcher_;
};

/// One line on the terminal that is written over; nothing where standard error is no terminal.
class ProgressLine {
 public:
  ~ProgressLine() { clear(); }
  void show(const pf::Progress& p) {
    if (!terminal_) return;
    std::string text =
        fmt::format("epoch {:>{}}/{}   train {:.4f}", p.epoch, std::to_string(p.epochs).size(), p.epochs, p.train_loss);
    if (std::isfinite(p.validation_loss)) {
      if (best_epoch_ == 0 || p.validation_loss < best_) {
        best_ = p.validation_loss;
        best_epoch_ = p.epoch;
      }
      text += fmt::format("   validation {:.4f} (best {:.4f}, epoch {})", p.validation_loss, best_, best_epoch_);
    }
    if (p.epoch < p.epochs) text += fmt::format("   {} left", duration(p.seconds_left));
    show(text);
  }
  void show(const std::string& text) {
    if (!terminal_) return;
    fmt::print(stderr, "\r{}\x1b[K", text);
    std::fflush(stderr);
    shown_ = true;
  }
  void clear() {
    if (shown_) fmt::print(stderr, "\r\x1b[K");
    shown_ = false;
  }

 private:
  bool terminal_ = isatty(STDERR_FILENO) != 0;
  bool shown_ = false;
  double best_ = 0;
  Index best_epoch_ = 0;
};

// --------------------------------------------------------------------------------------------------------- results

/// The library counts columns and speaks of its own options.
std::string in_words_of_the_tool(const pf::Notice& notice, const Input& in) {
  std::string place = pf::Notice{.set = notice.set, .row = notice.row}.place();
  const auto name = [&](const char* kind, const std::vector<std::ptrdiff_t>& columns,
                        const std::vector<std::string>& names) {
    std::vector<std::string> quoted;
    for (const std::ptrdiff_t c : columns) quoted.push_back(fmt::format("'{}'", names.at(static_cast<std::size_t>(c))));
    if (!quoted.empty())
      place += fmt::format("{}{}{} {}", place.empty() ? "" : ", ", kind, quoted.size() > 1 ? "s" : "", joined(quoted));
  };
  name("column", notice.columns, in.columns);
  name("context column", notice.context_columns, in.context_columns);
  std::string way_out = notice.way_out;
  if (notice.option == "rounded") way_out = "; --dequantize gives each value the mass of its cell";
  if (notice.option == "standardize") way_out = "; --standardize mean_std helps, or a larger --input-bound";
  if (notice.option == "ridge") way_out = place.empty() ? "; leave some out with --drop" : "; leave it out with --drop";
  return notice.where + place + notice.problem + way_out;
}

struct Result {
  std::string precision;
  Index parameters = 0;
  pf::FitReport report;  // of flows
  std::vector<pf::CandidateReport> candidates;  // of auto
  std::string reason;
  bool complete = true;
  pf::MeanLogLikelihood train, validation;
  Scores scores;  // of the validation rows, or of the training rows where there are none
};

pf::MeanLogLikelihood summarise(const Eigen::VectorXd& values, const Eigen::VectorXd& weights) {
  RunningMean mean;
  for (Index i = 0; i < values.size(); ++i) mean.add(values[i], weights.size() > 0 ? weights[i] : 1);
  return {mean.mean(), mean.standard_error()};
}

/// What the Gaussian says of the same rows.
struct Baseline {
  pf::MeanLogLikelihood train, validation;
  Eigen::VectorXd of_rows;  ///< of the rows that models are compared on
  std::string missing;      ///< why there is none
};

Baseline gaussian_baseline(const Input& in) {
  Baseline b;
  try {
    const auto gaussian = pf::GaussianBaseline::fit(in.train.data, in.train.context, in.train.weights);
    b.of_rows = gaussian.log_prob(in.train.data, in.train.context);
    b.train = summarise(b.of_rows, in.train.weights);
    if (in.validation.size() > 0) {
      b.of_rows = gaussian.log_prob(in.validation.data, in.validation.context);
      b.validation = summarise(b.of_rows, in.validation.weights);
    }
    b.of_rows.array() += log_cell(in);
    for (pf::MeanLogLikelihood* mean : {&b.train, &b.validation}) mean->mean += log_cell(in);
  } catch (const pf::DomainError& error) {
    b.missing = "no Gaussian to compare with: " + in_words_of_the_tool(error.notice(), in);
  }
  return b;
}

template <pf::Scalar T>
pf::Matrix<T> to(const Eigen::MatrixXd& values) {
  return values.cast<T>();
}

/// A model and what is known of it; scored in double, as it is used later.
template <pf::Scalar T>
Eigen::VectorXd score(const pf::Distribution<T>& model, const Rows& rows, pf::Execution& execution) {
  const pf::Matrix<T> y = to<T>(rows.data), context = to<T>(rows.context);
  return model.log_prob(y, context.cols() > 0 ? pf::MatrixView<const T>(context) : pf::MatrixView<const T>(),
                        execution);
}

/// Rows as a density sees them: those in rounded columns somewhere in their cells.
template <pf::Scalar T>
pf::Matrix<T> smooth(const Settings& s, const Input& in) {
  pf::Engine engine = pf::Engine(s.training.seed).stream("cells");
  return pf::dequantized<T>(to<T>(in.train.data), in.rounded, engine);
}

/// A density as a model of the table.
template <pf::Scalar T>
pf::Poly<pf::Distribution<T>> complete(pf::Poly<pf::Distribution<T>> density, const Input& in) {
  if (in.rounded.empty()) return density;
  return pf::Quantized<T>(std::move(density), in.rounded);
}

template <pf::Scalar T>
pf::Poly<pf::Distribution<T>> fit_gaussian(const Settings& s, const Input& in) {
  using Gaussian = pf::MultivariateNormalTriL<T>;
  const pf::Matrix<T> y = smooth<T>(s, in);
  if (!in.bounded) return complete<T>(Gaussian::fit(y, in.train.weights), in);
  const pf::ColumnSupports<T> supports(in.supports);
  return complete<T>(
      pf::TransformedDistribution<T>(Gaussian::fit(supports.inverse(y).value, in.train.weights), supports), in);
}

/// Fits and returns the model.
template <pf::Scalar T>
pf::Poly<pf::Distribution<T>> fit_flow(const Settings& s, const Input& in, const std::string& checkpoint,
                                       const Interrupt& interrupt, pf::Execution& execution, Result& result) {
  const pf::Matrix<T> y = to<T>(in.train.data), context = to<T>(in.train.context);
  const pf::Matrix<T> y_validation = to<T>(in.validation.data), context_validation = to<T>(in.validation.context);
  ProgressLine line;
  pf::FitOptions<T> options;
  options.epochs = s.training.epochs;
  options.batch_size = s.training.batch_size;
  options.learning_rate = s.training.learning_rate;
  options.weight_decay = s.training.weight_decay;
  options.clip_norm = s.training.clip_norm;
  if (s.schedule == schedules[1]) options.schedule = pf::CosineSchedule{};
  if (s.schedule == schedules[2]) options.schedule = pf::PlateauSchedule{};
  options.validation_fraction = 0;
  options.patience = s.training.patience;
  if (context.cols() > 0) options.context = context;
  if (in.train.weights.size() > 0) options.weights = in.train.weights;
  if (in.validation.size() > 0) {
    options.validation = y_validation;
    if (context.cols() > 0) options.validation_context = context_validation;
    if (in.validation.weights.size() > 0) options.validation_weights = in.validation.weights;
  }
  options.seed = s.training.seed;
  options.execution = execution;
  options.callback = [&line](const pf::Progress& progress) {
    line.show(progress);
    return true;
  };
  options.cancel = interrupt.token();
  options.checkpoint = checkpoint;
  options.resume = s.training.resume;

  pf::PrepareOptions around;
  for (const auto& [name, standardization] : standardizations)
    if (s.standardize == name) around.standardize = standardization;
  around.standardize_context = around.standardize;
  if (in.bounded) around.supports = in.supports;

  // Prepared by rows within their cells, and trained on those of the table.
  pf::FitOptions<T> start = options;
  start.epochs = 0;
  start.callback = {};
  start.checkpoint.clear();
  start.resume = false;
  pf::Poly<pf::Distribution<T>> model =
      complete<T>(pf::prepare_and_fit(pf::flow_preset(s.model).build<T>(y.cols(), flow_options(s, context.cols())),
                                      smooth<T>(s, in), around, start)
                      .model,
                  in);
  result.report = pf::fit(*model, y, options);
  line.clear();
  const Index epochs = static_cast<Index>(result.report.train_loss.size());
  if (result.report.stop_reason == pf::StopReason::cancelled)
    throw pf::Error(fmt::format(
        "interrupted after {}; no model is written; {}", counted(epochs, "epoch"),
        checkpoint.empty() ? "with --resume a run can be continued" : "the same command with --resume continues"));
  if (result.report.stop_reason == pf::StopReason::non_finite && result.report.best_epoch < 0)
    throw pf::Error(result.report.stop_text + "; no model is written; try a smaller --lr or --clip");
  return model;
}

/// What fit_best is told.
template <pf::Scalar T>
pf::Best<T> choose(const Settings& s, const Input& in, const Interrupt& interrupt, pf::Execution& execution) {
  const pf::Matrix<T> y = to<T>(in.train.data), context = to<T>(in.train.context);
  pf::FitBestOptions<T> options;
  const Budget budget = parse_budget(s.budget);
  options.steps = budget.steps;
  options.seconds = budget.seconds;
  options.choose_standardization = !s.has("--standardize");
  for (const auto& [name, standardization] : standardizations)
    if (s.standardize == name) options.prepare.standardize = standardization;
  if (s.has("--standardize")) options.prepare.standardize_context = options.prepare.standardize;
  if (in.bounded) options.prepare.supports = in.supports;
  options.rounded = in.rounded;
  options.ensemble = s.ensemble;
  options.fit.learning_rate = s.training.learning_rate;
  options.fit.weight_decay = s.training.weight_decay;
  options.fit.clip_norm = s.training.clip_norm;
  options.fit.validation_fraction = s.training.validation_fraction;
  options.fit.seed = s.training.seed;
  options.fit.execution = execution;
  options.fit.cancel = interrupt.token();
  if (context.cols() > 0) options.fit.context = context;
  if (in.train.weights.size() > 0) options.fit.weights = in.train.weights;
  if (!s.json) {
    const Index steps = budget.steps > 0 ? budget.steps : pf::default_steps(y.rows());
    const std::string share = budget.seconds > 0 ? duration(budget.seconds) : grouped(steps) + " steps";
    fmt::print("candidates   share {}; --budget gives them another number of steps, or a time like 10m\n", share);
    std::fflush(stdout);
  }
  ProgressLine line;
  options.callback = [&line](const std::string& candidate, Index stage, Index stages) {
    line.show(fmt::format("stage {}/{}   {}", stage, stages, candidate));
    return true;
  };
  return pf::fit_best<T>(y, options);
}

std::string settings_text(const Settings& s) {
  std::string text = s.model;
  const auto add = [&](std::string_view item) { text.append(" ").append(item); };
  if (s.model == "auto") {
    if (!s.budget.empty()) add("budget=" + s.budget);
    if (s.ensemble > 1) add(fmt::format("ensemble={}", s.ensemble));
    add(fmt::format("lr={} clip={} weight-decay={} validation={}", s.training.learning_rate, s.training.clip_norm,
                    s.training.weight_decay, s.training.validation_fraction));
    if (s.has("--standardize")) add(fmt::format("standardize={}", s.standardize));
  } else if (is_flow(s)) {
    const pf::FlowOptions o = flow_options(s, 0);
    add(fmt::format("layers={} hidden={} blocks={} activation={} mixing={}", *o.layers, *o.hidden, *o.blocks,
                    pf::activation_name(*o.activation), name_of(*o.mixing, mixings)));
    if (*o.residual) add("residual");
    if (o.batch_norm) add("batch-norm");
    if (o.act_norm) add("act-norm");
    if (o.dropout > 0) add(fmt::format("dropout={}", o.dropout));
    add(fmt::format("input-bound={}", *o.input_bound));
    if (!pf::flow_preset(s.model).splines) add(fmt::format("scale-bound={} tail={}", o.scale_bound, *o.tail));
    const pf::FitOptions<double>& fit = s.training;
    add(fmt::format("epochs={} batch={} lr={} schedule={} weight-decay={} clip={} validation={} patience={}",
                    fit.epochs, fit.batch_size, fit.learning_rate, s.schedule, fit.weight_decay, fit.clip_norm,
                    fit.validation_fraction, fit.patience));
    add(fmt::format("standardize={}", s.standardize));
  } else {
    add(fmt::format("validation={}", s.training.validation_fraction));
  }
  if (s.dequantize) add("dequantize");
  if (s.no_dequantize) add("no-dequantize");
  for (const std::string& bound : s.bounds) add("bounds:" + bound);
  if (!s.weights.empty()) add("weights=" + s.weights);
  return text;
}

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

void print_text(const Settings& s, const Input& in, const Result& r, const Baseline& baseline,
                const pf::MeanLogLikelihood& gain) {
  fmt::print("data         {}: {}", s.data, counted(in.train.size() + in.validation.size(), "row"));
  if (in.validation.size() > 0)
    fmt::print(" ({} to train, {} to validate)", grouped(in.train.size()), grouped(in.validation.size()));
  fmt::print(", {}", counted(static_cast<Index>(in.columns.size()), "column"));
  if (!in.context_columns.empty()) fmt::print(" given {}", joined(in.context_columns));
  fmt::print("\nmodel        {}: {}, {}\n", s.model, counted(r.parameters, "parameter"),
             r.precision);
  if (is_flow(s)) {
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
  if (s.model == "auto") {
    fmt::print("\n{}\nchosen       {}\n", pf::to_text(r.candidates), r.reason);
  }
  // The table of candidates has a Gaussian, of rows that it has not seen.
  const bool compare = s.model != "gaussian" && s.model != "auto" && baseline.missing.empty();
  struct Line {
    const char* name;
    std::string model, baseline;
  };
  const auto line = [](const char* name, const pf::MeanLogLikelihood& model, const pf::MeanLogLikelihood& other) {
    return Line{name, with_error(model.mean, model.standard_error), with_error(other.mean, other.standard_error)};
  };
  std::vector<Line> lines{{"", "mean log-likelihood",
                           in.context_columns.empty() ? "Gaussian, same rows" : "linear Gaussian, same rows"}};
  // Of the race all rows are here, those that chose the model too: its table says what they are worth.
  lines.push_back(line(s.model == "auto" ? "all rows" : "train", r.train, baseline.train));
  if (in.validation.size() > 0) lines.push_back(line("validation", r.validation, baseline.validation));
  std::size_t width = 22;
  for (const Line& l : lines) width = std::max(width, l.model.size());  // in bytes, of which "±" has two
  fmt::print("\n");
  for (const Line& l : lines)
    fmt::print("  {:<10} {:<{}}{}\n", l.name, l.model, compare ? width + 2 : 0, compare ? l.baseline : "");
  if (compare)
    fmt::print("  {:<10} {} nats per row\n", "gain", with_error(gain.mean, gain.standard_error));
  fmt::print("\n  of {} rows: {}\n", in.validation.size() > 0 ? "validation" : "these", quantiles_text(r.scores));
  if (const std::string far = far_text(r.scores); !far.empty()) fmt::print("  {}\n", far);
  fmt::print("\nwrote {}\n", s.out);
}

template <pf::Scalar T>
void run_as(const Settings& s, Input in) {
  const std::string checkpoint = checkpoint_of(s);
  const Baseline baseline = gaussian_baseline(in);
  const Interrupt interrupt;
  pf::Execution execution({.threads = thread_count(s.threads)});
  Result r;
  pf::Poly<pf::Distribution<T>> model;
  try {
    if (s.model == "auto") {
      pf::Best<T> best = choose<T>(s, in, interrupt, execution);
      r.report = std::move(best.report);
      r.candidates = std::move(best.candidates);
      r.reason = std::move(best.reason);
      r.complete = best.complete;
      model = std::move(best.model);
    } else {
      model = s.model == "gaussian" ? fit_gaussian<T>(s, in) : fit_flow<T>(s, in, checkpoint, interrupt, execution, r);
    }
  } catch (const pf::DomainError& error) {
    throw pf::DomainError(in_words_of_the_tool(error.notice(), in));
  }
  r.parameters = pf::count_parameters(*model);
  r.precision = std::is_same_v<T, float> ? "float32" : "float64";
  Eigen::VectorXd values = score(*model, in.train, execution);
  r.train = summarise(values, in.train.weights);
  if (in.validation.size() > 0) {
    values = score(*model, in.validation, execution);
    r.validation = summarise(values, in.validation.weights);
  }
  const Rows& judged = in.validation.size() > 0 ? in.validation : in.train;
  for (Index i = 0; i < values.size(); ++i) r.scores.add(values[i], judged.lines[static_cast<std::size_t>(i)]);
  pf::MeanLogLikelihood gain;
  if (baseline.missing.empty())
    gain = summarise(values - baseline.of_rows, in.validation.size() > 0 ? in.validation.weights : in.train.weights);

  in.info.notes["producer"] = "pushforward " PUSHFORWARD_VERSION;
  in.info.notes["settings"] = settings_text(s);
  in.info.notes["seed"] = std::to_string(s.training.seed);
  in.info.notes["rows"] = fmt::format("{} to train, {} to validate", in.train.size(), in.validation.size());
  pf::save(s.out, *model, in.info);
  // The checkpoint that was made on the way is of no more use; one that the user named is the user's.
  if (s.checkpoint.empty() && s.training.resume) std::filesystem::remove(checkpoint);

  std::vector<std::string> warnings;
  for (const pf::Notice& warning : r.report.warnings) warnings.push_back(in_words_of_the_tool(warning, in));
  if (!baseline.missing.empty()) warnings.push_back(baseline.missing);
  if (s.dequantize && in.rounded.empty())
    warnings.push_back("--dequantize: no column has values that repeat on a grid");
  if (!r.complete) warnings.push_back("interrupted: the model is the best so far, of a race that is not over");
  if (r.report.stop_reason == pf::StopReason::non_finite) warnings.push_back(r.report.stop_text);
  for (const std::string& warning : warnings) fmt::print(stderr, "pushforward: warning: {}\n", warning);
  if (!s.json) return print_text(s, in, r, baseline, gain);

  const auto likelihood = [](const pf::MeanLogLikelihood& m) {
    return Json{{"mean", m.mean}, {"standard_error", m.standard_error}};
  };
  Json json{{"data", s.data},
            {"rows", in.train.size() + in.validation.size()},
            {"train_rows", in.train.size()},
            {"validation_rows", in.validation.size()},
            {"columns", in.columns},
            {"context_columns", in.context_columns},
            {"model", s.model},
            {"parameters", r.parameters},
            {"train_log_likelihood", likelihood(r.train)},
            {"validation_log_likelihood", likelihood(r.validation)},
            {"gaussian_train_log_likelihood", likelihood(baseline.train)},
            {"gaussian_validation_log_likelihood", likelihood(baseline.validation)},
            {"gain_over_gaussian", likelihood(gain)}};
  json["scores"] = to_json(r.scores);
  for (const pf::GridColumn& r : in.rounded)
    json["grids"].push_back({{"column", in.columns[static_cast<std::size_t>(r.column)]},
                             {"origin", r.grid.origin},
                             {"step", r.grid.step}});
  if (s.model == "auto") {
    json["chosen"] = r.candidates.front().name;
    json["reason"] = r.reason;
    for (const pf::CandidateReport& c : r.candidates)
      json["candidates"].push_back({{"name", c.name},
                                    {"validation_log_likelihood", likelihood(c.validation)},
                                    {"behind", likelihood(c.behind)},
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
  json["warnings"] = warnings;
  json["out"] = s.out;
  print_json(json);
}

/// Rounding to float moves no value by more than a ten-thousandth of its column's standard deviation.
bool float_is_enough(const Input& in) {
  for (const Eigen::MatrixXd* columns : {&in.train.data, &in.train.context})
    for (Index c = 0; c < columns->cols(); ++c) {
      const Eigen::VectorXd values = columns->col(c);
      const double largest = values.cwiseAbs().maxCoeff(), mean = values.mean();
      const double spread = std::sqrt((values.array() - mean).square().mean());
      if (largest > 3e38 || (spread > 0 && 0x1p-24 * largest > 1e-4 * spread)) return false;
    }
  // Numbers of a grid stay nearer to it than a hundredth of a step.
  for (const auto& [column, grid] : in.rounded)
    if (0x1p-24 * in.train.data.col(column).cwiseAbs().maxCoeff() > 0.005 * grid.step) return false;
  return true;
}

void run(const Settings& s) {
  check(s);
  Input in = read_input(s);
  for (const std::string& note : in.notes) fmt::print(stderr, "pushforward: note: {}: {}\n", s.data, note);
  // Of one model double, as it always was; candidates are as good in float, in half the time.
  const bool single = s.precision == "float" || (s.precision.empty() && s.model == "auto" && float_is_enough(in));
  single ? run_as<float>(s, std::move(in)) : run_as<double>(s, std::move(in));
}

}  // namespace

void add_fit(CLI::App& app) {
  // A NaN is within no range.
  const auto number = [](const char* range, double low, double high, bool without_low, bool without_high) {
    return CLI::Validator(
        [=](std::string& text) {
          const auto v = to_number(text);
          const bool good = v && (without_low ? *v > low : *v >= low) && (without_high ? *v < high : *v <= high);
          return good ? std::string() : fmt::format("expected a number {}, got '{}'", range, text);
        },
        "NUMBER");
  };
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const CLI::Validator positive = number("above 0", 0, infinity, true, true),
                       not_negative = number("of at least 0", 0, infinity, false, true),
                       positive_or_infinite = number("above 0, or inf", 0, infinity, true, false);
  const CLI::Validator from_one = whole_number(1, 1'000'000'000), from_zero = whole_number(0, 1'000'000'000);
  auto s = std::make_shared<Settings>();
  CLI::App* sub = app.add_subcommand("fit", "Fit a density to the rows of a table.");
  sub->add_option("data", s->data, "Data file; -: CSV from standard input")
      ->required()
      ->check(file_name())
      ->option_text("FILE");
  sub->add_option("-o,--out", s->out, "Model file to write")
      ->required()
      ->check(file_name())
      ->option_text("FILE (required)");

  const std::string columns = "Columns";
  add_list(*sub, "--columns", s->columns, "Data columns a,b,c (default: all others)")
      ->group(columns)
      ->option_text("A,B,...");
  add_list(*sub, "--drop", s->drop, "Columns to leave out, a,b,c")->group(columns)->option_text("A,B,...");
  add_list(*sub, "--context", s->context, "Columns that the density is conditional on, c1,c2")
      ->group(columns)
      ->option_text("A,B,...");
  sub->add_option("--weights", s->weights, "Column with the weights of the rows")
      ->group(columns)
      ->option_text("COLUMN");
  add_list(*sub, "--bounds", s->bounds, "Where a column's values lie: x=0:1, x=0: (positive), x=:5; repeatable")
      ->group(columns)
      ->option_text("COLUMN=LOW:HIGH");
  sub->add_option("--missing", s->missing, "Empty fields, NA, NaN, null, ?: error, or drop for leaving such rows out")
      ->check(CLI::IsMember({"error", "drop"}))
      ->group(columns)
      ->option_text("error|drop");
  sub->add_option("--array", s->array, "Array of a .npz file")->group(columns)->option_text("NAME");
  add_text_options(*sub, s->text, "Text");

  const std::string model = "Model";
  std::vector<std::string> names;
  for (const pf::FlowPreset& preset : pf::flow_presets()) names.emplace_back(preset.name);
  const std::string flows = joined(names);
  names.push_back("gaussian");
  names.push_back("auto");
  sub->add_option("--model", s->model,
                  "auto: the best of several on rows that they have not seen; or " + flows +
                      ", gaussian (full covariance)")
      ->check(CLI::IsMember(names))
      ->group(model)
      ->option_text("NAME (auto)");
  sub->add_option("--budget", s->budget, "auto: steps of all candidates together, or a time: 90s, 10m, 1h")
      ->group(model)
      ->option_text("N (by the rows)");
  sub->add_option("--ensemble", s->ensemble, "auto: a mixture of so many fits of the choice: better on few rows, and slower")
      ->transform(whole_number(1, 1000))
      ->group(model)
      ->option_text("N (1)");
  sub->add_option("--layers", s->layers,
                  "Layers (default: " +
                      by_preset([](const pf::FlowPreset& p) { return std::to_string(p.layers); }) + ")")
      ->transform(whole_number(1, 1000))
      ->group(model)
      ->option_text("N");
  sub->add_option("--hidden", s->hidden,
                  "Equal widths of the hidden layers of a conditioner (default: " +
                      by_preset([](const pf::FlowPreset& p) {
                        return p.residual      ? std::to_string(p.hidden)
                               : p.blocks == 1 ? fmt::format("{0},{0}", p.hidden)
                                               : fmt::format("{} times {}", p.blocks + 1, p.hidden);
                      }) + ")")
      ->group(model)
      ->option_text("N,N,...");
  sub->add_flag("--residual", s->residual, "Residual conditioners (nsf, nsf_ar: always)")->group(model);
  sub->add_option("--blocks", s->blocks, "Residual blocks of two layers")
      ->transform(whole_number(1, 1000))
      ->group(model)
      ->option_text("N (2)");
  sub->add_option("--bins", s->bins, "nsf, nsf_ar: bins of a spline")
      ->transform(whole_number(2, 64))
      ->group(model)
      ->option_text("N (8)");
  sub->add_option("--bound", s->bound, "nsf, nsf_ar: splines act between -B and B, in standardised units")
      ->check(positive)
      ->group(model)
      ->option_text("B (3)");
  sub->add_option("--scale-bound", s->scale_bound, "Affine flows: |log scale| of a layer stays below it")
      ->check(positive_or_infinite)
      ->group(model)
      ->option_text("B (5)");
  sub->add_option("--tail", s->tail,
                  "Affine flows: beyond it, in units of the base, a layer hardly throws a row out further; inf: it may "
                  "(default: " +
                      by_preset([](const pf::FlowPreset& p) {
                        return p.splines ? std::string() : fmt::format("{}", p.tail);
                      }) + ")")
      ->check(positive_or_infinite)
      ->group(model)
      ->option_text("B");
  sub->add_option("--input-bound", s->input_bound,
                  "Conditioners see columns and context, standardised, bounded by it; inf: as they are (default: " +
                      by_preset([](const pf::FlowPreset& p) { return fmt::format("{}", p.input_bound); }) + ")")
      ->check(positive_or_infinite)
      ->group(model)
      ->option_text("B");
  sub->add_option("--activation", s->activation,
                  "relu, leaky_relu, elu, gelu, silu, tanh, sigmoid, softplus (default: " +
                      by_preset([](const pf::FlowPreset& p) { return pf::activation_name(p.activation); }) + ")")
      ->check(CLI::IsMember({"relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid", "softplus", "identity"}))
      ->group(model)
      ->option_text("NAME");
  sub->add_option(
         "--mixing", s->mixing,
         "Between layers: none, reverse, permutation, lu (default: " +
             by_preset([](const pf::FlowPreset& p) { return std::string(name_of(p.mixing, mixings)); }) + ")")
      ->check(CLI::IsMember({"none", "reverse", "permutation", "lu"}))
      ->group(model)
      ->option_text("NAME");
  sub->add_flag("--batch-norm", s->batch_norm, "Batch normalisation between layers")->group(model);
  sub->add_flag("--act-norm", s->act_norm, "ActNorm before each layer")->group(model);
  sub->add_option("--dropout", s->dropout, "In the conditioners")
      ->check(number("from 0 to 0.99", 0, 0.99, false, false))
      ->group(model)
      ->option_text(fmt::format("P ({})", s->dropout));
  sub->add_option("--standardize", s->standardize, "Of data and context: mean_std, median_iqr, none")
      ->check(CLI::IsMember({"mean_std", "median_iqr", "none"}))
      ->group(model)
      ->option_text(fmt::format("NAME ({})", s->standardize));
  sub->add_option("--precision", s->precision, "double or float")
      ->check(CLI::IsMember({"float", "double"}))
      ->group(model)
      ->option_text("NAME (auto: float, else double)");

  const std::string training = "Training";
  sub->add_option("--epochs", s->training.epochs, "At most")
      ->transform(from_one)
      ->group(training)
      ->option_text(fmt::format("N ({})", s->training.epochs));
  sub->add_option("--batch", s->training.batch_size, "Rows of a step")
      ->transform(from_one)
      ->group(training)
      ->option_text(fmt::format("N ({})", s->training.batch_size));
  sub->add_option("--lr", s->training.learning_rate, "Learning rate of Adam")
      ->check(positive)
      ->group(training)
      ->option_text(fmt::format("X ({})", s->training.learning_rate));
  sub->add_option("--schedule", s->schedule, "Of the learning rate: constant, cosine, plateau")
      ->check(CLI::IsMember({"constant", "cosine", "plateau"}))
      ->group(training)
      ->option_text(fmt::format("NAME ({})", s->schedule));
  sub->add_option("--weight-decay", s->training.weight_decay, "Decoupled (AdamW)")
      ->check(not_negative)
      ->group(training)
      ->option_text(fmt::format("X ({})", s->training.weight_decay));
  sub->add_option("--clip", s->training.clip_norm, "Largest norm of a gradient; 0: any")
      ->check(not_negative)
      ->group(training)
      ->option_text(fmt::format("X ({})", s->training.clip_norm));
  sub->add_option("--validation", s->training.validation_fraction,
                  "Share of the rows that chooses the best epoch; 0: none")
      ->check(number("from 0 to 0.9", 0, 0.9, false, false))
      ->group(training)
      ->option_text(fmt::format("P ({})", s->training.validation_fraction));
  sub->add_option("--patience", s->training.patience, "Epochs without improvement before it stops; 0: never")
      ->transform(from_zero)
      ->group(training)
      ->option_text(fmt::format("N ({})", s->training.patience));
  CLI::Option* dequantize =
      sub->add_flag("--dequantize", s->dequantize,
                    "Columns whose values repeat on a grid (counts, rounded numbers): masses of cells, not densities")
          ->group(training);
  sub->add_flag("--no-dequantize", s->no_dequantize, "Densities there too; auto takes masses by itself")
      ->group(training)
      ->excludes(dequantize);
  sub->add_option("--seed", s->training.seed, "Of weights, split and order; the same seed gives the same model")
      ->transform(seed_number())
      ->group(training)
      ->option_text(fmt::format("N ({})", s->training.seed));
  sub->add_option("--threads", s->threads, "Threads (default: all); the model does not depend on it")
      ->transform(whole_number(1, 1024))
      ->group(training)
      ->option_text("N");
  sub->add_option("--checkpoint", s->checkpoint, "File to continue from after an interruption")
      ->check(file_name())
      ->group(training)
      ->option_text("FILE");
  sub->add_flag("--resume", s->training.resume,
                "Continue from the checkpoint if there is one (default file: OUT.checkpoint, removed at the end)")
      ->group(training);
  sub->add_flag("--json", s->json, "Print the result as JSON");
  sub->footer("On a terminal a line shows the progress; Ctrl-C stops at the next step.");
  sub->callback([s, sub] {
    refuse_repeated(*sub);
    for (const CLI::Option* option : sub->get_options())
      if (option->count() > 0) s->given.push_back(option->get_name());
    run(*s);
  });
}

}  // namespace tool
