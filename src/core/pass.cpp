#include <pushforward/pass.hpp>

#include <algorithm>
#include <cmath>

#include <pushforward/error.hpp>

#include "src/ops/common.hpp"
#include "src/ops/intervals.hpp"

namespace pushforward {

template <Scalar T>
Pass<T>::Pass(Tape<T>& tape, Settings settings)
    : tape_(tape),
      settings_(settings),
      outside_(tape.template common<std::uint8_t>(std::max<Index>(tape.leading_dimension(), 1))) {
  std::fill_n(marks(), tape.padded_rows(), std::uint8_t{0});
  detail::note(tape, Operation::fill, std::tuple(marks()), std::tuple(), {0.0});
}

template <Scalar T>
const RandomCall& Pass<T>::noise() const {
  if (!settings_.noise)
    throw Error((part_ ? *part_ : std::string("Pass")) +
                ": draws random numbers, but this evaluation has none; log_prob(y, engine) has them for a density that "
                "says what its draws estimate (do_estimates), forward(x, engine) and inverse(y, engine) for a map, a Pass "
                "of one's own by Settings::noise");
  return *settings_.noise;
}

namespace {

template <Scalar T, class Fill>
Var<T> filled(Tape<T>& tape, Index cols, Fill fill) {
  const Var<T> y = tape.matrix(cols, false);
  if (cols > 0) fill(detail::address(y, 0), tape.leading_dimension());
  return y;
}

template <Scalar T, class Fill>
Var<T> drawn(Operation kind, Tape<T>& tape, Index cols, Fill fill) {
  const Var<T> y = filled(tape, cols, fill);
  detail::note(tape, kind, std::tuple(y), std::tuple());
  return y;
}

}  // namespace

// Whole blocks are drawn: the padding gets the numbers of the rows that would come next.
template <Scalar T>
Var<T> Pass<T>::normal(Index cols) {
  return drawn(Operation::normal, tape_, cols, [&](T* out, Index ld) {
    noise().normal(first_drawn_row(), tape_.padded_rows(), cols, out, ld, next_slot(cols));
  });
}
template <Scalar T>
Var<T> Pass<T>::uniform(Index cols) {
  return drawn(Operation::uniform, tape_, cols, [&](T* out, Index ld) {
    noise().uniform(first_drawn_row(), tape_.padded_rows(), cols, out, ld, next_slot(cols));
  });
}
template <Scalar T>
Var<T> Pass<T>::logistic(Index cols) {
  return drawn(Operation::logistic, tape_, cols, [&](T* out, Index ld) {
    noise().logistic(first_drawn_row(), tape_.padded_rows(), cols, out, ld, next_slot(cols));
  });
}
template <Scalar T>
Var<T> Pass<T>::laplace(Index cols) {
  return drawn(Operation::laplace, tape_, cols, [&](T* out, Index ld) {
    noise().laplace(first_drawn_row(), tape_.padded_rows(), cols, out, ld, next_slot(cols));
  });
}
template <Scalar T>
Var<T> Pass<T>::cauchy(Index cols) {
  return drawn(Operation::cauchy, tape_, cols, [&](T* out, Index ld) {
    noise().cauchy(first_drawn_row(), tape_.padded_rows(), cols, out, ld, next_slot(cols));
  });
}
template <Scalar T>
Var<T> Pass<T>::exponential(Index cols) {
  return drawn(Operation::exponential, tape_, cols, [&](T* out, Index ld) {
    noise().exponential(first_drawn_row(), tape_.padded_rows(), cols, out, ld, next_slot(cols));
  });
}

template <Scalar T>
Var<T> Pass<T>::dropout_mask(Index cols, double rate) {
  if (!settings_.dropout || rate == 0) return {};
  return filled(tape_, cols, [&](T* out, Index ld) {
    settings_.dropout->uniform(first_drawn_row(), tape_.padded_rows(), cols, out, ld, next_slot(cols));
    const T limit = static_cast<T>(rate), kept = static_cast<T>(1.0 / (1.0 - rate));
    for (Index c = 0; c < cols; ++c)
      for (Index i = 0; i < tape_.padded_rows(); ++i) out[c * ld + i] = out[c * ld + i] < limit ? T(0) : kept;
  });
}

template <Scalar T>
Var<T> Pass<T>::training_noise(Index cols) {
  if (!settings_.dropout) return {};
  return filled(tape_, cols, [&](T* out, Index ld) {
    settings_.dropout->uniform(first_drawn_row(), tape_.padded_rows(), cols, out, ld, next_slot(cols));
  });
}

template <Scalar T>
Var<T> Pass<T>::restrict_to(Var<T> y, double low, double high, T replacement, bool closed) {
  return detail::replace_outside(y, {&low, &high, &replacement, 0, closed}, marks());
}

template <Scalar T>
Var<T> Pass<T>::restrict_to(Var<T> y, std::span<const double> low, std::span<const double> high,
                            std::span<const T> replacement, bool closed) {
  const auto cols = static_cast<std::size_t>(y.cols());
  if (low.size() != cols || high.size() != cols || replacement.size() != cols)
    throw ShapeError("Pass::restrict_to: expected bounds for " + std::to_string(cols) + " columns");
  return detail::replace_outside(y, {low.data(), high.data(), replacement.data(), 1, closed}, marks());
}

template <Scalar T>
void Proposals<T>::add(const Tensor<T>& state, std::span<const double> value) {
  std::vector<double> own;
  if (!spare_.empty()) {
    own = std::move(spare_.back());
    spare_.pop_back();
  }
  own.assign(value.begin(), value.end());
  values.emplace_back(&state, std::move(own));
}

template <Scalar T>
void Proposals<T>::clear() {
  // From the end: the next first one takes the memory of this first one.
  for (auto entry = values.rbegin(); entry != values.rend(); ++entry) spare_.push_back(std::move(entry->second));
  values.clear();
}

template <Scalar T>
void Pass<T>::propose(const Tensor<T>& state, std::span<const double> value) {
  if (settings_.proposals && tape_.rank() == 0)
    settings_.proposals->add(state, value);
}

template <Scalar T>
void Pass<T>::capture(const Tensor<T>& key, std::span<const double> mean, std::span<const double> variance) {
  if (settings_.capture && tape_.rank() == 0)
    settings_.capture->layers.emplace_back(
        &key, BatchStatistics::Moments{{mean.begin(), mean.end()}, {variance.begin(), variance.end()}});
}

template struct Proposals<float>;
template struct Proposals<double>;
template class Pass<float>;
template class Pass<double>;

}  // namespace pushforward
