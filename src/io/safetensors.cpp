#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <pushforward/error.hpp>
#include <pushforward/io/safetensors.hpp>
#include <set>
#include <utility>

#include "src/core/shape_text.hpp"
#include "src/io/file.hpp"

namespace pushforward {

using namespace detail;

namespace {

static_assert(std::endian::native == std::endian::little, "the bytes of a safetensors file are little-endian");

constexpr std::uint64_t kLongestHeader = 100'000'000;
constexpr std::size_t kPrefix = 8;
constexpr std::string_view kMetadata = "__metadata__";

// Bytes per element; 0 for an unknown dtype.
std::size_t item_size(std::string_view dtype) {
  constexpr std::array<std::pair<std::string_view, std::size_t>, 15> kKnown = {{{"F64", 8},
                                                                                {"I64", 8},
                                                                                {"U64", 8},
                                                                                {"F32", 4},
                                                                                {"I32", 4},
                                                                                {"U32", 4},
                                                                                {"F16", 2},
                                                                                {"BF16", 2},
                                                                                {"I16", 2},
                                                                                {"U16", 2},
                                                                                {"F8_E4M3", 1},
                                                                                {"F8_E5M2", 1},
                                                                                {"I8", 1},
                                                                                {"U8", 1},
                                                                                {"BOOL", 1}}};
  for (const auto& [name, size] : kKnown) {
    if (name == dtype) return size;
  }
  return 0;
}

struct Entry {
  std::string name;
  std::optional<std::string> dtype;
  std::optional<std::vector<Index>> shape;
  std::optional<std::pair<std::uint64_t, std::uint64_t>> offsets;
};

// Takes the header apart while it is parsed. The parser of nlohmann::json does not recurse, and no tree is built; any
// nesting that the format does not have ends the parse at once.
class HeaderReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  HeaderReader(const std::string& source, std::map<std::string, std::string>& metadata)
      : source_(source), metadata_(metadata) {}

  std::vector<Entry> take_entries() { return std::move(entries_); }

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool number_integer(number_integer_t value) override { return unexpected(std::to_string(value)); }
  bool number_unsigned(number_unsigned_t value) override {
    if (place_ == Place::shape) {
      if (value > static_cast<std::uint64_t>(std::numeric_limits<Index>::max())) {
        fail(fmt::format("shape: {} is too large", value));
      }
      entries_.back().shape->push_back(static_cast<Index>(value));
    } else if (place_ == Place::offsets) {
      auto& [begin, end] = *entries_.back().offsets;
      if (offset_count_ == 2) fail("data_offsets: expected two numbers, got more");
      (offset_count_++ == 0 ? begin : end) = value;
    } else {
      return unexpected(std::to_string(value));
    }
    return true;
  }
  bool number_float(number_float_t, const string_t& text) override { return unexpected(text); }
  bool binary(binary_t&) override { return unexpected("binary data"); }
  bool string(string_t& value) override {
    if (place_ == Place::metadata) {
      if (!metadata_.emplace(key_, value).second) fail("the key occurs twice");
    } else if (place_ == Place::tensor && key_ == "dtype") {
      entries_.back().dtype = value;
    } else {
      return unexpected(show(value));
    }
    return true;
  }
  bool start_object(std::size_t) override {
    if (place_ == Place::outside) {
      place_ = Place::top;
    } else if (place_ == Place::top && key_ == kMetadata) {
      place_ = Place::metadata;
    } else if (place_ == Place::top) {
      place_ = Place::tensor;
      entries_.emplace_back().name = key_;
    } else {
      return unexpected("an object");
    }
    return true;
  }
  bool key(string_t& value) override {
    key_ = value;
    if (place_ == Place::top) {
      if (!names_.insert(value).second) {
        throw IoError(fmt::format("{}: header: the name {} occurs twice", source_, show(value)));
      }
    } else if (place_ == Place::tensor) {
      const Entry& entry = entries_.back();
      if (value != "dtype" && value != "shape" && value != "data_offsets") fail("unknown field " + show(value));
      if ((value == "dtype" && entry.dtype) || (value == "shape" && entry.shape) ||
          (value == "data_offsets" && entry.offsets)) {
        fail(value + " occurs twice");
      }
    }
    return true;
  }
  bool end_object() override {
    if (place_ == Place::tensor) {
      const Entry& entry = entries_.back();
      if (!entry.dtype) fail("dtype is missing");
      if (!entry.shape) fail("shape is missing");
      if (!entry.offsets) fail("data_offsets is missing");
    }
    place_ = place_ == Place::top ? Place::outside : Place::top;
    return true;
  }
  bool start_array(std::size_t) override {
    if (place_ == Place::tensor && key_ == "shape") {
      place_ = Place::shape;
      entries_.back().shape.emplace();
    } else if (place_ == Place::tensor && key_ == "data_offsets") {
      place_ = Place::offsets;
      offset_count_ = 0;
      entries_.back().offsets.emplace();
    } else {
      return unexpected("an array");
    }
    return true;
  }
  bool end_array() override {
    if (place_ == Place::offsets && offset_count_ != 2) {
      fail(fmt::format("data_offsets: expected two numbers, got {}", offset_count_));
    }
    place_ = Place::tensor;
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception& error) override {
    throw IoError(fmt::format("{}: header: not valid JSON near byte {}: {}", source_, position, error.what()));
  }

