#pragma once

#include <concepts>
#include <string>
#include <type_traits>
#include <vector>

#include <pushforward/bijector.hpp>
#include <pushforward/poly.hpp>
#include <pushforward/views.hpp>

namespace pushforward::testing {

/// What one check of `audit` found.
struct AuditEntry {
  std::string check;     ///< "round trip, from the data"
  double worst = 0;      ///< the largest miss of all rows
  Index row = -1;        ///< where it was; -1: nowhere
  double tolerance = 0;  ///< what rounding explains
  std::string note;      ///< why the check was not made, or what was found; else empty

  bool made() const { return row >= 0 || note.empty(); }
  bool passed() const { return worst <= tolerance; }
};

struct Audit {
  std::vector<AuditEntry> entries;

  bool passed() const;
  /// A line for each check.
  std::string to_text() const;
};

struct AuditOptions {
  /// Of the rows given, those whose Jacobians and gradients are compared with differences: the first ones.
  Index rows_of_differences = 64;
  /// No differences of maps with more columns: a Jacobian is 2 dim evaluations for each row.
  Index most_columns = 256;
};

/// Whether a bijector, of the library, of a user or read from elsewhere, is what flows take it for, at given rows:
///
///  - round trips from the data y and from the base x = inverse(y), relative to 1 + |value|;
///  - the log|det| of both directions cancel;
///  - log|det| of the inverse against log|det J|, J by central differences;
///  - elementwise and triangular maps: derivatives of columns by themselves have the sign that they should, and those
///    by later columns are 0;
///  - x lies in the domain, and y comes back into the codomain;
///  - gradients of inverse and log|det| in y, context and every parameter against central differences.
///
/// Checks by differences are made in double, of maps between as many columns as numbers; others say in `note` why not.
/// Statistics are the running ones. What must hold of a class whatever its rows are is `check_bijector`'s.
///
/// @param y        (N, dim), rows of the codomain
/// @param context  (N, context_dim) or one row
/// @par Cost       some 2 dim evaluations for each row of differences, and as many for each parameter that is looked at.
/// @throws ShapeError   if sizes do not fit.
/// @throws DomainError  if there are no rows, or one lies outside the codomain.
template <Scalar T>
Audit audit(const Poly<Bijector<T>>& bijector, MatrixView<const std::type_identity_t<T>> y,
            MatrixView<const std::type_identity_t<T>> context = {}, const AuditOptions& options = {});
template <class B>
  requires std::derived_from<B, Bijector<ScalarOf<B>>>
Audit audit(const B& bijector, MatrixView<const ScalarOf<B>> y, MatrixView<const ScalarOf<B>> context = {},
            const AuditOptions& options = {}) {
  return audit<ScalarOf<B>>(Poly<Bijector<ScalarOf<B>>>(bijector), y, context, options);
}

}  // namespace pushforward::testing
