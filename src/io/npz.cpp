#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <pushforward/error.hpp>
#include <pushforward/io/npy.hpp>
#include <utility>

#include "src/io/npy_format.hpp"

namespace pushforward {

using namespace detail;

namespace {

// Methods of compression in zip files.
constexpr unsigned kStored = 0, kDeflated = 8;

}  // namespace

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
    if (!at && source.is_gzip()) fail("the archive is packed once more, by gzip; unpack it: gunzip");
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
    if (member.method != kStored && member.method != kDeflated)
      throw IoError(fmt::format("{}: compression method {} is not supported; save with numpy.savez_compressed", where,
                                member.method));
    if (member.method == kStored && member.compressed_size != member.size)
      throw IoError(where + ": damaged directory: the two sizes differ");
    constexpr std::size_t kLocalSize = 30;
    std::array<unsigned char, kLocalSize> local{};
    if (member.offset > source.size() || source.size() - member.offset < kLocalSize) {
      throw IoError(where + ": the member begins beyond the file");
    }
    source.read(member.offset, local.data(), local.size());
    if (little_endian(local.data(), 4) != 0x04034b50) throw IoError(where + ": the member has no header");
    const std::uint64_t begin =
        member.offset + kLocalSize + little_endian(&local[26], 2) + little_endian(&local[28], 2);
    if (begin > source.size() || member.compressed_size > source.size() - begin) {
      throw IoError(where + ": the member reaches beyond the file");
    }
    const auto opened = [&] {
      ReadBytes bytes = source.range(begin, member.compressed_size);
      return member.method == kStored ? bytes : inflated(std::move(bytes), where, Packed::bare);
    };
    // First what the bytes are, then memory for what they say.
    check(opened(), member, where);
    return read_array(opened(), member.size, true, where, options);
  }

  static void check(const ReadBytes& read, const Member& member, const std::string& where) {
    std::vector<unsigned char> piece(kPieceSize);
    uLong crc = crc32(0, nullptr, 0);
    std::uint64_t size = 0;
    while (const std::size_t got = read_fully(read, piece.data(), piece.size())) {
      size += got;
      if (size > member.size)
        throw IoError(fmt::format("{}: unpacks to more than the {} bytes that it says", where, member.size));
      crc = crc32(crc, piece.data(), static_cast<uInt>(got));
    }
    if (size != member.size)
      throw IoError(fmt::format("{}: unpacks to {} bytes and says {}", where, size, member.size));
    if (crc != member.crc) {
      throw IoError(
          fmt::format("{}: the checksum is {:08x}, expected {:08x}: the file is damaged", where, crc, member.crc));
    }
  }

  ByteSource source;
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

}  // namespace pushforward
