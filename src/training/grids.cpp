#include "src/training/grids.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

namespace pushforward {

namespace detail {

namespace {

/// A number with few decimal digits near `v`, if there is one within `slack`; else v.
double few_digits(double v, double slack) {
  const double unit = std::pow(10.0, std::floor(std::log10(std::abs(v))) - 3);  // four of them
  const double units = std::nearbyint(v / unit);
  const double rounded = unit < 1 ? units / std::nearbyint(1 / unit) : units * unit;
  return std::abs(rounded - v) <= slack ? rounded : v;
}

/// Greatest common divisor of distances between values that may each be off by `error`; 0 if none is well above it.
double common_step(std::vector<double> gaps, double error) {
  std::sort(gaps.begin(), gaps.end());
  double step = gaps.front(), off = 2 * error;  // how far the step may be from the truth
  for (double gap : gaps) {
    double gap_off = 2 * error;
    while (step > 64 * error) {
      const double times = std::nearbyint(gap / step), rest = std::abs(gap - times * step);
      const double slack = gap_off + times * off + 1e-9 * gap;
      if (rest <= slack) {
        // Many steps tell more of one than it does itself.
        if (times > 0 && gap_off / times < off) step = gap / times, off = gap_off / times;
        break;
      }
      gap = step;
      gap_off = off;
      step = rest;
      off = slack;
    }
    if (step <= 64 * error || off > step / 8) return 0;
  }
  return step;
}

/// The grid on which all these different, rising values lie; one that explains why values repeat has neighbours among
/// them, or nearly so.
template <class T>
std::optional<Grid> grid_of(const std::vector<T>& values, const std::vector<double>& gaps, double error, bool neighbours) {
  const double low = static_cast<double>(values.front()), range = static_cast<double>(values.back()) - low;
  double step = common_step(gaps, error);
  if (!(step > 0) || !std::isfinite(range)) return {};
  if (neighbours && step < *std::min_element(gaps.begin(), gaps.end()) / 16) return {};
  const double cells = std::nearbyint(range / step);
  // All of the range tells more than one step does.
  step = few_digits(range / cells, 2 * error / cells + step * 1e-12);
  const bool whole = std::all_of(values.begin(), values.end(), [](T v) { return v == std::nearbyint(v); });
  if (whole && values.size() < 10) step = 1;
  Grid grid{0, step};
  const double origin = few_digits(low, error);
  if (!grid.contains(low)) grid.origin = origin;
  for (const T v : values)
    if (!grid.contains(static_cast<double>(v))) return {};
  return grid;
}

/// A continuous variable, written with so many digits that nobody sees the steps: they are below a hundredth of the
/// standard deviation, and the numbers are as many as a smooth density would fill, or nearly.
template <class T>
bool is_fine(const std::vector<T>& values, std::size_t different, double step) {
  double mean = 0, square = 0;
  for (const T v : values) mean += static_cast<double>(v) / static_cast<double>(values.size());
  for (const T v : values) square += (static_cast<double>(v) - mean) * (static_cast<double>(v) - mean);
  if (step >= 0.01 * std::sqrt(square / static_cast<double>(values.size()))) return false;
  const double cells = (static_cast<double>(values.back()) - static_cast<double>(values.front())) / step + 1;
  const double filled = cells * -std::expm1(-static_cast<double>(values.size()) / cells);
  return static_cast<double>(different) > 0.3 * filled;
}

}  // namespace

template <class T>
ColumnValues look_at(std::vector<T>& values, bool whatever_the_steps) {
  std::sort(values.begin(), values.end());
  const double largest =
      std::max(std::abs(static_cast<double>(values.front())), std::abs(static_cast<double>(values.back())));
  // Differences that rounding makes are no steps.
  const double error = static_cast<double>(std::numeric_limits<T>::epsilon()) * largest;
  ColumnValues result;
  RepeatedValues& r = result.repeated;
  std::vector<T> different{values.front()};
  std::vector<double> gaps;
  bool as_fine_as_numbers = false;
  std::size_t repeated = 0, run = 1, longest = 1;
  r.commonest = static_cast<double>(values.front());
  for (std::size_t i = 1; i < values.size(); ++i) {
    if (values[i] == values[i - 1]) {
      ++repeated;
      if (++run > longest) longest = run, r.commonest = static_cast<double>(values[i]);
      continue;
    }
    run = 1;
    const double gap = static_cast<double>(values[i]) - static_cast<double>(values[i - 1]);
    if (gap <= 4 * error) {
      as_fine_as_numbers = true;
      continue;
    }
    different.push_back(values[i]);
    gaps.push_back(gap);
    if (r.smallest_step == 0 || gap < r.smallest_step) r.smallest_step = gap;
  }
  const double n = static_cast<double>(values.size());
  r.share = static_cast<double>(repeated) / n;
  r.commonest_share = static_cast<double>(longest) / n;
  // A large sample of a continuous variable repeats numbers too, none of them often.
  if (as_fine_as_numbers && longest <= std::max<std::size_t>(3, values.size() / 1000)) return result;
  result.often = r.share > 0.01;
  // (Of few rows two or three meet by chance.)
  result.atom = result.often && longest >= 5 && (static_cast<double>(repeated + 1 - longest) <= 0.01 * n) &&
                gaps.size() > 1;
  if (result.often && !result.atom && !as_fine_as_numbers && !gaps.empty())
    result.grid = grid_of(different, gaps, error, true);
  if (whatever_the_steps) {
    if (!result.grid && !as_fine_as_numbers && !gaps.empty()) result.grid = grid_of(different, gaps, error, false);
  } else if (result.grid && is_fine(values, different.size(), result.grid->step)) {
    result.often = false;
    result.grid.reset();
  }
  return result;
}

template ColumnValues look_at(std::vector<float>&, bool);
template ColumnValues look_at(std::vector<double>&, bool);

}  // namespace detail

template <Scalar T>
std::vector<RepeatedValues> repeated_values(MatrixView<const T> data) {
  std::vector<RepeatedValues> all(static_cast<std::size_t>(data.cols()));
  for (Index c = 0; data.rows() > 0 && c < data.cols(); ++c) {
    std::vector<T> values = detail::some_values(data, c, static_cast<std::size_t>(data.rows()),
                                                [](std::size_t i) { return static_cast<Index>(i); });
    all[static_cast<std::size_t>(c)] = detail::look_at(values).repeated;
  }
  return all;
}

template <Scalar T>
std::vector<GridColumn> find_grids(MatrixView<const T> data, const std::vector<Index>& whatever_the_steps) {
  std::vector<GridColumn> found;
  for (Index c = 0; data.rows() > 0 && c < data.cols(); ++c) {
    std::vector<T> values = detail::some_values(data, c, static_cast<std::size_t>(data.rows()),
                                                [](std::size_t i) { return static_cast<Index>(i); });
    const bool always = std::find(whatever_the_steps.begin(), whatever_the_steps.end(), c) != whatever_the_steps.end();
    const std::optional<Grid> grid = detail::look_at(values, always).grid;
    if (!grid) continue;
    bool all = true;
    for (Index i = 0; i < data.rows() && all; ++i) all = grid->contains(static_cast<double>(data(i, c)));
    if (all) found.push_back({c, *grid, *grid != Grid{}});
  }
  return found;
}

std::vector<bool> each_by_itself(const Space& support) {
  std::vector<bool> free;
  for (const Space::Block& block : support.blocks())
    free.insert(free.end(), static_cast<std::size_t>(block.columns), block.kind == Space::Kind::box);
  return free;
}

template <Scalar T>
Space cell_support(MatrixView<const T> data, const std::vector<GridColumn>& rounded, const Space& given) {
  const Index columns = data.cols();
  if (given.columns() > 0 && given.columns() != columns)
    throw ShapeError(fmt::format("cell_support: expected a support of {} columns, got {}", columns, given.columns()));
  const Space support = given.columns() > 0 ? given : Space::real(columns);
  std::vector<Interval> bounds = support.bounds();
  const std::vector<bool> free = each_by_itself(support);
  for (const auto& [column, grid, found] : rounded) {
    if (column < 0 || column >= data.cols())
      throw ShapeError(fmt::format("cell_support: the data has {} columns, and none with number {}", columns, column));
    if (!free[static_cast<std::size_t>(column)])
      throw DomainError(fmt::format("cell_support: column {} has no cells of its own in the support {}", column,
                                    support.to_text()));
    Interval& s = bounds[static_cast<std::size_t>(column)];
    const bool whole = grid.origin == std::nearbyint(grid.origin) && grid.step == std::nearbyint(grid.step);
    if (s == real_line && whole && data.rows() > 0) {
      Interval range{static_cast<double>(data(0, column)), static_cast<double>(data(0, column))};
      for (Index i = 1; i < data.rows(); ++i) {
        range.low = std::min(range.low, static_cast<double>(data(i, column)));
        range.high = std::max(range.high, static_cast<double>(data(i, column)));
      }
      if (range.low >= 0 && range.low <= range.high - range.low) s.low = 0;
      if (range == Interval{0, 1}) s.high = 1;
    }
    const auto cells = [&g = grid](double v) { return (v - g.origin) / g.step; };
    if (std::isfinite(s.low)) s.low = grid.number(std::floor(cells(s.low) + 0.5 + 1e-9) - 0.5);
    if (std::isfinite(s.high)) s.high = grid.number(std::ceil(cells(s.high) - 0.5 - 1e-9) + 0.5);
  }
  Space moved;
  Index first = 0;
  for (const Space::Block& block : support.blocks()) {
    const auto begin = bounds.begin() + first, end = begin + block.columns;
    moved = moved * (block.kind == Space::Kind::box ? Space::box({begin, end}) : support.slice(first, block.columns));
    first += block.columns;
  }
  return moved == Space::real(columns) ? Space() : moved;
}

template Space cell_support(MatrixView<const float>, const std::vector<GridColumn>&, const Space&);
template Space cell_support(MatrixView<const double>, const std::vector<GridColumn>&, const Space&);
template std::vector<RepeatedValues> repeated_values(MatrixView<const float>);
template std::vector<RepeatedValues> repeated_values(MatrixView<const double>);
template std::vector<GridColumn> find_grids(MatrixView<const float>, const std::vector<Index>&);
template std::vector<GridColumn> find_grids(MatrixView<const double>, const std::vector<Index>&);

}  // namespace pushforward
