#include <pushforward/bijectors/log.hpp>

#include "bijectors/clamp.hpp"

namespace pushforward {

namespace {
constexpr double infinity = std::numeric_limits<double>::infinity();
}

template <Scalar T>
Log<T>::Log(Index dim) : ElementwiseBijector<T>("Log", dim) {}

template <Scalar T>
Log<T>::Log(const Description& d) : Log(d.integer("dim", 1, 1 << 20)) {}

template <Scalar T>
typename Log<T>::Elements Log<T>::do_forward_elements(Pass<T>& pass, Var<T> x) const {
  const Var<T> y = log(pass.restrict_to(x, 0, infinity, T(1)));
  return {y, -y};
}

template <Scalar T>
typename Log<T>::Elements Log<T>::do_inverse_elements(Pass<T>&, Var<T> y) const {
  return {detail::clamp_positive(exp(y)), y};
}

template <Scalar T>
Space Log<T>::do_domain() const {
  return Space::box(this->dim(), {0, infinity});
}

template <Scalar T>
Description Log<T>::do_describe() const {
  return {.type = "log", .constants = {{"dim", this->dim()}}, .children = {}};
}

template class Log<float>;
template class Log<double>;

}  // namespace pushforward
