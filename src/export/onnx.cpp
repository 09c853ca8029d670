#include <pushforward/export/onnx.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include <fmt/format.h>

#include <pushforward/error.hpp>
#include <pushforward/fields.hpp>

#include "src/export/onnx_graph.hpp"
#include "src/export/program.hpp"

namespace pushforward {

using namespace detail;

namespace {

using Names = std::vector<std::string>;
using Integers = std::vector<std::int64_t>;

/// Makes the graph of a program: an array that steps write to piece by piece is a list of tensors that stand side by
/// side, as tensors never change.
class Translation {
 public:
  explicit Translation(const Program& program)
      : p_(program),
        g_(program.is_float ? OnnxType::float32 : OnnxType::float64),
        arrays_(program.arrays.size()),
        columns_(static_cast<std::size_t>(program.columns)),
        marks_(static_cast<std::size_t>(program.marks)) {}

  OnnxGraph& graph() { return g_; }
  /// An input whose values that are not finite are marked and replaced by 0.
  void input(const std::string& name, const Slice& slice) {
    if (slice.cols == 0) return;
    g_.input(name, slice.cols);
    if (like_.empty()) like_ = name;
    const std::string nan = op("IsNaN", {name}), infinite = op("IsInf", {name});
    any_nan_.push_back(any(nan));
    any_infinite_.push_back(any(infinite));
    write(slice, op("Where", {op("Or", {nan, infinite}), g_.constant(0), name}));
  }
  void noise(Index cols) {
    if (cols == 0) return;
    g_.input("noise", cols);
    like_ = "noise";
  }
  void run() {
    std::string outside = falsehood();
    for (const std::string& mark : any_infinite_) outside = op("Or", {outside, mark});
    marks_[static_cast<std::size_t>(p_.outside.id)] = outside;
    for (const Instruction& step : p_.steps) write(step);
  }
  std::string outside() { return marks_[static_cast<std::size_t>(p_.outside.id)]; }
  /// A mark of rows in which an input holds NaN.
  std::string nan() {
    std::string all = falsehood();
    for (const std::string& mark : any_nan_) all = op("Or", {all, mark});
    return all;
  }
  std::string read(const Slice& s) {
    switch (s.kind) {
      case Slice::Kind::array:
        return array(s);
      case Slice::Kind::column:
        return columns_[static_cast<std::size_t>(s.id)];
      case Slice::Kind::marks:
        return marks_[static_cast<std::size_t>(s.id)];
      case Slice::Kind::constant:
        break;
    }
    return g_.constant(values(s), {1, s.cols});
  }
  std::string whole(const std::string& tensor, Index cols) { return g_.spread(tensor, cols, like_); }
  std::string op(std::string_view type, const Names& inputs, const std::vector<OnnxAttribute>& attributes = {}) {
    return g_.op(type, inputs, attributes);
  }

 private:
  struct Piece {
    Index begin, cols;
    std::string tensor;
    Index from, width;  ///< its first column there, and how many the tensor has
  };

