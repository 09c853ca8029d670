#include "src/testing/chart.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include <Eigen/Cholesky>

namespace pushforward::testing::detail {

namespace {

using Kind = Space::Kind;
using Block = Space::Block;

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double pi = std::numbers::pi;

Index side(const Block& b) { return static_cast<Index>(std::llround(std::sqrt(static_cast<double>(b.columns)))); }

/// f(block, its first column, its first coordinate)
template <class F>
void for_each_block(const Space& space, F f) {
  Index column = 0, coordinate = 0;
  for (const Block& b : space.blocks()) {
    f(b, column, coordinate);
    column += b.columns;
    coordinate += b.dimensions();
  }
}

// The sphere of `columns`: the last column is a height h in (-1, 1), the others are a smaller sphere times
// sqrt(1 - h^2), down to the circle, which is cut open at its pole (0, 1).
double sphere_row(const double* u, double* row, Index columns) {
  double radius = 1, element = 1;
  for (Index c = columns - 1; c >= 2; --c) {
    const double h = *u++, rest = std::sqrt((1 - h) * (1 + h));
    row[c] = radius * h;
    element *= std::pow(rest, static_cast<double>(c) - 2);
    radius *= rest;
  }
  row[0] = radius * std::sin(*u);
  row[1] = -radius * std::cos(*u);
  return element;
}

void sphere_coordinates(const double* row, double* u, Index columns) {
  double radius = 1;
  for (Index c = columns - 1; c >= 2; --c) {
    const double h = std::clamp(row[c] / radius, -1.0, 1.0);
    *u++ = h;
    radius *= std::sqrt((1 - h) * (1 + h));
  }
  *u = std::atan2(row[0], -row[1]);
}

// A ball: each column takes a share, in (-1, 1), of what those before leave it.
double left_in_ball(const Block& b, double left, double column) {
  return b.kind == Kind::l1_ball ? left - std::abs(column) : std::sqrt((left - column) * (left + column));
}

double block_row(const Block& b, const double* u, double* row) {
  const Index n = side(b);
  double element = 1, left = 1;
  switch (b.kind) {
    case Kind::simplex:
      for (Index c = 0; c + 1 < b.columns; ++c) {
        element *= left;
        row[c] = left * u[c];
        left *= 1 - u[c];
      }
      row[b.columns - 1] = left;
      return element;
    case Kind::zero_sum:
      row[b.columns - 1] = 0;
      for (Index c = 0; c + 1 < b.columns; ++c) row[b.columns - 1] -= row[c] = u[c];
      return 1;
    case Kind::ball:
    case Kind::l1_ball:
      for (Index c = 0; c < b.columns; ++c) {
        element *= left;
        row[c] = left * u[c];
        left = left_in_ball(b, left, row[c]);
      }
      return element;
    case Kind::ordered:
      row[0] = u[0];
      for (Index c = 1; c < b.columns; ++c) row[c] = row[c - 1] + u[c];
      return 1;
    case Kind::sphere: return sphere_row(u, row, b.columns);
    case Kind::lower_triangular:
    case Kind::positive_definite: {
      Eigen::MatrixXd l = Eigen::MatrixXd::Zero(n, n);
      for (Index i = 0; i < n; ++i)
        for (Index j = 0; j <= i; ++j) l(i, j) = *u++;
      if (b.kind == Kind::positive_definite) {
        for (Index i = 0; i < n; ++i) element *= 2 * std::pow(l(i, i), static_cast<double>(n - i));
        l = l * l.transpose().eval();
      }
      for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < n; ++j) row[i * n + j] = l(i, j);
      return element;
    }
    case Kind::correlation:
      for (Index i = 0; i < n; ++i) {
        left = 1;
        for (Index j = 0; j < n; ++j) {
          row[i * n + j] = j < i ? left * *u : j == i ? left : 0;
          if (j >= i) continue;
          element *= left;
          left *= std::sqrt((1 - *u) * (1 + *u));
          ++u;
        }
      }
      return element;
    case Kind::grid:
      for (Index c = 0; c < b.columns; ++c) row[c] = b.grids[static_cast<std::size_t>(c)].number(u[c]);
      return 1;
    default: std::copy_n(u, b.columns, row); return 1;
  }
}

void block_coordinates(const Block& b, const double* row, double* u) {
  const Index n = side(b);
  switch (b.kind) {
    case Kind::simplex: {
      double left = 0;
      for (Index c = b.columns - 1; c-- > 0;) {
        left += row[c + 1];
        u[c] = row[c] / (row[c] + left);
      }
      return;
    }
    case Kind::zero_sum: std::copy_n(row, b.columns - 1, u); return;
    case Kind::ball:
    case Kind::l1_ball: {
      double left = 1;
      for (Index c = 0; c < b.columns; ++c) {
        u[c] = row[c] / left;
        left = left_in_ball(b, left, row[c]);
      }
      return;
    }
    case Kind::ordered:
      u[0] = row[0];
      for (Index c = 1; c < b.columns; ++c) u[c] = row[c] - row[c - 1];
      return;
    case Kind::sphere: sphere_coordinates(row, u, b.columns); return;
    case Kind::lower_triangular:
    case Kind::positive_definite: {
      using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
      Eigen::MatrixXd l = Eigen::Map<const RowMajor>(row, n, n);
      if (b.kind == Kind::positive_definite) l = l.llt().matrixL().toDenseMatrix();
      for (Index i = 0; i < n; ++i)
        for (Index j = 0; j <= i; ++j) *u++ = l(i, j);
      return;
    }
    case Kind::correlation:
      for (Index i = 1; i < n; ++i) {
        double left = 1;
        for (Index j = 0; j < i; ++j, ++u) {
          *u = row[i * n + j] / left;
          left *= std::sqrt((1 - *u) * (1 + *u));
        }
      }
      return;
    case Kind::grid:
      for (Index c = 0; c < b.columns; ++c) u[c] = b.grids[static_cast<std::size_t>(c)].nearest(row[c]);
      return;
    default: std::copy_n(row, b.columns, u);
  }
}

/// How far a column may move within its bounds.
double room(double v, const Interval& i) { return std::min({std::max(1.0, std::abs(v)), v - i.low, i.high - v}); }

}  // namespace

