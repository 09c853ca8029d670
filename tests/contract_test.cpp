// The contracts of pushforward/testing on every class of the catalogue, a few objects that are wrong on purpose, and
// classes as users write them.

#include <pushforward/testing/bijector_contract.hpp>
#include <pushforward/testing/distribution_contract.hpp>

#include "tests/catalogue.hpp"
#include "tests/catch.hpp"

using namespace pushforward;
using namespace pushforward::testing;

namespace {

template <Scalar T>
void check_bijectors() {
  for (auto& entry : catalogue::bijectors<T>()) {
    DYNAMIC_SECTION(entry.name) {
      perturb<T>(*entry.object, 7);
      const std::vector<Failure> failures = check_bijector<T>(entry.object, {.tensors = entry.tensors});
      INFO(report(failures));
      CHECK(failures.empty());
    }
  }
}

template <Scalar T>
void check_distributions() {
  for (auto& entry : catalogue::distributions<T>()) {
    DYNAMIC_SECTION(entry.name) {
      perturb<T>(*entry.object, 7);
      const std::vector<Failure> failures = check_distribution<T>(entry.object, {.tensors = entry.tensors});
      INFO(report(failures));
      CHECK(failures.empty());
    }
  }
}

}  // namespace

TEST_CASE("Every bijector keeps the contract in double", "[contract]") { check_bijectors<double>(); }
TEST_CASE("Every bijector keeps the contract in float", "[contract]") { check_bijectors<float>(); }
TEST_CASE("Every distribution keeps the contract in double", "[contract]") { check_distributions<double>(); }
TEST_CASE("Every distribution keeps the contract in float", "[contract]") { check_distributions<float>(); }

// ------------------------------------------------------------------------------------- the contracts see what is wrong

namespace {

enum class Bug {
  none,
  inverse_log_det_sign,
  forward_log_det_missing,
  inverse_map,
  unlisted_parameter,
  unused_parameter,
  parameter_bypasses_tape,
  gradient_of_map,
  reads_other_rows,
  context_dropped,
  constant_not_declared,
  domain_too_large,
};

/// y = x exp(a) + b + 0.1 c, with one bug.
template <Scalar T>
class Buggy final : public Bijector<T> {
 public:
  explicit Buggy(Bug bug) : Bijector<T>("Buggy", 2, 1), a_({2}), b_({2}), unused_({3}), bug_(bug) {
    a_[0] = T(0.4);
    a_[1] = T(-0.9);
    b_[0] = b_[1] = T(0.3);
  }
  explicit Buggy(Blank) : Buggy(Bug::none) { b_[0] = b_[1] = 0; }

 private:
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const override {
    const Var<T> a = pass.parameter(a_);
    Var<T> y = x * exp(a) + shift(pass, true);
    if (bug_ == Bug::reads_other_rows)
      for (Index c = 0; c < 2; ++c)
        pass.tape().value(y, c)[0] += pass.tape().value(y, c)[pass.rows() - 1] - pass.tape().value(y, c)[0];
    if (bug_ == Bug::gradient_of_map && pass.recording()) {
      const Var<T> half = pass.tape().matrix(2, true);
      for (Index c = 0; c < 2; ++c)
        std::copy_n(pass.tape().value(y, c), pass.tape().padded_rows(), pass.tape().value(half, c));
      pass.tape().on_backward([y, half] {
        for (Index c = 0; c < 2; ++c)
          for (Index i = 0; i < y.tape().padded_rows(); ++i)
            y.tape().gradient(y, c)[i] += T(0.5) * y.tape().gradient(half, c)[i];
      });
      y = half;
    }
    return {y, bug_ == Bug::forward_log_det_missing ? Column<T>() : row_sum(a)};
  }
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const override {
    const Var<T> a = pass.parameter(a_);
    const Var<T> b = shift(pass, bug_ != Bug::context_dropped);
    const Var<T> x = bug_ == Bug::inverse_map ? (y + b) * exp(-a) : (y - b) * exp(-a);
    return {x, bug_ == Bug::inverse_log_det_sign ? row_sum(a) : row_sum(-a)};
  }
  Var<T> shift(Pass<T>& pass, bool context) const {
    Var<T> b = pass.tape().matrix(2, false);
    for (Index c = 0; c < 2; ++c)
      std::fill_n(pass.tape().value(b, c), pass.tape().padded_rows(),
                  bug_ == Bug::parameter_bypasses_tape ? b_[c] : T(0));
    if (bug_ != Bug::parameter_bypasses_tape) b = b + pass.parameter(b_);
    return context ? b + concatenate<T>({pass.context(), pass.context()}) * T(0.1) : b;
  }
  bool do_is_constant_jacobian() const override { return bug_ != Bug::constant_not_declared; }
  Space do_domain() const override {
    return bug_ == Bug::domain_too_large ? Space::box(2, {0, 1}) : Space::real(2);
  }
  void do_fields(Fields<T>& f) override {
    f.type("buggy");
    Index bug = static_cast<Index>(bug_);
    f.constant("bug", bug, 0, 100);
    bug_ = static_cast<Bug>(bug);
    f.parameter("a", a_, {2});
    if (bug_ != Bug::unlisted_parameter) f.parameter("b", b_, {2});
    if (bug_ == Bug::unused_parameter) f.parameter("unused", unused_, {3});
  }

