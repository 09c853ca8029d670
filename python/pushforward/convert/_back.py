"""The way back: what flows of ours share when they become flows of a library in torch."""

import math

import numpy as np
import torch

from . import _torch
from . import _parts as pf
from ._source import Placed, blamed

# Constants that a file may leave out.
USUAL = {
    "batch_norm": False,
    "bound": math.inf,
    "conditional": False,
    "context_form": "activated",
    "end_slope": 1.0,
    "floor": 1e-3,
    "fused": "",
    "input_bound": math.inf,
    "max_derivative": math.inf,
    "order": None,
    "pre_activation": True,
    "signs": None,
    "tail": math.inf,
    "trainable": True,
    "widths": None,
}
# Of the builders.
OTHER_BASES = {name: "no such base there: build it with base='normal'" for name in ("student_t", "logistic")}


class Component(Placed):
    """A part of a model, and its path in the file."""

    elsewhere = "there"

    def __init__(self, part, path=""):
        self.part, self.path = part, path

    @property
    def type(self):
        return self.part.type

    title = type

    def __getitem__(self, constant):
        constants = self.part.constants
        return constants[constant] if constant in constants else USUAL[constant]

    def tensor(self, name):
        return self.part.tensors[name]

    def child(self, name):
        return Component(self.part.parts[name], f"{self.path}.{name}" if self.path else name)

    def children(self):
        return [self.child(str(i)) for i in range(len(self.part.parts))]

    def by_type(self, rules, *arguments):
        return self.by_names([self.type], rules, *arguments)

    def layer(self, name):
        return pf.Layer(self.tensor(f"{name}.weight"), self.tensor(f"{name}.bias"))

    def log_scale(self):
        """Of an affine map, within its bound."""
        raw, bound = self.tensor("log_scale"), self["bound"]
        return raw if bound == math.inf else bound * np.tanh(raw / bound)

    def not_bounded(self):
        self.require(
            self["input_bound"] == math.inf,
            f"networks there see values as they are, not within {self['input_bound']:g}: "
            "build it with input_bound=inf before training",
        )


def flow(part, scalar, write):
    """What `write` makes of the model, in its scalar type and in evaluation mode. Torch's own state stays as it is."""
    dtype = getattr(torch, scalar)
    with torch.random.fork_rng([]), _torch.in_dtype(dtype):
        model = Component(part)
        with blamed(model):
            return write(model, pf.context_dim(part)).to(dtype).eval()


def split(model):
    """The innermost base of a distribution, and `towards_base` of what leads from it to the data. Networks take the
    context as it is given there."""
    if model.type == "standardized_context":
        inner = _of_raw_context(model.part.parts["inner"], model.tensor("shift"), model.tensor("scale"))
        return split(Component(inner, f"{model.path}.inner" if model.path else "inner"))
    if model.type != "transformed_distribution":
        return model, []
    base, steps = split(model.child("base"))
    return base, towards_base(model.child("bijector")) + steps


def _of_raw_context(part, shift, scale):
    """The part with networks that take the context before it is standardised."""
    tensors, c = dict(part.tensors), part.constants
    first = {"mlp": ["layer0"], "residual_network": ["initial"]}.get(part.type, [])
    of_context = [name[: -len(".weight")] for name in tensors if name.endswith("context.weight")]
    for name in first + of_context if c.get("context_dim") else ():
        weight, count = tensors[f"{name}.weight"], len(shift)  # the context is the last of what they take
        raw = weight[:, -count:] / scale
        tensors[f"{name}.weight"] = np.hstack([weight[:, :-count], raw])
        tensors[f"{name}.bias"] = tensors[f"{name}.bias"] - raw @ shift
    parts = part.parts
    if c.get("conditional"):  # the network's inputs are the context
        net = parts["net"]
        as_context = pf.Part(net.type, {**net.constants, "context_dim": len(shift)}, net.tensors)
        raw = _of_raw_context(as_context, shift, scale)
        parts = {**parts, "net": pf.Part(net.type, net.constants, raw.tensors)}
    else:
        parts = {name: _of_raw_context(child, shift, scale) for name, child in parts.items()}
    return pf.Part(part.type, c, tensors, parts)


def towards_base(bijector, turned=False):
    """The maps of a bijector from data to base, in this order, each with whether it is the other way round."""
    if bijector.type == "identity":
        return []
    if bijector.type == "invert":
        return towards_base(bijector.child("bijector"), not turned)
    if bijector.type == "permute" and turned:
        return [(Component(pf.permute(np.argsort(bijector["permutation"])), bijector.path), False)]
    if bijector.type != "chain":
        return [(bijector, turned)]
    parts = bijector.children()
    return [map for part in (parts if turned else reversed(parts)) for map in towards_base(part, turned)]


