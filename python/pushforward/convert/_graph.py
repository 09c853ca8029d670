"""What the tensors of a graph of operations are functions of: networks, whatever library computes them.

A graph has
    inputs, widths          the tensors of x and, if there is one, of the context, of the shapes (N, width)
    run(tensor, values)     what it is where the tensors in a dictionary have the values there
    shape(tensor)           of one row, None where it has none
and of each of its tensors
    key(tensor), name(tensor)
    before(tensor)          the tensors that it is computed from
    moving(tensor)          whether it may depend on the inputs, other than on their number
    affine(tensor, moving)  whether it is an affine function of those tensors, jointly
    in_double(tensor)       whether its numbers are in double, as they are given to `run`
    function(tensor, moving)  the name of the function that it is of one of them, and its number (see Units); None
"""

import dataclasses

import numpy as np

from . import _masked
from . import _parts as pf

LARGE = 2.0**30  # weights are read times that: what they are added to is small then, and rounds nothing away


@dataclasses.dataclass(eq=False)
class Units:
    """The values of a function, name(of), with one or more for each row."""

    name: str
    tensor: object
    of: object = None
    number: float = 0.0  # the bound of minimum and maximum, the slope of leaky_relu
    shape: tuple = ()  # of one row


@dataclasses.dataclass
class Affine:
    """offset + the sum over units of weights times their values. Weights have the shape (*of the result, units)."""

    offset: np.ndarray
    weights: dict

    def each(self, change):
        """A change of the axes of what it gives: of arrays whose last axis stays."""
        offset = change(self.offset[..., None])[..., 0]
        return Affine(offset, {units: change(weights) for units, weights in self.weights.items()})

    def flat(self):
        """One row for each output."""
        return self.each(lambda a: a.reshape(-1, a.shape[-1]))

    def by_parameter(self, dim, parameters=()):
        """Of the shape (dim, *parameters): one row for each output, parameter by parameter."""
        wide = self.each(lambda a: np.broadcast_to(a, (dim, *parameters, a.shape[-1])))
        return wide.each(lambda a: np.moveaxis(a, 0, -2)).flat()

    def times(self, factor):
        return Affine(factor * self.offset, {units: factor * weights for units, weights in self.weights.items()})