 private:
  enum class Place { outside, top, metadata, tensor, shape, offsets };

  [[noreturn]] void fail(const std::string& what) const {
    switch (place_) {
      case Place::outside:
        throw IoError(fmt::format("{}: header: {}", source_, what));
      case Place::top:
        throw IoError(fmt::format("{}: header: {}: {}", source_, show(key_), what));
      case Place::metadata:
        throw IoError(fmt::format("{}: metadata {}: {}", source_, show(key_), what));
      default:
        throw IoError(fmt::format("{}: tensor {}: {}", source_, show(entries_.back().name), what));
    }
  }
  [[noreturn]] bool unexpected(const std::string& found) const {
    switch (place_) {
      case Place::outside:
      case Place::top:
        fail("expected an object, got " + found);
      case Place::metadata:
        fail("expected a string, got " + found);
      case Place::tensor:
        fail(fmt::format("{}: expected {}, got {}", key_, key_ == "dtype" ? "a string" : "an array of sizes", found));
      default:
        fail(fmt::format("{}: expected whole numbers >= 0, got {}", key_, found));
    }
  }

  const std::string& source_;
  std::map<std::string, std::string>& metadata_;
  std::vector<Entry> entries_;
  std::set<std::string> names_;
  std::string key_;
  Place place_ = Place::outside;
  int offset_count_ = 0;
};

std::string json_string(const std::string& text, const std::string& where) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    throw IoError(where + ": the text is not UTF-8");
  }
}

// Everything before the data, and the tensors in the order of the data.
struct Layout {
  std::string head;
  std::vector<const NamedTensor*> order;
};

Layout make_layout(std::span<const NamedTensor> tensors, const std::map<std::string, std::string>& metadata,
                   const std::string& where) {
  Layout layout;
  for (const NamedTensor& tensor : tensors) {
    const auto fail = [&](const std::string& what) {
      throw IoError(fmt::format("{}: tensor {}: {}", where, show(tensor.name), what));
    };
    if (tensor.name == kMetadata) fail("the name is reserved");
    const std::size_t size = item_size(tensor.dtype);
    if (size == 0) fail("unknown dtype " + show(tensor.dtype));
    const auto count = checked_count(tensor.shape, size);
    if (!count || *count * size != tensor.bytes.size()) {
      fail(fmt::format("shape {} and dtype {} need {} bytes, got {}", shape_text(tensor.shape), show(tensor.dtype),
                       count ? std::to_string(*count * size) : "too many", tensor.bytes.size()));
    }
    layout.order.push_back(&tensor);
  }
  // Larger items first keeps every tensor aligned to its own type.
  std::sort(layout.order.begin(), layout.order.end(), [](const NamedTensor* a, const NamedTensor* b) {
    const std::size_t size_a = item_size(a->dtype), size_b = item_size(b->dtype);
    return size_a != size_b ? size_a > size_b : a->name < b->name;
  });
  std::map<std::string_view, std::string> entries;
  std::uint64_t offset = 0;
  for (const NamedTensor* tensor : layout.order) {
    const std::string label = fmt::format("{}: tensor {}", where, show(tensor->name));
    std::string extents;
    for (const Index extent : tensor->shape) extents += fmt::format("{}{}", extents.empty() ? "" : ",", extent);
    const std::uint64_t end = offset + tensor->bytes.size();
    const auto [it, fresh] = entries.emplace(
        tensor->name, fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                                  json_string(tensor->name, label), tensor->dtype, extents, offset, end));
    if (!fresh) throw IoError(label + ": the name occurs twice");
    offset = end;
  }
  std::string json = "{";
  if (!metadata.empty()) {
    json += '"' + std::string(kMetadata) + "\":{";
    bool first = true;
    for (const auto& [key, value] : metadata) {
      const std::string label = fmt::format("{}: metadata {}", where, show(key));
      if (!std::exchange(first, false)) json += ',';
      json += json_string(key, label) + ':' + json_string(value, label);
    }
    json += '}';
  }
  for (const auto& [name, text] : entries) {
    if (json.size() > 1) json += ',';
    json += text;
  }
  json += '}';
  json.append((8 - json.size() % 8) % 8, ' ');
  if (json.size() > kLongestHeader) {
    throw IoError(
        fmt::format("{}: the header takes {} bytes; the format allows {}", where, json.size(), kLongestHeader));
  }
  layout.head.resize(kPrefix);
  const std::uint64_t length = json.size();
  std::memcpy(layout.head.data(), &length, kPrefix);
  layout.head += json;
  return layout;
}

