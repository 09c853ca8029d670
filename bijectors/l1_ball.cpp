#include <pushforward/bijectors/l1_ball.hpp>

#include <numbers>

#include "bijectors/hyperbolic.hpp"
#include "bijectors/running_sum.hpp"
#include "bijectors/surface.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
Mapped<T> L1Ball<T>::do_forward(Pass<T>& pass, Var<T> x) const {
  const Index n = this->dim();
  // log(1 - |tanh x|)
  const Var<T> log_share = std::numbers::ln2_v<T> - softplus(T(2) * abs(x));
  const Var<T> log_left = sums_before(pass, log_share), left_of_all = exp(to_matrix(row_sum(log_share)));
  return {tanh(x) * exp(log_left) * repeated(just_inside(left_of_all, n), n), row_sum(log_left - T(2) * log_cosh(x))};
}

template <Scalar T>
Mapped<T> L1Ball<T>::do_inverse(Pass<T>& pass, Var<T> y) const {
  const Index n = this->dim();
  const Var<T> inside = pass.restrict_to(y, -1, 1, T(0)), size = abs(inside);
  // What is left after each column, and before it.
  const Var<T> after = pass.restrict_to(T(1) - running_sum(size), positive), log_after = log(after);
  const Var<T> all = filled(pass.tape(), 1, T(1));
  const Var<T> left = n == 1 ? all : concatenate<T>({all, columns(after, 0, n - 1)}), log_sum = log(left + size);
  // 1 - tanh^2 = R_(i+1) (R_i + |y_i|) / R_i^2
  return {T(0.5) * sign(inside) * (log_sum - log_after), row_sum(log(left) - log_sum - log_after)};
}

template <Scalar T>
void L1Ball<T>::do_fields(Fields<T>& f) {
  f.type("l1_ball");
  this->dim_field(f);
}

template class L1Ball<float>;
template class L1Ball<double>;

}  // namespace pushforward
