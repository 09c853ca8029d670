#include <pushforward/bijectors/blocks.hpp>

#include <pushforward/error.hpp>

#include "src/core/checks.hpp"
#include "src/core/parts.hpp"

namespace pushforward {

using namespace detail;

namespace {

template <Scalar T>
Index columns(const std::vector<Poly<Bijector<T>>>& parts, bool base) {
  if (parts.empty()) throw ShapeError("Blocks: expected at least one part, got none");
  Index sum = 0;
  for (const Poly<Bijector<T>>& part : parts) sum += base ? part->base_dim() : part->dim();
  return sum;
}

}  // namespace

template <Scalar T>
Blocks<T>::Blocks(std::vector<Poly<Bijector<T>>> parts)
    : Bijector<T>(name_of_parts("Blocks", parts), columns(parts, true), std::vector<Index>{columns(parts, false)},
                  common_context_dim("Blocks", "part", parts)),
      parts_(std::move(parts)) {}

template <Scalar T>
void Blocks<T>::do_fields(Fields<T>& f) {
  f.type("blocks");
  f.parts(parts_);
}

template <Scalar T>
void Blocks<T>::do_restored() {
  this->set_name(name_of_parts("Blocks", parts_));
  this->set_shape(columns(parts_, true), {columns(parts_, false)}, common_context_dim("Blocks", "part", parts_));
}

template <Scalar T>
const Bijector<T>& Blocks<T>::part(Index i) const {
  return *parts_[checked_position(this->name(), "part", i, parts_.size())];
}
template <Scalar T>
Poly<Bijector<T>> Blocks<T>::copy_part(Index i) const {
  return parts_[checked_position(this->name(), "part", i, parts_.size())];
}

template <Scalar T>
Mapped<T> Blocks<T>::apply(bool forward, Pass<T>& pass, Var<T> in) const {
  auto* values = pass.tape().template scratch<Var<T>>(size());
  Column<T> log_det;
  Index begin = 0;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const Bijector<T>& part = *parts_[i];
    const Index count = forward ? part.base_dim() : part.dim();
    const Var<T> own = pushforward::columns(in, begin, count);
    const Mapped<T> mapped = forward ? part.forward(pass, own) : part.inverse(pass, own);
    values[i] = mapped.value;
    log_det = log_det + mapped.log_det;
    begin += count;
  }
  return {concatenate(std::span<const Var<T>>(values, parts_.size())), log_det};
}

template <Scalar T>
Var<T> Blocks<T>::do_log_derivative(bool forward, Pass<T>& pass, Var<T> in) const {
  auto* values = pass.tape().template scratch<Var<T>>(size());
  bool any = false;
  Index begin = 0;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const Var<T> own = pushforward::columns(in, begin, parts_[i]->dim());
    const Var<T> derivative = parts_[i]->log_derivative(forward, pass, own);
    any = any || derivative;
    values[i] = !derivative ? own * T(0) : derivative.is_shared() ? spread(pass.tape(), derivative) : derivative;
    begin += parts_[i]->dim();
  }
  return any ? concatenate(std::span<const Var<T>>(values, parts_.size())) : Var<T>();
}

template <Scalar T>
bool Blocks<T>::do_is_elementwise() const {
  return all_parts(parts_, [](const Bijector<T>& p) { return p.is_elementwise(); });
}
template <Scalar T>
bool Blocks<T>::do_is_constant_jacobian() const {
  return all_parts(parts_, [](const Bijector<T>& p) { return p.is_constant_jacobian(); });
}
template <Scalar T>
bool Blocks<T>::do_is_constant_log_det() const {
  return all_parts(parts_, [](const Bijector<T>& p) { return p.is_constant_log_det(); });
}
template <Scalar T>
bool Blocks<T>::do_has_forward() const {
  return all_parts(parts_, [](const Bijector<T>& p) { return p.has_forward(); });
}
template <Scalar T>
bool Blocks<T>::do_has_inverse() const {
  return all_parts(parts_, [](const Bijector<T>& p) { return p.has_inverse(); });
}

template <Scalar T>
std::vector<bool> Blocks<T>::do_is_increasing() const {
  std::vector<bool> increasing;
  for (const Poly<Bijector<T>>& part : parts_) {
    const std::vector<bool> own = part->is_increasing();
    increasing.insert(increasing.end(), own.begin(), own.end());
  }
  return increasing;
}

template <Scalar T>
Space Blocks<T>::do_domain() const {
  Space space;
  for (const Poly<Bijector<T>>& part : parts_) space = space * part->domain();
  return space;
}
template <Scalar T>
Space Blocks<T>::do_codomain() const {
  Space space;
  for (const Poly<Bijector<T>>& part : parts_) space = space * part->codomain();
  return space;
}
template <Scalar T>
Space Blocks<T>::do_image(bool forward, const Space& from) const {
  Space space;
  Index begin = 0;
  for (const Poly<Bijector<T>>& part : parts_) {
    const Index count = forward ? part->base_dim() : part->dim();
    const Space own = from.slice(begin, count);
    space = space * (forward ? part->image(own) : part->preimage(own));
    begin += count;
  }
  return space;
}

template <Scalar T>
double Blocks<T>::do_log_scale_bound() const {
  double bound = 0;
  for (const Poly<Bijector<T>>& part : parts_) bound += part->log_scale_bound();
  return bound;
}

template <Scalar T>
Estimate Blocks<T>::do_estimates() const {
  return estimate_of_parts(this->name(), parts_);
}

template <Scalar T>
std::vector<std::int64_t> Blocks<T>::do_triangular_order() const {
  return order_of_parts(parts_);
}

template class Blocks<float>;
template class Blocks<double>;

}  // namespace pushforward
