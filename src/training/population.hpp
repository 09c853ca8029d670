#pragma once

// Evaluations of many rows for `fit`: losses, and the population statistics of normalisation layers.

#include <optional>
#include <string>
#include <vector>

#include <pushforward/stop.hpp>

#include "src/training/rows.hpp"

namespace pushforward::detail {

/// Loss of the rows at the positions [0, out.size()), with running statistics; +inf for rows outside the support.
/// False if a stop was asked for; then `out` is unfinished.
/// `noise`: what stochastic densities and losses draw from.
template <Scalar T>
bool evaluate_loss(const Distribution<T>& flow, const Loss<T>& loss, const RowSource<T>& rows,
                   std::vector<double>& out, Execution& execution, const StopToken& stop,
                   const RandomCall& noise);

/// The losses over batches of an objective, the mean of those with the given bounds of rows, each counted by its rows,
/// with running statistics; `columns` of a batch in that many shards. Nothing if a stop was asked for.
template <Scalar T>
std::optional<double> evaluate_batch_loss(const Distribution<T>& flow, const Objective<T>& objective,
                                          const RowSource<T>& rows, const std::vector<Index>& bounds, Index shards,
                                          Execution& execution, const StopToken& stop, const RandomCall& noise);

/// What `calibrate` does, for rows of a source. False if a stop was asked for; then nothing has changed. `where` is the
/// call that the user made.
template <Scalar T>
bool calibrate_rows(const std::string& where, Distribution<T>& flow, const RowSource<T>& rows, Index count, Execution& execution,
                    const StopToken& stop);

}  // namespace pushforward::detail
