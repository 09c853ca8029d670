#include <pushforward/distributions/quantized.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <fmt/format.h>

#include "distributions/checks.hpp"
#include "distributions/log_sum.hpp"
#include "src/core/number_text.hpp"
#include "src/numerics/constants.hpp"

namespace pushforward {

using namespace detail;

namespace {

constexpr Index most_points = 4096;

/// Place of point k with this factor, in units of half a stretch: odd or even numbers from 1 - points to points - 1.
Index place(Index k, std::int64_t factor, Index points) {
  const Index turn = (2 * k - (points - 1)) * static_cast<Index>(factor) + points;
  return turn - 2 * points * (turn >= 0 ? turn / (2 * points) : -((2 * points - 1 - turn) / (2 * points))) - points;
}

/// One factor after the other, each the one whose places are least correlated with those of the columns before. There
/// are so many as numbers below points / 2 that are prime to `points`; then they start again.
std::vector<std::int64_t> lattice_factors(Index points, std::size_t columns) {
  std::vector<std::int64_t> left;
  for (Index z = 2; 2 * z <= points; ++z)
    if (std::gcd(z, points) == 1) left.push_back(z);
  std::vector<Index> worst(left.size(), 0);  // correlation, times a constant
  std::vector<std::int64_t> factors{1};
  while (factors.size() < columns && !left.empty()) {
    for (std::size_t i = 0; i < left.size(); ++i) {
      Index sum = 0;
      for (Index k = 0; k < points; ++k) sum += place(k, left[i], points) * place(k, factors.back(), points);
      worst[i] = std::max(worst[i], std::abs(sum));
    }
    const auto best = std::min_element(worst.begin(), worst.end()) - worst.begin();
    factors.push_back(left[static_cast<std::size_t>(best)]);
    left.erase(left.begin() + best);
    worst.erase(worst.begin() + best);
  }
  const std::size_t distinct = factors.size();
  while (factors.size() < columns) factors.push_back(factors[factors.size() - distinct]);
  return factors;
}

}  // namespace

template <Scalar T>
Quantized<T>::Quantized(Poly<Distribution<T>> inner, std::vector<GridColumn> rounded, Index points)
    : Wrapper<Distribution<T>>("Quantized", std::move(inner)), rounded_(std::move(rounded)), points_(points) {
  check();
  factors_ = lattice_factors(points_, rounded_.size());
  derive();
}

template <Scalar T>
void Quantized<T>::check() const {
  if (points_ < 1 || points_ > most_points)
    throw DomainError(fmt::format("Quantized: expected 1 to {} points, got {}", most_points, points_));
  if (this->inner().estimates() == Estimate::log_density)
    throw DomainError("Quantized: the density of " + this->inner().name() +
                      " is drawn as a logarithm, which has no unbiased mean over a cell");
  const Space support = this->inner().support();
  for (const Space::Block& block : support.blocks())
    if (block.kind != Space::Kind::box && block.kind != Space::Kind::unknown)
      throw DomainError("Quantized: expected a distribution of columns that are real or bounded, each by itself, but " +
                        this->inner().name() + " lives on " + support.to_text());
  if (rounded_.empty()) throw ShapeError("Quantized: expected at least one rounded column, got none");
  std::int64_t last = -1;
  for (const auto& [column, grid, found] : rounded_) {
    if (column <= last || column >= this->dim())
      throw ShapeError(fmt::format("Quantized: expected columns in rising order below {}, got {} after {}", this->dim(),
                                   column, last));
    last = column;
    if (!(grid.step > 0) || !std::isfinite(grid.step) || !std::isfinite(grid.origin))
      throw DomainError(fmt::format("Quantized: expected a finite origin and a positive step, got {} and {} for "
                                    "column {}",
                                    number_text(grid.origin), number_text(grid.step), column));
  }
}

template <Scalar T>
void Quantized<T>::derive() {
  const std::vector<Interval> within = this->inner().support().bounds();
  log_volume_ = 0;
  ranges_.clear();
  others_ = Tensor<T>({this->dim()});
  std::fill(others_.values().begin(), others_.values().end(), T(1));
  places_.assign(static_cast<std::size_t>(points_), Tensor<T>({this->dim()}));
  for (std::size_t j = 0; j < rounded_.size(); ++j) {
    const auto& [column, grid, found] = rounded_[j];
    log_volume_ += std::log(grid.step);
    others_[column] = T(0);
    // Cells of which more than an edge lies within, as far as the rounding of T can tell.
    const auto [low, high] = within[static_cast<std::size_t>(column)];
    const auto edge = [&g = grid](double v) { return (v - g.origin) / g.step + 0.5; };
    const auto slack = [&g = grid](double v) {
      return std::min(0.25, 1e-9 + 2 * static_cast<double>(std::numeric_limits<T>::epsilon()) * std::abs(v) / g.step);
    };
    ranges_.push_back({std::isinf(low) ? low : grid.number(std::floor(edge(low) + slack(low))),
                       std::isinf(high) ? high : grid.number(std::ceil(edge(high) - slack(high)) - 1)});
    if (!(ranges_.back().low <= ranges_.back().high))
      throw DomainError(fmt::format("Quantized: no cell of the grid of column {} meets the support ({:g}, {:g}) of {}",
                                    column, low, high, this->inner().name()));
    for (Index k = 0; k < points_; ++k)
      places_[static_cast<std::size_t>(k)][column] = static_cast<T>(
          grid.step * static_cast<double>(place(k, factors_[j], points_)) / static_cast<double>(2 * points_));
  }
}

template <Scalar T>
Var<T> Quantized<T>::noise(Pass<T>& pass, bool learns) const {
  const auto columns = static_cast<Index>(rounded_.size());
  const Var<T> u = pass.training_noise(columns);
  return !u && learns && pass.has_noise() ? pass.uniform(columns) : u;
}

template <Scalar T>
Var<T> Quantized<T>::placed(Pass<T>& pass, Var<T> y, Var<T> u) const {
  Tape<T>& tape = pass.tape();
  const Index n = tape.padded_rows();
  const Var<T> numbers = tape.matrix(this->dim(), false);
  for (Index c = 0; c < this->dim(); ++c) std::fill_n(tape.value(numbers, c), n, T(0));
  for (std::size_t j = 0; j < rounded_.size(); ++j) {
    const auto& [column, grid, found] = rounded_[j];
    const auto [low, high] = ranges_[j];
    const T* in = tape.value(y, column);
    T* out = tape.value(numbers, column);
    for (Index i = 0; i < n; ++i) {
      const bool on_grid = grid.contains(static_cast<double>(in[i]));
      const double v = static_cast<double>(in[i]), number = found && !on_grid ? v : grid.number(grid.nearest(v));
      const bool inside = (found || on_grid) && number >= low - grid.step / 2 && number <= high + grid.step / 2;
      if (!inside && i < tape.local_rows()) pass.outside()[i] |= 1;
      const double known = inside ? number : std::isfinite(low) ? low : std::isfinite(high) ? high : grid.origin;
      out[i] = static_cast<T>(
          u ? known + grid.step * (static_cast<double>(tape.value(u, static_cast<Index>(j))[i]) - 0.5) : known);
    }
  }
  return y * pass.constant(others_) + numbers;
}

template <Scalar T>
Column<T> Quantized<T>::do_log_prob(Pass<T>& pass, Var<T> y) const {
  const double log_volume = log_volume_;
  if (const Var<T> u = noise(pass, pass.takes_proposals() || pass.statistics() != Statistics::running))
    return this->inner().log_prob(pass, placed(pass, y, u)) + constant_column(pass.tape(), log_volume);
  const Var<T> numbers = placed(pass, y, {});
  const Column<T> log_weight =
      constant_column(pass.tape(), log_volume - std::log(static_cast<double>(points_)));
  return log_sum_of(pass, points_, [&](Index k) {
    return this->inner().log_prob(pass, numbers + pass.constant(places_[static_cast<std::size_t>(k)])) + log_weight;
  });
}

template <Scalar T>
Var<T> Quantized<T>::do_sample(Pass<T>& pass) const {
  check_not_recording(pass, this->name());
  Tape<T>& tape = pass.tape();
  const Var<T> x = this->inner().sample(pass);
  const Var<T> y = tape.matrix(this->dim(), false);
  for (Index c = 0; c < this->dim(); ++c) std::copy_n(tape.value(x, c), tape.padded_rows(), tape.value(y, c));
  for (std::size_t j = 0; j < rounded_.size(); ++j) {
    const auto& [column, grid, found] = rounded_[j];
    T* out = tape.value(y, column);
    for (Index i = 0; i < tape.padded_rows(); ++i) {
      const double number = grid.number(grid.nearest(static_cast<double>(out[i])));
      out[i] = static_cast<T>(std::isnan(number) ? number : std::clamp(number, ranges_[j].low, ranges_[j].high));
    }
  }
  return y;
}

template <Scalar T>
Drawn<T> Quantized<T>::do_sample_and_log_prob(Pass<T>& pass) const {
  const Var<T> y = do_sample(pass);
  return {y, do_log_prob(pass, y)};
}

template <Scalar T>
bool Quantized<T>::do_propose_start(Pass<T>& pass, Var<T> y, const double* weights) const {
  return this->inner().propose_start(pass, placed(pass, y, noise(pass, true)), weights);
}

template <Scalar T>
Space Quantized<T>::do_support() const {
  const Space inner = this->inner().support();
  Space all;
  Index column = 0;
  std::size_t j = 0;
  for (const Space::Block& block : inner.blocks())
    for (const Interval& bounds : block.bounds) {
      const bool known = block.kind == Space::Kind::box;
      if (j < rounded_.size() && rounded_[j].column == column) {
        const Space grid = Space::grid({ranges_[j]}, {rounded_[j].grid});
        all = all * (known ? grid : Space::part_of(grid));
        ++j;
      } else {
        all = all * (known ? Space::box({bounds}) : Space::unknown({bounds}));
      }
      ++column;
    }
  return all;
}

template <Scalar T>
void Quantized<T>::no(const char* call) const {
  throw this->not_implemented(call, "not known for sums over cells; estimate it from samples");
}

template <Scalar T>
double Quantized<T>::do_entropy() const {
  throw this->not_implemented("entropy", "not known for sums over cells; estimate it from samples");
}

template <Scalar T>
void Quantized<T>::do_fields(Fields<T>& f) {
  f.type("quantized");
  Wrapper<Distribution<T>>::do_fields(f);
  std::vector<std::int64_t> columns, found;
  std::vector<double> origins, steps;
  for (const auto& [column, grid, was_found] : rounded_) {
    columns.push_back(column);
    if (was_found) found.push_back(column);
    origins.push_back(grid.origin);
    steps.push_back(grid.step);
  }
  f.constant("columns", columns);
  f.constant("origins", origins);
  f.constant("steps", steps);
  f.constant("points", points_, 1, most_points);
  f.constant("factors", factors_);
  f.optional("found", found, {});
  if (!f.restoring()) return;
  if (origins.size() != columns.size() || steps.size() != columns.size() || factors_.size() != columns.size())
    throw IoError("quantized: columns, origins, steps and factors must have the same length");
  for (const std::int64_t factor : factors_)
    if (factor < 1 || factor > points_ || std::gcd(factor, points_) != 1)
      throw IoError(fmt::format("quantized: a factor must be prime to the {} points, got {}", points_, factor));
  rounded_.clear();
  for (std::size_t j = 0; j < columns.size(); ++j)
    rounded_.push_back({columns[j], {origins[j], steps[j]}, std::ranges::find(found, columns[j]) != found.end()});
}

template <Scalar T>
void Quantized<T>::do_restored() {
  Wrapper<Distribution<T>>::do_restored();
  check();
  derive();
}

template <Scalar T>
void dequantize_into(MatrixView<const T> y, const std::vector<GridColumn>& rounded, Engine& engine, MatrixView<T> out) {
  if (out.rows() != y.rows() || out.cols() != y.cols())
    throw ShapeError(fmt::format("dequantize_into: expected a result of {} x {}, got {} x {}", y.rows(), y.cols(),
                                 out.rows(), out.cols()));
  const RandomCall noise = engine.next_call();
  for (Index c = 0; c < y.cols(); ++c)
    for (Index i = 0; i < y.rows(); ++i) out(i, c) = y(i, c);
  std::vector<double> u(static_cast<std::size_t>(y.rows()));
  for (std::size_t j = 0; j < rounded.size(); ++j) {
    const auto& [column, grid, found] = rounded[j];
    if (column < 0 || column >= y.cols())
      throw ShapeError(
          fmt::format("dequantize_into: the rows have {} columns, and none with number {}", y.cols(), column));
    noise.uniform(0, y.rows(), 1, u.data(), y.rows(), static_cast<Index>(j));
    for (Index i = 0; i < y.rows(); ++i)
      out(i, column) = static_cast<T>(static_cast<double>(y(i, column)) +
                                      grid.step * (u[static_cast<std::size_t>(i)] - 0.5));
  }
}

template void dequantize_into(MatrixView<const float>, const std::vector<GridColumn>&, Engine&, MatrixView<float>);
template void dequantize_into(MatrixView<const double>, const std::vector<GridColumn>&, Engine&, MatrixView<double>);
template class Quantized<float>;
template class Quantized<double>;

}  // namespace pushforward
