#include <pushforward/bijectors/numerical_inverse.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include <pushforward/error.hpp>

namespace pushforward {

namespace {

constexpr Choice<Solved> solved_choices[] = {{Solved::forward, "forward"}, {Solved::inverse, "inverse"}};

/// Points of an interval by a coordinate t from -1 to 1, so that halving soon comes near a number of any size and of
/// any distance from an end: on the real line sign(t) expm1(|t| log(largest number)); otherwise the distance from an
/// end, the nearer one of two, goes with exp.
template <Scalar T>
class Bracket {
 public:
  explicit Bracket(const Interval& i) : low_(i.low), high_(i.high), log_half_(std::log(0.5 * i.high - 0.5 * i.low)) {
    constexpr T infinity = std::numeric_limits<T>::infinity(), largest = std::numeric_limits<T>::max();
    first_ = std::isfinite(low_) ? std::nextafter(static_cast<T>(low_), infinity) : -largest;
    last_ = std::isfinite(high_) ? std::nextafter(static_cast<T>(high_), -infinity) : largest;
  }
  T at(double t) const {
    const bool below = std::isfinite(low_), above = std::isfinite(high_);
    const double log_largest = std::log(static_cast<double>(std::numeric_limits<T>::max()));
    const double log_smallest = std::log(static_cast<double>(std::numeric_limits<T>::denorm_min()));
    // Of t = 1, and of -1.
    const auto distance = [&](double t) { return std::exp(t < 0 ? -t * log_smallest : t * log_largest); };
    double x;
    if (below && above) {
      const double d = std::exp(log_half_ + std::abs(t) * (log_smallest - log_half_));
      x = t <= 0 ? low_ + d : high_ - d;
    } else if (below) {
      x = low_ + distance(t);
    } else if (above) {
      x = high_ - distance(-t);
    } else {
      x = std::copysign(std::expm1(std::abs(t) * log_largest), t);
    }
    return static_cast<T>(std::clamp<double>(x, first_, last_));
  }
  /// A point that any map of the interval takes without trouble.
  T inside() const { return at(0); }
  T first() const { return first_; }
  T last() const { return last_; }
  /// x, or the last number before the bound that it stepped over.
  Var<T> keep(Var<T> x) const { return clamp(x, first_, last_); }

