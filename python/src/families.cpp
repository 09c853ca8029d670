// The classes of distributions, by their constructors.
#include <pushforward/distributions/beta.hpp>
#include <pushforward/distributions/categorical.hpp>
#include <pushforward/distributions/cauchy.hpp>
#include <pushforward/distributions/embedded_context.hpp>
#include <pushforward/distributions/gamma.hpp>
#include <pushforward/distributions/laplace.hpp>
#include <pushforward/distributions/logistic.hpp>
#include <pushforward/distributions/mixture.hpp>
#include <pushforward/distributions/multivariate_normal_diag.hpp>
#include <pushforward/distributions/multivariate_normal_tril.hpp>
#include <pushforward/distributions/multivariate_student_t.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/product.hpp>
#include <pushforward/distributions/quantized.hpp>
#include <pushforward/distributions/standardized_context.hpp>
#include <pushforward/distributions/student_t.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <pushforward/distributions/uniform.hpp>

#include "options.hpp"

namespace binding {

namespace {

using Dim = std::optional<pf::Index>;

template <template <pf::Scalar> class C>
auto declare(nb::module_& m, const char* name, const char* doc) {
  return binding::declare<C, Distribution>(m, name, doc);
}

/// exp of a learned logarithm, (n).
template <pf::Scalar T>
Array exponential(const pf::Tensor<T>& logarithm) {
  Result<T> out({logarithm.size()});
  for (pf::Index i = 0; i < logarithm.size(); ++i)
    out.data()[i] = static_cast<T>(std::exp(static_cast<double>(logarithm[i])));
  return out.array();
}
template <pf::Scalar T>
Array copied(const pf::Tensor<T>& values) {
  Result<T> out({values.size()});
  std::copy_n(values.data(), values.size(), out.data());
  return out.array();
}

/// A family with two numbers for each column, which start at `first` and `second`.
template <template <pf::Scalar> class C>
auto two_numbers(nb::module_& m, const char* name, const char* doc, const char* one, const char* two, double first,
                 double second) {
  return declare<C>(m, name, doc)
      .def(
          "__init__",
          [=](Of<C<double>, Distribution>* self, Dim dim, const Numbers& a, const Numbers& b, const DtypeLike& dtype) {
            Columns columns(name, dtype);
            columns.add(one, a);
            columns.add(two, b);
            const pf::Index n = columns.size(dim);
            construct(self, columns.dtype(), [&]<pf::Scalar T>(std::type_identity<T>) {
              if (!columns.any()) return C<T>(n);  // as the library starts one
              const std::vector<T> x = columns.get<T>(0, n, first), y = columns.get<T>(1, n, second);
              return C<T>(pf::VectorView<const T>(x), pf::VectorView<const T>(y));
            });
          },
          nb::arg("dim") = nb::none(), nb::kw_only(), nb::arg(one) = nb::none(), nb::arg(two) = nb::none(),
          nb::arg("dtype") = nb::none());
}

template <template <pf::Scalar> class C>
auto location_scale(nb::module_& m, const char* name, const char* doc, const char* scale = "scale") {
  return two_numbers<C>(m, name, doc, "loc", scale, 0, 1)
      .def_prop_ro(
          "loc",
          [](const Distribution& d) {
            return d.visit(
                []<pf::Scalar T>(const pf::Distribution<T>& o) { return copied(dynamic_cast<const C<T>&>(o).loc()); });
          },
          "(dim,)")
      .def_prop_ro(
          scale,
          [](const Distribution& d) {
            return d.visit([]<pf::Scalar T>(const pf::Distribution<T>& o) {
              return exponential(dynamic_cast<const C<T>&>(o).log_scale());
            });
          },
          "(dim,)");
}

/// scale_tril, (dim, dim).
template <pf::Scalar T>
pf::MatrixView<const T> square(const char* call, const std::optional<Values>& given, std::vector<T>& memory) {
  if (given->shape.size() != 2) throw nb::value_error((std::string(call) + ": scale_tril must have 2 axes").c_str());
  memory.assign(given->values.begin(), given->values.end());
  return {memory.data(), given->shape[0], given->shape[1], given->shape[1], 1};
}
/// The identity where it is absent.
template <pf::Scalar T>
pf::MatrixView<const T> scale_tril(const char* call, const Columns& columns, std::size_t i, pf::Index n,
                                   std::vector<T>& memory) {
  if (columns[i]) return square(call, columns[i], memory);
  memory.assign(static_cast<std::size_t>(n * n), T(0));
  for (pf::Index d = 0; d < n; ++d) memory[static_cast<std::size_t>(d * n + d)] = T(1);
  return {memory.data(), n, n, n, 1};
}

/// Parts of one scalar type, as a list of values.
template <pf::Scalar T>
std::vector<pf::Poly<pf::Distribution<T>>> parts(const std::vector<const Distribution*>& given) {
  std::vector<pf::Poly<pf::Distribution<T>>> list;
  for (const Distribution* d : given) list.push_back(d->as<T>());
  return list;
}

}  // namespace

void bind_families(nb::module_& m) {
  location_scale<pf::Normal>(m, "Normal", docs::Normal);
  location_scale<pf::Logistic>(m, "Logistic", docs::Logistic);
  location_scale<pf::Laplace>(m, "Laplace", docs::Laplace);
  location_scale<pf::Cauchy>(m, "Cauchy", docs::Cauchy);
  location_scale<pf::MultivariateNormalDiag>(m, "MultivariateNormalDiag", docs::MultivariateNormalDiag, "scale_diag")
      .def_static(
          "standard",
          [](pf::Index dim, const DtypeLike& dtype) {
            return Dtype(dtype).is_single()
                       ? wrap(Distribution::of<float>(pf::MultivariateNormalDiag<float>::standard(dim)))
                       : wrap(Distribution::of<double>(pf::MultivariateNormalDiag<double>::standard(dim)));
          },
          "dim"_a, nb::kw_only(), "dtype"_a = nb::none(),
          nb::sig("def standard(dim: int, *, dtype: numpy.typing.DTypeLike = None) -> MultivariateNormalDiag"),
          "loc 0, covariance the identity, and so it stays in training: the base of flows.");
  two_numbers<pf::Uniform>(m, "Uniform", docs::Uniform, "low", "high", 0, 1);
  two_numbers<pf::Gamma>(m, "Gamma", docs::Gamma, "concentration", "rate", 1, 1);
  two_numbers<pf::Beta>(m, "Beta", docs::Beta, "concentration1", "concentration0", 1, 1);

  declare<pf::StudentT>(m, "StudentT", docs::StudentT)
      .def(
          "__init__",
          [](Of<pf::StudentT<double>, Distribution>* self, Dim dim, const Numbers& df, const Numbers& loc,
             const Numbers& scale, const DtypeLike& dtype) {
            Columns columns("StudentT", dtype);
            columns.add("df", df);
            columns.add("loc", loc);
            columns.add("scale", scale);
            const pf::Index n = columns.size(dim);
            construct(self, columns.dtype(), [&]<pf::Scalar T>(std::type_identity<T>) {
              const std::vector<T> d = columns.get<T>(0, n, pf::StudentT<T>::default_df), l = columns.get<T>(1, n, 0),
                                   s = columns.get<T>(2, n, 1);
              return pf::StudentT<T>(d, l, s);
            });
          },
          "dim"_a = nb::none(), nb::kw_only(), "df"_a = nb::none(), "loc"_a = nb::none(), "scale"_a = nb::none(),
          "dtype"_a = nb::none());

  declare<pf::MultivariateNormalTriL>(m, "MultivariateNormalTriL", docs::MultivariateNormalTriL)
      .def(
          "__init__",
          [](Of<pf::MultivariateNormalTriL<double>, Distribution>* self, Dim dim, const Numbers& loc,
             const Numbers& tril, const DtypeLike& dtype) {
            Columns columns("MultivariateNormalTriL", dtype);
            columns.add("loc", loc);
            columns.add("scale_tril", tril);
            const pf::Index n = columns.size(dim);
            construct(self, columns.dtype(), [&]<pf::Scalar T>(std::type_identity<T>) {
              std::vector<T> memory;
              const std::vector<T> l = columns.get<T>(0, n, 0);
              return pf::MultivariateNormalTriL<T>(l, scale_tril("MultivariateNormalTriL", columns, 1, n, memory));
            });
          },
          "dim"_a = nb::none(), nb::kw_only(), "loc"_a = nb::none(), "scale_tril"_a = nb::none(),
          "dtype"_a = nb::none());

  declare<pf::MultivariateStudentT>(m, "MultivariateStudentT", docs::MultivariateStudentT)
      .def(
          "__init__",
          [](Of<pf::MultivariateStudentT<double>, Distribution>* self, Dim dim, double df, const Numbers& loc,
             const Numbers& tril, const DtypeLike& dtype) {
            Columns columns("MultivariateStudentT", dtype);
            columns.add("loc", loc);
            columns.add("scale_tril", tril);
            const pf::Index n = columns.size(dim);
            construct(self, columns.dtype(), [&]<pf::Scalar T>(std::type_identity<T>) {
              std::vector<T> memory;
              const std::vector<T> l = columns.get<T>(0, n, 0);
              return pf::MultivariateStudentT<T>(df, l, scale_tril("MultivariateStudentT", columns, 1, n, memory));
            });
          },
          "dim"_a = nb::none(), nb::kw_only(), "df"_a = pf::MultivariateStudentT<double>::default_df,
          "loc"_a = nb::none(), "scale_tril"_a = nb::none(), "dtype"_a = nb::none());

  declare<pf::Categorical>(m, "Categorical", docs::Categorical)
      .def(
          "__init__",
          [](Of<pf::Categorical<double>, Distribution>* self, Dim dim, Dim categories, const Numbers& logits,
             const DtypeLike& dtype) {
            Columns columns("Categorical", dtype);
            columns.add("logits", logits);
            const pf::Index n = columns.size(dim);
            if (columns.any() == categories.has_value()) type_error("Categorical: give either categories or logits");
            construct(self, columns.dtype(), [&]<pf::Scalar T>(std::type_identity<T>) {
              if (categories) return pf::Categorical<T>(n, *categories);
              const Values& given = *columns[0];
              if (given.shape.size() != 2)
                throw nb::value_error("Categorical: logits must have 2 axes, (dim, categories)");
              const std::vector<T> values(given.values.begin(), given.values.end());
              return pf::Categorical<T>(
                  pf::MatrixView<const T>(values.data(), given.shape[0], given.shape[1], given.shape[1], 1));
            });
          },
          "dim"_a = nb::none(), "categories"_a = nb::none(), nb::kw_only(), "logits"_a = nb::none(),
          "dtype"_a = nb::none());

  declare<pf::Product>(m, "Product", docs::Product)
      .def(
          "__init__",
          [](Of<pf::Product<double>, Distribution>* self, const std::vector<const Distribution*>& factors) {
            Columns columns("Product", nb::none());
            for (const Distribution* d : factors) columns.agree(d->dtype(), "a part");
            construct(self, columns.dtype(),
                      [&]<pf::Scalar T>(std::type_identity<T>) { return pf::Product<T>(parts<T>(factors)); });
          },
          "parts"_a);
  declare<pf::Mixture>(m, "Mixture", docs::Mixture)
      .def(
          "__init__",
          [](Of<pf::Mixture<double>, Distribution>* self, const std::vector<const Distribution*>& components,
             const Numbers& logits) {
            Columns columns("Mixture", nb::none());
            for (const Distribution* d : components) columns.agree(d->dtype(), "a component");
            columns.add("logits", logits);
            construct(self, columns.dtype(), [&]<pf::Scalar T>(std::type_identity<T>) {
              if (!columns.any()) return pf::Mixture<T>(parts<T>(components));
              const std::vector<T> values = columns.get<T>(0, static_cast<pf::Index>(components.size()), 0);
              return pf::Mixture<T>(parts<T>(components), pf::VectorView<const T>(values));
            });
          },
          "components"_a, nb::kw_only(), "logits"_a = nb::none())
      .def_prop_ro(
          "weights",
          [](const Distribution& d) {
            return d.visit([]<pf::Scalar T>(const pf::Distribution<T>& o) {
              const Eigen::VectorXd w = dynamic_cast<const pf::Mixture<T>&>(o).weights();
              return array_of(pf::VectorView<const double>(w));
            });
          },
          "softmax(logits)")
      .def_prop_ro(
          "components",
          [](const Distribution& d) {
            nb::list list;
            d.visit([&]<pf::Scalar T>(const pf::Distribution<T>& o) {
              // A value of a component is had by description and tensors: the mixture hands out references.
              const auto& mixture = dynamic_cast<const pf::Mixture<T>&>(o);
              for (pf::Index k = 0; k < mixture.components(); ++k)
                list.append(wrap(Distribution(pf::cast<T>(mixture.component(k)))));
            });
            return list;
          },
          nb::sig("def components(self) -> list[Distribution]"), "Copies of the components.");

  declare<pf::Quantized>(m, "Quantized", docs::Quantized)
      .def(
          "__init__",
          [](Of<pf::Quantized<double>, Distribution>* self, const Distribution& inner, const nb::dict& rounded,
             pf::Index points) {
            const std::vector<pf::GridColumn> grids = grids_of(rounded);
            construct(self, inner.dtype(), [&]<pf::Scalar T>(std::type_identity<T>) {
              return pf::Quantized<T>(inner.as<T>(), grids, points);
            });
          },
          "inner"_a, "rounded"_a, nb::kw_only(), "points"_a = pf::Quantized<double>::usual_points,
          nb::sig("def __init__(self, inner: Distribution, rounded: dict[int, float | tuple[float, float]], *, points: "
                  "int = 31) -> None"),
          "rounded: for each rounded column the step of its grid, (origin, step), or (origin, step, True) where the grid "
          "was only found in rows.");

  declare<pf::StandardizedContext>(m, "StandardizedContext", docs::StandardizedContext)
      .def(
          "__init__",
          [](Of<pf::StandardizedContext<double>, Distribution>* self, const Distribution& inner, const Numbers& shift,
             const Numbers& scale) {
            Columns columns("StandardizedContext", nb::none());
            columns.add("shift", shift);
            columns.add("scale", scale);
            const pf::Index n = columns.size(inner.visit([](const auto& d) { return d.context_dim(); }));
            const std::vector<double> a = columns.get<double>(0, n, 0), b = columns.get<double>(1, n, 1);
            construct(self, inner.dtype(), [&]<pf::Scalar T>(std::type_identity<T>) {
              return pf::StandardizedContext<T>(inner.as<T>(), pf::VectorView<const double>(a),
                                                pf::VectorView<const double>(b));
            });
          },
          "inner"_a, nb::kw_only(), "shift"_a, "scale"_a);

  declare<pf::EmbeddedContext>(m, "EmbeddedContext", docs::EmbeddedContext)
      .def(
          "__init__",
          [](Of<pf::EmbeddedContext<double>, Distribution>* self, const Distribution& inner, const Network& net) {
            Dtype dtype = inner.dtype();
            dtype.agree(net.dtype(), "EmbeddedContext", "net");
            construct(self, dtype, [&]<pf::Scalar T>(std::type_identity<T>) {
              return pf::EmbeddedContext<T>(inner.as<T>(), net.as<T>());
            });
          },
          "inner"_a, "net"_a);

  declare<pf::TransformedDistribution>(m, "TransformedDistribution", docs::TransformedDistribution)
      .def(
          "__init__",
          [](Of<pf::TransformedDistribution<double>, Distribution>* self, const Distribution& base,
             const Bijector& bijector) {
            Dtype dtype = base.dtype();
            dtype.agree(bijector.dtype(), "TransformedDistribution", "bijector");
            construct(self, dtype, [&]<pf::Scalar T>(std::type_identity<T>) {
              return pf::TransformedDistribution<T>(base.as<T>(), bijector.as<T>());
            });
          },
          "base"_a, "bijector"_a)
      .def_prop_ro(
          "base",
          [](const Distribution& d) {
            return d.visit([]<pf::Scalar T>(const pf::Distribution<T>& o) {
              return wrap(Distribution(dynamic_cast<const pf::TransformedDistribution<T>&>(o).copy_base()));
            });
          },
          nb::sig("def base(self) -> Distribution"), "A copy of the base.")
      .def_prop_ro(
          "bijector",
          [](const Distribution& d) {
            return d.visit([]<pf::Scalar T>(const pf::Distribution<T>& o) {
              return wrap(Bijector::of<T>(dynamic_cast<const pf::TransformedDistribution<T>&>(o).copy_bijector()));
            });
          },
          nb::sig("def bijector(self) -> Bijector"), "A copy of the bijector.")
      .def(
          "forward",
          [](const nb::object& self, const Data& x, const OptionalData& context) {
            return self.attr("bijector").attr("forward")(x, context);
          },
          "x"_a, "context"_a = nb::none(),
          nb::sig("def forward(self, x: numpy.typing.ArrayLike, context: numpy.typing.ArrayLike | None = None) -> "
                  "tuple[numpy.ndarray, numpy.ndarray]"),
          "(y, log_det): the map from base to data, and its log|det|.")
      .def(
          "inverse",
          [](const nb::object& self, const Data& y, const OptionalData& context) {
            return self.attr("bijector").attr("inverse")(y, context);
          },
          "y"_a, "context"_a = nb::none(),
          nb::sig("def inverse(self, y: numpy.typing.ArrayLike, context: numpy.typing.ArrayLike | None = None) -> "
                  "tuple[numpy.ndarray, numpy.ndarray]"),
          "(x, log_det): the map from data to base, and its log|det|.");
}

}  // namespace binding
