#pragma once

#include <type_traits>

#include <pushforward/distribution.hpp>
#include <pushforward/execution.hpp>

namespace pushforward {

/// Gives every normalisation layer the mean and variance of its input over all rows of `data`, (N, dim): the exact
/// moments of the population, layer after layer, each with those before it already set.
///
/// Layers are found by what they capture in an evaluation with Statistics::population, under a state tensor named
/// "moving_mean" beside one named "moving_variance"; so a layer of a user's own takes part.
/// @par Cost  Small sets: one evaluation of all rows together. Others: one evaluation of all rows for each layer, in
///            tiles; memory does not grow with the number of rows.
/// @throws ShapeError   if sizes do not fit.
/// @throws DomainError  if there are no rows, a value is not finite, or a layer has not started from data yet.
template <Scalar T>
void calibrate(Distribution<T>& flow, std::type_identity_t<MatrixView<const T>> data,
               std::type_identity_t<MatrixView<const T>> context = {}, Run run = {});

}  // namespace pushforward
