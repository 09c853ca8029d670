#pragma once

#include <pushforward/training/optimizer.hpp>

namespace pushforward {

struct LBfgsOptions {
  Index memory = 10;      ///< pairs of differences that the curvature is known by, at least 1
  Index iterations = 20;  ///< of one step, at least 1; the steps of an epoch are one
  /// Iterations end when no value of the gradient is larger.
  double gradient_tolerance = 1e-10;
  double decrease = 1e-4;   ///< c1 of the Wolfe conditions
  double curvature = 0.9;   ///< c2, in (decrease, 1)
  Index evaluations = 25;   ///< of one line search, at most
};

/// Limited-memory BFGS with a line search for the strong Wolfe conditions: for smooth losses on all rows at once, with
/// few parameters and answers wanted to many digits.
///
///     d = -H g,  H from the last pairs s = x' - x, y = g' - g by the two-loop recursion, starting from s'y / y'y
///     x' = x + a d  with  f(x') <= f + c1 a g'd  and  |g(x')'d| <= c2 |g'd|
///
/// Where rounding hides the decrease of f, the first condition is replaced by its derivative, (2 c1 - 1) g'd >=
/// g(x')'d, so that gradients go down to rounding size. Weight decay is an L2 penalty, decay / 2 |p|^2, in f. The rate
/// and the clipping of gradients have no effect: the line search finds the length of a step. With dropout or
/// dequantisation (Quantized) the noise is the same within a step and another one in the next.
///
/// `fit` asks for all rows in one batch. An iteration costs one or two evaluations of loss and gradient, and
/// O(memory * parameters) on one thread. State: 2 * memory * parameters numbers.
/// @source Nocedal and Wright 2006, algorithms 7.4 and 7.5 with eq. 7.20, 3.5 and 3.6 with eq. 3.59; Hager and Zhang
///         2005, eq. 4.1, for the approximate condition.
template <Scalar T>
class LBfgs final : public Optimizer<T> {
 public:
  /// @throws DomainError  if an option is out of range.
  explicit LBfgs(LBfgsOptions options = {});

  bool searches() const override { return true; }
  bool needs_full_batch() const override { return true; }

 private:
  Description do_describe() const override;
  void do_start() override;
  std::vector<typename Optimizer<T>::State> do_state() override { return {{"s", &s_}, {"y", &y_}}; }
  void do_search(Trials<T>& trials, double loss, const typename Optimizer<T>::Step& step) override;

  LBfgsOptions options_;
  Tensor<double> s_, y_;  // (memory, values), the latest last; rows of zeros are not there yet
};

extern template class LBfgs<float>;
extern template class LBfgs<double>;

}  // namespace pushforward
