#pragma once

// Pointer-and-stride kernels, compiled once for every instruction set that Highway targets and chosen at run time.
//
// Contract of all row kernels: a batch is stored feature by feature (column-major), every column starts on a 64-byte
// boundary, and row counts are padded to a multiple of `row_block`; kernels work on whole blocks, so `n` is a multiple
// of `row_block` unless the name says otherwise. What a kernel writes for a row depends neither on the row's position
// nor on the number of rows; every sum runs in one fixed order.

#include <cstdint>
#include <string_view>
#include <type_traits>
#include <vector>

#include <pushforward/activation.hpp>
#include <pushforward/views.hpp>

namespace pushforward::kernels {

/// Rows are padded to this many; also the number of virtual lanes of every sum over rows.
inline constexpr Index row_block = 16;

using pushforward::Activation;
/// Whether a'(x) is a function of a(x).
constexpr bool derivative_follows_from_value(Activation a) {
  return a != Activation::gelu && a != Activation::silu && a != Activation::softplus;
}

/// Weights of a linear map whose output `o` reads the inputs [0, prefix[o]) only; the row of output `o` lies at
/// `weights + offset[o]`. A dense (outputs, inputs) row-major matrix is prefix[o] = inputs, offset[o] = o * inputs.
template <class T>
struct Staircase {
  const T* weights;
  const Index* prefix;
  const Index* offset;
};

struct Moments {
  double mean;
  double m2;  ///< sum of squared deviations from the mean
};

/// y = ((x - mean) - rest) * scale + shift; `rest` is what the rounding of the mean to T left out.
template <class T>
struct ChannelMap {
  const T *mean, *rest, *scale, *shift;
};
/// gx = (g - mean_g) * a + ((x - mean) - rest) * b + c.
template <class T>
struct ChannelAdjoint {
  const T *mean, *rest, *a, *mean_g, *b, *c;
};

enum class Tails : std::uint8_t { identity, circular, bounded, linear };

/// A family of monotone rational-quadratic splines of [low, high] onto itself; its raw parameters, one array of rows
/// each, are `bins` widths, `bins` heights and the derivatives at the knots (inner ones with identity tails, where the
/// others are `end_slope`; the first `bins` of a circle; all else).
template <class T>
struct Spline {
  static constexpr Index max_bins = 64;
  Index bins;
  T low, high;
  T first, last;  ///< values of the spline are moved inside these: next to the ends where the interval is open
  Tails tails;
  T scale;                  ///< of raw widths and heights, before the softmax
  T min_width, min_height;  ///< fractions of the interval
  T min_derivative, max_derivative;
  T log_range;  ///< > 0: logits and log derivatives are soft-clipped (zuko's parameters), and the four above not used
  T end_slope = T(1);
};

/// The counter-based generator of pushforward/random.hpp at one call.
struct RandomSource {
  std::uint64_t key;
  std::uint32_t call;
  static constexpr std::uint32_t low_words = std::uint32_t{1} << 29;  ///< from a block to the words only double needs
};
/// 32 random bits, 52 in double.
template <class T>
using RandomWord = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;

enum class Draw : std::uint8_t { uniform, logistic, laplace, cauchy, exponential };

/// The kernels of one scalar type for one instruction set.
template <class T>
struct Table {
  const char* instruction_set;  ///< "AVX3", "AVX2", "SSE4", ... as Highway names it

  // y = f(x), elementwise over n contiguous values; x == y allowed.
  void (*exp)(const T* x, T* y, Index n);
  void (*log)(const T* x, T* y, Index n);
  void (*log1p)(const T* x, T* y, Index n);
  void (*expm1)(const T* x, T* y, Index n);
  void (*tanh)(const T* x, T* y, Index n);
  void (*sigmoid)(const T* x, T* y, Index n);
  void (*softplus)(const T* x, T* y, Index n);  ///< max(x, 0) + log1p(exp(-|x|))
  void (*erf)(const T* x, T* y, Index n);
  void (*erfinv)(const T* x, T* y, Index n);  ///< infinite at -1 and 1, NaN beyond
  void (*log_ndtr)(const T* x, T* y, Index n);           ///< log of the normal distribution function
  void (*log_normal_hazard)(const T* x, T* y, Index n);  ///< log of the normal density over its distribution function
  void (*sqrt)(const T* x, T* y, Index n);

