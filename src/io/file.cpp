#include "src/io/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <pushforward/error.hpp>
#include <system_error>
#include <utility>

namespace pushforward::detail {
namespace {

[[noreturn]] void fail(std::string_view name, std::string_view action, int error) {
  throw IoError(fmt::format("{}: cannot {}: {}", name, action, std::generic_category().message(error)));
}

/// The name under which the system shows an open file.
std::string as_path(int descriptor) { return fmt::format("/proc/self/fd/{}", descriptor); }

std::filesystem::path folder_of(const std::filesystem::path& file) {
  return file.has_parent_path() ? file.parent_path() : ".";
}

/// A file in `folder` that gets its name when it is complete, so that a process that is killed leaves nothing behind;
/// -1 where the system has none.
int open_unnamed([[maybe_unused]] const std::filesystem::path& folder) {
#ifdef O_TMPFILE
  const int descriptor = ::open(folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
  if (descriptor < 0) return -1;
  if (::access(as_path(descriptor).c_str(), F_OK) == 0) return descriptor;
  ::close(descriptor);  // without /proc it could never be named
#endif
  return -1;
}

/// A new name in the folder of `target` for which `make` succeeds; empty, and errno says why, if it never does.
template <class F>
std::filesystem::path make_name_beside(const std::filesystem::path& target, F make) {
  for (int attempt = 0; attempt < 10000; ++attempt) {
    const std::filesystem::path name =
        target.parent_path() / fmt::format(".pushforward-{}-{}.tmp", ::getpid(), attempt);
    if (make(name.c_str())) return name;
    if (errno != EEXIST && errno != EINTR) break;
  }
  return {};
}

// One call moves at most this much: the kernel's own limit is just below 2 GiB.
constexpr std::size_t kLargestTransfer = std::size_t{1} << 30;

}  // namespace

std::string show(std::string_view text) {
  constexpr std::size_t kLongest = 40;
  std::string out = "\"";
  for (std::size_t i = 0; i < text.size() && i < kLongest; ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c < 0x20 || c == 0x7f) {
      out += fmt::format("\\x{:02x}", c);
    } else {
      out += static_cast<char>(c);
    }
  }
  if (text.size() > kLongest) out += "...";
  return out + '"';
}

std::optional<std::uint64_t> checked_product(std::uint64_t a, std::uint64_t b) {
  if (a != 0 && b > std::numeric_limits<std::uint64_t>::max() / a) return std::nullopt;
  return a * b;
}

std::optional<std::uint64_t> checked_count(const std::vector<Index>& shape, std::uint64_t item_size) {
  constexpr auto kLargest = static_cast<std::uint64_t>(std::numeric_limits<Index>::max());
  std::uint64_t bytes = item_size;
  bool empty = false;
  for (const Index extent : shape) {
    if (extent < 0) return std::nullopt;
    if (extent == 0) {
      empty = true;
      continue;
    }
    const auto next = checked_product(bytes, static_cast<std::uint64_t>(extent));
    if (!next || *next > kLargest) return std::nullopt;
    bytes = *next;
  }
  return empty ? 0 : bytes / item_size;
}

InputFile::InputFile(const std::filesystem::path& path) : name_(path.string()), owns_(true) {
  do {
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  } while (descriptor_ < 0 && errno == EINTR);
  if (descriptor_ < 0) fail(name_, "open for reading", errno);
  struct stat info {};
  int error = ::fstat(descriptor_, &info) == 0 ? 0 : errno;
  if (error == 0 && S_ISDIR(info.st_mode)) error = EISDIR;
  if (error != 0) {
    ::close(descriptor_);
    fail(name_, "open for reading", error);
  }
  regular_ = S_ISREG(info.st_mode);
  size_ = regular_ ? static_cast<std::uint64_t>(info.st_size) : 0;
}

InputFile InputFile::standard_input() {
  InputFile file;
  file.name_ = "standard input";
  file.descriptor_ = STDIN_FILENO;
  return file;
}

InputFile::InputFile(InputFile&& other) noexcept
    : name_(std::move(other.name_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      owns_(std::exchange(other.owns_, false)),
      regular_(other.regular_),
      size_(other.size_) {}

InputFile::~InputFile() {
  if (owns_ && descriptor_ >= 0) ::close(descriptor_);
}

std::size_t InputFile::read(void* data, std::size_t size) {
  for (;;) {
    const ssize_t got = ::read(descriptor_, data, std::min(size, kLargestTransfer));
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) fail(name_, "read", errno);
  }
}

void InputFile::read_at(std::uint64_t offset, void* data, std::size_t size) const {
  auto* to = static_cast<char*>(data);
  while (size > 0) {
    const ssize_t got = ::pread(descriptor_, to, std::min(size, kLargestTransfer), static_cast<off_t>(offset));
    if (got < 0) {
      if (errno == EINTR) continue;
      fail(name_, "read", errno);
    }
    if (got == 0) throw IoError(fmt::format("{}: cannot read: the file became shorter while it was read", name_));
    to += got;
    offset += static_cast<std::uint64_t>(got);
    size -= static_cast<std::size_t>(got);
  }
}

std::span<const std::byte> InputFile::map() const {
  const auto size = static_cast<std::size_t>(size_);
  void* const begin = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor_, 0);
  if (begin == MAP_FAILED) fail(name_, "map into memory", errno);
  return {static_cast<const std::byte*>(begin), size};
}

MappedFile::MappedFile(const std::filesystem::path& path) {
  const InputFile file(path);
  if (!file.is_regular()) throw IoError(path.string() + ": cannot map into memory: no regular file");
  if (file.size() > 0) bytes_ = file.map();
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

std::vector<std::byte> read_file(const std::filesystem::path& path) {
  InputFile file(path);
  return read_file(file);
}

std::vector<std::byte> read_file(InputFile& file, std::vector<std::byte> begin, std::uint64_t most) {
  std::vector<std::byte> out = std::move(begin);
  std::size_t used = out.size();
  const auto up_to = [most](std::uint64_t size) { return static_cast<std::size_t>(std::min(size, most)); };
  // One byte more than the size, so that the end is seen without growing; pipes and /proc report size 0.
  out.resize(up_to(std::max<std::uint64_t>(used, file.size()) + 1));
  while (used < most) {
    if (used == out.size()) out.resize(up_to(std::max<std::uint64_t>(out.size() * 2, 65536)));
    const std::size_t got = file.read(out.data() + used, out.size() - used);
    if (got == 0) break;
    used += got;
  }
  out.resize(used);
  return out;
}

AtomicFile::AtomicFile(const std::filesystem::path& path) : name_(path.string()), target_(path), owns_(true) {
  constexpr std::string_view kAction = "open for writing";
  if (path.empty()) fail("\"\"", kAction, ENOENT);
  struct stat info {};
  bool exists = ::stat(path.c_str(), &info) == 0;
  if (!exists && errno != ENOENT) fail(name_, kAction, errno);
  if (exists && S_ISDIR(info.st_mode)) fail(name_, kAction, EISDIR);
  if (exists && !S_ISREG(info.st_mode)) {
    do {
      descriptor_ = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    } while (descriptor_ < 0 && errno == EINTR);
    if (descriptor_ < 0) fail(name_, kAction, errno);
    return;
  }
  // A file that may not be written is not replaced either, although the folder would allow it.
  if (exists && ::access(path.c_str(), W_OK) != 0) fail(name_, kAction, errno);
  if (std::error_code error; std::filesystem::is_symlink(path, error)) {
    target_ = std::filesystem::weakly_canonical(path, error);
    if (error) fail(name_, kAction, error.value());
  }
  replaces_ = true;
  descriptor_ = open_unnamed(folder_of(target_));
  if (descriptor_ < 0) {
    temporary_ = make_name_beside(target_, [&](const char* name) {
      descriptor_ = ::open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      return descriptor_ >= 0;
    });
    if (descriptor_ < 0) fail(name_, kAction, errno);
  }
  // The mode is kept as far as the system lets us: a failure here is no reason to lose the data.
  if (exists) static_cast<void>(::fchmod(descriptor_, info.st_mode & 07777));
}

AtomicFile AtomicFile::standard_output() {
  AtomicFile file;
  file.name_ = "standard output";
  file.descriptor_ = STDOUT_FILENO;
  return file;
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : name_(std::move(other.name_)),
      target_(std::move(other.target_)),
      temporary_(std::exchange(other.temporary_, {})),
      descriptor_(std::exchange(other.descriptor_, -1)),
      owns_(std::exchange(other.owns_, false)),
      replaces_(other.replaces_) {}

AtomicFile::~AtomicFile() { close_and_remove(); }

void AtomicFile::close_and_remove() noexcept {
  if (owns_ && descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  temporary_.clear();
}

void AtomicFile::write(const void* data, std::size_t size) {
  if (descriptor_ < 0) throw IoError(name_ + ": cannot write: the file is closed");
  const auto* from = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t put = ::write(descriptor_, from, std::min(size, kLargestTransfer));
    if (put < 0) {
      if (errno == EINTR) continue;
      const int error = errno;
      close_and_remove();
      fail(name_, "write", error);
    }
    from += put;
    size -= static_cast<std::size_t>(put);
  }
}

void AtomicFile::commit() {
  if (descriptor_ < 0) throw IoError(name_ + ": cannot write: the file is closed");
  if (!replaces_) {  // a device, a pipe or standard output: nothing to synchronise or to rename
    const int error = owns_ && ::close(descriptor_) != 0 ? errno : 0;
    descriptor_ = -1;
    if (error != 0) fail(name_, "write", error);
    return;
  }
  int error = ::fsync(descriptor_) == 0 ? 0 : errno;
  if (error == 0 && temporary_.empty()) {
    temporary_ = make_name_beside(target_, [&](const char* name) {
      return ::linkat(AT_FDCWD, as_path(descriptor_).c_str(), AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0;
    });
    if (temporary_.empty()) error = errno;
  }
  if (::close(std::exchange(descriptor_, -1)) != 0 && error == 0) error = errno;
  if (error == 0 && ::rename(temporary_.c_str(), target_.c_str()) != 0) error = errno;
  if (error != 0) {
    close_and_remove();
    fail(name_, "write", error);
  }
  temporary_.clear();
  // The new name itself must reach the disk. Some file systems cannot do it and say EINVAL.
  const int directory = ::open(folder_of(target_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return;  // a folder that may be written but not read: the file is in place
  error = ::fsync(directory) == 0 ? 0 : errno;
  ::close(directory);
  if (error != 0 && error != EINVAL && error != ENOTSUP && error != EROFS) fail(name_, "synchronise the folder", error);
}

}  // namespace pushforward::detail
