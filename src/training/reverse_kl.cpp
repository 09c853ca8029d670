// `fit_reverse_kl`: the loop on samples of the flow, judged by a density.

#include <limits>
#include <string>
#include <vector>

#include <pushforward/training/fit.hpp>

#include "src/core/evaluate.hpp"
#include "src/training/loop.hpp"

namespace pushforward {

namespace {

using namespace detail;

template <Scalar T>
class ReverseKlTraining final : public Training<T> {
 public:
  ReverseKlTraining(Distribution<T>& flow, Target<T> target, const FitOptions<T>& options)
      : Training<T>("fit_reverse_kl(" + flow.name() + ")", flow, options),
        loss_(reverse_kl<T>(std::move(target))),
        noise_(Engine(options.seed).stream("noise")) {
    if (!flow.is_reparameterized())
      throw NotImplemented(this->where() + ": the samples of this distribution have no gradient");
    if (options.optimizer->needs_full_batch())
      throw DomainError(this->where() + ": the optimizer " + options.optimizer->describe().type +
                        " compares gradients of one batch, and here every step has its own samples; use another one");
    if (options.context.rows() > 1)
      throw ShapeError(this->where() + ": expected one context row, got " + std::to_string(options.context.rows()));
    check_context(this->where(), "context", options.context, 1, flow.context_dim());
  }

 private:
  Fingerprint fingerprint() const override {
    return {{"kind", "fit_reverse_kl"}, {"steps_per_epoch", std::to_string(this->options().steps_per_epoch)}};
  }
  Index batches_per_epoch() const override { return this->options().steps_per_epoch; }
  Index rows_of(Index) const override { return this->options().batch_size; }
  void begin_epoch(Index) override {}
  StepOutcome step(Index batch, const RandomCall& dropout, const typename Stepper<T>::Settings& settings) override {
    const auto number = static_cast<std::uint64_t>(this->epoch() * batches_per_epoch() + batch);
    const RandomCall noise = Engine(noise_.seed(), number).next_call();
    return this->stepper().step(
        rows_of(batch), settings,
        [&](Tape<T>& tape, Index) {
          typename Pass<T>::Settings s;
          s.noise = &noise;
          s.dropout = &dropout;
          s.checkpoint = this->options().gradient_checkpointing;
          if (this->options().context.cols() > 0) s.context = load(tape, this->options().context, false, true);
          return s;
        },
        [&](Pass<T>& pass, Index) { return loss_(pass, this->flow()); });
  }
  void finish(FitReport&, bool) override {}
  bool ends_well() override {
    const RandomCall noise = Engine(noise_.seed()).stream("end").next_call();
    std::vector<double> losses(static_cast<std::size_t>(this->options().batch_size));
    for_each_tile<T>(this->options().batch_size, this->execution(), tile_rows,
                     [&](typename Tape<T>::Memory memory, Index begin, Index count) {
                       Tape<T> tape(Tape<T>::Mode::evaluate, memory, count);
                       typename Pass<T>::Settings s;
                       s.first_row = begin;
                       s.noise = &noise;
                       if (this->options().context.cols() > 0)
                         s.context = load(tape, this->options().context, false, true);
                       Pass<T> pass(tape, s);
                       const Column<T> loss = loss_(pass, this->flow());
                       for (Index i = 0; i < count; ++i)
                         losses[static_cast<std::size_t>(begin + i)] =
                             pass.outside()[i] ? std::numeric_limits<double>::infinity()
                                               : loss.is_zero() ? 0.0 : loss.values()[i];
                     });
    return are_numbers(losses);
  }

  std::function<Column<T>(Pass<T>&, const Distribution<T>&)> loss_;
  Engine noise_;
};

}  // namespace

template <Scalar T>
FitReport fit_reverse_kl(Distribution<T>& flow, std::type_identity_t<Target<T>> target,
                         const std::type_identity_t<FitOptions<T>>& options) {
  return ReverseKlTraining<T>(flow, std::move(target), options).run();
}

template FitReport fit_reverse_kl(Distribution<float>&, Target<float>, const FitOptions<float>&);
template FitReport fit_reverse_kl(Distribution<double>&, Target<double>, const FitOptions<double>&);

}  // namespace pushforward
