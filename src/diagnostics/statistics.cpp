#include "src/diagnostics/statistics.hpp"

#include <cmath>
#include <numeric>

#include "src/numerics/constants.hpp"
#include "src/numerics/special_functions.hpp"

namespace pushforward::detail {

double kolmogorov_survival(Index n, double d) {
  if (d >= 1) return 0;
  // Vrbik 2018: with this argument the limit holds to within 1/n^(3/2) times a small number.
  const double root = std::sqrt(static_cast<double>(n)), z = root * d,
               x = z + 1 / (6 * root) + (z - 1) / (4 * static_cast<double>(n));
  if (x <= 0) return 1;
  double sum = 0;
  if (x < 1) {
    for (int k = 1; k <= 9; k += 2) sum += std::exp(-k * k * pi * pi / (8 * x * x));
    return std::clamp(1 - std::sqrt(2 * pi) / x * sum, 0.0, 1.0);
  }
  for (int k = 1; k <= 6; ++k) sum += (k % 2 == 1 ? 2 : -2) * std::exp(-2.0 * k * k * x * x);
  return std::clamp(sum, 0.0, 1.0);
}

double anderson_darling_survival(Index n, double a) {
  // In the limit A^2 = sum_j X_j^2 / (j (j + 1)) for normal X_j. Far out the first one decides; the others raise its
  // tail by prod_j>1 (1 - 2 / (j (j + 1)))^-1/2 = sqrt(3).
  if (a > 8) return std::sqrt(3.0) * std::erfc(std::sqrt(a));
  if (a <= 0) return 1;
  // Marsaglia and Marsaglia 2004: the limit, and what n adds.
  double cdf;
  if (a < 2)
    cdf = std::exp(-1.2337141 / a) / std::sqrt(a) *
          (2.00012 + (0.247105 - (0.0649821 - (0.0347962 - (0.011672 - 0.00168691 * a) * a) * a) * a) * a);
  else
    cdf = std::exp(-std::exp(1.0776 - (2.30695 - (0.43424 - (0.082433 - (0.008056 - 0.0003146 * a) * a) * a) * a) * a));
  const double m = static_cast<double>(n), c = 0.01265 + 0.1757 / m;
  double more;
  if (cdf > 0.8) {
    more = (-130.2137 + (745.2337 - (1705.091 - (1950.646 - (1116.360 - 255.7844 * cdf) * cdf) * cdf) * cdf) * cdf) / m;
  } else if (cdf < c) {
    const double t = cdf / c;
    more = std::sqrt(t) * (1 - t) * (49 * t - 102) * (0.0037 / (m * m) + 0.00078 / m + 0.00006) / m;
  } else {
    const double t = (cdf - c) / (0.8 - c);
    more = (-0.00022633 + (6.54034 - (14.6538 - (14.458 - (8.259 - 1.91864 * t) * t) * t) * t) * t) *
           (0.04213 + 0.01365 / m) / m;
  }
  return std::clamp(1 - cdf - more, 0.0, 1.0);
}

UniformityTest test_uniformity(std::vector<double> u) {
  UniformityTest test;
  const auto count = static_cast<Index>(u.size());
  if (count == 0) return test;
  std::sort(u.begin(), u.end());
  const double n = static_cast<double>(count);
  double sum = 0;
  for (std::size_t i = 0; i < u.size(); ++i) {
    const double k = static_cast<double>(i), v = u[i];
    test.ks = std::max({test.ks, v - k / n, (k + 1) / n - v});
    sum += (2 * k + 1) * (std::log(std::max(v, 1e-17)) + std::log(std::max(1 - u[u.size() - 1 - i], 1e-17)));
  }
  test.ad = -n - sum / n;
  test.ks_p = kolmogorov_survival(count, test.ks);
  test.ad_p = anderson_darling_survival(count, test.ad);
  return test;
}

double normal_score(double p, double q) {
  return p < q ? -std::sqrt(2.0) * erfc_inv(2 * p) : std::sqrt(2.0) * erfc_inv(2 * q);
}

namespace {

/// exp(log_term(k)) of k = 0, ..., n, times n over k.
template <class F>
std::vector<double> law(Index n, F log_term) {
  std::vector<double> p(static_cast<std::size_t>(n) + 1);
  const double whole = log_gamma(static_cast<double>(n) + 1);
  for (Index k = 0; k <= n; ++k) {
    const double a = static_cast<double>(k), b = static_cast<double>(n - k);
    p[static_cast<std::size_t>(k)] = std::exp(whole - log_gamma(a + 1) - log_gamma(b + 1) + log_term(a, b));
  }
  return p;
}

}  // namespace

std::vector<double> binomial_law(Index n, double p) {
  return law(n, [&](double k, double rest) { return k * std::log(p) + rest * std::log1p(-p); });
}

std::vector<double> beta_binomial_law(Index n, double a, double b) {
  return law(n, [&](double k, double rest) { return log_beta(k + a, rest + b) - log_beta(a, b); });
}

double two_sided(const std::vector<double>& law, Index k) {
  const auto at = law.begin() + k;
  const double low = std::accumulate(law.begin(), at + 1, 0.0), high = std::accumulate(at, law.end(), 0.0);
  return std::min(1.0, 2 * std::min(low, high));
}

Index quantile(const std::vector<double>& law, double p) {
  double sum = 0;
  for (std::size_t k = 0; k < law.size(); ++k)
    if ((sum += law[k]) >= p) return static_cast<Index>(k);
  return static_cast<Index>(law.size()) - 1;
}

namespace {

/// Numbers of the values from the smallest to the largest.
std::vector<std::size_t> sorted_order(const std::vector<double>& v) {
  std::vector<std::size_t> order(v.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t i, std::size_t j) { return v[i] < v[j] || (v[i] == v[j] && i < j); });
  return order;
}

/// f(rank, number, size) for each value: the rank, from 1, of the middle of those equal to it, which are `size`.
template <class F>
void for_each_rank(const std::vector<double>& v, F f) {
  const std::vector<std::size_t> order = sorted_order(v);
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin + 1;
    while (end < order.size() && v[order[end]] == v[order[begin]]) ++end;
    for (std::size_t i = begin; i < end; ++i) f(0.5 * static_cast<double>(begin + end + 1), order[i], end - begin);
    begin = end;
  }
}

}  // namespace

