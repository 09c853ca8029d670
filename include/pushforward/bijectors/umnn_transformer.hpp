#pragma once

#include <cstdint>
#include <vector>

#include <pushforward/activation.hpp>
#include <pushforward/nn/element_network.hpp>
#include <pushforward/transformer.hpp>

namespace pushforward {

struct UmnnOptions {
  Index signals = 16;                     ///< what the conditioner gives the integrand for each element
  std::vector<Index> hidden = {32, 32};   ///< units of the integrand's hidden layers, 2 to 4096
  Activation activation = Activation::tanh;  ///< of them
  Index bins = 32;       ///< between whose ends the integrand is a straight line: an even number, 2 to 256
  double bound = 5;      ///< the bins cover [-bound, bound]; beyond it the integrand stays what it is there
  double log_bound = 5;  ///< its values lie in [exp(-log_bound), exp(log_bound)]
  double final_scale = 0.01;  ///< of the integrand's last weights at the start; near 0: the identity
  std::uint64_t seed = 0;     ///< of the integrand's weights
};

/// The integral of a positive network: x = shift + integral from 0 to y of g(t; signals), where g at the knots t_k =
/// -bound + 2 bound k / bins is
///   exp(log_bound tanh(u / log_bound)), u a multilayer perceptron of t_k and the signals, the same for all elements,
/// and straight between the knots. So the integral, its inverse and its slope are exact, and the map increases whatever
/// the network is; a sum over nodes that follow y, as elsewhere, is none of it where the integrand is steep.
///
/// log derivative of `inverse`: log g(y).
///
/// Parameters, signals + 1 for each element: the signals, then the shift. All 0 is near the identity, as far as
/// `final_scale` is small.
///
/// @par Parameters  of its own: "argument" (H, 1), "signals" (H, signals), "bias" (H), "layer<i>.weight" and ".bias".
/// @par Numerics    the integral in double for both scalars.
/// @par Cost        bins + 1 evaluations of the network for each element, in both directions.
/// @throws ShapeError   if the sizes are out of their ranges.
/// @throws DomainError  unless bound is positive and finite and 0 < log_bound <= 20.
/// @source Wehenkel and Louppe 2019, eq. 1, there by Clenshaw and Curtis' rule; zuko's
///         `UnconstrainedMonotonicTransform` by Gauss and Legendre's.
template <Scalar T>
class UmnnTransformer final : public Transformer<T> {
 public:
  explicit UmnnTransformer(UmnnOptions options = {});
  explicit UmnnTransformer(Blank) : Transformer<T>("UmnnTransformer", 0) {}

 private:
  using Elements = typename Transformer<T>::Elements;
  using Params = std::span<const Var<T>>;
  Elements do_forward(Pass<T>& pass, Var<T> x, Params params) const override;
  Elements do_inverse(Pass<T>& pass, Var<T> y, Params params) const override;
  /// The integral, or its inverse.
  Elements integral(bool root, Pass<T>& pass, Var<T> v, Params params) const;
  double do_log_scale_bound() const override { return options_.log_bound; }
  void do_fields(Fields<T>& f) override;
  void do_restored() override;

  UmnnOptions options_;
  ElementNetwork<T> integrand_;
};

extern template class UmnnTransformer<float>;
extern template class UmnnTransformer<double>;

}  // namespace pushforward