Chart::Chart(Space space) : space_(std::move(space)) {
  for (const Block& b : space_.blocks()) {
    const Index n = side(b), dimensions = b.dimensions();
    for (Index k = 0; k < dimensions; ++k) {
      Interval interval = b.bounds[static_cast<std::size_t>(k)];
      if (b.kind == Kind::simplex) interval = {0, 1};
      if (b.kind == Kind::ordered && k > 0) interval = {0, inf};
      if (b.kind == Kind::sphere) interval = k + 1 < dimensions ? Interval{-1, 1} : Interval{-pi, pi};
      if (b.kind == Kind::correlation || b.kind == Kind::ball || b.kind == Kind::l1_ball) interval = {-1, 1};
      if (b.kind == Kind::grid) {
        const Grid& grid = b.grids[static_cast<std::size_t>(k)];
        interval = {std::isinf(interval.low) ? -inf : grid.nearest(interval.low),
                    std::isinf(interval.high) ? inf : grid.nearest(interval.high)};
      }
      intervals_.push_back(interval);
      whole_.push_back(b.kind == Kind::grid);
    }
    if (b.kind != Kind::lower_triangular && b.kind != Kind::positive_definite) continue;
    for (Index i = 0, k = static_cast<Index>(intervals_.size()) - dimensions; i < n; ++i)
      for (Index j = 0; j <= i; ++j, ++k)
        intervals_[static_cast<std::size_t>(k)] = j == i ? Interval{0, inf} : Interval{};
  }
}

bool Chart::counts() const { return std::find(whole_.begin(), whole_.end(), true) != whole_.end(); }

double Chart::row(const double* coordinates, double* row) const {
  double element = 1;
  for_each_block(space_, [&](const Block& b, Index column, Index coordinate) {
    element *= block_row(b, coordinates + coordinate, row + column);
  });
  return element;
}

void Chart::coordinates(const double* row, double* coordinates) const {
  for_each_block(space_, [&](const Block& b, Index column, Index coordinate) {
    block_coordinates(b, row + column, coordinates + coordinate);
  });
}

