// Optimisers on their own: steps against other people's code, parts of an update, searches.

#include <algorithm>
#include <cmath>
#include <pushforward/bijectors/affine.hpp>
#include <pushforward/error.hpp>
#include <pushforward/training/adam.hpp>
#include <pushforward/training/ema.hpp>
#include <pushforward/training/lbfgs.hpp>
#include <pushforward/training/lion.hpp>
#include <pushforward/training/sgd.hpp>
#include <random>
#include <variant>

#include "tests/catch.hpp"
#include "tests/oracle.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;

namespace {

/// A parameter of n values, and a place for its gradient.
template <class T>
struct Holder {
  explicit Holder(Index n, bool decay = true) : affine(n) {
    slots = list_state(static_cast<Component<T>&>(affine));
    slots.resize(1);
    slots[0].attributes.decay = decay;
    const std::vector<const Tensor<T>*> chosen{slots[0].tensor};
    gradients = Gradients<T>(chosen);
  }
  Tensor<T>& values() { return *slots[0].tensor; }
  T* gradient() { return gradients.find(slots[0].tensor); }

  Affine<T> affine;
  std::vector<Slot<T>> slots;
  Gradients<T> gradients;
};

/// Takes the steps of an oracle file, from its start.
template <class AfterStep>
void take_steps(const oracle::Json& j, Optimizer<double>& optimizer, double weight_decay, const AfterStep& after) {
  Holder<double> holder(5);
  const Eigen::VectorXd start = oracle::vector(j["weights"]["start"]);
  const Eigen::MatrixXd gradients = oracle::matrix(j["gradients"]);
  std::copy(start.begin(), start.end(), holder.values().data());
  optimizer.start(holder.slots);
  for (Eigen::Index t = 0; t < gradients.rows(); ++t) {
    // Clipping scales gradients: half of twice as much.
    for (Index i = 0; i < 5; ++i) holder.gradient()[i] = 2 * gradients(t, i);
    optimizer.step(holder.gradients, {.rate = oracle::number(j["settings"]["lr"]),
                                      .weight_decay = weight_decay,
                                      .gradient_scale = 0.5});
    after(t, holder);
  }
  CHECK(optimizer.steps() == gradients.rows());
}

void check_parameters(const oracle::Json& j, const oracle::Json& run, Optimizer<double>& optimizer,
                      double weight_decay) {
  const Eigen::MatrixXd expected = oracle::matrix(run["parameters"]);
  take_steps(j, optimizer, weight_decay, [&](Eigen::Index t, Holder<double>& holder) {
    for (Index i = 0; i < 5; ++i) CHECK(holder.values()[i] == Approx(expected(t, i)).epsilon(1e-12).margin(1e-14));
  });
}

}  // namespace

TEST_CASE("Sgd takes torch's steps") {
  const auto j = oracle::read("torch_sgd");
  for (const auto& [name, run] : j["outputs"].items()) {
    INFO(name);
    const auto& s = run["settings"];
    Sgd<double> sgd({.momentum = oracle::number(s["momentum"]), .nesterov = s["nesterov"].get<bool>()});
    check_parameters(j, run, sgd, oracle::number(s["weight_decay"]));
  }
}

TEST_CASE("Lion takes the steps of lion-pytorch") {
  const auto j = oracle::read("lion");
  for (const auto& [name, run] : j["outputs"].items()) {
    INFO(name);
    Lion<double> lion;
    check_parameters(j, run, lion, oracle::number(run["weight_decay"]));
    const std::vector<Optimizer<double>::State> state = lion.state();
    REQUIRE(state.size() == 1);
    const Eigen::VectorXd m = oracle::vector(run["moment"]);
    for (Index i = 0; i < 5; ++i)
      CHECK((*std::get<Tensor<double>*>(state[0].tensor))[i] == Approx(m[i]).epsilon(1e-12));
  }
}

