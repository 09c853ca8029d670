#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <type_traits>
#include <vector>

#include <Eigen/Core>

namespace pushforward {

using Index = std::ptrdiff_t;

/// The two scalar types of the library; every class template is instantiated for both and for nothing else.
template <class T>
concept Scalar = std::same_as<T, float> || std::same_as<T, double>;

/// Column-major matrix that the caller owns: what the convenience functions return.
template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>;

namespace detail {
template <class D, class T>
concept DirectEigen = requires(D& m) {
  typename std::remove_cvref_t<D>::Scalar;
  { m.rows() } -> std::convertible_to<Index>;
  { m.cols() } -> std::convertible_to<Index>;
  { m.innerStride() } -> std::convertible_to<Index>;
  { m.outerStride() } -> std::convertible_to<Index>;
  { m.data() } -> std::convertible_to<T*>;
  { std::remove_cvref_t<D>::IsRowMajor } -> std::convertible_to<bool>;
};
}  // namespace detail

/// Pointer, shape and strides (in elements) of somebody's matrix; owns nothing.
///
/// Made implicitly and without a copy from every Eigen object with storage: matrices, arrays, blocks and maps in
/// either storage order. An Eigen *expression* (`a + b`) has no storage: evaluate it first.
template <class T>
class MatrixView {
 public:
  constexpr MatrixView() = default;
  constexpr MatrixView(T* data, Index rows, Index cols, Index row_stride, Index col_stride)
      : data_(data), rows_(rows), cols_(cols), row_stride_(row_stride), col_stride_(col_stride) {}

  /// Contiguous column-major storage.
  constexpr MatrixView(T* data, Index rows, Index cols) : MatrixView(data, rows, cols, 1, rows) {}

  template <class D>
    requires detail::DirectEigen<D, T>
  MatrixView(D&& m)  // NOLINT: implicit by design
      : MatrixView(m.data(), m.rows(), m.cols(), std::remove_cvref_t<D>::IsRowMajor ? m.outerStride() : m.innerStride(),
                   std::remove_cvref_t<D>::IsRowMajor ? m.innerStride() : m.outerStride()) {}

  template <class U>
    requires(std::same_as<const U, T> && !std::same_as<U, T>)
  constexpr MatrixView(const MatrixView<U>& other)  // NOLINT: implicit by design
      : MatrixView(other.data(), other.rows(), other.cols(), other.row_stride(), other.col_stride()) {}

  constexpr T* data() const { return data_; }
  constexpr Index rows() const { return rows_; }
  constexpr Index cols() const { return cols_; }
  constexpr Index row_stride() const { return row_stride_; }
  constexpr Index col_stride() const { return col_stride_; }
  constexpr bool empty() const { return rows_ == 0 || cols_ == 0; }
  constexpr T& operator()(Index row, Index col) const { return data_[row * row_stride_ + col * col_stride_]; }
  constexpr MatrixView middle_rows(Index begin, Index count) const {
    return {data_ + begin * row_stride_, count, cols_, row_stride_, col_stride_};
  }
  constexpr MatrixView middle_cols(Index begin, Index count) const {
    return {data_ + begin * col_stride_, rows_, count, row_stride_, col_stride_};
  }

 private:
  T* data_ = nullptr;
  Index rows_ = 0;
  Index cols_ = 0;
  Index row_stride_ = 1;
  Index col_stride_ = 0;
};

/// Pointer, length and stride (in elements) of somebody's vector; owns nothing.
/// Made implicitly from Eigen vectors, `std::vector` and `std::span`.
template <class T>
class VectorView {
 public:
  constexpr VectorView() = default;
  constexpr VectorView(T* data, Index size, Index stride = 1) : data_(data), size_(size), stride_(stride) {}

  template <class D>
    requires(detail::DirectEigen<D, T> && bool(std::remove_cvref_t<D>::IsVectorAtCompileTime))
  VectorView(D&& m)  // NOLINT: implicit by design
      : VectorView(m.data(), m.size(), m.innerStride()) {}

  VectorView(std::vector<std::remove_const_t<T>>& v)  // NOLINT: implicit by design
      : VectorView(v.data(), static_cast<Index>(v.size())) {}
  VectorView(const std::vector<std::remove_const_t<T>>& v)  // NOLINT: implicit by design
    requires std::is_const_v<T>
      : VectorView(v.data(), static_cast<Index>(v.size())) {}
  /// For the time of a call: `Normal<double>({0, 1}, {1, 2})`. A list lives as long as the full expression that it
  /// stands in, so no view of one is to be kept.
  constexpr VectorView(std::initializer_list<std::remove_const_t<T>> list)  // NOLINT: implicit by design
    requires std::is_const_v<T>
      : VectorView(list.begin(), static_cast<Index>(list.size())) {}
  constexpr VectorView(std::span<T> s) : VectorView(s.data(), static_cast<Index>(s.size())) {}  // NOLINT

  template <class U>
    requires(std::same_as<const U, T> && !std::same_as<U, T>)
  constexpr VectorView(const VectorView<U>& other)  // NOLINT: implicit by design
      : VectorView(other.data(), other.size(), other.stride()) {}

  constexpr T* data() const { return data_; }
  constexpr Index size() const { return size_; }
  constexpr Index stride() const { return stride_; }
  constexpr bool empty() const { return size_ == 0; }
  constexpr T& operator[](Index i) const { return data_[i * stride_]; }

 private:
  T* data_ = nullptr;
  Index size_ = 0;
  Index stride_ = 1;
};

/// The same storage as an Eigen object, to compute with.
inline auto as_eigen(VectorView<double> v) {
  return Eigen::Map<Eigen::VectorXd, 0, Eigen::InnerStride<>>(v.data(), v.size(), Eigen::InnerStride<>(v.stride()));
}
inline auto as_eigen(MatrixView<double> m) {
  using Stride = Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>;
  return Eigen::Map<Eigen::MatrixXd, 0, Stride>(m.data(), m.rows(), m.cols(), Stride(m.col_stride(), m.row_stride()));
}

/// Pointer, shape and strides (in elements) of a dense tensor of any rank; owns nothing.
template <class T>
class TensorView {
 public:
  TensorView() = default;
  TensorView(T* data, std::vector<Index> shape, std::vector<Index> strides)
      : data_(data), shape_(std::move(shape)), strides_(std::move(strides)) {}

  /// Row-major storage: the last axis is contiguous.
  TensorView(T* data, std::vector<Index> shape) : data_(data), shape_(std::move(shape)), strides_(shape_.size()) {
    Index step = 1;
    for (std::size_t axis = shape_.size(); axis-- > 0;) {
      strides_[axis] = step;
      step *= shape_[axis];
    }
  }

  template <class U>
    requires(std::same_as<const U, T> && !std::same_as<U, T>)
  TensorView(const TensorView<U>& other)  // NOLINT: implicit by design
      : TensorView(other.data(), other.shape(), other.strides()) {}

  T* data() const { return data_; }
  Index rank() const { return static_cast<Index>(shape_.size()); }
  const std::vector<Index>& shape() const { return shape_; }
  const std::vector<Index>& strides() const { return strides_; }
  Index size() const {
    Index n = 1;
    for (Index extent : shape_) n *= extent;
    return n;
  }

 private:
  T* data_ = nullptr;
  std::vector<Index> shape_;
  std::vector<Index> strides_;
};

}  // namespace pushforward
