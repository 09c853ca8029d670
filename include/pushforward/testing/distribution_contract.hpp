#pragma once

#include <pushforward/distribution.hpp>
#include <pushforward/registry.hpp>
#include <pushforward/testing/gradient_check.hpp>

namespace pushforward::testing {

struct DistributionContract {
  std::uint64_t seed = 1;
  /// Rows of the large batches; more than one tile, so that positions and tiles matter.
  Index rows = 300;
  /// Samples for statistical checks.
  Index samples = 20000;
  /// Paths of all tensors, in order, as files name them; empty: not checked.
  std::vector<std::string> tensors = {};
  /// Knows the class and its parts.
  Registry registry = Registry::standard();
};

/// Checks everything that the library promises for distributions:
///
///  - log_prob integrates to 1: over the support, of whatever kind of `Space` and in its measure, by quadrature on a
///    chart for one dimension (1e-6; float 1e-4) and two (1e-3), by sums over integers, and by importance weights of
///    samples for any number of dimensions (4 standard errors); samples lie in the support, which is no larger than it
///    should be;
///  - samples have the mean, variance, covariance and cdf that the class states (5 standard errors, Kolmogorov and
///    Smirnov), entropy and exact divergences agree with averages over samples, the mode is one;
///  - sample_and_log_prob agrees with log_prob; the first rows of a large sample are those of a small one; threads
///    change nothing; samples that are said to be differentiable are;
///  - gradients of log_prob in y, context and every listed parameter against central differences (double), or against
///    the same object in double (float); every listed parameter is used;
///  - -inf outside of the support, NaN for NaN, no rows, wrong sizes;
///  - cdf, survival, their logarithms, quantiles and density agree, in the far tails too;
///  - what the class cannot give throws NotImplemented with its name, and nothing else is thrown;
///  - calls change nothing, copies are independent, a rebuilt or cast object is the same object;
///  - do_fields names every tensor that log_prob and sampling ask for by `Pass::parameter`, propose values for, or
///    capture statistics by, whatever its value: those of parts too.
///
/// Parameters should not be at their start: `perturb` first. No constant should have the value that the constructor
/// gives it by default: one that do_fields does not name is seen only where the rebuilt object then differs, and so is a
/// tensor whose values a hook reads without the pass.
template <Scalar T>
std::vector<Failure> check_distribution(const Poly<Distribution<T>>& distribution,
                                        const DistributionContract& contract = {});

template <template <class> class D, Scalar T>
requires std::derived_from<D<T>, Distribution<T>> std::vector<Failure> check_distribution(
    const D<T>& distribution, const DistributionContract& contract = {}) {
  return check_distribution<T>(Poly<Distribution<T>>(distribution), contract);
}

}  // namespace pushforward::testing