  const std::vector<double>& values(const Slice& s) const {
    return p_.constants[static_cast<std::size_t>(s.id)].values;
  }
  std::string falsehood() { return g_.cast(g_.integers({0}, {1, 1}), OnnxType::boolean); }
  std::string any(const std::string& marks) {
    const std::string count = op("ReduceSum", {g_.cast(marks, OnnxType::int64), g_.integers({1}, {1})});
    return g_.cast(count, OnnxType::boolean);
  }
  std::string slice(const std::string& tensor, Index from, Index cols) {
    const auto [entry, is_new] = slices_.try_emplace({tensor, from, cols});
    if (is_new)
      entry->second = op("Slice", {tensor, g_.integers({from}, {1}), g_.integers({from + cols}, {1}),
                                   g_.integers({1}, {1})});
    return entry->second;
  }
  std::string array(const Slice& s) {
    Names parts;
    std::vector<Index> widths;
    for (const Piece& piece : arrays_[static_cast<std::size_t>(s.id)]) {
      const Index begin = std::max(piece.begin, s.begin), end = std::min(piece.begin + piece.cols, s.begin + s.cols);
      if (begin >= end) continue;
      const bool all = end - begin == piece.width;
      parts.push_back(all ? piece.tensor : slice(piece.tensor, piece.from + begin - piece.begin, end - begin));
      widths.push_back(end - begin);
    }
    if (parts.size() == 1) return parts[0];
    if (!std::all_of(parts.begin(), parts.end(), [&](const std::string& t) { return g_.is_row(t); }))
      for (std::size_t i = 0; i < parts.size(); ++i) parts[i] = whole(parts[i], widths[i]);
    return op("Concat", parts, {{"axis", {1}}});
  }
  void write(const Slice& s, const std::string& tensor) {
    if (s.kind == Slice::Kind::column) {
      columns_[static_cast<std::size_t>(s.id)] = tensor;
      return;
    }
    if (s.kind == Slice::Kind::marks) {
      marks_[static_cast<std::size_t>(s.id)] = tensor;
      return;
    }
    std::vector<Piece>& pieces = arrays_[static_cast<std::size_t>(s.id)];
    std::vector<Piece> kept{{s.begin, s.cols, tensor, 0, s.cols}};
    for (const Piece& old : pieces) {
      const Index end = old.begin + old.cols, s_end = s.begin + s.cols;
      if (old.begin < s.begin)
        kept.push_back({old.begin, std::min(end, s.begin) - old.begin, old.tensor, old.from, old.width});
      if (end > s_end) {
        const Index begin = std::max(old.begin, s_end);
        kept.push_back({begin, end - begin, old.tensor, old.from + begin - old.begin, old.width});
      }
    }
    std::sort(kept.begin(), kept.end(), [](const Piece& a, const Piece& b) { return a.begin < b.begin; });
    pieces = std::move(kept);
  }

  // ---- formulas
  std::string c(double v) { return g_.constant(v); }
  std::string constant(Index cols, double v) {
    return g_.constant(std::vector<double>(static_cast<std::size_t>(cols), v), {1, cols});
  }
  std::string add(const std::string& a, const std::string& b) { return op("Add", {a, b}); }
  std::string sub(const std::string& a, const std::string& b) { return op("Sub", {a, b}); }
  std::string mul(const std::string& a, const std::string& b) { return op("Mul", {a, b}); }
  std::string div(const std::string& a, const std::string& b) { return op("Div", {a, b}); }
  std::string where(const std::string& mark, const std::string& a, const std::string& b) {
    return op("Where", {mark, a, b});
  }
  std::string exp(const std::string& x) { return op("Exp", {x}); }
  std::string log(const std::string& x) { return op("Log", {x}); }
  std::string abs(const std::string& x) { return op("Abs", {x}); }
  std::string negative(const std::string& x) { return op("Neg", {x}); }
  std::string less(const std::string& a, const std::string& b) { return op("Less", {a, b}); }
  std::string greater(const std::string& a, const std::string& b) { return op("Greater", {a, b}); }
  /// x log(u) / (u - 1) with u = 1 + x: what rounding has done to u it has done to both. Kahan's.
  std::string log1p(const std::string& x) {
    const std::string u = add(c(1), x), none = op("Equal", {u, c(1)}), large = greater(x, c(1));
    const std::string apart = where(op("Or", {none, large}), c(1), sub(u, c(1)));
    return where(none, x, where(large, log(u), div(mul(x, log(u)), apart)));
  }
  /// 2 t / (1 - t) with t = tanh(x / 2).
  std::string expm1(const std::string& x) {
    const std::string near = less(abs(x), c(1)), t = op("Tanh", {mul(where(near, x, c(0)), c(0.5))});
    const std::string far = where(near, div(add(t, t), sub(c(1), t)), sub(exp(x), c(1)));
    return where(less(abs(x), c(1e-8)), x, far);  // halves of the smallest numbers vanish
  }
  std::string softplus(const std::string& x) {
    return add(where(greater(x, c(0)), x, c(0)), log1p(exp(negative(abs(x)))));
  }
  std::string normal_cdf(const std::string& x) {
    return mul(c(0.5), add(c(1), op("Erf", {mul(x, c(std::sqrt(0.5)))})));
  }
  /// NaN stays, as in both comparisons it is false.
  std::string clamp(const std::string& x, const std::string& low, const std::string& high) {
    return where(less(x, low), low, where(greater(x, high), high, x));
  }
  std::string activation(Activation a, const std::string& x) {
    const std::string positive = greater(x, c(0));
    switch (a) {
      case Activation::identity:
        return x;
      case Activation::relu:
        return where(op("LessOrEqual", {x, c(0)}), c(0), x);
      case Activation::leaky_relu:
        return where(positive, x, mul(x, c(0.01)));
      case Activation::elu:
        return where(positive, x, expm1(where(positive, c(0), x)));
      case Activation::gelu:
        return mul(x, normal_cdf(x));
      case Activation::silu:
        return mul(x, op("Sigmoid", {x}));
      case Activation::tanh:
        return op("Tanh", {x});
      case Activation::sigmoid:
        return op("Sigmoid", {x});
      case Activation::softplus:
        break;
    }
    return softplus(x);
  }
  [[noreturn]] void missing(const Instruction& s, const char* what) {
    throw NotImplemented("onnx: " + s.part + " computes " + what + ", for which ONNX has no operator");
  }

