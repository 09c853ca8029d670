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
  const auto load = [kept, raw, count](Index c) {
    for (Index p = 0; p < count; ++p) raw[p] = address(kept[p], c);
  };
  for (Index c = 0; c < x.cols(); ++c) {
    load(c);
    kernel<T>().spline(spline, root, address(x, c), raw, address(y, c), address(log_derivative, c), tape.padded_rows());
  }
  if (Trace* trace = tape.trace()) [[unlikely]] {
    Operand* inputs = tape.template scratch<Operand>(count + 1);
    inputs[0] = operand(x);
    for (Index p = 0; p < count; ++p) inputs[p + 1] = operand(params[static_cast<std::size_t>(p)]);
    const Operand outputs[] = {operand(y), operand(log_derivative)};
    const double numbers[spline_numbers] = {static_cast<double>(spline.bins),   static_cast<double>(spline.low),
                                static_cast<double>(spline.high),   static_cast<double>(spline.first),
                                static_cast<double>(spline.last),   static_cast<double>(spline.tails),
                                static_cast<double>(spline.scale),  static_cast<double>(spline.min_width),
                                static_cast<double>(spline.min_height), static_cast<double>(spline.min_derivative),
                                static_cast<double>(spline.max_derivative), static_cast<double>(spline.log_range),
                                static_cast<double>(spline.end_slope), root ? 1.0 : 0.0};
    trace->note({Operation::spline, outputs, {inputs, static_cast<std::size_t>(count + 1)}, numbers});
  }
  if (wanted) {
    tape.on_backward([=] {
      Tape<T>& tape = x.tape();
      const bool has_value = Tape<T>::has_gradient(y), has_log = Tape<T>::has_gradient(log_derivative);
      if (!has_value && !has_log) return;
      for (Index c = 0; c < x.cols(); ++c) {
        load(c);
        if (g_raw)
          for (Index p = 0; p < count; ++p) g_raw[p] = tape.gradient(kept[p], c);
        kernel<T>().spline_backward(spline, root, address(x, c), address(y, c), raw,
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
