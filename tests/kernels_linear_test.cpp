// The matrix products of every instruction set that this machine has: accuracy against long double, bits independent of
// blocking and neighbours, and nothing read or written that is masked.

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "tests/catch.hpp"
#include "tests/kernels.hpp"
#include "src/kernels/dispatch.hpp"
#include "src/kernels/kernels.hpp"

using namespace kernel_tests;

namespace {

enum class Shape { dense, ascending, descending, ragged, blocks };

template <class T>
struct Problem {
  Index rows, inputs, outputs, ld;
  std::vector<Index> prefix, offset;
  Buffer<T> w, x, y, bias;

  static Index weight_count(const std::vector<Index>& prefix, Index inputs, bool packed) {
    return packed ? std::accumulate(prefix.begin(), prefix.end(), Index{0})
                  : inputs * static_cast<Index>(prefix.size());
  }
  static std::vector<Index> make_prefix(Index inputs, Index outputs, Shape shape, std::mt19937_64& engine) {
    std::vector<Index> prefix(static_cast<std::size_t>(outputs), inputs);
    std::uniform_int_distribution<Index> any(0, inputs);
    if (shape != Shape::dense) {
      for (Index& p : prefix) p = any(engine);
    }
    if (shape == Shape::ascending) std::sort(prefix.begin(), prefix.end());
    if (shape == Shape::descending) std::sort(prefix.rbegin(), prefix.rend());
    if (shape == Shape::blocks) {
      for (Index o = 0; o < outputs; ++o) prefix[static_cast<std::size_t>(o)] = inputs * (o * 5 / outputs) / 4;
    }
    return prefix;
  }

