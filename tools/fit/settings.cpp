#include "tools/fit/settings.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <span>

namespace tool::fitting {

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
  o.mixing = value_of(s.mixing, mixings);
  o.base = value_of(s.base, bases);
  o.batch_norm = s.batch_norm;
  o.act_norm = s.act_norm;
  o.seed = s.training.seed;
  return preset.complete(o);
}

namespace {

/// Where one column's values lie: "0:1", "0:", "circle:0:360".
pf::Space parse_bounds(const std::string& item, std::string_view range) {
  constexpr std::string_view circle = "circle:";
  const bool around = range.starts_with(circle);
  if (around) range.remove_prefix(circle.size());
  const std::size_t colon = range.find(':');
  pf::Interval interval;
  const auto bound = [&](std::string_view text, double& value) {
    if (text.empty()) return !around;
    const auto number = to_number(text);
    if (number) value = *number;
    return number.has_value();
  };
  if (colon == range.npos || !bound(range.substr(0, colon), interval.low) ||
      !bound(range.substr(colon + 1), interval.high))
    throw UsageError(fmt::format("--bounds: expected column=low:high (either may be empty) or column=circle:low:high, "
                                 "got '{}'",
                                 item));
  if (!(interval.low < interval.high))
    throw UsageError(fmt::format("--bounds: the lower bound must be below the upper one, got '{}'", item));
  return around ? pf::Space::circle(1, interval) : pf::Space::box({interval});
}

/// "x=0:1": the name, and where its values lie.
std::pair<std::string, pf::Space> parse_bounds(const std::string& item) {
  const std::size_t equals = item.rfind('=');
  if (equals == item.npos) return {"", parse_bounds(item, "")};  // says what was expected
  return {item.substr(0, equals), parse_bounds(item, std::string_view(item).substr(equals + 1))};
}

/// Columns that are a point together.
struct Group {
  const char* option;
  std::vector<std::string> columns;
  pf::Space space;
  std::string text() const { return fmt::format("{} {}", option, joined(columns, ",")); }
};

std::vector<Group> groups_of(const Settings& s) {
  std::vector<Group> groups;
  const auto add = [&](const char* option, const std::vector<std::string>& lists, pf::Space (*space)(Index)) {
    for (const std::string& list : lists) {
      Group group{option, split_lists({list}), {}};
      if (group.columns.size() < 2)
        throw UsageError(fmt::format("{}: expected at least two columns, a,b, got '{}'", option, list));
      for (const std::string& name : group.columns) {
        if (std::count(group.columns.begin(), group.columns.end(), name) > 1)
          throw UsageError(fmt::format("{}: column '{}' is named twice", option, name));
        for (const Group& other : groups)
          if (std::find(other.columns.begin(), other.columns.end(), name) != other.columns.end())
            throw UsageError(fmt::format("{}: column '{}' belongs to {} too; leave one of them", option, name, other.text()));
      }
      group.space = space(static_cast<Index>(group.columns.size()));
      groups.push_back(std::move(group));
    }
  };
  add("--simplex", s.simplex, &pf::Space::simplex);
  add("--ordered", s.ordered, &pf::Space::ordered);
  add("--sphere", s.sphere, &pf::Space::sphere);
  return groups;
}

}  // namespace

