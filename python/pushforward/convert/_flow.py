"""What is read from a flow of another library."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import _parts


def standard_contexts(model):
    """Draws of a standard normal, for networks whose context is standardised or of the order of 1."""
    dim, shift, scale = _parts.context_dim(model), 0.0, 1.0
    if model.type == "standardized_context":
        shift, scale = model.tensors["shift"], model.tensors["scale"]
    return lambda rng, count: shift + scale * rng.normal(size=(count, dim))


@dataclass
class Flow:
    """The model that a flow is here, and the density that it has there."""

    model: _parts.Part
    log_prob: Callable  # of rows and context, arrays in double, by the flow's own library in double
    contexts: Callable = None  # a generator of random numbers and a count: contexts as in training

    def __post_init__(self):
        if self.contexts is None:
            self.contexts = standard_contexts(self.model)
        own = self.log_prob
        self.log_prob = lambda rows, context: np.asarray(own(rows, context), float).reshape(len(rows))
