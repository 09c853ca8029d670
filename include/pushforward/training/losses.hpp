#pragma once

#include <functional>
#include <span>
#include <vector>

#include <pushforward/distribution.hpp>

namespace pushforward {

/// A loss: one number per row, written with the operations of ops.hpp, from the model and the rows of data. Several
/// threads call it at the same time, each on its rows; `fit` takes the weighted mean over the batch.
template <Scalar T>
using Loss = std::function<Column<T>(Pass<T>& pass, const Distribution<T>& flow, Var<T> y)>;

/// Numbers of each row, a column for each, of which a loss over the batch is made.
template <Scalar T>
using RowColumns = std::function<std::vector<Column<T>>(Pass<T>& pass, const Distribution<T>& flow, Var<T> y)>;

/// A loss over the batch made of such columns, and of nothing else: one number, the same in every row of the result.
template <Scalar T>
using BatchCoupling = std::function<Column<T>(std::span<const Column<T>> columns)>;

/// What a step minimises: the sum of a term for each row and one for the whole batch. Both see the pass (with random
/// numbers: `pass.normal(...)`, the same for any number of threads), the model, and the rows.
///
///     fit(flow, data, {.objective = {.rows = negative_log_likelihood<double>(), .batch = my_penalty}});
///
/// A term for the batch needs all rows together. For a batch in shards it is written in two halves:
///
///     // Minus the log of the sum of the rows' densities.
///     const Objective<double> in_shards{
///         .columns = [](auto& pass, const auto& flow, auto y) { return std::vector{flow.log_prob(pass, y)}; },
///         .coupling = [](auto columns) { return -batch_log_sum_exp(columns[0]); }};
template <Scalar T>
struct Objective {
  /// Its weighted mean over the batch. Empty: none.
  Loss<T> rows = {};
  /// A loss that couples rows (contrastive, alpha divergences, MMD): one number for the batch, the same in every row of
  /// the column that is returned. Made of row values by reductions over the batch, which all threads enter together. It
  /// is added without weights, and without the number of rows: a sum over rows grows with the batch. Validation takes
  /// the mean over batches of the same size, in the order of the rows. Empty: none.
  Loss<T> batch = {};
  /// The same in two halves, for batches in shards, of one process or of several: what the loss needs of each row, as
  /// many columns in every call, and the loss made of them. Of a batch in shards, all shards are first passed to get
  /// the columns, then once more with the adjoints that `coupling` gives them (Gao, Zhang, Han and Callan 2021,
  /// "Scaling deep contrastive learning batch size under memory limited setup"): the same gradient as in one piece, for
  /// about a third more time and the memory of one shard. Both or neither.
  RowColumns<T> columns = {};
  BatchCoupling<T> coupling = {};

  bool is_empty() const { return !rows && !batch && !coupling; }
};

/// -log_prob(y), in nats: its mean over data is minimal at maximum likelihood.
template <Scalar T>
Loss<T> negative_log_likelihood() {
  return [](Pass<T>& pass, const Distribution<T>& flow, Var<T> y) { return -flow.log_prob(pass, y); };
}

/// A log density up to a constant, written with the operations of ops.hpp. Rows outside its support are marked with
/// `Pass::restrict_to`.
template <Scalar T>
using Target = std::function<Column<T>(Pass<T>& pass, Var<T> y)>;

/// log q(y) - log p(y) for a sample y of the flow q and the target p: its mean over samples is KL(q || p), up to the
/// target's constant. The rows are those of the pass, which needs random numbers.
template <Scalar T>
std::function<Column<T>(Pass<T>& pass, const Distribution<T>& flow)> reverse_kl(Target<T> target) {
  return [target = std::move(target)](Pass<T>& pass, const Distribution<T>& flow) {
    const Drawn<T> drawn = flow.sample_and_log_prob(pass);
    return drawn.log_prob - target(pass, drawn.value);
  };
}

}  // namespace pushforward
