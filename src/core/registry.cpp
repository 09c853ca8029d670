#include <pushforward/registry.hpp>

#include <algorithm>

namespace pushforward {

template <class Base>
Poly<Base> Registry::make(const Restoration& from) const {
  const Makers<Base>& makers = std::get<Makers<Base>>(makers_);
  const auto found = makers.find(from.description.type);
  if (found != makers.end()) return found->second(from);
  std::string known;
  for (const std::string& type : types<Base>()) known += (known.empty() ? "" : ", ") + type;
  throw IoError("Registry: unknown type '" + from.description.type + "'; add it with Registry::add, known here: " + known);
}

template <class Base>
Poly<Base> restored(const Restoration& from) {
  return from.registry.make<Base>(from);
}

template Poly<Bijector<float>> Registry::make(const Restoration&) const;
template Poly<Bijector<float>> restored(const Restoration&);
template Poly<Bijector<double>> Registry::make(const Restoration&) const;
template Poly<Bijector<double>> restored(const Restoration&);
template Poly<Distribution<float>> Registry::make(const Restoration&) const;
template Poly<Distribution<float>> restored(const Restoration&);
template Poly<Distribution<double>> Registry::make(const Restoration&) const;
template Poly<Distribution<double>> restored(const Restoration&);
template Poly<Network<float>> Registry::make(const Restoration&) const;
template Poly<Network<float>> restored(const Restoration&);
template Poly<Network<double>> Registry::make(const Restoration&) const;
template Poly<Network<double>> restored(const Restoration&);
template Poly<Transformer<float>> Registry::make(const Restoration&) const;
template Poly<Transformer<float>> restored(const Restoration&);
template Poly<Transformer<double>> Registry::make(const Restoration&) const;
template Poly<Transformer<double>> restored(const Restoration&);

template <Scalar From, Scalar To>
void copy_state(const Component<From>& from, Component<To>& to) {
  const std::vector<ConstSlot<From>> sources = list_state(from);
  const std::vector<Slot<To>> targets = list_state(to);
  if (sources.size() != targets.size())
    throw ShapeError("copy_state: " + from.name() + " has " + std::to_string(sources.size()) + " tensors but " +
                     to.name() + " has " + std::to_string(targets.size()));
  for (std::size_t i = 0; i < sources.size(); ++i)
    if (sources[i].path != targets[i].path || sources[i].tensor->shape() != targets[i].tensor->shape())
      throw ShapeError("copy_state: tensor '" + sources[i].path + "' does not fit '" + targets[i].path + "'");
  for (std::size_t i = 0; i < sources.size(); ++i)
    std::transform(sources[i].tensor->values().begin(), sources[i].tensor->values().end(), targets[i].tensor->data(),
                   [](From v) { return static_cast<To>(v); });
}

template <Scalar To, Scalar From>
Poly<Bijector<To>> cast(const Bijector<From>& bijector, const Registry& registry) {
  Poly<Bijector<To>> result = registry.bijector<To>(bijector.describe());
  copy_state<From, To>(bijector, *result);
  return result;
}

template <Scalar To, Scalar From>
Poly<Distribution<To>> cast(const Distribution<From>& distribution, const Registry& registry) {
  Poly<Distribution<To>> result = registry.distribution<To>(distribution.describe());
  copy_state<From, To>(distribution, *result);
  return result;
}

#define PUSHFORWARD_INSTANTIATE(From, To)                                              \
  template void copy_state(const Component<From>&, Component<To>&);                    \
  template Poly<Bijector<To>> cast<To>(const Bijector<From>&, const Registry&);        \
  template Poly<Distribution<To>> cast<To>(const Distribution<From>&, const Registry&);
PUSHFORWARD_INSTANTIATE(float, float)
PUSHFORWARD_INSTANTIATE(float, double)
PUSHFORWARD_INSTANTIATE(double, float)
PUSHFORWARD_INSTANTIATE(double, double)
#undef PUSHFORWARD_INSTANTIATE

}  // namespace pushforward
