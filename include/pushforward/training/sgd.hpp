#pragma once

#include <pushforward/training/optimizer.hpp>

namespace pushforward {

struct SgdOptions {
  double momentum = 0;    ///< in [0, 1)
  bool nesterov = false;  ///< looks ahead by one step of the momentum, which must not be 0
};

/// Stochastic gradient descent with momentum; weight decay is an L2 penalty.
///
///     g += decay * p,   b = momentum b + g
///     p -= rate * b,    or with Nesterov's:   p -= rate * (g + momentum b)
///
/// Values have no scale of their own as in Adam: rates are mostly 10 to 100 times Adam's.
/// @source Sutskever et al. 2013, eqs. 1-4, in the form of torch.optim.SGD, whose rate stands outside the momentum.
template <Scalar T>
class Sgd final : public Optimizer<T> {
 public:
  /// @throws DomainError  if momentum does not lie in [0, 1), or is 0 with nesterov.
  explicit Sgd(SgdOptions options = {});

 private:
  Description do_describe() const override;
  void do_start() override;
  std::vector<typename Optimizer<T>::State> do_state() override;
  void do_update(const typename Optimizer<T>::Block& block) override;

  SgdOptions options_;
  Tensor<T> b_;
};

extern template class Sgd<float>;
extern template class Sgd<double>;

}  // namespace pushforward
