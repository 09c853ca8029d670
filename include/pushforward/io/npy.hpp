#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <pushforward/tensor.hpp>
#include <pushforward/views.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pushforward {

/// An array read from a NumPy file.
struct NpyArray {
  /// Shape as in the file; any rank, `{}` for a single number.
  std::vector<Index> shape;
  /// Type in the file, as NumPy writes it: "<f8", "|u1", ">i4", "[('x', '<f8'), ('n', '<i4')]".
  std::string dtype;
  /// Of a structured array, the names of its fields, which are the last axis of `shape` and `values`; else none.
  std::vector<std::string> fields;
  /// Whether the file holds the first axis fastest. `values` does not depend on it.
  bool fortran_order = false;
  /// The numbers as double, last axis fastest. Integers beyond 2^53 are rounded to the nearest double.
  Tensor<double> values;

  /// The array as samples, (N, D): the first axis is N, the others are flattened into D with the last one fastest.
  /// Rank 1 gives (N, 1), rank 0 gives (1, 1). The view lives as long as the array.
  MatrixView<const double> view() const {
    const Index rows = shape.empty() ? 1 : shape[0];
    Index cols = 1;
    for (std::size_t axis = 1; axis < shape.size(); ++axis) cols *= shape[axis];
    return {values.data(), rows, cols, cols, 1};
  }
  /// A copy of `view()`.
  [[gnu::always_inline]] Matrix<double> matrix() const {
    const MatrixView<const double> from = view();
    Matrix<double> out(from.rows(), from.cols());
    for (Index row = 0; row < from.rows(); ++row) {
      for (Index col = 0; col < from.cols(); ++col) out(row, col) = from(row, col);
    }
    return out;
  }
};

struct NpyOptions {
  /// Lets NaN and infinities through. Otherwise they are errors that name the first one's index.
  bool allow_non_finite = false;
};

/// Reads a .npy file: versions 1.0, 2.0, 3.0; float16, float32 and float64, signed and unsigned integers of 1 to 8
/// bytes, bool, structured arrays of one axis whose fields are such numbers; either byte order, C or Fortran order; also
/// packed by gzip, whatever the file is called. Nothing is ever unpickled: arrays of objects are refused.
///
/// The sizes are compared with the bytes that are there (of packed ones with the most that they can unpack to, 1032 for
/// each) before memory is taken for them. Errors: IoError that starts with the file:
/// `x.npy: expected 240 bytes of data for shape (10, 3) and type "<f8", got 200`.
NpyArray read_npy(const std::filesystem::path& path, const NpyOptions& options = {});
/// The same from memory; `source_name` stands for the file in errors.
NpyArray read_npy(std::span<const std::byte> bytes, std::string_view source_name = "npy",
                  const NpyOptions& options = {});

/// Members of a .npz archive as `numpy.savez` and `numpy.savez_compressed` write it (64-bit sizes included).
/// Sizes and checksum of a member are verified before memory is taken for it: packed ones are unpacked twice. Encrypted
/// members, and other methods of compression than DEFLATE, are IoErrors when they are asked for.
class NpzFile {
 public:
  /// Opens the archive and reads its directory.
  explicit NpzFile(const std::filesystem::path& path);
  /// Reads from memory, which must live as long as this object.
  explicit NpzFile(std::span<const std::byte> bytes, std::string_view source_name = "npz");
  NpzFile(NpzFile&&) noexcept;
  NpzFile& operator=(NpzFile&&) noexcept;
  ~NpzFile();

  /// Names of the arrays in the order of the archive, without ".npy".
  const std::vector<std::string>& names() const;
  /// Reads one array. An unknown name is an IoError that lists the names.
  NpyArray get(std::string_view name, const NpyOptions& options = {}) const;

 private:
  struct Impl;
  Impl& impl() const;
  std::unique_ptr<Impl> impl_;
};

/// Writes an (N, D) array in pieces: memory does not grow with N. The file appears under its name only with `commit`,
/// complete and on the disk; without it nothing is left behind and an older file of that name stays as it was.
/// The file is in C order, little-endian (">" on big-endian machines), version 1.0. "-" is standard output.
class NpyWriter {
 public:
  enum class Type { float32, float64 };
  /// An array of shape (rows, cols).
  NpyWriter(const std::filesystem::path& path, Index rows, Index cols, Type type = Type::float64);
  /// An array of shape (size,), written as rows of one column.
  NpyWriter(const std::filesystem::path& path, Index size, Type type = Type::float64);
  NpyWriter(NpyWriter&&) noexcept;
  NpyWriter& operator=(NpyWriter&&) noexcept;
  ~NpyWriter();

  /// Appends rows, (n, cols), converted to the file's type. ShapeError for other columns or too many rows.
  void write(MatrixView<const double> rows);
  void write(MatrixView<const float> rows);
  /// Finishes the file: synchronise with the disk, rename. ShapeError if rows are missing.
  void commit();

 private:
  struct Impl;
  Impl& impl() const;
  std::unique_ptr<Impl> impl_;
};

/// Writes a whole (N, D) array, as `NpyWriter` does.
void write_npy(const std::filesystem::path& path, MatrixView<const double> values);
void write_npy(const std::filesystem::path& path, MatrixView<const float> values);
/// Writes a whole array of shape (N,): log-probabilities, say.
void write_npy_vector(const std::filesystem::path& path, VectorView<const double> values);

}  // namespace pushforward
