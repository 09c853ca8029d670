#include <pushforward/bijectors/batch_normalization.hpp>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace pushforward {

template <Scalar T>
BatchNormalization<T>::BatchNormalization(Index dim, Options options)
    : Bijector<T>("BatchNormalization", dim),
      log_gamma_({dim}),
      beta_({dim}),
      moving_mean_({dim}),
      moving_variance_({dim}, T(1)),
      options_(options) {
  if (!(options.epsilon > 0) || !std::isfinite(options.epsilon))
    throw DomainError("BatchNormalization: epsilon must be positive and finite, got " +
                      std::to_string(options.epsilon));
  if (!(options.momentum >= 0 && options.momentum <= 1))
    throw DomainError("BatchNormalization: momentum must lie in [0, 1], got " + std::to_string(options.momentum));
}

template <Scalar T>
BatchNormalization<T>::BatchNormalization(const Description& d)
    : BatchNormalization(d.integer("dim", 1, 1 << 20), {.epsilon = d.number("epsilon"),
                                                        .momentum = d.number("momentum"),
                                                        .center = d.flag("center"),
                                                        .scale = d.flag("scale")}) {}

template <Scalar T>
typename BatchNormalization<T>::Frozen BatchNormalization<T>::frozen(Pass<T>& pass) const {
  const BatchStatistics::Moments* captured = pass.captured() ? pass.captured()->find(&moving_mean_) : nullptr;
  const Index dim = this->dim();
  const auto row = [&](auto value) {
    const Var<T> v = pass.tape().shared(1, dim, false);
    std::fill_n(v.node()->value, (dim + 15) / 16 * 16, T(0));
    for (Index c = 0; c < dim; ++c) v.node()->value[c] = static_cast<T>(value(c));
    return v;
  };
  const auto mean = [&](Index c) {
    return captured ? captured->mean[static_cast<std::size_t>(c)] : static_cast<double>(moving_mean_[c]);
  };
  const auto variance = [&](Index c) {
    return options_.epsilon +
           (captured ? captured->variance[static_cast<std::size_t>(c)] : static_cast<double>(moving_variance_[c]));
  };
  Frozen f;
  f.mean = row(mean);
  if (captured) f.rest = row([&](Index c) { return mean(c) - static_cast<double>(static_cast<T>(mean(c))); });
  f.deviation = row([&](Index c) { return std::sqrt(variance(c)); });
  f.log_deviation = 0;
  for (Index c = 0; c < dim; ++c) f.log_deviation += 0.5 * std::log(variance(c));
  return f;
}

template <Scalar T>
Mapped<T> BatchNormalization<T>::do_forward(Pass<T>& pass, Var<T> x) const {
  const Frozen f = frozen(pass);
  const Var<T> log_gamma = this->log_gamma(pass), beta = this->beta(pass);
  const Var<T> centred = beta ? x - beta : x;
  const Var<T> deviation = centred * (log_gamma ? f.deviation * exp(-log_gamma) : f.deviation);
  const Column<T> log_det = constant_column(pass.tape(), f.log_deviation);
  return {(f.rest ? deviation + f.rest : deviation) + f.mean, log_gamma ? log_det - row_sum(log_gamma) : log_det};
}

template <Scalar T>
Mapped<T> BatchNormalization<T>::do_inverse(Pass<T>& pass, Var<T> y) const {
  const bool captured = pass.captured() && pass.captured()->find(&moving_mean_);
  if (!captured && pass.statistics() == Statistics::minibatch) return normalize_batch(pass, y);
  const Frozen f = frozen(pass);
  const Var<T> log_gamma = this->log_gamma(pass), beta = this->beta(pass);
  const Var<T> deviation = f.rest ? (y - f.mean) - f.rest : y - f.mean;
  const Var<T> x = log_gamma ? deviation * (exp(log_gamma) / f.deviation) : deviation / f.deviation;
  const Column<T> log_det = constant_column(pass.tape(), -f.log_deviation);
  return {beta ? x + beta : x, log_gamma ? log_det + row_sum(log_gamma) : log_det};
}

template <Scalar T>
Mapped<T> BatchNormalization<T>::normalize_batch(Pass<T>& pass, Var<T> y) const {
  const NormalizedBatch<T> batch = batch_normalize(y, log_gamma(pass), beta(pass), options_.epsilon);
  const std::size_t size = static_cast<std::size_t>(this->dim());
  pass.capture(moving_mean_, {batch.mean, size}, {batch.variance, size});
  const auto propose = [&](const Tensor<T>& moving, const double* value) {
    std::vector<double> next(size);
    for (std::size_t c = 0; c < size; ++c)
      next[c] = options_.momentum * static_cast<double>(moving[static_cast<Index>(c)]) +
                (1 - options_.momentum) * value[c];
    pass.propose(moving, next);
  };
  if (pass.rows() > 0) {
    propose(moving_mean_, batch.mean);
    propose(moving_variance_, batch.variance);
  }
  return {batch.value, batch.log_det};
}

template <Scalar T>
Tensor<T> BatchNormalization<T>::gamma() const {
  Tensor<T> result({this->dim()});
  for (Index c = 0; c < this->dim(); ++c) result[c] = std::exp(log_gamma_[c]);
  return result;
}

template <Scalar T>
void BatchNormalization<T>::set_population(VectorView<const double> mean, VectorView<const double> variance) {
  if (mean.size() != this->dim() || variance.size() != this->dim())
    throw ShapeError("BatchNormalization::set_population: expected " + std::to_string(this->dim()) +
                     " means and variances, got " + std::to_string(mean.size()) + " and " +
                     std::to_string(variance.size()));
  for (Index c = 0; c < this->dim(); ++c)
    if (!std::isfinite(mean[c]) || !std::isfinite(variance[c]) || variance[c] < 0)
      throw DomainError("BatchNormalization::set_population: expected a finite mean and a finite variance >= 0, got " +
                        std::to_string(mean[c]) + " and " + std::to_string(variance[c]) + " in column " +
                        std::to_string(c));
  for (Index c = 0; c < this->dim(); ++c) {
    moving_mean_[c] = static_cast<T>(mean[c]);
    moving_variance_[c] = static_cast<T>(variance[c]);
  }
}

template <Scalar T>
void BatchNormalization<T>::do_visit(Visitor<T>& v) const {
  if (options_.scale) v.parameter("log_gamma", log_gamma_, {.decay = false});
  if (options_.center) v.parameter("beta", beta_, {.decay = false});
  v.state("moving_mean", moving_mean_);
  v.state("moving_variance", moving_variance_);
}

template <Scalar T>
Description BatchNormalization<T>::do_describe() const {
  return {.type = "batch_normalization",
          .constants = {{"dim", this->dim()},
                        {"epsilon", options_.epsilon},
                        {"momentum", options_.momentum},
                        {"center", options_.center},
                        {"scale", options_.scale}},
          .children = {}};
}

template class BatchNormalization<float>;
template class BatchNormalization<double>;

}  // namespace pushforward
