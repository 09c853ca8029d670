// The optimiser, clipping and the schedules, against torch.

#include <algorithm>
#include <pushforward/bijectors/affine.hpp>
#include <pushforward/training/fit.hpp>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "tests/oracle.hpp"
#include "tests/training.hpp"
#include "src/training/step.hpp"

using namespace pushforward;
using namespace training_tests;

TEST_CASE("Adam and AdamW take torch's steps") {
  const auto j = oracle::read("torch_adam");
  const Eigen::MatrixXd gradients = oracle::matrix(j["gradients"]);
  for (const std::string name : {"adam", "adam_weight_decay", "adamw", "adamw_weight_decay"}) {
    INFO(name);
    Affine<double> holder(5);  // its shift is the parameter
    std::vector<Slot<double>> slots = list_state(static_cast<Component<double>&>(holder));
    slots.resize(1);
    slots[0].attributes.decay = true;
    const Eigen::VectorXd start = oracle::vector(j["weights"]["start"]);
    std::copy(start.begin(), start.end(), slots[0].tensor->data());
    Adam<double> adam(slots, {.decoupled_decay = name.starts_with("adamw")});
    const std::vector<const Tensor<double>*> chosen{slots[0].tensor};
    Gradients<double> g(chosen);
    const Eigen::MatrixXd expected = oracle::matrix(j["outputs"][name]["parameters"]);
    for (Eigen::Index step = 0; step < gradients.rows(); ++step) {
      for (Index i = 0; i < 5; ++i) g.find(slots[0].tensor)[i] = gradients(step, i);
      adam.step(g, {.rate = 0.01, .weight_decay = name.ends_with("weight_decay") ? 0.1 : 0.0});
      for (Index i = 0; i < 5; ++i)
        CHECK((*slots[0].tensor)[i] == Approx(expected(step, i)).epsilon(1e-12).margin(1e-14));
    }
    const Eigen::VectorXd m = oracle::vector(j["outputs"][name]["first_moment"]);
    const Eigen::VectorXd v = oracle::vector(j["outputs"][name]["second_moment"]);
    for (Index i = 0; i < 5; ++i) {
      CHECK(adam.first_moment()[i] == Approx(m[i]).epsilon(1e-12));
      CHECK(adam.second_moment()[i] == Approx(v[i]).epsilon(1e-12));
    }
  }
}

TEST_CASE("weight decay leaves alone the parameters that are marked so, and parts of an update add up") {
  for (const int parts : {1, 2, 3, 8}) {
    Affine<double> a(200);
    std::vector<Slot<double>> slots = list_state(static_cast<Component<double>&>(a));
    slots[0].attributes.decay = true;
    const std::vector<const Tensor<double>*> chosen{slots[0].tensor, slots[1].tensor};
    Gradients<double> g(chosen);
    for (Index i = 0; i < 200; ++i) (*slots[0].tensor)[i] = (*slots[1].tensor)[i] = 1.0;
    Adam<double> adam(slots);
    adam.advance();
    for (int p = 0; p < parts; ++p) adam.update(g, {.rate = 0.1, .weight_decay = 0.5}, p, parts);
    for (Index i = 0; i < 200; ++i) {
      CHECK((*slots[0].tensor)[i] == Approx(0.95));
      CHECK((*slots[1].tensor)[i] == 1.0);
    }
  }
}

TEST_CASE("clipping scales as torch does") {
  const auto j = oracle::read("torch_clip_gradient_norm")["outputs"];
  const double norm = oracle::number(j["clipped"]["total_norm"]);
  CHECK(0.4999 * clipping_scale(norm, 1.0) ==
        Approx(oracle::number(j["clipped"]["gradients"]["a"][0][0])).epsilon(1e-12));
  CHECK(clipping_scale(norm, 100.0) == 1.0);
  CHECK(clipping_scale(norm, 0.0) == 1.0);
}

TEST_CASE("schedules follow torch's") {
  const auto j = oracle::read("torch_schedules");
  for (const auto& [name, c] : j["outputs"]["cosine"].items()) {
    INFO(name);
    const LearningRate rate(CosineSchedule{oracle::number(c["settings"]["eta_min"])},
                            oracle::number(c["settings"]["lr"]), c["settings"]["T_max"].get<Index>());
    for (std::size_t t = 0; t < c["lr"].size(); ++t)
      CHECK(rate.at(static_cast<Index>(t)) == Approx(oracle::number(c["lr"][t])).epsilon(1e-12).margin(1e-15));
  }
  for (const auto& [name, p] : j["outputs"]["plateau"].items()) {
    INFO(name);
    const auto& s = p["settings"];
    LearningRate rate(PlateauSchedule{.factor = oracle::number(s["factor"]),
                                      .patience = s["patience"].get<Index>(),
                                      .threshold = oracle::number(s["threshold"]),
                                      .relative = s["threshold_mode"] == "rel",
                                      .cooldown = s["cooldown"].get<Index>(),
                                      .floor = oracle::number(s["min_lr"])},
                      oracle::number(s["lr"]), 0);
    for (std::size_t i = 0; i < j["losses"].size(); ++i) {
      rate.report(oracle::number(j["losses"][i]));
      CHECK(rate.at(5) == Approx(oracle::number(p["lr_after"][i])).epsilon(1e-12));
    }
  }
  const LearningRate warm(CosineSchedule{}, 1.0, 14, 4);
  CHECK(warm.at(0) == 0.25);
  CHECK(warm.at(3) == 1.0);
  CHECK(warm.at(4) == 1.0);
  CHECK(warm.at(9) == Approx(0.5));
  CHECK_THROWS_AS(LearningRate(ConstantSchedule{}, -1.0, 3), DomainError);
  CHECK_THROWS_AS(LearningRate(PlateauSchedule{.factor = 1.5}, 0.1, 3), DomainError);
}
