#include "arrays.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace binding {

namespace {

/// NumPy, imported once; the objects live as long as the interpreter.
struct NumPy {
  nb::object ndarray, empty, asarray, dtype, masked, tables;
};

NumPy& numpy() {
  static NumPy* const loaded = [] {
    const nb::module_ np = nb::module_::import_("numpy");
    return new NumPy{np.attr("ndarray"),
                     np.attr("empty"),
                     np.attr("asarray"),
                     np.attr("dtype"),
                     np.attr("ma").attr("MaskedArray"),
                     nb::module_::import_("pushforward._tables")};
  }();
  return *loaded;
}

/// 'f' or 'd' of a buffer's format, else 0.
char scalar_code(const char* format) {
  if (!format) return 0;
  if (*format == '@' || *format == '=' || *format == '<') ++format;
  return (*format == 'f' || *format == 'd') && format[1] == 0 ? *format : 0;
}

std::string type_text(nb::handle source) {
  const nb::object type =
      nb::hasattr(source, "dtype") ? nb::object(source.attr("dtype")) : nb::object(source.type().attr("__name__"));
  return nb::cast<std::string>(nb::steal(PyObject_Str(type.ptr())));
}

[[noreturn]] void wrong_type(std::string_view call, std::string_view name, nb::handle source, bool single) {
  const char* const wanted = single ? "float32" : "float64";
  const std::string got = type_text(source);
  throw nb::type_error(fmt::format("{}: {} is {} and the model {}; nothing is converted silently: give "
                                   "{}.astype('{}'){}",
                                   call, name, got, wanted, name, wanted,
                                   got == "float32" || got == "float64"
                                       ? fmt::format(", or take model.astype('{}')", got)
                                       : std::string())
                           .c_str());
}

}  // namespace

void type_error(const std::string& text) { throw nb::type_error(text.c_str()); }

Dtype::Dtype(nb::handle value) {
  if (value.is_none()) return;
  const std::string name = nb::cast<std::string>(numpy().dtype(value).attr("name"));
  if (name != "float32" && name != "float64") type_error("dtype: expected float32 or float64, got " + name);
  single_ = name == "float32";
}

Dtype dtype_of(nb::handle source) {
  return nb::hasattr(source, "dtype") && type_text(source).find("float32") != std::string::npos ? Dtype::of(true)
                                                                                                : Dtype();
}

void Dtype::agree(Dtype other, std::string_view call, std::string_view name) {
  if (!other.is_known()) return;
  if (is_known() && is_single() != other.is_single())
    type_error(fmt::format("{}: {} is {} and the other parts are {}: bring them to one type with astype", call, name,
                           other.name(), this->name()));
  single_ = other.single_;
}

Borrowed::Borrowed(std::string_view call, std::string_view name, nb::handle source, bool single, int rank,
                   const std::vector<std::string>& columns) {
  take(call, name, source, single, rank, false, columns);
}

Borrowed& Borrowed::operator=(Borrowed&& other) noexcept {
  std::swap(buffer_, other.buffer_);
  std::swap(shape_, other.shape_);
  std::swap(strides_, other.strides_);
  return *this;
}

Borrowed::~Borrowed() {
  if (buffer_.obj) PyBuffer_Release(&buffer_);
}