  Tensor<T> a_, b_, unused_;
  Bug bug_;
};

std::vector<Failure> check_buggy(Bug bug) {
  BijectorContract contract;
  contract.registry.add<Buggy>("buggy");
  return check_bijector(Buggy<double>(bug), contract);
}

}  // namespace

TEST_CASE("A user's bijector keeps the contract", "[contract]") {
  const std::vector<Failure> failures = check_buggy(Bug::none);
  INFO(report(failures));
  CHECK(failures.empty());
}

TEST_CASE("The contract sees what is wrong", "[contract]") {
  const Bug bug = GENERATE(Bug::inverse_log_det_sign, Bug::forward_log_det_missing, Bug::inverse_map,
                           Bug::unlisted_parameter, Bug::unused_parameter, Bug::parameter_bypasses_tape,
                           Bug::gradient_of_map, Bug::reads_other_rows, Bug::context_dropped, Bug::domain_too_large);
  INFO("bug " << static_cast<int>(bug));
  CHECK_FALSE(check_buggy(bug).empty());
}

TEST_CASE("A constant that is not declared is no error unless log_det is 0", "[contract]") {
  CHECK(check_buggy(Bug::constant_not_declared).empty());
}

TEST_CASE("check_gradient serves functions of rows", "[contract]") {
  const Matrix<double> x = Matrix<double>::Random(9, 2);
  const auto banana = [](Pass<double>&, Var<double> v) {
    const Var<double> u = columns(v, 0, 1), w = columns(v, 1, 1);
    return row_sum(square(w - square(u)) + square(u));
  };
  CHECK(check_gradient(banana, x, {}, {}).empty());
  const auto wrong = [&](Pass<double>& pass, Var<double> v) {
    Matrix<double> copy(v.tape().rows(), 2);
    const Var<double> detached = pass.tape().matrix(2, false);
    for (Index c = 0; c < 2; ++c)
      std::copy_n(pass.tape().value(v, c), pass.tape().padded_rows(), pass.tape().value(detached, c));
    return row_sum(square(v) * detached);
  };
  CHECK_FALSE(check_gradient(wrong, x, {}, {}).empty());
}

// Minutes for each scalar type.
TEMPLATE_TEST_CASE("Ten million draws of every bounded map lie in its codomain", "[.slow]", double, float) {
  using T = TestType;
  constexpr Index chunk = 100'000, chunks = 100;
  Index maps = 0;
  for (auto& entry : catalogue::bijectors<T>()) {
    const Bijector<T>& map = *entry.object;
    const Space codomain = map.codomain();
    if (codomain == Space::real(map.dim()) || map.domain() != Space::real(map.base_dim()) || !map.has_forward() ||
        map.context_dim() > 0)
      continue;
    INFO(entry.name << ": " << codomain.to_text());
    ++maps;
    std::vector<double> row(static_cast<std::size_t>(map.dim()));
    for (Index k = 0; k < chunks; ++k) {
      Engine engine(static_cast<std::uint64_t>(k));
      const Matrix<T> x = Normal<T>(map.base_dim()).sample(chunk, engine), y = map.forward(x).value;
      for (Index i = 0; i < chunk; ++i) {
        for (Index c = 0; c < map.dim(); ++c) row[static_cast<std::size_t>(c)] = static_cast<double>(y(i, c));
        if (const std::string why = codomain.misfit(row, "the codomain", surface_tolerance<T>); !why.empty())
          FAIL(why << ", chunk " << k << ", row " << i);
      }
    }
  }
  CHECK(maps > 20);
}
