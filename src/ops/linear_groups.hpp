#pragma once

#include <pushforward/ops.hpp>

namespace pushforward::detail {

// Linear maps of groups of columns, each group by itself. Exporters do not know them.

/// Of a network that sees `groups` elements of each row one by one: input k of element g is column k groups + g of x,
/// output o of it column o groups + g; weight (outputs, inputs) and bias (outputs), or none, are the same for all.
template <Scalar T>
Var<T> linear_each(Var<T> x, Index groups, Var<T> weight, Var<T> bias);

/// Group g has the columns [g inputs, (g + 1) inputs) of x and rows [g outputs, (g + 1) outputs) of weight
/// (groups outputs, inputs), and gives columns [g outputs, (g + 1) outputs).
template <Scalar T>
Var<T> linear_blocks(Var<T> x, Index groups, Var<T> weight);

}  // namespace pushforward::detail
