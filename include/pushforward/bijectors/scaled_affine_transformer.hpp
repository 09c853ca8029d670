#pragma once

#include <limits>

#include <pushforward/transformer.hpp>

namespace pushforward {

/// How a log scale s comes from r = raw + offset.
enum class ScaleMap {
  exp,        ///< s = r
  softplus,   ///< s = log(softplus(r) + floor)
  sigmoid,    ///< s = log(sigmoid(r) + floor)
  soft_clip,  ///< s = r / (1 + |r| / limit)
  tanh,       ///< s = limit tanh(r / limit)
  atan,       ///< s = limit (2 / pi) atan(r pi / (2 limit))
};

struct ScaledAffineOptions {
  ScaleMap map = ScaleMap::exp;
  double offset = 0;  ///< added to the raw parameter
  double floor = 0;   ///< of softplus and sigmoid: added to the scale; at least 0
  double limit = std::numeric_limits<double>::infinity();  ///< of soft_clip, tanh and atan: the bound of |s|; above 0
  double low = -std::numeric_limits<double>::infinity();   ///< s is cut off below that,
  double high = std::numeric_limits<double>::infinity();   ///< and above that
};

/// y = exp(s) x + shift with the scale maps that other libraries train with; parameters: shift, raw.
/// log derivative: s in forward, -s in inverse.
///
/// Where the other library multiplies on the side of the data, x = exp(s) y + shift, this is the inverse of an affine
/// map: `InvertedTransformer<T>(ScaledAffineTransformer<T>(options))`. For models that are fitted here
/// AffineTransformer is the better choice: bounded, the identity at raw = 0, with a tail if wanted.
///
///     nflows, MAF              inverted  {.map = ScaleMap::softplus, .floor = 1e-3}
///     nflows, affine coupling  inverted  {.map = ScaleMap::sigmoid, .offset = 2, .floor = 1e-3}
///     zuko                     inverted  {.map = ScaleMap::soft_clip, .limit = -log(slope)}
///     pyro                               {.low = -5, .high = 3}
///     FrEIA                    inverted  {.map = ScaleMap::atan, .limit = 0.318 pi clamp}, raw times 0.636 clamp
///
/// @par Numerics  both directions in closed form. |s| does not go beyond 87 in float and 708 in double, whatever the
///                map: exp(s) and exp(-s) are normal numbers. Where s is cut off its gradient is 0.
/// @throws DomainError  if an option is out of its range, or has a value though the map has no such number.
/// @source Papamakarios et al. 2021, eq. 31, with the positive functions of nflows 0.14, zuko 1.6, pyro 1.9,
///         flowjax 19 and FrEIA 0.2.
template <Scalar T>
class ScaledAffineTransformer final : public Transformer<T> {
 public:
  explicit ScaledAffineTransformer(ScaledAffineOptions options = {});

  const ScaledAffineOptions& options() const { return options_; }

 private:
  using Elements = typename Transformer<T>::Elements;
  Elements do_forward(Pass<T>& pass, Var<T> x, std::span<const Var<T>> params) const override;
  Elements do_inverse(Pass<T>& pass, Var<T> y, std::span<const Var<T>> params) const override;
  double do_log_scale_bound() const override;
  void do_fields(Fields<T>& f) override;
  void do_restored() override;
  Var<T> log_scale(Var<T> raw) const;

  ScaledAffineOptions options_;
};

extern template class ScaledAffineTransformer<float>;
extern template class ScaledAffineTransformer<double>;

}  // namespace pushforward
