#pragma once

// Conditioners see columns and context softly bounded, in standardised units. Of columns in other units they see next
// to nothing, and no step of a fit fails for it.

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include <pushforward/distribution.hpp>
#include <pushforward/error.hpp>

namespace pushforward::detail {

/// What the conditioners of a flow see of some rows.
template <Scalar T>
class BoundedInputs {
 public:
  /// That many rows show it.
  static constexpr Index enough = 256;

  /// `y`, and the context of `settings`, on a tape of all rows together.
  BoundedInputs(Tape<T>& tape, Var<T> y, const typename Pass<T>::Settings& settings)
      : tape_(tape), y_(y), settings_(settings) {}

  /// Names the columns of which they are blind to many rows; nothing if there is none.
  std::optional<Notice> warning(const Distribution<T>& flow) {
    const std::function<void(Var<T>, double, bool)> look = [this](Var<T> seen, double bound, bool is_context) {
      look_at(seen, bound, is_context);
    };
    settings_.on_bounded = &look;
    Pass<T> pass(tape_, settings_);
    static_cast<void>(flow.log_prob(pass, y_));
    if (share_ == 0) return std::nullopt;
    for (auto* columns : {&columns_, &context_columns_}) std::sort(columns->begin(), columns->end());
    const bool named = !columns_.empty() || !context_columns_.empty();
    return Notice{
        .columns = columns_,
        .context_columns = context_columns_,
        .problem = fmt::format("{}conditioners see values softly bounded by {:g}, and up to {:.0f} % of the rows lie "
                               "further out, where they hardly tell them apart",
                               named ? ": " : "", bound_, 100 * share_),
        .option = "standardize",
        .way_out = "; give columns and context location 0 and scale 1, as prepare and prepare_and_fit do, or the flow "
                   "another input_bound"};
  }

 private:
  /// More rows than tails have: of a column of mean 0 and deviation 1, of any shape, at most 1 / bound^2 lie beyond.
  static constexpr double many = 0.1;

  void look_at(Var<T> seen, double bound, bool is_context) {
    if (!std::isfinite(bound) || seen.is_shared()) return;
    for (Index c = 0; c < seen.cols(); ++c) {
      const T* v = tape_.value(seen, c);
      const double share = share_beyond(v, bound);
      if (share <= many) continue;
      const Index origin = origin_of(v, is_context);
      std::vector<std::ptrdiff_t>& columns = is_context ? context_columns_ : columns_;
      if (origin >= 0 && std::find(columns.begin(), columns.end(), origin) == columns.end()) columns.push_back(origin);
      if (share > share_) {
        share_ = share;
        bound_ = bound;
      }
    }
  }

  /// 0 where mean and deviation, or median and quartiles, are those of a standardised column, whatever its tails.
  double share_beyond(const T* v, double bound) const {
    const Index n = tape_.rows();
    if (std::all_of(v, v + n, [v](T other) { return other == v[0]; })) return 0;  // nothing to be blind to
    double mean = 0, square = 0, beyond = 0;
    for (Index i = 0; i < n; ++i) {
      mean += static_cast<double>(v[i]) / static_cast<double>(n);
      beyond += std::abs(static_cast<double>(v[i])) > bound;
    }
    for (Index i = 0; i < n; ++i) square += (static_cast<double>(v[i]) - mean) * (static_cast<double>(v[i]) - mean);
    if (std::abs(mean) <= 1 && std::sqrt(square / static_cast<double>(n)) <= 2) return 0;
    std::vector<T> sorted(v, v + n);
    std::sort(sorted.begin(), sorted.end());
    const auto at = [&](Index i) { return static_cast<double>(sorted[static_cast<std::size_t>(i)]); };
    constexpr double normal_range = 1.349;  // between the quartiles of a standard normal variable
    if (std::abs(at(n / 2)) <= 1 && at(3 * n / 4) - at(n / 4) <= 2 * normal_range) return 0;
    return beyond / static_cast<double>(n);
  }

  /// The column of data or context with which these values rise or fall, by rank correlation: flows begin near the
  /// identity; -1: none.
  Index origin_of(const T* v, bool is_context) {
    std::vector<Ranks>& candidates = is_context ? context_ranks_ : ranks_;
    const Var<T> matrix = is_context ? settings_.context : y_;
    if (candidates.empty())
      for (Index c = 0; c < matrix.cols(); ++c) candidates.push_back(ranks_of(tape_.value(matrix, c)));
    const Ranks own = ranks_of(v);
    double best = 0.5;
    Index origin = -1;
    for (std::size_t c = 0; c < candidates.size(); ++c) {
      double square = 0;
      for (std::size_t i = 0; i < own.size(); ++i) square += (own[i] - candidates[c][i]) * (own[i] - candidates[c][i]);
      const double n = static_cast<double>(own.size());
      const double correlation = std::abs(1 - 6 * square / (n * (n * n - 1)));
      if (correlation <= best) continue;
      best = correlation;
      origin = static_cast<Index>(c);
    }
    return origin;
  }

  using Ranks = std::vector<double>;
  Ranks ranks_of(const T* v) const {
    std::vector<std::size_t> order(static_cast<std::size_t>(tape_.rows()));
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [v](std::size_t a, std::size_t b) { return v[a] < v[b]; });
    Ranks ranks(order.size());
    for (std::size_t i = 0; i < order.size(); ++i) ranks[order[i]] = static_cast<double>(i);
    return ranks;
  }

  Tape<T>& tape_;
  Var<T> y_;
  typename Pass<T>::Settings settings_;
  std::vector<Ranks> ranks_, context_ranks_;  // of each column
  std::vector<std::ptrdiff_t> columns_, context_columns_;
  double share_ = 0;
  double bound_ = 0;
};

}  // namespace pushforward::detail
