#include <pushforward/bijectors/identity_tails_transformer.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <pushforward/error.hpp>

#include "bijectors/hyperbolic.hpp"
#include "src/core/checks.hpp"
#include "src/ops/common.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
IdentityTailsTransformer<T>::IdentityTailsTransformer(Poly<Transformer<T>> transformer, double bound)
    : Transformer<T>("IdentityTailsTransformer", transformer->multiplier()),
      transformer_(std::move(transformer)),
      bound_(bound) {
  do_restored();
}

namespace {

/// The parameters of elements that stand `times` side by side.
template <Scalar T>
std::span<const Var<T>> repeated(Tape<T>& tape, std::span<const Var<T>> params, Index times) {
  const auto count = static_cast<Index>(params.size());
  auto* result = tape.template scratch<Var<T>>(count);
  const Index cols = params.empty() ? 0 : params[0].cols();
  std::vector<std::int64_t> index;
  for (Index k = 0; k < times * cols; ++k) index.push_back(k % cols);
  for (Index p = 0; p < count; ++p)
    new (&result[p]) Var<T>(gather_columns<T>(params[static_cast<std::size_t>(p)], index));
  return {result, params.size()};
}

}  // namespace

template <Scalar T>
auto IdentityTailsTransformer<T>::do_inverse(Pass<T>& pass, Var<T> y, Params params) const -> Elements {
  const T bound = static_cast<T>(bound_);
  const Index cols = y.cols();
  const auto end = [&](T at) { return filled(pass.tape(), cols, at); };
  const Var<T> inside = clip(y, -bound, bound), within = T(1) - is_positive(abs(y) - bound);
  const Elements all = transformer_->inverse(pass, concatenate<T>({inside, end(-bound), end(bound)}),
                                             repeated(pass.tape(), params, 3));
  const Var<T> low = columns(all.value, cols, cols), span = columns(all.value, 2 * cols, cols) - low;
  const Var<T> x = (2 * bound) * ((columns(all.value, 0, cols) - low) / span) - bound;
  const Var<T> log_scale = std::log(2 * bound) - log(span);
  const Var<T> log_slope = all.log_derivative ? columns(all.log_derivative, 0, cols) + log_scale : log_scale;
  return {clamp(x, -bound, bound) + (y - inside), log_slope * within};
}

template <Scalar T>
auto IdentityTailsTransformer<T>::do_forward(Pass<T>& pass, Var<T> x, Params params) const -> Elements {
  const T bound = static_cast<T>(bound_);
  const Index cols = x.cols();
  const auto end = [&](T at) { return filled(pass.tape(), cols, at); };
  const Var<T> inside = clip(x, -bound, bound), within = T(1) - is_positive(abs(x) - bound);
  const Var<T> ends = transformer_
                          ->inverse(pass, concatenate<T>({end(-bound), end(bound)}), repeated(pass.tape(), params, 2))
                          .value;
  const Var<T> low = columns(ends, 0, cols), span = columns(ends, cols, cols) - low;
  const Elements y = transformer_->forward(pass, low + span * ((inside + bound) / (2 * bound)), params);
  const Var<T> log_scale = log(span) - std::log(2 * bound);
  const Var<T> log_slope = y.log_derivative ? y.log_derivative + log_scale : log_scale;
  return {clamp(y.value, -bound, bound) + (x - inside), log_slope * within};
}

template <Scalar T>
int IdentityTailsTransformer<T>::do_searches(bool forward) const {
  const int other = transformer_->searches(false);
  return forward ? std::max(other, transformer_->searches(true)) : other;
}

template <Scalar T>
void IdentityTailsTransformer<T>::do_fields(Fields<T>& f) {
  f.type("identity_tails_transformer");
  f.constant("bound", bound_);
  f.part("transformer", transformer_);
}

template <Scalar T>
void IdentityTailsTransformer<T>::do_restored() {
  check_positive("IdentityTailsTransformer", "bound", bound_);
  if (transformer_->domain() != real_line || transformer_->codomain() != real_line)
    throw DomainError("IdentityTailsTransformer: " + transformer_->name() + " does not map the real line onto itself");
  this->set_multiplier(transformer_->multiplier());
}

template class IdentityTailsTransformer<float>;
template class IdentityTailsTransformer<double>;

}  // namespace pushforward