/// The length of the header, by the first bytes of a file of `size` bytes.
std::uint64_t check_start(const std::string& source, std::span<const std::byte> bytes, std::uint64_t size) {
  if (bytes.size() < kPrefix)
    throw IoError(
        fmt::format("{}: not a safetensors file: expected at least {} bytes, got {}", source, kPrefix, bytes.size()));
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kPrefix);
  if (length > kLongestHeader)
    throw IoError(fmt::format("{}: not a safetensors file: a header of {} bytes is more than the limit of {}", source,
                              length, kLongestHeader));
  if (length > size - kPrefix)
    throw IoError(fmt::format("{}: header: expected {} bytes, the file has {}", source, length, size - kPrefix));
  if (length == 0 || bytes[kPrefix] != std::byte{'{'})
    throw IoError(source + ": not a safetensors file: the header is not a JSON object");
  return length;
}

/// The tensors that the header names, in the order of their bytes.
std::vector<Entry> read_header(const std::string& source, std::span<const std::byte> header,
                               std::map<std::string, std::string>& metadata) {
  const auto* text = reinterpret_cast<const char*>(header.data());
  HeaderReader reader(source, metadata);
  nlohmann::json::sax_parse(text, text + header.size(), &reader);
  std::vector<Entry> entries = reader.take_entries();
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return *a.offsets < *b.offsets; });
  return entries;
}

/// That tensors fit their sizes and follow on each other inside `data_size` bytes; returns how many they take.
std::uint64_t check_layout(const std::string& source, const std::vector<Entry>& entries, std::uint64_t data_size) {
  std::uint64_t filled = 0;
  for (const Entry& entry : entries) {
    const auto fail = [&](const std::string& what) {
      throw IoError(fmt::format("{}: tensor {}: {}", source, show(entry.name), what));
    };
    const auto [begin, end] = *entry.offsets;
    if (end < begin || end > data_size) {
      fail(fmt::format("data_offsets: [{}, {}] is not inside the {} bytes of data", begin, end, data_size));
    }
    const std::size_t size = item_size(*entry.dtype);
    if (size == 0) fail("unknown dtype " + show(*entry.dtype));
    const auto count = checked_count(*entry.shape, size);
    if (!count) fail(fmt::format("shape: {} is too large", shape_text(*entry.shape)));
    if (*count * size != end - begin) {
      fail(fmt::format("shape {} and dtype {} need {} bytes, got {}", shape_text(*entry.shape), show(*entry.dtype),
                       *count * size, end - begin));
    }
    if (begin != filled) {
      fail(fmt::format("data_offsets: begins at {}, {} the tensor before it, which ends at {}", begin,
                       begin < filled ? "inside" : "leaving a hole after", filled));
    }
    filled = end;
  }
  return filled;
}

void check_filled(const std::string& source, std::uint64_t filled, std::uint64_t data_size) {
  if (filled != data_size)
    throw IoError(fmt::format("{}: the tensors take {} bytes of data, the file has {}", source, filled, data_size));
}

/// The tensors in all of `data`, by name.
std::vector<NamedTensor> tensors_of(const std::string& source, std::vector<Entry> entries,
                                    std::span<const std::byte> data) {
  check_filled(source, check_layout(source, entries, data.size()), data.size());
  std::vector<NamedTensor> tensors;
  tensors.reserve(entries.size());
  for (Entry& entry : entries) {
    const auto [begin, end] = *entry.offsets;
    tensors.push_back({std::move(entry.name), std::move(*entry.dtype), std::move(*entry.shape),
                       data.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin))});
  }
  std::sort(tensors.begin(), tensors.end(), [](const NamedTensor& a, const NamedTensor& b) { return a.name < b.name; });
  return tensors;
}

}  // namespace

