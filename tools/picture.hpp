#pragma once

// What pictures of rows are made of.

#include <array>
#include <string>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include "tools/tool.hpp"

namespace tool {

/// With the sign that is as wide as the digits.
std::string with_minus(std::string text);

struct Axis {
  std::string name;
  double low = 0, high = 1;
  Index bins = 0;  // of a panel's image
  std::vector<std::pair<double, std::string>> ticks;
  double bin_width() const { return (high - low) / static_cast<double>(bins); }
};

/// For a column's values, without far ones; a panel's image has so many bins along it.
Axis make_axis(const std::string& name, const Eigen::VectorXd& column, Index bins);
/// For any range.
void add_ticks(Axis& axis);

/// Smoothed density of two columns on the bins of a panel, (x, y); largest value 1.
Eigen::MatrixXd density(const Eigen::VectorXd& x, const Eigen::VectorXd& y, const Axis& x_axis, const Axis& y_axis);
/// The level above which `mass` of the grid's sum lies.
double level_of(const Eigen::MatrixXd& grid, double mass);
using Polyline = std::vector<std::array<double, 2>>;
/// Lines where the grid crosses `level`, by marching squares.
std::vector<Polyline> contours(const Eigen::MatrixXd& grid, double level, const Axis& x_axis, const Axis& y_axis);
/// Heights of a histogram of unit area (of all rows: what lies outside the axis counts too).
std::vector<double> histogram(const Eigen::VectorXd& column, const Axis& axis, Index count);

}  // namespace tool
