#include <pushforward/bijectors/exp.hpp>

#include "bijectors/clamp.hpp"

namespace pushforward {

namespace {
constexpr double infinity = std::numeric_limits<double>::infinity();
}

template <Scalar T>
Exp<T>::Exp(Index dim) : ElementwiseBijector<T>("Exp", dim) {}

template <Scalar T>
Exp<T>::Exp(const Description& d) : Exp(d.integer("dim", 1, 1 << 20)) {}

template <Scalar T>
typename Exp<T>::Elements Exp<T>::do_forward_elements(Pass<T>&, Var<T> x) const {
  return {detail::clamp_positive(exp(x)), x};
}

template <Scalar T>
typename Exp<T>::Elements Exp<T>::do_inverse_elements(Pass<T>& pass, Var<T> y) const {
  const Var<T> x = log(pass.restrict_to(y, 0, infinity, T(1)));
  return {x, -x};
}

template <Scalar T>
Space Exp<T>::do_codomain() const {
  return Space::box(this->dim(), {0, infinity});
}

template <Scalar T>
Description Exp<T>::do_describe() const {
  return {.type = "exp", .constants = {{"dim", this->dim()}}, .children = {}};
}

template class Exp<float>;
template class Exp<double>;

}  // namespace pushforward
