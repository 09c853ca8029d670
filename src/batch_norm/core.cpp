#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <pushforward/batch_norm/core.hpp>
#include <pushforward/error.hpp>
#include <string>

#include "src/core/shape_text.hpp"
#include "src/kernels/kernels.hpp"
#include "src/kernels/moments.hpp"
#include "src/ops/batch_norm.hpp"

namespace pushforward::batch_norm {

std::vector<Index> resolve_axes(std::span<const Index> axes, Index rank) {
  std::vector<Index> resolved;
  for (const Index axis : axes) {
    const Index positive = axis < 0 ? axis + rank : axis;
    if (positive < 0 || positive >= rank)
      throw DomainError("Invalid axis: " + std::to_string(axis) + " for a tensor of rank " + std::to_string(rank));
    if (std::find(resolved.begin(), resolved.end(), positive) != resolved.end())
      throw DomainError("Duplicate axis: " + std::to_string(axis));
    resolved.push_back(positive);
  }
  std::sort(resolved.begin(), resolved.end());
  return resolved;
}

std::vector<Index> other_axes(std::span<const Index> axes, Index rank) {
  std::vector<Index> others;
  for (Index axis = 0; axis < rank; ++axis)
    if (std::find(axes.begin(), axes.end(), axis) == axes.end()) others.push_back(axis);
  return others;
}

Index count_along(std::span<const Index> shape, std::span<const Index> axes) {
  Index count = 1;
  for (const Index axis : axes) count *= shape[static_cast<std::size_t>(axis)];
  return count;
}

namespace {

/// Values of the inner loop that are copied, or kept in local arrays, at a time.
constexpr Index piece = 512;

/// The loops over `N` tensors of one shape. Axes are ordered by the strides of the first tensor, largest first, and
/// neighbours of the same kind are merged where all tensors allow it: what is left is as few and as long loops as the
/// memory has.
template <int N>
struct Loops {
  using Offsets = std::array<Index, N>;
  struct Axis {
    Index extent = 1;
    Index channel = 0;  // channels per step; 0 for axes that are averaged over
    Offsets stride{};
  };

  Loops(std::span<const Index> shape, std::span<const Index> kept, std::array<const std::vector<Index>*, N> strides) {
    std::vector<Index> channel(shape.size(), 0);
    Index step = 1;
    for (std::size_t i = kept.size(); i-- > 0;) {
      channel[static_cast<std::size_t>(kept[i])] = step;
      step *= shape[static_cast<std::size_t>(kept[i])];
    }
    channels = step;
    for (std::size_t i = 0; i < shape.size(); ++i) {
      empty = empty || shape[i] == 0;
      if (shape[i] == 1) continue;
      Axis axis{shape[i], channel[i], {}};
      for (std::size_t k = 0; k < N; ++k) axis.stride[k] = (*strides[k])[i];
      axes.push_back(axis);
    }
    std::stable_sort(axes.begin(), axes.end(),
                     [](const Axis& a, const Axis& b) { return std::abs(a.stride[0]) > std::abs(b.stride[0]); });
    for (std::size_t i = axes.size(); i-- > 1;) {
      Axis &outer = axes[i - 1], &inner = axes[i];
      bool merge = (outer.channel == 0) == (inner.channel == 0) && outer.channel == inner.channel * inner.extent;
      for (std::size_t k = 0; k < N; ++k) merge = merge && outer.stride[k] == inner.stride[k] * inner.extent;
      if (!merge) continue;
      outer = {outer.extent * inner.extent, inner.channel, inner.stride};
      axes.erase(axes.begin() + static_cast<std::ptrdiff_t>(i));
    }
    if (axes.empty()) axes.push_back({});
    // Neighbours in memory that are not neighbouring channels are taken one by one.
    if (axes.back().channel > 1) axes.push_back({});
    inner = axes.back();
    axes.pop_back();
    // Rows of channels: the loop next to a kept inner one, if it is averaged over, is part of the block.
    by_columns = inner.channel == 1;
    if (by_columns && !axes.empty() && axes.back().channel == 0) {
      rows = axes.back();
      axes.pop_back();
    }
    contiguous = true;
    for (const Index stride : inner.stride) contiguous = contiguous && (stride == 1 || inner.extent == 1);
    if (contiguous) step = std::max<Index>(inner.extent, 1);
  }

