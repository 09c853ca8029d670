#include <pushforward/bijectors/gaussianization_transformer.hpp>

#include <cmath>
#include <string>

#include "bijectors/hyperbolic.hpp"
#include "bijectors/log_sum_exp.hpp"
#include "src/core/checks.hpp"
#include "src/core/number_text.hpp"
#include "src/numerics/special_functions.hpp"
#include "src/ops/normal.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
GaussianizationTransformer<T>::GaussianizationTransformer(Index components, double bound, double spread)
    : Transformer<T>("GaussianizationTransformer", 2 * components),
      components_(components),
      bound_(bound),
      spread_(spread) {
  do_restored();
}

template <Scalar T>
auto GaussianizationTransformer<T>::do_forward(Pass<T>&, Var<T>, Params) const -> Elements {
  throw NotImplemented("GaussianizationTransformer::forward: has no closed form; put it into a NumericalInverse");
}

// With h = phi / Phi and the share s_k of component k in the tail that x lies in, the slope is sum_k s_k exp(a_k)
// h(t_k) / h(x): squares of t_k and x, whose difference would have no digits far out, do not occur.
template <Scalar T>
auto GaussianizationTransformer<T>::do_inverse(Pass<T>& pass, Var<T> y, Params params) const -> Elements {
  const auto count = static_cast<std::size_t>(components_);
  const T log_count = static_cast<T>(std::log(static_cast<double>(components_)));
  struct Component {
    Var<T> a, t, below, above;
  };
  auto* parts = pass.tape().template scratch<Component>(components_);
  Var<T> below, above, slope;
  for (std::size_t k = 0; k < count; ++k) {
    const Var<T> a = soft_bound(params[count + k], bound_) + log_scale_;
    const Var<T> t = exp(a) * y + (params[k] + location_[k]);
    parts[k] = {a, t, log_ndtr(t), log_ndtr(-t)};
    below = log_add_exp(below, parts[k].below);
    above = log_add_exp(above, parts[k].above);
  }
  const Var<T> right = is_positive(below - above), left = T(1) - right, side = left - right;
  const Var<T> tail = right * above + left * below, x = side * ndtri_exp(tail - log_count);
  for (std::size_t k = 0; k < count; ++k) {
    const Var<T> log_share = right * parts[k].above + left * parts[k].below - tail;
    slope = log_add_exp(slope, log_share + log_normal_hazard(side * parts[k].t) + parts[k].a);
  }
  return {x, slope - log_normal_hazard(side * x)};
}

template <Scalar T>
void GaussianizationTransformer<T>::do_fields(Fields<T>& f) {
  f.type("gaussianization_transformer");
  f.constant("components", components_, 1, Index{1} << 16);
  f.constant("bound", bound_);
  f.optional("spread", spread_, default_spread);
}

template <Scalar T>
void GaussianizationTransformer<T>::do_restored() {
  if (components_ < 1)
    throw ShapeError("GaussianizationTransformer: expected at least one component, got " + std::to_string(components_));
  check_shape_bound("GaussianizationTransformer", bound_);
  if (!(spread_ >= 0) || !std::isfinite(spread_))
    throw DomainError("GaussianizationTransformer: spread must be at least 0 and finite, got " + number_text(spread_));
  this->set_multiplier(2 * components_);
  location_.clear();
  double variance = 0;
  for (Index k = 0; k < components_; ++k) {
    const double p = (static_cast<double>(k) + 0.5) / static_cast<double>(components_);
    const double b = spread_ * normal_quantile_of_log(std::log(p));
    location_.push_back(static_cast<T>(b));
    variance += b * b / static_cast<double>(components_);
  }
  // The mean of Phi(a y + b) over normal b is Phi(a y / sqrt(1 + variance)).
  log_scale_ = static_cast<T>(0.5 * std::log1p(variance));
}

template class GaussianizationTransformer<float>;
template class GaussianizationTransformer<double>;

}  // namespace pushforward
