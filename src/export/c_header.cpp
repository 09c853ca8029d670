#include <pushforward/export/c_header.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <map>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <pushforward/error.hpp>
#include <pushforward/fields.hpp>

#include "src/export/c_helpers.hpp"
#include "src/export/program.hpp"

namespace pushforward {

using namespace detail;

namespace {

constexpr std::size_t line_width = 110;

/// With the digits that make the same number of it again.
std::string number(double v, bool is_float) {
  if (std::isnan(v)) return is_float ? "NAN" : "(double)NAN";
  if (std::isinf(v)) return std::string(v < 0 ? "-" : "") + (is_float ? "INFINITY" : "(double)INFINITY");
  std::string text = is_float ? fmt::format("{}", static_cast<float>(v)) : fmt::format("{}", v);
  if (text.find_first_of(".e") == text.npos) text += ".0";
  return is_float ? text + "f" : text;
}

bool in_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

/// The text of a helper, for names that begin with `prefix`.
std::string specialised(const CHelper& helper, const std::string& prefix, bool is_float) {
  static constexpr std::string_view functions[] = {"exp",  "log",  "log1p", "expm1",    "fabs",
                                                   "sqrt", "erfc", "tanh",  "copysign", "tan"};
  const bool suffix = is_float && !helper.in_double;
  const std::string_view text = helper.text.substr(1);  // without the first line break
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == '@') {
      out += prefix + "_";
      ++i;
    } else if (std::isdigit(static_cast<unsigned char>(text[i]))) {
      std::size_t end = i;
      const auto in_number = [&](std::size_t at) {
        return in_name(text[at]) || text[at] == '.' || (text[at] == '-' && text[at - 1] == 'e');
      };
      while (end < text.size() && in_number(end)) ++end;
      const std::string_view literal = text.substr(i, end - i);
      out += literal;
      if (suffix && literal.find_first_of(".e") != literal.npos) out += 'f';
      i = end;
    } else if (in_name(text[i])) {
      std::size_t end = i;
      while (end < text.size() && in_name(text[end])) ++end;
      const std::string_view word = text.substr(i, end - i);
      out += word == "real" ? std::string_view(is_float ? "float" : "double") : word;
      const bool called = end < text.size() && text[end] == '(' && (i == 0 || text[i - 1] != '@');
      if (suffix && called && std::find(std::begin(functions), std::end(functions), word) != std::end(functions))
        out += 'f';
      i = end;
    } else {
      out += text[i++];
    }
  }
  return out;
}

/// What may stand in a comment.
std::string commented(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (!out.empty() && ((c == '/' && out.back() == '*') || (c == '*' && out.back() == '/'))) out += ' ';
    out += static_cast<unsigned char>(c) < 0x20 && c != '\n' ? '?' : c;
  }
  return out;
}

/// Constants and helpers that the functions of one header share.
class Parts {
 public:
  Parts(std::string prefix, bool is_float) : prefix_(std::move(prefix)), is_float_(is_float) {}

  const std::string& prefix() const { return prefix_; }
  std::string call(std::string_view helper) {
    used_.insert(std::string(helper));
    return prefix_ + "_" + std::string(helper);
  }
  std::string numbers(const std::vector<double>& values, bool is_double) {
    return list(is_double || !is_float_ ? "double" : "float", values, [&](double v) {
      return number(v, is_float_ && !is_double);
    });
  }
  std::string integers(const std::vector<double>& values) {
    return list("int", values, [](double v) { return fmt::format("{:.0f}", v); });
  }
  /// The family of a spline's numbers.
  std::string spline(const std::vector<double>& n) {
    std::string text = fmt::format("{{{:.0f}, {:.0f}", n[spline_bins], n[spline_tails]);
    for (const std::size_t i : {spline_low, spline_high, spline_first, spline_last, spline_scale, spline_min_width,
                                spline_min_height, spline_min_derivative, spline_max_derivative, spline_log_range,
                                spline_end_slope})
      text += ", " + number(n[i], is_float_);
    text += "}";
    const auto [entry, is_new] = splines_.try_emplace(text, fmt::format("{}_spline{}", prefix_, splines_.size()));
    if (is_new)
      shapes_ += fmt::format("static const struct {}_spline_family {} = {};\n", prefix_, entry->second, text);
    return entry->second;
  }

