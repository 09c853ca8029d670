#include <pushforward/bijectors/masked_autoregressive.hpp>

#include "bijectors/conditioner.hpp"
#include "src/core/checks.hpp"
#include "src/core/column_order.hpp"

namespace pushforward {

namespace {

std::vector<std::int64_t> inverse_of(const std::vector<std::int64_t>& order, Index dim) {
  std::vector<std::int64_t> inverse(order.size(), -1);
  if (!order.empty() && static_cast<Index>(order.size()) != dim)
    throw ShapeError("MaskedAutoregressive: order has " + std::to_string(order.size()) + " entries for dim " +
                     std::to_string(dim));
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (order[i] < 0 || order[i] >= dim || inverse[static_cast<std::size_t>(order[i])] >= 0)
      throw ShapeError("MaskedAutoregressive: order is not a permutation of 0.." + std::to_string(dim - 1) +
                       ": entry " + std::to_string(i) + " is " + std::to_string(order[i]));
    inverse[static_cast<std::size_t>(order[i])] = static_cast<std::int64_t>(i);
  }
  return inverse;
}

}  // namespace

template <Scalar T>
MaskedAutoregressive<T>::MaskedAutoregressive(Made<T> net, Poly<Transformer<T>> transformer,
                                              std::vector<std::int64_t> order, double input_bound)
    : Bijector<T>("MaskedAutoregressive", net.dim(), net.context_dim()),
      net_(std::move(net)),
      transformer_(std::move(transformer)),
      order_(std::move(order)),
      inverse_order_(inverse_of(order_, net_.dim())),
      input_bound_(input_bound) {
  check();
}

template <Scalar T>
void MaskedAutoregressive<T>::check() const {
  detail::check_bound("MaskedAutoregressive", "input_bound", input_bound_);
  if (net_.multiplier() != transformer_->multiplier())
    throw ShapeError("MaskedAutoregressive: " + transformer_->name() + " needs " +
                     std::to_string(transformer_->multiplier()) + " parameters per column but the network gives " +
                     std::to_string(net_.multiplier()));
}

template <Scalar T>
void MaskedAutoregressive<T>::do_fields(Fields<T>& f) {
  f.type("masked_autoregressive");
  f.part("net", net_);
  f.part("transformer", transformer_);
  f.optional("order", order_, {});
  f.optional("input_bound", input_bound_, std::numeric_limits<double>::infinity());
}

template <Scalar T>
void MaskedAutoregressive<T>::do_restored() {
  this->set_shape(net_.dim(), {net_.dim()}, net_.context_dim());
  inverse_order_ = inverse_of(order_, net_.dim());
  check();
}

template <Scalar T>
auto MaskedAutoregressive<T>::inverse_elements(Pass<T>& pass, Var<T> y) const -> Elements {
  if (!order_.empty()) y = gather_columns<T>(y, order_);
  const Var<T> raw = detail::in_bounded_context(pass, input_bound_, [&] {
    return net_(pass, detail::bounded(pass, y, input_bound_, detail::Seen::columns));
  });
  return transformer_->inverse(pass, y, split_columns(raw, net_.multiplier()));
}

template <Scalar T>
auto MaskedAutoregressive<T>::forward_elements(Pass<T>& pass, Var<T> x) const -> Elements {
  // The sequence reads the context once, at its start.
  using Sequence = typename Made<T>::Sequence;
  Sequence sequence = detail::in_bounded_context(pass, input_bound_, [&] { return Sequence(net_, pass); });
  const Var<T> y = pass.tape().matrix(this->dim(), pass.recording());
  Var<T> log_derivatives;
  for (Index d = 0; d < this->dim(); ++d) {
    const Index column = order_.empty() ? d : static_cast<Index>(order_[static_cast<std::size_t>(d)]);
    const Elements elements = transformer_->forward(pass, columns(x, column, 1), sequence.outputs(d));
    assign(columns(y, d, 1), elements.value);
    sequence.set_input(d, detail::bounded(pass, elements.value, input_bound_, detail::Seen::columns));
    if (elements.log_derivative) {
      if (!log_derivatives) log_derivatives = pass.tape().matrix(this->dim(), pass.recording());
      assign(columns(log_derivatives, d, 1), elements.log_derivative);
    }
  }
  return {y, log_derivatives};
}

template <Scalar T>
Mapped<T> MaskedAutoregressive<T>::mapped(const Elements& elements) const {
  return {order_.empty() ? elements.value : gather_columns<T>(elements.value, inverse_order_),
          elements.log_derivative ? row_sum(elements.log_derivative) : Column<T>()};
}

template <Scalar T>
std::vector<std::int64_t> MaskedAutoregressive<T>::do_triangular_order() const {
  return order_.empty() ? detail::standing_order(this->dim()) : order_;
}

template <Scalar T>
Var<T> MaskedAutoregressive<T>::do_log_derivative(bool forward, Pass<T>& pass, Var<T> in) const {
  const Var<T> log_derivative = (forward ? forward_elements(pass, in) : inverse_elements(pass, in)).log_derivative;
  return log_derivative && !order_.empty() ? gather_columns<T>(log_derivative, inverse_order_) : log_derivative;
}

template <Scalar T>
double MaskedAutoregressive<T>::do_log_scale_bound() const {
  return transformer_->log_scale_bound() * static_cast<double>(this->dim());
}

template class MaskedAutoregressive<float>;
template class MaskedAutoregressive<double>;

}  // namespace pushforward
