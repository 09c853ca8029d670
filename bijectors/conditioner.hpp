#pragma once

#include <pushforward/ops.hpp>
#include <pushforward/pass.hpp>

namespace pushforward::detail {

enum class Seen : bool { columns, context };

/// What a conditioner sees of `x`: columns or context, softly bounded.
template <Scalar T>
Var<T> bounded(const Pass<T>& pass, Var<T> x, double bound, Seen what) {
  pass.show_bounded(x, bound, what == Seen::context);
  return soft_bound(x, bound);
}

/// f(), a conditioner's run, with the pass's context softly bounded meanwhile. What else takes part in the map, such as
/// its transformer, sees the context as it is.
template <Scalar T, class F>
auto in_bounded_context(Pass<T>& pass, double bound, F f) {
  struct Scope {
    Pass<T>& pass;
    Var<T> context;
    ~Scope() { pass.exchange_context(context); }
  } const scope{pass, pass.context()};
  if (scope.context) pass.exchange_context(bounded(pass, scope.context, bound, Seen::context));
  return f();
}

}  // namespace pushforward::detail
