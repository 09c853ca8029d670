#include <pushforward/training/gaussian_mixture.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include <Eigen/Cholesky>
#include <fmt/format.h>

#include <pushforward/distributions/multivariate_normal_tril.hpp>
#include <pushforward/training/fit.hpp>

namespace pushforward {

namespace {

struct Part {
  double log_weight;
  Eigen::VectorXd mean;
  Eigen::MatrixXd factor;  // lower triangular
};

/// Rows are columns here: one row's values lie together.
class Em {
 public:
  Em(Eigen::MatrixXd rows, Eigen::VectorXd weights, std::vector<Part> start)
      : rows_(std::move(rows)), weights_(std::move(weights)), components_(std::move(start)),
        responsibility_(rows_.cols(), static_cast<Index>(components_.size())) {
    expectation();
    prior_ = Eigen::MatrixXd::Zero(rows_.rows(), rows_.rows());
    for (Index k = 0; k < responsibility_.cols(); ++k) {
      const Eigen::VectorXd r = responsibility_.col(k).cwiseProduct(weights_) / weights_.sum();
      if (r.sum() > 0) add_scatter(prior_, rows_ * r / r.sum(), r);
    }
    // Columns that follow from others, and those that do not vary, get the spread that rounding would leave them.
    const Eigen::ArrayXd mean = rows_ * weights_ / weights_.sum();
    prior_.diagonal().array() += 1e-6 * prior_.diagonal().array() + 1e-12 * mean.square() + 1e-200;
  }

  /// Of the present components: mean log density of the rows; leaves the responsibilities.
  double expectation() {
    const double half_log = 0.5 * static_cast<double>(rows_.rows()) * std::log(2 * std::numbers::pi);
    for (Index k = 0; k < responsibility_.cols(); ++k) {
      const Part& c = components_[static_cast<std::size_t>(k)];
      const Eigen::MatrixXd z =
          c.factor.triangularView<Eigen::Lower>().solve(Eigen::MatrixXd(rows_.colwise() - c.mean));
      responsibility_.col(k) = -0.5 * z.colwise().squaredNorm().transpose().array() +
                               (c.log_weight - c.factor.diagonal().array().log().sum() - half_log);
    }
    double sum = 0;
    for (Index i = 0; i < responsibility_.rows(); ++i) {
      const double largest = responsibility_.row(i).maxCoeff();
      const double log_density = largest + std::log((responsibility_.row(i).array() - largest).exp().sum());
      responsibility_.row(i) = (responsibility_.row(i).array() - log_density).exp();
      sum += weights_[i] * log_density;
    }
    return sum / weights_.sum();
  }

  void maximisation() {
    const double total = weights_.sum(), dim = static_cast<double>(rows_.rows());
    for (Index k = 0; k < responsibility_.cols(); ++k) {
      Part& c = components_[static_cast<std::size_t>(k)];
      const Eigen::VectorXd r = responsibility_.col(k).cwiseProduct(weights_);
      const double own = r.sum();
      c.log_weight = std::log(own / total);
      if (own > 0) c.mean = rows_ * r / own;  // else no row knows of it
      const double strength = 2 * dim + 3;
      Eigen::MatrixXd scatter = strength * prior_;
      add_scatter(scatter, c.mean, r);
      c.factor = Eigen::MatrixXd((scatter / (own + strength)).selfadjointView<Eigen::Lower>()).llt().matrixL();
    }
  }

  const std::vector<Part>& components() const { return components_; }

 private:
  /// Adds sum_i r_i (y_i - mean)(y_i - mean)' to the lower triangle.
  void add_scatter(Eigen::MatrixXd& sum, const Eigen::VectorXd& mean, const Eigen::VectorXd& r) const {
    const Eigen::MatrixXd centred = (rows_.colwise() - mean) * r.cwiseSqrt().asDiagonal();
    sum.selfadjointView<Eigen::Lower>().rankUpdate(centred);
  }

