"""What pickles name: it stays where it is."""

import copyreg

from . import _core


def restore(data, dtype):
    """A model from the bytes of its file."""
    return _core.deserialize(data, dtype)


def restore_part(kind, dtype, description, tensors):
    """A bijector, transformer or network."""
    return getattr(_core, f"_restore_{kind}")(dtype, description, tensors)


# A method of a model, as pools of processes are given it: nanobind's own cannot be pickled.
copyreg.pickle(type(_core.Engine(0).stream), lambda method: (getattr, (method.__self__, method.__name__)))
