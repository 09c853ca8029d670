#include <pushforward/bijectors/logistic_mixture_transformer.hpp>

#include <cmath>
#include <string>

#include "bijectors/hyperbolic.hpp"
#include "bijectors/log_sum_exp.hpp"
#include "src/core/checks.hpp"
#include "src/core/number_text.hpp"
#include "src/numerics/constants.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
LogisticMixtureTransformer<T>::LogisticMixtureTransformer(Index components, double bound, double spread)
    : Transformer<T>("LogisticMixtureTransformer", 3 * components + 2),
      components_(components),
      bound_(bound),
      spread_(spread) {
  do_restored();
}

template <Scalar T>
auto LogisticMixtureTransformer<T>::do_forward(Pass<T>&, Var<T>, Params) const -> Elements {
  throw NotImplemented("LogisticMixtureTransformer::forward: has no closed form; put it into a NumericalInverse");
}

// The slope of logit F is F' / (F (1 - F)), by the shares of the components in the smaller of F and 1 - F: nothing that
// grows with y is a difference.
template <Scalar T>
auto LogisticMixtureTransformer<T>::do_inverse(Pass<T>& pass, Var<T> y, Params params) const -> Elements {
  const auto count = static_cast<std::size_t>(components_);
  struct Component {
    Var<T> log_p, s, left, right;  // of sigmoid(t) and sigmoid(-t) minus the logarithms
  };
  auto* parts = pass.tape().template scratch<Component>(components_);
  Var<T> total, below, above, slope;
  for (std::size_t k = 0; k < count; ++k) total = log_add_exp(total, params[k]);
  for (std::size_t k = 0; k < count; ++k) {
    const Var<T> s = soft_bound(params[2 * count + k], bound_) + log_scale_;
    const Var<T> t = (y - (params[count + k] + location_[k])) * exp(-s);
    parts[k] = {params[k] - total, s, softplus(-t), softplus(t)};
    below = log_add_exp(below, parts[k].log_p - parts[k].left);
    above = log_add_exp(above, parts[k].log_p - parts[k].right);
  }
  const Var<T> right = is_positive(below - above), left = T(1) - right;
  for (std::size_t k = 0; k < count; ++k) {
    const Component& c = parts[k];
    const Var<T> log_share = c.log_p - (right * c.right + left * c.left) - (right * above + left * below);
    slope = log_add_exp(slope, log_share - c.s - (right * c.left + left * c.right));
  }
  const Var<T> a = soft_bound(params[3 * count], bound_);
  return {exp(a) * (below - above) + params[3 * count + 1], slope - (right * below + left * above) + a};
}

template <Scalar T>
void LogisticMixtureTransformer<T>::do_fields(Fields<T>& f) {
  f.type("logistic_mixture_transformer");
  f.constant("components", components_, 1, Index{1} << 16);
  f.constant("bound", bound_);
  f.optional("spread", spread_, default_spread);
}

template <Scalar T>
void LogisticMixtureTransformer<T>::do_restored() {
  if (components_ < 1)
    throw ShapeError("LogisticMixtureTransformer: expected at least one component, got " + std::to_string(components_));
  check_shape_bound("LogisticMixtureTransformer", bound_);
  if (!(spread_ >= 0 && spread_ < 1))
    throw DomainError("LogisticMixtureTransformer: spread must lie in [0, 1), got " + number_text(spread_));
  this->set_multiplier(3 * components_ + 2);
  location_.clear();
  double variance = 0;
  for (Index k = 0; k < components_; ++k) {
    const double p = (static_cast<double>(k) + 0.5) / static_cast<double>(components_);
    const double m = spread_ * std::log(p / (1 - p));
    location_.push_back(static_cast<T>(m));
    variance += m * m / static_cast<double>(components_);
  }
  // Together as wide as one of scale 1, whose variance is pi^2 / 3.
  log_scale_ = static_cast<T>(0.5 * std::log(1 - variance * 3 / (pi * pi)));
}

template class LogisticMixtureTransformer<float>;
template class LogisticMixtureTransformer<double>;

}  // namespace pushforward
