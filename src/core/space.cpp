#include <pushforward/space.hpp>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include <Eigen/Cholesky>
#include <fmt/format.h>

#include <pushforward/error.hpp>

#include "src/core/number_text.hpp"

namespace pushforward {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

using Kind = Space::Kind;

void check_columns(const char* kind, Index columns, Index least) {
  if (columns < least)
    throw ShapeError(fmt::format("Space::{}: expected at least {} columns, got {}", kind, least, columns));
}

const char* kind_name(Kind kind) {
  switch (kind) {
    case Kind::box: return "box";
    case Kind::circle: return "circle";
    case Kind::grid: return "grid";
    case Kind::simplex: return "simplex";
    case Kind::zero_sum: return "zero_sum";
    case Kind::ordered: return "ordered";
    case Kind::ball: return "ball";
    case Kind::l1_ball: return "l1_ball";
    case Kind::sphere: return "sphere";
    case Kind::lower_triangular: return "lower_triangular";
    case Kind::positive_definite: return "positive_definite";
    case Kind::correlation: return "correlation";
    case Kind::unknown: break;
  }
  return "unknown";
}

Index side(Index columns) { return static_cast<Index>(std::llround(std::sqrt(static_cast<double>(columns)))); }

std::vector<Interval> filled(Index columns, Interval bounds) {
  return std::vector<Interval>(static_cast<std::size_t>(columns), bounds);
}

/// Bounds of an n x n block.
std::vector<Interval> square(Index n, Interval diagonal, Interval below, Interval above) {
  std::vector<Interval> bounds;
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j) bounds.push_back(i == j ? diagonal : j < i ? below : above);
  return bounds;
}

/// Densities on it are with respect to Lebesgue's measure of its columns.
bool is_solid(const Space::Block& b) { return b.kind != Kind::grid && b.dimensions() == b.columns; }

/// Each column by itself.
bool is_product(Kind kind) {
  return kind == Kind::box || kind == Kind::circle || kind == Kind::grid || kind == Kind::unknown;
}

std::string text_of(const Interval& i) {
  return i == Interval{} ? "real" : fmt::format("({:g}, {:g})", i.low, i.high);
}

/// Runs of equal intervals: "real^3", "(0, inf)".
std::string text_of(const std::vector<Interval>& bounds) {
  std::string text;
  for (std::size_t i = 0, end = 0; i < bounds.size(); i = end) {
    for (end = i + 1; end < bounds.size() && bounds[end] == bounds[i];) ++end;
    text += (text.empty() ? "" : " x ") + text_of(bounds[i]);
    if (end - i > 1) text += fmt::format("^{}", end - i);
  }
  return text;
}

std::string text_of(Space::Block b) {
  if (std::exchange(b.partial, false)) return "not known, within " + text_of(b);
  const Index n = b.columns;
  switch (b.kind) {
    case Kind::box: return text_of(b.bounds);
    case Kind::unknown: return "not known, within " + text_of(b.bounds);
    case Kind::circle:
    case Kind::grid: {
      std::string text;
      for (std::size_t c = 0; c < b.bounds.size(); ++c) {
        const auto [low, high] = b.bounds[c];
        text += text.empty() ? "" : " x ";
        if (b.kind == Kind::circle)
          text += fmt::format("circle[{:g}, {:g})", low, high);
        else if (b.grids[c].contains(Grid{}) && Grid{}.contains(b.grids[c]))
          text += fmt::format("integers{{{:g}, {:g}}}", low, high);
        else
          text += fmt::format("grid{{{:g}, {:g}; {:g} + {:g} k}}", low, high, b.grids[c].origin, b.grids[c].step);
      }
      return text;
    }
    case Kind::lower_triangular:
    case Kind::positive_definite:
    case Kind::correlation: return fmt::format("{}({} x {})", kind_name(b.kind), side(n), side(n));
    default: return fmt::format("{}({})", kind_name(b.kind), n);
  }
}