class Reader:
    """What the tensors of a graph are functions of."""

    def __init__(self, graph):
        self.graph, self.known = graph, {}
        for tensor, width in zip(graph.inputs, graph.widths):
            self.known[graph.key(tensor)] = Units("input", tensor, shape=(width,))
        self.inputs = list(self.known.values())
        self._dependent = {}

    def dependent(self, tensor):
        """Whether it depends on the inputs, other than on their number."""
        key, todo = self.graph.key, [tensor]
        while todo:
            top = todo[-1]
            parts = self.graph.before(top) if self.graph.moving(top) and key(top) not in self.known else []
            missing = [t for t in parts if key(t) not in self._dependent]
            if missing:
                todo += missing
            else:
                of = any(self._dependent[key(t)] for t in parts)
                self._dependent[key(top)] = self.graph.moving(top) and (of or key(top) in self.known)
                todo.pop()
        return self._dependent[key(tensor)]

    def affine(self, tensor):
        units = self._units(tensor)
        sizes = [int(np.prod(u.shape)) for u in units]
        rows = 1 + sum(sizes)
        values, start = {t: np.zeros((rows, *u.shape)) for t, u in ((u.tensor, u) for u in self.inputs)}, 1
        for u, size in zip(units, sizes):
            value = np.zeros((rows, size))
            value[start : start + size] = LARGE * np.eye(size)
            values[u.tensor] = value.reshape(rows, *u.shape)
            start += size
        result = self.graph.run(tensor, values)
        if len(units) == 0 and (result.ndim == 0 or result.shape[0] != rows):
            result = result[None]  # a constant
        alone = self.graph.run(tensor, {t: v[:1] for t, v in values.items()})
        if result.ndim == 0 or result.shape[0] != rows or not np.allclose(alone, result[:1], rtol=1e-9, atol=1e-12):
            raise ValueError(f"the operation {self.graph.name(tensor)} mixes rows")
        offset, slopes = result[0], np.moveaxis(result[1:] - result[0], 0, -1) / LARGE
        ends = np.cumsum([0, *sizes])
        weights = {u: slopes[..., a:b] for u, a, b in zip(units, ends, ends[1:])}
        return Affine(offset, {u: w for u, w in weights.items() if (w != 0).any()})

    def map_of(self, tensor):
        """units, factor and offset where it is factor units + offset, one by one; otherwise None."""
        affine = self.affine(tensor)
        if len(affine.weights) != 1:
            return None
        [(units, weights)] = affine.weights.items()
        square = weights.reshape(-1, weights.shape[-1])
        factor = np.diag(square) if len(square) == square.shape[1] else np.zeros(0)
        factor = np.where(np.abs(factor - 1) < 1e-12, 1, factor)  # rounded in the presence of an offset
        if units in self.inputs or units.shape != affine.offset.shape or square[~np.eye(len(square), dtype=bool)].any():
            return None
        return units, factor.reshape(units.shape), affine.offset

    def _units(self, tensor):
        """Those whose affine function it is."""
        found, seen, todo = [], set(), [tensor]
        while todo:
            top = todo.pop()
            if self.graph.key(top) in seen or not self.dependent(top):
                continue
            seen.add(self.graph.key(top))
            units = self._cut(top)
            if units is not None:
                found += [units] if units not in found else []
            else:
                todo += self._moving(top)
        return sorted(found, key=lambda u: self.graph.name(u.tensor))

    def _moving(self, tensor):
        return [t for t in self.graph.before(tensor) if self.dependent(t)]

    def _cut(self, tensor):
        key = self.graph.key(tensor)
        if key not in self.known:
            moving = self._moving(tensor)
            if self.graph.affine(tensor, moving):
                return None
            self.known[key] = self._function(tensor, moving)
        return self.known[key]

    def _function(self, tensor, moving):
        shape = self._shape(tensor)
        found = self.graph.function(tensor, moving) if len(moving) == 1 else None
        if found is None:
            return self._compound(tensor, shape)
        name, number = found
        return Units(name, tensor, moving[0], number, shape)

    def _shape(self, tensor):
        shape = self.graph.shape(tensor)
        if shape is None:
            raise ValueError(f"the operation {self.graph.name(tensor)} mixes rows")
        return shape

    def _compound(self, tensor, shape):
        """silu(u) = u sigmoid(u), gelu(u) = u (1 + erf(u / sqrt 2)) / 2, ...: a known function of what is before."""
        before, todo = [], list(self.graph.before(tensor))
        while todo:
            t = todo.pop(0)
            if self.dependent(t) and all(t is not other for other in before) and len(before) < 16:
                before.append(t)
                todo += self.graph.before(t) if self.graph.key(t) not in self.known else []
        rows = 64  # each unit at as many places, near 0 and far from it
        grid = np.sinh(np.linspace(-4.6, 4.5, rows * int(np.prod(shape))))
        grid = np.random.default_rng(0).permuted(grid).reshape(rows, *shape)
        at = dict(zip(self.graph.inputs, [np.zeros((rows, width)) for width in self.graph.widths]))
        result = None
        for t in before:
            if not self.graph.in_double(t) or self.graph.shape(t) != shape or not self._only_through(tensor, t):
                continue
            found = _known_function(grid, self.graph.run(tensor, {**at, t: grid}))
            if found is not None:  # the furthest one: softmax(u) is softmax(u - max u)
                result = Units(found[0], tensor, t, found[1], shape)
        if result is None:
            raise ValueError(f"the operation {self.graph.name(tensor)} has no counterpart here")
        return result

    def _only_through(self, tensor, through):
        """Whether it depends on the inputs by way of another tensor alone."""
        key, todo = self.graph.key, [tensor]
        seen, inputs = {key(through)}, {key(t) for t in self.graph.inputs}
        while todo:
            for t in self._moving(todo.pop()):
                if key(t) in inputs and key(t) not in seen:
                    return False
                if key(t) not in seen:
                    seen.add(key(t))
                    todo.append(t)
        return True


def _known_function(x, y):
    """The name of the function that y is of x, by its values, and its number; None."""
    exponentials = np.exp(x - x.max(-1, keepdims=True))
    functions = {name: function(x) for name, function in _masked.ACTIVATIONS.items() if name != "identity"}
    functions |= {"softmax": exponentials / exponentials.sum(-1, keepdims=True), "softsign": x / (1 + np.abs(x))}
    for name, right in functions.items():
        if np.allclose(y, right, rtol=1e-12, atol=1e-14):
            return name, 0.01 if name == "leaky_relu" else 0.0
    slopes = (y / x)[x < 0]
    if np.array_equal(y[x > 0], x[x > 0]) and np.ptp(slopes) < 1e-12:
        return "leaky_relu", float(np.median(slopes))
    return None


# ------------------------------------------------------------------------------------------------------------ networks


@dataclasses.dataclass
class Network:
    """Layers with `activation` between them: the first one takes [x, context]. contexts: None, or what else each layer
    has the context multiplied by, where it enters others than the first, which then takes x alone."""

    layers: list
    activation: str
    contexts: list = None


