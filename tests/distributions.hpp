#pragma once

// What tests of distributions share: one member of each family, values compared, and gradients of log_prob.

#include <cmath>
#include <limits>
#include <pushforward/distribution.hpp>
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
#include <pushforward/registry.hpp>
#include <vector>

#include "tests/catch.hpp"
#include "src/core/evaluate.hpp"

namespace distribution_tests {

using namespace pushforward;

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();

inline Matrix<double> one(double v) { return Matrix<double>::Constant(1, 1, v); }

inline void check_near(double got, double expected, double relative, double absolute = 0) {
  if (got == expected) {
    CHECK(got == expected);
    return;
  }
  INFO("got " << got << ", expected " << expected);
  CHECK(std::abs(got - expected) <= relative * std::abs(expected) + absolute);
}

template <class T>
using Any = Poly<Distribution<T>>;

// One member of each family with several columns, all parameters away from their initial values.
template <class T>
std::vector<Any<T>> catalogue() {
  const std::vector<T> loc{T(0.5), T(-1.25), T(2)}, scale{T(0.75), T(1.5), T(0.4)}, df{T(2.5), T(8), T(30)};
  const std::vector<T> low{T(-1), T(0), T(2)}, high{T(1.5), T(0.5), T(3)};
  const std::vector<T> a{T(0.7), T(1.5), T(6)}, b{T(2), T(0.8), T(3)};
  Matrix<T> l(3, 3);
  l << T(0.9), T(0), T(0), T(-0.6), T(1.3), T(0), T(0.4), T(0.8), T(0.5);
  std::vector<Any<T>> all{Normal<T>(loc, scale),
                          Uniform<T>(low, high),
                          Logistic<T>(loc, scale),
                          Laplace<T>(loc, scale),
                          StudentT<T>(df, loc, scale),
                          Cauchy<T>(loc, scale),
                          Gamma<T>(a, b),
                          Beta<T>(a, b),
                          MultivariateNormalDiag<T>(loc, scale),
                          MultivariateNormalTriL<T>(loc, l),
                          MultivariateStudentT<T>(3.5, loc, l)};
  const std::vector<T> logits{T(0.3), T(-0.5), T(1)};
  all.push_back(Mixture<T>({Normal<T>(loc, scale), Gamma<T>(a, b), Laplace<T>(a, scale)}, logits));
  return all;
}

inline Registry test_registry() {
  Registry r;
  r.add<Normal>("normal").add<Uniform>("uniform").add<Logistic>("logistic").add<Laplace>("laplace");
  r.add<StudentT>("student_t").add<Cauchy>("cauchy").add<Gamma>("gamma").add<Beta>("beta").add<Mixture>("mixture");
  r.add<MultivariateNormalDiag>("multivariate_normal_diag").add<MultivariateNormalTriL>("multivariate_normal_tril");
  r.add<MultivariateStudentT>("multivariate_student_t");
  return r;
}

// Sum of log_prob over the rows with the gradients of all parameters.
inline double recorded_sum(const Distribution<double>& d, const Matrix<double>& y, Gradients<double>* gradients) {
  Arena batch, local;
  Tape<double> tape(Tape<double>::Mode::record, {batch, local}, y.rows());
  tape.set_gradients(gradients);
  Pass<double> pass(tape, {});
  const Column<double> log_prob = d.log_prob(pass, detail::load(tape, MatrixView<const double>(y), false));
  double sum = 0;
  for (Index i = 0; i < y.rows(); ++i) sum += log_prob.values()[i];
  if (gradients) {
    const std::vector<double> ones(static_cast<std::size_t>(y.rows()), 1.0);
    tape.backward(log_prob, ones.data());
  }
  return sum;
}

}  // namespace distribution_tests