  void linear(const Instruction& s) {
    const std::vector<double>& weights = values(s.inputs[1]);
    const auto outputs = static_cast<Index>(s.prefix.size());
    const Index inputs = outputs == 0 ? 0 : *std::max_element(s.prefix.begin(), s.prefix.end());
    const std::string b = s.inputs.size() > 2 ? read(s.inputs[2]) : constant(outputs, 0);
    if (inputs == 0) return write(s.outputs[0], b);
    std::vector<double> w(static_cast<std::size_t>(inputs * outputs));
    std::size_t at = 0;
    for (Index o = 0; o < outputs; ++o)
      for (Index k = 0; k < s.prefix[static_cast<std::size_t>(o)]; ++k)
        w[static_cast<std::size_t>(k * outputs + o)] = weights[at++];
    Slice x = s.inputs[0];
    x.cols = inputs;
    write(s.outputs[0], add(op("MatMul", {read(x), g_.constant(w, {inputs, outputs})}), b));
  }
  void triangular(const Instruction& s, bool inverse) {
    const Index dim = s.outputs[0].cols;
    const bool lower = s.numbers[0] != 0;
    const std::vector<double>& m = values(s.inputs[1]);
    Eigen::MatrixXd a = Eigen::MatrixXd::Zero(dim, dim);
    for (Index o = 0; o < dim; ++o) {
      a(o, o) = s.inputs.size() > 2 ? values(s.inputs[2])[static_cast<std::size_t>(o)] : 1.0;
      for (Index k = lower ? 0 : o + 1; k < (lower ? o : dim); ++k) a(o, k) = m[static_cast<std::size_t>(o * dim + k)];
    }
    if (inverse) {
      const Eigen::MatrixXd unit = Eigen::MatrixXd::Identity(dim, dim);
      if (lower) a = a.triangularView<Eigen::Lower>().solve(unit).eval();
      else a = a.triangularView<Eigen::Upper>().solve(unit).eval();
    }
    std::vector<double> transposed(static_cast<std::size_t>(dim * dim));
    for (Index o = 0; o < dim; ++o)
      for (Index k = 0; k < dim; ++k) transposed[static_cast<std::size_t>(k * dim + o)] = a(o, k);
    write(s.outputs[0], op("MatMul", {read(s.inputs[0]), g_.constant(transposed, {dim, dim})}));
  }
  void row_sum(const Instruction& s, bool squares) {
    const std::string x = read(s.inputs[0]), terms = squares ? mul(x, x) : x;
    write(s.outputs[0], s.inputs[0].cols == 1 ? terms : op("ReduceSum", {terms, g_.integers({1}, {1})}));
  }
  void log_sum_exp(const Instruction& s) {
    Names terms;
    std::string top, sum;
    for (const Slice& x : s.inputs) {
      terms.push_back(read(x));
      top = top.empty() ? terms.back() : op("Max", {top, terms.back()});
    }
    for (const std::string& x : terms) {
      const std::string term = exp(sub(x, top));
      sum = sum.empty() ? term : add(sum, term);
    }
    write(s.outputs[0], where(op("IsInf", {top}), top, add(top, log(sum))));
  }
  void choose(const Instruction& s) {
    const auto k = static_cast<std::size_t>(s.numbers[0]);
    double low = 0, rest = 0;
    for (std::size_t j = 0; j < k; ++j) low += s.numbers[j + 1];
    for (std::size_t j = k + 1; j + 1 < s.numbers.size(); ++j) rest += s.numbers[j + 1];
    if (s.numbers[k + 1] == 0) return;
    const std::string u = read(s.inputs[0]), part = read(s.inputs[1]);
    std::string chosen = op("GreaterOrEqual", {u, c(low)});
    if (rest > 0) chosen = op("And", {chosen, less(u, c(low + s.numbers[k + 1]))});
    // Nothing is there before the first one.
    const bool first = low == 0;
    write(s.outputs[0], first ? part : where(chosen, part, read(s.outputs[0])));
  }
  void sigmoid_between(const Instruction& s) {
    const std::string x = read(s.inputs[0]), low = read(s.inputs[1]), high = read(s.inputs[2]);
    const std::string step = mul(read(s.inputs[3]), op("Sigmoid", {negative(abs(x))}));
    const std::string y = where(greater(x, c(0)), sub(high, step), add(low, step));
    write(s.outputs[0], clamp(y, read(s.inputs[4]), read(s.inputs[5])));
  }
  std::string lift(const std::string& scale) {
    const std::string square = mul(scale, scale);
    return mul(sub(c(1), scale), sub(c(1), mul(square, square)));
  }
  void scale_with_tails(const Instruction& s) {
    const bool root = s.numbers[0] != 0;
    const std::string knot = c(s.numbers[1]), x = read(s.inputs[0]), log_scale = read(s.inputs[1]), size = abs(x);
    const std::string log_slope = root ? negative(log_scale) : log_scale, factor = exp(log_slope);
    const std::string scale = root ? div(c(1), factor) : factor, limit = root ? mul(scale, knot) : knot;
    const std::string far = op("And", {less(log_scale, c(0)), greater(size, limit)}), more = lift(scale);
    // What is not taken is computed all the same: at the knot, so that it is finite.
    const std::string beyond = where(far, sub(size, limit), c(0));
    std::string value, log;
    if (root) {
      const std::string end = add(mul(c(0.5), more), scale), within = where(less(beyond, end), beyond, end);
      const std::string square = add(mul(add(more, more), within), mul(scale, scale));
      const std::string bent = div(add(within, within), add(scale, op("Sqrt", {square})));
      const std::string e = add(bent, div(sub(beyond, within), add(scale, more)));
      value = add(knot, e);
      log = negative(this->log(add(mul(more, where(less(e, c(1)), e, c(1))), scale)));
    } else {
      const std::string inside = less(beyond, c(1)), part = where(inside, beyond, c(1));
      const std::string rise = where(inside, mul(c(0.5), mul(beyond, beyond)), sub(beyond, c(0.5)));
      value = add(mul(scale, size), mul(more, rise));
      log = this->log(add(mul(more, part), scale));
    }
    write(s.outputs[0], where(far, mul(op("Sign", {x}), value), mul(x, factor)));
    write(s.outputs[1], where(far, log, log_slope));
  }

