"""Masked networks of any order, as a MADE or as couplings."""

import itertools
import math

import numpy as np

from . import _parts as pf


def autoregressive(layers, dim, count, tau, activation, contexts=None):
    """The map whose parameters come from masked layers; the first one takes [columns, context]. contexts: of each layer
    the weights of the context, where it enters all of them; the first one takes columns alone then.

    Columns in one order: a MADE. Several that depend on the same ones: couplings, one for each group of columns that
    depends on groups before alone, each with the part of the network that its parameters depend on. In the order of
    conditioning, what comes after a group is still unchanged when the group is.
    """
    if len(layers) == 1:  # hidden units that are the inputs
        used, activation = layers[0].mask.any(axis=0), "identity"
        inputs = np.eye(len(used))[used]
        layers = [pf.Layer(inputs, np.zeros(len(inputs)), inputs > 0), layers[0].inputs(used)]
    sees = [seen[:, :dim] for seen in _sees([layer.mask for layer in layers])]
    groups = _groups(sees[-1].reshape(count, dim, dim).any(axis=0))
    if len(groups) < dim and contexts is None:
        return pf.chain([_coupling(group, layers, dim, count, tau, activation) for group in groups])
    order = np.concatenate(groups)
    named = {"initial": layers[0].inputs(order), "final": _outputs(layers[-1], order, count)}
    named |= {f"layer{i}": layer for i, layer in enumerate(layers[1:-1])}
    degrees = [_degrees(seen[:, order]) for seen in sees[:-1]]
    if contexts is None:
        return _made(named, order, count, degrees, tau, activation, False, layers[0])
    for name, weight in zip(["context", *(f"layer{i}.context" for i in range(len(layers) - 2))], contexts):
        named[name] = pf.Layer(weight, np.zeros(len(weight)))
    named["final.context"] = _outputs(pf.Layer(contexts[-1], np.zeros(len(contexts[-1]))), order, count)
    context_dim = contexts[0].shape[1]
    net = pf.made(dim, count, degrees, named, activation, False, context_dim, "every_layer")
    return pf.masked_autoregressive(net, tau, order)


def residual(first, blocks, last, dim, count, tau, activation):
    """The same, of a network with residual blocks: pairs of layers with the activation between them alone."""
    pairs = [layer for block in blocks for layer in block]
    sees = [seen[:, :dim] for seen in _sees([layer.mask for layer in [first, *pairs, last]])]
    groups = _groups(sees[-1].reshape(count, dim, dim).any(axis=0))
    if len(groups) < dim:
        raise ValueError("residual blocks where several columns depend on the same ones")
    order = np.concatenate(groups)
    named = {"initial": first.inputs(order), "final": _outputs(last, order, count)}
    named |= {f"block{i}.linear{k}": layer for i, block in enumerate(blocks) for k, layer in enumerate(block)}
    return _made(named, order, count, [_degrees(sees[0][:, order])], tau, activation, True, first)


def _outputs(layer, order, count):
    return layer.outputs((np.arange(count)[:, None] * len(order) + order).ravel())


def _made(named, order, count, degrees, tau, activation, residual, first):
    dim, context_dim = len(order), first.weight.shape[1] - len(order)
    if context_dim:
        named["context"] = pf.Layer(first.weight[:, dim:], np.zeros(len(first.bias)))
    form = "linear" if context_dim else "activated"
    net = pf.made(dim, count, degrees, named, activation, residual, context_dim, form, not residual)
    return pf.masked_autoregressive(net, tau, order)


def _sees(masks):
    """Which inputs of the network the units of each layer depend on."""
    return list(itertools.accumulate(masks, lambda seen, mask: mask.astype(int) @ seen.astype(int) > 0))


def _groups(depends):
    """Columns in an order in which each depends on groups before its own alone."""
    groups, known = [], np.zeros(len(depends), bool)
    while not known.all():
        group = np.flatnonzero(~known & ~depends[:, ~known].any(axis=1))
        if len(group) == 0:
            raise ValueError("columns that depend on each other in a circle")
        groups.append(group)
        known[group] = True
    return groups


def _degrees(seen):
    """The last column in the order that each unit depends on, counted from 1; 0 for none."""
    return np.where(seen, np.arange(1, seen.shape[1] + 1), 0).max(axis=1)


def _coupling(group, layers, dim, count, tau, activation):
    keep, context_dim = ~np.isin(np.arange(dim), group), layers[0].weight.shape[1] - dim
    units, pruned = (np.arange(count)[:, None] * dim + group).ravel(), []
    for layer in reversed(layers[1:]):
        layer = layer.outputs(units)
        units = np.flatnonzero(layer.mask.any(axis=0))
        pruned.insert(0, layer.inputs(units))
    columns = np.append(np.flatnonzero(keep), dim + np.arange(context_dim)).astype(int)
    first = layers[0].outputs(units).inputs(columns)
    if first.mask.any():
        net = pf.mlp([first, *pruned], activation, context_dim)
    else:
        net = pf.constant_net(int(keep.sum()), constant([first, *pruned], activation))
    return pf.coupling(keep, net, tau)


def constant(layers, activation):
    """The outputs of layers that depend on no input."""
    h = layers[0].bias
    for layer in layers[1:]:
        h = layer.weight @ ACTIVATIONS[activation](h) + layer.bias
    return h


_erf = np.vectorize(math.erf, otypes=[float])
ACTIVATIONS = {
    "identity": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "gelu": lambda x: x * 0.5 * (1 + _erf(x / math.sqrt(2))),
    "silu": lambda x: x * np.exp(-np.logaddexp(0, -x)),
    "tanh": np.tanh,
    "sigmoid": lambda x: np.exp(-np.logaddexp(0, -x)),
    "softplus": lambda x: np.logaddexp(0, x),
}
