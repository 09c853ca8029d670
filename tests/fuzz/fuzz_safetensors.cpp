// libFuzzer target: any bytes either load or throw IoError, and what loads survives a round trip.
#include <cstdint>
#include <cstdlib>
#include <pushforward/error.hpp>
#include <pushforward/io/safetensors.hpp>
#include <span>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pushforward;
  try {
    const SafetensorsFile file = SafetensorsFile::read(std::as_bytes(std::span(data, size)), "fuzz");
    for (const NamedTensor& tensor : file.tensors()) {
      if (tensor.dtype == "F32") static_cast<void>(file.get<float>(tensor.name));
      if (tensor.dtype == "F64") static_cast<void>(file.get<double>(tensor.name));
    }
    const auto bytes = serialize_safetensors(file.tensors(), file.metadata());
    const SafetensorsFile again = SafetensorsFile::read(bytes, "again");
    if (again.metadata() != file.metadata() || again.tensors().size() != file.tensors().size()) std::abort();
    if (serialize_safetensors(again.tensors(), again.metadata()) != bytes) std::abort();
  } catch (const IoError& error) {
    if (!std::string_view(error.what()).starts_with("fuzz")) std::abort();
  }
  return 0;
}
