// Bijectors and transformers with options of their own: splines of lines and parabolas, networks that increase, maps of
// circles, linear maps by other means.
#include <pushforward/bijectors/block_autoregressive.hpp>
#include <pushforward/bijectors/circular_shift.hpp>
#include <pushforward/bijectors/cumsum.hpp>
#include <pushforward/bijectors/discrete_transform.hpp>
#include <pushforward/bijectors/isometric_log_ratio.hpp>
#include <pushforward/bijectors/l1_ball.hpp>
#include <pushforward/bijectors/low_rank_linear.hpp>
#include <pushforward/bijectors/matrix_exponential.hpp>
#include <pushforward/bijectors/moebius_transformer.hpp>
#include <pushforward/bijectors/monotone_network_transformer.hpp>
#include <pushforward/bijectors/non_compact_projection_transformer.hpp>
#include <pushforward/bijectors/partial_correlations.hpp>
#include <pushforward/bijectors/polynomial_spline_transformer.hpp>
#include <pushforward/bijectors/rotation.hpp>
#include <pushforward/bijectors/sylvester.hpp>
#include <pushforward/bijectors/umnn_transformer.hpp>
#include <pushforward/bijectors/unit_ball.hpp>
#include <pushforward/bijectors/zero_sum.hpp>
#include <pushforward/bijectors/identity_tails_transformer.hpp>
#include <pushforward/testing/audit.hpp>
#include <pushforward/nn/balanced_scales.hpp>
#include <pushforward/nn/dense.hpp>
#include <pushforward/nn/periodic_features.hpp>

#include <numbers>

#include "options.hpp"

