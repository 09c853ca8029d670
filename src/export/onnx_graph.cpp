#include "src/export/onnx_graph.hpp"

#include <bit>
#include <cstring>

namespace pushforward::detail {

namespace {

constexpr std::int64_t ir_version = 8, opset = 17;

template <class V>
void append(std::string& raw, V value) {
  static_assert(std::endian::native == std::endian::little);
  char bytes[sizeof(V)];
  std::memcpy(bytes, &value, sizeof(V));
  raw.append(bytes, sizeof(V));
}

}  // namespace

void Message::varint(std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>((value & 0x7f) | 0x80);
  bytes_ += static_cast<char>(value);
}
void Message::number(int field, std::int64_t value) {
  varint(static_cast<std::uint64_t>(field) << 3);
  varint(static_cast<std::uint64_t>(value));
}
void Message::text(int field, std::string_view value) {
  varint(static_cast<std::uint64_t>(field) << 3 | 2);
  varint(value.size());
  bytes_ += value;
}

std::string OnnxGraph::tensor(OnnxType type, const std::vector<std::int64_t>& dims, const std::string& raw) {
  std::string key(1, static_cast<char>(type));
  for (const std::int64_t d : dims) append(key, d);
  const auto [entry, is_new] = known_.try_emplace(key + raw, "c" + std::to_string(known_.size()));
  if (is_new) {
    Message t;
    for (const std::int64_t d : dims) t.number(1, d);
    t.number(2, static_cast<std::int64_t>(type));
    t.text(8, entry->second);
    t.text(9, raw);
    initializers_.message(5, t);
    rows_.insert(entry->second);
  }
  return entry->second;
}

std::string OnnxGraph::constant(const std::vector<double>& values, std::vector<std::int64_t> dims) {
  std::string raw;
  for (const double v : values) {
    if (real_ == OnnxType::float32) append(raw, static_cast<float>(v));
    else append(raw, v);
  }
  return tensor(real_, dims, raw);
}

std::string OnnxGraph::integers(const std::vector<std::int64_t>& values, std::vector<std::int64_t> dims) {
  std::string raw;
  for (const std::int64_t v : values) append(raw, v);
  return tensor(OnnxType::int64, dims, raw);
}

Message OnnxGraph::value_info(const std::string& name, OnnxType type, const std::vector<std::int64_t>& dims) {
  Message shape;
  for (const std::int64_t d : dims) {
    Message dim;
    if (d < 0) dim.text(2, "rows");
    else dim.number(1, d);
    shape.message(1, dim);
  }
  Message tensor_type, any, info;
  tensor_type.number(1, static_cast<std::int64_t>(type));
  tensor_type.message(2, shape);
  any.message(1, tensor_type);
  info.text(1, name);
  info.message(2, any);
  return info;
}

void OnnxGraph::input(const std::string& name, Index cols) { inputs_.message(11, value_info(name, real_, {-1, cols})); }
void OnnxGraph::output(const std::string& name, const std::vector<std::int64_t>& dims) {
  outputs_.message(12, value_info(name, real_, dims));
}

std::string OnnxGraph::op(std::string_view type, const std::vector<std::string>& inputs,
                          const std::vector<OnnxAttribute>& attributes, std::string result) {
  Message node;
  bool row = true;
  for (const std::string& name : inputs) {
    node.text(1, name);
    row = row && (name.empty() || rows_.contains(name));
  }
  if (result.empty()) result = "t" + std::to_string(count_++);
  if (row) rows_.insert(result);
  node.text(2, result);
  node.text(3, result);
  node.text(4, type);
  for (const OnnxAttribute& a : attributes) {
    constexpr std::int64_t integer = 2, integers = 7;
    Message attribute;
    attribute.text(1, a.name);
    if (a.is_list)
      for (const std::int64_t i : a.integers) attribute.number(8, i);
    else
      attribute.number(3, a.integers[0]);
    attribute.number(20, a.is_list ? integers : integer);
    node.message(5, attribute);
  }
  nodes_.message(1, node);
  return result;
}

std::string OnnxGraph::spread(const std::string& tensor, Index cols, const std::string& like) {
  if (!is_row(tensor)) return tensor;
  const std::string rows = op("Slice", {op("Shape", {like}), integers({0}, {1}), integers({1}, {1})});
  return op("Expand", {tensor, op("Concat", {rows, integers({cols}, {1})}, {{"axis", {0}}})});
}

std::string OnnxGraph::model(const std::string& name, const std::string& description,
                             const std::vector<std::pair<std::string, std::string>>& notes) const {
  Message graph;
  graph.text(2, name);
  Message set;
  set.text(1, "");
  set.number(2, opset);
  Message model;
  model.number(1, ir_version);
  model.text(2, "pushforward");
  model.text(3, PUSHFORWARD_VERSION);
  model.text(6, description);
  // Fields of a message may come in pieces.
  model.text(7, nodes_.bytes() + graph.bytes() + initializers_.bytes() + inputs_.bytes() + outputs_.bytes());
  model.message(8, set);
  for (const auto& [key, value] : notes) {
    Message entry;
    entry.text(1, key);
    entry.text(2, value);
    model.message(14, entry);
  }
  return model.bytes();
}

}  // namespace pushforward::detail
