"""Worker of onnxruntime: one-row latency of the coupling spline flow.

The flow is written here with the mathematics of nflows and without its boolean masks: the graph that comes of it runs
faster than those exported from nflows and zuko themselves. Sampling takes its noise from outside the graph.
"""

import io

import numpy as np
import torch
import weights
from protocol import BINS, BLOCKS, BOUND, MODELS, Cannot, serve, work_job
from torch import nn
from torch.nn import functional as F

LEAST = 1e-3  # smallest share of a bin and smallest derivative


def knots(raw):
    """Positions of the bins' edges on [-BOUND, BOUND]."""
    shares = LEAST + (1 - LEAST * BINS) * F.softmax(raw, dim=-1)
    inner = 2 * BOUND * torch.cumsum(shares, dim=-1)[..., :-1] - BOUND
    edge = torch.full_like(raw[..., :1], BOUND)
    return torch.cat([-edge, inner, edge], dim=-1)


def spline(value, raw, inverse):
    """Rational-quadratic spline with identity tails and the log of its derivative (Durkan et al. 2019)."""
    xs, ys = knots(raw[..., :BINS]), knots(raw[..., BINS : 2 * BINS])
    slopes = LEAST + F.softplus(raw[..., 2 * BINS :])
    one = torch.ones_like(slopes[..., :1])
    slopes = torch.cat([one, slopes, one], dim=-1)
    inside = (value >= -BOUND) & (value <= BOUND)
    clipped = value.clamp(-BOUND, BOUND)
    edges = ys if inverse else xs
    index = (clipped[..., None] >= edges[..., 1:-1]).sum(-1, keepdim=True)

    def at(table, offset=0):
        return table.gather(-1, index + offset).squeeze(-1)

    x0, y0, d0, d1 = at(xs), at(ys), at(slopes), at(slopes, 1)
    width, height = at(xs, 1) - x0, at(ys, 1) - y0
    s = height / width
    bend = d0 + d1 - 2 * s
    if inverse:
        rise = clipped - y0
        a, b, c = height * (s - d0) + rise * bend, height * d0 - rise * bend, -s * rise
        t = 2 * c / (-b - torch.sqrt((b * b - 4 * a * c).clamp(min=0)))
        result = x0 + t * width
    else:
        t = (clipped - x0) / width
        result = y0 + height * (s * t * t + d0 * t * (1 - t)) / (s + bend * t * (1 - t))
    numerator = s * s * (d1 * t * t + 2 * s * t * (1 - t) + d0 * (1 - t) ** 2)
    log_slope = torch.log(numerator) - 2 * torch.log(s + bend * t * (1 - t))
    zero = torch.zeros_like(value)
    return torch.where(inside, result, value), torch.where(inside, -log_slope if inverse else log_slope, zero)


class Block(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.linear_layers = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(2))

    def forward(self, h):
        for linear in self.linear_layers:
            h = linear(F.relu(h))
        return h


class Residual(nn.Module):
    """Network of a coupling: BLOCKS pre-activation residual blocks."""

    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.initial_layer = nn.Linear(inputs, hidden)
        self.blocks = nn.ModuleList(Block(hidden) for _ in range(BLOCKS))
        self.final_layer = nn.Linear(hidden, outputs)

    def forward(self, x):
        h = self.initial_layer(x)
        for block in self.blocks:
            h = h + block(h)
        return self.final_layer(h)


class CouplingFlow(nn.Module):
    """From the data's side, even columns transform odd ones, then odd even ones, and so on; `inverse` makes the graph of
    the sampler."""

    def __init__(self, model, inverse):
        super().__init__()
        self.inverse = inverse
        self.half = model.features // 2  # the flow's width is even
        per_value = 3 * BINS - 1
        self.nets = nn.ModuleList(
            Residual(self.half, model.hidden, self.half * per_value) for _ in range(model.layers)
        )

    def forward(self, x):
        halves = [x[:, ::2], x[:, 1::2]]
        log_det = torch.zeros_like(x[:, 0])
        order = range(len(self.nets))
        for i in reversed(order) if self.inverse else order:
            raw = self.nets[i](halves[i % 2]).unflatten(-1, (self.half, -1))
            halves[1 - i % 2], slopes = spline(halves[1 - i % 2], raw, self.inverse)
            log_det = log_det + slopes.sum(-1)
        out = torch.stack(halves, dim=-1).flatten(-2)
        if self.inverse:
            return out
        return log_det - 0.5 * (out * out).sum(-1) - 0.5 * out.shape[-1] * float(np.log(2 * np.pi))


def session(flow, model, threads):
    """The exported graph in a runtime of `threads` threads."""
    import onnxruntime

    row = torch.randn(1, model.features)
    buffer = io.BytesIO()
    torch.onnx.export(flow, (row,), buffer, input_names=["x"], opset_version=18, dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    runtime = onnxruntime.InferenceSession(buffer.getvalue(), options, providers=["CPUExecutionProvider"])
    feed = row.numpy()
    with torch.no_grad():
        error = np.abs(runtime.run(None, {"x": feed})[0] - flow(row).numpy()).max()
    if error > 1e-3:
        raise Cannot(f"the exported graph differs from torch by {error}")
    return runtime


def prepare(request):
    work, dtype = request["work"], request["dtype"]
    if work == "train_step":
        raise Cannot("a runtime for inference: it does not train")
    if not work.startswith("latency_"):
        raise Cannot("not tried: only the one-row flow is exported here")
    model = MODELS[request["model"]]
    torch.manual_seed(0)
    torch.set_default_dtype(getattr(torch, dtype))
    sampling = work == "latency_sample"
    flow, info = CouplingFlow(model, sampling).eval(), {}
    if path := request.get("weights"):
        rows, log_prob = weights.give(path, flow.nets)
        density = CouplingFlow(model, False)
        density.load_state_dict(flow.state_dict())
        info["difference"] = weights.difference(density, rows, log_prob)
    runtime = session(flow, model, request["threads"])
    generator = np.random.default_rng(0)
    shape = (1, model.features)
    row = generator.standard_normal(shape).astype(dtype)
    if sampling:
        job = work_job(
            work, None, lambda: lambda: runtime.run(None, {"x": generator.standard_normal(shape, dtype=dtype)}), None
        )
    else:
        job = work_job(work, None, lambda: lambda: runtime.run(None, {"x": row}), None)
    job.info |= {"note": "hand-written torch module of the same mathematics, exported", **info}
    return job


if __name__ == "__main__":
    serve(prepare)
