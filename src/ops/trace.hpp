#pragma once

// How operations note themselves for a trace: one branch where there is none.

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <tuple>

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
template <class V, Operand::Kind kind>
struct ConstantRow {
  const V* values;
  Index cols, stride;
};
inline ConstantRow<double, Operand::Kind::numbers> numbers_row(const double* row, Index cols, Index stride = 1) {
  return {row, cols, stride};
}
template <class T>
ConstantRow<T, Operand::Kind::shared> shared_row(const T* row, Index cols, Index stride = 1) {
  return {row, cols, stride};
}
template <class V, Operand::Kind kind>
Operand operand(ConstantRow<V, kind> row) {
  return {kind, row.values, 1, row.cols, row.stride, row.values, row.cols};
}

template <class... Outputs, class... Inputs>
[[gnu::noinline, gnu::cold]] void note_step(Trace& trace, Operation operation, std::tuple<Outputs...> outputs,
                                            std::tuple<Inputs...> inputs, std::span<const double> numbers) {
  constexpr auto operands = [](auto... x) { return std::array<Operand, sizeof...(x)>{operand(x)...}; };
  const auto to = std::apply(operands, outputs);
  const auto from = std::apply(operands, inputs);
  trace.note({operation, to, from, numbers});
}
/// Handles are all that is passed, so that nothing is made of them where there is no trace.
template <class T, class... Outputs, class... Inputs>
[[gnu::always_inline]] inline void note(const Tape<T>& tape, Operation operation, std::tuple<Outputs...> outputs,
                                        std::tuple<Inputs...> inputs, std::span<const double> numbers) {
  if (Trace* trace = tape.trace()) [[unlikely]] note_step(*trace, operation, outputs, inputs, numbers);
}
template <class T, class... Outputs, class... Inputs>
[[gnu::always_inline]] inline void note(const Tape<T>& tape, Operation operation, std::tuple<Outputs...> outputs,
                                        std::tuple<Inputs...> inputs, std::initializer_list<double> numbers = {}) {
  if (Trace* trace = tape.trace()) [[unlikely]]
    note_step(*trace, operation, outputs, inputs, std::span<const double>(numbers.begin(), numbers.size()));
}

}  // namespace pushforward::detail
