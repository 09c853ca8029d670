#include "src/export/program.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include <pushforward/error.hpp>
#include <pushforward/execution.hpp>

#include "src/ops/trace.hpp"

namespace pushforward::detail {

namespace {

bool is_draw(Operation o) { return o >= Operation::normal; }

/// Turns steps into instructions; addresses mean the same place as long as the tape lives.
template <Scalar T>
class Recorder final : public Trace {
 public:
  explicit Recorder(const char* what) : what_(what) { program_.is_float = sizeof(T) == 4; }

  void note(const Step& step) override {
    // Of no columns, whose place is that of what comes after it.
    if (step.outputs[0].cols == 0) return;
    Instruction i{.operation = step.operation};
    for (const Operand& input : step.inputs) {
      const bool weights = step.operation == Operation::linear && &input == &step.inputs[1];
      i.inputs.push_back(weights ? weights_of(step) : place(input));
      check_written(i.inputs.back());
    }
    for (const Operand& output : step.outputs) {
      i.outputs.push_back(place(output));
      write(i.outputs.back());
    }
    i.numbers.assign(step.numbers.begin(), step.numbers.end());
    i.index.assign(step.index.begin(), step.index.end());
    i.prefix.assign(step.prefix.begin(), step.prefix.end());
    if (!parts_.empty()) i.part = parts_.back();
    if (is_draw(step.operation))
      for (Index c = 0; c < step.outputs[0].cols; ++c)
        program_.draws.push_back(
            static_cast<double>(static_cast<const T*>(step.outputs[0].values)[c * step.outputs[0].stride]));
    program_.steps.push_back(std::move(i));
  }
  void exposed() override {
    throw NotImplemented(where() + " works on the values of rows itself, so its steps are not known");
  }
  void enter(const std::string& part) override { parts_.push_back(part); }
  void leave() override { parts_.pop_back(); }

  Slice input(Var<T> x) {
    Slice p{Slice::Kind::array, static_cast<Index>(program_.arrays.size()), 0, 0};
    if (!x) {
      program_.arrays.push_back(0);
      written_.emplace_back();
      return p;
    }
    p = place(operand(x));
    write(p);
    return p;
  }
  Slice input(const std::uint8_t* marks) {
    const Slice p = place(operand(marks));
    write(p);
    return p;
  }
  Slice result(Var<T> x) { return checked(place(operand(x))); }
  Slice result(Column<T> x) {
    if (x.is_zero()) return {};
    return checked(place(operand(x)));
  }
  Program& program() { return program_; }

 private:
  /// "log_prob: StudentT": the innermost part, as the others are made of parts.
  std::string where() const { return std::string(what_) + ": " + (parts_.empty() ? "the model" : parts_.back()); }

  Slice place(const Operand& o) {
    switch (o.kind) {
      case Operand::Kind::batch: {
        const auto [entry, is_new] = arrays_.try_emplace(o.root, static_cast<Index>(program_.arrays.size()));
        if (is_new) {
          program_.arrays.push_back(o.root_cols);
          written_.emplace_back(static_cast<std::size_t>(o.root_cols), false);
        }
        const Index begin = (static_cast<const T*>(o.values) - static_cast<const T*>(o.root)) / o.stride;
        return {Slice::Kind::array, entry->second, begin, o.cols};
      }
      case Operand::Kind::column: {
        const auto [entry, is_new] = columns_.try_emplace(o.values, program_.columns);
        if (is_new) ++program_.columns;
        return {Slice::Kind::column, entry->second, 0, 1};
      }
      case Operand::Kind::marks: {
        const auto [entry, is_new] = marks_.try_emplace(o.values, program_.marks);
        if (is_new) ++program_.marks;
        return {Slice::Kind::marks, entry->second, 0, 1};
      }
      default: {
        const bool is_double = o.kind == Operand::Kind::numbers;
        std::vector<double> values(static_cast<std::size_t>(o.rows * o.cols));
        for (std::size_t i = 0; i < values.size(); ++i) {
          const Index at = static_cast<Index>(i) * o.stride;
          values[i] = is_double ? static_cast<const double*>(o.values)[at]
                                : static_cast<double>(static_cast<const T*>(o.values)[at]);
        }
        return constant(std::move(values), is_double);
      }
    }
  }
  Slice weights_of(const Step& step) {
    const T* weights = static_cast<const T*>(step.inputs[1].values);
    std::vector<double> rows;
    for (std::size_t o = 0; o < step.prefix.size(); ++o)
      for (Index k = 0; k < step.prefix[o]; ++k) rows.push_back(static_cast<double>(weights[step.offset[o] + k]));
    return constant(std::move(rows), false);
  }
  Slice constant(std::vector<double> values, bool is_double) {
    const auto cols = static_cast<Index>(values.size());
    const auto [entry, is_new] =
        constants_.try_emplace(std::pair(is_double, values), static_cast<Index>(program_.constants.size()));
    if (is_new) program_.constants.push_back({std::move(values), is_double});
    return {Slice::Kind::constant, entry->second, 0, cols};
  }

  void write(const Slice& p) {
    if (p.kind != Slice::Kind::array) return;
    std::vector<bool>& written = written_[static_cast<std::size_t>(p.id)];
    for (Index c = 0; c < p.cols; ++c) written[static_cast<std::size_t>(p.begin + c)] = true;
  }
  void check_written(const Slice& p) const {
    if (p.kind != Slice::Kind::array) return;
    const std::vector<bool>& written = written_[static_cast<std::size_t>(p.id)];
    for (Index c = 0; c < p.cols; ++c)
      if (!written[static_cast<std::size_t>(p.begin + c)])
        throw NotImplemented(where() + " reads values that no known step has made");
  }
  Slice checked(const Slice& p) const {
    check_written(p);
    return p;
  }

