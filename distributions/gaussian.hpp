#pragma once

#include <functional>
#include <optional>
#include <string>

#include <Eigen/Core>

#include <pushforward/distribution.hpp>

namespace pushforward::detail {

/// KL(p || q) if both are normal distributions: Normal, MultivariateNormalDiag or MultivariateNormalTriL.
template <Scalar T>
std::optional<double> gaussian_kl(const Distribution<T>& p, const Distribution<T>& q);

struct GaussianMoments {
  Eigen::VectorXd mean;
  Eigen::MatrixXd scale_tril;
};
/// Calls its argument with each row and the row's weight, in order; the same each time.
using ForEachRow = std::function<void(const std::function<void(const double* row, double weight)>&)>;
/// The maximum likelihood estimate, of rows that need not lie in memory: they are asked for three times. `where` starts
/// the texts of errors, which are those of MultivariateNormalTriL::fit.
GaussianMoments fit_gaussian(const std::string& where, Index dim, const ForEachRow& rows, double ridge = 0);

extern template std::optional<double> gaussian_kl(const Distribution<float>&, const Distribution<float>&);
extern template std::optional<double> gaussian_kl(const Distribution<double>&, const Distribution<double>&);

}  // namespace pushforward::detail
