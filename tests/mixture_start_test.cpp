// Mixtures of equal components start from the data, others stay as they were given.

#include <algorithm>
#include <cmath>
#include <pushforward/pushforward.hpp>
#include <vector>

#include "tests/catch.hpp"

using namespace pushforward;

namespace {

/// Three clusters in two columns, with 500, 300 and 200 rows, in an order without a pattern.
Matrix<double> clusters(Index rows) {
  const double centres[3][2] = {{-6, 0}, {5, 40}, {0, -50}}, spread[3] = {0.5, 1, 2};
  Engine engine(5);
  Matrix<double> z = Normal<double>(2).sample(rows, engine);
  for (Index i = 0; i < rows; ++i) {
    const Index part = (i * 7) % 10, k = part < 5 ? 0 : part < 8 ? 1 : 2;
    z(i, 0) = centres[k][0] + spread[k] * z(i, 0);
    z(i, 1) = centres[k][1] + 10 * spread[k] * z(i, 1) * 0.3;
  }
  return z;
}

/// After the start alone: a run without epochs changes nothing else.
template <class Model>
Model started(Model model, const Matrix<double>& y, int threads = 1) {
  Execution execution({.threads = threads});
  FitOptions<double> options{.epochs = 0, .validation_fraction = 0};
  options.execution = execution;
  fit(model, y, options);
  return model;
}

std::vector<Index> by_location(const Mixture<double>& m) {
  std::vector<Index> order;
  for (Index k = 0; k < m.components(); ++k) order.push_back(k);
  std::sort(order.begin(), order.end(),
            [&](Index a, Index b) { return m.component(a).mean()[0] < m.component(b).mean()[0]; });
  return order;
}

}  // namespace

TEST_CASE("Equal normals start on the clusters of the data", "[mixture_start]") {
  const Matrix<double> y = clusters(1000);
  const auto m = started(Mixture({Normal<double>(2), Normal<double>(2), Normal<double>(2)}), y);
  const std::vector<Index> order = by_location(m);
  const double locations[3] = {-6, 0, 5}, second[3] = {0, -50, 40}, spread[3] = {0.5, 2, 1}, share[3] = {0.5, 0.2, 0.3};
  for (Index k = 0; k < 3; ++k) {
    const auto& component = m.component(order[static_cast<std::size_t>(k)]);
    INFO("component at " << component.mean().transpose());
    CHECK(component.mean()[0] == Approx(locations[k]).margin(0.4));
    CHECK(component.mean()[1] == Approx(second[k]).margin(1.2));
    CHECK(component.stddev()[0] == Approx(spread[k]).epsilon(0.15));
    CHECK(component.stddev()[1] == Approx(3 * spread[k]).epsilon(0.15));
    CHECK(m.weights()[order[static_cast<std::size_t>(k)]] == Approx(share[k]).margin(0.01));
  }
}

TEST_CASE("Each start is the mean of the rows that lie nearest to it", "[mixture_start]") {
  const Eigen::VectorXd x = Eigen::VectorXd::LinSpaced(1000, -1, 1);
  const auto m = started(Mixture({Normal<double>(1), Normal<double>(1), Normal<double>(1), Normal<double>(1)}), x);
  const std::vector<Index> order = by_location(m);
  double low = -1;
  for (std::size_t k = 0; k < 4; ++k) {
    const double own = m.component(order[k]).mean()[0];
    const double high = k < 3 ? 0.5 * (own + m.component(order[k + 1]).mean()[0]) : 1.0;
    CHECK(own == Approx(0.5 * (low + high)).margin(0.01));
    low = high;
  }
}

TEST_CASE("The start has the same bits for any number of threads, and every time", "[mixture_start]") {
  const Matrix<double> y = clusters(700);
  const Mixture model({Normal<double>(2), Normal<double>(2), Normal<double>(2)});
  const Eigen::VectorXd one = started(model, y).log_prob(y);
  for (const int threads : {1, 2, 3}) CHECK(started(model, y, threads).log_prob(y) == one);
}

