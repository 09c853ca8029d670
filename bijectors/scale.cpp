#include <pushforward/bijectors/scale.hpp>

#include <algorithm>
#include <cmath>
#include <string>

#include "bijectors/log_scale.hpp"
#include "src/core/checks.hpp"
#include "src/core/number_text.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
Scale<T>::Scale(Index dim, double bound)
    : ElementwiseBijector<T>("Scale", dim),
      log_scale_({dim}),
      sign_(static_cast<std::size_t>(dim), 1),
      bound_(bound) {
  check_bound("Scale", "bound", bound);
}

template <Scalar T>
Scale<T>::Scale(VectorView<const T> values, double bound) : Scale(values.size(), bound) {
  const double largest = largest_log_scale<T>(bound);
  for (Index i = 0; i < values.size(); ++i) {
    const double value = static_cast<double>(values[i]);
    const double s = std::log(std::abs(value));
    if (!(std::abs(s) < largest))  // 0, infinities and NaN too
      throw DomainError("Scale: the size of a scale must lie between exp(-" + detail::number_text(largest) +
                        ") and exp(" + detail::number_text(largest) + "), got " + detail::number_text(value) +
                        " in column " + std::to_string(i));
    log_scale_[i] = static_cast<T>(raw_log_scale(s, bound));
    sign_[static_cast<std::size_t>(i)] = value < 0 ? -1 : 1;
  }
}

template <Scalar T>
Var<T> Scale<T>::bounded(Pass<T>& pass) const {
  return bounded_log_scale(pass.parameter(log_scale_), bound_);
}

// exp(log_factor) with the signs.
template <Scalar T>
Var<T> Scale<T>::factor(Pass<T>& pass, Var<T> log_factor) const {
  const Var<T> size = exp(log_factor);
  if (std::all_of(sign_.begin(), sign_.end(), [](std::int64_t s) { return s == 1; })) return size;
  const Var<T> sign = pass.tape().shared(1, this->dim(), false);
  T* values = sign.node()->value;
  std::fill_n(values, (this->dim() + 15) / 16 * 16, T(0));
  std::transform(sign_.begin(), sign_.end(), values, [](std::int64_t s) { return static_cast<T>(s); });
  return size * sign;
}

template <Scalar T>
typename Scale<T>::Elements Scale<T>::do_forward_elements(Pass<T>& pass, Var<T> x) const {
  const Var<T> s = bounded(pass);
  return {x * factor(pass, s), s};
}

template <Scalar T>
typename Scale<T>::Elements Scale<T>::do_inverse_elements(Pass<T>& pass, Var<T> y) const {
  const Var<T> s = -bounded(pass);
  return {y * factor(pass, s), s};
}

template <Scalar T>
double Scale<T>::do_log_scale_bound() const {
  return largest_log_scale<T>(bound_) * static_cast<double>(this->dim());
}

template <Scalar T>
std::vector<bool> Scale<T>::do_is_increasing() const {
  std::vector<bool> increasing(sign_.size());
  std::transform(sign_.begin(), sign_.end(), increasing.begin(), [](std::int64_t s) { return s > 0; });
  return increasing;
}

template <Scalar T>
void Scale<T>::do_fields(Fields<T>& f) {
  f.type("scale");
  this->dim_field(f);
  f.constant("bound", bound_);
  f.constant("sign", sign_);
  f.parameter("log_scale", log_scale_, {this->dim()}, {.decay = false});
}

template <Scalar T>
void Scale<T>::do_restored() {
  check_bound("Scale", "bound", bound_);
  if (static_cast<Index>(sign_.size()) != this->dim())
    throw IoError("scale: 'sign' has " + std::to_string(sign_.size()) + " values, expected " +
                  std::to_string(this->dim()));
  if (std::any_of(sign_.begin(), sign_.end(), [](std::int64_t s) { return s != 1 && s != -1; }))
    throw IoError("scale: every value of 'sign' must be 1 or -1");
}

template class Scale<float>;
template class Scale<double>;

}  // namespace pushforward
