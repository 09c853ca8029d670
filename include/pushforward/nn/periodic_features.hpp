#pragma once

#include <numbers>

#include <pushforward/nn/network.hpp>

namespace pushforward {

/// A network that sees angles: net(cos t, sin t) for t = 2 pi (x - low) / (high - low) of each input, all cosines
/// first. What it gives is the same at both ends of the period.
///
/// @par Shapes      x: (N, inputs); of the network within twice as many inputs; the context as that one takes it.
/// @par Parameters  those of the network, under "net".
/// @throws ShapeError   if the network has an odd number of inputs or none.
/// @throws DomainError  unless low < high are finite.
/// @source Rezende et al. 2020, section 2.1.4; normflows' `PeriodicFeaturesCat`.
template <Scalar T>
class PeriodicFeatures final : public Network<T> {
 public:
  explicit PeriodicFeatures(Poly<Network<T>> net, double low = -std::numbers::pi, double high = std::numbers::pi);
  explicit PeriodicFeatures(Blank) : Network<T>("PeriodicFeatures") {}

  const Network<T>& net() const { return *net_; }

 private:
  Var<T> do_evaluate(Pass<T>& pass, Var<T> x) const override;
  Dual<T> do_tangent(Pass<T>& pass, Dual<T> x) const override;
  void do_fields(Fields<T>& f) override;
  void do_restored() override;
  T rate() const { return static_cast<T>(2 * std::numbers::pi / (high_ - low_)); }
  Var<T> angle(Var<T> x) const { return (x - static_cast<T>(low_)) * rate(); }

  Poly<Network<T>> net_;
  double low_ = -std::numbers::pi, high_ = std::numbers::pi;
};

extern template class PeriodicFeatures<float>;
extern template class PeriodicFeatures<double>;

}  // namespace pushforward
