#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <optional>
#include <pushforward/views.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace binding {

namespace nb = nanobind;
namespace pf = pushforward;
using namespace nb::literals;

inline bool anything(PyObject*) { return true; }

/// What the caller gave, before it is looked at: the checks here name the argument, nanobind's do not.
struct Data : nb::object {
  NB_OBJECT_DEFAULT(Data, nb::object, "numpy.typing.ArrayLike", anything)
};
struct OptionalData : nb::object {
  NB_OBJECT_DEFAULT(OptionalData, nb::object, "numpy.typing.ArrayLike | None", anything)
};
struct DtypeLike : nb::object {
  NB_OBJECT_DEFAULT(DtypeLike, nb::object, "numpy.typing.DTypeLike", anything)
};
/// An array that a call gives back.
struct Array : nb::object {
  NB_OBJECT_DEFAULT(Array, nb::object, "numpy.ndarray", anything)
};

/// One of the two scalar types, or none said yet.
class Dtype {
 public:
  Dtype() = default;
  /// None, "float32", "float64", or what numpy.dtype() takes.
  /// @throws TypeError  for other types.
  explicit Dtype(nb::handle value);
  static Dtype of(bool single) {
    Dtype d;
    d.single_ = single;
    return d;
  }
  bool is_known() const { return single_.has_value(); }
  bool is_single(bool otherwise = false) const { return single_.value_or(otherwise); }
  /// Takes note of one more argument's type.
  /// @throws TypeError  naming both, if it is another one.
  void agree(Dtype other, std::string_view call, std::string_view name);
  const char* name() const { return is_single() ? "float32" : "float64"; }

 private:
  std::optional<bool> single_;
};

/// float32 for an array of it, else not known.
Dtype dtype_of(nb::handle source);

[[noreturn]] void type_error(const std::string& text);

/// A tensor's: see Borrowed::buffer.
inline constexpr int any_rank = -1;

/// The caller's memory, read where it lies: whatever has Python's buffer protocol or `__dlpack__`, with any strides.
/// Tables (pandas, pyarrow, polars) and lists are copied once, by pushforward._tables.
///
/// For the time of a call; made and destroyed with the GIL held.
class Borrowed {
 public:
  Borrowed() = default;
  /// `columns`: names to take a table's columns by.
  /// @throws TypeError   for another scalar type: nothing is converted silently.
  /// @throws ValueError  for another number of axes than `rank`.
  Borrowed(std::string_view call, std::string_view name, nb::handle source, bool single, int rank = 2,
           const std::vector<std::string>& columns = {});
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  Borrowed(Borrowed&& other) noexcept { *this = std::move(other); }
  Borrowed& operator=(Borrowed&& other) noexcept;
  ~Borrowed();

  template <pf::Scalar T>
  pf::MatrixView<const T> matrix() const {
    if (!buffer_.obj) return {};
    return {static_cast<const T*>(buffer_.buf), shape_[0], shape_[1], strides_[0], strides_[1]};
  }
  template <pf::Scalar T>
  pf::VectorView<const T> vector() const {
    if (!buffer_.obj) return {};
    return {static_cast<const T*>(buffer_.buf), shape_[0], strides_[0]};
  }
  pf::Index rows() const { return shape_[0]; }
  /// As it was given; without `obj`: none.
  const Py_buffer& buffer() const { return buffer_; }

 private:
  friend Borrowed borrowed_context(std::string_view, nb::handle, bool, const std::vector<std::string>&);
  void take(std::string_view call, std::string_view name, nb::handle source, bool single, int rank, bool one_row,
            const std::vector<std::string>& columns);

  Py_buffer buffer_{};
  pf::Index shape_[2] = {0, 0};
  pf::Index strides_[2] = {0, 0};  // in elements
};

/// A context: (N, C), or one row of (1, C) or (C), or None.
Borrowed borrowed_context(std::string_view call, nb::handle source, bool single,
                          const std::vector<std::string>& columns = {});

/// A new NumPy array, C-ordered, and where its values are.
template <class T>
class Result {
 public:
  explicit Result(std::initializer_list<pf::Index> shape);
  T* data() { return data_; }
  pf::VectorView<T> vector() { return {data_, rows_}; }
  pf::MatrixView<T> matrix() { return {data_, rows_, cols_, cols_, 1}; }
  Array array() { return std::move(array_); }

 private:
  Array array_;
  T* data_ = nullptr;
  pf::Index rows_ = 0, cols_ = 1;
};
extern template class Result<float>;
extern template class Result<double>;
extern template class Result<std::int64_t>;

Array array_of(pf::VectorView<const double> values);
Array array_of(const std::vector<double>& values);
Array array_of(const std::vector<std::int64_t>& values);
template <pf::Scalar T>
Array array_of(pf::MatrixView<const T> values) {
  Result<T> result({values.rows(), values.cols()});
  for (pf::Index i = 0; i < values.rows(); ++i)
    for (pf::Index j = 0; j < values.cols(); ++j) result.matrix()(i, j) = values(i, j);
  return result.array();
}

/// Numbers of a constructor: None, one number, a sequence or an array. Arrays bring their scalar type along; Python's
/// numbers and integers take that of the others.
class Numbers : public nb::object {
 public:
  NB_OBJECT_DEFAULT(Numbers, nb::object, "numpy.typing.ArrayLike | None", anything)
};

/// The values of such an argument.
struct Values {
  std::vector<double> values;
  std::vector<pf::Index> shape;  ///< empty: one number
  Dtype dtype;

  /// @throws TypeError, ValueError  naming the argument.
  Values(std::string_view name, nb::handle source);
  bool is_scalar() const { return shape.empty(); }
  template <pf::Scalar T>
  std::vector<T> as(pf::Index size) const {
    if (is_scalar()) return std::vector<T>(static_cast<std::size_t>(size), static_cast<T>(values[0]));
    return std::vector<T>(values.begin(), values.end());
  }
};

}  // namespace binding
