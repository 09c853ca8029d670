// Linear maps and triangular solutions: values against plain loops, gradients against differences.

#include <Eigen/LU>
#include <algorithm>
#include <pushforward/ops.hpp>
#include <vector>

#include "tests/catch.hpp"
#include "tests/ops.hpp"

using namespace pushforward;
using namespace pushforward::testing;
using namespace ops_tests;

TEST_CASE("Linear maps: dense, by prefixes, and in pieces", "[ops]") {
  const Index n = 37, inputs = 5, outputs = 21;
  const Matrix<double> x = numbers(n, inputs, 41);
  Tensor<double> weight = tensor({outputs, inputs}, 42), bias = tensor({outputs}, 43);
  Matrix<double> expected(n, outputs);
  for (Index i = 0; i < n; ++i)
    for (Index o = 0; o < outputs; ++o) {
      expected(i, o) = bias[o];
      for (Index k = 0; k < inputs; ++k) expected(i, o) += x(i, k) * weight(o, k);
    }
  check_close(values<double>(x, [&](auto& t, auto v) { return linear(v, t.parameter(weight), t.parameter(bias)); }),
              expected, 1e-13);
  const Tensor<float> weight32 = cast_tensor<float>(weight), bias32 = cast_tensor<float>(bias);
  check_close(values<float>(x, [&](auto& t, auto v) { return linear(v, t.parameter(weight32), t.parameter(bias32)); }),
              expected, 1e-5);
  Matrix<double> without = expected;
  for (Index o = 0; o < outputs; ++o) without.col(o).array() -= bias[o];
  check_close(values<double>(x, [&](auto& t, auto v) { return linear(v, t.parameter(weight), Var<double>()); }),
              without, 1e-13);

  check_gradients(
      [&](Pass<double>& p, Var<double> v) {
        return random_projection(p, linear(square(v), p.parameter(weight), p.parameter(bias)), 1);
      },
      x, {{"weight", &weight}, {"bias", &bias}}, {.entries = 200});
  check_gradients([&](Pass<double>& p,
                      Var<double> v) { return random_projection(p, linear(v, p.parameter(weight), Var<double>()), 1); },
                  x, {{"weight", &weight}});
  // Parameters of which only some are learned, and an input without gradient.
  check_gradients(
      [&](Pass<double>& p, Var<double> v) {
        return random_projection(p, linear(v, p.parameter(weight), p.parameter(bias)), 1);
      },
      x, {{"bias", &bias}});
  check_gradients(
      [&](Pass<double>& p, Var<double>) {
        return random_projection(p, linear(p.normal(inputs), p.parameter(weight), p.parameter(bias)), 1);
      },
      Matrix<double>(n, 0), {{"weight", &weight}, {"bias", &bias}});
  for (const bool with_bias : {true, false}) {
    const NamedTensor learned = with_bias ? NamedTensor{"bias", &bias} : NamedTensor{"weight", &weight};
    check_gradients(
        [&](Pass<double>& p, Var<double>) {
          const Var<double> b = with_bias ? p.parameter(bias) : Var<double>();
          return random_projection(p, linear(p.normal(inputs), p.parameter(weight), b), 1);
        },
        Matrix<double>(n, 0), {learned});
  }
  // The same weights twice.
  check_gradients(
      [&](Pass<double>& p, Var<double> v) {
        const Var<double> w = p.parameter(weight), b = p.parameter(bias);
        return random_projection(p, linear(v, w, b) * linear(square(v), w, b), 1);
      },
      x, {{"weight", &weight}, {"bias", &bias}});

  // Staircase: output o reads prefix[o] inputs.
  std::vector<Index> prefix, offset;
  Index size = 0;
  for (Index o = 0; o < outputs; ++o) {
    prefix.push_back(std::min(inputs, o / 4));
    offset.push_back(size);
    size += prefix.back();
  }
  const LinearLayout layout{prefix, offset};
  Tensor<double> packed = tensor({size}, 44);
  for (Index i = 0; i < n; ++i)
    for (Index o = 0; o < outputs; ++o) {
      const std::size_t s = static_cast<std::size_t>(o);
      expected(i, o) = bias[o];
      for (Index k = 0; k < prefix[s]; ++k) expected(i, o) += x(i, k) * packed[offset[s] + k];
    }
  check_close(
      values<double>(x, [&](auto& t, auto v) { return linear(v, t.parameter(packed), t.parameter(bias), layout); }),
      expected, 1e-13);
  check_gradients(
      [&](Pass<double>& p, Var<double> v) {
        return random_projection(p, linear(v, p.parameter(packed), p.parameter(bias), layout), 1);
      },
      x, {{"packed", &packed}, {"bias", &bias}}, {.entries = 100});
  // In pieces, each from the inputs that it reads.
  const auto pieces = [&](Pass<double>* pass, Tape<double>& t, Var<double> v) {
    const Var<double> y = t.matrix(outputs, pass != nullptr);
    for (Index begin = 0; begin < outputs; begin += 5) {
      const Index count = std::min<Index>(5, outputs - begin);
      linear_into(columns(y, begin, count), columns(v, 0, prefix[static_cast<std::size_t>(begin + count - 1)]),
                  t.parameter(packed), t.parameter(bias), layout, begin);
    }
    return y;
  };
  check_close(values<double>(x, [&](auto& t, auto v) { return pieces(nullptr, t, v); }), expected, 1e-13);
  check_gradients([&](Pass<double>& p, Var<double> v) { return random_projection(p, pieces(&p, p.tape(), v), 1); }, x,
                  {{"packed", &packed}, {"bias", &bias}}, {.entries = 100});
}

