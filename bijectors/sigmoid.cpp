#include <pushforward/bijectors/sigmoid.hpp>

#include <cmath>
#include <string>

#include <pushforward/error.hpp>

#include "src/core/number_text.hpp"
#include "src/ops/intervals.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
Sigmoid<T>::Sigmoid(VectorView<const double> low, VectorView<const double> high)
    : ElementwiseBijector<T>("Sigmoid", low.size()),
      low_row_({low.size()}),
      high_row_({low.size()}),
      width_({low.size()}),
      log_width_({low.size()}),
      first_({low.size()}),
      last_({low.size()}) {
  if (high.size() != low.size())
    throw ShapeError("Sigmoid: low has " + std::to_string(low.size()) + " values but high has " +
                     std::to_string(high.size()));
  for (Index i = 0; i < low.size(); ++i) {
    const T l = low_row_[i] = static_cast<T>(low[i]);
    const T h = high_row_[i] = static_cast<T>(high[i]);
    if (!std::isfinite(h - l) || !(std::nextafter(l, h) < h))
      throw DomainError("Sigmoid: expected finite bounds with low < high, got low = " + detail::number_text(low[i]) +
                        " and high = " + detail::number_text(high[i]) + " in column " + std::to_string(i) +
                        "; Exp and Softplus give half-open ranges");
    width_[i] = h - l;
    log_width_[i] = static_cast<T>(std::log(static_cast<double>(h) - static_cast<double>(l)));
    first_[i] = std::nextafter(l, h);
    last_[i] = std::nextafter(h, l);
    low_.push_back(static_cast<double>(l));
    high_.push_back(static_cast<double>(h));
    middle_.push_back(l + (h - l) / 2);
  }
}

template <Scalar T>
Sigmoid<T>::Sigmoid(Index dim, double low, double high)
    : Sigmoid(VectorView<const double>(&low, dim, 0), VectorView<const double>(&high, dim, 0)) {}

template <Scalar T>
typename Sigmoid<T>::Elements Sigmoid<T>::do_forward_elements(Pass<T>& pass, Var<T> x) const {
  const Var<T> y =
      sigmoid_between<T>(x, {low_row_.data(), high_row_.data(), width_.data(), first_.data(), last_.data()});
  return {y, pass.constant(log_width_) - (softplus(x) + softplus(-x))};
}

template <Scalar T>
typename Sigmoid<T>::Elements Sigmoid<T>::do_inverse_elements(Pass<T>& pass, Var<T> y) const {
  const Var<T> inside = pass.restrict_to(y, low_, high_, middle_);
  const Var<T> above = log(inside - pass.constant(low_row_)), below = log(pass.constant(high_row_) - inside);
  return {above - below, pass.constant(log_width_) - (above + below)};
}

template <Scalar T>
Space Sigmoid<T>::do_codomain() const {
  std::vector<Interval> intervals;
  for (std::size_t i = 0; i < low_.size(); ++i) intervals.push_back({low_[i], high_[i]});
  return Space::box(std::move(intervals));
}

template <Scalar T>
void Sigmoid<T>::do_fields(Fields<T>& f) {
  f.type("sigmoid");
  f.constant("low", low_);
  f.constant("high", high_);
}

template <Scalar T>
void Sigmoid<T>::do_restored() {
  *this = Sigmoid(VectorView<const double>(low_), VectorView<const double>(high_));
}

template class Sigmoid<float>;
template class Sigmoid<double>;

}  // namespace pushforward
