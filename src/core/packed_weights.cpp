#include <algorithm>
#include <functional>
#include <pushforward/packed_weights.hpp>

namespace pushforward {

template <Scalar T>
PackedWeights<T>::PackedWeights(std::span<const Tensor<T>* const> weights) {
  for (const Tensor<T>* tensor : weights) {
    const Tensor<T>& w = *tensor;
    const Index outputs = w.extent(0), inputs = w.extent(1), padded = (outputs + 15) / 16 * 16;
    Tensor<T> packed({inputs, padded});
    for (Index k = 0; k < inputs; ++k)
      for (Index o = 0; o < outputs; ++o) packed(k, o) = w(o, k);
    entries_.push_back({w.data(), std::move(packed)});
  }
  std::sort(entries_.begin(), entries_.end(),
            [](const Entry& a, const Entry& b) { return std::less<>{}(a.weights, b.weights); });
}

template <Scalar T>
const T* PackedWeights<T>::find(const T* weights) const {
  const auto entry = std::lower_bound(entries_.begin(), entries_.end(), weights,
                                      [](const Entry& e, const T* w) { return std::less<>{}(e.weights, w); });
  return entry == entries_.end() || entry->weights != weights ? nullptr : entry->packed.data();
}

template class PackedWeights<float>;
template class PackedWeights<double>;

}  // namespace pushforward
