#pragma once

#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <pushforward/views.hpp>

namespace pushforward {

/// An open interval of the real line.
struct Interval {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  /// The middle, or the number at distance 1 from the only end.
  double inside() const;
  friend bool operator==(const Interval&, const Interval&) = default;
};
inline constexpr Interval real_line{};
inline constexpr Interval positive{0, std::numeric_limits<double>::infinity()};
inline constexpr Interval unit_interval{0, 1};

/// Numbers at even distances: origin + k step for whole k.
struct Grid {
  double origin = 0;
  double step = 1;
  double number(double k) const { return origin + k * step; }
  /// The k of the nearest number.
  double nearest(double v) const;
  /// Whether v is one of the numbers; where step or origin is no whole number, as far as rounding leaves it: within a
  /// hundredth of a step.
  bool contains(double v) const;
  /// Whether all numbers of `inner` are its own too.
  bool contains(const Grid& inner) const;
  friend bool operator==(const Grid&, const Grid&) = default;
};

/// How far from a surface rows of T may lie, as other programs write them, with rounding: a sum from 1, say. Maps that
/// start on a surface take no others.
template <Scalar T>
inline constexpr double surface_tolerance = sizeof(T) == 8 ? 1e-6 : 1e-4;

/// A set of rows: where a map goes from or to, or where a density lives. Blocks of columns side by side, each of a kind
/// that has a reference measure, with respect to which densities and log|det| are meant:
///
///     box                 an open interval for each column; real: the whole line        Lebesgue
///     circle              angles, [low, high) with the ends glued together               Lebesgue
///     grid                numbers at even distances from low to high: integers, ...      counting
///     simplex             n positive numbers of sum 1                                    Lebesgue in the first n - 1
///     zero_sum            n numbers of sum 0                                             Lebesgue in the first n - 1
///     ordered             n increasing numbers                                           Lebesgue
///     ball, l1_ball       n numbers with sum of squares, or of sizes, below 1            Lebesgue
///     sphere              n numbers with sum of squares 1                                surface area
///     lower_triangular    n x n, row-major, positive diagonal, zeros above it            Lebesgue in the lower entries
///     positive_definite   n x n, row-major, symmetric                                    Lebesgue in the lower entries
///     correlation         n x n, row-major: lower Cholesky factors of correlation        Lebesgue in the entries below
///                         matrices                                                       the diagonal
///     unknown             some part of a box                                             Lebesgue
///
/// Adjacent boxes are one block. Categories are the integers from 0. Where only a part of a block is meant and not
/// known which, the block says so; of Lebesgue's kinds it is `unknown` then.
class Space {
 public:
  enum class Kind {
    box, circle, grid, simplex, zero_sum, ordered, ball, l1_ball, sphere, lower_triangular, positive_definite, correlation,
    unknown
  };
  struct Block {
    Kind kind;
    Index columns;
    std::vector<Interval> bounds;  ///< of each column; of kinds that have none, what they imply
    bool partial = false;          ///< some part of it, not known which
    std::vector<Grid> grids = {};  ///< of each column, of kind `grid` alone

    /// Numbers that it takes to say where in it a point lies: as many as columns, or fewer on a surface.
    Index dimensions() const;
    /// Whether values on a bound of their column are boundary points: of boxes, simplices, balls.
    bool is_open() const;
    friend bool operator==(const Block&, const Block&) = default;
  };

  /// No columns.
  Space() = default;
  /// @throws ShapeError   where a number of columns is negative or too small for the kind, or lists differ in length.
  /// @throws DomainError  for an empty interval; for a period or range that is not finite where it must be; for an end
  ///                      that is no number of its grid.
  static Space real(Index columns);
  static Space box(std::vector<Interval> bounds);
  static Space box(Index columns, Interval bounds);
  static Space circle(Index columns, Interval period);
  /// Both ends are numbers of the grid, or infinite.
  static Space grid(std::vector<Interval> bounds, std::vector<Grid> grids);
  static Space integers(std::vector<Interval> bounds);
  static Space categories(Index columns, Index count);
  static Space simplex(Index columns);
  static Space zero_sum(Index columns);
  static Space ordered(Index columns);
  static Space ball(Index columns);
  static Space l1_ball(Index columns);
  static Space sphere(Index columns);
  static Space lower_triangular(Index n);
  static Space positive_definite(Index n);
  static Space correlation(Index n);
  static Space unknown(std::vector<Interval> within);
  static Space unknown(Index columns);
  /// Some part of `whole`, with its measure, not known which.
  static Space part_of(const Space& whole);

  /// Side by side.
  friend Space operator*(const Space& a, const Space& b);
  /// Columns [begin, begin + count) alone: all that is known of a part of a block that is not column by column are its
  /// bounds.
  /// @throws ShapeError  if there are no such columns.
  Space slice(Index begin, Index count) const;

  const std::vector<Block>& blocks() const& { return blocks_; }
  /// A space that a call returned ends with its statement: give it a name.
  const std::vector<Block>& blocks() const&& = delete;
  Index columns() const;
  /// Of all blocks.
  Index dimensions() const;
  bool is_known() const;
  /// All columns real or bounded, each by itself.
  bool is_box() const;
  /// The smallest interval that is known to hold the column.
  Interval operator[](Index column) const;
  std::vector<Interval> bounds() const;

  /// Whether every point of `inner` is known to be one of this, with the same measure. An unknown space holds what its
  /// bounds hold, and is held by what holds its bounds; a part of a surface that is not known holds such a part alone.
  bool holds(const Space& inner) const;
  /// Whether they may have points in common, more than a boundary, with the same measure.
  bool meets(const Space& other) const;
  /// Whether the row lies in it, or on its boundary; what makes a surface to within `tolerance`.
  bool contains(VectorView<const double> row, double tolerance = 1e-9) const {
    return misfit(row, {}, tolerance).empty();
  }
  /// The columns for which it does not, and why; empty if it does. `set` is what the space is of something:
  /// "column 2: 1.5 lies outside the support [0, 1]", "columns 0 to 2, whose sum is 1.1, lie outside the support
  /// simplex(3)".
  std::string misfit(VectorView<const double> row, std::string_view set = {}, double tolerance = 1e-9) const;
  /// The same in parts, for programs whose users know columns by other names.
  struct Misfit {
    Index first;  ///< of the columns that are meant
    Index columns;
    std::string problem;  ///< what follows their names: ": 1.5 lies outside the support [0, 1]"
  };
  std::optional<Misfit> find_misfit(VectorView<const double> row, std::string_view set = {},
                                    double tolerance = 1e-9) const;
  /// "real^3 x (0, inf) x simplex(4)".
  std::string to_text() const;

  friend bool operator==(const Space&, const Space&) = default;

 private:
  explicit Space(Block block) : blocks_{std::move(block)} {}
  void append(const Block& block);
  template <class Compare>
  bool compare(const Space& other, Compare compare) const;
  std::vector<Block> blocks_;
};

}  // namespace pushforward
