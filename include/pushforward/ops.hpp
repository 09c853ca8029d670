#pragma once

#include <initializer_list>
#include <span>

#include <pushforward/activation.hpp>
#include <pushforward/tape.hpp>

/// The differentiable operations: what bijectors, distributions, losses and target densities are written in.
///
/// A `Var` is a matrix of the batch, (N, cols), or shared by all its rows (a parameter or something computed from
/// parameters alone). Elementwise operations take two of the same size; a shared row (1, cols) is applied to every
/// row of a batch, and a shared 1 x 1 to every element. A `Column` is one double per row.
/// Each operation records its vector-Jacobian product; nothing is recorded while evaluating.
/// @throws ShapeError  if sizes do not fit.
namespace pushforward {

class Reducer;

// ---- elementwise functions (batch or shared)
template <Scalar T> Var<T> exp(Var<T> x);
template <Scalar T> Var<T> log(Var<T> x);
template <Scalar T> Var<T> log1p(Var<T> x);
template <Scalar T> Var<T> expm1(Var<T> x);
template <Scalar T> Var<T> tanh(Var<T> x);
template <Scalar T> Var<T> sigmoid(Var<T> x);
template <Scalar T> Var<T> softplus(Var<T> x);   ///< log(1 + exp(x)), accurate in both tails
template <Scalar T> Var<T> erf(Var<T> x);
template <Scalar T> Var<T> erfinv(Var<T> x);     ///< infinite at -1 and 1, NaN beyond
template <Scalar T> Var<T> sqrt(Var<T> x);
template <Scalar T> Var<T> square(Var<T> x);
template <Scalar T> Var<T> abs(Var<T> x);        ///< derivative 0 at 0
template <Scalar T> Var<T> sin(Var<T> x);
template <Scalar T> Var<T> cos(Var<T> x);
template <Scalar T> Var<T> atan(Var<T> x);
template <Scalar T> Var<T> asinh(Var<T> x);      ///< keeps the digits of small x; also where x^2 overflows
template <Scalar T> Var<T> lgamma(Var<T> x);     ///< log |Gamma(x)|; +inf at 0, -1, -2, ...
template <Scalar T> Var<T> log1p_square(Var<T> x);  ///< log(1 + x^2), also where x^2 overflows
template <Scalar T> Var<T> log_ndtr(Var<T> x);   ///< log Phi(x) of the normal distribution function, in both tails
template <Scalar T> Var<T> ndtri_exp(Var<T> x);  ///< the inverse of log_ndtr: infinite at 0 and -inf, NaN above 0
template <Scalar T> Var<T> lambert_w(Var<T> x);  ///< W(x) >= 0 with W exp(W) = x, for x >= 0; NaN below
template <Scalar T> Var<T> operator-(Var<T> x);

/// leaky_relu has slope 0.01, elu alpha 1, gelu is x Phi(x), silu x sigmoid(x); the derivative of relu at 0 is 0.
template <Scalar T> Var<T> activation(Activation a, Var<T> x);
/// a'(x), itself differentiable: its vector-Jacobian product has the exact second derivative, 0 where a' jumps (relu
/// and leaky_relu at 0; elu's at 0 is that of its left side, 1). Accurate in both tails.
template <Scalar T> Var<T> activation_derivative(Activation a, Var<T> x);
/// a(x), written over x where the derivative follows from the value (all but gelu, silu, softplus): for the result of
/// an operation that does not read its own values again, such as `linear`, of which x is the only use.
template <Scalar T> Var<T> activation_in_place(Activation a, Var<T> x);
/// bound * tanh(x / bound): the identity near 0, never beyond +-bound. x itself where the bound is infinite, or larger
/// than the square root of the largest number of T: next to it ordinary numbers have no digits. One that is 0 in T is
/// the smallest normal number of T.
/// @throws DomainError  unless bound > 0.
template <Scalar T> Var<T> soft_bound(Var<T> x, double bound);
/// x moved into [low, high]; NaN stays. The gradient is that of the identity, beyond the bounds too: for values that
/// only rounding has taken to where the next operation is not finite, such as an exp that underflowed to 0.
/// @throws DomainError  unless low <= high.
template <Scalar T> Var<T> clamp(Var<T> x, std::type_identity_t<T> low, std::type_identity_t<T> high);
/// The same with the gradient of that map: 0 where x is moved.
/// @throws DomainError  unless low <= high.
template <Scalar T> Var<T> clip(Var<T> x, std::type_identity_t<T> low, std::type_identity_t<T> high);

// ---- elementwise arithmetic
template <Scalar T> Var<T> operator+(Var<T> a, Var<T> b);
template <Scalar T> Var<T> operator-(Var<T> a, Var<T> b);
template <Scalar T> Var<T> operator*(Var<T> a, Var<T> b);
template <Scalar T> Var<T> operator/(Var<T> a, Var<T> b);
/// scale * x + shift with numbers.
template <Scalar T> Var<T> scale_shift(Var<T> x, T scale, T shift);
template <Scalar T> Var<T> operator+(Var<T> a, std::type_identity_t<T> b) { return scale_shift<T>(a, T(1), b); }
template <Scalar T> Var<T> operator+(std::type_identity_t<T> a, Var<T> b) { return scale_shift<T>(b, T(1), a); }
template <Scalar T> Var<T> operator-(Var<T> a, std::type_identity_t<T> b) { return scale_shift<T>(a, T(1), -b); }
template <Scalar T> Var<T> operator-(std::type_identity_t<T> a, Var<T> b) { return scale_shift<T>(b, T(-1), a); }
template <Scalar T> Var<T> operator*(Var<T> a, std::type_identity_t<T> b) { return scale_shift<T>(a, b, T(0)); }
template <Scalar T> Var<T> operator*(std::type_identity_t<T> a, Var<T> b) { return scale_shift<T>(b, a, T(0)); }
template <Scalar T> Var<T> operator/(Var<T> a, std::type_identity_t<T> b) { return scale_shift<T>(a, T(1) / b, T(0)); }

// ---- what gradients see
/// The same values as a constant: no gradient flows back. No copy.
template <Scalar T> Var<T> detach(Var<T> x);
template <Scalar T> Column<T> detach(Column<T> x);

/// What a map makes of rows: the values, and the log|det| of the map just applied, one per row, in nats.
template <Scalar T>
struct Mapped {
  Var<T> value;
  Column<T> log_det;
};
/// What a scalar map makes of each element: the value, and the log of the absolute derivative of the map just applied.
template <Scalar T>
struct MappedElements {
  Var<T> value;
  Var<T> log_derivative;  ///< default-made: 0; of bijectors also shared (1, columns), the same for all rows
};
/// call(f, x, false), of which only the result stays in memory: what it needs backward is computed anew by
/// call(f, x, true), which must do the same, when the gradient of the result is there. `value` has `cols` columns. The
/// bits are those of a plain call. `f` outlives the tape's rows; `checkpoint` (pass.hpp) is the form to use.
/// @source Griewank and Walther 2000, with one level; Chen et al. 2016, section 4.
template <Scalar T>
Mapped<T> recompute(Var<T> x, Index cols, const void* f, Mapped<T> (*call)(const void* f, Var<T> x, bool again));

// ---- structure (batch)
/// Columns [begin, begin + count), no copy.
template <Scalar T> Var<T> columns(Var<T> x, Index begin, Index count);
/// Columns of a shared row (1, cols), copied.
template <Scalar T> Var<T> shared_columns(Var<T> x, Index begin, Index count);
/// A shared row (1, cols) as a batch matrix: the same in every row.
template <Scalar T> Var<T> spread(Tape<T>& tape, Var<T> row);
/// Side by side.
template <Scalar T> Var<T> concatenate(std::span<const Var<T>> parts);
template <Scalar T> Var<T> concatenate(std::initializer_list<Var<T>> parts) {
  return concatenate<T>(std::span<const Var<T>>(parts.begin(), parts.size()));
}
/// y[:, j] = x[:, index[j]]; indices may repeat or be left out. Of a shared row: copied.
template <Scalar T> Var<T> gather_columns(Var<T> x, std::span<const std::int64_t> index);

/// x with the columns index[j] replaced by column j of y. While evaluating only: it has no gradient.
template <Scalar T> Var<T> replace_columns(Var<T> x, Var<T> y, std::span<const std::int64_t> index);
/// Copies the values of x into y, a block of columns whose values are still unset.
template <Scalar T> void assign(Var<T> y, Var<T> x);

/// The `parts` equal groups of columns of x, side by side: parameters of transformers. Lives as long as the tape's
/// rows.
template <Scalar T> std::span<const Var<T>> split_columns(Var<T> x, Index parts);

// ---- linear maps, row by row
/// Which inputs each output of a linear map reads, and where its weights lie: output o reads inputs [0, prefix[o]),
/// its weights lie at offset[o]. The map owns the arrays; they must outlive the tape.
struct LinearLayout {
  std::span<const Index> prefix;
  std::span<const Index> offset;
};
/// y = x W^T + b for W (outputs, inputs) row-major, b (outputs) or a default-made Var for none.
template <Scalar T> Var<T> linear(Var<T> x, Var<T> weight, Var<T> bias);
/// The same for weights that are stored by `layout`.
template <Scalar T> Var<T> linear(Var<T> x, Var<T> weight, Var<T> bias, const LinearLayout& layout);
/// Outputs [begin, begin + y.cols()) of the same map into `y`, a block of columns whose values are still unset.
/// `x` needs to hold the inputs that these outputs read and no more.
template <Scalar T>
void linear_into(Var<T> y, Var<T> x, Var<T> weight, Var<T> bias, const LinearLayout& layout, Index begin);
/// y_o = diagonal_o x_o + sum_{k < o} M(o, k) x_k (lower) or k > o (upper); entries of M on and beyond the diagonal
/// are not read. A default-made diagonal is all ones.
template <Scalar T> Var<T> triangular_multiply(Var<T> x, Var<T> m, Var<T> diagonal, bool lower);
/// The inverse of triangular_multiply.
template <Scalar T> Var<T> triangular_solve(Var<T> y, Var<T> m, Var<T> diagonal, bool lower);

// ---- columns: one double per row
/// Sum over the columns of x; of a shared row: its sum, in every row.
template <Scalar T> Column<T> row_sum(Var<T> x);
/// Sum over the columns of x^2, squared and summed in double: finite for every finite float. Shared rows as in row_sum.
template <Scalar T> Column<T> row_sum_of_squares(Var<T> x);
template <Scalar T> Column<T> constant_column(Tape<T>& tape, double value);
template <Scalar T> Column<T> operator+(Column<T> a, Column<T> b);
template <Scalar T> Column<T> operator-(Column<T> a, Column<T> b);
template <Scalar T> Column<T> operator-(Column<T> a);
template <Scalar T> Column<T> scale_shift(Column<T> x, double scale, double shift);
template <Scalar T> Column<T> operator*(Column<T> a, std::type_identity_t<double> b) { return scale_shift<T>(a, b, 0.0); }
template <Scalar T> Column<T> operator*(std::type_identity_t<double> a, Column<T> b) { return scale_shift<T>(b, a, 0.0); }
template <Scalar T> Column<T> multiply(Column<T> a, Column<T> b);
template <Scalar T> Column<T> exp(Column<T> x);
template <Scalar T> Column<T> log1p(Column<T> x);
/// log(sum_k exp(x_k)) row by row.
template <Scalar T> Column<T> log_sum_exp(std::span<const Column<T>> x);
/// Reductions over all rows of the batch, in row order and in double, the same in every row: for losses that couple
/// rows. The bits depend on neither the number of threads nor their ranges. Divide by `tape.rows()` for means.
template <Scalar T> Column<T> batch_sum(Column<T> x);
template <Scalar T> Column<T> batch_log_sum_exp(Column<T> x);
/// x as a (N, 1) matrix of T.
template <Scalar T> Var<T> to_matrix(Column<T> x);

// ---- batch normalisation
/// What is averaged together. Arrays outlive the tape's rows.
template <Scalar T>
struct BatchGroups {
  /// Channel of each column, below `channels`; empty: a channel for each column.
  std::span<const Index> channel = {};
  Index channels = 0;
  /// Rows in a row that are averaged on their own (ghost batches); what is left over joins the last. 0: all rows.
  Index ghost_rows = 0;
  /// (N, 1): how much each row counts in the averages; a default-made Var: all the same.
  Var<T> weights = {};
  /// Other processes whose rows belong to the same batch, which all make the same calls; null: none. Not with ghosts.
  Reducer* processes = nullptr;
};
/// Moments of a batch, all threads of the group and all processes included: one for each ghost batch and channel, at
/// [ghost * channels + channel].
struct BatchMoments {
  const double* mean;
  const double* variance;  ///< biased
  const double* count;     ///< sum of the weights; without weights the number of values
  Index ghosts;
  Index channels;
};
/// Not differentiable on their own: `batch_normalize` has the gradient through them.
template <Scalar T> BatchMoments batch_moments(Var<T> y, const BatchGroups<T>& groups);

/// Numbers per ghost batch and channel that batch renormalisation puts between; they have no gradient.
struct BatchCorrection {
  const double* r = nullptr;  ///< null: 1
  const double* d = nullptr;  ///< null: 0
};
template <Scalar T>
struct NormalizedBatch {
  Var<T> value;
  Column<T> log_det;  ///< without gamma
};
/// x = gamma [(y - mean) / sqrt(variance + epsilon) r + d] + beta, log_det = sum over the columns of
/// log r - log(variance + epsilon) / 2. `moments` are those of y itself, with Bessel's correction where `bessel` says
/// so; gradients flow through them, those of log_det too. Default-made gamma: 1; beta: 0.
/// Ioffe & Szegedy 2015; Ioffe 2017 (renormalisation); Papamakarios et al. 2017, eq. 19-22.
template <Scalar T>
NormalizedBatch<T> batch_normalize(Var<T> y, const BatchGroups<T>& groups, const BatchMoments& moments, Var<T> gamma,
                                   Var<T> beta, double epsilon, BatchCorrection correction = {}, bool bessel = false);

}  // namespace pushforward
