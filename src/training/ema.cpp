#include <pushforward/training/ema.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include <pushforward/error.hpp>

#include "src/core/constrain.hpp"
#include "src/core/number_text.hpp"

namespace pushforward {

template <Scalar T>
Ema<T>::Ema(Poly<Optimizer<T>> inner, EmaOptions options) : inner_(std::move(inner)), options_(options) {
  if (!(options.decay >= 0 && options.decay < 1))
    throw DomainError(fmt::format("Ema: decay must lie in [0, 1), got {}", detail::unsigned_nan(options.decay)));
}

template <Scalar T>
Description Ema<T>::do_describe() const {
  return {.type = "ema", .constants = {{"decay", options_.decay}}, .children = {{"inner", inner_->describe()}}};
}

template <Scalar T>
void Ema<T>::do_start() {
  inner_->start(this->parameters());
  average_ = Tensor<double>({this->size()});
}

template <Scalar T>
std::vector<typename Optimizer<T>::State> Ema<T>::do_state() {
  std::vector<typename Optimizer<T>::State> state{{"average", &average_}};
  for (typename Optimizer<T>::State& part : inner_->state()) {
    part.name.insert(0, "inner.");
    state.push_back(std::move(part));
  }
  return state;
}

template <Scalar T>
void Ema<T>::average(const T* values, Index offset, Index count, std::int64_t steps) {
  const double share = (1 - options_.decay) / (1 - std::pow(options_.decay, static_cast<double>(steps)));
  double* a = average_.data() + offset;
  for (Index i = 0; i < count; ++i) a[i] += share * (static_cast<double>(values[i]) - a[i]);
}

template <Scalar T>
void Ema<T>::do_update(const typename Optimizer<T>::Block& block) {
  this->update_block(*inner_, block);
  average(block.value, block.offset, block.count, block.steps);
}

template <Scalar T>
void Ema<T>::do_search(Trials<T>& trials, double loss, const typename Optimizer<T>::Step& step) {
  inner_->set_steps(this->steps() - 1);
  inner_->search(trials, loss, step);
  for (std::size_t k = 0; k < this->parameters().size(); ++k) {
    const Tensor<T>& values = *this->parameters()[k].tensor;
    average(values.data(), this->offset(k), values.size(), this->steps());
  }
}

template <Scalar T>
void Ema<T>::do_put_result() {
  // All of them before one is put in: a constraint may refuse.
  std::vector<Tensor<T>> results;
  for (std::size_t k = 0; k < this->parameters().size(); ++k) {
    Tensor<T>& values = results.emplace_back(*this->parameters()[k].tensor);
    const double* a = average_.data() + this->offset(k);
    for (Index i = 0; i < values.size(); ++i) values[i] = static_cast<T>(a[i]);
    const Slot<T>& slot = this->parameters()[k];
    if (slot.attributes.constraint)
      detail::constrain(values, slot.attributes.constraint, [&] { return "Ema: the constraint of '" + slot.path + "'"; });
  }
  for (std::size_t k = 0; k < results.size(); ++k)
    std::copy(results[k].values().begin(), results[k].values().end(), this->parameters()[k].tensor->data());
}

template class Ema<float>;
template class Ema<double>;

}  // namespace pushforward
