#pragma once

// Options that several files read: aggregates of the library, made from keyword arguments.
#include <pushforward/space.hpp>
#include <pushforward/bijectors/batch_normalization.hpp>
#include <pushforward/bijectors/rational_quadratic_transformer.hpp>
#include <pushforward/bijectors/standardize.hpp>
#include <pushforward/distributions/quantized.hpp>
#include <pushforward/flows/builders.hpp>

#include "objects.hpp"

namespace binding {

inline constexpr Named<pf::Base> bases[] = {
    {"normal", pf::Base::normal}, {"student_t", pf::Base::student_t}, {"logistic", pf::Base::logistic}};
inline constexpr Named<pf::Standardization> standardizations[] = {{"none", pf::Standardization::none},
                                                                  {"mean_std", pf::Standardization::mean_std},
                                                                  {"median_iqr", pf::Standardization::median_iqr}};

/// Where the values of columns live: None (the real line), "positive", "unit", or (low, high) with None for no end.
std::vector<pf::Interval> intervals_of(const char* call, nb::handle supports);
/// The same as a space; a Space as it is; None: the real line, a space without columns.
pf::Space space_of(const char* call, nb::handle supports);
/// Columns whose numbers lie on grids: {column: step or (origin, step)}.
std::vector<pf::GridColumn> grids_of(const nb::dict& rounded);

}  // namespace binding
