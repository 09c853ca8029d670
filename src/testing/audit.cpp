#include <pushforward/testing/audit.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include <Eigen/LU>
#include <fmt/format.h>

#include <pushforward/error.hpp>
#include <pushforward/poly.hpp>
#include <pushforward/testing/gradient_check.hpp>

namespace pushforward::testing {

bool Audit::passed() const {
  return std::all_of(entries.begin(), entries.end(), [](const AuditEntry& e) { return e.passed(); });
}

std::string Audit::to_text() const {
  std::size_t width = 0;
  for (const AuditEntry& e : entries) width = std::max(width, e.check.size());
  std::string text;
  for (const AuditEntry& e : entries) {
    text += fmt::format("{:<{}}  ", e.check, width);
    if (!e.made())
      text += "not made: " + e.note;
    else
      text += fmt::format("{}  worst {:.2g}{}, tolerance {:.2g}{}", e.passed() ? "ok    " : "FAILED", e.worst,
                          e.row < 0 ? "" : fmt::format(" in row {}", e.row), e.tolerance,
                          e.note.empty() ? "" : "; " + e.note);
    text += '\n';
  }
  return text;
}

namespace {

/// Collects the largest miss; NaN is the largest of all.
void miss(AuditEntry& entry, double value, Index row) {
  if (entry.row >= 0 && !(value > entry.worst) && !std::isnan(value)) return;
  if (std::isnan(entry.worst)) return;
  entry.worst = value;
  entry.row = row;
}

template <Scalar T>
Matrix<T> copied(MatrixView<const T> view) {
  Matrix<T> m(view.rows(), view.cols());
  for (Index i = 0; i < m.rows(); ++i)
    for (Index c = 0; c < m.cols(); ++c) m(i, c) = view(i, c);
  return m;
}

/// Those of rows [begin, begin + count), or the one that stands for all.
template <Scalar T>
Matrix<T> rows_of(const Matrix<T>& context, Index begin, Index count) {
  return context.rows() < 2 ? context : Matrix<T>(context.middleRows(begin, count));
}

template <Scalar T>
class Auditor {
 public:
  Auditor(const Poly<Bijector<T>>& bijector, MatrixView<const T> y, MatrixView<const T> context,
          const AuditOptions& options)
      : bijector_(bijector), b_(*bijector_), y_(copied(y)), context_(copied(context)), options_(options) {}

  Audit run() {
    if (y_.rows() == 0) throw DomainError("audit: there are no rows");
    there_ = b_.inverse(MatrixView<const T>(y_), context_);
    back_ = b_.forward(MatrixView<const T>(there_.value), context_);
    again_ = b_.inverse(MatrixView<const T>(back_.value), context_);
    round_trips();
    supports();
    differences();
    gradients();
    return std::move(audit_);
  }

 private:
  static constexpr double epsilon = static_cast<double>(std::numeric_limits<T>::epsilon());

  AuditEntry& add(std::string check, double tolerance) {
    audit_.entries.push_back({.check = std::move(check), .tolerance = tolerance, .note = {}});
    return audit_.entries.back();
  }
  void skip(std::string check, std::string why) {
    audit_.entries.push_back({.check = std::move(check), .note = std::move(why)});
  }

  void round_trips() {
    const double tolerance = 4 * std::sqrt(epsilon);
    const auto compare = [&](const char* name, const Matrix<T>& a, const Matrix<T>& b) {
      AuditEntry& entry = add(name, tolerance);
      for (Index i = 0; i < a.rows(); ++i)
        for (Index c = 0; c < a.cols(); ++c) {
          const double v = static_cast<double>(a(i, c)), w = static_cast<double>(b(i, c));
          miss(entry, std::abs(v - w) / (1 + std::abs(v)), i);
        }
    };
    compare("round trip, from the data", y_, back_.value);
    compare("round trip, from the base", there_.value, again_.value);
    AuditEntry& entry = add("log|det| of both directions", tolerance);
    for (Index i = 0; i < y_.rows(); ++i)
      miss(entry, std::abs(there_.log_det[i] + back_.log_det[i]) / (1 + std::abs(there_.log_det[i])), i);
  }

  void supports() {
    const auto inside = [&](const char* name, const Matrix<T>& rows, const Space& space) {
      AuditEntry& entry = add(name, 0);
      Index outside = 0;
      for (Index i = 0; i < rows.rows(); ++i) {
        const Eigen::VectorXd row = rows.row(i).template cast<double>();
        const std::string text = space.misfit(VectorView<const double>(row), name, surface_tolerance<T>);
        if (text.empty()) continue;
        if (outside++ == 0) {
          entry.row = i;
          entry.note = text;
        }
      }
      entry.worst = static_cast<double>(outside);
    };
    inside("rows outside of the domain", there_.value, b_.domain());
    inside("rows outside of the codomain", back_.value, b_.codomain());
  }

  /// Why nothing can be said by differences.
  std::string no_differences() const {
    if (sizeof(T) != 8) return "differences in float say nothing; take the double form";
    if (b_.domain().dimensions() != b_.base_dim() || b_.codomain().dimensions() != b_.dim() || b_.base_dim() != b_.dim())
      return "the map leads onto a surface";
    if (b_.dim() > options_.most_columns)
      return fmt::format("it has {} columns, and options say {} at most", b_.dim(), options_.most_columns);
    return {};
  }

