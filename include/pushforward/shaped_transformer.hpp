#pragma once

#include <limits>
#include <span>
#include <string>

#include <pushforward/transformer.hpp>

namespace pushforward {

namespace detail {
void check_shape_bound(const std::string& where, double bound);
}

/// A transformer whose parameters are the shape of one map. What the map is stands once, in `Map<T>`: its names in code
/// and in files, the number of its parameters, the intervals that it goes from and to, and both directions for values
/// that lie in them; see KumaraswamyMap. One with a `usual_bound` takes a bound of its raw parameters, a constant that
/// both directions are given; they make bound tanh(raw / bound) of these (`soft_bound`).
template <template <Scalar> class Map, Scalar T>
class ShapedTransformer final : public Transformer<T> {
  static constexpr bool is_bounded = requires { Map<T>::usual_bound; };
  static constexpr double usual() {
    if constexpr (is_bounded)
      return Map<T>::usual_bound;
    else
      return std::numeric_limits<double>::infinity();
  }

 public:
  static constexpr double default_bound = usual();

  ShapedTransformer() : Transformer<T>(Map<T>::name, Map<T>::parameters) {}
  /// @throws DomainError  unless 0 < bound <= 20: beyond, the tails of such maps are of no use in double.
  explicit ShapedTransformer(double bound)
    requires is_bounded
      : ShapedTransformer() {
    bound_ = bound;
    do_restored();
  }

 private:
  using Elements = MappedElements<T>;
  using Params = std::span<const Var<T>>;
  Elements do_forward(Pass<T>& pass, Var<T> x, Params params) const override {
    const Var<T> inside = pass.restrict_to(x, Map<T>::domain);
    if constexpr (is_bounded)
      return Map<T>::forward(inside, params, bound_);
    else
      return Map<T>::forward(inside, params);
  }
  Elements do_inverse(Pass<T>& pass, Var<T> y, Params params) const override {
    const Var<T> inside = pass.restrict_to(y, Map<T>::codomain);
    if constexpr (is_bounded)
      return Map<T>::inverse(inside, params, bound_);
    else
      return Map<T>::inverse(inside, params);
  }
  Interval do_domain() const override { return Map<T>::domain; }
  Interval do_codomain() const override { return Map<T>::codomain; }
  double do_log_scale_bound() const override { return std::numeric_limits<double>::infinity(); }
  void do_fields(Fields<T>& f) override {
    f.type(Map<T>::type);
    if constexpr (is_bounded) f.constant("bound", bound_);
  }
  void do_restored() override {
    if (is_bounded) detail::check_shape_bound(this->name(), bound_);
  }

  double bound_ = default_bound;
};

}  // namespace pushforward
