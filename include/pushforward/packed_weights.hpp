#pragma once

#include <span>
#include <vector>

#include <pushforward/tensor.hpp>

namespace pushforward {

/// Copies of a model's dense weights, transposed so that the lanes of a product run along the outputs: with few rows a
/// product then costs what the rows cost, and not a whole block of them. The bits are the same.
template <Scalar T>
class PackedWeights {
 public:
  /// Of these weights, (outputs, inputs) each, which must stay where they are.
  explicit PackedWeights(std::span<const Tensor<T>* const> weights);

  /// Those of the weights at this address: rows of inputs, each padded to whole blocks of outputs; null for none.
  const T* find(const T* weights) const;
  /// Up to this many rows use them.
  static constexpr Index max_rows = 4;

 private:
  struct Entry {
    const T* weights;
    Tensor<T> packed;
  };
  std::vector<Entry> entries_;  // sorted by address
};

extern template class PackedWeights<float>;
extern template class PackedWeights<double>;

}  // namespace pushforward
