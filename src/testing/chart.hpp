#pragma once

#include <vector>

#include <Eigen/Core>

#include <pushforward/space.hpp>

namespace pushforward::testing::detail {

/// A Space in free coordinates, each in an interval of its own: for points drawn in it, quadrature over it, and
/// derivatives along it. Written from the definitions in space.hpp, apart from every map that leads onto a Space.
///
///     box, circle         the columns                     grid              the k of its numbers
///     simplex             shares of what is left          ordered           the first, and the steps
///     sphere              heights over what is left, and an angle
///     lower_triangular    the lower entries               positive_definite those of the Cholesky factor
///     correlation         shares of what is left of each row
///
/// Where a Space is not known, its bounds stand for it.
class Chart {
 public:
  explicit Chart(Space space);

  const Space& space() const { return space_; }
  /// Of each coordinate.
  const std::vector<Interval>& intervals() const { return intervals_; }
  Index dimensions() const { return static_cast<Index>(intervals_.size()); }
  bool is_whole(Index coordinate) const { return whole_[static_cast<std::size_t>(coordinate)]; }
  /// Some coordinate counts.
  bool counts() const;

  /// The row, and the measure that the Space has there in units of that of the coordinates.
  double row(const double* coordinates, double* row) const;
  void coordinates(const double* row, double* coordinates) const;
  /// `draws` has normal numbers, a column for each coordinate; most points are far from the bounds.
  Eigen::MatrixXd points(const Eigen::MatrixXd& draws) const;

  /// Directions in which a row may move, and how far (times a small number) before it leaves the Space; none of
  /// grids.
  struct Direction {
    Eigen::VectorXd along;
    double reach;
  };
  std::vector<Direction> directions(const Eigen::VectorXd& row) const;
  /// What turns differences of rows into coordinates in which the Space has its measure: (directions, columns); the
  /// inverse of the directions side by side.
  Eigen::MatrixXd projection(const Eigen::VectorXd& row) const;

  /// Rows near `row` that do not lie in the Space, of kinds that more than bounds make.
  std::vector<Eigen::VectorXd> outside(const Eigen::VectorXd& row) const;

 private:
  Space space_;
  std::vector<Interval> intervals_;
  std::vector<bool> whole_;
};

}  // namespace pushforward::testing::detail
