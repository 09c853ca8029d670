#include "src/ops/spline.hpp"

#include <memory>

#include "src/ops/common.hpp"

namespace pushforward::detail {

template <Scalar T>
SplineResult<T> apply_spline(const kernels::Spline<T>& spline, bool root, Var<T> x, std::span<const Var<T>> params) {
  Tape<T>& tape = x.tape();
  const Index count = static_cast<Index>(params.size());
  bool wanted_raw = false;
  for (const Var<T>& p : params) wanted_raw = wanted_raw || p.wants_gradient();
  const bool wanted = wanted_raw || x.wants_gradient();
  const Var<T> y = tape.matrix(x.cols(), wanted), log_derivative = tape.matrix(x.cols(), wanted);
  Var<T>* kept = tape.template scratch<Var<T>>(count);
  std::uninitialized_copy(params.begin(), params.end(), kept);
  const T** raw = tape.template scratch<const T*>(count);
  T** g_raw = wanted_raw ? tape.template scratch<T*>(count) : nullptr;
  const auto load = [kept, raw, count](const Tape<T>& tape, Index c) {
    for (Index p = 0; p < count; ++p) raw[p] = tape.value(kept[p], c);
  };
  for (Index c = 0; c < x.cols(); ++c) {
    load(tape, c);
    kernel<T>().spline(spline, root, tape.value(x, c), raw, tape.value(y, c), tape.value(log_derivative, c),
                       tape.padded_rows());
  }
  if (wanted) {
    tape.on_backward([=] {
      Tape<T>& tape = x.tape();
      const bool has_value = Tape<T>::has_gradient(y), has_log = Tape<T>::has_gradient(log_derivative);
      if (!has_value && !has_log) return;
      for (Index c = 0; c < x.cols(); ++c) {
        load(tape, c);
        if (g_raw)
          for (Index p = 0; p < count; ++p) g_raw[p] = tape.gradient(kept[p], c);
        kernel<T>().spline_backward(spline, root, tape.value(x, c), tape.value(y, c), raw,
                                    has_value ? tape.gradient(y, c) : nullptr,
                                    has_log ? tape.gradient(log_derivative, c) : nullptr,
                                    x.wants_gradient() ? tape.gradient(x, c) : nullptr, g_raw, tape.padded_rows());
      }
    });
  }
  return {y, log_derivative};
}

#define PUSHFORWARD_INSTANTIATE(T)                                                                                 \
  template SplineResult<T> apply_spline(const kernels::Spline<T>&, bool, Var<T>, std::span<const Var<T>>);
PUSHFORWARD_INSTANTIATE(float)
PUSHFORWARD_INSTANTIATE(double)
#undef PUSHFORWARD_INSTANTIATE

}  // namespace pushforward::detail
