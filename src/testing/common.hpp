#pragma once

// What the contracts share: collecting failures, points of a domain, comparison of bits, recorded evaluations.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <exception>
#include <pushforward/distribution.hpp>
#include <pushforward/error.hpp>
#include <pushforward/registry.hpp>
#include <pushforward/testing/gradient_check.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "src/core/evaluate.hpp"
#include "src/testing/chart.hpp"

namespace pushforward::testing::detail {

using pushforward::detail::load;

template <class... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream out;
  out.precision(17);
  (out << ... << parts);
  return out.str();
}

/// Collects failures; of one check the first few only.
class Report {
 public:
  /// Runs one check; an exception that it lets out is a failure.
  template <class Check>
  void run(const std::string& name, Check check) {
    name_ = name;
    count_ = 0;
    try {
      check();
    } catch (const std::exception& e) {
      fail("unexpected exception: ", e.what());
    }
  }
  template <class... Parts>
  void fail(const Parts&... parts) {
    if (++count_ <= 3) failures_.push_back({name_, text(parts...)});
  }
  void add(const std::vector<Failure>& failures) {
    failures_.insert(failures_.end(), failures.begin(), failures.end());
  }

  template <class... Where>
  void near(double got, double expected, double tolerance, const Where&... where) {
    if (!(std::abs(got - expected) <= tolerance))
      fail(where..., ": expected ", expected, ", got ", got, ", tolerance ", tolerance);
  }
  template <class... Where>
  void that(bool holds, const Where&... where) {
    if (!holds) fail(where...);
  }

  /// `call` must throw E, with every one of `parts` in the text.
  template <class E, class Call>
  void throws(Call call, const std::string& where, const std::vector<std::string>& parts) {
    try {
      call();
    } catch (const E& e) {
      for (const std::string& part : parts)
        that(std::string(e.what()).find(part) != std::string::npos, where, ": '", part, "' is missing in: ", e.what());
      return;
    } catch (const std::exception& e) {
      fail(where, ": wrong type of exception: ", e.what());
      return;
    }
    fail(where, ": nothing was thrown");
  }

  std::vector<Failure> take() { return std::move(failures_); }

 private:
  std::string name_;
  int count_ = 0;
  std::vector<Failure> failures_;
};

template <class T>
bool same_bits(T a, T b) {
  return std::memcmp(&a, &b, sizeof(T)) == 0 || (std::isnan(a) && std::isnan(b));
}
/// The same bits in every entry; two NaN count as the same. Row of the first difference, or -1.
template <class A, class B>
Index first_difference(const A& a, const B& b) {
  if (a.rows() != b.rows() || a.cols() != b.cols()) return 0;
  for (Index i = 0; i < a.rows(); ++i)
    for (Index c = 0; c < a.cols(); ++c)
      if (!same_bits(a(i, c), b(i, c))) return i;
  return -1;
}

template <class T, class M>
Matrix<T> convert(const M& m) {
  return m.template cast<T>();
}

inline Matrix<double> normals(Index rows, Index cols, std::uint64_t seed) {
  Matrix<double> z(rows, cols);
  if (z.size() > 0) Engine(seed).next_call().normal(0, rows, cols, z.data(), rows);
  return z;
}

/// Random points of the space, most of them far from its bounds.
template <Scalar T>
Matrix<T> draw_points(const Chart& chart, Index rows, std::uint64_t seed) {
  return convert<T>(chart.points(normals(rows, chart.dimensions(), seed)));
}

/// The row as doubles, and back.
template <Scalar T>
Eigen::VectorXd row_of(const Matrix<T>& m, Index i) {
  return m.row(i).template cast<double>().transpose();
}

/// Rounding alone takes rows of T this far from a surface.
template <Scalar T>
inline constexpr double surface_tolerance = std::same_as<T, double> ? 1e-9 : 1e-4;
template <Scalar T>
bool contains(const Space& space, const Matrix<T>& m, Index i) {
  const Eigen::VectorXd row = row_of(m, i);
  return space.contains(VectorView<const double>(row.data(), row.size()), surface_tolerance<T>);
}

