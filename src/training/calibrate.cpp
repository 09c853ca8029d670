#include <pushforward/training/calibrate.hpp>

#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "src/kernels/moments.hpp"
#include "src/training/population.hpp"
#include "src/training/step.hpp"

namespace pushforward {

namespace detail {

template <Scalar T>
bool evaluate_loss(const Distribution<T>& flow, const Loss<T>& loss, const RowSource<T>& rows,
                   std::vector<double>& out, Execution& execution, const StopToken& stop,
                   const RandomCall& noise) {
  for_each_tile<T>(static_cast<Index>(out.size()), execution, tile_rows,
                   [&](typename Tape<T>::Memory memory, Index begin, Index count) {
    if (stop.stop_requested()) return;
    Tape<T> tape(Tape<T>::Mode::evaluate, memory, count);
    typename Pass<T>::Settings settings;
    settings.first_row = begin;
    settings.noise = &noise;
    settings.context = rows.load_context(tape, begin);
    Pass<T> pass(tape, settings);
    const Column<T> result = loss(pass, flow, rows.load_data(tape, begin));
    for (Index i = 0; i < count; ++i)
      out[static_cast<std::size_t>(begin + i)] = pass.outside()[i]  ? std::numeric_limits<double>::infinity()
                                                 : result.is_zero() ? 0.0
                                                                    : result.values()[i];
  });
  return !stop.stop_requested();
}

template <Scalar T>
std::optional<double> evaluate_batch_loss(const Distribution<T>& flow, const Objective<T>& objective,
                                          const RowSource<T>& rows, const std::vector<Index>& bounds, Index shards,
                                          Execution& execution, const StopToken& stop, const RandomCall& noise) {
  double sum = 0;
  CoupledColumns<T> columns;
  for (std::size_t b = 0; b + 1 < bounds.size(); ++b) {
    if (stop.stop_requested()) return std::nullopt;
    const Index first = bounds[b], count = bounds[b + 1] - first, parts = std::clamp<Index>(count, 1, shards);
    double value = 0;
    bool outside = false;
    columns.start(count);
    const auto tape_of = [&](int rank, Index n) {
      const auto [begin, end] = thread_rows(n, rank, execution.threads());
      return Tape<T>(Tape<T>::Mode::evaluate, {execution.common(), execution.local(rank)}, n, begin, end,
                     &execution.group(), rank);
    };
    const auto work = [&](int rank) {
      for (Index part = 0; part < parts; ++part) {
        const Index start = count * part / parts, n = count * (part + 1) / parts - start;
        Tape<T> tape = tape_of(rank, n);
        typename Pass<T>::Settings settings;
        settings.first_row = first + start;
        settings.noise = &noise;
        settings.context = rows.load_context(tape, first + start);
        Pass<T> pass(tape, settings);
        const Var<T> y = rows.load_data(tape, first + start);
        if (objective.coupling) columns.store(tape, some_columns(tape, objective.columns(pass, flow, y)), start);
        Column<T> result;
        if (objective.batch) result = one_number("batch", tape, objective.batch(pass, flow, y));
        if (rank == 0) {
          // The first thread's rows start at 0, and the value is the same in every row.
          if (!result.is_zero()) value = result.values()[0];
          for (Index i = 0; i < n; ++i) outside = outside || pass.outside()[i];
        }
        tape.barrier();
      }
      if (!objective.coupling) return;
      Tape<T> tape = tape_of(rank, count);
      const double coupled = columns.value(tape, objective.coupling);
      if (rank == 0) value += coupled;
      tape.barrier();
    };
    execution.run(std::ref(work));
    sum += (outside ? std::numeric_limits<double>::infinity() : value) * static_cast<double>(count);
  }
  return sum / static_cast<double>(bounds.back());
}

namespace {

template <Scalar T>
struct Layer {
  const Tensor<T>* mean;
  const Tensor<T>* variance;
};

/// Layers with a moving mean and variance side by side.
template <Scalar T>
std::vector<Layer<T>> normalisation_layers(const std::vector<ConstSlot<T>>& slots) {
  constexpr std::string_view mean_name = "moving_mean", variance_name = "moving_variance";
  std::vector<Layer<T>> layers;
  for (const ConstSlot<T>& slot : slots) {
    if (!slot.path.ends_with(mean_name)) continue;
    const std::string sibling = slot.path.substr(0, slot.path.size() - mean_name.size()) + std::string(variance_name);
    for (const ConstSlot<T>& other : slots)
      if (other.path == sibling && other.tensor->size() == slot.tensor->size())
        layers.push_back({slot.tensor, other.tensor});
  }
  return layers;
}

/// Rows of one evaluation: all of them where the memory for that is bearable. Depends on the model's sizes alone, for
/// the result must not depend on the machine or the threads.
template <Scalar T>
Index rows_together(const Distribution<T>& flow, const std::vector<ConstSlot<T>>& slots, Index rows) {
  constexpr double budget = 256e6;
  constexpr Index tile = 4096;
  double width = static_cast<double>(flow.dim() + flow.context_dim());
  for (const ConstSlot<T>& slot : slots)
    width = std::max(width, slot.tensor->rank() >= 2
                                ? static_cast<double>(std::max(slot.tensor->extent(0), slot.tensor->shape().back()))
                                : std::sqrt(2 * static_cast<double>(slot.tensor->size())));
  const double bytes_per_row = 6 * width * static_cast<double>(sizeof(T));
  return static_cast<double>(rows) * bytes_per_row <= budget ? std::max<Index>(rows, 1) : tile;
}

/// Moments of several batches as if of one, in order.
class Merged {
 public:
  void add(const BatchStatistics::Moments& part, double count) {
    if (count == 0) return;
    mean_.resize(part.mean.size());
    m2_.resize(part.mean.size());
    const double all = count_ + count;
    for (std::size_t c = 0; c < part.mean.size(); ++c)
      kernels::merge_moments(count_, count / all, part.mean[c], part.variance[c] * count, mean_[c], m2_[c]);
    count_ = all;
  }
  BatchStatistics::Moments result() const {
    BatchStatistics::Moments moments{mean_, m2_};
    for (double& v : moments.variance) v /= count_;
    return moments;
  }

