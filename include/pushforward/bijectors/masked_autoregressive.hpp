#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include <pushforward/bijector.hpp>
#include <pushforward/bijectors/affine_transformer.hpp>
#include <pushforward/nn/made.hpp>

namespace pushforward {

/// Autoregressive map: x_i = tau^-1(y_i; h(y_before i)), with the parameters h of all elements from one masked network.
///
/// inverse (density) is one pass of the network; forward (sampling) goes element by element but computes each hidden
/// unit once, about one pass in all. log_det = sum_i log |d tau_i|. `Invert` of it is the inverse autoregressive flow.
///
/// With an `input_bound` b the network sees b tanh(y / b) in place of y, and its context likewise: whatever y is, the
/// parameters are those of a point that lies at most b away from 0, where there is data if columns and context are in
/// units of their standard deviations. The map stays exact. The transformer sees the context as it is.
///
/// @par Shapes      x, y: (N, dim); context: (N, context_dim of the network).
/// @par Parameters  those of the network, under "net", and the transformer's own, under "transformer".
/// @par Numerics    with AffineTransformer scales lie in [exp(-bound), exp(bound)].
/// @par Cost        both directions O(N H (dim + H / 2)) per layer of the network.
/// @source Papamakarios et al. 2017, eq. 3-4; inverse autoregressive flow: Kingma et al. 2016.
template <Scalar T>
class MaskedAutoregressive final : public Bijector<T> {
 public:
  /// `order`: the columns of y in the order in which they are conditioned on each other, a permutation of 0..dim-1;
  /// empty: 0, 1, 2, ... The network must have transformer.multiplier() outputs for each input.
  /// @throws DomainError  if input_bound is not positive.
  explicit MaskedAutoregressive(Made<T> net, Poly<Transformer<T>> transformer = AffineTransformer<T>(),
                                std::vector<std::int64_t> order = {},
                                double input_bound = std::numeric_limits<double>::infinity());
  /// With a network of the size that the transformer asks for.
  MaskedAutoregressive(Index dim, Poly<Transformer<T>> transformer, const MadeOptions& net,
                       std::vector<std::int64_t> order = {},
                       double input_bound = std::numeric_limits<double>::infinity())
      : MaskedAutoregressive(Made<T>(dim, transformer->multiplier(), net), transformer, std::move(order), input_bound) {}
  explicit MaskedAutoregressive(Blank) : Bijector<T>("MaskedAutoregressive"), net_(Blank()) {}

  const Made<T>& net() const { return net_; }
  const Transformer<T>& transformer() const { return *transformer_; }
  double input_bound() const { return input_bound_; }
  const std::vector<std::int64_t>& order() const { return order_; }

 private:
  using Elements = typename Transformer<T>::Elements;
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override { return mapped(forward_elements(pass, x)); }
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override { return mapped(inverse_elements(pass, y)); }
  std::vector<std::int64_t> do_triangular_order() const override;
  Var<T> do_log_derivative(bool forward, Pass<T>& pass, Var<T> in) const override;
  // In the order of conditioning.
  Elements forward_elements(Pass<T>& pass, Var<T> x) const;
  Elements inverse_elements(Pass<T>& pass, Var<T> y) const;
  Mapped<T> mapped(const Elements& elements) const;
  bool do_is_constant_log_det() const override { return transformer_->log_scale_bound() == 0; }
  double do_log_scale_bound() const override;
  Space do_domain() const override { return Space::box(this->dim(), transformer_->domain()); }
  Space do_codomain() const override { return Space::box(this->dim(), transformer_->codomain()); }
  void do_fields(Fields<T>& f) override;
  void do_restored() override;
  void check() const;

  Made<T> net_;
  Poly<Transformer<T>> transformer_;
  std::vector<std::int64_t> order_;          // empty if sequential
  std::vector<std::int64_t> inverse_order_;
  double input_bound_ = std::numeric_limits<double>::infinity();
};

extern template class MaskedAutoregressive<float>;
extern template class MaskedAutoregressive<double>;

}  // namespace pushforward
