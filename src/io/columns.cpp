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

void Faults::add_grouped(std::size_t column, char separator) {
  // One column, one separator: with two it is text.
  if (grouped[column] > 0 && separators[column] != separator) {
    ++text[column];
    return;
  }
  ++grouped[column];
  separators[column] = separator;
}

void Faults::add_holes(const std::vector<Index>& columns) {
  constexpr std::size_t kMostKinds = 10'000;
  for (const Index c : columns) ++missing[static_cast<std::size_t>(c)];
  if (holes.size() < kMostKinds) ++holes[columns];
}

namespace {

/// "\"x\" in 2 rows, \"y\" in 1 row" for the counts above 0.
std::string in_rows(const std::vector<std::string>& names, const std::vector<Index>& counts) {
  std::string listed;
  for (std::size_t c = 0; c < counts.size(); ++c)
    if (counts[c] > 0)
      listed += fmt::format("{}{} in {} row{}", listed.empty() ? "" : ", ", show(names[c]), counts[c],
                            counts[c] == 1 ? "" : "s");
  return listed;
}

/// Names of those above `least`, for a list.
std::string names_above(const std::vector<std::string>& names, const std::vector<Index>& counts, Index least) {
  std::string listed;
  for (std::size_t c = 0; c < counts.size(); ++c)
    if (counts[c] > least) listed += (listed.empty() ? "" : ",") + names[c];
  return listed;
}

}  // namespace

Notice Faults::notice(const std::vector<std::string>& names, std::string where, std::string first, bool all) const {
  // There is one option for all columns: those with the first separator get it, others are text.
  std::vector<Index> no_numbers = text, numbers = grouped;
  char separator = '\0';
  for (std::size_t c = 0; c < numbers.size(); ++c) {
    if (numbers[c] > 0 && text[c] == 0 && separator == '\0') separator = separators[c];
    if (numbers[c] == 0 || (text[c] == 0 && separators[c] == separator)) continue;
    no_numbers[c] += std::exchange(numbers[c], 0);
  }
  // A column of text goes with its holes, and so does one that has more holes than values.
  std::vector<Index> useless(names.size());
  Index faults = 0;
  for (std::size_t c = 0; c < useless.size(); ++c) {
    useless[c] = no_numbers[c] > 0 || 2 * missing[c] > rows;
    faults += no_numbers[c] + missing[c] + numbers[c];
  }
  // So do those with most holes, until a row is whole.
  const auto whole = [&](const auto& row) {
    return std::all_of(row.first.begin(), row.first.end(),
                       [&](Index c) { return useless[static_cast<std::size_t>(c)] > 0; });
  };
  const auto most_holes = [&] {
    std::size_t most = 0;
    for (std::size_t c = 0; c < useless.size(); ++c)
      if (useless[most] > 0 || (useless[c] == 0 && missing[c] > missing[most])) most = c;
    return most;
  };
  while (!holes.empty() && std::none_of(holes.begin(), holes.end(), whole)) useless[most_holes()] = 1;
  bool holes_stay = false;
  for (std::size_t c = 0; c < useless.size(); ++c) holes_stay = holes_stay || (missing[c] > 0 && useless[c] == 0);
  const bool nothing_stays = std::find(useless.begin(), useless.end(), 0) == useless.end();
  const std::string to_drop = nothing_stays ? "" : names_above(names, useless, 0);
  const char* const option = nothing_stays || !to_drop.empty() ? "drop" : holes_stay ? "missing" : "thousands";
  Notice notice{.where = std::move(where), .problem = std::move(first), .option = option};
  if (faults > 1) {
    const auto list = [&](const char* what, const std::vector<Index>& counts) {
      const std::string listed = in_rows(names, counts);
      if (!listed.empty()) notice.problem += fmt::format("; {}{}: {}", what, all ? "" : " of the rows looked at", listed);
    };
    list("no numbers", no_numbers);
    list("values are missing", missing);
    list("thousands are separated", numbers);
  }
  if (nothing_stays && faults > 1) notice.problem += "; so no column can be read";
  if (!to_drop.empty()) {
    if (faults > 1) notice.way_out = "; drop " + to_drop;
    notice.settings.emplace_back("drop", to_drop);
  }
  if (holes_stay) {
    if (faults > 1) notice.way_out += "; Missing::drop leaves rows out that miss a value";
    notice.settings.emplace_back("missing", "drop");
  }
  if (separator != '\0') {
    notice.way_out += fmt::format("; thousands {} reads them", show({&separator, 1}));
    notice.settings.emplace_back("thousands", std::string(1, separator));
  }
  return notice;
}

Notice Faults::nothing_left(const std::vector<std::string>& names, std::string where) const {
  // Those that miss most; where no column does, all that miss some.
  const Index most = *std::max_element(missing.begin(), missing.end());
  const std::string to_drop = names_above(names, missing, most / 2);
  return {.where = std::move(where),
          .problem = "every row misses a value: " + in_rows(names, missing),
          .option = "drop",
          .way_out = "; drop " + to_drop,
          .settings = {{"drop", to_drop}}};
}

}  // namespace pushforward::detail
