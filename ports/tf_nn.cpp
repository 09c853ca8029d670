#include <algorithm>
#include <cmath>
#include <functional>
#include <pushforward/ports/tf_nn.hpp>
#include <utility>

#include "src/batch_norm/parameters.hpp"
#include "src/core/number_text.hpp"

namespace pushforward::batch_norm::tf_nn {

namespace {

using Values = std::vector<double>;

std::string where(const char* call) { return std::string("batch_norm::tf_nn::") + call + ": "; }

/// The parameters of a call per channel; channels are all positions that any of them tells apart.
template <Scalar T>
struct Parameters {
  Parameters(const char* call, const Input<T>& x, const Input<T>& mean, const Input<T>& variance,
             const Input<T>& offset, const Input<T>& scale, double epsilon)
      : kept(varying_axes<T>(x.rank(), {&mean, &variance, &offset, &scale})), epsilon(epsilon) {
    const auto read = [&](const char* name, const Input<T>& p) {
      return p.data() ? values(broadcast<T>(where(call) + name, p, x.shape()), kept) : Values{};
    };
    this->mean = read("mean", mean);
    this->variance = read("variance", variance);
    this->offset = read("offset", offset);
    this->scale = read("scale", scale);
  }
  Affine affine() const { return {mean, variance, scale, offset, epsilon}; }

