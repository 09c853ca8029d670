#pragma once

#include <pushforward/bijector.hpp>
#include <pushforward/registry.hpp>
#include <pushforward/testing/gradient_check.hpp>

namespace pushforward::testing {

struct BijectorContract {
  std::uint64_t seed = 1;
  /// Rows of the large batches; more than one tile, so that positions and tiles matter.
  Index rows = 300;
  /// Round trips: times sqrt(eps), relative to 1 + |value|.
  double round_trip_tolerance = 4;
  /// Values up to this magnitude must be mapped to finite ones.
  double large = 30;
  /// Paths of all tensors, in order, as files name them; empty: not checked.
  std::vector<std::string> tensors = {};
  /// Knows the class and its parts.
  Registry registry = Registry::standard();
};

/// Checks everything that the library promises for bijectors:
///
///  - both directions undo each other and their log_dets cancel, for 1, 17 and many rows, also with minibatch
///    statistics that were captured;
///  - log_det is log|det| of a numerical Jacobian (T = double) along domain and codomain, in the measures that `Space`
///    documents, at points where it is not near 0;
///  - points of the domain come out in the codomain and back, for every kind of `Space`; what other properties promise:
///    elementwise, constant, increasing, bounds, has_inverse;
///  - gradients of all outputs in inputs, context and every listed parameter, both directions, against central
///    differences (double), or against the same object in double (float); every listed parameter is used;
///  - rows do not see each other, bit for bit, at any position, in any layout, on any number of threads;
///  - no rows; wrong sizes; NaN and infinite rows; rows outside the domain; points next to its bounds;
///  - calls change nothing, copies are independent, a rebuilt or cast object is the same object;
///  - do_fields names every tensor that either direction asks for by `Pass::parameter`, proposes values for, or
///    captures statistics by, whatever its value: those of networks, transformers and other parts too.
///
/// Parameters should not be at their start: `perturb` first. No constant should have the value that the constructor
/// gives it by default: one that do_fields does not name is seen only where the rebuilt object then differs, and so is a
/// tensor whose values a hook reads without the pass. Where log_det is 0 in all rows, the class has to say so by
/// is_constant_log_det().
template <Scalar T>
std::vector<Failure> check_bijector(const Poly<Bijector<T>>& bijector, const BijectorContract& contract = {});

template <template <class> class B, Scalar T>
requires std::derived_from<B<T>, Bijector<T>> std::vector<Failure> check_bijector(
    const B<T>& bijector, const BijectorContract& contract = {}) {
  return check_bijector<T>(Poly<Bijector<T>>(bijector), contract);
}

}  // namespace pushforward::testing
