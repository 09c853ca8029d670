#pragma once

// What tests of training share: data, flows, and bits compared.

#include <cstring>
#include <pushforward/bijectors/act_norm.hpp>
#include <pushforward/bijectors/affine.hpp>
#include <pushforward/component.hpp>
#include <pushforward/distributions/multivariate_normal_tril.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <pushforward/flows/builders.hpp>
#include <pushforward/random.hpp>
#include <vector>

namespace training_tests {

using namespace pushforward;

using Flow = TransformedDistribution<double>;

/// Correlated rows of different location and scale.
template <class T = double>
Matrix<T> make_data(Index rows, Index dim, std::uint64_t seed = 1) {
  Engine engine(seed);
  Matrix<double> z(rows, dim);
  engine.next_call().normal(0, rows, dim, z.data(), rows);
  for (Index c = 1; c < dim; ++c) z.col(c) += 0.6 * z.col(c - 1).array().square().matrix();
  for (Index c = 0; c < dim; ++c) {
    const double k = static_cast<double>(c);
    z.col(c) = z.col(c).array() * (0.5 + k) + (3.0 - k);
  }
  return z.template cast<T>();
}

inline Flow affine_flow(Index dim) { return Flow(Normal<double>(dim), Affine<double>(dim)); }

/// Autoregressive, with batch normalisation, ActNorm and dropout: everything that has state or noise.
template <class T = double>
TransformedDistribution<T> rich_flow(Index dim, Index context = 0) {
  return maf<T>(dim, {.layers = 3,
                      .hidden = 16,
                      .blocks = 1,
                      .dropout = 0.1,
                      .context_dim = context,
                      .batch_norm = true,
                      .act_norm = true,
                      .seed = 4});
}

template <class T>
std::vector<T> values(const Component<T>& tree) {
  std::vector<T> result;
  for (const ConstSlot<T>& slot : list_state(tree))
    result.insert(result.end(), slot.tensor->values().begin(), slot.tensor->values().end());
  return result;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

/// Three columns of different sizes.
inline Matrix<double> correlated_normal(Index rows, std::uint64_t seed) {
  Matrix<double> factor = Matrix<double>::Zero(3, 3);
  factor << 2, 0, 0, 1, 0.1, 0, -3, 2, 5;
  Engine engine(seed);
  return MultivariateNormalTriL<double>(std::vector<double>{5, -1, 100}, factor).sample(rows, engine);
}

}  // namespace training_tests
