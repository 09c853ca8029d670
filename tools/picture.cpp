#include "tools/picture.hpp"

#include <algorithm>
#include <numbers>
#include <numeric>

namespace tool {

namespace {

double quantile(std::vector<double>& values, double p) {
  const double at = p * static_cast<double>(values.size() - 1);
  const auto k = static_cast<std::ptrdiff_t>(at);
  std::nth_element(values.begin(), values.begin() + k, values.end());
  return values[static_cast<std::size_t>(k)];
}

std::string tick_text(double value, double step) {
  if (std::abs(value) < step * 1e-6) value = 0;
  const double largest = std::max(std::abs(value), step);
  // With as many digits as tell neighbours apart.
  if (largest >= 1e5 || step < 1e-4)
    return fmt::format("{:.{}g}", value, std::max(4, static_cast<int>(std::log10(largest / step)) + 3));
  int decimals = 0;
  for (double s = step; decimals < 6 && std::abs(s - std::round(s)) > 1e-6 * s; s *= 10) ++decimals;
  return with_minus(fmt::format("{:.{}f}", value, decimals));
}

Index bin_of(const Axis& axis, double value) {
  const double at = (value - axis.low) / axis.bin_width();
  return at >= 0 && at < static_cast<double>(axis.bins) ? static_cast<Index>(at) : -1;
}

/// Convolves along the first index with a normal of standard deviation `sigma`, mirrored at the ends.
Eigen::MatrixXd smooth_down(const Eigen::MatrixXd& grid, double sigma) {
  const auto reach = static_cast<Index>(std::ceil(3 * sigma));
  Eigen::VectorXd weight(2 * reach + 1);
  for (Index k = -reach; k <= reach; ++k)
    weight[k + reach] = std::exp(-0.5 * std::pow(static_cast<double>(k) / sigma, 2));
  weight /= weight.sum();
  Eigen::MatrixXd out = Eigen::MatrixXd::Zero(grid.rows(), grid.cols());
  const Index n = grid.rows();
  for (Index i = 0; i < n; ++i)
    for (Index k = -reach; k <= reach; ++k) {
      Index from = i + k;
      if (from < 0) from = -1 - from;
      if (from >= n) from = 2 * n - 1 - from;
      out.row(i) += weight[k + reach] * grid.row(from);
    }
  return out;
}

}  // namespace

std::string with_minus(std::string text) {
  if (!text.empty() && text.front() == '-') text.replace(0, 1, "−");
  return text;
}

Axis make_axis(const std::string& name, const Eigen::VectorXd& column, Index bins) {
  Axis axis;
  axis.name = name;
  axis.bins = bins;
  std::vector<double> values(column.begin(), column.end());
  const double least = column.minCoeff(), most = column.maxCoeff();
  double low = quantile(values, 0.005), high = quantile(values, 0.995);
  if (!(high > low)) {
    low = least;
    high = most;
  }
  if (!(high > low)) {
    const double width = std::max(std::abs(low), 1.0) * 0.5;
    low -= width;
    high += width;
  }
  // A margin, but no emptiness beyond the data of more than half of it.
  const double margin = 0.12 * (high - low);
  axis.low = std::max(low - margin, std::min(low, least) - margin / 2);
  axis.high = std::min(high + margin, std::max(high, most) + margin / 2);
  add_ticks(axis);
  return axis;
}

void add_ticks(Axis& axis) {
  const double range = axis.high - axis.low;
  const double rough = range / 4.6;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 2.5, 5.0})
    if (factor * power >= rough) {
      step = factor * power;
      break;
    }
  for (double k = std::ceil(axis.low / step); k * step <= axis.high; ++k) {
    // Not in the corners, where labels of two panels would meet.
    if (k * step < axis.low + 0.04 * range || k * step > axis.high - 0.04 * range) continue;
    axis.ticks.emplace_back(k * step, tick_text(k * step, step));
  }
}

Eigen::MatrixXd density(const Eigen::VectorXd& x, const Eigen::VectorXd& y, const Axis& x_axis, const Axis& y_axis) {
  const Index bins = x_axis.bins;
  Eigen::MatrixXd counts = Eigen::MatrixXd::Zero(bins, bins);
  for (Index i = 0; i < x.size(); ++i) {
    const Index a = bin_of(x_axis, x[i]), b = bin_of(y_axis, y[i]);
    if (a >= 0 && b >= 0) counts(a, b) += 1;
  }
  const auto smooth = [](const Eigen::MatrixXd& grid, double sigma) {
    return Eigen::MatrixXd(smooth_down(smooth_down(grid, sigma).transpose(), sigma).transpose());
  };
  // Silverman's width for two dimensions, less than half of it: flows are fitted to what is not normal. Rows with few
  // others within that width are spread wider.
  const double n = std::max<double>(static_cast<double>(x.size()), 1), size = static_cast<double>(bins);
  const double width = std::clamp(0.08 * size * std::pow(n, -1.0 / 6.0), 0.009 * size, 0.05 * size);
  const Eigen::ArrayXXd near = smooth(counts, width).array() * (4 * std::numbers::pi * width * width);
  const Eigen::ArrayXXd dense = near / (near + 12);
  Eigen::MatrixXd grid = smooth((counts.array() * dense).matrix(), width) +
                         smooth((counts.array() * (1 - dense)).matrix(), 2.5 * width);
  const double peak = grid.maxCoeff();
  if (peak > 0) grid /= peak;
  return grid;
}

