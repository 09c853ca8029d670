// sample_given, marginal_log_prob: any columns of a model, given or alone.
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <pushforward/inference/conditioning.hpp>

#include "objects.hpp"

namespace binding {

namespace {

/// The number of a column, by number or name.
pf::Index column_of(const Distribution& self, nb::handle key) {
  if (nb::isinstance<nb::str>(key)) {
    const auto name = nb::cast<std::string>(key);
    const std::vector<std::string>& names = self.info.columns;
    const auto found = std::find(names.begin(), names.end(), name);
    if (found != names.end()) return found - names.begin();
    std::string known;
    for (const std::string& n : names) known += (known.empty() ? "" : ", ") + n;
    throw nb::value_error(("the model has no column '" + name + "'; it has " +
                           (known.empty() ? "no names: give numbers" : known))
                              .c_str());
  }
  return nb::cast<pf::Index>(key);
}

template <pf::Scalar T>
pf::ConditioningOptions<T> options_of(const Borrowed& context, pf::Index proposals, pf::Index components,
                                      std::uint64_t seed, const std::shared_ptr<pf::Execution>& pool) {
  pf::ConditioningOptions<T> o;
  o.context = context.matrix<T>();
  o.proposals = proposals;
  o.components = components;
  o.seed = seed;
  if (pool) o.execution = *pool;
  return o;
}

nb::object sample_given(Distribution& self, const nb::dict& given, pf::Index n, const OptionalData& context,
                        pf::Index proposals, pf::Index components, std::uint64_t seed, const Threads& threads) {
  return self.visit_shared([&]<pf::Scalar T>(const std::shared_ptr<const Snapshot<T>>& snapshot) {
    const Borrowed row = borrowed_context("sample_given", context, sizeof(T) == 4, self.info.context_columns);
    std::vector<pf::Index> columns;
    std::vector<T> values;
    for (const auto& [key, value] : given) {
      columns.push_back(column_of(self, key));
      values.push_back(static_cast<T>(nb::cast<double>(value)));
    }
    Result<T> rows({pf::detail::checked_rows(n), (*snapshot)->dim()});
    const std::shared_ptr<pf::Execution> pool = execution_of(threads, self.pool);
    const auto drawn = [&] {
      const nb::gil_scoped_release others;
      return pf::detail::sample_given_into<T>(**snapshot, columns, values, rows.matrix(),
                                              options_of<T>(row, proposals, components, seed, pool));
    }();
    return nb::module_::import_("pushforward._reports")
        .attr("ConditionalDraws")(rows.array(), drawn.log_prob, drawn.standard_error, drawn.proposals,
                                  drawn.effective_sample_size);
  });
}

nb::tuple marginal_log_prob(Distribution& self, const nb::list& columns, const Data& values,
                            const OptionalData& context, pf::Index proposals, pf::Index components, std::uint64_t seed,
                            const Threads& threads) {
  return self.visit_shared([&]<pf::Scalar T>(const std::shared_ptr<const Snapshot<T>>& snapshot) {
    const char* const call = "marginal_log_prob";
    const Borrowed row = borrowed_context(call, context, sizeof(T) == 4, self.info.context_columns);
    const Borrowed rows(call, "values", values, sizeof(T) == 4);
    std::vector<pf::Index> numbers;
    for (const nb::handle column : columns) numbers.push_back(column_of(self, column));
    Result<double> value({rows.rows()}), error({rows.rows()});
    const std::shared_ptr<pf::Execution> pool = execution_of(threads, self.pool);
    {
      const nb::gil_scoped_release others;
      pf::detail::marginal_log_prob_into<T>(**snapshot, numbers, rows.matrix<T>(), value.vector(), error.vector(),
                                            options_of<T>(row, proposals, components, seed, pool));
    }
    return nb::make_tuple(value.array(), error.array());
  });
}

}  // namespace

void bind_conditioning(nb::module_& m) {
  nb::cast<nb::class_<Distribution>>(m.attr("Distribution"))
      .def("sample_given", &sample_given, "given"_a, "n"_a, nb::kw_only(), "context"_a = nb::none(),
           "proposals"_a = 10'000, "components"_a = 16, "seed"_a = 0, "threads"_a = 1,
           nb::sig("def sample_given(self, given: collections.abc.Mapping[int | str, float], n: int, *, context: "
                   "numpy.typing.ArrayLike | None = None, proposals: int = 10000, components: int = 16, seed: int = 0, "
                   "threads: int | Execution = 1) -> pushforward.ConditionalDraws"),
           docs::sample_given)
      .def("marginal_log_prob", &marginal_log_prob, "columns"_a, "values"_a, nb::kw_only(), "context"_a = nb::none(),
           "proposals"_a = 10'000, "components"_a = 16, "seed"_a = 0, "threads"_a = 1,
           nb::sig("def marginal_log_prob(self, columns: collections.abc.Sequence[int | str], values: "
                   "numpy.typing.ArrayLike, *, context: numpy.typing.ArrayLike | None = None, proposals: int = 10000, "
                   "components: int = 16, seed: int = 0, threads: int | Execution = 1) -> tuple[numpy.ndarray, "
                   "numpy.ndarray]"),
           docs::marginal_log_prob);
}

}  // namespace binding
