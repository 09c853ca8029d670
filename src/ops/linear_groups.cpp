#include "src/ops/linear_groups.hpp"

#include <algorithm>

#include "src/ops/common.hpp"

namespace pushforward::detail {

namespace {

/// Where the columns and weights of the groups lie.
struct Groups {
  Index count, inputs, outputs;
  Index in_step, out_step;      ///< from one column of a group to its next one
  Index in_start, out_start;    ///< from one group to the next one
  Index weight_start, outputs_start;  ///< in weights and in numbered outputs; 0: the same for all
  const Index* prefix;
  const Index* offset;
};

template <Scalar T>
void set_layout(Tape<T>& tape, Groups& g) {
  auto* prefix = tape.template scratch<Index>(g.outputs);
  auto* offset = tape.template scratch<Index>(g.outputs);
  std::fill_n(prefix, g.outputs, g.inputs);
  for (Index o = 0; o < g.outputs; ++o) offset[o] = o * g.inputs;
  g.prefix = prefix, g.offset = offset;
}

template <Scalar T>
Var<T> apply(Var<T> x, Var<T> weight, Var<T> bias, Groups g) {
  Tape<T>& tape = x.tape();
  set_layout(tape, g);
  const bool wanted = x.wants_gradient() || weight.wants_gradient() || (bias && bias.wants_gradient());
  const Var<T> y = tape.matrix(g.count * g.outputs, wanted);
  const Index ld = tape.leading_dimension();
  const auto work = [inputs = g.inputs](Tape<T>& tape) {
    const Index count = kernel<T>().scratch_size(std::max<Index>(inputs, 1));
    return static_cast<T*>(tape.workspace(static_cast<std::size_t>(count) * sizeof(T)));
  };
  const auto weights = [weight](const Groups& g, Index k) {
    return kernels::Staircase<T>{weight.node()->value + k * g.weight_start, g.prefix, g.offset};
  };
  for (Index k = 0; k < g.count; ++k)
    kernel<T>().linear(tape.padded_rows(), tape.value(x, k * g.in_start), ld * g.in_step, weights(g, k), 0, g.outputs,
                       bias ? bias.node()->value : nullptr, false, tape.value(y, k * g.out_start), ld * g.out_step,
                       work(tape));
  if (x.wants_gradient())
    record(y, [=] {
      Tape<T>& tape = y.tape();
      for (Index k = 0; k < g.count; ++k)
        kernel<T>().linear_backward_input(tape.padded_rows(), tape.gradient(y, k * g.out_start), ld * g.out_step,
                                          weights(g, k), 0, g.outputs, g.inputs, tape.gradient(x, k * g.in_start),
                                          ld * g.in_step, work(tape));
    });
  if (!weight.wants_gradient() && !(bias && bias.wants_gradient())) return y;
  const Index total = g.outputs_start == 0 ? g.outputs : g.count * g.outputs;
  tape.on_reduce(0, total, total, [=](Index begin, Index end) {
    if (!Tape<T>::has_gradient(y)) return;
    Tape<T>& tape = y.tape();
    T* gw = weight.wants_gradient() ? weight.node()->gradient : nullptr;
    T* gb = bias && bias.wants_gradient() ? bias.node()->gradient : nullptr;
    for (Index k = 0; k < g.count; ++k) {
      const Index first = std::max<Index>(begin - k * g.outputs_start, 0);
      const Index last = std::min(end - k * g.outputs_start, g.outputs);
      if (first >= last) continue;
      const T* gy = full_gradient(y, k * g.out_start);
      if (gw)
        kernel<T>().linear_backward_weight(tape.rows(), gy, ld * g.out_step, full_column(x, k * g.in_start),
                                           ld * g.in_step, g.prefix, g.offset, first, last, gw + k * g.weight_start, gb,
                                           work(tape));
      else
        for (Index o = first; o < last; ++o)
          gb[o] += static_cast<T>(kernel<T>().sum(gy + o * ld * g.out_step, tape.rows()));
    }
  });
  return y;
}

}  // namespace

template <Scalar T>
Var<T> linear_each(Var<T> x, Index groups, Var<T> weight, Var<T> bias) {
  const Index inputs = weight.cols(), outputs = weight.node()->rows;
  if (x.cols() != groups * inputs) shape_error("linear_each", groups * inputs, x.cols());
  return apply(x, weight, bias, {groups, inputs, outputs, groups, groups, 1, 1, 0, 0, nullptr, nullptr});
}

template <Scalar T>
Var<T> linear_blocks(Var<T> x, Index groups, Var<T> weight) {
  const Index inputs = weight.cols(), outputs = weight.node()->rows / groups;
  if (x.cols() != groups * inputs) shape_error("linear_blocks", groups * inputs, x.cols());
  return apply(x, weight, Var<T>(),
               {groups, inputs, outputs, 1, 1, inputs, outputs, outputs * inputs, outputs, nullptr, nullptr});
}

template Var<float> linear_each(Var<float>, Index, Var<float>, Var<float>);
template Var<double> linear_each(Var<double>, Index, Var<double>, Var<double>);
template Var<float> linear_blocks(Var<float>, Index, Var<float>);
template Var<double> linear_blocks(Var<double>, Index, Var<double>);

}  // namespace pushforward::detail