  std::vector<Index> kept;
  double epsilon;
  Values mean, variance, offset, scale;
};

struct Averages {
  Averages(const std::vector<Index>& axes, const std::vector<Index>& shape)
      : axes(resolve_axes(axes, static_cast<Index>(shape.size()))),
        kept(other_axes(this->axes, static_cast<Index>(shape.size()))) {}
  std::vector<Index> axes, kept;
};

/// The adjoint of an average per channel: either layout lists the channels in order. None is 0.
template <Scalar T>
Values adjoint(const char* call, const char* name, const Averages& over, const std::vector<Index>& shape,
               const Input<T>& given) {
  if (!given.data()) return Values(static_cast<std::size_t>(count_along(shape, over.kept)), 0.0);
  const std::vector<Index> kept = shape_of_average(shape, over.axes, true),
                           dropped = shape_of_average(shape, over.axes, false);
  if (given.shape() != kept && given.shape() != dropped)
    throw ShapeError(where(call) + name + ": expected shape " + detail::shape_text(kept) + " or " +
                     detail::shape_text(dropped) + ", got " + detail::shape_text(given.shape()));
  return values<T>(given);
}

void check_decay(const char* call, double decay, bool one_is_allowed) {
  if (decay >= 0 && (decay < 1 || (one_is_allowed && decay == 1))) return;
  throw DomainError(where(call) + "decay must be in [0, 1" + (one_is_allowed ? "]" : ")") + ", got " +
                    detail::number_text(decay));
}

template <Scalar T>
void check_same_shape(const char* call, const TensorView<const T>& variable, const TensorView<const T>& value) {
  check_given(where(call) + "the value", value);
  if (variable.shape() != value.shape())
    throw ShapeError(where(call) + "expected a value of shape " + detail::shape_text(variable.shape()) + ", got " +
                     detail::shape_text(value.shape()));
}

/// variable -= (1 - decay) (variable - value)
template <Scalar T>
void move_average(const TensorView<T>& variable, const TensorView<const T>& value, double decay) {
  const Values news = values<T>(value);
  for_each_channel(variable.shape(), variable.strides(), all_axes(variable.rank()), [&](std::size_t i, Index offset) {
    const double old = static_cast<double>(variable.data()[offset]);
    variable.data()[offset] = static_cast<T>(old - (1 - decay) * (old - news[i]));
  });
}

}  // namespace

// --------------------------------------------------------------------------------------------------- normalisation

template <Scalar T>
void batch_normalization_into(const Input<T>& x, const Input<T>& mean, const Input<T>& variance, const Input<T>& offset,
                              const Input<T>& scale, double variance_epsilon, const Output<T>& out) {
  const Parameters<T> p("batch_normalization", x, mean, variance, offset, scale, variance_epsilon);
  normalize<T>(x, p.kept, p.affine(), out);
}

template <Scalar T>
Tensor<T> batch_normalization(const Input<T>& x, const Input<T>& mean, const Input<T>& variance, const Input<T>& offset,
                              const Input<T>& scale, double variance_epsilon) {
  Tensor<T> out(x.shape());
  batch_normalization_into<T>(x, mean, variance, offset, scale, variance_epsilon, out.view());
  return out;
}

template <Scalar T>
Gradients<T> batch_normalization_backward(const Input<T>& x, const Input<T>& mean, const Input<T>& variance,
                                          const Input<T>& offset, const Input<T>& scale, double variance_epsilon,
                                          const Input<T>& dy) {
  const Parameters<T> p("batch_normalization_backward", x, mean, variance, offset, scale, variance_epsilon);
  Gradients<T> gradients;
  gradients.x = Tensor<T>(x.shape());
  const batch_norm::Gradients g = inference_backward<T>(x, p.kept, p.affine(), {dy}, gradients.x.view());
  gradients.mean = sum_to<T>(mean, g.mean, x.shape(), p.kept);
  gradients.variance = sum_to<T>(variance, g.variance, x.shape(), p.kept);
  gradients.offset = sum_to<T>(offset, g.beta, x.shape(), p.kept);
  gradients.scale = sum_to<T>(scale, g.gamma, x.shape(), p.kept);
  return gradients;
}

// --------------------------------------------------------------------------------------------------------- moments

template <Scalar T>
Moments<T> moments(const Input<T>& x, const std::vector<Index>& axes, bool keepdims) {
  const Averages over(axes, x.shape());
  const batch_norm::Moments m = batch_norm::moments<T>(x, over.kept);
  const std::vector<Index> shape = shape_of_average(x.shape(), over.axes, keepdims);
  return {tensor<T>(shape, m.mean), tensor<T>(shape, m.variance)};
}

template <Scalar T>
Tensor<T> moments_backward(const Input<T>& x, const std::vector<Index>& axes, const Input<T>& dmean,
                           const Input<T>& dvariance) {
  const Averages over(axes, x.shape());
  const batch_norm::Moments m = batch_norm::moments<T>(x, over.kept);
  Values shift = adjoint<T>("moments_backward", "dmean", over, x.shape(), dmean),
         scale = adjoint<T>("moments_backward", "dvariance", over, x.shape(), dvariance);
  for (double& a : shift) a /= static_cast<double>(m.count);
  for (double& a : scale) a *= 2 / static_cast<double>(m.count);
  Tensor<T> dx(x.shape());
  map_channels<T>(x, over.kept, m.mean, scale, shift, dx.view());
  return dx;
}

namespace {

/// Weighted moments per channel, and what they were made of.
template <Scalar T>
struct Weighted {
  Weighted(const char* call, const Input<T>& x, const std::vector<Index>& axes, const Input<T>& weights)
      : over(axes, x.shape()), w(broadcast<T>(where(call) + "frequency_weights", weights, x.shape())) {
    // Two passes, the first from the plain mean: both sums are small next to those of x itself.
    mean = batch_norm::moments<T>(x, over.kept).mean;
    const ChannelProducts first = channel_products<T>(w, x, over.kept, mean);
    total = first.g;
    for (std::size_t c = 0; c < mean.size(); ++c) mean[c] += first.gd[c] / total[c];
    variance = channel_products<T>(weighted(deviations(x)).view(), x, over.kept, mean).gd;
    for (std::size_t c = 0; c < mean.size(); ++c) variance[c] /= total[c];
  }
  // const: what is made is only read.
  const Tensor<T> deviations(const Input<T>& x) const {
    Tensor<T> d(x.shape());
    map_channels<T>(x, over.kept, mean, Values(mean.size(), 1.0), Values(mean.size(), 0.0), d.view());
    return d;
  }
  const Tensor<T> weighted(Tensor<T> t) const {
    for_each_channel(w.shape(), w.strides(), all_axes(w.rank()),
                     [&](std::size_t i, Index offset) { t.data()[i] *= w.data()[offset]; });
    return t;
  }

