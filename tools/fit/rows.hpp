#pragma once

// The rows of a table, side by side in memory as a fit takes them, in one copy.

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <pushforward/io/mapped_npy.hpp>

#include "tools/tool.hpp"

namespace tool::fitting {

/// Rows in double, or in float, one after the other: read in pieces, or mapped from a .npy file.
class RowStore {
 public:
  explicit RowStore(Index cols) : cols_(cols) {}
  /// The file itself, if it is a .npy file of float or double.
  static std::optional<RowStore> mapped(const std::string& path, Index rows, Index cols);

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
    return {reinterpret_cast<const T*>(owned_.get()), rows_, cols_, cols_, 1};
  }
  bool is_float() const { return single_; }
  /// In double, whatever it is.
  double operator()(Index row, Index col) const {
    return visit([&](auto values) { return static_cast<double>(values(row, col)); });
  }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  void resize(std::size_t bytes);

  Index rows_ = 0, cols_ = 0;
  bool single_ = false;
  // A large block grows and shrinks where it is, or is moved by its pages.
  std::unique_ptr<std::byte, Free> owned_;
  std::size_t bytes_ = 0;
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
