#pragma once

// The rows of a race: which ones its candidates are trained on, and which ones judge them.

#include <cstdint>
#include <vector>

#include <pushforward/training/fit_best.hpp>

namespace pushforward::detail {

/// Below, rows are judged in folds.
inline constexpr Index few_rows = 2'000;

/// Rows to train on and rows to judge by, in memory of their own.
template <Scalar T>
struct Fold {
  Matrix<T> train, context, validation, validation_context;
  Matrix<T> smooth, smooth_validation;  // with noise in rounded columns, for what starts from densities
  std::vector<double> weights, validation_weights;  // empty: none

  FitOptions<T> options(FitOptions<T> o) const {
    if (o.context.rows() > 1) o.context = context;
    if (!weights.empty()) o.weights = weights;
    o.validation = validation;
    if (validation.rows() == 0) o.validation_fraction = 0;  // all rows are to train on
    if (o.context.cols() > 0) o.validation_context = validation_context;
    if (!validation_weights.empty()) o.validation_weights = validation_weights;
    return o;
  }
};

/// The parts of a table, one for each model of a candidate. `data` and `options` are looked at as long as it lives.
template <Scalar T>
class Folds {
 public:
  /// Of more rows as many race, at random.
  static constexpr Index race_rows = 50'000;

  /// @throws DomainError  if there are too few rows to judge by, or a value is none of its grid.
  Folds(MatrixView<const T> data, const FitBestOptions<T>& options, std::vector<GridColumn> rounded);

  Index size() const { return static_cast<Index>(folds_.size()); }
  const Fold<T>& operator[](std::size_t i) const { return folds_[i]; }
  typename std::vector<Fold<T>>::const_iterator begin() const { return folds_.begin(); }
  typename std::vector<Fold<T>>::const_iterator end() const { return folds_.end(); }

  /// With a weight above 0.
  Index rows() const { return static_cast<Index>(counted_.size()); }
  /// Of the rows that judge, fold after fold; none if there are no weights.
  const std::vector<double>& judge_weights() const { return judge_weights_; }
  /// All rows to train on, and the rows of the options, if any, to judge by.
  Fold<T> whole() const { return fold_of(counted_, {}); }

 private:
  void check_grids() const;
  Index judges() const;
  std::vector<std::int64_t> some(const std::vector<std::int64_t>& rows, Index most, const char* stream) const;
  Fold<T> fold_of(const std::vector<std::int64_t>& train, const std::vector<std::int64_t>& validation) const;

  MatrixView<const T> data_;
  const FitBestOptions<T>& options_;
  std::vector<GridColumn> rounded_;
  std::vector<std::int64_t> counted_;
  std::vector<Fold<T>> folds_;
  std::vector<double> judge_weights_;
};

}  // namespace pushforward::detail
