#pragma once

#include <pushforward/ops.hpp>
#include <pushforward/pass.hpp>

namespace pushforward::detail {

/// What a conditioner sees while this lives: the pass's context, and the columns that it is given, softly bounded.
template <Scalar T>
class Bounded {
 public:
  Bounded(Pass<T>& pass, double bound) : pass_(pass), bound_(static_cast<T>(bound)), context_(pass.context()) {
    if (context_) pass.exchange_context(bounded(context_, true));
  }
  ~Bounded() { pass_.exchange_context(context_); }
  Bounded(const Bounded&) = delete;
  Bounded& operator=(const Bounded&) = delete;

  Var<T> operator()(Var<T> x) const { return bounded(x, false); }

 private:
  Var<T> bounded(Var<T> x, bool is_context) const {
    pass_.show_bounded(x, static_cast<double>(bound_), is_context);
    return soft_bound(x, bound_);
  }

  Pass<T>& pass_;
  T bound_;
  Var<T> context_;
};

}  // namespace pushforward::detail
