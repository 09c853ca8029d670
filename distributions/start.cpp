#include "distributions/start.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "src/numerics/constants.hpp"
#include "src/ops/common.hpp"

namespace pushforward::detail {

namespace {

/// Mean and deviation of each column, with the weights of a batch or none.
template <Scalar T>
void column_moments(Var<T> y, const T* weights, std::vector<double>& mean, std::vector<double>& deviation) {
  const Index rows = y.tape().rows();
  for (Index c = 0; c < y.cols(); ++c) {
    const kernels::Moments m = kernel<T>().moments(full_column(y, c), weights, rows);
    const double total = weights ? kernel<T>().sum(weights, rows) : static_cast<double>(rows);
    mean.push_back(m.mean);
    deviation.push_back(total > 0 ? std::sqrt(std::max(m.m2, 0.0) / total) : 0.0);
  }
}

}  // namespace

template <Scalar T>
StartMoments start_moments(Var<T> y, const double* weights) {
  const Index rows = y.tape().rows(), dim = y.cols();
  const auto size = static_cast<std::size_t>(dim);
  std::vector<double> all_mean, all_deviation;
  column_moments<T>(y, nullptr, all_mean, all_deviation);
  StartMoments result{all_mean, std::vector<double>(size), std::vector<double>(size * size)};
  double total = 0;
  for (Index i = 0; i < rows; ++i) total += weights[i];
  if (total > 0)
    for (Index c = 0; c < dim; ++c) {
      const auto at = static_cast<std::size_t>(c);
      double sum = 0;
      for (Index i = 0; i < rows; ++i) sum += weights[i] * (static_cast<double>(full_column(y, c)[i]) - all_mean[at]);
      result.mean[at] = all_mean[at] + sum / total;
    }
  for (Index a = 0; a < dim; ++a)
    for (Index b = 0; b <= a; ++b) {
      const double ma = result.mean[static_cast<std::size_t>(a)], mb = result.mean[static_cast<std::size_t>(b)];
      double sum = 0;
      for (Index i = 0; i < rows; ++i)
        sum += weights[i] * (static_cast<double>(full_column(y, a)[i]) - ma) *
               (static_cast<double>(full_column(y, b)[i]) - mb);
      const double value = total > 0 ? sum / total : 0.0;
      result.covariance[static_cast<std::size_t>(a * dim + b)] = value;
      result.covariance[static_cast<std::size_t>(b * dim + a)] = value;
    }
  for (Index c = 0; c < dim; ++c) {
    const auto at = static_cast<std::size_t>(c);
    double& variance = result.covariance[at * size + at];
    // A column with one value only says nothing about scale.
    const double least = all_deviation[at] > 0 ? 1e-3 * all_deviation[at] : 1.0;
    variance = std::max(variance, least * least);
    result.deviation[at] = std::sqrt(variance);
  }
  return result;
}

template <Scalar T>
std::vector<Index> cluster_rows(Var<T> y, const T* weights, Index count) {
  constexpr Index most = 4096;
  constexpr int runs = 8, rounds = 50;
  const Index rows = y.tape().rows(), dim = y.cols(), used = std::min(rows, most);
  const auto size = static_cast<std::size_t>(dim);
  std::vector<Index> best(static_cast<std::size_t>(rows), 0);
  if (rows == 0) return best;
  std::vector<double> mean, deviation;
  column_moments(y, weights, mean, deviation);
  // Points row by row.
  std::vector<double> points(static_cast<std::size_t>(rows) * size);
  for (Index c = 0; c < dim; ++c) {
    const auto at = static_cast<std::size_t>(c);
    for (Index i = 0; i < rows; ++i)
      points[static_cast<std::size_t>(i) * size + at] =
          deviation[at] > 0 ? (static_cast<double>(full_column(y, c)[i]) - mean[at]) / deviation[at] : 0.0;
  }
  const auto weight = [&](Index i) { return weights ? static_cast<double>(weights[i]) : 1.0; };
  const auto distance = [&](Index i, const double* centre) {
    const double* p = points.data() + static_cast<std::size_t>(i) * size;
    double sum = 0;
    for (std::size_t c = 0; c < size; ++c) sum += (p[c] - centre[c]) * (p[c] - centre[c]);
    return sum;
  };
  std::vector<double> centres(static_cast<std::size_t>(count) * size), best_centres;
  const auto nearest = [&](const std::vector<double>& from, Index i) {
    Index found = 0;
    double least = infinity;
    for (Index k = 0; k < count; ++k) {
      const double d = distance(i, from.data() + static_cast<std::size_t>(k) * size);
      if (d < least) {
        least = d;
        found = k;
      }
    }
    return std::pair(found, least);
  };

  double best_inertia = infinity;
  const Engine seed = Engine(0).stream("mixture start");
  for (int run = 0; run < runs; ++run) {
    std::vector<double> uniform(static_cast<std::size_t>(count));
    Engine(seed.seed(), static_cast<std::uint64_t>(run)).next_call().uniform(0, count, 1, uniform.data(), count);
    // Each centre is a row, drawn with probability in the square of its distance to the nearest centre so far.
    std::vector<double> square(static_cast<std::size_t>(used), 1.0);
    for (Index k = 0; k < count; ++k) {
      double total = 0;
      for (Index i = 0; i < used; ++i) total += weight(i) * square[static_cast<std::size_t>(i)];
      double rest = uniform[static_cast<std::size_t>(k)] * total;
      Index chosen = 0;
      for (Index i = 0; i < used; ++i) {
        const double mass = weight(i) * square[static_cast<std::size_t>(i)];
        if (mass <= 0) continue;
        chosen = i;
        if (rest < mass) break;
        rest -= mass;
      }
      double* centre = centres.data() + static_cast<std::size_t>(k) * size;
      std::copy_n(points.data() + static_cast<std::size_t>(chosen) * size, size, centre);
      for (Index i = 0; i < used; ++i) {
        double& s = square[static_cast<std::size_t>(i)];
        s = k == 0 ? distance(i, centre) : std::min(s, distance(i, centre));
      }
    }
    // Lloyd's rounds.
    std::vector<Index> cluster(static_cast<std::size_t>(used), -1);
    double inertia = 0;
    for (int round = 0; round < rounds; ++round) {
      bool changed = false;
      inertia = 0;
      std::vector<double> sums(centres.size(), 0.0), mass(static_cast<std::size_t>(count), 0.0);
      for (Index i = 0; i < used; ++i) {
        const auto [k, d] = nearest(centres, i);
        changed = changed || cluster[static_cast<std::size_t>(i)] != k;
        cluster[static_cast<std::size_t>(i)] = k;
        inertia += weight(i) * d;
        mass[static_cast<std::size_t>(k)] += weight(i);
        for (std::size_t c = 0; c < size; ++c)
          sums[static_cast<std::size_t>(k) * size + c] += weight(i) * points[static_cast<std::size_t>(i) * size + c];
      }
      if (!changed) break;
      for (Index k = 0; k < count; ++k)
        if (mass[static_cast<std::size_t>(k)] > 0)
          for (std::size_t c = 0; c < size; ++c)
            centres[static_cast<std::size_t>(k) * size + c] =
                sums[static_cast<std::size_t>(k) * size + c] / mass[static_cast<std::size_t>(k)];
    }
    if (inertia < best_inertia) {
      best_inertia = inertia;
      best_centres = centres;
    }
  }
  if (best_centres.empty()) best_centres = centres;
  for (Index i = 0; i < rows; ++i) best[static_cast<std::size_t>(i)] = nearest(best_centres, i).first;
  return best;
}

template <Scalar T>
void propose_change(Pass<T>& pass, const Component<T>& component, Index stream) {
  const Engine own = Engine(0).stream("mixture change " + std::to_string(stream));
  std::uint64_t call = 0;
  for (const ConstSlot<T>& slot : list_state(component)) {
    ++call;
    if (slot.kind != StateKind::parameter || !slot.attributes.trainable || slot.tensor->size() == 0) continue;
    const Index n = slot.tensor->size();
    std::vector<double> value(static_cast<std::size_t>(n));
    Engine(own.seed(), call).next_call().normal(0, n, 1, value.data(), n);
    double square = 0;
    for (const T v : slot.tensor->values()) square += static_cast<double>(v) * static_cast<double>(v);
    const double scale = std::max(0.1 * std::sqrt(square / static_cast<double>(n)), 0.03);
    for (Index i = 0; i < n; ++i) {
      double& v = value[static_cast<std::size_t>(i)];
      v = static_cast<double>((*slot.tensor)[i]) + scale * v;
    }
    pass.propose(*slot.tensor, value);
  }
}

#define PUSHFORWARD_INSTANTIATE(T)                                          \
  template StartMoments start_moments(Var<T>, const double*);               \
  template std::vector<Index> cluster_rows(Var<T>, const T*, Index);        \
  template void propose_change(Pass<T>&, const Component<T>&, Index);
PUSHFORWARD_INSTANTIATE(float)
PUSHFORWARD_INSTANTIATE(double)
#undef PUSHFORWARD_INSTANTIATE

}  // namespace pushforward::detail