def maps(steps, rules, inverse, *arguments, pairs=lambda *given: None):
    """The library's maps for `towards_base`. A rule gives a map, and whether it leads to the data; what leads in the
    other direction than it should is put into `inverse`. pairs: what the library has for two of them, or None."""
    made, steps = [], list(steps)
    while steps:
        both = pairs(*steps[:2], *arguments) if len(steps) > 1 else None
        if both is not None:
            made.append(both)
            del steps[:2]
            continue
        component, turned = steps.pop(0)
        with blamed(component):
            one, to_data = component.by_type(rules, *arguments)
        made.append(one if to_data == turned else inverse(one))
    return made


# ------------------------------------------------------------------------------------------------------------- tensors


def tensor(array):
    """In the default type; integers and flags keep their own."""
    made = torch.from_numpy(np.array(array))  # a copy that is the library's alone
    return made.to(torch.get_default_dtype()) if made.is_floating_point() else made


def fill(holder, **values):
    """Sets parameters and buffers."""
    for name, value in values.items():
        getattr(holder, name).copy_(tensor(value).reshape(getattr(holder, name).shape))
    return holder


def fill_layer(linear, layer):
    fill(linear, weight=layer.weight, bias=layer.bias)
    if layer.mask is not None:
        fill(linear, mask=layer.mask)
    return linear


def fixed(module):
    """What is not learned here is not learned there."""
    return module.requires_grad_(False)


# ------------------------------------------------------------------------------------------------------------ networks

MODULES = {ours: getattr(torch.nn, name) for name, ours in _torch.ACTIVATIONS.items() if name[0].isupper()}


def function(name):
    """The activation as a function."""
    return MODULES[name]() if name == "identity" else getattr(torch.nn.functional, name)


def dense(net, context_dim=0):
    """Layers and activation of a network that is a sequence of layers, the first one taking [x, context]. context_dim:
    what a network without context is given nevertheless."""
    if net.type == "constant":
        value = net.tensor("value")
        return [pf.Layer(np.zeros((len(value), net["inputs"] + context_dim)), value)], "relu"
    net.require(net.type == "mlp", f"a {net.type} has no counterpart there: build it with residual=False")
    net.require(not net["batch_norm"], "batch norm inside has no counterpart there: conditioner_batch_norm=False")
    layers = [net.layer(f"layer{i}") for i in range(len(net["hidden"]) + 1)]
    given = net["context_dim"]
    if given < context_dim:
        first = layers[0]
        layers[0] = pf.Layer(np.hstack([first.weight, np.zeros((len(first.bias), context_dim - given))]), first.bias)
    return layers, net["activation"]


def sequential(layers, activation):
    """As torch itself has it."""
    parts = []
    for layer in layers:
        outputs, inputs = layer.weight.shape
        parts += [fill_layer(torch.nn.Linear(inputs, outputs), layer), MODULES[activation]()]
    return torch.nn.Sequential(*parts[:-1])


def degrees(net):
    """Of the units of each hidden layer of a MADE."""
    hidden, count = net["hidden_degrees"], net["blocks"] + 1
    return [hidden] * count if net["widths"] is None else np.split(hidden, np.cumsum(net["widths"])[:-1])


def masked(net):
    """The layers of a MADE in their sequence, with masks; columns in the order of conditioning."""
    dim, of_hidden = net["dim"], degrees(net)
    inputs, outputs = np.arange(1, dim + 1), np.tile(np.arange(1, dim + 1), net["multiplier"])
    names = ["initial"]
    if net["residual"]:
        names += [f"block{i}.linear{k}" for i in range(net["blocks"]) for k in range(2)]
        between = [of_hidden[0]] * len(names)
    else:
        names += [f"layer{i}" for i in range(net["blocks"])]
        between = of_hidden
    masks = [after[:, None] >= before for before, after in zip([inputs, *between], between)]
    masks.append(outputs[:, None] > between[-1])
    layers = [net.layer(name) for name in [*names, "final"]]
    return [pf.Layer(layer.weight * mask, layer.bias, mask) for layer, mask in zip(layers, masks)]


def without_hidden(layers, activation):
    """One layer for several without anything between them."""
    if activation != "identity":
        return layers
    weight, bias, mask = layers[0].weight, layers[0].bias, layers[0].mask
    for layer in layers[1:]:
        weight, bias = layer.weight @ weight, layer.weight @ bias + layer.bias
        mask = None if mask is None else layer.mask.astype(int) @ mask.astype(int) > 0
    return [pf.Layer(weight, bias, mask)]


def order_of(component):
    """The column at each place in the order of conditioning, and the place of each column."""
    order = component["order"]
    order = np.arange(component.child("net")["dim"]) if order is None else order
    return order, np.argsort(order)


def check_spline(transformer, parameters, interval):
    """What splines of zuko and nflows have in common."""
    name = f"spline=RationalQuadraticOptions(parameters='{parameters}')"
    for holds, reason in [
        (transformer["parameters"] == parameters, f"a spline's parameters are those of {parameters} there: {name}"),
        ((transformer["low"], transformer["high"]) == interval, f"the interval of such a spline is {interval} there"),
        (transformer["max_derivative"] == math.inf, "slopes have no largest value there: max_derivative=inf"),
        (transformer["end_slope"] == 1, "the slope at both ends is 1 there"),
    ]:
        transformer.require(holds, reason)