/// Of a block that starts at column `first`; what it lies outside of is called `set`.
std::optional<Space::Misfit> block_misfit(const Space::Block& b, VectorView<const double> row, Index first,
                                          std::string_view set, double tolerance) {
  const auto at = [&](Index i) { return row[first + i]; };
  const std::string of = set.empty() ? "" : std::string(set) + " ";
  const double slack = is_product(b.kind) || is_solid(b) ? 0.0 : tolerance;
  double sum = 0, sizes = 0;
  for (Index i = 0; i < b.columns; ++i) {
    const Interval& range = b.bounds[static_cast<std::size_t>(i)];
    const bool endless = std::isinf(at(i));
    std::string why = endless ? ", no finite number," : "";
    double reach = slack;
    if (b.kind == Kind::grid && !endless) {
      const Grid& grid = b.grids[static_cast<std::size_t>(i)];
      if (!grid.contains(at(i)))
        why = grid == Grid{} ? ", no whole number," : fmt::format(", not {:g} + {:g} k,", grid.origin, grid.step);
      else
        reach = grid.step / 2;  // it is a number of the grid, up to rounding
    }
    if (!(at(i) >= range.low - reach && at(i) <= range.high + reach) || !why.empty())
      return Space::Misfit{first + i, 1,
                           fmt::format(": {}{} lies outside {}[{}, {}]", detail::unsigned_nan(at(i)), why, of, range.low,
                                       range.high)};
    sum += b.kind == Kind::sphere || b.kind == Kind::ball ? at(i) * at(i) : at(i);
    sizes += std::abs(at(i));
  }
  const std::optional<Space::Misfit> none;
  const auto together = [&](const std::string& reason) {
    return std::optional(Space::Misfit{first, b.columns, fmt::format(", {}, lie outside {}{}", reason, of, text_of(b))});
  };
  const Index n = side(b.columns);
  switch (b.kind) {
    case Kind::simplex:
      return std::abs(sum - 1) <= tolerance ? none : together(fmt::format("whose sum is {}", sum));
    case Kind::sphere:
      return std::abs(sum - 1) <= tolerance ? none : together(fmt::format("whose squares add up to {}", sum));
    case Kind::ball: return sum <= 1 ? none : together(fmt::format("whose squares add up to {}", sum));
    case Kind::l1_ball: return sizes <= 1 ? none : together(fmt::format("whose sizes add up to {}", sizes));
    case Kind::zero_sum:
      return std::abs(sum) <= tolerance * (1 + sizes) ? none : together(fmt::format("whose sum is {}", sum));
    case Kind::ordered:
      for (Index i = 1; i < b.columns; ++i)
        if (at(i) < at(i - 1)) return together(fmt::format("where {} follows {}", at(i), at(i - 1)));
      return none;
    case Kind::correlation:
      for (Index i = 0; i < n; ++i) {
        double square = 0;
        for (Index j = 0; j <= i; ++j) square += at(i * n + j) * at(i * n + j);
        if (std::abs(square - 1) > tolerance)
          return together(fmt::format("whose squares in row {} of the matrix add up to {}", i, square));
      }
      return none;
    case Kind::positive_definite: {
      Eigen::MatrixXd m(n, n);
      for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < n; ++j) {
          m(i, j) = at(i * n + j);
          if (j < i && std::abs(at(i * n + j) - at(j * n + i)) > tolerance)
            return together(fmt::format("which are not symmetric at ({}, {})", i, j));
        }
      return Eigen::LLT<Eigen::MatrixXd>(m).info() == Eigen::Success ? none : together("which are not positive definite");
    }
    default: return none;
  }
}

}  // namespace

double Grid::nearest(double v) const { return std::nearbyint((v - origin) / step); }

bool Grid::contains(double v) const {
  if (!std::isfinite(v)) return false;
  const bool whole = step == std::nearbyint(step) && origin == std::nearbyint(origin);
  return std::abs(v - number(nearest(v))) <= (whole ? 0 : step / 100);
}

