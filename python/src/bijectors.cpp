// pushforward.Bijector, and the classes of bijectors by their constructors.
#include <pushforward/bijectors/act_norm.hpp>
#include <pushforward/bijectors/affine.hpp>
#include <pushforward/bijectors/affine_transformer.hpp>
#include <pushforward/bijectors/ascending.hpp>
#include <pushforward/bijectors/batch_normalization.hpp>
#include <pushforward/bijectors/blocks.hpp>
#include <pushforward/bijectors/chain.hpp>
#include <pushforward/bijectors/cholesky_outer_product.hpp>
#include <pushforward/bijectors/column_supports.hpp>
#include <pushforward/bijectors/correlation_cholesky.hpp>
#include <pushforward/bijectors/coupling.hpp>
#include <pushforward/bijectors/elementwise.hpp>
#include <pushforward/bijectors/fill_scale_tril.hpp>
#include <pushforward/bijectors/graph_autoregressive.hpp>
#include <pushforward/bijectors/householder.hpp>
#include <pushforward/bijectors/identity.hpp>
#include <pushforward/bijectors/invert.hpp>
#include <pushforward/bijectors/lu_linear.hpp>
#include <pushforward/bijectors/masked_autoregressive.hpp>
#include <pushforward/bijectors/permute.hpp>
#include <pushforward/bijectors/planar.hpp>
#include <pushforward/bijectors/radial.hpp>
#include <pushforward/bijectors/rational_quadratic_spline.hpp>
#include <pushforward/bijectors/scale.hpp>
#include <pushforward/bijectors/shift.hpp>
#include <pushforward/bijectors/sigmoid.hpp>
#include <pushforward/bijectors/softmax_centered.hpp>
#include <pushforward/bijectors/standardize.hpp>
#include <pushforward/bijectors/stick_breaking.hpp>
#include <pushforward/bijectors/triangular_linear.hpp>
#include <pushforward/bijectors/unit_vector.hpp>
#include <pushforward/bijectors/whiten.hpp>

#include "options.hpp"

