#include "options.hpp"

#include <fmt/format.h>

namespace binding {

namespace {

constexpr Named<pf::SplineTails> tails[] = {{"identity", pf::SplineTails::identity},
                                            {"circular", pf::SplineTails::circular},
                                            {"bounded", pf::SplineTails::bounded},
                                            {"free", pf::SplineTails::free},
                                            {"linear", pf::SplineTails::linear}};
constexpr Named<pf::SplineParameters> parameters[] = {{"nflows", pf::SplineParameters::nflows},
                                                      {"zuko", pf::SplineParameters::zuko}};
constexpr Named<pf::GammaMap> gamma_maps[] = {{"identity", pf::GammaMap::identity},
                                              {"exp", pf::GammaMap::exp},
                                              {"softplus", pf::GammaMap::softplus},
                                              {"relu_floor", pf::GammaMap::relu_floor}};
constexpr Named<pf::Renorm::Generation> generations[] = {{"first", pf::Renorm::Generation::first},
                                                         {"later", pf::Renorm::Generation::later}};

double end_of(const char* call, nb::handle end, double otherwise) {
  double value = otherwise;
  if (!end.is_none() && !nb::try_cast(end, value))
    type_error(fmt::format("{}: an end of a support must be a number or None", call));
  return value;
}

}  // namespace

pf::Space space_of(const char* call, nb::handle supports) {
  if (nb::isinstance<pf::Space>(supports)) return nb::cast<pf::Space>(supports);
  return supports.is_none() ? pf::Space() : pf::Space::box(intervals_of(call, supports));
}

std::vector<pf::Interval> intervals_of(const char* call, nb::handle supports) {
  std::vector<pf::Interval> result;
  if (supports.is_none()) return result;
  for (nb::handle s : supports) {
    if (s.is_none()) {
      result.push_back(pf::real_line);
    } else if (nb::isinstance<nb::str>(s)) {
      constexpr Named<int> names[] = {{"real", 0}, {"positive", 1}, {"unit", 2}};
      constexpr pf::Interval intervals[] = {pf::real_line, pf::positive, pf::unit_interval};
      result.push_back(intervals[choose("a support", nb::cast<std::string>(s), names)]);
    } else {
      if (!nb::isinstance<nb::sequence>(s) || nb::len(s) != 2)
        type_error(fmt::format("{}: a support must be None, 'positive', 'unit' or (low, high)", call));
      result.push_back({end_of(call, s[0], pf::real_line.low), end_of(call, s[1], pf::real_line.high)});
    }
  }
  return result;
}

std::vector<pf::GridColumn> grids_of(const nb::dict& rounded) {
  std::vector<pf::GridColumn> grids;
  for (const auto& [column, step] : rounded) {
    pf::GridColumn g{nb::cast<std::int64_t>(column), {}};
    if (nb::isinstance<nb::tuple>(step)) {
      g.grid = {nb::cast<double>(step[0]), nb::cast<double>(step[1])};
      g.found = nb::len(step) > 2 && nb::cast<bool>(step[2]);
    } else
      g.grid.step = nb::cast<double>(step);
    grids.push_back(g);
  }
  std::sort(grids.begin(), grids.end(), [](const auto& a, const auto& b) { return a.column < b.column; });
  return grids;
}

void bind_options(nb::module_& m) {
  nb::class_<pf::RationalQuadraticOptions>(m, "RationalQuadraticOptions",
                                           R"(Options of a rational-quadratic spline.

bins: 2 to 64; low, high: the interval; tails: "identity" (beyond the ends), "circular", "bounded" or "free" (the
identity beyond the ends, with slopes of their own at them) or "linear" (lines with these slopes); end_slope: the slope at the ends with identity tails;
parameters: "nflows" or "zuko", how the shape comes from raw numbers. nflows: min_bin_width, min_bin_height and
min_derivative are floors, max_derivative a ceiling, raw_scale multiplies raw sizes. zuko: slope is the smallest slope
at a knot.)")
      .def(
          "__init__",
          [](pf::RationalQuadraticOptions* self, pf::Index bins, double low, double high, const std::string& t,
             const std::string& p, double min_bin_width, double min_bin_height, double min_derivative,
             double max_derivative, double raw_scale, double slope, double end_slope) {
            new (self) pf::RationalQuadraticOptions{bins,
                                                    low,
                                                    high,
                                                    choose("tails", t, tails),
                                                    choose("parameters", p, parameters),
                                                    min_bin_width,
                                                    min_bin_height,
                                                    min_derivative,
                                                    max_derivative,
                                                    raw_scale,
                                                    slope,
                                                    end_slope};
          },
          nb::kw_only(), "bins"_a = 8, "low"_a = -3.0, "high"_a = 3.0, "tails"_a = "identity",
          "parameters"_a = "nflows", "min_bin_width"_a = 1e-3, "min_bin_height"_a = 1e-3, "min_derivative"_a = 1e-3,
          "max_derivative"_a = std::numeric_limits<double>::infinity(), "raw_scale"_a = 1.0, "slope"_a = 1e-3,
          "end_slope"_a = 1.0)
      .def_ro("bins", &pf::RationalQuadraticOptions::bins)
      .def_ro("low", &pf::RationalQuadraticOptions::low)
      .def_ro("high", &pf::RationalQuadraticOptions::high);

  nb::class_<pf::Renorm>(m, "Renorm", docs::Renorm)
      .def(
          "__init__",
          [](pf::Renorm* self, const std::string& generation, double momentum, std::optional<double> rmin,
             std::optional<double> rmax, std::optional<double> dmax, pf::Index open_from, pf::Index open_rmax,
             pf::Index open_dmax) {
            new (self) pf::Renorm{choose("generation", generation, generations),
                                  momentum,
                                  rmin,
                                  rmax,
                                  dmax,
                                  open_from,
                                  open_rmax,
                                  open_dmax};
          },
          nb::kw_only(), "generation"_a = "later", "momentum"_a = 0.99, "rmin"_a = nb::none(), "rmax"_a = nb::none(),
          "dmax"_a = nb::none(), "open_from"_a = 0, "open_rmax"_a = 0, "open_dmax"_a = 0);

  nb::class_<pf::BatchNormalizationOptions>(m, "BatchNormalizationOptions",
                                            R"(Options of batch normalisation inside flows.

epsilon: added to the variance; momentum: of the old value; center, scale: learn beta, gamma; gamma_map: "exp",
"identity", "softplus" or "relu_floor"; ghost_rows: training passes normalise so many rows at a time, 0: all; renorm: a
Renorm, or None.)")
      .def(
          "__init__",
          [](pf::BatchNormalizationOptions* self, double epsilon, double momentum, bool center, bool scale,
             const std::string& gamma_map, pf::Index ghost_rows, const std::optional<pf::Renorm>& renorm) {
            new (self) pf::BatchNormalizationOptions{
                epsilon, momentum, center, scale, choose("gamma_map", gamma_map, gamma_maps), ghost_rows, renorm};
          },
          nb::kw_only(), "epsilon"_a = 1e-5, "momentum"_a = 0.9, "center"_a = true, "scale"_a = true,
          "gamma_map"_a = "exp", "ghost_rows"_a = 0, "renorm"_a = nb::none());
}

}  // namespace binding
