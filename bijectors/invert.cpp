#include <pushforward/bijectors/invert.hpp>

namespace pushforward {

template <Scalar T>
Invert<T>::Invert(Poly<Bijector<T>> bijector)
    : Bijector<T>("Invert(" + bijector->name() + ")", bijector->dim(), bijector->base_event_shape(), bijector->context_dim()),
      bijector_(std::move(bijector)) {}

template <Scalar T>
void Invert<T>::do_fields(Fields<T>& f) {
  f.type("invert");
  f.part("bijector", bijector_);
}

template <Scalar T>
void Invert<T>::do_restored() {
  this->set_name("Invert(" + bijector_->name() + ")");
  this->set_shape(bijector_->dim(), bijector_->base_event_shape(), bijector_->context_dim());
}

template class Invert<float>;
template class Invert<double>;

}  // namespace pushforward
