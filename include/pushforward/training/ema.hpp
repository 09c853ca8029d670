#pragma once

#include <pushforward/poly.hpp>
#include <pushforward/training/adam.hpp>

namespace pushforward {

struct EmaOptions {
  /// In [0, 1): the average reaches back over about 1 / (1 - decay) steps.
  double decay = 0.999;
};

/// Exponential moving average of the weights around any optimiser, whose steps are as without. Validation and the final
/// model use the average, in which step i of t counts as much as decay^(t - i):
///
///     a_t = sum_i decay^(t - i) p_i / sum_i decay^(t - i),   so   a_t += (1 - decay) / (1 - decay^t) * (p_t - a_t)
///
/// It has no memory of the initial weights. Kept in double, for at slow rates its increments lie below the resolution
/// of float. Running statistics of normalisation layers are those of the steps' own weights: with the default,
/// `EvaluationStatistics::population`, they are computed for the averaged ones.
/// @source Polyak and Juditsky 1992 for averaging; Kingma and Ba 2015, section 7.2, for this form.
template <Scalar T>
class Ema final : public Optimizer<T> {
 public:
  /// @throws DomainError  if decay does not lie in [0, 1).
  explicit Ema(Poly<Optimizer<T>> inner = Adam<T>(), EmaOptions options = {});

  bool searches() const override { return inner_->searches(); }
  bool needs_full_batch() const override { return inner_->needs_full_batch(); }
  bool has_result() const override { return true; }

 private:
  Description do_describe() const override;
  void do_start() override;
  std::vector<typename Optimizer<T>::State> do_state() override;
  void do_update(const typename Optimizer<T>::Block& block) override;
  void do_search(Trials<T>& trials, double loss, const typename Optimizer<T>::Step& step) override;
  void do_put_result() override;
  void average(const T* values, Index offset, Index count, std::int64_t steps);

  Poly<Optimizer<T>> inner_;
  EmaOptions options_;
  Tensor<double> average_;
};

extern template class Ema<float>;
extern template class Ema<double>;

}  // namespace pushforward