  // (rows, columns, k)
  std::string softmax_terms(const std::string& raw, const Instruction& s) {
    const double range = s.numbers[spline_log_range];
    const std::string logits = range > 0 ? div(raw, add(mul(abs(raw), c(2 / range)), c(1)))
                                         : mul(raw, c(s.numbers[spline_scale]));
    return op("Softmax", {logits}, {{"axis", {-1}}});
  }
  std::string piece(const std::string& x, Index from, Index to) {
    return op("Slice", {x, g_.integers({from}, {1}), g_.integers({to}, {1}), g_.integers({2}, {1})});
  }
  /// Knots from low to high, the ends themselves among them.
  std::string knots(const std::string& shares, double least, const Instruction& s) {
    const auto bins = static_cast<Index>(s.numbers[spline_bins]);
    const double low = s.numbers[spline_low], high = s.numbers[spline_high], range = high - low;
    const std::string sums = op("CumSum", {shares, g_.integers({2}, {})});
    const std::string edge = mul(piece(sums, 0, 1), c(0));
    Names parts{add(edge, c(low))};
    if (bins > 1) {
      std::vector<double> floor;
      for (Index k = 1; k < bins; ++k) floor.push_back(low + range * static_cast<double>(k) * least);
      parts.push_back(add(mul(piece(sums, 0, bins - 1), c(range * (1 - static_cast<double>(bins) * least))),
                          g_.constant(floor, {1, 1, bins - 1})));
    }
    parts.push_back(add(edge, c(high)));
    return op("Concat", parts, {{"axis", {2}}});
  }
  void spline(const Instruction& s) {
    const auto bins = static_cast<Index>(s.numbers[spline_bins]), cols = s.outputs[0].cols;
    const auto count = static_cast<Index>(s.inputs.size()) - 1;
    const double range = s.numbers[spline_log_range];
    const bool inverse = s.numbers[spline_inverse] != 0;
    const auto three = [&](const std::string& x) { return op("Unsqueeze", {x, g_.integers({2}, {1})}); };
    const auto two = [&](const std::string& x) { return op("Squeeze", {x, g_.integers({2}, {1})}); };
    Names parameters;
    for (Index k = 0; k < count; ++k)
      parameters.push_back(three(whole(read(s.inputs[static_cast<std::size_t>(k + 1)]), cols)));
    const std::string raw = op("Concat", parameters, {{"axis", {2}}});
    const std::string given = three(whole(read(s.inputs[0]), cols));
    const std::string low = c(s.numbers[spline_low]), high = c(s.numbers[spline_high]);
    const std::string inside = clamp(given, low, high);
    const std::string x = knots(softmax_terms(piece(raw, 0, bins), s), range > 0 ? 0 : s.numbers[spline_min_width], s);
    const std::string y =
        knots(softmax_terms(piece(raw, bins, 2 * bins), s), range > 0 ? 0 : s.numbers[spline_min_height], s);
    std::string slopes = piece(raw, 2 * bins, count);
    slopes = range > 0 ? exp(div(slopes, add(mul(abs(slopes), c(1 / range)), c(1))))
                       : clamp(add(c(s.numbers[spline_min_derivative]), softplus(slopes)),
                               c(-std::numeric_limits<double>::infinity()), c(s.numbers[spline_max_derivative]));
    if (s.numbers[spline_tails] == 0) {
      const std::string end = add(mul(piece(x, 0, 1), c(0)), c(s.numbers[spline_end_slope]));
      slopes = op("Concat", count == 2 * bins ? Names{end, end} : Names{end, slopes, end}, {{"axis", {2}}});
    } else if (s.numbers[spline_tails] == 1) {
      slopes = op("Concat", {slopes, piece(slopes, 0, 1)}, {{"axis", {2}}});
    }
    // The bin: how many inner knots are not beyond.
    const std::string reached = op("GreaterOrEqual", {inside, piece(inverse ? y : x, 0, bins)});
    std::string bin = op("ReduceSum", {g_.cast(reached, OnnxType::int64), g_.integers({2}, {1})});
    bin = op("Max", {op("Sub", {bin, g_.integers({1}, {1})}), g_.integers({0}, {1})});
    const std::string next = op("Add", {bin, g_.integers({1}, {1})});
    const auto at = [&](const std::string& list, const std::string& index) {
      return op("GatherElements", {list, index}, {{"axis", {2}}});
    };
    const std::string left = at(x, bin), right = at(x, next), bottom = at(y, bin), top = at(y, next);
    const std::string d0 = at(slopes, bin), d1 = at(slopes, next);
    const std::string w = sub(right, left), h = sub(top, bottom), mean = div(h, w), twice = add(mean, mean);
    std::string t;
    if (inverse) {
      const std::string u = div(sub(inside, bottom), h), v = div(sub(top, inside), h), two_su = mul(twice, u);
      const std::string tilt = sub(mul(d0, v), mul(d1, u)), p = add(tilt, two_su), positive = greater(p, c(0));
      const std::string root = op("Sqrt", {add(mul(tilt, tilt), mul(mul(two_su, v), twice))}), sum = add(abs(p), root);
      t = div(where(positive, two_su, sum), where(positive, sum, mul(c(2), sub(mean, p))));
    } else {
      t = div(sub(inside, left), w);
    }
    t = clamp(t, c(0), c(1));
    const std::string rest = sub(c(1), t), q = mul(t, rest), square = mul(t, t);
    const std::string numerator = add(mul(mean, square), mul(d0, q));
    const std::string denominator = add(mul(sub(add(d0, d1), twice), q), mean), ratio = div(mean, denominator);
    const std::string slope =
        mul(mul(ratio, ratio), add(mul(d1, square), add(mul(d0, mul(rest, rest)), mul(twice, q))));
    std::string value = inverse ? clamp(add(mul(t, w), left), left, right)
                                : clamp(add(bottom, mul(h, div(numerator, denominator))), bottom, top);
    value = clamp(value, c(s.numbers[spline_first]), c(s.numbers[spline_last]));
    const std::string within =
        op("And", {op("GreaterOrEqual", {given, low}), op("LessOrEqual", {given, high})});
    const bool lines = s.numbers[spline_tails] == 3;
    const std::string rate = inverse ? div(c(1), slope) : slope;
    write(s.outputs[0], two(where(within, value, lines ? add(value, mul(rate, sub(given, inside))) : given)));
    if (!s.needed[1]) return;
    write(s.outputs[1], two(lines ? log(rate) : where(within, log(rate), mul(inside, c(0)))));
  }