TEST_CASE("Ema: the steps are those of the optimiser within, the result is their average as torch has it") {
  const auto j = oracle::read("torch_ema");
  const Eigen::MatrixXd expected = oracle::matrix(j["outputs"]["averages"]);
  Ema<double> ema(Sgd<double>(), {.decay = oracle::number(j["settings"]["decay"])});
  Sgd<double> plain;
  std::vector<Tensor<double>> steps;
  take_steps(j, plain, 0, [&](Eigen::Index, Holder<double>& holder) { steps.push_back(holder.values()); });
  CHECK_FALSE(plain.has_result());
  CHECK(ema.has_result());
  take_steps(j, ema, 0, [&](Eigen::Index t, Holder<double>& holder) {
    const Tensor<double> own = holder.values();
    ema.put_result();
    for (Index i = 0; i < 5; ++i) {
      CHECK(own[i] == steps[static_cast<std::size_t>(t)][i]);
      CHECK(holder.values()[i] == Approx(expected(t, i)).epsilon(1e-12).margin(1e-14));
    }
    std::copy(own.values().begin(), own.values().end(), holder.values().data());
  });
}

TEST_CASE("Ema in float does not stall at slow rates") {
  Holder<float> holder(1);
  Ema<float> ema(Sgd<float>(), {.decay = 0.9999});
  ema.start(holder.slots);
  // Values 1000, and then 1000.1: each increment of the average is below half an ulp of float.
  double sum = 0, weight = 0;
  for (int t = 0; t < 4000; ++t) {
    holder.values()[0] = t == 0 ? 1000.0f : 1000.1f;
    ema.step(holder.gradients, {.rate = 0.1});
    sum = 0.9999 * sum + static_cast<double>(holder.values()[0]);
    weight = 0.9999 * weight + 1;
  }
  ema.put_result();
  CHECK(static_cast<double>(holder.values()[0]) == Approx(sum / weight).epsilon(6e-8));
}

namespace {

template <class T>
std::vector<Poly<Optimizer<T>>> elementwise() {
  std::vector<Poly<Optimizer<T>>> all;
  all.push_back(Adam<T>());
  all.push_back(Adam<T>({.decoupled_decay = false}));
  all.push_back(Sgd<T>());
  all.push_back(Sgd<T>({.momentum = 0.9}));
  all.push_back(Sgd<T>({.momentum = 0.9, .nesterov = true}));
  all.push_back(Lion<T>());
  all.push_back(Ema<T>());
  return all;
}

}  // namespace

TEMPLATE_TEST_CASE("parts of an update add up to the same bits, and weight decay leaves alone what is marked so", "",
                   float, double) {
  using T = TestType;
  for (const Poly<Optimizer<T>>& start : elementwise<T>()) {
    INFO(start->describe().type);
    std::vector<T> first;
    for (const int parts : {1, 2, 3, 8}) {
      Holder<T> holder(300);
      Poly<Optimizer<T>> optimizer = start;
      optimizer->start(holder.slots);
      for (Index i = 0; i < 300; ++i) holder.values()[i] = static_cast<T>(std::sin(static_cast<double>(i)));
      for (int t = 0; t < 5; ++t) {
        for (Index i = 0; i < 300; ++i) holder.gradient()[i] = static_cast<T>(std::cos(static_cast<double>(i * t)));
        optimizer->advance();
        for (int p = 0; p < parts; ++p)
          optimizer->update(holder.gradients, {.rate = 0.01, .weight_decay = 0.1}, p, parts);
      }
      optimizer->put_result();
      const std::vector<T> values(holder.values().values().begin(), holder.values().values().end());
      if (first.empty()) first = values;
      CHECK(values == first);
    }
    Holder<T> marked(20, false), decaying(20, true);
    for (Holder<T>* holder : {&marked, &decaying}) {
      Poly<Optimizer<T>> optimizer = start;
      optimizer->start(holder->slots);
      for (Index i = 0; i < 20; ++i) holder->values()[i] = T(1);
      optimizer->step(holder->gradients, {.rate = 0.1, .weight_decay = 0.5});
      for (Index i = 0; i < 20; ++i) {
        if (holder == &marked) CHECK(holder->values()[i] == T(1));
        else CHECK(holder->values()[i] < T(0.96));
      }
    }
  }
}

TEST_CASE("optimisers are values: a copy goes its own way") {
  Holder<double> a(3), b(3);
  Poly<Optimizer<double>> one = Ema<double>(Lion<double>());
  one->start(a.slots);
  a.gradient()[0] = 1;
  one->step(a.gradients, {.rate = 0.1});
  Poly<Optimizer<double>> other = one;
  other->start(b.slots);
  CHECK(other->steps() == 0);
  CHECK(one->steps() == 1);
  CHECK(one->describe() == other->describe());
  other->put_result();  // no step, no average
  CHECK(b.values()[0] == 0);
  CHECK(a.values()[0] == Approx(-0.1));
}

// ------------------------------------------------------------------------------------------------------------- L-BFGS

