#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <new>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <pushforward/dual.hpp>
#include <pushforward/ops.hpp>
#include <pushforward/random.hpp>
#include <pushforward/space.hpp>
#include <pushforward/tape.hpp>

namespace pushforward {

/// Which statistics normalisation layers use in the direction that computes them.
enum class Statistics {
  running,    ///< moving averages: the fixed map
  minibatch,  ///< those of the batch, as a training step sees them (ghost batches, renormalisation), with proposals
  population  ///< those of the batch, plain, and nothing proposed: the batch is all there is (`calibrate`)
};

/// What random numbers in log_prob, or in the map of a bijector, estimate without bias, draw by draw.
enum class Estimate {
  exact,        ///< nothing is drawn
  log_density,  ///< log_prob, log|det|: such as traces and series of matrices by random directions
  density       ///< the density itself: variables besides y that are drawn and so integrated out
};

/// Statistics of one batch for every normalisation layer of a tree, by path name of the layer's first statistic.
struct BatchStatistics {
  struct Moments {
    std::vector<double> mean;
    std::vector<double> variance;
  };
  std::map<std::string, Moments> layers;
  /// New values of the state that the pass proposed, by path name; `commit` puts them in.
  std::map<std::string, std::vector<double>> proposals;
};

/// The same while a pass runs: by address. `nullptr` fields in a Pass mean: not asked for.
template <Scalar T>
struct CapturedStatistics {
  std::vector<std::pair<const Tensor<T>*, BatchStatistics::Moments>> layers;
  const BatchStatistics::Moments* find(const Tensor<T>* key) const {
    for (const auto& [tensor, moments] : layers)
      if (tensor == key) return &moments;
    return nullptr;
  }
};

/// New values that a training pass proposes for state; nothing changes before `commit`.
template <Scalar T>
struct Proposals {
  std::vector<std::pair<const Tensor<T>*, std::vector<double>>> values;

  void add(const Tensor<T>& state, std::span<const double> value);
  /// Keeps the memory for the next ones.
  void clear();

 private:
  std::vector<std::vector<double>> spare_;
};

/// What one evaluation of a tree needs, explicit: the tape, which statistics normalisation layers use, the context,
/// the random numbers, and the rows that lie outside the support. There is no train or eval mode besides.
template <Scalar T>
class Pass {
 public:
  struct Settings {
    Statistics statistics = Statistics::running;
    /// Moments to use instead of either, captured by an earlier pass.
    const CapturedStatistics<T>* captured = nullptr;
    /// (N, C) on this tape; a default-made Var for none.
    Var<T> context = {};
    /// Random numbers for sampling and stochastic densities, and for dropout (which is active exactly when `dropout` is
    /// given). `fit` gives both.
    const RandomCall* noise = nullptr;
    const RandomCall* dropout = nullptr;
    /// Number of this batch's first row among all rows of the call.
    Index first_row = 0;
    /// (N, 1) on this tape: how much each row counts in the statistics of a batch; a default-made Var: all the same.
    Var<T> row_weights = {};
    /// Other processes whose rows belong to the same batch: what is averaged over the batch in training goes over all
    /// of them (batch normalisation). Null: none.
    Reducer* processes = nullptr;
    Proposals<T>* proposals = nullptr;
    /// Parts that take their first values from data (`Attributes::from_data`) propose them from these rows.
    bool starts = false;
    CapturedStatistics<T>* capture = nullptr;
    /// Called with what a conditioner sees, its input or its context, before it bounds it softly (`input_bound`).
    const std::function<void(Var<T> seen, double bound, bool is_context)>* on_bounded = nullptr;
    /// While recording, compositions keep in memory only what passes between their parts (`checkpoint`).
    bool checkpoint = false;
  };

  Pass(Tape<T>& tape, Settings settings);

  Tape<T>& tape() const { return tape_; }
  bool recording() const { return tape_.recording(); }
  Index rows() const { return tape_.rows(); }
  Statistics statistics() const { return settings_.statistics; }
  const CapturedStatistics<T>* captured() const { return settings_.captured; }
  bool checkpoints() const { return settings_.checkpoint; }
  /// The pass as it stands, to do again what comes next: with the same random numbers, and nothing handed out twice.
  Pass replay() const {
    Pass again = *this;
    again.settings_.proposals = nullptr;
    again.settings_.capture = nullptr;
    return again;
  }

  Var<T> row_weights() const { return settings_.row_weights; }
  Reducer* processes() const { return settings_.processes; }

  bool has_context() const { return static_cast<bool>(settings_.context); }
  Var<T> context() const { return settings_.context; }
  /// Puts another context in its place and returns the old one, for parts that see a context of their own.
  Var<T> exchange_context(Var<T> context) {
    const Var<T> old = settings_.context;
    settings_.context = context;
    return old;
  }

  /// While it lives, nobody asks for first values (`starts`): those of the parts below have been proposed.
  class Started {
   public:
    explicit Started(Pass& pass) : pass_(pass), old_(std::exchange(pass.settings_.starts, false)) {}
    ~Started() { pass_.settings_.starts = old_; }
    Started(const Started&) = delete;
    Started& operator=(const Started&) = delete;

   private:
    Pass& pass_;
    bool old_;
  };

  /// While it lives, the part of the tree that is at work, as messages name it: public calls of each class make one.
  class Part {
   public:
    Part(Pass& pass, const std::string& name) : pass_(pass), outer_(std::exchange(pass.part_, &name)) {
      if (Trace* trace = pass.tape().trace()) [[unlikely]] trace->enter(name);
    }
    ~Part() {
      pass_.part_ = outer_;
      if (Trace* trace = pass_.tape().trace()) [[unlikely]] trace->leave();
    }
    Part(const Part&) = delete;
    Part& operator=(const Part&) = delete;