TEST_CASE("A trained mixture finds what its start shows", "[mixture_start]") {
  const Matrix<double> y = clusters(1000);
  Mixture mixture({Normal<double>(2), Normal<double>(2), Normal<double>(2)});
  Normal<double> alone(2);
  const FitOptions<double> options{.epochs = 40, .learning_rate = 0.01, .validation_fraction = 0};
  const double many = fit(mixture, y, options).train.mean, single = fit(alone, y, options).train.mean;
  CHECK(many > single + 1);
  // log density of the truth, in the mean: -sum w (log 2 pi + 1 + log s + log 3 s - log w)
  const double w[3] = {0.5, 0.3, 0.2}, s[3] = {0.5, 1, 2};
  double truth = 0;
  for (int k = 0; k < 3; ++k)
    truth += w[k] * (std::log(w[k]) - std::log(2 * 3.14159265358979323846) - 1 - std::log(s[k]) - std::log(3 * s[k]));
  CHECK(many == Approx(truth).margin(0.1));
}

TEST_CASE("Full covariances, heavy tails, diagonals and standardised mixtures start too", "[mixture_start]") {
  const Matrix<double> y = clusters(1000);
  const double reference =
      started(Mixture({Normal<double>(2), Normal<double>(2), Normal<double>(2)}), y).log_prob(y).mean();
  const auto close = [&](const Distribution<double>& d) { CHECK(d.log_prob(y).mean() > reference - 1); };
  close(started(Mixture({MultivariateNormalTriL<double>(2), MultivariateNormalTriL<double>(2),
                        MultivariateNormalTriL<double>(2)}),
                y));
  const MultivariateStudentT<double> heavy(2);
  close(started(Mixture({heavy, heavy, heavy}), y));
  close(started(Mixture({MultivariateNormalDiag<double>(2), MultivariateNormalDiag<double>(2),
                        MultivariateNormalDiag<double>(2)}),
                y));
  close(started(Mixture({Cauchy<double>(2), Cauchy<double>(2), Cauchy<double>(2)}), y));
  close(started(Mixture({Logistic<double>(2), Logistic<double>(2), Logistic<double>(2)}), y));
  // Below two degrees of freedom there is no variance.
  const MultivariateStudentT<double> heavier(2, 1.5);
  close(started(Mixture({heavier, heavier, heavier}), y));
  // The mixture sees rows on its own side of the standardiser.
  close(prepare_and_fit(Mixture({Normal<double>(2), Normal<double>(2), Normal<double>(2)}), y, {}, {.epochs = 0}).model);
  // Each component behind a map of its own.
  const TransformedDistribution behind(Normal<double>(2), Affine<double>({1, 2}, {0.5, -0.5}));
  close(started(Mixture({behind, behind, behind}), y));
}

TEST_CASE("Correlated clusters give their components the whole covariance", "[mixture_start]") {
  Engine engine(6);
  Matrix<double> y = Normal<double>(2).sample(800, engine);
  for (Index i = 0; i < 800; ++i) {
    y(i, 1) = 0.9 * y(i, 0) + 0.2 * y(i, 1);
    if (i % 2) y.row(i).array() += 30;
  }
  const auto m = started(Mixture({MultivariateNormalTriL<double>(2), MultivariateNormalTriL<double>(2)}), y);
  for (Index k = 0; k < 2; ++k) {
    const Eigen::MatrixXd c = m.component(k).covariance();
    CHECK(c(0, 1) == Approx(0.9).epsilon(0.2));
    CHECK(c(1, 1) == Approx(0.85).epsilon(0.2));
  }
}

TEST_CASE("Families without a start are changed a little, so that gradients part them", "[mixture_start]") {
  Engine engine(7);
  const Matrix<double> y = Gamma<double>({2, 3}, {1, 1}).sample(400, engine);
  auto m = started(Mixture({Gamma<double>(2), Gamma<double>(2)}), y);
  const auto tensors = [](const Distribution<double>& d) {
    std::vector<double> all;
    for (const auto& slot : list_state(d))
      all.insert(all.end(), slot.tensor->values().begin(), slot.tensor->values().end());
    return all;
  };
  CHECK(tensors(m.component(0)) != tensors(m.component(1)));
  for (const double v : tensors(m.component(0))) CHECK(std::abs(v) < 0.2);
  // Whole flows over a fixed base.
  const auto flow = maf<double>(2, {.layers = 1, .hidden = 8});
  auto flows = started(Mixture({flow, flow}), y);
  CHECK(tensors(flows.component(0)) != tensors(flows.component(1)));
}

