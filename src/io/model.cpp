#include <pushforward/io/model.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <limits>
#include <new>
#include <optional>
#include <set>
#include <stdexcept>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <pushforward/error.hpp>
#include <pushforward/io/safetensors.hpp>
#include <pushforward/random.hpp>

#include "src/core/number_text.hpp"

namespace pushforward {

namespace {

using Json = nlohmann::json;

constexpr int schema_version = 1;
constexpr const char* metadata_key = "pushforward";
constexpr const char* checksum_key = "pushforward.crc32";
constexpr Index reference_rows = 8;
constexpr std::size_t most_reference_rows = 1000;

/// Not those of notes: were the checksum's entry taken for a note where its own name is damaged, nothing would be
/// checked.
bool is_reserved(const std::string& name) { return name.starts_with(metadata_key) || name.ends_with(".crc32"); }
constexpr int deepest_description = 64;

using Tensors = std::vector<NamedTensor>;

// ------------------------------------------------------------------------------------------------ to JSON and back

// JSON has no infinities, and a constant may be one.
Json number_to_json(double value) {
  if (std::isfinite(value)) return value;
  return value > 0 ? "inf" : "-inf";
}

double number_from_json(const Json& j, const std::string& where) {
  if (j.is_number()) return j.get<double>();
  if (j == "inf") return std::numeric_limits<double>::infinity();
  if (j == "-inf") return -std::numeric_limits<double>::infinity();
  throw IoError(where + ": expected a number");
}

struct IntegerLists {
  std::deque<std::pair<std::string, Tensor<std::int64_t>>> tensors;
};

Json to_json(const Description& d, const std::string& path, IntegerLists& lists, int depth = 0) {
  if (depth > deepest_description)
    throw DomainError("save: the model is nested more than " + std::to_string(deepest_description) + " deep, at '" +
                      path + "'");
  const auto number = [&](double value, const std::string& name) {
    if (std::isnan(value)) throw DomainError("save: constant '" + path + name + "' is NaN");
    return number_to_json(value);
  };
  Json constants = Json::object();
  for (const auto& constant : d.constants) {
    const std::string& name = constant.first;
    const std::string at = path + name;
    constants[name] = std::visit(
        [&](const auto& v) -> Json {
          using V = std::remove_cvref_t<decltype(v)>;
          if constexpr (std::same_as<V, double>) {
            return Json{{"number", number(v, name)}};
          } else if constexpr (std::same_as<V, std::vector<double>>) {
            Json list = Json::array();
            for (const double x : v) list.push_back(number(x, name));
            return Json{{"numbers", list}};
          } else if constexpr (std::same_as<V, std::vector<std::int64_t>>) {
            lists.tensors.emplace_back("constants." + at, Tensor<std::int64_t>::of(v));
            return Json{{"tensor", "constants." + at}};
          } else {
            return v;
          }
        },
        constant.second);
  }
  Json children = Json::array();
  for (const auto& [name, child] : d.children)
    children.push_back(Json{{"name", name}, {"description", to_json(child, path + name + ".", lists, depth + 1)}});
  return Json{{"type", d.type}, {"constants", constants}, {"children", children}};
}

const Json& field(const Json& j, const char* name, const std::string& where) {
  if (!j.is_object()) throw IoError(where + ": expected an object");
  const auto found = j.find(name);
  if (found == j.end()) throw IoError(where + ": field '" + name + "' is missing");
  return *found;
}

std::string text_from_json(const Json& j, const std::string& where) {
  if (!j.is_string()) throw IoError(where + ": expected a text");
  return j.get<std::string>();
}

// `path` is that of the node's tensors. Every list of integers is a tensor of its own, and children have names of
// their own, so that what is made stays in proportion to the file.
Description from_json(const Json& j, const SafetensorsFile& file, std::set<std::string>& used,
                      const std::string& where, const std::string& path = "", int depth = 0) {
  if (depth > deepest_description) throw IoError(where + ": the description is nested too deeply");
  Description d;
  d.type = text_from_json(field(j, "type", where), where + ".type");
  const Json& constants = field(j, "constants", where);
  if (!constants.is_object()) throw IoError(where + ".constants: expected an object");
  for (const auto& [name, value] : constants.items()) {
    const std::string at = where + ".constants." + name;
    if (value.is_boolean()) {
      d.constants[name] = value.get<bool>();
    } else if (value.is_number_integer()) {
      if (value.is_number_unsigned() && value.get<std::uint64_t>() > std::uint64_t{1} << 62)
        throw IoError(at + ": the integer is too large");
      d.constants[name] = value.get<std::int64_t>();
    } else if (value.is_string()) {
      d.constants[name] = value.get<std::string>();
    } else if (value.is_array()) {
      std::vector<std::string> texts;
      for (const Json& item : value) texts.push_back(text_from_json(item, at));
      d.constants[name] = texts;
    } else if (value.is_object() && value.contains("number")) {
      d.constants[name] = number_from_json(value["number"], at);
    } else if (value.is_object() && value.contains("numbers") && value["numbers"].is_array()) {
      std::vector<double> numbers;
      for (const Json& item : value["numbers"]) numbers.push_back(number_from_json(item, at));
      d.constants[name] = numbers;
    } else if (value.is_object() && value.contains("tensor")) {
      const std::string tensor_name = text_from_json(value["tensor"], at);
      if (tensor_name != "constants." + path + name || !used.insert(tensor_name).second)
        throw IoError(at + ": expected the tensor 'constants." + path + name + "', got '" + tensor_name + "'");
      const Tensor<std::int64_t> tensor = file.get<std::int64_t>(tensor_name);
      d.constants[name] = std::vector<std::int64_t>(tensor.values().begin(), tensor.values().end());
    } else {
      throw IoError(at + ": unknown kind of constant");
    }
  }
  const Json& children = field(j, "children", where);
  if (!children.is_array()) throw IoError(where + ".children: expected a list");
  std::set<std::string> names;
  for (const Json& child : children) {
    const std::string name = text_from_json(field(child, "name", where + ".children"), where + ".children.name");
    if (name.empty() || name.find('.') != std::string::npos || !names.insert(name).second)
      throw IoError(where + ".children: the name '" + name + "' is empty, contains a dot, or occurs twice");
    const std::string at = where + "." + name;
    d.children.push_back(
        {name, from_json(field(child, "description", at), file, used, at, path + name + ".", depth + 1)});
  }
  return d;
}

// ---------------------------------------------------------------------------------------------------------- shapes

/// What a description asks for must be there before anything is made from it, so that a few bytes of text cannot ask
/// for more memory than the file takes.
class FileShapes final : public TensorShapes {
 public:
  explicit FileShapes(const SafetensorsFile& file) : file_(file) {}
  const std::vector<Index>* find(const std::string& path) const override {
    const NamedTensor* tensor = file_.find(path);
    return tensor ? &tensor->shape : nullptr;
  }

