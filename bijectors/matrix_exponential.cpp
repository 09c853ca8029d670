#include <pushforward/bijectors/matrix_exponential.hpp>

#include "src/ops/matrix.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
MatrixExponential<T>::MatrixExponential(Index dim) : Bijector<T>("MatrixExponential", dim), a_({dim, dim}) {}

template <Scalar T>
Mapped<T> MatrixExponential<T>::map(Pass<T>& pass, Var<T> v, bool forward) const {
  const Var<T> given = pass.parameter(a_), a = forward ? given : -given;
  return {linear(v, matrix_exponential(a), Var<T>()), row_sum(a * shared_identity(pass.tape(), this->dim(), this->dim()))};
}

template <Scalar T>
void MatrixExponential<T>::do_fields(Fields<T>& f) {
  f.type("matrix_exponential");
  this->dim_field(f, Index{1} << 12);
  f.parameter("a", a_, {this->dim(), this->dim()});
}

template class MatrixExponential<float>;
template class MatrixExponential<double>;

}  // namespace pushforward
