#include <pushforward/bijectors/elementwise.hpp>

namespace pushforward {

template <Scalar T>
Elementwise<T>::Elementwise(std::string name, Poly<Transformer<T>> transformer, Index dim)
    : ElementwiseBijector<T>(std::move(name), dim),
      transformer_(std::move(transformer)),
      raw_({transformer_->multiplier() * dim}) {}

template <Scalar T>
std::span<const Var<T>> Elementwise<T>::params(Pass<T>& pass) const {
  if (transformer_->multiplier() == 0) return {};
  return split_columns(spread(pass.tape(), pass.parameter(raw_)), transformer_->multiplier());
}

template <Scalar T>
void Elementwise<T>::named_fields(Fields<T>& f, std::string_view type, std::string_view part) {
  f.type(type);
  this->dim_field(f);
  f.part(part, transformer_);
  const Index count = transformer_->multiplier() * this->dim();
  if (count > 0) f.parameter("raw", raw_, {count}, {.decay = false});
}

template class Elementwise<float>;
template class Elementwise<double>;

}  // namespace pushforward
