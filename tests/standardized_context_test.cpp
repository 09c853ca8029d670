// StandardizedContext: what the inner distribution sees.

#include <pushforward/bijectors/coupling.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/standardized_context.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <pushforward/nn/mlp.hpp>
#include <vector>

#include "tests/catch.hpp"
#include "tests/distributions.hpp"

using namespace pushforward;
using namespace distribution_tests;

TEST_CASE("a standardized context is what the inner distribution sees", "[standardized_context]") {
  const TransformedDistribution<double> inner(
      Normal<double>(2),
      Coupling<double>({1, 0}, Mlp<double>(1, 2, {.hidden = {8}, .context_dim = 2, .final_scale = 1, .seed = 4})));
  const std::vector<double> shift{3, -1}, scale{2, 0.5};
  const StandardizedContext<double> outer(Poly<Distribution<double>>(inner), shift, scale);
  Eigen::MatrixXd y(4, 2), raw(4, 2), seen(4, 2);
  y << 0.1, 0.2, -1, 0.5, 0.7, -0.3, 2, 1;
  raw << 1, 2, 3, 4, -1, 0.5, 0, 0;
  for (Eigen::Index c = 0; c < 2; ++c)
    seen.col(c) = (raw.col(c).array() - shift[static_cast<std::size_t>(c)]) / scale[static_cast<std::size_t>(c)];
  const Eigen::VectorXd expected = inner.log_prob(y, seen);
  CHECK((outer.log_prob(y, raw) - expected).cwiseAbs().maxCoeff() < 1e-13);
  CHECK((inner.log_prob(y, raw) - expected).cwiseAbs().maxCoeff() > 1e-3);  // the context matters
  Engine a(5), b(5);
  CHECK((outer.sample_each(raw, a) - inner.sample_each(seen, b)).cwiseAbs().maxCoeff() < 1e-13);
}
