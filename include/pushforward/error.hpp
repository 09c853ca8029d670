#pragma once

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace pushforward {

/// What an error or a warning says, in parts: for programs whose users know columns and options by other names.
struct Notice {
  std::string where = {};     ///< who says it, with all that comes before the place: "fit(Normal): "
  std::string set = {};       ///< which rows are counted: "data", "validation"
  std::ptrdiff_t row = -1;    ///< of these; -1: no row in particular
  std::vector<std::ptrdiff_t> columns = {};  ///< of the data
  std::vector<std::ptrdiff_t> context_columns = {};
  std::string problem = {};   ///< what follows the place: " is constant"
  std::string option = {};    ///< the option that is wrong, or that is a way out: "rounded"
  std::string way_out = {};   ///< what follows the problem, in the words of the library; it may name the option
  /// Options that are a way out together, each with the value that it takes: {"drop", "a,b"}, {"missing", "drop"}.
  std::vector<std::pair<std::string, std::string>> settings = {};

  /// "validation row 3, column 2", "columns 0, 4"; empty if there is none.
  std::string place() const;
  /// All of it: where, place, problem, way out.
  std::string text() const;
  operator std::string() const { return text(); }  // NOLINT: a text wherever one is wanted
};

/// Base of every exception that the library throws on purpose.
/// The text says where, what was expected, what came, and the way out.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& text) : Error(Notice{.problem = text}) {}
  explicit Error(Notice notice)
      : std::runtime_error(notice.text()), notice_(std::make_shared<const Notice>(std::move(notice))) {}

  /// The parts of the text; where nobody took it to pieces, all of it is the problem.
  const Notice& notice() const noexcept { return *notice_; }

 private:
  std::shared_ptr<const Notice> notice_;  // copies of exceptions must not throw
};

/// Sizes that do not fit:
///
///     Chain(Affine, Exp)::inverse: expected (N, 2), got (3, 5)
class ShapeError : public Error {
 public:
  using Error::Error;
};

/// A value outside the range where the operation is defined: a non-positive scale, a NaN in training data,
/// a point that `inverse` cannot map back.
class DomainError : public Error {
 public:
  using Error::Error;
};

/// The class cannot give what was asked for; the text says why and what to call instead.
class NotImplemented : public Error {
 public:
  using Error::Error;
};

/// A file or a byte range that cannot be read, written or understood.
class IoError : public Error {
 public:
  using Error::Error;
};

}  // namespace pushforward

#ifdef _GLIBCXX_DEBUG
namespace pushforward::detail {
/// With this macro std::vector has another size, and what crosses the library would be read wrongly. A program that is
/// built with it does not link to a library that is not: this is what the linker names then.
extern const char the_library_is_not_built_with_GLIBCXX_DEBUG;
[[gnu::used]] inline const char* const containers_match = &the_library_is_not_built_with_GLIBCXX_DEBUG;
}  // namespace pushforward::detail
#endif
