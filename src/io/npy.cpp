#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <pushforward/error.hpp>
#include <pushforward/io/npy.hpp>
#include <type_traits>
#include <utility>

#include "src/core/number_text.hpp"
#include "src/core/shape_text.hpp"
#include "src/io/file.hpp"

namespace pushforward {

using namespace detail;

namespace {

constexpr std::size_t kPieceSize = std::size_t{1} << 20;
constexpr std::uint64_t kLongestHeader = 1 << 16;
constexpr std::size_t kHighestRank = 64;
constexpr std::string_view kMagic = "\x93NUMPY";

// Bytes at offsets: memory or a file.
class Source {
 public:
  Source(std::span<const std::byte> bytes, std::string name)
      : name_(std::move(name)), memory_(bytes), size_(bytes.size()) {}
  explicit Source(const std::filesystem::path& path) : name_(path.string()) {
    InputFile file(path);
    if (file.is_regular()) {
      size_ = file.size();
      file_.emplace(std::move(file));
    } else {  // a pipe: no offsets
      own_ = read_file(file);
      memory_ = own_;
      size_ = own_.size();
    }
  }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  const std::string& name() const { return name_; }
  std::uint64_t size() const { return size_; }
  void read(std::uint64_t offset, void* data, std::size_t size) const {
    if (offset > size_ || size > size_ - offset) throw IoError(name_ + ": the file ends too early");
    if (size == 0) return;
    if (file_) {
      file_->read_at(offset, data, size);
    } else {
      std::memcpy(data, memory_.data() + offset, size);
    }
  }

 private:
  std::string name_;
  std::optional<InputFile> file_;
  std::vector<std::byte> own_;
  std::span<const std::byte> memory_;
  std::uint64_t size_ = 0;
};

std::uint64_t little_endian(const unsigned char* p, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = size; i-- > 0;) value = value << 8 | p[i];
  return value;
}

// The dictionary at the start of the file, a Python literal: {'descr': '<f8', 'fortran_order': False, 'shape': (3, 4),
// }
struct Header {
  std::string descr;
  bool fortran_order = false;
  std::vector<Index> shape;
};

class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  Header parse() {
    Header header;
    bool has_descr = false, has_order = false, has_shape = false;
    const auto once = [&](bool& seen, std::string_view key) {
      if (std::exchange(seen, true)) fail(fmt::format("'{}' occurs twice", key));
    };
    expect('{');
    while (!accept('}')) {
      const std::string key = string();
      expect(':');
      if (key == "descr") {
        once(has_descr, key);
        skip_space();
        if (at_ < text_.size() && (text_[at_] == '[' || text_[at_] == '{' || text_[at_] == '(')) {
          throw IoError(name_ + ": structured arrays are not supported; save a plain array of numbers");
        }
        header.descr = string();
      } else if (key == "fortran_order") {
        once(has_order, key);
        header.fortran_order = boolean();
      } else if (key == "shape") {
        once(has_shape, key);
        header.shape = shape();
      } else {
        fail("unknown key " + show(key));
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (at_ != text_.size()) fail("unexpected text after the dictionary");
    if (!has_descr) fail("'descr' is missing");
    if (!has_order) fail("'fortran_order' is missing");
    if (!has_shape) fail("'shape' is missing");
    return header;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { throw IoError(fmt::format("{}: header: {}", name_, what)); }

  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r'))
      ++at_;
  }
  bool accept(char c) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(fmt::format("expected '{}' at {}", c, show(text_.substr(at_))));
  }
  std::string string() {
    skip_space();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    if (quote != '\'' && quote != '"') fail("expected a string at " + show(text_.substr(at_)));
    const std::size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) fail("a string is not closed");
    const std::string out(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return out;
  }
  bool boolean() {
    skip_space();
    for (const bool value : {false, true}) {
      const std::string_view word = value ? "True" : "False";
      if (text_.substr(at_, word.size()) == word) {
        at_ += word.size();
        return value;
      }
    }
    fail("fortran_order: expected True or False at " + show(text_.substr(at_)));
  }
  std::vector<Index> shape() {
    std::vector<Index> out;
    expect('(');
    while (!accept(')')) {
      skip_space();
      Index extent = 0;
      const char* const begin = text_.data() + at_;
      const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), extent);
      if (error != std::errc() || extent < 0) fail("shape: expected a size at " + show(text_.substr(at_)));
      at_ += static_cast<std::size_t>(end - begin);
      if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // Python 2 wrote long integers so
      out.push_back(extent);
      if (out.size() > kHighestRank) fail(fmt::format("shape: more than {} axes", kHighestRank));
      if (!accept(',')) {
        if (out.size() == 1) fail("shape: expected ',' after the only size");
        expect(')');
        break;
      }
    }
    return out;
  }

  std::string_view text_;
  const std::string& name_;
  std::size_t at_ = 0;
};