namespace binding {

namespace {

using Dim = std::optional<pf::Index>;
constexpr double infinity = std::numeric_limits<double>::infinity();

template <class ForDouble>
using Self = Of<ForDouble, Bijector>*;

template <template <pf::Scalar> class C>
auto declare(nb::module_& m, const char* name, const char* doc) {
  return binding::declare<C, Bijector>(m, name, doc);
}

/// A class that needs a number of columns alone.
template <template <pf::Scalar> class C>
void of_columns(nb::module_& m, const char* name, const char* doc, const char* dim = "dim") {
  declare<C>(m, name, doc)
      .def(
          "__init__",
          [](Self<C<double>> self, pf::Index n, const DtypeLike& dtype) {
            construct(self, Dtype(dtype), [&]<pf::Scalar T>(std::type_identity<T>) { return C<T>(n); });
          },
          nb::arg(dim), nb::kw_only(), "dtype"_a = nb::none());
}

template <pf::Scalar T>
std::vector<pf::Poly<pf::Bijector<T>>> values_of(const std::vector<const Bijector*>& parts) {
  std::vector<pf::Poly<pf::Bijector<T>>> list;
  for (const Bijector* b : parts) list.push_back(b->as<T>());
  return list;
}

constexpr Named<pf::Statistics> statistics_choices[] = {{"running", pf::Statistics::running},
                                                        {"minibatch", pf::Statistics::minibatch},
                                                        {"population", pf::Statistics::population}};

nb::tuple map(const char* call, bool forward, const Bijector& self, nb::handle in, nb::handle context,
              const std::string& statistics, nb::handle threads) {
  Pool none;
  const pf::Statistics use = choose("statistics", statistics, statistics_choices);
  return std::visit(
      [&](const auto& shared) {
        const auto& b = **shared;
        using T = pf::ScalarOf<std::remove_cvref_t<decltype(b)>>;
        const Borrowed rows(call, forward ? "x" : "y", in, sizeof(T) == 4);
        const Borrowed given = borrowed_context(call, context, sizeof(T) == 4);
        if (use != pf::Statistics::running) {
          const auto batch = forward ? b.forward(rows.matrix<T>(), use, given.matrix<T>())
                                     : b.inverse(rows.matrix<T>(), use, given.matrix<T>());
          return nb::make_tuple(array_of(pf::MatrixView<const T>(batch.value)),
                                array_of(pf::VectorView<const double>(batch.log_det)));
        }
        Result<T> value({rows.rows(), forward ? b.dim() : b.base_dim()});
        Result<double> log_det({rows.rows()});
        const std::shared_ptr<pf::Execution> pool = execution_of(threads, none);
        {
          const nb::gil_scoped_release others;
          const pf::Run run = pool ? pf::Run(*pool) : pf::Run();
          if (forward)
            b.forward_into(rows.matrix<T>(), value.matrix(), log_det.vector(), given.matrix<T>(), run);
          else
            b.inverse_into(rows.matrix<T>(), value.matrix(), log_det.vector(), given.matrix<T>(), run);
        }
        return nb::make_tuple(value.array(), log_det.array());
      },
      self.object);
}

/// A float64 matrix or vector of data for what is computed from it.
template <pf::Scalar T, class Make>
nb::object from_data(const char* call, nb::handle data, nb::handle weights, Make make) {
  const Borrowed rows(call, "data", data, sizeof(T) == 4);
  Borrowed given;
  if (!weights.is_none()) given = Borrowed(call, "weights", weights, false, 1);
  return wrap(Bijector::of<T>(make(rows.matrix<T>(), given.vector<double>())));
}
template <class Make>
nb::object from_data(const char* call, nb::handle data, nb::handle weights, Make make) {
  return dtype_of(data).is_single() ? from_data<float>(call, data, weights, make)
                                    : from_data<double>(call, data, weights, make);
}

void bind_base(nb::module_& m) {
  const std::string map_text =
      "(value, log_det): (N, columns) and the log|det| of the map just applied, (N,), in nats.\n\n"
      "statistics, of normalisation layers: \"running\", the fixed map; \"minibatch\", those of these rows as a training "
      "step has them, in which rows depend on each other and the result is no density; \"population\", plainly those of "
      "these rows. Nothing changes in the bijector.";
  nb::class_<Bijector> c(m, "Bijector", docs::Bijector);
  c.def(
      "forward",
      [](const Bijector& b, const Data& x, const OptionalData& context, const std::string& statistics,
         const Threads& threads) { return map("forward", true, b, x, context, statistics, threads); },
      "x"_a, "context"_a = nb::none(), nb::kw_only(), "statistics"_a = "running", "threads"_a = 1,
      nb::sig("def forward(self, x: numpy.typing.ArrayLike, context: numpy.typing.ArrayLike | None = None, *, "
              "statistics: str = 'running', threads: int | Execution = 1) -> tuple[numpy.ndarray, numpy.ndarray]"),
      map_text.c_str());
  c.def(
      "inverse",
      [](const Bijector& b, const Data& y, const OptionalData& context, const std::string& statistics,
         const Threads& threads) { return map("inverse", false, b, y, context, statistics, threads); },
      "y"_a, "context"_a = nb::none(), nb::kw_only(), "statistics"_a = "running", "threads"_a = 1,
      nb::sig("def inverse(self, y: numpy.typing.ArrayLike, context: numpy.typing.ArrayLike | None = None, *, "
              "statistics: str = 'running', threads: int | Execution = 1) -> tuple[numpy.ndarray, numpy.ndarray]"),
      (map_text + "\n\nRaises ValueError naming the first row outside the codomain.").c_str());
  const auto property = [&](const char* name, auto get, const char* doc) {
    c.def_prop_ro(name, [get](const Bijector& b) { return b.visit([&](const auto& o) { return get(*o); }); }, doc);
  };
  property("name", [](const auto& o) { return o.name(); }, "The class, with its parts.");
  property("dim", [](const auto& o) { return o.dim(); }, "Columns of the data side.");
  property("base_dim", [](const auto& o) { return o.base_dim(); }, "Columns of the base side.");
  property("context_dim", [](const auto& o) { return o.context_dim(); }, "Columns of context that it needs.");
  property("event_shape", [](const auto& o) { return nb::tuple(nb::cast(o.event_shape())); }, "Of the data side.");
  property("is_elementwise", [](const auto& o) { return o.is_elementwise(); }, "Column by column.");
  property("is_constant_jacobian", [](const auto& o) { return o.is_constant_jacobian(); }, "The same for all rows.");
  property("has_forward", [](const auto& o) { return o.has_forward(); }, "");
  property("has_inverse", [](const auto& o) { return o.has_inverse(); }, "");
  property(
      "triangular_order", [](const auto& o) { return o.triangular_order(); },
      "The columns in an order in which each is computed from those up to it alone; []: in any order.\n\n"
      "Raises NotImplementedError naming the part that mixes columns otherwise.");
  property("domain", [](const auto& o) { return o.domain(); }, "Where x lives.");
  property("codomain", [](const auto& o) { return o.codomain(); }, "Where y may lie.");
  property(
      "log_scale_bound", [](const auto& o) { return o.log_scale_bound(); },
      "Largest possible |log_det| that bounded scales allow per row, or infinity.");
  property("parameter_count", [](const auto& o) { return pf::count_parameters(o); }, "Number of trainable values.");
  c.def_prop_ro("dtype",
                [](const Bijector& b) { return nb::module_::import_("numpy").attr("dtype")(b.dtype().name()); });
  c.def(
      "astype",
      [](const Bijector& b, const DtypeLike& dtype) {
        const Dtype to(dtype);
        if (!to.is_known() || to.is_single() == b.dtype().is_single()) return wrap(Bijector(b));
        if (to.is_single()) return wrap(Bijector::of<float>(pf::cast<float>(*b.as<double>())));
        return wrap(Bijector::of<double>(pf::cast<double>(*b.as<float>())));
      },
      "dtype"_a, nb::sig("def astype(self, dtype: numpy.typing.DTypeLike) -> Bijector"),
      "A copy with float32 or float64 parameters.");
  c.def("__copy__", [](nb::object self) { return self; });
  c.def("__deepcopy__", [](nb::object self, const nb::object&) { return self; }, "memo"_a);
  c.def("__repr__", [](const Bijector& b) { return b.visit([](const auto& o) { return tree_text(*o); }); });
}

void bind_constructors(nb::module_& m) {
  of_columns<pf::Identity>(m, "Identity", docs::Identity);
  of_columns<pf::Ascending>(m, "Ascending", docs::Ascending);
  of_columns<pf::StickBreaking>(m, "StickBreaking", docs::StickBreaking, "base_dim");
  of_columns<pf::SoftmaxCentered>(m, "SoftmaxCentered", docs::SoftmaxCentered, "base_dim");
  of_columns<pf::UnitVector>(m, "UnitVector", docs::UnitVector, "base_dim");
  of_columns<pf::FillScaleTriL>(m, "FillScaleTriL", docs::FillScaleTriL, "n");
  of_columns<pf::CholeskyOuterProduct>(m, "CholeskyOuterProduct", docs::CholeskyOuterProduct, "n");
  of_columns<pf::CorrelationCholesky>(m, "CorrelationCholesky", docs::CorrelationCholesky, "n");

  declare<pf::LULinear>(m, "LULinear", docs::LULinear)
      .def(
          "__init__",
          [](Self<pf::LULinear<double>> self, pf::Index n, double floor, const std::vector<std::int64_t>& signs,
             const DtypeLike& dtype) {
            construct(self, Dtype(dtype),
                      [&]<pf::Scalar T>(std::type_identity<T>) { return pf::LULinear<T>(n, floor, signs); });
          },
          "dim"_a, nb::kw_only(), "floor"_a = pf::LULinear<double>::diagonal_floor,
          "signs"_a = std::vector<std::int64_t>(), "dtype"_a = nb::none());
  declare<pf::TriangularLinear>(m, "TriangularLinear", docs::TriangularLinear)
      .def(
          "__init__",
          [](Self<pf::TriangularLinear<double>> self, pf::Index n, const DtypeLike& dtype) {
            construct(self, Dtype(dtype),
                      [&]<pf::Scalar T>(std::type_identity<T>) { return pf::TriangularLinear<T>(n); });
          },
          "dim"_a, nb::kw_only(), "dtype"_a = nb::none());
  declare<pf::Householder>(m, "Householder", docs::Householder)
      .def(
          "__init__",
          [](Self<pf::Householder<double>> self, pf::Index n, pf::Index count, const DtypeLike& dtype) {
            construct(self, Dtype(dtype),
                      [&]<pf::Scalar T>(std::type_identity<T>) { return pf::Householder<T>(n, count); });
          },
          "dim"_a, nb::kw_only(), "count"_a = 2, "dtype"_a = nb::none());
  declare<pf::Planar>(m, "Planar", docs::Planar)
      .def(
          "__init__",
          [](Self<pf::Planar<double>> self, pf::Index n, std::uint64_t seed, double floor, const DtypeLike& dtype) {
            construct(self, Dtype(dtype),
                      [&]<pf::Scalar T>(std::type_identity<T>) { return pf::Planar<T>(n, seed, floor); });
          },
          "dim"_a, nb::kw_only(), "seed"_a = 0, "floor"_a = pf::Planar<double>::default_floor, "dtype"_a = nb::none());
  of_columns<pf::Radial>(m, "Radial", docs::Radial);
  declare<pf::Shift>(m, "Shift", docs::Shift)
      .def(
          "__init__",
          [](Self<pf::Shift<double>> self, Dim dim, const Numbers& shift, const DtypeLike& dtype) {
            Columns columns("Shift", dtype);
            columns.add("shift", shift);
            const pf::Index n = columns.size(dim);
            construct(self, columns.dtype(), [&]<pf::Scalar T>(std::type_identity<T>) {
              return pf::Shift<T>(pf::VectorView<const T>(columns.get<T>(0, n, 0)));
            });
          },
          "dim"_a = nb::none(), nb::kw_only(), "shift"_a = nb::none(), "dtype"_a = nb::none());
  declare<pf::Scale>(m, "Scale", docs::Scale)
      .def(
          "__init__",
          [](Self<pf::Scale<double>> self, Dim dim, const Numbers& scale, double bound, const DtypeLike& dtype) {
            Columns columns("Scale", dtype);
            columns.add("scale", scale);
            const pf::Index n = columns.size(dim);
            construct(self, columns.dtype(), [&]<pf::Scalar T>(std::type_identity<T>) {
              return pf::Scale<T>(pf::VectorView<const T>(columns.get<T>(0, n, 1)), bound);
            });
          },
          "dim"_a = nb::none(), nb::kw_only(), "scale"_a = nb::none(), "bound"_a = pf::Scale<double>::default_bound,
          "dtype"_a = nb::none());
  declare<pf::Affine>(m, "Affine", docs::Affine)
      .def(
          "__init__",
          [](Self<pf::Affine<double>> self, Dim dim, const Numbers& shift, const Numbers& log_scale, double bound,
             const DtypeLike& dtype) {
            Columns columns("Affine", dtype);
            columns.add("shift", shift);
            columns.add("log_scale", log_scale);
            const pf::Index n = columns.size(dim);
            construct(self, columns.dtype(), [&]<pf::Scalar T>(std::type_identity<T>) {
              const std::vector<T> s = columns.get<T>(0, n, 0), l = columns.get<T>(1, n, 0);
              return pf::Affine<T>(pf::VectorView<const T>(s), pf::VectorView<const T>(l), bound);
            });
          },
          "dim"_a = nb::none(), nb::kw_only(), "shift"_a = nb::none(), "log_scale"_a = nb::none(),
          "bound"_a = pf::Affine<double>::default_bound, "dtype"_a = nb::none());
  declare<pf::ActNorm>(m, "ActNorm", docs::ActNorm)
      .def(
          "__init__",
          [](Self<pf::ActNorm<double>> self, pf::Index dim, double bound, double epsilon, const DtypeLike& dtype) {
            construct(self, Dtype(dtype),
                      [&]<pf::Scalar T>(std::type_identity<T>) { return pf::ActNorm<T>(dim, bound, epsilon); });
          },
          "dim"_a, nb::kw_only(), "bound"_a = pf::ActNorm<double>::default_bound,
          "epsilon"_a = pf::ActNorm<double>::default_epsilon, "dtype"_a = nb::none());
  declare<pf::BatchNormalization>(m, "BatchNormalization", docs::BatchNormalization)
      .def(
          "__init__",
          [](Self<pf::BatchNormalization<double>> self, pf::Index dim,
             const std::optional<pf::BatchNormalizationOptions>& options, const DtypeLike& dtype) {
            construct(self, Dtype(dtype), [&]<pf::Scalar T>(std::type_identity<T>) {
              return pf::BatchNormalization<T>(dim, options.value_or(pf::BatchNormalizationOptions()));
            });
          },
          "dim"_a, "options"_a = nb::none(), nb::kw_only(), "dtype"_a = nb::none())
      .def(
          "frozen",
          [](const Of<pf::BatchNormalization<double>, Bijector>& self) {
            return self.visit([]<pf::Scalar T>(const pf::Poly<pf::Bijector<T>>& b) {
              return wrap(Bijector::of<T>(dynamic_cast<const pf::BatchNormalization<T>&>(*b).frozen()));
            });
          },
          "The map under running statistics as a Standardize. Raises ValueError if a gamma is not positive.");
  declare<pf::RationalQuadraticSpline>(m, "RationalQuadraticSpline", docs::RationalQuadraticSpline)
      .def(
          "__init__",
          [](Self<pf::RationalQuadraticSpline<double>> self, pf::Index dim,
             const std::optional<pf::RationalQuadraticOptions>& options, const DtypeLike& dtype) {
            construct(self, Dtype(dtype), [&]<pf::Scalar T>(std::type_identity<T>) {
              return pf::RationalQuadraticSpline<T>(dim, options.value_or(pf::RationalQuadraticOptions()));
            });
          },
          "dim"_a, "options"_a = nb::none(), nb::kw_only(), "dtype"_a = nb::none())
      .def_static(
          "of",
          [](const Data& data, const std::optional<pf::RationalQuadraticOptions>& options, const OptionalData& weights) {
            const pf::RationalQuadraticOptions o = options.value_or(pf::RationalQuadraticOptions());
            return from_data("RationalQuadraticSpline.of", data, weights,
                             [&o]<pf::Scalar T>(pf::MatrixView<const T> rows, auto w) {
                               return pf::RationalQuadraticSpline<T>::of(rows, o, w);
                             });
          },
          "data"_a, "options"_a = nb::none(), nb::kw_only(), "weights"_a = nb::none(),
          nb::sig("def of(data: numpy.typing.ArrayLike, options: RationalQuadraticOptions | None = None, *, weights: "
                  "numpy.typing.ArrayLike | None = None) -> RationalQuadraticSpline"),
          "From the rows of data: inverse takes the quantiles of each column to those of a standard normal variable.");
  declare<pf::Sigmoid>(m, "Sigmoid", docs::Sigmoid)
      .def(
          "__init__",
          [](Self<pf::Sigmoid<double>> self, Dim dim, const Numbers& low, const Numbers& high, const DtypeLike& dtype) {
            Columns columns("Sigmoid", dtype);
            columns.add("low", low);
            columns.add("high", high);
            const pf::Index n = columns.size(dim);
            const std::vector<double> a = columns.get<double>(0, n, 0), b = columns.get<double>(1, n, 1);
            construct(self, columns.dtype(), [&]<pf::Scalar T>(std::type_identity<T>) {
              return pf::Sigmoid<T>(pf::VectorView<const double>(a), pf::VectorView<const double>(b));
            });
          },
          "dim"_a = nb::none(), nb::kw_only(), "low"_a = nb::none(), "high"_a = nb::none(), "dtype"_a = nb::none());
  declare<pf::ColumnSupports>(m, "ColumnSupports", docs::ColumnSupports)
      .def(
          "__init__",
          [](Self<pf::ColumnSupports<double>> self, const nb::object& supports, const DtypeLike& dtype) {
            const std::vector<pf::Interval> intervals = intervals_of("ColumnSupports", supports);
            construct(self, Dtype(dtype),
                      [&]<pf::Scalar T>(std::type_identity<T>) { return pf::ColumnSupports<T>(intervals); });
          },
          "supports"_a, nb::kw_only(), "dtype"_a = nb::none(),
          nb::sig("def __init__(self, supports: collections.abc.Sequence, *, dtype: numpy.typing.DTypeLike = None) -> "
                  "None"),
          "supports: for each column None (the real line), \"positive\", \"unit\" or (low, high) with None for no "
          "end.");
  declare<pf::Permute>(m, "Permute", docs::Permute)
      .def(
          "__init__",
          [](Self<pf::Permute<double>> self, std::vector<std::int64_t> permutation, const DtypeLike& dtype) {
            construct(self, Dtype(dtype),
                      [&]<pf::Scalar T>(std::type_identity<T>) { return pf::Permute<T>(permutation); });
          },
          "permutation"_a, nb::kw_only(), "dtype"_a = nb::none())
      .def_static(
          "reverse",
          [](pf::Index dim, const DtypeLike& dtype) {
            return Dtype(dtype).is_single() ? wrap(Bijector::of<float>(pf::Permute<float>::reverse(dim)))
                                            : wrap(Bijector::of<double>(pf::Permute<double>::reverse(dim)));
          },
          "dim"_a, nb::kw_only(), "dtype"_a = nb::none(),
          nb::sig("def reverse(dim: int, *, dtype: numpy.typing.DTypeLike = None) -> Permute"),
          "The last column first.")
      .def_static(
          "random",
          [](pf::Index dim, std::uint64_t seed, const DtypeLike& dtype) {
            return Dtype(dtype).is_single() ? wrap(Bijector::of<float>(pf::Permute<float>::random(dim, seed)))
                                            : wrap(Bijector::of<double>(pf::Permute<double>::random(dim, seed)));
          },
          "dim"_a, nb::kw_only(), "seed"_a = 0, "dtype"_a = nb::none(),
          nb::sig("def random(dim: int, *, seed: int = 0, dtype: numpy.typing.DTypeLike = None) -> Permute"),
          "Uniform among all permutations.");

  declare<pf::Standardize>(m, "Standardize", docs::Standardize)
      .def(
          "__init__",
          [](Self<pf::Standardize<double>> self, Dim dim, const Numbers& shift, const Numbers& scale,
             const DtypeLike& dtype) {
            Columns columns("Standardize", dtype);
            columns.add("shift", shift);
            columns.add("scale", scale);
            const pf::Index n = columns.size(dim);
            const std::vector<double> a = columns.get<double>(0, n, 0), b = columns.get<double>(1, n, 1);
            construct(self, columns.dtype(), [&]<pf::Scalar T>(std::type_identity<T>) {
              return pf::Standardize<T>(pf::VectorView<const double>(a), pf::VectorView<const double>(b));
            });
          },
          "dim"_a = nb::none(), nb::kw_only(), "shift"_a = nb::none(), "scale"_a = nb::none(), "dtype"_a = nb::none())
      .def_static(
          "of",
          [](const Data& data, const std::string& how, const OptionalData& weights) {
            const pf::Standardization h = choose("how", how, standardizations);
            return from_data("Standardize.of", data, weights, [h]<pf::Scalar T>(pf::MatrixView<const T> rows, auto w) {
              return pf::Standardize<T>::of(rows, h, w);
            });
          },
          "data"_a, "how"_a = "mean_std", nb::kw_only(), "weights"_a = nb::none(),
          nb::sig("def of(data: numpy.typing.ArrayLike, how: str = 'mean_std', *, weights: numpy.typing.ArrayLike | "
                  "None = None) -> Standardize"),
          "From the rows of data; how: \"mean_std\" or \"median_iqr\", which outliers do not move.");
  declare<pf::Whiten>(m, "Whiten", docs::Whiten)
      .def(
          "__init__",
          [](Self<pf::Whiten<double>> self, Dim dim, const Numbers& scale_tril, const DtypeLike& dtype) {
            Columns columns("Whiten", dtype);
            columns.add("scale_tril", scale_tril);
            const pf::Index n = columns.size(dim);
            construct(self, columns.dtype(), [&]<pf::Scalar T>(std::type_identity<T>) {
              if (!columns.any()) return pf::Whiten<T>(n);
              const Values& given = *columns[0];
              if (given.shape.size() != 2) throw nb::value_error("Whiten: scale_tril must have 2 axes");
              return pf::Whiten<T>(
                  pf::MatrixView<const double>(given.values.data(), given.shape[0], given.shape[1], given.shape[1], 1));
            });
          },
          "dim"_a = nb::none(), nb::kw_only(), "scale_tril"_a = nb::none(), "dtype"_a = nb::none())
      .def_static(
          "of",
          [](const Data& data, const OptionalData& weights) {
            return from_data("Whiten.of", data, weights, []<pf::Scalar T>(pf::MatrixView<const T> rows, auto w) {
              return pf::Whiten<T>::of(rows, w);
            });
          },
          "data"_a, nb::kw_only(), "weights"_a = nb::none(),
          nb::sig("def of(data: numpy.typing.ArrayLike, *, weights: numpy.typing.ArrayLike | None = None) -> Whiten"),
          "From the rows of data.");

  declare<pf::Chain>(m, "Chain", docs::Chain)
      .def(
          "__init__",
          [](Self<pf::Chain<double>> self, const std::vector<const Bijector*>& parts) {
            Dtype dtype;
            for (const Bijector* b : parts) dtype.agree(b->dtype(), "Chain", "a part");
            construct(self, dtype, [&]<pf::Scalar T>(std::type_identity<T>) {
              return pf::Chain<T>(values_of<T>(parts));
            });
          },
          "parts"_a)
      .def("__len__",
           [](const Bijector& b) {
             return b.visit([]<pf::Scalar T>(const pf::Poly<pf::Bijector<T>>& o) {
               return dynamic_cast<const pf::Chain<T>&>(*o).size();
             });
           })
      .def(
          "__getitem__",
          [](const Bijector& b, pf::Index i) {
            return b.visit([i]<pf::Scalar T>(const pf::Poly<pf::Bijector<T>>& o) {
              const auto& chain = dynamic_cast<const pf::Chain<T>&>(*o);
              const pf::Index k = i < 0 ? i + chain.size() : i;
              if (k < 0 || k >= chain.size()) throw nb::index_error("Chain has no such part");
              return wrap(Bijector::of<T>(chain.copy_part(k)));
            });
          },
          nb::sig("def __getitem__(self, i: int) -> Bijector"), "A part.");
  declare<pf::Blocks>(m, "Blocks", docs::Blocks)
      .def(
          "__init__",
          [](Self<pf::Blocks<double>> self, const std::vector<const Bijector*>& parts) {
            Dtype dtype;
            for (const Bijector* b : parts) dtype.agree(b->dtype(), "Blocks", "a part");
            construct(self, dtype,
                      [&]<pf::Scalar T>(std::type_identity<T>) { return pf::Blocks<T>(values_of<T>(parts)); });
          },
          "parts"_a);
  declare<pf::Invert>(m, "Invert", docs::Invert)
      .def(
          "__init__",
          [](Self<pf::Invert<double>> self, const Bijector& bijector) {
            construct(self, bijector.dtype(),
                      [&]<pf::Scalar T>(std::type_identity<T>) { return pf::Invert<T>(bijector.as<T>()); });
          },
          "bijector"_a);

  declare<pf::Coupling>(m, "Coupling", docs::Coupling)
      .def(
          "__init__",
          [](Self<pf::Coupling<double>> self, std::vector<std::int64_t> mask, const Network& net,
             const Transformer* transformer, double input_bound) {
            Dtype dtype = net.dtype();
            if (transformer) dtype.agree(transformer->dtype(), "Coupling", "transformer");
            construct(self, dtype, [&]<pf::Scalar T>(std::type_identity<T>) {
              return pf::Coupling<T>(
                  mask, net.as<T>(),
                  transformer ? transformer->as<T>() : pf::Poly<pf::Transformer<T>>(pf::AffineTransformer<T>()),
                  input_bound);
            });
          },
          "mask"_a, "net"_a, "transformer"_a = nb::none(), nb::kw_only(), "input_bound"_a = infinity)
      .def_static(
          "alternating_mask",
          [](pf::Index dim, bool swap) { return pf::Coupling<double>::alternating_mask(dim, swap); }, "dim"_a,
          "swap"_a = false, "1, 0, 1, 0, ... (or 0, 1, 0, 1, ... where swap).")
      .def_static(
          "half_mask", [](pf::Index dim, bool swap) { return pf::Coupling<double>::half_mask(dim, swap); }, "dim"_a,
          "swap"_a = false, "The first half 1, the second half 0 (or the other way round).");
  declare<pf::MaskedAutoregressive>(m, "MaskedAutoregressive", docs::MaskedAutoregressive)
      .def(
          "__init__",
          [](Self<pf::MaskedAutoregressive<double>> self, const Of<pf::Made<double>, Network>& net,
             const Transformer* transformer, std::vector<std::int64_t> order, double input_bound) {
            Dtype dtype = net.dtype();
            if (transformer) dtype.agree(transformer->dtype(), "MaskedAutoregressive", "transformer");
            construct(self, dtype, [&]<pf::Scalar T>(std::type_identity<T>) {
              return pf::MaskedAutoregressive<T>(
                  dynamic_cast<const pf::Made<T>&>(*net.template as<T>()),
                  transformer ? transformer->as<T>() : pf::Poly<pf::Transformer<T>>(pf::AffineTransformer<T>()), order,
                  input_bound);
            });
          },
          "net"_a, "transformer"_a = nb::none(), nb::kw_only(), "order"_a = nb::list(), "input_bound"_a = infinity);
  declare<pf::GraphAutoregressive>(m, "GraphAutoregressive", docs::GraphAutoregressive)
      .def(
          "__init__",
          [](Self<pf::GraphAutoregressive<double>> self, std::vector<std::vector<std::int64_t>> parents,
             const std::vector<const Network*>& nets, const Transformer* transformer, double input_bound) {
            Dtype dtype;
            for (const Network* net : nets) dtype.agree(net->dtype(), "GraphAutoregressive", "a network");
            if (transformer) dtype.agree(transformer->dtype(), "GraphAutoregressive", "transformer");
            construct(self, dtype, [&]<pf::Scalar T>(std::type_identity<T>) {
              std::vector<pf::Poly<pf::Network<T>>> own;
              for (const Network* net : nets) own.push_back(net->as<T>());
              return pf::GraphAutoregressive<T>(
                  parents, std::move(own),
                  transformer ? transformer->as<T>() : pf::Poly<pf::Transformer<T>>(pf::AffineTransformer<T>()),
                  input_bound);
            });
          },
          "parents"_a, "nets"_a, "transformer"_a = nb::none(), nb::kw_only(), "input_bound"_a = infinity);
  declare<pf::Elementwise>(m, "Elementwise", docs::Elementwise)
      .def(
          "__init__",
          [](Self<pf::Elementwise<double>> self, const Transformer& transformer, pf::Index dim, const Numbers& raw,
             const Network* net, double input_bound) {
            Dtype dtype = transformer.dtype();
            if (net) dtype.agree(net->dtype(), "Elementwise", "net");
            if (net && !raw.is_none()) type_error("Elementwise: give either raw or net");
            construct(self, dtype, [&]<pf::Scalar T>(std::type_identity<T>) {
              if (net) return pf::Elementwise<T>(transformer.as<T>(), dim, net->as<T>(), input_bound);
              if (raw.is_none()) return pf::Elementwise<T>(transformer.as<T>(), dim);
              const std::vector<T> values = Values("raw", raw).as<T>(transformer.as<T>()->multiplier() * dim);
              return pf::Elementwise<T>(transformer.as<T>(), dim, pf::VectorView<const T>(values));
            });
          },
          "transformer"_a, "dim"_a, nb::kw_only(), "raw"_a = nb::none(), "net"_a = nb::none(),
          "input_bound"_a = infinity);
}

}  // namespace

void bind_bijectors(nb::module_& m) {
  bind_base(m);
  bind_constructors(m);
}

}  // namespace binding
