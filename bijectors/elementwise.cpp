#include <pushforward/bijectors/elementwise.hpp>

namespace pushforward {

template <Scalar T>
Elementwise<T>::Elementwise(Poly<Transformer<T>> transformer, Index dim)
    : ElementwiseBijector<T>("Elementwise", dim),
      transformer_(std::move(transformer)),
      raw_({transformer_->multiplier() * dim}) {}

template <Scalar T>
auto Elementwise<T>::map(Pass<T>& pass, Var<T> in, bool forward) const -> Elements {
  const std::span<const Var<T>> params =
      split_columns(spread(pass.tape(), pass.parameter(raw_)), transformer_->multiplier());
  const auto e = forward ? transformer_->forward(pass, in, params) : transformer_->inverse(pass, in, params);
  return {e.value, e.log_derivative};
}

template <Scalar T>
void Elementwise<T>::do_fields(Fields<T>& f) {
  f.type("elementwise");
  this->dim_field(f);
  f.part("transformer", transformer_);
  f.parameter("raw", raw_, {transformer_->multiplier() * this->dim()}, {.decay = false});
}

template class Elementwise<float>;
template class Elementwise<double>;

}  // namespace pushforward
