// calibration_report: whether rows are what a model draws.
#include <pushforward/diagnostics/calibration_report.hpp>

#include "objects.hpp"

namespace binding {

namespace {

nb::tuple mean_of(const pf::MeanLogLikelihood& m) { return nb::make_tuple(m.mean, m.standard_error); }
nb::tuple test_of(const pf::UniformityTest& t) { return nb::make_tuple(t.ks, t.ks_p, t.ad, t.ad_p, t.p()); }
nb::tuple uniforms_of(const pf::Uniforms& u) { return nb::make_tuple(array_of(u.values), test_of(u.test)); }
nb::list uniforms_of(const std::vector<pf::Uniforms>& all) {
  nb::list list;
  for (const pf::Uniforms& u : all) list.append(uniforms_of(u));
  return list;
}

nb::object report_of(const pf::CalibrationReport& r, const std::vector<std::string>& columns) {
  nb::list coverage, pairs, two_sample, findings;
  for (const pf::Coverage& c : r.coverage) coverage.append(nb::make_tuple(c.level, c.share, c.low, c.high, c.p));
  for (const pf::PairCalibration& p : r.pairs)
    pairs.append(nb::make_tuple(p.first, p.second, test_of(p.test), p.in_data, p.in_draws));
  for (const pf::TwoSampleTest& t : r.two_sample)
    two_sample.append(nb::make_tuple(t.classifier, t.rows, t.accuracy, t.auc, t.auc_error, t.p));
  for (const pf::CalibrationFinding& f : r.findings)
    findings.append(nb::make_tuple(f.name, f.tests, f.p, f.holm_p, f.found, f.text));
  nb::dict d;
  d["rows"] = r.rows;
  d["tested"] = r.tested;
  d["draws"] = r.draws;
  d["level"] = r.level;
  d["tested_rows"] = array_of(r.tested_rows);
  d["score"] = mean_of(r.score);
  d["density_zero"] = r.density_zero;
  d["quantile_01"] = r.quantile_01;
  d["median"] = r.median;
  d["quantile_99"] = r.quantile_99;
  d["baseline"] = mean_of(r.baseline);
  d["gain"] = mean_of(r.gain);
  d["baseline_text"] = r.baseline_text;
  d["worst_rows"] = array_of(r.worst_rows);
  d["worst_log_prob"] = array_of(r.worst_log_prob);
  d["worst_baseline"] = array_of(r.worst_baseline);
  d["columns"] = uniforms_of(r.columns);
  d["latents"] = uniforms_of(r.latents);
  d["latents_text"] = r.latents_text;
  d["radius"] = array_of(r.radius);
  d["radius_uniforms"] = uniforms_of(r.radius_uniforms);
  d["density"] = uniforms_of(r.density);
  d["coverage"] = coverage;
  d["pairs"] = pairs;
  d["two_sample"] = two_sample;
  d["findings"] = findings;
  d["passed"] = r.passed;
  d["verdict"] = r.verdict;
  d["names"] = columns;
  return nb::module_::import_("pushforward._reports").attr("calibration")(d);
}

nb::object calibration(Distribution& self, const Data& data, const OptionalData& context,
                       const OptionalData& baseline_data, const OptionalData& baseline_context, pf::Index draws,
                       pf::Index most_rows, double level, const std::vector<double>& coverage, pf::Index worst,
                       std::uint64_t seed, const Threads& threads) {
  const char* const call = "calibration_report";
  return self.visit_shared([&]<pf::Scalar T>(const std::shared_ptr<const Snapshot<T>>& snapshot) {
    const bool single = sizeof(T) == 4;
    const Borrowed rows(call, "data", data, single, 2, self.info.columns);
    const Borrowed given = borrowed_context(call, context, single, self.info.context_columns);
    Borrowed base;
    if (!baseline_data.is_none()) base = Borrowed(call, "baseline_data", baseline_data, single, 2, self.info.columns);
    const Borrowed base_context = borrowed_context(call, baseline_context, single, self.info.context_columns);
    std::vector<std::string> names = self.info.columns;
    if (!names.empty()) names.insert(names.end(), self.info.context_columns.begin(), self.info.context_columns.end());
    if (static_cast<pf::Index>(names.size()) != (*snapshot)->dim() + (*snapshot)->context_dim()) names.clear();
    const std::shared_ptr<pf::Execution> pool = execution_of(threads, self.pool);
    pf::CalibrationReport report;
    {
      const nb::gil_scoped_release others;
      pf::CalibrationOptions<T> o;
      o.context = given.matrix<T>();
      o.baseline_data = base.matrix<T>();
      o.baseline_context = base_context.matrix<T>();
      o.draws = draws;
      o.most_rows = most_rows;
      o.level = level;
      if (!coverage.empty()) o.coverage = coverage;
      o.worst = worst;
      o.columns = names;
      o.seed = seed;
      if (pool) o.execution = *pool;
      report = pf::calibration_report(**snapshot, rows.matrix<T>(), o);
    }
    return report_of(report, self.info.columns);
  });
}

}  // namespace

void bind_diagnostics(nb::module_& m) {
  nb::cast<nb::class_<Distribution>>(m.attr("Distribution"))
      .def("calibration_report", &calibration, "data"_a, nb::kw_only(), "context"_a = nb::none(),
           "baseline_data"_a = nb::none(), "baseline_context"_a = nb::none(), "draws"_a = 0, "most_rows"_a = 20'000,
           "level"_a = 0.02, "coverage"_a = std::vector<double>(), "worst"_a = 10, "seed"_a = 0, "threads"_a = 1,
           nb::sig("def calibration_report(self, data: numpy.typing.ArrayLike, *, context: numpy.typing.ArrayLike | "
                   "None = None, baseline_data: numpy.typing.ArrayLike | None = None, baseline_context: "
                   "numpy.typing.ArrayLike | None = None, draws: int = 0, most_rows: int = 20000, level: float = 0.02, "
                   "coverage: collections.abc.Sequence[float] = (), worst: int = 10, seed: int = 0, threads: int | "
                   "Execution = 1) -> pushforward.CalibrationReport"),
           docs::calibration_report);
}

}  // namespace binding
