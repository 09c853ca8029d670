// The distributions: gradients, float against double, edges, and what is refused.

#include <algorithm>
#include <boost/math/distributions.hpp>
#include <cmath>
#include <limits>
#include <pushforward/distributions/beta.hpp>
#include <pushforward/distributions/cauchy.hpp>
#include <pushforward/distributions/gamma.hpp>
#include <pushforward/distributions/laplace.hpp>
#include <pushforward/distributions/logistic.hpp>
#include <pushforward/distributions/mixture.hpp>
#include <pushforward/distributions/multivariate_normal_diag.hpp>
#include <pushforward/distributions/multivariate_normal_tril.hpp>
#include <pushforward/distributions/multivariate_student_t.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/student_t.hpp>
#include <pushforward/distributions/uniform.hpp>
#include <pushforward/error.hpp>
#include <pushforward/registry.hpp>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "tests/distributions.hpp"
#include "src/core/evaluate.hpp"

using namespace pushforward;
using namespace distribution_tests;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("gradients agree with central differences", "[distributions]") {
  std::vector<Any<double>> all = catalogue<double>();
  using V = std::vector<double>;
  all.push_back(StudentT<double>(V{250, 0.3}, V{0, 0}, V{1, 1}));  // both forms of the digamma difference
  all.push_back(Normal<double>(Index{20}));                       // more columns than a block of outputs
  all.push_back(Gamma<double>(Index{20}));
  all.push_back(StudentT<double>(Index{20}));
  for (Any<double>& d : all) {
    INFO(d->name());
    Engine engine(5);
    const Matrix<double> y = d->sample(37, engine);
    const LogProbAndGradient<double> got = d->log_prob_and_gradient(y);
    CHECK(got.log_prob == d->log_prob(y));
    for (Index c = 0; c < d->dim(); ++c) {
      Matrix<double> up = y, down = y;
      const Eigen::VectorXd step = 1e-5 * y.col(c).cwiseAbs().cwiseMin(1.0);
      up.col(c) += step;
      down.col(c) -= step;
      const Eigen::VectorXd high = d->log_prob(up), low = d->log_prob(down);
      for (Index i = 0; i < y.rows(); ++i) {
        if (std::isinf(high[i]) || std::isinf(low[i])) continue;
        INFO("row " << i << ", column " << c << ", y " << y(i, c));
        const double expected = (high[i] - low[i]) / (up(i, c) - down(i, c));
        check_near(got.gradient(i, c), expected, 1e-5, 1e-5);
      }
    }

    std::vector<Slot<double>> slots = list_state(static_cast<Component<double>&>(*d));
    std::vector<const Tensor<double>*> tensors;
    for (const Slot<double>& slot : slots) tensors.push_back(slot.tensor);
    CHECK(slots.empty() == (d->name() == "Uniform"));
    Gradients<double> gradients(tensors);
    CHECK(recorded_sum(*d, y, &gradients) == recorded_sum(*d, y, nullptr));
    for (const double g : gradients.values()) CHECK(std::isfinite(g));
    for (Slot<double>& slot : slots)
      for (Index i = 0; i < slot.tensor->size(); ++i) {
        INFO(slot.path << " " << i);
        const double kept = (*slot.tensor)[i], step = 1e-5;
        (*slot.tensor)[i] = kept + step;
        const double high = recorded_sum(*d, y, nullptr);
        (*slot.tensor)[i] = kept - step;
        const double low = recorded_sum(*d, y, nullptr);
        (*slot.tensor)[i] = kept;
        check_near(gradients.find(slot.tensor)[i], (high - low) / (2 * step), 1e-6, 1e-5);
      }
  }
}