   private:
    Pass& pass_;
    const std::string* outer_;
  };

  /// A parameter or state of the tree, a tensor that `do_fields` names, as a shared matrix.
  Var<T> parameter(const Tensor<T>& tensor) { return tape_.parameter(tensor); }
  /// The same for a tensor that is made from the constants of its object, and so is not named.
  Var<T> constant(const Tensor<T>& tensor) { return tape_.constant(tensor); }

  // ---- random numbers: the value for a row depends on the seed, the call and the row's number alone
  /// True if the pass can draw. Where it cannot, the draws below throw an Error that names the part which asks.
  bool has_noise() const { return settings_.noise != nullptr; }
  Var<T> normal(Index cols);
  Var<T> uniform(Index cols);  ///< in the open interval (0, 1)
  Var<T> logistic(Index cols);
  Var<T> laplace(Index cols);
  Var<T> cauchy(Index cols);
  Var<T> exponential(Index cols);
  /// Draws with a generator of the row's own: draw(generator) is called for each row and column in order.
  template <class Draw>
  Var<T> draw_each(Index cols, Draw draw) {
    const Var<T> y = tape_.matrix(cols, false);
    const Index first = first_drawn_row();
    const Index slot = next_slot(1);
    for (Index i = 0; i < tape_.padded_rows(); ++i) {
      RowStream generator = noise().row(first + i, slot);
      for (Index c = 0; c < cols; ++c) tape_.value(y, c)[i] = static_cast<T>(draw(generator));
    }
    return y;
  }
  /// x with each value set to zero with probability `rate` and scaled by 1/(1 - rate) otherwise; x itself if the pass
  /// has no dropout stream or the rate is 0.
  Var<T> dropout(Var<T> x, double rate) {
    const Var<T> mask = dropout_mask(x.cols(), rate);
    return mask ? x * mask : x;
  }
  /// One drawing for value and tangent.
  Dual<T> dropout(Dual<T> x, double rate) {
    const Var<T> mask = dropout_mask(x.value.cols(), rate);
    return mask ? x * mask : x;
  }
  /// Uniform numbers of dropout's stream: noise that a density has in training alone. A default-made Var without one.
  Var<T> training_noise(Index cols);

  // ---- rows outside the support
  /// y where low < y < high (with `closed`: <=); other values mark their row as outside, are replaced by
  /// `replacement`, and get no gradient. Infinite bounds are open ends.
  Var<T> restrict_to(Var<T> y, double low, double high, T replacement, bool closed = false);
  /// The same with bounds for each column.
  Var<T> restrict_to(Var<T> y, std::span<const double> low, std::span<const double> high,
                     std::span<const T> replacement, bool closed = false);
  /// To an interval; the replacement is inside().
  Var<T> restrict_to(Var<T> y, const Interval& i) {
    return i == real_line ? y : restrict_to(y, i.low, i.high, static_cast<T>(i.inside()));
  }
  /// One byte for each row of this thread, not zero: outside. A trace does not learn what is done with them.
  std::uint8_t* outside() const {
    if (Trace* trace = tape_.trace()) [[unlikely]] trace->exposed();
    return marks();
  }
  /// The same for operations, which note what they do.
  std::uint8_t* marks() const { return outside_ + tape_.begin(); }

  // ---- state
  /// Somebody takes proposals.
  bool takes_proposals() const { return settings_.proposals != nullptr; }
  /// First values are asked for.
  bool starts() const { return settings_.starts && takes_proposals(); }
  /// `value` becomes the content of `state` if the caller commits.
  void propose(const Tensor<T>& state, std::span<const double> value);
  /// Shows the caller what is softly bounded, if it asked for it.
  void show_bounded(Var<T> seen, double bound, bool is_context) const {
    if (settings_.on_bounded) (*settings_.on_bounded)(seen, bound, is_context);
  }
  /// Hands the batch's statistics of the layer whose first statistic is `key` to the caller, if asked for.
  void capture(const Tensor<T>& key, std::span<const double> mean, std::span<const double> variance);

 private:
  const RandomCall& noise() const;
  /// The factor of each value, or a default-made Var.
  Var<T> dropout_mask(Index cols, double rate);
  Index first_drawn_row() const { return settings_.first_row + tape_.begin(); }
  Index next_slot(Index count) {
    const Index slot = slot_;
    slot_ += count;
    return slot;
  }

  Tape<T>& tape_;
  Settings settings_;
  std::uint8_t* outside_;
  const std::string* part_ = nullptr;
  Index slot_ = 0;
};

/// f(pass, x), a map of batch matrices to {value, log_det} with `cols` columns of values, of which a recording pass
/// keeps only the result: the backward pass computes the rest once more. About a third more time for a training step,
/// and memory for one such f at a time; the same bits, dropout and batch statistics included.
/// `f` holds handles, pointers and numbers only, and what it points to outlives the backward pass.
template <Scalar T, class F>
Mapped<T> checkpoint(Pass<T>& pass, Var<T> x, Index cols, F f) {
  if (!pass.recording()) return f(pass, x);
  struct Call {
    Pass<T>* pass;
    Pass<T> again;
    F f;
  };
  static_assert(std::is_trivially_destructible_v<Call>, "capture handles, pointers and numbers only");
  const auto* call = new (pass.tape().template scratch<Call>(1)) Call{&pass, pass.replay(), f};
  return recompute<T>(x, cols, call, [](const void* stored, Var<T> in, bool again) {
    const Call& c = *static_cast<const Call*>(stored);
    if (!again) return c.f(*c.pass, in);
    Pass<T> replayed = c.again;
    return c.f(replayed, in);
  });
}

extern template class Pass<float>;
extern template class Pass<double>;

}  // namespace pushforward