bool Grid::contains(const Grid& inner) const {
  const double times = inner.step / step;
  return times > 0.5 && std::abs(times - std::nearbyint(times)) <= 1e-9 * times && contains(inner.origin);
}

double Interval::inside() const {
  const bool below = std::isfinite(low), above = std::isfinite(high);
  return below && above ? low + (high - low) / 2 : below ? low + 1 : above ? high - 1 : 0.0;
}

Space Space::real(Index columns) { return box(columns, {}); }

Space Space::box(std::vector<Interval> bounds) {
  for (const Interval& i : bounds)
    if (!(i.low < i.high))
      throw DomainError(fmt::format("Space::box: ({:g}, {:g}) is empty", detail::unsigned_nan(i.low),
                                    detail::unsigned_nan(i.high)));
  if (bounds.empty()) return {};
  const auto columns = static_cast<Index>(bounds.size());
  return Space({Kind::box, columns, std::move(bounds)});
}

Space Space::box(Index columns, Interval bounds) {
  check_columns("box", columns, 0);
  return box(filled(columns, bounds));
}

Space Space::circle(Index columns, Interval period) {
  check_columns("circle", columns, 1);
  if (!(period.low < period.high) || !std::isfinite(period.high - period.low))
    throw DomainError(
        fmt::format("Space::circle: a period must be finite and not empty, got [{:g}, {:g})",
                    detail::unsigned_nan(period.low), detail::unsigned_nan(period.high)));
  return Space({Kind::circle, columns, filled(columns, period)});
}

Space Space::grid(std::vector<Interval> bounds, std::vector<Grid> grids) {
  if (bounds.size() != grids.size())
    throw ShapeError(fmt::format("Space::grid: expected a grid for each of {} columns, got {}", bounds.size(),
                                 grids.size()));
  for (std::size_t c = 0; c < bounds.size(); ++c) {
    const auto [low, high] = bounds[c];
    const auto [origin, step] = grids[c];
    if (!(step > 0) || !std::isfinite(step) || !std::isfinite(origin))
      throw DomainError(fmt::format("Space::grid: expected a finite origin and a positive step, got {:g} and {:g}",
                                    detail::unsigned_nan(origin), detail::unsigned_nan(step)));
    if (!(low <= high) || (std::isfinite(low) && !grids[c].contains(low)) ||
        (std::isfinite(high) && !grids[c].contains(high)))
      throw DomainError(fmt::format("Space::grid: bounds must be {} in order, got {:g} and {:g}",
                                    grids[c] == Grid{} ? "whole numbers"
                                                       : fmt::format("numbers {:g} + {:g} k", origin, step),
                                    detail::unsigned_nan(low), detail::unsigned_nan(high)));
  }
  check_columns("grid", static_cast<Index>(bounds.size()), 1);
  const auto columns = static_cast<Index>(bounds.size());
  return Space({Kind::grid, columns, std::move(bounds), false, std::move(grids)});
}

Space Space::integers(std::vector<Interval> bounds) {
  std::vector<Grid> whole(bounds.size());
  return grid(std::move(bounds), std::move(whole));
}

Space Space::categories(Index columns, Index count) {
  check_columns("categories", columns, 1);
  if (count < 1) throw DomainError(fmt::format("Space::categories: expected at least one category, got {}", count));
  return integers(filled(columns, {0, static_cast<double>(count - 1)}));
}

Space Space::simplex(Index columns) {
  check_columns("simplex", columns, 2);
  return Space({Kind::simplex, columns, filled(columns, {0, 1})});
}

Space Space::zero_sum(Index columns) {
  check_columns("zero_sum", columns, 2);
  return Space({Kind::zero_sum, columns, filled(columns, {})});
}

Space Space::ball(Index columns) {
  check_columns("ball", columns, 1);
  return Space({Kind::ball, columns, filled(columns, {-1, 1})});
}

Space Space::l1_ball(Index columns) {
  check_columns("l1_ball", columns, 1);
  return Space({Kind::l1_ball, columns, filled(columns, {-1, 1})});
}

