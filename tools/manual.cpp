// The page of the manual and the completion of bash, both from the options that the commands have.

#include <algorithm>
#include <cstdio>
#include <memory>

#include "tools/tool.hpp"

namespace tool {

namespace {

std::vector<CLI::App*> commands_of(CLI::App& app) {
  std::vector<CLI::App*> commands;
  for (const std::string& name : command_names(app)) commands.push_back(app.get_subcommand(name));
  return commands;
}

/// Text of a page: what roff would take for its own is escaped.
std::string roff(std::string_view text) {
  std::string out;
  bool line_begins = true;
  for (const char c : text) {
    if (line_begins && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') out += "\\e";
    else if (c == '-') out += "\\-";
    else out += c;
    line_begins = c == '\n';
  }
  return out;
}

void print_options(std::FILE* to, const CLI::App& app) {
  const CLI::Formatter formatter;
  for (const bool positional : {true, false})
    for (const CLI::Option* option : app.get_options())
      if (option->get_positional() == positional)
        fmt::print(to, ".TP\n.B {}{}\n{}\n", roff(formatter.make_option_name(option, positional)),
                   roff(formatter.make_option_opts(option)), roff(formatter.make_option_desc(option)));
}

void print_page(std::FILE* to, CLI::App& app) {
  fmt::print(to, ".TH PUSHFORWARD 1 \"\" \"pushforward {}\" \"User Commands\"\n", PUSHFORWARD_VERSION);
  fmt::print(to, ".SH NAME\npushforward \\- densities of tables by normalizing flows\n");
  fmt::print(to, ".SH SYNOPSIS\n");
  for (const CLI::App* command : commands_of(app)) {
    fmt::print(to, ".B pushforward {}\n", roff(command->get_name()));
    for (const CLI::Option* option : command->get_options())
      if (option->get_positional()) fmt::print(to, ".I {}\n", roff(option->get_name()));
    fmt::print(to, "[\\fIoptions\\fR]\n.br\n");
  }
  fmt::print(to, ".SH DESCRIPTION\n{}\n", roff(app.get_description()));
  for (const CLI::App* command : commands_of(app)) {
    fmt::print(to, ".SH {}\n{}\n", roff(command->get_name()), roff(command->get_description()));
    print_options(to, *command);
    if (!command->get_footer().empty()) fmt::print(to, ".PP\n{}\n", roff(command->get_footer()));
  }
  fmt::print(to, ".SH OPTIONS OF ALL COMMANDS\n");
  print_options(to, app);
  fmt::print(to, ".SH NOTES\n{}\n", roff(app.get_footer()));
}

/// "--layers --out -o"
std::string option_words(const CLI::App& app) {
  std::string words;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) words += " --" + name;
    for (const std::string& name : option->get_snames()) words += " -" + name;
  }
  return words.substr(std::min<std::size_t>(1, words.size()));
}

void print_completion(std::FILE* to, CLI::App& app) {
  fmt::print(to, R"(# Completion of pushforward for bash.
_pushforward() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}} words
  if [ "$COMP_CWORD" -eq 1 ]; then
    words="{} {}"
  else
    case "${{COMP_WORDS[1]}} $previous" in
)",
             joined(command_names(app), " "), option_words(app));
  for (CLI::App* command : commands_of(app))
    for (CLI::Option* option : command->get_options())
      try {
        // Throws where the option takes any value.
        const std::string words = option->get_validator(one_of_name)->get_description();
        for (const std::string& name : option->get_lnames())
          fmt::print(to, "      \"{} --{}\") words=\"{}\" ;;\n", command->get_name(), name, words);
      } catch (const CLI::OptionNotFound&) {
      }
  fmt::print(to, R"(      *)
        case $current in
          -*)
            case ${{COMP_WORDS[1]}} in
)");
  for (const CLI::App* command : commands_of(app))
    fmt::print(to, "              {}) words=\"{} --config\" ;;\n", command->get_name(), option_words(*command));
  fmt::print(to, R"(            esac
            ;;
        esac
        ;;
    esac
  fi
  if [ -n "$words" ]; then
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  else
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  fi
}}
complete -F _pushforward pushforward
)");
}

/// To a file, or to standard output.
void add(CLI::App& app, const char* name, const char* description, void (*print)(std::FILE*, CLI::App&)) {
  auto out = std::make_shared<std::string>();
  CLI::App* sub = app.add_subcommand(name, description)->group("");
  sub->add_option("-o,--out", *out, "File to write")->check(file_name());
  sub->callback([&app, out, print] {
    if (out->empty()) return print(stdout, app);
    std::FILE* file = std::fopen(out->c_str(), "w");
    if (file) print(file, app);
    if (!file || std::fclose(file) != 0) throw pf::IoError(*out + ": cannot be written");
  });
}

}  // namespace

void add_manual(CLI::App& app) {
  add(app, "man", "Print the page of the manual.", &print_page);
  add(app, "completion", "Print the completion of bash.", &print_completion);
}

}  // namespace tool
