#pragma once

#include <vector>

#include <pushforward/distributions/quantized.hpp>

namespace pushforward {

/// How the values of a column repeat.
struct RepeatedValues {
  double share = 0;            ///< of the rows whose value occurs in an earlier row
  double smallest_step = 0;    ///< between different values; 0: there is one value
  double commonest = 0;        ///< the value that occurs most often, the smallest of several
  double commonest_share = 0;  ///< of the rows that have it
};
/// Of each column; of more than 200,000 rows, from as many at even distances.
template <Scalar T>
std::vector<RepeatedValues> repeated_values(MatrixView<const T> data);

/// The columns whose values repeat because they lie on a grid, for Quantized: more than 1 % of the rows have the value
/// of an earlier one (the commonest value left out: an atom is no grid), and all values are numbers of a grid. Its step
/// is the greatest common divisor of the distances, which rounding may blur; of fewer than 10 different whole numbers
/// it is 1, for others may come. The origin is 0 if the grid has it, else the smallest value.
/// Steps below a hundredth of the standard deviation are those of a continuous variable written with its digits, unless
/// the numbers are far fewer than a smooth density would fill.
/// Whole numbers with a step of 1 count as known, for they are counts or categories; every other grid is `found`.
/// Of columns in `whatever_the_steps` neither the size of the steps nor repeated values matter, only that there is a grid.
template <Scalar T>
std::vector<GridColumn> find_grids(MatrixView<const T> data, const std::vector<Index>& whatever_the_steps = {});

/// Of each column of the support, whether it is bounded by itself, as in a box: such a one may lie on a grid.
std::vector<bool> each_by_itself(const Space& support);

/// Where the cells of rounded columns lie: bounds in `support` (no columns: the real line everywhere) move to the nearest
/// edges that keep their numbers inside. A column of whole numbers without a bound, none of which is negative, has
/// cells from 0 on, if 0 is not further below the smallest than the largest is above it, and cells 0 and 1 alone if it
/// has no other value. No columns if none is bounded.
/// @throws ShapeError   for columns that data does not have, and for another number of columns in the support.
/// @throws DomainError  for columns that are not each_by_itself.
template <Scalar T>
Space cell_support(MatrixView<const T> data, const std::vector<GridColumn>& rounded, const Space& support = {});

}  // namespace pushforward
