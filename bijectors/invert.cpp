#include <pushforward/bijectors/invert.hpp>

namespace pushforward {

template <Scalar T>
Invert<T>::Invert(Poly<Bijector<T>> bijector) : Wrapper<Bijector<T>>("Invert", std::move(bijector)) {
  swap_sides();
}

template <Scalar T>
void Invert<T>::do_fields(Fields<T>& f) {
  f.type("invert");
  this->inner_field(f, "bijector");
}

template <Scalar T>
void Invert<T>::do_restored() {
  Wrapper<Bijector<T>>::do_restored();
  swap_sides();
}

template <Scalar T>
void Invert<T>::swap_sides() {
  this->set_shape(bijector().dim(), bijector().base_event_shape(), bijector().context_dim());
}

template class Invert<float>;
template class Invert<double>;

}  // namespace pushforward
