"""What a function computes with JAX, read from its jaxpr: whatever it is made of (haiku, flax, plain functions)."""

import jax
import jax.numpy as jnp
import numpy as np

# Linear in their first operand, the others being constants that say how.
FIRST = set(
    "broadcast_in_dim convert_element_type copy cumsum dynamic_slice gather neg reduce_sum reshape rev slice split"
    " squeeze stop_gradient transpose".split()
)
SUMS = {"add", "add_any", "concatenate", "pad", "sub"}  # in all of them
PRODUCTS = {"dot_general", "mul"}  # in each of them
FUNCTIONS = {name: name for name in ("atan", "exp", "log", "tanh")} | {"logistic": "sigmoid"}
BOUNDS = {"max": "maximum", "min": "minimum"}
LOOPS = {"cond", "scan", "while"}


class Operation:
    def __init__(self, name, before, evaluate):
        self.name, self.before, self.evaluate = name, before, evaluate


class Tensor:
    """Of one row: its first axis has one place if it has to do with the inputs."""

    def __init__(self, shape, dtype, operation=None, index=0, value=None):
        self.shape, self.dtype, self.operation, self.index, self.value = tuple(shape), dtype, operation, index, value
        self.number = 0  # in the order of computation


class Graph:
    """A function of x (N, dim), which returns arrays (N, ...), in double. To be used where double is enabled."""

    def __init__(self, function, dim):
        closed = jax.make_jaxpr(function)(jnp.zeros((1, dim)))
        self.widths, self.count = [dim], 0
        self.inputs = [self._new(Tensor((1, dim), np.dtype(float)))]
        self.outputs = self._inlined(closed.jaxpr, closed.consts, self.inputs)

    # Calls are replaced by what they call.

    def _new(self, tensor):
        self.count += 1
        tensor.number = self.count
        return tensor

    def _constant(self, value):
        return self._new(Tensor(jnp.shape(value), jnp.result_type(value), value=value))

    def _inlined(self, jaxpr, constants, inputs):
        known = dict(zip(jaxpr.constvars, map(self._constant, constants))) | dict(zip(jaxpr.invars, inputs))
        tensor = lambda v: self._constant(v.val) if hasattr(v, "val") else known[v]  # noqa: E731
        for equation in jaxpr.eqns:
            known.update(zip(equation.outvars, self._made(equation, [tensor(v) for v in equation.invars])))
        return [tensor(v) for v in jaxpr.outvars]

    def _made(self, equation, operands):
        inner = None if equation.primitive.name in LOOPS else called(equation)
        if inner is not None:
            return self._inlined(*inner, operands)
        bind = lambda *values: equation.primitive.bind(*values, **equation.params)  # noqa: E731
        operation = Operation(equation.primitive.name, operands, bind)
        outputs = [v.aval for v in equation.outvars]
        return [self._new(Tensor(aval.shape, aval.dtype, operation, i)) for i, aval in enumerate(outputs)]

    # What a reader asks for.

    def run(self, tensor, values):
        def one(*rows):
            return self._value(tensor, dict(zip(values, rows)))

        rows = [jnp.asarray(value)[:, None] for value in values.values()]
        result = np.asarray(jax.vmap(one)(*rows))
        return result[:, 0] if tensor.shape[:1] == (1,) else result

    def _value(self, tensor, known):
        known, todo = dict(known), [tensor]
        while todo:
            top = todo[-1]
            if top in known:
                todo.pop()
                continue
            if top.operation is None:
                known[top] = top.value
                continue
            missing = [t for t in top.operation.before if t not in known]
            if missing:
                todo += missing
                continue
            result = top.operation.evaluate(*(known[t] for t in top.operation.before))
            known[top] = result[top.index] if isinstance(result, (list, tuple)) else result
        return known[tensor]

    def shape(self, tensor):
        return tensor.shape[1:] if len(tensor.shape) >= 2 and tensor.shape[0] == 1 else None

    def key(self, tensor):
        return tensor

    def name(self, tensor):
        return f"{tensor.operation.name if tensor.operation else 'input'} ({tensor.number:05})"

    def before(self, tensor):
        return tensor.operation.before if tensor.operation else []

    def moving(self, tensor):
        return True

    def affine(self, tensor, moving):
        operation = tensor.operation
        name, before = operation.name, operation.before
        if not self.in_double(tensor):
            return False
        if name in FIRST or name == "div":
            return len(moving) == 1 and moving[0] is before[0] and self.in_double(before[0])
        if name in PRODUCTS:
            return len(moving) == 1
        if name == "select_n":
            return all(t is not before[0] for t in moving)
        return name in SUMS

    def in_double(self, tensor):
        return tensor.dtype == np.dtype(float)

    def function(self, tensor, moving):
        name = tensor.operation.name
        if name not in BOUNDS:
            return (FUNCTIONS[name], 0.0) if name in FUNCTIONS else None
        bound = np.unique([self._value(t, {}) for t in tensor.operation.before if t is not moving[0]])
        if len(bound) != 1:
            raise ValueError(f"several bounds ({self.name(tensor)}) have no counterpart here")
        return ("relu", 0.0) if (name, bound[0]) == ("max", 0) else (BOUNDS[name], float(bound[0]))


def called(equation):
    """The jaxpr that an operation calls, and its constants; None if it calls none."""
    for value in equation.params.values():
        if hasattr(value, "jaxpr") and len(value.jaxpr.invars) == len(equation.invars):
            return value.jaxpr, value.consts
        if hasattr(value, "eqns") and len(value.invars) == len(equation.invars):
            return value, ()
    return None
