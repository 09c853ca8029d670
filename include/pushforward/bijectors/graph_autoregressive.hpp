#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include <pushforward/bijector.hpp>
#include <pushforward/bijectors/affine_transformer.hpp>
#include <pushforward/nn/mlp.hpp>

namespace pushforward {

/// Autoregressive along a graph that is known, as of causes or of a simulator's steps: column i is conditioned on its
/// parents alone, x_i = tau^-1(y_i; h_i(y_parents of i, context)), each with a network of its own.
///
/// With a base of independent columns the density has the graph's independences: given its parents, a column is
/// independent of all others that do not follow from it.
///
/// log_det = sum_i log |d tau_i|. `inverse` (density) evaluates each network once, and so does `forward` (sampling), in
/// an order in which parents come first.
///
/// With an `input_bound` b the networks see b tanh(y / b) in place of y, and their context likewise; see
/// MaskedAutoregressive, which is this for the graph of all columns before, by one network.
///
/// @par Shapes      x, y: (N, dim); context: (N, context_dim of the networks), which all have that have one.
/// @par Parameters  those of the networks, under "0.", "1.", ..., and the transformer's own, under "transformer". A column
///                  without parents and context has learned numbers (Constant).
/// @par Numerics    with AffineTransformer scales lie in [exp(-bound), exp(bound)].
/// @par Cost        the sum of the networks' costs, both ways.
/// @throws ShapeError   if a parent is no column, is named twice, or is the column itself; if columns depend on each
///                      other in a circle, naming them; if networks and transformer do not fit.
/// @throws DomainError  if input_bound is not positive.
/// @source Wehenkel and Louppe 2021 (graphical normalizing flows), eq. 5, with a graph that is given; zuko's
///         `adjacency`; causal flows: Javaloy et al. 2023.
template <Scalar T>
class GraphAutoregressive final : public Bijector<T> {
 public:
  using Graph = std::vector<std::vector<std::int64_t>>;
  /// parents[i]: the columns that column i is conditioned on. nets[i] takes these, in this order, or one column of
  /// zeros where there are none and it has no context, and gives transformer.multiplier() outputs.
  GraphAutoregressive(Graph parents, std::vector<Poly<Network<T>>> nets,
                      Poly<Transformer<T>> transformer = AffineTransformer<T>(),
                      double input_bound = std::numeric_limits<double>::infinity());
  /// With networks of the sizes that they need, each with initial weights of its own.
  explicit GraphAutoregressive(Graph parents, Poly<Transformer<T>> transformer = AffineTransformer<T>(),
                               const MlpOptions& net = {},
                               double input_bound = std::numeric_limits<double>::infinity());
  explicit GraphAutoregressive(Blank) : Bijector<T>("GraphAutoregressive") {}

  const Graph& parents() const { return parents_; }
  const Network<T>& net(Index column) const { return *nets_.at(static_cast<std::size_t>(column)); }
  const Transformer<T>& transformer() const { return *transformer_; }
  double input_bound() const { return input_bound_; }

 private:
  using Elements = typename Transformer<T>::Elements;
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override { return summed(elements(true, pass, x)); }
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override { return summed(elements(false, pass, y)); }
  static Mapped<T> summed(const Elements& e) {
    return {e.value, e.log_derivative ? row_sum(e.log_derivative) : Column<T>()};
  }
  Elements elements(bool forward, Pass<T>& pass, Var<T> in) const;
  std::vector<std::int64_t> do_triangular_order() const override { return order_; }
  Var<T> do_log_derivative(bool forward, Pass<T>& pass, Var<T> in) const override {
    return elements(forward, pass, in).log_derivative;
  }
  bool do_is_constant_log_det() const override { return transformer_->log_scale_bound() == 0; }
  double do_log_scale_bound() const override {
    return transformer_->log_scale_bound() * static_cast<double>(this->dim());
  }
  Space do_domain() const override { return Space::box(this->dim(), transformer_->domain()); }
  Space do_codomain() const override { return Space::box(this->dim(), transformer_->codomain()); }
  void do_fields(Fields<T>& f) override;
  void do_restored() override;

  Graph parents_;
  std::vector<Poly<Network<T>>> nets_;
  Poly<Transformer<T>> transformer_;
  double input_bound_ = std::numeric_limits<double>::infinity();
  std::vector<std::int64_t> order_;  // parents first
};

extern template class GraphAutoregressive<float>;
extern template class GraphAutoregressive<double>;

}  // namespace pushforward
