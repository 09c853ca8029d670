#pragma once

#include <functional>

#include <pushforward/distribution.hpp>

namespace pushforward {

/// A loss: one number per row, written with the operations of ops.hpp, from the model and the rows of data. Several
/// threads call it at the same time, each on its rows; `fit` takes the weighted mean over the batch.
template <Scalar T>
using Loss = std::function<Column<T>(Pass<T>& pass, const Distribution<T>& flow, Var<T> y)>;

/// -log_prob(y), in nats: its mean over data is minimal at maximum likelihood.
template <Scalar T>
Loss<T> negative_log_likelihood() {
  return [](Pass<T>& pass, const Distribution<T>& flow, Var<T> y) { return -flow.log_prob(pass, y); };
}

/// A log density up to a constant, written with the operations of ops.hpp. Rows outside its support are marked with
/// `Pass::restrict_to`.
template <Scalar T>
using Target = std::function<Column<T>(Pass<T>& pass, Var<T> y)>;

/// log q(y) - log p(y) for a sample y of the flow q and the target p: its mean over samples is KL(q || p), up to the
/// target's constant. The rows are those of the pass, which needs random numbers.
template <Scalar T>
std::function<Column<T>(Pass<T>& pass, const Distribution<T>& flow)> reverse_kl(Target<T> target) {
  return [target = std::move(target)](Pass<T>& pass, const Distribution<T>& flow) {
    const Drawn<T> drawn = flow.sample_and_log_prob(pass);
    return drawn.log_prob - target(pass, drawn.value);
  };
}

}  // namespace pushforward
