#pragma once

#include <cstdint>

#include <pushforward/bijector.hpp>
#include <pushforward/poly.hpp>
#include <pushforward/transformer.hpp>

namespace pushforward {

/// y = x + u' tanh(w . x + b), a ridge across the plane w . x + b = 0, with the inverse that the paper leaves out. u'
/// is u, moved along w so that a = w . u' = softplus(w . u) + floor - 1 lies above -1.
///
/// log_det = log(1 + a [1 - tanh(w . x + b)^2])
///
/// @par Shapes      x, y: (N, dim).
/// @par Parameters  w (dim), initially normal numbers of the seed with variance 1 / dim; u (dim), initially such that
///                  u' = 0: the identity; b (1), initially 0. No weight decay. `floor` (0.001), in [0, 1), is a
///                  constant.
/// @par Numerics    In `inverse` z = w . x + b is the root of z + a tanh(z) = w . y + b, which increases, by a search that
///                  nothing can lead astray (NumericalInverse), with the gradients of the implicit function. Where a is next to -1 the map is nearly flat at z = 0, and
///                  the round trip loses what the slope says.
/// @par Cost        O(N dim); `inverse` some 10 tanh for each row, whatever dim is.
/// @throws DomainError  if floor does not lie in [0, 1).
/// @source Rezende and Mohamed 2015, eq. 10 to 12 and appendix A.1, there without the floor; normflows, pyro.
template <Scalar T>
class Planar final : public Bijector<T> {
 public:
  static constexpr double default_floor = 1e-3;
  explicit Planar(Index dim, std::uint64_t seed = 0, double floor = default_floor);
  explicit Planar(Blank);

  const Tensor<T>& w() const { return w_; }
  const Tensor<T>& u() const { return u_; }
  const Tensor<T>& b() const { return b_; }

 private:
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override;
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override;
  void do_fields(Fields<T>& f) override;
  void do_restored() override;
  struct Ridge;

  double floor_ = default_floor;
  Tensor<T> w_;
  Tensor<T> u_;
  Tensor<T> b_;
  /// Along w: z + a tanh(z), both ways.
  Poly<Transformer<T>> along_;
};

extern template class Planar<float>;
extern template class Planar<double>;

}  // namespace pushforward