  // y = a(x); gx += gy * a'(x), where the derivative may use x, y or both.
  void (*activation)(Activation a, const T* x, T* y, Index n);
  void (*activation_backward)(Activation a, const T* x, const T* y, const T* gy, T* gx, Index n);
  /// d = a'(x), and gx += gd * a''(x); accurate in both tails.
  void (*activation_derivative)(Activation a, const T* x, T* d, Index n);
  void (*activation_second_backward)(Activation a, const T* x, const T* gd, T* gx, Index n);
  /// g *= a'(x), from y = a(x), for activations with `derivative_follows_from_value`.
  void (*activation_backward_in_place)(Activation a, const T* y, T* g, Index n);

  // Arithmetic over n contiguous values.
  void (*add)(const T* a, const T* b, T* y, Index n);              ///< y = a + b
  void (*subtract)(const T* a, const T* b, T* y, Index n);         ///< y = a - b
  void (*multiply)(const T* a, const T* b, T* y, Index n);         ///< y = a * b
  void (*divide)(const T* a, const T* b, T* y, Index n);           ///< y = a / b
  void (*scale_shift)(const T* x, T scale, T shift, T* y, Index n);  ///< y = fma(x, scale, shift)
  void (*accumulate)(const T* g, T* y, Index n);                   ///< y += g
  void (*axpy)(T a, const T* x, T* y, Index n);                    ///< y = fma(a, x, y)
  void (*multiply_accumulate)(const T* a, const T* b, T* y, Index n);  ///< y = fma(a, b, y)

  /// ga += gy / b, gb -= gy a / b^2, each unless null.
  void (*divide_backward)(const T* a, const T* b, const T* gy, T* ga, T* gb, Index n);

  // Between T and the double columns (log_det, log_prob).
  void (*accumulate_column)(const T* x, double* column, Index n);                 ///< column += x
  void (*spread_column)(const double* gradient, T* gx, Index n);                  ///< gx += T(gradient)

  // Sums over rows: any n >= 0; virtual lane i % row_block, lanes merged in ascending order, in double.
  double (*sum)(const T* x, Index n);
  double (*dot)(const T* x, const T* y, Index n);
  /// Mean and centred second moment, optionally with weights w >= 0 (w == nullptr: all one; then the sum of weights
  /// is n). Shifted sums per tile of 128 rows, tiles merged in double in row order; relative error of the variance
  /// below 1e-5 in float at mean / std = 1e4.
  Moments (*moments)(const T* x, const T* w, Index n);

  // Normalisation of n contiguous values of one channel (any n); parameters point to one value each. In place allowed.
  void (*normalize_run)(const T* x, Index n, const ChannelMap<T>& map, T* y);
  void (*adjoint_run)(const T* g, const T* x, Index n, const ChannelAdjoint<T>& adjoint, T* gx, bool accumulate);
  /// sum of g and of g (x - mean), in double, sixteen virtual lanes as the other sums.
  void (*products_run)(const T* g, const T* x, Index n, double mean, double* sum_g, double* sum_gd);
  // Normalisation of rows of `cols` contiguous values, one per channel, `stride` apart; parameters are arrays.
  /// first[c] = sum_i (x(i, c) - shift[c]), second[c] = sum_i (x(i, c) - shift[c])^2, in double, in row order.
  void (*column_sums)(const T* x, Index stride, Index rows, Index cols, const T* shift, double* first, double* second);
  void (*column_products)(const T* g, Index g_stride, const T* x, Index x_stride, Index rows, Index cols,
                          const double* mean, double* sum_g, double* sum_gd);
  void (*normalize_columns)(const T* x, Index x_stride, Index rows, Index cols, const ChannelMap<T>& map, T* y,
                            Index y_stride);
  void (*adjoint_columns)(const T* g, Index g_stride, const T* x, Index x_stride, Index rows, Index cols,
                          const ChannelAdjoint<T>& adjoint, T* gx, Index gx_stride);

  /// out = f(in), log_derivative = log f'(in) for a spline f of each row; with `root`, f^-1 and its log derivative.
  /// Outside [low, high] the identity, with linear tails the line of the slope at the end; NaN gives NaN.
  void (*spline)(const Spline<T>& s, bool root, const T* in, const T* const* raw, T* out, T* log_derivative, Index n);
  /// Adds to g_in and g_raw, each unless null, from adjoints of out and log_derivative (null: 0).
  void (*spline_backward)(const Spline<T>& s, bool root, const T* in, const T* out, const T* const* raw, const T* g_out,
                          const T* g_log, T* g_in, T* const* g_raw, Index n);

