#include <pushforward/bijectors/lu_linear.hpp>

#include <algorithm>
#include <cmath>
#include <string>

#include "bijectors/inverse_softplus.hpp"
#include "src/core/number_text.hpp"

namespace pushforward {

template <Scalar T>
LULinear<T>::LULinear(Index dim, double floor, std::vector<std::int64_t> signs)
    : Bijector<T>("LULinear", dim),
      floor_(floor),
      signs_(std::move(signs)),
      lower_({dim, dim}),
      upper_({dim, dim}),
      bias_({dim}) {
  do_restored();
  raw_diagonal_ = Tensor<T>({dim}, static_cast<T>(detail::inverse_softplus(1 - floor)));  // where softplus gives the rest
}

template <Scalar T>
void LULinear<T>::do_restored() {
  if (!(floor_ >= 0 && floor_ < 1))
    throw DomainError("LULinear: floor must lie in [0, 1), got " + detail::number_text(floor_));
  if (signs_.empty()) return;
  if (static_cast<Index>(signs_.size()) != this->dim())
    throw ShapeError("LULinear: expected " + std::to_string(this->dim()) + " signs, got " +
                     std::to_string(signs_.size()));
  sign_values_ = Tensor<T>({this->dim()});
  for (std::size_t i = 0; i < signs_.size(); ++i) {
    if (signs_[i] != 1 && signs_[i] != -1)
      throw DomainError("LULinear: a sign must be 1 or -1, got " + std::to_string(signs_[i]));
    sign_values_[static_cast<Index>(i)] = static_cast<T>(signs_[i]);
  }
}

template <Scalar T>
Var<T> LULinear<T>::sizes(Pass<T>& pass) const {
  return softplus(pass.parameter(raw_diagonal_)) + static_cast<T>(floor_);
}

template <Scalar T>
Var<T> LULinear<T>::with_signs(Pass<T>& pass, Var<T> sizes) const {
  return signs_.empty() ? sizes : sizes * pass.tape().constant(sign_values_);
}

template <Scalar T>
Mapped<T> LULinear<T>::do_forward(Pass<T>& pass, Var<T> x) const {
  const Var<T> d = sizes(pass);
  const Var<T> ux = triangular_multiply(x, pass.parameter(upper_), with_signs(pass, d), false);
  const Var<T> lux = triangular_multiply(ux, pass.parameter(lower_), Var<T>(), true);
  return {lux + pass.parameter(bias_), row_sum(log(d))};
}

template <Scalar T>
Mapped<T> LULinear<T>::do_inverse(Pass<T>& pass, Var<T> y) const {
  const Var<T> d = sizes(pass);
  const Var<T> ux = triangular_solve(y - pass.parameter(bias_), pass.parameter(lower_), Var<T>(), true);
  const Var<T> x = triangular_solve(ux, pass.parameter(upper_), with_signs(pass, d), false);
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
        const double size = std::max(raw, 0.0) + std::log1p(std::exp(-std::abs(raw))) + floor_;
        const double d = signs_.empty() ? size : size * static_cast<double>(signs_[static_cast<std::size_t>(k)]);
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
  f.optional("floor", floor_, diagonal_floor);
  f.optional("signs", signs_, std::vector<std::int64_t>());
  const Index dim = this->dim();
  f.parameter("lower", lower_, {dim, dim});
  f.parameter("upper", upper_, {dim, dim});
  f.parameter("raw_diagonal", raw_diagonal_, {dim}, {.decay = false});
  f.parameter("bias", bias_, {dim}, {.decay = false});
}

template class LULinear<float>;
template class LULinear<double>;

}  // namespace pushforward
