// The command line tool: fits densities to tables, draws from them, scores rows, and shows what a model is.

#include <cstdio>
#include <exception>
#include <new>

#include "tools/tool.hpp"

namespace {

/// Errors are one line on standard error. Nothing here takes memory or throws: both may be what went wrong.
int fail(const char* text, int status) noexcept {
  std::fputs("pushforward: ", stderr);
  for (; *text != '\0'; ++text) std::fputc(*text == '\n' ? ' ' : *text, stderr);
  std::fputc('\n', stderr);
  return status;
}

int run(int argc, char** argv) {
  CLI::App app("Normalizing flows: fit a density to a table, sample from it, score rows with it.", "pushforward");
  app.set_version_flag("--version", "pushforward " PUSHFORWARD_VERSION);
  app.require_subcommand(1);
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.get_formatter()->column_width(36);
  app.footer("Data is CSV, .npy or .npz; the columns of a model are found by their names.\n"
             "'pushforward COMMAND --help' lists the options of a command.\n"
             "Exit status: 0 done, 1 failed, 2 the command line is wrong, 130 interrupted.");
  tool::add_config(app);
  tool::add_fit(app);
  tool::add_sample(app);
  tool::add_log_prob(app);
  tool::add_compare(app);
  tool::add_check(app);
  tool::add_info(app);
  tool::add_plot(app);
  tool::add_export(app);
  tool::add_manual(app);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    const auto chosen = app.get_subcommands();
    return fail(fmt::format("{}; see 'pushforward{} --help'", tool::explain(app, error),
                            chosen.empty() ? "" : fmt::format(" {}", chosen.front()->get_name()))
                    .c_str(),
                2);
  }
  return std::fflush(stdout) == 0 ? 0 : fail("cannot write to standard output", 1);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const tool::UsageError& error) {
    return fail(error.what(), 2);
  } catch (const tool::Interrupted& error) {
    return fail(error.what(), 130);
  } catch (const std::bad_alloc&) {
    return fail("out of memory", 1);
  } catch (const std::exception& error) {
    return fail(error.what(), 1);
  }
}
