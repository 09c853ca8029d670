#include "src/ops/normal.hpp"

#include "src/numerics/special_functions.hpp"
#include "src/ops/common.hpp"

namespace pushforward::detail {

template <Scalar T>
Var<T> log_normal_hazard(Var<T> x) {
  if (Trace* trace = x.tape().trace()) [[unlikely]]
    trace->exposed();
  const Var<T> y = like(x, x.wants_gradient());
  for (Index i = 0; i < pieces(x); ++i) kernel<T>().log_normal_hazard(piece(x, i), piece(y, i), exact_piece_size(x));
  record(y, [x, y] {
    for (Index i = 0; i < pieces(x); ++i) {
      const T *in = piece(x, i), *out = piece(y, i), *gy = gradient_piece(y, i);
      T* gx = gradient_piece(x, i);
      for (Index j = 0, n = exact_piece_size(x); j < n; ++j)
        gx[j] +=
            gy[j] * static_cast<T>(log_normal_hazard_slope(static_cast<double>(in[j]), static_cast<double>(out[j])));
    }
  });
  return y;
}

template Var<float> log_normal_hazard(Var<float>);
template Var<double> log_normal_hazard(Var<double>);

}  // namespace pushforward::detail