 private:
  double count_ = 0;
  std::vector<double> mean_, m2_;
};

}  // namespace

template <Scalar T>
bool calibrate_rows(const std::string& where, Distribution<T>& flow, const RowSource<T>& rows, Index count,
                    Execution& execution, const StopToken& stop) {
  const std::vector<ConstSlot<T>> slots = list_state(std::as_const(static_cast<Component<T>&>(flow)));
  const std::vector<Layer<T>> layers = normalisation_layers(slots);
  if (layers.empty()) return true;
  for (const ConstSlot<T>& slot : slots)
    if (slot.kind == StateKind::state && slot.attributes.from_data)
      throw DomainError(where + ": the layer of '" + slot.path +
                        "' has not started from data yet; `fit` starts it, also with 0 epochs");

  const Index tile = rows_together(flow, slots, count), tiles = (count + tile - 1) / tile;
  CapturedStatistics<T> done;
  const RandomCall draws = Engine(0).stream("calibrate").next_call();  // of stochastic maps before a layer
  for (;;) {
    // What the layers after the first unfinished one see is not final unless all rows stand together.
    std::vector<CapturedStatistics<T>> captured(static_cast<std::size_t>(tiles));
    for_each_tile<T>(count, execution, tile, [&](typename Tape<T>::Memory memory, Index begin, Index n) {
      if (stop.stop_requested()) return;
      CapturedStatistics<T> own;
      Tape<T> tape(Tape<T>::Mode::evaluate, memory, n);
      typename Pass<T>::Settings settings;
      settings.statistics = Statistics::population;
      settings.noise = &draws;
      settings.first_row = begin;
      settings.captured = &done;
      settings.capture = &own;
      settings.context = rows.load_context(tape, begin);
      settings.row_weights = rows.load_row_weights(tape, begin);
      Pass<T> pass(tape, settings);
      static_cast<void>(flow.log_prob(pass, rows.load_data(tape, begin)));
      if (tiles > 1 && own.layers.size() > 1) own.layers.resize(1);
      captured[static_cast<std::size_t>(begin / tile)] = std::move(own);
    });
    if (stop.stop_requested()) return false;
    if (tiles == 1) {
      done = std::move(captured[0]);
      break;
    }
    if (captured[0].layers.empty()) break;
    Merged merged;
    for (Index i = 0; i < tiles; ++i)
      merged.add(captured[static_cast<std::size_t>(i)].layers.at(0).second,
                 rows.count(i * tile, std::min(tile, count - i * tile)));
    done.layers.emplace_back(captured[0].layers[0].first, merged.result());
  }

  Proposals<T> proposals;
  for (const auto& [key, moments] : done.layers)
    for (const Layer<T>& layer : layers)
      if (layer.mean == key) {
        proposals.values.emplace_back(layer.mean, moments.mean);
        proposals.values.emplace_back(layer.variance, moments.variance);
      }
  commit_as(where, flow, proposals);
  return true;
}

#define PUSHFORWARD_INSTANTIATE(T)                                                                          \
  template bool evaluate_loss(const Distribution<T>&, const Loss<T>&, const RowSource<T>&, std::vector<double>&, \
                              Execution&, const StopToken&, const RandomCall&);                       \
  template std::optional<double> evaluate_batch_loss(const Distribution<T>&, const Objective<T>&, const RowSource<T>&, \
                                                     const std::vector<Index>&, Index, Execution&,          \
                                                     const StopToken&, const RandomCall&);            \
  template bool calibrate_rows(const std::string&, Distribution<T>&, const RowSource<T>&, Index, Execution&,   \
                               const StopToken&);
PUSHFORWARD_INSTANTIATE(float)
PUSHFORWARD_INSTANTIATE(double)
#undef PUSHFORWARD_INSTANTIATE

}  // namespace detail

template <Scalar T>
void calibrate(Distribution<T>& flow, std::type_identity_t<MatrixView<const T>> data,
               std::type_identity_t<MatrixView<const T>> context, Run run) {
  using namespace detail;
  const std::string where = flow.name() + ": calibrate";
  check_columns(where, "data", data, flow.dim());
  check_context(where, "context", context, data.rows(), flow.context_dim());
  if (data.rows() == 0) throw DomainError(where + ": there are no rows of data");
  for (const MatrixView<const T>& m : {data, context})
    for (Index i = 0; i < m.rows(); ++i)
      for (Index c = 0; c < m.cols(); ++c)
        if (!std::isfinite(m(i, c)))
          throw DomainError(where + ": row " + std::to_string(i) + ", column " + std::to_string(c) +
                            (m.data() == data.data() ? "" : " of the context") + " is not finite");
  std::optional<Execution> own;
  Execution& execution = run.execution() ? *run.execution() : own.emplace();
  calibrate_rows(where, flow, RowSource<T>{.data = data, .context = context}, data.rows(), execution, {});
}

template void calibrate(Distribution<float>&, MatrixView<const float>, MatrixView<const float>, Run);
template void calibrate(Distribution<double>&, MatrixView<const double>, MatrixView<const double>, Run);

}  // namespace pushforward