  std::string helpers() const {
    std::set<std::string_view> needed(used_.begin(), used_.end());
    for (auto h = std::rbegin(c_helpers); h != std::rend(c_helpers); ++h) {
      if (!needed.contains(h->name)) continue;
      for (const CHelper& other : c_helpers)
        if (h->text.find("@" + std::string(other.name) + "(") != h->text.npos) needed.insert(other.name);
    }
    std::string text;
    for (const CHelper& h : c_helpers)
      if (needed.contains(h.name)) text += specialised(h, prefix_, is_float_) + "\n";
    return text;
  }
  const std::string& constants() const { return constants_; }
  const std::string& shapes() const { return shapes_; }

 private:
  template <class Text>
  std::string list(const char* type, const std::vector<double>& values, Text text) {
    const auto [entry, is_new] =
        known_.try_emplace(std::pair(std::string(type), values), fmt::format("{}_c{}", prefix_, known_.size()));
    if (is_new) {
      constants_ += fmt::format("static const {} {}[{}] = {{", type, entry->second, values.size());
      std::string line = "\n   ";
      for (std::size_t i = 0; i < values.size(); ++i) {
        const std::string next = " " + text(values[i]) + (i + 1 < values.size() ? "," : "");
        if (line.size() + next.size() > line_width) {
          constants_ += line;
          line = "\n   ";
        }
        line += next;
      }
      constants_ += line + "};\n";
    }
    return entry->second;
  }

  std::string prefix_;
  bool is_float_;
  std::set<std::string> used_;
  std::map<std::pair<std::string, std::vector<double>>, std::string> known_;
  std::map<std::string, std::string> splines_;
  std::string constants_, shapes_;
};

/// Room for values that live over ranges of steps; what is dead by then is used again.
class Frame {
 public:
  struct Range {
    Index first = -1, last = -2, size = 0;
    bool used() const { return last >= first; }
    void touch(Index step) {
      if (!used()) first = step;
      last = step;
    }
  };
  explicit Frame(const std::vector<Range>& ranges) : at(ranges.size(), 0) {
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < ranges.size(); ++i)
      if (ranges[i].used()) order.push_back(i);
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return ranges[a].first < ranges[b].first; });
    std::vector<std::size_t> live;  // by place
    for (const std::size_t i : order) {
      std::erase_if(live, [&](std::size_t other) { return ranges[other].last < ranges[i].first; });
      Index place = 0;
      auto before = live.begin();
      for (; before != live.end() && at[*before] < place + ranges[i].size; ++before)
        place = std::max(place, at[*before] + ranges[*before].size);
      live.insert(before, i);
      at[i] = place;
      size = std::max(size, place + ranges[i].size);
    }
  }
  std::vector<Index> at;
  Index size = 0;
};

/// The body of one function.
class Body {
 public:
  Body(const Program& program, Parts& parts)
      : p_(program), parts_(parts), values_(array_ranges(program)), columns_(column_ranges(program)) {
    for (const Instruction& step : p_.steps) {
      if (step.part != part_ && !step.part.empty()) line(fmt::format("/* {} */", commented(step.part)));
      part_ = step.part;
      write(step);
    }
  }

  Index draws() const { return draws_; }
  /// Declarations and what brings the inputs in; the steps.
  std::string text() const {
    std::string out;
    if (values_.size > 0) out += fmt::format("  {} w[{}];\n", real(), values_.size);
    if (columns_.size > 0) out += fmt::format("  double s[{}];\n", columns_.size);
    out += fmt::format("  int m[{}] = {{0}};\n", std::max<Index>(p_.marks, 1));
    if (loops_ || p_.row.cols > 0 || p_.context.cols > 0) out += "  int i;\n";
    out += input("y", p_.row) + input("context", p_.context);
    return out + steps_;
  }
  std::string outside() const { return mark(p_.outside); }
  std::string element(const Slice& p, const std::string& i) {
    if (p.kind == Slice::Kind::column) return fmt::format("s[{}]", columns_.at[static_cast<std::size_t>(p.id)]);
    if (p.kind == Slice::Kind::marks) return mark(p);
    if (p.kind == Slice::Kind::array) {
      const Index at = values_.at[static_cast<std::size_t>(p.id)] + p.begin;
      if (p.cols == 1) return fmt::format("w[{}]", at);
      return at == 0 ? fmt::format("w[{}]", i) : fmt::format("w[{} + {}]", at, i);
    }
    const Values& c = p_.constants[static_cast<std::size_t>(p.id)];
    if (std::all_of(c.values.begin(), c.values.end(), [&](double v) {
          return v == c.values[0] && std::signbit(v) == std::signbit(c.values[0]);
        }))
      return number(c.values[0], p_.is_float && !c.is_double);
    return fmt::format("{}[{}]", parts_.numbers(c.values, c.is_double), i);
  }

