// fit_best: several model classes race.
#include <nanobind/stl/pair.h>

#include <pushforward/training/fit_best.hpp>
#include <utility>

#include "fit_arguments.hpp"

namespace binding {

namespace {

/// The default ones by name, and flows of the caller's as (name, flow).
template <pf::Scalar T>
std::vector<pf::Candidate<T>> candidates_of(nb::handle given, pf::Index rows, pf::Index dim, pf::Index context_dim) {
  std::vector<pf::Candidate<T>> chosen;
  if (given.is_none()) return chosen;
  const std::vector<pf::Candidate<T>> known = pf::default_candidates<T>(rows, dim, context_dim);
  for (nb::handle c : given) {
    if (nb::isinstance<nb::str>(c)) {
      const std::string name = nb::cast<std::string>(c);
      const auto found = std::find_if(known.begin(), known.end(), [&](const auto& k) { return k.name == name; });
      if (found == known.end()) {
        std::string names;
        for (const auto& k : known) names += (names.empty() ? "" : ", ") + k.name;
        throw nb::value_error(("fit_best: no candidate '" + name + "' for these rows; there are " + names).c_str());
      }
      chosen.push_back(*found);
      continue;
    }
    const auto [name, flow] = nb::cast<std::pair<std::string, const Distribution*>>(c);
    if (flow->dtype().is_single() != (sizeof(T) == 4))
      type_error("fit_best: '" + name + "' is of another dtype than y");
    chosen.push_back({.name = name, .start = [start = flow->as<T>()](const pf::CandidateTask<T>&) { return start; }});
  }
  return chosen;
}

struct BestArguments {
  nb::object candidates;
  pf::Index steps = 0;
  double seconds = 0;
  pf::Index folds = 0, ensemble = 1;
  bool choose_standardization = true;
  pf::PrepareOptions prepare;
  std::optional<pf::Base> base;
  std::optional<std::vector<pf::GridColumn>> rounded;
  nb::object callback;
};

nb::list candidate_reports(const std::vector<pf::CandidateReport>& reports) {
  nb::list list;
  const auto mean = [](const pf::MeanLogLikelihood& m) { return nb::make_tuple(m.mean, m.standard_error); };
  for (const pf::CandidateReport& r : reports)
    list.append(nb::make_tuple(r.name, mean(r.validation), mean(r.behind), r.stages, r.steps, r.parameters, r.seconds,
                               r.problem));
  return list;
}

template <pf::Scalar T>
nb::tuple fit_best(nb::handle y, const BestArguments& best, nb::dict kwargs) {
  pf::ModelInfo info;
  info.columns = names_of(y);
  if (kwargs.contains("context")) info.context_columns = names_of(kwargs["context"]);
  Pool pool;
  FitArguments<T> arguments;
  read_arguments(arguments, kwargs, info, pool);
  refuse_others("fit_best", kwargs);
  if (!arguments.reducer.is_none())
    type_error("fit_best: reducer: processes train one flow together; give it to fit or prepare_and_fit");
  const Borrowed rows("fit_best", "y", y, sizeof(T) == 4, 2, info.columns);
  const pf::MatrixView<const T> data = rows.matrix<T>();
  pf::FitBestOptions<T> options;
  options.candidates = candidates_of<T>(best.candidates, data.rows(), data.cols(), arguments.options.context.cols());
  options.steps = best.steps;
  options.seconds = best.seconds;
  options.folds = best.folds;
  options.ensemble = best.ensemble;
  options.choose_standardization = best.choose_standardization;
  options.prepare = best.prepare;
  options.base = best.base;
  options.rounded = best.rounded;
  Caller caller;
  options.fit = arguments.options;
  options.fit.cancel = caller.token();
  if (!best.callback.is_none() || arguments.verbose)
    options.callback = [&](const std::string& candidate, pf::Index stage, pf::Index stages) {
      return caller.ask([&] {
        if (arguments.verbose)
          nb::print((candidate + ": stage " + std::to_string(stage) + " of " + std::to_string(stages)).c_str());
        if (best.callback.is_none()) return true;
        const nb::object answer = best.callback(candidate, stage, stages);
        return answer.is_none() || nb::cast<bool>(answer);
      });
    };
  pf::Best<T> found;
  caller.run([&](Caller&) { found = pf::fit_best<T>(data, options); });
  caller.rethrow();
  note_rows(info, data, pf::MatrixView<const T>(arguments.options.context));
  nb::dict rounded;
  for (const pf::GridColumn& g : found.rounded)
    rounded[nb::int_(g.column)] = g.found ? nb::make_tuple(g.grid.origin, g.grid.step, true) : nb::make_tuple(g.grid.origin, g.grid.step);
  nb::dict d;
  d["candidates"] = candidate_reports(found.candidates);
  d["report"] = report_of(found.report);
  d["rounded"] = rounded;
  d["heavy_tails"] = found.heavy_tails;
  d["folds"] = found.folds;
  d["complete"] = found.complete;
  d["reason"] = found.reason;
  d["text"] = pf::to_text(found.candidates) + found.reason + "\n";
  const nb::object report = nb::module_::import_("pushforward._reports").attr("best_report")(d);
  return nb::make_tuple(wrap(Distribution(std::move(found.model), std::move(info))), report);
}

}  // namespace

void bind_best(nb::module_& m) {
  static const std::string signature =
      std::string(
          "def fit_best(y: numpy.typing.ArrayLike, *, candidates: collections.abc.Sequence[str | tuple[str, "
          "Distribution]] | None = None, steps: int = 0, seconds: float = 0, folds: int = 0, ensemble: int = 1, "
          "standardize: str | None = None, standardize_context: str = 'mean_std', whiten: bool = True, supports: "
          "collections.abc.Sequence | Space | None = None, base: str | None = None, rounded: dict[int, float | "
          "tuple[float, float]] | None = None, callback: collections.abc.Callable[[str, int, int], bool | None] | "
          "None = None, dtype: numpy.typing.DTypeLike = None, ") +
      fit_signature + ") -> tuple[Distribution, pushforward.BestReport]";
  m.def(
      "fit_best",
      [](const Data& y, const nb::object& candidates, pf::Index steps, double seconds, pf::Index folds,
         pf::Index ensemble, const std::optional<std::string>& standardize, const std::string& standardize_context,
         bool whiten, const nb::object& supports, const std::optional<std::string>& base,
         const std::optional<nb::dict>& rounded, const nb::object& callback, const DtypeLike& dtype,
         const nb::kwargs& kwargs) {
        BestArguments best;
        best.candidates = candidates;
        best.steps = steps;
        best.seconds = seconds;
        best.folds = folds;
        best.ensemble = ensemble;
        best.choose_standardization = !standardize;
        if (standardize) best.prepare.standardize = choose("standardize", *standardize, standardizations);
        best.prepare.standardize_context = choose("standardize_context", standardize_context, standardizations);
        best.prepare.whiten = whiten;
        best.prepare.support = space_of("fit_best", supports);
        if (base) best.base = choose("base", *base, bases);
        if (rounded) best.rounded = grids_of(*rounded);
        best.callback = callback;
        const Dtype type = dtype.is_none() ? dtype_of(y) : Dtype(dtype);
        return type.is_single() ? fit_best<float>(y, best, kwargs) : fit_best<double>(y, best, kwargs);
      },
      "y"_a, nb::kw_only(), "candidates"_a = nb::none(), "steps"_a = 0, "seconds"_a = 0.0, "folds"_a = 0,
      "ensemble"_a = 1, "standardize"_a = nb::none(), "standardize_context"_a = "mean_std", "whiten"_a = true,
      "supports"_a = nb::none(), "base"_a = nb::none(), "rounded"_a = nb::none(), "callback"_a = nb::none(),
      "dtype"_a = nb::none(), "kwargs"_a, nb::sig(signature.c_str()),
      (std::string(docs::fit_best) + R"(

candidates: names of the default ones, or (name, flow) of your own, which sees standardised columns; None: all.
steps: of all candidates together, 0: by the number of rows; seconds: about so long, instead. folds: 0: 5 if there are
few rows. supports: as in prepare_and_fit. ensemble: so many fits of the winner. standardize: None chooses. base: "normal", "student_t"; None: by the
tails. rounded: columns of counts or rounded numbers, {column: step or (origin, step)}; None: they are looked for; {}:
there are none. callback: called with (candidate, stage, stages); False ends it with the best so far.
Of the arguments of fit those that are about epochs and batches have no effect.)")
          .c_str());
}

}  // namespace binding
