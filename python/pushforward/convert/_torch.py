"""What flows in torch share, whatever library they come from."""

import contextlib
import copy
import types

import numpy as np
import torch

from . import _parts as pf
from ._source import Source


def double(flow):
    """A copy in double on the CPU, in evaluation mode, without gradients. The caller's flow stays as it is."""
    memo = {}  # what came out of a call and is still remembered cannot be copied as it is
    for _, _, value in _tensors(flow):
        if not value.is_leaf:
            memo[id(value)] = value.detach().clone()
    for thing in list(_things(flow, set())):
        if isinstance(thing, torch.distributions.transforms._InverseTransform):  # it forgets what it is the inverse of
            memo[id(thing)] = copy.deepcopy(thing._inv, memo).inv
    copied = copy.deepcopy(flow, memo)
    for holder in list(_things(copied, set())):
        if isinstance(holder, torch.nn.Module):
            holder.cpu().double().eval().requires_grad_(False)
    for holder, name, value in list(_tensors(copied)):  # those that are no parameters or buffers of a module
        value = value.detach().cpu()
        value = value.double() if value.is_floating_point() else value
        if isinstance(holder, (dict, list)):
            holder[name] = value
        elif not isinstance(holder, tuple):
            holder.__dict__[name] = value
    return copied


CODE = (type, types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType)


def _things(thing, seen):
    """All objects below."""
    if id(thing) in seen or isinstance(thing, (*CODE, torch.Tensor, str, int, float)):
        return
    seen.add(id(thing))
    yield thing
    for _, value in _fields(thing):
        yield from _things(value, seen)


def _fields(thing):
    if isinstance(thing, dict):
        return list(thing.items())
    if isinstance(thing, (list, tuple)):
        return list(enumerate(thing))
    own = ("_parameters", "_buffers") if isinstance(thing, torch.nn.Module) else ()
    return [(name, value) for name, value in getattr(thing, "__dict__", {}).items() if name not in own]


def _tensors(thing):
    for holder in _things(thing, set()):
        for name, value in _fields(holder):
            if isinstance(value, torch.Tensor):
                yield holder, name, value


@contextlib.contextmanager
def in_dtype(dtype):
    """What creates tensors on the way creates them of this type, and without gradients."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_default_dtype(before)


def in_double():
    return in_dtype(torch.float64)


def dtype_of(flow):
    """That of what it has learned."""
    held = (value.dtype for value in (*flow.parameters(), *flow.buffers()) if value.is_floating_point())
    return next(held, torch.float64)


def density(flow, log_prob):
    """log_prob(rows, context) of a flow on arrays, as its library computes it, in the flow's own type."""

    def of_arrays(rows, context):
        dtype = dtype_of(flow)
        with in_dtype(dtype):
            return log_prob(tensor(rows, dtype), tensor(context, dtype)).numpy()

    return of_arrays


def tensor(array, dtype=torch.float64):
    return None if array is None else torch.from_numpy(np.ascontiguousarray(array, dtype=np.float64)).to(dtype)


def array(source):
    """The values of a tensor or number."""
    value = source.it if isinstance(source, Source) else source
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


# ------------------------------------------------------------------------------------------------------------ networks

ACTIVATIONS = {
    "Identity": "identity",
    "relu": "relu",
    "ReLU": "relu",
    "leaky_relu": "leaky_relu",
    "LeakyReLU": "leaky_relu",
    "elu": "elu",
    "ELU": "elu",
    "gelu": "gelu",
    "GELU": "gelu",
    "silu": "silu",
    "SiLU": "silu",
    "tanh": "tanh",
    "Tanh": "tanh",
    "sigmoid": "sigmoid",
    "Sigmoid": "sigmoid",
    "softplus": "softplus",
    "Softplus": "softplus",
}
SETTINGS = {"alpha": 1.0, "negative_slope": 0.01, "approximate": "none", "beta": 1.0}  # of the activations here


def activation(source):
    """The name of a function or module."""
    name = getattr(source.it, "__name__", source.type)
    if getattr(source.it, "negative_slope", None) == 0:
        return "relu"
    source.require(name in ACTIVATIONS, f"the activation {name} has no counterpart here")
    for setting, usual in SETTINGS.items():
        value = getattr(source.it, setting, usual)
        source.require(value == usual, f"{name} with {setting} = {value}; here it is {usual}")
    return ACTIVATIONS[name]


def one_activation(sources):
    """The activation that they all are."""
    names = {activation(source) for source in sources}
    if len(names) > 1:
        raise sources[0].cannot(f"several activations in one network: {', '.join(sorted(names))}")
    return names.pop() if names else "relu"


def layer(source):
    """A linear layer, with its mask applied if it has one."""
    weight = array(source.weight)
    source.require(weight.ndim == 2, "a stack of linear layers has no counterpart here")
    mask = array(source.mask).astype(bool) if source.has("mask") else np.ones(weight.shape, bool)
    return pf.Layer(weight * mask, array(source.bias) if source.has("bias") else np.zeros(len(weight)), mask)


def flat(source):
    """The modules of a sequence, and of sequences in it, without those that change nothing."""
    if isinstance(source.it, torch.nn.Sequential):
        return [part for own in source for part in flat(own)]
    return [] if isinstance(source.it, (torch.nn.Dropout, torch.nn.Identity)) else [source]


def dense(source):
    """Layers and activation of a linear layer, or of a sequence of them with activations between."""
    return dense_of(flat(source), source)


def dense_of(parts, source):
    layers, activations, last = [], [], None
    for part in parts:
        if hasattr(part.it, "weight"):
            part.require("Linear" in part.type, f"{part.type} in a network has no counterpart here")
            part.require(last is not layer, "two linear layers in sequence without an activation between them")
            layers.append(layer(part))
            last = layer
        else:
            activations.append(part)
            activation(part)
            part.require(last is layer, "an activation that does not follow a linear layer")
            last = activation
    source.require(layers, "a network without linear layers")
    if last is activation:  # another layer, which changes nothing
        size = len(layers[-1].bias)
        layers.append(pf.identity_layer(size))
    return layers, one_activation(activations)


def norm(source):
    """Batch normalisation of hidden units."""
    source.require(
        source.eps.it == 1e-3, f"batch normalisation of hidden units with eps = {source.eps.it}; here it is 0.001"
    )
    return pf.Norm(*(array(getattr(source, name)) for name in ("running_mean", "running_var", "weight", "bias")))


def fold(before, after):
    """A layer that follows a norm, or None, taking its input as it was before."""
    if before.it is None:
        return after
    n = norm(before)
    factor = n.gamma / np.sqrt(n.variance + 1e-3)
    return pf.Layer(after.weight * factor, after.bias + after.weight @ (n.beta - n.mean * factor), after.mask)


def embedded(source, model):
    """The model whose context goes through an embedding net first: none, or one that standardises, is dense, or both."""
    parts = [own for part in flat(source) for own in (flat(part.net) if part.type == "FCEmbedding" else [part])]
    standard = bool(parts) and parts[0].type == "Standardize"
    first, rest = (parts[0], parts[1:]) if standard else (None, parts)
    if rest:
        for part in rest:
            part.require(
                hasattr(part.it, "weight") or part.type in ACTIVATIONS,
                f"{part.type} in an embedding net has no counterpart here: give the flow its outputs as context",
            )
        layers, name = dense_of(rest, source)
        model = pf.embedded_context(pf.mlp(layers, name), model)
    if standard:
        shift, scale = (np.broadcast_to(array(a), pf.context_dim(model)) for a in (first._mean, first._std))
        model = pf.standardized_context(shift, scale, model)
    return model