def network(reader, outputs):
    """What gives the outputs, Affines with one row each."""
    whole = {units for a in outputs for units in a.weights}
    last = Affine(
        np.concatenate([a.offset for a in outputs]),
        {u: np.vstack([a.weights.get(u, np.zeros((len(a.offset), _size(u)))) for a in outputs]) for u in whole},
    )
    before = _before(reader, last)
    depth = {}
    for units in before:  # what comes before stands before
        depth[units] = 1 + max([depth.get(u, 0) for u in before[units].weights], default=0)
    levels = [[u for u in before if depth[u] == k + 1] for k in range(max(depth.values(), default=0))]
    layers, contexts, inputs = [], [], reader.inputs[:1]
    for level in [*levels, None]:
        parts = [last] if level is None else [before[u] for u in level]
        for a in parts:
            if not set(a.weights) <= {*inputs, *reader.inputs[1:]}:
                raise ValueError("connections past layers of a network have no counterpart here")
        weight = np.vstack([np.hstack([_weight(a, u) for u in inputs]) for a in parts])
        layers.append(pf.Layer(weight, np.concatenate([a.offset for a in parts]), weight != 0))
        contexts.append([np.vstack([_weight(a, u) for a in parts]) for u in reader.inputs[1:]])
        inputs = level
    layers, contexts, activation = _with_activation(layers, contexts, list(before))
    if any((part != 0).any() for later in contexts[1:] for part in later):
        return Network(layers, activation, [part for (part,) in contexts])
    for part in contexts[0]:
        first = layers[0]
        mask = np.hstack([first.mask, np.ones(part.shape, bool)])
        layers[0] = pf.Layer(np.hstack([first.weight, part]), first.bias, mask)
    return Network(layers, activation)


def _size(units):
    return int(np.prod(units.shape))


def _weight(affine, units):
    return affine.weights.get(units, np.zeros((len(affine.offset), _size(units))))


def _before(reader, last):
    """The units that an Affine depends on, other than the inputs, and their arguments, in the order of computation."""
    found = {}

    def visit(affine):
        for units in affine.weights:
            if units not in reader.inputs and units not in found:
                argument = reader.affine(units.of).flat()
                visit(argument)
                found[units] = argument

    visit(last)
    return found


def _with_activation(layers, contexts, units):
    """The one activation. leaky_relu(u) with another slope than here is relu(u) - slope relu(-u)."""
    names = sorted({u.name for u in units})
    if len(names) > 1 or len({u.number for u in units}) > 1:
        raise ValueError(f"a network with several activations ({', '.join(names)}) has no counterpart here")
    name = names[0] if names else "identity"
    if name not in _masked.ACTIVATIONS:
        raise ValueError(f"the activation {name} has no counterpart here")
    if name != "leaky_relu" or units[0].number == 0.01:
        return layers, contexts, name
    slope, wide = units[0].number, []
    for i, layer in enumerate(layers):
        if i > 0:
            layer = pf.Layer(np.hstack([layer.weight, -slope * layer.weight]), layer.bias)
        if i + 1 < len(layers):
            layer = pf.Layer(layer.weight, layer.bias)  # its mask is that of the new weights
            layer = pf.stacked([layer, layer.times(-np.ones(len(layer.bias)))])
            contexts[i] = [np.vstack([part, -part]) for part in contexts[i]]
        wide.append(pf.Layer(layer.weight, layer.bias, layer.weight != 0))
    return wide, contexts, "relu"


# ---------------------------------------------------------------------------------------------------------- scale maps
# own: the part that is refused where there is no such map here.


def log_scale(own, reader, tensor):
    """The options of an affine transformer whose log scale a tensor is, and the raw parameter."""
    found = reader.map_of(tensor)
    if found is not None:
        units, factor, offset = found
        factor, plain = factor.flat[0], not offset.any() and np.ptp(factor) == 0
        if plain and units.name in ("tanh", "softsign", "atan"):
            limit = abs(factor) * (np.pi / 2 if units.name == "atan" else 1)
            map = "soft_clip" if units.name == "softsign" else units.name
            return {"map": map, "limit": limit}, reader.affine(units.of).times(factor)
        if plain and abs(factor - 1) < 1e-12 and units.name in ("minimum", "maximum"):
            options, raw = log_scale(own, reader, units.of)
            end = "high" if units.name == "minimum" else "low"
            own.require(end not in options, "a scale that is cut off twice")
            return {**options, end: units.number}, raw
        if plain and factor == 1 and units.name == "log":
            return positive(own, reader, units.of)
    return {}, reader.affine(tensor)


def positive(own, reader, tensor):
    """The same of a scale."""
    found = reader.map_of(tensor)
    if found is not None:
        units, factor, offset = found
        if (factor == 1).all() and np.ptp(offset) == 0:
            floor = float(offset.flat[0])
            if units.name == "exp" and floor == 0:
                return log_scale(own, reader, units.of)
            if units.name in ("softplus", "sigmoid") and floor >= 0:
                return {"map": units.name, "floor": floor}, reader.affine(units.of)
    raise own.cannot("a scale that is neither exp, softplus nor sigmoid of a network's output has no counterpart here")
