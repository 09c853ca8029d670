#pragma once

#include <limits>
#include <string>
#include <vector>

#include <pushforward/bijector.hpp>
#include <pushforward/transformer.hpp>

namespace pushforward {

/// A scalar map without learned parameters as a bijector, the same for each of `dim` columns. What the map is stands
/// once, in `Map<T>`, for this and for FixedTransformer: its names in code and in files, the intervals that it goes
/// from and to, and both directions for values that lie in them; see ExpMap. A map with constants is made from them,
/// names them in `fields`, and makes what follows from them in `restored`, for which the constants are all that is
/// known; see LeakyTanhMap. One that may decrease has a member `increasing`.
template <template <Scalar> class Map, Scalar T>
class FixedBijector final : public ElementwiseBijector<T> {
 public:
  /// With the map's constants: `LeakyTanh<double>(2, 3.5)`, `SoftClip<double>(2, {-1, 1, 0.1})`.
  /// @throws ShapeError  if dim < 1.
  explicit FixedBijector(Index dim, Map<T> map = {}) : ElementwiseBijector<T>(Map<T>::name, dim), map_(map) {}

 private:
  using Elements = MappedElements<T>;
  Elements do_forward_elements(Pass<T>& pass, Var<T> x) const override {
    return map_.forward(pass.restrict_to(x, map_.domain));
  }
  Elements do_inverse_elements(Pass<T>& pass, Var<T> y) const override {
    return map_.inverse(pass.restrict_to(y, map_.codomain));
  }
  std::vector<bool> do_is_increasing() const override {
    bool increasing = true;
    if constexpr (requires { map_.increasing; }) increasing = map_.increasing;
    return std::vector<bool>(static_cast<std::size_t>(this->dim()), increasing);
  }
  Space do_domain() const override { return Space::box(this->dim(), map_.domain); }
  Space do_codomain() const override { return Space::box(this->dim(), map_.codomain); }
  void do_fields(Fields<T>& f) override {
    f.type(Map<T>::type);
    this->dim_field(f);
    if constexpr (requires { map_.fields(f); }) map_.fields(f);
  }
  void do_restored() override {
    if constexpr (requires { map_.restored(); }) map_.restored();
  }

  [[no_unique_address]] Map<T> map_;
};

/// The same as a transformer, to be composed with others: it takes no parameters of an element. In files "_transformer"
/// stands behind the map's name.
/// @throws DomainError  if the map decreases.
template <template <Scalar> class Map, Scalar T>
class FixedTransformer final : public Transformer<T> {
 public:
  explicit FixedTransformer(Map<T> map = {}) : Transformer<T>(std::string(Map<T>::name) + "Transformer", 0), map_(map) {
    check();
  }

 private:
  using Elements = MappedElements<T>;
  Elements do_forward(Pass<T>& pass, Var<T> x, std::span<const Var<T>>) const override {
    return map_.forward(pass.restrict_to(x, map_.domain));
  }
  Elements do_inverse(Pass<T>& pass, Var<T> y, std::span<const Var<T>>) const override {
    return map_.inverse(pass.restrict_to(y, map_.codomain));
  }
  Interval do_domain() const override { return map_.domain; }
  Interval do_codomain() const override { return map_.codomain; }
  double do_log_scale_bound() const override { return std::numeric_limits<double>::infinity(); }
  void do_fields(Fields<T>& f) override {
    f.type(std::string(Map<T>::type) + "_transformer");
    if constexpr (requires { map_.fields(f); }) map_.fields(f);
  }
  void do_restored() override {
    if constexpr (requires { map_.restored(); }) map_.restored();
    check();
  }
  void check() const {
    if constexpr (requires { map_.increasing; })
      if (!map_.increasing) throw DomainError(this->name() + ": the maps of a transformer increase");
  }

  [[no_unique_address]] Map<T> map_;
};

}  // namespace pushforward
