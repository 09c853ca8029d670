// The contract of distributions on a space of which a column is the same everywhere.

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>
#include <pushforward/registry.hpp>
#include <pushforward/testing/distribution_contract.hpp>

#include "tests/catch.hpp"

using namespace pushforward;

namespace {

/// Of the correlation r of two variables, the density (1 + r / 2) / 2 on (-1, 1): rows are (1, 0, r, sqrt(1 - r^2)).
/// `tilt` other than 1/2, and `scale` other than 1, are mistakes of the density alone.
template <Scalar T>
class TiltedCorrelation final : public Distribution<T> {
 public:
  TiltedCorrelation(double tilt, double scale) : Distribution<T>("TiltedCorrelation", 4), tilt_(tilt), scale_(scale) {}
  explicit TiltedCorrelation(Blank) : Distribution<T>("TiltedCorrelation") {}

 private:
  Column<T> do_log_prob(Pass<T>& pass, Var<T> y) const override {
    const auto column = [&](Index c) { return pass.tape().columns(y, c, 1); };
    constexpr double e = surface_tolerance<T>;
    const Var<T> r = pass.restrict_to(column(2), -1, 1, T(0)), d = pass.restrict_to(column(3), positive);
    pass.restrict_to(column(0), 1 - e, 1 + e, T(1), true);
    pass.restrict_to(column(1), -e, e, T(0), true);
    pass.restrict_to(square(r) + square(d), 1 - e, 1 + e, T(1), true);
    return row_sum(log(T(1) + T(tilt_) * r) + T(std::log(0.5 * scale_)));
  }
  // (r + 1) / 2 + (r^2 - 1) / 8 = u.
  Var<T> do_sample(Pass<T>& pass) const override {
    const Var<T> r = T(2) * sqrt(T(0.25) + T(2) * pass.uniform(1)) - T(2);
    return concatenate<T>({r * T(0) + T(1), r * T(0), r, sqrt(T(1) - square(r))});
  }
  Space do_support() const override { return Space::correlation(2); }
  void do_fields(Fields<T>& f) override {
    f.type("tilted_correlation");
    f.constant("tilt", tilt_);
    f.constant("scale", scale_);
  }
  void do_restored() override { this->set_shape({4}); }

  double tilt_ = 0.5, scale_ = 1;
};

/// The same matrix each time.
template <Scalar T>
class OneCorrelation final : public Distribution<T> {
 public:
  OneCorrelation() : Distribution<T>("OneCorrelation", 4) {}

 private:
  Column<T> do_log_prob(Pass<T>& pass, Var<T> y) const override {
    return row_sum(T(0) * pass.tape().columns(y, 2, 1) + T(std::log(0.5)));
  }
  Var<T> do_sample(Pass<T>& pass) const override {
    const Var<T> zero = T(0) * pass.uniform(1);
    return concatenate<T>({zero + T(1), zero, zero, zero + T(1)});
  }
  Space do_support() const override { return Space::correlation(2); }
  void do_fields(Fields<T>& f) override { f.type("one_correlation"); }
};

template <Scalar T>
std::vector<testing::Failure> failures_of(const Poly<Distribution<T>>& d) {
  testing::DistributionContract contract;
  contract.registry.add<TiltedCorrelation>("tilted_correlation");
  return testing::check_distribution<T>(d, contract);
}

bool any_of(const std::vector<testing::Failure>& failures, const std::string& check, const std::string& detail = {}) {
  return std::any_of(failures.begin(), failures.end(), [&](const testing::Failure& f) {
    return f.check == check && f.detail.find(detail) != std::string::npos;
  });
}

}  // namespace

TEMPLATE_TEST_CASE("A right density on correlation matrices keeps the contract", "[contract]", double, float) {
  const std::vector<testing::Failure> failures = failures_of<TestType>(TiltedCorrelation<TestType>(0.5, 1));
  INFO(testing::report(failures));
  CHECK(failures.empty());
}

TEMPLATE_TEST_CASE("Wrong densities on correlation matrices do not", "[contract]", double, float) {
  using T = TestType;
  const std::vector<testing::Failure> scaled = failures_of<T>(TiltedCorrelation<T>(0.5, 1.1));
  CHECK(any_of(scaled, "integral"));
  // It integrates to 1, and is not that of the samples.
  const std::vector<testing::Failure> tilted = failures_of<T>(TiltedCorrelation<T>(-0.5, 1));
  CHECK_FALSE(any_of(tilted, "integral"));
  CHECK(any_of(tilted, "importance weights"));
}

TEST_CASE("Samples that are all equal are seen by their whole rows", "[contract]") {
  CHECK(any_of(failures_of<double>(OneCorrelation<double>()), "order of samples", "all samples are equal"));
}