/// Functions of rows that lie on a surface, as functions of steps along it: what check_gradient can move.
class Along {
 public:
  Along(const Chart& chart, const Matrix<double>& rows) : rows_(rows) {
    for (Index i = 0; i < rows.rows(); ++i) {
      const std::vector<Chart::Direction> directions = chart.directions(row_of(rows, i));
      steps_.resize(directions.size(), Matrix<double>::Zero(rows.rows(), rows.cols()));
      for (std::size_t k = 0; k < directions.size(); ++k) steps_[k].row(i) = directions[k].reach * directions[k].along;
    }
  }
  /// Where the steps begin.
  Matrix<double> origin() const { return Matrix<double>::Zero(rows_.rows(), static_cast<Index>(steps_.size())); }
  Var<double> rows(Pass<double>& pass, Var<double> steps) const {
    Var<double> y = load<double>(pass.tape(), rows_, false);
    const std::vector<std::int64_t> everywhere(static_cast<std::size_t>(rows_.cols()), 0);
    for (std::size_t k = 0; k < steps_.size(); ++k)
      y = y + gather_columns<double>(columns(steps, static_cast<Index>(k), 1), everywhere) *
                  load<double>(pass.tape(), steps_[k], false);
    return y;
  }

 private:
  Matrix<double> rows_;
  std::vector<Matrix<double>> steps_;
};

/// check_gradient of f at rows of the space.
inline std::vector<Failure> check_gradient_on(const Chart& chart, const RowFunction& f, const Matrix<double>& rows,
                                              const Matrix<double>& context, std::span<const NamedTensor> parameters,
                                              GradientCheck options, std::vector<double>* largest = nullptr) {
  if (chart.space().is_box() || !chart.space().is_known()) {
    options.domain = chart.space().bounds();
    return check_gradient(f, rows, context, parameters, options, largest);
  }
  const Along along(chart, rows);
  const RowFunction of_steps = [&](Pass<double>& pass, Var<double> steps) { return f(pass, along.rows(pass, steps)); };
  return check_gradient(of_steps, along.origin(), context, parameters, options, largest);
}

/// Rows in another order: i -> (7 i + 3) mod rows, with a stride that has no common factor with their number.
inline std::vector<Index> shuffled(Index rows) {
  Index stride = 7;
  while (rows % stride == 0 && rows > 0) stride += 2;
  std::vector<Index> order(static_cast<std::size_t>(rows));
  for (Index i = 0; i < rows; ++i) order[static_cast<std::size_t>(i)] = (stride * i + 3) % rows;
  return order;
}
template <class M>
M reordered(const M& m, const std::vector<Index>& order) {
  M out(static_cast<Index>(order.size()), m.cols());
  for (Index i = 0; i < out.rows(); ++i) out.row(i) = m.row(order[static_cast<std::size_t>(i)]);
  return out;
}

/// Everything that a tree holds, to see whether a call has changed it.
template <Scalar T>
std::vector<Tensor<T>> snapshot(const Component<T>& component) {
  std::vector<Tensor<T>> tensors;
  for (const ConstSlot<T>& slot : list_state(component)) tensors.push_back(*slot.tensor);
  return tensors;
}
template <Scalar T>
bool unchanged(const Component<T>& component, const std::vector<Tensor<T>>& before) {
  const std::vector<ConstSlot<T>> slots = list_state(component);
  if (slots.size() != before.size()) return false;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const auto now = slots[i].tensor->values(), then = before[i].values();
    if (now.size() != then.size()) return false;
    if (!now.empty() && std::memcmp(now.data(), then.data(), now.size_bytes()) != 0) return false;
  }
  return true;
}

template <Scalar T>
std::vector<NamedTensor> parameters(Component<T>& component) requires std::same_as<T, double> {
  std::vector<NamedTensor> list;
  for (const Slot<double>& slot : list_state(component))
    if (slot.kind == StateKind::parameter) list.push_back({slot.path, slot.tensor});
  return list;
}

