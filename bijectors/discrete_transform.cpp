#include <pushforward/bijectors/discrete_transform.hpp>

#include <bit>
#include <cmath>
#include <numbers>
#include <string>

#include "src/ops/matrix.hpp"

namespace pushforward {

namespace {

/// A file says no more than how many they are, and the matrix is made at once.
constexpr Index most_columns = 256;

constexpr Choice<DiscreteBasis> basis_choices[] = {
    {DiscreteBasis::cosine, "cosine"}, {DiscreteBasis::fourier, "fourier"}, {DiscreteBasis::haar, "haar"}};

double cosine(Index n, Index k, Index j) {
  if (k == 0) return std::sqrt(1 / static_cast<double>(n));
  // Whole periods of 4 n steps are taken out while they are whole numbers.
  const Index steps = (2 * j + 1) * k % (4 * n);
  return std::sqrt(2 / static_cast<double>(n)) *
         std::cos(std::numbers::pi * static_cast<double>(steps) / static_cast<double>(2 * n));
}

double fourier(Index n, Index row, Index j) {
  if (row == 0) return std::sqrt(1 / static_cast<double>(n));
  if (n % 2 == 0 && row == n - 1) return (j % 2 == 0 ? 1 : -1) * std::sqrt(1 / static_cast<double>(n));
  const Index k = (row + 1) / 2;
  const double angle = 2 * std::numbers::pi * static_cast<double>(j * k % n) / static_cast<double>(n);
  return std::sqrt(2 / static_cast<double>(n)) * (row % 2 == 1 ? std::cos(angle) : -std::sin(angle));
}

/// Row 0: the mean; then the coarsest difference, the two of half its width, ...
double haar(Index n, Index row, Index j) {
  if (row == 0) return std::sqrt(1 / static_cast<double>(n));
  const Index level = static_cast<Index>(std::bit_floor(static_cast<std::size_t>(row)));
  const Index width = n / level, place = row - level;
  if (j / width != place) return 0;
  return (j % width < width / 2 ? 1 : -1) * std::sqrt(1 / static_cast<double>(width));
}

}  // namespace

template <Scalar T>
DiscreteTransform<T>::DiscreteTransform(Index dim, DiscreteBasis basis)
    : Bijector<T>("DiscreteTransform", dim), basis_(basis) {
  do_restored();
}

template <Scalar T>
Mapped<T> DiscreteTransform<T>::do_forward(Pass<T>& pass, Var<T> x) const {
  return {linear(x, pass.constant(matrix_), Var<T>()), {}};
}

template <Scalar T>
Mapped<T> DiscreteTransform<T>::do_inverse(Pass<T>& pass, Var<T> y) const {
  return {linear(y, detail::transpose(pass.constant(matrix_)), Var<T>()), {}};
}

template <Scalar T>
void DiscreteTransform<T>::do_fields(Fields<T>& f) {
  f.type("discrete_transform");
  this->dim_field(f, most_columns);
  f.constant("basis", basis_, basis_choices);
}

template <Scalar T>
void DiscreteTransform<T>::do_restored() {
  const Index n = this->dim();
  if (n > most_columns)
    throw ShapeError("DiscreteTransform: expected at most " + std::to_string(most_columns) + " columns, got " +
                     std::to_string(n));
  if (basis_ == DiscreteBasis::haar && !std::has_single_bit(static_cast<std::size_t>(n)))
    throw ShapeError("DiscreteTransform: Haar's basis needs a power of 2 columns, got " + std::to_string(n));
  const auto entry = basis_ == DiscreteBasis::cosine ? cosine : basis_ == DiscreteBasis::fourier ? fourier : haar;
  matrix_ = Tensor<T>({n, n});
  for (Index k = 0; k < n; ++k)
    for (Index j = 0; j < n; ++j) matrix_(k, j) = static_cast<T>(entry(n, k, j));
}

template class DiscreteTransform<float>;
template class DiscreteTransform<double>;

}  // namespace pushforward