Space Space::ordered(Index columns) {
  check_columns("ordered", columns, 1);
  return columns == 1 ? real(1) : Space({Kind::ordered, columns, filled(columns, {})});
}

Space Space::sphere(Index columns) {
  check_columns("sphere", columns, 2);
  return Space({Kind::sphere, columns, filled(columns, {-1, 1})});
}

Space Space::lower_triangular(Index n) {
  check_columns("lower_triangular", n, 1);
  return Space({Kind::lower_triangular, n * n, square(n, {0, infinity}, {}, {0, 0})});
}

Space Space::positive_definite(Index n) {
  check_columns("positive_definite", n, 1);
  return Space({Kind::positive_definite, n * n, square(n, {0, infinity}, {}, {})});
}

Space Space::correlation(Index n) {
  check_columns("correlation", n, 2);
  return Space({Kind::correlation, n * n, square(n, {0, 1}, {-1, 1}, {0, 0})});
}

Space Space::unknown(std::vector<Interval> within) {
  const auto columns = static_cast<Index>(within.size());
  return columns == 0 ? Space() : Space({Kind::unknown, columns, std::move(within)});
}

Space Space::unknown(Index columns) { return unknown(filled(columns, {})); }

Space Space::part_of(const Space& whole) {
  Space part;
  for (Block block : whole.blocks_) {
    if (is_solid(block))
      block.kind = Kind::unknown;
    else
      block.partial = true;
    part.append(block);
  }
  return part;
}

void Space::append(const Block& block) {
  const bool joins = is_product(block.kind) && !block.partial;
  if (!joins || blocks_.empty() || blocks_.back().kind != block.kind || blocks_.back().partial) {
    blocks_.push_back(block);
    return;
  }
  blocks_.back().columns += block.columns;
  blocks_.back().bounds.insert(blocks_.back().bounds.end(), block.bounds.begin(), block.bounds.end());
  blocks_.back().grids.insert(blocks_.back().grids.end(), block.grids.begin(), block.grids.end());
}

Space operator*(const Space& a, const Space& b) {
  Space product = a;
  for (const Space::Block& block : b.blocks_) product.append(block);
  return product;
}

Space Space::slice(Index begin, Index count) const {
  if (begin < 0 || count < 0 || begin + count > columns())
    throw ShapeError(fmt::format("Space: there are no columns {} to {} among {}", begin, begin + count - 1, columns()));
  Space part;
  Index at = 0;
  for (const Block& block : blocks_) {
    const Index from = std::max(begin - at, Index{0}), to = std::min(begin + count - at, block.columns);
    at += block.columns;
    if (from >= to) continue;
    Block piece = block;
    if (to - from < block.columns) {
      piece.columns = to - from;
      piece.bounds.assign(block.bounds.begin() + from, block.bounds.begin() + to);
      if (!block.grids.empty()) piece.grids.assign(block.grids.begin() + from, block.grids.begin() + to);
      if (!is_product(block.kind)) piece = {Kind::unknown, piece.columns, piece.bounds};
    }
    part.append(piece);
  }
  return part;
}

Index Space::columns() const {
  Index sum = 0;
  for (const Block& b : blocks_) sum += b.columns;
  return sum;
}

Index Space::Block::dimensions() const {
  const Index n = side(columns);
  switch (kind) {
    case Kind::simplex:
    case Kind::zero_sum:
    case Kind::sphere: return columns - 1;
    case Kind::lower_triangular:
    case Kind::positive_definite: return n * (n + 1) / 2;
    case Kind::correlation: return n * (n - 1) / 2;
    default: return columns;
  }
}

bool Space::Block::is_open() const {
  return kind == Kind::box || kind == Kind::simplex || kind == Kind::ball || kind == Kind::l1_ball || kind == Kind::unknown;
}

Index Space::dimensions() const {
  Index sum = 0;
  for (const Block& b : blocks_) sum += b.dimensions();
  return sum;
}

bool Space::is_known() const {
  return std::none_of(blocks_.begin(), blocks_.end(), [](const Block& b) { return b.kind == Kind::unknown || b.partial; });
}

