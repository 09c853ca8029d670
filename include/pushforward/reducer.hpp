#pragma once

#include <span>

namespace pushforward {

/// Processes that fit one model together, beside the threads of each: `FitOptions::reducer`. Every one of them calls
/// `fit` with the same model, data and options; each passes its share of the shards of a batch, and all of them end
/// with the same bits as one process with as many shards.
///
/// Over MPI: MpiReducer (mpi/reducer.hpp). By other means it is some thirty lines: an exchange of halves between the ranks r
/// and r ^ 1, r ^ 2, r ^ 4, ... gives the tree that is asked for (MPI_Allreduce promises no order).
class Reducer {
 public:
  virtual ~Reducer() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// Puts the sum over all ranks in the place of everyone's values: neighbours first, ((0 + 1) + (2 + 3)) + ..., so
  /// that the bits are those of one process. Entered by all ranks, in the same order and with as many values.
  virtual void sum(std::span<float> values) = 0;
  virtual void sum(std::span<double> values) = 0;
  /// Puts the values of rank 0 in the place of everyone's.
  virtual void broadcast(std::span<float> values) = 0;
  virtual void broadcast(std::span<double> values) = 0;
};

}  // namespace pushforward