 private:
  static void touch(std::vector<Frame::Range>& ranges, Slice::Kind kind, const Slice& p, Index step) {
    if (p.kind == kind && p.cols > 0) ranges[static_cast<std::size_t>(p.id)].touch(step);
  }
  static std::vector<Frame::Range> ranges(const Program& p, Slice::Kind kind, std::size_t count) {
    std::vector<Frame::Range> result(count);
    for (const Slice& input : {p.row, p.context}) touch(result, kind, input, -1);
    for (std::size_t i = 0; i < p.steps.size(); ++i) {
      for (const Slice& place : p.steps[i].inputs) touch(result, kind, place, static_cast<Index>(i));
      for (const Slice& place : p.steps[i].outputs) touch(result, kind, place, static_cast<Index>(i));
    }
    touch(result, kind, p.result, static_cast<Index>(p.steps.size()));
    return result;
  }
  static Frame array_ranges(const Program& p) {
    std::vector<Frame::Range> result = ranges(p, Slice::Kind::array, p.arrays.size());
    for (std::size_t i = 0; i < result.size(); ++i) result[i].size = p.arrays[i];
    return Frame(result);
  }
  static Frame column_ranges(const Program& p) {
    std::vector<Frame::Range> result = ranges(p, Slice::Kind::column, static_cast<std::size_t>(p.columns));
    for (Frame::Range& r : result) r.size = 1;
    return Frame(result);
  }

  const char* real() const { return p_.is_float ? "float" : "double"; }
  std::string mark(const Slice& p) const { return fmt::format("m[{}]", p.id); }
  /// Where a place begins, as a pointer.
  std::string pointer(const Slice& p) {
    if (p.kind == Slice::Kind::array) {
      const Index at = values_.at[static_cast<std::size_t>(p.id)] + p.begin;
      return at == 0 ? "w" : fmt::format("w + {}", at);
    }
    const Values& c = p_.constants[static_cast<std::size_t>(p.id)];
    return parts_.numbers(c.values, c.is_double);
  }
  std::string input(const char* name, const Slice& p) const {
    if (p.cols == 0) return {};
    const Index at = values_.at[static_cast<std::size_t>(p.id)];
    const std::string to = at == 0 ? "w[i]" : fmt::format("w[{} + i]", at);
    return fmt::format(
        "  for (i = 0; i < {0}; ++i) {{\n"
        "    const int finite = {1}[i] - {1}[i] == 0;\n"
        "    {2} = finite ? {1}[i] : 0;\n"
        "    if (!finite) {3} |= {1}[i] == {1}[i] ? 1 : 2;\n"
        "  }}\n",
        p.cols, name, to, mark(p_.outside));
  }

  void line(const std::string& text) { steps_ += "  " + text + "\n"; }
  /// statement(i) for i < n.
  template <class F>
  void each(Index n, F statement) {
    if (n == 1) return line(statement("0"));
    const std::string body = statement("i");
    loops_ = true;
    line(fmt::format("for (i = 0; i < {}; ++i) {}", n, body));
  }
  /// y = expression(i) in the type of y.
  template <class F>
  void assign(const Slice& y, F expression) {
    each(y.cols, [&](const std::string& i) { return element(y, i) + " = " + expression(i) + ";"; });
  }
  std::string literal(double v, const Slice& y) const {
    return number(v, p_.is_float && y.kind == Slice::Kind::array);
  }
  std::string math(const char* name, const Slice& y) const {
    return name + std::string(p_.is_float && y.kind == Slice::Kind::array ? "f" : "");
  }
  void function(const Instruction& s, const std::string& name) {
    assign(s.outputs[0], [&](const std::string& i) { return name + "(" + element(s.inputs[0], i) + ")"; });
  }
  void binary(const Instruction& s, const char* sign) {
    assign(s.outputs[0], [&](const std::string& i) {
      return element(s.inputs[0], i) + " " + sign + " " + element(s.inputs[1], i);
    });
  }
  void marks(const Instruction& s, const char* sign) {
    line(fmt::format("{} = {} {} {};", mark(s.outputs[0]), mark(s.inputs[0]), sign, mark(s.inputs[1])));
  }
  void draw(const Instruction& s) {
    const Index first = draws_;
    draws_ += s.outputs[0].cols;
    assign(s.outputs[0], [&](const std::string& i) {
      return s.outputs[0].cols == 1 ? fmt::format("noise[{}]", first)
             : first == 0           ? fmt::format("noise[{}]", i)
                                    : fmt::format("noise[{} + {}]", first, i);
    });
  }