bool Space::is_box() const {
  return std::all_of(blocks_.begin(), blocks_.end(), [](const Block& b) { return b.kind == Kind::box; });
}

Interval Space::operator[](Index column) const {
  for (const Block& b : blocks_) {
    if (column >= 0 && column < b.columns) return b.bounds[static_cast<std::size_t>(column)];
    column -= b.columns;
  }
  throw ShapeError(fmt::format("Space: no such column in {}", to_text()));
}

std::vector<Interval> Space::bounds() const {
  std::vector<Interval> all;
  for (const Block& b : blocks_) all.insert(all.end(), b.bounds.begin(), b.bounds.end());
  return all;
}

/// Block by block where they overlap: kinds that have the same measure, and compare(own block, column of it, the
/// other's, column of it) for each column. Blocks that are no product of columns must be the same.
template <class Compare>
bool Space::compare(const Space& other, Compare compare) const {
  if (other.columns() != columns()) return false;
  Index first = 0;
  for (const Block& own : blocks_) {
    Index position = 0;
    for (const Block& block : other.blocks_) {
      const Index begin = std::max(first, position), end = std::min(first + own.columns, position + block.columns);
      if (begin < end) {
        const bool same = block.kind == own.kind && position == first && block.columns == own.columns;
        const bool by_columns = is_solid(own) && is_solid(block)
                                    ? is_product(own.kind) || is_product(block.kind)
                                    : is_product(own.kind) && block.kind == own.kind;
        if (!same && !by_columns) return false;
        for (Index c = begin; c < end; ++c)
          if (!compare(own, static_cast<std::size_t>(c - first), block, static_cast<std::size_t>(c - position)))
            return false;
      }
      position += block.columns;
    }
    first += own.columns;
  }
  return true;
}

bool Space::holds(const Space& inner) const {
  return compare(inner, [](const Block& outer, std::size_t c, const Block& block, std::size_t k) {
    const Interval &o = outer.bounds[c], &i = block.bounds[k];
    // Of increasing numbers and balls, only the same; of a part that is not known, no more than a part.
    const bool shaped = is_solid(outer) && !is_product(outer.kind);
    return (!shaped || block.kind == outer.kind) && (!outer.partial || block.partial) &&
           (outer.kind != Kind::grid || outer.grids[c].contains(block.grids[k])) && i.low >= o.low && i.high <= o.high;
  });
}

bool Space::meets(const Space& other) const {
  return compare(other, [](const Block& a, std::size_t c, const Block& b, std::size_t k) {
    const Interval &i = a.bounds[c], &j = b.bounds[k];
    const double low = std::max(i.low, j.low), high = std::min(i.high, j.high);
    if (a.kind == Kind::grid)
      return low <= high && (a.grids[c].contains(b.grids[k]) || b.grids[k].contains(a.grids[c]));
    return i == j ? low <= high : low < high;
  });
}

std::optional<Space::Misfit> Space::find_misfit(VectorView<const double> row, std::string_view set,
                                                double tolerance) const {
  if (row.size() != columns())
    throw ShapeError(fmt::format("Space::contains: expected {} values, got {}", columns(), row.size()));
  Index first = 0;
  for (const Block& b : blocks_) {
    if (std::optional<Misfit> found = block_misfit(b, row, first, set, tolerance)) return found;
    first += b.columns;
  }
  return {};
}

std::string Space::misfit(VectorView<const double> row, std::string_view set, double tolerance) const {
  const std::optional<Misfit> found = find_misfit(row, set, tolerance);
  if (!found) return {};
  return found->columns == 1 ? fmt::format("column {}{}", found->first, found->problem)
                             : fmt::format("columns {} to {}{}", found->first, found->first + found->columns - 1,
                                           found->problem);
}

std::string Space::to_text() const {
  std::string text;
  for (const Block& b : blocks_) text += (text.empty() ? "" : " x ") + text_of(b);
  return text.empty() ? "nothing" : text;
}

}  // namespace pushforward
