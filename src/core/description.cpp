#include <pushforward/description.hpp>

#include <pushforward/error.hpp>

namespace pushforward {

namespace {

template <class V>
const V& get(const Description& d, std::string_view name, const char* kind) {
  const auto found = d.constants.find(name);
  if (found == d.constants.end())
    throw IoError(d.type + ": the description has no constant '" + std::string(name) + "'");
  if (const V* value = std::get_if<V>(&found->second)) return *value;
  throw IoError(d.type + ": constant '" + std::string(name) + "' is not " + kind);
}

}  // namespace

bool operator==(const Description& a, const Description& b) {
  return a.type == b.type && a.constants == b.constants && a.children == b.children;
}

bool Description::has(std::string_view name) const { return constants.find(name) != constants.end(); }
bool Description::flag(std::string_view name) const { return get<bool>(*this, name, "true or false"); }
Index Description::integer(std::string_view name) const {
  return static_cast<Index>(get<std::int64_t>(*this, name, "an integer"));
}
Index Description::integer(std::string_view name, Index low, Index high) const {
  const Index value = integer(name);
  if (value < low || value > high)
    throw IoError(type + ": constant '" + std::string(name) + "' must lie in [" + std::to_string(low) + ", " +
                  std::to_string(high) + "], got " + std::to_string(value));
  return value;
}
double Description::number(std::string_view name) const {
  const auto found = constants.find(name);
  // JSON writes 3.0 as it likes, so an integer is a number too.
  if (found != constants.end())
    if (const std::int64_t* value = std::get_if<std::int64_t>(&found->second)) return static_cast<double>(*value);
  return get<double>(*this, name, "a number");
}
const std::string& Description::text(std::string_view name) const { return get<std::string>(*this, name, "a text"); }
const std::vector<std::int64_t>& Description::integers(std::string_view name) const {
  return get<std::vector<std::int64_t>>(*this, name, "a list of integers");
}
const std::vector<double>& Description::numbers(std::string_view name) const {
  return get<std::vector<double>>(*this, name, "a list of numbers");
}
const std::vector<std::string>& Description::texts(std::string_view name) const {
  return get<std::vector<std::string>>(*this, name, "a list of texts");
}
bool Description::has_child(std::string_view name) const {
  for (const auto& [child_name, child] : children)
    if (child_name == name) return true;
  return false;
}
const Description& Description::child(std::string_view name) const {
  for (const auto& [child_name, child] : children)
    if (child_name == name) return child;
  throw IoError(type + ": the description has no part '" + std::string(name) + "'");
}

}  // namespace pushforward