Eigen::MatrixXd Chart::points(const Eigen::MatrixXd& draws) const {
  Eigen::MatrixXd result(draws.rows(), space_.columns());
  Eigen::VectorXd u(dimensions()), row(space_.columns());
  for (Index i = 0; i < draws.rows(); ++i) {
    for (Index k = 0; k < dimensions(); ++k) {
      const auto [low, high] = intervals_[static_cast<std::size_t>(k)];
      const double v = draws(i, k);
      if (is_whole(k)) {
        const double share = 1 / (1 + std::exp(-1.2 * v)), steps = std::floor(std::exp(v));
        u[k] = std::isinf(low) && std::isinf(high) ? std::floor(3 * v)
               : std::isinf(high)                  ? low + steps
               : std::isinf(low)                   ? high - steps
                                                   : std::min(high, low + std::floor((high - low + 1) * share));
      } else if (std::isinf(low) && std::isinf(high)) {
        u[k] = 1.2 * v;
      } else if (std::isinf(high)) {
        u[k] = low + std::exp(0.7 * v);
      } else if (std::isinf(low)) {
        u[k] = high - std::exp(0.7 * v);
      } else {
        u[k] = low + (high - low) / (1 + std::exp(-1.2 * v));
      }
    }
    this->row(u.data(), row.data());
    result.row(i) = row;
  }
  return result;
}

std::vector<Chart::Direction> Chart::directions(const Eigen::VectorXd& row) const {
  std::vector<Direction> result;
  for_each_block(space_, [&](const Block& b, Index first, Index) {
    const Index n = side(b), last = first + b.columns - 1;
    const auto at = [&](Index c) { return room(row[first + c], b.bounds[static_cast<std::size_t>(c)]); };
    const auto add = [&](double reach) -> Eigen::VectorXd& {
      result.push_back({Eigen::VectorXd::Zero(row.size()), reach});
      return result.back().along;
    };
    switch (b.kind) {
      case Kind::grid: return;
      case Kind::simplex:
        for (Index c = 0; c + 1 < b.columns; ++c) {
          Eigen::VectorXd& along = add(std::min(row[first + c], row[last]));
          along[first + c] = 1;
          along[last] = -1;
        }
        return;
      case Kind::ball:
      case Kind::l1_ball: {
        const Eigen::VectorXd v = row.segment(first, b.columns);
        const double free = 1 - (b.kind == Kind::ball ? v.norm() : v.cwiseAbs().sum());
        for (Index c = 0; c < b.columns; ++c) add(free)[first + c] = 1;
        return;
      }
      case Kind::zero_sum:
        for (Index c = 0; c + 1 < b.columns; ++c) {
          Eigen::VectorXd& along = add(at(c));
          along[first + c] = 1;
          along[last] = -1;
        }
        return;
      case Kind::ordered:
        for (Index c = 0; c < b.columns; ++c) {
          double reach = at(c);
          if (c > 0) reach = std::min(reach, row[first + c] - row[first + c - 1]);
          if (first + c < last) reach = std::min(reach, row[first + c + 1] - row[first + c]);
          add(reach)[first + c] = 1;
        }
        return;
      case Kind::sphere: {
        // Columns of the reflection that takes the last axis to the row, up to sign: orthonormal, and along the sphere.
        Eigen::VectorXd v = row.segment(first, b.columns);
        v[b.columns - 1] += v[b.columns - 1] < 0 ? -1 : 1;
        for (Index c = 0; c + 1 < b.columns; ++c) {
          Eigen::VectorXd& along = add(1);
          along.segment(first, b.columns) = -2 * v[c] / v.squaredNorm() * v;
          along[first + c] += 1;
        }
        return;
      }
      case Kind::lower_triangular:
      case Kind::positive_definite:
        for (Index i = 0; i < n; ++i)
          for (Index j = 0; j <= i; ++j) {
            Eigen::VectorXd& along = add(at(i * n + j));
            along[first + i * n + j] = 1;
            if (b.kind == Kind::positive_definite) along[first + j * n + i] = 1;
          }
        return;
      case Kind::correlation:
        for (Index i = 1; i < n; ++i)
          for (Index j = 0; j < i; ++j) {
            const double own = row[first + i * n + j], diagonal = row[first + i * n + i];
            Eigen::VectorXd& along = add(diagonal * diagonal);
            along[first + i * n + j] = 1;
            along[first + i * n + i] = -own / diagonal;
          }
        return;
      default:
        for (Index c = 0; c < b.columns; ++c) add(at(c))[first + c] = 1;
    }
  });
  return result;
}

