#include <pushforward/training/adam.hpp>

#include <cmath>
#include <string>

#include <pushforward/error.hpp>

#include "src/core/number_text.hpp"
#include "src/kernels/kernels.hpp"

namespace pushforward {

template <Scalar T>
Adam<T>::Adam(AdamOptions options) : options_(options) {
  if (!(options.beta1 >= 0 && options.beta1 < 1) || !(options.beta2 >= 0 && options.beta2 < 1))
    throw DomainError("Adam: beta1 and beta2 must lie in [0, 1), got " + detail::number_text(options.beta1) + " and " +
                      detail::number_text(options.beta2));
  if (!(options.epsilon > 0))
    throw DomainError("Adam: epsilon must be positive, got " + detail::number_text(options.epsilon));
}

template <Scalar T>
Description Adam<T>::do_describe() const {
  return {.type = "adam",
          .constants = {{"beta1", options_.beta1},
                        {"beta2", options_.beta2},
                        {"epsilon", options_.epsilon},
                        {"decoupled_decay", options_.decoupled_decay}},
          .children = {}};
}

template <Scalar T>
void Adam<T>::do_start() {
  m_ = Tensor<T>({this->size()});
  v_ = Tensor<T>({this->size()});
}

template <Scalar T>
void Adam<T>::do_update(const typename Optimizer<T>::Block& b) {
  const double t = static_cast<double>(b.steps);
  const T c1 = static_cast<T>(1 - std::pow(options_.beta1, t)), c2 = static_cast<T>(1 - std::pow(options_.beta2, t));
  T scale = static_cast<T>(b.scale);
  if (b.decay != 0 && !options_.decoupled_decay) {
    for (Index i = 0; i < b.count; ++i)
      b.gradient[i] = b.gradient[i] * scale + static_cast<T>(b.decay) * b.value[i];
    scale = T(1);
  }
  kernels::table<T>().adam(b.value, m_.data() + b.offset, v_.data() + b.offset, b.gradient, b.count, scale,
                           static_cast<T>(b.rate), static_cast<T>(options_.beta1), static_cast<T>(options_.beta2), c1,
                           c2, static_cast<T>(options_.epsilon),
                           options_.decoupled_decay ? static_cast<T>(b.decay) : T(0));
}

template class Adam<float>;
template class Adam<double>;

}  // namespace pushforward
