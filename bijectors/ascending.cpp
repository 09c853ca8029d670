#include <pushforward/bijectors/ascending.hpp>

#include <cmath>
#include <limits>

#include "bijectors/running_sum.hpp"

namespace pushforward {

using namespace detail;

namespace {
constexpr double infinity = std::numeric_limits<double>::infinity();
}

template <Scalar T>
Ascending<T>::Ascending(Index dim) : Bijector<T>("Ascending", dim) {}

template <Scalar T>
Mapped<T> Ascending<T>::do_forward(Pass<T>& pass, Var<T> x) const {
  const Index steps = this->dim() - 1;
  if (steps == 0) return {x, {}};
  const Var<T> log_steps = columns(x, 1, steps);
  const Var<T> y = running_sum(concatenate<T>({columns(x, 0, 1), exp(log_steps)}));
  // Steps that have vanished beside the sum: the number of T next to it. The gradient does not mind.
  for (Index c = 1; c <= steps; ++c) {
    const T* before = pass.tape().value(y, c - 1);
    T* v = pass.tape().value(y, c);
    for (Index i = 0; i < pass.tape().padded_rows(); ++i)
      if (v[i] <= before[i]) v[i] = std::nextafter(before[i], static_cast<T>(infinity));
  }
  return {y, row_sum(log_steps)};
}

template <Scalar T>
Mapped<T> Ascending<T>::do_inverse(Pass<T>& pass, Var<T> y) const {
  const Index steps = this->dim() - 1;
  if (steps == 0) return {y, {}};
  const Var<T> log_steps = log(pass.restrict_to(columns(y, 1, steps) - columns(y, 0, steps), 0, infinity, T(1)));
  return {concatenate<T>({columns(y, 0, 1), log_steps}), -row_sum(log_steps)};
}

template <Scalar T>
Space Ascending<T>::do_codomain() const {
  return Space::ordered(this->dim());
}

template <Scalar T>
void Ascending<T>::do_fields(Fields<T>& f) {
  f.type("ascending");
  this->dim_field(f);
}

template class Ascending<float>;
template class Ascending<double>;

}  // namespace pushforward
