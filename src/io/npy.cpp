#include <fmt/format.h>

#include <array>
#include <bit>
#include <limits>
#include <pushforward/error.hpp>
#include <pushforward/io/npy.hpp>
#include <utility>

#include "src/core/shape_text.hpp"
#include "src/io/npy_format.hpp"

namespace pushforward {

using namespace detail;

namespace {

NpyArray read_source(const ByteSource& source, const NpyOptions& options) {
  ReadBytes bytes = source.range(0, source.size());
  if (!source.is_gzip()) return read_array(bytes, source.size(), true, source.name(), options);
  const std::uint64_t most = checked_product(source.size(), kMostInflation)
                                 .value_or(std::numeric_limits<std::uint64_t>::max());
  return read_array(inflated(std::move(bytes), source.name(), Packed::gzip), most, false, source.name(), options);
}

}  // namespace

NpyArray read_npy(const std::filesystem::path& path, const NpyOptions& options) {
  return read_source(ByteSource(path), options);
}

NpyArray read_npy(std::span<const std::byte> bytes, std::string_view source_name, const NpyOptions& options) {
  return read_source(ByteSource(bytes, std::string(source_name)), options);
}

struct NpyWriter::Impl {
  AtomicFile file;
  std::vector<Index> shape;
  Index cols;
  Type type;
  Index written = 0;
  bool done = false;
  std::vector<std::byte> buffer{};

  Impl(const std::filesystem::path& path, std::vector<Index> extents, Type item)
      : file(path == "-" ? AtomicFile::standard_output() : AtomicFile(path)),
        shape(std::move(extents)),
        cols(shape.size() == 2 ? shape[1] : 1),
        type(item) {
    for (const Index extent : shape) {
      if (extent < 0) throw ShapeError(fmt::format("NpyWriter: expected sizes >= 0, got {}", shape_text(shape)));
    }
    std::string header = fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': {}, }}",
                                     std::endian::native == std::endian::little ? '<' : '>',
                                     type == Type::float32 ? "f4" : "f8", shape_text(shape));
    constexpr std::size_t kPrefix = 10, kAlignment = 64;
    header.append(kAlignment - 1 - (kPrefix + header.size()) % kAlignment, ' ');
    header += '\n';
    std::string start(kNpyMagic);
    for (const std::size_t byte : {std::size_t{1}, std::size_t{0}, header.size() & 0xff, header.size() >> 8}) {
      start += static_cast<char>(static_cast<unsigned char>(byte));
    }
    start += header;
    file.write(start.data(), start.size());
  }

  template <class Item, class T>
  void append(MatrixView<const T> rows) {
    for (Index i = 0; i < rows.rows(); ++i) {
      for (Index j = 0; j < cols; ++j) {
        const auto item = static_cast<Item>(rows(i, j));
        const auto raw = std::bit_cast<std::array<std::byte, sizeof(Item)>>(item);
        buffer.insert(buffer.end(), raw.begin(), raw.end());
      }
      if (buffer.size() >= kPieceSize) flush();
    }
  }

  void flush() {
    file.write(buffer.data(), buffer.size());
    buffer.clear();
  }

  template <class T>
  void write(MatrixView<const T> rows) {
    if (done) throw Error("NpyWriter::write: the file is finished");
    if (rows.cols() != cols || rows.rows() > shape[0] - written) {
      throw ShapeError(fmt::format("NpyWriter::write: expected at most ({}, {}), got ({}, {})", shape[0] - written,
                                   cols, rows.rows(), rows.cols()));
    }
    if (type == Type::float32) {
      append<float>(rows);
    } else {
      append<double>(rows);
    }
    written += rows.rows();
  }

  void commit() {
    if (done) throw Error("NpyWriter::commit: the file is finished");
    if (written != shape[0]) {
      throw ShapeError(fmt::format("NpyWriter::commit: expected {} rows in all, got {}", shape[0], written));
    }
    done = true;
    flush();
    file.commit();
  }
};

NpyWriter::NpyWriter(const std::filesystem::path& path, Index rows, Index cols, Type type)
    : impl_(std::make_unique<Impl>(path, std::vector<Index>{rows, cols}, type)) {}
NpyWriter::NpyWriter(const std::filesystem::path& path, Index size, Type type)
    : impl_(std::make_unique<Impl>(path, std::vector<Index>{size}, type)) {}
NpyWriter::NpyWriter(NpyWriter&&) noexcept = default;
NpyWriter& NpyWriter::operator=(NpyWriter&&) noexcept = default;
NpyWriter::~NpyWriter() = default;

NpyWriter::Impl& NpyWriter::impl() const {
  if (impl_ == nullptr) throw Error("NpyWriter: used after it was moved from");
  return *impl_;
}

void NpyWriter::write(MatrixView<const double> rows) { impl().write(rows); }
void NpyWriter::write(MatrixView<const float> rows) { impl().write(rows); }
void NpyWriter::commit() { impl().commit(); }

void write_npy(const std::filesystem::path& path, MatrixView<const double> values) {
  NpyWriter writer(path, values.rows(), values.cols(), NpyWriter::Type::float64);
  writer.write(values);
  writer.commit();
}

void write_npy(const std::filesystem::path& path, MatrixView<const float> values) {
  NpyWriter writer(path, values.rows(), values.cols(), NpyWriter::Type::float32);
  writer.write(values);
  writer.commit();
}

void write_npy_vector(const std::filesystem::path& path, VectorView<const double> values) {
  NpyWriter writer(path, values.size());
  writer.write(MatrixView<const double>(values.data(), values.size(), 1, values.stride(), 0));
  writer.commit();
}

}  // namespace pushforward