TEST_CASE("gradients have the same bits for any number of threads", "[distributions]") {
  std::vector<Any<double>> all = catalogue<double>();
  all.push_back(Mixture<double>({Normal<double>(Index{40}), StudentT<double>(Index{40}), Laplace<double>(Index{40})}));
  all.push_back(Mixture<double>({Gamma<double>(Index{40}), MultivariateStudentT<double>(Index{40})}));
  for (const Any<double>& d : all) {
    INFO(d->name());
    Engine engine(3);
    const Index rows = 100;
    const Matrix<double> y = d->sample(rows, engine);
    std::vector<const Tensor<double>*> tensors;
    for (const auto& slot : list_state(static_cast<const Component<double>&>(*d))) tensors.push_back(slot.tensor);
    const std::vector<double> ones(static_cast<std::size_t>(rows), 1.0);
    const auto gradient = [&](int threads) {
      Gradients<double> gradients(tensors);
      Execution execution({.threads = threads});
      execution.run([&](int thread) {
        // Ranges begin at multiples of sixteen rows.
        const Index share = (rows / threads + 15) / 16 * 16;
        const Index begin = std::min(rows, thread * share), end = std::min(rows, begin + share);
        Tape<double> tape(Tape<double>::Mode::record, {execution.common(), execution.local(thread)}, rows, begin,
                          thread == threads - 1 ? rows : end, &execution.group(), thread);
        tape.set_gradients(&gradients);
        Pass<double> pass(tape, {});
        tape.backward(d->log_prob(pass, detail::load(tape, MatrixView<const double>(y), false)), ones.data());
      });
      return std::vector<double>(gradients.values().begin(), gradients.values().end());
    };
    const std::vector<double> one_thread = gradient(1);
    CHECK(one_thread == gradient(2));
    CHECK(one_thread == gradient(3));
  }
}

TEST_CASE("reparameterized samples carry gradients, others refuse to be recorded", "[distributions]") {
  for (const Any<double>& d : catalogue<double>()) {
    INFO(d->name());
    Engine engine(9);
    const RandomCall call = engine.next_call();
    std::vector<const Tensor<double>*> tensors;
    for (const auto& slot : list_state(static_cast<const Component<double>&>(*d))) tensors.push_back(slot.tensor);
    Gradients<double> gradients(tensors);
    Arena batch, local;
    Tape<double> tape(Tape<double>::Mode::record, {batch, local}, 32);
    tape.set_gradients(&gradients);
    Pass<double>::Settings settings;
    settings.noise = &call;
    Pass<double> pass(tape, settings);
    if (!d->is_reparameterized()) {
      CHECK_THROWS_AS(d->sample(pass), NotImplemented);
      continue;
    }
    const Column<double> sum = row_sum(d->sample(pass));
    if (d->name() == "Uniform") continue;
    const std::vector<double> ones(32, 1.0);
    tape.backward(sum, ones.data());
    for (Index c = 0; c < 3; ++c) check_near(gradients.find(tensors[0])[c], 32, 1e-14);  // loc
  }
}

// ------------------------------------------------------------------------------------------------ scalars and edges

TEST_CASE("float agrees with double", "[distributions]") {
  const std::vector<Any<float>> floats = catalogue<float>();
  const Registry registry = test_registry();
  for (const Any<float>& f : floats) {
    INFO(f->name());
    const Any<double> d = cast<double>(*f, registry);
    Engine engine(2);
    const Matrix<float> y = f->sample(500, engine);
    const Eigen::VectorXd a = f->log_prob(y), b = d->log_prob(Matrix<double>(y.cast<double>()));
    for (Index i = 0; i < a.size(); ++i) check_near(a[i], b[i], 3e-6, 1e-5);
  }
  // Large parameters, where normalisers nearly cancel the rest.
  using F = std::vector<float>;
  Matrix<float> y(3, 1);
  y << 0.96f, 1.0f, 1.05f;
  const Eigen::VectorXd gamma = Gamma<float>(F{1e5f}, F{1e5f}).log_prob(y);
  const boost::math::gamma_distribution<double> reference(1e5, 1e-5);
  y << -3.0f, 0.5f, 6.0f;
  const Eigen::VectorXd student = StudentT<float>(1, 1e10).log_prob(y), normal = Normal<float>(1).log_prob(y);
  for (Index i = 0; i < 3; ++i) CHECK(std::abs(student[i] - normal[i]) < 1e-5);
  CHECK(std::abs(gamma[1] - std::log(boost::math::pdf(reference, 1.0))) < 0.02);  // 1e5 itself is rounded in its log
}

