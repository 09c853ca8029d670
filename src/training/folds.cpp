#include "src/training/folds.hpp"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include <pushforward/training/split.hpp>

namespace pushforward::detail {

namespace {

constexpr Index judge_rows = 20'000;
// Where a score takes the mean over many points of a cell.
constexpr Index rounded_judge_rows = 4'000;

template <class S>
Matrix<S> take(MatrixView<const S> m, const std::vector<std::int64_t>& rows) {
  Matrix<S> out(static_cast<Index>(rows.size()), m.cols());
  for (Index c = 0; c < m.cols(); ++c)
    for (Index i = 0; i < out.rows(); ++i) out(i, c) = m(static_cast<Index>(rows[static_cast<std::size_t>(i)]), c);
  return out;
}

}  // namespace

template <Scalar T>
Folds<T>::Folds(MatrixView<const T> data, const FitBestOptions<T>& options, std::vector<GridColumn> rounded)
    : data_(data), options_(options), rounded_(std::move(rounded)) {
  if (options.rounded) check_grids();  // those that were found have been
  const FitOptions<T>& o = options_.fit;
  std::vector<std::int64_t>& all = counted_;
  all.reserve(static_cast<std::size_t>(data_.rows()));
  for (Index i = 0; i < data_.rows(); ++i)
    if (o.weights.empty() || o.weights[i] != 0) all.push_back(i);
  Index folds = options_.folds;
  if (folds == 0)
    folds = rows() < few_rows && o.validation.rows() == 0 ? std::clamp<Index>(rows() / 2, 2, 5) : 1;
  if (rows() < 2 * folds)
    throw DomainError(fmt::format("fit_best: {} rows are too few to be judged in {} folds; expected at least {}, or one "
                                  "model without a race",
                                  rows(), folds, 2 * folds));
  if (folds > 1 && o.validation.rows() > 0)
    throw DomainError("fit_best: rows for validation are given, so folds must be 1");
  if (folds == 1 && o.validation.rows() == 0) {
    const RowSplit split = split_rows(data_.rows(), o.validation_fraction, o.seed, o.weights);
    if (split.validation.empty())
      throw DomainError(
          fmt::format("fit_best: validation_fraction {:g} leaves no row to judge by", o.validation_fraction));
    folds_.push_back(fold_of(some(split.train, race_rows, "race"), some(split.validation, judges(), "judges")));
  } else if (folds == 1) {
    folds_.push_back(fold_of(some(all, race_rows, "race"), {}));
  } else {
    std::vector<std::int64_t> order(all.size());
    permutation(Engine(o.seed).stream("folds").next_call(), order);
    for (Index f = 0; f < folds; ++f) {
      std::vector<std::int64_t> train, validation;
      for (std::size_t i = 0; i < order.size(); ++i)
        (static_cast<Index>(i) % folds == f ? validation : train).push_back(all[static_cast<std::size_t>(order[i])]);
      for (auto* rows : {&train, &validation}) std::sort(rows->begin(), rows->end());
      folds_.push_back(fold_of(train, validation));
    }
  }
  for (const Fold<T>& fold : folds_)
    judge_weights_.insert(judge_weights_.end(), fold.validation_weights.begin(), fold.validation_weights.end());
}

template <Scalar T>
void Folds<T>::check_grids() const {
  for (const auto& [column, grid, found] : rounded_)
    for (Index i = 0; i < data_.rows(); ++i)
      if (const double v = static_cast<double>(data_(i, column)); !grid.contains(v))
        throw DomainError(Notice{.where = "fit_best: ",
                                 .set = "data",
                                 .row = i,
                                 .columns = {column},
                                 .problem = fmt::format(": {:.9g} is none of the numbers {:g} + {:g} k", v, grid.origin,
                                                        grid.step),
                                 .way_out = sizeof(T) == 4 ? ", or float cannot tell; take double" : ""});
}

template <Scalar T>
Index Folds<T>::judges() const {
  return rounded_.empty() ? judge_rows : rounded_judge_rows;
}

/// At most so many of the rows, at random, in their order.
template <Scalar T>
std::vector<std::int64_t> Folds<T>::some(const std::vector<std::int64_t>& rows, Index most, const char* stream) const {
  if (static_cast<Index>(rows.size()) <= most) return rows;
  std::vector<std::int64_t> order(rows.size());
  permutation(Engine(options_.fit.seed).stream(stream).next_call(), order);
  order.resize(static_cast<std::size_t>(most));
  std::sort(order.begin(), order.end());
  for (std::int64_t& i : order) i = rows[static_cast<std::size_t>(i)];
  return order;
}

/// Without rows of the data to judge by: those of the options, if any.
template <Scalar T>
Fold<T> Folds<T>::fold_of(const std::vector<std::int64_t>& train, const std::vector<std::int64_t>& validation) const {
  const FitOptions<T>& o = options_.fit;
  Fold<T> fold;
  fold.train = take<T>(data_, train);
  if (o.context.rows() > 1) fold.context = take<T>(o.context, train);
  if (!o.weights.empty())
    for (const std::int64_t i : train) fold.weights.push_back(o.weights[i]);
  if (validation.empty()) {
    std::vector<std::int64_t> all(static_cast<std::size_t>(o.validation.rows()));
    std::iota(all.begin(), all.end(), std::int64_t{0});
    all = some(all, judges(), "judges");
    fold.validation = take<T>(o.validation, all);
    if (o.validation_context.rows() > 1) fold.validation_context = take<T>(o.validation_context, all);
    else if (o.validation_context.rows() == 1) fold.validation_context = take<T>(o.validation_context, {0});
    if (!o.validation_weights.empty())
      for (const std::int64_t i : all) fold.validation_weights.push_back(o.validation_weights[i]);
  } else {
    fold.validation = take<T>(data_, validation);
    if (o.context.rows() > 1) fold.validation_context = take<T>(o.context, validation);
    else if (o.context.rows() == 1) fold.validation_context = take<T>(o.context, {0});
    if (!o.weights.empty())
      for (const std::int64_t i : validation) fold.validation_weights.push_back(o.weights[i]);
  }
  Engine noise = Engine(o.seed).stream("cells");
  fold.smooth = dequantized<T>(fold.train, rounded_, noise);
  if (fold.validation.rows() > 0) fold.smooth_validation = dequantized<T>(fold.validation, rounded_, noise);
  return fold;
}

template class Folds<float>;
template class Folds<double>;

}  // namespace pushforward::detail
