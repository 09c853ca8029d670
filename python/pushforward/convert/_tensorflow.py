"""What a function computes with TensorFlow, read from the graph of its operations: whatever it is made of (layers of
Keras, templates, modules, plain functions), variables included."""

import dataclasses

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from . import _masked
from . import _parts as pf

ROWS = 7  # to try things at, in a place where nothing is special
LARGE = 2.0**30  # weights are read times that: what they are added to is small then, and rounds nothing away


class Graph:
    """A function of x (N, dim) and, if context_dim > 0, of a context (N, context_dim), in double.

    `function` returns tensors. Constants and variables have the values of now, single ones exactly.
    """

    def __init__(self, function, dtype, dim, context_dim=0):
        widths = [dim] + ([context_dim] if context_dim != 0 else [])
        specs = [tf.TensorSpec((None, None if width is None else width), dtype) for width in widths]
        traced = tf.function(function, autograph=False).get_concrete_function(*specs)
        frozen = convert_variables_to_constants_v2(traced, lower_control_flow=False)
        names = [tensor.name for tensor in (*frozen.inputs, *frozen.outputs)]
        self.graph = tf.Graph()
        with self.graph.as_default():
            written = {op.name for op in traced.graph.get_operations() if op.type == "Const"}
            tf.graph_util.import_graph_def(_in_double(frozen.graph.as_graph_def(), written), name="")
        tensors = [self.graph.get_tensor_by_name(name) for name in names]
        self.inputs, self.outputs = tensors[: len(widths)], tensors[len(widths) :]
        self.session = tf.compat.v1.Session(graph=self.graph)
        if widths[-1] is None:
            widths[-1] = self._context_dim(dim)
        self.widths = widths

    def _context_dim(self, dim):
        """The one width that all operations take."""
        taken = []
        for width in range(1, 513):
            try:
                self.values(self.outputs, [np.ones((ROWS, dim)), np.ones((ROWS, width))])
                taken.append(width)
            except tf.errors.InvalidArgumentError:
                pass
        if len(taken) != 1:
            raise ValueError("the width of its context is not known")
        return taken[0]

    def values(self, tensors, inputs):
        return self.session.run(tensors, dict(zip(self.inputs, inputs)))


def _in_double(graph, written):
    """What is single becomes double. Numbers that stand in the program, and not in variables, are those of there."""
    for node in graph.node:
        for attribute in node.attr.values():
            if attribute.type == types_pb2.DT_FLOAT:
                attribute.type = types_pb2.DT_DOUBLE
            if attribute.HasField("tensor") and attribute.tensor.dtype == types_pb2.DT_FLOAT:
                value = tf.make_ndarray(attribute.tensor)
                value = _as_written(value) if node.name in written and value.ndim == 0 else value.astype(float)
                attribute.tensor.CopyFrom(tf.make_tensor_proto(value))
            for i, kind in enumerate(attribute.list.type):
                if kind == types_pb2.DT_FLOAT:
                    attribute.list.type[i] = types_pb2.DT_DOUBLE
    return graph


def _as_written(number):
    """Before it was rounded: a root of gelu, or the shortest one in decimals."""
    roots = [root for root in (np.sqrt(2), np.sqrt(0.5)) if number == np.float32(root)]
    return np.asarray([*roots, float(str(number))][0])


# ----------------------------------------------------------------------------------------------------------- functions

# Affine in one of their inputs, the others being constants.
AFFINE = set(
    "AddN BatchMatMulV2 BiasAdd BroadcastTo Cast ConcatV2 Cumsum Einsum EnsureShape ExpandDims GatherV2 Identity"
    " IdentityN MatMul Mean Mul Neg Pack Pad PadV2 PreventGradient RealDiv Reshape ReverseV2 Slice Split SplitV Squeeze"
    " StopGradient StridedSlice Sum Tile Transpose Unpack Add AddV2 Sub".split()
)
SUMS = {"AddN", "Add", "AddV2", "Sub", "ConcatV2", "Pack", "IdentityN"}  # in all of them
FUNCTIONS = {
    "Relu": "relu",
    "LeakyRelu": "leaky_relu",
    "Elu": "elu",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Softmax": "softmax",
    "Atan": "atan",
    "Exp": "exp",
    "Log": "log",
    "Minimum": "minimum",
    "Maximum": "maximum",
}


