#pragma once

// The rows that a run trains on and is judged by: checks, split, repeated values, and loading onto tapes.

#include <cstdint>
#include <string>
#include <vector>

#include <pushforward/training/fit.hpp>
#include <pushforward/training/split.hpp>

#include "src/core/evaluate.hpp"

namespace pushforward::detail {

/// The public `split_rows` for a call whose name starts the texts.
RowSplit split_rows(const std::string& where, Index rows, double validation_fraction, std::uint64_t seed,
                    VectorView<const double> weights);

/// Rows by position: those that `index` lists, or all.
template <Scalar T>
struct RowSource {
  MatrixView<const T> data;
  MatrixView<const T> context;              // 0 columns: none; one row: the same for all
  const std::int64_t* index = nullptr;      // row of the data at each position
  const double* weights = nullptr;          // of each row of the data, relative to their mean
  bool weighted_statistics = false;         // the weights count in averages over a batch too

  Index row(Index position) const { return index ? static_cast<Index>(index[position]) : position; }

  /// The rows at the positions [first, first + tape.rows()).
  Var<T> load_data(Tape<T>& tape, Index first) const {
    return load_rows(tape, data, first);
  }
  Var<T> load_context(Tape<T>& tape, Index first) const {
    if (context.cols() == 0) return {};
    return context.rows() == 1 ? load(tape, context, false, true) : load_rows(tape, context, first);
  }
  Column<T> load_weights(Tape<T>& tape, Index first) const {
    const Column<T> w = tape.column(false);
    double* out = tape.value(w);
    for (Index i = 0; i < tape.padded_rows(); ++i)
      out[i] = i < tape.local_rows() ? weights[row(first + tape.begin() + i)] : 0.0;
    return w;
  }
  /// For Pass::Settings::row_weights.
  Var<T> load_row_weights(Tape<T>& tape, Index first) const {
    return weighted_statistics && weights ? to_matrix(load_weights(tape, first)) : Var<T>();
  }
  /// How much the rows at these positions count in such averages.
  double count(Index first, Index n) const {
    if (!weighted_statistics || !weights) return static_cast<double>(n);
    double sum = 0;
    for (Index i = first; i < first + n; ++i) sum += weights[row(i)];
    return sum;
  }

 private:
  Var<T> load_rows(Tape<T>& tape, MatrixView<const T> from, Index first) const {
    const Index n = tape.local_rows(), cols = from.cols(), ld = tape.leading_dimension();
    const Var<T> x = tape.matrix(cols, false);
    if (cols == 0) return x;
    T* out = tape.value(x, 0);
    for (Index i = 0; i < n; ++i) {
      const T* in = from.data() + row(first + tape.begin() + i) * from.row_stride();
      for (Index c = 0; c < cols; ++c) out[c * ld + i] = in[c * from.col_stride()];
    }
    for (Index c = 0; c < cols; ++c) std::fill(out + c * ld + n, out + c * ld + tape.padded_rows(), T(0));
    return x;
  }
};

/// Sizes of the batches that n rows make: a last one below half of `batch_size` joins the one before.
/// Returned are the first positions, and n at the end.
std::vector<Index> batch_bounds(Index n, Index batch_size);

/// Data as `fit` sees it.
template <Scalar T>
class FitRows {
 public:
  /// `where` starts the error texts. Columns that `support` puts on a grid may repeat values.
  FitRows(const std::string& where, const Space& support, Index context_dim, MatrixView<const T> data,
          const FitOptions<T>& options);

  const std::vector<std::int64_t>& train() const { return train_; }
  Index validation_count() const { return validation_count_; }
  /// Training rows at the positions of `order`, which lists rows of the data.
  RowSource<T> train_source(const std::int64_t* order) const;
  RowSource<T> validation_source() const;
  /// Weight of the position of a source; 1 where there are none.
  bool weighted() const { return !weights_.empty(); }
  bool validation_weighted() const { return !validation_weights_.empty(); }

  const std::vector<RepeatedValues>& repeated_values() const { return repeated_; }
  const std::vector<Notice>& warnings() const { return warnings_; }

  /// The training rows' mean log-likelihood, or the validation rows', by the GaussianBaseline of the training rows; its
  /// density times the steps of columns on grids.
  double gaussian_baseline() const;
  /// A checksum of all numbers.
  std::uint64_t checksum() const;

 private:
  void check(const std::string& where, const char* what, MatrixView<const T> data, MatrixView<const T> context,
             VectorView<const double> weights, const FitOptions<T>& options, std::vector<double>& relative) const;
  void find_repeated_values(const Space& support);

  Index dim_;
  bool on_surface_;
  Index context_dim_;
  Tensor<T> copy_;  // by rows, where the caller's data is by columns
  MatrixView<const T> data_;
  MatrixView<const T> context_;
  std::vector<double> weights_;  // relative to the mean weight of the training rows; empty: all one
  MatrixView<const T> validation_;
  MatrixView<const T> validation_context_;
  std::vector<double> validation_weights_;
  std::vector<std::int64_t> train_;
  std::vector<std::int64_t> validation_rows_;  // of the data, unless there is separate validation data
  Index validation_count_ = 0;
  bool separate_validation_ = false;
  double log_steps_ = 0;  // of columns on grids
  std::vector<RepeatedValues> repeated_;
  std::vector<Notice> warnings_;
};

extern template class FitRows<float>;
extern template class FitRows<double>;

}  // namespace pushforward::detail
