#pragma once

#include <limits>
#include <span>

#include <pushforward/bijectors/numerical_inverse.hpp>
#include <pushforward/error.hpp>

namespace pushforward::detail {

/// z + a tanh(z), one parameter, a > -1.
template <Scalar T>
class TanhStep final : public Transformer<T> {
 public:
  TanhStep() : Transformer<T>("TanhStep", 1) {}

 private:
  using Elements = typename Transformer<T>::Elements;
  Elements do_forward(Pass<T>&, Var<T> z, std::span<const Var<T>> params) const override {
    return {z + params[0] * tanh(z), log1p(params[0] * activation_derivative(Activation::tanh, z))};
  }
  Elements do_inverse(Pass<T>&, Var<T>, std::span<const Var<T>>) const override {
    throw NotImplemented("TanhStep::inverse: has no closed form");
  }
  double do_log_scale_bound() const override { return std::numeric_limits<double>::infinity(); }
  void do_fields(Fields<T>& f) override { f.type("tanh_step"); }
};

/// Both ways.
template <Scalar T>
Poly<Transformer<T>> solved_tanh_step() {
  return NumericalInverse<T>(TanhStep<T>(), Solved::inverse);
}

}  // namespace pushforward::detail
