#include <pushforward/bijectors/coupling.hpp>

#include <pushforward/registry.hpp>

namespace pushforward {

template <Scalar T>
Coupling<T>::Coupling(std::vector<std::int64_t> mask, Poly<Network<T>> net, Poly<Transformer<T>> transformer)
    : Bijector<T>("Coupling", static_cast<Index>(mask.size()), net->context_dim()),
      mask_(std::move(mask)),
      merge_(mask_.size()),
      net_(std::move(net)),
      transformer_(std::move(transformer)) {
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
Coupling<T>::Coupling(const Description& d, const Registry& registry)
    : Coupling(d.integers("mask"), registry.network<T>(d.child("net")),
               registry.transformer<T>(d.child("transformer"))) {}

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
  const Var<T> raw = (*net_)(pass, unchanged);
  const std::span<const Var<T>> params = split_columns(raw, transformer_->multiplier());
  const Elements elements =
      forward ? transformer_->forward(pass, changed, params) : transformer_->inverse(pass, changed, params);
  const Var<T> out = gather_columns<T>(concatenate<T>({unchanged, elements.value}), merge_);
  return {out, elements.log_derivative ? row_sum(elements.log_derivative) : Column<T>()};
}

template <Scalar T>
Space Coupling<T>::do_domain() const {
  std::vector<Interval> intervals(mask_.size());
  for (const std::int64_t c : changed_) intervals[static_cast<std::size_t>(c)] = transformer_->interval();
  return Space::box(std::move(intervals));
}

template <Scalar T>
double Coupling<T>::do_log_scale_bound() const {
  return transformer_->log_scale_bound() * static_cast<double>(changed_.size());
}

template <Scalar T>
Description Coupling<T>::do_describe() const {
  return {.type = "coupling",
          .constants = {{"mask", mask_}},
          .children = {{"net", net_->describe()}, {"transformer", transformer_->describe()}}};
}

template class Coupling<float>;
template class Coupling<double>;

}  // namespace pushforward
