"""flowjax's flows. Bijections map base to data, as here."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import paramax
from flowjax.utils import get_ravelled_pytree_constructor

from . import _masked
from . import _parts as pf
from ._flow import Flow
from ._source import Source, blamed


def read(flow):
    with jax.enable_x64(True):
        source = Source(double(flow))
        with blamed(source):
            model = distribution(source)

    def log_prob(rows, context):
        with jax.enable_x64(True):
            given = None if context is None else jnp.asarray(context)
            return np.asarray(source.it.log_prob(jnp.asarray(rows), given))

    return Flow(model, log_prob)


def double(flow):
    """Its arrays in double; what is hidden in functions that make transformers too."""
    has_one = lambda node: hasattr(node, "transformer_constructor")  # noqa: E731

    def wide(leaf):
        return jnp.asarray(leaf, jnp.float64) if eqx.is_inexact_array(leaf) else leaf

    def remade(node):
        if not has_one(node):
            return wide(node)
        constructor, _ = get_ravelled_pytree_constructor(
            jax.tree.map(wide, prototype(node)),
            filter_spec=eqx.is_inexact_array,
            is_leaf=lambda leaf: isinstance(leaf, paramax.NonTrainable),
        )
        node = jax.tree.map(wide, node)
        return eqx.tree_at(lambda n: n.transformer_constructor, node, constructor)

    return jax.tree.map(remade, flow, is_leaf=has_one)


def prototype(node, dtype=jnp.float32):
    """The transformer whose parameters the outputs of the network are added to."""
    size = 1
    while True:  # the function alone knows how many there are
        try:
            return node.transformer_constructor(jnp.zeros(size, dtype))
        except (TypeError, ValueError):
            size += 1
            if size > 1000:
                raise


def array(source):
    value = source.it if isinstance(source, Source) else source
    return np.asarray(paramax.unwrap(value))


def distribution(source):
    with blamed(source):
        return source.by_type(DISTRIBUTIONS)


def bijection(source, dim):
    with blamed(source):
        return source.by_type(BIJECTIONS, dim)


# ------------------------------------------------------------------------------------------------------- distributions


def dimension(source):
    source.require(len(source.shape) == 1, f"events of the shape {source.shape.it}: only rows have a counterpart here")
    return source.shape[0].it


def transformed(source):
    return pf.transformed(distribution(source.base_dist), bijection(source.bijection, dimension(source)))


def standard(make):
    return lambda source: make(dimension(source))


def zeros_and_ones(type):
    return lambda dim: pf.location_scale(type, np.zeros(dim), np.ones(dim))


# ----------------------------------------------------------------------------------------------------------- bijections


def chain(source, dim):
    return pf.chain([bijection(part, dim) for part in source.bijections])


def scan(source, dim):
    """Layers that are stacked along the first axes of their arrays."""
    stacked = source.bijection
    count = jax.tree.leaves(eqx.filter(stacked.it, eqx.is_array))[0].shape[0]
    layers = [jax.tree.map(lambda leaf: leaf[i] if eqx.is_array(leaf) else leaf, stacked.it) for i in range(count)]
    return pf.chain([bijection(Source(layer, f"{stacked.path}[{i}]"), dim) for i, layer in enumerate(layers)])


def invert(source, dim):
    return pf.invert(bijection(source.bijection, dim))


def affine(source, dim):
    return pf.diagonal(*(np.broadcast_to(array(a), dim) for a in (source.loc, source.scale)))


def loc(source, dim):
    return pf.diagonal(np.broadcast_to(array(source.loc), dim), 1.0)


def scale(source, dim):
    return pf.diagonal(0.0, np.broadcast_to(array(source.scale), dim))


def triangular_affine(source, dim):
    matrix, shift = array(source.triangular), array(source.loc)
    size = np.diag(matrix)
    if source.lower.it:
        return pf.triangular(matrix / size, np.diag(size), shift)
    return pf.triangular(np.eye(dim), matrix, shift)


def permute(source, dim):
    order = source.permutation.it
    return pf.permute(np.asarray(order[0] if isinstance(order, tuple) else order))


def flip(source, dim):
    return pf.permute(np.arange(dim)[::-1])


def fixed(type):
    return lambda source, dim: pf.map_of(type, dim)


def sigmoid(source, dim):
    return pf.sigmoid(np.zeros(dim), np.ones(dim))


def elementwise(source, dim):
    """A transformer for each column: its own parameters are the rows of its arrays."""
    inner = source.bijection
    tau, raw = inner.by_type(TRANSFORMERS)
    raw = np.column_stack([np.broadcast_to(r.reshape(len(r), -1), (dim, r[0].size)) for r in raw])
    return pf.elementwise(raw, pf.inverted(tau))


# ------------------------------------------------------------------------------------------------------------- networks


def conditioner(net):
    """Layers, with their masks, and the activation. The last layer still sorts its outputs by columns."""
    net.require(
        array(net.final_activation.it(jnp.array(-1.5))) == -1.5, "a network whose outputs go through an activation"
    )
    layers = []
    for part in net.layers:
        weight, masked = array(part.weight), getattr(part.weight.it, "args", None)
        mask = np.asarray(masked[0]) if masked else np.ones(weight.shape, bool)
        layers.append(pf.Layer(weight, array(part.bias) if part.has("bias") else np.zeros(len(weight)), mask))
    name = getattr(net.activation.it, "__name__", net.activation.type)
    net.activation.require(name in ACTIVATIONS, f"the activation {name} has no counterpart here")
    return layers, ACTIVATIONS[name]


def transformer(source, layers):
    """With the parameters that the outputs of the network are added to, which go into the bias."""
    made = Source(prototype(source.it, jnp.float64), f"{source.path}.transformer_constructor()")
    tau, start = made.by_type(TRANSFORMERS)
    start = np.concatenate([np.ravel(a) for a in start])
    last = layers[-1].by_parameter(len(start))
    last.bias = last.bias + np.repeat(start, len(last.bias) // len(start))
    return tau, [*layers[:-1], last], len(start)


def masked_autoregressive(source, dim):
    """The network sees the base side."""
    layers, name = conditioner(source.masked_autoregressive_mlp)
    tau, layers, count = transformer(source, layers)
    return pf.invert(_masked.autoregressive(layers, dim, count, tau, name))


def coupling(source, dim):
    layers, name = conditioner(source.conditioner)
    tau, layers, _ = transformer(source, layers)
    keep = np.arange(dim) < source.untransformed_dim.it
    context_dim = source.cond_shape[0].it if source.has("cond_shape") else 0
    return pf.coupling(keep, pf.mlp(layers, name, context_dim), pf.inverted(tau))


# -------------------------------------------------------------------------------------------------------- transformers
# What is inverted by the one here is flowjax's transform; and its raw parameters.


def soft_floor(source):
    """The floor of a parameter that is softplus(raw) + floor."""
    r = jnp.linspace(-30.0, 30.0, 61)
    floor = float(source.fn.it(jnp.array(-1000.0)))
    same = np.allclose(source.fn.it(r), jax.nn.softplus(r) + floor, rtol=1e-12, atol=0)
    source.require(same, "a map of a parameter that is not known here")
    return floor


def affine_transformer(source):
    return pf.affine_transformer("data", "softplus", floor=soft_floor(source.scale)), [
        array(source.loc),
        array(source.scale.args[0]),
    ]


def spline_transformer(source):
    low, high = source.interval.it
    size = high - low
    floors = [float(source.x_pos.min_width.it) / size, float(source.y_pos.min_width.it) / size]
    raw = [array(source.x_pos.arr), array(source.y_pos.arr), array(source.derivatives.args[0])]
    floor = soft_floor(source.derivatives)
    return pf.spline(raw[0].shape[-1], low, high, "nflows", "free", *floors, floor), raw


def loc_transformer(source):
    return pf.inverted(pf.additive_transformer()), [array(source.loc)]


# ---------------------------------------------------------------------------------------------------------------- rules

ACTIVATIONS = {name: name for name in ("relu", "leaky_relu", "elu", "silu", "tanh", "sigmoid", "softplus")}
NO_INVERSE = "it has no inverse in closed form"
DISTRIBUTIONS = {
    "StandardNormal": standard(pf.standard_normal),
    "_StandardLaplace": standard(zeros_and_ones("laplace")),
    "_StandardLogistic": standard(zeros_and_ones("logistic")),
    "_StandardCauchy": standard(zeros_and_ones("cauchy")),
    "_StandardUniform": standard(lambda dim: pf.uniform(np.zeros(dim), np.ones(dim))),
    "Uniform": transformed,
    "Normal": transformed,
    "AbstractTransformed": transformed,
}
BIJECTIONS = {
    "Chain": chain,
    "Scan": scan,
    "Invert": invert,
    "Identity": lambda source, dim: pf.identity(dim),
    "Affine": affine,
    "Loc": loc,
    "Scale": scale,
    "TriangularAffine": triangular_affine,
    "Permute": permute,
    "Flip": flip,
    "Exp": fixed("exp"),
    "SoftPlus": fixed("softplus"),
    "Tanh": fixed("tanh"),
    "Sigmoid": sigmoid,
    "Vmap": elementwise,
    "MaskedAutoregressive": masked_autoregressive,
    "Coupling": coupling,
    "BlockAutoregressiveNetwork": NO_INVERSE,
    "NumericalInverse": NO_INVERSE,
    "Planar": NO_INVERSE,
    "LeakyTanh": "a tanh with straight tails has no counterpart here",
    "Sandwich": "splines between tanh with straight tails have no counterpart here",
}
TRANSFORMERS = {
    "Affine": affine_transformer,
    "RationalQuadraticSpline": spline_transformer,
    "Loc": loc_transformer,
}