SafetensorsFile SafetensorsFile::read(const std::filesystem::path& path) {
  SafetensorsFile file;
  file.source_ = path.string();
  InputFile input(path);
  // What is no such file, or has no end, says so in its first bytes and its header, before the others take memory.
  constexpr std::uint64_t unknown = std::numeric_limits<std::uint64_t>::max();
  const std::uint64_t size = input.is_regular() ? input.size() : unknown;
  file.own_ = read_file(input, {}, kPrefix + 1);
  const std::uint64_t begin = kPrefix + check_start(file.source_, file.own_, size);
  file.own_ = read_file(input, std::move(file.own_), begin);
  if (file.own_.size() < begin) check_start(file.source_, file.own_, file.own_.size());
  std::vector<Entry> entries = read_header(file.source_, std::span(file.own_).subspan(kPrefix), file.metadata_);
  const std::uint64_t data_size = size == unknown ? unknown : size - begin;
  const std::uint64_t filled = check_layout(file.source_, entries, data_size);
  if (data_size != unknown) check_filled(file.source_, filled, data_size);
  // One byte more, which says that there are more.
  file.own_ = read_file(input, std::move(file.own_), begin + filled + 1);
  if (file.own_.size() > begin + filled)
    throw IoError(fmt::format("{}: the tensors take {} bytes of data, the file has more", file.source_, filled));
  file.tensors_ = tensors_of(file.source_, std::move(entries),
                             std::span<const std::byte>(file.own_).subspan(static_cast<std::size_t>(begin)));
  return file;
}

SafetensorsFile SafetensorsFile::read(std::span<const std::byte> bytes, std::string_view source_name) {
  SafetensorsFile file;
  file.source_ = source_name;
  const auto length = static_cast<std::size_t>(check_start(file.source_, bytes, bytes.size()));
  file.tensors_ = tensors_of(file.source_, read_header(file.source_, bytes.subspan(kPrefix, length), file.metadata_),
                             bytes.subspan(kPrefix + length));
  return file;
}

const NamedTensor* SafetensorsFile::find(std::string_view name) const {
  const auto it =
      std::lower_bound(tensors_.begin(), tensors_.end(), name,
                       [](const NamedTensor& tensor, std::string_view wanted) { return tensor.name < wanted; });
  return it != tensors_.end() && it->name == name ? &*it : nullptr;
}

template <class T>
Tensor<T> SafetensorsFile::get(std::string_view name) const {
  const NamedTensor* found = find(name);
  if (found == nullptr) throw IoError(fmt::format("{}: tensor {} is missing", source_, show(name)));
  if (found->dtype != safetensors_dtype<T>()) {
    throw IoError(fmt::format("{}: tensor {}: expected dtype {}, got {}", source_, show(name), safetensors_dtype<T>(),
                              found->dtype));
  }
  Tensor<T> out(found->shape);
  if (!found->bytes.empty()) std::memcpy(out.data(), found->bytes.data(), found->bytes.size());
  return out;
}

template <class T>
Tensor<T> SafetensorsFile::get(std::string_view name, const std::vector<Index>& shape) const {
  const NamedTensor* found = find(name);
  if (found != nullptr && found->dtype == safetensors_dtype<T>() && found->shape != shape) {
    throw IoError(fmt::format("{}: tensor {}: expected shape {}, got {}", source_, show(name), shape_text(shape),
                              shape_text(found->shape)));
  }
  return get<T>(name);
}

template Tensor<double> SafetensorsFile::get(std::string_view) const;
template Tensor<float> SafetensorsFile::get(std::string_view) const;
template Tensor<std::int64_t> SafetensorsFile::get(std::string_view) const;
template Tensor<std::int32_t> SafetensorsFile::get(std::string_view) const;
template Tensor<std::uint8_t> SafetensorsFile::get(std::string_view) const;
template Tensor<double> SafetensorsFile::get(std::string_view, const std::vector<Index>&) const;
template Tensor<float> SafetensorsFile::get(std::string_view, const std::vector<Index>&) const;
template Tensor<std::int64_t> SafetensorsFile::get(std::string_view, const std::vector<Index>&) const;
template Tensor<std::int32_t> SafetensorsFile::get(std::string_view, const std::vector<Index>&) const;
template Tensor<std::uint8_t> SafetensorsFile::get(std::string_view, const std::vector<Index>&) const;

std::vector<std::byte> serialize_safetensors(std::span<const NamedTensor> tensors,
                                             const std::map<std::string, std::string>& metadata) {
  const Layout layout = make_layout(tensors, metadata, "safetensors");
  const auto head = std::as_bytes(std::span(layout.head));
  std::size_t size = head.size();
  for (const NamedTensor* tensor : layout.order) size += tensor->bytes.size();
  std::vector<std::byte> out;
  out.reserve(size);
  out.insert(out.end(), head.begin(), head.end());
  for (const NamedTensor* tensor : layout.order) out.insert(out.end(), tensor->bytes.begin(), tensor->bytes.end());
  return out;
}

void write_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata) {
  const Layout layout = make_layout(tensors, metadata, path.string());
  AtomicFile file(path);
  file.write(layout.head.data(), layout.head.size());
  for (const NamedTensor* tensor : layout.order) file.write(tensor->bytes.data(), tensor->bytes.size());
  file.commit();
}

}  // namespace pushforward
