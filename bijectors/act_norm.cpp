#include <pushforward/bijectors/act_norm.hpp>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "bijectors/log_scale.hpp"
#include "src/core/checks.hpp"
#include "src/ops/common.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
ActNorm<T>::ActNorm(Index dim, double bound, double epsilon)
    : Affine<T>("ActNorm", dim, bound), initialized_({1}), epsilon_(epsilon) {
  check_positive("ActNorm", "epsilon", epsilon);
}

template <Scalar T>
auto ActNorm<T>::from_moments(Pass<T>& pass, const double* mean, const double* variance) const -> Values {
  constexpr double furthest = 0.99;  // of the bound: beyond it almost no gradient passes
  const Index dim = this->dim();
  const double bound = this->bound();
  const Values values{pass.tape().shared(1, dim, false), pass.tape().shared(1, dim, false)};
  T *shift = values.shift.node()->value, *log_scale = values.log_scale.node()->value;
  std::fill_n(shift, whole_blocks(dim), T(0));
  std::fill_n(log_scale, whole_blocks(dim), T(0));
  for (Index c = 0; c < dim; ++c) {
    const double s = 0.5 * std::log(variance[c] + epsilon_);
    shift[c] = static_cast<T>(mean[c]);
    log_scale[c] = static_cast<T>(raw_log_scale(std::clamp(s, -furthest * bound, furthest * bound), bound));
  }
  return values;
}

template <Scalar T>
auto ActNorm<T>::from_batch(Pass<T>& pass, Var<T> y) const -> Values {
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
  pass.capture(this->shift(), {mean, size}, {variance, size});
  const auto propose = [&](const Tensor<T>& tensor, Var<T> value) {
    pass.propose(tensor, std::vector<double>(value.values(), value.values() + dim));
  };
  propose(this->shift(), values.shift);
  propose(this->log_scale(), values.log_scale);
  pass.propose(initialized_, std::vector<double>{1.0});
  return values;
}

template <Scalar T>
auto ActNorm<T>::values(Pass<T>& pass, Var<T> y) const -> Values {
  if (pass.captured())
    if (const BatchStatistics::Moments* moments = pass.captured()->find(&this->shift()))
      return from_moments(pass, moments->mean.data(), moments->variance.data());
  const bool start = y && !is_initialized() && pass.statistics() == Statistics::minibatch && pass.rows() > 0;
  return start ? from_batch(pass, y) : Affine<T>::values(pass, y);
}

template <Scalar T>
void ActNorm<T>::do_fields(Fields<T>& f) {
  f.type("act_norm");
  this->affine_fields(f);
  f.constant("epsilon", epsilon_);
  f.state("initialized", initialized_, {1}, {.from_data = !f.restoring() && !is_initialized()});
}

template <Scalar T>
void ActNorm<T>::do_restored() {
  Affine<T>::do_restored();
  check_positive("ActNorm", "epsilon", epsilon_);
}

template class ActNorm<float>;
template class ActNorm<double>;

}  // namespace pushforward
