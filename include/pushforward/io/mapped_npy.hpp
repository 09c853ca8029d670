#pragma once

#include <filesystem>
#include <memory>
#include <pushforward/views.hpp>

namespace pushforward {

/// A .npy file of numbers of type T in the byte order of the machine ("f4" for float, "f8" for double; C or Fortran
/// order) as a table in memory that is the file itself, for `fit(flow, table.view())` and all else that takes a view.
///
/// Opening reads the head only. The system loads pages when they are looked at and takes them back when memory is short:
/// no copy of the table exists, however long it is. The values are not checked; NaN is for who reads them.
///
/// While it is open the file must not become shorter: the system ends a process that looks at what is gone (SIGBUS).
/// Writers that put a new file in the place of the old one, as those of this library do, leave what is open as it was.
template <Scalar T>
class MappedNpy {
 public:
  /// @throws IoError  with the file first: as `read_npy`, and for another type or byte order, more than two axes, numbers
  ///                  that begin at no multiple of sizeof(T), what is no regular file and what gzip packed
  explicit MappedNpy(const std::filesystem::path& path);
  MappedNpy(MappedNpy&& other) noexcept;
  MappedNpy& operator=(MappedNpy&& other) noexcept;
  ~MappedNpy();

  /// (N, D); (N,) is one column, a single number one row of it. It lives as long as this object.
  MatrixView<const T> view() const { return view_; }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  MatrixView<const T> view_;
};

}  // namespace pushforward