namespace binding {

namespace {

constexpr double pi = std::numbers::pi, infinity = std::numeric_limits<double>::infinity();

template <class ForDouble>
using SelfBijector = Of<ForDouble, Bijector>*;
template <class ForDouble>
using SelfTransformer = Of<ForDouble, Transformer>*;

template <template <pf::Scalar> class C>
void of_columns(nb::module_& m, const char* name, const char* doc, const char* dim = "dim") {
  declare<C, Bijector>(m, name, doc)
      .def(
          "__init__",
          [](SelfBijector<C<double>> self, pf::Index n, const DtypeLike& dtype) {
            construct(self, Dtype(dtype), [&]<pf::Scalar T>(std::type_identity<T>) { return C<T>(n); });
          },
          nb::arg(dim), nb::kw_only(), "dtype"_a = nb::none());
}

void bind_bijectors_of_layers(nb::module_& m) {
  of_columns<pf::IsometricLogRatio>(m, "IsometricLogRatio", docs::IsometricLogRatio, "base_dim");
  of_columns<pf::ZeroSum>(m, "ZeroSum", docs::ZeroSum, "base_dim");
  of_columns<pf::UnitBall>(m, "UnitBall", docs::UnitBall);
  of_columns<pf::L1Ball>(m, "L1Ball", docs::L1Ball);
  of_columns<pf::PartialCorrelations>(m, "PartialCorrelations", docs::PartialCorrelations, "n");
  of_columns<pf::Cumsum>(m, "Cumsum", docs::Cumsum);
  of_columns<pf::MatrixExponential>(m, "MatrixExponential", docs::MatrixExponential);
  declare<pf::Rotation, Bijector>(m, "Rotation", docs::Rotation)
      .def(
          "__init__",
          [](SelfBijector<pf::Rotation<double>> self, pf::Index n, std::optional<std::uint64_t> seed,
             const DtypeLike& dtype) {
            construct(self, Dtype(dtype), [&]<pf::Scalar T>(std::type_identity<T>) {
              return seed ? pf::Rotation<T>(n, *seed) : pf::Rotation<T>(n);
            });
          },
          "dim"_a, nb::kw_only(), "seed"_a = nb::none(), "dtype"_a = nb::none());
  declare<pf::LowRankLinear, Bijector>(m, "LowRankLinear", docs::LowRankLinear)
      .def(
          "__init__",
          [](SelfBijector<pf::LowRankLinear<double>> self, pf::Index n, pf::Index rank, std::uint64_t seed,
             const DtypeLike& dtype) {
            construct(self, Dtype(dtype),
                      [&]<pf::Scalar T>(std::type_identity<T>) { return pf::LowRankLinear<T>(n, rank, seed); });
          },
          "dim"_a, "rank"_a, nb::kw_only(), "seed"_a = 0, "dtype"_a = nb::none());
  declare<pf::Sylvester, Bijector>(m, "Sylvester", docs::Sylvester)
      .def(
          "__init__",
          [](SelfBijector<pf::Sylvester<double>> self, pf::Index n, pf::Index rank, std::uint64_t seed, double floor,
             const DtypeLike& dtype) {
            construct(self, Dtype(dtype),
                      [&]<pf::Scalar T>(std::type_identity<T>) { return pf::Sylvester<T>(n, rank, seed, floor); });
          },
          "dim"_a, "rank"_a, nb::kw_only(), "seed"_a = 0, "floor"_a = pf::Sylvester<double>::default_floor,
          "dtype"_a = nb::none());
  declare<pf::DiscreteTransform, Bijector>(m, "DiscreteTransform", docs::DiscreteTransform)
      .def(
          "__init__",
          [](SelfBijector<pf::DiscreteTransform<double>> self, pf::Index n, const std::string& basis,
             const DtypeLike& dtype) {
            constexpr Named<pf::DiscreteBasis> names[] = {{"cosine", pf::DiscreteBasis::cosine},
                                                          {"fourier", pf::DiscreteBasis::fourier},
                                                          {"haar", pf::DiscreteBasis::haar}};
            const pf::DiscreteBasis b = choose("basis", basis, names);
            construct(self, Dtype(dtype),
                      [&]<pf::Scalar T>(std::type_identity<T>) { return pf::DiscreteTransform<T>(n, b); });
          },
          "dim"_a, "basis"_a = "cosine", nb::kw_only(), "dtype"_a = nb::none());
  declare<pf::CircularShift, Bijector>(m, "CircularShift", docs::CircularShift)
      .def(
          "__init__",
          [](SelfBijector<pf::CircularShift<double>> self, std::optional<pf::Index> dim, const Numbers& shift,
             double low, double high, const DtypeLike& dtype) {
            Columns columns("CircularShift", dtype);
            columns.add("shift", shift);
            const pf::Index n = columns.size(dim);
            construct(self, columns.dtype(), [&]<pf::Scalar T>(std::type_identity<T>) {
              const std::vector<T> s = columns.get<T>(0, n, 0.5 * (high - low));
              return pf::CircularShift<T>(pf::VectorView<const T>(s), low, high);
            });
          },
          "dim"_a = nb::none(), nb::kw_only(), "shift"_a = nb::none(), "low"_a = -pi, "high"_a = pi,
          "dtype"_a = nb::none());
  declare<pf::BlockAutoregressive, Bijector>(m, "BlockAutoregressive", docs::BlockAutoregressive)
      .def(
          "__init__",
          [](SelfBijector<pf::BlockAutoregressive<double>> self, pf::Index n, pf::Index layers, pf::Index block,
             double slope, bool line, double input_bound, pf::Index context_dim, double final_scale,
             std::uint64_t seed, const DtypeLike& dtype) {
            const pf::BlockAutoregressiveOptions o{layers,      block,       slope,       line,
                                                   input_bound, context_dim, final_scale, seed};
            construct(self, Dtype(dtype),
                      [&]<pf::Scalar T>(std::type_identity<T>) { return pf::BlockAutoregressive<T>(n, o); });
          },
          "dim"_a, nb::kw_only(), "layers"_a = 2, "block"_a = 8, "slope"_a = 0.01, "line"_a = true,
          "input_bound"_a = infinity, "context_dim"_a = 0, "final_scale"_a = 0.01, "seed"_a = 0,
          "dtype"_a = nb::none());
}

void bind_transformers_of_layers(nb::module_& m) {
  const pf::PolynomialSplineOptions spline;
  declare<pf::PolynomialSplineTransformer, Transformer>(m, "PolynomialSplineTransformer",
                                                        docs::PolynomialSplineTransformer)
      .def(
          "__init__",
          [](SelfTransformer<pf::PolynomialSplineTransformer<double>> self, pf::Index degree, pf::Index bins,
             double low, double high, const std::string& tails, double min_bin_width, double min_bin_height,
             const DtypeLike& dtype) {
            constexpr Named<pf::SplineTails> names[] = {{"identity", pf::SplineTails::identity},
                                                        {"bounded", pf::SplineTails::bounded}};
            const pf::PolynomialSplineOptions o{degree,        bins,         low, high, choose("tails", tails, names),
                                                min_bin_width, min_bin_height};
            construct(self, Dtype(dtype),
                      [&]<pf::Scalar T>(std::type_identity<T>) { return pf::PolynomialSplineTransformer<T>(o); });
          },
          nb::kw_only(), "degree"_a = spline.degree, "bins"_a = spline.bins, "low"_a = spline.low,
          "high"_a = spline.high, "tails"_a = "identity", "min_bin_width"_a = spline.min_bin_width,
          "min_bin_height"_a = spline.min_bin_height, "dtype"_a = nb::none());
  declare<pf::MoebiusTransformer, Transformer>(m, "MoebiusTransformer", docs::MoebiusTransformer)
      .def(
          "__init__",
          [](SelfTransformer<pf::MoebiusTransformer<double>> self, pf::Index components, double low, double high,
             const DtypeLike& dtype) {
            construct(self, Dtype(dtype), [&]<pf::Scalar T>(std::type_identity<T>) {
              return pf::MoebiusTransformer<T>(components, low, high);
            });
          },
          nb::kw_only(), "components"_a = 8, "low"_a = -pi, "high"_a = pi, "dtype"_a = nb::none());
  declare<pf::NonCompactProjectionTransformer, Transformer>(m, "NonCompactProjectionTransformer",
                                                            docs::NonCompactProjectionTransformer)
      .def(
          "__init__",
          [](SelfTransformer<pf::NonCompactProjectionTransformer<double>> self, double low, double high, double bound,
             const DtypeLike& dtype) {
            construct(self, Dtype(dtype), [&]<pf::Scalar T>(std::type_identity<T>) {
              return pf::NonCompactProjectionTransformer<T>(low, high, bound);
            });
          },
          nb::kw_only(), "low"_a = -pi, "high"_a = pi,
          "bound"_a = pf::NonCompactProjectionTransformer<double>::default_bound, "dtype"_a = nb::none());
  const pf::UmnnOptions umnn;
  declare<pf::UmnnTransformer, Transformer>(m, "UmnnTransformer", docs::UmnnTransformer)
      .def(
          "__init__",
          [](SelfTransformer<pf::UmnnTransformer<double>> self, pf::Index signals, std::vector<pf::Index> hidden,
             const std::string& activation, pf::Index bins, double bound, double log_bound, double final_scale,
             std::uint64_t seed, const DtypeLike& dtype) {
            const pf::UmnnOptions o{signals, std::move(hidden), pf::activation_from(activation),
                                    bins,    bound,             log_bound,
                                    final_scale, seed};
            construct(self, Dtype(dtype),
                      [&]<pf::Scalar T>(std::type_identity<T>) { return pf::UmnnTransformer<T>(o); });
          },
          nb::kw_only(), "signals"_a = umnn.signals, "hidden"_a = umnn.hidden, "activation"_a = "tanh",
          "bins"_a = umnn.bins, "bound"_a = umnn.bound, "log_bound"_a = umnn.log_bound,
          "final_scale"_a = umnn.final_scale, "seed"_a = 0, "dtype"_a = nb::none());
  const pf::MonotoneNetworkOptions monotone;
  declare<pf::MonotoneNetworkTransformer, Transformer>(m, "MonotoneNetworkTransformer",
                                                       docs::MonotoneNetworkTransformer)
      .def(
          "__init__",
          [](SelfTransformer<pf::MonotoneNetworkTransformer<double>> self, pf::Index signals,
             std::vector<pf::Index> hidden, double bound, double final_scale, std::uint64_t seed,
             const DtypeLike& dtype) {
            const pf::MonotoneNetworkOptions o{signals, std::move(hidden), bound, final_scale, seed};
            construct(self, Dtype(dtype),
                      [&]<pf::Scalar T>(std::type_identity<T>) { return pf::MonotoneNetworkTransformer<T>(o); });
          },
          nb::kw_only(), "signals"_a = monotone.signals, "hidden"_a = monotone.hidden, "bound"_a = monotone.bound,
          "final_scale"_a = monotone.final_scale, "seed"_a = 0, "dtype"_a = nb::none());
  declare<pf::IdentityTailsTransformer, Transformer>(m, "IdentityTailsTransformer", docs::IdentityTailsTransformer)
      .def(
          "__init__",
          [](SelfTransformer<pf::IdentityTailsTransformer<double>> self, const Transformer& t, double bound) {
            construct(self, t.dtype(), [&]<pf::Scalar T>(std::type_identity<T>) {
              return pf::IdentityTailsTransformer<T>(t.as<T>(), bound);
            });
          },
          "transformer"_a, nb::kw_only(), "bound"_a = 5.0);
}

void bind_audit(nb::module_& m) {
  nb::class_<pf::testing::AuditEntry>(m, "AuditEntry", docs::AuditEntry)
      .def_ro("check", &pf::testing::AuditEntry::check)
      .def_ro("worst", &pf::testing::AuditEntry::worst, "The largest miss of all rows.")
      .def_ro("row", &pf::testing::AuditEntry::row, "Where it was; -1: nowhere.")
      .def_ro("tolerance", &pf::testing::AuditEntry::tolerance, "What rounding explains.")
      .def_ro("note", &pf::testing::AuditEntry::note, "Why the check was not made, or what was found.")
      .def_prop_ro("made", &pf::testing::AuditEntry::made)
      .def_prop_ro("passed", &pf::testing::AuditEntry::passed);
  nb::class_<pf::testing::Audit>(m, "Audit", "What audit() found: one entry for each check; its text is a table.")
      .def_ro("entries", &pf::testing::Audit::entries)
      .def_prop_ro("passed", &pf::testing::Audit::passed)
      .def("__str__", &pf::testing::Audit::to_text)
      .def("__repr__", &pf::testing::Audit::to_text);
  m.def(
      "audit",
      [](const Bijector& b, const Data& y, const OptionalData& context, pf::Index rows_of_differences,
         pf::Index most_columns) {
        return b.visit([&](const auto& bijector) {
          using T = pf::ScalarOf<std::remove_cvref_t<decltype(bijector)>>;
          const Borrowed rows("audit", "y", y, sizeof(T) == 4);
          const Borrowed given = borrowed_context("audit", context, sizeof(T) == 4);
          const nb::gil_scoped_release others;
          return pf::testing::audit<T>(bijector, rows.matrix<T>(), given.matrix<T>(), {rows_of_differences, most_columns});
        });
      },
      "bijector"_a, "y"_a, "context"_a = nb::none(), nb::kw_only(), "rows_of_differences"_a = 64,
      "most_columns"_a = 256,
      nb::sig("def audit(bijector: Bijector, y: numpy.typing.ArrayLike, context: numpy.typing.ArrayLike | None = None, "
              "*, rows_of_differences: int = 64, most_columns: int = 256) -> Audit"),
      docs::audit);
}

void bind_networks_of_layers(nb::module_& m) {
  declare<pf::BalancedScales, Network>(m, "BalancedScales", docs::BalancedScales)
      .def(
          "__init__",
          [](Of<pf::BalancedScales<double>, Network>* self, const Network& net, double limit) {
            construct(self, net.dtype(), [&]<pf::Scalar T>(std::type_identity<T>) {
              return pf::BalancedScales<T>(net.as<T>(), limit);
            });
          },
          "net"_a, nb::kw_only(), "limit"_a = 2.0);
  declare<pf::PeriodicFeatures, Network>(m, "PeriodicFeatures", docs::PeriodicFeatures)
      .def(
          "__init__",
          [](Of<pf::PeriodicFeatures<double>, Network>* self, const Network& net, double low, double high) {
            construct(self, net.dtype(), [&]<pf::Scalar T>(std::type_identity<T>) {
              return pf::PeriodicFeatures<T>(net.as<T>(), low, high);
            });
          },
          "net"_a, nb::kw_only(), "low"_a = -pi, "high"_a = pi);
}

}  // namespace

void bind_layers(nb::module_& m) {
  bind_bijectors_of_layers(m);
  bind_transformers_of_layers(m);
  bind_networks_of_layers(m);
  bind_audit(m);
}

}  // namespace binding
