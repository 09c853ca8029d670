#include "tools/fit/rows.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <new>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

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

std::size_t half_of_the_memory() {
  const long pages = ::sysconf(_SC_PHYS_PAGES), size = ::sysconf(_SC_PAGESIZE);
  std::size_t bytes = pages > 0 && size > 0 ? static_cast<std::size_t>(pages) * static_cast<std::size_t>(size)
                                            : std::numeric_limits<std::size_t>::max();
  // Of a container; "max", where it has no limit of its own, is no number.
  for (const char* limit : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"})
    if (std::size_t most = 0; std::ifstream(limit) >> most) bytes = std::min(bytes, most);
  return bytes / 2;
}

void Block::swap(Block& other) noexcept {
  std::swap(room_, other.room_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(file_, other.file_);
}

void Block::release() noexcept {
  if (file_ < 0) std::free(data_);
  else ::munmap(data_, size_);
}

Block::~Block() {
  release();
  if (file_ >= 0) ::close(file_);
}

void Block::resize(std::size_t bytes) {
  bytes = std::max<std::size_t>(bytes, 1);
  if (file_ >= 0 || bytes > room_.bytes) return resize_file(bytes);
  void* const moved = std::realloc(data_, bytes);
  if (moved == nullptr) throw std::bad_alloc();
  data_ = static_cast<std::byte*>(moved);
  size_ = bytes;
}

/// Until all of it is done the block stays as it was.
void Block::resize_file(std::size_t bytes) {
  int file = file_;
  const auto is_new = [&] { return file != file_; };
  const auto fail = [&](const char* action, int error) {
    if (is_new()) ::close(file);
    throw pf::IoError(fmt::format("{}: cannot {} a file of {:.3g} GB for the rows, which take more than --memory: {}; "
                                  "--scratch names another folder",
                                  room_.folder, action, static_cast<double>(bytes) / 1e9, std::strerror(error)));
  };
  if (file < 0) {
    std::string name = (std::filesystem::path(room_.folder) / ".pushforward-rows-XXXXXX").string();
    file = ::mkstemp(name.data());
    if (file < 0) fail("make", errno);
    ::unlink(name.c_str());
  }
  // Taken at once: a disk that fills later would end the process.
  if (is_new() || bytes > size_)
    if (const int error = ::posix_fallocate(file, 0, static_cast<off_t>(bytes)); error != 0) fail("write", error);
  void* const mapped = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (mapped == MAP_FAILED) fail("map", errno);
  if (is_new() && data_ != nullptr) std::memcpy(mapped, data_, std::min(size_, bytes));
  const bool shrinks = !is_new() && bytes < size_;
  release();
  file_ = file;
  data_ = static_cast<std::byte*>(mapped);
  size_ = bytes;
  if (shrinks && ::ftruncate(file_, static_cast<off_t>(bytes)) != 0) fail("write", errno);
}

std::size_t RowStore::bytes_on_disk() const {
  const bool is_mapped = mapped_.index() != 0;
  const std::size_t bytes = static_cast<std::size_t>(rows_ * cols_) * (single_ ? sizeof(float) : sizeof(double));
  return owned_.is_file() || (is_mapped && bytes > owned_.room().bytes) ? bytes : 0;
}

Index RowStore::shuffle_block() const {
  const Index bytes = cols_ * static_cast<Index>(single_ ? sizeof(float) : sizeof(double));
  return bytes_on_disk() > 0 ? std::max<Index>(65536 / std::max<Index>(bytes, 1), 1) : 1;
}

std::optional<RowStore> RowStore::mapped(const std::string& path, Index rows, Index cols, Room room) {
  RowStore store(cols, std::move(room));
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

void RowStore::append(const Eigen::MatrixXd& from, const std::vector<Index>& order) {
  const std::size_t width = static_cast<std::size_t>(cols_) * sizeof(double);
  const std::size_t needed = static_cast<std::size_t>(rows_ + from.rows()) * width;
  // (Memory that was never written to costs nothing.)
  if (needed > owned_.size()) owned_.resize(std::max(needed, owned_.size() + owned_.size() / 2));
  auto* out = reinterpret_cast<double*>(owned_.data() + static_cast<std::size_t>(rows_) * width);
  for (Index i = 0; i < from.rows(); ++i)
    for (const Index c : order) *out++ = from(i, c);
  rows_ += from.rows();
}

template <pf::Scalar T>
void RowStore::become() {
  const auto count = static_cast<std::size_t>(rows_ * cols_);
  if (single_ == std::is_same_v<T, float>) {
    if (owned_.size() > 0) owned_.resize(count * sizeof(T));
    return;
  }
  if (owned_.size() > 0 && !single_) {
    // From the front: a number is written no later than where it was read.
    for (std::size_t k = 0; k < count; ++k) {
      double from = 0;
      std::memcpy(&from, owned_.data() + k * sizeof(double), sizeof(double));
      const auto to = static_cast<T>(from);
      std::memcpy(owned_.data() + k * sizeof(T), &to, sizeof(T));
    }
    owned_.resize(count * sizeof(T));
    single_ = true;
    return;
  }
  RowStore other(cols_, owned_.room());
  other.owned_.resize(count * sizeof(T));
  other.rows_ = rows_;
  other.single_ = std::is_same_v<T, float>;
  auto* out = reinterpret_cast<T*>(other.owned_.data());
  visit([&](auto from) {
    for (Index i = 0; i < rows_; ++i)
      for (Index c = 0; c < cols_; ++c) *out++ = static_cast<T>(from(i, c));
  });
  *this = std::move(other);
}

template void RowStore::become<float>();
template void RowStore::become<double>();

}  // namespace tool::fitting
