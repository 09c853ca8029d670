#include <pushforward/bijectors/chain.hpp>

#include <algorithm>
#include <string>

#include <pushforward/error.hpp>

#include "src/core/checks.hpp"
#include "src/core/parts.hpp"

namespace pushforward {

using namespace detail;

namespace {

template <Scalar T>
std::string part_text(const std::vector<Poly<Bijector<T>>>& parts, std::size_t i) {
  return "part " + std::to_string(i) + " (" + parts[i]->name() + ")";
}

template <Scalar T>
std::vector<Index> checked_shape(const std::vector<Poly<Bijector<T>>>& parts) {
  if (parts.empty()) throw ShapeError("Chain: expected at least one part, got none; Identity(dim) does nothing");
  bool same = true;
  for (std::size_t i = 1; i < parts.size(); ++i) {
    if (parts[i]->base_dim() != parts[i - 1]->dim())
      throw ShapeError("Chain: " + part_text(parts, i) + " has dim " + std::to_string(parts[i]->base_dim()) + " but " +
                       part_text(parts, i - 1) + " has dim " + std::to_string(parts[i - 1]->dim()));
    same = same && parts[i]->base_dim() == parts[i]->dim();
  }
  return same ? parts[0]->event_shape() : parts.back()->event_shape();
}

/// The parts must have points in common where they meet: `leads_to(i, space)` is what part i makes of a space.
template <Scalar T, class LeadsTo>
void check_spaces(const std::vector<Poly<Bijector<T>>>& parts, LeadsTo leads_to) {
  Space reached = leads_to(*parts[0], parts[0]->domain());
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const Space domain = parts[i]->domain();
    if (!domain.meets(reached))
      throw DomainError("Chain: " + part_text(parts, i) + " maps from " + domain.to_text() + " but " +
                        part_text(parts, i - 1) + " leads to " + reached.to_text());
    reached = leads_to(*parts[i], reached);
  }
}

}  // namespace

template <Scalar T>
Chain<T>::Chain(std::vector<Poly<Bijector<T>>> parts)
    : Bijector<T>(name_of_parts("Chain", parts), parts.empty() ? 0 : parts[0]->base_dim(), checked_shape(parts),
                  common_context_dim("Chain", "part", parts)),
      parts_(std::move(parts)) {
  check_spaces(parts_, [](const Bijector<T>& part, const Space& from) { return part.image(from); });
}

template <Scalar T>
std::size_t Chain<T>::position(Index i) const {
  return checked_position(this->name(), "part", i, parts_.size());
}

template <Scalar T>
void Chain<T>::do_fields(Fields<T>& f) {
  f.type("chain");
  f.parts(parts_);
}

// The values of the parameters are not there yet, so only what holds for all of them can be told.
template <Scalar T>
void Chain<T>::do_restored() {
  this->set_name(name_of_parts("Chain", parts_));
  const std::vector<Index> shape = checked_shape(parts_);
  this->set_shape(parts_[0]->base_dim(), shape, common_context_dim("Chain", "part", parts_));
  check_spaces(parts_, [](const Bijector<T>& part, const Space&) { return part.codomain(); });
}

namespace {

/// One part after the other; while evaluating, what a part leaves behind is freed before the next one starts, and while
/// recording it is computed again where the pass says so.
template <Scalar T, class Iterator, class Columns, class Apply>
Mapped<T> compose(Pass<T>& pass, Var<T> v, Iterator begin, Iterator end, Columns columns, Apply apply) {
  Column<T> log_det;
  for (Iterator part = begin; part != end; ++part) {
    const typename Tape<T>::Mark mark = pass.tape().mark();
    const Bijector<T>* map = &**part;
    const auto call = [map, apply](Pass<T>& p, Var<T> in) { return apply(*map, p, in); };
    const Mapped<T> mapped = pass.checkpoints() ? checkpoint(pass, v, columns(*map), call) : call(pass, v);
    v = mapped.value;
    log_det = log_det + mapped.log_det;
    if (!pass.recording()) pass.tape().release(mark, v, log_det);
  }
  return {v, log_det};
}

}  // namespace

