#include <pushforward/bijectors/umnn_transformer.hpp>

#include <string>

#include <pushforward/error.hpp>
#include <pushforward/nn/dense.hpp>

#include "src/core/checks.hpp"
#include "src/ops/line_integral.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
UmnnTransformer<T>::UmnnTransformer(UmnnOptions options)
    : Transformer<T>("UmnnTransformer", options.signals + 1),
      options_(std::move(options)),
      integrand_(this->name(), options_.signals, options_.hidden, options_.seed) {
  do_restored();
  integrand_.for_each_weight([&](Tensor<T>& weight, bool last) {
    if (!last) return;
    for (T& w : weight.values()) w *= static_cast<T>(options_.final_scale);
  });
}

template <Scalar T>
auto UmnnTransformer<T>::integral(bool root, Pass<T>& pass, Var<T> v, Params params) const -> Elements {
  const Var<T> of_signals = integrand_.of_signals(pass, params.first(params.size() - 1));
  const Var<T> of_one = integrand_.of_one(pass, v.cols());
  auto* log_g = pass.tape().template scratch<Var<T>>(options_.bins + 1);
  for (Index k = 0; k <= options_.bins; ++k) {
    const double t = options_.bound * (2 * static_cast<double>(k) / static_cast<double>(options_.bins) - 1);
    Var<T> h = of_signals + static_cast<T>(t) * of_one;
    for (Index i = 1; i <= integrand_.layers(); ++i)
      h = integrand_.layer(pass, i, activation_in_place(options_.activation, h), pass.parameter(integrand_.weight(i)));
    new (&log_g[k]) Var<T>(soft_bound(h, options_.log_bound));
  }
  const LineIntegralShape shape{.bins = options_.bins, .low = -options_.bound, .high = options_.bound};
  return apply_line_integral(shape, root, v,
                             std::span<const Var<T>>(log_g, static_cast<std::size_t>(options_.bins + 1)));
}

template <Scalar T>
auto UmnnTransformer<T>::do_forward(Pass<T>& pass, Var<T> x, Params params) const -> Elements {
  return integral(true, pass, x - params.back(), params);
}

template <Scalar T>
auto UmnnTransformer<T>::do_inverse(Pass<T>& pass, Var<T> y, Params params) const -> Elements {
  const Elements x = integral(false, pass, y, params);
  return {x.value + params.back(), x.log_derivative};
}

template <Scalar T>
void UmnnTransformer<T>::do_fields(Fields<T>& f) {
  f.type("umnn_transformer");
  integrand_.constants(this->name(), f);
  f.constant("activation", options_.activation, activation_choices());
  f.constant("bins", options_.bins, 2, LineIntegralShape::max_bins);
  f.constant("bound", options_.bound);
  f.constant("log_bound", options_.log_bound);
  integrand_.tensors(f);
}

template <Scalar T>
void UmnnTransformer<T>::do_restored() {
  check_positive("UmnnTransformer", "bound", options_.bound);
  check_shape_bound("UmnnTransformer", options_.log_bound);
  if (options_.bins < 2 || options_.bins > LineIntegralShape::max_bins || options_.bins % 2 != 0)
    throw ShapeError("UmnnTransformer: expected an even number of bins from 2 to 256, got " +
                     std::to_string(options_.bins));
  this->set_multiplier(integrand_.signals() + 1);
}

template class UmnnTransformer<float>;
template class UmnnTransformer<double>;

}  // namespace pushforward
