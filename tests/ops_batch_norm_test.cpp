// The operations of batch normalisation: values, log_det, gradients through both statistics.

#include <algorithm>
#include <cmath>
#include <pushforward/ops.hpp>
#include <vector>

#include "tests/catch.hpp"
#include "tests/ops.hpp"
#include "src/core/evaluate.hpp"

using namespace pushforward;
using namespace pushforward::testing;
using namespace ops_tests;
using pushforward::detail::load;

TEST_CASE("Batch normalisation: values, log_det, gradients through both statistics", "[ops]") {
  const Index n = 23, d = 3;
  const double epsilon = 0.1;
  const Matrix<double> y = numbers(n, d, 71).array() * 2 + 5;
  Tensor<double> log_gamma = tensor({d}, 72), beta = tensor({d}, 73);
  for (const bool with_gamma : {true, false})
    for (const bool with_beta : {true, false}) {
      INFO("gamma " << with_gamma << ", beta " << with_beta);
      const auto gamma = [&](auto& t) { return with_gamma ? t.parameter(log_gamma) : Var<double>(); };
      const auto shift = [&](auto& t) { return with_beta ? t.parameter(beta) : Var<double>(); };
      Matrix<double> expected(n, d);
      double log_det = 0;
      for (Index c = 0; c < d; ++c) {
        const double mean = y.col(c).mean(), variance = (y.col(c).array() - mean).square().mean();
        expected.col(c) =
            (y.col(c).array() - mean) / std::sqrt(variance + epsilon) * (with_gamma ? std::exp(log_gamma[c]) : 1.0) +
            (with_beta ? beta[c] : 0.0);
        log_det += (with_gamma ? log_gamma[c] : 0.0) - 0.5 * std::log(variance + epsilon);
      }
      check_close(
          values<double>(y, [&](auto& t, auto v) { return normalize_batch(v, gamma(t), shift(t), epsilon).value; }),
          expected, 1e-12);
      check_close(
          column_values(y, [&](auto& t, auto v) { return normalize_batch(v, gamma(t), shift(t), epsilon).log_det; }),
          Eigen::VectorXd::Constant(n, log_det), 1e-12);
      std::vector<NamedTensor> parameters;
      if (with_gamma) parameters.push_back({"log_gamma", &log_gamma});
      if (with_beta) parameters.push_back({"beta", &beta});
      const auto f = [&](bool value, bool log) {
        return [&, value, log](Pass<double>& p, Var<double> v) {
          const NormalizedBatch<double> r = normalize_batch(v, gamma(p.tape()), shift(p.tape()), epsilon);
          Column<double> sum;
          if (value) sum = random_projection(p, square(r.value), 1);
          if (log) sum = sum + random_projection(p, r.log_det, 2);
          return sum;
        };
      };
      check_gradients(f(true, true), y, parameters, {.rows_couple = true});
      check_gradients(f(true, false), y, parameters, {.rows_couple = true});
      check_gradients(f(false, true), y,
                      with_gamma ? std::vector<NamedTensor>{{"log_gamma", &log_gamma}} : std::vector<NamedTensor>{},
                      {.rows_couple = true});
    }
}

