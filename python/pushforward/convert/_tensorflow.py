"""What a function computes with TensorFlow, read from the graph of its operations: whatever it is made of (layers of
Keras, templates, modules, plain functions), variables included."""

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

ROWS = 7  # to try things at, in a place where nothing is special

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

    def run(self, tensor, values):
        return self.session.run(tensor, values)

    def shape(self, tensor):
        shape = self.values(tensor, [np.zeros((ROWS, width)) for width in self.widths]).shape
        return shape[1:] if len(shape) >= 2 and shape[0] == ROWS else None

    def key(self, tensor):
        return tensor.ref()

    def name(self, tensor):
        return f"{tensor.op.type} ({tensor.name})"

    def before(self, tensor):
        return tensor.op.inputs

    def moving(self, tensor):
        return tensor.dtype.is_floating

    def affine(self, tensor, moving):
        op = tensor.op
        if op.type == "RealDiv" and any(t is op.inputs[1] for t in moving):
            return False
        return op.type in AFFINE and (len(moving) == 1 or op.type in SUMS)

    def in_double(self, tensor):
        return tensor.dtype == tf.float64

    def function(self, tensor, moving):
        op, number = tensor.op, 0.0
        if op.type not in FUNCTIONS:
            return None
        if op.type == "LeakyRelu":
            number = float(op.get_attr("alpha"))
        if op.type in ("Minimum", "Maximum"):
            bound = np.unique(self.session.run([t for t in op.inputs if t is not moving[0]][0]))
            if len(bound) != 1:
                raise ValueError(f"several bounds ({op.name}) have no counterpart here")
            number = float(bound[0])
        return FUNCTIONS[op.type], number


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
