#include <algorithm>
#include <cmath>

#include "tools/tool.hpp"

namespace tool {

namespace {

struct Settings {
  std::string model;
  bool json = false;
};

/// Values of the parameters (and of other state) under a path.
struct Sizes {
  Index parameters = 0;
  Index state = 0;
};

using Slots = std::vector<pf::ConstSlot<double>>;

Sizes sizes_under(const Slots& slots, const std::string& prefix) {
  Sizes sizes;
  for (const pf::ConstSlot<double>& slot : slots) {
    if (!slot.path.starts_with(prefix)) continue;
    const bool trained = slot.kind == pf::StateKind::parameter && slot.attributes.trainable;
    (trained ? sizes.parameters : sizes.state) += slot.tensor->size();
  }
  return sizes;
}

Json to_json(const pf::Description& d, const std::string& name, const std::string& path, const Slots& slots) {
  const Sizes sizes = sizes_under(slots, path);
  Json json{{"name", name}, {"type", d.type}, {"parameters", sizes.parameters}, {"state", sizes.state}};
  Json constants = Json::object();
  for (const auto& [key, value] : d.constants) std::visit([&](const auto& v) { constants[key] = v; }, value);
  json["constants"] = constants;
  json["children"] = Json::array();
  for (const auto& [child_name, child] : d.children)
    json["children"].push_back(to_json(child, child_name, path + child_name + ".", slots));
  return json;
}

/// Characters, not bytes, of UTF-8.
std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string pad(const std::string& text, std::size_t to) {
  return text + std::string(to > width(text) ? to - width(text) : 0, ' ');
}

/// The scalar type of the tensors in the file.
std::string file_dtype(const std::string& path) {
  const pf::SafetensorsFile file = pf::SafetensorsFile::read(path);
  for (const pf::NamedTensor& tensor : file.tensors()) {
    if (tensor.dtype == "F64") return "float64";
    if (tensor.dtype == "F32") return "float32";
  }
  return "float64";
}

/// With as many digits as tell the ends apart.
std::string range_text(const pf::ModelInfo::Range& range) {
  const double largest = std::max(std::abs(range.low), std::abs(range.high)), width = range.high - range.low;
  const int digits = width > 0 ? std::clamp(static_cast<int>(std::log10(largest / width)) + 6, 6, 17) : 6;
  return fmt::format("{:.{}g} to {:.{}g}", range.low, digits, range.high, digits);
}

void print_columns(const char* title, std::vector<std::string> names,
                   const std::vector<pf::ModelInfo::Range>& ranges) {
  if (names.empty()) return;
  for (std::string& name : names) name = printable(name);
  std::size_t widest = width(title);
  for (const std::string& name : names) widest = std::max(widest, width(name) + 2);
  fmt::print("\n{}   {}\n", pad(title, widest), ranges.empty() ? "" : "training range");
  for (std::size_t c = 0; c < names.size(); ++c)
    fmt::print("  {}{}\n", pad(names[c], widest + 1),
               ranges.empty() ? "" : range_text(ranges[c]));
}

void run(const Settings& s) {
  const LoadedModel model = load_model(s.model);
  const pf::Distribution<double>& distribution = *model.distribution;
  const Slots slots = pf::list_state(distribution);
  const pf::Description description = distribution.describe();
  const Index parameters = pf::count_parameters(distribution);
  const std::string dtype = file_dtype(s.model);
  if (s.json) {
    const auto columns = [](const std::vector<std::string>& names, const std::vector<pf::ModelInfo::Range>& ranges) {
      Json list = Json::array();
      for (std::size_t c = 0; c < names.size(); ++c) {
        Json column{{"name", names[c]}};
        column["low"] = ranges.empty() ? Json() : Json(ranges[c].low);
        column["high"] = ranges.empty() ? Json() : Json(ranges[c].high);
        list.push_back(column);
      }
      return list;
    };
    print_json({{"file", s.model},
                {"dtype", dtype},
                {"parameters", parameters},
                {"support", distribution.support().to_text()},
                {"columns", columns(model.columns, model.info.data_range)},
                {"context_columns", columns(model.context_columns, model.info.context_range)},
                {"notes", model.info.notes},
                {"tree", to_json(description, "", "", slots)}});
    return;
  }
  fmt::print("{}: {}{}, {}, {}\n", s.model, counted(model.dim(), "column"),
             model.context_dim() > 0 ? fmt::format(" given {}", counted(model.context_dim(), "context column")) : "",
             counted(parameters, "parameter"), dtype);
  fmt::print("support: {}\n", distribution.support().to_text());
  print_columns("columns", model.columns, model.info.data_range);
  print_columns("context", model.context_columns, model.info.context_range);

  fmt::print("\n{}", pf::to_text(distribution));
  if (!model.info.notes.empty()) {
    std::size_t widest = 0;
    for (const auto& note : model.info.notes) widest = std::max(widest, width(printable(note.first)));
    fmt::print("\nnotes\n");
    for (const auto& [name, value] : model.info.notes)
      fmt::print("  {}   {}\n", pad(printable(name), widest), printable(value));
  }
}

}  // namespace

void add_info(CLI::App& app) {
  auto s = std::make_shared<Settings>();
  CLI::App* sub = app.add_subcommand("info", "Show what a model is: columns, ranges, layers, parameters, notes.");
  sub->add_option("model", s->model, "Model file")->required()->check(file_name())->option_text("MODEL");
  sub->add_flag("--json", s->json, "Print as JSON");
  sub->callback([s, sub] {
    refuse_repeated(*sub);
    run(*s);
  });
}

}  // namespace tool
