#include "src/ops/tails.hpp"

#include "src/ops/common.hpp"

namespace pushforward::detail {

template <Scalar T>
ScaledResult<T> scale_with_tails(bool root, T knot, Var<T> x, Var<T> s) {
  if (x.cols() != s.cols()) shape_error("scale_with_tails", x.cols(), s.cols());
  const bool wanted = x.wants_gradient() || s.wants_gradient();
  const Var<T> y = like(x, wanted), log_derivative = like(x, wanted);
  for (Index i = 0; i < pieces(x); ++i)
    kernel<T>().scale_with_tails(root, knot, piece(x, i), piece(s, i), piece(y, i), piece(log_derivative, i),
                                 piece_size(x));
  note(x.tape(), Operation::scale_with_tails, std::tuple(y, log_derivative), std::tuple(x, s),
       {root ? 1.0 : 0.0, static_cast<double>(knot)});
  if (wanted) {
    x.tape().on_backward([=] {
      const bool has_value = Tape<T>::has_gradient(y), has_log = Tape<T>::has_gradient(log_derivative);
      if (!has_value && !has_log) return;
      for (Index i = 0; i < pieces(x); ++i)
        kernel<T>().scale_with_tails_backward(
            root, knot, piece(x, i), piece(s, i), piece(y, i), has_value ? gradient_piece(y, i) : nullptr,
            has_log ? gradient_piece(log_derivative, i) : nullptr, x.wants_gradient() ? gradient_piece(x, i) : nullptr,
            s.wants_gradient() ? gradient_piece(s, i) : nullptr, piece_size(x));
    });
  }
  return {y, log_derivative};
}

template ScaledResult<float> scale_with_tails(bool, float, Var<float>, Var<float>);
template ScaledResult<double> scale_with_tails(bool, double, Var<double>, Var<double>);

}  // namespace pushforward::detail
