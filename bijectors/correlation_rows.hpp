#pragma once

// What the maps onto Cholesky factors of correlation matrices share: rows of length 1, filled from the second one on.

#include <span>
#include <string>

#include <pushforward/bijector.hpp>
#include <pushforward/error.hpp>

#include "bijectors/clamp.hpp"
#include "bijectors/matrix_columns.hpp"
#include "bijectors/surface.hpp"
#include "src/ops/common.hpp"

namespace pushforward::detail {

inline Index checked_rows(const char* name, Index n) {
  if (n < 2) throw ShapeError(std::string(name) + ": expected n of at least 2, got " + std::to_string(n));
  return n;
}

/// A row below the first one: its entries before the diagonal, the diagonal, above 0, and what it adds to the log_det.
template <Scalar T>
struct CorrelationRow {
  Var<T> entries, diagonal;
  Column<T> log_det;
};

/// of(x of row i) gives the CorrelationRow.
template <Scalar T, class Of>
Mapped<T> correlation_factors(Pass<T>& pass, Var<T> x, Index n, Of of) {
  auto* parts = pass.tape().template scratch<Var<T>>(3 * n);
  Index count = 0;
  const auto zeros = [&](Index cols) {
    if (cols > 0) parts[count++] = filled(pass.tape(), cols, T(0));
  };
  parts[count++] = filled(pass.tape(), 1, T(1));
  zeros(n - 1);
  Column<T> log_det;
  for (Index i = 1; i < n; ++i) {
    const CorrelationRow<T> row = of(columns(x, i * (i - 1) / 2, i));
    parts[count++] = row.entries;
    parts[count++] = row.diagonal;
    zeros(n - 1 - i);
    log_det = log_det + row.log_det;
  }
  return {concatenate(std::span<const Var<T>>(parts, static_cast<std::size_t>(count))), log_det};
}

/// of(entries before the diagonal, diagonal) gives x of the row and what it adds to the log_det.
template <Scalar T, class Of>
Mapped<T> from_correlation_factors(Pass<T>& pass, Var<T> y, Index n, Of of) {
  restrict_to_lower(pass, y, n);
  auto* parts = pass.tape().template scratch<Var<T>>(n);
  Column<T> log_det;
  for (Index i = 0; i < n; ++i) {
    restrict_to_one(pass, row_sum_of_squares(columns(y, i * n, i + 1)));
    const Var<T> diagonal = pass.restrict_to(columns(y, i * n + i, 1), positive);
    if (i == 0) continue;
    const Mapped<T> row = of(columns(y, i * n, i), diagonal);
    parts[i - 1] = row.value;
    log_det = log_det + row.log_det;
  }
  return {concatenate(std::span<const Var<T>>(parts, static_cast<std::size_t>(n - 1))), log_det};
}

}  // namespace pushforward::detail
