#pragma once

// What the programs of the guide's pages run in: a folder of their own, and what they print is compared with the page.

#include <cxxabi.h>

#include <cmath>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <typeinfo>
#include <vector>

#include "tests/catch.hpp"
#include "tests/temporary_folder.hpp"

namespace guide {

inline std::vector<std::string> pieces(const std::string& text, bool lines) {
  std::vector<std::string> all;
  std::istringstream in(text);
  for (std::string piece; lines ? bool(std::getline(in, piece)) : bool(in >> piece);)
    if (piece.find_first_not_of(' ') != std::string::npos) all.push_back(piece);
  return all;
}

/// Two units of the last digit that the page shows: other processors round otherwise.
inline bool same_word(const std::string& page, const std::string& printed) {
  if (page == printed) return true;
  char *page_end = nullptr, *printed_end = nullptr;
  const double a = std::strtod(page.c_str(), &page_end), b = std::strtod(printed.c_str(), &printed_end);
  if (page_end == page.c_str() || printed_end == printed.c_str() || std::string(page_end) != printed_end) return false;
  const std::string digits(page.c_str(), static_cast<const char*>(page_end));
  const std::size_t e = digits.find_first_of("eE"), point = digits.find('.');
  double unit = e == std::string::npos ? 1 : std::pow(10, std::stod(digits.substr(e + 1)));
  if (point != std::string::npos)
    unit *= std::pow(10, -static_cast<double>(std::min(e, digits.size()) - point - 1));
  return std::abs(a - b) <= 2.01 * unit;
}

/// "..." stands for any number of pieces.
template <class Same>
bool match(const std::vector<std::string>& page, std::size_t i, const std::vector<std::string>& printed, std::size_t j,
           const Same& same) {
  if (i == page.size()) return j == printed.size();
  if (page[i] == "...")
    return match(page, i + 1, printed, j, same) || (j < printed.size() && match(page, i, printed, j + 1, same));
  return j < printed.size() && same(page[i], printed[j]) && match(page, i + 1, printed, j + 1, same);
}
inline bool same_text(const std::string& page, const std::string& printed) {
  return match(pieces(page, true), 0, pieces(printed, true), 0, [](const std::string& a, const std::string& b) {
    return match(pieces(a, false), 0, pieces(b, false), 0, same_word);
  });
}

class Page {
 public:
  Page() : before_(std::filesystem::current_path()), old_(std::cout.rdbuf(out_.rdbuf())) {
    std::filesystem::current_path(folder_.path);
  }
  ~Page() {
    std::cout.rdbuf(old_);
    std::filesystem::current_path(before_);
  }
  Page(const Page&) = delete;
  Page& operator=(const Page&) = delete;

  void forget() { out_.str({}); }
  /// All that was printed since the last call of any of these.
  void printed(const std::string& page) {
    const std::string text = out_.str();
    INFO("The page says:\n" << page << "It prints:\n" << text);
    CHECK(same_text(page, text));
    forget();
  }
  void no_error() { FAIL_CHECK("the page says that this is an error"); }
  /// As g++ ends a program.
  void error(const std::exception& error) {
    const std::unique_ptr<char, void (*)(void*)> name(
        abi::__cxa_demangle(typeid(error).name(), nullptr, nullptr, nullptr), std::free);
    out_ << "terminate called after throwing an instance of '" << name.get() << "'\n"
         << "  what():  " << error.what() << '\n';
  }

 private:
  TemporaryFolder folder_;
  std::filesystem::path before_;
  std::ostringstream out_;
  std::streambuf* old_;
};

}  // namespace guide
