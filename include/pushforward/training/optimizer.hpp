#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <pushforward/component.hpp>
#include <pushforward/tape.hpp>

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
/// Weight decay applies to the parameters whose attributes say so; every other parameter has decay 0.
/// @source Kingma and Ba 2015, algorithm 1; Loshchilov and Hutter 2019, algorithm 2.
template <Scalar T>
class Adam {
 public:
  /// For the given parameters, whose tensors must stay where they are.
  /// @throws DomainError  if a beta does not lie in [0, 1) or epsilon is not positive.
  Adam(std::vector<Slot<T>> parameters, AdamOptions options = {});

  struct Step {
    double rate = 1e-3;
    double weight_decay = 0;
    double gradient_scale = 1;
  };
  /// One step for all parameters.
  void step(Gradients<T>& gradients, Step step) {
    advance();
    update(gradients, step, 0, 1);
  }
  /// The same by several threads: `advance` once, then `update` for each part of `parts`. The bits do not depend on
  /// the number of parts. Coupled decay is added into `gradients`.
  void advance() { ++steps_; }
  void update(Gradients<T>& gradients, Step step, int part, int parts);

  const std::vector<Slot<T>>& parameters() const { return parameters_; }
  /// Steps taken.
  std::int64_t steps() const { return steps_; }
  void set_steps(std::int64_t steps) { steps_ = steps; }
  /// m and v, parameter after parameter, each padded to whole blocks of 16 values.
  Tensor<T>& first_moment() { return m_; }
  Tensor<T>& second_moment() { return v_; }

 private:
  std::vector<Slot<T>> parameters_;
  std::vector<Index> offsets_;
  AdamOptions options_;
  Tensor<T> m_;
  Tensor<T> v_;
  std::int64_t steps_ = 0;
};

/// The number that gradients of Euclidean norm `norm` are multiplied by so that it does not exceed `largest`:
/// min(1, largest / (norm + 1e-6)); 1 if largest is 0.
double clipping_scale(double norm, double largest);

extern template class Adam<float>;
extern template class Adam<double>;

}  // namespace pushforward