double level_of(const Eigen::MatrixXd& grid, double mass) {
  std::vector<double> values(grid.data(), grid.data() + grid.size());
  std::sort(values.begin(), values.end(), std::greater<>());
  const double target = mass * std::accumulate(values.begin(), values.end(), 0.0);
  double sum = 0;
  for (const double value : values)
    if ((sum += value) >= target) return value;
  return 0;
}

std::vector<Polyline> contours(const Eigen::MatrixXd& grid, double level, const Axis& x_axis, const Axis& y_axis) {
  const Index bins = grid.rows();
  // A crossing lies on the edge from node (i, j) to the right (0) or up (1): its number tells which.
  const auto edge = [bins](Index i, Index j, Index up) { return 2 * (j * bins + i) + up; };
  const auto above = [&](Index i, Index j) { return grid(i, j) > level; };
  std::vector<std::array<Index, 2>> links(static_cast<std::size_t>(2 * bins * bins), {-1, -1});
  const auto link = [&](Index a, Index b) {
    for (const auto& [from, to] : {std::pair{a, b}, std::pair{b, a}}) {
      auto& slots = links[static_cast<std::size_t>(from)];
      slots[slots[0] < 0 ? 0 : 1] = to;
    }
  };
  for (Index j = 0; j + 1 < bins; ++j)
    for (Index i = 0; i + 1 < bins; ++i) {
      const Index bottom = edge(i, j, 0), top = edge(i, j + 1, 0), left = edge(i, j, 1), right = edge(i + 1, j, 1);
      const bool a = above(i, j), b = above(i + 1, j), c = above(i + 1, j + 1), d = above(i, j + 1);
      std::vector<Index> crossed;
      if (a != b) crossed.push_back(bottom);
      if (b != c) crossed.push_back(right);
      if (c != d) crossed.push_back(top);
      if (d != a) crossed.push_back(left);
      if (crossed.size() == 2) link(crossed[0], crossed[1]);
      if (crossed.size() == 4) {
        // A saddle: the mean of the corners decides which ones belong together.
        const bool middle = (grid(i, j) + grid(i + 1, j) + grid(i + 1, j + 1) + grid(i, j + 1)) / 4 > level;
        link(bottom, middle == a ? right : left);
        link(top, middle == a ? left : right);
      }
    }
  std::vector<Polyline> lines;
  const auto point = [&](Index e) {
    const Index up = e % 2, i = e / 2 % bins, j = e / 2 / bins;
    const double from = grid(i, j), to = up ? grid(i, j + 1) : grid(i + 1, j);
    const double t = (level - from) / (to - from);
    const double x = static_cast<double>(i) + 0.5 + (up ? 0 : t), y = static_cast<double>(j) + 0.5 + (up ? t : 0);
    lines.back().push_back({x_axis.low + x * x_axis.bin_width(), y_axis.low + y * y_axis.bin_width()});
  };
  std::vector<bool> done(links.size());
  const auto follow = [&](Index start) {
    lines.emplace_back();
    point(start);
    done[static_cast<std::size_t>(start)] = true;
    for (Index at = start;;) {
      const auto& [p, q] = links[static_cast<std::size_t>(at)];
      const Index next = p >= 0 && !done[static_cast<std::size_t>(p)]   ? p
                         : q >= 0 && !done[static_cast<std::size_t>(q)] ? q
                                                                        : -1;
      if (next < 0) {
        if (p == start || q == start) point(start);  // closed
        break;
      }
      point(next);
      done[static_cast<std::size_t>(next)] = true;
      at = next;
    }
  };
  // Open lines begin at the frame; what is left are loops.
  for (std::size_t e = 0; e < links.size(); ++e)
    if (!done[e] && links[e][0] >= 0 && links[e][1] < 0) follow(static_cast<Index>(e));
  for (std::size_t e = 0; e < links.size(); ++e)
    if (!done[e] && links[e][0] >= 0) follow(static_cast<Index>(e));
  return lines;
}

std::vector<double> histogram(const Eigen::VectorXd& column, const Axis& axis, Index count) {
  std::vector<double> heights(static_cast<std::size_t>(count));
  const double width = (axis.high - axis.low) / static_cast<double>(count);
  const double unit = 1 / (width * std::max<double>(static_cast<double>(column.size()), 1));
  for (const double value : column) {
    const double at = (value - axis.low) / width;
    if (at >= 0 && at < static_cast<double>(count)) heights[static_cast<std::size_t>(at)] += unit;
  }
  return heights;
}

}  // namespace tool
