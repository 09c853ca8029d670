#include <pushforward/bijectors/lu_linear.hpp>

#include <algorithm>
#include <cmath>

namespace pushforward {

template <Scalar T>
LULinear<T>::LULinear(Index dim)
    : Bijector<T>("LULinear", dim),
      lower_({dim, dim}),
      upper_({dim, dim}),
      raw_diagonal_({dim}, static_cast<T>(std::log(std::expm1(1 - diagonal_floor)))),  // where softplus gives the rest
      bias_({dim}) {}

template <Scalar T>
Var<T> LULinear<T>::diagonal(Pass<T>& pass) const {
  return softplus(pass.parameter(raw_diagonal_)) + static_cast<T>(diagonal_floor);
}

template <Scalar T>
Mapped<T> LULinear<T>::do_forward(Pass<T>& pass, Var<T> x) const {
  const Var<T> d = diagonal(pass);
  const Var<T> ux = triangular_multiply(x, pass.parameter(upper_), d, false);
  const Var<T> lux = triangular_multiply(ux, pass.parameter(lower_), Var<T>(), true);
  return {lux + pass.parameter(bias_), row_sum(log(d))};
}

template <Scalar T>
Mapped<T> LULinear<T>::do_inverse(Pass<T>& pass, Var<T> y) const {
  const Var<T> d = diagonal(pass);
  const Var<T> ux = triangular_solve(y - pass.parameter(bias_), pass.parameter(lower_), Var<T>(), true);
  const Var<T> x = triangular_solve(ux, pass.parameter(upper_), d, false);
  return {x, row_sum(-log(d))};
}

template <Scalar T>
Tensor<T> LULinear<T>::matrix() const {
  const Index dim = this->dim();
  Tensor<T> product({dim, dim});
  for (Index i = 0; i < dim; ++i)
    for (Index j = 0; j < dim; ++j) {
      double sum = 0;
      for (Index k = 0; k <= std::min(i, j); ++k) {
        const double raw = static_cast<double>(raw_diagonal_[k]);
        const double d = std::max(raw, 0.0) + std::log1p(std::exp(-std::abs(raw))) + diagonal_floor;
        const double l = k == i ? 1.0 : static_cast<double>(lower_(i, k));
        sum += l * (k == j ? d : static_cast<double>(upper_(k, j)));
      }
      product(i, j) = static_cast<T>(sum);
    }
  return product;
}

template <Scalar T>
void LULinear<T>::do_fields(Fields<T>& f) {
  f.type("lu_linear");
  this->dim_field(f);
  const Index dim = this->dim();
  f.parameter("lower", lower_, {dim, dim});
  f.parameter("upper", upper_, {dim, dim});
  f.parameter("raw_diagonal", raw_diagonal_, {dim}, {.decay = false});
  f.parameter("bias", bias_, {dim}, {.decay = false});
}

template class LULinear<float>;
template class LULinear<double>;

}  // namespace pushforward