template <class T>
double load_value(const std::byte* p, bool swap) {
  std::array<std::byte, sizeof(T)> raw;
  std::memcpy(raw.data(), p, sizeof(T));
  if (swap) std::reverse(raw.begin(), raw.end());
  if constexpr (std::is_same_v<T, bool>) {
    return raw[0] == std::byte{0} ? 0.0 : 1.0;
  } else {
    return static_cast<double>(std::bit_cast<T>(raw));
  }
}

template <class T>
void load_values(const std::byte* from, bool swap, std::size_t count, double* to) {
  for (std::size_t i = 0; i < count; ++i) to[i] = load_value<T>(from + i * sizeof(T), swap);
}

struct ItemType {
  std::size_t size = 0;
  bool swap = false;
  void (*load)(const std::byte* from, bool swap, std::size_t count, double* to) = nullptr;
};

ItemType item_type(const std::string& descr, const std::string& name) {
  struct Known {
    std::string_view code;
    std::size_t size;
    void (*load)(const std::byte*, bool, std::size_t, double*);
  };
  static constexpr std::array<Known, 11> kKnown = {{{"f4", 4, load_values<float>},
                                                    {"f8", 8, load_values<double>},
                                                    {"i1", 1, load_values<std::int8_t>},
                                                    {"i2", 2, load_values<std::int16_t>},
                                                    {"i4", 4, load_values<std::int32_t>},
                                                    {"i8", 8, load_values<std::int64_t>},
                                                    {"u1", 1, load_values<std::uint8_t>},
                                                    {"u2", 2, load_values<std::uint16_t>},
                                                    {"u4", 4, load_values<std::uint32_t>},
                                                    {"u8", 8, load_values<std::uint64_t>},
                                                    {"b1", 1, load_values<bool>}}};
  const std::string_view text = descr;
  if (text.find('O') != std::string_view::npos) {
    throw IoError(name + ": arrays of Python objects are not read (they need pickle); save an array of numbers");
  }
  const char order = text.empty() ? '\0' : text.front();
  if (order == '<' || order == '>' || order == '=' || order == '|') {
    for (const Known& known : kKnown) {
      if (text.substr(1) != known.code || (order == '|' && known.size > 1)) continue;
      constexpr bool kLittle = std::endian::native == std::endian::little;
      return {known.size, known.size > 1 && order == (kLittle ? '>' : '<'), known.load};
    }
  }
  throw IoError(fmt::format("{}: type {} is not supported; expected float32, float64, an integer type or bool", name,
                            show(descr)));
}

std::string index_text(const std::vector<Index>& shape, Index position) {
  std::string out;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    out = fmt::format("{}{}", position % shape[axis], out.empty() ? "" : ", ") + out;
    position /= shape[axis];
  }
  return "[" + out + "]";
}

// Copies values in the order of the file into the tensor, piece by piece.
class Filler {
 public:
  Filler(NpyArray& array) : array_(array), index_(array.shape.size(), 0), step_(array.shape.size(), 1) {
    for (std::size_t axis = step_.size(); axis-- > 1;)
      step_[axis - 1] = step_[axis] * std::max<Index>(array.shape[axis], 1);
    if (array.shape.size() < 2) array_is_flat_ = true;
  }

  void append(const double* from, std::size_t count) {
    double* const to = array_.values.data();
    if (!array_.fortran_order || array_is_flat_) {
      std::copy_n(from, count, to + position_);
      position_ += static_cast<Index>(count);
      return;
    }
    const Index inner = array_.shape[0];
    const Index inner_step = step_[0];
    for (std::size_t i = 0; i < count;) {
      const Index run = std::min<Index>(inner - index_[0], static_cast<Index>(count - i));
      for (Index k = 0; k < run; ++k) to[position_ + k * inner_step] = from[i + static_cast<std::size_t>(k)];
      i += static_cast<std::size_t>(run);
      index_[0] += run;
      position_ += run * inner_step;
      for (std::size_t axis = 0; index_[axis] == array_.shape[axis] && axis + 1 < index_.size(); ++axis) {
        position_ += step_[axis + 1] - index_[axis] * step_[axis];
        index_[axis] = 0;
        ++index_[axis + 1];
      }
    }
  }

 private:
  NpyArray& array_;
  std::vector<Index> index_;
  std::vector<Index> step_;
  Index position_ = 0;
  bool array_is_flat_ = false;
};