TEST_CASE("Components that differ stay where they were put", "[mixture_start]") {
  const Matrix<double> y = clusters(300);
  const Mixture given({Normal<double>({0, 0}, {1, 1}), Normal<double>({1, 0}, {1, 1})});
  CHECK(started(given, y).log_prob(y) == given.log_prob(y));
  const Mixture<double> families({Normal<double>(2), Laplace<double>(2)});
  CHECK(started(families, y).log_prob(y) == families.log_prob(y));
  // Equal numbers behind different maps are not equal.
  const Mixture maps({TransformedDistribution(Normal<double>(2), Sigmoid<double>(2, -100, 100)),
                     TransformedDistribution(Normal<double>(2), Sigmoid<double>(2, -200, 100))});
  CHECK(started(maps, y).log_prob(y) == maps.log_prob(y));
  // One component has nothing to be parted from, and evaluation starts nothing.
  const Mixture<double> single({Normal<double>(2)});
  CHECK(started(single, y).log_prob(y) == single.log_prob(y));
  const Mixture equal({Normal<double>(2), Normal<double>(2)});
  const Eigen::VectorXd before = equal.log_prob(y);
  CHECK(equal.log_prob(y) == before);
}

TEST_CASE("Rows that say nothing of scale leave a usable start", "[mixture_start]") {
  // Two values only: each cluster is a point.
  Matrix<double> y(60, 1);
  for (Index i = 0; i < 60; ++i) y(i, 0) = i % 3 == 0 ? 4 : -2;
  const auto m = started(Mixture({Normal<double>(1), Normal<double>(1)}), y);
  CHECK(m.log_prob(y).allFinite());
  for (Index k = 0; k < 2; ++k) CHECK(m.component(k).stddev()[0] == Approx(1e-3 * std::sqrt(8.0)).epsilon(1e-6));
  // One value, and more components than rows.
  const Matrix<double> same = Matrix<double>::Constant(3, 1, 2.0);
  const auto few = started(Mixture({Normal<double>(1), Normal<double>(1), Normal<double>(1), Normal<double>(1)}), same);
  CHECK(few.log_prob(same).allFinite());
}

TEST_CASE("Weights of rows count in the start where they count in statistics", "[mixture_start]") {
  const Matrix<double> y = clusters(1000);
  std::vector<double> weights(1000, 1.0);
  for (Index i = 0; i < 1000; ++i)
    if ((i * 7) % 10 < 5) weights[static_cast<std::size_t>(i)] = 3;
  FitOptions<double> options{.epochs = 0, .weights = weights, .validation_fraction = 0};
  options.weighted_statistics = true;
  Mixture m({Normal<double>(2), Normal<double>(2), Normal<double>(2)});
  fit(m, y, options);
  // The first cluster has 1500 of 2000.
  CHECK(m.weights()[by_location(m)[0]] == Approx(0.75).margin(0.01));
}

// ------------------------------------------------------------------------------------------- mixtures of mixtures

namespace {

/// Rows around `centres`, as many around each, in turn.
Matrix<double> around(const std::vector<double>& centres, Index each, double spread) {
  Engine engine(8);
  const auto count = static_cast<Index>(centres.size());
  Matrix<double> y = Normal<double>(1).sample(count * each, engine);
  for (Index i = 0; i < y.rows(); ++i)
    y(i, 0) = centres[static_cast<std::size_t>((i * 3) % count)] + spread * y(i, 0);
  return y;
}

const Mixture<double>& mixture_in(const Distribution<double>& d) { return dynamic_cast<const Mixture<double>&>(d); }

}  // namespace