  /// d inverse(y)_k / d y_j of a row, (dim, dim); none where a step leaves the codomain.
  std::optional<Eigen::MatrixXd> jacobian(Index row) const {
    const Index n = b_.dim();
    Matrix<T> steps(2 * n, n);
    std::vector<double> size(static_cast<std::size_t>(n));
    const Space space = b_.codomain();
    for (Index j = 0; j < n; ++j) {
      const double at = static_cast<double>(y_(row, j)), wanted = std::cbrt(epsilon) * std::max(1.0, std::abs(at));
      for (const bool up : {false, true}) {
        steps.row(2 * j + up) = y_.row(row);
        steps(2 * j + up, j) = static_cast<T>(up ? at + wanted : at - wanted);
        const Eigen::VectorXd moved = steps.row(2 * j + up).template cast<double>();
        if (!space.contains(VectorView<const double>(moved), 0)) return {};
      }
      size[static_cast<std::size_t>(j)] = static_cast<double>(steps(2 * j + 1, j)) - static_cast<double>(steps(2 * j, j));
    }
    const Matrix<T> context = rows_of(context_, row, 1);
    const Matrix<T> x = b_.inverse(MatrixView<const T>(steps), MatrixView<const T>(context)).value;
    Eigen::MatrixXd j(n, n);
    for (Index k = 0; k < n; ++k)
      j.col(k) = (x.row(2 * k + 1) - x.row(2 * k)).transpose().template cast<double>() / size[static_cast<std::size_t>(k)];
    return j;
  }

  void differences() {
    const std::string name = "log|det| against differences", why = no_differences();
    if (!why.empty()) return skip(name, why);
    AuditEntry log_det{.check = name, .tolerance = 1e-6, .note = {}};
    AuditEntry signs{.check = "derivatives of the wrong sign", .tolerance = 0, .note = {}};
    AuditEntry later{.check = "derivatives by later columns", .tolerance = 1e-9, .note = {}};
    std::optional<std::vector<std::int64_t>> order;
    try {
      order = b_.triangular_order();
    } catch (const NotImplemented&) {
    }
    const std::vector<bool> increasing = b_.is_elementwise() ? b_.is_increasing() : std::vector<bool>();
    std::vector<std::size_t> place(static_cast<std::size_t>(b_.dim()));
    if (order)
      for (std::size_t i = 0; i < order->size(); ++i) place[static_cast<std::size_t>((*order)[i])] = i;
    for (Index i = 0; i < std::min(options_.rows_of_differences, y_.rows()); ++i) {
      const std::optional<Eigen::MatrixXd> j = jacobian(i);
      if (!j) continue;
      const double exact = j->fullPivLu().matrixLU().diagonal().array().abs().log().sum();
      miss(log_det, std::abs(exact - there_.log_det[i]) / (1 + std::abs(exact)), i);
      if (!order) continue;
      const double largest = j->cwiseAbs().maxCoeff();
      for (Index k = 0; k < b_.dim(); ++k) {
        const bool rises = increasing.empty() || increasing[static_cast<std::size_t>(k)];
        miss(signs, std::max(0.0, rises ? -(*j)(k, k) : (*j)(k, k)), i);
        for (Index c = 0; c < b_.dim(); ++c)
          if (c != k && (order->empty() || place[static_cast<std::size_t>(c)] > place[static_cast<std::size_t>(k)]))
            miss(later, std::abs((*j)(k, c)) / largest, i);
      }
    }
    if (log_det.row < 0) return skip(name, "every row lies next to an end of the codomain");
    audit_.entries.push_back(log_det);
    if (!order) return;
    audit_.entries.push_back(signs);
    if (b_.dim() > 1) audit_.entries.push_back(later);
  }

  void gradients() {
    const std::string name = "gradients against differences";
    if (const std::string why = no_differences(); !why.empty()) return skip(name, why);
    if constexpr (sizeof(T) == 8) {
      Poly<Bijector<double>> copy = bijector_;  // its parameters move
      std::vector<NamedTensor> tensors;
      for (const Slot<double>& slot : list_state(*copy))
        if (slot.kind == StateKind::parameter) tensors.push_back({slot.path, slot.tensor});
      const RowFunction f = [&](Pass<double>& pass, Var<double> y) {
        const Mapped<double> x = copy->inverse(pass, y);
        return random_projection(pass, x.value, 1) + x.log_det;
      };
      const Index rows = std::min({options_.rows_of_differences, y_.rows(), Index{16}});
      std::vector<Interval> domain;
      for (Index c = 0; c < b_.dim(); ++c) domain.push_back(b_.codomain()[c]);
      const Matrix<double> y = y_.topRows(rows), context = rows_of(context_, 0, rows);
      const std::vector<Failure> failures = check_gradient(f, y, context, tensors, {.domain = domain});
      AuditEntry& entry = add(name, 0);
      entry.worst = static_cast<double>(failures.size());
      if (!failures.empty()) entry.note = failures[0].check + ": " + failures[0].detail;
      entry.row = entry.note.empty() ? -1 : 0;
    }
  }

  const Poly<Bijector<T>>& bijector_;
  const Bijector<T>& b_;
  Matrix<T> y_, context_;
  AuditOptions options_;
  MappedRows<T> there_, back_, again_;
  Audit audit_;
};

}  // namespace

template <Scalar T>
Audit audit(const Poly<Bijector<T>>& bijector, MatrixView<const std::type_identity_t<T>> y,
            MatrixView<const std::type_identity_t<T>> context, const AuditOptions& options) {
  return Auditor<T>(bijector, y, context, options).run();
}

template Audit audit<float>(const Poly<Bijector<float>>&, MatrixView<const float>, MatrixView<const float>,
                            const AuditOptions&);
template Audit audit<double>(const Poly<Bijector<double>>&, MatrixView<const double>, MatrixView<const double>,
                            const AuditOptions&);

}  // namespace pushforward::testing