Eigen::MatrixXd Chart::projection(const Eigen::VectorXd& row) const {
  const std::vector<Direction> all = directions(row);
  Eigen::MatrixXd result = Eigen::MatrixXd::Zero(static_cast<Index>(all.size()), row.size());
  // The entry that is moved by 1; on the sphere the directions are orthonormal.
  Index k = 0;
  for_each_block(space_, [&](const Block& b, Index first, Index) {
    const Index n = side(b);
    if (b.kind == Kind::grid) return;
    if (b.kind == Kind::sphere) {
      for (Index c = 0; c + 1 < b.columns; ++c, ++k) result.row(k) = all[static_cast<std::size_t>(k)].along;
    } else if (b.kind == Kind::lower_triangular || b.kind == Kind::positive_definite || b.kind == Kind::correlation) {
      for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < (b.kind == Kind::correlation ? i : i + 1); ++j) result(k++, first + i * n + j) = 1;
    } else {
      for (Index c = 0; c < b.dimensions(); ++c) result(k++, first + c) = 1;
    }
  });
  return result;
}

std::vector<Eigen::VectorXd> Chart::outside(const Eigen::VectorXd& row) const {
  std::vector<Eigen::VectorXd> result;
  for_each_block(space_, [&](const Block& b, Index first, Index) {
    const Index n = side(b);
    const auto changed = [&](auto change) {
      Eigen::VectorXd v = row;
      change(v.segment(first, b.columns));
      result.push_back(v);
    };
    using Part = Eigen::Ref<Eigen::VectorXd>;
    switch (b.kind) {
      case Kind::grid: changed([&](Part v) { v[0] += 0.5 * b.grids[0].step; }); return;
      case Kind::simplex:
        changed([](Part v) { v *= 1.01; });
        changed([](Part v) { v *= 0.5; });
        changed([](Part v) { v.setZero(); });
        for (Index c = 0; c < b.columns; ++c)
          changed([&](Part v) {
            v[c == 0 ? 1 : 0] += v[c];
            v[c] = 0;  // on the boundary
          });
        changed([](Part v) {
          v[0] += 2 * v[1];
          v[1] = -v[1];
        });
        return;
      case Kind::ball:
        changed([](Part v) { v /= v.norm() / 1.01; });
        changed([](Part v) { v[0] = 1; });
        return;
      case Kind::l1_ball:
        changed([](Part v) { v /= v.cwiseAbs().sum() / 1.01; });
        changed([](Part v) { v[0] = -1; });
        return;
      case Kind::zero_sum:
        changed([](Part v) { v[0] += 0.01 * (1 + v.cwiseAbs().sum()); });
        return;
      case Kind::ordered:
        for (Index c = 1; c < b.columns; ++c) {
          changed([&](Part v) { v[c] = v[c - 1]; });
          changed([&](Part v) { std::swap(v[c], v[c - 1]); });
        }
        return;
      case Kind::sphere:
        changed([](Part v) { v *= 1.01; });
        changed([](Part v) { v *= 0.99; });
        changed([](Part v) { v.setZero(); });
        return;
      case Kind::lower_triangular:
        changed([&](Part v) { v[0] = -v[0]; });
        changed([&](Part v) { v[b.columns - 1] = 0; });
        if (n > 1) changed([](Part v) { v[1] = 0.5; });
        return;
      case Kind::positive_definite:
        changed([](Part v) { v = -v; });
        changed([](Part v) { v.setZero(); });
        if (n > 1) changed([](Part v) { v[1] += 0.5; });
        if (n > 1) changed([&](Part v) { v[1] = v[n] = std::sqrt(v[0] * v[n + 1]) * 1.01; });
        return;
      case Kind::correlation:
        changed([](Part v) { v *= 1.01; });
        changed([](Part v) { v[1] = 0.1; });
        changed([&](Part v) { v[b.columns - 1] = -v[b.columns - 1]; });
        return;
      default: return;
    }
  });
  return result;
}

}  // namespace pushforward::testing::detail
