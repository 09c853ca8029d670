#include <pushforward/bijectors/zero_sum.hpp>

#include <cmath>

#include "bijectors/surface.hpp"

namespace pushforward {

using namespace detail;

namespace {

/// Of the n + 1 columns.
double root(Index count) { return std::sqrt(static_cast<double>(count)); }

template <Scalar T>
Column<T> log_volume(Pass<T>& pass, Index count, double sign) {
  return row_sum(filled(pass.tape(), 1, static_cast<T>(sign * std::log(root(count)))));
}

}  // namespace

template <Scalar T>
ZeroSum<T>::ZeroSum(Index base_dim) : Bijector<T>("ZeroSum", base_dim, std::vector<Index>{base_dim + 1}) {}

template <Scalar T>
Mapped<T> ZeroSum<T>::do_forward(Pass<T>& pass, Var<T> x) const {
  const Index count = this->dim();
  const double r = root(count);
  const Var<T> sum = to_matrix(row_sum(x));
  const Var<T> mean = sum * static_cast<T>(1 / (r + r * r));
  return {concatenate<T>({x - repeated(mean, count - 1), sum * static_cast<T>(-1 / r)}), log_volume(pass, count, -1)};
}

template <Scalar T>
Mapped<T> ZeroSum<T>::do_inverse(Pass<T>& pass, Var<T> y) const {
  const Index count = this->dim();
  restrict_to_zero(pass, row_sum(y), row_sum(abs(y)));
  const Var<T> mean = columns(y, count - 1, 1) * static_cast<T>(-1 / (1 + root(count)));
  return {columns(y, 0, count - 1) + repeated(mean, count - 1), log_volume(pass, count, 1)};
}

template <Scalar T>
void ZeroSum<T>::do_fields(Fields<T>& f) {
  f.type("zero_sum");
  Index n = this->base_dim();
  f.constant("base_dim", n, 1, Index{1} << 20);
  if (f.restoring()) this->set_shape(n, {n + 1});
}

template class ZeroSum<float>;
template class ZeroSum<double>;

}  // namespace pushforward
