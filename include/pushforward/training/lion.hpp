#pragma once

#include <pushforward/training/optimizer.hpp>

namespace pushforward {

struct LionOptions {
  double beta1 = 0.9;   ///< of the mean whose sign is the step
  double beta2 = 0.99;  ///< of the mean that is kept
};

/// Lion: every value moves by the same amount, in the direction of a mean of gradients; weight decay is decoupled.
///
///     p -= rate * (sign(beta1 m + (1 - beta1) g) + decay * p),   m = beta2 m + (1 - beta2) g
///
/// One tensor of state where Adam has two. Its authors advise rates 3 to 10 times smaller than Adam's.
/// @source Chen et al. 2023 (Symbolic discovery of optimization algorithms), algorithm 2.
template <Scalar T>
class Lion final : public Optimizer<T> {
 public:
  /// @throws DomainError  if a beta does not lie in [0, 1).
  explicit Lion(LionOptions options = {});

 private:
  Description do_describe() const override;
  void do_start() override;
  std::vector<typename Optimizer<T>::State> do_state() override { return {{"m", &m_}}; }
  void do_update(const typename Optimizer<T>::Block& block) override;

  LionOptions options_;
  Tensor<T> m_;
};

extern template class Lion<float>;
extern template class Lion<double>;

}  // namespace pushforward
