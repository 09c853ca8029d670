#include <pushforward/nn/periodic_features.hpp>

#include <string>

#include "src/core/circle.hpp"

namespace pushforward {

template <Scalar T>
PeriodicFeatures<T>::PeriodicFeatures(Poly<Network<T>> net, double low, double high)
    : Network<T>("PeriodicFeatures"), net_(std::move(net)), low_(low), high_(high) {
  do_restored();
}

template <Scalar T>
Var<T> PeriodicFeatures<T>::do_evaluate(Pass<T>& pass, Var<T> x) const {
  const Var<T> t = angle(x);
  return (*net_)(pass, concatenate<T>({cos(t), sin(t)}));
}

template <Scalar T>
Dual<T> PeriodicFeatures<T>::do_tangent(Pass<T>& pass, Dual<T> x) const {
  const Var<T> t = angle(x.value), rise = x.tangent * rate(), cosine = cos(t), sine = sin(t);
  return net_->tangent(pass, concatenate<T>({cosine, sine}), concatenate<T>({-(sine * rise), cosine * rise}));
}

template <Scalar T>
void PeriodicFeatures<T>::do_fields(Fields<T>& f) {
  f.type("periodic_features");
  f.constant("low", low_);
  f.constant("high", high_);
  f.part("net", net_);
}

template <Scalar T>
void PeriodicFeatures<T>::do_restored() {
  detail::check_period<T>("PeriodicFeatures", low_, high_);
  if (net_->inputs() < 2 || net_->inputs() % 2 != 0)
    throw ShapeError("PeriodicFeatures: expected a network of two inputs for each angle, got " +
                     std::to_string(net_->inputs()));
  this->set_sizes(net_->inputs() / 2, net_->outputs(), net_->context_dim());
}

template class PeriodicFeatures<float>;
template class PeriodicFeatures<double>;

}  // namespace pushforward