template <Scalar T>
Mapped<T> Chain<T>::do_forward(Pass<T>& pass, Var<T> x) const {
  return compose(pass, x, parts_.begin(), parts_.end(), [](const Bijector<T>& part) { return part.dim(); },
                 [](const Bijector<T>& part, Pass<T>& p, Var<T> v) { return part.forward(p, v); });
}

template <Scalar T>
Mapped<T> Chain<T>::do_inverse(Pass<T>& pass, Var<T> y) const {
  return compose(pass, y, parts_.rbegin(), parts_.rend(), [](const Bijector<T>& part) { return part.base_dim(); },
                 [](const Bijector<T>& part, Pass<T>& p, Var<T> v) { return part.inverse(p, v); });
}

template <Scalar T>
bool Chain<T>::do_is_elementwise() const {
  return all_parts(parts_, [](const Bijector<T>& p) { return p.is_elementwise(); });
}
template <Scalar T>
bool Chain<T>::do_is_constant_jacobian() const {
  return all_parts(parts_, [](const Bijector<T>& p) { return p.is_constant_jacobian(); });
}
template <Scalar T>
bool Chain<T>::do_is_constant_log_det() const {
  return all_parts(parts_, [](const Bijector<T>& p) { return p.is_constant_log_det(); });
}
template <Scalar T>
bool Chain<T>::do_has_forward() const {
  return all_parts(parts_, [](const Bijector<T>& p) { return p.has_forward(); });
}
template <Scalar T>
bool Chain<T>::do_has_inverse() const {
  return all_parts(parts_, [](const Bijector<T>& p) { return p.has_inverse(); });
}

template <Scalar T>
std::vector<bool> Chain<T>::do_is_increasing() const {
  std::vector<bool> increasing(static_cast<std::size_t>(this->dim()), true);
  for (const Poly<Bijector<T>>& part : parts_) {
    const std::vector<bool> own = part->is_increasing();
    for (std::size_t c = 0; c < increasing.size(); ++c) increasing[c] = increasing[c] == own[c];
  }
  return increasing;
}

// What every part takes, and what becomes of it.
template <Scalar T>
Space Chain<T>::do_domain() const {
  return do_image(false, parts_.back()->codomain());
}
template <Scalar T>
Space Chain<T>::do_codomain() const {
  return do_image(true, do_domain());
}
template <Scalar T>
Space Chain<T>::do_image(bool forward, const Space& from) const {
  Space space = from;
  if (forward)
    for (auto part = parts_.begin(); part != parts_.end(); ++part) space = (*part)->image(space);
  else
    for (auto part = parts_.rbegin(); part != parts_.rend(); ++part) space = (*part)->preimage(space);
  return space;
}

template <Scalar T>
std::vector<std::int64_t> Chain<T>::do_triangular_order() const {
  std::vector<std::int64_t> order;
  for (const Poly<Bijector<T>>& part : parts_)
    order = common_order(this->name(), std::move(order), part->triangular_order());
  return order;
}

template <Scalar T>
double Chain<T>::do_log_scale_bound() const {
  double bound = 0;
  for (const Poly<Bijector<T>>& part : parts_) bound += part->log_scale_bound();
  return bound;
}

template <Scalar T>
Estimate Chain<T>::do_estimates() const {
  return estimate_of_parts(this->name(), parts_);
}

template <Scalar T>
Var<T> Chain<T>::do_log_derivative(bool forward, Pass<T>& pass, Var<T> in) const {
  Var<T> sum;
  const Index count = size();
  for (Index i = 0; i < count; ++i) {
    const Bijector<T>& p = part(forward ? i : count - 1 - i);
    const Var<T> own = p.log_derivative(forward, pass, in);
    if (own) sum = !sum ? own : sum.is_shared() ? own + sum : sum + own;
    in = (forward ? p.forward(pass, in) : p.inverse(pass, in)).value;
  }
  return sum;
}

template class Chain<float>;
template class Chain<double>;

}  // namespace pushforward
