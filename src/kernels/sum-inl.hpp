// Sums over rows in double with row_block virtual lanes; included once per instruction set, after kernels/dispatch.hpp.

#include <hwy/highway.h>

#if defined(PUSHFORWARD_KERNELS_SUM_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef PUSHFORWARD_KERNELS_SUM_INL_HPP
#undef PUSHFORWARD_KERNELS_SUM_INL_HPP
#else
#define PUSHFORWARD_KERNELS_SUM_INL_HPP
#endif

HWY_BEFORE_NAMESPACE();
namespace pushforward::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using VecD = hn::Vec<hn::ScalableTag<double>>;

HWY_INLINE VecD load_double(const double* x) { return hn::LoadU(hn::ScalableTag<double>(), x); }
HWY_INLINE VecD load_double(const float* x) {
  const hn::ScalableTag<double> d;
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<float, decltype(d)>(), x));
}

/// row_block sums, one per row number modulo row_block. Only additions in a fixed order (products round on their own,
/// never fused), so the bits are the same for every instruction set.
struct LaneSums {
  static constexpr Index lanes = HWY_LANES(double);
  static constexpr Index vectors = row_block / lanes;
  VecD v[vectors];

  HWY_INLINE LaneSums() {
    HWY_UNROLL(16) for (Index j = 0; j < vectors; ++j) v[j] = hn::Zero(hn::ScalableTag<double>());
  }
  HWY_INLINE void store(double* lane) const {
    HWY_UNROLL(16) for (Index j = 0; j < vectors; ++j) hn::StoreU(v[j], hn::ScalableTag<double>(), lane + j * lanes);
  }
};

HWY_INLINE double merge_lanes(const double* lane) {
  double total = lane[0];
  for (Index j = 1; j < row_block; ++j) total += lane[j];
  return total;
}

template <class T>
HWY_INLINE double column_sum(const T* x, Index n) {
  LaneSums sums;
  Index i = 0;
  for (; i + row_block <= n; i += row_block) {
    HWY_UNROLL(16) for (Index j = 0; j < LaneSums::vectors; ++j) {
      sums.v[j] = hn::Add(sums.v[j], load_double(x + i + j * LaneSums::lanes));
    }
  }
  double lane[row_block];
  sums.store(lane);
  for (Index j = 0; i < n; ++i, ++j) lane[j] += static_cast<double>(x[i]);
  return merge_lanes(lane);
}

}  // namespace HWY_NAMESPACE
}  // namespace pushforward::kernels
HWY_AFTER_NAMESPACE();

#endif  // include guard per target
