#include <pushforward/bijectors/softplus.hpp>

#include "bijectors/clamp.hpp"

namespace pushforward {

namespace {
constexpr double infinity = std::numeric_limits<double>::infinity();
}

template <Scalar T>
Softplus<T>::Softplus(Index dim) : ElementwiseBijector<T>("Softplus", dim) {}

template <Scalar T>
Softplus<T>::Softplus(const Description& d) : Softplus(d.integer("dim", 1, 1 << 20)) {}

template <Scalar T>
typename Softplus<T>::Elements Softplus<T>::do_forward_elements(Pass<T>&, Var<T> x) const {
  return {detail::clamp_positive(softplus(x)), -softplus(-x)};
}

template <Scalar T>
typename Softplus<T>::Elements Softplus<T>::do_inverse_elements(Pass<T>& pass, Var<T> y) const {
  const Var<T> inside = pass.restrict_to(y, 0, infinity, T(1));
  const Var<T> log_slope = log(-expm1(-inside));  // of the forward map: log sigmoid(x) = log(1 - exp(-y))
  return {inside + log_slope, -log_slope};
}

template <Scalar T>
Space Softplus<T>::do_codomain() const {
  return Space::box(this->dim(), {0, infinity});
}

template <Scalar T>
Description Softplus<T>::do_describe() const {
  return {.type = "softplus", .constants = {{"dim", this->dim()}}, .children = {}};
}

template class Softplus<float>;
template class Softplus<double>;

}  // namespace pushforward
