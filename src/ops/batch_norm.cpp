#include <algorithm>
#include <cmath>
#include <span>

#include <pushforward/reducer.hpp>

#include "src/ops/batch_norm.hpp"

#include "src/kernels/moments.hpp"
#include "src/ops/common.hpp"

namespace pushforward {

using namespace detail;

namespace {

/// Ghost batches and the columns of each channel, as arrays that backward can keep.
template <Scalar T>
struct Layout {
  Layout(Var<T> y, const BatchGroups<T>& groups)
      : rows(y.tape().rows()),
        cols(y.cols()),
        channels(groups.channel.empty() ? y.cols() : groups.channels),
        ghost_rows(groups.ghost_rows > 0 ? groups.ghost_rows : std::max<Index>(rows, 1)),
        ghosts(std::max<Index>(1, rows / ghost_rows)) {
    if (!groups.channel.empty() && static_cast<Index>(groups.channel.size()) != cols)
      shape_error("batch_normalize", static_cast<Index>(groups.channel.size()), cols);
    Tape<T>& tape = y.tape();
    channel = tape.template scratch<Index>(cols);
    start = tape.template scratch<Index>(channels + 1);
    column = tape.template scratch<Index>(cols);
    std::fill_n(start, channels + 1, Index(0));
    for (Index c = 0; c < cols; ++c) {
      channel[c] = groups.channel.empty() ? c : groups.channel[static_cast<std::size_t>(c)];
      if (channel[c] < 0 || channel[c] >= channels) shape_error("batch_normalize", channels, channel[c]);
      ++start[channel[c] + 1];
    }
    for (Index k = 0; k < channels; ++k) start[k + 1] += start[k];
    Index* next = tape.template scratch<Index>(channels);
    std::copy_n(start, channels, next);
    for (Index c = 0; c < cols; ++c) column[next[channel[c]]++] = c;
  }
  Index size() const { return ghosts * channels; }
  Index columns_of(Index k) const { return start[k + 1] - start[k]; }
  Index begin(Index ghost) const { return ghost * ghost_rows; }
  Index end(Index ghost) const { return ghost + 1 == ghosts ? rows : (ghost + 1) * ghost_rows; }

  /// f(ghost, first, count) for the parts of this thread's rows, counted from its first; padding joins the last.
  template <class F>
  void for_each_part(const Tape<T>& tape, F f) const {
    const Index from = tape.begin(), to = from + tape.padded_rows();
    for (Index g = 0; g < ghosts; ++g) {
      const Index first = std::max(from, begin(g)), last = g + 1 == ghosts ? to : std::min(to, end(g));
      if (first < last) f(g, first - from, last - first);
    }
  }

