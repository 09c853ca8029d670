#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

namespace pushforward {

/// The operations that a tape can note (`Trace`), with what they do to one row. x, a and b stand for the inputs in
/// their order, y for the output, n for `Step::numbers`. Where nothing else is said they go element by element; of the
/// inputs, shared ones are constants: a row (1, cols), or a single value for all columns.
enum class Operation : std::uint8_t {
  // y = f(x)
  exp, log, log1p, expm1, erf, erfinv, sqrt, square, abs, sin, cos, atan,
  lgamma,                 ///< log |Gamma(x)|
  log1p_square,           ///< log(1 + x^2)
  asinh,
  log_ndtr,   ///< log of the normal distribution function
  ndtri_exp,  ///< its inverse
  lambert_w,  ///< W exp(W) = x, W >= 0
  activation,             ///< f(x) of `Activation` n[0]
  activation_derivative,  ///< f'(x) of `Activation` n[0]
  scale_shift,            ///< n[0] x + n[1]
  clamp,                  ///< x moved into [n[0], n[1]], or without numbers into inputs 1 and 2; NaN stays
  // y = f(a, b)
  add, subtract, multiply, divide,
  // places
  fill,     ///< y = n[0]
  copy,     ///< y = x, from numbers of one type to those of another where they differ
  gather,   ///< y_j = x[index[j]]
  scatter,  ///< y[index[j]] = x_j; the other columns stay
  // rows
  linear,               ///< y_o = b_o + sum of x_k W[offset[o] + k] over k < prefix[o]; inputs x, W and, if given, b
  triangular_multiply,  ///< y_o = d_o x_o + sum_k M(o, k) x_k, k < o (n[0] is 0: k > o); inputs x, M and, if not 1, d
  triangular_solve,     ///< the inverse of it
  row_sum,              ///< sum of x over its columns, in double
  row_sum_of_squares,   ///< squared in double
  log_sum_exp,          ///< log(sum exp(x)) over the inputs; -inf if all of them are
  choose,               ///< y = x if the draw u falls to n[0] of the weights n[1], ...; else it stays; inputs u, x
  // whole maps: y and log |dy/dx|
  sigmoid_between,   ///< y alone: low + width sigmoid(x) from the nearer end, in [first, last]; inputs x and these five
  spline,            ///< inputs x and its raw parameters, each a batch; n[SplineNumber]
  scale_with_tails,  ///< exp(b) x, with slopes that go to 1 beyond n[1]; n[0]: its inverse
  // marks: a byte for each row, 0 inside the support
  replace_outside,  ///< y = x, or input 3 where x lies beyond inputs 1 and 2 (n[0] is 0: or on one of them): then the
                    ///< second output |= 1
  replace_rows,     ///< y = x, or n[0] where the mark b is set; without x (b alone is given) 0
  marks_or, marks_and, marks_without,  ///< a | b, a & b, a & ~b
  // draws: y is a new row of independent random numbers
  normal, uniform, logistic, laplace, cauchy, exponential,
};

/// What each of the numbers of `Operation::spline` is: those of `RationalQuadraticTransformer`, and whether the map is
/// the inverse.
enum SplineNumber : std::size_t {
  spline_bins,
  spline_low,
  spline_high,
  spline_first,  ///< values inside the interval are moved into [first, last]
  spline_last,
  spline_tails,  ///< 0 identity, 1 circular, 2 bounded, 3 straight lines
  spline_scale,
  spline_min_width,
  spline_min_height,
  spline_min_derivative,
  spline_max_derivative,
  spline_log_range,
  spline_end_slope,
  spline_inverse,
  spline_numbers
};

/// Where an operation reads or writes: `cols` columns of the rows of a batch, or a constant.
struct Operand {
  enum class Kind : std::uint8_t {
    batch,    ///< columns of T
    column,   ///< one double per row
    marks,    ///< one byte per row
    shared,   ///< (rows, cols) constants of T, row-major: parameters, and what follows from them alone
    numbers,  ///< the same of double
  };
  Kind kind;
  const void* values;
  std::ptrdiff_t rows, cols;
  std::ptrdiff_t stride;  ///< from a column to the next
  /// The batch matrix of which these are columns: its first value and its number of columns.
  const void* root;
  std::ptrdiff_t root_cols;
};

/// One operation that was done. Views are good for the call.
struct Step {
  Operation operation;
  std::span<const Operand> outputs, inputs;
  std::span<const double> numbers = {};
  std::span<const std::int64_t> index = {};
  /// `linear`: how many inputs each output of this step reads, and where its weights begin.
  std::span<const std::ptrdiff_t> prefix = {}, offset = {};
};

/// Hears what a tape computes: `Tape::set_trace`. For exporters, which so know the operations and no class.
///
/// While one is set, on one thread and without recording, every operation notes itself after it has been done, and the
/// tape frees nothing, so that an address in an operand means the same place throughout. The steps between a row
/// and its density, or its draw, are a straight-line program in which constants have the values that they have on the
/// tape: what follows from parameters alone is a constant already.
///
/// Nothing can pass by unnoted: reading or writing the rows of a batch outside of operations, by `Tape::value`,
/// `Var::values`, `Column::values` or `Pass::outside`, calls `exposed`, and so does an operation that has no step.
class Trace {
 public:
  virtual ~Trace() = default;
  /// An operation was done.
  virtual void note(const Step& step) = 0;
  /// Somebody has asked for rows themselves; steps do not tell what becomes of them. May throw.
  virtual void exposed() = 0;
  /// The part of this name begins or ends its work; parts nest.
  virtual void enter(const std::string& part) = 0;
  virtual void leave() = 0;

 protected:
  Trace() = default;
  Trace(const Trace&) = default;
  Trace& operator=(const Trace&) = default;
};

}  // namespace pushforward
