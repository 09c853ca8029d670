#include <pushforward/bijectors/composed_transformer.hpp>

#include <algorithm>

#include <pushforward/error.hpp>

namespace pushforward {

namespace {

std::string text(const Interval& i) { return Space::box(1, i).to_text(); }

/// The sum of the multipliers.
template <Scalar T>
Index checked_multiplier(const std::vector<Poly<Transformer<T>>>& parts) {
  if (parts.empty()) throw ShapeError("ComposedTransformer: expected at least one part, got none");
  Index sum = 0;
  const Transformer<T>* before = nullptr;
  for (const Poly<Transformer<T>>& part : parts) {
    if (before && before->codomain() != part->domain())
      throw DomainError("ComposedTransformer: " + before->name() + " leads to " + text(before->codomain()) + " but " +
                        part->name() + " starts from " + text(part->domain()));
    sum += part->multiplier();
    before = &*part;
  }
  return sum;
}

template <Scalar T>
Var<T> sum(Var<T> a, Var<T> b) {
  return !a ? b : !b ? a : a + b;
}

}  // namespace

template <Scalar T>
ComposedTransformer<T>::ComposedTransformer(std::vector<Poly<Transformer<T>>> parts)
    : Transformer<T>("ComposedTransformer", checked_multiplier(parts)), parts_(std::move(parts)) {}

template <Scalar T>
auto ComposedTransformer<T>::do_forward(Pass<T>& pass, Var<T> x, std::span<const Var<T>> params) const -> Elements {
  Elements result{x, {}};
  for (const Poly<Transformer<T>>& part : parts_) {
    const auto count = static_cast<std::size_t>(part->multiplier());
    const Elements e = part->forward(pass, result.value, params.first(count));
    result = {e.value, sum(result.log_derivative, e.log_derivative)};
    params = params.subspan(count);
  }
  return result;
}

template <Scalar T>
auto ComposedTransformer<T>::do_inverse(Pass<T>& pass, Var<T> y, std::span<const Var<T>> params) const -> Elements {
  Elements result{y, {}};
  for (auto part = parts_.rbegin(); part != parts_.rend(); ++part) {
    const auto count = static_cast<std::size_t>((*part)->multiplier());
    const Elements e = (*part)->inverse(pass, result.value, params.last(count));
    result = {e.value, sum(result.log_derivative, e.log_derivative)};
    params = params.first(params.size() - count);
  }
  return result;
}

template <Scalar T>
double ComposedTransformer<T>::do_log_scale_bound() const {
  double bound = 0;
  for (const Poly<Transformer<T>>& part : parts_) bound += part->log_scale_bound();
  return bound;
}

template <Scalar T>
int ComposedTransformer<T>::do_searches(bool forward) const {
  int most = 0;
  for (const Poly<Transformer<T>>& part : parts_) most = std::max(most, part->searches(forward));
  return most;
}

template <Scalar T>
void ComposedTransformer<T>::do_fields(Fields<T>& f) {
  f.type("composed_transformer");
  f.parts(parts_);
}

template <Scalar T>
void ComposedTransformer<T>::do_restored() {
  this->set_multiplier(checked_multiplier(parts_));
}

template <Scalar T>
void InvertedTransformer<T>::do_fields(Fields<T>& f) {
  f.type("inverted_transformer");
  f.part("transformer", transformer_);
}

template class ComposedTransformer<float>;
template class ComposedTransformer<double>;
template class InvertedTransformer<float>;
template class InvertedTransformer<double>;

}  // namespace pushforward