@dataclasses.dataclass(eq=False)
class Units:
    """The values of a function, name(of), with one or more for each row."""

    name: str
    tensor: tf.Tensor
    of: tf.Tensor = None
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
            self.known[tensor.ref()] = Units("input", tensor, shape=(width,))
        self.inputs = list(self.known.values())
        self._dependent = {}

    def dependent(self, tensor):
        """Whether it depends on the inputs, other than on their number."""
        todo = [tensor]
        while todo:
            top = todo[-1]
            before = [t for t in top.op.inputs if t.ref() not in self._dependent]
            if top.ref() in self.known or not top.dtype.is_floating or not before:
                of = any(self._dependent[t.ref()] for t in top.op.inputs if t.ref() in self._dependent)
                self._dependent[top.ref()] = top.dtype.is_floating and (of or top.ref() in self.known)
                todo.pop()
            else:
                todo += before
        return self._dependent[tensor.ref()]

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
        result = self.graph.session.run(tensor, values)
        if len(units) == 0 and (result.ndim == 0 or result.shape[0] != rows):
            result = result[None]  # a constant
        alone = self.graph.session.run(tensor, {t: v[:1] for t, v in values.items()})
        if result.ndim == 0 or result.shape[0] != rows or not np.allclose(alone, result[:1], rtol=1e-9, atol=1e-12):
            raise ValueError(f"the operation {tensor.op.name} mixes rows")
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
            if top.ref() in seen or not self.dependent(top):
                continue
            seen.add(top.ref())
            units = self._cut(top)
            if units is not None:
                found += [units] if units not in found else []
            else:
                todo += [t for t in top.op.inputs if self.dependent(t)]
        return sorted(found, key=lambda u: u.tensor.name)

    def _cut(self, tensor):
        if tensor.ref() not in self.known:
            op = tensor.op
            moving = [t for t in op.inputs if self.dependent(t)]
            bent = op.type == "RealDiv" and self.dependent(op.inputs[1])
            if op.type in AFFINE and not bent and (len(moving) == 1 or op.type in SUMS):
                return None
            self.known[tensor.ref()] = self._function(tensor, op, moving)
        return self.known[tensor.ref()]

    def _function(self, tensor, op, moving):
        shape = self._shape(tensor)
        if op.type == "Mul":
            return self._product(tensor, shape)
        if op.type not in FUNCTIONS or len(moving) != 1:
            raise ValueError(f"the operation {op.type} ({op.name}) has no counterpart here")
        number = float(op.get_attr("alpha")) if op.type == "LeakyRelu" else 0.0
        if op.type in ("Minimum", "Maximum"):
            bound = np.unique(self.graph.session.run([t for t in op.inputs if t is not moving[0]][0]))
            if len(bound) != 1:
                raise ValueError(f"several bounds ({op.name}) have no counterpart here")
            number = float(bound[0])
        return Units(FUNCTIONS[op.type], tensor, moving[0], number, shape)

    def _shape(self, tensor):
        at = [np.zeros((ROWS, width)) for width in self.graph.widths]
        shape = self.graph.values(tensor, at).shape
        if len(shape) < 2 or shape[0] != ROWS:
            raise ValueError(f"the operation {tensor.op.name} mixes rows")
        return shape[1:]

    def _product(self, tensor, shape):
        """silu(u) = u sigmoid(u), gelu(u) = u (1 + erf(u / sqrt 2)) / 2: a known function of what is before."""
        before, todo = [], list(tensor.op.inputs)
        while todo:
            t = todo.pop(0)
            if self.dependent(t) and t not in before and len(before) < 12:
                before.append(t)
                todo += t.op.inputs if t.ref() not in self.known else []
        grid = np.linspace(-6, 6, ROWS * int(np.prod(shape))).reshape(ROWS, *shape)
        at = dict(zip(self.graph.inputs, [np.zeros((ROWS, width)) for width in self.graph.widths]))
        for t in before:
            if self._shape(t) != shape or t.op.type == "Sigmoid":
                continue
            value = self.graph.session.run(tensor, {**at, t: grid})
            again = self.graph.session.run(tensor, {**{k: v + 1 for k, v in at.items()}, t: grid})
            for name in ("silu", "gelu"):
                if np.allclose(value, _masked.ACTIVATIONS[name](grid), rtol=1e-12, atol=1e-14):
                    if np.array_equal(value, again):
                        return Units(name, tensor, t, shape=shape)
        raise ValueError(f"a product of what depends on the inputs ({tensor.op.name}) has no counterpart here")


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
