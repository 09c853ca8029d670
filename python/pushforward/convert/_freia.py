"""FrEIA's networks. They have no density of their own: it is that against the normal that they are trained for.
They map data to base; rules give the bijector here, of base to data."""

import math

import numpy as np
import torch

from . import _parts as pf
from . import _torch
from ._flow import Flow
from ._source import Source, blamed
from ._torch import array


def read(flow):
    source = Source(_torch.double(flow))
    with blamed(source), _torch.in_double():
        model = source.by_type(NETWORKS)

    def log_prob(rows, context):
        with _torch.in_double():
            z, log_det = source.it(_torch.tensor(rows), c=[] if context is None else [_torch.tensor(context)])
            return (log_det - 0.5 * (z**2).sum(1) - 0.5 * z.shape[1] * math.log(2 * math.pi)).numpy()

    return Flow(model, log_prob)


def sequence(source):
    shape = source.shapes[0]
    shape.require(len(shape) == 1, f"events of the shape {shape.it}: only rows have a counterpart here")
    used = {condition for condition in source.conditions.it if condition is not None}
    source.conditions.require(used <= {0}, "several conditions: give the network one, of all their columns")
    dim = shape[0].it
    return pf.transformed(
        pf.standard_normal(dim), pf.chain([module(part, dim) for part in reversed(list(source.module_list))])
    )


def module(source, dim):
    with blamed(source):
        return source.by_type(MODULES, dim)


# ----------------------------------------------------------------------------------------------------------- couplings


def half(source, dim, first, layers_and_name, tau):
    """The coupling that keeps the first columns, or the last ones."""
    keep = (np.arange(dim) < source.split_len1.it) == first
    layers, name = layers_and_name
    return pf.coupling(keep, pf.mlp(layers, name, layers[0].weight.shape[1] - int(keep.sum())), tau)


def clamped(source):
    """The transformer, and by what the raw scales are multiplied before they go into it."""
    clamp, u = float(source.clamp.it), torch.linspace(-20, 20, 81, dtype=torch.float64)
    known = {  # what the function is in terms of limit tanh(r / limit) or (2 limit / pi) atan(pi r / (2 limit))
        "atan": (0.636 * torch.atan(u), 0.636 * math.pi / 2 * clamp, 0.636 * clamp),
        "tanh": (torch.tanh(u), clamp, clamp),
        "sigmoid": (2.0 * (torch.sigmoid(u) - 0.5), clamp, clamp / 2),
    }
    for name, (values, limit, factor) in known.items():
        if torch.allclose(source.f_clamp.it(u), values, rtol=1e-12, atol=0):
            return pf.affine_transformer("data", "atan" if name == "atan" else "tanh", limit=limit), factor
    raise source.f_clamp.cannot("a clamp that is not known here")


def shift_and_scale(source, factor):
    """A network whose outputs are raw scales and shifts, here shifts and scales."""
    (*hidden, last), name = _torch.dense(source)
    count = len(last.bias) // 2
    scale, shift = last.outputs(slice(count)), last.outputs(slice(count, None))
    return [*hidden, pf.stacked([shift, scale.times(factor)])], name


def two_networks(shift, scale, factor):
    """One network for each."""
    (shift_layers, name), ((*hidden, last), other) = _torch.dense(shift), _torch.dense(scale)
    shift.require(name == other, "networks of shift and scale with different activations")
    return pf.side_by_side([shift_layers, [*hidden, last.times(factor)]]), name


def glow(source, dim):
    tau, factor = clamped(source)
    second = half(source, dim, True, shift_and_scale(source.subnet1, factor), tau)
    return pf.chain([second, half(source, dim, False, shift_and_scale(source.subnet2, factor), tau)])


def real_nvp(source, dim):
    tau, factor = clamped(source)
    second = half(source, dim, True, two_networks(source.subnet_t1, source.subnet_s1, factor), tau)
    return pf.chain([second, half(source, dim, False, two_networks(source.subnet_t2, source.subnet_s2, factor), tau)])


def nice(source, dim):
    tau = pf.inverted(pf.additive_transformer())
    return pf.chain(
        [
            half(source, dim, True, _torch.dense(source.G), tau),
            half(source, dim, False, _torch.dense(source.F), tau),
        ]
    )


def one_sided(source, dim):
    tau, factor = clamped(source)
    return half(source, dim, True, shift_and_scale(source.subnet, factor), tau)


def conditional_affine(source, dim):
    tau, factor = clamped(source)
    layers, name = shift_and_scale(source.subnet, factor)
    return pf.conditional_elementwise(dim, pf.mlp(layers, name), tau)


def orthogonal(block):
    """The rotation of a block in double: it was rounded to single precision, and its determinant is taken to be 1."""
    matrix = block.w_0 if block.householder else block.w_perm
    left, _, right = torch.linalg.svd(matrix.data)
    matrix.data = left @ right
    if not block.householder:
        block.w_perm_inv.data = matrix.data.T.contiguous()


def all_in_one(source, dim):
    orthogonal(source.it)
    source.require(not source.GIN.it, GIN)
    clamp = float(source.clamp.it)
    (*hidden, last), name = _torch.dense(source.subnet)
    changed = source.splits[1].it
    scale, shift = last.outputs(slice(changed)), last.outputs(slice(changed, None))
    last = pf.stacked([shift.times(0.1), scale.times(0.1 * clamp)])
    keep = np.arange(dim) < source.splits[0].it
    net = pf.mlp([*hidden, last], name, (hidden[0] if hidden else last).weight.shape[1] - int(keep.sum()))
    rotation = source.it._construct_householder_permutation() if source.householder.it else source.w_perm
    rotation = pf.invert(pf.linear(array(rotation).reshape(dim, dim), np.zeros(dim)))
    size = source.it.global_scale_activation(source.global_scale.it)
    parts = [
        rotation,
        pf.invert(pf.diagonal(array(source.global_offset).ravel(), array(size).ravel())),
        pf.coupling(keep, net, pf.affine_transformer("data", "tanh", limit=clamp)),
    ]
    return pf.chain(parts + [pf.invert(rotation)] if source.reverse_pre_permute.it else parts)


# -------------------------------------------------------------------------------------------------------------- others


def permutation(source, dim):
    return pf.permute(np.argsort(array(source.perm)))


def fixed_linear(source, dim):
    source.it.logDetM.data = torch.linalg.slogdet(source.it.M.data)[1]  # it was rounded to single precision
    return pf.invert(pf.linear(array(source.M).T, np.broadcast_to(array(source.b).ravel(), dim).astype(float)))


def act_norm(source, dim):
    source.require(not source.init_on_next_batch.it, "ActNorm that has seen no data yet")
    return pf.invert(pf.diagonal(array(source.bias).ravel(), np.exp(array(source.scale)).ravel()))


# --------------------------------------------------------------------------------------------------------------- rules

GIN = "scales whose mean is taken off have no counterpart here"
NETWORKS = {"SequenceINN": sequence, "GraphINN": "a graph of modules: give it as a SequenceINN"}
MODULES = {
    "GLOWCouplingBlock": glow,
    "RNVPCouplingBlock": real_nvp,
    "NICECouplingBlock": nice,
    "AffineCouplingOneSided": one_sided,
    "ConditionalAffineTransform": conditional_affine,
    "AllInOneBlock": all_in_one,
    "GINCouplingBlock": GIN,
    "PermuteRandom": permutation,
    "FixedLinearTransform": fixed_linear,
    "ActNorm": act_norm,
}
