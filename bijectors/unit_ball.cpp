#include <pushforward/bijectors/unit_ball.hpp>

#include "bijectors/surface.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
Mapped<T> UnitBall<T>::do_forward(Pass<T>&, Var<T> x) const {
  const Index n = this->dim();
  const Column<T> log_width = log1p(row_sum_of_squares(x));
  const Var<T> size = exp(to_matrix(scale_shift(log_width, -0.5, 0.0)));
  return {x * repeated(size * just_inside(size * size, n), n), scale_shift(log_width, -0.5 * static_cast<double>(n) - 1, 0.0)};
}

template <Scalar T>
Mapped<T> UnitBall<T>::do_inverse(Pass<T>& pass, Var<T> y) const {
  const Index n = this->dim();
  const Var<T> inside = pass.restrict_to(y, -1, 1, T(0));
  const Var<T> d = pass.restrict_to(T(1) - to_matrix(row_sum_of_squares(inside)), positive), log_d = log(d);
  return {inside * repeated(exp(T(-0.5) * log_d), n),
          scale_shift(row_sum(log_d), -0.5 * static_cast<double>(n) - 1, 0.0)};
}

template <Scalar T>
void UnitBall<T>::do_fields(Fields<T>& f) {
  f.type("unit_ball");
  this->dim_field(f);
}

template class UnitBall<float>;
template class UnitBall<double>;

}  // namespace pushforward
