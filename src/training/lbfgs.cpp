#include <pushforward/training/lbfgs.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include <Eigen/Core>
#include <fmt/format.h>

#include <pushforward/error.hpp>

#include "src/core/number_text.hpp"

namespace pushforward {

namespace {

using Eigen::VectorXd;

/// The loss as a function of all values, with its gradient; padding is zero.
template <Scalar T>
class Function {
 public:
  Function(const Optimizer<T>& optimizer, Trials<T>& trials, std::vector<Index> offsets, Index size,
           double weight_decay)
      : slots_(optimizer.parameters()), offsets_(std::move(offsets)), size_(size), trials_(trials),
        weight_decay_(weight_decay) {}

  VectorXd values() const {
    VectorXd x = VectorXd::Zero(size_);
    for_each([&](Index at, const Slot<T>& slot) {
      for (Index i = 0; i < slot.tensor->size(); ++i) x[at + i] = static_cast<double>((*slot.tensor)[i]);
    });
    return x;
  }
  void put(const VectorXd& x) {
    for_each([&](Index at, const Slot<T>& slot) {
      for (Index i = 0; i < slot.tensor->size(); ++i) (*slot.tensor)[i] = static_cast<T>(x[at + i]);
    });
  }
  double evaluate() { return penalised(trials_.evaluate()); }
  /// With the penalty of weight decay.
  double penalised(double loss) const {
    double sum = 0;
    for_each([&](Index, const Slot<T>& slot) {
      if (!slot.attributes.decay || weight_decay_ == 0) return;
      for (const T v : slot.tensor->values()) sum += static_cast<double>(v) * static_cast<double>(v);
    });
    return loss + 0.5 * weight_decay_ * sum;
  }
  VectorXd gradient() const {
    VectorXd g = VectorXd::Zero(size_);
    for_each([&](Index at, const Slot<T>& slot) {
      const T* own = trials_.gradients().find(slot.tensor);
      const double decay = slot.attributes.decay ? weight_decay_ : 0.0;
      for (Index i = 0; i < slot.tensor->size(); ++i)
        g[at + i] = static_cast<double>(own[i]) + decay * static_cast<double>((*slot.tensor)[i]);
    });
    return g;
  }

 private:
  template <class F>
  void for_each(const F& f) const {
    for (std::size_t k = 0; k < slots_.size(); ++k) f(offsets_[k], slots_[k]);
  }

  const std::vector<Slot<T>>& slots_;
  std::vector<Index> offsets_;
  Index size_;
  Trials<T>& trials_;
  double weight_decay_;
};

/// A point on the line x + a d.
struct Point {
  double a = 0;
  double value = 0;
  double slope = 0;
};

/// The minimum of the cubic through two points with their slopes, kept away from both ends; the middle where there is
/// none. Nocedal and Wright, eq. 3.59.
double cubic_minimum(const Point& p, const Point& q) {
  const double low = std::min(p.a, q.a), width = std::abs(q.a - p.a), middle = 0.5 * (p.a + q.a);
  const double d1 = p.slope + q.slope - 3 * (p.value - q.value) / (p.a - q.a);
  const double square = d1 * d1 - p.slope * q.slope;
  if (!(square >= 0)) return middle;
  const double d2 = std::copysign(std::sqrt(square), q.a - p.a);
  const double a = q.a - (q.a - p.a) * ((q.slope + d2 - d1) / (q.slope - p.slope + 2 * d2));
  return std::isfinite(a) ? std::clamp(a, low + 0.1 * width, low + 0.9 * width) : middle;
}

/// A step length that satisfies the strong Wolfe conditions: Nocedal and Wright, algorithms 3.5 and 3.6.
template <class Phi>
class LineSearch {
 public:
  /// `noise`: differences of values below it mean nothing.
  LineSearch(const LBfgsOptions& options, double noise, const Phi& phi)
      : options_(options), noise_(noise), phi_(phi) {}

