#pragma once

#include <stdexcept>
#include <string>

namespace pushforward {

/// Base of every exception that the library throws on purpose.
/// The text says where, what was expected, what came, and the way out.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Sizes that do not fit: `Chain(Affine, Exp)::inverse: expected (N, 2), got (3, 5)`.
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
