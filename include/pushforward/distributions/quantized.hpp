#pragma once

#include <cstdint>
#include <vector>

#include <pushforward/wrapper.hpp>

namespace pushforward {

/// A column whose numbers lie on a grid.
struct GridColumn {
  std::int64_t column = 0;
  Grid grid = {};
  bool found = false;  ///< in rows that were seen (`find_grids`), not known: rows to come may lie between its numbers
};

/// Rows with each rounded column moved to a place of its cell, drawn uniformly. Advances the engine by one call.
/// @throws ShapeError  for a column that y does not have, or a result of another size.
template <Scalar T>
void dequantize_into(MatrixView<const T> y, const std::vector<GridColumn>& rounded, Engine& engine, MatrixView<T> out);
template <Scalar T>
[[gnu::always_inline]] inline Matrix<T> dequantized(MatrixView<const T> y, const std::vector<GridColumn>& rounded,
                                                    Engine& engine) {
  Matrix<T> result(y.rows(), y.cols());
  dequantize_into<T>(y, rounded, engine, result);
  return result;
}

/// A distribution of numbers on grids: counts, categories in order, values that were rounded. Draws are those of
/// `inner` with the columns in `rounded` moved to the nearest number of their grid.
///
/// log_prob(y) = log integral of p_inner over the cell of y, which is y_c +- step_c / 2 in each rounded column c
///             = sum_c log step_c + log mean_k p_inner(y + step u_k)
///
/// with k = 0 .. points - 1 and u_kc = frac((k - (points - 1)/2) factor_c / points + 1/2) - 1/2: a rank-1 lattice
/// through the middle of the cell, so that odd terms of p_inner cancel; in each column its points are the midpoints of
/// `points` equal stretches. Factors are prime to `points`, and go with the model.
///
/// @par Measure     Counting in the rounded columns, Lebesgue in the others: with all columns rounded prob is a
///                  probability.
/// @par Training    Where dropout would drop (`fit`), each row is moved to one uniformly drawn place of its cell
///                  instead: uniform dequantisation, whose mean is a lower bound of log_prob. Everywhere else log_prob
///                  draws nothing, and the same row has the same value.
/// @par Parameters  those of `inner`. rounded: columns in rising order; points: 1 to 4096.
/// @par Numerics    The error of a mass falls with points^-2 in one column and a little more slowly in several; of a
///                  spline flow fitted to 5 categories, counts of mean 3 and a normal column log_prob was off by 1e-2
///                  with 16 points and 3e-3 with 31 (root of the mean square; 4e-4 on average). Of one smooth column
///                  the masses of all cells add up to 1 far more closely. More points are the check. A value within a
///                  hundredth of a step of a number of the grid counts as that number; others have no mass (-inf).
///                  Where the grid was only found, a value between its numbers gets what a number would get there: the
///                  mass of y_c +- step_c / 2, no part of the total. The support is the grid all the same: draws are
///                  its numbers.
///                  Cells that no point of the inner support reaches have none either. No gradient in rounded columns;
///                  draws are not differentiable. No moments, tails or prefixes.
/// @par Cost        log_prob: `points` times that of inner; samples and training steps as inner.
/// @throws ShapeError   for a column that inner does not have or that is not in rising order.
/// @throws DomainError  for a grid without a finite origin and a positive finite step; where inner's columns are not
///                      real or bounded, each by itself; where inner's density is drawn as a logarithm.
/// @source Theis et al. 2016, section 3.1 (dequantisation); Sloan and Joe 1994, chapter 4 (lattices).
template <Scalar T>
class Quantized final : public Wrapper<Distribution<T>> {
 public:
  static constexpr Index usual_points = 31;
  explicit Quantized(Poly<Distribution<T>> inner, std::vector<GridColumn> rounded, Index points = usual_points);
  explicit Quantized(Blank) : Wrapper<Distribution<T>>("Quantized") {}

  const std::vector<GridColumn>& rounded() const { return rounded_; }
  Index points() const { return points_; }

  /// None: a cell has many.
  const Distribution<T>* latent_base() const override { return nullptr; }
  Var<T> latent(Pass<T>&, Var<T>) const override { no("latent"); }

 private:
  using Tail = typename Distribution<T>::Tail;
  Column<T> do_log_prob(Pass<T>& pass, Var<T> y) const override;
  Var<T> do_sample(Pass<T>& pass) const override;
  Drawn<T> do_sample_and_log_prob(Pass<T>& pass) const override;
  bool do_propose_start(Pass<T>& pass, Var<T> y, const double* weights) const override;
  const Prefixes<T>* do_prefixes() const override { return nullptr; }
  bool do_is_reparameterized() const override { return false; }
  Space do_support() const override;
  void do_mean(VectorView<double>) const override { no("mean"); }
  void do_variance(VectorView<double>) const override { no("variance"); }
  void do_covariance(MatrixView<double>) const override { no("covariance"); }
  void do_mode(VectorView<double>) const override { no("mode"); }
  double do_entropy() const override;
  std::optional<double> do_kl_divergence(const Distribution<T>&) const override { return std::nullopt; }
  void do_tails(Tail, MatrixView<const T>, MatrixView<double>) const override { no("cdf"); }
  void do_quantiles(bool, MatrixView<const double>, MatrixView<double>) const override { no("quantile"); }
  void do_fields(Fields<T>& f) override;
  void do_restored() override;
  [[noreturn]] void no(const char* call) const;

  /// What is wrong with `rounded` and `inner`, if anything; throws.
  void check() const;
  /// Makes what follows from the fields.
  void derive();
  /// A place for each rounded column, in (0, 1), in training and where a pass learns something of the rows (statistics
  /// of batches, first values); a default-made Var elsewhere.
  Var<T> noise(Pass<T>& pass, bool learns) const;
  /// Numbers of the grids in rounded columns, moved by step (u - 1/2) where `u` is given, and the other columns.
  Var<T> placed(Pass<T>& pass, Var<T> y, Var<T> u) const;

  std::vector<GridColumn> rounded_;
  std::vector<std::int64_t> factors_;  // of each rounded column
  Index points_ = usual_points;
  double log_volume_ = 0;         // of a cell
  std::vector<Interval> ranges_;  // of each rounded column: the first and the last number
  Tensor<T> others_;              // (1, dim): 0 in rounded columns, else 1
  std::vector<Tensor<T>> places_;  // for each point: step u_k in rounded columns, else 0
};

extern template class Quantized<float>;
extern template class Quantized<double>;

}  // namespace pushforward
