#include <pushforward/bijectors/numerical_inverse.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

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
  /// The t of a point.
  double place(T x) const {
    const bool below = std::isfinite(low_), above = std::isfinite(high_);
    const double log_largest = std::log(static_cast<double>(std::numeric_limits<T>::max()));
    const double log_smallest = std::log(static_cast<double>(std::numeric_limits<T>::denorm_min()));
    const double v = static_cast<double>(x);
    const auto log_of = [&](double distance) { return distance > 0 ? std::log(distance) : log_smallest; };
    const auto of_distance = [&](double log_d) { return log_d < 0 ? -log_d / log_smallest : log_d / log_largest; };
    if (below && above) {
      const bool left = v - low_ <= high_ - v;
      const double t = (log_of(left ? v - low_ : high_ - v) - log_half_) / (log_smallest - log_half_);
      return left ? -t : t;
    }
    if (below) return of_distance(log_of(v - low_));
    if (above) return -of_distance(log_of(high_ - v));
    return std::copysign(std::log1p(std::abs(v)) / log_largest, v);
  }
  /// What counts as near at a point: its distance from an end; without ends, from 0, and 1 more.
  T scale(T x) const {
    const bool below = std::isfinite(low_), above = std::isfinite(high_);
    if (!below && !above) return T(1) + std::abs(x);
    const T from_low = x - static_cast<T>(low_), to_high = static_cast<T>(high_) - x;
    return below && above ? std::min(from_low, to_high) : below ? from_low : to_high;
  }
  T middle(T a, T b) const { return at(0.5 * (place(a) + place(b))); }
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

/// The search for the root of one element: Newton's steps from the best point so far, three at most and as long as each
/// halves what is missing, then the middle of the points that have the root between them, in turn. Where no trial was
/// seen on one side of y, one a few roundings further on that side says at the end whether there is such a side.
template <Scalar T>
class Search {
 public:
  // Which of the two sides of y a trial was seen on: only between both a root is certain.
  static constexpr std::uint8_t at_most = 1, at_least = 2;

  explicit Search(const Bracket<T>& bracket) : low_(bracket.first()), high_(bracket.last()), x_(bracket.inside()) {}
  /// To be tried; when `done`, the root.
  T x() const { return x_; }
  bool done() const { return done_; }
  std::uint8_t seen() const { return seen_; }

  /// `value` and `slope` are those at x(); `beyond`: there are none.
  /// `rounding`: how much of the value of g roundings on the way to it may be.
  void advance(const Bracket<T>& bracket, T wanted, T value, T slope, bool beyond, T rounding) {
    if (done_) return;
    const bool less = !beyond && value < wanted, more = !beyond && value > wanted, equal = !beyond && value == wanted;
    if (less || equal) seen_ |= at_most;
    if (more || equal) seen_ |= at_least;
    if (probes_ > 0) {
      if (seen_ == (at_most | at_least) || beyond || probes_ == most_probes) return finish(root_);
      return probe(bracket);
    }
    // What that is in x. Where it is much, g is flat, and the search goes on to the number at which g passes y.
    const T blur = rounding / slope;
    const bool flat = !(blur <= std::sqrt(epsilon) * bracket.scale(x_));
    if (equal && !flat) return finish(x_);
    // What equal numbers leave open, inwards: on a plateau next to an end that is its nearer point, and the two sides
    // of an odd map take the same steps. Likewise what is beyond the numbers.
    const T inside = bracket.inside();
    const bool open = !less && !more;
    if (more || (open && x_ >= inside)) high_ = x_;
    if (less || (open && x_ <= inside)) low_ = x_;
    const bool known = !open && slope > T(0) && slope <= std::numeric_limits<T>::max();
    const T miss = std::abs(value - wanted), next = x_ - (value - wanted) / slope;
    const T exact = 4 * epsilon * std::min(std::abs(x_), bracket.scale(x_));
    // The step is taken, so that what is missing there is of the size of its square.
    if (known && std::abs(next - x_) <= (flat ? exact : exact + 8 * blur)) {
      root_ = std::clamp(next, low_, high_);
      if (seen_ == (at_most | at_least)) return finish(root_);
      reach_ = std::max(2 * exact + 8 * blur, std::numeric_limits<T>::min());
      return probe(bracket);
    }
    const bool better = known && miss < miss_, halved = known && miss <= T(0.5) * miss_;
    if (better) {
      miss_ = miss;
      next_ = next;
    }
    if (next_ > low_ && next_ < high_ && (steps_ == 0 || (halved && steps_ < most_steps))) {
      ++steps_;
      x_ = std::exchange(next_, std::numeric_limits<T>::quiet_NaN());
      return;
    }
    steps_ = 0;
    const T middle = bracket.middle(low_, high_);
    if (!(middle > low_ && middle < high_)) return finish(x_);
    x_ = middle;
  }

