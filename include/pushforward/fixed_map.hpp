#pragma once

#include <pushforward/bijector.hpp>

namespace pushforward {

/// A scalar map without parameters as a bijector, the same for each of `dim` columns. What the map is stands once, in
/// `Map<T>`: its names in code and in files, the intervals that it goes from and to, and both directions for values that
/// lie in them; see ExpMap.
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

}  // namespace pushforward
