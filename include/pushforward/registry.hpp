#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <pushforward/bijector.hpp>
#include <pushforward/description.hpp>
#include <pushforward/distribution.hpp>
#include <pushforward/fields.hpp>
#include <pushforward/nn/network.hpp>
#include <pushforward/poly.hpp>
#include <pushforward/transformer.hpp>

namespace pushforward {

/// Makes objects from descriptions, by registered name: a value, passed to `load` and `cast`.
///
/// `Registry::standard().add<MyMap>("my_map")` makes a user's class save, load and cast like ours. The class template
/// names its fields in `do_fields`, with the same name as type. The object to restore into is made by its constructor
/// from `Blank`, the one without arguments, or the one from a number of columns.
class Registry {
 public:
  /// Empty: knows no class.
  Registry() = default;
  /// Every class of the library.
  static Registry standard();

  template <template <Scalar> class C, Scalar Single = float, Scalar Double = double>
  Registry& add(const std::string& type) {
    add_for<C<Single>>(type);
    add_for<C<Double>>(type);
    return *this;
  }

  /// @throws IoError  if the type is unknown, naming those that are known.
  template <Scalar T>
  Poly<Bijector<T>> bijector(const Description& d) const {
    return make<Bijector<T>>({d, *this});
  }
  template <Scalar T>
  Poly<Distribution<T>> distribution(const Description& d, const TensorShapes* shapes = nullptr) const {
    return make<Distribution<T>>({d, *this, shapes});
  }
  template <Scalar T>
  Poly<Transformer<T>> transformer(const Description& d) const {
    return make<Transformer<T>>({d, *this});
  }
  template <Scalar T>
  Poly<Network<T>> network(const Description& d) const {
    return make<Network<T>>({d, *this});
  }
  template <class Base>
  Poly<Base> make(const Restoration& from) const;

  /// The names of the bijectors, distributions, networks or transformers that it knows: `types<Bijector<double>>()`.
  template <class Base>
  std::vector<std::string> types() const {
    std::vector<std::string> names;
    for (const auto& [name, maker] : std::get<Makers<Base>>(makers_)) names.push_back(name);
    return names;
  }

 private:
  template <class Base>
  using Maker = std::function<Poly<Base>(const Restoration&)>;
  template <class Base>
  using Makers = std::map<std::string, Maker<Base>>;

  template <class C, class Base>
  void add_if(const std::string& type) {
    if constexpr (std::derived_from<C, Base>)
      std::get<Makers<Base>>(makers_)[type] = [](const Restoration& from) -> Poly<Base> {
        C object = blank<C>();
        object.restore(from);
        return object;
      };
  }
  template <class C>
  static C blank() {
    if constexpr (std::constructible_from<C, Blank>)
      return C(Blank());
    else if constexpr (std::default_initializable<C>)
      return C();
    else
      return C(Index{1});
  }
  template <class C>
  void add_for(const std::string& type) {
    add_if<C, Bijector<float>>(type);
    add_if<C, Bijector<double>>(type);
    add_if<C, Distribution<float>>(type);
    add_if<C, Distribution<double>>(type);
    add_if<C, Network<float>>(type);
    add_if<C, Network<double>>(type);
    add_if<C, Transformer<float>>(type);
    add_if<C, Transformer<double>>(type);
  }

  std::tuple<Makers<Bijector<float>>, Makers<Bijector<double>>, Makers<Distribution<float>>,
             Makers<Distribution<double>>, Makers<Network<float>>, Makers<Network<double>>,
             Makers<Transformer<float>>, Makers<Transformer<double>>>
      makers_;
};

/// Copies every tensor of `from` into the tensor of the same path in `to`, converting the scalar.
/// @throws ShapeError  if the trees differ.
template <Scalar From, Scalar To>
void copy_state(const Component<From>& from, Component<To>& to);

/// The same object with the other scalar type.
template <Scalar To, Scalar From>
Poly<Bijector<To>> cast(const Bijector<From>& bijector, const Registry& registry = Registry::standard());
template <Scalar To, Scalar From>
Poly<Distribution<To>> cast(const Distribution<From>& distribution, const Registry& registry = Registry::standard());

}  // namespace pushforward