/// Gradients of the sum over rows of f in x, context and parameters, by the tape.
template <Scalar T>
struct RecordedGradient {
  Matrix<double> x, context;
  std::vector<std::vector<double>> parameters;
};
template <Scalar T, class F>
RecordedGradient<T> recorded_gradient(const F& f, const Component<T>& component, const Matrix<T>& x,
                                      const Matrix<T>& context) {
  std::vector<const Tensor<T>*> tensors;
  for (const ConstSlot<T>& slot : list_state(component))
    if (slot.kind == StateKind::parameter) tensors.push_back(slot.tensor);
  Gradients<T> gradients{std::span<const Tensor<T>* const>(tensors)};
  Workspace memory;
  Tape<T> tape(Tape<T>::Mode::record, {memory.batch, memory.local}, x.rows());
  tape.set_gradients(&gradients);
  typename Pass<T>::Settings settings;
  if (context.cols() > 0) settings.context = load<T>(tape, context, true);
  Pass<T> pass(tape, settings);
  const Var<T> in = load<T>(tape, x, true);
  const std::vector<double> ones(static_cast<std::size_t>(x.rows()), 1.0);
  tape.backward(f(pass, in), ones.data());
  RecordedGradient<T> result;
  const auto read = [&](Var<T> v) {
    Matrix<double> g = Matrix<double>::Zero(x.rows(), v.cols());
    if (Tape<T>::has_gradient(v))
      for (Index c = 0; c < v.cols(); ++c)
        for (Index i = 0; i < x.rows(); ++i) g(i, c) = static_cast<double>(tape.gradient(v, c)[i]);
    return g;
  };
  result.x = read(in);
  if (context.cols() > 0) result.context = read(settings.context);
  for (const Tensor<T>* tensor : tensors)
    result.parameters.emplace_back(gradients.find(tensor), gradients.find(tensor) + tensor->size());
  return result;
}

/// Gradients in float against those of the same object in double: per tensor, relative to its largest entry.
template <class F32, class F64>
void compare_precisions(Report& report, const F32& f32, const F64& f64, const Component<float>& c32,
                        const Component<double>& c64, const Matrix<float>& x, const Matrix<float>& context,
                        const std::string& where) {
  const RecordedGradient<float> a = recorded_gradient<float>(f32, c32, x, context);
  const RecordedGradient<double> b = recorded_gradient<double>(f64, c64, convert<double>(x), convert<double>(context));
  const auto compare = [&](const double* got, const double* expected, Index n, const std::string& what) {
    double scale = 1;
    for (Index i = 0; i < n; ++i) scale = std::max(scale, std::abs(expected[i]));
    for (Index i = 0; i < n; ++i)
      report.near(got[i], expected[i], 2e-3 * scale, where, ", float gradient of ", what, ", entry ", i);
  };
  compare(a.x.data(), b.x.data(), a.x.size(), "the input");
  compare(a.context.data(), b.context.data(), a.context.size(), "the context");
  std::size_t p = 0;
  for (const ConstSlot<double>& slot : list_state(c64))
    if (slot.kind == StateKind::parameter) {
      compare(a.parameters[p].data(), b.parameters[p].data(), slot.tensor->size(), slot.path);
      ++p;
    }
}

/// Checks of the listing: names, kinds, and the paths that files rely on.
template <Scalar T>
void check_listing(Report& report, const Component<T>& component, const std::vector<std::string>& expected) {
  const std::vector<ConstSlot<T>> slots = list_state(component);
  std::vector<std::string> paths;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    paths.push_back(slots[i].path);
    report.that(!paths[i].empty(), "a tensor without a name");
    for (std::size_t k = 0; k < i; ++k) {
      report.that(paths[i] != paths[k], "two tensors have the path '", paths[i], "'");
      report.that(slots[i].tensor != slots[k].tensor, "'", paths[k], "' and '", paths[i], "' are one tensor");
    }
  }
  if (!expected.empty() && paths != expected) {
    std::string got, want;
    for (const std::string& p : paths) got += p + " ";
    for (const std::string& p : expected) want += p + " ";
    report.fail("expected the tensors ", want, "but listed are ", got);
  }
  report.that(!component.name().empty(), "no name");
  report.that(!component.describe().type.empty(), "describe() gives no type");
  report.that(component.describe() == component.describe(), "describe() gives two answers");
}

