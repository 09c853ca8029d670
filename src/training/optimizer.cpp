#include <pushforward/training/optimizer.hpp>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include <pushforward/error.hpp>

#include "src/kernels/kernels.hpp"

namespace pushforward {

template <Scalar T>
Adam<T>::Adam(std::vector<Slot<T>> parameters, AdamOptions options)
    : parameters_(std::move(parameters)), options_(options) {
  if (!(options.beta1 >= 0 && options.beta1 < 1) || !(options.beta2 >= 0 && options.beta2 < 1))
    throw DomainError("Adam: beta1 and beta2 must lie in [0, 1), got " + std::to_string(options.beta1) + " and " +
                      std::to_string(options.beta2));
  if (!(options.epsilon > 0))
    throw DomainError("Adam: epsilon must be positive, got " + std::to_string(options.epsilon));
  Index offset = 0;
  for (const Slot<T>& slot : parameters_) {
    offsets_.push_back(offset);
    offset += (slot.tensor->size() + 15) / 16 * 16;
  }
  m_ = Tensor<T>({offset});
  v_ = Tensor<T>({offset});
}

template <Scalar T>
void Adam<T>::update(Gradients<T>& gradients, Step step, int part, int parts) {
  const double t = static_cast<double>(steps_);
  const T c1 = static_cast<T>(1 - std::pow(options_.beta1, t)), c2 = static_cast<T>(1 - std::pow(options_.beta2, t));
  for (std::size_t k = 0; k < parameters_.size(); ++k) {
    const Slot<T>& slot = parameters_[k];
    const Index size = slot.tensor->size();
    const Index share = ((size + parts - 1) / parts + 63) / 64 * 64;
    const Index begin = std::min(size, part * share), count = std::min(size, begin + share) - begin;
    if (count == 0) continue;
    T* p = slot.tensor->data() + begin;
    T* g = gradients.find(slot.tensor) + begin;
    const double decay = slot.attributes.decay ? step.weight_decay : 0.0;
    T scale = static_cast<T>(step.gradient_scale);
    if (decay != 0 && !options_.decoupled_decay) {
      for (Index i = 0; i < count; ++i) g[i] = g[i] * scale + static_cast<T>(decay) * p[i];
      scale = T(1);
    }
    kernels::table<T>().adam(p, m_.data() + offsets_[k] + begin, v_.data() + offsets_[k] + begin, g, count, scale,
                             static_cast<T>(step.rate), static_cast<T>(options_.beta1),
                             static_cast<T>(options_.beta2), c1, c2, static_cast<T>(options_.epsilon),
                             options_.decoupled_decay ? static_cast<T>(decay) : T(0));
  }
}

double clipping_scale(double norm, double largest) {
  return largest > 0 ? std::min(1.0, largest / (norm + 1e-6)) : 1.0;
}

template class Adam<float>;
template class Adam<double>;

}  // namespace pushforward
