// What all commands ask of their arguments.

#include <charconv>
#include <filesystem>
#include <limits>
#include <system_error>

#include "tools/tool.hpp"

namespace tool {

namespace {

/// Devices and pipes may be read and written at once; a plain file that is read is lost when it is written.
bool same_file(const std::filesystem::path& a, const std::filesystem::path& b) {
  std::error_code error;
  if (std::filesystem::exists(a, error) && std::filesystem::exists(b, error))
    return std::filesystem::is_regular_file(a, error) && std::filesystem::equivalent(a, b, error) && !error;
  const auto whole = [&](const std::filesystem::path& path) {
    return std::filesystem::weakly_canonical(std::filesystem::absolute(path, error), error);
  };
  const std::filesystem::path whole_a = whole(a);
  return !error && whole_a == whole(b) && !error;
}

}  // namespace

void refuse_overwriting(const std::vector<NamedFile>& inputs, const std::vector<NamedFile>& outputs) {
  const auto refuse = [](const NamedFile& output, const NamedFile& other, const char* output_device,
                         const char* other_device, const char* why) {
    if (output.path.empty() || other.path.empty()) return;
    if (same_file(output.path == "-" ? output_device : output.path, other.path == "-" ? other_device : other.path))
      throw UsageError(fmt::format("{} and {} are the same file, '{}', {}; give {} another name", output.name,
                                   other.name, other.path == "-" ? output.path : other.path, why, output.name));
  };
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    for (const NamedFile& input : inputs)
      refuse(outputs[i], input, "/dev/stdout", "/dev/stdin", "which would be overwritten");
    for (std::size_t j = 0; j < i; ++j)
      refuse(outputs[i], outputs[j], "/dev/stdout", "/dev/stdout", "and one would overwrite the other");
  }
}

CLI::Validator file_name() {
  return CLI::Validator(
      [](std::string& text) { return text.empty() ? "expected the name of a file, got ''" : std::string(); }, "FILE");
}

CLI::Validator whole_number(std::uint64_t low, std::uint64_t high) {
  return CLI::Validator(
      [low, high](std::string& text) {
        std::uint64_t value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        bool good = error == std::errc() && end == text.data() + text.size();
        if (const auto number = to_number(text); !good && number) {
          // Beyond, doubles leave out whole numbers.
          good = *number >= 0 && *number <= 9007199254740992.0 && *number == std::floor(*number);
          if (good) value = static_cast<std::uint64_t>(*number);
        }
        if (!good || value < low || value > high)
          return fmt::format("expected a whole number from {} to {}, got '{}'", low, high, text);
        text = std::to_string(value);  // the parser would take 010 for 8
        return std::string();
      },
      "NUMBER");
}

CLI::Validator seed_number() { return whole_number(0, std::numeric_limits<std::uint64_t>::max()); }

CLI::Option* add_list(CLI::App& app, const std::string& name, std::vector<std::string>& values,
                      const std::string& description) {
  return app.add_option(name, values, description)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

std::vector<std::string> split_lists(const std::vector<std::string>& lists) {
  std::vector<std::string> parts;
  for (const std::string& list : lists)
    for (std::string& part : split_list(list)) parts.push_back(std::move(part));
  return parts;
}

void refuse_repeated(const CLI::App& app) {
  for (const CLI::Option* option : app.get_options())
    if (option->get_items_expected_max() == 1 && option->get_expected_min() > 0 && option->count() > 1)
      throw UsageError(fmt::format("{}: takes one value and is given {} times; leave one of them",
                                   option->get_name(), option->count()));
}

}  // namespace tool
