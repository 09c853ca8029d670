#pragma once

#include <concepts>
#include <utility>
#include <vector>

#include <pushforward/training/optimizer.hpp>

namespace pushforward {

struct AdamOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  /// True: weight decay shrinks the parameter itself (AdamW). False: it is added to the gradient (Adam with an L2
  /// penalty). The same without weight decay.
  bool decoupled_decay = true;
};

/// Adam and AdamW.
///
///     m = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2
///     p -= rate * ((m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon) + decay * p)
///
/// @source Kingma and Ba 2015, algorithm 1; Loshchilov and Hutter 2019, algorithm 2.
template <Scalar T>
class Adam final : public Optimizer<T> {
 public:
  /// @throws DomainError  if a beta does not lie in [0, 1) or epsilon is not positive.
  explicit Adam(AdamOptions options = {});
  /// The same, started: for loops of one's own.
  template <std::same_as<std::vector<Slot<T>>> Parameters>
  explicit Adam(Parameters parameters, AdamOptions options = {}) : Adam(options) {
    this->start(std::move(parameters));
  }

  /// m and v, parameter after parameter, each padded to whole blocks of 16 values.
  Tensor<T>& first_moment() { return m_; }
  Tensor<T>& second_moment() { return v_; }

 private:
  Description do_describe() const override;
  void do_start() override;
  std::vector<typename Optimizer<T>::State> do_state() override { return {{"m", &m_}, {"v", &v_}}; }
  void do_update(const typename Optimizer<T>::Block& block) override;

  AdamOptions options_;
  Tensor<T> m_;
  Tensor<T> v_;
};

extern template class Adam<float>;
extern template class Adam<double>;

}  // namespace pushforward
