// libFuzzer target: any bytes either load as .npy or .npz or throw IoError.
#include <cstdint>
#include <cstdlib>
#include <pushforward/error.hpp>
#include <pushforward/io/npy.hpp>
#include <span>

namespace {

void use(const pushforward::NpyArray& array) {
  const auto matrix = array.matrix();
  if (matrix.size() != array.values.size()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    use(pushforward::read_npy(bytes, "fuzz", {.allow_non_finite = size % 2 == 0}));
  } catch (const pushforward::IoError&) {
  }
  try {
    const pushforward::NpzFile archive(bytes, "fuzz");
    for (const std::string& name : archive.names()) {
      try {
        use(archive.get(name));
      } catch (const pushforward::IoError&) {
      }
    }
  } catch (const pushforward::IoError&) {
  }
  return 0;
}
