#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <pushforward/bijector.hpp>
#include <pushforward/description.hpp>
#include <pushforward/distribution.hpp>
#include <pushforward/nn/network.hpp>
#include <pushforward/poly.hpp>
#include <pushforward/transformer.hpp>

namespace pushforward {

/// Makes objects from descriptions, by registered name: a value, passed to `load` and `cast`.
///
/// `Registry::standard().add<MyMap>("my_map")` makes a user's class save, load and cast like ours. The class template
/// needs a constructor from `(const Description&, const Registry&)` or from `(const Description&)`, and its
/// `do_describe` gives the same name as type.
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
    return make<Bijector<T>>(d);
  }
  template <Scalar T>
  Poly<Distribution<T>> distribution(const Description& d) const {
    return make<Distribution<T>>(d);
  }
  template <Scalar T>
  Poly<Transformer<T>> transformer(const Description& d) const {
    return make<Transformer<T>>(d);
  }
  template <Scalar T>
  Poly<Network<T>> network(const Description& d) const {
    return make<Network<T>>(d);
  }

 private:
  template <class Base>
  using Maker = std::function<Poly<Base>(const Description&, const Registry&)>;
  template <class Base>
  using Makers = std::map<std::string, Maker<Base>>;

  template <class C, class Base>
  void add_if(const std::string& type) {
    if constexpr (std::derived_from<C, Base>)
      std::get<Makers<Base>>(makers_)[type] = [](const Description& d, const Registry& r) -> Poly<Base> {
        if constexpr (std::constructible_from<C, const Description&, const Registry&>)
          return C(d, r);
        else
          return C(d);
      };
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
  template <class Base>
  Poly<Base> make(const Description& d) const;

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
