#include <pushforward/bijectors/rational_quadratic_spline.hpp>

namespace pushforward {

template <Scalar T>
RationalQuadraticSpline<T>::RationalQuadraticSpline(Index dim, RationalQuadraticTransformer<T> transformer)
    : ElementwiseBijector<T>("RationalQuadraticSpline", dim),
      transformer_(std::move(transformer)),
      raw_({transformer_.multiplier() * dim}) {}

template <Scalar T>
RationalQuadraticSpline<T>::RationalQuadraticSpline(Index dim, RationalQuadraticOptions options)
    : RationalQuadraticSpline(dim, RationalQuadraticTransformer<T>(options)) {}

template <Scalar T>
auto RationalQuadraticSpline<T>::map(Pass<T>& pass, Var<T> in, bool forward) const -> Elements {
  const std::span<const Var<T>> params =
      split_columns(spread(pass.tape(), pass.parameter(raw_)), transformer_.multiplier());
  const auto elements = forward ? transformer_.forward(pass, in, params) : transformer_.inverse(pass, in, params);
  return {elements.value, elements.log_derivative};
}

template <Scalar T>
Space RationalQuadraticSpline<T>::do_domain() const {
  return Space::box(this->dim(), transformer_.interval());
}

template <Scalar T>
double RationalQuadraticSpline<T>::do_log_scale_bound() const {
  return transformer_.log_scale_bound() * static_cast<double>(this->dim());
}

template <Scalar T>
void RationalQuadraticSpline<T>::do_fields(Fields<T>& f) {
  f.type("rational_quadratic_spline");
  this->dim_field(f);
  f.part("spline", transformer_);
  f.parameter("raw", raw_, {transformer_.multiplier() * this->dim()}, {.decay = false});
}

template class RationalQuadraticSpline<float>;
template class RationalQuadraticSpline<double>;

}  // namespace pushforward
