#pragma once

#include <vector>

#include <pushforward/bijector.hpp>

namespace pushforward {

/// Maps side by side, each of columns of its own: `Blocks(a, b)` applies a to the first columns, and b to those that
/// follow. A `Permute` before and after it takes other groups than neighbours.
///
/// log_det = the sum of the parts' log_dets
///
/// @par Shapes      y: (N, sum of the parts' dim); x: (N, sum of the parts' base_dim), which differ where a part's do:
///                  the weights of a simplex beside free columns. A context goes to the parts that take one.
/// @par Parameters  those of the parts, under "0.", "1.", ...
/// @par Cost        The sum of the parts' costs.
/// @throws ShapeError  if there is no part, or two take different numbers of context columns.
/// @source TFP's `Blockwise` and torch's `CatTransform`.
template <Scalar T>
class Blocks final : public Bijector<T> {
 public:
  template <class First, class... Rest>
    requires(std::derived_from<std::remove_cvref_t<First>, Bijector<T>> &&
             (std::derived_from<std::remove_cvref_t<Rest>, Bijector<T>> && ...) &&
             !(std::same_as<std::remove_cvref_t<First>, Blocks> && sizeof...(Rest) == 0))
  explicit Blocks(First&& first, Rest&&... rest)
      : Blocks(std::vector<Poly<Bijector<T>>>{Poly<Bijector<T>>(std::forward<First>(first)),
                                              Poly<Bijector<T>>(std::forward<Rest>(rest))...}) {}
  explicit Blocks(std::vector<Poly<Bijector<T>>> parts);
  explicit Blocks(Blank) : Bijector<T>("Blocks") {}

  Index size() const { return static_cast<Index>(parts_.size()); }
  /// @throws DomainError  if there is no such part.
  const Bijector<T>& part(Index i) const;
  /// A part as a value, to build something else from it.
  Poly<Bijector<T>> copy_part(Index i) const;

 private:
  Mapped<T> apply(bool forward, Pass<T>& pass, Var<T> in) const;
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override { return apply(true, pass, x); }
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override { return apply(false, pass, y); }
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
Blocks(First, Rest...) -> Blocks<ScalarOf<First>>;

extern template class Blocks<float>;
extern template class Blocks<double>;

}  // namespace pushforward