  Index rows, cols, channels, ghost_rows, ghosts;
  Index* channel;  // of each column
  Index* start;    // columns of channel k: column[start[k]] ... column[start[k + 1] - 1]
  Index* column;
};

template <Scalar T>
void check_channels(const char* what, Var<T> row, Index channels) {
  if (row && shared_size(row) != channels) shape_error(what, shared_size(row), channels);
}

/// The moments of the rows of all processes, merged in the order of ranks, in the place of those of the own ones.
/// `all`: three numbers for each process and place.
void merge_processes(Reducer& processes, Index size, double* mean, double* variance, double* count, double* all) {
  const auto of_process = [&](Index rank, Index part) { return all + (rank * 3 + part) * size; };
  const Index ranks = processes.size(), own = processes.rank();
  std::fill_n(all, 3 * ranks * size, 0.0);
  std::copy_n(mean, size, of_process(own, 0));
  std::copy_n(variance, size, of_process(own, 1));
  std::copy_n(count, size, of_process(own, 2));
  processes.sum(std::span<double>(all, static_cast<std::size_t>(3 * ranks * size)));
  for (Index at = 0; at < size; ++at) {
    double total = 0, m = 0, m2 = 0;
    for (Index rank = 0; rank < ranks; ++rank) {
      const double n = of_process(rank, 2)[at];
      if (n <= 0) continue;
      kernels::merge_moments(total, n / (total + n), of_process(rank, 0)[at], of_process(rank, 1)[at] * n, m, m2);
      total += n;
    }
    mean[at] = m;
    variance[at] = total > 0 ? m2 / total : 0.0;
    count[at] = total;
  }
}

}  // namespace

template <Scalar T>
BatchMoments batch_moments(Var<T> y, const BatchGroups<T>& groups) {
  Tape<T>& tape = y.tape();
  const Layout<T> layout(y, groups);
  double* mean = tape.template common<double>(layout.size());
  double* variance = tape.template common<double>(layout.size());
  double* count = tape.template common<double>(layout.size());
  const T* weights = groups.weights ? full_column(groups.weights, 0) : nullptr;
  tape.barrier();
  tape.for_owned_outputs(0, layout.size(), layout.size(), [&](Index first, Index last) {
    for (Index at = first; at < last; ++at) {
      const Index ghost = at / layout.channels, k = at % layout.channels;
      const Index begin = layout.begin(ghost), n = layout.end(ghost) - begin;
      const T* w = weights ? weights + begin : nullptr;
      const double column_weight = w ? kernel<T>().sum(w, n) : static_cast<double>(n);
      double total = 0, m = 0, m2 = 0;
      for (Index i = layout.start[k]; i < layout.start[k + 1] && column_weight > 0; ++i) {
        const kernels::Moments own = kernel<T>().moments(full_column(y, layout.column[i]) + begin, w, n);
        const double all = total + column_weight;
        kernels::merge_moments(total, column_weight / all, own.mean, own.m2, m, m2);
        total = all;
      }
      mean[at] = m;
      variance[at] = total > 0 ? m2 / total : 0.0;
      count[at] = total;
    }
  });
  tape.barrier();
  if (groups.processes) {
    if (tape.rank() == 0)
      merge_processes(*groups.processes, layout.size(), mean, variance, count,
                      tape.template scratch<double>(3 * groups.processes->size() * layout.size()));
    tape.barrier();
  }
  return {mean, variance, count, layout.ghosts, layout.channels};
}

template <Scalar T>
NormalizedBatch<T> batch_normalize(Var<T> y, const BatchGroups<T>& groups, const BatchMoments& moments, Var<T> gamma,
                                   Var<T> beta, double epsilon, BatchCorrection correction, bool bessel) {
  Tape<T>& tape = y.tape();
  const Layout<T> layout(y, groups);
  if (moments.ghosts != layout.ghosts || moments.channels != layout.channels)
    shape_error("batch_normalize", layout.size(), moments.ghosts * moments.channels);
  check_channels("batch_normalize", gamma, layout.channels);
  check_channels("batch_normalize", beta, layout.channels);
  const Index n = tape.padded_rows(), size = layout.size(), channels = layout.channels;

  const bool wants_gamma = gamma && gamma.wants_gradient(), wants_beta = beta && beta.wants_gradient();
  const bool wanted = y.wants_gradient() || wants_gamma || wants_beta;
  const Var<T> x = tape.matrix(layout.cols, wanted);
  const Column<T> log_det = tape.column(y.wants_gradient());
  // Per ghost batch and channel: variance + epsilon, and r / sqrt(variance + epsilon).
  double* v = tape.template scratch<double>(size);
  double* slope = tape.template scratch<double>(size);
  double* sum_log = tape.template scratch<double>(layout.ghosts);
  for (Index g = 0; g < layout.ghosts; ++g) {
    sum_log[g] = 0;
    for (Index k = 0; k < channels; ++k) {
      const Index at = g * channels + k;
      const double r = correction.r ? correction.r[at] : 1.0;
      v[at] = moments.variance[at] * detail::bessel(bessel, moments.count[at]) + epsilon;
      slope[at] = r / std::sqrt(v[at]);
      sum_log[g] += static_cast<double>(layout.columns_of(k)) * (std::log(r) - 0.5 * std::log(v[at]));
    }
  }
  const auto gamma_of = [gamma](Index k) { return gamma ? static_cast<double>(gamma.node()->value[k]) : 1.0; };
  layout.for_each_part(tape, [&](Index ghost, Index first, Index count) {
    for (Index c = 0; c < layout.cols; ++c) {
      const Index k = layout.channel[c], at = ghost * channels + k;
      const SplitMean<T> mean(moments.mean[at]);
      const double b = beta ? static_cast<double>(beta.node()->value[k]) : 0.0;
      const T scale = static_cast<T>(gamma_of(k) * slope[at]);
      const T shift = static_cast<T>(b + (correction.d ? gamma_of(k) * correction.d[at] : 0.0));
      kernel<T>().normalize_run(tape.value(y, c) + first, count, {&mean.rounded, &mean.rest, &scale, &shift},
                                tape.value(x, c) + first);
    }
    std::fill_n(tape.value(log_det) + first, count, sum_log[ghost]);
  });
  if (layout.rows == 0) std::fill_n(tape.value(log_det), n, 0.0);
  if (!wanted) return {x, log_det};

  // Sums over all threads' rows, per ghost batch and channel, of G and G (y - mean); per ghost batch, of the adjoint of
  // log_det.
  double* sum_g = tape.template common<double>(2 * size + layout.ghosts);
  double* sum_gd = sum_g + size;
  double* sum_a = sum_gd + size;
  const Var<T> weights = groups.weights;
  Reducer* processes = groups.processes;
  tape.on_backward([=] {
    Tape<T>& tape = y.tape();
    if (!Tape<T>::has_gradient(x) && !Tape<T>::has_gradient(log_det)) return;
    for (Index c = 0; c < layout.cols; ++c) tape.gradient(x, c);  // sets rows to zero where nothing arrived
    if (log_det.node()->wanted) tape.gradient(log_det);
    tape.barrier();
    tape.for_owned_outputs(0, size, size, [&](Index first, Index last) {
      for (Index at = first; at < last; ++at) {
        const Index ghost = at / channels, k = at % channels;
        const Index begin = layout.begin(ghost), count = layout.end(ghost) - begin;
        sum_g[at] = sum_gd[at] = 0;
        for (Index i = layout.start[k]; i < layout.start[k + 1]; ++i) {
          const Index c = layout.column[i];
          double g, gd;
          kernel<T>().products_run(full_gradient(x, c) + begin, full_column(y, c) + begin, count, moments.mean[at], &g,
                                   &gd);
          sum_g[at] += g;
          sum_gd[at] += gd;
        }
        if (k == 0)
          sum_a[ghost] = log_det.node()->wanted ? kernel<double>().sum(log_det.node()->gradient + begin, count) : 0.0;
      }
    });
    tape.barrier();
    if (tape.rank() == 0)
      for (Index at = 0; at < size; ++at) {
        const Index k = at % channels;
        const double d = correction.d ? correction.d[at] : 0.0;
        if (wants_gamma) gamma.node()->gradient[k] += static_cast<T>(sum_gd[at] * slope[at] + sum_g[at] * d);
        if (wants_beta) beta.node()->gradient[k] += static_cast<T>(sum_g[at]);
      }
    if (!y.wants_gradient()) return;
    if (processes) {  // gradients of parameters are added up later
      const auto count = static_cast<std::size_t>(2 * size + layout.ghosts);
      if (tape.rank() == 0) processes->sum(std::span<double>(sum_g, count));
      tape.barrier();
    }
    layout.for_each_part(tape, [&](Index ghost, Index first, Index count) {
      for (Index c = 0; c < layout.cols; ++c) {
        const Index k = layout.channel[c], at = ghost * channels + k;
        const double values = moments.count[at], scale = gamma_of(k) * slope[at];
        if (values == 0) continue;
        const double freedom = bessel && values > 1 ? values - 1 : values;
        const double log_dets = static_cast<double>(layout.columns_of(k)) * sum_a[ghost];
        const SplitMean<T> mean(moments.mean[at]);
        const T a = static_cast<T>(scale), mean_g = static_cast<T>(sum_g[at] / values);
        // One division for both: v and m only occur as their product.
        const T b = static_cast<T>(adjoint_slope(scale * sum_gd[at], log_dets, freedom * v[at], 1)), zero = 0;
        const T *g = tape.gradient(x, c) + first, *in = tape.value(y, c) + first;
        T* out = tape.gradient(y, c) + first;
        if (!weights) {
          kernel<T>().adjoint_run(g, in, count, {&mean.rounded, &mean.rest, &a, &mean_g, &b, &zero}, out, true);
        } else {
          const T* w = tape.value(weights, 0) + first;
          for (Index i = 0; i < count; ++i)
            out[i] += a * (g[i] - w[i] * mean_g) + b * w[i] * ((in[i] - mean.rounded) - mean.rest);
        }
      }
    });
  });
  return {x, log_det};
}

#define PUSHFORWARD_INSTANTIATE(T)                                                                                \
  template BatchMoments batch_moments(Var<T>, const BatchGroups<T>&);                                             \
  template NormalizedBatch<T> batch_normalize(Var<T>, const BatchGroups<T>&, const BatchMoments&, Var<T>, Var<T>, \
                                              double, BatchCorrection, bool);
PUSHFORWARD_INSTANTIATE(float)
PUSHFORWARD_INSTANTIATE(double)
#undef PUSHFORWARD_INSTANTIATE

}  // namespace pushforward
