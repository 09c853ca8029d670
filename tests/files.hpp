#pragma once

// What tests of files share: a folder, the text of an IoError, and files made byte by byte.

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <initializer_list>
#include <pushforward/error.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tests/temporary_folder.hpp"

namespace file_tests {

using namespace pushforward;
namespace fs = std::filesystem;

class Folder : public TemporaryFolder {
 public:
  std::vector<std::string> files() const {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(path)) out.push_back(entry.path().filename().string());
    std::sort(out.begin(), out.end());
    return out;
  }
  std::string text_of(const std::string& name) const {
    std::ifstream in(path / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  fs::path put(const std::string& name, std::string_view text) const {
    std::ofstream(path / name, std::ios::binary).write(text.data(), static_cast<std::streamsize>(text.size()));
    return path / name;
  }
};

// The text of the IoError that `action` throws.
inline std::string io_error(const std::function<void()>& action) {
  try {
    action();
  } catch (const IoError& error) {
    return error.what();
  }
  return "no IoError";
}

using Row = std::vector<double>;
using Names = std::vector<std::string>;

inline std::vector<std::byte> bytes_of(std::string_view text) {
  const auto* p = reinterpret_cast<const std::byte*>(text.data());
  return {p, p + text.size()};
}

inline std::vector<std::byte> from_hex(std::string_view hex) {
  std::vector<std::byte> out;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    out.push_back(static_cast<std::byte>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return out;
}

template <class T>
std::string raw(std::initializer_list<T> values, bool swapped = false) {
  std::string out;
  for (const T value : values) {
    std::string item(sizeof(T), '\0');
    std::memcpy(item.data(), &value, sizeof(T));
    if (swapped) std::reverse(item.begin(), item.end());
    out += item;
  }
  return out;
}

inline std::string npy(const std::string& header, const std::string& data, int version = 1) {
  std::string out = "\x93NUMPY";
  out += static_cast<char>(version);
  out += '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) out += static_cast<char>(header.size() >> (8 * i) & 0xff);
  return out + header + data;
}

inline std::string npy_of(const std::string& descr, const std::string& shape, const std::string& data,
                          bool fortran = false) {
  return npy(
      "{'descr': '" + descr + "', 'fortran_order': " + (fortran ? "True" : "False") + ", 'shape': " + shape + ", }\n",
      data);
}

}  // namespace file_tests
