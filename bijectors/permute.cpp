#include <pushforward/bijectors/permute.hpp>

#include <algorithm>
#include <numeric>
#include <string>

#include <pushforward/random.hpp>

namespace pushforward {

namespace {

// The dim, once the permutation is known to be one.
Index checked_dim(const std::vector<std::int64_t>& permutation) {
  const auto dim = static_cast<std::int64_t>(permutation.size());
  if (dim == 0) throw ShapeError("Permute: expected a permutation of at least one column, got none");
  std::vector<bool> seen(permutation.size());
  std::string wrong;
  for (const std::int64_t index : permutation) {
    if (index < 0 || index >= dim) {
      wrong = std::to_string(index) + " is out of range";
      break;
    }
    if (seen[static_cast<std::size_t>(index)]) {
      wrong = std::to_string(index) + " is repeated";
      break;
    }
    seen[static_cast<std::size_t>(index)] = true;
  }
  if (wrong.empty()) return dim;
  std::fill(seen.begin(), seen.end(), false);
  for (const std::int64_t index : permutation)
    if (index >= 0 && index < dim) seen[static_cast<std::size_t>(index)] = true;
  const auto missing = std::find(seen.begin(), seen.end(), false) - seen.begin();
  throw DomainError("Permute: expected every index of 0.." + std::to_string(dim - 1) + " once, but " + wrong +
                    " and " + std::to_string(missing) + " is missing");
}

}  // namespace

template <Scalar T>
Permute<T>::Permute(std::vector<std::int64_t> permutation)
    : Bijector<T>("Permute", checked_dim(permutation)),
      permutation_(std::move(permutation)),
      inverse_(permutation_.size()) {
  for (std::size_t j = 0; j < permutation_.size(); ++j)
    inverse_[static_cast<std::size_t>(permutation_[j])] = static_cast<std::int64_t>(j);
}

template <Scalar T>
Permute<T>::Permute(const Description& d) : Permute(d.integers("permutation")) {}

namespace {

std::vector<std::int64_t> identity(Index dim) {
  if (dim < 1) throw ShapeError("Permute: dim must be at least 1, got " + std::to_string(dim));
  std::vector<std::int64_t> index(static_cast<std::size_t>(dim));
  std::iota(index.begin(), index.end(), std::int64_t{0});
  return index;
}

}  // namespace

template <Scalar T>
Permute<T> Permute<T>::reverse(Index dim) {
  std::vector<std::int64_t> index = identity(dim);
  std::reverse(index.begin(), index.end());
  return Permute(std::move(index));
}

template <Scalar T>
Permute<T> Permute<T>::random(Index dim, std::uint64_t seed) {
  std::vector<std::int64_t> index = identity(dim);
  pushforward::permutation(Engine(seed).stream("permute").next_call(), index);
  return Permute(std::move(index));
}

template <Scalar T>
Mapped<T> Permute<T>::do_forward(Pass<T>&, Var<T> x) const {
  return {gather_columns<T>(x, permutation_), {}};
}

template <Scalar T>
Mapped<T> Permute<T>::do_inverse(Pass<T>&, Var<T> y) const {
  return {gather_columns<T>(y, inverse_), {}};
}

template <Scalar T>
Space Permute<T>::do_image(bool forward, const Space& from) const {
  std::vector<Interval> bounds;
  for (const std::int64_t source : forward ? permutation_ : inverse_) bounds.push_back(from[source]);
  return from.is_box() ? Space::box(std::move(bounds)) : Space::unknown(std::move(bounds));
}

template <Scalar T>
Description Permute<T>::do_describe() const {
  return {.type = "permute", .constants = {{"permutation", permutation_}}, .children = {}};
}

template class Permute<float>;
template class Permute<double>;

}  // namespace pushforward