TEST_CASE("Batch normalisation: ghost batches, shared channels, weights, corrections", "[ops]") {
  const Index n = 23, d = 4;
  const double epsilon = 0.1;
  const Matrix<double> y = numbers(n, d, 71).array() * 2 + 5;
  Matrix<double> weights = numbers(n, 1, 74, true);
  weights(3, 0) = 0;
  const std::vector<Index> channel{0, 1, 0, 1};
  for (const bool shared : {false, true})
    for (const Index ghost_rows : {0, 5})
      for (const bool weighted : {false, true})
        for (const bool bessel : {false, true}) {
          if (weighted && bessel) continue;
          INFO("shared " << shared << ", ghost rows " << ghost_rows << ", weighted " << weighted << ", bessel "
                         << bessel);
          const Index channels = shared ? 2 : 4, ghosts = ghost_rows ? 4 : 1;
          Tensor<double> gamma = tensor({channels}, 72), beta = tensor({channels}, 73);
          const Matrix<double> r = numbers(ghosts * channels, 1, 75, true), shift = numbers(ghosts * channels, 1, 76);
          const auto apply = [&](Tape<double>& t, Var<double> v) {
            BatchGroups<double> groups;
            if (shared) groups.channel = channel, groups.channels = 2;
            groups.ghost_rows = ghost_rows;
            if (weighted) groups.weights = load<double>(t, weights, false);
            return batch_normalize(v, groups, batch_moments(v, groups), t.parameter(gamma), t.parameter(beta), epsilon,
                                   {r.data(), shift.data()}, bessel);
          };
          // By plain loops.
          Matrix<double> expected(n, d);
          Eigen::VectorXd log_det = Eigen::VectorXd::Zero(n);
          for (Index i = 0; i < n; ++i)
            for (Index c = 0; c < d; ++c) {
              const Index ghost = ghost_rows ? std::min<Index>(i / 5, 3) : 0;
              const Index begin = ghost_rows ? 5 * ghost : 0, end = ghost_rows && ghost < 3 ? begin + 5 : n;
              const Index k = shared ? c % 2 : c, at = ghost * channels + k;
              double sum = 0, square = 0, count = 0;
              for (const bool second : {false, true})
                for (Index j = begin; j < end; ++j)
                  for (Index e = 0; e < d; ++e) {
                    if ((shared ? e % 2 : e) != k) continue;
                    const double w = weighted ? weights(j, 0) : 1;
                    if (second)
                      square += w * (y(j, e) - sum / count) * (y(j, e) - sum / count);
                    else
                      sum += w * y(j, e), count += w;
                  }
              const double variance = square / (bessel ? count - 1 : count) + epsilon;
              expected(i, c) =
                  gamma[k] * ((y(i, c) - sum / count) / std::sqrt(variance) * r(at, 0) + shift(at, 0)) + beta[k];
              log_det[i] += std::log(r(at, 0)) - 0.5 * std::log(variance);
            }
          check_close(values<double>(y, [&](auto& t, auto v) { return apply(t, v).value; }), expected, 1e-12);
          check_close(column_values(y, [&](auto& t, auto v) { return apply(t, v).log_det; }), log_det, 1e-12);
          check_gradients(
              [&](Pass<double>& p, Var<double> v) {
                const NormalizedBatch<double> b = apply(p.tape(), v);
                return random_projection(p, square(b.value), 1) + random_projection(p, b.log_det, 2);
              },
              y, {{"gamma", &gamma}, {"beta", &beta}}, {.rows_couple = true});
        }
}

TEST_CASE("Batch normalisation in float: the gradient of a column far from zero", "[ops]") {
  // Steps of the column are no less than 2^-10, so float holds the values, but not their mean.
  const Index n = 50;
  const Matrix<double> y = (numbers(n, 2, 81).array() * 16).round() / 1024 + 1e4;
  const Matrix<double> weights = numbers(n, 1, 82, true), seed = numbers(n, 2, 83);
  const auto gradient = [&]<class T>(T, bool weighted) {
    Workspace memory;
    Tape<T> tape(Tape<T>::Mode::record, {memory.batch, memory.local}, n);
    const Var<T> v = load<T>(tape, y.cast<T>().eval(), true);
    BatchGroups<T> groups;
    if (weighted) groups.weights = load<T>(tape, weights.cast<T>().eval(), false);
    const NormalizedBatch<T> b = batch_normalize(v, groups, batch_moments(v, groups), {}, {}, 1e-9);
    const std::vector<double> ones(static_cast<std::size_t>(n), 1.0);
    tape.backward(row_sum(square(b.value) * load<T>(tape, seed.cast<T>().eval(), false)), ones.data());
    Matrix<double> g(n, 2);
    for (Index c = 0; c < 2; ++c)
      for (Index i = 0; i < n; ++i) g(i, c) = static_cast<double>(tape.gradient(v, c)[i]);
    return g;
  };
  for (const bool weighted : {false, true}) {
    INFO("weighted " << weighted);
    const Matrix<double> exact = gradient(0.0, weighted);
    CHECK((gradient(0.0F, weighted) - exact).norm() < 1e-5 * exact.norm());
  }
}