namespace {

/// sum_i 100 (x[i+1] - x[i]^2)^2 + (1 - x[i])^2 for pairs of neighbours, least at ones.
struct Rosenbrock final : Trials<double> {
  explicit Rosenbrock(Holder<double>& holder) : holder(holder) {}
  double evaluate() override {
    ++evaluations;
    const Tensor<double>& x = holder.values();
    double* g = holder.gradient();
    std::fill_n(g, x.size(), 0.0);
    double sum = 0;
    for (Index i = 0; i + 1 < x.size(); ++i) {
      const double a = x[i + 1] - x[i] * x[i], b = 1 - x[i];
      sum += 100 * a * a + b * b;
      g[i] += -400 * a * x[i] - 2 * b;
      g[i + 1] += 200 * a;
    }
    return sum;
  }
  Gradients<double>& gradients() override { return holder.gradients; }
  Holder<double>& holder;
  int evaluations = 0;
};

}  // namespace

TEST_CASE("LBfgs finds the minimum of Rosenbrock's function") {
  for (const Index n : {2, 10}) {
    INFO(n);
    Holder<double> holder(n);
    for (Index i = 0; i < n; ++i) holder.values()[i] = i % 2 == 0 ? -1.2 : 1.0;
    Rosenbrock f(holder);
    LBfgs<double> lbfgs({.iterations = 10});
    lbfgs.start(holder.slots);
    CHECK(lbfgs.searches());
    double before = f.evaluate();
    const double first = before;
    for (int step = 0; step < 12; ++step) {
      lbfgs.search(f, before, {});
      const double value = f.evaluate();  // of the parameters that the search has left
      CHECK(value <= before + 1e-15);
      before = value;
    }
    CHECK(before < 1e-20 * first);
    for (Index i = 0; i < n; ++i) CHECK(holder.values()[i] == Approx(1.0).epsilon(1e-9));
    CHECK(f.evaluations < 300);
  }
}

TEST_CASE("LBfgs: weight decay is a penalty, and infinite losses are walls") {
  // (x - 2)^2 / 2 + 0.5 x^2 / 2 is least at 4/3; beyond 1.5 there is nothing.
  struct Walled final : Trials<double> {
    explicit Walled(Holder<double>& holder) : holder(holder) {}
    double evaluate() override {
      const double x = holder.values()[0];
      holder.gradient()[0] = x - 2;
      return x > 1.5 ? std::numeric_limits<double>::infinity() : (x - 2) * (x - 2) / 2;
    }
    Gradients<double>& gradients() override { return holder.gradients; }
    Holder<double>& holder;
  };
  Holder<double> holder(1);
  holder.values()[0] = -30;
  Walled f(holder);
  LBfgs<double> lbfgs;
  lbfgs.start(holder.slots);
  for (int step = 0; step < 3; ++step) lbfgs.search(f, f.evaluate(), {.weight_decay = 0.5});
  CHECK(holder.values()[0] == Approx(4.0 / 3).epsilon(1e-9));
}

TEST_CASE("LBfgs goes straight down where what it remembers gives no direction") {
  // A pair of which y'y underflows, as of a checkpoint of another function: 1 / y'y is infinite.
  struct Parabola final : Trials<double> {
    explicit Parabola(Holder<double>& holder) : holder(holder) {}
    double evaluate() override {
      const double x = holder.values()[0];
      holder.gradient()[0] = x - 2;
      return (x - 2) * (x - 2) / 2;
    }
    Gradients<double>& gradients() override { return holder.gradients; }
    Holder<double>& holder;
  };
  Holder<double> holder(1);
  holder.values()[0] = 5;
  Parabola f(holder);
  LBfgs<double> lbfgs({.memory = 1, .iterations = 1});
  lbfgs.start(holder.slots);
  for (const Optimizer<double>::State& state : lbfgs.state())
    std::get<Tensor<double>*>(state.tensor)->values()[0] = state.name == "y" ? 1e-200 : 1.0;
  lbfgs.search(f, f.evaluate(), {});
  CHECK(std::abs(holder.values()[0] - 2) < 2.5);
}

