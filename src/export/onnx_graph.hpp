#pragma once

// The wire format of ONNX models, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto: numbers of fields and of
// types from there. Nodes are named by their results.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <pushforward/views.hpp>

namespace pushforward::detail {

/// A message of Protocol Buffers.
class Message {
 public:
  void number(int field, std::int64_t value);
  void text(int field, std::string_view value);
  void message(int field, const Message& value) { text(field, value.bytes_); }
  const std::string& bytes() const { return bytes_; }

 private:
  void varint(std::uint64_t value);
  std::string bytes_;
};

/// Types of tensors.
enum class OnnxType : std::uint8_t { float32 = 1, int64 = 7, boolean = 9, float64 = 11 };

struct OnnxAttribute {
  std::string name;
  std::vector<std::int64_t> integers;
  bool is_list = false;
};

/// A graph of operators that grows in the order of its computation. Tensors have names.
class OnnxGraph {
 public:
  explicit OnnxGraph(OnnxType real) : real_(real) {}

  OnnxType real() const { return real_; }
  /// Of real numbers, row-major.
  std::string constant(const std::vector<double>& values, std::vector<std::int64_t> dims);
  std::string constant(double value) { return constant(std::vector<double>{value}, {1, 1}); }
  std::string integers(const std::vector<std::int64_t>& values, std::vector<std::int64_t> dims);
  void input(const std::string& name, Index cols);
  void output(const std::string& name, const std::vector<std::int64_t>& dims);
  /// The result of an operator. One row stands for all where all that it is made of does.
  std::string op(std::string_view type, const std::vector<std::string>& inputs,
                 const std::vector<OnnxAttribute>& attributes = {}, std::string result = {});
  /// Has one row that stands for all.
  bool is_row(const std::string& tensor) const { return rows_.contains(tensor); }
  /// With a row for each row of `like`.
  std::string spread(const std::string& tensor, Index cols, const std::string& like);
  std::string cast(const std::string& tensor, OnnxType type) {
    return op("Cast", {tensor}, {{"to", {static_cast<std::int64_t>(type)}}});
  }

  std::string model(const std::string& name, const std::string& description,
                    const std::vector<std::pair<std::string, std::string>>& notes) const;

 private:
  std::string tensor(OnnxType type, const std::vector<std::int64_t>& dims, const std::string& raw);
  static Message value_info(const std::string& name, OnnxType type, const std::vector<std::int64_t>& dims);

  OnnxType real_;
  Message nodes_, initializers_, inputs_, outputs_;
  std::map<std::string, std::string> known_;
  std::set<std::string> rows_;
  int count_ = 0;
};

}  // namespace pushforward::detail