  /// f(channel, offsets) for the start of each block.
  template <class F>
  void for_each_block(F&& f) const {
    if (!empty) walk(0, 0, Offsets{}, f);
  }

  std::vector<Axis> axes;  // outer loops
  Axis rows;               // of a block by columns
  Axis inner;
  Index channels = 1;
  bool empty = false;
  bool by_columns = false;  // inner is one value per channel; otherwise one channel
  bool contiguous = false;  // inner, in all tensors
  Index step = piece;       // of inner at a time: what is contiguous needs no pieces

 private:
  template <class F>
  void walk(std::size_t depth, Index channel, Offsets at, F& f) const {
    if (depth == axes.size()) {
      f(channel, at);
      return;
    }
    for (Index i = 0; i < axes[depth].extent; ++i) {
      walk(depth + 1, channel, at, f);
      channel += axes[depth].channel;
      for (std::size_t k = 0; k < N; ++k) at[k] += axes[depth].stride[k];
    }
  }
};

// Blocks that are not contiguous are copied piece by piece.
template <class T>
void gather(const T* from, Index stride, Index n, T* to) {
  for (Index i = 0; i < n; ++i) to[i] = from[i * stride];
}
template <class T>
void scatter(const T* from, Index n, T* to, Index stride) {
  for (Index i = 0; i < n; ++i) to[i * stride] = from[i];
}

/// Rows of a block by columns that are summed before they are merged: a tile stays in the second-level cache.
Index tile_rows(Index cols) { return std::clamp<Index>(32768 / cols, 64, 1024); }

/// Few channels beside each other leave vectors empty: then `k` rows count as one of k times as many channels.
/// 1 if the tensors do not lie as rows of channels without gaps, or have many channels.
template <int N>
Index rows_as_one(const Loops<N>& loops) {
  const Index channels = loops.inner.extent;
  bool dense = loops.by_columns && loops.contiguous && loops.axes.empty() && channels == loops.channels;
  for (const Index stride : loops.rows.stride) dense = dense && stride == channels;
  return dense && channels < 32 && loops.rows.extent >= 1024 ? 64 / std::gcd<Index, Index>(64, channels) : 1;
}
/// The rows that make whole ones, and those that are left over; each (rows, channels).
template <class T>
std::pair<TensorView<T>, TensorView<T>> folded(const TensorView<T>& x, Index rows, Index channels, Index k) {
  const Index whole = rows / k;
  return {{x.data(), {whole, k * channels}}, {x.data() + whole * k * channels, {rows - whole * k, channels}}};
}

/// Short runs of each channel one after the other, (rows, channels, n): for sums every position is a column of its own,
/// and those of a channel are added at the end. n, or 0 if the tensors do not lie so.
template <int N>
Index positions_as_columns(const Loops<N>& loops) {
  const Index n = loops.inner.extent;
  if (loops.by_columns || !loops.contiguous || n < 2 || n >= 128 || loops.axes.size() != 2) return 0;
  const auto &rows = loops.axes[0], &channels = loops.axes[1];
  bool dense = rows.channel == 0 && channels.channel == 1 && rows.extent >= 8;
  for (const Index stride : channels.stride) dense = dense && stride == n;
  return dense ? n : 0;
}
template <class T, int N>
TensorView<T> positions(const TensorView<T>& x, const Loops<N>& loops, std::size_t which) {
  return {x.data(), {loops.axes[0].extent, loops.channels * loops.inner.extent}, {loops.axes[0].stride[which], 1}};
}

std::vector<double> repeated(std::span<const double> values, Index k) {
  std::vector<double> result;
  for (Index i = 0; i < k; ++i) result.insert(result.end(), values.begin(), values.end());
  return result;
}
constexpr Index by_rows[] = {1};  // kept axis of a folded tensor

/// Counts, means and sums of squares per channel, merged in the order of the calls.
struct Merge {
  explicit Merge(Index channels)
      : count(static_cast<std::size_t>(channels), 0.0), mean(count.size(), 0.0), m2(count.size(), 0.0) {}
  void add(Index channel, double n, double other_mean, double other_m2) {
    const std::size_t c = static_cast<std::size_t>(channel);
    if (n == 0) return;
    const double total = count[c] + n;
    kernels::merge_moments(count[c], n / total, other_mean, other_m2, mean[c], m2[c]);
    count[c] = total;
  }
  /// The same for `n` neighbouring channels that have had the same tiles: sums of deviations from `shift`.
  template <class T>
  void add_tile(Index channel, Index n, double values, const T* shift, const double* first, const double* second) {
    double* m = mean.data() + channel;
    double* q = m2.data() + channel;
    const double before = count[static_cast<std::size_t>(channel)], inverse = 1 / values;
    const double share = values / (before + values);
    for (Index c = 0; c < n; ++c) {
      const double own = static_cast<double>(shift[c]) + first[c] * inverse;
      const double spread = second[c] - first[c] * (first[c] * inverse);
      // Below 0 by rounding only; NaN stays.
      kernels::merge_moments(before, share, own, spread < 0 ? 0.0 : spread, m[c], q[c]);
    }
    std::fill_n(count.data() + channel, n, before + values);
  }
  Moments result(Index values) && {
    for (double& v : m2) v = values > 0 ? v / static_cast<double>(values) : 0.0;
    return {std::move(mean), std::move(m2), values};
  }
  std::vector<double> count, mean, m2;
};

template <class T>
const kernels::Table<T>& kernel() {
  return kernels::table<T>();
}

void check_size(const char* call, const char* what, std::span<const double> values, Index channels) {
  if (!values.empty() && static_cast<Index>(values.size()) != channels)
    throw ShapeError(std::string("batch_norm::") + call + ": " + what + " has " + std::to_string(values.size()) +
                     " values for " + std::to_string(channels) + " channels");
}
template <class A, class B>
void check_shapes(const char* call, const TensorView<A>& a, const TensorView<B>& b) {
  if (a.shape() != b.shape())
    throw ShapeError(std::string("batch_norm::") + call + ": shapes " + detail::shape_text(a.shape()) + " and " +
                     detail::shape_text(b.shape()) + " differ");
}

double at(std::span<const double> values, std::size_t c, double otherwise) {
  return values.empty() ? otherwise : values[c];
}

/// Parameters per channel in T.
template <class T>
struct InT {
  explicit InT(std::size_t n) : values(n) {}
  template <class F>
  InT(std::size_t n, F f) : values(n) {
    for (std::size_t c = 0; c < n; ++c) values[c] = static_cast<T>(f(c));
  }
  const T* from(Index channel) const { return values.data() + channel; }
  std::vector<T> values;
};

template <class T>
struct Mean {
  explicit Mean(std::span<const double> mean)
      : rounded(mean.size(), [&](std::size_t c) { return detail::SplitMean<T>(mean[c]).rounded; }),
        rest(mean.size(), [&](std::size_t c) { return detail::SplitMean<T>(mean[c]).rest; }) {}
  InT<T> rounded, rest;
};

}  // namespace

template <Scalar T>
Moments moments(const TensorView<const T>& x, std::span<const Index> kept) {
  const Loops<1> loops(x.shape(), kept, {&x.strides()});
  Merge merge(loops.channels);
  if (const Index k = rows_as_one(loops); k > 1) {
    const auto [whole, rest] = folded(x, loops.rows.extent, loops.channels, k);
    for (const TensorView<const T>& part : {whole, rest}) {
      const Moments m = moments<T>(part, by_rows);
      for (std::size_t c = 0; c < m.mean.size(); ++c)
        merge.add(static_cast<Index>(c) % loops.channels, static_cast<double>(m.count), m.mean[c],
                  m.variance[c] * static_cast<double>(m.count));
    }
    return std::move(merge).result(loops.rows.extent);
  }
  if (const Index n = positions_as_columns(loops); n > 0) {
    const Moments m = moments<T>(positions(x, loops, 0), by_rows);
    for (std::size_t j = 0; j < m.mean.size(); ++j)
      merge.add(static_cast<Index>(j) / n, static_cast<double>(m.count), m.mean[j],
                m.variance[j] * static_cast<double>(m.count));
    return std::move(merge).result(m.count * n);
  }
  std::array<T, piece> buffer;
  const std::size_t width = static_cast<std::size_t>(loops.by_columns ? loops.step : 0);
  std::vector<T> shift(width);
  std::vector<double> first(width), second(width);
  loops.for_each_block([&](Index channel, std::array<Index, 1> offset) {
    const T* data = x.data() + offset[0];
    const Index stride = loops.inner.stride[0];
    for (Index begin = 0; begin < loops.inner.extent; begin += loops.step) {
      const Index n = std::min(loops.step, loops.inner.extent - begin);
      if (!loops.by_columns) {
        const T* values = data + begin * stride;
        if (!loops.contiguous) gather(values, stride, n, buffer.data());
        const kernels::Moments m = kernel<T>().moments(loops.contiguous ? values : buffer.data(), nullptr, n);
        merge.add(channel, static_cast<double>(n), m.mean, m.m2);
        continue;
      }
      const Index row_stride = loops.rows.stride[0];
      const Index height = loops.contiguous ? tile_rows(n) : 1;
      for (Index row = 0; row < loops.rows.extent; row += height) {
        const Index count = std::min(height, loops.rows.extent - row);
        const T* values = data + row * row_stride + begin * stride;
        if (!loops.contiguous) gather(values, stride, n, buffer.data());
        const T* block = loops.contiguous ? values : buffer.data();
        std::copy_n(block, n, shift.data());
        kernel<T>().column_sums(block, row_stride, count, n, shift.data(), first.data(), second.data());
        merge.add_tile(channel + begin, n, static_cast<double>(count), shift.data(), first.data(), second.data());
      }
    }
  });
  return std::move(merge).result(loops.empty ? 0 : x.size() / loops.channels);
}

template <Scalar T>
void map_channels(const TensorView<const T>& x, std::span<const Index> kept, std::span<const double> mean,
                  std::span<const double> scale, std::span<const double> shift, const TensorView<T>& out) {
  check_shapes("normalize", x, out);
  const Loops<2> loops(x.shape(), kept, {&x.strides(), &out.strides()});
  check_size("normalize", "mean", mean, loops.channels);
  check_size("normalize", "scale", scale, loops.channels);
  check_size("normalize", "shift", shift, loops.channels);
  if (const Index k = rows_as_one(loops); k > 1) {
    const auto in = folded(x, loops.rows.extent, loops.channels, k);
    const auto to = folded(out, loops.rows.extent, loops.channels, k);
    map_channels<T>(in.first, by_rows, repeated(mean, k), repeated(scale, k), repeated(shift, k), to.first);
    map_channels<T>(in.second, by_rows, mean, scale, shift, to.second);
    return;
  }
  const std::size_t channels = static_cast<std::size_t>(loops.channels);
  const Mean<T> m(mean);
  const InT<T> s(channels, [&](std::size_t c) { return scale[c]; }),
      b(channels, [&](std::size_t c) { return shift[c]; });
  std::array<T, piece> buffer;
  loops.for_each_block([&](Index channel, std::array<Index, 2> offset) {
    for (Index begin = 0; begin < loops.inner.extent; begin += loops.step) {
      const Index n = std::min(loops.step, loops.inner.extent - begin);
      const Index first = loops.by_columns ? channel + begin : channel;
      const kernels::ChannelMap<T> map{m.rounded.from(first), m.rest.from(first), s.from(first), b.from(first)};
      const T* in = x.data() + offset[0] + begin * loops.inner.stride[0];
      T* to = out.data() + offset[1] + begin * loops.inner.stride[1];
      if (loops.contiguous) {
        if (loops.by_columns)
          kernel<T>().normalize_columns(in, loops.rows.stride[0], loops.rows.extent, n, map, to, loops.rows.stride[1]);
        else
          kernel<T>().normalize_run(in, n, map, to);
      } else {
        for (Index row = 0; row < loops.rows.extent; ++row) {
          gather(in + row * loops.rows.stride[0], loops.inner.stride[0], n, buffer.data());
          if (loops.by_columns)
            kernel<T>().normalize_columns(buffer.data(), n, 1, n, map, buffer.data(), n);
          else
            kernel<T>().normalize_run(buffer.data(), n, map, buffer.data());
          scatter(buffer.data(), n, to + row * loops.rows.stride[1], loops.inner.stride[1]);
        }
      }
    }
  });
}

template <Scalar T>
ChannelProducts channel_products(const TensorView<const T>& g, const TensorView<const T>& x,
                                 std::span<const Index> kept, std::span<const double> mean) {
  check_shapes("channel_products", g, x);
  const Loops<2> loops(x.shape(), kept, {&x.strides(), &g.strides()});
  check_size("channel_products", "mean", mean, loops.channels);
  ChannelProducts sums{std::vector<double>(static_cast<std::size_t>(loops.channels), 0.0),
                       std::vector<double>(static_cast<std::size_t>(loops.channels), 0.0)};
  if (const Index k = rows_as_one(loops); k > 1) {
    const auto in = folded(x, loops.rows.extent, loops.channels, k);
    const auto gs = folded(g, loops.rows.extent, loops.channels, k);
    for (const bool whole : {true, false}) {
      const ChannelProducts part = whole ? channel_products<T>(gs.first, in.first, by_rows, repeated(mean, k))
                                         : channel_products<T>(gs.second, in.second, by_rows, mean);
      for (std::size_t c = 0; c < part.g.size(); ++c) {
        sums.g[c % sums.g.size()] += part.g[c];
        sums.gd[c % sums.g.size()] += part.gd[c];
      }
    }
    return sums;
  }
  if (const Index n = positions_as_columns(loops); n > 0) {
    std::vector<double> mean_of_position;
    for (const double m : mean) mean_of_position.insert(mean_of_position.end(), static_cast<std::size_t>(n), m);
    const ChannelProducts each =
        channel_products<T>(positions(g, loops, 1), positions(x, loops, 0), by_rows, mean_of_position);
    for (std::size_t j = 0; j < each.g.size(); ++j) {
      sums.g[j / static_cast<std::size_t>(n)] += each.g[j];
      sums.gd[j / static_cast<std::size_t>(n)] += each.gd[j];
    }
    return sums;
  }
  std::array<T, piece> x_buffer, g_buffer;
  const std::size_t width = static_cast<std::size_t>(loops.by_columns ? loops.step : 1);
  std::vector<double> first(width), second(width);
  const auto add = [&](Index channel, double a, double b) {
    sums.g[static_cast<std::size_t>(channel)] += a;
    sums.gd[static_cast<std::size_t>(channel)] += b;
  };
  loops.for_each_block([&](Index channel, std::array<Index, 2> offset) {
    const Index x_stride = loops.inner.stride[0], g_stride = loops.inner.stride[1];
    for (Index begin = 0; begin < loops.inner.extent; begin += loops.step) {
      const Index n = std::min(loops.step, loops.inner.extent - begin);
      const Index height = loops.contiguous ? tile_rows(n) : 1;
      for (Index row = 0; row < loops.rows.extent; row += height) {
        const Index count = std::min(height, loops.rows.extent - row);
        const T* px = x.data() + offset[0] + row * loops.rows.stride[0] + begin * x_stride;
        const T* pg = g.data() + offset[1] + row * loops.rows.stride[1] + begin * g_stride;
        if (!loops.contiguous) {
          gather(px, x_stride, n, x_buffer.data());
          gather(pg, g_stride, n, g_buffer.data());
          px = x_buffer.data();
          pg = g_buffer.data();
        }
        if (loops.by_columns) {
          kernel<T>().column_products(pg, loops.rows.stride[1], px, loops.rows.stride[0], count, n,
                                      mean.data() + channel + begin, first.data(), second.data());
          for (Index c = 0; c < n; ++c)
            add(channel + begin + c, first[static_cast<std::size_t>(c)], second[static_cast<std::size_t>(c)]);
        } else {
          kernel<T>().products_run(pg, px, n, mean[static_cast<std::size_t>(channel)], first.data(), second.data());
          add(channel, first[0], second[0]);
        }
      }
    }
  });
  return sums;
}

template <Scalar T>
void map_adjoint(const TensorView<const T>& g, const TensorView<const T>& x, std::span<const Index> kept,
                 const ChannelAdjoint& by, const TensorView<T>& out) {
  check_shapes("map_adjoint", g, x);
  check_shapes("map_adjoint", x, out);
  const Loops<3> loops(x.shape(), kept, {&x.strides(), &g.strides(), &out.strides()});
  if (const Index k = rows_as_one(loops); k > 1) {
    const auto in = folded(x, loops.rows.extent, loops.channels, k);
    const auto gs = folded(g, loops.rows.extent, loops.channels, k);
    const auto to = folded(out, loops.rows.extent, loops.channels, k);
    const std::vector<double> mean = repeated(by.mean, k), mean_g = repeated(by.mean_g, k), a = repeated(by.a, k),
                              b = repeated(by.b, k), c = repeated(by.c, k);
    map_adjoint<T>(gs.first, in.first, by_rows, {mean, mean_g, a, b, c}, to.first);
    map_adjoint<T>(gs.second, in.second, by_rows, by, to.second);
    return;
  }
  const std::size_t channels = static_cast<std::size_t>(loops.channels);
  const Mean<T> m(by.mean);
  const auto in_T = [&](std::span<const double> values) {
    return InT<T>(channels, [&](std::size_t c) { return values[c]; });
  };
  const InT<T> mean_g = in_T(by.mean_g), a = in_T(by.a), b = in_T(by.b), c = in_T(by.c);
  std::array<T, piece> x_buffer, g_buffer;
  loops.for_each_block([&](Index channel, std::array<Index, 3> offset) {
    for (Index begin = 0; begin < loops.inner.extent; begin += loops.step) {
      const Index n = std::min(loops.step, loops.inner.extent - begin);
      const Index first = loops.by_columns ? channel + begin : channel;
      const kernels::ChannelAdjoint<T> map{m.rounded.from(first), m.rest.from(first), a.from(first),
                                           mean_g.from(first),    b.from(first),      c.from(first)};
      const T* px = x.data() + offset[0] + begin * loops.inner.stride[0];
      const T* pg = g.data() + offset[1] + begin * loops.inner.stride[1];
      T* to = out.data() + offset[2] + begin * loops.inner.stride[2];
      if (loops.contiguous) {
        if (loops.by_columns)
          kernel<T>().adjoint_columns(pg, loops.rows.stride[1], px, loops.rows.stride[0], loops.rows.extent, n, map, to,
                                      loops.rows.stride[2]);
        else
          kernel<T>().adjoint_run(pg, px, n, map, to, false);
        continue;
      }
      for (Index row = 0; row < loops.rows.extent; ++row) {
        gather(px + row * loops.rows.stride[0], loops.inner.stride[0], n, x_buffer.data());
        gather(pg + row * loops.rows.stride[1], loops.inner.stride[1], n, g_buffer.data());
        if (loops.by_columns)
          kernel<T>().adjoint_columns(g_buffer.data(), n, x_buffer.data(), n, 1, n, map, x_buffer.data(), n);
        else
          kernel<T>().adjoint_run(g_buffer.data(), x_buffer.data(), n, map, x_buffer.data(), false);
        scatter(x_buffer.data(), n, to + row * loops.rows.stride[2], loops.inner.stride[2]);
      }
    }
  });
}

// ------------------------------------------------------------------------------------- what is made of the four above

namespace {

struct Checked {
  std::size_t channels;
  std::vector<double> deviation;  // sqrt(variance + epsilon)
};

Checked check(const char* call, std::span<const Index> shape, std::span<const Index> kept, const Affine& by) {
  const Index channels = count_along(shape, kept);
  Checked checked{static_cast<std::size_t>(channels), {}};
  if (static_cast<Index>(by.mean.size()) != channels || static_cast<Index>(by.variance.size()) != channels)
    throw ShapeError(std::string("batch_norm::") + call + ": expected " + std::to_string(channels) +
                     " means and variances, got " + std::to_string(by.mean.size()) + " and " +
                     std::to_string(by.variance.size()));
  check_size(call, "gamma", by.gamma, channels);
  check_size(call, "beta", by.beta, channels);
  for (std::size_t c = 0; c < checked.channels; ++c) {
    const double v = by.variance[c] + by.epsilon;
    if (v <= 0)
      throw DomainError(std::string("batch_norm::") + call + ": variance + epsilon must be positive, got " +
                        std::to_string(by.variance[c]) + " + " + std::to_string(by.epsilon) + " in channel " +
                        std::to_string(c));
    checked.deviation.push_back(std::sqrt(v));
  }
  return checked;
}

template <class F>
std::vector<double> per_channel(std::size_t channels, F f) {
  std::vector<double> values(channels);
  for (std::size_t c = 0; c < channels; ++c) values[c] = f(c);
  return values;
}

}  // namespace

template <Scalar T>
void normalize(const TensorView<const T>& x, std::span<const Index> kept, const Affine& by, const TensorView<T>& out) {
  const Checked k = check("normalize", x.shape(), kept, by);
  const auto scale = per_channel(k.channels, [&](std::size_t c) { return at(by.gamma, c, 1) / k.deviation[c]; });
  const auto shift = per_channel(k.channels, [&](std::size_t c) { return at(by.beta, c, 0); });
  map_channels<T>(x, kept, by.mean, scale, shift, out);
}

template <Scalar T>
void denormalize(const TensorView<const T>& x, std::span<const Index> kept, const Affine& by,
                 const TensorView<T>& out) {
  const Checked k = check("denormalize", x.shape(), kept, by);
  for (std::size_t c = 0; c < by.gamma.size(); ++c)
    if (by.gamma[c] == 0)
      throw DomainError("batch_norm::denormalize: gamma is 0 in channel " + std::to_string(c) +
                        ", so the map has no inverse");
  const auto scale = per_channel(k.channels, [&](std::size_t c) { return k.deviation[c] / at(by.gamma, c, 1); });
  const auto centre = per_channel(k.channels, [&](std::size_t c) { return at(by.beta, c, 0); });
  map_channels<T>(x, kept, centre, scale, by.mean, out);
}

double log_det(const Affine& by) {
  double sum = 0;
  for (std::size_t c = 0; c < by.variance.size(); ++c)
    sum += std::log(std::abs(at(by.gamma, c, 1))) - 0.5 * std::log(by.variance[c] + by.epsilon);
  return sum;
}

template <Scalar T>
Moments training_forward(const TensorView<const T>& x, std::span<const Index> kept, std::span<const double> gamma,
                         std::span<const double> beta, double epsilon, const TensorView<T>& out) {
  Moments m = moments<T>(x, kept);
  normalize<T>(x, kept, {m.mean, m.variance, gamma, beta, epsilon}, out);
  return m;
}

template <Scalar T>
Gradients training_backward(const TensorView<const T>& x, std::span<const Index> kept, const Affine& by,
                            const Adjoints<T>& adjoints, const TensorView<T>& dx) {
  const Checked k = check("training_backward", x.shape(), kept, by);
  const double count = k.channels == 0 ? 0.0 : static_cast<double>(x.size()) / static_cast<double>(k.channels);
  const Index channels = static_cast<Index>(k.channels);
  check_size("training_backward", "the adjoint of mean", adjoints.mean, channels);
  check_size("training_backward", "the adjoint of variance", adjoints.variance, channels);
  check_size("training_backward", "the adjoint of invstd", adjoints.invstd, channels);
  const ChannelProducts sums = channel_products<T>(adjoints.out, x, kept, by.mean);
  Gradients gradients;
  gradients.beta = sums.g;
  gradients.gamma = per_channel(k.channels, [&](std::size_t c) {
    return sums.gd[c] / k.deviation[c] + (adjoints.log_det == 0 ? 0.0 : adjoints.log_det / at(by.gamma, c, 1));
  });
  if (!dx.data() || count == 0) return gradients;
  const auto a = per_channel(k.channels, [&](std::size_t c) { return at(by.gamma, c, 1) / k.deviation[c]; });
  const auto mean_g = per_channel(k.channels, [&](std::size_t c) { return sums.g[c] / count; });
  const auto b = per_channel(k.channels, [&](std::size_t c) {
    const double v = k.deviation[c] * k.deviation[c];
    return detail::adjoint_slope(a[c] * sums.gd[c], adjoints.log_det, v, count - by.correction,
                                 at(adjoints.variance, c, 0), at(adjoints.invstd, c, 0) / (v * k.deviation[c]));
  });
  const auto shift = per_channel(k.channels, [&](std::size_t c) { return at(adjoints.mean, c, 0) / count; });
  map_adjoint<T>(adjoints.out, x, kept, {by.mean, mean_g, a, b, shift}, dx);
  return gradients;
}

template <Scalar T>
Gradients inference_backward(const TensorView<const T>& x, std::span<const Index> kept, const Affine& by,
                             const Adjoints<T>& adjoints, const TensorView<T>& dx) {
  const Checked k = check("inference_backward", x.shape(), kept, by);
  const ChannelProducts sums = channel_products<T>(adjoints.out, x, kept, by.mean);
  Gradients gradients;
  gradients.beta = sums.g;
  gradients.gamma = per_channel(k.channels, [&](std::size_t c) {
    return sums.gd[c] / k.deviation[c] + (adjoints.log_det == 0 ? 0.0 : adjoints.log_det / at(by.gamma, c, 1));
  });
  const auto a = per_channel(k.channels, [&](std::size_t c) { return at(by.gamma, c, 1) / k.deviation[c]; });
  gradients.mean = per_channel(k.channels, [&](std::size_t c) { return -a[c] * sums.g[c] + at(adjoints.mean, c, 0); });
  gradients.variance = per_channel(k.channels, [&](std::size_t c) {
    const double v = k.deviation[c] * k.deviation[c];
    return at(adjoints.variance, c, 0) -
           0.5 * (a[c] * sums.gd[c] + adjoints.log_det + at(adjoints.invstd, c, 0) / k.deviation[c]) / v;
  });
  if (!dx.data()) return gradients;
  const std::vector<double> zero(k.channels, 0.0);
  map_adjoint<T>(adjoints.out, x, kept, {by.mean, zero, a, zero, zero}, dx);
  return gradients;
}

#define PUSHFORWARD_INSTANTIATE(T)                                                                                    \
  template Moments moments(const TensorView<const T>&, std::span<const Index>);                                       \
  template void normalize(const TensorView<const T>&, std::span<const Index>, const Affine&, const TensorView<T>&);   \
  template void denormalize(const TensorView<const T>&, std::span<const Index>, const Affine&, const TensorView<T>&); \
  template Moments training_forward(const TensorView<const T>&, std::span<const Index>, std::span<const double>,      \
                                    std::span<const double>, double, const TensorView<T>&);                           \
  template Gradients training_backward(const TensorView<const T>&, std::span<const Index>, const Affine&,             \
                                       const Adjoints<T>&, const TensorView<T>&);                                     \
  template Gradients inference_backward(const TensorView<const T>&, std::span<const Index>, const Affine&,            \
                                        const Adjoints<T>&, const TensorView<T>&);                                    \
  template void map_channels(const TensorView<const T>&, std::span<const Index>, std::span<const double>,             \
                             std::span<const double>, std::span<const double>, const TensorView<T>&);                 \
  template ChannelProducts channel_products(const TensorView<const T>&, const TensorView<const T>&,                   \
                                            std::span<const Index>, std::span<const double>);                         \
  template void map_adjoint(const TensorView<const T>&, const TensorView<const T>&, std::span<const Index>,           \
                            const ChannelAdjoint&, const TensorView<T>&);
PUSHFORWARD_INSTANTIATE(float)
PUSHFORWARD_INSTANTIATE(double)
#undef PUSHFORWARD_INSTANTIATE

}  // namespace pushforward::batch_norm
