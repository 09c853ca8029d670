#include "src/io/npy_format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <pushforward/error.hpp>
#include <set>
#include <type_traits>
#include <utility>

#include "src/core/number_text.hpp"
#include "src/core/shape_text.hpp"

namespace pushforward::detail {

namespace {

constexpr std::uint64_t kLongestHeader = 1 << 16;
constexpr std::size_t kHighestRank = 64;
constexpr std::size_t kMostFields = 4096;

// The dictionary at the start of the file, a Python literal: {'descr': '<f8', 'fortran_order': False, 'shape': (3, 4),
// }
struct Header {
  struct Field {
    std::string name, descr;
  };
  std::string descr;          // of a structured array all of its list
  std::vector<Field> fields;  // of structured arrays
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
        const std::size_t begin = at_;
        if (accept('[')) {
          header.fields = fields();
          header.descr = text_.substr(begin, at_ - begin);
        } else {
          header.descr = string();
        }
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
  using Field = Header::Field;

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
  // [('x', '<f8'), ('y', '<i4')], behind the first bracket.
  std::vector<Field> fields() {
    std::vector<Field> out;
    while (!accept(']')) {
      Field field;
      const bool pair = accept('(');
      skip_space();
      if (pair && at_ < text_.size() && text_[at_] != '(') {
        field.name = string();
        expect(',');
        skip_space();
        if (at_ < text_.size() && text_[at_] != '[') {
          field.descr = string();
          if (accept(')')) {
            out.push_back(std::move(field));
            if (out.size() > kMostFields) fail(fmt::format("more than {} fields", kMostFields));
            if (!accept(',')) {
              expect(']');
              break;
            }
            continue;
          }
        }
      }
      throw IoError(fmt::format("{}: structured arrays are read whose fields are single numbers; field {} is not: save "
                                "it as an array of its own",
                                name_, show(field.name)));
    }
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

// IEEE 754 binary16: 10 bits of fraction, 5 of exponent.
struct Half {
  std::uint16_t bits;
  explicit operator double() const {
    const double fraction = bits & 0x3ff;
    const int exponent = bits >> 10 & 0x1f;
    const double size = exponent == 0    ? std::ldexp(fraction, -24)
                        : exponent == 31 ? (fraction == 0 ? HUGE_VAL : std::nan(""))
                                         : std::ldexp(1024 + fraction, exponent - 25);
    return (bits & 0x8000) != 0 ? -size : size;
  }
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
void load_values(const std::byte* from, std::size_t stride, bool swap, std::size_t count, double* to,
                 std::size_t to_stride) {
  for (std::size_t i = 0; i < count; ++i) to[i * to_stride] = load_value<T>(from + i * stride, swap);
}

// What a type is that is none of numbers, and what helps.
std::string unread_type(std::string_view code) {
  switch (code.empty() ? '\0' : code.front()) {
    case 'c':
      return "complex numbers are two columns: save numpy.stack((x.real, x.imag), -1)";
    case 'f':
      return code == "f12" || code == "f16"
                 ? "numpy.longdouble differs between machines: save x.astype('f8')"
                 : "";
    case 'M':
    case 'm':
      return "dates and times are no numbers: save x.astype('i8'), or a difference in the unit that is wanted";
    case 'U':
    case 'S':
    case 'a':
    case 'V':
      return "text and raw bytes are no numbers: save the other columns";
    default:
      return "";
  }
}

struct ItemType {
  std::size_t size = 0;
  NpyLayout::Part part;
};

ItemType item_type(const std::string& descr, const std::string& name) {
  struct Known {
    std::string_view code;
    std::size_t size;
    decltype(NpyLayout::Part::load) load;
  };
  static constexpr std::array<Known, 12> kKnown = {{{"f2", 2, load_values<Half>},
                                                    {"f4", 4, load_values<float>},
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
  std::string why;
  if (order == '<' || order == '>' || order == '=' || order == '|') {
    for (const Known& known : kKnown) {
      if (text.substr(1) != known.code || (order == '|' && known.size > 1)) continue;
      constexpr bool kLittle = std::endian::native == std::endian::little;
      return {known.size, {.swap = known.size > 1 && order == (kLittle ? '>' : '<'), .load = known.load}};
    }
    why = unread_type(text.substr(1));
  }
  throw IoError(fmt::format("{}: type {} is not supported; {}", name, show(descr),
                            why.empty() ? "expected float16, float32, float64, an integer type or bool" : why));
}

// The bytes between fields of an aligned structure: '|V4'.
std::optional<std::size_t> padding(const Header::Field& field) {
  const std::string_view code = field.descr;
  if (!field.name.empty() || !code.starts_with("|V")) return std::nullopt;
  std::size_t size = 0;
  const auto [end, error] = std::from_chars(code.data() + 2, code.data() + code.size(), size);
  if (error != std::errc() || end != code.data() + code.size() || size > kPieceSize) return std::nullopt;
  return size;
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

}  // namespace

std::uint64_t little_endian(const unsigned char* p, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = size; i-- > 0;) value = value << 8 | p[i];
  return value;
}

ByteSource::ByteSource(std::span<const std::byte> bytes, std::string name)
    : name_(std::move(name)), memory_(bytes), size_(bytes.size()) {}

ByteSource::ByteSource(const std::filesystem::path& path) : name_(path.string()) {
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

bool ByteSource::is_gzip() const {
  std::array<char, 2> start{};
  if (size_ < start.size()) return false;
  read(0, start.data(), start.size());
  return detail::is_gzip({start.data(), start.size()});
}

void ByteSource::read(std::uint64_t offset, void* data, std::size_t size) const {
  if (offset > size_ || size > size_ - offset) throw IoError(name_ + ": the file ends too early");
  if (size == 0) return;
  if (file_) {
    file_->read_at(offset, data, size);
  } else {
    std::memcpy(data, memory_.data() + offset, size);
  }
}

ReadBytes ByteSource::range(std::uint64_t offset, std::uint64_t size) const {
  return [this, offset, end = offset + size](void* data, std::size_t wanted) mutable {
    const auto now = static_cast<std::size_t>(std::min<std::uint64_t>(wanted, end - offset));
    read(offset, data, now);
    offset += now;
    return now;
  };
}

void NpyLayout::load(const std::byte* from, std::size_t items, double* to) const {
  for (std::size_t p = 0; p < parts.size(); ++p)
    parts[p].load(from + parts[p].offset, item_size, parts[p].swap, items, to + p, parts.size());
}

std::string NpyLayout::expected(const std::string& got) const {
  return fmt::format("expected {} bytes of data for shape {} and type {}, got {}", data_size(), shape_text(shape),
                     fields.empty() ? show(dtype) : fmt::format("of {} fields", fields.size()), got);
}

NpyLayout read_layout(const ReadBytes& read, std::uint64_t size, bool exact, const std::string& name) {
  std::array<unsigned char, 12> start{};
  if (read_fully(read, start.data(), 10) < 10 || std::memcmp(start.data(), kNpyMagic.data(), kNpyMagic.size()) != 0) {
    throw IoError(name + ": not a NumPy file: it does not begin with \"\\x93NUMPY\"");
  }
  const unsigned major = start[6], minor = start[7];
  if (major < 1 || major > 3 || minor != 0) {
    throw IoError(fmt::format("{}: version {}.{} is not supported; expected 1.0, 2.0 or 3.0", name, major, minor));
  }
  const std::uint64_t prefix = major == 1 ? 10 : 12;
  read_fully(read, &start[10], static_cast<std::size_t>(prefix - 10));
  const std::uint64_t length = little_endian(&start[8], static_cast<std::size_t>(prefix - 8));
  const auto short_header = [&](std::uint64_t got) {
    throw IoError(fmt::format("{}: header: expected {} bytes, the file has {}", name, length, got));
  };
  if (size < prefix || length > size - prefix) short_header(size - std::min(size, prefix));
  if (length > kLongestHeader) {
    throw IoError(fmt::format("{}: header: {} bytes are more than the limit of {}", name, length, kLongestHeader));
  }
  std::string text(static_cast<std::size_t>(length), '\0');
  if (const std::size_t got = read_fully(read, text.data(), text.size()); got < text.size()) short_header(got);

  Header header = HeaderParser(text, name).parse();
  NpyLayout layout;
  layout.begin = prefix + length;
  layout.fortran_order = header.fortran_order;
  layout.shape = std::move(header.shape);
  layout.dtype = std::move(header.descr);
  if (header.fields.empty()) {
    const ItemType type = item_type(layout.dtype, name);
    layout.parts.push_back(type.part);
    layout.item_size = type.size;
  }
  std::set<std::string_view> names;
  for (Header::Field& field : header.fields) {
    if (const std::optional<std::size_t> size_of_padding = padding(field)) {
      layout.item_size += *size_of_padding;
      continue;
    }
    if (!names.insert(field.name).second)
      throw IoError(fmt::format("{}: header: two fields have the name {}", name, show(field.name)));
    ItemType type = item_type(field.descr, fmt::format("{}: field {}", name, show(field.name)));
    type.part.offset = layout.item_size;
    layout.parts.push_back(type.part);
    layout.item_size += type.size;
    layout.fields.push_back(field.name);
  }
  if (layout.parts.empty()) throw IoError(name + ": the structured array has no fields");
  if (!layout.fields.empty() && layout.shape.size() > 1)
    throw IoError(fmt::format("{}: a structured array has one axis, its fields are the columns; got shape {}", name,
                              shape_text(layout.shape)));
  // 8: the values become double.
  const auto count = checked_count(layout.shape, std::max<std::size_t>(8 * layout.parts.size(), layout.item_size));
  if (!count) throw IoError(fmt::format("{}: header: shape {} is too large", name, shape_text(layout.shape)));
  layout.count = *count;
  const std::uint64_t room = size - layout.begin;
  if (exact ? room != layout.data_size() : room < layout.data_size())
    throw IoError(fmt::format("{}: {}", name, layout.expected(exact ? fmt::format("{}", room)
                                                                    : fmt::format("at most {}, unpacked", room))));
  return layout;
}

NpyArray read_array(const ReadBytes& read, std::uint64_t size, bool exact, const std::string& name,
                    const NpyOptions& options) {
  NpyLayout layout = read_layout(read, size, exact, name);
  const std::size_t width = layout.parts.size();
  NpyArray array;
  array.shape = layout.shape;
  if (!layout.fields.empty()) array.shape.push_back(static_cast<Index>(width));
  array.values = Tensor<double>(array.shape);
  array.dtype = layout.dtype;
  // (structured arrays have one axis: either order is the same)
  array.fortran_order = layout.fortran_order && layout.fields.empty();
  array.fields = layout.fields;
  Filler filler(array);
  const std::uint64_t most = std::max<std::size_t>(kPieceSize / (8 * width), 1);
  const auto piece = static_cast<std::size_t>(std::min(most, layout.count));
  std::vector<std::byte> bytes(piece * layout.item_size);
  std::vector<double> values(piece * width);
  for (std::uint64_t done = 0; done < layout.count;) {
    const auto now = static_cast<std::size_t>(std::min<std::uint64_t>(piece, layout.count - done));
    const std::size_t got = read_fully(read, bytes.data(), now * layout.item_size);
    if (got < now * layout.item_size)
      throw IoError(fmt::format("{}: {}", name, layout.expected(fmt::format("{}", done * layout.item_size + got))));
    layout.load(bytes.data(), now, values.data());
    filler.append(values.data(), now * width);
    done += now;
  }
  // Also what follows the end of packed data is looked at: their checksum.
  std::byte more{};
  if (read(&more, 1) != 0) throw IoError(fmt::format("{}: {}", name, layout.expected("more")));
  if (!options.allow_non_finite) {
    for (Index i = 0; i < array.values.size(); ++i) {
      if (std::isfinite(array.values[i])) continue;
      throw IoError(fmt::format("{}: expected finite numbers, got {} at index {}", name, unsigned_nan(array.values[i]),
                                index_text(array.shape, i)));
    }
  }
  return array;
}

}  // namespace pushforward::detail