pf::Space support_of(const Settings& s, std::vector<std::string>& columns) {
  const auto known = [&](const char* option, const std::string& name) {
    if (std::find(columns.begin(), columns.end(), name) == columns.end())
      throw UsageError(fmt::format("{}: no data column '{}'; the columns are {}", option, name, joined(columns)));
  };
  const std::vector<Group> groups = groups_of(s);
  const auto group_with = [&](const std::string& name) -> const Group* {
    for (const Group& group : groups)
      if (std::find(group.columns.begin(), group.columns.end(), name) != group.columns.end()) return &group;
    return nullptr;
  };
  for (const Group& group : groups)
    for (const std::string& name : group.columns) known(group.option, name);
  std::map<std::string, pf::Space> bounds;
  for (const std::string& item : s.bounds) {
    const auto [name, space] = parse_bounds(item);
    known("--bounds", name);
    if (const Group* group = group_with(name))
      throw UsageError(fmt::format("--bounds: where column '{}' lies follows from {}; leave one of them", name, group->text()));
    if (const auto [at, added] = bounds.emplace(name, space); !added && at->second != space)
      throw UsageError(fmt::format("--bounds: column '{}' is given two different bounds; leave one of them", name));
  }
  std::vector<std::string> arranged;
  pf::Space support;
  for (const std::string& name : columns) {
    if (std::find(arranged.begin(), arranged.end(), name) != arranged.end()) continue;
    if (const Group* group = group_with(name)) {
      arranged.insert(arranged.end(), group->columns.begin(), group->columns.end());
      support = support * group->space;
    } else {
      arranged.push_back(name);
      const auto own = bounds.find(name);
      support = support * (own == bounds.end() ? pf::Space::real(1) : own->second);
    }
  }
  columns = std::move(arranged);
  return support;
}

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
  // What every model has: a table, its columns, a file and a voice.
  constexpr std::string_view of_all[] = {
      "--columns", "--drop",      "--weights",       "--bounds", "--simplex",    "--ordered",  "--sphere",  "--array",
      "--header",  "--delimiter", "--decimal",       "--comment", "--thousands", "--missing",  "--missing-value",
      "--memory",  "--scratch",   "--out",           "--json",   "--quiet",      "--model",    "--precision",
      "--seed",    "--threads",   "--validation",    "--folds",  "--dequantize"};
  const auto refuse_others = [&](std::span<const std::string_view> own, const char* why) {
    const auto has = [](std::span<const std::string_view> list, const std::string& option) {
      return std::find(list.begin(), list.end(), option) != list.end();
    };
    for (const std::string& option : s.given)
      refuse(option, option.starts_with("--") && !has(of_all, option) && !has(own, option), why);
  };
  if (is_flow(s) && races(s))
    for (const std::string_view option : {"--epochs", "--batch", "--schedule", "--patience", "--checkpoint", "--resume"})
      refuse(option, true,
             "follows from the rows and the steps, which --budget gives, where --budget, --folds or --ensemble are named");
  for (const char* option : {"--shards", "--sync-batch-norm"})
    refuse(option, is_flow(s) && races(s), "is for one fit of one flow, without --budget, --folds and --ensemble");
  if (s.model == "auto") {
    refuse("--base", s.base == "logistic", "of auto's flows is normal or student_t; name a model for a logistic one");
    constexpr std::string_view own[] = {"--context", "--budget", "--standardize", "--lr",  "--clip", "--weight-decay",
                                        "--ensemble", "--log",   "--base",        "--no-dequantize"};
    return refuse_others(own, "is of one model, and --model auto tries several; name one: --model nsf_ar");
  }
  if (s.model == "gaussian") {
    refuse("--context", true, "a gaussian takes no context; choose another --model");
    return refuse_others({},
                         "has no effect with --model gaussian, which has no layers and is fitted in one step");
  }
  const pf::FlowPreset& preset = pf::flow_preset(s.model);
  const std::string no_splines = fmt::format("{} has no splines; goes with --model nsf and nsf_ar", s.model);
  const std::string has_splines =
      fmt::format("goes with flows of affine maps; {} is made of splines, and splines have --bound", s.model);
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
  refuse("--sync-batch-norm", !s.batch_norm, "goes with --batch-norm");
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
                     {{"--out", s.out},
                      {"--log", s.log},
                      {s.checkpoint.empty() ? "the checkpoint" : "--checkpoint", checkpoint_of(s)}});
  if (!s.checkpoint.empty() && !s.training.resume) refuse_to_replace_by_checkpoint(s.checkpoint);
  if (s.out == "-" || extension(s.out) == ".csv")
    throw UsageError("--out: expected a file for the model (model.safetensors), got '" + s.out + "'");
  const std::string folder = std::filesystem::path(s.out).parent_path().string();
  if (access(folder.empty() ? "." : folder.c_str(), W_OK) != 0)
    throw pf::IoError(fmt::format("{}: cannot write to the folder '{}': {}", s.out, folder, std::strerror(errno)));
  if (is_flow(s)) flow_options(s, 0);
  parse_budget(s.budget);
  for (const std::string& item : s.bounds) parse_bounds(item);
  groups_of(s);
}

std::string settings_text(const Settings& s) {
  std::string text = s.model;
  const auto add = [&](std::string_view item) { text.append(" ").append(item); };
  if (races(s)) {
    if (!s.budget.empty()) add("budget=" + s.budget);
    if (s.folds > 0) add(fmt::format("folds={}", s.folds));
    if (s.ensemble > 1) add(fmt::format("ensemble={}", s.ensemble));
  }
  if (s.model == "auto") {
    add(fmt::format("lr={} clip={} weight-decay={} validation={}", s.training.learning_rate, s.training.clip_norm,
                    s.training.weight_decay, s.training.validation_fraction));
    if (s.has("--standardize")) add(fmt::format("standardize={}", s.standardize));
    if (!s.base.empty()) add("base=" + s.base);
  } else if (is_flow(s)) {
    const pf::FlowOptions o = flow_options(s, 0);
    add(fmt::format("layers={} hidden={} blocks={} activation={} mixing={}", *o.layers, *o.hidden, *o.blocks,
                    pf::activation_name(*o.activation), name_of(*o.mixing, mixings)));
    if (!races(s) || !s.base.empty()) add(fmt::format("base={}", name_of(*o.base, bases)));
    if (*o.residual) add("residual");
    if (o.batch_norm) add("batch-norm");
    if (o.act_norm) add("act-norm");
    if (o.dropout > 0) add(fmt::format("dropout={}", o.dropout));
    add(fmt::format("input-bound={}", *o.input_bound));
    if (!pf::flow_preset(s.model).splines) add(fmt::format("scale-bound={} tail={}", o.scale_bound, *o.tail));
    const pf::FitOptions<double>& fit = s.training;
    if (!races(s))
      add(fmt::format("epochs={} batch={} schedule={} patience={}", fit.epochs, fit.batch_size, s.schedule, fit.patience));
    if (s.shards > 0) add(fmt::format("shards={}", s.shards));
    if (s.training.synchronized_statistics) add("sync-batch-norm");
    add(fmt::format("lr={} weight-decay={} clip={} validation={}", fit.learning_rate, fit.weight_decay, fit.clip_norm,
                    fit.validation_fraction));
    if (!races(s) || s.has("--standardize")) add(fmt::format("standardize={}", s.standardize));
  } else {
    add(fmt::format("validation={}", s.training.validation_fraction));
  }
  if (s.dequantize) add("dequantize");
  if (s.no_dequantize) add("no-dequantize");
  for (const std::string& bound : s.bounds) add("bounds:" + bound);
  for (const std::string& columns : s.simplex) add("simplex:" + columns);
  for (const std::string& columns : s.ordered) add("ordered:" + columns);
  for (const std::string& columns : s.sphere) add("sphere:" + columns);
  if (!s.weights.empty()) add("weights=" + s.weights);
  return text;
}

}  // namespace tool::fitting
