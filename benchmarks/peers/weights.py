"""This library's weights in other libraries' spline flows, so that all of them work on the same values."""

import math
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
from model_page import Model  # noqa: E402
from protocol import BINS, Cannot  # noqa: E402

LARGEST_DIFFERENCE = {"float32": 1e-3, "float64": 1e-9}  # nats, of a row's log_prob


def fill(target, value):
    value = torch.tensor(np.asarray(value), dtype=target.dtype)
    if value.shape != target.shape:
        raise ValueError(f"a tensor of shape {tuple(value.shape)} for one of {tuple(target.shape)}")
    target.data.copy_(value)


def fill_linear(linear, node, name):
    fill(linear.weight, node.tensor(name + ".weight"))
    fill(linear.bias, node.tensor(name + ".bias"))


def fill_last(linear, layer, hidden_divides):
    """The last map of a conditioner: here a value's parameters lie beside each other, and raw widths and heights may be
    divided by the square root of the hidden units in the code, where the file has the factor among the constants."""
    net, count = layer.part("net"), 3 * BINS - 1
    factor = layer.part("transformer")["raw_scale"] * (math.sqrt(linear.in_features) if hidden_divides else 1)
    scale = np.where(np.arange(count) < 2 * BINS, factor, 1.0)

    def by_value(tensor):
        return np.swapaxes(tensor.reshape(count, -1, *tensor.shape[1:]), 0, 1)

    weight, bias = by_value(net.tensor("final.weight")), by_value(net.tensor("final.bias"))
    fill(linear.weight, (weight * scale[None, :, None]).reshape(-1, linear.in_features))
    fill(linear.bias, (bias * scale).reshape(-1))


def fill_conditioner(net, layer):
    """MADE or ResidualNet of nflows, and normflows' copies of them."""
    ours = layer.part("net")
    fill_linear(net.initial_layer, ours, "initial")
    maps = [net.initial_layer, net.final_layer]
    for i, block in enumerate(net.blocks):
        for k, linear in enumerate(block.linear_layers):
            fill_linear(linear, ours, f"block{i}.linear{k}")
            maps.append(linear)
    fill_last(net.final_layer, layer, hasattr(net, "hidden_features"))
    if ours.type == "made":
        columns, hidden = np.arange(1, ours["dim"] + 1), ours["hidden_degrees"]
        masks = [hidden[:, None] >= columns, np.repeat(columns, 3 * BINS - 1)[:, None] > hidden]
        masks += [hidden[:, None] >= hidden] * (len(maps) - 2)
        for linear, mask in zip(maps, masks):
            fill(linear.mask, mask)


def fill_lu(linear, node):
    lower, upper = node.tensor("lower"), node.tensor("upper")
    fill(linear.lower_entries, lower[linear.lower_indices[0], linear.lower_indices[1]])
    fill(linear.upper_entries, upper[linear.upper_indices[0], linear.upper_indices[1]])
    fill(linear.unconstrained_upper_diag, node.tensor("raw_diagonal"))
    fill(linear.bias, node.tensor("bias"))


def give(path, maps):
    """Fills `maps`, the peer's modules from the data's side to the base's, with the file's values; gives the file's
    reference rows and their log_prob."""
    model = Model(path)
    parts = [part for _, part in reversed(model.node().part("bijector").parts)]
    if len(parts) != len(maps):
        raise ValueError(f"{len(maps)} maps for the {len(parts)} of {path}")
    for module, part in zip(maps, parts):
        if part.type == "permute":
            fill(module._permutation, np.argsort(part["permutation"]))
        elif part.type == "invert":
            fill_lu(module, part.part("bijector"))
        else:
            fill_conditioner(module, part)
    reference = model.json["reference"]
    return np.array(reference["rows"]), np.array(reference["log_prob"])[:, 0]


def difference(log_prob, rows, expected):
    """The largest difference between the file's log_prob of its reference rows and the peer's."""
    dtype = torch.get_default_dtype()
    with torch.no_grad():
        got = log_prob(torch.tensor(rows, dtype=dtype)).double().numpy()
    largest = float(np.abs(got - expected).max())
    if not largest <= LARGEST_DIFFERENCE[str(dtype).removeprefix("torch.")]:
        raise Cannot(f"with the same weights, log_prob differs by {largest}")
    return largest
