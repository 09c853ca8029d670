#include "src/training/rows.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include <pushforward/training/baseline.hpp>

#include "src/core/number_text.hpp"
#include "src/training/checksum.hpp"
#include "src/training/grids.hpp"

namespace pushforward::detail {

std::vector<Index> batch_bounds(Index n, Index batch_size) {
  std::vector<Index> bounds{0};
  while (bounds.back() < n) {
    const Index rest = n - bounds.back();
    // What remains is one batch, or a batch and a bit that is too small to be one.
    const bool last = rest <= batch_size || 2 * (rest - batch_size) < batch_size;
    bounds.push_back(last ? n : bounds.back() + batch_size);
  }
  return bounds;
}

namespace {

template <class T>
void check_finite(const std::string& where, const char* what, MatrixView<const T> m, bool is_context) {
  for (Index i = 0; i < m.rows(); ++i)
    for (Index c = 0; c < m.cols(); ++c)
      if (!std::isfinite(m(i, c))) {
        Notice notice{.where = where + ": ",
                      .set = what,
                      .row = i,
                      .problem = fmt::format(" is {}", unsigned_nan(static_cast<double>(m(i, c)))),
                      .way_out = "; every value must be finite"};
        (is_context ? notice.context_columns : notice.columns) = {c};
        throw DomainError(std::move(notice));
      }
}

}  // namespace

template <Scalar T>
void FitRows<T>::check(const std::string& where, const char* what, MatrixView<const T> data,
                       MatrixView<const T> context, VectorView<const double> weights, const FitOptions<T>& options,
                       std::vector<double>& relative) const {
  check_columns(where, what, data, dim_);
  check_context(where, (std::string(what) + " context").c_str(), context, data.rows(), context_dim_);
  if (weights.size() != 0 && weights.size() != data.rows())
    throw ShapeError(fmt::format("{}: expected {} weights for the {} rows, got {}", where, data.rows(), what,
                                 weights.size()));
  check_finite(where, what, data, false);
  check_finite(where, what, context, true);
  relative.resize(static_cast<std::size_t>(weights.size()));
  for (Index i = 0; i < weights.size(); ++i) {
    if (!std::isfinite(weights[i]) || (weights[i] < 0 && (!options.allow_negative_weights || options.weighted_statistics)))
      throw DomainError(Notice{
          .where = where + ": weight of ",
          .set = what,
          .row = i,
          .problem = fmt::format(" is {}", unsigned_nan(weights[i])),
          .option = "weights",
          .way_out = std::string("; expected a finite number >= 0") +
                     (weights[i] < 0 && !options.weighted_statistics ? " (or allow_negative_weights)" : "")});
    relative[static_cast<std::size_t>(i)] = weights[i];
  }
}

namespace {

/// Divides by the mean over the listed rows.
void make_relative(const std::string& where, const char* what, std::vector<double>& weights,
                   const std::vector<std::int64_t>& rows) {
  if (weights.empty()) return;
  double sum = 0;
  for (const std::int64_t row : rows) sum += weights[static_cast<std::size_t>(row)];
  if (!(sum > 0) || !std::isfinite(sum))
    throw DomainError(fmt::format("{}: the weights of the {} rows sum to {}; expected a positive number", where, what,
                                  sum));
  const double mean = sum / static_cast<double>(rows.size());
  for (double& w : weights) w /= mean;
}

}  // namespace

template <Scalar T>
FitRows<T>::FitRows(const std::string& where, const Space& support, Index context_dim, MatrixView<const T> data,
                    const FitOptions<T>& options)
    : dim_(support.columns()),
      on_surface_(support.dimensions() < support.columns()),
      context_dim_(context_dim),
      data_(data),
      context_(options.context) {
  check(where, "data", data, options.context, options.weights, options, weights_);
  separate_validation_ = options.validation.rows() > 0;
  const double fraction = separate_validation_ ? 0 : options.validation_fraction;
  RowSplit split = split_rows(where, data.rows(), fraction, options.seed, weights_);
  train_ = std::move(split.train);
  if (train_.empty())
    throw DomainError(where + (data.rows() == 0 ? ": there are no rows of data" : ": all weights are zero"));

  if (separate_validation_) {
    validation_ = options.validation;
    validation_context_ = options.validation_context;
    check(where, "validation", validation_, validation_context_, options.validation_weights, options,
          validation_weights_);
    validation_rows_ = split_rows(where, validation_.rows(), 0, options.seed, validation_weights_).train;
  } else if (!split.validation.empty()) {
    validation_rows_ = std::move(split.validation);
    validation_weights_ = weights_;
  }
  validation_count_ = static_cast<Index>(validation_rows_.size());
  make_relative(where, "training", weights_, train_);
  if (validation_count_ > 0) make_relative(where, "validation", validation_weights_, validation_rows_);

  // Batches are gathered row by row.
  if (data.col_stride() != 1 && dim_ > 1) {
    copy_ = Tensor<T>({data.rows(), dim_});
    for (Index c = 0; c < dim_; ++c)
      for (Index i = 0; i < data.rows(); ++i) copy_(i, c) = data(i, c);
    data_ = copy_.matrix();
  }
  if (!separate_validation_) {
    validation_ = data_;
    validation_context_ = context_;
  }
  find_repeated_values(support);
}

template <Scalar T>
RowSource<T> FitRows<T>::train_source(const std::int64_t* order) const {
  return {.data = data_,
          .context = context_,
          .index = order,
          .weights = weights_.empty() ? nullptr : weights_.data()};
}

template <Scalar T>
RowSource<T> FitRows<T>::validation_source() const {
  return {.data = validation_,
          .context = validation_context_,
          .index = validation_rows_.data(),
          .weights = validation_weights_.empty() ? nullptr : validation_weights_.data()};
}

template <Scalar T>
void FitRows<T>::find_repeated_values(const Space& support) {
  std::vector<const Grid*> grids;
  for (const Space::Block& block : support.blocks())
    for (Index c = 0; c < block.columns; ++c)
      grids.push_back(block.grids.empty() ? nullptr : &block.grids[static_cast<std::size_t>(c)]);
  std::vector<Index> constant;
  for (Index c = 0; c < dim_; ++c) {
    std::vector<T> values =
        some_values(data_, c, train_.size(), [&](std::size_t i) { return static_cast<Index>(train_[i]); });
    const ColumnValues column = look_at(values);
    repeated_.push_back(column.repeated);
    const RepeatedValues& r = column.repeated;
    if (grids[static_cast<std::size_t>(c)]) {
      log_steps_ += std::log(grids[static_cast<std::size_t>(c)]->step);
    } else if (r.smallest_step == 0 && column.often) {
      constant.push_back(c);
    } else if (column.atom) {
      warnings_.push_back({.columns = {c},
                           .problem = fmt::format(": {:.1f} % of the values are {:g}: no density has room for that, and "
                                                  "this one can grow without limit there",
                                                  100 * r.commonest_share, r.commonest),
                           .way_out = "; model by itself whether it is that value, and the other rows"});
    } else if (column.often) {
      warnings_.push_back(
          {.columns = {c},
           .problem = fmt::format(": {:.1f} % of the values are repeated (smallest step {:g}): the density can grow "
                                  "without limit there",
                                  100 * r.share, r.smallest_step),
           .option = column.grid ? "rounded" : "",
           .way_out = column.grid ? "; Quantized gives each value the mass of its cell"
                                  : "; they lie on no grid: look for rows that were copied"});
    }
  }
  if (constant.size() == 1)
    warnings_.push_back({.columns = constant,
                         .problem = " holds one value only: its density has no finite maximum",
                         .option = "drop",
                         .way_out = "; leave the column out"});
  if (constant.size() > 1)
    warnings_.push_back({.columns = constant,
                         .problem = " hold one value each: a density of them has no finite maximum",
                         .option = "drop",
                         .way_out = "; leave these columns out"});
}

template <Scalar T>
double FitRows<T>::gaussian_baseline() const {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  // One row of context for all tells nothing.
  const Index given = context_.rows() == 1 ? 0 : context_dim_, width = dim_ + given;
  // Nor has a surface a Gaussian in all of its columns.
  if (width > 1000 || on_surface_) return nan;
  using RowsOfDoubles = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  // Rows as `fit` sees them, in blocks, each followed by its context.
  const auto for_blocks = [&](const RowSource<T>& source, Index count, const auto& f) {
    constexpr Index block = 512;
    RowsOfDoubles rows;
    Arena batch, local;
    for (Index begin = 0; begin < count; begin += block) {
      Tape<T> tape(Tape<T>::Mode::evaluate, {batch, local}, std::min(block, count - begin));
      rows.resize(tape.rows(), width);
      const auto take = [&](Var<T> from, Index first) {
        for (Index c = 0; c < from.cols(); ++c)
          for (Index i = 0; i < tape.rows(); ++i)
            rows(i, first + c) = static_cast<double>(tape.value(from, c)[from.is_shared() ? 0 : i]);
      };
      take(source.load_data(tape, begin), 0);
      if (given > 0) take(source.load_context(tape, begin), dim_);
      f(begin, std::as_const(rows));
    }
  };
  const auto weight = [](const RowSource<T>& s, Index i) { return s.weights ? s.weights[s.row(i)] : 1.0; };
  const RowSource<T> train = train_source(train_.data());
  const auto count = static_cast<Index>(train_.size());
  try {
    const auto gaussian = GaussianBaseline::fit(dim_, given, [&](const auto& f) {
      for_blocks(train, count, [&](Index begin, const RowsOfDoubles& rows) {
        for (Index i = 0; i < rows.rows(); ++i) f(rows.row(i).data(), weight(train, begin + i));
      });
    });
    double sum = 0, weights = 0;
    const RowSource<T> judged = validation_count_ > 0 ? validation_source() : train;
    for_blocks(judged, validation_count_ > 0 ? validation_count_ : count, [&](Index begin, const RowsOfDoubles& rows) {
      const Eigen::VectorXd log_prob = gaussian.log_prob(rows.leftCols(dim_), rows.rightCols(given));
      for (Index i = 0; i < rows.rows(); ++i) {
        sum += weight(judged, begin + i) * log_prob[i];
        weights += weight(judged, begin + i);
      }
    });
    return sum / weights + log_steps_;
  } catch (const DomainError&) {
    return nan;
  }
}

template <Scalar T>
std::uint64_t FitRows<T>::checksum() const {
  Checksum sum;
  const auto add_matrix = [&](MatrixView<const T> m) {
    sum.add(static_cast<std::uint64_t>(m.rows()));
    sum.add(static_cast<std::uint64_t>(m.cols()));
    for (Index i = 0; i < m.rows(); ++i)
      for (Index c = 0; c < m.cols(); ++c) sum.add(static_cast<double>(m(i, c)));
  };
  add_matrix(data_);
  add_matrix(context_);
  for (const double w : weights_) sum.add(w);
  if (separate_validation_) {
    add_matrix(validation_);
    add_matrix(validation_context_);
    for (const double w : validation_weights_) sum.add(w);
  }
  return sum.value();
}

template class FitRows<float>;
template class FitRows<double>;

}  // namespace pushforward::detail
