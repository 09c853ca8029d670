#pragma once

// Scalar maps that are computed element by element, in double for both scalars.

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>

#include <pushforward/ops.hpp>

namespace pushforward::detail {

struct ElementImage {
  double value, log_derivative;
};

/// The map of each element of x, or its inverse where `root` says so: element (i, c) by the raw numbers
/// params[p](i, c). Elements that are not `inside`, NaN among them, stay as they are. Exporters do not know it.
///
///     bool Map::inside(double in) const;
///     ElementImage Map::image(bool root, double in, const double* raw) const;
///     // Adds the gradients of value and log derivative to those of the input and of the raw numbers.
///     void Map::accumulate(bool root, double in, const double* raw, double g_value, double g_log, double& g_in,
///                          double* g_raw) const;
///
/// `map` holds numbers only.
template <Scalar T, class Map>
MappedElements<T> map_elements(const Map& map, bool root, Var<T> x, std::span<const Var<T>> params) {
  Tape<T>& tape = x.tape();
  const Index count = static_cast<Index>(params.size());
  bool wanted_raw = false;
  for (const Var<T>& p : params) wanted_raw = wanted_raw || p.wants_gradient();
  const bool wanted = wanted_raw || x.wants_gradient();
  const Var<T> y = tape.matrix(x.cols(), wanted), log_derivative = tape.matrix(x.cols(), wanted);
  Var<T>* kept = tape.template scratch<Var<T>>(count);
  std::uninitialized_copy(params.begin(), params.end(), kept);
  double* raw = tape.template scratch<double>(count);
  const auto load = [kept, raw, count](const Tape<T>& tape, Index c, Index i) {
    for (Index p = 0; p < count; ++p) raw[p] = static_cast<double>(tape.value(kept[p], c)[i]);
  };
  for (Index c = 0; c < x.cols(); ++c)
    for (Index i = 0; i < tape.padded_rows(); ++i) {
      const T in = tape.value(x, c)[i];
      T& value = tape.value(y, c)[i];
      T& log_slope = tape.value(log_derivative, c)[i];
      value = in;
      log_slope = in == in ? T(0) : in;
      if (!map.inside(static_cast<double>(in))) continue;
      load(tape, c, i);
      const ElementImage out = map.image(root, static_cast<double>(in), raw);
      value = static_cast<T>(out.value);
      log_slope = static_cast<T>(out.log_derivative);
    }
  if (!wanted) return {y, log_derivative};
  double* g_raw = tape.template scratch<double>(count);
  tape.on_backward([=] {
    Tape<T>& tape = x.tape();
    const bool has_value = Tape<T>::has_gradient(y), has_log = Tape<T>::has_gradient(log_derivative);
    if (!has_value && !has_log) return;
    for (Index c = 0; c < x.cols(); ++c) {
      T* g_x = x.wants_gradient() ? tape.gradient(x, c) : nullptr;
      for (Index i = 0; i < tape.local_rows(); ++i) {
        const auto in = static_cast<double>(tape.value(x, c)[i]);
        const double g_value = has_value ? static_cast<double>(tape.gradient(y, c)[i]) : 0;
        if (!map.inside(in)) {
          if (g_x) g_x[i] += static_cast<T>(g_value);
          continue;
        }
        load(tape, c, i);
        const double g_log = has_log ? static_cast<double>(tape.gradient(log_derivative, c)[i]) : 0;
        double g_in = 0;
        std::fill_n(g_raw, count, 0.0);
        map.accumulate(root, in, raw, g_value, g_log, g_in, g_raw);
        if (g_x) g_x[i] += static_cast<T>(g_in);
        for (Index p = 0; p < count; ++p)
          if (kept[p].wants_gradient()) tape.gradient(kept[p], c)[i] += static_cast<T>(g_raw[p]);
      }
    }
  });
  return {y, log_derivative};
}

/// exp(raw) over their sum.
inline void softmax(std::span<const double> raw, double* shares) {
  double largest = raw[0], sum = 0;
  for (const double r : raw) largest = r > largest ? r : largest;
  for (std::size_t k = 0; k < raw.size(); ++k) sum += shares[k] = std::exp(raw[k] - largest);
  for (std::size_t k = 0; k < raw.size(); ++k) shares[k] /= sum;
}
/// Adds scale times the gradient of the raw numbers to theirs.
inline void accumulate_softmax(std::span<const double> shares, const double* g_shares, double scale, double* g_raw) {
  double mean = 0;
  for (std::size_t k = 0; k < shares.size(); ++k) mean += shares[k] * g_shares[k];
  for (std::size_t k = 0; k < shares.size(); ++k) g_raw[k] += scale * shares[k] * (g_shares[k] - mean);
}
inline double softplus_of(double raw) { return std::fmax(raw, 0.0) + std::log1p(std::exp(-std::fabs(raw))); }
inline double sigmoid_of(double raw) { return 1 / (1 + std::exp(-raw)); }

}  // namespace pushforward::detail