 private:
  static constexpr T epsilon = std::numeric_limits<T>::epsilon();
  static constexpr int most_steps = 3, most_probes = 6;

  void finish(T root) {
    x_ = root;
    done_ = true;
  }
  void probe(const Bracket<T>& bracket) {
    const T further = root_ + (seen_ & at_least ? -reach_ : reach_);
    reach_ *= 16;
    ++probes_;
    const T next = std::clamp(further, bracket.first(), bracket.last());
    if (next == x_) return finish(root_);
    x_ = next;
  }

  T low_, high_;  // the root lies between
  T x_;
  T miss_ = std::numeric_limits<T>::infinity();   // of the best point
  T next_ = std::numeric_limits<T>::quiet_NaN();  // Newton's step from it, where it has not been tried
  T root_ = 0, reach_ = 0;
  int steps_ = 0;  // since the last middle
  int probes_ = 0;
  std::uint8_t seen_ = 0;
  bool done_ = false;
};

/// Whether all threads of the group say so, which all call it as often.
template <Scalar T>
class Vote {
 public:
  explicit Vote(Tape<T>& tape) : tape_(tape) {
    if (tape.group_size() > 1) votes_ = tape.template common<std::uint8_t>(2 * tape.group_size());
  }
  bool unanimous(bool own) {
    if (!votes_) return own;
    // Two rows: the next round's votes do not meet those that others still count.
    std::uint8_t* row = votes_ + odd_ * tape_.group_size();
    odd_ = !odd_;
    row[tape_.rank()] = own;
    tape_.barrier();
    return std::all_of(row, row + tape_.group_size(), [](std::uint8_t v) { return v != 0; });
  }

 private:
  Tape<T>& tape_;
  std::uint8_t* votes_ = nullptr;
  bool odd_ = false;
};

}  // namespace

template <Scalar T>
auto NumericalInverse<T>::solve(Pass<T>& pass, Var<T> y, Params params) const -> Elements {
  // More than the steps of a search that halves every second time until no number is left between.
  constexpr int most_trials = 300;
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
  auto* searches = tape.template scratch<Search<T>>(n);
  auto* marks = tape.template scratch<std::uint8_t>(n);
  std::fill_n(marks, n, std::uint8_t{0});
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
  // Numbers of a whole line come from sums of others of about 1, those of an interval from products.
  const T unit = std::isinf(given.low) && std::isinf(given.high) ? T(1) : T(0);
  Vote<T> vote(tape);
  for (Index c = 0; c < cols; ++c) {
    const T* wanted = tape.value(y, c);
    T* x = tape.value(root, c);
    // Padding, whose values nobody set, is not waited for.
    for (Index i = 0; i < n; ++i) new (&searches[i]) Search<T>(bracket);
    for (int k = 0; k < most_trials; ++k) {
      bool done = true;
      for (Index i = 0; i < n; ++i) {
        x[i] = searches[i].x();
        done = done && (i >= rows || searches[i].done());
      }
      if (vote.unanimous(done)) break;
      const typename Tape<T>::Scope scope(tape, Tape<T>::Mode::evaluate);
      const Elements trial = try_column(c);
      const T* value = tape.value(trial.value, 0);
      const T* slope = trial.log_derivative ? tape.value(exp(trial.log_derivative), 0) : nullptr;
      for (Index i = 0; i < rows; ++i)
        searches[i].advance(bracket, wanted[i], value[i], slope ? slope[i] : T(1), pass.outside()[i] != 0,
                            std::numeric_limits<T>::epsilon() * (unit + std::abs(wanted[i])));
    }
    for (Index i = 0; i < rows; ++i) seen[c * n + i] = searches[i].seen();
    const typename Tape<T>::Scope scope(tape, Tape<T>::Mode::evaluate);
    const Elements at = try_column(c);
    const Var<T> slope = at.log_derivative ? exp(at.log_derivative) : Var<T>();
    const T *value = tape.value(at.value, 0), *own = slope ? tape.value(slope, 0) : nullptr;
    T* inverse = tape.value(inverse_slope, c);
    for (Index i = 0; i < n; ++i) {
      // A slope that is 0 or infinite in T, as near the ends of the bracket, is cut to the numbers: the search has
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
      const bool first = found[i] == bracket.first() || !(seen[c * n + i] & Search<T>::at_most);
      const bool last = found[i] == bracket.last() || !(seen[c * n + i] & Search<T>::at_least);
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
