#pragma once

#include <optional>
#include <vector>

#include <pushforward/training/grids.hpp>

namespace pushforward::detail {

struct ColumnValues {
  RepeatedValues repeated;
  /// They repeat more than those of a continuous variable do.
  bool often = false;
  /// Why: one value alone does, and others hardly.
  bool atom = false;
  std::optional<Grid> grid;
};
/// Of values in any order, which are sorted; at least one.
template <class T>
ColumnValues look_at(std::vector<T>& values, bool whatever_the_steps = false);

/// Values of a column from at most 200,000 of `count` rows at even distances.
template <class T, class Row>
std::vector<T> some_values(MatrixView<const T> data, Index column, std::size_t count, Row row) {
  constexpr std::size_t enough = 200'000;
  const std::size_t stride = count > enough ? count / enough : 1;
  std::vector<T> values;
  for (std::size_t i = 0; i < count; i += stride) values.push_back(data(row(i), column));
  return values;
}

}  // namespace pushforward::detail