// The array in `size` bytes at `begin`.
NpyArray read_array(const Source& source, std::uint64_t begin, std::uint64_t size, const std::string& name,
                    const NpyOptions& options) {
  std::array<unsigned char, 12> start{};
  source.read(begin, start.data(), static_cast<std::size_t>(std::min<std::uint64_t>(size, start.size())));
  if (size < 10 || std::memcmp(start.data(), kMagic.data(), kMagic.size()) != 0) {
    throw IoError(name + ": not a NumPy file: it does not begin with \"\\x93NUMPY\"");
  }
  const unsigned major = start[6], minor = start[7];
  if (major < 1 || major > 3 || minor != 0) {
    throw IoError(fmt::format("{}: version {}.{} is not supported; expected 1.0, 2.0 or 3.0", name, major, minor));
  }
  const std::uint64_t prefix = major == 1 ? 10 : 12;
  const std::uint64_t length = major == 1 ? little_endian(&start[8], 2) : little_endian(&start[8], 4);
  if (size < prefix || length > size - prefix) {
    throw IoError(
        fmt::format("{}: header: expected {} bytes, the file has {}", name, length, size - std::min(size, prefix)));
  }
  if (length > kLongestHeader) {
    throw IoError(fmt::format("{}: header: {} bytes are more than the limit of {}", name, length, kLongestHeader));
  }
  std::string text(static_cast<std::size_t>(length), '\0');
  source.read(begin + prefix, text.data(), text.size());

  Header header = HeaderParser(text, name).parse();
  const ItemType type = item_type(header.descr, name);
  // 8: the values become double.
  const auto count = checked_count(header.shape, 8);
  if (!count) throw IoError(fmt::format("{}: header: shape {} is too large", name, shape_text(header.shape)));
  const std::uint64_t data_size = *count * type.size;
  const std::uint64_t data_begin = begin + prefix + length;
  const std::uint64_t found = size - prefix - length;
  if (found != data_size) {
    throw IoError(fmt::format("{}: expected {} bytes of data for shape {} and type {}, got {}", name, data_size,
                              shape_text(header.shape), show(header.descr), found));
  }

  NpyArray array;
  array.values = Tensor<double>(header.shape);
  array.shape = std::move(header.shape);
  array.dtype = std::move(header.descr);
  array.fortran_order = header.fortran_order;
  Filler filler(array);
  const std::size_t piece = kPieceSize / 8;
  std::vector<std::byte> bytes(std::min<std::size_t>(piece, static_cast<std::size_t>(*count)) * type.size);
  std::vector<double> values(std::min<std::size_t>(piece, static_cast<std::size_t>(*count)));
  for (std::uint64_t done = 0; done < *count;) {
    const auto now = static_cast<std::size_t>(std::min<std::uint64_t>(piece, *count - done));
    source.read(data_begin + done * type.size, bytes.data(), now * type.size);
    type.load(bytes.data(), type.swap, now, values.data());
    filler.append(values.data(), now);
    done += now;
  }
  if (!options.allow_non_finite) {
    for (Index i = 0; i < array.values.size(); ++i) {
      if (std::isfinite(array.values[i])) continue;
      throw IoError(fmt::format("{}: expected finite numbers, got {} at index {}", name, unsigned_nan(array.values[i]),
                                index_text(array.shape, i)));
    }
  }
  return array;
}

// CRC-32 of zip files, eight bytes at a time.
constexpr std::array<std::array<std::uint32_t, 256>, 8> crc_tables() {
  std::array<std::array<std::uint32_t, 256>, 8> tables{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
    tables[0][i] = c;
  }
  for (std::uint32_t i = 0; i < 256; ++i) {
    for (std::size_t k = 1; k < 8; ++k) tables[k][i] = tables[0][tables[k - 1][i] & 0xff] ^ tables[k - 1][i] >> 8;
  }
  return tables;
}

std::uint32_t crc32(std::uint32_t crc, const unsigned char* p, std::size_t size) {
  static constexpr auto kTables = crc_tables();
  crc = ~crc;
  for (; size >= 8; size -= 8, p += 8) {
    const auto low = crc ^ static_cast<std::uint32_t>(little_endian(p, 4));
    crc = kTables[7][low & 0xff] ^ kTables[6][low >> 8 & 0xff] ^ kTables[5][low >> 16 & 0xff] ^ kTables[4][low >> 24] ^
          kTables[3][p[4]] ^ kTables[2][p[5]] ^ kTables[1][p[6]] ^ kTables[0][p[7]];
  }
  for (; size > 0; --size, ++p) crc = kTables[0][(crc ^ *p) & 0xff] ^ crc >> 8;
  return ~crc;
}

}  // namespace