  /// `packed`: the rows of weights follow each other without gaps, as a masked network stores them.
  Problem(Index n, Index k, Index o, Shape shape, bool packed, std::mt19937_64& engine)
      : rows(n),
        inputs(k),
        outputs(o),
        ld(n + 16),
        prefix(make_prefix(k, o, shape, engine)),
        w(random_values<T>(weight_count(prefix, k, packed), engine)),
        x(random_values<T>(ld * k, engine)),
        y(random_values<T>(ld * o, engine)),
        bias(random_values<T>(o, engine)) {
    Index at = 0;
    for (Index j = 0; j < o; ++j) {
      offset.push_back(packed ? at : j * k);
      at += prefix[static_cast<std::size_t>(j)];
    }
  }
  Staircase<T> staircase() const { return {w.get(), prefix.data(), offset.data()}; }
  Index reach(Index o) const { return prefix[static_cast<std::size_t>(o)]; }
  T weight(Index o, Index k) const { return w[offset[static_cast<std::size_t>(o)] + k]; }
  Index most() const { return *std::max_element(prefix.begin(), prefix.end()); }
};

/// Runs `body(table, problem, scratch)` for every instruction set over shapes that hit each kind of edge.
template <class T, class Body>
void for_problems(Body body) {
  std::mt19937_64 engine(23);
  struct Size {
    Index rows, inputs, outputs;
  };
  const Size sizes[] = {{16, 1, 1},  {16, 5, 6},     {32, 6, 13},    {48, 17, 7},  {64, 64, 26},
                        {80, 33, 1}, {112, 130, 40}, {16, 140, 150}, {144, 3, 31}, {16, 270, 31},
                        {272, 37, 9}};
  for (const Size& size : sizes) {
    for (const Shape shape : {Shape::dense, Shape::ascending, Shape::descending, Shape::ragged, Shape::blocks}) {
      const bool packed = shape == Shape::ascending || shape == Shape::ragged;
      const Problem<T> problem(size.rows, size.inputs, size.outputs, shape, packed, engine);
      for (const Table<T>* t : available_tables<T>()) {
        CAPTURE(t->instruction_set, size.rows, size.inputs, size.outputs, static_cast<int>(shape));
        Buffer<T> scratch(t->scratch_size(size.inputs), nan_value<T>);
        body(*t, problem, scratch.get());
      }
    }
  }
}

template <class T>
constexpr LongDouble unit = std::numeric_limits<T>::epsilon() / 2;

TEMPLATE_TEST_CASE("kernels: linear", "[kernels]", float, double) {
  using T = TestType;
  for_problems<T>([](const Table<T>& t, const Problem<T>& p, T* scratch) {
    const Staircase<T> w = p.staircase();
    for (const int mode : {0, 1, 2}) {  // bias, none, accumulate
      Buffer<T> y(p.y);
      const T* bias = mode == 0 ? p.bias.get() : nullptr;
      t.linear(p.rows, p.x.get(), p.ld, w, 0, p.outputs, bias, mode == 2, y.get(), p.ld, scratch);
      LongDouble worst = 0;
      for (Index o = 0; o < p.outputs; ++o) {
        for (Index i = 0; i < p.rows; ++i) {
          LongDouble sum = mode == 0 ? p.bias[o] : mode == 1 ? T(0) : p.y[i + o * p.ld];
          LongDouble size = std::abs(sum);
          for (Index k = 0; k < p.reach(o); ++k) {
            const LongDouble term = LongDouble(p.x[i + k * p.ld]) * p.weight(o, k);
            sum += term;
            size += std::abs(term);
          }
          const LongDouble error = std::abs(y[i + o * p.ld] - sum);
          worst = std::max(worst, error / (size * LongDouble(p.reach(o) + 2) * unit<T> + LongDouble(1e-300)));
        }
      }
      CHECK(static_cast<double>(worst) <= 1);
      bool untouched = true;
      for (Index o = 0; o < p.outputs; ++o) {
        for (Index i = p.rows; i < p.ld; ++i) untouched = untouched && y[i + o * p.ld] == p.y[i + o * p.ld];
      }
      CHECK(untouched);

      // Block of rows by block of rows, and the outputs in two pieces: the same bits.
      Buffer<T> again(p.y);
      const Index middle = p.outputs / 3;
      for (Index i = 0; i < p.rows; i += row_block) {
        t.linear(row_block, p.x.get() + i, p.ld, w, middle, p.outputs, bias, mode == 2, again.get() + i, p.ld, scratch);
        t.linear(row_block, p.x.get() + i, p.ld, w, 0, middle, bias, mode == 2, again.get() + i, p.ld, scratch);
      }
      CHECK(again.same_bits(y));
    }
    // What an output does not read cannot reach it.
    const Index masked = p.inputs / 2;
    Buffer<T> x(p.x), clean(p.y), y(p.y);
    for (Index i = 0; i < p.ld; ++i) x[i + masked * p.ld] = i % 2 ? nan_value<T> : infinity<T>;
    t.linear(p.rows, p.x.get(), p.ld, w, 0, p.outputs, p.bias.get(), false, clean.get(), p.ld, scratch);
    t.linear(p.rows, x.get(), p.ld, w, 0, p.outputs, p.bias.get(), false, y.get(), p.ld, scratch);
    bool as_expected = true;
    for (Index o = 0; o < p.outputs; ++o) {
      for (Index i = 0; i < p.rows; ++i) {
        const T value = y[i + o * p.ld];
        as_expected = as_expected && (p.reach(o) > masked ? !std::isfinite(value) : value == clean[i + o * p.ld]);
      }
    }
    CHECK(as_expected);
  });
}

TEMPLATE_TEST_CASE("kernels: linear_packed has the bits of linear", "[kernels]", float, double) {
  using T = TestType;
  for_problems<T>([](const Table<T>& t, const Problem<T>& p, T* scratch) {
    const Index padded = (p.outputs + row_block - 1) / row_block * row_block;
    Buffer<T> packed(p.inputs * padded);
    for (Index o = 0; o < p.outputs; ++o) {
      for (Index k = 0; k < p.reach(o); ++k) packed[k * padded + o] = p.weight(o, k);
    }
    const Buffer<T> outside(p.ld * p.outputs, nan_value<T>);
    for (const Index rows : {1, 2, 5, 15}) {
      for (const T* bias : {static_cast<const T*>(p.bias.get()), static_cast<const T*>(nullptr)}) {
        CAPTURE(rows, bias != nullptr);
        Buffer<T> expected(outside), y(outside);
        t.linear(row_block, p.x.get(), p.ld, p.staircase(), 0, p.outputs, bias, false, expected.get(), p.ld, scratch);
        for (Index o = 0; o < p.outputs; ++o) {
          std::fill_n(expected.get() + o * p.ld + rows, row_block - rows, expected[o * p.ld]);
        }
        t.linear_packed(rows, p.x.get(), p.ld, packed.get(), p.inputs, p.outputs, bias, y.get(), p.ld);
        CHECK(y.same_bits(expected));
      }
    }
  });
}

TEMPLATE_TEST_CASE("kernels: linear_backward_input", "[kernels]", float, double) {
  using T = TestType;
  for_problems<T>([](const Table<T>& t, const Problem<T>& p, T* scratch) {
    const Staircase<T> w = p.staircase();
    Buffer<T> gx(p.x);
    t.linear_backward_input(p.rows, p.y.get(), p.ld, w, 0, p.outputs, p.inputs, gx.get(), p.ld, scratch);
    LongDouble worst = 0;
    for (Index k = 0; k < p.inputs; ++k) {
      for (Index i = 0; i < p.rows; ++i) {
        LongDouble sum = p.x[i + k * p.ld];
        LongDouble size = std::abs(sum);
        for (Index o = 0; o < p.outputs; ++o) {
          if (k >= p.reach(o)) continue;
          const LongDouble term = LongDouble(p.y[i + o * p.ld]) * p.weight(o, k);
          sum += term;
          size += std::abs(term);
        }
        const LongDouble error = std::abs(gx[i + k * p.ld] - sum);
        worst = std::max(worst, error / (size * LongDouble(p.outputs + 2) * unit<T>));
      }
    }
    CHECK(static_cast<double>(worst) <= 1);
    bool untouched = true;
    for (Index k = 0; k < p.inputs; ++k) {
      for (Index i = p.rows; i < p.ld; ++i) untouched = untouched && gx[i + k * p.ld] == p.x[i + k * p.ld];
    }
    CHECK(untouched);

    // Block of rows by block of rows; the outputs in two pieces, in order, continue the same chains.
    Buffer<T> again(p.x);
    const Index middle = p.outputs / 3;
    for (Index i = 0; i < p.rows; i += row_block) {
      for (const auto& [b, e] : {std::pair{Index{0}, middle}, std::pair{middle, p.outputs}}) {
        t.linear_backward_input(row_block, p.y.get() + i, p.ld, w, b, e, p.inputs, again.get() + i, p.ld, scratch);
      }
    }
    CHECK(again.same_bits(gx));

    const Index bad = p.outputs / 2;
    Buffer<T> gy(p.y), dirty(p.x);
    for (Index i = 0; i < p.ld; ++i) gy[i + bad * p.ld] = i % 2 ? nan_value<T> : infinity<T>;
    t.linear_backward_input(p.rows, gy.get(), p.ld, w, 0, p.outputs, p.inputs, dirty.get(), p.ld, scratch);
    bool as_expected = true;
    for (Index k = 0; k < p.inputs; ++k) {
      for (Index i = 0; i < p.rows; ++i) {
        const T value = dirty[i + k * p.ld];
        as_expected = as_expected && (k < p.reach(bad) ? !std::isfinite(value) : value == gx[i + k * p.ld]);
      }
    }
    CHECK(as_expected);
  });
}

TEMPLATE_TEST_CASE("kernels: linear_backward_weight", "[kernels]", float, double) {
  using T = TestType;
  for_problems<T>([](const Table<T>& t, const Problem<T>& p, T* scratch) {
    for (const Index n : {p.rows, p.rows - 1, p.rows - 11, Index{0}}) {
      CAPTURE(n);
      // Nothing from row n on may be used.
      Buffer<T> x(p.x), gy(p.y);
      for (Index k = 0; k < p.inputs; ++k) std::fill(x.get() + n + k * p.ld, x.get() + (k + 1) * p.ld, nan_value<T>);
      for (Index o = 0; o < p.outputs; ++o) std::fill(gy.get() + n + o * p.ld, gy.get() + (o + 1) * p.ld, nan_value<T>);
      Buffer<T> gw(p.w), gbias(p.bias);
      t.linear_backward_weight(n, gy.get(), p.ld, x.get(), p.ld, p.prefix.data(), p.offset.data(), 0, p.outputs,
                               gw.get(), gbias.get(), scratch);
      LongDouble worst = 0, worst_bias = 0;
      for (Index o = 0; o < p.outputs; ++o) {
        const Index at = p.offset[static_cast<std::size_t>(o)];
        for (Index k = 0; k < p.reach(o); ++k) {
          LongDouble sum = p.w[at + k];
          LongDouble size = std::abs(sum);
          for (Index i = 0; i < n; ++i) {
            const LongDouble term = LongDouble(p.x[i + k * p.ld]) * p.y[i + o * p.ld];
            sum += term;
            size += std::abs(term);
          }
          worst = std::max(worst, std::abs(gw[at + k] - sum) / (size * LongDouble(n + 2) * unit<T>));
        }
        LongDouble sum = p.bias[o];
        LongDouble size = std::abs(sum);
        for (Index i = 0; i < n; ++i) {
          sum += p.y[i + o * p.ld];
          size += std::abs(p.y[i + o * p.ld]);
        }
        // Summed in double, rounded once to T.
        const LongDouble tolerance = unit<T> * std::abs(sum) + unit<double> * size * LongDouble(row_block + n);
        worst_bias = std::max(worst_bias, std::abs(gbias[o] - sum) / tolerance);
      }
      CHECK(static_cast<double>(worst) <= 1);
      CHECK(static_cast<double>(worst_bias) <= 1);
      if (gw.size() == p.inputs * p.outputs) {
        bool untouched = true;
        for (Index o = 0; o < p.outputs; ++o) {
          for (Index k = p.reach(o); k < p.inputs; ++k) {
            untouched = untouched && gw[k + o * p.inputs] == p.w[k + o * p.inputs];
          }
        }
        CHECK(untouched);
      }

      // The outputs in two pieces: the same bits; the rows in two pieces, in order, continue the same chains.
      Buffer<T> pieces(p.w), pieces_bias(p.bias), by_rows(p.w);
      const Index middle = p.outputs / 3, half = n / 2;
      for (const auto& [b, e] : {std::pair{middle, p.outputs}, std::pair{Index{0}, middle}}) {
        t.linear_backward_weight(n, gy.get(), p.ld, x.get(), p.ld, p.prefix.data(), p.offset.data(), b, e, pieces.get(),
                                 pieces_bias.get(), scratch);
        for (const auto& [i0, i1] : {std::pair{Index{0}, half}, std::pair{half, n}}) {
          t.linear_backward_weight(i1 - i0, gy.get() + i0, p.ld, x.get() + i0, p.ld, p.prefix.data(), p.offset.data(),
                                   b, e, by_rows.get(), nullptr, scratch);
        }
      }
      CHECK(pieces.same_bits(gw));
      CHECK(pieces_bias.same_bits(gbias));
      CHECK(by_rows.same_bits(gw));
    }
    // What a weight's row does not read cannot reach it.
    const Index masked = p.inputs / 2;
    Buffer<T> x(p.x), clean(p.w), gw(p.w);
    for (Index i = 0; i < p.ld; ++i) x[i + masked * p.ld] = nan_value<T>;
    for (const auto& [from, to] : {std::pair{&p.x, &clean}, std::pair{static_cast<const Buffer<T>*>(&x), &gw}}) {
      t.linear_backward_weight(p.rows, p.y.get(), p.ld, from->get(), p.ld, p.prefix.data(), p.offset.data(), 0,
                               p.outputs, to->get(), nullptr, scratch);
    }
    bool as_expected = true;
    for (Index o = 0; o < p.outputs; ++o) {
      for (Index k = 0; k < p.reach(o); ++k) {
        const Index at = p.offset[static_cast<std::size_t>(o)] + k;
        as_expected = as_expected && (k == masked ? std::isnan(gw[at]) : gw[at] == clean[at]);
      }
    }
    CHECK(as_expected);
    // Nor can what belongs to the row before it, wherever that ends.
    for (Index infinite = 0; infinite < std::min(p.outputs, Index{12}); ++infinite) {
      Buffer<T> gy(p.y), other(p.w);
      for (Index i = 0; i < p.ld; ++i) gy[i + infinite * p.ld] = std::numeric_limits<T>::infinity();
      t.linear_backward_weight(p.rows, gy.get(), p.ld, p.x.get(), p.ld, p.prefix.data(), p.offset.data(), 0, p.outputs,
                               other.get(), nullptr, scratch);
      bool apart = true;
      for (Index o = 0; o < p.outputs; ++o) {
        for (Index k = 0; k < p.reach(o); ++k) {
          const Index at = p.offset[static_cast<std::size_t>(o)] + k;
          apart = apart && (o == infinite ? !std::isfinite(other[at]) : other[at] == clean[at]);
        }
      }
      CHECK(apart);
    }
  });
}

}  // namespace
