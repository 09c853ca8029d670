#pragma once

// A model's log_prob, or its draw, as a straight-line program of one row: what a trace heard, with slices in the place
// of addresses and without what the result does not need.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <pushforward/distribution.hpp>
#include <pushforward/trace.hpp>

namespace pushforward::detail {

/// Columns [begin, begin + cols) of an array of values, a column of double, a byte of marks, or a constant.
struct Slice {
  enum class Kind : std::uint8_t { array, column, marks, constant };
  Kind kind = Kind::constant;
  Index id = 0;
  Index begin = 0;
  Index cols = 0;
};

/// As `Step`; the weights of `linear` are one constant, with the prefix[o] values of each output after those before.
struct Instruction {
  Operation operation;
  std::vector<Slice> outputs = {}, inputs = {};
  std::vector<double> numbers = {};
  std::vector<std::int64_t> index = {};
  std::vector<Index> prefix = {};
  std::vector<bool> needed = {};  ///< of each output, whether anything reads it
  std::string part = {};          ///< the innermost part of the tree that is at work
};

struct Values {
  std::vector<double> values;
  bool is_double;  ///< whatever the scalar type of the program is
};

struct Program {
  bool is_float = false;
  std::vector<Index> arrays;  ///< number of columns of each
  Index columns = 0, marks = 0;
  std::vector<Values> constants;
  std::vector<Instruction> steps;
  Slice row, context;  ///< inputs; an array of no columns where there is none
  Slice outside;       ///< marks, of what the inputs held to begin with
  Slice result;        ///< an array, or a column; a constant of no columns: log_prob is 0
  /// The draws that steps make in their order, as numbers of the row that was traced.
  std::vector<double> draws;
};

/// The draws of a program in their order, as runs of one kind: {"uniform", 1}, {"normal", 2}.
std::vector<std::pair<std::string, Index>> draw_kinds(const Program& program);

/// @throws NotImplemented  naming the part that does not consist of operations.
template <Scalar T>
Program trace_log_prob(const Distribution<T>& model);
/// Of row `row` in `noise`; `context` has context_dim() values.
template <Scalar T>
Program trace_sample(const Distribution<T>& model, const RandomCall& noise, Index row = 0);

}  // namespace pushforward::detail
