// Fitting: optimisers, schedules, fit, prepare_and_fit.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <pushforward/training/calibrate.hpp>
#include <pushforward/training/losses.hpp>
#include <utility>

#include "fit_arguments.hpp"

namespace binding {

namespace {

template <pf::Scalar T>
using Outcome = std::pair<pf::Poly<pf::Distribution<T>>, pf::FitReport>;

/// Puts what `work(model, rows, options)` gives in the model's place, also after an interruption.
template <pf::Scalar T, class Work>
nb::object fitted(Distribution& self, nb::handle y, nb::dict kwargs, const Work& work) {
  pf::ModelInfo info = self.info;
  const auto [dim, context_dim] = self.visit([](const auto& d) { return std::pair(d.dim(), d.context_dim()); });
  const auto name = [](std::vector<std::string>& names, nb::handle source, pf::Index columns) {
    if (!names.empty()) return;
    if (std::vector<std::string> found = names_of(source); static_cast<pf::Index>(found.size()) == columns)
      names = std::move(found);
  };
  name(info.columns, y, dim);
  if (kwargs.contains("context")) name(info.context_columns, kwargs["context"], context_dim);
  FitArguments<T> arguments;
  read_arguments(arguments, kwargs, info, self.pool);
  refuse_others("fit", kwargs);
  const Borrowed rows("fit", "y", y, sizeof(T) == 4, 2, info.columns);
  Outcome<T> outcome;
  Caller caller;
  connect(arguments, caller);
  const bool finished = caller.run([&](Caller&) { outcome = work(self.as<T>(), rows.matrix<T>(), arguments.options); });
  if (!finished) caller.rethrow();
  note_rows(info, rows.matrix<T>(), pf::MatrixView<const T>(arguments.options.context));
  // Calls of other threads go on with the model that they hold.
  self.object = std::make_shared<const Snapshot<T>>(std::move(outcome.first));
  self.info = std::move(info);
  caller.rethrow();
  nb::object result = report_of(outcome.second);
  warn(outcome.second.warnings);
  return result;
}

nb::object fit(Distribution& self, const Data& y, const nb::kwargs& kwargs) {
  return self.visit([&]<pf::Scalar T>(const pf::Distribution<T>&) {
    return fitted<T>(self, y, kwargs, [](const auto& model, auto rows, const auto& options) {
      Outcome<T> outcome{model, {}};
      outcome.second = pf::fit(*outcome.first, rows, options);
      return outcome;
    });
  });
}

void calibrate(Distribution& self, const Data& y, const OptionalData& context, const nb::object& threads) {
  self.visit([&]<pf::Scalar T>(const pf::Distribution<T>&) {
    const Borrowed rows("calibrate", "y", y, sizeof(T) == 4, 2, self.info.columns);
    const Borrowed given = borrowed_context("calibrate", context, sizeof(T) == 4, self.info.context_columns);
    const std::shared_ptr<pf::Execution> pool = execution_of(threads, self.pool);
    pf::Poly<pf::Distribution<T>> model = self.as<T>();
    {
      const nb::gil_scoped_release others;
      pf::calibrate(*model, rows.matrix<T>(), given.matrix<T>(), pool ? pf::Run(*pool) : pf::Run());
    }
    self.object = std::make_shared<const Snapshot<T>>(std::move(model));
  });
}

nb::tuple prepare_and_fit(Distribution& flow, const Data& y, const std::string& standardize,
                          const std::string& standardize_context, bool whiten, const nb::object& supports,
                          const nb::kwargs& kwargs) {
  const pf::PrepareOptions prepare{choose("standardize", standardize, standardizations),
                                   choose("standardize_context", standardize_context, standardizations), whiten,
                                   space_of("prepare_and_fit", supports)};
  Distribution model(flow);
  const nb::object report = flow.visit([&]<pf::Scalar T>(const pf::Distribution<T>&) {
    return fitted<T>(model, y, kwargs, [&](const auto& inner, auto rows, const auto& options) {
      auto made = pf::prepare_and_fit<pf::Poly<pf::Distribution<T>>, T>(inner, rows, prepare, options);
      return Outcome<T>{std::move(made.model), std::move(made.report)};
    });
  });
  return nb::make_tuple(wrap(std::move(model)), report);
}

/// What a Python function says of rows, (log density, its gradient), as a target. Where it raises the rows count as not
/// finite, so that their step changes nothing before the fit ends.
template <pf::Scalar T>
pf::Target<T> target_of(const nb::callable& function, Caller& caller) {
  return [&function, &caller](pf::Pass<T>& pass, pf::Var<T> y) {
    pf::Tape<T>& tape = pass.tape();
    const pf::Index rows = tape.local_rows(), cols = y.cols();
    const pf::Column<T> density = tape.column(y.wants_gradient());
    double* const values = tape.value(density);
    double* const slopes = tape.template scratch<double>(rows * cols);
    const bool answered = caller.ask([&] {
      Result<T> given({rows, cols});
      for (pf::Index j = 0; j < cols; ++j)
        for (pf::Index i = 0; i < rows; ++i) given.matrix()(i, j) = tape.value(y, j)[i];
      const nb::object answer = function(given.array());
      if (!nb::isinstance<nb::tuple>(answer) || nb::len(answer) != 2)
        type_error("fit_reverse_kl: target: expected (log density, gradient)");
      const nb::object as_array = nb::module_::import_("numpy").attr("asarray");
      const Borrowed log_density("fit_reverse_kl", "log density", as_array(answer[0], "float64"), false, 1);
      const Borrowed gradient("fit_reverse_kl", "gradient", as_array(answer[1], "float64"), false, 2);
      const pf::VectorView<const double> v = log_density.vector<double>();
      const pf::MatrixView<const double> g = gradient.matrix<double>();
      if (v.size() != rows || g.rows() != rows || g.cols() != cols)
        throw nb::value_error(fmt::format("fit_reverse_kl: target: expected shapes ({0},) and ({0}, {1}), got ({2},) "
                                          "and ({3}, {4})",
                                          rows, cols, v.size(), g.rows(), g.cols())
                                  .c_str());
      for (pf::Index i = 0; i < rows; ++i) {
        values[i] = v[i];
        for (pf::Index j = 0; j < cols; ++j) slopes[j * rows + i] = g(i, j);
      }
      return true;
    }, true);
    if (!answered) {
      std::fill_n(values, rows, std::numeric_limits<double>::quiet_NaN());
      std::fill_n(slopes, rows * cols, 0.0);
    }
    if (y.wants_gradient())
      tape.on_backward([density, y, slopes, rows, cols] {
        if (!pf::Tape<T>::has_gradient(density)) return;
        pf::Tape<T>& tape = y.tape();
        const double* const upstream = tape.gradient(density);
        for (pf::Index j = 0; j < cols; ++j) {
          T* const out = tape.gradient(y, j);
          for (pf::Index i = 0; i < rows; ++i) out[i] += static_cast<T>(upstream[i] * slopes[j * rows + i]);
        }
      });
    return density;
  };
}

nb::object fit_reverse_kl(Distribution& self, const nb::callable& target, pf::Index steps_per_epoch,
                          const nb::kwargs& kwargs) {
  for (const char* of_data : {"weights", "allow_negative_weights", "validation_fraction", "validation",
                              "validation_context", "validation_weights", "validate_every", "patience", "min_delta",
                              "statistics", "weighted_statistics", "synchronized_statistics", "shards", "shuffle_block"})
    if (kwargs.contains(of_data)) type_error(fmt::format("fit_reverse_kl: {}: there are no rows of data", of_data));
  return self.visit([&]<pf::Scalar T>(const pf::Distribution<T>&) {
    nb::dict rest = kwargs;
    FitArguments<T> arguments;
    read_arguments(arguments, rest, self.info, self.pool);
    refuse_others("fit_reverse_kl", rest);
    arguments.options.steps_per_epoch = steps_per_epoch;
    pf::Poly<pf::Distribution<T>> model = self.as<T>();
    pf::FitReport report;
    Caller caller;
    connect(arguments, caller);
    const bool finished = caller.run(
        [&](Caller&) { report = pf::fit_reverse_kl(*model, target_of<T>(target, caller), arguments.options); });
    if (!finished) caller.rethrow();
    self.object = std::make_shared<const Snapshot<T>>(std::move(model));
    caller.rethrow();
    nb::object result = report_of(report);
    warn(report.warnings);
    return result;
  });
}

}  // namespace

void bind_training(nb::module_& m) {
  nb::class_<pf::Progress>(m, "Progress", docs::Progress)
      .def_ro("epoch", &pf::Progress::epoch, "Epochs done.")
      .def_ro("epochs", &pf::Progress::epochs, "Epochs at most.")
      .def_ro("step", &pf::Progress::step)
      .def_ro("train_loss", &pf::Progress::train_loss)
      .def_ro("validation_loss", &pf::Progress::validation_loss, "NaN if this epoch had no validation.")
      .def_ro("learning_rate", &pf::Progress::learning_rate)
      .def_ro("seconds", &pf::Progress::seconds)
      .def_ro("seconds_left", &pf::Progress::seconds_left)
      .def("__repr__", [](const pf::Progress& p) { return pf::to_text(p); });

  nb::class_<pf::ConstantSchedule>(m, "ConstantSchedule", docs::ConstantSchedule).def(nb::init<>());
  nb::class_<pf::CosineSchedule>(m, "CosineSchedule", docs::CosineSchedule)
      .def(
          "__init__", [](pf::CosineSchedule* s, double floor) { new (s) pf::CosineSchedule{floor}; }, nb::kw_only(),
          "floor"_a = 0.0);
  nb::class_<pf::PlateauSchedule>(m, "PlateauSchedule", docs::PlateauSchedule)
      .def(
          "__init__",
          [](pf::PlateauSchedule* s, double factor, pf::Index patience, double threshold, bool relative,
             pf::Index cooldown,
             double floor) { new (s) pf::PlateauSchedule{factor, patience, threshold, relative, cooldown, floor}; },
          nb::kw_only(), "factor"_a = 0.5, "patience"_a = 10, "threshold"_a = 1e-4, "relative"_a = false,
          "cooldown"_a = 0, "floor"_a = 0.0);

  nb::class_<Optimizer>(m, "Optimizer", "How parameters follow from gradients: an argument of fit.");
  const auto make = []<class Self>(Self* self, Optimizer made) { new (self) Self(std::move(made)); };
  nb::class_<Of<pf::Adam<double>, Optimizer>, Optimizer>(m, "Adam", docs::Adam)
      .def(
          "__init__",
          [make](Of<pf::Adam<double>, Optimizer>* self, double beta1, double beta2, double epsilon,
                 bool decoupled_decay) {
            make(self, Optimizer::of<pf::Adam>(pf::AdamOptions{beta1, beta2, epsilon, decoupled_decay}));
          },
          nb::kw_only(), "beta1"_a = 0.9, "beta2"_a = 0.999, "epsilon"_a = 1e-8, "decoupled_decay"_a = true);
  nb::class_<Of<pf::Sgd<double>, Optimizer>, Optimizer>(m, "Sgd", docs::Sgd)
      .def(
          "__init__",
          [make](Of<pf::Sgd<double>, Optimizer>* self, double momentum, bool nesterov) {
            make(self, Optimizer::of<pf::Sgd>(pf::SgdOptions{momentum, nesterov}));
          },
          nb::kw_only(), "momentum"_a = 0.0, "nesterov"_a = false);
  nb::class_<Of<pf::Lion<double>, Optimizer>, Optimizer>(m, "Lion", docs::Lion)
      .def(
          "__init__",
          [make](Of<pf::Lion<double>, Optimizer>* self, double beta1, double beta2) {
            make(self, Optimizer::of<pf::Lion>(pf::LionOptions{beta1, beta2}));
          },
          nb::kw_only(), "beta1"_a = 0.9, "beta2"_a = 0.99);
  nb::class_<Of<pf::LBfgs<double>, Optimizer>, Optimizer>(m, "LBfgs", docs::LBfgs)
      .def(
          "__init__",
          [make](Of<pf::LBfgs<double>, Optimizer>* self, pf::Index memory, pf::Index iterations,
                 double gradient_tolerance, double decrease, double curvature, pf::Index evaluations) {
            make(self, Optimizer::of<pf::LBfgs>(
                           pf::LBfgsOptions{memory, iterations, gradient_tolerance, decrease, curvature, evaluations}));
          },
          nb::kw_only(), "memory"_a = 10, "iterations"_a = 20, "gradient_tolerance"_a = 1e-10, "decrease"_a = 1e-4,
          "curvature"_a = 0.9, "evaluations"_a = 25);
  nb::class_<Of<pf::Ema<double>, Optimizer>, Optimizer>(m, "Ema", docs::Ema)
      .def(
          "__init__",
          [](Of<pf::Ema<double>, Optimizer>* self, const Optimizer& inner, double decay) {
            Optimizer made;
            made.for_double = pf::Ema<double>(inner.for_double, {decay});
            made.for_float = pf::Ema<float>(inner.for_float, {decay});
            new (self) Of<pf::Ema<double>, Optimizer>(std::move(made));
          },
          "inner"_a, nb::kw_only(), "decay"_a = 0.999);

  static const std::string fit_text = std::string("def fit(self, y: numpy.typing.ArrayLike, *, ") + fit_signature +
                                      fit_callback + ") -> pushforward.FitReport";
  nb::cast<nb::class_<Distribution>>(m.attr("Distribution"))
      .def("fit", &fit, "y"_a, "kwargs"_a, nb::sig(fit_text.c_str()),
           (std::string(docs::fit) + fit_documentation).c_str());
  nb::cast<nb::class_<Distribution>>(m.attr("Distribution"))
      .def("calibrate", &calibrate, "y"_a, "context"_a = nb::none(), nb::kw_only(), "threads"_a = 1,
           nb::sig("def calibrate(self, y: numpy.typing.ArrayLike, context: numpy.typing.ArrayLike | None = None, *, "
                   "threads: int | Execution = 1) -> None"),
           docs::calibrate)
      .def("fit_reverse_kl", &fit_reverse_kl, "target"_a, nb::kw_only(), "steps_per_epoch"_a = 100, "kwargs"_a,
           nb::sig("def fit_reverse_kl(self, target: collections.abc.Callable[[numpy.ndarray], "
                   "tuple[numpy.typing.ArrayLike, numpy.typing.ArrayLike]], *, steps_per_epoch: int = 100, "
                   "epochs: int = 200, batch_size: int = 256, learning_rate: float = 0.001, "
                   "schedule: str | ConstantSchedule | CosineSchedule | PlateauSchedule = 'constant', "
                   "warmup_steps: int = 0, weight_decay: float = 0, optimizer: str | Optimizer = 'adam', "
                   "clip_norm: float = 5, context: numpy.typing.ArrayLike | None = None, max_consecutive_skips: int = 50, gradient_checkpointing: bool = False, "
                   "seed: int = 0, threads: int | Execution = 1, verbose: bool = False, "
                   "checkpoint: str | os.PathLike | None = None, checkpoint_every: int = 1, "
                   "checkpoint_every_steps: int = 0, resume: bool = False, "
                   "callback: collections.abc.Callable[[Progress], bool | None] | None = None) "
                   "-> pushforward.FitReport"),
           R"(Makes the samples of the flow follow a density that is known up to a constant.

Minimises KL(flow || target) over `epochs` times `steps_per_epoch` steps, each on `batch_size` fresh samples (variational
inference; Papamakarios et al. 2021, eq. 17).

target: a function of rows (N, dim), of the flow's dtype, that returns their log densities (N,) and the gradients of
these (N, dim). It is called on the caller's thread; `pushforward.torch.target(f)` makes one of a function of torch
tensors, and with jax it is `jax.vmap(jax.value_and_grad(f))`. Steps in which a number is not finite change nothing.
context: one row, for a conditional flow. The report's losses are estimates of the divergence, up to the target's constant. The other arguments are those of fit.

Ctrl-C, and what the target raises, ends it: the model then has the parameters so far, and the exception goes on.
Raises NotImplementedError if the flow's samples have no gradient.)");
  static const std::string prepare_text =
      std::string(
          "def prepare_and_fit(flow: Distribution, y: numpy.typing.ArrayLike, *, standardize: str = 'mean_std', "
          "standardize_context: str = 'mean_std', whiten: bool = False, supports: "
          "collections.abc.Sequence | Space | None = None, ") +
      fit_signature + fit_callback + ") -> tuple[Distribution, pushforward.FitReport]";
  m.def("prepare_and_fit", &prepare_and_fit, "flow"_a, "y"_a, nb::kw_only(), "standardize"_a = "mean_std",
        "standardize_context"_a = "mean_std", "whiten"_a = false, "supports"_a = nb::none(), "kwargs"_a,
        nb::sig(prepare_text.c_str()),
        R"(A model of raw data around a flow, and the report of its fit; the flow stays as it is.

y = supports(standardize(whiten(x))) for x drawn from the flow, which so sees columns of location 0 and scale 1 on the
real line, and context of location 0 and scale 1. All of it is in the model: log_prob is that of the raw data, and a
file has it all. Locations and scales are those of the rows that are trained on, not of those that validate.

supports: for each column None (the real line), "positive", "unit" or (low, high) with None for no end; or a Space of
all columns, Space.real(2) * Space.simplex(3): the flow has space.dimensions, 4.
standardize, standardize_context: "none", "mean_std" or "median_iqr", which outliers do not move.
The other arguments are those of fit.)");
}

}  // namespace binding
