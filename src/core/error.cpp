#include <pushforward/error.hpp>

namespace pushforward {

namespace {

void append_columns(std::string& text, const char* kind, const std::vector<std::ptrdiff_t>& columns) {
  if (columns.empty()) return;
  text += (text.empty() ? "" : ", ") + std::string(kind) + (columns.size() == 1 ? " " : "s ");
  for (std::size_t i = 0; i < columns.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(columns[i]);
}

}  // namespace

std::string Notice::place() const {
  std::string text = row < 0 ? std::string() : set + (set.empty() ? "row " : " row ") + std::to_string(row);
  append_columns(text, "column", columns);
  append_columns(text, "context column", context_columns);
  return text;
}

std::string Notice::text() const { return where + place() + problem + way_out; }

}  // namespace pushforward
