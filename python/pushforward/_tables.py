"""Arrays and tables of other libraries as NumPy arrays: what has no buffer of its own to read.

Arrays with `__dlpack__` are not copied. Tables hold each column for itself, so their numbers are copied once, into one
array that is stored by columns.
"""

import sys

import numpy


def _module(value):
    return type(value).__module__.partition(".")[0]


def _is_pandas(value, name):
    # Who has a DataFrame has imported pandas.
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, getattr(pandas, name))


def _arrow(value):
    """The table behind `__arrow_c_stream__`, by whichever library is at hand."""
    try:
        import pyarrow
    except ImportError:
        raise TypeError(
            f"a {type(value).__name__} is read through the Arrow C data interface, which needs pyarrow: "
            "pip install pyarrow, or give a NumPy array"
        ) from None
    if isinstance(value, pyarrow.RecordBatch):
        return pyarrow.Table.from_batches([value])
    return value if isinstance(value, pyarrow.Table) else pyarrow.table(value)


def names(value):
    """Names of the columns of a table, [] of an array."""
    if _is_pandas(value, "DataFrame"):
        return [str(name) for name in value.columns]
    if hasattr(value, "__arrow_c_stream__") and not _is_pandas(value, "Series"):
        table = _arrow(value)
        return list(table.column_names)
    return []


def _exact(values, dtype, where):
    """The numbers in the dtype, if it has them all."""
    if values.dtype == dtype:
        return values
    if values.dtype.kind not in "biuf":
        raise TypeError(f"{where} is {values.dtype} and not of numbers")
    if values.dtype.kind == "f":
        if values.dtype.itemsize > numpy.dtype(dtype).itemsize:
            raise TypeError(
                f"{where} is {values.dtype} and the model {dtype}; nothing is rounded silently: "
                f"convert the column, or take model.astype('{values.dtype}')"
            )
        return values.astype(dtype)
    converted = values.astype(dtype)
    if values.dtype.itemsize >= 4 and not numpy.array_equal(converted.astype(values.dtype), values):
        raise TypeError(f"{where} has integers that {dtype} cannot tell apart: convert the column")
    return converted


def _column(column, dtype, where):
    """A column of an Arrow table; what is missing is NaN."""
    import pyarrow

    kind = column.type
    if pyarrow.types.is_dictionary(kind) or not (
        pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind) or pyarrow.types.is_boolean(kind)
    ):
        raise TypeError(f"{where} is {kind} and not of numbers")
    if column.null_count and not pyarrow.types.is_floating(kind):
        whole = column.combine_chunks()
        whole = whole.combine_chunks() if isinstance(whole, pyarrow.ChunkedArray) else whole
        kept = _exact(whole.drop_null().to_numpy(zero_copy_only=False), dtype, where)
        values = numpy.full(len(whole), numpy.nan, dtype)
        values[numpy.asarray(whole.is_valid())] = kept
        return values
    return _exact(column.to_numpy(), dtype, where)


def _table(value, columns, dtype, where):
    pandas = _is_pandas(value, "DataFrame")
    table = value if pandas else _arrow(value)
    found = names(value)
    wanted = list(columns) or found
    missing = [name for name in wanted if name not in found]
    if missing:
        raise ValueError(f"{where} has no column {', '.join(map(repr, missing))}; it has {', '.join(map(repr, found))}")
    twice = sorted({name for name in wanted if found.count(name) > 1})
    if twice:
        raise ValueError(f"{where} has more than one column {', '.join(map(repr, twice))}")
    result = numpy.empty((len(wanted), len(value) if pandas else table.num_rows), dtype)
    for row, name in zip(result, wanted):
        place = f"{where}: column {name!r}"
        if pandas:
            column = table.iloc[:, found.index(name)]
            if column.dtype.kind in "biuf" and isinstance(column.dtype, numpy.dtype):
                row[:] = _exact(column.to_numpy(), dtype, place)
            else:  # pandas' own types: missing values are NaN
                import pyarrow

                try:
                    arrow = pyarrow.chunked_array([pyarrow.array(column, from_pandas=True)])
                except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError):
                    raise TypeError(f"{place} is {column.dtype} and not of numbers") from None
                row[:] = _column(arrow, dtype, place)
        else:
            row[:] = _column(table.column(name), dtype, place)
    return result.T


def as_array(value, columns, dtype, where):
    """`value` as an array that C++ can read. Lists and tables are made into one of the dtype; arrays keep theirs."""
    if isinstance(value, numpy.ma.MaskedArray):
        raise TypeError(
            f"{where} is a masked array, whose mask has no meaning here: give y.filled(numpy.nan), or leave rows out"
        )
    if isinstance(value, (list, tuple)):
        try:
            return numpy.array(value, dtype)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{where} is a {type(value).__name__} that is no array of numbers: {error}") from None
    if _is_pandas(value, "Series"):
        return _exact(value.to_numpy(), dtype, where)
    if _is_pandas(value, "DataFrame"):
        return _table(value, columns, dtype, where)
    if hasattr(value, "__dlpack__"):
        try:
            return numpy.from_dlpack(value)
        except (BufferError, RuntimeError, TypeError, ValueError) as error:
            raise TypeError(f"{where} cannot be read through DLPack: {error}") from None
    if hasattr(value, "__arrow_c_stream__"):
        return _table(value, columns, dtype, where)
    if hasattr(value, "__array__"):
        return numpy.asarray(value)
    raise TypeError(f"{where} is a {type(value).__name__}: expected an array of {dtype}")
