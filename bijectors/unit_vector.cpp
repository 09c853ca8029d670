#include <pushforward/bijectors/unit_vector.hpp>

#include <cmath>
#include <limits>
#include <numbers>

#include "bijectors/surface.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
UnitVector<T>::UnitVector(Index base_dim)
    : Bijector<T>("UnitVector", base_dim, std::vector<Index>{base_dim + 1}) {}

template <Scalar T>
Mapped<T> UnitVector<T>::do_forward(Pass<T>&, Var<T> x) const {
  const Index n = this->base_dim();
  const Column<T> log_width = log1p(row_sum_of_squares(x));
  const Var<T> d = to_matrix(scale_shift(exp(-log_width), 2.0, 0.0));  // 2 / (1 + s)
  return {concatenate<T>({x * repeated(d, n), T(1) - d}),
          scale_shift(log_width, -static_cast<double>(n), static_cast<double>(n) * std::numbers::ln2)};
}

template <Scalar T>
Mapped<T> UnitVector<T>::do_inverse(Pass<T>& pass, Var<T> y) const {
  const Index n = this->base_dim();
  constexpr double reach = 1 + surface_tolerance<T>;
  const Var<T> inside = pass.restrict_to(y, -reach, reach, T(0), true);
  restrict_to_one(pass, row_sum_of_squares(inside));
  const Var<T> others = columns(inside, 0, n), last = columns(inside, n, 1);
  const Column<T> chord = row_sum_of_squares(others) + row_sum_of_squares(T(1) - last);
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const Var<T> d = pass.restrict_to(to_matrix(scale_shift(chord, 0.5, 0.0)), 0, infinity, T(1));
  return {others / repeated(d, n), scale_shift(row_sum(log(d)), -static_cast<double>(n), 0.0)};
}

template <Scalar T>
Space UnitVector<T>::do_codomain() const {
  return Space::sphere(this->dim());
}

template <Scalar T>
void UnitVector<T>::do_fields(Fields<T>& f) {
  f.type("unit_vector");
  Index n = this->base_dim();
  f.constant("base_dim", n, 1, Index{1} << 20);
  if (f.restoring()) this->set_shape(n, {n + 1});
}

template class UnitVector<float>;
template class UnitVector<double>;

}  // namespace pushforward
