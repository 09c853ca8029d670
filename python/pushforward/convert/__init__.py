"""Flows that were trained elsewhere, as models of this library, and models as flows of those libraries:

    from pushforward.convert import convert, to_zuko

    model = convert(flow, "flow.safetensors")   # of nflows, zuko, ...
    model.log_prob(y)
    flow = to_zuko(model)                       # to_nflows, to_normflows: in torch, to train on

The libraries that flows come from are not imported here: a flow that is given brings its own. Converted are the
weights, exactly, and the file holds rows with the log_prob that the flow itself gave them in double: each `load`
computes them again. docs/conversion.md lists what can be converted, and how large the differences are.
"""

import contextlib
import importlib
import os
import tempfile
from importlib import metadata

import numpy as np

from .. import _core
from . import _parts
from ._flow import Flow
from ._source import CannotConvert

__all__ = ["CannotConvert", "convert", "to_nflows", "to_normflows", "to_zuko"]

# The library that a class comes from, and the module here that knows it.
LIBRARIES = {
    "FrEIA": "_freia",
    "distrax": "_distrax",
    "flowjax": "_flowjax",
    "glasflow": "_nflows",
    "nflows": "_nflows",
    "normflows": "_normflows",
    "pyro": "_pyro",
    "sbi": "_sbi",
    "tensorflow_probability": "_tfp",
    "torch.distributions": "_torch_distributions",
    "zuko": "_zuko",
}

ROWS = 64


def convert(flow, out=None, *, rows=None, context=None, columns=(), context_columns=(), dtype="float64", seed=0):
    """A flow of another library as a model of this one, which is returned, and written to the file `out`.

    flow: what has the density, a live object; it is not changed. rows (N, dim), and for a conditional flow context
    (N, context_dim): where both are compared; without, 64 rows are drawn with `seed`, half of them moved far out.
    columns, context_columns: their names. dtype: what the model computes in, "float64" or "float32".

    Raises CannotConvert (a NotImplementedError) with the path of the part that has no counterpart here, and the
    reason; TypeError if the object is of no library that is known; OSError if the file cannot be written.
    """
    scalar = np.dtype(dtype).name
    if scalar not in ("float64", "float32"):
        raise ValueError(f"dtype: expected float64 or float32, got {scalar}")
    found = _reader(flow).read(flow)
    notes = {"converted from": _origin(flow)}

    def data(scalar, reference):
        return _parts.serialize(found.model, scalar, reference, columns, context_columns, notes)

    nothing = _parts.Reference(np.empty((0, 0)), None, np.empty(0), np.empty(0))
    with _as_refusal():
        plain = _core.deserialize(data("float64", nothing))
    rows, context = _rows(plain, found, rows, context, seed)
    reference = _reference(found, plain, rows, context, "float64")
    with _as_refusal():
        model = _core.deserialize(data("float64", reference))
    if scalar == "float32":
        with _as_refusal():
            model = _core.deserialize(data(scalar, _reference(found, plain, rows, context, scalar)))
    if out is not None:
        _write(out, data(scalar, _reference(found, plain, rows, context, scalar)))
    return model


def to_nflows(model):
    """A model of this library as an `nflows.flows.Flow`, with its weights and in its dtype, to train on in torch.

    It is in evaluation mode: call `train()` before training where it has batch norm or dropout. 64 rows are compared
    before it is returned, half of them far out. What is not learned here (`Standardize`, `trainable=False`) has no
    gradients there.

    Raises CannotConvert (a NotImplementedError) with the path of the part, as the model's file has it, that has no
    counterpart there, the reason, and how to build a flow that has one; ImportError without the library.
    """
    return _written(model, "_nflows")


def to_normflows(model):
    """The same as a `normflows.NormalizingFlow`, or a `ConditionalNormalizingFlow`."""
    return _written(model, "_normflows")


def to_zuko(model):
    """The same as a `zuko.lazy.Flow`; a mixture of normals as a `zuko.mixtures.GMM`."""
    return _written(model, "_zuko")


