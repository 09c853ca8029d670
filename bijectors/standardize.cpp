#include <pushforward/bijectors/standardize.hpp>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "src/core/number_text.hpp"

namespace pushforward {

template <Scalar T>
Standardize<T>::Standardize(Index dim)
    : ElementwiseBijector<T>("Standardize", dim), shift_({dim}), scale_({dim}, T(1)) {}

template <Scalar T>
Standardize<T>::Standardize(VectorView<const double> shift, VectorView<const double> scale)
    : Standardize(shift.size()) {
  if (scale.size() != shift.size())
    throw ShapeError("Standardize: shift has " + std::to_string(shift.size()) + " values but scale has " +
                     std::to_string(scale.size()));
  for (Index c = 0; c < shift.size(); ++c) {
    shift_[c] = static_cast<T>(shift[c]);
    scale_[c] = static_cast<T>(scale[c]);
    if (!std::isfinite(shift_[c]) || !std::isfinite(scale_[c]) || !(scale_[c] > T(0)))
      throw DomainError("Standardize: expected a finite shift and a finite scale > 0, got " +
                        detail::number_text(shift[c]) + " and " + detail::number_text(scale[c]) + " in column " +
                        std::to_string(c));
  }
}

namespace {

struct Weighted {
  double value;
  double weight;
};

/// The smallest value, interpolated between neighbours, below which lies the share p of the weight. With equal weights
/// the rule of NumPy ("linear"); values are sorted.
double quantile(const std::vector<Weighted>& values, double p) {
  double total = 0;
  for (const Weighted& v : values) total += v.weight;
  // Value i stands at the centre of its weight; the first and last centres are the quantiles 0 and 1.
  const double first = values.front().weight / 2, last = total - values.back().weight / 2;
  const double at = first + p * (last - first);
  double below = 0, previous_centre = first, previous = values.front().value;
  for (const Weighted& v : values) {
    const double centre = below + v.weight / 2;
    below += v.weight;
    if (centre >= at) {
      const double gap = centre - previous_centre;
      return gap > 0 ? previous + (v.value - previous) * ((at - previous_centre) / gap) : v.value;
    }
    previous_centre = centre;
    previous = v.value;
  }
  return values.back().value;
}

struct LocationAndScale {
  double location;
  double scale;
};

/// for_each(f) calls f(value, weight) for every one that counts; all weigh `total`, no magnitude is above `largest`.
template <class ForEach>
LocationAndScale mean_and_std(double total, double largest, const ForEach& for_each) {
  if (largest == 0) return {0, 0};
  // Scaled by the largest magnitude, so that squares do not overflow.
  double mean = 0;
  for_each([&](double value, double weight) { mean += weight * (value / largest); });
  mean /= total;
  double square = 0, correction = 0;
  for_each([&](double value, double weight) {
    const double d = value / largest - mean;
    square += weight * d * d;
    correction += weight * d;
  });
  const double variance = std::max(0.0, (square - correction * correction / total) / total);
  return {(mean + correction / total) * largest, std::sqrt(variance) * largest};
}

}  // namespace

template <Scalar T>
Standardize<T> Standardize<T>::of(MatrixView<const T> data, Standardization how, VectorView<const double> weights) {
  const Index rows = data.rows(), dim = data.cols();
  if (weights.size() != 0 && weights.size() != rows)
    throw ShapeError("Standardize::of: expected " + std::to_string(rows) + " weights, got " +
                     std::to_string(weights.size()));
  if (how == Standardization::none) return Standardize(dim);
  if (rows == 0) throw DomainError("Standardize::of: there are no rows to compute a location and a scale from");
  std::vector<double> shift(static_cast<std::size_t>(dim)), scale(static_cast<std::size_t>(dim), 1.0);
  for (Index c = 0; c < dim; ++c) {
    const auto weight_of = [&](Index i) { return weights.size() == 0 ? 1.0 : weights[i]; };
    const auto for_each = [&](const auto& f) {
      for (Index i = 0; i < rows; ++i)
        if (const double weight = weight_of(i); weight > 0) f(static_cast<double>(data(i, c)), weight);
    };
    double all = 0, total = 0, largest = 0;
    for (Index i = 0; i < rows; ++i) {
      const double value = static_cast<double>(data(i, c)), weight = weight_of(i);
      if (!std::isfinite(value))
        throw DomainError("Standardize::of: row " + std::to_string(i) + ", column " + std::to_string(c) +
                          " is not finite");
      all += weight;
      if (!(weight > 0)) continue;
      total += weight;
      largest = std::max(largest, std::abs(value));
    }
    if (!(all > 0) || !std::isfinite(all))
      throw DomainError("Standardize::of: the weights must sum to a positive number");
    LocationAndScale result = mean_and_std(total, largest, for_each);
    if (how == Standardization::median_iqr) {
      std::vector<Weighted> values;
      values.reserve(static_cast<std::size_t>(rows));
      for_each([&](double value, double weight) { values.push_back({value, weight}); });
      std::sort(values.begin(), values.end(), [](const Weighted& a, const Weighted& b) { return a.value < b.value; });
      constexpr double normal_quartiles = 1.3489795003921634, normal_90 = 3.2897072539029444;
      const double spread = quantile(values, 0.75) - quantile(values, 0.25);
      const double wide = quantile(values, 0.95) - quantile(values, 0.05);
      result.location = quantile(values, 0.5);
      if (spread > 0) result.scale = spread / normal_quartiles;
      else if (wide > 0) result.scale = wide / normal_90;
    }
    shift[static_cast<std::size_t>(c)] = result.location;
    // What rounding alone makes of equal values is no scale.
    const double resolution = 4 * static_cast<double>(std::numeric_limits<T>::epsilon()) * std::abs(result.location);
    if (result.scale > resolution && static_cast<T>(result.scale) > T(0))
      scale[static_cast<std::size_t>(c)] = result.scale;
  }
  return Standardize(VectorView<const double>(shift), VectorView<const double>(scale));
}

template <Scalar T>
typename Standardize<T>::Elements Standardize<T>::do_forward_elements(Pass<T>& pass, Var<T> x) const {
  const Var<T> scale = pass.parameter(scale_);
  return {x * scale + pass.parameter(shift_), log(scale)};
}

template <Scalar T>
typename Standardize<T>::Elements Standardize<T>::do_inverse_elements(Pass<T>& pass, Var<T> y) const {
  const Var<T> scale = pass.parameter(scale_);
  return {(y - pass.parameter(shift_)) / scale, -log(scale)};
}

template <Scalar T>
void Standardize<T>::do_fields(Fields<T>& f) {
  f.type("standardize");
  this->dim_field(f);
  f.state("shift", shift_, {this->dim()});
  f.state("scale", scale_, {this->dim()}, {.positive = true});
}

template class Standardize<float>;
template class Standardize<double>;

}  // namespace pushforward
