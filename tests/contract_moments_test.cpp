// The contract compares each moment that a class states, whatever others it states.

#include <pushforward/testing/distribution_contract.hpp>
#include <string>

#include "tests/catch.hpp"

using namespace pushforward;
using namespace pushforward::testing;
using Catch::Matchers::ContainsSubstring;

namespace {

/// Normal, with location 3 and scale 1. States what `states` says, bit 0 the mean and bit 1 the variance; wrongly if
/// asked.
template <Scalar T>
class Stated final : public Distribution<T> {
 public:
  Stated(Index states, bool wrong) : Distribution<T>("Stated", 2), states_(states), wrong_(wrong) {}
  explicit Stated(Blank) : Stated(0, false) {}

 private:
  Column<T> do_log_prob(Pass<T>& pass, Var<T> y) const override {
    return -0.5 * row_sum_of_squares(y - T(3)) + constant_column(pass.tape(), -1.8378770664093453);
  }
  Var<T> do_sample(Pass<T>& pass) const override { return pass.normal(2) + T(3); }
  void do_mean(VectorView<double> mean) const override {
    if (!(states_ & 1)) throw this->not_implemented("mean", "it is not stated here");
    for (Index c = 0; c < 2; ++c) mean[c] = wrong_ && c == 1 ? 3.1 : 3;
  }
  void do_variance(VectorView<double> variance) const override {
    if (!(states_ & 2)) throw this->not_implemented("variance", "it is not stated here");
    for (Index c = 0; c < 2; ++c) variance[c] = wrong_ && c == 1 ? 1.1 : 1;
  }
  void do_fields(Fields<T>& f) override {
    f.type("stated");
    Index wrong = wrong_;
    f.constant("states", states_, 0, 3);
    f.constant("wrong", wrong, 0, 1);
    wrong_ = wrong == 1;
    this->dim_field(f);
  }
  Index states_;
  bool wrong_;
};

std::string failures_of(Index states, bool wrong) {
  DistributionContract contract;
  contract.registry.add<Stated>("stated");
  return report(check_distribution(Stated<double>(states, wrong), contract));
}

}  // namespace

TEST_CASE("the contract sees a wrong moment, whatever else is stated", "[contract]") {
  for (Index states = 0; states < 4; ++states) {
    INFO("states " << states);
    CHECK(failures_of(states, false).empty());
  }
  CHECK_THAT(failures_of(1, true), ContainsSubstring("mean of column 1 against samples"));
  CHECK_THAT(failures_of(2, true), ContainsSubstring("variance of column 1 against samples"));
  CHECK_THAT(failures_of(3, true), ContainsSubstring("mean of column 1 against samples"));
}