void Borrowed::take(std::string_view call, std::string_view name, nb::handle source, bool single, int rank,
                    bool one_row, const std::vector<std::string>& columns) {
  const bool plain = source.type().is(numpy().ndarray);
  nb::object copy;  // the buffer keeps it alive
  if (!plain && (!PyObject_CheckBuffer(source.ptr()) || nb::isinstance(source, numpy().masked))) {
    copy = numpy().tables.attr("as_array")(source, columns, single ? "float32" : "float64",
                                           fmt::format("{}: {}", call, name));
    source = copy;
  }
  if (PyObject_GetBuffer(source.ptr(), &buffer_, PyBUF_STRIDED_RO | PyBUF_FORMAT) != 0) {
    buffer_.obj = nullptr;
    PyErr_Clear();
    wrong_type(call, name, source, single);
  }
  const pf::Index size = single ? 4 : 8;
  if (scalar_code(buffer_.format) != (single ? 'f' : 'd')) wrong_type(call, name, source, single);
  const bool row = one_row && buffer_.ndim == 1;
  if (rank != any_rank && buffer_.ndim != rank && !row) {
    const std::string hint = rank == 2 && buffer_.ndim == 1
                                 ? fmt::format(": one row is {0}[None], one column {0}[:, None]", name)
                                 : std::string();
    throw nb::value_error(fmt::format("{}: {} must have {} {}, got {}{}", call, name, rank, rank == 1 ? "axis" : "axes",
                                      buffer_.ndim, hint)
                              .c_str());
  }
  bool aligned = reinterpret_cast<std::uintptr_t>(buffer_.buf) % static_cast<std::uintptr_t>(size) == 0;
  for (int i = 0; i < buffer_.ndim; ++i) {
    aligned = aligned && (buffer_.strides[i] % size == 0 || buffer_.shape[i] < 2);
    if (i > 1) continue;
    shape_[i] = buffer_.shape[i];
    strides_[i] = buffer_.strides[i] / size;
  }
  if (!aligned)
    type_error(fmt::format("{}: {} has values that are not aligned in memory: give numpy.array({})", call, name, name));
  if (row) {
    shape_[1] = std::exchange(shape_[0], 1);
    strides_[1] = std::exchange(strides_[0], 0);
  }
}

Borrowed borrowed_context(std::string_view call, nb::handle source, bool single,
                          const std::vector<std::string>& columns) {
  Borrowed b;
  if (!source.is_none()) b.take(call, "context", source, single, 2, true, columns);
  return b;
}

template <class T>
Result<T>::Result(std::initializer_list<pf::Index> shape) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
  const char* const type = std::is_same_v<T, double> ? "d" : std::is_same_v<T, float> ? "f" : "q";
  const auto begin = shape.begin();
  rows_ = *begin;
  if (shape.size() > 1) cols_ = begin[1];
  if (shape.size() == 1)
    array_ = nb::borrow<Array>(numpy().empty(rows_, type));
  else if (shape.size() == 2)
    array_ = nb::borrow<Array>(numpy().empty(nb::make_tuple(rows_, cols_), type));
  else
    array_ = nb::borrow<Array>(numpy().empty(nb::make_tuple(rows_, cols_, begin[2]), type));
  Py_buffer buffer;
  if (PyObject_GetBuffer(array_.ptr(), &buffer, PyBUF_WRITABLE) != 0) throw nb::python_error();
  data_ = static_cast<T*>(buffer.buf);
  PyBuffer_Release(&buffer);  // nobody else knows the array
}
template class Result<float>;
template class Result<double>;
template class Result<std::int64_t>;

Array array_of(pf::VectorView<const double> values) {
  Result<double> result({values.size()});
  for (pf::Index i = 0; i < values.size(); ++i) result.data()[i] = values[i];
  return result.array();
}
Array array_of(const std::vector<double>& values) { return array_of(pf::VectorView<const double>(values)); }
Array array_of(const std::vector<std::int64_t>& values) {
  Result<std::int64_t> result({static_cast<pf::Index>(values.size())});
  std::copy(values.begin(), values.end(), result.data());
  return result.array();
}

Values::Values(std::string_view name, nb::handle source) {
  if (PyFloat_Check(source.ptr()) || PyLong_Check(source.ptr())) {
    values = {nb::cast<double>(source)};
    return;
  }
  if (nb::hasattr(source, "dtype")) {
    const std::string type = type_text(source);
    if (type == "float32" || type == "float64") dtype = Dtype::of(type == "float32");
  }
  nb::object array;
  try {
    array = numpy().asarray(source, nb::arg("dtype") = "d", nb::arg("order") = "C");
  } catch (nb::python_error&) {
    type_error(fmt::format("{}: expected numbers, got {}", name, type_text(source)));
  }
  Py_buffer buffer;
  if (PyObject_GetBuffer(array.ptr(), &buffer, PyBUF_C_CONTIGUOUS) != 0) throw nb::python_error();
  shape.assign(buffer.shape, buffer.shape + buffer.ndim);
  const double* const begin = static_cast<const double*>(buffer.buf);
  values.assign(begin, begin + buffer.len / 8);
  PyBuffer_Release(&buffer);
}

}  // namespace binding