RankSum rank_sum(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> all = a;
  all.insert(all.end(), b.begin(), b.end());
  const double n = static_cast<double>(a.size()), m = static_cast<double>(b.size()), total = n + m;
  double sum = 0, ties = 0;
  for_each_rank(all, [&](double rank, std::size_t i, std::size_t size) {
    if (i < a.size()) sum += rank;
    const double t = static_cast<double>(size);
    ties += t * t - 1;  // t^3 - t for each set
  });
  return {(sum - n * (n + 1) / 2) / (n * m),
          std::sqrt(std::max(0.0, (total + 1 - ties / (total * (total - 1))) / (12 * n * m)))};
}

void to_normal_scores(Matrix<double>& data, Matrix<double>& draws) {
  const auto n = static_cast<std::size_t>(data.rows());
  std::vector<double> all(n + static_cast<std::size_t>(draws.rows()));
  const double total = static_cast<double>(all.size());
  for (Index c = 0; c < data.cols(); ++c) {
    std::copy_n(data.col(c).data(), data.rows(), all.begin());
    std::copy_n(draws.col(c).data(), draws.rows(), all.begin() + data.rows());
    for_each_rank(all, [&](double rank, std::size_t i, std::size_t) {
      const double z = normal_score((rank - 0.5) / total, (total - rank + 0.5) / total);
      (i < n ? data(static_cast<Index>(i), c) : draws(static_cast<Index>(i - n), c)) = z;
    });
  }
}

std::vector<std::pair<Index, Index>> column_pairs(Index columns, std::size_t most) {
  std::vector<std::pair<Index, Index>> pairs;
  for (Index apart = 1; apart < columns; ++apart)
    for (Index c = 0; c + apart < columns && pairs.size() < most; ++c) pairs.emplace_back(c, c + apart);
  return pairs;
}

}  // namespace pushforward::detail
