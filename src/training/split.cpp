#include <pushforward/training/split.hpp>

#include <cstddef>
#include <utility>

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
  std::vector<std::int64_t> all;
  all.reserve(static_cast<std::size_t>(rows));
  for (Index i = 0; i < rows; ++i)
    if (weights.size() == 0 || weights[i] != 0) all.push_back(i);
  const auto count = static_cast<std::size_t>(static_cast<double>(all.size()) * validation_fraction);
  if (count == 0) return {std::move(all), {}};

  Engine engine = Engine(seed).stream("split");
  const std::vector<std::int64_t> order = permutation(engine.next_call(), static_cast<Index>(all.size()));
  std::vector<char> chosen(all.size(), 0);
  for (std::size_t i = 0; i < count; ++i) chosen[static_cast<std::size_t>(order[i])] = 1;
  RowSplit split;
  for (std::size_t i = 0; i < all.size(); ++i) (chosen[i] ? split.validation : split.train).push_back(all[i]);
  return split;
}

RowSplit split_rows(Index rows, double validation_fraction, std::uint64_t seed, VectorView<const double> weights) {
  return detail::split_rows("split_rows", rows, validation_fraction, seed, weights);
}

}  // namespace pushforward