  void activation(const Instruction& s) {
    static constexpr const char* names[] = {"",     "relu", "leaky_relu", "elu",     "gelu",
                                            "silu", "tanh", "sigmoid",    "softplus"};
    const auto a = static_cast<Activation>(s.numbers[0]);
    if (a == Activation::identity) return copy(s);
    if (a == Activation::tanh) return function(s, math("tanh", s.outputs[0]));
    function(s, parts_.call(names[static_cast<std::size_t>(a)]));
  }
  void activation_derivative(const Instruction& s) {
    static constexpr const char* names[] = {"",           "relu_slope", "leaky_relu_slope", "elu_slope", "gelu_slope",
                                            "silu_slope", "",           "logistic_slope",   "sigmoid"};
    const auto a = static_cast<Activation>(s.numbers[0]);
    const Slice& y = s.outputs[0];
    assign(y, [&](const std::string& i) {
      const std::string x = element(s.inputs[0], i);
      if (a == Activation::identity) return fmt::format("{0} == {0} ? {1} : {0}", x, literal(1, y));
      if (a == Activation::tanh)
        return fmt::format("{} * {}({} * {})", literal(4, y), parts_.call("logistic_slope"), literal(2, y), x);
      return parts_.call(names[static_cast<std::size_t>(a)]) + "(" + x + ")";
    });
  }
  void scale_shift(const Instruction& s) {
    const Slice& y = s.outputs[0];
    const double scale = s.numbers[0], shift = s.numbers[1];
    assign(y, [&](const std::string& i) {
      const std::string x = element(s.inputs[0], i);
      std::string text = scale == 1 ? x : scale == -1 ? "-" + x : literal(scale, y) + " * " + x;
      if (shift > 0 || std::isnan(shift)) text += " + " + literal(shift, y);
      if (shift < 0) text += " - " + literal(-shift, y);
      return text;
    });
  }
  void clamp(const Instruction& s) {
    const Slice& y = s.outputs[0];
    assign(y, [&](const std::string& i) {
      const std::string low = s.numbers.empty() ? element(s.inputs[1], i) : literal(s.numbers[0], y);
      const std::string high = s.numbers.empty() ? element(s.inputs[2], i) : literal(s.numbers[1], y);
      return fmt::format("{}({}, {}, {})", parts_.call("clamp"), element(s.inputs[0], i), low, high);
    });
  }
  void copy(const Instruction& s) {
    const Slice &y = s.outputs[0], &x = s.inputs[0];
    const bool narrows = p_.is_float && y.kind == Slice::Kind::array && x.kind == Slice::Kind::column;
    assign(y, [&](const std::string& i) { return (narrows ? "(float)" : "") + element(x, i); });
  }
  void fill(const Instruction& s) {
    const Slice& y = s.outputs[0];
    if (y.kind == Slice::Kind::marks) return line(fmt::format("{} = {:.0f};", mark(y), s.numbers[0]));
    assign(y, [&](const std::string&) { return literal(s.numbers[0], y); });
  }
  /// Column of `p` that entry i of the step's index names.
  std::string indexed(const Instruction& s, const Slice& p, const std::string& i) {
    const Index at = values_.at[static_cast<std::size_t>(p.id)] + p.begin;
    if (s.index.size() == 1) return fmt::format("w[{}]", at + s.index[0]);
    const std::vector<double> index(s.index.begin(), s.index.end());
    return fmt::format("w[{} + {}[{}]]", at, parts_.integers(index), i);
  }
  void gather(const Instruction& s) {
    assign(s.outputs[0], [&](const std::string& i) { return indexed(s, s.inputs[0], i); });
  }
  void scatter(const Instruction& s) {
    each(s.inputs[0].cols, [&](const std::string& i) {
      return indexed(s, s.outputs[0], i) + " = " + element(s.inputs[0], i) + ";";
    });
  }
  /// Outputs that read the same inputs go together.
  void linear(const Instruction& s) {
    const std::vector<double>& weights = p_.constants[static_cast<std::size_t>(s.inputs[1].id)].values;
    std::vector<std::size_t> offset;
    std::size_t end = 0;
    for (const Index n : s.prefix) {
      offset.push_back(end);
      end += static_cast<std::size_t>(n);
    }
    std::map<Index, std::vector<std::size_t>> groups;
    for (std::size_t o = 0; o < s.prefix.size(); ++o) groups[s.prefix[o]].push_back(o);
    for (const auto& [prefix, outputs] : groups) {
      std::vector<double> w, b;
      for (const std::size_t o : outputs)
        b.push_back(s.inputs.size() < 3 ? 0.0
                                        : p_.constants[static_cast<std::size_t>(s.inputs[2].id)].values[o]);
      const bool together = outputs.back() - outputs.front() + 1 == outputs.size();
      Slice y{Slice::Kind::array, s.outputs[0].id, s.outputs[0].begin, static_cast<Index>(outputs.size())};
      if (together) y.begin += static_cast<Index>(outputs.front());
      if (prefix == 0) {
        const std::string bias = parts_.numbers(b, false);
        if (together) assign(y, [&](const std::string& i) { return bias + "[" + i + "]"; });
        else to_outputs(y, outputs, [&](const std::string& i) { return bias + "[" + i + "]"; });
        continue;
      }
      std::size_t o = 0;
      for (const std::size_t width : {std::size_t{8}, std::size_t{4}, std::size_t{1}})
        for (; o + width <= outputs.size(); o += width)
          for (std::size_t k = 0; k < static_cast<std::size_t>(prefix); ++k)
            for (std::size_t j = 0; j < width; ++j) w.push_back(weights[offset[outputs[o + j]] + k]);
      const auto call = [&](const std::string& to) {
        return fmt::format("{}({}, {}, {}, {}, {}, {});", parts_.call("dense"), to, pointer(s.inputs[0]), prefix,
                           parts_.numbers(w, false), parts_.numbers(b, false), outputs.size());
      };
      if (together) {
        line(call(pointer(y)));
      } else {
        line(fmt::format("{{ {} t[{}];", real(), outputs.size()));
        line("  " + call("t"));
        to_outputs(y, outputs, [](const std::string& i) { return "t[" + i + "]"; });
        line("}");
      }
    }
  }
  template <class F>
  void to_outputs(const Slice& y, const std::vector<std::size_t>& outputs, F expression) {
    const Index at = values_.at[static_cast<std::size_t>(y.id)] + y.begin;
    const std::string index = parts_.integers(std::vector<double>(outputs.begin(), outputs.end()));
    each(static_cast<Index>(outputs.size()), [&](const std::string& i) {
      return fmt::format("w[{} + {}[{}]] = {};", at, index, i, expression(i));
    });
  }
  void triangular(const Instruction& s, const char* helper) {
    const Index dim = s.outputs[0].cols;
    const bool lower = s.numbers[0] != 0;
    std::vector<double> m = p_.constants[static_cast<std::size_t>(s.inputs[1].id)].values;
    for (Index o = 0; o < dim; ++o)  // what is not read
      for (Index k = lower ? o : 0; k < (lower ? dim : o + 1); ++k) m[static_cast<std::size_t>(o * dim + k)] = 0;
    line(fmt::format("{}({}, {}, {}, {}, {}, {});", parts_.call(helper), pointer(s.outputs[0]), pointer(s.inputs[0]),
                     parts_.numbers(m, false), s.inputs.size() > 2 ? pointer(s.inputs[2]) : "0", dim, lower ? 1 : 0));
  }
  void row_sum(const Instruction& s, bool squares) {
    const std::string y = element(s.outputs[0], "");
    const auto term = [&](const std::string& i) {
      const std::string x = (p_.is_float ? "(double)" : "") + element(s.inputs[0], i);
      return squares ? x + " * " + x : x;
    };
    if (s.inputs[0].cols == 1) return line(y + " = " + term("0") + ";");
    line(y + " = 0.0;");
    each(s.inputs[0].cols, [&](const std::string& i) { return y + " += " + term(i) + ";"; });
  }
  void log_sum_exp(const Instruction& s) {
    const std::string y = element(s.outputs[0], "");
    std::string sum;
    line("{");
    line("  double top = " + element(s.inputs[0], "") + ";");
    for (const Slice& x : s.inputs) {
      const std::string v = element(x, "");
      if (&x != &s.inputs[0]) line(fmt::format("  top = {0} > top ? {0} : top;", v));
      sum += (sum.empty() ? "" : " + ") + fmt::format("exp({} - top)", v);
    }
    line(fmt::format("  {} = top - top == 0.0 || top != top ? top + log({}) : top;", y, sum));
    line("}");
  }
  void choose(const Instruction& s) {
    const std::vector<double> weights(s.numbers.begin() + 1, s.numbers.end());
    line(fmt::format("if ({}({}, {}, {}) == {:.0f})", parts_.call("choose"), element(s.inputs[0], "0"),
                     parts_.numbers(weights, true), weights.size(), s.numbers[0]));
    steps_ += "  ";
    assign(s.outputs[0], [&](const std::string& i) { return element(s.inputs[1], i); });
  }
  void sigmoid_between(const Instruction& s) {
    assign(s.outputs[0], [&](const std::string& i) {
      std::string arguments = element(s.inputs[0], i);
      for (std::size_t k = 1; k < s.inputs.size(); ++k) arguments += ", " + element(s.inputs[k], i);
      return parts_.call("sigmoid_between") + "(" + arguments + ")";
    });
  }
  /// y = map(x, ..., &y), which returns the log derivative.
  template <class F>
  void mapped(const Instruction& s, F call) {
    const bool wants_log = s.needed[1];
    each(s.outputs[0].cols, [&](const std::string& i) {
      return (wants_log ? element(s.outputs[1], i) + " = " : "(void)") + call(i, "&" + element(s.outputs[0], i)) + ";";
    });
  }
  void spline(const Instruction& s) {
    const std::string family = parts_.spline(s.numbers);
    const std::string name = parts_.call(s.numbers[spline_inverse] != 0 ? "spline_inverse" : "spline");
    // The raw numbers of an element are equally far from each other in one array.
    const Slice& first = s.inputs[1];
    const Index stride = s.inputs[2].begin - first.begin;
    for (std::size_t k = 1; k < s.inputs.size(); ++k)
      if (s.inputs[k].id != first.id || s.inputs[k].begin != first.begin + stride * static_cast<Index>(k - 1))
        throw NotImplemented("c_header: the parameters of a spline of " + s.part + " do not lie in one matrix");
    mapped(s, [&](const std::string& i, const std::string& y) {
      return fmt::format("{}(&{}, {}, &{}, {}, {})", name, family, element(s.inputs[0], i), element(first, i), stride,
                         y);
    });
  }
  void scale_with_tails(const Instruction& s) {
    const std::string name = parts_.call(s.numbers[0] != 0 ? "scale_with_tails_inverse" : "scale_with_tails");
    mapped(s, [&](const std::string& i, const std::string& y) {
      return fmt::format("{}({}, {}, {}, {})", name, number(s.numbers[1], p_.is_float), element(s.inputs[0], i),
                         element(s.inputs[1], i), y);
    });
  }
  void replace_outside(const Instruction& s) {
    const char* equal = s.numbers[0] != 0 ? "" : "=";
    each(s.outputs[0].cols, [&](const std::string& i) {
      const std::string x = element(s.inputs[0], i), y = element(s.outputs[0], i);
      return fmt::format("{{ if ({0} <{1} {2} || {0} >{1} {3}) {{ {4} = {5}; {6} |= 1; }} else {4} = {0}; }}", x, equal,
                         element(s.inputs[1], i), element(s.inputs[2], i), y, element(s.inputs[3], i),
                         mark(s.outputs[1]));
    });
  }
  void replace_rows(const Instruction& s) {
    const bool has_value = s.inputs.size() > 1;
    line(fmt::format("{} = {} ? {} : {};", element(s.outputs[0], ""), mark(s.inputs.back()),
                     number(s.numbers[0], false), has_value ? element(s.inputs[0], "") : "0.0"));
  }

