// Normalisation with statistics per channel: sums, products and affine maps, for values of one channel in a row and
// for rows of one value per channel.

#include "src/kernels/dispatch.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "src/kernels/normalize.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "src/kernels/math-inl.hpp"
#include "src/kernels/sum-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace pushforward::kernels {
namespace HWY_NAMESPACE {
namespace {  // names such as `fill` occur in several sources

// ---- one value for all: parameters are numbers

template <class T>
struct Normalize {
  Vec<T> mean, rest, scale, shift;
  HWY_INLINE Vec<T> operator()(Vec<T> x) { return hn::MulAdd(hn::Sub(hn::Sub(x, mean), rest), scale, shift); }
};
template <class T>
struct Adjoint {
  Vec<T> mean, rest, a, mean_g, b, c;
  HWY_INLINE Vec<T> operator()(Vec<T> g, Vec<T> x) {
    return hn::MulAdd(hn::Sub(g, mean_g), a, hn::MulAdd(hn::Sub(hn::Sub(x, mean), rest), b, c));
  }
};

template <class T>
void normalize_run(const T* x, Index n, const ChannelMap<T>& p, T* y) {
  const hn::ScalableTag<T> d;
  map(Normalize<T>{hn::Set(d, *p.mean), hn::Set(d, *p.rest), hn::Set(d, *p.scale), hn::Set(d, *p.shift)}, y, n, x);
}
template <class T>
struct AccumulatedAdjoint {
  Adjoint<T> adjoint;
  HWY_INLINE Vec<T> operator()(Vec<T> g, Vec<T> x, Vec<T> old) { return hn::Add(old, adjoint(g, x)); }
};

template <class T>
void adjoint_run(const T* g, const T* x, Index n, const ChannelAdjoint<T>& p, T* gx, bool accumulate) {
  const hn::ScalableTag<T> d;
  const Adjoint<T> f{hn::Set(d, *p.mean),   hn::Set(d, *p.rest), hn::Set(d, *p.a),
                     hn::Set(d, *p.mean_g), hn::Set(d, *p.b),    hn::Set(d, *p.c)};
  if (accumulate)
    map(AccumulatedAdjoint<T>{f}, gx, n, g, x, static_cast<const T*>(gx));
  else
    map(f, gx, n, g, x);
}
template <class T>
void products_run(const T* g, const T* x, Index n, double mean, double* sum_g, double* sum_gd) {
  const VecD m = hn::Set(hn::ScalableTag<double>(), mean);
  LaneSums first, second;
  Index i = 0;
  for (; i + row_block <= n; i += row_block) {
    HWY_UNROLL(16) for (Index j = 0; j < LaneSums::vectors; ++j) {
      const Index at = i + j * LaneSums::lanes;
      const VecD gi = load_double(g + at);
      first.v[j] = hn::Add(first.v[j], gi);
      second.v[j] = hn::Add(second.v[j], hn::Mul(gi, hn::Sub(load_double(x + at), m)));
    }
  }
  double first_lane[row_block], second_lane[row_block];
  first.store(first_lane);
  second.store(second_lane);
  for (Index j = 0; i < n; ++i, ++j) {
    first_lane[j] += static_cast<double>(g[i]);
    second_lane[j] += static_cast<double>(g[i]) * (static_cast<double>(x[i]) - mean);
  }
  *sum_g = merge_lanes(first_lane);
  *sum_gd = merge_lanes(second_lane);
}

// ---- rows of one value per channel: parameters are arrays

// Columns in pieces of `V` vectors, whose sums stay in registers while the rows go by.
constexpr Index double_lanes = HWY_LANES(double);

template <Index V, class T>
HWY_INLINE Index sum_pieces(Index c, const T* x, Index stride, Index rows, Index cols, const T* shift, double* first,
                            double* second) {
  const hn::ScalableTag<double> d;
  for (; c + V * double_lanes <= cols; c += V * double_lanes) {
    VecD s[V], f[V], q[V];
    HWY_UNROLL(8) for (Index j = 0; j < V; ++j) {
      s[j] = load_double(shift + c + j * double_lanes);
      f[j] = hn::Zero(d);
      q[j] = hn::Zero(d);
    }
    for (Index i = 0; i < rows; ++i) {
      HWY_UNROLL(8) for (Index j = 0; j < V; ++j) {
        const VecD v = hn::Sub(load_double(x + i * stride + c + j * double_lanes), s[j]);
        f[j] = hn::Add(f[j], v);
        q[j] = hn::Add(q[j], hn::Mul(v, v));
      }
    }
    HWY_UNROLL(8) for (Index j = 0; j < V; ++j) {
      hn::StoreU(f[j], d, first + c + j * double_lanes);
      hn::StoreU(q[j], d, second + c + j * double_lanes);
    }
  }
  return c;
}

template <class T>
void column_sums(const T* x, Index stride, Index rows, Index cols, const T* shift, double* first, double* second) {
  Index c = sum_pieces<8>(0, x, stride, rows, cols, shift, first, second);
  c = sum_pieces<1>(c, x, stride, rows, cols, shift, first, second);
  for (; c < cols; ++c) {
    const double s = static_cast<double>(shift[c]);
    double f = 0, q = 0;
    for (Index i = 0; i < rows; ++i) {
      const double v = static_cast<double>(x[i * stride + c]) - s;
      f += v;
      q += v * v;
    }
    first[c] = f;
    second[c] = q;
  }
}

template <Index V, class T>
HWY_INLINE Index product_pieces(Index c, const T* g, Index g_stride, const T* x, Index x_stride, Index rows, Index cols,
                                const double* mean, double* sum_g, double* sum_gd) {
  const hn::ScalableTag<double> d;
  for (; c + V * double_lanes <= cols; c += V * double_lanes) {
    VecD m[V], f[V], q[V];
    HWY_UNROLL(8) for (Index j = 0; j < V; ++j) {
      m[j] = hn::LoadU(d, mean + c + j * double_lanes);
      f[j] = hn::Zero(d);
      q[j] = hn::Zero(d);
    }
    for (Index i = 0; i < rows; ++i) {
      HWY_UNROLL(8) for (Index j = 0; j < V; ++j) {
        const VecD gi = load_double(g + i * g_stride + c + j * double_lanes);
        f[j] = hn::Add(f[j], gi);
        q[j] = hn::Add(q[j], hn::Mul(gi, hn::Sub(load_double(x + i * x_stride + c + j * double_lanes), m[j])));
      }
    }
    HWY_UNROLL(8) for (Index j = 0; j < V; ++j) {
      hn::StoreU(f[j], d, sum_g + c + j * double_lanes);
      hn::StoreU(q[j], d, sum_gd + c + j * double_lanes);
    }
  }
  return c;
}

template <class T>
void column_products(const T* g, Index g_stride, const T* x, Index x_stride, Index rows, Index cols, const double* mean,
                     double* sum_g, double* sum_gd) {
  Index c = product_pieces<8>(0, g, g_stride, x, x_stride, rows, cols, mean, sum_g, sum_gd);
  c = product_pieces<1>(c, g, g_stride, x, x_stride, rows, cols, mean, sum_g, sum_gd);
  for (; c < cols; ++c) {
    double f = 0, q = 0;
    for (Index i = 0; i < rows; ++i) {
      const double gi = static_cast<double>(g[i * g_stride + c]);
      f += gi;
      q += gi * (static_cast<double>(x[i * x_stride + c]) - mean[c]);
    }
    sum_g[c] = f;
    sum_gd[c] = q;
  }
}

// Row by row, as memory goes; the parameters come from the first-level cache each time.
template <class T>
void normalize_columns(const T* x, Index x_stride, Index rows, Index cols, const ChannelMap<T>& p, T* y,
                       Index y_stride) {
  const hn::ScalableTag<T> d;
  constexpr Index lanes = HWY_LANES(T);
  const auto load = [&](Index c) HWY_ATTR {
    return Normalize<T>{hn::LoadU(d, p.mean + c), hn::LoadU(d, p.rest + c), hn::LoadU(d, p.scale + c),
                        hn::LoadU(d, p.shift + c)};
  };
  const Index whole = cols / lanes * lanes, rest = cols - whole;
  HWY_ALIGN T padded[4][HWY_LANES(T)] = {}, values[HWY_LANES(T)] = {};
  const T* parameters[4] = {p.mean, p.rest, p.scale, p.shift};
  for (int k = 0; k < 4; ++k) std::copy_n(parameters[k] + whole, rest, padded[k]);
  Normalize<T> last{hn::Load(d, padded[0]), hn::Load(d, padded[1]), hn::Load(d, padded[2]), hn::Load(d, padded[3])};
  for (Index i = 0; i < rows; ++i) {
    const T* in = x + i * x_stride;
    T* out = y + i * y_stride;
    for (Index c = 0; c < whole; c += lanes) {
      Normalize<T> f = load(c);
      hn::StoreU(f(hn::LoadU(d, in + c)), d, out + c);
    }
    if (rest == 0) continue;
    std::copy_n(in + whole, rest, values);
    hn::Store(last(hn::Load(d, values)), d, values);
    std::copy_n(values, rest, out + whole);
  }
}

template <class T>
void adjoint_columns(const T* g, Index g_stride, const T* x, Index x_stride, Index rows, Index cols,
                     const ChannelAdjoint<T>& p, T* gx, Index gx_stride) {
  const hn::ScalableTag<T> d;
  constexpr Index lanes = HWY_LANES(T);
  const auto load = [&](Index c) HWY_ATTR {
    return Adjoint<T>{hn::LoadU(d, p.mean + c),   hn::LoadU(d, p.rest + c), hn::LoadU(d, p.a + c),
                      hn::LoadU(d, p.mean_g + c), hn::LoadU(d, p.b + c),    hn::LoadU(d, p.c + c)};
  };
  const Index whole = cols / lanes * lanes, rest = cols - whole;
  HWY_ALIGN T padded[6][HWY_LANES(T)] = {}, values[2][HWY_LANES(T)] = {};
  const T* parameters[6] = {p.mean, p.rest, p.a, p.mean_g, p.b, p.c};
  for (int k = 0; k < 6; ++k) std::copy_n(parameters[k] + whole, rest, padded[k]);
  Adjoint<T> last{hn::Load(d, padded[0]), hn::Load(d, padded[1]), hn::Load(d, padded[2]),
                  hn::Load(d, padded[3]), hn::Load(d, padded[4]), hn::Load(d, padded[5])};
  for (Index i = 0; i < rows; ++i) {
    const T *gi = g + i * g_stride, *in = x + i * x_stride;
    T* out = gx + i * gx_stride;
    for (Index c = 0; c < whole; c += lanes) {
      Adjoint<T> f = load(c);
      hn::StoreU(f(hn::LoadU(d, gi + c), hn::LoadU(d, in + c)), d, out + c);
    }
    if (rest == 0) continue;
    std::copy_n(gi + whole, rest, values[0]);
    std::copy_n(in + whole, rest, values[1]);
    hn::Store(last(hn::Load(d, values[0]), hn::Load(d, values[1])), d, values[1]);
    std::copy_n(values[1], rest, out + whole);
  }
}

template <class T>
void fill(Table<T>& table) {
  table.normalize_run = &normalize_run<T>;
  table.adjoint_run = &adjoint_run<T>;
  table.products_run = &products_run<T>;
  table.column_sums = &column_sums<T>;
  table.column_products = &column_products<T>;
  table.normalize_columns = &normalize_columns<T>;
  table.adjoint_columns = &adjoint_columns<T>;
}

}  // namespace

void fill_normalize_f32(Table<float>& table) { fill(table); }
void fill_normalize_f64(Table<double>& table) { fill(table); }

}  // namespace HWY_NAMESPACE
}  // namespace pushforward::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pushforward::kernels {
PUSHFORWARD_EXPORT_FILL(fill_normalize)
}  // namespace pushforward::kernels
#endif
