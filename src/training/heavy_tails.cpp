#include "src/training/heavy_tails.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <Eigen/Core>

#include "src/numerics/special_functions.hpp"

namespace pushforward::detail {

namespace {

struct Tail {
  double df = 30;
  bool heavy = false;
};

/// Log density of a Student t variable of the given scale.
double student_t(double z, double df, double scale) {
  return std::lgamma((df + 1) / 2) - std::lgamma(df / 2) - 0.5 * std::log(df * std::numbers::pi) - std::log(scale) -
         0.5 * (df + 1) * std::log1p(z / scale * (z / scale) / df);
}

Tail tail_of(const Eigen::VectorXd& values, const Eigen::VectorXd& weights) {
  const Eigen::Index n = values.size();
  Eigen::VectorXd sorted = values;
  std::sort(sorted.begin(), sorted.end());
  const auto quantile = [&](double p) { return sorted[static_cast<Eigen::Index>(p * static_cast<double>(n - 1))]; };
  const double median = quantile(0.5), half_width = 0.5 * (quantile(0.75) - quantile(0.25));
  const double total = weights.sum(), mean = values.dot(weights) / total;
  const double variance = (values.array() - mean).square().matrix().dot(weights) / total;
  if (!(half_width > 0) || !(variance > 0) || !std::isfinite(variance)) return {};
  const auto normal = [&](double y) {
    return -0.5 * (std::log(2 * std::numbers::pi * variance) + (y - mean) * (y - mean) / variance);
  };
  Tail best;
  double most = 0.03;
  for (const double df : {1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 15.0}) {
    const double quartile = student_t_quantile(df, 0.75);
    double sum = 0, square = 0;
    for (Eigen::Index i = 0; i < n; ++i) {
      const double gain = student_t(values[i] - median, df, half_width / quartile) - normal(values[i]);
      sum += weights[i] * gain;
      square += weights[i] * gain * gain;
    }
    const double gain = sum / total, spread = std::max(square / total - gain * gain, 0.0);
    const double error = std::sqrt(spread / static_cast<double>(n));
    // Gains from far rows have an error of their own size, so that they count from one error on.
    if (gain > most && gain > error) {
      most = gain;
      best = {df, true};
    }
  }
  return best;
}

}  // namespace

template <class T>
Tails tails_of(MatrixView<const T> rows, const std::vector<double>& weights) {
  Tails tails;
  if (rows.rows() < 20) return {std::vector<double>(static_cast<std::size_t>(rows.cols()), Tail().df)};
  Eigen::VectorXd w = Eigen::VectorXd::Ones(rows.rows());
  for (std::size_t i = 0; i < weights.size(); ++i) w[static_cast<Eigen::Index>(i)] = weights[i];
  Eigen::VectorXd column(rows.rows());
  for (Index c = 0; c < rows.cols(); ++c) {
    for (Index i = 0; i < rows.rows(); ++i) column[i] = static_cast<double>(rows(i, c));
    const Tail tail = tail_of(column, w);
    tails.heavy = tails.heavy || tail.heavy;
    tails.df.push_back(tail.df);
  }
  return tails;
}

template Tails tails_of(MatrixView<const float>, const std::vector<double>&);
template Tails tails_of(MatrixView<const double>, const std::vector<double>&);

}  // namespace pushforward::detail