  /// Ends at the point that was evaluated last. Nothing where no point is better than the first.
  std::optional<Point> run(const Point& start, double first) {
    start_ = start;
    Point previous = start;
    for (double a = first; left_ > 0; a *= 2) {
      const Point point = evaluate(a);
      if (too_high(point) || (previous.a > 0 && point.value > previous.value + noise_)) return zoom(previous, point);
      if (flat(point)) return point;
      if (point.slope >= 0) return zoom(point, previous);
      previous = point;
    }
    return settle(previous);
  }

 private:
  Point evaluate(double a) {
    --left_;
    return last_ = phi_(a);
  }
  /// Decreases too little. Where the difference of the values is noise, the slope tells.
  bool too_high(const Point& p) const {
    if (p.value <= start_.value + options_.decrease * p.a * start_.slope) return false;
    return !(p.value <= start_.value + noise_ && p.slope <= (2 * options_.decrease - 1) * start_.slope);
  }
  bool flat(const Point& p) const { return std::abs(p.slope) <= -options_.curvature * start_.slope; }

  std::optional<Point> zoom(Point low, Point high) {
    while (left_ > 0 && std::abs(high.a - low.a) > 1e-16 * std::abs(low.a)) {
      const Point point =
          evaluate(std::isfinite(high.value) ? cubic_minimum(low, high) : 0.5 * (low.a + high.a));
      if (too_high(point) || point.value > low.value + noise_) {
        high = point;
      } else {
        if (flat(point)) return point;
        if (point.slope * (high.a - low.a) >= 0) high = low;
        low = point;
      }
    }
    return settle(low);
  }
  /// Without all conditions: any decrease will do.
  std::optional<Point> settle(const Point& p) {
    if (!(p.a > 0 && p.value < start_.value)) return std::nullopt;
    return p.a == last_.a ? p : phi_(p.a);
  }

  const LBfgsOptions& options_;
  double noise_;
  const Phi& phi_;
  Point start_, last_;
  Index left_ = options_.evaluations;
};

/// Pairs of differences, in the rows of two tensors, the latest last.
class Pairs {
 public:
  Pairs(Tensor<double>& s, Tensor<double>& y) : s_(s), y_(y), memory_(s.extent(0)), size_(s.extent(1)) {}

  void forget() {
    std::fill(s_.values().begin(), s_.values().end(), 0.0);
    std::fill(y_.values().begin(), y_.values().end(), 0.0);
  }
  bool empty() const { return size_ == 0 || row(y_, memory_ - 1).squaredNorm() == 0; }
  void add(const VectorXd& s, const VectorXd& y) {
    for (Tensor<double>* t : {&s_, &y_}) std::copy(t->data() + size_, t->data() + memory_ * size_, t->data());
    std::copy(s.begin(), s.end(), s_.data() + (memory_ - 1) * size_);
    std::copy(y.begin(), y.end(), y_.data() + (memory_ - 1) * size_);
  }
  /// H g: Nocedal and Wright, algorithm 7.4, with H0 = (s'y / y'y) I of the latest pair, eq. 7.20.
  VectorXd times(const VectorXd& g) const {
    VectorXd q = g, alpha = VectorXd::Zero(memory_);
    double scale = 1;
    for (Index i = memory_ - 1; i >= 0; --i) {
      const double sy = row(s_, i).dot(row(y_, i));
      if (sy <= 0) break;  // the others are not there yet
      if (i == memory_ - 1) scale = sy / row(y_, i).squaredNorm();
      alpha[i] = row(s_, i).dot(q) / sy;
      q -= alpha[i] * row(y_, i);
    }
    q *= scale;
    for (Index i = 0; i < memory_; ++i) {
      const double sy = row(s_, i).dot(row(y_, i));
      if (sy > 0) q += (alpha[i] - row(y_, i).dot(q) / sy) * row(s_, i);
    }
    return q;
  }

 private:
  Eigen::Map<const VectorXd> row(const Tensor<double>& t, Index i) const { return {t.data() + i * size_, size_}; }