TEMPLATE_TEST_CASE("rows outside the support and rows with NaN", "[distributions]", float, double) {
  using T = TestType;
  const T huge = std::numeric_limits<T>::infinity(), bad = std::numeric_limits<T>::quiet_NaN();
  for (const Any<T>& d : catalogue<T>()) {
    INFO(d->name());
    Engine engine(4);
    Matrix<T> y = d->sample(6, engine);
    const Eigen::VectorXd clean = d->log_prob(y);
    y(1, 2) = bad;
    y(2, 0) = huge;
    y(3, 1) = -huge;
    y(4, 0) = bad;
    y(4, 1) = huge;
    const LogProbAndGradient<T> got = d->log_prob_and_gradient(y);
    CHECK(got.log_prob[0] == clean[0]);
    CHECK(std::isnan(got.log_prob[1]));
    CHECK(got.log_prob[2] == -inf);
    CHECK(got.log_prob[3] == -inf);
    CHECK(std::isnan(got.log_prob[4]));
    CHECK(got.log_prob[5] == clean[5]);
    CHECK(got.gradient.row(0).allFinite());
    CHECK(got.gradient.row(2) == Matrix<T>::Zero(1, 3));
  }
  using V = std::vector<T>;
  Matrix<T> y(6, 1);
  y << T(0), T(1), T(-0.5), T(1.5), T(0.5), std::nextafter(T(1), T(0));
  const auto outside = [&](const Distribution<T>& d) {
    std::string marks;
    const Eigen::VectorXd log_prob = d.log_prob(y);
    for (Index i = 0; i < y.rows(); ++i) marks += log_prob[i] == -inf ? 'x' : '.';
    return marks;
  };
  CHECK(outside(Uniform<T>(1)) == "..xx..");
  CHECK(outside(Beta<T>(V{2}, V{3})) == "xxxx..");
  CHECK(outside(Beta<T>(1)) == "..xx..");
  CHECK(outside(Gamma<T>(1)) == "..x...");
  CHECK(outside(Laplace<T>(1)) == "......");
  CHECK(Uniform<T>(V{-1, 2}, V{1, 5}).support() == Space::box({{-1, 1}, {2, 5}}));
  CHECK(Gamma<T>(2).support() == Space::box(2, {0, inf}));
  CHECK(Beta<T>(1).support() == Space::box(1, {0, 1}));
  CHECK(Normal<T>(1).support() == Space::real(1));
}

TEST_CASE("values of any finite size give a finite log density where it can be represented", "[distributions]") {
  Matrix<float> y(2, 1);
  y << 3e38f, -3e38f;
  CHECK(Normal<float>(1).log_prob(y).allFinite());
  CHECK(Logistic<float>(1).log_prob(y).allFinite());
  CHECK(Cauchy<float>(1).log_prob(y).allFinite());
  CHECK(StudentT<float>(1).log_prob(y).allFinite());
  CHECK(MultivariateStudentT<float>(1).log_prob(y).allFinite());
  CHECK(Cauchy<float>(1).log_prob_and_gradient(y).gradient.allFinite());
  Matrix<double> z(2, 1);
  z << 1e308, -1e308;
  CHECK(std::abs(Cauchy<double>(1).log_prob(z)[0] + 2 * std::log(1e308) + std::log(3.14159265358979)) < 1e-9);
  CHECK(StudentT<double>(1).log_prob_and_gradient(z).gradient.allFinite());
}

TEST_CASE("moments that do not exist say why", "[distributions]") {
  CHECK_THROWS_WITH(Cauchy<double>(1).mean(), ContainsSubstring("Cauchy::mean") && ContainsSubstring("undefined"));
  CHECK_THROWS_AS(Cauchy<double>(1).variance(), NotImplemented);
  CHECK_THROWS_AS(Cauchy<double>(1).covariance(), NotImplemented);
  CHECK_THROWS_WITH(StudentT<double>(2, 0.9).mean(), ContainsSubstring("df <= 1"));
  CHECK_THROWS_AS(StudentT<double>(2, 0.9).variance(), NotImplemented);
  CHECK(StudentT<double>(2, 1.9).variance() == Eigen::VectorXd::Constant(2, inf));
  CHECK(MultivariateStudentT<double>(2, 1.9).variance() == Eigen::VectorXd::Constant(2, inf));
  CHECK_THROWS_AS(MultivariateStudentT<double>(2, 0.9).mean(), NotImplemented);
  CHECK_THROWS_AS(Uniform<double>(1).mode(), NotImplemented);
  using V = std::vector<double>;
  CHECK_THROWS_WITH(Gamma<double>(V{2, 0.5}, V{1, 1}).mode(), ContainsSubstring("column 1"));
  CHECK_THROWS_AS(Beta<double>(V{1}, V{2}).mode(), NotImplemented);
}