  void write(const Instruction& s) {
    switch (s.operation) {
      case Operation::exp: return function(s, math("exp", s.outputs[0]));
      case Operation::log: return function(s, math("log", s.outputs[0]));
      case Operation::log1p: return function(s, math("log1p", s.outputs[0]));
      case Operation::expm1: return function(s, math("expm1", s.outputs[0]));
      case Operation::erf: return function(s, math("erf", s.outputs[0]));
      case Operation::erfinv: return function(s, parts_.call("erfinv"));
      case Operation::sqrt: return function(s, math("sqrt", s.outputs[0]));
      case Operation::abs: return function(s, math("fabs", s.outputs[0]));
      case Operation::sin: return function(s, math("sin", s.outputs[0]));
      case Operation::cos: return function(s, math("cos", s.outputs[0]));
      case Operation::atan: return function(s, math("atan", s.outputs[0]));
      case Operation::lgamma: return function(s, math("lgamma", s.outputs[0]));
      case Operation::asinh: return function(s, math("asinh", s.outputs[0]));
      case Operation::log_ndtr: return function(s, parts_.call("log_ndtr"));
      case Operation::ndtri_exp: return function(s, parts_.call("ndtri_exp"));
      case Operation::lambert_w: return function(s, parts_.call("lambert_w"));
      case Operation::log1p_square: return function(s, parts_.call("log1p_square"));
      case Operation::square:
        return assign(s.outputs[0], [&](const std::string& i) {
          return element(s.inputs[0], i) + " * " + element(s.inputs[0], i);
        });
      case Operation::activation: return activation(s);
      case Operation::activation_derivative: return activation_derivative(s);
      case Operation::scale_shift: return scale_shift(s);
      case Operation::clamp: return clamp(s);
      case Operation::add: return binary(s, "+");
      case Operation::subtract: return binary(s, "-");
      case Operation::multiply: return binary(s, "*");
      case Operation::divide: return binary(s, "/");
      case Operation::fill: return fill(s);
      case Operation::copy: return copy(s);
      case Operation::gather: return gather(s);
      case Operation::scatter: return scatter(s);
      case Operation::linear: return linear(s);
      case Operation::triangular_multiply: return triangular(s, "triangular");
      case Operation::triangular_solve: return triangular(s, "triangular_inverse");
      case Operation::row_sum: return row_sum(s, false);
      case Operation::row_sum_of_squares: return row_sum(s, true);
      case Operation::log_sum_exp: return log_sum_exp(s);
      case Operation::choose: return choose(s);
      case Operation::sigmoid_between: return sigmoid_between(s);
      case Operation::spline: return spline(s);
      case Operation::scale_with_tails: return scale_with_tails(s);
      case Operation::replace_outside: return replace_outside(s);
      case Operation::replace_rows: return replace_rows(s);
      case Operation::marks_or: return marks(s, "|");
      case Operation::marks_and: return marks(s, "&");
      case Operation::marks_without: return marks(s, "& ~");
      case Operation::normal:
      case Operation::uniform:
      case Operation::logistic:
      case Operation::laplace:
      case Operation::cauchy:
      case Operation::exponential: return draw(s);
    }
    throw NotImplemented("c_header: an operation of " + s.part + " has no form in C");
  }

