#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <pushforward/component.hpp>
#include <pushforward/description.hpp>
#include <pushforward/tape.hpp>

namespace pushforward {

/// What the search of an optimiser may ask for: the loss of the same batch, with the same noise, elsewhere.
template <Scalar T>
class Trials {
 public:
  virtual ~Trials() = default;
  /// The mean loss at the values that the parameters have at this moment, its gradient in `gradients()`; +inf where the
  /// loss or the gradient is not finite or a row lies outside the support.
  virtual double evaluate() = 0;
  virtual Gradients<T>& gradients() = 0;
};

/// How parameters follow from gradients: an abstract part, chosen with `FitOptions::optimizer`.
///
///     fit(flow, data, {.learning_rate = 1e-4, .optimizer = Lion<double>()});
///     fit(flow, data, {.optimizer = Ema<double>(Adam<double>({.beta2 = 0.99}), {.decay = 0.999})});
///
/// A class of a user's own derives from it and overrides one of two hooks. `do_update` changes a block of values by
/// the gradient of the same values: several threads call it at the same time, each for other blocks, so that the bits
/// cannot depend on their number. `do_search`, with `searches()`, sees all values at once and asks for losses at
/// others. What must outlive a step is listed by `state()`: so checkpoints hold any optimiser.
template <Scalar T>
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  struct Step {
    double rate = 1e-3;
    double weight_decay = 0;    ///< for the parameters whose attributes say so; every other one has decay 0
    double gradient_scale = 1;  ///< of clipping
  };
  /// A tensor that outlives a step.
  struct State {
    std::string name;
    std::variant<Tensor<float>*, Tensor<double>*> tensor;
  };

  /// The class and its settings. Runs that differ in it are different runs.
  Description describe() const { return do_describe(); }
  /// Takes the parameters to change, whose tensors must stay where they are. All state starts anew.
  void start(std::vector<Slot<T>> parameters);
  const std::vector<Slot<T>>& parameters() const { return parameters_; }
  /// Steps taken since the start.
  std::int64_t steps() const { return steps_; }
  void set_steps(std::int64_t steps) { steps_ = steps; }
  std::vector<State> state() { return do_state(); }

  /// One step for all parameters.
  void step(Gradients<T>& gradients, const Step& step) {
    advance();
    update(gradients, step, 0, 1);
  }
  /// The same by several threads: `advance` once, then `update` for each part of `parts`. The bits do not depend on
  /// the number of parts. Coupled decay is added into `gradients`.
  void advance() { ++steps_; }
  void update(Gradients<T>& gradients, const Step& step, int part, int parts);

  /// True: steps go by `search` instead of `advance` and `update`.
  virtual bool searches() const { return false; }
  /// One step from the parameters' values, where the loss is `loss` and its gradient is in `trials.gradients()`.
  void search(Trials<T>& trials, double loss, const Step& step) {
    advance();
    do_search(trials, loss, step);
  }
  /// True: every step must see all rows, for gradients of different batches cannot be compared.
  virtual bool needs_full_batch() const { return false; }

  /// True: the values to judge and to keep are not those that the steps go through (Ema: their averages).
  virtual bool has_result() const { return false; }
  /// Gives the parameters these values.
  void put_result() {
    if (has_result() && steps_ > 0) do_put_result();
  }

 protected:
  /// Values of one parameter that one thread updates.
  struct Block {
    T* value;
    T* gradient;
    Index offset;  ///< of the first value among all values of all parameters, `size()` of them
    Index count;
    std::int64_t steps;  ///< this one included
    double rate;
    double decay;  ///< 0 for parameters without
    double scale;  ///< the gradient counts times this
  };

  Optimizer() = default;
  Optimizer(const Optimizer&) = default;
  Optimizer(Optimizer&&) = default;
  Optimizer& operator=(const Optimizer&) = default;
  Optimizer& operator=(Optimizer&&) = default;

  /// Number of values, each parameter padded to whole blocks of 16.
  Index size() const { return size_; }
  Index offset(std::size_t parameter) const { return offsets_[parameter]; }

  /// For optimisers around another one.
  static void update_block(Optimizer& inner, const Block& block) { inner.do_update(block); }

 private:
  virtual Description do_describe() const = 0;
  virtual void do_start() = 0;
  virtual std::vector<State> do_state() = 0;
  virtual void do_update(const Block& block);
  virtual void do_search(Trials<T>& trials, double loss, const Step& step);
  virtual void do_put_result() {}

  std::vector<Slot<T>> parameters_;
  std::vector<Index> offsets_;
  Index size_ = 0;
  std::int64_t steps_ = 0;
};

/// The number that gradients of Euclidean norm `norm` are multiplied by so that it does not exceed `largest`:
/// min(1, largest / (norm + 1e-6)); 1 if largest is 0.
double clipping_scale(double norm, double largest);

extern template class Optimizer<float>;
extern template class Optimizer<double>;

}  // namespace pushforward
