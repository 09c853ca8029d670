#pragma once

#include <limits>
#include <string>

#include <pushforward/bijector.hpp>
#include <pushforward/transformer.hpp>

namespace pushforward {

/// A scalar map without parameters as a bijector, the same for each of `dim` columns. What the map is stands once, in
/// `Map<T>`, for this and for FixedTransformer: its names in code and in files, the intervals that it goes from and to,
/// and both directions for values that lie in them; see ExpMap.
template <template <Scalar> class Map, Scalar T>
class FixedBijector final : public ElementwiseBijector<T> {
 public:
  /// @throws ShapeError  if dim < 1.
  explicit FixedBijector(Index dim) : ElementwiseBijector<T>(Map<T>::name, dim) {}

 private:
  using Elements = MappedElements<T>;
  Elements do_forward_elements(Pass<T>& pass, Var<T> x) const override {
    return Map<T>::forward(pass.restrict_to(x, Map<T>::domain));
  }
  Elements do_inverse_elements(Pass<T>& pass, Var<T> y) const override {
    return Map<T>::inverse(pass.restrict_to(y, Map<T>::codomain));
  }
  Space do_domain() const override { return Space::box(this->dim(), Map<T>::domain); }
  Space do_codomain() const override { return Space::box(this->dim(), Map<T>::codomain); }
  void do_fields(Fields<T>& f) override {
    f.type(Map<T>::type);
    this->dim_field(f);
  }
};

/// The same as a transformer, to be composed with others: it takes no parameters of an element. In files "_transformer"
/// stands behind the map's name.
template <template <Scalar> class Map, Scalar T>
class FixedTransformer final : public Transformer<T> {
 public:
  FixedTransformer() : Transformer<T>(std::string(Map<T>::name) + "Transformer", 0) {}

 private:
  using Elements = MappedElements<T>;
  Elements do_forward(Pass<T>& pass, Var<T> x, std::span<const Var<T>>) const override {
    return Map<T>::forward(pass.restrict_to(x, Map<T>::domain));
  }
  Elements do_inverse(Pass<T>& pass, Var<T> y, std::span<const Var<T>>) const override {
    return Map<T>::inverse(pass.restrict_to(y, Map<T>::codomain));
  }
  Interval do_domain() const override { return Map<T>::domain; }
  Interval do_codomain() const override { return Map<T>::codomain; }
  double do_log_scale_bound() const override { return std::numeric_limits<double>::infinity(); }
  void do_fields(Fields<T>& f) override { f.type(std::string(Map<T>::type) + "_transformer"); }
};

}  // namespace pushforward
