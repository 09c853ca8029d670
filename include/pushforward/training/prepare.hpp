#pragma once

#include <type_traits>
#include <utility>
#include <vector>

#include <pushforward/bijectors/standardize.hpp>
#include <pushforward/distributions/standardized_context.hpp>
#include <pushforward/training/fit.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <pushforward/space.hpp>

namespace pushforward {

/// What `prepare_and_fit` puts around a flow.
struct PrepareOptions {
  Standardization standardize = Standardization::mean_std;
  Standardization standardize_context = Standardization::mean_std;
  /// How columns depend on each other linearly is not left to the flow to find out: it starts from the fitted Gaussian
  /// (Whiten). Without effect where `standardize` is none.
  bool whiten = false;
  /// Where rows live: `Space::box({{0, 1}, positive, real_line})`, or columns that belong together,
  /// `Space::real(1) * Space::simplex(3)`; without columns: all on the real line. The flow has `support.dimensions()`.
  /// A circle is a line with its ends at a point that few rows are near to.
  Space support = {};
};

/// A model of raw data, and what came of fitting it.
template <Scalar T>
struct Fitted {
  TransformedDistribution<T> model;
  FitReport report;
};

namespace detail {
template <Scalar T>
T scalar_of(const Distribution<T>&);

template <Scalar T>
TransformedDistribution<T> prepare(Poly<Distribution<T>> flow, MatrixView<const T> data,
                                   const PrepareOptions& prepare_options, const FitOptions<T>& options);
}  // namespace detail

/// Fits a model of raw data around a flow: y = map(standardize(whiten(x))), `bijector_to(support, data)` the map, for x drawn from `flow`, so that the
/// flow itself sees columns of location 0 and scale 1 on the real line, with `whiten` without correlations, and context
/// of location 0 and scale 1. All of it is in the model: its
/// log_prob is that of the raw data, and it is saved with the model.
///
///     auto [model, report] = prepare_and_fit(maf<double>(4, {.context_dim = 2}), data,
///                                            {.support = Space::box({{0, 1}, {}, {}, {}})}, {.epochs = 100, .context = context});
///
/// Locations and scales are computed from the rows that the fit trains on (split, weights, seed), so
/// nothing of the validation rows leaks into the model. With 0 epochs the model is prepared and started, and not
/// trained: to be looked at, or changed, and given to `fit` with the same data and the same options but for the epochs.
/// Another split would have rows validate a model that holds their locations and scales, and nothing could warn of it.
/// @throws ShapeError, DomainError, IoError  as `fit`; also if a row lies outside the support, or on its boundary,
///         and if the support has another number of dimensions than the flow, or a grid.
template <class Flow, Scalar T = decltype(detail::scalar_of(std::declval<const Flow&>()))>
Fitted<T> prepare_and_fit(Flow flow, std::type_identity_t<MatrixView<const T>> data,
                          const PrepareOptions& prepare_options = {},
                          const std::type_identity_t<FitOptions<T>>& options = {}) {
  Fitted<T> fitted{detail::prepare(Poly<Distribution<T>>(std::move(flow)), data, prepare_options, options), {}};
  fitted.report = fit(fitted.model, data, options);
  return fitted;
}

}  // namespace pushforward
