#pragma once

#include <algorithm>
#include <initializer_list>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include <pushforward/views.hpp>

namespace pushforward {

/// Dense row-major array with its own 64-byte aligned storage: the home of every parameter, running statistic and
/// constant. Eigen sees it through `MatrixView` or a map, so no memory that Eigen allocated crosses the library.
template <class T>
class Tensor {
 public:
  Tensor() = default;
  explicit Tensor(std::vector<Index> shape, T fill = T(0)) : shape_(std::move(shape)), size_(count(shape_)) {
    data_ = allocate(size_);
    std::fill_n(data_, size_, fill);
  }
  /// Rank 1 with the given values.
  static Tensor of(std::span<const T> values) {
    Tensor t({static_cast<Index>(values.size())});
    std::copy(values.begin(), values.end(), t.data_);
    return t;
  }
  static Tensor of(std::initializer_list<T> values) { return of(std::span<const T>(values.begin(), values.size())); }

  Tensor(const Tensor& other) : shape_(other.shape_), size_(other.size_), data_(allocate(other.size_)) {
    std::copy_n(other.data_, size_, data_);
  }
  /// `other` is empty then.
  Tensor(Tensor&& other) noexcept
      : shape_(std::move(other.shape_)), size_(std::exchange(other.size_, 0)), data_(std::exchange(other.data_, nullptr)) {}
  Tensor& operator=(const Tensor& other) {
    Tensor copy(other);
    swap(copy);
    return *this;
  }
  Tensor& operator=(Tensor&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Tensor() { ::operator delete(data_, std::align_val_t{64}); }
  void swap(Tensor& other) noexcept {
    std::swap(shape_, other.shape_);
    std::swap(size_, other.size_);
    std::swap(data_, other.data_);
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  Index size() const { return size_; }
  Index rank() const { return static_cast<Index>(shape_.size()); }
  Index extent(Index axis) const { return shape_[static_cast<std::size_t>(axis)]; }
  const std::vector<Index>& shape() const { return shape_; }
  std::span<T> values() { return {data_, static_cast<std::size_t>(size_)}; }
  std::span<const T> values() const { return {data_, static_cast<std::size_t>(size_)}; }
  T& operator[](Index i) { return data_[i]; }
  const T& operator[](Index i) const { return data_[i]; }
  T& operator()(Index row, Index col) { return data_[row * shape_[1] + col]; }
  const T& operator()(Index row, Index col) const { return data_[row * shape_[1] + col]; }

  /// The tensor as a matrix: rank 2 as it is, rank 1 as one row, rank 0 as 1 x 1.
  MatrixView<const T> matrix() const {
    const Index cols = shape_.empty() ? 1 : shape_.back();
    return {data_, cols == 0 ? 0 : size_ / cols, cols, cols, 1};
  }
  MatrixView<T> matrix() {
    const Index cols = shape_.empty() ? 1 : shape_.back();
    return {data_, cols == 0 ? 0 : size_ / cols, cols, cols, 1};
  }

  TensorView<const T> view() const { return {data_, shape_}; }
  TensorView<T> view() { return {data_, shape_}; }

  friend bool operator==(const Tensor& a, const Tensor& b) {
    return a.shape_ == b.shape_ && std::equal(a.data_, a.data_ + a.size_, b.data_);
  }

 private:
  static Index count(const std::vector<Index>& shape) {
    Index n = 1;
    for (Index extent : shape) n *= extent;
    return n;
  }
  // Storage is padded with zeros to whole blocks of 16 values, so that kernels may work on whole blocks.
  static T* allocate(Index n) {
    if (n == 0) return nullptr;
    const Index padded = (n + 15) / 16 * 16;
    T* data = static_cast<T*>(::operator new(static_cast<std::size_t>(padded) * sizeof(T), std::align_val_t{64}));
    std::fill(data + n, data + padded, T(0));
    return data;
  }

  std::vector<Index> shape_{0};
  Index size_ = 0;
  T* data_ = nullptr;
};

}  // namespace pushforward
