#include "distributions/gaussian.hpp"

#include <pushforward/distributions/multivariate_normal_diag.hpp>
#include <pushforward/distributions/multivariate_normal_tril.hpp>
#include <pushforward/distributions/normal.hpp>

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

template std::optional<double> gaussian_kl(const Distribution<float>&, const Distribution<float>&);
template std::optional<double> gaussian_kl(const Distribution<double>&, const Distribution<double>&);

}  // namespace pushforward::detail
