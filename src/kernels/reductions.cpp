// Sums, scalar products and moments over rows.

#include "src/kernels/dispatch.hpp"
#include "src/kernels/moments.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "src/kernels/reductions.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "src/kernels/sum-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace pushforward::kernels {
namespace HWY_NAMESPACE {
namespace {  // names such as `fill` occur in several sources

template <class T>
double sum(const T* x, Index n) {
  return column_sum(x, n);
}

template <class T>
double dot(const T* x, const T* y, Index n) {
  LaneSums sums;
  Index i = 0;
  for (; i + row_block <= n; i += row_block) {
    HWY_UNROLL(16) for (Index j = 0; j < LaneSums::vectors; ++j) {
      const Index at = i + j * LaneSums::lanes;
      sums.v[j] = hn::Add(sums.v[j], hn::Mul(load_double(x + at), load_double(y + at)));
    }
  }
  double lane[row_block];
  sums.store(lane);
  for (Index j = 0; i < n; ++i, ++j) lane[j] += static_cast<double>(x[i]) * static_cast<double>(y[i]);
  return merge_lanes(lane);
}

struct TileSums {
  double weight, first, second;  ///< sum of w, w (x - shift), w (x - shift)^2
};

template <class T, bool Weighted>
HWY_INLINE TileSums tile_sums(const T* x, const T* w, Index n, double shift) {
  const hn::ScalableTag<double> d;
  const VecD s = hn::Set(d, shift);
  LaneSums weight, first, second;
  Index i = 0;
  for (; i + row_block <= n; i += row_block) {
    HWY_UNROLL(16) for (Index j = 0; j < LaneSums::vectors; ++j) {
      const Index at = i + j * LaneSums::lanes;
      const VecD deviation = hn::Sub(load_double(x + at), s);
      VecD weighted = deviation;
      if constexpr (Weighted) {
        const VecD wj = load_double(w + at);
        weight.v[j] = hn::Add(weight.v[j], wj);
        weighted = hn::Mul(wj, deviation);
      }
      first.v[j] = hn::Add(first.v[j], weighted);
      second.v[j] = hn::Add(second.v[j], hn::Mul(weighted, deviation));
    }
  }
  double weight_lane[row_block], first_lane[row_block], second_lane[row_block];
  weight.store(weight_lane);
  first.store(first_lane);
  second.store(second_lane);
  for (Index j = 0; i < n; ++i, ++j) {
    const double deviation = static_cast<double>(x[i]) - shift;
    double weighted = deviation;
    if constexpr (Weighted) {
      weight_lane[j] += static_cast<double>(w[i]);
      weighted = static_cast<double>(w[i]) * deviation;
    }
    first_lane[j] += weighted;
    second_lane[j] += weighted * deviation;
  }
  return {Weighted ? merge_lanes(weight_lane) : static_cast<double>(n), merge_lanes(first_lane),
          merge_lanes(second_lane)};
}

template <class T, bool Weighted>
HWY_INLINE Moments merged_moments(const T* x, const T* w, Index n) {
  constexpr Index tile = 128;
  double weight = 0, mean = 0, m2 = 0;
  for (Index i = 0; i < n; i += tile) {
    const Index count = n - i < tile ? n - i : tile;
    // The shift is the tile's first value: it only has to lie near the tile, and it makes a constant column exact.
    // A row without weight may hold anything finite, so it does not serve as the shift.
    Index at = i;
    if constexpr (Weighted) {
      while (at + 1 < i + count && w[at] == T(0)) ++at;
    }
    const double shift = static_cast<double>(x[at]);
    const TileSums sums = tile_sums<T, Weighted>(x + i, w == nullptr ? w : w + i, count, shift);
    if (sums.weight == 0) continue;
    const double tile_mean = shift + sums.first / sums.weight;
    double tile_m2 = sums.second - sums.first * (sums.first / sums.weight);
    if (tile_m2 < 0) tile_m2 = 0;  // rounding only; NaN stays
    const double total = weight + sums.weight;
    merge_moments(weight, sums.weight / total, tile_mean, tile_m2, mean, m2);
    weight = total;
  }
  return {mean, m2};
}

template <class T>
Moments moments(const T* x, const T* w, Index n) {
  return w == nullptr ? merged_moments<T, false>(x, w, n) : merged_moments<T, true>(x, w, n);
}

template <class T>
void fill(Table<T>& table) {
  table.sum = &sum<T>;
  table.dot = &dot<T>;
  table.moments = &moments<T>;
}

}  // namespace

void fill_reductions_f32(Table<float>& table) { fill(table); }
void fill_reductions_f64(Table<double>& table) { fill(table); }

}  // namespace HWY_NAMESPACE
}  // namespace pushforward::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pushforward::kernels {
PUSHFORWARD_EXPORT_FILL(fill_reductions)
}  // namespace pushforward::kernels
#endif
