#include <pushforward/bijectors/act_norm.hpp>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "src/core/checks.hpp"
#include "src/ops/common.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
ActNorm<T>::ActNorm(Index dim, double bound, double epsilon)
    : ElementwiseBijector<T>("ActNorm", dim),
      shift_({dim}),
      log_scale_({dim}),
      initialized_({1}),
      bound_(bound),
      epsilon_(epsilon) {
  check_positive("ActNorm", "bound", bound);
  check_positive("ActNorm", "epsilon", epsilon);
}

template <Scalar T>
typename ActNorm<T>::Values ActNorm<T>::from_moments(Pass<T>& pass, const double* mean,
                                                     const double* variance) const {
  constexpr double furthest = 0.99;  // of the bound: beyond it almost no gradient passes
  const Index dim = this->dim();
  const Values values{pass.tape().shared(1, dim, false), pass.tape().shared(1, dim, false)};
  T *shift = values.shift.node()->value, *log_scale = values.log_scale.node()->value;
  std::fill_n(shift, whole_blocks(dim), T(0));
  std::fill_n(log_scale, whole_blocks(dim), T(0));
  for (Index c = 0; c < dim; ++c) {
    const double s = 0.5 * std::log(variance[c] + epsilon_);
    shift[c] = static_cast<T>(mean[c]);
    log_scale[c] = static_cast<T>(bound_ * std::atanh(std::clamp(s / bound_, -furthest, furthest)));
  }
  return values;
}

template <Scalar T>
typename ActNorm<T>::Values ActNorm<T>::from_batch(Pass<T>& pass, Var<T> y) const {
  Tape<T>& tape = pass.tape();
  const Index dim = this->dim(), rows = tape.rows();
  double* mean = tape.template common<double>(dim);
  double* variance = tape.template common<double>(dim);
  tape.barrier();
  tape.for_owned_outputs(0, dim, dim, [&](Index begin, Index end) {
    for (Index c = begin; c < end; ++c) {
      const kernels::Moments moments = kernel<T>().moments(full_column(y, c), nullptr, rows);
      mean[c] = moments.mean;
      variance[c] = moments.m2 / static_cast<double>(rows);
    }
  });
  tape.barrier();
  const Values values = from_moments(pass, mean, variance);
  const std::size_t size = static_cast<std::size_t>(dim);
  pass.capture(shift_, {mean, size}, {variance, size});
  const auto propose = [&](const Tensor<T>& tensor, Var<T> value) {
    pass.propose(tensor, std::vector<double>(value.values(), value.values() + dim));
  };
  propose(shift_, values.shift);
  propose(log_scale_, values.log_scale);
  pass.propose(initialized_, std::vector<double>{1.0});
  return values;
}

template <Scalar T>
typename ActNorm<T>::Values ActNorm<T>::current(Pass<T>& pass) const {
  if (pass.captured())
    if (const BatchStatistics::Moments* moments = pass.captured()->find(&shift_))
      return from_moments(pass, moments->mean.data(), moments->variance.data());
  return {pass.parameter(shift_), pass.parameter(log_scale_)};
}

template <Scalar T>
typename ActNorm<T>::Elements ActNorm<T>::do_forward_elements(Pass<T>& pass, Var<T> x) const {
  const Values values = current(pass);
  const Var<T> s = soft_bound(values.log_scale, static_cast<T>(bound_));
  return {x * exp(s) + values.shift, s};
}

template <Scalar T>
typename ActNorm<T>::Elements ActNorm<T>::do_inverse_elements(Pass<T>& pass, Var<T> y) const {
  const bool captured = pass.captured() && pass.captured()->find(&shift_);
  const bool start =
      !captured && !is_initialized() && pass.statistics() == Statistics::minibatch && pass.rows() > 0;
  const Values values = start ? from_batch(pass, y) : current(pass);
  const Var<T> s = soft_bound(values.log_scale, static_cast<T>(bound_));
  return {(y - values.shift) * exp(-s), -s};
}

template <Scalar T>
void ActNorm<T>::do_fields(Fields<T>& f) {
  f.type("act_norm");
  this->dim_field(f);
  f.constant("bound", bound_);
  f.constant("epsilon", epsilon_);
  f.parameter("shift", shift_, {this->dim()}, {.decay = false});
  f.parameter("log_scale", log_scale_, {this->dim()}, {.decay = false});
  f.state("initialized", initialized_, {1}, {.from_data = !f.restoring() && !is_initialized()});
}

template <Scalar T>
void ActNorm<T>::do_restored() {
  check_positive("ActNorm", "bound", bound_);
  check_positive("ActNorm", "epsilon", epsilon_);
}

template class ActNorm<float>;
template class ActNorm<double>;

}  // namespace pushforward