  void replace_outside(const Instruction& s) {
    const std::string x = read(s.inputs[0]);
    const bool closed = s.numbers[0] != 0;
    const std::string beyond = op("Or", {op(closed ? "Less" : "LessOrEqual", {x, read(s.inputs[1])}),
                                         op(closed ? "Greater" : "GreaterOrEqual", {x, read(s.inputs[2])})});
    write(s.outputs[0], where(beyond, read(s.inputs[3]), x));
    write(s.outputs[1], op("Or", {read(s.outputs[1]), any(beyond)}));
  }

  void write(const Instruction& s) {
    const Slice& y = s.outputs[0];
    const auto x = [&] { return read(s.inputs[0]); };
    switch (s.operation) {
      case Operation::exp: return write(y, exp(x()));
      case Operation::log: return write(y, log(x()));
      case Operation::log1p: return write(y, log1p(x()));
      case Operation::expm1: return write(y, expm1(x()));
      case Operation::erf: return write(y, op("Erf", {x()}));
      case Operation::erfinv: missing(s, "erfinv");
      case Operation::lgamma: missing(s, "lgamma");
      case Operation::log_ndtr:
      case Operation::ndtri_exp: missing(s, "logarithms of the normal distribution function");
      case Operation::lambert_w: missing(s, "Lambert's W");
      case Operation::asinh: return write(y, op("Asinh", {x()}));
      case Operation::activation_derivative:
        if (static_cast<Activation>(s.numbers[0]) != Activation::relu) missing(s, "derivatives of activations");
        return write(y, where(greater(x(), c(0)), c(1), c(0)));
      case Operation::sqrt: return write(y, op("Sqrt", {x()}));
      case Operation::square: return write(y, mul(x(), x()));
      case Operation::abs: return write(y, abs(x()));
      case Operation::sin: return write(y, op("Sin", {x()}));
      case Operation::cos: return write(y, op("Cos", {x()}));
      case Operation::atan: return write(y, op("Atan", {x()}));
      case Operation::log1p_square: {
        const std::string size = abs(x()), far = greater(size, c(1e9)), near = where(far, c(1), size);
        return write(y, where(far, mul(c(2), log(size)), log1p(mul(near, near))));
      }
      case Operation::activation: return write(y, activation(static_cast<Activation>(s.numbers[0]), x()));
      case Operation::scale_shift: {
        const std::string scaled = s.numbers[0] == 1 ? x() : mul(x(), c(s.numbers[0]));
        return write(y, s.numbers[1] == 0 ? scaled : add(scaled, c(s.numbers[1])));
      }
      case Operation::clamp:
        return write(y, s.numbers.empty() ? clamp(x(), read(s.inputs[1]), read(s.inputs[2]))
                                          : clamp(x(), c(s.numbers[0]), c(s.numbers[1])));
      case Operation::add: return write(y, add(x(), read(s.inputs[1])));
      case Operation::subtract: return write(y, sub(x(), read(s.inputs[1])));
      case Operation::multiply: return write(y, mul(x(), read(s.inputs[1])));
      case Operation::divide: return write(y, div(x(), read(s.inputs[1])));
      case Operation::fill:
        if (y.kind == Slice::Kind::marks)
          return write(y, g_.cast(g_.integers({s.numbers[0] != 0 ? 1 : 0}, {1, 1}), OnnxType::boolean));
        return write(y, y.kind == Slice::Kind::column ? c(s.numbers[0]) : constant(y.cols, s.numbers[0]));
      case Operation::copy: return write(y, x());
      case Operation::gather: {
        Slice whole = s.inputs[0];
        return write(y, op("Gather", {read(whole), g_.integers(s.index, {static_cast<std::int64_t>(s.index.size())})},
                           {{"axis", {1}}}));
      }
      case Operation::scatter:
        for (std::size_t j = 0; j < s.index.size(); ++j)
          write({y.kind, y.id, y.begin + static_cast<Index>(s.index[j]), 1},
                read({s.inputs[0].kind, s.inputs[0].id, s.inputs[0].begin + static_cast<Index>(j), 1}));
        return;
      case Operation::linear: return linear(s);
      case Operation::triangular_multiply: return triangular(s, false);
      case Operation::triangular_solve: return triangular(s, true);
      case Operation::row_sum: return row_sum(s, false);
      case Operation::row_sum_of_squares: return row_sum(s, true);
      case Operation::log_sum_exp: return log_sum_exp(s);
      case Operation::choose: return choose(s);
      case Operation::sigmoid_between: return sigmoid_between(s);
      case Operation::spline: return spline(s);
      case Operation::scale_with_tails: return scale_with_tails(s);
      case Operation::replace_outside: return replace_outside(s);
      case Operation::replace_rows:
        return write(y, where(read(s.inputs.back()), c(s.numbers[0]), s.inputs.size() > 1 ? x() : c(0)));
      case Operation::marks_or: return write(y, op("Or", {x(), read(s.inputs[1])}));
      case Operation::marks_and: return write(y, op("And", {x(), read(s.inputs[1])}));
      case Operation::marks_without: return write(y, op("And", {x(), op("Not", {read(s.inputs[1])})}));
      case Operation::normal:
      case Operation::uniform:
      case Operation::logistic:
      case Operation::laplace:
      case Operation::cauchy:
      case Operation::exponential:
        write(y, y.cols == static_cast<Index>(p_.draws.size()) ? "noise" : slice("noise", draws_, y.cols));
        draws_ += y.cols;
        return;
    }
    missing(s, "an operation");
  }

