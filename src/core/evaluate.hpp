#pragma once

// The one driver of all calls that take rows and give rows: tiles, threads, copies in and out, rows that are not
// finite.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>

#include <pushforward/error.hpp>
#include <pushforward/execution.hpp>
#include <pushforward/pass.hpp>
#include <pushforward/tape.hpp>

#include "src/core/shape_text.hpp"

namespace pushforward::detail {

/// Activations of a tile stay in the second-level cache while it passes through the whole flow.
inline constexpr Index tile_rows = 256;

/// f(memory, begin, count) for tiles of rows; the tiles are dealt out to the threads of `run`.
template <Scalar T, class F>
void for_each_tile(Index rows, Run run, Index rows_per_tile, const F& f) {
  const Index tiles = rows_per_tile == 0 ? 1 : (rows + rows_per_tile - 1) / rows_per_tile;
  const auto tile = [&](typename Tape<T>::Memory memory, Index i) {
    const Index begin = i * rows_per_tile;
    f(memory, begin, std::min(rows_per_tile, rows - begin));
  };
  if (!run.execution()) {
    std::optional<Workspace> own;
    Workspace& memory = run.workspace() ? *run.workspace() : own.emplace();
    for (Index i = 0; i < tiles; ++i) tile({memory.batch, memory.local, run.packed<T>()}, i);
    return;
  }
  Execution& execution = *run.execution();
  execution.deal(tiles, [&](int thread, Index i) { tile({execution.batch(thread), execution.local(thread)}, i); });
}

/// Copies rows into a batch matrix (column-major, padding zero). A single row is repeated where `repeat` says so.
template <Scalar T>
Var<T> load(Tape<T>& tape, MatrixView<const T> rows, bool wanted, bool repeat = false) {
  const Var<T> x = tape.matrix(rows.cols(), wanted);
  const Index n = tape.local_rows(), begin = tape.begin();
  for (Index c = 0; c < rows.cols(); ++c) {
    T* out = tape.value(x, c);
    if (repeat) {
      std::fill_n(out, n, rows(0, c));
    } else {
      const T* in = rows.data() + c * rows.col_stride() + begin * rows.row_stride();
      const Index stride = rows.row_stride();
      for (Index i = 0; i < n; ++i) out[i] = in[i * stride];
    }
    std::fill(out + n, out + tape.padded_rows(), T(0));
  }
  return x;
}

enum RowMark : std::uint8_t { row_inside = 0, row_outside = 1, row_nan = 2 };

/// Replaces what is not finite by 0 and says for each row what it held; hooks see finite values only.
template <Scalar T>
void mark_non_finite(Tape<T>& tape, Var<T> x, std::uint8_t* marks) {
  for (Index c = 0; c < x.cols(); ++c) {
    T* v = tape.value(x, c);
    bool finite = true;
    for (Index i = 0; i < tape.local_rows(); ++i) finite &= (v[i] - v[i] == T(0));
    if (finite) continue;
    for (Index i = 0; i < tape.local_rows(); ++i)
      if (!std::isfinite(v[i])) {
        marks[i] |= std::isnan(v[i]) ? row_nan : row_outside;
        v[i] = T(0);
      }
  }
}

template <Scalar T>
void store(Tape<T>& tape, Var<T> x, MatrixView<T> out) {
  for (Index c = 0; c < x.cols(); ++c) {
    const T* v = tape.value(x, c);
    for (Index i = 0; i < tape.local_rows(); ++i) out(tape.begin() + i, c) = v[i];
  }
}

/// f(tape, pass, begin, count) for tiles of `rows` rows, each in a pass with its rows of the context (one row: the same
/// for all), which are marked where they are not finite.
template <Scalar T, class F>
void for_each_pass(typename Tape<T>::Mode mode, Index rows, MatrixView<const T> context, const RandomCall* noise,
                   Run run, F f) {
  for_each_tile<T>(rows, run, tile_rows, [&](typename Tape<T>::Memory memory, Index begin, Index count) {
    Tape<T> tape(mode, memory, count);
    typename Pass<T>::Settings settings;
    settings.first_row = begin;
    settings.noise = noise;
    const bool repeat = context.rows() == 1;
    if (context.cols() > 0)
      settings.context = load(tape, repeat ? context : context.middle_rows(begin, count), tape.recording(), repeat);
    Pass<T> pass(tape, settings);
    if (context.cols() > 0) mark_non_finite(tape, settings.context, pass.outside());
    f(tape, pass, begin, count);
  });
}

/// Rows of values; NaN where a row was marked.
template <Scalar T>
void store_unmarked(Tape<T>& tape, const Pass<T>& pass, Var<T> values, Index begin, Index count, MatrixView<T> out) {
  store(tape, values, out.middle_rows(begin, count));
  for (Index i = 0; i < count; ++i)
    if (pass.outside()[i] != row_inside)
      for (Index c = 0; c < out.cols(); ++c) out(begin + i, c) = std::numeric_limits<T>::quiet_NaN();
}

/// Number of values of an event.
inline Index checked_dim(const std::string& name, const std::vector<Index>& event_shape, Index context_dim) {
  Index dim = 1;
  for (const Index extent : event_shape) {
    if (extent < 1)
      throw ShapeError(name + ": every axis of the event shape must be at least 1, got " + std::to_string(extent));
    dim *= extent;
  }
  if (context_dim < 0) throw ShapeError(name + ": context_dim must not be negative");
  return dim;
}

/// That the pass has the context that a component takes.
template <Scalar T>
void check_pass_context(const std::string& name, const char* call, Index context_dim, const Pass<T>& pass) {
  const Index context = pass.has_context() ? pass.context().cols() : 0;
  if (context_dim != 0 && context != context_dim)
    throw ShapeError(name + "::" + call + ": expected a context of " + std::to_string(context_dim) +
                     " columns, got " + std::to_string(context));
}

/// A matrix of `cols` columns for the call `call` of `name`.
template <class T>
void check_columns(const std::string& name, const char* call, MatrixView<T> m, Index cols) {
  if (m.cols() != cols)
    throw ShapeError(name + "::" + call + ": expected (N, " + std::to_string(cols) + "), got " +
                     shape_text({m.rows(), m.cols()}));
}

/// A context of `cols` columns, one row for each of `rows` or one for all.
template <class T>
void check_context(const std::string& name, const char* call, MatrixView<T> context, Index rows, Index cols) {
  if (cols == 0) {
    if (context.cols() != 0)
      throw ShapeError(name + "::" + call + ": takes no context, got one of shape " +
                       shape_text({context.rows(), context.cols()}));
    return;
  }
  if (context.cols() != cols || (context.rows() != rows && context.rows() != 1))
    throw ShapeError(name + "::" + call + ": expected a context of shape " + shape_text({rows, cols}) + " or " +
                     shape_text({1, cols}) + ", got " + shape_text({context.rows(), context.cols()}));
}

}  // namespace pushforward::detail
