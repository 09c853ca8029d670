// pushforward.Distribution: what every density has.
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string_view.h>

#include <cmath>
#include <pushforward/fields.hpp>
#include <pushforward/latents.hpp>
#include <pushforward/registry.hpp>
#include <span>

#include "objects.hpp"

namespace binding {

namespace {

/// The scalar type of a snapshot.
template <class S>
struct ScalarIn;
template <pf::Scalar T>
struct ScalarIn<std::shared_ptr<const Snapshot<T>>> {
  using type = T;
};
template <class S>
using scalar_in = typename ScalarIn<S>::type;

/// f(snapshot, Run) without the GIL, on the threads that are asked for or in a workspace of the model's.
template <class S, class F>
void run(Distribution& self, const S& snapshot, nb::handle threads, F f) {
  if (const std::shared_ptr<pf::Execution> pool = execution_of(threads, self.pool)) {
    const nb::gil_scoped_release others;
    f(**snapshot, pf::Run(*pool));
  } else {
    Workspaces::Lease lease(self.workspaces);
    const nb::gil_scoped_release others;
    f(**snapshot, pf::Run(*lease, snapshot->packed()));
  }
}

/// One number for each row of y, by `into(distribution, y, out, context, run)`.
template <class Into>
Array per_row(const char* call, Distribution& self, nb::handle y, nb::handle context, nb::handle threads, Into into) {
  return self.visit_shared([&](auto snapshot) {
    using T = scalar_in<decltype(snapshot)>;
    const bool single = sizeof(T) == 4;
    const Borrowed rows(call, "y", y, single, 2, self.info.columns);
    const Borrowed given = borrowed_context(call, context, single, self.info.context_columns);
    Result<double> out({rows.rows()});
    run(self, snapshot, threads, [&](const pf::Distribution<T>& d, const pf::Run& where) {
      into(d, rows.matrix<T>(), out.vector(), given.matrix<T>(), where);
    });
    return out.array();
  });
}

Array log_prob(Distribution& self, Data y, OptionalData context, Threads threads) {
  return per_row("log_prob", self, y, context, threads, [](const auto& d, auto rows, auto out, auto given, auto where) {
    d.log_prob_into(rows, out, given, where);
  });
}

Array prob(Distribution& self, Data y, OptionalData context, Threads threads) {
  return per_row("prob", self, y, context, threads, [](const auto& d, auto rows, auto out, auto given, auto where) {
    d.log_prob_into(rows, out, given, where);
    for (pf::Index i = 0; i < out.size(); ++i) out[i] = std::exp(out[i]);
  });
}

Array prefix_log_prob(Distribution& self, Data y, OptionalData context, Threads threads) {
  return self.visit_shared([&](auto snapshot) {
    using T = scalar_in<decltype(snapshot)>;
    const Borrowed rows("prefix_log_prob", "prefix", y, sizeof(T) == 4);
    const Borrowed given = borrowed_context("prefix_log_prob", context, sizeof(T) == 4, self.info.context_columns);
    Result<double> out({rows.rows()});
    run(self, snapshot, threads, [&](const pf::Distribution<T>& d, const pf::Run& where) {
      d.prefix_log_prob_into(rows.matrix<T>(), out.vector(), given.matrix<T>(), where);
    });
    return out.array();
  });
}

nb::tuple log_prob_and_gradient(Distribution& self, Data y, OptionalData context, Threads threads) {
  return self.visit_shared([&](auto snapshot) -> nb::tuple {
    using T = scalar_in<decltype(snapshot)>;
    const char* const call = "log_prob_and_gradient";
    const Borrowed rows(call, "y", y, sizeof(T) == 4, 2, self.info.columns);
    const Borrowed given = borrowed_context(call, context, sizeof(T) == 4, self.info.context_columns);
    const pf::Index n = rows.rows(), c = (*snapshot)->context_dim();
    Result<double> value({n});
    Result<T> gradient({n, (*snapshot)->dim()});
    Result<T> context_gradient({c > 0 ? n : 0, c});
    run(self, snapshot, threads, [&](const pf::Distribution<T>& d, const pf::Run& where) {
      d.log_prob_and_gradient_into(rows.matrix<T>(), value.vector(), gradient.matrix(), context_gradient.matrix(),
                                   given.matrix<T>(), where);
    });
    return nb::make_tuple(value.array(), gradient.array(), c > 0 ? nb::object(context_gradient.array()) : nb::none());
  });
}

/// A count that an array can have.
pf::Index count(const char* call, pf::Index n) {
  if (n < 0) throw nb::value_error((std::string(call) + ": n must be 0 or more, got " + std::to_string(n)).c_str());
  return n;
}

Array sample(Distribution& self, pf::Index n, Seed seed, OptionalData context, Threads threads) {
  return self.visit_shared([&](auto snapshot) {
    using T = scalar_in<decltype(snapshot)>;
    const Borrowed given = borrowed_context("sample", context, sizeof(T) == 4, self.info.context_columns);
    pf::Engine engine = engine_of(seed);
    Result<T> out({count("sample", n), (*snapshot)->dim()});
    run(self, snapshot, threads, [&](const pf::Distribution<T>& d, const pf::Run& where) {
      d.sample_into(out.matrix(), engine, given.matrix<T>(), where);
    });
    return out.array();
  });
}

Array sample_each(Distribution& self, Data context, pf::Index n, Seed seed, Threads threads) {
  return self.visit_shared([&](auto snapshot) {
    using T = scalar_in<decltype(snapshot)>;
    const Borrowed given = borrowed_context("sample_each", context, sizeof(T) == 4, self.info.context_columns);
    pf::Engine engine = engine_of(seed);
    const pf::MatrixView<const T> rows = given.matrix<T>();
    const pf::Index dim = (*snapshot)->dim();
    Result<T> out({rows.rows(), count("sample_each", n), dim});
    run(self, snapshot, threads, [&](const pf::Distribution<T>& d, const pf::Run& where) {
      // The library draws once for each row, so each row stands n times.
      pf::Matrix<T> repeated(rows.rows() * n, rows.cols());
      for (pf::Index j = 0; j < rows.cols(); ++j)
        for (pf::Index i = 0; i < repeated.rows(); ++i) repeated(i, j) = rows(i / n, j);
      const pf::Matrix<T> drawn = d.sample_each(repeated, engine, where);
      for (pf::Index i = 0; i < drawn.rows(); ++i)
        for (pf::Index j = 0; j < dim; ++j) out.data()[i * dim + j] = drawn(i, j);
    });
    return out.array();
  });
}

nb::tuple sample_and_log_prob(Distribution& self, pf::Index n, Seed seed, OptionalData context, Threads threads) {
  return self.visit_shared([&](auto snapshot) {
    using T = scalar_in<decltype(snapshot)>;
    const Borrowed given = borrowed_context("sample_and_log_prob", context, sizeof(T) == 4, self.info.context_columns);
    pf::Engine engine = engine_of(seed);
    Result<T> out({count("sample_and_log_prob", n), (*snapshot)->dim()});
    Result<double> log_prob({n});
    run(self, snapshot, threads, [&](const pf::Distribution<T>& d, const pf::Run& where) {
      const pf::SamplesAndLogProb<T> drawn = d.sample_and_log_prob(n, engine, given.matrix<T>(), where);
      for (pf::Index i = 0; i < n; ++i) {
        log_prob.data()[i] = drawn.log_prob[i];
        for (pf::Index j = 0; j < d.dim(); ++j) out.matrix()(i, j) = drawn.samples(i, j);
      }
    });
    return nb::make_tuple(out.array(), log_prob.array());
  });
}

Array sample_given_prefix(Distribution& self, Data prefix, Seed seed, OptionalData context, Threads threads) {
  return self.visit_shared([&](auto snapshot) {
    using T = scalar_in<decltype(snapshot)>;
    const Borrowed rows("sample_given_prefix", "prefix", prefix, sizeof(T) == 4);
    const Borrowed given = borrowed_context("sample_given_prefix", context, sizeof(T) == 4, self.info.context_columns);
    pf::Engine engine = engine_of(seed);
    Result<T> out({rows.rows(), (*snapshot)->dim()});
    run(self, snapshot, threads, [&](const pf::Distribution<T>& d, const pf::Run& where) {
      d.sample_given_prefix_into(rows.matrix<T>(), out.matrix(), engine, given.matrix<T>(), where);
    });
    return out.array();
  });
}

Array latent(Distribution& self, Data y, OptionalData context, Threads threads) {
  return self.visit_shared([&](auto snapshot) {
    using T = scalar_in<decltype(snapshot)>;
    const Borrowed rows("latent", "y", y, sizeof(T) == 4, 2, self.info.columns);
    const Borrowed given = borrowed_context("latent", context, sizeof(T) == 4, self.info.context_columns);
    const pf::Distribution<T>* base = pf::latent_base(**snapshot);
    Result<T> out({rows.rows(), base ? base->dim() : (*snapshot)->dim()});
    run(self, snapshot, threads, [&](const pf::Distribution<T>& d, const pf::Run& where) {
      pf::latent_into<T>(d, rows.matrix<T>(), out.matrix(), given.matrix<T>(), where);
    });
    return out.array();
  });
}

/// A vector of moments by `into(distribution, out)`.
template <class Into>
Array moment(const Distribution& self, Into into) {
  return self.visit([&](const auto& d) {
    Result<double> out({d.dim()});
    into(d, out.vector());
    return out.array();
  });
}

template <class Tail>
Array tails(const char* call, const Distribution& self, nb::handle y, Tail tail) {
  return self
      .visit_shared([&](auto snapshot) {
        using T = scalar_in<decltype(snapshot)>;
        const Borrowed rows(call, "y", y, sizeof(T) == 4);
        const pf::MatrixView<const T> values = rows.matrix<T>();
        Result<double> out({values.rows(), values.cols()});
        const nb::gil_scoped_release others;
        tail(**snapshot, values, out.matrix());
        return out;
      })
      .array();
}

Array quantiles(const char* call, const Distribution& self, nb::handle p, bool complement) {
  const Borrowed rows(call, "p", p, false);
  const pf::MatrixView<const double> values = rows.matrix<double>();
  Result<double> out({values.rows(), values.cols()});
  self.visit([&](const auto& d) { d.quantile_into(values, out.matrix(), complement); });
  return out.array();
}

template <pf::Distribution<double>::Tail which>
Array tail(const Distribution& self, const char* call, nb::handle y) {
  return tails(call, self, y, [](const auto& d, auto values, auto out) {
    using D = std::remove_cvref_t<decltype(d)>;
    d.tail_into(static_cast<typename D::Tail>(which), values, out);
  });
}

nb::tuple kl(const Distribution& self, const Distribution& other, pf::Index n, Seed seed) {
  Dtype same = self.dtype();
  same.agree(other.dtype(), "kl_divergence", "other");
  return self.visit_shared([&](auto snapshot) {
    using T = scalar_in<decltype(snapshot)>;
    const auto q = std::get<Distribution::Shared<T>>(other.object);
    pf::Engine engine = engine_of(seed);
    pf::KlDivergence result;
    {
      const nb::gil_scoped_release others;
      result = pf::kl_divergence(**snapshot, **q, engine, n);
    }
    return nb::make_tuple(result.value, result.standard_error, result.exact);
  });
}

nb::bytes serialize(const Distribution& self) {
  const std::vector<std::byte> bytes = self.visit([&](const auto& d) { return pf::serialize(d, self.info); });
  return nb::bytes(bytes.data(), bytes.size());
}

/// A model in its own scalar type, or in the one that is asked for.
template <class Source>
nb::object load_as(Dtype dtype, const Source& source) {
  pf::StoredModel model = [&]() -> pf::StoredModel {
    const nb::gil_scoped_release others;
    if (!dtype.is_known()) return pf::load_stored(source);
    if (dtype.is_single()) return pf::load<float>(source);
    return pf::load<double>(source);
  }();
  return std::visit([](auto& m) { return wrap(Distribution(std::move(m.distribution), std::move(m.info))); }, model);
}

nb::object load(const std::filesystem::path& path, const DtypeLike& dtype) { return load_as(Dtype(dtype), path); }

nb::object deserialize(const nb::bytes& bytes, const DtypeLike& dtype) {
  return load_as(Dtype(dtype), std::span(static_cast<const std::byte*>(bytes.data()), bytes.size()));
}

/// The same model in the scalar type.
nb::object astype(const Distribution& self, Dtype to) {
  if (!to.is_known() || to.is_single() == self.dtype().is_single()) return wrap(Distribution(self));
  return self.visit([&]<pf::Scalar T>(const pf::Distribution<T>& d) {
    using Other = std::conditional_t<std::same_as<T, float>, double, float>;
    return wrap(Distribution(pf::cast<Other>(d), self.info));
  });
}

using Names = std::vector<std::string>;
void check_names(const char* what, const Names& names, pf::Index columns) {
  if (!names.empty() && static_cast<pf::Index>(names.size()) != columns)
    throw nb::value_error((std::string(what) + ": the model has " + std::to_string(columns) + " columns, got " +
                           std::to_string(names.size()) + " names")
                              .c_str());
}

nb::list ranges(const std::vector<pf::ModelInfo::Range>& from) {
  nb::list list;
  for (const auto& r : from) list.append(nb::make_tuple(r.low, r.high));
  return list;
}

Array outside(const Distribution& self, Data data, OptionalData context) {
  const Borrowed rows("rows_outside_training_range", "data", data, false, 2, self.info.columns);
  const Borrowed given = borrowed_context("rows_outside_training_range", context, false, self.info.context_columns);
  return array_of(pf::rows_outside_training_range(self.info, rows.matrix<double>(), given.matrix<double>()));
}

nb::object state(const Distribution& self) {
  return self.visit([](const auto& d) -> nb::object {
    nb::dict result;
    for (const auto& slot : pf::list_state(d)) {
      using T = std::remove_cvref_t<decltype((*slot.tensor)[0])>;
      const pf::Tensor<T> stored = slot.attributes.form ? slot.attributes.form->to_file(*slot.tensor) : *slot.tensor;
      Result<T> flat({stored.size()});
      std::copy_n(stored.data(), stored.size(), flat.data());
      result[slot.path.c_str()] = flat.array().attr("reshape")(nb::cast(stored.shape()));
    }
    return result;
  });
}

}  // namespace

void bind_distribution(nb::module_& m) {
  using Tail = pf::Distribution<double>::Tail;
  nb::class_<Distribution> c(m, "Distribution", docs::Distribution);

  // ---- densities
  c.def("log_prob", &log_prob, "y"_a, "context"_a = nb::none(), nb::kw_only(), "threads"_a = 1,
        R"(log p(y | context) of each row, in nats.

y: (N, dim), of the model's dtype; any strides, read where it lies. Tables (pandas, pyarrow, polars) go in by the names
in `columns` and are copied once. context: (N, context_dim), or one row for all. threads: the same bits for any number.

Returns (N,) float64: -inf outside the support; NaN in rows that hold NaN.
Raises ValueError for shapes that do not fit, TypeError for another dtype.)");
  c.def("prob", &prob, "y"_a, "context"_a = nb::none(), nb::kw_only(), "threads"_a = 1, "exp(log_prob(y, context)).");
  c.def(
      "log_prob_and_gradient", &log_prob_and_gradient, "y"_a, "context"_a = nb::none(), nb::kw_only(), "threads"_a = 1,
      nb::sig(
          "def log_prob_and_gradient(self, y: numpy.typing.ArrayLike, context: numpy.typing.ArrayLike | None = None, "
          "*, threads: int | Execution = 1) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray | None]"),
      R"((log_prob, gradient, context_gradient): (N,), d log_prob / d y (N, dim), d log_prob / d context
(N, context_dim).

The last is None without context.)");
  c.def("prefix_log_prob", &prefix_log_prob, "prefix"_a, "context"_a = nb::none(), nb::kw_only(), "threads"_a = 1,
        R"(log p(y_1, ..., y_k) of the first k columns of `triangular_order`, the others integrated out exactly.

prefix: (N, k), 1 <= k <= dim.
Raises NotImplementedError naming the part that has no such order.)");
  c.def_prop_ro(
      "triangular_order",
      [](const Distribution& d) { return d.visit([](const auto& o) { return o.triangular_order(); }); },
      "The columns in an order in which each is drawn given those before it; []: independent columns, any order.\n\n"
      "Raises NotImplementedError naming the part that has none.");

  // ---- samples
  c.def("sample", &sample, "n"_a, nb::kw_only(), "seed"_a = nb::none(), "context"_a = nb::none(), "threads"_a = 1,
        R"(n draws, (n, dim). context: one row for all; `sample_each` takes several.

seed: a number, for the same draws again, with any number of threads; an Engine, which goes on; None: another one each
time.)");
  c.def("sample_each", &sample_each, "context"_a, "n"_a = 1, nb::kw_only(), "seed"_a = nb::none(), "threads"_a = 1,
        "n draws for each row of context (N, context_dim): (N, n, dim).");
  c.def(
      "sample_and_log_prob", &sample_and_log_prob, "n"_a, nb::kw_only(), "seed"_a = nb::none(),
      "context"_a = nb::none(), "threads"_a = 1,
      nb::sig(
          "def sample_and_log_prob(self, n: int, *, seed: int | Engine | None = None, context: "
          "numpy.typing.ArrayLike | None = None, threads: int | Execution = 1) -> tuple[numpy.ndarray, numpy.ndarray]"),
      "n draws and their log_prob from one pass, which needs no inverse: (n, dim), (n,).");
  c.def("sample_given_prefix", &sample_given_prefix, "prefix"_a, nb::kw_only(), "seed"_a = nb::none(),
        "context"_a = nb::none(), "threads"_a = 1,
        "An exact draw of all columns for each row of `prefix`, (N, k), the values of the first k columns of\n"
        "`triangular_order`: (N, dim). NaN where the prefix lies outside the support.");
  c.def("latent", &latent, "y"_a, "context"_a = nb::none(), nb::kw_only(), "threads"_a = 1,
        "x of each row of y = f(x), where x is what the innermost base draws. NaN outside the support.");

  // ---- moments and tails
  c.def(
      "mean", [](const Distribution& d) { return moment(d, [](const auto& o, auto out) { o.mean_into(out); }); },
      "(dim,). Raises NotImplementedError where there is no closed form.");
  c.def(
      "variance",
      [](const Distribution& d) { return moment(d, [](const auto& o, auto out) { o.variance_into(out); }); },
      "(dim,).");
  c.def(
      "stddev",
      [](const Distribution& d) {
        return moment(d, [](const auto& o, auto out) {
          o.variance_into(out);
          for (pf::Index i = 0; i < out.size(); ++i) out[i] = std::sqrt(out[i]);
        });
      },
      "(dim,).");
  c.def(
      "mode", [](const Distribution& d) { return moment(d, [](const auto& o, auto out) { o.mode_into(out); }); },
      "(dim,).");
  c.def(
      "covariance",
      [](const Distribution& d) {
        return d.visit([](const auto& o) {
          Result<double> out({o.dim(), o.dim()});
          o.covariance_into(out.matrix());
          return out.array();
        });
      },
      "(dim, dim).");
  c.def(
      "entropy", [](const Distribution& d) { return d.visit([](const auto& o) { return o.entropy(); }); }, "In nats.");
  c.def(
      "cdf", [](const Distribution& d, const Data& y) { return tail<Tail::cdf>(d, "cdf", y); }, "y"_a,
      "Of each column by itself, (N, dim), of elementwise families.");
  c.def(
      "survival", [](const Distribution& d, const Data& y) { return tail<Tail::survival>(d, "survival", y); }, "y"_a,
      "1 - cdf, accurate in the upper tail.");
  c.def(
      "log_cdf", [](const Distribution& d, const Data& y) { return tail<Tail::log_cdf>(d, "log_cdf", y); }, "y"_a,
      "log(cdf), also where cdf underflows.");
  c.def(
      "log_survival",
      [](const Distribution& d, const Data& y) { return tail<Tail::log_survival>(d, "log_survival", y); }, "y"_a,
      "log(survival).");
  c.def(
      "quantile", [](const Distribution& d, const Data& p) { return quantiles("quantile", d, p, false); }, "p"_a,
      "The inverse of cdf, (N, dim) float64. Raises ValueError for a probability outside [0, 1].");
  c.def(
      "quantile_complement",
      [](const Distribution& d, const Data& q) { return quantiles("quantile_complement", d, q, true); }, "q"_a,
      "The inverse of survival: accurate for q near 0.");
  c.def("kl_divergence", &kl, "other"_a, nb::kw_only(), "n"_a = 100'000, "seed"_a = nb::none(),
        nb::sig("def kl_divergence(self, other: Distribution, *, n: int = 100000, seed: int | Engine | None = None) -> "
                "tuple[float, float, bool]"),
        R"((value, standard_error, exact) of KL(self || other) in nats.

Exact where a closed form is known for the pair, else the mean of log p - log q over n draws of self.)");

  // ---- properties
  c.def_prop_ro(
      "name", [](const Distribution& d) { return d.visit([](const auto& o) { return o.name(); }); },
      "The class, with its parts.");
  c.def_prop_ro(
      "dim", [](const Distribution& d) { return d.visit([](const auto& o) { return o.dim(); }); }, "Columns of data.");
  c.def_prop_ro(
      "context_dim", [](const Distribution& d) { return d.visit([](const auto& o) { return o.context_dim(); }); },
      "Columns of context, 0 for none.");
  c.def_prop_ro("event_shape", [](const Distribution& d) {
    return nb::tuple(nb::cast(d.visit([](const auto& o) { return o.event_shape(); })));
  });
  c.def_prop_ro(
      "dtype", [](const Distribution& d) { return nb::module_::import_("numpy").attr("dtype")(d.dtype().name()); },
      "float32 or float64: of data, draws and parameters.");
  c.def_prop_ro(
      "support", [](const Distribution& d) { return d.visit([](const auto& o) { return o.support(); }); },
      "The set where the density is positive: \"real^3 x (0, inf)\".");
  c.def_prop_ro(
      "counted_columns",
      [](const Distribution& d) {
        return d.visit([](const auto& o) {
          pf::Index columns = 0;
          const pf::Space support = o.support();
          for (const pf::Space::Block& block : support.blocks()) columns += block.grids.empty() ? 0 : block.columns;
          return columns;
        });
      },
      "Columns of numbers on grids: of these `log_prob` is that of a mass, and no density.");
  c.def_prop_ro("is_reparameterized",
                [](const Distribution& d) { return d.visit([](const auto& o) { return o.is_reparameterized(); }); });
  c.def_prop_ro(
      "parameter_count",
      [](const Distribution& d) { return d.visit([](const auto& o) { return pf::count_parameters(o); }); },
      "Number of trainable values.");
  c.def("state", &state, nb::sig("def state(self) -> dict[str, numpy.ndarray]"),
        "Copies of all learned tensors and running statistics by their paths, as a file has them.");
  c.def_prop_rw(
      "columns", [](const Distribution& d) { return d.info.columns; },
      [](Distribution& d, Names names) {
        check_names("columns", names, d.visit([](const auto& o) { return o.dim(); }));
        d.info.columns = std::move(names);
      },
      "Names of the data columns, [] if unknown. Tables go in by them.");
  c.def_prop_rw(
      "context_columns", [](const Distribution& d) { return d.info.context_columns; },
      [](Distribution& d, Names names) {
        check_names("context_columns", names, d.visit([](const auto& o) { return o.context_dim(); }));
        d.info.context_columns = std::move(names);
      },
      "Names of the context columns.");
  c.def_prop_rw(
      "notes", [](const Distribution& d) { return d.info.notes; },
      [](Distribution& d, std::map<std::string, std::string> notes) { d.info.notes = std::move(notes); },
      "Free text by name, kept in files. A copy: assign a dict to change it.");
  c.def_prop_ro(
      "data_range", [](const Distribution& d) { return ranges(d.info.data_range); },
      "(smallest, largest) training value of each column, [] if unknown.");
  c.def_prop_ro("context_range", [](const Distribution& d) { return ranges(d.info.context_range); });
  c.def("rows_outside_training_range", &outside, "data"_a, "context"_a = nb::none(),
        "Numbers of the rows that have a value outside the training range.");

  // ---- files, copies
  c.def(
      "save",
      [](const Distribution& d, const std::filesystem::path& path) {
        // Another thread may fit the model meanwhile, or change its notes.
        d.visit_shared([&, info = d.info](auto snapshot) {
          const nb::gil_scoped_release others;
          pf::save(path, **snapshot, info);
        });
      },
      "path"_a, R"(Writes one safetensors file that C++ and Python read: whole or not at all.

Raises OSError if it cannot be written, ValueError naming a tensor with values that are not finite.)");
  c.def("serialize", &serialize, "The bytes of such a file.");
  bind_export(c);
  c.def(
      "astype", [](const Distribution& d, const DtypeLike& dtype) { return astype(d, Dtype(dtype)); }, "dtype"_a,
      nb::sig("def astype(self, dtype: numpy.typing.DTypeLike) -> Distribution"),
      "A copy with float32 or float64 parameters.");
  c.def("copy", [](const Distribution& d) { return wrap(Distribution(d)); }, nb::sig("def copy(self) -> Distribution"));
  c.def(
      "__copy__", [](const Distribution& d) { return wrap(Distribution(d)); },
      nb::sig("def __copy__(self) -> Distribution"));
  c.def(
      "__deepcopy__", [](const Distribution& d, const nb::object&) { return wrap(Distribution(d)); }, "memo"_a,
      nb::sig("def __deepcopy__(self, memo: object) -> Distribution"));
  c.def("__reduce__", [](const Distribution& d) {
    return nb::make_tuple(nb::module_::import_("pushforward._pickle").attr("restore"),
                          nb::make_tuple(serialize(d), d.dtype().name()));
  });
  c.def("__repr__", [](const Distribution& d) { return d.visit([](const auto& o) { return tree_text(o); }); });
  c.def(
      "__call__",
      [](nb::object self, const nb::object& context) {
        return nb::module_::import_("pushforward._conditional").attr("Conditional")(self, context);
      },
      "context"_a, nb::sig("def __call__(self, context: numpy.typing.ArrayLike) -> pushforward.Conditional"),
      "The density of y for this context, as zuko has it: flow(c).log_prob(y), flow(c).sample(n).");
  c.def(
      "plot",
      [](nb::object self, nb::args args, nb::kwargs kwargs) {
        return nb::module_::import_("pushforward.plots").attr("corner")(self, *args, **kwargs);
      },
      nb::sig("def plot(self, data: numpy.typing.ArrayLike | None = None, **options) -> matplotlib.figure.Figure"),
      "A corner plot of draws, and of rows of data beside them: see `pushforward.plots.corner`.");

  m.def("load", &load, "path"_a, nb::kw_only(), "dtype"_a = nb::none(),
        nb::sig("def load(path: str | os.PathLike, *, dtype: numpy.typing.DTypeLike = None) -> Distribution"),
        R"(Reads a model, in the scalar type of the file or in the one that is asked for.

Files are untrusted input: no code is run, and what they say is checked, with reference rows of log_prob.
Raises OSError naming the field, if the file cannot be read, is damaged, or was written by a later version.)");
  m.def("deserialize", &deserialize, "data"_a, "dtype"_a = nb::none(),
        nb::sig("def deserialize(data: bytes, dtype: numpy.typing.DTypeLike = None) -> Distribution"),
        "Reads a model from the bytes of a file.");
}

}  // namespace binding
