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

std::vector<std::int64_t> inverse_of(const std::vector<std::int64_t>& permutation) {
  std::vector<std::int64_t> inverse(permutation.size());
  for (std::size_t j = 0; j < permutation.size(); ++j)
    inverse[static_cast<std::size_t>(permutation[j])] = static_cast<std::int64_t>(j);
  return inverse;
}

}  // namespace

template <Scalar T>
Permute<T>::Permute(std::vector<std::int64_t> permutation)
    : Bijector<T>("Permute", checked_dim(permutation)),
      permutation_(std::move(permutation)),
      inverse_(inverse_of(permutation_)) {}

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
Permute<T>::Permute(Blank) : Bijector<T>("Permute") {}

template <Scalar T>
void Permute<T>::do_fields(Fields<T>& f) {
  f.type("permute");
  f.constant("permutation", permutation_);
}

template <Scalar T>
void Permute<T>::do_restored() {
  const Index dim = checked_dim(permutation_);
  this->set_shape(dim, {dim});
  inverse_ = inverse_of(permutation_);
}

template class Permute<float>;
template class Permute<double>;

}  // namespace pushforward
