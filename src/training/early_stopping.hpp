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
  /// The loss of an epoch; true if it is the best, by more than `min_delta`. One that is not finite never is.
  bool report(Index epoch, double loss, double min_delta) {
    wait();
    if (!std::isfinite(loss) || !(loss < best_loss - min_delta)) return false;
    best_loss = loss;
    best_epoch = epoch;
    since_best = 0;
    return true;
  }
  bool exhausted(Index patience) const { return patience > 0 && since_best >= patience; }
};

}  // namespace pushforward::detail
