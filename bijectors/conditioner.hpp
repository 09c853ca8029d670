#pragma once

#include <pushforward/ops.hpp>
#include <pushforward/pass.hpp>

namespace pushforward::detail {

/// While this lives the pass's context is softly bounded: for the time that a conditioner runs. What else takes part in
/// the map, such as its transformer, sees the context as it is.
template <Scalar T>
class BoundedContext {
 public:
  BoundedContext(Pass<T>& pass, double bound) : pass_(pass), context_(pass.context()) {
    if (context_) pass.exchange_context(soft_bound(context_, bound));
  }
  ~BoundedContext() { pass_.exchange_context(context_); }
  BoundedContext(const BoundedContext&) = delete;
  BoundedContext& operator=(const BoundedContext&) = delete;

 private:
  Pass<T>& pass_;
  Var<T> context_;
};

/// f(), a conditioner's run, in the bounded context.
template <Scalar T, class F>
auto in_bounded_context(Pass<T>& pass, double bound, F f) {
  const BoundedContext<T> scope(pass, bound);
  return f();
}

}  // namespace pushforward::detail