TEST_CASE("Triangular products and solutions", "[ops]") {
  const Index n = 19, d = 4;
  const Matrix<double> x = numbers(n, d, 51);
  Tensor<double> m = tensor({d, d}, 52), diagonal = tensor({d}, 53, true);
  for (const bool lower : {true, false})
    for (const bool with_diagonal : {true, false}) {
      INFO("lower " << lower << ", diagonal " << with_diagonal);
      Eigen::MatrixXd a = Eigen::MatrixXd::Identity(d, d);
      for (Index o = 0; o < d; ++o) {
        if (with_diagonal) a(o, o) = diagonal[o];
        for (Index k = 0; k < d; ++k)
          if (lower ? k < o : k > o) a(o, k) = m(o, k);
      }
      const auto diag = [&](auto& t) { return with_diagonal ? t.parameter(diagonal) : Var<double>(); };
      const Matrix<double> product = x * a.transpose();
      const Matrix<double> solution = a.inverse().eval() * x.transpose();
      check_close(
          values<double>(x, [&](auto& t, auto v) { return triangular_multiply(v, t.parameter(m), diag(t), lower); }),
          product, 1e-13);
      check_close(
          values<double>(x, [&](auto& t, auto v) { return triangular_solve(v, t.parameter(m), diag(t), lower); }),
          solution.transpose(), 1e-11);
      const Tensor<float> m32 = cast_tensor<float>(m), diagonal32 = cast_tensor<float>(diagonal);
      check_close(values<float>(x,
                                [&](auto& t, auto v) {
                                  return triangular_solve(v, t.parameter(m32),
                                                          with_diagonal ? t.parameter(diagonal32) : Var<float>(),
                                                          lower);
                                }),
                  solution.transpose(), 2e-4);
      std::vector<NamedTensor> parameters{{"m", &m}};
      if (with_diagonal) parameters.push_back({"diagonal", &diagonal});
      check_gradients(
          [&](Pass<double>& p, Var<double> v) {
            return random_projection(p, triangular_multiply(square(v), p.parameter(m), diag(p.tape()), lower), 1);
          },
          x, parameters);
      check_gradients(
          [&](Pass<double>& p, Var<double> v) {
            return random_projection(p, triangular_solve(square(v), p.parameter(m), diag(p.tape()), lower), 1);
          },
          x, parameters);
      // An input without gradient, and the result used twice.
      check_gradients(
          [&](Pass<double>& p, Var<double>) {
            const Var<double> y = triangular_solve(p.normal(d), p.parameter(m), diag(p.tape()), lower);
            const Var<double> z = triangular_multiply(p.normal(d), p.parameter(m), diag(p.tape()), lower);
            return random_projection(p, y * y, 1) + random_projection(p, z * z, 2);
          },
          Matrix<double>(n, 0), parameters);
    }
}
