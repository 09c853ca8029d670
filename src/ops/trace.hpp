#pragma once

// How operations note themselves for a trace: one branch where there is none.

#include <cstdint>
#include <initializer_list>

#include <pushforward/tape.hpp>

namespace pushforward::detail {

template <class T>
Operand operand(Var<T> x) {
  const Node<T>& n = *x.node();
  return {n.shared ? Operand::Kind::shared : Operand::Kind::batch, n.value, n.rows, n.cols,
          n.shared ? 1 : n.ld, n.root->value, n.root->cols};
}
template <Scalar T>
Operand operand(Column<T> x) {
  return {Operand::Kind::column, x.node()->value, 1, 1, 0, x.node()->value, 1};
}
inline Operand operand(const std::uint8_t* marks) { return {Operand::Kind::marks, marks, 1, 1, 0, marks, 1}; }
/// A row of constants of T, or of double, that are on no tape; `stride` 0: the same for all columns.
inline Operand numbers_row(const double* row, Index cols, Index stride = 1) {
  return {Operand::Kind::numbers, row, 1, cols, stride, row, cols};
}
template <class T>
Operand shared_row(const T* row, Index cols, Index stride = 1) {
  return {Operand::Kind::shared, row, 1, cols, stride, row, cols};
}

template <class T>
[[gnu::always_inline]] inline void note(const Tape<T>& tape, Operation operation,
                                        std::initializer_list<Operand> outputs, std::initializer_list<Operand> inputs,
                                        std::span<const double> numbers) {
  if (Trace* trace = tape.trace()) [[unlikely]]
    trace->note({operation, {outputs.begin(), outputs.size()}, {inputs.begin(), inputs.size()}, numbers});
}
template <class T>
[[gnu::always_inline]] inline void note(const Tape<T>& tape, Operation operation,
                                        std::initializer_list<Operand> outputs, std::initializer_list<Operand> inputs,
                                        std::initializer_list<double> numbers = {}) {
  note(tape, operation, outputs, inputs, std::span<const double>(numbers.begin(), numbers.size()));
}

}  // namespace pushforward::detail
