#pragma once

#include <cstdint>
#include <vector>

#include <pushforward/views.hpp>

namespace pushforward {

/// Rows by number, ascending.
struct RowSplit {
  std::vector<std::int64_t> train, validation;
};

/// The split that `fit` makes with the same arguments, for whoever must know it: floor(validation_fraction n) of the n
/// rows validate, drawn without replacement, and the others train. Rows of weight 0 do not count and are in neither.
/// The same seed gives the same split for ever.
/// @param rows                 how many there are: n
/// @param validation_fraction  in [0, 1)
/// @param seed                 of the draw
/// @param weights              one for each row; none: all 1
/// @throws DomainError  if the fraction is not in [0, 1) or there are fewer than 0 rows.
/// @throws ShapeError   if there is another number of weights than of rows.
RowSplit split_rows(Index rows, double validation_fraction, std::uint64_t seed, VectorView<const double> weights = {});

}  // namespace pushforward