NpyArray read_npy(const std::filesystem::path& path, const NpyOptions& options) {
  const Source source(path);
  return read_array(source, 0, source.size(), source.name(), options);
}

NpyArray read_npy(std::span<const std::byte> bytes, std::string_view source_name, const NpyOptions& options) {
  const Source source(bytes, std::string(source_name));
  return read_array(source, 0, source.size(), source.name(), options);
}

struct NpzFile::Impl {
  struct Member {
    std::uint64_t compressed_size = 0;
    std::uint64_t size = 0;
    std::uint64_t offset = 0;  // of the local header
    std::uint32_t crc = 0;
    unsigned method = 0;
    unsigned flags = 0;
  };

  template <class... Arguments>
  explicit Impl(Arguments&&... arguments) : source(std::forward<Arguments>(arguments)...) {
    read_directory();
  }

  [[noreturn]] void fail(const std::string& what) const { throw IoError(source.name() + ": " + what); }

  void read_directory() {
    // The end record is the last one in the file, before a comment of at most 65535 bytes.
    constexpr std::uint64_t kEndSize = 22;
    const auto tail_size = static_cast<std::size_t>(std::min<std::uint64_t>(source.size(), kEndSize + 65535));
    std::vector<unsigned char> tail(tail_size);
    source.read(source.size() - tail_size, tail.data(), tail_size);
    std::optional<std::size_t> at;
    for (std::size_t i = tail_size + 1 - std::min<std::size_t>(tail_size + 1, kEndSize); i-- > 0;) {
      if (little_endian(&tail[i], 4) == 0x06054b50 && i + kEndSize + little_endian(&tail[i + 20], 2) == tail_size) {
        at = i;
        break;
      }
    }
    if (!at) fail("not a zip archive: there is no directory at its end");
    const unsigned char* end = &tail[*at];
    std::uint64_t count = little_endian(end + 10, 2);
    std::uint64_t size = little_endian(end + 12, 4);
    std::uint64_t offset = little_endian(end + 16, 4);
    const std::uint64_t end_offset = source.size() - tail_size + *at;
    std::array<unsigned char, 56> buffer{};
    if (end_offset >= 20) {  // the 64-bit record, if its locator is there
      source.read(end_offset - 20, buffer.data(), 20);
      if (little_endian(buffer.data(), 4) == 0x07064b50) {
        source.read(little_endian(&buffer[8], 8), buffer.data(), buffer.size());
        if (little_endian(buffer.data(), 4) != 0x06064b50) fail("damaged directory: the 64-bit end record is missing");
        count = little_endian(&buffer[32], 8);
        size = little_endian(&buffer[40], 8);
        offset = little_endian(&buffer[48], 8);
      }
    }
    if (offset > end_offset || size > end_offset - offset) fail("damaged directory: it reaches beyond the file");
    std::vector<unsigned char> directory(static_cast<std::size_t>(size));
    source.read(offset, directory.data(), directory.size());
    std::size_t p = 0;
    while (p < directory.size()) {
      constexpr std::size_t kEntrySize = 46;
      if (directory.size() - p < kEntrySize || little_endian(&directory[p], 4) != 0x02014b50) {
        fail(fmt::format("damaged directory: entry {} is not valid", names.size()));
      }
      const unsigned char* entry = &directory[p];
      const auto name_size = static_cast<std::size_t>(little_endian(entry + 28, 2));
      const auto extra_size = static_cast<std::size_t>(little_endian(entry + 30, 2));
      const auto comment_size = static_cast<std::size_t>(little_endian(entry + 32, 2));
      if (directory.size() - p - kEntrySize < name_size + extra_size + comment_size) {
        fail(fmt::format("damaged directory: entry {} is not complete", names.size()));
      }
      std::string name(reinterpret_cast<const char*>(entry + kEntrySize), name_size);
      Member member;
      member.flags = static_cast<unsigned>(little_endian(entry + 8, 2));
      member.method = static_cast<unsigned>(little_endian(entry + 10, 2));
      member.crc = static_cast<std::uint32_t>(little_endian(entry + 16, 4));
      member.compressed_size = little_endian(entry + 20, 4);
      member.size = little_endian(entry + 24, 4);
      member.offset = little_endian(entry + 42, 4);
      read_extra(entry + kEntrySize + name_size, extra_size, member, name);
      if (name.ends_with(".npy")) name.resize(name.size() - 4);
      if (!members.emplace(name, member).second) fail("the name " + show(name) + " occurs twice");
      names.push_back(std::move(name));
      p += kEntrySize + name_size + extra_size + comment_size;
    }
    if (names.size() != count) fail(fmt::format("damaged directory: expected {} entries, got {}", count, names.size()));
  }