  Tensor<double>& s_;
  Tensor<double>& y_;
  Index memory_, size_;
};

}  // namespace

template <Scalar T>
LBfgs<T>::LBfgs(LBfgsOptions options) : options_(options) {
  const auto check = [](bool good, const char* name, double value, const char* expected) {
    if (!good)
      throw DomainError(fmt::format("LBfgs: {} must be {}, got {}", name, expected, detail::unsigned_nan(value)));
  };
  check(options.memory >= 1, "memory", static_cast<double>(options.memory), "at least 1");
  check(options.iterations >= 1, "iterations", static_cast<double>(options.iterations), "at least 1");
  check(options.evaluations >= 1, "evaluations", static_cast<double>(options.evaluations), "at least 1");
  check(options.gradient_tolerance >= 0, "gradient_tolerance", options.gradient_tolerance, "at least 0");
  check(options.decrease > 0 && options.decrease < 0.5, "decrease", options.decrease, "in (0, 0.5)");
  check(options.curvature > options.decrease && options.curvature < 1, "curvature", options.curvature,
        "in (decrease, 1)");
}

template <Scalar T>
Description LBfgs<T>::do_describe() const {
  return {.type = "lbfgs",
          .constants = {{"memory", static_cast<std::int64_t>(options_.memory)},
                        {"iterations", static_cast<std::int64_t>(options_.iterations)},
                        {"gradient_tolerance", options_.gradient_tolerance},
                        {"decrease", options_.decrease},
                        {"curvature", options_.curvature},
                        {"evaluations", static_cast<std::int64_t>(options_.evaluations)}},
          .children = {}};
}

template <Scalar T>
void LBfgs<T>::do_start() {
  s_ = Tensor<double>({options_.memory, this->size()});
  y_ = Tensor<double>({options_.memory, this->size()});
}

template <Scalar T>
void LBfgs<T>::do_search(Trials<T>& trials, double loss, const typename Optimizer<T>::Step& step) {
  std::vector<Index> offsets;
  for (std::size_t k = 0; k < this->parameters().size(); ++k) offsets.push_back(this->offset(k));
  Function<T> f(*this, trials, std::move(offsets), this->size(), step.weight_decay);
  Pairs pairs(s_, y_);
  VectorXd x = f.values(), g = f.gradient();
  double value = f.penalised(loss);

  for (Index iteration = 0; iteration < options_.iterations; ++iteration) {
    if (x.size() == 0 || g.lpNorm<Eigen::Infinity>() <= options_.gradient_tolerance) return;
    VectorXd d = -pairs.times(g);
    double slope = g.dot(d);
    if (!(slope < 0)) {
      pairs.forget();
      d = -g;
      slope = g.dot(d);
    }
    const auto phi = [&](double a) {
      f.put(x + a * d);
      const double at = f.evaluate();
      return Point{a, at, std::isfinite(at) ? f.gradient().dot(d) : 0.0};
    };
    // What rounding leaves uncertain in a mean of many terms.
    const double noise = 4 * static_cast<double>(std::numeric_limits<T>::epsilon()) * std::max(1.0, std::abs(value));
    const double first = pairs.empty() ? std::min(1.0, 1 / g.lpNorm<1>()) : 1.0;
    const std::optional<Point> found = LineSearch(options_, noise, phi).run({0, value, slope}, first);
    if (!found) {
      f.put(x);
      if (pairs.empty()) return;
      pairs.forget();  // once more, straight down
      continue;
    }
    const VectorXd x_next = f.values(), g_next = f.gradient(), s = x_next - x, y = g_next - g;
    if (s.dot(y) > std::numeric_limits<double>::epsilon() * y.squaredNorm()) pairs.add(s, y);
    x = x_next;
    g = g_next;
    value = found->value;
  }
}

template class LBfgs<float>;
template class LBfgs<double>;

}  // namespace pushforward
