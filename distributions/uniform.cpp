#include <pushforward/distributions/uniform.hpp>

#include "distributions/parameters.hpp"
#include "src/core/number_text.hpp"
#include "src/numerics/special_functions.hpp"
#include "src/ops/intervals.hpp"

namespace pushforward {

using namespace detail;

namespace {

template <class T>
std::vector<double> to_doubles(VectorView<const T> values) {
  std::vector<double> result(static_cast<std::size_t>(values.size()));
  for (Index i = 0; i < values.size(); ++i) result[static_cast<std::size_t>(i)] = static_cast<double>(values[i]);
  return result;
}

}  // namespace

template <Scalar T>
Uniform<T>::Uniform(Bounds bounds)
    : Distribution<T>("Uniform", static_cast<Index>(bounds.low.size())),
      low_(std::move(bounds.low)),
      high_(std::move(bounds.high)) {
  set_ends();
}

// The values of T next to the bounds, which must have some between them.
template <Scalar T>
void Uniform<T>::set_ends() {
  smallest_.clear();
  largest_.clear();
  check_sizes("Uniform", "low", static_cast<Index>(low_.size()), "high", static_cast<Index>(high_.size()));
  check_finite("Uniform", "low", VectorView<const double>(low_));
  check_finite("Uniform", "high", VectorView<const double>(high_));
  for (std::size_t c = 0; c < low_.size(); ++c) {
    constexpr T end = std::numeric_limits<T>::infinity();
    T smallest = static_cast<T>(low_[c]), largest = static_cast<T>(high_[c]);
    if (static_cast<double>(smallest) <= low_[c]) smallest = std::nextafter(smallest, end);
    if (static_cast<double>(largest) >= high_[c]) largest = std::nextafter(largest, -end);
    if (!(smallest <= largest) || !std::isfinite(high_[c] - low_[c]))
      throw DomainError("Uniform: low must be less than high with values between them and a finite difference, got " +
                        detail::number_text(low_[c]) + " and " + detail::number_text(high_[c]) + " at index " +
                        std::to_string(c));
    smallest_.push_back(smallest);
    largest_.push_back(largest);
  }
}

template <Scalar T>
Uniform<T>::Uniform(Index dim)
    : Uniform(Bounds{std::vector<double>(static_cast<std::size_t>(std::max<Index>(dim, 0)), 0.0),
                     std::vector<double>(static_cast<std::size_t>(std::max<Index>(dim, 0)), 1.0)}) {}
template <Scalar T>
Uniform<T>::Uniform(VectorView<const T> low, VectorView<const T> high)
    : Uniform(Bounds{to_doubles(low), to_doubles(high)}) {}

template <Scalar T>
Column<T> Uniform<T>::do_log_prob(Pass<T>& pass, Var<T> y) const {
  const Var<T> inside = pass.restrict_to(y, low_, high_, smallest_, true);
  // 0 times the row, so that a NaN shows.
  return scale_shift(row_sum(inside), 0.0, -do_entropy());
}

template <Scalar T>
Var<T> Uniform<T>::do_sample(Pass<T>& pass) const {
  const Var<T> u = pass.uniform(this->dim());
  const auto row = [&](auto value) {
    const Var<T> v = pass.tape().shared(1, this->dim(), false);
    for (Index c = 0; c < this->dim(); ++c) v.node()->value[c] = static_cast<T>(value(static_cast<std::size_t>(c)));
    return v;
  };
  const Var<T> low = row([&](std::size_t c) { return low_[c]; });
  const Var<T> width = row([&](std::size_t c) { return high_[c] - low_[c]; });
  return detail::clamp_columns(u * width + low, smallest_.data(), largest_.data());
}

template <Scalar T>
Space Uniform<T>::do_support() const {
  std::vector<Interval> result(low_.size());
  for (std::size_t c = 0; c < low_.size(); ++c) result[c] = {low_[c], high_[c]};
  return Space::box(std::move(result));
}

template <Scalar T>
void Uniform<T>::do_mean(VectorView<double> mean) const {
  for (std::size_t c = 0; c < low_.size(); ++c) mean[static_cast<Index>(c)] = low_[c] + 0.5 * (high_[c] - low_[c]);
}
template <Scalar T>
void Uniform<T>::do_variance(VectorView<double> variance) const {
  for (std::size_t c = 0; c < low_.size(); ++c) {
    const double width = high_[c] - low_[c];
    variance[static_cast<Index>(c)] = width * width / 12;
  }
}
template <Scalar T>
void Uniform<T>::do_mode(VectorView<double>) const {
  throw this->not_implemented("mode", "not unique: the density is the same in all points of the support");
}
template <Scalar T>
double Uniform<T>::do_entropy() const {
  double sum = 0;
  for (std::size_t c = 0; c < low_.size(); ++c) sum += std::log(high_[c] - low_[c]);
  return sum;
}

template <Scalar T>
std::optional<double> Uniform<T>::do_kl_divergence(const Distribution<T>& other) const {
  const auto* q = dynamic_cast<const Uniform*>(&other);
  if (!q) return std::nullopt;
  double sum = 0;
  for (std::size_t c = 0; c < low_.size(); ++c) {
    if (low_[c] < q->low_[c] || high_[c] > q->high_[c]) return infinity;
    sum += std::log((q->high_[c] - q->low_[c]) / (high_[c] - low_[c]));
  }
  return sum;
}

template <Scalar T>
void Uniform<T>::do_tails(Tail tail, MatrixView<const T> y, MatrixView<double> out) const {
  by_columns(y, out, [&](Index column) {
    const std::size_t c = static_cast<std::size_t>(column);
    const double low = low_[c], high = high_[c], width = high - low;
    return [=](double y) -> double {
      const double at = std::clamp(y, low, high);
      const double p = (at - low) / width, q = (high - at) / width;
      return tail_of(tail, p, q);
    };
  });
}

template <Scalar T>
void Uniform<T>::do_quantiles(bool complement, MatrixView<const double> p, MatrixView<double> out) const {
  by_columns(p, out, [&](Index column) {
    const std::size_t c = static_cast<std::size_t>(column);
    const double low = low_[c], high = high_[c], width = high - low;
    return [=](double p) -> double {
      // From the nearer bound, so that both ends are exact.
      return complement == (p <= 0.5) ? high - width * (complement ? p : 1 - p)
                                      : low + width * (complement ? 1 - p : p);
    };
  });
}

template <Scalar T>
void Uniform<T>::do_fields(Fields<T>& f) {
  f.type("uniform");
  f.constant("low", low_);
  f.constant("high", high_);
}

template <Scalar T>
void Uniform<T>::do_restored() {
  this->set_shape({static_cast<Index>(low_.size())});
  set_ends();
}

template class Uniform<float>;
template class Uniform<double>;

}  // namespace pushforward
