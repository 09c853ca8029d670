#include "fit_arguments.hpp"

#include <fmt/format.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/variant.h>

namespace binding {

namespace {

constexpr Named<pf::EvaluationStatistics> statistics[] = {{"population", pf::EvaluationStatistics::population},
                                                          {"running", pf::EvaluationStatistics::running}};

/// Takes arguments out of a dict by name.
class Reader {
 public:
  explicit Reader(nb::dict& kwargs) : kwargs_(kwargs) {}

  template <class V>
  void take(const char* name, V& value) {
    if (nb::object given; pop(name, given) && !nb::try_cast(given, value)) refuse(name, given);
  }
  bool pop(const char* name, nb::object& given) {
    if (!kwargs_.contains(name)) return false;
    given = kwargs_[name];
    PyDict_DelItemString(kwargs_.ptr(), name);
    return true;
  }
  [[noreturn]] static void refuse(const char* name, nb::handle given) {
    type_error(fmt::format("fit: {}: did not expect a {}", name, nb::cast<std::string>(given.type().attr("__name__"))));
  }

 private:
  nb::dict& kwargs_;
};

pf::Schedule schedule_of(nb::handle given) {
  pf::Schedule schedule;
  if (nb::isinstance<nb::str>(given)) {
    constexpr Named<int> names[] = {{"constant", 0}, {"cosine", 1}, {"plateau", 2}};
    const pf::Schedule schedules[] = {pf::ConstantSchedule{}, pf::CosineSchedule{}, pf::PlateauSchedule{}};
    return schedules[choose("schedule", nb::cast<std::string>(given), names)];
  }
  if (!nb::try_cast(given, schedule)) Reader::refuse("schedule", given);
  return schedule;
}

template <pf::Scalar T>
pf::Poly<pf::Optimizer<T>> optimizer_of(nb::handle given) {
  if (nb::isinstance<nb::str>(given)) {
    constexpr Named<int> names[] = {{"adam", 0}, {"sgd", 1}, {"lion", 2}, {"lbfgs", 3}};
    switch (choose("optimizer", nb::cast<std::string>(given), names)) {
      case 0:
        return pf::Adam<T>();
      case 1:
        return pf::Sgd<T>();
      case 2:
        return pf::Lion<T>();
      default:
        return pf::LBfgs<T>();
    }
  }
  Optimizer* optimizer = nullptr;
  if (!nb::try_cast(given, optimizer) || !optimizer) Reader::refuse("optimizer", given);
  return optimizer->as<T>();
}

template <pf::Scalar T>
pf::ModelInfo::Range range_of(pf::MatrixView<const T> data, pf::Index column) {
  T low = data(0, column), high = low;
  for (pf::Index i = 1; i < data.rows(); ++i) {
    low = std::min(low, data(i, column));
    high = std::max(high, data(i, column));
  }
  return {static_cast<double>(low), static_cast<double>(high)};
}

}  // namespace

PythonReducer::PythonReducer(nb::object given, Caller& caller) : given_(std::move(given)), caller_(caller) {
  for (const char* name : {"rank", "size", "sum", "broadcast"})
    if (!nb::hasattr(given_, name)) type_error(fmt::format("fit: reducer: it has no '{}'", name));
  if (!nb::try_cast(given_.attr("rank"), rank_) || !nb::try_cast(given_.attr("size"), size_))
    type_error("fit: reducer: rank and size must be whole numbers");
}

template <pf::Scalar T>
void read_arguments(FitArguments<T>& a, nb::dict& kwargs, const pf::ModelInfo& info, Pool& pool) {
  const bool single = sizeof(T) == 4;
  pf::FitOptions<T>& o = a.options;
  Reader r(kwargs);
  r.take("epochs", o.epochs);
  r.take("batch_size", o.batch_size);
  r.take("shards", o.shards);
  r.take("shuffle_block", o.shuffle_block);
  r.take("learning_rate", o.learning_rate);
  r.take("warmup_steps", o.warmup_steps);
  r.take("weight_decay", o.weight_decay);
  r.take("clip_norm", o.clip_norm);
  r.take("allow_negative_weights", o.allow_negative_weights);
  r.take("validation_fraction", o.validation_fraction);
  r.take("validate_every", o.validate_every);
  r.take("patience", o.patience);
  r.take("min_delta", o.min_delta);
  r.take("weighted_statistics", o.weighted_statistics);
  r.take("synchronized_statistics", o.synchronized_statistics);
  r.take("max_consecutive_skips", o.max_consecutive_skips);
  r.take("gradient_checkpointing", o.gradient_checkpointing);
  r.take("checkpoint_every", o.checkpoint_every);
  r.take("checkpoint_every_steps", o.checkpoint_every_steps);
  r.take("resume", o.resume);
  r.take("verbose", a.verbose);
  nb::object given;
  if (r.pop("seed", given)) o.seed = engine_of(given).seed();
  if (r.pop("checkpoint", given) && !given.is_none() && !nb::try_cast(given, o.checkpoint))
    Reader::refuse("checkpoint", given);
  if (r.pop("schedule", given)) o.schedule = schedule_of(given);
  if (r.pop("optimizer", given)) o.optimizer = optimizer_of<T>(given);
  if (r.pop("statistics", given)) o.statistics = choose("statistics", nb::cast<std::string>(given), statistics);
  if (r.pop("callback", given)) a.callback = given;
  if (r.pop("reducer", given)) a.reducer = given;
  if (r.pop("threads", given)) a.pool = execution_of(given, pool);
  if (a.pool) o.execution = *a.pool;

  const auto vector = [&](const char* name, Borrowed& into, pf::BorrowedVector<const double>& view) {
    if (!r.pop(name, given) || given.is_none()) return;
    into = Borrowed("fit", name, given, false, 1);
    view = into.vector<double>();
  };
  const auto matrix = [&](const char* name, Borrowed& into, pf::BorrowedMatrix<const T>& view,
                          const std::vector<std::string>& columns, bool context) {
    if (!r.pop(name, given) || given.is_none()) return;
    into = context ? borrowed_context("fit", given, single, columns) : Borrowed("fit", name, given, single, 2, columns);
    view = into.matrix<T>();
  };
  vector("weights", a.weights, o.weights);
  vector("validation_weights", a.validation_weights, o.validation_weights);
  matrix("context", a.context, o.context, info.context_columns, true);
  matrix("validation", a.validation, o.validation, info.columns, false);
  matrix("validation_context", a.validation_context, o.validation_context, info.context_columns, true);
}
template void read_arguments(FitArguments<float>&, nb::dict&, const pf::ModelInfo&, Pool&);
template void read_arguments(FitArguments<double>&, nb::dict&, const pf::ModelInfo&, Pool&);

void refuse_others(const char* call, const nb::dict& kwargs) {
  for (const auto& [name, value] : kwargs)
    type_error(fmt::format("{}() got an unexpected keyword argument '{}'; there are {}{}", call,
                           nb::cast<std::string>(name), fit_signature, fit_callback));
}

std::vector<std::string> names_of(nb::handle source) {
  return nb::cast<std::vector<std::string>>(nb::module_::import_("pushforward._tables").attr("names")(source));
}

template <pf::Scalar T>
void note_rows(pf::ModelInfo& info, pf::MatrixView<const T> data, pf::MatrixView<const T> context) {
  const auto ranges = [](pf::MatrixView<const T> of) {
    std::vector<pf::ModelInfo::Range> result;
    if (of.rows() > 0)
      for (pf::Index j = 0; j < of.cols(); ++j) result.push_back(range_of(of, j));
    return result;
  };
  info.data_range = ranges(data);
  info.context_range = ranges(context);
}
template void note_rows(pf::ModelInfo&, pf::MatrixView<const float>, pf::MatrixView<const float>);
template void note_rows(pf::ModelInfo&, pf::MatrixView<const double>, pf::MatrixView<const double>);

nb::object report_of(const pf::FitReport& r) {
  constexpr const char* reasons[] = {"completed", "early_stopping", "cancelled", "non_finite"};
  nb::list warnings;
  for (const pf::Notice& notice : r.warnings) warnings.append(notice.text());
  const auto mean = [](const pf::MeanLogLikelihood& m) { return nb::make_tuple(m.mean, m.standard_error); };
  nb::dict d;
  d["train_loss"] = array_of(r.train_loss);
  d["validation_loss"] = array_of(r.validation_loss);
  d["learning_rate"] = array_of(r.learning_rate);
  d["best_epoch"] = r.best_epoch;
  d["stop_reason"] = reasons[static_cast<int>(r.stop_reason)];
  d["stop_text"] = r.stop_text;
  d["steps"] = r.steps;
  d["skipped_steps"] = r.skipped_steps;
  d["seconds"] = r.seconds;
  d["train_rows"] = r.train_rows;
  d["validation_rows"] = r.validation_rows;
  d["train"] = mean(r.train);
  d["validation"] = mean(r.validation);
  d["gaussian_baseline"] = r.gaussian_baseline;
  d["bits_per_dimension"] = r.bits_per_dimension;
  d["warnings"] = warnings;
  d["text"] = pf::to_text(r);
  return nb::module_::import_("pushforward._reports").attr("fit_report")(d);
}

void warn(const std::vector<pf::Notice>& warnings) {
  const nb::object category = nb::module_::import_("pushforward._reports").attr("FitWarning");
  for (const pf::Notice& notice : warnings)
    if (PyErr_WarnEx(category.ptr(), notice.text().c_str(), 1) != 0) throw nb::python_error();
}

const char fit_signature[] =
    "epochs: int = 200, batch_size: int = 256, shards: int = 1, reducer: object | None = None, learning_rate: float = 0.001, "
    "schedule: str | ConstantSchedule | CosineSchedule | PlateauSchedule = 'constant', warmup_steps: int = 0, "
    "weight_decay: float = 0, optimizer: str | Optimizer = 'adam', clip_norm: float = 5, "
    "context: numpy.typing.ArrayLike | None = None, weights: numpy.typing.ArrayLike | None = None, "
    "allow_negative_weights: bool = False, shuffle_block: int = 1, validation_fraction: float = 0.1, "
    "validation: numpy.typing.ArrayLike | None = None, validation_context: numpy.typing.ArrayLike | None = None, "
    "validation_weights: numpy.typing.ArrayLike | None = None, validate_every: int = 1, patience: int = 30, "
    "min_delta: float = 0, statistics: str = 'population', weighted_statistics: bool = False, "
    "synchronized_statistics: bool = False, "
    "max_consecutive_skips: int = 50, gradient_checkpointing: bool = False, seed: int = 0, "
    "threads: int | Execution = 1, verbose: bool = False, checkpoint: str | os.PathLike | None = None, "
    "checkpoint_every: int = 1, "
    "checkpoint_every_steps: int = 0, resume: bool = False";

const char fit_callback[] = ", callback: collections.abc.Callable[[Progress], bool | None] | None = None";

const char fit_documentation[] = R"(

epochs, batch_size: rows of a step; shards: parts of a batch, one after another, for less memory. reducer: other
processes that run the same call, as pushforward.mpi.Reducer; shards is their number times a power of two. learning_rate,
schedule ("constant", "cosine", "plateau" or an object), warmup_steps, weight_decay, optimizer ("adam", "sgd", "lion",
"lbfgs" or an object such as Ema(Adam(beta2=0.99))), clip_norm: gradients with a larger norm are scaled down, 0: never.
shuffle_block: for memory maps: rows that stay together when they are shuffled, so that the disk reads blocks.
context: (N, context_dim), or one row for all. weights: one for each row, of which only ratios matter.
validation_fraction of the rows is set aside to choose the best parameters by, or `validation` rows are given.
validate_every epochs; patience: stop after so many without a better loss, 0: never; min_delta: better means lower by
more. statistics: "population" or "running", of normalisation layers in evaluations and at the end; synchronized_statistics: with
a reducer and a shard for each process, they see all of a batch in training.
seed: of the order of rows, the split, dropout: the same bits for any number of threads. callback: called with a
Progress after each epoch, on the caller's thread; False cancels. verbose: print a line for each epoch.
checkpoint: a file to continue from after an interruption, with resume=True; the same bits as without a stop.

Ctrl-C, and what a callback raises, ends it: the model then has the best parameters so far, and the exception goes on.
Warnings of the report come as FitWarning.
Raises ValueError naming row and column where data cannot be fitted; the model is as it was then.)";

}  // namespace binding
