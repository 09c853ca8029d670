#include <pushforward/nn/balanced_scales.hpp>

#include <cmath>
#include <string>

#include "src/ops/repeated.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
BalancedScales<T>::BalancedScales(Poly<Network<T>> net, double limit)
    : Network<T>("BalancedScales"), net_(std::move(net)), limit_(limit) {
  do_restored();
}

template <Scalar T>
Var<T> BalancedScales<T>::balanced(Var<T> s) const {
  return s - repeated(to_matrix(row_sum(s)) * (T(1) / static_cast<T>(s.cols())), s.cols());
}

template <Scalar T>
Var<T> BalancedScales<T>::do_evaluate(Pass<T>& pass, Var<T> x) const {
  const Index dim = this->outputs() / 2;
  const Var<T> out = (*net_)(pass, x);
  return concatenate<T>({columns(out, 0, dim), balanced(tanh(columns(out, dim, dim)) * static_cast<T>(limit_))});
}

template <Scalar T>
Dual<T> BalancedScales<T>::do_tangent(Pass<T>& pass, Dual<T> x) const {
  const Index dim = this->outputs() / 2;
  const Dual<T> out = net_->tangent(pass, x.value, x.tangent);
  const T limit = static_cast<T>(limit_);
  const Var<T> t = tanh(columns(out.value, dim, dim)), rise = (T(1) - t * t) * limit;
  return {concatenate<T>({columns(out.value, 0, dim), balanced(t * limit)}),
          concatenate<T>({columns(out.tangent, 0, dim), balanced(rise * columns(out.tangent, dim, dim))})};
}

template <Scalar T>
void BalancedScales<T>::do_fields(Fields<T>& f) {
  f.type("balanced_scales");
  f.constant("limit", limit_);
  f.part("net", net_);
}

template <Scalar T>
void BalancedScales<T>::do_restored() {
  if (!(limit_ > 0) || !std::isfinite(limit_))
    throw DomainError("BalancedScales: limit must be positive and finite, got " + std::to_string(limit_));
  if (net_->outputs() < 2 || net_->outputs() % 2 != 0)
    throw ShapeError("BalancedScales: expected a network of two outputs for each column, got " +
                     std::to_string(net_->outputs()));
  this->set_sizes(net_->inputs(), net_->outputs(), net_->context_dim());
}

template class BalancedScales<float>;
template class BalancedScales<double>;

}  // namespace pushforward
