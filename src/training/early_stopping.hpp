#pragma once

#include <cmath>
#include <limits>

#include <pushforward/views.hpp>

namespace pushforward::detail {

/// The best of the validation losses so far, and for how long there has been no better one.
struct EarlyStopping {
  double best_loss = std::numeric_limits<double>::infinity();
  Index best_epoch = -1;
  Index since_best = 0;  // epochs

  /// An epoch without validation.
  void wait() { ++since_best; }
  /// The loss of an epoch; true if it is the best, by more than `min_delta`.
  bool report(Index epoch, double loss, double min_delta) {
    wait();
    // The first one counts even if it is infinite: there must be something to return to.
    if (!(loss < best_loss - min_delta) && best_epoch >= 0) return false;
    best_loss = std::isnan(loss) ? std::numeric_limits<double>::infinity() : loss;
    best_epoch = epoch;
    since_best = 0;
    return true;
  }
  bool exhausted(Index patience) const { return patience > 0 && since_best >= patience; }
};

}  // namespace pushforward::detail
