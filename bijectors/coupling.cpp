#include <pushforward/bijectors/coupling.hpp>

#include <algorithm>

#include "bijectors/conditioner.hpp"
#include "src/core/checks.hpp"

namespace pushforward {

template <Scalar T>
Coupling<T>::Coupling(std::vector<std::int64_t> mask, Poly<Network<T>> net, Poly<Transformer<T>> transformer,
                      double input_bound)
    : Bijector<T>("Coupling", static_cast<Index>(mask.size()), net->context_dim()),
      mask_(std::move(mask)),
      net_(std::move(net)),
      transformer_(std::move(transformer)),
      input_bound_(input_bound) {
  arrange();
}

namespace {

Index count_unchanged(const std::vector<std::int64_t>& mask) {
  return static_cast<Index>(mask.size()) - static_cast<Index>(std::count(mask.begin(), mask.end(), 0));
}

template <Scalar T>
Index parameters(const std::vector<std::int64_t>& mask, const Transformer<T>& transformer) {
  const Index changed = static_cast<Index>(mask.size()) - count_unchanged(mask);
  if (changed == 0) throw ShapeError("Coupling: the mask leaves every column unchanged");
  return changed * transformer.multiplier();
}

}  // namespace

template <Scalar T>
Coupling<T>::Coupling(std::vector<std::int64_t> mask, Poly<Transformer<T>> transformer, const MlpOptions& net,
                      double input_bound)
    : Coupling(mask, Mlp<T>(count_unchanged(mask), parameters(mask, *transformer), net), transformer, input_bound) {}

template <Scalar T>
Coupling<T>::Coupling(std::vector<std::int64_t> mask, Poly<Transformer<T>> transformer,
                      const ResidualNetworkOptions& net, double input_bound)
    : Coupling(mask, ResidualNetwork<T>(count_unchanged(mask), parameters(mask, *transformer), net), transformer,
               input_bound) {}

template <Scalar T>
Coupling<T>::Coupling(Blank) : Bijector<T>("Coupling") {}

template <Scalar T>
void Coupling<T>::do_fields(Fields<T>& f) {
  f.type("coupling");
  f.constant("mask", mask_);
  f.part("net", net_);
  f.part("transformer", transformer_);
  f.optional("input_bound", input_bound_, std::numeric_limits<double>::infinity());
}

template <Scalar T>
void Coupling<T>::do_restored() {
  const auto dim = static_cast<Index>(mask_.size());
  this->set_shape(dim, {dim}, net_->context_dim());
  arrange();
}

// What goes where, by the mask, and whether the network fits it.
template <Scalar T>
void Coupling<T>::arrange() {
  detail::check_bound("Coupling", "input_bound", input_bound_);
  merge_.resize(mask_.size());
  for (std::size_t i = 0; i < mask_.size(); ++i)
    (mask_[i] != 0 ? unchanged_ : changed_).push_back(static_cast<std::int64_t>(i));
  if (changed_.empty()) throw ShapeError("Coupling: the mask leaves every column unchanged");
  for (std::size_t i = 0; i < unchanged_.size(); ++i)
    merge_[static_cast<std::size_t>(unchanged_[i])] = static_cast<std::int64_t>(i);
  for (std::size_t i = 0; i < changed_.size(); ++i)
    merge_[static_cast<std::size_t>(changed_[i])] = static_cast<std::int64_t>(unchanged_.size() + i);
  const Index outputs = transformer_->multiplier() * static_cast<Index>(changed_.size());
  if (net_->inputs() != static_cast<Index>(unchanged_.size()) || net_->outputs() != outputs)
    throw ShapeError("Coupling: the mask needs a network of " + std::to_string(unchanged_.size()) + " inputs and " +
                     std::to_string(outputs) + " outputs, got one of " + std::to_string(net_->inputs()) + " and " +
                     std::to_string(net_->outputs()));
}

template <Scalar T>
std::vector<std::int64_t> Coupling<T>::alternating_mask(Index dim, bool swap) {
  std::vector<std::int64_t> mask(static_cast<std::size_t>(dim));
  for (std::size_t i = 0; i < mask.size(); ++i) mask[i] = (i % 2 == 0) != swap;
  return mask;
}

template <Scalar T>
std::vector<std::int64_t> Coupling<T>::half_mask(Index dim, bool swap) {
  std::vector<std::int64_t> mask(static_cast<std::size_t>(dim));
  for (std::size_t i = 0; i < mask.size(); ++i) mask[i] = (2 * i < mask.size()) != swap;
  return mask;
}

template <Scalar T>
Mapped<T> Coupling<T>::map(Pass<T>& pass, Var<T> in, bool forward) const {
  const Var<T> unchanged = gather_columns<T>(in, unchanged_);
  const Var<T> changed = gather_columns<T>(in, changed_);
  const Var<T> raw = detail::in_bounded_context(pass, input_bound_, [&] {
    return (*net_)(pass, detail::bounded(pass, unchanged, input_bound_, detail::Seen::columns));
  });
  const std::span<const Var<T>> params = split_columns(raw, transformer_->multiplier());
  const Elements elements =
      forward ? transformer_->forward(pass, changed, params) : transformer_->inverse(pass, changed, params);
  const Var<T> out = gather_columns<T>(concatenate<T>({unchanged, elements.value}), merge_);
  return {out, elements.log_derivative ? row_sum(elements.log_derivative) : Column<T>()};
}

template <Scalar T>
Space Coupling<T>::side(const Interval& changed) const {
  std::vector<Interval> intervals(mask_.size());
  for (const std::int64_t c : changed_) intervals[static_cast<std::size_t>(c)] = changed;
  return Space::box(std::move(intervals));
}

template <Scalar T>
double Coupling<T>::do_log_scale_bound() const {
  return transformer_->log_scale_bound() * static_cast<double>(changed_.size());
}

template class Coupling<float>;
template class Coupling<double>;

}  // namespace pushforward
