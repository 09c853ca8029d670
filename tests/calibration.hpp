#pragma once

// Models with rows that they are right or wrong about.

#include <cmath>
#include <functional>
#include <pushforward/diagnostics/calibration_report.hpp>
#include <pushforward/distributions/mixture.hpp>
#include <pushforward/distributions/multivariate_normal_tril.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/quantized.hpp>
#include <pushforward/distributions/standardized_context.hpp>
#include <pushforward/distributions/student_t.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <pushforward/flows/builders.hpp>
#include <string>
#include <vector>

namespace calibration_tests {

using namespace pushforward;

using Model = Poly<Distribution<double>>;
using Flow = TransformedDistribution<double>;

/// The same object with parameters that are not at their start.
template <class D>
D shaken(D d, double size = 0.3) {
  Index number = 0;
  for (const Slot<double>& slot : list_state(static_cast<Component<double>&>(d))) {
    if (slot.kind != StateKind::parameter || !slot.attributes.trainable) continue;
    std::vector<double> z(static_cast<std::size_t>(slot.tensor->size()));
    Engine(7, static_cast<std::uint64_t>(++number))
        .next_call()
        .normal(0, slot.tensor->size(), 1, z.data(), slot.tensor->size());
    for (Index i = 0; i < slot.tensor->size(); ++i) (*slot.tensor)[i] += size * z[static_cast<std::size_t>(i)];
  }
  return d;
}

inline MultivariateNormalTriL<double> gaussian(Index dim, double correlation) {
  Matrix<double> l = Matrix<double>::Identity(dim, dim);
  l(1, 0) = correlation;
  l(1, 1) = std::sqrt(1 - correlation * correlation);
  for (Index c = 2; c < dim; ++c) l(c, c - 1) = 0.4;
  const Eigen::VectorXd loc = Eigen::VectorXd::LinSpaced(dim, -1, 2);
  return MultivariateNormalTriL<double>(loc, l);
}

inline Matrix<double> normals(Index rows, Index cols, std::uint64_t seed) {
  Matrix<double> z(rows, cols);
  Engine(seed).next_call().normal(0, rows, cols, z.data(), rows);
  return z;
}

struct Case {
  std::string name;
  Model model;
  /// So many rows of the truth, at those contexts.
  std::function<Matrix<double>(Index rows, const Matrix<double>& context, Engine& engine)> draw;
};

/// Rows drawn from the model itself.
inline Case right(const std::string& name, Model model) {
  const auto draw = [model](Index rows, const Matrix<double>& context, Engine& engine) {
    return context.cols() > 0 ? model->sample_each(context, engine) : model->sample(rows, engine);
  };
  return {name, std::move(model), draw};
}

inline std::vector<Case> right_models() {
  const auto flow = [](auto f) { return Model(shaken(std::move(f))); };
  std::vector<Case> cases;
  cases.push_back(right("gaussian", gaussian(4, 0.6)));
  cases.push_back(right("maf", flow(maf<double>(3, {.layers = 2, .hidden = 8}))));
  cases.push_back(right("nsf", flow(nsf<double>(2, {.layers = 2, .hidden = 8}))));
  cases.push_back(right("conditional maf", flow(maf<double>(2, {.layers = 2, .hidden = 8, .context_dim = 1}))));
  cases.push_back(
      right("mixture", Mixture<double>({Model(gaussian(2, -0.7)), Model(Normal<double>({3, 1}, {0.5, 2}))})));
  cases.push_back(right("heavy tails", StudentT<double>({3, 2.5}, {0, 1}, {1, 2})));
  cases.push_back(right("on grids", Quantized<double>(Model(Normal<double>({0.3, 2}, {2, 1})), {{0, {0, 1}}})));
  return cases;
}

inline std::vector<Case> wrong_models() {
  std::vector<Case> cases;
  // One of four columns is a tenth too wide, or too narrow.
  for (const double factor : {1.1, 1 / 1.1})
    cases.push_back(
        {"scale off by 10 %", gaussian(4, 0.6), [factor](Index rows, const Matrix<double>&, Engine& engine) {
           Matrix<double> y = gaussian(4, 0.6).sample(rows, engine);
           y.col(2) = (y.col(2).array() - 1) * factor + 1;
           return y;
         }});
  cases.push_back({"one correlation dropped", gaussian(4, 0), [](Index rows, const Matrix<double>&, Engine& engine) {
                     return gaussian(4, 0.3).sample(rows, engine);
                   }});
  // Student's t of 5 degrees of freedom has the variance 5/3.
  cases.push_back({"tails too light", Normal<double>(2), [](Index rows, const Matrix<double>&, Engine& engine) {
                     const double unit = std::sqrt(0.6);
                     return StudentT<double>({5, 5}, {0, 0}, {unit, unit}).sample(rows, engine);
                   }});
  const auto flow = shaken(maf<double>(3, {.layers = 2, .hidden = 8}));
  cases.push_back({"scale of a flow off by 10 %", flow, [flow](Index rows, const Matrix<double>&, Engine& engine) {
                     Matrix<double> y = flow.sample(rows, engine);
                     y.col(0) *= 1.1;
                     return y;
                   }});
  const auto given = shaken(maf<double>(2, {.layers = 2, .hidden = 8, .context_dim = 1}));
  cases.push_back({"a context that does more", given, [given](Index, const Matrix<double>& context, Engine& engine) {
                     Matrix<double> y = given.sample_each(context, engine);
                     y.col(1) += 0.2 * context.col(0);
                     return y;
                   }});
  return cases;
}

/// In how many of the seeds something is found.
inline Index count_found(const Case& c, Index rows, std::uint64_t seeds, Execution& execution) {
  Index found = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    Engine engine(1000 + seed);
    const Matrix<double> context = normals(rows, c.model->context_dim(), 500 + seed);
    const Matrix<double> y = c.draw(rows, context, engine);
    found += !calibration_report(*c.model, y, {.context = context, .seed = seed, .execution = execution}).passed;
  }
  return found;
}

}  // namespace calibration_tests
