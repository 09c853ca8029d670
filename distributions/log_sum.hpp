#pragma once

// The sum of several densities of the same rows.

#include <algorithm>
#include <cstdint>
#include <new>
#include <span>

#include <pushforward/pass.hpp>

#include "src/numerics/constants.hpp"
#include "src/ops/density.hpp"

namespace pushforward::detail {

/// log sum_k exp(term(k)) for k < count. Each term marks rows on a clean sheet; what was marked before and what all of
/// them mark stays, and a row that one of them marks adds nothing there. While evaluating, the memory of one term is
/// free before the next.
template <Scalar T, class F>
Column<T> log_sum_of(Pass<T>& pass, Index count, F term) {
  using Scope = typename Tape<T>::Scope;
  Tape<T>& tape = pass.tape();
  const Index n = tape.padded_rows();
  std::uint8_t* marks = pass.marks();
  auto* before = tape.template scratch<std::uint8_t>(n);
  auto* masks = tape.template scratch<std::uint8_t>(n * count);
  auto* everywhere = tape.template scratch<std::uint8_t>(n);
  copy_marks(tape, before, marks);
  fill_marks(tape, everywhere, 0xff);
  const std::span<Column<T>> terms(tape.template scratch<Column<T>>(count), static_cast<std::size_t>(count));
  for (Column<T>& t : terms) new (&t) Column<T>(tape.recording() ? Column<T>() : tape.column(false));
  for (Index k = 0; k < count; ++k) {
    fill_marks(tape, marks, 0);
    Column<T>& kept = terms[static_cast<std::size_t>(k)];
    if (tape.recording()) {
      kept = term(k);
    } else {
      const Scope scope(tape, Tape<T>::Mode::evaluate);
      const Column<T> value = term(k);
      if (value.is_zero()) fill_column(kept, 0.0);
      else copy_column(kept, value);
    }
    copy_marks(tape, masks + k * n, marks);
    combine_marks(tape, Operation::marks_and, everywhere, everywhere, marks);
  }
  combine_marks(tape, Operation::marks_or, marks, before, everywhere);
  for (Index k = 0; k < count; ++k) {
    std::uint8_t* mask = masks + k * n;
    // Rows outside of everything go on with the finite values that the terms gave.
    combine_marks(tape, Operation::marks_without, mask, mask, everywhere);
    Column<T>& t = terms[static_cast<std::size_t>(k)];
    t = replace_rows(tape, t, mask, -infinity);
  }
  return log_sum_exp(std::span<const Column<T>>(terms));
}

}  // namespace pushforward::detail
