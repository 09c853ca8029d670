"""Flows of pyro against pyro."""

import contextlib

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from conversion import CONTEXT, DIM, ROWS, RESULTS, data, double, largest, nats
from pyro.distributions import transforms as pt

import pushforward as pf
from pushforward.convert import CannotConvert, convert

HIDDEN = [16, 16]


def base():
    return dist.Normal(torch.zeros(DIM), torch.ones(DIM)).to_event(1)


def iaf(stable=False, context=False, hidden=HIDDEN):
    if context:
        return pt.conditional_affine_autoregressive(DIM, CONTEXT, hidden, stable=stable)
    return pt.affine_autoregressive(DIM, hidden, stable=stable)


def batch_norm():
    norm = pt.batchnorm(DIM)
    norm.moving_mean, norm.moving_variance = torch.randn(DIM), torch.rand(DIM) + 0.5
    return norm.eval()


FLOWS = {
    "IAF": lambda: [iaf(), pt.permute(DIM), iaf(hidden=[24, 12])],
    "IAF, context": lambda: [iaf(context=True), pt.permute(DIM), iaf(context=True)],
    "MAF, its inverse": lambda: [iaf().inv, iaf().inv],
    "IAF, stable": lambda: [iaf(True), batch_norm(), iaf(True)],
    "RealNVP": lambda: [pt.affine_coupling(DIM, HIDDEN), pt.permute(DIM), pt.affine_coupling(DIM, HIDDEN, 1)],
    "RealNVP, context": lambda: [
        pt.conditional_affine_coupling(DIM, CONTEXT, HIDDEN),
        pt.permute(DIM),
        pt.conditional_affine_coupling(DIM, CONTEXT, HIDDEN),
    ],
    "splines, linear-rational": lambda: [pt.spline(DIM), pt.householder(DIM, 2), pt.spline(DIM)],
    "splines, quadratic, Cholesky factor": lambda: [
        pt.spline(DIM, order="quadratic"),
        pt.LowerCholeskyAffine(torch.ones(DIM), torch.eye(DIM) + 0.3 * torch.tril(torch.ones(DIM, DIM))),
    ],
    "splines from the context": lambda: [pt.conditional_spline(DIM, CONTEXT, HIDDEN)],
    "spline coupling": lambda: [
        pt.spline_coupling(DIM, 1, HIDDEN),
        pt.permute(DIM),
        pt.spline_coupling(DIM, 2, HIDDEN),
    ],
    "autoregressive splines": lambda: [pt.spline_autoregressive(DIM, HIDDEN), pt.spline_autoregressive(DIM, HIDDEN)],
    "autoregressive splines, context": lambda: [pt.conditional_spline_autoregressive(DIM, CONTEXT, HIDDEN, bound=4.0)],
}


def density(parts, conditional):
    return (dist.ConditionalTransformedDistribution if conditional else dist.TransformedDistribution)(base(), parts)


def log_prob(flow, rows, context):
    return (flow if context is None else flow.condition(context)).log_prob(rows)


def train(flow, parts, conditional, steps=200):
    modules = [part for part in parts if isinstance(part, torch.nn.Module)]
    modules += [
        part._inv
        for part in parts
        if not isinstance(part, torch.nn.Module) and isinstance(getattr(part, "_inv", None), torch.nn.Module)
    ]
    parameters = [p for module in modules for p in module.parameters()]
    optimizer = torch.optim.Adam(parameters, 3e-3)
    y, c = (torch.from_numpy(a.astype("f4")) for a in data(0, 64 * steps, conditional))
    for i in range(steps):
        batch = slice(64 * i, 64 * (i + 1))
        loss = -log_prob(flow, y[batch], c[batch] if conditional else None).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()
        for part in parts:
            if hasattr(part, "clear_cache"):
                part.clear_cache()


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_same_as_pyro(name, tmp_path):
    torch.manual_seed(1)
    parts, conditional = FLOWS[name](), "context" in name
    flow = density(parts, conditional)
    train(flow, parts, conditional)
    model = convert(flow, tmp_path / "flow.safetensors")
    assert pf.load(tmp_path / "flow.safetensors").notes["converted from"].startswith("pyro")
    y, c = data(1, ROWS, conditional)
    theirs = in_double(flow)

    # Its splines look bins up 1e-6 beside their ends, so that a row in some ten thousand is of another bin.
    compare = nearly if "spline" in name else nats
    y, context = 3 * y, c if conditional else None
    result = {"peer": "pyro", "flow": name, "double": compare(model.log_prob(y, context), ask(theirs, y, context))}
    assert result["double"] <= (1e-4 if "spline" in name else 1e-10)
    x = 2 * data(2, ROWS)[0]
    base, out = both_ways(theirs, y, x, context)
    result["to base"] = largest(model.inverse(y, context)[0], base, relative=True)
    result["to data"] = largest(model.forward(x, context)[0], out, relative=True)
    assert max(result["to base"], result["to data"]) <= (1e-6 if "spline" in name else 1e-10)
    y, context = (y / 1.5).astype("f4"), None if context is None else c.astype("f4")
    right = ask(theirs, y.astype(float), None if context is None else context.astype(float))
    result["float32"] = compare(convert(flow, dtype="float32").log_prob(y, context), right, single=True)
    result["own"] = compare(ask(flow, y, context), right, single=True)
    assert "spline" in name or result["float32"] <= max(1e-4, 2 * result["own"])
    RESULTS.append(result)


def ask(flow, y, context):
    with torch.no_grad(), double() if y.dtype == np.float64 else contextlib.nullcontext():
        return log_prob(flow, torch.from_numpy(y), None if context is None else torch.from_numpy(context)).numpy()


def both_ways(flow, y, x, context):
    """Data to base and base to data, by pyro."""
    with torch.no_grad(), double():
        parts = (flow if context is None else flow.condition(torch.from_numpy(context))).transforms
        base, out = torch.from_numpy(y), torch.from_numpy(x)
        for part in reversed(parts):
            base = part.inv(base)
        for part in parts:
            out = part(out)
    return base.numpy(), out.numpy()


def nearly(ours, right, single=False):
    assert np.mean(np.abs(ours - right) > (1e-4 if single else 1e-10)) < 1e-2
    return largest(ours, right)


def in_double(flow):
    from pushforward.convert import _torch

    return _torch.double(flow)


def test_refused():
    with pytest.raises(CannotConvert, match=r"transforms\[0\]: Planar: it has no inverse"):
        convert(density([pt.planar(DIM)], False))
    with pytest.raises(CannotConvert, match=r"transforms\[0\]: MatrixExponential: the series is cut off"):
        convert(density([pt.matrix_exponential(DIM)], False))
