#pragma once

// The rows of a table, side by side in memory as a fit takes them, in one copy.

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <pushforward/io/mapped_npy.hpp>

#include "tools/tool.hpp"

namespace tool::fitting {

/// Where rows may be kept: in so much memory, and what is more in a file in this folder.
struct Room {
  std::size_t bytes = std::numeric_limits<std::size_t>::max();
  std::string folder;
};
/// Half of the memory that the machine has, or that its container may take.
std::size_t half_of_the_memory();

/// A block of memory that grows and shrinks where it is, or is moved by its pages. Beyond its room it is a file without a
/// name, of which the system keeps in memory what it has place for.
class Block {
 public:
  explicit Block(Room room) : room_(std::move(room)) {}
  Block(Block&& other) noexcept { swap(other); }
  Block& operator=(Block&& other) noexcept { return swap(other), *this; }
  ~Block();

  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  bool is_file() const { return file_ >= 0; }
  const Room& room() const { return room_; }
  /// @throws IoError  naming the folder, if there is no place for the file.
  void resize(std::size_t bytes);

 private:
  void swap(Block& other) noexcept;
  /// The memory, not the file.
  void release() noexcept;
  void resize_file(std::size_t bytes);

  Room room_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  int file_ = -1;
};

/// Rows in double, or in float, one after the other: read in pieces, or mapped from a .npy file.
class RowStore {
 public:
  explicit RowStore(Index cols, Room room = {}) : cols_(cols), owned_(std::move(room)) {}
  /// The file itself, if it is a .npy file of float or double.
  static std::optional<RowStore> mapped(const std::string& path, Index rows, Index cols, Room room);

  /// Of `from`, columns by number in this order. Rows are owned, and double.
  void append(const Eigen::MatrixXd& from, const std::vector<Index>& order);
  /// From now on all are T. What is owned becomes float where it stands: a table is never there twice.
  template <pf::Scalar T>
  void become();

  Index rows() const { return rows_; }
  Index cols() const { return cols_; }
  /// f(view) of the type that the rows have.
  template <class F>
  decltype(auto) visit(const F& f) const {
    return single_ ? f(view<float>()) : f(view<double>());
  }
  /// Of rows that are T.
  template <pf::Scalar T>
  pf::MatrixView<const T> view() const {
    if (const auto* file = std::get_if<pf::MappedNpy<T>>(&mapped_)) return file->view();
    return {reinterpret_cast<const T*>(owned_.data()), rows_, cols_, cols_, 1};
  }
  bool is_float() const { return single_; }
  /// In double, whatever it is.
  double operator()(Index row, Index col) const {
    return visit([&](auto values) { return static_cast<double>(values(row, col)); });
  }

  /// For FitOptions::shuffle_block: rows that a disk reads together, 64 kB of them; 1 in memory.
  Index shuffle_block() const;
  /// Bytes that are read from a disk: more than there is room for in memory. 0: none.
  std::size_t bytes_on_disk() const;

 private:
  Index rows_ = 0, cols_ = 0;
  bool single_ = false;
  Block owned_;
  std::variant<std::monostate, pf::MappedNpy<float>, pf::MappedNpy<double>> mapped_;
};

/// The lines of a file that rows stand in: mostly one after the other.
class Lines {
 public:
  void add(Index line) {
    if (starts_.empty() || line != starts_.back().line + count_ - starts_.back().row) starts_.push_back({count_, line});
    ++count_;
  }
  Index operator[](Index row) const {
    const auto after = std::upper_bound(starts_.begin(), starts_.end(), row,
                                        [](Index r, const Start& start) { return r < start.row; });
    return std::prev(after)->line + row - std::prev(after)->row;
  }
  Index size() const { return count_; }

 private:
  struct Start {
    Index row, line;
  };
  std::vector<Start> starts_;
  Index count_ = 0;
};

/// Some columns of rows that lie side by side.
template <class T>
pf::MatrixView<T> columns_of(pf::MatrixView<T> rows, Index first, Index count) {
  return {rows.data() + first * rows.col_stride(), rows.rows(), count, rows.row_stride(), rows.col_stride()};
}

}  // namespace tool::fitting
