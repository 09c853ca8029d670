#include <pushforward/training/baseline.hpp>

#include <cmath>
#include <string>
#include <utility>

#include <fmt/format.h>

#include <pushforward/error.hpp>

#include "distributions/gaussian.hpp"

namespace pushforward {

namespace {

constexpr const char* fit_name = "GaussianBaseline::fit";

Matrix<double> side_by_side(MatrixView<const double> data, MatrixView<const double> context) {
  Matrix<double> both(data.rows(), data.cols() + context.cols());
  for (Index c = 0; c < both.cols(); ++c)
    for (Index i = 0; i < both.rows(); ++i) both(i, c) = c < data.cols() ? data(i, c) : context(i, c - data.cols());
  return both;
}

void check_context_rows(const char* where, MatrixView<const double> data, MatrixView<const double> context) {
  if (context.cols() > 0 && context.rows() != data.rows())
    throw ShapeError(fmt::format("{}: expected a context of {} rows, one for each of the data, got {}", where,
                                 data.rows(), context.rows()));
}

MultivariateNormalTriL<double> gaussian(Index dim, const detail::ForEachRow& rows) {
  const detail::GaussianMoments moments = detail::fit_gaussian(fit_name, dim, rows);
  return MultivariateNormalTriL<double>(moments.mean, moments.scale_tril);
}

}  // namespace

GaussianBaseline GaussianBaseline::fit(Index dim, Index context_dim, const ForEachRow& rows) {
  if (dim < 1) throw ShapeError(std::string(fit_name) + ": expected at least one column, got none");
  try {
    GaussianBaseline baseline(dim, gaussian(dim + context_dim, rows));
    if (context_dim > 0)
      baseline.marginal_ = gaussian(context_dim, [&](const std::function<void(const double*, double)>& f) {
        rows([&](const double* row, double weight) { f(row + dim, weight); });
      });
    return baseline;
  } catch (const DomainError& error) {
    // Columns of the context come after those of the data.
    Notice notice = error.notice();
    for (const std::ptrdiff_t c : std::exchange(notice.columns, {}))
      c < dim ? notice.columns.push_back(c) : notice.context_columns.push_back(c - dim);
    throw DomainError(std::move(notice));
  }
}

GaussianBaseline GaussianBaseline::fit(MatrixView<const double> data, MatrixView<const double> context,
                                       VectorView<const double> weights) {
  check_context_rows(fit_name, data, context);
  if (!weights.empty() && weights.size() != data.rows())
    throw ShapeError(fmt::format("{}: expected {} weights, one for each row, got {}", fit_name, data.rows(),
                                 weights.size()));
  const auto refuse = [](Index row, Index column, bool of_context, const std::string& problem) {
    Notice notice{.where = std::string(fit_name) + ": ", .set = "data", .row = row, .problem = problem};
    if (column >= 0) (of_context ? notice.context_columns : notice.columns) = {column};
    throw DomainError(std::move(notice));
  };
  for (Index i = 0; i < data.rows(); ++i) {
    if (!weights.empty() && !(weights[i] >= 0 && std::isfinite(weights[i])))
      refuse(i, -1, false, fmt::format(" has the weight {}; expected a finite number >= 0", weights[i]));
    for (const bool of_context : {false, true})
      for (Index c = 0; c < (of_context ? context : data).cols(); ++c)
        if (!std::isfinite((of_context ? context : data)(i, c)))
          refuse(i, c, of_context, " is not finite; every value must be");
  }
  return fit(data.cols(), context.cols(), [&](const std::function<void(const double*, double)>& f) {
    Eigen::VectorXd row(data.cols() + context.cols());
    for (Index i = 0; i < data.rows(); ++i) {
      for (Index c = 0; c < row.size(); ++c) row[c] = c < data.cols() ? data(i, c) : context(i, c - data.cols());
      f(row.data(), weights.empty() ? 1.0 : weights[i]);
    }
  });
}

void GaussianBaseline::log_prob_into(MatrixView<const double> data, VectorView<double> out,
                                     MatrixView<const double> context) const {
  constexpr const char* where = "GaussianBaseline::log_prob";
  if (data.cols() != dim_ || context.cols() != context_dim())
    throw ShapeError(fmt::format("{}: expected {} columns and {} of context, got {} and {}", where, dim_, context_dim(),
                                 data.cols(), context.cols()));
  check_context_rows(where, data, context);
  if (!marginal_) return joint_.log_prob_into(data, out);
  joint_.log_prob_into(side_by_side(data, context), out);
  as_eigen(out) -= marginal_->log_prob(context);
}

}  // namespace pushforward
