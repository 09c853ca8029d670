#include <pushforward/training/lion.hpp>

#include <fmt/format.h>

#include <pushforward/error.hpp>

#include "src/core/number_text.hpp"

namespace pushforward {

template <Scalar T>
Lion<T>::Lion(LionOptions options) : options_(options) {
  for (const double beta : {options.beta1, options.beta2})
    if (!(beta >= 0 && beta < 1))
      throw DomainError(
          fmt::format("Lion: beta1 and beta2 must lie in [0, 1), got {} and {}",
                      detail::unsigned_nan(options.beta1), detail::unsigned_nan(options.beta2)));
}

template <Scalar T>
Description Lion<T>::do_describe() const {
  return {.type = "lion", .constants = {{"beta1", options_.beta1}, {"beta2", options_.beta2}}, .children = {}};
}

template <Scalar T>
void Lion<T>::do_start() {
  m_ = Tensor<T>({this->size()});
}

template <Scalar T>
void Lion<T>::do_update(const typename Optimizer<T>::Block& block) {
  const T rate = static_cast<T>(block.rate), decay = static_cast<T>(block.decay), scale = static_cast<T>(block.scale);
  const T beta1 = static_cast<T>(options_.beta1), beta2 = static_cast<T>(options_.beta2);
  T* p = block.value;
  T* m = m_.data() + block.offset;
  const T* gradient = block.gradient;
  for (Index i = 0; i < block.count; ++i) {
    const T g = gradient[i] * scale;
    const T direction = beta1 * m[i] + (T(1) - beta1) * g;
    const T sign = static_cast<T>((direction > T(0)) - (direction < T(0)));
    p[i] -= rate * (sign + decay * p[i]);
    m[i] = beta2 * m[i] + (T(1) - beta2) * g;
  }
}

template class Lion<float>;
template class Lion<double>;

}  // namespace pushforward
