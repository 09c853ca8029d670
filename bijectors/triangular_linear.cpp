#include <pushforward/bijectors/triangular_linear.hpp>

#include <cmath>
#include <string>

#include "bijectors/inverse_softplus.hpp"
#include "src/core/column_order.hpp"
#include "src/core/number_text.hpp"

namespace pushforward {

template <Scalar T>
TriangularLinear<T>::TriangularLinear(Index dim)
    : Bijector<T>("TriangularLinear", dim),
      lower_({dim, dim}),
      raw_diagonal_({dim}, static_cast<T>(detail::inverse_softplus(1 - diagonal_floor))),
      bias_({dim}) {}

template <Scalar T>
TriangularLinear<T>::TriangularLinear(VectorView<const T> bias, MatrixView<const T> scale_tril)
    : TriangularLinear(bias.size()) {
  const Index dim = this->dim();
  if (scale_tril.rows() != dim || scale_tril.cols() != dim)
    throw ShapeError("TriangularLinear: bias has " + std::to_string(dim) + " values but scale_tril is (" +
                     std::to_string(scale_tril.rows()) + ", " + std::to_string(scale_tril.cols()) + ")");
  for (Index i = 0; i < dim; ++i) {
    const auto refuse = [&](const char* what, double value) {
      throw DomainError(std::string("TriangularLinear: ") + what + " must be finite" +
                        (what[0] == 'a' ? " and above " + detail::number_text(diagonal_floor) : "") + ", got " +
                        detail::number_text(value) + " in row " + std::to_string(i));
    };
    bias_[i] = bias[i];
    if (!std::isfinite(bias[i])) refuse("bias", static_cast<double>(bias[i]));
    for (Index j = 0; j < i; ++j) {
      lower_(i, j) = scale_tril(i, j);
      if (!std::isfinite(scale_tril(i, j))) refuse("scale_tril", static_cast<double>(scale_tril(i, j)));
    }
    const double d = static_cast<double>(scale_tril(i, i));
    if (!(d > diagonal_floor) || !std::isfinite(d)) refuse("a diagonal entry", d);
    raw_diagonal_[i] = static_cast<T>(detail::inverse_softplus(d - diagonal_floor));
  }
}

template <Scalar T>
Var<T> TriangularLinear<T>::sizes(Pass<T>& pass) const {
  return softplus(pass.parameter(raw_diagonal_)) + static_cast<T>(diagonal_floor);
}

template <Scalar T>
Mapped<T> TriangularLinear<T>::do_forward(Pass<T>& pass, Var<T> x) const {
  const Var<T> d = sizes(pass);
  return {triangular_multiply(x, pass.parameter(lower_), d, true) + pass.parameter(bias_), row_sum(log(d))};
}

template <Scalar T>
Mapped<T> TriangularLinear<T>::do_inverse(Pass<T>& pass, Var<T> y) const {
  const Var<T> d = sizes(pass);
  return {triangular_solve(y - pass.parameter(bias_), pass.parameter(lower_), d, true), row_sum(-log(d))};
}

template <Scalar T>
std::vector<std::int64_t> TriangularLinear<T>::do_triangular_order() const {
  return detail::standing_order(this->dim());
}

template <Scalar T>
Var<T> TriangularLinear<T>::do_log_derivative(bool forward, Pass<T>& pass, Var<T>) const {
  const Var<T> log_size = log(sizes(pass));
  return forward ? log_size : -log_size;
}

template <Scalar T>
Tensor<T> TriangularLinear<T>::matrix() const {
  Tensor<T> l({this->dim(), this->dim()});
  for (Index i = 0; i < this->dim(); ++i) {
    for (Index j = 0; j < i; ++j) l(i, j) = lower_(i, j);
    const double raw = static_cast<double>(raw_diagonal_[i]);
    l(i, i) = static_cast<T>(std::max(raw, 0.0) + std::log1p(std::exp(-std::abs(raw))) + diagonal_floor);
  }
  return l;
}

template <Scalar T>
void TriangularLinear<T>::do_fields(Fields<T>& f) {
  f.type("triangular_linear");
  this->dim_field(f);
  const Index dim = this->dim();
  f.parameter("lower", lower_, {dim, dim});
  f.parameter("raw_diagonal", raw_diagonal_, {dim}, {.decay = false});
  f.parameter("bias", bias_, {dim}, {.decay = false});
}

template class TriangularLinear<float>;
template class TriangularLinear<double>;

}  // namespace pushforward
