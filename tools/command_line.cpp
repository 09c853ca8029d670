// What all commands ask of their arguments.

#include <filesystem>
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

}  // namespace tool
