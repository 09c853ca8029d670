// What all commands ask of their arguments.

#include <algorithm>
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

CLI::Validator number(const char* range, double low, double high, bool without_low, bool without_high) {
  return CLI::Validator(
      [=](std::string& text) {
        const auto v = to_number(text);
        const bool good = v && (without_low ? *v > low : *v >= low) && (without_high ? *v < high : *v <= high);
        return good ? std::string() : fmt::format("expected a number {}, got '{}'", range, text);
      },
      "NUMBER");
}

CLI::Validator one_of(const std::vector<std::string>& words) {
  return CLI::Validator(
      [words](std::string& text) {
        if (std::find(words.begin(), words.end(), text) != words.end()) return std::string();
        return fmt::format("expected {}{}{}, got '{}'{}", joined({words.begin(), words.end() - 1}),
                           words.size() > 1 ? " or " : "", words.back(), text, did_you_mean(text, words));
      },
      joined(words, " "), one_of_name);
}

namespace {

/// Letters to change, insert, leave out or exchange with the next one (optimal string alignment).
std::size_t edits(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i)
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i][j] = i + j;
        continue;
      }
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  return d[a.size()][b.size()];
}

}  // namespace

std::string did_you_mean(std::string_view word, const std::vector<std::string>& known) {
  const auto nearest = std::min_element(known.begin(), known.end(),
                                        [&](const auto& a, const auto& b) { return edits(word, a) < edits(word, b); });
  if (nearest == known.end() || 3 * edits(word, *nearest) > std::max<std::size_t>(3, nearest->size())) return {};
  return fmt::format(" (did you mean '{}'?)", *nearest);
}

namespace {

/// The first word or option of the command line that nothing takes; empty: none.
std::string unknown_argument(const CLI::App& app) {
  const std::vector<std::string> left = app.remaining(true);
  if (left.empty()) return {};
  const std::string word = left.front().substr(0, left.front().find('='));
  const std::vector<CLI::App*> chosen = app.get_subcommands();
  if (word.starts_with("-")) {
    std::vector<std::string> options;
    for (const CLI::App* level : {&app, chosen.empty() ? &app : static_cast<const CLI::App*>(chosen.front())})
      for (const CLI::Option* option : level->get_options())
        for (const std::string& name : option->get_lnames()) options.push_back("--" + name);
    return fmt::format("unknown option '{}'{}", word, did_you_mean(word, options));
  }
  if (!chosen.empty()) return fmt::format("'{}' takes no further word '{}'", chosen.front()->get_name(), word);
  const std::vector<std::string> commands = command_names(app);
  return fmt::format("unknown command '{}'{}; expected {}", word, did_you_mean(word, commands), joined(commands));
}

}  // namespace

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App* sub) { return !sub->get_group().empty(); }))
    names.push_back(command->get_name());
  return names;
}

std::string explain(const CLI::App& app, const CLI::ParseError& error) {
  // Said first: what follows from a word that is wrong is the word's fault.
  if (const std::string unknown = unknown_argument(app); !unknown.empty()) return unknown;
  if (app.get_subcommands().empty()) return "a command is missing; expected " + joined(command_names(app));
  const std::string text = error.what();
  // "--lr: 1 required FLOAT:NUMBER missing"
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) && text.ends_with(" missing"))
    return text.substr(0, text.find(':')) + ": expected a value";
  return text;
}

namespace {

/// What a file says at its top is of the command that runs.
class CommandConfig final : public CLI::ConfigBase {
 public:
  explicit CommandConfig(const CLI::App& app) : app_(app) {}

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    std::vector<CLI::ConfigItem> items = CLI::ConfigBase::from_config(input);
    if (app_.get_subcommands().empty()) return {};  // which is said later
    const CLI::App& command = *app_.get_subcommands().front();
    for (CLI::ConfigItem& item : items) {
      if (item.parents.empty()) item.parents = {command.get_name()};
      if (item.name == "++" || item.name == "--" || item.parents != std::vector<std::string>{command.get_name()})
        continue;  // the end of a section, or what is of another command
      std::vector<std::string> known;
      for (const CLI::Option* option : command.get_options())
        known.push_back(option->get_lnames().empty() ? option->get_name() : option->get_lnames().front());
      if (std::find(known.begin(), known.end(), item.name) == known.end())
        throw UsageError(fmt::format("--config: '{}' has no option '{}'{}", command.get_name(), item.name,
                                     did_you_mean(item.name, known)));
    }
    return items;
  }

 private:
  const CLI::App& app_;
};

}  // namespace

void add_config(CLI::App& app) {
  app.fallthrough();  // commands have it too: it stands where it is typed
  app.set_config("--config", "",
                 "TOML file with options of the command, as epochs = 50; the command line has precedence")
      ->option_text("FILE");
  app.config_formatter(std::make_shared<CommandConfig>(app));
  // It is an input, whatever the command writes.
  app.parse_complete_callback([&app] {
    const auto named = [](const CLI::App& owner, const char* option, std::vector<NamedFile>& files) {
      // (get_option_no_throw takes memory and must not throw.)
      for (const CLI::Option* known : owner.get_options())
        if (known->get_name() == option)
          for (const std::string& file : known->results()) files.push_back({option, file});
    };
    std::vector<NamedFile> inputs, outputs;
    named(app, "--config", inputs);
    for (const CLI::App* command : app.get_subcommands())
      for (const char* option : {"--out", "--log", "--checkpoint"}) named(*command, option, outputs);
    refuse_overwriting(inputs, outputs);
  });
}

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
