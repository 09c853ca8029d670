#include <pushforward/bijectors/invert.hpp>

#include <pushforward/registry.hpp>

namespace pushforward {

template <Scalar T>
Invert<T>::Invert(Poly<Bijector<T>> bijector)
    : Bijector<T>("Invert(" + bijector->name() + ")", bijector->dim(), bijector->base_event_shape(), bijector->context_dim()),
      bijector_(std::move(bijector)) {}

template <Scalar T>
Invert<T>::Invert(const Description& d, const Registry& registry) : Invert(registry.bijector<T>(d.child("bijector"))) {}

template class Invert<float>;
template class Invert<double>;

}  // namespace pushforward
