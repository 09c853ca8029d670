"""Flows of flowjax against flowjax."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from conversion import CONTEXT, DIM, RESULTS, ROWS, data, largest, nats
from flowjax.bijections import RationalQuadraticSpline
from flowjax.distributions import StandardNormal
from flowjax.flows import (
    block_neural_autoregressive_flow,
    coupling_flow,
    masked_autoregressive_flow,
    triangular_spline_flow,
)
from flowjax.train import fit_to_data

from pushforward.convert import CannotConvert, _flowjax, convert

KEY = jr.key(0)


def make(function, context=False, **options):
    condition = {"cond_dim": CONTEXT} if context else {}
    return function(KEY, base_dist=StandardNormal((DIM,)), flow_layers=3, nn_width=16, **condition, **options)


def spline():
    return RationalQuadraticSpline(knots=6, interval=4)


FLOWS = {
    "MAF": lambda: make(masked_autoregressive_flow),
    "MAF, context, tanh": lambda: make(masked_autoregressive_flow, True, nn_activation=jnp.tanh),
    "IAF": lambda: make(masked_autoregressive_flow, invert=False),
    "NSF, autoregressive, context": lambda: make(masked_autoregressive_flow, True, transformer=spline(), nn_depth=2),
    "RealNVP": lambda: make(coupling_flow),
    "NSF, coupling, context": lambda: make(coupling_flow, True, transformer=spline()),
}


def theirs(flow, y, context):
    """In double, as the arrays say."""
    with jax.enable_x64(y.dtype == np.float64):
        flow = _flowjax.double(flow) if y.dtype == np.float64 else flow
        return np.asarray(flow.log_prob(jnp.asarray(y), None if context is None else jnp.asarray(context)))


def both_ways(flow, y, x, context):
    """Data to base and base to data."""
    axes = (0, None) if context is None else (0, 0)
    with jax.enable_x64(True):
        bijection = _flowjax.paramax.unwrap(_flowjax.double(flow).bijection)
        context = None if context is None else jnp.asarray(context)
        return (
            np.asarray(jax.vmap(bijection.inverse, axes)(jnp.asarray(y), context)),
            np.asarray(jax.vmap(bijection.transform, axes)(jnp.asarray(x), context)),
        )


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.filterwarnings("ignore")
def test_same_as_flowjax(name, tmp_path):
    conditional = "context" in name
    y, c = data(0, 64 * 200, conditional)
    given = (jnp.asarray(y, jnp.float32), jnp.asarray(c, jnp.float32)) if conditional else jnp.asarray(y, jnp.float32)
    flow, _ = fit_to_data(KEY, FLOWS[name](), given, max_epochs=1, batch_size=64, val_prop=0.1, show_progress=False)
    leaves = jax.tree.leaves(flow)
    model = convert(flow, tmp_path / "flow.safetensors")
    assert all(a is b for a, b in zip(leaves, jax.tree.leaves(flow)))

    y, c = data(1, ROWS, conditional)
    y, context = 3 * y, c if conditional else None
    result = {"peer": "flowjax", "flow": name, "double": nats(model.log_prob(y, context), theirs(flow, y, context))}
    assert result["double"] <= 1e-10
    x = 2 * data(2, ROWS)[0]
    base, out = both_ways(flow, y, x, context)
    result["to base"] = largest(model.inverse(y, context)[0], base, relative=True)
    result["to data"] = largest(model.forward(x, context)[0], out, relative=True)
    assert result["to base"] <= 1e-8 and result["to data"] <= 1e-8
    y, context = (y / 1.5).astype("f4"), None if context is None else c.astype("f4")
    right = theirs(flow, y.astype(float), None if context is None else context.astype(float))
    result["float32"] = nats(convert(flow, dtype="float32").log_prob(y, context), right, single=True)
    result["own"] = nats(theirs(flow, y, context), right, single=True)
    assert result["float32"] <= max(1e-4, 2 * result["own"])
    RESULTS.append(result)


@pytest.mark.filterwarnings("ignore")
def test_refused():
    base = StandardNormal((DIM,))
    with pytest.raises(CannotConvert, match=r"bijections\[0\]: NumericalInverse: it has no inverse"):
        convert(block_neural_autoregressive_flow(KEY, base_dist=base))
    with pytest.raises(CannotConvert, match="tanh with straight tails"):
        convert(triangular_spline_flow(KEY, base_dist=base, flow_layers=1))