TEST_CASE("LBfgs: every step satisfies the strong Wolfe conditions, within few trials") {
  // Waves on a parabola, with several minima between which the first trials leap, from both sides, and with walls beyond
  // which there is nothing; weight decay adds another parabola.
  struct Waves final : Trials<double> {
    explicit Waves(Holder<double>& holder) : holder(holder) {}
    double evaluate() override {
      ++evaluations;
      const double x = holder.values()[0];
      slope = holder.gradient()[0] = scale * (x + height * frequency * std::cos(frequency * x + phase));
      if (std::abs(x) > wall) return std::numeric_limits<double>::infinity();
      return scale * (x * x / 2 + height * std::sin(frequency * x + phase));
    }
    Gradients<double>& gradients() override { return holder.gradients; }
    Holder<double>& holder;
    double scale = 1, height = 1, frequency = 1, phase = 0, wall = 1, slope = 0;
    int evaluations = 0;
  };
  constexpr double decrease = 1e-4, curvature = 0.1;
  std::mt19937_64 bits(11);
  const auto unit = [&] { return static_cast<double>(bits() >> 11) * 0x1p-53; };
  int most = 0;
  for (int k = 0; k < 2000; ++k) {
    Holder<double> holder(1);
    Waves f(holder);
    f.scale = std::exp(6 * unit() - 3);
    f.height = unit();
    f.frequency = 1 + 5 * unit();
    f.phase = 6 * unit();
    f.wall = k % 2 == 0 ? 4 + unit() : 1e9;
    const double decay = k % 3 == 0 ? 0 : 3 * unit(), from = holder.values()[0] = 8 * unit() - 4;
    LBfgs<double> lbfgs({.iterations = 1, .decrease = decrease, .curvature = curvature});
    lbfgs.start(holder.slots);
    const auto penalised = [&](double loss) { return loss + 0.5 * decay * std::pow(holder.values()[0], 2); };
    const double loss = f.evaluate(), before = penalised(loss), down = f.slope + decay * from;
    lbfgs.search(f, loss, {.weight_decay = decay});
    most = std::max(most, f.evaluations);
    const double after = penalised(f.evaluate()), moved = holder.values()[0] - from;
    const double slope = f.slope + decay * holder.values()[0];
    INFO(k << " from " << from << " by " << moved << ", slope " << down << " to " << slope);
    CHECK(after <= before + decrease * moved * down + 1e-12);
    // Where the way down leads into the wall, no point need be flat.
    const bool at_wall = std::abs(holder.values()[0]) > f.wall - 0.1;
    CHECK((at_wall || std::abs(slope) <= curvature * std::abs(down) + 1e-12));
  }
  INFO(most);
  CHECK(most <= 14);
}

TEST_CASE("an averaged search averages where its steps end") {
  Holder<double> holder(2);
  Rosenbrock f(holder);
  Ema<double> ema(LBfgs<double>({.iterations = 1}), {.decay = 0.5});
  ema.start(holder.slots);
  CHECK(ema.searches());
  CHECK(ema.needs_full_batch());
  double sum = 0, weight = 0;
  for (int t = 0; t < 3; ++t) {
    ema.search(f, f.evaluate(), {});
    sum = 0.5 * sum + holder.values()[0];
    weight = 0.5 * weight + 1;
  }
  ema.put_result();
  CHECK(holder.values()[0] == Approx(sum / weight).epsilon(1e-14));
}

TEST_CASE("optimisers refuse settings out of range, and steps of the other kind") {
  CHECK_THROWS_AS(Adam<double>({.beta1 = 1.0}), DomainError);
  CHECK_THROWS_AS(Adam<double>({.epsilon = 0}), DomainError);
  CHECK_THROWS_AS(Sgd<double>({.momentum = 1.0}), DomainError);
  CHECK_THROWS_AS(Sgd<double>({.nesterov = true}), DomainError);
  CHECK_THROWS_AS(Lion<double>({.beta2 = -0.1}), DomainError);
  CHECK_THROWS_AS(Ema<double>(Adam<double>(), {.decay = 1}), DomainError);
  CHECK_THROWS_AS(LBfgs<double>({.memory = 0}), DomainError);
  CHECK_THROWS_WITH(LBfgs<double>({.curvature = 1e-5}), ContainsSubstring("curvature must be in (decrease, 1)"));
  Holder<double> holder(2);
  LBfgs<double> lbfgs;
  lbfgs.start(holder.slots);
  CHECK_THROWS_AS(lbfgs.step(holder.gradients, {}), NotImplemented);
  Rosenbrock f(holder);
  Sgd<double> sgd;
  sgd.start(holder.slots);
  CHECK_THROWS_AS(sgd.search(f, 0, {}), NotImplemented);
}
