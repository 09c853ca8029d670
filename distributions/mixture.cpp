#include <pushforward/distributions/mixture.hpp>

#include <algorithm>
#include <cmath>
#include <new>
#include <optional>
#include <span>

#include "distributions/log_sum.hpp"
#include "distributions/parameters.hpp"
#include "distributions/start.hpp"
#include "src/core/checks.hpp"
#include "src/core/parts.hpp"
#include "src/numerics/constants.hpp"
#include "src/ops/common.hpp"
#include "src/ops/density.hpp"

namespace pushforward {

using namespace detail;

namespace {

template <Scalar T>
Index common_dim(const std::vector<Poly<Distribution<T>>>& components) {
  if (components.empty()) throw ShapeError("Mixture: expected at least one component, got none");
  for (const auto& component : components)
    if (component->dim() != components[0]->dim())
      throw ShapeError("Mixture: component " + components[0]->name() + " has dim " +
                       std::to_string(components[0]->dim()) + " but " + component->name() + " has dim " +
                       std::to_string(component->dim()));
  return components[0]->dim();
}

// log sum_k exp(terms_k)
double log_sum(const Eigen::VectorXd& terms) {
  const double top = terms.maxCoeff();
  return std::isinf(top) ? top : top + std::log((terms.array() - top).exp().sum());
}

}  // namespace

template <Scalar T>
Mixture<T>::Mixture(std::vector<Poly<Distribution<T>>> components)
    : Distribution<T>("Mixture", common_dim(components), common_context_dim("Mixture", "component", components)),
      components_(std::move(components)),
      logits_({static_cast<Index>(components_.size())}) {}

template <Scalar T>
Mixture<T>::Mixture(std::vector<Poly<Distribution<T>>> components, VectorView<const T> logits)
    : Mixture(std::move(components)) {
  check_sizes("Mixture", "components", this->components(), "logits", logits.size());
  logits_ = finite_tensor("Mixture", "logits", logits);
}

template <Scalar T>
std::size_t Mixture<T>::position(Index k) const {
  return checked_position(this->name(), "component", k, components_.size());
}

template <Scalar T>
double Mixture<T>::log_total() const {
  double top = -infinity, sum = 0;
  for (const T v : logits_.values()) top = std::max(top, static_cast<double>(v));
  for (const T v : logits_.values()) sum += std::exp(static_cast<double>(v) - top);
  return top + std::log(sum);
}

template <Scalar T>
void Mixture<T>::weights_into(VectorView<double> out) const {
  const double total = log_total();
  for (Index k = 0; k < components(); ++k) out[k] = std::exp(at(logits_, k) - total);
}

template <Scalar T>
Column<T> Mixture<T>::do_log_prob(Pass<T>& pass, Var<T> y) const {
  std::optional<typename Pass<T>::Started> started;
  if (pass.starts() && components_are_equal()) {
    propose_clusters(pass, y, pass.row_weights() ? full_column(pass.row_weights(), 0) : nullptr);
    started.emplace(pass);
  }
  const Var<T> logits = pass.parameter(logits_);
  auto* weights = pass.tape().template scratch<double>(components());
  weights_into(VectorView<double>(weights, components()));
  const double total = log_total();
  return log_sum_of(pass, components(), [&](Index k) {
    const auto derivative = [k, weights](Index j) { return (j == k ? 1.0 : 0.0) - weights[j]; };
    return component(k).log_prob(pass, y) + column_of_shared(logits, at(logits_, k) - total, derivative);
  });
}

// -------------------------------------------------------------------------------------------------- start from data

template <Scalar T>
bool Mixture<T>::components_are_equal() const {
  const std::vector<ConstSlot<T>> first = list_state(component(0));
  for (Index k = 1; k < components(); ++k) {
    const std::vector<ConstSlot<T>> other = list_state(component(k));
    if (other.size() != first.size()) return false;
    for (std::size_t i = 0; i < first.size(); ++i)
      if (!(*other[i].tensor == *first[i].tensor)) return false;
    if (!(component(k).describe() == component(0).describe())) return false;
  }
  return components() > 1 && !first.empty();
}

// Of components that differ nobody knows which rows are whose.
template <Scalar T>
bool Mixture<T>::do_propose_start(Pass<T>& pass, Var<T> y, const double* weights) const {
  if (components() == 1) return component(0).propose_start(pass, y, weights);
  if (!components_are_equal()) return false;
  Tape<T>& tape = pass.tape();
  T* own = tape.template common<T>(tape.leading_dimension());
  if (tape.rank() == 0) {
    std::fill_n(own, tape.leading_dimension(), T(0));
    std::transform(weights, weights + tape.rows(), own, [](double w) { return static_cast<T>(w); });
  }
  propose_clusters(pass, y, own);
  return true;
}

template <Scalar T>
void Mixture<T>::propose_clusters(Pass<T>& pass, Var<T> y, const T* row_weights) const {
  Tape<T>& tape = pass.tape();
  const Index rows = tape.rows(), count = components(), n = tape.padded_rows();
  std::uint8_t* marks = pass.outside();
  auto* before = tape.template scratch<std::uint8_t>(n);
  std::copy_n(marks, n, before);
  // One array of weights for each component, seen by all threads.
  double* weights = tape.template common<double>(count * rows);
  tape.barrier();  // the rows of all threads are there
  if (tape.rank() == 0) {
    const std::vector<Index> cluster = cluster_rows(y, row_weights, count);
    std::fill_n(weights, count * rows, 0.0);
    for (Index i = 0; i < rows; ++i)
      weights[cluster[static_cast<std::size_t>(i)] * rows + i] =
          row_weights ? static_cast<double>(row_weights[i]) : 1.0;
    double total = 0;
    std::vector<double> share(static_cast<std::size_t>(count));
    for (Index k = 0; k < count; ++k)
      for (Index i = 0; i < rows; ++i) {
        share[static_cast<std::size_t>(k)] += weights[k * rows + i];
        total += weights[k * rows + i];
      }
    // As if each component had seen one row more.
    for (double& s : share)
      s = std::log((s + 1) / (total + static_cast<double>(count)) * static_cast<double>(count));
    pass.propose(logits_, share);
  }
  tape.barrier();
  for (Index k = 0; k < count; ++k)
    if (!component(k).propose_start(pass, y, weights + k * rows)) propose_change(pass, component(k), k);
  std::copy_n(before, n, marks);
}

template <Scalar T>
Var<T> Mixture<T>::do_sample(Pass<T>& pass) const {
  check_not_recording(pass, this->name());
  Tape<T>& tape = pass.tape();
  const Index n = tape.padded_rows();
  auto* numbers = tape.template scratch<double>(components() + 1);
  double* weights = numbers + 1;
  weights_into(VectorView<double>(weights, components()));
  const Var<T> u = pass.uniform(1);
  const Var<T> y = tape.matrix(this->dim(), false);
  auto* choice = tape.template scratch<Index>(n);
  for (Index i = 0; i < n; ++i) {
    double rest = static_cast<double>(address(u, 0)[i]);
    Index k = 0;
    // The last component with a weight takes what rounding leaves over.
    for (Index j = 0; j < components(); ++j) {
      if (weights[j] == 0) continue;
      k = j;
      if (rest < weights[j]) break;
      rest -= weights[j];
    }
    choice[i] = k;
  }
  for (Index k = 0; k < components(); ++k) {
    const Var<T> part = component(k).sample(pass);
    for (Index c = 0; c < this->dim(); ++c) {
      const T* in = address(part, c);
      T* out = address(y, c);
      for (Index i = 0; i < n; ++i)
        if (choice[i] == k) out[i] = in[i];
    }
    numbers[0] = static_cast<double>(k);
    note(tape, Operation::choose, std::tuple(y), std::tuple(u, part),
         std::span<const double>(numbers, static_cast<std::size_t>(components() + 1)));
  }
  return y;
}

// The log of a sum is no sum of logs, so draws of log densities say nothing without bias about a mixture.
template <Scalar T>
Estimate Mixture<T>::do_estimates() const {
  Estimate estimate = Estimate::exact;
  for (Index k = 0; k < components(); ++k) estimate = common_estimate(this->name(), estimate, component(k).estimates());
  if (estimate == Estimate::log_density && components() > 1)
    throw this->not_implemented("estimates", "draws of its components' log densities have no unbiased mean");
  return estimate;
}

template <Scalar T>
Space Mixture<T>::do_support() const {
  std::vector<Space> supports;
  for (Index k = 0; k < components(); ++k) supports.push_back(component(k).support());
  for (const Space& whole : supports)
    if (std::all_of(supports.begin(), supports.end(), [&](const Space& s) { return whole.holds(s); })) return whole;
  // A union of boxes is none, but of intervals that overlap.
  if (this->dim() == 1 && std::all_of(supports.begin(), supports.end(), [](const Space& s) { return s.is_box(); })) {
    std::sort(supports.begin(), supports.end(), [](const Space& a, const Space& b) { return a[0].low < b[0].low; });
    Interval whole = supports[0][0];
    bool connected = true;
    for (const Space& s : supports) {
      connected = connected && s[0].low <= whole.high;
      whole.high = std::max(whole.high, s[0].high);
    }
    if (connected) return Space::box(1, whole);
  }
  std::vector<Interval> hull = supports[0].bounds();
  for (const Space& s : supports)
    for (Index c = 0; c < this->dim(); ++c) {
      Interval& h = hull[static_cast<std::size_t>(c)];
      h = {std::min(h.low, s[c].low), std::max(h.high, s[c].high)};
    }
  return Space::unknown(std::move(hull));
}

// -------------------------------------------------------------------------------------------------------- moments

template <Scalar T>
void Mixture<T>::check_no_context(const char* call) const {
  if (this->context_dim() != 0)
    throw this->not_implemented(call, "depends on the context; estimate it from samples for one context");
}

template <Scalar T>
void Mixture<T>::do_mean(VectorView<double> mean) const {
  check_no_context("mean");
  const Eigen::VectorXd w = weights();
  as_eigen(mean).setZero();
  for (Index k = 0; k < components(); ++k) as_eigen(mean) += w[k] * component(k).mean();
}
template <Scalar T>
void Mixture<T>::do_variance(VectorView<double> variance) const {
  check_no_context("variance");
  const Eigen::VectorXd w = weights(), mean = this->mean();
  as_eigen(variance).setZero();
  for (Index k = 0; k < components(); ++k)
    as_eigen(variance) += w[k] * (component(k).variance() + (component(k).mean() - mean).cwiseAbs2());
}
template <Scalar T>
void Mixture<T>::do_covariance(MatrixView<double> covariance) const {
  check_no_context("covariance");
  const Eigen::VectorXd w = weights(), mean = this->mean();
  as_eigen(covariance).setZero();
  for (Index k = 0; k < components(); ++k) {
    const Eigen::VectorXd difference = component(k).mean() - mean;
    as_eigen(covariance) += w[k] * (component(k).covariance() + difference * difference.transpose());
  }
}

// ---------------------------------------------------------------------------------------------- one column at a time

template <Scalar T>
void Mixture<T>::do_tails(Tail tail, MatrixView<const T> y, MatrixView<double> out) const {
  check_no_context("cdf");
  const Eigen::VectorXd w = weights();
  // Of all components, one after the other.
  const auto of_components = [&](Tail which) {
    std::vector<Matrix<double>> values;
    for (Index k = 0; k < components(); ++k) values.push_back(component(k).tail(which, y));
    return values;
  };
  const auto each = [&](auto f) {
    for (Index c = 0; c < y.cols(); ++c)
      for (Index i = 0; i < y.rows(); ++i) out(i, c) = f(i, c);
  };
  Eigen::VectorXd terms(components());
  const auto sum = [&](const std::vector<Matrix<double>>& values, Index i, Index c) {
    for (Index k = 0; k < components(); ++k) terms[k] = w[k] * values[static_cast<std::size_t>(k)](i, c);
    return std::min(terms.sum(), 1.0);
  };
  const bool lower = tail == Tail::cdf || tail == Tail::log_cdf;
  const std::vector<Matrix<double>> own = of_components(lower ? Tail::cdf : Tail::survival);
  each([&](Index i, Index c) { return sum(own, i, c); });
  if (tail == Tail::cdf || tail == Tail::survival) return;
  const std::vector<Matrix<double>> other = of_components(lower ? Tail::survival : Tail::cdf);
  const std::vector<Matrix<double>> logs = of_components(tail);
  each([&](Index i, Index c) {
    if (out(i, c) > 0.5) return std::log1p(-sum(other, i, c));
    for (Index k = 0; k < components(); ++k) terms[k] = std::log(w[k]) + logs[static_cast<std::size_t>(k)](i, c);
    return log_sum(terms);
  });
}

template <Scalar T>
void Mixture<T>::do_quantiles(bool complement, MatrixView<const double> p, MatrixView<double> out) const {
  check_no_context("quantile");
  const auto is_end = [&](Index i, Index c) { return p(i, c) == 0 || p(i, c) == 1; };
  Matrix<double> probability(p.rows(), p.cols());
  for (Index c = 0; c < p.cols(); ++c)
    for (Index i = 0; i < p.rows(); ++i) probability(i, c) = is_end(i, c) ? 0.5 : p(i, c);
  // The quantiles of the components enclose that of the mixture.
  const Eigen::VectorXd w = weights();
  Matrix<double> low = Matrix<double>::Constant(p.rows(), p.cols(), infinity), high = -low, y(p.rows(), p.cols());
  for (Index k = 0; k < components(); ++k) {
    if (w[k] == 0) continue;
    component(k).quantile_into(probability, y, complement);
    low = low.cwiseMin(y);
    high = high.cwiseMax(y);
  }
  Matrix<double> value(p.rows(), p.cols());
  Matrix<bool> halve = low.array() < high.array();
  for (int step = 0; step < 200; ++step) {
    // Elements that are done stay at their place.
    const Matrix<double> middle = low + 0.5 * (high - low);
    halve = halve.array() && middle.array() > low.array() && middle.array() < high.array();
    if (!halve.any()) break;
    do_tails(complement ? Tail::survival : Tail::cdf, Matrix<T>(middle.template cast<T>()), value);
    for (Index c = 0; c < p.cols(); ++c)
      for (Index i = 0; i < p.rows(); ++i)
        if (halve(i, c)) ((value(i, c) < p(i, c)) != complement ? low : high)(i, c) = middle(i, c);
  }
  const Space support = do_support();
  for (Index c = 0; c < p.cols(); ++c) {
    const Interval range = support[c];
    for (Index i = 0; i < p.rows(); ++i)
      out(i, c) = !is_end(i, c)                  ? low(i, c) + 0.5 * (high(i, c) - low(i, c))
                  : (p(i, c) == 0) != complement ? range.low
                                                 : range.high;
  }
}

template <Scalar T>
void Mixture<T>::do_fields(Fields<T>& f) {
  f.type("mixture");
  // A description does not say it, and each level would describe the levels below again.
  const bool from_data = !f.restoring() && !f.describing() && components_are_equal();
  f.parameter("logits", logits_, {f.count(components_)}, {.decay = false, .from_data = from_data});
  f.parts(components_);
}

template <Scalar T>
void Mixture<T>::do_restored() {
  const Index dim = common_dim(components_);
  this->set_shape({dim}, common_context_dim("Mixture", "component", components_));
}

template class Mixture<float>;
template class Mixture<double>;

}  // namespace pushforward
