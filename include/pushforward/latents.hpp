#pragma once

#include <pushforward/distribution.hpp>
#include <type_traits>

namespace pushforward {

/// What a distribution offers whose rows are the image of another one's under an invertible map, y = f(x): it derives
/// from this too. Compositions ask their parts, so that x is where the innermost map begins: for a flow the normal
/// distribution, or whatever its noise is. If the model is right, so is the base of the latent rows of data.
template <Scalar T>
class Latents {
 public:
  virtual ~Latents() = default;
  /// That of x, if it can be of independent columns with a cdf; part of this object. Null: rows do not determine x
  /// (those on grids).
  virtual const Distribution<T>* latent_base() const = 0;
  /// x, in a pass with the context of the call; rows outside the image are marked.
  virtual Var<T> latent(Pass<T>& pass, Var<T> y) const = 0;

 protected:
  Latents() = default;
  Latents(const Latents&) = default;
  Latents(Latents&&) = default;
  Latents& operator=(const Latents&) = default;
  Latents& operator=(Latents&&) = default;
};

/// The base of any distribution, part of `d`: `d` itself where it is no image.
template <Scalar T>
const Distribution<T>* latent_base(const Distribution<T>& d);
template <Scalar T>
Var<T> latent(const Distribution<T>& d, Pass<T>& pass, Var<T> y);
/// x of each row of `y`, (N, d.dim()), into `out`, (N, latent_base(d)->dim()). NaN where y holds NaN or lies outside
/// the support.
/// @throws ShapeError      if a size does not fit.
/// @throws NotImplemented  if there is no base.
template <Scalar T>
void latent_into(const Distribution<T>& d, std::type_identity_t<MatrixView<const T>> y,
                 std::type_identity_t<MatrixView<T>> out, std::type_identity_t<MatrixView<const T>> context = {},
                 Run run = {});

}  // namespace pushforward
