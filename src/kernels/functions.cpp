// The elementary functions of the table.

#include "src/kernels/dispatch.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "src/kernels/functions.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "src/kernels/math-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace pushforward::kernels {
namespace HWY_NAMESPACE {
namespace {  // names such as `fill` occur in several sources

#define PUSHFORWARD_FUNCTION(name)                                \
  template <class T>                                              \
  struct Apply_##name {                                           \
    HWY_INLINE Vec<T> operator()(Vec<T> x) { return name<T>(x); } \
  };                                                              \
  template <class T>                                              \
  void map_##name(const T* x, T* y, Index n) {                    \
    map(Apply_##name<T>(), y, n, x);                              \
  }

PUSHFORWARD_FUNCTION(exp)
PUSHFORWARD_FUNCTION(log)
PUSHFORWARD_FUNCTION(log1p)
PUSHFORWARD_FUNCTION(expm1)
PUSHFORWARD_FUNCTION(tanh)
PUSHFORWARD_FUNCTION(sigmoid)
PUSHFORWARD_FUNCTION(softplus)
PUSHFORWARD_FUNCTION(erf)
PUSHFORWARD_FUNCTION(erfinv)
PUSHFORWARD_FUNCTION(log_ndtr)
PUSHFORWARD_FUNCTION(log_normal_hazard)
#undef PUSHFORWARD_FUNCTION

template <class T>
void fill(Table<T>& table) {
  table.instruction_set = hwy::TargetName(HWY_TARGET);
  table.exp = &map_exp<T>;
  table.log = &map_log<T>;
  table.log1p = &map_log1p<T>;
  table.expm1 = &map_expm1<T>;
  table.tanh = &map_tanh<T>;
  table.sigmoid = &map_sigmoid<T>;
  table.softplus = &map_softplus<T>;
  table.erf = &map_erf<T>;
  table.erfinv = &map_erfinv<T>;
  table.log_ndtr = &map_log_ndtr<T>;
  table.log_normal_hazard = &map_log_normal_hazard<T>;
}

}  // namespace

void fill_functions_f32(Table<float>& table) { fill(table); }
void fill_functions_f64(Table<double>& table) { fill(table); }

}  // namespace HWY_NAMESPACE
}  // namespace pushforward::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pushforward::kernels {
PUSHFORWARD_EXPORT_FILL(fill_functions)
}  // namespace pushforward::kernels
#endif
