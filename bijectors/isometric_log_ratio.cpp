#include <pushforward/bijectors/isometric_log_ratio.hpp>

#include <cmath>

#include "bijectors/running_sum.hpp"
#include "bijectors/softmax.hpp"
#include "src/ops/matrix.hpp"

namespace pushforward {

using namespace detail;

namespace {

/// 1 / sqrt(k (k + 1)) for k = 1 ... n, or k times as much.
template <Scalar T>
Var<T> rates(Pass<T>& pass, Index n, bool counted) {
  return shared_constant(pass.tape(), 1, n, [counted](Index, Index i) {
    const double k = static_cast<double>(i + 1);
    return (counted ? k : 1.0) / std::sqrt(k * (k + 1));
  });
}

}  // namespace

template <Scalar T>
IsometricLogRatio<T>::IsometricLogRatio(Index base_dim)
    : Bijector<T>("IsometricLogRatio", base_dim, std::vector<Index>{base_dim + 1}) {}

template <Scalar T>
Mapped<T> IsometricLogRatio<T>::do_forward(Pass<T>& pass, Var<T> x) const {
  const Index n = this->base_dim();
  const Var<T> nothing = filled(pass.tape(), 1, T(0));
  const Var<T> ones = concatenate<T>({running_sum(x * rates(pass, n, false), true), nothing});
  const auto [y, log_sum] =
      softmax_with_log_sum(ones - concatenate<T>({nothing, x * rates(pass, n, true)}));
  return {y, scale_shift(log_sum, 1.0, 0.5 * std::log(static_cast<double>(this->dim())))};
}

template <Scalar T>
Mapped<T> IsometricLogRatio<T>::do_inverse(Pass<T>& pass, Var<T> y) const {
  const Index n = this->base_dim();
  const Var<T> log_y = log(restrict_to_simplex(pass, y));
  return {running_sum(columns(log_y, 0, n)) * rates(pass, n, false) - columns(log_y, 1, n) * rates(pass, n, true),
          scale_shift(row_sum(log_y), -1.0, -0.5 * std::log(static_cast<double>(this->dim())))};
}

template <Scalar T>
void IsometricLogRatio<T>::do_fields(Fields<T>& f) {
  f.type("isometric_log_ratio");
  Index n = this->base_dim();
  f.constant("base_dim", n, 1, Index{1} << 20);
  if (f.restoring()) this->set_shape(n, {n + 1});
}

template class IsometricLogRatio<float>;
template class IsometricLogRatio<double>;

}  // namespace pushforward
