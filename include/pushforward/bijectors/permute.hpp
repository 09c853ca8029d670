#pragma once

#include <cstdint>
#include <vector>

#include <pushforward/bijector.hpp>

namespace pushforward {

/// Reorders the columns, y[:, j] = x[:, permutation[j]].
///
/// log_det = 0
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  none; the permutation is a constant and is stored as data, whatever it was made from.
/// @par Cost        O(N dim), a copy.
/// @throws ShapeError   if the permutation is empty.
/// @throws DomainError  if it is no permutation of 0 .. dim - 1, naming an index that is repeated or out of range and
///                      one that is missing.
template <Scalar T>
class Permute final : public Bijector<T> {
 public:
  explicit Permute(std::vector<std::int64_t> permutation);
  explicit Permute(const Description& d);
  /// The last column first.
  static Permute reverse(Index dim);
  /// Uniform among all permutations; the same for the same dim and seed on every machine.
  static Permute random(Index dim, std::uint64_t seed);

  const std::vector<std::int64_t>& permutation() const { return permutation_; }

 private:
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override;
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override;
  bool do_is_constant_jacobian() const override { return true; }
  double do_log_scale_bound() const override { return 0; }
  Space do_image(bool forward, const Space& from) const override;
  Description do_describe() const override;

  std::vector<std::int64_t> permutation_;
  std::vector<std::int64_t> inverse_;
};

extern template class Permute<float>;
extern template class Permute<double>;

}  // namespace pushforward
