// The model classes that fit_best takes by itself. A later family is one more line of `default_candidates`.

#include <algorithm>
#include <optional>

#include <pushforward/distributions/multivariate_normal_diag.hpp>
#include <pushforward/distributions/student_t.hpp>
#include <pushforward/training/fit_best.hpp>
#include <pushforward/training/gaussian_mixture.hpp>

#include "src/training/weighted_mean.hpp"

namespace pushforward {

namespace {

/// The flow over a base that has the tails of the data.
template <Scalar T>
Poly<Distribution<T>> with_tails(TransformedDistribution<T> flow, const CandidateTask<T>& task) {
  if (task.tails.empty()) return flow;
  std::vector<T> df(task.tails.begin(), task.tails.end());
  const std::vector<T> loc(df.size(), T(0)), scale(df.size(), T(1));
  StudentT<T> base{VectorView<const T>(df), VectorView<const T>(loc), VectorView<const T>(scale)};
  return TransformedDistribution<T>(std::move(base), flow.copy_bijector());
}

constexpr Index mixture_rows = 5'000;
constexpr double mixture_background = 1e-3;  // so that no row scores more than 6.9 nats below the Gaussian

template <Scalar T>
Poly<Distribution<T>> best_mixture(const CandidateTask<T>& task) {
  std::optional<Mixture<T>> best;
  Eigen::VectorXd best_scores;
  Index worse = 0;
  // That many rows tell components apart, and all would take minutes.
  const Index step = std::max<Index>(1, task.data.rows() / mixture_rows), rows = task.data.rows() / step;
  Matrix<T> data(rows, task.dim);
  std::vector<double> weights;
  for (Index i = 0; i < rows; ++i) {
    for (Index c = 0; c < task.dim; ++c) data(i, c) = task.data(i * step, c);
    if (!task.weights.empty()) weights.push_back(task.weights[i * step]);
  }
  if (task.chosen) {
    const Index count = dynamic_cast<const Mixture<T>&>(*task.chosen).components() - 1;  // besides the background
    return fit_gaussian_mixture<T>(
        data, std::min(count, rows),
        {.seed = task.seed, .cancel = task.cancel, .background = mixture_background}, weights);
  }
  for (const Index count : {2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 25, 30}) {
    if (count > rows || (best && task.cancel.stop_requested())) break;
    Mixture<T> mixture = fit_gaussian_mixture<T>(
        data, count,
        {.tolerance = 1e-3, .seed = task.seed, .cancel = task.cancel, .background = mixture_background}, weights);
    const Eigen::VectorXd scores = mixture.log_prob(task.validation);
    // More of them have to be better by more than the error.
    const MeanLogLikelihood gain = detail::weighted_mean(
        best ? scores.size() : 0, [&](Index i) { return scores[i] - best_scores[i]; },
        [&](Index i) { return task.validation_weights.empty() ? 1.0 : task.validation_weights[i]; });
    if (!best || gain.mean > gain.standard_error) {
      best.emplace(std::move(mixture));
      best_scores = scores;
      worse = 0;
    } else if (++worse == 3) {
      break;
    }
  }
  if (!best) throw DomainError("mixture: there are fewer than 2 rows");
  return std::move(*best);
}

}  // namespace

template <Scalar T>
Candidate<T> flow_candidate(std::string name, std::string_view preset, const FlowOptions& options) {
  return {std::move(name),
          [&preset = flow_preset(preset), options](const CandidateTask<T>& task) -> Poly<Distribution<T>> {
            FlowOptions o = options;
            o.context_dim = task.context_dim;
            o.seed = task.seed;
            TransformedDistribution<T> flow = preset.template build<T>(task.dim, o);
            if (o.base) return flow;
            return with_tails<T>(std::move(flow), task);
          },
          true, false};
}

template <Scalar T>
std::vector<Candidate<T>> default_candidates(Index rows, Index dim, Index context_dim) {
  const double dropout = rows < 2'000 ? 0.1 : 0;
  const RationalQuadraticOptions from_identity{.low = -5, .high = 5, .parameters = SplineParameters::zuko};
  FlowOptions affine, splines;
  affine.activation = Activation::tanh;
  affine.dropout = splines.dropout = dropout;
  splines.spline = from_identity;
  // Of more columns the linear maps alone would be millions of parameters for each layer.
  if (dim > 300) splines.mixing = Mixing::random_permutation;
  const auto sized = [](FlowOptions o, Index layers, Index hidden) {
    o.layers = layers;
    o.hidden = hidden;
    return o;
  };

  std::vector<Candidate<T>> list;
  if (context_dim == 0) {
    list.push_back({"gaussian",
                    [](const CandidateTask<T>& task) -> Poly<Distribution<T>> {
                      return MultivariateNormalDiag<T>::standard(task.dim);
                    },
                    false});
    // Of more columns the covariances alone would take minutes, and more rows than there are.
    if (dim <= 100) list.push_back({"mixture", best_mixture<T>, false});
  }
  list.push_back(flow_candidate<T>("maf, small", "maf", sized(affine, 3, 32)));
  // What would be left of a fit to so many columns is memory and time.
  if (dim > 1'000) return list;
  list.push_back(flow_candidate<T>("maf", "maf", affine));
  list.push_back(flow_candidate<T>("nsf_ar, small", "nsf_ar", sized(splines, 2, 32)));
  list.push_back(flow_candidate<T>("nsf_ar", "nsf_ar", splines));
  if (dim > 1) list.push_back(flow_candidate<T>("nsf", "nsf", splines));
  if (dim > 1) list.push_back(flow_candidate<T>("real_nvp", "real_nvp", affine));
  if (rows >= 20'000) list.push_back(flow_candidate<T>("nsf_ar, large", "nsf_ar", sized(splines, 5, 128)));
  return list;
}

template Candidate<float> flow_candidate(std::string, std::string_view, const FlowOptions&);
template Candidate<double> flow_candidate(std::string, std::string_view, const FlowOptions&);
template std::vector<Candidate<float>> default_candidates(Index, Index, Index);
template std::vector<Candidate<double>> default_candidates(Index, Index, Index);

}  // namespace pushforward
