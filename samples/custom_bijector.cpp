// A bijector of one's own, without gradient code: it trains in a Chain, passes the public contract checks, saves,
// loads and casts.
#include <cmath>
#include <iostream>

#include <pushforward/pushforward.hpp>
#include <pushforward/testing/bijector_contract.hpp>
#include <pushforward/testing/gradient_check.hpp>

namespace pf = pushforward;

/// y = sinh((asinh(x) + skew) / exp(tail)): the sinh-arcsinh transformation of Jones and Pewsey (2009).
template <pf::Scalar T>
class SinhArcsinh final : public pf::ElementwiseBijector<T> {
 public:
  explicit SinhArcsinh(pf::Index dim) : pf::ElementwiseBijector<T>("SinhArcsinh", dim), skew_({dim}), tail_({dim}) {}

 private:
  using Elements = typename pf::ElementwiseBijector<T>::Elements;
  // asinh through |v|, so that nothing cancels for negative v; sign(v) = v / |v|, and 0 stays 0.
  static pf::Var<T> asinh(pf::Var<T> v) {
    const pf::Var<T> size = abs(v);
    return v * (log1p(size + square(size) / (sqrt(square(size) + T(1)) + T(1))) / (size + T(1e-30)));
  }
  static pf::Var<T> sinh(pf::Var<T> v) { return (exp(v) - exp(-v)) * T(0.5); }
  static pf::Var<T> log_cosh(pf::Var<T> v) { return softplus(T(2) * v) - v - T(std::log(2.0)); }

  Elements do_forward_elements(pf::Pass<T>& pass, pf::Var<T> x) const override {
    const pf::Var<T> tail = soft_bound(pass.parameter(tail_), T(3));
    const pf::Var<T> u = (asinh(x) + pass.parameter(skew_)) * exp(-tail);
    return {sinh(u), log_cosh(u) - tail - T(0.5) * log1p(square(x))};
  }
  Elements do_inverse_elements(pf::Pass<T>& pass, pf::Var<T> y) const override {
    const pf::Var<T> tail = soft_bound(pass.parameter(tail_), T(3));
    const pf::Var<T> u = asinh(y) * exp(tail) - pass.parameter(skew_);
    return {sinh(u), log_cosh(u) + tail - T(0.5) * log1p(square(y))};
  }
  void do_fields(pf::Fields<T>& f) override {
    f.type("sinh_arcsinh");
    this->dim_field(f);
    f.parameter("skew", skew_, {this->dim()});
    f.parameter("tail", tail_, {this->dim()});
  }

  pf::Tensor<T> skew_, tail_;
};

int main() {
  const pf::Registry registry = pf::Registry::standard().add<SinhArcsinh>("sinh_arcsinh");

  SinhArcsinh<double> map(3);
  pf::testing::perturb(map, 1);  // away from the identity, where a wrong log_det could hide
  const auto failures = pf::testing::check_bijector(map, {.registry = registry});
  for (const auto& failure : failures) std::cout << failure.check << ": " << failure.detail << '\n';

  // Skewed data with heavy tails, and a flow that can follow it.
  pf::Engine engine(1);
  const pf::StudentT<double> noise(std::vector<double>{3, 4}, std::vector<double>{0, 1}, std::vector<double>{1, 2});
  Eigen::MatrixXd y = noise.sample(4000, engine);
  y = (y.array() + 0.5 * y.array().abs()).eval();
  pf::TransformedDistribution<double> flow(pf::MultivariateNormalDiag<double>(2),
                                           pf::Chain(SinhArcsinh<double>(2), pf::Affine<double>(2)));
  const double before = flow.log_prob(y).mean();
  pf::fit(flow, y, {.epochs = 40, .batch_size = 200, .learning_rate = 0.01});
  const double after = flow.log_prob(y).mean();

  const auto loaded = pf::load<double>(pf::serialize(flow), "memory", registry);
  const bool same = loaded.distribution->log_prob(y) == flow.log_prob(y);
  const auto in_float = pf::cast<float>(flow, registry);
  const double difference = std::abs(in_float->log_prob(y.cast<float>().eval()).mean() - after);
  std::cout << failures.size() << " failures of the contract; log-likelihood " << before << " -> " << after
            << "; loaded " << (same ? "the same" : "ANOTHER") << " model; float is off by " << difference << '\n';
  return failures.empty() && after > before + 0.5 && same && difference < 1e-4 ? 0 : 1;
}
