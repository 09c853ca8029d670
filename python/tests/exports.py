"""What the tests of exported models share."""

import numpy as np

import pushforward as pf


def fitted(dtype):
    """A conditional flow."""
    rng = np.random.default_rng(0)
    c = rng.normal(size=(500, 1))
    y = rng.normal(size=(500, 2)) + c
    flow, _ = pf.prepare_and_fit(pf.maf(2, layers=2, hidden=8, context_dim=1), y, context=c, epochs=2)
    flow.columns = ["mass", "charge"]
    return flow.astype(dtype)


def rows(flow, count=50):
    rng = np.random.default_rng(1)
    return (rng.normal(size=(count, width)).astype(flow.dtype) for width in (flow.dim, flow.context_dim))
