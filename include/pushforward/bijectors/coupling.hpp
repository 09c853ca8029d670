#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include <pushforward/bijector.hpp>
#include <pushforward/bijectors/affine_transformer.hpp>
#include <pushforward/nn/mlp.hpp>
#include <pushforward/nn/network.hpp>
#include <pushforward/nn/residual_network.hpp>

namespace pushforward {

/// Coupling map: the masked columns pass unchanged; each other column goes through tau(.; h(unchanged columns,
/// context)).
///
/// log_det = sum over transformed columns of log |d tau|; both directions are one pass of the network.
///
/// With an `input_bound` b the network sees b tanh(y / b) in place of y, and its context likewise: whatever y is, the
/// parameters are those of a point that lies at most b away from 0, where there is data if columns and context are in
/// units of their standard deviations. The map stays exact. The transformer sees the context as it is.
///
/// @par Shapes      x, y: (N, dim); network: (number of unchanged columns) to multiplier * (number of others),
///                  parameter by parameter: output p of transformed column j stands at p * others + j.
/// @par Parameters  those of the network, under "net", and the transformer's own, under "transformer".
/// @source Dinh et al. 2017 (RealNVP), eq. 7-8; Papamakarios et al. 2021, section 3.1.
template <Scalar T>
class Coupling final : public Bijector<T> {
 public:
  /// `mask[i]` not 0: column i passes unchanged. At least one column must be transformed.
  /// @throws ShapeError  if mask, network and transformer do not fit.
  /// @throws DomainError  if input_bound is not positive.
  Coupling(std::vector<std::int64_t> mask, Poly<Network<T>> net,
           Poly<Transformer<T>> transformer = AffineTransformer<T>(),
           double input_bound = std::numeric_limits<double>::infinity());
  /// With a network of the size that mask and transformer ask for.
  Coupling(std::vector<std::int64_t> mask, Poly<Transformer<T>> transformer, const MlpOptions& net,
           double input_bound = std::numeric_limits<double>::infinity());
  Coupling(std::vector<std::int64_t> mask, Poly<Transformer<T>> transformer, const ResidualNetworkOptions& net,
           double input_bound = std::numeric_limits<double>::infinity());
  explicit Coupling(Blank);

  /// 1, 0, 1, 0, ... (or 0, 1, 0, 1, ... where `swap`).
  static std::vector<std::int64_t> alternating_mask(Index dim, bool swap = false);
  /// The first half 1, the second half 0 (or the other way round).
  static std::vector<std::int64_t> half_mask(Index dim, bool swap = false);

  const std::vector<std::int64_t>& mask() const { return mask_; }
  const Network<T>& net() const { return *net_; }
  const Transformer<T>& transformer() const { return *transformer_; }
  double input_bound() const { return input_bound_; }

 private:
  using Elements = typename Transformer<T>::Elements;
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override { return map(pass, x, true); }
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override { return map(pass, y, false); }
  Mapped<T> map(Pass<T>& pass, Var<T> in, bool forward) const;
  bool do_is_constant_log_det() const override { return transformer_->log_scale_bound() == 0; }
  double do_log_scale_bound() const override;
  /// Of the columns that change; the others may lie anywhere.
  Space side(const Interval& changed) const;
  Space do_domain() const override { return side(transformer_->domain()); }
  Space do_codomain() const override { return side(transformer_->codomain()); }
  void do_fields(Fields<T>& f) override;
  void do_restored() override;
  void arrange();

  std::vector<std::int64_t> mask_;
  std::vector<std::int64_t> unchanged_;  // columns
  std::vector<std::int64_t> changed_;
  std::vector<std::int64_t> merge_;      // column of [unchanged, changed] for each column
  Poly<Network<T>> net_;
  Poly<Transformer<T>> transformer_;
  double input_bound_ = std::numeric_limits<double>::infinity();
};

extern template class Coupling<float>;
extern template class Coupling<double>;

}  // namespace pushforward
