#pragma once

#include <concepts>
#include <span>
#include <type_traits>
#include <vector>

#include <pushforward/views.hpp>

namespace pushforward {

namespace detail {
/// Objects whose storage dies with them: of such, only names convert to a borrowed view.
template <class D>
concept DyingStorage = !std::is_lvalue_reference_v<D> &&
                       std::derived_from<std::remove_cv_t<D>, Eigen::PlainObjectBase<std::remove_cv_t<D>>>;
}  // namespace detail

/// A MatrixView for options, which outlive the expression that makes them: `{.context = a.topRows(9)}` is a view of
/// `a`, while `{.context = Eigen::MatrixXd(2 * a)}` does not compile, for that matrix would be gone before it is read.
template <class T>
class BorrowedMatrix : public MatrixView<T> {
 public:
  constexpr BorrowedMatrix() = default;
  template <class U>
    requires std::convertible_to<MatrixView<U>, MatrixView<T>>
  constexpr BorrowedMatrix(MatrixView<U> view) : MatrixView<T>(view) {}  // NOLINT: implicit by design
  template <class D>
    requires(detail::DirectEigen<D, T> && !detail::DyingStorage<D>)
  BorrowedMatrix(D&& m) : MatrixView<T>(m) {}  // NOLINT: implicit by design
  template <detail::DyingStorage D>
  BorrowedMatrix(D&& m) = delete;
};

/// The same for vectors.
template <class T>
class BorrowedVector : public VectorView<T> {
 public:
  using Vector = std::vector<std::remove_const_t<T>>;
  constexpr BorrowedVector() = default;
  template <class U>
    requires std::convertible_to<VectorView<U>, VectorView<T>>
  constexpr BorrowedVector(VectorView<U> view) : VectorView<T>(view) {}  // NOLINT: implicit by design
  template <class D>
    requires(detail::DirectEigen<D, T> && bool(std::remove_cvref_t<D>::IsVectorAtCompileTime) &&
             !detail::DyingStorage<D>)
  BorrowedVector(D&& m) : VectorView<T>(m) {}  // NOLINT: implicit by design
  BorrowedVector(const Vector& v) : VectorView<T>(v) {}  // NOLINT: implicit by design
  constexpr BorrowedVector(std::span<T> s) : VectorView<T>(s) {}  // NOLINT: implicit by design
  template <detail::DyingStorage D>
  BorrowedVector(D&& m) = delete;
  BorrowedVector(Vector&& v) = delete;
};

}  // namespace pushforward