  Eigen::MatrixXd rows_;
  Eigen::VectorXd weights_;
  std::vector<Part> components_;
  Eigen::MatrixXd responsibility_;
  Eigen::MatrixXd prior_;  // lower triangle
};

Mixture<double> equal_components(Index dim, Index count) {
  return Mixture<double>(std::vector<Poly<Distribution<double>>>(static_cast<std::size_t>(count),
                                                                 MultivariateNormalTriL<double>(dim)));
}

}  // namespace

template <Scalar T>
Mixture<T> fit_gaussian_mixture(std::type_identity_t<MatrixView<const T>> data, Index components,
                                const GaussianMixtureOptions& options, VectorView<const double> weights) {
  const Index n = data.rows(), dim = data.cols();
  if (dim == 0) throw ShapeError("fit_gaussian_mixture: expected at least one column, got none");
  if (components < 1 || components > n)
    throw DomainError(fmt::format(
        "fit_gaussian_mixture: expected from 1 component to one for each of the {} rows, got {}", n, components));
  if (options.iterations < 0 || !(options.tolerance >= 0))
    throw DomainError(fmt::format("fit_gaussian_mixture: iterations and tolerance must be at least 0, got {} and {:g}",
                                  options.iterations, options.tolerance));
  if (!(options.background >= 0 && options.background < 1))
    throw DomainError(fmt::format("fit_gaussian_mixture: background must be a share from 0 to below 1, got {:g}",
                                  options.background));
  Matrix<double> rows(n, dim);
  for (Index c = 0; c < dim; ++c)
    for (Index i = 0; i < n; ++i) rows(i, c) = static_cast<double>(data(i, c));

  // Checks the rows too.
  Mixture<double> start = equal_components(dim, components);
  FitOptions<double> start_only{.epochs = 0, .validation_fraction = 0, .seed = options.seed};
  start_only.weights = weights;
  fit(start, rows, start_only);
  std::vector<Part> begin;
  const Eigen::VectorXd start_weights = start.weights();
  for (Index k = 0; k < components; ++k) {
    const auto& normal = static_cast<const MultivariateNormalTriL<double>&>(start.component(k));
    begin.push_back({std::log(start_weights[k]), normal.mean(), normal.scale_tril()});
  }
  Eigen::VectorXd row_weights = Eigen::VectorXd::Ones(n);
  for (Index i = 0; i < weights.size(); ++i) row_weights[i] = weights[i];

  Em em(rows.transpose(), row_weights, std::move(begin));
  double before = em.expectation();
  for (Index iteration = 0; iteration < options.iterations && !options.cancel.stop_requested(); ++iteration) {
    em.maximisation();
    const double now = em.expectation();
    // With the prior a step may cost likelihood, in the beginning.
    if (std::abs(now - before) < options.tolerance) break;
    before = now;
  }

  std::vector<Part> found = em.components();
  if (options.background > 0) {
    Em all(rows.transpose(), row_weights, {{0, Eigen::VectorXd::Zero(dim), Eigen::MatrixXd::Identity(dim, dim)}});
    all.maximisation();
    for (Part& c : found) c.log_weight += std::log1p(-options.background);
    found.push_back(all.components().front());
    found.back().log_weight = std::log(options.background);
  }

  std::vector<Poly<Distribution<T>>> parts;
  std::vector<T> logits;
  for (const Part& c : found) {
    const Eigen::Matrix<T, Eigen::Dynamic, 1> mean = c.mean.template cast<T>();
    const Matrix<T> factor = c.factor.template cast<T>();
    parts.push_back(MultivariateNormalTriL<T>(mean, factor));
    logits.push_back(static_cast<T>(std::max(c.log_weight, -80.0)));
  }
  return Mixture<T>(std::move(parts), VectorView<const T>(logits));
}

template Mixture<float> fit_gaussian_mixture<float>(MatrixView<const float>, Index, const GaussianMixtureOptions&,
                                                    VectorView<const double>);
template Mixture<double> fit_gaussian_mixture<double>(MatrixView<const double>, Index, const GaussianMixtureOptions&,
                                                      VectorView<const double>);

}  // namespace pushforward
