#include "distributions/gaussian.hpp"

#include <cmath>
#include <limits>

#include <pushforward/distributions/multivariate_normal_diag.hpp>
#include <pushforward/distributions/multivariate_normal_tril.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/error.hpp>

namespace pushforward::detail {

namespace {

// y = mean + scale z: with a lower triangular scale, or a diagonal one if `scale` is empty.
struct Gaussian {
  Eigen::VectorXd mean;
  Eigen::VectorXd log_diagonal;
  Eigen::MatrixXd scale;
};

Eigen::VectorXd to_vector(const auto& tensor) {
  Eigen::VectorXd v(tensor.size());
  for (Index i = 0; i < tensor.size(); ++i) v[i] = static_cast<double>(tensor[i]);
  return v;
}

template <Scalar T>
std::optional<Gaussian> as_gaussian(const Distribution<T>& d) {
  if (const auto* normal = dynamic_cast<const Normal<T>*>(&d))
    return Gaussian{normal->mean(), to_vector(normal->log_scale()), {}};
  if (const auto* diagonal = dynamic_cast<const MultivariateNormalDiag<T>*>(&d))
    return Gaussian{diagonal->mean(), to_vector(diagonal->log_scale()), {}};
  if (const auto* full = dynamic_cast<const MultivariateNormalTriL<T>*>(&d))
    return Gaussian{full->mean(), to_vector(full->log_diagonal()), full->scale_tril()};
  return std::nullopt;
}

}  // namespace

// With p = mean + A z and q = other_mean + B z, both lower triangular:
//   KL = (|B^-1 A|^2 + |B^-1 (mean - other_mean)|^2 - dim) / 2 + log det B - log det A
template <Scalar T>
std::optional<double> gaussian_kl(const Distribution<T>& p, const Distribution<T>& q) {
  const std::optional<Gaussian> a = as_gaussian(p), b = as_gaussian(q);
  if (!a || !b) return std::nullopt;
  const Eigen::VectorXd difference = a->mean - b->mean;
  if (a->scale.size() == 0 && b->scale.size() == 0) {
    double sum = 0;
    for (Index i = 0; i < difference.size(); ++i) {
      const double log_ratio = 2 * (a->log_diagonal[i] - b->log_diagonal[i]);
      const double distance = difference[i] * std::exp(-b->log_diagonal[i]);
      sum += 0.5 * (std::expm1(log_ratio) - log_ratio + distance * distance);
    }
    return sum;
  }
  const auto dense = [](const Gaussian& g) -> Eigen::MatrixXd {
    if (g.scale.size() != 0) return g.scale;
    return g.log_diagonal.array().exp().matrix().asDiagonal();
  };
  const Eigen::MatrixXd other = dense(*b);
  const auto solver = other.triangularView<Eigen::Lower>();
  const Eigen::MatrixXd ratio = solver.solve(dense(*a));
  const Eigen::VectorXd distance = solver.solve(difference);
  // The diagonal by expm1, so that nearly equal distributions keep their digits.
  const Eigen::ArrayXd log_ratio = 2 * (a->log_diagonal - b->log_diagonal).array();
  double sum = distance.squaredNorm();
  for (Index i = 0; i < ratio.rows(); ++i) sum += std::expm1(log_ratio[i]) - log_ratio[i];
  for (Index i = 0; i < ratio.rows(); ++i) sum += ratio.row(i).head(i).squaredNorm();
  return 0.5 * sum;
}

// ------------------------------------------------------------------------------------------------------------- fit

namespace {

// In place, the lower triangle of a correlation matrix becomes its Cholesky factor. Returns the first row whose pivot
// is lost in rounding errors, or -1.
Index factor_correlation(Eigen::MatrixXd& m) {
  const Index dim = m.rows();
  const double smallest = 16 * static_cast<double>(dim) * std::numeric_limits<double>::epsilon();
  for (Index i = 0; i < dim; ++i) {
    for (Index j = 0; j < i; ++j) m(i, j) = (m(i, j) - m.row(i).head(j).dot(m.row(j).head(j))) / m(j, j);
    const double pivot = m(i, i) - m.row(i).head(i).squaredNorm();
    if (!(pivot > smallest)) return i;
    m(i, i) = std::sqrt(pivot);
  }
  return -1;
}

}  // namespace

GaussianMoments fit_gaussian(const std::string& where, Index dim, const ForEachRow& rows, double ridge) {
  const std::string not_definite = where + ": the covariance is not positive definite: ";
  const auto refuse_columns = [&](std::vector<Index> columns, const char* problem) {
    const char* const way_out = columns.size() > 1 ? "; drop them or pass a ridge" : "; drop it or pass a ridge";
    throw DomainError(Notice{.where = not_definite,
                             .columns = std::move(columns),
                             .problem = problem,
                             .option = "ridge",
                             .way_out = way_out});
  };
  double total = 0;
  Index seen = 0, used = 0;
  Eigen::VectorXd first = Eigen::VectorXd::Zero(dim);
  rows([&](const double* row, double weight) {
    if (seen++ == 0) first = Eigen::Map<const Eigen::VectorXd>(row, dim);
    total += weight;
    used += weight != 0;
  });
  if (used == 0) throw DomainError(where + ": expected at least one row with a positive weight, got none");
  if (ridge == 0 && used <= dim)
    throw DomainError(Notice{.where = not_definite,
                             .problem = std::to_string(used) + " rows cannot span " + std::to_string(dim) +
                                        " columns around their mean",
                             .option = "ridge",
                             .way_out = "; pass a ridge"});

  // In two passes, shifted by the first row: values far from 0 keep their digits.
  Eigen::VectorXd mean = Eigen::VectorXd::Zero(dim), centred(dim);
  rows([&](const double* row, double weight) {
    mean += weight / total * (Eigen::Map<const Eigen::VectorXd>(row, dim) - first);
  });
  Eigen::MatrixXd covariance = Eigen::MatrixXd::Zero(dim, dim);
  rows([&](const double* row, double weight) {
    centred = Eigen::Map<const Eigen::VectorXd>(row, dim) - first;
    centred -= mean;
    covariance.selfadjointView<Eigen::Lower>().rankUpdate(centred, weight / total);
  });
  std::vector<Index> constant;
  for (Index c = 0; c < dim; ++c) {
    if (!std::isfinite(covariance(c, c)))
      throw DomainError(Notice{.where = where + ": ",
                               .columns = {c},
                               .problem = " is spread so far that its variance is no finite number",
                               .way_out = "; give it in a larger unit"});
    // Deviations from the first row are exact zeros in a constant column.
    if (ridge == 0 && !(covariance(c, c) > 0)) constant.push_back(c);
    mean[c] += first[c];
    covariance(c, c) += ridge;
  }
  if (!constant.empty()) refuse_columns(constant, constant.size() > 1 ? " are constant" : " is constant");

  // Factored as a correlation, so that the units of the columns do not matter.
  const Eigen::VectorXd deviation = covariance.diagonal().cwiseSqrt();
  for (Index i = 0; i < dim; ++i)
    for (Index j = 0; j <= i; ++j) covariance(i, j) = i == j ? 1.0 : covariance(i, j) / deviation[i] / deviation[j];
  if (const Index bad = factor_correlation(covariance); bad >= 0)
    refuse_columns({bad}, " depends linearly on the columns before it");
  GaussianMoments moments{mean, Eigen::MatrixXd::Zero(dim, dim)};
  for (Index i = 0; i < dim; ++i)
    for (Index j = 0; j <= i; ++j) moments.scale_tril(i, j) = deviation[i] * covariance(i, j);
  return moments;
}

template std::optional<double> gaussian_kl(const Distribution<float>&, const Distribution<float>&);
template std::optional<double> gaussian_kl(const Distribution<double>&, const Distribution<double>&);

}  // namespace pushforward::detail