 private:
  double low_, high_, log_half_;
  T first_, last_;
};

}  // namespace

template <Scalar T>
auto NumericalInverse<T>::solve(Pass<T>& pass, Var<T> y, Params params) const -> Elements {
  // Each halving gives a bit of the coordinate; the rest is Newton's.
  constexpr int halvings = sizeof(T) == 8 ? 70 : 38;
  constexpr T tolerance = sizeof(T) == 8 ? T(1e-7) : T(1e-2);
  Tape<T>& tape = pass.tape();
  const Index cols = y.cols(), n = tape.padded_rows(), rows = tape.local_rows();
  // The root lies where the solved direction leads.
  const bool forward = solved_ == Solved::forward;
  const Interval given = forward ? this->domain() : this->codomain();
  const Interval sought = forward ? this->codomain() : this->domain();
  const Bracket<T> bracket(sought);
  y = pass.restrict_to(y, given);
  const Var<T> root = tape.matrix(cols, false), inverse_slope = tape.matrix(cols, false);
  auto* low = tape.template scratch<double>(n);
  auto* high = tape.template scratch<double>(n);
  auto* marks = tape.template scratch<std::uint8_t>(n);
  std::fill_n(marks, n, std::uint8_t{0});
  // Which of the two sides of y a trial was seen on: only between both a root is certain.
  constexpr std::uint8_t at_most = 1, at_least = 2;
  auto* seen = tape.template scratch<std::uint8_t>(n * cols);
  std::fill_n(seen, n * cols, std::uint8_t{0});
  std::copy_n(pass.outside(), rows, marks);
  // Column by column: what a trial says of its row, overflow on the way among it, is of that element then.
  const auto try_column = [&](Index c) {
    const std::span<Var<T>> own(tape.template scratch<Var<T>>(static_cast<Index>(params.size())), params.size());
    for (std::size_t p = 0; p < params.size(); ++p) new (&own[p]) Var<T>(columns(params[p], c, 1));
    std::fill_n(pass.outside(), rows, std::uint8_t{0});
    return closed(pass, columns(root, c, 1), own);
  };
  for (Index c = 0; c < cols; ++c) {
    const T* wanted = tape.value(y, c);
    T* x = tape.value(root, c);
    std::fill_n(low, n, -1.0);
    std::fill_n(high, n, 1.0);
    for (int k = 0; k < halvings; ++k) {
      for (Index i = 0; i < n; ++i) x[i] = bracket.at(0.5 * (low[i] + high[i]));
      const typename Tape<T>::Scope scope(tape, Tape<T>::Mode::evaluate);
      const T* value = tape.value(try_column(c).value, 0);
      for (Index i = 0; i < n; ++i) {
        // What is beyond the numbers, and what equal numbers leave open, inwards: on a plateau next to an end that is
        // its nearer point, and the two sides of an odd map take the same steps.
        const double middle = 0.5 * (low[i] + high[i]);
        const bool beyond = i < rows && pass.outside()[i] != 0;
        const bool less = !beyond && value[i] < wanted[i], more = !beyond && value[i] > wanted[i], open = !less && !more;
        if (!beyond && value[i] <= wanted[i]) seen[c * n + i] |= at_most;
        if (!beyond && value[i] >= wanted[i]) seen[c * n + i] |= at_least;
        low[i] = more || (open && middle > 0) ? low[i] : middle;
        high[i] = less || (open && middle < 0) ? high[i] : middle;
      }
    }
    const typename Tape<T>::Scope scope(tape, Tape<T>::Mode::evaluate);
    const Elements at = try_column(c);
    const Var<T> slope = at.log_derivative ? exp(at.log_derivative) : Var<T>();
    const T *value = tape.value(at.value, 0), *own = slope ? tape.value(slope, 0) : nullptr;
    T* inverse = tape.value(inverse_slope, c);
    for (Index i = 0; i < n; ++i) {
      // A slope that is 0 or infinite in T, as near the ends of the bracket, is cut to the numbers: the halvings have
      // found what there is.
      constexpr T largest = std::numeric_limits<T>::max();
      const T g = own ? std::min(own[i], largest) : T(1);
      const T moved = std::min(std::abs(g * x[i]), largest), miss = std::abs(value[i] - wanted[i]);
      const bool found = miss <= tolerance * (T(1) + std::abs(wanted[i]) + moved) && std::isfinite(miss) &&
                         (!own || std::isfinite(tape.value(at.log_derivative, 0)[i])) &&
                         !(i < rows && pass.outside()[i] != 0);
      inverse[i] = found ? std::min(T(1) / g, largest) : T(0);
      if (found) continue;
      x[i] = bracket.inside();
      marks[i] |= 1;
    }
  }
  // What was tried on the way says nothing about the rows.
  std::copy_n(marks, rows, pass.outside());
  // The step carries the gradient of the implicit function: root and slope are constants in it.
  const Var<T> x = bracket.keep(root - (closed(pass, root, params).value - y) * inverse_slope);
  const Elements at = closed(pass, x, params);
  // The last number of T that g takes, before an end of the interval or before g overflows, would stand for all y
  // beyond: an answer only where no other number is nearer, but for the rounding of g. Where g levels off towards
  // infinity, so that a rounding in y is all the way, only where it is exact. Between two ends y may go with a power p
  // of the distance from one, and straight on is 1 / p numbers away then, though the root is nearer than the first.
  constexpr T infinity = std::numeric_limits<T>::infinity(), epsilon = std::numeric_limits<T>::epsilon();
  constexpr T least_power = T(1) / 64;
  const double size = std::max(std::abs(given.low), std::abs(given.high));
  const auto nearest = [&](bool last, T miss, T wanted, T slope, T gap) {
    const bool levels = std::isfinite(last ? given.high : given.low);
    if (levels && std::isinf(last ? sought.high : sought.low)) return miss == T(0);
    const T scale = levels && std::isfinite(size) ? static_cast<T>(size) : std::abs(wanted);
    return (miss - 8 * epsilon * scale) * slope <= (levels ? gap / least_power : gap);
  };
  for (Index c = 0; c < cols; ++c) {
    const T *found = tape.value(x, c), *value = tape.value(at.value, c), *wanted = tape.value(y, c);
    const T *slope = tape.value(inverse_slope, c);
    for (Index i = 0; i < rows; ++i) {
      const bool first = found[i] == bracket.first() || !(seen[c * n + i] & at_most);
      const bool last = found[i] == bracket.last() || !(seen[c * n + i] & at_least);
      if (!first && !last) continue;
      const T inwards = std::nextafter(found[i], first ? infinity : -infinity), gap = std::abs(inwards - found[i]);
      if (!nearest(last, std::abs(value[i] - wanted[i]), wanted[i], slope[i], gap)) pass.outside()[i] |= 1;
    }
  }
  return {x, at.log_derivative ? -at.log_derivative : Var<T>()};
}

template <Scalar T>
void NumericalInverse<T>::check() const {
  constexpr int most = 2;
  const int searches = std::max(do_searches(true), do_searches(false));
  if (searches > most)
    throw DomainError("NumericalInverse: " + transformer_->name() + " is solved for already, and " +
                      std::to_string(searches) + " searches inside one another multiply their cost; " +
                      std::to_string(most) + " may: solve for its parts one by one");
}

template <Scalar T>
void NumericalInverse<T>::do_fields(Fields<T>& f) {
  f.type("numerical_inverse");
  f.constant("solved", solved_, solved_choices);
  f.part("transformer", transformer_);
}

template class NumericalInverse<float>;
template class NumericalInverse<double>;

}  // namespace pushforward
