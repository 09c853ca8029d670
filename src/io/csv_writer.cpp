#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <ostream>
#include <pushforward/error.hpp>
#include <pushforward/io/csv.hpp>
#include <utility>

#include "src/io/file.hpp"
#include "src/io/text.hpp"

namespace pushforward {

using namespace detail;

struct CsvWriter::Impl {
  std::optional<AtomicFile> file;
  std::ostream* stream = nullptr;
  std::string where;
  std::string buffer;
  char delimiter = ',';
  Index width = -1;  // not known yet
  bool done = false;

  void begin(const std::vector<std::string>& names) {
    if (delimiter != ',' && delimiter != ';' && delimiter != '\t') {
      throw IoError(fmt::format("{}: expected ',', ';' or tab as delimiter, got {}", where, show({&delimiter, 1})));
    }
    if (names.empty()) return;
    width = static_cast<Index>(names.size());
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (i > 0) buffer += delimiter;
      const std::string& name = names[i];
      const bool plain = !name.empty() && name.find_first_of("\"\r\n,;\t") == std::string::npos &&
                         name.find(delimiter) == std::string::npos && trimmed(name) == name;
      if (plain) {
        buffer += name;
        continue;
      }
      buffer += '"';
      for (const char c : name) {
        if (c == '"') buffer += '"';
        buffer += c;
      }
      buffer += '"';
    }
    buffer += '\n';
  }

  void flush() {
    if (stream != nullptr) {
      stream->write(buffer.data(), static_cast<std::streamsize>(buffer.size()));
      if (!*stream) throw IoError(where + ": cannot write: the stream is in a failed state");
    } else {
      file->write(buffer.data(), buffer.size());
    }
    buffer.clear();
  }

  template <class T>
  void write(MatrixView<const T> rows) {
    if (done) throw Error("CsvWriter::write: the file is finished");
    if (width < 0) width = rows.cols();
    if (rows.cols() != width) {
      throw ShapeError(
          fmt::format("CsvWriter::write: expected (N, {}), got ({}, {})", width, rows.rows(), rows.cols()));
    }
    constexpr std::size_t kLongestNumber = 32;  // shortest form of a double: at most 24
    for (Index i = 0; i < rows.rows(); ++i) {
      for (Index j = 0; j < width; ++j) {
        char number[kLongestNumber];
        // The sign of a NaN says nothing.
        const T value = std::isnan(rows(i, j)) ? std::numeric_limits<T>::quiet_NaN() : rows(i, j);
        const auto result = std::to_chars(number, number + kLongestNumber, value);
        buffer.append(number, result.ptr);
        buffer += delimiter;
      }
      if (width == 0) buffer += delimiter;
      buffer.back() = '\n';
      if (buffer.size() >= kBufferSize) flush();
    }
  }

  void commit() {
    if (done) throw Error("CsvWriter::commit: the file is finished");
    done = true;
    flush();
    if (stream != nullptr) {
      stream->flush();
      if (!*stream) throw IoError(where + ": cannot write: the stream is in a failed state");
    } else {
      file->commit();
    }
  }
};

CsvWriter::CsvWriter(const std::filesystem::path& path, const std::vector<std::string>& names, char delimiter)
    : impl_(std::make_unique<Impl>()) {
  const bool standard = path == "-";
  impl_->where = standard ? "standard output" : path.string();
  impl_->delimiter = delimiter;
  impl_->begin(names);
  impl_->file.emplace(standard ? AtomicFile::standard_output() : AtomicFile(path));
}

CsvWriter::CsvWriter(std::ostream& stream, const std::vector<std::string>& names, char delimiter)
    : impl_(std::make_unique<Impl>()) {
  impl_->where = "stream";
  impl_->stream = &stream;
  impl_->delimiter = delimiter;
  impl_->begin(names);
}

CsvWriter::CsvWriter(CsvWriter&&) noexcept = default;
CsvWriter& CsvWriter::operator=(CsvWriter&&) noexcept = default;
CsvWriter::~CsvWriter() = default;

CsvWriter::Impl& CsvWriter::impl() const {
  if (impl_ == nullptr) throw Error("CsvWriter: used after it was moved from");
  return *impl_;
}

void CsvWriter::write(MatrixView<const double> rows) { impl().write(rows); }
void CsvWriter::write(MatrixView<const float> rows) { impl().write(rows); }
void CsvWriter::commit() { impl().commit(); }

}  // namespace pushforward
