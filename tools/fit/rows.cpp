#include "tools/fit/rows.hpp"

#include <cstring>
#include <new>

namespace tool::fitting {

namespace {

template <pf::Scalar T>
std::optional<pf::MappedNpy<T>> try_to_map(const std::string& path) {
  try {
    return pf::MappedNpy<T>(path);
  } catch (const pf::IoError&) {
    return {};  // it can be read all the same
  }
}

}  // namespace

std::optional<RowStore> RowStore::mapped(const std::string& path, Index rows, Index cols) {
  RowStore store(cols);
  store.rows_ = rows;
  const auto take = [&](auto file) {
    if (!file || file->view().rows() != rows || file->view().cols() != cols) return false;
    store.mapped_ = std::move(*file);
    return true;
  };
  if (take(try_to_map<float>(path))) store.single_ = true;
  else if (!take(try_to_map<double>(path))) return {};
  return store;
}

void RowStore::resize(std::size_t bytes) {
  void* moved = std::realloc(owned_.get(), std::max<std::size_t>(bytes, 1));
  if (moved == nullptr) throw std::bad_alloc();
  static_cast<void>(owned_.release());
  owned_.reset(static_cast<std::byte*>(moved));
  bytes_ = bytes;
}

void RowStore::append(const Eigen::MatrixXd& from, const std::vector<Index>& order) {
  const std::size_t width = static_cast<std::size_t>(cols_) * sizeof(double);
  const std::size_t needed = static_cast<std::size_t>(rows_ + from.rows()) * width;
  // (Memory that was never written to costs nothing.)
  if (needed > bytes_) resize(std::max(needed, bytes_ + bytes_ / 2));
  auto* out = reinterpret_cast<double*>(owned_.get() + static_cast<std::size_t>(rows_) * width);
  for (Index i = 0; i < from.rows(); ++i)
    for (const Index c : order) *out++ = from(i, c);
  rows_ += from.rows();
}

template <pf::Scalar T>
void RowStore::become() {
  const auto count = static_cast<std::size_t>(rows_ * cols_);
  if (single_ == std::is_same_v<T, float>) {
    if (owned_) resize(count * sizeof(T));
    return;
  }
  if (owned_ && !single_) {
    // From the front: a number is written no later than where it was read.
    for (std::size_t k = 0; k < count; ++k) {
      double from = 0;
      std::memcpy(&from, owned_.get() + k * sizeof(double), sizeof(double));
      const auto to = static_cast<T>(from);
      std::memcpy(owned_.get() + k * sizeof(T), &to, sizeof(T));
    }
    resize(count * sizeof(T));
    single_ = true;
    return;
  }
  RowStore other(cols_);
  other.resize(count * sizeof(T));
  other.rows_ = rows_;
  other.single_ = std::is_same_v<T, float>;
  auto* out = reinterpret_cast<T*>(other.owned_.get());
  visit([&](auto from) {
    for (Index i = 0; i < rows_; ++i)
      for (Index c = 0; c < cols_; ++c) *out++ = static_cast<T>(from(i, c));
  });
  *this = std::move(other);
}

template void RowStore::become<float>();
template void RowStore::become<double>();

}  // namespace tool::fitting
