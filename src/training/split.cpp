#include <pushforward/training/split.hpp>

#include <cstddef>
#include <vector>

#include <fmt/format.h>

#include <pushforward/error.hpp>
#include <pushforward/random.hpp>

#include "src/core/number_text.hpp"
#include "src/training/rows.hpp"

namespace pushforward {

RowSplit detail::split_rows(const std::string& where, Index rows, double validation_fraction, std::uint64_t seed,
                            VectorView<const double> weights) {
  if (rows < 0) throw DomainError(fmt::format("{}: rows must be at least 0, got {}", where, rows));
  if (!(validation_fraction >= 0 && validation_fraction < 1))
    throw DomainError(fmt::format("{}: validation_fraction must lie in [0, 1), got {}", where,
                                  unsigned_nan(validation_fraction)));
  if (weights.size() != 0 && weights.size() != rows)
    throw ShapeError(fmt::format("{}: expected {} weights, one for each row, got {}", where, rows, weights.size()));
  const auto counts = [&](Index i) { return weights.size() == 0 || weights[i] != 0; };
  std::size_t all = 0;
  for (Index i = 0; i < rows; ++i) all += counts(i);
  const auto count = static_cast<std::size_t>(static_cast<double>(all) * validation_fraction);
  std::vector<bool> chosen(all);
  if (count > 0) {
    Engine engine = Engine(seed).stream("split");
    const std::vector<std::int64_t> order = permutation(engine.next_call(), static_cast<Index>(all));
    for (std::size_t i = 0; i < count; ++i) chosen[static_cast<std::size_t>(order[i])] = true;
  }
  RowSplit split;
  split.validation.reserve(count);
  split.train.reserve(all - count);
  std::size_t number = 0;
  for (Index i = 0; i < rows; ++i)
    if (counts(i)) (chosen[number++] ? split.validation : split.train).push_back(i);
  return split;
}

RowSplit split_rows(Index rows, double validation_fraction, std::uint64_t seed, VectorView<const double> weights) {
  return detail::split_rows("split_rows", rows, validation_fraction, seed, weights);
}

}  // namespace pushforward
