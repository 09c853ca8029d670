#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include <pushforward/nn/element_network.hpp>
#include <pushforward/transformer.hpp>

namespace pushforward {

struct MonotoneNetworkOptions {
  Index signals = 16;                    ///< what the conditioner gives the network for each element
  std::vector<Index> hidden = {32, 32};  ///< units of its hidden layers, 2 to 4096
  double bound = 5;                      ///< of the logarithm of the line's slope
  double final_scale = 0.01;  ///< of the network's last weights at the start; near 0: the identity
  std::uint64_t seed = 0;     ///< of its weights
};

/// A network that increases in its argument, on top of a line: x = exp(a) y + shift + N(y; signals). All weights that y
/// meets are positive, softplus of raw ones, those of the signals have any sign; the activation is x or exp(x) - 1, where
/// x is negative, for the first half of the units of a layer, and the same turned round, -elu(-x), for the second half,
/// so that layers neither end above nor below.
///
/// The way from y to x is closed, with its derivative carried along; the other one is NumericalInverse's. log
/// derivative of it: log(exp(a) + N'(y)).
///
/// Parameters, signals + 2 for each element: the signals, a raw a = bound tanh(raw / bound), the shift. All 0 is near
/// the identity, as far as `final_scale` is small.
///
/// @par Parameters  of its own: "argument" (H, 1), "signals" (H, signals), "bias" (H), "layer<i>.weight" and ".bias";
///                  "argument" and the weights raw.
/// @par Numerics    slopes are sums of positive terms: nothing cancels. Each lies above exp(-bound), so the root is
///                  bracketed.
/// @par Cost        two evaluations of the network for each element.
/// @throws ShapeError   if the sizes are out of their ranges.
/// @throws DomainError  unless 0 < bound <= 20.
/// @source Huang et al. 2018 (neural autoregressive flows), section 3; with these activations zuko's `NAF`, whose
///         weights of signals are positive too and which has no line.
template <Scalar T>
class MonotoneNetworkTransformer final : public Transformer<T> {
 public:
  explicit MonotoneNetworkTransformer(MonotoneNetworkOptions options = {});
  explicit MonotoneNetworkTransformer(Blank) : Transformer<T>("MonotoneNetworkTransformer", 0) {}

 private:
  using Elements = typename Transformer<T>::Elements;
  using Params = std::span<const Var<T>>;
  Elements do_forward(Pass<T>& pass, Var<T> x, Params params) const override;
  Elements do_inverse(Pass<T>& pass, Var<T> y, Params params) const override;
  double do_log_scale_bound() const override { return std::numeric_limits<double>::infinity(); }
  void do_fields(Fields<T>& f) override;
  void do_restored() override;

  MonotoneNetworkOptions options_;
  ElementNetwork<T> network_;
};

extern template class MonotoneNetworkTransformer<float>;
extern template class MonotoneNetworkTransformer<double>;

}  // namespace pushforward