  const char* what_;
  Program program_;
  std::vector<std::string> parts_;
  std::map<const void*, Index> arrays_, columns_, marks_;
  std::map<std::pair<bool, std::vector<double>>, Index> constants_;
  std::vector<std::vector<bool>> written_;
};

/// One flag for each value that a program holds.
class Cells {
 public:
  explicit Cells(const Program& p) {
    Index count = 0;
    for (const Index cols : p.arrays) {
      array_.push_back(count);
      count += cols;
    }
    column_ = count;
    marks_ = column_ + p.columns;
    live_.resize(static_cast<std::size_t>(marks_ + p.marks));
  }
  /// f(flag) for each value at the place.
  template <class F>
  void each(const Slice& p, F f) {
    Index at = p.begin;
    switch (p.kind) {
      case Slice::Kind::array:
        at += array_[static_cast<std::size_t>(p.id)];
        break;
      case Slice::Kind::column:
        at += column_ + p.id;
        break;
      case Slice::Kind::marks:
        at += marks_ + p.id;
        break;
      case Slice::Kind::constant:
        return;
    }
    for (Index c = 0; c < p.cols; ++c) f(live_[static_cast<std::size_t>(at + c)]);
  }
  void set(const Slice& p, char live) {
    each(p, [live](char& flag) { flag = live; });
  }
  bool any(const Slice& p) {
    bool some = false;
    each(p, [&some](char flag) { some = some || flag; });
    return some;
  }

 private:
  std::vector<Index> array_;
  Index column_ = 0, marks_ = 0;
  std::vector<char> live_;
};

/// Drops the steps whose results nobody reads.
void drop_unneeded(Program& p) {
  Cells live(p);
  live.set(p.result, 1);
  live.set(p.outside, 1);
  std::vector<Instruction> kept;
  for (auto step = p.steps.rbegin(); step != p.steps.rend(); ++step) {
    step->needed.clear();
    bool some = false;
    for (const Slice& output : step->outputs) {
      step->needed.push_back(live.any(output));
      some = some || step->needed.back();
    }
    if (!some && !is_draw(step->operation)) continue;  // draws keep their numbers
    for (const Slice& output : step->outputs)
      if (step->operation == Operation::scatter)
        for (const std::int64_t c : step->index)
          live.set({output.kind, output.id, output.begin + static_cast<Index>(c), 1}, 0);
      else if (step->operation != Operation::choose && !(step->operation == Operation::replace_outside &&
                                                         output.kind == Slice::Kind::marks))
        live.set(output, 0);
    for (const Slice& input : step->inputs) live.set(input, 1);
    kept.push_back(std::move(*step));
  }
  std::reverse(kept.begin(), kept.end());
  p.steps = std::move(kept);
}

/// evaluate(pass, row) on one row of zeros: which values they are makes no difference to the steps.
template <Scalar T, class F>
Program traced(const char* what, const Distribution<T>& model, const RandomCall* noise, Index row, F evaluate) {
  if (model.estimates() != Estimate::exact)
    throw NotImplemented(std::string(what) + ": " + model.name() +
                         " draws random numbers for its density, which is known as a mean over draws alone");
  Workspace memory;
  Tape<T> tape(Tape<T>::Mode::evaluate, {memory.batch, memory.local}, 1);
  const auto zeros = [&](Index cols) {
    const Var<T> x = tape.matrix(cols, false);
    for (Index c = 0; c < cols; ++c) std::fill_n(tape.value(x, c), tape.padded_rows(), T(0));
    return x;
  };
  typename Pass<T>::Settings settings;
  settings.noise = noise;
  settings.first_row = row;
  if (model.context_dim() > 0) settings.context = zeros(model.context_dim());
  Pass<T> pass(tape, settings);
  const Var<T> y = noise ? Var<T>() : zeros(model.dim());
  Recorder<T> recorder(what);
  Program& program = recorder.program();
  program.row = recorder.input(y);
  program.context = recorder.input(settings.context);
  program.outside = recorder.input(pass.marks());
  tape.set_trace(&recorder);
  const auto result = evaluate(pass, y);
  tape.set_trace(nullptr);
  program.result = recorder.result(result);
  drop_unneeded(program);
  return std::move(program);
}

}  // namespace

std::vector<std::pair<std::string, Index>> draw_kinds(const Program& program) {
  static constexpr std::pair<Operation, const char*> names[] = {
      {Operation::normal, "normal"},   {Operation::uniform, "uniform"}, {Operation::logistic, "logistic"},
      {Operation::laplace, "laplace"}, {Operation::cauchy, "cauchy"},   {Operation::exponential, "exponential"}};
  std::vector<std::pair<std::string, Index>> runs;
  for (const Instruction& s : program.steps)
    for (const auto& [operation, name] : names) {
      if (s.operation != operation) continue;
      if (runs.empty() || runs.back().first != name) runs.emplace_back(name, 0);
      runs.back().second += s.outputs[0].cols;
    }
  return runs;
}

template <Scalar T>
Program trace_log_prob(const Distribution<T>& model) {
  return traced(
      "log_prob", model, nullptr, 0, [&](Pass<T>& pass, Var<T> y) { return model.log_prob(pass, y); });
}

template <Scalar T>
Program trace_sample(const Distribution<T>& model, const RandomCall& noise, Index row) {
  return traced("sample", model, &noise, row, [&](Pass<T>& pass, Var<T>) { return model.sample(pass); });
}

template Program trace_log_prob(const Distribution<float>&);
template Program trace_log_prob(const Distribution<double>&);
template Program trace_sample(const Distribution<float>&, const RandomCall&, Index);
template Program trace_sample(const Distribution<double>&, const RandomCall&, Index);

}  // namespace pushforward::detail
