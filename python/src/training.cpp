// Fitting: optimisers, schedules, fit, prepare_and_fit.
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

nb::tuple prepare_and_fit(Distribution& flow, const Data& y, const std::string& standardize,
                          const std::string& standardize_context, bool whiten, const nb::object& supports,
                          const nb::kwargs& kwargs) {
  const pf::PrepareOptions prepare{choose("standardize", standardize, standardizations),
                                   choose("standardize_context", standardize_context, standardizations), whiten,
                                   intervals_of("prepare_and_fit", supports)};
  Distribution model(flow);
  const nb::object report = flow.visit([&]<pf::Scalar T>(const pf::Distribution<T>&) {
    return fitted<T>(model, y, kwargs, [&](const auto& inner, auto rows, const auto& options) {
      auto made = pf::prepare_and_fit<pf::Poly<pf::Distribution<T>>, T>(inner, rows, prepare, options);
      return Outcome<T>{std::move(made.model), std::move(made.report)};
    });
  });
  return nb::make_tuple(wrap(std::move(model)), report);
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
  static const std::string prepare_text =
      std::string(
          "def prepare_and_fit(flow: Distribution, y: numpy.typing.ArrayLike, *, standardize: str = 'mean_std', "
          "standardize_context: str = 'mean_std', whiten: bool = False, supports: "
          "collections.abc.Sequence | None = None, ") +
      fit_signature + fit_callback + ") -> tuple[Distribution, pushforward.FitReport]";
  m.def("prepare_and_fit", &prepare_and_fit, "flow"_a, "y"_a, nb::kw_only(), "standardize"_a = "mean_std",
        "standardize_context"_a = "mean_std", "whiten"_a = false, "supports"_a = nb::none(), "kwargs"_a,
        nb::sig(prepare_text.c_str()),
        R"(A model of raw data around a flow, and the report of its fit; the flow stays as it is.

y = supports(standardize(whiten(x))) for x drawn from the flow, which so sees columns of location 0 and scale 1 on the
real line, and context of location 0 and scale 1. All of it is in the model: log_prob is that of the raw data, and a
file has it all. Locations and scales are those of the rows that are trained on, not of those that validate.

supports: for each column None (the real line), "positive", "unit" or (low, high) with None for no end.
standardize, standardize_context: "none", "mean_std" or "median_iqr", which outliers do not move.
The other arguments are those of fit.)");
}

}  // namespace binding
