#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <pushforward/views.hpp>

namespace pushforward {

/// What a constructor needs to make an object again: its type's registered name, its constants (sizes, options,
/// permutations, degrees) and its parts. Learned values are not in it; they follow by path name.
/// Lists of integers are stored as int64 tensors in model files, everything else as JSON.
struct Description {
  using Value = std::variant<bool, std::int64_t, double, std::string, std::vector<std::int64_t>, std::vector<double>,
                             std::vector<std::string>>;
  struct Part;

  std::string type;
  std::map<std::string, Value, std::less<>> constants;
  /// Parts by the name that they have in paths: {"net", ...}, {"0", ...}.
  std::vector<Part> children;

  bool has(std::string_view name) const;
  // Typed access; each throws IoError naming type, constant, and what it is instead.
  bool flag(std::string_view name) const;
  Index integer(std::string_view name) const;
  /// The same, checked to lie in [low, high].
  Index integer(std::string_view name, Index low, Index high) const;
  double number(std::string_view name) const;
  const std::string& text(std::string_view name) const;
  const std::vector<std::int64_t>& integers(std::string_view name) const;
  const std::vector<double>& numbers(std::string_view name) const;
  const std::vector<std::string>& texts(std::string_view name) const;
  const Description& child(std::string_view name) const;
  bool has_child(std::string_view name) const;

  friend bool operator==(const Description& a, const Description& b);
};

struct Description::Part {
  std::string name;
  Description description;

  friend bool operator==(const Part&, const Part&) = default;
};

}  // namespace pushforward
