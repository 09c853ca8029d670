#include "src/io/columns.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <pushforward/error.hpp>
#include <string_view>
#include <utility>

#include "src/io/file.hpp"

namespace pushforward::detail {

namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

// ` (did you mean "width"?)` when a name is close enough.
std::string suggestion(std::string_view wanted, const std::vector<std::string>& names) {
  constexpr std::size_t kLongest = 100;
  std::size_t best = std::max<std::size_t>((wanted.size() + 1) / 2, 2);
  const std::string* nearest = nullptr;
  for (const std::string& name : names) {
    if (wanted.size() > kLongest || name.empty() || name.size() > kLongest) continue;
    const std::size_t distance = edit_distance(wanted, name);
    if (distance < best) {
      best = distance;
      nearest = &name;
    }
  }
  return nearest == nullptr ? std::string() : fmt::format(" (did you mean {}?)", show(*nearest));
}

}  // namespace

std::string name_list(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 20;
  std::string out;
  for (std::size_t i = 0; i < names.size() && i < kMost; ++i) out += (i == 0 ? "" : ", ") + show(names[i]);
  if (names.size() > kMost) out += fmt::format(", ... ({} in all)", names.size());
  return out;
}

std::vector<Index> chosen_columns(const std::string& source, const std::vector<std::string>& names,
                                  const std::vector<std::string>& columns, const std::vector<std::string>& drop) {
  std::map<std::string_view, Index> position;
  for (std::size_t i = 0; i < names.size(); ++i) position.emplace(names[i], static_cast<Index>(i));
  const auto find = [&](const std::string& name) {
    const auto found = position.find(name);
    if (found == position.end())
      throw IoError(fmt::format("{}: no column {}{}; the columns are {}", source, show(name), suggestion(name, names),
                                name_list(names)));
    return found->second;
  };
  std::vector<Index> order;
  for (const std::string& name : columns) {
    const Index column = find(name);
    if (std::find(order.begin(), order.end(), column) != order.end())
      throw IoError(fmt::format("{}: column {} is selected twice", source, show(name)));
    order.push_back(column);
  }
  if (columns.empty()) {
    order.resize(names.size());
    std::iota(order.begin(), order.end(), Index{0});
  }
  for (const std::string& name : drop) std::erase(order, find(name));
  if (order.empty() && !names.empty()) throw IoError(source + ": no column is left to read");
  return order;
}

}  // namespace pushforward::detail