 private:
  const SafetensorsFile& file_;
};

/// What the file's description says beyond what the object made from it says of itself; empty if nothing.
std::string find_unknown(const Description& file, const Description& own, const std::string& where) {
  for (const auto& [name, value] : file.constants)
    if (!own.has(name)) return where + ".constants." + name;
  for (std::size_t i = 0; i < file.children.size(); ++i) {
    const auto& [name, child] = file.children[i];
    // In the same order as a rule: not every part is looked for among all.
    const bool same = i < own.children.size() && own.children[i].name == name;
    if (!same && !own.has_child(name)) return where + "." + name;
    const Description& part = same ? own.children[i].description : own.child(name);
    if (std::string unknown = find_unknown(child, part, where + "." + name); !unknown.empty()) return unknown;
  }
  return {};
}

Json ranges_to_json(const std::vector<ModelInfo::Range>& ranges) {
  Json j = Json::array();
  for (const ModelInfo::Range& r : ranges) j.push_back(Json::array({number_to_json(r.low), number_to_json(r.high)}));
  return j;
}

std::vector<ModelInfo::Range> ranges_from_json(const Json& j, const std::string& where) {
  std::vector<ModelInfo::Range> ranges;
  if (!j.is_array()) throw IoError(where + ": expected a list");
  for (const Json& pair : j) {
    if (!pair.is_array() || pair.size() != 2) throw IoError(where + ": expected pairs of numbers");
    ranges.push_back({number_from_json(pair[0], where), number_from_json(pair[1], where)});
  }
  return ranges;
}

std::vector<std::string> texts_from_json(const Json& j, const std::string& where) {
  if (!j.is_array()) throw IoError(where + ": expected a list");
  std::vector<std::string> texts;
  for (const Json& item : j) texts.push_back(text_from_json(item, where));
  return texts;
}

// -------------------------------------------------------------------------------------------------- reference rows

// Points where the model has mass, and contexts inside the training range.
struct Reference {
  Eigen::MatrixXd rows, contexts;
  Eigen::VectorXd log_prob;
  // How far another processor's rounding may move log_prob: some times what rounding of the row itself does.
  Eigen::VectorXd tolerance;
};

// Evenly spread over the ranges, where they are known.
template <Scalar T>
Matrix<T> spread(Index cols, const std::vector<ModelInfo::Range>& ranges) {
  Matrix<T> rows(cols > 0 ? reference_rows : 0, cols);
  for (Index c = 0; c < cols; ++c)
    for (Index i = 0; i < rows.rows(); ++i) {
      const double u = (static_cast<double>(i) + 0.5) / static_cast<double>(reference_rows);
      const ModelInfo::Range range = ranges.empty() ? ModelInfo::Range{-1, 1} : ranges[static_cast<std::size_t>(c)];
      rows(i, c) = static_cast<T>(range.low * (1 - u) + range.high * u);
    }
  return rows;
}

/// Of a stochastic density, what an engine that is always the same makes of it: the draws are the same everywhere.
template <Scalar T>
Eigen::VectorXd reference_log_prob(const Distribution<T>& distribution, const Matrix<T>& rows,
                                   const Matrix<T>& contexts) {
  if (distribution.estimates() == Estimate::exact) return distribution.log_prob(rows, contexts);
  Engine engine(1);
  return distribution.log_prob(rows, engine, 2, contexts).value;
}

template <Scalar T>
Reference make_reference(const Distribution<T>& distribution, const ModelInfo& info) {
  const Matrix<T> contexts = spread<T>(distribution.context_dim(), info.context_range);
  Matrix<T> rows;
  try {
    Engine engine(1);
    rows = distribution.context_dim() > 0 ? distribution.sample_each(contexts, engine)
                                          : distribution.sample(reference_rows, engine);
  } catch (const NotImplemented&) {  // a density that has no sampler
    rows = spread<T>(distribution.dim(), info.data_range);
  }
  Matrix<T> nudged = rows;
  const Space support = distribution.support();
  Index c = 0;
  for (const Space::Block& block : support.blocks())
    for (const Index end = std::min(c + block.columns, rows.cols()); c < end; ++c)
      for (Index i = 0; block.kind != Space::Kind::grid && i < rows.rows(); ++i)  // there is none beside a number of a grid
        nudged(i, c) += (c % 2 == 0 ? 4 : -4) * std::numeric_limits<T>::epsilon() * rows(i, c);
  const Eigen::VectorXd log_prob = reference_log_prob(distribution, rows, contexts);
  const Eigen::VectorXd moved = reference_log_prob(distribution, nudged, contexts);

  constexpr double smallest = sizeof(T) == 8 ? 1e-9 : 1e-3;
  std::vector<Index> good;
  Eigen::VectorXd tolerance(rows.rows());
  for (Index i = 0; i < rows.rows(); ++i) {
    tolerance[i] = smallest * (1 + std::abs(log_prob[i])) + 16 * std::abs(moved[i] - log_prob[i]);
    if (rows.row(i).allFinite() && std::isfinite(tolerance[i])) good.push_back(i);
  }
  Reference reference;
  reference.rows = rows(good, Eigen::seqN(0, rows.cols())).template cast<double>();
  reference.contexts.resize(contexts.cols() > 0 ? reference.rows.rows() : 0, contexts.cols());
  if (contexts.cols() > 0) reference.contexts = contexts(good, Eigen::seqN(0, contexts.cols())).template cast<double>();
  reference.log_prob = log_prob(good);
  reference.tolerance = tolerance(good);
  return reference;
}

Json matrix_to_json(const Eigen::MatrixXd& m) {
  Json rows = Json::array();
  for (Index i = 0; i < m.rows(); ++i) {
    Json row = Json::array();
    for (Index c = 0; c < m.cols(); ++c) row.push_back(number_to_json(m(i, c)));
    rows.push_back(row);
  }
  return rows;
}

Eigen::MatrixXd matrix_from_json(const Json& j, Index cols, const std::string& where) {
  if (!j.is_array()) throw IoError(where + ": expected a list of rows");
  if (j.size() > most_reference_rows)
    throw IoError(where + ": expected at most " + std::to_string(most_reference_rows) + " rows, got " +
                  std::to_string(j.size()));
  for (const Json& row : j)  // all, before a matrix of their size is made
    if (!row.is_array() || row.size() != static_cast<std::size_t>(cols))
      throw IoError(where + ": expected rows of " + std::to_string(cols) + " numbers");
  Eigen::MatrixXd m(static_cast<Index>(j.size()), cols);
  for (Index i = 0; i < m.rows(); ++i)
    for (Index c = 0; c < cols; ++c)
      m(i, c) = number_from_json(j[static_cast<std::size_t>(i)][static_cast<std::size_t>(c)], where);
  return m;
}

/// What is made from a file speaks of shapes and domains; here the cause is the file.
template <class F>
auto blame_file(const std::string& where, F f) {
  try {
    return f();
  } catch (const Error& error) {
    throw IoError(where + ": " + error.what());
  } catch (const std::bad_alloc&) {
    throw IoError(where + ": the sizes do not fit into memory");
  } catch (const std::length_error&) {
    throw IoError(where + ": the sizes do not fit into memory");
  }
}

template <Scalar T>
void check_reference(const Distribution<T>& distribution, const Json& j, const std::string& where) {
  const Eigen::MatrixXd rows = matrix_from_json(field(j, "rows", where), distribution.dim(), where + ".rows");
  const Eigen::MatrixXd contexts =
      matrix_from_json(field(j, "contexts", where), distribution.context_dim(), where + ".contexts");
  const Eigen::MatrixXd expected = matrix_from_json(field(j, "log_prob", where), 1, where + ".log_prob");
  const Eigen::MatrixXd tolerance = matrix_from_json(field(j, "tolerance", where), 1, where + ".tolerance");
  if (expected.rows() != rows.rows() || tolerance.rows() != rows.rows() ||
      contexts.rows() != (distribution.context_dim() > 0 ? rows.rows() : 0))
    throw IoError(where + ": the numbers of rows differ");
  if (rows.rows() == 0) return;
  const Matrix<T> y = rows.cast<T>(), context = contexts.cast<T>();
  const Eigen::VectorXd got = blame_file(where, [&] { return reference_log_prob(distribution, y, context); });
  for (Index i = 0; i < got.size(); ++i)
    if (!(std::abs(got[i] - expected(i, 0)) <= tolerance(i, 0)))
      throw IoError(fmt::format("{}: row {} has log_prob {} but the file says {}; the model is damaged", where, i,
                                got[i], expected(i, 0)));
}

// -------------------------------------------------------------------------------------------------------- checksum

/// CRC-32 as in zip files and Python's zlib.crc32.
class Crc32 {
 public:
  void add(const void* data, std::size_t size) {
    static constexpr std::array<std::uint32_t, 256> table = [] {
      std::array<std::uint32_t, 256> t{};
      for (std::uint32_t i = 0; i < 256; ++i) {
        t[i] = i;
        for (int bit = 0; bit < 8; ++bit) t[i] = t[i] >> 1 ^ (t[i] & 1 ? 0xedb88320u : 0u);
      }
      return t;
    }();
    const auto* p = static_cast<const unsigned char*>(data);
    for (std::size_t i = 0; i < size; ++i) value_ = table[(value_ ^ p[i]) & 0xff] ^ value_ >> 8;
  }
  void add(const std::string& text) { add(text.data(), text.size()); }
  /// Eight hexadecimal digits.
  std::string text() const {
    std::string digits;
    for (int shift = 28; shift >= 0; shift -= 4) digits += "0123456789abcdef"[~value_ >> shift & 0xf];
    return digits;
  }

