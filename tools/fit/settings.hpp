#pragma once

// What the command line says of a fit.

#include <algorithm>
#include <functional>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <pushforward/training/prepare.hpp>

#include "tools/tool.hpp"

namespace tool::fitting {

inline constexpr std::pair<const char*, pf::Mixing> mixings[] = {{"none", pf::Mixing::none},
                                                          {"reverse", pf::Mixing::reverse},
                                                          {"permutation", pf::Mixing::random_permutation},
                                                          {"lu", pf::Mixing::lu_linear}};
inline constexpr std::pair<const char*, pf::Base> bases[] = {
    {"normal", pf::Base::normal}, {"student_t", pf::Base::student_t}, {"logistic", pf::Base::logistic}};
inline constexpr std::pair<const char*, pf::Standardization> standardizations[] = {
    {"mean_std", pf::Standardization::mean_std},
    {"median_iqr", pf::Standardization::median_iqr},
    {"none", pf::Standardization::none}};
/// In the order of the alternatives of pf::Schedule.
inline constexpr const char* schedules[] = {"constant", "cosine", "plateau"};

template <class Value, std::size_t N>
const char* name_of(Value value, const std::pair<const char*, Value> (&names)[N]) {
  for (const auto& [name, own] : names)
    if (own == value) return name;
  return "";
}
/// Nothing for an empty text.
template <class Value, std::size_t N>
std::optional<Value> value_of(std::string_view text, const std::pair<const char*, Value> (&names)[N]) {
  for (const auto& [name, value] : names)
    if (text == name) return value;
  return std::nullopt;
}
template <class Value, std::size_t N>
std::vector<std::string> words_of(const std::pair<const char*, Value> (&names)[N]) {
  std::vector<std::string> words;
  for (const auto& [name, value] : names) words.emplace_back(name);
  return words;
}

/// What the command line does not name is as the library has it.
struct Settings {
  std::string data, out, array, missing = "error";
  TextSettings text;
  std::string model = "auto", budget;
  std::vector<std::string> columns, drop, context;
  std::string weights;
  std::vector<std::string> bounds, simplex, ordered, sphere;
  // the flow
  Index layers = 0;
  Index bins = 0;
  double bound = 0;
  double scale_bound = 0, tail = 0, input_bound = 0;
  std::string hidden;
  Index blocks = 0;
  bool residual = false, batch_norm = false, act_norm = false;
  std::string activation, mixing, base;
  double dropout = pf::FlowOptions().dropout;
  std::string precision;
  std::string standardize = name_of(pf::PrepareOptions().standardize, standardizations);
  pf::FitOptions<double> training;
  std::string schedule = schedules[training.schedule.index()];
  int threads = 0;
  Index ensemble = 1, folds = 0, shards = 0;
  std::string checkpoint, log;
  std::uint64_t memory = 0;  // bytes; 0: half of what there is
  std::string scratch;
  bool json = false, quiet = false;
  bool dequantize = false, no_dequantize = false;
  /// Names of the options on the command line: "--layers".
  std::vector<std::string> given;

  bool has(std::string_view option) const { return std::find(given.begin(), given.end(), option) != given.end(); }
};

/// The options that the command line names; the library's table has the others.
pf::FlowOptions flow_options(const Settings& s, Index context_dim);
/// Where rows live. Columns that belong together are made neighbours, in the order that their option names them.
pf::Space support_of(const Settings& s, std::vector<std::string>& columns);
inline bool is_flow(const Settings& s) { return s.model != "gaussian" && s.model != "auto"; }
/// By fit_best: several candidates, or the one that is named, with the steps, folds or members that the command line says.
inline bool races(const Settings& s) {
  return s.model == "auto" || s.has("--folds") || (is_flow(s) && (s.has("--budget") || s.has("--ensemble")));
}

struct Budget {
  Index steps = 0;
  double seconds = 0;
};
/// "20000" steps, "90s", "10m", "1h".
Budget parse_budget(const std::string& text);

/// The file of --checkpoint, or that of --resume; empty: none.
std::string checkpoint_of(const Settings& s);

/// What can be said before the data is read.
void check(const Settings& s);

/// Reads, fits, saves and tells.
void run(const Settings& s);

/// What the model file says of how it came about.
std::string settings_text(const Settings& s);

/// "maf, iaf 5; real_nvp 10": a default of each flow that has one, for the help.
std::string by_preset(const std::function<std::string(const pf::FlowPreset&)>& value);

}  // namespace tool::fitting
