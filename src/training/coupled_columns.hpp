#pragma once

// A loss that couples the rows of a batch, while the batch is passed in shards: the columns of all rows, without a
// record; then the loss and the adjoints of these numbers alone; then the shards again, recorded, from these adjoints.

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <pushforward/error.hpp>
#include <pushforward/training/losses.hpp>

#include "src/core/number_text.hpp"
#include "src/kernels/kernels.hpp"

namespace pushforward::detail {

/// What a loss gave. A column that nobody made stands for 0, on which nothing can be trained.
template <Scalar T>
Column<T> some_column(const char* option, Column<T> loss) {
  if (loss.is_zero())
    throw ShapeError(
        Notice{.problem = fmt::format("{}: expected a column with the loss, got an empty one (Column<T>()), which is 0 "
                                      "in every row and trains nothing",
                                      option),
               .option = option,
               .way_out = "; return what operations on the rows gave, such as -flow.log_prob(pass, y)"});
  return loss;
}

/// What `objective.batch` or `objective.coupling` gave: the same number in every row, or else refused by the option's
/// name. Entered by all threads of a group together.
template <Scalar T>
Column<T> one_number(const char* option, Tape<T>& tape, Column<T> loss) {
  tape.barrier();
  some_column((std::string("objective.") + option).c_str(), loss);
  const double* values = loss.node()->value;
  for (Index i = 1; i < tape.rows(); ++i)
    if (values[i] != values[0] && !(std::isnan(values[i]) && std::isnan(values[0])))
      throw ShapeError(Notice{
          .problem = fmt::format("objective.{}: expected one number for the batch, the same in every row of the column, "
                                 "got {} in row 0 and {} in row {}",
                                 option, unsigned_nan(values[0]), unsigned_nan(values[i]), i),
          .option = std::string("objective.") + option,
          .way_out = "; batch_sum and batch_log_sum_exp make one number of a column"});
  return loss;
}

/// What `objective.columns` gave; a column that is zero in every row becomes one of zeros.
template <Scalar T>
std::vector<Column<T>> some_columns(Tape<T>& tape, std::vector<Column<T>> columns) {
  if (columns.empty())
    throw ShapeError(
        Notice{.problem = "objective.columns: expected at least one column, with a number for each row, got none",
               .option = "objective.columns"});
  for (Column<T>& column : columns)
    if (column.is_zero()) column = constant_column(tape, 0.0);
  return columns;
}

/// Shared by the threads of a group, which enter all but `start` together.
template <Scalar T>
class CoupledColumns {
 public:
  void start(Index rows) {
    rows_ = rows;
    count_ = 0;
  }

  /// The tape's rows are those of the batch from `first` on. What no shard of this process stores is zero.
  void store(Tape<T>& tape, const std::vector<Column<T>>& columns, Index first) {
    if (tape.rank() == 0 && count_ == 0) {
      count_ = static_cast<Index>(columns.size());
      values_.assign(static_cast<std::size_t>(count_ * rows_), 0.0);
      adjoints_.resize(values_.size());
    }
    tape.barrier();
    check(columns);
    for (Index k = 0; k < count_; ++k)
      if (const Column<T>& column = columns[static_cast<std::size_t>(k)]; !column.is_zero())
        std::copy_n(column.values(), tape.local_rows(), values_.data() + k * rows_ + first + tape.begin());
  }

  /// For several processes to add up.
  std::span<double> values() { return values_; }

  /// The loss, on a tape of the whole batch, and the adjoints. `seed`: of each of its rows.
  double couple(Tape<T>& tape, const BatchCoupling<T>& coupling, const double* seed) {
    const std::vector<Column<T>> columns = on(tape);
    const Column<T> loss = one_number("coupling", tape, coupling(columns));
    const double sum = kernels::table<double>().sum(loss.node()->value, rows_);
    tape.backward(loss, seed);
    for (Index k = 0; k < count_; ++k)
      std::copy_n(tape.gradient(columns[static_cast<std::size_t>(k)]), tape.local_rows(),
                  adjoints_.data() + k * rows_ + tape.begin());
    tape.barrier();
    return sum / static_cast<double>(rows_);
  }

  /// The loss alone.
  double value(Tape<T>& tape, const BatchCoupling<T>& coupling) const {
    return one_number("coupling", tape, coupling(on(tape))).node()->value[0];
  }

  /// Puts the adjoints where the columns are to be differentiated from.
  void seed(Tape<T>& tape, const std::vector<Column<T>>& columns, Index first) const {
    check(columns);
    for (Index k = 0; k < count_; ++k) {
      const Column<T>& column = columns[static_cast<std::size_t>(k)];
      if (column.is_zero() || !column.node()->wanted) continue;
      const double* from = adjoints_.data() + k * rows_ + first + tape.begin();
      double* to = tape.gradient(column);
      for (Index i = 0; i < tape.local_rows(); ++i) to[i] += from[i];
    }
  }

 private:
  void check(const std::vector<Column<T>>& columns) const {
    if (static_cast<Index>(columns.size()) != count_)
      throw ShapeError(fmt::format("objective.columns: gave {} columns, and {} for other rows of the same batch",
                                   columns.size(), count_));
  }
  std::vector<Column<T>> on(Tape<T>& tape) const {
    std::vector<Column<T>> columns;
    for (Index k = 0; k < count_; ++k) {
      columns.push_back(tape.column(true));
      const double* from = values_.data() + k * rows_ + tape.begin();
      double* to = tape.value(columns.back());
      for (Index i = 0; i < tape.padded_rows(); ++i) to[i] = i < tape.local_rows() ? from[i] : 0.0;
    }
    return columns;
  }

  Index rows_ = 0;
  Index count_ = 0;
  std::vector<double> values_;    // of one column after the other, all rows
  std::vector<double> adjoints_;  // likewise
};

}  // namespace pushforward::detail
