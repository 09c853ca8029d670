#pragma once

// Keyword arguments of fit, prepare_and_fit and fit_best.
#include <memory>
#include <nanobind/ndarray.h>
#include <span>
#include <pushforward/error.hpp>
#include <pushforward/reducer.hpp>
#include <pushforward/training/ema.hpp>
#include <pushforward/training/fit.hpp>
#include <pushforward/training/lbfgs.hpp>
#include <pushforward/training/lion.hpp>
#include <pushforward/training/prepare.hpp>
#include <pushforward/training/sgd.hpp>

#include "interrupt.hpp"
#include "objects.hpp"
#include "options.hpp"

namespace binding {

/// How parameters follow from gradients, for either type.
struct Optimizer {
  Optimizer() = default;
  template <template <pf::Scalar> class C, class... Options>
  static Optimizer of(const Options&... options) {
    Optimizer o;
    o.for_double = C<double>(options...);
    o.for_float = C<float>(options...);
    return o;
  }
  template <pf::Scalar T>
  const pf::Poly<pf::Optimizer<T>>& as() const {
    if constexpr (std::same_as<T, float>)
      return for_float;
    else
      return for_double;
  }
  pf::Poly<pf::Optimizer<double>> for_double;
  pf::Poly<pf::Optimizer<float>> for_float;
};

/// A reducer in Python: rank, size, sum(values) and broadcast(values), which change an array where it lies. It is asked on
/// the caller's thread, as MPI may want.
class PythonReducer final : public pf::Reducer {
 public:
  PythonReducer(nb::object given, Caller& caller);
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void sum(std::span<float> values) override { call("sum", values); }
  void sum(std::span<double> values) override { call("sum", values); }
  void broadcast(std::span<float> values) override { call("broadcast", values); }
  void broadcast(std::span<double> values) override { call("broadcast", values); }

 private:
  template <class V>
  void call(const char* name, std::span<V> values) {
    const bool done = caller_.ask(
        [&] {
          const nb::ndarray<nb::numpy, V, nb::ndim<1>> array(values.data(), {values.size()}, nb::handle());
          given_.attr(name)(nb::cast(array, nb::rv_policy::reference));
          return true;
        },
        true);  // the others wait for it, also where this process is about to stop
    if (!done) throw pf::Error(std::string("the reducer's ") + name + " has failed");
  }

  nb::object given_;
  Caller& caller_;
  int rank_, size_;
};

/// The keyword arguments of a fit as options, with what they borrow.
template <pf::Scalar T>
struct FitArguments {
  pf::FitOptions<T> options;
  Borrowed context, weights, validation, validation_context, validation_weights;
  nb::object callback = nb::none(), reducer = nb::none();
  std::unique_ptr<PythonReducer> processes;
  bool verbose = false;
  std::shared_ptr<pf::Execution> pool;
};

/// Reads those of `kwargs` that fit knows and takes them out; columns are those of the model.
/// @throws TypeError  naming one of the wrong type.
template <pf::Scalar T>
void read_arguments(FitArguments<T>& arguments, nb::dict& kwargs, const pf::ModelInfo& info, Pool& pool);
/// @throws TypeError  naming what is left over, and all that there are.
void refuse_others(const char* call, const nb::dict& kwargs);

/// Names of the columns of a table, [] of an array.
std::vector<std::string> names_of(nb::handle source);
/// Records in the info what rows the model has seen.
template <pf::Scalar T>
void note_rows(pf::ModelInfo& info, pf::MatrixView<const T> data, pf::MatrixView<const T> context);

/// As pushforward.FitReport.
nb::object report_of(const pf::FitReport& report);
/// Python warnings of the report's, by the class FitWarning.
void warn(const std::vector<pf::Notice>& warnings);

/// The callback and the cancel of a fit, as its caller's thread answers them.
template <pf::Scalar T>
void connect(FitArguments<T>& arguments, Caller& caller) {
  arguments.options.cancel = caller.token();
  if (!arguments.reducer.is_none()) {
    arguments.processes = std::make_unique<PythonReducer>(arguments.reducer, caller);
    arguments.options.reducer = arguments.processes.get();
  }
  if (arguments.callback.is_none() && !arguments.verbose) return;
  arguments.options.callback = [&](const pf::Progress& progress) {
    return caller.ask([&] {
      if (arguments.verbose) nb::print(pf::to_text(progress).c_str());
      if (arguments.callback.is_none()) return true;
      const nb::object answer = arguments.callback(progress);
      return answer.is_none() || nb::cast<bool>(answer);
    });
  };
}

/// The part of a signature that stands for the arguments of a fit, and the callback, which not all have.
extern const char fit_signature[];
extern const char fit_callback[];
extern const char fit_documentation[];

extern template void read_arguments(FitArguments<float>&, nb::dict&, const pf::ModelInfo&, Pool&);
extern template void read_arguments(FitArguments<double>&, nb::dict&, const pf::ModelInfo&, Pool&);
extern template void note_rows(pf::ModelInfo&, pf::MatrixView<const float>, pf::MatrixView<const float>);
extern template void note_rows(pf::ModelInfo&, pf::MatrixView<const double>, pf::MatrixView<const double>);

}  // namespace binding
