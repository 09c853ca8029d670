#pragma once

// Rows that are n x n matrices, row-major in n^2 columns.

#include <cstdint>
#include <vector>

#include <pushforward/pass.hpp>

namespace pushforward::detail {

using ColumnList = std::vector<std::int64_t>;

inline ColumnList diagonal_columns(Index n) {
  ColumnList list;
  for (Index i = 0; i < n; ++i) list.push_back(i * n + i);
  return list;
}
/// Row by row.
inline ColumnList columns_below_diagonal(Index n) {
  ColumnList list;
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < i; ++j) list.push_back(i * n + j);
  return list;
}
inline ColumnList columns_above_diagonal(Index n) {
  ColumnList list;
  for (Index i = 0; i < n; ++i)
    for (Index j = i + 1; j < n; ++j) list.push_back(i * n + j);
  return list;
}

/// Marks the rows where an entry above the diagonal is not 0.
template <Scalar T>
void restrict_to_lower(Pass<T>& pass, Var<T> y, Index n) {
  if (n > 1) pass.restrict_to(gather_columns<T>(y, columns_above_diagonal(n)), 0, 0, T(0), true);
}

}  // namespace pushforward::detail
