#include <pushforward/bijectors/column_supports.hpp>

#include <algorithm>
#include <cmath>
#include <string>

#include <pushforward/bijectors/softplus.hpp>

#include "src/core/number_text.hpp"
#include "src/core/rounded.hpp"
#include "src/ops/common.hpp"
#include "src/ops/intervals.hpp"

namespace pushforward {

using namespace detail;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

}  // namespace

template <Scalar T>
typename ColumnSupports<T>::Kind ColumnSupports<T>::kind(const Interval& support) {
  const bool below = std::isfinite(support.low), above = std::isfinite(support.high);
  return below && above ? Kind::between : below ? Kind::above : above ? Kind::below : Kind::real;
}

template <Scalar T>
ColumnSupports<T>::ColumnSupports(std::vector<Interval> supports)
    : ElementwiseBijector<T>("ColumnSupports", static_cast<Index>(supports.size())), supports_(std::move(supports)) {
  for (Index c = 0; c < this->dim(); ++c) {
    Interval& s = supports_[static_cast<std::size_t>(c)];
    if (!(s.low < s.high) || s.low == infinity || s.high == -infinity)
      throw DomainError("ColumnSupports: expected low < high, got " + detail::number_text(s.low) + " and " +
                        detail::number_text(s.high) + " in column " + std::to_string(c));
    if (std::isfinite(s.low)) s.low = detail::rounded<T>(s.low);
    if (std::isfinite(s.high)) s.high = detail::rounded<T>(s.high);
    if (ranges_.empty() || ranges_.back().kind != kind(s)) ranges_.push_back({kind(s), c, 0, {}, {}, {}, {}, {}});
    Range& range = ranges_.back();
    ++range.count;
    range.low.push_back(s.low);
    range.high.push_back(s.high);
    // A point of the support that is a number of T next to large bounds too.
    range.inside.push_back(range.kind == Kind::above
                               ? static_cast<T>(s.low) + std::max(T(1), std::abs(static_cast<T>(s.low)))
                               : static_cast<T>(s.high) - std::max(T(1), std::abs(static_cast<T>(s.high))));
  }
  for (Range& range : ranges_) {
    if (range.kind == Kind::between) {
      range.sigmoid.emplace(VectorView<const double>(range.low), VectorView<const double>(range.high));
    } else if (range.kind != Kind::real) {
      range.bound = Tensor<T>({range.count});
      const std::vector<double>& bounds = range.kind == Kind::above ? range.low : range.high;
      for (Index c = 0; c < range.count; ++c) {
        range.bound[c] = static_cast<T>(bounds[static_cast<std::size_t>(c)]);
        if (!std::isfinite(range.bound[c]))
          throw DomainError("ColumnSupports: a bound of column " + std::to_string(range.begin + c) +
                            " is too large for the scalar type");
      }
    }
  }
}

template <Scalar T>
bool ColumnSupports<T>::do_is_constant_jacobian() const {
  return std::all_of(ranges_.begin(), ranges_.end(), [](const Range& r) { return r.kind == Kind::real; });
}

template <Scalar T>
typename ColumnSupports<T>::Elements ColumnSupports<T>::map_range(bool forward, const Range& range, Pass<T>& pass,
                                                                  Var<T> in) const {
  switch (range.kind) {
    case Kind::real:
      return {in, filled(pass.tape(), range.count, T(0))};
    case Kind::between:
      return forward ? range.sigmoid->forward_elements(pass, in) : range.sigmoid->inverse_elements(pass, in);
    case Kind::above:
    case Kind::below:
      break;
  }
  // The distance z > 0 from the bound is the softplus of x or, below a bound, of -x.
  const Var<T> bound = pass.constant(range.bound);
  const bool above = range.kind == Kind::above;
  if (!forward) {
    const Var<T> inside = pass.restrict_to(in, range.low, range.high, range.inside);
    const Elements e = SoftplusMap<T>::inverse(above ? inside - bound : -(inside - bound));
    return {above ? e.value : -e.value, e.log_derivative};
  }
  const Elements e = SoftplusMap<T>::forward(above ? in : -in);
  const Var<T> y = above ? e.value + bound : bound - e.value;
  // Tiny distances vanish beside the bound: the result stays the number of T next to it. The gradient does not mind.
  const T open = static_cast<T>(above ? infinity : -infinity);
  T* const first = pass.tape().template scratch<T>(range.count);
  T* const none = pass.tape().template scratch<T>(range.count);
  for (Index c = 0; c < range.count; ++c) {
    first[c] = std::nextafter(range.bound[c], open);
    none[c] = open;
  }
  return {clamp_columns(y, above ? first : none, above ? none : first), e.log_derivative};
}

template <Scalar T>
typename ColumnSupports<T>::Elements ColumnSupports<T>::map(bool forward, Pass<T>& pass, Var<T> in) const {
  if (ranges_.size() == 1) {
    if (ranges_[0].kind == Kind::real) return {in, {}};
    return map_range(forward, ranges_[0], pass, in);
  }
  std::vector<Var<T>> values, log_derivatives;
  for (const Range& range : ranges_) {
    const Elements e = map_range(forward, range, pass, columns(in, range.begin, range.count));
    values.push_back(e.value);
    log_derivatives.push_back(e.log_derivative);
  }
  return {concatenate<T>(std::span<const Var<T>>(values)), concatenate<T>(std::span<const Var<T>>(log_derivatives))};
}

template <Scalar T>
void ColumnSupports<T>::do_fields(Fields<T>& f) {
  f.type("column_supports");
  // Infinite bounds have no place in a model file, so each bound has a flag.
  std::vector<std::int64_t> bounded_below, bounded_above;
  std::vector<double> low, high;
  for (const Interval& s : supports_) {
    bounded_below.push_back(std::isfinite(s.low));
    bounded_above.push_back(std::isfinite(s.high));
    low.push_back(std::isfinite(s.low) ? s.low : 0.0);
    high.push_back(std::isfinite(s.high) ? s.high : 0.0);
  }
  f.constant("bounded_below", bounded_below);
  f.constant("bounded_above", bounded_above);
  f.constant("low", low);
  f.constant("high", high);
  if (!f.restoring()) return;
  if (bounded_above.size() != bounded_below.size() || low.size() != bounded_below.size() ||
      high.size() != bounded_below.size())
    throw IoError("column_supports: bounded_below, bounded_above, low and high must have the same length");
  std::vector<Interval> supports(low.size());
  for (std::size_t c = 0; c < supports.size(); ++c) {
    if (bounded_below[c] != 0) supports[c].low = low[c];
    if (bounded_above[c] != 0) supports[c].high = high[c];
  }
  *this = ColumnSupports(std::move(supports));
}

template class ColumnSupports<float>;
template class ColumnSupports<double>;

}  // namespace pushforward
