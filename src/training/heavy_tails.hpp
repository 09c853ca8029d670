#pragma once

#include <vector>

#include <pushforward/views.hpp>

namespace pushforward::detail {

/// Degrees of freedom of the Student t distribution that each column follows best, out of a list from 1 to 30, if in
/// some column its mean log-likelihood is higher than that of a normal by 0.03 nats and by the standard error
/// of the difference; else empty. Locations are medians, scales follow from the quartiles.
template <class T>
std::vector<double> heavy_tails(MatrixView<const T> rows, const std::vector<double>& weights);

}  // namespace pushforward::detail