 private:
  std::uint32_t value_ = 0xffffffffu;
};

/// Of the JSON text, then each tensor, by name: "name\ndtype\nextent,extent,\n" and its bytes. `tensors` is sorted.
std::string checksum(const std::string& json, const Tensors& tensors) {
  Crc32 crc;
  crc.add(json);
  for (const NamedTensor& tensor : tensors) {
    std::string head = tensor.name + "\n" + tensor.dtype + "\n";
    for (const Index extent : tensor.shape) head += std::to_string(extent) + ",";
    crc.add(head + "\n");
    crc.add(tensor.bytes.data(), tensor.bytes.size());
  }
  return crc.text();
}

// ------------------------------------------------------------------------------------------------------------ info

/// What is wrong with the info for a model of that size; empty if nothing.
std::string find_wrong(const ModelInfo& info, Index dim, Index context_dim) {
  const auto count = [](const char* what, std::size_t found, Index expected) {
    return found == 0 || found == static_cast<std::size_t>(expected)
               ? std::string()
               : std::string(what) + ": expected none or " + std::to_string(expected) + " entries, got " +
                     std::to_string(found);
  };
  const auto order = [](const char* what, const std::vector<ModelInfo::Range>& ranges) {
    for (std::size_t c = 0; c < ranges.size(); ++c)
      if (!std::isfinite(ranges[c].low) || !std::isfinite(ranges[c].high) || ranges[c].low > ranges[c].high)
        return std::string(what) + ": expected finite low <= high in column " + std::to_string(c) + ", got " +
               detail::number_text(ranges[c].low) + " and " + detail::number_text(ranges[c].high);
    return std::string();
  };
  for (const std::string& wrong :
       {count("columns", info.columns.size(), dim), count("context_columns", info.context_columns.size(), context_dim),
        count("data_range", info.data_range.size(), dim),
        count("context_range", info.context_range.size(), context_dim),
        order("data_range", info.data_range), order("context_range", info.context_range)})
    if (!wrong.empty()) return wrong;
  return {};
}

}  // namespace

std::vector<Index> rows_outside_training_range(const ModelInfo& info, MatrixView<const double> data,
                                               MatrixView<const double> context) {
  const auto check = [](const char* what, const std::vector<ModelInfo::Range>& ranges, MatrixView<const double> m) {
    if (!ranges.empty() && m.cols() != static_cast<Index>(ranges.size()))
      throw ShapeError(std::string("rows_outside_training_range: expected ") + std::to_string(ranges.size()) + " " +
                       what + " columns, got " + std::to_string(m.cols()));
  };
  check("data", info.data_range, data);
  if (context.cols() > 0) check("context", info.context_range, context);
  const auto inside = [](const std::vector<ModelInfo::Range>& ranges, MatrixView<const double> m, Index row) {
    for (std::size_t c = 0; c < ranges.size() && static_cast<Index>(c) < m.cols(); ++c) {
      const double v = m(row, static_cast<Index>(c));
      if (!(v >= ranges[c].low && v <= ranges[c].high)) return false;
    }
    return true;
  };
  std::vector<Index> outside;
  for (Index i = 0; i < data.rows(); ++i)
    if (!inside(info.data_range, data, i) ||
        (context.rows() > 0 && !inside(info.context_range, context, context.rows() == 1 ? 0 : i)))
      outside.push_back(i);
  return outside;
}

namespace {

/// Everything that goes to the file; owns what the tensors view.
template <Scalar T>
struct Contents {
  std::deque<Tensor<T>> own;
  IntegerLists lists;
  Tensors tensors;
  std::map<std::string, std::string> metadata;
};

template <Scalar T>
void collect(const Distribution<T>& distribution, const ModelInfo& info, Contents<T>& contents) {
  if (const std::string wrong = find_wrong(info, distribution.dim(), distribution.context_dim()); !wrong.empty())
    throw DomainError("save: " + wrong);
  for (const auto& [name, text] : info.notes)
    if (is_reserved(name))
      throw DomainError("save: the note '" + name + "' has a reserved name: it begins with '" + metadata_key +
                        "' or ends with '.crc32'");
  for (const ConstSlot<T>& slot : list_state(distribution)) {
    for (const T v : slot.tensor->values())
      if (!std::isfinite(v)) throw DomainError("save: tensor '" + slot.path + "' holds a value that is not finite");
    const StoredForm<T>* form = slot.attributes.form;
    contents.own.push_back(form ? form->to_file(*slot.tensor) : *slot.tensor);
    contents.tensors.push_back(named_tensor(slot.path, contents.own.back()));
  }
  const Description description = distribution.describe();
  Json j;
  j["schema"] = schema_version;
  j["scalar"] = std::string(Distribution<T>::dtype());
  j["description"] = to_json(description, "", contents.lists);
  for (const auto& [name, tensor] : contents.lists.tensors) contents.tensors.push_back(named_tensor(name, tensor));
  std::sort(contents.tensors.begin(), contents.tensors.end(),
            [](const NamedTensor& a, const NamedTensor& b) { return a.name < b.name; });
  j["columns"] = info.columns;
  j["context_columns"] = info.context_columns;
  j["data_range"] = ranges_to_json(info.data_range);
  j["context_range"] = ranges_to_json(info.context_range);
  const Reference reference = make_reference(distribution, info);
  j["reference"] = Json{{"rows", matrix_to_json(reference.rows)},
                        {"contexts", matrix_to_json(reference.contexts)},
                        {"log_prob", matrix_to_json(reference.log_prob)},
                        {"tolerance", matrix_to_json(reference.tolerance)}};
  contents.metadata = info.notes;
  try {
    contents.metadata[metadata_key] = j.dump();
  } catch (const Json::exception&) {
    throw DomainError("save: a name of a column or a constant is not UTF-8");
  }
  contents.metadata[checksum_key] = checksum(contents.metadata[metadata_key], contents.tensors);
}

template <Scalar T>
void fill_state(Distribution<T>& distribution, const SafetensorsFile& file, std::set<std::string>& used,
                const std::string& source) {
  std::string missing;
  for (const Slot<T>& slot : list_state<T>(static_cast<Component<T>&>(distribution))) {
    if (!file.find(slot.path)) {
      missing += (missing.empty() ? "" : ", ") + slot.path;
      continue;
    }
    used.insert(slot.path);
    const StoredForm<T>* form = slot.attributes.form;
    Tensor<T> value = file.get<T>(slot.path, form ? form->shape() : slot.tensor->shape());
    for (const T v : value.values()) {
      if (!std::isfinite(v)) throw IoError(source + ": tensor '" + slot.path + "' holds a value that is not finite");
      if (slot.attributes.positive && !(v > T(0)))
        throw IoError(source + ": tensor '" + slot.path + "' holds a value that is not above 0");
    }
    if (form)
      form->from_file(value, *slot.tensor);
    else
      *slot.tensor = std::move(value);
  }
  if (!missing.empty()) throw IoError(source + ": tensors are missing: " + missing);
}

/// The model with the scalar type that the file has.
template <Scalar T>
Poly<Distribution<T>> read_distribution(const Json& j, const SafetensorsFile& file, const std::string& source,
                                        const Registry& registry) {
  const std::string where = source + ": description";
  std::set<std::string> used;
  const Description description = from_json(field(j, "description", source), file, used, where);
  const FileShapes shapes(file);
  Poly<Distribution<T>> distribution =
      blame_file(where, [&] { return registry.distribution<T>(description, &shapes); });
  if (const std::string unknown = find_unknown(description, distribution->describe(), where); !unknown.empty())
    throw IoError(unknown + ": unknown to this version of the class");
  fill_state<T>(*distribution, file, used, source);
  std::string unused;
  for (const NamedTensor& tensor : file.tensors())
    if (!used.contains(tensor.name)) unused += (unused.empty() ? "" : ", ") + tensor.name;
  if (!unused.empty()) throw IoError(source + ": tensors that the model does not use: " + unused);
  // In the stored type, so that a conversion makes no difference.
  check_reference(*distribution, field(j, "reference", source), source + ": reference");
  return distribution;
}

template <Scalar T, Scalar Stored>
Poly<Distribution<T>> convert(const Distribution<Stored>& stored, const std::string& source,
                              const Registry& registry) {
  Poly<Distribution<T>> distribution =
      blame_file(source + ": as " + std::string(Distribution<T>::dtype()), [&] { return cast<T>(stored, registry); });
  for (const ConstSlot<T>& slot : list_state(std::as_const(*distribution)))
    for (const T v : slot.tensor->values())
      if (!std::isfinite(v) || (slot.attributes.positive && !(v > T(0))))
        throw IoError(source + ": tensor '" + slot.path + "' holds a value that does not fit into " +
                      std::string(Distribution<T>::dtype()));
  return distribution;
}

/// What a file says of a model before the model is made.
struct Opened {
  const SafetensorsFile& file;
  const std::string& source;
  Json json;
  std::string scalar;
  ModelInfo info;  ///< the notes alone
};

Opened open(const SafetensorsFile& file, const std::string& source) {
  const auto text = file.metadata().find(metadata_key);
  if (text == file.metadata().end())
    throw IoError(source + ": no '" + metadata_key + "' entry in the metadata; not a model of this library");
  Json j = Json::parse(text->second, nullptr, false);
  if (j.is_discarded()) throw IoError(source + ": the metadata entry '" + metadata_key + "' is not JSON");
  const Json& version = field(j, "schema", source);
  if (!version.is_number_integer()) throw IoError(source + ": schema: expected an integer");
  if (version != schema_version)
    throw IoError(source + ": has schema version " + version.dump() + ", this library reads version " +
                  std::to_string(schema_version));

  ModelInfo info;
  for (const auto& [name, value] : file.metadata()) {
    if (!is_reserved(name)) {
      info.notes[name] = value;
    } else if (name == checksum_key) {  // a file that another program wrote may have none
      if (const std::string found = checksum(text->second, file.tensors()); found != value)
        throw IoError(source + ": the checksum is " + found + " but the file says " + value +
                      "; the file is damaged, or was changed without removing '" + checksum_key + "'");
    } else if (name != metadata_key) {
      throw IoError(source + ": the metadata entry '" + name + "' is unknown");
    }
  }

  std::string scalar = text_from_json(field(j, "scalar", source), source + ": scalar");
  if (scalar != "float32" && scalar != "float64")
    throw IoError(source + ": scalar: expected float32 or float64, got '" + scalar + "'");
  return {file, source, std::move(j), std::move(scalar), std::move(info)};
}

template <Scalar T>
Model<T> build(Opened opened, const Registry& registry) {
  const SafetensorsFile& file = opened.file;
  const std::string& source = opened.source;
  const Json& j = opened.json;
  using Other = std::conditional_t<sizeof(T) == 8, float, double>;
  Model<T> model{opened.scalar == Distribution<T>::dtype()
                     ? read_distribution<T>(j, file, source, registry)
                     : convert<T, Other>(*read_distribution<Other>(j, file, source, registry), source, registry),
                 std::move(opened.info)};
  model.info.columns = texts_from_json(field(j, "columns", source), source + ": columns");
  model.info.context_columns = texts_from_json(field(j, "context_columns", source), source + ": context_columns");
  model.info.data_range = ranges_from_json(field(j, "data_range", source), source + ": data_range");
  model.info.context_range = ranges_from_json(field(j, "context_range", source), source + ": context_range");
  const Distribution<T>& distribution = *model.distribution;
  if (const std::string wrong = find_wrong(model.info, distribution.dim(), distribution.context_dim()); !wrong.empty())
    throw IoError(source + ": " + wrong);
  return model;
}

StoredModel build_stored(const SafetensorsFile& file, const std::string& source, const Registry& registry) {
  Opened opened = open(file, source);
  if (opened.scalar == "float32") return build<float>(std::move(opened), registry);
  return build<double>(std::move(opened), registry);
}

}  // namespace

template <Scalar T>
void save(const std::filesystem::path& path, const Distribution<T>& distribution, const ModelInfo& info) {
  Contents<T> contents;
  collect(distribution, info, contents);
  write_safetensors(path, contents.tensors, contents.metadata);
}

template <Scalar T>
std::vector<std::byte> serialize(const Distribution<T>& distribution, const ModelInfo& info) {
  Contents<T> contents;
  collect(distribution, info, contents);
  return serialize_safetensors(contents.tensors, contents.metadata);
}

template <Scalar T>
Model<T> load(const std::filesystem::path& path, const Registry& registry) {
  const SafetensorsFile file = SafetensorsFile::read(path);
  const std::string source = path.string();
  return build<T>(open(file, source), registry);
}

template <Scalar T>
Model<T> load(std::span<const std::byte> bytes, std::string_view source_name, const Registry& registry) {
  const SafetensorsFile file = SafetensorsFile::read(bytes, source_name);
  const std::string source(source_name);
  return build<T>(open(file, source), registry);
}

StoredModel load_stored(const std::filesystem::path& path, const Registry& registry) {
  return build_stored(SafetensorsFile::read(path), path.string(), registry);
}

StoredModel load_stored(std::span<const std::byte> bytes, std::string_view source_name, const Registry& registry) {
  return build_stored(SafetensorsFile::read(bytes, source_name), std::string(source_name), registry);
}

#define PUSHFORWARD_INSTANTIATE(T)                                                                      \
  template void save(const std::filesystem::path&, const Distribution<T>&, const ModelInfo&);           \
  template std::vector<std::byte> serialize(const Distribution<T>&, const ModelInfo&);                  \
  template Model<T> load(const std::filesystem::path&, const Registry&);                                \
  template Model<T> load(std::span<const std::byte>, std::string_view, const Registry&);
PUSHFORWARD_INSTANTIATE(float)
PUSHFORWARD_INSTANTIATE(double)
#undef PUSHFORWARD_INSTANTIATE

}  // namespace pushforward
