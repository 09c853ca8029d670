#pragma once

#include <vector>

#include <pushforward/bijector.hpp>

namespace pushforward {

/// Several maps one after the other: `Chain(a, b, c)` applies a first in `forward`, c first in `inverse`.
///
/// log_det = the sum of the parts' log_dets, each at the point that it is applied to.
///
/// @par Shapes  all parts have the same dim; parts with context share the pass's context.
/// @throws ShapeError  from the constructor, naming the two parts that do not fit.
template <Scalar T>
class Chain final : public Bijector<T> {
 public:
  template <class First, class... Rest>
    requires(std::derived_from<std::remove_cvref_t<First>, Bijector<T>> &&
             (std::derived_from<std::remove_cvref_t<Rest>, Bijector<T>> && ...) &&
             !(std::same_as<std::remove_cvref_t<First>, Chain> && sizeof...(Rest) == 0))
  explicit Chain(First&& first, Rest&&... rest)
      : Chain(collect(std::forward<First>(first), std::forward<Rest>(rest)...)) {}
  explicit Chain(std::vector<Poly<Bijector<T>>> parts);
  explicit Chain(Blank) : Bijector<T>("Chain") {}

  Index size() const { return static_cast<Index>(parts_.size()); }
  /// @throws DomainError  if there is no such part.
  const Bijector<T>& part(Index i) const { return *parts_[position(i)]; }
  Bijector<T>& part(Index i) { return *parts_[position(i)]; }
  /// A part as a value, to build something else from it.
  Poly<Bijector<T>> copy_part(Index i) const { return parts_[position(i)]; }

 private:
  template <class... Parts>
  static std::vector<Poly<Bijector<T>>> collect(Parts&&... parts) {
    std::vector<Poly<Bijector<T>>> list;
    list.reserve(sizeof...(parts));
    (list.emplace_back(std::forward<Parts>(parts)), ...);
    return list;
  }
  /// i, if it is the number of a part.
  std::size_t position(Index i) const;
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override;
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override;
  bool do_is_elementwise() const override;
  bool do_is_constant_jacobian() const override;
  bool do_is_constant_log_det() const override;
  std::vector<bool> do_is_increasing() const override;
  bool do_has_forward() const override;
  bool do_has_inverse() const override;
  Space do_domain() const override;
  Space do_codomain() const override;
  Space do_image(bool forward, const Space& from) const override;
  double do_log_scale_bound() const override;
  Estimate do_estimates() const override;
  std::vector<std::int64_t> do_triangular_order() const override;
  Var<T> do_log_derivative(bool forward, Pass<T>& pass, Var<T> in) const override;
  void do_fields(Fields<T>& f) override;
  void do_restored() override;

  std::vector<Poly<Bijector<T>>> parts_;
};

/// The scalar type follows from the first part.
template <class First, class... Rest>
Chain(First, Rest...) -> Chain<ScalarOf<First>>;

extern template class Chain<float>;
extern template class Chain<double>;

}  // namespace pushforward