  const Program& p_;
  OnnxGraph g_;
  std::vector<std::vector<Piece>> arrays_;
  Names columns_, marks_, any_nan_, any_infinite_;
  std::map<std::tuple<std::string, Index, Index>, std::string> slices_;
  std::string like_;
  Index draws_ = 0;
};

std::vector<std::pair<std::string, std::string>> notes_of(const ModelInfo& info, const std::string& noise) {
  std::vector<std::pair<std::string, std::string>> notes;
  if (!info.columns.empty()) notes.emplace_back("pushforward.columns", fmt::format("{}", fmt::join(info.columns, ",")));
  if (!info.context_columns.empty())
    notes.emplace_back("pushforward.context_columns", fmt::format("{}", fmt::join(info.context_columns, ",")));
  if (!noise.empty()) notes.emplace_back("pushforward.noise", noise);
  return notes;
}

}  // namespace

template <Scalar T>
std::string onnx_log_prob(const Distribution<T>& model, const ModelInfo& info) {
  const Program p = trace_log_prob(model);
  Translation t(p);
  t.input("y", p.row);
  t.input("context", p.context);
  t.run();
  OnnxGraph& g = t.graph();
  const std::string value = t.whole(p.result.cols == 0 ? g.constant(0) : t.read(p.result), 1);
  const std::string inside = t.op("Where", {t.outside(), g.constant(-std::numeric_limits<double>::infinity()), value});
  const std::string marked = t.op("Where", {t.nan(), g.constant(std::numeric_limits<double>::quiet_NaN()), inside});
  g.op("Squeeze", {marked, g.integers({1}, {1})}, {}, "log_prob");
  g.output("log_prob", {-1});
  return g.model("log_prob", to_text(model), notes_of(info, ""));
}

template <Scalar T>
std::string onnx_sample(const Distribution<T>& model, const ModelInfo& info) {
  const Program p = trace_sample(model, Engine(0).next_call());
  Translation t(p);
  t.noise(static_cast<Index>(p.draws.size()));
  t.input("context", p.context);
  t.run();
  OnnxGraph& g = t.graph();
  const std::string bad = t.op("Or", {t.outside(), t.nan()});
  const std::string value = t.whole(t.read(p.result), p.result.cols);
  g.op("Where", {bad, g.constant(std::numeric_limits<double>::quiet_NaN()), value}, {}, "y");
  g.output("y", {-1, p.result.cols});
  std::string noise;
  for (const auto& [kind, count] : draw_kinds(p))
    noise += fmt::format("{}{} {}", noise.empty() ? "" : ", ", kind, count);
  return g.model("sample", to_text(model), notes_of(info, noise));
}

template std::string onnx_log_prob(const Distribution<float>&, const ModelInfo&);
template std::string onnx_log_prob(const Distribution<double>&, const ModelInfo&);
template std::string onnx_sample(const Distribution<float>&, const ModelInfo&);
template std::string onnx_sample(const Distribution<double>&, const ModelInfo&);

}  // namespace pushforward
