#pragma once

// What tests of kernels share: memory of exact size and random values.

#include <algorithm>
#include <cstring>
#include <limits>
#include <new>
#include <random>

#include "src/kernels/kernels.hpp"

namespace kernel_tests {

using pushforward::Index;
using namespace pushforward::kernels;
using LongDouble = long double;

template <class T>
constexpr T infinity = std::numeric_limits<T>::infinity();
template <class T>
constexpr T nan_value = std::numeric_limits<T>::quiet_NaN();

/// 64-byte aligned values without slack, so that the address sanitizer sees every step outside.
template <class T>
class Buffer {
 public:
  explicit Buffer(Index size, T value = T(0)) : size_(size) {
    data_ = static_cast<T*>(::operator new (static_cast<std::size_t>(size) * sizeof(T), std::align_val_t{64}));
    std::fill(data_, data_ + size, value);
  }
  Buffer(const Buffer& other) : Buffer(other.size_) { std::copy(other.begin(), other.end(), data_); }
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { ::operator delete (data_, std::align_val_t{64}); }

  T* get() { return data_; }
  const T* get() const { return data_; }
  T& operator[](Index i) { return data_[i]; }
  const T& operator[](Index i) const { return data_[i]; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }
  Index size() const { return size_; }
  bool same_bits(const Buffer& other) const {
    return size_ == other.size_ && std::memcmp(data_, other.data_, static_cast<std::size_t>(size_) * sizeof(T)) == 0;
  }

 private:
  T* data_;
  Index size_;
};

template <class T>
Buffer<T> random_values(Index size, std::mt19937_64& engine, double low = -1, double high = 1) {
  std::uniform_real_distribution<double> uniform(low, high);
  Buffer<T> values(size);
  for (Index i = 0; i < size; ++i) values[i] = static_cast<T>(uniform(engine));
  return values;
}

}  // namespace kernel_tests
