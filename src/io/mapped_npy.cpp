#include <fmt/format.h>

#include <bit>
#include <pushforward/error.hpp>
#include <pushforward/io/mapped_npy.hpp>
#include <type_traits>
#include <utility>

#include "src/core/shape_text.hpp"
#include "src/io/npy_format.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
struct MappedNpy<T>::Impl {
  MappedFile file;
};

template <Scalar T>
MappedNpy<T>::MappedNpy(const std::filesystem::path& path) : impl_(new Impl{MappedFile(path)}) {
  const ByteSource source(impl_->file.bytes(), path.string());
  const auto fail = [&](const std::string& what, const char* way_out) {
    throw IoError(Notice{.where = source.name() + ": ", .problem = what, .way_out = way_out});
  };
  if (source.is_gzip()) fail("packed by gzip, which cannot be mapped", "; unpack it, or read_npy");
  const NpyLayout layout = read_layout(source.range(0, source.size()), source.size(), true, source.name());
  const bool little = std::endian::native == std::endian::little;
  const std::string code = std::is_same_v<T, float> ? "f4" : "f8";
  if (!layout.fields.empty() || (layout.dtype != (little ? "<" : ">") + code && layout.dtype != "=" + code))
    fail(fmt::format("type {} cannot be mapped as {}", show(layout.dtype), little ? "<" + code : ">" + code),
         "; read_npy converts it");
  if (layout.shape.size() > 2)
    fail(fmt::format("expected an array of rows and columns, got shape {}", shape_text(layout.shape)),
         "; reshape it to (N, D)");
  if (layout.begin % sizeof(T) != 0)
    fail(fmt::format("the numbers begin at byte {}, which is no multiple of {}", layout.begin, sizeof(T)),
         "; save it again, or read_npy");
  const Index rows = layout.shape.empty() ? 1 : layout.shape[0];
  const Index cols = layout.shape.size() < 2 ? 1 : layout.shape[1];
  const auto* const data = reinterpret_cast<const T*>(impl_->file.bytes().data() + layout.begin);
  view_ = layout.fortran_order ? MatrixView<const T>(data, rows, cols, 1, rows)
                               : MatrixView<const T>(data, rows, cols, cols, 1);
}

template <Scalar T>
MappedNpy<T>::MappedNpy(MappedNpy&& other) noexcept
    : impl_(std::move(other.impl_)), view_(std::exchange(other.view_, {})) {}
template <Scalar T>
MappedNpy<T>& MappedNpy<T>::operator=(MappedNpy&& other) noexcept {
  impl_ = std::move(other.impl_);
  view_ = std::exchange(other.view_, {});
  return *this;
}
template <Scalar T>
MappedNpy<T>::~MappedNpy() = default;

template class MappedNpy<float>;
template class MappedNpy<double>;

}  // namespace pushforward