  const Program& p_;
  Parts& parts_;
  Frame values_, columns_;
  std::string steps_, part_;
  Index draws_ = 0;
  bool loops_ = false;
};

std::string listed(const std::vector<std::string>& names, Index count) {
  std::string text;
  for (Index c = 0; c < count; ++c)
    text += (c == 0 ? "" : ", ") +
            (static_cast<std::size_t>(c) < names.size() ? names[static_cast<std::size_t>(c)] : fmt::format("c{}", c));
  return text;
}

/// What `text` says of a function that is missing.
std::string absent(const std::string& function, const std::string& reason) {
  return reason.empty() ? "" : fmt::format("There is no {}: {}.\n", function, reason);
}

}  // namespace

template <Scalar T>
CHeader c_header(const Distribution<T>& model, const ModelInfo& info, const std::string& name) {
  if (name.empty() || std::isdigit(static_cast<unsigned char>(name[0])) ||
      !std::all_of(name.begin(), name.end(), in_name))
    throw DomainError("c_header: expected a name of letters, digits and underscores, got '" + name + "'");
  constexpr bool is_float = sizeof(T) == 4;
  const std::string real = is_float ? "float" : "double";
  const bool conditional = model.context_dim() > 0;
  const std::string context = conditional ? fmt::format(", const {} *context", real) : "";
  CHeader header;
  Parts parts(name, is_float);
  std::string functions;

  try {
    const Program p = trace_log_prob(model);
    Body body(p, parts);
    const std::string value = p.result.cols == 0 ? "0.0" : body.element(p.result, "0");
    functions +=
        fmt::format("static inline double {}_log_prob(const {} *y{}) {{\n{}", name, real, context, body.text());
    functions +=
        fmt::format("  return {0} & 2 ? (double)NAN : {0} ? -(double)INFINITY : {1};\n}}\n", body.outside(), value);
  } catch (const NotImplemented& e) {
    header.no_log_prob = e.what();
  }
  Index draws = 0;
  try {
    const Program p = trace_sample(model, Engine(0).next_call());
    Body body(p, parts);
    draws = body.draws();
    functions += fmt::format("\nstatic inline void {}_from_noise(const {} *noise{}, {} *y) {{\n{}", name, real, context,
                             real, body.text());
    functions += p.row.cols == 0 && body.text().find("  int i;\n") == std::string::npos ? "  int i;\n" : "";
    functions += fmt::format("  for (i = 0; i < {}; ++i) y[i] = {} ? ({})NAN : {};\n}}\n", model.dim(), body.outside(),
                             real, body.element(p.result, "i"));
    functions += fmt::format("\nstatic inline void {0}_sample(const double *u{1}, {2} *y) {{\n", name, context, real);
    functions += fmt::format("  {} noise[{}];\n  int i;\n", real, std::max<Index>(draws, 1));
    Index first = 0;
    for (const auto& [kind, count] : draw_kinds(p)) {
      functions +=
          fmt::format("  for (i = {}; i < {}; ++i) noise[i] = {}(u[i]);\n", first, first + count, parts.call(kind));
      first += count;
    }
    functions += fmt::format("  {}_from_noise(noise{}, y);\n}}\n", name, conditional ? ", context" : "");
  } catch (const NotImplemented& e) {
    header.no_sample = e.what();
  }
  if (!header.no_log_prob.empty() && !header.no_sample.empty())
    throw NotImplemented("c_header: " + header.no_log_prob + "; " + header.no_sample);

  std::string about = fmt::format("{}.h: {} of {}", name, model.name(), listed(info.columns, model.dim()));
  if (conditional) about += fmt::format(" given {}", listed(info.context_columns, model.context_dim()));
  about += "\nMade by pushforward " PUSHFORWARD_VERSION
           ". C99 and C++17; needs <math.h> alone. Generated: do not change.\n\n";
  if (header.no_log_prob.empty())
    about += fmt::format("double {}_log_prob(const {} *y{});\n  log density of a row in nats; -INFINITY outside of the "
                         "support, NAN where NaN goes in\n",
                         name, real, context);
  if (header.no_sample.empty())
    about += fmt::format("void {0}_sample(const double *u{2}, {1} *y);\n"
                         "  a draw y of {0}_noise_dim uniform numbers u in (0, 1)\n"
                         "void {0}_from_noise(const {1} *noise{2}, {1} *y);\n  the same of draws of the base\n",
                         name, real, context);
  about += absent(name + "_log_prob", header.no_log_prob) + absent(name + "_sample", header.no_sample);
  about += "\n" + to_text(model);
  for (const auto& [key, note] : info.notes) about += key + ": " + note + "\n";

  std::string guard = name + "_H_INCLUDED";
  std::transform(guard.begin(), guard.end(), guard.begin(), [](unsigned char c) { return std::toupper(c); });
  header.text =
      fmt::format("/* {0} */\n#ifndef {1}\n#define {1}\n\n#include <math.h>\n\n", commented(about), guard);
  header.text += fmt::format("enum {{ {0}_dim = {1}, {0}_context_dim = {2}, {0}_noise_dim = {3} }};\n\n", name,
                             model.dim(), model.context_dim(), draws);
  header.text += parts.constants() + "\n" + parts.helpers() + parts.shapes() + "\n" + functions + "\n#endif\n";
  return header;
}

template CHeader c_header(const Distribution<float>&, const ModelInfo&, const std::string&);
template CHeader c_header(const Distribution<double>&, const ModelInfo&, const std::string&);

}  // namespace pushforward