TEST_CASE("A mixture within a mixture clusters the rows of its cluster", "[mixture_start]") {
  // Two far groups of two clusters; over all rows k-means with two centres would find the groups alone.
  const Matrix<double> y = around({-52, -48, 46, 54}, 250, 0.5);
  const Mixture pair({Normal<double>(1), Normal<double>(1)});
  const Mixture nested({pair, pair});
  const auto m = started(nested, y);
  const std::vector<Index> order = by_location(m);
  const double locations[2][2] = {{-52, -48}, {46, 54}};
  for (std::size_t g = 0; g < 2; ++g) {
    CHECK(m.weights()[order[g]] == Approx(0.5).margin(1e-3));
    const Mixture<double>& inner = mixture_in(m.component(order[g]));
    const std::vector<Index> within = by_location(inner);
    for (std::size_t k = 0; k < 2; ++k) {
      CHECK(inner.component(within[k]).mean()[0] == Approx(locations[g][k]).margin(0.15));
      CHECK(inner.component(within[k]).stddev()[0] == Approx(0.5).epsilon(0.15));
      CHECK(inner.weights()[within[k]] == Approx(0.5).margin(1e-3));
    }
  }
  for (const int threads : {2, 3}) CHECK(started(nested, y, threads).log_prob(y) == m.log_prob(y));
  // As good as the flat one, and so it goes on.
  const auto flat = started(Mixture({Normal<double>(1), Normal<double>(1), Normal<double>(1), Normal<double>(1)}), y);
  CHECK(m.log_prob(y).mean() == Approx(flat.log_prob(y).mean()).margin(0.01));

  const std::vector<double> three = {-42, -38, -22, -18, 18, 22, 38, 42};
  const Matrix<double> z = around(three, 100, 0.2);
  const auto deep = started(Mixture({nested, nested}), z);
  std::vector<double> found;
  for (Index a = 0; a < 2; ++a)
    for (Index b = 0; b < 2; ++b)
      for (Index c = 0; c < 2; ++c)
        found.push_back(mixture_in(mixture_in(deep.component(a)).component(b)).component(c).mean()[0]);
  std::sort(found.begin(), found.end());
  for (std::size_t i = 0; i < 8; ++i) CHECK(found[i] == Approx(three[i]).margin(0.1));
}

TEST_CASE("A mixture within a mixture starts behind maps too, and with weights of rows", "[mixture_start]") {
  const Matrix<double> y = around({-52, -48, 46, 54}, 250, 0.5);
  const double reference =
      started(Mixture({Normal<double>(1), Normal<double>(1), Normal<double>(1), Normal<double>(1)}), y)
          .log_prob(y)
          .mean();
  const auto close = [&](const Distribution<double>& d) { CHECK(d.log_prob(y).mean() > reference - 0.05); };
  const Mixture pair({Normal<double>(1), Normal<double>(1)});
  const TransformedDistribution fixed(pair, Affine<double>({3}, {0.5}));
  close(started(Mixture({fixed, fixed}), y));
  // Started from the same rows itself.
  const TransformedDistribution normalised(pair, ActNorm<double>(1));
  close(started(Mixture({normalised, normalised}), y));
  const Mixture<double> alone({pair});
  close(started(Mixture({alone, alone}), y));
  close(prepare_and_fit(Mixture({pair, pair}), y, {}, {.epochs = 0}).model);

  // The cluster at -52 counts three times: 3 of 4 in its pair, 4 of 6 of all.
  std::vector<double> weights;
  for (Index i = 0; i < y.rows(); ++i) weights.push_back(y(i, 0) < -50 ? 3 : 1);
  FitOptions<double> options{.epochs = 0, .weights = weights, .validation_fraction = 0};
  options.weighted_statistics = true;
  Mixture m({pair, pair});
  fit(m, y, options);
  const Index first = by_location(m)[0];
  CHECK(m.weights()[first] == Approx(4.0 / 6).margin(2e-3));
  const Mixture<double>& inner = mixture_in(m.component(first));
  CHECK(inner.weights()[by_location(inner)[0]] == Approx(0.75).margin(2e-3));
}

TEST_CASE("Mixtures within a mixture that differ keep their places, but for a small change", "[mixture_start]") {
  const Matrix<double> y = around({-52, -48, 46, 54}, 100, 0.5);
  const Mixture placed({Normal<double>({-1}, {1}), Normal<double>({1}, {1})});
  const auto m = started(Mixture({placed, placed}), y);
  CHECK(mixture_in(m.component(0)).component(0).mean() != mixture_in(m.component(1)).component(0).mean());
  for (Index a = 0; a < 2; ++a)
    for (Index b = 0; b < 2; ++b)
      CHECK(mixture_in(m.component(a)).component(b).mean()[0] == Approx(b == 0 ? -1 : 1).margin(0.5));
}