TEMPLATE_TEST_CASE("constructors refuse what is no parameter", "[distributions]", float, double) {
  using T = TestType;
  using V = std::vector<T>;
  const T bad = std::numeric_limits<T>::quiet_NaN(), huge = std::numeric_limits<T>::infinity();
  CHECK_THROWS_WITH(Normal<T>(V{0, 0}, V{1, -2}), ContainsSubstring("Normal: scale") && ContainsSubstring("index 1"));
  CHECK_THROWS_AS(Normal<T>(V{0, 0}, V{1, 0}), DomainError);
  CHECK_THROWS_AS(Laplace<T>(V{0, bad}, V{1, 1}), DomainError);
  CHECK_THROWS_AS(Logistic<T>(V{0}, V{huge}), DomainError);
  CHECK_THROWS_AS(Cauchy<T>(V{0, 0}, V{1}), ShapeError);
  CHECK_THROWS_AS(Cauchy<T>(V{}, V{}), ShapeError);
  CHECK_THROWS_AS(Normal<T>(0), ShapeError);
  CHECK_THROWS_AS(StudentT<T>(1, 0.0), DomainError);
  CHECK_THROWS_AS(StudentT<T>(V{1, 2}, V{0}, V{1}), ShapeError);
  CHECK_THROWS_AS(Gamma<T>(V{1, 1}, V{1, bad}), DomainError);
  CHECK_THROWS_AS(Beta<T>(V{1, 1}, V{1}), ShapeError);
  CHECK_THROWS_WITH(Uniform<T>(V{0, 1}, V{1, 1}), ContainsSubstring("index 1"));
  CHECK_THROWS_AS(Uniform<T>(V{1}, V{std::nextafter(T(1), T(2))}), DomainError);
  CHECK_THROWS_AS(Uniform<T>(V{-huge}, V{0}), DomainError);
  CHECK_THROWS_AS(Uniform<T>(0), ShapeError);
  CHECK_THROWS_AS(MultivariateNormalDiag<T>(V{0, 0}, V{1}), ShapeError);
  CHECK_THROWS_WITH(MultivariateNormalDiag<T>(V{0, 0}, V{1, 0}),
                    ContainsSubstring("MultivariateNormalDiag: scale_diag"));
  Matrix<T> l = Matrix<T>::Identity(2, 2);
  CHECK_THROWS_AS(MultivariateNormalTriL<T>(V{0, 0, 0}, l), ShapeError);
  l(1, 1) = 0;
  CHECK_THROWS_AS(MultivariateNormalTriL<T>(V{0, 0}, l), DomainError);
  l << 1, bad, 0, 1;
  CHECK_THROWS_WITH(MultivariateNormalTriL<T>(V{0, 0}, l), ContainsSubstring("at (0, 1); of a covariance give"));
  l << 4, 1.5, 1.5, 1;
  CHECK_THROWS_WITH(MultivariateStudentT<T>(3, V{0, 0}, l), ContainsSubstring("got 1.5 at (0, 1)"));
  l << 1, 0, bad, 1;
  CHECK_THROWS_AS(MultivariateStudentT<T>(3, V{0, 0}, l), DomainError);
  CHECK_THROWS_AS(MultivariateStudentT<T>(2, -1.0), DomainError);
  CHECK_THROWS_AS(Mixture<T>(std::vector<Any<T>>{}), ShapeError);
  CHECK_THROWS_AS(Mixture<T>({Normal<T>(1), Normal<T>(2)}), ShapeError);
  CHECK_THROWS_AS(Mixture<T>({Normal<T>(1), Normal<T>(1)}, V{0}), ShapeError);
  CHECK_THROWS_AS(Mixture<T>({Normal<T>(1), Normal<T>(1)}, V{0, huge}), DomainError);
}

TEMPLATE_TEST_CASE("distributions are made again from their descriptions", "[distributions]", float, double) {
  using T = TestType;
  const Registry registry = test_registry();
  for (const Any<T>& d : catalogue<T>()) {
    INFO(d->name());
    Any<T> again = registry.distribution<T>(d->describe());
    copy_state<T, T>(*d, *again);
    CHECK(again->describe() == d->describe());
    CHECK(again->name() == d->name());
    Engine a(1), b(1);
    const Matrix<T> y = d->sample(40, a);
    CHECK(y == again->sample(40, b));
    CHECK(d->log_prob(y) == again->log_prob(y));
  }
}

TEST_CASE("the standard base of flows is not trained", "[distributions]") {
  const Registry registry = test_registry();
  const Any<double> fixed = MultivariateNormalDiag<double>::standard(3), learned = MultivariateNormalDiag<double>(3);
  CHECK(count_parameters<double>(*fixed) == 0);
  CHECK(count_parameters<double>(*learned) == 6);
  CHECK(count_parameters<double>(*registry.distribution<double>(fixed->describe())) == 0);
  const Matrix<double> y = Matrix<double>::Random(5, 3);
  CHECK(fixed->log_prob(y) == Normal<double>(3).log_prob(y));
}
