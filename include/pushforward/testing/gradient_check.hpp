#pragma once

#include <cstdint>
#include <functional>
#include <pushforward/bijector.hpp>
#include <pushforward/component.hpp>
#include <pushforward/pass.hpp>
#include <span>
#include <string>
#include <vector>

/// Checks of what every bijector, distribution and differentiable function must hold, for the library's classes and for
/// yours. They know no test framework: each returns the list of what failed, empty if all is well.
namespace pushforward::testing {

struct Failure {
  std::string check;   ///< what was checked: "gradient of shift, forward"
  std::string detail;  ///< where, what was expected, what came
};

/// One line for each failure.
std::string report(std::span<const Failure> failures);

/// Adds scale * (standard normal numbers) to every listed parameter, and fills every state tensor with numbers of
/// [exp(-scale), exp(scale)], which are fine as means, variances and flags.
template <Scalar T>
void perturb(Component<T>& component, std::uint64_t seed, double scale = 0.3);

/// sum_c w_ic y_ic with weights of magnitude 0.5 to 1.5 that depend on the seed, the row i and the column alone: a
/// function with one value per row that shows an error in any entry of y.
template <Scalar T>
Column<T> random_projection(Pass<T>& pass, Var<T> y, std::uint64_t seed);
template <Scalar T>
Column<T> random_projection(Pass<T>& pass, Column<T> y, std::uint64_t seed);

/// A function of rows on a tape, one value per row. The context is that of the pass.
using RowFunction = std::function<Column<double>(Pass<double>& pass, Var<double> x)>;

struct NamedTensor {
  std::string name;
  Tensor<double>* tensor;
};

struct GradientCheck {
  /// Entry by entry, relative; what rounding alone does to a difference quotient is added.
  double tolerance = 1e-6;
  /// Where x lives, per column; empty: the real line. Steps stay well inside.
  std::vector<Interval> domain = {};
  /// The value of a row depends on other rows too (batch statistics).
  bool rows_couple = false;
  Statistics statistics = Statistics::running;
  /// Entries checked of each parameter tensor, chosen by `seed`.
  Index entries = 48;
  std::uint64_t seed = 1;
};

/// Gradients of f in x, context and parameters against central differences with steps of cbrt(eps).
///
/// The function is differentiated as sum_i r_i f_i with r_i from random_projection. The pass has random numbers, the
/// same in every evaluation. Parameters are changed for the differences and restored.
/// @param f           a value for each row
/// @param x           (N, D)
/// @param context     (N, C), or without columns.
/// @param parameters  tensors that f reads; changed for the differences and restored
/// @param options     tolerance, domain of x, how many entries
/// @param largest     if given: the largest magnitude in the gradient of each parameter tensor.
std::vector<Failure> check_gradient(const RowFunction& f, MatrixView<const double> x, MatrixView<const double> context,
                                    std::span<const NamedTensor> parameters, const GradientCheck& options = {},
                                    std::vector<double>* largest = nullptr);

}  // namespace pushforward::testing