/// What call(pass, in) asks the tape for, proposes a value for, or captures, is named in `do_fields`: else it would be
/// neither trained nor saved, and an object that is rebuilt agrees as long as the tensor has its first value.
template <Scalar T, class Call>
void check_asked(Report& report, const Component<T>& component, const Matrix<T>& in, const Matrix<T>& context,
                 typename Tape<T>::Mode mode, Statistics statistics, const std::string& where, const Call& call) {
  std::vector<const Tensor<T>*> asked;
  Proposals<T> proposals;
  CapturedStatistics<T> captured;
  const RandomCall noise = Engine(1).next_call();
  Workspace memory;
  Tape<T> tape(mode, {memory.batch, memory.local}, in.rows());
  tape.set_asked(&asked);
  typename Pass<T>::Settings settings;
  settings.statistics = statistics;
  settings.noise = settings.dropout = &noise;
  settings.proposals = &proposals;
  settings.capture = &captured;
  settings.starts = statistics == Statistics::minibatch;
  if (context.cols() > 0) settings.context = load<T>(tape, context, false);
  Pass<T> pass(tape, settings);
  call(pass, load<T>(tape, in, tape.recording()));

  for (const auto& proposal : proposals.values) asked.push_back(proposal.first);
  for (const auto& layer : captured.layers) asked.push_back(layer.first);
  const std::vector<ConstSlot<T>> slots = list_state(component);
  for (auto at = asked.begin(); at != asked.end(); ++at) {
    const Tensor<T>& tensor = **at;
    const bool named = std::any_of(slots.begin(), slots.end(), [&](const auto& slot) { return slot.tensor == *at; });
    if (named || std::find(asked.begin(), at, *at) != at) continue;
    std::string values;
    for (Index i = 0; i < std::min<Index>(tensor.size(), 3); ++i) values += text(i > 0 ? ", " : "", tensor[i]);
    report.fail(where, " asks for a tensor of ", tensor.size(), " values (", values, tensor.size() > 3 ? ", ..." : "",
                ") that do_fields does not name: it is neither trained nor saved; what is made from constants comes in "
                "by Pass::constant");
  }
}

/// The same for samples, as many as there are rows of context or 17, where the class has them.
template <Scalar T>
void check_asked_by_samples(Report& report, const Distribution<T>& d, const Matrix<T>& context) {
  const Matrix<T> nothing(context.cols() > 0 ? context.rows() : 17, 0);
  const auto check = [&](const std::string& where, const auto& call) {
    try {
      check_asked<T>(report, d, nothing, context, Tape<T>::Mode::evaluate, Statistics::running, where, call);
    } catch (const NotImplemented&) {
    }
  };
  check("sample", [&](Pass<T>& pass, Var<T>) { (void)d.sample(pass); });
  check("sample_and_log_prob", [&](Pass<T>& pass, Var<T>) { (void)d.sample_and_log_prob(pass); });
}

/// `work(thread)` on n threads of their own at the same time.
template <class Work>
void concurrently(int n, const Work& work) {
  std::vector<std::exception_ptr> errors(static_cast<std::size_t>(n));
  std::vector<std::thread> threads;
  for (int t = 0; t < n; ++t)
    threads.emplace_back([&, t] {
      try {
        work(t);
      } catch (...) {
        errors[static_cast<std::size_t>(t)] = std::current_exception();
      }
    });
  for (std::thread& t : threads) t.join();
  for (const std::exception_ptr& e : errors)
    if (e) std::rethrow_exception(e);
}

}  // namespace pushforward::testing::detail
