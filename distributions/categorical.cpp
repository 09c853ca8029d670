#include <pushforward/distributions/categorical.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "distributions/checks.hpp"
#include "distributions/parameters.hpp"
#include "src/core/number_text.hpp"
#include "src/numerics/constants.hpp"
#include "src/numerics/special_functions.hpp"
#include "src/ops/density.hpp"

namespace pushforward {

using namespace detail;

namespace {
// All numbers of float up to it are whole ones.
constexpr Index most = Index{1} << 24;
}  // namespace

template <Scalar T>
Categorical<T>::Categorical(Blank) : Distribution<T>("Categorical") {}

template <Scalar T>
Categorical<T>::Categorical(Index dim, Index categories)
    : Distribution<T>("Categorical", dim), categories_(categories) {
  if (categories < 1 || categories > most)
    throw DomainError("Categorical: expected 1 to " + std::to_string(most) + " categories, got " +
                      std::to_string(categories));
  logits_ = Tensor<T>({dim, categories});
}

template <Scalar T>
Categorical<T>::Categorical(MatrixView<const T> logits) : Categorical(logits.rows(), logits.cols()) {
  for (Index c = 0; c < this->dim(); ++c)
    for (Index k = 0; k < categories_; ++k) {
      if (!std::isfinite(logits(c, k)))
        throw DomainError("Categorical: logits must be finite, got " + detail::number_text(logits(c, k)) +
                          " for category " + std::to_string(k) + " of column " + std::to_string(c));
      logits_[c * categories_ + k] = logits(c, k);
    }
}

template <Scalar T>
std::vector<double> Categorical<T>::log_probabilities(Index column) const {
  std::vector<double> p(static_cast<std::size_t>(categories_));
  for (Index k = 0; k < categories_; ++k)
    p[static_cast<std::size_t>(k)] = static_cast<double>(logits_[column * categories_ + k]);
  const double top = *std::max_element(p.begin(), p.end());
  double sum = 0;
  for (const double v : p) sum += std::exp(v - top);
  for (double& v : p) v -= top + std::log(sum);
  return p;
}

template <Scalar T>
Column<T> Categorical<T>::do_marginal_log_prob(Pass<T>& pass, Var<T> y, std::span<const std::int64_t> columns) const {
  // Rows with a value that is no category are marked and go on with the first one. NaN stays.
  Tape<T>& tape = pass.tape();
  const Var<T> known = tape.matrix(y.cols(), false);
  const T last = static_cast<T>(categories_ - 1);
  for (Index c = 0; c < y.cols(); ++c) {
    const T* in = tape.value(y, c);
    T* out = tape.value(known, c);
    for (Index i = 0; i < tape.padded_rows(); ++i) {
      const bool wrong = in[i] < T(0) || in[i] > last || (in[i] != std::floor(in[i]) && !std::isnan(in[i]));
      out[i] = wrong ? T(0) : in[i];
      if (wrong && i < tape.local_rows()) pass.outside()[i] |= 1;
    }
  }
  return row_sum_of_log_probabilities(known, pass.parameter(logits_), columns);
}

template <Scalar T>
Column<T> Categorical<T>::do_log_prob(Pass<T>& pass, Var<T> y) const {
  auto* all = pass.tape().template scratch<std::int64_t>(this->dim());
  std::iota(all, all + this->dim(), std::int64_t{0});
  return do_marginal_log_prob(pass, y, {all, static_cast<std::size_t>(this->dim())});
}

template <Scalar T>
Var<T> Categorical<T>::do_sample(Pass<T>& pass) const {
  check_not_recording(pass, this->name());
  Tape<T>& tape = pass.tape();
  const Var<T> u = pass.uniform(this->dim());
  const Var<T> y = tape.matrix(this->dim(), false);
  auto* below = tape.template scratch<double>(categories_);
  for (Index c = 0; c < this->dim(); ++c) {
    const T* logits = logits_.data() + c * categories_;
    const double top = static_cast<double>(*std::max_element(logits, logits + categories_));
    double sum = 0;
    for (Index k = 0; k < categories_; ++k) below[k] = sum += std::exp(static_cast<double>(logits[k]) - top);
    // The first category that goes beyond the draw has a probability, whatever rounding does to the sums.
    double* last = std::lower_bound(below, below + categories_, sum);
    for (Index i = 0; i < tape.padded_rows(); ++i) {
      const double* found = std::upper_bound(below, last, sum * static_cast<double>(tape.value(u, c)[i]));
      tape.value(y, c)[i] = static_cast<T>(found - below);
    }
  }
  return y;
}

template <Scalar T>
Space Categorical<T>::do_support() const {
  return Space::categories(this->dim(), categories_);
}

template <Scalar T>
void Categorical<T>::do_mean(VectorView<double> mean) const {
  for (Index c = 0; c < this->dim(); ++c) {
    const std::vector<double> p = log_probabilities(c);
    mean[c] = 0;
    for (std::size_t k = 0; k < p.size(); ++k) mean[c] += static_cast<double>(k) * std::exp(p[k]);
  }
}
template <Scalar T>
void Categorical<T>::do_variance(VectorView<double> variance) const {
  const Eigen::VectorXd mean = this->mean();
  for (Index c = 0; c < this->dim(); ++c) {
    const std::vector<double> p = log_probabilities(c);
    variance[c] = 0;
    for (std::size_t k = 0; k < p.size(); ++k) {
      const double difference = static_cast<double>(k) - mean[c];
      variance[c] += difference * difference * std::exp(p[k]);
    }
  }
}
template <Scalar T>
void Categorical<T>::do_mode(VectorView<double> mode) const {
  for (Index c = 0; c < this->dim(); ++c) {
    const T* logits = logits_.data() + c * categories_;
    mode[c] = static_cast<double>(std::max_element(logits, logits + categories_) - logits);
  }
}
template <Scalar T>
double Categorical<T>::do_entropy() const {
  double sum = 0;
  for (Index c = 0; c < this->dim(); ++c)
    for (const double v : log_probabilities(c)) sum -= std::exp(v) * v;
  return sum;
}

template <Scalar T>
std::optional<double> Categorical<T>::do_kl_divergence(const Distribution<T>& other) const {
  const auto* q = dynamic_cast<const Categorical*>(&other);
  if (!q) return std::nullopt;
  if (q->categories_ < categories_) return infinity;
  double sum = 0;
  for (Index c = 0; c < this->dim(); ++c) {
    const std::vector<double> own = log_probabilities(c), its = q->log_probabilities(c);
    for (std::size_t k = 0; k < own.size(); ++k) sum += std::exp(own[k]) * (own[k] - its[k]);
  }
  return sum;
}

template <Scalar T>
void Categorical<T>::do_tails(Tail tail, MatrixView<const T> y, MatrixView<double> out) const {
  by_columns(y, out, [&](Index column) {
    return [tail, logs = log_probabilities(column)](double y) -> double {
      double p = 0, q = 0;
      for (std::size_t k = 0; k < logs.size() && static_cast<double>(k) <= y; ++k) p += std::exp(logs[k]);
      for (std::size_t k = logs.size(); k-- > 0 && static_cast<double>(k) > y;) q += std::exp(logs[k]);
      // At the ends, what rounding has left.
      if (y >= static_cast<double>(logs.size() - 1)) p = 1;
      if (y < 0) q = 1;
      return tail_of(tail, std::min(p, 1.0), std::min(q, 1.0));
    };
  });
}

template <Scalar T>
void Categorical<T>::do_quantiles(bool complement, MatrixView<const double> p, MatrixView<double> out) const {
  by_columns(p, out, [&](Index column) {
    return [complement, logs = log_probabilities(column)](double p) -> double {
      const std::size_t last = logs.size() - 1;
      if (p == 0 || p == 1) return (p == 0) == complement ? static_cast<double>(last) : 0;
      std::size_t k;
      double sum = 0;
      if (complement) {
        // The numbers above the answer have no more than p together.
        for (k = last; k > 0; --k)
          if ((sum += std::exp(logs[k])) > p) break;
      } else {
        for (k = 0; k < last; ++k)
          if ((sum += std::exp(logs[k])) >= p) break;
      }
      return static_cast<double>(k);
    };
  });
}

template <Scalar T>
void Categorical<T>::do_fields(Fields<T>& f) {
  f.type("categorical");
  this->dim_field(f, most);
  f.constant("categories", categories_, 1, most);
  f.parameter("logits", logits_, {this->dim(), categories_});
}

template class Categorical<float>;
template class Categorical<double>;

}  // namespace pushforward
