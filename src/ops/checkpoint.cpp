#include <algorithm>
#include <new>

#include "src/ops/common.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
Var<T> detach(Var<T> x) {
  if (!x.wants_gradient()) return x;
  Tape<T>& tape = x.tape();
  auto* node = new (tape.template scratch<Node<T>>(1)) Node<T>(*x.node());
  node->root = node;
  node->gradient = nullptr;
  node->wanted = node->touched = false;
  return Var<T>(node);
}

template <Scalar T>
Column<T> detach(Column<T> x) {
  if (x.is_zero() || !x.node()->wanted) return x;
  Tape<T>& tape = *x.node()->tape;
  auto* node = new (tape.template scratch<ColumnNode<T>>(1)) ColumnNode<T>(*x.node());
  node->gradient = nullptr;
  node->wanted = node->touched = false;
  return Column<T>(node);
}

template <Scalar T>
Mapped<T> recompute(Var<T> x, Index cols, const void* f, Mapped<T> (*call)(const void* f, Var<T> x, bool again)) {
  Tape<T>& tape = x.tape();
  const Index n = tape.padded_rows();
  const Var<T> y = tape.matrix(cols, true);
  Column<T> log_det = tape.column(true);
  {
    const typename Tape<T>::Scope scope(tape, Tape<T>::Mode::evaluate);
    const Mapped<T> mapped = call(f, x, false);
    if (mapped.value.cols() != cols) shape_error("checkpoint", cols, mapped.value.cols());
    for (Index c = 0; c < cols; ++c) std::copy_n(tape.value(mapped.value, c), n, tape.value(y, c));
    if (mapped.log_det.is_zero())
      log_det = {};
    else
      std::copy_n(tape.value(mapped.log_det), n, tape.value(log_det));
  }
  tape.on_backward([=] {
    Tape<T>& tape = y.tape();
    const bool has_value = Tape<T>::has_gradient(y);
    const bool has_log_det = !log_det.is_zero() && Tape<T>::has_gradient(log_det);
    if (!has_value && !has_log_det) return;
    const typename Tape<T>::Scope scope(tape, Tape<T>::Mode::record);
    const Mapped<T> again = call(f, x, true);
    if (has_value && again.value.wants_gradient())
      for (Index c = 0; c < cols; ++c)
        kernel<T>().accumulate(tape.gradient(y, c), tape.gradient(again.value, c), n);
    if (has_log_det && !again.log_det.is_zero() && again.log_det.node()->wanted)
      kernel<double>().accumulate(tape.gradient(log_det), tape.gradient(again.log_det), n);
    tape.backward();
  });
  return {y, log_det};
}

#define PUSHFORWARD_INSTANTIATE(T)          \
  template Var<T> detach(Var<T>);           \
  template Column<T> detach(Column<T>);     \
  template Mapped<T> recompute(Var<T>, Index, const void*, Mapped<T> (*)(const void*, Var<T>, bool));
PUSHFORWARD_INSTANTIATE(float)
PUSHFORWARD_INSTANTIATE(double)
#undef PUSHFORWARD_INSTANTIATE

}  // namespace pushforward
