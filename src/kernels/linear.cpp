// Linear maps on column-major batches, dense or staircase-shaped, and their gradients.
//
// All three products run through one register tile: M vectors by N chains,
//   y_j[lanes] (+)= sum_i w_j[i * step] * x[i][lanes],
// one fma chain per element in ascending i. A chain may be stopped, its partial sums stored, and taken up again without
// changing a bit, which is all the freedom that blocking needs: what is computed for an element depends neither on the
// blocks nor on its neighbours. Nothing is padded with zeros (0 * inf would be NaN): chains that end early leave the
// tile, and the others go on in a narrower one.

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "src/kernels/dispatch.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "src/kernels/linear.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "src/kernels/sum-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace pushforward::kernels {
namespace HWY_NAMESPACE {
namespace {  // names such as `fill` occur in several sources

// Tile sizes: accumulators, M vectors of x and one broadcast weight must fit into the registers (32 or 16).
#if (HWY_TARGET & (HWY_AVX3 | HWY_AVX3_DL)) || (HWY_ARCH_ARM_A64 && HWY_TARGET == HWY_NEON)
constexpr Index max_vectors = 4;
#else
constexpr Index max_vectors = 2;
#endif
constexpr Index max_chains = 6;

/// Length of a stretch of the contracted index: what a tile reads of it stays in the first-level cache.
constexpr Index stretch = 128;

template <class T>
constexpr Index lanes = HWY_LANES(T);
template <class T>
constexpr Index tile_width = max_vectors* lanes<T>;

HWY_INLINE constexpr Index smaller(Index a, Index b) { return a < b ? a : b; }
HWY_INLINE constexpr Index larger(Index a, Index b) { return a > b ? a : b; }

template <class T, int M, int N>
void tile(Index count, const T* x, Index ldx, const T* const* w, Index step, const T* init, T* const* y) {
  const hn::ScalableTag<T> d;
  using V = hn::Vec<hn::ScalableTag<T>>;
  V sum[N][M];
  const T* weight[N];
  HWY_UNROLL(8) for (int j = 0; j < N; ++j) {
    weight[j] = w[j];
    HWY_UNROLL(8) for (int m = 0; m < M; ++m) {
      sum[j][m] = init != nullptr ? hn::Set(d, init[j]) : hn::LoadU(d, y[j] + m * lanes<T>);
    }
  }
  Index at = 0;
  for (Index i = 0; i < count; ++i) {
    V xi[M];
    HWY_UNROLL(8) for (int m = 0; m < M; ++m) xi[m] = hn::LoadU(d, x + m * lanes<T>);
    HWY_UNROLL(8) for (int j = 0; j < N; ++j) {
      const V wj = hn::Set(d, weight[j][at]);
      HWY_UNROLL(8) for (int m = 0; m < M; ++m) sum[j][m] = hn::MulAdd(wj, xi[m], sum[j][m]);
    }
    at += step;
    x += ldx;
  }
  HWY_UNROLL(8) for (int j = 0; j < N; ++j) {
    HWY_UNROLL(8) for (int m = 0; m < M; ++m) hn::StoreU(sum[j][m], d, y[j] + m * lanes<T>);
  }
}

template <class T>
using Tile = void (*)(Index count, const T* x, Index ldx, const T* const* w, Index step, const T* init, T* const* y);

template <class T, int M>
inline constexpr Tile<T> tiles[max_chains] = {&tile<T, M, 1>, &tile<T, M, 2>, &tile<T, M, 3>,
                                              &tile<T, M, 4>, &tile<T, M, 5>, &tile<T, M, 6>};

template <class T>
HWY_INLINE Tile<T> tile_of(Index vectors, Index chains) {
  static constexpr const Tile<T>* by_vectors[] = {tiles<T, 1>, tiles<T, 2>, tiles<T, smaller(3, max_vectors)>,
                                                  tiles<T, max_vectors>};
  return by_vectors[vectors - 1][chains - 1];
}

/// The vectors of the widest tile that `left` > 0 values fill, the last vector perhaps in part.
template <class T>
HWY_INLINE Index vectors_for(Index left) {
  return smaller(max_vectors, (left + lanes<T> - 1) / lanes<T>);
}

template <class T>
HWY_INLINE T* aligned(T* p) {
  return reinterpret_cast<T*>((reinterpret_cast<std::uintptr_t>(p) + 63) & ~std::uintptr_t{63});
}

template <class T>
Index scratch_size(Index inputs) {
  // The largest need: backward_input keeps a stretch of outputs' weights and of gy, backward_weight a stretch of rows.
  return 64 + stretch * (inputs + max_chains + 2 * tile_width<T>);
}

/// Columns [begin, end) of `width` rows, side by side. Far columns often lie a power of two apart, where a cache keeps
/// only a few of them.
template <class T>
HWY_INLINE void pack_columns(const T* x, Index ldx, Index begin, Index end, Index width, T* packed) {
  const hn::ScalableTag<T> d;
  for (Index k = begin; k < end; ++k) {
    for (Index i = 0; i < width; i += lanes<T>) {
      hn::StoreU(hn::LoadU(d, x + k * ldx + i), d, packed);
      packed += lanes<T>;
    }
  }
}

template <class T>
void linear(Index n, const T* x, Index ldx, Staircase<T> w, Index begin, Index end, const T* bias, bool accumulate,
            T* y, Index ldy, T* scratch) {
  Index inputs = 0;
  for (Index o = begin; o < end; ++o) inputs = larger(inputs, w.prefix[o]);
  const bool packs = end - begin > 4 * max_chains;
  T* const packed = aligned(scratch);
  for (Index row = 0, width = 0; row < n; row += width) {
    const Index vectors = vectors_for<T>(n - row);
    width = vectors * lanes<T>;
    // At least once, for the outputs that read nothing.
    for (Index k0 = 0; k0 == 0 || k0 < inputs; k0 += stretch) {
      const Index k1 = smaller(k0 + stretch, inputs);
      const T* slice = x + row + k0 * ldx;
      Index ld = ldx;
      if (packs) {
        pack_columns(x + row, ldx, k0, k1, width, packed);
        slice = packed;
        ld = width;
      }
      for (Index o0 = begin; o0 < end; o0 += max_chains) {
        const Index o1 = smaller(o0 + max_chains, end);
        const T* weight[max_chains];
        T* sum[max_chains];
        T init[max_chains];
        Index stop[max_chains];
        Index chains = 0;
        Index next = k1;  // the first end of a chain
        for (Index o = o0; o < o1; ++o) {
          const Index last = smaller(w.prefix[o], k1);
          if (last <= k0 && k0 > 0) continue;
          weight[chains] = w.weights + w.offset[o] + k0;
          sum[chains] = y + row + o * ldy;
          init[chains] = bias == nullptr ? T(0) : bias[o];
          stop[chains] = last;
          next = smaller(next, last);
          ++chains;
        }
        bool starts = k0 == 0 && !accumulate;
        for (Index k = k0; chains > 0;) {
          tile_of<T>(vectors, chains)(next - k, slice + (k - k0) * ld, ld, weight, 1, starts ? init : nullptr, sum);
          starts = false;
          Index kept = 0;
          Index nearest = k1;
          for (Index j = 0; j < chains; ++j) {
            if (stop[j] == next) continue;
            weight[kept] = weight[j] + (next - k);
            sum[kept] = sum[j];
            stop[kept] = stop[j];
            nearest = smaller(nearest, stop[j]);
            ++kept;
          }
          chains = kept;
          k = next;
          next = nearest;
        }
      }
    }
  }
}

template <class T>
void linear_packed(Index rows, const T* x, Index ldx, const T* w, Index inputs, Index outputs, const T* bias, T* y,
                   Index ldy) {
  const hn::ScalableTag<T> d;
  using V = hn::Vec<hn::ScalableTag<T>>;
  constexpr Index vectors = 4, width = vectors * lanes<T>;
  const Index padded = (outputs + row_block - 1) / row_block * row_block;
  HWY_ALIGN T result[width];
  for (Index row = 0; row < rows; ++row) {
    for (Index o0 = 0; o0 < outputs; o0 += width) {
      const Index filled = smaller(width, outputs - o0), used = (filled + lanes<T> - 1) / lanes<T>;
      for (Index j = 0; j < width; ++j) result[j] = bias == nullptr || j >= filled ? T(0) : bias[o0 + j];
      const auto run = [&](auto count) HWY_ATTR {
        constexpr Index n = decltype(count)::value;
        V sum[n];
        HWY_UNROLL(4) for (Index v = 0; v < n; ++v) sum[v] = hn::Load(d, result + v * lanes<T>);
        const T* weights = w + o0;
        for (Index k = 0; k < inputs; ++k, weights += padded) {
          const V xk = hn::Set(d, x[row + k * ldx]);
          HWY_UNROLL(4) for (Index v = 0; v < n; ++v) {
            sum[v] = hn::MulAdd(hn::LoadU(d, weights + v * lanes<T>), xk, sum[v]);
          }
        }
        HWY_UNROLL(4) for (Index v = 0; v < n; ++v) hn::Store(sum[v], d, result + v * lanes<T>);
      };
      if (used == 1) {
        run(std::integral_constant<Index, 1>());
      } else if (used == 2) {
        run(std::integral_constant<Index, 2>());
      } else if (used == 3) {
        run(std::integral_constant<Index, 3>());
      } else {
        run(std::integral_constant<Index, 4>());
      }
      for (Index j = 0; j < filled; ++j) {
        T* to = y + (o0 + j) * ldy;
        if (row > 0) {
          to[row] = result[j];
          continue;
        }
        const V all = hn::Set(d, result[j]);
        for (Index i = 0; i < row_block; i += lanes<T>) hn::StoreU(all, d, to + i);
      }
    }
  }
}

/// Outputs [o0, o1) looked at in groups: least and largest prefix of each.
struct PrefixGroups {
  static constexpr Index size = 16;
  static constexpr Index count = stretch / size;
  Index least[count];
  Index largest[count];
};

template <class T>
void linear_backward_input(Index n, const T* gy, Index ldgy, Staircase<T> w, Index begin, Index end, Index inputs,
                           T* gx, Index ldgx, T* scratch) {
  if (n == 0 || inputs == 0) return;
  const bool packs = inputs > 11 * max_chains;  // fewer panels read their outputs faster from the second-level cache
  T* const packed = aligned(scratch);
  T* const packed_weights = packed + stretch * tile_width<T>;

  for (Index o0 = begin; o0 < end; o0 += stretch) {
    const Index o1 = smaller(o0 + stretch, end);
    PrefixGroups groups;
    for (Index o = o0, g = 0; o < o1; ++g) {
      const Index last = smaller(o + PrefixGroups::size, o1);
      groups.least[g] = groups.largest[g] = w.prefix[o];
      for (; o < last; ++o) {
        groups.least[g] = smaller(groups.least[g], w.prefix[o]);
        groups.largest[g] = larger(groups.largest[g], w.prefix[o]);
      }
    }
    bool even = true;
    for (Index o = o0 + 2; o < o1; ++o)
      even = even && w.offset[o] - w.offset[o - 1] == w.offset[o - 1] - w.offset[o - 2];
    // Where one step leads from output to output, a tile reads the weights where they are.
    const Index step = !even ? max_chains : o0 + 1 < o1 ? w.offset[o0 + 1] - w.offset[o0] : 0;
    if (!even) {
      // [panel of max_chains inputs][output][input]; what lies beyond a prefix is neither written nor read. A few rows
      // at a time, panel by panel: far rows and far panels share cache sets.
      constexpr Index few = 8;
      for (Index ob = o0; ob < o1; ob += few) {
        const Index oe = smaller(ob + few, o1);
        T* const start = packed_weights + (ob - o0) * max_chains;
        const T* from[few];
        Index least = oe - ob == few ? inputs : 0;
        for (Index o = ob; o < oe; ++o) {
          from[o - ob] = w.weights + w.offset[o];
          least = smaller(least, w.prefix[o]);
        }
        Index k = 0;
        for (; k + max_chains <= least; k += max_chains) {
          HWY_UNROLL(8) for (Index j = 0; j < few; ++j) {
            std::memcpy(start + k * stretch + j * max_chains, from[j] + k, max_chains * sizeof(T));
          }
        }
        for (; k < inputs; k += max_chains) {
          for (Index o = ob; o < oe; ++o) {
            const Index left = smaller(max_chains, smaller(w.prefix[o], inputs) - k);
            for (Index j = 0; j < left; ++j) start[k * stretch + (o - ob) * max_chains + j] = from[o - ob][k + j];
          }
        }
      }
    }
    for (Index row = 0, width = 0; row < n; row += width) {
      const Index vectors = vectors_for<T>(n - row);
      width = vectors * lanes<T>;
      const T* slice = gy + row + o0 * ldgy;
      Index ld = ldgy;
      if (packs) {
        pack_columns(gy + row, ldgy, o0, o1, width, packed);
        slice = packed;
        ld = width;
      }
      for (Index k0 = 0; k0 < inputs; k0 += max_chains) {
        const Index panel = smaller(max_chains, inputs - k0);
        T* sum[max_chains];
        for (Index j = 0; j < panel; ++j) sum[j] = gx + row + (k0 + j) * ldgx;

        const T* const first = even ? w.weights + w.offset[o0] + k0 : packed_weights + k0 * stretch;

        // Runs of outputs that reach the same number of this panel's inputs.
        Index run = o0;
        Index chains = 0;
        const auto extend = [&](Index o, Index reach) HWY_ATTR {
          if (reach == chains) return;
          if (chains > 0) {
            const T* weight[max_chains];
            for (Index j = 0; j < chains; ++j) weight[j] = first + (run - o0) * step + j;
            tile_of<T>(vectors, chains)(o - run, slice + (run - o0) * ld, ld, weight, step, nullptr, sum);
          }
          run = o;
          chains = reach;
        };
        for (Index o = o0, g = 0; o < o1; ++g) {
          const Index last = smaller(o + PrefixGroups::size, o1);
          const bool full = groups.least[g] >= k0 + panel;
          const bool none = groups.largest[g] <= k0;
          if (none || full) {
            extend(o, none ? 0 : panel);
            o = last;
          } else {
            for (; o < last; ++o) extend(o, larger(0, smaller(w.prefix[o] - k0, panel)));
          }
        }
        extend(o1, 0);
      }
    }
  }
}

/// to[i * ld + c] = x[c * ldx + i] for i < count, c < width.
template <class T>
HWY_INLINE void transpose(const T* x, Index ldx, Index count, Index width, T* to, Index ld) {
  Index c = 0;
#if HWY_TARGET != HWY_SCALAR
  constexpr Index side = 16 / sizeof(T);
  const hn::FixedTag<T, side> d;
  for (; c + side <= width; c += side) {
    const T* column = x + c * ldx;
    T* row = to + c;
    if (c + 2 * side <= width) {
      for (Index next = c + side; next < c + 2 * side; ++next)
        for (Index i = 0; i < count; i += 64 / static_cast<Index>(sizeof(T))) hwy::Prefetch(x + next * ldx + i);
    }
    Index i = 0;
    for (; i + side <= count; i += side, row += side * ld) {
      const auto c0 = hn::LoadU(d, column + i);
      const auto c1 = hn::LoadU(d, column + ldx + i);
      if constexpr (side == 2) {
        hn::StoreU(hn::InterleaveLower(d, c0, c1), d, row);
        hn::StoreU(hn::InterleaveUpper(d, c0, c1), d, row + ld);
      } else {
        const auto c2 = hn::LoadU(d, column + 2 * ldx + i);
        const auto c3 = hn::LoadU(d, column + 3 * ldx + i);
        const auto even_low = hn::InterleaveLower(d, c0, c2);
        const auto odd_low = hn::InterleaveLower(d, c1, c3);
        const auto even_high = hn::InterleaveUpper(d, c0, c2);
        const auto odd_high = hn::InterleaveUpper(d, c1, c3);
        hn::StoreU(hn::InterleaveLower(d, even_low, odd_low), d, row);
        hn::StoreU(hn::InterleaveUpper(d, even_low, odd_low), d, row + ld);
        hn::StoreU(hn::InterleaveLower(d, even_high, odd_high), d, row + 2 * ld);
        hn::StoreU(hn::InterleaveUpper(d, even_high, odd_high), d, row + 3 * ld);
      }
    }
    for (; i < count; ++i, row += ld) {
      for (Index j = 0; j < side; ++j) row[j] = column[j * ldx + i];
    }
  }
#endif
  for (; c < width; ++c) {
    for (Index i = 0; i < count; ++i) to[i * ld + c] = x[c * ldx + i];
  }
}

/// Up to this many inputs the gradient of the weights has its lanes along the outputs.
constexpr Index few_inputs = 2 * max_chains;

/// The same chains, and so the same bits, as the general case below.
template <class T>
void backward_weight_of_few_inputs(Index n, const T* gy, Index ldgy, const T* x, Index ldx, const Index* prefix,
                                   const Index* offset, Index begin, Index end, Index inputs, T* gw, T* rows) {
  constexpr Index width = tile_width<T>;
  for (Index o0 = begin; o0 < end; o0 += width) {
    const Index filled = smaller(width, end - o0);
    const Index vectors = vectors_for<T>(filled);
    HWY_ALIGN T sums[few_inputs][width] = {};  // transposed weights; those that do not exist stay behind
    for (Index c = 0; c < filled; ++c) {
      const T* from = gw + offset[o0 + c];
      for (Index k = 0; k < prefix[o0 + c]; ++k) sums[k][c] = from[k];
    }
    for (Index row = 0; row < n; row += stretch) {
      const Index count = smaller(stretch, n - row);
      transpose(gy + row + o0 * ldgy, ldgy, count, filled, rows, width);
      for (Index i = 0; filled < width && i < count; ++i) {
        std::memset(rows + i * width + filled, 0, static_cast<std::size_t>(width - filled) * sizeof(T));
      }
      for (Index k0 = 0; k0 < inputs; k0 += max_chains) {
        const Index chains = smaller(max_chains, inputs - k0);
        const T* weight[max_chains];
        T* sum[max_chains];
        for (Index j = 0; j < chains; ++j) {
          weight[j] = x + row + (k0 + j) * ldx;
          sum[j] = sums[k0 + j];
        }
        tile_of<T>(vectors, chains)(count, rows, width, weight, 1, nullptr, sum);
      }
    }
    for (Index c = 0; c < filled; ++c) {
      T* to = gw + offset[o0 + c];
      for (Index k = 0; k < prefix[o0 + c]; ++k) to[k] = sums[k][c];
    }
  }
}

template <class T>
void linear_backward_weight(Index n, const T* gy, Index ldgy, const T* x, Index ldx, const Index* prefix,
                            const Index* offset, Index begin, Index end, T* gw, T* gbias, T* scratch) {
  constexpr Index width = tile_width<T>;
  Index inputs = 0;
  for (Index o = begin; o < end; ++o) inputs = larger(inputs, prefix[o]);
  T* const rows = aligned(scratch);
  const bool few = inputs <= few_inputs && 2 * inputs <= end - begin;
  if (few) backward_weight_of_few_inputs(n, gy, ldgy, x, ldx, prefix, offset, begin, end, inputs, gw, rows);
  for (Index row = 0; row < n && !few; row += stretch) {
    const Index count = smaller(stretch, n - row);
    for (Index k0 = 0; k0 < inputs; k0 += width) {
      // The lanes run along the inputs, so that an element's chain runs along the rows.
      const Index filled = smaller(width, inputs - k0);
      transpose(x + row + k0 * ldx, ldx, count, filled, rows, width);
      for (Index i = 0; filled < width && i < count; ++i) {
        std::memset(rows + i * width + filled, 0, static_cast<std::size_t>(width - filled) * sizeof(T));
      }
      const bool whole = filled % lanes<T> == 0;
      HWY_ALIGN T copy[max_chains][width] = {};
      for (Index o0 = begin; o0 < end; o0 += max_chains) {
        const Index o1 = smaller(o0 + max_chains, end);
        const T* weight[max_chains];
        T* sum[max_chains];
        Index valid[max_chains];
        Index chains = 0;
        Index most = 0;
        bool direct = whole;
        for (Index o = o0; o < o1; ++o) {
          const Index reach = smaller(prefix[o] - k0, width);
          if (reach <= 0) continue;
          weight[chains] = gy + row + o * ldgy;
          sum[chains] = gw + offset[o] + k0;
          valid[chains] = reach;
          most = larger(most, reach);
          direct = direct && reach == filled;
          ++chains;
        }
        if (chains == 0) continue;
        const Tile<T> run = tile_of<T>(vectors_for<T>(most), chains);
        if (direct) {
          run(count, rows, width, weight, 1, nullptr, sum);
          continue;
        }
        // Rows of weights that end within a vector: in a copy, of which only what exists goes back. The lanes beyond
        // hold what other rows left there.
        T* copies[max_chains];
        for (Index j = 0; j < chains; ++j) {
          copies[j] = copy[j];
          std::memcpy(copy[j], sum[j], static_cast<std::size_t>(valid[j]) * sizeof(T));
        }
        run(count, rows, width, weight, 1, nullptr, copies);
        for (Index j = 0; j < chains; ++j) {
          std::memcpy(sum[j], copy[j], static_cast<std::size_t>(valid[j]) * sizeof(T));
        }
      }
    }
  }
  if (gbias == nullptr) return;
  for (Index o = begin; o < end; ++o) {
    gbias[o] = static_cast<T>(static_cast<double>(gbias[o]) + column_sum(gy + o * ldgy, n));
  }
}

template <class T>
void fill(Table<T>& table) {
  table.linear = &linear<T>;
  table.linear_packed = &linear_packed<T>;
  table.linear_backward_input = &linear_backward_input<T>;
  table.linear_backward_weight = &linear_backward_weight<T>;
  table.scratch_size = &scratch_size<T>;
}

}  // namespace

void fill_linear_f32(Table<float>& table) { fill(table); }
void fill_linear_f64(Table<double>& table) { fill(table); }

}  // namespace HWY_NAMESPACE
}  // namespace pushforward::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pushforward::kernels {
PUSHFORWARD_EXPORT_FILL(fill_linear)
}  // namespace pushforward::kernels
#endif