  Averages over;
  TensorView<const T> w;
  Values mean, variance, total;
};

}  // namespace

template <Scalar T>
Moments<T> weighted_moments(const Input<T>& x, const std::vector<Index>& axes, const Input<T>& frequency_weights,
                            bool keepdims) {
  const Weighted<T> m("weighted_moments", x, axes, frequency_weights);
  const std::vector<Index> shape = shape_of_average(x.shape(), m.over.axes, keepdims);
  return {tensor<T>(shape, m.mean), tensor<T>(shape, m.variance)};
}

template <Scalar T>
WeightedGradients<T> weighted_moments_backward(const Input<T>& x, const std::vector<Index>& axes,
                                               const Input<T>& frequency_weights, const Input<T>& dmean,
                                               const Input<T>& dvariance) {
  const char* call = "weighted_moments_backward";
  const Weighted<T> m(call, x, axes, frequency_weights);
  Values shift = adjoint<T>(call, "dmean", m.over, x.shape(), dmean);
  Values scale = adjoint<T>(call, "dvariance", m.over, x.shape(), dvariance), level(scale.size()), twice(scale.size());
  for (std::size_t c = 0; c < scale.size(); ++c) {
    shift[c] /= m.total[c];
    scale[c] /= m.total[c];
    level[c] = scale[c] * m.variance[c];
    twice[c] = 2 * scale[c];
  }
  Tensor<T> dx(x.shape()), dw(x.shape());
  map_channels<T>(x, m.over.kept, m.mean, twice, shift, dx.view());
  map_channels<T>(x, m.over.kept, m.mean, scale, shift, dw.view());
  const Tensor<T> d = m.deviations(x);
  std::transform(dw.data(), dw.data() + dw.size(), d.data(), dw.data(), std::multiplies<>());
  map_channels<T>(std::as_const(dw).view(), m.over.kept, level, Values(level.size(), 1.0), Values(level.size(), 0.0),
                  dw.view());
  const std::vector<Index> all = all_axes(x.rank());
  return {m.weighted(std::move(dx)), sum_to<T>(frequency_weights, values<T>(std::as_const(dw).view()), x.shape(), all)};
}

template <Scalar T>
SufficientStatistics sufficient_statistics(const Input<T>& x, const std::vector<Index>& axes, const Input<T>& shift,
                                           bool keepdims) {
  const Averages over(axes, x.shape());
  for (const Index axis : varying_axes<T>(x.rank(), {&shift}))
    if (std::find(over.axes.begin(), over.axes.end(), axis) != over.axes.end())
      throw ShapeError(where("sufficient_statistics") + "shift of shape " + detail::shape_text(shift.shape()) +
                       " varies along axis " + std::to_string(axis) + ", which is summed over");
  const Values from = shift.data()
                          ? values(broadcast<T>(where("sufficient_statistics") + "shift", shift, x.shape()), over.kept)
                          : Values{};
  // From the moments, which are exact to double, not by sums of squares of large numbers.
  const batch_norm::Moments m = batch_norm::moments<T>(x, over.kept);
  const double count = static_cast<double>(m.count);
  Values sum(m.mean.size()), squares(m.mean.size());
  for (std::size_t c = 0; c < sum.size(); ++c) {
    const double mean = m.mean[c] - (from.empty() ? 0.0 : from[c]);
    sum[c] = count * mean;
    squares[c] = count * (m.variance[c] + mean * mean);
  }
  const std::vector<Index> shape = shape_of_average(x.shape(), over.axes, keepdims);
  SufficientStatistics statistics{count, tensor<double>(shape, sum), tensor<double>(shape, squares), {}};
  if (shift.data()) statistics.shift = tensor<double>(shape, from);
  return statistics;
}

template <Scalar T>
Moments<T> normalize_moments(const SufficientStatistics& statistics) {
  const auto& [count, sum, squares, shift] = statistics;
  if (!(count > 0))
    throw DomainError(where("normalize_moments") + "count must be positive, got " + detail::number_text(count));
  check_same_shape<double>("normalize_moments", sum.view(), squares.view());
  if (shift) check_same_shape<double>("normalize_moments", sum.view(), shift->view());
  Moments<T> m{Tensor<T>(sum.shape()), Tensor<T>(sum.shape())};
  for (Index i = 0; i < sum.size(); ++i) {
    const double mean = sum[i] / count;
    m.mean[i] = static_cast<T>(mean + (shift ? (*shift)[i] : 0.0));
    m.variance[i] = static_cast<T>(squares[i] / count - mean * mean);
  }
  return m;
}

// ------------------------------------------------------------------------------------------------- moving averages

template <Scalar T>
void assign_biased_moving_average(const Output<T>& variable, const Input<T>& value, double decay) {
  check_decay("assign_biased_moving_average", decay, true);
  check_same_shape<T>("assign_biased_moving_average", variable, value);
  move_average<T>(variable, value, decay);
}

template <Scalar T>
void assign_moving_average(const Output<T>& variable, const Input<T>& value, double decay,
                           ZeroDebias<std::type_identity_t<T>>& state) {
  check_decay("assign_moving_average", decay, false);
  check_same_shape<T>("assign_moving_average", variable, value);
  if (state.step == 0) state.biased = Tensor<T>(variable.shape());
  check_same_shape<T>("assign_moving_average", std::as_const(state.biased).view(), value);
  move_average<T>(state.biased.view(), value, decay);
  const double total = 1 - std::pow(decay, static_cast<double>(++state.step));
  for_each_channel(variable.shape(), variable.strides(), all_axes(variable.rank()), [&](std::size_t i, Index offset) {
    variable.data()[offset] = static_cast<T>(static_cast<double>(state.biased.data()[i]) / total);
  });
}

template <Scalar T>
Tensor<T> weighted_moving_average(WeightedAverage<T>& state, const Input<T>& value, double decay,
                                  const Input<T>& weight) {
  const TensorView<const T> wide = broadcast<T>(where("weighted_moving_average") + "weight", weight, value.shape());
  if (!state.numerator.data()) state = {Tensor<T>(value.shape()), Tensor<T>(value.shape())};
  const Values w = values(wide), v = values<T>(value);
  Values product(v.size());
  std::transform(v.begin(), v.end(), w.begin(), product.begin(), std::multiplies<>());
  const Tensor<T> weighted = tensor<T>(value.shape(), product);
  assign_biased_moving_average<T>(state.numerator, weighted, decay);
  assign_biased_moving_average<T>(state.denominator, wide, decay);
  Tensor<T> average(value.shape());
  std::transform(state.numerator.data(), state.numerator.data() + average.size(), state.denominator.data(),
                 average.data(), std::divides<>());
  return average;
}

template <Scalar T>
ExponentialMovingAverage<T>::ExponentialMovingAverage(double decay, std::optional<Index> num_updates, bool zero_debias)
    : decay_(decay), zero_debias_(zero_debias) {
  check_decay("ExponentialMovingAverage", decay, !zero_debias);
  if (num_updates) set_num_updates(*num_updates);
}

template <Scalar T>
void ExponentialMovingAverage<T>::set_num_updates(Index num_updates) {
  if (num_updates < 0)
    throw DomainError(where("ExponentialMovingAverage") + "num_updates must not be negative, got " +
                      std::to_string(num_updates));
  num_updates_ = num_updates;
}

template <Scalar T>
double ExponentialMovingAverage<T>::decay() const {
  if (!num_updates_) return decay_;
  const double n = static_cast<double>(*num_updates_);
  return std::min(decay_, (1 + n) / (10 + n));
}

template <Scalar T>
void ExponentialMovingAverage<T>::apply(const std::string& name, const Input<T>& value, Start start) {
  auto found = entries_.find(name);
  if (found == entries_.end()) {
    Entry entry{start == Start::value ? tensor<T>(value.shape(), values(value)) : Tensor<T>(value.shape()), {}};
    if (start == Start::zero && zero_debias_) entry.debias.emplace();
    found = entries_.emplace(name, std::move(entry)).first;
  }
  Entry& entry = found->second;
  if (entry.debias)
    assign_moving_average<T>(entry.average, value, decay(), *entry.debias);
  else
    assign_biased_moving_average<T>(entry.average, value, decay());
}

template <Scalar T>
const Tensor<T>& ExponentialMovingAverage<T>::average(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found != entries_.end()) return found->second.average;
  std::string known;
  for (const auto& [other, entry] : entries_) known.append(known.empty() ? "" : ", ").append("'" + other + "'");
  throw DomainError(where("ExponentialMovingAverage") + "no average of '" + name + "'; there are: " + known);
}