def _written(model, library):
    if not isinstance(model, _core.Distribution):
        raise TypeError(f"to{library}: expected a pushforward.Distribution, got {type(model).__name__}")
    writer = importlib.import_module(f"{__name__}._to{library}")
    from . import _back  # needs torch, as the writer does

    part, scalar = _parts.parse(model.serialize())
    flow = _back.flow(part, scalar, writer.write)
    found = Flow(part, importlib.import_module(f"{__name__}.{library}").density(flow))
    exact = model.astype("float64")
    rows, context = (None if a is None else a.astype(scalar).astype(float) for a in _rows(exact, found, None, None, 0))
    ours = exact.log_prob(rows, context)
    difference = np.abs(found.log_prob(rows, context) - ours)
    near = difference <= _tolerance(exact, rows, context, ours, scalar)
    if not near.all():
        raise CannotConvert(
            "", f"the flow that came out has log_prob {difference[~near][0]:g} away at {rows[~near][0]}"
        )
    return flow


def _reader(flow):
    """The module that knows the flow's library."""
    for cls in type(flow).__mro__:
        for library, name in LIBRARIES.items():
            if f"{cls.__module__}.".startswith(f"{library}."):
                return importlib.import_module(f"{__name__}.{name}")
    known = ", ".join(sorted(LIBRARIES))
    raise TypeError(
        f"convert: {type(flow).__module__}.{type(flow).__qualname__} is of no library that is known: {known}"
    )


def _origin(flow):
    library = type(flow).__module__.split(".")[0]
    try:
        return f"{library} {metadata.version(library)}, {type(flow).__qualname__}"
    except metadata.PackageNotFoundError:
        return f"{type(flow).__module__}.{type(flow).__qualname__}"


@contextlib.contextmanager
def _as_refusal():
    """What the library itself says against a model is a refusal too."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise CannotConvert("", f"the model that came out is refused: {error}") from error


def _rows(model, found, rows, context, seed):
    """The rows that are compared, and their contexts."""
    rng = np.random.default_rng(seed)
    if context is None and model.context_dim > 0:
        if rows is not None:
            raise ValueError("convert: a conditional flow: rows need their context")
        context = found.contexts(rng, ROWS)
    if context is not None:
        context = np.asarray(context, float)
        if context.ndim != 2 or context.shape[1] != model.context_dim:
            raise ValueError(f"convert: context: expected (N, {model.context_dim}), got {context.shape}")
    if rows is None:
        rows = _draws(model, context, seed)
    rows = np.asarray(rows, float)
    if rows.ndim != 2 or rows.shape[1] != model.dim:
        raise ValueError(f"convert: rows: expected (N, {model.dim}), got {rows.shape}")
    if context is not None and len(context) != len(rows):
        raise ValueError(f"convert: {len(rows)} rows and {len(context)} contexts")
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(ROWS, len(rows))).astype(int))
    rows, context = rows[chosen], None if context is None else context[chosen]
    good = np.isfinite(model.log_prob(rows, context))
    if not good.any():
        raise ValueError("convert: no row has a density: give other rows")
    return rows[good], None if context is None else context[good]


def _draws(model, context, seed):
    """Draws, half of them moved away from the middle to five times their distance, where that is inside the support."""
    rows = model.sample(ROWS, seed=seed) if context is None else model.sample_each(context, seed=seed)[:, 0]
    far = rows.copy()
    far[len(far) // 2 :] += 4 * (far[len(far) // 2 :] - np.median(rows, axis=0))
    return np.where(np.isfinite(model.log_prob(far, context))[:, None], far, rows)


def _reference(found, model, rows, context, scalar):
    """What the flow itself says, and how far from it a computation in the scalar type may be."""
    rows, context = (None if a is None else a.astype(scalar).astype(float) for a in (rows, context))
    log_prob = found.log_prob(rows, context)
    tolerance = _tolerance(model, rows, context, log_prob, scalar)
    good = np.isfinite(log_prob)
    if not good.all():
        raise CannotConvert("", f"it has no density at {rows[~good][0]}, where the model that came out has one")
    return _parts.Reference(rows, context, log_prob, tolerance)


def _tolerance(model, rows, context, log_prob, scalar):
    """How far from log_prob a computation in the scalar type may be."""
    epsilon = np.finfo(scalar).eps
    signs = np.where(np.arange(rows.shape[1]) % 2 == 0, 1, -1)
    moved = model.log_prob(rows * (1 + 4 * epsilon * signs), context)
    change = np.abs(moved - model.log_prob(rows, context))
    relative = 1e-9 if scalar == "float64" else 1e-3
    return relative * (1 + np.abs(log_prob)) + 16 * np.where(np.isfinite(change), change, 0)


def _write(path, data):
    """Whole or not at all."""
    path = os.fspath(path)
    handle, part = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=os.path.basename(path) + ".")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise
