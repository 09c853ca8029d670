#include <pushforward/bijectors/graph_autoregressive.hpp>

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include <fmt/format.h>

#include <pushforward/nn/constant.hpp>

#include "bijectors/conditioner.hpp"
#include "src/core/checks.hpp"

namespace pushforward {

namespace {

using Graph = std::vector<std::vector<std::int64_t>>;

/// Of columns none of which can come first: a circle, from one column back to it.
std::string circle_in(const Graph& parents, const std::vector<bool>& placed) {
  auto column = static_cast<std::int64_t>(std::find(placed.begin(), placed.end(), false) - placed.begin());
  std::vector<std::int64_t> way;
  while (std::find(way.begin(), way.end(), column) == way.end()) {
    way.push_back(column);
    const auto& before = parents[static_cast<std::size_t>(column)];
    column = *std::find_if(before.begin(), before.end(), [&](std::int64_t p) { return !placed[static_cast<std::size_t>(p)]; });
  }
  std::string text = std::to_string(column);
  for (auto at = way.rbegin(); at != way.rend(); ++at) {
    text += " -> " + std::to_string(*at);
    if (*at == column) break;
  }
  return text;
}

/// The columns with parents first, and otherwise as they stand.
std::vector<std::int64_t> order_of(const Graph& parents) {
  const auto dim = static_cast<std::int64_t>(parents.size());
  for (std::size_t i = 0; i < parents.size(); ++i)
    for (const std::int64_t p : parents[i]) {
      if (p < 0 || p >= dim)
        throw ShapeError(fmt::format("GraphAutoregressive: column {} has the parent {}, and there are {} columns", i, p, dim));
      if (std::count(parents[i].begin(), parents[i].end(), p) > 1)
        throw ShapeError(fmt::format("GraphAutoregressive: column {} has the parent {} twice", i, p));
    }
  std::vector<std::int64_t> order;
  std::vector<bool> placed(parents.size());
  while (order.size() < parents.size()) {
    std::size_t next = 0;
    const auto is_ready = [&](std::size_t i) {
      return !placed[i] && std::all_of(parents[i].begin(), parents[i].end(),
                                       [&](std::int64_t p) { return placed[static_cast<std::size_t>(p)]; });
    };
    while (next < parents.size() && !is_ready(next)) ++next;
    if (next == parents.size())
      throw ShapeError("GraphAutoregressive: columns depend on each other in a circle, " + circle_in(parents, placed));
    placed[next] = true;
    order.push_back(static_cast<std::int64_t>(next));
  }
  return order;
}

template <Scalar T>
std::vector<Poly<Network<T>>> nets_for(const Graph& parents, Index outputs, const MlpOptions& options) {
  order_of(parents);  // says what is wrong with the graph
  std::vector<Poly<Network<T>>> nets;
  for (std::size_t i = 0; i < parents.size(); ++i) {
    const auto inputs = static_cast<Index>(parents[i].size());
    MlpOptions own = options;
    own.seed += i;
    if (inputs + own.context_dim > 0)
      nets.push_back(Mlp<T>(inputs, outputs, own));
    else
      nets.push_back(Constant<T>(1, outputs));
  }
  return nets;
}

template <Scalar T>
Index context_of(const std::vector<Poly<Network<T>>>& nets) {
  Index columns = 0;
  for (const Poly<Network<T>>& net : nets) columns = std::max(columns, net->context_dim());
  return columns;
}

}  // namespace

template <Scalar T>
GraphAutoregressive<T>::GraphAutoregressive(Graph parents, std::vector<Poly<Network<T>>> nets,
                                            Poly<Transformer<T>> transformer, double input_bound)
    : Bijector<T>("GraphAutoregressive", static_cast<Index>(parents.size()), context_of(nets)),
      parents_(std::move(parents)),
      nets_(std::move(nets)),
      transformer_(std::move(transformer)),
      input_bound_(input_bound) {
  do_restored();
}

template <Scalar T>
GraphAutoregressive<T>::GraphAutoregressive(Graph parents, Poly<Transformer<T>> transformer, const MlpOptions& net,
                                            double input_bound)
    : GraphAutoregressive(parents, nets_for<T>(parents, transformer->multiplier(), net), transformer, input_bound) {}

template <Scalar T>
auto GraphAutoregressive<T>::elements(bool forward, Pass<T>& pass, Var<T> in) const -> Elements {
  Tape<T>& tape = pass.tape();
  const auto list = [&](std::size_t count) {
    auto* const first = tape.template scratch<Var<T>>(static_cast<Index>(count));
    std::uninitialized_default_construct_n(first, count);
    return std::span<Var<T>>(first, count);
  };
  const std::span<Var<T>> given = list(parents_.size()), made = list(parents_.size()), slopes = list(parents_.size());
  for (std::size_t i = 0; i < parents_.size(); ++i) given[i] = columns(in, static_cast<Index>(i), 1);
  const auto seen = [&](std::size_t i) {
    if (parents_[i].empty()) return nets_[i]->inputs() == 0 ? gather_columns<T>(in, {}) : clamp(given[i], T(0), T(0));
    const std::span<Var<T>> parts = list(parents_[i].size());
    for (std::size_t k = 0; k < parts.size(); ++k)
      parts[k] = (forward ? made : given)[static_cast<std::size_t>(parents_[i][k])];
    return detail::bounded(pass, concatenate<T>(parts), input_bound_, detail::Seen::columns);
  };
  for (const std::int64_t column : order_) {
    const auto i = static_cast<std::size_t>(column);
    const Var<T> raw = detail::in_bounded_context(pass, input_bound_, [&] { return (*nets_[i])(pass, seen(i)); });
    const std::span<const Var<T>> params = split_columns(raw, transformer_->multiplier());
    const Elements e =
        forward ? transformer_->forward(pass, given[i], params) : transformer_->inverse(pass, given[i], params);
    made[i] = e.value;
    slopes[i] = e.log_derivative;
  }
  return {concatenate<T>(made), slopes.front() ? concatenate<T>(slopes) : Var<T>()};
}

template <Scalar T>
void GraphAutoregressive<T>::do_fields(Fields<T>& f) {
  f.type("graph_autoregressive");
  std::vector<std::int64_t> counts, all;
  for (const auto& own : parents_) {
    counts.push_back(static_cast<std::int64_t>(own.size()));
    all.insert(all.end(), own.begin(), own.end());
  }
  f.constant("parent_counts", counts);
  f.constant("parents", all);
  f.optional("input_bound", input_bound_, std::numeric_limits<double>::infinity());
  if (f.restoring()) {
    auto next = all.begin();
    for (const std::int64_t count : counts) {
      if (count < 0 || count > all.end() - next)
        throw IoError("graph_autoregressive: parent_counts does not fit the list of parents");
      parents_.emplace_back(next, next + count);
      next += count;
    }
    if (next != all.end()) throw IoError("graph_autoregressive: parent_counts does not fit the list of parents");
    nets_.resize(parents_.size());
  }
  for (std::size_t i = 0; i < nets_.size(); ++i) f.part(std::to_string(i), nets_[i]);
  f.part("transformer", transformer_);
}

template <Scalar T>
void GraphAutoregressive<T>::do_restored() {
  const auto dim = static_cast<Index>(parents_.size());
  detail::check_bound("GraphAutoregressive", "input_bound", input_bound_);
  order_ = order_of(parents_);
  if (nets_.size() != parents_.size())
    throw ShapeError(fmt::format("GraphAutoregressive: {} networks for {} columns", nets_.size(), dim));
  const Index context = context_of(nets_);
  for (std::size_t i = 0; i < nets_.size(); ++i) {
    const Network<T>& net = *nets_[i];
    const auto parents = static_cast<Index>(parents_[i].size());
    const Index inputs = parents + net.context_dim() > 0 ? parents : 1;
    if (net.inputs() != inputs || net.outputs() != transformer_->multiplier())
      throw ShapeError(fmt::format("GraphAutoregressive: column {} needs a network of {} inputs and {} outputs, got one of "
                                   "{} and {}",
                                   i, inputs, transformer_->multiplier(), net.inputs(), net.outputs()));
    if (net.context_dim() != 0 && net.context_dim() != context)
      throw ShapeError(fmt::format("GraphAutoregressive: networks take contexts of {} and of {} columns",
                                   net.context_dim(), context));
  }
  this->set_shape(dim, {dim}, context);
}

template class GraphAutoregressive<float>;
template class GraphAutoregressive<double>;

}  // namespace pushforward