  /// f(x) = exp(s) x, whose slope goes to about 1 between |x| = knot and knot + 1 where s < 0: with p = min(e, 1),
  /// e = max(|x| - knot, 0), q = the integral of p to e and l = (1 - exp(s)) (1 - exp(4 s)), |f| = exp(s) |x| + l q
  /// and f' = exp(s) + l p. out = f(in), log_derivative = log f'(in); with `root`, f^-1 and its log derivative.
  void (*scale_with_tails)(bool root, T knot, const T* in, const T* s, T* out, T* log_derivative, Index n);
  /// Adds to g_in and g_s, each unless null, from adjoints of out and log_derivative (null: 0).
  void (*scale_with_tails_backward)(bool root, T knot, const T* in, const T* s, const T* out, const T* g_out,
                                    const T* g_log, T* g_in, T* g_s, Index n);

  /// y[:, o] = bias[o] + sum_k x[:, k] w[o, k] for o in [begin, end); bias may be null (0); with `accumulate` the sum
  /// starts from y[:, o] instead (bias ignored). One fma chain per output in ascending k. `scratch` holds
  /// scratch_size(max prefix) values of T.
  void (*linear)(Index n, const T* x, Index ldx, Staircase<T> w, Index begin, Index end, const T* bias, bool accumulate,
                 T* y, Index ldy, T* scratch);
  /// y[:, o] = bias[o] + sum_k x[:, k] w[o, k] for `rows` rows, fewer than row_block, with the same chains as `linear`;
  /// `w` transposed, (inputs, outputs padded to whole blocks). The rest of the block is filled with copies of row 0.
  void (*linear_packed)(Index rows, const T* x, Index ldx, const T* w, Index inputs, Index outputs, const T* bias, T* y,
                        Index ldy);
  /// gx[:, k] += sum_{o in [begin, end), k < prefix[o]} gy[:, o] w[o, k], one chain per k in ascending o;
  /// `inputs` = number of columns of gx.
  void (*linear_backward_input)(Index n, const T* gy, Index ldgy, Staircase<T> w, Index begin, Index end, Index inputs,
                                T* gx, Index ldgx, T* scratch);
  /// gw[o, k] += sum_{i < n} gy[i, o] x[i, k] for o in [begin, end), k < prefix[o]; gw has the layout of the weights;
  /// gbias[o] += sum_i gy[i, o] unless null. Any n >= 0 (no padding is read as data); one chain per weight in row
  /// order.
  void (*linear_backward_weight)(Index n, const T* gy, Index ldgy, const T* x, Index ldx, const Index* prefix,
                                 const Index* offset, Index begin, Index end, T* gw, T* gbias, T* scratch);
  /// Values of T that `scratch` must hold for maps with at most `inputs` inputs.
  Index (*scratch_size)(Index inputs);

  // Random numbers, the same bits on every instruction set; n is a multiple of row_block.
  /// The four words of rows row, row + 1, ... for one block of columns: word w of row i goes to words[w * n + i].
  void (*random_words)(const RandomSource& source, std::uint32_t block, std::uint64_t row, Index n,
                       RandomWord<T>* words);
  void (*draw)(Draw draw, const RandomWord<T>* words, T* values, Index n);
  /// Two from two words, by Box and Muller.
  void (*normal_draws)(const RandomWord<T>* radius, const RandomWord<T>* angle, T* first, T* second, Index n);

  /// One Adam step over n contiguous values (any n): m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2;
  /// p -= rate * ((m / c1) / (sqrt(v / c2) + eps) + decay * p), g = grad * grad_scale.
  void (*adam)(T* p, T* m, T* v, const T* grad, Index n, T grad_scale, T rate, T b1, T b2, T c1, T c2, T eps, T decay);
};

/// The table for this machine, chosen at the first call: the best instruction set that the processor has, or the one
/// named by the environment variable PUSHFORWARD_INSTRUCTION_SET (for example AVX2, SSE4, SSSE3; an unknown or
/// unavailable name throws DomainError naming the available ones).
template <class T>
const Table<T>& table();

/// The tables that this machine can run, best first.
template <class T>
std::vector<const Table<T>*> available_tables();

/// The table of one instruction set, in any case ("AVX512" is Highway's AVX3); the best one for an empty name.
/// Throws DomainError naming the available ones.
template <class T>
const Table<T>& table_named(std::string_view name);

}  // namespace pushforward::kernels
