#include <pushforward/bijectors/elementwise.hpp>

#include <cmath>

#include <pushforward/error.hpp>

#include "bijectors/conditioner.hpp"
#include "src/core/checks.hpp"
#include "src/core/number_text.hpp"

namespace pushforward {

template <Scalar T>
Elementwise<T>::Elementwise(std::string name, Poly<Transformer<T>> transformer, Index dim)
    : ElementwiseBijector<T>(std::move(name), dim),
      transformer_(std::move(transformer)),
      raw_({transformer_->multiplier() * dim}) {}

template <Scalar T>
Elementwise<T>::Elementwise(Poly<Transformer<T>> transformer, Index dim, Poly<Network<T>> net, double input_bound)
    : ElementwiseBijector<T>("Elementwise", dim),
      transformer_(std::move(transformer)),
      net_(std::move(net)),
      input_bound_(input_bound) {
  Elementwise::do_restored();
}

template <Scalar T>
Elementwise<T>::Elementwise(Poly<Transformer<T>> transformer, Index dim, VectorView<const T> raw)
    : Elementwise(std::move(transformer), dim) {
  if (raw.size() != raw_.size())
    throw ShapeError("Elementwise: " + transformer_->name() + " needs " + std::to_string(raw_.size()) +
                     " parameters for " + std::to_string(dim) + " columns, got " + std::to_string(raw.size()));
  for (Index i = 0; i < raw.size(); ++i) {
    if (!std::isfinite(raw[i]))
      throw DomainError("Elementwise: parameters must be finite, got " + detail::number_text(raw[i]) + " at " +
                        std::to_string(i));
    raw_[i] = raw[i];
  }
  trainable_ = false;
}

template <Scalar T>
void Elementwise<T>::do_restored() {
  if (!net_) return;
  detail::check_bound(this->name().c_str(), "input_bound", input_bound_);
  const Network<T>& net = **net_;
  const Index outputs = transformer_->multiplier() * this->dim();
  if (net.outputs() != outputs || net.context_dim() != 0)
    throw ShapeError(this->name() + ": expected a network from the context, as its inputs, to " +
                     std::to_string(outputs) + " parameters, got one to " + std::to_string(net.outputs()) +
                     " with a context of " + std::to_string(net.context_dim()) + " columns beside its inputs");
  this->set_shape(this->dim(), {this->dim()}, net.inputs());
}

template <Scalar T>
std::span<const Var<T>> Elementwise<T>::params(Pass<T>& pass) const {
  const Index multiplier = transformer_->multiplier();
  if (multiplier == 0) return {};
  return split_columns(net_ ? (**net_)(pass, detail::bounded(pass, pass.context(), input_bound_, detail::Seen::context))
                            : spread(pass.tape(), pass.parameter(raw_)),
                       multiplier);
}

template <Scalar T>
void Elementwise<T>::named_fields(Fields<T>& f, std::string_view type, std::string_view part) {
  f.type(type);
  this->dim_field(f);
  f.part(part, transformer_);
  bool conditional = net_.has_value();
  f.optional("conditional", conditional, false);
  f.optional("trainable", trainable_, true);
  const Index count = transformer_->multiplier() * this->dim();
  if (conditional) {
    f.part("net", net_ ? *net_ : net_.emplace());
    f.optional("input_bound", input_bound_, std::numeric_limits<double>::infinity());
  } else if (count > 0) {
    f.parameter("raw", raw_, {count}, {.decay = false, .trainable = trainable_});
  }
}

template class Elementwise<float>;
template class Elementwise<double>;

}  // namespace pushforward