  // 64-bit sizes: present, in this order, for the fields that are all ones.
  void read_extra(const unsigned char* extra, std::size_t size, Member& member, const std::string& name) const {
    constexpr std::uint64_t kMarker = 0xffffffff;
    while (size >= 4) {
      const std::uint64_t id = little_endian(extra, 2);
      auto length = static_cast<std::size_t>(little_endian(extra + 2, 2));
      extra += 4;
      size -= 4;
      if (length > size) fail("damaged directory: extra field of " + show(name));
      if (id == 1) {
        const unsigned char* p = extra;
        for (std::uint64_t* field : {&member.size, &member.compressed_size, &member.offset}) {
          if (*field != kMarker) continue;
          if (length < 8) fail("damaged directory: 64-bit sizes of " + show(name));
          *field = little_endian(p, 8);
          p += 8;
          length -= 8;
        }
        return;
      }
      extra += length;
      size -= length;
    }
  }

  NpyArray get(std::string_view name, const NpyOptions& options) const {
    const auto found = members.find(name);
    if (found == members.end()) {
      std::string list;
      for (std::size_t i = 0; i < names.size() && i < 20; ++i) list += (i == 0 ? "" : ", ") + show(names[i]);
      if (names.size() > 20) list += ", ...";
      fail(fmt::format("no array {}; the arrays are: {}", show(name), list.empty() ? "none" : list));
    }
    const Member& member = found->second;
    const std::string where = fmt::format("{}: member {}", source.name(), show(name));
    if ((member.flags & 1) != 0) throw IoError(where + ": encrypted");
    if (member.method != 0) throw IoError(where + ": compressed member; save with np.savez");
    if (member.compressed_size != member.size) throw IoError(where + ": damaged directory: the two sizes differ");
    constexpr std::size_t kLocalSize = 30;
    std::array<unsigned char, kLocalSize> local{};
    if (member.offset > source.size() || source.size() - member.offset < kLocalSize) {
      throw IoError(where + ": the member begins beyond the file");
    }
    source.read(member.offset, local.data(), local.size());
    if (little_endian(local.data(), 4) != 0x04034b50) throw IoError(where + ": the member has no header");
    const std::uint64_t begin =
        member.offset + kLocalSize + little_endian(&local[26], 2) + little_endian(&local[28], 2);
    if (begin > source.size() || member.size > source.size() - begin) {
      throw IoError(where + ": the member reaches beyond the file");
    }
    std::vector<unsigned char> piece(static_cast<std::size_t>(std::min<std::uint64_t>(kPieceSize, member.size)));
    std::uint32_t crc = 0;
    for (std::uint64_t done = 0; done < member.size;) {
      const auto now = static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), member.size - done));
      source.read(begin + done, piece.data(), now);
      crc = crc32(crc, piece.data(), now);
      done += now;
    }
    if (crc != member.crc) {
      throw IoError(
          fmt::format("{}: the checksum is {:08x}, expected {:08x}: the file is damaged", where, crc, member.crc));
    }
    return read_array(source, begin, member.size, where, options);
  }

  Source source;
  std::vector<std::string> names;
  std::map<std::string, Member, std::less<>> members;
};

NpzFile::NpzFile(const std::filesystem::path& path) : impl_(std::make_unique<Impl>(path)) {}
NpzFile::NpzFile(std::span<const std::byte> bytes, std::string_view source_name)
    : impl_(std::make_unique<Impl>(bytes, std::string(source_name))) {}
NpzFile::NpzFile(NpzFile&&) noexcept = default;
NpzFile& NpzFile::operator=(NpzFile&&) noexcept = default;
NpzFile::~NpzFile() = default;

NpzFile::Impl& NpzFile::impl() const {
  if (impl_ == nullptr) throw Error("NpzFile: used after it was moved from");
  return *impl_;
}

const std::vector<std::string>& NpzFile::names() const { return impl().names; }
NpyArray NpzFile::get(std::string_view name, const NpyOptions& options) const { return impl().get(name, options); }

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
    std::string start(kMagic);
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
  NpyWriter::Impl writer(path, {values.size()}, NpyWriter::Type::float64);
  writer.write(MatrixView<const double>(values.data(), values.size(), 1, values.stride(), 0));
  writer.commit();
}

}  // namespace pushforward
