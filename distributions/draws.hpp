#pragma once

// Draws from the sub-stream of a row, in double.

#include <cmath>

#include <boost/random/exponential_distribution.hpp>
#include <boost/random/gamma_distribution.hpp>

#include <pushforward/tensor.hpp>

namespace pushforward::detail {

/// log of a draw from Gamma(concentration, 1); small concentrations do not underflow.
template <class Generator>
double draw_log_gamma(Generator& generator, double concentration) {
  if (concentration >= 1) return std::log(boost::random::gamma_distribution<double>(concentration)(generator));
  const double larger = boost::random::gamma_distribution<double>(concentration + 1)(generator);
  return std::log(larger) - boost::random::exponential_distribution<double>()(generator) / concentration;
}

/// sqrt(df / X) with X from the chi-squared distribution with df degrees of freedom.
template <class Generator>
double draw_student_factor(Generator& generator, double df) {
  return std::exp(0.5 * (std::log(0.5 * df) - draw_log_gamma(generator, 0.5 * df)));
}

/// A draw as a T inside [low, high].
template <Scalar T>
T clamp_to(double value, T low, T high) {
  return value <= static_cast<double>(low) ? low : value >= static_cast<double>(high) ? high : static_cast<T>(value);
}

}  // namespace pushforward::detail
