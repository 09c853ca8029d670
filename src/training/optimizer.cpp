#include <pushforward/training/optimizer.hpp>

#include <algorithm>

#include <pushforward/error.hpp>

namespace pushforward {

template <Scalar T>
void Optimizer<T>::start(std::vector<Slot<T>> parameters) {
  constexpr Index block = Tape<T>::row_block;
  parameters_ = std::move(parameters);
  offsets_.clear();
  size_ = 0;
  for (const Slot<T>& slot : parameters_) {
    offsets_.push_back(size_);
    size_ += (slot.tensor->size() + block - 1) / block * block;
  }
  steps_ = 0;
  do_start();
}

template <Scalar T>
void Optimizer<T>::update(Gradients<T>& gradients, const Step& step, int part, int parts) {
  for (std::size_t k = 0; k < parameters_.size(); ++k) {
    const Slot<T>& slot = parameters_[k];
    const Index size = slot.tensor->size();
    const Index share = ((size + parts - 1) / parts + 63) / 64 * 64;
    const Index begin = std::min(size, part * share), count = std::min(size, begin + share) - begin;
    if (count == 0) continue;
    do_update({.value = slot.tensor->data() + begin,
               .gradient = gradients.find(slot.tensor) + begin,
               .offset = offsets_[k] + begin,
               .count = count,
               .steps = steps_,
               .rate = step.rate,
               .decay = slot.attributes.decay ? step.weight_decay : 0.0,
               .scale = step.gradient_scale});
  }
}

template <Scalar T>
void Optimizer<T>::do_update(const Block&) {
  throw NotImplemented(describe().type +
                       (searches() ? ": a step needs losses at several points; call `search`"
                                   : ": neither hook is overridden; a class of one's own overrides do_update, or "
                                     "searches() and do_search"));
}

template <Scalar T>
void Optimizer<T>::do_search(Trials<T>&, double, const Step&) {
  throw NotImplemented(describe().type +
                       (searches() ? ": searches() is true, but do_search is not overridden"
                                   : ": a step needs one gradient only; call `step`, or `advance` and `update`"));
}

double clipping_scale(double norm, double largest) {
  return largest > 0 ? std::min(1.0, largest / (norm + 1e-6)) : 1.0;
}

template class Optimizer<float>;
template class Optimizer<double>;

}  // namespace pushforward
