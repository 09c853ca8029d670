#pragma once

// Included first by every source that is compiled once per instruction set (before Highway).

// Scalable vectors have no size at compile time, so they can be neither members of an array nor the accumulators of a
// register-blocked tile; those machines run the fixed-size target that they have as well (NEON, or the scalar one).
// AVX3_DL adds only integer instructions to AVX3, and Highway 1.0 does not compile where it is the baseline
// (-march=native on recent processors).
// All sources must agree on the list, so it comes before anything of Highway.
#ifndef HWY_DISABLED_TARGETS
#ifdef HWY_TARGETS
#error "include kernels/dispatch.hpp before Highway"
#endif
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV | HWY_AVX3_DL)
#endif

#include <hwy/targets.h>

#include <cstddef>
#include <cstdint>

#include "src/kernels/kernels.hpp"

namespace pushforward::kernels {

// Each writes its share of the table for one of Highway's targets.
void fill_elementwise(std::int64_t target, Table<float>& table);
void fill_elementwise(std::int64_t target, Table<double>& table);
void fill_functions(std::int64_t target, Table<float>& table);
void fill_functions(std::int64_t target, Table<double>& table);
void fill_activations(std::int64_t target, Table<float>& table);
void fill_activations(std::int64_t target, Table<double>& table);
void fill_reductions(std::int64_t target, Table<float>& table);
void fill_reductions(std::int64_t target, Table<double>& table);
void fill_normalize(std::int64_t target, Table<float>& table);
void fill_normalize(std::int64_t target, Table<double>& table);
void fill_spline(std::int64_t target, Table<float>& table);
void fill_spline(std::int64_t target, Table<double>& table);
void fill_tails(std::int64_t target, Table<float>& table);
void fill_tails(std::int64_t target, Table<double>& table);
void fill_random(std::int64_t target, Table<float>& table);
void fill_random(std::int64_t target, Table<double>& table);
void fill_linear(std::int64_t target, Table<float>& table);
void fill_linear(std::int64_t target, Table<double>& table);

}  // namespace pushforward::kernels

// Ends a source that defines `name_f32(Table<float>&)` and `name_f64(Table<double>&)` in HWY_NAMESPACE.
// HWY_DYNAMIC_DISPATCH would ask the choice that the whole process shares; this asks a ChosenTarget of its own, so that
// the program's other users of Highway are not affected. Highway's table has one entry if there is one target only.
#define PUSHFORWARD_EXPORT_FILL(name)                                                                                  \
  HWY_EXPORT(name##_f32);                                                                                              \
  HWY_EXPORT(name##_f64);                                                                                              \
  static std::size_t name##_entry(std::int64_t target) {                                                               \
    if (sizeof(HWY_DISPATCH_TABLE(name##_f32)) == sizeof(HWY_DISPATCH_TABLE(name##_f32)[0])) {                         \
      return 0;                                                                                                        \
    }                                                                                                                  \
    hwy::ChosenTarget chosen;                                                                                          \
    chosen.Update(target);                                                                                             \
    return chosen.GetIndex();                                                                                          \
  }                                                                                                                    \
  void name(std::int64_t target, Table<float>& table) { HWY_DISPATCH_TABLE(name##_f32)[name##_entry(target)](table); } \
  void name(std::int64_t target, Table<double>& table) { HWY_DISPATCH_TABLE(name##_f64)[name##_entry(target)](table); }
