#pragma once

#include <functional>
#include <string>
#include <vector>

#include <pushforward/distribution.hpp>
#include <pushforward/registry.hpp>
#include <pushforward/testing/gradient_check.hpp>

namespace pushforward::testing {

struct StochasticContract {
  std::uint64_t seed = 1;
  /// Points at which estimates are judged; at least 1.
  Index rows = 5;
  /// Draws of one estimate: enough for its mean to be nearly normal, at every point; a skewed density takes many. At
  /// least 2.
  Index draws = 1024;
  /// Estimates of each point, about 95 % of which must cover the truth; at least 2.
  Index repeats = 400;
  /// Samples against which the density is held; at least 5.
  Index samples = 20000;
  /// Paths of all tensors, in order, as files name them; empty: not checked.
  std::vector<std::string> tensors = {};
  /// log_prob of a row for a row of the context, where it is known by other means; empty: the mean of all draws stands
  /// for it, which does not see a bias. Distributions only.
  std::function<double(VectorView<const double> y, VectorView<const double> context)> log_prob = {};
  /// Knows the class and its parts.
  Registry registry = Registry::standard();
};

/// Checks everything that the library promises for densities that draw random numbers:
///
///  - estimates() says what the draws mean; without an engine log_prob and its gradient throw, naming the part that
///    draws;
///  - the same engine gives the same bits, whatever the threads, tiles and rows beside; another seed gives others; each
///    call advances the engine by one;
///  - the standard error covers: of `repeats` estimates about 95 % lie within 1.96 standard errors of the truth, and
///    their squared distances are 1 in the mean, in units of the standard error and up to three of them;
///  - samples and density belong together: the share of samples in a box is the integral of the density over it, in the
///    measure of the support; what sample_and_log_prob says of a sample is what log_prob says, or it throws;
///  - gradients of the estimate with held draws, in y, context and every listed parameter, against central differences
///    (double); every listed parameter is used;
///  - NaN for NaN, other rows untouched; calls change nothing; a copy, a rebuilt object and one that was written to a
///    file and read again are the same object: the same engine, the same bits;
///  - do_fields names every tensor that log_prob and sampling ask for, as for `check_distribution`.
///
/// Parameters should not be at their start, nor constants at their default, for the reason that `check_distribution`
/// gives: `perturb` first. A density that draws nothing is `check_distribution`'s.
/// @throws DomainError  for fewer rows, draws, repeats or samples than it takes.
template <Scalar T>
std::vector<Failure> check_stochastic_distribution(const Poly<Distribution<T>>& distribution,
                                                   const StochasticContract& contract = {});

/// The same for maps that draw: what `check_stochastic_distribution` finds in the map on a base without parameters
/// (standard normal or uniform, where the domain is real or a bounded box; elsewhere check a distribution of yours),
/// and
///
///  - without an engine both directions throw, naming the part that draws;
///  - where draws estimate log|det|: values do not depend on them and both directions undo each other; the mean of
///    log_det is log|det| of a numerical Jacobian (double), in both directions.
template <Scalar T>
std::vector<Failure> check_stochastic_bijector(const Poly<Bijector<T>>& bijector,
                                               const StochasticContract& contract = {});

extern template std::vector<Failure> check_stochastic_distribution(const Poly<Distribution<float>>&,
                                                                   const StochasticContract&);
extern template std::vector<Failure> check_stochastic_distribution(const Poly<Distribution<double>>&,
                                                                   const StochasticContract&);
extern template std::vector<Failure> check_stochastic_bijector(const Poly<Bijector<float>>&, const StochasticContract&);
extern template std::vector<Failure> check_stochastic_bijector(const Poly<Bijector<double>>&,
                                                               const StochasticContract&);

}  // namespace pushforward::testing
