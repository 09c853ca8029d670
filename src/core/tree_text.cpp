#include <algorithm>
#include <concepts>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include <pushforward/fields.hpp>

namespace pushforward {

namespace {

/// "dim 4, epsilon 1e-05, degrees [64 values]"; what is 0 or false goes without saying.
std::string constants_text(const Description& d) {
  std::vector<std::string> items;
  for (const auto& [name, value] : d.constants) {
    std::visit(
        [&](const auto& v) {
          using V = std::remove_cvref_t<decltype(v)>;
          if constexpr (std::same_as<V, bool>) {
            if (v) items.push_back(name);
          } else if constexpr (std::same_as<V, std::int64_t>) {
            if (v != 0) items.push_back(fmt::format("{} {}", name, v));
          } else if constexpr (std::same_as<V, double>) {
            if (v != 0) items.push_back(fmt::format("{} {:.6g}", name, v));
          } else if constexpr (std::same_as<V, std::string>) {
            items.push_back(fmt::format("{} {}", name, v));
          } else if (v.size() <= 8) {
            std::string list;
            for (const auto& item : v) {
              if (!list.empty()) list += " ";
              if constexpr (std::same_as<V, std::vector<double>>)
                list += fmt::format("{:.4g}", item);
              else
                list += fmt::format("{}", item);
            }
            items.push_back(fmt::format("{} [{}]", name, list));
          } else {
            items.push_back(fmt::format("{} [{} values]", name, v.size()));
          }
        },
        value);
  }
  return fmt::format("{}", fmt::join(items, ", "));
}

std::string grouped(Index n) {
  const std::string digits = std::to_string(n);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

struct Line {
  std::string tree, count, detail;
};

/// How many values train below a path, for trees of very many parts.
template <Scalar T>
class Counts {
 public:
  explicit Counts(std::vector<ConstSlot<T>> slots) : slots_(std::move(slots)), before_(slots_.size() + 1) {
    std::sort(slots_.begin(), slots_.end(),
              [](const ConstSlot<T>& a, const ConstSlot<T>& b) { return a.path < b.path; });
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      const bool counts = slots_[i].kind == StateKind::parameter && slots_[i].attributes.trainable;
      before_[i + 1] = before_[i] + (counts ? slots_[i].tensor->size() : 0);
    }
  }
  Index below(const std::string& path) const {
    const auto start = [&](const ConstSlot<T>& slot) { return std::string_view(slot.path).substr(0, path.size()); };
    const auto first = std::partition_point(slots_.begin(), slots_.end(), [&](const auto& s) { return start(s) < path; });
    const auto last = std::partition_point(first, slots_.end(), [&](const auto& s) { return start(s) <= path; });
    return before_[static_cast<std::size_t>(last - slots_.begin())] -
           before_[static_cast<std::size_t>(first - slots_.begin())];
  }

 private:
  std::vector<ConstSlot<T>> slots_;
  std::vector<Index> before_;
};

template <Scalar T>
void collect(const Description& d, const std::string& name, const std::string& path, const std::string& indent,
             const std::string& branch, const Counts<T>& counts, std::vector<Line>& lines) {
  const Index parameters = counts.below(path);
  lines.push_back({indent + branch + (name.empty() ? "" : name + ": ") + d.type,
                   parameters > 0 ? grouped(parameters) : "-", constants_text(d)});
  const std::string deeper = indent + (branch.empty() ? "" : branch == "└─ " ? "   " : "│  ");
  for (std::size_t i = 0; i < d.children.size(); ++i)
    collect(d.children[i].description, d.children[i].name, path + d.children[i].name + ".", deeper,
            i + 1 == d.children.size() ? "└─ " : "├─ ", counts, lines);
}

/// Characters, not bytes, of UTF-8.
std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

template <Scalar T>
std::string to_text(const Component<T>& model) {
  std::vector<Line> lines{{"layers (base side first)", "parameters", ""}};
  collect<T>(model.describe(), "", "", "", "", Counts<T>(list_state(model)), lines);
  std::size_t tree = 0, count = 0;
  for (const Line& line : lines) {
    tree = std::max(tree, width(line.tree));
    count = std::max(count, line.count.size());
  }
  std::string text;
  for (const Line& line : lines)
    text += fmt::format("{}{}  {:>{}}{}{}\n", line.tree, std::string(tree - width(line.tree), ' '), line.count, count,
                        line.detail.empty() ? "" : "   ", line.detail);
  return text;
}

template std::string to_text(const Component<float>&);
template std::string to_text(const Component<double>&);

}  // namespace pushforward
