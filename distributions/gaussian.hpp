#pragma once

#include <optional>

#include <pushforward/distribution.hpp>

namespace pushforward::detail {

/// KL(p || q) if both are normal distributions: Normal, MultivariateNormalDiag or MultivariateNormalTriL.
template <Scalar T>
std::optional<double> gaussian_kl(const Distribution<T>& p, const Distribution<T>& q);

extern template std::optional<double> gaussian_kl(const Distribution<float>&, const Distribution<float>&);
extern template std::optional<double> gaussian_kl(const Distribution<double>&, const Distribution<double>&);

}  // namespace pushforward::detail
