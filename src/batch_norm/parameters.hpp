#pragma once

// What the functional forms share: parameters are tensors that are broadcast against the data, channels are positions
// along the axes on which they vary.

#include <algorithm>
#include <initializer_list>
#include <pushforward/batch_norm/core.hpp>
#include <pushforward/error.hpp>
#include <pushforward/tensor.hpp>
#include <span>
#include <string>
#include <vector>

#include "src/core/shape_text.hpp"

namespace pushforward::batch_norm {

inline std::vector<Index> all_axes(Index rank) { return other_axes({}, rank); }

/// The shape of an average over `averaged`: 1 along those axes, or without them.
inline std::vector<Index> shape_of_average(std::span<const Index> shape, std::span<const Index> averaged, bool keep) {
  std::vector<Index> result;
  for (Index axis = 0; axis < static_cast<Index>(shape.size()); ++axis) {
    const bool gone = std::find(averaged.begin(), averaged.end(), axis) != averaged.end();
    if (!gone || keep) result.push_back(gone ? 1 : shape[static_cast<std::size_t>(axis)]);
  }
  return result;
}

/// f(channel, offset) for each position along the kept axes, the last one fastest.
template <class F>
void for_each_channel(std::span<const Index> shape, std::span<const Index> strides, std::span<const Index> kept, F f) {
  const Index channels = count_along(shape, kept);
  std::vector<Index> at(kept.size(), 0);
  for (Index channel = 0, offset = 0; channel < channels; ++channel) {
    f(static_cast<std::size_t>(channel), offset);
    for (std::size_t i = kept.size(); i-- > 0;) {
      const std::size_t axis = static_cast<std::size_t>(kept[i]);
      offset += strides[axis];
      if (++at[i] < shape[axis]) break;
      offset -= at[i] * strides[axis];
      at[i] = 0;
    }
  }
}

/// One value per channel. Empty where there is no tensor.
template <Scalar T>
std::vector<double> values(const TensorView<const T>& v, std::span<const Index> kept) {
  std::vector<double> result;
  if (!v.data()) return result;
  result.reserve(static_cast<std::size_t>(count_along(v.shape(), kept)));
  for_each_channel(v.shape(), v.strides(), kept,
                   [&](std::size_t, Index offset) { result.push_back(static_cast<double>(v.data()[offset])); });
  return result;
}
/// All values in row-major order.
template <Scalar T>
std::vector<double> values(const TensorView<const T>& v) {
  return values(v, all_axes(v.rank()));
}

template <Scalar T>
Tensor<T> tensor(std::vector<Index> shape, std::span<const double> values) {
  Tensor<T> result(std::move(shape));
  std::transform(values.begin(), values.end(), result.data(), [](double v) { return static_cast<T>(v); });
  return result;
}

/// @throws ShapeError  if a tensor that the call needs is "none".
template <class T>
void check_given(const std::string& what, const TensorView<T>& v) {
  if (!v.data() && v.size() > 0) throw ShapeError(what + " is missing");
}

/// `p` as if it had `shape`: aligned at the last axis, repeated along axes that it does not have or has 1 of.
template <Scalar T>
TensorView<const T> broadcast(const std::string& what, const TensorView<const T>& p, const std::vector<Index>& shape) {
  check_given(what, p);
  std::vector<Index> strides(shape.size(), 0);
  bool fits = p.shape().size() <= shape.size();
  for (std::size_t i = 0; fits && i < p.shape().size(); ++i) {
    const std::size_t axis = shape.size() - p.shape().size() + i;
    fits = p.shape()[i] == 1 || p.shape()[i] == shape[axis];
    if (p.shape()[i] != 1) strides[axis] = p.strides()[i];
  }
  if (!fits)
    throw ShapeError(what + " of shape " + detail::shape_text(p.shape()) + " does not broadcast against " +
                     detail::shape_text(shape));
  return {p.data(), shape, strides};
}

/// The axes along which one of the parameters has more than one value.
template <Scalar T>
std::vector<Index> varying_axes(Index rank, std::initializer_list<const TensorView<const T>*> parameters) {
  std::vector<Index> kept;
  for (Index axis = 0; axis < rank; ++axis)
    if (std::any_of(parameters.begin(), parameters.end(), [&](const TensorView<const T>* p) {
          const Index own = axis - (rank - p->rank());
          return own >= 0 && p->data() && p->shape()[static_cast<std::size_t>(own)] != 1;
        }))
      kept.push_back(axis);
  return kept;
}

/// The adjoint of `broadcast`: sums of values per channel of `shape` in a tensor of p's shape. Empty without p.
template <Scalar T>
Tensor<T> sum_to(const TensorView<const T>& p, std::span<const double> per_channel, const std::vector<Index>& shape,
                 std::span<const Index> kept) {
  if (!p.data()) return {};
  const Tensor<double> zero(p.shape());
  const TensorView<const double> wide = broadcast("", zero.view(), shape);
  std::vector<double> sums(static_cast<std::size_t>(zero.size()), 0.0);
  for_each_channel(wide.shape(), wide.strides(), kept, [&](std::size_t channel, Index offset) {
    sums[static_cast<std::size_t>(offset)] += per_channel[channel];
  });
  return tensor<T>(p.shape(), sums);
}

}  // namespace pushforward::batch_norm
