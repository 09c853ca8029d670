#include <pushforward/bijectors/numerical_inverse.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace pushforward {

namespace {

constexpr Choice<Solved> solved_choices[] = {{Solved::forward, "forward"}, {Solved::inverse, "inverse"}};

/// Points of an interval by a coordinate u from 0 to 1, so that halving u soon comes near a number of any size: with
/// v = (2 u - 1) log(largest), sign(v) expm1(|v|) on the real line, at the distance exp(v) from the end of a half-line,
/// where small distances count too. Between two ends it is linear.
template <Scalar T>
class Bracket {
 public:
  explicit Bracket(const Interval& i) : low_(i.low), high_(i.high) {
    constexpr T infinity = std::numeric_limits<T>::infinity();
    first_ = std::isfinite(low_) ? std::nextafter(static_cast<T>(low_), infinity) : -largest();
    last_ = std::isfinite(high_) ? std::nextafter(static_cast<T>(high_), -infinity) : largest();
  }
  T at(double u) const {
    const bool below = std::isfinite(low_), above = std::isfinite(high_);
    const double v = (2 * u - 1) * std::log(static_cast<double>(largest()));
    double x;
    if (below && above) {
      x = low_ + (high_ - low_) * u;
    } else if (below) {
      x = low_ + std::exp(v);
    } else if (above) {
      x = high_ - std::exp(-v);
    } else {
      x = std::copysign(std::expm1(std::abs(v)), v);
    }
    return std::clamp(static_cast<T>(x), first_, last_);
  }
  /// A point that any map of the interval takes without trouble.
  T inside() const { return at(0.5); }
  T first() const { return first_; }
  T last() const { return last_; }
  /// x, or the last number before the bound that it stepped over.
  Var<T> keep(Var<T> x) const { return clamp(x, first_, last_); }

 private:
  // Its square is a number of T still.
  static T largest() { return std::sqrt(std::numeric_limits<T>::max()); }
  double low_, high_;
  T first_, last_;
};

}  // namespace

template <Scalar T>
auto NumericalInverse<T>::solve(Pass<T>& pass, Var<T> y, Params params) const -> Elements {
  // Each halving gives a bit of the coordinate; the rest is Newton's.
  constexpr int halvings = sizeof(T) == 8 ? 70 : 38;
  constexpr T tolerance = sizeof(T) == 8 ? T(1e-7) : T(1e-2);
  Tape<T>& tape = pass.tape();
  const Index cols = y.cols(), n = tape.padded_rows();
  // The root lies where the solved direction leads.
  const bool forward = solved_ == Solved::forward;
  const Interval given = forward ? this->domain() : this->codomain();
  const Bracket<T> bracket(forward ? this->codomain() : this->domain());
  y = pass.restrict_to(y, given);
  const Var<T> root = tape.matrix(cols, false), inverse_slope = tape.matrix(cols, false);
  auto* low = tape.template scratch<double>(cols * n);
  auto* high = tape.template scratch<double>(cols * n);
  auto* marks = tape.template scratch<std::uint8_t>(n);
  std::fill_n(low, cols * n, 0.0);
  std::fill_n(high, cols * n, 1.0);
  std::copy_n(pass.outside(), n, marks);
  for (int k = 0; k < halvings; ++k) {
    for (Index c = 0; c < cols; ++c)
      for (Index i = 0; i < n; ++i)
        tape.value(root, c)[i] = bracket.at(low[c * n + i] + 0.5 * (high[c * n + i] - low[c * n + i]));
    const typename Tape<T>::Scope scope(tape, Tape<T>::Mode::evaluate);
    const Var<T> at = closed(pass, root, params).value;
    for (Index c = 0; c < cols; ++c) {
      const T *value = tape.value(at, c), *wanted = tape.value(y, c);
      for (Index i = 0; i < n; ++i) {
        const double middle = low[c * n + i] + 0.5 * (high[c * n + i] - low[c * n + i]);
        (value[i] < wanted[i] ? low : high)[c * n + i] = middle;
      }
    }
  }
  {
    const typename Tape<T>::Scope scope(tape, Tape<T>::Mode::evaluate);
    const Elements at = closed(pass, root, params);
    const Var<T> slope = at.log_derivative ? exp(at.log_derivative) : Var<T>();
    // What was tried on the way says nothing about the row.
    std::copy_n(marks, n, pass.outside());
    for (Index c = 0; c < cols; ++c) {
      const T *value = tape.value(at.value, c), *wanted = tape.value(y, c);
      const T* own = slope ? tape.value(slope, c) : nullptr;
      T *x = tape.value(root, c), *inverse = tape.value(inverse_slope, c);
      for (Index i = 0; i < n; ++i) {
        const T g = own ? own[i] : T(1);
        const T scale = T(1) + std::abs(wanted[i]) + std::abs(g * x[i]);
        const bool found = std::abs(value[i] - wanted[i]) <= tolerance * scale && g > T(0) && std::isfinite(g);
        inverse[i] = found ? T(1) / g : T(0);
        if (found) continue;
        x[i] = bracket.inside();
        if (i < tape.local_rows()) pass.outside()[i] |= 1;
      }
    }
  }
  // The step carries the gradient of the implicit function: root and slope are constants in it.
  const Var<T> x = bracket.keep(root - (closed(pass, root, params).value - y) * inverse_slope);
  const Elements at = closed(pass, x, params);
  // Where y grows without bound towards an end of the interval, the last number of T before it stands for all that is
  // beyond it: no answer.
  for (Index c = 0; c < cols; ++c) {
    const T *found = tape.value(x, c), *value = tape.value(at.value, c), *wanted = tape.value(y, c);
    for (Index i = 0; i < tape.local_rows(); ++i) {
      const bool last = (found[i] == bracket.first() && std::isinf(given.low)) ||
                        (found[i] == bracket.last() && std::isinf(given.high));
      if (last && !(std::abs(value[i] - wanted[i]) <= tolerance * (T(1) + std::abs(wanted[i])))) pass.outside()[i] |= 1;
    }
  }
  return {x, at.log_derivative ? -at.log_derivative : Var<T>()};
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
