#include <pushforward/training/sgd.hpp>

#include <fmt/format.h>

#include <pushforward/error.hpp>

#include "src/core/number_text.hpp"

namespace pushforward {

template <Scalar T>
Sgd<T>::Sgd(SgdOptions options) : options_(options) {
  if (!(options.momentum >= 0 && options.momentum < 1))
    throw DomainError(fmt::format("Sgd: momentum must lie in [0, 1), got {}", detail::unsigned_nan(options.momentum)));
  if (options.nesterov && options.momentum == 0)
    throw DomainError("Sgd: nesterov needs a momentum above 0, for it looks ahead along it");
}

template <Scalar T>
Description Sgd<T>::do_describe() const {
  return {.type = "sgd",
          .constants = {{"momentum", options_.momentum}, {"nesterov", options_.nesterov}},
          .children = {}};
}

template <Scalar T>
void Sgd<T>::do_start() {
  if (options_.momentum != 0) b_ = Tensor<T>({this->size()});
}

template <Scalar T>
std::vector<typename Optimizer<T>::State> Sgd<T>::do_state() {
  if (options_.momentum == 0) return {};
  return {{"momentum", &b_}};
}

template <Scalar T>
void Sgd<T>::do_update(const typename Optimizer<T>::Block& block) {
  const T rate = static_cast<T>(block.rate), decay = static_cast<T>(block.decay), scale = static_cast<T>(block.scale);
  const T momentum = static_cast<T>(options_.momentum);
  T* p = block.value;
  const T* gradient = block.gradient;
  if (options_.momentum == 0) {
    for (Index i = 0; i < block.count; ++i) p[i] -= rate * (gradient[i] * scale + decay * p[i]);
    return;
  }
  T* b = b_.data() + block.offset;
  for (Index i = 0; i < block.count; ++i) {
    const T g = gradient[i] * scale + decay * p[i];
    b[i] = momentum * b[i] + g;
    p[i] -= rate * (options_.nesterov ? g + momentum * b[i] : b[i]);
  }
}

template class Sgd<float>;
template class Sgd<double>;

}  // namespace pushforward