#define PUSHFORWARD_INSTANTIATE(T)                                                                                    \
  template Tensor<T> batch_normalization<T>(const Input<T>&, const Input<T>&, const Input<T>&, const Input<T>&,       \
                                            const Input<T>&, double);                                                 \
  template void batch_normalization_into<T>(const Input<T>&, const Input<T>&, const Input<T>&, const Input<T>&,       \
                                            const Input<T>&, double, const Output<T>&);                               \
  template Gradients<T> batch_normalization_backward<T>(const Input<T>&, const Input<T>&, const Input<T>&,            \
                                                        const Input<T>&, const Input<T>&, double, const Input<T>&);   \
  template Moments<T> moments<T>(const Input<T>&, const std::vector<Index>&, bool);                                   \
  template Tensor<T> moments_backward<T>(const Input<T>&, const std::vector<Index>&, const Input<T>&,                 \
                                         const Input<T>&);                                                            \
  template Moments<T> weighted_moments<T>(const Input<T>&, const std::vector<Index>&, const Input<T>&, bool);         \
  template WeightedGradients<T> weighted_moments_backward<T>(const Input<T>&, const std::vector<Index>&,              \
                                                             const Input<T>&, const Input<T>&, const Input<T>&);      \
  template SufficientStatistics sufficient_statistics<T>(const Input<T>&, const std::vector<Index>&, const Input<T>&, \
                                                         bool);                                                       \
  template Moments<T> normalize_moments<T>(const SufficientStatistics&);                                              \
  template void assign_biased_moving_average<T>(const Output<T>&, const Input<T>&, double);                           \
  template void assign_moving_average<T>(const Output<T>&, const Input<T>&, double, ZeroDebias<T>&);                  \
  template Tensor<T> weighted_moving_average<T>(WeightedAverage<T>&, const Input<T>&, double, const Input<T>&);       \
  template class ExponentialMovingAverage<T>;
PUSHFORWARD_INSTANTIATE(float)
PUSHFORWARD_INSTANTIATE(double)
#undef PUSHFORWARD_INSTANTIATE

}  // namespace pushforward::batch_norm::tf_nn
